// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The switch beside a shaper on a stick: each access port is in a VLAN of its
 * own, the trunk has all of them tagged.  Every frame gets the same priority
 * and DEI on its way in, and has to come back with both.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum {
	PRIORITY = 0xb000, /* PCP 5, DEI */
	VID = 0x0fff,
	TRUNK = 0, /* a VID that no port can have */
};

/* VID to interface. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VID + 1);
	__type(key, __u32);
	__type(value, __u32);
} switch_ports SEC(".maps");

/* Interface to VID. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} switch_vlans SEC(".maps");

/* Frames by what became of them. */
enum { SWITCHED, PRIORITY_LOST, NO_PORT, OUTCOMES };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} switch_counts SEC(".maps");

static __always_inline int count(__u32 outcome)
{
	__u64 *n = bpf_map_lookup_elem(&switch_counts, &outcome);

	if (n)
		__sync_fetch_and_add(n, 1);
	return TC_ACT_SHOT;
}

/* XDP, as generic XDP would not look at what a program at TC has redirected. */
SEC("xdp")
int from_host(struct xdp_md *ctx)
{
	__u32 here = ctx->ingress_ifindex, trunk = TRUNK;
	__u32 *vid = bpf_map_lookup_elem(&switch_vlans, &here);
	__u32 *port = bpf_map_lookup_elem(&switch_ports, &trunk);
	__u16 tag[2] = {bpf_htons(ETH_P_8021Q)};
	__u8 macs[2 * ETH_ALEN];

	if (!vid || !port || bpf_xdp_load_bytes(ctx, 0, macs, sizeof(macs)) ||
	    bpf_xdp_adjust_head(ctx, -(int)sizeof(tag))) {
		count(NO_PORT);
		return XDP_DROP;
	}
	tag[1] = bpf_htons(*vid | PRIORITY);
	if (bpf_xdp_store_bytes(ctx, 0, macs, sizeof(macs)) ||
	    bpf_xdp_store_bytes(ctx, sizeof(macs), tag, sizeof(tag)))
		return XDP_ABORTED;
	return bpf_redirect(*port, 0);
}

SEC("tc")
int from_trunk(struct __sk_buff *skb)
{
	__u32 tci = skb->vlan_tci, vid = tci & VID;
	__u32 *port = bpf_map_lookup_elem(&switch_ports, &vid);

	if (!skb->vlan_present || !vid || !port || !*port)
		return count(NO_PORT);
	if ((tci & ~VID) != PRIORITY)
		return count(PRIORITY_LOST);
	if (bpf_skb_vlan_pop(skb))
		return count(NO_PORT);
	count(SWITCHED);
	return bpf_redirect(*port, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
