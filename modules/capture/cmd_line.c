/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_line.c - a packet in a line. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "modules/capture/command.h"

enum { TIME_TEXT = 32, ENDS_TEXT = 2 * (INET6_ADDRSTRLEN + 8) + 4 };

static void time_text(int64_t wall, char *buf, size_t size)
{
	time_t seconds = (time_t)(wall / 1000000000);
	size_t len;
	struct tm tm;

	localtime_r(&seconds, &tm);
	len = strftime(buf, size, "%H:%M:%S", &tm);
	snprintf(buf + len, size - len, ".%06d",
		 (int)(wall % 1000000000 / 1000));
}

/* Bytes of it, if all of them are there. */
static const uint8_t *at(const struct capture_packet *packet, size_t offset,
			 size_t n)
{
	return offset + n <= packet->record.caplen ? packet->data + offset
						   : NULL;
}

static void end_text(int family, const uint8_t *address, const uint8_t *port,
		     char *buf, size_t size)
{
	size_t len;

	if (!inet_ntop(family, address, buf, (socklen_t)size))
		*buf = '\0';
	len = strlen(buf);
	if (port)
		snprintf(buf + len, size - len, ".%d", port[0] << 8 | port[1]);
}

static void ends_text(const struct capture_packet *packet, char *buf,
		      size_t size)
{
	const struct capture_record *r = &packet->record;
	bool ipv6 = r->flags & CAPTURE_IS_IPV6;
	size_t length = ipv6 ? 16 : 4, from = r->l3_off + (ipv6 ? 8 : 12);
	const uint8_t *addresses = at(packet, from, 2 * length), *ports = NULL;
	char src[INET6_ADDRSTRLEN + 8], dst[INET6_ADDRSTRLEN + 8];

	if (!addresses) {
		snprintf(buf, size, "? > ?");
		return;
	}
	if (r->l4_off && (r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP))
		ports = at(packet, r->l4_off, 4);
	end_text(ipv6 ? AF_INET6 : AF_INET, addresses, ports, src, sizeof(src));
	end_text(ipv6 ? AF_INET6 : AF_INET, addresses + length,
		 ports ? ports + 2 : NULL, dst, sizeof(dst));
	snprintf(buf, size, "%s > %s", src, dst);
}

static const char *protocol_text(uint8_t proto, char *buf, size_t size)
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
		snprintf(buf, size, "protocol %u", proto);
		return buf;
	}
}

void capture_line(const struct capture_packet *packet, char *buf, size_t size)
{
	const struct capture_record *r = &packet->record;
	char when[TIME_TEXT], ends[ENDS_TEXT], proto[16];

	time_text(packet->wall, when, sizeof(when));
	ends_text(packet, ends, sizeof(ends));
	snprintf(buf, size, "%s %s %s %s%s, length %u", when,
		 r->flags & CAPTURE_UP ? "up" : "down", ends,
		 protocol_text(r->proto, proto, sizeof(proto)),
		 r->flags & CAPTURE_FRAGMENT ? " fragment" : "", r->len);
}
