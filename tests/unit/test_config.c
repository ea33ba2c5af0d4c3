/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int parse_len(struct core_config **out, const char *text, size_t len)
{
	/* On the heap and without a NUL, so that a read too far is seen. */
	autofree char *copy = malloc(len ? len : 1);

	log_capture();
	memcpy(copy, text, len);
	return core_config_parse(out, "t.ini", copy, len);
}

static int parse(struct core_config **out, const char *text)
{
	return parse_len(out, text, strlen(text));
}

/* ---- Reading ------------------------------------------------------------- */

static void good_files(void **state)
{
	static const struct {
		const char *text;
		const char *a; /* of [s] */
		const char *b;
	} cases[] = {
		{"", NULL, NULL},
		{"\n\n", NULL, NULL},
		{"[s]", NULL, NULL},
		{"[s]\na=1\nb=2\n", "1", "2"},
		{"[s]\na=1\nb=2", "1", "2"},
		{"[s]\r\na = 1\r\nb = 2\r\n", "1", "2"},
		{"[s]\r\na = 1", "1", NULL},
		{"\xef\xbb\xbf[s]\na = 1\n", "1", NULL},
		{"\xef\xbb\xbf# text\n[s]\na = 1\n", "1", NULL},
		{"# c\n; c\n\t # c\n \n[s]\n#a = 7\n;a = 8\na = 1\n", "1",
		 NULL},
		{"[s]\na\t=\t 1 \t\n", "1", NULL},
		{"[s]\na =\nb =  \n", "", ""},
		{"[s] # why\na = 1\n[t];x\n", "1", NULL},
		{"[s]\na = 1\n[t]\na = 3\n[s]\nb = 2\n", "1", "2"},
		{"[s]\na = 1 = 2\nb = x:y\n", "1 = 2", "x:y"},
		{"[s]\na = [t]\nb = 2\n", "[t]", "2"},
		/* as inih has it */
		{"[s]\na = x ;c\nb = x;c\n", "x", "x;c"},
		{"[s]\na = x #c\nb = ;c\n", "x #c", ""},
		{"[s]\na = p\xc3\xa4th\n", "p\xc3\xa4th", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		autoconfig *config = NULL;
		const char *a, *b;

		assert_int_equal(parse(&config, cases[i].text), 0);
		assert_int_equal(captured.lines, 0);
		a = core_config_get(config, "s", "a");
		b = core_config_get(config, "s", "b");
		assert_true(!a == !cases[i].a && !b == !cases[i].b);
		if (a)
			assert_string_equal(a, cases[i].a);
		if (b)
			assert_string_equal(b, cases[i].b);
	}
}

static void bad_files(void **state)
{
#define NAME31 "a234567890123456789012345678901"
	static const struct {
		const char *text;
		const char *said; /* one line and no other */
	} cases[] = {
		{"[s]\na\n", "t.ini:2: not \"key = value\""},
		{"[s]\na: 1\n", "t.ini:2: not \"key = value\""},
		{"[s]\na:b = 1\n", "t.ini:2: not a key"},
		{"[s]\n= 1\n", "t.ini:2: not a key"},
		{"[s]\na b = 1\n", "t.ini:2: not a key"},
		{"[s]\na ;= 1\n", "t.ini:2: not a key"},
		{"[s]\n" NAME31 "x = 1\n", "t.ini:2: not a key"},
		{"\n[s\na = 1\na = 2\n", "t.ini:2: not a heading"},
		{"[]\n", "t.ini:1: not a heading"},
		{"[ s ]\n", "t.ini:1: not a heading"},
		{"[s t]\n", "t.ini:1: not a heading"},
		{"[s;]\n", "t.ini:1: not a heading"},
		{"[" NAME31 "x]\n", "t.ini:1: not a heading"},
		{"[s] a = 1\n", "t.ini:1: text after the ]"},
		{"[s]]\n", "t.ini:1: text after the ]"},
		{"a = 1\n[s]\n", "t.ini:1: in front of the first [section]"},
		{"[s]\na = 1\n b = 2\n", "t.ini:3: indented"},
		{"[s]\na = 1\n\tmore\n", "t.ini:3: indented"},
		{" [s]\n", "t.ini:1: indented"},
		{"[s]\na = 1\r\rb = 2\n", "t.ini:2: a control character"},
		{"[s]\na = \x1b[31m\n", "t.ini:2: a control character"},
		{"[s]\na = \x7f\n", "t.ini:2: a control character"},
		{"[s]\na = 1\n\na = 2\n",
		 "t.ini:4: [s] a is given twice, first in line 2"},
		{"[s]\na = 1\n[t]\na = 1\n[s]\na = 1\n",
		 "t.ini:6: [s] a is given twice, first in line 2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct core_config *untouched = (void *)0x1;

		assert_int_equal(parse(&untouched, cases[i].text), -EINVAL);
		assert_ptr_equal(untouched, (void *)0x1);
		assert_int_equal(captured.lines, 1);
		assert_int_equal(captured.level, LQOS_ERR);
		assert_true(log_has(cases[i].said));
		assert_true(!strncmp(captured.text, "config: t.ini:", 14));
	}
}

static void longest_names(void **state)
{
	autoconfig *config = NULL;

	(void)state;
	assert_int_equal(parse(&config, "[" NAME31 "]\n" NAME31 " = 1\n"), 0);
	assert_string_equal(core_config_get(config, NAME31, NAME31), "1");
}

static void every_bad_line_is_said(void **state)
{
	struct core_config *config = NULL;
	char text[4096] = "[s]\n";
	char said[256];

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(text, "nonsense\n");
	assert_int_equal(parse(&config, text), -EINVAL);
	assert_int_equal(captured.lines, 40);
	for (int i = 2; i <= 41; i++) {
		snprintf(said, sizeof(said), "t.ini:%d: not", i);
		assert_true(log_has(said));
	}
}

/* Keys after a broken heading are nobody's, not the section's before. */
static void keys_of_a_broken_section(void **state)
{
	struct core_config *config = NULL;

	(void)state;
	assert_int_equal(parse(&config, "[s]\na = 1\n[t\na = 2\nb\n[u]\na = 3\n"
					"a = 4\n"),
			 -EINVAL);
	assert_int_equal(captured.lines, 3);
	assert_true(log_has("t.ini:3: not a heading"));
	assert_true(log_has("t.ini:5: not \"key"));
	assert_true(log_has("t.ini:8: [u] a is given twice, first in line 7"));
}

static void longest_line(void **state)
{
	autoconfig *config = NULL;
	struct core_config *none = NULL;
	char text[1024] = "[s]\na=";
	size_t start = strlen("[s]\n");

	(void)state;
	memset(text + strlen(text), 'x', CORE_CONFIG_LINE_MAX - 2);
	assert_int_equal(strlen(text) - start, CORE_CONFIG_LINE_MAX);
	strcat(text, "\r\nb=2\n");
	assert_int_equal(parse(&config, text), 0);
	assert_int_equal(strlen(core_config_get(config, "s", "a")),
			 CORE_CONFIG_LINE_MAX - 2);
	assert_string_equal(core_config_get(config, "s", "b"), "2");

	memset(text, 0, sizeof(text));
	strcpy(text, "[s]\na=");
	memset(text + strlen(text), 'x', CORE_CONFIG_LINE_MAX - 1);
	strcat(text, "\nb=2\n");
	assert_int_equal(parse(&none, text), -EINVAL);
	assert_int_equal(captured.lines, 1);
	assert_true(log_has("t.ini:2: longer than the 180 bytes"));

	/* Far longer, without an end, and a comment: all the same. */
	memset(text, '#', sizeof(text) - 1);
	assert_int_equal(parse(&none, text), -EINVAL);
	assert_true(log_has("t.ini:1: longer than the 180 bytes"));
}

static void nul_bytes(void **state)
{
	struct core_config *none = NULL;
	const char text[] = "[s]\na = 1\0; b\n\0\n";

	(void)state;
	assert_int_equal(parse_len(&none, text, sizeof(text) - 1), -EINVAL);
	assert_int_equal(captured.lines, 2);
	assert_true(log_has("t.ini:2: a NUL byte"));
	assert_true(log_has("t.ini:3: a NUL byte"));
}

static void huge_file(void **state)
{
	struct core_config *none = NULL;
	size_t len = (1 << 16) + 1;
	autofree char *text = malloc(len);

	(void)state;
	memset(text, '\n', len);
	assert_int_equal(parse_len(&none, text, len), -EFBIG);
	assert_true(log_has("t.ini: larger than"));
	assert_null(none);
	assert_int_equal(parse_len(&none, text, len - 1), 0);
	core_config_free(&none);
}

static void files(void **state)
{
	char dir[] = "/tmp/lqos-config-XXXXXX";
	char path[64], said[256];
	autoconfig *config = NULL;
	struct core_config *none = NULL;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/lqos.ini", dir);
	assert_int_equal(core_config_read(&none, path), -ENOENT);
	snprintf(said, sizeof(said),
		 "cannot open %s (correct -c, or write it): No such file "
		 "or directory",
		 path);
	assert_true(log_has(said));
	assert_int_equal(core_config_read(&none, dir), -EISDIR);
	assert_true(log_has("cannot read /tmp/"));

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "[s]\na = 1\nb", 11), 11);
	assert_int_equal(core_config_read(&none, path), -EINVAL);
	snprintf(said, sizeof(said), "%s:3: not", path);
	assert_true(log_has(said));
	assert_int_equal(write(fd, " = 2", 4), 4);
	assert_int_equal(core_config_read(&config, path), 0);
	assert_string_equal(core_config_get(config, "s", "a"), "1");
	assert_string_equal(core_config_get(config, "s", "b"), "2");

	/* Too large, however it is read. */
	assert_int_equal(ftruncate(fd, (1 << 16) + 1), 0);
	assert_int_equal(core_config_read(&none, path), -EFBIG);
	assert_int_equal(ftruncate(fd, INT32_MAX), 0);
	assert_int_equal(core_config_read(&none, path), -EFBIG);
	assert_null(none);
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* ---- What was read ------------------------------------------------------- */

struct values {
	uint32_t small;
	uint64_t big;
};

static void set_from_outside(void **state)
{
	autoconfig *config = NULL;
	static const struct lqos_option options[] = {
		LQOS_OPTION(struct values, small, "10", .min = 5, .max = 20),
		LQOS_OPTION(struct values, big, "1"),
		LQOS_OPTIONS_END,
	};
	struct values v = {0};

	(void)state;
	assert_int_equal(parse(&config, "[s]\nsmall = 7\n"), 0);
	assert_null(core_config_get(config, "s", "big"));
	assert_null(core_config_get(config, "t", "small"));
	assert_int_equal(
		core_config_set(config, "s", "small", "8", "option -s"), 0);
	assert_int_equal(core_config_set(config, "s", "big", "9", "option -b"),
			 0);
	assert_string_equal(core_config_get(config, "s", "small"), "8");
	assert_int_equal(core_config_fill(config, "s", options, &v, sizeof(v)),
			 0);
	assert_int_equal(v.small, 8);
	assert_int_equal(v.big, 9);

	/* Faults name the place the value came from. */
	assert_int_equal(
		core_config_set(config, "s", "small", "99", "option -s"), 0);
	assert_int_equal(core_config_set(config, "s", "x", "9", "option -x"),
			 0);
	assert_int_equal(core_config_fill(config, "s", options, &v, sizeof(v)),
			 -EINVAL);
	assert_true(log_has("config: option -s: [s] small is \"99\""));
	assert_true(log_has("config: option -x: [s] has no option x"));
	assert_int_equal(core_config_set(config, "u", "x", "9", "option -u"),
			 0);
	assert_int_equal(core_config_unknown_sections(
				 config, (const char *const[]){"s", NULL}),
			 -EINVAL);
	assert_true(log_has("option -u: there is no section [u]"));
}

static void unknown_sections(void **state)
{
	static const char *const names[] = {"lqosd", "steering", "xsk", "up",
					    NULL};
	autoconfig *config = NULL;
	struct core_config *fine = NULL;

	(void)state;
	assert_int_equal(parse(&fine, "[steering]\n[lqosd]\n"), 0);
	assert_int_equal(core_config_unknown_sections(fine, names), 0);
	assert_int_equal(captured.lines, 0);
	core_config_free(&fine);

	assert_int_equal(parse(&config, "[steering]\n[stering]\na = 1\n[lqos]\n"
					"[foo]\n[stering]\n[abc]\n[ix]\n"),
			 0);
	assert_int_equal(core_config_unknown_sections(config, names), -EINVAL);
	assert_int_equal(captured.lines, 5);
	assert_true(log_has("t.ini:2: there is no section [stering]: did you "
			    "mean [steering]?"));
	assert_true(log_has("t.ini:4: there is no section [lqos]: did you "
			    "mean [lqosd]?"));
	assert_true(log_has("t.ini:5: there is no section [foo]: it is "
			    "neither"));
	assert_true(log_has("t.ini:7: there is no section [abc]: it is"));
	/* Two letters, both of them others: that is not close. */
	assert_true(log_has("t.ini:8: there is no section [ix]: it is"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_files),
		TEST(bad_files),
		TEST(longest_names),
		TEST(every_bad_line_is_said),
		TEST(keys_of_a_broken_section),
		TEST(longest_line),
		TEST(nul_bytes),
		TEST(huge_file),
		TEST(files),
		TEST(set_from_outside),
		TEST(unknown_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
