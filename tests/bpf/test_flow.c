/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What fl_count makes of each flow: sums, retransmissions, marks, rates. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "bpf/flow.h"
#include "tests/bpf/flowtable.h"

#include "bpf/datapath.skel.h"
#include "bpf/flow.skel.h"

enum { ALICE = 5, FLOWS = 64, HEADERS4 = 14 + 20 + 20, CE = 3 };

static struct datapath *dp;
static struct flow_bpf *fl;
static struct ring_buffer *finals;
static struct fl_final final[8];
static int n_finals;

static struct conn four = {"10.0.0.1", "192.0.2.1", 50000, 443,
			   CONN_TCP,   0,	    false};
static const struct conn six = {
	"2001:db8:1::9", "2001:db8:f::1", 50000, 443, CONN_TCP, 0, false};

static int note(void *arg, void *data, size_t len)
{
	(void)arg;
	assert_int_equal(len, sizeof(struct fl_final));
	assert_true(n_finals < (int)ARRAY_SIZE(final));
	memcpy(&final[n_finals++], data, len);
	return 0;
}

static void unload(void)
{
	ring_buffer__free(finals);
	finals = NULL;
	flow_bpf__destroy(fl);
	fl = NULL;
	datapath_free(&dp);
}

enum how { PLAIN, SHARED, TC, ONE_BUCKET };

static int load(enum how how)
{
	const struct datapath_knobs knobs = {.one_interface = how == TC,
					     .flows = FLOWS,
					     .parts = sizeof(struct fl_flow),
					     .buckets = how == ONE_BUCKET,
					     .seed = 7};
	int rc = datapath_new(&dp, &knobs);

	if (rc)
		return rc;
	fl = flow_bpf__open();
	if (!fl)
		return -1;
	fl->rodata->lqos_self = 1;
	fl->rodata->lqos_shared = how == SHARED || how == TC;
	fl->rodata->lqos_flow_part = sizeof(struct lqos_flow);
	rc = bpf_map__set_max_entries(fl->maps.fl_slots, DATAPATH_SLOTS) ?:
	     bpf_map__set_max_entries(fl->maps.fl_lost, dp->cpus) ?:
	     datapath_bind(dp, fl->obj) ?:
	     flow_bpf__load(fl);
	if (rc)
		return rc;
	finals = ring_buffer__new(bpf_map__fd(fl->maps.fl_finals), note, NULL,
				  NULL);
	return conn_wire(dp, how == TC ? fl->progs.fl_count_tc
				       : fl->progs.fl_count) ?:
	       datapath_own(dp, "10.0.0.1/32", ALICE, 0, 0) ?:
	       datapath_own(dp, "2001:db8:1::/48", ALICE, 0, 0);
}

/* Loading takes longer than all else: once for those that follow each other;
 * each has another connection, and nothing is counted yet. */
static int ready(void **state)
{
	const enum how *how = *state;
	static enum how loaded;
	struct fl_tcp none = {};
	uint32_t slot = ALICE;
	int rc = 0;

	if (dp && loaded != *how)
		unload();
	if (!dp)
		rc = load(*how);
	loaded = *how;
	n_finals = 0;
	four.subs_port++;
	return rc
		       ?: bpf_map_update_elem(bpf_map__fd(fl->maps.fl_slots),
					      &slot, &none, BPF_ANY);
}

static int unload_last(void **state)
{
	(void)state;
	if (dp)
		unload();
	return 0;
}

static struct fl_half half_of(uint32_t flow, enum lqos_direction way)
{
	const struct fl_flow *counts =
		datapath_flow_part(dp, flow, sizeof(struct lqos_flow));

	return counts->half[way];
}

static struct fl_tcp slot_of(uint32_t slot)
{
	struct fl_tcp value;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(fl->maps.fl_slots),
					     &slot, &value),
			 0);
	return value;
}

/* A segment of `four`, downwards. */
static uint32_t data(uint32_t seq, uint32_t len)
{
	return conn_pass(dp, &four,
			 &(struct sent){.way = LQOS_DOWN,
					.flags = ACK,
					.seq = seq,
					.len = len})
		.flow;
}

static void expect(uint32_t flow, uint32_t retransmits, uint32_t reordered)
{
	struct fl_half half = half_of(flow, LQOS_DOWN);
	struct fl_tcp tcp = slot_of(ALICE);

	assert_int_equal(half.retransmits, retransmits);
	assert_int_equal(half.reordered, reordered);
	assert_int_equal(tcp.retransmits[LQOS_DOWN], retransmits);
	assert_int_equal(tcp.reordered[LQOS_DOWN], reordered);
	half = half_of(flow, LQOS_UP);
	assert_int_equal(half.retransmits, 0);
	assert_int_equal(tcp.retransmits[LQOS_UP], 0);
}

/* ---- Sums ---------------------------------------------------------------- */

static void test_sums(void **state)
{
	static const struct conn all[] = {
		{"10.0.0.1", "192.0.2.1", 1, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 1, 443, CONN_UDP, 9, true},
		{"2001:db8:1::9", "2001:db8:f::1", 1, 443, CONN_TCP, 9, false},
		{"10.9.9.9", "192.0.2.1", 1, 443, CONN_TCP, 0, false},
	};
	/* Ethernet, then all that is in front of the payload. */
	static const uint32_t headers[] = {14 + 20 + 20, 14 + 4 + 8 + 20 + 8,
					   14 + 4 + 40 + 20, 14 + 20 + 20};
	uint32_t i, j, flow = 0;
	struct fl_half half;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for (j = 0; j < 6; j++)
			flow = conn_pass(dp, &all[i],
					 &(struct sent){.way = j % 3 ? LQOS_DOWN
								     : LQOS_UP,
							.flags = ACK,
							.seq = 1000 * j,
							.len = 100 + j})
				       .flow;
		half = half_of(flow, LQOS_UP);
		assert_int_equal(half.packets, 2);
		assert_int_equal(half.bytes, 2 * headers[i] + 100 + 103);
		half = half_of(flow, LQOS_DOWN);
		assert_int_equal(half.packets, 4);
		assert_int_equal(half.bytes,
				 4 * headers[i] + 101 + 102 + 104 + 105);
		assert_int_equal(half.generation,
				 datapath_flow(dp, flow)->generation);
		assert_int_not_equal(half.opened, 0);
	}
	/* What is in no flow is nowhere. */
	conn_pass(dp, &all[0], &(struct sent){.flags = SYN, .len = 9});
	half = half_of(0, LQOS_DOWN);
	assert_int_equal(half.packets, 0);
}

/* Each packet as the wire will carry it. */
static void test_gso(void **state)
{
	struct sent s = {.way = LQOS_DOWN, .flags = ACK, .seq = 1, .len = 1450};
	struct fl_half half;
	uint32_t flow;

	(void)state;
	flow = conn_pass_gso(dp, &four, &s, 100).flow;
	half = half_of(flow, LQOS_DOWN);
	assert_int_equal(half.packets, 15);
	assert_int_equal(half.bytes, 15 * HEADERS4 + 1450);
	assert_int_equal(half.retransmits, 0);
	s.tos = CE;
	s.seq += s.len;
	conn_pass_gso(dp, &four, &s, 100);
	half = half_of(flow, LQOS_DOWN);
	assert_int_equal(half.packets, 30);
	assert_int_equal(half.ce, 15);
	assert_int_equal(half.retransmits, 0);
	assert_int_equal(slot_of(ALICE).ce[LQOS_DOWN], 15);
	/* All of it, as one. */
	conn_pass_gso(dp, &four, &s, 100);
	assert_int_equal(half_of(flow, LQOS_DOWN).retransmits, 1);
}

/* ---- Sent again ---------------------------------------------------------- */

static void test_in_order(void **state)
{
	uint32_t i, flow = 0;

	(void)state;
	for (i = 0; i < 50; i++)
		flow = data(i * 1000, 1000);
	/* ACKs and window updates are none. */
	data(50000, 0);
	data(50000, 0);
	data(49000, 0);
	expect(flow, 0, 0);
}

static void test_again(void **state)
{
	uint32_t flow;

	(void)state;
	data(1000, 1000);
	flow = data(2000, 1000);
	data(1000, 1000); /* all of it is old */
	expect(flow, 1, 0);
	data(2000, 1000); /* what ends where all does: a lost tail */
	expect(flow, 2, 0);
	data(2000, 1000);
	expect(flow, 3, 0);
	data(2500, 1000); /* old and new in one */
	expect(flow, 4, 0);
	data(3500, 1000);
	expect(flow, 4, 0);
	data(2600, 1900); /* more in one than before */
	expect(flow, 5, 0);
}

static void test_keep_alive(void **state)
{
	uint32_t flow;

	(void)state;
	flow = data(1000, 1000);
	data(1999, 0);
	data(1999, 1);
	data(1999, 1);
	expect(flow, 0, 0);
	/* One byte elsewhere is no keep-alive. */
	data(1500, 1);
	expect(flow, 1, 0);
}

static void test_reordered(void **state)
{
	uint32_t flow;

	(void)state;
	/* Within a tick: whoever is slow here tries once more. */
	data(1000, 1000);
	data(3000, 1000);
	flow = data(2000, 1000);
	expect(flow, 0, 1);
}

/* A hole that is filled a round trip later was lost before us. */
static void test_filled_later(void **state)
{
	uint32_t flow;

	(void)state;
	data(1000, 1000);
	data(3000, 1000);
	conn_sleep_ms(40);
	flow = data(2000, 1000);
	expect(flow, 1, 0);
	data(4000, 1000);
	expect(flow, 1, 0);
}

/* What is older than the hole cannot have been reordered into it. */
static void test_before_gap(void **state)
{
	uint32_t flow;

	(void)state;
	data(1000, 1000);
	data(3000, 1000);
	flow = data(1000, 1000);
	expect(flow, 1, 0);
}

static void test_wrap(void **state)
{
	uint32_t flow;

	(void)state;
	data(0xfffffc00, 1000);
	flow = data(0xfffffc00 + 1000, 1000);
	data(0xfffffc00 + 2000, 1000);
	expect(flow, 0, 0);
	data(0xfffffc00, 1000);
	expect(flow, 1, 0);
	data(0xfffffc00 + 1000, 1000);
	expect(flow, 2, 0);
}

/* Another connection, of which no SYN was seen: far away, nothing is lost. */
static void test_jump(void **state)
{
	uint32_t flow;

	(void)state;
	flow = data(1000, 1000);
	data(0x70000000, 1000);
	data(0x70000000 + 1000, 1000);
	expect(flow, 0, 0);
	data(1000, 1000);
	expect(flow, 0, 0);
}

static void test_port_reuse(void **state)
{
	struct sent s = {.way = LQOS_DOWN, .flags = SYN, .seq = 1000};
	struct fl_half half;
	uint32_t flow, first;

	(void)state;
	flow = data(500000, 1000);
	data(500000, 1000);
	expect(flow, 1, 0);
	first = half_of(flow, LQOS_DOWN).generation;
	conn_pass(dp, &four, &s);
	data(1001, 100);
	half = half_of(flow, LQOS_DOWN);
	assert_int_not_equal(half.generation, first);
	assert_int_equal(half.packets, 1);
	assert_int_equal(half.bytes, HEADERS4 + 100);
	assert_int_equal(half.retransmits, 0);
	/* What the subscriber had stays. */
	assert_int_equal(slot_of(ALICE).retransmits[LQOS_DOWN], 1);
	data(1001, 100);
	assert_int_equal(half_of(flow, LQOS_DOWN).retransmits, 1);
}

/* ---- Marks --------------------------------------------------------------- */

static void test_marks(void **state)
{
	const struct conn *conns[] = {&four, &six};
	static const uint8_t tos[] = {0xb8, 0xb9, 0x02, 0xbb, 0x03, 0xff};
	struct sent s = {.way = LQOS_UP, .flags = ACK, .len = 10};
	struct fl_half half;
	uint32_t flow, i, j;

	(void)state;
	for (i = 0; i < 2; i++) {
		for (j = 0; j < ARRAY_SIZE(tos); j++) {
			s.tos = tos[j];
			flow = conn_pass(dp, conns[i], &s).flow;
			s.seq += s.len;
			half = half_of(flow, LQOS_UP);
			assert_int_equal(half.tos, tos[j]);
			assert_int_equal(half.ce, j < 3 ? 0 : j - 2);
			assert_int_equal(!!(half.flags & FL_ECT), j > 0);
		}
		assert_int_equal(half_of(flow, LQOS_DOWN).ce, 0);
	}
	assert_int_equal(slot_of(ALICE).ce[LQOS_UP], 6);
	assert_int_equal(slot_of(ALICE).ce[LQOS_DOWN], 0);
}

/* ---- Rates, and sums of subscribers -------------------------------------- */

static uint32_t second(void)
{
	return (uint32_t)(conn_now() >> FL_SECOND_SHIFT);
}

/* To the beginning of one. */
static void await_second(void)
{
	uint32_t now = second();

	while (second() == now)
		conn_sleep_ms(2);
}

static void test_seconds(void **state)
{
	struct fl_half half;
	uint32_t flow, i, now;

	(void)state;
	await_second();
	now = second();
	for (i = 0; i < 10; i++)
		flow = data(i * 1000, 1000);
	half = half_of(flow, LQOS_DOWN);
	assert_int_equal(half.second, now);
	assert_int_equal(half.rate, 0);
	assert_int_equal((uint32_t)half.bytes - half.mark,
			 10 * (HEADERS4 + 1000));
	await_second();
	data(i * 1000, 500);
	half = half_of(flow, LQOS_DOWN);
	assert_int_equal(half.second, now + 1);
	/* The packet that begins a second is of that one. */
	assert_int_equal(half.rate, 10 * (HEADERS4 + 1000));
	assert_int_equal((uint32_t)half.bytes - half.mark, HEADERS4 + 500);
	/* Whoever was there before has counted, too. */
	assert_int_equal(slot_of(ALICE).packets[LQOS_DOWN], 10);
	assert_int_equal(slot_of(ALICE).packets[LQOS_UP], 0);
}

/* Connections may be over within a second: the share that was sent again is of
 * all. */
static void test_short_flows(void **state)
{
	struct sent s = {.way = LQOS_DOWN, .len = 100};
	struct conn c = four;
	uint32_t i;

	(void)state;
	await_second();
	for (i = 0; i < 20; i++) {
		c.subs_port = (uint16_t)(1000 + i);
		s.flags = ACK;
		s.seq = 1;
		conn_pass(dp, &c, &s);
		s.seq = 101;
		conn_pass(dp, &c, &s);
		s.flags = FIN | ACK;
		s.seq = 201;
		conn_pass(dp, &c, &s);
	}
	assert_int_equal(slot_of(ALICE).packets[LQOS_DOWN], 60);
	assert_int_equal(slot_of(ALICE).retransmits[LQOS_DOWN], 0);
}

/* ---- The last of a flow -------------------------------------------------- */

static void evict(uint32_t from)
{
	struct conn c = four;
	uint32_t i;

	for (i = 0; i < DP_WAYS; i++) {
		c.subs_port = (uint16_t)(from + i);
		conn_pass(dp, &c,
			  &(struct sent){.way = LQOS_DOWN, .flags = ACK});
		conn_sleep_ms(11);
	}
}

static void test_final(void **state)
{
	uint32_t flow, generation;

	(void)state;
	fl->bss->fl_watched = 1;
	data(1000, 1000);
	flow = data(1000, 1000);
	generation = datapath_flow(dp, flow)->generation;
	conn_sleep_ms(11);
	assert_true(ring_buffer__consume(finals) >= 0);
	assert_int_equal(n_finals, 0);
	evict(1000); /* one more than there is room for: it is the oldest */
	assert_int_equal(table_find(dp, &four), 0);
	assert_true(ring_buffer__consume(finals) >= 0);
	assert_int_equal(n_finals, 1);
	assert_int_equal(final[0].index, flow);
	assert_int_equal(final[0].direction, LQOS_DOWN);
	assert_int_equal(final[0].half.generation, generation);
	assert_int_equal(final[0].half.packets, 2);
	assert_int_equal(final[0].half.bytes, 2 * (HEADERS4 + 1000));
	assert_int_equal(final[0].half.retransmits, 1);
	/* Nobody watches. */
	fl->bss->fl_watched = 0;
	evict(2000);
	assert_true(ring_buffer__consume(finals) >= 0);
	assert_int_equal(n_finals, 1);
}

static enum how plain = PLAIN, shared = SHARED, tc = TC,
		one_bucket = ONE_BUCKET;

#define IN(test_, how_)                                      \
	{                                                    \
#test_ ", " #how_, test_, ready, NULL, &how_ \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN(test_sums, plain),	     IN(test_in_order, plain),
		IN(test_again, plain),	     IN(test_keep_alive, plain),
		IN(test_reordered, plain),   IN(test_filled_later, plain),
		IN(test_before_gap, plain),  IN(test_wrap, plain),
		IN(test_jump, plain),	     IN(test_port_reuse, plain),
		IN(test_marks, plain),	     IN(test_seconds, plain),
		IN(test_short_flows, plain), IN(test_sums, shared),
		IN(test_again, shared),	     IN(test_seconds, shared),
		IN(test_sums, tc),	     IN(test_gso, tc),
		IN(test_again, tc),	     IN(test_marks, tc),
		IN(test_final, one_bucket),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("flow", tests, NULL,
						  unload_last);
}
