/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lqos/packet.bpf.h - what the BPF side of a module includes.
 *
 * Three stages, each a chain of programs (a linked list in a prog array: slot 0
 * holds the first, slot i what follows module i):
 *
 *   ingress  XDP on the NIC                     LQOS_INGRESS, LQOS_INGRESS_LAST
 *   observe  XDP on the subscriber's CPU        LQOS_OBSERVER
 *   egress   TC, before the queueing discipline LQOS_EGRESS
 *
 * A program ends in `return lqos_next_STAGE(ctx)`: on to the next module, or,
 * behind the last, let the packet pass.  A module has one program a stage.  The
 * user-space side hands the object to lqos_bpf_prepare(), loads it, and hands
 * it to lqos_bpf_attach().
 */
#ifndef LQOS_PACKET_BPF_H
#define LQOS_PACKET_BPF_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "packet.h"

/* Set by lqos_bpf_prepare(), constants to the verifier. */
const volatile __u32 lqos_self;	  /* this module's place in every chain */
const volatile __u32 lqos_shared; /* 1: several CPUs may touch one slot */
/* Where in a flow's record the part of this module begins. */
const volatile __u32 lqos_flow_part;

#define LQOS_CHAIN_MAX 32 /* the kernel allows 33 tail calls a packet */

enum { LQOS_TCP = 6, LQOS_TCP_DOFF = 12, LQOS_UDP_HEADER = 8, LQOS_TAG = 4 };

/* Behind SEC(".maps"): what an earlier run left in such a map is of no use to
 * the next, as where it lies hangs on a seed, or it is old at once. */
#define LQOS_FRESH __attribute__((btf_decl_tag("lqos:fresh")))

/* The same, for `lqosctl exec`: handed to nobody, or to be written by root.
 * Without a word it may be read, but for ring buffers, which have one reader.
 */
#define LQOS_PRIVATE  __attribute__((btf_decl_tag("lqos:private")))
#define LQOS_WRITABLE __attribute__((btf_decl_tag("lqos:writable")))

/* As map_flags of an array: its entries begin on a page, so that one of 64
 * bytes is one cache line.  Otherwise they begin behind the kernel's struct
 * bpf_array, which ends 56 bytes into a line (kernel/bpf/arraymap.c). */
#define LQOS_ALIGNED BPF_F_MMAPABLE

/* The core's maps; lqos_bpf_prepare() binds them to the real ones. */
struct lqos_chain {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, LQOS_CHAIN_MAX);
	__type(key, __u32);
	__type(value, __u32);
};
struct lqos_chain lqos_ingress SEC(".maps");
struct lqos_chain lqos_observe SEC(".maps");
struct lqos_chain lqos_observe_tc SEC(".maps");
struct lqos_chain lqos_egress SEC(".maps");

/* The descriptor of the packet in hand: always at TC, and in XDP where the
 * driver refuses metadata. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lqos_packet);
} lqos_scratch SEC(".maps") LQOS_FRESH LQOS_PRIVATE;

/*
 * The records of flows by slot, as struct lqos_packet's flow: each begins with
 * struct lqos_flow, and behind it come the parts of the modules.  What a packet
 * needs of its flow lies together, so that it costs one miss of the TLB, not
 * one a module.  Its size is the daemon's to know, so there is no type.  Of one
 * entry where no module has LQOS_MODULE_FLOWS.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, LQOS_ALIGNED);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct lqos_flow));
} lqos_flows SEC(".maps") LQOS_FRESH;

/*
 * A packet as an observer sees it.  pkt is a copy.  bytes is the length on the
 * wire without FCS, packets how many there were: 1, or, for a GSO super-segment
 * at TC, as many as the wire will carry, each with its own headers.
 */
struct lqos_frame {
	struct lqos_packet pkt;
	void *data;
	void *data_end;
	__u32 bytes;
	__u32 packets;
	__u32 segment; /* payload of each but the last; 0: it is one packet */
	__u32 egress;  /* 1: it leaves by the one interface there is */
};

static __always_inline enum lqos_direction
lqos_direction(const struct lqos_packet *pkt)
{
	return pkt->flags & LQOS_PACKET_UP ? LQOS_UP : LQOS_DOWN;
}

/* The flow of a packet; NULL: it is in none. */
static __always_inline struct lqos_flow *
lqos_flow_of(const struct lqos_packet *pkt)
{
	__u32 index = pkt->flow;

	return index ? bpf_map_lookup_elem(&lqos_flows, &index) : NULL;
}

/* What this module keeps of a flow: the flow_bytes of its LQOS_MODULE(), from a
 * cache line on.  It starts afresh there when pkt->generation is not what it
 * noted: what it finds is of the flow that had the slot before, or zeros. */
static __always_inline void *lqos_flow_part_of(struct lqos_flow *flow)
{
	return (void *)flow + lqos_flow_part;
}

/* Add to a counter that only this subscriber's CPU writes, or, where several
 * may (no steering, or one interface), atomically. */
static __always_inline void lqos_add(__u64 *counter, __u64 n)
{
	if (lqos_shared)
		__sync_fetch_and_add(counter, n);
	else
		*counter += n;
}

static __always_inline int lqos_packet_from_scratch(struct lqos_packet *pkt)
{
	__u32 zero = 0;
	struct lqos_packet *scratch = bpf_map_lookup_elem(&lqos_scratch, &zero);

	if (!scratch || scratch->magic != LQOS_PACKET_MAGIC ||
	    scratch->version != LQOS_PACKET_VERSION)
		return -1;
	*pkt = *scratch;
	return 0;
}

/* The metadata in front of a frame, if it is a descriptor of this version. */
static __always_inline int lqos_packet_from_meta(void *meta, void *data,
						 struct lqos_packet *pkt)
{
	struct lqos_packet *m = meta;

	if ((void *)(m + 1) > data || m->magic != LQOS_PACKET_MAGIC ||
	    m->version != LQOS_PACKET_VERSION)
		return -1;
	*pkt = *m;
	return 0;
}

/* Fill *frame.  0, or -1: no descriptor (nothing of the core ran before). */
static __always_inline int lqos_frame_xdp(struct xdp_md *ctx,
					  struct lqos_frame *frame)
{
	frame->data = (void *)(long)ctx->data;
	frame->data_end = (void *)(long)ctx->data_end;
	frame->bytes = ctx->data_end - ctx->data;
	frame->packets = 1;
	frame->segment = 0;
	frame->egress = 0;
	if (!lqos_packet_from_meta((void *)(long)ctx->data_meta, frame->data,
				   &frame->pkt))
		return 0;
	return lqos_packet_from_scratch(&frame->pkt);
}

static __always_inline int lqos_frame_tc(struct __sk_buff *skb,
					 struct lqos_frame *frame)
{
	__u32 tag = skb->vlan_present ? LQOS_TAG : 0, headers;
	__u8 *doff;

	frame->data = (void *)(long)skb->data;
	frame->data_end = (void *)(long)skb->data_end;
	frame->bytes = skb->len + tag;
	frame->packets = 1;
	frame->segment = skb->gso_size;
	frame->egress = 1;
	if (lqos_packet_from_scratch(&frame->pkt))
		return -1;
	if (!skb->gso_size || !frame->pkt.l4_off)
		return 0;
	/* The super-segment carries once what each segment will.  gso_segs is
	 * not to be trusted: it is 0 where a guest made the segment. */
	headers = frame->pkt.l4_off + LQOS_UDP_HEADER;
	/* Bounded, so that the verifier can follow the pointer. */
	doff = frame->data + (frame->pkt.l4_off & 0x3fff) + LQOS_TCP_DOFF;
	if (frame->pkt.l4_proto == LQOS_TCP &&
	    (void *)(doff + 1) <= frame->data_end)
		headers = frame->pkt.l4_off + (*doff >> 4) * 4;
	if (skb->len <= headers + skb->gso_size)
		return 0;
	frame->packets =
		(skb->len - headers + skb->gso_size - 1) / skb->gso_size;
	frame->bytes += (frame->packets - 1) * (headers + tag);
	return 0;
}

static __always_inline int lqos_next_ingress(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &lqos_ingress, lqos_self);
	return XDP_PASS;
}

static __always_inline int lqos_next_observe(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &lqos_observe, lqos_self);
	return XDP_PASS;
}

static __always_inline int lqos_next_observe_tc(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &lqos_observe_tc, lqos_self);
	return TC_ACT_UNSPEC;
}

static __always_inline int lqos_next_egress(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &lqos_egress, lqos_self);
	return TC_ACT_UNSPEC;
}

/* int NAME(struct xdp_md *ctx): packets as they arrive, on the RX CPU. */
#define LQOS_INGRESS(name_) \
	SEC("lqos/ingress") \
	int name_
/* The same, behind all others; at most one module has one. */
#define LQOS_INGRESS_LAST(name_) \
	SEC("lqos/ingress_last") \
	int name_
/* int NAME(struct __sk_buff *skb): packets before they are queued to leave. */
#define LQOS_EGRESS(name_) \
	SEC("lqos/egress") \
	int name_
/*
 * LQOS_OBSERVER(name, fn) with `static void fn(const struct lqos_frame *f)`:
 * sees every IP packet once.  The XDP program and its TC twin (for what leaves
 * by a single interface) come from the one function; name is at most 12
 * characters, as bpftool shows 15.
 */
#define LQOS_OBSERVER(name_, fn_)                 \
	SEC("lqos/observe")                       \
	int name_(struct xdp_md *ctx)             \
	{                                         \
		struct lqos_frame frame;          \
                                                  \
		if (!lqos_frame_xdp(ctx, &frame)) \
			fn_(&frame);              \
		return lqos_next_observe(ctx);    \
	}                                         \
	SEC("lqos/observe_tc")                    \
	int name_##_tc(struct __sk_buff *skb)     \
	{                                         \
		struct lqos_frame frame;          \
                                                  \
		if (!lqos_frame_tc(skb, &frame))  \
			fn_(&frame);              \
		return lqos_next_observe_tc(skb); \
	}

#endif /* LQOS_PACKET_BPF_H */
