/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Columns that modules declare, and the snapshot of them once a second. */
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/core.h"

#define WHO "metrics"

/* How long a subscriber without traffic stays in the table, in ticks. */
enum { LATELY = 30 };

#define SCOPES (LQOS_SCOPE_FLOW + 1)

struct column {
	struct core_column pub;
	struct core_metrics *metrics;
	struct core_owned *receipt;
	struct lqos_ctx *ctx;
	/* By row; counters only. */
	uint64_t *last; /* read at the tick before */
	uint64_t *base; /* read when the slot was given out */
};

struct scope {
	struct column **columns;
	size_t n_columns;
	uint32_t n_ids; /* rows there can be */
	/* Room of the snapshot's table. */
	const struct core_column **shown;
	struct core_row *rows;
	struct core_cell *cells;
	size_t room; /* rows there is room for */
};

struct core_metrics {
	struct core *core;
	struct scope scopes[SCOPES];
	struct core_snapshot snapshot;
	uint64_t last_ns; /* CLOCK_MONOTONIC */
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int core_metrics_new(struct core_metrics **out, struct core *core)
{
	struct core_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->core = core;
	m->scopes[LQOS_SCOPE_GLOBAL].n_ids = 1;
	m->scopes[LQOS_SCOPE_INTERFACE].n_ids = 64;
	m->scopes[LQOS_SCOPE_SUBSCRIBER].n_ids =
		core->settings.max_subscribers + 1;
	*out = m;
	return 0;
}

/* The table's shape has changed: the next tick lays it out anew. */
static void drop_table(struct core_metrics *m, enum lqos_scope which)
{
	struct scope *scope = &m->scopes[which];

	free(scope->shown);
	free(scope->rows);
	free(scope->cells);
	scope->shown = NULL;
	scope->rows = NULL;
	scope->cells = NULL;
	scope->room = 0;
	m->snapshot.tables[which] = (struct core_table){};
}

void core_metrics_free(struct core_metrics **metrics)
{
	struct core_metrics *m = *metrics;
	int i;

	if (!m)
		return;
	for (i = 0; i < SCOPES; i++) {
		drop_table(m, i);
		free(m->scopes[i].columns);
	}
	free(m);
	*metrics = NULL;
}

static void free_column(struct column *c)
{
	free(c->last);
	free(c->base);
	free(c);
}

static void remove_column(void *arg)
{
	struct column *c = arg;
	enum lqos_scope which = c->pub.decl->scope;
	struct scope *scope = &c->metrics->scopes[which];
	size_t i;

	drop_table(c->metrics, which);
	for (i = 0; i < scope->n_columns && scope->columns[i] != c; i++)
		;
	if (i < scope->n_columns) {
		scope->n_columns--;
		memmove(&scope->columns[i], &scope->columns[i + 1],
			(scope->n_columns - i) * sizeof(scope->columns[0]));
	}
	free_column(c);
}

static int check_column(struct lqos_ctx *ctx, const struct lqos_column *col)
{
	if (!col->name || !col->title || !col->read)
		return core_fail(ctx->name, -EINVAL,
				 "a column wants a name, a "
				 "title and a reader");
	if (col->scope < LQOS_SCOPE_GLOBAL || col->scope >= SCOPES)
		return core_fail(ctx->name, -EINVAL, "column %s: no scope %d",
				 col->name, col->scope);
	if (col->kind != LQOS_COUNTER && col->kind != LQOS_GAUGE)
		return core_fail(ctx->name, -EINVAL, "column %s: no kind %d",
				 col->name, col->kind);
	return 0;
}

int lqos_column_add(struct lqos_ctx *ctx, const struct lqos_column *col,
		    void *arg)
{
	struct core_metrics *m = ctx->core->metrics;
	struct column **columns, *c;
	struct scope *scope;
	size_t i;
	int rc;

	if (!m)
		return -ENODEV;
	rc = check_column(ctx, col);
	if (rc)
		return rc;
	scope = &m->scopes[col->scope];
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->metrics = m;
	c->pub.decl = col;
	c->pub.arg = arg;
	c->ctx = ctx;
	snprintf(c->pub.name, sizeof(c->pub.name), "%s.%s", ctx->name,
		 col->name);
	c->last = calloc(scope->n_ids, sizeof(*c->last));
	c->base = calloc(scope->n_ids, sizeof(*c->base));
	for (i = 0; i < scope->n_columns; i++) {
		if (strcmp(scope->columns[i]->pub.name, c->pub.name))
			continue;
		free_column(c);
		return core_fail(ctx->name, -EEXIST,
				 "column %s is there "
				 "already",
				 col->name);
	}
	columns = reallocarray(scope->columns, scope->n_columns + 1,
			       sizeof(*columns));
	if (columns)
		scope->columns = columns;
	if (!columns || !c->last || !c->base) {
		free_column(c);
		return -ENOMEM;
	}
	drop_table(m, col->scope);
	columns[scope->n_columns++] = c;
	return core_own(ctx, remove_column, c, &c->receipt);
}

/* Room for n rows; -ENOMEM. */
static int make_room(struct core_metrics *m, enum lqos_scope which, size_t n)
{
	struct scope *scope = &m->scopes[which];
	size_t i;

	if (!scope->shown) {
		scope->shown =
			calloc(scope->n_columns ?: 1, sizeof(*scope->shown));
		if (!scope->shown)
			return -ENOMEM;
		for (i = 0; i < scope->n_columns; i++)
			scope->shown[i] = &scope->columns[i]->pub;
	}
	if (n <= scope->room)
		return 0;
	n += n / 2;
	m->snapshot.tables[which] = (struct core_table){};
	free(scope->rows);
	free(scope->cells);
	scope->rows = calloc(n, sizeof(*scope->rows));
	scope->cells =
		calloc(n * (scope->n_columns ?: 1), sizeof(*scope->cells));
	scope->room = scope->rows && scope->cells ? n : 0;
	if (!scope->room)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		scope->rows[i].cells = &scope->cells[i * scope->n_columns];
	return 0;
}

static void read_cell(struct column *c, uint32_t id, uint64_t interval_ns,
		      struct core_cell *cell)
{
	uint64_t value = c->pub.decl->read(id, c->pub.arg), grown;

	cell->rate = 0;
	cell->value = value;
	if (c->pub.decl->kind != LQOS_COUNTER || value == LQOS_NO_VALUE)
		return;
	/* One that went back was started afresh. */
	if (value < c->last[id])
		c->last[id] = c->base[id] = 0;
	grown = value - c->last[id];
	if (interval_ns && grown)
		cell->rate = (uint64_t)((unsigned __int128)grown * 1000000000 /
					interval_ns);
	c->last[id] = value;
	cell->value = value - c->base[id];
}

static void read_row(struct core_metrics *m, struct scope *scope, uint32_t id,
		     struct core_row *row)
{
	size_t i;

	row->id = id;
	for (i = 0; i < scope->n_columns; i++)
		read_cell(scope->columns[i], id, m->snapshot.interval_ns,
			  &row->cells[i]);
}

static void fill_table(struct core_metrics *m, enum lqos_scope which, size_t n)
{
	struct scope *scope = &m->scopes[which];

	m->snapshot.tables[which] = (struct core_table){
		.columns = scope->shown,
		.n_columns = scope->n_columns,
		.rows = scope->rows,
		.n_rows = n,
	};
}

static void read_all(struct core_metrics *m, enum lqos_scope which, uint32_t n)
{
	struct scope *scope = &m->scopes[which];
	uint32_t i;

	if (n > scope->n_ids)
		n = scope->n_ids;
	if (make_room(m, which, n))
		return;
	for (i = 0; i < n; i++)
		read_row(m, scope, i, &scope->rows[i]);
	fill_table(m, which, n);
}

/* Had traffic within LATELY ticks of the one that was closed. */
static bool seen_lately(uint64_t seen, uint32_t closed)
{
	/* The next tick runs already: a slot may be marked with that. */
	return seen && closed + 1 - (uint32_t)seen <= LATELY;
}

static void read_subscribers(struct core_metrics *m)
{
	struct scope *scope = &m->scopes[LQOS_SCOPE_SUBSCRIBER];
	struct lqos_ctx *ctx = m->core->ctx;
	const uint64_t *seen;
	uint32_t closed, slot;
	size_t n = 0, at = 0;

	if (!m->core->datapath)
		return;
	closed = core_datapath_tick(m->core->datapath, &seen);
	for (slot = 0; slot < scope->n_ids; slot++)
		n += seen_lately(seen[slot], closed);
	if (make_room(m, LQOS_SCOPE_SUBSCRIBER, n))
		return;
	for (slot = 0; slot < scope->n_ids && at < n; slot++)
		if (seen_lately(seen[slot], closed) &&
		    (!slot || lqos_subscriber(ctx, slot)))
			read_row(m, scope, slot, &scope->rows[at++]);
	fill_table(m, LQOS_SCOPE_SUBSCRIBER, at);
}

void core_metrics_tick(struct core_metrics *m)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	m->snapshot.seq++;
	m->snapshot.ts_ns = now_ns(CLOCK_REALTIME);
	m->snapshot.interval_ns = m->last_ns ? now - m->last_ns : 0;
	m->last_ns = now;
	read_all(m, LQOS_SCOPE_GLOBAL, 1);
	if (m->core->datapath)
		read_all(m, LQOS_SCOPE_INTERFACE,
			 lqos_interfaces(m->core->ctx));
	read_subscribers(m);
	if (m->core->feed)
		core_feed_tick(m->core->feed);
}

const struct core_snapshot *core_metrics_snapshot(struct core_metrics *m)
{
	return m->snapshot.seq ? &m->snapshot : NULL;
}

uint32_t lqos_flow_columns(struct lqos_ctx *ctx)
{
	struct core_metrics *m = ctx->core->metrics;

	return m ? m->scopes[LQOS_SCOPE_FLOW].n_columns : 0;
}

const struct lqos_column *lqos_flow_column(struct lqos_ctx *ctx, uint32_t i,
					   const char **name)
{
	const struct column *c =
		ctx->core->metrics->scopes[LQOS_SCOPE_FLOW].columns[i];

	*name = c->pub.name;
	return c->pub.decl;
}

uint64_t lqos_flow_value(struct lqos_ctx *ctx, uint32_t i, uint32_t flow)
{
	const struct column *c =
		ctx->core->metrics->scopes[LQOS_SCOPE_FLOW].columns[i];

	return c->pub.decl->read(flow, c->pub.arg);
}

static void read_last(struct core_metrics *m, uint32_t slot, bool from_here)
{
	struct scope *scope = &m->scopes[LQOS_SCOPE_SUBSCRIBER];
	size_t i;

	for (i = 0; i < scope->n_columns && slot < scope->n_ids; i++) {
		struct column *c = scope->columns[i];

		if (c->pub.decl->kind != LQOS_COUNTER)
			continue;
		c->last[slot] = c->pub.decl->read(slot, c->pub.arg);
		if (from_here)
			c->base[slot] = c->last[slot];
	}
}

void core_metrics_slot_reset(struct core_metrics *m, uint32_t slot)
{
	read_last(m, slot, true);
}

void core_metrics_slot_resume(struct core_metrics *m, uint32_t slot)
{
	read_last(m, slot, false);
}
