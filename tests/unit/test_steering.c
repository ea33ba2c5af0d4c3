/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who gets which class, with the registry, bus and loop as they are. */
#include <event2/event.h>
#include <jansson.h>

#include "modules/steering/steering.c"
#include "tests/unit/registry_fixture.h"

enum { MANY = 16, POSSIBLE = 8 };

static const uint32_t cpus[] = {4, 5};
static uint32_t online[POSSIBLE], n_online, spread[POSSIBLE];
static uint64_t saved[ST_TREE];
static uint32_t before[MANY + 1]; /* by slot: its class in the run before */
static struct steering *st;
static char reply_text[4096];

/* Linked with --wrap=lqos_cpus. */
uint32_t __wrap_lqos_cpus(struct lqos_ctx *ctx, const uint32_t **list);
uint32_t __wrap_lqos_cpus(struct lqos_ctx *ctx, const uint32_t **list)
{
	(void)ctx;
	*list = online;
	return n_online;
}

/* Linked with --wrap=lqos_placed_before. */
int __wrap_lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot,
			      uint32_t *cpu, uint32_t *handle);
int __wrap_lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot,
			      uint32_t *cpu, uint32_t *handle)
{
	(void)ctx;
	if (!before[slot])
		return -ENOENT;
	*cpu = 0;
	*handle = before[slot];
	return 0;
}

static int start_steering(uint32_t slots)
{
	int rc = make_registry(slots, 64);

	st = calloc(1, sizeof(*st));
	st->ctx = module;
	st->n_cpus = st->queues = 2;
	st->possible_cpus = POSSIBLE;
	st->homes = malloc(sizeof(cpus));
	memcpy(st->homes, cpus, sizeof(cpus));
	st->stand_ins = calloc(POSSIBLE, sizeof(*st->stand_ins));
	for (uint32_t i = 0; i < POSSIBLE; i++)
		st->stand_ins[i] = i;
	st->spread = spread;
	st->saved = saved;
	n_online = 2;
	memcpy(online, cpus, sizeof(cpus));
	st->given = calloc(slots + 1, sizeof(*st->given));
	return rc ?: steering_place(st)
		       ?: lqos_subscribers_watch(module, on_change, st)
			       ?: steering_add_commands(st);
}

static int set_up(void **state)
{
	char path[80];
	int rc = setup(state);

	snprintf(path, sizeof(path), "%s/bus", dir);
	core.settings.shaped_devices = csv_path;
	core.settings.network_json = json_path;
	return rc ?: core_loop_new(&core.loop, &core)
		       ?: core_bus_new(&core.bus, &core, path, "")
			       ?: core_files_new(&core.files, &core, true, true)
			       ?: start_steering(MANY);
}

static int tear_down(void **state)
{
	core_ctx_release(module);
	core_files_free(&core.files);
	core_bus_free(&core.bus);
	core_loop_free(&core.loop);
	destroy_plan(st);
	free(st);
	return teardown(state);
}

static void turn(void)
{
	event_base_loop(core_loop_base(core.loop),
			EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static const char *call(const char *method, const char *params)
{
	char line[512];
	json_t *reply;
	char *text;

	snprintf(line, sizeof(line),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"module.%s\","
		 "\"params\":%s}",
		 method, params);
	assert_int_equal(
		core_bus_handle(core.bus, NULL, 0, line, strlen(line), &reply),
		0);
	text = json_dumps(reply, JSON_COMPACT);
	snprintf(reply_text, sizeof(reply_text), "%s", text);
	free(text);
	json_decref(reply);
	return reply_text;
}

static void accepted(const char *params)
{
	if (strstr(call("add", params), "\"error\""))
		fail_msg("%s", reply_text);
}

static void refused(const char *params, const char *why)
{
	call("add", params);
	if (!strstr(reply_text, "\"error\"") || !strstr(reply_text, why))
		fail_msg("%s", reply_text);
}

static uint32_t handle_of(const char *circuit)
{
	return lqos_subscriber(module, slot_of(circuit))->handle;
}

static uint32_t cpu_of(const char *circuit)
{
	return lqos_subscriber(module, slot_of(circuit))->cpu;
}

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

static void change_tree(void)
{
	write_file(json_path, "{\"New\": {\"downloadBandwidthMbps\": 7, "
			      "\"uploadBandwidthMbps\": 7}, "
			      "\"Newer\": {\"downloadBandwidthMbps\": 7, "
			      "\"uploadBandwidthMbps\": 7}}");
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 0);
	assert_true(st->changed);
	turn();
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
		"classid: expected");
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
		"\"not_shown\":0,\"changes\":[]}");
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
	planned("a reload would be refused: the log of lqosd says where");
	assert_true(log_has(json_path));
}

static void says(const char *ip, const char *what)
{
	char params[64];

	snprintf(params, sizeof(params), "{\"ip\":\"%s\"}", ip);
	if (!strstr(call("explain", params), what))
		fail_msg("%s", reply_text);
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
		TEST(classes_by_hand),
		TEST(one_circuit_one_cpu),
		TEST(types),
		TEST(changes),
		TEST(explained),
		TEST(cpus_come_and_go),
		TEST(stand_ins_share),
		TEST(kept),
		TEST(not_kept),
		TEST(spoiled),
		TEST(titles_fit),
	};

	return cmocka_run_group_tests_name("steering", tests, make_dir,
					   remove_dir);
}
