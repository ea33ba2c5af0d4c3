/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPUs of machines that are made of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/unit/log_capture.h"

static char sys[] = "/tmp/lqos-test-cpus-XXXXXX";
static struct core_cpus *cpus;

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sys, name);
	for (char *p = path + strlen(sys) + 1; (p = strchr(p, '/'));
	     *p++ = '/') {
		*p = '\0';
		mkdir(path, 0700);
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(sys + strlen(sys) - 6, "XXXXXX");
	if (!mkdtemp(sys))
		return -1;
	put("system/cpu/present", "0-7\n");
	put("system/cpu/online", "0-7\n");
	log_capture();
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	core_cpus_free(&cpus);
	core_cpus_free(&cpus);
	snprintf(command, sizeof(command), "rm -r %s", sys);
	return system(command);
}

static int open_cpus(const char *exclude, bool efficiency)
{
	core_cpus_free(&cpus);
	return core_cpus_new(&cpus, sys, 16, exclude, efficiency);
}

/* The CPUs, each a hexadecimal digit. */
static void expect(const char *wanted)
{
	const uint32_t *list;
	uint32_t n = core_cpus_list(cpus, &list), i;
	char text[17] = "";

	for (i = 0; i < n; i++)
		snprintf(text + i, 2, "%x", list[i]);
	assert_string_equal(text, wanted);
	for (i = 0; i < 16; i++) {
		snprintf(text, sizeof(text), "%x", i);
		assert_int_equal(core_cpus_has(cpus, i),
				 strstr(wanted, text) != NULL);
	}
}

static void excluded(const char *exclude, bool efficiency, const char *wanted)
{
	assert_int_equal(open_cpus(exclude, efficiency), 0);
	expect(wanted);
}

static void refused(const char *exclude, int rc, const char *why)
{
	log_capture();
	assert_int_equal(open_cpus(exclude, false), rc);
	assert_null(cpus);
	if (!log_has(why))
		fail_msg("%s", captured.text);
}

static void by_number(void **state)
{
	(void)state;
	excluded("", false, "01234567");
	excluded("0", false, "1234567");
	excluded("0,2-3", false, "14567");
	excluded(" 7 , 0-0 ", false, "123456");
	excluded("0-6", false, "7");
	put("system/cpu/online", "0,2,4-5\n");
	excluded("4", false, "025");
	/* One that is offline now. */
	excluded("1,4", false, "025");
	assert_null(core_cpus_unused(cpus, 0));
	assert_string_equal(core_cpus_unused(cpus, 1),
			    "excluded by exclude_cpus");
	assert_string_equal(core_cpus_unused(cpus, 3), "offline");
	assert_null(core_cpus_unused(cpus, 9)); /* there is none */
}

static void slips(void **state)
{
	(void)state;
	refused("x", -EINVAL,
		"exclude_cpus is \"x\"; expected numbers of CPUs");
	refused("1;2", -EINVAL, "expected numbers");
	refused("3-", -EINVAL, "expected numbers");
	refused("-3", -EINVAL, "expected numbers");
	refused("3-1", -EINVAL, "expected numbers");
	refused(",1", -EINVAL, "expected numbers");
	refused("1,8", -ERANGE, "there is no CPU 8; expected some of 0-7");
	refused("99", -ERANGE, "there is no CPU 99; expected some of 0-7");
	refused("0-99999999999999999999", -ERANGE, "there is no CPU 16");
	refused("0-7", -EINVAL,
		"only 0-7 are online: expected at least one of them to be "
		"left");
	put("system/cpu/online", "0-1\n");
	refused("0-1,5", -EINVAL, "only 0-1 are online");
}

static void intel(void **state)
{
	(void)state;
	put("cpu_atom/cpus", "4-7\n");
	excluded("", true, "0123");
	excluded("", false, "01234567");
	excluded("0", true, "123");
	assert_non_null(
		strstr(core_cpus_unused(cpus, 4), "an efficiency core"));
	/* Small ones are better than none. */
	excluded("0-3", true, "4567");
	put("cpu_atom/cpus", "\n");
	excluded("", true, "01234567");
}

static void arm(void **state)
{
	static const char *const capacities[] = {"530", "530", "530",  "530",
						 "760", "760", "1024", "1024"};
	char name[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		snprintf(name, sizeof(name), "system/cpu/cpu%zu/cpu_capacity",
			 i);
		put(name, capacities[i]);
	}
	excluded("", true, "4567");
	excluded("", false, "01234567");
	excluded("4-7", true, "0123");
}

static uint32_t back;

static void is_back(uint32_t cpu, void *arg)
{
	assert_ptr_equal(arg, &back);
	back |= 1U << cpu;
}

/* Bits of the CPUs that are back. */
static uint32_t look(const char *online)
{
	put("system/cpu/online", online);
	back = 0;
	core_cpus_look(cpus, is_back, &back);
	return back;
}

static void coming_and_going(void **state)
{
	(void)state;
	assert_int_equal(open_cpus("3", false), 0);
	assert_int_equal(look("0-7\n"), 0);
	assert_int_equal(look("0,2-7\n"), 0);
	expect("024567");
	assert_true(log_has("CPU 1 is offline"));
	assert_int_equal(look("0-2,4-7\n"), 1 << 1);
	expect("0124567");
	assert_true(log_has("CPU 1 is online again"));
	assert_int_equal(look("0-7\n"), 0); /* excluded */
	expect("0124567");
	assert_int_equal(look("3\n"), 0); /* nobody is left */
	expect("0124567");
	assert_int_equal(look("2-3\n"), 1 << 2);
	expect("2");
	assert_int_equal(look("nonsense\n"), 0);
	expect("2");
}

static void large_ones_go(void **state)
{
	(void)state;
	put("cpu_atom/cpus", "4-7\n");
	assert_int_equal(open_cpus("", true), 0);
	expect("0123");
	assert_int_equal(look("4-7\n"), 0xf0);
	expect("4567");
	assert_int_equal(look("0,4-7\n"), 1);
	expect("0");
}

static void this_machine(void **state)
{
	struct core_settings set = {.exclude_cpus = "",
				    .exclude_efficiency_cores = true};
	const uint32_t *list;

	(void)state;
	assert_int_equal(core_cpus_open(&cpus, &set), 0);
	assert_true(core_cpus_list(cpus, &list) > 0);
	core_cpus_free(&cpus);
	set.exclude_cpus = "5000000";
	assert_int_equal(core_cpus_open(&cpus, &set), -ERANGE);
	assert_true(log_has("there is no CPU"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(by_number),
		TEST(slips),
		TEST(intel),
		TEST(arm),
		TEST(coming_and_going),
		TEST(large_ones_go),
		TEST(this_machine),
	};

	return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
