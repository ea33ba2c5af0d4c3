/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of flows as text, and text as ranges of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "core/core.h"
#include "core/lqos/packet.h"

static void words(const char *text, __u64 *hi, __u64 *lo)
{
	uint8_t addr[16] = {0};

	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, addr), 1);
		memcpy(hi, addr, 8);
		memcpy(lo, addr + 8, 8);
		return;
	}
	assert_int_equal(inet_pton(AF_INET, text, addr), 1);
	*hi = UINT64_MAX;
	memcpy(lo, addr, 8);
}

static struct lqos_flow_key between(const char *subs, const char *remote)
{
	struct lqos_flow_key key = {.ipv6 = strchr(subs, ':') != NULL};

	words(subs, &key.subs_hi, &key.subs_lo);
	words(remote, &key.remote_hi, &key.remote_lo);
	return key;
}

static void addresses(void **state)
{
	static const char *const all[] = {
		"0.0.0.0", "10.0.0.1", "255.255.255.255",
		"::",	   "::1",      "2001:db8:1:2:3:4:5:6"};
	char buf[INET6_ADDRSTRLEN];
	struct lqos_flow_key key;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		key = between(all[i], all[i]);
		assert_string_equal(lqos_address_text(key.subs_hi, key.subs_lo,
						      key.ipv6, buf,
						      sizeof(buf)),
				    all[i]);
	}
	key = between("2001:db8:1:2:3:4:5:6", "::");
	assert_string_equal(
		lqos_address_text(key.subs_hi, key.subs_lo, true, buf, 4), "?");
}

static void protocols(void **state)
{
	(void)state;
	assert_string_equal(lqos_protocol_text(6), "TCP");
	assert_string_equal(lqos_protocol_text(17), "UDP");
	assert_string_equal(lqos_protocol_text(1), "ICMP");
	assert_string_equal(lqos_protocol_text(58), "ICMPv6");
	assert_string_equal(lqos_protocol_text(47), "other");
}

static bool has(const char *range, const char *subs, const char *remote)
{
	struct lqos_flow_key key = between(subs, remote);
	struct lqos_ip_range r;

	assert_int_equal(lqos_ip_range_parse(range, &r), 0);
	return lqos_ip_range_has(&r, &key);
}

static void ranges(void **state)
{
	(void)state;
	assert_true(has("10.0.0.1", "10.0.0.1", "192.0.2.1"));
	assert_true(has("192.0.2.1", "10.0.0.1", "192.0.2.1"));
	assert_false(has("10.0.0.2", "10.0.0.1", "192.0.2.1"));
	assert_true(has("10.0.0.0/30", "10.0.0.3", "192.0.2.1"));
	assert_false(has("10.0.0.0/30", "10.0.0.4", "192.0.2.1"));
	assert_true(has("192.0.2.128/25", "10.0.0.4", "192.0.2.255"));
	assert_false(has("192.0.2.128/25", "10.0.0.4", "192.0.2.127"));
	assert_true(has("10.0.0.0/7", "11.255.0.4", "192.0.2.127"));
	assert_true(has("2001:db8:1::/48", "2001:db8:1:f::1", "::1"));
	assert_true(has("2001:db8:1::/48", "::1", "2001:db8:1:f::1"));
	assert_false(has("2001:db8:1::/48", "2001:db8:2:f::1", "::1"));
	assert_true(has("2001:db8::1:0/112", "2001:db8::1:ffff", "::1"));
	assert_false(has("2001:db8::1:0/112", "2001:db8::2:0", "::1"));
	assert_true(has("2001:db8::1", "2001:db8::1", "::1"));
	assert_false(has("2001:db8::1", "2001:db8:0:1::1", "::1"));
}

/* The bytes of one are no address of the other. */
static void families(void **state)
{
	(void)state;
	assert_false(has("ffff:ffff:ffff:ffff::/64", "10.0.0.1", "192.0.2.1"));
	assert_false(has("0.0.0.0/1", "::1", "::2"));
	assert_false(has("::/1", "10.0.0.1", "192.0.2.1"));
}

static void no_ranges(void **state)
{
	static const char *const bad[] = {
		"",	  "x",	       "10.0.0",      "10.0.0.1/33",
		"::/129", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1 "};
	struct lqos_ip_range r = {.hi = 7};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(lqos_ip_range_parse(bad[i], &r) < 0);
	assert_int_equal(r.hi, 7);
}

/* NULL: it is taken. */
static const char *refused(const char *params)
{
	static const char *const kinds[] = {"dns", "quic", NULL};
	static const char *const known[] = {"ip", "circuit", "protocol", NULL};
	json_t *given = json_loads(params, 0, NULL);
	struct lqos_flow_filter f = {.proto = 99};
	static char why[128];
	int rc;

	assert_non_null(given);
	rc = lqos_flow_filter_parse(given, kinds, &f, why, sizeof(why));
	assert_true(!rc || f.proto == 99);
	if (!rc)
		rc = lqos_params_only(given, known, why, sizeof(why));
	json_decref(given);
	return rc ? why : NULL;
}

static void filters(void **state)
{
	(void)state;
	assert_null(refused("{}"));
	assert_null(refused("{\"ip\":\"10.0.0.0/8\",\"circuit\":\"9\"}"));
	assert_null(refused("{\"protocol\":\"ICMPv6\"}"));
	assert_null(refused("{\"protocol\":\"quic\"}"));
	assert_string_equal(refused("{\"ip\":\"1.2.3.4/33\"}"),
			    "ip: expected an address or prefix");
	assert_string_equal(refused("{\"ip\":5}"),
			    "ip: expected an address or prefix");
	assert_string_equal(refused("{\"circuit\":12}"),
			    "circuit: expected the id of a circuit");
	assert_string_equal(refused("{\"protocol\":\"left\"}"),
			    "protocol: expected tcp, udp, icmp, icmpv6, dns, "
			    "quic");
	assert_string_equal(refused("{\"protocol\":6}"),
			    "protocol: expected tcp, udp, icmp, icmpv6, dns, "
			    "quic");
	assert_string_equal(refused("{\"bogus\":12}"),
			    "bogus: expected no such param, but ip, circuit or "
			    "protocol");
}

static bool lets(uint8_t wanted, uint8_t proto)
{
	struct lqos_flow_key key = {.proto = proto};
	struct lqos_flow_filter f = {.proto = wanted};

	return lqos_flow_filter_has(NULL, &f, &key, 0);
}

static void filtered(void **state)
{
	(void)state;
	assert_true(lets(0, IPPROTO_TCP) && lets(IPPROTO_TCP, IPPROTO_TCP));
	assert_false(lets(IPPROTO_UDP, IPPROTO_TCP));
	assert_true(lets(IPPROTO_ICMP, IPPROTO_ICMP));
	assert_true(lets(IPPROTO_ICMP, IPPROTO_ICMPV6));
	assert_false(lets(IPPROTO_ICMPV6, IPPROTO_ICMP));
}

/* What does not fit is cut off, and no more. */
static void short_of_room(void **state)
{
	static const char *const known[] = {"ip", "circuit", NULL};
	json_t *params = json_pack("{s:i,s:i}", "bogus", 1, "protocol", 1);
	struct lqos_flow_filter f;
	char why[16];

	(void)state;
	memset(why, 'x', sizeof(why));
	assert_int_equal(lqos_params_only(params, known, why, 8), -EINVAL);
	assert_int_equal(strlen(why), 7);
	assert_int_equal(lqos_flow_filter_parse(params, known, &f, why, 12),
			 -EINVAL);
	assert_string_equal(why, "protocol: e");
	assert_int_equal(why[12], 'x');
	json_decref(params);
}

static void clocks(void **state)
{
	struct timespec real, mono;
	int64_t now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	now = mono.tv_sec * 1000000000LL + mono.tv_nsec + lqos_clock_offset();
	clock_gettime(CLOCK_REALTIME, &real);
	now = real.tv_sec * 1000000000LL + real.tv_nsec - now;
	assert_true(now > -1000000000 && now < 1000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(protocols),
		cmocka_unit_test(ranges),    cmocka_unit_test(families),
		cmocka_unit_test(no_ranges), cmocka_unit_test(filters),
		cmocka_unit_test(filtered),  cmocka_unit_test(short_of_room),
		cmocka_unit_test(clocks),
	};

	return cmocka_run_group_tests_name("flow_text", tests, NULL, NULL);
}
