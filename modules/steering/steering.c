/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Places subscribers on CPUs and in classes, and sends their packets there. */
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/lqos/module.h"
#include "modules/steering/steering.h"

enum { CPUS_MS = 1000 };

static const struct lqos_option options[] = {
	LQOS_OPTION(struct steering_config, queues, "0", .min = 0, .max = 1024,
		    .help = "Queues to spread subscribers over; 0: as many as "
			    "the interfaces have and there are CPUs for"),
	LQOS_OPTIONS_END,
};

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

static void on_change(void *arg)
{
	steering_changed(arg);
}

/* The loop turns. */
static void on_running(void *arg)
{
	steering_runs(arg);
}

static void on_timer(void *arg)
{
	steering_look_at_cpus(arg);
}

static void destroy_skel(void *skel)
{
	steering_bpf__destroy(skel);
}

static void destroy_plan(void *arg)
{
	struct steering *st = arg;

	plan_free(&st->plan);
	free(st->given);
	free(st->homes);
	free(st->stand_ins);
	free(st->why_queues);
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
	rc = steering_make_queues(st, config);
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
	rc = lqos_map_view(ctx, bpf_map__fd(st->skel->maps.st_tree), &view);
	if (rc)
		return rc;
	st->saved = view;
	rc = steering_set_queues(st);
	if (!rc)
		rc = steering_place(st);
	if (!rc)
		rc = lqos_subscribers_watch(ctx, on_change, st);
	if (!rc)
		rc = lqos_timer_once(ctx, 0, on_running, st, NULL);
	if (!rc)
		rc = lqos_timer_every(ctx, CPUS_MS, on_timer, st, NULL);
	if (!rc)
		rc = add_columns(ctx, st);
	if (!rc)
		rc = steering_add_commands(st);
	if (!rc)
		rc = lqos_bpf_attach(ctx, st->skel->obj);
	if (rc)
		return rc;
	lqos_log(ctx, LQOS_INFO, "%u queues on %u CPUs", st->queues,
		 st->n_cpus);
	*state = st;
	return 0;
}

LQOS_MODULE(.name = "steering", .version = "1.0",
	    .description = "Subscribers to CPUs and TC classes",
	    .flags = LQOS_MODULE_STEERS, .options = options,
	    .config_size = sizeof(struct steering_config), .start = start);
