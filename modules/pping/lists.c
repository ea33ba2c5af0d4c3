/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lists.c - round-trip times by subscriber, by node of the network, and by
 * network of hosts that are nobody's. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/pping.h"

enum { SAMPLE = 1, LIMIT = 100, LIMIT_MAX = 100000, TRIES = 8 };

static json_t *number(const struct rtt_stats *s, uint64_t value)
{
	return s->samples ? json_integer((json_int_t)value) : json_null();
}

static json_t *stats_json(const struct rtt_stats *s)
{
	return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "samples",
			 (json_int_t)s->samples, "mean_ns", number(s, s->mean),
			 "min_ns", number(s, s->min), "max_ns",
			 number(s, s->max), "p50_ns", number(s, s->p50),
			 "p90_ns", number(s, s->p90), "p99_ns",
			 number(s, s->p99));
}

/* ---- Subscribers ----------------------------------------------------------
 */

static int run_subscribers(struct lqos_call *call, void *arg)
{
	struct pping *p = arg;
	json_t *out = json_array();
	const struct lqos_subscriber *s;
	struct rtt_stats access, internet;
	char class[16];
	uint32_t slot;

	for (slot = 1; slot < p->slots; slot++) {
		s = lqos_subscriber(p->ctx, slot);
		if (!s)
			continue;
		access = pping_stats(p, slot, PP_ACCESS);
		internet = pping_stats(p, slot, PP_INTERNET);
		if (!access.samples && !internet.samples)
			continue;
		class[0] = '\0';
		if (s->handle)
			snprintf(class, sizeof(class), "%x:%x", s->handle >> 16,
				 s->handle & 0xffff);
		json_array_append_new(
			out,
			json_pack("{s:s,s:s,s:s,s:I,s:o,s:o}", "circuit_id",
				  s->circuit_id, "name", s->name ?: "", "class",
				  class, "handle", (json_int_t)s->handle,
				  "access", stats_json(&access), "internet",
				  stats_json(&internet)));
	}
	lqos_call_result(call, out);
	return 0;
}

/* ---- Nodes ----------------------------------------------------------------
 */

/* The samples of all that hangs below a node. */
struct sum {
	struct rtt_samples side[PP_SIDES];
};

static json_t *sum_json(const struct sum *s, enum pp_side side)
{
	struct rtt_stats stats;

	rtt_stats_of(&s->side[side], &stats);
	return stats_json(&stats);
}

static int run_nodes(struct lqos_call *call, void *arg)
{
	struct pping *p = arg;
	uint32_t n = lqos_nodes(p->ctx), slot, i;
	autofree struct sum *sums = calloc(n ?: 1, sizeof(*sums));
	const struct lqos_subscriber *s;
	const struct lqos_node *node;
	json_t *out;
	int side;

	if (!sums)
		return lqos_call_fail(call, -ENOMEM, "too many nodes");
	for (slot = 1; slot < p->slots; slot++) {
		s = lqos_subscriber(p->ctx, slot);
		if (!s || s->node >= n)
			continue;
		for (side = 0; side < PP_SIDES; side++)
			pping_add_window(p, slot, side,
					 &sums[s->node].side[side]);
	}
	/* Parents come before their children. */
	for (i = n; i-- > 1;)
		for (side = 0; side < PP_SIDES; side++)
			rtt_samples_add(
				&sums[lqos_node(p->ctx, i)->parent].side[side],
				&sums[i].side[side]);
	out = json_array();
	for (i = 0; i < n; i++) {
		node = lqos_node(p->ctx, i);
		json_array_append_new(
			out,
			json_pack("{s:i,s:i,s:s,s:o,s:o}", "node", (int)i,
				  "parent", (int)node->parent, "name",
				  i ? node->name ?: "" : "", "access",
				  sum_json(&sums[i], PP_ACCESS), "internet",
				  sum_json(&sums[i], PP_INTERNET)));
	}
	lqos_call_result(call, out);
	return 0;
}

/* ---- Networks of hosts that are nobody's ----------------------------------
 */

/* A copy of an entry that is written beside us; false: it is free, or changes
 * hands too fast. */
static bool copy_prefix(const struct pp_prefix *from, struct pp_prefix *to)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		uint64_t lo = __atomic_load_n(&from->lo, __ATOMIC_ACQUIRE);

		if (!__atomic_load_n(&from->last_seen, __ATOMIC_ACQUIRE))
			return false;
		*to = *from;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (to->last_seen && to->lo == lo &&
		    __atomic_load_n(&from->lo, __ATOMIC_RELAXED) == lo &&
		    __atomic_load_n(&from->last_seen, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static int by_samples(const void *a, const void *b)
{
	uint32_t x = ((const struct pp_prefix *)a)->hist.outcome[SAMPLE];
	uint32_t y = ((const struct pp_prefix *)b)->hist.outcome[SAMPLE];

	return (x < y) - (x > y);
}

static json_t *prefix_json(const struct pping *p, const struct pp_prefix *x)
{
	char text[INET6_ADDRSTRLEN], prefix[INET6_ADDRSTRLEN + 8];
	struct rtt_samples samples = {
		.sum = x->hist.sum, .min = x->hist.min, .max = x->hist.max};
	bool ipv6 = x->hi != UINT64_MAX;
	struct rtt_stats stats;
	json_t *row;

	lqos_address_text(x->hi, x->lo, ipv6, text, sizeof(text));
	snprintf(prefix, sizeof(prefix), "%s/%u", text,
		 ipv6 ? p->config->ipv6_prefix : p->config->ipv4_prefix);
	memcpy(samples.bucket, x->hist.bucket, sizeof(samples.bucket));
	rtt_stats_of(&samples, &stats);
	row = stats_json(&stats);
	json_object_set_new(row, "prefix", json_string(prefix));
	json_object_set_new(
		row, "side",
		json_string(x->side == PP_ACCESS ? "access" : "internet"));
	return row;
}

static int run_prefixes(struct lqos_call *call, void *arg)
{
	const json_t *given = json_object_get(lqos_call_params(call), "limit");
	json_int_t limit = given ? json_integer_value(given) : LIMIT;
	const struct pping *p = arg;
	autofree struct pp_prefix *all = NULL;
	size_t n = 0, i;
	json_t *out;

	if (limit < 1 || limit > LIMIT_MAX)
		return lqos_call_fail(call, -EINVAL,
				      "limit: expected a number from 1 to %d",
				      LIMIT_MAX);
	all = calloc((size_t)p->sets * PP_WAYS + 1, sizeof(*all));
	if (!all)
		return lqos_call_fail(call, -ENOMEM, "too many prefixes");
	for (i = 0; i < (size_t)p->sets * PP_WAYS; i++)
		n += copy_prefix(&p->prefixes[i / PP_WAYS].prefix[i % PP_WAYS],
				 &all[n]);
	qsort(all, n, sizeof(*all), by_samples);
	out = json_array();
	for (i = 0; i < n && i < (size_t)limit; i++)
		json_array_append_new(out, prefix_json(p, &all[i]));
	lqos_call_result(call, out);
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "subscribers",
	 .params = "{}",
	 .help = "Round trips of subscribers, of late, on either side",
	 .run = run_subscribers},
	{.name = "nodes",
	 .params = "{}",
	 .help = "The same, of all that hangs below each node of the network",
	 .run = run_nodes},
	{.name = "prefixes",
	 .params = "{limit?: number}",
	 .help = "Round trips by network of hosts that are no subscriber's, "
		 "since they were first seen",
	 .run = run_prefixes},
};

int pping_add_commands(struct pping *p)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < ARRAY_SIZE(commands); i++)
		rc = lqos_command_add(p->ctx, &commands[i], p);
	return rc;
}
