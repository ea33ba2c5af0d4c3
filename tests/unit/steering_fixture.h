/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module with the registry, bus and loop as they are; without a kernel. */
#ifndef TESTS_UNIT_STEERING_FIXTURE_H
#define TESTS_UNIT_STEERING_FIXTURE_H

#include <event2/event.h>
#include <jansson.h>

#include "modules/steering/steering.c"
#include "tests/unit/registry_fixture.h"

enum { MANY = 16, POSSIBLE = 8 };

static const uint32_t cpus[] = {4, 5};
static uint32_t online[POSSIBLE], n_online, spread[POSSIBLE];
static uint64_t saved[ST_TREE];
static uint32_t before[MANY + 1]; /* by slot: its class in the run before */
static struct steering *st;
static char reply_text[4096];

/* Linked with --wrap=lqos_cpus. */
uint32_t __wrap_lqos_cpus(struct lqos_ctx *ctx, const uint32_t **list);
uint32_t __wrap_lqos_cpus(struct lqos_ctx *ctx, const uint32_t **list)
{
	(void)ctx;
	*list = online;
	return n_online;
}

/* Linked with --wrap=lqos_placed_before. */
int __wrap_lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot,
			      uint32_t *cpu, uint32_t *handle);
int __wrap_lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot,
			      uint32_t *cpu, uint32_t *handle)
{
	(void)ctx;
	if (!before[slot])
		return -ENOENT;
	*cpu = 0;
	*handle = before[slot];
	return 0;
}

static inline int start_steering(uint32_t slots)
{
	int rc = make_registry(slots, 64);

	st = calloc(1, sizeof(*st));
	st->ctx = module;
	st->n_cpus = st->queues = 2;
	st->possible_cpus = POSSIBLE;
	st->homes = malloc(sizeof(cpus));
	memcpy(st->homes, cpus, sizeof(cpus));
	st->stand_ins = calloc(POSSIBLE, sizeof(*st->stand_ins));
	for (uint32_t i = 0; i < POSSIBLE; i++)
		st->stand_ins[i] = i;
	st->spread = spread;
	st->saved = saved;
	n_online = 2;
	memcpy(online, cpus, sizeof(cpus));
	st->given = calloc(slots + 1, sizeof(*st->given));
	return rc ?: steering_place(st)
		       ?: lqos_subscribers_watch(module, on_change, st)
			       ?: steering_add_commands(st);
}

static inline int set_up(void **state)
{
	char path[80];
	int rc = setup(state);

	snprintf(path, sizeof(path), "%s/bus", dir);
	core.settings.shaped_devices = csv_path;
	core.settings.network_json = json_path;
	return rc ?: core_loop_new(&core.loop, &core)
		       ?: core_bus_new(&core.bus, &core, path, "")
			       ?: core_files_new(&core.files, &core, true, true)
			       ?: start_steering(MANY);
}

static inline int tear_down(void **state)
{
	core_ctx_release(module);
	core_files_free(&core.files);
	core_bus_free(&core.bus);
	core_loop_free(&core.loop);
	destroy_plan(st);
	free(st);
	return teardown(state);
}

static inline void turn(void)
{
	do
		event_base_loop(core_loop_base(core.loop),
				EVLOOP_NONBLOCK | EVLOOP_ONCE);
	while (st->changed);
}

static inline const char *call(const char *method, const char *params)
{
	char line[512];
	json_t *reply;
	char *text;

	snprintf(line, sizeof(line),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"module.%s\","
		 "\"params\":%s}",
		 method, params);
	assert_int_equal(
		core_bus_handle(core.bus, NULL, 0, line, strlen(line), &reply),
		0);
	text = json_dumps(reply, JSON_COMPACT);
	snprintf(reply_text, sizeof(reply_text), "%s", text);
	free(text);
	json_decref(reply);
	return reply_text;
}

static inline void accepted(const char *params)
{
	if (strstr(call("add", params), "\"error\""))
		fail_msg("%s", reply_text);
}

static inline void refused(const char *params, const char *why)
{
	call("add", params);
	if (!strstr(reply_text, "\"error\"") || !strstr(reply_text, why))
		fail_msg("%s", reply_text);
}

static inline uint32_t handle_of(const char *circuit)
{
	return lqos_subscriber(module, slot_of(circuit))->handle;
}

static inline uint32_t cpu_of(const char *circuit)
{
	return lqos_subscriber(module, slot_of(circuit))->cpu;
}

static inline void change_tree(void)
{
	write_file(json_path, "{\"New\": {\"downloadBandwidthMbps\": 7, "
			      "\"uploadBandwidthMbps\": 7}, "
			      "\"Newer\": {\"downloadBandwidthMbps\": 7, "
			      "\"uploadBandwidthMbps\": 7}}");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 0);
	assert_true(st->changed);
	turn();
}

static inline void says(const char *ip, const char *what)
{
	char params[64];

	snprintf(params, sizeof(params), "{\"ip\":\"%s\"}", ip);
	if (!strstr(call("explain", params), what))
		fail_msg("%s", reply_text);
}

#endif /* TESTS_UNIT_STEERING_FIXTURE_H */
