/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xdp_pping as scripts run it, against a bus that is played. */
int xdp_pping_main(int argc, char **argv);
#define main xdp_pping_main
#include "modules/pping/xdp_pping.c"
#undef main

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/script_bench.h"

#define NONE                                                               \
	"{\"samples\":0,\"mean_ns\":null,\"min_ns\":null,\"max_ns\":null," \
	"\"p50_ns\":null,\"p90_ns\":null,\"p99_ns\":null}"
#define SOME(n, mean, min, max, p50)                                 \
	"{\"samples\":" #n ",\"mean_ns\":" #mean ",\"min_ns\":" #min \
	",\"max_ns\":" #max ",\"p50_ns\":" #p50 ",\"p90_ns\":5,\"p99_ns\":6}"
#define SUBSCRIBER(id, class, handle, access, internet)                \
	"{\"circuit_id\":\"" id                                        \
	"\",\"name\":\"\",\"class\":\"" class "\",\"handle\":" #handle \
					      ",\"access\":" access    \
					      ",\"internet\":" internet "}"

static int ask(struct script *s, const char *answer, const char *a1,
	       const char *a2)
{
	const char *const answers[] = {answer, NULL};

	s->answers = answers;
	script_start(s);
	return script_wait(s,
			   script_spawn(s, xdp_pping_main, "xdp_pping",
					(const char *const[]){a1, a2, NULL}));
}

/* The array that it is, always. */
static json_t *parse(void)
{
	json_error_t error;
	json_t *all = json_loads(out, 0, &error);

	if (!json_is_array(all))
		fail_msg("%s: %s", error.text, out);
	return all;
}

static const char subscribers[] =
	"\"result\":[" SUBSCRIBER("late", "2:1f", 131103, SOME(4, 30000000, 1, 1, 1), NONE) "," SUBSCRIBER(
		"a", "1:5", 65541,
		SOME(60, 12504999, 3080000, 40250000, 11195000),
		SOME(3, 101000, 100000, 102000,
		     99999)) "," SUBSCRIBER("no class", "", 0,
					    SOME(9, 1, 1, 1, 1),
					    NONE) "," SUBSCRIBER("silent",
								 "1:6", 65542,
								 NONE,
								 NONE) "," SUBSCRIBER("big",
										      "10:ffff",
										      1114111,
										      SOME(1,
											   1234567890,
											   1234567890,
											   1234567890,
											   1234567890),
										      NONE) "]";

static void rows(void **state)
{
	json_t *all;

	assert_int_equal(ask(*state, subscribers, NULL, NULL), 0);
	assert_string_equal(
		out, "[\n"
		     "{\"tc\":\"1:5\", \"avg\": 12.50, \"min\": 3.08, \"max\": "
		     "40.25, \"median\": 11.20, \"samples\": 60},\n"
		     "{\"tc\":\"2:1f\", \"avg\": 30.00, \"min\": 0.00, "
		     "\"max\": 0.00, \"median\": 0.00, \"samples\": 4},\n"
		     "{\"tc\":\"10:ffff\", \"avg\": 1234.57, \"min\": 1234.57, "
		     "\"max\": 1234.57, \"median\": 1234.57, \"samples\": 1},\n"
		     "{}]\n");
	assert_string_equal(err, "");
	all = parse();
	assert_int_equal(json_array_size(all), 4);
	json_decref(all);
	assert_non_null(strstr(heard, "\"method\":\"pping.subscribers\""));
}

static void the_other_side(void **state)
{
	assert_int_equal(ask(*state, subscribers, "--internet", NULL), 0);
	assert_string_equal(
		out, "[\n"
		     "{\"tc\":\"1:5\", \"avg\": 0.10, \"min\": 0.10, \"max\": "
		     "0.10, \"median\": 0.10, \"samples\": 3},\n"
		     "{}]\n");
}

static void circuits_of_one_class(void **state)
{
	static const char shared[] = "\"result\":[" SUBSCRIBER(
		"a", "1:5", 65541,
		SOME(1, 10000000, 10000000, 10000000, 10000000),
		NONE) "," SUBSCRIBER("b", "1:5", 65541,
				     SOME(3, 20000000, 5000000, 50000000,
					  30000000),
				     NONE) "]";

	assert_int_equal(ask(*state, shared, NULL, NULL), 0);
	assert_string_equal(
		out, "[\n"
		     "{\"tc\":\"1:5\", \"avg\": 17.50, \"min\": 5.00, \"max\": "
		     "50.00, \"median\": 25.00, \"samples\": 4},\n"
		     "{}]\n");
}

static void nobody(void **state)
{
	assert_int_equal(ask(*state, "\"result\":[]", NULL, NULL), 0);
	assert_string_equal(out, "[\n{}]\n");
	json_decref(parse());
}

static void what_is_no_row(void **state)
{
	static const char strange[] =
		"\"result\":[1,{},{\"class\":\"1:5\"},"
		"{\"class\":\"1:5x\",\"access\":" SOME(
			1, 1, 1, 1,
			1) "},"
			   "{\"class\":\"1ffff:5\",\"access\":" SOME(
				   1, 1, 1, 1,
				   1) "},"
				      "{\"class\":\"1:5\",\"access\":{"
				      "\"samples\":1}}]";

	assert_int_equal(ask(*state, strange, NULL, NULL), 0);
	assert_string_equal(out, "[\n{}]\n");
}

static void all_of_it(void **state)
{
	json_t *all;

	assert_int_equal(ask(*state, subscribers, "--json", NULL), 0);
	all = parse();
	assert_int_equal(json_array_size(all), 5);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(all, 2), "circuit_id")),
			    "no class");
	json_decref(all);
}

static void errors(void **state)
{
	static const char refused[] =
		"\"error\":{\"code\":-32601,\"message\":\"no method "
		"\\\"pping.subscribers\\\"\"}";
	static const char broken[] =
		"\"error\":{\"code\":-32000,\"message\":\"as it is\"}";
	struct script *s = *state;
	const char *const none[] = {NULL};

	assert_int_equal(ask(s, refused, NULL, NULL), 1);
	assert_string_equal(out, "[{}]\n");
	assert_string_equal(err, "xdp_pping: lqosd runs without its module "
				 "pping: add it to modules in lqos.ini\n");
	assert_int_equal(ask(s, broken, "-j", NULL), 1);
	assert_string_equal(out, "[]\n");
	assert_string_equal(err, "xdp_pping: as it is\n");
	assert_int_equal(ask(s, "\"result\":{}", NULL, NULL), 1);
	assert_string_equal(out, "[{}]\n");
	assert_non_null(strstr(err, "of different versions?"));
	/* Nobody listens. */
	assert_int_equal(script_wait(s, script_spawn(s, xdp_pping_main,
						     "xdp_pping", none)),
			 1);
	assert_string_equal(out, "[{}]\n");
	assert_non_null(strstr(err, "xdp_pping: no lqosd listens on "));
}

static int into_full(int argc, char **argv)
{
	if (!freopen("/dev/full", "w", stdout))
		return 99;
	return xdp_pping_main(argc, argv);
}

static void a_full_disk(void **state)
{
	const char *const answers[] = {subscribers, NULL}, *const none[] = {
								   NULL};
	struct script *s = *state;

	s->answers = answers;
	script_start(s);
	assert_int_equal(
		script_wait(s, script_spawn(s, into_full, "xdp_pping", none)),
		1);
	assert_string_equal(err, "xdp_pping: cannot write to stdout: No space "
				 "left on device\n");
}

static int alone(struct script *s, const char *word)
{
	return script_wait(s, script_spawn(s, xdp_pping_main, "xdp_pping",
					   (const char *const[]){word, NULL}));
}

static void usage_of_it(void **state)
{
	assert_int_equal(alone(*state, "-h"), 0);
	assert_non_null(strstr(out, "usage: xdp_pping [-ij] [-S SOCKET]\n"));
	assert_int_equal(alone(*state, "--version"), 0);
	assert_string_equal(out, "xdp_pping " PACKAGE_VERSION "\n");
	assert_int_equal(alone(*state, "-x"), 2);
	assert_string_equal(out, "");
	assert_int_equal(alone(*state, "word"), 2);
	assert_non_null(strstr(err, "\"word\": no argument is expected"));
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, script_setup, script_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows),   TEST(the_other_side), TEST(circuits_of_one_class),
		TEST(nobody), TEST(what_is_no_row), TEST(all_of_it),
		TEST(errors), TEST(a_full_disk),    TEST(usage_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
