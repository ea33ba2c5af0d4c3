/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bridge of our own, VLANs on a stick, and bypass. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "tests/bpf/cases.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"

enum { ETHER = 14, PEER = 4711, SLOT = 7, PASS = (uint32_t)TC_ACT_UNSPEC };

static struct datapath *dp;
static struct packet_ends ends;

static uint64_t counted(enum dp_counter which)
{
	return datapath_counters(dp)->count[which];
}

/* What is received on the loopback interface leaves by peer. */
static void set_port(uint32_t ifindex, uint32_t peer)
{
	dp->skel->bss->dp_ports[DP_PORTS - 1] =
		(struct dp_port){.ifindex = ifindex, .peer = peer};
}

static struct packet frame(const uint32_t *layers)
{
	struct packet p;

	packet_build(&p, &ends, layers);
	return p;
}

static void set_tci(struct packet *p, uint32_t tci)
{
	p->data[ETHER] = (uint8_t)(tci >> 8);
	p->data[ETHER + 1] = (uint8_t)tci;
}

static uint32_t forward(const struct packet *p, struct outcome *out)
{
	assert_int_equal(
		run_tc(dp->skel->progs.lq_forward, p->data, p->len, out), 0);
	assert_int_equal(out->len, p->len);
	return out->verdict;
}

/* A wire carries everything. */
static void test_wire(void **state)
{
	uint32_t layers[PACKET_LAYERS];
	struct outcome out;
	uint64_t sent = 0;
	struct packet p;
	size_t i, j;

	(void)state;
	set_port(LOOPBACK_IFINDEX, PEER);
	for (i = 0; i < n_encapsulations; i++)
		for (j = 0; j < n_payloads; j++) {
			if (!(payloads[j].families & CASE_IPV4))
				continue;
			case_layers(&encapsulations[i], payloads[j].layers,
				    layers);
			p = frame(layers);
			if (!run_tc_can(p.data, p.len))
				continue;
			assert_int_equal(forward(&p, &out), TC_ACT_REDIRECT);
			assert_memory_equal(out.frame, p.data, p.len);
			assert_int_equal(counted(DP_FORWARDED), ++sent);
		}
	for (i = 0; i < n_strangers; i++) {
		p = frame(strangers[i].layers);
		if (!run_tc_can(p.data, p.len))
			continue;
		assert_int_equal(forward(&p, &out), TC_ACT_REDIRECT);
		assert_memory_equal(out.frame, p.data, p.len);
		assert_int_equal(counted(DP_FORWARDED), ++sent);
	}
	assert_int_equal(counted(DP_NO_PEER), 0);
}

static void test_no_peer(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP};
	const struct packet p = frame(layers);
	struct outcome out;

	(void)state;
	set_port(LOOPBACK_IFINDEX, 0); /* it is gone */
	assert_int_equal(forward(&p, &out), PASS);
	set_port(LOOPBACK_IFINDEX + 1, PEER); /* another interface's */
	assert_int_equal(forward(&p, &out), PASS);
	assert_int_equal(counted(DP_NO_PEER), 2);
	assert_int_equal(counted(DP_FORWARDED), 0);
	assert_memory_equal(out.frame, p.data, p.len);
}

/* The outer VLAN id is swapped, and not a bit besides. */
static void test_swap(void **state)
{
	static const uint32_t tpids[] = {0x8100, 0x88a8, 0x9100};
	const uint32_t vids[] = {DATAPATH_INET_VID, DATAPATH_SUBS_VID};
	struct outcome out;
	uint64_t sent = 0;
	uint32_t bits;
	size_t i, way;

	(void)state;
	set_port(LOOPBACK_IFINDEX, LOOPBACK_IFINDEX);
	for (i = 0; i < ARRAY_SIZE(tpids); i++)
		for (way = 0; way < 2; way++)
			for (bits = 0; bits < 16; bits++) {
				const uint32_t layers[PACKET_LAYERS] = {
					P_TAG(tpids[i]), P_VLAN, P_IP, P_UDP};
				struct packet p = frame(layers);

				set_tci(&p, bits << 12 | vids[way]);
				assert_int_equal(forward(&p, &out),
						 TC_ACT_REDIRECT);
				set_tci(&p, bits << 12 | vids[!way]);
				assert_memory_equal(out.frame, p.data, p.len);
				assert_int_equal(counted(DP_FORWARDED), ++sent);
			}
}

/* Of no pair: the kernel's, and untouched by XDP too. */
static void check_left(const struct packet *p)
{
	uint64_t no_pair = counted(DP_NO_PAIR);
	struct lqos_packet pkt;
	struct outcome out;

	assert_int_equal(forward(p, &out), PASS);
	assert_memory_equal(out.frame, p->data, p->len);
	assert_int_equal(counted(DP_FORWARDED), 0);
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_stick, p->data, p->len,
				 NULL, &out),
			 0);
	assert_int_equal(out.verdict, XDP_PASS);
	assert_false(out.described);
	assert_memory_equal(out.frame, p->data, p->len);
	assert_int_equal(counted(DP_NO_PAIR), no_pair + 1);
	/* On its way out it is nobody's, whoever had the one before. */
	assert_int_equal(
		run_tc(dp->skel->progs.lq_to_stick, p->data, p->len, &out), 0);
	assert_int_equal(datapath_scratch(dp, &pkt), 0);
	assert_int_equal(pkt.magic, LQOS_PACKET_MAGIC);
	assert_int_equal(pkt.flags, 0);
	assert_int_equal(pkt.slot, 0);
	assert_int_equal(pkt.handle, 0);
}

static void test_no_pair(void **state)
{
	static const uint32_t tcis[] = {0, 1, 99, 101, 3199, 4095, 0xf000};
	const uint32_t plain[PACKET_LAYERS] = {P_IP, P_UDP};
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};
	const uint32_t tags[PACKET_LAYERS] = {P_SVLAN, P_VLAN, P_IP, P_UDP};
	struct packet p = frame(plain);
	size_t i;

	(void)state;
	set_port(LOOPBACK_IFINDEX, LOOPBACK_IFINDEX);
	check_left(&p);
	p = frame(arp);
	check_left(&p);
	/* What the inner tag says is of no interest. */
	p = frame(tags);
	p.data[ETHER + 4] = DATAPATH_INET_VID >> 8;
	p.data[ETHER + 5] = DATAPATH_INET_VID & 0xff;
	for (i = 0; i < ARRAY_SIZE(tcis); i++) {
		set_tci(&p, tcis[i]);
		check_left(&p);
	}
}

/* ---- Bypass ---------------------------------------------------------------
 */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void check_bypassed(const struct packet *p, bool bypassed)
{
	const struct bpf_program *const entries[] = {
		dp->skel->progs.lq_from_inet, dp->skel->progs.lq_from_subs};
	const struct bpf_program *const exits[] = {dp->skel->progs.lq_to_inet,
						   dp->skel->progs.lq_to_subs};
	uint64_t before, parsed;
	struct lqos_packet pkt;
	struct outcome out;
	int i;

	for (i = 0; i < 2; i++) {
		before = counted(DP_BYPASSED);
		assert_int_equal(
			run_xdp(entries[i], p->data, p->len, NULL, &out), 0);
		assert_int_equal(out.verdict, XDP_PASS);
		assert_int_equal(out.described, !bypassed);
		assert_memory_equal(out.frame, p->data, p->len);
		assert_int_equal(counted(DP_BYPASSED) - before, bypassed);

		parsed = counted(DP_SENT_PARSED);
		assert_int_equal(datapath_clear_scratch(dp), 0);
		assert_int_equal(run_tc(exits[i], p->data, p->len, &out), 0);
		assert_int_equal(out.verdict, PASS);
		assert_int_equal(datapath_scratch(dp, &pkt), 0);
		assert_int_equal(pkt.magic, bypassed ? 0 : LQOS_PACKET_MAGIC);
		assert_int_equal(counted(DP_SENT_PARSED) - parsed, !bypassed);
	}
}

static void test_bypass(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_VLAN, P_IP, P_UDP};
	const struct packet p = frame(layers);
	struct outcome out;

	(void)state;
	set_port(LOOPBACK_IFINDEX, PEER);
	check_bypassed(&p, false);
	dp->skel->bss->dp_bypass = now_ns() + 60000000000;
	check_bypassed(&p, true);
	/* The bridge of our own is no part of it. */
	assert_int_equal(forward(&p, &out), TC_ACT_REDIRECT);
	/* It ends by itself: nobody writes anything. */
	dp->skel->bss->dp_bypass = now_ns() + 50000000;
	check_bypassed(&p, true);
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	check_bypassed(&p, false);
	dp->skel->bss->dp_bypass = 0;
	check_bypassed(&p, false);
}

/* ---- Set-up ---------------------------------------------------------------
 */

static int pair(void **state)
{
	(void)state;
	packet_ends_set(&ends, "100.64.1.2", "198.51.100.7");
	return datapath_new(&dp, NULL);
}

static int stick(void **state)
{
	(void)state;
	packet_ends_set(&ends, "100.64.1.2", "198.51.100.7");
	return datapath_new(&dp, &(struct datapath_knobs){.stick = true})
		       ?: datapath_own(dp, "0.0.0.0/0", SLOT, 0x10007, 1);
}

static int gone(void **state)
{
	(void)state;
	datapath_free(&dp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wire, pair, gone),
		cmocka_unit_test_setup_teardown(test_no_peer, pair, gone),
		cmocka_unit_test_setup_teardown(test_swap, stick, gone),
		cmocka_unit_test_setup_teardown(test_no_pair, stick, gone),
		cmocka_unit_test_setup_teardown(test_bypass, pair, gone),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
