/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prefix.c - addresses and prefixes: text, order, containment. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "core/registry.h"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

enum { VLAN_MAX = 4094 };

static uint8_t host_len(uint8_t family)
{
	return family == AF_INET ? 32 : 128;
}

/* What text said, in a form that any log can print. */
static const char *quoted(const char *text, char *buf, size_t size)
{
	size_t i;

	for (i = 0; i < size - 1 && text[i]; i++)
		buf[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	buf[i] = '\0';
	return buf;
}

/* A number as people write it, followed by end. */
static bool parse_number(const char *text, char end, unsigned long max,
			 unsigned long *value)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 4 || (text[digits] && text[digits] != end) ||
	    (digits > 1 && text[0] == '0'))
		return false;
	*value = strtoul(text, NULL, 10);
	return *value <= max;
}

static bool parse_len(const char *text, uint8_t max, uint8_t *len)
{
	unsigned long value;

	if (!parse_number(text, '\0', max, &value))
		return false;
	*len = (uint8_t)value;
	return true;
}

static bool parse_vlan(const char *text, uint16_t *vlan)
{
	unsigned long value;

	if (!parse_number(text, '/', VLAN_MAX, &value) || !value)
		return false;
	*vlan = (uint16_t)value;
	return true;
}

/* Clear the bits of addr after the first len; true: there were some. */
static bool clear_host_bits(uint8_t addr[16], uint8_t len)
{
	bool had = false;

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = len > 8 * i ? len - 8 * i : 0;
		uint8_t mask = keep >= 8 ? 0xff : (uint8_t) ~(0xff >> keep);

		had |= addr[i] & ~mask;
		addr[i] &= mask;
	}
	return had;
}

/* Without its length. */
static void address_text(const struct lqos_prefix *p, char *buf, size_t size)
{
	size_t len;

	buf[0] = '\0';
	inet_ntop(p->family, p->addr, buf, size);
	len = strlen(buf);
	if (p->vlan)
		snprintf(buf + len, size - len, "%%%u", p->vlan);
}

int core_prefix_parse(const char *text, struct lqos_prefix *out, char *why,
		      size_t why_size)
{
	struct lqos_prefix p = {.cpu = UINT32_MAX};
	char range[CORE_PREFIX_TEXT], host[CORE_PREFIX_TEXT], said[61];
	const char *slash = strchr(text, '/');
	size_t len = strcspn(text, "%/");
	char address[INET6_ADDRSTRLEN] = "";

	quoted(text, said, sizeof(said));
	if (len < sizeof(address))
		memcpy(address, text, len);
	if (inet_pton(AF_INET, address, p.addr) == 1) {
		p.family = AF_INET;
	} else if (inet_pton(AF_INET6, address, p.addr) == 1) {
		p.family = AF_INET6;
	} else {
		snprintf(why, why_size,
			 "\"%s\" is no address: expected one like 192.0.2.1, "
			 "192.0.2.0/24, 2001:db8::1 or 2001:db8::/56",
			 said);
		return -EINVAL;
	}

	if (text[len] == '%' && !parse_vlan(text + len + 1, &p.vlan)) {
		snprintf(
			why, why_size,
			"\"%s\": expected the id of a VLAN, 1 to %d, after the "
			"\"%%\"",
			said, VLAN_MAX);
		return -EINVAL;
	}

	p.len = host_len(p.family);
	if (slash && !parse_len(slash + 1, p.len, &p.len)) {
		snprintf(why, why_size,
			 "\"%s\": expected a length of 0 to %u after the \"/\"",
			 said, p.len);
		return -EINVAL;
	}

	if (p.family == AF_INET6 && p.len >= 96 &&
	    !memcmp(p.addr, v4_mapped, sizeof(v4_mapped))) {
		inet_ntop(AF_INET, p.addr + 12, host, sizeof(host));
		snprintf(why, why_size,
			 "\"%s\" is IPv4 written as IPv6: expected it as IPv4, "
			 "like %s",
			 said, host);
		return -EINVAL;
	}

	address_text(&p, host, sizeof(host));
	if (clear_host_bits(p.addr, p.len)) {
		snprintf(
			why, why_size,
			"\"%s\" has bits set after its length: expected %s for "
			"the range or %s for the host",
			said, core_prefix_text(&p, range, sizeof(range)), host);
		return -EINVAL;
	}
	*out = p;
	return 0;
}

const char *core_prefix_text(const struct lqos_prefix *p, char *buf,
			     size_t size)
{
	size_t len;

	address_text(p, buf, size);
	len = strlen(buf);
	if (p->len != host_len(p->family))
		snprintf(buf + len, size - len, "/%u", p->len);
	return buf;
}

int core_prefix_check_vlan(const struct lqos_prefix *p, bool address_spaces,
			   char *why, size_t why_size)
{
	char text[CORE_PREFIX_TEXT];

	if (!p->vlan || address_spaces)
		return 0;
	snprintf(why, why_size,
		 "\"%s\" is in VLAN %u: expected an address without one, or "
		 "address_spaces = yes in [lqosd]",
		 core_prefix_text(p, text, sizeof(text)), p->vlan);
	return -EINVAL;
}

int core_prefix_compare(const void *a, const void *b)
{
	const struct lqos_prefix *x = a, *y = b;
	int order;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->vlan != y->vlan)
		return x->vlan < y->vlan ? -1 : 1;
	order = memcmp(x->addr, y->addr, sizeof(x->addr));
	return order ? order : x->len - y->len;
}

void core_prefix_cut(struct lqos_prefix *p, uint8_t len)
{
	clear_host_bits(p->addr, len);
	p->len = len;
}

bool core_prefix_covers(const struct lqos_prefix *outer,
			const struct lqos_prefix *inner)
{
	uint8_t addr[16];

	if (outer->family != inner->family || outer->vlan != inner->vlan ||
	    outer->len > inner->len)
		return false;
	memcpy(addr, inner->addr, sizeof(addr));
	clear_host_bits(addr, outer->len);
	return !memcmp(addr, outer->addr, sizeof(addr));
}
