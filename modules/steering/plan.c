/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/steering/plan.h"

enum { NOWHERE = UINT32_MAX, ROOM = PLAN_MINOR_MAX - PLAN_MINOR_FIRST + 1 };

struct circuit {
	uint32_t node;
	uint32_t handle;
	uint64_t rate;
	bool there;
	struct plan_choice choice; /* at the root */
};

struct queue {
	uint64_t load;
	uint32_t unrated; /* circuits without a rate, empty top-level nodes */
	uint32_t next;	  /* no minor below is free */
	uint32_t taken;	  /* minors that are used or reserved */
	/* A bit a minor: */
	uint8_t used[PLAN_MINOR_MAX / 8 + 1];
	uint8_t reserved[PLAN_MINOR_MAX / 8 + 1];
};

struct node {
	uint32_t top; /* its top-level ancestor; 0: it is the root */
	uint32_t handle;
	uint64_t cap; /* bit/s; 0: none */
	/* Of a top-level node, with all below: */
	uint64_t load;
	uint32_t unrated;
	uint32_t queue; /* NOWHERE: not yet */
	struct plan_choice choice;
};

struct plan {
	struct queue *queues;
	uint32_t n_queues;
	struct node *nodes;
	uint32_t n_nodes;
	struct circuit *circuits; /* by slot */
	uint32_t n_circuits;	  /* there is room for */
};

int plan_new(struct plan **out, uint32_t queues,
	     const struct lqos_node *const *nodes, uint32_t n_nodes)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	uint32_t i;

	if (!plan)
		return -ENOMEM;
	plan->n_queues = queues;
	plan->n_nodes = n_nodes;
	plan->queues = calloc(queues, sizeof(*plan->queues));
	plan->nodes = calloc(n_nodes, sizeof(*plan->nodes));
	if (!plan->queues || !plan->nodes) {
		plan_free(&plan);
		return -ENOMEM;
	}
	for (i = 0; i < queues; i++)
		plan->queues[i].next = PLAN_MINOR_FIRST;
	for (i = 0; i < n_nodes; i++) {
		uint32_t parent = nodes[i]->parent;

		plan->nodes[i].queue = NOWHERE;
		plan->nodes[i].cap = nodes[i]->down_max;
		if (i)
			plan->nodes[i].top =
				parent ? plan->nodes[parent].top : i;
	}
	*out = plan;
	return 0;
}

void plan_free(struct plan **plan)
{
	if (!*plan)
		return;
	free((*plan)->queues);
	free((*plan)->nodes);
	free((*plan)->circuits);
	free(*plan);
	*plan = NULL;
}

/* ---- Minors -------------------------------------------------------------- */

static bool is_used(const struct queue *queue, uint32_t minor)
{
	return queue->used[minor / 8] & 1 << minor % 8;
}

static bool is_free(const struct queue *queue, uint32_t minor)
{
	return minor >= PLAN_MINOR_FIRST && !is_used(queue, minor) &&
	       !(queue->reserved[minor / 8] & 1 << minor % 8);
}

static void use_minor(struct queue *queue, uint32_t minor)
{
	queue->used[minor / 8] |= 1 << minor % 8;
	queue->taken++;
}

static void free_minor(struct queue *queue, uint32_t minor)
{
	queue->used[minor / 8] &= ~(1 << minor % 8);
	if (!is_free(queue, minor))
		return;
	queue->taken--;
	if (minor < queue->next)
		queue->next = minor;
}

static int take_handle(struct plan *plan, uint32_t which, uint32_t *handle)
{
	struct queue *queue = &plan->queues[which];
	uint32_t minor = queue->next;

	while (minor <= PLAN_MINOR_MAX && !is_free(queue, minor))
		minor++;
	queue->next = minor;
	if (minor > PLAN_MINOR_MAX)
		return -ENOSPC;
	use_minor(queue, minor);
	*handle = (which + 1) << 16 | minor;
	return 0;
}

void plan_reserve(struct plan *plan, uint32_t handle)
{
	uint32_t minor = handle & 0xffff;
	struct queue *queue;

	if (plan_queue(handle) >= plan->n_queues)
		return;
	queue = &plan->queues[plan_queue(handle)];
	queue->taken += is_free(queue, minor);
	queue->reserved[minor / 8] |= 1 << minor % 8;
}

void plan_unreserve(struct plan *plan)
{
	uint32_t i, minor;

	for (i = 0; i < plan->n_queues; i++) {
		struct queue *queue = &plan->queues[i];

		memset(queue->reserved, 0, sizeof(queue->reserved));
		queue->next = PLAN_MINOR_FIRST;
		queue->taken = 0;
		for (minor = PLAN_MINOR_FIRST; minor <= PLAN_MINOR_MAX; minor++)
			queue->taken += is_used(queue, minor);
	}
}

bool plan_has(const struct plan *plan, uint32_t handle)
{
	return plan_queue(handle) < plan->n_queues &&
	       is_used(&plan->queues[plan_queue(handle)], handle & 0xffff);
}

/* ---- What is sold -------------------------------------------------------- */

/* What a top-level node asks of its queue: no more than it may use itself. */
static uint64_t demand(const struct node *top)
{
	return top->cap && top->cap < top->load ? top->cap : top->load;
}

/* The circuit counts, where it is (sign is 1), or does not any more (-1). */
static void count(struct plan *plan, const struct circuit *c, int sign)
{
	struct node *top = &plan->nodes[plan->nodes[c->node].top];
	uint32_t where = NOWHERE, unrated = c->rate ? 0 : sign;
	uint64_t load = sign < 0 ? -c->rate : c->rate, before;

	if (top != plan->nodes) {
		before = demand(top);
		unrated -= !top->load;
		top->load += load;
		top->unrated += c->rate ? 0 : sign;
		unrated += !top->load;
		load = demand(top) - before;
		where = top->queue;
	} else if (c->handle) {
		where = plan_queue(c->handle);
	}
	if (where == NOWHERE)
		return;
	plan->queues[where].load += load;
	plan->queues[where].unrated += unrated;
}

static int make_room(struct plan *plan, uint32_t slot)
{
	uint32_t n = plan->n_circuits ?: 64;
	struct circuit *more;

	while (n <= slot)
		n *= 2;
	if (n == plan->n_circuits)
		return 0;
	more = reallocarray(plan->circuits, n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(&more[plan->n_circuits], 0,
	       (n - plan->n_circuits) * sizeof(*more));
	plan->circuits = more;
	plan->n_circuits = n;
	return 0;
}

int plan_add(struct plan *plan, uint32_t slot, uint32_t node, uint64_t down_max)
{
	int rc = make_room(plan, slot);

	if (rc)
		return rc;
	plan->circuits[slot] = (struct circuit){
		.node = node < plan->n_nodes ? node : 0,
		.rate = down_max,
		.there = true,
	};
	count(plan, &plan->circuits[slot], 1);
	return 0;
}

/* ---- Queues -------------------------------------------------------------- */

/* Is a better than b for something of that rate? */
static bool is_better(const struct queue *a, const struct queue *b,
		      uint64_t rate)
{
	if (rate && a->load != b->load)
		return a->load < b->load;
	if (a->unrated != b->unrated)
		return a->unrated < b->unrated;
	return a->load < b->load;
}

/* For something of that rate that needs so many minors, where some are promised
 * already (NULL: none). */
static uint32_t choose(const struct plan *plan, uint64_t rate, uint32_t minors,
		       const uint32_t *promised, struct plan_choice *choice)
{
	const struct queue *queue, *best = NULL;

	for (queue = plan->queues; queue < plan->queues + plan->n_queues;
	     queue++) {
		uint32_t taken = queue->taken;

		taken += promised ? promised[queue - plan->queues] : 0;
		if (taken + minors <= ROOM &&
		    (!best || is_better(queue, best, rate)))
			best = queue;
	}
	if (!best)
		return NOWHERE;
	*choice = (struct plan_choice){
		.why = rate ? PLAN_LEAST_SOLD : PLAN_FEWEST,
		.had = rate ? best->load : best->unrated,
	};
	return best - plan->queues;
}

static int place(struct plan *plan, struct circuit *c)
{
	uint32_t top = plan->nodes[c->node].top, queue;
	int rc;

	if (top)
		return take_handle(plan, plan->nodes[top].queue, &c->handle);
	queue = choose(plan, c->rate, 1, NULL, &c->choice);
	if (queue == NOWHERE)
		return -ENOSPC;
	rc = take_handle(plan, queue, &c->handle);
	if (!rc)
		count(plan, c, 1);
	return rc;
}

static void place_top(struct plan *plan, struct node *top, uint32_t queue)
{
	top->queue = queue;
	plan->queues[queue].load += demand(top);
	plan->queues[queue].unrated += top->unrated + !top->load;
}

/* ---- An earlier plan's classes ------------------------------------------- */

static int keep(struct plan *plan, uint32_t top, uint32_t handle)
{
	uint32_t which = plan_queue(handle);
	struct queue *queue;

	if (which >= plan->n_queues || (top && plan->nodes[top].queue != which))
		return -EINVAL;
	queue = &plan->queues[which];
	if (!is_free(queue, handle & 0xffff))
		return -EEXIST;
	use_minor(queue, handle & 0xffff);
	return 0;
}

int plan_keep_node(struct plan *plan, uint32_t node, uint32_t handle)
{
	struct node *n = &plan->nodes[node];
	int rc = keep(plan, n->top == node ? 0 : n->top, handle);

	if (rc)
		return rc;
	n->handle = handle;
	if (n->top == node) {
		place_top(plan, n, plan_queue(handle));
		n->choice.why = PLAN_KEPT;
	}
	return 0;
}

int plan_keep(struct plan *plan, uint32_t slot, uint32_t handle)
{
	struct circuit *c = &plan->circuits[slot];
	uint32_t top = plan->nodes[c->node].top;
	int rc = keep(plan, top, handle);

	if (rc)
		return rc;
	c->handle = handle;
	c->choice.why = PLAN_KEPT;
	if (!top)
		count(plan, c, 1);
	return 0;
}

/* ---- The plan ------------------------------------------------------------ */

/* Something that goes to a queue as a whole. */
struct item {
	uint64_t rate;
	uint32_t id;
};

/* Most first; equals in the order of the files. */
static int by_rate(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate < y->rate ? 1 : -1;
	return x->id < y->id ? -1 : 1;
}

/* Of each top-level node: minors that it and all below will still take. */
static void count_minors(const struct plan *plan, uint32_t *minors)
{
	uint32_t i;

	for (i = 1; i < plan->n_nodes; i++)
		if (!plan->nodes[i].handle)
			minors[plan->nodes[i].top]++;
	for (i = 0; i < plan->n_circuits; i++) {
		const struct circuit *c = &plan->circuits[i];

		if (c->there && !c->handle)
			minors[plan->nodes[c->node].top]++;
	}
}

static void place_tops(struct plan *plan, struct item *tops, uint32_t n,
		       const uint32_t *minors, uint32_t *promised)
{
	struct node *top;
	uint32_t i, queue;

	for (i = 1; i < plan->n_nodes; i++)
		if (plan->nodes[i].top == i && plan->nodes[i].queue != NOWHERE)
			promised[plan->nodes[i].queue] += minors[i];
	for (i = 0; i < n; i++) {
		top = &plan->nodes[tops[i].id];
		queue = choose(plan, tops[i].rate, minors[tops[i].id], promised,
			       &top->choice);
		/* It fits nowhere: some of it will go without. */
		if (queue == NOWHERE)
			queue = choose(plan, tops[i].rate, 0, NULL,
				       &top->choice);
		place_top(plan, top, queue);
		promised[queue] += minors[tops[i].id];
	}
}

static int place_nodes(struct plan *plan)
{
	struct item *tops = calloc(plan->n_nodes, sizeof(*tops));
	uint32_t *minors = calloc(plan->n_nodes, sizeof(*minors));
	uint32_t *promised = calloc(plan->n_queues, sizeof(*promised));
	uint32_t n = 0, i;
	int rc = tops && minors && promised ? 0 : -ENOMEM;

	for (i = 1; i < plan->n_nodes && !rc; i++)
		if (plan->nodes[i].top == i && plan->nodes[i].queue == NOWHERE)
			tops[n++] = (struct item){demand(&plan->nodes[i]), i};
	if (!rc) {
		qsort(tops, n, sizeof(*tops), by_rate);
		count_minors(plan, minors);
		place_tops(plan, tops, n, minors, promised);
	}
	free(tops);
	free(minors);
	free(promised);
	for (i = 1; i < plan->n_nodes && !rc; i++)
		if (!plan->nodes[i].handle)
			rc = take_handle(plan,
					 plan->nodes[plan->nodes[i].top].queue,
					 &plan->nodes[i].handle);
	return rc;
}

static bool is_waiting(const struct circuit *c)
{
	return c->there && !c->handle;
}

int plan_make(struct plan *plan)
{
	struct item *alone;
	uint32_t n = 0, i;
	int rc = place_nodes(plan);

	if (rc)
		return rc;
	for (i = 0; i < plan->n_circuits; i++)
		if (is_waiting(&plan->circuits[i]) && plan->circuits[i].node)
			place(plan, &plan->circuits[i]);
	/* Circuits at the root each go where there is most room. */
	alone = calloc(plan->n_circuits ?: 1, sizeof(*alone));
	if (!alone)
		return -ENOMEM;
	for (i = 0; i < plan->n_circuits; i++)
		if (is_waiting(&plan->circuits[i]) && !plan->circuits[i].node)
			alone[n++] = (struct item){plan->circuits[i].rate, i};
	qsort(alone, n, sizeof(*alone), by_rate);
	for (i = 0; i < n; i++)
		place(plan, &plan->circuits[alone[i].id]);
	free(alone);
	return 0;
}

int plan_place(struct plan *plan, uint32_t slot, uint32_t node,
	       uint64_t down_max)
{
	struct circuit *c;
	int rc;

	if (node >= plan->n_nodes)
		node = 0;
	if (plan_handle(plan, slot) && plan->circuits[slot].node == node) {
		c = &plan->circuits[slot];
		count(plan, c, -1);
		c->rate = down_max;
		count(plan, c, 1);
		return 0;
	}
	plan_remove(plan, slot);
	rc = plan_add(plan, slot, node, down_max);
	return rc ?: place(plan, &plan->circuits[slot]);
}

void plan_remove(struct plan *plan, uint32_t slot)
{
	struct circuit *c;

	if (slot >= plan->n_circuits || !plan->circuits[slot].there)
		return;
	c = &plan->circuits[slot];
	count(plan, c, -1);
	if (c->handle)
		free_minor(&plan->queues[plan_queue(c->handle)],
			   c->handle & 0xffff);
	*c = (struct circuit){};
}

/* ---- Answers ------------------------------------------------------------- */

uint32_t plan_handle(const struct plan *plan, uint32_t slot)
{
	return slot < plan->n_circuits ? plan->circuits[slot].handle : 0;
}

uint32_t plan_node_handle(const struct plan *plan, uint32_t node)
{
	return node < plan->n_nodes ? plan->nodes[node].handle : 0;
}

uint64_t plan_load(const struct plan *plan, uint32_t queue)
{
	return queue < plan->n_queues ? plan->queues[queue].load : 0;
}

uint32_t plan_room(const struct plan *plan, uint32_t queue)
{
	return queue < plan->n_queues ? ROOM - plan->queues[queue].taken : 0;
}

struct plan_choice plan_choice(const struct plan *plan, uint32_t slot)
{
	return slot < plan->n_circuits ? plan->circuits[slot].choice
				       : (struct plan_choice){};
}

struct plan_choice plan_node_choice(const struct plan *plan, uint32_t node)
{
	return node < plan->n_nodes ? plan->nodes[node].choice
				    : (struct plan_choice){};
}

uint32_t plan_top(const struct plan *plan, uint32_t node)
{
	return node < plan->n_nodes ? plan->nodes[node].top : 0;
}
