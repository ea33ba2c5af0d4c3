/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/steering/plan.h"

struct circuit {
	uint32_t node;
	uint32_t handle;
	uint64_t rate;
	bool there;
};

struct queue {
	uint64_t load;
	uint32_t next; /* no minor below is free */
	/* A bit a minor: */
	uint8_t used[PLAN_MINOR_MAX / 8 + 1];
	uint8_t reserved[PLAN_MINOR_MAX / 8 + 1];
};

struct node {
	uint32_t top; /* its top-level ancestor; 0: it is the root */
	uint32_t handle;
	uint64_t cap;	/* bit/s; 0: none */
	uint64_t load;	/* of a top-level node: of all below */
	uint32_t queue; /* of a top-level node; UINT32_MAX: not yet */
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

		plan->nodes[i].queue = UINT32_MAX;
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

/* What a top-level node asks of its queue: no more than it may use itself. */
static uint64_t demand(const struct node *top)
{
	return top->cap && top->cap < top->load ? top->cap : top->load;
}

/* From here on the circuit is sold that rate. */
static void sell(struct plan *plan, struct circuit *c, uint64_t rate)
{
	uint32_t top = plan->nodes[c->node].top;
	struct node *node = &plan->nodes[top];
	uint64_t before = demand(node);

	node->load += rate - c->rate;
	if (top && node->queue != UINT32_MAX)
		plan->queues[node->queue].load += demand(node) - before;
	else if (!top && c->handle)
		plan->queues[plan_queue(c->handle)].load += rate - c->rate;
	c->rate = rate;
}

int plan_add(struct plan *plan, uint32_t slot, uint32_t node, uint64_t down_max)
{
	int rc = make_room(plan, slot);

	if (rc)
		return rc;
	if (node >= plan->n_nodes)
		node = 0;
	plan->circuits[slot] = (struct circuit){.node = node, .there = true};
	sell(plan, &plan->circuits[slot], down_max);
	return 0;
}

static uint32_t least_loaded(const struct plan *plan)
{
	uint32_t best = 0, i;

	for (i = 1; i < plan->n_queues; i++)
		if (plan->queues[i].load < plan->queues[best].load)
			best = i;
	return best;
}

static int take_minor(struct queue *queue, uint32_t *minor)
{
	uint32_t m = queue->next;

	while (m <= PLAN_MINOR_MAX &&
	       (queue->used[m / 8] | queue->reserved[m / 8]) & 1 << m % 8)
		m++;
	if (m > PLAN_MINOR_MAX)
		return -ENOSPC;
	queue->used[m / 8] |= 1 << m % 8;
	queue->next = m + 1;
	*minor = m;
	return 0;
}

static int take_handle(struct plan *plan, uint32_t queue, uint32_t *handle)
{
	uint32_t minor;
	int rc = take_minor(&plan->queues[queue], &minor);

	if (!rc)
		*handle = (queue + 1) << 16 | minor;
	return rc;
}

static int place(struct plan *plan, struct circuit *c)
{
	uint32_t top = plan->nodes[c->node].top, queue;
	int rc;

	queue = top ? plan->nodes[top].queue : least_loaded(plan);
	rc = take_handle(plan, queue, &c->handle);
	if (!rc && !top)
		plan->queues[queue].load += c->rate;
	return rc;
}

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

static int place_nodes(struct plan *plan)
{
	struct item *tops = calloc(plan->n_nodes, sizeof(*tops));
	uint32_t n = 0, i, queue;
	int rc = 0;

	if (!tops)
		return -ENOMEM;
	for (i = 1; i < plan->n_nodes; i++)
		if (plan->nodes[i].top == i)
			tops[n++] = (struct item){demand(&plan->nodes[i]), i};
	qsort(tops, n, sizeof(*tops), by_rate);
	for (i = 0; i < n; i++) {
		queue = least_loaded(plan);
		plan->nodes[tops[i].id].queue = queue;
		plan->queues[queue].load += tops[i].rate;
	}
	free(tops);
	for (i = 1; i < plan->n_nodes && !rc; i++)
		rc = take_handle(plan, plan->nodes[plan->nodes[i].top].queue,
				 &plan->nodes[i].handle);
	return rc;
}

int plan_make(struct plan *plan)
{
	struct item *alone;
	uint32_t n = 0, i;
	int rc = place_nodes(plan);

	if (rc)
		return rc;
	for (i = 0; i < plan->n_circuits; i++)
		if (plan->circuits[i].there && plan->circuits[i].node)
			place(plan, &plan->circuits[i]);
	/* Circuits at the root each go where there is most room. */
	alone = calloc(plan->n_circuits ?: 1, sizeof(*alone));
	if (!alone)
		return -ENOMEM;
	for (i = 0; i < plan->n_circuits; i++)
		if (plan->circuits[i].there && !plan->circuits[i].node)
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
	int rc;

	if (node >= plan->n_nodes)
		node = 0;
	if (plan_handle(plan, slot) && plan->circuits[slot].node == node) {
		sell(plan, &plan->circuits[slot], down_max);
		return 0;
	}
	plan_remove(plan, slot);
	rc = plan_add(plan, slot, node, down_max);
	return rc ?: place(plan, &plan->circuits[slot]);
}

void plan_remove(struct plan *plan, uint32_t slot)
{
	struct circuit *c;
	struct queue *queue;
	uint32_t minor;

	if (slot >= plan->n_circuits || !plan->circuits[slot].there)
		return;
	c = &plan->circuits[slot];
	sell(plan, c, 0);
	if (c->handle) {
		queue = &plan->queues[plan_queue(c->handle)];
		minor = c->handle & 0xffff;
		queue->used[minor / 8] &= ~(1 << minor % 8);
		if (minor < queue->next)
			queue->next = minor;
	}
	*c = (struct circuit){};
}

void plan_reserve(struct plan *plan, uint32_t handle)
{
	uint32_t minor = handle & 0xffff;

	if (plan_queue(handle) < plan->n_queues)
		plan->queues[plan_queue(handle)].reserved[minor / 8] |=
			1 << minor % 8;
}

void plan_unreserve(struct plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_queues; i++) {
		memset(plan->queues[i].reserved, 0,
		       sizeof(plan->queues[i].reserved));
		plan->queues[i].next = PLAN_MINOR_FIRST;
	}
}

bool plan_has(const struct plan *plan, uint32_t handle)
{
	uint32_t minor = handle & 0xffff;

	return plan_queue(handle) < plan->n_queues &&
	       plan->queues[plan_queue(handle)].used[minor / 8] &
		       1 << minor % 8;
}

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
