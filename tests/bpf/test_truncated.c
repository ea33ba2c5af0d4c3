/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every packet of cases.c cut at every byte, and frames of noise: they pass as
 * they came, are counted once, and a descriptor never points behind the end.
 * Shorter than an Ethernet header no frame can be: BPF_PROG_TEST_RUN refuses
 * it, as do drivers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "tests/bpf/cases.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"

enum { ETHER = 14, SEEDS = 6, NOISE_MAX = 200 };

static struct datapath *dp;
static struct packet_ends ends[2];

/* ---- What holds for any frame -------------------------------------------- */

static void check_counters(const char *at, const struct dp_counters *before,
			   bool xdp, const struct lqos_packet *pkt)
{
	const struct dp_counters *now = datapath_counters(dp);
	uint64_t reasons = 0, reason = DP_RECEIVED;
	int i;

	if (now->count[DP_RECEIVED] - before->count[DP_RECEIVED] != xdp ||
	    now->count[DP_SENT] - before->count[DP_SENT] != !xdp)
		fail_msg("%s: not counted once", at);
	for (i = DP_NOT_IP; i <= DP_L4_OTHER; i++) {
		if (now->count[i] == before->count[i])
			continue;
		reasons += now->count[i] - before->count[i];
		reason = (uint64_t)i;
	}
	if (reasons > 1)
		fail_msg("%s: %lu reasons were counted", at, reasons);
	/* The reason and the descriptor tell the same. */
	if (!(pkt->flags & LQOS_PACKET_IP)) {
		if (reason < DP_NOT_IP || reason > DP_TAGS)
			fail_msg("%s: no address, and no reason", at);
	} else if (!pkt->l4_off) {
		if (reason < DP_EXTENSIONS)
			fail_msg("%s: no L4, and no reason", at);
	} else if (reasons) {
		fail_msg("%s: all is there, but reason %lu", at, reason);
	}
	if ((now->count[DP_UNKNOWN_HOST] != before->count[DP_UNKNOWN_HOST]) !=
	    ((pkt->flags & LQOS_PACKET_IP) && !pkt->slot))
		fail_msg("%s: unknown hosts are miscounted", at);
	if (!(pkt->flags & LQOS_PACKET_FRAGMENT) != (reason != DP_FRAGMENT))
		fail_msg("%s: a fragment that is none", at);
}

static void check_offsets(const char *at, const struct lqos_packet *pkt,
			  size_t len)
{
	size_t header = pkt->flags & LQOS_PACKET_IPV6 ? 40 : 20;

	if (pkt->magic != LQOS_PACKET_MAGIC ||
	    pkt->version != LQOS_PACKET_VERSION)
		fail_msg("%s: no descriptor", at);
	if (!(pkt->flags & LQOS_PACKET_IP)) {
		if (pkt->l3_off || pkt->l4_off || pkt->l4_proto || pkt->slot ||
		    pkt->handle || pkt->cpu != UINT16_MAX)
			fail_msg("%s: a descriptor of no IP packet that is not "
				 "empty",
				 at);
		return;
	}
	if (pkt->l3_off < ETHER || pkt->l3_off + header > len)
		fail_msg("%s: IP header at %u", at, pkt->l3_off);
	if (!pkt->l4_off)
		return;
	if (pkt->l4_off < pkt->l3_off + header ||
	    pkt->l4_off + (pkt->l4_proto == 6 ? 20U : 8U) > len)
		fail_msg("%s: L4 header at %u", at, pkt->l4_off);
	if (pkt->flags & LQOS_PACKET_FRAGMENT)
		fail_msg("%s: L4 of a fragment", at);
}

static void check_frame(const char *at, const struct bpf_program *prog,
			bool xdp, const uint8_t *frame, size_t len,
			struct lqos_packet *pkt)
{
	struct dp_counters before = *datapath_counters(dp);
	struct outcome out;
	int rc;

	rc = xdp ? run_xdp(prog, frame, len, NULL, &out)
		 : run_tc(prog, frame, len, &out);
	if (rc)
		fail_msg("%s: cannot run: %s", at, strerror(-rc));
	if (out.verdict != (xdp ? XDP_PASS : (uint32_t)TC_ACT_UNSPEC))
		fail_msg("%s: verdict %u", at, out.verdict);
	if (out.len != len || memcmp(out.frame, frame, len))
		fail_msg("%s: the packet was changed", at);
	*pkt = out.pkt;
	if (!xdp)
		assert_int_equal(datapath_scratch(dp, pkt), 0);
	check_offsets(at, pkt, len);
	check_counters(at, &before, xdp, pkt);
}

/* Both ways in, and both ways out. */
static void check_everywhere(const char *what, const uint8_t *frame, size_t len,
			     struct lqos_packet *pkt)
{
	const struct {
		const char *name;
		const struct bpf_program *prog;
		bool xdp;
	} ways[] = {
		{"lq_to_subs", dp->skel->progs.lq_to_subs, false},
		{"lq_to_inet", dp->skel->progs.lq_to_inet, false},
		{"lq_from_subs", dp->skel->progs.lq_from_subs, true},
		{"lq_from_inet", dp->skel->progs.lq_from_inet, true},
	};
	struct lqos_packet each[ARRAY_SIZE(ways)];
	char at[256];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!ways[i].xdp && !run_tc_can(frame, len))
			continue;
		snprintf(at, sizeof(at), "%s, %zu bytes, %s", what, len,
			 ways[i].name);
		check_frame(at, ways[i].prog, ways[i].xdp, frame, len,
			    &each[i]);
	}
	*pkt = each[3];
}

/* ---- Cut packets --------------------------------------------------------- */

/* Whatever is found in a part of a packet is what is found in the whole. */
static void check_part(const char *at, const struct lqos_packet *part,
		       const struct lqos_packet *whole, size_t len)
{
	if (part->l4_off && part->l4_off != whole->l4_off)
		fail_msg("%s: cut at %zu its L4 is at %u, not at %u", at, len,
			 part->l4_off, whole->l4_off);
	if ((part->flags & LQOS_PACKET_IP) && part->l3_off != whole->l3_off)
		fail_msg("%s: cut at %zu its L3 is at %u, not at %u", at, len,
			 part->l3_off, whole->l3_off);
	if ((part->flags & LQOS_PACKET_IP) && part->cpu != whole->cpu)
		fail_msg("%s: cut at %zu it goes elsewhere", at, len);
}

static void check_cuts(const char *name, const struct packet *p)
{
	/* Beyond the headers all lengths are alike. */
	size_t most = p->len < 220 ? p->len : 220, len;
	struct lqos_packet whole, part;

	check_everywhere(name, p->data, p->len, &whole);
	for (len = ETHER; len < most; len++) {
		check_everywhere(name, p->data, len, &part);
		check_part(name, &part, &whole, len);
	}
}

static void test_cut_payloads(void **state)
{
	uint32_t layers[PACKET_LAYERS];
	struct packet p;
	char name[128];
	size_t i, j;
	int ipv6;

	(void)state;
	for (i = 0; i < n_payloads; i++) {
		for (j = 0; j < n_encapsulations; j++) {
			/* Each payload in a few, each of them with some. */
			if (j && (i + j) % 6)
				continue;
			case_layers(&encapsulations[j], payloads[i].layers,
				    layers);
			for (ipv6 = 0; ipv6 < 2; ipv6++) {
				if (!(payloads[i].families &
				      (ipv6 ? CASE_IPV6 : CASE_IPV4)))
					continue;
				snprintf(name, sizeof(name), "%s, %s, IPv%c",
					 encapsulations[j].name,
					 payloads[i].name, ipv6 ? '6' : '4');
				packet_build(&p, &ends[ipv6], layers);
				check_cuts(name, &p);
			}
		}
	}
}

static void test_cut_strangers(void **state)
{
	struct packet p;
	size_t i;

	(void)state;
	for (i = 0; i < n_strangers; i++) {
		packet_build(&p, &ends[i % 2], strangers[i].layers);
		check_cuts(strangers[i].name, &p);
	}
}

/* ---- Noise --------------------------------------------------------------- */

/* SplitMix64 (Steele and others): the same noise in every run. */
static uint64_t noise_state;

static uint64_t noise(void)
{
	uint64_t x = noise_state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* What follows Ethernet's addresses: types, and all that leads far in. */
static const struct {
	const char *name;
	uint8_t len;
	uint8_t bytes[16];
} starts[] = {
	{"anything", 0, {0}},
	{"802.1Q", 2, {0x81, 0x00}},
	{"802.1ad", 2, {0x88, 0xa8}},
	{"QinQ", 2, {0x91, 0x00}},
	{"PPPoE", 2, {0x88, 0x64}},
	{"PPPoE session, IPv4",
	 11,
	 {0x88, 0x64, 0x11, 0, 0, 1, 0, 40, 0, 0x21, 0x45}},
	{"PPPoE session, IPv6",
	 11,
	 {0x88, 0x64, 0x11, 0, 0, 1, 0, 40, 0, 0x57, 0x60}},
	{"MPLS", 2, {0x88, 0x47}},
	{"MPLS, bottom", 6, {0x88, 0x47, 0, 0, 1, 64}},
	{"4 tags",
	 16,
	 {0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 1, 0x81, 0, 0, 1}},
	{"tag, IPv4", 7, {0x81, 0, 0, 1, 0x08, 0, 0x45}},
	{"IPv4", 2, {0x08, 0x00}},
	{"IPv4, version 4", 3, {0x08, 0x00, 0x46}},
	{"IPv6", 2, {0x86, 0xdd}},
	{"IPv6, hop-by-hop", 9, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 0}},
	{"IPv6, routing", 9, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 43}},
	{"IPv6, fragment", 9, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 44}},
	{"IPv6, AH", 9, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 51}},
};

static void test_noise(void **state)
{
	uint8_t frame[NOISE_MAX];
	struct lqos_packet pkt;
	char at[128];
	size_t i, j, len;
	int seed;

	(void)state;
	for (seed = 0; seed < SEEDS; seed++) {
		noise_state = (uint64_t)seed;
		for (i = 0; i < ARRAY_SIZE(starts); i++) {
			snprintf(at, sizeof(at), "noise %d, %s", seed,
				 starts[i].name);
			for (len = ETHER; len <= NOISE_MAX; len++) {
				for (j = 0; j < len; j++)
					frame[j] = (uint8_t)noise();
				for (j = 0; j < starts[i].len && 12 + j < len;
				     j++)
					frame[12 + j] = starts[i].bytes[j];
				check_everywhere(at, frame, len, &pkt);
			}
		}
	}
}

/* IPv6 headers in which each further header is one that is followed. */
static void test_noise_extensions(void **state)
{
	static const uint8_t protos[] = {0, 43, 44, 51, 60, 135, 6, 17, 58, 59};
	uint8_t frame[NOISE_MAX];
	struct lqos_packet pkt;
	char at[64];
	size_t j, len;
	int seed;

	(void)state;
	for (seed = 0; seed < 10 * SEEDS; seed++) {
		noise_state = (uint64_t)seed + 1000;
		snprintf(at, sizeof(at), "extensions %d", seed);
		memset(frame, 0, sizeof(frame));
		frame[12] = 0x86;
		frame[13] = 0xdd;
		frame[14] = 0x60;
		frame[20] = protos[noise() % 6];
		for (j = 54; j + 8 <= NOISE_MAX; j += 8) {
			frame[j] = protos[noise() % ARRAY_SIZE(protos)];
			frame[j + 1] = noise() % 4 ? 0 : (uint8_t)(noise() % 5);
			frame[j + 3] = noise() % 8 ? 0 : (uint8_t)noise();
		}
		for (len = 54; len <= NOISE_MAX; len++)
			check_everywhere(at, frame, len, &pkt);
	}
}

static int set_up(void **state)
{
	(void)state;
	packet_ends_set(&ends[false], "198.51.100.7", "100.64.1.2");
	packet_ends_set(&ends[true], "2001:db8:ffff::7:1", "2001:db8:1:2::3:4");
	/* One interface: what leaves is met at egress first, and counted. */
	if (datapath_new(&dp,
			 &(struct datapath_knobs){.one_interface = true}) ||
	    datapath_own(dp, "100.64.0.0/10", 1, 0x10003, 0) ||
	    datapath_own(dp, "2001:db8:1::/48", 2, 0x20004, 1))
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	datapath_free(&dp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_payloads),
		cmocka_unit_test(test_cut_strangers),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_noise_extensions),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("truncated", tests, set_up,
						  tear_down);
}
