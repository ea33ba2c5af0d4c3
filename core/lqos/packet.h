/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lqos/packet.h - the packet descriptor, for BPF programs and user space.
 *
 * The core's entry program parses a packet once, finds whose it is, and writes
 * this in front of the frame as XDP metadata.  It survives tail calls, cpumap,
 * skb creation and bridging.  Every byte is written, and all of it is constant
 * for a flow: GRO merges only packets whose metadata is equal.
 */
#ifndef LQOS_PACKET_H
#define LQOS_PACKET_H

#include <linux/types.h>

#define LQOS_PACKET_MAGIC   0x4c51 /* "LQ" */
#define LQOS_PACKET_VERSION 2

/* Seen from the subscriber. */
enum lqos_direction {
	LQOS_DOWN = 0, /* to the subscriber, who is the destination */
	LQOS_UP = 1,   /* from the subscriber, who is the source */
};

enum lqos_packet_flags {
	LQOS_PACKET_UP = 1 << 0,       /* else down: enum lqos_direction */
	LQOS_PACKET_IPV6 = 1 << 1,     /* else IPv4, if LQOS_PACKET_IP */
	LQOS_PACKET_IP = 1 << 2,       /* an IP packet; l4_proto is valid */
	LQOS_PACKET_FRAGMENT = 1 << 3, /* any fragment but a whole packet */
};

struct lqos_packet {
	__u16 magic;  /* LQOS_PACKET_MAGIC */
	__u8 version; /* LQOS_PACKET_VERSION */
	__u8 flags;   /* enum lqos_packet_flags */
	__u8 l3_off;  /* of the IP header in the frame; 0: not known (egress) */
	__u8 l4_proto; /* IPPROTO_*, behind IPv6 extension headers */
	__u16 l4_off; /* of the TCP, UDP or ICMP header; 0: none, or fragment */
	__u32 slot;   /* subscriber; 0: nobody's */
	__u32 handle; /* TC class major << 16 | minor; 0: none */
	__u16 cpu;    /* where its packets go; UINT16_MAX: unset */
	__u16 space;  /* address space: 0, or a VLAN id */
};

#ifdef __cplusplus
static_assert(sizeof(struct lqos_packet) == 20, "layout");
#else
_Static_assert(sizeof(struct lqos_packet) == 20, "layout");
#endif

#endif /* LQOS_PACKET_H */
