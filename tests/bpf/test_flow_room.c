/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who makes room for whom in the table of flows, and what is told of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bpf/flowtable.h"

#include "bpf/datapath.skel.h"

enum { ALICE = 5, BOB = 9 };

#define SECONDS(n_) ((uint64_t)(n_)*1000000000)

static struct datapath *dp;

static int load(uint32_t flows, uint32_t buckets)
{
	const struct datapath_knobs knobs = {
		.flows = flows, .buckets = buckets, .seed = 0x5eedULL << 20};

	return datapath_new(&dp, &knobs)
		       ?: conn_wire(dp, NULL)
		       ?: datapath_own(dp, "10.0.0.1/32", ALICE, 0x10003, 0)
		       ?: datapath_own(dp, "10.0.0.2/32", BOB, 0x10004, 0);
}

static int load_one_bucket(void **state)
{
	(void)state;
	return load(64, 1);
}

static int load_small(void **state)
{
	(void)state;
	return load(256, 0);
}

static int load_large(void **state)
{
	(void)state;
	return load(8192, 0);
}

static int unload(void **state)
{
	(void)state;
	datapath_free(&dp);
	return 0;
}

/* The i-th of Alice's flows. */
static struct conn nth(uint32_t i)
{
	return (struct conn){.subs = "10.0.0.1",
			     .remote = "192.0.2.1",
			     .subs_port = (uint16_t)(i >> 8 | 0x4000),
			     .remote_port = (uint16_t)(i & 0xff)};
}

static struct lqos_packet send(const struct conn *c, enum lqos_direction way,
			       uint8_t flags)
{
	return conn_pass(dp, c, &(struct sent){.way = way, .flags = flags});
}

static uint32_t open_one_way(uint32_t i)
{
	struct conn c = nth(i);

	return send(&c, LQOS_UP, ACK).flow;
}

static uint32_t open_answered(uint32_t i)
{
	struct conn c = nth(i);

	send(&c, LQOS_UP, ACK);
	return send(&c, LQOS_DOWN, ACK).flow;
}

static bool is_there(uint32_t i)
{
	struct conn c = nth(i);

	return table_find(dp, &c) != 0;
}

static uint64_t count(enum dp_flow_counter which)
{
	return table_count(dp, which);
}

/* ---- A full bucket ------------------------------------------------------- */

static void close_both(uint32_t i)
{
	struct conn c = nth(i);

	send(&c, LQOS_UP, FIN | ACK);
	send(&c, LQOS_DOWN, FIN | ACK);
}

/* Over before closed, closed before unanswered, that before what has been
 * silent longest. */
static void test_worst_goes(void **state)
{
	static const uint32_t order[] = {2, 4, 7, 1, 0, 6, 3, 5};
	uint32_t flow[DP_WAYS], generation, i, now;

	(void)state;
	for (i = 0; i < DP_WAYS; i++)
		flow[i] = i == 7 ? open_one_way(i) : open_answered(i);
	close_both(4);
	table_age(dp, flow[2], SECONDS(301)); /* over: TCP's patience */
	table_age(dp, flow[4], SECONDS(1));   /* closed */
	table_age(dp, flow[7], SECONDS(2));   /* never answered */
	table_age(dp, flow[1], SECONDS(200));
	table_age(dp, flow[0], SECONDS(199));
	table_age(dp, flow[6], SECONDS(30));
	table_age(dp, flow[3], SECONDS(20));
	table_age(dp, flow[5], SECONDS(10));
	assert_int_equal(table_check(dp), DP_WAYS);
	for (i = 0; i < DP_WAYS; i++) {
		assert_true(is_there(order[i]));
		generation = datapath_flow(dp, flow[order[i]])->generation;
		now = open_answered(100 + i);
		assert_false(is_there(order[i]));
		/* It has the very slot: memory does not grow. */
		assert_int_equal(now, flow[order[i]]);
		assert_int_not_equal(datapath_flow(dp, now)->generation,
				     generation);
		assert_int_equal(table_check(dp), DP_WAYS);
		assert_int_equal(count(DP_FLOW_IDLE), 1);
		assert_int_equal(count(DP_FLOW_EVICTED), i);
	}
	assert_int_equal(count(DP_FLOW_BUSY), 0);
}

/* How long silence is too long. */
static void test_patience(void **state)
{
	static const struct {
		uint8_t proto;
		bool answered, closed;
		uint32_t patience; /* s */
	} cases[] = {
		{CONN_TCP, true, false, 300}, {CONN_UDP, true, false, 60},
		{CONN_ICMP, true, false, 15}, {CONN_TCP, false, false, 15},
		{CONN_UDP, false, false, 15}, {CONN_TCP, true, true, 5},
	};
	uint64_t idle, evicted;
	uint32_t flow, i, late;
	struct conn c;

	(void)state;
	for (i = 0; i < DP_WAYS; i++)
		open_answered(100 + i);
	for (i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		late = i % 2;
		c = nth(i);
		c.proto = cases[i / 2].proto;
		if (c.proto == CONN_ICMP)
			c.remote_port = 0;
		flow = send(&c, LQOS_UP, ACK).flow;
		if (cases[i / 2].answered)
			conn_pass(dp, &c,
				  &(struct sent){.way = LQOS_DOWN,
						 .flags = ACK,
						 .icmp = CONN_ECHO_REPLY});
		if (cases[i / 2].closed)
			close_both(i);
		table_age(dp, flow,
			  SECONDS(cases[i / 2].patience) +
				  (late ? SECONDS(1) : -SECONDS(1)));
		idle = count(DP_FLOW_IDLE);
		evicted = count(DP_FLOW_EVICTED);
		assert_int_equal(table_find(dp, &c), flow);
		assert_int_equal(open_answered(200 + i), flow);
		assert_int_equal(table_find(dp, &c), 0);
		assert_int_equal(count(DP_FLOW_IDLE), idle + late);
		assert_int_equal(count(DP_FLOW_EVICTED), evicted + !late);
		assert_int_equal(table_check(dp), DP_WAYS);
	}
}

/* A new flow looks at two others and frees what is over, long before there is
 * no room. */
static void test_sweep(void **state)
{
	enum { N = 60 };
	uint32_t i, flow[N];

	(void)state;
	for (i = 0; i < N; i++)
		flow[i] = open_answered(i);
	for (i = 0; i < N; i += 2)
		table_age(dp, flow[i], SECONDS(301));
	for (i = 0; i < N; i++) {
		assert_int_not_equal(open_answered(1000 + i), 0);
		assert_true(count(DP_FLOW_FREED) <= i + 1);
	}
	assert_int_equal(count(DP_FLOW_IDLE), N / 2);
	assert_int_equal(count(DP_FLOW_EVICTED), 0);
	assert_int_equal(table_check(dp), N + N / 2);
	for (i = 0; i < N; i++)
		assert_int_equal(is_there(i), i % 2);
}

/* ---- A full table -------------------------------------------------------- */

static void test_full(void **state)
{
	enum { MANY = 5000, ROOM = 256 };
	struct conn c;
	uint32_t i, flow;

	(void)state;
	for (i = 0; i < MANY; i++) {
		c = nth(i);
		flow = send(&c, LQOS_UP, ACK).flow;
		assert_in_range(flow, 1, ROOM);
		/* It is there at once. */
		assert_int_equal(send(&c, LQOS_UP, ACK).flow, flow);
		assert_int_equal(table_find(dp, &c), flow);
		if (i % 100 == 0)
			table_check(dp);
	}
	assert_int_equal(table_check(dp), ROOM);
	assert_int_equal(count(DP_FLOW_OPENED), MANY);
	assert_int_equal(count(DP_FLOW_BUSY), 0);
	assert_in_range(dp->skel->data->dp_flow_next, ROOM + 1, ROOM + 64);
	/* Each is found where it is. */
	for (i = 0; i < MANY; i++) {
		c = nth(i);
		flow = table_find(dp, &c);
		if (flow)
			assert_int_equal(send(&c, LQOS_UP, ACK).flow, flow);
	}
	assert_int_equal(count(DP_FLOW_OPENED), MANY);
}

/* What has fallen silent goes before what has not, though the table is full. */
static void test_silent_go(void **state)
{
	enum { ROOM = 256 };
	uint32_t i, old = 0, gone;

	(void)state;
	for (i = 0; i < ROOM; i++)
		assert_int_equal(open_answered(i) != 0, 1);
	gone = (uint32_t)count(DP_FLOW_EVICTED); /* of full buckets */
	for (i = 1; i <= ROOM; i++) {
		if (i % 2 == 0 && datapath_flow(dp, i)->used) {
			table_age(dp, i, SECONDS(400));
			old++;
		}
	}
	for (i = 0; i < old; i++)
		assert_int_not_equal(open_answered(1000 + i), 0);
	table_check(dp);
	assert_in_range(count(DP_FLOW_IDLE), old * 9 / 10, old);
	assert_in_range(count(DP_FLOW_EVICTED), gone, gone + old / 10);
}

/* ---- Nobody's ------------------------------------------------------------ */

static void set_unknown(uint32_t mask, uint32_t max)
{
	dp->skel->bss->dp_flow_unknown.mask = mask;
	dp->skel->bss->dp_flow_unknown.max = max;
}

static uint32_t pass_unknown(uint32_t n)
{
	uint32_t i, in = 0;
	struct conn c;

	for (i = 0; i < n; i++) {
		c = nth(i);
		c.subs = "10.9.9.9";
		in += send(&c, LQOS_UP, ACK).flow != 0;
	}
	return in;
}

static void test_unknown_none(void **state)
{
	(void)state;
	set_unknown(0, 0);
	assert_int_equal(pass_unknown(500), 0);
	assert_int_equal(count(DP_FLOW_REFUSED), 500);
	assert_int_not_equal(open_one_way(1), 0);
	assert_int_equal(table_check(dp), 1);
}

static void test_unknown_all(void **state)
{
	(void)state;
	set_unknown(0, 8192);
	assert_int_equal(pass_unknown(500), 500);
	assert_int_equal(count(DP_FLOW_REFUSED), 0);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 500);
	assert_int_equal(table_check(dp), 500);
}

/* One of 16, and the same ones each time. */
static void test_unknown_sampled(void **state)
{
	enum { MANY = 3200 };
	uint32_t in;

	(void)state;
	set_unknown(15, 8192);
	in = pass_unknown(MANY);
	/* 200 of them; the binomial's deviation is 14. */
	assert_in_range(in, 200 - 70, 200 + 70);
	assert_int_equal(count(DP_FLOW_REFUSED), MANY - in);
	assert_int_equal(pass_unknown(MANY), in);
	assert_int_equal(count(DP_FLOW_OPENED), in);
	assert_int_equal(table_check(dp), in);
	/* Subscribers are not sampled. */
	for (in = 0; in < 100; in++)
		assert_int_not_equal(open_one_way(in), 0);
}

static void test_unknown_share(void **state)
{
	uint32_t i, n;

	(void)state;
	set_unknown(0, 50);
	assert_int_equal(pass_unknown(500), 50);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 50);
	/* Who was in stays in. */
	assert_int_equal(pass_unknown(50), 50);
	/* And where they go others come, but no more of them. */
	for (i = 1; i <= 50; i++)
		table_age(dp, i, SECONDS(100));
	for (i = 0; i < 100; i++)
		open_one_way(i);
	n = table_check(dp);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 0);
	assert_int_equal(n, 100);
	assert_int_equal(pass_unknown(500), 50);
	table_check(dp);
}

/* An address is given to somebody, to somebody else, and taken away. */
static void test_owners(void **state)
{
	struct conn c = nth(3);
	struct lqos_packet first, now;

	(void)state;
	set_unknown(0, 10);
	c.subs = "10.9.9.9";
	first = send(&c, LQOS_UP, ACK);
	assert_int_not_equal(first.flow, 0);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 1);
	assert_int_equal(datapath_own(dp, "10.9.9.9/32", BOB, 0, 0), 0);
	now = send(&c, LQOS_DOWN, ACK);
	assert_int_equal(now.flow, first.flow);
	assert_int_equal(now.generation, first.generation);
	assert_int_equal(datapath_flow(dp, now.flow)->slot, BOB);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 0);
	send(&c, LQOS_UP, ACK);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 0);
	assert_int_equal(datapath_own(dp, "10.9.9.9/32", ALICE, 0, 0), 0);
	now = send(&c, LQOS_UP, ACK);
	assert_int_equal(datapath_flow(dp, now.flow)->slot, ALICE);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 0);
	table_check(dp);
	/* Who is in keeps the place, even if there would be none. */
	set_unknown(0, 0);
	assert_int_equal(datapath_disown(dp, "10.9.9.9/32"), 0);
	now = send(&c, LQOS_DOWN, ACK);
	assert_int_equal(now.flow, first.flow);
	assert_int_equal(now.generation, first.generation);
	assert_int_equal(datapath_flow(dp, now.flow)->slot, 0);
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, 1);
	assert_int_equal(table_check(dp), 1);
}

/* ---- Tags that are equal ------------------------------------------------- */

static void rewrite_bucket(const struct dp_bucket *b)
{
	uint32_t zero = 0;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(dp->skel->maps.dp_buckets),
				    &zero, b, BPF_ANY),
		0);
}

/* Bob's flow is where Alice's tag leads: neither gets what is the other's. */
static void test_collision(void **state)
{
	struct conn a = nth(1), b = nth(2);
	struct lqos_packet first, second, now;
	struct dp_bucket bucket;
	uint32_t zero = 0;
	uint64_t tag = 0;
	int i;

	(void)state;
	b.subs = "10.0.0.2";
	first = send(&a, LQOS_UP, ACK);
	second = send(&b, LQOS_UP, ACK);
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.dp_buckets),
				    &zero, &bucket),
		0);
	for (i = 0; i < DP_WAYS; i++)
		if ((uint32_t)bucket.way[i] == first.flow)
			tag = bucket.way[i] >> 32;
	assert_true(tag);
	/* Alice's is let go of. */
	memset(&bucket, 0, sizeof(bucket));
	bucket.way[4] = tag << 32 | second.flow;
	rewrite_bucket(&bucket);
	now = send(&a, LQOS_DOWN, ACK);
	assert_int_equal(count(DP_FLOW_COLLISION), 1);
	assert_int_not_equal(now.flow, 0);
	assert_int_not_equal(now.flow, first.flow);
	assert_int_equal(datapath_flow(dp, now.flow)->slot, ALICE);
	assert_int_equal(datapath_flow(dp, now.flow)->key.subs_port,
			 table_key(&a).subs_port);
	assert_false(now.flow == second.flow &&
		     now.generation == second.generation);
	/* It took the place: the other's is another from now on. */
	second = send(&b, LQOS_DOWN, ACK);
	assert_int_not_equal(second.flow, now.flow);
	assert_int_equal(datapath_flow(dp, second.flow)->slot, BOB);
	assert_int_equal(send(&a, LQOS_UP, ACK).flow, now.flow);
	assert_int_equal(send(&a, LQOS_UP, ACK).generation, now.generation);
	assert_int_equal(send(&b, LQOS_UP, ACK).flow, second.flow);
	assert_int_equal(count(DP_FLOW_COLLISION), 1);
}

/* ---- What is told -------------------------------------------------------- */

static void told(const struct table_told *t, uint32_t i,
		 enum lqos_flow_reason reason, uint32_t conn, uint32_t index)
{
	const struct lqos_flow_event *e = &t->event[i];
	struct conn c = nth(conn);
	struct lqos_flow_key key = table_key(&c);

	assert_true(i < t->n);
	assert_int_equal(e->reason, reason);
	assert_int_equal(e->index, index);
	assert_memory_equal(&e->flow.key, &key, sizeof(key));
	assert_int_equal(e->flow.slot, ALICE);
	assert_int_not_equal(e->flow.generation, 0);
	assert_in_range(conn_now() - e->ts, 0, SECONDS(2));
}

static void test_events(void **state)
{
	struct table_told *t = table_listen(dp);
	struct conn c = nth(0);
	uint32_t i, generation;

	(void)state;
	send(&c, LQOS_DOWN, ACK);
	assert_int_equal(table_hear(t), 1);
	told(t, 0, LQOS_FLOW_OPENED, 0, 1);
	assert_int_equal(t->event[0].direction, LQOS_DOWN);
	assert_int_equal(t->event[0].tcp, ACK);
	generation = t->event[0].flow.generation;
	send(&c, LQOS_UP, ACK);
	send(&c, LQOS_UP, SYN);
	assert_int_equal(table_hear(t), 1);
	conn_pass(dp, &c,
		  &(struct sent){.way = LQOS_UP, .flags = ACK, .seq = 1});
	assert_int_equal(table_hear(t), 3);
	told(t, 1, LQOS_FLOW_RESTARTED, 0, 1);
	told(t, 2, LQOS_FLOW_OPENED, 0, 1);
	assert_int_equal(t->event[1].flow.generation, generation);
	assert_int_not_equal(t->event[2].flow.generation, generation);
	assert_int_equal(t->event[2].direction, LQOS_UP);
	close_both(0);
	assert_int_equal(table_hear(t), 4);
	told(t, 3, LQOS_FLOW_CLOSED, 0, 1);
	assert_true(t->event[3].flow.way[0] & t->event[3].flow.way[1] &
		    LQOS_FLOW_FIN);
	/* Nothing more of what is closed, when it is over. */
	table_age(dp, 1, SECONDS(10));
	for (i = 1; i <= DP_WAYS; i++)
		assert_int_not_equal(open_answered(i), 0);
	assert_int_equal(table_hear(t), 4 + DP_WAYS);
	assert_false(is_there(0));
	/* Pushed out, by the ninth. */
	i = open_one_way(20);
	assert_int_equal(table_hear(t), 4 + DP_WAYS + 2);
	assert_int_equal(t->event[12].reason, LQOS_FLOW_EVICTED);
	assert_int_equal(t->event[12].index, i);
	told(t, 13, LQOS_FLOW_OPENED, 20, i);
	/* Silent too long. */
	table_age(dp, i, SECONDS(16));
	assert_int_equal(open_one_way(21), i);
	assert_int_equal(table_hear(t), 16);
	told(t, 14, LQOS_FLOW_IDLE, 20, i);
	told(t, 15, LQOS_FLOW_OPENED, 21, i);
	/* Nobody listens. */
	dp->skel->bss->dp_flow_watched = 0;
	open_one_way(22);
	assert_int_equal(table_hear(t), 16);
	assert_int_equal(count(DP_FLOW_LOST), 0);
	table_unlisten(&t);
}

static void test_lost(void **state)
{
	enum { MANY = 14000 };
	struct table_told *t = table_listen(dp);
	uint64_t all;
	uint32_t i;

	(void)state;
	for (i = 0; i < MANY; i++)
		open_one_way(i);
	all = count(DP_FLOW_OPENED) + count(DP_FLOW_EVICTED) +
	      count(DP_FLOW_IDLE);
	assert_true(count(DP_FLOW_LOST) > 0);
	assert_int_equal(table_hear(t) + count(DP_FLOW_LOST), all);
	table_check(dp);
	/* There is room again. */
	all = count(DP_FLOW_LOST);
	i = t->n;
	open_one_way(MANY);
	assert_true(table_hear(t) > i);
	assert_int_equal(count(DP_FLOW_LOST), all);
	table_unlisten(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_worst_goes,
						load_one_bucket, unload),
		cmocka_unit_test_setup_teardown(test_patience, load_one_bucket,
						unload),
		cmocka_unit_test_setup_teardown(test_sweep, load_small, unload),
		cmocka_unit_test_setup_teardown(test_full, load_small, unload),
		cmocka_unit_test_setup_teardown(test_silent_go, load_small,
						unload),
		cmocka_unit_test_setup_teardown(test_unknown_none, load_large,
						unload),
		cmocka_unit_test_setup_teardown(test_unknown_all, load_large,
						unload),
		cmocka_unit_test_setup_teardown(test_unknown_sampled,
						load_large, unload),
		cmocka_unit_test_setup_teardown(test_unknown_share, load_large,
						unload),
		cmocka_unit_test_setup_teardown(test_owners, load_small,
						unload),
		cmocka_unit_test_setup_teardown(test_collision, load_one_bucket,
						unload),
		cmocka_unit_test_setup_teardown(test_events, load_one_bucket,
						unload),
		cmocka_unit_test_setup_teardown(test_lost, load_large, unload),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("flow_room", tests, NULL,
						  NULL);
}
