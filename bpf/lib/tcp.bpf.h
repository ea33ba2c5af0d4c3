/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The header of a parsed packet of TCP (RFC 9293). */
#ifndef BPF_LIB_TCP_H
#define BPF_LIB_TCP_H

#include "lib/key.bpf.h"

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* Sequence numbers that are further away than this are no retransmission and
 * no hole, but another connection's, or forged. */
#define TCP_JUMP (1 << 26)

struct tcp_header {
	__u32 seq;
	__u32 ack;
	__u32 len;     /* of the payload */
	__u32 options; /* their length */
	__u8 flags;
};

/*
 * 0, or -1: it is none, or its lengths make no sense.  The payload's length is
 * IP's: a short frame is padded, and behind the header of a GSO super-segment
 * is more than one segment.
 */
static __always_inline int tcp_read(void *data, void *data_end,
				    const struct lqos_packet *pkt,
				    struct tcp_header *out)
{
	void *ip = segment_at(data, pkt->l3_off);
	__u8 *tcp = segment_at(data, pkt->l4_off);
	__u32 header = pkt->l4_off - pkt->l3_off, total, doff;

	if (!pkt->l4_off || pkt->l4_proto != SEGMENT_TCP ||
	    (void *)(tcp + SEGMENT_TCP_LEN) > data_end || ip + 8 > data_end)
		return -1;
	total = pkt->flags & LQOS_PACKET_IPV6
			? bpf_ntohs(*(__u16 *)(ip + 4)) + 40
			: bpf_ntohs(*(__u16 *)(ip + 2));
	doff = (tcp[12] >> 4) * 4;
	if (doff < SEGMENT_TCP_LEN || total < header + doff)
		return -1;
	out->seq = bpf_ntohl(*(__u32 *)(tcp + 4));
	out->ack = bpf_ntohl(*(__u32 *)(tcp + 8));
	out->len = total - header - doff;
	out->options = doff - SEGMENT_TCP_LEN;
	out->flags = tcp[13];
	return 0;
}

#endif /* BPF_LIB_TCP_H */
