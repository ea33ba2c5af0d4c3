/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_rtts.c - the distribution of RTTs. */
#include "modules/pping/cmd_rtts.h"

static unsigned int fine_bin(uint64_t ns)
{
	uint64_t units = ns >> RTTS_UNIT_SHIFT;
	unsigned int octave;

	if (units < RTTS_SUB)
		return (unsigned int)units;
	if (units >> RTTS_FINE_BITS)
		return RTTS_FINE - 1;
	octave = 63 - __builtin_clzll(units) - RTTS_SUB_BITS;
	return (octave << RTTS_SUB_BITS) + (unsigned int)(units >> octave);
}

/* The least that falls in it. */
static uint64_t fine_start(unsigned int bin)
{
	unsigned int octave = bin >> RTTS_SUB_BITS;
	uint64_t units = bin;

	if (octave > 1)
		units = (uint64_t)(bin - ((octave - 1) << RTTS_SUB_BITS))
			<< (octave - 1);
	return units << RTTS_UNIT_SHIFT;
}

void rtts_add(struct rtts *r, uint64_t ns)
{
	uint64_t bin = ns / RTTS_BIN_NS;

	if (!r->count || ns < r->min)
		r->min = ns;
	if (ns > r->max)
		r->max = ns;
	r->count++;
	r->sum += ns;
	r->bins[bin < RTTS_BINS ? bin : RTTS_BINS - 1]++;
	r->fine[fine_bin(ns)]++;
}

size_t rtts_bins(const struct rtts *r)
{
	uint64_t last = r->max / RTTS_BIN_NS;

	return last < RTTS_BINS ? last + 1 : RTTS_BINS;
}

uint64_t rtts_mean(const struct rtts *r)
{
	return (r->sum + r->count / 2) / r->count;
}

/* The RTT at place k, from 0, of all of them in order; those in one bin are
 * taken to be spread evenly. */
static double at_place(const struct rtts *r, uint64_t k)
{
	uint64_t before = 0;
	double start, width, value;
	unsigned int bin = 0;

	if (!k)
		return (double)r->min;
	if (k >= r->count - 1)
		return (double)r->max;
	while (bin < RTTS_FINE - 1 && before + r->fine[bin] <= k)
		before += r->fine[bin++];
	start = (double)fine_start(bin);
	width = (double)fine_start(bin + 1) - start;
	value = start +
		width * ((double)(k - before) + 0.5) / (double)r->fine[bin];
	if (value < (double)r->min)
		return (double)r->min;
	return value > (double)r->max ? (double)r->max : value;
}

uint64_t rtts_percentile(const struct rtts *r, unsigned int percent)
{
	double place = (double)(r->count - 1) * percent / 100;
	uint64_t k = (uint64_t)place;
	double low = at_place(r, k), high = at_place(r, k + 1);

	return (uint64_t)(low + (high - low) * (place - (double)k) + 0.5);
}
