/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* capture.h - what the programs, the module and its client share. */
#ifndef BPF_CAPTURE_H
#define BPF_CAPTURE_H

#include <linux/types.h>

enum {
	CAPTURES = 8, /* at once */
	CAPTURE_SNAPLEN_MIN = 16,
	CAPTURE_SNAPLEN_MAX = 65535,
};

enum capture_kind {
	CAPTURE_NOTHING,
	CAPTURE_SLOT, /* a subscriber's */
	CAPTURE_IPV4, /* either end is in there */
	CAPTURE_IPV6,
};

/* What a capture wants.  Words of addresses as in struct lqos_flow_key; of IPv4
 * both hi are 0. */
struct capture_rule {
	__be64 hi, lo;
	__be64 mask_hi, mask_lo;
	__u32 kind; /* enum capture_kind */
	__u32 slot; /* not 0 */
};

/* Those of enum lqos_packet_flags but for LQOS_PACKET_IP, which all have. */
enum capture_flags {
	CAPTURE_UP = 1 << 0,	   /* else down */
	CAPTURE_IS_IPV6 = 1 << 1,  /* else IPv4 */
	CAPTURE_OUT = 1 << 2,	   /* it leaves by the interface; else came */
	CAPTURE_FRAGMENT = 1 << 3, /* l4_off is 0 */
};

/* A packet: caplen bytes of it follow.  Offsets are those of headers in the
 * frame; what is behind caplen is not there. */
struct capture_record {
	__u64 ts;	 /* CLOCK_MONOTONIC, ns */
	__u32 len;	 /* of the frame, without FCS */
	__u32 caplen;	 /* of what follows of it */
	__u32 interface; /* its ifindex; for clients: its number */
	__u32 slot;	 /* subscriber; 0: nobody's */
	__u16 l4_off;	 /* 0: none */
	__u8 l3_off;
	__u8 proto;  /* IPPROTO_* */
	__u8 flags;  /* enum capture_flags */
	__u8 wanted; /* by which captures: a bit each */
	__u16 reserved;
};

/* By CPU: what did not fit into the ring. */
struct capture_dropped {
	__u64 packets[CAPTURES];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct capture_record) == 32, "layout");
_Static_assert(sizeof(struct capture_dropped) == 64, "a cache line");
#endif

#endif /* BPF_CAPTURE_H */
