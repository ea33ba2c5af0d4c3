/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/registry_fixture.h"

/* ---- By hand ------------------------------------------------------------- */

static void add_by_hand(void **state)
{
	const struct lqos_mapping m = {
		.ip = "2001:DB8:5::/48", .device_id = "cpe", .cpu = 1};
	char why[200];

	(void)state;
	assert_int_equal(add("192.0.2.1", "jo", 3), 0);
	check();
	assert_int_equal(slot_of("jo"), 1);
	assert_string_equal(lqos_subscriber(module, 1)->name, "jo");
	assert_true(mapped("192.0.2.1")->by_hand);
	assert_int_equal(mapped("192.0.2.1")->cpu, 3);
	assert_int_equal(mapped("192.0.2.1")->handle, 0x10003);
	assert_null(mapped("192.0.2.1")->device_id);
	assert_int_equal(resets.n, 1);

	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	assert_string_equal(owner("2001:db8:5::/48"), "2001:db8:5::/48");
	assert_string_equal(mapped("2001:db8:5::/48")->device_id, "cpe");

	/* Again, and to somebody else. */
	assert_int_equal(add("192.0.2.1", "jo", 4), 0);
	assert_int_equal(mapped("192.0.2.1")->cpu, 4);
	assert_int_equal(add("192.0.2.1", " al\n", 4), 0);
	assert_string_equal(owner("192.0.2.1"), "al");
	assert_int_equal(slot_of("jo"), 0);
	check();
}

static void add_says_why_not(void **state)
{
	struct lqos_mapping m = {.ip = "192.0.2.1/24", .circuit_id = "x"};
	char why[200];

	(void)state;
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "expected 192.0.2.0/24"));

	make_registry(1, 2);
	m.ip = "192.0.2.0/24";
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	m.circuit_id = "y";
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)),
			 -ENOSPC);
	assert_non_null(strstr(why, "max_subscribers in [lqosd], 1, enough"));
	m.circuit_id = "x";
	m.ip = "192.0.2.1";
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	m.ip = "192.0.2.2";
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)),
			 -ENOSPC);
	assert_non_null(strstr(why, "max_prefixes in [lqosd], 2, enough"));
	check();
}

static void refused_by_the_kernel(void **state)
{
	unsigned int calls = 0;

	(void)state;
	load(THREE);
	assert_int_equal(lqos_subscribers_watch(module, count_call, &calls), 0);
	kernel_refuse(0, -ENOSPC);
	assert_int_equal(add("192.0.2.1", "jo", 3), -ENOSPC);
	assert_int_equal(add("192.0.2.1", "zz", 3), -ENOSPC);
	assert_int_equal(add("100.64.0.3", "zz", 3), -ENOSPC);
	check();
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	assert_int_equal(core_registry_prefixes(core.registry), 5);
	assert_string_equal(owner("100.64.0.3"), "aa");
	assert_false(mapped("100.64.0.3")->by_hand);
	kernel_refuse(-1, 0);
	assert_int_equal(calls, 0);

	/* The slot it would have had is still the next. */
	assert_int_equal(add("192.0.2.1", "jo", 3), 0);
	assert_int_equal(slot_of("jo"), 4);
	assert_int_equal(calls, 1);
}

static void by_hand_over_a_file(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(add("100.64.0.3", "zz", 7), 0);
	assert_int_equal(add("100.64.0.4", "own", 7), 0);
	check();
	assert_string_equal(owner("100.64.0.3"), "zz");
	assert_int_equal(slot_of("aa"), 2); /* the file still names it */

	/* The files do not take it back, nor their going. */
	load(THREE);
	assert_int_equal(kernel.sets + kernel.unsets, 0);
	assert_string_equal(owner("100.64.0.3"), "zz");
	load(HEADER "aa,Ann,,,100.64.0.5,,20,5\n");
	assert_string_equal(owner("100.64.0.3"), "zz");
	assert_int_equal(slot_of("zz"), 1);
	assert_int_equal(lqos_subscriber(module, 1)->node, 0);
	assert_int_equal(lqos_subscriber(module, 1)->prefixes, 1);
	assert_int_equal(slot_of("mm"), 0);

	assert_int_equal(del("100.64.0.3"), 0);
	assert_int_equal(slot_of("zz"), 0);
	load(THREE);
	assert_string_equal(owner("100.64.0.3"), "aa");
	assert_string_equal(owner("100.64.0.4"), "own");
}

static void file_adopts_a_circuit_made_by_hand(void **state)
{
	(void)state;
	assert_int_equal(add("192.0.2.1", "aa", 3), 0);
	load(THREE);
	assert_int_equal(slot_of("aa"), 1);
	assert_string_equal(lqos_subscriber(module, 1)->name, "Ann");
	assert_int_equal(lqos_subscriber(module, 1)->prefixes, 2);
	assert_int_equal(del("192.0.2.1"), 0);
	assert_int_equal(del("100.64.0.3"), 0);
	assert_int_equal(slot_of("aa"), 1);
	check();
}

static void delete_and_clear(void **state)
{
	char why[200];

	(void)state;
	load(THREE);
	assert_int_equal(add("192.0.2.0/24", "jo", 3), 0);
	assert_int_equal(
		lqos_mapping_del(module, "192.0.2.0", why, sizeof(why)),
		-ENOENT);
	assert_non_null(strstr(why, "192.0.2.0 is not mapped"));
	assert_int_equal(
		lqos_mapping_del(module, "192.0.2.1/24", why, sizeof(why)),
		-EINVAL);
	assert_int_equal(del("192.0.2.0/24"), 0);
	check();
	assert_int_equal(slot_of("jo"), 0);

	assert_int_equal(add("192.0.2.0/24", "jo", 3), 0);
	assert_int_equal(lqos_mapping_clear(module), 6);
	check();
	assert_int_equal(kernel.n, 0);
	assert_int_equal(core_registry_subscribers(core.registry), 3);
	assert_int_equal(lqos_mapping_clear(module), 0);

	load(THREE);
	assert_int_equal(kernel.sets, 5);
}

/* ---- Placing, walking, watching ------------------------------------------ */

static void placing(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(add("192.0.2.1", "zz", 9), 0);
	kernel_forget_counts();
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	check();
	assert_int_equal(kernel.sets, 4);
	assert_int_equal(lqos_subscriber(module, 1)->cpu, 2);
	assert_int_equal(lqos_subscriber(module, 1)->handle, 0x20003);
	assert_int_equal(mapped("100.64.0.1")->cpu, 2);
	/* A class of its own, but no CPU. */
	assert_int_equal(mapped("192.0.2.1")->cpu, 2);
	assert_int_equal(mapped("192.0.2.1")->handle, 0x10003);

	/* Nothing new. */
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	assert_int_equal(kernel.sets, 4);
	assert_int_equal(lqos_place(module, 0, 2, 0x20003), -ENOENT);
	assert_int_equal(lqos_place(module, 4, 2, 0x20003), -ENOENT);
	assert_int_equal(lqos_place(module, 99, 2, 0x20003), -ENOENT);

	/* What comes later follows. */
	load(THREE "zz,Zoe,D1,AP,100.64.0.9,,50,10\n");
	assert_int_equal(kernel.sets, 1);
	assert_int_equal(mapped("100.64.0.9")->cpu, 2);
	assert_int_equal(mapped("100.64.0.9")->handle, 0x20003);
}

static void by_hand_without_a_place(void **state)
{
	struct lqos_mapping m = {.ip = "192.0.2.1", .circuit_id = "zz"};
	char why[256];

	(void)state;
	load(THREE);
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	/* It goes where its circuit is, now and later. */
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	assert_false(mapped("192.0.2.1")->own_place);
	assert_int_equal(mapped("192.0.2.1")->handle, 0x20003);
	assert_int_equal(lqos_place(module, 1, 3, 0x30003), 0);
	assert_int_equal(mapped("192.0.2.1")->cpu, 3);
	/* A circuit made for a mapping with a place has that place too. */
	assert_int_equal(add("192.0.2.9", "own", 7), 0);
	assert_true(mapped("192.0.2.9")->own_place);
	assert_int_equal(lqos_subscriber(module, slot_of("own"))->cpu, 7);
	check();
}

static void one_circuit_one_cpu(void **state)
{
	struct lqos_mapping m = {.ip = "192.0.2.1",
				 .circuit_id = "zz",
				 .cpu = 3,
				 .handle = 0x20009};
	char why[256];

	(void)state;
	load(THREE);
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "circuit \"zz\" is on CPU 2"));
	assert_null(mapped("192.0.2.1"));
	m.cpu = 2;
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	assert_int_equal(mapped("192.0.2.1")->handle, 0x20009);

	/* By hand: it may go as a whole, but not in parts. */
	m = (struct lqos_mapping){.ip = "192.0.2.9", .cpu = 3, .handle = 9};
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	m.cpu = 4;
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	assert_int_equal(lqos_subscriber(module, 4)->cpu, 4);
	m.circuit_id = "192.0.2.9";
	m.ip = "192.0.2.10";
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)), 0);
	m.cpu = 5;
	assert_int_equal(lqos_mapping_add(module, &m, why, sizeof(why)),
			 -EINVAL);
	assert_int_equal(mapped("192.0.2.10")->cpu, 4);
	check();
}

static void placing_is_refused(void **state)
{
	(void)state;
	load(THREE);
	assert_int_equal(lqos_place(module, 1, 2, 0x20003), 0);
	for (int after = 0; after < 3; after++) {
		kernel_forget_counts();
		kernel.refuse_once = true; /* what was set can be set back */
		kernel_refuse(after, -E2BIG);
		assert_int_equal(lqos_place(module, 1, 5, 0x50003), -E2BIG);
		assert_int_equal(kernel.sets, 4); /* two of three, twice */
		assert_int_equal(lqos_subscriber(module, 1)->cpu, 2);
		check();
	}
}

struct texts {
	char text[512];
	int stop_after;
};

static int note_text(const struct lqos_prefix *p, void *arg)
{
	struct texts *t = arg;
	char one[CORE_PREFIX_TEXT];

	strcat(t->text, core_prefix_text(p, one, sizeof(one)));
	strcat(t->text, " ");
	return --t->stop_after ? 0 : 42;
}

static void walking(void **state)
{
	struct texts all = {0}, some = {.stop_after = 2};

	(void)state;
	assert_int_equal(lqos_prefixes(module, note_text, &all), 0);
	load(HEADER "a,,,,\"100.64.0.9,100.64.0.0/24\","
		    "\"2001:db8::1,2001:db8::/32\",5,5\n"
		    "b,,,,\"9.9.9.9,100.64.0.0/16,100.64.0.0\",::1,5,5\n");
	assert_int_equal(lqos_prefixes(module, note_text, &all), 0);
	assert_string_equal(all.text,
			    "9.9.9.9 100.64.0.0/16 100.64.0.0/24 100.64.0.0 "
			    "100.64.0.9 ::1 2001:db8::/32 2001:db8::1 ");
	assert_int_equal(lqos_prefixes(module, note_text, &some), 42);
	assert_string_equal(some.text, "9.9.9.9 100.64.0.0/16 ");
}

static void watching(void **state)
{
	unsigned int calls = 0;

	(void)state;
	assert_int_equal(lqos_subscribers_watch(module, count_call, &calls), 0);
	load(THREE);
	assert_int_equal(calls, 1);
	load(THREE);
	assert_int_equal(calls, 1);
	assert_int_equal(lqos_place(module, 1, 2, 3), 0);
	assert_int_equal(calls, 1);
	load(HEADER "aa,Ann,,,100.64.0.3,,20,6\n");
	assert_int_equal(calls, 2);
	assert_int_equal(add("192.0.2.1", "jo", 1), 0);
	assert_int_equal(calls, 3);
	assert_int_equal(del("192.0.2.1"), 0);
	assert_int_equal(calls, 4);
	assert_int_equal(lqos_mapping_clear(module), 1);
	assert_int_equal(calls, 5);
	assert_int_equal(lqos_mapping_clear(module), 0);
	assert_int_equal(calls, 5);
	core_ctx_release(module);
	load(THREE);
	assert_int_equal(calls, 5);
}

static void watching_the_tree(void **state)
{
	static const char *const trees[] = {
		"{\"Site\": {\"downloadBandwidthMbps\": 9, "
		"\"uploadBandwidthMbps\": 7}}",
		"{\"Site\": {\"downloadBandwidthMbps\": 8, "
		"\"uploadBandwidthMbps\": 7}}",
		"{\"Other\": {\"downloadBandwidthMbps\": 8, "
		"\"uploadBandwidthMbps\": 7}}",
		"{\"Other\": {\"downloadBandwidthMbps\": 8, "
		"\"uploadBandwidthMbps\": 7}, \"Leaf\": {}}",
		"{\"Other\": {\"downloadBandwidthMbps\": 8, "
		"\"uploadBandwidthMbps\": 7, \"children\": {\"Leaf\": "
		"{}}}}",
	};
	unsigned int calls = 0;

	(void)state;
	load(HEADER "mm,Max,,,100.64.0.4,,30,5\n");
	assert_int_equal(lqos_subscribers_watch(module, count_call, &calls), 0);
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		for (int again = 0; again < 2; again++) {
			write_file(json_path, trees[i]);
			assert_int_equal(core_registry_load(core.registry,
							    csv_path,
							    json_path),
					 0);
			assert_int_equal(calls, i + 1);
		}
}

static struct lqos_ctx *other;
static unsigned int rounds;
static bool inside;

static void stop_other(void *arg)
{
	(void)arg;
	core_ctx_free(&other);
}

static void stop_myself(void *arg)
{
	unsigned int *calls = arg;

	(*calls)++;
	core_ctx_release(module);
}

static void change_once(void *arg)
{
	(void)arg;
	assert_false(inside);
	inside = true;
	if (!rounds++)
		assert_int_equal(add("192.0.2.77", "more", 1), 0);
	inside = false;
}

static void watchers_that_stop_others(void **state)
{
	unsigned int early = 0, late = 0;

	(void)state;
	assert_int_equal(core_ctx_new(&other, &core, "other", 2), 0);
	assert_int_equal(lqos_subscribers_watch(other, count_call, &early), 0);
	assert_int_equal(lqos_subscribers_watch(module, stop_other, NULL), 0);
	assert_int_equal(lqos_subscribers_watch(other, count_call, &late), 0);
	load(THREE);
	assert_null(other);
	assert_int_equal(early, 1); /* before it was stopped */
	assert_int_equal(late, 0);  /* after it */
}

static void watcher_that_stops_itself(void **state)
{
	unsigned int mine = 0, calls = 0;

	(void)state;
	assert_int_equal(core_ctx_new(&other, &core, "other", 2), 0);
	assert_int_equal(lqos_subscribers_watch(module, stop_myself, &mine), 0);
	assert_int_equal(lqos_subscribers_watch(other, count_call, &calls), 0);
	load(THREE);
	load(HEADER);
	assert_int_equal(mine, 1);
	assert_int_equal(calls, 2);
	core_ctx_free(&other);
}

static void watcher_that_changes_something(void **state)
{
	unsigned int calls = 0;

	(void)state;
	rounds = 0;
	assert_int_equal(lqos_subscribers_watch(module, change_once, NULL), 0);
	assert_int_equal(lqos_subscribers_watch(module, count_call, &calls), 0);
	load(THREE);
	assert_int_equal(rounds, 2);
	assert_int_equal(calls, 2);
	assert_string_equal(owner("192.0.2.77"), "more");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(add_by_hand),
		TEST(add_says_why_not),
		TEST(refused_by_the_kernel),
		TEST(by_hand_over_a_file),
		TEST(file_adopts_a_circuit_made_by_hand),
		TEST(delete_and_clear),
		TEST(placing),
		TEST(by_hand_without_a_place),
		TEST(one_circuit_one_cpu),
		TEST(placing_is_refused),
		TEST(walking),
		TEST(watching),
		TEST(watching_the_tree),
		TEST(watchers_that_stop_others),
		TEST(watcher_that_stops_itself),
		TEST(watcher_that_changes_something),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
