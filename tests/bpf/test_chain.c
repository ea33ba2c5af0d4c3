/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs come into their chain and leave it, while packets pass. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_setaffinity_np() */
#endif
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "tests/bpf/datapath.h"
#include "tests/bpf/probe.h"

#include "bpf/datapath.skel.h"
#include "tests/bpf/probe.skel.h"

enum { PROBES = 6, LAST = PROBES - 1, TAIL = PROBES, SLOTS = 32 };

static struct datapath *dp;
static struct probe_bpf *probes[PROBES + 1]; /* by index; none at 0 */
static struct probe_bpf *other; /* in the place of 2; notes apart */
static struct chain chain;
static char said[256];

/* chain.c is tested alone, without the rest of the core. */
int core_fail(const char *who, int rc, const char *fmt, ...)
{
	va_list ap;

	(void)who;
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- Set-up -------------------------------------------------------------- */

static int load_probe(struct probe_bpf **out, uint32_t index, bool apart)
{
	struct probe_bpf *probe = probe_bpf__open();
	int rc = 0;

	if (!probe)
		return -1;
	*out = probe;
	probe->rodata->lqos_self = index;
	if (!apart)
		rc = bpf_map__reuse_fd(
			probe->maps.probe_views,
			bpf_map__fd(probes[1]->maps.probe_views));
	return rc ?: datapath_bind(dp, probe->obj) ?: probe_bpf__load(probe);
}

static int load(void **state)
{
	const struct datapath_knobs knobs = {.one_interface = true};
	uint32_t i;
	int rc;

	(void)state;
	rc = datapath_new(&dp, &knobs);
	for (i = 1; !rc && i <= PROBES; i++)
		rc = load_probe(&probes[i], i, i == 1);
	if (!rc)
		rc = load_probe(&other, 2, true);
	chain = (struct chain){.tail_fd = -1};
	if (!rc)
		chain.map_fd = bpf_map__fd(dp->skel->maps.lqos_ingress);
	return rc;
}

static int unload(void **state)
{
	int i;

	(void)state;
	chain_forget(&chain);
	for (i = 1; i <= PROBES; i++) {
		probe_bpf__destroy(probes[i]);
		probes[i] = NULL;
	}
	probe_bpf__destroy(other);
	other = NULL;
	datapath_free(&dp);
	return 0;
}

/* ---- What packets see ---------------------------------------------------- */

static struct probe_view view_of(const struct probe_bpf *probe)
{
	struct probe_view v;
	uint32_t zero = 0;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(probe->maps.probe_views), &zero,
				    &v),
		0);
	return v;
}

static struct probe_view view(void)
{
	return view_of(probes[1]);
}

static void forget(void)
{
	static const struct probe_view nothing;
	uint32_t zero = 0;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(probes[1]->maps.probe_views),
				    &zero, &nothing, 0),
		0);
}

/* A packet meets these modules in this order: "1 2 5". */
static void check_order(const struct bpf_program *entry, bool xdp,
			const char *want)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(10)};
	char got[64] = "";
	struct packet_ends ends;
	struct outcome out;
	struct packet p;
	uint64_t trail;
	int shift;

	forget();
	packet_ends_set(&ends, "192.0.2.1", "10.0.0.1");
	packet_build(&p, &ends, layers);
	if (xdp) {
		assert_int_equal(run_xdp(entry, p.data, p.len, NULL, &out), 0);
		assert_int_equal(out.verdict, XDP_PASS);
	} else {
		assert_int_equal(run_tc(entry, p.data, p.len, &out), 0);
		assert_int_equal(out.verdict, UINT32_MAX); /* TC_ACT_UNSPEC */
	}
	assert_int_equal(out.len, p.len);
	assert_memory_equal(out.frame, p.data, p.len);
	trail = view().trail;
	for (shift = 60; shift >= 0; shift -= PROBE_TRAIL_BITS)
		if (trail >> shift)
			snprintf(got + strlen(got), sizeof(got) - strlen(got),
				 "%s%u", got[0] ? " " : "",
				 (unsigned int)(trail >> shift & 31));
	assert_string_equal(got, want);
}

static void check_ingress(const char *want)
{
	check_order(dp->skel->progs.lq_from_inet, true, want);
}

static int insert(uint32_t index, const struct bpf_program *prog, bool last)
{
	static const char *const names[] = {"",	    "one",  "two", "three",
					    "four", "five", "six"};
	struct chain_link link = {
		.module = names[index],
		.program = bpf_program__name(prog),
		.index = index,
		.prog_fd = bpf_program__fd(prog),
		.last = last,
	};

	return chain_insert(&chain, &link);
}

static void put(uint32_t index)
{
	assert_int_equal(insert(index, probes[index]->progs.probe_in, false),
			 0);
}

static void put_last(uint32_t index)
{
	assert_int_equal(insert(index, probes[index]->progs.probe_last, true),
			 0);
}

/* ---- Tests --------------------------------------------------------------- */

static void test_order(void **state)
{
	(void)state;
	check_ingress("");
	put(1);
	check_ingress("1");
	put(2);
	put(3);
	put(4);
	check_ingress("1 2 3 4");
	chain_remove(&chain, 2);
	check_ingress("1 3 4");
	put(2);
	check_ingress("1 3 4 2");
	chain_remove(&chain, 1);
	check_ingress("3 4 2");
	chain_remove(&chain, 2);
	check_ingress("3 4");
	chain_remove(&chain, 2); /* is not in it */
	check_ingress("3 4");
	put(1);
	check_ingress("3 4 1");
	chain_remove(&chain, 3);
	chain_remove(&chain, 4);
	chain_remove(&chain, 1);
	check_ingress("");
	assert_int_equal(chain.n, 0);
	put(4);
	check_ingress("4");
}

static void test_last(void **state)
{
	(void)state;
	put_last(LAST);
	check_ingress("5");
	put(1);
	check_ingress("1 5");
	put(2);
	check_ingress("1 2 5");
	chain_remove(&chain, 1);
	put(3);
	put(1);
	check_ingress("2 3 1 5");
	chain_remove(&chain, LAST);
	check_ingress("2 3 1");
	put(4);
	put_last(LAST);
	check_ingress("2 3 1 4 5");
}

static void test_second_last(void **state)
{
	(void)state;
	put(1);
	put_last(LAST);
	assert_int_equal(insert(2, probes[2]->progs.probe_last, true), -EEXIST);
	assert_non_null(strstr(said, "probe_last of module five"));
	check_ingress("1 5");
	assert_int_equal(chain.n, 2);
	chain_remove(&chain, LAST);
	put_last(2);
	check_ingress("1 2");
}

/* The stage that hangs behind this one. */
static void test_tail(void **state)
{
	(void)state;
	chain.tail_fd = bpf_program__fd(probes[TAIL]->progs.probe_in);
	assert_int_equal(datapath_chain(dp, "lqos_ingress", 0,
					probes[TAIL]->progs.probe_in),
			 0);
	check_ingress("6");
	put(1);
	check_ingress("1 6");
	put_last(LAST);
	put(2);
	check_ingress("1 2 5 6");
	chain_remove(&chain, LAST);
	check_ingress("1 2 6");
	chain_remove(&chain, 1);
	chain_remove(&chain, 2);
	check_ingress("6");
}

static void test_refused(void **state)
{
	struct chain_link link = {.module = "many", .program = "probe_in"};
	uint32_t i;

	(void)state;
	/* A program that is none: the chain stays as it was. */
	put(1);
	put_last(LAST);
	link.index = 2;
	link.prog_fd = dp->cpumap_fd;
	assert_int_not_equal(chain_insert(&chain, &link), 0);
	assert_non_null(strstr(said, "probe_in of module many"));
	check_ingress("1 5");
	/* An index that no module has. */
	link.index = LAST + 1000;
	link.prog_fd = bpf_program__fd(probes[2]->progs.probe_in);
	assert_int_not_equal(chain_insert(&chain, &link), 0);
	check_ingress("1 5");
	/* All that fit, and one more. */
	for (i = 2; i < SLOTS; i++) {
		link.index = i;
		if (i != LAST)
			assert_int_equal(chain_insert(&chain, &link), 0);
	}
	/* A module has one program a stage. */
	assert_int_equal(chain_insert(&chain, &link), -EEXIST);
	link.index = SLOTS + 1;
	assert_int_equal(chain_insert(&chain, &link), -E2BIG);
}

static void test_other_stages(void **state)
{
	uint32_t i;

	(void)state;
	chain.map_fd = bpf_map__fd(dp->skel->maps.lqos_observe);
	for (i = 1; i < 4; i++)
		assert_int_equal(insert(i, probes[i]->progs.probe_see, false),
				 0);
	chain_remove(&chain, 1);
	check_order(dp->skel->progs.lq_observe, true, "2 3");

	chain = (struct chain){.tail_fd = -1};
	chain.map_fd = bpf_map__fd(dp->skel->maps.lqos_egress);
	for (i = 1; i < 4; i++)
		assert_int_equal(insert(i, probes[i]->progs.probe_out, false),
				 0);
	chain_remove(&chain, 3);
	check_order(dp->skel->progs.lq_to_inet, false, "1 2");

	chain = (struct chain){.tail_fd = -1};
	chain.map_fd = bpf_map__fd(dp->skel->maps.lqos_observe_tc);
	for (i = 1; i < 4; i++)
		assert_int_equal(
			insert(i, probes[i]->progs.probe_see_tc, false), 0);
	chain_remove(&chain, 2);
	assert_int_equal(datapath_chain(dp, "lqos_egress", 2,
					dp->skel->progs.lq_observe_tc),
			 0);
	check_order(dp->skel->progs.lq_to_inet, false, "1 2 1 3");
}

/* The caller's, of another program than that of module 2. */
static struct chain_graft *make_graft(int fd)
{
	struct chain_graft *graft = calloc(1, sizeof(*graft));

	assert_non_null(graft);
	graft->prog_fd = dup(fd);
	assert_true(graft->prog_fd >= 0);
	return graft;
}

static struct chain_graft *graft_other(void)
{
	return make_graft(bpf_program__fd(other->progs.probe_in));
}

/* Packets have met the program in the place of 2 so often. */
static void check_other(uint64_t runs)
{
	assert_int_equal(view_of(other).runs[2], runs);
}

static void test_swap(void **state)
{
	struct chain_graft *graft = graft_other(), *first = graft;

	(void)state;
	put(1);
	put(2);
	put(3);
	assert_int_equal(chain_swap(&chain, 2, &graft), 0);
	assert_null(graft); /* what ran there was its own */
	assert_ptr_equal(chain_find(&chain, 2)->graft, first);
	check_ingress("1 3");
	check_other(1);
	/* Whoever comes and goes beside it finds what runs, not what was. */
	chain_remove(&chain, 1);
	check_ingress("3");
	check_other(2);
	chain_remove(&chain, 3);
	put(4);
	check_ingress("4");
	check_other(3);
	/* Another graft, and back to the first. */
	graft = make_graft(bpf_program__fd(probes[2]->progs.probe_in));
	assert_int_equal(chain_swap(&chain, 2, &graft), 0);
	assert_ptr_equal(graft, first);
	check_ingress("2 4");
	check_other(3);
	assert_int_equal(chain_swap(&chain, 2, &graft), 0);
	assert_ptr_equal(chain_find(&chain, 2)->graft, first);
	chain_graft_free(&graft);
	check_ingress("4");
	check_other(4);
	/* And its own. */
	assert_int_equal(chain_swap(&chain, 2, &graft), 0);
	assert_null(chain_find(&chain, 2)->graft);
	check_ingress("2 4");
	check_other(4);
	/* With it goes its graft, which is closed. */
	assert_int_equal(chain_swap(&chain, 2, &graft), 0);
	check_ingress("4");
	chain_remove(&chain, 2);
	check_ingress("4");
	check_other(5);
}

static void test_swap_refused(void **state)
{
	struct chain_graft *graft = make_graft(dp->cpumap_fd), *same = graft;

	(void)state;
	put(1);
	put(2);
	assert_int_equal(chain_swap(&chain, 3, &graft), -ENOENT);
	assert_ptr_equal(graft, same);
	/* No program; and one of another type. */
	assert_true(chain_swap(&chain, 2, &graft) < 0);
	assert_ptr_equal(graft, same);
	check_ingress("1 2");
	chain_graft_free(&graft);
	graft = make_graft(bpf_program__fd(other->progs.probe_out));
	assert_true(chain_swap(&chain, 2, &graft) < 0);
	assert_null(chain_find(&chain, 2)->graft);
	check_ingress("1 2");
	chain_graft_free(&graft);
	chain_graft_free(&graft);
	assert_null(chain_find(&chain, 3));
}

static void test_sections(void **state)
{
	bool last;

	(void)state;
	assert_int_equal(stage_of_section("lqos/ingress", &last),
			 STAGE_INGRESS);
	assert_false(last);
	assert_int_equal(stage_of_section("lqos/ingress_last", &last),
			 STAGE_INGRESS);
	assert_true(last);
	assert_int_equal(stage_of_section("lqos/observe_tc", &last),
			 STAGE_OBSERVE_TC);
	assert_false(last);
	assert_int_equal(stage_of_section("lqos/", &last), STAGES);
	assert_int_equal(stage_of_section("xdp", &last), STAGES);
	assert_int_equal(stage_of_section("observe", &last), STAGES);
}

/* ---- Under traffic ------------------------------------------------------- */

struct traffic {
	const struct bpf_program *entry;
	struct packet p;
	atomic_bool done;
	atomic_ulong packets;
	atomic_int rc;
};

/* A call costs 30 ms where it repeats at all; hence many. */
enum { REPEAT = 200000, ROUNDS = 200, PACKETS = 10 * REPEAT };

static void *run_traffic(void *arg)
{
	struct traffic *t = arg;
	uint8_t data[PACKET_MAX + 256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->p.data,
		    .data_size_in = (uint32_t)t->p.len, .repeat = REPEAT);
	cpu_set_t all;
	int i;

	/* Elsewhere than the thread that changes the chain. */
	CPU_ZERO(&all);
	for (i = 0; i < CPU_SETSIZE; i++)
		if ((uint32_t)i != dp->cpu)
			CPU_SET(i, &all);
	pthread_setaffinity_np(pthread_self(), sizeof(all), &all);
	while (!t->rc && !atomic_load(&t->done)) {
		/* Set by each call to what it had to say. */
		opts.data_out = data;
		opts.data_size_out = sizeof(data);
		t->rc = bpf_prog_test_run_opts(bpf_program__fd(t->entry),
					       &opts);
		t->packets += REPEAT;
	}
	return NULL;
}

static int come_and_go(void)
{
	int rc;

	rc = insert(2, probes[2]->progs.probe_in, false)
		     ?: insert(3, probes[3]->progs.probe_in, false);
	chain_remove(&chain, 2);
	rc = rc ?: insert(4, probes[4]->progs.probe_in, false)
		?: insert(2, probes[2]->progs.probe_in, false);
	chain_remove(&chain, 3);
	chain_remove(&chain, 2);
	chain_remove(&chain, 4);
	return rc;
}

/* Modules come and go between the first and the last; every packet meets these
 * two. */
static void test_traffic(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(10)};
	struct traffic t = {.entry = dp->skel->progs.lq_from_inet};
	struct packet_ends ends;
	struct probe_view seen;
	pthread_t thread;
	int i, rc = 0;

	(void)state;
	packet_ends_set(&ends, "192.0.2.1", "10.0.0.1");
	packet_build(&t.p, &ends, layers);
	put(1);
	put_last(LAST);
	assert_int_equal(pthread_create(&thread, NULL, run_traffic, &t), 0);
	for (i = 0; !rc && !t.rc && (i < ROUNDS || t.packets < PACKETS); i++)
		rc = come_and_go();
	atomic_store(&t.done, true);
	pthread_join(thread, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(t.rc, 0);
	seen = view();
	print_message("# %d rounds, %lu packets\n", i, t.packets);
	assert_int_equal(seen.runs[1], t.packets);
	assert_int_equal(seen.runs[LAST], t.packets);
	assert_true(seen.runs[2] && seen.runs[2] < t.packets);
	assert_true(seen.runs[3] && seen.runs[3] < t.packets);
	assert_true(seen.runs[4] && seen.runs[4] < t.packets);
	check_ingress("1 5");
}

/* Every packet meets one of both, and whatever is behind. */
static void test_swap_traffic(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(10)};
	struct traffic t = {.entry = dp->skel->progs.lq_from_inet};
	struct chain_graft *graft = graft_other();
	struct packet_ends ends;
	struct probe_view seen;
	uint64_t others;
	pthread_t thread;
	int i, rc = 0;

	(void)state;
	packet_ends_set(&ends, "192.0.2.1", "10.0.0.1");
	packet_build(&t.p, &ends, layers);
	put(1);
	put(2);
	put_last(LAST);
	assert_int_equal(pthread_create(&thread, NULL, run_traffic, &t), 0);
	for (i = 0; !rc && !t.rc && (i < ROUNDS || t.packets < PACKETS); i++)
		rc = chain_swap(&chain, 2, &graft);
	atomic_store(&t.done, true);
	pthread_join(thread, NULL);
	chain_graft_free(&graft);
	assert_int_equal(rc, 0);
	assert_int_equal(t.rc, 0);
	seen = view();
	others = view_of(other).runs[2];
	print_message("# %d swaps, %lu packets\n", i, t.packets);
	assert_int_equal(seen.runs[1], t.packets);
	assert_int_equal(seen.runs[LAST], t.packets);
	assert_int_equal(seen.runs[2] + others, t.packets);
	assert_true(seen.runs[2] && others);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, load, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),	 TEST(test_last),
		TEST(test_second_last),	 TEST(test_tail),
		TEST(test_refused),	 TEST(test_other_stages),
		TEST(test_swap),	 TEST(test_swap_refused),
		TEST(test_sections),	 TEST(test_traffic),
		TEST(test_swap_traffic),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
