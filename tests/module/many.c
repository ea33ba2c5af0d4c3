/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Maps for others: 300 that can be read, each with its number in it, some that
 * root may write, one that is nobody's. */
#include <errno.h>
#include <stdio.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <lqos/module.h>

#include "many.skel.h"

static void destroy_skel(void *skel)
{
	many_bpf__destroy(skel);
}

/* What the name ends in is in there. */
static int number(const struct bpf_map *map)
{
	uint32_t key = 0, value;

	if (sscanf(bpf_map__name(map), "many_%u", &value) != 1)
		return 0;
	return bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0) ? -errno
								      : 0;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct many_bpf *skel = many_bpf__open();
	struct bpf_map *map;
	int rc;

	(void)config;
	if (!skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, skel);
	if (!rc)
		rc = lqos_bpf_prepare(ctx, skel->obj);
	if (rc)
		return rc;
	rc = many_bpf__load(skel);
	if (rc)
		return lqos_fail(ctx, rc, "the kernel refused its maps");
	bpf_object__for_each_map(map, skel->obj)
		if (!rc)
			rc = number(map);
	if (!rc)
		rc = lqos_bpf_attach(ctx, skel->obj);
	if (!rc)
		*state = skel;
	return rc;
}

LQOS_MODULE(.name = "many", .version = "1.0",
	    .description = "Maps for lqosctl exec", .start = start);
