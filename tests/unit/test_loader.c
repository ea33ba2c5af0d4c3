/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modules as files: found, refused, ordered, configured, started, stopped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "core/lqos/packet.h"
#include "tests/unit/log_capture.h"

/* Where the modules of fixtures/ were built to. */
#ifndef LQOS_FIXTURES
#error "define LQOS_FIXTURES as the directory of the fixtures' .so files"
#endif

static struct {
	struct core core;
	struct core_config *config;
	struct core_loader *loader;
	char dir[PATH_MAX]; /* empty, the test's own */
} t;

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "%s/lqos-loader-XXXXXX",
		 tmp ? tmp : "/tmp");
	log_capture();
	return mkdtemp(t.dir) ? 0 : -1;
}

static int teardown(void **state)
{
	const struct dirent *entry;
	DIR *dir = opendir(t.dir);

	(void)state;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	core_loader_free(&t.loader);
	core_config_free(&t.config);
	core_log_sink(NULL, NULL);
	return rmdir(t.dir);
}

/* As if the fixture's file were in the test's directory under that name. */
static void place(const char *fixture, const char *name)
{
	autofree char *from = realpath(LQOS_FIXTURES, NULL);
	char target[2 * PATH_MAX], path[2 * PATH_MAX];

	assert_non_null(from);
	snprintf(target, sizeof(target), "%s/%s.so", from, fixture);
	snprintf(path, sizeof(path), "%s/%s.so", t.dir, name);
	assert_int_equal(symlink(target, path), 0);
}

static int load_from(const char *dirs, const char *names, const char *ini)
{
	assert_int_equal(
		core_config_parse(&t.config, "test.ini", ini, strlen(ini)), 0);
	assert_int_equal(core_loader_new(&t.loader, &t.core, dirs), 0);
	return core_loader_load(t.loader, names, t.config);
}

static int load(const char *names, const char *ini)
{
	return load_from(LQOS_FIXTURES, names, ini);
}

static void assert_logged(const char *text)
{
	if (!log_has(text))
		fail_msg("\"%s\" is not in the log:\n%s", text, captured.text);
}

/* The texts are in the log, each after the one before. */
static void assert_logged_in_order(const char *const *texts, size_t n)
{
	const char *from = captured.text;

	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(from, texts[i]);

		if (!found)
			fail_msg("\"%s\" is not in its place in the log:\n%s",
				 texts[i], captured.text);
		from = found + strlen(texts[i]);
	}
}

static void assert_order(const char *const *names, size_t n)
{
	assert_int_equal(core_loader_count(t.loader), n);
	for (size_t i = 0; i < n; i++) {
		const struct core_module *m = core_loader_get(t.loader, i);

		assert_string_equal(m->info.name, names[i]);
		assert_string_equal(m->ctx->name, names[i]);
		assert_int_equal(m->ctx->index, i + 1);
		assert_ptr_equal(m->ctx->core, &t.core);
	}
	assert_null(core_loader_get(t.loader, n));
}

/* ---- Life --------------------------------------------------------------- */

static void starts_and_stops(void **state)
{
	const char *const life[] = {
		"good: start fast 200\n",
		"good: stop 42\n",
		"good: released\n",
	};
	const struct core_module *good;

	(void)state;
	assert_int_equal(load("good", "[good]\nperiod = 200\nmode = fast\n"),
			 0);
	assert_int_equal(core_loader_flags(t.loader), LQOS_MODULE_STEERS);
	good = core_loader_get(t.loader, 0);
	assert_false(good->started);
	assert_false(log_has("start"));

	assert_int_equal(core_loader_start(t.loader), 0);
	assert_true(good->started);
	assert_false(log_has("stop"));

	core_loader_free(&t.loader);
	assert_null(t.loader);
	assert_logged_in_order(life, ARRAY_SIZE(life));
}

static void a_failed_start_stops_the_others(void **state)
{
	const char *const life[] = {
		"good: start",
		"needs_good: start",
		"fails: nothing to start with",
		"fails: released",
		"needs_good: stop",
		"good: stop 42",
		"good: released",
		"module fails did not start",
	};

	(void)state;
	assert_int_equal(load("good,needs_good,fails,later", ""), 0);
	assert_int_equal(core_loader_start(t.loader), -ENODEV);
	assert_logged_in_order(life, ARRAY_SIZE(life));
	assert_false(log_has("later"));
	assert_false(log_has("fails: stop"));
	for (size_t i = 0; i < core_loader_count(t.loader); i++)
		assert_false(core_loader_get(t.loader, i)->started);

	/* None of them is stopped a second time. */
	log_capture();
	core_loader_free(&t.loader);
	assert_int_equal(captured.lines, 0);
}

static void closes_without_a_start(void **state)
{
	(void)state;
	core_loader_free(&t.loader);
	assert_int_equal(load("good,later", ""), 0);
	core_loader_free(&t.loader);
	assert_false(log_has("stop"));
}

static void runs_without_modules(void **state)
{
	(void)state;
	assert_int_equal(load(" , ", ""), 0);
	assert_int_equal(core_loader_count(t.loader), 0);
	assert_int_equal(core_loader_flags(t.loader), 0);
	assert_int_equal(core_loader_start(t.loader), 0);
}

/* ---- Order -------------------------------------------------------------- */

static void orders_by_needs_and_after(void **state)
{
	const char *const names[] = {"good", "needs_good", "later"};

	(void)state;
	assert_int_equal(load("later, needs_good,good", ""), 0);
	assert_order(names, ARRAY_SIZE(names));
}

static void keeps_the_order_given(void **state)
{
	const char *const names[] = {"later", "steers", "fails"};

	(void)state;
	assert_int_equal(load("later,steers,fails", ""), 0);
	assert_order(names, ARRAY_SIZE(names));
}

static void moves_no_more_than_it_must(void **state)
{
	const char *const names[] = {"good", "later", "fails", "cycle_b"};

	(void)state;
	assert_int_equal(load("later,fails,good,cycle_b", ""), 0);
	/* Those that waited for good keep their order. */
	assert_order(names, ARRAY_SIZE(names));
}

static void names_a_cycle(void **state)
{
	(void)state;
	assert_int_equal(load("later,cycle_b,cycle_a", ""), -ELOOP);
	/* It has no beginning: both ways to say it are right. */
	if (!log_has("each other (cycle_a after cycle_b after cycle_a)"))
		assert_logged("each other (cycle_b after cycle_a after "
			      "cycle_b)");
	assert_false(log_has("later"));
}

/* Each has cache lines of its own in the records of flows. */
static void flow_parts(void **state)
{
	(void)state;
	assert_int_equal(load("good,flow_parts", ""), 0);
	assert_int_equal(core_loader_flow_bytes(t.loader),
			 sizeof(struct lqos_flow) + 128);
	assert_int_equal(core_loader_get(t.loader, 0)->ctx->flow_part, 0);
	assert_int_equal(core_loader_get(t.loader, 1)->ctx->flow_part,
			 sizeof(struct lqos_flow));
}

/* ---- Refusals ----------------------------------------------------------- */

static void refuses(void **state)
{
	const struct {
		const char *names;
		int rc;
		const char *why;
	} cases[] = {
		{"needs_good", -ENOENT,
		 "module needs_good needs good, which is not in this run"},
		{"good,steers", -EINVAL, "modules good and steers both move"},
		{"good,later,good", -EINVAL, "module good is named twice"},
		{"../fixtures/good", -EINVAL, "not a module's name"},
		{"lqosd", -EINVAL, "not a module's name"},
		{"core", -EINVAL, "not a module's name"},
		{"a.b", -EINVAL, "not a module's name"},
		{"abcdefghijklmnopqrstuvwxyz_abcdef", -EINVAL,
		 "not a module's name"},
		{"other_major", -EPROTO,
		 "was compiled against lqos ABI 4.0, this lqosd has 3.1: "
		 "rebuild it"},
		{"newer_minor", -EPROTO,
		 "was compiled against lqos ABI 3.2, this lqosd has 3.1: "
		 "rebuild it"},
		{"flow_bytes", -EINVAL, "flow_bytes is 64, expected at most "},
		{"bigger", -EPROTO, "has a descriptor of"},
		{"smaller", -EPROTO, "has a descriptor of"},
		{"no_section", -ENODATA, "no section .lqos.module"},
		{"no_entry", -ENODATA, "does not export lqos_module_entry"},
		{"two_faced", -EINVAL, "is not what its section"},
		{"unresolved", -ENOEXEC, "lqos_no_such_function"},
		{"needs_god", -ENOENT, "did you mean needs_good?"},
		{"zzzzzzzzz", -ENOENT, "--list-modules"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int rc;

		log_capture();
		rc = load(cases[i].names, "");
		if (rc != cases[i].rc)
			fail_msg("%s: %d instead of %d", cases[i].names, rc,
				 cases[i].rc);
		assert_logged(cases[i].why);
		assert_int_equal(captured.level, LQOS_ERR);
		assert_int_equal(captured.lines, 1);
		core_loader_free(&t.loader);
		core_config_free(&t.config);
	}
}

static void names_all_that_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(load("zzz,good,newer_minor,lqosd", ""), -ENOENT);
	assert_logged("module zzz: no zzz.so");
	assert_logged("module newer_minor: ");
	assert_logged("module lqosd: ");
	assert_int_equal(captured.lines, 3);
}

static void names_where_it_looked(void **state)
{
	char dirs[2 * PATH_MAX];

	(void)state;
	snprintf(dirs, sizeof(dirs), "%s:/nonexistent:%s", t.dir,
		 LQOS_FIXTURES);
	assert_int_equal(load_from(dirs, "goof", ""), -ENOENT);
	assert_logged("no goof.so in ");
	assert_logged(dirs);
	assert_logged("did you mean good?");
}

static void finds_in_a_later_directory(void **state)
{
	char dirs[2 * PATH_MAX];

	(void)state;
	snprintf(dirs, sizeof(dirs), "/nonexistent::%s:%s", t.dir,
		 LQOS_FIXTURES);
	assert_int_equal(load_from(dirs, "good", ""), 0);
}

static void the_earlier_directory_wins(void **state)
{
	char dirs[2 * PATH_MAX];

	(void)state;
	place("newer_minor", "good");
	snprintf(dirs, sizeof(dirs), "%s:%s", LQOS_FIXTURES, t.dir);
	assert_int_equal(load_from(dirs, "good", ""), 0);
	core_loader_free(&t.loader);
	core_config_free(&t.config);

	snprintf(dirs, sizeof(dirs), "%s:%s", t.dir, LQOS_FIXTURES);
	assert_int_equal(load_from(dirs, "good", ""), -EPROTO);
}

static void refuses_a_renamed_file(void **state)
{
	(void)state;
	place("good", "other");
	assert_int_equal(load_from(t.dir, "other", ""), -EINVAL);
	assert_logged("calls itself \"good\": the file has to be named "
		      "good.so");
}

/* ---- Configuration ------------------------------------------------------ */

static void fills_defaults(void **state)
{
	(void)state;
	assert_int_equal(load("good", ""), 0);
	assert_int_equal(core_loader_start(t.loader), 0);
	assert_logged("good: start slow 1000");
}

static void refuses_bad_values(void **state)
{
	(void)state;
	assert_int_equal(
		load("good,later", "[good]\nperiod = 1\n[later]\nkey = 1\n"),
		-EINVAL);
	assert_logged("test.ini:2");
	assert_logged("period");
	assert_logged("test.ini:4");
	assert_int_equal(captured.lines, 2);
}

static void lets_the_module_check(void **state)
{
	(void)state;
	assert_int_equal(load("good", "[good]\nrefuse = yes\n"), -EDOM);
	assert_logged("good: told to refuse");
	assert_logged("module good refuses the values of section [good]");
}

static void knows_sections_of_modules_that_do_not_run(void **state)
{
	(void)state;
	assert_int_equal(load("good", "[lqosd]\n[steers]\nanything = 1\n"), 0);
}

static void refuses_unknown_sections(void **state)
{
	(void)state;
	assert_int_equal(load("good", "[good]\n[nonsense]\nx = 1\n"), -EINVAL);
	assert_logged("nonsense");
}

/* ---- Listing ------------------------------------------------------------ */

static void trace_path(char *path, size_t size)
{
	snprintf(path, size, "%s/trace", t.dir);
	setenv("LQOS_TEST_TRACE", path, 1);
}

static void lists_without_executing(void **state)
{
	struct core_module_info *infos = NULL;
	bool good = false, other_major = false;
	char trace[2 * PATH_MAX];
	size_t n = 0;

	(void)state;
	trace_path(trace, sizeof(trace));
	assert_int_equal(core_loader_list(LQOS_FIXTURES, &infos, &n), 0);
	assert_int_not_equal(access(trace, F_OK), 0);
	for (size_t i = 0; i < n; i++) {
		if (i)
			assert_true(strcmp(infos[i - 1].name, infos[i].name) <
				    0);
		assert_string_not_equal(infos[i].name, "no_section");
		if (!strcmp(infos[i].name, "good")) {
			good = true;
			assert_string_equal(infos[i].version, "1.2");
			assert_string_equal(infos[i].description,
					    "A module as it should be");
			assert_int_equal(infos[i].abi, LQOS_ABI);
		}
		if (!strcmp(infos[i].name, "other_major")) {
			other_major = true;
			assert_int_equal(infos[i].abi >> 16,
					 LQOS_ABI_MAJOR + 1);
		}
	}
	free(infos);
	assert_true(good);
	assert_true(other_major);
	assert_logged("no_section.so: not an lqos module");

	/* Nor is anything executed of a run that is refused. */
	assert_int_equal(load("constructor,newer_minor", ""), -EPROTO);
	assert_int_not_equal(access(trace, F_OK), 0);
	core_loader_free(&t.loader);
	core_config_free(&t.config);

	/* The same file does leave its trace when it is executed.  Here only:
	 * under sanitizers it stays loaded, and has no second first time. */
	assert_int_equal(load("constructor", ""), 0);
	assert_int_equal(access(trace, F_OK), 0);
	unsetenv("LQOS_TEST_TRACE");
}

static void lists_each_name_once(void **state)
{
	struct core_module_info *infos = NULL;
	char dirs[2 * PATH_MAX];
	size_t n = 0;

	(void)state;
	place("good", "good");
	place("later", "later");
	place("good", "not.a.name");
	snprintf(dirs, sizeof(dirs), "%s:%s", t.dir, t.dir);
	assert_int_equal(core_loader_list(dirs, &infos, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(infos[0].name, "good");
	assert_string_equal(infos[1].name, "later");
	assert_string_equal(infos[1].after, "needs_good, good");
	free(infos);
}

static void cannot_list_what_is_not_there(void **state)
{
	struct core_module_info *infos = NULL;
	size_t n = 7;

	(void)state;
	assert_int_equal(core_loader_list("/nonexistent", &infos, &n), -ENOENT);
	assert_logged("module directory /nonexistent cannot be read");
	assert_null(infos);
	assert_int_equal(n, 7);
	assert_int_equal(core_loader_list(t.dir, &infos, &n), 0);
	assert_int_equal(n, 0);
	free(infos);
}

static void prints_options(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_non_null(f);
	place("good", "good");
	place("later", "later");
	assert_int_equal(core_loader_print_options(t.dir, f), 0);
	fflush(f);
	assert_non_null(strstr(text, "A module as it should be"));
	assert_non_null(strstr(text, "[good]"));
	assert_non_null(strstr(text, "period = 1000"));
	assert_non_null(strstr(text, "[later]"));

	/* What cannot be loaded is said; the others are still printed. */
	place("unresolved", "unresolved");
	assert_int_equal(core_loader_print_options(t.dir, f), -ENOEXEC);
	fclose(f);
	free(text);
	assert_logged("lqos_no_such_function");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_and_stops),
		TEST(a_failed_start_stops_the_others),
		TEST(closes_without_a_start),
		TEST(runs_without_modules),
		TEST(orders_by_needs_and_after),
		TEST(keeps_the_order_given),
		TEST(moves_no_more_than_it_must),
		TEST(names_a_cycle),
		TEST(flow_parts),
		TEST(refuses),
		TEST(names_all_that_is_wrong),
		TEST(names_where_it_looked),
		TEST(finds_in_a_later_directory),
		TEST(the_earlier_directory_wins),
		TEST(refuses_a_renamed_file),
		TEST(fills_defaults),
		TEST(refuses_bad_values),
		TEST(lets_the_module_check),
		TEST(knows_sections_of_modules_that_do_not_run),
		TEST(refuses_unknown_sections),
		TEST(lists_without_executing),
		TEST(lists_each_name_once),
		TEST(cannot_list_what_is_not_there),
		TEST(prints_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
