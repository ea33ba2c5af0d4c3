/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passive round-trip times: of each subscriber, flow, node and network. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <bpf/libbpf.h>

#include "bpf/pping.skel.h"
#include "modules/pping/pping.h"

enum { EVENTS_BYTES = 2 << 20 };

#define OPT(field_, default_, ...) \
	LQOS_OPTION(struct pping_config, field_, default_, __VA_ARGS__)

static const struct lqos_option options[] = {
	OPT(tcp, "yes", .help = "Round trips of TCP."),
	OPT(icmp, "yes", .help = "Round trips of ICMP and ICMPv6 echo."),
	OPT(dns, "yes",
	    .help = "How long answers of name servers take: their work is part "
		    "of it."),
	OPT(quic, "yes", .help = "Round trips of QUIC handshakes."),
	OPT(exact, "no",
	    .help = "Take no sample whose ACK covers more than the segment "
		    "that was stamped."),
	OPT(window, "10", .min = 2, .max = 3600,
	    .help = "Percentiles are of the last half to whole of so many "
		    "seconds."),
	OPT(prefixes, "4096", .min = 0, .max = 262144,
	    .help = "How many networks of hosts that are no subscriber's have "
		    "a histogram; rounded up to a power of two; 0: none."),
	OPT(ipv4_prefix, "24", .min = 1, .max = 32,
	    .help = "How long the prefix of such a network is."),
	OPT(ipv6_prefix, "48", .min = 1, .max = 128, .help = "The same, IPv6."),
	LQOS_OPTIONS_END,
};

static void destroy_skel(void *skel)
{
	pping_bpf__destroy(skel);
}

void pping_mask(uint32_t length, uint64_t mask[2])
{
	uint8_t bytes[16] = {0};
	uint32_t i;

	for (i = 0; i < length; i++)
		bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	memcpy(mask, bytes, sizeof(bytes));
}

static void set_masks(struct pping *p)
{
	uint64_t mask[2];

	pping_mask(p->config->ipv6_prefix, mask);
	p->skel->rodata->pp_mask6_hi = mask[0];
	p->skel->rodata->pp_mask6_lo = mask[1];
	pping_mask(p->config->ipv4_prefix, mask);
	p->skel->rodata->pp_mask4 = mask[0];
}

static int set_constants(struct pping *p)
{
	const struct pping_config *config = p->config;
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	p->sets = 0;
	if (config->prefixes)
		for (p->sets = 1; p->sets * PP_WAYS < config->prefixes;)
			p->sets *= 2;
	p->skel->rodata->pp_seed = seed;
	p->skel->rodata->pp_tcp = config->tcp;
	p->skel->rodata->pp_icmp = config->icmp;
	p->skel->rodata->pp_dns = config->dns;
	p->skel->rodata->pp_quic = config->quic;
	p->skel->rodata->pp_exact = config->exact;
	p->skel->rodata->pp_sets = p->sets;
	set_masks(p);
	return 0;
}

static int size_maps(struct pping *p)
{
	p->cpus = lqos_possible_cpus(p->ctx);
	p->slots = lqos_subscriber_slots(p->ctx);
	return bpf_map__set_max_entries(p->skel->maps.pp_hists, p->slots) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_totals, p->cpus) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_syns, PP_SYNS) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_probes, PP_PROBES) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_prefixes,
					p->sets ?: 1) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_evicted, p->cpus) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_lost, p->cpus) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_ecn, p->cpus) ?:
	       bpf_map__set_max_entries(p->skel->maps.pp_events, EVENTS_BYTES);
}

static int view_maps(struct pping *p)
{
	const struct {
		struct bpf_map *map;
		const void **view;
	} maps[] = {
		{p->skel->maps.pp_hists, (const void **)&p->hists},
		{p->skel->maps.pp_totals, (const void **)&p->totals},
		{p->skel->maps.pp_prefixes, (const void **)&p->prefixes},
		{p->skel->maps.pp_evicted, (const void **)&p->evicted},
		{p->skel->maps.pp_lost, (const void **)&p->lost},
		{p->skel->maps.pp_ecn, (const void **)&p->ecn},
	};
	void *view = NULL;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		rc = lqos_map_view(p->ctx, bpf_map__fd(maps[i].map), &view);
		if (rc)
			return rc;
		*maps[i].view = view;
	}
	return 0;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct pping *p = calloc(1, sizeof(*p));
	int rc = p ? lqos_defer(ctx, free, p) : -ENOMEM;

	if (rc)
		return rc;
	p->ctx = ctx;
	p->config = config;
	if (!lqos_flows(ctx, &p->table))
		return lqos_fail(ctx, -ENODEV, "there is no table of flows");
	p->skel = pping_bpf__open();
	if (!p->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, p->skel);
	if (!rc)
		rc = set_constants(p) ?: size_maps(p);
	if (!rc)
		rc = lqos_bpf_prepare(ctx, p->skel->obj);
	if (rc)
		return rc;
	rc = pping_bpf__load(p->skel);
	if (rc)
		return lqos_fail(ctx, rc,
				 "the kernel refused its BPF programs");
	p->watched = &p->skel->bss->pp_watched;
	rc = view_maps(p) ?: pping_new_windows(p) ?: pping_add_columns(p) ?:
	     pping_add_topics(p) ?: pping_add_traffic(p) ?:
	     pping_add_commands(p) ?:
	     lqos_bpf_attach(ctx, p->skel->obj);
	if (rc)
		return rc;
	*state = p;
	return 0;
}

LQOS_MODULE(.name = "pping", .version = "1.0",
	    .description = "Round-trip times on either side, passively",
	    .after = "steering,throughput,flow", .flags = LQOS_MODULE_FLOWS,
	    .flow_bytes = sizeof(struct pp_flow), .options = options,
	    .config_size = sizeof(struct pping_config), .start = start);
