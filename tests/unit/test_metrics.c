/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/core.h"

enum { SLOTS = 8 };

struct fixture {
	struct core core;
	struct lqos_ctx *module;
	uint64_t counter[SLOTS + 1], gauge[SLOTS + 1], total;
	uint64_t seen[SLOTS + 1];
	uint32_t tick;
};

static struct fixture *now;

/* In place of the datapath. */
uint32_t __wrap_core_datapath_tick(struct core_datapath *datapath,
				   const uint64_t **seen);
uint32_t __wrap_core_datapath_tick(struct core_datapath *datapath,
				   const uint64_t **seen)
{
	(void)datapath;
	*seen = now->seen;
	return now->tick++;
}

uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx);
uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx)
{
	(void)ctx;
	return 0;
}

const struct lqos_subscriber *__wrap_lqos_subscriber(struct lqos_ctx *ctx,
						     uint32_t slot);
const struct lqos_subscriber *__wrap_lqos_subscriber(struct lqos_ctx *ctx,
						     uint32_t slot)
{
	static const struct lqos_subscriber somebody;

	(void)ctx;
	return slot == SLOTS ? NULL : &somebody;
}

static uint64_t read_array(uint32_t id, void *arg)
{
	return ((uint64_t *)arg)[id];
}

static const struct lqos_column counter = {
	.name = "bytes",
	.title = "Bytes",
	.help = "",
	.kind = LQOS_COUNTER,
	.unit = LQOS_UNIT_BYTES,
	.scope = LQOS_SCOPE_SUBSCRIBER,
	.read = read_array,
};
static const struct lqos_column gauge = {
	.name = "level",
	.title = "Level",
	.help = "",
	.kind = LQOS_GAUGE,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_SUBSCRIBER,
	.read = read_array,
};
static const struct lqos_column later = {
	.name = "later",
	.title = "Later",
	.help = "",
	.kind = LQOS_COUNTER,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_SUBSCRIBER,
	.read = read_array,
};
static const struct lqos_column total = {
	.name = "total",
	.title = "Total",
	.help = "",
	.kind = LQOS_COUNTER,
	.unit = LQOS_UNIT_BYTES,
	.scope = LQOS_SCOPE_GLOBAL,
	.read = read_array,
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	now = &f;
	f.tick = 1;
	f.core.settings.max_subscribers = SLOTS;
	f.core.datapath = (struct core_datapath *)&f; /* never looked into */
	assert_int_equal(core_ctx_new(&f.core.ctx, &f.core, "core", 0), 0);
	assert_int_equal(core_ctx_new(&f.module, &f.core, "mod", 1), 0);
	assert_int_equal(core_metrics_new(&f.core.metrics, &f.core), 0);
	assert_int_equal(lqos_column_add(f.module, &counter, f.counter), 0);
	assert_int_equal(lqos_column_add(f.module, &gauge, f.gauge), 0);
	assert_int_equal(lqos_column_add(f.module, &total, &f.total), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	core_ctx_free(&f->module);
	core_metrics_free(&f->core.metrics);
	core_ctx_free(&f->core.ctx);
	return 0;
}

static const struct core_table *table(struct fixture *f, enum lqos_scope scope)
{
	return &core_metrics_snapshot(f->core.metrics)->tables[scope];
}

static const struct core_table *subscribers(struct fixture *f)
{
	return table(f, LQOS_SCOPE_SUBSCRIBER);
}

/* As modules see it. */
static struct lqos_cell cell(struct fixture *f, enum lqos_scope scope,
			     uint32_t col)
{
	return lqos_snapshot_cell(lqos_snapshot(f->module), scope, 0, col);
}

static void test_only_seen_rows(void **state)
{
	struct fixture *f = *state;
	int i;

	assert_null(core_metrics_snapshot(f->core.metrics));
	core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_rows, 0);
	assert_int_equal(subscribers(f)->n_columns, 2);
	assert_string_equal(subscribers(f)->columns[0]->name, "mod.bytes");
	assert_int_equal(table(f, LQOS_SCOPE_GLOBAL)->n_rows, 1);

	f->seen[0] = f->seen[3] = f->seen[SLOTS] = f->tick;
	core_metrics_tick(f->core.metrics);
	/* The last slot is nobody's any more. */
	assert_int_equal(subscribers(f)->n_rows, 2);
	assert_int_equal(subscribers(f)->rows[0]->id, 0);
	assert_int_equal(subscribers(f)->rows[1]->id, 3);

	/* One is marked with the tick that runs while the books are closed. */
	f->seen[3] = f->tick + 1;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_rows, 2);
	f->seen[0] = f->seen[3] = f->tick - 1;

	/* They fade after a while without traffic. */
	for (i = 0; i < 29; i++)
		core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_rows, 2);
	core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_rows, 0);
}

static void test_rates(void **state)
{
	struct fixture *f = *state;
	const struct core_snapshot *s;
	struct lqos_cell got;
	uint64_t expected;

	f->seen[3] = f->tick;
	f->counter[3] = 1000;
	f->gauge[3] = 42;
	core_metrics_tick(f->core.metrics);
	usleep(50000);
	f->seen[3] = f->tick;
	f->counter[3] = 1000 + (5ULL << 32);
	core_metrics_tick(f->core.metrics);
	s = core_metrics_snapshot(f->core.metrics);
	got = cell(f, LQOS_SCOPE_SUBSCRIBER, 0);
	assert_true(s->interval_ns >= 50000000);
	expected = (uint64_t)((double)(5ULL << 32) * 1e9 / s->interval_ns);
	assert_in_range(got.rate, expected - expected / 1000,
			expected + expected / 1000);
	assert_int_equal(got.rate,
			 lqos_snapshot_rate(lqos_snapshot(f->module),
					    LQOS_SCOPE_SUBSCRIBER, 0, 0));
	assert_int_equal(got.value, 1000 + (5ULL << 32));
	got = cell(f, LQOS_SCOPE_SUBSCRIBER, 1);
	assert_int_equal(got.value, 42);
	assert_int_equal(got.rate, LQOS_NO_VALUE);

	/* Quiet: the rate is 0, the total stays; what was counted while it was
	 * read is not lost, and is of the second in which there is more. */
	f->counter[3]++;
	f->gauge[3]++;
	core_metrics_tick(f->core.metrics);
	got = cell(f, LQOS_SCOPE_SUBSCRIBER, 0);
	assert_int_equal(got.rate, 0);
	assert_int_equal(got.value, 1001 + (5ULL << 32));
	assert_int_equal(cell(f, LQOS_SCOPE_SUBSCRIBER, 1).value, 43);
	f->counter[3]++;
	f->seen[3] = f->tick;
	core_metrics_tick(f->core.metrics);
	s = core_metrics_snapshot(f->core.metrics);
	got = cell(f, LQOS_SCOPE_SUBSCRIBER, 0);
	assert_int_equal(got.rate, 2000000000 / s->interval_ns);
	assert_int_equal(got.value, 1002 + (5ULL << 32));
}

static void test_counter_started_afresh(void **state)
{
	struct fixture *f = *state;

	f->total = 1000;
	core_metrics_tick(f->core.metrics);
	usleep(10000);
	f->total = 10;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(cell(f, LQOS_SCOPE_GLOBAL, 0).value, 10);
	assert_true(cell(f, LQOS_SCOPE_GLOBAL, 0).rate < 1001);
}

static void test_slot_given_anew(void **state)
{
	struct fixture *f = *state;

	f->counter[2] = 5000;
	core_metrics_slot_reset(f->core.metrics, 2);
	f->counter[2] += 7;
	f->seen[2] = f->tick;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(cell(f, LQOS_SCOPE_SUBSCRIBER, 0).value, 7);
	core_metrics_slot_reset(f->core.metrics, SLOTS + 100);
}

static void test_slot_of_an_earlier_run(void **state)
{
	struct fixture *f = *state;
	struct lqos_cell got;

	f->counter[2] = 5000;
	core_metrics_slot_resume(f->core.metrics, 2);
	core_metrics_tick(f->core.metrics);
	usleep(10000);
	f->seen[2] = f->tick;
	core_metrics_tick(f->core.metrics);
	got = cell(f, LQOS_SCOPE_SUBSCRIBER, 0);
	assert_int_equal(got.value, 5000);
	assert_int_equal(got.rate, 0);
	core_metrics_slot_resume(f->core.metrics, SLOTS + 100);
}

static void test_columns_go_with_their_module(void **state)
{
	struct fixture *f = *state;
	struct lqos_ctx *other;
	uint64_t values[SLOTS + 1] = {};

	assert_int_equal(core_ctx_new(&other, &f->core, "other", 2), 0);
	assert_int_equal(lqos_column_add(other, &counter, values), 0);
	/* The same name twice in one module is refused. */
	assert_int_equal(lqos_column_add(other, &counter, values), -EEXIST);
	f->seen[1] = f->tick;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_columns, 3);
	core_ctx_free(&other);
	/* No table of the old shape may be handed out. */
	assert_int_equal(subscribers(f)->n_rows, 0);
	core_metrics_tick(f->core.metrics);
	assert_int_equal(subscribers(f)->n_columns, 2);
	assert_int_equal(subscribers(f)->n_rows, 1);
}

/* What rows have counted before stays with its column. */
static void test_columns_that_come_later(void **state)
{
	struct fixture *f = *state;
	uint64_t values[SLOTS + 1] = {[2] = 9};

	f->counter[2] = 5000;
	core_metrics_slot_reset(f->core.metrics, 2);
	f->counter[2] += 7;
	f->seen[2] = f->tick;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(lqos_column_add(f->module, &later, values), 0);
	f->counter[2]++;
	f->seen[2] = f->tick;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(cell(f, LQOS_SCOPE_SUBSCRIBER, 0).value, 8);
	assert_int_equal(cell(f, LQOS_SCOPE_SUBSCRIBER, 2).value, 9);
}

static struct {
	uint32_t traffic[SLOTS + 1], given[SLOTS + 1];
} told;

static void on_slot(uint32_t slot, enum lqos_slot_event event, void *arg)
{
	assert_ptr_equal(arg, &told);
	if (event == LQOS_SLOT_TRAFFIC)
		told.traffic[slot]++;
	else
		told.given[slot]++;
}

static void test_slots_are_watched(void **state)
{
	struct fixture *f = *state;
	struct lqos_ctx *other;

	memset(&told, 0, sizeof(told));
	assert_int_equal(core_ctx_new(&other, &f->core, "other", 2), 0);
	assert_int_equal(lqos_slots_watch(other, on_slot, &told), 0);
	core_metrics_slot_reset(f->core.metrics, 4);
	core_metrics_slot_resume(f->core.metrics, 5);
	f->seen[0] = f->seen[2] = f->seen[SLOTS] = f->tick;
	core_metrics_tick(f->core.metrics);
	f->seen[2] = f->tick + 1;
	core_metrics_tick(f->core.metrics);
	core_metrics_tick(f->core.metrics);
	core_metrics_tick(f->core.metrics);
	assert_int_equal(told.given[4], 1);
	assert_int_equal(told.given[5], 0);
	assert_int_equal(told.traffic[0], 1);
	/* One mark of the tick that runs already is one of both. */
	assert_int_equal(told.traffic[2], 3);
	assert_int_equal(told.traffic[3], 0);
	assert_int_equal(told.traffic[SLOTS], 0);
	core_ctx_free(&other);
	f->seen[2] = f->tick;
	core_metrics_tick(f->core.metrics);
	assert_int_equal(told.traffic[2], 3);
}

/* Rows without a counter have no cells. */
static void test_gauges_alone(void **state)
{
	struct fixture *f = *state;
	static struct fixture alone;

	alone.core = (struct core){.settings = f->core.settings,
				   .datapath = f->core.datapath,
				   .ctx = f->core.ctx};
	assert_int_equal(core_ctx_new(&alone.module, &alone.core, "alone", 1),
			 0);
	assert_int_equal(core_metrics_new(&alone.core.metrics, &alone.core), 0);
	assert_int_equal(lqos_column_add(alone.module, &gauge, f->gauge), 0);
	f->gauge[1] = 7;
	f->seen[1] = f->tick;
	core_metrics_tick(alone.core.metrics);
	assert_int_equal(cell(&alone, LQOS_SCOPE_SUBSCRIBER, 0).value, 7);
	assert_int_equal(lqos_snapshot_rate(lqos_snapshot(alone.module),
					    LQOS_SCOPE_SUBSCRIBER, 0, 0),
			 LQOS_NO_VALUE);
	core_ctx_free(&alone.module);
	core_metrics_free(&alone.core.metrics);
}

static void test_bad_columns(void **state)
{
	struct fixture *f = *state;
	struct lqos_column col = counter;

	col.read = NULL;
	assert_int_equal(lqos_column_add(f->module, &col, NULL), -EINVAL);
	col = counter;
	col.scope = 9;
	assert_int_equal(lqos_column_add(f->module, &col, NULL), -EINVAL);
	col = counter;
	col.kind = 0;
	assert_int_equal(lqos_column_add(f->module, &col, NULL), -EINVAL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_only_seen_rows),
		TEST(test_rates),
		TEST(test_counter_started_afresh),
		TEST(test_slot_given_anew),
		TEST(test_slot_of_an_earlier_run),
		TEST(test_columns_go_with_their_module),
		TEST(test_columns_that_come_later),
		TEST(test_slots_are_watched),
		TEST(test_gauges_alone),
		TEST(test_bad_columns),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
