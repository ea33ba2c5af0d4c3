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
	uint64_t sum[PP_SIDES];
	uint32_t bucket[PP_SIDES][PP_BUCKETS];
};

struct window {
	struct state state[2];
	int older;		/* of the two */
	uint32_t min[PP_SIDES]; /* of the half window before; 0: none */
	uint32_t max[PP_SIDES];
	uint64_t seq;		    /* tick of the statistics; 0: none */
	bool rotated;		    /* since then */
	uint32_t turned;	    /* samples when it was rotated last */
	uint32_t counted[PP_SIDES]; /* samples they are of, with all before */
	struct rtt_stats stats[PP_SIDES];
};

/* Asked for often, of seconds. */
static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
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

static void take_state(struct state *s, const struct pp_hist *hist)
{
	int side, i;

	for (side = 0; side < PP_SIDES; side++) {
		const struct pp_side_hist *h = &hist->side[side];

		s->sum[side] = h->sum;
		for (i = 0; i < PP_BUCKETS; i++)
			s->bucket[side][i] = h->bucket[i];
	}
}

/* Half a window on. */
static void rotate(struct window *w, struct pp_hist *hist)
{
	int side;

	take_state(&w->state[w->older], hist);
	w->older = !w->older;
	w->rotated = true;
	for (side = 0; side < PP_SIDES; side++) {
		w->min[side] = hist->side[side].min;
		w->max[side] = hist->side[side].max;
		hist->side[side].min = hist->side[side].max = 0;
	}
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

/* Nothing was seen in either half: both states are what there is now. */
#define ASLEEP UINT64_MAX

static uint64_t half_ns(const struct pping *p)
{
	return p->config->window * 500000000ULL;
}

static uint32_t samples_of(const struct pp_hist *hist)
{
	return hist->side[0].outcome[RTT_SAMPLE] +
	       hist->side[1].outcome[RTT_SAMPLE];
}

static void wake(const struct pping *p, struct lately *l)
{
	if (l->turn == ASLEEP)
		l->turn = now_ns() + half_ns(p);
}

/* True: half a window was over. */
static bool move_on(const struct pping *p, struct lately *l, uint64_t now,
		    struct pp_hist *hist)
{
	struct window *w = l->window;
	uint32_t samples;

	if (now < l->turn)
		return false;
	samples = samples_of(hist);
	rotate(w, hist);
	l->turn = samples == w->turned ? ASLEEP : now + half_ns(p);
	w->turned = samples;
	return true;
}

/* The same all through a tick, so that what is shown together fits. */
static struct rtt_stats stats_of(const struct pping *p, struct window *w,
				 const struct pp_hist *hist, enum pp_side which)
{
	const struct lqos_snapshot *snapshot = lqos_snapshot(p->ctx);
	uint64_t seq = snapshot ? lqos_snapshot_time(snapshot).seq : 0;
	int side;

	if (w->seq == seq && seq && !w->rotated)
		return w->stats[which];
	for (side = 0; side < PP_SIDES; side++) {
		uint32_t counted = hist->side[side].outcome[RTT_SAMPLE];
		struct rtt_samples samples = {};

		/* Most subscribers have nothing new in most ticks. */
		if (!w->rotated && counted == w->counted[side])
			continue;
		w->counted[side] = counted;
		window_side(w, hist, side, &samples);
		rtt_stats_of(&samples, &w->stats[side]);
	}
	w->seq = seq;
	w->rotated = false;
	return w->stats[which];
}

/* NULL: it has had no samples yet. */
static struct window *window_of(struct pping *p, uint32_t slot)
{
	struct lately *l = &p->lately[slot];

	if (l->window || !samples_of(&p->hists[slot]))
		return l->window;
	l->window = calloc(1, sizeof(*l->window));
	l->turn = now_ns() + half_ns(p);
	return l->window;
}

struct rtt_stats pping_stats(struct pping *p, uint32_t slot, enum pp_side side)
{
	struct window *w = window_of(p, slot);

	return w ? stats_of(p, w, &p->hists[slot], side) : (struct rtt_stats){};
}

void pping_add_window(struct pping *p, uint32_t slot, enum pp_side side,
		      struct rtt_samples *to)
{
	struct window *w = window_of(p, slot);

	if (w)
		window_side(w, &p->hists[slot], side, to);
}

static void on_slot(uint32_t slot, enum lqos_slot_event event, void *arg)
{
	struct pping *p = arg;

	if (event == LQOS_SLOT_TRAFFIC) {
		/* What is read next. */
		__builtin_prefetch(p->hists[slot].side[0].outcome);
		__builtin_prefetch(p->hists[slot].side[1].outcome);
		if (window_of(p, slot))
			wake(p, &p->lately[slot]);
		return;
	}
	free(p->lately[slot].window);
	p->lately[slot] = (struct lately){};
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
	struct pp_hist all;

	add_up(p, &all);
	return stats_of(p, p->total.window, &all, side);
}

static void move_total_on(struct pping *p, uint64_t now)
{
	struct pp_hist all;
	uint32_t cpu;
	int i;

	add_up(p, &all);
	if (samples_of(&all) != p->total.window->turned)
		wake(p, &p->total);
	if (!move_on(p, &p->total, now, &all))
		return;
	/* Least and most begin anew. */
	for (cpu = 0; cpu < p->cpus; cpu++)
		for (i = 0; i < PP_SIDES; i++)
			p->totals[cpu].side[i].min =
				p->totals[cpu].side[i].max = 0;
}

/* Windows move on whether or not anybody looks, or has traffic. */
static void on_second(void *arg)
{
	struct pping *p = arg;
	uint64_t now = now_ns();
	uint32_t slot;

	for (slot = 0; slot < p->slots; slot++)
		if (p->lately[slot].window)
			move_on(p, &p->lately[slot], now, &p->hists[slot]);
	move_total_on(p, now);
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

	for (i = 0; p->lately && i < p->slots; i++)
		free(p->lately[i].window);
	free(p->lately);
	free(p->total.window);
}

/* What a run before this one has counted is not of late. */
static int begin_after(struct lately *l, const struct pp_hist *hist)
{
	struct window *w = l->window = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	take_state(&w->state[0], hist);
	w->state[1] = w->state[0];
	w->turned = samples_of(hist);
	l->turn = ASLEEP;
	return 0;
}

int pping_new_windows(struct pping *p)
{
	struct pp_hist all;
	uint32_t slot;
	int rc;

	p->lately = calloc(p->slots, sizeof(*p->lately));
	rc = lqos_defer(p->ctx, free_windows, p);
	if (rc)
		return rc;
	if (!p->lately)
		return -ENOMEM;
	for (slot = 0; slot < p->slots; slot++)
		/* Nobody's memory is not touched. */
		if ((!slot || lqos_subscriber(p->ctx, slot)) &&
		    samples_of(&p->hists[slot]))
			rc = begin_after(&p->lately[slot], &p->hists[slot])
				     ?: rc;
	add_up(p, &all);
	rc = begin_after(&p->total, &all) ?: rc;
	return rc ?: lqos_slots_watch(p->ctx, on_slot, p)
		  ?: lqos_timer_every(p->ctx, 1000, on_second, p, NULL);
}
