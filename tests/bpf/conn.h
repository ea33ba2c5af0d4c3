/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conn.h - conversations of a subscriber, packet by packet, through the core's
 * programs and on to the observers.
 */
#ifndef TESTS_BPF_CONN_H
#define TESTS_BPF_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bpf/datapath.h"

enum {
	CONN_ICMP = 1,
	CONN_TCP = 6,
	CONN_UDP = 17,
	CONN_ICMPV6 = 58,
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	ACK = 0x10,
};

/* 0: TCP without tags. */
struct conn {
	const char *subs, *remote;
	uint16_t subs_port; /* of an echo: its identifier */
	uint16_t remote_port;
	uint8_t proto;
	uint16_t vlan; /* its outer tag */
	bool pppoe;    /* ... and PPPoE in it */
};

/* One packet of it. */
struct sent {
	enum lqos_direction way;
	uint8_t flags; /* TCP */
	uint8_t tos;
	uint8_t icmp;		/* the type; 0: an echo request */
	uint16_t number;	/* of an echo */
	uint32_t seq, ack;	/* TCP */
	uint32_t len;		/* of the payload */
	uint32_t tsval, tsecr;	/* TCP: both 0: no timestamps */
	const uint8_t *payload; /* NULL: anything */
};

enum { CONN_ECHO_REPLY = 255 }; /* as sent.icmp, whatever the IP version */

void conn_frame(const struct conn *c, const struct sent *s, struct packet *p);

/* Chains the stages, with prog behind them: of the observe stage, or of its
 * twin where there is one interface.  0 or -errno. */
int conn_wire(struct datapath *dp, const struct bpf_program *prog);

/* The descriptor as the observers have it. */
struct lqos_packet conn_pass(struct datapath *dp, const struct conn *c,
			     const struct sent *s);
/* Of a GSO super-segment, one interface only: payload of each segment. */
struct lqos_packet conn_pass_gso(struct datapath *dp, const struct conn *c,
				 const struct sent *s, uint32_t size);
/* A frame of any kind. */
struct lqos_packet conn_pass_frame(struct datapath *dp, enum lqos_direction way,
				   const struct packet *p, uint32_t gso_size);

/* ns of CLOCK_MONOTONIC_COARSE, as the programs see it. */
uint64_t conn_now(void);
void conn_sleep_ms(unsigned int ms);

#endif /* TESTS_BPF_CONN_H */
