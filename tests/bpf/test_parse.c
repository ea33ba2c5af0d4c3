/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every packet of cases.c through every program that parses, in both
 * directions: what the descriptor says, what is counted, and that the packet
 * passes as it came.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "tests/bpf/cases.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"

enum { ETHER = 14, SLOT = 7, HANDLE = 0x20015, CPU = 3 };

/* Where a packet may be parsed. */
enum path {
	METADATA,
	SCRATCH,
	OBSERVE,
	EGRESS,
	STICK,
	STICK_OBSERVE,
	STICK_EGRESS,
	PATHS
};

static const char *const path_names[PATHS] = {
	[METADATA] = "to metadata",
	[SCRATCH] = "to scratch",
	[OBSERVE] = "again at observe",
	[EGRESS] = "at egress",
	[STICK] = "on a stick",
	[STICK_OBSERVE] = "on a stick, at observe",
	[STICK_EGRESS] = "on a stick, at egress",
};

static struct datapath *with_metadata, *without, *stick;
static struct packet_ends ends[2][2]; /* by IP version (6), direction */

static bool is_egress(enum path path)
{
	return path == EGRESS || path == STICK_EGRESS;
}

static struct datapath *on_path(enum path path)
{
	if (path >= STICK)
		return stick;
	return path == METADATA ? with_metadata : without;
}

/* lq_observe knows the direction by the interface: the loopback interface is
 * the internet's on one of the datapaths, and not on the other. */
static const struct bpf_program *entry(enum path path,
				       enum lqos_direction direction)
{
	const struct datapath_bpf *skel = on_path(path)->skel;

	if (path == STICK)
		return skel->progs.lq_from_stick;
	if (path == STICK_OBSERVE)
		return skel->progs.lq_observe;
	if (path == STICK_EGRESS)
		return skel->progs.lq_to_stick;
	if (path == OBSERVE)
		return direction == LQOS_DOWN
			       ? with_metadata->skel->progs.lq_observe
			       : skel->progs.lq_observe;
	if (path == EGRESS)
		return direction == LQOS_DOWN ? skel->progs.lq_to_subs
					      : skel->progs.lq_to_inet;
	return direction == LQOS_DOWN ? skel->progs.lq_from_inet
				      : skel->progs.lq_from_subs;
}

struct expected {
	struct lqos_packet pkt;
	enum dp_counter reason;
};

static void expected_counts(enum path path, const struct expected *want,
			    struct dp_counters *counts)
{
	memset(counts, 0, sizeof(*counts));
	switch (path) {
	case SCRATCH:
		counts->count[DP_NO_METADATA]++;
		/* fall through */
	case METADATA:
	case STICK:
		counts->count[DP_RECEIVED]++;
		break;
	case OBSERVE:
	case STICK_OBSERVE:
		counts->count[DP_OBSERVED]++;
		counts->count[DP_PARSED_AGAIN]++;
		break;
	default:
		counts->count[DP_SENT]++;
		counts->count[DP_SENT_PARSED]++;
		break;
	}
	/* What is odd is counted where it is met first. */
	if (path != OBSERVE && path != STICK_OBSERVE && path != STICK_EGRESS &&
	    want->reason != DP_RECEIVED)
		counts->count[want->reason]++;
}

#define MUST_BE(what_, got_, want_)                                            \
	do {                                                                   \
		if ((got_) != (want_))                                         \
			fail_msg("%s: " what_ " is %#x, expected %#x", at,     \
				 (unsigned int)(got_), (unsigned int)(want_)); \
	} while (0)

static void check_packet(const char *at, const struct lqos_packet *got,
			 const struct lqos_packet *want)
{
	MUST_BE("magic", got->magic, LQOS_PACKET_MAGIC);
	MUST_BE("version", got->version, LQOS_PACKET_VERSION);
	MUST_BE("flags", got->flags, want->flags);
	MUST_BE("l3_off", got->l3_off, want->l3_off);
	MUST_BE("l4_proto", got->l4_proto, want->l4_proto);
	MUST_BE("l4_off", got->l4_off, want->l4_off);
	MUST_BE("slot", got->slot, want->slot);
	MUST_BE("handle", got->handle, want->handle);
	MUST_BE("cpu", got->cpu, want->cpu);
	MUST_BE("space", got->space, want->space);
}

static void check(const char *at, enum path path, enum lqos_direction direction,
		  const struct packet *p, const struct expected *want)
{
	const struct bpf_program *prog = entry(path, direction);
	struct datapath *dp = path == OBSERVE && direction == LQOS_DOWN
				      ? with_metadata
				      : on_path(path);
	struct dp_counters before = *datapath_counters(dp), counts;
	struct lqos_packet pkt;
	struct outcome out;
	int i, rc;

	assert_int_equal(datapath_clear_scratch(dp), 0);
	rc = is_egress(path) ? run_tc(prog, p->data, p->len, &out)
			     : run_xdp(prog, p->data, p->len, NULL, &out);
	if (rc)
		fail_msg("%s: cannot run: %s", at, strerror(-rc));
	MUST_BE("verdict", out.verdict,
		is_egress(path) ? (uint32_t)TC_ACT_UNSPEC : XDP_PASS);
	MUST_BE("length", out.len, p->len);
	if (memcmp(out.frame, p->data, p->len))
		fail_msg("%s: the packet was changed", at);

	MUST_BE("described", out.described, dp != without && !is_egress(path));
	pkt = out.pkt;
	if (!out.described)
		assert_int_equal(datapath_scratch(dp, &pkt), 0);
	check_packet(at, &pkt, &want->pkt);

	expected_counts(path, want, &counts);
	for (i = 0; i < DP_COUNTERS; i++)
		if (datapath_counters(dp)->count[i] - before.count[i] !=
		    counts.count[i])
			fail_msg("%s: counter %d moved by %llu, expected %llu",
				 at, i,
				 datapath_counters(dp)->count[i] -
					 before.count[i],
				 counts.count[i]);
}

/* In a VLAN of the stick's: arriving from, or leaving to where it says; NULL:
 * the frame would have more tags than are followed. */
static const uint32_t *in_vlan(const uint32_t *layers, uint32_t *out)
{
	size_t tags = 0, n;

	out[0] = P_VLAN;
	for (n = 0; layers[n]; n++) {
		tags += (layers[n] & 0xff) == PACKET_TAG;
		out[n + 1] = layers[n];
	}
	out[n + 1] = 0;
	return tags == 4 ? NULL : out;
}

static void set_tci(struct packet *p, enum path path,
		    enum lqos_direction direction)
{
	bool internet = (direction == LQOS_DOWN) != is_egress(path);
	uint32_t vid = internet ? DATAPATH_INET_VID : DATAPATH_SUBS_VID;

	p->data[ETHER] = (uint8_t)(0xf0 | vid >> 8); /* with priority and DEI */
	p->data[ETHER + 1] = (uint8_t)vid;
}

static void check_stick(const char *at, enum path path,
			enum lqos_direction direction, bool ipv6,
			const uint32_t *layers, const struct expected *base)
{
	uint32_t tagged[PACKET_LAYERS];
	struct expected want = *base;
	struct packet p;

	if (!in_vlan(layers, tagged))
		return;
	packet_build(&p, &ends[ipv6][direction], tagged);
	set_tci(&p, path, direction);
	want.pkt.space = DATAPATH_SUBS_VID;
	if (want.pkt.l3_off)
		want.pkt.l3_off += 4;
	if (want.pkt.l4_off)
		want.pkt.l4_off += 4;
	check(at, path, direction, &p, &want);
}

/* A frame of these layers on every path, in both directions. */
static void check_all(const char *outer, const char *inner, bool ipv6,
		      const uint32_t *layers, const struct expected *base)
{
	struct expected want = *base;
	struct packet p;
	char at[256];
	int direction, path;

	for (direction = LQOS_DOWN; direction <= LQOS_UP; direction++) {
		packet_build(&p, &ends[ipv6][direction], layers);
		want.pkt.flags = base->pkt.flags;
		if (direction == LQOS_UP)
			want.pkt.flags |= LQOS_PACKET_UP;
		for (path = 0; path < PATHS; path++) {
			snprintf(at, sizeof(at), "%s, %s, IPv%c, %s, %s", outer,
				 inner, ipv6 ? '6' : '4',
				 direction == LQOS_UP ? "up" : "down",
				 path_names[path]);
			if (path >= STICK)
				check_stick(at, (enum path)path,
					    (enum lqos_direction)direction,
					    ipv6, layers, &want);
			else if (path != EGRESS || run_tc_can(p.data, p.len))
				check(at, (enum path)path,
				      (enum lqos_direction)direction, &p,
				      &want);
		}
	}
}

static void test_payload(void **state)
{
	const struct payload *payload = *state;
	uint32_t layers[PACKET_LAYERS];
	size_t i;
	int ipv6;

	for (i = 0; i < n_encapsulations; i++) {
		const struct encapsulation *e = &encapsulations[i];

		case_layers(e, payload->layers, layers);
		for (ipv6 = 0; ipv6 < 2; ipv6++) {
			struct expected want = {
				.reason = payload->reason,
				.pkt = {.flags = payload->flags,
					.l3_off = ETHER + e->len,
					.l4_proto = payload->proto,
					.slot = SLOT,
					.handle = HANDLE,
					.cpu = CPU},
			};

			if (!(payload->families &
			      (ipv6 ? CASE_IPV6 : CASE_IPV4)))
				continue;
			if (ipv6) {
				want.pkt.flags |= LQOS_PACKET_IPV6;
				if (payload->proto == 1)
					want.pkt.l4_proto = 58;
			}
			if (payload->l4 != CASE_NO_L4)
				want.pkt.l4_off = (uint16_t)(ETHER + e->len +
							     (ipv6 ? 40 : 20) +
							     payload->l4);
			check_all(e->name, payload->name, ipv6, layers, &want);
		}
	}
}

static void test_stranger(void **state)
{
	const struct stranger *stranger = *state;
	const struct expected want = {
		.reason = stranger->reason,
		.pkt = {.cpu = UINT16_MAX},
	};

	check_all("stranger", stranger->name, false, stranger->layers, &want);
	check_all("stranger", stranger->name, true, stranger->layers, &want);
}

/* ---- Descriptors that came with the frame -------------------------------- */

/* Whether lq_observe takes what is in front of the frame for a descriptor. */
static void check_believed(const struct lqos_packet *meta, bool believed)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(20)};
	uint64_t again =
		datapath_counters(with_metadata)->count[DP_PARSED_AGAIN];
	struct outcome out;
	struct packet p;

	with_metadata->skel->bss->dp_tick++;
	packet_build(&p, &ends[false][LQOS_DOWN], layers);
	assert_int_equal(run_xdp(with_metadata->skel->progs.lq_observe, p.data,
				 p.len, meta, &out),
			 0);
	assert_int_equal(out.verdict, XDP_PASS);
	assert_int_equal(out.len, p.len);
	assert_memory_equal(out.frame, p.data, p.len);
	if (believed)
		assert_memory_equal(&out.pkt, meta, sizeof(*meta));
	assert_int_equal(
		datapath_counters(with_metadata)->count[DP_PARSED_AGAIN] -
			again,
		!believed);
	assert_int_equal(with_metadata->seen[believed ? meta->slot : SLOT],
			 with_metadata->skel->bss->dp_tick);
}

static void test_descriptor(void **state)
{
	struct lqos_packet meta = {
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.flags = LQOS_PACKET_IP,
		.l3_off = ETHER,
		.l4_proto = 17,
		.l4_off = ETHER + 20,
		.slot = 42,
	};

	(void)state;
	check_believed(&meta, true);
	/* A driver's own metadata, or that of another version of ours. */
	meta.magic++;
	check_believed(&meta, false);
	meta.magic--;
	meta.version++;
	check_believed(&meta, false);
}

/* ---- The builder itself -------------------------------------------------- */

/* The sum over all words, checksum included, is all ones. */
static uint32_t ones_sum(const uint8_t *at, size_t len, uint32_t start)
{
	uint64_t total = start;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		total += (uint32_t)(at[i] * 256 + at[i + 1]);
	if (len % 2)
		total += at[len - 1] * 256U;
	return (uint32_t)(total % 65535);
}

/* The example that every text on IPv4's checksum has. */
static void test_builder_ipv4(void **state)
{
	static const uint8_t known[20] = {
		0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
		0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(87)};
	struct packet_ends example;
	struct packet p;

	(void)state;
	packet_ends_set(&example, "192.168.0.1", "192.168.0.199");
	packet_build(&p, &example, layers);
	assert_int_equal(p.len, ETHER + 115);
	assert_memory_equal(p.data + ETHER, known, sizeof(known));
}

static void check_l4_sum(bool ipv6, uint32_t l4_layer, uint8_t proto,
			 uint32_t data)
{
	const uint32_t layers[PACKET_LAYERS] = {P_VLAN, P_IP, l4_layer,
						P_DATA(data), P_PAD(3)};
	struct packet p;
	uint32_t start;
	uint8_t *l4;
	size_t len;

	packet_build(&p, &ends[ipv6][0], layers);
	l4 = p.data + p.l3_off + (ipv6 ? 40 : 20);
	len = (size_t)(p.data + p.len - 3 - l4);
	start = ones_sum(p.data + p.l3_off + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, 0);
	start += proto + (uint32_t)len;
	if (proto == 1)
		start = 0;
	assert_int_equal(ones_sum(l4, len, start), 0);
	if (proto == 17)
		assert_int_equal(l4[4] * 256 + l4[5], len);
}

static void test_builder_l4(void **state)
{
	uint32_t data;

	(void)state;
	for (data = 1; data < 70; data++) {
		check_l4_sum(false, P_TCP, 6, data);
		check_l4_sum(true, P_TCP, 6, data);
		check_l4_sum(false, P_UDP, 17, data);
		check_l4_sum(true, P_UDP, 17, data);
		check_l4_sum(false, P_ICMP, 1, data);
		check_l4_sum(true, P_ICMP, 58, data);
	}
}

static void test_builder_lengths(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_PPPOE, P_IP, P_UDP,
						P_DATA(10), P_PAD(5)};
	const uint32_t llc[PACKET_LAYERS] = {P_LLC(0x4242), P_DATA(35),
					     P_PAD(8)};
	struct packet p;

	(void)state;
	packet_build(&p, &ends[true][0], layers);
	assert_int_equal(p.data[18] * 256 + p.data[19], 2 + 40 + 8 + 10);
	assert_int_equal(p.data[26] * 256 + p.data[27], 8 + 10);
	assert_int_equal(p.len, 14 + 8 + 40 + 8 + 10 + 5);
	packet_build(&p, &ends[false][0], llc);
	assert_int_equal(p.data[12] * 256 + p.data[13], 38);
	assert_int_equal(p.len, 60);
}

/* ---- Set-up -------------------------------------------------------------- */

static void own(struct datapath *dp)
{
	struct packet p;
	const uint32_t layers[PACKET_LAYERS] = {P_IP};
	struct outcome out;
	int ipv6;

	assert_int_equal(datapath_own(dp, "100.64.1.2/32", SLOT, HANDLE, CPU),
			 0);
	assert_int_equal(
		datapath_own(dp, "2001:db8:1:2::/64", SLOT, HANDLE, CPU), 0);
	/* Whoever takes the wrong end of a packet finds these. */
	assert_int_equal(datapath_own(dp, "198.51.100.0/24", 66, 0x6660666, 66),
			 0);
	assert_int_equal(
		datapath_own(dp, "2001:db8:ffff::/48", 66, 0x6660666, 66), 0);
	/* From here on no packet's owner is looked up in the trie. */
	for (ipv6 = 0; ipv6 < 2; ipv6++) {
		packet_build(&p, &ends[ipv6][LQOS_DOWN], layers);
		assert_int_equal(run_xdp(dp->skel->progs.lq_from_inet, p.data,
					 p.len, NULL, &out),
				 0);
	}
}

/* The same hosts in the subscribers' VLAN alone. */
static void own_on_stick(struct datapath *dp)
{
	const uint32_t layers[PACKET_LAYERS] = {P_VLAN, P_IP};
	struct outcome out;
	struct packet p;
	int ipv6;

	assert_int_equal(
		datapath_own(dp, "100.64.1.2%3200/32", SLOT, HANDLE, CPU), 0);
	assert_int_equal(
		datapath_own(dp, "2001:db8:1:2::%3200/64", SLOT, HANDLE, CPU),
		0);
	/* Whoever looks in the wrong VLAN finds these. */
	assert_int_equal(datapath_own(dp, "0.0.0.0/0", 66, 0x6660666, 66), 0);
	assert_int_equal(datapath_own(dp, "0.0.0.0%100/0", 66, 0x6660666, 66),
			 0);
	assert_int_equal(datapath_own(dp, "::/0", 66, 0x6660666, 66), 0);
	assert_int_equal(datapath_own(dp, "::%100/0", 66, 0x6660666, 66), 0);
	for (ipv6 = 0; ipv6 < 2; ipv6++) {
		packet_build(&p, &ends[ipv6][LQOS_DOWN], layers);
		set_tci(&p, STICK, LQOS_DOWN);
		assert_int_equal(run_xdp(dp->skel->progs.lq_from_stick, p.data,
					 p.len, NULL, &out),
				 0);
	}
}

static int set_up(void **state)
{
	const struct datapath_knobs on_a_stick = {
		.stick = true, .address_spaces = true, .steered = true};
	const struct datapath_knobs plain = {.inet_ifindex = LOOPBACK_IFINDEX,
					     .steered = true};
	const struct datapath_knobs none = {
		.no_metadata = true, .steered = true, .one_interface = true};

	(void)state;
	packet_ends_set(&ends[false][LQOS_DOWN], "198.51.100.7", "100.64.1.2");
	packet_ends_set(&ends[false][LQOS_UP], "100.64.1.2", "198.51.100.7");
	packet_ends_set(&ends[true][LQOS_DOWN], "2001:db8:ffff::7:1",
			"2001:db8:1:2::3:4");
	packet_ends_set(&ends[true][LQOS_UP], "2001:db8:1:2::3:4",
			"2001:db8:ffff::7:1");
	if (datapath_new(&with_metadata, &plain) ||
	    datapath_new(&without, &none) || datapath_new(&stick, &on_a_stick))
		return -1;
	own(with_metadata);
	own(without);
	own_on_stick(stick);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	datapath_free(&with_metadata);
	datapath_free(&without);
	datapath_free(&stick);
	return 0;
}

static const struct CMUnitTest other_tests[] = {
	cmocka_unit_test(test_descriptor),
	cmocka_unit_test(test_builder_ipv4),
	cmocka_unit_test(test_builder_l4),
	cmocka_unit_test(test_builder_lengths),
};

int main(void)
{
	size_t n = 0, i,
	       most = n_payloads + n_strangers + ARRAY_SIZE(other_tests);
	autofree struct CMUnitTest *tests = calloc(most, sizeof(*tests));
	int skip = datapath_skip();

	if (skip || !tests)
		return skip ? skip : 1;
	for (i = 0; i < ARRAY_SIZE(other_tests); i++)
		tests[n++] = other_tests[i];
	for (i = 0; i < n_payloads; i++)
		tests[n++] = (struct CMUnitTest){
			.name = payloads[i].name,
			.test_func = test_payload,
			.initial_state = (void *)(uintptr_t)&payloads[i],
		};
	for (i = 0; i < n_strangers; i++)
		tests[n++] = (struct CMUnitTest){
			.name = strangers[i].name,
			.test_func = test_stranger,
			.initial_state = (void *)(uintptr_t)&strangers[i],
		};
	return _cmocka_run_group_tests("parse", tests, n, set_up, tear_down);
}
