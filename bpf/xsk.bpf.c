// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends the packets that somebody asked for to AF_XDP sockets; all others, and
 * those that there is no room for, go on. */
#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "xsk.h"

enum {
	ETHER_LEN = 14,
	ETHER_ARP = 0x0806,
	ARP_LEN = 28,
	UDP = 17,
	ICMPV6 = 58,
	ND_SOLICIT = 135,
};

const volatile __u32 xk_mtu; /* bytes that a frame has for a packet */

/* Written by user space, while packets flow too. */
volatile struct xk_rules xk_rules;
volatile struct xk_interface xk_interfaces[XK_INTERFACES];
volatile __u32 xk_full[XK_TAPS]; /* 1: the tap holds its share of frames */

/* By tap, then interface, then queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XK_TAPS *XK_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} xk_sockets SEC(".maps") LQOS_FRESH;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XK_PORTS);
	__type(key, __u32);
	__type(value, struct xk_credit);
} xk_credits SEC(".maps") LQOS_FRESH;

/* By CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xk_counters);
} xk_counters SEC(".maps") LQOS_FRESH;

/* What the rules ask of a packet. */
struct seen {
	__u64 to_hi, to_lo;
	__u64 from_hi, from_lo;
	__u64 asked_hi, asked_lo; /* whom ARP or ND asks for */
	__u32 slot;
	__u32 ifindex;
	__u16 to_port, from_port;
	__u8 proto;
	__u8 icmp_type;
	__u8 about;
};

static __always_inline __u64 words(const __u32 *word)
{
	return (__u64)word[1] << 32 | word[0];
}

static __always_inline void count(__u32 tap, enum xk_counter which)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct xk_counters *row = bpf_map_lookup_elem(&xk_counters, &cpu);

	if (row && tap < XK_TAPS)
		row->count[tap][which]++;
}

/* A request for an IPv4 address: RFC 826, over Ethernet. */
static __always_inline bool see_arp(const struct lqos_frame *f, struct seen *s)
{
	__u16 *half = f->data + ETHER_LEN - 2;

	if (f->data + ETHER_LEN + ARP_LEN > f->data_end ||
	    half[0] != bpf_htons(ETHER_ARP) || half[1] != bpf_htons(1) ||
	    half[2] != bpf_htons(0x0800) || half[3] != bpf_htons(0x0604) ||
	    half[4] != bpf_htons(1))
		return false;
	s->about = XK_ARP;
	s->asked_hi = ~0ULL;
	/* The target's, in the last four bytes. */
	s->asked_lo = (__u64)half[14] << 16 | half[13];
	return true;
}

static __always_inline bool see_ip(const struct lqos_frame *f, struct seen *s)
{
	void *ip = f->data + f->pkt.l3_off;
	void *l4 = f->data + (f->pkt.l4_off & 0x3fff);
	__u32 *word = ip;

	s->about = XK_TO | XK_FROM;
	s->slot = f->pkt.slot;
	s->proto = f->pkt.l4_proto;
	if (f->pkt.flags & LQOS_PACKET_IPV6) {
		if (ip + 40 > f->data_end)
			return false;
		s->from_hi = words(word + 2);
		s->from_lo = words(word + 4);
		s->to_hi = words(word + 6);
		s->to_lo = words(word + 8);
	} else {
		if (ip + 20 > f->data_end)
			return false;
		s->from_hi = s->to_hi = ~0ULL;
		s->from_lo = word[3];
		s->to_lo = word[4];
	}
	if (!f->pkt.l4_off || l4 + 8 > f->data_end)
		return true;
	if (s->proto == LQOS_TCP || s->proto == UDP) {
		s->from_port = ((__u16 *)l4)[0];
		s->to_port = ((__u16 *)l4)[1];
	} else {
		s->icmp_type = *(__u8 *)l4;
	}
	if (s->proto == ICMPV6 && s->icmp_type == ND_SOLICIT &&
	    l4 + 24 <= f->data_end) {
		s->about |= XK_ND;
		word = l4 + 8;
		s->asked_hi = words(word);
		s->asked_lo = words(word + 2);
	}
	return true;
}

static __always_inline bool has(const volatile struct xk_rule *r, __u64 hi,
				__u64 lo)
{
	return !(((hi ^ r->hi) & r->mask_hi) | ((lo ^ r->lo) & r->mask_lo));
}

static __always_inline bool fits(const volatile struct xk_rule *r,
				 const struct seen *s)
{
	__u8 about = r->about & s->about;
	__u16 port = r->port;

	if (!about || (r->slot && r->slot != s->slot) ||
	    (r->ifindex && r->ifindex != s->ifindex))
		return false;
	if ((about & (XK_ARP | XK_ND)) && has(r, s->asked_hi, s->asked_lo))
		return true;
	if ((r->proto && r->proto != s->proto) ||
	    (r->icmp_type && r->icmp_type != s->icmp_type))
		return false;
	return ((about & XK_TO) && has(r, s->to_hi, s->to_lo) &&
		(!port || port == s->to_port)) ||
	       ((about & XK_FROM) && has(r, s->from_hi, s->from_lo) &&
		(!port || port == s->from_port));
}

/* The tap that gets it; XK_TAPS: none does. */
static __always_inline __u32 tap_of(const struct seen *s)
{
	__u32 n = xk_rules.n, i;

	for (i = 0; i < XK_RULES; i++) {
		const volatile struct xk_rule *r =
			&xk_rules.rule[n % XK_TABLES][i];

		if (i >= n / XK_TABLES)
			break;
		if (fits(r, s))
			return r->tap;
	}
	return XK_TAPS;
}

/* Of an interface's queue; XK_PORTS: it has no sockets. */
static __always_inline __u32 port_of(const struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index, i;

#pragma unroll
	for (i = 0; i < XK_INTERFACES; i++)
		if (xk_interfaces[i].ifindex == ctx->ingress_ifindex &&
		    queue < xk_interfaces[i].queues && queue < XK_QUEUES)
			return i * XK_QUEUES + queue;
	return XK_PORTS;
}

/* On its way to the tap, or why not. */
static __always_inline enum xk_counter take(struct xdp_md *ctx, __u32 tap,
					    __u32 bytes)
{
	__u32 port = port_of(ctx);
	struct xk_credit *credit = bpf_map_lookup_elem(&xk_credits, &port);

	if (!credit)
		return XK_NO_SOCKET;
	if (xk_full[tap & (XK_TAPS - 1)])
		return XK_TAP_FULL;
	if (bytes > xk_mtu)
		return XK_TOO_LONG;
	if (bpf_redirect_map(&xk_sockets, tap * XK_PORTS + port, XDP_PASS) !=
	    XDP_REDIRECT)
		return XK_NO_SOCKET;
	/* In the stack two CPUs may serve one queue. */
	if (__sync_fetch_and_add(&credit->taken, 1) >=
	    *(volatile __u64 *)&credit->filled) {
		__sync_fetch_and_sub(&credit->taken, 1);
		return XK_NO_FRAME;
	}
	return XK_TAKEN;
}

/* true: it went to a tap. */
static __always_inline bool taken(struct xdp_md *ctx)
{
	struct lqos_frame frame;
	struct seen seen = {};
	enum xk_counter what;
	__u32 tap;

	if (lqos_frame_xdp(ctx, &frame))
		return false;
	seen.ifindex = ctx->ingress_ifindex;
	if (!(frame.pkt.flags & LQOS_PACKET_IP ? see_ip(&frame, &seen)
					       : see_arp(&frame, &seen)))
		return false;
	tap = tap_of(&seen);
	if (tap >= XK_TAPS)
		return false;
	what = take(ctx, tap, frame.bytes);
	count(tap, what);
	return what == XK_TAKEN;
}

LQOS_INGRESS(xk_select)(struct xdp_md *ctx)
{
	if (xk_rules.n >= XK_TABLES && taken(ctx))
		return XDP_REDIRECT;
	return lqos_next_ingress(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
