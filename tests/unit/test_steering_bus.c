/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What steering answers on the bus, and what it refuses. */
#include "tests/unit/steering_fixture.h"

static void classes_by_hand(void **state)
{
	char params[128], class[16];
	uint32_t zz;

	(void)state;
	load(THREE);
	turn();
	zz = handle_of("zz");
	snprintf(class, sizeof(class), "%x:%x", zz >> 16, zz & 0xffff);
	snprintf(params, sizeof(params),
		 "{\"ip\":\"192.0.2.1\",\"classid\":\"%s\",\"cpu\":4}", class);
	refused(params, "is the class of zz");
	snprintf(params, sizeof(params),
		 "{\"ip\":\"192.0.2.1\",\"classid\":\"%x:3\",\"cpu\":4}",
		 plan_node_handle(st->plan, 1) >> 16);
	refused(params, "is the class of Site");
	refused("{\"ip\":\"192.0.2.1\",\"classid\":\"3:9\",\"cpu\":4}",
		"from 1 to 2");
	/* Free in the files, though not in the plan yet. */
	load(HEADER "aa,Ann,D2,Site,100.64.0.3,,20,5\n");
	snprintf(params, sizeof(params),
		 "{\"ip\":\"192.0.2.1\",\"classid\":\"%s\",\"cpu\":4}", class);
	accepted(params);
	/* The next circuit gets another. */
	load(THREE);
	turn();
	assert_int_not_equal(handle_of("zz"), zz);
	/* Back when the mapping is gone. */
	call("del", "{\"ip\":\"192.0.2.1\"}");
	turn();
	load(HEADER);
	load(THREE);
	turn();
	assert_int_equal(handle_of("zz"), zz);
}

/* They are mapped before the module starts. */
static void classes_of_the_run_before(void **state)
{
	struct lqos_mapping m = {.ip = "192.0.2.1"};

	(void)state;
	load(THREE);
	turn();
	m.handle = handle_of("zz");
	m.cpu = cpu_of("zz");
	load(HEADER);
	turn();
	assert_int_equal(lqos_mapping_add(module, &m, NULL, 0), 0);
	plan_free(&st->plan);
	assert_int_equal(steering_place(st), 0);
	load(THREE);
	turn();
	assert_int_not_equal(handle_of("zz"), m.handle);
	call("del", "{\"ip\":\"192.0.2.1\"}");
	turn();
	load(HEADER);
	load(THREE);
	turn();
	assert_int_equal(handle_of("zz"), m.handle);
}

static void a_queue_of_the_run_before(void **state)
{
	const struct lqos_mapping m = {
		.ip = "192.0.2.0/24", .handle = 0x30009, .cpu = 4};

	(void)state;
	assert_int_equal(lqos_mapping_add(module, &m, NULL, 0), 0);
	turn();
	plan_free(&st->plan);
	log_capture();
	assert_int_equal(steering_place(st), 0);
	assert_true(log_has("192.0.2.0/24, which was mapped by hand before "
			    "this start, is not shaped: its class is 3:9, and "
			    "there are 2 queues now"));
	assert_int_equal(captured.lines, 1);
}

/* Many in one go are placed in one, and nobody waits for long. */
static void it_rests(void **state)
{
	struct timespec now;

	(void)state;
	turn();
	clock_gettime(CLOCK_MONOTONIC, &now);
	st->rest_until = (int64_t)(now.tv_sec + 60) * 1000;
	accepted("{\"ip\":\"192.0.2.1\"}");
	event_base_loop(core_loop_base(core.loop),
			EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_true(st->changed);
	assert_int_equal(handle_of("192.0.2.1"), 0);
	call("list", "{}");
	assert_false(st->changed);
	assert_int_not_equal(handle_of("192.0.2.1"), 0);
}

static void places_that_cannot_be(void **state)
{
	static const char *const classes[] = {
		"",
		"1",
		"1:",
		":1",
		"0:1",
		"1:0",
		"0:0",
		"1:10000",
		"10000:1",
		"1:-1",
		"-1:1",
		"+1:1",
		"1: 1",
		" 1:1",
		"1:1 ",
		"1:1:1",
		"1:g",
		"root",
		"1:0x",
		"0x:1",
		"1:1/2",
		"1.1",
		"none",
		"1:000000",
		"1:ffffffffffffffff1",
		"-ffffffffffffffff:1",
		"1:-fffffffffffffffd",
		"ffffffffffffffffffff:1",
	};
	static const char *const cpus_[] = {
		"0", "6", "-1", "4294967300", "4.5", "\"4\"", "null", "[4]"};
	char params[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		snprintf(params, sizeof(params),
			 "{\"ip\":\"192.0.2.1\",\"classid\":\"%s\",\"cpu\":4}",
			 classes[i]);
		refused(params,
			"\\\": expected major:minor in hex, each from 1 "
			"to ffff, such as 0x1:0x1f");
	}
	for (i = 0; i < sizeof(cpus_) / sizeof(*cpus_); i++) {
		snprintf(params, sizeof(params),
			 "{\"ip\":\"192.0.2.1\",\"classid\":\"1:99\","
			 "\"cpu\":%s}",
			 cpus_[i]);
		refused(params, "cpu: expected the number of a CPU that is "
				"online and not excluded");
	}
	refused("{\"ip\":\"192.0.2.1\",\"cpu\":4}", "major:minor in hex");
	refused("{\"ip\":\"192.0.2.1\",\"classid\":\"1:99\"}", "cpu: expected");
	/* The tree's own. */
	refused("{\"ip\":\"192.0.2.1\",\"classid\":\"1:1\",\"cpu\":4}",
		"classid \\\"1:1\\\": minor 1 is the root class");
	refused("{\"ip\":\"192.0.2.1\",\"classid\":\"1:2\",\"cpu\":4}",
		"and 2 its default class: expected one from 3 to ffff");
	/* First things first. */
	refused("{\"ip\":\"garbage\",\"classid\":\"1:2\",\"cpu\":99}",
		"\\\"garbage\\\" is no address");
	/* Queues that there are not. */
	refused("{\"ip\":\"192.0.2.1\",\"classid\":\"ffff:9\",\"cpu\":4}",
		"expected a major, which is the queue, from 1 to 2: "
		"\\\"ffff:9\\\" lies beyond");
	assert_int_equal(core_registry_prefixes(core.registry), 0);
	/* The last there is, and as LibreQoS writes it. */
	accepted("{\"ip\":\"192.0.2.1\",\"classid\":\"0x2:0xFFFF\",\"cpu\":5}");
	assert_int_equal(handle_of("192.0.2.1"), 0x2ffff);
	accepted("{\"ip\":\"192.0.2.2\",\"classid\":\"0001:00099\",\"cpu\":4}");
	assert_int_equal(handle_of("192.0.2.2"), 0x10099);
	turn();
}

static void one_circuit_one_cpu(void **state)
{
	char params[128];

	(void)state;
	load(THREE);
	turn();
	snprintf(params, sizeof(params),
		 "{\"ip\":\"192.0.2.1\",\"circuit_id\":\"zz\","
		 "\"classid\":\"1:99\",\"cpu\":%u}",
		 9 - cpu_of("zz"));
	refused(params, "circuit \\\"zz\\\" is on CPU");
	snprintf(params, sizeof(params),
		 "{\"ip\":\"192.0.2.1\",\"circuit_id\":\"zz\","
		 "\"classid\":\"1:99\",\"cpu\":%u}",
		 cpu_of("zz"));
	accepted(params);
	assert_int_equal(mapped("192.0.2.1")->handle, 0x10099);
	/* One that has nothing else goes where it is sent. */
	accepted("{\"ip\":\"192.0.2.9\",\"classid\":\"1:98\",\"cpu\":4}");
	accepted("{\"ip\":\"192.0.2.9\",\"classid\":\"2:98\",\"cpu\":5}");
	assert_int_equal(cpu_of("192.0.2.9"), 5);
	turn();
	assert_int_equal(handle_of("192.0.2.9"), 0x20098);
	check();
}

static void types(void **state)
{
	(void)state;
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":17,\"device_id\":-8}");
	assert_int_equal(slot_of("17"), 1);
	assert_string_equal(mapped("192.0.2.1")->device_id, "-8");
	refused("{\"ip\":\"192.0.2.1\",\"circuit_id\":1.5}",
		"circuit_id: expected a string or an integer");
	refused("{\"ip\":\"192.0.2.1\",\"device_id\":[]}",
		"device_id: expected a string or an integer");
	refused("{\"ip\":17}", "ip: expected");
	refused("{\"ip\":\"192.0.2.1\",\"classid\":17,\"cpu\":4}",
		"expected major:minor");
	turn();
}

static void planned(const char *what)
{
	if (!strstr(call("plan", "{}"), what))
		fail_msg("%s", reply_text);
}

/* What a reload would do; nothing is done. */
static void changes(void **state)
{
	unsigned int sets;

	(void)state;
	load(THREE);
	turn();
	sets = kernel.sets;
	planned("\"result\":{\"add\":0,\"remove\":0,\"change\":0,\"drift\":0,"
		"\"not_shown\":0,\"changes\":[],\"problems\":0,\"messages\":"
		"[]}");
	write_file(csv_path, HEADER
		   "zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.2\",2001:db8:1::/56,80,"
		   "10\n"
		   "mm,Max,,Site,100.64.0.4,,30,5\n"
		   "nn,Nic,,,100.64.0.9,,20,2.5\n");
	planned("\"add\":1,\"remove\":1,\"change\":4,\"drift\":0");
	planned("{\"change\":\"add\",\"ip\":\"100.64.0.9/32\","
		"\"circuit_id\":\"nn\",\"class\":\"\",\"cpu\":null,"
		"\"details\":\"under (root), download 20 Mbit/s, upload 2.5 "
		"Mbit/s\"}");
	planned("{\"change\":\"remove\",\"ip\":\"100.64.0.3/32\","
		"\"circuit_id\":\"aa\",\"class\":\"1:6\",\"cpu\":4,"
		"\"details\":\"\"}");
	planned("\"ip\":\"100.64.0.1/32\",\"circuit_id\":\"zz\","
		"\"class\":\"1:5\",\"cpu\":4,\"details\":\"download 50 to 80 "
		"Mbit/s\"}");
	planned("\"details\":\"node (root) to Site\"");
	assert_non_null(strstr(call("plan", "{\"limit\":1}"),
			       "\"not_shown\":5,\"changes\":[{"));
	assert_null(strstr(reply_text, "},{"));
	assert_non_null(strstr(call("plan", "{\"limit\":-1}"),
			       "limit: expected a number from 0 to 1000000"));
	assert_int_equal(kernel.sets, sets);
	/* The kernel has what it was not told. */
	kernel.entries[0].handle = 0x20017;
	planned("\"drift\":1");
	planned("\"change\":\"drift\"");
	planned("in class 2:17 on CPU 4, the daemon has circuit ");
	/* Files that a reload would refuse. */
	write_file(json_path, "{");
	planned("a reload would be refused, and change nothing: /tmp/");
	planned("/x.json:1:1: ");
	/* Rows that it would leave out, and circuits without an address. */
	write_file(json_path, TREE);
	write_file(csv_path, THREE "nn,,,,100.64.0.3,,5,5\noo,,,,x,,5,5\n");
	planned("{\"change\":\"add\",\"ip\":\"\",\"circuit_id\":\"nn\"");
	planned("\"details\":\"has no address of its own, under (root), ");
	planned("\"problems\":2,\"messages\":[\"");
	planned("x.csv:6:7: row left out: IPv4: ");
	planned("x.csv:5:7: address 100.64.0.3 of circuit ");
}

static void explained(void **state)
{
	(void)state;
	load(THREE);
	says("100.64.0.2", "\"circuit_id\":\"zz\",\"name\":\"Zoe\","
			   "\"device_id\":\"D1\",\"by_hand\":false");
	says("100.64.0.2", "\"path\":[\"Site\",\"AP\"]");
	says("100.64.0.2",
	     "\"why\":[\"100.64.0.2/32 is the longest prefix that "
	     "holds it: it is of circuit zz, and comes from the "
	     "files\",\"circuit zz hangs under top-level node "
	     "Site: all of that is on queue 1\",\"queue 1 was "
	     "chosen for Site as the one that had sold least: "
	     "0.0 Mbit/s then, 9.0 Mbit/s now\"");
	says("2001:db8:1:ff::7", "\"prefix\":\"2001:db8:1::/56\"");
	says("100.64.0.4",
	     "circuit mm hangs at the root\",\"queue 2 was chosen "
	     "for mm");
	/* There is no kernel in this test. */
	says("100.64.0.4", "the kernel says otherwise: it knows no prefix");
	says("192.0.2.1", "no prefix of a subscriber holds it");
	says("192.0.2.1", "\"kernel\":null");
	accepted("{\"ip\":\"192.0.2.0/24\",\"circuit_id\":\"jo\","
		 "\"classid\":\"2:99\",\"cpu\":5}");
	says("192.0.2.1", "\"by_hand\":true,\"cpu\":5,\"class\":\"2:99\"");
	says("192.0.2.1", "class 2:99 was given to this prefix by hand\","
			  "\"circuit jo was put on CPU 5 by hand");
	/* The longest counts. */
	accepted("{\"ip\":\"192.0.2.1\",\"circuit_id\":\"al\"}");
	says("192.0.2.1", "\"circuit_id\":\"al\"");
	says("192.0.2.2", "\"circuit_id\":\"jo\"");
	says("192.0.2.0/24", "is a range: expected one address of it");
	says("2001:db8::%", "expected the id of a VLAN");
	says("nonsense", "\\\"nonsense\\\" is no address");
	assert_non_null(strstr(call("explain", "{}"), "expected an address"));
	assert_non_null(strstr(call("flush", "{}"), "\"result\":null"));
}

static const char *unused[POSSIBLE];

/* Linked with --wrap. */
const char *__wrap_lqos_cpu_unused(struct lqos_ctx *ctx, uint32_t cpu);
const char *__wrap_lqos_cpu_unused(struct lqos_ctx *ctx, uint32_t cpu)
{
	(void)ctx;
	return unused[cpu];
}

static bool detached;

bool __wrap_lqos_interface_attached(struct lqos_ctx *ctx, uint32_t i);
bool __wrap_lqos_interface_attached(struct lqos_ctx *ctx, uint32_t i)
{
	(void)ctx;
	(void)i;
	return !detached;
}

uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx);
uint32_t __wrap_lqos_interfaces(struct lqos_ctx *ctx)
{
	(void)ctx;
	return 1;
}

const struct lqos_interface *__wrap_lqos_interface(struct lqos_ctx *ctx,
						   uint32_t i);
const struct lqos_interface *__wrap_lqos_interface(struct lqos_ctx *ctx,
						   uint32_t i)
{
	static const struct lqos_interface stick = {.name = "eth0"};

	(void)ctx;
	(void)i;
	return &stick;
}

static void queues_explained(void **state)
{
	static const char excluded[] = "excluded by exclude_cpus";

	(void)state;
	unused[0] = unused[2] = unused[3] = excluded;
	unused[6] = "offline";
	st->why_queues = strdup("there are 2 queues: because");
	load(THREE);
	says("100.64.0.2",
	     "\"queue 1 belongs to CPU 4, as queues take CPUs in order: CPU "
	     "4-5 are used; CPU 0, 2-3 are excluded by exclude_cpus; CPU 6 is "
	     "offline\",\"there are 2 queues: because\"");
	says("192.0.2.1", "as queues take CPUs in order");
	says("192.0.2.1", "there are 2 queues: because");
	memset(unused, 0, sizeof(unused));
	assert_null(strstr(call("explain", "{\"ip\":\"192.0.2.1\"}"),
			   "carries none"));
	detached = true;
	says("192.0.2.1", "eth0 carries none of our programs now");
	detached = false;
}

static void class_of_another_cpu(void **state)
{
	(void)state;
	log_capture();
	accepted("{\"ip\":\"192.0.2.1\",\"classid\":\"2:60\",\"cpu\":5}");
	assert_string_equal(captured.text, "");
	accepted("{\"ip\":\"192.0.2.2\",\"classid\":\"2:61\",\"cpu\":4}");
	assert_true(log_has("192.0.2.2 is in class 2:61, but on CPU 4, as "
			    "asked for: queue 2 is CPU 5's"));
	says("192.0.2.2", "its packets go to CPU 4, but queue 2 belongs to CPU "
			  "5");
	turn();
}

static void long_names(void **state)
{
	char name[461], csv[1600];

	(void)state;
	for (size_t i = 0; i < sizeof(name) - 1; i += 2)
		memcpy(name + i, "\xc3\xa9", 3);
	snprintf(csv, sizeof(csv), HEADER "%s,,,,100.64.0.4,,40,6\n", name);
	load(THREE);
	turn();
	write_file(csv_path, csv);
	snprintf(csv, sizeof(csv),
		 "\"details\":\"circuit mm to %s, download 30 to 40 Mbit/s, "
		 "upload 5 to 6 Mbit/s\"",
		 name);
	planned(csv);
	snprintf(csv, sizeof(csv), HEADER "%s,,,,100.64.0.4,,30,5\n", name);
	load(csv);
	says("100.64.0.4", ", and comes from the files\",\"circuit ");
	says("100.64.0.4", " hangs at the root\",\"queue ");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(classes_by_hand),
		TEST(classes_of_the_run_before),
		TEST(a_queue_of_the_run_before),
		TEST(it_rests),
		TEST(places_that_cannot_be),
		TEST(one_circuit_one_cpu),
		TEST(types),
		TEST(changes),
		TEST(explained),
		TEST(queues_explained),
		TEST(class_of_another_cpu),
		TEST(long_names),
	};

	return cmocka_run_group_tests_name("steering_bus", tests, make_dir,
					   remove_dir);
}
