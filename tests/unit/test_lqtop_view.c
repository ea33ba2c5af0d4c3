/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lqtop makes of a frame: modules/lqtop/view.c and text.c. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "modules/lqtop/view.h"

/* ---- A frame ------------------------------------------------------------- */

static const char frame_text[] =
	"{\"seq\": 7, \"ts_ns\": 1700000000000000000, \"interval_ns\": "
	"1000000000,"
	" \"subscribers\": {\"columns\": ["
	"  {\"name\": \"throughput.down.bytes\", \"title\": \"Down\","
	"   \"help\": \"h\", \"kind\": \"counter\", \"unit\": \"bytes\","
	"   \"detail\": false},"
	"  {\"name\": \"throughput.up.bytes\", \"title\": \"Up\","
	"   \"help\": \"h\", \"kind\": \"counter\", \"unit\": \"bytes\","
	"   \"detail\": false},"
	"  {\"name\": \"pping.rtt\", \"title\": \"RTT\","
	"   \"help\": \"h\", \"kind\": \"gauge\", \"unit\": \"ns\","
	"   \"detail\": false}],"
	" \"rows\": ["
	"  {\"slot\": 0, \"circuit_id\": \"\", \"name\": \"(unknown hosts)\","
	"   \"node\": \"\", \"down_max\": 0, \"up_max\": 0,"
	"   \"values\": [1000, 2000, null], \"rates\": [500, 6, null]},"
	"  {\"slot\": 3, \"circuit_id\": \"c-3\", \"name\": \"Müller\","
	"   \"node\": \"North\", \"down_max\": 10000, \"up_max\": 10000,"
	"   \"values\": [1000, 2000, 12000000], \"rates\": [1001, 7, null]},"
	"  {\"slot\": 4, \"circuit_id\": \"c-4\", \"name\": \"Smith\","
	"   \"node\": \"\", \"down_max\": 10000, \"up_max\": 10000,"
	"   \"values\": [1000, 2000, 11000000], \"rates\": [1000, 7, null]}],"
	" \"totals\": [2501, 20, null], \"sort\": \"throughput.up.bytes\","
	" \"reverse\": true, \"offset\": 50, \"matched\": 53, \"active\": 52,"
	" \"known\": 60},"
	" \"interfaces\": {\"columns\": ["
	"  {\"name\": \"x.rx\", \"title\": \"RX\", \"help\": \"h\","
	"   \"kind\": \"counter\", \"unit\": \"packets\", \"detail\": false}],"
	"  \"rows\": [{\"name\": \"eth0\", \"side\": \"to_internet\","
	"   \"values\": [5], \"rates\": [1]}]},"
	" \"global\": {\"columns\": ["
	"  {\"name\": \"x.table\", \"title\": \"Table\", \"help\": \"h\","
	"   \"kind\": \"gauge\", \"unit\": \"furlongs\", \"detail\": false}],"
	"  \"values\": [42], \"rates\": [null]}}";

static json_t *frame(void)
{
	json_t *json = json_loads(frame_text, 0, NULL);

	assert_non_null(json);
	return json;
}

static struct view *view(void)
{
	json_t *json = frame();
	struct view *v = NULL;

	assert_int_equal(view_new(&v, json), 0);
	json_decref(json);
	return v;
}

static void test_reading(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	const struct row *row;

	(void)state;
	assert_int_equal(v->seq, 7);
	assert_int_equal(v->ts_ns, 1700000000000000000);
	assert_int_equal(v->sort, 1);
	assert_true(v->reverse);
	assert_int_equal(v->offset, 50);
	assert_int_equal(v->matched, 53);
	assert_int_equal(v->active, 52);
	assert_int_equal(v->known, 60);
	assert_int_equal(v->subscribers.n_columns, 3);
	assert_int_equal(v->subscribers.n_rows, 3);
	assert_int_equal(v->totals[0].rate, 2501);
	row = &v->subscribers.rows[0];
	assert_true(row->unknown);
	assert_true(row->cells[2].value == LQOS_NO_VALUE);
	row = &v->subscribers.rows[1];
	assert_false(row->unknown);
	assert_string_equal(row->name, "Müller");
	assert_string_equal(row->node, "North");
	assert_int_equal(row->down_max, 10000);
	assert_int_equal(row->cells[0].rate, 1001);
	assert_int_equal(row->cells[2].value, 12000000);
	row = &v->interfaces.rows[0];
	assert_string_equal(row->name, "eth0");
	assert_string_equal(row->node, "to_internet");
	assert_false(row->unknown);
	assert_int_equal(v->global.rows[0].cells[0].value, 42);
	/* of a unit that is not known here */
	assert_int_equal(v->global.columns[0].unit, LQOS_UNIT_COUNT);
}

/* Every path in json to something that is not a container. */
static void break_each(json_t *root, json_t *at, size_t *n)
{
	struct view *v = (void *)1;
	const char *key;
	json_t *value;
	void *tmp;

	json_object_foreach_safe(at, tmp, key, value) {
		json_t *kept = json_incref(value);
		int rc;

		json_object_set_new(at, key, json_pack("[i]", 1));
		rc = view_new(&v, root);
		if (rc)
			assert_ptr_equal(v, (void *)1);
		else
			view_free(&v);
		v = (void *)1;
		*n += rc == -EPROTO;
		json_object_set_new(at, key, kept);
		break_each(root, value, n);
		if (json_is_array(value))
			break_each(root, json_array_get(value, 0), n);
	}
}

static void test_broken_frames(void **state)
{
	struct view *v = NULL;
	json_t *json = frame();
	size_t refused = 0;

	(void)state;
	break_each(json, json, &refused);
	assert_true(refused > 30);
	/* too few cells */
	json_array_remove(
		json_object_get(
			json_array_get(
				json_object_get(
					json_object_get(json, "subscribers"),
					"rows"),
				2),
			"rates"),
		0);
	assert_int_equal(view_new(&v, json), -EPROTO);
	json_decref(json);
	json = json_object();
	assert_int_equal(view_new(&v, json), -EPROTO);
	assert_null(v);
	json_decref(json);
}

static void test_sorting(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	const struct row *rows = v->subscribers.rows;

	(void)state;
	view_sort(v, 0, false);
	assert_int_equal(rows[0].slot, 3);
	assert_int_equal(rows[1].slot, 4);
	assert_int_equal(rows[2].slot, 0);
	view_sort(v, 0, true);
	assert_int_equal(rows[0].slot, 0);
	assert_int_equal(rows[2].slot, 3);
	/* equals by slot; nothing goes last either way */
	view_sort(v, 1, false);
	assert_int_equal(rows[0].slot, 3);
	assert_int_equal(rows[1].slot, 4);
	view_sort(v, 2, false);
	assert_int_equal(rows[0].slot, 3);
	assert_int_equal(rows[2].slot, 0);
	view_sort(v, 2, true);
	assert_int_equal(rows[0].slot, 4);
	assert_int_equal(rows[2].slot, 0);
	assert_int_equal(v->sort, 2);
	assert_true(v->reverse);
	view_sort(v, 3, false);
	assert_int_equal(v->sort, 2);
}

static void test_finding_columns(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	const struct table *t = &v->subscribers;
	size_t found = 99;
	char why[512];

	(void)state;
	assert_int_equal(column_find(t, "throughput.down.bytes", &found, why,
				     sizeof(why)),
			 0);
	assert_int_equal(found, 0);
	/* as a word, though "throughput" has it twice */
	assert_int_equal(column_find(t, "up", &found, why, sizeof(why)), 0);
	assert_int_equal(found, 1);
	/* A heading says which, however many names have the word. */
	assert_int_equal(column_find(t, "down", &found, why, sizeof(why)), 0);
	assert_string_equal(t->columns[found].title, "Down");
	assert_int_equal(column_find(t, "RTT", &found, why, sizeof(why)), 0);
	assert_int_equal(found, 2);
	assert_int_equal(column_find(t, "dow", &found, why, sizeof(why)), 0);
	assert_int_equal(found, 0);
	assert_int_equal(column_find(t, "bytes", &found, why, sizeof(why)),
			 -EEXIST);
	assert_int_equal(found, 0);
	assert_non_null(strstr(why, "throughput.down.bytes"));
	assert_non_null(strstr(why, "throughput.up.bytes"));
	assert_null(strstr(why, "pping"));
	assert_int_equal(column_find(t, "loss", &found, why, sizeof(why)),
			 -ENOENT);
	assert_non_null(strstr(why, "pping.rtt"));
	/* little room for the reason */
	assert_int_equal(column_find(t, "loss", &found, why, 8), -ENOENT);
	assert_int_equal(strlen(why), 7);

	assert_int_equal(column_ending(t, ".up.bytes"), 1);
	assert_true(column_ending(t, ".packets") == NO_COLUMN);
}

/* ---- Text ---------------------------------------------------------------- */

static void test_si(void **state)
{
	static const struct {
		uint64_t v;
		const char *text;
	} cases[] = {{0, "0"},
		     {999, "999"},
		     {1000, "1.00k"},
		     {9994, "9.99k"},
		     {9996, "10.0k"},
		     {99940, "99.9k"},
		     {99960, "100k"},
		     {999499, "999k"},
		     {999500, "1.00M"},
		     {1234567, "1.23M"},
		     {45600000, "45.6M"},
		     {1000000000, "1.00G"},
		     {UINT64_MAX, "18.4E"}};
	char buf[CELL_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text_si(buf, cases[i].v);
		assert_string_equal(buf, cases[i].text);
	}
}

static void test_cells(void **state)
{
	static const struct {
		enum lqos_kind kind;
		enum lqos_unit unit;
		struct lqos_cell cell;
		const char *text, *quantity;
	} cases[] = {
		{LQOS_COUNTER,
		 LQOS_UNIT_BYTES,
		 {9, 1250000},
		 "10.0M",
		 "10.0 Mbit/s"},
		{LQOS_COUNTER, LQOS_UNIT_BYTES, {9, 1}, "8", "8 bit/s"},
		{LQOS_COUNTER,
		 LQOS_UNIT_PACKETS,
		 {9, 1250},
		 "1.25k",
		 "1.25 kpps"},
		{LQOS_COUNTER, LQOS_UNIT_COUNT, {9, 3}, "3", "3 /s"},
		{LQOS_COUNTER, LQOS_UNIT_NS, {9, 250000000}, "25.0", "25.0 %"},
		{LQOS_COUNTER, LQOS_UNIT_BYTES, {9, LQOS_NO_VALUE}, "-", "-"},
		{LQOS_GAUGE,
		 LQOS_UNIT_BYTES,
		 {2048, LQOS_NO_VALUE},
		 "2.05k",
		 "2.05 kB"},
		{LQOS_GAUGE,
		 LQOS_UNIT_NS,
		 {12345678, LQOS_NO_VALUE},
		 "12.3",
		 "12.3 ms"},
		{LQOS_GAUGE,
		 LQOS_UNIT_NS,
		 {40000, LQOS_NO_VALUE},
		 "0.04",
		 "0.04 ms"},
		{LQOS_GAUGE,
		 LQOS_UNIT_NS,
		 {1500000000, LQOS_NO_VALUE},
		 "1500",
		 "1500 ms"},
		{LQOS_GAUGE,
		 LQOS_UNIT_PPM,
		 {12300, LQOS_NO_VALUE},
		 "1.23",
		 "1.23 %"},
		{LQOS_GAUGE,
		 LQOS_UNIT_PPM,
		 {1000000, LQOS_NO_VALUE},
		 "100",
		 "100 %"},
		{LQOS_GAUGE,
		 LQOS_UNIT_CLASS,
		 {0x1001a, LQOS_NO_VALUE},
		 "1:1a",
		 NULL},
		{LQOS_GAUGE,
		 LQOS_UNIT_CLASS,
		 {0xffffffff, LQOS_NO_VALUE},
		 "ffff:ffff",
		 NULL},
		{LQOS_GAUGE, LQOS_UNIT_CLASS, {0, LQOS_NO_VALUE}, "-", NULL},
		{LQOS_GAUGE, LQOS_UNIT_COUNT, {7, LQOS_NO_VALUE}, "7", "7 "},
		{LQOS_GAUGE,
		 LQOS_UNIT_NS,
		 {LQOS_NO_VALUE, LQOS_NO_VALUE},
		 "-",
		 NULL},
	};
	char buf[CELL_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct column c = {.kind = cases[i].kind,
				   .unit = cases[i].unit};

		text_cell(buf, &c, cases[i].cell);
		assert_string_equal(buf, cases[i].text);
		if (!cases[i].quantity)
			continue;
		text_quantity(buf, &c, cases[i].cell);
		assert_string_equal(buf, cases[i].quantity);
	}
}

static void fits(const char *text, int width, bool right, const char *expected)
{
	char buf[64];

	text_fit(buf, sizeof(buf), text, width, right);
	assert_string_equal(buf, expected);
	assert_int_equal(text_width(buf), width > 0 ? width : 0);
}

static void test_fitting(void **state)
{
	char small[5];

	(void)state;
	assert_true(text_utf8());
	fits("abc", 5, false, "abc  ");
	fits("abc", 5, true, "  abc");
	fits("abcdef", 6, false, "abcdef");
	fits("abcdefg", 6, false, "abcde…");
	fits("abcdefg", 6, true, "abcde…");
	fits("Müller", 6, false, "Müller");
	fits("Müller", 3, false, "Mü…");
	fits("", 3, false, "   ");
	fits("abc", 1, false, "…");
	fits("abc", 0, false, "");
	fits("abc", -3, false, "");
	/* two columns each: never half of one */
	assert_int_equal(text_width("田中"), 4);
	fits("田中太郎", 8, false, "田中太郎");
	fits("田中太郎", 6, false, "田中… ");
	fits("田中太郎", 5, false, "田中…");
	/* a combining mark takes no column of its own */
	assert_int_equal(text_width("e\xcc\x81x"), 2);
	/* what would play tricks on the terminal, or is no UTF-8 */
	fits("a\x1b[31mb", 7, false, "a?[31mb");
	fits("a\nb\tc\x7f", 6, false, "a?b?c?");
	fits("a\xff\xfe"
	     "b",
	     4, false, "a??b");
	fits("a\xc3", 2, false, "a?");
	/* a buffer that is too small is not overrun, nor a letter halved */
	text_fit(small, sizeof(small), "abü…", 4, false);
	assert_string_equal(small, "abü");
}

static void test_pictures(void **state)
{
	const uint64_t values[] = {0, 50, 100, 25};
	char buf[64];

	(void)state;
	text_bar(buf, sizeof(buf), 0, 100, 4);
	assert_string_equal(buf, "");
	text_bar(buf, sizeof(buf), 50, 100, 4);
	assert_string_equal(buf, "██");
	text_bar(buf, sizeof(buf), 60, 100, 4);
	assert_string_equal(buf, "██▍");
	text_bar(buf, sizeof(buf), 1000, 100, 4);
	assert_string_equal(buf, "████");
	text_bar(buf, sizeof(buf), 5, 0, 4);
	assert_string_equal(buf, "");
	text_bar(buf, sizeof(buf), UINT64_MAX, UINT64_MAX, 2);
	assert_string_equal(buf, "██");

	text_sparks(buf, sizeof(buf), values, 4, 10);
	assert_string_equal(buf, "▁▅█▃");
	text_sparks(buf, sizeof(buf), values, 4, 2);
	assert_string_equal(buf, "█▃");
	text_sparks(buf, sizeof(buf), values, 1, 4);
	assert_string_equal(buf, "▁");
	text_sparks(buf, sizeof(buf), values, 4, 0);
	assert_string_equal(buf, "");
}

static void test_without_utf8(void **state)
{
	const uint64_t values[] = {0, 100};
	char buf[64];

	(void)state;
	assert_non_null(setlocale(LC_ALL, "C"));
	assert_false(text_utf8());
	fits("Müller GmbH", 8, false, "M?ller ~");
	text_bar(buf, sizeof(buf), 50, 100, 4);
	assert_string_equal(buf, "##");
	text_sparks(buf, sizeof(buf), values, 2, 4);
	assert_string_equal(buf, "_#");
	assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
}

/* ---- Plans and layout ---------------------------------------------------- */

static void test_plans(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	const struct table *t = &v->subscribers;
	uint64_t used = 0, plan = 0;

	(void)state;
	assert_true(row_plan(t, &t->rows[1], 0, &used, &plan));
	assert_int_equal(used, 8008);
	assert_int_equal(plan, 10000);
	assert_false(row_plan(t, &t->rows[0], 0, &used, &plan)); /* no plan */
	assert_false(row_plan(t, &t->rows[1], 2, &used, &plan)); /* RTT */
	assert_false(row_is_busy(t, &t->rows[0]));
	assert_true(row_is_busy(t, &t->rows[1]));  /* 80.08 % */
	assert_false(row_is_busy(t, &t->rows[2])); /* 80 % */
	t->rows[2].cells[1].rate = 1001;
	assert_true(row_is_busy(t, &t->rows[2]));
}

static int layout_width(const struct layout *l, const struct table *t)
{
	int width = 1 + l->name;

	width += l->circuit ? l->circuit + 1 : 0;
	width += l->node ? l->node + 1 : 0;
	for (size_t i = l->first; i < l->first + l->n; i++) {
		width += l->widths[i];
		width += column_is_throughput(&t->columns[i]) ? l->bar : 0;
	}
	return width;
}

static void test_layout(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	const struct table *t = &v->subscribers;
	struct layout l = {0};

	(void)state;
	for (int width = 26; width < 300; width++) {
		for (size_t keep = 0; keep < 3; keep++) {
			memset(&l, 0, sizeof(l));
			layout_make(&l, t, width, keep);
			assert_true(layout_width(&l, t) <= width);
			assert_true(l.n >= 1);
			assert_in_range(keep, l.first, l.first + l.n - 1);
			assert_int_equal(l.hidden, 3 - l.n);
		}
	}
	assert_int_equal(l.n, 3);
	assert_true(l.circuit && l.node && l.bar);
	/* no width: all of it, but no bars */
	memset(&l, 0, sizeof(l));
	layout_make(&l, t, 0, NO_COLUMN);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.circuit, 7);
	assert_int_equal(l.bar, 0);
	/* narrower than anything: still no nonsense */
	layout_make(&l, t, 1, 2);
	assert_int_equal(l.n, 0);
}

/* Rows that go away take no width with them. */
static void test_layout_stays(void **state)
{
	CORE_CLEANUP(view_free) struct view *v = view();
	struct layout before = {0}, after;

	(void)state;
	layout_make(&before, &v->subscribers, 160, NO_COLUMN);
	after = before;
	v->subscribers.n_rows = 0;
	layout_make(&after, &v->subscribers, 160, NO_COLUMN);
	assert_int_equal(after.circuit, before.circuit);
	assert_int_equal(after.name, before.name);
	assert_int_equal(after.node, before.node);
}

static void test_many_columns(void **state)
{
	struct column columns[LAYOUT_COLUMNS + 8];
	struct table t = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
	struct layout l = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		columns[i] = (struct column){.name = "m.c",
					     .title = "Title",
					     .kind = LQOS_GAUGE,
					     .unit = LQOS_UNIT_COUNT};
	layout_make(&l, &t, 0, NO_COLUMN);
	assert_int_equal(l.n, LAYOUT_COLUMNS);
	assert_int_equal(l.hidden, 8);
	layout_make(&l, &t, 80, LAYOUT_COLUMNS + 4);
	layout_make(&l, &t, 80, LAYOUT_COLUMNS - 1);
	assert_in_range(LAYOUT_COLUMNS - 1, l.first, l.first + l.n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_broken_frames),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_finding_columns),
		cmocka_unit_test(test_si),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_fitting),
		cmocka_unit_test(test_pictures),
		cmocka_unit_test(test_without_utf8),
		cmocka_unit_test(test_plans),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_layout_stays),
		cmocka_unit_test(test_many_columns),
	};

	if (!setlocale(LC_ALL, "C.UTF-8")) {
		fputs("skipped: there is no locale C.UTF-8\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
