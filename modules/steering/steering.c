/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Places subscribers on CPUs and in classes, and sends their packets there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/lqos/module.h"
#include "modules/steering/steering.h"

static const struct lqos_option options[] = {
	LQOS_OPTION(struct steering_config, queues, "0", .min = 0, .max = 1024,
		    .help = "Queues to spread subscribers over; 0: as many as "
			    "the interfaces have and there are CPUs for"),
	LQOS_OPTIONS_END,
};

/* ---- Placement ----------------------------------------------------------- */

/* FNV-1a (Fowler, Noll, Vo): has the tree changed? */
static uint64_t add_to_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *byte = data;

	while (len--)
		hash = (hash ^ *byte++) * 0x100000001b3ULL;
	return hash;
}

static uint64_t hash_tree(struct lqos_ctx *ctx)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	uint32_t i;

	for (i = 0; i < lqos_nodes(ctx); i++) {
		const struct lqos_node *node = lqos_node(ctx, i);

		hash = add_to_hash(hash, node->name, strlen(node->name) + 1);
		hash = add_to_hash(hash, &node->parent, sizeof(node->parent));
		hash = add_to_hash(hash, &node->down_max,
				   sizeof(node->down_max));
	}
	return hash;
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
	return s->handle != st->given[s->slot];
}

/* What is gone leaves the plan, also where the slot has somebody else now: he
 * begins without a class.  What is placed by hand is reserved. */
static void look_around(struct steering *st, struct plan *plan)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	const struct lqos_subscriber *s;

	for (slot = 1; slot < slots; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (!s || steering_is_by_hand(st, s)) {
			plan_remove(plan, slot);
			st->given[slot] = 0;
		}
		if (s && steering_is_by_hand(st, s))
			plan_reserve(plan, s->handle);
	}
}

static int reserve_own(const struct lqos_prefix *p, void *plan)
{
	if (p->own_place)
		plan_reserve(plan, p->handle);
	return 0;
}

static int fill_plan(struct steering *st, struct plan *plan)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	const struct lqos_subscriber *s;
	int rc = 0;

	for (slot = 1; slot < slots && !rc; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (s && !steering_is_by_hand(st, s))
			rc = plan_add(plan, slot, s->node, s->down_max);
	}
	return rc ?: plan_make(plan);
}

/* Tell the registry where one circuit goes. */
static void apply(struct steering *st, const struct lqos_subscriber *s)
{
	uint32_t handle = plan_handle(st->plan, s->slot);
	uint32_t cpu = handle ? st->cpus[plan_queue(handle)] : UINT32_MAX;
	int rc;

	if (handle == s->handle)
		return;
	rc = lqos_place(st->ctx, s->slot, cpu, handle);
	if (rc)
		lqos_fail(st->ctx, rc,
			  "circuit %s stays as it is: expected to put it into "
			  "class %x:%x, and will try again with the next "
			  "change",
			  s->circuit_id, handle >> 16, handle & 0xffff);
	else
		st->given[s->slot] = handle;
}

static void place_all(struct steering *st)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	uint32_t before = st->unplaced;
	const struct lqos_subscriber *s, *without = NULL;

	st->unplaced = 0;
	for (slot = 1; slot < slots; slot++) {
		s = lqos_subscriber(st->ctx, slot);
		if (!s || steering_is_by_hand(st, s))
			continue;
		plan_place(st->plan, slot, s->node, s->down_max);
		apply(st, s);
		if (plan_handle(st->plan, slot))
			continue;
		st->unplaced++;
		without = s;
	}
	if (st->unplaced && st->unplaced != before)
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
	uint64_t tree = hash_tree(st->ctx);
	bool fresh = !st->plan || tree != st->tree;
	struct plan *plan = st->plan;
	int rc = fresh ? new_plan(st, &plan) : 0;

	if (rc)
		return rc;
	if (st->released)
		plan_unreserve(plan);
	look_around(st, plan);
	if (fresh || st->released)
		lqos_prefixes(st->ctx, reserve_own, plan);
	st->released = false;
	if (!fresh)
		return 0;
	rc = fill_plan(st, plan);
	if (rc) {
		plan_free(&plan);
		return rc;
	}
	plan_free(&st->plan);
	st->plan = plan;
	st->tree = tree;
	return 0;
}

static int place(struct steering *st)
{
	int rc = make_plan(st);

	st->changed = false;
	if (rc)
		return lqos_fail(st->ctx, rc,
				 "cannot plan: circuits stay where they are");
	place_all(st);
	return 0;
}

void steering_catch_up(struct steering *st)
{
	if (st->changed)
		place(st);
}

static void on_timer(void *arg)
{
	steering_catch_up(arg);
}

void steering_changed(struct steering *st)
{
	if (st->changed)
		return;
	st->changed = true;
	if (lqos_timer_once(st->ctx, 0, on_timer, st, NULL))
		steering_catch_up(st);
}

static void on_change(void *arg)
{
	steering_changed(arg);
}

/* ---- Columns ------------------------------------------------------------- */

static uint64_t read_class(uint32_t slot, void *arg)
{
	const struct steering *st = arg;
	const struct lqos_subscriber *s = lqos_subscriber(st->ctx, slot);

	return s && s->handle ? s->handle : LQOS_NO_VALUE;
}

static uint64_t read_cpu(uint32_t slot, void *arg)
{
	const struct steering *st = arg;
	const struct lqos_subscriber *s = lqos_subscriber(st->ctx, slot);

	return s && s->cpu != UINT32_MAX ? s->cpu : LQOS_NO_VALUE;
}

static const struct lqos_column subscriber_columns[] = {
	{.name = "class",
	 .title = "Class",
	 .help = "TC class, the same on both interfaces",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_CLASS,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .read = read_class},
	{.name = "cpu",
	 .title = "CPU",
	 .help = "the CPU its packets are sent to",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_COUNT,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .flags = LQOS_COLUMN_DETAIL,
	 .read = read_cpu},
};

static const struct {
	const char *name, *title, *help;
} counters[ST_COUNTERS] = {
	[ST_REDIRECTED] = {"redirected", "redirected",
			   "sent to the CPU of their subscriber"},
	[ST_NO_CPU] = {"no_cpu", "no CPU",
		       "not taken by cpumap: passed where they were"},
	[ST_NOT_IP] = {"not_ip", "not IP", "not IP: passed where they were"},
	[ST_CLASSIFIED] = {"classified", "classified", "put into a class"},
	[ST_DEFAULT] = {"default_class", "default",
			"put into their CPU's default class"},
};

struct counter_column {
	struct lqos_column decl;
	const struct steering *st;
	enum st_counter which;
};

static uint64_t read_counter(uint32_t id, void *arg)
{
	const struct counter_column *c = arg;
	uint64_t sum = 0;
	uint32_t cpu;

	(void)id;
	for (cpu = 0; cpu < c->st->possible_cpus; cpu++)
		sum += c->st->counters[cpu].count[c->which];
	return sum;
}

static int add_columns(struct lqos_ctx *ctx, struct steering *st)
{
	struct counter_column *columns = calloc(ST_COUNTERS, sizeof(*columns));
	size_t i;
	int rc;

	if (!columns)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, columns);
	for (i = 0; i < ST_COUNTERS && !rc; i++) {
		if (!counters[i].name)
			continue;
		columns[i] = (struct counter_column){
			.decl = {.name = counters[i].name,
				 .title = counters[i].title,
				 .help = counters[i].help,
				 .kind = LQOS_COUNTER,
				 .unit = LQOS_UNIT_PACKETS,
				 .scope = LQOS_SCOPE_GLOBAL,
				 .flags = LQOS_COLUMN_DETAIL,
				 .read = read_counter},
			.st = st,
			.which = i,
		};
		rc = lqos_column_add(ctx, &columns[i].decl, &columns[i]);
	}
	for (i = 0; i < 2 && !rc; i++)
		rc = lqos_column_add(ctx, &subscriber_columns[i], st);
	return rc;
}

/* ---- Start --------------------------------------------------------------- */

static void destroy_skel(void *skel)
{
	steering_bpf__destroy(skel);
}

static void destroy_plan(void *arg)
{
	struct steering *st = arg;

	plan_free(&st->plan);
	free(st->given);
	free(st->cpus);
}

/* A queue is a transmit queue of every interface and a CPU. */
static uint32_t count_queues(struct steering *st)
{
	uint32_t n = st->n_cpus, i;

	for (i = 0; i < lqos_interfaces(st->ctx); i++) {
		const struct lqos_interface *f = lqos_interface(st->ctx, i);

		if (f->tx_queues < n)
			n = f->tx_queues;
		if (f->tx_queues < st->n_cpus)
			lqos_log(st->ctx, LQOS_WARN,
				 "%s has %u transmit queues "
				 "for %u CPUs: `ethtool -L %s combined %u` "
				 "would use them all",
				 f->name, f->tx_queues, st->n_cpus, f->name,
				 st->n_cpus);
	}
	return n ?: 1;
}

static int size_maps(struct steering *st, const struct steering_config *config)
{
	struct steering_bpf *skel = st->skel;
	const uint32_t *cpus;
	uint32_t i;

	st->n_cpus = lqos_cpus(st->ctx, &cpus);
	if (st->n_cpus > ST_CPUS_MAX)
		st->n_cpus = ST_CPUS_MAX;
	st->cpus = calloc(st->n_cpus, sizeof(*st->cpus));
	if (!st->cpus)
		return -ENOMEM;
	memcpy(st->cpus, cpus, st->n_cpus * sizeof(*cpus));
	st->possible_cpus = lqos_possible_cpus(st->ctx);
	st->queues = count_queues(st);
	if (config->queues > st->queues)
		return lqos_fail(st->ctx, -EINVAL,
				 "queues = %u, but interfaces "
				 "and CPUs are good for %u: lower it, or leave "
				 "it out",
				 config->queues, st->queues);
	if (config->queues)
		st->queues = config->queues;
	for (i = 0; i < st->queues; i++)
		skel->rodata->st_cpus[i] = st->cpus[i];
	skel->rodata->st_n_cpus = st->queues;
	return bpf_map__set_max_entries(skel->maps.st_counters,
					st->possible_cpus)
		       ?: bpf_map__set_max_entries(skel->maps.st_queues,
						   st->possible_cpus);
}

/* CPUs beyond the queues share: what is sent by them must leave somewhere. */
static int set_queues(struct steering *st)
{
	int fd = bpf_map__fd(st->skel->maps.st_queues);
	uint32_t i, queue;

	for (i = 0; i < st->n_cpus; i++) {
		queue = i % st->queues + 1;
		if (bpf_map_update_elem(fd, &st->cpus[i], &queue, 0))
			return lqos_fail(st->ctx, -errno,
					 "cannot give CPU %u a "
					 "queue",
					 st->cpus[i]);
	}
	return 0;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct steering *st = calloc(1, sizeof(*st));
	void *view;
	int rc;

	if (!st)
		return -ENOMEM;
	st->ctx = ctx;
	rc = lqos_defer(ctx, free, st);
	if (rc)
		return rc;
	st->skel = steering_bpf__open();
	if (!st->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, st->skel);
	if (!rc)
		rc = lqos_defer(ctx, destroy_plan, st);
	if (rc)
		return rc;
	st->given = calloc(lqos_subscriber_slots(ctx), sizeof(*st->given));
	if (!st->given)
		return -ENOMEM;
	rc = size_maps(st, config);
	if (!rc)
		rc = lqos_bpf_prepare(ctx, st->skel->obj);
	if (rc)
		return rc;
	rc = steering_bpf__load(st->skel);
	if (rc)
		return lqos_fail(ctx, rc,
				 "the kernel refused its BPF programs");
	rc = lqos_map_view(ctx, bpf_map__fd(st->skel->maps.st_counters), &view);
	if (rc)
		return rc;
	st->counters = view;
	rc = set_queues(st);
	if (!rc)
		rc = place(st);
	if (!rc)
		rc = lqos_subscribers_watch(ctx, on_change, st);
	if (!rc)
		rc = add_columns(ctx, st);
	if (!rc)
		rc = steering_add_commands(st);
	if (!rc)
		rc = lqos_bpf_attach(ctx, st->skel->obj);
	if (rc)
		return rc;
	lqos_log(ctx, LQOS_INFO, "%u queues on CPUs of %u", st->queues,
		 st->n_cpus);
	*state = st;
	return 0;
}

LQOS_MODULE(.name = "steering", .version = "1.0",
	    .description = "Subscribers to CPUs and TC classes",
	    .flags = LQOS_MODULE_STEERS, .options = options,
	    .config_size = sizeof(struct steering_config), .start = start);
