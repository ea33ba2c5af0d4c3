/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What captures are given: whose packets, how much of them, and what is lost.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "bpf/capture.h"
#include "tests/bpf/datapath.h"
#include "tests/bpf/probe.h"

#include "bpf/capture.skel.h"
#include "bpf/datapath.skel.h"
#include "tests/bpf/probe.skel.h"

enum { ALICE = 5, BOB = 6, RING = 8192, WAKE = RING / 4, REPEAT = 200000 };

#define NS_PER_S 1000000000ULL

static struct datapath *dp;
static struct capture_bpf *cap;
static struct probe_bpf *probe;
static struct ring_buffer *ring;

/* The last record that was there, and how many there were. */
static struct {
	struct capture_record head;
	uint8_t data[CAPTURE_SNAPLEN_MAX];
} got;
static unsigned int n_got;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int on_record(void *arg, void *data, size_t len)
{
	(void)arg;
	memcpy(&got.head, data, sizeof(got.head));
	assert_int_equal(len, sizeof(got.head) + got.head.caplen);
	memcpy(got.data, (char *)data + sizeof(got.head), got.head.caplen);
	n_got++;
	return 0;
}

static unsigned int consume(void)
{
	n_got = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
	return n_got;
}

static int load(const struct datapath_knobs *knobs)
{
	int rc = datapath_new(&dp, knobs);

	if (rc)
		return rc;
	cap = capture_bpf__open();
	probe = probe_bpf__open();
	if (!cap || !probe)
		return -1;
	cap->rodata->lqos_self = 1;
	cap->rodata->cap_wake = WAKE;
	probe->rodata->lqos_self = 1;
	rc = bpf_map__set_max_entries(cap->maps.cap_ring, RING) ?:
	     bpf_map__set_max_entries(cap->maps.cap_rooms, dp->cpus) ?:
	     bpf_map__set_max_entries(cap->maps.cap_dropped, dp->cpus) ?:
	     datapath_bind(dp, cap->obj) ?:
	     capture_bpf__load(cap) ?:
	     datapath_bind(dp, probe->obj) ?:
	     probe_bpf__load(probe);
	if (rc)
		return rc;
	ring = ring_buffer__new(bpf_map__fd(cap->maps.cap_ring), on_record,
				NULL, NULL);
	if (!ring)
		return -1;
	cap->bss->cap_until = now_ns() + 3600 * NS_PER_S;
	cap->bss->cap_snaplen = CAPTURE_SNAPLEN_MAX;
	return datapath_own(dp, "10.0.0.1/32", ALICE, 0x10003, 0) ?:
	       datapath_own(dp, "10.0.0.2/32", BOB, 0x10004, 0) ?:
	       datapath_own(dp, "2001:db8:1::/48", ALICE, 0x10003, 0);
}

static int load_two(void **state)
{
	(void)state;
	return load(NULL) ?: datapath_chain(dp, "lqos_ingress", 0,
					    dp->skel->progs.lq_observe) ?:
	       datapath_chain(dp, "lqos_observe", 0, cap->progs.cap_look);
}

static int load_one(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){.one_interface = true}) ?:
	       datapath_chain(dp, "lqos_egress", 0,
			      dp->skel->progs.lq_observe_tc) ?:
	       datapath_chain(dp, "lqos_observe_tc", 0,
			      cap->progs.cap_look_tc);
}

static int unload(void **state)
{
	(void)state;
	ring_buffer__free(ring);
	probe_bpf__destroy(probe);
	capture_bpf__destroy(cap);
	datapath_free(&dp);
	ring = NULL;
	probe = NULL;
	cap = NULL;
	return 0;
}

/* ---- Rules --------------------------------------------------------------- */

static void want(unsigned int index, const struct capture_rule *rule)
{
	memcpy((void *)&cap->bss->cap_rules[index], rule, sizeof(*rule));
	cap->bss->cap_on |= 1U << index;
}

static void want_slot(unsigned int index, uint32_t slot)
{
	want(index, &(struct capture_rule){.kind = CAPTURE_SLOT, .slot = slot});
}

static void want_prefix(unsigned int index, const char *address,
			unsigned int length)
{
	bool ipv6 = strchr(address, ':');
	struct capture_rule rule = {.kind = ipv6 ? CAPTURE_IPV6 : CAPTURE_IPV4};
	uint8_t addr[16] = {0}, mask[16] = {0};
	unsigned int from = ipv6 ? 0 : 8, i;

	assert_int_equal(
		inet_pton(ipv6 ? AF_INET6 : AF_INET, address, addr + from), 1);
	for (i = 0; i < length; i++)
		mask[from + i / 8] |= (uint8_t)(0x80 >> i % 8);
	memcpy(&rule.hi, addr, 8);
	memcpy(&rule.lo, addr + 8, 8);
	memcpy(&rule.mask_hi, mask, 8);
	memcpy(&rule.mask_lo, mask + 8, 8);
	want(index, &rule);
}

static const uint32_t udp[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(58)};

/* Sends a packet, which goes on as it was; who has been given a copy. */
static unsigned int pass(const char *src, const char *dst,
			 enum lqos_direction direction, const uint32_t *layers,
			 struct packet *p)
{
	struct packet_ends ends;
	struct outcome out;

	packet_ends_set(&ends, src, dst);
	packet_build(p, &ends, layers);
	assert_int_equal(run_xdp(direction == LQOS_DOWN
					 ? dp->skel->progs.lq_from_inet
					 : dp->skel->progs.lq_from_subs,
				 p->data, p->len, NULL, &out),
			 0);
	assert_int_equal(out.verdict, XDP_PASS);
	assert_int_equal(out.len, p->len);
	assert_memory_equal(out.frame, p->data, p->len);
	return consume() ? got.head.wanted : 0;
}

static void test_whose(void **state)
{
	static const struct {
		const char *src, *dst;
		enum lqos_direction direction;
		unsigned int wanted;
	} cases[] = {
		{"10.0.0.1", "192.0.2.1", LQOS_UP, 1 | 4 | 128},
		{"192.0.2.1", "10.0.0.1", LQOS_DOWN, 1 | 4 | 128},
		{"10.0.0.2", "192.0.2.1", LQOS_UP, 2 | 4},
		{"10.0.0.3", "192.0.2.1", LQOS_UP, 4},
		{"10.0.1.1", "192.0.2.1", LQOS_UP, 0},
		{"10.0.1.1", "192.0.2.9", LQOS_UP, 16},
		{"192.0.2.9", "10.0.0.1", LQOS_DOWN, 1 | 4 | 16 | 128},
		{"2001:db8:1::5", "2001:db8:9::1", LQOS_UP, 1 | 8 | 32 | 128},
		{"2001:db8:1::5", "2001:db8:a::1", LQOS_UP, 1 | 8 | 128},
		{"2001:db8:2::5", "2001:db8:a::1", LQOS_UP, 0},
		/* Whose words IPv4's are not. */
		{"::10.0.0.1", "::192.0.2.9", LQOS_UP, 0},
	};
	struct packet p;

	(void)state;
	want_slot(0, ALICE);
	want_slot(1, BOB);
	want_prefix(2, "10.0.0.0", 24);
	want_prefix(3, "2001:db8:1::", 48);
	want_prefix(4, "192.0.2.9", 32);
	want_prefix(5, "2001:db8:9::1", 128);
	want_slot(6, UINT32_MAX);
	want_slot(7, ALICE);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (pass(cases[i].src, cases[i].dst, cases[i].direction, udp,
			 &p) != cases[i].wanted)
			fail_msg("%s > %s: wanted by %#x, expected %#x",
				 cases[i].src, cases[i].dst, got.head.wanted,
				 cases[i].wanted);
	/* What is off wants nothing, whatever its rule says. */
	cap->bss->cap_on = 2;
	assert_int_equal(pass("10.0.0.1", "192.0.2.1", LQOS_UP, udp, &p), 0);
	want_prefix(0, "0.0.0.0", 0);
	assert_int_equal(pass("172.16.0.1", "192.0.2.1", LQOS_UP, udp, &p), 1);
	assert_int_equal(pass("2001:db8::1", "2001:db8::2", LQOS_UP, udp, &p),
			 0);
}

/* ---- The copy ------------------------------------------------------------ */

static void test_copy(void **state)
{
	static const uint32_t tagged[PACKET_LAYERS] = {P_SVLAN, P_VLAN, P_IP,
						       P_TCP, P_DATA(900)};
	uint64_t before = now_ns();
	struct packet p;

	(void)state;
	want_slot(3, ALICE);
	assert_int_equal(pass("10.0.0.1", "192.0.2.1", LQOS_UP, tagged, &p), 8);
	assert_in_range(got.head.ts, before, now_ns());
	assert_int_equal(got.head.len, p.len);
	assert_int_equal(got.head.caplen, p.len);
	assert_memory_equal(got.data, p.data, p.len);
	assert_int_equal(got.head.interface, LOOPBACK_IFINDEX);
	assert_int_equal(got.head.slot, ALICE);
	assert_int_equal(got.head.l3_off, p.l3_off);
	assert_int_equal(got.head.l4_off, p.l3_off + 20);
	assert_int_equal(got.head.proto, IPPROTO_TCP);
	assert_int_equal(got.head.flags, CAPTURE_UP);

	cap->bss->cap_snaplen = 60;
	assert_int_equal(
		pass("2001:db8:9::1", "2001:db8:1::5", LQOS_DOWN, udp, &p), 8);
	assert_int_equal(got.head.len, p.len);
	assert_int_equal(got.head.caplen, 60);
	assert_memory_equal(got.data, p.data, 60);
	assert_int_equal(got.head.flags, CAPTURE_IS_IPV6);
}

/* Sends it by the one interface there is. */
static unsigned int send_tc(const uint32_t *layers, uint32_t segs,
			    uint32_t size, struct packet *p)
{
	struct packet_ends ends;
	struct outcome out;

	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(p, &ends, layers);
	assert_int_equal(run_tc_gso(dp->skel->progs.lq_to_inet, p->data, p->len,
				    segs, size, &out),
			 0);
	assert_int_equal(out.verdict, (uint32_t)TC_ACT_UNSPEC);
	return consume();
}

static void test_one_interface(void **state)
{
	static const uint32_t tcp[PACKET_LAYERS] = {P_IP, P_TCP, P_DATA(1500)};
	struct packet p;

	(void)state;
	want_slot(0, ALICE);
	assert_int_equal(send_tc(udp, 0, 0, &p), 1);
	assert_int_equal(got.head.len, p.len);
	assert_memory_equal(got.data, p.data, p.len);
	assert_int_equal(got.head.flags, CAPTURE_UP | CAPTURE_OUT);
	/* A super-segment is one packet, of its whole length. */
	assert_int_equal(send_tc(tcp, 15, 100, &p), 1);
	assert_int_equal(got.head.len, p.len);
	assert_int_equal(got.head.caplen, p.len);
	assert_memory_equal(got.data, p.data, p.len);
}

/* The tag beside the frame is where it will be on the wire. */
static void test_tag_beside(void **state)
{
	static const uint8_t tag[] = {0x81, 0x00, PROBE_TCI >> 8,
				      PROBE_TCI & 0xff};
	static const uint32_t snaplens[] = {CAPTURE_SNAPLEN_MAX, 50,
					    CAPTURE_SNAPLEN_MIN};
	uint8_t whole[PACKET_MAX];
	struct packet p;

	(void)state;
	assert_int_equal(
		datapath_chain(dp, "lqos_egress", 0, probe->progs.probe_tag),
		0);
	assert_int_equal(datapath_chain(dp, "lqos_egress", 1,
					dp->skel->progs.lq_observe_tc),
			 0);
	want_slot(0, ALICE);
	for (size_t i = 0; i < ARRAY_SIZE(snaplens); i++) {
		cap->bss->cap_snaplen = snaplens[i];
		assert_int_equal(send_tc(udp, 0, 0, &p), 1);
		memcpy(whole, p.data, 12);
		memcpy(whole + 12, tag, sizeof(tag));
		memcpy(whole + 16, p.data + 12, p.len - 12);
		assert_int_equal(got.head.len, p.len + 4);
		assert_int_equal(got.head.caplen, snaplens[i] < p.len + 4
							  ? snaplens[i]
							  : p.len + 4);
		assert_memory_equal(got.data, whole, got.head.caplen);
		assert_int_equal(got.head.l3_off, p.l3_off + 4);
		assert_int_equal(got.head.l4_off, p.l3_off + 24);
	}
}

/* ---- What is lost -------------------------------------------------------- */

static uint64_t dropped(unsigned int index)
{
	struct capture_dropped d;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(cap->maps.cap_dropped),
					     &dp->cpu, &d),
			 0);
	return d.packets[index];
}

static void test_full_ring(void **state)
{
	static const uint32_t large[PACKET_LAYERS] = {P_IP, P_UDP,
						      P_DATA(1000)};
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	(void)state;
	want_slot(0, ALICE);
	want_slot(1, BOB);
	want_prefix(7, "10.0.0.1", 32);
	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(&p, &ends, large);
	for (int i = 0; i < 20; i++)
		assert_int_equal(run_xdp(dp->skel->progs.lq_from_subs, p.data,
					 p.len, NULL, &out),
				 0);
	consume();
	assert_in_range(n_got, 5, RING / 1000);
	assert_int_equal(dropped(0), 20 - n_got);
	assert_int_equal(dropped(1), 0);
	assert_int_equal(dropped(7), 20 - n_got);
}

/* Who was to empty the ring is dead, or hangs. */
static void test_lease(void **state)
{
	struct packet p;

	(void)state;
	want_slot(2, ALICE);
	cap->bss->cap_until = 1;
	assert_int_equal(pass("10.0.0.1", "192.0.2.1", LQOS_UP, udp, &p), 0);
	assert_int_equal(dropped(2), 1);
	assert_int_equal(pass("10.0.0.2", "192.0.2.1", LQOS_UP, udp, &p), 0);
	assert_int_equal(dropped(2), 1);
	cap->bss->cap_until = now_ns() + NS_PER_S;
	assert_int_equal(pass("10.0.0.1", "192.0.2.1", LQOS_UP, udp, &p), 4);
}

/* ---- When user space is woken -------------------------------------------- */

/* At each quarter of the ring, as one can be missed, and nowhere else. */
static void wakes(int epoll, uint32_t payload)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(payload)};
	struct packet_ends ends;
	struct outcome out;
	struct packet p;
	size_t before, after, size;

	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(&p, &ends, layers);
	size = sizeof(got.head) + p.len + BPF_RINGBUF_HDR_SZ;
	size = (size + 7) / 8 * 8;
	for (before = 0; before + size < RING; before = after) {
		struct epoll_event event;
		bool due;

		after = before + size;
		due = before / WAKE != after / WAKE;
		assert_int_equal(run_xdp(dp->skel->progs.lq_from_subs, p.data,
					 p.len, NULL, &out),
				 0);
		if (epoll_wait(epoll, &event, 1, due ? 1000 : 0) != due)
			fail_msg("%zu bytes and %zu more: %s", before, size,
				 due ? "no wake-up" : "a wake-up");
	}
	assert_int_equal(consume(), before / size);
}

static void test_wakes(void **state)
{
	/* Edges: each is a wake-up. */
	struct epoll_event edges = {.events = EPOLLIN | EPOLLET};
	autoclose int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)state;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD,
				   bpf_map__fd(cap->maps.cap_ring), &edges),
			 0);
	want_slot(0, ALICE);
	wakes(epoll, 58);
	wakes(epoll, 46); /* with its header it ends at the quarter */
	wakes(epoll, 900);
}

/* ---- What it costs ------------------------------------------------------- */

/* ns a run of the observe stage; the best of some. */
static uint32_t cost(void)
{
	struct lqos_packet meta = {.magic = LQOS_PACKET_MAGIC,
				   .version = LQOS_PACKET_VERSION,
				   .flags = LQOS_PACKET_IP | LQOS_PACKET_UP,
				   .l3_off = 14,
				   .l4_off = 34,
				   .l4_proto = IPPROTO_UDP,
				   .slot = ALICE};
	uint8_t in[sizeof(meta) + PACKET_MAX];
	struct packet_ends ends;
	struct packet p;
	struct xdp_md ctx = {.data = sizeof(meta)};
	uint32_t best = UINT32_MAX;

	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(&p, &ends, udp);
	memcpy(in, &meta, sizeof(meta));
	memcpy(in + sizeof(meta), p.data, p.len);
	ctx.data_end = (uint32_t)(sizeof(meta) + p.len);
	ctx.ingress_ifindex = LOOPBACK_IFINDEX;
	for (int i = 0; i < 5; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in,
			    .data_size_in = ctx.data_end, .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx), .repeat = REPEAT);

		assert_int_equal(
			bpf_prog_test_run_opts(
				bpf_program__fd(dp->skel->progs.lq_observe),
				&opts),
			0);
		if (opts.duration < best)
			best = opts.duration;
	}
	return best;
}

static void test_cost(void **state)
{
	uint32_t with, without, others;

	(void)state;
	with = cost();
	want_slot(0, BOB);
	others = cost();
	cap->bss->cap_on = 0;
	assert_int_equal(datapath_chain(dp, "lqos_observe", 0, NULL), 0);
	without = cost();
	print_message("# %u ns the observe stage without it, %u with no "
		      "capture on, %u with one that wants others\n",
		      without, with, others);
	assert_int_equal(consume(), 0);
	/* A load, a branch and a tail call; on any machine that is slow. */
	assert_true(with < without + 100);
}

#define TEST(fn, load_) cmocka_unit_test_setup_teardown(fn, load_, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whose, load_two),
		TEST(test_copy, load_two),
		TEST(test_one_interface, load_one),
		TEST(test_tag_beside, load_one),
		TEST(test_full_ring, load_two),
		TEST(test_lease, load_two),
		TEST(test_wakes, load_two),
		TEST(test_cost, load_two),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
