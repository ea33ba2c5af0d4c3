/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c - flows as they open and end.
 *
 * The core tells which; what a flow has carried is still in its slot, or, if
 * that is another's already, the program has sent it before it wrote over it:
 * then it lies in the ring, or was read from there earlier.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "bpf/flow.skel.h"
#include "core/cleanup.h"
#include "modules/flow/flow.h"

enum {
	EVENTS_MAX = 8192,
	FINALS_MAX = 1 << 15, /* more than events can wait in their ring */
	CHAINS = 1 << 13,
	LOOK_MS = 100, /* lest the ring overflow where nobody needs it */
};

struct record {
	struct lqos_flow_event event;
	struct fl_flow counts;
	bool known; /* counts are */
};

/* The last that were read; number n of all is in finals[n % FINALS_MAX]. */
struct kept {
	struct fl_final final;
	uint64_t before; /* number of the one before it in its chain; 0: none */
};

struct watch {
	struct flow_module *m;
	struct lqos_batch *batch;
	struct ring_buffer *ring;
	uint64_t lost; /* as the programs counted at the last frame */
	uint64_t n_finals;
	uint64_t newest[CHAINS]; /* of each chain; 0: none */
	struct kept finals[FINALS_MAX];
};

static uint64_t count_lost(const struct flow_module *m)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < m->cpus; cpu++)
		sum += m->lost[cpu];
	return sum;
}

static void on_read(bool on, void *arg)
{
	struct watch *w = arg;

	w->lost = count_lost(w->m);
	w->m->skel->bss->fl_watched = on;
	lqos_flows_tell(w->m->ctx, on);
}

/* ---- The last of flows whose slot another has -----------------------------
 */

static uint64_t *chain_of(struct watch *w, uint32_t index, uint32_t generation)
{
	return &w->newest[(index ^ generation * 0x9e3779b1) % CHAINS];
}

/* One way of a flow. */
static int on_final(void *arg, void *data, size_t len)
{
	const struct fl_final *final = data;
	struct watch *w = arg;
	uint64_t *newest;

	if (len < sizeof(*final))
		return 0;
	newest = chain_of(w, final->index, final->half.generation);
	w->n_finals++;
	w->finals[w->n_finals % FINALS_MAX] = (struct kept){*final, *newest};
	*newest = w->n_finals;
	return 0;
}

static void read_finals(void *arg)
{
	struct watch *w = arg;

	ring_buffer__consume(w->ring);
}

/* NULL: it was not read, or too long ago. */
static const struct fl_half *find_final(struct watch *w, uint32_t index,
					uint32_t generation, uint32_t direction)
{
	uint64_t n = *chain_of(w, index, generation);
	const struct kept *k;

	for (; n && w->n_finals - n < FINALS_MAX; n = k->before) {
		k = &w->finals[n % FINALS_MAX];
		if (k->final.index == index &&
		    k->final.half.generation == generation &&
		    k->final.direction == direction)
			return &k->final.half;
	}
	return NULL;
}

/* What went that way; false: nobody knows. */
static bool read_half(struct watch *w, const struct lqos_flow_event *event,
		      uint32_t direction, struct fl_half *out)
{
	uint32_t index = event->index, generation = event->flow.generation;
	const struct fl_flow *counts = lqos_flow_part_at(&w->m->table, index);
	struct fl_half half = counts->half[direction];
	const struct fl_half *final;

	if (half.generation == generation) {
		*out = half;
		return true;
	}
	final = find_final(w, index, generation, direction);
	if (!final) {
		read_finals(w);
		final = find_final(w, index, generation, direction);
	}
	if (!final)
		return false;
	*out = *final;
	return true;
}

static void on_event(const struct lqos_flow_event *event, void *arg)
{
	struct record r = {.event = *event, .known = true};
	struct watch *w = arg;
	uint32_t i;

	for (i = 0; i < 2; i++)
		if (event->flow.way[i] & LQOS_FLOW_SEEN)
			r.known &= read_half(w, event, i, &r.counts.half[i]);
	lqos_batch_add(w->batch, &r);
}

/* ---- Frames ----------------------------------------------------------------
 */

static const char *reason_name(unsigned int reason)
{
	static const char *const names[] = {
		[LQOS_FLOW_OPENED] = "opened",
		[LQOS_FLOW_CLOSED] = "closed",
		[LQOS_FLOW_IDLE] = "idle",
		[LQOS_FLOW_EVICTED] = "evicted",
		[LQOS_FLOW_RESTARTED] = "restarted",
	};

	return reason < sizeof(names) / sizeof(names[0]) && names[reason]
		       ? names[reason]
		       : "?";
}

static json_t *row(const struct watch *w, const struct record *r,
		   int64_t offset)
{
	const struct lqos_flow *f = &r->event.flow;
	const struct lqos_subscriber *s = lqos_subscriber(w->m->ctx, f->slot);
	const struct fl_half *down = &r->counts.half[LQOS_DOWN];
	const struct fl_half *up = &r->counts.half[LQOS_UP];
	char subs[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
	uint32_t opened = down->opened ?: up->opened;

	lqos_address_text(f->key.subs_hi, f->key.subs_lo, f->key.ipv6, subs,
			  sizeof(subs));
	lqos_address_text(f->key.remote_hi, f->key.remote_lo, f->key.ipv6,
			  remote, sizeof(remote));
	return json_pack(
		"[I,s,s,s,i,s,i,s,b,I,I,I,I,I,I,I]",
		(json_int_t)((int64_t)r->event.ts + offset),
		reason_name(r->event.reason), lqos_protocol_text(f->key.proto),
		subs, (int)ntohs(f->key.subs_port), remote,
		(int)ntohs(f->key.remote_port), s ? s->circuit_id : "",
		(int)r->known, (json_int_t)down->bytes, (json_int_t)up->bytes,
		(json_int_t)down->packets, (json_int_t)up->packets,
		(json_int_t)down->retransmits, (json_int_t)up->retransmits,
		(json_int_t)(opened ? ((int64_t)opened << FL_MOMENT_SHIFT) +
					      offset
				    : 0));
}

static const char *const columns[] = {
	"timestamp_ns",	   "event",
	"protocol",	   "subscriber_ip",
	"subscriber_port", "remote_ip",
	"remote_port",	   "circuit_id",
	"counts_known",	   "down_bytes",
	"up_bytes",	   "down_packets",
	"up_packets",	   "down_retransmits",
	"up_retransmits",  "opened_ns",
};

static int frame(const json_t *params, json_t **out, void *arg)
{
	json_t *rows, *names;
	char why[128];
	int64_t offset = lqos_clock_offset();
	struct lqos_flow_filter filter;
	const struct record *records;
	struct watch *w = arg;
	uint64_t lost, now;
	uint32_t n, i;

	if (lqos_flow_filter_parse(params, NULL, &filter, why, sizeof(why)))
		return -EINVAL;
	rows = json_array();
	names = json_array();
	now = count_lost(w->m);
	if (now > w->lost)
		lqos_batch_lose(w->batch, now - w->lost);
	w->lost = now;
	records = lqos_batch_take(w->batch, &n, &lost);
	for (i = 0; i < n; i++) {
		const struct lqos_flow *flow = &records[i].event.flow;

		if (lqos_flow_filter_has(w->m->ctx, &filter, &flow->key,
					 flow->slot))
			json_array_append_new(rows,
					      row(w, &records[i], offset));
	}
	for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		json_array_append_new(names, json_string(columns[i]));
	*out = json_pack("{s:o,s:o,s:I}", "columns", names, "rows", rows,
			 "lost", (json_int_t)lost);
	return *out ? 0 : -ENOMEM;
}

static int check(const json_t *params, char *why, size_t size, void *arg)
{
	static const char *const known[] = {"ip", "circuit", "protocol", NULL};
	struct lqos_flow_filter filter;

	(void)arg;
	return lqos_params_only(params, known, why, size)
		       ?: lqos_flow_filter_parse(params, NULL, &filter, why,
						 size);
}

static const struct lqos_topic topic = {
	.name = "watch",
	.help = "Flows that opened, closed, fell silent or were pushed out: "
		"params {ip, circuit, protocol}",
	.frame = frame,
	.check = check,
};

static void free_ring(void *ring)
{
	ring_buffer__free(ring);
}

static int open_ring(struct watch *w)
{
	w->ring = ring_buffer__new(bpf_map__fd(w->m->skel->maps.fl_finals),
				   on_final, w, NULL);
	if (!w->ring)
		return -errno;
	return lqos_defer(w->m->ctx, free_ring, w->ring);
}

int flow_add_topic(struct flow_module *m)
{
	struct watch *w = calloc(1, sizeof(*w));
	int rc = w ? lqos_defer(m->ctx, free, w) : -ENOMEM;

	if (rc)
		return rc;
	w->m = m;
	rc = open_ring(w);
	if (!rc)
		rc = lqos_timer_every(m->ctx, LOOK_MS, read_finals, w, NULL);
	if (!rc)
		rc = lqos_batch_new(m->ctx, sizeof(struct record), EVENTS_MAX,
				    on_read, w, &w->batch);
	if (!rc)
		rc = lqos_flows_watch(m->ctx, on_event, w);
	return rc ?: lqos_topic_add(m->ctx, &topic, w);
}
