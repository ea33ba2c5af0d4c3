/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's own BPF programs and maps: from interfaces to chains. */
#include <string.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/lqos/packet.h"

#include "bpf/datapath.skel.h"

#define WHO "datapath"

enum { CPUMAP_QUEUE = 2048 };

uint32_t lqos_cpus(struct lqos_ctx *ctx, const uint32_t **cpus)
{
	if (!ctx->core->datapath)
		return 0;
	return core_cpus_list(ctx->core->datapath->cpus, cpus);
}

const char *lqos_cpu_unused(struct lqos_ctx *ctx, uint32_t cpu)
{
	return ctx->core->datapath
		       ? core_cpus_unused(ctx->core->datapath->cpus, cpu)
		       : NULL;
}

uint32_t lqos_possible_cpus(struct lqos_ctx *ctx)
{
	return ctx->core->datapath ? ctx->core->datapath->possible_cpus : 0;
}

uint32_t lqos_interfaces(struct lqos_ctx *ctx)
{
	return ctx->core->datapath ? ctx->core->datapath->n_at : 0;
}

const struct lqos_interface *lqos_interface(struct lqos_ctx *ctx, uint32_t i)
{
	return i < lqos_interfaces(ctx) ? &ctx->core->datapath->at[i].iface
					: NULL;
}

bool lqos_interface_attached(struct lqos_ctx *ctx, uint32_t i)
{
	return i < lqos_interfaces(ctx) &&
	       port_attached(&ctx->core->datapath->at[i]);
}

const char *lqos_interface_more_queues(struct lqos_ctx *ctx, uint32_t i,
				       uint32_t n, char *buf, size_t size)
{
	const struct lqos_interface *f = lqos_interface(ctx, i);
	struct interface_channels c;

	if (!f || interface_channels(f->name, &c))
		return NULL;
	return interface_more_channels(f->name, &c, n, buf, size);
}

/* What an entry has queued is worked off before its thread ends. */
static int put_cpu(struct core_datapath *dp, uint32_t cpu)
{
	struct bpf_cpumap_val value = {.qsize = CPUMAP_QUEUE};

	value.bpf_prog.fd = bpf_program__fd(dp->skel->progs.lq_observe);
	if (bpf_map_update_elem(dp->cpumap_fd, &cpu, &value, 0))
		return core_fail(WHO, -errno,
				 "CPU %u does not go into the cpumap (a kernel "
				 "before 5.9?)",
				 cpu);
	return 0;
}

/* The thread of its entry has lost its CPU: another one, bound to it. */
static void cpu_is_back(uint32_t cpu, void *arg)
{
	struct core_datapath *dp = arg;

	if (dp->steered)
		(void)put_cpu(dp, cpu);
}

uint32_t core_datapath_tick(struct core_datapath *dp, const uint64_t **seen)
{
	uint32_t closed = dp->skel->bss->dp_tick;

	ports_watch(dp);
	bypass_watch(dp);
	flows_look(dp);
	core_cpus_look(dp->cpus, cpu_is_back, dp);
	*seen = dp->seen;
	/* 0 is what a slot without traffic has. */
	dp->skel->bss->dp_tick = closed + 1 ?: 1;
	return closed;
}

/* ---- Start and stop ------------------------------------------------------ */

static int make_cpumap(struct core_datapath *dp)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	dp->cpumap_fd = bpf_map_create(
		BPF_MAP_TYPE_CPUMAP, "lqos_cpumap", sizeof(uint32_t),
		sizeof(struct bpf_cpumap_val), dp->possible_cpus, NULL);
	if (dp->cpumap_fd < 0 ||
	    bpf_obj_get_info_by_fd(dp->cpumap_fd, &info, &len))
		return core_fail(WHO, -errno,
				 "cannot make a cpumap for %u CPUs",
				 dp->possible_cpus);
	dp->skel->rodata->dp_cpumap_id = info.id;
	return 0;
}

static int fill_cpumap(struct core_datapath *dp)
{
	const uint32_t *cpus;
	uint32_t n = core_cpus_list(dp->cpus, &cpus), i;
	int rc;

	for (i = 0; i < n; i++) {
		rc = put_cpu(dp, cpus[i]);
		if (rc)
			return rc;
	}
	return pins_add_map(dp->pins, WHO, "lqos_cpumap", dp->cpumap_fd);
}

/* Without them packets flow all the same, but what is lost on the way between
 * the CPUs goes uncounted. */
static void count_lost(struct core_datapath *dp)
{
	struct bpf_program *const progs[LOSSES] = {
		dp->skel->progs.lq_queue_full,
		dp->skel->progs.lq_no_skb,
		dp->skel->progs.lq_refused,
	};
	int i;

	for (i = 0; i < LOSSES; i++) {
		const char *name = bpf_program__name(progs[i]);
		char path[PATH_MAX];
		int rc;

		snprintf(path, sizeof(path), "%s/links/%s",
			 dp->core->settings.pin_dir, name);
		unlink(path);
		dp->losses[i] = bpf_program__attach(progs[i]);
		rc = dp->losses[i] ? bpf_link__pin(dp->losses[i], path)
				   : -errno;
		if (rc)
			core_log(WHO, LQOS_WARN,
				 "%s: cannot attach to tracepoint %s (%s): "
				 "some packets lost between CPUs will not be "
				 "counted",
				 name, bpf_program__section_name(progs[i]),
				 strerror(-rc));
	}
}

static int size_maps(struct core_datapath *dp)
{
	const struct core_settings *set = &dp->core->settings;
	uint32_t cache = datapath_pow2(set->lookup_cache);
	struct datapath_bpf *skel = dp->skel;
	uint64_t cached = (uint64_t)cache * dp->possible_cpus;
	uint64_t seed;
	int rc;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	if (cached > UINT32_MAX)
		return core_fail(WHO, -E2BIG,
				 "lookup_cache = %u entries for each "
				 "of %u CPUs: too many",
				 cache, dp->possible_cpus);
	rc = bpf_map__set_max_entries(skel->maps.dp_counters,
				      dp->possible_cpus) ?:
	     bpf_map__set_max_entries(skel->maps.dp_seen,
				      set->max_subscribers + 1) ?:
	     bpf_map__set_max_entries(skel->maps.dp_circuits,
				      set->max_subscribers + 1) ?:
	     bpf_map__set_max_entries(skel->maps.dp_owners4,
				      set->max_prefixes) ?:
	     bpf_map__set_max_entries(skel->maps.dp_owners6,
				      set->max_prefixes) ?:
	     bpf_map__set_max_entries(skel->maps.dp_cache, cached);
	skel->rodata->dp_cache_mask = cache - 1;
	skel->rodata->dp_seed = seed;
	skel->rodata->dp_use_metadata = !strcmp(set->metadata, "auto");
	skel->rodata->dp_address_spaces = set->address_spaces;
	ports_prepare(dp);
	skel->bss->dp_epoch = 1;
	skel->bss->dp_tick = 1;
	return rc ?: flows_prepare(dp);
}

/* libbpf goes on without what it does not find in the kernel, also where it had
 * no memory to look; NULL: all that ours goes by is there. */
static const char *lacking(const struct datapath_bpf *skel)
{
	const int bss = bpf_map__fd(skel->maps.bss);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (!bpf_map__autocreate(skel->maps.bss))
		return "global variables";
	if (!skel->bss)
		return "mapped arrays";
	if (bss >= 0 && !bpf_obj_get_info_by_fd(bss, &info, &len) &&
	    !info.name[0])
		return "names of maps and programs";
	return NULL;
}

static int load_entries(struct core_datapath *dp)
{
	struct datapath_bpf *skel = datapath_bpf__open();
	const char *lacks;
	int rc;

	if (!skel)
		return core_fail(WHO, -errno, "cannot open its BPF object");
	dp->skel = skel;
	dp->obj = skel->obj;
	rc = size_maps(dp);
	if (!rc && dp->steered)
		rc = make_cpumap(dp);
	if (rc)
		return rc;
	bpf_program__set_autoload(skel->progs.lq_queue_full, dp->steered);
	bpf_program__set_autoload(skel->progs.lq_no_skb, dp->steered);
	bpf_program__set_autoload(skel->progs.lq_refused, dp->steered);
	datapath_set_type(dp, skel->progs.lq_from_inet, STAGE_INGRESS);
	datapath_set_type(dp, skel->progs.lq_from_subs, STAGE_INGRESS);
	datapath_set_type(dp, skel->progs.lq_from_stick, STAGE_INGRESS);
	datapath_set_type(dp, skel->progs.lq_observe, STAGE_OBSERVE);
	datapath_set_type(dp, skel->progs.lq_flow, STAGE_OBSERVE);
	bpf_program__set_autoload(skel->progs.lq_observe_tc, dp->one_interface);
	bpf_program__set_autoload(skel->progs.lq_flow, dp->tracks);
	bpf_program__set_autoload(skel->progs.lq_flow_tc,
				  dp->tracks && dp->one_interface);
	datapath_adopt_maps(dp, WHO, skel->obj);
	dp->owners_there = bpf_map__fd(skel->maps.dp_owners4) >= 0 &&
			   bpf_map__fd(skel->maps.dp_owners6) >= 0;
	rc = datapath_bpf__load(skel);
	if (rc == -EPERM)
		return core_fail(WHO, rc,
				 "the kernel lets us load no BPF: run as "
				 "root, or with CAP_BPF, CAP_NET_ADMIN and "
				 "CAP_PERFMON");
	lacks = lacking(skel);
	if (lacks)
		return core_fail(WHO, rc ?: -EOPNOTSUPP,
				 "libbpf finds no %s in the kernel: too old "
				 "(`lqosctl doctor` tells), or out of memory "
				 "(start again)",
				 lacks);
	if (rc)
		return core_fail(WHO, rc,
				 "the kernel refused its BPF programs "
				 "(log_level = info,libbpf:debug shows why)");
	dp->scratch_fd = bpf_map__fd(skel->maps.lqos_scratch);
	dp->flows_fd = bpf_map__fd(skel->maps.lqos_flows);
	dp->chains[STAGE_INGRESS].map_fd = bpf_map__fd(skel->maps.lqos_ingress);
	dp->chains[STAGE_OBSERVE].map_fd = bpf_map__fd(skel->maps.lqos_observe);
	dp->chains[STAGE_OBSERVE_TC].map_fd =
		bpf_map__fd(skel->maps.lqos_observe_tc);
	dp->chains[STAGE_EGRESS].map_fd = bpf_map__fd(skel->maps.lqos_egress);
	return flows_hook(dp) ?: datapath_pin_maps(dp, WHO, skel->obj);
}

/* The observe stage hangs behind another where nobody sends it packets. */
static int set_tails(struct core_datapath *dp)
{
	struct chain *ingress = &dp->chains[STAGE_INGRESS];
	struct chain *egress = &dp->chains[STAGE_EGRESS];
	uint32_t head = 0;

	if (!dp->steered)
		ingress->tail_fd = bpf_program__fd(dp->skel->progs.lq_observe);
	if (dp->one_interface)
		egress->tail_fd =
			bpf_program__fd(dp->skel->progs.lq_observe_tc);
	if (ingress->tail_fd >= 0 &&
	    bpf_map_update_elem(ingress->map_fd, &head, &ingress->tail_fd, 0))
		return core_fail(WHO, -errno, "cannot set the ingress chain");
	if (egress->tail_fd >= 0 &&
	    bpf_map_update_elem(egress->map_fd, &head, &egress->tail_fd, 0))
		return core_fail(WHO, -errno, "cannot set the egress chain");
	return 0;
}

static int build(struct core_datapath *dp)
{
	const struct core_settings *set = &dp->core->settings;
	void *view;
	int rc, n;

	n = libbpf_num_possible_cpus();
	if (n < 0)
		return core_fail(WHO, n, "cannot count the possible CPUs");
	dp->possible_cpus = n;
	rc = core_cpus_open(&dp->cpus, set);
	if (!rc)
		rc = restore_open(&dp->restore, set->run_dir);
	if (!rc)
		rc = ports_find(dp);
	if (!rc)
		rc = load_entries(dp);
	if (!rc && dp->steered)
		rc = fill_cpumap(dp);
	if (!rc)
		rc = set_tails(dp);
	if (!rc)
		rc = lqos_map_view(dp->core->ctx,
				   bpf_map__fd(dp->skel->maps.dp_counters),
				   &view);
	if (rc)
		return rc;
	dp->counters = view;
	rc = lqos_map_view(dp->core->ctx, bpf_map__fd(dp->skel->maps.dp_seen),
			   &view);
	if (rc)
		return rc;
	dp->seen = view;
	return 0;
}

int core_datapath_new(struct core_datapath **out, struct core *core,
		      uint32_t flags, uint32_t flow_bytes)
{
	struct core_datapath *dp = calloc(1, sizeof(*dp));
	int i, rc;

	if (!dp)
		return -ENOMEM;
	dp->core = core;
	dp->pins = core->pins;
	dp->adopts = core_slots_remembers(core_registry_slots(core->registry));
	dp->steered = flags & LQOS_MODULE_STEERS;
	dp->tracks = flags & LQOS_MODULE_FLOWS;
	dp->flow_bytes = flow_bytes;
	dp->cpumap_fd = -1;
	for (i = 0; i < STAGES; i++)
		dp->chains[i].tail_fd = -1;
	rc = build(dp);
	if (!rc)
		rc = datapath_add_columns(dp);
	if (!rc)
		rc = interface_add_columns(dp);
	if (!rc)
		rc = bypass_add(dp) ?: grants_add_command(dp);
	if (!rc)
		rc = graft_add(dp);
	if (!rc)
		rc = flows_add(dp);
	if (rc) {
		core_datapath_free(&dp);
		return rc;
	}
	*out = dp;
	return 0;
}

void core_datapath_leave(struct core_datapath *dp)
{
	dp->left = true;
	pins_keep(dp->pins);
}

static void detach_all(struct core_datapath *dp)
{
	ports_detach(dp);
	if (dp->attached)
		restore_done(dp->restore);
}

void core_datapath_free(struct core_datapath **out)
{
	struct core_datapath *dp = *out;
	int i;

	if (!dp)
		return;
	core_registry_hook(dp->core->registry, NULL);
	core_slots_connect(core_registry_slots(dp->core->registry), NULL);
	if (!dp->left)
		detach_all(dp);
	for (i = 0; i < LOSSES; i++)
		bpf_link__destroy(dp->losses[i]);
	for (i = 0; i < STAGES; i++)
		chain_forget(&dp->chains[i]);
	if (dp->cpumap_fd >= 0)
		close(dp->cpumap_fd);
	datapath_lists_forget(dp);
	datapath_bpf__destroy(dp->skel);
	restore_free(&dp->restore);
	core_cpus_free(&dp->cpus);
	free(dp);
	*out = NULL;
}

/* Tries that an earlier run's programs use too are brought up to date when none
 * of those is left to see it. */
static int take_over(struct core_datapath *dp)
{
	int rc;

	dp->attached = true;
	rc = ports_attach(dp);
	if (rc)
		return rc;
	if (dp->steered)
		count_lost(dp);
	datapath_leave_others(dp);
	if (dp->owners_there)
		rc = core_owners_sync(dp);
	return rc ?: datapath_connect_slots(dp);
}

int core_datapath_attach(struct core_datapath *dp)
{
	int rc = ports_check(dp);

	if (!rc && !dp->owners_there)
		rc = core_owners_sync(dp);
	if (!rc)
		rc = pins_publish(dp->pins);
	if (rc)
		return rc;
	rc = take_over(dp);
	if (rc && pins_earlier(dp->pins)) {
		core_log(WHO, LQOS_WARN,
			 "the earlier run's datapath stays attached, and what "
			 "of this one is: mend what failed and start again");
		core_datapath_leave(dp);
	}
	if (rc)
		return rc;
	if (pins_earlier(dp->pins))
		core_log(WHO, LQOS_INFO,
			 "%u maps of the earlier run taken over with what is "
			 "in them, %u discarded",
			 dp->adopted, dp->discarded);
	pins_commit(dp->pins);
	return 0;
}
