// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What each flow carries: bytes, packets, rate, retransmissions, marks. */
#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "lib/tcp.bpf.h"
#include "flow.h"

/* Somebody wants to know the last of flows, too. */
volatile __u32 fl_watched;

/* By subscriber slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_tcp);
} fl_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} fl_finals SEC(".maps");

/* Records of fl_finals that found no room, by CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} fl_lost SEC(".maps");

static __always_inline void tell_final(const struct fl_half *half, __u32 index,
				       __u32 direction)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct fl_final final = {*half, index, direction};
	__u64 *lost;

	if (!bpf_ringbuf_output(&fl_finals, &final, sizeof(final),
				BPF_RB_NO_WAKEUP))
		return;
	lost = bpf_map_lookup_elem(&fl_lost, &cpu);
	if (lost)
		*lost += 1;
}

static __always_inline void begin(struct fl_half *half,
				  const struct fl_half *other,
				  const struct lqos_frame *f, __u64 now)
{
	__u32 generation = f->pkt.generation;

	if (fl_watched && half->packets)
		tell_final(half, f->pkt.flow, lqos_direction(&f->pkt));
	*half = (struct fl_half){
		.generation = generation,
		.second = now >> FL_SECOND_SHIFT,
		.opened = other->generation == generation
				  ? other->opened
				  : now >> FL_MOMENT_SHIFT,
	};
}

/* Atomically where several CPUs may: the row of unknown hosts is everybody's.
 */
static __always_inline void add(__u64 *counter, __u32 slot, __u64 n)
{
	if (lqos_shared || !slot)
		__sync_fetch_and_add(counter, n);
	else
		*counter += n;
}

/* Packets since the last time are the subscriber's, too. */
static __always_inline void add_packets(struct fl_half *half,
					const struct lqos_frame *f)
{
	__u32 slot = f->pkt.slot;
	struct fl_tcp *tcp = bpf_map_lookup_elem(&fl_slots, &slot);

	if (tcp)
		add(&tcp->packets[lqos_direction(&f->pkt)], slot,
		    (__u32)half->packets - half->mark_packets);
	half->mark_packets = half->packets;
}

/* Another second begins, with the packet in hand. */
static __always_inline void roll(struct fl_half *half,
				 const struct lqos_frame *f, __u32 second)
{
	bool next = second == half->second + 1;

	half->rate = next ? (__u32)half->bytes - half->mark : 0;
	half->second = second;
	half->mark = half->bytes;
	if (f->pkt.l4_proto == LQOS_TCP)
		add_packets(half, f);
}

/* A segment that ends before high, or begins there. */
static __always_inline bool fills_gap(struct fl_half *half, __u32 seq,
				      __u32 end, __u16 moment)
{
	if (!(half->flags & FL_GAP) || (__s32)(seq - half->gap) < 0)
		return false;
	if (seq == half->gap)
		half->gap = end;
	/* What comes a round trip later was sent again. */
	return (__u16)(moment - half->gap_time) <= 1;
}

static __always_inline void again(struct fl_half *half,
				  const struct lqos_frame *f, bool reordered)
{
	enum lqos_direction direction = lqos_direction(&f->pkt);
	__u32 slot = f->pkt.slot;
	struct fl_tcp *tcp = bpf_map_lookup_elem(&fl_slots, &slot);

	if (reordered)
		half->reordered++;
	else
		half->retransmits++;
	if (tcp)
		add(reordered ? &tcp->reordered[direction]
			      : &tcp->retransmits[direction],
		    slot, 1);
}

static __always_inline void segment(struct fl_half *half,
				    const struct lqos_frame *f, __u64 now)
{
	__u32 end, was = half->high;
	struct tcp_header tcp;
	__s32 ahead;

	if (tcp_read(f->data, f->data_end, &f->pkt, &tcp))
		return;
	/* Many a connection does not see the next second. */
	if (tcp.flags & (TCP_FIN | TCP_RST))
		add_packets(half, f);
	if (tcp.flags & (TCP_SYN | TCP_RST))
		return;
	end = tcp.seq + tcp.len + (tcp.flags & TCP_FIN ? 1 : 0);
	if (end == tcp.seq)
		return;
	ahead = end - was;
	if (!(half->flags & FL_HIGH) || ahead > TCP_JUMP || ahead < -TCP_JUMP) {
		half->high = end;
		half->flags = (half->flags & ~FL_GAP) | FL_HIGH;
		return;
	}
	if (ahead > 0) {
		half->high = end;
		if ((__s32)(tcp.seq - was) > 0) {
			half->gap = was;
			half->gap_time = now >> FL_MOMENT_SHIFT;
			half->flags |= FL_GAP;
		} else if (tcp.seq != was) {
			again(half, f, false);
		}
		return;
	}
	/* A keep-alive (RFC 9293, 3.8.4) with its byte of garbage. */
	if (tcp.len == 1 && !ahead)
		return;
	again(half, f, fills_gap(half, tcp.seq, end, now >> FL_MOMENT_SHIFT));
}

static __always_inline void marks(struct fl_half *half,
				  const struct lqos_frame *f)
{
	__u8 *ip = f->data + (f->pkt.l3_off & 0xff);
	__u32 slot = f->pkt.slot;
	struct fl_tcp *tcp;
	__u8 tos;

	if ((void *)(ip + 2) > f->data_end)
		return;
	tos = f->pkt.flags & LQOS_PACKET_IPV6 ? ip[0] << 4 | ip[1] >> 4 : ip[1];
	if (half->tos != tos)
		half->tos = tos;
	if (!(tos & 3))
		return;
	half->flags |= FL_ECT;
	if ((tos & 3) != 3)
		return;
	half->ce += f->packets;
	tcp = bpf_map_lookup_elem(&fl_slots, &slot);
	if (tcp)
		add(&tcp->ce[lqos_direction(&f->pkt)], slot, f->packets);
}

static __always_inline void count(const struct lqos_frame *f)
{
	enum lqos_direction direction = lqos_direction(&f->pkt);
	struct lqos_flow *flow = lqos_flow_of(&f->pkt);
	struct fl_half *half;
	struct fl_flow *fl;
	__u32 second;
	__u64 now;

	if (!flow)
		return;
	fl = lqos_flow_part_of(flow);
	now = flow->last_seen;
	half = &fl->half[direction];
	if (half->generation != f->pkt.generation)
		begin(half, &fl->half[!direction], f, now);
	second = now >> FL_SECOND_SHIFT;
	if (half->second != second)
		roll(half, f, second);
	half->bytes += f->bytes;
	half->packets += f->packets;
	marks(half, f);
	if (f->pkt.l4_proto == LQOS_TCP)
		segment(half, f, now);
}

LQOS_OBSERVER(fl_count, count)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
