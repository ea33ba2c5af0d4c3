/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every program with every setting of the switches that the verifier sees as
 * constants: what it takes out in one it has to follow in another.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "bpf/steering.h"
#include "tests/bpf/datapath.h"

#include "bpf/capture.h"
#include "bpf/capture.skel.h"
#include "bpf/datapath.skel.h"
#include "bpf/flow.skel.h"
#include "bpf/pping.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "bpf/xsk.h"
#include "bpf/xsk.skel.h"
#include "tests/bpf/probe.skel.h"

/* What the kernel was asked for, for a message. */
static char settings[128];

/* Notes what each program of obj cost the verifier; returns how many there
 * are. */
static int note_programs(const struct bpf_object *obj)
{
	struct bpf_program *prog;
	int n = 0;

	bpf_object__for_each_program(prog, obj) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (!bpf_program__autoload(prog))
			continue;
		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(prog),
							&info, &len),
				 0);
		assert_true(info.verified_insns);
		print_message("# %-16s %6u verified, %5u translated, %5u bytes "
			      "of machine code (%s)\n",
			      bpf_program__name(prog), info.verified_insns,
			      info.xlated_prog_len / 8, info.jited_prog_len,
			      settings);
		n++;
	}
	return n;
}

enum { PARTS = 128, PART = sizeof(struct lqos_flow) };

static struct datapath *load_stick(bool no_metadata, bool spaces, bool cpumap)
{
	const struct datapath_knobs knobs = {
		.no_metadata = no_metadata,
		.stick = true,
		.address_spaces = spaces,
		.cpumap = cpumap,
	};
	struct datapath *dp = NULL;
	int rc;

	snprintf(settings, sizeof(settings),
		 "metadata %d, on a stick, address spaces %d, %s", !no_metadata,
		 spaces, cpumap ? "XDP_CPUMAP" : "XDP");
	rc = datapath_new(&dp, &knobs);
	if (rc)
		fail_msg("%s: %s", settings, strerror(-rc));
	return dp;
}

static struct datapath *load_datapath(bool no_metadata, bool one_interface,
				      bool cpumap)
{
	const struct datapath_knobs knobs = {
		.no_metadata = no_metadata,
		.one_interface = one_interface,
		.cpumap = cpumap,
		.address_spaces = cpumap,
		.inet_ifindex = no_metadata ? LOOPBACK_IFINDEX : 0,
		.flows = one_interface == cpumap ? 1024 : 0,
		.parts = PARTS,
	};
	struct datapath *dp = NULL;
	int rc;

	snprintf(settings, sizeof(settings), "metadata %d, %d interface%s, %s",
		 !no_metadata, one_interface ? 1 : 2, one_interface ? "" : "s",
		 cpumap ? "XDP_CPUMAP" : "XDP");
	rc = datapath_new(&dp, &knobs);
	if (rc)
		fail_msg("%s: %s", settings, strerror(-rc));
	return dp;
}

static void test_datapath(void **state)
{
	struct datapath *dp;
	int knobs;

	(void)state;
	for (knobs = 0; knobs < 8; knobs++) {
		dp = load_datapath(knobs & 1, knobs & 2, knobs & 4);
		assert_true(note_programs(dp->skel->obj));
		datapath_free(&dp);
		dp = load_stick(knobs & 1, knobs & 2, knobs & 4);
		assert_true(note_programs(dp->skel->obj));
		datapath_free(&dp);
	}
}

static void test_throughput(void **state)
{
	struct throughput_bpf *tp;
	struct datapath *dp;
	int knobs, rc;

	(void)state;
	for (knobs = 0; knobs < 8; knobs++) {
		dp = load_datapath(false, knobs & 1, knobs & 2);
		tp = throughput_bpf__open();
		assert_non_null(tp);
		tp->rodata->lqos_self = 1;
		tp->rodata->lqos_shared = knobs >> 2;
		tp->rodata->tp_sets = 256;
		snprintf(settings + strlen(settings),
			 sizeof(settings) - strlen(settings), ", shared %d",
			 knobs >> 2);
		rc = datapath_bind(dp, tp->obj) ?: throughput_bpf__load(tp);
		if (rc)
			fail_msg("%s: %s", settings, strerror(-rc));
		assert_true(note_programs(tp->obj));
		throughput_bpf__destroy(tp);
		datapath_free(&dp);
	}
}

static void test_xsk(void **state)
{
	struct datapath *dp = load_datapath(false, false, false);
	struct xsk_bpf *xk = xsk_bpf__open();
	int rc;

	(void)state;
	assert_non_null(xk);
	xk->rodata->lqos_self = 1;
	xk->rodata->xk_mtu = 1792;
	rc = datapath_bind(dp, xk->obj) ?: xsk_bpf__load(xk);
	if (rc)
		fail_msg("%s: %s", settings, strerror(-rc));
	assert_int_equal(note_programs(xk->obj), 1);
	xsk_bpf__destroy(xk);
	datapath_free(&dp);
}

static void test_flow(void **state)
{
	struct flow_bpf *fl;
	struct datapath *dp;
	int knobs, rc;

	(void)state;
	for (knobs = 0; knobs < 8; knobs++) {
		dp = load_datapath(false, knobs & 1, knobs & 2);
		fl = flow_bpf__open();
		assert_non_null(fl);
		fl->rodata->lqos_self = 1;
		fl->rodata->lqos_flow_part = PART;
		fl->rodata->lqos_shared = knobs >> 2;
		snprintf(settings + strlen(settings),
			 sizeof(settings) - strlen(settings), ", shared %d",
			 knobs >> 2);
		rc = datapath_bind(dp, fl->obj) ?: flow_bpf__load(fl);
		if (rc)
			fail_msg("%s: %s", settings, strerror(-rc));
		assert_true(note_programs(fl->obj));
		flow_bpf__destroy(fl);
		datapath_free(&dp);
	}
}

/* What is off, a bit each: TCP, ICMP, DNS, QUIC, inexact samples. */
enum { TCP_OFF = 1, ICMP_OFF = 2, DNS_OFF = 4, QUIC_OFF = 8, EXACT = 16 };

static void load_pping(const struct datapath *dp, bool shared, uint32_t sets,
		       unsigned int off)
{
	size_t len = strlen(settings);
	struct pping_bpf *pp = pping_bpf__open();
	int rc;

	assert_non_null(pp);
	pp->rodata->lqos_self = 1;
	pp->rodata->lqos_flow_part = PART;
	pp->rodata->lqos_shared = shared;
	pp->rodata->pp_sets = sets;
	pp->rodata->pp_tcp = !(off & TCP_OFF);
	pp->rodata->pp_icmp = !(off & ICMP_OFF);
	pp->rodata->pp_dns = !(off & DNS_OFF);
	pp->rodata->pp_quic = !(off & QUIC_OFF);
	pp->rodata->pp_exact = !!(off & EXACT);
	snprintf(settings + len, sizeof(settings) - len,
		 ", shared %d, sets %u, off %x", shared, sets, off);
	rc = datapath_bind(dp, pp->obj) ?: pping_bpf__load(pp);
	if (rc)
		fail_msg("%s: %s", settings, strerror(-rc));
	assert_true(note_programs(pp->obj));
	settings[len] = '\0';
	pping_bpf__destroy(pp);
}

static void test_pping(void **state)
{
	struct datapath *dp;
	unsigned int knobs, off;

	(void)state;
	for (knobs = 0; knobs < 4; knobs++) {
		dp = load_datapath(false, knobs & 1, knobs & 2);
		/* All there is, and each thing alone. */
		for (off = 0; off < 4; off++)
			load_pping(dp, off & 1, off & 2 ? 64 : 0, 0);
		for (off = TCP_OFF; off <= QUIC_OFF; off <<= 1)
			load_pping(dp, true, 64, ~off & 0xf);
		for (off = TCP_OFF; off <= EXACT; off <<= 1)
			load_pping(dp, knobs & 1, 64, off);
		load_pping(dp, false, 0, 0xf);
		datapath_free(&dp);
	}
}

static void test_steering(void **state)
{
	static const uint32_t cpus[] = {1, 2, 3, ST_CPUS_MAX};
	struct steering_bpf *st;
	struct datapath *dp;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cpus); i++) {
		dp = load_datapath(false, false, true);
		st = steering_bpf__open();
		assert_non_null(st);
		st->rodata->lqos_self = 31;
		st->rodata->st_n_cpus = cpus[i];
		st->rodata->st_up_offset = i ? cpus[i] : 0;
		snprintf(settings, sizeof(settings), "%u CPUs", cpus[i]);
		rc = datapath_bind(dp, st->obj) ?: steering_bpf__load(st);
		if (rc)
			fail_msg("%s: %s", settings, strerror(-rc));
		assert_true(note_programs(st->obj));
		steering_bpf__destroy(st);
		datapath_free(&dp);
	}
}

static void test_capture(void **state)
{
	struct capture_bpf *cap;
	struct datapath *dp;
	unsigned int knobs;
	int rc;

	(void)state;
	for (knobs = 0; knobs < 4; knobs++) {
		dp = load_datapath(false, knobs & 1, knobs & 2);
		cap = capture_bpf__open();
		assert_non_null(cap);
		cap->rodata->lqos_self = 1;
		rc = datapath_bind(dp, cap->obj) ?: capture_bpf__load(cap);
		if (rc)
			fail_msg("%s: %s", settings, strerror(-rc));
		assert_true(note_programs(cap->obj));
		capture_bpf__destroy(cap);
		datapath_free(&dp);
	}
}

/* All that a module can be made of. */
static void test_probe(void **state)
{
	struct probe_bpf *probe;
	struct datapath *dp;
	int cpumap, rc;

	(void)state;
	for (cpumap = 0; cpumap < 2; cpumap++) {
		dp = load_datapath(false, true, cpumap);
		probe = probe_bpf__open();
		assert_non_null(probe);
		probe->rodata->lqos_self = 1;
		rc = datapath_bind(dp, probe->obj) ?: probe_bpf__load(probe);
		if (rc)
			fail_msg("%s: %s", settings, strerror(-rc));
		assert_true(note_programs(probe->obj));
		probe_bpf__destroy(probe);
		datapath_free(&dp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datapath),
		cmocka_unit_test(test_throughput),
		cmocka_unit_test(test_xsk),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_pping),
		cmocka_unit_test(test_steering),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_probe),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("verifier", tests, NULL,
						  NULL);
}
