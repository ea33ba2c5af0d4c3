/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of an address's or subscriber's packets, for who asks for them. */
#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "modules/capture/capture.h"
#include "bpf/capture.skel.h"

struct config {
	uint32_t ring_kib;
};

static const struct lqos_option options[] = {
	LQOS_OPTION(struct config, ring_kib, "4096", .min = 64, .max = 262144,
		    .help = "Memory for packets on their way to captures, in "
			    "KiB; rounded up to a power of two"),
	LQOS_OPTIONS_END,
};

/* ---- Columns ------------------------------------------------------------- */

static uint64_t read_packets(uint32_t id, void *arg)
{
	const struct capture *cap = arg;

	(void)id;
	return cap->packets;
}

static uint64_t read_slow(uint32_t id, void *arg)
{
	const struct capture *cap = arg;

	(void)id;
	return cap->slow;
}

static uint64_t read_dropped(uint32_t id, void *arg)
{
	const struct capture *cap = arg;
	uint64_t sum = 0;
	uint32_t cpu, i;

	(void)id;
	for (cpu = 0; cpu < cap->cpus; cpu++)
		for (i = 0; i < CAPTURES; i++)
			sum += cap->dropped[cpu].packets[i];
	return sum;
}

#define COLUMN(name_, title_, help_, read_)                              \
	{                                                                \
		.name = name_, .title = title_, .help = help_,           \
		.kind = LQOS_COUNTER, .unit = LQOS_UNIT_PACKETS,         \
		.scope = LQOS_SCOPE_GLOBAL, .flags = LQOS_COLUMN_DETAIL, \
		.read = read_,                                           \
	}

static const struct lqos_column columns[] = {
	COLUMN("packets", "captured", "packets that captures were sent",
	       read_packets),
	COLUMN("dropped", "cap drops",
	       "packets that captures lost as the ring buffer was full",
	       read_dropped),
	COLUMN("slow", "cap slow",
	       "packets that captures lost as their client did not read",
	       read_slow),
};

static int add_columns(struct capture *cap)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(columns) / sizeof(columns[0]) && !rc; i++)
		rc = lqos_column_add(cap->ctx, &columns[i], cap);
	return rc;
}

/* ---- The module ---------------------------------------------------------- */

static void destroy_skel(void *skel)
{
	capture_bpf__destroy(skel);
}

static int size_maps(struct capture *cap, uint32_t ring_kib)
{
	uint32_t bytes = 64 << 10; /* a power of two, as cap_wake is to be */

	while (bytes / 1024 < ring_kib)
		bytes *= 2;
	cap->cpus = lqos_possible_cpus(cap->ctx);
	cap->skel->rodata->cap_wake = bytes / 4;
	return bpf_map__set_max_entries(cap->skel->maps.cap_ring, bytes)
		       ?: bpf_map__set_max_entries(cap->skel->maps.cap_rooms,
						   cap->cpus)
		       ?: bpf_map__set_max_entries(cap->skel->maps.cap_dropped,
						   cap->cpus);
}

static int load(struct capture *cap, const struct config *config)
{
	void *view = NULL;
	int rc;

	cap->skel = capture_bpf__open();
	if (!cap->skel)
		return lqos_fail(cap->ctx, -errno,
				 "cannot open its BPF object");
	rc = lqos_defer(cap->ctx, destroy_skel, cap->skel)
		     ?: size_maps(cap, config->ring_kib)
		     ?: lqos_bpf_prepare(cap->ctx, cap->skel->obj);
	if (rc)
		return rc;
	rc = capture_bpf__load(cap->skel);
	if (rc)
		return lqos_fail(cap->ctx, rc,
				 "the kernel refused its BPF programs");
	rc = lqos_map_view(cap->ctx, bpf_map__fd(cap->skel->maps.cap_dropped),
			   &view);
	cap->dropped = view;
	return rc;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct capture *cap = calloc(1, sizeof(*cap));
	uint32_t i;
	int rc;

	if (!cap)
		return -ENOMEM;
	cap->ctx = ctx;
	for (i = 0; i < CAPTURES; i++) {
		cap->sessions[i].cap = cap;
		cap->sessions[i].fd = -1;
	}
	rc = lqos_defer(ctx, free, cap);
	if (rc)
		return rc;
	rc = load(cap, config)
		     ?: lqos_ringbuf_watch(
			     ctx, bpf_map__fd(cap->skel->maps.cap_ring),
			     sizeof(struct capture_record), sessions_record,
			     cap, NULL)
		     ?: lqos_subscribers_watch(ctx, sessions_find_circuits, cap)
		     ?: add_columns(cap)
		     ?: capture_add_commands(cap)
		     ?: lqos_bpf_attach(ctx, cap->skel->obj);
	if (rc)
		return rc;
	*state = cap;
	return 0;
}

/* Their watches are the context's, which it takes back before what was there
 * when they came. */
static void stop(struct lqos_ctx *ctx, void *state)
{
	(void)ctx;
	sessions_end(state);
}

LQOS_MODULE(.name = "capture", .version = "1.0",
	    .description = "Copies of packets, for lqosctl capture",
	    .after = "steering", .options = options,
	    .config_size = sizeof(struct config), .start = start, .stop = stop);
