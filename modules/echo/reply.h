/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reply.h - a frame becomes its answer: ARP, neighbour discovery, ICMP and
 * ICMPv6 echo, UDP echo (RFC 862).  Bytes in, bytes out, and nothing else.
 */
#ifndef MODULES_ECHO_REPLY_H
#define MODULES_ECHO_REPLY_H

#include <stdbool.h>
#include <stdint.h>

enum { ECHO_ADDRESSES_MAX = 16 };

struct echo_address {
	uint8_t version;   /* 4 or 6 */
	uint8_t bytes[16]; /* IPv4: the first four, rest 0 */
};

/* Who answers, on one interface. */
struct echo_self {
	uint8_t mac[6];
	uint16_t udp_port;
	uint32_t n;
	struct echo_address addresses[ECHO_ADDRESSES_MAX];
};

enum echo_verdict {
	ECHO_ARP, /* answered, up to UDP */
	ECHO_ND,
	ECHO_ICMP,
	ECHO_ICMPV6,
	ECHO_UDP,
	ECHO_MALFORMED, /* cut short, or a length in it is wrong */
	ECHO_CHECKSUM,
	ECHO_FRAGMENT,
	ECHO_NOT_OURS, /* for another address, or for many */
	ECHO_SOURCE,   /* from where nobody can be answered */
	ECHO_LOOP,     /* from a port that would answer the answer */
	ECHO_AFAR,     /* neighbour discovery that a router has passed on */
	ECHO_OTHER,    /* asks for nothing of the above */
	ECHO_NO_ROOM,  /* the answer is longer than there is room for */
	ECHO_VERDICTS
};

static inline bool echo_is_answer(enum echo_verdict verdict)
{
	return verdict <= ECHO_UDP;
}

/* The frame of *len bytes is made the answer, of at most room bytes; where
 * there is none, it is untouched. */
enum echo_verdict echo_reply(uint8_t *data, uint32_t *len, uint32_t room,
			     const struct echo_self *self);

#endif /* MODULES_ECHO_REPLY_H */
