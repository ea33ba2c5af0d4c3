/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"
#include "tests/unit/log_capture.h"

#define RATES "\"downloadBandwidthMbps\": 10, \"uploadBandwidthMbps\": 5"

static int setup(void **state)
{
	(void)state;
	log_capture();
	return 0;
}

static int parse(struct core_network **out, const char *text)
{
	return core_network_parse(out, "network.json", text, strlen(text));
}

static void tree_in_file_order(void **state)
{
	static const char text[] =
		"{\"Zeta\": {" RATES ", \"type\": \"Site\", \"children\": {"
		"  \"B\": {" RATES ", \"children\": {\"C\": {" RATES "}}},"
		"  \"A\": {\"downloadBandwidthMbps\": 0.5,"
		"          \"uploadBandwidthMbps\": 0}}},"
		"\"Alpha\": {" RATES "}}";
	static const struct {
		const char *name;
		uint32_t parent;
	} expected[] = {{"", 0},  {"Zeta", 0}, {"B", 1},
			{"C", 2}, {"A", 1},    {"Alpha", 0}};
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;

	(void)state;
	assert_int_equal(parse(&network, text), 0);
	assert_int_equal(network->n, ARRAY_SIZE(expected));
	for (uint32_t i = 0; i < network->n; i++) {
		const struct lqos_node *node = network->nodes[i];

		assert_int_equal(node->id, i);
		assert_int_equal(node->parent, expected[i].parent);
		assert_string_equal(node->name, expected[i].name);
		assert_ptr_equal(core_network_find(network, node->name), node);
	}
	assert_int_equal(network->nodes[1]->down_max, 10000000);
	assert_int_equal(network->nodes[1]->up_max, 5000000);
	assert_int_equal(network->nodes[4]->down_max, 500000);
	assert_int_equal(network->nodes[4]->up_max, 0);
	assert_null(core_network_find(network, "zeta"));
	assert_int_equal(network->problems.rows, 5);
	assert_int_equal(captured.lines, 0);
}

static void flat(void **state)
{
	static const char *const texts[] = {"{}", " { } \n",
					    "\xef\xbb\xbf{}\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CORE_CLEANUP(core_network_free)
		struct core_network *network = NULL;

		assert_int_equal(parse(&network, texts[i]), 0);
		assert_int_equal(network->n, 1);
		assert_string_equal(network->nodes[0]->name, "");
		assert_int_equal(network->nodes[0]->down_max, 0);
	}
	assert_int_equal(captured.lines, 0);
}

static void no_path_is_flat(void **state)
{
	static const char *const paths[] = {NULL, ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CORE_CLEANUP(core_network_free)
		struct core_network *network = NULL;

		assert_int_equal(core_network_read(&network, paths[i]), 0);
		assert_int_equal(network->n, 1);
	}
}

static void bad_json_names_the_place(void **state)
{
	static const struct {
		const char *text;
		const char *log;
	} cases[] = {
		{"", "network.json:1:0: "},
		{"{\n \"A\": {\n  \"x\": 1,\n }\n}", "network.json:4:2: "},
		{"{\"A\": {" RATES "}", "network.json:1:"},
		{"[]", "network.json:1:1: expected an object"},
		{"{\"A\": {}, \"A\": {}}", "duplicate object key near '\"A\"'"},
		{"{} {}", "network.json:1:"},
		{"{\"A\xff\": {}}", "network.json:1:"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct core_network *network = NULL;

		log_capture();
		assert_int_equal(parse(&network, cases[i].text), -EINVAL);
		assert_null(network);
		assert_int_equal(captured.lines, 1);
		if (!log_has(cases[i].log))
			fail_msg("%s: %s", cases[i].text, captured.text);
	}
}

static void same_name_twice(void **state)
{
	static const char text[] =
		"{\"North\": {" RATES ", \"children\": {\"AP\": {" RATES "}}},"
		" \"South\": {" RATES ", \"children\": {"
		"   \"AP\": {" RATES ", \"children\": {\"X\": {" RATES "}}},"
		"   \"Y\": {" RATES "}}}}";
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;

	(void)state;
	assert_int_equal(parse(&network, text), 0);
	assert_int_equal(network->n, 5);
	assert_int_equal(core_network_find(network, "AP")->parent, 1);
	assert_null(core_network_find(network, "X"));
	assert_non_null(core_network_find(network, "Y"));
	assert_int_equal(network->problems.skipped, 1);
	assert_true(log_has("node \"AP\" under node South has the name of one "
			    "under \"North\": expected a name that is unique"));
}

static void names_are_trimmed(void **state)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;

	(void)state;
	assert_int_equal(parse(&network, "{\" AP 1\\n\": {" RATES "},"
					 " \"\xc3\x89t\xc3\xa9\": {" RATES "},"
					 " \"  \": {" RATES "}}"),
			 0);
	assert_int_equal(network->n, 3);
	assert_non_null(core_network_find(network, "AP 1"));
	assert_non_null(core_network_find(network, "\xc3\x89t\xc3\xa9"));
	assert_int_equal(network->problems.skipped, 1);
	assert_true(log_has("under the root has no name"));
}

static void bad_bandwidth_is_unlimited(void **state)
{
	static const char *const values[] = {"-1",    "\"100\"", "10000001",
					     "1e300", "null",	 "{}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CORE_CLEANUP(core_network_free)
		struct core_network *network = NULL;
		char text[200];

		log_capture();
		snprintf(text, sizeof(text),
			 "{\"AP\": {\"downloadBandwidthMbps\": %s,"
			 "\"uploadBandwidthMbps\": 10000000}}",
			 values[i]);
		assert_int_equal(parse(&network, text), 0);
		assert_int_equal(network->n, 2);
		assert_int_equal(network->nodes[1]->down_max, 0);
		assert_int_equal(network->nodes[1]->up_max, 10000000000000);
		assert_int_equal(captured.lines, 1);
		assert_int_equal(captured.level, LQOS_WARN);
		assert_int_equal(network->problems.warnings, 1);
		assert_true(log_has("node \"AP\": downloadBandwidthMbps is no "
				    "such number: expected"));
	}
}

static void missing_bandwidth_is_said(void **state)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;

	(void)state;
	assert_int_equal(parse(&network,
			       "{\"AP\": {\"downloadBandwithMbps\": 10,"
			       "\"uploadBandwidthMbps\": 10,"
			       "\"children\": null}}"),
			 0);
	assert_int_equal(network->nodes[1]->down_max, 0);
	assert_true(log_has("downloadBandwidthMbps is missing"));
}

static void wrong_shapes_are_left_out(void **state)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;

	(void)state;
	assert_int_equal(parse(&network, "{\"A\": 5, \"B\": [],"
					 " \"C\": {" RATES ","
					 "         \"children\": [1]},"
					 " \"D\": {" RATES "}}"),
			 0);
	assert_int_equal(network->n, 3);
	assert_non_null(core_network_find(network, "C"));
	assert_non_null(core_network_find(network, "D"));
	assert_int_equal(network->problems.skipped, 3);
	assert_true(log_has("node \"A\" under the root is no object"));
	assert_true(log_has("node \"children\" under node C is no object"));
}

static void depth_is_bounded(void **state)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	autofree char *text = NULL;
	FILE *f;
	size_t len;

	(void)state;
	f = open_memstream(&text, &len);
	assert_non_null(f);
	for (int i = 1; i <= 40; i++)
		fprintf(f, "{\"N%d\": {" RATES ", \"children\": ", i);
	fprintf(f, "{}");
	for (int i = 1; i <= 40; i++)
		fprintf(f, "}}");
	fclose(f);

	assert_int_equal(parse(&network, text), 0);
	assert_int_equal(network->n, CORE_NETWORK_DEPTH_MAX + 1);
	assert_true(log_has("node \"N33\" under node N32 is too deep: expected "
			    "at most 32 levels"));
	assert_int_equal(captured.lines, 1);
}

static void unreadable_file(void **state)
{
	struct core_network *network = NULL;

	(void)state;
	assert_int_equal(core_network_read(&network, "/nowhere/network.json"),
			 -ENOENT);
	assert_null(network);
	assert_true(log_has("/nowhere/network.json"));
	assert_true(log_has("No such file"));
	assert_int_equal(core_network_read(&network, "/"), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tree_in_file_order, setup),
		cmocka_unit_test_setup(flat, setup),
		cmocka_unit_test_setup(no_path_is_flat, setup),
		cmocka_unit_test_setup(bad_json_names_the_place, setup),
		cmocka_unit_test_setup(same_name_twice, setup),
		cmocka_unit_test_setup(names_are_trimmed, setup),
		cmocka_unit_test_setup(bad_bandwidth_is_unlimited, setup),
		cmocka_unit_test_setup(missing_bandwidth_is_said, setup),
		cmocka_unit_test_setup(wrong_shapes_are_left_out, setup),
		cmocka_unit_test_setup(depth_is_bounded, setup),
		cmocka_unit_test_setup(unreadable_file, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
