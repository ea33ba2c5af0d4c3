/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c - flows as they open and end.
 *
 * The core tells which; what a flow has carried is still in its slot, or, if
 * that is another's already, the program has sent it after: then the event
 * waits for it until the next look at the ring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/flow.skel.h"
#include "core/cleanup.h"
#include "modules/flow/flow.h"

enum { EVENTS_MAX = 8192, WAITING_MAX = EVENTS_MAX };

struct record {
	struct lqos_flow_event event;
	struct fl_flow counts;
	uint8_t missing; /* ways of which the counts are not here */
};

struct watch {
	struct flow_module *m;
	struct lqos_batch *batch;
	uint64_t lost; /* as the programs counted at the last frame */
	struct record waiting[WAITING_MAX];
	uint32_t n_waiting, next; /* the last ones come in about that order */
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

	w->n_waiting = 0;
	w->lost = count_lost(w->m);
	w->m->skel->bss->fl_watched = on;
	lqos_flows_tell(w->m->ctx, on);
}

static void flush(struct watch *w)
{
	uint32_t i;

	for (i = 0; i < w->n_waiting; i++)
		lqos_batch_add(w->batch, &w->waiting[i]);
	w->n_waiting = 0;
}

static void on_event(const struct lqos_flow_event *event, void *arg)
{
	struct watch *w = arg;
	struct record r = {.event = *event};
	const struct fl_flow *now = &w->m->flows[event->index];
	int i;

	for (i = 0; i < 2; i++) {
		if (!(event->flow.way[i] & LQOS_FLOW_SEEN))
			continue;
		r.counts.half[i] = now->half[i];
		if (r.counts.half[i].generation == event->flow.generation)
			continue;
		r.counts.half[i] = (struct fl_half){};
		r.missing++;
	}
	if (event->reason == LQOS_FLOW_OPENED || !r.missing) {
		lqos_batch_add(w->batch, &r);
		return;
	}
	if (w->n_waiting == WAITING_MAX)
		flush(w);
	w->waiting[w->n_waiting++] = r;
}

/* The last of one way of a flow whose slot another has. */
static void on_final(const void *data, size_t len, void *arg)
{
	const struct fl_final *final = data;
	struct watch *w = arg;
	struct record *r;
	uint32_t i, at;

	(void)len;
	for (i = 0; i < w->n_waiting; i++) {
		at = (w->next + i) % w->n_waiting;
		r = &w->waiting[at];
		if (r->event.index != final->index ||
		    r->event.flow.generation != final->half.generation)
			continue;
		r->counts.half[final->direction & 1] = final->half;
		if (r->missing)
			r->missing--;
		w->next = at;
		return;
	}
}

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
		(int)!r->missing, (json_int_t)down->bytes,
		(json_int_t)up->bytes, (json_int_t)down->packets,
		(json_int_t)up->packets, (json_int_t)down->retransmits,
		(json_int_t)up->retransmits,
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
	flush(w);
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

int flow_add_topic(struct flow_module *m)
{
	struct watch *w = calloc(1, sizeof(*w));
	int rc = w ? lqos_defer(m->ctx, free, w) : -ENOMEM;

	if (rc)
		return rc;
	w->m = m;
	m->watch = w;
	rc = lqos_batch_new(m->ctx, sizeof(struct record), EVENTS_MAX, on_read,
			    w, &w->batch);
	if (!rc)
		rc = lqos_flows_watch(m->ctx, on_event, w);
	if (!rc)
		rc = lqos_ringbuf_watch(
			m->ctx, bpf_map__fd(m->skel->maps.fl_finals),
			sizeof(struct fl_final), on_final, w, NULL);
	return rc ?: lqos_topic_add(m->ctx, &topic, w);
}
