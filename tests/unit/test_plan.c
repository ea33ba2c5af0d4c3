/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "modules/steering/plan.h"

enum { MBIT = 1000000 };

/* root - { a (100M) - { a1 - { a2 } }, b (no cap), c (50M) } */
static const struct lqos_node tree[] = {
	{.id = 0, .name = ""},
	{.id = 1, .parent = 0, .name = "a", .down_max = 100 * MBIT},
	{.id = 2, .parent = 1, .name = "a1"},
	{.id = 3, .parent = 2, .name = "a2"},
	{.id = 4, .parent = 0, .name = "b"},
	{.id = 5, .parent = 0, .name = "c", .down_max = 50 * MBIT},
};
static const struct lqos_node *const nodes[] = {&tree[0], &tree[1], &tree[2],
						&tree[3], &tree[4], &tree[5]};

static struct plan *make(uint32_t queues)
{
	struct plan *plan;

	assert_int_equal(plan_new(&plan, queues, nodes, 6), 0);
	return plan;
}

static void test_nodes_stay_together(void **state)
{
	struct plan *plan = make(2);
	uint32_t slot, queue;

	(void)state;
	for (slot = 1; slot <= 4; slot++)
		assert_int_equal(
			plan_add(plan, slot, slot <= 3 ? slot : 4, 40 * MBIT),
			0);
	assert_int_equal(plan_make(plan), 0);
	queue = plan_queue(plan_handle(plan, 1));
	assert_int_equal(plan_queue(plan_handle(plan, 2)), queue);
	assert_int_equal(plan_queue(plan_handle(plan, 3)), queue);
	assert_int_equal(plan_queue(plan_node_handle(plan, 3)), queue);
	/* b goes where a is not. */
	assert_int_not_equal(plan_queue(plan_handle(plan, 4)), queue);
	/* a sells 120 but may use only 100. */
	assert_int_equal(plan_load(plan, queue), 100 * MBIT);
	plan_free(&plan);
	assert_null(plan);
}

static void test_minors(void **state)
{
	struct plan *plan = make(1);
	uint32_t slot, other;

	(void)state;
	for (slot = 1; slot <= 10; slot++)
		assert_int_equal(plan_add(plan, slot, 0, MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	/* Nodes first, from 3, in the order of the file. */
	assert_int_equal(plan_node_handle(plan, 1), 1 << 16 | 3);
	assert_int_equal(plan_node_handle(plan, 5), 1 << 16 | 7);
	assert_int_equal(plan_handle(plan, 1), 1 << 16 | 8);
	for (slot = 1; slot <= 10; slot++)
		for (other = 1; other < slot; other++)
			assert_int_not_equal(plan_handle(plan, slot),
					     plan_handle(plan, other));
	assert_int_equal(plan_handle(plan, 11), 0);
	assert_int_equal(plan_handle(plan, 4000000), 0);
	plan_free(&plan);
}

static void test_balance(void **state)
{
	static const uint64_t rates[] = {10, 90, 20, 80, 50, 50};
	struct plan *plan = make(3);
	uint32_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		assert_int_equal(plan_add(plan, i + 1, 0, rates[i] * MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(plan_load(plan, i), 100 * MBIT);
	plan_free(&plan);
}

static void test_same_every_time(void **state)
{
	struct plan *a = make(4), *b = make(4);
	uint32_t slot;

	(void)state;
	for (slot = 1; slot < 1000; slot++)
		assert_int_equal(
			plan_add(a, slot, slot % 6, slot * 7919 % 100 * MBIT),
			0);
	/* Added the other way round. */
	for (slot = 999; slot >= 1; slot--)
		assert_int_equal(
			plan_add(b, slot, slot % 6, slot * 7919 % 100 * MBIT),
			0);
	assert_int_equal(plan_make(a), 0);
	assert_int_equal(plan_make(b), 0);
	for (slot = 1; slot < 1000; slot++)
		assert_int_equal(plan_handle(a, slot), plan_handle(b, slot));
	plan_free(&a);
	plan_free(&b);
}

static void test_later_ones_move_nobody(void **state)
{
	struct plan *plan = make(2);
	uint32_t before[20], slot, freed;

	(void)state;
	for (slot = 1; slot < 20; slot++)
		assert_int_equal(plan_add(plan, slot, slot % 6, 10 * MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	for (slot = 1; slot < 20; slot++)
		before[slot] = plan_handle(plan, slot);
	freed = before[7]; /* under node 1 */
	plan_remove(plan, 7);
	assert_int_equal(plan_handle(plan, 7), 0);
	assert_int_equal(plan_place(plan, 50, 1, 10 * MBIT), 0);
	assert_int_equal(plan_handle(plan, 50), freed);
	for (slot = 1; slot < 20; slot++)
		if (slot != 7)
			assert_int_equal(plan_handle(plan, slot), before[slot]);
	plan_remove(plan, 7);
	plan_remove(plan, 5000000);
	plan_free(&plan);
}

static void test_full(void **state)
{
	struct plan *plan = make(1);
	uint32_t room = PLAN_MINOR_MAX - PLAN_MINOR_FIRST + 1 - 5, slot;

	(void)state;
	for (slot = 1; slot <= room + 2; slot++)
		assert_int_equal(plan_add(plan, slot, 0, MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	assert_int_equal(plan_handle(plan, room), 1 << 16 | PLAN_MINOR_MAX);
	assert_int_equal(plan_handle(plan, room + 1), 0);
	assert_int_equal(plan_place(plan, room + 3, 0, MBIT), -ENOSPC);
	plan_remove(plan, 1);
	assert_int_equal(plan_place(plan, room + 4, 0, MBIT), 0);
	plan_free(&plan);
}

static void test_a_changed_rate(void **state)
{
	struct plan *plan = make(2);
	uint32_t handle, queue;

	(void)state;
	assert_int_equal(plan_add(plan, 1, 3, 40 * MBIT), 0);
	assert_int_equal(plan_add(plan, 2, 0, 30 * MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	handle = plan_handle(plan, 1);
	queue = plan_queue(handle);
	assert_int_equal(plan_place(plan, 1, 3, 70 * MBIT), 0);
	assert_int_equal(plan_handle(plan, 1), handle);
	assert_int_equal(plan_load(plan, queue), 70 * MBIT);
	/* Never more than a's 100. */
	assert_int_equal(plan_place(plan, 1, 3, 700 * MBIT), 0);
	assert_int_equal(plan_load(plan, queue), 100 * MBIT);
	assert_int_equal(plan_place(plan, 2, 0, 5 * MBIT), 0);
	assert_int_equal(plan_load(plan, 1 - queue), 5 * MBIT);
	plan_remove(plan, 1);
	assert_int_equal(plan_load(plan, queue), 0);
	/* To another node: another class. */
	assert_int_equal(plan_place(plan, 1, 3, 40 * MBIT), 0);
	assert_int_equal(plan_place(plan, 1, 4, 40 * MBIT), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 1)),
			 plan_queue(plan_node_handle(plan, 4)));
	plan_free(&plan);
}

static void test_reserved(void **state)
{
	struct plan *plan = make(1);

	(void)state;
	plan_reserve(plan, 1 << 16 | 4);
	plan_reserve(plan, 1 << 16 | 8);
	plan_reserve(plan, 2 << 16 | 3); /* no such queue */
	plan_reserve(plan, 0);
	assert_int_equal(plan_add(plan, 1, 0, MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	assert_int_equal(plan_node_handle(plan, 2), 1 << 16 | 5);
	assert_int_equal(plan_node_handle(plan, 5), 1 << 16 | 9);
	assert_int_equal(plan_handle(plan, 1), 1 << 16 | 10);
	assert_true(plan_has(plan, 1 << 16 | 10));
	assert_false(plan_has(plan, 1 << 16 | 4));
	assert_false(plan_has(plan, 2 << 16 | 4));
	assert_false(plan_has(plan, 0));
	plan_unreserve(plan);
	assert_int_equal(plan_place(plan, 2, 0, MBIT), 0);
	assert_int_equal(plan_handle(plan, 2), 1 << 16 | 4);
	plan_free(&plan);
}

static void test_unknown_node_is_root(void **state)
{
	struct plan *plan = make(2);

	(void)state;
	assert_int_equal(plan_add(plan, 1, 77, MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	assert_int_not_equal(plan_handle(plan, 1), 0);
	plan_free(&plan);
}

/* What has no rate is spread by number, and not all on one queue. */
static void test_without_a_rate(void **state)
{
	struct plan *plan = make(3);
	uint32_t on[3] = {}, slot;

	(void)state;
	for (slot = 1; slot <= 9; slot++)
		assert_int_equal(plan_add(plan, slot, 0, 0), 0);
	assert_int_equal(plan_make(plan), 0);
	for (slot = 1; slot <= 9; slot++)
		on[plan_queue(plan_handle(plan, slot))]++;
	assert_int_equal(on[0], 3);
	assert_int_equal(on[1], 3);
	assert_int_equal(on[2], 3);
	/* So are those that come later, and where one has gone is room. */
	slot = plan_handle(plan, 5);
	plan_remove(plan, 5);
	assert_int_equal(plan_place(plan, 20, 0, 0), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 20)), plan_queue(slot));
	assert_int_equal(plan_choice(plan, 20).why, PLAN_FEWEST);
	/* Empty top-level nodes too. */
	on[plan_queue(plan_node_handle(plan, 1))] += 10;
	on[plan_queue(plan_node_handle(plan, 4))] += 10;
	on[plan_queue(plan_node_handle(plan, 5))] += 10;
	assert_int_equal(on[0], 13);
	assert_int_equal(on[1], 13);
	assert_int_equal(on[2], 13);
	/* One that gets a rate is not among them any more. */
	assert_int_equal(plan_place(plan, 20, 0, MBIT), 0);
	assert_int_equal(plan_place(plan, 21, 0, 0), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 21)), plan_queue(slot));
	plan_free(&plan);
}

static void test_a_full_queue_is_avoided(void **state)
{
	struct plan *plan = make(2);
	uint32_t minor, slot;

	(void)state;
	for (minor = PLAN_MINOR_FIRST; minor < PLAN_MINOR_MAX; minor++)
		plan_reserve(plan, 1 << 16 | minor);
	assert_int_equal(plan_room(plan, 0), 1);
	/* a needs more than queue 1 has, though it comes first. */
	for (slot = 1; slot <= 3; slot++)
		assert_int_equal(plan_add(plan, slot, slot, 40 * MBIT), 0);
	assert_int_equal(plan_add(plan, 4, 0, 5 * MBIT), 0);
	assert_int_equal(plan_add(plan, 5, 0, MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	for (slot = 1; slot <= 3; slot++)
		assert_int_equal(plan_queue(plan_handle(plan, slot)), 1);
	/* Of nodes and circuits one alone got the last minor of queue 1. */
	assert_int_equal(plan_room(plan, 0), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 5)), 1);
	assert_int_equal(plan_place(plan, 6, 0, MBIT), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 6)), 1);
	plan_free(&plan);
}

static void test_choices(void **state)
{
	struct plan *plan = make(2);

	(void)state;
	assert_int_equal(plan_add(plan, 1, 3, 400 * MBIT), 0);
	assert_int_equal(plan_add(plan, 2, 4, 70 * MBIT), 0);
	assert_int_equal(plan_add(plan, 3, 0, 20 * MBIT), 0);
	assert_int_equal(plan_make(plan), 0);
	assert_int_equal(plan_top(plan, 3), 1);
	assert_int_equal(plan_top(plan, 0), 0);
	assert_int_equal(plan_node_choice(plan, 1).why, PLAN_LEAST_SOLD);
	assert_int_equal(plan_node_choice(plan, 1).had, 0);
	assert_int_equal(plan_node_choice(plan, 3).why, PLAN_UNPLACED);
	assert_int_equal(plan_node_choice(plan, 5).why, PLAN_FEWEST);
	assert_int_equal(plan_choice(plan, 1).why, PLAN_UNPLACED);
	assert_int_equal(plan_choice(plan, 3).why, PLAN_LEAST_SOLD);
	assert_int_equal(plan_choice(plan, 3).had, 70 * MBIT);
	plan_free(&plan);
}

static void test_kept(void **state)
{
	struct plan *plan = make(2);

	(void)state;
	assert_int_equal(plan_add(plan, 1, 3, 40 * MBIT), 0);
	assert_int_equal(plan_add(plan, 2, 0, 90 * MBIT), 0);
	assert_int_equal(plan_add(plan, 3, 0, 10 * MBIT), 0);
	assert_int_equal(plan_add(plan, 4, 1, 0), 0);
	plan_reserve(plan, 2 << 16 | 7);
	assert_int_equal(plan_keep_node(plan, 1, 2 << 16 | 30), 0);
	assert_int_equal(plan_keep_node(plan, 2, 1 << 16 | 30), -EINVAL);
	assert_int_equal(plan_keep_node(plan, 2, 2 << 16 | 30), -EEXIST);
	assert_int_equal(plan_keep_node(plan, 2, 2 << 16 | 31), 0);
	assert_int_equal(plan_keep_node(plan, 4, 3 << 16 | 5), -EINVAL);
	assert_int_equal(plan_keep_node(plan, 4, 0), -EINVAL);
	assert_int_equal(plan_keep(plan, 1, 1 << 16 | 9), -EINVAL);
	assert_int_equal(plan_keep(plan, 1, 2 << 16 | 31), -EEXIST);
	assert_int_equal(plan_keep(plan, 1, 2 << 16 | 7), -EEXIST);
	assert_int_equal(plan_keep(plan, 1, 2 << 16 | 2), -EEXIST);
	assert_int_equal(plan_keep(plan, 1, 2 << 16 | 99), 0);
	assert_int_equal(plan_keep(plan, 2, 2 << 16 | 8), 0);
	assert_int_equal(plan_load(plan, 1), 130 * MBIT);
	assert_int_equal(plan_make(plan), 0);
	assert_int_equal(plan_node_handle(plan, 1), 2 << 16 | 30);
	assert_int_equal(plan_node_handle(plan, 2), 2 << 16 | 31);
	assert_int_equal(plan_node_handle(plan, 3), 2 << 16 | 3);
	assert_int_equal(plan_node_choice(plan, 1).why, PLAN_KEPT);
	assert_int_equal(plan_handle(plan, 1), 2 << 16 | 99);
	assert_int_equal(plan_handle(plan, 2), 2 << 16 | 8);
	assert_int_equal(plan_choice(plan, 2).why, PLAN_KEPT);
	assert_int_equal(plan_queue(plan_handle(plan, 3)), 0);
	assert_int_equal(plan_queue(plan_handle(plan, 4)), 1);
	plan_remove(plan, 1);
	plan_remove(plan, 2);
	assert_int_equal(plan_load(plan, 1), 0);
	plan_free(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_stay_together),
		cmocka_unit_test(test_minors),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_same_every_time),
		cmocka_unit_test(test_later_ones_move_nobody),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_a_changed_rate),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_unknown_node_is_root),
		cmocka_unit_test(test_without_a_rate),
		cmocka_unit_test(test_a_full_queue_is_avoided),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
