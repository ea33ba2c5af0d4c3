/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * window.c - histograms of the last seconds.
 *
 * The programs only count up.  Of each subscriber with samples two earlier
 * states are kept, half a window apart; what has been added since the older one
 * is what was seen of late.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/lib/rtt.h"
#include "modules/pping/pping.h"

/* Nothing is measured here. */
static __always_inline __u64 rtt_now(void)
{
	return 0;
}

_Static_assert((int)PP_BUCKETS == (int)RTT_BUCKETS, "one histogram");
_Static_assert((int)RTT_OUTCOMES <= (int)PP_OUTCOMES, "room");

struct state {
	uint64_t taken; /* CLOCK_MONOTONIC, ns; 0: at the beginning */
	uint64_t sum[PP_SIDES];
	uint32_t samples[PP_SIDES];
	uint32_t bucket[PP_SIDES][PP_BUCKETS];
};

struct window {
	struct state state[2];
	int older;		/* of the two */
	uint32_t min[PP_SIDES]; /* of the half window before; 0: none */
	uint32_t max[PP_SIDES];
	uint64_t seq;		    /* tick of the stats below; 0: none */
	uint32_t counted[PP_SIDES]; /* samples they are of, with all before */
	struct rtt_stats stats[PP_SIDES];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- Statistics -----------------------------------------------------------
 */

/* What the samples of a bucket may have been. */
struct span {
	double low, high;
};

/* The least of all and the most cut off their buckets' ends. */
static struct span span_of(uint32_t bucket, const struct rtt_stats *s)
{
	double floor = (double)rtt_bucket_floor(bucket);
	double end = (double)rtt_bucket_floor(bucket + 1);
	struct span span = {floor, end};

	if ((double)s->min > floor && (double)s->min < end)
		span.low = (double)s->min;
	if ((double)s->max > span.low && (double)s->max < end)
		span.high = (double)s->max;
	return span;
}

/*
 * If the mean of each bucket's samples were its middle, their sum would be off.
 * The means are moved so that it is right, and so that each is moved as little
 * as can be for how wide it is: what is returned, times samples, times the
 * square of the width.  So where most are in one bucket, it is told where.
 */
static double find_shift(const struct rtt_samples *samples,
			 const struct rtt_stats *s)
{
	double off = (double)samples->sum, weight = 0, part;
	struct span span;
	uint32_t i;

	for (i = 0; i < PP_BUCKETS; i++) {
		if (!samples->bucket[i])
			continue;
		span = span_of(i, s);
		part = samples->bucket[i] * (span.high - span.low);
		off -= samples->bucket[i] * (span.low + span.high) / 2;
		weight += part * part;
	}
	return weight > 0 ? off / weight : 0;
}

/* The q-th of all samples. */
static uint64_t quantile(const struct rtt_samples *samples,
			 const struct rtt_stats *s, double shift, double q)
{
	double rank = q * s->samples, before = 0, mean, width;
	const uint32_t *bucket = samples->bucket;
	struct span span;
	uint32_t i;

	for (i = 0; i < PP_BUCKETS; i++) {
		if (before + bucket[i] >= rank && bucket[i])
			break;
		before += bucket[i];
	}
	if (i == PP_BUCKETS)
		return 0;
	span = span_of(i, s);
	mean = (span.low + span.high) / 2;
	width = span.high - span.low;
	mean += shift * bucket[i] * width * width;
	mean = mean < span.low ? span.low : mean > span.high ? span.high : mean;
	/* Evenly to both sides of it, as far as to the nearer end. */
	width = 2 * (mean - span.low < span.high - mean ? mean - span.low
							: span.high - mean);
	return (uint64_t)(mean + width * ((rank - before) / bucket[i] - 0.5));
}

static void widen(struct rtt_samples *s, uint32_t min, uint32_t max)
{
	if (min && (!s->min || min < s->min))
		s->min = min;
	if (max > s->max)
		s->max = max;
}

void rtt_samples_add(struct rtt_samples *to, const struct rtt_samples *from)
{
	int i;

	for (i = 0; i < PP_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->sum += from->sum;
	widen(to, from->min, from->max);
}

void rtt_stats_of(const struct rtt_samples *samples, struct rtt_stats *out)
{
	struct rtt_stats s = {};
	double shift;
	int i;

	for (i = 0; i < PP_BUCKETS; i++)
		s.samples += samples->bucket[i];
	if (s.samples) {
		s.min = (uint64_t)samples->min << RTT_UNIT_SHIFT;
		s.max = (uint64_t)(samples->max + 1) << RTT_UNIT_SHIFT;
		s.mean = samples->sum / s.samples;
		shift = find_shift(samples, &s);
		s.p50 = quantile(samples, &s, shift, 0.5);
		s.p90 = quantile(samples, &s, shift, 0.9);
		s.p99 = quantile(samples, &s, shift, 0.99);
	}
	*out = s;
}

/* ---- Windows --------------------------------------------------------------
 */

static void take_state(struct state *s, struct pp_hist *hist, uint64_t now)
{
	int side, i;

	s->taken = now;
	for (side = 0; side < PP_SIDES; side++) {
		const struct pp_side_hist *h = &hist->side[side];

		s->sum[side] = h->sum;
		s->samples[side] = 0;
		for (i = 0; i < PP_BUCKETS; i++) {
			s->samples[side] += h->bucket[i];
			s->bucket[side][i] = h->bucket[i];
		}
	}
}

/* Half a window on. */
static void rotate(struct window *w, struct pp_hist *hist, uint64_t now)
{
	int side;

	take_state(&w->state[w->older], hist, now);
	w->older = !w->older;
	for (side = 0; side < PP_SIDES; side++) {
		w->min[side] = hist->side[side].min;
		w->max[side] = hist->side[side].max;
		hist->side[side].min = hist->side[side].max = 0;
	}
}

/* The slot is another subscriber's now, who begins with zeros. */
static bool is_anothers(const struct window *w, const struct pp_hist *hist)
{
	const struct state *s = &w->state[!w->older];
	int side;

	for (side = 0; side < PP_SIDES; side++)
		if (hist->side[side].outcome[RTT_SAMPLE] < s->samples[side])
			return true;
	return false;
}

static void window_side(const struct window *w, const struct pp_hist *hist,
			int side, struct rtt_samples *to)
{
	const struct pp_side_hist *h = &hist->side[side];
	const struct state *s = &w->state[w->older];
	int i;

	for (i = 0; i < PP_BUCKETS; i++)
		to->bucket[i] += h->bucket[i] - s->bucket[side][i];
	to->sum += h->sum - s->sum[side];
	widen(to, h->min, h->max);
	widen(to, w->min[side], w->max[side]);
}

/* Its statistics are of this tick from here on. */
static void bring_up_to_date(const struct pping *p, struct window *w,
			     struct pp_hist *hist)
{
	const struct lqos_snapshot *snapshot = lqos_snapshot(p->ctx);
	uint64_t seq = snapshot ? lqos_snapshot_time(snapshot).seq : 0;
	uint64_t half = p->config->window * 500000000ULL, now;
	bool rotated;
	int side;

	if (w->seq == seq && seq)
		return;
	now = now_ns();
	if (is_anothers(w, hist))
		*w = (struct window){};
	w->seq = seq;
	rotated = now - w->state[!w->older].taken >= half;
	if (rotated)
		rotate(w, hist, now);
	for (side = 0; side < PP_SIDES; side++) {
		uint32_t counted = hist->side[side].outcome[RTT_SAMPLE];
		struct rtt_samples samples = {};

		/* Most subscribers have nothing new in most ticks. */
		if (!rotated && counted == w->counted[side])
			continue;
		w->counted[side] = counted;
		window_side(w, hist, side, &samples);
		rtt_stats_of(&samples, &w->stats[side]);
	}
}

static bool has_samples(const struct pp_hist *hist)
{
	return hist->side[0].outcome[RTT_SAMPLE] ||
	       hist->side[1].outcome[RTT_SAMPLE];
}

/* NULL: it has had no samples yet. */
static struct window *window_of(struct pping *p, uint32_t slot)
{
	struct window **w = &p->windows[slot];

	if (!*w && has_samples(&p->hists[slot]))
		*w = calloc(1, sizeof(**w));
	if (*w)
		bring_up_to_date(p, *w, &p->hists[slot]);
	return *w;
}

struct rtt_stats pping_stats(struct pping *p, uint32_t slot, enum pp_side side)
{
	struct window *w = window_of(p, slot);

	return w ? w->stats[side] : (struct rtt_stats){};
}

void pping_add_window(struct pping *p, uint32_t slot, enum pp_side side,
		      struct rtt_samples *to)
{
	struct window *w = window_of(p, slot);

	if (w)
		window_side(w, &p->hists[slot], side, to);
}

/* ---- In total -------------------------------------------------------------
 */

static void add_up(const struct pping *p, struct pp_hist *out)
{
	uint32_t cpu, side, i;

	memset(out, 0, sizeof(*out));
	for (cpu = 0; cpu < p->cpus; cpu++) {
		for (side = 0; side < PP_SIDES; side++) {
			struct pp_side_hist *from = &p->totals[cpu].side[side];
			struct pp_side_hist *to = &out->side[side];

			for (i = 0; i < PP_BUCKETS; i++)
				to->bucket[i] += from->bucket[i];
			to->sum += from->sum;
			to->outcome[RTT_SAMPLE] += from->outcome[RTT_SAMPLE];
			if (from->min && (!to->min || from->min < to->min))
				to->min = from->min;
			if (from->max > to->max)
				to->max = from->max;
		}
	}
}

struct rtt_stats pping_total(struct pping *p, enum pp_side side)
{
	const struct window *w = p->total;
	uint64_t half = w->state[!w->older].taken;
	struct pp_hist all;
	uint32_t cpu;
	int i;

	add_up(p, &all);
	bring_up_to_date(p, p->total, &all);
	/* Rotated: least and most begin anew. */
	if (half != w->state[!w->older].taken)
		for (cpu = 0; cpu < p->cpus; cpu++)
			for (i = 0; i < PP_SIDES; i++)
				p->totals[cpu].side[i].min =
					p->totals[cpu].side[i].max = 0;
	return p->total->stats[side];
}

static uint64_t outcome_of(const struct pp_side_hist *h, uint32_t outcome)
{
	return outcome == PPING_INEXACT ? h->inexact : h->outcome[outcome];
}

uint64_t pping_outcome(const struct pping *p, uint32_t slot, enum pp_side side,
		       uint32_t outcome)
{
	return outcome_of(&p->hists[slot].side[side], outcome);
}

uint64_t pping_total_outcome(const struct pping *p, enum pp_side side,
			     uint32_t outcome)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < p->cpus; cpu++)
		sum += outcome_of(&p->totals[cpu].side[side], outcome);
	return sum;
}

static void free_windows(void *arg)
{
	struct pping *p = arg;
	uint32_t i;

	for (i = 0; p->windows && i < p->slots; i++)
		free(p->windows[i]);
	free(p->windows);
	free(p->total);
}

/* What a run before this one has counted is not of late. */
static void begin_after(struct pping *p, uint32_t slot)
{
	struct window *w;

	/* Nobody's memory is not touched. */
	if ((slot && !lqos_subscriber(p->ctx, slot)) ||
	    !has_samples(&p->hists[slot]))
		return;
	w = p->windows[slot] = calloc(1, sizeof(*w));
	if (!w)
		return;
	take_state(&w->state[0], &p->hists[slot], now_ns());
	w->state[1] = w->state[0];
}

int pping_new_windows(struct pping *p)
{
	struct pp_hist all;
	uint32_t slot;

	p->windows = calloc(p->slots, sizeof(struct window *));
	p->total = calloc(1, sizeof(*p->total));
	if (!p->windows || !p->total) {
		free(p->windows);
		free(p->total);
		return -ENOMEM;
	}
	for (slot = 0; slot < p->slots; slot++)
		begin_after(p, slot);
	add_up(p, &all);
	take_state(&p->total->state[0], &all, now_ns());
	p->total->state[1] = p->total->state[0];
	return lqos_defer(p->ctx, free_windows, p);
}
