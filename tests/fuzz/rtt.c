/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any frames at any times through the parser and the core of round-trip times.
 *
 * Whatever comes, what is measured is no longer than there was something to be
 * answered, and has a place in a histogram.
 *
 * The input: 8 bytes of the clock; then frames, each behind a byte of what it
 * is, one of how much later than the last it comes (mantissa and exponent), and
 * for raw ones 2 of its length.  Others are segments of one connection, written
 * as what is different from the last of their way: a raw frame finds its
 * connection again too seldom.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/rtt/path.h"

enum {
	FRAME_MAX = 2048,
	KIND_RAW = 1, /* else a segment, of which these are flags: */
	KIND_UP = 2,
	KIND_TIMESTAMPS = 4,
	KIND_FLAGS = 8, /* other than of an ACK */
	KIND_JUMP = 16, /* sequence numbers in 4 bytes each */
	SEGMENT_SIZE = 14 + 20 + 32,
};

struct input {
	const uint8_t *at, *end;
};

static struct {
	uint32_t seq[2];
	uint32_t tsval[2];
} connection;

static uint64_t take(struct input *in, size_t n)
{
	uint64_t value = 0;

	for (; n && in->at < in->end; n--)
		value = value << 8 | *in->at++;
	return value;
}

static bool is_inside(uint64_t hi, uint64_t lo, void *arg)
{
	uint8_t byte[8];

	(void)arg;
	if (hi == UINT64_MAX) {
		memcpy(byte, &lo, sizeof(byte));
		return byte[0] == 100;
	}
	memcpy(byte, &hi, sizeof(byte));
	return byte[5] == 1;
}

static void put32(uint8_t *at, uint32_t value)
{
	at[0] = value >> 24;
	at[1] = value >> 16;
	at[2] = value >> 8;
	at[3] = value;
}

static size_t make_segment(struct input *in, unsigned int kind, uint8_t *frame)
{
	static const uint8_t ether[] = {2, 0, 0, 0, 0, 1, 2,
					0, 0, 0, 0, 2, 8, 0};
	static const uint8_t ends[2][8] = {{198, 51, 100, 9, 100, 64, 1, 2},
					   {100, 64, 1, 2, 198, 51, 100, 9}};
	uint8_t *ip = frame + sizeof(ether), *tcp = ip + 20;
	unsigned int way = kind & KIND_UP ? 1 : 0, len;
	uint32_t seq, ack;

	memset(frame, 0, SEGMENT_SIZE);
	memcpy(frame, ether, sizeof(ether));
	len = take(in, 1) * 16;
	if (kind & KIND_JUMP) {
		seq = take(in, 4);
		ack = take(in, 4);
	} else {
		seq = connection.seq[way] + (int8_t)take(in, 1) * 16;
		ack = connection.seq[!way] + (int8_t)take(in, 1) * 16;
	}
	connection.seq[way] = seq + len;
	ip[0] = 0x45;
	ip[2] = (52 + len) >> 8;
	ip[3] = 52 + len;
	ip[9] = 6;
	memcpy(ip + 12, ends[way], 8);
	tcp[way ? 1 : 3] = 80;
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 8 << 4;
	tcp[13] = kind & KIND_FLAGS ? take(in, 1) : RTT_HAS_ACK;
	if (kind & KIND_TIMESTAMPS) {
		connection.tsval[way] += take(in, 1);
		put32(tcp + 20, 0x0101080a);
		put32(tcp + 24, connection.tsval[way]);
		put32(tcp + 28, connection.tsval[!way] - take(in, 1));
	}
	return SEGMENT_SIZE;
}

static void check(const struct path_packet *p)
{
	uint64_t ns = p->sample.ns;
	uint32_t bucket = rtt_bucket(ns);

	require(p->outcome >= RTT_NONE && p->outcome < RTT_OUTCOMES);
	if (p->outcome != RTT_SAMPLE)
		return;
	/* A stamp is kept in units of 64 ns. */
	require(ns < path_clock - p->since + (1 << RTT_UNIT_SHIFT));
	require(ns <= RTT_CLOCK_MASK);
	require(ns >> RTT_SECOND_SHIFT <= RTT_AGE_MAX + 1);
	require(bucket < RTT_BUCKETS);
	require(rtt_bucket_floor(bucket) <= ns &&
		ns < rtt_bucket_floor(bucket + 1));
	require(p->sample.kind >= RTT_ACK && p->sample.kind <= RTT_QUIC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct path *path = path_new(is_inside, NULL);
	uint64_t now = take(&in, 8) & ((1ULL << 60) - 1);
	uint8_t frame[FRAME_MAX];
	struct path_packet p;
	unsigned int kind;
	size_t len;

	memset(&connection, 0, sizeof(connection));
	while (in.at < in.end) {
		kind = take(&in, 1);
		len = take(&in, 1);
		now += (len & 7) << (len >> 3);
		if (kind & KIND_RAW) {
			len = take(&in, 2) % FRAME_MAX;
			if (len > (size_t)(in.end - in.at))
				len = in.end - in.at;
			memcpy(frame, in.at, len);
			in.at += len;
		} else {
			len = make_segment(&in, kind, frame);
		}
		if (!path_frame(path, now, frame, len, &p))
			check(&p);
	}
	path_free(path);
	return 0;
}
