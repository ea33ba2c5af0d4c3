/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An example of a third party's module: it includes only what is installed. */
#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>
#include <lqos/module.h>
#include <lqos/packet.h>

#include "ttl.h"
#include "ttl.skel.h"

struct ttl {
	struct ttl_bpf *skel;
	const struct ttl_slot *slots;
};

static uint64_t read_down(uint32_t slot, void *arg)
{
	const struct ttl *t = arg;

	return t->slots[slot].last[LQOS_DOWN] ?: LQOS_NO_VALUE;
}

static uint64_t read_up(uint32_t slot, void *arg)
{
	const struct ttl *t = arg;

	return t->slots[slot].last[LQOS_UP] ?: LQOS_NO_VALUE;
}

static uint64_t read_packets(uint32_t slot, void *arg)
{
	const struct ttl *t = arg;

	return t->slots[slot].packets;
}

static const struct lqos_column columns[] = {
	{.name = "down",
	 .title = "TTL down",
	 .help = "hop limit of the last packet to the subscriber",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_COUNT,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .read = read_down},
	{.name = "up",
	 .title = "TTL up",
	 .help = "hop limit of the last packet from the subscriber",
	 .kind = LQOS_GAUGE,
	 .unit = LQOS_UNIT_COUNT,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .read = read_up},
	{.name = "packets",
	 .title = "TTL pkts",
	 .help = "packets looked at",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_PACKETS,
	 .scope = LQOS_SCOPE_SUBSCRIBER,
	 .flags = LQOS_COLUMN_DETAIL,
	 .read = read_packets},
};

static void destroy_skel(void *skel)
{
	ttl_bpf__destroy(skel);
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct ttl *t = calloc(1, sizeof(*t));
	void *view;
	int rc, i;

	(void)config;
	if (!t)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, t);
	if (rc)
		return rc;
	t->skel = ttl_bpf__open();
	if (!t->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, t->skel);
	if (!rc)
		rc = bpf_map__set_max_entries(t->skel->maps.ttl_slots,
					      lqos_subscriber_slots(ctx));
	if (!rc)
		rc = lqos_bpf_prepare(ctx, t->skel->obj);
	if (rc)
		return rc;
	rc = ttl_bpf__load(t->skel);
	if (rc)
		return lqos_fail(ctx, rc, "the kernel refused its programs");
	rc = lqos_map_view(ctx, bpf_map__fd(t->skel->maps.ttl_slots), &view);
	if (rc)
		return rc;
	t->slots = view;
	for (i = 0; i < 3 && !rc; i++)
		rc = lqos_column_add(ctx, &columns[i], t);
	if (!rc)
		rc = lqos_bpf_attach(ctx, t->skel->obj);
	if (!rc)
		*state = t;
	return rc;
}

LQOS_MODULE(.name = "ttl", .version = "1.0",
	    .description = "Hop limits of each subscriber's packets",
	    .after = "steering", .start = start);
