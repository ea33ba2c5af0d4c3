/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Slots: who gets which, and what the kernel and the next run are told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/registry.h"

#include "bpf/datapath.h"

enum { SLOTS = 4 };

static struct core_slots *slots;

/* As the pinned map is: it outlives the slots. */
static struct dp_circuit record[SLOTS + 1];
static uint32_t cleared[16], kept[16];
static size_t n_cleared, n_kept;

static void on_clear(uint32_t slot, void *arg)
{
	assert_ptr_equal(arg, record);
	cleared[n_cleared++] = slot;
}

static void on_kept(uint32_t slot, void *arg)
{
	assert_ptr_equal(arg, record);
	kept[n_kept++] = slot;
}

static const struct core_slots_kernel kernel = {record, on_clear, on_kept,
						record};

static int begin(void **state)
{
	(void)state;
	memset(record, 0, sizeof(record));
	n_cleared = n_kept = 0;
	return core_slots_new(&slots, SLOTS);
}

static int end(void **state)
{
	(void)state;
	core_slots_free(&slots);
	return 0;
}

static bool nobody(uint32_t slot)
{
	return !record[slot].id[0] && !record[slot].id[1];
}

/* Another run, which reads what the last one left. */
static void next_run(void)
{
	core_slots_free(&slots);
	assert_int_equal(core_slots_new(&slots, SLOTS), 0);
	assert_int_equal(core_slots_remember(slots, record), 0);
	n_cleared = n_kept = 0;
}

/* a, b, c in 1, 2, 3; b is placed. */
static void first_run(void)
{
	assert_int_equal(core_slots_take(slots, "a"), 1);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	core_slots_place(slots, 2, 7, 0x10003);
	core_slots_connect(slots, &kernel);
	assert_int_equal(core_slots_take(slots, "c"), 3);
}

static void in_order_then_the_oldest(void **state)
{
	(void)state;
	assert_int_equal(core_slots_take(slots, "a"), 1);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	core_slots_give(slots, 1);
	assert_int_equal(core_slots_take(slots, "c"), 3);
	core_slots_give_back(slots, 3);
	assert_int_equal(core_slots_take(slots, "d"), 3);
	assert_int_equal(core_slots_take(slots, "e"), 4);
	assert_int_equal(core_slots_take(slots, "f"), 1);
	assert_int_equal(core_slots_take(slots, "g"), 0);
}

static void the_record_follows(void **state)
{
	struct dp_circuit b;

	(void)state;
	first_run();
	assert_int_equal(n_cleared, 0);
	assert_int_equal(n_kept, 0);
	assert_false(nobody(1));
	assert_int_equal(record[1].cpu, UINT32_MAX);
	assert_int_equal(record[1].handle, 0);
	assert_int_equal(record[2].cpu, 7);
	assert_int_equal(record[2].handle, 0x10003);
	assert_false(nobody(3));
	assert_true(nobody(4));
	assert_memory_not_equal(record[1].id, record[2].id, 16);

	b = record[2];
	core_slots_place(slots, 2, 5, 0x20004);
	assert_int_equal(record[2].handle, 0x20004);
	assert_memory_equal(record[2].id, b.id, 16);
	core_slots_give(slots, 2);
	assert_true(nobody(2));
	assert_int_equal(core_slots_take(slots, "d"), 4);
	assert_int_equal(n_cleared, 0);
	/* It has been b's: what was counted is not e's. */
	assert_int_equal(core_slots_take(slots, "e"), 2);
	assert_int_equal(n_cleared, 1);
	assert_int_equal(cleared[0], 2);
}

static void alone_again(void **state)
{
	(void)state;
	first_run();
	core_slots_connect(slots, NULL);
	core_slots_give(slots, 1);
	core_slots_place(slots, 2, 1, 0x10009);
	assert_false(nobody(1));
	assert_int_equal(record[2].handle, 0x10003);
}

static void the_next_run_knows_them(void **state)
{
	struct dp_circuit before[SLOTS + 1];
	uint32_t cpu = 99, handle = 99;

	(void)state;
	first_run();
	next_run();
	memcpy(before, record, sizeof(before));
	/* Another order, a gone, d new: it gets the slot that nobody had. */
	assert_int_equal(core_slots_take(slots, "d"), 4);
	assert_int_equal(core_slots_take(slots, "c"), 3);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	assert_int_equal(core_slots_before(slots, 2, &cpu, &handle), 0);
	assert_int_equal(cpu, 7);
	assert_int_equal(handle, 0x10003);
	cpu = handle = 99;
	assert_int_equal(core_slots_before(slots, 3, &cpu, &handle), -ENOENT);
	assert_int_equal(core_slots_before(slots, 4, &cpu, &handle), -ENOENT);
	assert_int_equal(core_slots_before(slots, 1, &cpu, &handle), -ENOENT);
	assert_int_equal(core_slots_before(slots, 0, &cpu, &handle), -ENOENT);
	assert_int_equal(core_slots_before(slots, 5, &cpu, &handle), -ENOENT);
	assert_int_equal(cpu, 99);
	core_slots_place(slots, 2, 3, 0x10004);
	/* Nothing is told before all is built. */
	assert_memory_equal(record, before, sizeof(before));
	assert_int_equal(n_cleared, 0);

	core_slots_connect(slots, &kernel);
	assert_int_equal(n_kept, 2);
	assert_int_equal(kept[0], 2);
	assert_int_equal(kept[1], 3);
	assert_int_equal(n_cleared, 1);
	assert_int_equal(cleared[0], 4);
	assert_true(nobody(1));
	assert_int_equal(record[2].cpu, 3);
	assert_int_equal(record[2].handle, 0x10004);
	assert_int_equal(core_slots_before(slots, 2, &cpu, &handle), -ENOENT);
	/* a is back, too late: its slot is as any other, its counts are gone.
	 */
	assert_int_equal(core_slots_take(slots, "a"), 1);
	assert_int_equal(n_cleared, 2);
	assert_int_equal(cleared[1], 1);
	assert_int_equal(core_slots_take(slots, "x"), 0);
}

static void a_run_that_dies_while_it_starts(void **state)
{
	uint32_t cpu, handle;

	(void)state;
	first_run();
	next_run();
	assert_int_equal(core_slots_take(slots, "x"), 4);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	next_run();
	assert_int_equal(core_slots_take(slots, "c"), 3);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	assert_int_equal(core_slots_before(slots, 2, &cpu, &handle), 0);
	assert_int_equal(core_slots_take(slots, "a"), 1);
}

/* All are held for others, but it is today's circuits that count. */
static void held_ones_are_the_last_to_go(void **state)
{
	uint32_t first;

	(void)state;
	first_run();
	assert_int_equal(core_slots_take(slots, "d"), 4);
	next_run();
	first = core_slots_take(slots, "x");
	assert_true(first);
	core_slots_connect(slots, &kernel);
	assert_int_equal(n_kept, 0);
	assert_int_equal(n_cleared, 1);
	assert_int_equal(cleared[0], first);
	assert_true(nobody(first % SLOTS + 1));
	assert_int_not_equal(core_slots_take(slots, "y"), first);
	assert_int_equal(n_cleared, 2);
}

/* Dropped and made again while starting: its counts went with the first. */
static void gone_and_back_in_one_start(void **state)
{
	(void)state;
	first_run();
	assert_int_equal(core_slots_take(slots, "d"), 4);
	next_run();
	assert_int_equal(core_slots_take(slots, "b"), 2);
	core_slots_give_back(slots, 2);
	assert_int_equal(core_slots_take(slots, "b"), 2);
	core_slots_connect(slots, &kernel);
	assert_int_equal(n_kept, 0);
	assert_int_equal(n_cleared, 1);
}

/* A record that was written half, or by a fool. */
static void the_same_circuit_twice(void **state)
{
	uint32_t one, two;

	(void)state;
	first_run();
	record[4] = record[2];
	next_run();
	one = core_slots_take(slots, "b");
	assert_true(one == 2 || one == 4);
	two = core_slots_take(slots, "z");
	assert_true(two);
	assert_int_not_equal(one, two);
	core_slots_connect(slots, &kernel);
	assert_int_equal(n_kept, 1);
	assert_int_equal(kept[0], one);
	assert_int_equal(cleared[0], two);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(in_order_then_the_oldest),
		TEST(the_record_follows),
		TEST(alone_again),
		TEST(the_next_run_knows_them),
		TEST(a_run_that_dies_while_it_starts),
		TEST(held_ones_are_the_last_to_go),
		TEST(gone_and_back_in_one_start),
		TEST(the_same_circuit_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
