/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Histograms of the last seconds, on a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

static uint64_t clock_ns;

static int stopped_clock(clockid_t which, struct timespec *out)
{
	(void)which;
	out->tv_sec = (time_t)(clock_ns / 1000000000);
	out->tv_nsec = (long)(clock_ns % 1000000000);
	return 0;
}

#define clock_gettime stopped_clock
#include "modules/pping/window.c"
#include "tests/unit/snapshot_seq.h"

enum { SLOTS = 8, ALICE = 3, CPUS = 2, MS = 1000000 };

static struct pp_hist hists[SLOTS], totals[CPUS];
static const struct pping_config config = {.window = 10};
static struct pping p;
static bool owned;
static void (*deferred)(void *arg);

/* ---- In place of the core ------------------------------------------------ */

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *ctx,
					      uint32_t slot)
{
	static const struct lqos_subscriber alice;

	(void)ctx;
	return owned && slot == ALICE ? &alice : NULL;
}

int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *arg), void *arg)
{
	(void)ctx;
	(void)arg;
	deferred = fn;
	return 0;
}

static void (*slot_event)(uint32_t slot, enum lqos_slot_event event, void *arg);

int lqos_slots_watch(struct lqos_ctx *ctx,
		     void (*fn)(uint32_t slot, enum lqos_slot_event event,
				void *arg),
		     void *arg)
{
	(void)ctx;
	assert_ptr_equal(arg, &p);
	slot_event = fn;
	return 0;
}

static void (*second)(void *arg);

int lqos_timer_every(struct lqos_ctx *ctx, uint32_t ms, lqos_timer_fn fn,
		     void *arg, struct lqos_watch **out)
{
	(void)ctx;
	(void)out;
	assert_int_equal(ms, 1000);
	assert_ptr_equal(arg, &p);
	second = fn;
	return 0;
}

/* ---- Samples ------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	memset(hists, 0, sizeof(hists));
	memset(totals, 0, sizeof(totals));
	p = (struct pping){.config = &config,
			   .hists = hists,
			   .totals = totals,
			   .cpus = CPUS,
			   .slots = SLOTS};
	clock_ns = 1000000000000ULL;
	seq = 1;
	return 0;
}

static int begin(void **state)
{
	return setup(state) ?: pping_new_windows(&p);
}

static int end(void **state)
{
	(void)state;
	deferred(&p);
	return 0;
}

static void add(struct pp_hist *h, enum pp_side side, uint64_t ns, uint32_t n)
{
	struct pp_side_hist *s = &h->side[side];
	uint32_t units = (uint32_t)(ns >> RTT_UNIT_SHIFT);

	s->bucket[rtt_bucket(ns)] += n;
	s->outcome[RTT_SAMPLE] += n;
	s->sum += ns * n;
	if (!s->min || units < s->min)
		s->min = units;
	if (units > s->max)
		s->max = units;
}

static void after(unsigned int ms)
{
	clock_ns += (uint64_t)ms * MS;
	seq++;
	second(&p);
}

static struct rtt_stats stats(enum pp_side side)
{
	return pping_stats(&p, ALICE, side);
}

static void near(uint64_t got, uint64_t want, uint64_t percent)
{
	assert_in_range(got, want - want * percent / 100,
			want + want * percent / 100 + 64);
}

/* ---- Statistics ---------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Against all samples in a row; a bucket is an eighth wide at most. */
static void percentiles(void **state)
{
	enum { N = 2000 };
	static uint64_t all[N];
	struct rtt_samples samples = {};
	struct rtt_stats got;
	uint64_t x = 12345, sum = 0;
	int i;

	(void)state;
	for (i = 0; i < N; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		all[i] = 100000 + (x >> 33) % (1ULL << (18 + i % 10));
		samples.bucket[rtt_bucket(all[i])]++;
		sum += all[i];
	}
	qsort(all, N, sizeof(all[0]), by_size);
	samples.sum = sum;
	samples.min = (uint32_t)(all[0] >> RTT_UNIT_SHIFT);
	samples.max = (uint32_t)(all[N - 1] >> RTT_UNIT_SHIFT);
	rtt_stats_of(&samples, &got);
	assert_int_equal(got.samples, N);
	assert_int_equal(got.mean, sum / N);
	assert_in_range(got.min, all[0] - 64, all[0]);
	assert_in_range(got.max, all[N - 1], all[N - 1] + 64);
	near(got.p50, all[N / 2], 3);
	near(got.p90, all[N * 9 / 10], 3);
	near(got.p99, all[N * 99 / 100], 3);
}

/* Nearly all in one bucket of 29.4 to 31.5 ms, as of an idle line: where they
 * are in it the mean tells. */
static void narrow(void **state)
{
	static const struct {
		uint64_t least, each, outlier; /* ns */
	} lines[] = {
		{30003000, 1, 45 * MS}, {10024600, 12, 10270000},
		{29400000, 3, 31 * MS}, {31300000, 7, 31400000},
		{5 * MS, 0, 5 * MS},	{31455000, 3, 90 * MS},
	};
	enum { N = 20000 };
	uint64_t ns, most;
	uint32_t i, k;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct rtt_samples samples = {};
		struct rtt_stats got;

		for (k = 0; k < N; k++) {
			ns = lines[i].least + k * lines[i].each;
			if (k % 200 == 0)
				ns = lines[i].outlier;
			samples.bucket[rtt_bucket(ns)]++;
			samples.sum += ns;
		}
		samples.min = (uint32_t)(lines[i].least >> RTT_UNIT_SHIFT);
		most = lines[i].outlier > ns ? lines[i].outlier : ns;
		samples.max = (uint32_t)(most >> RTT_UNIT_SHIFT);
		rtt_stats_of(&samples, &got);
		ns = lines[i].least + N / 2 * lines[i].each;
		assert_in_range(got.p50, ns - MS / 10, ns + MS / 10);
		assert_in_range(got.p90, lines[i].least, ns + MS / 2);
		assert_in_range(got.p99, got.p90, ns + MS);
		assert_in_range(got.max, got.p99, most + 64);
	}
}

/* n samples: base, and behind it what is tail at most for nearly all, in
 * thousandths; the slowest of them are late. */
struct path {
	uint64_t base, tail;
	int late; /* in 10,000 */
	uint64_t how_late;
};

static uint64_t draw(const struct path *path, int i, uint64_t *x)
{
	double u;

	*x = *x * 6364136223846793005ULL + 1442695040888963407ULL;
	u = (double)((*x >> 33) + 1) / (double)(1ULL << 31);
	if (i % 10000 < path->late)
		return path->base + (uint64_t)(u * (double)path->how_late);
	return path->base + (uint64_t)(-log(u) / 6 * (double)path->tail);
}

/* Paths as there are: all of their samples lie in a bucket or two, but for some
 * that are late.  Half a bucket would be 1 ms at 30, and 3 ms at 80. */
static void paths(void **state)
{
	enum { N = 20000 };
	static const struct path all_paths[] = {
		{30 * MS, MS / 10, 0, 0},
		{30 * MS, MS / 10, 10, 3 * MS},
		{30 * MS, MS / 4, 5, 60 * MS},
		{10 * MS, MS / 4, 0, 0},
		{10 * MS, MS / 4, 20, 10 * MS},
		{31430 * (MS / 1000), MS / 10, 10, 10 * MS}, /* at an edge */
		{80 * MS, MS / 5, 0, 0},
		{80 * MS, MS / 5, 10, 20 * MS},
		{MS / 2, MS / 10, 0, 0},
	};
	static uint64_t all[N];
	struct rtt_stats got;
	uint64_t x = 4711;
	size_t at;
	int i;

	(void)state;
	for (at = 0; at < sizeof(all_paths) / sizeof(all_paths[0]); at++) {
		struct rtt_samples samples = {};

		for (i = 0; i < N; i++) {
			all[i] = draw(&all_paths[at], i, &x);
			samples.bucket[rtt_bucket(all[i])]++;
			samples.sum += all[i];
		}
		qsort(all, N, sizeof(all[0]), by_size);
		samples.min = (uint32_t)(all[0] >> RTT_UNIT_SHIFT);
		samples.max = (uint32_t)(all[N - 1] >> RTT_UNIT_SHIFT);
		rtt_stats_of(&samples, &got);
		assert_in_range(got.p50, all[N / 2] - MS / 10,
				all[N / 2] + MS / 10);
		assert_in_range(got.p99, all[N * 99 / 100] - MS / 2,
				all[N * 99 / 100] + MS +
					all[N * 99 / 100] / 100);
		assert_true(got.min <= got.p50 && got.p50 <= got.p90 &&
			    got.p90 <= got.p99 && got.p99 <= got.max);
	}
}

static void few(void **state)
{
	struct rtt_samples samples = {}, both = {};
	struct rtt_stats got = {.p50 = 1};

	(void)state;
	rtt_stats_of(&samples, &got);
	assert_int_equal(got.samples + got.min + got.max + got.mean + got.p50 +
				 got.p90 + got.p99,
			 0);
	/* One sample is all of them. */
	samples.bucket[rtt_bucket(5 * MS)] = 1;
	samples.sum = 5 * MS;
	samples.min = samples.max = 5 * MS >> RTT_UNIT_SHIFT;
	rtt_stats_of(&samples, &got);
	assert_int_equal(got.mean, 5 * MS);
	assert_in_range(got.p50, 5 * MS - 64, 5 * MS + 64);
	assert_in_range(got.p99, 5 * MS - 64, 5 * MS + 64);
	rtt_samples_add(&both, &samples);
	samples.min = samples.max = 9 * MS >> RTT_UNIT_SHIFT;
	rtt_samples_add(&both, &samples);
	rtt_samples_add(&both, &(struct rtt_samples){});
	rtt_stats_of(&both, &got);
	assert_int_equal(got.samples, 2);
	assert_in_range(got.min, 5 * MS - 64, 5 * MS);
	assert_in_range(got.max, 9 * MS, 9 * MS + 64);
}

/* ---- Windows ------------------------------------------------------------- */

/* What is older than the window is gone, what is younger than half of it is
 * there. */
static void rotation(void **state)
{
	struct rtt_stats s;

	(void)state;
	assert_int_equal(stats(PP_ACCESS).samples, 0);
	add(&hists[ALICE], PP_ACCESS, 5 * MS, 10);
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 10);
	assert_int_equal(stats(PP_INTERNET).samples, 0);
	after(5100);
	add(&hists[ALICE], PP_ACCESS, 50 * MS, 29);
	assert_int_equal(stats(PP_ACCESS).samples, 39);
	add(&hists[ALICE], PP_ACCESS, 50 * MS, 1);
	/* The same tick: the same answer. */
	assert_int_equal(stats(PP_ACCESS).samples, 39);
	after(1000);
	s = stats(PP_ACCESS);
	assert_int_equal(s.samples, 40);
	assert_in_range(s.min, 5 * MS - 64, 5 * MS);
	assert_in_range(s.max, 50 * MS, 50 * MS + 64);
	assert_int_equal(s.mean, (10 * 5 + 30 * 50) * MS / 40);
	after(4100); /* the ten are 10 s old, the others not */
	s = stats(PP_ACCESS);
	assert_int_equal(s.samples, 30);
	assert_int_equal(s.mean, 50 * MS);
	after(5100);
	s = stats(PP_ACCESS);
	assert_int_equal(s.samples, 0);
	assert_int_equal(s.min, 0);
	assert_int_equal(s.max, 0);
	add(&hists[ALICE], PP_ACCESS, 7 * MS, 1);
	after(1000);
	s = stats(PP_ACCESS);
	assert_int_equal(s.samples, 1);
	assert_in_range(s.min, 7 * MS - 64, 7 * MS);
	assert_in_range(s.max, 7 * MS, 7 * MS + 64);
}

/* Nobody looks: what is over goes all the same. */
static void nobody_looks(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 60; i++) {
		add(&hists[ALICE], PP_INTERNET, 10 * MS, 100);
		add(&totals[0], PP_INTERNET, 10 * MS, 100);
		after(1000);
		slot_event(ALICE, LQOS_SLOT_TRAFFIC, &p);
	}
	assert_in_range(stats(PP_INTERNET).samples, 500, 1100);
	assert_in_range(pping_total(&p, PP_INTERNET).samples, 500, 1100);
	for (i = 0; i < 11; i++)
		after(1000);
	assert_int_equal(stats(PP_INTERNET).samples, 0);
	assert_int_equal(stats(PP_INTERNET).min, 0);
	assert_int_equal(pping_total(&p, PP_INTERNET).samples, 0);
}

/* The first second after a silence is all there, and not for longer than any.
 */
static void after_a_silence(void **state)
{
	uint32_t i, silence;

	(void)state;
	for (silence = 0; silence < 60; silence++) {
		add(&hists[ALICE], PP_INTERNET, 10 * MS, 20);
		add(&totals[1], PP_INTERNET, 10 * MS, 20);
		after(1000);
		slot_event(ALICE, LQOS_SLOT_TRAFFIC, &p);
		assert_in_range(stats(PP_INTERNET).samples, 20, 220);
		assert_in_range(pping_total(&p, PP_INTERNET).samples, 20, 220);
		for (i = 0; i < silence; i++)
			after(1000);
		if (silence > 11)
			assert_int_equal(stats(PP_INTERNET).samples, 0);
		if (silence > 11)
			assert_int_equal(pping_total(&p, PP_INTERNET).samples,
					 0);
	}
}

/* Row after row of ticks: never less than half a window, never more than one.
 */
static void steady(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 60; i++) {
		add(&hists[ALICE], PP_INTERNET, 10 * MS, 100);
		after(1000);
		if (i > 12)
			assert_in_range(stats(PP_INTERNET).samples, 500, 1100);
		else
			stats(PP_INTERNET);
	}
}

static void another_owner(void **state)
{
	(void)state;
	add(&hists[ALICE], PP_ACCESS, 5 * MS, 100);
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 100);
	memset(&hists[ALICE], 0, sizeof(hists[ALICE]));
	slot_event(ALICE, LQOS_SLOT_GIVEN, &p);
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 0);
	/* More of them than the one before had. */
	add(&hists[ALICE], PP_ACCESS, 50 * MS, 300);
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 300);
	assert_in_range(stats(PP_ACCESS).min, 50 * MS - 64, 50 * MS);
}

/* All of a flood of samples is told. */
static void growth(void **state)
{
	uint32_t i, n = 50000;

	(void)state;
	for (i = 0; i < 100; i++) {
		add(&hists[ALICE], PP_ACCESS, 5 * MS, n);
		after(10);
		assert_int_equal(stats(PP_ACCESS).samples, n * (i + 1));
	}
}

/* What a run before has counted is not of late. */
static void run_before(void **state)
{
	(void)state;
	add(&hists[ALICE], PP_ACCESS, 5 * MS, 1000);
	add(&hists[0], PP_ACCESS, 5 * MS, 1000);
	owned = true;
	assert_int_equal(pping_new_windows(&p), 0);
	owned = false;
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 0);
	add(&hists[ALICE], PP_ACCESS, 5 * MS, 2);
	add(&hists[0], PP_ACCESS, 5 * MS, 3);
	after(1000);
	assert_int_equal(stats(PP_ACCESS).samples, 2);
	assert_int_equal(pping_stats(&p, 0, PP_ACCESS).samples, 3);
}

static void in_total(void **state)
{
	struct rtt_stats s;

	(void)state;
	add(&totals[0], PP_ACCESS, 5 * MS, 10);
	add(&totals[1], PP_ACCESS, 9 * MS, 30);
	after(1000);
	s = pping_total(&p, PP_ACCESS);
	assert_int_equal(s.samples, 40);
	assert_in_range(s.min, 5 * MS - 64, 5 * MS);
	assert_in_range(s.max, 9 * MS, 9 * MS + 64);
	assert_int_equal(pping_total_outcome(&p, PP_ACCESS, RTT_SAMPLE), 40);
	add(&totals[1], PP_ACCESS, 9 * MS, 5);
	/* All of it is less than ten seconds ago. */
	after(5100);
	s = pping_total(&p, PP_ACCESS);
	assert_int_equal(s.samples, 45);
	after(5100);
	assert_int_equal(pping_total(&p, PP_ACCESS).samples, 0);
	assert_int_equal(pping_total_outcome(&p, PP_ACCESS, RTT_SAMPLE), 45);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles),
		cmocka_unit_test(narrow),
		cmocka_unit_test(paths),
		cmocka_unit_test(few),
		cmocka_unit_test_setup_teardown(rotation, begin, end),
		cmocka_unit_test_setup_teardown(nobody_looks, begin, end),
		cmocka_unit_test_setup_teardown(after_a_silence, begin, end),
		cmocka_unit_test_setup_teardown(steady, begin, end),
		cmocka_unit_test_setup_teardown(another_owner, begin, end),
		cmocka_unit_test_setup_teardown(growth, begin, end),
		cmocka_unit_test_setup_teardown(run_before, setup, end),
		cmocka_unit_test_setup_teardown(in_total, begin, end),
	};

	return cmocka_run_group_tests_name("pping_window", tests, NULL, NULL);
}
