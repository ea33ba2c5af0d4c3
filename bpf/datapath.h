/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the core's BPF programs and user space share. */
#ifndef BPF_DATAPATH_H
#define BPF_DATAPATH_H

#include <linux/types.h>

/* Counted by the CPU that meets the packet, each in a row of its own. */
enum dp_counter {
	DP_RECEIVED,	 /* frames at the ingress stage */
	DP_NOT_IP,	 /* ARP, STP, LACP, IS-IS...: passed, not steered */
	DP_TRUNCATED,	 /* the frame ends within a header before L4 */
	DP_BAD_HEADER,	 /* IP version or header length make no sense */
	DP_TAGS,	 /* more VLAN tags or labels than we follow */
	DP_EXTENSIONS,	 /* more IPv6 extension headers than we follow */
	DP_FRAGMENT,	 /* steered by address, no L4 */
	DP_L4_TRUNCATED, /* the same: its L4 header is cut */
	DP_L4_OTHER,	 /* the same: neither TCP, UDP nor ICMP */
	DP_UNKNOWN_HOST, /* IP, but no subscriber's */
	DP_TRIE,	 /* look-ups that went to the trie */
	DP_NO_METADATA,	 /* the driver refused room for the descriptor */
	DP_OBSERVED,	 /* frames at the observe stage */
	DP_PARSED_AGAIN, /* ... that came without a descriptor */
	DP_SENT,	 /* skbs at the egress stage */
	DP_SENT_PARSED,	 /* ... that came without a descriptor */
	DP_CPU_LOST,	 /* lost on the way to their CPU */
	DP_FORWARDED,	 /* sent out of the other interface by us */
	DP_NO_PEER,	 /* not so: the other interface is gone; passed */
	DP_NO_PAIR,	 /* on a stick: its VLAN is in no pair; passed */
	DP_BYPASSED,	 /* passed untouched, as somebody wished */
	DP_COUNTERS,
	DP_COUNTERS_ROOM = 24,
};

struct dp_counters {
	__u64 count[DP_COUNTERS_ROOM];
	enum dp_counter by[0]; /* for layout.c: what count is indexed with */
};

/* An interface: user space writes it, while packets flow too. */
struct dp_port {
	__u32 ifindex;	/* 0: none */
	__u32 peer;	/* what arrives leaves by it; 0: as the kernel will */
	__u32 internet; /* it faces the internet */
	__u32 reserved;
};

/* A VLAN of an interface on a stick, by its id. */
struct dp_vlan {
	__u16 partner;	/* the VLAN on the other side; 0: none */
	__u16 internet; /* this one faces the internet */
};

enum { DP_PORTS = 16, DP_VLANS = 4096 };

/* Keys of the two longest-prefix-match tries, in network order.  space is a
 * VLAN id, 0: none; prefixlen counts its 32 bits too. */
enum { DP_SPACE_BITS = 32 };

struct dp_key4 {
	__u32 prefixlen;
	__u8 space[4];
	__u8 addr[4];
};

struct dp_key6 {
	__u32 prefixlen;
	__u8 space[4];
	__u8 addr[16];
};

/* Whose a prefix is: what the descriptor needs of it. */
struct dp_owner {
	__u32 slot;
	__u32 handle;
	__u32 cpu; /* UINT32_MAX: none */
};

/* Whose a slot is, for the run after this one; no program reads it. */
struct dp_circuit {
	__u64 id[2]; /* a hash of the circuit's id; 0: nobody's */
	__u32 handle;
	__u32 cpu; /* UINT32_MAX: none */
};

/* An address whose trie look-up is remembered. */
struct dp_cached {
	__be64 hi; /* IPv4: all ones, which is no IPv6 host's */
	__be64 lo;
	__u32 epoch; /* valid while it is the current one; 0: never */
	__u32 slot;
	__u32 handle;
	__u16 cpu; /* UINT16_MAX: none */
	__u16 space;
};

/* Eight flows whose hashes end alike, as tag << 32 | slot; 0: free. */
enum { DP_WAYS = 8 };

struct dp_bucket {
	__u64 way[DP_WAYS];
};

enum dp_flow_counter {
	DP_FLOW_OPENED,	   /* got a slot */
	DP_FLOW_FREED,	   /* gave it back: the difference is in use */
	DP_FLOW_CLOSED,	   /* both ends have, or a reset */
	DP_FLOW_IDLE,	   /* freed: nothing went either way for long */
	DP_FLOW_EVICTED,   /* freed before that, for another flow */
	DP_FLOW_RESTARTED, /* ports that another connection uses now */
	DP_FLOW_COLLISION, /* made room for one of the same tag */
	DP_FLOW_REFUSED,   /* packets of unknown hosts that got no slot */
	DP_FLOW_BUSY,	   /* packets that met another CPU in their bucket */
	DP_FLOW_LOST,	   /* events, as nobody read them fast enough */
	DP_FLOW_COUNTERS,
	DP_FLOW_COUNTERS_ROOM = 14,
};

/* A CPU's own part of the table. */
struct dp_flow_row {
	__u32 next, end; /* slots that nobody has had yet */
	__u32 free;	 /* the first of those given back; 0: none */
	__u32 hand;	 /* where the search for idle flows goes on */
	__u64 count[DP_FLOW_COUNTERS_ROOM];
	enum dp_flow_counter by[0]; /* for layout.c */
};

/* Who of those that are nobody's is in the table: one of mask + 1, by hash, and
 * at most max at a time. */
struct dp_flow_unknown {
	__u32 mask;
	__u32 max;
};

/* Of an address as struct dp_cached has it: its place in the cache, and where
 * nobody's packets go.  A multiplication carries upwards only: what it made of
 * the first bytes is folded down before the last one.  Multipliers of
 * MurmurHash3 (Appleby) and SplitMix64 (Vigna), public domain. */
static inline __attribute__((always_inline)) __u32 dp_hash(__u64 seed, __u64 hi,
							   __u64 lo)
{
	__u64 x = (lo ^ seed) * 0xff51afd7ed558ccdULL ^
		  (hi ^ seed) * 0xc4ceb9fe1a85ec53ULL;

	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ULL;
	return x >> 32;
}

#ifndef __cplusplus
_Static_assert(sizeof(struct dp_counters) % 64 == 0, "whole cache lines");
_Static_assert(sizeof(struct dp_port) == 16, "layout");
_Static_assert(sizeof(struct dp_vlan) == 4, "layout");
_Static_assert(sizeof(struct dp_key4) == 12, "layout");
_Static_assert(sizeof(struct dp_key6) == 24, "layout");
_Static_assert(sizeof(struct dp_owner) == 12, "layout");
_Static_assert(sizeof(struct dp_circuit) == 24, "layout");
_Static_assert(sizeof(struct dp_cached) == 32, "half a cache line");
_Static_assert(sizeof(struct dp_bucket) == 64, "a cache line");
_Static_assert(sizeof(struct dp_flow_row) == 128, "two cache lines");
#endif

#endif /* BPF_DATAPATH_H */
