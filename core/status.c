/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.c - the core's own bus methods: what runs, and how it is. */
#include <time.h>

#include <jansson.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/core.h"

#define NS_PER_S UINT64_C(1000000000)

static int answer(struct lqos_call *call, json_t *result)
{
	if (!result)
		return lqos_call_fail(call, -ENOMEM, "no memory for the reply");
	lqos_call_result(call, result);
	return 0;
}

static uint64_t uptime_s(const struct core *core)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	return now > core->started_ns ? (now - core->started_ns) / NS_PER_S : 0;
}

static json_t *module_names(const struct core *core)
{
	json_t *names = json_array();

	for (size_t i = 0; i < core_loader_count(core->loader); i++)
		json_array_append_new(
			names,
			json_string(
				core_loader_get(core->loader, i)->info.name));
	return names;
}

static json_t *loop_stats(const struct core *core)
{
	struct core_loop_stats s;

	core_loop_stats(core->loop, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "callbacks",
			 (json_int_t)s.callbacks, "slow", (json_int_t)s.slow,
			 "slowest_ns", (json_int_t)s.slowest_ns, "ring_short",
			 (json_int_t)s.ring_short, "ring_budget",
			 (json_int_t)s.ring_budget);
}

static json_t *bus_stats(const struct core *core)
{
	struct core_bus_stats s;

	core_bus_stats(core->bus, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "clients",
			 (json_int_t)s.clients, "accepted",
			 (json_int_t)s.accepted, "refused",
			 (json_int_t)s.refused, "requests",
			 (json_int_t)s.requests, "errors", (json_int_t)s.errors,
			 "denied", (json_int_t)s.denied, "overlong",
			 (json_int_t)s.overlong);
}

static json_t *feed_stats(const struct core *core)
{
	struct core_feed_stats s;

	core_feed_stats(core->feed, &s);
	return json_pack("{s:I, s:I, s:I, s:I}", "subscriptions",
			 (json_int_t)s.subscriptions, "frames",
			 (json_int_t)s.frames, "bytes", (json_int_t)s.bytes,
			 "dropped", (json_int_t)s.dropped);
}

static int run_status(struct lqos_call *call, void *arg)
{
	const struct core *core = arg;
	struct core_problems problems;
	json_t *datapath, *status;

	core_registry_problems(core->registry, &problems);
	/* Nobody is served before the loop runs, or after: one state. */
	status = json_pack(
		"{s:s, s:i, s:I, s:s, s:s, s:o, s:I, s:I, s:{s:I, s:I, s:I, "
		"s:I}, "
		"s:o, s:o, s:o}",
		"version", PACKAGE_VERSION, "pid", (int)getpid(), "uptime",
		(json_int_t)uptime_s(core), "state", "running", "run_dir",
		core->settings.run_dir, "modules", module_names(core),
		"subscribers",
		(json_int_t)core_registry_subscribers(core->registry),
		"prefixes", (json_int_t)core_registry_prefixes(core->registry),
		"problems", "rows", (json_int_t)problems.rows, "skipped",
		(json_int_t)problems.skipped, "addresses",
		(json_int_t)problems.addresses, "warnings",
		(json_int_t)problems.warnings, "loop", loop_stats(core), "bus",
		bus_stats(core), "feed", feed_stats(core));
	datapath = core_datapath_status(core->datapath);
	if (status && datapath)
		json_object_update(status, datapath);
	json_decref(datapath);
	return answer(call, status);
}

static json_t *module_json(const struct core_module *module)
{
	char abi[16];

	snprintf(abi, sizeof(abi), "%u.%u", module->info.abi >> 16,
		 module->info.abi & 0xffff);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}",
			 "name", module->info.name, "version",
			 module->info.version, "abi", abi, "description",
			 module->info.description, "needs", module->info.needs,
			 "after", module->info.after, "path", module->info.path,
			 "steers", !!(module->info.flags & LQOS_MODULE_STEERS),
			 "started", module->started);
}

static int run_modules(struct lqos_call *call, void *arg)
{
	const struct core *core = arg;
	json_t *modules = json_array();

	for (size_t i = 0; i < core_loader_count(core->loader); i++)
		json_array_append_new(
			modules, module_json(core_loader_get(core->loader, i)));
	return answer(call, modules);
}

static int run_maps(struct lqos_call *call, void *arg)
{
	const struct core *core = arg;

	return answer(call, core_datapath_maps(core->datapath));
}

static int run_methods(struct lqos_call *call, void *arg)
{
	const struct core *core = arg;

	return answer(call, core_bus_methods(core->bus));
}

static const char *name_in(const char *const *names, size_t n, size_t i)
{
	return i < n && names[i] ? names[i] : "unknown";
}

static json_t *column_json(const struct core_column *column)
{
	static const char *const kinds[] = {
		[LQOS_COUNTER] = "counter",
		[LQOS_GAUGE] = "gauge",
	};
	static const char *const units[] = {
		[LQOS_UNIT_COUNT] = "count",	 [LQOS_UNIT_BYTES] = "bytes",
		[LQOS_UNIT_PACKETS] = "packets", [LQOS_UNIT_NS] = "ns",
		[LQOS_UNIT_PPM] = "ppm",	 [LQOS_UNIT_CLASS] = "class",
	};
	static const char *const scopes[] = {
		[LQOS_SCOPE_GLOBAL] = "global",
		[LQOS_SCOPE_INTERFACE] = "interface",
		[LQOS_SCOPE_SUBSCRIBER] = "subscriber",
	};
	const struct lqos_column *decl = column->decl;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "name",
			 column->name, "title", decl->title, "help", decl->help,
			 "kind", name_in(kinds, ARRAY_SIZE(kinds), decl->kind),
			 "unit", name_in(units, ARRAY_SIZE(units), decl->unit),
			 "scope",
			 name_in(scopes, ARRAY_SIZE(scopes), decl->scope),
			 "detail", !!(decl->flags & LQOS_COLUMN_DETAIL));
}

static int run_columns(struct lqos_call *call, void *arg)
{
	struct core *core = arg;
	const struct core_snapshot *snapshot;
	json_t *columns = json_array();

	snapshot = core_metrics_snapshot(core->metrics);
	for (int scope = LQOS_SCOPE_GLOBAL;
	     snapshot && scope <= LQOS_SCOPE_SUBSCRIBER; scope++) {
		const struct core_table *table = &snapshot->tables[scope];

		for (size_t i = 0; i < table->n_columns; i++)
			json_array_append_new(columns,
					      column_json(table->columns[i]));
	}
	return answer(call, columns);
}

struct prefix_list {
	uint32_t slot;
	json_t *prefixes;
};

static int add_prefix(const struct lqos_prefix *p, void *arg)
{
	struct prefix_list *list = arg;
	char text[CORE_PREFIX_TEXT];

	if (p->slot != list->slot)
		return 0;
	return json_array_append_new(
		list->prefixes,
		json_pack("{s:s, s:s*, s:b}", "ip",
			  core_prefix_text(p, text, sizeof(text)), "device",
			  p->device_id && *p->device_id ? p->device_id : NULL,
			  "by_hand", p->by_hand));
}

/* NULL for what the subscriber has not been given. */
static json_t *cpu_json(const struct lqos_subscriber *s)
{
	return s->cpu == UINT32_MAX ? json_null() : json_integer(s->cpu);
}

static json_t *class_json(const struct lqos_subscriber *s)
{
	if (!s->handle)
		return json_null();
	return json_sprintf("%x:%x", s->handle >> 16, s->handle & 0xffff);
}

static json_t *node_json(struct lqos_ctx *ctx, uint32_t id)
{
	const struct lqos_node *node = lqos_node(ctx, id);

	return node && node->name ? json_string(node->name) : json_null();
}

static int run_subscriber(struct lqos_call *call, void *arg)
{
	struct core *core = arg;
	const json_t *slot = json_object_get(lqos_call_params(call), "slot");
	const struct lqos_subscriber *s;
	struct prefix_list list;
	json_int_t wanted = json_integer_value(slot);
	int rc;

	if (!json_is_integer(slot) || wanted < 1 || wanted > UINT32_MAX)
		return lqos_call_fail(call, -EINVAL,
				      "slot: expected a number from 1, as in "
				      "{\"slot\": 7}");
	s = lqos_subscriber(core->ctx, (uint32_t)wanted);
	if (!s)
		return lqos_call_fail(call, -ENOENT,
				      "slot %" JSON_INTEGER_FORMAT
				      ": no subscriber has it",
				      wanted);
	list = (struct prefix_list){.slot = s->slot, .prefixes = json_array()};
	rc = lqos_prefixes(core->ctx, add_prefix, &list);
	if (rc) {
		json_decref(list.prefixes);
		return answer(call, NULL);
	}
	return answer(
		call,
		json_pack("{s:I, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, "
			  "s:o}",
			  "slot", (json_int_t)s->slot, "circuit_id",
			  s->circuit_id, "name", s->name ? s->name : "", "node",
			  node_json(core->ctx, s->node), "cpu", cpu_json(s),
			  "class", class_json(s), "down_min",
			  (json_int_t)s->down_min, "down_max",
			  (json_int_t)s->down_max, "up_min",
			  (json_int_t)s->up_min, "up_max",
			  (json_int_t)s->up_max, "prefixes", list.prefixes));
}

static const struct lqos_command commands[] = {
	{
		.name = "status",
		.params = "{}",
		.help = "The daemon, its interfaces, chains and counters",
		.run = run_status,
	},
	{
		.name = "modules",
		.params = "{}",
		.help = "Modules of this run, in start order",
		.run = run_modules,
	},
	{
		.name = "maps",
		.params = "{}",
		.help = "BPF maps of the core and of all modules",
		.run = run_maps,
	},
	{
		.name = "methods",
		.params = "{}",
		.help = "Every method of this bus",
		.run = run_methods,
	},
	{
		.name = "columns",
		.params = "{}",
		.help = "Columns that modules measure: units, kinds and scopes",
		.run = run_columns,
	},
	{
		.name = "subscriber",
		.params = "{slot: number}",
		.help = "Who has a slot: rates, placement and addresses",
		.run = run_subscriber,
	},
};

int core_status_commands(struct core *core)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int rc = lqos_command_add(core->ctx, &commands[i], core);

		if (rc)
			return core_fail("core", rc, "cannot add core.%s",
					 commands[i].name);
	}
	return 0;
}
