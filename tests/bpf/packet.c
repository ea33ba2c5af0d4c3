/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bpf/packet.h"

enum { ETHER = 14, FIXUPS = 16 };

/* What lies between the layers while they are put together. */
struct builder {
	struct packet *p;
	const struct packet_ends *ends;
	uint8_t *type;	/* ethertype of what follows; NULL: named already */
	uint8_t *proto; /* IP protocol of what follows; NULL: the same */
	bool ppp;	/* *type is a PPP protocol */
	uint8_t *label; /* the last MPLS label, while it is the top of all */
	uint8_t *ip;
	uint8_t byte0; /* of ip, as it should not be; 0: right */
	uint8_t *end;  /* where padding begins; NULL: none */
	struct {
		enum packet_kind kind;
		uint8_t *at;
	} fixups[FIXUPS];
	int n_fixups;
};

static uint8_t *append(struct builder *b, size_t len)
{
	uint8_t *at = b->p->data + b->p->len;

	if (b->p->len + len > PACKET_MAX)
		abort();
	b->p->len += len;
	memset(at, 0, len);
	return at;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Let the layer before name this one. */
static void name_type(struct builder *b, uint32_t type)
{
	if (b->type)
		put16(b->type, type);
	b->type = NULL;
}

static void name_proto(struct builder *b, uint32_t proto)
{
	if (b->proto)
		*b->proto = (uint8_t)proto;
	b->proto = NULL;
}

static void fix_later(struct builder *b, enum packet_kind kind, uint8_t *at)
{
	if (b->n_fixups == FIXUPS)
		abort();
	b->fixups[b->n_fixups].kind = kind;
	b->fixups[b->n_fixups++].at = at;
}

static void add_tag(struct builder *b, uint32_t tpid)
{
	uint8_t *tag;

	name_type(b, tpid);
	tag = append(b, 4);
	put16(tag, 0x6064); /* priority 3, VLAN 100 */
	b->type = tag + 2;
}

static void add_pppoe(struct builder *b, uint32_t code)
{
	uint8_t *header;

	name_type(b, 0x8864);
	header = append(b, 8);
	header[0] = 0x11;
	header[1] = (uint8_t)code;
	put16(header + 2, 0x1234);
	fix_later(b, PACKET_PPPOE, header);
	b->type = header + 6;
	b->ppp = true;
}

static void add_mpls(struct builder *b)
{
	uint8_t *label;

	name_type(b, 0x8847);
	if (b->label)
		b->label[2] &= 0xfe;
	label = append(b, 4);
	label[1] = 0x3e;
	label[2] = 0x81; /* label 1000, bottom of the stack */
	label[3] = 64;
	b->label = label;
}

static void add_llc(struct builder *b, uint32_t sap)
{
	uint8_t *llc = append(b, 3);

	fix_later(b, PACKET_LLC, b->type);
	b->type = NULL;
	put16(llc, sap);
	llc[2] = 3; /* unnumbered information */
}

static void add_ip(struct builder *b, uint32_t options)
{
	bool ipv6 = b->ends->ipv6;
	uint8_t *ip;

	if (b->ppp)
		name_type(b, ipv6 ? 0x0057 : 0x0021);
	else
		name_type(b, ipv6 ? 0x86dd : 0x0800);
	b->p->l3_off = b->p->len;
	b->ip = ip = append(b, ipv6 ? 40 : 20 + options * 4);
	fix_later(b, PACKET_IP, ip);
	if (ipv6) {
		ip[0] = 0x60;
		ip[6] = 59; /* no next header, until it is named */
		ip[7] = 64;
		memcpy(ip + 8, b->ends->src, 16);
		memcpy(ip + 24, b->ends->dst, 16);
		b->proto = ip + 6;
		return;
	}
	ip[0] = (uint8_t)(0x45 + options);
	ip[6] = 0x40; /* don't fragment */
	ip[8] = 64;
	ip[9] = 255;
	memcpy(ip + 12, b->ends->src, 4);
	memcpy(ip + 16, b->ends->dst, 4);
	memset(ip + 20, 1, options * 4); /* no operation */
	b->proto = ip + 9;
}

static void add_extension(struct builder *b, uint32_t arg)
{
	uint32_t proto = arg & 0xff, units = arg >> 8;
	uint8_t *header;

	name_proto(b, proto);
	header = append(b, units * (proto == 51 ? 4 : 8));
	header[0] = 59;
	header[1] = (uint8_t)(units - (proto == 51 ? 2 : 1));
	if (proto == 0 || proto == 60) { /* PadN */
		header[2] = 1;
		header[3] = (uint8_t)(units * 8 - 4);
	}
	b->proto = header;
}

static void add_fragment(struct builder *b, uint32_t which)
{
	uint32_t offset = which == PACKET_MIDDLE ? 100
			  : which == PACKET_LAST ? 200
						 : 0;
	bool more = which == PACKET_FIRST || which == PACKET_MIDDLE;
	uint8_t *header;

	if (!b->ends->ipv6) {
		if (which != PACKET_ATOMIC)
			put16(b->ip + 6, more << 13 | offset);
		return;
	}
	name_proto(b, 44);
	header = append(b, 8);
	header[0] = 59;
	put16(header + 2, offset << 3 | more);
	header[7] = 77;
	b->proto = header;
}

static void add_tcp(struct builder *b, uint32_t options)
{
	uint8_t *tcp;

	name_proto(b, 6);
	tcp = append(b, 20 + options * 4);
	put16(tcp, 443);
	put16(tcp + 2, 50000);
	tcp[12] = (uint8_t)((5 + options) << 4);
	tcp[13] = 0x10;
	put16(tcp + 14, 0xfaf0);
	memset(tcp + 20, 1, options * 4);
	fix_later(b, PACKET_TCP, tcp);
}

static void add_udp(struct builder *b)
{
	uint8_t *udp;

	name_proto(b, 17);
	udp = append(b, 8);
	put16(udp, 53);
	put16(udp + 2, 50000);
	fix_later(b, PACKET_UDP, udp);
}

static void add_icmp(struct builder *b)
{
	uint8_t *icmp;

	name_proto(b, b->ends->ipv6 ? 58 : 1);
	icmp = append(b, 8);
	icmp[0] = b->ends->ipv6 ? 128 : 8; /* echo request */
	fix_later(b, PACKET_ICMP, icmp);
}

static void add_data(struct builder *b, uint32_t len)
{
	uint8_t *data = append(b, len);
	uint32_t i;

	for (i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + 1);
}

static void add(struct builder *b, uint32_t layer)
{
	enum packet_kind kind = layer & 0xff;
	uint32_t arg = layer >> 8;

	switch (kind) {
	case PACKET_TAG:
		return add_tag(b, arg);
	case PACKET_PPPOE:
		return add_pppoe(b, arg);
	case PACKET_MPLS:
		return add_mpls(b);
	case PACKET_TYPE:
		return name_type(b, arg);
	case PACKET_LLC:
		return add_llc(b, arg);
	case PACKET_IP:
		return add_ip(b, arg);
	case PACKET_BYTE0:
		b->byte0 = (uint8_t)arg;
		return;
	case PACKET_EXTENSION:
		return add_extension(b, arg);
	case PACKET_FRAGMENT:
		return add_fragment(b, arg);
	case PACKET_PROTO:
		return name_proto(b, arg);
	case PACKET_TCP:
		return add_tcp(b, arg);
	case PACKET_UDP:
		return add_udp(b);
	case PACKET_ICMP:
		return add_icmp(b);
	case PACKET_DATA:
		return add_data(b, arg);
	case PACKET_BYTES:
		return put16(append(b, 2), arg);
	case PACKET_PAD:
		b->end = append(b, arg);
		return;
	case PACKET_END:
		break;
	}
	abort();
}

/* ---- Lengths and checksums ----------------------------------------------- */

/* RFC 1071. */
static uint32_t sum(uint32_t start, const uint8_t *at, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		start += (uint32_t)at[i] << (i % 2 ? 0 : 8);
	return start;
}

static uint32_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~total & 0xffff;
}

static uint32_t pseudo_header(const struct builder *b, uint32_t proto,
			      size_t len)
{
	size_t size = b->ends->ipv6 ? 16 : 4;

	return sum(sum((uint32_t)len + proto, b->ends->src, size), b->ends->dst,
		   size);
}

static void fix(struct builder *b, enum packet_kind kind, uint8_t *at)
{
	size_t len = (size_t)(b->end - at), header;
	uint32_t checksum;

	switch (kind) {
	case PACKET_PPPOE:
		put16(at + 4, (uint32_t)len - 6);
		break;
	case PACKET_LLC:
		put16(at, (uint32_t)len - 2);
		break;
	case PACKET_IP:
		if (b->ends->ipv6) {
			put16(at + 4, (uint32_t)len - 40);
			break;
		}
		header = (size_t)(at[0] & 0x0f) * 4;
		put16(at + 2, (uint32_t)len);
		put16(at + 10, fold(sum(0, at, header)));
		break;
	case PACKET_TCP:
		put16(at + 16, fold(sum(pseudo_header(b, 6, len), at, len)));
		break;
	case PACKET_UDP:
		put16(at + 4, (uint32_t)len);
		checksum = fold(sum(pseudo_header(b, 17, len), at, len));
		put16(at + 6, checksum ? checksum : 0xffff);
		break;
	case PACKET_ICMP:
		checksum = b->ends->ipv6 ? pseudo_header(b, 58, len) : 0;
		put16(at + 2, fold(sum(checksum, at, len)));
		break;
	default:
		abort();
	}
}

void packet_build(struct packet *p, const struct packet_ends *ends,
		  const uint32_t *layers)
{
	struct builder b = {.p = p, .ends = ends};
	uint8_t *ether;
	int i;

	p->len = 0;
	p->l3_off = 0;
	ether = append(&b, ETHER);
	memcpy(ether, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
	b.type = ether + 12;
	for (i = 0; i < PACKET_LAYERS && layers[i]; i++)
		add(&b, layers[i]);
	if (!b.end)
		b.end = p->data + p->len;
	for (i = 0; i < b.n_fixups; i++)
		fix(&b, b.fixups[i].kind, b.fixups[i].at);
	if (b.byte0)
		b.ip[0] = b.byte0;
}

void packet_ends_set(struct packet_ends *ends, const char *src, const char *dst)
{
	int family = strchr(src, ':') ? AF_INET6 : AF_INET;

	memset(ends, 0, sizeof(*ends));
	ends->ipv6 = family == AF_INET6;
	if (inet_pton(family, src, ends->src) != 1 ||
	    inet_pton(family, dst, ends->dst) != 1)
		abort();
}
