/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow_filter.c - which flows are meant: {ip, circuit, protocol} of commands
 * and topics. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "core/core.h"
#include "core/lqos/packet.h"

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
				    IPPROTO_ICMPV6};

static int no_protocol(const char *const *kinds, char *why, size_t size)
{
	int n = snprintf(why, size,
			 "protocol: expected tcp, udp, icmp, icmpv6");

	for (; kinds && *kinds && n > 0 && (size_t)n < size; kinds++)
		n += snprintf(why + n, size - (size_t)n, ", %s", *kinds);
	return -EINVAL;
}

static int read_protocol(const json_t *given, const char *const *kinds,
			 struct lqos_flow_filter *out, char *why, size_t size)
{
	const char *name = json_string_value(given);
	size_t i;

	if (!name)
		return no_protocol(kinds, why, size);
	for (i = 0; i < sizeof(protocols); i++) {
		if (!strcasecmp(name, lqos_protocol_text(protocols[i]))) {
			out->proto = protocols[i];
			return 0;
		}
	}
	for (i = 0; kinds && kinds[i]; i++) {
		if (!strcasecmp(name, kinds[i])) {
			out->kind = kinds[i];
			return 0;
		}
	}
	return no_protocol(kinds, why, size);
}

int lqos_flow_filter_parse(const json_t *params, const char *const *kinds,
			   struct lqos_flow_filter *out, char *why, size_t size)
{
	const json_t *ip = json_object_get(params, "ip");
	const json_t *circuit = json_object_get(params, "circuit");
	const json_t *protocol = json_object_get(params, "protocol");
	struct lqos_flow_filter f = {.by_ip = ip,
				     .circuit = json_string_value(circuit)};
	int rc;

	if (ip && (!json_is_string(ip) ||
		   lqos_ip_range_parse(json_string_value(ip), &f.range))) {
		snprintf(why, size, "ip: expected an address or prefix");
		return -EINVAL;
	}
	if (circuit && !f.circuit) {
		snprintf(why, size, "circuit: expected the id of a circuit");
		return -EINVAL;
	}
	if (protocol) {
		rc = read_protocol(protocol, kinds, &f, why, size);
		if (rc)
			return rc;
	}
	*out = f;
	return 0;
}

bool lqos_flow_filter_has(struct lqos_ctx *ctx,
			  const struct lqos_flow_filter *f,
			  const struct lqos_flow_key *key, uint32_t slot)
{
	const struct lqos_subscriber *s;
	uint8_t proto = key->proto;

	/* Who says icmp means both, unless he says more. */
	if (f->proto == IPPROTO_ICMP && proto == IPPROTO_ICMPV6)
		proto = IPPROTO_ICMP;
	if (f->proto && proto != f->proto)
		return false;
	if (f->by_ip && !lqos_ip_range_has(&f->range, key))
		return false;
	if (!f->circuit)
		return true;
	s = lqos_subscriber(ctx, slot);
	return s && !strcmp(s->circuit_id, f->circuit);
}

int lqos_params_only(const json_t *params, const char *const *known, char *why,
		     size_t size)
{
	json_t *all = (json_t *)(uintptr_t)params;
	const char *const *k;
	const char *key;
	json_t *value;
	int n;

	json_object_foreach(all, key, value) {
		for (k = known; *k && strcmp(*k, key); k++)
			;
		if (*k)
			continue;
		n = snprintf(why, size, "%s: expected no such param, but", key);
		for (k = known; *k && n > 0 && (size_t)n < size; k++)
			n += snprintf(why + n, size - (size_t)n, "%s %s",
				      k == known ? ""
				      : k[1]	 ? ","
						 : " or",
				      *k);
		return -EINVAL;
	}
	return 0;
}
