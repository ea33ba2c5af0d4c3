/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A twin of the egress stage: BPF_PROG_TEST_RUN puts no metadata in front of an
 * skb, so that this one has its descriptors of an array.  All else is the
 * core's program.
 */
#include <stdbool.h>

#include <lqos/packet.bpf.h>

const volatile __u32 eg_packets; /* of eg_descriptors */
__u32 eg_next;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lqos_packet);
} eg_descriptors SEC(".maps");

static __always_inline int next_descriptor(struct lqos_packet *pkt)
{
	__u32 next = eg_next;
	const struct lqos_packet *meta =
		bpf_map_lookup_elem(&eg_descriptors, &next);

	if (!meta)
		return -1;
	eg_next = next + 1 == eg_packets ? 0 : next + 1;
	*pkt = *meta;
	return 0;
}

#define lqos_packet_from_meta(meta_, data_, pkt_) \
	((void)(meta_), (void)(data_), next_descriptor(pkt_))
#include "../../bpf/datapath.bpf.c"

/* What is taken off: the descriptor, and no more. */
SEC("tc")
int eg_nothing(struct __sk_buff *skb)
{
	struct lqos_packet pkt;

	(void)skb;
	if (next_descriptor(&pkt))
		return TC_ACT_SHOT;
	asm volatile("" : : "r"(&pkt) : "memory");
	return TC_ACT_UNSPEC;
}
