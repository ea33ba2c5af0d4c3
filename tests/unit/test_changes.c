/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/registry_fixture.h"

static struct {
	char text[2048];
	unsigned int n;
	char problems[4096]; /* a line for each that is told */
	unsigned int all_problems;
	int stop; /* returned for the first; 0: go on */
} told;

static const char *text_of_place(uint32_t cpu, uint32_t handle, char *buf,
				 size_t size)
{
	if (cpu == UINT32_MAX && !handle)
		return "-";
	snprintf(buf, size, "%d/%x", (int)cpu, handle);
	return buf;
}

/* A line for each: what, where, from whom, to whom. */
static int note_change(const struct lqos_change *c, void *arg)
{
	static const char kinds[] = "?+-*!";
	char prefix[CORE_PREFIX_TEXT], from[32], to[32], line[256];

	assert_ptr_equal(arg, &told);
	if (c->kind == LQOS_CHANGE_PROBLEM) {
		assert_null(c->prefix);
		told.all_problems = c->problems;
		strcat(strcat(told.problems, c->problem), "\n");
		return 0;
	}
	assert_null(c->problem);
	assert_in_range(c->kind, LQOS_CHANGE_ADD, LQOS_CHANGE_DRIFT);
	assert_int_equal(!c->from, !c->from_node);
	assert_int_equal(!c->to, !c->to_node);
	snprintf(line, sizeof(line), "%c%s %s,%s,%s > %s,%s,%s\n",
		 kinds[c->kind],
		 c->prefix ? core_prefix_text(c->prefix, prefix, sizeof(prefix))
			   : "",
		 c->from ? c->from->circuit_id : "-",
		 c->from ? c->from_node : "-",
		 text_of_place(c->from_cpu, c->from_handle, from, sizeof(from)),
		 c->to ? c->to->circuit_id : "-", c->to ? c->to_node : "-",
		 text_of_place(c->to_cpu, c->to_handle, to, sizeof(to)));
	assert_true(strlen(told.text) + strlen(line) < sizeof(told.text));
	strcat(told.text, line);
	told.n++;
	return told.stop;
}

static int changes(void)
{
	memset(told.text, 0, sizeof(told.text));
	memset(told.problems, 0, sizeof(told.problems));
	told.n = told.all_problems = 0;
	kernel_forget_counts();
	return lqos_changes(module, note_change, &told);
}

/* These and no others, and nothing was done. */
static void expect(const char *text)
{
	unsigned int lines = 0;

	assert_int_equal(changes(), 0);
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	if (strcmp(told.text, text) || told.n != lines)
		fail_msg("expected\n%snot\n%s", text, told.text);
	assert_int_equal(kernel.sets + kernel.unsets + kernel.epochs, 0);
}

static int setup_files(void **state)
{
	memset(&told, 0, sizeof(told));
	core.settings.shaped_devices = csv_path;
	core.settings.network_json = json_path;
	return setup(state) || core_files_new(&core.files, &core, true, true);
}

static int teardown_files(void **state)
{
	core_files_free(&core.files);
	return teardown(state);
}

static void nothing_new(void **state)
{
	(void)state;
	load(THREE);
	expect("");
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	assert_int_equal(add("192.0.2.1", "zz", 2), 0);
	expect("");
}

static void what_comes_and_goes(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	write_file(csv_path,
		   HEADER "zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.9\",,50,10\n"
			  "mm,Max,,,\"100.64.0.4,100.64.0.3\",,30,5\n"
			  "nn,Nic,,Site,2001:db8::1,,5,5\n");
	/* nn's row is refused, so nobody is told to be added by it. */
	expect("-100.64.0.2 zz,AP,2/20003 > -,-,-\n"
	       "-2001:db8:1::/56 zz,AP,2/20003 > -,-,-\n"
	       "+100.64.0.9 -,-,- > zz,AP,2/20003\n"
	       "*100.64.0.3 aa,Site,- > mm,,-\n");
	write_file(csv_path, THREE "nn,Nic,,Site,100.64.0.9,,5,5\n");
	expect("+100.64.0.9 -,-,- > nn,Site,-\n");

	/* What is told is what a load does. */
	load(THREE "nn,Nic,,Site,100.64.0.9,,5,5\n");
	assert_int_equal(kernel.sets, 1);
	expect("");
}

static void other_rates_and_nodes(void **state)
{
	(void)state;
	load(THREE);
	write_file(csv_path, HEADER "zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.2\","
				    "2001:db8:1::/56,50,10\n"
				    "aa,Ann,D2,AP,100.64.0.3,,20,5\n"
				    "mm,Max,,,100.64.0.4,,31,5\n");
	expect("*100.64.0.3 aa,Site,- > aa,AP,-\n"
	       "*100.64.0.4 mm,,- > mm,,-\n");
}

static void by_hand_stays(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(add("100.64.0.4", "hand", 1), 0);
	assert_int_equal(add("192.0.2.7", "hand", 1), 0);
	expect("");
	write_file(csv_path, HEADER "aa,Ann,D2,Site,100.64.0.3,,20,5\n"
				    "mm,Max,,,100.64.0.4,,30,5\n");
	expect("-100.64.0.1 zz,AP,- > -,-,-\n"
	       "-100.64.0.2 zz,AP,- > -,-,-\n"
	       "-2001:db8:1::/56 zz,AP,- > -,-,-\n");
}

static void drift(void **state)
{
	struct lqos_prefix *entry, stray;

	(void)state;
	load(THREE);
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	/* Somebody else writes to the kernel's tables. */
	entry = (struct lqos_prefix *)mapped("100.64.0.1");
	entry->handle = 0x30003;
	entry = (struct lqos_prefix *)mapped("100.64.0.3");
	*entry = kernel.entries[--kernel.n];
	assert_int_equal(core_prefix_parse("203.0.113.0/24", &stray, NULL, 0),
			 0);
	stray.slot = 77;
	stray.cpu = 1;
	stray.handle = 0x10009;
	kernel.entries[kernel.n++] = stray;

	assert_int_equal(changes(), 0);
	assert_int_equal(told.n, 3);
	assert_non_null(strstr(told.text, "!100.64.0.1 zz,AP,2/30003 > "
					  "zz,AP,2/20003\n"));
	assert_non_null(strstr(told.text, "!203.0.113.0/24 -,-,1/10009 > "
					  "-,-,-\n"));
	assert_non_null(strstr(told.text, "!100.64.0.3 -,-,- > aa,Site,-\n"));
	assert_int_equal(sync_kernel(), 0);
	expect("");
	check();
}

/* What a load makes of circuits without an address, too. */
static void circuits_without_addresses(void **state)
{
	(void)state;
	load(THREE);
	/* The only address of nn is another's. */
	write_file(csv_path, THREE "nn,Nic,,Site,100.64.0.4,,5,5\n"
				   "oo,Ona,,,,,6,6\n");
	expect("+ -,-,- > nn,Site,-\n"
	       "+ -,-,- > oo,,-\n");
	load(THREE "nn,Nic,,Site,100.64.0.4,,5,5\noo,Ona,,,,,6,6\n");
	assert_int_equal(core_registry_subscribers(core.registry), 5);
	expect("");
	write_file(csv_path, THREE "nn,Nic,,AP,100.64.0.4,,5,5\n");
	expect("- oo,,- > -,-,-\n"
	       "* nn,Site,- > nn,AP,-\n");
	load(THREE "nn,Nic,,AP,100.64.0.4,,5,5\n");
	assert_int_equal(core_registry_subscribers(core.registry), 4);
	expect("");
}

static void what_is_wrong_is_told(void **state)
{
	char csv[8000] = HEADER;
	unsigned int lines = 0;

	(void)state;
	load(THREE);
	expect("");
	assert_string_equal(told.problems, "");
	write_file(csv_path, THREE "nn,Nic,,Nowhere,100.64.0.9,,5,5\n"
				   "oo,Ona,,,192.0.2.300,,6,6\n");
	expect("+100.64.0.9 -,-,- > nn,,-\n");
	assert_int_equal(told.all_problems, 2);
	/* Errors first. */
	assert_ptr_equal(strstr(told.problems, dir), told.problems);
	assert_non_null(strstr(told.problems,
			       "x.csv:6:10: row left out: IPv4: \"192.0.2.300\""
			       " is no address"));
	assert_non_null(strstr(told.problems,
			       "x.csv:5:9: Parent Node: \"Nowhere\" is"));
	assert_true(strstr(told.problems, "300") <
		    strstr(told.problems, "Nowhere"));

	/* So many, and no more. */
	strcpy(csv, THREE);
	for (int i = 0; i < 50; i++)
		sprintf(csv + strlen(csv), "n%d,,,,nonsense,,5,5\n", i);
	write_file(csv_path, csv);
	expect("");
	assert_int_equal(told.all_problems, 50);
	for (const char *at = told.problems; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 20);
	assert_non_null(strstr(told.problems, "x.csv:5:7: "));
}

static void whoever_listens_may_stop(void **state)
{
	(void)state;
	load(THREE);
	write_file(csv_path, HEADER "aa,Ann,D2,Site,100.64.0.3,,20,5\n");
	told.stop = 42;
	assert_int_equal(changes(), 42);
	assert_int_equal(told.n, 1);
}

static void broken_files(void **state)
{
	(void)state;
	load(THREE);
	write_file(json_path, "{\n \"A\": }\n");
	assert_int_equal(changes(), -EINVAL);
	assert_int_equal(told.n, 0);
	assert_true(log_has("x.json:2:7: "));
	assert_non_null(strstr(told.problems, "x.json:2:7: "));
	assert_int_equal(told.all_problems, 1);
	write_file(json_path, TREE);
	write_file(csv_path, "Circuit ID,IPv4\n");
	assert_int_equal(changes(), -EINVAL);
	assert_true(log_has("x.csv:1:1: the header has no column"));
	assert_non_null(
		strstr(told.problems, "x.csv:1:1: the header has no column"));
	write_file(csv_path, "");
	assert_int_equal(changes(), -EINVAL);
	unlink(csv_path);
	assert_int_equal(changes(), -ENOENT);
	assert_non_null(strstr(told.problems, "x.csv (without subscribers, "));
	write_file(csv_path, THREE);
	kernel.read_fails = -EIO;
	assert_int_equal(changes(), -EIO);
	kernel.read_fails = 0;
	expect("");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_files, teardown_files)
	const struct CMUnitTest tests[] = {
		TEST(nothing_new),
		TEST(what_comes_and_goes),
		TEST(other_rates_and_nodes),
		TEST(by_hand_stays),
		TEST(drift),
		TEST(circuits_without_addresses),
		TEST(what_is_wrong_is_told),
		TEST(whoever_listens_may_stop),
		TEST(broken_files),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
