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
#include "core/core.h"
#include "tests/unit/log_capture.h"

#define autoconfig CORE_CLEANUP(core_config_free) struct core_config

static int setup(void **state)
{
	(void)state;
	log_capture();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_log_sink(NULL, NULL);
	return 0;
}

static int parse(struct core_config **out, const char *text)
{
	log_capture();
	return core_config_parse(out, "t.ini", text, strlen(text));
}

/* ---- Values -------------------------------------------------------------- */

struct values {
	bool flag;
	uint32_t small;
	uint64_t big;
	uint32_t free;
	uint32_t least;
	const char *mode;
	const char *text;
};

static const struct lqos_option options[] = {
	LQOS_OPTION(struct values, flag, "no", .help = "A flag."),
	LQOS_OPTION(struct values, small, "10", .min = 5, .max = 20),
	LQOS_OPTION(struct values, big, "1", .help = "Big."),
	LQOS_OPTION(struct values, free, "0"),
	LQOS_OPTION(struct values, least, "3", .min = 2),
	LQOS_OPTION(struct values, mode, "auto", .choices = "auto|off|on"),
	LQOS_OPTION(struct values, text, "some text"),
	LQOS_OPTIONS_END,
};

static int fill(struct values *out, const char *line)
{
	/* Its strings have to outlive it. */
	static struct core_config *config;
	char text[512];

	core_config_free(&config);
	snprintf(text, sizeof(text), "[s]\n%s\n", line);
	assert_int_equal(parse(&config, text), 0);
	if (!out) {
		core_config_free(&config);
		return 0;
	}
	return core_config_fill(config, "s", options, out, sizeof(*out));
}

static void defaults(void **state)
{
	struct values v;

	(void)state;
	memset(&v, 0xff, sizeof(v));
	assert_int_equal(fill(&v, ""), 0);
	assert_false(v.flag);
	assert_int_equal(v.small, 10);
	assert_int_equal(v.big, 1);
	assert_int_equal(v.free, 0);
	assert_int_equal(v.least, 3);
	assert_string_equal(v.mode, "auto");
	assert_string_equal(v.text, "some text");
	assert_int_equal(captured.lines, 0);
	fill(NULL, "");
}

static void good_values(void **state)
{
	static const char *const yes[] = {"yes", "true", "on",
					  "1",	 "Yes",	 "TRUE"};
	static const char *const no[] = {"no", "false", "off", "0"};
	struct values v = {0};
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		snprintf(line, sizeof(line), "flag = %s", yes[i]);
		v.flag = false;
		assert_int_equal(fill(&v, line), 0);
		assert_true(v.flag);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		snprintf(line, sizeof(line), "flag = %s", no[i]);
		v.flag = true;
		assert_int_equal(fill(&v, line), 0);
		assert_false(v.flag);
	}
	assert_int_equal(fill(&v, "small = 5"), 0);
	assert_int_equal(v.small, 5);
	assert_int_equal(fill(&v, "small = 020"), 0); /* not octal */
	assert_int_equal(v.small, 20);
	assert_int_equal(fill(&v, "free = 4294967295"), 0);
	assert_int_equal(v.free, UINT32_MAX);
	assert_int_equal(fill(&v, "least = 4294967295"), 0);
	assert_int_equal(fill(&v, "big = 18446744073709551615"), 0);
	assert_true(v.big == UINT64_MAX);
	assert_int_equal(fill(&v, "mode = on"), 0);
	assert_string_equal(v.mode, "on");
	assert_int_equal(fill(&v, "text ="), 0);
	assert_string_equal(v.text, "");
	assert_int_equal(fill(&v, "text = a, b"), 0);
	assert_string_equal(v.text, "a, b");
	fill(NULL, "");
}

static void bad_values(void **state)
{
	static const struct {
		const char *line;
		const char *said;
	} cases[] = {
		{"flag = maybe", "flag is \"maybe\"; expected yes or no"},
		{"flag =", "flag is \"\"; expected yes or no"},
		{"small = 4", "small is \"4\"; expected a number from 5 to 20"},
		{"small = 21",
		 "small is \"21\"; expected a number from 5 to 20"},
		{"small = 4294967306", "expected a number from 5 to 20"},
		{"small = ten", "expected a number from 5 to 20"},
		{"small = 10k", "expected a number from 5 to 20"},
		{"small = 10 # ten", "expected a number from 5 to 20"},
		{"small = -10", "expected a number from 5 to 20"},
		{"small = +10", "expected a number from 5 to 20"},
		{"small = 0xa", "expected a number from 5 to 20"},
		{"small =", "expected a number from 5 to 20"},
		{"free = 4294967296", "from 0 to 4294967295"},
		{"least = 1", "from 2 to 4294967295"},
		{"big = 18446744073709551616", "0 to 18446744073709551615"},
		{"big = -1", "expected a number from 0"},
		{"mode = of", "mode is \"of\"; expected one of auto|off|on"},
		{"mode = auto|off", "expected one of auto|off|on"},
		{"mode = AUTO", "expected one of auto|off|on"},
		{"mode =", "expected one of auto|off|on"},
	};
	const struct values before = {.small = 77};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct values v = before;

		assert_int_equal(fill(&v, cases[i].line), -EINVAL);
		assert_memory_equal(&v, &before, sizeof(v));
		assert_int_equal(captured.lines, 1);
		assert_true(log_has("config: t.ini:2: [s] "));
		assert_true(log_has(cases[i].said));
	}
	fill(NULL, "");
}

static void unknown_keys(void **state)
{
	struct values v = {.small = 77};

	(void)state;
	assert_int_equal(fill(&v, "smal = 7\nmdoe = on\ncolour = red\nt = 1\n"
				  "small = 99"),
			 -EINVAL);
	assert_int_equal(captured.lines, 5); /* all of it at once */
	assert_true(log_has("t.ini:2: [s] has no option smal: did you mean "
			    "small?"));
	assert_true(log_has("t.ini:3: [s] has no option mdoe: did you mean "
			    "mode?"));
	assert_true(log_has("t.ini:4: [s] has no option colour: lqosd "
			    "--help-config"));
	assert_true(log_has("t.ini:5: [s] has no option t: lqosd"));
	assert_true(log_has("t.ini:6: [s] small is \"99\""));
	assert_int_equal(v.small, 77);
	fill(NULL, "");
}

static void no_options_at_all(void **state)
{
	static const struct lqos_option none[] = {LQOS_OPTIONS_END};
	autoconfig *config = NULL;

	(void)state;
	assert_int_equal(parse(&config, "[s]\na = 1\n"), 0);
	assert_int_equal(core_config_fill(config, "t", NULL, NULL, 0), 0);
	assert_int_equal(core_config_fill(config, "t", none, NULL, 0), 0);
	assert_int_equal(core_config_fill(config, "s", NULL, NULL, 0), -EINVAL);
	assert_true(log_has("t.ini:2: [s] has no option a"));
}

static void required_keys(void **state)
{
	static const struct lqos_option required[] = {
		LQOS_OPTION(struct values, text, NULL,
			    .help = "Where it all is."),
		LQOS_OPTIONS_END,
	};
	autoconfig *config = NULL;
	struct values v = {0};

	(void)state;
	assert_int_equal(parse(&config, "[t]\ntext = x\n"), 0);
	assert_int_equal(core_config_fill(config, "s", required, &v, sizeof(v)),
			 -EINVAL);
	assert_true(log_has("t.ini: [s] lacks text, which has no default: "
			    "Where it all is."));
	assert_null(v.text);
	assert_int_equal(core_config_fill(config, "t", required, &v, sizeof(v)),
			 0);
	assert_string_equal(v.text, "x");
}

/* What the author of a module did wrong must not become ours. */
static void faulty_declarations(void **state)
{
	static const struct lqos_option outside[] = {
		LQOS_OPTION(struct values, text, "x"),
		LQOS_OPTIONS_END,
	};
	static const struct lqos_option untyped[] = {
		{.key = "text", .default_text = "x"},
		LQOS_OPTIONS_END,
	};
	static const struct lqos_option out_of_range[] = {
		LQOS_OPTION(struct values, small, "3", .min = 5, .max = 20),
		LQOS_OPTIONS_END,
	};
	autoconfig *config = NULL;
	struct values v = {.small = 77};
	size_t end = offsetof(struct values, text) + sizeof(v.text);

	(void)state;
	assert_int_equal(parse(&config, ""), 0);
	assert_int_equal(core_config_fill(config, "s", outside, &v, end), 0);
	v.small = 77;
	assert_int_equal(core_config_fill(config, "s", outside, &v, end - 1),
			 -EINVAL);
	assert_int_equal(core_config_fill(config, "s", outside, &v, 0),
			 -EINVAL);
	assert_true(log_has("[s] option text is declared outside"));
	assert_int_equal(core_config_fill(config, "s", untyped, &v, sizeof(v)),
			 -EINVAL);
	log_capture();
	assert_int_equal(
		core_config_fill(config, "s", out_of_range, &v, sizeof(v)),
		-EINVAL);
	assert_true(log_has("default value: [s] small is \"3\""));
	assert_int_equal(v.small, 77);
}

/* ---- [lqosd] and its help ------------------------------------------------ */

static void daemon_defaults(void **state)
{
	autoconfig *config = NULL;
	struct core_settings s;

	(void)state;
	assert_int_equal(parse(&config, ""), 0);
	assert_int_equal(
		core_config_fill(config, "lqosd", core_options, &s, sizeof(s)),
		0);
	assert_string_equal(s.modules, "steering,throughput,flow,pping,lqtop");
	assert_string_equal(s.to_internet, "");
	assert_string_equal(s.to_subscribers, "");
	assert_string_equal(s.shaped_devices, "/etc/lqos/ShapedDevices.csv");
	assert_string_equal(s.network_json, "/etc/lqos/network.json");
	assert_string_equal(s.run_dir, "/run/lqos");
	assert_string_equal(s.pin_dir, "/sys/fs/bpf/lqos");
	assert_string_equal(s.group, "lqos");
	assert_string_equal(s.xdp_mode, "auto");
	assert_string_equal(s.metadata, "auto");
	assert_string_equal(s.log_level, "info");
	assert_int_equal(s.max_subscribers, 65536);
	assert_int_equal(s.max_prefixes, 131072);
	assert_int_equal(s.lookup_cache, 16384);
	assert_int_equal(s.slow_callback_ms, 50);
}

static void daemon_limits(void **state)
{
	static const struct {
		const char *line;
		bool good;
	} cases[] = {
		{"max_subscribers = 16", true},
		{"max_subscribers = 15", false},
		{"max_subscribers = 1000000", true},
		{"max_subscribers = 1000001", false},
		{"max_prefixes = 16", true},
		{"max_prefixes = 15", false},
		{"max_prefixes = 2000000", true},
		{"max_prefixes = 2000001", false},
		{"lookup_cache = 1024", true},
		{"lookup_cache = 1023", false},
		{"lookup_cache = 1048576", true},
		{"lookup_cache = 1048577", false},
		{"slow_callback_ms = 1", true},
		{"slow_callback_ms = 0", false},
		{"slow_callback_ms = 10000", true},
		{"slow_callback_ms = 10001", false},
		{"xdp_mode = native", true},
		{"xdp_mode = generic", true},
		{"xdp_mode = off", false},
		{"metadata = off", true},
		{"metadata = on", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autoconfig *config = NULL;
		struct core_settings s;
		char text[128];

		snprintf(text, sizeof(text), "[lqosd]\n%s\n", cases[i].line);
		assert_int_equal(parse(&config, text), 0);
		assert_int_equal(core_config_fill(config, "lqosd", core_options,
						  &s, sizeof(s)),
				 cases[i].good ? 0 : -EINVAL);
	}
}

static char *print(const char *section, const char *description,
		   const struct lqos_option *table)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	core_options_print(f, section, description, table);
	fclose(f);
	return text;
}

static void help_text(void **state)
{
	static const struct lqos_option required[] = {
		LQOS_OPTION(struct values, text, NULL, .help = "Where it is."),
		LQOS_OPTIONS_END,
	};
	autofree char *all = print("s", "What it does", options);
	autofree char *one = print("t", "", required);
	autofree char *none = print("u", NULL, NULL);

	(void)state;
	assert_string_equal(all, "# What it does\n"
				 "[s]\n"
				 "\n"
				 "# A flag.\n"
				 "# Yes or no.\n"
				 "#flag = no\n"
				 "\n"
				 "# A number from 5 to 20.\n"
				 "#small = 10\n"
				 "\n"
				 "# Big.\n"
				 "# A number from 0 to 18446744073709551615.\n"
				 "#big = 1\n"
				 "\n"
				 "# A number from 0 to 4294967295.\n"
				 "#free = 0\n"
				 "\n"
				 "# A number from 2 to 4294967295.\n"
				 "#least = 3\n"
				 "\n"
				 "# One of auto|off|on.\n"
				 "#mode = auto\n"
				 "\n"
				 "# Text.\n"
				 "#text = some text\n"
				 "\n");
	assert_string_equal(one, "[t]\n\n# Where it is.\n# Text. Must be "
				 "given.\n#text = \n\n");
	assert_string_equal(none, "[u]\n\n");
}

/* What --help-config prints is a configuration: of the defaults, once the
 * marks before the keys are taken away too. */
static void help_text_can_be_used(void **state)
{
	autofree char *text = print("lqosd", "The daemon itself", core_options);
	autoconfig *commented = NULL;
	autoconfig *config = NULL;
	struct core_settings s;
	unsigned int keys = 0;

	(void)state;
	assert_int_equal(parse(&commented, text), 0);
	for (char *p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ') {
			memmove(p + 1, p + 2, strlen(p + 2) + 1);
			keys++;
		}
	assert_int_equal(parse(&config, text), 0);
	for (const struct lqos_option *o = core_options; o->key; o++, keys--) {
		assert_null(core_config_get(commented, "lqosd", o->key));
		assert_string_equal(core_config_get(config, "lqosd", o->key),
				    o->default_text);
		assert_true(strlen(o->help) > 10);
	}
	assert_int_equal(keys, 0);
	assert_int_equal(
		core_config_fill(config, "lqosd", core_options, &s, sizeof(s)),
		0);
}

static void long_help_is_wrapped(void **state)
{
	char help[400];
	const struct lqos_option table[] = {
		{.key = "flag",
		 .type = LQOS_OPTION_BOOL,
		 .default_text = "no",
		 .help = help},
		LQOS_OPTIONS_END,
	};
	autofree char *text = NULL;
	size_t words = 0;

	(void)state;
	memset(help, 'x', sizeof(help)); /* one word of 100, then of 9 */
	for (size_t i = 100; i < sizeof(help); i += 10)
		help[i] = ' ';
	help[sizeof(help) - 1] = '\0';
	text = print("s", NULL, table);
	for (char *line = text, *end; (end = strchr(line, '\n'));
	     line = end + 1) {
		assert_true(end - line <= 78 || end - line == 102);
		assert_true(end == line || end[-1] != ' ' ||
			    !strncmp(line, "#flag", 5));
		for (char *p = line; p < end - 2 && line[2] == 'x'; p++)
			words += *p == ' ';
	}
	assert_int_equal(words, 31);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(good_values),
		TEST(bad_values),
		TEST(unknown_keys),
		TEST(no_options_at_all),
		TEST(required_keys),
		TEST(faulty_declarations),
		TEST(daemon_defaults),
		TEST(daemon_limits),
		TEST(help_text),
		TEST(help_text_can_be_used),
		TEST(long_help_is_wrapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
