/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of lqosctl pping by network and interval. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_aggregate.h"
#include "modules/pping/cmd_rtts.h"

#define T0	   UINT64_C(1783070692082600725)
#define S	   UINT64_C(1000000000)
#define MS(n)	   ((uint64_t)((n)*1000000 + 0.5))
#define CLOCK_TEXT "09:24:52.082600725"

struct bench {
	struct pping_aggregate_options options;
	struct pping_aggregate *aggregate;
	struct pping_output out;
	char *text;
	size_t size;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->options = (struct pping_aggregate_options){
		.seconds = 5, .v4_length = 24, .v6_length = 48};
	assert_int_equal(pping_aggregate_new(&b->aggregate, &b->options), 0);
	b->out.f = open_memstream(&b->text, &b->size);
	assert_non_null(b->out.f);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	fclose(b->out.f);
	free(b->text);
	pping_aggregate_free(&b->aggregate);
	assert_null(b->aggregate);
	pping_aggregate_free(&b->aggregate);
	free(b);
	return 0;
}

/* Ends the interval; the text of its report. */
static const char *report(struct bench *b, uint64_t now)
{
	rewind(b->out.f);
	assert_int_equal(pping_aggregate_report(b->aggregate, &b->out, now), 0);
	fputc('\0', b->out.f);
	fflush(b->out.f);
	return b->text;
}

/* src answers dest; sent and rec are packets of 100 octets. */
struct answer {
	const char *protocol, *src, *dest, *kind;
	uint64_t ms, sent, rec, at;
};

static int add(struct bench *b, struct answer a)
{
	bool server = strcmp(a.src, a.dest) > 0;
	const struct pping_sample sample = {
		.tuple = {.timestamp = T0 + a.at * S,
			  .protocol = a.protocol ?: "TCP",
			  .src_ip = a.src,
			  .dest_ip = a.dest,
			  .src_port = server ? 443 : 50000,
			  .dest_port = server ? 50000 : 443},
		.rtt = a.ms * 1000000,
		.min_rtt = a.ms * 1000000,
		.sent_packets = a.sent,
		.sent_bytes = a.sent * 100,
		.rec_packets = a.rec,
		.rec_bytes = a.rec * 100,
		.side = "internet",
		.kind = a.kind ?: "ack",
		.circuit_id = "",
	};

	return pping_aggregate_add(b->aggregate, &sample);
}

#define ADD(...) assert_int_equal(add(*state, (struct answer){__VA_ARGS__}), 0)

/* A connection, both of whose halves are measured, and a ping. */
static void some_traffic(void **state)
{
	ADD(.src = "192.0.2.7", .dest = "100.64.1.9", .kind = "handshake",
	    .ms = 30, .sent = 1, .rec = 1);
	ADD(.src = "100.64.1.9", .dest = "192.0.2.7", .kind = "handshake",
	    .ms = 10, .sent = 1, .rec = 1);
	ADD(.src = "192.0.2.7", .dest = "100.64.1.9", .ms = 32, .sent = 11,
	    .rec = 20);
	ADD(.protocol = "ICMPv6", .src = "2001:db8:1:2::3",
	    .dest = "2001:db8:ffff::", .kind = "icmp", .ms = 2, .sent = 1,
	    .rec = 1);
}

static void standard(void **state)
{
	struct bench *b = *state;

	some_traffic(state);
	assert_string_equal(
		report(b, T0), CLOCK_TEXT
		": 100.64.1.0/24 -> rxpkts=11, rxbytes=1100, txpkts=20, "
		"txbytes=2000, rtt-count=1, min=10 ms, mean=10 ms, median=10 "
		"ms, p95=10 ms, max=10 ms\n" CLOCK_TEXT
		": 192.0.2.0/24 -> rxpkts=20, rxbytes=2000, txpkts=11, "
		"txbytes=1100, rtt-count=2, min=30 ms, mean=31 ms, median=31 "
		"ms, p95=31.9 ms, max=32 ms\n" CLOCK_TEXT
		": 2001:db8:1::/48 -> rxpkts=1, rxbytes=100, txpkts=1, "
		"txbytes=100, rtt-count=1, min=2 ms, mean=2 ms, median=2 ms, "
		"p95=2 ms, max=2 ms\n" CLOCK_TEXT
		": 2001:db8:ffff::/48 -> rxpkts=1, rxbytes=100, txpkts=1, "
		"txbytes=100\n" CLOCK_TEXT
		": TCP=(pkts=31, bytes=3100), ICMPv6=(pkts=2, bytes=200)\n");
	assert_string_equal(report(b, T0), CLOCK_TEXT ": pkts=0, bytes=0\n");
}

static void jsonl(void **state)
{
	struct bench *b = *state;

	b->out.format = PPING_JSONL;
	some_traffic(state);
	assert_string_equal(
		report(b, T0),
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"100.64.1.0/24\",\"rx_stats\":{\"TCP\":{\"packets\":11,"
		"\"bytes\":1100}},\"tx_stats\":{\"TCP\":{\"packets\":20,"
		"\"bytes\":2000}},\"count_rtt\":1,\"min_rtt\":10000000,"
		"\"mean_rtt\":10000000,\"median_rtt\":10000000,\"p95_rtt\":"
		"10000000,\"max_rtt\":10000000,\"histogram\":[0,0,1]}\n"
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"192.0.2.0/24\",\"rx_stats\":{\"TCP\":{\"packets\":20,"
		"\"bytes\":2000}},\"tx_stats\":{\"TCP\":{\"packets\":11,"
		"\"bytes\":1100}},\"count_rtt\":2,\"min_rtt\":30000000,"
		"\"mean_rtt\":31000000,\"median_rtt\":31000000,\"p95_rtt\":"
		"31900000,\"max_rtt\":32000000,\"histogram\":[0,0,0,0,0,0,0,1,"
		"1]}\n"
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"2001:db8:1::/48\",\"rx_stats\":{\"other\":{\"packets\":1,"
		"\"bytes\":100}},\"tx_stats\":{\"other\":{\"packets\":1,"
		"\"bytes\":100}},\"count_rtt\":1,\"min_rtt\":2000000,"
		"\"mean_rtt\":2000000,\"median_rtt\":2000000,\"p95_rtt\":"
		"2000000,\"max_rtt\":2000000,\"histogram\":[1]}\n"
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"2001:db8:ffff::/48\",\"rx_stats\":{\"other\":{\"packets\":1,"
		"\"bytes\":100}},\"tx_stats\":{\"other\":{\"packets\":1,"
		"\"bytes\":100}}}\n"
		"{\"timestamp\":1783070692082600725,\"protocol_counters\":{"
		"\"TCP\":{\"packets\":31,\"bytes\":3100},\"ICMPv6\":{"
		"\"packets\":2,\"bytes\":200}},\"ecn_counters\":{},"
		"\"errors\":{}}\n");
}

static void heads(void **state)
{
	struct bench *b = *state;

	pping_aggregate_head(b->aggregate, &b->out, T0);
	b->out.format = PPING_JSONL;
	pping_aggregate_head(b->aggregate, &b->out, T0);
	fflush(b->out.f);
	assert_string_equal(
		b->text,
		"Aggregating RTTs in histograms with 250 4 ms wide bins every "
		"5 seconds\n"
		"{\"timestamp\":1783070692082600725,\"bins\":250,"
		"\"bin_width_ns\":4000000,\"aggregation_interval_ns\":"
		"5000000000,\"timeout_interval_ns\":300000000000,"
		"\"ipv4_prefix_len\":24,\"ipv6_prefix_len\":48}\n");
}

static void reverse_and_other_lengths(void **state)
{
	struct bench *b = *state;

	b->options.reverse = true;
	b->options.v4_length = 9;
	b->options.v6_length = 0;
	some_traffic(state);
	assert_string_equal(
		report(b, T0), CLOCK_TEXT
		": 100.0.0.0/9 -> rxpkts=11, rxbytes=1100, txpkts=20, "
		"txbytes=2000, rtt-count=2, min=30 ms, mean=31 ms, median=31 "
		"ms, p95=31.9 ms, max=32 ms\n" CLOCK_TEXT
		": 192.0.0.0/9 -> rxpkts=20, rxbytes=2000, txpkts=11, "
		"txbytes=1100, rtt-count=1, min=10 ms, mean=10 ms, median=10 "
		"ms, p95=10 ms, max=10 ms\n" CLOCK_TEXT
		": ::/0 -> rxpkts=2, rxbytes=200, txpkts=2, txbytes=200, "
		"rtt-count=1, min=2 ms, mean=2 ms, median=2 ms, p95=2 ms, "
		"max=2 ms\n" CLOCK_TEXT
		": TCP=(pkts=31, bytes=3100), ICMPv6=(pkts=2, bytes=200)\n");
}

static void losses(void **state)
{
	struct bench *b = *state;

	pping_aggregate_lost(b->aggregate, 2, 5);
	pping_aggregate_lost(b->aggregate, 0, 7);
	assert_string_equal(report(b, T0),
			    CLOCK_TEXT ": pkts=0, bytes=0, errors=(lost-frames="
				       "2, lost-samples=12)\n");
	b->out.format = PPING_JSON;
	pping_aggregate_lost(b->aggregate, 0, 1);
	assert_string_equal(
		report(b, T0),
		"{\"timestamp\":1783070692082600725,\"protocol_counters\":{},"
		"\"ecn_counters\":{},\"errors\":{\"lost_samples\":1}}");
}

/* ---- What flows have carried --------------------------------------------- */

#define A "192.0.2.7"
#define B "192.0.2.8"

/* Of all TCP in the interval. */
static void carried(void **state, unsigned int packets)
{
	const char *text = report(*state, T0);
	unsigned int got = 0;
	const char *tcp = strstr(text, "TCP=(pkts=");

	if (tcp)
		got = (unsigned int)atoi(tcp + 10);
	assert_int_equal(got, packets);
}

static void a_flow_from_before(void **state)
{
	ADD(.src = A, .dest = B, .ms = 1, .sent = 1000, .rec = 2000);
	carried(state, 0);
	ADD(.src = B, .dest = A, .ms = 1, .sent = 2005, .rec = 1001);
	carried(state, 6);
	/* A sample that is late has lower counters. */
	ADD(.src = B, .dest = A, .ms = 1, .sent = 2002, .rec = 1000);
	ADD(.src = B, .dest = A, .ms = 1, .sent = 2005, .rec = 1002);
	carried(state, 1);
}

static void another_flow_of_the_same_ends(void **state)
{
	ADD(.src = A, .dest = B, .kind = "handshake", .sent = 1, .rec = 1);
	ADD(.src = A, .dest = B, .sent = 30, .rec = 20);
	carried(state, 50);
	ADD(.src = A, .dest = B, .kind = "handshake", .sent = 1, .rec = 2);
	carried(state, 3);
	/* Without one, it takes more than being late. */
	ADD(.src = A, .dest = B, .sent = 50, .rec = 50, .at = 1);
	carried(state, 97);
	ADD(.src = A, .dest = B, .sent = 4, .rec = 3, .at = 10);
	carried(state, 0);
	ADD(.src = A, .dest = B, .sent = 4, .rec = 3, .at = 30);
	carried(state, 7);
}

static void an_idle_flow_is_forgotten(void **state)
{
	struct bench *b = *state;

	ADD(.src = A, .dest = B, .sent = 10, .rec = 10);
	ADD(.src = A, .dest = B, .sent = 11, .rec = 10);
	report(b, T0 + 299 * S);
	ADD(.src = A, .dest = B, .sent = 12, .rec = 10);
	carried(state, 1);
	report(b, T0 + 301 * S);
	ADD(.src = A, .dest = B, .sent = 90, .rec = 90, .at = 301);
	carried(state, 0);
}

static void ports_and_protocols_differ(void **state)
{
	ADD(.src = A, .dest = B, .sent = 10, .rec = 10);
	ADD(.src = A, .dest = B, .protocol = "UDP", .sent = 20, .rec = 20);
	carried(state, 0);
	ADD(.src = A, .dest = B, .sent = 11, .rec = 10);
	carried(state, 1);
}

static void addresses_that_are_none(void **state)
{
	assert_int_equal(add(*state, (struct answer){.src = "x", .dest = A}),
			 -EPROTO);
	assert_int_equal(add(*state, (struct answer){.src = A, .dest = "::1"}),
			 -EPROTO);
}

static void more_networks_than_are_told_apart(void **state)
{
	struct bench *b = *state;
	const char *text;
	char ip[32], *last;

	b->options.v4_length = 32;
	for (unsigned int i = 0; i < 16384 + 10; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i >> 8, i & 255);
		ADD(.src = ip, .dest = ip, .ms = 1, .sent = 1, .rec = 1);
	}
	text = report(b, T0);
	last = strndup(text, strcspn(text, "\n"));
	assert_non_null(last);
	assert_string_equal(last, CLOCK_TEXT
			    ": 0.0.0.0/0 -> rxpkts=20, rxbytes=2000, "
			    "txpkts=20, txbytes=2000, rtt-count=10, min=1 ms, "
			    "mean=1 ms, median=1 ms, p95=1 ms, max=1 ms");
	free(last);
	assert_non_null(strstr(text, " 10.1.63.255/32 ->"));
	assert_null(strstr(text, " 10.1.64.0/32 ->"));
}

/* ---- Distributions ------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void close_to(uint64_t got, double wanted, double most)
{
	double off = ((double)got - wanted) / (wanted + 1);

	if (off > most || off < -most)
		fail_msg("got %llu, expected %.0f", (unsigned long long)got,
			 wanted);
}

static double exact(const uint64_t *sorted, size_t n, unsigned int percent)
{
	double place = (double)(n - 1) * percent / 100;
	size_t k = (size_t)place;

	return (double)sorted[k] +
	       (k + 1 < n ? (double)(sorted[k + 1] - sorted[k]) *
				    (place - (double)k)
			  : 0);
}

/* From 1 us to minutes, a few and many. */
static void percentiles(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 10, 1000, 20000};
	static uint64_t all[20000];
	static struct rtts r;
	uint64_t sum, seed = 1;

	(void)state;
	for (unsigned int shift = 10; shift < 38; shift += 3) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			size_t n = sizes[s];

			memset(&r, 0, sizeof(r));
			sum = 0;
			for (size_t i = 0; i < n; i++) {
				seed = seed * 6364136223846793005u + 1;
				all[i] = (UINT64_C(1) << shift) +
					 (seed >> 24) % (UINT64_C(3) << shift);
				if (i % 3)
					all[i] /= 2;
				rtts_add(&r, all[i]);
				sum += all[i];
			}
			qsort(all, n, sizeof(all[0]), by_size);
			assert_true(r.min == all[0] && r.max == all[n - 1]);
			close_to(rtts_mean(&r), (double)sum / (double)n, 1e-3);
			assert_true(rtts_percentile(&r, 0) == all[0]);
			assert_true(rtts_percentile(&r, 100) == all[n - 1]);
			if (shift < 15)
				continue; /* finer than the bins are */
			close_to(rtts_percentile(&r, 50), exact(all, n, 50),
				 0.02);
			close_to(rtts_percentile(&r, 95), exact(all, n, 95),
				 0.02);
		}
	}
}

static void bins(void **state)
{
	static struct rtts r;

	(void)state;
	rtts_add(&r, 0);
	assert_int_equal(rtts_bins(&r), 1);
	rtts_add(&r, MS(4) - 1);
	assert_int_equal(rtts_bins(&r), 1);
	rtts_add(&r, MS(4));
	assert_int_equal(rtts_bins(&r), 2);
	rtts_add(&r, MS(1000) - 1);
	assert_int_equal(rtts_bins(&r), 250);
	rtts_add(&r, MS(1000));
	rtts_add(&r, UINT64_MAX / 4);
	assert_int_equal(rtts_bins(&r), 250);
	assert_int_equal(r.bins[0], 2);
	assert_int_equal(r.bins[1], 1);
	assert_int_equal(r.bins[249], 3);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(standard),
		TEST(jsonl),
		TEST(heads),
		TEST(reverse_and_other_lengths),
		TEST(losses),
		TEST(a_flow_from_before),
		TEST(another_flow_of_the_same_ends),
		TEST(an_idle_flow_is_forgotten),
		TEST(ports_and_protocols_differ),
		TEST(addresses_that_are_none),
		TEST(more_networks_than_are_told_apart),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(bins),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
