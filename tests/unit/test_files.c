/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/registry_fixture.h"

enum { DELAY_MS = 40, WAIT_MS = 5000 };

static int setup_files(void **state)
{
	core.settings.shaped_devices = csv_path;
	core.settings.network_json = json_path;
	core.settings.watch_files = true;
	core.settings.watch_delay_ms = DELAY_MS;
	core.settings.slow_callback_ms = 1000;
	if (setup(state) || core_loop_new(&core.loop, &core))
		return -1;
	core.ctx = module;
	return core_files_new(&core.files, &core, true, false);
}

static int teardown_files(void **state)
{
	core_ctx_free(&module);
	core.ctx = NULL;
	core_files_free(&core.files);
	core_loop_free(&core.loop);
	return teardown(state);
}

static void on_time(void *arg)
{
	(void)arg;
	core_loop_stop(core.loop);
}

static void run_ms(uint32_t ms)
{
	assert_int_equal(lqos_timer_once(module, ms, on_time, NULL, NULL), 0);
	assert_int_equal(core_loop_run(core.loop), 0);
}

static unsigned int times(const char *what)
{
	unsigned int n = 0;

	for (const char *p = captured.text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* Not longer than it takes, however slow the machine. */
static void wait_for(const char *what)
{
	unsigned int ms;

	for (ms = 0; !log_has(what) && ms < WAIT_MS; ms += 20)
		run_ms(20);
	if (!log_has(what))
		fail_msg("not \"%s\" but:\n%s", what, captured.text);
}

static void begin(const char *csv)
{
	write_file(csv_path, csv);
	assert_int_equal(core_files_load(core.files), 0);
	assert_int_equal(core_files_watch(core.files), 0);
	log_capture();
}

/* What an editor or an integration does. */
static void replace_file(const char *csv)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/new", dir);
	write_file(path, csv);
	assert_int_equal(rename(path, csv_path), 0);
}

static void replaced_by_renaming(void **state)
{
	(void)state;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	run_ms(5 * DELAY_MS);
	assert_int_equal(captured.lines, 0);
	replace_file(HEADER "b,,,,100.64.0.1,,5,5\n");
	wait_for("subscriber files read again: 1 subscribers, 1 prefixes");
	assert_string_equal(owner("100.64.0.1"), "b");
	run_ms(5 * DELAY_MS);
	assert_int_equal(times("reading them again"), 1);
	check();
}

static void written_in_steps(void **state)
{
	char text[2000] = HEADER;

	(void)state;
	core.settings.watch_delay_ms = 1000;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	for (int i = 1; i <= SLOTS; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len,
			 "b%d,,,,100.64.0.%d,,5,5\n", i, i);
		write_file(csv_path, text);
		run_ms(20);
	}
	wait_for("read again: 5 subscribers");
	assert_int_equal(times("reading them again"), 1);
	check();
}

static void a_broken_file_changes_nothing(void **state)
{
	(void)state;
	begin(THREE);
	write_file(json_path, "{\n \"A\": }\n");
	wait_for("not read again");
	assert_true(log_has("x.json:2:7: "));
	assert_true(log_has("those there were stay; correct the file: "));
	run_ms(5 * DELAY_MS);
	assert_int_equal(times("not read again"), 1); /* is enough */
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	write_file(json_path, TREE);
	unlink(csv_path);
	wait_for("x.csv (without subscribers, leave the option empty): No such "
		 "file");
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	write_file(csv_path, THREE);
	wait_for("subscriber files read again: 3 subscribers");
	assert_int_equal(kernel.unsets, 0);
	check();
}

static void a_default_file_comes_later(void **state)
{
	(void)state;
	begin(THREE);
	assert_int_equal(lqos_nodes(module), 1);
	write_file(json_path, TREE);
	wait_for("subscriber files read again");
	assert_int_equal(lqos_nodes(module), 3);
}

/* A link to a directory's file, and then another directory, at once. */
static void links_are_followed(void **state)
{
	char one[80], other[80], link[80], file[96];

	(void)state;
	snprintf(one, sizeof(one), "%s/1", dir);
	snprintf(other, sizeof(other), "%s/2", dir);
	snprintf(link, sizeof(link), "%s/now", dir);
	snprintf(file, sizeof(file), "%s/now/x", dir);
	assert_int_equal(mkdir(one, 0700) | mkdir(other, 0700), 0);
	assert_int_equal(symlink("1", link), 0);
	assert_int_equal(symlink("now/x", csv_path), 0);
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	assert_int_equal(unlink(link) | symlink("2", link), 0);
	write_file(file, HEADER "b,,,,100.64.0.1,,5,5\n");
	wait_for("subscriber files read again");
	assert_string_equal(owner("100.64.0.1"), "b");

	unlink(file);
	assert_int_equal(unlink(link) | symlink("1", link), 0);
	unlink(file);
	unlink(link);
	assert_int_equal(rmdir(one) | rmdir(other), 0);
}

/* Whoever sends SIGHUP at once is not answered twice. */
static void read_by_hand(void **state)
{
	(void)state;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	replace_file(HEADER "b,,,,100.64.0.1,,5,5\n");
	assert_int_equal(core_files_reload(core.files), 0);
	run_ms(5 * DELAY_MS);
	assert_int_equal(times("read again"), 1);
	assert_string_equal(owner("100.64.0.1"), "b");
}

/* Somebody else writes to the kernel's tables. */
static void what_drifted_is_mended(void **state)
{
	struct lqos_prefix stray;

	(void)state;
	begin(THREE);
	kernel_forget_counts();
	assert_int_equal(core_files_reload(core.files), 0);
	assert_int_equal(kernel.batches + kernel.epochs, 0);
	assert_false(log_has("mended"));
	((struct lqos_prefix *)mapped("100.64.0.1"))->handle = 0x30003;
	*(struct lqos_prefix *)mapped("100.64.0.3") =
		kernel.entries[--kernel.n];
	assert_int_equal(core_prefix_parse("203.0.113.0/24", &stray, NULL, 0),
			 0);
	kernel.entries[kernel.n++] = stray;
	assert_int_equal(core_files_reload(core.files), 0);
	assert_true(log_has("3 prefixes were not as lqosd had put them"));
	assert_int_equal(kernel.sets, 2);
	assert_int_equal(kernel.unsets, 1);
	assert_int_equal(kernel.epochs, 1);
	check();
	/* No less when the file is broken. */
	kernel.n--;
	write_file(json_path, "{");
	assert_int_equal(core_files_reload(core.files), -EINVAL);
	check();
	kernel.read_fails = -EIO;
	write_file(json_path, TREE);
	assert_int_equal(core_files_reload(core.files), 0);
	assert_true(log_has("send SIGHUP to try again: Input/output error"));
	kernel.read_fails = 0;
}

/* It is expected to take long, and says itself how long. */
static void a_reload_is_not_slow(void **state)
{
	struct core_loop_stats stats;

	(void)state;
	core.settings.slow_callback_ms = 20;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	kernel.read_takes_ms = 60;
	replace_file(HEADER "b,,,,100.64.0.1,,5,5\n");
	wait_for("0 rows and 0 addresses left out, in ");
	run_ms(1);
	assert_false(log_has("all else had to wait"));
	assert_int_equal(strtol(strstr(captured.text, "left out, in ") + 13,
				NULL, 10) >= 60,
			 1);
	core_loop_stats(core.loop, &stats);
	assert_int_equal(stats.slow, 0);
}

static void never_left_alone(void **state)
{
	char text[200];
	int i;

	(void)state;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	for (i = 0; i < 200 && !log_has("read again: 1 subscr"); i++) {
		snprintf(text, sizeof(text), HEADER "b%d,,,,100.64.0.1,,5,5\n",
			 i);
		replace_file(text);
		run_ms(DELAY_MS / 4);
	}
	assert_true(log_has("read again: 1 subscribers"));
}

static void switched_off(void **state)
{
	(void)state;
	core.settings.watch_files = false;
	begin(HEADER "a,,,,100.64.0.1,,5,5\n");
	replace_file("nonsense");
	run_ms(5 * DELAY_MS);
	assert_int_equal(captured.lines, 0);
	assert_int_equal(core_files_reload(core.files), -EINVAL);
	assert_true(log_has("correct the file and send SIGHUP again"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_files, teardown_files)
	const struct CMUnitTest tests[] = {
		TEST(replaced_by_renaming),
		TEST(written_in_steps),
		TEST(a_broken_file_changes_nothing),
		TEST(a_default_file_comes_later),
		TEST(links_are_followed),
		TEST(read_by_hand),
		TEST(what_drifted_is_mended),
		TEST(a_reload_is_not_slow),
		TEST(never_left_alone),
		TEST(switched_off),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
