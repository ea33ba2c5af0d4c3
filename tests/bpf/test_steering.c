/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To which CPU a packet is sent, and into which class and queue. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "bpf/steering.h"
#include "tests/bpf/datapath.h"
#include "tests/bpf/probe.h"

#include "bpf/datapath.skel.h"
#include "bpf/steering.skel.h"
#include "tests/bpf/probe.skel.h"

enum { STEERING = 1, PROBE = 2, QUEUE = 3 };

/* A CPU no machine has: the cpumap has no entry for it, and the verdict tells
 * that it was chosen. */
enum { NO_CPU = 100000 };

static uint32_t up_offset; /* on a stick */
static struct datapath *dp;
static struct steering_bpf *st;
static struct probe_bpf *probe;

static const uint32_t udp[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(58)};

/* ---- Set-up -------------------------------------------------------------- */

static int load_steering(const uint32_t *cpus, uint32_t n)
{
	struct bpf_cpumap_val entry = {.qsize = 64};
	uint32_t queue = QUEUE, i;
	int rc;

	st = steering_bpf__open();
	if (!st)
		return -1;
	st->rodata->lqos_self = STEERING;
	for (i = 0; i < n; i++)
		st->bss->st_cpus[i] = cpus[i];
	st->rodata->st_n_cpus = n;
	st->rodata->st_up_offset = up_offset;
	rc = bpf_map__set_max_entries(st->maps.st_counters, dp->cpus) ?:
	     bpf_map__set_max_entries(st->maps.st_queues, dp->cpus) ?:
	     datapath_bind(dp, st->obj) ?:
	     steering_bpf__load(st) ?:
	     datapath_chain(dp, "lqos_ingress", 0, st->progs.st_redirect) ?:
	     datapath_chain(dp, "lqos_egress", 0, st->progs.st_classify);
	if (rc)
		return rc;
	return bpf_map_update_elem(dp->cpumap_fd, &dp->cpu, &entry, 0)
		       ?: bpf_map_update_elem(bpf_map__fd(st->maps.st_queues),
					      &dp->cpu, &queue, 0);
}

/* Behind steering in each chain: what it left behind can be seen. */
static int load_probe(void)
{
	int rc;

	probe = probe_bpf__open();
	if (!probe)
		return -1;
	probe->rodata->lqos_self = PROBE;
	rc = datapath_bind(dp, probe->obj) ?: probe_bpf__load(probe);
	if (rc)
		return rc;
	return datapath_chain(dp, "lqos_ingress", STEERING,
			      probe->progs.probe_in)
		       ?: datapath_chain(dp, "lqos_egress", STEERING,
					 probe->progs.probe_out);
}

static int load_with(const struct datapath_knobs *knobs)
{
	uint32_t cpus[2] = {0, NO_CPU};
	int rc;

	rc = datapath_new(&dp, knobs);
	if (rc)
		return rc;
	cpus[0] = dp->cpu;
	return load_steering(cpus, 2) ?: load_probe();
}

static int load(void **state)
{
	(void)state;
	return load_with(NULL);
}

static int load_no_metadata(void **state)
{
	(void)state;
	return load_with(&(struct datapath_knobs){.no_metadata = true});
}

static int load_stick(void **state)
{
	(void)state;
	up_offset = 8;
	return load_with(NULL);
}

static int unload(void **state)
{
	(void)state;
	up_offset = 0;
	probe_bpf__destroy(probe);
	probe = NULL;
	steering_bpf__destroy(st);
	st = NULL;
	datapath_free(&dp);
	return 0;
}

static uint64_t counted(enum st_counter which)
{
	struct st_cpu row;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(st->maps.st_counters),
					     &dp->cpu, &row),
			 0);
	return row.count[which];
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

/* ---- CPUs ---------------------------------------------------------------- */

static uint32_t pass(const char *src, const char *dst,
		     enum lqos_direction direction, const uint32_t *layers)
{
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	packet_ends_set(&ends, src, dst);
	packet_build(&p, &ends, layers);
	assert_int_equal(run_xdp(direction == LQOS_DOWN
					 ? dp->skel->progs.lq_from_inet
					 : dp->skel->progs.lq_from_subs,
				 p.data, p.len, NULL, &out),
			 0);
	assert_int_equal(out.len, p.len);
	assert_memory_equal(out.frame, p.data, p.len);
	return out.verdict;
}

/* The verdict for a host's packets, which must be that of both directions and
 * of every packet, and counted as such. */
static uint32_t verdict_of(const char *host)
{
	const char *far = strchr(host, ':') ? "2001:db8:ffff::1" : "192.0.2.1";
	const uint32_t fragment[PACKET_LAYERS] = {
		P_PPPOE, P_IP, P_FRAGMENT(PACKET_LAST), P_PROTO(17), P_DATA(9)};
	uint64_t sent = counted(ST_REDIRECTED), missed = counted(ST_NO_CPU);
	uint64_t behind = view().runs[PROBE];
	uint32_t verdict = pass(far, host, LQOS_DOWN, udp);

	assert_int_equal(pass(host, far, LQOS_UP, udp), verdict);
	assert_int_equal(pass(host, far, LQOS_UP, fragment), verdict);
	assert_int_equal(counted(ST_REDIRECTED) - sent,
			 verdict == XDP_REDIRECT ? 3 : 0);
	assert_int_equal(counted(ST_NO_CPU) - missed,
			 verdict == XDP_PASS ? 3 : 0);
	/* What is not sent to a CPU goes on along the chain. */
	assert_int_equal(view().runs[PROBE] - behind,
			 verdict == XDP_PASS ? 3 : 0);
	return verdict;
}

static void test_redirect(void **state)
{
	(void)state;
	assert_int_equal(datapath_own(dp, "10.0.0.1/32", 1, 0x10003, dp->cpu),
			 0);
	assert_int_equal(datapath_own(dp, "2001:db8:1::/48", 2, 0, dp->cpu), 0);
	assert_int_equal(verdict_of("10.0.0.1"), XDP_REDIRECT);
	assert_int_equal(verdict_of("2001:db8:1::1"), XDP_REDIRECT);
	assert_int_equal(counted(ST_NOT_IP), 0);
}

/* Its CPU is not in the cpumap: within it, and beyond. */
static void test_no_cpu(void **state)
{
	uint32_t i;

	(void)state;
	assert_int_equal(datapath_own(dp, "10.0.0.1/32", 1, 0x10003, NO_CPU),
			 0);
	assert_int_equal(verdict_of("10.0.0.1"), XDP_PASS);
	for (i = 0; i < dp->cpus; i++) {
		assert_int_equal(datapath_own(dp, "10.0.0.2/32", 2, 0, i), 0);
		assert_int_equal(verdict_of("10.0.0.2"),
				 i == dp->cpu ? XDP_REDIRECT : XDP_PASS);
	}
	/* The last one gone: nothing is lost. */
	assert_int_equal(bpf_map_delete_elem(dp->cpumap_fd, &dp->cpu), 0);
	assert_int_equal(datapath_own(dp, "10.0.0.2/32", 2, 0, dp->cpu), 0);
	assert_int_equal(verdict_of("10.0.0.2"), XDP_PASS);
}

static void test_not_ip(void **state)
{
	static const uint32_t strangers[][PACKET_LAYERS] = {
		{P_TYPE(0x0806), P_DATA(46)},
		{P_LLC(0x4242), P_DATA(35)},
		{P_TYPE(0x8809), P_DATA(110)},
		{P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_VLAN, P_IP, P_TCP},
		{P_IP, P_BYTE0(0x75), P_TCP},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(strangers); i++) {
		assert_int_equal(
			pass("10.0.0.1", "10.0.0.2", LQOS_DOWN, strangers[i]),
			XDP_PASS);
		assert_int_equal(
			pass("10.0.0.1", "10.0.0.2", LQOS_UP, strangers[i]),
			XDP_PASS);
	}
	assert_int_equal(counted(ST_NOT_IP), 2 * ARRAY_SIZE(strangers));
	assert_int_equal(counted(ST_REDIRECTED) + counted(ST_NO_CPU), 0);
	assert_int_equal(view().runs[PROBE], 2 * ARRAY_SIZE(strangers));
}

/* One that was not placed yet goes by the number of its slot. */
static void test_not_placed(void **state)
{
	uint32_t slot;

	(void)state;
	for (slot = 1; slot < 10; slot++) {
		assert_int_equal(
			datapath_own(dp, "10.0.0.0/24", slot, 0, UINT32_MAX),
			0);
		assert_int_equal(verdict_of("10.0.0.1"),
				 slot % 2 ? XDP_PASS : XDP_REDIRECT);
		assert_int_equal(verdict_of("10.0.0.2"),
				 slot % 2 ? XDP_PASS : XDP_REDIRECT);
	}
}

/* Nobody's are spread over the CPUs, each host whole. */
static void test_unknown(void **state)
{
	char host[64];
	int sent = 0, i;

	(void)state;
	for (i = 0; i < 200; i++) {
		snprintf(host, sizeof(host),
			 i % 2 ? "10.1.2.%d" : "2001:db8::%x", i + 1);
		sent += verdict_of(host) == XDP_REDIRECT;
	}
	assert_in_range(sent, 60, 140);
}

/* One CPU alone has all. */
static void test_one_cpu(void **state)
{
	char host[64];
	int i;

	(void)state;
	steering_bpf__destroy(st);
	assert_int_equal(load_steering(&dp->cpu, 1), 0);
	for (i = 0; i < 20; i++) {
		snprintf(host, sizeof(host), "10.1.2.%d", i);
		assert_int_equal(verdict_of(host), XDP_REDIRECT);
	}
}

/* ---- Classes ------------------------------------------------------------- */

/* What is left on the skb of a packet that comes without a descriptor. */
static void check_class(const char *host, enum lqos_direction direction,
			const uint32_t *layers, uint32_t priority,
			uint32_t queue)
{
	const char *far = strchr(host, ':') ? "2001:db8:ffff::1" : "192.0.2.1";
	uint64_t classified = counted(ST_CLASSIFIED);
	uint64_t others = counted(ST_DEFAULT);
	struct packet_ends ends;
	struct probe_view seen;
	struct outcome out;
	struct packet p;

	if (direction == LQOS_DOWN)
		packet_ends_set(&ends, far, host);
	else
		packet_ends_set(&ends, host, far);
	packet_build(&p, &ends, layers);
	assert_int_equal(run_tc(direction == LQOS_DOWN
					? dp->skel->progs.lq_to_subs
					: dp->skel->progs.lq_to_inet,
				p.data, p.len, &out),
			 0);
	assert_int_equal(out.verdict, (uint32_t)TC_ACT_UNSPEC);
	assert_memory_equal(out.frame, p.data, p.len);
	seen = view();
	assert_int_equal(seen.priority, priority);
	assert_int_equal(seen.queue, queue);
	assert_int_equal(counted(ST_CLASSIFIED) - classified, priority != 0);
	assert_int_equal(counted(ST_DEFAULT) - others, priority == 0);
}

static void test_classify(void **state)
{
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};
	const uint32_t deep[PACKET_LAYERS] = {
		P_SVLAN, P_VLAN, P_PPPOE, P_IP, P_TCP_OPTIONS(5), P_DATA(600)};
	int direction;

	(void)state;
	assert_int_equal(datapath_own(dp, "10.0.0.1/32", 1, 0x00050017, 0), 0);
	assert_int_equal(datapath_own(dp, "2001:db8:1::/48", 2, 0x0001ffff, 0),
			 0);
	assert_int_equal(datapath_own(dp, "10.0.0.3/32", 3, 0, UINT32_MAX), 0);
	for (direction = LQOS_DOWN; direction <= LQOS_UP; direction++) {
		enum lqos_direction d = (enum lqos_direction)direction;

		check_class("10.0.0.1", d, udp, 0x00050017, 5);
		check_class("2001:db8:1::7", d, udp, 0x0001ffff, 1);
		check_class("10.0.0.1", d, deep, 0x00050017, 5);
		check_class("2001:db8:1::7", d, deep, 0x0001ffff, 1);
		/* Unknown, not placed, no IP: this CPU's own queue. */
		check_class("10.0.0.2", d, udp, 0, QUEUE);
		check_class("10.0.0.3", d, udp, 0, QUEUE);
		check_class("10.0.0.1", d, arp, 0, QUEUE);
	}
	assert_int_equal(datapath_counters(dp)->count[DP_SENT], 14);
	assert_int_equal(datapath_counters(dp)->count[DP_SENT_PARSED], 14);
}

/* One interface for both ways: uploads have the second half of its queues. */
static void test_up_offset(void **state)
{
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};

	(void)state;
	assert_int_equal(datapath_own(dp, "10.0.0.1/32", 1, 0x00050017, 0), 0);
	check_class("10.0.0.1", LQOS_DOWN, udp, 0x00050017, 5);
	check_class("10.0.0.1", LQOS_UP, udp, 0x000d0017, 13);
	check_class("10.0.0.2", LQOS_DOWN, udp, 0, QUEUE);
	check_class("10.0.0.2", LQOS_UP, udp, 0, QUEUE + 8);
	check_class("10.0.0.1", LQOS_DOWN, arp, 0, QUEUE);
	check_class("10.0.0.1", LQOS_UP, arp, 0, QUEUE + 8);
}

/* A CPU without a queue leaves the choice to the kernel. */
static void test_no_queue(void **state)
{
	uint32_t none = 0;

	(void)state;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(st->maps.st_queues),
					     &dp->cpu, &none, 0),
			 0);
	check_class("10.0.0.2", LQOS_DOWN, udp, 0, 0);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, load, unload)
#define TEST_NO_METADATA(test_)                                               \
	{                                                                     \
#test_ ", no metadata", test_, load_no_metadata, unload, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_redirect),
		TEST_NO_METADATA(test_redirect),
		TEST(test_no_cpu),
		TEST(test_not_ip),
		TEST_NO_METADATA(test_not_ip),
		TEST(test_not_placed),
		TEST(test_unknown),
		TEST_NO_METADATA(test_unknown),
		TEST(test_one_cpu),
		TEST(test_classify),
		cmocka_unit_test_setup_teardown(test_up_offset, load_stick,
						unload),
		TEST(test_no_queue),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("steering", tests, NULL,
						  NULL);
}
