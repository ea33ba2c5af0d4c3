/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batch.c - frames as text, JSON or CSV, for pipes, files and scripts.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "modules/lqtop/options.h"
#include "modules/lqtop/view.h"

enum { ROWS_DEFAULT = 50, FIELD = 512 };

/* ---- Text ---------------------------------------------------------------- */

static void put_time(uint64_t ts_ns)
{
	time_t seconds = ts_ns / 1000000000;
	struct tm tm;
	char buf[64];

	localtime_r(&seconds, &tm);
	strftime(buf, sizeof(buf), "%F %T", &tm);
	fputs(buf, stdout);
}

static void put_total(const struct view *view, const char *what,
		      const char *ending)
{
	size_t i = column_ending(&view->subscribers, ending);
	char buf[CELL_TEXT];

	if (i == NO_COLUMN)
		return;
	text_quantity(buf, &view->subscribers.columns[i], view->totals[i]);
	printf("  %s %s", what, buf);
}

static void put_label(const char *text, int width)
{
	char buf[FIELD];

	if (!width)
		return;
	text_fit(buf, sizeof(buf), text, width, false);
	printf("%s ", buf);
}

static void put_labels(const struct layout *l, const char *circuit,
		       const char *name, const char *node)
{
	char buf[FIELD];

	put_label(circuit, l->circuit);
	text_fit(buf, sizeof(buf), name, l->name, false);
	printf("%s", buf);
	if (!l->node)
		return;
	text_fit(buf, sizeof(buf), node, l->node, false);
	printf(" %s", buf);
}

static void put_right(const char *text, int width)
{
	char buf[FIELD];

	text_fit(buf, sizeof(buf), text, width, true);
	fputs(buf, stdout);
}

static void put_heading(const struct table *t, const struct layout *l,
			size_t sort, const char *const labels[3])
{
	char buf[FIELD];

	put_labels(l, labels[0], labels[1], labels[2]);
	for (size_t i = l->first; i < l->first + l->n; i++) {
		snprintf(buf, sizeof(buf), "%s%s", t->columns[i].title,
			 i == sort ? "*" : "");
		put_right(buf, l->widths[i]);
	}
	putchar('\n');
	put_labels(l, "", "", "");
	for (size_t i = l->first; i < l->first + l->n; i++)
		put_right(text_unit(&t->columns[i]), l->widths[i]);
	putchar('\n');
}

static void put_cells(const struct table *t, const struct layout *l,
		      const struct lqos_cell *cells)
{
	char buf[CELL_TEXT];

	for (size_t i = l->first; i < l->first + l->n; i++) {
		text_cell(buf, &t->columns[i], cells[i]);
		put_right(buf, l->widths[i]);
	}
	putchar('\n');
}

static void put_table(const struct table *t, size_t sort,
		      const struct lqos_cell *totals,
		      const char *const labels[3])
{
	struct layout l = {0};

	layout_make(&l, t, 0, NO_COLUMN);
	put_heading(t, &l, sort, labels);
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct row *row = &t->rows[i];

		put_labels(&l, row->circuit_id, row->name, row->node);
		put_cells(t, &l, row->cells);
	}
	if (!totals)
		return;
	put_labels(&l, "", "(total)", "");
	put_cells(t, &l, totals);
}

static void put_globals(const struct table *t)
{
	char buf[CELL_TEXT];

	for (size_t i = 0; t->n_rows && i < t->n_columns; i++) {
		text_quantity(buf, &t->columns[i], t->rows[0].cells[i]);
		printf("%-32s %12s\n", t->columns[i].name, buf);
	}
}

static void put_text(const struct view *view, const struct query *query)
{
	static const char *const people[] = {"Circuit", "Name", "Node"};
	static const char *const sides[] = {"", "Interface", "Side"};

	put_time(view->ts_ns);
	put_total(view, "down", ".down.bytes");
	put_total(view, "up", ".up.bytes");
	printf("  %" PRIu64 " of %" PRIu64 " subscribers active", view->active,
	       view->known);
	if (*query->filter)
		printf(", %" PRIu64 " match \"%s\"", view->matched,
		       query->filter);
	putchar('\n');
	put_table(&view->subscribers, view->sort, view->totals, people);
	if (query->detail && view->interfaces.n_columns)
		put_table(&view->interfaces, NO_COLUMN, NULL, sides);
	if (query->detail)
		put_globals(&view->global);
	putchar('\n');
}

/* ---- CSV ----------------------------------------------------------------- */

static void put_csv_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(iscntrl((unsigned char)*text) ? '?' : *text);
	}
	fputs("\",", stdout);
}

static void put_csv_number(uint64_t v)
{
	putchar(',');
	if (v != LQOS_NO_VALUE)
		printf("%" PRIu64, v);
}

/* A counter has two: what it counted, and NAME/s. */
static void put_csv_heading(const struct table *t)
{
	fputs("time,slot,circuit_id,name,node,down_max,up_max", stdout);
	for (size_t i = 0; i < t->n_columns; i++) {
		printf(",%s", t->columns[i].name);
		if (t->columns[i].kind == LQOS_COUNTER)
			printf(",%s/s", t->columns[i].name);
	}
	putchar('\n');
}

static void put_csv(const struct view *view, bool first)
{
	const struct table *t = &view->subscribers;

	if (first)
		put_csv_heading(t);
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct row *row = &t->rows[i];

		printf("%" PRIu64 ".%03u,%u,", view->ts_ns / 1000000000,
		       (unsigned int)(view->ts_ns / 1000000 % 1000), row->slot);
		put_csv_text(row->circuit_id);
		put_csv_text(row->name);
		put_csv_text(row->node);
		printf("%" PRIu64 ",%" PRIu64, row->down_max, row->up_max);
		for (size_t c = 0; c < t->n_columns; c++) {
			put_csv_number(row->cells[c].value);
			if (t->columns[c].kind == LQOS_COUNTER)
				put_csv_number(row->cells[c].rate);
		}
		putchar('\n');
	}
}

/* ---- Frames -------------------------------------------------------------- */

static int put_frame(const struct options *options, json_t *frame, bool first)
{
	CORE_CLEANUP(view_free) struct view *view = NULL;
	int rc = 0;

	if (options->output == OUTPUT_JSON) {
		json_dumpf(frame, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		rc = view_new(&view, json_object_get(frame, "data"));
	}
	if (rc) {
		fprintf(stderr,
			"lqtop: lqosd sent a frame that is not understood "
			"(%s): lqtop and lqosd are of different versions\n",
			strerror(-rc));
		return rc;
	}
	if (view && options->output == OUTPUT_TEXT)
		put_text(view, &options->query);
	if (view && options->output == OUTPUT_CSV)
		put_csv(view, first);
	if (!fflush(stdout))
		return 0;
	rc = -errno;
	fprintf(stderr, "lqtop: standard output: %s\n", strerror(errno));
	return rc;
}

static int put_frames(const struct options *options, struct link *link,
		      char why[static WHY])
{
	int rc = 0;

	for (unsigned int n = 0; !options->count || n < options->count; n++) {
		json_t *frame;

		rc = link_next(link, -1, &frame, why);
		if (rc)
			return rc;
		rc = put_frame(options, frame, n == 0);
		json_decref(frame);
		if (rc) {
			why[0] = '\0'; /* was said */
			return rc;
		}
	}
	return 0;
}

int batch_run(const struct options *options)
{
	CORE_CLEANUP(link_close) struct link *link = NULL;
	struct query query = options->query;
	char why[WHY];
	int rc;

	query.limit = options->rows ? options->rows : ROWS_DEFAULT;
	rc = link_open(&link, options->bus, why);
	if (!rc && *query.sort)
		rc = link_resolve(link, query.sort, sizeof(query.sort), why);
	if (!rc)
		rc = link_subscribe(link, &query, why);
	if (!rc)
		rc = put_frames(options, link, why);
	if (rc && *why)
		fprintf(stderr, "lqtop: %s\n", why);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
