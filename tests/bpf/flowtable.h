/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flowtable.h - the core's table of flows, looked at from outside. */
#ifndef TESTS_BPF_FLOWTABLE_H
#define TESTS_BPF_FLOWTABLE_H

#include "tests/bpf/conn.h"

struct ring_buffer;

struct lqos_flow_key table_key(const struct conn *c);
/* The slot of the one record that is in use and has that key; 0: none. */
uint32_t table_find(const struct datapath *dp, const struct conn *c);
uint64_t table_count(const struct datapath *dp, enum dp_flow_counter which);
/* As if its last packet had come so long ago. */
void table_age(struct datapath *dp, uint32_t flow, uint64_t ns);
/* Asserts that records, buckets, free lists and counters tell the same; returns
 * how many flows there are. */
uint32_t table_check(const struct datapath *dp);

/* What the core's ring has told, in order. */
enum { TABLE_TOLD_MAX = 16384 };

struct table_told {
	struct ring_buffer *ring;
	uint32_t n;
	struct lqos_flow_event event[TABLE_TOLD_MAX];
};

struct table_told *table_listen(struct datapath *dp);
/* Returns how many there are now. */
uint32_t table_hear(struct table_told *t);
void table_unlisten(struct table_told **t);

#endif /* TESTS_BPF_FLOWTABLE_H */
