/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reference.h - a parser of frames that shares nothing with that of the
 * datapath: bytes by number, each of which may turn out not to be there.  Slow
 * and plain, from the RFCs that are named in bpf/lib/parse.bpf.h.
 */
#ifndef TESTS_FUZZ_REFERENCE_H
#define TESTS_FUZZ_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reference {
	const uint8_t *frame;
	size_t len;
	size_t at; /* what was read up to */
	bool is_ip, ipv6, fragment;
	size_t l3, l4; /* l4 0: none that is whole */
	unsigned int proto;
	const uint8_t *source, *destination;
};

static inline bool reference_has(const struct reference *r, size_t n)
{
	return r->at + n <= r->len;
}

/* The big-endian number of n bytes, off behind what was read. */
static inline uint32_t reference_get(const struct reference *r, size_t off,
				     size_t n)
{
	uint32_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | r->frame[r->at + off + i];
	return value;
}

static inline enum dp_counter reference_l4(struct reference *r)
{
	size_t needs;

	if (r->proto == 6)
		needs = 20;
	else if (r->proto == 17 || r->proto == 1 || r->proto == 58)
		needs = 8;
	else
		return DP_L4_OTHER;
	if (!reference_has(r, needs))
		return DP_L4_TRUNCATED;
	r->l4 = r->at;
	return PARSE_OK;
}

static inline enum dp_counter reference_ipv4(struct reference *r)
{
	uint32_t words;

	if (!reference_has(r, 20))
		return DP_TRUNCATED;
	words = reference_get(r, 0, 1) % 16;
	if (reference_get(r, 0, 1) / 16 != 4 || words < 5)
		return DP_BAD_HEADER;
	r->is_ip = true;
	r->l3 = r->at;
	r->proto = reference_get(r, 9, 1);
	r->source = r->frame + r->at + 12;
	r->destination = r->frame + r->at + 16;
	r->fragment = reference_get(r, 6, 2) % 0x4000;
	if (r->fragment)
		return DP_FRAGMENT;
	r->at += words * 4;
	return reference_l4(r);
}

static inline bool reference_is_extension(unsigned int proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 51 ||
	       proto == 60 || proto == 135;
}

static inline enum dp_counter reference_ipv6(struct reference *r)
{
	unsigned int followed = 0;

	if (!reference_has(r, 40))
		return DP_TRUNCATED;
	if (reference_get(r, 0, 1) / 16 != 6)
		return DP_BAD_HEADER;
	r->is_ip = r->ipv6 = true;
	r->l3 = r->at;
	r->proto = reference_get(r, 6, 1);
	r->source = r->frame + r->at + 8;
	r->destination = r->frame + r->at + 24;
	r->at += 40;
	for (; reference_is_extension(r->proto); followed++) {
		unsigned int kind = r->proto;
		uint32_t field;

		if (followed == 6)
			return DP_EXTENSIONS;
		if (!reference_has(r, 8))
			return DP_L4_TRUNCATED;
		field = reference_get(r, 2, 2);
		r->proto = reference_get(r, 0, 1);
		/* 13 bits of where it lies, 2 reserved, more follow. */
		if (kind == 44 && (field / 8 || field % 2)) {
			r->fragment = true;
			return DP_FRAGMENT;
		}
		if (kind == 44)
			r->at += 8;
		else if (kind == 51)
			r->at += 4 * (reference_get(r, 1, 1) + 2);
		else
			r->at += 8 * (reference_get(r, 1, 1) + 1);
	}
	return reference_l4(r);
}

/* What is behind a tunnel that does not say it in its own header. */
static inline enum dp_counter reference_ip(struct reference *r,
					   uint32_t version)
{
	if (version == 4)
		return reference_ipv4(r);
	return version == 6 ? reference_ipv6(r) : DP_NOT_IP;
}

static inline enum dp_counter reference_mpls(struct reference *r)
{
	for (int i = 0; i < 4; i++) {
		bool is_last;

		if (!reference_has(r, 4))
			return DP_TRUNCATED;
		is_last = reference_get(r, 2, 1) % 2;
		r->at += 4;
		if (!is_last)
			continue;
		if (!reference_has(r, 1))
			return DP_TRUNCATED;
		return reference_ip(r, reference_get(r, 0, 1) / 16);
	}
	return DP_TAGS;
}

static inline enum dp_counter reference_pppoe(struct reference *r)
{
	uint32_t protocol;

	if (!reference_has(r, 8))
		return DP_TRUNCATED;
	/* Version 1, type 1, code 0: a session's data. */
	if (reference_get(r, 0, 2) != 0x1100)
		return DP_NOT_IP;
	protocol = reference_get(r, 6, 2);
	r->at += 8;
	return reference_ip(r, protocol == 0x21 ? 4 : protocol == 0x57 ? 6 : 0);
}

/* Returns as parse() does.  *r: frame and len. */
static inline enum dp_counter reference_parse(struct reference *r)
{
	uint32_t type;

	r->at = 12;
	if (!reference_has(r, 2))
		return DP_TRUNCATED;
	for (int tags = 0;; tags++) {
		type = reference_get(r, 0, 2);
		r->at += 2;
		if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
			break;
		if (tags == 4)
			return DP_TAGS;
		if (!reference_has(r, 4))
			return DP_TRUNCATED;
		r->at += 2;
	}
	switch (type) {
	case 0x0800:
		return reference_ipv4(r);
	case 0x86dd:
		return reference_ipv6(r);
	case 0x8864:
		return reference_pppoe(r);
	case 0x8847:
	case 0x8848:
		return reference_mpls(r);
	}
	return DP_NOT_IP;
}

#endif /* TESTS_FUZZ_REFERENCE_H */
