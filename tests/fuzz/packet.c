/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a frame, through what the datapath reads of one: the parser, the
 * key of its flow, TCP, echo, DNS and QUIC.
 *
 * Nothing behind the frame is read.  The parser agrees with a plain one.  What
 * was found lies in the frame, and is the same where bytes follow.  Both ways
 * of a conversation have one key.
 *
 * The input: a byte of padding to add, then the frame.
 */
#include <string.h>

/* btf_decl_tag() and unroll are clang's. */
#pragma GCC diagnostic ignored "-Wattributes"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

#include "lib/parse.bpf.h"
#include "lib/quic.bpf.h"

/* Of lib/rtt.h, which asks the kernel. */
static __always_inline __u64 rtt_now(void)
{
	return 0;
}
#include "lib/probe.bpf.h"
#include "lib/segment.bpf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/reference.h"

enum { ALIGN = 2 }; /* in front of a frame, as drivers do */

struct frame {
	uint8_t *data;
	size_t len;
};

/* All that is read of a frame. */
struct seen {
	enum dp_counter reason;
	struct parsed parsed;
	uint32_t vid;
	int no_key, no_segment, probe;
	struct lqos_flow_key key;
	struct rtt_segment segment;
	uint32_t options; /* bytes of TCP's */
	uint32_t number;
	enum rtt_quic quic;
	uint32_t cid;
};

/* A copy that ends where its memory ends. */
static struct frame frame_new(const uint8_t *data, size_t len, size_t padding)
{
	struct frame frame = {.len = len + padding};

	frame.data = malloc(ALIGN + frame.len);
	require(frame.data);
	frame.data += ALIGN;
	if (len)
		memcpy(frame.data, data, len);
	memset(frame.data + len, 0xa5, padding);
	return frame;
}

static void frame_free(struct frame *frame)
{
	free(frame->data - ALIGN);
}

static void look(const struct frame *frame, enum lqos_direction way,
		 struct seen *out)
{
	void *data = frame->data, *end = frame->data + frame->len;
	struct parsed *p = &out->parsed;
	struct lqos_packet pkt;
	struct tcp_header tcp;

	memset(out, 0, sizeof(*out));
	out->reason = parse(data, end, way, p);
	out->vid = parse_vid(data, end);
	pkt = (struct lqos_packet){
		.flags = p->flags,
		.l3_off = p->l3_off,
		.l4_off = p->l4_off,
		.l4_proto = p->proto,
	};
	out->no_key = segment_key(data, end, &pkt, &out->key);
	out->no_segment = segment_read(data, end, &pkt, &out->segment);
	if (!tcp_read(data, end, &pkt, &tcp))
		out->options = tcp.options;
	out->probe = probe_read(data, end, &pkt, &out->number);
	out->quic = RTT_QUIC_NONE;
	if (p->l4_off && p->proto == SEGMENT_UDP)
		out->quic = quic_read(data, end, p->l4_off + QUIC_UDP_LEN,
				      &out->cid);
}

/* As struct parsed has it. */
static void address(const struct reference *r, const uint8_t *at, uint64_t *hi,
		    uint64_t *lo)
{
	uint32_t v4;

	if (r->ipv6) {
		memcpy(hi, at, 8);
		memcpy(lo, at + 8, 8);
	} else {
		memcpy(&v4, at, sizeof(v4));
		*hi = UINT64_MAX;
		*lo = v4;
	}
}

static void check_reference(const struct frame *frame, enum lqos_direction way,
			    const struct seen *seen)
{
	struct reference r = {.frame = frame->data, .len = frame->len};
	const struct parsed *p = &seen->parsed;
	uint64_t hi, lo;

	require(reference_parse(&r) == seen->reason);
	require(!(p->flags & LQOS_PACKET_UP) == (way == LQOS_DOWN));
	require(!(p->flags & LQOS_PACKET_IP) == !r.is_ip);
	require(!(p->flags & LQOS_PACKET_IPV6) == !r.ipv6);
	require(!(p->flags & LQOS_PACKET_FRAGMENT) == !r.fragment);
	require(p->l3_off == r.l3 && p->l4_off == r.l4);
	if (!r.is_ip)
		return;
	require(p->proto == r.proto);
	address(&r, way == LQOS_UP ? r.source : r.destination, &hi, &lo);
	require(p->hi == hi && p->lo == lo);
}

/* The subscriber's end is where the packet's way says. */
static void check_key(const struct frame *frame, enum lqos_direction way,
		      const struct seen *seen)
{
	const uint8_t *l4 = frame->data + seen->parsed.l4_off;
	const struct lqos_flow_key *key = &seen->key;

	if (seen->no_key)
		return;
	require(key->subs_hi == seen->parsed.hi &&
		key->subs_lo == seen->parsed.lo);
	if (key->proto != SEGMENT_TCP && key->proto != SEGMENT_UDP)
		return;
	require(!memcmp(&key->subs_port, l4 + (way == LQOS_UP ? 0 : 2), 2));
	require(!memcmp(&key->remote_port, l4 + (way == LQOS_UP ? 2 : 0), 2));
}

static void check_inside(const struct frame *frame, const struct seen *seen)
{
	const struct parsed *p = &seen->parsed;
	uint32_t ip = p->flags & LQOS_PACKET_IPV6 ? IPV6_LEN : IPV4_LEN;

	require(!p->l4_off == (seen->reason != PARSE_OK));
	if (p->flags & LQOS_PACKET_IP)
		require(p->l3_off >= ETHER_LEN && p->l3_off + ip <= frame->len);
	if (p->l4_off)
		require(p->l4_off >= p->l3_off + ip &&
			p->l4_off + 8 <= frame->len);
	/* Nothing is read of a packet that has no such header. */
	require(p->l4_off || (seen->no_key && seen->no_segment &&
			      !seen->probe && seen->quic == RTT_QUIC_NONE));
	require(!seen->no_segment <= (p->proto == SEGMENT_TCP));
	require(seen->segment.len <= 0xffff + IPV6_LEN);
	require(seen->segment.len == seen->segment.first);
}

/* Bytes behind a frame add to what is seen only where it was cut short. */
static void check_padding(const struct frame *frame, const struct seen *seen,
			  const struct seen *padded)
{
	const struct rtt_segment *s = &seen->segment, *t = &padded->segment;

	if (seen->vid)
		require(padded->vid == seen->vid);
	if (seen->reason == DP_TRUNCATED || seen->reason == DP_L4_TRUNCATED)
		return;
	require(padded->reason == seen->reason);
	require(!memcmp(&padded->parsed, &seen->parsed, sizeof(seen->parsed)));
	require(padded->vid == seen->vid);
	require(padded->no_key == seen->no_key);
	require(!memcmp(&padded->key, &seen->key, sizeof(seen->key)));
	require(padded->no_segment == seen->no_segment);
	require(s->seq == t->seq && s->ack == t->ack && s->len == t->len &&
		s->flags == t->flags && s->way == t->way);
	if (seen->parsed.l4_off + SEGMENT_TCP_LEN + seen->options <= frame->len)
		require(s->tsval == t->tsval && s->tsecr == t->tsecr &&
			s->sack == t->sack);
	if (seen->probe)
		require(padded->probe == seen->probe &&
			padded->number == seen->number);
	if (seen->quic != RTT_QUIC_NONE)
		require(padded->quic == seen->quic && padded->cid == seen->cid);
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
	for (; n; n--, a++, b++) {
		uint8_t byte = *a;

		*a = *b;
		*b = byte;
	}
}

/* The answer to a packet is in the same flow. */
static void check_answer(struct frame *frame, enum lqos_direction way,
			 const struct seen *seen)
{
	uint8_t *ip = frame->data + seen->parsed.l3_off;
	uint8_t *l4 = frame->data + seen->parsed.l4_off;
	struct seen answer;

	if (seen->no_key)
		return;
	if (seen->parsed.flags & LQOS_PACKET_IPV6)
		swap(ip + 8, ip + 24, 16);
	else
		swap(ip + 12, ip + 16, 4);
	if (seen->key.proto == SEGMENT_TCP || seen->key.proto == SEGMENT_UDP)
		swap(l4, l4 + 2, 2);
	look(frame, way == LQOS_UP ? LQOS_DOWN : LQOS_UP, &answer);
	require(!answer.no_key);
	require(!memcmp(&answer.key, &seen->key, sizeof(answer.key)));
	require(answer.parsed.hi == seen->parsed.hi &&
		answer.parsed.lo == seen->parsed.lo);
}

static void check(const uint8_t *data, size_t len, size_t padding,
		  enum lqos_direction way)
{
	struct frame frame = frame_new(data, len, 0);
	struct frame longer = frame_new(data, len, padding);
	struct seen seen, padded;

	look(&frame, way, &seen);
	look(&longer, way, &padded);
	check_reference(&frame, way, &seen);
	check_inside(&frame, &seen);
	check_key(&frame, way, &seen);
	check_padding(&frame, &seen, &padded);
	check_answer(&frame, way, &seen);
	frame_free(&frame);
	frame_free(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	check(data + 1, size - 1, data[0], LQOS_UP);
	check(data + 1, size - 1, data[0], LQOS_DOWN);
	return 0;
}
