/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which packets the rules of taps take, and which pass by. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>

#include "core/lqos/module.h"
#include "bpf/xsk.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"
#include "bpf/xsk.skel.h"

enum { ALICE = 5, FRAMES = 4, MTU = 1000, NOBODY = XK_TAPS };

static struct datapath *dp;
static struct xsk_bpf *xk;

static int set_credit(uint64_t filled, uint64_t taken)
{
	const struct xk_credit credit = {.filled = filled, .taken = taken};
	uint32_t port = 0;

	return bpf_map_update_elem(bpf_map__fd(xk->maps.xk_credits), &port,
				   &credit, 0);
}

static int load(void **state)
{
	int rc = datapath_new(&dp, NULL);

	(void)state;
	if (rc)
		return rc;
	xk = xsk_bpf__open();
	if (!xk)
		return -1;
	xk->rodata->lqos_self = 1;
	xk->rodata->xk_mtu = MTU;
	/* Packets of BPF_PROG_TEST_RUN arrive there. */
	xk->bss->xk_interfaces[0].ifindex = LOOPBACK_IFINDEX;
	xk->bss->xk_interfaces[0].queues = 1;
	rc = bpf_map__set_max_entries(xk->maps.xk_counters, dp->cpus) ?:
	     datapath_bind(dp, xk->obj) ?:
	     xsk_bpf__load(xk);
	if (rc)
		return rc;
	return datapath_chain(dp, "lqos_ingress", 0, xk->progs.xk_select) ?:
	       datapath_own(dp, "10.0.0.1/32", ALICE, 0x10003, 0) ?:
	       set_credit(FRAMES, 0);
}

static int unload(void **state)
{
	(void)state;
	xsk_bpf__destroy(xk);
	xk = NULL;
	datapath_free(&dp);
	return 0;
}

/* ---- Rules --------------------------------------------------------------- */

static struct xk_rule rule(const char *prefix, uint8_t about, uint8_t tap)
{
	struct xk_rule r = {.about = about, .tap = tap};
	struct lqos_ip_range range;

	if (prefix) {
		assert_int_equal(lqos_ip_range_parse(prefix, &range), 0);
		r.hi = range.hi;
		r.lo = range.lo;
		r.mask_hi = range.mask_hi;
		r.mask_lo = range.mask_lo;
	}
	return r;
}

static void add(struct xk_rule r)
{
	uint32_t n = xk->bss->xk_rules.n / XK_TABLES;

	memcpy((void *)&xk->bss->xk_rules.rule[0][n], &r, sizeof(r));
	xk->bss->xk_rules.n = (n + 1) * XK_TABLES;
}

/* ---- Packets ------------------------------------------------------------- */

static uint64_t counted(uint32_t tap, enum xk_counter which)
{
	struct xk_counters row;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(xk->maps.xk_counters),
					     &dp->cpu, &row),
			 0);
	return row.count[tap][which];
}

/* The tap that would have got the frame: as no socket is open, it passes by.
 * Why, where it did for another reason. */
static uint32_t goes(const uint8_t *data, size_t len, enum xk_counter why)
{
	uint64_t before[XK_TAPS];
	uint32_t tap, got = NOBODY;
	struct outcome out;

	for (tap = 0; tap < XK_TAPS; tap++)
		before[tap] = counted(tap, why);
	assert_int_equal(
		run_xdp(dp->skel->progs.lq_from_inet, data, len, NULL, &out),
		0);
	assert_int_equal(out.verdict,
			 why == XK_TAKEN ? XDP_REDIRECT : XDP_PASS);
	assert_int_equal(out.len, len);
	for (tap = 0; tap < XK_TAPS; tap++)
		if (counted(tap, why) != before[tap]) {
			assert_int_equal(got, NOBODY);
			assert_int_equal(counted(tap, why), before[tap] + 1);
			got = tap;
		}
	return got;
}

static void build(struct packet *p, const char *src, const char *dst,
		  const uint32_t *layers)
{
	struct packet_ends ends;

	packet_ends_set(&ends, src, dst);
	packet_build(p, &ends, layers);
}

/* bytes: at an offset from the IP header; n: how many. */
static uint32_t tap_of(const char *src, const char *dst, const uint32_t *layers,
		       size_t at, const void *bytes, size_t n)
{
	struct packet p;

	build(&p, src, dst, layers);
	memcpy(p.data + p.l3_off + at, bytes, n);
	return goes(p.data, p.len, XK_NO_SOCKET);
}

#define LAYERS(...) ((const uint32_t[PACKET_LAYERS]){__VA_ARGS__})

static uint32_t udp_to(const char *dst, uint16_t port)
{
	const uint16_t ports[] = {htons(5000), htons(port)};
	size_t header = strchr(dst, ':') ? 40 : 20;

	return tap_of(strchr(dst, ':') ? "2001:db8:ffff::1" : "192.0.2.1", dst,
		      LAYERS(P_IP, P_UDP, P_DATA(20)), header, ports,
		      sizeof(ports));
}

static uint32_t icmp_to(const char *dst, uint8_t type)
{
	bool ipv6 = strchr(dst, ':');

	return tap_of(ipv6 ? "2001:db8:ffff::1" : "192.0.2.1", dst,
		      LAYERS(P_IP, P_ICMP, P_DATA(40)), ipv6 ? 40 : 20, &type,
		      1);
}

/* A socket for the tap: nothing gets there, as nothing is sent. */
static int open_socket(uint32_t tap)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), entries = 4;
	uint32_t key = tap * XK_PORTS;

	assert_true(fd >= 0);
	assert_int_equal(
		setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)),
		0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(xk->maps.xk_sockets),
					     &key, &fd, 0),
			 0);
	return fd;
}

/* ---- Tests --------------------------------------------------------------- */

static void without_rules_all_go_on(void **state)
{
	(void)state;
	assert_int_equal(udp_to("10.0.0.1", 7), NOBODY);
}

static void a_rule_is_all_that_it_says(void **state)
{
	struct xk_rule r = rule("10.0.0.0/24", XK_TO, 2);

	(void)state;
	r.proto = IPPROTO_UDP;
	r.port = htons(7);
	add(r);
	assert_int_equal(udp_to("10.0.0.1", 7), 2);
	assert_int_equal(udp_to("10.0.0.255", 7), 2);
	assert_int_equal(udp_to("10.0.1.1", 7), NOBODY);
	assert_int_equal(udp_to("10.0.0.1", 8), NOBODY);
	assert_int_equal(udp_to("2001:db8::1", 7), NOBODY);
	/* What has no port is not of that port. */
	assert_int_equal(icmp_to("10.0.0.1", 8), NOBODY);
	assert_int_equal(tap_of("10.0.0.1", "192.0.2.1",
				LAYERS(P_IP, P_UDP, P_DATA(20)), 22,
				(const uint8_t[]){0, 7}, 2),
			 NOBODY);
}

static void from_is_the_source(void **state)
{
	struct xk_rule r = rule("192.0.2.1", XK_FROM, 1);

	(void)state;
	r.port = htons(5000);
	add(r);
	assert_int_equal(udp_to("10.0.0.1", 9), 1);
	r = rule("10.0.0.1", XK_FROM, 3);
	add(r);
	assert_int_equal(tap_of("192.0.2.2", "10.0.0.1",
				LAYERS(P_IP, P_UDP, P_DATA(20)), 0,
				(const uint8_t[]){0x45}, 1),
			 NOBODY);
}

static void the_first_that_fits_counts(void **state)
{
	(void)state;
	add(rule("10.0.0.1", XK_TO, 4));
	add(rule("10.0.0.0/8", XK_TO, 5));
	add(rule(NULL, XK_TO, 6));
	assert_int_equal(udp_to("10.0.0.1", 1), 4);
	assert_int_equal(udp_to("10.9.0.1", 1), 5);
	assert_int_equal(udp_to("192.0.2.77", 1), 6);
	assert_int_equal(udp_to("2001:db8::1", 1), 6);
}

static void ipv6_prefixes(void **state)
{
	(void)state;
	add(rule("2001:db8:1::/48", XK_TO, 0));
	add(rule("2001:db8:2::1", XK_TO, 1));
	assert_int_equal(udp_to("2001:db8:1:ffff::1", 1), 0);
	assert_int_equal(udp_to("2001:db8:2::1", 1), 1);
	assert_int_equal(udp_to("2001:db8:2::2", 1), NOBODY);
	assert_int_equal(udp_to("32.1.13.184", 1), NOBODY);
}

static void icmp_types(void **state)
{
	struct xk_rule r = rule("10.0.0.1", XK_TO, 0);

	(void)state;
	r.proto = IPPROTO_ICMP;
	r.icmp_type = 8;
	add(r);
	r = rule("2001:db8::1", XK_TO, 1);
	r.proto = IPPROTO_ICMPV6;
	r.icmp_type = 128;
	add(r);
	assert_int_equal(icmp_to("10.0.0.1", 8), 0);
	assert_int_equal(icmp_to("10.0.0.1", 3), NOBODY);
	assert_int_equal(icmp_to("2001:db8::1", 128), 1);
	assert_int_equal(icmp_to("2001:db8::1", 129), NOBODY);
	assert_int_equal(udp_to("10.0.0.1", 8), NOBODY);
}

static void by_subscriber(void **state)
{
	struct xk_rule r = rule(NULL, XK_TO | XK_FROM, 7);

	(void)state;
	r.slot = ALICE;
	add(r);
	assert_int_equal(udp_to("10.0.0.1", 1), 7);
	assert_int_equal(udp_to("10.0.0.2", 1), NOBODY);
}

static void by_interface(void **state)
{
	struct xk_rule r = rule(NULL, XK_TO, 3);

	(void)state;
	r.ifindex = LOOPBACK_IFINDEX + 1;
	add(r);
	assert_int_equal(udp_to("10.0.0.1", 1), NOBODY);
	xk->bss->xk_rules.n = 0;
	r.ifindex = LOOPBACK_IFINDEX;
	add(r);
	assert_int_equal(udp_to("10.0.0.1", 1), 3);
}

static void behind_tags_and_options(void **state)
{
	struct xk_rule r = rule("10.0.0.1", XK_TO, 2);
	struct packet p;

	(void)state;
	r.proto = IPPROTO_UDP;
	add(r);
	build(&p, "192.0.2.1", "10.0.0.1",
	      LAYERS(P_SVLAN, P_VLAN, P_IP_OPTIONS(3), P_UDP, P_DATA(9)));
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 2);
	build(&p, "192.0.2.1", "10.0.0.1",
	      LAYERS(P_VLAN, P_PPPOE, P_IP, P_UDP, P_DATA(9)));
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 2);
}

/* By address they are matched, by port they cannot be. */
static void fragments(void **state)
{
	struct xk_rule r = rule("10.0.0.1", XK_TO, 0);
	struct packet p;

	(void)state;
	r.port = htons(7);
	add(r);
	build(&p, "192.0.2.1", "10.0.0.1",
	      LAYERS(P_IP, P_FRAGMENT(PACKET_FIRST), P_UDP, P_DATA(9)));
	p.data[p.l3_off + 22] = 0;
	p.data[p.l3_off + 23] = 7;
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), NOBODY);
	add(rule("10.0.0.1", XK_TO, 1));
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 1);
}

/* RFC 826: who has 10.0.0.1? */
static const uint8_t arp[42] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  1, 8, 6,
	0,    1,    8,	  0,	6,    4,    0, 1, 2, 0, 0,  0, 0, 1,
	192,  0,    2,	  1,	0,    0,    0, 0, 0, 0, 10, 0, 0, 1,
};

static void arp_requests(void **state)
{
	uint8_t frame[60] = {};

	(void)state;
	memcpy(frame, arp, sizeof(arp));
	add(rule("10.0.0.1", XK_TO, 0));
	assert_int_equal(goes(frame, sizeof(frame), XK_NO_SOCKET), NOBODY);
	add(rule("10.0.0.1", XK_ARP | XK_TO, 1));
	assert_int_equal(goes(frame, sizeof(frame), XK_NO_SOCKET), 1);
	assert_int_equal(goes(frame, sizeof(arp), XK_NO_SOCKET), 1);
	/* Cut, an answer, another's, of another kind of network. */
	assert_int_equal(goes(frame, sizeof(arp) - 1, XK_NO_SOCKET), NOBODY);
	frame[21] = 2;
	assert_int_equal(goes(frame, sizeof(frame), XK_NO_SOCKET), NOBODY);
	frame[21] = 1;
	frame[41] = 2;
	assert_int_equal(goes(frame, sizeof(frame), XK_NO_SOCKET), NOBODY);
	frame[41] = 1;
	frame[15] = 6;
	assert_int_equal(goes(frame, sizeof(frame), XK_NO_SOCKET), NOBODY);
}

/* RFC 4861: to the group of those that end alike; whom it asks for is within.
 */
static void neighbour_solicitations(void **state)
{
	struct packet p;

	(void)state;
	add(rule("2001:db8::1", XK_TO, 0));
	add(rule("2001:db8::1", XK_ND, 1));
	build(&p, "2001:db8::2", "ff02::1:ff00:1",
	      LAYERS(P_IP, P_ICMP, P_DATA(24)));
	p.data[p.l3_off + 40] = 135;
	inet_pton(AF_INET6, "2001:db8::1", p.data + p.l3_off + 48);
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 1);
	p.data[p.l3_off + 63] = 9;
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), NOBODY);
	p.data[p.l3_off + 63] = 1;
	p.data[p.l3_off + 40] = 136;
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), NOBODY);
}

/* No packet is taken that there is no room for. */
static void why_packets_pass_by(void **state)
{
	struct packet p;
	int fd;

	(void)state;
	add(rule("10.0.0.1", XK_TO, 6));
	build(&p, "192.0.2.1", "10.0.0.1", LAYERS(P_IP, P_UDP, P_DATA(20)));
	set_credit(0, 0);
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 6);
	fd = open_socket(6);
	assert_int_equal(goes(p.data, p.len, XK_NO_FRAME), 6);
	set_credit(FRAMES, FRAMES);
	assert_int_equal(goes(p.data, p.len, XK_NO_FRAME), 6);
	assert_int_equal(goes(p.data, p.len, XK_NO_FRAME), 6);
	set_credit(FRAMES, 0);
	xk->bss->xk_full[6] = 1;
	assert_int_equal(goes(p.data, p.len, XK_TAP_FULL), 6);
	xk->bss->xk_full[6] = 0;
	build(&p, "192.0.2.1", "10.0.0.1", LAYERS(P_IP, P_UDP, P_DATA(MTU)));
	assert_int_equal(goes(p.data, p.len, XK_TOO_LONG), 6);
	build(&p, "192.0.2.1", "10.0.0.1",
	      LAYERS(P_IP, P_UDP, P_DATA(MTU - 42)));
	assert_int_equal(p.len, MTU);
	assert_int_equal(goes(p.data, p.len, XK_TAKEN), 6);
	xk->bss->xk_interfaces[0].queues = 0;
	assert_int_equal(goes(p.data, p.len, XK_NO_SOCKET), 6);
	close(fd);
}

/* As many are taken as there are frames, and no more; what was counted on for
 * one that was not taken is given back. */
static void as_many_as_there_are_frames(void **state)
{
	struct xk_credit credit;
	uint32_t port = 0;
	struct packet p;
	int i, fd;

	(void)state;
	add(rule("10.0.0.1", XK_TO, 0));
	build(&p, "192.0.2.1", "10.0.0.1", LAYERS(P_IP, P_UDP, P_DATA(20)));
	fd = open_socket(0);
	for (i = 0; i < FRAMES; i++)
		assert_int_equal(goes(p.data, p.len, XK_TAKEN), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(goes(p.data, p.len, XK_NO_FRAME), 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(xk->maps.xk_credits),
					     &port, &credit),
			 0);
	assert_int_equal(credit.taken, FRAMES);
	close(fd);
}

static void as_many_rules_as_there_can_be(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < XK_RULES - 1; i++)
		add(rule("192.0.2.9", XK_TO, 0));
	add(rule("10.0.0.1", XK_TO, 1));
	assert_int_equal(udp_to("10.0.0.1", 1), 1);
	/* The next table has none. */
	xk->bss->xk_rules.n += 1;
	assert_int_equal(udp_to("10.0.0.1", 1), NOBODY);
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, load, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_rules_all_go_on),
		TEST(a_rule_is_all_that_it_says),
		TEST(from_is_the_source),
		TEST(the_first_that_fits_counts),
		TEST(ipv6_prefixes),
		TEST(icmp_types),
		TEST(by_subscriber),
		TEST(by_interface),
		TEST(behind_tags_and_options),
		TEST(fragments),
		TEST(arp_requests),
		TEST(neighbour_solicitations),
		TEST(why_packets_pass_by),
		TEST(as_many_as_there_are_frames),
		TEST(as_many_rules_as_there_can_be),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("xsk_select", tests, NULL,
						  NULL);
}
