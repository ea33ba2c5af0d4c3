/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Passive round-trip times, plain C: the same for BPF programs and for programs
 * that replay captures.
 *
 * Of each way of a flow one segment is the anchor.  The ACK that covers it
 * gives a sample, and then the next new segment becomes the anchor: one sample
 * a round trip, no table of segments, and no tie to timestamps.  An ACK may
 * have waited for a second segment, or for the next burst: the segment behind
 * the anchor is stamped too, and then, as long as answers are held back, the
 * first in each tick of the coarse clock, in its place; an ACK that covers the
 * one stamped last is timed from there.  What a retransmission makes ambiguous
 * is refused (Karn and Partridge, 1987), unless the ACK echoes the very
 * timestamp that the anchor carried (RFC 3522).  So is, of a flow whose
 * beginning was not seen, what the first seconds tell: what looks new then may
 * have been sent before.
 *
 * A half is written by the packets of its own way only, so that the two ways
 * may be seen by two CPUs: what is read of the other half is single words.
 */
#ifndef BPF_LIB_RTT_H
#define BPF_LIB_RTT_H

#include <stdbool.h>

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* The precise clock, CLOCK_MONOTONIC in ns: whoever includes this has it.  It
 * is read only where a segment is stamped or met. */
static __always_inline __u64 rtt_now(void);

/* Times are kept in units of 64 ns, which a word holds for 274 s; how many
 * units of 1.07 s ago that was is kept beside it. */
enum {
	RTT_UNIT_SHIFT = 6,
	RTT_SECOND_SHIFT = 30,
	RTT_AGE_MAX = 28,     /* seconds: an answer that took longer is none */
	RTT_COLD_MAX = 5,     /* ... or to something sent before we looked */
	RTT_FASTOPEN = 1460,  /* data in a SYN (RFC 7413) */
	RTT_HELD_MAX = 16384, /* bytes that an ACK is held back for, at most */
	RTT_FLIGHT_MAX = 127, /* segments to choose an anchor from */
};

#define RTT_CLOCK_MASK ((1ULL << (32 + RTT_UNIT_SHIFT)) - 1)
/* Sequence numbers that are further away than this are no retransmission and
 * no hole, but another connection's, or forged. */
#define RTT_JUMP (1 << 26)
/* In units. */
#define RTT_MS	 (1000000 >> RTT_UNIT_SHIFT)
#define RTT_TICK (16 * RTT_MS) /* more than the coarse clock lags behind */
#define RTT_HELD (500 * RTT_MS + RTT_TICK)
#define RTT_AGE	 ((__u32)RTT_AGE_MAX << (RTT_SECOND_SHIFT - RTT_UNIT_SHIFT))

/* Who answered: struct rtt_sample's side is that of the packet in hand. */
enum rtt_kind { RTT_ACK, RTT_HANDSHAKE, RTT_ICMP, RTT_DNS, RTT_QUIC };

/* What became of a chance to measure. */
enum rtt_outcome {
	RTT_NONE,     /* there was none */
	RTT_SAMPLE,   /* ns is a round-trip time */
	RTT_POISONED, /* refused: something was sent again, or was lost */
	RTT_COLD,     /* refused: it may have been sent before we looked */
	RTT_DELAYED,  /* refused: the answer may have been held back */
	RTT_AHEAD,    /* refused: acknowledges what nobody has sent */
	RTT_EXPIRED,  /* refused: older than RTT_AGE_MAX */
	RTT_INEXACT,  /* refused, if wanted: covers more than the anchor */
	RTT_OUTCOMES,
};

struct rtt_sample {
	__u64 ns;
	enum rtt_kind kind;
	bool inexact; /* the ACK's end is neither of the two stamped */
};

enum rtt_flags {
	RTT_HIGH = 1, /* high is known */
	RTT_WARM = 2, /* whatever may be answered yet was seen */
	RTT_POISON = 4,
	RTT_HELLO = 8,	    /* QUIC: the anchor is a hello */
	RTT_CLIENT = 16,    /* ... and the first */
	RTT_BORN_SHIFT = 4, /* behind it, until warm: second of the first */
	RTT_BORN_MASK = 0xf,
};

/* One way of a flow. */
struct rtt_half {
	__u64 anchor;	 /* sequence number behind it << 32 | time */
	__u64 newest;	 /* the same */
	__u32 high;	 /* sequence number behind all that was sent */
	__u32 tsval;	 /* the anchor's; 0: it proves nothing */
	__u32 state;	 /* second << 16 | number << 8 | enum rtt_flags */
	__u8 taken;	 /* number of the other way's anchor that was met */
	__u8 flight : 7; /* segments sent since an anchor was met, or most */
	__u8 hole : 1;	 /* where we go to, one of the other way's is missing */
	__u16 generation; /* of the flow, for whoever keeps these in slots */
};

struct rtt_flow {
	struct rtt_half half[2]; /* by way */
};

/* What was measured; touched with a sample only.  In units of 64 ns. */
struct rtt_times {
	__u32 min[2]; /* by the side that answered; 0: none yet */
	__u32 last[2];
	__u32 samples[2];
	__u16 rise[2]; /* the least of late is min and so much, in 131 us */
	__u16 late[2]; /* answers in a row as late as each other, and how late
			*/
};

/* A handshake, in a table that floods write over. */
struct rtt_syn {
	__u32 tag;    /* of the flow; 0: free */
	__u32 state;  /* second << 16 | enum rtt_syn_flags << way */
	__u32 end[2]; /* sequence number behind the SYN, by way */
	__u32 time[2];
	__u32 tsval[2];
};

enum rtt_syn_flags {
	RTT_SYN_SEEN = 1 << 0,
	RTT_SYN_POISON = 1 << 2,
	RTT_SYN_MET = 1 << 4,
};

/* A question with a number, in a table that floods write over. */
struct rtt_probe {
	__u32 tag; /* of flow and number; 0: free */
	__u32 time;
	__u32 state; /* second << 16 | enum rtt_flags << 8 | way */
	__u32 reserved;
};

enum rtt_tcp_flags {
	RTT_FIN = 0x01,
	RTT_SYN = 0x02,
	RTT_RST = 0x04,
	RTT_HAS_ACK = 0x10,
};

struct rtt_segment {
	__u32 seq;
	__u32 ack;
	__u32 len;   /* payload */
	__u32 first; /* payload of its first segment on the wire (GSO); or len
		      */
	__u32 tsval; /* 0: no timestamps */
	__u32 tsecr;
	__u8 way;     /* 0 or 1 */
	__u8 flags;   /* enum rtt_tcp_flags */
	__u8 sack;    /* 1: it has blocks (RFC 2018) */
	__u32 coarse; /* coarse CLOCK_MONOTONIC, in units of 64 ns */
	__u64 now;    /* rtt_now(), once it was read; 0 before */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct rtt_half) == 32, "half a cache line");
_Static_assert(sizeof(struct rtt_flow) == 64, "a cache line");
_Static_assert(sizeof(struct rtt_times) == 32, "half a cache line");
_Static_assert(sizeof(struct rtt_syn) == 32, "half a cache line");
_Static_assert(sizeof(struct rtt_probe) == 16, "a quarter of a cache line");
#endif

/* ---- Words --------------------------------------------------------------- */

/* a lies behind b. */
static __always_inline bool rtt_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

static __always_inline __u64 rtt_mark(__u32 end, __u64 now)
{
	return (__u64)end << 32 | (__u32)(now >> RTT_UNIT_SHIFT);
}

static __always_inline __u32 rtt_mark_end(__u64 mark)
{
	return mark >> 32;
}

static __always_inline __u32 rtt_second(__u64 now)
{
	return (now >> RTT_SECOND_SHIFT) & 0xffff;
}

static __always_inline __u32 rtt_number(__u32 state)
{
	return state >> 8 & 0xff;
}

/* Never less than it was: what the unit cut off is added. */
static __always_inline __u64 rtt_since(__u32 time, __u64 now)
{
	return (now - ((__u64)time << RTT_UNIT_SHIFT)) & RTT_CLOCK_MASK;
}

static __always_inline bool rtt_expired(__u32 state, __u64 now)
{
	return ((rtt_second(now) - (state >> 16)) & 0xffff) > RTT_AGE_MAX;
}

/* 0: this answer proves nothing. */
static __always_inline bool rtt_echoes(const struct rtt_segment *s, __u32 tsval)
{
	return tsval && s->tsecr == tsval;
}

/* Is own's anchor still to be met? */
static __always_inline bool rtt_armed(const struct rtt_half *own,
				      const struct rtt_half *other)
{
	__u32 number = rtt_number(own->state);

	return number && *(const volatile __u8 *)&other->taken != number;
}

/* ---- Segments ------------------------------------------------------------ */

static __always_inline __u64 rtt_clock(struct rtt_segment *s)
{
	if (!s->now)
		s->now = rtt_now();
	return s->now;
}

/* The segment in hand, which ends at end, is the anchor from now on.  tsval:
 * what an echo of proves that it arrived.  fresh: nothing is known of what came
 * before. */
static __always_inline void rtt_arm(struct rtt_half *own, struct rtt_segment *s,
				    __u32 end, __u32 tsval, __u32 flags,
				    bool fresh)
{
	__u64 now = rtt_clock(s);
	__u32 number = rtt_number(own->state) % 255 + 1;
	__u32 second = rtt_second(now);

	if (fresh)
		flags = (second & RTT_BORN_MASK) << RTT_BORN_SHIFT;
	else if (((second - (flags >> RTT_BORN_SHIFT)) & RTT_BORN_MASK) >=
			 RTT_COLD_MAX ||
		 ((second - (own->state >> 16)) & 0xffff) >= RTT_COLD_MAX)
		flags |= RTT_WARM;
	*(volatile __u64 *)&own->anchor = rtt_mark(end, now);
	*(volatile __u64 *)&own->newest = rtt_mark(end, now);
	*(volatile __u32 *)&own->tsval = tsval;
	*(volatile __u32 *)&own->state =
		second << 16 | number << 8 | flags | RTT_HIGH;
}

/* Old data, or what was lost before us or comes out of turn: whichever they
 * are, what is behind them is acknowledged when they arrive. */
static __always_inline void rtt_resent(struct rtt_half *own,
				       const struct rtt_half *other,
				       const struct rtt_segment *s)
{
	if (!rtt_armed(own, other))
		return;
	/* Within one tick of the sender's clock both look the same. */
	if (!s->tsval || s->tsval == own->tsval)
		*(volatile __u32 *)&own->tsval = 0;
	*(volatile __u32 *)&own->state = own->state | RTT_POISON;
}

/*
 * The first of a burst meets another queue than the last: which segment of a
 * flight is the anchor is to be chance.  The n-th takes its place in one of n
 * cases (reservoir sampling: Vitter, 1985).
 */
static __always_inline bool rtt_moves(struct rtt_half *own,
				      const struct rtt_segment *s)
{
	__u32 n = own->flight;

	if (n == RTT_FLIGHT_MAX || own->state & RTT_POISON)
		return false;
	own->flight = ++n;
	return (s->seq * 0x9e3779b1U >> 24) * n < 256;
}

/*
 * Is the segment behind the anchor, or the first in another tick?  An ACK is
 * held back for less than 500 ms and for less than two full segments (RFC 5681,
 * 4.2): what is sent later than that sets none free.
 */
static __always_inline bool rtt_restamps(const struct rtt_half *own,
					 __u32 first, __u32 age, __u32 coarse)
{
	if (own->newest == own->anchor)
		return true;
	return rtt_after(coarse, (__u32)own->newest) && age <= RTT_HELD &&
	       first - rtt_mark_end(own->anchor) <= RTT_HELD_MAX;
}

static __always_inline void rtt_data(struct rtt_half *own,
				     const struct rtt_half *other,
				     struct rtt_segment *s)
{
	__u32 end = s->seq + s->len + (s->flags & RTT_FIN ? 1 : 0);
	__u32 first = s->first < s->len ? s->seq + s->first : end;
	__u32 state = own->state, was = own->high, age;
	__u32 kept = state & (RTT_WARM | RTT_BORN_MASK << RTT_BORN_SHIFT);
	/* Behind a hole, it is acknowledged when that is filled. */
	__u32 tsval = rtt_after(s->seq, was) ? 0 : s->tsval;
	__s32 ahead = end - was;

	if (!(state & RTT_HIGH) || ahead > RTT_JUMP || ahead < -RTT_JUMP) {
		own->high = end;
		rtt_arm(own, s, first, 0, 0, true);
		return;
	}
	if (ahead <= 0) {
		rtt_resent(own, other, s);
		return;
	}
	own->high = end;
	if (!rtt_after(first, was)) /* all of it is old */
		first = end;
	age = s->coarse + RTT_TICK - (__u32)own->anchor;
	if (!rtt_armed(own, other) || age > RTT_AGE) {
		own->flight = 1;
		rtt_arm(own, s, first, tsval, kept, false);
		return;
	}
	if (rtt_after(was, s->seq)) /* old and new in one */
		rtt_resent(own, other, s);
	if (rtt_moves(own, s))
		rtt_arm(own, s, first, tsval, kept, false);
	else if (rtt_restamps(own, first, age, s->coarse))
		*(volatile __u64 *)&own->newest = rtt_mark(first, rtt_clock(s));
}

/* Does s, of own's way, acknowledge the other's anchor? */
static __always_inline bool rtt_meets(struct rtt_half *own,
				      const struct rtt_half *other,
				      const struct rtt_segment *s)
{
	__u32 number = rtt_number(*(const volatile __u32 *)&other->state);
	__u64 anchor = *(const volatile __u64 *)&other->anchor;

	if (!number || own->taken == number)
		return false;
	if (!rtt_after(rtt_mark_end(anchor), s->ack))
		return true;
	/* What was sent behind a hole waits till that is filled. */
	if (own->hole != s->sack)
		own->hole = s->sack;
	return false;
}

/* The answer to what other's way has sent; s is of own's, and meets it. */
static __always_inline enum rtt_outcome rtt_answer(struct rtt_half *own,
						   const struct rtt_half *other,
						   struct rtt_segment *s,
						   struct rtt_sample *out)
{
	__u32 state = *(const volatile __u32 *)&other->state;
	__u64 anchor = *(const volatile __u64 *)&other->anchor;
	__u64 newest = *(const volatile __u64 *)&other->newest;
	__u32 high = *(const volatile __u32 *)&other->high;
	__u32 tsval = other->tsval;
	bool hole = own->hole;
	__u64 now;

	/* Written anew meanwhile. */
	if (*(const volatile __u32 *)&other->state != state ||
	    rtt_after(rtt_mark_end(anchor), s->ack))
		return RTT_NONE;
	if (rtt_after(s->ack, high))
		return RTT_AHEAD;
	*(volatile __u8 *)&own->taken = rtt_number(state);
	own->hole = 0;
	now = rtt_clock(s);
	if (rtt_expired(state, now))
		return RTT_EXPIRED;
	out->kind = RTT_ACK;
	out->inexact = s->ack != rtt_mark_end(anchor) &&
		       s->ack != rtt_mark_end(newest);
	/* An echo proves no more here than that something of the same tick
	 * arrived. */
	if (!(state & RTT_WARM))
		return RTT_COLD;
	if (hole)
		return RTT_POISONED;
	if (state & RTT_POISON) {
		if (!rtt_echoes(s, tsval))
			return RTT_POISONED;
		newest = anchor;
	}
	if (rtt_after(rtt_mark_end(newest), s->ack))
		newest = anchor;
	out->ns = rtt_since((__u32)newest, now);
	return RTT_SAMPLE;
}

/* ---- Answers that were held back ----------------------------------------- */

/* Delayed ACK timers of Linux, and of Windows and BSD. */
#define RTT_DELAY1_LO (35 * RTT_MS)
#define RTT_DELAY1_HI (55 * RTT_MS)
#define RTT_DELAY2_LO (190 * RTT_MS)
#define RTT_DELAY2_HI (215 * RTT_MS)

/* So many answers in a row that are as late as each other have a longer way:
 * what holds answers back is not so regular. */
enum {
	RTT_ALIKE = 31,
	RTT_LATE_SHIFT = 11, /* rtt_times' units to its late's, 131 us */
	RTT_LATE_BITS = 11,
	RTT_LATE_MASK = (1 << RTT_LATE_BITS) - 1,
};

/* The least of late, against which answers are late. */
static __always_inline __u32 rtt_usual(const struct rtt_times *times,
				       __u32 side)
{
	return times->min[side & 1] +
	       ((__u32)times->rise[side & 1] << RTT_LATE_SHIFT);
}

static __always_inline __u32 rtt_slack(__u32 usual)
{
	return usual >> 5 > RTT_MS ? usual >> 5 : RTT_MS;
}

/* An answer over units later than usual, with data: is it as late as those
 * before it, and one of many? */
static __always_inline bool rtt_is_rise(struct rtt_times *times, __u32 side,
					__u32 over, __u32 slack)
{
	__u32 known = times->late[side & 1], late = over >> RTT_LATE_SHIFT;
	__u32 first = known & RTT_LATE_MASK, n = known >> RTT_LATE_BITS;
	__u32 apart = late > first ? late - first : first - late;
	__u32 rise;

	if (!n || apart > slack >> RTT_LATE_SHIFT) {
		n = 0;
		first = late;
	}
	if (++n < RTT_ALIKE) {
		times->late[side & 1] = n << RTT_LATE_BITS | first;
		return false;
	}
	rise = times->rise[side & 1] + late;
	times->rise[side & 1] = rise < 0xffff ? rise : 0xffff;
	return true;
}

/*
 * The answer to a segment behind which nothing was sent may have waited: for a
 * timer, or for data to go along with, which is no longer.  How long shows
 * against the shortest of late.
 */
static __always_inline bool
rtt_held_back(struct rtt_times *times, const struct rtt_segment *s, __u32 units)
{
	__u32 side = s->way & 1, usual = rtt_usual(times, side);
	bool data = s->len || s->flags & RTT_FIN;
	__u32 over = units - usual, slack = rtt_slack(usual);

	if (!usual || units <= usual + (data ? slack : 0) ||
	    over > RTT_DELAY2_HI)
		return false;
	if (data)
		return !rtt_is_rise(times, side, over, slack);
	return over >= RTT_DELAY2_LO ||
	       (over >= RTT_DELAY1_LO && over <= RTT_DELAY1_HI);
}

/* Takes a sample of the side that the packet in hand came from into times. */
static __always_inline void rtt_keep(struct rtt_times *times, __u32 side,
				     __u64 ns)
{
	__u32 units = ns >> RTT_UNIT_SHIFT;

	side &= 1;
	if (!units)
		units = 1;
	if (!times->min[side] || units < times->min[side]) {
		times->min[side] = units;
		times->rise[side] = 0;
	} else if (units < rtt_usual(times, side)) {
		times->rise[side] =
			(units - times->min[side]) >> RTT_LATE_SHIFT;
	}
	times->last[side] = units;
	times->samples[side]++;
	times->late[side] = 0;
}

/* ---- Handshakes ---------------------------------------------------------- */

static __always_inline __u32 rtt_syn_flag(enum rtt_syn_flags flag, __u32 way)
{
	return (__u32)flag << (way & 1);
}

static __always_inline bool rtt_syn_is(const struct rtt_syn *e, __u32 tag,
				       __u64 now)
{
	return e->tag == tag && !rtt_expired(e->state, now);
}

/* The answer of way to the SYN (or SYN-ACK) of the other. */
static __always_inline enum rtt_outcome
rtt_syn_answer(struct rtt_syn *e, const struct rtt_segment *s, __u64 now,
	       struct rtt_sample *out)
{
	__u32 way = s->way & 1, asked = !way;

	if (!(s->flags & RTT_HAS_ACK))
		return RTT_NONE;
	if (!(e->state & rtt_syn_flag(RTT_SYN_SEEN, asked))) {
		/* It went by before we looked; if we see it, it is again. */
		e->state |= rtt_syn_flag(RTT_SYN_MET, asked);
		e->end[asked] = s->ack;
		e->time[asked] = 0;
		return RTT_NONE;
	}
	if (e->state & rtt_syn_flag(RTT_SYN_MET, asked) ||
	    s->ack - e->end[asked] > RTT_FASTOPEN)
		return RTT_NONE;
	e->state |= rtt_syn_flag(RTT_SYN_MET, asked);
	if ((e->state & rtt_syn_flag(RTT_SYN_POISON, asked) ||
	     (s->tsval && e->tsval[asked])) &&
	    !rtt_echoes(s, e->tsval[asked])) {
		e->time[asked] = 0;
		return RTT_POISONED;
	}
	out->kind = RTT_HANDSHAKE;
	out->inexact = false;
	out->ns = rtt_since(e->time[asked], now);
	/* For the flow, which is not there yet. */
	e->time[asked] = out->ns >> RTT_UNIT_SHIFT;
	return RTT_SAMPLE;
}

/* A SYN or SYN-ACK.  e is where tag's entry is, or another's that is written
 * over. */
static __always_inline enum rtt_outcome rtt_handshake(struct rtt_syn *e,
						      __u32 tag,
						      struct rtt_segment *s,
						      struct rtt_sample *out)
{
	__u32 way = s->way & 1, end = s->seq + 1;
	__u32 known = rtt_syn_flag(RTT_SYN_SEEN, way) |
		      rtt_syn_flag(RTT_SYN_MET, way);
	__u64 now = rtt_clock(s);
	enum rtt_outcome outcome;

	if (!rtt_syn_is(e, tag, now)) {
		*e = (struct rtt_syn){.tag = tag,
				      .state = rtt_second(now) << 16};
	} else if (!(s->flags & RTT_HAS_ACK) && e->end[way] != end &&
		   e->state & known) {
		/* Another connection; what the other end said is of the old. */
		e->state = rtt_second(now) << 16;
	}
	outcome = rtt_syn_answer(e, s, now, out);
	if (e->state & known && e->end[way] == end) {
		e->state |= rtt_syn_flag(RTT_SYN_POISON, way);
		if (!s->tsval || s->tsval == e->tsval[way])
			e->tsval[way] = 0;
		return outcome;
	}
	e->state &= ~(rtt_syn_flag(RTT_SYN_POISON, way) |
		      rtt_syn_flag(RTT_SYN_MET, way));
	e->state |= rtt_syn_flag(RTT_SYN_SEEN, way);
	e->end[way] = end;
	e->time[way] = now >> RTT_UNIT_SHIFT;
	e->tsval[way] = s->tsval;
	return outcome;
}

/* The first packet of a flow that is no SYN: what its handshake told.  flow and
 * times are empty, and tag's entry is e or was written over. */
static __always_inline enum rtt_outcome
rtt_established(struct rtt_flow *flow, struct rtt_times *times,
		struct rtt_syn *e, __u32 tag, struct rtt_segment *s,
		struct rtt_sample *out)
{
	__u32 way = s->way & 1;
	__u64 now;

	if (e->tag != tag || e->end[way] != s->seq)
		return RTT_NONE;
	now = rtt_clock(s);
	if (rtt_expired(e->state, now) ||
	    !(e->state & rtt_syn_flag(RTT_SYN_SEEN, way)) ||
	    !(e->state & rtt_syn_flag(RTT_SYN_SEEN, !way)))
		return RTT_NONE;
	flow->half[way].high = s->seq;
	flow->half[way].state = RTT_HIGH | RTT_WARM;
	/* Else it has sent more before we looked. */
	if (s->ack - e->end[!way] <= RTT_FASTOPEN) {
		flow->half[!way].high = s->ack;
		flow->half[!way].state = RTT_HIGH | RTT_WARM;
	}
	if (e->state & rtt_syn_flag(RTT_SYN_MET, way))
		times->min[!way] = e->time[way];
	if (e->state & rtt_syn_flag(RTT_SYN_MET, !way))
		times->min[way] = e->time[!way];
	/* With data in it, it may have waited for that. */
	if (s->len || s->flags & (RTT_FIN | RTT_RST) || s->ack != e->end[!way])
		return RTT_NONE;
	return rtt_syn_answer(e, s, now, out);
}

/* ---- A packet of TCP ----------------------------------------------------- */

/* What a packet that is no SYN tells, but for rtt_judge(). */
static __always_inline enum rtt_outcome rtt_segment(struct rtt_flow *flow,
						    struct rtt_segment *s,
						    struct rtt_sample *out)
{
	struct rtt_half *own = &flow->half[s->way & 1];
	struct rtt_half *other = &flow->half[!(s->way & 1)];
	enum rtt_outcome outcome = RTT_NONE;

	/* A reset may be somebody's between the two ends. */
	if (!(s->flags & RTT_HAS_ACK) || s->flags & RTT_RST)
		return RTT_NONE;
	if (rtt_meets(own, other, s))
		outcome = rtt_answer(own, other, s, out);
	if (s->len || s->flags & RTT_FIN)
		rtt_data(own, other, s);
	return outcome;
}

/* Of a sample that rtt_segment() gave: may the answer have been held back?
 * times: of the flow. */
static __always_inline enum rtt_outcome
rtt_judge(const struct rtt_flow *flow, struct rtt_times *times,
	  const struct rtt_segment *s, const struct rtt_sample *sample)
{
	const struct rtt_half *other = &flow->half[!(s->way & 1)];

	/* All is acknowledged; by an ACK alone, it was one segment. */
	if (s->ack == other->high &&
	    (s->len || s->flags & RTT_FIN ||
	     s->ack == rtt_mark_end(other->anchor)) &&
	    rtt_held_back(times, s, sample->ns >> RTT_UNIT_SHIFT))
		return RTT_DELAYED;
	return RTT_SAMPLE;
}

/* ---- Questions with a number: ICMP echo, DNS ----------------------------- */

static __always_inline void rtt_ask(struct rtt_probe *e, __u32 tag, __u32 way)
{
	__u64 now = rtt_now();
	__u32 flags = 0;

	/* Asked again: to which is the answer? */
	if (e->tag == tag && !rtt_expired(e->state, now) &&
	    (e->state & 1) == (way & 1))
		flags = RTT_POISON;
	e->tag = tag;
	e->time = now >> RTT_UNIT_SHIFT;
	e->state = rtt_second(now) << 16 | flags << 8 | (way & 1);
}

static __always_inline enum rtt_outcome rtt_told(struct rtt_probe *e, __u32 tag,
						 __u32 way, enum rtt_kind kind,
						 struct rtt_sample *out)
{
	__u32 state = e->state;
	__u64 now;

	if (e->tag != tag || (state & 1) == (way & 1))
		return RTT_NONE;
	e->tag = 0;
	now = rtt_now();
	if (rtt_expired(state, now))
		return RTT_EXPIRED;
	if (state >> 8 & RTT_POISON)
		return RTT_POISONED;
	out->kind = kind;
	out->inexact = false;
	out->ns = rtt_since(e->time, now);
	return RTT_SAMPLE;
}

/* ---- QUIC handshakes (RFC 9000, RFC 9369) -------------------------------- */

enum rtt_quic {
	RTT_QUIC_SHORT,	  /* needs the other end's keys */
	RTT_QUIC_INITIAL, /* the client's */
	RTT_QUIC_LATER,	  /* needs the other end's, and wants an answer */
	RTT_QUIC_NONE,	  /* none of these, or not QUIC */
};

/* A hello is sent again after a second, or when an answer is overdue; what
 * comes together is one. */
#define RTT_QUIC_AGAIN (100 * RTT_MS)

/* A hello was sent; again, if long after the first. */
static __always_inline void rtt_quic_hello(struct rtt_half *own, __u32 cid)
{
	__u64 now = rtt_now();

	if (!(own->state & RTT_HELLO)) {
		own->anchor = rtt_mark(cid, now);
		own->state = rtt_second(now) << 16 | RTT_HELLO;
	} else if ((__u32)(now >> RTT_UNIT_SHIFT) - (__u32)own->anchor >
		   RTT_QUIC_AGAIN) {
		own->state = own->state | RTT_POISON;
	}
}

static __always_inline enum rtt_outcome
rtt_quic_answer(struct rtt_half *own, const struct rtt_half *other,
		struct rtt_sample *out)
{
	__u64 now = rtt_now();
	__u32 state = other->state;

	own->taken = 1;
	if (rtt_expired(state, now))
		return RTT_EXPIRED;
	if (state & RTT_POISON)
		return RTT_POISONED;
	out->kind = RTT_QUIC;
	out->inexact = false;
	out->ns = rtt_since((__u32)other->anchor, now);
	return RTT_SAMPLE;
}

/* An initial packet goes to the connection that the client made up, or, in
 * answer, to the one that the server named (RFC 9000, 7.2). */
static __always_inline enum rtt_outcome
rtt_quic_client(struct rtt_half *own, const struct rtt_half *other,
		enum rtt_quic type, __u32 cid, struct rtt_sample *out)
{
	if (own->taken || type == RTT_QUIC_NONE)
		return RTT_NONE;
	if (type == RTT_QUIC_INITIAL && cid == rtt_mark_end(own->anchor)) {
		if (!other->taken)
			rtt_quic_hello(own, cid);
		return RTT_NONE;
	}
	if (!(other->state & RTT_HELLO)) {
		/* It answers what wanted none: more such may be under way. */
		own->taken = 1;
		return RTT_NONE;
	}
	if (type == RTT_QUIC_INITIAL && cid != rtt_mark_end(other->anchor))
		return RTT_NONE;
	return rtt_quic_answer(own, other, out);
}

/*
 * A packet of a QUIC flow.  type: what its first packet is.  cid: a hash of
 * the connection id of the server's end.  The first packet of the server's
 * answers the client's hello; the first of the server's that wants an answer is
 * a hello, too, and answered by the first of the client's that could not have
 * been sent without it.
 */
static __always_inline enum rtt_outcome rtt_quic(struct rtt_flow *flow,
						 __u32 way, enum rtt_quic type,
						 __u32 cid,
						 struct rtt_sample *out)
{
	struct rtt_half *own = &flow->half[way & 1];
	struct rtt_half *other = &flow->half[!(way & 1)];
	enum rtt_outcome outcome = RTT_NONE;

	if (!own->state && !other->state) {
		/* Else its beginning was not seen. */
		own->state = RTT_HIGH;
		if (type == RTT_QUIC_INITIAL) {
			rtt_quic_hello(own, cid);
			own->state = own->state | RTT_CLIENT;
		}
		return RTT_NONE;
	}
	if (own->state & RTT_CLIENT)
		return rtt_quic_client(own, other, type, cid, out);
	if (!(other->state & RTT_CLIENT))
		return RTT_NONE;
	if (!own->taken)
		outcome = rtt_quic_answer(own, other, out);
	if (!other->taken &&
	    (type == RTT_QUIC_LATER || type == RTT_QUIC_INITIAL))
		rtt_quic_hello(own, cid);
	return outcome;
}

/* ---- Histograms ---------------------------------------------------------- */

/* Eight buckets an octave, from 8.2 us: each 12.5 % wide at most. */
enum { RTT_BUCKET_SHIFT = 13, RTT_BUCKETS = 160 };

static __always_inline __u32 rtt_log2(__u64 v)
{
	__u32 n = 0;

	if (v >> 16)
		v >>= 16, n += 16;
	if (v >> 8)
		v >>= 8, n += 8;
	if (v >> 4)
		v >>= 4, n += 4;
	if (v >> 2)
		v >>= 2, n += 2;
	return n + (v >> 1);
}

/* ns: less than 2^32 << RTT_BUCKET_SHIFT. */
static __always_inline __u32 rtt_bucket(__u64 ns)
{
	__u64 v = ns >> RTT_BUCKET_SHIFT;
	__u32 octave, bucket;

	if (v < 8)
		return v;
	octave = rtt_log2(v) - 3;
	bucket = octave * 8 + (v >> octave);
	return bucket < RTT_BUCKETS ? bucket : RTT_BUCKETS - 1;
}

/* The least ns that are in a bucket; of RTT_BUCKETS, where the last ends. */
static __always_inline __u64 rtt_bucket_floor(__u32 bucket)
{
	__u32 octave;

	if (bucket < 16)
		return (__u64)bucket << RTT_BUCKET_SHIFT;
	octave = bucket / 8 - 1;
	return (__u64)(8 + bucket % 8) << octave << RTT_BUCKET_SHIFT;
}

#endif /* BPF_LIB_RTT_H */
