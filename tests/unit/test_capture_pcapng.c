/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The blocks that lqosctl capture writes, byte by byte, and its lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modules/capture/command.h"

static char *text;
static size_t size;
static FILE *out;

static int setup(void **state)
{
	(void)state;
	text = NULL;
	out = open_memstream(&text, &size);
	return out ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (out)
		fclose(out);
	free(text);
	return 0;
}

/* What was written is these words, in this machine's order. */
static void expect(const uint32_t *words, size_t n)
{
	fclose(out);
	out = NULL;
	assert_int_equal(size, n * sizeof(*words));
	for (size_t i = 0; i < n; i++) {
		uint32_t word;

		memcpy(&word, text + i * sizeof(word), sizeof(word));
		if (word != words[i])
			fail_msg("word %zu is %#x, expected %#x", i, word,
				 words[i]);
	}
}

#define EXPECT(...)                             \
	expect((const uint32_t[]){__VA_ARGS__}, \
	       sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Halves and bytes as a word has them in memory. */
static uint32_t halves(uint16_t a, uint16_t b)
{
	const uint16_t both[] = {a, b};
	uint32_t word;

	memcpy(&word, both, sizeof(word));
	return word;
}

static uint32_t bytes(const char *four)
{
	uint32_t word = 0;

	memcpy(&word, four, strnlen(four, 4));
	return word;
}

static void a_section(void **state)
{
	(void)state;
	pcapng_section(out, "hello");
	EXPECT(0x0a0d0d0a, 44, 0x1a2b3c4d, halves(1, 0), 0xffffffff, 0xffffffff,
	       halves(4, 5), bytes("hell"), bytes("o"), 0, 44);
}

static void an_interface(void **state)
{
	(void)state;
	pcapng_interface(out, "eth0", 128);
	EXPECT(1, 40, halves(1, 0), 128, halves(2, 4), bytes("eth0"),
	       halves(9, 1), bytes("\x09"), 0, 40);
}

static struct capture_packet *packet_of(const void *data, uint32_t len)
{
	struct capture_packet *packet = calloc(1, sizeof(*packet) + len);

	assert_non_null(packet);
	memcpy(packet->data, data, len);
	packet->record.caplen = len;
	packet->record.len = 1514;
	return packet;
}

static void a_packet(void **state)
{
	struct capture_packet *packet = packet_of("abcde", 5);

	(void)state;
	packet->wall = 0x123456789abcdef0;
	pcapng_packet(out, 3, packet);
	packet->record.flags = CAPTURE_OUT;
	packet->record.caplen = 4;
	pcapng_packet(out, 0, packet);
	free(packet);
	EXPECT(6, 52, 3, 0x12345678, 0x9abcdef0, 5, 1514, bytes("abcd"),
	       bytes("e"), halves(2, 4), 1, 0, 52, /* one more */
	       6, 48, 0, 0x12345678, 0x9abcdef0, 4, 1514, bytes("abcd"),
	       halves(2, 4), 2, 0, 48);
}

static void statistics(void **state)
{
	static const struct pcapng_statistics s = {
		.interface = 1,
		.start = 0x100000002,
		.end = 0x300000004,
		.packets = 9,
		.dropped = 1,
		.lost = 2,
	};

	uint32_t count[2];

	(void)state;
	memcpy(count, &s.packets, sizeof(count));
	pcapng_statistics(out, &s);
	EXPECT(5, 64, 1, 3, 4, halves(2, 8), 1, 2, halves(3, 8), 3, 4,
	       halves(8, 8), count[0], count[1], 0, 64);
}

static void statistics_with_drops(void **state)
{
	struct pcapng_statistics s = {
		.with_drops = true, .dropped = 1, .lost = 2};
	uint32_t word[4];

	(void)state;
	pcapng_statistics(out, &s);
	fclose(out);
	out = NULL;
	/* The comment first, which takes a multiple of 4. */
	memcpy(word, text + 20, sizeof(word));
	assert_int_equal(word[0], halves(1, 37));
	assert_memory_equal(text + 24, "what was dropped is of all interfaces",
			    37);
}

/* ---- Lines --------------------------------------------------------------- */

static const uint8_t udp4[] = {
	[12] = 8, 0, 0x45, [23] = 17, [26] = 192, 0,	2, 1, 198, 51,
	100,	  7, 0x12, 0x34,      0,	  0x35, 0, 8, 0,   0};

static void expect_line(const struct capture_packet *packet, const char *line)
{
	char buf[256];

	capture_line(packet, buf, sizeof(buf));
	assert_string_equal(buf, line);
}

static void lines(void **state)
{
	struct capture_packet *packet = packet_of(udp4, sizeof(udp4));
	struct capture_record *r = &packet->record;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	packet->wall = 1000000000LL * (3600 + 62) + 7000;
	r->l3_off = 14;
	r->l4_off = 34;
	r->proto = 17;
	expect_line(packet, "01:01:02.000007 down 192.0.2.1.4660 > "
			    "198.51.100.7.53 UDP, length 1514");
	r->flags = CAPTURE_UP | CAPTURE_FRAGMENT;
	r->l4_off = 0;
	expect_line(packet, "01:01:02.000007 up 192.0.2.1 > 198.51.100.7 UDP "
			    "fragment, length 1514");
	r->flags = CAPTURE_UP;
	r->proto = 47;
	expect_line(packet, "01:01:02.000007 up 192.0.2.1 > 198.51.100.7 "
			    "protocol 47, length 1514");
	/* Ports, and then addresses, are not there any more. */
	r->proto = 17;
	r->l4_off = 34;
	r->caplen = 37;
	expect_line(packet, "01:01:02.000007 up 192.0.2.1 > 198.51.100.7 UDP, "
			    "length 1514");
	r->caplen = 33;
	expect_line(packet, "01:01:02.000007 up ? > ? UDP, length 1514");
	/* Wherever it says that they are. */
	r->l3_off = 255;
	r->l4_off = 65535;
	r->flags = CAPTURE_IS_IPV6;
	r->caplen = sizeof(udp4);
	expect_line(packet, "01:01:02.000007 down ? > ? UDP, length 1514");
	free(packet);
}

static void lines_of_ipv6(void **state)
{
	uint8_t frame[14 + 40 + 8] = {};
	struct capture_packet *packet;

	(void)state;
	frame[14 + 8] = 0x20;
	frame[14 + 9] = 0x01;
	frame[14 + 23] = 1;
	frame[14 + 24] = 0xfe;
	frame[14 + 25] = 0x80;
	frame[14 + 39] = 2;
	packet = packet_of(frame, sizeof(frame));
	packet->record.l3_off = 14;
	packet->record.proto = 58;
	packet->record.flags = CAPTURE_IS_IPV6 | CAPTURE_UP;
	packet->wall = 0;
	expect_line(packet, "00:00:00.000000 up 2001::1 > fe80::2 ICMPv6, "
			    "length 1514");
	free(packet);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_section),
		TEST(an_interface),
		TEST(a_packet),
		TEST(statistics),
		TEST(statistics_with_drops),
		TEST(lines),
		TEST(lines_of_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
