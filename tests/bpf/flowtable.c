/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bpf/flowtable.h"

#include "bpf/datapath.skel.h"

static void read_address(const char *text, __u64 *hi, __u64 *lo)
{
	uint8_t addr[16];

	*hi = UINT64_MAX;
	*lo = 0;
	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, addr), 1);
		memcpy(hi, addr, 8);
		memcpy(lo, addr + 8, 8);
	} else {
		assert_int_equal(inet_pton(AF_INET, text, addr), 1);
		memcpy(lo, addr, 4);
	}
}

/* The space is 0. */
struct lqos_flow_key table_key(const struct conn *c)
{
	struct lqos_flow_key key = {
		.subs_port = htons(c->subs_port),
		.remote_port = htons(c->remote_port),
		.proto = c->proto ? c->proto : CONN_TCP,
		.ipv6 = strchr(c->subs, ':') != NULL,
	};

	if (key.proto == CONN_ICMP || key.proto == CONN_ICMPV6)
		key.remote_port = key.subs_port;
	read_address(c->subs, &key.subs_hi, &key.subs_lo);
	read_address(c->remote, &key.remote_hi, &key.remote_lo);
	return key;
}

uint32_t table_find(const struct datapath *dp, const struct conn *c)
{
	struct lqos_flow_key key = table_key(c);
	uint32_t i, found = 0;

	for (i = 1; i <= dp->knobs.flows; i++) {
		if (!datapath_flow(dp, i)->used ||
		    memcmp(&datapath_flow(dp, i)->key, &key, sizeof(key)))
			continue;
		assert_int_equal(found, 0);
		found = i;
	}
	return found;
}

uint64_t table_count(const struct datapath *dp, enum dp_flow_counter which)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < dp->cpus; cpu++)
		sum += dp->flow_rows[cpu].count[which];
	return sum;
}

void table_age(struct datapath *dp, uint32_t flow, uint64_t ns)
{
	uint32_t size = bpf_map__value_size(dp->skel->maps.lqos_flows);
	struct lqos_flow *value = malloc(size);

	assert_non_null(value);
	memcpy(value, datapath_flow(dp, flow), size);
	/* Nothing was seen before the machine was started. */
	while (conn_now() <= ns)
		sleep(1);
	value->last_seen = conn_now() - ns;
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(dp->skel->maps.lqos_flows),
				    &flow, value, BPF_ANY),
		0);
	free(value);
}

/* ---- Does it add up? ----------------------------------------------------- */

enum where { NOWHERE, IN_BUCKET, FREE, UNTOUCHED };

static void put(uint8_t *where, uint32_t flow, enum where what, uint32_t max)
{
	assert_in_range(flow, 1, max);
	assert_int_equal(where[flow], NOWHERE);
	where[flow] = (uint8_t)what;
}

static uint32_t walk_buckets(const struct datapath *dp, uint8_t *where)
{
	const struct bpf_map *map = dp->skel->maps.dp_buckets;
	uint32_t i, n = 0, max = dp->knobs.flows;
	struct dp_bucket b;
	int j, k;

	for (i = 0; i < bpf_map__max_entries(map); i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &i, &b),
				 0);
		for (j = 0; j < DP_WAYS; j++) {
			if (!b.way[j])
				continue;
			put(where, (uint32_t)b.way[j], IN_BUCKET, max);
			n++;
			/* Of a tag only the first would be found. */
			for (k = 0; k < j; k++)
				if (b.way[k])
					assert_int_not_equal(b.way[j] >> 32,
							     b.way[k] >> 32);
		}
	}
	return n;
}

static void walk_free(const struct datapath *dp, uint8_t *where)
{
	uint32_t cpu, i, max = dp->knobs.flows;
	const struct dp_flow_row *row;

	for (cpu = 0; cpu < dp->cpus; cpu++) {
		row = &dp->flow_rows[cpu];
		for (i = row->free; i;
		     i = (uint32_t)datapath_flow(dp, i)->key.subs_hi)
			put(where, i, FREE, max);
		for (i = row->next; i < row->end && i <= max; i++)
			put(where, i, UNTOUCHED, max);
	}
}

uint32_t table_check(const struct datapath *dp)
{
	uint32_t i, n, max = dp->knobs.flows, unknown = 0;
	uint32_t next = dp->skel->data->dp_flow_next;
	autofree uint8_t *where = calloc(max + 1, 1);

	assert_non_null(where);
	n = walk_buckets(dp, where);
	walk_free(dp, where);
	for (i = 1; i <= max; i++) {
		assert_int_equal(datapath_flow(dp, i)->used,
				 where[i] == IN_BUCKET);
		/* None is lost, and none that nobody had is out. */
		assert_int_equal(where[i] != NOWHERE, i < next);
		if (datapath_flow(dp, i)->used) {
			assert_int_not_equal(datapath_flow(dp, i)->generation,
					     0);
			unknown += !datapath_flow(dp, i)->slot;
		}
	}
	assert_int_equal(table_count(dp, DP_FLOW_OPENED) -
				 table_count(dp, DP_FLOW_FREED),
			 n);
	assert_int_equal(table_count(dp, DP_FLOW_IDLE) +
				 table_count(dp, DP_FLOW_EVICTED),
			 table_count(dp, DP_FLOW_FREED));
	assert_int_equal(dp->skel->bss->dp_flow_unknowns, unknown);
	return n;
}

/* ---- Events -------------------------------------------------------------- */

static int note(void *arg, void *data, size_t len)
{
	struct table_told *t = arg;

	assert_int_equal(len, sizeof(struct lqos_flow_event));
	assert_true(t->n < TABLE_TOLD_MAX);
	memcpy(&t->event[t->n++], data, len);
	return 0;
}

struct table_told *table_listen(struct datapath *dp)
{
	struct table_told *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->ring = ring_buffer__new(bpf_map__fd(dp->skel->maps.dp_flow_events),
				   note, t, NULL);
	assert_non_null(t->ring);
	dp->skel->bss->dp_flow_watched = 1;
	return t;
}

uint32_t table_hear(struct table_told *t)
{
	assert_true(ring_buffer__consume(t->ring) >= 0);
	return t->n;
}

void table_unlisten(struct table_told **t)
{
	ring_buffer__free((*t)->ring);
	free(*t);
	*t = NULL;
}
