/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A module that changes nothing and notes that, and with what, it was run. */
#include <lqos/packet.bpf.h>
#include "probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_view);
} probe_views SEC(".maps");

static __always_inline struct probe_view *note_run(void)
{
	__u32 zero = 0;
	struct probe_view *view = bpf_map_lookup_elem(&probe_views, &zero);

	if (view) {
		view->runs[lqos_self % PROBE_MODULES]++;
		view->trail = view->trail << PROBE_TRAIL_BITS | lqos_self;
	}
	return view;
}

LQOS_INGRESS(probe_in)(struct xdp_md *ctx)
{
	note_run();
	return lqos_next_ingress(ctx);
}

LQOS_INGRESS_LAST(probe_last)(struct xdp_md *ctx)
{
	note_run();
	return lqos_next_ingress(ctx);
}

static __always_inline void observe(const struct lqos_frame *f)
{
	struct probe_view *view = note_run();

	if (view) {
		view->pkt = f->pkt;
		view->bytes = f->bytes;
		view->packets = f->packets;
	}
}

LQOS_OBSERVER(probe_see, observe)

/* Where the descriptor says that the IP header is. */
static __always_inline __u32 first_of_ip(struct __sk_buff *skb)
{
	void *data_end = (void *)(long)skb->data_end;
	struct lqos_packet pkt;
	__u8 *ip;

	if (lqos_packet_from_scratch(&pkt) || !(pkt.flags & LQOS_PACKET_IP))
		return 0;
	if (!pkt.l3_off)
		return 0;
	ip = (void *)(long)skb->data + pkt.l3_off;
	return (void *)(ip + 1) <= data_end ? *ip : 0;
}

LQOS_EGRESS(probe_out)(struct __sk_buff *skb)
{
	struct probe_view *view = note_run();

	if (view) {
		view->priority = skb->priority;
		view->queue = skb->queue_mapping;
		view->ip = first_of_ip(skb);
	}
	return lqos_next_egress(skb);
}

/* Beside the frame, as a VLAN device leaves it for the driver to put in. */
LQOS_EGRESS(probe_tag)(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, bpf_htons(0x8100), PROBE_TCI);
	return lqos_next_egress(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
