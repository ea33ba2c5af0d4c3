/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frames of the lqtop module, built from a snapshot made here.  Links
 * modules/lqtop/lqtop.c, frame.c and core/snapshot.c; the rest of the core is
 * what stands below.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/core.h"

/* ---- A core of a few lines ----------------------------------------------- */

enum { SLOTS = 5000, COLUMNS = 4 };

static struct lqos_subscriber subscribers[SLOTS];
static const struct lqos_node nodes[] = {
	{.name = "root"},
	{.id = 1, .name = "Tower North"},
	{.id = 2, .name = "Tower South"},
};
static const struct lqos_interface interfaces[] = {
	{.name = "eth0", .side = LQOS_TO_INTERNET},
	{.name = "eth1", .side = LQOS_TO_SUBSCRIBERS},
};

/* Of a slot; of all: what arg points to. */
static uint64_t read_rtt(uint32_t slot, void *arg)
{
	if (arg)
		return *(uint64_t *)arg;
	return slot ? 1000000 * slot : LQOS_NO_VALUE;
}

static const struct lqos_column decls[COLUMNS] = {
	{.name = "rtt",
	 .title = "RTT",
	 .help = "round trip",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_NS,
	 .read = read_rtt},
	{.name = "down.bytes",
	 .title = "Down",
	 .help = "to the subscriber",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_BYTES},
	{.name = "up.bytes",
	 .title = "Up",
	 .help = "from the subscriber",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_BYTES},
	{.name = "ecn",
	 .title = "ECN",
	 .help = "marked packets",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_PACKETS,
	 .flags = LQOS_COLUMN_DETAIL},
};
static const struct core_column columns[COLUMNS] = {
	{.decl = &decls[0], .name = "a.rtt"},
	{.decl = &decls[1], .cell = 1, .name = "b.down.bytes"},
	{.decl = &decls[2], .cell = 2, .name = "b.up.bytes"},
	{.decl = &decls[3], .cell = 3, .name = "c.ecn"},
};
static const struct core_column *const column_list[COLUMNS] = {
	&columns[0], &columns[1], &columns[2], &columns[3]};

static struct core_row *rows[SLOTS];
static uint64_t base[COLUMNS];
static struct core_snapshot snapshot;
static bool no_snapshot;

static int metrics_stand_in;
static struct core core = {.metrics = (void *)&metrics_stand_in};
static struct lqos_ctx ctx = {.core = &core};

const struct core_snapshot *core_metrics_snapshot(struct core_metrics *metrics)
{
	(void)metrics;
	return no_snapshot ? NULL : &snapshot;
}

uint32_t lqos_subscriber_slots(struct lqos_ctx *c)
{
	(void)c;
	return SLOTS;
}

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *c, uint32_t slot)
{
	(void)c;
	return subscribers[slot].slot ? &subscribers[slot] : NULL;
}

const struct lqos_node *lqos_node(struct lqos_ctx *c, uint32_t id)
{
	(void)c;
	return &nodes[id];
}

const struct lqos_interface *lqos_interface(struct lqos_ctx *c, uint32_t i)
{
	(void)c;
	return &interfaces[i];
}

static const struct lqos_topic *topic;
static const struct lqos_command *command;
static void *module;
static void (*changed)(void *arg);

int lqos_topic_add(struct lqos_ctx *c, const struct lqos_topic *t, void *arg)
{
	(void)c;
	topic = t;
	module = arg;
	return 0;
}

int lqos_command_add(struct lqos_ctx *c, const struct lqos_command *cmd,
		     void *arg)
{
	(void)c, (void)arg;
	command = cmd;
	return 0;
}

int lqos_subscribers_watch(struct lqos_ctx *c, void (*fn)(void *), void *arg)
{
	(void)c, (void)arg;
	changed = fn;
	return 0;
}

int lqos_defer(struct lqos_ctx *c, void (*fn)(void *), void *arg)
{
	(void)c, (void)fn, (void)arg;
	return 0;
}

struct lqos_call {
	json_t *params, *result;
	char error[512];
};

const struct json_t *lqos_call_params(const struct lqos_call *call)
{
	return call->params;
}

void lqos_call_result(struct lqos_call *call, struct json_t *result)
{
	call->result = result;
}

int lqos_call_fail(struct lqos_call *call, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->error, sizeof(call->error), fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- Helpers ------------------------------------------------------------- */

extern const struct lqos_module lqos_module_entry;

static int setup(void **state)
{
	(void)state;
	return lqos_module_entry.start(&ctx, NULL, &module);
}

static int teardown(void **state)
{
	(void)state;
	free(module);
	return 0;
}

static void subscriber(uint32_t slot, const char *circuit, const char *name,
		       uint32_t node)
{
	subscribers[slot] = (struct lqos_subscriber){.slot = slot,
						     .circuit_id = circuit,
						     .name = name,
						     .node = node,
						     .down_max = 100000000,
						     .up_max = 20000000};
}

static struct core_row *new_row(void)
{
	struct core_row *row =
		calloc(1, sizeof(*row) + COLUMNS * sizeof(row->cells[0]));

	assert_non_null(row);
	row->base = base;
	return row;
}

/* n rows, of slots 0 to n - 1, each with the rate given for its slot. */
static void table(size_t n, uint64_t (*rate)(size_t slot))
{
	struct core_table *t = &snapshot.tables[LQOS_SCOPE_SUBSCRIBER];

	snapshot.seq = 7;
	snapshot.ts_ns = 1700000000000000000;
	snapshot.interval_ns = 1000000000;
	t->columns = column_list;
	t->n_columns = COLUMNS;
	t->rows = rows;
	t->n_rows = n;
	for (size_t i = 0; i < n; i++) {
		rows[i] = rows[i] ?: new_row();
		rows[i]->id = i;
		rows[i]->seq = snapshot.seq;
		for (size_t c = 1; c < COLUMNS; c++)
			rows[i]->cells[c] = (struct core_cell){
				.value = 1000 * i + c, .grown = rate(i) * c};
	}
}

static int fresh(void **state)
{
	(void)state;
	memset(subscribers, 0, sizeof(subscribers));
	memset(&snapshot, 0, sizeof(snapshot));
	no_snapshot = false;
	changed(module);
	return 0;
}

static json_t *frame(const char *params)
{
	json_t *json = params ? json_loads(params, 0, NULL) : NULL;
	json_t *out = NULL;

	assert_true(!params || json);
	assert_int_equal(topic->frame(json, &out, module), 0);
	json_decref(json);
	return out;
}

/* The slots of a frame's rows, as text. */
static const char *slots(json_t *f)
{
	json_t *array =
		json_object_get(json_object_get(f, "subscribers"), "rows");
	static char buf[4096];
	size_t i, used = 0;
	json_t *row;

	buf[0] = '\0';
	json_array_foreach(array, i, row) {
		json_int_t slot =
			json_integer_value(json_object_get(row, "slot"));

		used += snprintf(buf + used, sizeof(buf) - used, "%s%d",
				 used ? " " : "", (int)slot);
	}
	return buf;
}

static void expect_slots(const char *params, const char *expected)
{
	json_t *f = frame(params);

	assert_string_equal(slots(f), expected);
	json_decref(f);
}

static void refused(const char *params, const char *word)
{
	struct lqos_call call = {.params = json_loads(params, 0, NULL)};
	json_t *out = (void *)1;
	char why[512];

	assert_non_null(call.params);
	assert_int_equal(topic->frame(call.params, &out, module), -EINVAL);
	assert_ptr_equal(out, (void *)1);
	assert_int_equal(command->run(&call, module), -EINVAL);
	assert_non_null(strstr(call.error, word));
	assert_null(strchr(call.error, '\n'));
	/* Which columns there are the frame knows. */
	if (!strstr(call.error, "no column")) {
		assert_non_null(topic->check);
		assert_int_equal(
			topic->check(call.params, why, sizeof(why), module),
			-EINVAL);
		assert_string_equal(why, call.error);
	}
	json_decref(call.params);
}

static uint64_t by_slot(size_t slot)
{
	return slot;
}

static uint64_t always_5(size_t slot)
{
	(void)slot;
	return 5;
}

static uint64_t scrambled(size_t slot)
{
	return slot * 2654435761u % 1009;
}

/* ---- Tests --------------------------------------------------------------- */

static void test_shape(void **state)
{
	json_t *f, *expected;

	(void)state;
	table(3, by_slot);
	subscriber(1, "c-1", "Ann", 1);
	subscriber(2, "c-2", "Bob", 0);
	subscriber(4, "c-4", "idle", 0);
	f = frame("{\"limit\": 1, \"offset\": 1}");
	expected = json_pack(
		"{sI sI sI s{s[{ss ss ss ss ss sb}{ss ss ss ss ss sb}"
		"{ss ss ss ss ss sb}]"
		" s[{si ss ss ss si si s[iii] s[nii]}]"
		" s[nii] ss sb si si si si}"
		" s{s[]s[]} s{s[]s[]s[]}}",
		"seq", (json_int_t)7, "ts_ns", (json_int_t)1700000000000000000,
		"interval_ns", (json_int_t)1000000000, "subscribers", "columns",
		"name", "a.rtt", "title", "RTT", "help", "round trip", "kind",
		"gauge", "unit", "ns", "detail", 0, "name", "b.down.bytes",
		"title", "Down", "help", "to the subscriber", "kind", "counter",
		"unit", "bytes", "detail", 0, "name", "b.up.bytes", "title",
		"Up", "help", "from the subscriber", "kind", "counter", "unit",
		"bytes", "detail", 0, "rows", "slot", 1, "circuit_id", "c-1",
		"name", "Ann", "node", "Tower North", "down_max", 100000000,
		"up_max", 20000000, "values", 1000000, 1001, 1002, "rates", 1,
		2, "totals", 3, 6, "sort", "b.down.bytes", "reverse", 0,
		"offset", 1, "matched", 3, "active", 2, "known", 3,
		"interfaces", "columns", "rows", "global", "columns", "values",
		"rates");
	assert_non_null(expected);
	assert_true(json_equal(f, expected));
	json_decref(f);
	json_decref(expected);
}

static void test_unknown_hosts_and_removed(void **state)
{
	json_t *f, *array, *row;

	(void)state;
	table(2, by_slot);
	f = frame(NULL);
	array = json_object_get(json_object_get(f, "subscribers"), "rows");
	row = json_array_get(array, 1);
	assert_string_equal(json_string_value(json_object_get(row, "name")),
			    "(unknown hosts)");
	assert_string_equal(
		json_string_value(json_object_get(row, "circuit_id")), "");
	/* its gauge has no value */
	assert_true(json_is_null(
		json_array_get(json_object_get(row, "values"), 0)));
	row = json_array_get(array, 0);
	assert_string_equal(json_string_value(json_object_get(row, "name")),
			    "(removed)");
	json_decref(f);
}

static void test_order(void **state)
{
	(void)state;
	table(5, by_slot);
	expect_slots(NULL, "4 3 2 1 0");
	expect_slots("{\"reverse\": true}", "0 1 2 3 4");
	expect_slots("{\"sort\": \"b.up.bytes\"}", "4 3 2 1 0");
	/* a gauge sorts by value; what has none comes last either way */
	expect_slots("{\"sort\": \"a.rtt\"}", "4 3 2 1 0");
	expect_slots("{\"sort\": \"a.rtt\", \"reverse\": true}", "1 2 3 4 0");
	/* equals do not jump about */
	table(5, always_5);
	expect_slots(NULL, "0 1 2 3 4");
	expect_slots("{\"reverse\": true}", "0 1 2 3 4");
}

/* Every page of a selection is that page of the full sort. */
static void test_pages(void **state)
{
	json_t *all, *page, *whole;
	size_t seen = 0;
	uint64_t last = UINT64_MAX;

	(void)state;
	table(997, scrambled);
	all = frame("{\"limit\": 1000}");
	whole = json_object_get(json_object_get(all, "subscribers"), "rows");
	assert_int_equal(json_array_size(whole), 997);
	for (size_t offset = 0; offset < 997; offset += 83) {
		json_t *params = json_pack("{si si}", "limit", 83, "offset",
					   (int)offset);
		json_t *array;

		assert_int_equal(topic->frame(params, &page, module), 0);
		array = json_object_get(json_object_get(page, "subscribers"),
					"rows");
		for (size_t i = 0; i < json_array_size(array); i++, seen++) {
			json_t *row = json_array_get(array, i);
			uint64_t rate = json_integer_value(json_array_get(
				json_object_get(row, "rates"), 1));

			assert_true(
				json_equal(row, json_array_get(whole, seen)));
			assert_true(rate <= last);
			last = rate;
		}
		json_decref(params);
		json_decref(page);
	}
	assert_int_equal(seen, 997);
	json_decref(all);
	expect_slots("{\"offset\": 997}", "");
	expect_slots("{\"offset\": 2147483647, \"limit\": 1000}", "");
	expect_slots("{\"limit\": 0}", "");
}

static void test_filter(void **state)
{
	json_t *f, *s;

	(void)state;
	table(5, by_slot);
	subscriber(1, "c-1", "Ann Müller", 1);
	subscriber(2, "C-2", "Bob", 2);
	subscriber(3, "c-3", "bobby", 1);
	subscriber(4, "x", "", 0);
	expect_slots("{\"filter\": \"bob\"}", "3 2");
	expect_slots("{\"filter\": \"BOBB\"}", "3");
	expect_slots("{\"filter\": \"c-2\"}", "2");
	expect_slots("{\"filter\": \"tower n\"}", "3 1");
	expect_slots("{\"filter\": \"müller\"}", "1");
	expect_slots("{\"filter\": \"unknown\"}", "0");
	expect_slots("{\"filter\": \"nobody of that name\"}", "");
	/* totals are of what matches, active is not */
	f = frame("{\"filter\": \"tower n\", \"limit\": 1}");
	s = json_object_get(f, "subscribers");
	assert_int_equal(json_integer_value(json_object_get(s, "matched")), 2);
	assert_int_equal(json_integer_value(json_object_get(s, "active")), 4);
	assert_int_equal(json_integer_value(json_array_get(
				 json_object_get(s, "totals"), 1)),
			 4);
	json_decref(f);
}

static void test_detail(void **state)
{
	const char *params[] = {"{\"detail\": true}", "{\"sort\": \"c.ecn\"}"};

	(void)state;
	table(2, by_slot);
	for (size_t i = 0; i < 2; i++) {
		json_t *f = frame(params[i]);
		json_t *s = json_object_get(f, "subscribers");

		assert_int_equal(json_array_size(json_object_get(s, "columns")),
				 4);
		json_decref(f);
	}
}

static void test_first_tick_has_no_rates(void **state)
{
	json_t *f, *row;

	(void)state;
	table(2, by_slot);
	snapshot.interval_ns = 0;
	f = frame(NULL);
	row = json_array_get(
		json_object_get(json_object_get(f, "subscribers"), "rows"), 0);
	assert_true(
		json_is_null(json_array_get(json_object_get(row, "rates"), 1)));
	assert_int_equal(json_integer_value(json_array_get(
				 json_object_get(row, "values"), 1)),
			 1);
	json_decref(f);
}

static void test_other_scopes(void **state)
{
	json_t *f, *iface, *global;

	(void)state;
	table(2, by_slot);
	snapshot.tables[LQOS_SCOPE_INTERFACE] =
		snapshot.tables[LQOS_SCOPE_SUBSCRIBER];
	snapshot.tables[LQOS_SCOPE_GLOBAL] =
		snapshot.tables[LQOS_SCOPE_SUBSCRIBER];
	f = frame(NULL);
	iface = json_array_get(
		json_object_get(json_object_get(f, "interfaces"), "rows"), 1);
	assert_string_equal(json_string_value(json_object_get(iface, "name")),
			    "eth1");
	assert_string_equal(json_string_value(json_object_get(iface, "side")),
			    "to_subscribers");
	assert_int_equal(json_integer_value(json_array_get(
				 json_object_get(iface, "rates"), 2)),
			 2);
	global = json_object_get(f, "global");
	assert_int_equal(json_array_size(json_object_get(global, "columns")),
			 3);
	assert_int_equal(json_integer_value(json_array_get(
				 json_object_get(global, "values"), 1)),
			 1);
	json_decref(f);
}

static void expect_totals(const char *params, const char *expected)
{
	json_t *f = frame(params);
	char *got = json_dumps(
		json_object_get(json_object_get(f, "subscribers"), "totals"),
		JSON_COMPACT);

	assert_string_equal(got, expected);
	free(got);
	json_decref(f);
}

/* A gauge cannot be added up; of all rows the global one is the total. */
static void test_totals(void **state)
{
	uint64_t rtt = 5500000;
	const struct core_column of_all = {
		.decl = &decls[0], .name = "a.rtt", .arg = &rtt};
	const struct core_column *list[] = {&columns[1], &of_all};
	autofree struct core_row *row = new_row();

	(void)state;
	table(3, by_slot);
	row->seq = snapshot.seq;
	expect_totals(NULL, "[null,3,6]");
	snapshot.tables[LQOS_SCOPE_GLOBAL] = (struct core_table){
		.columns = list, .n_columns = 2, .rows = &row, .n_rows = 1};
	expect_totals(NULL, "[5500000,3,6]");
	expect_totals("{\"filter\": \"unknown\"}", "[null,0,0]");
	rtt = LQOS_NO_VALUE;
	expect_totals(NULL, "[null,3,6]");
	snapshot.tables[LQOS_SCOPE_GLOBAL].n_rows = 0;
	expect_totals(NULL, "[null,3,6]");
	snapshot.tables[LQOS_SCOPE_GLOBAL].n_rows = 1;
	snapshot.interval_ns = 0;
	expect_totals(NULL, "[null,null,null]");
}

static void test_no_columns(void **state)
{
	(void)state;
	table(3, by_slot);
	snapshot.tables[LQOS_SCOPE_SUBSCRIBER].n_columns = 0;
	expect_slots(NULL, "0 1 2");
}

static void test_bad_bytes_in_names(void **state)
{
	json_t *f, *row;

	(void)state;
	table(2, by_slot);
	subscriber(1, "c", "M\xfcller", 0);
	f = frame(NULL);
	row = json_array_get(
		json_object_get(json_object_get(f, "subscribers"), "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "name")),
			    "M?ller");
	json_decref(f);
}

static void test_refusals(void **state)
{
	struct lqos_call call = {.params = NULL};
	char params[256];

	(void)state;
	table(2, by_slot);
	refused("{\"sort\": \"down\"}", "\"down\"");
	refused("{\"sort\": 3}", "sort");
	refused("{\"limit\": 1001}", "1000");
	refused("{\"limit\": -1}", "limit");
	refused("{\"offset\": -1}", "offset");
	refused("{\"offset\": 2147483648}", "offset");
	refused("{\"reverse\": 1}", "expected");
	refused("{\"filtre\": \"x\"}", "filtre");
	snprintf(params, sizeof(params), "{\"filter\": \"%0128d\"}", 0);
	refused(params, "127");
	no_snapshot = true;
	assert_int_equal(command->run(&call, module), -EAGAIN);
	assert_non_null(strstr(call.error, "no data yet"));
	no_snapshot = false;
	assert_int_equal(command->run(&call, module), 0);
	assert_string_equal(slots(call.result), "1 0");
	json_decref(call.result);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shape),
		TEST(test_unknown_hosts_and_removed),
		TEST(test_order),
		TEST(test_pages),
		TEST(test_filter),
		TEST(test_detail),
		TEST(test_first_tick_has_no_rates),
		TEST(test_other_scopes),
		TEST(test_totals),
		TEST(test_no_columns),
		TEST(test_bad_bytes_in_names),
		TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
