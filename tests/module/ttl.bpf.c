// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The hop limit of each subscriber's packets: an example of an observer. */
#include <lqos/packet.bpf.h>
#include "ttl.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ttl_slot);
} ttl_slots SEC(".maps");

static __always_inline void look(const struct lqos_frame *f)
{
	__u32 slot = f->pkt.slot;
	struct ttl_slot *s = bpf_map_lookup_elem(&ttl_slots, &slot);
	__u8 *ip = f->data + f->pkt.l3_off;

	if (!s || (void *)(ip + 20) > f->data_end)
		return;
	lqos_add(&s->packets, f->packets);
	s->last[lqos_direction(&f->pkt)] =
		f->pkt.flags & LQOS_PACKET_IPV6 ? ip[7] : ip[8];
}

LQOS_OBSERVER(ttl_look, look)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
