/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What pping.bpf.c and modules/pping share. */
#ifndef BPF_PPING_H
#define BPF_PPING_H

#include <linux/types.h>

#include "lqos/packet.h"

/* Whoever answered: what he sends goes that way (enum lqos_direction). */
enum pp_side { PP_INTERNET, PP_ACCESS, PP_SIDES };

enum { PP_BUCKETS = 160, PP_OUTCOMES = 11, PP_SYNS = 65536, PP_PROBES = 65536 };

/* Of one side: the histogram of rtt.h's buckets, and what was refused. */
struct pp_side_hist {
	__u32 bucket[PP_BUCKETS];
	__u64 sum;		    /* ns, of all samples */
	__u32 outcome[PP_OUTCOMES]; /* by enum rtt_outcome */
	__u32 inexact;		    /* of the samples */
	__u32 min; /* in 64 ns, since user space wrote 0; 0: none */
	__u32 max;
};

/* By subscriber slot. */
struct pp_hist {
	struct pp_side_hist side[PP_SIDES];
};

/* A network of hosts that are nobody's, on one side. */
struct pp_prefix {
	__be64 hi; /* IPv4: all ones */
	__be64 lo;
	__u64 last_seen; /* CLOCK_MONOTONIC, ns; 0: free */
	__u32 side;	 /* enum pp_side */
	__u32 reserved;
	struct pp_side_hist hist;
};

/* The least recently seen of a set makes room for a new one. */
enum { PP_WAYS = 4 };

struct pp_set {
	struct pp_prefix prefix[PP_WAYS];
};

/* Of a flow: what is touched with a sample, or while somebody watches. */
struct pp_times {
	__u32 min[PP_SIDES]; /* as rtt.h's struct rtt_times: in 64 ns */
	__u32 last[PP_SIDES];
	__u32 samples[PP_SIDES];
	__u16 rise[PP_SIDES];
	__u16 late[PP_SIDES];
	__u32 generation;
	__u8 stamped; /* TCP: a segment with timestamps was counted */
	__u8 shaken;  /* TCP: its handshake was seen */
	__u8 reserved[2];
	/* Payload, by direction, since somebody began to watch. */
	__u64 bytes[2];
	__u32 packets[2];
};

/* pping's part of a flow's record. */
struct pp_flow {
	__u64 rtt[8]; /* rtt.h's struct rtt_flow, touched by each packet */
	struct pp_times times;
};

/* What is done beside measuring, for those who watch. */
enum pp_watch {
	PP_WATCH_SAMPLES = 1, /* events */
	PP_WATCH_TRAFFIC = 2, /* what either needs is counted */
};

/* Packets that were counted, by their ECN bits (RFC 3168). */
struct pp_ecn {
	__u64 packets[4];
};

/* A sample, for whoever watches. */
struct pp_event {
	__u64 ts;  /* CLOCK_MONOTONIC, ns */
	__u64 rtt; /* ns */
	struct lqos_flow_key key;
	__u32 slot; /* subscriber */
	__u32 flow; /* its slot; 0: none yet */
	__u32 generation;
	__u32 min;	/* of flow and side, in 64 ns */
	__u64 bytes[2]; /* as of struct pp_times, with this packet */
	__u64 packets[2];
	__u8 side; /* enum pp_side */
	__u8 kind; /* enum rtt_kind */
	__u8 inexact;
	__u8 egress; /* the answer left by the one interface there is */
	__u32 reserved;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct pp_side_hist) == 704, "eleven cache lines");
_Static_assert(sizeof(struct pp_prefix) == 736, "layout");
_Static_assert(sizeof(struct pp_times) == 64, "a cache line");
_Static_assert(sizeof(struct pp_flow) == 128, "two cache lines");
_Static_assert(sizeof(struct pp_event) == 112, "layout");
#endif

#endif /* BPF_PPING_H */
