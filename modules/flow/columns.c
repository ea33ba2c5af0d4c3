/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* columns.c - what flows tell of their subscribers, and of themselves. */
#include <errno.h>
#include <stdlib.h>

#include "modules/flow/flow.h"

/*
 * Retransmissions of so many packets, of late: each tick weighs a fifth less
 * than the one after it.
 */
#define DECAY 0.8f
/* Fewer packets than that say nothing of a share. */
#define ENOUGH 20.0f

/* Of a subscriber, up to a tick. */
struct loss {
	uint64_t packets[2], retransmits[2];
	float of[2], again[2];
	uint64_t seq; /* that tick; 0: nothing is known yet */
};

enum what { PACKETS, RETRANSMITS, REORDERED, CE };

struct column {
	struct lqos_column decl;
	enum lqos_direction direction;
	enum what what;
	struct flow_module *m;
};

/* ---- Of a subscriber ------------------------------------------------------
 */

static uint64_t read_count(uint32_t slot, void *arg)
{
	const struct column *c = arg;
	const struct fl_tcp *tcp = &c->m->slots[slot];

	switch (c->what) {
	case PACKETS:
		return tcp->packets[c->direction];
	case RETRANSMITS:
		return tcp->retransmits[c->direction];
	case REORDERED:
		return tcp->reordered[c->direction];
	case CE:
		return tcp->ce[c->direction];
	}
	return 0;
}

static uint64_t seq_now(const struct flow_module *m)
{
	const struct lqos_snapshot *snapshot = lqos_snapshot(m->ctx);

	return snapshot ? lqos_snapshot_time(snapshot).seq : 0;
}

/* What is left of a packet that was counted at seq. */
static float faded(uint64_t seq, uint64_t now)
{
	float left = 1;

	while (seq++ < now && left > 0.001f)
		left *= DECAY;
	return left;
}

static void bring_up_to_date(struct loss *l, const struct fl_tcp *tcp,
			     uint64_t now)
{
	float left = faded(l->seq, now);
	int d;

	for (d = 0; d < 2; d++) {
		uint64_t packets = tcp->packets[d];
		uint64_t again = tcp->retransmits[d];

		/* What was counted before that tells nothing of late. */
		if (l->seq && packets >= l->packets[d] &&
		    again >= l->retransmits[d]) {
			l->of[d] = l->of[d] * left +
				   (float)(packets - l->packets[d]);
			l->again[d] = l->again[d] * left +
				      (float)(again - l->retransmits[d]);
		} else {
			l->of[d] = l->again[d] = 0;
		}
		l->packets[d] = packets;
		l->retransmits[d] = again;
	}
	l->seq = now;
}

static void on_slot(uint32_t slot, enum lqos_slot_event event, void *arg)
{
	struct flow_module *m = arg;

	if (event == LQOS_SLOT_GIVEN)
		m->loss[slot] = (struct loss){};
	else
		bring_up_to_date(&m->loss[slot], &m->slots[slot], seq_now(m));
}

static uint64_t read_share(uint32_t slot, void *arg)
{
	const struct column *c = arg;
	const struct loss *l = &c->m->loss[slot];
	int d = c->direction;

	if (l->of[d] * faded(l->seq, seq_now(c->m)) < ENOUGH)
		return LQOS_NO_VALUE;
	return l->again[d] >= l->of[d]
		       ? 1000000
		       : (uint64_t)(l->again[d] / l->of[d] * 1000000);
}

#define SHARE(name_, title_, help_, direction_)          \
	{                                                \
		.decl = {.name = name_,                  \
			 .title = title_,                \
			 .help = help_,                  \
			 .kind = LQOS_GAUGE,             \
			 .unit = LQOS_UNIT_PPM,          \
			 .scope = LQOS_SCOPE_SUBSCRIBER, \
			 .read = read_share},            \
		.direction = direction_                  \
	}
#define COUNT(name_, title_, help_, direction_, what_)   \
	{                                                \
		.decl = {.name = name_,                  \
			 .title = title_,                \
			 .help = help_,                  \
			 .kind = LQOS_COUNTER,           \
			 .unit = LQOS_UNIT_PACKETS,      \
			 .scope = LQOS_SCOPE_SUBSCRIBER, \
			 .flags = LQOS_COLUMN_DETAIL,    \
			 .read = read_count},            \
		.direction = direction_, .what = what_   \
	}

static const struct column subscriber_columns[] = {
	SHARE("down.retransmit", "Retx v",
	      "share of TCP packets to subscribers that were sent again",
	      LQOS_DOWN),
	SHARE("up.retransmit", "Retx ^",
	      "share of TCP packets from subscribers that were sent again",
	      LQOS_UP),
	COUNT("down.tcp_packets", "TCP pps v", "packets of known TCP flows",
	      LQOS_DOWN, PACKETS),
	COUNT("up.tcp_packets", "TCP pps ^", "packets of known TCP flows",
	      LQOS_UP, PACKETS),
	COUNT("down.retransmits", "retx v", "segments sent again", LQOS_DOWN,
	      RETRANSMITS),
	COUNT("up.retransmits", "retx ^", "segments sent again", LQOS_UP,
	      RETRANSMITS),
	COUNT("down.reordered", "reorder v", "segments that came late",
	      LQOS_DOWN, REORDERED),
	COUNT("up.reordered", "reorder ^", "segments that came late", LQOS_UP,
	      REORDERED),
	COUNT("down.ce", "CE v", "packets marked Congestion Experienced",
	      LQOS_DOWN, CE),
	COUNT("up.ce", "CE ^", "packets marked Congestion Experienced", LQOS_UP,
	      CE),
};

/* ---- Of a flow ------------------------------------------------------------
 */

enum of_flow { BYTES, RATE, ALL_PACKETS, AGAIN };

struct flow_column {
	struct lqos_column decl;
	enum of_flow what;
	struct flow_module *m;
};

/* Both ways together: what a list is sorted by. */
static uint64_t read_flow(uint32_t index, void *arg)
{
	const struct flow_column *c = arg;
	struct fl_half half[2];

	flow_halves(c->m, index, half);

	switch (c->what) {
	case BYTES:
		return half[0].bytes + half[1].bytes;
	case RATE:
		return flow_rate(&half[0], flow_now()) +
		       flow_rate(&half[1], flow_now());
	case ALL_PACKETS:
		return half[0].packets + half[1].packets;
	case AGAIN:
		return half[0].retransmits + half[1].retransmits;
	}
	return 0;
}

#define FLOW(name_, title_, help_, kind_, unit_, what_) \
	{                                               \
		.decl = {.name = name_,                 \
			 .title = title_,               \
			 .help = help_,                 \
			 .kind = kind_,                 \
			 .unit = unit_,                 \
			 .scope = LQOS_SCOPE_FLOW,      \
			 .read = read_flow},            \
		.what = what_                           \
	}

static const struct flow_column flow_columns[] = {
	FLOW("bytes", "Bytes", "both ways, whole frames", LQOS_COUNTER,
	     LQOS_UNIT_BYTES, BYTES),
	FLOW("rate", "Rate", "bytes a second, both ways, of late", LQOS_GAUGE,
	     LQOS_UNIT_BYTES, RATE),
	FLOW("packets", "Packets", "both ways", LQOS_COUNTER, LQOS_UNIT_PACKETS,
	     ALL_PACKETS),
	FLOW("retransmits", "Retx", "segments sent again, both ways",
	     LQOS_COUNTER, LQOS_UNIT_PACKETS, AGAIN),
};

#define N_OF(a_) (sizeof(a_) / sizeof((a_)[0]))

int flow_add_columns(struct flow_module *m)
{
	struct flow_column *f;
	struct column *c;
	size_t i;
	int rc;

	m->loss = calloc(lqos_subscriber_slots(m->ctx), sizeof(*m->loss));
	rc = m->loss ? lqos_defer(m->ctx, free, m->loss) : -ENOMEM;
	if (!rc)
		rc = lqos_slots_watch(m->ctx, on_slot, m);
	if (rc)
		return rc;
	c = calloc(N_OF(subscriber_columns), sizeof(*c));
	rc = c ? lqos_defer(m->ctx, free, c) : -ENOMEM;
	for (i = 0; !rc && i < N_OF(subscriber_columns); i++) {
		c[i] = subscriber_columns[i];
		c[i].m = m;
		rc = lqos_column_add(m->ctx, &c[i].decl, &c[i]);
	}
	if (rc)
		return rc;
	f = calloc(N_OF(flow_columns), sizeof(*f));
	rc = f ? lqos_defer(m->ctx, free, f) : -ENOMEM;
	for (i = 0; !rc && i < N_OF(flow_columns); i++) {
		f[i] = flow_columns[i];
		f[i].m = m;
		rc = lqos_column_add(m->ctx, &f[i].decl, &f[i]);
	}
	return rc;
}
