// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends packets to the CPU of their subscriber, and there into its class. */
#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "steering.h"

/* Of each queue its CPU, which user space changes when one goes offline, and
 * how many they are. */
volatile __u32 st_cpus[ST_CPUS_MAX];
const volatile __u32 st_n_cpus = 1;
/* On a stick uploads have classes and queues of their own, so many further. */
const volatile __u32 st_up_offset;

/* The core's: an entry a CPU, with the head of the observe stage on it. */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} lqos_cpumap SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct st_cpu);
} st_counters SEC(".maps");

/* The queue (from 1) that belongs to each possible CPU; 0: none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} st_queues SEC(".maps");

/* For the daemon that comes after this one: by node of the network its class.
 * Entry 0 is a hash of the network and the queues that they are of; 0: none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ST_TREE);
	__type(key, __u32);
	__type(value, __u64);
} st_tree SEC(".maps");

static __always_inline void count(enum st_counter which)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct st_cpu *row = bpf_map_lookup_elem(&st_counters, &cpu);

	if (row)
		row->count[which]++;
}

LQOS_INGRESS_LAST(st_redirect)(struct xdp_md *ctx)
{
	struct lqos_frame frame;
	__u32 cpu, i;

	if (lqos_frame_xdp(ctx, &frame) ||
	    !(frame.pkt.flags & LQOS_PACKET_IP)) {
		count(ST_NOT_IP);
		return lqos_next_ingress(ctx);
	}
	cpu = frame.pkt.cpu;
	if (!frame.pkt.slot || cpu == 0xffff) {
		/* Nobody's: by a hash of the address.  Not placed yet: by its
		 * number, so that both directions still meet. */
		i = (frame.pkt.slot ? frame.pkt.slot : cpu) % st_n_cpus;
		cpu = st_cpus[i & (ST_CPUS_MAX - 1)];
	}
	if (bpf_redirect_map(&lqos_cpumap, cpu, XDP_PASS) == XDP_REDIRECT) {
		count(ST_REDIRECTED);
		return XDP_REDIRECT;
	}
	count(ST_NO_CPU);
	return lqos_next_ingress(ctx);
}

LQOS_EGRESS(st_classify)(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 *queue, handle, offset = 0;
	struct lqos_packet pkt;
	bool known = !lqos_packet_from_scratch(&pkt);

	if (st_up_offset && known && lqos_direction(&pkt) == LQOS_UP)
		offset = st_up_offset;
	if (known && pkt.handle) {
		handle = pkt.handle + (offset << 16);
		skb->priority = handle;
		skb->queue_mapping = handle >> 16;
		count(ST_CLASSIFIED);
		return lqos_next_egress(skb);
	}
	/* Its own CPU's queue: no other CPU's tree is locked for it. */
	queue = bpf_map_lookup_elem(&st_queues, &cpu);
	if (queue && *queue)
		skb->queue_mapping = *queue + offset;
	count(ST_DEFAULT);
	return lqos_next_egress(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
