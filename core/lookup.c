/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lookup.c - whose one address is, by the registry and by the kernel. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/datapath.h"
#include "core/registry.h"

#include "bpf/datapath.skel.h"

static int parse_host(const struct core *core, const char *ip,
		      struct lqos_prefix *out, char *why, size_t why_size)
{
	struct lqos_prefix p;
	int rc = core_prefix_parse(ip, &p, why, why_size);

	if (!rc)
		rc = core_prefix_check_vlan(&p, core->settings.address_spaces,
					    why, why_size);
	if (rc)
		return rc;
	if (p.len != (p.family == AF_INET ? 32 : 128)) {
		snprintf(why, why_size,
			 "\"%s\" is a range: expected one address of it", ip);
		return -EINVAL;
	}
	*out = p;
	return 0;
}

static const struct core_mapping *find_range(const struct core_registry *r,
					     struct lqos_prefix p)
{
	const struct core_mapping *m;

	for (;; core_prefix_cut(&p, p.len - 1)) {
		m = core_mapping_find(r, &p);
		if (m || !p.len)
			return m;
	}
}

static bool find_owner(const struct core_datapath *dp,
		       const struct lqos_prefix *p, struct dp_owner *owner)
{
	const __u8 space[4] = {0, 0, p->vlan >> 8, p->vlan & 0xff};
	struct dp_key4 key4 = {.prefixlen = DP_SPACE_BITS + 32};
	struct dp_key6 key6 = {.prefixlen = DP_SPACE_BITS + 128};

	memcpy(key4.space, space, sizeof(space));
	memcpy(key6.space, space, sizeof(space));
	memcpy(key4.addr, p->addr, sizeof(key4.addr));
	memcpy(key6.addr, p->addr, sizeof(key6.addr));
	if (p->family == AF_INET)
		return !bpf_map_lookup_elem(
			bpf_map__fd(dp->skel->maps.dp_owners4), &key4, owner);
	return !bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.dp_owners6),
				    &key6, owner);
}

static uint32_t hash_host(const struct core_datapath *dp,
			  const struct lqos_prefix *p)
{
	uint64_t hi = ~0ULL, lo = 0;

	if (p->family == AF_INET) {
		memcpy(&lo, p->addr, 4);
	} else {
		memcpy(&hi, p->addr, 8);
		memcpy(&lo, p->addr + 8, 8);
	}
	return dp_hash(dp->skel->rodata->dp_seed, hi ^ (uint64_t)p->vlan << 32,
		       lo);
}

int lqos_lookup(struct lqos_ctx *ctx, const char *ip, struct lqos_lookup *out,
		char *why, size_t why_size)
{
	const struct core_datapath *dp = ctx->core->datapath;
	struct lqos_lookup found = {.cpu = UINT32_MAX};
	struct lqos_prefix own, any;
	const struct core_mapping *m;
	struct dp_owner owner = {0};
	int rc;

	rc = parse_host(ctx->core, ip, &own, why, why_size);
	if (rc)
		return rc;
	/* A VLAN's own comes before what is in all of them. */
	any = own;
	any.vlan = 0;
	m = find_range(ctx->core->registry, own);
	if (!m && own.vlan)
		m = find_range(ctx->core->registry, any);
	if (m) {
		found.mapped = true;
		found.prefix = m->p;
	}
	if (dp) {
		found.known = find_owner(dp, &own, &owner) ||
			      (own.vlan && find_owner(dp, &any, &owner));
		found.hash = hash_host(dp, &own) & 0xffff;
	}
	if (found.known) {
		found.slot = owner.slot;
		found.cpu = owner.cpu;
		found.handle = owner.handle;
	}
	*out = found;
	return 0;
}

void lqos_lookups_forget(struct lqos_ctx *ctx)
{
	if (ctx->core->datapath)
		core_owners_forget(ctx->core->datapath);
}
