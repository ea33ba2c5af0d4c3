/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_aggregate.c - RTTs and traffic by network and interval. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_aggregate.h"
#include "modules/pping/cmd_rtts.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS 1e6

enum {
	SUBNETS_MAX = 16384, /* of each family, as in ePPing */
	TIMEOUT_S = 300,     /* of a silent flow, as the daemon has it */
	ADDRESS = sizeof(struct in6_addr),
};

enum protocol { TCP, UDP, ICMP, ICMPV6, OTHER, PROTOCOLS };

static const char *const protocol_names[PROTOCOLS] = {
	[TCP] = "TCP",	     [UDP] = "UDP",	[ICMP] = "ICMP",
	[ICMPV6] = "ICMPv6", [OTHER] = "other",
};

/* What of a network's traffic is told apart. */
enum kind { TCP_TS, TCP_NOTS, NO_TCP, KINDS };

static const char *const kind_names[KINDS] = {
	[TCP_TS] = "TCP_TS",
	[TCP_NOTS] = "TCP_noTS",
	[NO_TCP] = "other",
};

/* As text, and as members. */
static const char *const ecn_names[4][2] = {
	{"Not-ECT", "no_ECT"},
	{"ECT1", "ECT1"},
	{"ECT0", "ECT0"},
	{"CE", "CE"},
};

struct counts {
	uint64_t packets, bytes;
};

struct network {
	uint8_t family; /* 4 or 6: IPv4 is told first */
	uint8_t length;
	uint8_t address[ADDRESS];
};

struct subnet {
	struct network network;
	struct counts rx[KINDS], tx[KINDS]; /* from it, to it */
	struct rtts *rtts;		    /* NULL: none */
};

struct pping_aggregate {
	const struct pping_aggregate_options *o;
	void *subnets; /* a tsearch() tree */
	unsigned int n_subnets[2];
	struct counts total[PROTOCOLS];
	uint64_t ecn[4], ecn_before[4];
	bool ecn_known;
	uint64_t lost_frames, lost_samples, no_subnet;
};

/* ---- Networks ------------------------------------------------------------ */

static int compare_subnets(const void *a, const void *b)
{
	return memcmp(&((const struct subnet *)a)->network,
		      &((const struct subnet *)b)->network,
		      sizeof(struct network));
}

static void free_subnet(void *node)
{
	struct subnet *subnet = node;

	free(subnet->rtts);
	free(subnet);
}

static void cut(struct network *network, unsigned int length)
{
	unsigned int whole = length / 8, rest = length % 8;

	network->length = (uint8_t)length;
	if (rest)
		network->address[whole++] &= (uint8_t)(0xff00 >> rest);
	memset(network->address + whole, 0, ADDRESS - whole);
}

static uint8_t read_address(const char *text, uint8_t to[static ADDRESS])
{
	if (inet_pton(AF_INET, text, to) == 1)
		return 4;
	return inet_pton(AF_INET6, text, to) == 1 ? 6 : 0;
}

static int find_subnet(struct pping_aggregate *a, const char *address,
		       struct subnet **out)
{
	struct subnet wanted = {}, **found;
	uint8_t family = read_address(address, wanted.network.address);
	unsigned int *n = &a->n_subnets[family == 6];

	if (!family)
		return -EPROTO;
	wanted.network.family = family;
	cut(&wanted.network, family == 4 ? a->o->v4_length : a->o->v6_length);
	found = tfind(&wanted, &a->subnets, compare_subnets);
	/* Where there are too many, the rest is told as one. */
	if (!found && *n >= SUBNETS_MAX) {
		a->no_subnet++;
		cut(&wanted.network, 0);
		found = tfind(&wanted, &a->subnets, compare_subnets);
	}
	if (!found) {
		struct subnet *subnet = malloc(sizeof(*subnet));

		if (!subnet)
			return -ENOMEM;
		*subnet = wanted;
		found = tsearch(subnet, &a->subnets, compare_subnets);
		if (!found) {
			free(subnet);
			return -ENOMEM;
		}
		++*n;
	}
	*out = *found;
	return 0;
}

static int add_rtt(struct subnet *subnet, uint64_t ns)
{
	if (!subnet->rtts)
		subnet->rtts = calloc(1, sizeof(*subnet->rtts));
	if (!subnet->rtts)
		return -ENOMEM;
	rtts_add(subnet->rtts, ns);
	return 0;
}

/* ---- What was seen ------------------------------------------------------- */

/* Both ends have a record, whichever it counts for. */
int pping_aggregate_add(struct pping_aggregate *a, const struct pping_sample *s)
{
	struct subnet *src, *dest;
	int rc = find_subnet(a, s->tuple.src_ip, &src)
			 ?: find_subnet(a, s->tuple.dest_ip, &dest);

	return rc ?: add_rtt(a->o->reverse ? dest : src, s->rtt);
}

static void add_counts(struct counts *to, uint64_t packets, uint64_t bytes)
{
	to->packets += packets;
	to->bytes += bytes;
}

static int find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	return n - 1;
}

int pping_aggregate_traffic(struct pping_aggregate *a,
			    const struct pping_traffic *t)
{
	int kind = find_name(kind_names, KINDS, t->protocol), protocol = TCP;
	struct subnet *subnet;
	int rc = find_subnet(a, t->network, &subnet);

	if (rc)
		return rc;
	if (kind == NO_TCP)
		protocol = find_name(protocol_names, PROTOCOLS, t->protocol);
	add_counts(&subnet->rx[kind], t->rx_packets, t->rx_bytes);
	add_counts(&subnet->tx[kind], t->tx_packets, t->tx_bytes);
	/* Every packet comes from one network. */
	add_counts(&a->total[protocol], t->rx_packets, t->rx_bytes);
	return 0;
}

void pping_aggregate_ecn(struct pping_aggregate *a,
			 const uint64_t packets[static 4])
{
	for (int i = 0; i < 4; i++) {
		if (a->ecn_known)
			a->ecn[i] += packets[i] - a->ecn_before[i];
		a->ecn_before[i] = packets[i];
	}
	a->ecn_known = true;
}

void pping_aggregate_lost(struct pping_aggregate *a, uint64_t frames,
			  uint64_t samples)
{
	a->lost_frames += frames;
	a->lost_samples += samples;
}

/* ---- Records as text ----------------------------------------------------- */

static void network_text(const struct network *network, char *buf, size_t size)
{
	size_t len;

	inet_ntop(network->family == 4 ? AF_INET : AF_INET6, network->address,
		  buf, size);
	len = strlen(buf);
	snprintf(buf + len, size - len, "/%u", network->length);
}

static struct counts sum_of(const struct counts kinds[static KINDS])
{
	struct counts sum = {};

	for (int i = 0; i < KINDS; i++)
		add_counts(&sum, kinds[i].packets, kinds[i].bytes);
	return sum;
}

/* "NAME=N", if it is any. */
static void print_count(FILE *f, const char *name, uint64_t n, const char **gap)
{
	if (!n)
		return;
	fprintf(f, "%s%s=%" PRIu64, *gap, name, n);
	*gap = ", ";
}

static void print_subnet(struct pping_output *out, const struct subnet *subnet,
			 uint64_t now)
{
	struct counts rx = sum_of(subnet->rx), tx = sum_of(subnet->tx);
	const struct rtts *r = subnet->rtts;
	char name[INET6_ADDRSTRLEN + 4];

	network_text(&subnet->network, name, sizeof(name));
	pping_output_time(out, now);
	fprintf(out->f,
		": %s -> rxpkts=%" PRIu64 ", rxbytes=%" PRIu64
		", txpkts=%" PRIu64 ", txbytes=%" PRIu64,
		name, rx.packets, rx.bytes, tx.packets, tx.bytes);
	if (r)
		fprintf(out->f,
			", rtt-count=%" PRIu64
			", min=%.6g ms, mean=%g ms, median=%g ms, p95=%g ms, "
			"max=%.6g ms",
			r->count, (double)r->min / NS_PER_MS,
			(double)rtts_mean(r) / NS_PER_MS,
			(double)rtts_percentile(r, 50) / NS_PER_MS,
			(double)rtts_percentile(r, 95) / NS_PER_MS,
			(double)r->max / NS_PER_MS);
	fputc('\n', out->f);
}

/* "NAME=(", or with a comma before it. */
static void print_open(FILE *f, const char *name, const char **gap,
		       const char **inner)
{
	fprintf(f, "%s%s=(", *gap, name);
	*gap = ", ";
	*inner = "";
}

static void print_ecn(FILE *f, const struct pping_aggregate *a,
		      const char **gap)
{
	const char *inner;

	if (!(a->ecn[0] | a->ecn[1] | a->ecn[2] | a->ecn[3]))
		return;
	print_open(f, "ECN", gap, &inner);
	for (int i = 0; i < 4; i++)
		print_count(f, ecn_names[i][0], a->ecn[i], &inner);
	fputc(')', f);
}

static void print_errors(FILE *f, const struct pping_aggregate *a,
			 const char **gap)
{
	const char *inner;

	if (!a->no_subnet && !a->lost_frames && !a->lost_samples)
		return;
	print_open(f, "errors", gap, &inner);
	print_count(f, "create-agg-subnet-state", a->no_subnet, &inner);
	print_count(f, "lost-frames", a->lost_frames, &inner);
	print_count(f, "lost-samples", a->lost_samples, &inner);
	fputc(')', f);
}

static void print_totals(const struct pping_aggregate *a,
			 struct pping_output *out, uint64_t now)
{
	const char *gap = "", *inner;

	pping_output_time(out, now);
	fputs(": ", out->f);
	for (int i = 0; i < PROTOCOLS; i++) {
		if (!a->total[i].packets)
			continue;
		print_open(out->f, protocol_names[i], &gap, &inner);
		print_count(out->f, "pkts", a->total[i].packets, &inner);
		print_count(out->f, "bytes", a->total[i].bytes, &inner);
		fputc(')', out->f);
	}
	if (!*gap) {
		fputs("pkts=0, bytes=0", out->f);
		gap = ", ";
	}
	print_ecn(out->f, a, &gap);
	print_errors(out->f, a, &gap);
	fputc('\n', out->f);
}

/* ---- Records as JSON ----------------------------------------------------- */

static void set_count(json_t *object, const char *name, uint64_t n)
{
	if (n)
		json_object_set_new(object, name, json_integer((json_int_t)n));
}

static void set_counts(json_t *object, const char *name,
		       const struct counts *counts)
{
	json_t *both;

	if (!counts->packets)
		return;
	both = json_object();
	set_count(both, "packets", counts->packets);
	set_count(both, "bytes", counts->bytes);
	json_object_set_new(object, name, both);
}

static json_t *traffic_json(const struct counts kinds[static KINDS])
{
	json_t *object = json_object();

	for (int i = 0; i < KINDS; i++)
		set_counts(object, kind_names[i], &kinds[i]);
	return object;
}

static void set_rtts(json_t *object, const struct rtts *r)
{
	json_t *histogram = json_array();

	set_count(object, "count_rtt", r->count);
	json_object_set_new(object, "min_rtt", json_integer(r->min));
	json_object_set_new(object, "mean_rtt", json_integer(rtts_mean(r)));
	json_object_set_new(object, "median_rtt",
			    json_integer(rtts_percentile(r, 50)));
	json_object_set_new(object, "p95_rtt",
			    json_integer(rtts_percentile(r, 95)));
	json_object_set_new(object, "max_rtt", json_integer(r->max));
	for (size_t i = 0; i < rtts_bins(r); i++)
		json_array_append_new(histogram, json_integer(r->bins[i]));
	json_object_set_new(object, "histogram", histogram);
}

static int subnet_json(struct pping_output *out, const struct subnet *subnet,
		       uint64_t now)
{
	char name[INET6_ADDRSTRLEN + 4];
	json_t *object;

	network_text(&subnet->network, name, sizeof(name));
	object = json_pack("{s:I,s:s,s:o,s:o}", "timestamp", (json_int_t)now,
			   "ip_prefix", name, "rx_stats",
			   traffic_json(subnet->rx), "tx_stats",
			   traffic_json(subnet->tx));
	if (object && subnet->rtts)
		set_rtts(object, subnet->rtts);
	return pping_output_object(out, object);
}

static int totals_json(const struct pping_aggregate *a,
		       struct pping_output *out, uint64_t now)
{
	json_t *protocols = json_object(), *ecn = json_object();
	json_t *errors = json_object();

	for (int i = 0; i < PROTOCOLS; i++)
		set_counts(protocols, protocol_names[i], &a->total[i]);
	for (int i = 0; i < 4; i++)
		set_count(ecn, ecn_names[i][1], a->ecn[i]);
	set_count(errors, "create_agg_subnet_state", a->no_subnet);
	set_count(errors, "lost_frames", a->lost_frames);
	set_count(errors, "lost_samples", a->lost_samples);
	return pping_output_object(
		out, json_pack("{s:I,s:o,s:o,s:o}", "timestamp",
			       (json_int_t)now, "protocol_counters", protocols,
			       "ecn_counters", ecn, "errors", errors));
}

/* ---- Reports ------------------------------------------------------------- */

int pping_aggregate_head(const struct pping_aggregate *a,
			 struct pping_output *out, uint64_t now)
{
	if (pping_output_is_json(out))
		return pping_output_object(
			out,
			json_pack("{s:I,s:i,s:i,s:I,s:I,s:i,s:i}", "timestamp",
				  (json_int_t)now, "bins", RTTS_BINS,
				  "bin_width_ns", RTTS_BIN_NS,
				  "aggregation_interval_ns",
				  (json_int_t)(a->o->seconds * NS_PER_S),
				  "timeout_interval_ns",
				  (json_int_t)(TIMEOUT_S * NS_PER_S),
				  "ipv4_prefix_len", (int)a->o->v4_length,
				  "ipv6_prefix_len", (int)a->o->v6_length));
	fprintf(out->f,
		"Aggregating RTTs in histograms with %d %g ms wide bins every "
		"%u seconds\n",
		RTTS_BINS, RTTS_BIN_NS / NS_PER_MS, a->o->seconds);
	return 0;
}

struct report {
	struct pping_output *out;
	uint64_t now;
	int rc;
};

static void report_subnet(const void *node, VISIT which, void *arg)
{
	const struct subnet *subnet = *(struct subnet *const *)node;
	struct report *report = arg;

	if (report->rc || (which != postorder && which != leaf))
		return;
	if (pping_output_is_json(report->out))
		report->rc = subnet_json(report->out, subnet, report->now);
	else
		print_subnet(report->out, subnet, report->now);
}

static void start_interval(struct pping_aggregate *a)
{
	tdestroy(a->subnets, free_subnet);
	a->subnets = NULL;
	memset(a->n_subnets, 0, sizeof(a->n_subnets));
	memset(a->total, 0, sizeof(a->total));
	memset(a->ecn, 0, sizeof(a->ecn));
	a->lost_frames = a->lost_samples = a->no_subnet = 0;
}

int pping_aggregate_report(struct pping_aggregate *a, struct pping_output *out,
			   uint64_t now)
{
	struct report report = {.out = out, .now = now};

	twalk_r(a->subnets, report_subnet, &report);
	if (!report.rc && pping_output_is_json(out))
		report.rc = totals_json(a, out, now);
	else if (!report.rc)
		print_totals(a, out, now);
	start_interval(a);
	return report.rc;
}

int pping_aggregate_new(struct pping_aggregate **out,
			const struct pping_aggregate_options *o)
{
	struct pping_aggregate *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->o = o;
	*out = a;
	return 0;
}

void pping_aggregate_free(struct pping_aggregate **a)
{
	if (!*a)
		return;
	start_interval(*a);
	free(*a);
	*a = NULL;
}
