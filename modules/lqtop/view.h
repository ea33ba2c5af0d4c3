/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.h - a frame of the feed as lqtop shows it: tables, text and layout.
 * Knows no terminal and no connection.
 */
#ifndef LQTOP_VIEW_H
#define LQTOP_VIEW_H

#include <jansson.h>

#include "core/lqos/module.h"

struct column {
	const char *name, *title, *help;
	enum lqos_kind kind;
	enum lqos_unit unit;
};

struct row {
	uint32_t slot;
	bool unknown; /* of hosts that are no subscriber */
	const char *circuit_id, *name, *node;
	uint64_t down_max, up_max; /* bit/s; 0: no plan */
	struct lqos_cell *cells;
};

struct table {
	struct column *columns;
	size_t n_columns;
	struct row *rows;
	size_t n_rows;
	struct lqos_cell *cells;
};

#define NO_COLUMN SIZE_MAX

struct view {
	json_t *json; /* owner of all strings */
	uint64_t seq; /* of the daemon's snapshot */
	uint64_t ts_ns;
	struct table subscribers, interfaces, global;
	struct lqos_cell *totals; /* of subscribers' columns */
	size_t sort;		  /* NO_COLUMN: by none */
	bool reverse;
	uint64_t offset; /* of the first row among those that match */
	uint64_t matched, active, known;
};

/* data is borrowed.  -EPROTO: it is no frame of "lqtop.top". */
int view_new(struct view **out, json_t *data);
void view_free(struct view **view);
/* Order the rows that are there by column, as the daemon would. */
void view_sort(struct view *view, size_t column, bool reverse);

/*
 * The column whose name is part, or of which part is whole words ("up.bytes"),
 * or in which part occurs.  -ENOENT, -EEXIST (several): why lists what there
 * is.
 */
int column_find(const struct table *table, const char *part, size_t *out,
		char *why, size_t why_size);
/* NO_COLUMN: none has a name that ends like this. */
size_t column_ending(const struct table *table, const char *end);

/* ---- Text ---------------------------------------------------------------- */

enum { CELL_TEXT = 24, SPARKS = 256 };

/* Is the terminal's character set UTF-8?  By the locale. */
bool text_utf8(void);
/* Three digits and k, M, G... of 1000. */
void text_si(char buf[static CELL_TEXT], uint64_t v);
/* The cell as its column shows it: counters by rate.  "-": no value. */
void text_cell(char buf[static CELL_TEXT], const struct column *column,
	       struct lqos_cell cell);
/* What text_cell()'s numbers are: "bit/s", "ms"; "" for plain ones. */
const char *text_unit(const struct column *column);
/* The cell with its unit: "4.21 Gbit/s". */
void text_quantity(char buf[static CELL_TEXT], const struct column *column,
		   struct lqos_cell cell);
/* Columns of a terminal that text takes. */
int text_width(const char *text);
/*
 * text in exactly width columns of the terminal, cut or filled with blanks;
 * to the right if right.  What does not belong on a terminal becomes '?'.
 */
void text_fit(char *buf, size_t size, const char *text, int width, bool right);
/* A bar of width for part of whole; "" if whole is 0. */
void text_bar(char *buf, size_t size, uint64_t part, uint64_t whole, int width);
/* The last width of n values, scaled to the largest of them. */
void text_sparks(char *buf, size_t size, const uint64_t *values, size_t n,
		 int width);

/* Does it count what a subscriber's plan limits? */
bool column_is_throughput(const struct column *column);
/* Is more than 80 % of either side of the row's plan in use? */
bool row_is_busy(const struct table *table, const struct row *row);
/* How much of which plan this cell is, in bit/s; false: it is none of any. */
bool row_plan(const struct table *table, const struct row *row, size_t column,
	      uint64_t *used, uint64_t *plan);

/* ---- Layout: what of a table fits in a width ----------------------------- */

enum { LAYOUT_COLUMNS = 64 };

struct layout {
	int circuit, name, node; /* widths; 0: not shown */
	int bar;		 /* of plans; 0: none */
	size_t first, n;	 /* columns that are shown */
	int widths[LAYOUT_COLUMNS];
	size_t hidden; /* columns that there is no room for */
	struct {
		int circuit, name, node;
	} widest; /* so far: nothing moves when rows come and go */
};

/* width 0: as wide as it takes.  Column keep is shown whatever happens.  l is
 * zero, or that of the frame before. */
void layout_make(struct layout *l, const struct table *table, int width,
		 size_t keep);

#endif /* LQTOP_VIEW_H */
