/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packet.h - frames for tests, written as a list of layers:
 *
 *	{P_VLAN, P_PPPOE, P_IP, P_TCP, P_DATA(100)}
 *
 * Each layer names its follower by itself; lengths and checksums are right
 * unless a layer says otherwise.
 */
#ifndef TESTS_BPF_PACKET_H
#define TESTS_BPF_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACKET_MAX = 2048, PACKET_LAYERS = 24 };

enum packet_kind {
	PACKET_END,
	PACKET_TAG,
	PACKET_PPPOE,
	PACKET_MPLS,
	PACKET_TYPE,
	PACKET_LLC,
	PACKET_IP,
	PACKET_BYTE0,
	PACKET_EXTENSION,
	PACKET_FRAGMENT,
	PACKET_PROTO,
	PACKET_TCP,
	PACKET_UDP,
	PACKET_ICMP,
	PACKET_DATA,
	PACKET_BYTES,
	PACKET_PAD,
};

enum packet_fragment {
	PACKET_FIRST,
	PACKET_MIDDLE,
	PACKET_LAST,
	PACKET_ATOMIC
};

#define P_LAYER(kind_, arg_) ((uint32_t)(kind_) | (uint32_t)(arg_) << 8)
#define P_TAG(tpid_)	     P_LAYER(PACKET_TAG, tpid_)
#define P_VLAN		     P_TAG(0x8100)
#define P_SVLAN		     P_TAG(0x88a8)
#define P_PPPOE		     P_LAYER(PACKET_PPPOE, 0)
/* The code instead of that of session data (0). */
#define P_PPPOE_CODE(code_) P_LAYER(PACKET_PPPOE, code_)
#define P_MPLS		    P_LAYER(PACKET_MPLS, 0)
/* An ethertype, or behind PPPoE a PPP protocol, without a header of its own. */
#define P_TYPE(type_) P_LAYER(PACKET_TYPE, type_)
/* IEEE 802.3 length and LLC with DSAP and SSAP. */
#define P_LLC(sap_) P_LAYER(PACKET_LLC, sap_)
/* IPv4 or IPv6, as the ends say. */
#define P_IP		     P_LAYER(PACKET_IP, 0)
#define P_IP_OPTIONS(words_) P_LAYER(PACKET_IP, words_)
/* Version and header length of the IP header above, as they should not be; not
 * 0. */
#define P_BYTE0(byte_) P_LAYER(PACKET_BYTE0, byte_)
/* IPv6: length in units of 8 bytes, or for AH of 4. */
#define P_EXTENSION(proto_, len_) \
	P_LAYER(PACKET_EXTENSION, (proto_) | (len_) << 8)
#define P_HOPOPTS	   P_EXTENSION(0, 1)
#define P_ROUTING	   P_EXTENSION(43, 3)
#define P_DSTOPTS	   P_EXTENSION(60, 2)
#define P_MOBILITY	   P_EXTENSION(135, 1)
#define P_AH		   P_EXTENSION(51, 6)
#define P_FRAGMENT(which_) P_LAYER(PACKET_FRAGMENT, which_)
/* An IP protocol without a header of its own. */
#define P_PROTO(proto_)	      P_LAYER(PACKET_PROTO, proto_)
#define P_TCP		      P_LAYER(PACKET_TCP, 0)
#define P_TCP_OPTIONS(words_) P_LAYER(PACKET_TCP, words_)
#define P_UDP		      P_LAYER(PACKET_UDP, 0)
#define P_ICMP		      P_LAYER(PACKET_ICMP, 0)
#define P_DATA(len_)	      P_LAYER(PACKET_DATA, len_)
/* Two bytes, the higher first. */
#define P_BYTES(bytes_) P_LAYER(PACKET_BYTES, bytes_)
/* Bytes that belong to the frame, but to no packet in it. */
#define P_PAD(len_) P_LAYER(PACKET_PAD, len_)

/* Addresses in network order; IPv4 in the first 4 bytes. */
struct packet_ends {
	bool ipv6;
	uint8_t src[16];
	uint8_t dst[16];
};

struct packet {
	uint8_t data[PACKET_MAX];
	size_t len;
	size_t l3_off; /* 0: no IP header */
};

/* Layers end with a 0 or after PACKET_LAYERS.  Aborts on what cannot be built:
 * a test's mistake. */
void packet_build(struct packet *p, const struct packet_ends *ends,
		  const uint32_t *layers);
/* Text to address. */
void packet_ends_set(struct packet_ends *ends, const char *src,
		     const char *dst);

#endif /* TESTS_BPF_PACKET_H */
