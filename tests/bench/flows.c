/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flows [-r ROUNDS] [-n PACKETS] [NAME...] - what the table of flows and its
 * modules cost a packet, in ns of CPU time, by BPF_PROG_TEST_RUN with the
 * packets of 1, 10,000 or 200,000 flows in random order: IPv4 or IPv6, TCP with
 * timestamps, both directions, 256-byte frames, in order, each further on than
 * a round before.  What is to be compared takes turns, and runs on the same
 * maps; differences are taken within a round.
 *
 *	empty.N		 the empty program, which is taken off all below: run
 *with a descriptor, without (empty.bare.N), as TC's (empty.tc.N) observe.N
 *lq_observe without a table observer.N	 an observer that reads the descriptor,
 *and no more flows.slots.N	 what the table adds to observe, without
 *modules' parts; flows.hash.N and flows.lru_hash.N, what the kernel's would
 *	flow.N		 what the table and the flow module add
 *	pping.N		 what pping adds to them, where each segment of data is
 *			 acknowledged at once, so that all are stamped and met
 *	pping.flight.N	 ... where 40 are under way and every second one is
 *			 acknowledged
 *	ingress.N	 the ingress stage: parser, owner, descriptor
 *	throughput.N	 what throughput adds to the table
 *	steering.tcp4.N	 the ingress stage with steering, and the egress stage
 *			 with it
 *	path.*.N	 the same, and observe with throughput, flow and pping:
 *			 each stage by itself, as each is on a CPU of its own
 *
 * The observe stage is a twin of the one that the cpumap runs, and the egress
 * stage one that has its descriptors otherwise (egress.bpf.c): the kernel runs
 * neither of the real ones for a test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "tests/bench/flow_set.h"
#include "tests/bench/flows.h"

#include "bpf/datapath.skel.h"
#include "bpf/flow.skel.h"
#include "bpf/pping.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "tests/bench/egress.skel.h"
#include "tests/bench/flows.skel.h"

enum {
	ROUNDS = 9,
	PACKETS = 1000000,
	/* So many leave a module that is not hooked in no further behind than
	 * a retransmission may be. */
	PACKETS_MAX = 1500000,
	NO_SUCH_CASE = 3,
	WARM = 6, /* seconds: what pping wants to have seen of a flow */
};

/* ---- What is measured ---------------------------------------------------- */

#define OF_STEERING              \
	{STEER, EMPTY_BARE},     \
	{                        \
		EGRESS, EMPTY_TC \
	}
#define OF_PATH                \
	OF_STEERING,           \
	{                      \
		OBSERVE, EMPTY \
	}

static const struct result both4[] = {
	{"empty", {{EMPTY, NO_STACK}}},
	{"empty.bare", {{EMPTY_BARE, NO_STACK}}},
	{"empty.tc", {{EMPTY_TC, NO_STACK}}},
	{"observe", {{PLAIN, EMPTY}}},
	{"observer", {{NONE, PLAIN}}},
	{"flows.slots", {{SLOTS, PLAIN}}},
	{"flows.hash", {{HASH, NONE}}},
	{"flows.lru_hash", {{LRU_HASH, NONE}}},
	{"throughput", {{THROUGHPUT, TABLE}}},
	{"flow", {{FLOW, PLAIN}}},
	{"pping", {{PPING, FLOW}}},
	{"ingress", {{INGRESS, EMPTY_BARE}}},
	{"steering.tcp4", {OF_STEERING}},
	{"path.both.tcp4", {OF_PATH}},
	{},
};
static const struct result both6[] = {{"path.both.tcp6", {OF_PATH}}, {}};
static const struct result flight4[] = {
	{"pping.flight", {{PPING, FLOW}}}, {"path.flight.tcp4", {OF_PATH}}, {}};

static const struct kind kinds[] = {
	{false, false, 1, 1, both4},
	{false, false, 10000, 1000, both4},
	{false, false, 200000, 20000, both4},
	{false, true, 1, 1, flight4},
	{false, true, 10000, 1000, flight4},
	{false, true, 200000, 20000, flight4},
	{true, false, 1, 1, both6},
	{true, false, 10000, 1000, both6},
	{true, false, 200000, 20000, both6},
};

enum { KINDS = ARRAY_SIZE(kinds) };

/* ---- Measuring ----------------------------------------------------------- */

static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int run_egress(struct set *set, enum stack stack, uint32_t packets,
		      double *ns)
{
	uint8_t in[FRAME] = {[12] = 0x08, [14] = 0x45};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in,
		    .data_size_in = sizeof(in), .repeat = (int)packets);
	const struct egress_bpf *eg = set->eg;
	double before = cpu_ns();
	int rc = bpf_prog_test_run_opts(
		bpf_program__fd(stack == EGRESS ? eg->progs.lq_to_subs
						: eg->progs.eg_nothing),
		&opts);

	*ns = (cpu_ns() - before) / packets;
	return rc ?: opts.retval == (uint32_t)TC_ACT_UNSPEC ? 0 : -EBADMSG;
}

static int run_packets(struct set *set, enum stack stack, uint32_t packets,
		       double *ns)
{
	bool bare = stack == EMPTY_BARE || stack == INGRESS || stack == STEER;
	uint32_t in_front = bare ? 0 : sizeof(struct lqos_packet);
	struct flows_bpf *driver = set->driver;
	uint32_t next = driver->bss->fs_next, round = driver->bss->fs_round;
	uint8_t in[sizeof(struct lqos_packet) + FRAME] = {};
	struct xdp_md ctx = {.data = in_front, .data_end = in_front + FRAME};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in,
		    .data_size_in = in_front + FRAME, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = (int)packets);
	double before;
	int rc;

	before = cpu_ns();
	rc = bpf_prog_test_run_opts(
		bpf_program__fd(bare ? driver->progs.fs_bare
				     : driver->progs.fs_described),
		&opts);
	*ns = (cpu_ns() - before) / packets;
	if (!rc && opts.retval != (stack == STEER ? XDP_REDIRECT : XDP_PASS))
		rc = -EBADMSG;
	if (stack >= TABLE && stack <= OBSERVE)
		set->sought += packets;
	if (stack == FLOW || stack == PPING || stack == OBSERVE) {
		set->counted += packets;
		set->looked += stack == FLOW ? 0 : packets;
	} else {
		/* Nobody has seen them. */
		driver->bss->fs_next = next;
		driver->bss->fs_round = round;
	}
	return rc;
}

/* First each packet of the set once, so that none is in the caches but by
 * right. */
static int measure(struct set *set, enum stack stack, uint32_t packets,
		   double *ns)
{
	uint32_t warm = set->packets < 1000 ? 1000 : set->packets;

	if (stack == EGRESS || stack == EMPTY_TC)
		return run_egress(set, stack, packets ?: 1000, ns);
	return hook(set, stack) ?: run_packets(set, stack, warm, ns) ?:
	       packets		?
				  run_packets(set, stack, packets, ns) :
				  0;
}

static int measure_set(struct set *set, uint32_t packets, uint32_t round)
{
	int stack, rc = 0;

	for (stack = NO_STACK + 1; !rc && stack < STACKS; stack++)
		if (set->runs[stack])
			rc = measure(set, stack, packets,
				     &set->ns[stack][round]);
	return rc;
}

/* ---- Did it happen? ------------------------------------------------------ */

static int complain(const struct set *set, const char *what, uint64_t is,
		    uint64_t want)
{
	fprintf(stderr,
		"flows: %u flows, IPv%d%s: %s: %llu, but %llu was to be\n",
		set->kind->flows, set->kind->ipv6 ? 6 : 4,
		set->kind->flight ? ", flight" : "", what,
		(unsigned long long)is, (unsigned long long)want);
	return -EBADMSG;
}

/* But for one in so many. */
static bool nearly(uint64_t is, uint64_t want, uint64_t many)
{
	return is <= want && is >= want - want / many;
}

enum {
	FEW = 50,  /* flows may have met in full buckets */
	SOME = 10, /* answers are missed where pping was not hooked in before */
};

static int check_flows(const struct set *set)
{
	const struct dp_flow_row *row = &set->table->flow_rows[set->table->cpu];
	uint64_t live = row->count[DP_FLOW_OPENED] - row->count[DP_FLOW_FREED];

	if (!nearly(live, set->kind->flows, FEW))
		return complain(set, "flows", live, set->kind->flows);
	if (row->count[DP_FLOW_OPENED] > set->kind->flows + set->sought / FEW)
		return complain(set, "opened", row->count[DP_FLOW_OPENED],
				set->kind->flows);
	return 0;
}

static int check_counted(const struct set *set)
{
	const struct fl_flow *flow;
	uint64_t packets = 0;
	uint32_t i;

	for (i = 1; i <= ROOM; i++) {
		flow = datapath_flow_part(set->table, i, FLOW_PART);
		packets += flow->half[0].packets + flow->half[1].packets;
	}
	return nearly(packets, set->counted, FEW)
		       ? 0
		       : complain(set, "counted", packets, set->counted);
}

static int outcomes(const struct set *set, uint64_t *out)
{
	struct pp_hist hist;
	int rc = bpf_map_lookup_elem(bpf_map__fd(set->pp->maps.pp_totals),
				     &set->table->cpu, &hist);
	uint32_t i;

	for (i = 0; i < PP_OUTCOMES; i++)
		out[i] = hist.side[0].outcome[i] + hist.side[1].outcome[i];
	return rc;
}

/* Also how many samples 1000 packets have given. */
static int check_looked(const struct set *set, double *samples)
{
	uint64_t now[PP_OUTCOMES], all = 0, acks = set->looked / 2;
	uint64_t flight = FLIGHT * 3 / 2;
	/* A flight must have gone round first. */
	uint64_t want = set->looked < 6 * flight * set->kind->flows
				? 0
				: set->looked / (4 * flight);
	int rc = outcomes(set, now), i;

	*samples = 0;
	if (rc || !set->looked)
		return rc;
	for (i = 0; i < PP_OUTCOMES; i++)
		all += now[i] -= set->before[i];
	/* enum rtt_outcome */
	*samples = (double)now[1] * 1000 / (double)set->looked;
	if (!set->kind->flight && !nearly(all, acks, SOME))
		return complain(set, "answers", all, acks);
	if (now[1] < (set->kind->flight ? want : acks / 2))
		return complain(set, "samples", now[1],
				set->kind->flight ? want : acks);
	return 0;
}

/* By the kernel's tables: all flows were in them when the rounds began. */
static int check_missed(const struct set *set)
{
	uint32_t missed = set->driver->bss->fs_missed;

	return missed > set->kind->flows / FEW
		       ? complain(set, "missed", missed, 0)
		       : 0;
}

static int check(const struct set *set, double *samples)
{
	*samples = 0;
	/* Of IPv6 there is the path only. */
	return (set->sought ? check_flows(set) : 0)
		       ?: check_missed(set)
		       ?: check_counted(set)
		       ?: check_looked(set, samples);
}

/* ---- Printing ------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_result(const struct set *set, const struct result *result,
			 uint32_t rounds)
{
	double ns[ROUNDS_MAX] = {};
	uint32_t i, part;

	for (i = 0; i < rounds; i++)
		for (part = 0; part < PARTS; part++)
			ns[i] += set->ns[result->parts[part].stack][i] -
				 set->ns[result->parts[part].base][i];
	qsort(ns, rounds, sizeof(*ns), by_value);
	printf("{\"name\": \"%s.%u\", \"unit\": \"ns/packet\", "
	       "\"median\": %.1f, \"min\": %.1f, \"max\": %.1f, "
	       "\"rounds\": %u}\n",
	       result->name, set->kind->flows, ns[rounds / 2], ns[0],
	       ns[rounds - 1], rounds);
}

/* Is pping in it? */
static bool looks(const struct result *result)
{
	uint32_t part;

	for (part = 0; part < PARTS; part++)
		if (result->parts[part].stack == PPING ||
		    result->parts[part].stack == OBSERVE)
			return true;
	return false;
}

static int print_set(const struct set *set, uint32_t rounds)
{
	const struct result *result = set->kind->results;
	double samples;
	int rc = check(set, &samples);
	uint32_t i;

	if (rc)
		return rc;
	for (i = 0; result[i].name; i++) {
		if (!set->wanted[i])
			continue;
		print_result(set, &result[i], rounds);
		if (looks(&result[i]))
			printf("{\"name\": \"%s.%u/samples\", \"unit\": "
			       "\"per 1000 packets\", \"median\": %.1f, "
			       "\"min\": %.1f, \"max\": %.1f, "
			       "\"rounds\": %u}\n",
			       result[i].name, set->kind->flows, samples,
			       samples, samples, rounds);
	}
	return 0;
}

/* ---- All of it ----------------------------------------------------------- */

static bool wanted(const struct result *result, const struct kind *kind,
		   char *const *names)
{
	char name[64];

	if (!*names)
		return true;
	snprintf(name, sizeof(name), "%s.%u", result->name, kind->flows);
	for (; *names; names++)
		if (strstr(name, *names))
			return true;
	return false;
}

static bool choose(struct set *set, const struct kind *kind, char *const *names)
{
	const struct result *result = kind->results;
	bool any = false;
	uint32_t i, part;

	for (i = 0; result[i].name; i++) {
		if (!wanted(&result[i], kind, names))
			continue;
		any = set->wanted[i] = true;
		for (part = 0; part < PARTS; part++) {
			set->runs[result[i].parts[part].stack] = true;
			set->runs[result[i].parts[part].base] = true;
		}
	}
	return any;
}

/* All flows are known, and pping has seen enough of each. */
static int warm_up(struct set *sets, size_t n)
{
	bool slow = false;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < n; i++) {
		rc = measure_set(&sets[i], 0, 0);
		slow = slow || sets[i].looked;
	}
	if (!rc && slow)
		sleep(WARM);
	for (i = 0; !rc && slow && i < n; i++)
		rc = measure_set(&sets[i], 0, 0);
	for (i = 0; !rc && i < n; i++) {
		sets[i].looked = 0;
		sets[i].driver->bss->fs_missed = 0;
		rc = outcomes(&sets[i], sets[i].before);
	}
	return rc;
}

static int run(uint32_t rounds, uint32_t packets, char *const *names)
{
	autofree struct set *sets = calloc(KINDS, sizeof(*sets));
	uint32_t round;
	size_t n = 0, i;
	int rc = 0;

	if (!sets)
		return -ENOMEM;
	for (i = 0; !rc && i < KINDS; i++)
		if (choose(&sets[n], &kinds[i], names))
			rc = load_set(&sets[n++], &kinds[i]);
	if (!n)
		return -ENOENT;
	if (!rc)
		rc = warm_up(sets, n);
	for (round = 0; !rc && round < rounds; round++)
		for (i = 0; !rc && i < n; i++)
			rc = measure_set(&sets[i], packets, round);
	for (i = 0; !rc && i < n; i++)
		rc = print_set(&sets[i], rounds);
	for (i = 0; i < n; i++)
		unload_set(&sets[i]);
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
			packets = number(optarg, PACKETS_MAX);
		if (option == '?' || !rounds || !packets) {
			fprintf(stderr,
				"usage: flows [-r ROUNDS (1-%d)] "
				"[-n PACKETS (1-%d)] [NAME...]\n",
				ROUNDS_MAX, PACKETS_MAX);
			return 2;
		}
	}
	if (skip)
		return skip;
	rc = run(rounds, packets, argv + optind);
	if (rc == -ENOENT)
		return NO_SUCH_CASE;
	if (rc)
		fprintf(stderr, "flows: %s\n", strerror(-rc));
	return rc ? 1 : 0;
}
