/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flows [-r ROUNDS] [-n PACKETS] [NAME...] - what the table of flows and its
 * modules cost a packet, in ns of CPU time, by BPF_PROG_TEST_RUN with the
 * packets of 1, 10,000 or 200,000 flows in random order: IPv4 or IPv6, TCP with
 * timestamps, both directions, 256-byte frames, in order, each further on than
 * a round before.  What is to be compared takes turns, and runs on the same
 * maps; differences are taken within a round.
 *
 *	observe.N	 lq_observe without a table
 *	observer.N	 an observer that reads the descriptor, and no more
 *	flows.slots.N	 what the table adds to observe, without modules'
 *			 parts; flows.hash.N and flows.lru_hash.N, what the
 *			 kernel's would
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
#include "tests/bpf/datapath.h"
#include "tests/bench/flows.h"

#include "bpf/datapath.skel.h"
#include "bpf/flow.h"
#include "bpf/flow.skel.h"
#include "bpf/pping.h"
#include "bpf/pping.skel.h"
#include "bpf/steering.skel.h"
#include "bpf/throughput.skel.h"
#include "tests/bench/egress.skel.h"
#include "tests/bench/flows.skel.h"

enum {
	ROUNDS = 9,
	ROUNDS_MAX = 99,
	PACKETS = 1000000,
	/* So many leave a module that is not hooked in no further behind than
	 * a retransmission may be. */
	PACKETS_MAX = 1500000,
	NO_SUCH_CASE = 3,
	ROOM = 1 << 18,	 /* the core's default */
	CACHE = 1 << 16, /* for all subscribers, but for few */
	FRAME = 256,
	PAYLOAD = 64, /* the rest of a frame is padding: see PACKETS_MAX */
	FLIGHT = 40,
	SERVERS = 4096,
	WARM = 6, /* seconds: what pping wants to have seen of a flow */
	/* In the records of flows. */
	FLOW_PART = sizeof(struct lqos_flow),
	PPING_PART = FLOW_PART + sizeof(struct fl_flow),
};

/* ---- What is measured ---------------------------------------------------- */

/* Programs that run one behind the other. */
enum stack {
	EMPTY,	    /* no program, packets with a descriptor */
	EMPTY_BARE, /* ... and without */
	PLAIN,	    /* lq_observe without a table */
	NONE,	    /* ... and an observer that does nothing */
	HASH,
	LRU_HASH,
	SLOTS,	    /* lq_observe with a table, of records without parts */
	TABLE,	    /* ... with the parts of flow and pping */
	FLOW,	    /* ... and with flow */
	PPING,	    /* ... and pping */
	THROUGHPUT, /* lq_observe with a table, and throughput */
	OBSERVE,    /* ... flow and pping */
	INGRESS,
	STEER,	  /* ingress with steering */
	EMPTY_TC, /* no program, but a descriptor */
	EGRESS,	  /* with steering */
	STACKS,
};

/* Of what is measured, less what is compared with; up to three are added. */
struct result {
	const char *name;
	struct {
		enum stack stack, base;
	} parts[3];
};

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

/* A set of packets. */
struct kind {
	bool ipv6, flight;
	uint32_t flows, subscribers;
	const struct result *results;
};

static const struct result both4[] = {
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

enum { KINDS = ARRAY_SIZE(kinds), RESULTS = 12, PARTS = 3 };

struct set {
	const struct kind *kind;
	bool wanted[RESULTS], runs[STACKS];
	uint32_t packets;
	struct flows_bpf *driver;
	struct datapath *plain, *slots, *table;
	struct throughput_bpf *tp;
	struct flow_bpf *fl;
	struct pping_bpf *pp;
	struct steering_bpf *st;
	struct egress_bpf *eg;
	uint64_t sought;  /* packets that went through table */
	uint64_t counted; /* ... those that flow has been given */
	uint64_t looked;  /* ... and pping, since it was warm */
	uint64_t before[PP_OUTCOMES];
	double ns[STACKS][ROUNDS_MAX];
};

/* ---- Packets ------------------------------------------------------------- */

/* The same numbers each time. */
static uint32_t chance(uint32_t below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((state >> 32) * below >> 32);
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

static void put16(uint8_t *at, uint16_t value)
{
	value = htons(value);
	memcpy(at, &value, sizeof(value));
}

static void subscriber_address(bool ipv6, uint32_t subscriber, uint8_t *out)
{
	memset(out, 0, 16);
	put32(out, ipv6 ? 0x20010db8 : 0x64400000 + subscriber);
	if (!ipv6)
		return;
	put32(out + 4, subscriber);
	out[15] = 1;
}

static void server_address(bool ipv6, uint32_t server, uint8_t *out)
{
	memset(out, 0, 16);
	put32(out, ipv6 ? 0x20010db9 : 0xc6120000 + server);
	if (ipv6)
		put32(out + 12, server);
}

/* A segment of data down, or an ACK up.  sent: how many of its flow went before
 * it in the round. */
static void write_packet(const struct kind *kind, uint32_t flow, bool up,
			 uint32_t sent, struct fs_packet *out)
{
	const uint32_t data[PACKET_LAYERS] = {P_IP, P_TCP_OPTIONS(3),
					      P_DATA(PAYLOAD), P_PAD(FRAME)};
	const uint32_t ack[PACKET_LAYERS] = {P_IP, P_TCP_OPTIONS(3),
					     P_PAD(FRAME)};
	uint32_t subscriber = flow % kind->subscribers, tcp_off;
	uint32_t lag = kind->flight ? FLIGHT : 0, first = flow * 2654435761U;
	struct packet_ends ends = {.ipv6 = kind->ipv6};
	struct packet p;
	uint8_t *tcp;

	subscriber_address(kind->ipv6, subscriber, up ? ends.src : ends.dst);
	server_address(kind->ipv6, flow % SERVERS, up ? ends.dst : ends.src);
	packet_build(&p, &ends, up ? ack : data);
	tcp_off = (uint32_t)p.l3_off + (kind->ipv6 ? 40 : 20);
	tcp = p.data + tcp_off;
	put16(tcp, 443);
	put16(tcp + 2, 443);
	put16(up ? tcp : tcp + 2, (uint16_t)(1024 + flow / kind->subscribers));
	put32(tcp + 4, up ? 1000 : first + sent * PAYLOAD);
	put32(tcp + 8, up ? first + (sent - lag) * PAYLOAD : 1000);
	put32(tcp + 20, 0x0101080a);
	/* The ACK echoes what it answers, and that of the round before is what
	 * data echo. */
	put32(tcp + 24, up ? 500000 : 700000);
	put32(tcp + 28, !up	       ? 500000 - 1
			: kind->flight ? 700000 - FLIGHT / 2
			: sent	       ? 700000
				       : 700000 - 1);
	memcpy(out->headers, p.data, FS_HEADERS);
	out->up = up;
	out->meta = (struct lqos_packet){
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.flags = LQOS_PACKET_IP | (up ? LQOS_PACKET_UP : 0) |
			 (kind->ipv6 ? LQOS_PACKET_IPV6 : 0),
		.l3_off = (uint8_t)p.l3_off,
		.l4_proto = 6,
		.l4_off = (uint16_t)tcp_off,
		.slot = 1 + subscriber,
		.handle = 0x10003,
	};
}

static uint32_t data_each(const struct kind *kind)
{
	return kind->flight ? 2 : 1;
}

/* Flows in random order, each as often as it has packets: those of data, then
 * an ACK somewhere among them. */
static int fill(struct set *set)
{
	uint32_t each = data_each(set->kind) + 1, flows = set->kind->flows, i;
	autofree uint32_t *order = calloc(set->packets, sizeof(*order));
	autofree uint8_t *seen = calloc(flows, 1);
	autofree uint8_t *turn = calloc(flows, 1);
	int fd = bpf_map__fd(set->driver->maps.fs_array), rc = 0;
	struct fs_packet p;

	if (!order || !seen || !turn)
		return -ENOMEM;
	for (i = 0; i < set->packets; i++)
		order[i] = i % flows;
	for (i = set->packets; i > 1; i--) {
		uint32_t other = chance(i), flow = order[i - 1];

		order[i - 1] = order[other];
		order[other] = flow;
	}
	for (i = 0; i < flows; i++)
		turn[i] = (uint8_t)chance(each);
	for (i = 0; !rc && i < set->packets; i++) {
		uint32_t flow = order[i], at = seen[flow]++;
		bool up = at == turn[flow];

		write_packet(set->kind, flow, up,
			     at - (at > turn[flow] ? 1 : 0), &p);
		rc = bpf_map_update_elem(fd, &i, &p, 0);
	}
	return rc;
}

/* ---- Loading ------------------------------------------------------------- */

static int load_driver(struct set *set)
{
	struct flows_bpf *driver = flows_bpf__open();

	set->driver = driver;
	if (!driver)
		return -errno;
	driver->rodata->lqos_self = 4;
	driver->rodata->fs_packets = set->packets;
	driver->rodata->fs_tcp = 14 + (set->kind->ipv6 ? 40 : 20);
	driver->rodata->fs_step = data_each(set->kind) * PAYLOAD;
	return bpf_map__set_max_entries(driver->maps.fs_array, set->packets) ?:
	       bpf_map__set_max_entries(driver->maps.fs_hash, ROOM) ?:
	       bpf_map__set_max_entries(driver->maps.fs_lru, ROOM) ?:
	       datapath_bind(set->plain, driver->obj) ?:
	       flows_bpf__load(driver) ?:
	       fill(set);
}

static int load_throughput(struct set *set)
{
	struct throughput_bpf *tp = throughput_bpf__open();

	set->tp = tp;
	if (!tp)
		return -errno;
	tp->rodata->lqos_self = 1;
	return bpf_map__set_max_entries(tp->maps.tp_slots,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(tp->maps.tp_totals,
					2 * set->table->cpus) ?:
	       bpf_map__set_max_entries(tp->maps.tp_hosts, set->table->cpus) ?:
	       bpf_map__set_max_entries(tp->maps.tp_evicted,
					set->table->cpus) ?:
	       datapath_bind(set->table, tp->obj) ?:
	       throughput_bpf__load(tp);
}

static int load_flow(struct set *set)
{
	struct flow_bpf *fl = flow_bpf__open();

	set->fl = fl;
	if (!fl)
		return -errno;
	fl->rodata->lqos_self = 2;
	fl->rodata->lqos_flow_part = FLOW_PART;
	return bpf_map__set_max_entries(fl->maps.fl_slots,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(fl->maps.fl_lost, set->table->cpus) ?:
	       datapath_bind(set->table, fl->obj) ?:
	       flow_bpf__load(fl);
}

static int load_pping(struct set *set)
{
	struct pping_bpf *pp = pping_bpf__open();

	set->pp = pp;
	if (!pp)
		return -errno;
	pp->rodata->lqos_self = 3;
	pp->rodata->lqos_flow_part = PPING_PART;
	pp->rodata->pp_sets = 1024;
	return bpf_map__set_max_entries(pp->maps.pp_hists,
					set->kind->subscribers + 1) ?:
	       bpf_map__set_max_entries(pp->maps.pp_totals, set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_syns, PP_SYNS) ?:
	       bpf_map__set_max_entries(pp->maps.pp_probes, PP_PROBES) ?:
	       bpf_map__set_max_entries(pp->maps.pp_prefixes, 1024) ?:
	       bpf_map__set_max_entries(pp->maps.pp_evicted,
					set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_lost, set->table->cpus) ?:
	       bpf_map__set_max_entries(pp->maps.pp_ecn, set->table->cpus) ?:
	       datapath_bind(set->table, pp->obj) ?:
	       pping_bpf__load(pp);
}

static int load_steering(struct set *set)
{
	struct bpf_cpumap_val entry = {.qsize = 64};
	struct steering_bpf *st = steering_bpf__open();
	struct datapath *dp = set->table;

	set->st = st;
	if (!st)
		return -errno;
	st->rodata->lqos_self = 5;
	st->bss->st_cpus[0] = dp->cpu;
	return bpf_map__set_max_entries(st->maps.st_counters, dp->cpus) ?:
	       bpf_map__set_max_entries(st->maps.st_queues, dp->cpus) ?:
	       datapath_bind(dp, st->obj) ?:
	       steering_bpf__load(st) ?:
	       bpf_map_update_elem(dp->cpumap_fd, &dp->cpu, &entry, 0) ?:
	       datapath_chain(dp, "lqos_egress", 0, st->progs.st_classify);
}

/* The twin, with descriptors of packets that go down. */
static int load_egress(struct set *set)
{
	struct egress_bpf *eg = egress_bpf__open();
	struct lqos_packet meta = {
		.magic = LQOS_PACKET_MAGIC,
		.version = LQOS_PACKET_VERSION,
		.flags = LQOS_PACKET_IP,
		.l3_off = 14,
		.handle = 0x10003,
	};
	uint32_t n = set->kind->subscribers, i;
	struct bpf_program *prog;
	int rc;

	set->eg = eg;
	if (!eg)
		return -errno;
	eg->rodata->eg_packets = n;
	bpf_object__for_each_program(prog, eg->obj)
		bpf_program__set_autoload(prog,
					  prog == eg->progs.lq_to_subs ||
						  prog == eg->progs.eg_nothing);
	rc = bpf_map__set_max_entries(eg->maps.eg_descriptors, n) ?:
	     bpf_map__set_max_entries(eg->maps.dp_counters, set->table->cpus) ?:
	     datapath_bind(set->table, eg->obj) ?:
	     egress_bpf__load(eg);
	for (i = 0; !rc && i < n; i++) {
		meta.slot = 1 + i;
		rc = bpf_map_update_elem(bpf_map__fd(eg->maps.eg_descriptors),
					 &i, &meta, 0);
	}
	return rc;
}

static int own(const struct set *set)
{
	char prefix[INET6_ADDRSTRLEN + 4];
	uint8_t address[16];
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && i < set->kind->subscribers; i++) {
		subscriber_address(set->kind->ipv6, i, address);
		inet_ntop(set->kind->ipv6 ? AF_INET6 : AF_INET, address, prefix,
			  sizeof(prefix));
		strcat(prefix, set->kind->ipv6 ? "/128" : "/32");
		rc = datapath_own(set->table, prefix, 1 + i, 0x10003,
				  set->table->cpu);
	}
	return rc;
}

static int load_set(struct set *set, const struct kind *kind)
{
	struct datapath_knobs knobs = {
		.cache = CACHE,
		.slots = kind->subscribers + 1,
		.prefixes = kind->subscribers,
	};
	int rc;

	set->kind = kind;
	set->packets = kind->flows * (data_each(kind) + 1);
	rc = datapath_new(&set->plain, &knobs);
	if (rc)
		return rc;
	knobs.flows = ROOM;
	rc = datapath_new(&set->slots, &knobs);
	if (rc)
		return rc;
	knobs.parts = PPING_PART + sizeof(struct pp_flow) - FLOW_PART;
	knobs.seed = 0x5eed;
	rc = datapath_new(&set->table, &knobs);
	if (rc)
		return rc;
	return own(set) ?:
	       load_driver(set) ?:
	       load_throughput(set) ?:
	       load_flow(set) ?:
	       load_pping(set) ?:
	       load_steering(set) ?:
	       load_egress(set);
}

static void unload_set(struct set *set)
{
	egress_bpf__destroy(set->eg);
	steering_bpf__destroy(set->st);
	pping_bpf__destroy(set->pp);
	flow_bpf__destroy(set->fl);
	throughput_bpf__destroy(set->tp);
	flows_bpf__destroy(set->driver);
	datapath_free(&set->table);
	datapath_free(&set->slots);
	datapath_free(&set->plain);
}

/* ---- Stacks -------------------------------------------------------------- */

static int target(const struct set *set, const struct bpf_program *down,
		  const struct bpf_program *up)
{
	int fd = bpf_map__fd(set->driver->maps.fs_target);
	int down_fd = bpf_program__fd(down), up_fd = bpf_program__fd(up);
	uint32_t zero = 0, one = 1;

	return bpf_map_update_elem(fd, &zero, &down_fd, 0)
		       ?: bpf_map_update_elem(fd, &one, &up_fd, 0);
}

/* An observer without a follower is the last. */
static int observers(struct datapath *dp, const struct bpf_program *first,
		     const struct bpf_program *behind_tp,
		     const struct bpf_program *behind_fl)
{
	const struct bpf_program *const chain[] = {first, behind_tp, behind_fl};
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && i < ARRAY_SIZE(chain); i++) {
		rc = datapath_chain(dp, "lqos_observe", i, chain[i]);
		if (rc == -ENOENT && !chain[i])
			rc = 0;
	}
	return rc;
}

static int hook(struct set *set, enum stack stack)
{
	const struct bpf_program *table = set->table->skel->progs.lq_observe;
	const struct bpf_program *slots = set->slots->skel->progs.lq_observe;
	const struct bpf_program *plain = set->plain->skel->progs.lq_observe;
	const struct bpf_program *nothing = set->driver->progs.fs_nothing;
	const struct bpf_program *fl = set->fl->progs.fl_count;
	const struct bpf_program *pp = set->pp->progs.pp_look;
	const struct bpf_program *tp = set->tp->progs.tp_count;
	const struct bpf_program *st = set->st->progs.st_redirect;
	struct datapath_bpf *skel = set->table->skel;
	const struct bpf_program *observer = NULL;

	switch (stack) {
	case EMPTY:
	case EMPTY_BARE:
		return target(set, nothing, nothing);
	case NONE:
		observer = set->driver->progs.fs_none;
		break;
	case HASH:
		observer = set->driver->progs.fs_by_hash;
		break;
	case LRU_HASH:
		observer = set->driver->progs.fs_by_lru;
		break;
	case SLOTS:
		return target(set, slots, slots);
	case TABLE:
		return observers(set->table, NULL, NULL, NULL)
			       ?: target(set, table, table);
	case FLOW:
		return observers(set->table, fl, NULL, NULL)
			       ?: target(set, table, table);
	case PPING:
		return observers(set->table, fl, NULL, pp)
			       ?: target(set, table, table);
	case THROUGHPUT:
		return observers(set->table, tp, NULL, NULL)
			       ?: target(set, table, table);
	case OBSERVE:
		return observers(set->table, tp, fl, pp)
			       ?: target(set, table, table);
	case INGRESS:
	case STEER:
		return datapath_chain(set->table, "lqos_ingress", 0,
				      stack == STEER ? st : nothing)
			       ?: target(set, skel->progs.lq_from_inet,
					 skel->progs.lq_from_subs);
	case EMPTY_TC:
	case EGRESS:
		return 0;
	default:
		break;
	}
	return observers(set->plain, observer, NULL, NULL)
		       ?: target(set, plain, plain);
}

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

	for (stack = 0; !rc && stack < STACKS; stack++)
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
			       "\"per 1000 packets\", \"value\": %.1f}\n",
			       result[i].name, set->kind->flows, samples);
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
