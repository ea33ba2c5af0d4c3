/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of packets in modules/xsk/rewrite.c, byte by byte. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "modules/xsk/payload.h"
#include "modules/xsk/rewrite.h"

enum { ROOM = 1514, TCP = 6, UDP = 17 };

struct packet {
	uint8_t data[2048];
	uint32_t len;
	struct lqos_inet in;
};

static void *put(struct packet *p, const void *bytes, uint32_t n)
{
	void *at = p->data + p->len;

	if (bytes)
		memcpy(at, bytes, n);
	else
		memset(at, 0, n);
	p->len += n;
	return at;
}

/* Ethernet, `tags` VLAN tags, and IP with room for l4 bytes behind it. */
static void put_ip(struct packet *p, int tags, int version, uint8_t proto,
		   uint32_t l4)
{
	static const uint8_t macs[] = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
	uint8_t *ip;

	memset(p, 0, sizeof(*p));
	put(p, macs, sizeof(macs));
	while (tags--)
		put(p, "\x81\x00\x00\x07", 4);
	put(p, version == 4 ? "\x08\x00" : "\x86\xdd", 2);
	if (version == 4) {
		/* With an option, so that it is longer than usual. */
		ip = put(p, NULL, 24);
		ip[0] = 0x46;
		lqos_put16(ip + 2, (uint16_t)(24 + l4));
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
		memset(ip + 20, 1, 4);
		return;
	}
	ip = put(p, NULL, 40);
	ip[0] = 0x60;
	lqos_put16(ip + 4, (uint16_t)l4);
	ip[6] = proto;
	ip[7] = 64;
	ip[8] = 0xfd;
	ip[23] = 1;
	ip[24] = 0xfd;
	ip[39] = 2;
}

static void finish(struct packet *p)
{
	assert_int_equal(lqos_inet_parse(p->data, p->len, &p->in), 0);
	lqos_inet_set_checksums(p->data, &p->in);
}

static void put_udp(struct packet *p, int tags, int version, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);
	uint8_t *udp;

	put_ip(p, tags, version, UDP, 8 + n);
	udp = put(p, NULL, 8);
	lqos_put16(udp, 4000);
	lqos_put16(udp + 2, 4001);
	lqos_put16(udp + 4, (uint16_t)(8 + n));
	put(p, text, n);
	finish(p);
}

static void put_tcp(struct packet *p, int version, uint8_t flags,
		    const char *options, uint32_t options_len, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);
	uint8_t *tcp;

	put_ip(p, 1, version, TCP, 20 + options_len + n);
	tcp = put(p, NULL, 20);
	lqos_put16(tcp, 33000);
	lqos_put16(tcp + 2, 80);
	lqos_put32(tcp + 4, 0xfffffffe);
	lqos_put32(tcp + 8, 7000);
	tcp[12] = (uint8_t)((20 + options_len) / 4 << 4);
	tcp[13] = flags;
	lqos_put16(tcp + 14, 500);
	put(p, options, options_len);
	put(p, text, n);
	finish(p);
}

/* Lengths and checksums are right, and this is the payload. */
static void assert_sound(struct packet *p, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);

	assert_int_equal(lqos_inet_parse(p->data, p->len, &p->in), 0);
	assert_true(p->in.l4);
	assert_int_equal(p->in.end, p->len);
	assert_int_equal(p->in.end - p->in.payload, n);
	assert_memory_equal(p->data + p->in.payload, text, n);
	assert_true(lqos_inet_l4_ok(p->data, &p->in));
	if (p->in.version == 4)
		assert_int_equal(lqos_inet_sum(0, p->data + p->in.l3,
					       (p->data[p->in.l3] & 15) * 4U),
				 0xffff);
	if (p->in.proto == UDP)
		assert_int_equal(lqos_get16(p->data + p->in.l4 + 4), 8 + n);
}

/* ---- Words --------------------------------------------------------------- */

static int replace(struct packet *p, uint32_t room, const char *from,
		   const char *to)
{
	struct rewrite_word f = {from, (uint32_t)strlen(from)},
			    t = {to, (uint32_t)strlen(to)};

	return rewrite_replace(p->data, &p->len, room, &f, &t);
}

static void words(void **state)
{
	static const struct {
		const char *text, *from, *to, *result;
		int n;
	} cases[] = {
		{"an apple a day", "apple", "watermelon", "an watermelon a day",
		 1},
		{"an apple a day", "apple", "fig", "an fig a day", 1},
		{"an apple a day", "apple", "grape", "an grape a day", 1},
		{"apple", "apple", "", "", 1},
		{"appleapple", "apple", "x", "xx", 2},
		{"aaaaa", "aa", "b", "bba", 2},
		{"a", "a", "aa", "aa", 1},
		{"appl", "apple", "x", "appl", 0},
		{"", "apple", "x", "", 0},
		{"say Apple", "apple", "x", "say Apple", 0},
		{"apple", "", "x", "apple", 0},
	};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int v = 0; v < 4; v++) {
			put_udp(&p, v & 1, v & 2 ? 4 : 6, cases[i].text);
			assert_int_equal(
				replace(&p, ROOM, cases[i].from, cases[i].to),
				cases[i].n);
			assert_sound(&p, cases[i].result);
		}
	}
}

static void words_are_bounded(void **state)
{
	struct packet p, before;
	char longest[1401] = "";
	uint32_t fits;

	(void)state;
	memset(longest, 'w', 1400);
	put_udp(&p, 0, 4, "an apple");
	before = p;
	fits = p.len - 5 + 1400;
	memset(p.data + fits, 0x55, 8);
	assert_int_equal(replace(&p, fits - 1, "apple", longest), -EMSGSIZE);
	assert_int_equal(p.len, before.len);
	assert_memory_equal(p.data, before.data, p.len);
	assert_int_equal(replace(&p, fits, "apple", longest), 1);
	assert_int_equal(p.len, fits);
	assert_int_equal(p.data[fits - 1], 'w');
	assert_memory_equal(p.data + fits, "UUUUUUUU", 8);
	assert_true(lqos_inet_parse(p.data, p.len, &p.in) == 0 &&
		    lqos_inet_l4_ok(p.data, &p.in));
	/* Twice the longest word is more than any frame has. */
	put_udp(&p, 0, 6, "apple apple");
	assert_int_equal(replace(&p, ROOM, "apple", longest), -EMSGSIZE);
	assert_sound(&p, "apple apple");
}

static void words_elsewhere_stay(void **state)
{
	struct packet p, before;

	(void)state;
	put_tcp(&p, 4, 24, "", 0, "an apple");
	before = p;
	assert_int_equal(replace(&p, ROOM, "apple", "x"), 0);
	assert_memory_equal(&p, &before, sizeof(p));

	put_udp(&p, 0, 4, "an apple");
	lqos_put16(p.data + p.in.l3 + 6, 0x2000); /* a first fragment */
	before = p;
	assert_int_equal(replace(&p, ROOM, "apple", "x"), 0);
	assert_memory_equal(&p, &before, sizeof(p));

	/* Cut off anywhere, it is not touched. */
	put_udp(&p, 1, 6, "an apple");
	before = p;
	for (p.len = 0; p.len < before.len; p.len++)
		assert_int_equal(replace(&p, ROOM, "apple", "x"), 0);
	assert_memory_equal(p.data, before.data, sizeof(p.data));
}

static void what_is_around_the_payload(void **state)
{
	struct packet p;

	(void)state;
	/* Ethernet's padding goes; a word in there is none. */
	put_udp(&p, 0, 4, "an apple");
	put(&p, "apple", 5);
	assert_int_equal(replace(&p, ROOM, "apple", "pear"), 1);
	assert_sound(&p, "an pear");
	/* What IP has behind UDP stays, untouched. */
	put_udp(&p, 0, 4, "an apple");
	put(&p, "apple", 5);
	lqos_put16(p.data + p.in.l3 + 2, (uint16_t)(p.len - p.in.l3));
	assert_int_equal(replace(&p, ROOM, "apple", "watermelon"), 1);
	assert_int_equal(lqos_inet_parse(p.data, p.len, &p.in), 0);
	assert_int_equal(lqos_get16(p.data + p.in.l4 + 4), 8 + 13);
	assert_memory_equal(p.data + p.in.payload, "an watermelonapple", 18);
	assert_int_equal(p.in.end - p.in.payload, 18);
	assert_true(lqos_inet_l4_ok(p.data, &p.in));
	/* No checksum stays none. */
	put_udp(&p, 0, 4, "an apple");
	lqos_put16(p.data + p.in.l4 + 6, 0);
	assert_int_equal(replace(&p, ROOM, "apple", "fig"), 1);
	assert_int_equal(lqos_get16(p.data + p.in.l4 + 6), 0);
}

static void words_are_found(void **state)
{
	struct rewrite_word word = {"pine", 4};
	struct packet p;

	(void)state;
	put_tcp(&p, 6, 24, "", 0, "a pineapple");
	assert_true(rewrite_contains(p.data, &p.in, &word));
	put_tcp(&p, 6, 24, "pine", 4, "a pin");
	put(&p, "e", 1); /* in the padding */
	assert_false(rewrite_contains(p.data, &p.in, &word));
}

/* ---- RST ----------------------------------------------------------------- */

static void assert_reset(struct packet *p, const struct packet *of, bool back,
			 uint32_t seq, uint32_t ack, uint8_t flags)
{
	const uint8_t *tcp, *was = of->data + of->in.l4;
	uint32_t addresses = of->in.l3 + (of->in.version == 4 ? 12 : 8),
		 n = of->in.version == 4 ? 4 : 16;

	assert_sound(p, "");
	tcp = p->data + p->in.l4;
	assert_int_equal(p->in.payload - p->in.l4, 20);
	assert_int_equal(lqos_get32(tcp + 4), seq);
	assert_int_equal(lqos_get32(tcp + 8), ack);
	assert_int_equal(tcp[13], flags);
	assert_memory_equal(tcp, was + (back ? 2 : 0), 2);
	assert_memory_equal(tcp + 2, was + (back ? 0 : 2), 2);
	assert_memory_equal(p->data, of->data + (back ? 6 : 0), 6);
	assert_memory_equal(p->data + 6, of->data + (back ? 0 : 6), 6);
	assert_memory_equal(p->data + 12, of->data + 12, 6);
	assert_memory_equal(p->data + addresses,
			    of->data + addresses + (back ? n : 0), n);
	assert_memory_equal(p->data + addresses + n,
			    of->data + addresses + (back ? 0 : n), n);
}

static void resets(void **state)
{
	static const struct {
		uint8_t flags;
		const char *text;
		uint32_t back_seq, back_ack;
	} cases[] = {
		{24, "pineapple", 7000, 7}, /* PSH ACK; numbers wrap */
		{25, "pineapple", 7000, 8}, /* FIN PSH ACK */
		{16, "", 7000, 0xfffffffe},
		{2, "abc", 0, 2}, /* a SYN with data, without ACK */
	};
	struct packet p, before;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t flags = cases[i].flags & 16;

		for (int version = 4; version <= 6; version += 2) {
			put_tcp(&p, version, cases[i].flags, "\1\1\1\1", 4,
				cases[i].text);
			before = p;
			p.len = rewrite_reset(p.data, &p.in);
			assert_reset(&p, &before, false, 0xfffffffe, 7000,
				     4 | flags);
			p = before;
			p.len = rewrite_reset_back(p.data, &p.in);
			assert_reset(&p, &before, true, cases[i].back_seq,
				     cases[i].back_ack, 4 | 16);
		}
	}
}

/* ---- MSS ----------------------------------------------------------------- */

static void the_mss(void **state)
{
	static const struct {
		const char *options;
		uint32_t len;
		uint8_t flags;
		uint32_t at; /* of the value; 0: not changed */
	} cases[] = {
		{"\2\4\5\xb4", 4, 2, 2},
		{"\2\4\5\xb4", 4, 18, 2},
		{"\1\2\4\5\xb4\1\1\1", 8, 2, 3}, /* at an odd byte */
		{"\3\3\7\2\4\5\xb4\1", 8, 2, 5},
		{"\2\4\5\x8b", 4, 2, 2}, /* 1419 */
		{"\2\4\5\x8a", 4, 2, 0}, /* 1418 */
		{"\2\4\2\x18", 4, 2, 0},
		{"\2\4\5\xb4", 4, 16, 0},	  /* no SYN */
		{"\0\1\1\1\2\4\5\xb4", 8, 2, 0},  /* behind the end */
		{"\3\0\2\4\5\xb4\1\1", 8, 2, 0},  /* a length of 0 */
		{"\3\x9\2\4\5\xb4\1\1", 8, 2, 0}, /* beyond the header */
		{"\1\1\2\4", 4, 2, 0},
		{"\1\1\1\2", 4, 2, 0},
		{"\2\3\5\1", 4, 2, 0},
		{"", 0, 2, 0},
	};
	struct packet p, before;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_tcp(&p, i & 1 ? 4 : 6, cases[i].flags, cases[i].options,
			cases[i].len, "data");
		before = p;
		if (rewrite_clamp_mss(p.data, &p.in, 1418) != (cases[i].at > 0))
			fail_msg("case %zu", i);
		if (!cases[i].at) {
			assert_memory_equal(&p, &before, sizeof(p));
			continue;
		}
		assert_int_equal(
			lqos_get16(p.data + p.in.l4 + 20 + cases[i].at), 1418);
		assert_sound(&p, "data");
	}
}

static void a_wrong_checksum_stays_wrong(void **state)
{
	struct packet p;

	(void)state;
	put_tcp(&p, 4, 2, "\2\4\5\xb4", 4, "");
	p.data[p.in.l4 + 16] ^= 1;
	assert_true(rewrite_clamp_mss(p.data, &p.in, 1418));
	assert_false(lqos_inet_l4_ok(p.data, &p.in));
}

/* ---- Payloads ------------------------------------------------------------ */

static void payloads(void **state)
{
	uint64_t sequence = 1;
	uint8_t data[64];

	(void)state;
	assert_int_equal(payload_crc32((const uint8_t *)"123456789", 9),
			 0xcbf43926);
	assert_int_equal(payload_crc32(NULL, 0), 0);
	for (uint32_t len = PAYLOAD_MIN; len < sizeof(data); len++) {
		memset(data, 0x55, sizeof(data));
		payload_write(data, len, 0x123456789aULL + len);
		assert_int_equal(data[len], 0x55);
		assert_int_equal(payload_read(data, len, &sequence), 0);
		assert_int_equal(sequence, 0x123456789aULL + len);
		for (uint32_t bit = 0; bit < len * 8; bit++) {
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(payload_read(data, len, &sequence),
					 -EBADMSG);
			data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	assert_int_equal(payload_read(data, PAYLOAD_MIN - 1, &sequence),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(words_are_bounded),
		cmocka_unit_test(words_elsewhere_stay),
		cmocka_unit_test(what_is_around_the_payload),
		cmocka_unit_test(words_are_found),
		cmocka_unit_test(resets),
		cmocka_unit_test(the_mss),
		cmocka_unit_test(a_wrong_checksum_stays_wrong),
		cmocka_unit_test(payloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
