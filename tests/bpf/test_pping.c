/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Round-trip times through the datapath: whose they are, and of which side.
 * What is measured has tests of its own. */
#include "tests/bpf/pping_fixture.h"

static void test_handshake(void **state)
{
	static const struct conn all[] = {
		{"10.0.0.1", "192.0.2.1", 0, 443, CONN_TCP, 0, false},
		{"10.0.0.1", "192.0.2.1", 0, 443, CONN_TCP, 7, false},
		{"10.0.0.1", "192.0.2.1", 0, 443, CONN_TCP, 7, true},
		{"2001:db8:1::9", "2001:db8:f::1", 0, 443, CONN_TCP, 0, false},
		{"2001:db8:1::9", "2001:db8:f::1", 0, 443, CONN_TCP, 9, true},
	};
	uint64_t begun;
	struct conn c;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		c = all[i];
		c.subs_port = ++port;
		begun = now_ns();
		assert_int_not_equal(shake(&c, LQOS_UP, FAST, SLOW).flow, 0);
		one_sample(ALICE, PP_INTERNET, FAST, begun);
		one_sample(ALICE, PP_ACCESS, SLOW, begun);
		assert_true(hist(ALICE, PP_INTERNET).sum + FAST * 1000000 <=
			    now_ns() - begun);
		ready(state);
		/* From the internet. */
		c.subs_port = ++port;
		begun = now_ns();
		shake(&c, LQOS_DOWN, SLOW, FAST);
		one_sample(ALICE, PP_ACCESS, SLOW, begun);
		one_sample(ALICE, PP_INTERNET, FAST, begun);
		ready(state);
	}
}

static void test_data(void **state)
{
	struct conn c = alice();
	uint64_t begun;

	shake(&c, LQOS_UP, FAST, FAST);
	ready(state);
	begun = now_ns();
	pass(&c, LQOS_DOWN, ACK, 2001, 1001, 500);
	assert_int_equal(samples(ALICE, PP_INTERNET), 0);
	conn_sleep_ms(FAST);
	pass(&c, LQOS_UP, ACK, 1001, 2501, 0);
	one_sample(ALICE, PP_ACCESS, FAST, begun);
	assert_int_equal(hist(ALICE, PP_ACCESS).inexact, 0);
	begun = now_ns();
	pass(&c, LQOS_UP, ACK, 1001, 2501, 100);
	conn_sleep_ms(FAST);
	pass(&c, LQOS_DOWN, ACK, 2501, 1101, 0);
	one_sample(ALICE, PP_INTERNET, FAST, begun);
	assert_int_equal(samples(ALICE, PP_ACCESS), 1);
}

static void test_refused(void **state)
{
	struct conn c = alice();

	(void)state;
	/* Nobody knows what was sent before. */
	pass(&c, LQOS_DOWN, ACK, 5000, 1, 100);
	pass(&c, LQOS_UP, ACK, 1, 5100, 0);
	assert_int_equal(outcome(PP_ACCESS, RTT_COLD), 1);
	c = alice();
	shake(&c, LQOS_UP, FAST, FAST);
	pass(&c, LQOS_DOWN, ACK, 2001, 1001, 500);
	pass(&c, LQOS_DOWN, ACK, 2001, 1001, 500);
	pass(&c, LQOS_UP, ACK, 1001, 2501, 0);
	assert_int_equal(outcome(PP_ACCESS, RTT_POISONED), 1);
	pass(&c, LQOS_DOWN, ACK, 2501, 1001, 500);
	pass(&c, LQOS_UP, ACK, 1001, 9000, 0);
	assert_int_equal(outcome(PP_ACCESS, RTT_AHEAD), 1);
	/* The two of the handshake are all. */
	assert_int_equal(samples(ALICE, PP_ACCESS), 1);
	assert_int_equal(samples(ALICE, PP_INTERNET), 1);
}

/* ACKs that end within the second of two segments. */
static void test_exact(void **state)
{
	bool exact = pp->rodata->pp_exact;
	struct pp_side_hist h;
	struct conn c;
	uint32_t i;

	for (i = 0; i < 8; i++) {
		c = alice();
		shake(&c, LQOS_UP, 1, 1);
		pass(&c, LQOS_DOWN, ACK, 2001, 1001, 500 + i);
		pass(&c, LQOS_DOWN, ACK, 2501 + i, 1001, 500);
		if (!i)
			ready(state);
		pass(&c, LQOS_UP, ACK, 1001, 2701 + i, 0);
	}
	h = hist(ALICE, PP_ACCESS);
	if (exact) {
		/* Of all but the first, their handshakes. */
		assert_int_equal(samples(ALICE, PP_ACCESS), 7);
		assert_int_equal(h.inexact, 0);
		assert_in_range(h.outcome[RTT_INEXACT], 1, 8);
	} else {
		assert_in_range(h.inexact, 1, 8);
		assert_int_equal(samples(ALICE, PP_ACCESS), 7 + h.inexact);
		assert_int_equal(h.outcome[RTT_INEXACT], 0);
	}
}

/* What was on its way in another connection is not answered by this one. */
static void test_generation(void **state)
{
	struct conn c = alice();
	struct lqos_packet first = shake(&c, LQOS_UP, FAST, FAST), now;

	ready(state);
	pass(&c, LQOS_DOWN, ACK, 2001, 1001, 500);
	pass(&c, LQOS_UP, SYN, 70000, 0, 0);
	now = pass(&c, LQOS_UP, ACK, 70001, 2501, 0);
	assert_int_equal(now.flow, first.flow);
	assert_int_not_equal(now.generation, first.generation);
	assert_int_equal(samples(ALICE, PP_ACCESS), 0);
	pass(&c, LQOS_UP, ACK, 70001, 2501, 0);
	assert_int_equal(samples(ALICE, PP_ACCESS), 0);
	assert_int_equal(samples(ALICE, PP_INTERNET), 0);
}

static void test_syn_flood(void **state)
{
	struct conn c = alice();
	uint32_t i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		c.remote_port = (uint16_t)(i + 1);
		pass(&c, i % 2, SYN, i * 1000, 0, 0);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(samples(ALICE, (enum pp_side)i), 0);
		assert_int_equal(outcome((enum pp_side)i, RTT_POISONED), 0);
	}
	c = alice();
	shake(&c, LQOS_DOWN, FAST, FAST);
	assert_int_equal(samples(ALICE, PP_ACCESS), 1);
	assert_int_equal(samples(ALICE, PP_INTERNET), 1);
}

/* ---- Without segments ---------------------------------------------------- */

static void test_ping(void **state)
{
	struct conn c = alice();
	uint64_t begun = now_ns();
	int i;

	for (i = 0; i < 2; i++) {
		ping(&c, LQOS_UP, 1, FAST);
		one_sample(ALICE, PP_INTERNET, FAST, begun);
		assert_int_equal(samples(ALICE, PP_ACCESS), 0);
		ready(state);
		ping(&c, LQOS_DOWN, 2, FAST);
		one_sample(ALICE, PP_ACCESS, FAST, begun);
		assert_int_equal(samples(ALICE, PP_INTERNET), 0);
		ready(state);
		c.subs = "2001:db8:1::9";
		c.remote = "2001:db8:f::1";
	}
}

static void test_dns(void **state)
{
	static const uint8_t asks[12] = {0x12, 0x34, 1, 0, 0, 1};
	static const uint8_t told_[12] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1};
	static const uint8_t other[12] = {0x12, 0x35, 0x81, 0x80, 0, 1, 0, 1};
	struct conn c = alice();
	struct sent s = {.way = LQOS_UP, .len = 12, .payload = asks};
	uint64_t begun = now_ns();

	(void)state;
	c.proto = CONN_UDP;
	c.remote_port = 53;
	conn_pass(dp, &c, &s);
	conn_sleep_ms(FAST);
	s.way = LQOS_DOWN;
	s.payload = other; /* to another question */
	conn_pass(dp, &c, &s);
	assert_int_equal(samples(ALICE, PP_INTERNET), 0);
	s.payload = told_;
	conn_pass(dp, &c, &s);
	one_sample(ALICE, PP_INTERNET, FAST, begun);
	conn_pass(dp, &c, &s);
	assert_int_equal(samples(ALICE, PP_INTERNET), 1);
	assert_int_equal(samples(ALICE, PP_ACCESS), 0);
}

static void test_quic(void **state)
{
	/* Initial packets of version 1, from and to a connection each. */
	static const uint8_t hello[1200] = {0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4,
					    5,	  6, 7, 8, 4, 9, 9, 9, 9};
	static const uint8_t answer[1200] = {0xc0, 0, 0, 0, 1, 4, 9, 9, 9, 9,
					     8,	   6, 6, 6, 6, 6, 6, 6, 6};
	static const uint8_t later[50] = {0x40, 6, 6, 6, 6, 6, 6, 6, 6};
	struct conn c = alice();
	struct sent s = {.way = LQOS_UP, .len = 1200, .payload = hello};
	uint64_t begun = now_ns();

	(void)state;
	c.proto = CONN_UDP;
	c.remote_port = 443;
	conn_pass(dp, &c, &s);
	conn_sleep_ms(FAST);
	conn_pass(dp, &c,
		  &(struct sent){
			  .way = LQOS_DOWN, .len = 1200, .payload = answer});
	one_sample(ALICE, PP_INTERNET, FAST, begun);
	assert_int_equal(samples(ALICE, PP_ACCESS), 0);
	conn_sleep_ms(SLOW);
	s.len = 50;
	s.payload = later;
	conn_pass(dp, &c, &s);
	one_sample(ALICE, PP_ACCESS, SLOW, begun);
	assert_int_equal(samples(ALICE, PP_INTERNET), 1);
}

static enum how plain = PLAIN, exact = EXACT, tc = TC;

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN(test_handshake, plain),  IN(test_data, plain),
		IN(test_refused, plain),    IN(test_exact, plain),
		IN(test_generation, plain), IN(test_syn_flood, plain),
		IN(test_ping, plain),	    IN(test_dns, plain),
		IN(test_quic, plain),	    IN(test_exact, exact),
		IN(test_handshake, tc),	    IN(test_data, tc),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("pping", tests, NULL,
						  unload_last);
}
