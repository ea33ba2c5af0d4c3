/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes and packets of every subscriber, in total, and of unknown hosts. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <jansson.h>

#include "core/lqos/module.h"
#include "core/lqos/packet.h"
#include "bpf/throughput.h"
#include "bpf/throughput.skel.h"

struct config {
	uint32_t unknown_hosts;
};

static const struct lqos_option options[] = {
	/* Of 64 bytes each, on each CPU: throughput.unknown reads them all
	 * while the loop waits. */
	LQOS_OPTION(struct config, unknown_hosts, "1024", .min = 4,
		    .max = 65536,
		    .help = "How many hosts that are no subscriber's each CPU "
			    "remembers; rounded up to a power of two"),
	LQOS_OPTIONS_END,
};

struct throughput {
	struct throughput_bpf *skel;
	const struct tp_counters *slots;  /* by slot */
	const struct tp_counters *totals; /* by 2 * CPU + enum tp_whose */
	const struct tp_set *hosts;	  /* a CPU's sets after the other's */
	const uint64_t *evicted;	  /* by CPU */
	uint32_t cpus;
	uint32_t sets; /* of one CPU */
};

/* ---- Columns ------------------------------------------------------------- */

enum { ALL = TP_PROTOCOLS };

/* What one column shows. */
struct view {
	struct lqos_column decl;
	enum lqos_direction direction;
	uint32_t protocol; /* enum tp_protocol, or ALL */
	bool packets;	   /* else bytes */
	bool whole;	   /* also of unknown hosts: the global columns */
	struct throughput *tp;
};

static uint64_t add_up(const struct view *v, const struct tp_counters *c)
{
	const struct tp_half *half = &c->half[v->direction];
	const __u64 *count = v->packets ? half->packets : half->bytes;
	uint64_t sum = 0;
	int i;

	if (v->protocol != ALL)
		return count[v->protocol];
	for (i = 0; i < TP_PROTOCOLS; i++)
		sum += count[i];
	return sum;
}

static uint64_t read_totals(const struct view *v, enum tp_whose whose)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < v->tp->cpus; cpu++)
		sum += add_up(v, &v->tp->totals[TP_WHOSE * cpu + whose]);
	return sum;
}

static uint64_t read_subscriber(uint32_t slot, void *arg)
{
	const struct view *v = arg;

	return slot ? add_up(v, &v->tp->slots[slot])
		    : read_totals(v, TP_UNKNOWN);
}

static uint64_t read_global(uint32_t id, void *arg)
{
	(void)id;
	return read_totals(arg, TP_SUBSCRIBERS) + read_totals(arg, TP_UNKNOWN);
}

static uint64_t read_evicted(uint32_t id, void *arg)
{
	const struct throughput *tp = arg;
	uint64_t sum = 0;
	uint32_t cpu;

	(void)id;
	for (cpu = 0; cpu < tp->cpus; cpu++)
		sum += tp->evicted[cpu];
	return sum;
}

#define VIEW(name_, title_, help_, direction_, protocol_, packets_, flags_) \
	{                                                                   \
		.decl = {.name = name_,                                     \
			 .title = title_,                                   \
			 .help = help_,                                     \
			 .kind = LQOS_COUNTER,                              \
			 .unit = packets_ ? LQOS_UNIT_PACKETS               \
					  : LQOS_UNIT_BYTES,                \
			 .flags = flags_},                                  \
		.direction = direction_, .protocol = protocol_,             \
		.packets = packets_                                         \
	}
/* Each protocol both ways, in bytes and packets: detail. */
#define VIEWS(name_, title_, what_, protocol_)                                \
	VIEW("down." name_ ".bytes", "Down " title_, what_ " to subscribers", \
	     LQOS_DOWN, protocol_, false, LQOS_COLUMN_DETAIL),                \
		VIEW("up." name_ ".bytes", "Up " title_,                      \
		     what_ " from subscribers", LQOS_UP, protocol_, false,    \
		     LQOS_COLUMN_DETAIL),                                     \
		VIEW("down." name_ ".packets", "pps " title_ "v",             \
		     what_ " packets to subscribers", LQOS_DOWN, protocol_,   \
		     true, LQOS_COLUMN_DETAIL),                               \
		VIEW("up." name_ ".packets", "pps " title_ "^",               \
		     what_ " packets from subscribers", LQOS_UP, protocol_,   \
		     true, LQOS_COLUMN_DETAIL)

static const struct view views[] = {
	VIEW("down.bytes", "Down", "to subscribers, whole frames", LQOS_DOWN,
	     ALL, false, 0),
	VIEW("up.bytes", "Up", "from subscribers, whole frames", LQOS_UP, ALL,
	     false, 0),
	VIEW("down.packets", "Down pps", "packets to subscribers", LQOS_DOWN,
	     ALL, true, 0),
	VIEW("up.packets", "Up pps", "packets from subscribers", LQOS_UP, ALL,
	     true, 0),
	VIEWS("tcp", "TCP", "TCP", TP_TCP),
	VIEWS("udp", "UDP", "UDP", TP_UDP),
	VIEWS("icmp", "ICMP", "ICMP and ICMPv6", TP_ICMP),
	VIEWS("other", "other", "neither TCP, UDP nor ICMP", TP_OTHER),
};

#define N_VIEWS (sizeof(views) / sizeof(views[0]))

static const struct lqos_column evicted = {
	.name = "unknown.evicted",
	.title = "evicted",
	.help = "unknown hosts forgotten to make room for others",
	.kind = LQOS_COUNTER,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_GLOBAL,
	.flags = LQOS_COLUMN_DETAIL,
	.read = read_evicted,
};

static int add_columns(struct lqos_ctx *ctx, struct throughput *tp)
{
	struct view *copy = calloc(2 * N_VIEWS, sizeof(*copy)), *v;
	size_t i;
	int rc;

	if (!copy)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, copy);
	for (i = 0; i < 2 * N_VIEWS && !rc; i++) {
		v = &copy[i];
		*v = views[i / 2];
		v->tp = tp;
		v->decl.scope =
			i % 2 ? LQOS_SCOPE_GLOBAL : LQOS_SCOPE_SUBSCRIBER;
		v->decl.read = i % 2 ? read_global : read_subscriber;
		rc = lqos_column_add(ctx, &v->decl, v);
	}
	return rc ?: lqos_column_add(ctx, &evicted, tp);
}

/* ---- throughput.unknown -------------------------------------------------- */

static uint64_t all_bytes(const struct tp_host *h)
{
	return h->bytes[0] + h->bytes[1];
}

/* A copy of an entry that its CPU goes on writing, never of one host's address
 * and another's counts.  False: it is free, or changes hands too fast. */
static bool copy_host(const struct tp_host *from, struct tp_host *to)
{
	int tries;

	for (tries = 0; tries < 8; tries++) {
		uint64_t hi = __atomic_load_n(&from->hi, __ATOMIC_ACQUIRE);
		uint64_t lo = __atomic_load_n(&from->lo, __ATOMIC_ACQUIRE);
		uint64_t seen =
			__atomic_load_n(&from->first_seen, __ATOMIC_ACQUIRE);

		if (!seen)
			return false;
		*to = *from;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (to->hi == hi && to->lo == lo && to->first_seen == seen &&
		    __atomic_load_n(&from->hi, __ATOMIC_RELAXED) == hi &&
		    __atomic_load_n(&from->lo, __ATOMIC_RELAXED) == lo &&
		    __atomic_load_n(&from->first_seen, __ATOMIC_RELAXED) ==
			    seen)
			return true;
	}
	return false;
}

static int by_address(const void *a, const void *b)
{
	const struct tp_host *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return (x->lo > y->lo) - (x->lo < y->lo);
}

static int by_bytes(const void *a, const void *b)
{
	uint64_t p = all_bytes(a), q = all_bytes(b);

	return (q > p) - (q < p);
}

static void merge(struct tp_host *into, const struct tp_host *h)
{
	into->bytes[0] += h->bytes[0];
	into->bytes[1] += h->bytes[1];
	into->packets[0] += h->packets[0];
	into->packets[1] += h->packets[1];
	if (into->last_seen < h->last_seen)
		into->last_seen = h->last_seen;
}

/* The hosts of one set, one a host: each CPU has a host in the set of the same
 * number.  Their number is returned. */
static size_t collect_set(const struct throughput *tp, uint32_t set,
			  struct tp_host *hosts)
{
	size_t n = 0, merged = 0, i;
	uint32_t cpu;

	for (cpu = 0; cpu < tp->cpus; cpu++)
		for (i = 0; i < TP_WAYS; i++)
			n += copy_host(&tp->hosts[(size_t)cpu * tp->sets + set]
						.host[i],
				       &hosts[n]);
	qsort(hosts, n, sizeof(*hosts), by_address);
	for (i = 0; i < n; i++)
		if (merged && !by_address(&hosts[i], &hosts[merged - 1]))
			merge(&hosts[merged - 1], &hosts[i]);
		else
			hosts[merged++] = hosts[i];
	return merged;
}

/* The most busy so far, as a heap with the least busy of them on top. */
struct top {
	struct tp_host *hosts;
	size_t n, room;
};

static void sift_down(struct top *top)
{
	size_t i = 0, least;
	struct tp_host h;

	while ((least = 2 * i + 1) < top->n) {
		if (least + 1 < top->n && all_bytes(&top->hosts[least + 1]) <
						  all_bytes(&top->hosts[least]))
			least++;
		if (all_bytes(&top->hosts[i]) <= all_bytes(&top->hosts[least]))
			return;
		h = top->hosts[i];
		top->hosts[i] = top->hosts[least];
		top->hosts[least] = h;
		i = least;
	}
}

static void sift_up(struct top *top)
{
	size_t i = top->n - 1, up;
	struct tp_host h;

	for (; i; i = up) {
		up = (i - 1) / 2;
		if (all_bytes(&top->hosts[up]) <= all_bytes(&top->hosts[i]))
			return;
		h = top->hosts[i];
		top->hosts[i] = top->hosts[up];
		top->hosts[up] = h;
	}
}

static void offer(struct top *top, const struct tp_host *h)
{
	if (top->n < top->room) {
		top->hosts[top->n++] = *h;
		sift_up(top);
	} else if (all_bytes(h) > all_bytes(&top->hosts[0])) {
		top->hosts[0] = *h;
		sift_down(top);
	}
}

/* The limit hosts with the most bytes, most first; *n of them. */
static struct tp_host *collect(const struct throughput *tp, size_t limit,
			       size_t *n)
{
	size_t of_set = (size_t)tp->cpus * TP_WAYS, all = of_set * tp->sets;
	struct top top = {.room = limit < all ? limit : all};
	struct tp_host *hosts = calloc(of_set, sizeof(*hosts));
	uint32_t set;
	size_t found, i;

	if (!hosts)
		return NULL;
	top.hosts = calloc(top.room, sizeof(*top.hosts));
	for (set = 0; top.hosts && set < tp->sets; set++) {
		found = collect_set(tp, set, hosts);
		for (i = 0; i < found; i++)
			offer(&top, &hosts[i]);
	}
	free(hosts);
	if (!top.hosts)
		return NULL;
	qsort(top.hosts, top.n, sizeof(*top.hosts), by_bytes);
	*n = top.n;
	return top.hosts;
}

static json_t *host_json(const struct tp_host *h, uint64_t now)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	memcpy(addr, &h->hi, 8);
	memcpy(addr + 8, &h->lo, 8);
	if (h->hi == UINT64_MAX)
		inet_ntop(AF_INET, addr + 8, text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "ip", text, "down_bytes",
			 (json_int_t)h->bytes[LQOS_DOWN], "up_bytes",
			 (json_int_t)h->bytes[LQOS_UP], "down_packets",
			 (json_int_t)h->packets[LQOS_DOWN], "up_packets",
			 (json_int_t)h->packets[LQOS_UP], "idle_ms",
			 (json_int_t)(now > h->last_seen
					      ? (now - h->last_seen) / 1000000
					      : 0));
}

static int list_unknown(struct lqos_call *call, void *arg)
{
	const json_t *given = json_object_get(lqos_call_params(call), "limit");
	json_int_t limit = given ? json_integer_value(given) : 100;
	const struct throughput *tp = arg;
	struct tp_host *hosts;
	struct timespec ts;
	json_t *out;
	size_t n, i;

	if (limit < 1 || limit > 100000)
		return lqos_call_fail(call, -EINVAL,
				      "limit: expected a number from 1 to "
				      "100000");
	hosts = collect(tp, limit, &n);
	if (!hosts)
		return lqos_call_fail(call, -ENOMEM, "too many unknown hosts");
	out = json_array();
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	for (i = 0; i < n; i++)
		json_array_append_new(
			out, host_json(&hosts[i],
				       ts.tv_sec * 1000000000ULL + ts.tv_nsec));
	free(hosts);
	lqos_call_result(call, out);
	return 0;
}

static const struct lqos_command unknown = {
	.name = "unknown",
	.params = "{limit?: number}",
	.help = "Hosts that are no subscriber's, most bytes first",
	.run = list_unknown,
};

/* ---- The module ---------------------------------------------------------- */

static void destroy_skel(void *skel)
{
	throughput_bpf__destroy(skel);
}

static int size_maps(struct lqos_ctx *ctx, const struct config *config,
		     struct throughput *tp)
{
	struct throughput_bpf *skel = tp->skel;
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -errno;
	tp->cpus = lqos_possible_cpus(ctx);
	tp->sets = 1;
	while (tp->sets * TP_WAYS < config->unknown_hosts)
		tp->sets *= 2;
	skel->rodata->tp_sets = tp->sets;
	skel->rodata->tp_seed = seed;
	return bpf_map__set_max_entries(skel->maps.tp_slots,
					lqos_subscriber_slots(ctx)) ?:
	       bpf_map__set_max_entries(skel->maps.tp_totals,
					TP_WHOSE * tp->cpus) ?:
	       bpf_map__set_max_entries(skel->maps.tp_hosts,
					tp->cpus * tp->sets) ?:
	       bpf_map__set_max_entries(skel->maps.tp_evicted, tp->cpus);
}

static int view_maps(struct lqos_ctx *ctx, struct throughput *tp)
{
	const struct {
		struct bpf_map *map;
		const void **view;
	} maps[] = {
		{tp->skel->maps.tp_slots, (const void **)&tp->slots},
		{tp->skel->maps.tp_totals, (const void **)&tp->totals},
		{tp->skel->maps.tp_hosts, (const void **)&tp->hosts},
		{tp->skel->maps.tp_evicted, (const void **)&tp->evicted},
	};
	void *view = NULL;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		rc = lqos_map_view(ctx, bpf_map__fd(maps[i].map), &view);
		if (rc)
			return rc;
		*maps[i].view = view;
	}
	return 0;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct throughput *tp = calloc(1, sizeof(*tp));
	int rc;

	if (!tp)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, tp);
	if (rc)
		return rc;
	tp->skel = throughput_bpf__open();
	if (!tp->skel)
		return lqos_fail(ctx, -errno, "cannot open its BPF object");
	rc = lqos_defer(ctx, destroy_skel, tp->skel);
	if (!rc)
		rc = size_maps(ctx, config, tp);
	if (!rc)
		rc = lqos_bpf_prepare(ctx, tp->skel->obj);
	if (rc)
		return rc;
	rc = throughput_bpf__load(tp->skel);
	if (rc)
		return lqos_fail(ctx, rc,
				 "the kernel refused its BPF programs");
	rc = view_maps(ctx, tp);
	if (!rc)
		rc = add_columns(ctx, tp);
	if (!rc)
		rc = lqos_command_add(ctx, &unknown, tp);
	if (!rc)
		rc = lqos_bpf_attach(ctx, tp->skel->obj);
	if (rc)
		return rc;
	*state = tp;
	return 0;
}

LQOS_MODULE(.name = "throughput", .version = "1.0",
	    .description = "Bytes and packets per subscriber, both ways",
	    .after = "steering", .options = options,
	    .config_size = sizeof(struct config), .start = start);
