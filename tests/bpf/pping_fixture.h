/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pping_fixture.h - the module's programs behind the datapath's, loaded once
 * for the tests that follow each other: that takes longer than all else.
 */
#ifndef TESTS_BPF_PPING_FIXTURE_H
#define TESTS_BPF_PPING_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "bpf/pping.h"
#include "tests/bpf/flowtable.h"

/* Nothing is measured here. */
static __always_inline __u64 rtt_now(void);
#include "bpf/lib/rtt.h"
static __always_inline __u64 rtt_now(void)
{
	return 0;
}

#include "bpf/datapath.skel.h"
#include "bpf/pping.skel.h"

enum { ALICE = 5, ROOM = 1024, FAST = 2, SLOW = 12 /* ms */ };

static struct datapath *dp;
static struct pping_bpf *pp;
static struct ring_buffer *ring;
static struct pp_event told[64];
static uint32_t n_told;

static inline int note(void *arg, void *data, size_t len)
{
	(void)arg;
	assert_int_equal(len, sizeof(struct pp_event));
	assert_true(n_told < ARRAY_SIZE(told));
	memcpy(&told[n_told++], data, len);
	return 0;
}

static inline void unload(void)
{
	ring_buffer__free(ring);
	ring = NULL;
	pping_bpf__destroy(pp);
	pp = NULL;
	datapath_free(&dp);
}

enum how { PLAIN, EXACT, ONE_SET, TC };

static inline int load(enum how how)
{
	const struct datapath_knobs knobs = {
		.one_interface = how == TC,
		.flows = ROOM,
		.parts = sizeof(struct pp_flow),
		.seed = 7,
	};
	uint32_t sets = how == ONE_SET ? 1 : 64;
	int rc = datapath_new(&dp, &knobs);

	if (rc)
		return rc;
	pp = pping_bpf__open();
	if (!pp)
		return -1;
	pp->rodata->lqos_self = 1;
	pp->rodata->lqos_flow_part = sizeof(struct lqos_flow);
	pp->rodata->lqos_shared = how == TC;
	pp->rodata->pp_seed = 0x1234567;
	pp->rodata->pp_exact = how == EXACT;
	pp->rodata->pp_sets = sets;
	pp->rodata->pp_mask4 = htonl(0xffffff00);
	memset((void *)(uintptr_t)&pp->rodata->pp_mask6_hi, 0xff, 6);
	rc = bpf_map__set_max_entries(pp->maps.pp_hists, DATAPATH_SLOTS) ?:
	     bpf_map__set_max_entries(pp->maps.pp_totals, dp->cpus) ?:
	     bpf_map__set_max_entries(pp->maps.pp_syns, PP_SYNS) ?:
	     bpf_map__set_max_entries(pp->maps.pp_probes, PP_PROBES) ?:
	     bpf_map__set_max_entries(pp->maps.pp_prefixes, sets) ?:
	     bpf_map__set_max_entries(pp->maps.pp_evicted, dp->cpus) ?:
	     bpf_map__set_max_entries(pp->maps.pp_lost, dp->cpus) ?:
	     bpf_map__set_max_entries(pp->maps.pp_ecn, dp->cpus) ?:
	     datapath_bind(dp, pp->obj) ?:
	     pping_bpf__load(pp);
	if (rc)
		return rc;
	ring = ring_buffer__new(bpf_map__fd(pp->maps.pp_events), note, NULL,
				NULL);
	return conn_wire(dp, how == TC ? pp->progs.pp_look_tc
				       : pp->progs.pp_look) ?:
	       datapath_own(dp, "10.0.0.1/32", ALICE, 0, 0) ?:
	       datapath_own(dp, "2001:db8:1::/48", ALICE, 0, 0);
}

static inline void forget(const struct bpf_map *map, uint32_t index)
{
	static const struct pp_hist none;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(map), &index, &none, BPF_ANY),
		0);
}

static uint16_t port = 40000;

/* Loaded once for those that follow each other; nothing is counted yet. */
static inline int ready(void **state)
{
	const enum how *how = *state;
	static enum how loaded;

	if (dp && loaded != *how)
		unload();
	if (!dp && load(*how))
		return -1;
	loaded = *how;
	forget(pp->maps.pp_hists, 0);
	forget(pp->maps.pp_hists, ALICE);
	forget(pp->maps.pp_totals, dp->cpu);
	pp->bss->pp_watched = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
	n_told = 0;
	port += 16;
	return 0;
}

static inline int unload_last(void **state)
{
	(void)state;
	if (dp)
		unload();
	return 0;
}

/* ---- What is there ------------------------------------------------------- */

static inline struct pp_side_hist hist(uint32_t slot, enum pp_side side)
{
	static struct pp_hist h, total;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(pp->maps.pp_hists), &slot, &h),
		0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(pp->maps.pp_totals),
					     &dp->cpu, &total),
			 0);
	/* There is one who measures at a time. */
	assert_memory_equal(total.side[side].outcome, h.side[side].outcome,
			    sizeof(h.side[side].outcome));
	assert_int_equal(total.side[side].sum, h.side[side].sum);
	return h.side[side];
}

static inline uint32_t samples(uint32_t slot, enum pp_side side)
{
	struct pp_side_hist h = hist(slot, side);
	uint32_t i, n = 0;

	for (i = 0; i < PP_BUCKETS; i++)
		n += h.bucket[i];
	assert_int_equal(h.outcome[RTT_SAMPLE], n);
	return n;
}

static inline uint32_t outcome(enum pp_side side, enum rtt_outcome which)
{
	return hist(ALICE, side).outcome[which];
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* One sample on a side, no shorter than so many ms, no longer than since. */
static inline void one_sample(uint32_t slot, enum pp_side side, uint32_t ms,
			      uint64_t since)
{
	uint64_t longest = now_ns() - since;
	struct pp_side_hist h;
	uint32_t i;

	assert_int_equal(samples(slot, side), 1);
	h = hist(slot, side);
	assert_in_range(h.sum, ms * 1000000ULL, longest);
	assert_in_range((uint64_t)h.min << 6, ms * 1000000ULL - 64, longest);
	for (i = 0; i < PP_BUCKETS; i++)
		if (h.bucket[i])
			assert_true(rtt_bucket_floor(i) <= h.sum &&
				    h.sum < rtt_bucket_floor(i + 1));
}

/* ---- Conversations ------------------------------------------------------- */

static inline struct conn alice(void)
{
	return (struct conn){.subs = "10.0.0.1",
			     .remote = "192.0.2.1",
			     .subs_port = ++port,
			     .remote_port = 8443};
}

static inline struct lqos_packet pass(const struct conn *c,
				      enum lqos_direction way, uint8_t flags,
				      uint32_t seq, uint32_t ack, uint32_t len)
{
	return conn_pass(dp, c,
			 &(struct sent){.way = way,
					.flags = flags,
					.seq = seq,
					.ack = ack,
					.len = len});
}

/* Sequence numbers: 1000 of whoever opens, 2000 of the other. */
static inline struct lqos_packet shake(const struct conn *c,
				       enum lqos_direction way,
				       unsigned int first, unsigned int second)
{
	pass(c, way, SYN, 1000, 0, 0);
	conn_sleep_ms(first);
	pass(c, !way, SYN | ACK, 2000, 1001, 0);
	conn_sleep_ms(second);
	return pass(c, way, ACK, 1001, 2001, 0);
}

static inline void ping(struct conn *c, enum lqos_direction asks,
			uint16_t number, unsigned int ms)
{
	c->proto = strchr(c->subs, ':') ? CONN_ICMPV6 : CONN_ICMP;
	conn_pass(dp, c, &(struct sent){.way = asks, .number = number});
	conn_sleep_ms(ms);
	conn_pass(dp, c,
		  &(struct sent){.way = !asks,
				 .number = number,
				 .icmp = CONN_ECHO_REPLY});
}

#define IN(test_, how_)                                      \
	{                                                    \
#test_ ", " #how_, test_, ready, NULL, &how_ \
	}

#endif /* TESTS_BPF_PPING_FIXTURE_H */
