/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of lqosctl pping by network and interval. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_aggregate.h"
#include "modules/pping/cmd_rtts.h"

#define T0	   UINT64_C(1783070692082600725)
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

/* src answers dest. */
static int add(struct bench *b, const char *src, const char *dest, uint64_t ms)
{
	const struct pping_sample sample = {
		.tuple = {.src_ip = src, .dest_ip = dest}, .rtt = ms * 1000000};

	return pping_aggregate_add(b->aggregate, &sample);
}

#define ADD(...) assert_int_equal(add(*state, __VA_ARGS__), 0)

/* Packets of 100 octets. */
static int carry(struct bench *b, const char *network, const char *protocol,
		 uint64_t rx, uint64_t tx)
{
	const struct pping_traffic traffic = {
		.network = network,
		.protocol = protocol,
		.rx_packets = rx,
		.rx_bytes = rx * 100,
		.tx_packets = tx,
		.tx_bytes = tx * 100,
	};

	return pping_aggregate_traffic(b->aggregate, &traffic);
}

#define CARRY(...) assert_int_equal(carry(*state, __VA_ARGS__), 0)

/* A connection, both of whose halves are measured, a ping, and what nobody
 * answers. */
static void some_traffic(void **state)
{
	ADD("192.0.2.7", "100.64.1.9", 30);
	ADD("100.64.1.9", "192.0.2.7", 10);
	ADD("192.0.2.7", "100.64.1.9", 32);
	ADD("2001:db8:1:2::3", "2001:db8:ffff::", 2);
	CARRY("192.0.2.0", "TCP_TS", 19, 10);
	CARRY("100.64.1.0", "TCP_TS", 10, 19);
	CARRY("192.0.2.0", "TCP_noTS", 1, 1);
	CARRY("100.64.1.0", "TCP_noTS", 1, 1);
	CARRY("100.64.1.0", "UDP", 7, 0);
	CARRY("203.0.113.0", "UDP", 0, 7);
	CARRY("2001:db8:1::", "ICMPv6", 1, 1);
	CARRY("2001:db8:ffff::", "ICMPv6", 1, 1);
}

static void standard(void **state)
{
	struct bench *b = *state;

	some_traffic(state);
	assert_string_equal(
		report(b, T0), CLOCK_TEXT
		": 100.64.1.0/24 -> rxpkts=18, rxbytes=1800, txpkts=20, "
		"txbytes=2000, rtt-count=1, min=10 ms, mean=10 ms, median=10 "
		"ms, p95=10 ms, max=10 ms\n" CLOCK_TEXT
		": 192.0.2.0/24 -> rxpkts=20, rxbytes=2000, txpkts=11, "
		"txbytes=1100, rtt-count=2, min=30 ms, mean=31 ms, median=31 "
		"ms, p95=31.9 ms, max=32 ms\n" CLOCK_TEXT
		": 203.0.113.0/24 -> rxpkts=0, rxbytes=0, txpkts=7, "
		"txbytes=700\n" CLOCK_TEXT
		": 2001:db8:1::/48 -> rxpkts=1, rxbytes=100, txpkts=1, "
		"txbytes=100, rtt-count=1, min=2 ms, mean=2 ms, median=2 ms, "
		"p95=2 ms, max=2 ms\n" CLOCK_TEXT
		": 2001:db8:ffff::/48 -> rxpkts=1, rxbytes=100, txpkts=1, "
		"txbytes=100\n" CLOCK_TEXT
		": TCP=(pkts=31, bytes=3100), UDP=(pkts=7, bytes=700), "
		"ICMPv6=(pkts=2, bytes=200)\n");
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
		"\"100.64.1.0/24\",\"rx_stats\":{\"TCP_TS\":{\"packets\":10,"
		"\"bytes\":1000},\"TCP_noTS\":{\"packets\":1,\"bytes\":100},"
		"\"other\":{\"packets\":7,\"bytes\":700}},\"tx_stats\":{"
		"\"TCP_TS\":{\"packets\":19,\"bytes\":1900},\"TCP_noTS\":{"
		"\"packets\":1,\"bytes\":100}},\"count_rtt\":1,\"min_rtt\":"
		"10000000,\"mean_rtt\":10000000,\"median_rtt\":10000000,"
		"\"p95_rtt\":10000000,\"max_rtt\":10000000,\"histogram\":[0,0,"
		"1]}\n"
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"192.0.2.0/24\",\"rx_stats\":{\"TCP_TS\":{\"packets\":19,"
		"\"bytes\":1900},\"TCP_noTS\":{\"packets\":1,\"bytes\":100}},"
		"\"tx_stats\":{\"TCP_TS\":{\"packets\":10,\"bytes\":1000},"
		"\"TCP_noTS\":{\"packets\":1,\"bytes\":100}},\"count_rtt\":2,"
		"\"min_rtt\":30000000,\"mean_rtt\":31000000,\"median_rtt\":"
		"31000000,\"p95_rtt\":31900000,\"max_rtt\":32000000,"
		"\"histogram\":[0,0,0,0,0,0,0,1,1]}\n"
		"{\"timestamp\":1783070692082600725,\"ip_prefix\":"
		"\"203.0.113.0/24\",\"rx_stats\":{},\"tx_stats\":{\"other\":{"
		"\"packets\":7,\"bytes\":700}}}\n"
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
		"\"TCP\":{\"packets\":31,\"bytes\":3100},\"UDP\":{\"packets\":"
		"7,\"bytes\":700},\"ICMPv6\":{\"packets\":2,\"bytes\":200}},"
		"\"ecn_counters\":{},\"errors\":{}}\n");
}

/* The first are of before. */
static void ecn(void **state)
{
	struct bench *b = *state;

	pping_aggregate_ecn(b->aggregate, (uint64_t[]){1000, 7, 0, 0});
	pping_aggregate_ecn(b->aggregate, (uint64_t[]){1500, 7, 4, 1});
	pping_aggregate_ecn(b->aggregate, (uint64_t[]){1501, 9, 4, 1});
	assert_string_equal(report(b, T0),
			    CLOCK_TEXT ": pkts=0, bytes=0, ECN=(Not-ECT=501, "
				       "ECT1=2, ECT0=4, CE=1)\n");
	b->out.format = PPING_JSON;
	pping_aggregate_ecn(b->aggregate, (uint64_t[]){1502, 10, 6, 4});
	assert_string_equal(
		report(b, T0),
		"{\"timestamp\":1783070692082600725,\"protocol_counters\":{},"
		"\"ecn_counters\":{\"no_ECT\":1,\"ECT1\":1,\"ECT0\":2,\"CE\":"
		"3},\"errors\":{}}");
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
		": 100.0.0.0/9 -> rxpkts=18, rxbytes=1800, txpkts=20, "
		"txbytes=2000, rtt-count=2, min=30 ms, mean=31 ms, median=31 "
		"ms, p95=31.9 ms, max=32 ms\n" CLOCK_TEXT
		": 192.0.0.0/9 -> rxpkts=20, rxbytes=2000, txpkts=11, "
		"txbytes=1100, rtt-count=1, min=10 ms, mean=10 ms, median=10 "
		"ms, p95=10 ms, max=10 ms\n" CLOCK_TEXT
		": 203.0.0.0/9 -> rxpkts=0, rxbytes=0, txpkts=7, "
		"txbytes=700\n" CLOCK_TEXT
		": ::/0 -> rxpkts=2, rxbytes=200, txpkts=2, txbytes=200, "
		"rtt-count=1, min=2 ms, mean=2 ms, median=2 ms, p95=2 ms, "
		"max=2 ms\n" CLOCK_TEXT
		": TCP=(pkts=31, bytes=3100), UDP=(pkts=7, bytes=700), "
		"ICMPv6=(pkts=2, bytes=200)\n");
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

static void addresses_that_are_none(void **state)
{
	assert_int_equal(add(*state, "x", "192.0.2.7", 1), -EPROTO);
	assert_int_equal(add(*state, "192.0.2.7", "", 1), -EPROTO);
	assert_int_equal(carry(*state, "192.0.2", "UDP", 1, 1), -EPROTO);
}

static void more_networks_than_are_told_apart(void **state)
{
	struct bench *b = *state;
	const char *text;
	char ip[32], *last;

	b->options.v4_length = 32;
	for (unsigned int i = 0; i < 16384 + 10; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i >> 8, i & 255);
		ADD(ip, ip, 1);
		CARRY(ip, "ICMP", 2, 2);
	}
	text = report(b, T0);
	last = strndup(text, strcspn(text, "\n"));
	assert_non_null(last);
	assert_string_equal(last, CLOCK_TEXT
			    ": 0.0.0.0/0 -> rxpkts=20, rxbytes=2000, "
			    "txpkts=20, txbytes=2000, rtt-count=10, min=1 ms, "
			    "mean=1 ms, median=1 ms, p95=1 ms, max=1 ms");
	free(last);
	assert_non_null(strstr(text, ", errors=(create-agg-subnet-state=30)"));
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
		TEST(ecn),
		TEST(addresses_that_are_none),
		TEST(more_networks_than_are_told_apart),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(bins),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
