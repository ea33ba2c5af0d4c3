/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What throughput.bpf.c and modules/throughput share. */
#ifndef BPF_THROUGHPUT_H
#define BPF_THROUGHPUT_H

#include <linux/types.h>

enum tp_protocol { TP_TCP, TP_UDP, TP_ICMP, TP_OTHER, TP_PROTOCOLS };

/* One direction; a cache line, so that a packet touches one. */
struct tp_half {
	__u64 bytes[TP_PROTOCOLS];
	__u64 packets[TP_PROTOCOLS];
	enum tp_protocol by[0]; /* for layout.c: what both are indexed with */
};

/* Indexed by enum lqos_direction. */
struct tp_counters {
	struct tp_half half[2];
};

/* Of tp_totals, a CPU's two rows: 2 * cpu + one of these. */
enum tp_whose { TP_SUBSCRIBERS, TP_UNKNOWN, TP_WHOSE };

/* A host that is no subscriber's. */
struct tp_host {
	__be64 hi; /* address; IPv4: hi all ones, lo it */
	__be64 lo;
	__u64 bytes[2]; /* by enum lqos_direction */
	__u64 packets[2];
	__u64 first_seen; /* CLOCK_MONOTONIC, ns, coarse; 0: free */
	__u64 last_seen;
};

/* The least recently seen of a set makes room for a new host. */
enum { TP_WAYS = 4 };

struct tp_set {
	struct tp_host host[TP_WAYS];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct tp_half) == 64, "a cache line");
_Static_assert(sizeof(struct tp_counters) == 128, "two cache lines");
_Static_assert(sizeof(struct tp_host) == 64, "a cache line");
#endif

#endif /* BPF_THROUGHPUT_H */
