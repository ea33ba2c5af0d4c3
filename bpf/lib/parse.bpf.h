/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one packet parser, for XDP and TC alike: Ethernet, up to four VLAN tags,
 * PPPoE session (RFC 2516), MPLS (RFC 3032), IPv4 (RFC 791), IPv6 with
 * extension headers (RFC 8200), and where TCP, UDP or ICMP begin.
 */
#ifndef BPF_LIB_PARSE_H
#define BPF_LIB_PARSE_H

#include <stdbool.h>

#include <lqos/packet.bpf.h>
#include "datapath.h"

enum {
	PARSE_TAGS = 4,	      /* VLAN tags followed */
	PARSE_LABELS = 4,     /* MPLS labels followed */
	PARSE_EXTENSIONS = 6, /* IPv6 extension headers followed */

	ETHER_LEN = 14,
	TAG_LEN = 4,
	PPPOE_LEN = 8, /* with the PPP protocol */
	LABEL_LEN = 4,
	IPV4_LEN = 20,
	IPV6_LEN = 40,

	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_8021Q = 0x8100,
	ETHER_8021AD = 0x88a8,
	ETHER_QINQ = 0x9100, /* before 802.1ad had a number of its own */
	ETHER_PPPOE = 0x8864,
	ETHER_MPLS = 0x8847,
	ETHER_MPLS_MC = 0x8848,
	PPP_IPV4 = 0x0021,
	PPP_IPV6 = 0x0057,

	IP_HOPOPTS = 0,
	IP_ICMP = 1,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ROUTING = 43,
	IP_FRAGMENT = 44,
	IP_AH = 51,
	IP_ICMPV6 = 58,
	IP_DSTOPTS = 60,
	IP_MOBILITY = 135,
};

/* hi and lo are the address on the subscriber's side, as in struct dp_cached.
 */
struct parsed {
	__u64 hi;
	__u64 lo;
	__u32 l3_off;
	__u32 l4_off;
	__u16 space; /* the address space it is in; 0: the common one */
	__u8 proto;
	__u8 flags; /* enum lqos_packet_flags */
};

#define PARSE_OK DP_COUNTERS /* nothing to count */

static __always_inline __u32 parse_be16(const void *p)
{
	return bpf_ntohs(*(const __u16 *)p);
}

static __always_inline bool parse_is_tag(__u32 type)
{
	return type == ETHER_8021Q || type == ETHER_8021AD ||
	       type == ETHER_QINQ;
}

/* The VLAN id of the first tag in the frame; 0: it has none. */
static __always_inline __u32 parse_vid(void *data, void *data_end)
{
	__u32 vid;

	if (data + ETHER_LEN + TAG_LEN > data_end ||
	    !parse_is_tag(parse_be16(data + ETHER_LEN - 2)))
		return 0;
	vid = parse_be16(data + ETHER_LEN);
	/* Else what is masked is the word before it is swapped, of which
	 * Linux 6.1 knows nothing afterwards. */
	asm volatile("" : "+r"(vid));
	return vid & 0xfff;
}

/* l4 is where the header begins; *out gets l4_off where it is whole. */
static __always_inline enum dp_counter parse_l4(void *data, void *data_end,
						void *l4, struct parsed *out)
{
	switch (out->proto) {
	case IP_TCP:
		if (l4 + 20 > data_end)
			return DP_L4_TRUNCATED;
		break;
	case IP_UDP:
	case IP_ICMP:
	case IP_ICMPV6:
		if (l4 + 8 > data_end)
			return DP_L4_TRUNCATED;
		break;
	default:
		return DP_L4_OTHER;
	}
	out->l4_off = l4 - data;
	return PARSE_OK;
}

static __always_inline enum dp_counter parse_ipv4(void *data, void *data_end,
						  void *ip,
						  enum lqos_direction direction,
						  struct parsed *out)
{
	__u8 *byte = ip;
	__u32 ihl;

	if (ip + IPV4_LEN > data_end)
		return DP_TRUNCATED;
	ihl = (byte[0] & 0x0f) * 4;
	if (byte[0] >> 4 != 4 || ihl < IPV4_LEN)
		return DP_BAD_HEADER;
	out->flags |= LQOS_PACKET_IP;
	out->l3_off = ip - data;
	out->proto = byte[9];
	out->hi = ~0ULL;
	out->lo = *(__u32 *)(ip + (direction == LQOS_DOWN ? 16 : 12));
	if (parse_be16(ip + 6) & 0x3fff) { /* MF, or an offset */
		out->flags |= LQOS_PACKET_FRAGMENT;
		return DP_FRAGMENT;
	}
	return parse_l4(data, data_end, ip + ihl, out);
}

static __always_inline enum dp_counter parse_ipv6(void *data, void *data_end,
						  void *ip,
						  enum lqos_direction direction,
						  struct parsed *out)
{
	__u32 *word = ip + (direction == LQOS_DOWN ? 24 : 8);
	void *next = ip + IPV6_LEN;
	__u8 *byte = ip;
	__u32 len;
	int i;

	if (next > data_end)
		return DP_TRUNCATED;
	if (byte[0] >> 4 != 6)
		return DP_BAD_HEADER;
	out->flags |= LQOS_PACKET_IP | LQOS_PACKET_IPV6;
	out->l3_off = ip - data;
	out->proto = byte[6];
	out->hi = (__u64)word[1] << 32 | word[0];
	out->lo = (__u64)word[3] << 32 | word[2];

#pragma unroll
	for (i = 0; i <= PARSE_EXTENSIONS; i++) {
		switch (out->proto) {
		case IP_HOPOPTS:
		case IP_ROUTING:
		case IP_DSTOPTS:
		case IP_MOBILITY:
		case IP_FRAGMENT:
		case IP_AH:
			break;
		default:
			return parse_l4(data, data_end, next, out);
		}
		if (i == PARSE_EXTENSIONS)
			break;
		if (next + 8 > data_end)
			return DP_L4_TRUNCATED;
		byte = next;
		if (out->proto == IP_FRAGMENT) {
			if (parse_be16(next + 2) & 0xfff9) {
				out->proto = byte[0];
				out->flags |= LQOS_PACKET_FRAGMENT;
				return DP_FRAGMENT;
			}
			len = 8;
		} else if (out->proto == IP_AH) {
			len = (byte[1] + 2) * 4;
		} else {
			len = (byte[1] + 1) * 8;
		}
		out->proto = byte[0];
		next += len;
	}
	return DP_EXTENSIONS;
}

/*
 * Follow what lies between Ethernet and IP.  *at begins behind the Ethernet
 * header and ends at the IP header; *type becomes ETHER_IPV4, ETHER_IPV6 or
 * another.
 */
static __always_inline enum dp_counter parse_tunnel(void *data_end, void **at,
						    __u32 *type)
{
	__u32 label = 0;
	__u8 *byte;
	int i;

#pragma unroll
	for (i = 0; i < PARSE_TAGS; i++) {
		if (!parse_is_tag(*type))
			break;
		if (*at + TAG_LEN > data_end)
			return DP_TRUNCATED;
		*type = parse_be16(*at + 2);
		*at += TAG_LEN;
	}
	switch (*type) {
	case ETHER_8021Q:
	case ETHER_8021AD:
	case ETHER_QINQ:
		return DP_TAGS;
	case ETHER_PPPOE:
		byte = *at;
		if (*at + PPPOE_LEN > data_end)
			return DP_TRUNCATED;
		if (byte[0] != 0x11 || byte[1] != 0)
			return DP_NOT_IP;
		*type = parse_be16(*at + 6);
		*type = *type == PPP_IPV4   ? ETHER_IPV4
			: *type == PPP_IPV6 ? ETHER_IPV6
					    : 0;
		*at += PPPOE_LEN;
		break;
	case ETHER_MPLS:
	case ETHER_MPLS_MC:
#pragma unroll
		for (i = 0; i < PARSE_LABELS; i++) {
			if (*at + LABEL_LEN > data_end)
				return DP_TRUNCATED;
			label = bpf_ntohl(*(__u32 *)*at);
			*at += LABEL_LEN;
			if (label & 0x100) /* bottom of stack */
				break;
		}
		if (!(label & 0x100))
			return DP_TAGS;
		byte = *at;
		if (*at + 1 > data_end)
			return DP_TRUNCATED;
		*type = byte[0] >> 4 == 4   ? ETHER_IPV4
			: byte[0] >> 4 == 6 ? ETHER_IPV6
					    : 0;
		break;
	}
	return PARSE_OK;
}

/*
 * Fills *out (zeroed by the caller).  PARSE_OK, or the counter that says what
 * could not be followed; LQOS_PACKET_IP in out->flags tells whether the packet
 * has an address all the same.
 */
static __always_inline enum dp_counter parse(void *data, void *data_end,
					     enum lqos_direction direction,
					     struct parsed *out)
{
	void *at = data + ETHER_LEN;
	enum dp_counter reason;
	__u32 type;
	__u64 off;

	if (direction == LQOS_UP)
		out->flags = LQOS_PACKET_UP;
	if (at > data_end)
		return DP_TRUNCATED;
	type = parse_be16(data + 12);
	if (type != ETHER_IPV4 && type != ETHER_IPV6) {
		reason = parse_tunnel(data_end, &at, &type);
		if (reason != PARSE_OK)
			return reason;
	}
	/* To the verifier any distance is the same from here on: it need not
	 * follow IP behind each encapsulation. */
	off = (__u64)at;
#ifdef __bpf__
	asm("%0 -= %1" : "+r"(off) : "r"(data));
#else
	off -= (__u64)data;
#endif
	at = data + (off & 0x3f);
	if (type == ETHER_IPV4)
		return parse_ipv4(data, data_end, at, direction, out);
	if (type == ETHER_IPV6)
		return parse_ipv6(data, data_end, at, direction, out);
	return DP_NOT_IP;
}

#endif /* BPF_LIB_PARSE_H */
