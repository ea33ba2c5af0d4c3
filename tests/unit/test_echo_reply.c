/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is answered, with which bytes, and what is not, and why. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/echo_frames.h"

enum { L4_4 = ETHER + 20, L4_6 = ETHER + 40 };

/* The frame with which it was asked, and what became of it. */
static struct frame asked, got;

static enum echo_verdict ask_of(const struct echo_self *who, uint32_t room)
{
	enum echo_verdict verdict;

	memset(asked.data + asked.len, 0xa5, FRAME_ROOM - asked.len);
	got = asked;
	verdict = echo_reply(got.data, &got.len, room, who);
	/* Who is not answered goes away as he came. */
	if (!echo_is_answer(verdict)) {
		assert_int_equal(got.len, asked.len);
		assert_memory_equal(got.data, asked.data, FRAME_ROOM);
	} else {
		assert_in_range(got.len, 60, room);
		assert_memory_equal(got.data + 6, own_mac, 6);
	}
	return verdict;
}

static enum echo_verdict ask(void)
{
	return ask_of(&self, FRAME_ROOM);
}

/* The answer is an IP packet, and its checksums are right. */
static struct lqos_inet answered(enum echo_verdict verdict)
{
	struct lqos_inet in;

	assert_int_equal(ask(), verdict);
	assert_int_equal(lqos_inet_parse(got.data, got.len, &in), 0);
	assert_true(in.l4);
	assert_int_equal(lqos_inet_l4_sum(got.data, &in), 0xffff);
	if (in.version == 4)
		assert_int_equal(lqos_inet_sum(0, got.data + in.l3, 20),
				 0xffff);
	return in;
}

static void same_payload(const struct lqos_inet *in, uint32_t from, uint32_t n)
{
	assert_int_equal(in->end - in->payload, n);
	assert_memory_equal(got.data + in->payload, asked.data + from, n);
}

/* ---- ARP ----------------------------------------------------------------- */

static void arp(void **state)
{
	const uint8_t *reply = got.data + ETHER;
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 2};

	(void)state;
	arp_request(&asked);
	assert_int_equal(ask(), ECHO_ARP);
	assert_int_equal(got.len, 60);
	assert_memory_equal(got.data, asker_mac, 6);
	assert_memory_equal(reply, head, sizeof(head));
	assert_memory_equal(reply + 8, own_mac, 6);
	assert_memory_equal(reply + 14, own4, 4);
	assert_memory_equal(reply + 18, asker_mac, 6);
	assert_memory_equal(reply + 24, asker4, 4);
	for (int i = 28; i < 46; i++)
		assert_int_equal(reply[i], 0);
	/* Is it still there?  That goes to one host. */
	memcpy(asked.data, own_mac, 6);
	assert_int_equal(ask(), ECHO_ARP);
	/* Does anybody have it? */
	memset(asked.data + ETHER + 14, 0, 4);
	assert_int_equal(ask(), ECHO_ARP);
	assert_memory_equal(reply + 24, asked.data + ETHER + 14, 4);
}

static void no_arp(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t byte;
		enum echo_verdict verdict;
	} wrong[] = {
		{1, 6, ECHO_OTHER}, /* token ring */
		{2, 9, ECHO_OTHER},	{4, 8, ECHO_OTHER},
		{5, 6, ECHO_OTHER},	{7, 2, ECHO_OTHER},  /* a reply */
		{27, 6, ECHO_NOT_OURS}, {8, 3, ECHO_SOURCE}, /* of a group */
		{13, 5, ECHO_SOURCE},			     /* our own MAC */
		{17, 5, ECHO_SOURCE}, /* our own address */
		{14, 224, ECHO_SOURCE}, {14, 255, ECHO_SOURCE},
		{14, 127, ECHO_SOURCE}, {14, 0, ECHO_SOURCE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		arp_request(&asked);
		asked.data[ETHER + wrong[i].at] = wrong[i].byte;
		assert_int_equal(ask(), wrong[i].verdict);
	}
	arp_request(&asked);
	asked.data[5] = 9;
	assert_int_equal(ask(), ECHO_NOT_OURS);
	arp_request(&asked);
	while (asked.len-- > 14)
		assert_int_equal(ask(), ECHO_MALFORMED);
}

/* ---- Echo ---------------------------------------------------------------- */

static void ping(void **state)
{
	static const uint32_t sizes[] = {0, 1, 56, 57, 1471, 1472};
	struct lqos_inet in;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ping4(&asked, 0, sizes[i]);
		in = answered(ECHO_ICMP);
		same_payload(&in, L4_4 + 8, sizes[i]);
		assert_memory_equal(got.data, asker_mac, 6);
		assert_int_equal(got.data[ETHER + 1], 0xb8);
		assert_int_equal(lqos_get16(got.data + ETHER + 4), 0xbeef);
		assert_int_equal(got.data[ETHER + 6], 0x40);
		assert_int_equal(got.data[ETHER + 8], 64);
		assert_memory_equal(got.data + ETHER + 12, own4, 4);
		assert_memory_equal(got.data + ETHER + 16, asker4, 4);
		assert_int_equal(got.data[in.l4], 0);
		assert_int_equal(lqos_get32(got.data + in.l4 + 4), 0x12340007);
		ping6(&asked, sizes[i] > 20 ? sizes[i] - 20 : sizes[i]);
		in = answered(ECHO_ICMPV6);
		same_payload(&in, L4_6 + 8,
			     sizes[i] > 20 ? sizes[i] - 20 : sizes[i]);
		assert_int_equal(lqos_get32(got.data + ETHER), 0x6b800000);
		assert_int_equal(got.data[ETHER + 7], 64);
		assert_memory_equal(got.data + ETHER + 8, own6, 16);
		assert_memory_equal(got.data + ETHER + 24, asker6, 16);
		assert_int_equal(got.data[in.l4], 129);
		assert_int_equal(lqos_get32(got.data + in.l4 + 4), 0x12340007);
	}
}

static void udp(void **state)
{
	static const uint32_t sizes[] = {0, 1, 18, 1471, 1472};
	struct lqos_inet in;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		udp4(&asked, sizes[i]);
		in = answered(ECHO_UDP);
		same_payload(&in, L4_4 + 8, sizes[i]);
		assert_int_equal(lqos_get16(got.data + in.l4), 7);
		assert_int_equal(lqos_get16(got.data + in.l4 + 2), 40000);
		udp6(&asked, sizes[i] > 20 ? sizes[i] - 20 : sizes[i]);
		in = answered(ECHO_UDP);
		same_payload(&in, L4_6 + 8,
			     sizes[i] > 20 ? sizes[i] - 20 : sizes[i]);
		assert_int_equal(lqos_get16(got.data + in.l4), 7);
	}
}

static void udp_port(void **state)
{
	struct echo_self other = self;

	(void)state;
	other.udp_port = 5007;
	udp4(&asked, 10);
	assert_int_equal(ask_of(&other, FRAME_ROOM), ECHO_OTHER);
	lqos_put16(asked.data + L4_4 + 2, 5007);
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_OTHER);
	assert_int_equal(ask_of(&other, FRAME_ROOM), ECHO_UDP);
	lqos_put16(asked.data + L4_4, 5007);
	finish(&asked, ETHER);
	assert_int_equal(ask_of(&other, FRAME_ROOM), ECHO_LOOP);
}

static void udp_loops(void **state)
{
	static const uint16_t ports[] = {7, 13, 17, 19, 37};

	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		udp4(&asked, 10);
		lqos_put16(asked.data + L4_4, ports[i]);
		finish(&asked, ETHER);
		assert_int_equal(ask(), ECHO_LOOP);
		udp6(&asked, 10);
		lqos_put16(asked.data + L4_6, ports[i]);
		finish(&asked, ETHER);
		assert_int_equal(ask(), ECHO_LOOP);
	}
	lqos_put16(asked.data + L4_6, 0);
	assert_int_equal(ask(), ECHO_SOURCE);
}

static void checksums(void **state)
{
	struct lqos_inet in;

	(void)state;
	ping4(&asked, 0, 56);
	asked.data[asked.len - 1] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
	ping4(&asked, 0, 56);
	asked.data[ETHER + 10] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
	ping6(&asked, 56);
	asked.data[asked.len - 1] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
	udp4(&asked, 56);
	asked.data[asked.len - 1] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
	/* None, which IPv4 allows. */
	lqos_put16(asked.data + L4_4 + 6, 0);
	in = answered(ECHO_UDP);
	same_payload(&in, L4_4 + 8, 56);
	udp6(&asked, 56);
	lqos_put16(asked.data + L4_6 + 6, 0);
	assert_int_equal(ask(), ECHO_CHECKSUM);
}

/* As a kernel leaves it to an interface that would sum the rest. */
static void partial_checksums(void **state)
{
	struct lqos_inet in;

	(void)state;
	udp4(&asked, 56);
	lqos_put16(
		asked.data + L4_4 + 6,
		(uint16_t)lqos_inet_sum(17 + 64, asked.data + ETHER + 12, 8));
	in = answered(ECHO_UDP);
	same_payload(&in, L4_4 + 8, 56);
	udp6(&asked, 56);
	lqos_put16(
		asked.data + L4_6 + 6,
		(uint16_t)lqos_inet_sum(17 + 64, asked.data + ETHER + 8, 32));
	in = answered(ECHO_UDP);
	same_payload(&in, L4_6 + 8, 56);
	asked.data[L4_6 + 7] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
}

static void not_for_us(void **state)
{
	void (*const of4[])(struct frame *, uint32_t) = {udp4};
	void (*const of6[])(struct frame *, uint32_t) = {ping6, udp6};

	(void)state;
	for (size_t i = 0; i < 1; i++) {
		of4[i](&asked, 8);
		asked.data[ETHER + 19] = 6;
		assert_int_equal(ask(), ECHO_NOT_OURS);
		/* To all of a network: smurf. */
		memset(asked.data + ETHER + 16, 255, 4);
		memset(asked.data, 255, 6);
		assert_int_equal(ask(), ECHO_NOT_OURS);
		/* To our address, but to all who hear it. */
		of4[i](&asked, 8);
		memset(asked.data, 255, 6);
		assert_int_equal(ask(), ECHO_NOT_OURS);
		memcpy(asked.data, asker_mac, 6);
		assert_int_equal(ask(), ECHO_NOT_OURS);
	}
	for (size_t i = 0; i < 2; i++) {
		of6[i](&asked, 8);
		asked.data[ETHER + 39] = 3;
		assert_int_equal(ask(), ECHO_NOT_OURS);
		memcpy(asked.data + ETHER + 24, solicited, 16);
		assert_int_equal(ask(), ECHO_NOT_OURS);
		of6[i](&asked, 8);
		asked.data[0] = 0x33;
		assert_int_equal(ask(), ECHO_NOT_OURS);
	}
	ping4(&asked, 0, 8);
	memset(asked.data, 255, 6);
	assert_int_equal(ask(), ECHO_NOT_OURS);
}

static void nobody_to_answer(void **state)
{
	static const uint8_t first4[] = {0, 127, 224, 239, 240, 255};
	static const uint8_t sources6[][16] = {
		{0}, {[15] = 1}, {0xff, 2, [15] = 1}, {OWN6}};

	(void)state;
	for (size_t i = 0; i < sizeof(first4); i++) {
		ping4(&asked, 0, 8);
		asked.data[ETHER + 12] = first4[i];
		assert_int_equal(ask(), ECHO_SOURCE);
		udp4(&asked, 8);
		asked.data[ETHER + 12] = first4[i];
		assert_int_equal(ask(), ECHO_SOURCE);
	}
	ping4(&asked, 0, 8);
	memcpy(asked.data + ETHER + 12, own4, 4);
	assert_int_equal(ask(), ECHO_SOURCE);
	for (size_t i = 0; i < 4; i++) {
		ping6(&asked, 8);
		memcpy(asked.data + ETHER + 8, sources6[i], 16);
		assert_int_equal(ask(), ECHO_SOURCE);
	}
	ping4(&asked, 0, 8);
	asked.data[6] |= 1;
	assert_int_equal(ask(), ECHO_SOURCE);
	memset(asked.data + 6, 0, 6);
	assert_int_equal(ask(), ECHO_SOURCE);
	memcpy(asked.data + 6, own_mac, 6);
	assert_int_equal(ask(), ECHO_SOURCE);
}

/* ---- What else comes ----------------------------------------------------- */

static void options(void **state)
{
	struct lqos_inet in;

	(void)state;
	for (uint32_t n = 4; n <= 40; n += 4) {
		ping4(&asked, n, 100);
		in = answered(ECHO_ICMP);
		assert_int_equal(in.l4, L4_4);
		same_payload(&in, L4_4 + n + 8, 100);
	}
	ether(&asked, own_mac, 0x0800);
	ipv4_header(&asked, 17, 8);
	udp_echo(&asked, 33);
	finish(&asked, ETHER);
	in = answered(ECHO_UDP);
	same_payload(&in, L4_4 + 8 + 8, 33);
}

/* A packet with one extension header. */
static void extended(uint8_t kind, const uint8_t *header, uint32_t n)
{
	ether(&asked, own_mac, 0x86dd);
	ipv6_header(&asked, kind, 9);
	append(&asked, header, n);
	icmp_echo(&asked, 128, 50);
	finish(&asked, ETHER);
}

static void extension_headers(void **state)
{
	static const uint8_t pad[16] = {58, 1, 1, 12};
	static const uint8_t routing[8] = {58, 0, 3, 1};
	static const uint8_t arrived[8] = {58, 0, 3, 0};
	static const uint8_t atomic[8] = {58, 0, 0, 0, 1, 2, 3, 4};
	static const uint8_t first[8] = {58, 0, 0, 1, 1, 2, 3, 4};
	static const uint8_t auth[16] = {58, 2};
	static const uint8_t behind[16] = {43, 0, 1,  4, 0, 0,
					   0,  0, 58, 0, 3, 2};
	static const uint8_t auth_routing[24] = {43, 2, [16] = 58, 0, 3, 1};
	struct lqos_inet in;

	(void)state;
	extended(0, pad, 16);
	in = answered(ECHO_ICMPV6);
	assert_int_equal(in.l4, L4_6);
	same_payload(&in, L4_6 + 16 + 8, 50);
	extended(60, pad, 16);
	answered(ECHO_ICMPV6);
	extended(51, auth, 16);
	answered(ECHO_ICMPV6);
	extended(44, atomic, 8);
	in = answered(ECHO_ICMPV6);
	same_payload(&in, L4_6 + 8 + 8, 50);
	extended(44, first, 8);
	assert_int_equal(ask(), ECHO_FRAGMENT);
	extended(43, arrived, 8);
	answered(ECHO_ICMPV6);
	extended(43, routing, 8);
	assert_int_equal(ask(), ECHO_NOT_OURS);
	extended(60, behind, 16);
	assert_int_equal(ask(), ECHO_NOT_OURS);
	extended(51, auth_routing, 24);
	assert_int_equal(ask(), ECHO_NOT_OURS);
}

static void fragments(void **state)
{
	(void)state;
	ping4(&asked, 0, 56);
	asked.data[ETHER + 6] = 0x20;
	assert_int_equal(ask(), ECHO_FRAGMENT);
	asked.data[ETHER + 6] = 0;
	asked.data[ETHER + 7] = 1;
	assert_int_equal(ask(), ECHO_FRAGMENT);
	udp4(&asked, 56);
	asked.data[ETHER + 6] = 0x20;
	assert_int_equal(ask(), ECHO_FRAGMENT);
}

static void tags(void **state)
{
	const uint8_t *tags = got.data + 12;
	struct lqos_inet in;

	(void)state;
	ether(&asked, own_mac, 0x0800);
	tag(&asked, 0x88a8, 100);
	tag(&asked, 0x8100, 0x2064);
	ipv4_header(&asked, 17, 4);
	udp_echo(&asked, 20);
	finish(&asked, ETHER + 8);
	in = answered(ECHO_UDP);
	assert_int_equal(in.l3, ETHER + 8);
	assert_memory_equal(tags, asked.data + 12, 10);
	same_payload(&in, ETHER + 8 + 24 + 8, 20);
	ether(&asked, own_mac, 0x0806);
	tag(&asked, 0x8100, 5);
	arp_body(&asked);
	assert_int_equal(ask(), ECHO_ARP);
	assert_int_equal(lqos_get16(got.data + 12), 0x8100);
	assert_int_equal(lqos_get16(got.data + ETHER + 4 + 6), 2);
	/* Nothing but tags. */
	asked.len = ETHER;
	assert_int_equal(ask(), ECHO_MALFORMED);
}

static void padding(void **state)
{
	struct lqos_inet in;

	(void)state;
	udp4(&asked, 1);
	memset(append_zeros(&asked, 17), 0x5a, 17);
	in = answered(ECHO_UDP);
	same_payload(&in, L4_4 + 8, 1);
	assert_int_equal(got.len, 60);
	/* What is sent back is not what somebody had in his memory. */
	for (uint32_t i = in.end; i < got.len; i++)
		assert_int_equal(got.data[i], 0);
	/* Behind UDP's length, but not behind IP's: goes back as it came. */
	udp4(&asked, 10);
	append(&asked, "trailer", 7);
	finish(&asked, ETHER);
	in = answered(ECHO_UDP);
	same_payload(&in, L4_4 + 8, 17);
}

static void cut_short(void **state)
{
	void (*const make[])(struct frame *, uint32_t) = {udp4, udp6, ping6};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make[i](&asked, 9);
		while (asked.len--)
			assert_int_equal(ask(), ECHO_MALFORMED);
	}
	ping4(&asked, 8, 9);
	while (asked.len--)
		assert_int_equal(ask(), ECHO_MALFORMED);
	solicit(&asked, true, false);
	while (asked.len--)
		assert_int_equal(ask(), ECHO_MALFORMED);
}

static void wrong_lengths(void **state)
{
	(void)state;
	udp4(&asked, 9);
	lqos_put16(asked.data + L4_4 + 4, 7);
	assert_int_equal(ask(), ECHO_MALFORMED);
	lqos_put16(asked.data + L4_4 + 4, 18);
	assert_int_equal(ask(), ECHO_MALFORMED);
	udp4(&asked, 9);
	asked.data[ETHER] = 0x44;
	assert_int_equal(ask(), ECHO_MALFORMED);
	asked.data[ETHER] = 0x65;
	assert_int_equal(ask(), ECHO_MALFORMED);
	udp4(&asked, 9);
	lqos_put16(asked.data + ETHER + 2, 27);
	assert_int_equal(ask(), ECHO_MALFORMED);
	ping6(&asked, 9);
	lqos_put16(asked.data + ETHER + 4, 7);
	assert_int_equal(ask(), ECHO_MALFORMED);
}

static void other_things(void **state)
{
	(void)state;
	ether(&asked, own_mac, 0x88cc);
	payload(&asked, 46);
	assert_int_equal(ask(), ECHO_OTHER);
	ether(&asked, own_mac, 0x0800);
	ipv4_header(&asked, 6, 0);
	payload(&asked, 20);
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_OTHER);
	/* Each in the other's IP. */
	ether(&asked, own_mac, 0x0800);
	ipv4_header(&asked, 58, 0);
	icmp_echo(&asked, 128, 8);
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_OTHER);
	ether(&asked, own_mac, 0x86dd);
	ipv6_header(&asked, 1, 9);
	icmp_echo(&asked, 8, 8);
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_OTHER);
	/* Replies, errors and unknown codes. */
	for (uint32_t type = 0; type < 256; type++) {
		ping4(&asked, 0, 56);
		asked.data[L4_4] = (uint8_t)type;
		finish(&asked, ETHER);
		assert_int_equal(ask(), type == 8 ? ECHO_ICMP : ECHO_OTHER);
		ping6(&asked, 56);
		asked.data[L4_6] = (uint8_t)type;
		finish(&asked, ETHER);
		if (type != 135)
			assert_int_equal(ask(), type == 128 ? ECHO_ICMPV6
							    : ECHO_OTHER);
	}
	ping4(&asked, 0, 56);
	asked.data[L4_4 + 1] = 1;
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_OTHER);
}

/* ---- Neighbour discovery ------------------------------------------------- */

static void advert(uint8_t flags, const uint8_t *to, const uint8_t *to_mac)
{
	struct lqos_inet in = answered(ECHO_ND);
	const uint8_t *ip = got.data + in.l3, *icmp = got.data + in.l4;

	assert_memory_equal(got.data, to_mac, 6);
	assert_int_equal(ip[7], 255);
	assert_memory_equal(ip + 8, own6, 16);
	assert_memory_equal(ip + 24, to, 16);
	assert_int_equal(in.l4, L4_6);
	assert_int_equal(in.end - in.l4, 32);
	assert_int_equal(got.len, L4_6 + 32);
	assert_int_equal(icmp[0], 136);
	assert_int_equal(icmp[1], 0);
	assert_int_equal(lqos_get32(icmp + 4), (uint32_t)flags << 24);
	assert_memory_equal(icmp + 8, own6, 16);
	assert_int_equal(lqos_get16(icmp + 24), 0x0201);
	assert_memory_equal(icmp + 26, own_mac, 6);
}

static void solicitation(void **state)
{
	static const uint8_t all[16] = {0xff, 2, [15] = 1};
	static const uint8_t all_macs[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t nonce[16] = {14, 2, 1, 2, 3};

	(void)state;
	solicit(&asked, true, false);
	advert(0x60, asker6, asker_mac);
	solicit(&asked, false, false);
	advert(0x60, asker6, asker_mac);
	/* More options than the answer has. */
	append(&asked, nonce, 16);
	finish(&asked, ETHER);
	advert(0x60, asker6, asker_mac);
	/* Is it still there? */
	solicit(&asked, false, false);
	memcpy(asked.data, own_mac, 6);
	memcpy(asked.data + ETHER + 24, own6, 16);
	finish(&asked, ETHER);
	advert(0x60, asker6, asker_mac);
	/* Does anybody have it? */
	solicit(&asked, false, true);
	advert(0x20, all, all_macs);
}

static void no_solicitation(void **state)
{
	static const uint8_t all[16] = {0xff, 2, [15] = 1};

	(void)state;
	solicit(&asked, true, false);
	asked.data[ETHER + 7] = 254;
	assert_int_equal(ask(), ECHO_AFAR);
	solicit(&asked, true, false);
	asked.data[L4_6 + 1] = 1;
	assert_int_equal(ask(), ECHO_MALFORMED);
	/* An option of no length, and of too much. */
	solicit(&asked, true, false);
	asked.data[L4_6 + 25] = 0;
	assert_int_equal(ask(), ECHO_MALFORMED);
	asked.data[L4_6 + 25] = 2;
	assert_int_equal(ask(), ECHO_MALFORMED);
	solicit(&asked, true, false);
	append_zeros(&asked, 7);
	finish(&asked, ETHER);
	assert_int_equal(ask(), ECHO_MALFORMED);
	/* For somebody else. */
	solicit(&asked, true, false);
	asked.data[L4_6 + 23] = 3;
	assert_int_equal(ask(), ECHO_NOT_OURS);
	solicit(&asked, true, false);
	memcpy(asked.data, asker_mac, 6);
	assert_int_equal(ask(), ECHO_NOT_OURS);
	solicit(&asked, true, false);
	memcpy(asked.data + ETHER + 24, all, 16);
	assert_int_equal(ask(), ECHO_NOT_OURS);
	/* Who has no address can give none, and asks a group. */
	solicit(&asked, true, true);
	assert_int_equal(ask(), ECHO_MALFORMED);
	solicit(&asked, false, true);
	memcpy(asked.data + ETHER + 24, own6, 16);
	assert_int_equal(ask(), ECHO_MALFORMED);
	solicit(&asked, true, false);
	memcpy(asked.data + ETHER + 8, all, 16);
	assert_int_equal(ask(), ECHO_SOURCE);
	solicit(&asked, true, false);
	asked.data[L4_6 + 3] ^= 1;
	assert_int_equal(ask(), ECHO_CHECKSUM);
	/* The answer is longer. */
	solicit(&asked, false, false);
	assert_int_equal(ask_of(&self, asked.len), ECHO_NO_ROOM);
	assert_int_equal(ask_of(&self, asked.len + 7), ECHO_NO_ROOM);
	assert_int_equal(ask_of(&self, asked.len + 8), ECHO_ND);
}

/* With no address nothing is ours. */
static void nobody(void **state)
{
	struct echo_self none = self;

	(void)state;
	none.n = 0;
	arp_request(&asked);
	assert_int_equal(ask_of(&none, FRAME_ROOM), ECHO_NOT_OURS);
	udp6(&asked, 3);
	assert_int_equal(ask_of(&none, FRAME_ROOM), ECHO_NOT_OURS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp),
		cmocka_unit_test(no_arp),
		cmocka_unit_test(ping),
		cmocka_unit_test(udp),
		cmocka_unit_test(udp_port),
		cmocka_unit_test(udp_loops),
		cmocka_unit_test(checksums),
		cmocka_unit_test(partial_checksums),
		cmocka_unit_test(not_for_us),
		cmocka_unit_test(nobody_to_answer),
		cmocka_unit_test(options),
		cmocka_unit_test(extension_headers),
		cmocka_unit_test(fragments),
		cmocka_unit_test(tags),
		cmocka_unit_test(padding),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(wrong_lengths),
		cmocka_unit_test(other_things),
		cmocka_unit_test(solicitation),
		cmocka_unit_test(no_solicitation),
		cmocka_unit_test(nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
