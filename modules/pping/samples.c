/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* samples.c - each sample, and the flows that open and end, for who watches. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "bpf/pping.skel.h"
#include "modules/pping/pping.h"

enum { SAMPLES_MAX = 16384, FLOWS_MAX = 8192 };

struct samples {
	struct pping *p;
	struct lqos_batch *batch, *flows;
	uint64_t lost; /* as the programs counted at the last frame */
};

static const char *const sides[] = {
	[PP_INTERNET] = "internet",
	[PP_ACCESS] = "access",
};
static const char *const kinds[] = {"ack", "handshake", "icmp", "dns", "quic"};

/* ---- What is asked for ----------------------------------------------------
 */

const char *const pping_kinds[] = {"dns", "quic", NULL};

struct filter {
	struct lqos_flow_filter flows;
	int side; /* -1: either */
};

static int read_side(const json_t *given, int *out, char *why, size_t size)
{
	const char *side = json_string_value(given) ?: "";

	if (given && strcmp(side, sides[PP_ACCESS]) &&
	    strcmp(side, sides[PP_INTERNET])) {
		snprintf(why, size, "side: expected access or internet");
		return -EINVAL;
	}
	*out = !given				? -1
	       : strcmp(side, sides[PP_ACCESS]) ? PP_INTERNET
						: PP_ACCESS;
	return 0;
}

static int read_filter(const json_t *params, struct filter *out, char *why,
		       size_t size)
{
	struct filter f;

	if (lqos_flow_filter_parse(params, pping_kinds, &f.flows, why, size) ||
	    read_side(json_object_get(params, "side"), &f.side, why, size))
		return -EINVAL;
	*out = f;
	return 0;
}

static int check_samples(const json_t *params, char *why, size_t size,
			 void *arg)
{
	static const char *const known[] = {"ip", "circuit", "side", "protocol",
					    NULL};
	struct filter f;

	(void)arg;
	return lqos_params_only(params, known, why, size)
		       ?: read_filter(params, &f, why, size);
}

/* A flow has two sides. */
static int check_flows(const json_t *params, char *why, size_t size, void *arg)
{
	static const char *const known[] = {"ip", "circuit", "protocol", NULL};
	struct filter f;

	(void)arg;
	return lqos_params_only(params, known, why, size)
		       ?: read_filter(params, &f, why, size);
}

bool pping_matches(const struct pping *p, const struct lqos_flow_filter *filter,
		   const struct lqos_flow_key *key, uint32_t slot,
		   const char *kind)
{
	return (!filter->kind || !strcmp(filter->kind, kind)) &&
	       lqos_flow_filter_has(p->ctx, filter, key, slot);
}

/* By the port that tells the programs what to look for. */
const char *pping_kind_of(const struct lqos_flow_key *key)
{
	if (key->proto != IPPROTO_UDP)
		return "";
	if (ntohs(key->subs_port) == 53 || ntohs(key->remote_port) == 53)
		return "dns";
	if (ntohs(key->subs_port) == 443 || ntohs(key->remote_port) == 443)
		return "quic";
	return "";
}

static json_t *names_of(const char *const *names, size_t n)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(out, json_string(names[i]));
	return out;
}

/* The end of key that is the subscriber's, or the other. */
static json_t *end_json(const struct lqos_flow_key *key, bool subs)
{
	char text[INET6_ADDRSTRLEN];

	lqos_address_text(subs ? key->subs_hi : key->remote_hi,
			  subs ? key->subs_lo : key->remote_lo, key->ipv6, text,
			  sizeof(text));
	return json_string(text);
}

static int end_port(const struct lqos_flow_key *key, bool subs)
{
	return ntohs(subs ? key->subs_port : key->remote_port);
}

/* ---- Samples --------------------------------------------------------------
 */

static const char *const sample_columns[] = {
	"timestamp_ns", "side",	       "rtt_ns",     "min_rtt_ns",
	"protocol",	"src_ip",      "src_port",   "dest_ip",
	"dest_port",	"kind",	       "circuit_id", "sent_packets",
	"sent_bytes",	"rec_packets", "rec_bytes",  "egress",
	"inexact",
};

static json_t *sample_row(const struct pping *p, const struct pp_event *e,
			  int64_t offset)
{
	const struct lqos_subscriber *s = lqos_subscriber(p->ctx, e->slot);
	/* What the end which answered was sent is of the other direction. */
	int answer = e->side, asked = !e->side;
	bool access = e->side == PP_ACCESS;
	/* What its unit cut off is nobody's to tell. */
	uint64_t min = (uint64_t)e->min << 6 | 63;

	return json_pack(
		"[I,s,I,I,s,o,i,o,i,s,s,I,I,I,I,b,b]",
		(json_int_t)((int64_t)e->ts + offset), sides[e->side & 1],
		(json_int_t)e->rtt, (json_int_t)(min < e->rtt ? min : e->rtt),
		lqos_protocol_text(e->key.proto), end_json(&e->key, access),
		end_port(&e->key, access), end_json(&e->key, !access),
		end_port(&e->key, !access),
		e->kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[e->kind]
							   : "?",
		s ? s->circuit_id : "", (json_int_t)e->packets[asked],
		(json_int_t)e->bytes[asked], (json_int_t)e->packets[answer],
		(json_int_t)e->bytes[answer], (int)e->egress, (int)e->inexact);
}

static uint64_t count_lost(const struct pping *p)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < p->cpus; cpu++)
		sum += p->lost[cpu];
	return sum;
}

static void on_read(bool on, void *arg)
{
	struct samples *s = arg;

	s->lost = count_lost(s->p);
	pping_watch(s->p, PP_WATCH_SAMPLES, on);
}

static void on_sample(const void *data, size_t len, void *arg)
{
	struct samples *s = arg;

	(void)len;
	lqos_batch_add(s->batch, data);
}

/* Is there a subscriber with that? */
static bool is_circuit(const struct pping *p, const char *id)
{
	const struct lqos_subscriber *s;
	uint32_t slot;

	for (slot = 1; slot < p->slots; slot++) {
		s = lqos_subscriber(p->ctx, slot);
		if (s && !strcmp(s->circuit_id, id))
			return true;
	}
	return false;
}

static int samples_frame(const json_t *params, json_t **out, void *arg)
{
	int64_t offset = lqos_clock_offset();
	const struct pp_event *events;
	struct samples *s = arg;
	struct filter filter;
	uint64_t lost, now;
	json_t *rows;
	uint32_t n, i;
	char why[128];

	if (read_filter(params, &filter, why, sizeof(why)))
		return -EINVAL;
	now = count_lost(s->p);
	if (now > s->lost)
		lqos_batch_lose(s->batch, now - s->lost);
	s->lost = now;
	events = lqos_batch_take(s->batch, &n, &lost);
	rows = json_array();
	for (i = 0; i < n; i++) {
		const struct pp_event *e = &events[i];

		if ((filter.side >= 0 && filter.side != e->side) ||
		    !pping_matches(s->p, &filter.flows, &e->key, e->slot,
				   e->kind < sizeof(kinds) / sizeof(kinds[0])
					   ? kinds[e->kind]
					   : ""))
			continue;
		json_array_append_new(rows, sample_row(s->p, e, offset));
	}
	*out = json_pack(
		"{s:o,s:o,s:I,s:b}", "columns",
		names_of(sample_columns,
			 sizeof(sample_columns) / sizeof(sample_columns[0])),
		"rows", rows, "lost", (json_int_t)lost, "circuit_known",
		(int)(!filter.flows.circuit ||
		      is_circuit(s->p, filter.flows.circuit)));
	return *out ? 0 : -ENOMEM;
}

static const struct lqos_topic samples_topic = {
	.name = "samples",
	.help = "Every round trip: params {ip, circuit, side, protocol}",
	.frame = samples_frame,
	.check = check_samples,
};

/* ---- Flows ----------------------------------------------------------------
 */

static const char *const flow_columns[] = {
	"timestamp_ns", "event",    "reason",  "triggered_by", "protocol",
	"src_ip",	"src_port", "dest_ip", "dest_port",
};

static void on_flow(const struct lqos_flow_event *event, void *arg)
{
	struct samples *s = arg;

	lqos_batch_add(s->flows, event);
}

static void on_read_flows(bool on, void *arg)
{
	struct samples *s = arg;

	lqos_flows_tell(s->p->ctx, on);
}

/* The flow may have gone since; then what is known of it has, too. */
static bool was_shaken(const struct pping *p, const struct lqos_flow_event *e)
{
	const struct pp_times *times = pping_times(p, e->index);

	return times->generation == e->flow.generation && times->shaken;
}

/* In ePPing's words, where it has some.  subs: it is the subscriber's end that
 * src is: who has sent the packet; of what is swept away, whichever. */
static const char *reason_of(const struct pping *p,
			     const struct lqos_flow_event *e,
			     const char **trigger, bool *subs)
{
	uint8_t any = e->flow.way[0] | e->flow.way[1];

	*trigger = "src";
	*subs = e->direction == LQOS_UP;
	switch (e->reason) {
	case LQOS_FLOW_OPENED:
		/* What follows it is the first that a flow has. */
		if (was_shaken(p, e)) {
			*trigger = "dest";
			return "SYN-ACK";
		}
		return "first observed packet";
	case LQOS_FLOW_CLOSED:
		return any & LQOS_FLOW_RST ? "RST" : "FIN";
	case LQOS_FLOW_RESTARTED:
		return "new connection";
	default:
		*trigger = "garbage collection";
		*subs = true;
		return e->reason == LQOS_FLOW_IDLE ? "flow timeout" : "evicted";
	}
}

static json_t *flow_row(const struct pping *p, const struct lqos_flow_event *e,
			int64_t offset)
{
	const struct lqos_flow_key *key = &e->flow.key;
	const char *trigger, *reason;
	bool subs;

	reason = reason_of(p, e, &trigger, &subs);
	return json_pack("[I,s,s,s,s,o,i,o,i]",
			 (json_int_t)((int64_t)e->ts + offset),
			 e->reason == LQOS_FLOW_OPENED ? "opening" : "closing",
			 reason, trigger, lqos_protocol_text(key->proto),
			 end_json(key, subs), end_port(key, subs),
			 end_json(key, !subs), end_port(key, !subs));
}

static int flows_frame(const json_t *params, json_t **out, void *arg)
{
	const struct lqos_flow_event *events;
	int64_t offset = lqos_clock_offset();
	struct samples *s = arg;
	struct filter filter;
	json_t *rows;
	uint64_t lost;
	uint32_t n, i;
	char why[128];

	if (read_filter(params, &filter, why, sizeof(why)))
		return -EINVAL;
	events = lqos_batch_take(s->flows, &n, &lost);
	rows = json_array();
	for (i = 0; i < n; i++)
		if (pping_matches(s->p, &filter.flows, &events[i].flow.key,
				  events[i].flow.slot,
				  pping_kind_of(&events[i].flow.key)))
			json_array_append_new(
				rows, flow_row(s->p, &events[i], offset));
	*out = json_pack(
		"{s:o,s:o,s:I}", "columns",
		names_of(flow_columns,
			 sizeof(flow_columns) / sizeof(flow_columns[0])),
		"rows", rows, "lost", (json_int_t)lost);
	return *out ? 0 : -ENOMEM;
}

static const struct lqos_topic flows_topic = {
	.name = "flows",
	.help = "Flows that open and end: params {ip, circuit, protocol}",
	.frame = flows_frame,
	.check = check_flows,
};

int pping_add_topics(struct pping *p)
{
	struct samples *s = calloc(1, sizeof(*s));
	int rc = s ? lqos_defer(p->ctx, free, s) : -ENOMEM;

	if (rc)
		return rc;
	s->p = p;
	rc = lqos_batch_new(p->ctx, sizeof(struct pp_event), SAMPLES_MAX,
			    on_read, s, &s->batch) ?:
	     lqos_batch_new(p->ctx, sizeof(struct lqos_flow_event), FLOWS_MAX,
			    on_read_flows, s, &s->flows) ?:
	     lqos_ringbuf_watch(p->ctx, bpf_map__fd(p->skel->maps.pp_events),
				sizeof(struct pp_event), on_sample, s, NULL) ?:
	     lqos_flows_watch(p->ctx, on_flow, s);
	return rc ?: lqos_topic_add(p->ctx, &samples_topic, s) ?:
		     lqos_topic_add(p->ctx, &flows_topic, s);
}
