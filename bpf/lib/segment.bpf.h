/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What round-trip times need of a parsed packet of TCP (RFC 9293): numbers,
 * flags and timestamps (RFC 7323). */
#ifndef BPF_LIB_SEGMENT_H
#define BPF_LIB_SEGMENT_H

#include <lqos/packet.bpf.h>

#include "lib/tcp.bpf.h"
#include "lib/rtt.h"

enum {
	SEGMENT_OPTIONS = 10, /* followed */
	SEGMENT_EOL = 0,
	SEGMENT_NOP = 1,
	SEGMENT_SACK = 5,
	SEGMENT_TIMESTAMPS = 8,
	SEGMENT_TIMESTAMPS_LEN = 10,
};

/* Fills tsval, tsecr and sack, if they are there. */
static __always_inline void
segment_options(void *tcp, __u32 len, void *data_end, struct rtt_segment *out)
{
	__u8 *at = tcp + SEGMENT_TCP_LEN, size;
	__u32 off = 0;
	int i;

	/* As most send them: two NOPs, then the timestamps. */
	if (len >= 12 && (void *)(at + 12) <= data_end &&
	    *(__u32 *)at == bpf_htonl(0x0101080a)) {
		out->tsval = bpf_ntohl(*(__u32 *)(at + 4));
		out->tsecr = bpf_ntohl(*(__u32 *)(at + 8));
		/* ... and behind two more, what is there already. */
		out->sack = len >= 16 && (void *)(at + 16) <= data_end &&
			    at[14] == SEGMENT_SACK;
		return;
	}
	for (i = 0; i < SEGMENT_OPTIONS; i++) {
		at = tcp + SEGMENT_TCP_LEN + (off & 63);
		if (off + 1 >= len || (void *)(at + 2) > data_end ||
		    *at == SEGMENT_EOL)
			return;
		if (*at == SEGMENT_NOP) {
			off++;
			continue;
		}
		size = at[1];
		if (size < 2)
			return;
		/* Whoever sends both puts the timestamps first. */
		out->sack = *at == SEGMENT_SACK;
		if (out->sack)
			return;
		if (*at == SEGMENT_TIMESTAMPS) {
			if (size != SEGMENT_TIMESTAMPS_LEN ||
			    off + SEGMENT_TIMESTAMPS_LEN > len ||
			    (void *)(at + SEGMENT_TIMESTAMPS_LEN) > data_end)
				return;
			out->tsval = bpf_ntohl(*(__u32 *)(at + 2));
			out->tsecr = bpf_ntohl(*(__u32 *)(at + 6));
			return;
		}
		off += size;
	}
}

/* A packet of TCP, but for its options, of which there are *options bytes.  0,
 * or -1: it is none, or its lengths make no sense.  coarse is the caller's, and
 * first, where the frame is a GSO super-segment. */
static __always_inline int segment_header(void *data, void *data_end,
					  const struct lqos_packet *pkt,
					  struct rtt_segment *out,
					  __u32 *options)
{
	struct tcp_header tcp;

	if (tcp_read(data, data_end, pkt, &tcp))
		return -1;
	out->seq = tcp.seq;
	out->ack = tcp.ack;
	out->len = out->first = tcp.len;
	out->flags = tcp.flags;
	out->way = lqos_direction(pkt);
	out->tsval = out->tsecr = 0;
	out->sack = 0;
	out->coarse = 0;
	out->now = 0;
	*options = tcp.options;
	return 0;
}

/* The same, with them. */
static __always_inline int segment_read(void *data, void *data_end,
					const struct lqos_packet *pkt,
					struct rtt_segment *out)
{
	__u32 options;

	if (segment_header(data, data_end, pkt, out, &options))
		return -1;
	segment_options(segment_at(data, pkt->l4_off), options, data_end, out);
	return 0;
}

#endif /* BPF_LIB_SEGMENT_H */
