/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: what the kernel can do, tried and not read off its version.
 */
#include <linux/bpf.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/doctor.h"

static int can_load(enum bpf_prog_type type)
{
	return libbpf_probe_bpf_prog_type(type, NULL);
}

static int has_xdp(void)
{
	return can_load(BPF_PROG_TYPE_XDP);
}

static int has_tc(void)
{
	return can_load(BPF_PROG_TYPE_SCHED_CLS);
}

static int has_raw_tracepoints(void)
{
	return can_load(BPF_PROG_TYPE_RAW_TRACEPOINT);
}

static int has_tail_calls(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_tail_call,
				       NULL);
}

static int has_metadata(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP,
				       BPF_FUNC_xdp_adjust_meta, NULL);
}

static int has_coarse_clock(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP,
				       BPF_FUNC_ktime_get_coarse_ns, NULL);
}

static int has_tries(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, NULL);
}

static int has_rings(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL);
}

static int makes_map(enum bpf_map_type type, uint32_t value_size,
		     uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	autoclose int fd = bpf_map_create(type, "lqos_probe", sizeof(uint32_t),
					  value_size, 1, &opts);

	if (fd >= 0)
		return 1;
	return errno == EPERM ? -EPERM : 0;
}

/* A cpumap's entry may name a program that runs there. */
static int has_cpumap(void)
{
	return makes_map(BPF_MAP_TYPE_CPUMAP, sizeof(struct bpf_cpumap_val), 0);
}

static int has_mapped_arrays(void)
{
	return makes_map(BPF_MAP_TYPE_ARRAY, sizeof(uint64_t), BPF_F_MMAPABLE);
}

/* With instructions of -mcpu=v3: 32-bit jumps. */
static int load_v3(void)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP32 | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "lqos_probe", "GPL", program,
			     ARRAY_SIZE(program), NULL);
}

static int has_v3(void)
{
	autoclose int fd = load_v3();

	if (fd >= 0)
		return 1;
	return errno == EPERM ? -EPERM : 0;
}

int doctor_is_jited(void)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = load_v3();

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return -1;
	return info.jited_prog_len > 0;
}

static int has_trie_batches(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	autoclose int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "lqos_probe",
					  sizeof(struct dp_key4),
					  sizeof(struct dp_owner), 1, &opts);
	struct dp_key4 key = {};
	struct dp_owner owner = {};
	uint32_t n = 1;

	if (fd < 0)
		return -errno;
	return !bpf_map_update_batch(fd, &key, &owner, &n, NULL);
}

#define SLOWER "it works without, but "

const struct doctor_probe doctor_probes[] = {
	{"XDP", "Linux 4.8", has_xdp, NULL},
	{"TC programs", "Linux 4.1", has_tc, NULL},
	{"tail calls", "Linux 4.2", has_tail_calls, NULL},
	{"32-bit BPF jumps", "Linux 5.1", has_v3, NULL},
	{"longest-prefix tries", "Linux 4.11", has_tries, NULL},
	{"mapped BPF arrays", "Linux 5.5", has_mapped_arrays, NULL},
	{"cpumaps with programs", "Linux 5.9", has_cpumap, NULL},
	{"coarse clock for BPF", "Linux 5.11", has_coarse_clock, NULL},
	{"XDP metadata", "Linux 4.15", has_metadata,
	 SLOWER "each packet is parsed twice"},
	{"raw tracepoints", "Linux 4.17", has_raw_tracepoints,
	 SLOWER "packets lost between CPUs are not counted"},
	{"BPF ring buffers", "Linux 5.8", has_rings,
	 SLOWER "modules that watch single events do not"},
	{"batches for tries", "Linux 5.17", has_trie_batches,
	 SLOWER "many subscribers take longer to load"},
	{},
};
