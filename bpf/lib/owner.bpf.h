/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose an address is: a direct-mapped cache of exact addresses in front of the
 * two longest-prefix-match tries.  The cache is cut into one part a CPU, so
 * that no entry is ever written by two, and only subscribers get into it: a
 * scan over unknown addresses cannot push one out.  A new epoch empties it at
 * once.
 */
#ifndef BPF_LIB_OWNER_H
#define BPF_LIB_OWNER_H

#include <lqos/packet.bpf.h>
#include "datapath.h"
#include "lib/parse.bpf.h"

const volatile __u32 dp_cache_mask; /* entries of one CPU - 1 */
const volatile __u64 dp_seed; /* drawn at load: nobody can aim at a slot */

/* The same address in two VLANs may be two subscribers'. */
const volatile __u32 dp_address_spaces;

/* Written by user space through the mapped section. */
volatile __u32 dp_epoch;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct dp_key4);
	__type(value, struct dp_owner);
} dp_owners4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct dp_key6);
	__type(value, struct dp_owner);
} dp_owners6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, LQOS_ALIGNED);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dp_cached);
} dp_cache SEC(".maps") LQOS_FRESH;

static __always_inline struct dp_owner *owner_trie(const struct parsed *p,
						   __u32 space)
{
	struct dp_key4 key4 = {.prefixlen = DP_SPACE_BITS + 32};
	struct dp_key6 key6 = {.prefixlen = DP_SPACE_BITS + 128};

	space = bpf_htonl(space);
	if (p->flags & LQOS_PACKET_IPV6) {
		__builtin_memcpy(key6.space, &space, 4);
		__builtin_memcpy(key6.addr, &p->hi, 8);
		__builtin_memcpy(key6.addr + 8, &p->lo, 8);
		return bpf_map_lookup_elem(&dp_owners6, &key6);
	}
	__builtin_memcpy(key4.space, &space, 4);
	__builtin_memcpy(key4.addr, &p->lo, 4);
	return bpf_map_lookup_elem(&dp_owners4, &key4);
}

/* Fills pkt's slot, handle and cpu.  counters: NULL, nothing is counted. */
static __always_inline void owner_find(const struct parsed *p, __u32 cpu,
				       struct dp_counters *counters,
				       struct lqos_packet *pkt)
{
	__u64 apart = dp_address_spaces ? (__u64)p->space << 32 : 0;
	__u32 hash = dp_hash(dp_seed, p->hi ^ apart, p->lo);
	__u32 index = cpu * (dp_cache_mask + 1) + (hash & dp_cache_mask);
	struct dp_cached *cached = bpf_map_lookup_elem(&dp_cache, &index);
	__u32 epoch = dp_epoch;
	struct dp_owner *owner;

	if (cached && cached->lo == p->lo && cached->hi == p->hi &&
	    cached->epoch == epoch &&
	    (!dp_address_spaces || cached->space == p->space)) {
		pkt->slot = cached->slot;
		pkt->handle = cached->handle;
		pkt->cpu = cached->cpu;
		return;
	}
	if (counters)
		counters->count[DP_TRIE]++;
	owner = owner_trie(p, p->space);
	if (!owner && dp_address_spaces && p->space)
		owner = owner_trie(p, 0);
	if (!owner) {
		if (counters)
			counters->count[DP_UNKNOWN_HOST]++;
		pkt->cpu = hash;
		return;
	}
	pkt->slot = owner->slot;
	pkt->handle = owner->handle;
	pkt->cpu = owner->cpu;
	if (cached) {
		cached->hi = p->hi;
		cached->lo = p->lo;
		cached->epoch = epoch;
		cached->slot = pkt->slot;
		cached->handle = pkt->handle;
		cached->cpu = pkt->cpu;
		cached->space = p->space;
	}
}

#endif /* BPF_LIB_OWNER_H */
