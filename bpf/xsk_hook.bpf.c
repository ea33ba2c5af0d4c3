// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For programs beside lqosd: what arrives on a queue goes to its socket. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "xsk.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XK_HOOK_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xh_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xk_hook_counts);
} xh_counts SEC(".maps");

SEC("xdp")
int lq_xsk_hook(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct xk_hook_counts *c = bpf_map_lookup_elem(&xh_counts, &zero);
	int verdict =
		bpf_redirect_map(&xh_sockets, ctx->rx_queue_index, XDP_PASS);

	if (c && verdict == XDP_REDIRECT)
		c->redirected++;
	else if (c)
		c->passed++;
	return verdict;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
