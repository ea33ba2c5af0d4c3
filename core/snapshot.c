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
	return table_of(snapshot, scope)->rows[row].id;
}

struct lqos_cell lqos_snapshot_cell(const struct lqos_snapshot *snapshot,
				    enum lqos_scope scope, uint32_t row,
				    uint32_t col)
{
	const struct core_table *t = table_of(snapshot, scope);
	const struct core_cell *cell = &t->rows[row].cells[col];
	bool rated = t->columns[col]->decl->kind == LQOS_COUNTER &&
		     cell->value != LQOS_NO_VALUE;

	return (struct lqos_cell){
		.value = cell->value,
		.rate = rated ? cell->rate : LQOS_NO_VALUE,
	};
}
