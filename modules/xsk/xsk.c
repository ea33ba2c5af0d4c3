/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module xsk: packets that other modules ask for go to user space. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "modules/xsk/taps.h"

#include "bpf/xsk.skel.h" /* wants bpf/xsk.h before it */

enum { TICK_MS = 1000, BUDGET = 512 };

static const struct lqos_option options[] = {
	LQOS_OPTION(struct xsk_config, frames, "8192", .min = 64,
		    .max = 1 << 20,
		    .help = "Frames of the pool that all taps share"),
	LQOS_OPTION(struct xsk_config, frame_size, "2048", .min = 2048,
		    .max = 4096,
		    .help = "Bytes of each, 256 of them the kernel's: 2048 or "
			    "4096"),
	LQOS_OPTION(struct xsk_config, ring, "1024", .min = 64, .max = 65536,
		    .help = "Entries of each ring of a queue, a power of two"),
	LQOS_OPTION(struct xsk_config, share, "50", .min = 1, .max = 100,
		    .help = "Percent of the frames that one tap may hold "
			    "before its packets pass by"),
	LQOS_OPTION(struct xsk_config, copy, "copy",
		    .choices = "auto|copy|zerocopy",
		    .help = "auto: zero-copy where the driver can; a queue "
			    "whose fill ring is empty then loses packets, with "
			    "copy they pass by"),
	LQOS_OPTION(struct xsk_config, huge, "never",
		    .choices = "never|try|must",
		    .help = "Huge pages for the frames"),
	LQOS_OPTION(struct xsk_config, busy_poll_us, "0", .max = 1000000,
		    .help = "Microseconds to poll a queue busily; 0: never"),
	LQOS_OPTIONS_END,
};

/* ---- Taps ---------------------------------------------------------------- */

static void tap_close(void *arg)
{
	struct lqos_xsk_tap *tap = arg;

	tap->xsk->taps[tap->number] = NULL;
	xsk_rules_clear(tap);
	xsk_sockets_close(tap, true);
	free(tap);
}

static int tap_new(void *arg, struct lqos_ctx *ctx, uint32_t budget,
		   lqos_xsk_fn fn, void *fn_arg, struct lqos_xsk_tap **out)
{
	struct xsk *xsk = arg;
	struct lqos_xsk_tap *tap;
	uint32_t number = 0;
	int rc;

	while (number < XK_TAPS && xsk->taps[number])
		number++;
	if (number == XK_TAPS)
		return lqos_fail(ctx, -ENOSPC,
				 "no tap is left: all modules together have %d",
				 XK_TAPS);
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->head.service = &xsk->service;
	tap->xsk = xsk;
	tap->ctx = ctx;
	tap->number = number;
	tap->budget = budget ?: BUDGET;
	tap->fn = fn;
	tap->arg = fn_arg;
	LIST_INIT(&tap->sockets);
	xsk->taps[number] = tap;
	xsk->skel->bss->xk_full[number] = 0;
	rc = lqos_defer(ctx, tap_close, tap);
	if (rc)
		return rc;
	xsk_sockets_follow(xsk);
	*out = tap;
	return 0;
}

static struct lqos_umem *tap_umem(const struct lqos_xsk_tap *tap)
{
	return tap->xsk->umem;
}

/* ---- The module ---------------------------------------------------------- */

static enum lqos_xsk_huge huge_of(const struct xsk_config *config)
{
	return !strcmp(config->huge, "must")  ? LQOS_XSK_HUGE_MUST
	       : !strcmp(config->huge, "try") ? LQOS_XSK_HUGE_TRY
					      : LQOS_XSK_HUGE_NEVER;
}

static uint32_t queues(struct lqos_ctx *ctx)
{
	uint32_t n = 0, i, queues;

	for (i = 0; i < lqos_interfaces(ctx); i++) {
		queues = lqos_interface(ctx, i)->rx_queues;
		n += queues < XK_QUEUES ? queues : XK_QUEUES;
	}
	return n ?: 1;
}

static int make_umem(struct xsk *xsk)
{
	const struct xsk_config *config = xsk->config;
	struct lqos_umem_options o = {
		.frame_size = config->frame_size,
		.frames = config->frames,
		.comp_size = config->ring,
		.huge = huge_of(config),
	};
	char why[256];
	int rc;

	/* Half of the frames wait for packets, at most: the others are for
	 * those that taps have and send. */
	o.fill_size = config->ring;
	while (o.fill_size > 1 &&
	       o.fill_size > config->frames / 2 / queues(xsk->ctx))
		o.fill_size /= 2;
	xsk->rx_size = config->ring;
	rc = lqos_umem_create(&o, &xsk->umem, why, sizeof(why));
	if (rc)
		lqos_log(xsk->ctx, LQOS_ERR, "%s", why);
	return rc;
}

static void destroy_umem(void *arg)
{
	struct xsk *xsk = arg;

	lqos_umem_destroy(&xsk->umem);
}

static void destroy_skel(void *skel)
{
	xsk_bpf__destroy(skel);
}

static int view_maps(struct xsk *xsk)
{
	void *view = NULL;
	int rc;

	rc = lqos_map_view(xsk->ctx, bpf_map__fd(xsk->skel->maps.xk_counters),
			   &view);
	if (rc)
		return rc;
	xsk->counters = view;
	rc = lqos_map_view(xsk->ctx, bpf_map__fd(xsk->skel->maps.xk_credits),
			   &view);
	if (rc)
		return rc;
	xsk->credits = view;
	return 0;
}

static void on_tick(void *arg)
{
	struct xsk *xsk = arg;

	xsk_sockets_follow(xsk);
	xsk_sockets_tick(xsk);
}

static void on_subscribers(void *arg)
{
	xsk_rules_publish(arg);
}

/* Its own complaints are said by who asked for what failed. */
static int say_nothing(enum libxdp_print_level level, const char *format,
		       va_list ap)
{
	(void)level;
	(void)format;
	(void)ap;
	return 0;
}

static int check(struct lqos_ctx *ctx, const void *arg)
{
	const struct xsk_config *config = arg;

	if (config->ring & (config->ring - 1)) {
		lqos_log(ctx, LQOS_ERR, "ring = %u: a power of two is needed",
			 config->ring);
		return -EINVAL;
	}
	if ((uint64_t)config->frames * config->share / 100 < XSK_BATCH) {
		lqos_log(ctx, LQOS_ERR,
			 "share = %u of frames = %u is less than a batch of "
			 "%d: raise one of them",
			 config->share, config->frames, XSK_BATCH);
		return -EINVAL;
	}
	if (config->frame_size != 2048 && config->frame_size != 4096) {
		lqos_log(ctx, LQOS_ERR,
			 "frame_size = %u: 2048 or 4096 is needed",
			 config->frame_size);
		return -EINVAL;
	}
	return 0;
}

static int offer(struct xsk *xsk)
{
	xsk->service = (struct xsk_service){
		.tap = tap_new,
		.add = xsk_rule_add,
		.clear = xsk_rules_clear,
		.socket = xsk_socket_find,
		.umem = tap_umem,
		.xsk = xsk,
	};
	return lqos_service_add(xsk->ctx, XSK_SERVICE, &xsk->service);
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct xsk *xsk = calloc(1, sizeof(*xsk));
	int rc = xsk ? lqos_defer(ctx, free, xsk) : -ENOMEM;

	if (rc)
		return rc;
	xsk->ctx = ctx;
	xsk->config = config;
	libxdp_set_print(say_nothing);
	xsk->ports = calloc(XK_PORTS, sizeof(*xsk->ports));
	rc = xsk->ports ? lqos_defer(ctx, free, xsk->ports) : -ENOMEM;
	if (!rc)
		rc = make_umem(xsk);
	if (!rc)
		rc = lqos_defer(ctx, destroy_umem, xsk);
	if (rc)
		return rc;
	xsk->skel = xsk_bpf__open();
	if (!xsk->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, xsk->skel);
	xsk->cpus = lqos_possible_cpus(ctx);
	if (!rc)
		rc = bpf_map__set_max_entries(xsk->skel->maps.xk_counters,
					      xsk->cpus);
	if (rc)
		return rc;
	xsk->skel->rodata->xk_mtu = lqos_umem_mtu(xsk->umem);
	rc = lqos_bpf_prepare(ctx, xsk->skel->obj);
	if (rc)
		return rc;
	rc = xsk_bpf__load(xsk->skel);
	if (rc)
		return lqos_fail(ctx, rc,
				 "the kernel refused its BPF programs");
	rc = view_maps(xsk) ?: xsk_add_columns(xsk) ?: xsk_add_commands(xsk) ?:
	     /* Interfaces are attached by the time the loop runs. */
	     lqos_timer_once(ctx, 0, on_tick, xsk, NULL) ?:
	     lqos_timer_every(ctx, TICK_MS, on_tick, xsk, NULL) ?:
	     lqos_subscribers_watch(ctx, on_subscribers, xsk) ?: offer(xsk) ?:
	     lqos_bpf_attach(ctx, xsk->skel->obj);
	if (!rc)
		*state = xsk;
	return rc;
}

LQOS_MODULE(.name = "xsk", .version = "1.0",
	    .description = "Packets to user space by AF_XDP, for other modules",
	    .options = options, .config_size = sizeof(struct xsk_config),
	    .start = start, .check = check);
