/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics.c - columns that modules declare, and the tick's snapshot of them.
 *
 * A tick reads the counters of those rows alone that may have grown: in the
 * memory of one row, what was read before and since lies side by side.  Gauges
 * are read where somebody looks.
 */
#include <string.h>
#include <sys/queue.h>
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
};

struct scope {
	struct column **columns;
	size_t n_columns;
	uint32_t n_ids;	  /* rows there can be */
	uint32_t n_cells; /* of a row; those of columns that went stay */
	/* By id; NULL: all its counters were 0 when they were last read. */
	struct core_row **rows;
	/* The snapshot's table. */
	const struct core_column **shown;
	struct core_row **listed; /* room for all */
};

struct watcher {
	TAILQ_ENTRY(watcher) next;
	struct core_metrics *metrics;
	struct core_owned *receipt;
	void (*fn)(uint32_t slot, enum lqos_slot_event event, void *arg);
	void *arg;
};

struct core_metrics {
	struct core *core;
	struct scope scopes[SCOPES];
	TAILQ_HEAD(, watcher) watchers;
	struct core_snapshot snapshot;
	uint64_t last_ns; /* CLOCK_MONOTONIC */
	bool short_of_memory;
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
	TAILQ_INIT(&m->watchers);
	m->scopes[LQOS_SCOPE_GLOBAL].n_ids = 1;
	m->scopes[LQOS_SCOPE_INTERFACE].n_ids = 64;
	m->scopes[LQOS_SCOPE_SUBSCRIBER].n_ids =
		core->settings.max_subscribers + 1;
	*out = m;
	return 0;
}

/* The table's columns have changed: the next tick lays it out anew. */
static void drop_table(struct core_metrics *m, enum lqos_scope which)
{
	struct scope *scope = &m->scopes[which];

	free(scope->shown);
	scope->shown = NULL;
	m->snapshot.tables[which] = (struct core_table){};
}

static void free_scope(struct core_metrics *m, enum lqos_scope which)
{
	struct scope *scope = &m->scopes[which];
	uint32_t id;

	drop_table(m, which);
	for (id = 0; scope->rows && id < scope->n_ids; id++)
		free(scope->rows[id]);
	free(scope->rows);
	free(scope->listed);
	free(scope->columns);
}

void core_metrics_free(struct core_metrics **metrics)
{
	struct core_metrics *m = *metrics;
	int i;

	if (!m)
		return;
	for (i = 0; i < SCOPES; i++)
		free_scope(m, i);
	free(m);
	*metrics = NULL;
}

/* ---- Rows ---------------------------------------------------------------- */

/* NULL: no memory. */
static struct core_row *row_new(uint32_t id, uint32_t n_cells)
{
	struct core_row *row;

	row = calloc(1, sizeof(*row) + n_cells * (sizeof(row->cells[0]) +
						  sizeof(row->base[0])));
	if (!row)
		return NULL;
	row->id = id;
	row->base = (uint64_t *)(row->cells + n_cells);
	return row;
}

/* The row is made if there is none; NULL: no memory. */
static struct core_row *row_of(struct scope *scope, uint32_t id)
{
	if (!scope->rows)
		scope->rows = calloc(scope->n_ids, sizeof(struct core_row *));
	if (!scope->rows)
		return NULL;
	if (!scope->rows[id])
		scope->rows[id] = row_new(id, scope->n_cells);
	return scope->rows[id];
}

/* One cell more in each row there is, for the counter that comes. */
static int widen(struct scope *scope)
{
	uint32_t n = scope->n_cells, id;

	for (id = 0; scope->rows && id < scope->n_ids; id++) {
		struct core_row *old = scope->rows[id], *row;

		if (!old)
			continue;
		row = row_new(id, n + 1);
		if (!row)
			return -ENOMEM;
		memcpy(row->cells, old->cells, n * sizeof(row->cells[0]));
		memcpy(row->base, old->base, n * sizeof(row->base[0]));
		scope->rows[id] = row;
		free(old);
	}
	scope->n_cells++;
	return 0;
}

/* ---- Columns ------------------------------------------------------------- */

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
	free(c);
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
	autofree struct column *c = NULL;
	struct column **columns, *added;
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
	snprintf(c->pub.name, sizeof(c->pub.name), "%s.%s", ctx->name,
		 col->name);
	for (i = 0; i < scope->n_columns; i++)
		if (!strcmp(scope->columns[i]->pub.name, c->pub.name))
			return core_fail(ctx->name, -EEXIST,
					 "column %s is there already",
					 col->name);
	columns = reallocarray(scope->columns, scope->n_columns + 1,
			       sizeof(*columns));
	if (!columns)
		return -ENOMEM;
	scope->columns = columns;
	drop_table(m, col->scope);
	c->pub.cell = scope->n_cells;
	if (col->kind == LQOS_COUNTER && widen(scope))
		return -ENOMEM;
	added = columns[scope->n_columns++] = steal_ptr(c);
	return core_own(ctx, remove_column, added, &added->receipt);
}

static void read_row(const struct scope *scope, struct core_row *row,
		     uint64_t seq)
{
	size_t i;

	row->seq = seq;
	for (i = 0; i < scope->n_columns; i++) {
		const struct core_column *c = &scope->columns[i]->pub;
		struct core_cell *cell;
		uint64_t value;

		/* Gauges have no cell. */
		if (c->decl->kind != LQOS_COUNTER)
			continue;
		cell = &row->cells[c->cell];
		value = c->decl->read(row->id, c->arg);
		if (value == LQOS_NO_VALUE) {
			cell->grown = LQOS_NO_VALUE;
			continue;
		}
		/* One that went back was started afresh. */
		if (value < cell->value)
			cell->value = row->base[c->cell] = 0;
		/* Most have not: their cache lines stay clean. */
		if (value == cell->value && !cell->grown)
			continue;
		cell->grown = value - cell->value;
		cell->value = value;
	}
}

/* ---- Slots ----------------------------------------------------------------
 */

static void watcher_release(void *arg)
{
	struct watcher *w = arg;

	TAILQ_REMOVE(&w->metrics->watchers, w, next);
	free(w);
}

int lqos_slots_watch(struct lqos_ctx *ctx,
		     void (*fn)(uint32_t slot, enum lqos_slot_event event,
				void *arg),
		     void *arg)
{
	struct core_metrics *m = ctx->core->metrics;
	struct watcher *w;

	if (!m)
		return -ENODEV;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct watcher){.metrics = m, .fn = fn, .arg = arg};
	TAILQ_INSERT_TAIL(&m->watchers, w, next);
	return core_own(ctx, watcher_release, w, &w->receipt);
}

static void tell(struct core_metrics *m, uint32_t slot,
		 enum lqos_slot_event event)
{
	struct watcher *w;

	TAILQ_FOREACH(w, &m->watchers, next)
		w->fn(slot, event, w->arg);
}

static bool all_zero(const struct scope *scope, uint32_t slot)
{
	size_t i;

	for (i = 0; i < scope->n_columns; i++) {
		const struct core_column *c = &scope->columns[i]->pub;

		if (c->decl->kind == LQOS_COUNTER &&
		    c->decl->read(slot, c->arg))
			return false;
	}
	return true;
}

/* What its counters have come to by now; from_here: they begin at 0 again. */
static void read_last(struct core_metrics *m, uint32_t slot, bool from_here)
{
	struct scope *scope = &m->scopes[LQOS_SCOPE_SUBSCRIBER];
	struct core_row *row;
	size_t i;

	/* Most have never had a packet. */
	if ((!scope->rows || !scope->rows[slot]) && all_zero(scope, slot))
		return;
	row = row_of(scope, slot);
	if (!row) {
		core_log(WHO, LQOS_WARN,
			 "slot %u: what it counted before will be shown as "
			 "counted now: %s",
			 slot, strerror(ENOMEM));
		return;
	}
	read_row(scope, row, 0);
	for (i = 0; i < scope->n_cells; i++) {
		row->cells[i].grown = 0;
		if (from_here)
			row->base[i] = row->cells[i].value;
	}
}

void core_metrics_slot_reset(struct core_metrics *m, uint32_t slot)
{
	if (slot >= m->scopes[LQOS_SCOPE_SUBSCRIBER].n_ids)
		return;
	tell(m, slot, LQOS_SLOT_GIVEN);
	read_last(m, slot, true);
}

void core_metrics_slot_resume(struct core_metrics *m, uint32_t slot)
{
	if (slot < m->scopes[LQOS_SCOPE_SUBSCRIBER].n_ids)
		read_last(m, slot, false);
}

/* ---- The tick ------------------------------------------------------------ */

/* -ENOMEM: the table stays empty. */
static int begin_table(struct core_metrics *m, enum lqos_scope which)
{
	struct scope *scope = &m->scopes[which];
	size_t i;

	m->snapshot.tables[which] = (struct core_table){};
	if (!scope->listed)
		scope->listed =
			calloc(scope->n_ids ?: 1, sizeof(*scope->listed));
	if (!scope->shown) {
		scope->shown =
			calloc(scope->n_columns ?: 1, sizeof(*scope->shown));
		for (i = 0; scope->shown && i < scope->n_columns; i++)
			scope->shown[i] = &scope->columns[i]->pub;
	}
	return scope->listed && scope->shown ? 0 : -ENOMEM;
}

static void fill_table(struct core_metrics *m, enum lqos_scope which, size_t n)
{
	struct scope *scope = &m->scopes[which];

	m->snapshot.tables[which] = (struct core_table){
		.columns = scope->shown,
		.n_columns = scope->n_columns,
		.rows = scope->listed,
		.n_rows = n,
	};
}

static int read_all(struct core_metrics *m, enum lqos_scope which, uint32_t n)
{
	struct scope *scope = &m->scopes[which];
	uint32_t i, at = 0;

	if (n > scope->n_ids)
		n = scope->n_ids;
	if (begin_table(m, which))
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct core_row *row = row_of(scope, i);

		if (!row)
			continue;
		read_row(scope, row, m->snapshot.seq);
		scope->listed[at++] = row;
	}
	fill_table(m, which, at);
	return at == n ? 0 : -ENOMEM;
}

/*
 * Ticks since it had traffic; that which was closed is 0, and so is the next,
 * which runs already.
 */
static uint32_t silent(uint64_t seen, uint32_t closed)
{
	if (!seen)
		return UINT32_MAX;
	return (uint32_t)seen == closed + 1 ? 0 : closed - (uint32_t)seen;
}

static bool seen_lately(uint64_t seen, uint32_t closed)
{
	return silent(seen, closed) < LATELY;
}

/* Rows whose counters are to be read.  They lie far apart: while those of a few
 * are on their way, the modules ask for theirs. */
struct batch {
	struct core_row *rows[16];
	uint32_t slots[16];
	uint32_t n;
};

static void read_batch(struct core_metrics *m, struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n; i++)
		tell(m, b->slots[i], LQOS_SLOT_TRAFFIC);
	for (i = 0; i < b->n; i++)
		read_row(&m->scopes[LQOS_SCOPE_SUBSCRIBER], b->rows[i],
			 m->snapshot.seq);
	b->n = 0;
}

static int read_subscribers(struct core_metrics *m)
{
	struct scope *scope = &m->scopes[LQOS_SCOPE_SUBSCRIBER];
	struct lqos_ctx *ctx = m->core->ctx;
	const uint64_t *seen;
	uint32_t closed, slot;
	struct batch batch;
	size_t at = 0;
	int rc = 0;

	batch.n = 0;
	closed = core_datapath_tick(m->core->datapath, &seen);
	if (begin_table(m, LQOS_SCOPE_SUBSCRIBER))
		return -ENOMEM;
	for (slot = 0; slot < scope->n_ids; slot++) {
		struct core_row *row;

		if (!seen_lately(seen[slot], closed) ||
		    (slot && !lqos_subscriber(ctx, slot)))
			continue;
		row = row_of(scope, slot);
		if (!row) {
			rc = -ENOMEM;
			continue;
		}
		scope->listed[at++] = row;
		if (silent(seen[slot], closed))
			continue;
		__builtin_prefetch(row->cells);
		batch.slots[batch.n] = slot;
		batch.rows[batch.n++] = row;
		if (batch.n == ARRAY_SIZE(batch.rows))
			read_batch(m, &batch);
	}
	read_batch(m, &batch);
	fill_table(m, LQOS_SCOPE_SUBSCRIBER, at);
	return rc;
}

void core_metrics_tick(struct core_metrics *m)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int rc;

	m->snapshot.seq++;
	m->snapshot.ts_ns = now_ns(CLOCK_REALTIME);
	m->snapshot.interval_ns = m->last_ns ? now - m->last_ns : 0;
	m->last_ns = now;
	rc = read_all(m, LQOS_SCOPE_GLOBAL, 1);
	if (m->core->datapath) {
		rc = read_all(m, LQOS_SCOPE_INTERFACE,
			      lqos_interfaces(m->core->ctx))
			     ?: rc;
		rc = read_subscribers(m) ?: rc;
	}
	if (rc && !m->short_of_memory)
		core_log(WHO, LQOS_WARN,
			 "not all rows of this second are shown: %s",
			 strerror(-rc));
	m->short_of_memory = rc;
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
