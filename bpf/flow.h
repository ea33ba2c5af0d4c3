/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What flow.bpf.c and modules/flow share. */
#ifndef BPF_FLOW_H
#define BPF_FLOW_H

#include <linux/types.h>

/* What went one way of a flow; a cache line, written by that way's packets. */
struct fl_half {
	__u64 bytes; /* on the wire, without FCS */
	__u64 packets;
	__u32 second; /* of the last one; CLOCK_MONOTONIC_COARSE, 1.07 s each */
	__u32 mark;   /* low half of bytes when that began */
	__u32 mark_packets;
	__u32 rate; /* bytes in the second before that */
	__u32 high; /* TCP: sequence number behind all that was sent */
	__u32 gap;  /* TCP: where what is missing begins */
	__u32 retransmits;
	__u32 reordered;
	__u32 ce;	  /* marked Congestion Experienced (RFC 3168) */
	__u32 opened;	  /* when it was first seen, either way, in 4.2 ms */
	__u16 gap_time;	  /* when it was missed, in 4.2 ms */
	__u8 tos;	  /* DSCP and ECN of the last one */
	__u8 flags;	  /* enum fl_flags */
	__u32 generation; /* of the flow; else all this is another's */
};

enum fl_flags {
	FL_HIGH = 1, /* high is known */
	FL_GAP = 2,
	FL_ECT = 4, /* a packet that could be marked went by */
};

enum { FL_SECOND_SHIFT = 30, FL_MOMENT_SHIFT = 22 };

/* Its part of a flow's record. */
struct fl_flow {
	struct fl_half half[2]; /* by enum lqos_direction */
};

/* Of a subscriber's flows of TCP, by enum lqos_direction.  Packets are added a
 * second at a time, and where a flow ends. */
struct fl_tcp {
	__u64 packets[2];
	__u64 retransmits[2];
	__u64 reordered[2];
	__u64 ce[2];
};

/* The last that was known of a flow whose slot another has now. */
struct fl_final {
	struct fl_half half;
	__u32 index;
	__u32 direction;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct fl_half) == 64, "a cache line");
_Static_assert(sizeof(struct fl_flow) == 128, "two cache lines");
_Static_assert(sizeof(struct fl_tcp) == 64, "a cache line");
_Static_assert(sizeof(struct fl_final) == 72, "layout");
#endif

#endif /* BPF_FLOW_H */
