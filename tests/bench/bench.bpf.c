/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is measured is compared with programs that do nothing. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lqos/packet.h"

/* The program to be measured. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_target SEC(".maps");

/*
 * A repeated run begins with what the one before left: the metadata is taken
 * away again.  Where there is none some is added, so that one call of the
 * helper is in every run of every program.
 */
SEC("xdp")
int bench_drive(struct xdp_md *ctx)
{
	void *meta = (void *)(long)ctx->data_meta;
	void *data = (void *)(long)ctx->data;

	bpf_xdp_adjust_meta(ctx, meta < data
					 ? data - meta
					 : -(int)sizeof(struct lqos_packet));
	bpf_tail_call(ctx, &bench_target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int bench_xdp(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("tc")
int bench_tc(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
