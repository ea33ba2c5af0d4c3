/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's bus methods: what they answer, from parts that are made up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

/* The part under test is compiled in here: all it calls is below. */
#include "core/status.c"

struct lqos_call {
	json_t *params;
	json_t *result;
	int error;
};

static const struct lqos_command *added[16];
static size_t n_added;
static struct lqos_ctx ctx = {.name = "core"};
static struct core core = {.ctx = &ctx, .settings = {.run_dir = "/run/here"}};

/* ---- Made up ------------------------------------------------------------ */

int lqos_command_add(struct lqos_ctx *owner, const struct lqos_command *cmd,
		     void *arg)
{
	assert_ptr_equal(owner, &ctx);
	assert_ptr_equal(arg, &core);
	assert_true(n_added < ARRAY_SIZE(added));
	added[n_added++] = cmd;
	return 0;
}

const struct json_t *lqos_call_params(const struct lqos_call *call)
{
	return call->params;
}

void lqos_call_result(struct lqos_call *call, struct json_t *result)
{
	json_decref(call->result);
	call->result = result;
}

int lqos_call_fail(struct lqos_call *call, int rc, const char *fmt, ...)
{
	(void)fmt;
	call->error = rc;
	return rc;
}

int core_fail(const char *who, int rc, const char *fmt, ...)
{
	(void)who;
	(void)fmt;
	return rc;
}

static const struct core_module modules[] = {
	{
		.info = {.name = "first",
			 .version = "1.2",
			 .description = "It steers",
			 .path = "/lib/first.so",
			 .abi = LQOS_ABI,
			 .flags = LQOS_MODULE_STEERS},
		.started = true,
	},
	{
		.info = {.name = "second", .needs = "first", .abi = LQOS_ABI},
	},
};

size_t core_loader_count(const struct core_loader *loader)
{
	(void)loader;
	return ARRAY_SIZE(modules);
}

const struct core_module *core_loader_get(const struct core_loader *loader,
					  size_t i)
{
	(void)loader;
	return &modules[i];
}

/* Larger than 32 and than 53 bits: nothing may be cut. */
#define LARGE ((UINT64_C(1) << 60) + 1)

void core_loop_stats(const struct core_loop *loop, struct core_loop_stats *out)
{
	(void)loop;
	*out = (struct core_loop_stats){LARGE, 1, 2, 3, 4};
}

void core_bus_stats(const struct core_bus *bus, struct core_bus_stats *out)
{
	(void)bus;
	*out = (struct core_bus_stats){1, 2, 3, 4, 5, 6, LARGE};
}

void core_feed_stats(const struct core_feed *feed, struct core_feed_stats *out)
{
	(void)feed;
	*out = (struct core_feed_stats){1, 2, LARGE, 4};
}

void core_registry_problems(const struct core_registry *registry,
			    struct core_problems *out)
{
	(void)registry;
	*out = (struct core_problems){
		.skipped = 3, .rows = 20, .addresses = 4, .warnings = 2};
}

size_t core_registry_subscribers(const struct core_registry *registry)
{
	(void)registry;
	return 17;
}

size_t core_registry_prefixes(const struct core_registry *registry)
{
	(void)registry;
	return 34;
}

json_t *core_datapath_status(struct core_datapath *datapath)
{
	(void)datapath;
	return json_pack("{s:[s], s:{}, s:{s:i}}", "interfaces", "eth0",
			 "chains", "counters", "received", 7);
}

json_t *core_datapath_maps(struct core_datapath *datapath)
{
	(void)datapath;
	return json_pack("[s]", "a map");
}

json_t *core_bus_methods(const struct core_bus *bus)
{
	(void)bus;
	return json_pack("[s]", "a method");
}

static const struct lqos_column decls[] = {
	{.name = "a",
	 .title = "A",
	 .help = "global",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_BYTES,
	 .scope = LQOS_SCOPE_GLOBAL},
	{.name = "b",
	 .title = "B",
	 .help = "subscriber's",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_CLASS,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .flags = LQOS_COLUMN_DETAIL},
	{.name = "c",
	 .title = "C",
	 .help = "newer",
	 .kind = LQOS_GAUGE,
	 .unit = (enum lqos_unit)99,
	 .scope = LQOS_SCOPE_SUBSCRIBER},
};
static const struct core_column columns[] = {
	{.decl = &decls[0], .name = "first.a"},
	{.decl = &decls[1], .name = "first.b"},
	{.decl = &decls[2], .name = "second.c"},
};
static const struct core_column *const global_columns[] = {&columns[0]};
static const struct core_column *const their_columns[] = {&columns[1],
							  &columns[2]};
static const struct core_snapshot snapshot = {
	.tables = {
		[LQOS_SCOPE_GLOBAL] = {.columns = global_columns,
				       .n_columns = 1},
		[LQOS_SCOPE_SUBSCRIBER] = {.columns = their_columns,
					   .n_columns = 2},
	}};
static bool ticked;

const struct core_snapshot *core_metrics_snapshot(struct core_metrics *metrics)
{
	(void)metrics;
	return ticked ? &snapshot : NULL;
}

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *of,
					      uint32_t slot)
{
	static const struct lqos_subscriber placed = {
		.slot = 5,
		.node = 1,
		.circuit_id = "C5",
		.name = "Five",
		.down_max = LARGE,
		.cpu = 3,
		.handle = 0x1a000bu,
	};
	static const struct lqos_subscriber bare = {
		.slot = 6,
		.circuit_id = "C6",
		.cpu = UINT32_MAX,
	};

	(void)of;
	return slot == 5 ? &placed : slot == 6 ? &bare : NULL;
}

const struct lqos_node *lqos_node(struct lqos_ctx *of, uint32_t id)
{
	static const struct lqos_node site = {.id = 1, .name = "Site"};

	(void)of;
	return id == 1 ? &site : NULL;
}

int lqos_prefixes(struct lqos_ctx *of,
		  int (*fn)(const struct lqos_prefix *p, void *arg), void *arg)
{
	static const struct lqos_prefix prefixes[] = {
		{.slot = 5, .device_id = "D1", .by_hand = true},
		{.slot = 6, .device_id = ""},
		{.slot = 5},
	};

	(void)of;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		int rc = fn(&prefixes[i], arg);

		if (rc)
			return rc;
	}
	return 0;
}

const char *core_prefix_text(const struct lqos_prefix *p, char *buf,
			     size_t size)
{
	snprintf(buf, size, "prefix of %u", p->slot);
	return buf;
}

/* ---- Tests -------------------------------------------------------------- */

static int ask(const char *name, json_t *params, json_t **result)
{
	struct lqos_call call = {.params = params};
	int rc = -ENOSYS;

	for (size_t i = 0; i < n_added; i++)
		if (!strcmp(added[i]->name, name))
			rc = added[i]->run(&call, &core);
	json_decref(params);
	assert_int_equal(call.error, rc);
	*result = call.result;
	return rc;
}

/* The answer is this JSON. */
static void assert_answer(const char *name, json_t *params,
			  const char *expected)
{
	json_t *result, *wanted = json_loads(expected, 0, NULL);

	assert_non_null(wanted);
	assert_int_equal(ask(name, params, &result), 0);
	if (!json_equal(result, wanted)) {
		char *got = json_dumps(result, JSON_INDENT(1));

		fail_msg("%s answered %s", name, got);
	}
	json_decref(result);
	json_decref(wanted);
}

static json_t *taken(json_t *object, const char *key)
{
	json_t *value = json_incref(json_object_get(object, key));

	json_object_del(object, key);
	return value;
}

static void status_has_everything(void **state)
{
	json_t *result, *pid, *uptime, *wanted;
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	core.started_ns = (uint64_t)(now.tv_sec - 100) * NS_PER_S;
	assert_int_equal(ask("status", NULL, &result), 0);
	pid = taken(result, "pid");
	uptime = taken(result, "uptime");
	assert_int_equal(json_integer_value(pid), getpid());
	assert_in_range(json_integer_value(uptime), 100, 160);
	wanted = json_loads(
		"{\"version\": \"" PACKAGE_VERSION "\", \"state\": \"running\","
		"\"run_dir\": \"/run/here\", \"modules\": [\"first\", "
		"\"second\"], \"subscribers\": 17, \"prefixes\": 34, "
		"\"problems\": {\"rows\": 20, \"skipped\": 3, "
		"\"addresses\": 4, "
		"\"warnings\": 2}, \"loop\": {\"callbacks\": "
		"1152921504606846977, \"slow\": 1, \"slowest_ns\": 2, "
		"\"ring_short\": 3, \"ring_budget\": 4}, \"bus\": "
		"{\"clients\": 1, \"accepted\": 2, \"refused\": 3, "
		"\"requests\": 4, \"errors\": 5, \"denied\": 6, "
		"\"overlong\": 1152921504606846977}, \"feed\": "
		"{\"subscriptions\": 1, \"frames\": 2, \"bytes\": "
		"1152921504606846977, \"dropped\": 4}, \"interfaces\": "
		"[\"eth0\"], \"chains\": {}, \"counters\": {\"received\": 7}}",
		0, NULL);
	assert_non_null(wanted);
	assert_true(json_equal(result, wanted));
	json_decref(wanted);
	json_decref(pid);
	json_decref(uptime);
	json_decref(result);
}

static void a_clock_set_back_is_no_uptime(void **state)
{
	json_t *result;

	(void)state;
	core.started_ns = UINT64_MAX;
	assert_int_equal(ask("status", NULL, &result), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "uptime")),
			 0);
	json_decref(result);
}

static void modules_are_described(void **state)
{
	(void)state;
	assert_answer("modules", NULL,
		      "[{\"name\": \"first\", \"version\": \"1.2\", \"abi\": "
		      "\"3.1\", \"description\": \"It steers\", \"needs\": "
		      "\"\", \"after\": \"\", \"path\": \"/lib/first.so\", "
		      "\"steers\": true, \"started\": true}, {\"name\": "
		      "\"second\", \"version\": \"\", \"abi\": \"3.1\", "
		      "\"description\": \"\", \"needs\": \"first\", \"after\": "
		      "\"\", \"path\": \"\", \"steers\": false, \"started\": "
		      "false}]");
}

static void others_answers_are_handed_on(void **state)
{
	(void)state;
	assert_answer("maps", NULL, "[\"a map\"]");
	assert_answer("methods", NULL, "[\"a method\"]");
}

static void columns_are_those_of_the_snapshot(void **state)
{
	(void)state;
	ticked = false;
	assert_answer("columns", NULL, "[]");
	ticked = true;
	assert_answer(
		"columns", NULL,
		"[{\"name\": \"first.a\", \"title\": \"A\", \"help\": "
		"\"global\", \"kind\": \"counter\", \"unit\": \"bytes\", "
		"\"scope\": \"global\", \"detail\": false}, {\"name\": "
		"\"first.b\", \"title\": \"B\", \"help\": \"subscriber's\", "
		"\"kind\": \"gauge\", \"unit\": \"class\", \"scope\": "
		"\"subscriber\", \"detail\": true}, {\"name\": \"second.c\", "
		"\"title\": \"C\", \"help\": \"newer\", \"kind\": \"gauge\", "
		"\"unit\": \"unknown\", \"scope\": \"subscriber\", "
		"\"detail\": false}]");
}

static void a_subscriber_is_told_by_slot(void **state)
{
	(void)state;
	assert_answer(
		"subscriber", json_pack("{s:i}", "slot", 5),
		"{\"slot\": 5, \"circuit_id\": \"C5\", \"name\": \"Five\", "
		"\"node\": \"Site\", \"cpu\": 3, \"class\": \"1a:b\", "
		"\"down_min\": 0, \"down_max\": 1152921504606846977, "
		"\"up_min\": 0, \"up_max\": 0, \"prefixes\": [{\"ip\": "
		"\"prefix of 5\", \"device\": \"D1\", \"by_hand\": true}, "
		"{\"ip\": \"prefix of 5\", \"by_hand\": false}]}");
	assert_answer(
		"subscriber", json_pack("{s:i}", "slot", 6),
		"{\"slot\": 6, \"circuit_id\": \"C6\", \"name\": \"\", "
		"\"node\": null, \"cpu\": null, \"class\": null, \"down_min\": "
		"0, \"down_max\": 0, \"up_min\": 0, \"up_max\": 0, "
		"\"prefixes\": [{\"ip\": \"prefix of 6\", \"by_hand\": "
		"false}]}");
}

static void bad_slots_are_refused(void **state)
{
	json_t *result = NULL;

	(void)state;
	assert_int_equal(ask("subscriber", NULL, &result), -EINVAL);
	assert_int_equal(
		ask("subscriber", json_pack("{s:s}", "slot", "5"), &result),
		-EINVAL);
	assert_int_equal(
		ask("subscriber", json_pack("{s:i}", "slot", 0), &result),
		-EINVAL);
	/* Not slot 5 again, 32 bits up. */
	assert_int_equal(
		ask("subscriber",
		    json_pack("{s:I}", "slot", ((json_int_t)1 << 32) + 5),
		    &result),
		-EINVAL);
	assert_int_equal(
		ask("subscriber", json_pack("{s:i}", "slot", 7), &result),
		-ENOENT);
	assert_null(result);
}

static int group_setup(void **state)
{
	(void)state;
	return core_status_commands(&core);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_has_everything),
		cmocka_unit_test(a_clock_set_back_is_no_uptime),
		cmocka_unit_test(modules_are_described),
		cmocka_unit_test(others_answers_are_handed_on),
		cmocka_unit_test(columns_are_those_of_the_snapshot),
		cmocka_unit_test(a_subscriber_is_told_by_slot),
		cmocka_unit_test(bad_slots_are_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
