/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_aggregate.h - RTTs and traffic by network and interval, as ePPing reports
 * them with --aggregate.
 */
#ifndef MODULES_PPING_CMD_AGGREGATE_H
#define MODULES_PPING_CMD_AGGREGATE_H

#include <stdbool.h>
#include <stdint.h>

#include "modules/pping/cmd_output.h"
#include "modules/pping/cmd_sample.h"

struct pping_aggregate;

struct pping_aggregate_options {
	unsigned int seconds;	/* of an interval */
	unsigned int v4_length; /* 0 to 32 */
	unsigned int v6_length; /* 0 to 64 */
	bool reverse; /* RTTs count for the end that asked, not that answered */
};

/* o is borrowed.  -ENOMEM */
int pping_aggregate_new(struct pping_aggregate **out,
			const struct pping_aggregate_options *o);
/* NULL-safe; clears *a. */
void pping_aggregate_free(struct pping_aggregate **a);

/* -EPROTO: it has no addresses. */
int pping_aggregate_add(struct pping_aggregate *a,
			const struct pping_sample *sample);
int pping_aggregate_traffic(struct pping_aggregate *a,
			    const struct pping_traffic *traffic);
/* All packets so far by their ECN bits; those of the first time were before. */
void pping_aggregate_ecn(struct pping_aggregate *a,
			 const uint64_t packets[static 4]);
/* What cannot be in this interval's report. */
void pping_aggregate_lost(struct pping_aggregate *a, uint64_t frames,
			  uint64_t samples);
/* The record that every output begins with. */
int pping_aggregate_head(const struct pping_aggregate *a,
			 struct pping_output *out, uint64_t now);
/* The interval, which ends; now: ns, of CLOCK_REALTIME. */
int pping_aggregate_report(struct pping_aggregate *a, struct pping_output *out,
			   uint64_t now);

#endif /* MODULES_PPING_CMD_AGGREGATE_H */
