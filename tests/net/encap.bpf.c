// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the hosts of an encapsulated network do: each packet of a subscriber
 * gets its headers before it leaves, and they are taken off where it arrives.
 * Which ones is in the subscriber's address: 100.64.CASE.x or
 * 2001:db8:64:CASE::x (in the second pair of interfaces 65 instead of 64).  A
 * packet that arrives with other headers than it was sent with is dropped and
 * counted.
 *
 * Addresses in 100.66.0.0/16 and 2001:db8:66::/48 are in several VLANs: TCP
 * with a server's port from 7200 to 7299 is in VLAN 200 to 299, all else in
 * none.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum {
	MACS = 12,
	ROOM_MAX = 31,
	COMPARED_MAX = 28, /* any frame of a host is longer */
	TAG_LEN = 4,
	TAGS_MAX = 5,
	LABELS_MAX = 4,
	PPPOE_LEN = 8,
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,
	PROTO_TCP = 6,
	PROTO_ICMPV6 = 58,
	SHARED_PORTS = 7200,
	SHARED_VLANS = 200,
	SHARED = 100,
	ETH_P_QINQ = 0x9100,

	CASES = 16,
	IN_SKB_CASE = 10, /* a tag that is left to the driver */
	IN_SKB = 0xc068,
	PAIRS = 2,
};

/* What stands in the last two bytes. */
enum tail { NOTHING, ETHERTYPE, PPP };

/* What stands between the MAC addresses and IP: room bytes more than the
 * ethertype of a frame without all that. */
struct encap {
	__u8 room;
	__u8 tail;
	__u8 bytes[ROOM_MAX + 5];
};

#define TAG(type, tci) (type) >> 8, (type)&255, (tci) >> 8, (tci)&255
#define LABEL(label, ttl) \
	(label) >> 12, (label) >> 4 & 255, ((label)&15) << 4, (ttl)
#define LAST_LABEL(label, ttl) \
	(label) >> 12, (label) >> 4 & 255, ((label)&15) << 4 | 1, (ttl)
#define TYPE(type) (type) >> 8, (type)&255
#define SESSION(n) TYPE(ETH_P_PPP_SES), 0x11, 0, (n) >> 8, (n)&255, 0, 0

#define HEADERS(tail_, ...)                                               \
	{                                                                 \
		.room = sizeof((__u8[]){__VA_ARGS__}) - 2, .tail = tail_, \
		.bytes = {                                                \
			__VA_ARGS__                                       \
		}                                                         \
	}

/* In the order of hosts.py.  The labels have bits set wherever a reader in the
 * wrong byte order looks for the bottom of the stack. */
static const struct encap encaps[CASES] = {
	HEADERS(ETHERTYPE, 0, 0),
	HEADERS(ETHERTYPE, TAG(ETH_P_8021Q, 0xa064), 0, 0),
	HEADERS(ETHERTYPE, TAG(ETH_P_8021AD, 0x70c8), TAG(ETH_P_8021Q, 0xe065),
		0, 0),
	HEADERS(ETHERTYPE, TAG(ETH_P_8021AD, 0x2fff), TAG(ETH_P_8021Q, 0x0001),
		TAG(ETH_P_8021Q, 0x4002), 0, 0),
	HEADERS(ETHERTYPE, TAG(ETH_P_QINQ, 0x00c9), TAG(ETH_P_8021AD, 0x00ca),
		TAG(ETH_P_8021Q, 0x60cb), TAG(ETH_P_8021Q, 0x00cc), 0, 0),
	HEADERS(PPP, SESSION(0x1234), 0, 0),
	HEADERS(PPP, TAG(ETH_P_8021Q, 0x2066), SESSION(1), 0, 0),
	HEADERS(NOTHING, TYPE(ETH_P_MPLS_UC), LAST_LABEL(0x12345, 64)),
	HEADERS(NOTHING, TYPE(ETH_P_MPLS_UC), LABEL(0xfffff, 255),
		LABEL(0x11011, 1), LAST_LABEL(16, 63)),
	HEADERS(NOTHING, TAG(ETH_P_8021Q, 0x8067), TYPE(ETH_P_MPLS_UC),
		LAST_LABEL(2, 9)),
	HEADERS(ETHERTYPE, TAG(ETH_P_8021Q, IN_SKB), 0, 0),
};

/* Of a case, pair and family: what was sent, without ICMPv6, and what arrived
 * with the wrong headers. */
struct seen {
	__u64 packets;
	__u64 bytes;
	__u64 wrong;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CASES *PAIRS * 2);
	__type(key, __u32);
	__type(value, struct seen);
} encap_seen SEC(".maps");

struct whose {
	__u32 index; /* of encap_seen */
	__u32 encap;
};

/* Whose an address is; false: no subscriber's. */
static __always_inline bool whose(const __u8 *a, bool v6, struct whose *w)
{
	__u32 pair, encap;

	if (v6) {
		if (a[0] != 0x20 || a[1] != 0x01 || a[2] != 0x0d ||
		    a[3] != 0xb8 || a[4] || a[6])
			return false;
		pair = a[5] - 0x64;
		encap = a[7];
	} else {
		if (a[0] != 100)
			return false;
		pair = a[1] - 64;
		encap = a[2];
	}
	if (pair >= PAIRS || encap >= CASES)
		return false;
	w->encap = encap;
	w->index = (pair * CASES + encap) * 2 + v6;
	return true;
}

/* Of an address, and of the server's port, on the way up or down. */
static __always_inline __u32 address_at(bool up, bool v6)
{
	if (v6)
		return up ? 8 : 24;
	return up ? 12 : 16;
}

static __always_inline bool is_shared(const __u8 *a, bool v6)
{
	if (!v6)
		return a[0] == 100 && a[1] == 66;
	return a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8 &&
	       !a[4] && a[5] == 0x66;
}

/* The VLAN that IP is in by its port; 0: none. */
static __always_inline __u32 shared_vlan(const __u8 *proto, const __u16 *port)
{
	__u32 n = bpf_ntohs(*port) - SHARED_PORTS;

	return *proto == PROTO_TCP && n < SHARED ? SHARED_VLANS + n : 0;
}

static __always_inline __u16 tail_type(enum tail tail, bool v6)
{
	if (tail == PPP)
		return bpf_htons(v6 ? PPP_IPV6 : PPP_IPV4);
	return bpf_htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
}

static __always_inline int push_shared(struct __sk_buff *skb, bool up, bool v6)
{
	__u8 proto = 0;
	__u16 port = 0;
	__u32 vid;

	bpf_skb_load_bytes(skb, ETH_HLEN + (v6 ? 6 : 9), &proto, 1);
	bpf_skb_load_bytes(skb, ETH_HLEN + (v6 ? 40 : 20) + (up ? 2 : 0), &port,
			   2);
	vid = shared_vlan(&proto, &port);
	if (vid)
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid);
	return TC_ACT_OK;
}

static __always_inline int push(struct __sk_buff *skb, bool up)
{
	bool v6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	__u16 length = bpf_htons(skb->len - ETH_HLEN + 2), type;
	struct whose w;
	__u8 address[16], proto = 0;
	struct encap encap;
	struct seen *seen;
	__u32 room;

	if (!v6 && skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + address_at(up, v6), address,
			       v6 ? 16 : 4))
		return TC_ACT_OK;
	if (is_shared(address, v6))
		return push_shared(skb, up, v6);
	if (!whose(address, v6, &w))
		return TC_ACT_OK;
	if (v6)
		bpf_skb_load_bytes(skb, ETH_HLEN + 6, &proto, 1);
	encap = encaps[w.encap & (CASES - 1)];
	room = encap.room & ROOM_MAX;
	asm volatile("" : "+r"(room)); /* so much the verifier has to know */
	if (w.encap == IN_SKB_CASE) {
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), IN_SKB);
	} else if (room) {
		type = tail_type(encap.tail, v6);
		if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0) ||
		    bpf_skb_store_bytes(skb, MACS, encap.bytes, room + 2, 0))
			return TC_ACT_SHOT;
		if (encap.tail != NOTHING)
			bpf_skb_store_bytes(skb, MACS + room, &type, 2, 0);
		if (encap.tail == PPP)
			bpf_skb_store_bytes(skb, MACS + room - 2, &length, 2,
					    0);
	}
	seen = bpf_map_lookup_elem(&encap_seen, &w.index);
	if (seen && proto != PROTO_ICMPV6) {
		__sync_fetch_and_add(&seen->packets, 1);
		__sync_fetch_and_add(&seen->bytes,
				     skb->len +
					     (skb->vlan_present ? TAG_LEN : 0));
	}
	return TC_ACT_OK;
}

SEC("tc")
int push_up(struct __sk_buff *skb)
{
	return push(skb, true);
}

SEC("tc")
int push_down(struct __sk_buff *skb)
{
	return push(skb, false);
}

static __always_inline __u16 be16(const void *p)
{
	return bpf_ntohs(*(const __u16 *)p);
}

/* Where IP begins, and which; 0: it is not IP. */
static __always_inline __u32 find_ip(void *data, void *data_end, bool *v6)
{
	__u32 off = ETH_HLEN, i;
	__u16 type;

	if (data + ETH_HLEN > data_end)
		return 0;
	type = be16(data + MACS);
#pragma unroll
	for (i = 0; i < TAGS_MAX; i++) {
		if (type != ETH_P_8021Q && type != ETH_P_8021AD &&
		    type != ETH_P_QINQ)
			break;
		if (data + off + TAG_LEN > data_end)
			return 0;
		type = be16(data + off + 2);
		off += TAG_LEN;
	}
	if (type == ETH_P_PPP_SES) {
		if (data + off + PPPOE_LEN > data_end)
			return 0;
		type = be16(data + off + 6);
		type = type == PPP_IPV4	  ? ETH_P_IP
		       : type == PPP_IPV6 ? ETH_P_IPV6
					  : 0;
		off += PPPOE_LEN;
	} else if (type == ETH_P_MPLS_UC) {
		__u8 bottom = 0;

#pragma unroll
		for (i = 0; i < LABELS_MAX; i++) {
			if (data + off + 4 > data_end)
				return 0;
			bottom = *(__u8 *)(data + off + 2) & 1;
			off += 4;
			if (bottom)
				break;
		}
		if (!bottom || data + off + 1 > data_end)
			return 0;
		type = *(__u8 *)(data + off) >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
	}
	*v6 = type == ETH_P_IPV6;
	return type == ETH_P_IP || type == ETH_P_IPV6 ? off : 0;
}

/* Does the frame have these headers, and no others, up to off? */
static __always_inline bool same(struct xdp_md *ctx, const struct encap *encap,
				 __u32 off, bool v6)
{
	__u8 *frame = (void *)(long)ctx->data + MACS;
	__u8 *end = (void *)(long)ctx->data_end;
	__u32 len = encap->room + 2, i;
	__u16 tail[2];

	if (off != MACS + len || frame + COMPARED_MAX > end ||
	    bpf_xdp_load_bytes(ctx, off - sizeof(tail), tail, sizeof(tail)))
		return false;
	if (encap->tail != NOTHING) {
		len -= 2;
		if (tail[1] != tail_type(encap->tail, v6))
			return false;
	}
	if (encap->tail == PPP) {
		len -= 2;
		if (bpf_ntohs(tail[0]) != bpf_xdp_get_buff_len(ctx) - off + 2)
			return false;
	}
	for (i = 0; i < COMPARED_MAX; i++) {
		if (i < len && frame[i] != encap->bytes[i])
			return false;
	}
	return true;
}

/* Leaves the frame with its MAC addresses and IP. */
static __always_inline int strip(struct xdp_md *ctx, __u32 off, bool v6)
{
	__u16 type = tail_type(ETHERTYPE, v6);
	__u8 macs[MACS];

	if (bpf_xdp_load_bytes(ctx, 0, macs, MACS) ||
	    bpf_xdp_adjust_head(ctx, off - ETH_HLEN) ||
	    bpf_xdp_store_bytes(ctx, 0, macs, MACS) ||
	    bpf_xdp_store_bytes(ctx, MACS, &type, 2))
		return XDP_ABORTED;
	return XDP_PASS;
}

static __always_inline int pop_shared(struct xdp_md *ctx, __u32 off, bool up,
				      bool v6)
{
	__u16 port = 0, tci = 0;
	__u8 proto = 0;
	__u32 vid;

	bpf_xdp_load_bytes(ctx, off + (v6 ? 6 : 9), &proto, 1);
	bpf_xdp_load_bytes(ctx, off + (v6 ? 40 : 20) + (up ? 2 : 0), &port, 2);
	vid = shared_vlan(&proto, &port);
	if (!vid)
		return off == ETH_HLEN ? XDP_PASS : XDP_DROP;
	if (off != ETH_HLEN + TAG_LEN ||
	    bpf_xdp_load_bytes(ctx, ETH_HLEN, &tci, sizeof(tci)) ||
	    bpf_ntohs(tci) != vid)
		return XDP_DROP;
	return strip(ctx, off, v6);
}

static __always_inline int pop(struct xdp_md *ctx, bool up)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	bool v6 = false;
	__u32 off = find_ip(data, data_end, &v6);
	__u8 address[16];
	struct encap encap;
	struct seen *seen;
	struct whose w;

	if (!off)
		return XDP_PASS;
	if (bpf_xdp_load_bytes(ctx, off + address_at(up, v6), address,
			       v6 ? 16 : 4))
		return XDP_PASS;
	if (is_shared(address, v6))
		return pop_shared(ctx, off, up, v6);
	if (!whose(address, v6, &w))
		return off == ETH_HLEN ? XDP_PASS : XDP_DROP;
	encap = encaps[w.encap & (CASES - 1)];
	if (same(ctx, &encap, off, v6))
		return off == ETH_HLEN ? XDP_PASS : strip(ctx, off, v6);
	seen = bpf_map_lookup_elem(&encap_seen, &w.index);
	if (seen)
		__sync_fetch_and_add(&seen->wrong, 1);
	return XDP_DROP;
}

SEC("xdp")
int pop_up(struct xdp_md *ctx)
{
	return pop(ctx, true);
}

SEC("xdp")
int pop_down(struct xdp_md *ctx)
{
	return pop(ctx, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
