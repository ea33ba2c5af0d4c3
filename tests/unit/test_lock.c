/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock of the run directory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core.h"
#include "tests/unit/log_capture.h"

static char parent[PATH_MAX], run_dir[PATH_MAX + 8], lock[PATH_MAX + 16];

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(parent, sizeof(parent), "%s/lqos-lock-XXXXXX",
		 tmp ? tmp : "/tmp");
	log_capture();
	if (!mkdtemp(parent))
		return -1;
	snprintf(run_dir, sizeof(run_dir), "%s/run", parent);
	snprintf(lock, sizeof(lock), "%s/lock", run_dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_log_sink(NULL, NULL);
	unlink(lock);
	rmdir(run_dir);
	return rmdir(parent);
}

static void assert_holds_our_pid(void)
{
	char text[64] = "", ours[32];
	FILE *f = fopen(lock, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	snprintf(ours, sizeof(ours), "%d\n", (int)getpid());
	assert_string_equal(text, ours);
}

static void one_at_a_time(void **state)
{
	int first = -1, second = -1;
	char holder[32];

	(void)state;
	assert_int_equal(core_lock_take(&first, run_dir), 0);
	assert_true(first >= 0);
	assert_holds_our_pid();
	assert_int_equal(captured.lines, 0);

	assert_int_equal(core_lock_take(&second, run_dir), -EBUSY);
	assert_int_equal(second, -1);
	snprintf(holder, sizeof(holder), "(pid %d)", (int)getpid());
	assert_true(log_has(holder));
	assert_true(log_has(lock));
	assert_int_equal(captured.lines, 1);

	close(first);
	assert_int_equal(core_lock_take(&second, run_dir), 0);
	close(second);
}

static void says_nothing_of_a_holder_without_a_pid(void **state)
{
	int first = -1, second = -1;

	(void)state;
	assert_int_equal(core_lock_take(&first, run_dir), 0);
	assert_int_equal(ftruncate(first, 0), 0);
	assert_int_equal(pwrite(first, "\x1b[2J", 4, 0), 4);
	assert_int_equal(core_lock_take(&second, run_dir), -EBUSY);
	assert_true(log_has("(pid unknown)"));
	close(first);
}

static void nobody_else_may_open_it(void **state)
{
	const mode_t old = umask(022);
	struct stat st;
	int fd = -1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(core_lock_take(&fd, run_dir), 0);
		assert_int_equal(stat(lock, &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
		/* As earlier versions left it. */
		assert_int_equal(fchmod(fd, 0644), 0);
		close(fd);
	}
	umask(old);
}

static void replaces_a_longer_pid(void **state)
{
	FILE *f;
	int fd = -1;

	(void)state;
	assert_int_equal(mkdir(run_dir, 0755), 0);
	f = fopen(lock, "w");
	assert_non_null(f);
	fprintf(f, "99999999999999\n99999999999999\n");
	fclose(f);
	assert_int_equal(core_lock_take(&fd, run_dir), 0);
	assert_holds_our_pid();
	close(fd);
}

static void makes_the_directory(void **state)
{
	const mode_t old = umask(022);
	struct stat st;
	int fd = -1;

	(void)state;
	assert_int_equal(core_lock_take(&fd, run_dir), 0);
	umask(old);
	assert_int_equal(stat(run_dir, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	close(fd);
}

static void says_what_is_in_the_way(void **state)
{
	char deep[PATH_MAX + 32], huge[PATH_MAX + 16];
	int fd = -1;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b", parent);
	assert_int_equal(core_lock_take(&fd, deep), -ENOENT);
	assert_true(log_has(deep));

	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(core_lock_take(&fd, huge), -ENAMETOOLONG);

	/* Whoever may write to run_dir must not point us to another file. */
	assert_int_equal(mkdir(run_dir, 0755), 0);
	assert_int_equal(symlink("elsewhere", lock), 0);
	assert_int_equal(core_lock_take(&fd, run_dir), -ELOOP);
	assert_true(log_has(lock));
	assert_int_equal(fd, -1);
}

static void a_tool_takes_what_is_left(void **state)
{
	pid_t holder = -1;
	int daemon = -1, tool = -1;

	(void)state;
	assert_int_equal(core_lock_take_left(&tool, run_dir, &holder), -ENOENT);
	assert_int_equal(access(run_dir, F_OK), -1);

	assert_int_equal(core_lock_holder(run_dir), 0);

	assert_int_equal(core_lock_take(&daemon, run_dir), 0);
	assert_int_equal(core_lock_take_left(&tool, run_dir, &holder), -EBUSY);
	assert_int_equal(holder, getpid());
	assert_int_equal(core_lock_holder(run_dir), getpid());
	assert_int_equal(tool, -1);
	assert_int_equal(ftruncate(daemon, 0), 0);
	assert_int_equal(core_lock_take_left(&tool, run_dir, &holder), -EBUSY);
	assert_int_equal(holder, 0);
	close(daemon);

	assert_int_equal(core_lock_holder(run_dir), 0);
	assert_int_equal(core_lock_take_left(&tool, run_dir, &holder), 0);
	assert_int_equal(core_lock_take(&daemon, run_dir), -EBUSY);
	close(tool);
	assert_int_equal(captured.lines, 1); /* the daemon's */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_at_a_time),
		TEST(says_nothing_of_a_holder_without_a_pid),
		TEST(replaces_a_longer_pid),
		TEST(nobody_else_may_open_it),
		TEST(makes_the_directory),
		TEST(says_what_is_in_the_way),
		TEST(a_tool_takes_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
