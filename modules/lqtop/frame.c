/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.c - a snapshot as JSON: which rows and columns, in what order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/first.h"
#include "modules/lqtop/frame.h"

/* ---- Columns ------------------------------------------------------------- */

/* The columns of one scope that a frame shows. */
struct shown {
	const struct lqos_snapshot *snapshot;
	enum lqos_scope scope;
	bool rates; /* there was a tick before this one */
	uint32_t n;
	uint32_t *cols;
};

#define NO_COLUMN UINT32_MAX

/* always: a column that is shown even if it is a detail. */
static int shown_init(struct shown *out, const struct lqos_snapshot *snapshot,
		      enum lqos_scope scope, bool detail, uint32_t always)
{
	uint32_t total = lqos_snapshot_columns(snapshot, scope);
	struct shown s = {
		.snapshot = snapshot,
		.scope = scope,
		.rates = lqos_snapshot_time(snapshot).interval_ns != 0,
		.cols = calloc(total + 1, sizeof(*s.cols)),
	};
	const char *name;

	if (!s.cols)
		return -ENOMEM;
	for (uint32_t i = 0; i < total; i++) {
		const struct lqos_column *col =
			lqos_snapshot_column(snapshot, scope, i, &name);

		if (detail || i == always || !(col->flags & LQOS_COLUMN_DETAIL))
			s.cols[s.n++] = i;
	}
	*out = s;
	return 0;
}

static const struct lqos_column *column(const struct shown *s, uint32_t i,
					const char **name)
{
	return lqos_snapshot_column(s->snapshot, s->scope, s->cols[i], name);
}

static const char *kind_name(enum lqos_kind kind)
{
	return kind == LQOS_COUNTER ? "counter" : "gauge";
}

static const char *unit_name(enum lqos_unit unit)
{
	switch (unit) {
	case LQOS_UNIT_BYTES:
		return "bytes";
	case LQOS_UNIT_PACKETS:
		return "packets";
	case LQOS_UNIT_NS:
		return "ns";
	case LQOS_UNIT_PPM:
		return "ppm";
	case LQOS_UNIT_CLASS:
		return "class";
	case LQOS_UNIT_COUNT:
		break;
	}
	return "count";
}

static json_t *columns_json(const struct shown *s)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < s->n; i++) {
		const char *name;
		const struct lqos_column *col = column(s, i, &name);

		json_array_append_new(
			array, json_pack("{ss ss ss ss ss sb}", "name", name,
					 "title", col->title, "help", col->help,
					 "kind", kind_name(col->kind), "unit",
					 unit_name(col->unit), "detail",
					 !!(col->flags & LQOS_COLUMN_DETAIL)));
	}
	return array;
}

/* NO_COLUMN: there is none of that name. */
static uint32_t find_column(const struct lqos_snapshot *snapshot,
			    enum lqos_scope scope, const char *wanted)
{
	uint32_t n = lqos_snapshot_columns(snapshot, scope);
	const char *name;

	for (uint32_t i = 0; i < n; i++) {
		lqos_snapshot_column(snapshot, scope, i, &name);
		if (!strcmp(name, wanted))
			return i;
	}
	return NO_COLUMN;
}

/*
 * The column to sort by: the named one, else the first counter, else the first.
 * NO_COLUMN: there are none.  -EINVAL: there is none of that name.
 */
static int sort_column(const struct lqos_snapshot *snapshot, const char *wanted,
		       uint32_t *out)
{
	const enum lqos_scope scope = LQOS_SCOPE_SUBSCRIBER;
	uint32_t n = lqos_snapshot_columns(snapshot, scope), found = 0;
	const char *name;

	if (wanted) {
		found = find_column(snapshot, scope, wanted);
		if (found == NO_COLUMN)
			return -EINVAL;
		*out = found;
		return 0;
	}
	while (found < n &&
	       lqos_snapshot_column(snapshot, scope, found, &name)->kind !=
		       LQOS_COUNTER)
		found++;
	if (found == n)
		found = n ? 0 : NO_COLUMN;
	*out = found;
	return 0;
}

/* ---- Cells --------------------------------------------------------------- */

static json_t *number(uint64_t value)
{
	if (value == LQOS_NO_VALUE)
		return json_null();
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static uint64_t rate_of(const struct shown *s, struct lqos_cell cell)
{
	return s->rates ? cell.rate : LQOS_NO_VALUE;
}

/* Sets "values" and "rates" of object. */
static void set_cells(json_t *object, const struct shown *s, uint32_t row)
{
	json_t *values = json_array(), *rates = json_array();

	for (uint32_t i = 0; i < s->n; i++) {
		struct lqos_cell cell = lqos_snapshot_cell(
			s->snapshot, s->scope, row, s->cols[i]);

		json_array_append_new(values, number(cell.value));
		json_array_append_new(rates, number(rate_of(s, cell)));
	}
	json_object_set_new(object, "values", values);
	json_object_set_new(object, "rates", rates);
}

/* Names come from files of any encoding; JSON is UTF-8. */
static json_t *text(const char *s)
{
	json_t *json = json_string(s);
	autofree char *ascii = NULL;

	if (json)
		return json;
	ascii = strdup(s);
	for (char *c = ascii; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(ascii);
}

/* ---- Subscribers: which rows, in what order ------------------------------ */

struct label {
	const char *circuit_id, *name, *node;
	uint64_t down_max, up_max;
};

static struct label label_of(struct lqos_ctx *ctx, uint32_t slot)
{
	const struct lqos_subscriber *sub = lqos_subscriber(ctx, slot);
	const struct lqos_node *node;

	if (!sub)
		return (struct label){
			.circuit_id = "",
			.name = slot ? "(removed)" : "(unknown hosts)",
			.node = "",
		};
	node = sub->node ? lqos_node(ctx, sub->node) : NULL;
	return (struct label){
		.circuit_id = sub->circuit_id,
		.name = sub->name ? sub->name : "",
		.node = node ? node->name : "",
		.down_max = sub->down_max,
		.up_max = sub->up_max,
	};
}

/* needle is in lower case and not empty. */
static bool contains(const char *text_, const char *needle)
{
	for (; *text_; text_++) {
		size_t i = 0;

		while (needle[i] && lower(text_[i]) == needle[i])
			i++;
		if (!needle[i])
			return true;
	}
	return false;
}

static bool matches(const struct label *label, const char *filter)
{
	return !*filter || contains(label->name, filter) ||
	       contains(label->circuit_id, filter) ||
	       contains(label->node, filter);
}

/* No value sorts last either way. */
static uint64_t sort_key(const struct shown *s, uint32_t row, uint32_t col,
			 bool counter, bool reverse)
{
	uint64_t v;

	if (col == NO_COLUMN)
		return 0;
	if (!counter)
		v = lqos_snapshot_cell(s->snapshot, s->scope, row, col).value;
	else
		v = s->rates ? lqos_snapshot_rate(s->snapshot, s->scope, row,
						  col)
			     : LQOS_NO_VALUE;
	return v == LQOS_NO_VALUE || reverse ? v : LQOS_NO_VALUE - 1 - v;
}

struct found {
	struct core_first first; /* rows, up to the last that is wanted */
	uint64_t *totals;	 /* of the shown columns, over what matched */
	uint32_t matched;
	uint32_t active; /* subscribers in the snapshot, matching or not */
};

static void found_clear(struct found *f)
{
	free(f->first.heap);
	free(f->totals);
}

/*
 * A gauge's sum means nothing.  But whoever measures it for each may measure it
 * for all as well, under the same name.
 */
static uint64_t gauge_of_all(const struct shown *s, uint32_t i)
{
	const enum lqos_scope all = LQOS_SCOPE_GLOBAL;
	const char *name;
	uint32_t col;

	if (column(s, i, &name)->kind == LQOS_COUNTER ||
	    !lqos_snapshot_rows(s->snapshot, all))
		return LQOS_NO_VALUE;
	col = find_column(s->snapshot, all, name);
	if (col == NO_COLUMN)
		return LQOS_NO_VALUE;
	return lqos_snapshot_cell(s->snapshot, all, 0, col).value;
}

/* LQOS_NO_VALUE stays. */
static void add_rates(const struct shown *s, uint32_t row, uint64_t *totals)
{
	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t rate;

		if (totals[i] == LQOS_NO_VALUE)
			continue;
		rate = lqos_snapshot_rate(s->snapshot, s->scope, row,
					  s->cols[i]);
		if (rate != LQOS_NO_VALUE)
			totals[i] += rate;
	}
}

/* found_clear(out), whatever is returned. */
static int find(struct lqtop *top, const struct shown *s,
		const struct params *p, uint32_t sort, struct found *out)
{
	uint32_t n = lqos_snapshot_rows(s->snapshot, s->scope);
	uint64_t wanted = (uint64_t)p->offset + p->limit;
	bool counter = false;
	const char *name;

	out->totals = calloc(s->n + 1, sizeof(*out->totals));
	if (core_first_init(&out->first, wanted < n ? wanted : n) ||
	    !out->totals)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n; i++) {
		enum lqos_kind kind = column(s, i, &name)->kind;

		if (kind != LQOS_COUNTER || !s->rates)
			out->totals[i] = LQOS_NO_VALUE;
		if (s->cols[i] == sort)
			counter = kind == LQOS_COUNTER;
	}
	for (uint32_t row = 0; row < n; row++) {
		uint32_t slot = lqos_snapshot_id(s->snapshot, s->scope, row);

		out->active += slot != 0;
		if (*p->filter) {
			struct label label = label_of(top->ctx, slot);

			if (!matches(&label, p->filter))
				continue;
		}
		add_rates(s, row, out->totals);
		out->matched++;
		core_first_offer(&out->first,
				 (struct core_candidate){
					 .key = sort_key(s, row, sort, counter,
							 p->reverse),
					 .tie = slot,
					 .what = row,
				 });
	}
	for (uint32_t i = 0; !*p->filter && i < s->n; i++)
		if (out->totals[i] == LQOS_NO_VALUE)
			out->totals[i] = gauge_of_all(s, i);
	core_first_sort(&out->first);
	return 0;
}

static json_t *rows_json(struct lqtop *top, const struct shown *s,
			 const struct params *p, const struct found *f)
{
	json_t *array = json_array();

	for (uint32_t i = p->offset; i < f->matched && i - p->offset < p->limit;
	     i++) {
		uint32_t row = f->first.heap[i].what;
		uint32_t slot = lqos_snapshot_id(s->snapshot, s->scope, row);
		struct label label = label_of(top->ctx, slot);
		json_t *object = json_pack(
			"{sI so so so so so}", "slot", (json_int_t)slot,
			"circuit_id", text(label.circuit_id), "name",
			text(label.name), "node", text(label.node), "down_max",
			number(label.down_max), "up_max", number(label.up_max));

		set_cells(object, s, row);
		json_array_append_new(array, object);
	}
	return array;
}

/* null where there is none */
static json_t *totals_json(const struct shown *s, const uint64_t *totals)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < s->n; i++)
		json_array_append_new(array, number(totals[i]));
	return array;
}

int frame_subscribers(struct lqtop *top, const struct lqos_snapshot *snapshot,
		      const struct params *p, json_t **out)
{
	CORE_CLEANUP(found_clear) struct found found = {0};
	autofree uint32_t *cols = NULL;
	struct shown shown;
	const char *name = NULL;
	uint32_t sort;
	int rc;

	rc = sort_column(snapshot, p->sort, &sort);
	if (rc)
		return rc;
	rc = shown_init(&shown, snapshot, LQOS_SCOPE_SUBSCRIBER, p->detail,
			sort);
	if (rc)
		return rc;
	cols = shown.cols;
	rc = find(top, &shown, p, sort, &found);
	if (rc)
		return rc;
	if (sort != NO_COLUMN)
		lqos_snapshot_column(snapshot, shown.scope, sort, &name);
	*out = json_pack(
		"{so so so ss? sb sI sI sI sI}", "columns",
		columns_json(&shown), "rows", rows_json(top, &shown, p, &found),
		"totals", totals_json(&shown, found.totals), "sort", name,
		"reverse", p->reverse, "offset", (json_int_t)p->offset,
		"matched", (json_int_t)found.matched, "active",
		(json_int_t)found.active, "known", (json_int_t)top->known);
	return *out ? 0 : -ENOMEM;
}

/* ---- The other scopes ---------------------------------------------------- */

int frame_interfaces(struct lqtop *top, const struct lqos_snapshot *snapshot,
		     bool detail, json_t **out)
{
	uint32_t n = lqos_snapshot_rows(snapshot, LQOS_SCOPE_INTERFACE);
	autofree uint32_t *cols = NULL;
	json_t *rows = json_array();
	struct shown shown;
	int rc;

	rc = shown_init(&shown, snapshot, LQOS_SCOPE_INTERFACE, detail,
			NO_COLUMN);
	if (rc) {
		json_decref(rows);
		return rc;
	}
	cols = shown.cols;
	for (uint32_t i = 0; i < n; i++) {
		const struct lqos_interface *iface = lqos_interface(
			top->ctx, lqos_snapshot_id(snapshot, shown.scope, i));
		json_t *object = json_pack(
			"{ss ss}", "name", iface->name, "side",
			iface->side == LQOS_TO_INTERNET	     ? "to_internet"
			: iface->side == LQOS_TO_SUBSCRIBERS ? "to_subscribers"
							     : "stick");

		set_cells(object, &shown, i);
		json_array_append_new(rows, object);
	}
	*out = json_pack("{so so}", "columns", columns_json(&shown), "rows",
			 rows);
	return *out ? 0 : -ENOMEM;
}

int frame_global(const struct lqos_snapshot *snapshot, bool detail,
		 json_t **out)
{
	autofree uint32_t *cols = NULL;
	struct shown shown;
	int rc;

	rc = shown_init(&shown, snapshot, LQOS_SCOPE_GLOBAL, detail, NO_COLUMN);
	if (rc)
		return rc;
	cols = shown.cols;
	if (!lqos_snapshot_rows(snapshot, LQOS_SCOPE_GLOBAL))
		shown.n = 0;
	*out = json_pack("{so}", "columns", columns_json(&shown));
	if (!*out)
		return -ENOMEM;
	set_cells(*out, &shown, 0);
	return 0;
}
