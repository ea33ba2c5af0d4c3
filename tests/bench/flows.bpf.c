/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets of many flows for one run of BPF_PROG_TEST_RUN, and tables of flows
 * such as the kernel offers, for comparison.
 */
#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "lib/key.bpf.h"
#include "flows.h"

enum { FS_TCP_SEQ = 4, FS_TCP_ACK = 8, FS_TCP_TSVAL = 24, FS_TCP_TSECR = 28 };

const volatile __u32 fs_packets; /* of fs_array */
const volatile __u32 fs_tcp;	 /* where TCP's header is */
const volatile __u32 fs_step;	 /* what a round sends of each flow */

/* User space may set them back. */
__u32 fs_next, fs_round;
/* Flows that a table did not have. */
__u32 fs_missed;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fs_packet);
} fs_array SEC(".maps");

/* What is measured: down, up. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} fs_target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, union key);
	__type(value, struct lqos_flow);
} fs_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, union key);
	__type(value, struct lqos_flow);
} fs_lru SEC(".maps");

static __always_inline void add(void *at, __u32 n)
{
	__u32 *word = at;

	*word = bpf_htonl(bpf_ntohl(*word) + n);
}

/* The next packet, further on in its connection than a round ago. */
static __always_inline const struct fs_packet *put(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data, *tcp = data + (fs_tcp & 0x3f);
	__u32 next = fs_next, round = fs_round, i;
	const struct fs_packet *p = bpf_map_lookup_elem(&fs_array, &next);
	const void *from;

	if (!p || data + FS_HEADERS > data_end || tcp + 32 > data_end)
		return NULL;
	/* No field lies across two of these writes, or reading it would wait
	 * for both. */
	from = p->headers;
	*(__u32 *)data = *(const __u32 *)from;
	*(__u16 *)(data + 4) = *(const __u16 *)(from + 4);
#pragma unroll
	for (i = 6; i + 8 <= FS_HEADERS; i += 8)
		*(__u64 *)(data + i) = *(const __u64 *)(from + i);
	add(tcp + (p->up ? FS_TCP_ACK : FS_TCP_SEQ), round * fs_step);
	add(tcp + FS_TCP_TSVAL, round);
	add(tcp + FS_TCP_TSECR, round);
	if (++next == fs_packets) {
		next = 0;
		fs_round = round + 1;
	}
	fs_next = next;
	return p;
}

/* As they come to the observe stage: with a descriptor in front, which user
 * space has made room for. */
SEC("xdp")
int fs_described(struct xdp_md *ctx)
{
	struct lqos_packet *meta = (void *)(long)ctx->data_meta;
	const struct fs_packet *p = put(ctx);

	if (!p || (void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*meta = p->meta;
	bpf_tail_call(ctx, &fs_target, 0);
	return XDP_ABORTED;
}

/* As they come from the NIC: what the run before left in front is taken away.
 */
SEC("xdp")
int fs_bare(struct xdp_md *ctx)
{
	void *meta = (void *)(long)ctx->data_meta;
	void *data = (void *)(long)ctx->data;
	const struct fs_packet *p;

	bpf_xdp_adjust_meta(ctx, meta < data
					 ? data - meta
					 : -(int)sizeof(struct lqos_packet));
	p = put(ctx);
	if (!p)
		return XDP_ABORTED;
	if (p->up)
		bpf_tail_call(ctx, &fs_target, 1);
	else
		bpf_tail_call(ctx, &fs_target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int fs_nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

/* An observer that reads the descriptor, and no more. */
static __always_inline void none(const struct lqos_frame *f)
{
	if (!f->pkt.l4_off)
		fs_missed++;
}

static __always_inline void seek(const struct lqos_frame *f, void *map)
{
	struct lqos_flow *flow, fresh = {};
	union key k;

	if (segment_key(f->data, f->data_end, &f->pkt, &k.key))
		return;
	flow = bpf_map_lookup_elem(map, &k);
	if (flow) {
		flow->last_seen = bpf_ktime_get_coarse_ns();
		return;
	}
	fs_missed++;
	fresh.key = k.key;
	fresh.last_seen = bpf_ktime_get_coarse_ns();
	bpf_map_update_elem(map, &k, &fresh, BPF_NOEXIST);
}

static __always_inline void seek_hash(const struct lqos_frame *f)
{
	seek(f, &fs_hash);
}

static __always_inline void seek_lru(const struct lqos_frame *f)
{
	seek(f, &fs_lru);
}

LQOS_OBSERVER(fs_none, none)
LQOS_OBSERVER(fs_by_hash, seek_hash)
LQOS_OBSERVER(fs_by_lru, seek_lru)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
