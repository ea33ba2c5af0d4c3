/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * draw.c - the live screen on the terminal.  Whatever colour says is said by
 * an attribute or a mark as well.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curses.h>

#include "modules/lqtop/screen.h"

enum { LINE = 2 * WHY }; /* bytes of the longest line */

enum { /* lines from the top */
       Y_TITLE,
       Y_TOTALS,
       Y_MESSAGE,
       Y_HEADING,
       Y_UNITS,
       Y_BODY,
       Y_ROWS, /* behind the total */
};

enum paint { PLAIN, GOOD, BUSY, BAD, HEADING };

static bool utf8;

void draw_setup(void)
{
	const char *no_color = getenv("NO_COLOR");

	utf8 = text_utf8();
	if ((no_color && *no_color) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(GOOD, COLOR_GREEN, -1);
	init_pair(BUSY, COLOR_YELLOW, -1);
	init_pair(BAD, COLOR_RED, -1);
	init_pair(HEADING, COLOR_CYAN, -1);
}

/* Pairs that were not set up look like the rest. */
static void paint(enum paint what, attr_t attr)
{
	attrset(attr | COLOR_PAIR(what));
}

/* text at (y, x), cut at the edge; returns where it ends. */
static int put(int y, int x, const char *text)
{
	char buf[LINE];
	int width = text_width(text);

	if (width > COLS - x)
		width = COLS - x;
	text_fit(buf, sizeof(buf), text, width, false);
	mvaddstr(y, x, buf);
	return x + width;
}

static int put_right(int y, int x, const char *text, int width)
{
	char buf[LINE];

	text_fit(buf, sizeof(buf), text, width, true);
	mvaddstr(y, x, buf);
	return x + width;
}

/* text in width and the gap after it; nothing for no width. */
static int put_label(int y, int x, const char *text, int width)
{
	char buf[LINE];

	if (!width)
		return x;
	text_fit(buf, sizeof(buf), text, width, false);
	mvaddstr(y, x, buf);
	return x + width + 1;
}

unsigned int draw_room(void)
{
	return LINES > Y_ROWS + 2 ? LINES - Y_ROWS - 1 : 1;
}

uint64_t screen_rows(const struct screen *s)
{
	uint64_t rows = s->view ? s->view->matched : 0;

	return s->options->rows && rows > s->options->rows ? s->options->rows
							   : rows;
}

/* ---- Above the table ----------------------------------------------------- */

static void state_text(const struct screen *s, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	if (s->dropped)
		used = snprintf(buf, size, "dropped %" PRIu64 "  ", s->dropped);
	if (!s->link)
		snprintf(buf + used, size - used, "waiting for lqosd%s ",
			 utf8 ? "…" : "...");
	else if (s->silent_ms > 1000ull * (3 * s->query.every + 2))
		snprintf(buf + used, size - used, "no data for %" PRIu64 " s ",
			 s->silent_ms / 1000);
	else if (s->paused)
		snprintf(buf + used, size - used, "PAUSED ");
	else
		snprintf(buf + used, size - used, "connected, every %u s ",
			 s->query.every);
}

static void draw_title(const struct screen *s)
{
	char left[LINE], state[128], clock[16] = "";
	const struct view *v = s->view;
	struct tm tm;
	time_t t;
	int x;

	paint(s->link ? PLAIN : BAD, A_REVERSE);
	mvhline(Y_TITLE, 0, ' ' | A_REVERSE, COLS);
	if (v) {
		t = v->ts_ns / 1000000000;
		strftime(clock, sizeof(clock), "%T", localtime_r(&t, &tm));
		snprintf(left, sizeof(left),
			 " lqtop  %s  %" PRIu64 " of %" PRIu64
			 " subscribers active",
			 clock, v->active, v->known);
	} else {
		snprintf(left, sizeof(left), " lqtop");
	}
	state_text(s, state, sizeof(state));
	put(Y_TITLE, 0, left);
	x = COLS - text_width(state);
	/* Where there is no room for both, what is wrong matters more. */
	if (x > text_width(left) || !s->link || s->paused)
		put(Y_TITLE, x > 0 ? x : 0, state);
}

/* "Down 4.21 Gbit/s" and its past, in width. */
static void draw_total(const struct view *v, const char *what,
		       const char *ending, const uint64_t *history, size_t n,
		       int x, int width)
{
	size_t i = column_ending(&v->subscribers, ending);
	char text[CELL_TEXT], line[LINE];
	int end = x + width;

	if (i == NO_COLUMN)
		return;
	text_quantity(text, &v->subscribers.columns[i], v->totals[i]);
	paint(PLAIN, A_NORMAL);
	x = put(Y_TOTALS, x, what) + 1;
	paint(PLAIN, A_BOLD);
	x = put_right(Y_TOTALS, x, text, 11) + 2;
	paint(GOOD, A_NORMAL);
	text_sparks(line, sizeof(line), history, n, end - x);
	put(Y_TOTALS, x, line);
}

static void draw_totals(const struct screen *s)
{
	int half = COLS / 2 - 1;

	draw_total(s->view, "Down", ".down.bytes", s->down, s->n_history, 1,
		   half - 1);
	draw_total(s->view, "Up", ".up.bytes", s->up, s->n_history, half + 2,
		   COLS - half - 3);
}

/* One line: what stands in the way, or what is being typed, or shown. */
static void draw_message(const struct screen *s)
{
	const struct view *v = s->view;
	char line[LINE];

	paint(PLAIN, A_NORMAL);
	if (s->editing) {
		paint(PLAIN, A_BOLD);
		snprintf(line, sizeof(line), " filter: %s%s", s->query.filter,
			 utf8 ? "▏" : "_");
	} else if (!s->link) {
		paint(BAD, A_BOLD);
		snprintf(line, sizeof(line), " %s", s->why);
	} else if (*s->query.filter && v) {
		snprintf(line, sizeof(line),
			 " filter: \"%s\", %" PRIu64
			 " match; totals are theirs; Esc clears",
			 s->query.filter, v->matched);
	} else if (v && v->sort != NO_COLUMN) {
		const struct column *c = &v->subscribers.columns[v->sort];

		paint(PLAIN, A_DIM);
		snprintf(line, sizeof(line), " by %s: %s", c->name, c->help);
	} else {
		return;
	}
	put(Y_MESSAGE, 0, line);
}

/* ---- Tables -------------------------------------------------------------- */

static int draw_labels(int y, const struct layout *l, const char *circuit,
		       const char *name, const char *node)
{
	int x = 1;

	x = put_label(y, x, circuit, l->circuit);
	x = put_label(y, x, name, l->name) - 1;
	if (l->node)
		x = put_label(y, x + 1, node, l->node) - 1;
	return x;
}

/* Columns of the terminal for the bar after a cell. */
static int bar_width(const struct layout *l, const struct table *t, size_t i)
{
	return l->bar && column_is_throughput(&t->columns[i]) ? l->bar : 0;
}

static void draw_heading(int y, const struct table *t, const struct layout *l,
			 const struct view *sorted, const char *const labels[3])
{
	static const char *const marks[] = {"v", "^", "▼", "▲"};
	char title[LINE];
	int x;

	paint(HEADING, A_BOLD);
	x = draw_labels(y, l, labels[0], labels[1], labels[2]);
	for (size_t i = l->first; i < l->first + l->n; i++) {
		bool by = sorted && i == sorted->sort;

		snprintf(title, sizeof(title), "%s%s", t->columns[i].title,
			 by ? marks[utf8 * 2 + sorted->reverse] : "");
		paint(HEADING, by ? A_BOLD | A_UNDERLINE : A_BOLD);
		put_right(y, x + 1, title, l->widths[i] - 1);
		paint(PLAIN, A_DIM);
		put_right(y + 1, x, text_unit(&t->columns[i]), l->widths[i]);
		x += l->widths[i] + bar_width(l, t, i);
	}
	paint(PLAIN, A_DIM);
	if (l->hidden) {
		snprintf(title, sizeof(title), "+%zu columns: < >", l->hidden);
		put(y + 1, 1, title);
	}
}

static void draw_row(int y, const struct table *t, const struct layout *l,
		     const struct row *row, size_t sort)
{
	bool busy = row_is_busy(t, row);
	attr_t attr = busy ? A_BOLD : A_NORMAL;
	enum paint colour = busy ? BUSY : PLAIN;
	char text[LINE];
	int x;

	if (row->unknown)
		attr = A_DIM;
	paint(colour, attr);
	mvaddstr(y, 0, busy ? "!" : " ");
	x = draw_labels(y, l, row->circuit_id,
			*row->name ? row->name : row->circuit_id, row->node);
	for (size_t i = l->first; i < l->first + l->n; i++) {
		int bar = bar_width(l, t, i);
		uint64_t used, plan;

		paint(colour, i == sort ? attr | A_BOLD : attr);
		text_cell(text, &t->columns[i], row->cells[i]);
		x = put_right(y, x, text, l->widths[i]);
		if (bar && row_plan(t, row, i, &used, &plan)) {
			text_bar(text, sizeof(text), used, plan, bar - 1);
			paint(busy ? BUSY : GOOD, A_NORMAL);
			mvaddstr(y, x + 1, text);
		}
		x += bar;
	}
}

static void draw_middle(const char *text)
{
	int x = (COLS - text_width(text)) / 2;

	paint(PLAIN, A_BOLD);
	put(Y_ROWS + (LINES - Y_ROWS) / 3, x > 0 ? x : 0, text);
}

static void draw_subscribers(struct screen *s)
{
	static const char *const labels[] = {"Circuit", "Name", "Node"};
	const struct view *v = s->view;
	uint64_t rows = screen_rows(s);
	struct layout *l = &s->layout;
	char text[LINE];

	layout_make(l, &v->subscribers, COLS, v->sort);
	draw_heading(Y_HEADING, &v->subscribers, l, v, labels);
	draw_row(Y_BODY, &v->subscribers, l,
		 &(struct row){.circuit_id = "",
			       .name = "(total)",
			       .node = "",
			       .cells = v->totals},
		 v->sort);
	for (unsigned int i = 0; i < draw_room() && s->top + i < rows; i++) {
		uint64_t at = s->top + i - v->offset;

		/* what was scrolled to is still to come */
		if (s->top + i < v->offset || at >= v->subscribers.n_rows)
			continue;
		draw_row(Y_ROWS + (int)i, &v->subscribers, l,
			 &v->subscribers.rows[at], v->sort);
	}
	if (v->matched)
		return;
	if (!s->link)
		return;
	if (*s->query.filter)
		snprintf(text, sizeof(text), "nothing matches \"%s\"",
			 s->query.filter);
	else
		snprintf(text, sizeof(text), "waiting for traffic%s",
			 utf8 ? "…" : "...");
	draw_middle(text);
}

/* ---- The other pages ----------------------------------------------------- */

static void draw_interfaces(const struct view *v)
{
	static const char *const labels[] = {"", "Interface", "Side"};
	const struct table *t = &v->interfaces;
	char text[CELL_TEXT], line[LINE];
	struct layout l = {0};
	int y = Y_BODY;

	layout_make(&l, t, COLS, NO_COLUMN);
	draw_heading(Y_HEADING, t, &l, NULL, labels);
	for (size_t i = 0; i < t->n_rows && y < LINES - 1; i++, y++)
		draw_row(y, t, &l, &t->rows[i], NO_COLUMN);
	y++;
	t = &v->global;
	for (size_t i = 0; t->n_rows && i < t->n_columns && y < LINES - 1;
	     i++, y++) {
		paint(PLAIN, A_NORMAL);
		text_quantity(text, &t->columns[i], t->rows[0].cells[i]);
		put_label(y, 1, t->columns[i].title, 12);
		paint(PLAIN, A_BOLD);
		put_right(y, 13, text, 12);
		paint(PLAIN, A_DIM);
		snprintf(line, sizeof(line), "%s (%s)", t->columns[i].help,
			 t->columns[i].name);
		put(y, 27, line);
	}
}

static void draw_help(const struct view *v)
{
	static const char *const keys[][2] = {
		{"q", "quit"},
		{"< >  left right", "sort by the column before, after"},
		{"r", "reverse the order"},
		{"/", "filter by circuit, name or node; Enter keeps, Esc "
		      "clears"},
		{"up down PgUp PgDn Home End", "scroll"},
		{"a", "all columns, also details"},
		{"i", "interfaces and lqosd itself"},
		{"p  Z", "pause"},
		{"+ -", "seconds between frames"},
	};
	char name[LINE], unit[CELL_TEXT + 4];
	const struct table *t;
	int y = Y_TITLE + 2;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++, y++) {
		paint(HEADING, A_BOLD);
		put(y, 1, keys[i][0]);
		paint(PLAIN, A_NORMAL);
		put(y, 30, keys[i][1]);
	}
	y++;
	paint(BUSY, A_BOLD);
	put(y++, 1, "! yellow: more than 80 % of the plan, down or up");
	paint(PLAIN, A_DIM);
	put(y++, 1, "dim: traffic of addresses that are no subscriber's");
	y++;
	t = v ? &v->subscribers : NULL;
	for (size_t i = 0; t && i < t->n_columns && y < LINES - 1; i++, y++) {
		const struct column *c = &t->columns[i];

		snprintf(unit, sizeof(unit), *text_unit(c) ? ", %s" : "%s",
			 text_unit(c));
		snprintf(name, sizeof(name), "%s%s", c->title, unit);
		paint(HEADING, A_BOLD);
		put_label(y, 1, name, 20);
		paint(PLAIN, A_NORMAL);
		put(y, 22, c->help);
	}
}

static void draw_hints(const struct screen *s)
{
	const char *hints =
		s->editing ? "Enter keep  Esc clear  Ctrl-U empty"
		: s->page != PAGE_SUBSCRIBERS
			? "q quit  any other key: back"
			: "h help  q quit  <> sort  r reverse  / filter  "
			  "p pause  a all  i interfaces";
	uint64_t rows = screen_rows(s), last = s->top + draw_room();
	char where[64];
	int x;

	paint(PLAIN, A_DIM);
	put(LINES - 1, 1, hints);
	if (s->page != PAGE_SUBSCRIBERS || !s->view || rows <= draw_room())
		return;
	snprintf(where, sizeof(where), "  %" PRIu64 "-%" PRIu64 "/%" PRIu64 " ",
		 s->top + 1, last < rows ? last : rows, rows);
	x = COLS - text_width(where);
	put(LINES - 1, x > 0 ? x : 0, where);
}

void draw_screen(struct screen *s)
{
	erase();
	draw_title(s);
	if (s->page == PAGE_HELP) {
		draw_help(s->view);
	} else {
		draw_message(s);
		if (s->view)
			draw_totals(s);
		if (s->view && s->page == PAGE_INTERFACES)
			draw_interfaces(s->view);
		else if (s->view)
			draw_subscribers(s);
		if (!s->link && !screen_rows(s))
			draw_middle(utf8 ? "waiting for lqosd…"
					 : "waiting for lqosd...");
	}
	draw_hints(s);
	refresh();
}
