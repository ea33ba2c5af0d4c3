/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who gets which class, and on which CPU. */
#include "tests/unit/steering_fixture.h"

static void name_all(const char *letter, char *csv, size_t size)
{
	size_t n = (size_t)snprintf(csv, size, HEADER);
	int i;

	for (i = 0; i < MANY; i++)
		n += (size_t)snprintf(csv + n, size - n,
				      "%s%d,,,,100.64.0.%d,,5,5\n", letter, i,
				      i + 1);
}

static void every_slot_is_reused(void **state)
{
	char csv[2048];
	uint32_t slot;

	(void)state;
	name_all("a", csv, sizeof(csv));
	load(csv);
	turn();
	name_all("b", csv, sizeof(csv));
	load(csv);
	turn();
	for (slot = 1; slot <= MANY; slot++) {
		const struct lqos_subscriber *s = lqos_subscriber(module, slot);

		assert_int_equal(s->circuit_id[0], 'b');
		assert_int_not_equal(s->handle, 0);
		assert_int_equal(s->cpu, cpus[plan_queue(s->handle)]);
	}
	check();
}

static void others_stay(void **state)
{
	uint32_t zz;

	(void)state;
	load(THREE);
	turn();
	zz = handle_of("zz");
	assert_int_not_equal(zz, 0);
	load(HEADER "zz,Zoe,D1,AP,100.64.0.1,,50,10\n"
		    "nn,Nic,,,100.64.0.9,,20,5\n");
	turn();
	assert_int_equal(handle_of("zz"), zz);
	assert_int_not_equal(handle_of("nn"), 0);
}

static void no_room_is_tried_again(void **state)
{
	uint32_t minor, queue;

	(void)state;
	for (queue = 1; queue <= 2; queue++)
		for (minor = PLAN_MINOR_FIRST; minor <= PLAN_MINOR_MAX; minor++)
			plan_reserve(st->plan, queue << 16 | minor);
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":\"late\"}");
	turn();
	assert_int_equal(st->unplaced, 1);
	assert_int_equal(handle_of("late"), 0);
	assert_true(log_has("1 circuits, among them late, get no class"));
	plan_unreserve(st->plan);
	accepted("{\"ip\":\"192.0.2.2\",\"circuit_id\":\"other\"}");
	turn();
	assert_int_equal(st->unplaced, 0);
	assert_int_not_equal(handle_of("late"), 0);
}

static void a_burst_is_one_walk(void **state)
{
	char params[64];
	int i;

	(void)state;
	for (i = 1; i <= 8; i++) {
		snprintf(params, sizeof(params), "{\"ip\":\"192.0.2.%d\"}", i);
		accepted(params);
		assert_true(st->changed);
	}
	assert_int_equal(handle_of("192.0.2.8"), 0);
	turn();
	assert_false(st->changed);
	for (i = 1; i <= 8; i++) {
		snprintf(params, sizeof(params), "192.0.2.%d", i);
		assert_int_not_equal(handle_of(params), 0);
	}
	/* Whoever asks before that sees them placed too. */
	accepted("{\"ip\":\"192.0.2.9\"}");
	call("list", "{}");
	assert_int_not_equal(handle_of("192.0.2.9"), 0);
	turn();
}

static void rates_reach_the_plan(void **state)
{
	(void)state;
	load(HEADER "a,,,,100.64.0.1,,50,10\nb,,,,100.64.0.2,,40,10\n");
	turn();
	load(HEADER "a,,,,100.64.0.1,,10,10\nb,,,,100.64.0.2,,40,10\n");
	turn();
	assert_int_equal(plan_load(st->plan, plan_queue(handle_of("a"))),
			 10000000);
	assert_int_equal(plan_load(st->plan, plan_queue(handle_of("b"))),
			 40000000);
}

static void by_hand_outlives_a_new_tree(void **state)
{
	(void)state;
	load(THREE);
	turn();
	/* What mm would get in the new tree, and then aa. */
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":\"jo\","
		 "\"classid\":\"2:4\",\"cpu\":5}");
	accepted("{\"ip\":\"192.0.2.2\",\"circuit_id\":\"al\","
		 "\"classid\":\"1:9\",\"cpu\":5}");
	/* Of a planned circuit, a part. */
	assert_int_equal(cpu_of("mm"), 5);
	accepted("{\"ip\":\"192.0.2.3\",\"circuit_id\":\"mm\","
		 "\"classid\":\"2:5\",\"cpu\":5}");
	turn();
	change_tree();
	assert_int_equal(handle_of("jo"), 2 << 16 | 4);
	assert_int_equal(cpu_of("jo"), 5);
	assert_int_equal(handle_of("al"), 1 << 16 | 9);
	assert_int_equal(cpu_of("al"), 5);
	assert_false(plan_has(st->plan, 2 << 16 | 4));
	assert_int_not_equal(handle_of("zz"), 0);
	assert_int_equal(handle_of("mm"), 2 << 16 | 6);
	assert_int_equal(handle_of("aa"), 2 << 16 | 7);
	check();
}

/* The list of CPUs that are online, as digits. */
static void look(const char *digits)
{
	for (n_online = 0; digits[n_online]; n_online++)
		online[n_online] = (uint32_t)(digits[n_online] - '0');
	log_capture();
	steering_look_at_cpus(st);
	turn();
}

static void cpus_come_and_go(void **state)
{
	uint32_t zz, mm;

	(void)state;
	load(THREE);
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":\"jo\","
		 "\"classid\":\"2:99\",\"cpu\":4}");
	turn();
	look("45");
	assert_false(st->changed);
	assert_int_equal(spread[0], 4);
	assert_int_equal(spread[1], 5);
	zz = handle_of("zz");
	mm = handle_of("mm");
	assert_int_equal(cpu_of("zz"), 4);
	assert_int_equal(cpu_of("mm"), 5);

	look("5");
	assert_true(log_has("queue 1 is on CPU 5 now: CPU 4 is offline"));
	assert_int_equal(spread[0], 5);
	assert_int_equal(cpu_of("zz"), 5);
	assert_int_equal(cpu_of("aa"), 5);
	assert_int_equal(cpu_of("jo"), 5);
	assert_int_equal(mapped("192.0.2.1")->cpu, 5);
	assert_int_equal(mapped("100.64.0.1")->cpu, 5);
	/* Classes stay. */
	assert_int_equal(handle_of("zz"), zz);
	assert_int_equal(handle_of("mm"), mm);
	assert_int_equal(handle_of("jo"), 0x20099);
	says("100.64.0.1", "CPU 4, which queue 1 belongs to, is offline: CPU 5 "
			   "does its work");
	refused("{\"ip\":\"192.0.2.2\",\"classid\":\"1:9\",\"cpu\":4}",
		"cpu: expected the number of a CPU that is online");
	/* Who comes now goes there too. */
	accepted("{\"ip\":\"192.0.2.2\",\"circuit_id\":\"al\"}");
	turn();
	assert_int_equal(cpu_of("al"), 5);
	check();

	/* One more has nothing to do yet, but CPU 4 has its stand-in. */
	look("35");
	assert_int_equal(cpu_of("zz"), 5);
	look("3");
	assert_int_equal(cpu_of("zz"), 3);
	assert_int_equal(cpu_of("mm"), 3);
	/* Nobody is left: what there is stays. */
	look("");
	assert_int_equal(cpu_of("zz"), 3);

	look("345");
	assert_true(log_has("queue 1 is on CPU 4 now: CPU 4 is back"));
	assert_int_equal(spread[0], 4);
	assert_int_equal(cpu_of("zz"), 4);
	assert_int_equal(cpu_of("mm"), 5);
	assert_int_equal(cpu_of("jo"), 4);
	assert_int_equal(handle_of("zz"), zz);
	assert_int_equal(handle_of("jo"), 0x20099);
	check();

	/* Where somebody is put anew while away he stays. */
	look("5");
	call("del", "{\"ip\":\"192.0.2.1\"}");
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":\"jo\","
		 "\"classid\":\"2:99\",\"cpu\":5}");
	look("45");
	assert_int_equal(cpu_of("zz"), 4);
	assert_int_equal(cpu_of("jo"), 5);
}

/* The stand-in is the one that has sold least. */
static void stand_ins_share(void **state)
{
	uint32_t i;

	(void)state;
	free(st->homes);
	st->homes = malloc(4 * sizeof(*st->homes));
	for (i = 0; i < 4; i++)
		st->homes[i] = i;
	st->queues = st->n_cpus = 4;
	st->tree = 1; /* another plan */
	load(HEADER "a,,,,100.64.0.1,,50,10\nb,,,,100.64.0.2,,40,10\n"
		    "c,,,,100.64.0.3,,30,10\nd,,,,100.64.0.4,,20,10\n");
	look("0123");
	for (i = 0; i < 4; i++)
		assert_int_equal(spread[i], i);
	look("01");
	/* d is on CPU 0, a on 1: so 2's go to 0, and 3's then to 1. */
	assert_int_equal(spread[2], 0);
	assert_int_equal(spread[3], 1);
	look("013");
	assert_int_equal(spread[2], 0);
	assert_int_equal(spread[3], 3);
	look("0123");
	assert_int_equal(spread[2], 2);
}

/* As if lqosd was killed and started again. */
static void start_again(const char *csv)
{
	uint32_t slot;

	for (slot = 1; slot <= MANY; slot++) {
		before[slot] = st->given[slot].handle;
		if (lqos_subscriber(module, slot))
			lqos_place(module, slot, UINT32_MAX, 0);
		st->given[slot] = (struct given){};
	}
	plan_free(&st->plan);
	st->running = false;
	load(csv);
	log_capture();
	assert_int_equal(steering_place(st), 0);
}

#define OTHER_RATES                                                     \
	HEADER                                                          \
	"zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.2\",2001:db8:1::/56,1,10\n" \
	"aa,Ann,D2,Site,100.64.0.3,,200,5\n"                            \
	"mm,Max,,,100.64.0.4,,3,5\n"                                    \
	"nn,Nic,,,100.64.0.5,,900,5\n"

static void kept(void **state)
{
	static const char *const circuits[] = {"zz", "aa", "mm"};
	uint32_t handles[3], site, ap;
	uint64_t tree;

	(void)state;
	memset(before, 0, sizeof(before));
	memset(saved, 0, sizeof(saved));
	load(THREE);
	turn();
	assert_int_equal(saved[0], 0);
	steering_runs(st);
	tree = saved[0];
	assert_int_not_equal(tree, 0);
	site = plan_node_handle(st->plan, 1);
	ap = plan_node_handle(st->plan, 2);
	assert_int_equal(saved[1], site);
	assert_int_equal(saved[2], ap);
	for (int i = 0; i < 3; i++)
		handles[i] = handle_of(circuits[i]);

	start_again(OTHER_RATES);
	assert_true(log_has("2 nodes and 3 circuits keep the classes"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(handle_of(circuits[i]), handles[i]);
	assert_int_equal(plan_node_handle(st->plan, 1), site);
	assert_int_equal(plan_node_handle(st->plan, 2), ap);
	assert_int_not_equal(handle_of("nn"), 0);
	says("100.64.0.4", "queue 2 was kept for mm as it was before");
	check();

	/* Without what was saved, it is another plan. */
	saved[0] = 0;
	start_again(OTHER_RATES);
	assert_false(log_has("keep the classes"));
	assert_int_equal(handle_of("mm") >> 16, 1);
}

/* Another network or other queues: a plan from scratch. */
static void not_kept(void **state)
{
	(void)state;
	memset(before, 0, sizeof(before));
	memset(saved, 0, sizeof(saved));
	load(THREE);
	turn();
	steering_runs(st);
	st->queues = 1;
	start_again(THREE);
	assert_false(log_has("keep the classes"));
	assert_int_equal(handle_of("mm") >> 16, 1);
	/* And the next one knows that. */
	steering_runs(st);
	start_again(THREE);
	assert_true(log_has("2 nodes and 3 circuits keep the classes"));
	steering_runs(st);
	change_tree();
	start_again(THREE);
	assert_false(log_has("keep the classes"));
}

/* What was saved makes no sense: those that do are kept, all have a class. */
static void spoiled(void **state)
{
	(void)state;
	memset(before, 0, sizeof(before));
	memset(saved, 0, sizeof(saved));
	load(THREE);
	turn();
	steering_runs(st);
	saved[1] = 0x90003;
	saved[2] = ~0ULL;
	start_again(THREE);
	assert_true(log_has("0 nodes and 1 circuits keep the classes"));
	assert_int_not_equal(handle_of("zz"), 0);
	assert_int_not_equal(handle_of("aa"), 0);
	assert_int_not_equal(plan_node_handle(st->plan, 1), 0);
	assert_int_equal(handle_of("zz") >> 16,
			 plan_node_handle(st->plan, 1) >> 16);
	check();
}

static struct lqos_interface interfaces[2];
static uint32_t n_interfaces;

/* Linked with --wrap. */
uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx);
uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx)
{
	(void)ctx;
	return n_interfaces;
}

const struct lqos_interface *__wrap_lqos_interface(struct lqos_ctx *ctx,
						   uint32_t i);
const struct lqos_interface *__wrap_lqos_interface(struct lqos_ctx *ctx,
						   uint32_t i)
{
	(void)ctx;
	assert_true(i < n_interfaces);
	return &interfaces[i];
}

uint32_t __wrap_lqos_possible_cpus(struct lqos_ctx *ctx);
uint32_t __wrap_lqos_possible_cpus(struct lqos_ctx *ctx)
{
	(void)ctx;
	return POSSIBLE;
}

static bool can_have_more = true;

const char *__wrap_lqos_interface_more_queues(struct lqos_ctx *ctx, uint32_t i,
					      uint32_t n, char *buf,
					      size_t size);
const char *__wrap_lqos_interface_more_queues(struct lqos_ctx *ctx, uint32_t i,
					      uint32_t n, char *buf,
					      size_t size)
{
	(void)ctx;
	snprintf(buf, size, "ethtool -L %s combined %u", interfaces[i].name, n);
	return can_have_more ? buf : NULL;
}

/* Interfaces with so many transmit queues, one of them 0: a stick; 4 CPUs. */
static int make_queues(uint32_t a, uint32_t b, uint32_t wanted)
{
	const struct steering_config config = {.queues = wanted};
	int rc;

	n_interfaces = b ? 2 : 1;
	interfaces[0] = (struct lqos_interface){
		.name = "eth0",
		.tx_queues = a,
		.side = b ? LQOS_TO_INTERNET : LQOS_STICK,
	};
	interfaces[1] = (struct lqos_interface){
		.name = "eth1",
		.tx_queues = b,
		.side = LQOS_TO_SUBSCRIBERS,
	};
	for (n_online = 0; n_online < 4; n_online++)
		online[n_online] = n_online + 1;
	log_capture();
	free(st->homes);
	free(st->stand_ins);
	st->homes = st->stand_ins = NULL;
	st->stick = false;
	free(st->why_queues);
	st->why_queues = NULL;
	st->skel = steering_bpf__open();
	assert_non_null(st->skel);
	rc = steering_make_queues(st, &config);
	if (!rc) {
		assert_int_equal(st->skel->rodata->st_n_cpus, st->queues);
		assert_int_equal(st->skel->rodata->st_up_offset,
				 steering_up_offset(st));
	}
	steering_bpf__destroy(st->skel);
	st->skel = NULL;
	return rc ?: (int)(st->queues * 10 + steering_up_offset(st));
}

/* Tens: queues; ones: how much further uploads are. */
static void numbers_of_queues(void **state)
{
	(void)state;
	assert_int_equal(make_queues(8, 8, 0), 40);
	assert_string_equal(captured.text, "");
	assert_int_equal(make_queues(3, 8, 0), 30);
	assert_true(log_has("eth0 has 3 transmit queues for 4 CPUs: `ethtool "
			    "-L eth0 combined 4`"));
	can_have_more = false;
	assert_int_equal(make_queues(1, 1, 0), 10);
	assert_string_equal(captured.text, "");
	assert_string_equal(st->why_queues,
			    "there is 1 queue: the least of 4 CPUs, 1 transmit "
			    "queue of eth0 and 1 transmit queue of eth1");
	assert_int_equal(make_queues(1, 0, 0), -EINVAL);
	assert_true(log_has("1 transmit queues and cannot have more"));
	can_have_more = true;
	assert_int_equal(make_queues(8, 8, 2), 20);
	assert_int_equal(make_queues(8, 8, 5), -EINVAL);
	assert_true(log_has("queues = 5, but interfaces and CPUs are good for "
			    "4"));
	assert_int_equal(make_queues(8, 0, 0), 44);
	assert_string_equal(captured.text, "");
	assert_int_equal(make_queues(7, 0, 0), 33);
	assert_true(log_has("combined 8"));
	assert_int_equal(make_queues(2, 0, 0), 11);
	assert_int_equal(make_queues(16, 0, 3), 33);
	assert_string_equal(st->why_queues,
			    "there are 3 queues, as queues = 3 in [steering] "
			    "says; without that it were 4: the least of 4 CPUs "
			    "and 8 transmit queues of eth0 for each direction, "
			    "half of those that it has");
	assert_int_equal(make_queues(1, 0, 0), -EINVAL);
	assert_true(log_has("eth0 has 1 transmit queues, but each direction "
			    "needs one of its own: `ethtool -L eth0 combined "
			    "8`"));
}

static void titles_fit(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ST_COUNTERS; i++)
		if (counters[i].name)
			assert_true(strlen(counters[i].title) <= 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_slot_is_reused),
		TEST(others_stay),
		TEST(no_room_is_tried_again),
		TEST(a_burst_is_one_walk),
		TEST(rates_reach_the_plan),
		TEST(by_hand_outlives_a_new_tree),
		TEST(cpus_come_and_go),
		TEST(stand_ins_share),
		TEST(kept),
		TEST(not_kept),
		TEST(spoiled),
		TEST(numbers_of_queues),
		TEST(titles_fit),
	};

	return cmocka_run_group_tests_name("steering", tests, make_dir,
					   remove_dir);
}
