/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which flows are listed, in what order and on which page, against a plain
 * sort. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* In front of cmocka's macros. */
#include "modules/flow/top.c"
#include "modules/flow/columns.c"
#include "tests/unit/snapshot_seq.h"

#include <cmocka.h>

enum { FLOWS = 500, COLUMNS = 4 };

static struct {
	struct lqos_flow flow;
	struct fl_flow counts;
} table[FLOWS + 1];
static const struct lqos_flow_table flow_table = {
	.records = table,
	.slots = FLOWS + 1,
	.record_bytes = sizeof(table[0]),
	.part = sizeof(struct lqos_flow),
};
static uint64_t values[COLUMNS][FLOWS + 1];
static const char *const names[COLUMNS] = {"flow.rate", "flow.bytes",
					   "pping.rtt", "pping.samples"};
static const struct lqos_column columns[COLUMNS] = {
	[3] = {.flags = LQOS_COLUMN_DETAIL}};
static const struct lqos_subscriber subscribers[] = {{.circuit_id = "one"},
						     {.circuit_id = "two"}};
static struct flow_module m;

/* ---- In place of the core ------------------------------------------------ */

struct lqos_call {
	json_t *params, *result;
	char why[512];
};

const json_t *lqos_call_params(const struct lqos_call *call)
{
	return call->params;
}

void lqos_call_result(struct lqos_call *call, json_t *result)
{
	call->result = result;
}

int lqos_call_fail(struct lqos_call *call, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(call->why, sizeof(call->why), fmt, args);
	va_end(args);
	return rc;
}

int lqos_command_add(struct lqos_ctx *ctx, const struct lqos_command *command,
		     void *arg)
{
	(void)ctx;
	(void)command;
	(void)arg;
	return 0;
}

int lqos_column_add(struct lqos_ctx *ctx, const struct lqos_column *column,
		    void *arg)
{
	(void)ctx;
	(void)column;
	(void)arg;
	return 0;
}

int lqos_slots_watch(struct lqos_ctx *ctx,
		     void (*fn)(uint32_t slot, enum lqos_slot_event event,
				void *arg),
		     void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
	return 0;
}

uint32_t lqos_subscriber_slots(struct lqos_ctx *ctx)
{
	(void)ctx;
	return 1;
}

int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *), void *arg)
{
	(void)ctx;
	fn(arg);
	return 0;
}

uint32_t lqos_flows(struct lqos_ctx *ctx, struct lqos_flow_table *out)
{
	(void)ctx;
	*out = m.table = flow_table;
	return FLOWS + 1;
}

uint32_t lqos_flow_columns(struct lqos_ctx *ctx)
{
	(void)ctx;
	return COLUMNS;
}

const struct lqos_column *lqos_flow_column(struct lqos_ctx *ctx, uint32_t i,
					   const char **name)
{
	(void)ctx;
	*name = names[i];
	return &columns[i];
}

uint64_t lqos_flow_value(struct lqos_ctx *ctx, uint32_t i, uint32_t flow)
{
	(void)ctx;
	return values[i][flow];
}

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *ctx,
					      uint32_t slot)
{
	(void)ctx;
	return slot ? &subscribers[slot - 1] : NULL;
}

/* ---- The table ----------------------------------------------------------- */

static int fill(void **state)
{
	uint32_t i, c;

	(void)state;
	memset(table, 0, sizeof(table));
	for (i = 1; i <= FLOWS; i++) {
		struct lqos_flow *f = &table[i].flow;

		if (i % 10 == 0)
			continue; /* free */
		f->used = 1;
		f->last_seen = flow_now();
		f->generation = i;
		f->key.subs_hi = f->key.remote_hi = UINT64_MAX;
		f->key.subs_lo = htonl(0x0a000000 + i % 7);
		f->key.remote_lo = htonl(0xc0000200 + i % 50);
		f->key.subs_port = htons((uint16_t)i);
		f->key.proto = i % 3 ? IPPROTO_TCP : IPPROTO_UDP;
		f->slot = i % 4 == 3 ? 0 : i % 4 / 2 + 1;
		f->way[0] = LQOS_FLOW_SEEN;
		f->way[1] = i % 5 ? LQOS_FLOW_SEEN : 0;
		for (c = 0; c < COLUMNS; c++)
			values[c][i] = i * 7919 % (c ? 1000 : 40);
	}
	return 0;
}

static json_t *ask(int (*run)(struct lqos_call *call, void *arg),
		   const char *params)
{
	struct lqos_call call = {.params = json_loads(params, 0, NULL)};

	assert_non_null(call.params);
	assert_int_equal(run(&call, &m), 0);
	assert_non_null(call.result);
	json_decref(call.params);
	return call.result;
}

static void refused(const char *params, const char *why)
{
	struct lqos_call call = {.params = json_loads(params, 0, NULL)};

	assert_non_null(call.params);
	assert_int_equal(run_top(&call, &m), -EINVAL);
	assert_null(call.result);
	assert_non_null(strstr(call.why, why));
	json_decref(call.params);
}

static json_int_t number(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

/* The slot: each flow's port tells. */
static uint32_t slot_of(const json_t *flows, size_t i)
{
	return (uint32_t)number(json_array_get(flows, i), "subscriber_port");
}

/* Page by page, all of them once, the most first. */
static void pages(void **state)
{
	uint32_t seen[FLOWS + 1] = {0}, n = 0, slot, last = 0;
	char params[128];
	json_t *all, *flows;
	size_t i;

	(void)state;
	for (;;) {
		snprintf(params, sizeof(params),
			 "{\"sort\":\"rate\",\"limit\":37,\"offset\":%u}", n);
		all = ask(run_top, params);
		flows = json_object_get(all, "flows");
		assert_int_equal(number(all, "total"), FLOWS - FLOWS / 10);
		assert_int_equal(number(all, "offset"), n);
		for (i = 0; i < json_array_size(flows); i++) {
			slot = slot_of(flows, i);
			assert_false(seen[slot]++);
			/* Of equals the lower slot first. */
			if (last)
				assert_true(
					values[0][slot] < values[0][last] ||
					(values[0][slot] == values[0][last] &&
					 slot > last));
			last = slot;
		}
		n += (uint32_t)i;
		json_decref(all);
		if (i < 37)
			break;
	}
	assert_int_equal(n, FLOWS - FLOWS / 10);
}

static void sorts(void **state)
{
	uint32_t i, best = 1;
	json_t *all;

	(void)state;
	for (i = 1; i <= FLOWS; i++)
		if (table[i].flow.used && values[2][i] > values[2][best])
			best = i;
	all = ask(run_top, "{\"sort\":\"rtt\",\"limit\":1}");
	assert_int_equal(slot_of(json_object_get(all, "flows"), 0), best);
	json_decref(all);
	/* What is not known comes last. */
	values[2][best] = LQOS_NO_VALUE;
	all = ask(run_top, "{\"sort\":\"pping.rtt\",\"limit\":1}");
	assert_int_not_equal(slot_of(json_object_get(all, "flows"), 0), best);
	json_decref(all);
	all = ask(run_top, "{}");
	assert_int_equal(json_array_size(json_object_get(all, "flows")), 20);
	json_decref(all);
	refused("{\"sort\":\"t\"}",
		"flow.rate, flow.bytes, pping.rtt, pping.samples");
	refused("{\"sort\":\"low.rate\"}", "sort");
	refused("{\"sort\":1}", "sort");
}

static void count_is(const char *params, json_int_t want)
{
	json_t *top = ask(run_top, params), *n = ask(run_count, params);

	assert_int_equal(number(top, "total"), want);
	assert_int_equal(number(n, "flows"), want);
	json_decref(top);
	json_decref(n);
}

static void filters(void **state)
{
	json_int_t tcp = 0, subs = 0, remote = 0, circuit = 0, both = 0;
	uint32_t i;

	(void)state;
	for (i = 1; i <= FLOWS; i++) {
		if (i % 10 == 0)
			continue;
		tcp += i % 3 != 0;
		subs += i % 7 == 3;
		remote += i % 50 >= 32 && i % 50 < 40;
		circuit += i % 4 == 2;
		both += i % 4 == 2 && i % 3 == 0 && i % 7 == 3;
	}
	count_is("{\"protocol\":\"tcp\"}", tcp);
	count_is("{\"protocol\":\"icmp\"}", 0);
	count_is("{\"ip\":\"10.0.0.3\"}", subs);
	count_is("{\"ip\":\"192.0.2.32/29\"}", remote);
	count_is("{\"ip\":\"2001:db8::/32\"}", 0);
	count_is("{\"circuit\":\"two\"}", circuit);
	count_is("{\"circuit\":\"three\"}", 0);
	count_is("{\"circuit\":\"two\",\"ip\":\"10.0.0.3\","
		 "\"protocol\":\"UDP\"}",
		 both);
	refused("{\"protocol\":\"gre\"}", "protocol");
	refused("{\"protocol\":6}", "protocol");
	refused("{\"ip\":\"10.0.0\"}", "ip");
	refused("{\"ip\":10}", "ip");
	refused("{\"circuit\":1}", "circuit");
}

static void numbers(void **state)
{
	json_t *all;

	(void)state;
	refused("{\"limit\":0}", "limit: expected a number from 1 to 1000");
	refused("{\"limit\":1001}", "limit");
	refused("{\"limit\":\"5\"}", "limit");
	refused("{\"offset\":-1}", "offset");
	refused("{\"offset\":501}", "offset: expected a number from 0 to 500");
	all = ask(run_top, "{\"offset\":440,\"limit\":1000}");
	assert_int_equal(json_array_size(json_object_get(all, "flows")), 10);
	json_decref(all);
	all = ask(run_top, "{\"offset\":500,\"limit\":1000}");
	assert_int_equal(json_array_size(json_object_get(all, "flows")), 0);
	assert_int_equal(number(all, "total"), FLOWS - FLOWS / 10);
	json_decref(all);
}

static uint64_t column_of(enum of_flow what, uint32_t slot)
{
	struct flow_column c = {.what = what, .m = &m};

	return read_flow(slot, &c);
}

/* What another flow has left in the slot is not its own. */
static void generations(void **state)
{
	json_t *all, *flow;

	(void)state;
	memset(table, 0, sizeof(table));
	table[5].flow = (struct lqos_flow){
		.used = 1, .generation = 9, .last_seen = flow_now()};
	table[5].counts.half[LQOS_DOWN] = (struct fl_half){
		.generation = 9, .bytes = 77, .packets = 7, .retransmits = 2};
	table[5].counts.half[LQOS_UP] = (struct fl_half){
		.generation = 8, .bytes = 88, .packets = 8, .retransmits = 3};
	all = ask(run_top, "{}");
	flow = json_array_get(json_object_get(all, "flows"), 0);
	assert_int_equal(number(flow, "down_bytes"), 77);
	assert_int_equal(number(flow, "up_bytes"), 0);
	json_decref(all);
	/* Nor is it in what lists are sorted by. */
	assert_int_equal(column_of(BYTES, 5), 77);
	assert_int_equal(column_of(ALL_PACKETS, 5), 7);
	assert_int_equal(column_of(AGAIN, 5), 2);
	assert_int_equal(column_of(RATE, 5), 0);
}

/* Silent for too long, they are over, though nobody has come to sweep them
 * away. */
static void silence(void **state)
{
	const uint64_t s = 1000000000, now = flow_now();
	const struct lqos_flow all[] = {
		{.last_seen = now - 290 * s, .way = {1, 1}, .key.proto = 6},
		{.last_seen = now - 310 * s, .way = {1, 1}, .key.proto = 6},
		{.last_seen = now - 14 * s, .way = {1, 0}, .key.proto = 6},
		{.last_seen = now - 16 * s, .way = {0, 1}, .key.proto = 6},
		{.last_seen = now - 4 * s, .way = {9, 1}, .key.proto = 6},
		{.last_seen = now - 6 * s, .way = {5, 5}, .key.proto = 6},
		{.last_seen = now - 59 * s, .way = {1, 1}, .key.proto = 17},
		{.last_seen = now - 61 * s, .way = {1, 1}, .key.proto = 17},
		{.last_seen = now - 14 * s, .way = {1, 1}, .key.proto = 1},
		{.last_seen = now - 16 * s, .way = {1, 1}, .key.proto = 58},
	};
	json_t *answer;
	uint32_t i;

	(void)state;
	memset(table, 0, sizeof(table));
	for (i = 0; i < 10; i++) {
		table[i + 1].flow = all[i];
		table[i + 1].flow.used = 1;
		table[i + 1].flow.key.subs_port = htons((uint16_t)(i + 1));
	}
	count_is("{}", 5);
	answer = ask(run_top, "{}");
	assert_int_equal(number(answer, "total"), 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(
			slot_of(json_object_get(answer, "flows"), i) % 2, 1);
	json_decref(answer);
}

/* Other modules' columns, the details where they are wanted. */
static void details(void **state)
{
	json_t *all = ask(run_top, "{\"limit\":1,\"sort\":\"rtt\"}");
	json_t *flow = json_array_get(json_object_get(all, "flows"), 0);
	uint32_t slot = slot_of(json_object_get(all, "flows"), 0);

	(void)state;
	assert_int_equal(number(flow, "pping.rtt"), values[2][slot]);
	assert_null(json_object_get(flow, "pping.samples"));
	assert_null(json_object_get(flow, "flow.rate"));
	json_decref(all);
	all = ask(run_top, "{\"limit\":1,\"sort\":\"rtt\",\"detail\":true}");
	flow = json_array_get(json_object_get(all, "flows"), 0);
	assert_int_equal(number(flow, "pping.samples"), values[3][slot]);
	json_decref(all);
}

/* Of late: what is older than some ticks weighs little, and a subscriber who
 * sends nothing keeps his share until too little is left. */
static void shares(void **state)
{
	struct fl_tcp tcp[2] = {};
	struct loss loss[2] = {};
	struct flow_module module = {.slots = tcp, .loss = loss};
	struct column down = {.direction = LQOS_DOWN, .m = &module};
	int i;

	(void)state;
	seq = 5;
	/* What an earlier run has counted tells nothing. */
	tcp[1].packets[LQOS_DOWN] = 1000000;
	tcp[1].retransmits[LQOS_DOWN] = 500000;
	on_slot(1, LQOS_SLOT_TRAFFIC, &module);
	assert_true(read_share(1, &down) == LQOS_NO_VALUE);
	for (i = 0; i < 40; i++) {
		seq++;
		tcp[1].packets[LQOS_DOWN] += 100;
		tcp[1].retransmits[LQOS_DOWN] += i < 10 ? 50 : 1;
		on_slot(1, LQOS_SLOT_TRAFFIC, &module);
		if (i == 9)
			assert_in_range(read_share(1, &down), 499000, 501000);
	}
	assert_in_range(read_share(1, &down), 10000, 11000);
	seq += 5;
	assert_in_range(read_share(1, &down), 10000, 11000);
	seq += 20;
	assert_true(read_share(1, &down) == LQOS_NO_VALUE);

	tcp[1].packets[LQOS_DOWN] = 10;
	on_slot(1, LQOS_SLOT_GIVEN, &module);
	on_slot(1, LQOS_SLOT_TRAFFIC, &module);
	assert_true(read_share(1, &down) == LQOS_NO_VALUE);
	seq++;
	tcp[1].packets[LQOS_DOWN] += 100;
	tcp[1].retransmits[LQOS_DOWN] += 200;
	on_slot(1, LQOS_SLOT_TRAFFIC, &module);
	assert_int_equal(read_share(1, &down), 1000000);
}

static void tallies(void **state)
{
	json_int_t unknown = 0, one_way = 0;
	json_t *n = ask(run_count, "{}");
	uint32_t i;

	(void)state;
	for (i = 1; i <= FLOWS; i++) {
		unknown += i % 10 && i % 4 == 3;
		one_way += i % 10 && i % 5 == 0;
	}
	assert_int_equal(number(n, "of_unknown_hosts"), unknown);
	assert_int_equal(number(n, "one_way"), one_way);
	assert_int_equal(number(n, "closed"), 0);
	assert_int_equal(number(n, "room"), FLOWS);
	json_decref(n);
	table[1].flow.way[0] |= LQOS_FLOW_RST;
	table[2].flow.way[0] |= LQOS_FLOW_FIN;
	table[3].flow.way[0] |= LQOS_FLOW_FIN;
	table[3].flow.way[1] |= LQOS_FLOW_FIN;
	n = ask(run_count, "{}");
	assert_int_equal(number(n, "closed"), 2);
	json_decref(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pages, fill),
		cmocka_unit_test_setup(sorts, fill),
		cmocka_unit_test_setup(filters, fill),
		cmocka_unit_test_setup(numbers, fill),
		cmocka_unit_test_setup(generations, fill),
		cmocka_unit_test_setup(silence, fill),
		cmocka_unit_test_setup(details, fill),
		cmocka_unit_test(shares),
		cmocka_unit_test_setup(tallies, fill),
	};

	return cmocka_run_group_tests_name("flow_top", tests, NULL, NULL);
}
