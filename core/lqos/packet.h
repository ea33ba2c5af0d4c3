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
#define LQOS_PACKET_VERSION 3

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
	/* From the observe stage on, if a module has LQOS_MODULE_FLOWS: */
	__u32 flow;	  /* its slot; 0: none */
	__u32 generation; /* which of those that had that slot */
};

/*
 * What tells flows apart, the same for both directions.  Addresses and ports in
 * network order; IPv4: hi all ones, lo the address.
 */
struct lqos_flow_key {
	__be64 subs_hi, subs_lo;     /* the subscriber's end */
	__be64 remote_hi, remote_lo; /* the internet's */
	__be16 subs_port;	     /* ICMP echo: its identifier, both ports */
	__be16 remote_port;
	__u16 space; /* as the packet's */
	__u8 proto;  /* IPPROTO_TCP, UDP, ICMP, ICMPV6 */
	__u8 ipv6;
};

enum lqos_flow_way {
	LQOS_FLOW_SEEN = 1, /* a packet went that way */
	LQOS_FLOW_SYN = 2,  /* ... that asked for a new connection */
	LQOS_FLOW_FIN = 4,
	LQOS_FLOW_RST = 8,
};

/* A flow, in its slot: written by the core's programs. */
struct lqos_flow {
	struct lqos_flow_key key;
	__u32 slot;	  /* subscriber; 0: nobody's */
	__u32 generation; /* other than before whenever the slot is reused */
	__u32 sequence;	  /* where a SYN would have it go on */
	__u8 way[2];	  /* enum lqos_flow_way, by enum lqos_direction */
	__u8 used;	  /* 0: the slot is free */
	__u8 reserved;
	__u64 last_seen; /* CLOCK_MONOTONIC_COARSE, ns */
};

enum lqos_flow_reason {
	LQOS_FLOW_OPENED = 1,
	LQOS_FLOW_CLOSED,    /* both ends have, or a reset */
	LQOS_FLOW_IDLE,	     /* nothing went either way for long */
	LQOS_FLOW_EVICTED,   /* made room for another */
	LQOS_FLOW_RESTARTED, /* its ports are another connection's now */
};

/* What became of a flow, as it was then. */
struct lqos_flow_event {
	struct lqos_flow flow;
	__u64 ts;	/* CLOCK_MONOTONIC_COARSE, ns */
	__u32 index;	/* its slot */
	__u16 reason;	/* enum lqos_flow_reason */
	__u8 direction; /* OPENED: of its first packet */
	__u8 tcp;	/* OPENED: that packet's TCP flags */
};

#ifdef __cplusplus
#define LQOS_LAYOUT(what_) static_assert(what_, "layout")
#else
#define LQOS_LAYOUT(what_) _Static_assert(what_, "layout")
#endif
LQOS_LAYOUT(sizeof(struct lqos_packet) == 28);
LQOS_LAYOUT(sizeof(struct lqos_flow_key) == 40);
LQOS_LAYOUT(sizeof(struct lqos_flow) == 64);
LQOS_LAYOUT(sizeof(struct lqos_flow_event) == 80);

/* Both ends have closed it, or one has reset it. */
static inline int lqos_flow_is_closed(const struct lqos_flow *flow)
{
	__u8 a = flow->way[0], b = flow->way[1];

	return ((a | b) & LQOS_FLOW_RST) || (a & b & LQOS_FLOW_FIN);
}

static inline int lqos_flow_is_answered(const struct lqos_flow *flow)
{
	return flow->way[0] & flow->way[1] & LQOS_FLOW_SEEN;
}

/* Silent for more ns than that, it is over. */
static inline __u64 lqos_flow_patience(const struct lqos_flow *flow)
{
	const __u64 second = 1000000000ULL;

	if (lqos_flow_is_closed(flow))
		return 5 * second;
	if (!lqos_flow_is_answered(flow))
		return 15 * second;
	switch (flow->key.proto) {
	case 6: /* TCP */
		return 300 * second;
	case 17: /* UDP */
		return 60 * second;
	default:
		return 15 * second;
	}
}

static inline int lqos_flow_is_over(const struct lqos_flow *flow, __u64 now)
{
	return now > flow->last_seen &&
	       now - flow->last_seen > lqos_flow_patience(flow);
}

#endif /* LQOS_PACKET_H */
