/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What flow.watch knows of flows whose slots others have by now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* In front of cmocka's macros. */
#include "modules/flow/watch.c"

#include <cmocka.h>

enum { FLOWS = 64 };

static struct {
	struct lqos_flow flow;
	struct fl_flow counts;
} table[FLOWS];
static struct flow_bpf skel;
static struct flow_module m = {
	.skel = &skel,
	.table =
		{
			.records = table,
			.slots = FLOWS,
			.record_bytes = sizeof(table[0]),
			.part = sizeof(struct lqos_flow),
		},
};
static struct watch w = {.m = &m};

static struct record added[1 << 16];
static uint32_t n_added;

/* What the program has sent and nobody has read. */
static struct fl_final ring[1 << 16];
static uint32_t sent, taken;

/* ---- In place of the core and libbpf --------------------------------------
 */

int ring_buffer__consume(struct ring_buffer *rb)
{
	(void)rb;
	for (; taken < sent; taken++)
		on_final(&w, &ring[taken], sizeof(ring[taken]));
	return 0;
}

struct ring_buffer *ring_buffer__new(int fd, ring_buffer_sample_fn fn,
				     void *arg,
				     const struct ring_buffer_opts *opts)
{
	(void)fd;
	(void)fn;
	(void)arg;
	(void)opts;
	return NULL;
}

void ring_buffer__free(struct ring_buffer *rb)
{
	(void)rb;
}

int bpf_map__fd(const struct bpf_map *map)
{
	(void)map;
	return -1;
}

int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *arg), void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
	return 0;
}

int lqos_timer_every(struct lqos_ctx *ctx, uint32_t ms, lqos_timer_fn fn,
		     void *arg, struct lqos_watch **out)
{
	(void)ctx;
	(void)ms;
	(void)fn;
	(void)arg;
	(void)out;
	return 0;
}

int lqos_batch_new(struct lqos_ctx *ctx, size_t size, uint32_t max,
		   void (*on)(bool on, void *arg), void *arg,
		   struct lqos_batch **out)
{
	(void)ctx;
	(void)size;
	(void)max;
	(void)on;
	(void)arg;
	(void)out;
	return 0;
}

void lqos_batch_add(struct lqos_batch *batch, const void *record)
{
	(void)batch;
	assert_in_range(n_added, 0, ARRAY_SIZE(added) - 1);
	added[n_added++] = *(const struct record *)record;
}

void lqos_batch_lose(struct lqos_batch *batch, uint64_t n)
{
	(void)batch;
	(void)n;
}

const void *lqos_batch_take(struct lqos_batch *batch, uint32_t *n,
			    uint64_t *lost)
{
	(void)batch;
	*n = 0;
	*lost = 0;
	return NULL;
}

int lqos_flows_watch(struct lqos_ctx *ctx,
		     void (*fn)(const struct lqos_flow_event *event, void *arg),
		     void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
	return 0;
}

void lqos_flows_tell(struct lqos_ctx *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

int lqos_topic_add(struct lqos_ctx *ctx, const struct lqos_topic *decl,
		   void *arg)
{
	(void)ctx;
	(void)decl;
	(void)arg;
	return 0;
}

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *ctx,
					      uint32_t slot)
{
	(void)ctx;
	(void)slot;
	return NULL;
}

/* ---- As the programs do ---------------------------------------------------
 */

static int clear(void **state)
{
	(void)state;
	memset(table, 0, sizeof(table));
	memset(&w, 0, sizeof(w));
	w.m = &m;
	n_added = sent = taken = 0;
	return 0;
}

/* A packet of that flow, whose slot it may be the first in. */
static void packet(uint32_t index, uint32_t generation, uint32_t direction)
{
	struct fl_half *half = &table[index].counts.half[direction];

	if (half->generation != generation) {
		assert_in_range(sent, 0, ARRAY_SIZE(ring) - 1);
		if (half->packets)
			ring[sent++] =
				(struct fl_final){*half, index, direction};
		*half = (struct fl_half){.generation = generation};
	}
	half->packets++;
	half->bytes += generation;
}

static void evicted(uint32_t index, uint32_t generation)
{
	const struct lqos_flow_event event = {
		.flow = {.generation = generation,
			 .way = {LQOS_FLOW_SEEN, LQOS_FLOW_SEEN}},
		.index = index,
		.reason = LQOS_FLOW_EVICTED,
	};

	on_event(&event, &w);
}

/* ---- Tests ----------------------------------------------------------------
 */

static void expect(const struct record *r, bool known, uint64_t down,
		   uint64_t up)
{
	assert_int_equal(r->known, known);
	assert_int_equal(r->counts.half[LQOS_DOWN].bytes, down);
	assert_int_equal(r->counts.half[LQOS_UP].bytes, up);
}

/* Each slot changes hands again and again before anybody looks. */
static void a_flood(void **state)
{
	enum { ROUNDS = 150 };
	uint32_t g, i;

	(void)state;
	for (g = 1; g <= ROUNDS + 1; g++)
		for (i = 0; i < FLOWS; i++) {
			packet(i, g, LQOS_DOWN);
			packet(i, g, LQOS_UP);
			packet(i, g, LQOS_UP);
		}
	/* Half of what was sent is read before the first event. */
	sent /= 2;
	read_finals(&w);
	sent *= 2;
	for (g = 1; g <= ROUNDS; g++)
		for (i = 0; i < FLOWS; i++)
			evicted(i, g);
	assert_int_equal(n_added, ROUNDS * FLOWS);
	for (i = 0; i < n_added; i++) {
		g = added[i].event.flow.generation;
		expect(&added[i], true, g, 2 * g);
	}
}

static void one_way_is_lost(void **state)
{
	(void)state;
	packet(3, 1, LQOS_DOWN);
	packet(3, 1, LQOS_UP);
	packet(3, 2, LQOS_DOWN);
	evicted(3, 1);
	expect(&added[0], true, 1, 1);
	packet(3, 2, LQOS_UP);
	sent = 1;
	packet(3, 3, LQOS_DOWN);
	packet(3, 3, LQOS_UP);
	sent = 2; /* up found no room */
	evicted(3, 2);
	expect(&added[1], false, 2, 0);
}

/* What was read too long ago is not taken for what has its place. */
static void long_ago(void **state)
{
	uint32_t g;

	(void)state;
	packet(5, 1, LQOS_DOWN);
	packet(5, 1, LQOS_UP);
	for (g = 2; g < FINALS_MAX / 2 + 3; g++) {
		packet(5, g, LQOS_DOWN);
		packet(5, g, LQOS_UP);
	}
	read_finals(&w);
	evicted(5, 1);
	assert_false(added[0].known);
	evicted(5, 2);
	expect(&added[1], true, 2, 2);
	evicted(5, g - 2);
	expect(&added[2], true, g - 2, g - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_flood, clear),
		cmocka_unit_test_setup(one_way_is_lost, clear),
		cmocka_unit_test_setup(long_ago, clear),
	};

	return cmocka_run_group_tests_name("flow_watch", tests, NULL, NULL);
}
