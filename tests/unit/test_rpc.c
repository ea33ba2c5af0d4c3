/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON-RPC as such: what core_bus_handle() answers to which line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/bus_bench.h"

static int run_echo(struct lqos_call *call, void *arg)
{
	(*(int *)arg)++;
	lqos_call_result(call, json_incref((json_t *)lqos_call_params(call)));
	return lqos_call_params(call) ? 0 : -ENODATA;
}

static int run_null(struct lqos_call *call, void *arg)
{
	(void)call;
	(void)arg;
	return 0;
}

static int run_fail(struct lqos_call *call, void *arg)
{
	(void)arg;
	return lqos_call_fail(call, -ENOENT, "no circuit \"%s\"", "c\xe9");
}

static int run_bad(struct lqos_call *call, void *arg)
{
	(void)arg;
	return lqos_call_fail(call, -EINVAL, "expected {ip: string}");
}

static int run_silent(struct lqos_call *call, void *arg)
{
	(void)call;
	(void)arg;
	return -EBUSY;
}

/* Fails, but forgets to return it. */
static int run_lax(struct lqos_call *call, void *arg)
{
	(void)arg;
	lqos_call_result(call, json_integer(1));
	lqos_call_fail(call, -EIO, "disk on fire");
	return 0;
}

static int run_broken(struct lqos_call *call, void *arg)
{
	(void)arg;
	lqos_call_result(call, json_string("\xff"));
	return 0;
}

static int writes;

static int run_write(struct lqos_call *call, void *arg)
{
	(void)call;
	(void)arg;
	writes++;
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "echo", .params = "{...}", .help = "h", .run = run_echo},
	{.name = "null", .run = run_null},
	{.name = "fail", .run = run_fail},
	{.name = "bad", .run = run_bad},
	{.name = "silent", .run = run_silent},
	{.name = "lax", .run = run_lax},
	{.name = "broken", .run = run_broken},
	{.name = "write", .flags = LQOS_COMMAND_WRITE, .run = run_write},
};

static int echoes;

static int setup(void **state)
{
	struct bench *b;

	bench_setup(state);
	b = *state;
	echoes = writes = 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(
			lqos_command_add(b->core.ctx, &commands[i], &echoes),
			0);
	return 0;
}

static json_t *handle_n(struct bench *b, uid_t uid, const char *line,
			size_t len)
{
	json_t *reply = (json_t *)1;

	/* A copy of just that size: ASan sees whoever reads on. */
	char *copy = malloc(len);

	assert_true(!len || copy);
	memcpy(copy, line, len);
	assert_int_equal(
		core_bus_handle(b->core.bus, NULL, uid, copy, len, &reply), 0);
	free(copy);
	return reply;
}

static json_t *handle(struct bench *b, const char *line)
{
	return handle_n(b, 0, line, strlen(line));
}

static void expect_text(struct bench *b, const char *line, const char *reply)
{
	json_t *json = handle(b, line);
	char *text = json_dumps(json, JSON_COMPACT);

	assert_string_equal(text, reply);
	free(text);
	json_decref(json);
}

#define CALL(id, method, rest) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"" rest "}"

static void results_and_ids(void **state)
{
	struct bench *b = *state;

	expect_text(b, CALL("1", "test.echo", ",\"params\":{\"a\":[1,{}]}"),
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":[1,{}]}}");
	expect_text(b, CALL("\"x\"", "test.null", ""),
		    "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":null}");
	expect_text(b, CALL("null", "test.null", ""),
		    "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":null}");
	expect_text(b, CALL("1.5", "test.null", ""),
		    "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":null}");
	expect_text(b,
		    " { \"method\":\"test.null\",\"id\":-7 ,"
		    "\"jsonrpc\":\"2.0\"}\r",
		    "{\"jsonrpc\":\"2.0\",\"id\":-7,\"result\":null}");
}

static void expect_error(struct bench *b, const char *line, int code,
			 const char *name, const char *text)
{
	json_t *reply = handle(b, line);

	assert_non_null(reply);
	assert_null(json_object_get(reply, "result"));
	assert_non_null(json_object_get(reply, "id"));
	assert_int_equal(bench_int(reply, "error", "code", NULL), code);
	assert_string_equal(bench_str(reply, "error", "data", "errno"),
			    name ? name : "(none)");
	assert_string_equal(bench_str(reply, "error", "message", NULL), text);
	json_decref(reply);
}

static void failures(void **state)
{
	struct bench *b = *state;

	expect_error(b, CALL("1", "test.fail", ""), -32000, "ENOENT",
		     "no circuit \"c?\"");
	expect_error(b, CALL("1", "test.bad", ""), -32602, "EINVAL",
		     "expected {ip: string}");
	expect_error(b, CALL("1", "test.silent", ""), -32000, "EBUSY",
		     "Device or resource busy");
	expect_error(b, CALL("1", "test.lax", ""), -32000, "EIO",
		     "disk on fire");
	expect_error(b, CALL("1", "test.broken", ""), -32000, "ENOMEM",
		     "no memory for the answer, or a text in it is not UTF-8");
	expect_error(b, CALL("1", "test.echo", ""), -32000, "ENODATA",
		     "no memory for the answer, or a text in it is not UTF-8");
}

static void unknown_methods(void **state)
{
	struct bench *b = *state;

	expect_error(b, CALL("1", "test.ecko", ""), -32601, NULL,
		     "no method \"test.ecko\": did you mean \"test.echo\"?");
	expect_error(b, CALL("1", "pping.top", ""), -32601, NULL,
		     "no method \"pping.top\": is its module loaded?");
	expect_error(b, CALL("1", "", ""), -32601, NULL,
		     "no method \"\": is its module loaded?");
	expect_error(b, CALL("1", "echo", ""), -32601, NULL,
		     "no method \"echo\": is its module loaded?");
}

static void unknown_method_with_a_very_long_name(void **state)
{
	char *line = NULL;
	json_t *reply;

	/* Its 64th byte is the first half of a letter. */
	assert_true(asprintf(&line, CALL("1", "%063d\xc3\xa9%0500000d", ""), 0,
			     0) > 0);
	reply = handle(*state, line);
	assert_int_equal(bench_int(reply, "error", "code", NULL), -32601);
	assert_true(strlen(bench_str(reply, "error", "message", NULL)) < 128);
	json_decref(reply);
	free(line);
}

static void what_is_no_request(void **state)
{
	static const struct {
		const char *line;
		int code;
	} bad[] = {
		{"", -32700},
		{"\r", -32700},
		{"{", -32700},
		{"}", -32700},
		{"nonsense", -32700},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.null\"",
		 -32700},
		{CALL("1", "test.null", "") "x", -32700},
		{CALL("1", "test.null", ",\"id\":2"), -32700},
		{CALL("1", "test.null\\u0000", ""), -32700},
		{CALL("1", "test.null\xff", ""), -32700},
		{CALL("1", "test.null\xc0\x80", ""), -32700},
		{CALL("1", "\xed\xa0\x80", ""), -32700},
		{CALL("1e999", "test.null", ""), -32700},
		{CALL("99999999999999999999", "test.null", ""), -32700},
		{"1", -32600},
		{"null", -32600},
		{"\"test.null\"", -32600},
		{"{}", -32600},
		{"[]", -32600},
		{"{\"id\":1,\"method\":\"test.null\"}", -32600},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"test.null\"}",
		 -32600},
		{"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"test.null\"}", -32600},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600},
		{CALL("{}", "test.null", ""), -32600},
		{CALL("[1]", "test.null", ""), -32600},
		{CALL("true", "test.null", ""), -32600},
		{CALL("1", "test.null", ",\"params\":[]"), -32602},
		{CALL("1", "test.null", ",\"params\":null"), -32602},
		{CALL("1", "test.null", ",\"params\":\"x\""), -32602},
	};
	struct core_bus_stats stats;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *reply = handle(*state, bad[i].line);

		assert_non_null(reply);
		assert_non_null(json_object_get(reply, "id"));
		if (bench_int(reply, "error", "code", NULL) != bad[i].code)
			fail_msg("%s: %s", bad[i].line,
				 bench_str(reply, "error", "message", NULL));
		json_decref(reply);
	}
	core_bus_stats(((struct bench *)*state)->core.bus, &stats);
	assert_int_equal(stats.errors, sizeof(bad) / sizeof(bad[0]));
}

static void parse_errors_say_where(void **state)
{
	json_t *reply = handle(*state, "{\"jsonrpc\":\"2.0\" \"id\":1}");

	assert_true(json_is_null(json_object_get(reply, "id")));
	assert_non_null(strstr(bench_str(reply, "error", "message", NULL),
			       "parse error at byte 21: "));
	json_decref(reply);
}

static void raw_nuls(void **state)
{
	static const char before[] = "\0" CALL("1", "test.null", "");
	static const char after[] = CALL("1", "test.null", "") "\0\0";
	static const char within[] = CALL("1", "test\0.null", "");
	const char *lines[] = {before, after, within};
	size_t sizes[] = {sizeof(before) - 1, sizeof(after) - 1,
			  sizeof(within) - 1};

	for (int i = 0; i < 3; i++) {
		json_t *reply = handle_n(*state, 0, lines[i], sizes[i]);

		assert_int_equal(bench_int(reply, "error", "code", NULL),
				 -32700);
		json_decref(reply);
	}
}

static json_t *nested(struct bench *b, int depth)
{
	char *line = malloc(2 * (size_t)depth + 128);
	size_t n = (size_t)sprintf(line, "{\"jsonrpc\":\"2.0\",\"id\":1,"
					 "\"method\":\"test.echo\","
					 "\"params\":{\"]\\\"]\":");
	json_t *reply;

	memset(line + n, '[', (size_t)depth - 2);
	n += (size_t)depth - 2;
	memset(line + n, ']', (size_t)depth - 2);
	n += (size_t)depth - 2;
	strcpy(line + n, "}}");
	reply = handle(b, line);
	free(line);
	return reply;
}

static void deep_nesting(void **state)
{
	json_t *reply = nested(*state, CORE_BUS_DEPTH_MAX);

	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
	for (int depth = CORE_BUS_DEPTH_MAX + 1; depth < 600000; depth *= 20) {
		reply = nested(*state, depth);
		assert_int_equal(bench_int(reply, "error", "code", NULL),
				 -32700);
		assert_string_equal(bench_str(reply, "error", "message", NULL),
				    "parse error: nested deeper than 32");
		json_decref(reply);
	}
}

static void many_values(void **state)
{
	/* Six more: three objects and arrays, and members before the last. */
	for (size_t more = 0; more <= 1; more++) {
		size_t n = CORE_BUS_VALUES_MAX - 5 + more;
		char *line = calloc(2, n + 100), *end;
		json_t *reply;

		end = line + sprintf(line, "{\"jsonrpc\":\"2.0\",\"id\":1,"
					   "\"method\":\"test.echo\","
					   "\"params\":{\",[\":[");
		for (size_t i = 0; i < n; i++)
			end += sprintf(end, "%s0", i ? "," : "");
		strcpy(end, "]}}");
		reply = handle(*state, line);
		free(line);
		if (more)
			assert_string_equal(
				bench_str(reply, "error", "message", NULL),
				"parse error: more than 32768 values");
		else
			assert_int_equal(json_array_size(bench_at(
						 reply, "result", ",[", NULL)),
					 n);
		json_decref(reply);
	}
}

static void brackets_in_strings_do_not_nest(void **state)
{
	expect_text(*state,
		    CALL("1", "test.echo",
			 ",\"params\":{\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
			 "{{{{\\\\\":1}"),
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"
		    "\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{{{{\\\\\":1}}");
}

static void notifications_have_no_reply(void **state)
{
	struct bench *b = *state;

	assert_null(handle(b, "{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\","
			      "\"params\":{}}"));
	assert_int_equal(echoes, 1);
	assert_null(handle(b, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}"));
	assert_null(
		handle(b, "{\"jsonrpc\":\"2.0\",\"method\":\"test.fail\"}"));
	assert_null(handle(b, "{\"jsonrpc\":\"2.0\",\"method\":\"test.null\","
			      "\"params\":[]}"));
}

static void batches(void **state)
{
	struct bench *b = *state;

	expect_text(
		b,
		"[" CALL("1", "test.null",
			 "") ",7,"
			     "{\"jsonrpc\":\"2.0\",\"method\":\"test.echo\","
			     "\"params\":{}},"
			     "[]," CALL("\"b\"", "test.bad", "") "]",
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null},"
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
		"\"message\":\"invalid request: expected an object\"}},"
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
		"\"message\":\"invalid request: expected an object\"}},"
		"{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"error\":{\"code\":-32602,"
		"\"message\":\"expected {ip: string}\","
		"\"data\":{\"errno\":\"EINVAL\"}}}]");
	assert_int_equal(echoes, 1);
	assert_null(handle(b, "[{\"jsonrpc\":\"2.0\","
			      "\"method\":\"test.null\"}]"));
}

static void large_batches(void **state)
{
	for (int n = 64; n <= 65; n++) {
		char *line = calloc(1, 80 * 65), *end = line;
		json_t *reply;

		for (int i = 0; i < n; i++)
			end += sprintf(
				end, "%c%s", i ? ',' : '[',
				CALL("1", "test.echo", ",\"params\":{}"));
		strcpy(end, "]");
		reply = handle(*state, line);
		if (n == 64)
			assert_int_equal(json_array_size(reply), 64);
		else
			assert_string_equal(
				bench_str(reply, "error", "message", NULL),
				"a batch of 65 requests: at most 64");
		json_decref(reply);
		free(line);
	}
	assert_int_equal(echoes, 64); /* of the second batch nothing ran */
}

static int run_huge(struct lqos_call *call, void *arg)
{
	size_t size = CORE_BUS_OUT_MAX / 3;
	char *text = malloc(size);

	(*(int *)arg)++;
	memset(text, 'x', size);
	lqos_call_result(call, json_stringn(text, size));
	free(text);
	return 0;
}

/* A list of everybody is megabytes; 64 of them in one batch would be all the
 * memory there is. */
static void batches_of_large_answers(void **state)
{
	static const struct lqos_command huge = {.name = "huge",
						 .run = run_huge};
	struct bench *b = *state;
	char line[2048] = "[";
	json_t *reply, *last;
	int ran = 0;

	assert_int_equal(lqos_command_add(b->core.ctx, &huge, &ran), 0);
	for (int i = 0; i < 10; i++)
		strcat(strcat(line, i ? "," : ""),
		       i < 9 ? CALL("1", "test.huge", "")
			     : CALL("\"z\"", "test.huge", ""));
	reply = handle(b, strcat(line, "]"));
	assert_int_equal(json_array_size(reply), 10);
	assert_int_equal(ran, 3);
	last = json_array_get(reply, 9);
	assert_string_equal(json_string_value(json_object_get(last, "id")),
			    "z");
	assert_non_null(
		strstr(bench_str(last, "error", "message", NULL), "not run: "));
	json_decref(reply);
}

static void only_root_changes_state(void **state)
{
	static const char call[] = CALL("1", "test.write", "");
	static const char quiet[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"test.write\"}";
	struct bench *b = *state;
	struct core_bus_stats stats;
	json_t *reply = handle_n(b, 1000, call, strlen(call));

	assert_int_equal(bench_int(reply, "error", "code", NULL), -32000);
	assert_string_equal(bench_str(reply, "error", "data", "errno"),
			    "EPERM");
	assert_string_equal(bench_str(reply, "error", "message", NULL),
			    "method test.write changes state: root only (you "
			    "are uid 1000)");
	json_decref(reply);
	assert_null(handle_n(b, 1000, quiet, strlen(quiet)));
	assert_int_equal(writes, 0);
	core_bus_stats(b->core.bus, &stats);
	assert_int_equal(stats.denied, 2);

	json_decref(handle_n(b, 0, call, strlen(call)));
	assert_int_equal(writes, 1);
}

static void who_may_be_added(void **state)
{
	struct bench *b = *state;
	const struct lqos_command spaced = {.name = "a b", .run = run_null};
	const struct lqos_command empty = {.name = "", .run = run_null};
	const struct lqos_command idle = {.name = "idle"};
	const struct lqos_command long_one = {
		.name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aa"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aa",
		.run = run_null};

	assert_int_equal(lqos_command_add(b->core.ctx, &commands[1], NULL),
			 -EEXIST);
	assert_true(log_has("command test.null was added before"));
	assert_int_equal(lqos_command_add(b->core.ctx, &spaced, NULL), -EINVAL);
	assert_int_equal(lqos_command_add(b->core.ctx, &empty, NULL), -EINVAL);
	assert_int_equal(lqos_command_add(b->core.ctx, &idle, NULL), -EINVAL);
	assert_int_equal(lqos_command_add(b->core.ctx, &long_one, NULL),
			 -EINVAL);
}

static void commands_go_with_their_module(void **state)
{
	struct bench *b = *state;
	struct lqos_ctx *module;

	assert_int_equal(core_ctx_new(&module, &b->core, "other", 1), 0);
	assert_int_equal(lqos_command_add(module, &commands[1], NULL), 0);
	expect_text(b, CALL("1", "other.null", ""),
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}");
	core_ctx_release(module);
	expect_error(b, CALL("1", "other.null", ""), -32601, NULL,
		     "no method \"other.null\": is its module loaded?");
	assert_int_equal(lqos_command_add(module, &commands[1], NULL), 0);

	/* The bus may go first, too. */
	core_bus_free(&b->core.bus);
	core_ctx_free(&module);
	assert_int_equal(lqos_command_add(b->core.ctx, &commands[1], NULL),
			 -ENOTCONN);
}

static void methods_are_listed_in_order(void **state)
{
	static const char *const names[] = {"bad", "broken", "echo",   "fail",
					    "lax", "null",   "silent", "write"};
	struct bench *b = *state;
	json_t *methods = core_bus_methods(b->core.bus), *one;
	char name[32];
	size_t i;

	assert_int_equal(json_array_size(methods), 8);
	json_array_foreach(methods, i, one) {
		snprintf(name, sizeof(name), "test.%s", names[i]);
		assert_string_equal(bench_str(one, "method", NULL, NULL), name);
		assert_true(json_is_boolean(json_object_get(one, "write")));
		assert_int_equal(json_is_true(json_object_get(one, "write")),
				 i == 7);
	}
	one = json_array_get(methods, 2);
	assert_string_equal(bench_str(one, "params", NULL, NULL), "{...}");
	assert_string_equal(bench_str(one, "help", NULL, NULL), "h");
	json_decref(methods);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_and_ids),
		TEST(failures),
		TEST(unknown_methods),
		TEST(unknown_method_with_a_very_long_name),
		TEST(what_is_no_request),
		TEST(parse_errors_say_where),
		TEST(raw_nuls),
		TEST(deep_nesting),
		TEST(many_values),
		TEST(brackets_in_strings_do_not_nest),
		TEST(notifications_have_no_reply),
		TEST(batches),
		TEST(large_batches),
		TEST(batches_of_large_answers),
		TEST(only_root_changes_state),
		TEST(who_may_be_added),
		TEST(commands_go_with_their_module),
		TEST(methods_are_listed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
