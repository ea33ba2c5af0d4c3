// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Copies of packets for those who look, and the packets go on. */
#include <lqos/packet.bpf.h>
#include "capture.h"

/* Which captures are on: a bit each.  Written by user space, like the rules. */
volatile __u32 cap_on;
/* Until then (CLOCK_MONOTONIC, ns) somebody empties the ring: a daemon that was
 * killed leaves the captures on, and they are to cost no copies. */
volatile __u64 cap_until;
volatile struct capture_rule cap_rules[CAPTURES];
volatile __u32 cap_snaplen; /* the longest that one asked for */
/* So many bytes, a power of two, wake user space, which looks by itself now and
 * then. */
const volatile __u32 cap_wake = 1 << 20;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} cap_ring SEC(".maps") LQOS_FRESH;

/* By CPU, in which a record is made: nothing on its way through the programs
 * interrupts another there.  A map of the kernel's kind by CPU has not room for
 * one of that size. */
struct cap_room {
	struct capture_record record;
	__u8 data[CAPTURE_SNAPLEN_MAX + 1 + LQOS_TAG];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cap_room);
} cap_rooms SEC(".maps") LQOS_FRESH;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture_dropped);
} cap_dropped SEC(".maps") LQOS_FRESH;

/* ---- Who wants it -------------------------------------------------------- */

struct ends {
	__u64 src_hi, src_lo, dst_hi, dst_lo;
	__u32 kind; /* CAPTURE_IPV4 or CAPTURE_IPV6 */
};

static __always_inline int find_ends(const struct lqos_frame *f,
				     struct ends *ends)
{
	void *ip = f->data + f->pkt.l3_off;
	__u32 *word;

	if (f->pkt.flags & LQOS_PACKET_IPV6) {
		word = ip + 8;
		if ((void *)(word + 8) > f->data_end)
			return -1;
		ends->kind = CAPTURE_IPV6;
		ends->src_hi = (__u64)word[1] << 32 | word[0];
		ends->src_lo = (__u64)word[3] << 32 | word[2];
		ends->dst_hi = (__u64)word[5] << 32 | word[4];
		ends->dst_lo = (__u64)word[7] << 32 | word[6];
		return 0;
	}
	word = ip + 12;
	if ((void *)(word + 2) > f->data_end)
		return -1;
	ends->kind = CAPTURE_IPV4;
	ends->src_hi = ends->dst_hi = 0;
	ends->src_lo = word[0];
	ends->dst_lo = word[1];
	return 0;
}

/* 1 if x is 0, and 0 else, without a branch: with one for each rule the
 * verifier would look at all the ways through them. */
static __always_inline __u32 is_zero(__u64 x)
{
	x |= -x;
	asm volatile("" : "+r"(x));
	return (__u32)(x >> 63) ^ 1;
}

static __always_inline __u32 wants(const volatile struct capture_rule *rule,
				   const struct ends *ends, __u32 slot)
{
	__u64 mask_hi = rule->mask_hi, mask_lo = rule->mask_lo;
	__u64 hi = rule->hi, lo = rule->lo;
	__u32 kind = rule->kind, other = kind ^ ends->kind;

	return is_zero((kind ^ CAPTURE_SLOT) | (slot ^ rule->slot)) |
	       is_zero(other | ((ends->src_hi & mask_hi) ^ hi) |
		       ((ends->src_lo & mask_lo) ^ lo)) |
	       is_zero(other | ((ends->dst_hi & mask_hi) ^ hi) |
		       ((ends->dst_lo & mask_lo) ^ lo));
}

/* Which captures want it. */
static __always_inline __u32 who_wants(const struct lqos_frame *f, __u32 on)
{
	struct ends ends = {};
	__u32 wanted = 0, i;

	if (find_ends(f, &ends))
		ends.kind = CAPTURES; /* no kind that there is */
	for (i = 0; i < CAPTURES && on >> i; i++)
		wanted |= wants(&cap_rules[i], &ends, f->pkt.slot) << i;
	return wanted & on;
}

/* ---- The copy ------------------------------------------------------------ */

static __always_inline void count_dropped(__u32 cpu, __u32 wanted)
{
	struct capture_dropped *dropped =
		bpf_map_lookup_elem(&cap_dropped, &cpu);
	__u32 i;

	if (!dropped)
		return;
	for (i = 0; i < CAPTURES; i++)
		dropped->packets[i] += wanted >> i & 1;
}

/* All but the bytes; tag: of VLAN, which is put in front of the headers. */
static __always_inline void describe(struct capture_record *r, __u64 now,
				     const struct lqos_frame *f, __u32 tag,
				     __u32 wanted)
{
	const struct lqos_packet *pkt = &f->pkt;

	r->ts = now;
	r->slot = pkt->slot;
	r->l3_off = pkt->l3_off + tag;
	r->l4_off = pkt->l4_off ? pkt->l4_off + tag : 0;
	r->proto = pkt->l4_proto;
	r->flags =
		(pkt->flags & ~LQOS_PACKET_IP) | (f->egress ? CAPTURE_OUT : 0);
	r->wanted = wanted;
	r->reserved = 0;
}

/* The verifier is to know that it is within both. */
static __always_inline __u32 within(__u32 n, __u32 most)
{
	asm volatile("" : "+r"(n));
	return n > most ? most : n;
}

/* The same of what is not 0: Linux 6.1 forgets that it was asked. */
static __always_inline __u32 from_1_to(__u32 n, __u32 most)
{
	return within(n - 1, most - 1) + 1;
}

static __always_inline void send(struct cap_room *room, __u32 caplen, __u32 cpu)
{
	__u32 size = within(caplen, CAPTURE_SNAPLEN_MAX) +
		     sizeof(struct capture_record);
	__u64 waits = bpf_ringbuf_query(&cap_ring, BPF_RB_AVAIL_DATA);
	__u64 then = waits + ((size + BPF_RINGBUF_HDR_SZ + 7) & ~7U);
	__u64 flags = BPF_RB_NO_WAKEUP;

	/* A wake-up costs as much as a hundred copies: not with each record,
	 * but at each multiple on the way up, as CPUs that read the same can
	 * pass one without seeing it. */
	if ((waits ^ then) >= cap_wake)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&cap_ring, room, size, flags))
		count_dropped(cpu, room->record.wanted);
}

/* Where the copy is made; NULL: it is not, and that is counted. */
static __always_inline struct cap_room *room_of(__u32 cpu, __u32 wanted)
{
	struct cap_room *room = bpf_map_lookup_elem(&cap_rooms, &cpu);

	if (room && bpf_ktime_get_coarse_ns() < cap_until)
		return room;
	count_dropped(cpu, wanted);
	return NULL;
}

static __always_inline void capture_xdp(struct xdp_md *ctx, __u32 on)
{
	__u32 cpu = bpf_get_smp_processor_id(), wanted, n;
	/* Before the rules are read: one that changed later is another's. */
	__u64 now = bpf_ktime_get_ns();
	struct lqos_frame frame;
	struct cap_room *room;

	if (lqos_frame_xdp(ctx, &frame))
		return;
	wanted = who_wants(&frame, on);
	if (!wanted)
		return;
	room = room_of(cpu, wanted);
	if (!room)
		return;
	describe(&room->record, now, &frame, 0, wanted);
	room->record.interface = ctx->ingress_ifindex;
	room->record.len = bpf_xdp_get_buff_len(ctx);
	n = within(cap_snaplen, room->record.len);
	n = n ? from_1_to(n, CAPTURE_SNAPLEN_MAX) : 1;
	if (bpf_xdp_load_bytes(ctx, 0, room->data, n)) {
		count_dropped(cpu, wanted);
		return;
	}
	room->record.caplen = n;
	send(room, n, cpu);
}

enum { ADDRESSES = 12 }; /* of Ethernet; the tag is behind them */

/* n bytes, of which a tag beside the frame is one part. */
static __always_inline int load_tagged(struct __sk_buff *skb, __u8 *data,
				       __u32 n)
{
	__u16 tci = bpf_htons(skb->vlan_tci), proto = skb->vlan_proto;
	__u32 rest;

	if (n < ADDRESSES + LQOS_TAG ||
	    bpf_skb_load_bytes(skb, 0, data, ADDRESSES))
		return -1;
	__builtin_memcpy(data + ADDRESSES, &proto, sizeof(proto));
	__builtin_memcpy(data + ADDRESSES + sizeof(proto), &tci, sizeof(tci));
	rest = n - ADDRESSES - LQOS_TAG;
	if (!rest)
		return 0;
	rest = from_1_to(rest, CAPTURE_SNAPLEN_MAX - ADDRESSES - LQOS_TAG);
	return bpf_skb_load_bytes(skb, ADDRESSES, data + ADDRESSES + LQOS_TAG,
				  rest);
}

static __always_inline void capture_tc(struct __sk_buff *skb, __u32 on)
{
	__u32 cpu = bpf_get_smp_processor_id(), wanted, n;
	__u32 tag = skb->vlan_present ? LQOS_TAG : 0;
	__u64 now = bpf_ktime_get_ns();
	struct lqos_frame frame;
	struct cap_room *room;

	if (lqos_frame_tc(skb, &frame))
		return;
	wanted = who_wants(&frame, on);
	if (!wanted)
		return;
	room = room_of(cpu, wanted);
	if (!room)
		return;
	describe(&room->record, now, &frame, tag, wanted);
	room->record.interface = skb->ifindex;
	/* A super-segment as it is, not as it will be on the wire. */
	room->record.len = skb->len + tag;
	n = within(cap_snaplen, room->record.len);
	n = n ? from_1_to(n, CAPTURE_SNAPLEN_MAX) : 1;
	if (tag ? load_tagged(skb, room->data, n)
		: bpf_skb_load_bytes(skb, 0, room->data, n)) {
		count_dropped(cpu, wanted);
		return;
	}
	room->record.caplen = n;
	send(room, n, cpu);
}

SEC("lqos/observe")
int cap_look(struct xdp_md *ctx)
{
	__u32 on = cap_on;

	if (on)
		capture_xdp(ctx, on);
	return lqos_next_observe(ctx);
}

SEC("lqos/observe_tc")
int cap_look_tc(struct __sk_buff *skb)
{
	__u32 on = cap_on;

	if (on)
		capture_tc(skb, on);
	return lqos_next_observe_tc(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
