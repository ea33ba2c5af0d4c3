/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes and packets, each where it belongs, through the observe stage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "bpf/throughput.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"
#include "bpf/throughput.skel.h"

enum { ALICE = 5, BOB = DATAPATH_SLOTS - 1 };

static struct datapath *dp;
static struct throughput_bpf *tp;

/* ---- The object ---------------------------------------------------------- */

static int load(const struct datapath_knobs *knobs, bool shared, uint32_t sets)
{
	int rc;

	rc = datapath_new(&dp, knobs);
	if (rc)
		return rc;
	tp = throughput_bpf__open();
	if (!tp)
		return -1;
	tp->rodata->lqos_self = 1;
	tp->rodata->lqos_shared = shared;
	tp->rodata->tp_sets = sets;
	tp->rodata->tp_seed = 0x7157157157157157ULL;
	rc = bpf_map__set_max_entries(tp->maps.tp_slots, DATAPATH_SLOTS) ?:
	     bpf_map__set_max_entries(tp->maps.tp_totals, TP_WHOSE * dp->cpus) ?:
	     bpf_map__set_max_entries(tp->maps.tp_hosts, sets * dp->cpus) ?:
	     bpf_map__set_max_entries(tp->maps.tp_evicted, dp->cpus) ?:
	     datapath_bind(dp, tp->obj) ?:
	     throughput_bpf__load(tp);
	if (rc)
		return rc;
	return datapath_chain(dp, "lqos_ingress", 0,
			      dp->skel->progs.lq_observe) ?:
	       datapath_chain(dp, "lqos_observe", 0, tp->progs.tp_count) ?:
	       datapath_own(dp, "10.0.0.1/32", ALICE, 0x10003, 0) ?:
	       datapath_own(dp, "10.0.0.2/32", BOB, 0x10004, 0) ?:
	       datapath_own(dp, "2001:db8:1::/48", ALICE, 0x10003, 0);
}

static int unload(void **state)
{
	(void)state;
	throughput_bpf__destroy(tp);
	tp = NULL;
	datapath_free(&dp);
	return 0;
}

static int load_alone(void **state)
{
	(void)state;
	return load(NULL, false, 64);
}

static int load_shared(void **state)
{
	(void)state;
	return load(NULL, true, 64);
}

static int load_one_set(void **state)
{
	(void)state;
	return load(NULL, false, 1);
}

static int load_one_interface(void **state)
{
	(void)state;
	return load(&(struct datapath_knobs){.one_interface = true}, true, 64);
}

static int load_no_metadata(void **state)
{
	(void)state;
	return load(
		&(struct datapath_knobs){.no_metadata = true, .steered = true},
		false, 64);
}

/* ---- Packets and what they should add up to ------------------------------ */

static size_t pass(const char *src, const char *dst,
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
	assert_int_equal(out.verdict, XDP_PASS);
	assert_int_equal(out.len, p.len);
	return p.len;
}

static struct tp_counters slot_counters(uint32_t slot)
{
	struct tp_counters c;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(tp->maps.tp_slots), &slot, &c),
		0);
	return c;
}

/* Of this CPU. */
static struct tp_counters total_counters(enum tp_whose whose)
{
	uint32_t row = TP_WHOSE * dp->cpu + whose;
	struct tp_counters c;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(tp->maps.tp_totals), &row, &c),
		0);
	return c;
}

static void add(struct tp_counters *to, enum lqos_direction direction,
		enum tp_protocol protocol, size_t bytes)
{
	to->half[direction].bytes[protocol] += bytes;
	to->half[direction].packets[protocol]++;
}

/* Everything a mix of packets should move, and nothing else. */
static void test_mix(void **state)
{
	static const struct {
		enum tp_protocol protocol;
		uint32_t layers[PACKET_LAYERS];
	} kinds[] = {
		{TP_TCP, {P_IP, P_TCP, P_DATA(1400)}},
		{TP_TCP, {P_VLAN, P_IP, P_TCP_OPTIONS(3), P_PAD(10)}},
		{TP_UDP, {P_PPPOE, P_IP, P_UDP, P_DATA(200)}},
		{TP_ICMP, {P_IP, P_ICMP, P_DATA(56)}},
		{TP_OTHER, {P_MPLS, P_IP, P_PROTO(50), P_DATA(80)}},
		{TP_UDP,
		 {P_IP, P_FRAGMENT(PACKET_MIDDLE), P_PROTO(17), P_DATA(800)}},
		{TP_TCP, {P_IP, P_PROTO(6), P_DATA(4)}},
	};
	static const struct {
		const char *host, *far;
		int who; /* 0: Alice, 1: Bob, 2: nobody */
	} hosts[] = {
		{"10.0.0.1", "192.0.2.1", 0},
		{"10.0.0.2", "192.0.2.1", 1},
		{"10.0.0.3", "192.0.2.1", 2},
		{"2001:db8:1::9", "2001:db8:ffff::1", 0},
		{"2001:db8:2::9", "2001:db8:ffff::1", 2},
	};
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};
	struct tp_counters want[3], totals[TP_WHOSE], got;
	size_t i, j, bytes;
	int round;

	(void)state;
	memset(want, 0, sizeof(want));
	memset(totals, 0, sizeof(totals));
	for (round = 0; round < 200; round++) {
		i = (size_t)(round * 7) % ARRAY_SIZE(kinds);
		j = (size_t)(round * 3) % ARRAY_SIZE(hosts);
		if (round % 3) {
			bytes = pass(hosts[j].far, hosts[j].host, LQOS_DOWN,
				     kinds[i].layers);
			add(&want[hosts[j].who], LQOS_DOWN, kinds[i].protocol,
			    bytes);
			add(&totals[hosts[j].who == 2], LQOS_DOWN,
			    kinds[i].protocol, bytes);
		} else {
			bytes = pass(hosts[j].host, hosts[j].far, LQOS_UP,
				     kinds[i].layers);
			add(&want[hosts[j].who], LQOS_UP, kinds[i].protocol,
			    bytes);
			add(&totals[hosts[j].who == 2], LQOS_UP,
			    kinds[i].protocol, bytes);
		}
		/* What has no address is not counted. */
		pass("10.0.0.1", "10.0.0.2", LQOS_DOWN, arp);
	}
	got = slot_counters(ALICE);
	assert_memory_equal(&got, &want[0], sizeof(got));
	got = slot_counters(BOB);
	assert_memory_equal(&got, &want[1], sizeof(got));
	got = total_counters(TP_SUBSCRIBERS);
	assert_memory_equal(&got, &totals[TP_SUBSCRIBERS], sizeof(got));
	got = total_counters(TP_UNKNOWN);
	assert_memory_equal(&got, &totals[TP_UNKNOWN], sizeof(got));

	/* All that the subscribers have is their total. */
	memset(want, 0, sizeof(want));
	got = slot_counters(0);
	assert_memory_equal(&got, &want[0], sizeof(got));
	got = slot_counters(ALICE + 1);
	assert_memory_equal(&got, &want[0], sizeof(got));
}

/* Without metadata the observe stage parses again; it takes the direction from
 * the interface, here not the internet's. */
static void test_no_metadata(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(100)};
	struct tp_counters got;
	size_t bytes;

	(void)state;
	bytes = pass("10.0.0.1", "192.0.2.1", LQOS_UP, layers);
	got = slot_counters(ALICE);
	assert_int_equal(got.half[LQOS_UP].bytes[TP_UDP], bytes);
	assert_int_equal(got.half[LQOS_UP].packets[TP_UDP], 1);
	assert_int_equal(datapath_counters(dp)->count[DP_PARSED_AGAIN], 1);
}

/* ---- Unknown hosts ------------------------------------------------------- */

/* The entry of an address in this CPU's sets; NULL: not there. */
static const struct tp_host *find_host(const char *text)
{
	static struct tp_set set;
	uint32_t per_cpu = tp->rodata->tp_sets, index;
	struct tp_host key = {.hi = ~0ULL};
	int i;

	if (strchr(text, ':'))
		assert_int_equal(inet_pton(AF_INET6, text, &key), 1);
	else
		assert_int_equal(inet_pton(AF_INET, text, &key.lo), 1);
	for (index = 0; index < per_cpu * dp->cpus; index++) {
		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(tp->maps.tp_hosts),
					    &index, &set),
			0);
		for (i = 0; i < TP_WAYS; i++) {
			if (set.host[i].hi != key.hi ||
			    set.host[i].lo != key.lo || !set.host[i].first_seen)
				continue;
			if (index / per_cpu != dp->cpu)
				fail_msg("%s is in another CPU's set", text);
			return &set.host[i];
		}
	}
	return NULL;
}

static uint64_t evicted(void)
{
	uint64_t n, sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < dp->cpus; cpu++) {
		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(tp->maps.tp_evicted),
					    &cpu, &n),
			0);
		if (n && cpu != dp->cpu)
			fail_msg("CPU %u has evicted hosts", cpu);
		sum += n;
	}
	return sum;
}

/* Let the coarse clock go on: a tick is 10 ms at most. */
static void wait_tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
}

static void check_host(const char *text, uint64_t down_bytes,
		       uint64_t down_packets, uint64_t up_bytes,
		       uint64_t up_packets)
{
	const struct tp_host *host = find_host(text);

	if (!host)
		fail_msg("%s is not there", text);
	assert_int_equal(host->bytes[LQOS_DOWN], down_bytes);
	assert_int_equal(host->packets[LQOS_DOWN], down_packets);
	assert_int_equal(host->bytes[LQOS_UP], up_bytes);
	assert_int_equal(host->packets[LQOS_UP], up_packets);
	assert_true(host->first_seen && host->last_seen >= host->first_seen);
}

static const uint32_t udp[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(58)};

static void test_hosts(void **state)
{
	const struct tp_host *host;
	struct timespec now;
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		pass("192.0.2.1", "10.9.9.1", LQOS_DOWN, udp);
	pass("10.9.9.1", "192.0.2.1", LQOS_UP, udp);
	pass("2001:db8:9::1", "2001:db8:ffff::1", LQOS_UP, udp);
	/* The far end is nobody's either, and not a host of ours. */
	assert_null(find_host("192.0.2.1"));
	assert_null(find_host("2001:db8:ffff::1"));
	check_host("10.9.9.1", 300, 3, 100, 1);
	check_host("2001:db8:9::1", 0, 0, 120, 1);
	/* Subscribers are none of these. */
	pass("10.0.0.1", "192.0.2.1", LQOS_UP, udp);
	assert_null(find_host("10.0.0.1"));
	assert_int_equal(evicted(), 0);

	clock_gettime(CLOCK_MONOTONIC, &now);
	host = find_host("10.9.9.1");
	assert_in_range((uint64_t)now.tv_sec * 1000000000 +
				(uint64_t)now.tv_nsec - host->last_seen,
			0, 5000000000ULL);
}

/* Behind tags, options and labels it is still the same host. */
static void test_hosts_behind(void **state)
{
	const uint32_t tags[PACKET_LAYERS] = {P_SVLAN, P_VLAN,	  P_PPPOE,
					      P_IP,    P_HOPOPTS, P_UDP};
	const uint32_t options[PACKET_LAYERS] = {P_MPLS, P_IP_OPTIONS(3),
						 P_UDP};
	size_t bytes;

	(void)state;
	bytes = pass("2001:db8:9::1", "2001:db8:ffff::1", LQOS_UP, tags);
	check_host("2001:db8:9::1", 0, 0, bytes, 1);
	bytes = pass("192.0.2.1", "10.9.9.1", LQOS_DOWN, options);
	check_host("10.9.9.1", bytes, 1, 0, 0);
}

static void test_eviction(void **state)
{
	struct tp_counters total;
	char host[32];
	int i;

	(void)state;
	for (i = 1; i <= TP_WAYS; i++) {
		snprintf(host, sizeof(host), "10.9.9.%d", i);
		pass("192.0.2.1", host, LQOS_DOWN, udp);
		wait_tick();
	}
	/* The first is seen again: the second is the oldest now. */
	pass("10.9.9.1", "192.0.2.1", LQOS_UP, udp);
	wait_tick();
	assert_int_equal(evicted(), 0);
	pass("192.0.2.1", "10.9.9.100", LQOS_DOWN, udp);
	wait_tick();
	assert_int_equal(evicted(), 1);
	assert_null(find_host("10.9.9.2"));
	check_host("10.9.9.1", 100, 1, 100, 1);
	check_host("10.9.9.3", 100, 1, 0, 0);
	check_host("10.9.9.100", 100, 1, 0, 0);
	/* It comes back with nothing of what it had, and the next one goes. */
	pass("10.9.9.2", "192.0.2.1", LQOS_UP, udp);
	assert_int_equal(evicted(), 2);
	check_host("10.9.9.2", 0, 0, 100, 1);
	assert_null(find_host("10.9.9.3"));
	/* In the totals nothing is lost. */
	total = total_counters(TP_UNKNOWN);
	assert_int_equal(total.half[LQOS_DOWN].packets[TP_UDP], TP_WAYS + 1);
	assert_int_equal(total.half[LQOS_UP].packets[TP_UDP], 2);
}

/* As long as there is room, hosts of the same end in many networks, and of many
 * ends in one, find it. */
static void test_hosts_spread(void **state)
{
	enum { HOSTS = 64 }; /* for 64 sets of TP_WAYS */
	char host[64];
	int i;

	(void)state;
	for (i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof(host), "2001:db8:9:%x::1", i);
		pass("2001:db8:ffff::1", host, LQOS_DOWN, udp);
	}
	assert_in_range(evicted(), 0, HOSTS / 16);
	for (i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof(host), "10.%d.9.9", i);
		pass("192.0.2.1", host, LQOS_DOWN, udp);
	}
	assert_in_range(evicted(), 0, HOSTS / 4);
}

/* ---- What leaves by the one interface ------------------------------------ */

static void send_tc(const uint32_t *layers, uint32_t segs, uint32_t size)
{
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(&p, &ends, layers);
	assert_int_equal(run_tc_gso(dp->skel->progs.lq_to_inet, p.data, p.len,
				    segs, size, &out),
			 0);
	assert_int_equal(out.verdict, (uint32_t)TC_ACT_UNSPEC);
	assert_memory_equal(out.frame, p.data, p.len);
}

static void test_one_interface(void **state)
{
	const uint32_t tcp[PACKET_LAYERS] = {P_VLAN, P_IP, P_TCP_OPTIONS(3),
					     P_DATA(1500)};
	const uint32_t datagrams[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(1200)};
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};
	struct tp_counters got;

	(void)state;
	assert_int_equal(datapath_chain(dp, "lqos_egress", 0,
					dp->skel->progs.lq_observe_tc),
			 0);
	assert_int_equal(
		datapath_chain(dp, "lqos_observe_tc", 0, tp->progs.tp_count_tc),
		0);
	send_tc(udp, 0, 0);
	send_tc(udp, 1, 58);
	got = slot_counters(ALICE);
	assert_int_equal(got.half[LQOS_UP].bytes[TP_UDP], 200);
	assert_int_equal(got.half[LQOS_UP].packets[TP_UDP], 2);
	/* A super-segment counts as what the wire will carry: all of the
	 * headers (14 + 4 + 20 + 32) with each of its 15. */
	send_tc(tcp, 15, 100);
	got = slot_counters(ALICE);
	assert_int_equal(got.half[LQOS_UP].packets[TP_TCP], 15);
	assert_int_equal(got.half[LQOS_UP].bytes[TP_TCP], 15 * (70 + 100));
	send_tc(datagrams, 3, 400);
	got = slot_counters(ALICE);
	assert_int_equal(got.half[LQOS_UP].packets[TP_UDP], 5);
	assert_int_equal(got.half[LQOS_UP].bytes[TP_UDP], 200 + 3 * (42 + 400));
	send_tc(arp, 0, 0);
	assert_int_equal(datapath_counters(dp)->count[DP_OBSERVED], 5);
	got = total_counters(TP_SUBSCRIBERS);
	assert_int_equal(got.half[LQOS_UP].packets[TP_TCP], 15);
	assert_int_equal(dp->seen[ALICE], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mix, load_alone, unload),
		{"test_mix, shared", test_mix, load_shared, unload, NULL},
		cmocka_unit_test_setup_teardown(test_no_metadata,
						load_no_metadata, unload),
		cmocka_unit_test_setup_teardown(test_hosts, load_alone, unload),
		cmocka_unit_test_setup_teardown(test_hosts_behind, load_alone,
						unload),
		cmocka_unit_test_setup_teardown(test_eviction, load_one_set,
						unload),
		cmocka_unit_test_setup_teardown(test_hosts_spread, load_alone,
						unload),
		cmocka_unit_test_setup_teardown(test_one_interface,
						load_one_interface, unload),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("throughput", tests, NULL,
						  NULL);
}
