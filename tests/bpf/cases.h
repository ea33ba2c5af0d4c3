/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cases.h - what the parser meets: everything that may lie between Ethernet and
 * IP, everything that may be an IP packet, and frames that are neither.  Each
 * of the first with each of the second is a packet.
 */
#ifndef TESTS_BPF_CASES_H
#define TESTS_BPF_CASES_H

#include "bpf/datapath.h"
#include "tests/bpf/packet.h"

enum { CASE_IPV4 = 1, CASE_IPV6 = 2, CASE_BOTH = 3, CASE_NO_L4 = -1 };

/* Between Ethernet and IP. */
struct encapsulation {
	const char *name;
	uint32_t layers[PACKET_LAYERS];
	uint8_t len;
};

/* An IP packet. */
struct payload {
	const char *name;
	uint32_t layers[PACKET_LAYERS];
	uint8_t families;
	uint8_t flags; /* besides direction and version */
	uint8_t proto; /* ICMP: of IPv4 */
	int l4;	       /* from behind the bare IP header; or CASE_NO_L4 */
	enum dp_counter reason; /* DP_RECEIVED: none */
};

/* A frame whose IP header, if any, is not found. */
struct stranger {
	const char *name;
	uint32_t layers[PACKET_LAYERS];
	enum dp_counter reason;
};

extern const struct encapsulation encapsulations[];
extern const size_t n_encapsulations;
extern const struct payload payloads[];
extern const size_t n_payloads;
extern const struct stranger strangers[];
extern const size_t n_strangers;

/* Layers of an encapsulation, then of what is in it. */
void case_layers(const struct encapsulation *e, const uint32_t *inner,
		 uint32_t *out);

#endif /* TESTS_BPF_CASES_H */
