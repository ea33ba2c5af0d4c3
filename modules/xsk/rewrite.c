/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rewrite.c - packets changed where they are. */
#include <errno.h>
#include <string.h>

#include "modules/xsk/rewrite.h"

enum {
	TCP = 6,
	UDP = 17,
	/* In the TCP header. */
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_SUM = 16,
	TCP_URGENT = 18,
	/* Flags. */
	FIN = 1,
	SYN = 2,
	RST = 4,
	ACK = 16,
	/* Options. */
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
};

/* ---- Words --------------------------------------------------------------- */

static const uint8_t *find(const uint8_t *at, const uint8_t *end,
			   const struct rewrite_word *word)
{
	return memmem(at, (size_t)(end - at), word->text, word->len);
}

bool rewrite_contains(const uint8_t *data, const struct lqos_inet *in,
		      const struct rewrite_word *word)
{
	return in->payload && word->len &&
	       find(data + in->payload, data + in->end, word);
}

/* The IP header says how long the packet is, from here on. */
static void set_ip_length(uint8_t *data, struct lqos_inet *in, uint32_t end)
{
	in->end = end;
	if (in->version == 4)
		lqos_put16(data + in->l3 + 2, (uint16_t)(end - in->l3));
	else
		lqos_put16(data + in->l3 + 4,
			   (uint16_t)(end - in->l3 - LQOS_INET_IPV6));
}

static uint8_t *append(uint8_t *out, const void *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return out + n;
}

int rewrite_replace(uint8_t *data, uint32_t *len, uint32_t room,
		    const struct rewrite_word *from,
		    const struct rewrite_word *to)
{
	uint8_t copy[REWRITE_PAYLOAD_MAX], *out;
	const uint8_t *at, *next, *end;
	struct lqos_inet in;
	uint32_t udp_end, tail, n = 0;
	bool summed;
	int64_t grown;

	if (!from->len || lqos_inet_parse(data, *len, &in) || !in.l4 ||
	    in.proto != UDP)
		return 0;
	/* IP may be longer than UDP, and the frame longer than IP. */
	udp_end = in.l4 + lqos_inet_l4_len(data, &in);
	tail = in.end - udp_end;
	end = data + udp_end;
	for (at = data + in.payload; (at = find(at, end, from)); n++)
		at += from->len;
	if (!n)
		return 0;
	grown = ((int64_t)to->len - from->len) * n;
	if (in.end + grown > room || in.end + grown - in.l3 > UINT16_MAX ||
	    in.end - in.payload > sizeof(copy))
		return -EMSGSIZE;

	memcpy(copy, data + in.payload, in.end - in.payload);
	end = copy + (udp_end - in.payload);
	out = data + in.payload;
	for (at = copy; (next = find(at, end, from)); at = next + from->len) {
		out = append(out, at, (size_t)(next - at));
		out = append(out, to->text, to->len);
	}
	append(out, at, (size_t)(end + tail - at));

	/* No checksum (RFC 768) stays none. */
	summed = in.version == 6 || lqos_get16(data + in.l4 + 6);
	lqos_put16(data + in.l4 + 4, (uint16_t)(udp_end + grown - in.l4));
	set_ip_length(data, &in, (uint32_t)(in.end + grown));
	lqos_inet_set_checksums(data, &in);
	if (!summed)
		lqos_put16(data + in.l4 + 6, 0);
	*len = in.end;
	return (int)n;
}

/* ---- RST ----------------------------------------------------------------- */

/* What the segment takes of the sequence numbers. */
static uint32_t sequence_length(const uint8_t *data, const struct lqos_inet *in)
{
	uint8_t flags = data[in->l4 + TCP_FLAGS];

	return in->end - in->payload + !!(flags & SYN) + !!(flags & FIN);
}

/* Behind the headers of Ethernet and IP, as they are. */
static uint32_t make_reset(uint8_t *data, const struct lqos_inet *in,
			   uint32_t seq, uint32_t ack, uint8_t flags)
{
	struct lqos_inet out = *in;
	uint8_t *tcp = data + in->l4;

	lqos_put32(tcp + TCP_SEQ, seq);
	lqos_put32(tcp + TCP_ACK, ack);
	tcp[TCP_OFFSET] = LQOS_INET_TCP / 4 << 4;
	tcp[TCP_FLAGS] = flags;
	lqos_put16(tcp + TCP_WINDOW, 0);
	lqos_put16(tcp + TCP_URGENT, 0);
	set_ip_length(data, &out, in->l4 + LQOS_INET_TCP);
	lqos_inet_set_checksums(data, &out);
	return out.end;
}

/* It takes the place of the segment: its own sequence number is the one that
 * the receiver waits for, which a RST must hit (RFC 5961). */
uint32_t rewrite_reset(uint8_t *data, const struct lqos_inet *in)
{
	const uint8_t *tcp = data + in->l4;

	return make_reset(data, in, lqos_get32(tcp + TCP_SEQ),
			  lqos_get32(tcp + TCP_ACK),
			  RST | (tcp[TCP_FLAGS] & ACK));
}

static void swap(uint8_t *a, uint8_t *b, uint32_t n)
{
	while (n--) {
		uint8_t kept = a[n];

		a[n] = b[n];
		b[n] = kept;
	}
}

uint32_t rewrite_reset_back(uint8_t *data, const struct lqos_inet *in)
{
	uint8_t *tcp = data + in->l4, *ip = data + in->l3;
	uint32_t seq = 0, ack = lqos_get32(tcp + TCP_SEQ);

	ack += sequence_length(data, in);
	if (tcp[TCP_FLAGS] & ACK)
		seq = lqos_get32(tcp + TCP_ACK);
	swap(data, data + 6, 6);
	swap(tcp, tcp + 2, 2);
	if (in->version == 4)
		swap(ip + 12, ip + 16, 4);
	else
		swap(ip + 8, ip + 24, 16);
	return make_reset(data, in, seq, ack, RST | ACK);
}

/* ---- MSS ----------------------------------------------------------------- */

/* Where the option's value is; NULL: there is none. */
static uint8_t *find_mss(uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != OPTION_END) {
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return NULL;
		if (*at == OPTION_MSS)
			return at[1] == 4 ? at + 2 : NULL;
		at += at[1];
	}
	return NULL;
}

static uint16_t swapped(uint16_t value)
{
	return (uint16_t)(value << 8 | value >> 8);
}

bool rewrite_clamp_mss(uint8_t *data, const struct lqos_inet *in, uint16_t mss)
{
	uint8_t *tcp = data + in->l4, *value;
	uint16_t was, is = mss;
	uint32_t sum;

	if (!in->l4 || in->proto != TCP || !(tcp[TCP_FLAGS] & SYN))
		return false;
	value = find_mss(tcp + LQOS_INET_TCP, data + in->payload);
	if (!value || lqos_get16(value) <= mss)
		return false;
	was = lqos_get16(value);
	lqos_put16(value, mss);
	/* Updated (RFC 1624), not made anew: one that was wrong stays so.  What
	 * begins at an odd byte is in two words. */
	if ((value - tcp) & 1) {
		was = swapped(was);
		is = swapped(is);
	}
	sum = (uint16_t)~lqos_get16(tcp + TCP_SUM);
	sum += (uint16_t)~was + (uint32_t)is;
	lqos_put16(tcp + TCP_SUM, lqos_inet_fold(sum));
	return true;
}
