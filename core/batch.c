/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batch.c - events for the readers of a topic, a tick's worth at a time.
 *
 * One buffer is filled while the other is shown, to however many readers ask
 * for it in a tick; the first who asks in the next one has them change places.
 */
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

enum { PATIENCE = 3 }; /* ticks without a reader */

struct side {
	char *records;
	uint32_t n;
	uint64_t lost;
};

struct lqos_batch {
	struct lqos_ctx *ctx;
	size_t size;
	uint32_t max;
	void (*on_read)(bool on, void *arg);
	void *arg;
	struct side side[2];
	int filling;
	bool read;    /* somebody does */
	uint64_t seq; /* of the tick that is shown */
};

static uint64_t now_seq(const struct lqos_batch *b)
{
	const struct core_metrics *m = b->ctx->core->metrics;
	const struct core_snapshot *s =
		m ? core_metrics_snapshot(b->ctx->core->metrics) : NULL;

	return s ? s->seq : 0;
}

static void clear(struct lqos_batch *b)
{
	b->side[0].n = b->side[1].n = 0;
	b->side[0].lost = b->side[1].lost = 0;
}

static void stop_reading(struct lqos_batch *b)
{
	b->read = false;
	b->on_read(false, b->arg);
	clear(b);
	free(b->side[0].records);
	free(b->side[1].records);
	b->side[0].records = b->side[1].records = NULL;
}

static void look_for_readers(void *arg)
{
	struct lqos_batch *b = arg;

	if (b->read && now_seq(b) > b->seq + PATIENCE)
		stop_reading(b);
}

static void free_batch(void *arg)
{
	struct lqos_batch *b = arg;

	free(b->side[0].records);
	free(b->side[1].records);
	free(b);
}

int lqos_batch_new(struct lqos_ctx *ctx, size_t size, uint32_t max,
		   void (*on_read)(bool on, void *arg), void *arg,
		   struct lqos_batch **out)
{
	struct lqos_batch *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	*b = (struct lqos_batch){
		.ctx = ctx,
		.size = size,
		.max = max,
		.on_read = on_read,
		.arg = arg,
	};
	rc = core_own(ctx, free_batch, b, NULL);
	if (!rc)
		rc = lqos_timer_every(ctx, 1000, look_for_readers, b, NULL);
	if (!rc)
		*out = b;
	return rc;
}

void lqos_batch_add(struct lqos_batch *b, const void *record)
{
	struct side *side = &b->side[b->filling];

	if (!b->read)
		return;
	if (!side->records || side->n == b->max) {
		side->lost++;
		return;
	}
	memcpy(side->records + side->n * b->size, record, b->size);
	side->n++;
}

void lqos_batch_lose(struct lqos_batch *b, uint64_t n)
{
	b->side[b->filling].lost += n;
}

static void start_reading(struct lqos_batch *b)
{
	int i;

	for (i = 0; i < 2; i++)
		b->side[i].records =
			reallocarray(b->side[i].records, b->max, b->size);
	clear(b);
	b->read = true;
	b->on_read(true, b->arg);
}

const void *lqos_batch_take(struct lqos_batch *b, uint32_t *n, uint64_t *lost)
{
	uint64_t seq = now_seq(b);
	struct side *shown;

	if (!b->read)
		start_reading(b);
	if (b->seq != seq) {
		b->filling = !b->filling;
		b->side[b->filling].n = 0;
		b->side[b->filling].lost = 0;
		b->seq = seq;
	}
	shown = &b->side[!b->filling];
	*n = shown->n;
	*lost = shown->lost;
	return shown->records;
}
