/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow_stacks.c - the programs that packets are run through. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bench/flow_set.h"
#include "tests/bench/flows.h"

#include "bpf/datapath.skel.h"
#include "bpf/flow.skel.h"
#include "bpf/pping.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "tests/bench/egress.skel.h"
#include "tests/bench/flows.skel.h"

enum { CACHE = 1 << 16 }; /* for all subscribers, but for few */

/* ---- Loading ------------------------------------------------------------- */

static int load_driver(struct set *set)
{
	struct flows_bpf *driver = flows_bpf__open();

	set->driver = driver;
	if (!driver)
		return -errno;
	driver->rodata->lqos_self = 4;
	driver->rodata->fs_packets = set->packets;
	driver->rodata->fs_tcp = 14 + (set->kind->ipv6 ? 40 : 20);
	driver->rodata->fs_step = data_each(set->kind) * PAYLOAD;
	return bpf_map__set_max_entries(driver->maps.fs_array, set->packets) ?:
	       bpf_map__set_max_entries(driver->maps.fs_hash, ROOM) ?:
	       bpf_map__set_max_entries(driver->maps.fs_lru, ROOM) ?:
	       datapath_bind(set->plain, driver->obj) ?:
	       flows_bpf__load(driver) ?:
	       fill(set);
}

static int load_throughput(struct set *set)
{
	struct throughput_bpf *tp = throughput_bpf__open();

	set->tp = tp;
	if (!tp)
		return -errno;
	tp->rodata->lqos_self = 1;
	return bpf_map__set_max_entries(tp->maps.tp_slots,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(tp->maps.tp_totals,
					2 * set->table->cpus) ?:
	       bpf_map__set_max_entries(tp->maps.tp_hosts, set->table->cpus) ?:
	       bpf_map__set_max_entries(tp->maps.tp_evicted,
					set->table->cpus) ?:
	       datapath_bind(set->table, tp->obj) ?:
	       throughput_bpf__load(tp);
}

static int load_flow(struct set *set)
{
	struct flow_bpf *fl = flow_bpf__open();

	set->fl = fl;
	if (!fl)
		return -errno;
	fl->rodata->lqos_self = 2;
	fl->rodata->lqos_flow_part = FLOW_PART;
	return bpf_map__set_max_entries(fl->maps.fl_slots,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(fl->maps.fl_lost, set->table->cpus) ?:
	       datapath_bind(set->table, fl->obj) ?:
	       flow_bpf__load(fl);
}

static int load_pping(struct set *set)
{
	struct pping_bpf *pp = pping_bpf__open();

	set->pp = pp;
	if (!pp)
		return -errno;
	pp->rodata->lqos_self = 3;
	pp->rodata->lqos_flow_part = PPING_PART;
	pp->rodata->pp_sets = 1024;
	return bpf_map__set_max_entries(pp->maps.pp_hists,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(pp->maps.pp_totals, set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_syns, PP_SYNS) ?:
	       bpf_map__set_max_entries(pp->maps.pp_probes, PP_PROBES) ?:
	       bpf_map__set_max_entries(pp->maps.pp_prefixes, 1024) ?:
	       bpf_map__set_max_entries(pp->maps.pp_evicted,
					set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_lost, set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_ecn, set->table->cpus) ?:
	       datapath_bind(set->table, pp->obj) ?:
	       pping_bpf__load(pp);
}

static int load_steering(struct set *set)
{
	struct bpf_cpumap_val entry = {.qsize = 64};
	struct steering_bpf *st = steering_bpf__open();
	struct datapath *dp = set->table;

	set->st = st;
	if (!st)
		return -errno;
	st->rodata->lqos_self = 5;
	st->bss->st_cpus[0] = dp->cpu;
	return bpf_map__set_max_entries(st->maps.st_counters, dp->cpus) ?:
	       bpf_map__set_max_entries(st->maps.st_queues, dp->cpus) ?:
	       datapath_bind(dp, st->obj) ?:
	       steering_bpf__load(st) ?:
	       bpf_map_update_elem(dp->cpumap_fd, &dp->cpu, &entry, 0) ?:
	       datapath_chain(dp, "lqos_egress", 0, st->progs.st_classify);
}

/* The twin, with descriptors of packets that go down. */
static int load_egress(struct set *set)
{
	struct egress_bpf *eg = egress_bpf__open();
	struct lqos_packet meta = {
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.flags = LQOS_PACKET_IP,
		.l3_off = 14,
		.handle = 0x10003,
	};
	uint32_t n = set->kind->subscribers, i;
	struct bpf_program *prog;
	int rc;

	set->eg = eg;
	if (!eg)
		return -errno;
	eg->rodata->eg_packets = n;
	bpf_object__for_each_program(prog, eg->obj)
		bpf_program__set_autoload(prog,
					  prog == eg->progs.lq_to_subs ||
						  prog == eg->progs.eg_nothing);
	rc = bpf_map__set_max_entries(eg->maps.eg_descriptors, n) ?:
	     bpf_map__set_max_entries(eg->maps.dp_counters, set->table->cpus) ?:
	     datapath_bind(set->table, eg->obj) ?:
	     egress_bpf__load(eg);
	for (i = 0; !rc && i < n; i++) {
		meta.slot = 1 + i;
		rc = bpf_map_update_elem(bpf_map__fd(eg->maps.eg_descriptors),
					 &i, &meta, 0);
	}
	return rc;
}

static int own(const struct set *set)
{
	char prefix[INET6_ADDRSTRLEN + 4];
	uint8_t address[16];
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && i < set->kind->subscribers; i++) {
		subscriber_address(set->kind->ipv6, i, address);
		inet_ntop(set->kind->ipv6 ? AF_INET6 : AF_INET, address, prefix,
			  sizeof(prefix));
		strcat(prefix, set->kind->ipv6 ? "/128" : "/32");
		rc = datapath_own(set->table, prefix, 1 + i, 0x10003,
				  set->table->cpu);
	}
	return rc;
}

int load_set(struct set *set, const struct kind *kind)
{
	struct datapath_knobs knobs = {
		.cache = CACHE,
		.slots = kind->subscribers + 1,
		.prefixes = kind->subscribers,
	};
	int rc;

	set->kind = kind;
	set->packets = kind->flows * (data_each(kind) + 1);
	rc = datapath_new(&set->plain, &knobs);
	if (rc)
		return rc;
	knobs.flows = ROOM;
	rc = datapath_new(&set->slots, &knobs);
	if (rc)
		return rc;
	knobs.parts = PPING_PART + sizeof(struct pp_flow) - FLOW_PART;
	knobs.seed = 0x5eed;
	rc = datapath_new(&set->table, &knobs);
	if (rc)
		return rc;
	return own(set) ?:
	       load_driver(set) ?:
	       load_throughput(set) ?:
	       load_flow(set) ?:
	       load_pping(set) ?:
	       load_steering(set) ?:
	       load_egress(set);
}

void unload_set(struct set *set)
{
	egress_bpf__destroy(set->eg);
	steering_bpf__destroy(set->st);
	pping_bpf__destroy(set->pp);
	flow_bpf__destroy(set->fl);
	throughput_bpf__destroy(set->tp);
	flows_bpf__destroy(set->driver);
	datapath_free(&set->table);
	datapath_free(&set->slots);
	datapath_free(&set->plain);
}

/* ---- Stacks -------------------------------------------------------------- */

static int target(const struct set *set, const struct bpf_program *down,
		  const struct bpf_program *up)
{
	int fd = bpf_map__fd(set->driver->maps.fs_target);
	int down_fd = bpf_program__fd(down), up_fd = bpf_program__fd(up);
	uint32_t zero = 0, one = 1;

	return bpf_map_update_elem(fd, &zero, &down_fd, 0)
		       ?: bpf_map_update_elem(fd, &one, &up_fd, 0);
}

/* An observer without a follower is the last. */
static int observers(struct datapath *dp, const struct bpf_program *first,
		     const struct bpf_program *behind_tp,
		     const struct bpf_program *behind_fl)
{
	const struct bpf_program *const chain[] = {first, behind_tp, behind_fl};
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && i < ARRAY_SIZE(chain); i++) {
		rc = datapath_chain(dp, "lqos_observe", i, chain[i]);
		if (rc == -ENOENT && !chain[i])
			rc = 0;
	}
	return rc;
}

int hook(struct set *set, enum stack stack)
{
	const struct bpf_program *table = set->table->skel->progs.lq_observe;
	const struct bpf_program *slots = set->slots->skel->progs.lq_observe;
	const struct bpf_program *plain = set->plain->skel->progs.lq_observe;
	const struct bpf_program *nothing = set->driver->progs.fs_nothing;
	const struct bpf_program *fl = set->fl->progs.fl_count;
	const struct bpf_program *pp = set->pp->progs.pp_look;
	const struct bpf_program *tp = set->tp->progs.tp_count;
	const struct bpf_program *st = set->st->progs.st_redirect;
	struct datapath_bpf *skel = set->table->skel;
	const struct bpf_program *observer = NULL;

	switch (stack) {
	case EMPTY:
	case EMPTY_BARE:
		return target(set, nothing, nothing);
	case NONE:
		observer = set->driver->progs.fs_none;
		break;
	case HASH:
		observer = set->driver->progs.fs_by_hash;
		break;
	case LRU_HASH:
		observer = set->driver->progs.fs_by_lru;
		break;
	case SLOTS:
		return target(set, slots, slots);
	case TABLE:
		return observers(set->table, NULL, NULL, NULL)
			       ?: target(set, table, table);
	case FLOW:
		return observers(set->table, fl, NULL, NULL)
			       ?: target(set, table, table);
	case PPING:
		return observers(set->table, fl, NULL, pp)
			       ?: target(set, table, table);
	case THROUGHPUT:
		return observers(set->table, tp, NULL, NULL)
			       ?: target(set, table, table);
	case OBSERVE:
		return observers(set->table, tp, fl, pp)
			       ?: target(set, table, table);
	case INGRESS:
	case STEER:
		return datapath_chain(set->table, "lqos_ingress", 0,
				      stack == STEER ? st : nothing)
			       ?: target(set, skel->progs.lq_from_inet,
					 skel->progs.lq_from_subs);
	case EMPTY_TC:
	case EGRESS:
		return 0;
	default:
		break;
	}
	return observers(set->plain, observer, NULL, NULL)
		       ?: target(set, plain, plain);
}
