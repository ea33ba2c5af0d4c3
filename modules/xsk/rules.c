/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which packets each tap gets. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/xsk/taps.h"

#include "bpf/xsk.skel.h" /* wants bpf/xsk.h before it */

_Static_assert(XK_TO == (int)LQOS_XSK_TO && XK_FROM == (int)LQOS_XSK_FROM &&
		       XK_ARP == (int)LQOS_XSK_ARP && XK_ND == (int)LQOS_XSK_ND,
	       "the same for both");

/* ---- Adding -------------------------------------------------------------- */

static int refuse_about(const struct lqos_xsk_rule *rule,
			const struct lqos_ip_range *range, char *why,
			size_t size)
{
	uint32_t about = rule->about ?: LQOS_XSK_TO;

	if (about & ~(uint32_t)(LQOS_XSK_TO | LQOS_XSK_FROM | LQOS_XSK_ARP |
				LQOS_XSK_ND))
		return xsk_refuse(
			-EINVAL, why, size,
			"about %#x: LQOS_XSK_TO, FROM, ARP and ND are "
			"known",
			about);
	if (rule->prefix && ((about & LQOS_XSK_ARP && range->ipv6) ||
			     (about & LQOS_XSK_ND && !range->ipv6)))
		return xsk_refuse(-EINVAL, why, size,
				  "%s: ARP is about IPv4 addresses, ND about "
				  "IPv6's",
				  rule->prefix);
	if (rule->circuit && about & LQOS_XSK_ARP)
		return xsk_refuse(-EINVAL, why, size,
				  "circuit %s: ARP is of no circuit",
				  rule->circuit);
	if (rule->port && rule->proto && rule->proto != IPPROTO_TCP &&
	    rule->proto != IPPROTO_UDP)
		return xsk_refuse(-EINVAL, why, size,
				  "port %u: protocol %u has none", rule->port,
				  rule->proto);
	if (rule->icmp_type && rule->proto != IPPROTO_ICMP &&
	    rule->proto != IPPROTO_ICMPV6)
		return xsk_refuse(-EINVAL, why, size,
				  "ICMP type %u: protocol %u has none",
				  rule->icmp_type, rule->proto);
	return 0;
}

static char *describe(const struct lqos_xsk_rule *rule)
{
	uint32_t about = rule->about ?: LQOS_XSK_TO;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "%s%s%s%s", about & LQOS_XSK_TO ? "to " : "",
		about & LQOS_XSK_FROM ? "from " : "",
		about & LQOS_XSK_ARP ? "arp " : "",
		about & LQOS_XSK_ND ? "nd " : "");
	fputs(rule->prefix ?: "any", f);
	if (rule->proto)
		fprintf(f, " proto %u", rule->proto);
	if (rule->icmp_type)
		fprintf(f, " type %u", rule->icmp_type);
	if (rule->port)
		fprintf(f, " port %u", rule->port);
	if (rule->circuit)
		fprintf(f, " circuit %s", rule->circuit);
	if (rule->interface)
		fprintf(f, " on %s", rule->interface);
	return fclose(f) ? NULL : text;
}

static void rule_free(struct xsk_tap_rule *rule)
{
	free(rule->circuit);
	free(rule->interface);
	free(rule->text);
	*rule = (struct xsk_tap_rule){};
}

static uint32_t rules(const struct xsk *xsk)
{
	uint32_t n = 0;

	for (int i = 0; i < XK_TAPS; i++)
		n += xsk->taps[i] ? xsk->taps[i]->n_rules : 0;
	return n;
}

int xsk_rule_add(struct lqos_xsk_tap *tap, const struct lqos_xsk_rule *rule,
		 char *why, size_t size)
{
	struct xsk_tap_rule made CORE_CLEANUP(rule_free) = {};
	struct lqos_ip_range range = {};
	int rc;

	if (rule->prefix && (strchr(rule->prefix, '%') ||
			     lqos_ip_range_parse(rule->prefix, &range)))
		return xsk_refuse(-EINVAL, why, size,
				  "prefix \"%s\": an address or prefix was "
				  "expected, like 192.0.2.1 or 2001:db8::/64, "
				  "without a VLAN",
				  rule->prefix);
	rc = refuse_about(rule, &range, why, size);
	if (rc)
		return rc;
	if (rules(tap->xsk) == XK_RULES)
		return xsk_refuse(
			-ENOSPC, why, size,
			"all taps have %d rules together: no more fit",
			XK_RULES);
	made.rule = (struct xk_rule){
		.hi = range.hi,
		.lo = range.lo,
		.mask_hi = range.mask_hi,
		.mask_lo = range.mask_lo,
		.port = htons(rule->port),
		.proto = rule->proto,
		.icmp_type = rule->icmp_type,
		.about = rule->about ?: LQOS_XSK_TO,
		.tap = tap->number,
	};
	made.text = describe(rule);
	made.circuit = rule->circuit ? strdup(rule->circuit) : NULL;
	made.interface = rule->interface ? strdup(rule->interface) : NULL;
	if (!made.text || !made.circuit != !rule->circuit ||
	    !made.interface != !rule->interface)
		return xsk_refuse(-ENOMEM, why, size, "no memory for a rule");
	tap->rules[tap->n_rules++] = made;
	made = (struct xsk_tap_rule){};
	xsk_rules_publish(tap->xsk);
	return 0;
}

void xsk_rules_clear(struct lqos_xsk_tap *tap)
{
	uint32_t n = tap->n_rules;

	tap->n_rules = 0;
	xsk_rules_publish(tap->xsk);
	while (n--)
		rule_free(&tap->rules[n]);
}

/* ---- Publishing ---------------------------------------------------------- */

static uint32_t ifindex_of(struct lqos_ctx *ctx, const char *name)
{
	uint32_t i;

	for (i = 0; i < lqos_interfaces(ctx); i++)
		if (!strcmp(lqos_interface(ctx, i)->name, name))
			return lqos_interface(ctx, i)->ifindex;
	return 0;
}

/* false: it fits nothing now, as its circuit or interface is not there. */
static bool resolve(struct lqos_ctx *ctx, const struct xsk_tap_rule *rule,
		    struct xk_rule *out)
{
	*out = rule->rule;
	if (rule->circuit) {
		out->slot = lqos_subscriber_find(ctx, rule->circuit);
		if (!out->slot)
			return false;
	}
	if (rule->interface) {
		out->ifindex = ifindex_of(ctx, rule->interface);
		if (!out->ifindex)
			return false;
	}
	return true;
}

/* Into the table that was in use longest ago: a program may still read the
 * last ones. */
void xsk_rules_publish(struct xsk *xsk)
{
	struct xk_rules *rules = (struct xk_rules *)&xsk->skel->bss->xk_rules;
	uint32_t table = (rules->n + 1) % XK_TABLES, n = 0, i, r;
	struct xk_rule next[XK_RULES] = {};
	const struct lqos_xsk_tap *tap;

	for (i = 0; i < XK_TAPS; i++) {
		tap = xsk->taps[i];
		for (r = 0; tap && r < tap->n_rules; r++)
			n += resolve(xsk->ctx, &tap->rules[r], &next[n]);
	}
	memcpy(rules->rule[table], next, n * sizeof(next[0]));
	__atomic_store_n(&rules->n, n * XK_TABLES + table, __ATOMIC_RELEASE);
}
