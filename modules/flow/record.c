/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record.c - one flow, read beside the programs that write it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "modules/flow/flow.h"

enum { TRIES = 8, NS_MS = 1000000 };

uint64_t flow_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void keep_own(struct fl_half half[2], uint32_t generation)
{
	int i;

	for (i = 0; i < 2; i++)
		if (half[i].generation != generation)
			half[i] = (struct fl_half){};
}

void flow_halves(const struct flow_module *m, uint32_t index,
		 struct fl_half out[2])
{
	const struct fl_flow *counts = lqos_flow_part_at(&m->table, index);

	out[0] = counts->half[0];
	out[1] = counts->half[1];
	keep_own(out, lqos_flow_at(&m->table, index)->generation);
}

int flow_read(const struct flow_module *m, uint32_t index,
	      struct flow_copy *out)
{
	const struct lqos_flow *flow = lqos_flow_at(&m->table, index);
	const struct fl_flow *counts = lqos_flow_part_at(&m->table, index);
	struct flow_copy c;
	uint32_t generation;
	int i;

	for (i = 0; i < TRIES; i++) {
		generation =
			__atomic_load_n(&flow->generation, __ATOMIC_ACQUIRE);
		c.flow = *flow;
		c.counts = *counts;
		c.index = index;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!c.flow.used)
			return -ENOENT;
		if (c.flow.generation == generation &&
		    __atomic_load_n(&flow->generation, __ATOMIC_RELAXED) ==
			    generation &&
		    __atomic_load_n(&flow->used, __ATOMIC_RELAXED))
			break;
	}
	if (i == TRIES)
		return -ENOENT;
	keep_own(c.counts.half, generation);
	*out = c;
	return 0;
}

uint64_t flow_rate(const struct fl_half *half, uint64_t now)
{
	uint32_t second = (uint32_t)(now >> FL_SECOND_SHIFT);
	uint64_t bytes = 0;

	if (half->second == second)
		bytes = half->rate;
	else if (half->second + 1 == second)
		bytes = (uint32_t)half->bytes - half->mark;
	return (bytes * 1000000000) >> FL_SECOND_SHIFT;
}

static const char *state(const struct lqos_flow *f)
{
	uint8_t both = f->way[0] & f->way[1], any = f->way[0] | f->way[1];

	if (any & LQOS_FLOW_RST)
		return "reset";
	if (both & LQOS_FLOW_FIN)
		return "closed";
	if (any & LQOS_FLOW_FIN)
		return "closing";
	return both & LQOS_FLOW_SEEN ? "established" : "one-way";
}

static uint64_t opened_ns(const struct fl_flow *c)
{
	uint32_t opened = c->half[0].opened ?: c->half[1].opened;

	return (uint64_t)opened << FL_MOMENT_SHIFT;
}

/* Columns of other modules that know something of flows. */
static void add_columns(const struct flow_module *m, uint32_t index,
			bool detail, json_t *out)
{
	uint32_t n = lqos_flow_columns(m->ctx), i;
	const struct lqos_column *column;
	const char *name;
	uint64_t value;

	for (i = 0; i < n; i++) {
		column = lqos_flow_column(m->ctx, i, &name);
		if (!strncmp(name, "flow.", 5) ||
		    (!detail && column->flags & LQOS_COLUMN_DETAIL))
			continue;
		value = lqos_flow_value(m->ctx, i, index);
		json_object_set_new(out, name,
				    value == LQOS_NO_VALUE
					    ? json_null()
					    : json_integer((json_int_t)value));
	}
}

static void add_details(const struct flow_copy *c, uint64_t now, json_t *out)
{
	const struct fl_half *down = &c->counts.half[LQOS_DOWN];
	const struct fl_half *up = &c->counts.half[LQOS_UP];
	uint64_t opened = opened_ns(&c->counts);
	json_t *more = json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:I,s:i}", "down_packets",
		(json_int_t)down->packets, "up_packets",
		(json_int_t)up->packets, "down_reordered",
		(json_int_t)down->reordered, "up_reordered",
		(json_int_t)up->reordered, "down_ce", (json_int_t)down->ce,
		"up_ce", (json_int_t)up->ce, "down_tos", (int)down->tos,
		"up_tos", (int)up->tos, "age_ms",
		(json_int_t)(opened && now > opened ? (now - opened) / NS_MS
						    : 0),
		"vlan", (int)c->flow.key.space);

	json_object_update(out, more);
	json_decref(more);
}

json_t *flow_record(const struct flow_module *m, const struct flow_copy *c,
		    uint64_t now, bool detail)
{
	const struct lqos_subscriber *s = lqos_subscriber(m->ctx, c->flow.slot);
	const struct fl_half *down = &c->counts.half[LQOS_DOWN];
	const struct fl_half *up = &c->counts.half[LQOS_UP];
	const struct lqos_flow_key *key = &c->flow.key;
	char subs[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
	json_t *out;

	lqos_address_text(key->subs_hi, key->subs_lo, key->ipv6, subs,
			  sizeof(subs));
	lqos_address_text(key->remote_hi, key->remote_lo, key->ipv6, remote,
			  sizeof(remote));
	out = json_pack(
		"{s:s,s:s,s:i,s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
		"protocol", lqos_protocol_text(key->proto), "subscriber_ip",
		subs, "subscriber_port", (int)ntohs(key->subs_port),
		"remote_ip", remote, "remote_port",
		(int)ntohs(key->remote_port), "circuit_id",
		s ? s->circuit_id : "", "state",
		key->proto == IPPROTO_TCP ? state(&c->flow) : "", "down_rate",
		(json_int_t)flow_rate(down, now) * 8, "up_rate",
		(json_int_t)flow_rate(up, now) * 8, "down_bytes",
		(json_int_t)down->bytes, "up_bytes", (json_int_t)up->bytes,
		"down_retransmits", (json_int_t)down->retransmits,
		"up_retransmits", (json_int_t)up->retransmits, "idle_ms",
		(json_int_t)(now > c->flow.last_seen
				     ? (now - c->flow.last_seen) / NS_MS
				     : 0));
	if (!out)
		return NULL;
	add_columns(m, c->index, detail, out);
	if (detail)
		add_details(c, now, out);
	return out;
}
