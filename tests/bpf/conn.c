/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "tests/bpf/conn.h"

#include "bpf/datapath.skel.h"

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static void fill_tcp(uint8_t *tcp, const struct sent *s)
{
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[13] = s->flags;
	if (!s->tsval && !s->tsecr)
		return;
	tcp[22] = 8; /* RFC 7323; two NOPs in front */
	tcp[23] = 10;
	put32(tcp + 24, s->tsval);
	put32(tcp + 28, s->tsecr);
}

static void fill_icmp(uint8_t *icmp, const struct conn *c, const struct sent *s)
{
	if (s->icmp == CONN_ECHO_REPLY)
		icmp[0] = c->proto == CONN_ICMP ? 0 : 129;
	else if (s->icmp)
		icmp[0] = s->icmp;
	put16(icmp + 4, c->subs_port);
	put16(icmp + 6, s->number);
}

static void fill_tos(uint8_t *ip, bool ipv6, uint8_t tos)
{
	if (ipv6) {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(ip[1] | (tos & 0xf) << 4);
	} else {
		ip[1] = tos;
	}
}

void conn_frame(const struct conn *c, const struct sent *s, struct packet *p)
{
	bool up = s->way == LQOS_UP, stamps = s->tsval || s->tsecr;
	uint8_t proto = c->proto ? c->proto : CONN_TCP, *l4;
	uint32_t layers[PACKET_LAYERS] = {0}, n = 0;
	struct packet_ends ends;
	size_t header = 8;

	packet_ends_set(&ends, up ? c->subs : c->remote,
			up ? c->remote : c->subs);
	if (c->vlan)
		layers[n++] = P_VLAN;
	if (c->pppoe)
		layers[n++] = P_PPPOE;
	layers[n++] = P_IP;
	layers[n++] = proto == CONN_TCP	  ? P_TCP_OPTIONS(stamps ? 3 : 0)
		      : proto == CONN_UDP ? P_UDP
					  : P_ICMP;
	if (s->len)
		layers[n++] = P_DATA(s->len);
	packet_build(p, &ends, layers);
	if (c->vlan)
		put16(p->data + 14, c->vlan);
	fill_tos(p->data + p->l3_off, ends.ipv6, s->tos);
	l4 = p->data + p->l3_off + (ends.ipv6 ? 40 : 20);
	if (proto == CONN_TCP || proto == CONN_UDP) {
		put16(l4, up ? c->subs_port : c->remote_port);
		put16(l4 + 2, up ? c->remote_port : c->subs_port);
	} else {
		fill_icmp(l4, c, s);
	}
	if (proto == CONN_TCP) {
		fill_tcp(l4, s);
		header = stamps ? 32 : 20;
	}
	if (s->payload)
		memcpy(l4 + header, s->payload, s->len);
}

int conn_wire(struct datapath *dp, const struct bpf_program *prog)
{
	bool tc = dp->knobs.one_interface;

	return datapath_chain(dp, tc ? "lqos_egress" : "lqos_ingress", 0,
			      tc ? dp->skel->progs.lq_observe_tc
				 : dp->skel->progs.lq_observe)
		       ?: !prog
			  ? 0
			  : datapath_chain(
				    dp, tc ? "lqos_observe_tc" : "lqos_observe",
				    0, prog);
}

struct lqos_packet conn_pass_frame(struct datapath *dp, enum lqos_direction way,
				   const struct packet *p, uint32_t gso_size)
{
	bool up = way == LQOS_UP;
	struct outcome out;

	if (dp->knobs.one_interface) {
		assert_int_equal(run_tc_gso(up ? dp->skel->progs.lq_to_inet
					       : dp->skel->progs.lq_to_subs,
					    p->data, p->len, 0, gso_size, &out),
				 0);
		assert_int_equal(out.verdict, (uint32_t)TC_ACT_UNSPEC);
	} else {
		assert_int_equal(run_xdp(up ? dp->skel->progs.lq_from_subs
					    : dp->skel->progs.lq_from_inet,
					 p->data, p->len, NULL, &out),
				 0);
		assert_int_equal(out.verdict, XDP_PASS);
	}
	/* Nothing of it may have changed. */
	assert_int_equal(out.len, p->len);
	assert_memory_equal(out.frame, p->data, p->len);
	if (!out.described)
		assert_int_equal(datapath_scratch(dp, &out.pkt), 0);
	return out.pkt;
}

struct lqos_packet conn_pass_gso(struct datapath *dp, const struct conn *c,
				 const struct sent *s, uint32_t size)
{
	struct packet p;

	conn_frame(c, s, &p);
	return conn_pass_frame(dp, s->way, &p, size);
}

struct lqos_packet conn_pass(struct datapath *dp, const struct conn *c,
			     const struct sent *s)
{
	return conn_pass_gso(dp, c, s, 0);
}

uint64_t conn_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void conn_sleep_ms(unsigned int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}
