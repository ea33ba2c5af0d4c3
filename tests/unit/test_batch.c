/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of one tick for all who ask in the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/batch.c"

enum { ROOM = 4 };

static struct core core;
static struct core_snapshot snapshot;
static struct lqos_batch *batch;
static int reads, stops;

/* Linked with --wrap=core_metrics_snapshot. */
const struct core_snapshot *
__wrap_core_metrics_snapshot(struct core_metrics *metrics);
const struct core_snapshot *
__wrap_core_metrics_snapshot(struct core_metrics *metrics)
{
	(void)metrics;
	return snapshot.seq ? &snapshot : NULL;
}

static void on_read(bool on, void *arg)
{
	assert_ptr_equal(arg, &core);
	if (on)
		reads++;
	else
		stops++;
}

static int setup(void **state)
{
	(void)state;
	reads = stops = 0;
	snapshot.seq = 1;
	core.metrics = (struct core_metrics *)&core; /* never looked into */
	assert_int_equal(core_loop_new(&core.loop, &core), 0);
	assert_int_equal(core_ctx_new(&core.ctx, &core, "test", 0), 0);
	return lqos_batch_new(core.ctx, sizeof(int), ROOM, on_read, &core,
			      &batch);
}

static int teardown(void **state)
{
	(void)state;
	core_ctx_free(&core.ctx);
	core_loop_free(&core.loop);
	return 0;
}

static void put(int value)
{
	lqos_batch_add(batch, &value);
}

/* What is shown: n records from first on. */
static void shows(uint32_t n, int first, uint64_t lost)
{
	const int *records;
	uint64_t was_lost;
	uint32_t got, i;

	records = lqos_batch_take(batch, &got, &was_lost);
	assert_int_equal(got, n);
	assert_int_equal(was_lost, lost);
	for (i = 0; i < n; i++)
		assert_int_equal(records[i], first + (int)i);
}

static void nobody_reads(void **state)
{
	(void)state;
	put(1);
	lqos_batch_lose(batch, 7);
	assert_int_equal(reads, 0);
	look_for_readers(batch);
	assert_int_equal(stops, 0);
	/* Who comes begins with nothing. */
	shows(0, 0, 0);
	assert_int_equal(reads, 1);
	snapshot.seq++;
	shows(0, 0, 0);
}

static void one_tick_each(void **state)
{
	(void)state;
	shows(0, 0, 0);
	put(10);
	put(11);
	shows(0, 0, 0);
	snapshot.seq++;
	shows(2, 10, 0);
	put(12);
	/* Whoever else asks has the same. */
	shows(2, 10, 0);
	snapshot.seq++;
	shows(1, 12, 0);
	snapshot.seq++;
	shows(0, 0, 0);
	assert_int_equal(reads, 1);
}

/* Who reads every other tick loses nothing. */
static void slow_readers(void **state)
{
	(void)state;
	shows(0, 0, 0);
	snapshot.seq++;
	put(1);
	snapshot.seq++;
	put(2);
	shows(2, 1, 0);
}

static void more_than_room(void **state)
{
	int i;

	(void)state;
	shows(0, 0, 0);
	for (i = 0; i < ROOM + 3; i++)
		put(i);
	lqos_batch_lose(batch, 5);
	snapshot.seq++;
	shows(ROOM, 0, 8);
	put(50);
	snapshot.seq++;
	shows(1, 50, 0);
}

static void readers_go(void **state)
{
	int i;

	(void)state;
	shows(0, 0, 0);
	put(1);
	for (i = 0; i < 3; i++) {
		snapshot.seq++;
		look_for_readers(batch);
		assert_int_equal(stops, 0);
	}
	snapshot.seq++;
	look_for_readers(batch);
	assert_int_equal(stops, 1);
	look_for_readers(batch);
	assert_int_equal(stops, 1);
	put(2);
	/* And come again. */
	shows(0, 0, 0);
	assert_int_equal(reads, 2);
	put(3);
	snapshot.seq++;
	shows(1, 3, 0);
}

/* Before the first tick there is no snapshot. */
static void no_tick_yet(void **state)
{
	(void)state;
	snapshot.seq = 0;
	shows(0, 0, 0);
	put(4);
	snapshot.seq = 1;
	shows(1, 4, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(one_tick_each, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(readers_go, setup, teardown),
		cmocka_unit_test_setup_teardown(no_tick_yet, setup, teardown),
	};

	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
