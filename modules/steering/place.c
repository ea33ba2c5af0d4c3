/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the registry to the plan, and from the plan to the registry. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modules/steering/steering.h"

/* Placing looks at everybody: it rests for so many times as long as it took, so
 * that tens of thousands who come one by one are no work of hours. */
enum { REST = 4 };

/* FNV-1a (Fowler, Noll, Vo): has the tree changed? */
static uint64_t add_to_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *byte = data;

	while (len--)
		hash = (hash ^ *byte++) * 0x100000001b3ULL;
	return hash;
}

/* Of the network and the queues: what a plan was made for. */
static uint64_t hash_tree(const struct steering *st)
{
	uint64_t hash = add_to_hash(0xcbf29ce484222325ULL, &st->queues,
				    sizeof(st->queues));
	struct lqos_ctx *ctx = st->ctx;
	uint32_t i;

	for (i = 0; i < lqos_nodes(ctx); i++) {
		const struct lqos_node *node = lqos_node(ctx, i);

		hash = add_to_hash(hash, node->name, strlen(node->name) + 1);
		hash = add_to_hash(hash, &node->parent, sizeof(node->parent));
		hash = add_to_hash(hash, &node->down_max,
				   sizeof(node->down_max));
	}
	return hash ?: 1;
}

static int new_plan(struct steering *st, struct plan **out)
{
	uint32_t n = lqos_nodes(st->ctx), i;
	const struct lqos_node **nodes = calloc(n, sizeof(*nodes));
	int rc;

	if (!nodes)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		nodes[i] = lqos_node(st->ctx, i);
	rc = plan_new(out, st->queues, nodes, n);
	free(nodes);
	return rc;
}

bool steering_is_by_hand(const struct steering *st,
			 const struct lqos_subscriber *s)
{
	return s->handle != st->given[s->slot].handle;
}

/* What is gone leaves the plan, also where the slot has somebody else now: he
 * begins without a class.  What is placed by hand is reserved. */
static void look_around(struct steering *st, struct plan *plan)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	const struct lqos_subscriber *s;

	for (slot = 1; slot < slots; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (!s)
			st->given[slot] = (struct given){};
		if (!s || steering_is_by_hand(st, s)) {
			plan_remove(plan, slot);
			st->given[slot].handle = 0;
		}
		if (s && steering_is_by_hand(st, s))
			plan_reserve(plan, s->handle);
	}
}

struct reserving {
	struct steering *st;
	struct plan *plan;
};

/* Also of what was mapped in a run before. */
static int reserve_own(const struct lqos_prefix *p, void *arg)
{
	const struct reserving *r = arg;
	char ip[STEERING_PREFIX_TEXT], class[16];

	if (!p->own_place)
		return 0;
	if (!r->st->plan && plan_queue(p->handle) >= r->st->queues)
		lqos_log(r->st->ctx, LQOS_WARN,
			 "%s, which was mapped by hand before this start, is "
			 "not shaped: its class is %s, and there are %u queues "
			 "now: map it anew",
			 steering_prefix(p, ip, sizeof(ip)),
			 steering_class(p->handle, class, sizeof(class)),
			 r->st->queues);
	r->st->by_hand = true;
	plan_reserve(r->plan, p->handle);
	return 0;
}

/* Whose class an earlier run had given him keeps it, and so does every node,
 * where network and queues are the same: what shapes them need not change. */
static void keep_earlier(struct steering *st, struct plan *plan)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), i, cpu, handle;
	uint32_t nodes = 0, circuits = 0;
	const struct lqos_subscriber *s;

	for (i = 1; i < lqos_nodes(st->ctx); i++)
		nodes += !plan_keep_node(plan, i, (uint32_t)st->saved[i]);
	for (i = 1; i < slots; i++) {
		s = lqos_subscriber(st->ctx, i);
		if (s && !steering_is_by_hand(st, s) &&
		    !lqos_placed_before(st->ctx, i, &cpu, &handle))
			circuits += !plan_keep(plan, i, handle);
	}
	lqos_log(st->ctx, LQOS_INFO,
		 "%u nodes and %u circuits keep the classes that the run "
		 "before gave them",
		 nodes, circuits);
}

/* For the next run.  Whole at every moment: it may be our last. */
static void save_tree(struct steering *st)
{
	uint32_t n = lqos_nodes(st->ctx), i;

	if (!st->running)
		return;
	__atomic_store_n(&st->saved[0], 0, __ATOMIC_SEQ_CST);
	if (n > ST_TREE)
		return;
	for (i = 1; i < n; i++)
		st->saved[i] = plan_node_handle(st->plan, i);
	__atomic_store_n(&st->saved[0], st->tree, __ATOMIC_SEQ_CST);
}

static int fill_plan(struct steering *st, struct plan *plan, uint64_t tree)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	const struct lqos_subscriber *s;
	int rc = 0;

	for (slot = 1; slot < slots && !rc; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (s && !steering_is_by_hand(st, s))
			rc = plan_add(plan, slot, s->node, s->down_max);
	}
	if (!rc && !st->plan && st->saved[0] == tree &&
	    lqos_nodes(st->ctx) <= ST_TREE)
		keep_earlier(st, plan);
	return rc ?: plan_make(plan);
}

static void put(struct steering *st, const struct lqos_subscriber *s,
		uint32_t cpu, uint32_t handle)
{
	int rc;

	if (cpu == s->cpu && handle == s->handle)
		return;
	rc = lqos_place(st->ctx, s->slot, cpu, handle);
	if (rc)
		lqos_fail(st->ctx, rc,
			  "circuit %s stays as it is: expected to put it into "
			  "class %x:%x on CPU %d, and will try again with the "
			  "next change",
			  s->circuit_id, handle >> 16, handle & 0xffff,
			  (int)cpu);
}

/* What was put there by hand stays, but leaves a CPU that is offline until that
 * is back. */
static void put_by_hand(struct steering *st, const struct lqos_subscriber *s)
{
	struct given *given = &st->given[s->slot];

	if (s->cpu == UINT32_MAX)
		return;
	if (s->cpu != given->cpu)
		given->home = s->cpu;
	put(st, s, steering_stand_in(st, given->home), s->handle);
	given->cpu = s->cpu;
}

static void put_by_plan(struct steering *st, const struct lqos_subscriber *s)
{
	uint32_t handle = plan_handle(st->plan, s->slot);

	put(st, s,
	    handle ? steering_queue_cpu(st, plan_queue(handle)) : UINT32_MAX,
	    handle);
	st->given[s->slot] = (struct given){.handle = s->handle};
}

static void place_all(struct steering *st)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	uint32_t before = st->unplaced;
	const struct lqos_subscriber *s, *without = NULL;

	st->unplaced = 0;
	for (slot = 1; slot < slots; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (!s)
			continue;
		if (steering_is_by_hand(st, s)) {
			put_by_hand(st, s);
			continue;
		}
		plan_place(st->plan, slot, s->node, s->down_max);
		put_by_plan(st, s);
		if (plan_handle(st->plan, slot))
			continue;
		st->unplaced++;
		without = s;
	}
	if (without && st->unplaced != before)
		lqos_log(st->ctx, LQOS_ERR,
			 "%u circuits, among them %s, get no class: a queue "
			 "has room for %d nodes and circuits; spread them over "
			 "more top-level nodes or queues",
			 st->unplaced, without->circuit_id,
			 PLAN_MINOR_MAX - PLAN_MINOR_FIRST + 1);
}

/* Circuits stay where they are, unless the tree they hang in has changed.  The
 * plan there was serves on where a new one fails. */
static int make_plan(struct steering *st)
{
	uint64_t tree = hash_tree(st);
	bool fresh = !st->plan || tree != st->tree;
	struct plan *plan = st->plan;
	int rc = fresh ? new_plan(st, &plan) : 0;

	if (rc)
		return rc;
	if (st->released)
		plan_unreserve(plan);
	look_around(st, plan);
	if (fresh || st->released)
		lqos_prefixes(st->ctx, reserve_own,
			      &(struct reserving){st, plan});
	st->released = false;
	if (!fresh)
		return 0;
	rc = fill_plan(st, plan, tree);
	if (rc) {
		plan_free(&plan);
		return rc;
	}
	plan_free(&st->plan);
	st->plan = plan;
	st->tree = tree;
	save_tree(st);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int steering_place(struct steering *st)
{
	int64_t begin = now_ms();
	int rc = make_plan(st);

	st->changed = false;
	if (rc)
		return lqos_fail(st->ctx, rc,
				 "cannot plan: circuits stay where they are");
	place_all(st);
	st->rest_until = now_ms() + REST * (now_ms() - begin);
	return 0;
}

void steering_runs(struct steering *st)
{
	st->running = true;
	save_tree(st);
}

void steering_catch_up(struct steering *st)
{
	if (st->changed)
		steering_place(st);
}

static void on_timer(void *arg)
{
	steering_catch_up(arg);
}

void steering_changed(struct steering *st)
{
	int64_t wait = st->rest_until - now_ms();

	if (st->changed)
		return;
	st->changed = true;
	if (lqos_timer_once(st->ctx, wait > 0 ? wait : 0, on_timer, st, NULL))
		steering_catch_up(st);
}
