/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_rtts.h - the distribution of one network's RTTs in one interval: ePPing's
 * histogram, and a finer one for the percentiles, for which 4 ms are too wide.
 */
#ifndef MODULES_PPING_CMD_RTTS_H
#define MODULES_PPING_CMD_RTTS_H

#include <stddef.h>
#include <stdint.h>

enum {
	RTTS_BINS = 250,
	RTTS_BIN_NS = 4000000,
	/* Linear below 32 units of 1.024 us, 32 bins to an octave above: none
	 * is wider than a 32nd of what is in it.  They reach 18 minutes. */
	RTTS_UNIT_SHIFT = 10,
	RTTS_SUB_BITS = 5,
	RTTS_SUB = 1 << RTTS_SUB_BITS,
	RTTS_FINE_BITS = 30,
	RTTS_FINE = (RTTS_FINE_BITS - RTTS_SUB_BITS + 1) * RTTS_SUB,
};

struct rtts {
	uint64_t count, sum, min, max; /* ns */
	uint32_t bins[RTTS_BINS];      /* the last has all that are longer */
	uint32_t fine[RTTS_FINE];
};

/* *r is all zeros at first. */
void rtts_add(struct rtts *r, uint64_t ns);
/* The bins that are needed to show all. */
size_t rtts_bins(const struct rtts *r);
/* count is not 0. */
uint64_t rtts_mean(const struct rtts *r);
/* Exact at both ends, within 2 % between; never beyond them. */
uint64_t rtts_percentile(const struct rtts *r, unsigned int percent);

#endif /* MODULES_PPING_CMD_RTTS_H */
