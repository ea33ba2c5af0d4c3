/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which packets are of one flow, which of none, and when a flow is another. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bpf/flowtable.h"
#include "tests/bpf/probe.h"

#include "bpf/datapath.skel.h"
#include "tests/bpf/probe.skel.h"

enum { ALICE = 5, BOB = 9, FLOWS = 1024 };

static struct datapath *dp;
static struct probe_bpf *probe;

static int load(const struct datapath_knobs *knobs)
{
	int rc = datapath_new(&dp, knobs);

	if (rc)
		return rc;
	probe = probe_bpf__open();
	if (!probe)
		return -1;
	probe->rodata->lqos_self = 1;
	rc = datapath_bind(dp, probe->obj) ?: probe_bpf__load(probe);
	if (rc)
		return rc;
	return conn_wire(dp, knobs->one_interface ? probe->progs.probe_see_tc
						  : probe->progs.probe_see)
		       ?: datapath_own(dp, "10.0.0.1/32", ALICE, 0x10003, 0)
		       ?: datapath_own(dp, "10.0.0.2/32", BOB, 0x10004, 0)
		       ?: datapath_own(dp, "2001:db8:1::/48", ALICE, 0x10003,
				       0);
}

static int load_plain(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){.flows = FLOWS, .seed = 1});
}

static int load_no_metadata(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){
		.flows = FLOWS, .seed = 2, .no_metadata = true});
}

static int load_one_interface(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){
		.flows = FLOWS, .seed = 3, .one_interface = true});
}

static int load_spaces(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){
		.flows = FLOWS, .seed = 4, .address_spaces = true});
}

static int unload(void **state)
{
	(void)state;
	probe_bpf__destroy(probe);
	probe = NULL;
	datapath_free(&dp);
	return 0;
}

/* What the observer has in its hands, which must be the descriptor's. */
static struct lqos_packet pass(const struct conn *c, const struct sent *s)
{
	struct lqos_packet pkt = conn_pass(dp, c, s), seen;
	uint32_t zero = 0;
	struct probe_view view;

	assert_int_equal(bpf_map__lookup_elem(probe->maps.probe_views, &zero,
					      sizeof(zero), &view, sizeof(view),
					      0),
			 0);
	seen = view.pkt;
	assert_memory_equal(&seen, &pkt, sizeof(seen));
	return pkt;
}

static const struct sent up = {.way = LQOS_UP, .flags = ACK, .len = 100};
static const struct sent down = {.way = LQOS_DOWN, .flags = ACK, .len = 100};

static struct sent tcp(enum lqos_direction way, uint8_t flags, uint32_t seq)
{
	return (struct sent){.way = way, .flags = flags, .seq = seq};
}

static uint64_t count(enum dp_flow_counter which)
{
	return table_count(dp, which);
}

/* ---- Which flow ---------------------------------------------------------- */

static const struct conn kinds[] = {
	{"10.0.0.1", "192.0.2.1", 50000, 443, CONN_TCP, 0, false},
	{"10.0.0.1", "192.0.2.1", 50000, 443, CONN_UDP, 0, false},
	{"10.0.0.1", "192.0.2.1", 50000, 0, CONN_ICMP, 0, false},
	{"10.0.0.2", "192.0.2.1", 50000, 443, CONN_TCP, 7, false},
	{"10.0.0.2", "192.0.2.1", 50000, 443, CONN_UDP, 7, true},
	{"2001:db8:1::9", "2001:db8:ffff::1", 1, 443, CONN_TCP, 0, true},
	{"2001:db8:1::9", "2001:db8:ffff::1", 1, 443, CONN_UDP, 9, false},
	{"2001:db8:1::9", "2001:db8:ffff::1", 1, 0, CONN_ICMPV6, 0, false},
};

static struct sent answer(const struct conn *c)
{
	struct sent s = down;

	if (c->proto == CONN_ICMP || c->proto == CONN_ICMPV6)
		s.icmp = CONN_ECHO_REPLY;
	return s;
}

static void test_both_ways(void **state)
{
	struct lqos_packet first[ARRAY_SIZE(kinds)], again;
	const struct lqos_flow *f;
	struct lqos_flow_key key;
	struct sent back;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		first[i] = pass(&kinds[i], &up);
		/* Densely, from the first on. */
		assert_int_equal(first[i].flow, i + 1);
		assert_int_not_equal(first[i].generation, 0);
		f = datapath_flow(dp, first[i].flow);
		assert_int_equal(f->way[LQOS_UP], LQOS_FLOW_SEEN);
		assert_int_equal(f->way[LQOS_DOWN], 0);
	}
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		back = answer(&kinds[i]);
		again = pass(&kinds[i], &back);
		assert_int_equal(again.flow, first[i].flow);
		assert_int_equal(again.generation, first[i].generation);
		again = pass(&kinds[i], &up);
		assert_int_equal(again.flow, first[i].flow);
		assert_int_equal(again.generation, first[i].generation);

		f = datapath_flow(dp, first[i].flow);
		key = table_key(&kinds[i]);
		assert_memory_equal(&f->key, &key, sizeof(key));
		assert_int_equal(f->slot, i == 3 || i == 4 ? BOB : ALICE);
		assert_int_equal(f->generation, first[i].generation);
		assert_int_equal(f->used, 1);
		assert_int_equal(f->way[LQOS_UP], LQOS_FLOW_SEEN);
		assert_int_equal(f->way[LQOS_DOWN], LQOS_FLOW_SEEN);
		assert_in_range(conn_now() - f->last_seen, 0, 1000000000);
	}
	assert_int_equal(count(DP_FLOW_OPENED), ARRAY_SIZE(kinds));
	assert_int_equal(table_check(dp), ARRAY_SIZE(kinds));
}

/* One thing differs, and it is another flow. */
static void test_different(void **state)
{
	static const struct conn all[] = {
		{"10.0.0.1", "192.0.2.1", 50000, 443, CONN_TCP, 0, false},
		{"10.0.0.2", "192.0.2.1", 50000, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.2", 50000, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 50001, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 50000, 444, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 443, 50000, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 50000, 443, CONN_UDP, 0, false},
		{"192.0.2.1", "10.0.0.1", 50000, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 1, 0, CONN_ICMP, 0, false},
		{"10.0.0.1", "192.0.2.1", 2, 0, CONN_ICMP, 0, false},
		{"2001:db8:1::1", "2001:db8:f::1", 1, 2, CONN_TCP, 0, false},
		{"2001:db8:1::2", "2001:db8:f::1", 1, 2, CONN_TCP, 0, false},
		{"2001:db8:1:1::1", "2001:db8:f::1", 1, 2, CONN_TCP, 0, false},
		{"2001:db8:1::1", "2001:db8:e::1", 1, 2, CONN_TCP, 0, false},
		{"2001:db8:1::1", "2001:db8:f::2", 1, 2, CONN_TCP, 0, false},
	};
	uint32_t flow[ARRAY_SIZE(all)];
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		flow[i] = pass(&all[i], &up).flow;
		assert_int_not_equal(flow[i], 0);
		for (j = 0; j < i; j++)
			assert_int_not_equal(flow[i], flow[j]);
	}
	for (i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(pass(&all[i], &up).flow, flow[i]);
	assert_int_equal(table_check(dp), ARRAY_SIZE(all));
}

static const struct conn one = {"10.0.0.1", "192.0.2.1", 50000, 443,
				CONN_TCP,   100,	 false};
static const struct conn other = {"10.0.0.1", "192.0.2.1", 50000, 443,
				  CONN_TCP,   200,	   false};

/* Without spaces a tag is no part of it: asymmetric ones are common. */
static void test_tags(void **state)
{
	uint32_t flow;

	(void)state;
	flow = pass(&one, &up).flow;
	assert_int_not_equal(flow, 0);
	assert_int_equal(pass(&other, &down).flow, flow);
	assert_int_equal(datapath_flow(dp, flow)->key.space, 0);
}

static void test_spaces(void **state)
{
	uint32_t a, b;

	(void)state;
	a = pass(&one, &up).flow;
	b = pass(&other, &up).flow;
	assert_true(a && b && a != b);
	assert_int_equal(pass(&one, &down).flow, a);
	assert_int_equal(pass(&other, &down).flow, b);
	assert_int_equal(datapath_flow(dp, a)->key.space, 100);
	assert_int_equal(datapath_flow(dp, b)->key.space, 200);
}

/* ---- None ---------------------------------------------------------------- */

static void no_flow(const char *src, const char *dst, const uint32_t *layers)
{
	struct packet_ends ends;
	struct lqos_packet pkt;
	struct packet p;

	packet_ends_set(&ends, src, dst);
	packet_build(&p, &ends, layers);
	pkt = conn_pass_frame(dp, LQOS_DOWN, &p, 0);
	assert_int_equal(pkt.flow, 0);
	assert_int_equal(pkt.generation, 0);
}

static void test_none(void **state)
{
	static const uint32_t none[][PACKET_LAYERS] = {
		{P_IP, P_FRAGMENT(PACKET_FIRST), P_UDP, P_DATA(64)},
		{P_IP, P_FRAGMENT(PACKET_MIDDLE), P_PROTO(17), P_DATA(64)},
		{P_IP, P_FRAGMENT(PACKET_LAST), P_PROTO(6), P_DATA(64)},
		{P_IP, P_PROTO(47), P_DATA(64)},
		{P_IP, P_PROTO(50), P_DATA(64)},
		{P_IP, P_PROTO(132), P_DATA(64)},
		{P_IP, P_PROTO(6), P_DATA(12)},
		{P_IP, P_PROTO(17), P_DATA(4)},
	};
	static const uint8_t errors4[] = {3, 4, 5, 9, 11, 12, 13, 17, 128, 129},
			     errors6[] = {1, 2, 3, 4, 133, 135, 136, 130, 8};
	struct conn c = {.subs = "10.0.0.1",
			 .remote = "192.0.2.1",
			 .subs_port = 1,
			 .proto = CONN_ICMP};
	struct sent s = {.way = LQOS_DOWN, .len = 64};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		no_flow("192.0.2.1", "10.0.0.1", none[i]);
		no_flow("2001:db8:f::1", "2001:db8:1::1", none[i]);
	}
	for (i = 0; i < ARRAY_SIZE(errors4); i++) {
		s.icmp = errors4[i];
		assert_int_equal(pass(&c, &s).flow, 0);
	}
	c = (struct conn){.subs = "2001:db8:1::1",
			  .remote = "2001:db8:f::1",
			  .subs_port = 1,
			  .proto = CONN_ICMPV6};
	for (i = 0; i < ARRAY_SIZE(errors6); i++) {
		s.icmp = errors6[i];
		assert_int_equal(pass(&c, &s).flow, 0);
	}
	assert_int_equal(table_check(dp), 0);
	assert_int_equal(count(DP_FLOW_BUSY), 0);
}

static void test_turns_open_none(void **state)
{
	static const uint8_t flags[] = {SYN,	   SYN | ACK, FIN,
					FIN | ACK, RST,	      RST | ACK,
					SYN | FIN, SYN | RST, 0x3f};
	struct conn c = kinds[0];
	struct sent s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		s = tcp(i % 2 ? LQOS_UP : LQOS_DOWN, flags[i], 1000);
		assert_int_equal(pass(&c, &s).flow, 0);
		s.len = 10;
		assert_int_equal(pass(&c, &s).flow, 0);
	}
	assert_int_equal(table_check(dp), 0);
	/* The packet behind them does. */
	assert_int_not_equal(pass(&c, &up).flow, 0);
	assert_int_equal(table_check(dp), 1);
}

/* ---- Turns --------------------------------------------------------------- */

/* Opens kinds[0] in both ways. */
static struct lqos_packet live(void)
{
	struct lqos_packet pkt = pass(&kinds[0], &up);

	assert_int_not_equal(pkt.flow, 0);
	pass(&kinds[0], &down);
	return pkt;
}

static struct lqos_packet send(enum lqos_direction way, uint8_t flags,
			       uint32_t seq)
{
	struct sent s = tcp(way, flags, seq);

	return pass(&kinds[0], &s);
}

static void same(struct lqos_packet a, struct lqos_packet b)
{
	assert_int_equal(a.flow, b.flow);
	assert_int_equal(a.generation, b.generation);
}

/* Ports are used again: the flow begins anew with what continues the SYN. */
static void test_port_reuse(void **state)
{
	struct lqos_packet old, now;
	uint32_t syn_ack;

	(void)state;
	old = live();
	same(send(LQOS_UP, SYN, 5000), old);
	syn_ack = send(LQOS_DOWN, SYN | ACK, 9000).generation;
	assert_int_equal(syn_ack, old.generation);
	assert_int_equal(count(DP_FLOW_RESTARTED), 0);
	now = send(LQOS_UP, ACK, 5001);
	assert_int_equal(now.flow, old.flow);
	assert_int_not_equal(now.generation, old.generation);
	assert_int_equal(count(DP_FLOW_RESTARTED), 1);
	/* Only once, and for both ways. */
	same(send(LQOS_DOWN, ACK, 9001), now);
	same(send(LQOS_UP, ACK, 5001), now);
	same(send(LQOS_UP, ACK, 5002), now);
	assert_int_equal(count(DP_FLOW_RESTARTED), 1);
	assert_int_equal(table_check(dp), 1);
	assert_int_equal(datapath_flow(dp, now.flow)->way[0], LQOS_FLOW_SEEN);
	assert_int_equal(datapath_flow(dp, now.flow)->way[1], LQOS_FLOW_SEEN);
}

/* From the internet's side too, and across the wrap. */
static void test_port_reuse_down(void **state)
{
	struct lqos_packet old, now;

	(void)state;
	old = live();
	same(send(LQOS_DOWN, SYN, UINT32_MAX), old);
	now = send(LQOS_DOWN, ACK, 0);
	assert_int_equal(now.flow, old.flow);
	assert_int_not_equal(now.generation, old.generation);
}

static void test_forged_syn(void **state)
{
	struct lqos_packet old;

	(void)state;
	old = live();
	same(send(LQOS_UP, SYN, 77), old);
	same(send(LQOS_DOWN, SYN, 78), old);
	same(send(LQOS_DOWN, ACK, 2000), old);
	same(send(LQOS_UP, ACK, 3000), old);
	/* Too late: that SYN is forgotten. */
	same(send(LQOS_UP, ACK, 78), old);
	same(send(LQOS_DOWN, ACK, 79), old);
	assert_int_equal(count(DP_FLOW_RESTARTED), 0);
	assert_int_equal(count(DP_FLOW_CLOSED), 0);
}

static void test_closed(void **state)
{
	struct lqos_packet old, now;

	(void)state;
	old = live();
	same(send(LQOS_UP, FIN | ACK, 100), old);
	assert_int_equal(count(DP_FLOW_CLOSED), 0);
	same(send(LQOS_UP, FIN | ACK, 100), old); /* sent again */
	assert_int_equal(count(DP_FLOW_CLOSED), 0);
	same(send(LQOS_DOWN, ACK, 500), old);
	same(send(LQOS_DOWN, FIN | ACK, 500), old);
	assert_int_equal(count(DP_FLOW_CLOSED), 1);
	/* The last ACK, and whatever else comes late. */
	same(send(LQOS_UP, ACK, 101), old);
	same(send(LQOS_DOWN, FIN | ACK, 500), old);
	same(send(LQOS_DOWN, RST, 501), old);
	assert_int_equal(count(DP_FLOW_CLOSED), 1);
	assert_int_equal(count(DP_FLOW_OPENED), 1);
	assert_int_equal(count(DP_FLOW_RESTARTED), 0);
	/* Until it is another's. */
	same(send(LQOS_UP, SYN, 70000), old);
	now = send(LQOS_UP, ACK, 70001);
	assert_int_equal(now.flow, old.flow);
	assert_int_not_equal(now.generation, old.generation);
	send(LQOS_DOWN, RST, 1);
	assert_int_equal(count(DP_FLOW_CLOSED), 2);
	assert_int_equal(table_check(dp), 1);
}

/* A reset that neither end sent: whose it was said to be goes on. */
static void test_forged_reset(void **state)
{
	struct lqos_packet old;

	(void)state;
	old = live();
	same(send(LQOS_DOWN, RST, 12345), old);
	assert_true(datapath_flow(dp, old.flow)->way[LQOS_DOWN] &
		    LQOS_FLOW_RST);
	assert_int_equal(count(DP_FLOW_CLOSED), 1);
	/* What the other end sends says nothing. */
	same(send(LQOS_UP, ACK, 2000), old);
	assert_true(datapath_flow(dp, old.flow)->way[LQOS_DOWN] &
		    LQOS_FLOW_RST);
	same(send(LQOS_DOWN, ACK, 3000), old);
	assert_int_equal(datapath_flow(dp, old.flow)->way[LQOS_DOWN],
			 LQOS_FLOW_SEEN);
	/* And its own is a reset again. */
	same(send(LQOS_DOWN, RST | ACK, 3000), old);
	assert_int_equal(count(DP_FLOW_CLOSED), 2);
	assert_int_equal(count(DP_FLOW_RESTARTED), 0);
}

/* A flow that ends as it begins: its first packet had a FIN. */
static void test_late(void **state)
{
	(void)state;
	live();
	send(LQOS_UP, FIN | ACK, 10);
	send(LQOS_DOWN, FIN | ACK, 10);
	assert_int_equal(send(LQOS_UP, ACK, 11).flow, 1);
	assert_int_equal(count(DP_FLOW_OPENED), 1);
}

#define IN(test_, how_)                                             \
	{                                                           \
#test_ ", " #how_, test_, load_##how_, unload, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN(test_both_ways, plain),
		IN(test_both_ways, no_metadata),
		IN(test_both_ways, one_interface),
		IN(test_different, plain),
		IN(test_different, one_interface),
		IN(test_tags, plain),
		IN(test_spaces, spaces),
		IN(test_none, plain),
		IN(test_none, one_interface),
		IN(test_turns_open_none, plain),
		IN(test_turns_open_none, no_metadata),
		IN(test_port_reuse, plain),
		IN(test_port_reuse, one_interface),
		IN(test_port_reuse_down, no_metadata),
		IN(test_forged_syn, plain),
		IN(test_forged_reset, plain),
		IN(test_closed, plain),
		IN(test_closed, one_interface),
		IN(test_late, plain),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("flow_table", tests, NULL,
						  NULL);
}
