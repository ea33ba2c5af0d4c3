/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What graft.sh puts into the place of a module's program, and what is refused
 * there: one program or map a macro.  GR_NAME is the program's. */
#include <lqos/packet.bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} gr_seen SEC(".maps");

const volatile __u32 tp_sets = 7; /* throughput says how many */
const volatile __u32 gr_constant = 5;

static __always_inline void add(__u32 row, __u64 n)
{
	__u64 *seen = bpf_map_lookup_elem(&gr_seen, &row);

	if (seen)
		__sync_fetch_and_add(seen, n);
}

static __always_inline void look(const struct lqos_frame *f)
{
	__u32 row = 1;
	__u64 *sets = bpf_map_lookup_elem(&gr_seen, &row);

	if (f->pkt.l4_proto != 17)
		return;
	add(0, f->packets);
	if (sets)
		*sets = tp_sets;
}

#define OBSERVER(name_, fn_) LQOS_OBSERVER(name_, fn_)

#ifdef GR_OBSERVE
OBSERVER(GR_NAME, look)
#endif

#ifdef GR_TALKS
static __always_inline void talk(const struct lqos_frame *f)
{
	look(f);
	if (f->pkt.l4_proto == 17)
		bpf_printk("graft saw %u bytes", f->bytes);
}
OBSERVER(GR_NAME, talk)
#endif

#ifdef GR_XDP
SEC("lqos/observe")
int GR_NAME(struct xdp_md *ctx)
{
	struct lqos_frame frame;

	if (!lqos_frame_xdp(ctx, &frame))
		look(&frame);
	return lqos_next_observe(ctx);
}
#endif

#ifdef GR_ENDS
SEC("lqos/observe")
int GR_NAME(struct xdp_md *ctx)
{
	add(lqos_self, 1);
	return XDP_PASS;
}
#endif

#ifdef GR_BACKWARDS
SEC("lqos/observe")
int GR_NAME(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;

	add(*(__u8 *)data, 1);
	return lqos_next_observe(ctx);
}
#endif

#ifdef GR_EGRESS
LQOS_EGRESS(GR_NAME)(struct __sk_buff *skb)
{
	add(0, skb->len);
	return lqos_next_egress(skb);
}
#endif

#ifdef GR_TWICE
OBSERVER(GR_NAME, look)
SEC("lqos/observe")
int gr_twice(struct xdp_md *ctx)
{
	return lqos_next_observe(ctx);
}
#endif

#ifdef GR_LAYOUT
struct gr_counters {
	__u64 all[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gr_counters);
} tp_slots SEC(".maps");

static __always_inline void count(const struct lqos_frame *f)
{
	__u32 slot = f->pkt.slot;
	struct gr_counters *c = bpf_map_lookup_elem(&tp_slots, &slot);

	if (c)
		lqos_add(&c->all[0], 1);
}
OBSERVER(GR_NAME, count)
#endif

#ifdef GR_BSS
__u64 gr_total;

static __always_inline void sum(const struct lqos_frame *f)
{
	__sync_fetch_and_add(&gr_total, f->bytes);
}
OBSERVER(GR_NAME, sum)
#endif

#ifdef GR_FLOWS
static __always_inline void write(const struct lqos_frame *f)
{
	struct lqos_flow *flow = lqos_flow_of(&f->pkt);

	if (flow)
		*(__u64 *)lqos_flow_part_of(flow) = ~0ULL;
}
OBSERVER(GR_NAME, write)
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";
