/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench [-r ROUNDS] [-n PACKETS] [NAME...] - what a packet costs, in ns of CPU
 * time, by BPF_PROG_TEST_RUN with one packet of one subscriber over and over:
 * everything is in the caches.  The cases take turns, so that whatever else the
 * machine does hits all of them; from each time that of an empty program in the
 * same round is taken off.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "bpf/xsk.h"
#include "bpf/xsk.skel.h"
#include "tests/bench/bench.skel.h"

enum { ROUNDS = 9, ROUNDS_MAX = 99, PACKETS = 1000000, NO_SUCH_CASE = 3 };

/* Which empty program a case is compared with. */
enum base { DRIVEN, DIRECT, EGRESS, BASES };

/* What is hooked in. */
enum parts {
	STEERING = 1,
	OBSERVE = 2,
	THROUGHPUT = 4,
	NO_METADATA = 8,
	XSK = 16, /* without a rule; or with those, that do not fit: */
	XSK_1 = XSK | 32,
	XSK_8 = XSK | 64,
};

struct bench_case {
	const char *name;
	enum base base;
	unsigned int parts;
	bool ipv6;
	uint32_t layers[PACKET_LAYERS];
};

#define TCP4 P_IP, P_TCP_OPTIONS(3), P_DATA(1400)

static const struct bench_case cases[] = {
	{"xdp/parse+owner/ipv4", DRIVEN, 0, false, {TCP4}},
	{"xdp/parse+owner/ipv6", DRIVEN, 0, true, {TCP4}},
	{"xdp/parse+owner/ipv4,qinq",
	 DRIVEN,
	 0,
	 false,
	 {P_SVLAN, P_VLAN, TCP4}},
	{"xdp/parse+owner/ipv4,pppoe",
	 DRIVEN,
	 0,
	 false,
	 {P_VLAN, P_PPPOE, TCP4}},
	{"xdp/parse+owner/ipv4,mpls", DRIVEN, 0, false, {P_MPLS, P_MPLS, TCP4}},
	{"xdp/parse+owner/ipv4,no metadata",
	 DRIVEN,
	 NO_METADATA,
	 false,
	 {TCP4}},
	{"xdp/+steering/ipv4", DRIVEN, STEERING, false, {TCP4}},
	{"xdp/+steering/ipv6", DRIVEN, STEERING, true, {TCP4}},
	{"xdp/+observe/ipv4", DRIVEN, OBSERVE, false, {TCP4}},
	{"xdp/+observe+throughput/ipv4",
	 DRIVEN,
	 OBSERVE | THROUGHPUT,
	 false,
	 {TCP4}},
	{"xdp/+observe+throughput/ipv6",
	 DRIVEN,
	 OBSERVE | THROUGHPUT,
	 true,
	 {TCP4}},
	{"xdp/+xsk/ipv4", DRIVEN, XSK, false, {TCP4}},
	{"xdp/+xsk/ipv4,1 rule", DRIVEN, XSK_1, false, {TCP4}},
	{"xdp/+xsk/ipv4,8 rules", DRIVEN, XSK_8, false, {TCP4}},
	{"xdp/+xsk/ipv6,8 rules", DRIVEN, XSK_8, true, {TCP4}},
	{"cpumap/observe/ipv4", DIRECT, OBSERVE, false, {TCP4}},
	{"cpumap/observe+throughput/ipv4",
	 DIRECT,
	 OBSERVE | THROUGHPUT,
	 false,
	 {TCP4}},
	{"tc/parse+owner/ipv4", EGRESS, 0, false, {TCP4}},
	{"tc/parse+owner+steering/ipv4", EGRESS, STEERING, false, {TCP4}},
	{"tc/parse+owner+steering/ipv6", EGRESS, STEERING, true, {TCP4}},
};

enum { CASES = ARRAY_SIZE(cases) };

/* A case with its programs in the kernel. */
struct bench {
	const struct bench_case *what;
	struct datapath *dp;
	struct steering_bpf *st;
	struct throughput_bpf *tp;
	struct xsk_bpf *xk;
	struct bench_bpf *driver;
	struct packet packet;
	bool described; /* by a descriptor in front of it */
	struct lqos_packet meta;
	int prog_fd;
	double ns[ROUNDS_MAX];
};

static double base_ns[BASES][ROUNDS_MAX];
static struct bench_bpf *empty;

/* ---- Loading ------------------------------------------------------------- */

static int load_steering(struct bench *b)
{
	struct bpf_cpumap_val entry = {.qsize = 64};
	struct datapath *dp = b->dp;

	b->st = steering_bpf__open();
	if (!b->st)
		return -errno;
	b->st->rodata->lqos_self = 1;
	b->st->bss->st_cpus[0] = dp->cpu;
	return bpf_map__set_max_entries(b->st->maps.st_counters, dp->cpus) ?:
	       bpf_map__set_max_entries(b->st->maps.st_queues, dp->cpus) ?:
	       datapath_bind(dp, b->st->obj) ?:
	       steering_bpf__load(b->st) ?:
	       bpf_map_update_elem(dp->cpumap_fd, &dp->cpu, &entry, 0) ?:
	       datapath_chain(dp, "lqos_ingress", 0, b->st->progs.st_redirect) ?:
	       datapath_chain(dp, "lqos_egress", 0, b->st->progs.st_classify);
}

static int load_throughput(struct bench *b)
{
	struct datapath *dp = b->dp;

	b->tp = throughput_bpf__open();
	if (!b->tp)
		return -errno;
	b->tp->rodata->lqos_self = 2;
	b->tp->rodata->tp_sets = 256;
	return bpf_map__set_max_entries(b->tp->maps.tp_slots,
					DATAPATH_SLOTS) ?:
	       bpf_map__set_max_entries(b->tp->maps.tp_totals, 2 * dp->cpus) ?:
	       bpf_map__set_max_entries(b->tp->maps.tp_hosts, 256 * dp->cpus) ?:
	       bpf_map__set_max_entries(b->tp->maps.tp_evicted, dp->cpus) ?:
	       datapath_bind(dp, b->tp->obj) ?:
	       throughput_bpf__load(b->tp) ?:
	       datapath_chain(dp, "lqos_observe", 0, b->tp->progs.tp_count);
}

static int load_xsk(struct bench *b)
{
	uint32_t n = b->what->parts == XSK_8   ? 8
		     : b->what->parts == XSK_1 ? 1
					       : 0;
	struct datapath *dp = b->dp;
	uint32_t i;

	b->xk = xsk_bpf__open();
	if (!b->xk)
		return -errno;
	b->xk->rodata->lqos_self = 3;
	b->xk->rodata->xk_mtu = 1792;
	/* An address each, of UDP's port 7. */
	for (i = 0; i < n; i++)
		b->xk->bss->xk_rules.rule[0][i] = (struct xk_rule){
			.hi = ~0ULL,
			.lo = 0x01000a0aU + i,
			.mask_hi = ~0ULL,
			.mask_lo = ~0ULL,
			.port = 0x0700,
			.proto = 17,
			.about = XK_TO,
		};
	b->xk->bss->xk_rules.n = n * XK_TABLES;
	return bpf_map__set_max_entries(b->xk->maps.xk_counters, dp->cpus) ?:
	       datapath_bind(dp, b->xk->obj) ?:
	       xsk_bpf__load(b->xk) ?:
	       datapath_chain(dp, "lqos_ingress", 0, b->xk->progs.xk_select);
}

static int own(struct bench *b)
{
	struct packet_ends ends;

	packet_ends_set(&ends, b->what->ipv6 ? "2001:db8:ffff::1" : "192.0.2.1",
			b->what->ipv6 ? "2001:db8:1::1" : "10.0.0.1");
	packet_build(&b->packet, &ends, b->what->layers);
	return datapath_own(b->dp, "10.0.0.1/32", 5, 0x10003, b->dp->cpu)
		       ?: datapath_own(b->dp, "2001:db8:1::/48", 5, 0x10003,
				       b->dp->cpu);
}

/* The driver, with target behind it. */
static int drive(struct bench_bpf *driver, const struct bpf_program *target)
{
	int fd = bpf_program__fd(target);
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(driver->maps.bench_target),
				   &zero, &fd, 0);
}

/* The first run gives the descriptor that the measured ones begin with. */
static int describe(struct bench *b)
{
	struct outcome out;
	int rc = run_xdp(b->dp->skel->progs.lq_from_inet, b->packet.data,
			 b->packet.len, NULL, &out);

	if (rc)
		return rc;
	b->described = true;
	b->meta = out.pkt;
	return 0;
}

static int load_bench(struct bench *b, const struct bench_case *what)
{
	const struct datapath_knobs knobs = {
		.no_metadata = what->parts & NO_METADATA,
	};
	const struct datapath_bpf *skel;
	int rc;

	b->what = what;
	rc = datapath_new(&b->dp, &knobs) ?: own(b);
	if (rc)
		return rc;
	skel = b->dp->skel;
	if (what->parts & STEERING)
		rc = load_steering(b);
	if (!rc && what->parts & THROUGHPUT)
		rc = load_throughput(b);
	if (!rc && what->parts & XSK)
		rc = load_xsk(b);
	if (rc)
		return rc;
	switch (what->base) {
	case DRIVEN:
		b->driver = bench_bpf__open_and_load();
		if (!b->driver)
			return -errno;
		b->prog_fd = bpf_program__fd(b->driver->progs.bench_drive);
		if (what->parts & OBSERVE)
			rc = datapath_chain(b->dp, "lqos_ingress", 0,
					    skel->progs.lq_observe);
		return rc ?: drive(b->driver, skel->progs.lq_from_inet);
	case DIRECT:
		b->prog_fd = bpf_program__fd(skel->progs.lq_observe);
		return describe(b);
	default:
		b->prog_fd = bpf_program__fd(skel->progs.lq_to_subs);
		return 0;
	}
}

static void unload_bench(struct bench *b)
{
	bench_bpf__destroy(b->driver);
	xsk_bpf__destroy(b->xk);
	throughput_bpf__destroy(b->tp);
	steering_bpf__destroy(b->st);
	datapath_free(&b->dp);
}

/* ---- Measuring ----------------------------------------------------------- */

static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int measure(int prog_fd, const struct packet *p,
		   const struct lqos_packet *meta, uint32_t packets, double *ns)
{
	size_t in_front = meta ? sizeof(*meta) : 0;
	uint8_t in[sizeof(*meta) + PACKET_MAX];
	struct xdp_md ctx = {
		.data = (uint32_t)in_front,
		.data_end = (uint32_t)(in_front + p->len),
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in,
		    .data_size_in = (uint32_t)(in_front + p->len),
		    .repeat = (int)packets);
	double before;
	int rc;

	if (meta) {
		memcpy(in, meta, in_front);
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	memcpy(in + in_front, p->data, p->len);
	before = cpu_ns();
	rc = bpf_prog_test_run_opts(prog_fd, &opts);
	*ns = (cpu_ns() - before) / packets;
	return rc;
}

static int measure_round(struct bench *benches, size_t n, uint32_t packets,
			 uint32_t round)
{
	const int bases[BASES] = {
		[DRIVEN] = bpf_program__fd(empty->progs.bench_drive),
		[DIRECT] = bpf_program__fd(empty->progs.bench_xdp),
		[EGRESS] = bpf_program__fd(empty->progs.bench_tc),
	};
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < BASES; i++)
		rc = measure(bases[i], &benches[0].packet, NULL, packets,
			     &base_ns[i][round]);
	for (i = 0; !rc && i < n; i++) {
		struct bench *b = &benches[i];

		rc = measure(b->prog_fd, &b->packet,
			     b->described ? &b->meta : NULL, packets,
			     &b->ns[round]);
	}
	return rc;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_result(const char *name, double *ns, uint32_t rounds)
{
	qsort(ns, rounds, sizeof(*ns), by_value);
	printf("{\"name\": \"%s\", \"unit\": \"ns/packet\", \"median\": %.1f, "
	       "\"min\": %.1f, \"max\": %.1f, \"rounds\": %u}\n",
	       name, ns[rounds / 2], ns[0], ns[rounds - 1], rounds);
}

static void print_results(struct bench *benches, size_t n, uint32_t rounds)
{
	static const char *const names[BASES] = {
		[DRIVEN] = "empty/xdp behind a tail call",
		[DIRECT] = "empty/xdp",
		[EGRESS] = "empty/tc",
	};
	uint32_t round;
	size_t i;

	for (i = 0; i < n; i++) {
		struct bench *b = &benches[i];

		for (round = 0; round < rounds; round++)
			b->ns[round] -= base_ns[b->what->base][round];
		print_result(b->what->name, b->ns, rounds);
	}
	for (i = 0; i < BASES; i++)
		print_result(names[i], base_ns[i], rounds);
}

/* ---- Command line -------------------------------------------------------- */

static bool wanted(const char *name, char *const *names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strstr(name, *names))
			return true;
	return false;
}

static int load_all(struct bench *benches, size_t *n, char *const *names)
{
	size_t i;
	int rc;

	empty = bench_bpf__open_and_load();
	if (!empty)
		return -errno;
	rc = drive(empty, empty->progs.bench_xdp);
	for (i = 0; !rc && i < CASES; i++)
		if (wanted(cases[i].name, names))
			rc = load_bench(&benches[(*n)++], &cases[i]);
	return !rc && !*n ? -ENOENT : rc;
}

static int run(uint32_t rounds, uint32_t packets, char *const *names)
{
	autofree struct bench *benches = calloc(CASES, sizeof(*benches));
	uint32_t round;
	size_t n = 0, i;
	double warm;
	int rc;

	if (!benches)
		return -ENOMEM;
	rc = load_all(benches, &n, names);
	for (i = 0; !rc && i < n; i++)
		rc = measure(benches[i].prog_fd, &benches[i].packet,
			     benches[i].described ? &benches[i].meta : NULL,
			     1000, &warm);
	for (round = 0; !rc && round < rounds; round++)
		rc = measure_round(benches, n, packets, round);
	if (!rc)
		print_results(benches, n, rounds);
	for (i = 0; i < n; i++)
		unload_bench(&benches[i]);
	bench_bpf__destroy(empty);
	return rc;
}

/* A whole number from 1 to max; 0: it is not. */
static uint32_t number(const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *end || n > max ? 0 : (uint32_t)n;
}

int main(int argc, char **argv)
{
	uint32_t rounds = ROUNDS, packets = PACKETS;
	int option, rc, skip = datapath_skip();

	while ((option = getopt(argc, argv, "r:n:")) != -1) {
		if (option == 'r')
			rounds = number(optarg, ROUNDS_MAX);
		else if (option == 'n')
			packets = number(optarg, INT32_MAX);
		if (option == '?' || !rounds || !packets) {
			fprintf(stderr,
				"usage: bench [-r ROUNDS (1-%d)] "
				"[-n PACKETS] [NAME...]\n",
				ROUNDS_MAX);
			return 2;
		}
	}
	if (skip)
		return skip;
	rc = run(rounds, packets, argv + optind);
	if (rc == -ENOENT)
		return NO_SUCH_CASE;
	if (rc)
		fprintf(stderr, "bench: %s\n", strerror(-rc));
	return rc ? 1 : 0;
}
