/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers, made of the frames that asked.
 *
 * Sources: RFC 826 and 5227 (ARP), 792 and 1122 (ICMP), 4443 (ICMPv6), 4861
 * (neighbour discovery), 862 (echo), 8200 (IPv6); CERT CA-1996-01 (echo loops).
 */
#include <netinet/in.h>

#include "core/lqos/inet.h"
#include "modules/echo/reply.h"

enum {
	MAC = 6,
	FRAME_MIN = 60, /* of Ethernet, without FCS */
	HOP_LIMIT = 64,
	ND_HOP_LIMIT = 255, /* nobody further away can send this */
	ND_LEN = 24,	    /* of both messages, without options */
	ND_OPTION = 8,	    /* one that holds a MAC */
};

enum { ICMP_REPLY = 0, ICMP_ECHO = 8 };
enum { ICMPV6_ECHO = 128, ICMPV6_REPLY, ND_SOLICIT = 135, ND_ADVERT };

struct question {
	uint8_t *data;
	uint32_t len, room;
	const struct echo_self *self;
	struct lqos_inet in;
	const uint8_t *to; /* the MAC that is answered */
};

/* ---- Addresses ----------------------------------------------------------- */

static bool mac_is_own(const struct question *q, const uint8_t *mac)
{
	return !memcmp(mac, q->self->mac, MAC);
}

/* Of one host, which is not this one. */
static bool mac_can_ask(const struct question *q, const uint8_t *mac)
{
	static const uint8_t none[MAC];

	return !(mac[0] & 1) && memcmp(mac, none, MAC) && !mac_is_own(q, mac);
}

static bool is_own(const struct echo_self *self, uint8_t version,
		   const uint8_t *address)
{
	uint32_t i;

	for (i = 0; i < self->n; i++)
		if (self->addresses[i].version == version &&
		    !memcmp(self->addresses[i].bytes, address,
			    version == 4 ? 4 : 16))
			return true;
	return false;
}

static bool is_unspecified(const uint8_t *v6)
{
	static const uint8_t unspecified[16];

	return !memcmp(v6, unspecified, 16);
}

static bool is_loopback(const uint8_t *v6)
{
	static const uint8_t loopback[16] = {[15] = 1};

	return !memcmp(v6, loopback, 16);
}

/* Neither of this host nor of many, and not one that stays within a host. */
static bool can_ask(const struct question *q, const uint8_t *from)
{
	if (is_own(q->self, q->in.version ?: 4, from))
		return false;
	if (q->in.version == 6)
		return from[0] != 0xff && !is_unspecified(from) &&
		       !is_loopback(from);
	return from[0] && from[0] != 127 && from[0] < 224;
}

static bool is_solicited_node(const uint8_t *group, const uint8_t *target)
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, [12] = 0xff};

	return !memcmp(group, prefix, 13) &&
	       !memcmp(group + 13, target + 13, 3);
}

static void swap(uint8_t *a, uint8_t *b, uint32_t n)
{
	uint8_t kept[16];

	memcpy(kept, a, n);
	memcpy(a, b, n);
	memcpy(b, kept, n);
}

/* ---- ARP ----------------------------------------------------------------- */

static enum echo_verdict arp(struct question *q)
{
	static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, MAC, 4};
	static const uint8_t everybody[MAC] = {255, 255, 255, 255, 255, 255};
	static const uint8_t nobody[4];
	uint8_t *arp = q->data + q->in.l3, *sender = arp + 8;
	uint8_t *target = arp + 18; /* MAC and address, as the sender's */
	uint8_t own[4];

	if (q->len - q->in.l3 < LQOS_INET_ARP)
		return ECHO_MALFORMED;
	if (memcmp(arp, ethernet_ipv4, sizeof(ethernet_ipv4)) ||
	    lqos_get16(arp + 6) != 1)
		return ECHO_OTHER;
	if (!is_own(q->self, 4, target + MAC) ||
	    (!mac_is_own(q, q->data) && memcmp(q->data, everybody, MAC)))
		return ECHO_NOT_OURS;
	/* Who asks without an address wants to have this one. */
	if (!mac_can_ask(q, sender) ||
	    (memcmp(sender + MAC, nobody, 4) && !can_ask(q, sender + MAC)))
		return ECHO_SOURCE;
	memcpy(own, target + MAC, 4);
	memcpy(target, sender, MAC + 4);
	memcpy(sender, q->self->mac, MAC);
	memcpy(sender + MAC, own, 4);
	lqos_put16(arp + 6, 2);
	q->in.end = q->in.l3 + LQOS_INET_ARP;
	return ECHO_ARP;
}

/* ---- Neighbour discovery ------------------------------------------------- */

/* Are the options of a solicitation whole?  *source: one names its sender. */
static bool nd_options(const uint8_t *at, const uint8_t *end, bool *source)
{
	*source = false;
	while (at < end) {
		if (end - at < ND_OPTION || !at[1] || end - at < at[1] * 8)
			return false;
		*source |= at[0] == 1;
		at += at[1] * 8;
	}
	return true;
}

static void nd_advert(struct question *q, bool duplicate)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t all_macs[MAC] = {0x33, 0x33, [5] = 1};
	uint8_t *ip = q->data + q->in.l3, *icmp = ip + LQOS_INET_IPV6;
	uint8_t *option = icmp + ND_LEN, target[16];

	memcpy(target, q->data + q->in.l4 + 8, 16);
	lqos_put32(ip, 0x60000000);
	lqos_put16(ip + 4, ND_LEN + ND_OPTION);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = ND_HOP_LIMIT;
	memcpy(ip + 24, duplicate ? all_nodes : ip + 8, 16);
	memcpy(ip + 8, target, 16);
	icmp[0] = ND_ADVERT;
	icmp[1] = 0;
	/* Override; solicited: not when it is told to all. */
	lqos_put32(icmp + 4, duplicate ? 0x20000000 : 0x60000000);
	memcpy(icmp + 8, target, 16);
	option[0] = 2; /* target's link-layer address */
	option[1] = 1;
	memcpy(option + 2, q->self->mac, MAC);
	q->in.l4 = q->in.l3 + LQOS_INET_IPV6;
	q->in.end = q->in.l4 + ND_LEN + ND_OPTION;
	if (duplicate)
		q->to = all_macs;
}

/* RFC 4861, 7.1.1: what is to be ignored. */
static enum echo_verdict nd(struct question *q)
{
	const uint8_t *ip = q->data + q->in.l3, *icmp = q->data + q->in.l4;
	const uint8_t *end = q->data + q->in.end, *target = icmp + 8;
	bool source, duplicate = is_unspecified(ip + 8);

	if (ip[7] != ND_HOP_LIMIT)
		return ECHO_AFAR;
	if (icmp[1] || end - icmp < ND_LEN ||
	    !nd_options(icmp + ND_LEN, end, &source))
		return ECHO_MALFORMED;
	if (!is_own(q->self, 6, target) ||
	    (!mac_is_own(q, q->data) && lqos_get16(q->data) != 0x3333))
		return ECHO_NOT_OURS;
	if (!is_solicited_node(ip + 24, target)) {
		if (duplicate)
			return ECHO_MALFORMED;
		if (!is_own(q->self, 6, ip + 24))
			return ECHO_NOT_OURS;
	}
	if (duplicate && source)
		return ECHO_MALFORMED;
	if (!duplicate && !can_ask(q, ip + 8))
		return ECHO_SOURCE;
	if (!lqos_inet_l4_ok(q->data, &q->in))
		return ECHO_CHECKSUM;
	if (q->in.l3 + LQOS_INET_IPV6 + ND_LEN + ND_OPTION > q->room)
		return ECHO_NO_ROOM;
	nd_advert(q, duplicate);
	lqos_inet_set_checksums(q->data, &q->in);
	return ECHO_ND;
}

/* ---- Echo ---------------------------------------------------------------- */

/* A sender that leaves the checksum to its interface has summed the pseudo
 * header, and what goes over a virtual wire stays so. */
static bool is_partial(const struct question *q)
{
	const uint8_t *ip = q->data + q->in.l3;
	uint32_t sum = IPPROTO_UDP + lqos_inet_l4_len(q->data, &q->in);

	sum = q->in.version == 4 ? lqos_inet_sum(sum, ip + 12, 8)
				 : lqos_inet_sum(sum, ip + 8, 32);
	return lqos_get16(q->data + q->in.l4 + 6) == sum;
}

static bool checksums_ok(const struct question *q)
{
	const uint8_t *ip = q->data + q->in.l3;

	if (q->in.version == 4 &&
	    lqos_inet_sum(0, ip, (ip[0] & 0x0f) * 4U) != 0xffff)
		return false;
	if (q->in.proto != IPPROTO_UDP)
		return lqos_inet_l4_ok(q->data, &q->in);
	if (q->in.version == 6 && !lqos_get16(q->data + q->in.l4 + 6))
		return false; /* IPv6 has no UDP without one */
	return lqos_inet_l4_ok(q->data, &q->in) || is_partial(q);
}

/* Has a routing header sent it here on its way to somewhere else? */
static bool goes_on(const struct question *q)
{
	const uint8_t *ip = q->data + q->in.l3, *at = ip + LQOS_INET_IPV6;
	uint8_t proto = ip[6], next;

	/* Up to there all headers are whole: they have been parsed. */
	for (; at < q->data + q->in.l4; proto = next) {
		if (proto == IPPROTO_ROUTING && at[3])
			return true;
		next = at[0];
		at += proto == IPPROTO_FRAGMENT ? 8
		      : proto == IPPROTO_AH	? (at[1] + 2) * 4
						: (at[1] + 1) * 8;
	}
	return false;
}

/* Ports that answer whatever comes: echo, daytime, quote of the day, chargen,
 * time. */
static bool answers_always(const struct question *q, uint16_t port)
{
	return port == q->self->udp_port || port == 7 || port == 13 ||
	       port == 17 || port == 19 || port == 37;
}

/* Is it a question?  Else the verdict says why not. */
static enum echo_verdict icmp_question(const struct question *q)
{
	const uint8_t *icmp = q->data + q->in.l4;
	bool v4 = q->in.version == 4;

	if (icmp[0] != (v4 ? ICMP_ECHO : ICMPV6_ECHO) || icmp[1])
		return ECHO_OTHER;
	return v4 ? ECHO_ICMP : ECHO_ICMPV6;
}

static enum echo_verdict udp_question(const struct question *q)
{
	const uint8_t *udp = q->data + q->in.l4;
	uint16_t from = lqos_get16(udp);

	if (lqos_get16(udp + 2) != q->self->udp_port)
		return ECHO_OTHER;
	if (!from)
		return ECHO_SOURCE;
	return answers_always(q, from) ? ECHO_LOOP : ECHO_UDP;
}

/* Options and extension headers were the asker's, and are not answered with. */
static void strip(struct question *q)
{
	uint32_t header = q->in.version == 4 ? LQOS_INET_IPV4 : LQOS_INET_IPV6;
	uint32_t l4 = q->in.l3 + header, more = q->in.l4 - l4;

	if (!more)
		return;
	memmove(q->data + l4, q->data + q->in.l4, q->in.end - q->in.l4);
	q->in.l4 = l4;
	q->in.end -= more;
}

/* The identification and DF stay: what is unique on the way here is so on the
 * way back.  ECN bits are for those who react to them. */
static void turn_ip(struct question *q)
{
	uint8_t *ip = q->data + q->in.l3;
	uint32_t len = q->in.end - q->in.l3;

	if (q->in.version == 4) {
		ip[0] = 0x45;
		ip[1] &= 0xfc;
		lqos_put16(ip + 2, (uint16_t)len);
		ip[8] = HOP_LIMIT;
		swap(ip + 12, ip + 16, 4);
	} else {
		lqos_put32(ip, 0x60000000 | (lqos_get32(ip) & 0x0fc00000));
		lqos_put16(ip + 4, (uint16_t)(len - LQOS_INET_IPV6));
		ip[6] = q->in.proto;
		ip[7] = HOP_LIMIT;
		swap(ip + 8, ip + 24, 16);
	}
}

static enum echo_verdict echo(struct question *q)
{
	const uint8_t *ip = q->data + q->in.l3;
	enum echo_verdict verdict;
	bool v4 = q->in.version == 4;
	uint8_t *l4;

	if (!mac_is_own(q, q->data) ||
	    !is_own(q->self, q->in.version, ip + (v4 ? 16 : 24)) ||
	    (!v4 && goes_on(q)))
		return ECHO_NOT_OURS;
	if (!can_ask(q, ip + (v4 ? 12 : 8)))
		return ECHO_SOURCE;
	verdict =
		q->in.proto == IPPROTO_UDP ? udp_question(q) : icmp_question(q);
	if (!echo_is_answer(verdict))
		return verdict;
	if (!checksums_ok(q))
		return ECHO_CHECKSUM;
	strip(q);
	turn_ip(q);
	l4 = q->data + q->in.l4;
	if (q->in.proto == IPPROTO_UDP)
		swap(l4, l4 + 2, 2);
	else
		l4[0] = v4 ? ICMP_REPLY : ICMPV6_REPLY;
	lqos_inet_set_checksums(q->data, &q->in);
	return verdict;
}

static enum echo_verdict ip(struct question *q)
{
	uint8_t icmp = q->in.version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (q->in.proto != IPPROTO_UDP && q->in.proto != icmp)
		return ECHO_OTHER;
	if (q->in.fragment)
		return ECHO_FRAGMENT;
	if (!q->in.l4)
		return ECHO_MALFORMED;
	return q->in.proto == IPPROTO_ICMPV6 && q->data[q->in.l4] == ND_SOLICIT
		       ? nd(q)
		       : echo(q);
}

/* ---- The frame ----------------------------------------------------------- */

enum echo_verdict echo_reply(uint8_t *data, uint32_t *len, uint32_t room,
			     const struct echo_self *self)
{
	struct question q = {
		.data = data,
		.len = *len,
		.room = room,
		.self = self,
		.to = data + MAC,
	};
	enum echo_verdict verdict = ECHO_OTHER;

	if (lqos_inet_parse(data, *len, &q.in))
		return ECHO_MALFORMED;
	if (!mac_can_ask(&q, data + MAC))
		return ECHO_SOURCE;
	if (q.in.type == 0x0806)
		verdict = arp(&q);
	else if (q.in.version)
		verdict = ip(&q);
	if (!echo_is_answer(verdict))
		return verdict;
	memcpy(data, q.to, MAC);
	memcpy(data + MAC, self->mac, MAC);
	/* Padding is nobody's old bytes. */
	for (*len = q.in.end; *len < FRAME_MIN && *len < room; ++*len)
		data[*len] = 0;
	return verdict;
}
