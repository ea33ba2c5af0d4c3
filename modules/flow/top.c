/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* top.c - the busiest flows, those of an address, and how many there are. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/first.h"
#include "modules/flow/flow.h"

enum { LIMIT = 20, LIMIT_MAX = 1000 };

/* ---- What is asked for ----------------------------------------------------
 */

static int fail(struct lqos_call *call, const char *key, const char *expected)
{
	return lqos_call_fail(call, -EINVAL, "%s: expected %s", key, expected);
}

static int read_number(struct lqos_call *call, const char *key, json_int_t min,
		       json_int_t max, json_int_t *out)
{
	const json_t *given = json_object_get(lqos_call_params(call), key);
	json_int_t value = json_integer_value(given);

	if (!given)
		return 0;
	if (!json_is_integer(given) || value < min || value > max)
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected a number from "
				      "%" JSON_INTEGER_FORMAT
				      " to %" JSON_INTEGER_FORMAT,
				      key, min, max);
	*out = value;
	return 0;
}

static int read_filter(struct lqos_call *call, struct lqos_flow_filter *out)
{
	char why[128];

	if (lqos_flow_filter_parse(lqos_call_params(call), NULL, out, why,
				   sizeof(why)))
		return lqos_call_fail(call, -EINVAL, "%s", why);
	return 0;
}

/* One that is over, but not swept away yet, is none any more. */
static bool matches(const struct flow_module *m,
		    const struct lqos_flow_filter *f,
		    const struct lqos_flow *flow, uint64_t now)
{
	return flow->used && !lqos_flow_is_over(flow, now) &&
	       lqos_flow_filter_has(m->ctx, f, &flow->key, flow->slot);
}

/* ---- The best -------------------------------------------------------------
 */

/* The column that name is, or is the end of: "bytes" is flow.bytes, "rtt" the
 * first that ends so.  -EINVAL: there is none. */
static int find_column(const struct flow_module *m, const char *name,
		       uint32_t *out)
{
	uint32_t n = lqos_flow_columns(m->ctx), i;
	size_t len = strlen(name), have;
	const char *whole;

	for (i = 0; i < n; i++) {
		lqos_flow_column(m->ctx, i, &whole);
		have = strlen(whole);
		if (!strcmp(whole, name) ||
		    (have > len && whole[have - len - 1] == '.' &&
		     !strcmp(whole + have - len, name))) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The greatest come first, of equals the lower slot, so that pages do not
 * overlap.  Returns how many the filter lets through. */
static uint64_t search(const struct flow_module *m,
		       const struct lqos_flow_filter *f, uint32_t column,
		       struct core_first *out)
{
	struct lqos_flow_table table;
	uint32_t n = lqos_flows(m->ctx, &table), i;
	uint64_t value, total = 0, now = flow_now();

	for (i = 1; i < n; i++) {
		if (!matches(m, f, lqos_flow_at(&table, i), now))
			continue;
		value = lqos_flow_value(m->ctx, column, i);
		total++;
		core_first_offer(
			out,
			(struct core_candidate){
				.key = UINT64_MAX -
				       (value == LQOS_NO_VALUE ? 0 : value),
				.tie = i,
				.what = i,
			});
	}
	core_first_sort(out);
	return total;
}

static json_t *list(const struct flow_module *m, const struct core_first *p,
		    size_t offset, bool detail)
{
	json_t *flows = json_array();
	uint64_t now = flow_now();
	struct flow_copy c;
	size_t i;

	for (i = offset; i < p->n; i++)
		if (!flow_read(m, p->heap[i].what, &c))
			json_array_append_new(flows,
					      flow_record(m, &c, now, detail));
	return flows;
}

static int no_column(struct lqos_call *call, const struct flow_module *m)
{
	char names[512] = "";
	const char *name;
	uint32_t i;

	for (i = 0; i < lqos_flow_columns(m->ctx); i++) {
		lqos_flow_column(m->ctx, i, &name);
		if (strlen(names) + strlen(name) + 3 < sizeof(names))
			strcat(strcat(names, i ? ", " : ""), name);
	}
	return lqos_call_fail(call, -EINVAL, "sort: expected one of %s", names);
}

static int run_top(struct lqos_call *call, void *arg)
{
	const json_t *sort = json_object_get(lqos_call_params(call), "sort");
	bool detail =
		json_is_true(json_object_get(lqos_call_params(call), "detail"));
	const char *name = json_string_value(sort) ?: "rate";
	json_int_t limit = LIMIT, offset = 0;
	const struct flow_module *m = arg;
	struct core_first picks;
	struct lqos_flow_filter filter;
	struct lqos_flow_table table;
	uint32_t column, n = lqos_flows(m->ctx, &table);
	uint64_t total;
	int rc;

	rc = read_filter(call, &filter);
	if (!rc)
		rc = read_number(call, "limit", 1, LIMIT_MAX, &limit);
	if (!rc)
		rc = read_number(call, "offset", 0, table.slots - 1, &offset);
	if (rc)
		return rc;
	if ((sort && !json_is_string(sort)) || find_column(m, name, &column))
		return no_column(call, m);
	if (core_first_init(&picks, limit + offset < n ? limit + offset : n))
		return lqos_call_fail(call, -ENOMEM, "too many flows");
	total = search(m, &filter, column, &picks);
	lqos_call_result(call,
			 json_pack("{s:I,s:I,s:o}", "total", (json_int_t)total,
				   "offset", (json_int_t)offset, "flows",
				   list(m, &picks, offset, detail)));
	free(picks.heap);
	return 0;
}

static int run_by_ip(struct lqos_call *call, void *arg)
{
	if (!json_object_get(lqos_call_params(call), "ip"))
		return fail(call, "ip", "an address or prefix");
	return run_top(call, arg);
}

/* ---- How many -------------------------------------------------------------
 */

static int run_count(struct lqos_call *call, void *arg)
{
	uint32_t tcp = 0, udp = 0, icmp = 0, unknown = 0, one_way = 0,
		 closed = 0;
	const struct flow_module *m = arg;
	struct lqos_flow_table table;
	const struct lqos_flow *f;
	struct lqos_flow_filter filter;
	uint64_t now = flow_now();
	uint32_t n, i;
	int rc = read_filter(call, &filter);

	if (rc)
		return rc;
	n = lqos_flows(m->ctx, &table);
	for (i = 1; i < n; i++) {
		f = lqos_flow_at(&table, i);
		if (!matches(m, &filter, f, now))
			continue;
		tcp += f->key.proto == IPPROTO_TCP;
		udp += f->key.proto == IPPROTO_UDP;
		icmp += f->key.proto == IPPROTO_ICMP ||
			f->key.proto == IPPROTO_ICMPV6;
		unknown += !f->slot;
		one_way += !lqos_flow_is_answered(f);
		closed += lqos_flow_is_closed(f) ? 1 : 0;
	}
	lqos_call_result(
		call,
		json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "flows",
			  (json_int_t)tcp + udp + icmp, "tcp", (json_int_t)tcp,
			  "udp", (json_int_t)udp, "icmp", (json_int_t)icmp,
			  "of_unknown_hosts", (json_int_t)unknown, "one_way",
			  (json_int_t)one_way, "closed", (json_int_t)closed,
			  "room", (json_int_t)table.slots - 1));
	return 0;
}

#define FILTERS "ip?: string, circuit?: string, protocol?: string"

static const struct lqos_command commands[] = {
	{.name = "top",
	 .params = "{sort?: string, limit?: number, offset?: number, "
		   "detail?: bool, " FILTERS "}",
	 .help = "Flows, most first: by rate, bytes, packets, retransmits, rtt",
	 .run = run_top},
	{.name = "by_ip",
	 .params = "{ip: string, sort?: string, limit?: number, offset?: "
		   "number, detail?: bool, circuit?: string, protocol?: "
		   "string}",
	 .help = "Flows of an address or prefix, at either end",
	 .run = run_by_ip},
	{.name = "count",
	 .params = "{" FILTERS "}",
	 .help = "How many flows there are",
	 .run = run_count},
};

int flow_add_commands(struct flow_module *m)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof(commands) / sizeof(commands[0]); i++)
		rc = lqos_command_add(m->ctx, &commands[i], m);
	return rc;
}
