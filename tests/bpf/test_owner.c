/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose a packet is: the tries, the cache in front of them, and strangers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "core/cleanup.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"

enum { NOBODY };

static struct datapath *dp;

/* The descriptor of a packet between a host and somewhere. */
static struct lqos_packet look_up(const char *host,
				  enum lqos_direction direction)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_UDP, P_DATA(10)};
	const char *far = strchr(host, ':') ? "2001:db8:ffff::1" : "192.0.2.1";
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	if (direction == LQOS_DOWN)
		packet_ends_set(&ends, far, host);
	else
		packet_ends_set(&ends, host, far);
	packet_build(&p, &ends, layers);
	assert_int_equal(run_xdp(direction == LQOS_DOWN
					 ? dp->skel->progs.lq_from_inet
					 : dp->skel->progs.lq_from_subs,
				 p.data, p.len, NULL, &out),
			 0);
	assert_int_equal(out.verdict, XDP_PASS);
	assert_true(out.described);
	return out.pkt;
}

static uint64_t counted(enum dp_counter which)
{
	return datapath_counters(dp)->count[which];
}

/* host is slot's in both directions; DP_TRIE moves by trie each time. */
static void check_owner(const char *host, uint32_t slot, uint64_t trie)
{
	uint32_t cpu = 0;
	int direction;

	for (direction = LQOS_DOWN; direction <= LQOS_UP; direction++) {
		uint64_t tried = counted(DP_TRIE);
		uint64_t unknown = counted(DP_UNKNOWN_HOST);
		struct lqos_packet pkt =
			look_up(host, (enum lqos_direction)direction);

		if (pkt.slot != slot)
			fail_msg("%s is %u's, expected %u's", host, pkt.slot,
				 slot);
		if (counted(DP_TRIE) - tried != trie)
			fail_msg("%s: %lu look-ups in the trie, expected %lu",
				 host, counted(DP_TRIE) - tried, trie);
		assert_int_equal(counted(DP_UNKNOWN_HOST) - unknown, !slot);
		/* own() gives each slot a handle and CPU of its own. */
		assert_int_equal(pkt.handle, slot ? 0x10000 + slot : 0);
		if (slot)
			assert_int_equal(pkt.cpu, slot % 7);
		if (direction == LQOS_UP)
			assert_int_equal(pkt.cpu, cpu);
		cpu = pkt.cpu;
	}
}

static void own(const char *prefix, uint32_t slot)
{
	assert_int_equal(
		datapath_own(dp, prefix, slot, 0x10000 + slot, slot % 7), 0);
}

static void own_quietly(const char *prefix, uint32_t slot)
{
	assert_int_equal(datapath_own_quietly(dp, prefix, slot, 0x10000 + slot,
					      slot % 7),
			 0);
}

static void test_longest_match(void **state)
{
	static const struct {
		const char *host;
		uint32_t slot;
	} hosts[] = {
		{"10.255.255.255", 1},
		{"10.0.0.0", 1},
		{"10.1.255.255", 2},
		{"10.1.0.0", 2},
		{"10.1.2.255", 3},
		{"10.1.2.4", 3},
		{"10.1.2.3", 4},
		{"11.0.0.0", NOBODY},
		{"9.255.255.255", NOBODY},
		{"2001:db8:ffff::", 11},
		{"2001:db8:1::", 12},
		{"2001:db8:1:3::", 12},
		{"2001:db8:1:2::", 13},
		{"2001:db8:1:2:ffff:ffff:ffff:ffff", 13},
		{"2001:db8:1:2::2", 13},
		{"2001:db8:1:2::3", 14},
		{"2001:db9::", NOBODY},
		{"::", NOBODY},
	};
	size_t i;

	(void)state;
	own("10.0.0.0/8", 1);
	own("10.1.0.0/16", 2);
	own("10.1.2.0/24", 3);
	own("10.1.2.3/32", 4);
	own("2001:db8::/32", 11);
	own("2001:db8:1::/48", 12);
	own("2001:db8:1:2::/64", 13);
	own("2001:db8:1:2::3/128", 14);
	for (i = 0; i < ARRAY_SIZE(hosts); i++) {
		look_up(hosts[i].host, LQOS_DOWN);
		/* What is somebody's is remembered, what is nobody's not. */
		check_owner(hosts[i].host, hosts[i].slot, !hosts[i].slot);
	}
}

static void test_default_route(void **state)
{
	(void)state;
	own("0.0.0.0/0", 21);
	own("::/0", 22);
	assert_int_equal(look_up("203.0.113.77", LQOS_UP).slot, 21);
	assert_int_equal(look_up("0.0.0.0", LQOS_DOWN).slot, 21);
	assert_int_equal(look_up("255.255.255.255", LQOS_DOWN).slot, 21);
	assert_int_equal(look_up("fe80::1", LQOS_UP).slot, 22);
	assert_int_equal(look_up("::", LQOS_DOWN).slot, 22);
}

/* Mapped, but not placed: no class and no CPU. */
static void test_not_placed(void **state)
{
	struct lqos_packet pkt;
	int i;

	(void)state;
	assert_int_equal(datapath_own(dp, "10.0.0.1/32", 5, 0, UINT32_MAX), 0);
	for (i = 0; i < 2; i++) { /* the trie's word, and the cache's */
		pkt = look_up("10.0.0.1", LQOS_UP);
		assert_int_equal(pkt.slot, 5);
		assert_int_equal(pkt.handle, 0);
		assert_int_equal(pkt.cpu, UINT16_MAX);
	}
}

static void test_unknown(void **state)
{
	uint32_t first = look_up("203.0.113.1", LQOS_DOWN).cpu;
	bool differ = false;
	char host[64];
	int i;

	(void)state;
	for (i = 1; i < 255; i++) {
		snprintf(host, sizeof(host), "203.0.113.%d", i);
		check_owner(host, NOBODY, 1);
		differ |= look_up(host, LQOS_UP).cpu != first;
		snprintf(host, sizeof(host), "2001:db8:9:%x::%x", i, i);
		check_owner(host, NOBODY, 1);
	}
	assert_true(differ);
}

/* The hash spreads hosts over CPUs whatever part of the address they differ
 * in. */
static void check_spread(const char *before, const char *after)
{
	uint32_t hits[4] = {0};
	char host[64];
	int i;

	for (i = 0; i < 256; i++) {
		snprintf(host, sizeof(host), "%s%d%s", before, i, after);
		hits[look_up(host, LQOS_DOWN).cpu % 4]++;
	}
	for (i = 0; i < 4; i++)
		if (hits[i] < 32 || hits[i] > 96)
			fail_msg("%s*%s: CPU %d has %u of 256 hosts", before,
				 after, i, hits[i]);
}

static void test_spread(void **state)
{
	(void)state;
	check_spread("203.0.113.", "");
	check_spread("203.0.", ".7");
	check_spread("203.", ".9.7");
	check_spread("", ".1.9.7");
	check_spread("2001:db8:9:8:7:6:5:", "");
	check_spread("2001:db8:9:8:7:6:", ":4");
	check_spread("2001:db8:9:8:7:", ":5:4");
	check_spread("2001:db8:9:8:", ":6:5:4");
	check_spread("2001:db8:9:", ":7:6:5:4");
	check_spread("2001:db8:", ":8:7:6:5:4");
	check_spread("2001:", ":9:8:7:6:5:4");
}

/* A thousand subscribers have a network each, and all the same host in it:
 * they do not push each other out of a cache of four times their number. */
static void check_cached(const char *before, const char *after)
{
	enum { HOSTS = 1000 };
	uint64_t tried = 0;
	char host[64];
	int round, i;

	for (round = 0; round < 2; round++) {
		tried = counted(DP_TRIE);
		for (i = 0; i < HOSTS; i++) {
			snprintf(host, sizeof(host), "%s%x:%x%s", before,
				 i / 100, i % 100, after);
			assert_int_equal(look_up(host, LQOS_DOWN).slot, 1);
		}
	}
	/* 22 % share an entry with another where chance decides. */
	tried = counted(DP_TRIE) - tried;
	if (tried > HOSTS * 3 / 10)
		fail_msg("%s*:*%s: %lu of %d hosts are not in the cache",
			 before, after, tried, HOSTS);
}

static void test_cache_spread(void **state)
{
	(void)state;
	own("2001:db8::/32", 1);
	check_cached("2001:db8:7:8:9:a:", "");
	check_cached("2001:db8:7:8:9:", ":a");
	check_cached("2001:db8:7:8:", ":9:a");
	check_cached("2001:db8:7:", ":8:9:a");
	check_cached("2001:db8:", ":7:8:9:a");
}

static void test_cache(void **state)
{
	(void)state;
	own("10.0.0.0/24", 1);
	assert_int_equal(look_up("10.0.0.9", LQOS_DOWN).slot, 1);
	check_owner("10.0.0.9", 1, 0);
	/* Another host of the same prefix is another entry. */
	look_up("10.0.0.10", LQOS_UP);
	check_owner("10.0.0.10", 1, 0);

	/* Only the epoch tells that the trie has changed... */
	own_quietly("10.0.0.0/24", 2);
	check_owner("10.0.0.9", 1, 0);
	datapath_new_epoch(dp);
	/* ... and then the owner is the new one at once, for all. */
	assert_int_equal(look_up("10.0.0.9", LQOS_UP).slot, 2);
	check_owner("10.0.0.9", 2, 0);
	assert_int_equal(look_up("10.0.0.10", LQOS_UP).slot, 2);

	/* A more specific prefix, and its end. */
	own("10.0.0.9/32", 3);
	assert_int_equal(look_up("10.0.0.9", LQOS_UP).slot, 3);
	assert_int_equal(look_up("10.0.0.10", LQOS_UP).slot, 2);
	assert_int_equal(datapath_disown(dp, "10.0.0.9/32"), 0);
	assert_int_equal(look_up("10.0.0.9", LQOS_UP).slot, 2);
	assert_int_equal(datapath_disown(dp, "10.0.0.0/24"), 0);
	check_owner("10.0.0.9", NOBODY, 1);
}

static void test_epoch_alone(void **state)
{
	uint64_t tried;

	(void)state;
	own("2001:db8:7::/48", 8);
	look_up("2001:db8:7::1", LQOS_UP);
	check_owner("2001:db8:7::1", 8, 0);
	datapath_new_epoch(dp);
	tried = counted(DP_TRIE);
	look_up("2001:db8:7::1", LQOS_DOWN);
	assert_int_equal(counted(DP_TRIE) - tried, 1);
	look_up("2001:db8:7::1", LQOS_UP);
	assert_int_equal(counted(DP_TRIE) - tried, 1);
}

/* An IPv4 host is not the IPv6 host of the same bits. */
static void test_families_apart(void **state)
{
	(void)state;
	own("1.2.3.4/32", 1);
	own("102:304::/128", 2);
	own("::102:304/128", 3);
	assert_int_equal(look_up("1.2.3.4", LQOS_UP).slot, 1);
	assert_int_equal(look_up("102:304::", LQOS_UP).slot, 2);
	assert_int_equal(look_up("::102:304", LQOS_UP).slot, 3);
	check_owner("1.2.3.4", 1, 0);
	check_owner("102:304::", 2, 0);
	check_owner("::102:304", 3, 0);
}

/* All addresses meet in one entry: each pushes the other out. */
static void test_collision(void **state)
{
	int i;

	(void)state;
	own("10.0.0.1/32", 1);
	own("10.0.0.2/32", 2);
	own("2001:db8::1/128", 3);
	/* The same last eight bytes, as the cache has them. */
	own("2001:db8::a00:1:0:0/128", 4);
	own("2001:db9::a00:1:0:0/128", 5);
	for (i = 0; i < 3; i++) {
		uint64_t tried = counted(DP_TRIE);

		assert_int_equal(look_up("10.0.0.1", LQOS_DOWN).slot, 1);
		assert_int_equal(look_up("10.0.0.2", LQOS_UP).slot, 2);
		assert_int_equal(look_up("2001:db8::1", LQOS_DOWN).slot, 3);
		assert_int_equal(counted(DP_TRIE) - tried, 3);
		assert_int_equal(look_up("10.0.0.1", LQOS_UP).slot, 1);
		assert_int_equal(look_up("2001:db8::a00:1:0:0", LQOS_UP).slot,
				 4);
		assert_int_equal(look_up("2001:db9::a00:1:0:0", LQOS_UP).slot,
				 5);
		assert_int_equal(look_up("10.0.0.1", LQOS_UP).slot, 1);
		look_up("2001:db8::1", LQOS_UP);
		check_owner("2001:db8::1", 3, 0);
		/* A stranger pushes nobody out. */
		check_owner("10.0.0.3", NOBODY, 1);
		check_owner("2001:db8::1", 3, 0);
	}
}

/* A packet from host in a VLAN; 0: without a tag. */
static struct lqos_packet look_up_in(const char *host, uint32_t vid)
{
	const uint32_t tagged[PACKET_LAYERS] = {P_SVLAN, P_VLAN, P_IP, P_UDP};
	const uint32_t plain[PACKET_LAYERS] = {P_IP, P_UDP};
	const char *far = strchr(host, ':') ? "2001:db8:ffff::1" : "192.0.2.1";
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	packet_ends_set(&ends, host, far);
	packet_build(&p, &ends, vid ? tagged : plain);
	if (vid) {
		p.data[14] = (uint8_t)(0x60 | vid >> 8);
		p.data[15] = (uint8_t)vid;
	}
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_subs, p.data, p.len,
				 NULL, &out),
			 0);
	assert_true(out.described);
	assert_int_equal(out.pkt.space, vid);
	return out.pkt;
}

/* The same address in two VLANs is two subscribers'; in others it is whose it
 * is in all of them. */
static void test_spaces(void **state)
{
	static const struct {
		const char *host;
		uint32_t vid, slot;
	} hosts[] = {
		{"10.0.0.1", 200, 1},	      {"10.0.0.1", 201, 2},
		{"10.0.0.1", 202, 3},	      {"10.0.0.1", 0, 3},
		{"10.0.0.1", 4094, 3},	      {"10.0.0.2", 200, 3},
		{"10.0.0.2", 201, 4},	      {"2001:db8::1", 200, 5},
		{"2001:db8::1", 201, 6},      {"2001:db8::1", 0, NOBODY},
		{"2001:db8::2", 200, 5},      {"192.0.2.9", 200, NOBODY},
		{"2001:db8::2", 456, NOBODY},
	};
	int round;
	size_t i;

	(void)state;
	own("10.0.0.1%200/32", 1);
	own("10.0.0.1%201/32", 2);
	own("10.0.0.0/24", 3);
	own("10.0.0.0%201/24", 4);
	own("2001:db8::%200/64", 5);
	own("2001:db8::1%201/128", 6);
	for (round = 0; round < 3; round++) {
		uint64_t tried = counted(DP_TRIE);

		for (i = 0; i < ARRAY_SIZE(hosts); i++) {
			struct lqos_packet pkt =
				look_up_in(hosts[i].host, hosts[i].vid);

			if (pkt.slot != hosts[i].slot)
				fail_msg("%s in VLAN %u is %u's, expected %u's",
					 hosts[i].host, hosts[i].vid, pkt.slot,
					 hosts[i].slot);
		}
		/* They do not push each other out of the cache. */
		if (round)
			assert_int_equal(counted(DP_TRIE) - tried, 3);
	}
	/* A new owner in one space is at once the one. */
	own("10.0.0.1%202/32", 9);
	assert_int_equal(look_up_in("10.0.0.1", 202).slot, 9);
	assert_int_equal(look_up_in("10.0.0.1", 201).slot, 2);
	assert_int_equal(datapath_disown(dp, "10.0.0.1%200/32"), 0);
	assert_int_equal(look_up_in("10.0.0.1", 200).slot, 3);
}

/* Without them a tag is a tag. */
static void test_no_spaces(void **state)
{
	const uint32_t tagged[PACKET_LAYERS] = {P_VLAN, P_IP, P_UDP};
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	(void)state;
	own("10.0.0.0/24", 3);
	own("10.0.0.1%200/32", 1);
	packet_ends_set(&ends, "10.0.0.1", "192.0.2.1");
	packet_build(&p, &ends, tagged);
	p.data[14] = 0;
	p.data[15] = 200;
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_subs, p.data, p.len,
				 NULL, &out),
			 0);
	assert_int_equal(out.pkt.slot, 3);
	assert_int_equal(out.pkt.space, 0);
}

/* At egress without a descriptor the same look-up is done. */
static void test_egress(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_VLAN, P_IP, P_TCP};
	struct packet_ends ends;
	struct lqos_packet pkt;
	struct outcome out;
	struct packet p;

	(void)state;
	own("10.0.0.1/32", 1);
	own("10.0.0.2/32", 2);
	packet_ends_set(&ends, "10.0.0.1", "10.0.0.2");
	packet_build(&p, &ends, layers);
	assert_int_equal(
		run_tc(dp->skel->progs.lq_to_subs, p.data, p.len, &out), 0);
	assert_int_equal(out.verdict, (uint32_t)TC_ACT_UNSPEC);
	assert_int_equal(datapath_scratch(dp, &pkt), 0);
	assert_int_equal(pkt.slot, 2);
	assert_int_equal(
		run_tc(dp->skel->progs.lq_to_inet, p.data, p.len, &out), 0);
	assert_int_equal(datapath_scratch(dp, &pkt), 0);
	assert_int_equal(pkt.slot, 1);
	assert_int_equal(pkt.handle, 0x10001);
	assert_int_equal(counted(DP_SENT_PARSED), 2);
}

/* Who had traffic in this tick. */
static void test_seen(void **state)
{
	const uint32_t layers[PACKET_LAYERS] = {P_IP, P_TCP};
	const uint32_t arp[PACKET_LAYERS] = {P_TYPE(0x0806), P_DATA(46)};
	struct packet_ends ends;
	struct outcome out;
	struct packet p;

	(void)state;
	own("10.0.0.1/32", 9);
	assert_int_equal(datapath_chain(dp, "lqos_ingress", 0,
					dp->skel->progs.lq_observe),
			 0);
	packet_ends_set(&ends, "10.0.0.1", "10.0.0.2");
	packet_build(&p, &ends, layers);
	assert_int_equal(dp->seen[9], 0);
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_subs, p.data, p.len,
				 NULL, &out),
			 0);
	assert_int_equal(dp->seen[9], 1);
	assert_int_equal(dp->seen[0], 0);
	dp->skel->bss->dp_tick = 77;
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_inet, p.data, p.len,
				 NULL, &out),
			 0);
	assert_int_equal(dp->seen[9], 1);
	assert_int_equal(dp->seen[0], 77);
	/* What has no address is nobody's traffic. */
	dp->skel->bss->dp_tick = 78;
	packet_build(&p, &ends, arp);
	assert_int_equal(run_xdp(dp->skel->progs.lq_from_inet, p.data, p.len,
				 NULL, &out),
			 0);
	assert_int_equal(dp->seen[0], 77);
	assert_int_equal(counted(DP_OBSERVED), 3);
	assert_int_equal(counted(DP_PARSED_AGAIN), 0);
}

static int fresh(void **state)
{
	(void)state;
	return datapath_new(
		&dp, &(struct datapath_knobs){.seed = 0x5eed5eed5eed5eedULL});
}

static int fresh_4096(void **state)
{
	(void)state;
	return datapath_new(&dp, &(struct datapath_knobs){.cache = 4096});
}

static int fresh_1(void **state)
{
	(void)state;
	return datapath_new(&dp, &(struct datapath_knobs){.cache = 1});
}

static int fresh_spaces(void **state)
{
	(void)state;
	return datapath_new(&dp,
			    &(struct datapath_knobs){.address_spaces = true,
						     .cache = 4096});
}

static int gone(void **state)
{
	(void)state;
	datapath_free(&dp);
	return 0;
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, fresh, gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_longest_match),
		TEST(test_default_route),
		TEST(test_not_placed),
		TEST(test_unknown),
		TEST(test_spread),
		TEST(test_cache),
		cmocka_unit_test_setup_teardown(test_cache_spread, fresh_4096,
						gone),
		TEST(test_epoch_alone),
		TEST(test_families_apart),
		cmocka_unit_test_setup_teardown(test_collision, fresh_1, gone),
		cmocka_unit_test_setup_teardown(test_spaces, fresh_spaces,
						gone),
		TEST(test_no_spaces),
		TEST(test_egress),
		TEST(test_seen),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
