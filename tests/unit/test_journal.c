/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "tests/unit/registry_fixture.h"

static char path[80];

static int setup_journal(void **state)
{
	core.settings.run_dir = dir;
	snprintf(path, sizeof(path), "%s/mappings", dir);
	if (setup(state))
		return -1;
	core.ctx = module;
	return core_journal_open(&core.journal, &core);
}

static int teardown_journal(void **state)
{
	core_journal_close(&core.journal);
	core.ctx = NULL;
	unlink(path);
	return teardown(state);
}

/* As after kill -9: nothing was said, and the files are read first. */
static void start_again(const char *csv)
{
	core_journal_close(&core.journal);
	make_registry(SLOTS, PREFIXES);
	load(csv);
	log_capture();
	assert_int_equal(core_journal_open(&core.journal, &core), 0);
	check();
}

static size_t lines(void)
{
	autofree char *text = NULL;
	size_t len, n = 0;

	if (core_file_read(path, &text, &len))
		return 0;
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void by_hand_is_back(void **state)
{
	struct lqos_mapping m = {.ip = "2001:db8:9::%200/48",
				 .circuit_id = "zz",
				 .device_id = "d\"7\xc3\xa9"};
	const struct lqos_prefix *p;

	(void)state;
	core.settings.address_spaces = true;
	load(THREE);
	assert_int_equal(add("192.0.2.1", NULL, 3), 0);
	assert_int_equal(add("192.0.2.0/24", "hand", 2), 0);
	assert_int_equal(lqos_mapping_add(module, &m, NULL, 0), 0);
	start_again(THREE);
	assert_int_equal(kernel.n, 8);
	assert_string_equal(owner("192.0.2.1"), "192.0.2.1");
	assert_string_equal(owner("192.0.2.0/24"), "hand");
	p = mapped("192.0.2.0/24");
	assert_true(p->by_hand && p->own_place);
	assert_int_equal(p->cpu, 2);
	assert_int_equal(p->handle, 0x10003);
	p = mapped(m.ip);
	assert_string_equal(owner(m.ip), "zz");
	assert_string_equal(p->device_id, m.device_id);
	assert_true(p->by_hand);
	assert_false(p->own_place);
	assert_true(log_has("mappings by hand that are back: 3"));
	start_again(THREE);
	assert_int_equal(kernel.n, 8);
	core.settings.address_spaces = false;
}

static void over_a_file_and_back(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(add("100.64.0.4", "hand", 3), 0);
	start_again(THREE);
	assert_string_equal(owner("100.64.0.4"), "hand");
	assert_int_equal(del("100.64.0.4"), 0);
	start_again(THREE);
	assert_string_equal(owner("100.64.0.4"), "mm");
}

static void deleted_and_cleared_stay_away(void **state)
{
	(void)state;
	assert_int_equal(add("192.0.2.1", "a", 3), 0);
	assert_int_equal(add("192.0.2.2", "b", 3), 0);
	assert_int_equal(del("192.0.2.1"), 0);
	start_again(THREE);
	assert_null(mapped("192.0.2.1"));
	assert_string_equal(owner("192.0.2.2"), "b");
	assert_int_equal(lqos_mapping_clear(module), 6);
	assert_int_equal(access(path, F_OK), -1); /* no file of nothing */
	assert_int_equal(add("192.0.2.3", "c", 3), 0);
	start_again(THREE);
	assert_int_equal(kernel.n, 6);
	assert_string_equal(owner("192.0.2.3"), "c");
	/* What the files say is not kept here. */
	assert_int_equal(del("100.64.0.4"), 0);
	assert_int_equal(lines(), 1);
}

/* Scripts map everybody anew all the time. */
static void does_not_grow(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(add("192.0.2.1", i & 1 ? "a" : "b", 3), 0);
		assert_int_equal(add("192.0.2.2", "c", 3), 0);
		assert_int_equal(del("192.0.2.2"), 0);
	}
	assert_in_range(lines(), 1, 1010);
	start_again(THREE);
	assert_string_equal(owner("192.0.2.1"), "a");
	assert_null(mapped("192.0.2.2"));
	assert_int_equal(lines(), 1);
}

/* It is one of those that go at which the file is written anew. */
static void the_last_of_many_stays_away(void **state)
{
	size_t before, n = 0;

	(void)state;
	assert_int_equal(add("192.0.2.2", "b", 3), 0);
	do {
		assert_int_equal(add("192.0.2.1", "a", 3), 0);
		before = lines();
		assert_int_equal(del("192.0.2.1"), 0);
		assert_in_range(n++, 0, 2000);
	} while (lines() > before);
	start_again(THREE);
	assert_null(mapped("192.0.2.1"));
	assert_string_equal(owner("192.0.2.2"), "b");
}

static void others_may_not_read_it(void **state)
{
	char new[96], other[96];
	struct stat st;

	(void)state;
	snprintf(new, sizeof(new), "%s.new", path);
	snprintf(other, sizeof(other), "%s/other", dir);
	write_file(other, "mine");
	assert_int_equal(symlink(other, new), 0);
	assert_int_equal(add("192.0.2.1", "a", 3), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 4);
	unlink(other);
}

static void odd_lines(void **state)
{
	(void)state;
	core_journal_close(&core.journal);
	write_file(path, "{\"ip\":\"192.0.2.1\",\"circuit\":\"a\"}\n"
			 "garbage\n"
			 "{\"ip\":\"192.0.2.7/24\"}\n"
			 "[]\n"
			 "{\"gone\":\"203.0.113.7\"}\n"
			 "{\"ip\":\"192.0.2.2\",\"circuit\":\"b\"}\n"
			 "{\"ip\":\"192.0.2.3\",\"circ");
	log_capture();
	assert_int_equal(core_journal_open(&core.journal, &core), 0);
	assert_int_equal(kernel.n, 2);
	assert_string_equal(owner("192.0.2.2"), "b");
	assert_true(log_has("mappings:2: this line is left out: it is no "
			    "mapping"));
	assert_true(log_has("mappings: 192.0.2.7/24, mapped by hand, is left "
			    "out: \"192.0.2.7/24\" has bits set"));
	assert_true(log_has("mappings:4: "));
	assert_int_equal(captured.lines, 4);
	assert_int_equal(lines(), 2);
}

static void a_full_disk(void **state)
{
	struct rlimit limit, small;
	struct stat st;

	(void)state;
	assert_int_equal(add("192.0.2.1", "a", 3), 0);
	assert_int_equal(stat(path, &st), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = (rlim_t)st.st_size + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	log_capture();
	assert_int_equal(add("192.0.2.2", "b", 3), 0); /* but it works */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_string_equal(owner("192.0.2.2"), "b");
	assert_true(log_has("mappings: cannot be written: No space left on "
			    "device: after a restart of lqosd 192.0.2.2 will "
			    "be as it was before"));
	assert_int_equal(add("192.0.2.3", "c", 3), 0);
	start_again(THREE);
	assert_string_equal(owner("192.0.2.1"), "a");
	assert_string_equal(owner("192.0.2.2"), "");
	assert_string_equal(owner("192.0.2.3"), "c");
}

/* It cannot be written, and then it can. */
static void a_directory_that_comes_later(void **state)
{
	char missing[64], file[80];

	(void)state;
	core_journal_close(&core.journal);
	snprintf(missing, sizeof(missing), "%s/later", dir);
	core.settings.run_dir = missing;
	log_capture();
	assert_int_equal(core_journal_open(&core.journal, &core), 0);
	assert_true(log_has("later/mappings: cannot be written: what is "
			    "mapped by hand will not outlive this run"));
	assert_int_equal(add("192.0.2.1", "a", 3), 0);
	assert_true(log_has("after a restart of lqosd 192.0.2.1 will be"));
	assert_int_equal(mkdir(missing, 0700), 0);
	assert_int_equal(add("192.0.2.2", "b", 3), 0);
	start_again(THREE);
	assert_string_equal(owner("192.0.2.1"), "a");
	assert_string_equal(owner("192.0.2.2"), "b");
	snprintf(file, sizeof(file), "%s/mappings", missing);
	assert_int_equal(unlink(file) | rmdir(missing), 0);
}

int main(void)
{
#define TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup_journal, teardown_journal)
	const struct CMUnitTest tests[] = {
		TEST(by_hand_is_back),
		TEST(over_a_file_and_back),
		TEST(deleted_and_cleared_stay_away),
		TEST(does_not_grow),
		TEST(the_last_of_many_stays_away),
		TEST(others_may_not_read_it),
		TEST(odd_lines),
		TEST(a_full_disk),
		TEST(a_directory_that_comes_later),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
