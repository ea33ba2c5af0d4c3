// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The core's programs: the entry of each stage.  They parse, find the owner and
 * write the descriptor; what happens to a packet is the modules' business.
 */
#include <lqos/packet.bpf.h>
#include "datapath.h"
#include "lib/parse.bpf.h"
#include "lib/owner.bpf.h"
#include "lib/flow.bpf.h"

const volatile __u32 dp_use_metadata = 1;
/* What leaves by the one interface is observed there: its descriptor must be
 * of this crossing, not of an arrival. */
const volatile __u32 dp_one_interface;
/* Both sides are VLANs of one interface, which frames leave by again. */
const volatile __u32 dp_stick;
const volatile struct dp_vlan dp_vlans[DP_VLANS];
const volatile __u32 dp_cpumap_id;

/* Written by user space: dp_tick once a second, the others as need be.  Until
 * dp_bypass (CLOCK_MONOTONIC; 0: off) packets pass untouched, whether or not
 * user space is alive to end it. */
volatile __u32 dp_tick;
volatile __u64 dp_bypass;
volatile struct dp_port dp_ports[DP_PORTS];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dp_counters);
} dp_counters SEC(".maps");

/* The tick in which each slot last had traffic. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dp_seen SEC(".maps") LQOS_FRESH;

/* By slot; for user space, which finds it again after a restart. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dp_circuit);
} dp_circuits SEC(".maps");

/* Of one entry: lq_flow and its twin. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} dp_flow SEC(".maps"), dp_flow_tc SEC(".maps");

static __always_inline volatile struct dp_port *port_of(__u32 ifindex)
{
	int i;

#pragma unroll
	for (i = 0; i < DP_PORTS; i++)
		if (dp_ports[i].ifindex == ifindex)
			return &dp_ports[i];
	return NULL;
}

static __always_inline bool bypassed(void)
{
	__u64 until = dp_bypass;

	return until && bpf_ktime_get_coarse_ns() < until;
}

/* Which way a frame goes, and in which address space. */
struct way {
	enum lqos_direction direction;
	__u32 space;
};

/* On a stick the outer tag says which way; -1: its VLAN is in no pair. */
static __always_inline int stick_way(bool arrives, __u32 vid, struct way *way)
{
	const volatile struct dp_vlan *vlan = &dp_vlans[vid & (DP_VLANS - 1)];
	__u32 partner = vlan->partner, internet = vlan->internet;

	if (!partner)
		return -1;
	way->direction = !!internet == arrives ? LQOS_DOWN : LQOS_UP;
	/* Both VLANs of a pair are the same space: the subscribers'. */
	way->space = !dp_address_spaces ? 0 : internet ? partner : vid;
	return 0;
}

static __always_inline void blank(struct lqos_packet *pkt)
{
	*pkt = (struct lqos_packet){
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.cpu = 0xffff,
	};
}

/* Makes the descriptor of a frame.  What is odd about it is counted where it is
 * met first: counters is NULL where it has been met before. */
static __always_inline void describe(void *data, void *data_end,
				     const struct way *way, __u32 cpu,
				     struct dp_counters *counters,
				     struct lqos_packet *pkt)
{
	struct parsed p = {.space = way->space};
	enum dp_counter reason = parse(data, data_end, way->direction, &p);

	if (counters && reason < DP_COUNTERS)
		counters->count[reason]++;
	blank(pkt);
	pkt->flags = p.flags;
	pkt->l3_off = p.l3_off;
	pkt->l4_proto = p.proto;
	pkt->l4_off = p.l4_off;
	pkt->space = p.space;
	if (p.flags & LQOS_PACKET_IP)
		owner_find(&p, cpu, counters, pkt);
}

static __always_inline void to_scratch(const struct lqos_packet *pkt)
{
	__u32 zero = 0;
	struct lqos_packet *scratch = bpf_map_lookup_elem(&lqos_scratch, &zero);

	if (scratch)
		*scratch = *pkt;
}

/* 0, or -1: the driver has no room for metadata. */
static __always_inline int to_metadata(struct xdp_md *ctx,
				       const struct lqos_packet *pkt)
{
	struct lqos_packet *meta;

	if (!dp_use_metadata || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*pkt)))
		return -1;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return -1;
	*meta = *pkt;
	return 0;
}

static __always_inline int ingress(struct xdp_md *ctx,
				   enum lqos_direction direction, bool stick)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	struct way way = {.direction = direction};
	struct lqos_packet pkt;

	if (!counters)
		return XDP_PASS;
	counters->count[DP_RECEIVED]++;
	if (bypassed()) {
		counters->count[DP_BYPASSED]++;
		return XDP_PASS;
	}
	if (stick) {
		if (stick_way(true, parse_vid(data, data_end), &way)) {
			counters->count[DP_NO_PAIR]++;
			return XDP_PASS;
		}
	} else if (dp_address_spaces) {
		way.space = parse_vid(data, data_end);
	}
	describe(data, data_end, &way, cpu, counters, &pkt);
	if (to_metadata(ctx, &pkt)) {
		counters->count[DP_NO_METADATA]++;
		to_scratch(&pkt);
	}
	bpf_tail_call(ctx, &lqos_ingress, 0);
	return XDP_PASS;
}

SEC("xdp")
int lq_from_inet(struct xdp_md *ctx)
{
	return ingress(ctx, LQOS_DOWN, false);
}

SEC("xdp")
int lq_from_subs(struct xdp_md *ctx)
{
	return ingress(ctx, LQOS_UP, false);
}

SEC("xdp")
int lq_from_stick(struct xdp_md *ctx)
{
	return ingress(ctx, LQOS_UP, true); /* or down: its tag says */
}

static __always_inline void mark_seen(__u32 slot)
{
	__u64 *seen = bpf_map_lookup_elem(&dp_seen, &slot);
	__u32 tick = dp_tick;

	if (seen && *seen != tick)
		*seen = tick;
}

/* The flow that was found, into the descriptor that the observers read. */
static __always_inline void note_flow(struct xdp_md *ctx,
				      const struct lqos_packet *pkt)
{
	struct lqos_packet *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 1) > (void *)(long)ctx->data ||
	    meta->magic != LQOS_PACKET_MAGIC) {
		to_scratch(pkt);
		return;
	}
	meta->flow = pkt->flow;
	meta->generation = pkt->generation;
}

/*
 * Head of the observe stage: on the cpumap entry, or, without steering, behind
 * the ingress stage.  A frame that lost its descriptor on the way between CPUs,
 * as with generic XDP, gets it anew, so that it need not be made at egress too.
 */
SEC("xdp")
int lq_observe(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	struct way way = {.direction = LQOS_UP};
	volatile struct dp_port *port;
	struct lqos_packet pkt;

	if (!counters)
		return XDP_PASS;
	counters->count[DP_OBSERVED]++;
	if (lqos_packet_from_meta((void *)(long)ctx->data_meta, data, &pkt) &&
	    (dp_cpumap_id || lqos_packet_from_scratch(&pkt))) {
		counters->count[DP_PARSED_AGAIN]++;
		port = port_of(ctx->ingress_ifindex);
		if (port && port->internet)
			way.direction = LQOS_DOWN;
		if (dp_stick) {
			if (stick_way(true, parse_vid(data, data_end), &way))
				return XDP_PASS;
		} else if (dp_address_spaces) {
			way.space = parse_vid(data, data_end);
		}
		describe(data, data_end, &way, cpu, NULL, &pkt);
		if (to_metadata(ctx, &pkt))
			to_scratch(&pkt);
	}
	if (!(pkt.flags & LQOS_PACKET_IP))
		return XDP_PASS;
	mark_seen(pkt.slot);
	if (dp_flow_max) {
		if (flow_find((void *)(long)ctx->data,
			      (void *)(long)ctx->data_end, &pkt))
			bpf_tail_call(ctx, &dp_flow, 0);
		note_flow(ctx, &pkt);
	}
	bpf_tail_call(ctx, &lqos_observe, 0);
	return XDP_PASS;
}

/* As much of a frame as the parser may look at, but for rare long headers. */
enum { DP_HEADERS = 128 };

/* Headers may lie in a page of their own. */
static __always_inline void pull_headers(struct __sk_buff *skb)
{
	void *data_end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	__u32 want = skb->len < DP_HEADERS ? skb->len : DP_HEADERS;

	if (data + want > data_end)
		bpf_skb_pull_data(skb, want);
}

/* The VLAN id of the outer tag, which may be beside the frame. */
static __always_inline __u32 skb_vid(struct __sk_buff *skb)
{
	return skb->vlan_present ? skb->vlan_tci & 0xfff
				 : parse_vid((void *)(long)skb->data,
					     (void *)(long)skb->data_end);
}

static __always_inline int egress(struct __sk_buff *skb,
				  enum lqos_direction direction, bool stick)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	void *meta = (void *)(long)skb->data_meta;
	void *data = (void *)(long)skb->data;
	struct way way = {.direction = direction};
	struct lqos_packet pkt;

	if (!counters)
		return TC_ACT_UNSPEC;
	counters->count[DP_SENT]++;
	if (bypassed())
		return TC_ACT_UNSPEC;
	/* A pointer must stay one: clang would copy its lower half only. */
	asm volatile("" : "+r"(data));
	if (stick && stick_way(false, skb_vid(skb), &way)) {
		blank(&pkt);
	} else if (dp_one_interface ||
		   lqos_packet_from_meta(meta, data, &pkt) ||
		   lqos_direction(&pkt) != way.direction) {
		/* Made here; or it turned round: who was its sender's
		 * subscriber is not its receiver's. */
		counters->count[DP_SENT_PARSED]++;
		pull_headers(skb);
		if (!stick && dp_address_spaces)
			way.space = skb_vid(skb);
		describe((void *)(long)skb->data, (void *)(long)skb->data_end,
			 &way, cpu, dp_one_interface ? counters : NULL, &pkt);
	} else if (skb->vlan_present || pkt.l3_off != ETHER_LEN) {
		/* Tags come and go on the way: where its headers are now is not
		 * known without another parse. */
		pkt.l3_off = 0;
		pkt.l4_off = 0;
	}
	to_scratch(&pkt);
	bpf_tail_call(skb, &lqos_egress, 0);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int lq_to_inet(struct __sk_buff *skb)
{
	return egress(skb, LQOS_UP, false);
}

SEC("tc")
int lq_to_subs(struct __sk_buff *skb)
{
	return egress(skb, LQOS_DOWN, false);
}

SEC("tc")
int lq_to_stick(struct __sk_buff *skb)
{
	return egress(skb, LQOS_UP, true); /* or down: its tag says */
}

/* From the VLAN of one side into its partner's, with priority and DEI kept.
 * -1: its VLAN is in no pair. */
static __always_inline int swap_vlan(struct __sk_buff *skb)
{
	__u32 vid = skb_vid(skb),
	      partner = dp_vlans[vid & (DP_VLANS - 1)].partner;
	void *data_end = (void *)(long)skb->data_end;
	__u8 *tag = (void *)(long)skb->data + ETHER_LEN;
	__u32 proto = skb->vlan_proto, tci;
	__u16 swapped;

	if (!partner)
		return -1;
	if (skb->vlan_present) {
		tci = (skb->vlan_tci & 0xf000) | partner;
		return bpf_skb_vlan_pop(skb)
			       ?: bpf_skb_vlan_push(skb, proto, tci);
	}
	if ((void *)(tag + 1) > data_end)
		return -1;
	swapped = bpf_htons((tag[0] & 0xf0) << 8 | partner);
	return bpf_skb_store_bytes(skb, ETHER_LEN, &swapped, sizeof(swapped),
				   BPF_F_RECOMPUTE_CSUM);
}

/*
 * The bridge of our own: whatever arrives leaves by the other interface of the
 * pair, or on a stick by the same, in the other VLAN.  It needs no user space.
 */
SEC("tc")
int lq_forward(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	volatile struct dp_port *port = port_of(skb->ifindex);
	__u32 peer = port ? port->peer : 0;

	if (!counters)
		return TC_ACT_UNSPEC;
	if (!peer) {
		counters->count[DP_NO_PEER]++;
		return TC_ACT_UNSPEC;
	}
	if (dp_stick && swap_vlan(skb))
		return TC_ACT_UNSPEC;
	counters->count[DP_FORWARDED]++;
	return bpf_redirect(peer, 0);
}

/* Head of the observe stage for what leaves by a single interface. */
SEC("tc")
int lq_observe_tc(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	struct lqos_packet pkt;

	if (!counters)
		return TC_ACT_UNSPEC;
	counters->count[DP_OBSERVED]++;
	if (lqos_packet_from_scratch(&pkt) || !(pkt.flags & LQOS_PACKET_IP))
		return TC_ACT_UNSPEC;
	mark_seen(pkt.slot);
	if (dp_flow_max) {
		if (flow_find((void *)(long)skb->data,
			      (void *)(long)skb->data_end, &pkt))
			bpf_tail_call(skb, &dp_flow_tc, 0);
		to_scratch(&pkt);
	}
	bpf_tail_call(skb, &lqos_observe_tc, 0);
	return TC_ACT_UNSPEC;
}

/* Behind lq_observe, where a flow begins or ends. */
SEC("xdp")
int lq_flow(struct xdp_md *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lqos_packet pkt;

	if (lqos_packet_from_meta((void *)(long)ctx->data_meta,
				  (void *)(long)ctx->data, &pkt) &&
	    lqos_packet_from_scratch(&pkt))
		return XDP_PASS;
	flow_seek((void *)(long)ctx->data, (void *)(long)ctx->data_end, cpu,
		  &pkt);
	note_flow(ctx, &pkt);
	bpf_tail_call(ctx, &lqos_observe, 0);
	return XDP_PASS;
}

SEC("tc")
int lq_flow_tc(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lqos_packet pkt;

	if (lqos_packet_from_scratch(&pkt))
		return TC_ACT_UNSPEC;
	flow_seek((void *)(long)skb->data, (void *)(long)skb->data_end, cpu,
		  &pkt);
	to_scratch(&pkt);
	bpf_tail_call(skb, &lqos_observe_tc, 0);
	return TC_ACT_UNSPEC;
}

/*
 * Between CPUs packets are lost silently; only tracepoints tell
 * (include/trace/events/xdp.h).  They run once a batch of packets.
 */
static __always_inline void count_lost(__u32 map_id, __u32 lost)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dp_counters *counters;

	if (!lost || map_id != dp_cpumap_id)
		return;
	counters = bpf_map_lookup_elem(&dp_counters, &cpu);
	if (counters)
		counters->count[DP_CPU_LOST] += lost;
}

/* map_id, processed, drops, to_cpu: its queue is full. */
SEC("raw_tp/xdp_cpumap_enqueue")
int lq_queue_full(struct bpf_raw_tracepoint_args *ctx)
{
	count_lost(ctx->args[0], ctx->args[2]);
	return 0;
}

/* map_id, processed, drops, sched, stats: no memory for an skb. */
SEC("raw_tp/xdp_cpumap_kthread")
int lq_no_skb(struct bpf_raw_tracepoint_args *ctx)
{
	count_lost(ctx->args[0], ctx->args[2]);
	return 0;
}

/* dev, prog, target, error, map type, map_id, index: it could not be sent. */
SEC("raw_tp/xdp_redirect_err")
int lq_refused(struct bpf_raw_tracepoint_args *ctx)
{
	count_lost(ctx->args[5], 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
