/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the pping module share. */
#ifndef MODULES_PPING_PPING_H
#define MODULES_PPING_PPING_H

#include <jansson.h>

#include "core/lqos/module.h"
#include "core/lqos/packet.h"
#include "bpf/pping.h"

struct pping_bpf;

struct pping_config {
	bool tcp, icmp, dns, quic;
	bool exact;
	uint32_t window;		   /* seconds */
	uint32_t prefixes;		   /* 0: no table */
	uint32_t ipv4_prefix, ipv6_prefix; /* lengths */
};

/* What the samples of one side were lately. */
struct rtt_stats {
	uint32_t samples;
	uint64_t min, mean, max, p50, p90, p99; /* ns; 0 without samples */
};

/* The window of somebody's last seconds. */
struct lately {
	struct window *window; /* NULL: no samples yet */
	/* Half of it is over: CLOCK_MONOTONIC, ns; UINT64_MAX: it is empty. */
	uint64_t turn;
};

struct pping {
	struct lqos_ctx *ctx;
	const struct pping_config *config;
	struct pping_bpf *skel;
	struct pp_hist *hists;	      /* by subscriber slot */
	struct pp_hist *totals;	      /* by CPU */
	struct lqos_flow_table table; /* parts: struct pp_flow */
	const struct pp_set *prefixes;
	const uint64_t *evicted, *lost; /* by CPU */
	const struct pp_ecn *ecn;	/* by CPU */
	volatile uint32_t *watched;	/* enum pp_watch */
	uint32_t cpus, sets, slots;
	struct lately *lately; /* by subscriber slot */
	struct lately total;
};

/* Of the flow that has the slot, or had it. */
static inline struct pp_times *pping_times(const struct pping *p,
					   uint32_t index)
{
	struct pp_flow *flow = lqos_flow_part_at(&p->table, index);

	return &flow->times;
}

/* ---- window.c: histograms of the last seconds -----------------------------
 */

/* Samples of one side, out of what the programs count up. */
struct rtt_samples {
	uint32_t bucket[PP_BUCKETS];
	uint64_t sum;	   /* ns */
	uint32_t min, max; /* in 64 ns; 0: none */
};

void rtt_samples_add(struct rtt_samples *to, const struct rtt_samples *from);
void rtt_stats_of(const struct rtt_samples *samples, struct rtt_stats *out);
/* What was seen of late; all 0: nothing. */
struct rtt_stats pping_stats(struct pping *p, uint32_t slot, enum pp_side side);
struct rtt_stats pping_total(struct pping *p, enum pp_side side);
/* Adds what slot has had of late. */
void pping_add_window(struct pping *p, uint32_t slot, enum pp_side side,
		      struct rtt_samples *to);
/* A count of what became of chances to measure, since the slot is its owner's;
 * of all CPUs. */
uint64_t pping_outcome(const struct pping *p, uint32_t slot, enum pp_side side,
		       uint32_t outcome);
uint64_t pping_total_outcome(const struct pping *p, enum pp_side side,
			     uint32_t outcome);
/* Index behind the outcomes: how many samples were inexact. */
enum { PPING_INEXACT = PP_OUTCOMES };

int pping_new_windows(struct pping *p);

/* ---- columns.c ------------------------------------------------------------
 */

int pping_add_columns(struct pping *p);

/* ---- samples.c: the topics pping.samples and pping.flows -------------------
 */

/* What the param protocol may be besides protocols, up to NULL. */
extern const char *const pping_kinds[];
/* What a flow's samples are called, if they have a name of their own; else "".
 */
const char *pping_kind_of(const struct lqos_flow_key *key);
/* kind: what the samples in question are called. */
bool pping_matches(const struct pping *p, const struct lqos_flow_filter *filter,
		   const struct lqos_flow_key *key, uint32_t slot,
		   const char *kind);
int pping_add_topics(struct pping *p);

/* ---- traffic.c: the topic pping.traffic ------------------------------------
 */

/* Whether what is done for those who watch is done; what is counted for them
 * begins anew with the first. */
void pping_watch(struct pping *p, enum pp_watch what, bool on);
int pping_add_traffic(struct pping *p);

/* ---- pping.c --------------------------------------------------------------
 */

/* The first length bits of an address, in network order; IPv4 has the first
 * word. */
void pping_mask(uint32_t length, uint64_t mask[2]);

/* ---- lists.c: pping.subscribers, pping.nodes, pping.prefixes ---------------
 */

int pping_add_commands(struct pping *p);

#endif /* MODULES_PPING_PPING_H */
