/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity() */
#endif
#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"

enum { SKIP = 77, PREFIXES = 4096, CACHE = 1024 };

int datapath_skip(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL);
	int rc = -errno;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (geteuid() && (rc == -EPERM || rc == -ENOSYS)) {
		printf("1..0 # SKIP BPF needs root here: %s\n", strerror(-rc));
		return SKIP;
	}
	return 0;
}

/* ---- Loading ------------------------------------------------------------- */

static int size_flows(struct datapath *dp)
{
	uint32_t flows = dp->knobs.flows, buckets = dp->knobs.buckets;
	struct datapath_bpf *skel = dp->skel;

	bpf_program__set_autoload(skel->progs.lq_flow, flows);
	bpf_program__set_autoload(skel->progs.lq_flow_tc,
				  flows && dp->knobs.one_interface);
	if (!flows)
		return 0;
	if (!buckets)
		for (buckets = 1; buckets * DP_WAYS < 2 * flows;)
			buckets *= 2;
	skel->rodata->dp_flow_max = flows;
	skel->rodata->dp_flow_mask = buckets - 1;
	skel->rodata->dp_flow_seed = dp->knobs.seed;
	skel->bss->dp_flow_unknown.max = flows;
	return bpf_map__set_max_entries(skel->maps.dp_buckets, buckets) ?:
	       bpf_map__set_max_entries(skel->maps.lqos_flows, flows + 1) ?:
	       bpf_map__set_max_entries(skel->maps.dp_flow_rows, dp->cpus) ?:
	       bpf_map__set_max_entries(skel->maps.dp_flow_events, 1 << 20);
}

static int hook_flows(struct datapath *dp)
{
	struct datapath_bpf *skel = dp->skel;
	uint32_t zero = 0;
	int fd = bpf_program__fd(skel->progs.lq_flow);

	if (!dp->knobs.flows)
		return 0;
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.dp_flow), &zero, &fd, 0))
		return -errno;
	fd = bpf_program__fd(skel->progs.lq_flow_tc);
	return dp->knobs.one_interface &&
			       bpf_map_update_elem(
				       bpf_map__fd(skel->maps.dp_flow_tc),
				       &zero, &fd, 0)
		       ? -errno
		       : 0;
}

static int size_maps(struct datapath *dp)
{
	uint32_t prefixes = dp->knobs.prefixes ? dp->knobs.prefixes : PREFIXES;
	uint32_t slots = dp->knobs.slots ? dp->knobs.slots : DATAPATH_SLOTS;
	uint32_t cache = dp->knobs.cache ? dp->knobs.cache : CACHE;
	struct datapath_bpf *skel = dp->skel;

	skel->rodata->dp_cache_mask = cache - 1;
	skel->rodata->dp_seed = dp->knobs.seed;
	skel->rodata->dp_use_metadata = !dp->knobs.no_metadata;
	skel->rodata->dp_one_interface = dp->knobs.one_interface;
	skel->rodata->dp_address_spaces = dp->knobs.address_spaces;
	skel->rodata->dp_stick = dp->knobs.stick;
	skel->rodata->dp_vlans[DATAPATH_INET_VID] =
		(struct dp_vlan){DATAPATH_SUBS_VID, 1};
	skel->rodata->dp_vlans[DATAPATH_SUBS_VID] =
		(struct dp_vlan){DATAPATH_INET_VID, 0};
	skel->rodata->dp_cpumap_id =
		dp->knobs.steered || dp->knobs.cpumap ? ~0U : 0;
	skel->bss->dp_ports[0] = (struct dp_port){
		.ifindex = dp->knobs.inet_ifindex, .internet = 1};
	skel->bss->dp_epoch = 1;
	skel->bss->dp_tick = 1;
	return bpf_map__set_value_size(skel->maps.lqos_flows,
				       (uint32_t)sizeof(struct lqos_flow) +
					       dp->knobs.parts) ?:
	       bpf_map__set_max_entries(skel->maps.dp_counters, dp->cpus) ?:
	       bpf_map__set_max_entries(skel->maps.dp_seen, slots) ?:
	       bpf_map__set_max_entries(skel->maps.dp_owners4, prefixes) ?:
	       bpf_map__set_max_entries(skel->maps.dp_owners6, prefixes) ?:
	       bpf_map__set_max_entries(skel->maps.dp_cache, cache * dp->cpus);
}

static int map_array(const struct bpf_map *map, const void **out)
{
	size_t len =
		(size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *at = mmap(NULL, len, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

static void unmap_array(const struct bpf_map *map, const void *at)
{
	if (at)
		munmap((void *)(uintptr_t)at,
		       (size_t)bpf_map__value_size(map) *
			       bpf_map__max_entries(map));
}

/* Stay on the CPU that we are on. */
static int stay(uint32_t *cpu)
{
	cpu_set_t set;
	int here = sched_getcpu();

	if (here < 0)
		return -errno;
	CPU_ZERO(&set);
	CPU_SET(here, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return -errno;
	*cpu = (uint32_t)here;
	return 0;
}

static int load(struct datapath *dp)
{
	const void *view = NULL;
	int rc, cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	dp->cpus = (uint32_t)cpus;
	rc = stay(&dp->cpu);
	if (rc)
		return rc;
	dp->skel = datapath_bpf__open();
	if (!dp->skel)
		return -errno;
	rc = size_maps(dp);
	if (!rc)
		rc = size_flows(dp);
	if (rc)
		return rc;
	if (dp->knobs.cpumap) {
		bpf_program__set_expected_attach_type(
			dp->skel->progs.lq_observe, BPF_XDP_CPUMAP);
		bpf_program__set_expected_attach_type(dp->skel->progs.lq_flow,
						      BPF_XDP_CPUMAP);
	}
	bpf_program__set_autoload(dp->skel->progs.lq_observe_tc,
				  dp->knobs.one_interface);
	rc = datapath_bpf__load(dp->skel);
	if (rc)
		return rc;
	dp->cpumap_fd =
		bpf_map_create(BPF_MAP_TYPE_CPUMAP, "lqos_cpumap", 4,
			       sizeof(struct bpf_cpumap_val), dp->cpus, NULL);
	if (dp->cpumap_fd < 0)
		return -errno;
	rc = map_array(dp->skel->maps.dp_counters, &view);
	if (rc)
		return rc;
	dp->counters = view;
	rc = map_array(dp->skel->maps.dp_seen, &view);
	if (rc)
		return rc;
	dp->seen = view;
	rc = map_array(dp->skel->maps.lqos_flows, &view);
	if (rc)
		return rc;
	dp->flows = view;
	rc = map_array(dp->skel->maps.dp_flow_rows, &view);
	if (rc)
		return rc;
	dp->flow_rows = view;
	return hook_flows(dp);
}

int datapath_new(struct datapath **out, const struct datapath_knobs *knobs)
{
	static const struct datapath_knobs shaper;
	struct datapath *dp = calloc(1, sizeof(*dp));
	int rc;

	if (!dp)
		return -ENOMEM;
	dp->knobs = knobs ? *knobs : shaper;
	dp->cpumap_fd = -1;
	rc = load(dp);
	if (rc) {
		datapath_free(&dp);
		return rc;
	}
	*out = dp;
	return 0;
}

void datapath_free(struct datapath **out)
{
	struct datapath *dp = *out;

	if (!dp)
		return;
	if (dp->skel) {
		unmap_array(dp->skel->maps.dp_counters, dp->counters);
		unmap_array(dp->skel->maps.dp_seen, dp->seen);
		unmap_array(dp->skel->maps.lqos_flows, dp->flows);
		unmap_array(dp->skel->maps.dp_flow_rows, dp->flow_rows);
	}
	if (dp->cpumap_fd >= 0)
		close(dp->cpumap_fd);
	datapath_bpf__destroy(dp->skel);
	free(dp);
	*out = NULL;
}

const struct lqos_flow *datapath_flow(const struct datapath *dp, uint32_t index)
{
	return datapath_flow_part(dp, index, 0);
}

const void *datapath_flow_part(const struct datapath *dp, uint32_t index,
			       size_t part)
{
	return (const char *)dp->flows + part +
	       index * (sizeof(struct lqos_flow) + dp->knobs.parts);
}

static void set_type(const struct datapath *dp, struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog);

	if (strncmp(section, "lqos/", 5))
		return;
	if (!strcmp(section, "lqos/observe_tc"))
		bpf_program__set_autoload(prog, dp->knobs.one_interface);
	if (!strcmp(section, "lqos/egress") ||
	    !strcmp(section, "lqos/observe_tc")) {
		bpf_program__set_type(prog, BPF_PROG_TYPE_SCHED_CLS);
		bpf_program__set_expected_attach_type(prog, 0);
		return;
	}
	bpf_program__set_type(prog, BPF_PROG_TYPE_XDP);
	bpf_program__set_expected_attach_type(
		prog, !strcmp(section, "lqos/observe") && dp->knobs.cpumap
			      ? BPF_XDP_CPUMAP
			      : BPF_XDP);
}

int datapath_bind(const struct datapath *dp, struct bpf_object *obj)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int rc;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);

		if (strncmp(name, "lqos_", 5))
			continue;
		rc = bpf_map__reuse_fd(
			map, strcmp(name, "lqos_cpumap")
				     ? bpf_object__find_map_fd_by_name(
					       dp->skel->obj, name)
				     : dp->cpumap_fd);
		if (rc)
			return rc;
	}
	bpf_object__for_each_program(prog, obj)
		set_type(dp, prog);
	return 0;
}

/* ---- Maps ---------------------------------------------------------------- */

static int prefix_key(const struct datapath *dp, const char *prefix,
		      struct dp_key4 *key4, struct dp_key6 *key6,
		      const void **key)
{
	bool ipv6 = strchr(prefix, ':');
	char addr[INET6_ADDRSTRLEN];
	unsigned int len, vlan = 0;

	if (sscanf(prefix, "%45[^%%/]%%%u/%u", addr, &vlan, &len) != 3 &&
	    sscanf(prefix, "%45[^/]/%u", addr, &len) != 2)
		return -EINVAL;
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, addr,
		      ipv6 ? key6->addr : key4->addr) != 1)
		return -EINVAL;
	key4->prefixlen = key6->prefixlen = DP_SPACE_BITS + len;
	vlan = htonl(vlan);
	memcpy(key4->space, &vlan, sizeof(key4->space));
	memcpy(key6->space, &vlan, sizeof(key6->space));
	*key = ipv6 ? (const void *)key6 : key4;
	return bpf_map__fd(ipv6 ? dp->skel->maps.dp_owners6
				: dp->skel->maps.dp_owners4);
}

void datapath_new_epoch(struct datapath *dp)
{
	dp->skel->bss->dp_epoch++;
}

int datapath_own_quietly(struct datapath *dp, const char *prefix, uint32_t slot,
			 uint32_t handle, uint32_t cpu)
{
	struct dp_owner owner = {slot, handle, cpu};
	struct dp_key4 key4;
	struct dp_key6 key6;
	const void *key;
	int fd = prefix_key(dp, prefix, &key4, &key6, &key);

	if (fd < 0)
		return fd;
	return bpf_map_update_elem(fd, key, &owner, BPF_ANY);
}

int datapath_own(struct datapath *dp, const char *prefix, uint32_t slot,
		 uint32_t handle, uint32_t cpu)
{
	int rc = datapath_own_quietly(dp, prefix, slot, handle, cpu);

	if (!rc)
		datapath_new_epoch(dp);
	return rc;
}

int datapath_disown(struct datapath *dp, const char *prefix)
{
	struct dp_key4 key4;
	struct dp_key6 key6;
	const void *key;
	int fd = prefix_key(dp, prefix, &key4, &key6, &key);
	int rc = fd < 0 ? fd : bpf_map_delete_elem(fd, key);

	if (!rc)
		datapath_new_epoch(dp);
	return rc;
}

int datapath_chain(struct datapath *dp, const char *map, uint32_t slot,
		   const struct bpf_program *prog)
{
	int prog_fd = prog ? bpf_program__fd(prog) : -1;
	int fd = bpf_object__find_map_fd_by_name(dp->skel->obj, map);

	if (fd < 0)
		return fd;
	return prog ? bpf_map_update_elem(fd, &slot, &prog_fd, 0)
		    : bpf_map_delete_elem(fd, &slot);
}

const struct dp_counters *datapath_counters(const struct datapath *dp)
{
	return &dp->counters[dp->cpu];
}

/* Values of a per-CPU map are multiples of 8 bytes apart. */
enum { SCRATCH = (sizeof(struct lqos_packet) + 7) / 8 * 8 };

int datapath_scratch(const struct datapath *dp, struct lqos_packet *out)
{
	autofree uint8_t *values = calloc(dp->cpus, SCRATCH);
	uint32_t zero = 0;
	int rc;

	if (!values)
		return -ENOMEM;
	rc = bpf_map_lookup_elem(bpf_map__fd(dp->skel->maps.lqos_scratch),
				 &zero, values);
	if (!rc)
		memcpy(out, values + (size_t)dp->cpu * SCRATCH, sizeof(*out));
	return rc;
}

int datapath_clear_scratch(const struct datapath *dp)
{
	autofree uint8_t *values = calloc(dp->cpus, SCRATCH);
	uint32_t zero = 0;

	if (!values)
		return -ENOMEM;
	return bpf_map_update_elem(bpf_map__fd(dp->skel->maps.lqos_scratch),
				   &zero, values, BPF_ANY);
}

/* ---- Running ------------------------------------------------------------- */

int run_xdp(const struct bpf_program *prog, const void *frame, size_t len,
	    const struct lqos_packet *meta, struct outcome *out)
{
	size_t in_front = meta ? sizeof(*meta) : 0, meta_len;
	uint8_t in[sizeof(*meta) + PACKET_MAX];
	uint8_t data[sizeof(*meta) + PACKET_MAX];
	struct xdp_md before = {
		.data = (uint32_t)in_front,
		.data_end = (uint32_t)(in_front + len),
		.ingress_ifindex = LOOPBACK_IFINDEX,
	};
	struct xdp_md after = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in,
		    .data_size_in = (uint32_t)(in_front + len),
		    .data_out = data, .data_size_out = sizeof(data),
		    .ctx_in = &before, .ctx_size_in = sizeof(before),
		    .ctx_out = &after, .ctx_size_out = sizeof(after));
	int rc;

	if (meta)
		memcpy(in, meta, in_front);
	memcpy(in + in_front, frame, len);
	rc = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (rc)
		return rc;
	/* What comes back begins with the metadata. */
	meta_len = after.data - after.data_meta;
	memset(out, 0, sizeof(*out));
	out->verdict = opts.retval;
	out->described = meta_len == sizeof(out->pkt);
	if (out->described)
		memcpy(&out->pkt, data, sizeof(out->pkt));
	out->len = opts.data_size_out - meta_len;
	memcpy(out->frame, data + meta_len, out->len);
	return 0;
}

int run_tc_gso(const struct bpf_program *prog, const void *frame, size_t len,
	       uint32_t segs, uint32_t size, struct outcome *out)
{
	struct __sk_buff skb = {.gso_segs = segs, .gso_size = size};
	uint8_t data[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = (uint32_t)len, .data_out = data,
		    .data_size_out = sizeof(data), .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), .ctx_out = &skb,
		    .ctx_size_out = sizeof(skb));
	int rc = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	out->verdict = opts.retval;
	out->len = opts.data_size_out;
	memcpy(out->frame, data, out->len);
	return 0;
}

int run_tc(const struct bpf_program *prog, const void *frame, size_t len,
	   struct outcome *out)
{
	return run_tc_gso(prog, frame, len, 0, 0, out);
}

bool run_tc_can(const uint8_t *frame, size_t len)
{
	unsigned int type = frame[12] << 8 | frame[13];

	return len >= 14 + (type == 0x0800 ? 20 : type == 0x86dd ? 40 : 1);
}
