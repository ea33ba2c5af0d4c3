/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module tells: of networks that are nobody's, and to who watches. */
#include "tests/bpf/pping_fixture.h"

/* ---- Nobody's ------------------------------------------------------------ */

static const struct pp_prefix *prefix(const char *text, enum pp_side side)
{
	static struct pp_set set;
	const struct conn c = {.subs = text, .remote = text};
	struct lqos_flow_key key = table_key(&c);
	uint32_t i;
	int way;

	for (i = 0; i < pp->rodata->pp_sets; i++) {
		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(pp->maps.pp_prefixes),
					    &i, &set),
			0);
		for (way = 0; way < PP_WAYS; way++)
			if (set.prefix[way].last_seen &&
			    set.prefix[way].hi == key.subs_hi &&
			    set.prefix[way].lo == key.subs_lo &&
			    set.prefix[way].side == side)
				return &set.prefix[way];
	}
	return NULL;
}

static uint32_t prefix_samples(const char *text, enum pp_side side)
{
	const struct pp_prefix *p = prefix(text, side);

	return p ? p->hist.outcome[RTT_SAMPLE] : 0;
}

static void test_prefixes(void **state)
{
	struct conn c = alice();

	c.subs = "10.9.9.77";
	c.remote = "198.51.100.200";
	shake(&c, LQOS_UP, FAST, FAST);
	assert_int_equal(samples(0, PP_INTERNET), 1);
	assert_int_equal(samples(0, PP_ACCESS), 1);
	assert_int_equal(prefix_samples("198.51.100.0", PP_INTERNET), 1);
	assert_int_equal(prefix_samples("10.9.9.0", PP_ACCESS), 1);
	assert_null(prefix("198.51.100.0", PP_ACCESS));
	assert_null(prefix("10.9.9.0", PP_INTERNET));
	c.subs = "10.9.9.78";
	c.subs_port = ++port;
	shake(&c, LQOS_UP, FAST, FAST);
	assert_int_equal(prefix_samples("198.51.100.0", PP_INTERNET), 2);
	assert_int_equal(prefix_samples("10.9.9.0", PP_ACCESS), 2);
	c.subs = "2001:db8:77:1:2::3";
	c.remote = "2001:db8:88:4:5::6";
	shake(&c, LQOS_UP, FAST, FAST);
	assert_int_equal(prefix_samples("2001:db8:88::", PP_INTERNET), 1);
	assert_int_equal(prefix_samples("2001:db8:77::", PP_ACCESS), 1);
	/* Subscribers have a row of their own. */
	ready(state);
	c = alice();
	shake(&c, LQOS_UP, FAST, FAST);
	assert_null(prefix("10.0.0.0", PP_ACCESS));
	assert_null(prefix("192.0.2.0", PP_INTERNET));
}

static uint64_t evicted(void)
{
	uint64_t n;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(pp->maps.pp_evicted),
					     &dp->cpu, &n),
			 0);
	return n;
}

static void ping_from(const char *remote)
{
	struct conn c = alice();

	c.subs = "10.9.9.77";
	c.remote = remote;
	ping(&c, LQOS_UP, 7, 11);
}

static void test_eviction(void **state)
{
	(void)state;
	ping_from("198.51.1.1");
	ping_from("198.51.2.1");
	ping_from("198.51.3.1");
	ping_from("198.51.4.1");
	ping_from("198.51.1.9");
	assert_int_equal(evicted(), 0);
	ping_from("198.51.5.1");
	assert_int_equal(evicted(), 1);
	assert_null(prefix("198.51.2.0", PP_INTERNET));
	assert_int_equal(prefix_samples("198.51.1.0", PP_INTERNET), 2);
	assert_int_equal(prefix_samples("198.51.5.0", PP_INTERNET), 1);
	assert_int_equal(samples(0, PP_INTERNET), 6);
}

/* ---- Events -------------------------------------------------------------- */

static void check_event(uint32_t i, const struct conn *c, enum pp_side side,
			enum rtt_kind kind)
{
	struct lqos_flow_key key = table_key(c);
	const struct pp_event *e = &told[i];

	assert_true(i < n_told);
	assert_memory_equal(&e->key, &key, sizeof(key));
	assert_int_equal(e->slot, ALICE);
	assert_int_equal(e->side, side);
	assert_int_equal(e->kind, kind);
	assert_int_equal(e->egress, dp->knobs.one_interface);
	assert_in_range(now_ns() - e->ts, 0, 2000000000);
	assert_in_range(e->rtt, FAST * 1000000, 1000000000);
	assert_true(((uint64_t)e->min << 6) <= e->rtt);
}

static void test_events(void **state)
{
	struct conn c = alice();
	struct lqos_packet pkt;

	(void)state;
	shake(&c, LQOS_UP, FAST, FAST);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 0);
	pp->bss->pp_watched = PP_WATCH_SAMPLES;
	c = alice();
	pkt = shake(&c, LQOS_UP, FAST, SLOW);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 2);
	check_event(0, &c, PP_INTERNET, RTT_HANDSHAKE);
	assert_int_equal(told[0].flow, 0); /* there is none yet */
	check_event(1, &c, PP_ACCESS, RTT_HANDSHAKE);
	assert_int_equal(told[1].flow, pkt.flow);
	assert_int_equal(told[1].generation, pkt.generation);
	assert_true(told[1].rtt >= SLOW * 1000000);
	pass(&c, LQOS_DOWN, ACK, 2001, 1001, 300);
	conn_sleep_ms(FAST);
	pass(&c, LQOS_UP, ACK, 1001, 2301, 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 3);
	check_event(2, &c, PP_ACCESS, RTT_ACK);
	assert_int_equal(told[2].bytes[LQOS_DOWN], 300);
	assert_int_equal(told[2].packets[LQOS_DOWN], 1);
	assert_int_equal(told[2].bytes[LQOS_UP], 0);
	assert_int_equal(told[2].inexact, 0);
	/* The least of it is its own. */
	assert_true((uint64_t)told[2].min << 6 < told[1].rtt);
	pp->bss->pp_watched = 0;
	c = alice();
	shake(&c, LQOS_UP, FAST, FAST);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 3);
}

static void test_gso(void **state)
{
	struct sent s = {.way = LQOS_DOWN,
			 .flags = ACK,
			 .seq = 2001,
			 .ack = 1001,
			 .len = 1400};
	struct conn c = alice();
	uint64_t begun;

	shake(&c, LQOS_UP, FAST, FAST);
	ready(state);
	pp->bss->pp_watched = PP_WATCH_SAMPLES;
	begun = now_ns();
	conn_pass_gso(dp, &c, &s, 100);
	conn_sleep_ms(FAST);
	/* Its first segment alone, as the receiver saw it. */
	pass(&c, LQOS_UP, ACK, 1001, 2101, 0);
	one_sample(ALICE, PP_ACCESS, FAST, begun);
	assert_int_equal(hist(ALICE, PP_ACCESS).inexact, 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 1);
	check_event(0, &c, PP_ACCESS, RTT_ACK);
	assert_int_equal(told[0].bytes[LQOS_DOWN], 1400);
	assert_int_equal(told[0].packets[LQOS_DOWN], 14);
}

/* ---- Traffic ------------------------------------------------------------- */

static struct pp_times counted(struct lqos_packet pkt)
{
	const struct pp_flow *flow =
		datapath_flow_part(dp, pkt.flow, sizeof(struct lqos_flow));

	assert_int_not_equal(pkt.flow, 0);
	assert_int_equal(flow->times.generation, pkt.generation);
	return flow->times;
}

static void is_counted(struct lqos_packet pkt, enum lqos_direction way,
		       uint32_t packets, uint64_t bytes)
{
	struct pp_times t = counted(pkt);

	assert_int_equal(t.packets[way], packets);
	assert_int_equal(t.bytes[way], bytes);
}

/* What gives no samples, too. */
static void test_traffic(void **state)
{
	static const uint8_t text[200];
	struct sent s = {.way = LQOS_UP, .len = 5, .payload = text};
	struct conn c = alice();
	struct lqos_packet pkt;

	(void)state;
	c.proto = CONN_UDP;
	pkt = conn_pass(dp, &c, &s);
	pp->bss->pp_watched = PP_WATCH_TRAFFIC;
	conn_pass(dp, &c, &s);
	s.way = LQOS_DOWN;
	s.len = 200;
	conn_pass(dp, &c, &s);
	conn_pass(dp, &c, &s);
	is_counted(pkt, LQOS_UP, 1, 5);
	is_counted(pkt, LQOS_DOWN, 2, 400);
	c = alice();
	c.subs = "2001:db8:1::9";
	c.remote = "2001:db8:f::1";
	c.proto = CONN_UDP;
	c.remote_port = 443;
	is_counted(conn_pass(dp, &c, &s), LQOS_DOWN, 1, 200);
	/* Segments without timestamps, and with. */
	c = alice();
	pkt = shake(&c, LQOS_UP, 0, 0);
	is_counted(pkt, LQOS_UP, 1, 0); /* behind the SYN */
	assert_int_equal(counted(pkt).shaken, 1);
	assert_int_equal(counted(pkt).stamped, 0);
	s = (struct sent){.way = LQOS_DOWN,
			  .flags = ACK,
			  .seq = 2001,
			  .ack = 1001,
			  .len = 300,
			  .tsval = 7};
	conn_pass(dp, &c, &s);
	is_counted(pkt, LQOS_DOWN, 1, 300);
	assert_int_equal(counted(pkt).stamped, 1);
	/* Of one that was there before us. */
	c = alice();
	pkt = pass(&c, LQOS_DOWN, ACK, 5000, 1, 100);
	assert_int_equal(counted(pkt).shaken, 0);
	/* Nobody wanted the samples. */
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(n_told, 0);
}

static uint64_t marked(unsigned int bits)
{
	struct pp_ecn ecn;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(pp->maps.pp_ecn),
					     &dp->cpu, &ecn),
			 0);
	return ecn.packets[bits];
}

static void test_ecn(void **state)
{
	static const uint8_t text[9];
	struct sent s = {.len = 9, .payload = text};
	struct conn c = alice();
	uint64_t before[4];
	unsigned int i, k;

	(void)state;
	c.proto = CONN_UDP;
	conn_pass(dp, &c, &s);
	for (i = 0; i < 4; i++)
		before[i] = marked(i);
	pp->bss->pp_watched = PP_WATCH_TRAFFIC;
	for (k = 0; k < 2; k++) {
		for (i = 0; i < 4; i++) {
			s.tos = 0xb8 | i;
			conn_pass(dp, &c, &s);
		}
		c.subs = "2001:db8:1::9";
		c.remote = "2001:db8:f::1";
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(marked(i) - before[i], 2);
}

static enum how plain = PLAIN, one_set = ONE_SET, tc = TC;

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN(test_prefixes, plain),   IN(test_events, plain),
		IN(test_eviction, one_set), IN(test_events, tc),
		IN(test_gso, tc),	    IN(test_traffic, plain),
		IN(test_traffic, tc),	    IN(test_ecn, plain),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("pping_told", tests, NULL,
						  unload_last);
}
