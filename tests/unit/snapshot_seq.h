/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of the core's snapshot: one that knows which tick it is. */
#ifndef TESTS_UNIT_SNAPSHOT_SEQ_H
#define TESTS_UNIT_SNAPSHOT_SEQ_H

#include "core/lqos/module.h"

static uint64_t seq;

const struct lqos_snapshot *lqos_snapshot(struct lqos_ctx *ctx)
{
	(void)ctx;
	return (const struct lqos_snapshot *)&seq;
}

struct lqos_snapshot_time
lqos_snapshot_time(const struct lqos_snapshot *snapshot)
{
	(void)snapshot;
	return (struct lqos_snapshot_time){.seq = seq};
}

#endif /* TESTS_UNIT_SNAPSHOT_SEQ_H */
