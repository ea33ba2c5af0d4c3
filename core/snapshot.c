/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.c - the modules' view of the tick's snapshot.
 *
 * Modules see an opaque struct lqos_snapshot, which is a struct core_snapshot,
 * so that the core's layout is no part of the ABI.
 */
#include "core/core.h"

static const struct core_table *table_of(const struct lqos_snapshot *snapshot,
					 enum lqos_scope scope)
{
	return &((const struct core_snapshot *)snapshot)->tables[scope];
}

const struct lqos_snapshot *lqos_snapshot(struct lqos_ctx *ctx)
{
	struct core_metrics *metrics = ctx->core->metrics;

	return metrics ? (const void *)core_metrics_snapshot(metrics) : NULL;
}

struct lqos_snapshot_time
lqos_snapshot_time(const struct lqos_snapshot *snapshot)
{
	const struct core_snapshot *s = (const void *)snapshot;

	return (struct lqos_snapshot_time){
		.seq = s->seq,
		.ts_ns = s->ts_ns,
		.interval_ns = s->interval_ns,
	};
}

uint32_t lqos_snapshot_columns(const struct lqos_snapshot *snapshot,
			       enum lqos_scope scope)
{
	return table_of(snapshot, scope)->n_columns;
}

const struct lqos_column *
lqos_snapshot_column(const struct lqos_snapshot *snapshot,
		     enum lqos_scope scope, uint32_t col, const char **name)
{
	const struct core_column *c = table_of(snapshot, scope)->columns[col];

	*name = c->name;
	return c->decl;
}

uint32_t lqos_snapshot_rows(const struct lqos_snapshot *snapshot,
			    enum lqos_scope scope)
{
	return table_of(snapshot, scope)->n_rows;
}

uint32_t lqos_snapshot_id(const struct lqos_snapshot *snapshot,
			  enum lqos_scope scope, uint32_t row)
{
	return table_of(snapshot, scope)->rows[row]->id;
}

static uint64_t a_second(uint64_t grown, uint64_t interval_ns)
{
	if (!grown || !interval_ns)
		return 0;
	if (grown <= UINT64_MAX / 1000000000)
		return grown * 1000000000 / interval_ns;
	return (uint64_t)((unsigned __int128)grown * 1000000000 / interval_ns);
}

uint64_t lqos_snapshot_rate(const struct lqos_snapshot *snapshot,
			    enum lqos_scope scope, uint32_t row, uint32_t col)
{
	const struct core_table *t = table_of(snapshot, scope);
	const struct core_column *column = t->columns[col];
	const struct core_row *r = t->rows[row];
	const struct lqos_snapshot_time time = lqos_snapshot_time(snapshot);
	uint64_t grown;

	/* Gauges have no cell. */
	if (column->decl->kind != LQOS_COUNTER)
		return LQOS_NO_VALUE;
	if (r->seq != time.seq)
		return 0;
	grown = r->cells[column->cell].grown;
	return grown == LQOS_NO_VALUE ? grown
				      : a_second(grown, time.interval_ns);
}

/* Of a row without traffic in this tick: what was counted while it was read
 * last is in there as well. */
static uint64_t standing(const struct core_row *r, const struct core_column *c)
{
	uint64_t value = c->decl->read(r->id, c->arg), base = r->base[c->cell];

	if (value == LQOS_NO_VALUE || value < base)
		return value;
	return value - base;
}

struct lqos_cell lqos_snapshot_cell(const struct lqos_snapshot *snapshot,
				    enum lqos_scope scope, uint32_t row,
				    uint32_t col)
{
	const struct core_table *t = table_of(snapshot, scope);
	const struct core_column *column = t->columns[col];
	const struct core_row *r = t->rows[row];
	struct lqos_cell cell = {
		.rate = lqos_snapshot_rate(snapshot, scope, row, col),
	};

	if (column->decl->kind != LQOS_COUNTER)
		cell.value = column->decl->read(r->id, column->arg);
	else if (r->seq != lqos_snapshot_time(snapshot).seq)
		cell.value = standing(r, column);
	else if (cell.rate == LQOS_NO_VALUE)
		cell.value = LQOS_NO_VALUE;
	else
		cell.value =
			r->cells[column->cell].value - r->base[column->cell];
	if (cell.value == LQOS_NO_VALUE)
		cell.rate = LQOS_NO_VALUE;
	return cell;
}
