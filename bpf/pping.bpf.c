// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Round-trip times of each subscriber, on either side. */
#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "lib/segment.bpf.h"
#include "lib/probe.bpf.h"
#include "lib/quic.bpf.h"
#include "pping.h"

const volatile __u64 pp_seed;
const volatile __u32 pp_tcp = 1, pp_icmp = 1, pp_dns = 1, pp_quic = 1;
/* Only ACKs that end where a stamped segment does give samples. */
const volatile __u32 pp_exact;
/* Sets of networks that are nobody's; a power of two; 0: there is no table. */
const volatile __u32 pp_sets;
/* What of an address is its network, in network order. */
const volatile __u64 pp_mask4, pp_mask6_hi, pp_mask6_lo;

volatile __u32 pp_watched; /* enum pp_watch; written by user space */

#define PP_MAP(name_, value_, flags_)             \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(map_flags, flags_);        \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, value_);            \
	} name_ SEC(".maps")

/* By subscriber slot; 0: all that are nobody's. */
PP_MAP(pp_hists, struct pp_hist, BPF_F_MMAPABLE);
/* All of what each CPU has seen. */
PP_MAP(pp_totals, struct pp_hist, BPF_F_MMAPABLE);
/* By hash. */
PP_MAP(pp_syns, struct rtt_syn, LQOS_ALIGNED) LQOS_FRESH;
PP_MAP(pp_probes, struct rtt_probe, LQOS_ALIGNED) LQOS_FRESH;
PP_MAP(pp_prefixes, struct pp_set, BPF_F_MMAPABLE) LQOS_FRESH;
/* By CPU: networks pushed out by others, samples that could not be told. */
PP_MAP(pp_evicted, __u64, BPF_F_MMAPABLE);
PP_MAP(pp_lost, __u64, BPF_F_MMAPABLE);
PP_MAP(pp_ecn, struct pp_ecn, BPF_F_MMAPABLE);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} pp_events SEC(".maps");

static __always_inline __u64 rtt_now(void)
{
	return bpf_ktime_get_ns();
}

static __always_inline void count_here(void *map)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 *counter = bpf_map_lookup_elem(map, &cpu);

	if (counter)
		*counter += 1;
}

/* ---- Where samples go ---------------------------------------------------- */

/* Where only one CPU writes, plainly. */
static __always_inline void bump(__u32 *counter, bool shared)
{
	if (shared)
		__sync_fetch_and_add(counter, 1);
	else
		*counter += 1;
}

static __always_inline void keep(struct pp_side_hist *hist,
				 enum rtt_outcome outcome,
				 const struct rtt_sample *sample, bool shared)
{
	__u32 units = sample->ns >> RTT_UNIT_SHIFT;
	__u32 bucket = rtt_bucket(sample->ns);

	bump(&hist->outcome[outcome & 7], shared);
	if (outcome != RTT_SAMPLE)
		return;
	/* The verifier is to see it. */
	asm volatile("" : "+r"(bucket));
	if (bucket < PP_BUCKETS)
		bump(&hist->bucket[bucket], shared);
	if (shared)
		__sync_fetch_and_add(&hist->sum, sample->ns);
	else
		hist->sum += sample->ns;
	if (sample->inexact)
		bump(&hist->inexact, shared);
	if (!units)
		units = 1;
	if (!hist->min || units < hist->min)
		hist->min = units;
	if (units > hist->max)
		hist->max = units;
}

/* The network that the end which answered is in. */
static __always_inline struct pp_prefix *
find_prefix(const struct lqos_flow_key *key, __u32 side)
{
	__u64 hi = side == PP_ACCESS ? key->subs_hi : key->remote_hi;
	__u64 lo = side == PP_ACCESS ? key->subs_lo : key->remote_lo;
	__u64 now = bpf_ktime_get_coarse_ns(), hash;
	struct pp_prefix *oldest, *p;
	struct pp_set *set;
	__u32 index;
	int i;

	if (key->ipv6) {
		hi &= pp_mask6_hi;
		lo &= pp_mask6_lo;
	} else {
		lo &= pp_mask4;
	}
	hash = (lo ^ pp_seed) * 0xff51afd7ed558ccdULL ^
	       (hi ^ pp_seed) * 0xc4ceb9fe1a85ec53ULL ^ side;
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
	index = (__u32)(hash >> 32) & (pp_sets - 1);
	set = bpf_map_lookup_elem(&pp_prefixes, &index);
	if (!set)
		return NULL;
	oldest = &set->prefix[0];
	for (i = 0; i < PP_WAYS; i++) {
		p = &set->prefix[i];
		if (p->last_seen && p->lo == lo && p->hi == hi &&
		    p->side == side) {
			p->last_seen = now;
			return p;
		}
		if (p->last_seen < oldest->last_seen)
			oldest = p;
	}
	if (oldest->last_seen)
		count_here(&pp_evicted);
	/* Free while it is neither: user space reads beside us. */
	*(volatile __u64 *)&oldest->last_seen = 0;
	oldest->hi = hi;
	oldest->lo = lo;
	oldest->side = side;
	__builtin_memset(&oldest->hist, 0, sizeof(oldest->hist));
	oldest->last_seen = now;
	return oldest;
}

static __always_inline void tell(const struct lqos_frame *f,
				 const struct lqos_flow_key *key,
				 const struct rtt_sample *sample, __u32 side,
				 const struct pp_times *times)
{
	struct pp_event *event =
		bpf_ringbuf_reserve(&pp_events, sizeof(*event), 0);

	if (!event) {
		count_here(&pp_lost);
		return;
	}
	event->ts = bpf_ktime_get_ns();
	event->rtt = sample->ns;
	event->key = *key;
	event->slot = f->pkt.slot;
	event->flow = f->pkt.flow;
	event->generation = f->pkt.generation;
	event->min = sample->ns >> RTT_UNIT_SHIFT;
	event->bytes[0] = event->bytes[1] = 0;
	event->packets[0] = event->packets[1] = 0;
	event->side = side;
	event->kind = sample->kind;
	event->inexact = sample->inexact;
	event->egress = f->egress;
	event->reserved = 0;
	if (times) {
		event->min = times->min[side & 1];
		event->bytes[0] = times->bytes[0];
		event->bytes[1] = times->bytes[1];
		event->packets[0] = times->packets[0];
		event->packets[1] = times->packets[1];
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/*
 * What a packet gave.  Most give nothing, and are to be done with in registers:
 * what the others need is not inlined, and they have this on the stack.
 */
struct found {
	struct rtt_sample sample;
	struct pp_times *times; /* the flow's; NULL: it has no slot */
};

static __always_inline void settle(const struct lqos_frame *f,
				   enum rtt_outcome outcome,
				   const struct found *found)
{
	const struct rtt_sample *sample = &found->sample;
	struct pp_times *times = found->times;
	__u32 slot = f->pkt.slot, side = lqos_direction(&f->pkt);
	__u32 cpu = bpf_get_smp_processor_id();
	struct pp_prefix *prefix;
	struct pp_hist *hist;
	union key k;

	if (pp_exact && outcome == RTT_SAMPLE && sample->inexact)
		outcome = RTT_INEXACT;
	hist = bpf_map_lookup_elem(&pp_hists, &slot);
	if (hist)
		keep(&hist->side[side], outcome, sample, lqos_shared || !slot);
	hist = bpf_map_lookup_elem(&pp_totals, &cpu);
	if (hist)
		keep(&hist->side[side], outcome, sample, false);
	if (outcome == RTT_SAMPLE && times)
		rtt_keep((struct rtt_times *)times, side, sample->ns);
	if ((slot || !pp_sets) &&
	    (!(pp_watched & PP_WATCH_SAMPLES) || outcome != RTT_SAMPLE))
		return;
	if (segment_key(f->data, f->data_end, &f->pkt, &k.key))
		return;
	if (!slot && pp_sets) {
		prefix = find_prefix(&k.key, side);
		if (prefix)
			keep(&prefix->hist, outcome, sample, true);
	}
	if (pp_watched & PP_WATCH_SAMPLES && outcome == RTT_SAMPLE)
		tell(f, &k.key, sample, side, times);
}

/* ---- Where they come from ------------------------------------------------ */

static __always_inline struct rtt_syn *find_syn(const struct lqos_frame *f,
						__u32 *tag)
{
	union key k;
	__u64 hash;
	__u32 index;

	if (segment_key(f->data, f->data_end, &f->pkt, &k.key))
		return NULL;
	hash = key_hash(&k, pp_seed);
	index = hash & (PP_SYNS - 1);
	*tag = hash >> 32 | 1;
	return bpf_map_lookup_elem(&pp_syns, &index);
}

/* The packet's flow; NULL: it is in none. */
static __always_inline struct pp_flow *flow_of(const struct lqos_frame *f)
{
	struct lqos_flow *flow = lqos_flow_of(&f->pkt);

	return flow ? lqos_flow_part_of(flow) : NULL;
}

static __always_inline struct rtt_flow *rtt_of(struct pp_flow *flow)
{
	_Static_assert(sizeof(flow->rtt) == sizeof(struct rtt_flow), "layout");
	return (struct rtt_flow *)flow->rtt;
}

/* Is it the slot's flow that we know? */
static __always_inline bool is_fresh(const struct rtt_flow *flow,
				     const struct lqos_frame *f)
{
	return flow->half[lqos_direction(&f->pkt)].generation !=
	       (__u16)f->pkt.generation;
}

static __always_inline void empty(struct pp_flow *flow, __u32 generation)
{
	struct rtt_flow *rtt = rtt_of(flow);

	*rtt = (struct rtt_flow){};
	rtt->half[0].generation = generation;
	rtt->half[1].generation = generation;
	flow->times = (struct pp_times){.generation = generation};
}

/* ---- For those who watch ------------------------------------------------- */

/* Of a flow; what was before another's, begins anew. */
static __always_inline struct pp_times *find_times(const struct lqos_frame *f)
{
	struct pp_flow *flow = flow_of(f);
	struct pp_times *times;

	if (!flow)
		return NULL;
	times = &flow->times;
	if (times->generation != f->pkt.generation)
		*times = (struct pp_times){.generation = f->pkt.generation};
	return times;
}

static __always_inline void count_ecn(const struct lqos_frame *f)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct pp_ecn *ecn = bpf_map_lookup_elem(&pp_ecn, &cpu);
	__u8 *ip = segment_at(f->data, f->pkt.l3_off);

	if (!ecn || (void *)(ip + 2) > f->data_end)
		return;
	ecn->packets[(f->pkt.flags & LQOS_PACKET_IPV6 ? ip[1] >> 4 : ip[1]) &
		     3] += f->packets;
}

/* Of a datagram or an echo, by IP's word: a short frame is padded. */
static __always_inline __u32 payload_of(const struct lqos_frame *f)
{
	__u32 headers = f->pkt.l4_off - f->pkt.l3_off + LQOS_UDP_HEADER, total;
	void *ip = segment_at(f->data, f->pkt.l3_off);

	if (ip + 8 > f->data_end)
		return 0;
	total = f->pkt.flags & LQOS_PACKET_IPV6
			? bpf_ntohs(*(__u16 *)(ip + 4)) + 40
			: bpf_ntohs(*(__u16 *)(ip + 2));
	return total > headers ? total - headers : 0;
}

/* Payload of flows, which ePPing tells beside each sample and reports. */
static __always_inline void count(const struct lqos_frame *f)
{
	enum lqos_direction direction = lqos_direction(&f->pkt);
	struct pp_times *times = find_times(f);
	struct rtt_segment s;
	__u32 len;

	if (!times)
		return;
	if (f->pkt.l4_proto == SEGMENT_TCP) {
		if (segment_read(f->data, f->data_end, &f->pkt, &s))
			return;
		len = s.len;
		if (s.tsval)
			times->stamped = 1;
	} else {
		len = payload_of(f);
	}
	times->bytes[direction] += len;
	times->packets[direction] += f->packets;
	count_ecn(f);
}

/* ---- Segments ------------------------------------------------------------ */

static __noinline int look_syn(const struct lqos_frame *f, struct found *out)
{
	struct rtt_segment s;
	struct rtt_syn *syn;
	__u32 tag;

	*out = (struct found){};
	if (segment_read(f->data, f->data_end, &f->pkt, &s))
		return RTT_NONE;
	syn = find_syn(f, &tag);
	return syn ? rtt_handshake(syn, tag, &s, &out->sample) : RTT_NONE;
}

/* A flow's first packet that we see, which is no SYN. */
static __noinline int begin(const struct lqos_frame *f, struct found *out)
{
	struct pp_flow *flow = flow_of(f);
	enum rtt_outcome outcome;
	struct rtt_segment s;
	struct rtt_syn *syn;
	__u32 tag;

	*out = (struct found){};
	if (!flow || segment_read(f->data, f->data_end, &f->pkt, &s))
		return RTT_NONE;
	out->times = &flow->times;
	empty(flow, f->pkt.generation);
	syn = find_syn(f, &tag);
	if (!syn)
		return RTT_NONE;
	outcome = rtt_established(rtt_of(flow), (void *)out->times, syn, tag,
				  &s, &out->sample);
	if (outcome != RTT_NONE)
		out->times->shaken = 1;
	return outcome;
}

static __noinline int answered(const struct lqos_frame *f,
			       enum rtt_outcome outcome, __u64 ns, bool inexact,
			       struct found *out)
{
	struct pp_flow *flow = flow_of(f);
	struct rtt_segment s;
	__u32 options;

	*out = (struct found){.sample = {ns, RTT_ACK, inexact}};
	if (!flow ||
	    segment_header(f->data, f->data_end, &f->pkt, &s, &options))
		return RTT_NONE;
	out->times = &flow->times;
	if (outcome == RTT_SAMPLE)
		outcome = rtt_judge(rtt_of(flow), (void *)out->times, &s,
				    &out->sample);
	return outcome;
}

static __always_inline enum rtt_outcome look_tcp(const struct lqos_frame *f,
						 struct found *found)
{
	enum rtt_outcome outcome = RTT_NONE;
	struct rtt_sample sample = {};
	struct lqos_flow *known;
	struct rtt_segment s;
	struct rtt_flow *flow;

	if (segment_read(f->data, f->data_end, &f->pkt, &s))
		return RTT_NONE;
	if (s.flags & RTT_SYN)
		return look_syn(f, found);
	known = lqos_flow_of(&f->pkt);
	if (!known)
		return RTT_NONE;
	flow = rtt_of(lqos_flow_part_of(known));
	s.coarse = known->last_seen >> RTT_UNIT_SHIFT;
	if (f->segment && f->segment < s.len)
		s.first = f->segment;
	if (is_fresh(flow, f))
		outcome = begin(f, found);
	if (outcome != RTT_NONE)
		return outcome;
	outcome = rtt_segment(flow, &s, &sample);
	if (outcome == RTT_NONE)
		return RTT_NONE;
	return answered(f, outcome, sample.ns, sample.inexact, found);
}

/* ---- Without segments ---------------------------------------------------- */

static __always_inline enum rtt_outcome
look_probe(const struct lqos_frame *f, enum rtt_kind kind, struct found *out)
{
	__u32 way = lqos_direction(&f->pkt), number, index;
	struct rtt_probe *probe;
	union key k;
	__u64 hash;
	int what;

	what = probe_read(f->data, f->data_end, &f->pkt, &number);
	if (!what || segment_key(f->data, f->data_end, &f->pkt, &k.key))
		return RTT_NONE;
	hash = key_hash(&k, pp_seed ^ (__u64)number << 7);
	index = hash & (PP_PROBES - 1);
	probe = bpf_map_lookup_elem(&pp_probes, &index);
	if (!probe)
		return RTT_NONE;
	out->times = find_times(f);
	if (what == 2)
		return rtt_told(probe, hash >> 32 | 1, way, kind, &out->sample);
	rtt_ask(probe, hash >> 32 | 1, way);
	return RTT_NONE;
}

static __always_inline enum rtt_outcome look_quic(const struct lqos_frame *f,
						  struct found *out)
{
	struct pp_flow *flow = flow_of(f);
	enum rtt_quic type;
	__u32 cid = 0;

	if (!flow)
		return RTT_NONE;
	out->times = &flow->times;
	if (is_fresh(rtt_of(flow), f))
		empty(flow, f->pkt.generation);
	type = quic_read(f->data, f->data_end, f->pkt.l4_off + LQOS_UDP_HEADER,
			 &cid);
	return rtt_quic(rtt_of(flow), lqos_direction(&f->pkt), type, cid,
			&out->sample);
}

static __always_inline bool has_port(const struct lqos_frame *f, __u16 port)
{
	const __u16 *udp = segment_at(f->data, f->pkt.l4_off);

	return f->pkt.l4_off && (void *)(udp + 2) <= f->data_end &&
	       (udp[0] == bpf_htons(port) || udp[1] == bpf_htons(port));
}

static __noinline int look_other(const struct lqos_frame *f, struct found *out)
{
	enum rtt_outcome outcome = RTT_NONE;
	__u8 proto = f->pkt.l4_proto;

	*out = (struct found){};
	if (proto == SEGMENT_UDP && pp_quic && has_port(f, QUIC_PORT))
		outcome = look_quic(f, out);
	else if (proto != SEGMENT_UDP ? pp_icmp
				      : pp_dns && has_port(f, PROBE_DNS))
		outcome = look_probe(
			f, proto == SEGMENT_UDP ? RTT_DNS : RTT_ICMP, out);
	return outcome;
}

static __noinline int finish(const struct lqos_frame *f,
			     enum rtt_outcome outcome,
			     const struct found *found)
{
	if (pp_watched)
		count(f);
	if (outcome != RTT_NONE)
		settle(f, outcome, found);
	return 0;
}

static __always_inline void look(const struct lqos_frame *f)
{
	enum rtt_outcome outcome = RTT_NONE;
	struct found found;

	if (f->pkt.l4_proto != SEGMENT_TCP)
		outcome = look_other(f, &found);
	else if (pp_tcp)
		outcome = look_tcp(f, &found);
	/* One of many to the verifier, which else follows what comes behind
	 * for each. */
	asm volatile("" : "+r"(outcome));
	if (outcome == RTT_NONE && !pp_watched)
		return;
	/* Before Linux 6.3 what was not written of the stack cannot be read. */
	if (outcome == RTT_NONE)
		found = (struct found){};
	finish(f, outcome, &found);
}

LQOS_OBSERVER(pp_look, look)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
