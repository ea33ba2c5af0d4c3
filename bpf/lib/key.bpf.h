/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which flow a parsed packet is of.  Offsets are the descriptor's; nothing is
 * parsed again. */
#ifndef BPF_LIB_KEY_H
#define BPF_LIB_KEY_H

#include <stdbool.h>

#include <lqos/packet.bpf.h>

enum {
	SEGMENT_TCP = 6,
	SEGMENT_UDP = 17,
	SEGMENT_ICMP = 1,
	SEGMENT_ICMPV6 = 58,
	SEGMENT_TCP_LEN = 20,
	SEGMENT_ECHO4_ANSWER = 0,
	SEGMENT_ECHO4 = 8,
	SEGMENT_ECHO6 = 128,
	SEGMENT_ECHO6_ANSWER = 129,
};

/* Bounded, so that the verifier can follow the pointer. */
static __always_inline void *segment_at(void *data, __u32 off)
{
	return data + (off & 0x3fff);
}

/* 1: asks; 2: answers; 0: no echo. */
static __always_inline int segment_echo(const struct lqos_packet *pkt,
					__u8 type)
{
	bool ipv6 = pkt->flags & LQOS_PACKET_IPV6;

	if (type == (ipv6 ? SEGMENT_ECHO6 : SEGMENT_ECHO4))
		return 1;
	return type == (ipv6 ? SEGMENT_ECHO6_ANSWER : SEGMENT_ECHO4_ANSWER) ? 2
									    : 0;
}

static __always_inline void segment_addresses(const struct lqos_packet *pkt,
					      const void *ip,
					      struct lqos_flow_key *key)
{
	bool up = pkt->flags & LQOS_PACKET_UP;
	const __u32 *src = ip + 12, *dst = src + 1;
	const __u32 *subs, *remote;

	if (pkt->flags & LQOS_PACKET_IPV6) {
		src = ip + 8;
		dst = ip + 24;
		subs = up ? src : dst;
		remote = up ? dst : src;
		key->subs_hi = (__u64)subs[1] << 32 | subs[0];
		key->subs_lo = (__u64)subs[3] << 32 | subs[2];
		key->remote_hi = (__u64)remote[1] << 32 | remote[0];
		key->remote_lo = (__u64)remote[3] << 32 | remote[2];
		key->ipv6 = 1;
		return;
	}
	key->subs_hi = key->remote_hi = ~0ULL;
	key->subs_lo = up ? *src : *dst;
	key->remote_lo = up ? *dst : *src;
	key->ipv6 = 0;
}

/* 0, or -1: it is in no flow. */
static __always_inline int segment_key(void *data, void *data_end,
				       const struct lqos_packet *pkt,
				       struct lqos_flow_key *key)
{
	void *ip = segment_at(data, pkt->l3_off);
	void *l4 = segment_at(data, pkt->l4_off);
	bool up = pkt->flags & LQOS_PACKET_UP;
	__u32 ports;

	if (!pkt->l4_off || l4 + 8 > data_end ||
	    ip + (pkt->flags & LQOS_PACKET_IPV6 ? 40 : 20) > data_end)
		return -1;
	segment_addresses(pkt, ip, key);
	key->space = pkt->space;
	key->proto = pkt->l4_proto;
	if (pkt->l4_proto == SEGMENT_TCP || pkt->l4_proto == SEGMENT_UDP) {
		/* One word: which of two to read, Linux 6.1 cannot follow. */
		ports = *(__u32 *)l4;
		if (!up)
			ports = ports << 16 | ports >> 16;
		__builtin_memcpy(&key->subs_port, &ports, sizeof(ports));
		return 0;
	}
	if (!segment_echo(pkt, *(__u8 *)l4))
		return -1;
	key->subs_port = key->remote_port = ((__u16 *)l4)[2];
	return 0;
}

union key {
	struct lqos_flow_key key;
	__u64 word[5];
};

static __always_inline __u64 key_rotate(__u64 x, __u32 by)
{
	return x << by | x >> (64 - by);
}

/* What one word's multiplication leaves in the high bits, another's rotation
 * brings down: no flipped pair of bits cancels out whatever the seed. */
static __always_inline __u64 key_hash(const union key *k, __u64 seed)
{
	__u64 x = (k->word[1] ^ seed) * 0xff51afd7ed558ccdULL;

	x ^= key_rotate((k->word[3] ^ seed) * 0xc4ceb9fe1a85ec53ULL, 32);
	x ^= key_rotate((k->word[4] ^ seed) * 0x9e3779b97f4a7c15ULL, 17);
	x += key_rotate((k->word[0] ^ seed) * 0xbf58476d1ce4e5b9ULL, 43);
	x += key_rotate((k->word[2] ^ seed) * 0x94d049bb133111ebULL, 11);
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

#endif /* BPF_LIB_KEY_H */
