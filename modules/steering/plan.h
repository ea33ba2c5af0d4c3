/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.h - which queue and class each subscriber gets.  Pure arithmetic: the
 * same circuits and nodes always give the same plan.
 */
#ifndef STEERING_PLAN_H
#define STEERING_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lqos/module.h"

/* Minors below are the tree's own: 1 the root class, 2 the default. */
enum { PLAN_MINOR_FIRST = 3, PLAN_MINOR_MAX = 0xffff };

struct plan;

/* nodes[0] is the root; parents come before their children.  Nothing of nodes
 * is kept. */
int plan_new(struct plan **out, uint32_t queues,
	     const struct lqos_node *const *nodes, uint32_t n_nodes);
void plan_free(struct plan **plan);

/*
 * Where a circuit hangs under, and what it may use.  All circuits are added,
 * then the plan is made once; nodes under one top-level node share a queue, and
 * queues are filled evenly by the rate sold, what has no rate by number.
 */
int plan_add(struct plan *plan, uint32_t slot, uint32_t node,
	     uint64_t down_max);
/*
 * Between the two: a class of an earlier plan is kept, a node's before its
 * children's and all nodes' before circuits'.  -EINVAL: it is not of the queue
 * of its top-level node; -EEXIST: it is not free.
 */
int plan_keep_node(struct plan *plan, uint32_t node, uint32_t handle);
int plan_keep(struct plan *plan, uint32_t slot, uint32_t handle);
int plan_make(struct plan *plan);
/*
 * After plan_make(): place one circuit, and leave all others where they are.
 * One that has a class and is still under that node keeps it, with its new
 * rate.  -ENOSPC: the queue of its top-level node, or, for one at the root,
 * every queue, has no minor left.
 */
int plan_place(struct plan *plan, uint32_t slot, uint32_t node,
	       uint64_t down_max);
/* The circuit is gone: its minor may be given to another. */
void plan_remove(struct plan *plan, uint32_t slot);

/* A class that was given by hand: no circuit or node gets it from here on. */
void plan_reserve(struct plan *plan, uint32_t handle);
/* Forget all that was reserved. */
void plan_unreserve(struct plan *plan);
/* Has a circuit or node of the plan that class? */
bool plan_has(const struct plan *plan, uint32_t handle);

/* TC handle (queue + 1) << 16 | minor; 0: not placed. */
uint32_t plan_handle(const struct plan *plan, uint32_t slot);
uint32_t plan_node_handle(const struct plan *plan, uint32_t node);
/* Queue of a handle, from 0. */
static inline uint32_t plan_queue(uint32_t handle)
{
	return (handle >> 16) - 1;
}
/* Rate sold on a queue, in bit/s. */
uint64_t plan_load(const struct plan *plan, uint32_t queue);
/* Minors of a queue that nobody has. */
uint32_t plan_room(const struct plan *plan, uint32_t queue);

/* How a queue came to be that of a top-level node, or of a circuit that hangs
 * at the root: of all with room for it, it */
struct plan_choice {
	enum plan_why {
		PLAN_UNPLACED,
		PLAN_LEAST_SOLD, /* had sold least: had, in bit/s */
		PLAN_FEWEST,	 /* had fewest of those without a rate: had */
		PLAN_KEPT,	 /* had it by an earlier plan */
	} why;
	uint64_t had;
};
struct plan_choice plan_choice(const struct plan *plan, uint32_t slot);
struct plan_choice plan_node_choice(const struct plan *plan, uint32_t node);
/* The top-level node above a node, or that itself; 0: it is the root. */
uint32_t plan_top(const struct plan *plan, uint32_t node);

#endif /* STEERING_PLAN_H */
