/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow_packets.c - the packets of a set: whose, in what order. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bench/flow_set.h"
#include "tests/bench/flows.h"

#include "tests/bench/flows.skel.h"

enum { SERVERS = 4096 };

/* The same numbers each time. */
static uint32_t chance(uint32_t below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((state >> 32) * below >> 32);
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

static void put16(uint8_t *at, uint16_t value)
{
	value = htons(value);
	memcpy(at, &value, sizeof(value));
}

void subscriber_address(bool ipv6, uint32_t subscriber, uint8_t *out)
{
	memset(out, 0, 16);
	put32(out, ipv6 ? 0x20010db8 : 0x64400000 + subscriber);
	if (!ipv6)
		return;
	put32(out + 4, subscriber);
	out[15] = 1;
}

static void server_address(bool ipv6, uint32_t server, uint8_t *out)
{
	memset(out, 0, 16);
	put32(out, ipv6 ? 0x20010db9 : 0xc6120000 + server);
	if (ipv6)
		put32(out + 12, server);
}

/* A segment of data down, or an ACK up.  sent: how many of its flow went before
 * it in the round. */
static void write_packet(const struct kind *kind, uint32_t flow, bool up,
			 uint32_t sent, struct fs_packet *out)
{
	const uint32_t data[PACKET_LAYERS] = {P_IP, P_TCP_OPTIONS(3),
					      P_DATA(PAYLOAD), P_PAD(FRAME)};
	const uint32_t ack[PACKET_LAYERS] = {P_IP, P_TCP_OPTIONS(3),
					     P_PAD(FRAME)};
	uint32_t subscriber = flow % kind->subscribers, tcp_off;
	uint32_t lag = kind->flight ? FLIGHT : 0, first = flow * 2654435761U;
	struct packet_ends ends = {.ipv6 = kind->ipv6};
	struct packet p;
	uint8_t *tcp;

	subscriber_address(kind->ipv6, subscriber, up ? ends.src : ends.dst);
	server_address(kind->ipv6, flow % SERVERS, up ? ends.dst : ends.src);
	packet_build(&p, &ends, up ? ack : data);
	tcp_off = (uint32_t)p.l3_off + (kind->ipv6 ? 40 : 20);
	tcp = p.data + tcp_off;
	put16(tcp, 443);
	put16(tcp + 2, 443);
	put16(up ? tcp : tcp + 2, (uint16_t)(1024 + flow / kind->subscribers));
	put32(tcp + 4, up ? 1000 : first + sent * PAYLOAD);
	put32(tcp + 8, up ? first + (sent - lag) * PAYLOAD : 1000);
	put32(tcp + 20, 0x0101080a);
	/* The ACK echoes what it answers, and that of the round before is what
	 * data echo. */
	put32(tcp + 24, up ? 500000 : 700000);
	put32(tcp + 28, !up	       ? 500000 - 1
			: kind->flight ? 700000 - FLIGHT / 2
			: sent	       ? 700000
				       : 700000 - 1);
	memcpy(out->headers, p.data, FS_HEADERS);
	out->up = up;
	out->meta = (struct lqos_packet){
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.flags = LQOS_PACKET_IP | (up ? LQOS_PACKET_UP : 0) |
			 (kind->ipv6 ? LQOS_PACKET_IPV6 : 0),
		.l3_off = (uint8_t)p.l3_off,
		.l4_proto = 6,
		.l4_off = (uint16_t)tcp_off,
		.slot = 1 + subscriber,
		.handle = 0x10003,
	};
}

uint32_t data_each(const struct kind *kind)
{
	return kind->flight ? 2 : 1;
}

/* Flows in random order, each as often as it has packets: those of data, then
 * an ACK somewhere among them. */
int fill(struct set *set)
{
	uint32_t each = data_each(set->kind) + 1, flows = set->kind->flows, i;
	autofree uint32_t *order = calloc(set->packets, sizeof(*order));
	autofree uint8_t *seen = calloc(flows, 1);
	autofree uint8_t *turn = calloc(flows, 1);
	int fd = bpf_map__fd(set->driver->maps.fs_array), rc = 0;
	struct fs_packet p;

	if (!order || !seen || !turn)
		return -ENOMEM;
	for (i = 0; i < set->packets; i++)
		order[i] = i % flows;
	for (i = set->packets; i > 1; i--) {
		uint32_t other = chance(i), flow = order[i - 1];

		order[i - 1] = order[other];
		order[other] = flow;
	}
	for (i = 0; i < flows; i++)
		turn[i] = (uint8_t)chance(each);
	for (i = 0; !rc && i < set->packets; i++) {
		uint32_t flow = order[i], at = seen[flow]++;
		bool up = at == turn[flow];

		write_packet(set->kind, flow, up,
			     at - (at > turn[flow] ? 1 : 0), &p);
		rc = bpf_map_update_elem(fd, &i, &p, 0);
	}
	return rc;
}
