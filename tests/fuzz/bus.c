/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any line to the bus, as anybody and as root.
 *
 * Whatever comes, an answer is valid JSON-RPC, nobody but root runs what
 * changes state, and a notification has no reply.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/core.h"
#include "tests/fuzz/fuzz.h"

static struct core core;
static bool as_root;

static int run_echo(struct lqos_call *call, void *arg)
{
	const json_t *params = lqos_call_params(call);

	(void)arg;
	if (!params)
		return lqos_call_fail(call, -EINVAL, "expected params");
	lqos_call_result(call, json_incref((json_t *)params));
	return 0;
}

static int run_write(struct lqos_call *call, void *arg)
{
	(void)call;
	(void)arg;
	require(as_root);
	return -EBUSY;
}

static int frame(const json_t *params, json_t **out, void *arg)
{
	(void)arg;
	*out = params ? json_incref((json_t *)params) : json_object();
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "echo", .run = run_echo},
	{.name = "write", .flags = LQOS_COMMAND_WRITE, .run = run_write},
};
static const struct lqos_topic topic = {.name = "top", .frame = frame};

static void no_log(enum lqos_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void setup(void)
{
	char dir[] = "/tmp/lqos-fuzz-XXXXXX", path[64];

	core_log_sink(no_log, NULL);
	require(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/bus", dir);
	require(!core_loop_new(&core.loop, &core));
	require(!core_bus_new(&core.bus, &core, path, ""));
	/* Only the function behind the socket is of interest here. */
	unlink(path);
	rmdir(dir);
	require(!core_feed_new(&core.feed, &core));
	require(!core_ctx_new(&core.ctx, &core, "t", 0));
	require(!lqos_command_add(core.ctx, &commands[0], NULL));
	require(!lqos_command_add(core.ctx, &commands[1], NULL));
	require(!lqos_topic_add(core.ctx, &topic, NULL));
}

static void check_reply(const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const json_t *result = json_object_get(reply, "result");

	require(json_object_get(reply, "id"));
	require(!error != !result);
	require(result || (json_is_integer(json_object_get(error, "code")) &&
			   json_is_string(json_object_get(error, "message"))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!core.bus)
		setup();
	for (int root = 0; root <= 1; root++) {
		json_t *reply = NULL, *one;
		char *text;
		size_t i;

		as_root = root;
		require(!core_bus_handle(core.bus, NULL, root ? 0 : 1000,
					 (const char *)data, size, &reply));
		if (!reply)
			continue;
		text = json_dumps(reply, JSON_COMPACT);
		require(text && !strchr(text, '\n'));
		free(text);
		if (json_is_object(reply))
			check_reply(reply);
		else
			require(json_array_size(reply));
		json_array_foreach(reply, i, one)
			check_reply(one);
		json_decref(reply);
	}
	return 0;
}
