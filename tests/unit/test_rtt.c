/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Round-trip times against the truth: two ends that speak TCP over a path whose
 * delays are known, with an observer in the middle.
 *
 * Whatever is lost, doubled, reordered, held back, sent again or forged, an
 * answer may not be said to have been faster than it was.  Each packet carries
 * when the observer saw the last of those that its sender had got by then: that
 * long ago at least is what it answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "tests/rtt/path.h"

#define US	1000ULL
#define MS	(1000 * US)
#define S	(1000 * MS)

#define SYN_RTO (3 * S)

enum {
	EVENTS = 4096,
	HOLES = 64, /* segments that wait for one before them */
	NS_SLACK = 64,
	SYN_LEN = 1,
	N_CLEAN = 400,
	N_BAD = 4000,
};

/* SplitMix64 (Vigna), public domain. */
static uint64_t random_state;

static uint64_t random_next(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t random_below(uint64_t n)
{
	return n ? random_next() % n : 0;
}

static bool chance(unsigned int permille)
{
	return random_below(1000) < permille;
}

/* ---- The world ----------------------------------------------------------- */

struct packet {
	struct rtt_segment s;
	uint64_t passed; /* the observer, at */
	uint64_t knows;	 /* what of the other way's had passed it, at least */
	bool any;	 /* the sender had got anything */
	bool forged;
};

enum event_kind { E_OBSERVE, E_ARRIVE, E_TIMEOUT, E_ACK, E_APP, E_FORGE };

struct event {
	uint64_t at;
	uint64_t order;
	enum event_kind kind;
	int who; /* the end; of a packet: its sender */
	uint32_t round;
	struct packet p;
};

struct end {
	bool open, timestamps;
	uint32_t isn, una, next, max; /* of what it sends; una from isn + 1 */
	uint32_t wanted;	      /* behind what it has to send */
	uint32_t window;	      /* bytes in flight */
	uint32_t dups, recover;
	bool recovering;
	uint32_t round;	    /* of the timer */
	unsigned int again; /* how often it ran out */
	/* What it has got. */
	bool got_syn;
	uint32_t got; /* in order */
	struct {
		uint32_t seq, end;
	} holes[HOLES];
	int n_holes;
	uint32_t recent, last_ack; /* RFC 7323 */
	int unacked;
	uint32_t ack_round;
	uint64_t knows;
	bool any;
	uint64_t last_arrival[2]; /* of what it sent: observer, other end */
};

struct world {
	/* The path. */
	uint64_t delay[2];  /* of each end to the observer */
	uint64_t jitter;    /* added to it, at most */
	uint64_t change_at; /* another route from then on */
	uint64_t change[2];
	bool fifo;
	unsigned int lose_before, lose_behind, twice; /* permille */
	/* The ends. */
	uint32_t mss;
	bool gso; /* several segments in one packet, to the observer */
	uint64_t rto;
	bool delayed_acks, go_back, sack;
	uint64_t tick;
	int bursts;
	uint32_t burst_max;
	bool forge;
	bool clean;	   /* what is measured is exact, and there is some */
	uint64_t looks_at; /* the observer, from then on */
	bool looks;

	struct end ends[2];
	uint64_t now, order;
	struct event heap[EVENTS];
	int n;
	struct path *path;
	struct lqos_flow_key key;
};

struct tally {
	uint64_t samples[2], outcomes[RTT_OUTCOMES], late, checked;
	uint64_t worst;
	uint64_t flow[2]; /* of this connection, by who answered */
};

static struct tally tally;
static struct world world;

static bool before(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void swap(struct event *a, struct event *b)
{
	struct event c = *a;

	*a = *b;
	*b = c;
}

static void push(struct world *w, struct event e)
{
	int i = w->n, up;

	/* Whoever drowns its path in packets loses some. */
	if (w->n == EVENTS)
		return;
	e.order = w->order++;
	w->heap[w->n++] = e;
	for (; i; i = up) {
		up = (i - 1) / 2;
		if (!before(&w->heap[i], &w->heap[up]))
			break;
		swap(&w->heap[i], &w->heap[up]);
	}
}

static bool pop(struct world *w, struct event *e)
{
	int i = 0, least, child;

	if (!w->n)
		return false;
	*e = w->heap[0];
	w->heap[0] = w->heap[--w->n];
	for (;; i = least) {
		least = i;
		for (child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < w->n &&
			    before(&w->heap[child], &w->heap[least]))
				least = child;
		if (least == i)
			return true;
		swap(&w->heap[i], &w->heap[least]);
	}
}

static uint64_t delay(const struct world *w, int end)
{
	uint64_t base = w->now >= w->change_at ? w->change[end] : w->delay[end];

	return base + random_below(w->jitter + 1);
}

/* When a packet of who's is there, after one part of its way. */
static uint64_t arrival(struct world *w, int who, int part)
{
	uint64_t *last = &w->ends[who].last_arrival[part];
	uint64_t at = w->now + delay(w, part ? !who : who);

	if (w->fifo && at < *last)
		at = *last;
	*last = at;
	return at;
}

/* ---- An end -------------------------------------------------------------- */

static uint32_t clock_of(const struct world *w)
{
	return w->now / w->tick + 1;
}

static void launch(struct world *w, int who, const struct rtt_segment *s)
{
	struct end *end = &w->ends[who];
	struct event e = {.kind = E_OBSERVE, .who = who, .p.s = *s};
	int copies = 1 + chance(w->twice);

	e.p.s.way = who;
	e.p.s.first = s->len > w->mss ? w->mss : s->len;
	if (end->timestamps && w->ends[!who].timestamps) {
		e.p.s.tsval = clock_of(w);
		e.p.s.tsecr = end->recent;
	}
	e.p.s.sack = w->sack && end->n_holes;
	e.p.knows = end->knows;
	e.p.any = end->any;
	if (s->flags & RTT_HAS_ACK) {
		end->unacked = 0;
		end->ack_round++;
		end->last_ack = s->ack;
	}
	if (chance(w->lose_before))
		return;
	while (copies--) {
		e.at = arrival(w, who, 0);
		push(w, e);
	}
}

static void arm_timer(struct world *w, int who)
{
	struct end *end = &w->ends[who];
	uint64_t wait = w->rto;

	if (end->una == end->isn)
		wait = SYN_RTO;
	push(w, (struct event){.kind = E_TIMEOUT,
			       .who = who,
			       .round = ++end->round,
			       .at = w->now + (wait << end->again)});
}

static void send_ack(struct world *w, int who)
{
	struct end *end = &w->ends[who];

	launch(w, who,
	       &(struct rtt_segment){
		       .seq = end->max, .ack = end->got, .flags = RTT_HAS_ACK});
}

static void send_syn(struct world *w, int who)
{
	struct end *end = &w->ends[who];

	launch(w, who,
	       &(struct rtt_segment){
		       .seq = end->isn,
		       .ack = end->got_syn ? end->got : 0,
		       .flags = RTT_SYN | (end->got_syn ? RTT_HAS_ACK : 0)});
	arm_timer(w, who);
}

static void send_data(struct world *w, int who, uint32_t seq)
{
	struct end *end = &w->ends[who];
	uint32_t len = end->wanted - seq, most = w->mss;

	if (w->gso)
		most *= 1 + random_below(4);
	if (len > most)
		len = most;
	launch(w, who,
	       &(struct rtt_segment){.seq = seq,
				     .ack = end->got,
				     .len = len,
				     .flags = RTT_HAS_ACK});
	if (rtt_after(seq + len, end->next))
		end->next = seq + len;
	if (rtt_after(end->next, end->max))
		end->max = end->next;
}

static void send_more(struct world *w, int who)
{
	struct end *end = &w->ends[who];
	bool idle = end->una == end->next;

	if (!end->open)
		return;
	while (rtt_after(end->wanted, end->next) &&
	       end->next - end->una < end->window)
		send_data(w, who, end->next);
	if (idle && end->next != end->una)
		arm_timer(w, who);
}

static void on_timeout(struct world *w, int who, uint32_t round)
{
	struct end *end = &w->ends[who];

	if (round != end->round || end->again > 5)
		return;
	if (end->una == end->isn) { /* the SYN */
		end->again++;
		send_syn(w, who);
		return;
	}
	if (end->una == end->max)
		return;
	end->again++;
	end->window = 2 * w->mss;
	end->dups = 0;
	end->recovering = true;
	end->recover = end->max;
	if (w->go_back)
		end->next = end->una;
	send_data(w, who, end->una);
	arm_timer(w, who);
}

static void on_ack(struct world *w, int who, const struct rtt_segment *s)
{
	struct end *end = &w->ends[who];

	if (rtt_after(s->ack, end->max))
		return;
	if (!rtt_after(s->ack, end->una)) {
		if (s->len || s->ack != end->una || end->una == end->max)
			return;
		if (++end->dups == 3 && !end->recovering) {
			end->recovering = true;
			end->recover = end->max;
			end->window = end->window / 2 + w->mss;
			send_data(w, who, end->una);
		}
		return;
	}
	end->una = s->ack;
	if (rtt_after(end->una, end->next))
		end->next = end->una;
	end->dups = 0;
	end->again = 0;
	end->round++;
	end->window += w->mss;
	if (end->recovering) {
		if (!rtt_after(end->recover, end->una))
			end->recovering = false;
		else if (end->next != end->una)
			send_data(w, who, end->una); /* NewReno */
	}
	if (end->una != end->next)
		arm_timer(w, who);
}

/* What waited behind a hole that is filled now. */
static bool take_waiting(struct end *end)
{
	bool any = false;
	int i;

	for (i = 0; i < end->n_holes; i++) {
		if (rtt_after(end->holes[i].seq, end->got))
			continue;
		if (rtt_after(end->holes[i].end, end->got))
			end->got = end->holes[i].end;
		end->holes[i] = end->holes[--end->n_holes];
		any = true;
		i = -1;
	}
	return any;
}

static void on_data(struct world *w, int who, uint32_t seq, uint32_t seq_end)
{
	struct end *end = &w->ends[who];
	bool at_once = !w->delayed_acks;

	if (rtt_after(seq, end->got)) {
		if (end->n_holes < HOLES) {
			end->holes[end->n_holes].seq = seq;
			end->holes[end->n_holes++].end = seq_end;
		}
		at_once = true;
	} else if (rtt_after(seq_end, end->got)) {
		end->got = seq_end;
		at_once |= take_waiting(end);
	} else {
		at_once = true;
	}
	if (at_once || ++end->unacked >= 2)
		send_ack(w, who);
	else
		push(w, (struct event){.kind = E_ACK,
				       .who = who,
				       .round = ++end->ack_round,
				       .at = w->now + 40 * MS});
}

static void on_syn(struct world *w, int who, const struct rtt_segment *s)
{
	struct end *end = &w->ends[who];

	if (!end->got_syn) {
		end->got_syn = true;
		end->got = end->last_ack = s->seq + SYN_LEN;
	}
	if (s->flags & RTT_HAS_ACK && s->ack == end->isn + SYN_LEN) {
		end->una = s->ack;
		end->open = true;
		end->again = 0;
		end->round++;
		send_ack(w, who);
	} else if (!(s->flags & RTT_HAS_ACK)) {
		send_syn(w, who);
	}
}

static void on_arrival(struct world *w, int who, const struct packet *p)
{
	struct end *end = &w->ends[who];
	const struct rtt_segment *s = &p->s;
	struct rtt_segment piece = *s;
	uint32_t len;

	if (!end->any || p->passed > end->knows)
		end->knows = p->passed;
	end->any = true;
	if (s->tsval && (!end->got_syn || !rtt_after(s->seq, end->last_ack)) &&
	    !rtt_after(end->recent, s->tsval))
		end->recent = s->tsval;
	if (s->flags & RTT_SYN) {
		on_syn(w, who, s);
	} else if (end->got_syn) {
		if (!end->open && s->ack != end->isn) {
			end->una = end->isn + SYN_LEN;
			end->open = true;
		}
		on_ack(w, who, s);
		for (; piece.len; piece.seq += len, piece.len -= len) {
			len = piece.len > w->mss ? w->mss : piece.len;
			on_data(w, who, piece.seq, piece.seq + len);
		}
	}
	send_more(w, who);
}

/* ---- The observer -------------------------------------------------------- */

static void check(const struct world *w, const struct packet *p,
		  const struct path_packet *out)
{
	uint64_t ns = out->sample.ns, least;

	tally.outcomes[out->outcome]++;
	if (out->outcome != RTT_SAMPLE)
		return;
	assert_false(p->forged);
	assert_true(p->any);
	least = w->now - p->knows;
	if (ns < least)
		fail_msg("a sample of %" PRIu64 " ns, at %" PRIu64
			 ": the truth is %" PRIu64,
			 ns, w->now, least);
	tally.samples[p->s.way]++;
	if (out->sample.kind == RTT_ACK)
		tally.flow[p->s.way]++;
	if (ns - least > tally.worst)
		tally.worst = ns - least;
	if (ns > least + 5 * MS)
		tally.late++;
	if (w->clean && ns > least + NS_SLACK)
		fail_msg("a sample of %" PRIu64 " ns: the truth is %" PRIu64,
			 ns, least);
}

/* That the SYN which we see first is the second nothing tells without
 * timestamps, or where the path makes copies: so not in the middle of a
 * handshake. */
static bool begins_to_look(const struct world *w)
{
	bool tells = w->ends[0].timestamps && !w->twice;

	return w->now >= w->looks_at &&
	       (!w->looks_at || tells || (w->ends[0].open && w->ends[1].open));
}

static void observe(struct world *w, const struct packet *p)
{
	struct path_packet out = {.key = w->key, .way = p->s.way};
	struct rtt_segment s = p->s;

	if (!w->looks && !begins_to_look(w))
		return;
	w->looks = true;
	path_clock = w->now;
	s.coarse = (w->now - w->now % PATH_TICK) >> RTT_UNIT_SHIFT;
	path_on_tcp(w->path, &s, &out);
	check(w, p, &out);
}

/* Seen by the observer only.  Half of them know what the connection is at. */
static void forge(struct world *w)
{
	static const uint8_t flags[] = {RTT_HAS_ACK, RTT_HAS_ACK | RTT_FIN,
					RTT_HAS_ACK | RTT_RST, RTT_RST, 0};
	int way = random_below(2);
	struct packet p = {.forged = true, .s.way = way};

	p.s.seq = random_next();
	if (w->ends[0].open && w->ends[1].open && chance(500))
		p.s.seq = w->ends[way].una - 3000 + random_below(9000);
	/* Guessed right, it would be an answer. */
	p.s.ack = w->ends[!way].max + 1 + random_below(1 << 30);
	if (chance(500))
		p.s.ack = w->ends[!way].isn - random_below(1 << 30);
	p.s.len = p.s.first = chance(500) ? random_below(1500) : 0;
	p.s.tsval = random_next();
	p.s.tsecr = random_next();
	p.s.flags = flags[random_below(sizeof(flags))];
	observe(w, &p);
}

static void run_event(struct world *w, struct event *e)
{
	struct end *end = &w->ends[e->who];

	switch (e->kind) {
	case E_OBSERVE:
		e->p.passed = w->now;
		observe(w, &e->p);
		if (chance(w->lose_behind))
			break;
		e->kind = E_ARRIVE;
		e->at = arrival(w, e->who, 1);
		push(w, *e);
		break;
	case E_ARRIVE:
		on_arrival(w, !e->who, &e->p);
		break;
	case E_TIMEOUT:
		on_timeout(w, e->who, e->round);
		break;
	case E_ACK:
		if (e->round == end->ack_round)
			send_ack(w, e->who);
		break;
	case E_APP:
		end->wanted += 1 + random_below(w->burst_max);
		send_more(w, e->who);
		break;
	case E_FORGE:
		forge(w);
		break;
	}
}

/* ---- Connections --------------------------------------------------------- */

static void begin(struct world *w)
{
	static const uint64_t near_end = UINT32_MAX - 20000;
	struct end *end;
	uint64_t span = 3 * S;
	int who, i;

	for (who = 0; who < 2; who++) {
		end = &w->ends[who];
		*end = (struct end){.timestamps = end->timestamps};
		end->isn = chance(300) ? near_end + random_below(30000)
				       : random_next();
		end->una = end->isn;
		end->next = end->max = end->wanted = end->isn + SYN_LEN;
		end->window = 10 * w->mss;
		for (i = 0; i < w->bursts; i++)
			push(w,
			     (struct event){.kind = E_APP,
					    .who = who,
					    .at = w->now + random_below(span)});
	}
	for (i = 0; w->forge && i < 40; i++)
		push(w, (struct event){.kind = E_FORGE,
				       .at = w->now + random_below(span)});
	send_syn(w, 0);
}

/* Until there is no event left, or for two minutes. */
static void run(struct world *w)
{
	uint64_t until = w->now + 120 * S;
	struct event e;

	while (pop(w, &e) && e.at < until) {
		w->now = e.at;
		run_event(w, &e);
	}
	w->n = 0;
	w->now += S;
}

static void prepare(struct world *w, uint64_t seed)
{
	int who;

	random_state = seed;
	*w = (struct world){};
	w->now = 1000 * S + random_below(S);
	w->path = path_new(NULL, NULL);
	w->key.proto = SEGMENT_TCP;
	w->fifo = true;
	w->mss = 536 + random_below(913);
	w->rto = S;
	w->tick = MS;
	w->bursts = 1 + random_below(6);
	w->burst_max = 1 << (7 + random_below(10));
	w->gso = chance(300);
	w->change_at = UINT64_MAX;
	for (who = 0; who < 2; who++) {
		w->delay[who] = 10 * US << random_below(14);
		w->delay[who] += random_below(w->delay[who]);
		w->ends[who].timestamps = false;
	}
	if (chance(500))
		w->ends[0].timestamps = w->ends[1].timestamps = true;
}

/* Everything that may go wrong. */
static void prepare_bad(struct world *w, uint64_t seed)
{
	int who;

	prepare(w, seed);
	w->fifo = chance(500);
	w->jitter = chance(500) ? random_below(w->delay[0] + w->delay[1]) : 0;
	w->lose_before = chance(500) ? random_below(100) : 0;
	w->lose_behind = chance(500) ? random_below(100) : 0;
	w->twice = chance(300) ? random_below(50) : 0;
	w->delayed_acks = chance(500);
	w->go_back = chance(500);
	w->sack = chance(500);
	w->forge = chance(300);
	if (chance(200))
		w->tick = 10 * MS;
	/* Often too short. */
	w->rto = 2 * (w->delay[0] + w->delay[1]) * (1 + random_below(8)) / 4 +
		 MS;
	if (chance(300)) {
		w->change_at = w->now + random_below(4 * S);
		for (who = 0; who < 2; who++)
			w->change[who] = random_below(300 * MS);
	}
	if (chance(400))
		w->looks_at = w->now + random_below(4 * S);
}

static void report(const char *what)
{
	print_message("# %s: %" PRIu64 " and %" PRIu64 " samples (%" PRIu64
		      " of them 5 ms late, at worst %" PRIu64 " us), %" PRIu64
		      " poisoned, %" PRIu64 " cold, %" PRIu64
		      " held back, %" PRIu64 " ahead\n",
		      what, tally.samples[0], tally.samples[1], tally.late,
		      (uint64_t)(tally.worst / US),
		      tally.outcomes[RTT_POISONED], tally.outcomes[RTT_COLD],
		      tally.outcomes[RTT_DELAYED], tally.outcomes[RTT_AHEAD]);
	tally = (struct tally){};
}

static void test_exact_where_nothing_is_lost(void **state)
{
	struct world *w = &world;
	uint64_t seed;
	int who, i;

	(void)state;
	for (seed = 1; seed <= N_CLEAN; seed++) {
		prepare(w, seed);
		w->clean = true;
		for (i = 0; i < 2; i++) { /* the same ports again */
			tally.flow[0] = tally.flow[1] = 0;
			begin(w);
			run(w);
			for (who = 0; who < 2; who++) {
				assert_int_equal(w->ends[who].una,
						 w->ends[who].wanted);
				if (!tally.flow[!who])
					fail_msg("seed %" PRIu64
						 ": no sample of what %d sent",
						 seed, who);
			}
		}
		path_free(w->path);
	}
	report("clean");
}

static void test_never_less_than_the_truth(void **state)
{
	struct world *w = &world;
	uint64_t seed;
	int i;

	(void)state;
	for (seed = 1; seed <= N_BAD; seed++) {
		prepare_bad(w, seed << 20);
		for (i = 0; i < 2; i++) {
			begin(w);
			run(w);
		}
		path_free(w->path);
	}
	assert_true(tally.samples[0] > 1000 && tally.samples[1] > 1000);
	report("bad");
}

/* ---- Words --------------------------------------------------------------- */

static void test_buckets(void **state)
{
	uint64_t ns, floor, next;
	uint32_t i;

	(void)state;
	for (i = 0; i < RTT_BUCKETS; i++) {
		floor = rtt_bucket_floor(i);
		next = rtt_bucket_floor(i + 1);
		assert_true(floor < next);
		assert_int_equal(rtt_bucket(floor), i);
		assert_int_equal(rtt_bucket(next - 1), i);
		if (i >= 8)
			assert_true((next - floor) * 8 <= floor);
	}
	for (ns = 1; ns < 1ULL << 45; ns <<= 1)
		assert_true(rtt_bucket(ns) < RTT_BUCKETS);
}

/* The words of the clock come round; what is told of them does not. */
static void test_clock_wraps(void **state)
{
	uint64_t now, ns;

	(void)state;
	for (now = 1; now < 1ULL << 50; now = now * 3 + 1) {
		for (ns = 0; ns < 30 * S; ns = ns * 2 + 1) {
			uint32_t time = rtt_mark(0, now);
			uint64_t got = rtt_since(time, now + ns);

			assert_true(got >= ns && got < ns + 64);
			assert_int_equal(
				rtt_expired(rtt_second(now) << 16, now + ns),
				(now + ns) / (1ULL << 30) - now / (1ULL << 30) >
					RTT_AGE_MAX);
		}
	}
}

/* ---- Handshakes that are of no use any more ------------------------------ */

static void shake(struct rtt_syn *e, uint32_t cseq, bool answered)
{
	struct rtt_sample out;

	path_clock += MS;
	assert_int_equal(rtt_handshake(e, 1,
				       &(struct rtt_segment){.seq = cseq - 1,
							     .flags = RTT_SYN},
				       &out),
			 RTT_NONE);
	if (!answered)
		return;
	path_clock += MS;
	assert_int_equal(rtt_handshake(e, 1,
				       &(struct rtt_segment){
					       .seq = 4999,
					       .ack = cseq,
					       .way = 1,
					       .flags = RTT_SYN | RTT_HAS_ACK},
				       &out),
			 RTT_SAMPLE);
}

static enum rtt_outcome establish(struct rtt_flow *flow, struct rtt_syn *e,
				  uint32_t seq, uint32_t ack)
{
	struct rtt_times times = {};
	struct rtt_sample out;

	*flow = (struct rtt_flow){};
	path_clock += MS;
	return rtt_established(flow, &times, e, 1,
			       &(struct rtt_segment){.seq = seq,
						     .ack = ack,
						     .flags = RTT_HAS_ACK},
			       &out);
}

/* A flow that lost its place in the table, and has it again before its
 * handshake is forgotten: of the server, much has been sent since. */
static void test_begins_again(void **state)
{
	struct rtt_syn e = {};
	struct rtt_flow flow;

	(void)state;
	shake(&e, 1000, true);
	assert_int_equal(establish(&flow, &e, 1000, 5000), RTT_SAMPLE);
	assert_true(flow.half[1].state & RTT_WARM);
	assert_int_equal(establish(&flow, &e, 1000, 900000), RTT_NONE);
	assert_false(flow.half[1].state & (RTT_HIGH | RTT_WARM));
	/* Neither has the client begun where it goes on now. */
	assert_int_equal(establish(&flow, &e, 2000, 5000), RTT_NONE);
	assert_false(flow.half[0].state);
	/* Forgotten. */
	path_clock += 40 * S;
	assert_int_equal(establish(&flow, &e, 1000, 5000), RTT_NONE);
	assert_false(flow.half[0].state);
}

/* The SYN of another connection: that the server answered was the one before.
 */
static void test_other_connection(void **state)
{
	struct rtt_syn e = {};
	struct rtt_flow flow;

	(void)state;
	shake(&e, 1000, true);
	shake(&e, 70000, false);
	assert_int_equal(establish(&flow, &e, 70000, 5000), RTT_NONE);
	assert_false(flow.half[0].state || flow.half[1].state);
}

/* ---- What is stamped ----------------------------------------------------- */

enum { SEGMENT = 1000 };

/* The anchor is the segment from 0 on, sent at 100 s; no other takes its
 * place. */
static struct rtt_flow anchored(void)
{
	struct rtt_flow flow = {
		.half[0] = {.state = RTT_HIGH | RTT_WARM},
		.half[1] = {.state = RTT_HIGH | RTT_WARM},
	};
	struct rtt_sample out;
	struct rtt_segment s = {
		.len = SEGMENT, .first = SEGMENT, .flags = RTT_HAS_ACK};

	path_clock = 100 * S;
	s.coarse = path_clock >> RTT_UNIT_SHIFT;
	assert_int_equal(rtt_segment(&flow, &s, &out), RTT_NONE);
	flow.half[0].flight = RTT_FLIGHT_MAX;
	return flow;
}

/* The segment from seq on is sent ns later, and acknowledged 50 ms after that.
 * What the ACK is timed from, in ns behind the anchor. */
static uint64_t timed_from(struct rtt_flow *flow, uint32_t seq, uint64_t ns)
{
	struct rtt_segment s = {.seq = seq,
				.len = SEGMENT,
				.first = SEGMENT,
				.flags = RTT_HAS_ACK};
	struct rtt_sample out = {};

	path_clock = 100 * S + ns;
	s.coarse = (path_clock - path_clock % PATH_TICK) >> RTT_UNIT_SHIFT;
	assert_int_equal(rtt_segment(flow, &s, &out), RTT_NONE);
	path_clock += 50 * MS;
	s = (struct rtt_segment){
		.ack = seq + SEGMENT, .way = 1, .flags = RTT_HAS_ACK};
	assert_int_equal(rtt_segment(flow, &s, &out), RTT_SAMPLE);
	/* Units. */
	return (ns + 50 * MS - out.ns + MS / 10) / MS * MS;
}

/* An ACK may have waited for the segment behind the anchor, or for the next
 * burst; for half a second or two segments it has not (RFC 5681, 4.2). */
static void test_what_is_stamped(void **state)
{
	struct rtt_flow flow = anchored();

	(void)state;
	assert_int_equal(timed_from(&flow, SEGMENT, MS), MS);
	flow = anchored();
	assert_int_equal(timed_from(&flow, SEGMENT, 490 * MS), 490 * MS);
	/* The one behind the anchor, however late. */
	flow = anchored();
	assert_int_equal(timed_from(&flow, SEGMENT, 700 * MS), 700 * MS);
	/* The third, 20 ms behind the second. */
	flow = anchored();
	flow.half[0].newest++;
	assert_int_equal(timed_from(&flow, 2 * SEGMENT, 20 * MS), 20 * MS);
	/* Much later, or further behind: from the second. */
	flow = anchored();
	flow.half[0].newest++;
	assert_int_equal(timed_from(&flow, 2 * SEGMENT, 600 * MS), 0);
	flow = anchored();
	flow.half[0].newest++;
	assert_int_equal(timed_from(&flow, 40 * SEGMENT, 20 * MS), 0);
}

/* An anchor that nobody has answered for long is given up for the next
 * segment. */
static void test_anchor_is_given_up(void **state)
{
	struct rtt_flow flow = anchored();

	(void)state;
	assert_int_equal(timed_from(&flow, SEGMENT, 40 * S), 40 * S);
	assert_int_equal(rtt_mark_end(flow.half[0].anchor), 2 * SEGMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_stamped),
		cmocka_unit_test(test_anchor_is_given_up),
		cmocka_unit_test(test_begins_again),
		cmocka_unit_test(test_other_connection),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_clock_wraps),
		cmocka_unit_test(test_exact_where_nothing_is_lost),
		cmocka_unit_test(test_never_less_than_the_truth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
