/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.c - a frame as tables: reading it, finding columns, fitting a width.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/lqtop/view.h"

/* ---- Reading a frame ----------------------------------------------------- */

static int column_parse(json_t *json, struct column *out)
{
	static const char *const units[] = {
		[LQOS_UNIT_COUNT] = "count",	 [LQOS_UNIT_BYTES] = "bytes",
		[LQOS_UNIT_PACKETS] = "packets", [LQOS_UNIT_NS] = "ns",
		[LQOS_UNIT_PPM] = "ppm",	 [LQOS_UNIT_CLASS] = "class",
	};
	const char *kind, *unit;
	struct column c;

	if (json_unpack(json, "{ss ss ss ss ss}", "name", &c.name, "title",
			&c.title, "help", &c.help, "kind", &kind, "unit",
			&unit))
		return -EPROTO;
	c.kind = !strcmp(kind, "counter") ? LQOS_COUNTER : LQOS_GAUGE;
	c.unit = LQOS_UNIT_COUNT; /* of a unit newer than this program, too */
	for (size_t i = LQOS_UNIT_COUNT; i < ARRAY_SIZE(units); i++)
		if (!strcmp(unit, units[i]))
			c.unit = i;
	*out = c;
	return 0;
}

static uint64_t number_parse(json_t *json)
{
	if (!json_is_integer(json) || json_integer_value(json) < 0)
		return LQOS_NO_VALUE;
	return json_integer_value(json);
}

static int cells_parse(json_t *values, json_t *rates, size_t n,
		       struct lqos_cell *out)
{
	if (json_array_size(values) != n || json_array_size(rates) != n)
		return -EPROTO;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct lqos_cell){
			.value = number_parse(json_array_get(values, i)),
			.rate = number_parse(json_array_get(rates, i)),
		};
	return 0;
}

/* The parts that only subscribers have may be missing. */
static int row_parse(json_t *json, size_t n_columns, struct row *row)
{
	json_int_t slot = -1, down_max = 0, up_max = 0;
	json_t *values, *rates;

	row->circuit_id = "";
	row->node = "";
	if (json_unpack(json, "{s?I s?s ss s?s s?s s?I s?I so so}", "slot",
			&slot, "circuit_id", &row->circuit_id, "name",
			&row->name, "node", &row->node, "side", &row->node,
			"down_max", &down_max, "up_max", &up_max, "values",
			&values, "rates", &rates))
		return -EPROTO;
	row->slot = slot > 0 ? slot : 0;
	row->unknown = slot == 0;
	row->down_max = down_max > 0 ? down_max : 0;
	row->up_max = up_max > 0 ? up_max : 0;
	return cells_parse(values, rates, n_columns, row->cells);
}

static void table_clear(struct table *table)
{
	free(table->columns);
	free(table->rows);
	free(table->cells);
}

/* rows may be NULL.  What was taken so far is table's, even on failure. */
static int table_parse(json_t *columns, json_t *rows, struct table *table)
{
	size_t n_columns = json_array_size(columns);
	size_t n_rows = json_array_size(rows);
	json_t *item;
	size_t i;
	int rc = 0;

	table->columns = calloc(n_columns + 1, sizeof(*table->columns));
	table->rows = calloc(n_rows + 1, sizeof(*table->rows));
	table->cells = calloc(n_rows * n_columns + 1, sizeof(*table->cells));
	if (!table->columns || !table->rows || !table->cells)
		return -ENOMEM;
	table->n_columns = n_columns;
	table->n_rows = n_rows;
	json_array_foreach(columns, i, item) {
		rc = column_parse(item, &table->columns[i]);
		if (rc)
			return rc;
	}
	json_array_foreach(rows, i, item) {
		table->rows[i].cells = table->cells + i * n_columns;
		rc = row_parse(item, n_columns, &table->rows[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int subscribers_parse(json_t *json, struct view *view)
{
	json_int_t offset, matched, active, known;
	struct table *table = &view->subscribers;
	json_t *columns, *rows, *totals, *by = NULL;
	const char *sort;
	int reverse, rc;

	if (json_unpack(json, "{so so so sI sI sI sI sb s?o}", "columns",
			&columns, "rows", &rows, "totals", &totals, "offset",
			&offset, "matched", &matched, "active", &active,
			"known", &known, "reverse", &reverse, "sort", &by))
		return -EPROTO;
	sort = json_string_value(by);
	rc = table_parse(columns, rows, table);
	if (rc)
		return rc;
	view->totals = calloc(table->n_columns + 1, sizeof(*view->totals));
	if (!view->totals)
		return -ENOMEM;
	rc = cells_parse(totals, totals, table->n_columns, view->totals);
	if (rc)
		return rc;
	for (size_t i = 0; sort && i < table->n_columns; i++)
		if (!strcmp(table->columns[i].name, sort))
			view->sort = i;
	view->reverse = reverse;
	view->offset = offset;
	view->matched = matched;
	view->active = active;
	view->known = known;
	return 0;
}

/* The one row of the global scope, shown as a table like the others. */
static int global_parse(json_t *json, struct table *table)
{
	json_t *rows = json_pack("[{ss sO? sO?}]", "name", "", "values",
				 json_object_get(json, "values"), "rates",
				 json_object_get(json, "rates"));
	int rc = rows ? table_parse(json_object_get(json, "columns"), rows,
				    table)
		      : -ENOMEM;

	for (size_t i = 0; !rc && i < table->n_rows; i++)
		table->rows[i].name = ""; /* not from rows, which goes */
	json_decref(rows);
	return rc;
}

int view_new(struct view **out, json_t *data)
{
	CORE_CLEANUP(view_free) struct view *view = calloc(1, sizeof(*view));
	json_t *subscribers, *interfaces, *global;
	json_int_t seq, ts;
	int rc;

	if (!view)
		return -ENOMEM;
	view->json = json_incref(data);
	view->sort = NO_COLUMN;
	if (json_unpack(data, "{sI sI so so so}", "seq", &seq, "ts_ns", &ts,
			"subscribers", &subscribers, "interfaces", &interfaces,
			"global", &global))
		return -EPROTO;
	view->seq = seq;
	view->ts_ns = ts;
	rc = subscribers_parse(subscribers, view);
	if (!rc)
		rc = table_parse(json_object_get(interfaces, "columns"),
				 json_object_get(interfaces, "rows"),
				 &view->interfaces);
	if (!rc)
		rc = global_parse(global, &view->global);
	if (rc)
		return rc;
	*out = steal_ptr(view);
	return 0;
}

void view_free(struct view **view)
{
	if (!*view)
		return;
	table_clear(&(*view)->subscribers);
	table_clear(&(*view)->interfaces);
	table_clear(&(*view)->global);
	free((*view)->totals);
	json_decref((*view)->json);
	free(*view);
	*view = NULL;
}

/* ---- Order --------------------------------------------------------------- */

struct order {
	size_t column;
	bool counter, reverse;
};

static uint64_t order_key(const struct order *o, const struct row *row)
{
	struct lqos_cell cell = row->cells[o->column];

	return o->counter ? cell.rate : cell.value;
}

static int row_compare(const void *pa, const void *pb, void *arg)
{
	const struct row *a = pa, *b = pb;
	const struct order *o = arg;
	uint64_t ka = order_key(o, a), kb = order_key(o, b);

	if (ka == kb)
		return (a->slot > b->slot) - (a->slot < b->slot);
	/* no value comes last either way */
	if (ka == LQOS_NO_VALUE || kb == LQOS_NO_VALUE)
		return ka == LQOS_NO_VALUE ? 1 : -1;
	return (ka < kb) == o->reverse ? -1 : 1;
}

void view_sort(struct view *view, size_t column, bool reverse)
{
	struct table *t = &view->subscribers;
	struct order order = {.column = column, .reverse = reverse};

	if (column >= t->n_columns)
		return;
	order.counter = t->columns[column].kind == LQOS_COUNTER;
	qsort_r(t->rows, t->n_rows, sizeof(*t->rows), row_compare, &order);
	view->sort = column;
	view->reverse = reverse;
}

/* ---- Finding columns ----------------------------------------------------- */

/* Does part stand in name as whole words, between dots? */
static bool has_words(const char *name, const char *part)
{
	size_t len = strlen(part);

	for (const char *at = name; (at = strcasestr(at, part)); at++)
		if ((at == name || at[-1] == '.') &&
		    (at[len] == '.' || !at[len]))
			return true;
	return false;
}

static bool matches(const struct column *c, const char *part, int how)
{
	if (how == 0)
		return !strcasecmp(c->name, part) ||
		       !strcasecmp(c->title, part);
	return how == 1 ? has_words(c->name, part)
			: !!strcasestr(c->name, part);
}

int column_find(const struct table *table, const char *part, size_t *out,
		char *why, size_t why_size)
{
	size_t found = NO_COLUMN, n = 0, used;
	int how;

	for (how = 0; how < 3 && !n; how++) {
		for (size_t i = 0; i < table->n_columns; i++) {
			if (!matches(&table->columns[i], part, how))
				continue;
			found = i;
			n++;
		}
	}
	if (n == 1) {
		*out = found;
		return 0;
	}
	used = snprintf(why, why_size,
			n ? "\"%s\" is part of several columns:"
			  : "no column has \"%s\" in its name; there are:",
			part);
	for (size_t i = 0; i < table->n_columns && used < why_size; i++) {
		const struct column *c = &table->columns[i];

		if (!n || matches(c, part, how - 1))
			used += snprintf(why + used, why_size - used, " %s",
					 c->name);
	}
	return n ? -EEXIST : -ENOENT;
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

size_t column_ending(const struct table *table, const char *end)
{
	for (size_t i = 0; i < table->n_columns; i++)
		if (ends_in(table->columns[i].name, end))
			return i;
	return NO_COLUMN;
}

/* ---- Plans --------------------------------------------------------------- */

bool column_is_throughput(const struct column *column)
{
	return column->kind == LQOS_COUNTER &&
	       column->unit == LQOS_UNIT_BYTES &&
	       (ends_in(column->name, ".down.bytes") ||
		ends_in(column->name, ".up.bytes"));
}

bool row_plan(const struct table *table, const struct row *row, size_t column,
	      uint64_t *used, uint64_t *plan)
{
	const struct column *c = &table->columns[column];
	uint64_t rate = row->cells[column].rate;
	uint64_t max =
		ends_in(c->name, ".up.bytes") ? row->up_max : row->down_max;

	if (!column_is_throughput(c) || !max || rate == LQOS_NO_VALUE)
		return false;
	*used = rate * 8;
	*plan = max;
	return true;
}

bool row_is_busy(const struct table *table, const struct row *row)
{
	uint64_t used, plan;

	for (size_t i = 0; i < table->n_columns; i++)
		if (row_plan(table, row, i, &used, &plan) &&
		    used > plan - plan / 5)
			return true;
	return false;
}

/* ---- Layout -------------------------------------------------------------- */

enum {
	NAME_NARROW = 16,
	NAME_WIDE = 32,
	CIRCUIT_NARROW = 7, /* its heading */
	OTHER_WIDE = 20,
	CELL_MIN = 5,
	CLASS_MIN = 7,
	BAR = 8,
	GAP = 1,
	MARK = 1, /* beside the title of the column sorted by, before a row */
};

static int larger(int a, int b)
{
	return a > b ? a : b;
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

static int cell_width(const struct table *table, size_t column)
{
	const struct column *c = &table->columns[column];
	int width = c->unit == LQOS_UNIT_CLASS ? CLASS_MIN : CELL_MIN;
	char buf[CELL_TEXT];

	width = larger(width, text_width(c->title) + MARK);
	width = larger(width, text_width(text_unit(c)));
	for (size_t i = 0; i < table->n_rows; i++) {
		text_cell(buf, c, table->rows[i].cells[column]);
		width = larger(width, (int)strlen(buf));
	}
	return width + GAP;
}

/* Cells of columns [first, first + n) in at most width. */
static size_t columns_in(const struct layout *l, size_t n_columns, size_t first,
			 int width)
{
	size_t n = 0;

	for (size_t i = first; i < n_columns; i++, n++) {
		width -= l->widths[i];
		if (width < 0)
			break;
	}
	return n;
}

static void see_labels(struct layout *l, const struct table *table)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct row *row = &table->rows[i];

		l->widest.circuit =
			larger(l->widest.circuit, text_width(row->circuit_id));
		l->widest.name = larger(l->widest.name, text_width(row->name));
		l->widest.node = larger(l->widest.node, text_width(row->node));
	}
}

/* Takes want and a gap from *left if both are there. */
static int take(int *left, int want)
{
	if (!want || *left < want + GAP)
		return 0;
	*left -= want + GAP;
	return want;
}

void layout_make(struct layout *l, const struct table *table, int width,
		 size_t keep)
{
	size_t n_columns = table->n_columns, bars = 0;
	int left, more;

	if (n_columns > LAYOUT_COLUMNS)
		n_columns = LAYOUT_COLUMNS;
	for (size_t i = 0; i < n_columns; i++) {
		l->widths[i] = cell_width(table, i);
		bars += column_is_throughput(&table->columns[i]);
	}
	see_labels(l, table);
	l->name = NAME_NARROW;
	left = width ? width - MARK - l->name : INT_MAX / 2;
	l->first = 0;
	l->n = columns_in(l, n_columns, 0, left);
	/* the column sorted by is always in sight */
	while (keep < n_columns && keep >= l->first + l->n &&
	       l->first < n_columns - 1) {
		l->first++;
		l->n = columns_in(l, n_columns, l->first, left);
	}
	l->hidden = table->n_columns - l->n;
	for (size_t i = l->first; i < l->first + l->n; i++)
		left -= l->widths[i];
	if (l->widest.circuit) /* else nothing there is a circuit */
		l->widest.circuit = larger(l->widest.circuit, CIRCUIT_NARROW);
	l->circuit = take(&left, smaller(l->widest.circuit, OTHER_WIDE));
	more = smaller(l->widest.name, NAME_WIDE) - l->name;
	more = larger(smaller(more, left), 0);
	l->name += more;
	left -= more;
	l->node = take(&left, smaller(l->widest.node, OTHER_WIDE));
	l->bar = width && bars && take(&left, BAR * bars) ? BAR : 0;
}
