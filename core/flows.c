/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flows.c - the table of flows: its size, what it tells, who may look. */
#include <string.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/lqos/packet.h"

#include "bpf/datapath.skel.h"

#define WHO "datapath"

enum {
	EVENTS_BYTES = 1 << 20, /* ring buffer: some 11,000 */
	SAMPLE_MASK = 15,
	UNKNOWN_SHARE = 8,
};

struct flow_watcher {
	struct core_datapath *dp;
	const struct lqos_ctx *ctx;
	bool on;
	void (*fn)(const struct lqos_flow_event *event, void *arg);
	void *arg;
	struct flow_watcher *next;
};

uint32_t flows_slots(const struct core_datapath *dp)
{
	const struct core_settings *set = &dp->core->settings;
	uint32_t slots = set->max_flows + 1;

	/* An array with as many entries as there are subscribers is theirs. */
	return slots == set->max_subscribers + 1 ? slots + 1 : slots;
}

int flows_prepare(struct core_datapath *dp)
{
	uint32_t max = dp->core->settings.max_flows;
	uint32_t buckets = datapath_pow2(max) * 2 / DP_WAYS;
	struct datapath_bpf *skel = dp->skel;
	uint64_t seed;

	if (!dp->tracks)
		return 0;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	skel->rodata->dp_flow_max = max;
	skel->rodata->dp_flow_mask = buckets - 1;
	skel->rodata->dp_flow_seed = seed;
	flows_look(dp);
	return bpf_map__set_max_entries(skel->maps.dp_buckets, buckets) ?:
	       bpf_map__set_max_entries(skel->maps.lqos_flows,
					flows_slots(dp)) ?:
	       bpf_map__set_value_size(skel->maps.lqos_flows,
				       dp->flow_bytes) ?:
	       bpf_map__set_max_entries(skel->maps.dp_flow_rows,
					dp->possible_cpus) ?:
	       bpf_map__set_max_entries(skel->maps.dp_flow_events,
					EVENTS_BYTES);
}

int flows_hook(struct core_datapath *dp)
{
	struct datapath_bpf *skel = dp->skel;
	uint32_t zero = 0;
	int fd;

	if (!dp->tracks)
		return 0;
	fd = bpf_program__fd(skel->progs.lq_flow);
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.dp_flow), &zero, &fd, 0))
		return core_fail(WHO, -errno, "cannot set the table of flows");
	if (!dp->one_interface)
		return 0;
	fd = bpf_program__fd(skel->progs.lq_flow_tc);
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.dp_flow_tc), &zero, &fd,
				0))
		return core_fail(WHO, -errno, "cannot set the table of flows");
	return 0;
}

void flows_look(struct core_datapath *dp)
{
	const struct core_settings *set = &dp->core->settings;
	struct dp_flow_unknown unknown = {.max = set->max_flows};
	const char *who = set->unknown_flows;

	if (!dp->tracks)
		return;
	if (!strcmp(who, "auto"))
		who = core_registry_subscribers(dp->core->registry) ? "sampled"
								    : "all";
	if (!strcmp(who, "none"))
		unknown.max = 0;
	if (!strcmp(who, "sampled"))
		unknown = (struct dp_flow_unknown){
			SAMPLE_MASK, set->max_flows / UNKNOWN_SHARE};
	dp->skel->bss->dp_flow_unknown.mask = unknown.mask;
	dp->skel->bss->dp_flow_unknown.max = unknown.max;
}

/* ---- Columns ------------------------------------------------------------- */

static uint64_t add_up(const struct core_datapath *dp,
		       enum dp_flow_counter which)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < dp->possible_cpus; cpu++)
		sum += dp->flow_rows[cpu].count[which];
	return sum;
}

static uint64_t used(const struct core_datapath *dp)
{
	uint64_t freed = add_up(dp, DP_FLOW_FREED);
	uint64_t opened = add_up(dp, DP_FLOW_OPENED);

	return opened > freed ? opened - freed : 0;
}

static uint64_t read_used(uint32_t id, void *arg)
{
	(void)id;
	return used(arg);
}

struct counter {
	struct lqos_column decl;
	enum dp_flow_counter which;
	const struct core_datapath *dp;
};

static uint64_t read_counter(uint32_t id, void *arg)
{
	const struct counter *c = arg;

	(void)id;
	return add_up(c->dp, c->which);
}

#define COUNTER(which_, name_, title_, help_)         \
	{                                             \
		.decl = {.name = "flows." name_,      \
			 .title = title_,             \
			 .help = help_,               \
			 .kind = LQOS_COUNTER,        \
			 .unit = LQOS_UNIT_COUNT,     \
			 .scope = LQOS_SCOPE_GLOBAL,  \
			 .flags = LQOS_COLUMN_DETAIL, \
			 .read = read_counter},       \
		.which = which_                       \
	}

static const struct counter counters[] = {
	COUNTER(DP_FLOW_OPENED, "opened", "opened", "flows that got a slot"),
	COUNTER(DP_FLOW_CLOSED, "closed", "closed",
		"flows that both ends closed, or one reset"),
	COUNTER(DP_FLOW_IDLE, "idle", "idle", "flows freed after long silence"),
	COUNTER(DP_FLOW_EVICTED, "evicted", "evicted",
		"flows pushed out before that to make room"),
	COUNTER(DP_FLOW_RESTARTED, "restarted", "restarted",
		"flows whose ports another connection uses now"),
	COUNTER(DP_FLOW_COLLISION, "collisions", "collisions",
		"flows pushed out by one of the same tag"),
	COUNTER(DP_FLOW_REFUSED, "refused", "refused",
		"packets of unknown hosts that got no slot"),
	COUNTER(DP_FLOW_BUSY, "busy", "busy",
		"packets that found no place for their flow just then"),
	COUNTER(DP_FLOW_LOST, "lost_events", "lost",
		"events that nobody read fast enough"),
};

static const struct lqos_column used_column = {
	.name = "flows.used",
	.title = "Flows",
	.help = "flows in the table",
	.kind = LQOS_GAUGE,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_GLOBAL,
	.read = read_used,
};

static int add_columns(struct core_datapath *dp)
{
	struct counter *copy = calloc(ARRAY_SIZE(counters), sizeof(*copy));
	size_t i;
	int rc;

	if (!copy)
		return -ENOMEM;
	rc = lqos_defer(dp->core->ctx, free, copy);
	for (i = 0; !rc && i < ARRAY_SIZE(counters); i++) {
		copy[i] = counters[i];
		copy[i].dp = dp;
		rc = lqos_column_add(dp->core->ctx, &copy[i].decl, &copy[i]);
	}
	return rc ?: lqos_column_add(dp->core->ctx, &used_column, dp);
}

struct json_t *flows_json(const struct core_datapath *dp)
{
	json_t *out;
	size_t i;

	if (!dp->flow_rows)
		return NULL;
	out = json_pack("{s:I,s:I}", "used", (json_int_t)used(dp), "max",
			(json_int_t)dp->core->settings.max_flows);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		json_object_set_new(out,
				    counters[i].decl.name + strlen("flows."),
				    json_integer((json_int_t)add_up(
					    dp, counters[i].which)));
	return out;
}

/* ---- Events -------------------------------------------------------------- */

static void on_event(const void *data, size_t len, void *arg)
{
	const struct core_datapath *dp = arg;
	const struct flow_watcher *w;

	(void)len;
	for (w = dp->watchers; w; w = w->next)
		if (w->on)
			w->fn(data, w->arg);
}

/* The programs tell only while somebody listens. */
static void tell_if_wanted(struct core_datapath *dp)
{
	const struct flow_watcher *w;
	bool wanted = false;

	for (w = dp->watchers; w; w = w->next)
		wanted |= w->on;
	dp->skel->bss->dp_flow_watched = wanted;
}

int flows_add(struct core_datapath *dp)
{
	struct datapath_bpf *skel = dp->skel;
	void *view;
	int rc;

	if (!dp->tracks)
		return 0;
	rc = lqos_map_view(dp->core->ctx, bpf_map__fd(skel->maps.lqos_flows),
			   &view);
	if (rc)
		return rc;
	dp->flows = view;
	rc = lqos_map_view(dp->core->ctx, bpf_map__fd(skel->maps.dp_flow_rows),
			   &view);
	if (rc)
		return rc;
	dp->flow_rows = view;
	rc = lqos_ringbuf_watch(
		dp->core->ctx, bpf_map__fd(skel->maps.dp_flow_events),
		sizeof(struct lqos_flow_event), on_event, dp, NULL);
	if (rc)
		return core_fail(WHO, rc, "cannot read the events of flows");
	return add_columns(dp);
}

/* ---- What modules have of it --------------------------------------------- */

uint32_t lqos_flows(struct lqos_ctx *ctx, struct lqos_flow_table *table)
{
	const struct core_datapath *dp = ctx->core->datapath;
	uint32_t next;

	if (!dp || !dp->flows)
		return 0;
	next = dp->skel->data->dp_flow_next;
	*table = (struct lqos_flow_table){
		.records = dp->flows,
		.slots = flows_slots(dp),
		.record_bytes = dp->flow_bytes,
		.part = ctx->flow_part,
	};
	return next < table->slots ? next : table->slots;
}

static void forget_watcher(void *arg)
{
	struct flow_watcher *w = arg, **at;

	for (at = &w->dp->watchers; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	tell_if_wanted(w->dp);
	free(w);
}

int lqos_flows_watch(struct lqos_ctx *ctx,
		     void (*fn)(const struct lqos_flow_event *event, void *arg),
		     void *arg)
{
	struct core_datapath *dp = ctx->core->datapath;
	struct flow_watcher *w;

	if (!dp || !dp->flows)
		return -ENODEV;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct flow_watcher){dp, ctx, false, fn, arg, dp->watchers};
	dp->watchers = w;
	return core_own(ctx, forget_watcher, w, NULL);
}

void lqos_flows_tell(struct lqos_ctx *ctx, bool on)
{
	struct core_datapath *dp = ctx->core->datapath;
	struct flow_watcher *w;

	if (!dp)
		return;
	for (w = dp->watchers; w; w = w->next)
		if (w->ctx == ctx)
			w->on = on;
	tell_if_wanted(dp);
}
