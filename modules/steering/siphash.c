/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash (Aumasson and Bernstein, 2012): 1 round a word, 3 at the end. */
#include <endian.h>
#include <string.h>

#include "modules/steering/siphash.h"

struct state {
	uint64_t a, b, c, d;
};

static uint64_t rotated(uint64_t word, unsigned int bits)
{
	return word << bits | word >> (64 - bits);
}

static void mix(struct state *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotated(s->b, 13) ^ s->a;
	s->d = rotated(s->d, 16) ^ s->c;
	s->a = rotated(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotated(s->b, 17) ^ s->c;
	s->d = rotated(s->d, 21) ^ s->a;
	s->c = rotated(s->c, 32);
}

static void take(struct state *s, uint64_t word)
{
	s->d ^= word;
	mix(s);
	s->a ^= word;
}

uint64_t siphash13(const void *data, size_t len)
{
	/* "somepseudorandomlygeneratedbytes" */
	struct state s = {0x736f6d6570736575, 0x646f72616e646f6d,
			  0x6c7967656e657261, 0x7465646279746573};
	const uint8_t *bytes = data;
	size_t rest = len % 8, i;
	uint64_t word;

	for (i = 0; i < len - rest; i += 8) {
		memcpy(&word, bytes + i, 8);
		take(&s, le64toh(word));
	}
	word = (uint64_t)len << 56;
	while (rest--)
		word |= (uint64_t)bytes[i + rest] << 8 * rest;
	take(&s, word);
	s.c ^= 0xff;
	for (i = 0; i < 3; i++)
		mix(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
