/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * traffic.c - what networks have sent and were sent, for who watches.
 *
 * The programs count up by flow while somebody does.  Once a tick what has been
 * added to each is a record, and each reader has them summed by networks of the
 * lengths it likes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/pping.h"

struct counts {
	uint64_t packets, bytes;
};

/* What a flow has carried since the tick before. */
struct record {
	struct lqos_flow_key key;
	uint32_t slot;
	uint8_t stamped;
	struct counts way[2]; /* by enum lqos_direction */
};

/* Of a flow, at the last tick. */
struct seen {
	uint32_t generation;
	uint32_t packets[2];
	uint64_t bytes[2];
};

struct traffic {
	struct pping *p;
	struct lqos_batch *batch;
	struct seen *seen; /* by flow slot; NULL: nobody reads */
	uint64_t seq;	   /* of the last tick */
};

/* ---- Who watches ----------------------------------------------------------
 */

/* So that all that is counted is of one time. */
static void forget_counts(struct pping *p)
{
	uint32_t n = lqos_flows(p->ctx, &p->table), i;

	for (i = 0; i < n; i++) {
		struct pp_times *t = pping_times(p, i);

		memset(t->bytes, 0, sizeof(t->bytes));
		memset(t->packets, 0, sizeof(t->packets));
	}
}

void pping_watch(struct pping *p, enum pp_watch what, bool on)
{
	if (on && !*p->watched)
		forget_counts(p);
	*p->watched = on ? *p->watched | what : *p->watched & ~what;
}

/* ---- Records --------------------------------------------------------------
 */

static void note(struct seen *seen, const struct pp_times *t)
{
	seen->generation = t->generation;
	memcpy(seen->packets, t->packets, sizeof(seen->packets));
	memcpy(seen->bytes, t->bytes, sizeof(seen->bytes));
}

/* Beside the programs that write it. */
static bool read_flow(const struct lqos_flow *flow, const struct pp_times *from,
		      struct pp_times *t, struct record *r)
{
	*t = *from;
	r->key = flow->key;
	r->slot = flow->slot;
	r->stamped = t->stamped;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&flow->used, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&flow->generation, __ATOMIC_RELAXED) ==
		       t->generation &&
	       __atomic_load_n(&from->generation, __ATOMIC_RELAXED) ==
		       t->generation;
}

static void look_at(struct traffic *traffic, uint32_t index)
{
	const struct pping *p = traffic->p;
	struct seen *seen = &traffic->seen[index];
	struct record r = {};
	struct pp_times t;
	int i;

	if (!read_flow(lqos_flow_at(&p->table, index), pping_times(p, index),
		       &t, &r))
		return;
	if (seen->generation != t.generation)
		*seen = (struct seen){.generation = t.generation};
	for (i = 0; i < 2; i++) {
		r.way[i].packets = t.packets[i] - seen->packets[i];
		r.way[i].bytes = t.bytes[i] - seen->bytes[i];
	}
	note(seen, &t);
	if (r.way[0].packets || r.way[1].packets)
		lqos_batch_add(traffic->batch, &r);
}

/* At the first question of each tick. */
static void look_around(struct traffic *traffic)
{
	const struct lqos_snapshot *snapshot = lqos_snapshot(traffic->p->ctx);
	uint64_t seq = snapshot ? lqos_snapshot_time(snapshot).seq : 0;
	uint32_t n, i;

	if (!traffic->seen || seq == traffic->seq)
		return;
	traffic->seq = seq;
	n = lqos_flows(traffic->p->ctx, &traffic->p->table);
	for (i = 1; i < n; i++)
		look_at(traffic, i);
}

static void on_read(bool on, void *arg)
{
	struct traffic *traffic = arg;
	struct pping *p = traffic->p;
	uint32_t n, i;

	pping_watch(p, PP_WATCH_TRAFFIC, on);
	free(traffic->seen);
	traffic->seen = NULL;
	if (!on)
		return;
	n = lqos_flows(p->ctx, &p->table);
	traffic->seen = calloc(p->table.slots, sizeof(*traffic->seen));
	/* What was counted for others is not of this reader's time. */
	for (i = 1; traffic->seen && i < n; i++)
		note(&traffic->seen[i], pping_times(p, i));
}

/* ---- By network -----------------------------------------------------------
 */

struct params {
	struct lqos_flow_filter filter;
	uint64_t mask4[2], mask6[2];
};

struct network {
	uint64_t hi, lo; /* as in struct lqos_flow_key */
	const char *protocol;
	struct counts rx, tx; /* from it, to it */
	bool ipv6;
};

static int read_length(const json_t *params, const char *name, uint32_t most,
		       uint32_t usual, uint64_t mask[2], char *why, size_t size)
{
	const json_t *given = json_object_get(params, name);
	json_int_t length = given ? json_integer_value(given) : usual;

	if ((given && !json_is_integer(given)) || length < 0 || length > most) {
		snprintf(why, size, "%s: expected a number from 0 to %u", name,
			 most);
		return -EINVAL;
	}
	pping_mask((uint32_t)length, mask);
	return 0;
}

static int read_params(const json_t *params, const struct pping_config *config,
		       struct params *out, char *why, size_t size)
{
	struct params p;

	if (lqos_flow_filter_parse(params, pping_kinds, &p.filter, why, size) ||
	    read_length(params, "ipv4_prefix", 32, config->ipv4_prefix, p.mask4,
			why, size) ||
	    read_length(params, "ipv6_prefix", 128, config->ipv6_prefix,
			p.mask6, why, size))
		return -EINVAL;
	*out = p;
	return 0;
}

static int check(const json_t *params, char *why, size_t size, void *arg)
{
	static const char *const known[] = {"ip",	   "circuit",
					    "protocol",	   "ipv4_prefix",
					    "ipv6_prefix", NULL};
	const struct traffic *traffic = arg;
	struct params p;

	return lqos_params_only(params, known, why, size)
		       ?: read_params(params, traffic->p->config, &p, why,
				      size);
}

/* As ePPing tells TCP apart. */
static const char *protocol_of(const struct record *r)
{
	if (r->key.proto != IPPROTO_TCP)
		return lqos_protocol_text(r->key.proto);
	return r->stamped ? "TCP_TS" : "TCP_noTS";
}

static struct network end_of(const struct record *r, const struct params *p,
			     bool subs)
{
	const struct lqos_flow_key *k = &r->key;
	const uint64_t *mask = k->ipv6 ? p->mask6 : p->mask4;
	uint64_t hi = subs ? k->subs_hi : k->remote_hi;
	uint64_t lo = subs ? k->subs_lo : k->remote_lo;

	return (struct network){
		.hi = k->ipv6 ? hi & mask[0] : hi,
		.lo = lo & mask[k->ipv6],
		.ipv6 = k->ipv6,
		.protocol = protocol_of(r),
		.rx = r->way[subs ? LQOS_UP : LQOS_DOWN],
		.tx = r->way[subs ? LQOS_DOWN : LQOS_UP],
	};
}

static int compare(const void *a, const void *b)
{
	const struct network *x = a, *y = b;

	if (x->ipv6 != y->ipv6)
		return x->ipv6 - y->ipv6;
	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return strcmp(x->protocol, y->protocol);
}

static void add(struct counts *to, struct counts by)
{
	to->packets += by.packets;
	to->bytes += by.bytes;
}

/* Those of the same network and protocol become one; returns how many there
 * are. */
static size_t merge(struct network *all, size_t n)
{
	size_t i, kept = 0;

	qsort(all, n, sizeof(*all), compare);
	for (i = 0; i < n; i++) {
		if (!kept || compare(&all[kept - 1], &all[i])) {
			all[kept++] = all[i];
			continue;
		}
		add(&all[kept - 1].rx, all[i].rx);
		add(&all[kept - 1].tx, all[i].tx);
	}
	return kept;
}

static json_t *network_row(const struct network *n)
{
	char text[INET6_ADDRSTRLEN];

	lqos_address_text(n->hi, n->lo, n->ipv6, text, sizeof(text));
	return json_pack("[s,s,I,I,I,I]", text, n->protocol,
			 (json_int_t)n->rx.packets, (json_int_t)n->rx.bytes,
			 (json_int_t)n->tx.packets, (json_int_t)n->tx.bytes);
}

static json_t *ecn_json(const struct pping *p)
{
	struct pp_ecn sum = {};
	uint32_t cpu, i;

	for (cpu = 0; cpu < p->cpus; cpu++)
		for (i = 0; i < 4; i++)
			sum.packets[i] += p->ecn[cpu].packets[i];
	return json_pack("[I,I,I,I]", (json_int_t)sum.packets[0],
			 (json_int_t)sum.packets[1], (json_int_t)sum.packets[2],
			 (json_int_t)sum.packets[3]);
}

static int frame(const json_t *params, json_t **out, void *arg)
{
	autofree struct network *all = NULL;
	struct traffic *traffic = arg;
	const struct record *records;
	struct pping *p = traffic->p;
	uint32_t n_records, i;
	struct params wanted;
	size_t n = 0, row;
	uint64_t lost;
	json_t *rows;
	char why[128];

	if (read_params(params, p->config, &wanted, why, sizeof(why)))
		return -EINVAL;
	look_around(traffic);
	records = lqos_batch_take(traffic->batch, &n_records, &lost);
	all = calloc(2 * (size_t)n_records + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (i = 0; i < n_records; i++) {
		const struct record *r = &records[i];

		if (!pping_matches(p, &wanted.filter, &r->key, r->slot,
				   pping_kind_of(&r->key)))
			continue;
		all[n++] = end_of(r, &wanted, true);
		all[n++] = end_of(r, &wanted, false);
	}
	n = merge(all, n);
	rows = json_array();
	for (row = 0; row < n; row++)
		json_array_append_new(rows, network_row(&all[row]));
	*out = json_pack("{s:[s,s,s,s,s,s],s:o,s:o,s:I}", "columns", "network",
			 "protocol", "rx_packets", "rx_bytes", "tx_packets",
			 "tx_bytes", "rows", rows, "ecn", ecn_json(p), "lost",
			 (json_int_t)lost);
	return *out ? 0 : -ENOMEM;
}

static const struct lqos_topic topic = {
	.name = "traffic",
	.help = "What networks send and are sent: params {ip, circuit, "
		"protocol, ipv4_prefix, ipv6_prefix}",
	.frame = frame,
	.check = check,
};

static void free_traffic(void *arg)
{
	struct traffic *traffic = arg;

	free(traffic->seen);
	free(traffic);
}

int pping_add_traffic(struct pping *p)
{
	struct traffic *traffic = calloc(1, sizeof(*traffic));
	int rc = traffic ? lqos_defer(p->ctx, free_traffic, traffic) : -ENOMEM;

	if (rc)
		return rc;
	traffic->p = p;
	/* Room for all of them: only what is used becomes memory. */
	return lqos_batch_new(p->ctx, sizeof(struct record), p->table.slots,
			      on_read, traffic, &traffic->batch)
		       ?: lqos_topic_add(p->ctx, &topic, traffic);
}
