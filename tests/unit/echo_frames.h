/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* echo_frames.h - questions, as bytes, from 10.0.0.4 and 2001:db8::1. */
#ifndef TESTS_UNIT_ECHO_FRAMES_H
#define TESTS_UNIT_ECHO_FRAMES_H

#include <arpa/inet.h>

#include "core/lqos/inet.h"
#include "modules/echo/reply.h"

enum { FRAME_ROOM = 2048, ETHER = 14 };

struct frame {
	uint8_t data[FRAME_ROOM];
	uint32_t len;
};

#define ASKER_MAC 0x02, 0, 0, 0, 0, 4
#define OWN_MAC	  0x02, 0, 0, 0, 0, 5
#define ASKER4	  10, 0, 0, 4
#define OWN4	  10, 0, 0, 5
#define ASKER6	  0x20, 1, 0x0d, 0xb8, [15] = 1
#define OWN6	  0x20, 1, 0x0d, 0xb8, [15] = 2

static const uint8_t asker_mac[6] = {ASKER_MAC}, own_mac[6] = {OWN_MAC};
static const uint8_t asker4[4] = {ASKER4}, own4[4] = {OWN4};
static const uint8_t asker6[16] = {ASKER6}, own6[16] = {OWN6};
static const uint8_t solicited[16] = {0xff, 2, [11] = 1, 0xff, 0, 0, 2};
static const uint8_t solicited_mac[6] = {0x33, 0x33, 0xff, 0, 0, 2};

static const struct echo_self self = {
	.mac = {OWN_MAC},
	.udp_port = 7,
	.n = 2,
	.addresses = {{4, {OWN4}}, {6, {OWN6}}},
};

static inline uint8_t *append(struct frame *f, const void *bytes, uint32_t n)
{
	uint8_t *at = f->data + f->len;

	memcpy(at, bytes, n);
	f->len += n;
	return at;
}

static inline uint8_t *append_zeros(struct frame *f, uint32_t n)
{
	uint8_t *at = f->data + f->len;

	memset(at, 0, n);
	f->len += n;
	return at;
}

static inline void ether(struct frame *f, const uint8_t *to, uint16_t type)
{
	f->len = 0;
	append(f, to, 6);
	append(f, asker_mac, 6);
	lqos_put16(append_zeros(f, 2), type);
}

static inline void tag(struct frame *f, uint16_t tpid, uint16_t vid)
{
	uint8_t *type = f->data + f->len - 2;
	uint16_t kept = lqos_get16(type);

	lqos_put16(type, tpid);
	lqos_put16(append_zeros(f, 2), vid);
	lqos_put16(append_zeros(f, 2), kept);
}

static inline void arp_body(struct frame *f)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1};

	append(f, head, sizeof(head));
	append(f, asker_mac, 6);
	append(f, asker4, 4);
	append_zeros(f, 6);
	append(f, own4, 4);
}

/* options: bytes, a multiple of 4. */
static inline void ipv4_header(struct frame *f, uint8_t proto, uint32_t options)
{
	uint8_t *ip = append_zeros(f, 20);

	ip[0] = (uint8_t)(0x45 + options / 4);
	ip[1] = 0xb9; /* DSCP 46, ECT(1) */
	lqos_put16(ip + 4, 0xbeef);
	ip[6] = 0x40;
	ip[8] = 9;
	ip[9] = proto;
	memcpy(ip + 12, asker4, 4);
	memcpy(ip + 16, own4, 4);
	memset(append_zeros(f, options), 1, options); /* no operation */
}

static inline void ipv6_header(struct frame *f, uint8_t proto, uint8_t hops)
{
	uint8_t *ip = append_zeros(f, 40);

	lqos_put32(ip, 0x6b912345); /* class 0xb9, label 0x12345 */
	ip[6] = proto;
	ip[7] = hops;
	memcpy(ip + 8, asker6, 16);
	memcpy(ip + 24, own6, 16);
}

static inline void payload(struct frame *f, uint32_t n)
{
	uint8_t *at = append_zeros(f, n);

	for (uint32_t i = 0; i < n; i++)
		at[i] = (uint8_t)(i * 7 + 3);
}

static inline void icmp_echo(struct frame *f, uint8_t type, uint32_t n)
{
	append_zeros(f, 1)[0] = type;
	append_zeros(f, 3);
	lqos_put32(append_zeros(f, 4), 0x12340007);
	payload(f, n);
}

static inline void udp_echo(struct frame *f, uint32_t n)
{
	uint8_t *udp = append_zeros(f, 8);

	lqos_put16(udp, 40000);
	lqos_put16(udp + 2, 7);
	lqos_put16(udp + 4, (uint16_t)(8 + n));
	payload(f, n);
}

/* Lengths and checksums, where it is an IP packet.  l3: of its header. */
static inline void finish(struct frame *f, uint32_t l3)
{
	uint8_t *ip = f->data + l3;
	struct lqos_inet in;

	if (ip[0] >> 4 == 4)
		lqos_put16(ip + 2, (uint16_t)(f->len - l3));
	else
		lqos_put16(ip + 4, (uint16_t)(f->len - l3 - 40));
	if (!lqos_inet_parse(f->data, f->len, &in))
		lqos_inet_set_checksums(f->data, &in);
}

static inline void arp_request(struct frame *f)
{
	static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};

	ether(f, everybody, 0x0806);
	arp_body(f);
}

static inline void ping4(struct frame *f, uint32_t options, uint32_t n)
{
	ether(f, own_mac, 0x0800);
	ipv4_header(f, 1, options);
	icmp_echo(f, 8, n);
	finish(f, ETHER);
}

static inline void ping6(struct frame *f, uint32_t n)
{
	ether(f, own_mac, 0x86dd);
	ipv6_header(f, 58, 9);
	icmp_echo(f, 128, n);
	finish(f, ETHER);
}

static inline void udp4(struct frame *f, uint32_t n)
{
	ether(f, own_mac, 0x0800);
	ipv4_header(f, 17, 0);
	udp_echo(f, n);
	finish(f, ETHER);
}

static inline void udp6(struct frame *f, uint32_t n)
{
	ether(f, own_mac, 0x86dd);
	ipv6_header(f, 17, 9);
	udp_echo(f, n);
	finish(f, ETHER);
}

/* source: with an option that says it; duplicate: is that address in use? */
static inline void solicit(struct frame *f, bool source, bool duplicate)
{
	static const uint8_t option[] = {1, 1, ASKER_MAC};
	uint8_t *ip;

	ether(f, solicited_mac, 0x86dd);
	ipv6_header(f, 58, 255);
	ip = f->data + ETHER;
	memcpy(ip + 24, solicited, 16);
	if (duplicate)
		memset(ip + 8, 0, 16);
	append_zeros(f, 1)[0] = 135;
	append_zeros(f, 7);
	append(f, own6, 16);
	if (source)
		append(f, option, sizeof(option));
	finish(f, ETHER);
}

#endif /* TESTS_UNIT_ECHO_FRAMES_H */
