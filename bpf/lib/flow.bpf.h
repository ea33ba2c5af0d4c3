/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which flow a packet is of.  A bucket is one cache line of tags with slots;
 * the slot's record has the key, which decides.  Slots are handed out densely,
 * so that live flows lie together, and whatever else is known of a flow lies in
 * arrays by slot.
 *
 * Nothing here fails for want of room, and nobody cleans up: each new flow
 * looks at two old ones and frees those that are over, and where that is not
 * enough, it takes the place of the worst it can see: one that is over before
 * one that was never answered, that before the one that has been idle longest.
 * SYNs open no flow (the packet behind the handshake does), so that a flood of
 * them cannot push one out.
 *
 * flow_find() is all that most packets need; what begins or ends a flow goes
 * through a program of its own, with flow_seek().
 */
#ifndef BPF_LIB_FLOW_H
#define BPF_LIB_FLOW_H

#include "datapath.h"
#include "lib/tcp.bpf.h"

enum {
	FLOW_BLOCK = 64,  /* slots that a CPU takes at once */
	FLOW_SWEEP = 2,	  /* flows that a new one looks at */
	FLOW_SEARCH = 16, /* ... if there is no slot left */
	FLOW_ENOUGH = 4,  /* ... until one is found that is not answered */
	FLOW_OVER = 4,	  /* rank */
};

const volatile __u32 dp_flow_max;  /* slots; 0: there is no table */
const volatile __u32 dp_flow_mask; /* buckets - 1 */
const volatile __u64 dp_flow_seed;

/* Written by user space, too. */
volatile __u32 dp_flow_watched; /* somebody wants events */
volatile struct dp_flow_unknown dp_flow_unknown;
/* By all CPUs. */
__u32 dp_flow_next = 1;
__u32 dp_flow_unknowns;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, LQOS_ALIGNED);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dp_bucket);
} dp_buckets SEC(".maps") LQOS_FRESH;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dp_flow_row);
} dp_flow_rows SEC(".maps") LQOS_FRESH;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} dp_flow_events SEC(".maps");

/* A packet that looks for its flow. */
struct flow_seeker {
	union key k;
	__u64 hash;
	__u64 now;
	__u32 seq;
	__u8 way;
	__u8 tcp; /* flags; 0: no TCP */
};

static __always_inline bool flow_same(const struct lqos_flow *flow,
				      const union key *k)
{
	const __u64 *word = (const void *)&flow->key;

	return word[1] == k->word[1] && word[3] == k->word[3] &&
	       word[4] == k->word[4] && word[0] == k->word[0] &&
	       word[2] == k->word[2];
}

static __always_inline __u64 flow_link(__u64 hash, __u32 index)
{
	return (hash >> 32 | 1) << 32 | index;
}

static __always_inline struct dp_bucket *flow_bucket(__u64 hash)
{
	__u32 index = hash & dp_flow_mask;

	return bpf_map_lookup_elem(&dp_buckets, &index);
}

static __always_inline struct lqos_flow *flow_at(__u32 index)
{
	return index ? bpf_map_lookup_elem(&lqos_flows, &index) : NULL;
}

static __always_inline __u64 flow_age(const struct lqos_flow *flow, __u64 now)
{
	return now > flow->last_seen ? now - flow->last_seen : 0;
}

/* The highest goes first; 0: nobody's.  The verifier follows a function that is
 * not static once. */
__noinline __u64 flow_rank(__u32 index, __u64 now)
{
	const struct lqos_flow *flow = flow_at(index);
	__u64 age, rank = 1;

	if (!flow || !flow->used)
		return 0;
	age = flow_age(flow, now);
	if (lqos_flow_is_over(flow, now))
		rank = FLOW_OVER;
	else if (lqos_flow_is_closed(flow))
		rank = 3;
	else if (!lqos_flow_is_answered(flow))
		rank = 2;
	return rank << 60 | age >> 4;
}

static __always_inline void flow_tell(struct dp_flow_row *row,
				      const struct lqos_flow *flow, __u32 index,
				      enum lqos_flow_reason reason,
				      const struct flow_seeker *s)
{
	struct lqos_flow_event *event;

	if (!dp_flow_watched)
		return;
	event = bpf_ringbuf_reserve(&dp_flow_events, sizeof(*event), 0);
	if (!event) {
		row->count[DP_FLOW_LOST]++;
		return;
	}
	event->flow = *flow;
	event->ts = s->now;
	event->index = index;
	event->reason = reason;
	event->direction = s->way;
	event->tcp = s->tcp;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* ---- Slots --------------------------------------------------------------- */

/* The list of free slots goes through their keys: whatever else is in there,
 * another CPU may yet write that found the flow before it was taken away. */
static __always_inline void flow_give_back(struct dp_flow_row *row,
					   struct lqos_flow *flow, __u32 index)
{
	flow->used = 0;
	flow->key.subs_hi = row->free;
	row->free = index;
}

/* 0: none is free. */
static __always_inline __u32 flow_take(struct dp_flow_row *row)
{
	__u32 index = row->free;
	struct lqos_flow *flow = flow_at(index);

	if (flow) {
		row->free = flow->key.subs_hi;
		return index;
	}
	if (row->next == row->end && dp_flow_next <= dp_flow_max) {
		row->next = __sync_fetch_and_add(&dp_flow_next, FLOW_BLOCK);
		row->end = row->next + FLOW_BLOCK;
	}
	if (row->next == row->end || row->next > dp_flow_max)
		return 0;
	return row->next++;
}

/* It was taken out of its bucket. */
static __always_inline void flow_gone(struct dp_flow_row *row,
				      struct lqos_flow *flow, __u32 index,
				      const struct flow_seeker *s)
{
	bool idle = lqos_flow_is_over(flow, s->now);

	row->count[DP_FLOW_FREED]++;
	row->count[idle ? DP_FLOW_IDLE : DP_FLOW_EVICTED]++;
	if (!flow->slot)
		__sync_fetch_and_add(&dp_flow_unknowns, -1);
	if (!lqos_flow_is_closed(flow) || !idle)
		flow_tell(row, flow, index,
			  idle ? LQOS_FLOW_IDLE : LQOS_FLOW_EVICTED, s);
}

/* Takes a flow out of wherever it is; not 0: it is the caller's. */
__noinline int flow_unlink(__u32 index)
{
	const struct lqos_flow *flow = flow_at(index);
	struct dp_bucket *bucket;
	__u64 hash, link;
	int i;

	if (!flow)
		return 0;
	hash = key_hash((const union key *)&flow->key, dp_flow_seed);
	bucket = flow_bucket(hash);
	link = flow_link(hash, index);
	if (!bucket)
		return 0;
	for (i = 0; i < DP_WAYS; i++)
		if (bucket->way[i] == link)
			return __sync_bool_compare_and_swap(&bucket->way[i],
							    link, 0);
	return 0;
}

/* The worst of FLOW_SWEEP flows from at on; 0: of some by chance, as all that
 * lie together may be worth keeping. */
__noinline __u32 flow_worst(__u32 at, __u64 chance, __u64 now)
{
	__u32 used = dp_flow_next, worst = 0, i;
	__u64 rank, worst_rank = 0;
	bool any = !at;

	if (used > dp_flow_max)
		used = dp_flow_max + 1;
	for (i = 0; i < (any ? FLOW_SEARCH : FLOW_SWEEP); i++) {
		if (any) {
			chance = chance * 0x5851f42d4c957f2dULL + 1;
			at = (chance >> 32) * (used - 1) >> 32;
			at++;
		} else if (at >= used) {
			at = 1;
		}
		rank = flow_rank(at, now);
		if (rank > worst_rank) {
			worst_rank = rank;
			worst = at;
		}
		if (any && i + 1 >= FLOW_ENOUGH && worst_rank >> 60 > 1)
			break;
		at++;
	}
	return worst;
}

/* Looks at some flows and frees one that is over.  If there is no slot, the
 * worst of some is pushed out, whose slot is returned. */
static __always_inline __u32 flow_sweep(struct dp_flow_row *row, __u32 index,
					const struct flow_seeker *s)
{
	__u32 at = 0, worst;
	struct lqos_flow *flow;

	if (index) {
		at = row->hand < dp_flow_next ? row->hand + 1 : 1;
		row->hand = at + FLOW_SWEEP - 1;
	}
	worst = flow_worst(at, s->hash, s->now);
	flow = flow_at(worst);
	if (!flow || (index && flow_rank(worst, s->now) >> 60 != FLOW_OVER) ||
	    !flow_unlink(worst))
		return index;
	flow_gone(row, flow, worst, s);
	if (!index)
		return worst;
	flow_give_back(row, flow, worst);
	return index;
}

/* ---- Opening ------------------------------------------------------------- */

/* Which way of its bucket a new flow gets: a free one, or else that of the
 * worst flow in there.  DP_WAYS: none, just now. */
static __always_inline __u32 flow_choose(const struct dp_bucket *bucket,
					 struct dp_flow_row *row,
					 const struct flow_seeker *s)
{
	__u64 rank, worst_rank = 0, tag = flow_link(s->hash, 0);
	__u32 i, at = DP_WAYS;

	for (i = 0; i < DP_WAYS; i++) {
		/* A look-up stops at the first of a tag. */
		if ((bucket->way[i] ^ tag) >> 32 == 0) {
			row->count[DP_FLOW_COLLISION]++;
			return i;
		}
		if (!bucket->way[i])
			at = i;
	}
	if (at != DP_WAYS)
		return at;
	for (i = 0; i < DP_WAYS; i++) {
		rank = flow_rank(bucket->way[i], s->now);
		if (rank > worst_rank) {
			worst_rank = rank;
			at = i;
		}
	}
	return at;
}

/* Empties a way; its flow's slot, if there was one, is free. */
static __always_inline bool flow_clear(__u64 *way, struct dp_flow_row *row,
				       const struct flow_seeker *s)
{
	__u64 link = *way;
	struct lqos_flow *flow = flow_at(link);

	if (!link)
		return true;
	if (!flow || !__sync_bool_compare_and_swap(way, link, 0))
		return false;
	flow_gone(row, flow, link, s);
	flow_give_back(row, flow, link);
	return true;
}

/* From here on it is another. */
static __always_inline void flow_renew(struct lqos_flow *flow,
				       const struct flow_seeker *s)
{
	flow->generation++;
	if (!flow->generation)
		flow->generation = 1;
	flow->sequence = 0;
	flow->way[0] = flow->way[1] = 0;
	flow->way[s->way & 1] = LQOS_FLOW_SEEN;
	flow->last_seen = s->now;
}

static __always_inline void flow_fill(struct lqos_flow *flow, __u32 slot,
				      const struct flow_seeker *s)
{
	flow->key = s->k.key;
	flow->slot = slot;
	flow_renew(flow, s);
	flow->used = 1;
}

/* Hosts that are nobody's are sampled, and have their share: they cannot fill
 * the table. */
static __always_inline bool flow_is_admitted(__u32 slot,
					     const struct flow_seeker *s)
{
	return slot || (!((__u32)s->hash >> 24 & dp_flow_unknown.mask) &&
			(__s32)dp_flow_unknowns < (__s32)dp_flow_unknown.max);
}

/* The new flow's slot; 0: it has none, and why is counted. */
static __always_inline __u32 flow_open(struct dp_bucket *bucket, __u32 slot,
				       struct dp_flow_row *row,
				       const struct flow_seeker *s)
{
	struct lqos_flow *flow;
	__u32 way, index;

	if (!flow_is_admitted(slot, s)) {
		row->count[DP_FLOW_REFUSED]++;
		return 0;
	}
	way = flow_choose(bucket, row, s);
	if (way >= DP_WAYS || !flow_clear(&bucket->way[way], row, s))
		goto busy;
	index = flow_sweep(row, flow_take(row), s);
	flow = flow_at(index);
	if (!flow)
		goto busy;
	flow_fill(flow, slot, s);
	if (!__sync_bool_compare_and_swap(&bucket->way[way], 0,
					  flow_link(s->hash, index))) {
		flow_give_back(row, flow, index);
		goto busy;
	}
	row->count[DP_FLOW_OPENED]++;
	if (!slot)
		__sync_fetch_and_add(&dp_flow_unknowns, 1);
	flow_tell(row, flow, index, LQOS_FLOW_OPENED, s);
	return index;
busy:
	row->count[DP_FLOW_BUSY]++;
	return 0;
}

/* ---- Looking up ---------------------------------------------------------- */

/* A SYN, FIN or RST, or what follows a SYN or RST. */
static __always_inline void flow_turn(struct lqos_flow *flow, __u32 index,
				      struct dp_flow_row *row,
				      const struct flow_seeker *s)
{
	__u8 *way = &flow->way[s->way & 1];
	bool closed = lqos_flow_is_closed(flow);

	if (s->tcp & TCP_SYN) {
		/* Nobody's word yet: it may be forged. */
		if (!(s->tcp & TCP_ACK)) {
			flow->sequence = s->seq + 1;
			*way |= LQOS_FLOW_SYN;
		}
		return;
	}
	if (*way & LQOS_FLOW_SYN && s->seq == flow->sequence) {
		row->count[DP_FLOW_RESTARTED]++;
		flow_tell(row, flow, index, LQOS_FLOW_RESTARTED, s);
		flow_renew(flow, s);
		flow_tell(row, flow, index, LQOS_FLOW_OPENED, s);
		closed = false;
	}
	/* Who sends on has sent no reset: somebody between has. */
	*way &= ~(LQOS_FLOW_SYN | LQOS_FLOW_RST);
	if (s->tcp & TCP_FIN)
		*way |= LQOS_FLOW_FIN;
	if (s->tcp & TCP_RST)
		*way |= LQOS_FLOW_RST;
	if (!closed && lqos_flow_is_closed(flow)) {
		row->count[DP_FLOW_CLOSED]++;
		flow_tell(row, flow, index, LQOS_FLOW_CLOSED, s);
	}
}

/* Its address was given to another, or taken away. */
static __always_inline void flow_change_owner(struct lqos_flow *flow,
					      __u32 slot)
{
	__u32 was = flow->slot;

	/* Another CPU may have met the other way just now. */
	if (!__sync_bool_compare_and_swap(&flow->slot, was, slot))
		return;
	if (!slot != !was)
		__sync_fetch_and_add(&dp_flow_unknowns, slot ? -1 : 1);
}

static __always_inline void flow_met(struct lqos_flow *flow, __u32 index,
				     __u32 slot, struct dp_flow_row *row,
				     const struct flow_seeker *s)
{
	__u8 *way = &flow->way[s->way & 1];

	flow->last_seen = s->now;
	if (flow->slot != slot)
		flow_change_owner(flow, slot);
	*way |= LQOS_FLOW_SEEN;
	if (s->tcp & (TCP_SYN | TCP_FIN | TCP_RST) ||
	    *way & (LQOS_FLOW_SYN | LQOS_FLOW_RST))
		flow_turn(flow, index, row, s);
}

/* The seeker's flow and its slot; 0: it has none yet. */
static __always_inline __u32 flow_look(const struct dp_bucket *bucket,
				       const struct flow_seeker *s,
				       struct lqos_flow **out)
{
	__u32 tag = flow_link(s->hash, 0) >> 32, index = 0;
	struct lqos_flow *flow;
	int i;

#pragma unroll
	for (i = 0; i < DP_WAYS; i++)
		if (bucket->way[i] >> 32 == tag)
			index = bucket->way[i];
	flow = flow_at(index);
	if (!flow || !flow_same(flow, &s->k))
		return 0;
	*out = flow;
	return index;
}

/* 0, or -1: it is in no flow. */
static __always_inline int flow_begin(void *data, void *data_end,
				      const struct lqos_packet *pkt,
				      struct flow_seeker *s)
{
	__u8 *tcp = segment_at(data, pkt->l4_off);

	if (segment_key(data, data_end, pkt, &s->k.key))
		return -1;
	s->tcp = 0;
	s->seq = 0;
	if (pkt->l4_proto == SEGMENT_TCP) {
		if ((void *)(tcp + SEGMENT_TCP_LEN) > data_end)
			return -1;
		s->seq = bpf_ntohl(*(__u32 *)(tcp + 4));
		s->tcp = tcp[13];
	}
	s->way = lqos_direction(pkt);
	s->hash = key_hash(&s->k, dp_flow_seed);
	s->now = bpf_ktime_get_coarse_ns();
	return 0;
}

/* Fills pkt's flow and generation.  0, or -1: flow_seek() has to. */
static __always_inline int flow_find(void *data, void *data_end,
				     struct lqos_packet *pkt)
{
	struct dp_bucket *bucket;
	struct lqos_flow *flow;
	struct flow_seeker s;
	__u32 index;
	__u8 way;

	if (flow_begin(data, data_end, pkt, &s))
		return 0;
	bucket = flow_bucket(s.hash);
	if (!bucket)
		return 0;
	index = flow_look(bucket, &s, &flow);
	if (!index)
		return -1;
	way = flow->way[s.way & 1];
	if (s.tcp & (TCP_SYN | TCP_FIN | TCP_RST) || flow->slot != pkt->slot ||
	    (way & (LQOS_FLOW_SEEN | LQOS_FLOW_SYN | LQOS_FLOW_RST)) !=
		    LQOS_FLOW_SEEN)
		return -1;
	flow->last_seen = s.now;
	pkt->flow = index;
	/* Else the compiler makes one word of both, and what the modules keep
	 * of the flow is not fetched before its record has come. */
	*(volatile __u32 *)&pkt->generation = flow->generation;
	return 0;
}

/* The same, for a packet that is the first of its flow or way, or one of the
 * last. */
static __always_inline void flow_seek(void *data, void *data_end, __u32 cpu,
				      struct lqos_packet *pkt)
{
	struct dp_flow_row *row = bpf_map_lookup_elem(&dp_flow_rows, &cpu);
	struct dp_bucket *bucket;
	struct lqos_flow *flow;
	struct flow_seeker s;
	__u32 index;

	if (!row || flow_begin(data, data_end, pkt, &s))
		return;
	bucket = flow_bucket(s.hash);
	if (!bucket)
		return;
	index = flow_look(bucket, &s, &flow);
	if (index) {
		flow_met(flow, index, pkt->slot, row, &s);
	} else {
		/* What follows a SYN is the first that is told about; what
		 * comes behind an end begins nothing. */
		if (s.tcp & (TCP_SYN | TCP_FIN | TCP_RST))
			return;
		index = flow_open(bucket, pkt->slot, row, &s);
		flow = flow_at(index);
	}
	if (!index || !flow)
		return;
	pkt->flow = index;
	pkt->generation = flow->generation;
}

#endif /* BPF_LIB_FLOW_H */
