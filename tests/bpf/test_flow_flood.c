/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Floods against the table of flows, and CPUs that get into each other's way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "tests/bpf/flood.h"
#include "tests/bpf/flowtable.h"

#include "bpf/datapath.skel.h"
#include "tests/bpf/flood.skel.h"

enum { ALICE = 5, TALKERS = 1000, MILLION = 1000000 };

static struct datapath *dp;
static struct flood_bpf *flood;

static int load(uint32_t flows, uint32_t buckets)
{
	const struct datapath_knobs knobs = {
		.flows = flows, .buckets = buckets, .seed = 0xf100dULL << 30};
	uint32_t down = 0, up = 1;
	int rc = datapath_new(&dp, &knobs)
			 ?: conn_wire(dp, NULL)
			 ?: datapath_own(dp, "10.0.0.1/32", ALICE, 0, 0);
	int inet, subs;

	if (rc)
		return rc;
	flood = flood_bpf__open_and_load();
	if (!flood)
		return -1;
	inet = bpf_program__fd(dp->skel->progs.lq_from_inet);
	subs = bpf_program__fd(dp->skel->progs.lq_from_subs);
	rc = bpf_map_update_elem(bpf_map__fd(flood->maps.flood_targets), &down,
				 &inet, 0);
	return rc
		       ?: bpf_map_update_elem(
				  bpf_map__fd(flood->maps.flood_targets), &up,
				  &subs, 0);
}

static int load_4096(void **state)
{
	(void)state;
	return load(4096, 0);
}

static int load_tiny(void **state)
{
	(void)state;
	return load(256, 8);
}

static int load_loose(void **state)
{
	(void)state;
	return load(256, 0);
}

static int unload(void **state)
{
	(void)state;
	flood_bpf__destroy(flood);
	flood = NULL;
	datapath_free(&dp);
	return 0;
}

/* ---- Talkers ------------------------------------------------------------- */

static struct conn talker(uint32_t i)
{
	return (struct conn){.subs = "10.0.0.1",
			     .remote = "192.0.2.1",
			     .subs_port = (uint16_t)(50000 + i),
			     .remote_port = 443};
}

static struct lqos_packet talk(uint32_t i, enum lqos_direction way)
{
	struct conn c = talker(i);

	return conn_pass(dp, &c, &(struct sent){.way = way, .flags = ACK});
}

static struct lqos_packet known[TALKERS];

static void all_begin(void)
{
	uint32_t i;

	for (i = 0; i < TALKERS; i++) {
		known[i] = talk(i, LQOS_UP);
		assert_int_not_equal(known[i].flow, 0);
		talk(i, LQOS_DOWN);
	}
}

/* All of them are what they were. */
static void all_talk(enum lqos_direction way)
{
	struct lqos_packet pkt;
	uint32_t i;

	for (i = 0; i < TALKERS; i++) {
		pkt = talk(i, way);
		assert_int_equal(pkt.flow, known[i].flow);
		assert_int_equal(pkt.generation, known[i].generation);
	}
}

/* ---- Floods -------------------------------------------------------------- */

static int run_flood(const struct bpf_program *prog, uint8_t proto,
		     enum lqos_direction way, uint8_t flags, uint32_t times)
{
	struct conn c = talker(0);
	struct packet p;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.data,
		    .repeat = (int)times);

	c.proto = proto;
	conn_frame(&c, &(struct sent){.way = way, .flags = flags, .len = 26},
		   &p);
	opts.data_size_in = (uint32_t)p.len;
	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts)
		       ?: opts.retval != XDP_PASS;
}

static void test_syns(void **state)
{
	enum { CHUNK = 50000 };
	uint32_t i, n;

	(void)state;
	all_begin();
	n = table_check(dp);
	for (i = 0; i < MILLION / CHUNK; i++) {
		assert_int_equal(run_flood(flood->progs.flood_down, CONN_TCP,
					   LQOS_DOWN, SYN, CHUNK),
				 0);
		all_talk(i % 2 ? LQOS_UP : LQOS_DOWN);
	}
	assert_int_equal(flood->bss->flood_runs, MILLION);
	assert_int_equal(datapath_counters(dp)->count[DP_OBSERVED],
			 MILLION + TALKERS * (2 + MILLION / CHUNK));
	assert_int_equal(table_count(dp, DP_FLOW_OPENED), TALKERS);
	assert_int_equal(table_check(dp), n);
}

static void test_datagrams(void **state)
{
	enum { CHUNK = 20000 };
	uint32_t i;

	(void)state;
	all_begin();
	for (i = 0; i < MILLION / CHUNK; i++) {
		assert_int_equal(run_flood(flood->progs.flood_down, CONN_UDP,
					   LQOS_DOWN, 0, CHUNK),
				 0);
		all_talk(i % 2 ? LQOS_UP : LQOS_DOWN);
	}
	/* The flood was one: hardly any is twice the same. */
	assert_in_range(table_count(dp, DP_FLOW_OPENED), MILLION * 0.99,
			MILLION + TALKERS);
	assert_int_equal(table_count(dp, DP_FLOW_BUSY), 0);
	assert_int_equal(table_check(dp), 4096);
}

/* ---- Two CPUs ------------------------------------------------------------ */

struct hammer {
	uint32_t cpu;
	const struct bpf_program *prog;
	enum lqos_direction way;
	int rc;
};

static int done;

static void *swing(void *arg)
{
	struct hammer *h = arg;
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	CPU_SET(h->cpu, &set);
	h->rc = sched_setaffinity(0, sizeof(set), &set);
	for (i = 0; !h->rc && i < 15; i++)
		h->rc = run_flood(h->prog, CONN_TCP, h->way, ACK, 5000);
	__atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Two of the CPUs; false: there is but one. */
static bool two_cpus(uint32_t out[2])
{
	uint32_t n = 0, i;
	cpu_set_t set;

	/* This thread stays on one; the process may use more. */
	CPU_ZERO(&set);
	for (i = 0; i < dp->cpus && i < CPU_SETSIZE; i++)
		CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    sched_getaffinity(0, sizeof(set), &set))
		return false;
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			out[n++] = i;
	CPU_ZERO(&set);
	CPU_SET(dp->cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set) && n == 2;
}

static void hammer(uint32_t flows)
{
	/* Mostly data, and all that begins and ends. */
	static const uint8_t turns[16] = {
		ACK, ACK, SYN,	     ACK, ACK, FIN | ACK, ACK, SYN,
		ACK, ACK, SYN | ACK, ACK, RST, ACK,	  ACK, FIN | ACK,
	};
	struct hammer h[2] = {
		{.prog = flood->progs.flood_down, .way = LQOS_DOWN},
		{.prog = flood->progs.flood_up, .way = LQOS_UP}};
	uint32_t cpus[2], i;
	pthread_t thread[2];

	if (!two_cpus(cpus))
		skip();
	flood->bss->flood_knobs.flows = flows;
	flood->bss->flood_knobs.turns = 1;
	for (i = 0; i < 16; i++)
		flood->bss->flood_knobs.turn[i] = turns[i];
	dp->skel->bss->dp_flow_watched = 1;
	done = 0;
	for (i = 0; i < 2; i++) {
		h[i].cpu = cpus[i];
		assert_int_equal(pthread_create(&thread[i], NULL, swing, &h[i]),
				 0);
	}
	/* Meanwhile Alice comes and goes. */
	while (__atomic_load_n(&done, __ATOMIC_RELAXED) < 2) {
		assert_int_equal(datapath_disown(dp, "10.0.0.1/32"), 0);
		usleep(1000);
		assert_int_equal(datapath_own(dp, "10.0.0.1/32", ALICE, 0, 0),
				 0);
		usleep(1000);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(h[i].rc, 0);
	}
}

/* A frame of the flow in a slot is found there. */
static void check_found(void)
{
	struct lqos_packet pkt;
	struct packet p;
	uint32_t i;

	for (i = 1; i <= dp->knobs.flows; i++) {
		struct conn c = talker(0);
		const struct lqos_flow_key *key = &datapath_flow(dp, i)->key;
		uint8_t *ip = p.data + 14;

		if (!datapath_flow(dp, i)->used)
			continue;
		conn_frame(&c, &(struct sent){.way = LQOS_DOWN, .flags = ACK},
			   &p);
		memcpy(ip + 12, &key->remote_lo, 4);
		memcpy(ip + 16, &key->subs_lo, 4);
		memcpy(ip + 20, &key->remote_port, 2);
		memcpy(ip + 22, &key->subs_port, 2);
		pkt = conn_pass_frame(dp, LQOS_DOWN, &p, 0);
		assert_int_equal(pkt.flow, i);
		assert_int_equal(pkt.generation,
				 datapath_flow(dp, i)->generation);
	}
}

static void test_two_cpus(void **state)
{
	uint64_t opened;

	(void)state;
	hammer(150);
	table_check(dp);
	opened = table_count(dp, DP_FLOW_OPENED);
	check_found();
	assert_int_equal(table_count(dp, DP_FLOW_OPENED), opened);
	table_check(dp);
	print_message("# %llu opened, %llu restarted, %llu evicted, %llu "
		      "collisions, %llu busy\n",
		      (unsigned long long)opened,
		      (unsigned long long)table_count(dp, DP_FLOW_RESTARTED),
		      (unsigned long long)table_count(dp, DP_FLOW_EVICTED),
		      (unsigned long long)table_count(dp, DP_FLOW_COLLISION),
		      (unsigned long long)table_count(dp, DP_FLOW_BUSY));
}

/* More than there is room for. */
static void test_two_cpus_full(void **state)
{
	(void)state;
	hammer(1500);
	table_check(dp);
	check_found();
	table_check(dp);
	print_message("# %llu opened, %llu evicted, %llu busy\n",
		      (unsigned long long)table_count(dp, DP_FLOW_OPENED),
		      (unsigned long long)table_count(dp, DP_FLOW_EVICTED),
		      (unsigned long long)table_count(dp, DP_FLOW_BUSY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_syns, load_4096, unload),
		cmocka_unit_test_setup_teardown(test_datagrams, load_4096,
						unload),
		cmocka_unit_test_setup_teardown(test_two_cpus, load_loose,
						unload),
		cmocka_unit_test_setup_teardown(test_two_cpus_full, load_tiny,
						unload),
		{"test_two_cpus_full, loose", test_two_cpus_full, load_loose,
		 unload, NULL},
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("flow_flood", tests, NULL,
						  NULL);
}
