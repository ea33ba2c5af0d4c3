/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "tests/unit/registry_fixture.h"
#include "core/cleanup.h"

/* ---- Loading ------------------------------------------------------------- */

static void slots_follow_the_file(void **state)
{
	const struct lqos_subscriber *s;

	(void)state;
	assert_int_equal(lqos_subscriber_slots(module), SLOTS + 1);
	assert_int_equal(lqos_nodes(module), 1);
	load(THREE);
	expect_problems(3, 0, 0);
	assert_int_equal(slot_of("zz"), 1);
	assert_int_equal(slot_of("aa"), 2);
	assert_int_equal(slot_of("mm"), 3);
	assert_int_equal(kernel.sets, 5);
	assert_int_equal(resets.n, 3);
	s = lqos_subscriber(module, 1);
	assert_string_equal(s->name, "Zoe");
	assert_int_equal(s->prefixes, 3);
	assert_int_equal(s->node, 2);
	assert_int_equal(s->down_max, 50000000);
	assert_int_equal(s->cpu, UINT32_MAX);
	assert_string_equal(mapped("100.64.0.2")->device_id, "D1");
	assert_false(mapped("100.64.0.2")->by_hand);
	assert_null(mapped("100.64.0.4")->device_id);
	assert_int_equal(lqos_subscriber_find(module, s->circuit_id), 1);
	assert_int_equal(lqos_subscriber_find(module, "nobody's"), 0);
	assert_null(lqos_subscriber(module, 4));
	assert_null(lqos_subscriber(module, SLOTS + 1));
	assert_null(lqos_subscriber(module, UINT32_MAX));
	assert_int_equal(lqos_nodes(module), 3);
	assert_string_equal(lqos_node(module, 0)->name, "");
	assert_string_equal(lqos_node(module, 2)->name, "AP");
	assert_int_equal(lqos_node(module, 2)->parent, 1);
	assert_int_equal(lqos_node(module, 1)->up_max, 8000000);
	assert_null(lqos_node(module, 3));
	assert_true(log_has("3 circuits, 5 addresses, 2 nodes"));
}

static void same_files_again(void **state)
{
	(void)state;
	load(THREE);
	load(THREE);
	assert_int_equal(kernel.sets, 0);
	assert_int_equal(kernel.unsets, 0);
	assert_int_equal(resets.n, 3);
}

static void difference(void **state)
{
	(void)state;
	load(THREE);
	/* aa goes; its address is zz's, zz loses two, nn comes. */
	load(HEADER "nn,Nic,,,100.64.0.9,,5,5\n"
		    "mm,Max II,,AP,100.64.0.4,,30,6\n"
		    "zz,Zoe,D9,AP,\"100.64.0.3,100.64.0.2\",,50,10\n");
	assert_int_equal(kernel.sets, 2);
	assert_int_equal(kernel.unsets, 2);
	assert_int_equal(slot_of("aa"), 0);
	assert_int_equal(slot_of("zz"), 1);
	assert_int_equal(slot_of("mm"), 3);
	assert_int_equal(slot_of("nn"), 4);
	assert_string_equal(owner("100.64.0.3"), "zz");
	assert_string_equal(owner("100.64.0.1"), "");
	assert_string_equal(lqos_subscriber(module, 3)->name, "Max II");
	assert_int_equal(lqos_subscriber(module, 3)->up_max, 6000000);
	assert_int_equal(lqos_subscriber(module, 3)->node, 2);
	assert_int_equal(resets.n, 4);
	assert_int_equal(resets.last, 4);
}

static void new_id_in_a_full_registry(void **state)
{
	(void)state;
	make_registry(1, 1);
	load(HEADER "a,,,,100.64.0.1,,5,5\n");
	load(HEADER "b,,,,100.64.0.1,,5,5\n");
	expect_problems(1, 0, 0);
	assert_string_equal(owner("100.64.0.1"), "b");
	assert_int_equal(slot_of("b"), 1);
	assert_int_equal(kernel.unsets, 0); /* it never was nobody's */
	assert_int_equal(resets.n, 2);
}

static void freed_slots_are_reused_last(void **state)
{
	(void)state;
	load(HEADER "a,,,,,,5,5\nb,,,,,,5,5\nc,,,,,,5,5\n");
	load(HEADER "a,,,,,,5,5\nd,,,,,,5,5\n");
	assert_int_equal(slot_of("d"), 4);
	load(HEADER "e,,,,,,5,5\nf,,,,,,5,5\ng,,,,,,5,5\nd,,,,,,5,5\n");
	assert_int_equal(slot_of("e"), 5);
	assert_int_equal(slot_of("f"), 2);
	assert_int_equal(slot_of("g"), 3);
}

static void bad_files_change_nothing(void **state)
{
	(void)state;
	load(THREE);
	kernel_forget_counts();
	write_file(json_path, "{\"A\": }");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 -EINVAL);
	write_file(json_path, TREE);
	write_file(csv_path, "Circuit ID,IPv4\n");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 -EINVAL);
	unlink(csv_path);
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 -ENOENT);
	check();
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	assert_int_equal(lqos_nodes(module), 3);
	assert_int_equal(kernel.sets + kernel.unsets, 0);
	expect_problems(3, 0, 0);
}

/* A file that was emptied, or is half written, unmaps nobody. */
static void lost_files_change_nothing(void **state)
{
	(void)state;
	load(THREE);
	write_file(csv_path, "");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 -EINVAL);
	write_file(csv_path, "\x01\x02 nothing\nof this, is a row\n");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 -EINVAL);
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	check();
}

/* A slip of the pen in one row cuts nobody off. */
static void bad_rows_change_nothing(void **state)
{
	(void)state;
	load(THREE);
	load(HEADER
	     "zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.2\",2001:db8:1::1/56,50,10\n"
	     "aa,\"Ann \"K\" L\",D2,Site,100.64.0.3,,20,5\n"
	     "mm,Max,,,100.64.0.4,,31,5\n");
	expect_problems(1, 2, 0);
	assert_int_equal(kernel.sets + kernel.unsets, 0);
	assert_int_equal(core_registry_prefixes(core.registry), 5);
	assert_int_equal(lqos_subscriber(module, slot_of("zz"))->node, 2);
	assert_int_equal(lqos_subscriber(module, slot_of("mm"))->down_max,
			 31000000);

	/* What another row gives to another is gone all the same. */
	load(HEADER "zz,Zoe,D1,AP,x,,50,10\n"
		    "mm,Max,,,\"100.64.0.4,100.64.0.2\",,31,5\n");
	assert_string_equal(owner("100.64.0.1"), "zz");
	assert_string_equal(owner("100.64.0.2"), "mm");
	assert_string_equal(owner("100.64.0.3"), "");
	assert_int_equal(slot_of("aa"), 0);

	/* Its node is found by name, or it hangs at the root. */
	write_file(json_path, "{\"New\": {}, \"AP\": {}}");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 0);
	assert_string_equal(
		lqos_node(module, lqos_subscriber(module, slot_of("zz"))->node)
			->name,
		"AP");
	write_file(json_path, "{\"New\": {}}");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 0);
	assert_int_equal(lqos_subscriber(module, slot_of("zz"))->node, 0);
	check();
}

/* Where a file was cut, a row may say anything. */
static void a_file_that_was_cut_changes_nothing(void **state)
{
	static const char *const cut[] = {"mm", "mm,Max", "mm,\"Max",
					  "mm,Max,,,100.64.0.4,,3",
					  "mm,Max,,,\"100.64.0.4,100.64"};
	char text[600];
	size_t i;

	(void)state;
	load(THREE);
	for (i = 0; i < ARRAY_SIZE(cut); i++) {
		snprintf(text, sizeof(text),
			 HEADER "zz,Zoe,D1,AP,100.64.0.1,,50,10\n"
				"aa,Ann,D2,Site,100.64.0.3,,20,5\n%s",
			 cut[i]);
		write_file(csv_path, text);
		log_capture();
		assert_int_equal(
			core_registry_load(core.registry, csv_path, json_path),
			-EINVAL);
		snprintf(text, sizeof(text),
			 "x.csv:4:%zu: the file ends in the middle of a row",
			 strlen(cut[i]) + 1);
		if (!log_has(text))
			fail_msg("not \"%s\" but %s", text, captured.text);
		assert_int_equal(core_registry_prefixes(core.registry), 5);
		check();
	}
	/* With all its cells it is whole. */
	load(HEADER "zz,Zoe,D1,AP,100.64.0.1,,50,10\n"
		    "mm,Max,,,100.64.0.4,,30,5");
	expect_problems(2, 0, 0);
	load(HEADER "zz,Zoe,D1,AP,100.64.0.1,,50,10\n"
		    "mm,Max,,,100.64.0.4,,30,\"5\"");
	expect_problems(2, 0, 0);
	/* At a start the rows before it are better than none. */
	make_registry(SLOTS, PREFIXES);
	load(HEADER "zz,Zoe,D1,AP,100.64.0.1,,50,10\nmm,Max,,,100.64.");
	expect_problems(1, 1, 0);
	assert_true(log_has("x.csv:3:17: row left out: the file ends in the "
			    "middle of it"));
}

static void no_files(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(core_registry_load(core.registry, NULL, ""), 0);
	check();
	assert_int_equal(core_registry_subscribers(core.registry), 0);
	assert_int_equal(lqos_nodes(module), 1);
}

static void more_circuits_than_slots(void **state)
{
	(void)state;
	make_registry(2, PREFIXES);
	load(HEADER "a,,,,100.64.0.1,,5,5\nb,,,,100.64.0.2,,5,5\n"
		    "c,,,,100.64.0.3,,5,5\nc,,,,100.64.0.4,,5,5\n");
	expect_problems(2, 1, 0);
	assert_true(log_has("x.csv:4:1: circuit \"c\" left out: No space left "
			    "on device (is max_subscribers in [lqosd], 2, "
			    "enough?)"));
	assert_int_equal(kernel.n, 2);
	/* What c takes over is nobody's then. */
	load(HEADER "a,,,,100.64.0.1,,5,5\nb,,,,,,5,5\n"
		    "c,,,,100.64.0.2,,5,5\n");
	assert_string_equal(owner("100.64.0.2"), "");
}

static void more_addresses_than_prefixes(void **state)
{
	(void)state;
	make_registry(SLOTS, 2);
	load(HEADER "a,,,,100.64.0.1,,5,5\n"
		    "b,,,,\"100.64.0.2,100.64.0.3\",,5,5\n");
	expect_problems(2, 0, 1);
	assert_true(log_has("x.csv:3:1: address 100.64.0.3 of circuit \"b\" "
			    "left out"));
	assert_true(log_has("is max_prefixes in [lqosd], 2, enough?"));
	expect_addresses_left_out(1);
	assert_true(log_has("2 rows taken, 0 left out, 1 addresses left out"));
	load(HEADER "a,,,,100.64.0.1,,5,5\n"
		    "b,,,,100.64.0.1,,5,5\n");
	expect_addresses_left_out(1);
	load(HEADER "a,,,,100.64.0.1,,5,5\n");
	expect_addresses_left_out(0);
}

static void kernel_refuses_on_load(void **state)
{
	(void)state;
	kernel_refuse(2, -ENOSPC);
	load(THREE);
	expect_problems(3, 0, 3);
	assert_int_equal(kernel.n, 2);
	kernel_refuse(-1, 0);
	load(THREE);
	expect_problems(3, 0, 0);
	assert_int_equal(kernel.n, 5);

	/* A change of hands that is refused leaves the address to nobody. */
	kernel_refuse(0, -EPERM);
	load(HEADER "zz,Zoe,D1,AP,100.64.0.3,,50,10\naa,Ann,,,,,20,5\n");
	assert_int_equal(kernel.n, 0);
}

static void overlaps_are_legal(void **state)
{
	(void)state;
	assert_int_equal(core_log_setup("debug", 0), 0);
	load(HEADER "a,,,,\"100.64.0.0/16,100.64.9.9\",,5,5\n"
		    "b,,,,\"100.64.0.0/24,100.64.0.7\",,5,5\n"
		    "c,,,,100.64.0.128/25,2001:db8::1,5,5\n"
		    "d,,,,,2001:db8::/32,5,5\n");
	assert_int_equal(core_log_setup("info", 0), 0);
	expect_problems(4, 0, 0);
	assert_true(log_has("100.64.0.0/24 of circuit \"b\" lies in "
			    "100.64.0.0/16 of circuit \"a\""));
	assert_true(log_has("100.64.0.128/25 of circuit \"c\" lies in "
			    "100.64.0.0/24 of circuit \"b\""));
	assert_true(log_has("2001:db8::1 of circuit \"c\" lies in "
			    "2001:db8::/32 of circuit \"d\""));
	assert_false(log_has("100.64.9.9"));
	assert_false(log_has("100.64.0.7"));
	/* Once for all who do not debug. */
	assert_true(log_has("3 addresses lie in those of another circuit, "
			    "where the longest match counts; the first: "
			    "100.64.0.0/24 of circuit \"b\" lies in "
			    "100.64.0.0/16 of circuit \"a\""));
	load(HEADER "a,,,,\"0.0.0.0/0,100.64.0.1\",,5,5\n");
	assert_false(log_has("another circuit"));
}

static void replay(void **state)
{
	unsigned int calls = 0;

	(void)state;
	core_registry_hook(core.registry, NULL);
	write_file(csv_path, THREE);
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	assert_int_equal(add("192.0.2.1", "jo", 3), 0);
	assert_int_equal(kernel.sets, 0);
	assert_int_equal(lqos_subscribers_watch(module, count_call, &calls), 0);

	core_registry_hook(core.registry, &hooks);
	assert_int_equal(sync_kernel(), 0);
	assert_int_equal(kernel.sets, 6);
	check();
	assert_int_equal(calls, 0);

	memset(kernel.entries, 0, sizeof(kernel.entries));
	kernel.n = 0;
	kernel_refuse(4, -EPERM);
	assert_int_equal(sync_kernel(), -EPERM);
	assert_int_equal(core_registry_prefixes(core.registry), 6);

	memset(kernel.entries, 0, sizeof(kernel.entries));
	kernel.n = 0;
	kernel_refuse(4, -ENOSPC);
	assert_int_equal(sync_kernel(), 0);
	assert_int_equal(core_registry_prefixes(core.registry), 4);
	assert_int_equal(slot_of("jo"), 0);
	assert_int_equal(calls, 1);
	kernel_refuse(-1, 0);
	check();
}

/* ---- All together -------------------------------------------------------- */

static void random_file(char *text, size_t size, unsigned int *seed)
{
	size_t len = (size_t)snprintf(text, size, HEADER);
	int rows = rand_r(seed) % 8;

	for (int i = 0; i < rows; i++)
		len += (size_t)snprintf(
			text + len, size - len,
			"c%d,,d%d,%s,\"10.0.0.%d,10.0.1.%d\",2001:db8::%d,%d,"
			"5\n",
			rand_r(seed) % 7, i, rand_r(seed) % 2 ? "AP" : "",
			rand_r(seed) % 6, rand_r(seed) % 6, rand_r(seed) % 6,
			1 + rand_r(seed) % 2);
}

static void random_changes(void **state)
{
	unsigned int seed = 4711;
	char text[2048], ip[32], id[8];

	(void)state;
	for (int i = 0; i < 4000; i++) {
		if (rand_r(&seed) % 4 == 0)
			kernel_refuse(rand_r(&seed) % 3, -ENOSPC);
		snprintf(ip, sizeof(ip), "10.0.%d.%d", rand_r(&seed) % 3,
			 rand_r(&seed) % 6);
		snprintf(id, sizeof(id), "c%d", rand_r(&seed) % 9);
		switch (rand_r(&seed) % 6) {
		case 0:
			random_file(text, sizeof(text), &seed);
			load(text);
			break;
		case 1:
		case 2:
			add(ip, id, (uint32_t)rand_r(&seed) % 4);
			break;
		case 3:
			del(ip);
			break;
		case 4:
			/* A placement that fails half-way cannot be undone in
			 * a kernel that refuses everything. */
			kernel_refuse(-1, 0);
			lqos_place(module, (uint32_t)rand_r(&seed) % 7,
				   (uint32_t)rand_r(&seed) % 4,
				   (uint32_t)rand_r(&seed) % 2);
			break;
		default:
			if (rand_r(&seed) % 20 == 0)
				lqos_mapping_clear(module);
			break;
		}
		kernel_refuse(-1, 0);
		check();
	}
}

static void shipped_examples(void **state)
{
	const char *top = getenv("srcdir") ?: ".";
	char csv[512], json[512];

	(void)state;
	make_registry(100, KERNEL_MAX);
	snprintf(csv, sizeof(csv), "%s/etc/ShapedDevices.csv", top);
	snprintf(json, sizeof(json), "%s/etc/network.json", top);
	assert_int_equal(core_registry_load(core.registry, csv, json), 0);
	check();
	expect_problems(21, 0, 0);
	assert_int_equal(core_registry_subscribers(core.registry), 20);
	assert_int_equal(lqos_nodes(module), 9);
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void a_hundred_thousand_rows(void **state)
{
	const int rows = 100000;
	FILE *f = fopen(csv_path, "w");
	double begin, first, again;

	(void)state;
	assert_non_null(f);
	fputs(HEADER, f);
	for (int i = 0; i < rows; i++) {
		/* All over the place, as customers' numbers are. */
		unsigned int n = (unsigned int)i * 7919u % 100000u;

		fprintf(f,
			"cust-%u,\"Customer, number %u\",cpe-%u,,"
			"100.%u.%u.%u,2001:db8:%x:%x::/56,100,20\n",
			n, n, n, 64 + (n >> 16), n >> 8 & 255, n & 255, n >> 8,
			(n & 255) << 8);
	}
	assert_int_equal(fclose(f), 0);

	core_registry_free(&core.registry);
	assert_int_equal(
		core_registry_new(&core.registry, &core, 100000, 200000), 0);
	begin = cpu_seconds();
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	first = cpu_seconds() - begin;
	begin = cpu_seconds();
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	again = cpu_seconds() - begin;
	print_message("%d rows: load %.2f s, reload %.2f s of CPU\n", rows,
		      first, again);
	assert_int_equal(core_registry_subscribers(core.registry), rows);
	assert_int_equal(core_registry_prefixes(core.registry), 2 * rows);
	assert_int_equal(slot_of("cust-7919"), 2);
	/* Sanitizers and slow machines included. */
	assert_true(first < 10 && again < 10);
}

/* One more than there can be, which is named; all others are there. */
static void more_than_a_million_rows(void **state)
{
	const uint32_t rows = 1000001;
	FILE *f = fopen(csv_path, "w");
	double begin = cpu_seconds();

	(void)state;
	assert_non_null(f);
	fputs(HEADER, f);
	for (uint32_t i = 0; i < rows; i++)
		fprintf(f, "c%u,,,,10.%u.%u.%u,,9,9\n", i, i >> 16,
			i >> 8 & 255, i & 255);
	assert_int_equal(fclose(f), 0);
	core_registry_free(&core.registry);
	assert_int_equal(
		core_registry_new(&core.registry, &core, rows - 1, rows), 0);
	log_capture();
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	print_message("%u rows: %.1f s of CPU\n", rows, cpu_seconds() - begin);
	expect_problems(rows - 1, 1, 0);
	assert_true(log_has("x.csv:1000002:1: circuit \"c1000000\" left out: "
			    "No space left on device (is max_subscribers in "
			    "[lqosd], 1000000, enough?)"));
	assert_int_equal(core_registry_prefixes(core.registry), rows - 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(slots_follow_the_file),
		TEST(same_files_again),
		TEST(difference),
		TEST(new_id_in_a_full_registry),
		TEST(freed_slots_are_reused_last),
		TEST(bad_files_change_nothing),
		TEST(lost_files_change_nothing),
		TEST(bad_rows_change_nothing),
		TEST(a_file_that_was_cut_changes_nothing),
		TEST(no_files),
		TEST(more_circuits_than_slots),
		TEST(more_addresses_than_prefixes),
		TEST(kernel_refuses_on_load),
		TEST(overlaps_are_legal),
		TEST(replay),
		TEST(random_changes),
		TEST(shipped_examples),
		TEST(a_hundred_thousand_rows),
		TEST(more_than_a_million_rows),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
