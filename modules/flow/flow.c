/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every flow: what it carries, what was sent again, when it opens and ends. */
#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "bpf/flow.skel.h"
#include "modules/flow/flow.h"

enum { FINALS_BYTES = 1 << 20 };

static void destroy_skel(void *skel)
{
	flow_bpf__destroy(skel);
}

static int size_maps(struct flow_module *m)
{
	m->cpus = lqos_possible_cpus(m->ctx);
	return bpf_map__set_max_entries(m->skel->maps.fl_slots,
					lqos_subscriber_slots(m->ctx)) ?:
	       bpf_map__set_max_entries(m->skel->maps.fl_finals, FINALS_BYTES) ?:
	       bpf_map__set_max_entries(m->skel->maps.fl_lost, m->cpus);
}

static int view_maps(struct flow_module *m)
{
	void *slots, *lost;
	int rc;

	rc = lqos_map_view(m->ctx, bpf_map__fd(m->skel->maps.fl_slots), &slots)
		     ?: lqos_map_view(m->ctx,
				      bpf_map__fd(m->skel->maps.fl_lost),
				      &lost);
	if (rc)
		return rc;
	m->slots = slots;
	m->lost = lost;
	return 0;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct flow_module *m = calloc(1, sizeof(*m));
	int rc = m ? lqos_defer(ctx, free, m) : -ENOMEM;

	(void)config;
	if (rc)
		return rc;
	m->ctx = ctx;
	if (!lqos_flows(ctx, &m->table))
		return lqos_fail(ctx, -ENODEV, "there is no table of flows");
	m->skel = flow_bpf__open();
	if (!m->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, m->skel);
	if (!rc)
		rc = size_maps(m);
	if (!rc)
		rc = lqos_bpf_prepare(ctx, m->skel->obj);
	if (rc)
		return rc;
	rc = flow_bpf__load(m->skel);
	if (rc)
		return lqos_fail(ctx, rc,
				 "the kernel refused its BPF programs");
	rc = view_maps(m);
	if (!rc)
		rc = flow_add_columns(m);
	if (!rc)
		rc = flow_add_commands(m);
	if (!rc)
		rc = flow_add_topic(m);
	if (!rc)
		rc = lqos_bpf_attach(ctx, m->skel->obj);
	if (rc)
		return rc;
	*state = m;
	return 0;
}

LQOS_MODULE(.name = "flow", .version = "1.0",
	    .description = "Every flow: bytes, packets, rate, retransmissions",
	    .after = "steering,throughput", .flags = LQOS_MODULE_FLOWS,
	    .flow_bytes = sizeof(struct fl_flow), .start = start);
