/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Many packets out of one, in front of the entry program: each run of a
 * repeated test run puts other addresses and ports into a frame of IPv4 with
 * TCP or UDP.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

volatile struct flood_knobs flood_knobs;
__u64 flood_runs;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} flood_targets SEC(".maps");

static __always_inline __u64 mix(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

/* up: the far end is the destination. */
static __always_inline void rewrite(struct xdp_md *ctx, int up)
{
	__u32 flows = flood_knobs.flows, which;
	void *data_end, *data;
	__u8 *ip, *l4;
	__u64 n, x;

	/* What the run before has left in front. */
	bpf_xdp_adjust_meta(ctx, (void *)(long)ctx->data -
					 (void *)(long)ctx->data_meta);
	data_end = (void *)(long)ctx->data_end;
	data = (void *)(long)ctx->data;
	ip = data + 14;
	l4 = ip + 20;
	if ((void *)(l4 + 20) > data_end)
		return;
	n = __sync_fetch_and_add(&flood_runs, 1);
	which = mix(n) >> 16;
	x = mix((flows ? which % flows : n) + 1);
	*(__u32 *)(ip + (up ? 16 : 12)) = x | 1;
	*(__u16 *)(l4 + (up ? 2 : 0)) = x >> 32;
	*(__u16 *)(l4 + (up ? 0 : 2)) = x >> 48;
	if (flood_knobs.turns) {
		l4[13] = flood_knobs.turn[mix(n) & 15];
		*(__u32 *)(l4 + 4) = 0;
		l4[7] = mix(n) >> 8 & 1;
	}
}

SEC("xdp")
int flood_down(struct xdp_md *ctx)
{
	rewrite(ctx, 0);
	bpf_tail_call(ctx, &flood_targets, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int flood_up(struct xdp_md *ctx)
{
	rewrite(ctx, 1);
	bpf_tail_call(ctx, &flood_targets, 1);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
