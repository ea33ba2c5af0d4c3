/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lqos/inet.h - headers of packets in user space: where they are, checked
 * against the length there is, and their checksums.
 */
#ifndef LQOS_INET_H
#define LQOS_INET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	LQOS_INET_ETHER = 14, /* bytes of headers */
	LQOS_INET_TAG = 4,
	LQOS_INET_IPV4 = 20,
	LQOS_INET_IPV6 = 40,
	LQOS_INET_TCP = 20,
	LQOS_INET_UDP = 8,
	LQOS_INET_ICMP = 8,
	LQOS_INET_ARP = 28,
	LQOS_INET_TAGS_MAX = 4,
	LQOS_INET_EXTENSIONS_MAX = 6,
};

/* Offsets are from the frame's first byte. */
struct lqos_inet {
	uint16_t type;	  /* EtherType behind VLAN tags, host order */
	uint8_t version;  /* 4 or 6; 0: no IP */
	uint8_t proto;	  /* IPPROTO_*, behind IPv6 extension headers */
	bool fragment;	  /* any but a whole packet: l4 is 0 */
	uint32_t l3;	  /* what follows Ethernet and its tags */
	uint32_t l4;	  /* TCP, UDP, ICMP header, whole; 0: none */
	uint32_t payload; /* behind that header; 0: none */
	uint32_t end;	  /* of the IP packet: frames may be padded */
};

static inline uint16_t lqos_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t lqos_get32(const uint8_t *p)
{
	return (uint32_t)lqos_get16(p) << 16 | lqos_get16(p + 2);
}

static inline void lqos_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void lqos_put32(uint8_t *p, uint32_t value)
{
	lqos_put16(p, (uint16_t)(value >> 16));
	lqos_put16(p + 2, (uint16_t)value);
}

/* Where the extension headers (RFC 8200) from `at` on end; 0: beyond end, or
 * too many.  *proto: the header there.  *fragment: one of them says so. */
static inline uint32_t lqos_inet_extensions(const uint8_t *data, uint32_t at,
					    uint32_t end, uint8_t *proto,
					    bool *fragment)
{
	for (int i = 0; i <= LQOS_INET_EXTENSIONS_MAX; i++) {
		uint8_t next = *proto;

		/* hop-by-hop, routing, fragment, AH, destination, mobility */
		if (next != 0 && next != 43 && next != 44 && next != 51 &&
		    next != 60 && next != 135)
			return at;
		if (end - at < 8)
			return 0;
		if (next == 44 && (lqos_get16(data + at + 2) & 0xfff9))
			*fragment = true;
		*proto = data[at];
		at += next == 44   ? 8
		      : next == 51 ? (data[at + 1] + 2U) * 4
				   : (data[at + 1] + 1U) * 8;
		if (at > end)
			return 0;
	}
	return 0;
}

/* What is behind the IP header, where it is whole. */
static inline void lqos_inet_l4(const uint8_t *data, uint32_t at,
				struct lqos_inet *out)
{
	uint32_t room = out->end - at, header;

	if (out->fragment)
		return;
	if (out->proto == 6) {
		if (room < LQOS_INET_TCP)
			return;
		header = (data[at + 12] >> 4) * 4U;
		if (header < LQOS_INET_TCP || header > room)
			return;
	} else if (out->proto == 17) {
		if (room < LQOS_INET_UDP ||
		    lqos_get16(data + at + 4) < LQOS_INET_UDP ||
		    lqos_get16(data + at + 4) > room)
			return;
		header = LQOS_INET_UDP;
	} else if (out->proto == 1 || out->proto == 58) {
		if (room < LQOS_INET_ICMP)
			return;
		header = LQOS_INET_ICMP;
	} else {
		return;
	}
	out->l4 = at;
	out->payload = at + header;
}

/*
 * 0, or -1: the frame ends within a header, or a length in it is wrong; *out is
 * untouched then.  A frame without IP has version 0, and its type.
 */
static inline int lqos_inet_parse(const uint8_t *data, uint32_t len,
				  struct lqos_inet *out)
{
	struct lqos_inet in;
	uint32_t at = LQOS_INET_ETHER;

	memset(&in, 0, sizeof(in));
	if (len < at)
		return -1;
	in.type = lqos_get16(data + 12);
	for (int i = 0;
	     in.type == 0x8100 || in.type == 0x88a8 || in.type == 0x9100; i++) {
		if (i == LQOS_INET_TAGS_MAX || len - at < LQOS_INET_TAG)
			return -1;
		in.type = lqos_get16(data + at + 2);
		at += LQOS_INET_TAG;
	}
	in.l3 = at;
	in.end = len;
	if (in.type == 0x0800) {
		uint32_t header, total;

		if (len - at < LQOS_INET_IPV4)
			return -1;
		header = (data[at] & 0x0f) * 4U;
		total = lqos_get16(data + at + 2);
		if (data[at] >> 4 != 4 || header < LQOS_INET_IPV4 ||
		    total < header || total > len - at)
			return -1;
		in.version = 4;
		in.proto = data[at + 9];
		in.fragment = lqos_get16(data + at + 6) & 0x3fff;
		in.end = at + total;
		at += header;
	} else if (in.type == 0x86dd) {
		uint32_t payload;

		if (len - at < LQOS_INET_IPV6 || data[at] >> 4 != 6)
			return -1;
		payload = lqos_get16(data + at + 4);
		if (payload > len - at - LQOS_INET_IPV6)
			return -1;
		in.version = 6;
		in.proto = data[at + 6];
		at += LQOS_INET_IPV6;
		in.end = at + payload;
		at = lqos_inet_extensions(data, at, in.end, &in.proto,
					  &in.fragment);
		if (!at)
			return -1;
	}
	if (in.version)
		lqos_inet_l4(data, at, &in);
	*out = in;
	return 0;
}

/* The Internet checksum (RFC 1071) goes on: sum is 0, or what it was so far. */
static inline uint32_t lqos_inet_sum(uint32_t sum, const uint8_t *data,
				     uint32_t len)
{
	uint64_t wide = sum;

	for (; len > 1; data += 2, len -= 2)
		wide += lqos_get16(data);
	if (len)
		wide += (uint32_t)*data << 8;
	while (wide >> 16)
		wide = (wide & 0xffff) + (wide >> 16);
	return (uint32_t)wide;
}

/* What is to be written, of a sum. */
static inline uint16_t lqos_inet_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Where the L4 header has its checksum; 0: it has none. */
static inline uint32_t lqos_inet_checksum_at(const struct lqos_inet *in)
{
	return !in->l4		 ? 0
	       : in->proto == 6	 ? in->l4 + 16
	       : in->proto == 17 ? in->l4 + 6
				 : in->l4 + 2;
}

/* Bytes that the L4 checksum covers: UDP has a length of its own. */
static inline uint32_t lqos_inet_l4_len(const uint8_t *data,
					const struct lqos_inet *in)
{
	return in->proto == 17 ? lqos_get16(data + in->l4 + 4)
			       : in->end - in->l4;
}

/* The sum over what the L4 checksum covers, the checksum itself and pseudo
 * headers included: 0xffff where it is right. */
static inline uint32_t lqos_inet_l4_sum(const uint8_t *data,
					const struct lqos_inet *in)
{
	uint32_t len = lqos_inet_l4_len(data, in), sum = 0;

	if (in->proto != 1) { /* RFC 792 has no pseudo header */
		sum = in->proto + (len >> 16) + (len & 0xffff);
		sum = in->version == 4
			      ? lqos_inet_sum(sum, data + in->l3 + 12, 8)
			      : lqos_inet_sum(sum, data + in->l3 + 8, 32);
	}
	return lqos_inet_sum(sum, data + in->l4, len);
}

/* Is the L4 checksum right?  One of 0 says that there is none: UDP over IPv4
 * (RFC 768). */
static inline bool lqos_inet_l4_ok(const uint8_t *data,
				   const struct lqos_inet *in)
{
	if (in->proto == 17 && in->version == 4 &&
	    !lqos_get16(data + in->l4 + 6))
		return true;
	return lqos_inet_l4_sum(data, in) == 0xffff;
}

/* Write the checksums of the L4 header and, for IPv4, of the IP header. */
static inline void lqos_inet_set_checksums(uint8_t *data,
					   const struct lqos_inet *in)
{
	uint32_t at = lqos_inet_checksum_at(in);

	if (in->version == 4) {
		lqos_put16(data + in->l3 + 10, 0);
		lqos_put16(
			data + in->l3 + 10,
			lqos_inet_fold(lqos_inet_sum(
				0, data + in->l3, (data[in->l3] & 0x0f) * 4U)));
	}
	if (at) {
		uint16_t sum;

		lqos_put16(data + at, 0);
		sum = lqos_inet_fold(lqos_inet_l4_sum(data, in));
		/* UDP: 0 would say that there is none. */
		lqos_put16(data + at, sum || in->proto != 17 ? sum : 0xffff);
	}
}

#endif /* LQOS_INET_H */
