/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Questions with a number that the answer repeats: ICMP echo (RFC 792, RFC
 * 4443) and DNS over UDP (RFC 1035).
 */
#ifndef BPF_LIB_PROBE_H
#define BPF_LIB_PROBE_H

#include "lib/segment.bpf.h"

enum {
	PROBE_DNS = 53,
	PROBE_UDP_LEN = 8,
	PROBE_DNS_LEN = 12,
	PROBE_DNS_ANSWER = 0x80,
};

/* Who asks does so at port 53; between two of those, the header alone tells. */
static __always_inline int probe_dns(const __u16 *udp, void *data_end,
				     __u32 *number)
{
	const __u8 *dns = (const void *)udp + PROBE_UDP_LEN;
	bool from = udp[0] == bpf_htons(PROBE_DNS);
	bool to = udp[1] == bpf_htons(PROBE_DNS);

	if ((!from && !to) || (void *)(dns + PROBE_DNS_LEN) > data_end)
		return 0;
	*number = (__u32)dns[0] << 8 | dns[1];
	if (dns[2] & PROBE_DNS_ANSWER)
		return from ? 2 : 0;
	return to ? 1 : 0;
}

/* 1: asks; 2: answers; 0: neither.  The number is told apart from others by the
 * flow that it is of. */
static __always_inline int probe_read(void *data, void *data_end,
				      const struct lqos_packet *pkt,
				      __u32 *number)
{
	void *l4 = segment_at(data, pkt->l4_off);

	if (!pkt->l4_off || l4 + 8 > data_end)
		return 0;
	switch (pkt->l4_proto) {
	case SEGMENT_UDP:
		return probe_dns(l4, data_end, number);
	case SEGMENT_ICMP:
	case SEGMENT_ICMPV6:
		*number = bpf_ntohs(((__u16 *)l4)[3]);
		return segment_echo(pkt, *(__u8 *)l4);
	}
	return 0;
}

#endif /* BPF_LIB_PROBE_H */
