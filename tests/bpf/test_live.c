/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All stages in a row, as on a wire: frames that the kernel takes for received
 * go through XDP, cpumap and the stack to TC, with their descriptor in front.
 * In a network namespace of its own, with nothing but the loopback interface.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "bpf/steering.h"
#include "bpf/throughput.h"
#include "tests/bpf/datapath.h"
#include "tests/bpf/probe.h"

#include "bpf/datapath.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "tests/bpf/probe.skel.h"

enum {
	STEERING = 1,
	THROUGHPUT = 2,
	PROBE = 3,
	ALICE = 5,
	HANDLE = 0x00020007,
	FRAMES = 64,
};

static struct datapath *dp;
static struct steering_bpf *st;
static struct throughput_bpf *tp;
static struct probe_bpf *probe;
static struct bpf_tc_hook hook = {.sz = sizeof(hook),
				  .ifindex = LOOPBACK_IFINDEX,
				  .attach_point = BPF_TC_INGRESS};

/* ---- Set-up -------------------------------------------------------------- */

static int own_namespace(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	autoclose int fd = -1;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) ? -errno : 0;
}

static int load_modules(void)
{
	struct bpf_cpumap_val entry = {.qsize = 512};
	int rc;

	st = steering_bpf__open();
	tp = throughput_bpf__open();
	probe = probe_bpf__open();
	if (!st || !tp || !probe)
		return -1;
	st->rodata->lqos_self = STEERING;
	st->bss->st_cpus[0] = dp->cpu;
	tp->rodata->lqos_self = THROUGHPUT;
	probe->rodata->lqos_self = PROBE;
	rc = bpf_map__set_max_entries(st->maps.st_counters, dp->cpus) ?:
	     bpf_map__set_max_entries(st->maps.st_queues, dp->cpus) ?:
	     bpf_map__set_max_entries(tp->maps.tp_slots, DATAPATH_SLOTS) ?:
	     bpf_map__set_max_entries(tp->maps.tp_totals, TP_WHOSE * dp->cpus) ?:
	     bpf_map__set_max_entries(tp->maps.tp_hosts, dp->cpus) ?:
	     bpf_map__set_max_entries(tp->maps.tp_evicted, dp->cpus) ?:
	     datapath_bind(dp, st->obj) ?: steering_bpf__load(st) ?:
	     datapath_bind(dp, tp->obj) ?: throughput_bpf__load(tp) ?:
	     datapath_bind(dp, probe->obj) ?: probe_bpf__load(probe);
	if (rc)
		return rc;
	entry.bpf_prog.fd = bpf_program__fd(dp->skel->progs.lq_observe);
	return bpf_map_update_elem(dp->cpumap_fd, &dp->cpu, &entry, 0) ?:
	       datapath_chain(dp, "lqos_ingress", 0, st->progs.st_redirect) ?:
	       datapath_chain(dp, "lqos_observe", 0, tp->progs.tp_count) ?:
	       datapath_chain(dp, "lqos_observe", THROUGHPUT,
			      probe->progs.probe_see) ?:
	       datapath_chain(dp, "lqos_egress", 0, st->progs.st_classify) ?:
	       datapath_chain(dp, "lqos_egress", STEERING,
			      probe->progs.probe_out);
}

/* What is received here is what a bridge would send on to subscribers. */
static int attach(void)
{
	LIBBPF_OPTS(bpf_tc_opts, opts,
		    .prog_fd = bpf_program__fd(dp->skel->progs.lq_to_subs));
	int rc = own_namespace() ?: bpf_tc_hook_create(&hook);

	return rc ?: bpf_tc_attach(&hook, &opts);
}

static int load_with(bool no_metadata)
{
	const struct datapath_knobs knobs = {
		.no_metadata = no_metadata,
		.cpumap = true,
		.inet_ifindex = LOOPBACK_IFINDEX,
	};

	return datapath_new(&dp, &knobs) ?: load_modules() ?: attach() ?:
	       datapath_own(dp, "10.0.0.1/32", ALICE, HANDLE, dp->cpu) ?:
	       datapath_own(dp, "2001:db8:1::/48", ALICE, HANDLE, dp->cpu);
}

static int load(void **state)
{
	(void)state;
	return load_with(false);
}

static int load_no_metadata(void **state)
{
	(void)state;
	return load_with(true);
}

static int unload(void **state)
{
	(void)state;
	/* The namespace, and all that is in it, goes with the last of us. */
	probe_bpf__destroy(probe);
	throughput_bpf__destroy(tp);
	steering_bpf__destroy(st);
	probe = NULL;
	tp = NULL;
	st = NULL;
	datapath_free(&dp);
	return 0;
}

/* ---- Frames -------------------------------------------------------------- */

static uint64_t counted(enum dp_counter which)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < dp->cpus; cpu++)
		sum += dp->counters[cpu].count[which];
	return sum;
}

static struct probe_view view(void)
{
	struct probe_view v;
	uint32_t zero = 0;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(probe->maps.probe_views), &zero,
				    &v),
		0);
	return v;
}

/* Until all of them have come out at the far end. */
static size_t receive(const char *dst, const uint32_t *layers)
{
	const char *src = strchr(dst, ':') ? "2001:db8:ffff::1" : "192.0.2.1";
	uint64_t before = counted(DP_SENT);
	struct packet_ends ends;
	struct packet p;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.data,
		    .repeat = FRAMES, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int i;

	packet_ends_set(&ends, src, dst);
	packet_build(&p, &ends, layers);
	opts.data_size_in = (uint32_t)p.len;
	assert_int_equal(
		bpf_prog_test_run_opts(
			bpf_program__fd(dp->skel->progs.lq_from_inet), &opts),
		0);
	for (i = 0; i < 200 && counted(DP_SENT) - before < FRAMES; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_int_equal(counted(DP_SENT) - before, FRAMES);
	return p.len;
}

static void check_stages(bool described)
{
	uint64_t again = described ? 0 : counted(DP_RECEIVED);

	assert_int_equal(counted(DP_OBSERVED), counted(DP_RECEIVED));
	assert_int_equal(counted(DP_NO_METADATA), again);
	assert_int_equal(counted(DP_PARSED_AGAIN), again);
	assert_int_equal(counted(DP_SENT_PARSED), again);
}

static void check_pipeline(bool described)
{
	const uint32_t udp[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(100)};
	struct tp_counters c = {};
	struct probe_view seen;
	uint32_t slot = ALICE;
	struct st_cpu row;
	size_t bytes;

	bytes = receive("10.0.0.1", udp);
	bytes += receive("2001:db8:1::1", udp);
	check_stages(described);

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(st->maps.st_counters),
					     &dp->cpu, &row),
			 0);
	assert_int_equal(row.count[ST_REDIRECTED], 2 * FRAMES);
	assert_int_equal(row.count[ST_CLASSIFIED], 2 * FRAMES);
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(tp->maps.tp_slots), &slot, &c),
		0);
	assert_int_equal(c.half[LQOS_DOWN].packets[TP_UDP], 2 * FRAMES);
	assert_int_equal(c.half[LQOS_DOWN].bytes[TP_UDP], FRAMES * bytes);
	seen = view();
	assert_int_equal(seen.runs[PROBE], 4 * FRAMES);
	assert_int_equal(seen.priority, HANDLE);
	assert_int_equal(seen.queue, HANDLE >> 16);
	assert_int_equal(seen.pkt.slot, ALICE);
	assert_int_equal(seen.pkt.l4_off, 14 + 40);
	assert_int_equal(seen.bytes, 14 + 40 + 8 + 100);
	assert_int_equal(seen.ip, 0x60);
}

static void test_metadata(void **state)
{
	(void)state;
	check_pipeline(true);
}

static void test_no_metadata(void **state)
{
	(void)state;
	check_pipeline(false);
}

/* The stack takes the tag off the frame: at TC the IP header is elsewhere, and
 * the descriptor does not say where unless it was made there. */
static void test_tags(void **state)
{
	const uint32_t one[PACKET_LAYERS] = {P_VLAN, P_IP, P_UDP, P_DATA(100)};
	const uint32_t two[PACKET_LAYERS] = {P_SVLAN, P_VLAN, P_IP, P_UDP,
					     P_DATA(100)};

	(void)state;
	receive("10.0.0.1", one);
	assert_int_equal(view().priority, HANDLE);
	assert_int_equal(view().ip, counted(DP_NO_METADATA) ? 0x45 : 0);
	assert_int_equal(view().pkt.l3_off, 18); /* of the observers */
	receive("2001:db8:1::1", two);
	assert_int_equal(view().priority, HANDLE);
	assert_int_equal(view().ip, counted(DP_NO_METADATA) ? 0x60 : 0);
	assert_int_equal(view().pkt.l3_off, 22);
}

#define CASE(test_, load_) cmocka_unit_test_setup_teardown(test_, load_, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_metadata, load),
		CASE(test_no_metadata, load_no_metadata),
		CASE(test_tags, load),
		{"test_tags, no metadata", test_tags, load_no_metadata, unload,
		 NULL},
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
