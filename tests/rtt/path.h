/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path.h - what the datapath and the module pping do with a packet, in a
 * program on the host: the same parser, the same core of round-trip times, and
 * tables that forget nothing.
 */
#ifndef TESTS_RTT_PATH_H
#define TESTS_RTT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* btf_decl_tag() and unroll are clang's. */
#pragma GCC diagnostic ignored "-Wattributes"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

#include "lib/parse.bpf.h"
#include "lib/probe.bpf.h"
#include "lib/quic.bpf.h"
#include "lib/segment.bpf.h"

/* Is an address a subscriber's?  As in struct lqos_flow_key. */
typedef bool path_inside_fn(uint64_t hi, uint64_t lo, void *arg);

struct path_packet {
	enum rtt_outcome outcome;
	struct rtt_sample sample; /* if the outcome is one */
	struct lqos_flow_key key;
	enum lqos_direction way; /* the packet's; its sender answered */
	uint64_t since; /* ns, of the first packet that can have been asked */
};

enum {
	PATH_BUCKETS = 1 << 12,
	PATH_TICK = 4000000, /* of the coarse clock, ns */
	PATH_ALIGN = 2,	     /* in front of a frame, as drivers do */
	PATH_TAG = 1,	     /* entries are found by their whole key */
};

enum path_table { PATH_FLOW, PATH_SYN, PATH_PROBE };

struct path_entry {
	struct path_entry *next;
	struct lqos_flow_key key;
	enum path_table table;
	uint32_t number; /* of a question */
	uint64_t since;	 /* ns */
	/* A flow's. */
	struct rtt_flow flow;
	struct rtt_times times;
	uint32_t sequence; /* where a SYN would have it go on */
	uint8_t syn[2];	   /* there was one, by way */
	/* Another's. */
	struct rtt_syn handshake;
	struct rtt_probe probe;
};

struct path {
	path_inside_fn *inside;
	void *arg;
	uint32_t gso;
	struct path_entry *buckets[PATH_BUCKETS];
};

static uint64_t path_clock;

static __always_inline __u64 rtt_now(void)
{
	return path_clock;
}

static inline struct path *path_new(path_inside_fn *inside, void *arg)
{
	struct path *path = calloc(1, sizeof(*path));

	if (!path)
		abort();
	path->inside = inside;
	path->arg = arg;
	path_clock = 0;
	return path;
}

static inline void path_free(struct path *path)
{
	struct path_entry *entry, *next;
	size_t i;

	for (i = 0; i < PATH_BUCKETS; i++) {
		for (entry = path->buckets[i]; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(path);
}

/* A payload longer than that is a GSO super-segment's; 0: none is. */
static inline void path_gso(struct path *path, uint32_t bytes)
{
	path->gso = bytes;
}

static inline struct path_entry **path_find(struct path *path,
					    enum path_table table,
					    const struct lqos_flow_key *key,
					    uint32_t number)
{
	union key k = {.key = *key};
	uint64_t hash = key_hash(&k, (uint64_t)number << 2 | table);
	struct path_entry **at = &path->buckets[hash % PATH_BUCKETS];

	while (*at && ((*at)->table != table || (*at)->number != number ||
		       memcmp(&(*at)->key, key, sizeof(*key))))
		at = &(*at)->next;
	return at;
}

/* NULL: there is none. */
static inline struct path_entry *path_look(struct path *path,
					   enum path_table table,
					   const struct lqos_flow_key *key)
{
	return *path_find(path, table, key, 0);
}

static inline struct path_entry *path_get(struct path *path,
					  enum path_table table,
					  const struct lqos_flow_key *key,
					  uint32_t number)
{
	struct path_entry **at = path_find(path, table, key, number);

	if (*at)
		return *at;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		abort();
	(*at)->key = *key;
	(*at)->table = table;
	(*at)->number = number;
	(*at)->since = path_clock;
	return *at;
}

/* Another connection's, with the same ports. */
static inline void path_restart(struct path_entry *flow)
{
	flow->flow = (struct rtt_flow){};
	flow->times = (struct rtt_times){};
	flow->since = path_clock;
}

static inline void path_keep(struct path_entry *flow,
			     const struct path_packet *out)
{
	if (out->outcome == RTT_SAMPLE)
		rtt_keep(&flow->times, out->way, out->sample.ns);
}

static inline void path_on_syn(struct path *path, struct rtt_segment *s,
			       struct path_packet *out)
{
	struct path_entry *e = path_get(path, PATH_SYN, &out->key, 0);
	struct path_entry *flow = path_look(path, PATH_FLOW, &out->key);

	/* Nobody's word yet: it may be forged. */
	if (flow && !(s->flags & RTT_HAS_ACK)) {
		flow->sequence = s->seq + 1;
		flow->syn[s->way & 1] = 1;
	}
	out->since = e->since;
	out->outcome = rtt_handshake(&e->handshake, PATH_TAG, s, &out->sample);
}

static inline void path_on_tcp(struct path *path, struct rtt_segment *s,
			       struct path_packet *out)
{
	struct path_entry *flow, *e;
	bool fresh = false;

	if (s->flags & RTT_SYN) {
		path_on_syn(path, s, out);
		return;
	}
	flow = path_look(path, PATH_FLOW, &out->key);
	/* What comes behind the end of a flow begins none. */
	if (!flow && s->flags & (RTT_FIN | RTT_RST))
		return;
	if (!flow) {
		flow = path_get(path, PATH_FLOW, &out->key, 0);
		fresh = true;
	} else if (flow->syn[s->way & 1]) {
		fresh = s->seq == flow->sequence;
		if (fresh) {
			path_restart(flow);
			flow->syn[!(s->way & 1)] = 0;
		}
		flow->syn[s->way & 1] = 0;
	}
	out->since = flow->since;
	if (fresh) {
		e = path_get(path, PATH_SYN, &out->key, 0);
		out->outcome = rtt_established(&flow->flow, &flow->times,
					       &e->handshake, PATH_TAG, s,
					       &out->sample);
		out->since = e->since;
	}
	if (out->outcome == RTT_NONE) {
		out->outcome = rtt_segment(&flow->flow, s, &out->sample);
		if (out->outcome == RTT_SAMPLE)
			out->outcome = rtt_judge(&flow->flow, &flow->times, s,
						 &out->sample);
	}
	path_keep(flow, out);
}

static inline void path_on_probe(struct path *path, bool asks,
				 enum rtt_kind kind, uint32_t number,
				 struct path_packet *out)
{
	struct path_entry *e = path_get(path, PATH_PROBE, &out->key, number);

	out->since = e->since;
	if (asks)
		rtt_ask(&e->probe, PATH_TAG, out->way);
	else
		out->outcome = rtt_told(&e->probe, PATH_TAG, out->way, kind,
					&out->sample);
}

static inline void path_on_quic(struct path *path, enum rtt_quic type,
				uint32_t cid, struct path_packet *out)
{
	struct path_entry *flow = path_get(path, PATH_FLOW, &out->key, 0);

	out->since = flow->since;
	out->outcome = rtt_quic(&flow->flow, out->way, type, cid, &out->sample);
	path_keep(flow, out);
}

static inline void path_on_packet(struct path *path, void *data, void *end,
				  const struct lqos_packet *pkt,
				  struct path_packet *out)
{
	struct rtt_segment s = {};
	uint32_t number = 0, cid = 0;
	enum rtt_quic type;
	int probe;

	if (segment_key(data, end, pkt, &out->key))
		return;
	if (pkt->l4_proto == SEGMENT_TCP) {
		if (segment_read(data, end, pkt, &s))
			return;
		s.coarse =
			(path_clock - path_clock % PATH_TICK) >> RTT_UNIT_SHIFT;
		if (path->gso && s.len > path->gso)
			s.first = path->gso;
		path_on_tcp(path, &s, out);
		return;
	}
	probe = probe_read(data, end, pkt, &number);
	if (probe) {
		path_on_probe(path, probe == 1,
			      pkt->l4_proto == SEGMENT_UDP ? RTT_DNS : RTT_ICMP,
			      number, out);
		return;
	}
	if (pkt->l4_proto == SEGMENT_UDP &&
	    (out->key.subs_port == bpf_htons(QUIC_PORT) ||
	     out->key.remote_port == bpf_htons(QUIC_PORT))) {
		type = quic_read(data, end, pkt->l4_off + QUIC_UDP_LEN, &cid);
		path_on_quic(path, type, cid, out);
	}
}

static inline bool path_is_inside(struct path *path, void *data, void *end,
				  enum lqos_direction way,
				  struct parsed *parsed)
{
	*parsed = (struct parsed){};
	parse(data, end, way, parsed);
	return parsed->flags & LQOS_PACKET_IP &&
	       path->inside(parsed->hi, parsed->lo, path->arg);
}

static inline int path_on_frame(struct path *path, void *data, void *end,
				struct path_packet *out)
{
	struct lqos_packet pkt = {.magic = LQOS_PACKET_MAGIC,
				  .version = LQOS_PACKET_VERSION};
	struct parsed up, down, *parsed;
	bool is_up = path_is_inside(path, data, end, LQOS_UP, &up);

	if (is_up == path_is_inside(path, data, end, LQOS_DOWN, &down))
		return -1;
	parsed = is_up ? &up : &down;
	out->way = is_up ? LQOS_UP : LQOS_DOWN;
	pkt.flags = parsed->flags;
	pkt.l3_off = parsed->l3_off;
	pkt.l4_off = parsed->l4_off;
	pkt.l4_proto = parsed->proto;
	pkt.space = parsed->space;
	path_on_packet(path, data, end, &pkt, out);
	return 0;
}

/* A frame at a time in ns, which is never less than the one before.  0, or -1:
 * it is no packet between a subscriber and the internet. */
static inline int path_frame(struct path *path, uint64_t ns, const void *frame,
			     size_t len, struct path_packet *out)
{
	uint8_t *copy = malloc(PATH_ALIGN + len);
	int rc;

	if (!copy)
		abort();
	*out = (struct path_packet){};
	if (ns > path_clock)
		path_clock = ns;
	/* A copy, so that a sanitizer sees what is read behind its end. */
	memcpy(copy + PATH_ALIGN, frame, len);
	rc = path_on_frame(path, copy + PATH_ALIGN, copy + PATH_ALIGN + len,
			   out);
	free(copy);
	return rc;
}

#endif /* TESTS_RTT_PATH_H */
