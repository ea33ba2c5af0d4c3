/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow_text.c - the ends of flows as text, and text as ranges of them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "core/lqos/packet.h"

const char *lqos_address_text(uint64_t hi, uint64_t lo, bool ipv6, char *buf,
			      size_t size)
{
	uint8_t addr[16];

	memcpy(addr, &hi, 8);
	memcpy(addr + 8, &lo, 8);
	return inet_ntop(ipv6 ? AF_INET6 : AF_INET, ipv6 ? addr : addr + 8, buf,
			 (socklen_t)size)
		       ?: "?";
}

const char *lqos_protocol_text(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	default:
		return "other";
	}
}

int lqos_ip_range_parse(const char *text, struct lqos_ip_range *out)
{
	struct lqos_ip_range r = {};
	struct lqos_prefix p;
	uint8_t addr[16] = {0}, mask[16] = {0};
	char why[128];
	int rc = core_prefix_parse(text, &p, why, sizeof(why));
	int i, from;

	if (rc)
		return rc;
	r.ipv6 = p.family == AF_INET6;
	/* As in struct lqos_flow_key, whose hi of IPv4 is no address. */
	from = r.ipv6 ? 0 : 8;
	memcpy(addr + from, p.addr, r.ipv6 ? 16 : 4);
	for (i = 0; i < p.len; i++)
		mask[from + i / 8] |= (uint8_t)(0x80 >> i % 8);
	memcpy(&r.mask_hi, mask, 8);
	memcpy(&r.mask_lo, mask + 8, 8);
	memcpy(&r.hi, addr, 8);
	memcpy(&r.lo, addr + 8, 8);
	*out = r;
	return 0;
}

bool lqos_ip_range_has(const struct lqos_ip_range *r,
		       const struct lqos_flow_key *key)
{
	if (r->ipv6 != (key->ipv6 != 0))
		return false;
	return ((key->subs_hi & r->mask_hi) == r->hi &&
		(key->subs_lo & r->mask_lo) == r->lo) ||
	       ((key->remote_hi & r->mask_hi) == r->hi &&
		(key->remote_lo & r->mask_lo) == r->lo);
}

int64_t lqos_clock_offset(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (real.tv_sec - mono.tv_sec) * 1000000000LL + real.tv_nsec -
	       mono.tv_nsec;
}
