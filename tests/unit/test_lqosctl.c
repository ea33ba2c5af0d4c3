/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl as it is typed, against a bus in another process.  The program is
 * compiled in here, before cmocka.h defines its macro fail().
 */
int lqosctl_main(int argc, char **argv);
#define main lqosctl_main
#include "core/lqosctl.c"
#undef main

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/bus_bench.h"

static char out[16384], err[16384];
static pid_t server;

static int give(struct lqos_call *call, void *arg)
{
	json_error_t error;

	lqos_call_result(call, json_loads(arg, JSON_DECODE_ANY, &error));
	return 0;
}

static int echo(struct lqos_call *call, void *arg)
{
	(void)arg;
	if (!lqos_call_params(call))
		return lqos_call_fail(call, -EINVAL, "expected {...}");
	lqos_call_result(call, json_incref((json_t *)lqos_call_params(call)));
	return 0;
}

static int list_methods(struct lqos_call *call, void *arg)
{
	lqos_call_result(call, core_bus_methods(arg));
	return 0;
}

static int hang(struct lqos_call *call, void *arg)
{
	(void)call;
	(void)arg;
	sleep(3);
	return 0;
}

static int frame(const json_t *params, json_t **to, void *arg)
{
	(void)arg;
	*to = json_pack("{s:O?}", "params", params);
	return 0;
}

static const struct lqos_command methods[] = {
	{.name = "status", .run = give},
	{.name = "modules", .run = give},
	{.name = "maps", .run = give},
	{.name = "echo",
	 .params = "{ip: string, n?: number, on?: bool, list?: [{a: number}], "
		   "classid?: \"major:minor\", any?: string|integer}",
	 .help = "says it again",
	 .run = echo},
	{.name = "bypass",
	 .params = "{on: bool, seconds?: number}",
	 .run = echo},
	{.name = "open", .run = echo},
	{.name = "hang", .run = hang},
};
/* Of the first of them. */
static char *const answers[ARRAY_SIZE(methods)] = {
	"{\"version\":\"1.2\",\"pid\":7,\"uptime\":93784,"
	"\"state\":\"running\",\"subscribers\":5,\"prefixes\":6,"
	"\"bypass\":{\"bypass\":true,\"seconds_left\":9},"
	"\"problems\":{\"rows\":4,\"skipped\":2,\"addresses\":29},\"loop\":{"
	"\"slow\":0},"
	"\"bus\":{\"clients\":1,\"refused\":0},"
	"\"modules\":[\"steering\",\"pping\"],"
	"\"interfaces\":[{\"name\":\"eth0\",\"mode\":\"native\","
	"\"queues\":8},{\"name\":\"ens1f1\",\"mode\":\"generic\","
	"\"queues\":16}],\"other\":1}",
	("[{\"name\":\"B\\u00e9\\u001b[31m\\u009b\",\"n\":1.25},"
	 "{\"name\":\"b\",\"n\":100,\"on\":true,\"l\":[1]},{\"n\":null,\"o\":{"
	 "\"p\":7,"
	 "\"q\":null}}]"),
	"[]",
};
static const struct lqos_command methods_method = {.name = "methods",
						   .run = list_methods};
static const struct lqos_topic topic = {.name = "top", .frame = frame};

static void tick(void *arg)
{
	core_feed_tick(((struct bench *)arg)->core.feed);
}

static int setup(void **state)
{
	struct bench *b;

	bench_setup(state);
	b = *state;
	server = fork();
	if (server)
		return 0;

	core_ctx_free(&b->core.ctx);
	core_ctx_new(&b->core.ctx, &b->core, "core", 0);
	core_feed_new(&b->core.feed, &b->core);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		lqos_command_add(b->core.ctx, &methods[i], answers[i]);
	lqos_command_add(b->core.ctx, &methods_method, b->core.bus);
	lqos_topic_add(b->core.ctx, &topic, NULL);
	lqos_timer_every(b->core.ctx, 20, tick, b, NULL);
	_exit(core_loop_run(b->core.loop));
}

static int teardown(void **state)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return bench_teardown(state);
}

static void slurp(const char *path, char *to, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	fclose(f);
	unlink(path);
}

/* Runs lqosctl with these arguments; what it printed is in out and err. */
static int ctl_words(struct bench *b, const char *const *words)
{
	const char *argv[16] = {"lqosctl", "-S", b->path};
	char out_path[96], err_path[96];
	int argc = 3, status;
	pid_t pid;

	while (*words)
		argv[argc++] = *words++;
	snprintf(out_path, sizeof(out_path), "%s/out", b->dir);
	snprintf(err_path, sizeof(err_path), "%s/err", b->dir);
	pid = fork();
	if (!pid) {
		if (!freopen(out_path, "w", stdout) ||
		    !freopen(err_path, "w", stderr))
			_exit(99);
		alarm(20);
		exit(lqosctl_main(argc, (char **)argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	slurp(out_path, out, sizeof(out));
	slurp(err_path, err, sizeof(err));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int ctl(struct bench *b, const char *a1, const char *a2, const char *a3)
{
	return ctl_words(b, (const char *const[]){a1, a2, a3, NULL});
}

static void expect(int rc, int expected)
{
	if (rc != expected)
		fail_msg("exit %d: %s%s", rc, out, err);
}

static void the_status_page(void **state)
{
	static const char head[] =
		"lqosd 1.2, pid 7, running, up 1d 02:03:04\n"
		"subscribers: 5, prefixes: 6; 2 of 6 rows were left out, 29 "
		"addresses were left out, the log says why\n"
		"bypass is on for another 9 s: packets pass untouched\n"
		"modules: steering, pping\n"
		"\n"
		"interfaces:\n"
		"  name    mode     queues\n"
		"  eth0    native        8\n"
		"  ens1f1  generic      16\n";

	expect(ctl(*state, "status", NULL, NULL), 0);
	assert_memory_equal(out, head, sizeof(head) - 1);
	assert_string_equal(out + sizeof(head) - 1, "\n"
						    "bus:\n"
						    "  clients: 1\n"
						    "other: 1\n");
	expect(ctl(*state, "s", "-v", NULL), 0);
	assert_memory_equal(out, head, sizeof(head) - 1);
	assert_string_equal(out + sizeof(head) - 1, "\n"
						    "loop:\n"
						    "  slow: 0\n"
						    "\n"
						    "bus:\n"
						    "  clients: 1\n"
						    "  refused: 0\n"
						    "other: 1\n");
}

static void tables(void **state)
{
	expect(ctl(*state, "modules", NULL, NULL), 0);
	assert_string_equal(out, "name          n  on   l    o.p  o.q\n"
				 "B\xc3\xa9?[31m\?\?  1.25\n"
				 "b           100  yes  [1]\n"
				 "              -              7    -\n");
	expect(ctl(*state, "maps", NULL, NULL), 0);
	assert_string_equal(out, "[]\n");
}

static void values(void **state)
{
	expect(ctl(*state, "call", "core.echo",
		   "{\"a\":\"x\\ny\",\"long\":[],\"o\":{\"n\":null,"
		   "\"list\":[1,\"b\",false]},\"m\":[1,{}],\"t\":[{\"k\":1}]}"),
	       0);
	assert_string_equal(out, "a:    x?y\n"
				 "long: -\n"
				 "o:\n"
				 "  n:    -\n"
				 "  list: 1, b, no\n"
				 "m:    [1, {}]\n"
				 "t:\n"
				 "  k\n"
				 "  1\n");
	expect(ctl(*state, "call", "core.echo",
		   "{\"why\":[\"A sentence that is rather long, and goes on "
		   "and "
		   "on.\", \"Another one, of which the same has to be said, "
		   "and "
		   "has been\"],\"n\":1}"),
	       0);
	assert_string_equal(out,
			    "why:\n"
			    "  A sentence that is rather long, and goes on and "
			    "on.\n"
			    "  Another one, of which the same has to be said, "
			    "and has been\n"
			    "n: 1\n");
	expect(ctl(*state, "-j", "call", "core.nothing"), 1);
	expect(ctl(*state, "-jS", ((struct bench *)*state)->path, "maps"), 0);
	assert_string_equal(out, "[]\n");
}

#define CALL(...) \
	expect(ctl_words(*state, (const char *const[]){__VA_ARGS__, NULL}), 0)

static void methods_of_modules(void **state)
{
	struct bench *b = *state;

	CALL("-j", "core", "echo", "10.0.0.1", "7", "yes", "[{\"a\":1}]",
	     "1:2");
	assert_string_equal(out, "{\n"
				 "  \"ip\": \"10.0.0.1\",\n"
				 "  \"n\": 7,\n"
				 "  \"on\": true,\n"
				 "  \"list\": [\n"
				 "    {\n"
				 "      \"a\": 1\n"
				 "    }\n"
				 "  ],\n"
				 "  \"classid\": \"1:2\"\n"
				 "}\n");
	/* By name, what is left over without, and never more than meant. */
	CALL("core", "echo", "n=x", "any=007", "on=off", "12", "ip=3=4",
	     "classid=5");
	assert_string_equal(out, "n:       x\n"
				 "any:     007\n"
				 "on:      no\n"
				 "ip:      3=4\n"
				 "classid: 5\n"
				 "list:    12\n");
	expect(ctl(b, "core", "open", "a=1"), 0);
	expect(ctl_words(b, (const char *const[]){"core", "echo", "ip=1",
						  "ip=2", NULL}),
	       2);
	assert_non_null(strstr(err, "core echo: ip is given twice"));
	CALL("-j", "core", "open", "a=1", "b={}", "c=d e", "f=");
	assert_string_equal(out, "{\n"
				 "  \"a\": 1,\n"
				 "  \"b\": {},\n"
				 "  \"c\": \"d e\",\n"
				 "  \"f\": \"\"\n"
				 "}\n");
	expect(ctl(b, "core", "echo", NULL), 1);
	assert_string_equal(err, "lqosctl: expected {...}\n");
	expect(ctl(b, "core", "ecko", "10.0.0.1"), 1);
	assert_non_null(strstr(err, "did you mean \"core.echo\"?"));
	expect(ctl(b, "core", NULL, NULL), 0);
	assert_non_null(strstr(out, "echo     says it again\n"
				    "         {ip: string, n?: "));
}

static void the_bypass(void **state)
{
	CALL("-j", "bypass", "on");
	assert_string_equal(out, "{\n  \"on\": true\n}\n");
	CALL("-j", "bypass", "on", "--for", "60");
	assert_string_equal(out, "{\n  \"on\": true,\n"
				 "  \"seconds\": 60\n}\n");
	CALL("bypass", "status");
	assert_string_equal(out, "bypass is on for another 9 s: packets pass "
				 "untouched\n");
	CALL("-j", "bypass", "off");
	assert_string_equal(out, "{\n  \"on\": false\n}\n");
}

static void errors(void **state)
{
	struct bench *b = *state;

	expect(ctl(b, "call", "core.echo", NULL), 1);
	assert_string_equal(out, "");
	assert_string_equal(err, "lqosctl: expected {...}\n");
	expect(ctl(b, "call", "core.ecko", NULL), 1);
	assert_string_equal(err, "lqosctl: no method \"core.ecko\": did you "
				 "mean \"core.echo\"?\n");
	expect(ctl(b, "-t1", "call", "core.hang"), 1);
	assert_string_equal(err, "lqosctl: core.hang: no answer from lqosd in "
				 "1000 ms\n");
	expect(ctl(b, "-S", "/no/bus", "status"), 1);
	assert_non_null(strstr(err, "no lqosd listens on /no/bus"));
}

static void wrong_usage(void **state)
{
	struct bench *b = *state;
	static const char *const wrong[][4] = {
		{NULL, NULL, NULL, "a command is missing"},
		{"nonsense", NULL, NULL, "\"nonsense\" is no command, nor a"},
		{"m", NULL, NULL, "short for several: modules maps methods"},
		{"status", "now", NULL, "expected: lqosctl status\n"},
		{"call", NULL, NULL, "expected: lqosctl call METHOD [JSON]"},
		{"-t", "0", "status", "-t 0: expected 1 to 3600 seconds"},
		{"-t", "1x", "status", "-t 1x: expected"},
		{"-x", NULL, NULL, "Try 'lqosctl --help'"},
		{"call", "core.echo", "{\"a\"", "expected near end of file"},
		{"call", "core.echo", "[1]", "no object; expected a JSON"},
		{"watch", "core.top", "x", "expected a JSON object"},
		{"core", "echo", "a=b",
		 "core echo: \"a=b\": expected {ip: string, n?: number,"},
		{"core", "open", "b", "core open: \"b\": expected key=value"},
		{"bypass", NULL, NULL,
		 "expected: lqosctl bypass on|off|status"},
		{"bypass", "maybe", NULL, "bypass maybe: expected on, off or"},
		{"--for=0", "bypass", "on", "--for 0: expected 1 to 86400 sec"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		expect(ctl(b, wrong[i][0], wrong[i][1], wrong[i][2]), 2);
		if (!strstr(err, wrong[i][3]))
			fail_msg("\"%s\" is not in: %s", wrong[i][3], err);
		assert_string_equal(out, "");
	}
}

static void help_and_version(void **state)
{
	expect(ctl(*state, "--help", NULL, NULL), 0);
	assert_non_null(strstr(out, "usage: lqosctl"));
	expect(ctl(*state, "-V", NULL, NULL), 0);
	assert_string_equal(out, "lqosctl " PACKAGE_VERSION "\n");
}

/* Kills the daemon while lqosctl watches. */
static void watching(void **state)
{
	char line[] = "{\"params\":{\"a\":1}}\n";
	pid_t killer = fork();

	if (!killer) {
		usleep(300000);
		kill(server, SIGKILL);
		_exit(0);
	}
	expect(ctl(*state, "watch", "core.top", "{\"a\":1}"), 1);
	assert_memory_equal(out, line, strlen(line));
	assert_memory_equal(out + strlen(line), line, strlen(line));
	assert_string_equal(err, "lqosctl: lqosd went away\n");
	waitpid(killer, NULL, 0);
}

static void watching_what_is_not_there(void **state)
{
	expect(ctl(*state, "watch", "core.to", NULL), 1);
	assert_non_null(strstr(err, "no topic \"core.to\""));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_status_page),
		TEST(tables),
		TEST(values),
		TEST(errors),
		TEST(methods_of_modules),
		TEST(the_bypass),
		TEST(wrong_usage),
		TEST(help_and_version),
		TEST(watching),
		TEST(watching_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
