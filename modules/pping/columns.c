/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* columns.c - round-trip times of subscribers, of flows, and of all. */
#include <errno.h>
#include <stdlib.h>

#include "modules/pping/pping.h"

enum what { P50, P90, P99, MIN, MEAN, LATELY, OUTCOME };

struct column {
	struct lqos_column decl;
	enum pp_side side;
	enum what what;
	uint32_t outcome; /* enum rtt_outcome, or PPING_INEXACT */
	struct pping *p;
};

/* As in bpf/lib/rtt.h. */
enum {
	SAMPLE = 1,
	POISONED,
	COLD,
	DELAYED,
	AHEAD,
	EXPIRED,
	INEXACT_REFUSED,
};

static uint64_t pick(const struct column *c, const struct rtt_stats *s)
{
	if (c->what == LATELY)
		return s->samples;
	if (!s->samples)
		return LQOS_NO_VALUE;
	switch (c->what) {
	case P50:
		return s->p50;
	case P90:
		return s->p90;
	case P99:
		return s->p99;
	case MIN:
		return s->min;
	default:
		return s->mean;
	}
}

static uint64_t read_subscriber(uint32_t slot, void *arg)
{
	const struct column *c = arg;
	struct rtt_stats s;

	if (c->what == OUTCOME)
		return pping_outcome(c->p, slot, c->side, c->outcome);
	s = pping_stats(c->p, slot, c->side);
	return pick(c, &s);
}

static uint64_t read_global(uint32_t id, void *arg)
{
	const struct column *c = arg;
	struct rtt_stats s;

	(void)id;
	if (c->what == OUTCOME)
		return pping_total_outcome(c->p, c->side, c->outcome);
	s = pping_total(c->p, c->side);
	return pick(c, &s);
}

#define COLUMN(name_, title_, help_, kind_, unit_, flags_, side_, what_, \
	       outcome_)                                                 \
	{                                                                \
		.decl = {.name = name_,                                  \
			 .title = title_,                                \
			 .help = help_,                                  \
			 .kind = kind_,                                  \
			 .unit = unit_,                                  \
			 .flags = flags_},                               \
		.side = side_, .what = what_, .outcome = outcome_        \
	}
#define TIME(name_, title_, help_, flags_, side_, what_)                      \
	COLUMN(name_, title_, help_, LQOS_GAUGE, LQOS_UNIT_NS, flags_, side_, \
	       what_, 0)
#define COUNT(name_, title_, help_, side_, outcome_)                \
	COLUMN(name_, title_, help_, LQOS_COUNTER, LQOS_UNIT_COUNT, \
	       LQOS_COLUMN_DETAIL, side_, OUTCOME, outcome_)

#define SIDE(name_, short_, what_, side_)                                     \
	TIME(name_ ".p50", "RTT " short_,                                     \
	     "median round trip to " what_ ", of late", 0, side_, P50),       \
		TIME(name_ ".p90", "p90 " short_,                             \
		     "90 % of the round trips to " what_ " are shorter", 0,   \
		     side_, P90),                                             \
		TIME(name_ ".p99", "p99 " short_,                             \
		     "99 % of the round trips to " what_ " are shorter",      \
		     LQOS_COLUMN_DETAIL, side_, P99),                         \
		TIME(name_ ".min", "min " short_,                             \
		     "shortest round trip to " what_ ", of late",             \
		     LQOS_COLUMN_DETAIL, side_, MIN),                         \
		TIME(name_ ".mean", "mean " short_,                           \
		     "mean round trip to " what_ ", of late",                 \
		     LQOS_COLUMN_DETAIL, side_, MEAN),                        \
		COUNT(name_ ".samples", "n " short_, "samples taken", side_,  \
		      SAMPLE),                                                \
		COUNT(name_ ".inexact", "inex " short_,                       \
		      "samples whose ACK covered more than what was stamped", \
		      side_, PPING_INEXACT),                                  \
		COUNT(name_ ".poisoned", "pois " short_,                      \
		      "refused: after a retransmission or a hole", side_,     \
		      POISONED),                                              \
		COUNT(name_ ".delayed_ack", "held " short_,                   \
		      "refused: the answer may have been held back", side_,   \
		      DELAYED),                                               \
		COUNT(name_ ".cold", "cold " short_,                          \
		      "refused: may have been sent before we looked", side_,  \
		      COLD),                                                  \
		COUNT(name_ ".ahead", "ahead " short_,                        \
		      "refused: acknowledges what nobody has sent", side_,    \
		      AHEAD),                                                 \
		COUNT(name_ ".expired", "exp " short_,                        \
		      "refused: older than 28 s", side_, EXPIRED),            \
		COUNT(name_ ".not_exact", "nex " short_,                      \
		      "refused: inexact, with exact = yes", side_,            \
		      INEXACT_REFUSED)

static const struct column columns[] = {
	SIDE("access", "acc", "the subscriber", PP_ACCESS),
	SIDE("internet", "inet", "the internet", PP_INTERNET),
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* ---- Of a flow ------------------------------------------------------------
 */

struct flow_column {
	struct lqos_column decl;
	enum pp_side side;
	bool min;
	struct pping *p;
};

static uint64_t read_flow(uint32_t index, void *arg)
{
	const struct flow_column *c = arg;
	const struct pp_times *t = pping_times(c->p, index);
	uint32_t units = c->min ? t->min[c->side] : t->last[c->side];

	if (!units ||
	    lqos_flow_at(&c->p->table, index)->generation != t->generation)
		return LQOS_NO_VALUE;
	return (uint64_t)units << 6;
}

#define FLOW(name_, title_, help_, side_, min_)                    \
	{                                                          \
		.decl = {.name = name_,                            \
			 .title = title_,                          \
			 .help = help_,                            \
			 .kind = LQOS_GAUGE,                       \
			 .unit = LQOS_UNIT_NS,                     \
			 .scope = LQOS_SCOPE_FLOW,                 \
			 .flags = (min_) ? LQOS_COLUMN_DETAIL : 0, \
			 .read = read_flow},                       \
		.side = side_, .min = min_                         \
	}

static const struct flow_column flow_columns[] = {
	FLOW("access.rtt", "RTT acc", "last round trip to the subscriber",
	     PP_ACCESS, false),
	FLOW("internet.rtt", "RTT inet", "last round trip to the internet",
	     PP_INTERNET, false),
	FLOW("access.min_rtt", "min acc", "shortest to the subscriber",
	     PP_ACCESS, true),
	FLOW("internet.min_rtt", "min inet", "shortest to the internet",
	     PP_INTERNET, true),
};

#define N_FLOW_COLUMNS (sizeof(flow_columns) / sizeof(flow_columns[0]))

/* ---- What was lost --------------------------------------------------------
 */

static uint64_t read_sum(uint32_t id, void *arg)
{
	const struct pping *p = arg;
	uint64_t sum = 0;
	uint32_t cpu;

	(void)id;
	for (cpu = 0; cpu < p->cpus; cpu++)
		sum += p->lost[cpu];
	return sum;
}

static const struct lqos_column lost_column = {
	.name = "lost_samples",
	.title = "lost",
	.help = "samples that watchers missed (the histograms have them)",
	.kind = LQOS_COUNTER,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_GLOBAL,
	.flags = LQOS_COLUMN_DETAIL,
	.read = read_sum,
};

int pping_add_columns(struct pping *p)
{
	struct flow_column *f = calloc(N_FLOW_COLUMNS, sizeof(*f));
	int rc = f ? lqos_defer(p->ctx, free, f) : -ENOMEM;
	struct column *c;
	size_t i;

	for (i = 0; !rc && i < N_FLOW_COLUMNS; i++) {
		f[i] = flow_columns[i];
		f[i].p = p;
		rc = lqos_column_add(p->ctx, &f[i].decl, &f[i]);
	}
	if (rc)
		return rc;
	c = calloc(2 * N_COLUMNS, sizeof(*c));
	rc = c ? lqos_defer(p->ctx, free, c) : -ENOMEM;
	for (i = 0; !rc && i < 2 * N_COLUMNS; i++) {
		c[i] = columns[i / 2];
		c[i].p = p;
		c[i].decl.scope =
			i % 2 ? LQOS_SCOPE_GLOBAL : LQOS_SCOPE_SUBSCRIBER;
		c[i].decl.read = i % 2 ? read_global : read_subscriber;
		rc = lqos_column_add(p->ctx, &c[i].decl, &c[i]);
	}
	return rc ?: lqos_column_add(p->ctx, &lost_column, p);
}
