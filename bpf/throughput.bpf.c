// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bytes and packets of each subscriber, of each CPU, and of unknown hosts. */
#include <lqos/packet.bpf.h>
#include "throughput.h"

const volatile __u32 tp_sets = 1; /* of unknown hosts, a CPU; a power of two */
const volatile __u64 tp_seed;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tp_counters);
} tp_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tp_counters);
} tp_totals SEC(".maps");

/* Each CPU has tp_sets of its own: no entry is written by two. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tp_set);
} tp_hosts SEC(".maps") LQOS_FRESH;

/* Hosts pushed out by others, by CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tp_evicted SEC(".maps");

static __always_inline enum tp_protocol protocol_of(const struct lqos_packet *p)
{
	switch (p->l4_proto) {
	case 6:
		return TP_TCP;
	case 17:
		return TP_UDP;
	case 1:
	case 58:
		return TP_ICMP;
	default:
		return TP_OTHER;
	}
}

static __always_inline void count_host(const struct lqos_frame *f, __u32 cpu,
				       enum lqos_direction direction)
{
	__u64 now = bpf_ktime_get_coarse_ns(), hash, *evicted;
	void *ip = f->data + f->pkt.l3_off;
	struct tp_host *host, *oldest;
	struct tp_set *set;
	__u64 hi, lo;
	__u32 index;
	__u32 *word;
	int i;

	if (f->pkt.flags & LQOS_PACKET_IPV6) {
		word = ip + (direction == LQOS_DOWN ? 24 : 8);
		if ((void *)(word + 4) > f->data_end)
			return;
		hi = (__u64)word[1] << 32 | word[0];
		lo = (__u64)word[3] << 32 | word[2];
	} else {
		word = ip + (direction == LQOS_DOWN ? 16 : 12);
		if ((void *)(word + 1) > f->data_end)
			return;
		hi = ~0ULL;
		lo = word[0];
	}
	/* As dp_hash(): the first bytes count as much as the last. */
	hash = (lo ^ tp_seed) * 0xff51afd7ed558ccdULL ^
	       (hi ^ tp_seed) * 0xc4ceb9fe1a85ec53ULL;
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
	index = cpu * tp_sets + ((__u32)(hash >> 32) & (tp_sets - 1));
	set = bpf_map_lookup_elem(&tp_hosts, &index);
	if (!set)
		return;

	oldest = &set->host[0];
#pragma unroll
	for (i = 0; i < TP_WAYS; i++) {
		host = &set->host[i];
		if (host->lo == lo && host->hi == hi && host->first_seen)
			goto found;
		if (host->last_seen < oldest->last_seen)
			oldest = host;
	}
	host = oldest;
	if (host->first_seen) {
		evicted = bpf_map_lookup_elem(&tp_evicted, &cpu);
		if (evicted)
			*evicted += 1;
	}
	/* Free while it is neither: user space reads beside us. */
	*(volatile __u64 *)&host->first_seen = 0;
	host->hi = hi;
	host->lo = lo;
	host->bytes[0] = host->bytes[1] = 0;
	host->packets[0] = host->packets[1] = 0;
	host->first_seen = now;
found:
	host->bytes[direction & 1] += f->bytes;
	host->packets[direction & 1] += f->packets;
	host->last_seen = now;
}

static __always_inline void count(const struct lqos_frame *f)
{
	enum lqos_direction direction = lqos_direction(&f->pkt);
	enum tp_protocol protocol = protocol_of(&f->pkt);
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 row =
		TP_WHOSE * cpu + (f->pkt.slot ? TP_SUBSCRIBERS : TP_UNKNOWN);
	__u32 slot = f->pkt.slot;
	struct tp_counters *c;

	c = bpf_map_lookup_elem(&tp_totals, &row);
	if (c) {
		c->half[direction].bytes[protocol] += f->bytes;
		c->half[direction].packets[protocol] += f->packets;
	}
	if (!slot) {
		count_host(f, cpu, direction);
		return;
	}
	c = bpf_map_lookup_elem(&tp_slots, &slot);
	if (c) {
		lqos_add(&c->half[direction].bytes[protocol], f->bytes);
		lqos_add(&c->half[direction].packets[protocol], f->packets);
	}
}

LQOS_OBSERVER(tp_count, count)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
