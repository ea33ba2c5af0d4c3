/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the first QUIC packet of a datagram is, as far as its header tells
 * without keys: version 1 (RFC 9000) and its drafts, version 2 (RFC 9369).
 */
#ifndef BPF_LIB_QUIC_H
#define BPF_LIB_QUIC_H

#include "lib/segment.bpf.h"

enum {
	QUIC_PORT = 443,
	QUIC_UDP_LEN = 8,
	QUIC_LONG = 0x80,
	QUIC_ID = 5, /* in a long header */
	QUIC_ID_MAX = 20,
	QUIC_ID_MASK = 31,
	/* A datagram that wants an answer to an initial packet is no shorter
	 * than that (RFC 9000, 14.1). */
	QUIC_ELICITING = 1200,
	/* The types of version 1. */
	QUIC_INITIAL = 0,
	QUIC_ZERO_RTT = 1,
	QUIC_HANDSHAKE = 2,
	QUIC_RETRY = 3,
};

#define QUIC_VERSION_1 0x00000001U
#define QUIC_VERSION_2 0x6b3343cfU
#define QUIC_DRAFTS    0xff0000U /* and a byte */

/* Its length, and as many of its bytes as an initial one must have; at: 8 bytes
 * that may be read. */
static __always_inline __u32 quic_cid(const __u8 *at, __u32 len)
{
	__u64 id = 0;
	int i;

#pragma unroll
	for (i = 0; i < 8; i++)
		id = id << 8 | at[i];
	if (len < 8)
		id = len ? id >> (64 - len * 8) : 0;
	id = (id ^ (__u64)len << 59) * 0x9e3779b97f4a7c15ULL;
	return id >> 32;
}

/*
 * payload_off: where UDP's data begin.  The server is the end of port 443; its
 * initial packets need something of the client's, and are RTT_QUIC_LATER unless
 * they but acknowledge.  Of a long header *cid is a hash of the connection id
 * of the server's end.
 */
static __always_inline enum rtt_quic quic_read(void *data, void *data_end,
					       __u32 payload_off, __u32 *cid)
{
	__u8 *at = segment_at(data, payload_off);
	__u16 *udp = segment_at(data, payload_off - QUIC_UDP_LEN);
	__u32 version, type;
	const __u8 *id;
	bool server;

	*cid = 0;
	if (payload_off < QUIC_UDP_LEN ||
	    (void *)udp + QUIC_UDP_LEN > data_end ||
	    (void *)(at + 1) > data_end)
		return RTT_QUIC_NONE;
	if (!(*at & QUIC_LONG))
		return RTT_QUIC_SHORT;
	server = udp[0] == bpf_htons(QUIC_PORT) &&
		 udp[1] != bpf_htons(QUIC_PORT);
	if ((void *)(at + QUIC_ID + 1) > data_end)
		return RTT_QUIC_NONE;
	version = (__u32)at[1] << 24 | at[2] << 16 | at[3] << 8 | at[4];
	type = *at >> 4 & 3;
	/* First that of the connection it goes to, then that it comes from. */
	id = at + QUIC_ID;
	if (server)
		id += 1 + (*id & QUIC_ID_MASK);
	if ((void *)(id + 9) > data_end || *id > QUIC_ID_MAX)
		return RTT_QUIC_NONE;
	*cid = quic_cid(id + 1, *id);
	if (version == QUIC_VERSION_2)
		type = (type - 1) & 3;
	else if (version != QUIC_VERSION_1 && version >> 8 != QUIC_DRAFTS)
		return RTT_QUIC_NONE; /* negotiation (0), too */
	switch (type) {
	case QUIC_INITIAL:
		if (!server)
			return RTT_QUIC_INITIAL;
		return bpf_ntohs(udp[2]) >= QUIC_ELICITING + QUIC_UDP_LEN
			       ? RTT_QUIC_LATER
			       : RTT_QUIC_NONE;
	case QUIC_HANDSHAKE:
		return RTT_QUIC_LATER;
	case QUIC_RETRY:
		return server ? RTT_QUIC_LATER : RTT_QUIC_NONE;
	}
	return RTT_QUIC_NONE;
}

#endif /* BPF_LIB_QUIC_H */
