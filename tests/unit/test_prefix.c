/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "core/registry.h"

static const struct {
	const char *text;
	const char *canonical;
	uint8_t family, len;
	uint16_t vlan;
} good[] = {
	{"192.0.2.1", "192.0.2.1", AF_INET, 32, 0},
	{"192.0.2.1/32", "192.0.2.1", AF_INET, 32, 0},
	{"192.0.2.0/24", "192.0.2.0/24", AF_INET, 24, 0},
	{"192.0.2.128/25", "192.0.2.128/25", AF_INET, 25, 0},
	{"100.64.0.2/31", "100.64.0.2/31", AF_INET, 31, 0},
	{"0.0.0.0/0", "0.0.0.0/0", AF_INET, 0, 0},
	{"255.255.255.255", "255.255.255.255", AF_INET, 32, 0},
	{"192.0.2.1%200", "192.0.2.1%200", AF_INET, 32, 200},
	{"192.0.2.0%4094/24", "192.0.2.0%4094/24", AF_INET, 24, 4094},
	{"0.0.0.0%1/0", "0.0.0.0%1/0", AF_INET, 0, 1},
	{"2001:db8::1%9", "2001:db8::1%9", AF_INET6, 128, 9},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe%4094/127",
	 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe%4094/127", AF_INET6, 127,
	 4094},
	{"2001:DB8:0:0::1", "2001:db8::1", AF_INET6, 128, 0},
	{"2001:db8:20::/56", "2001:db8:20::/56", AF_INET6, 56, 0},
	{"2001:db8:0:80::/57", "2001:db8:0:80::/57", AF_INET6, 57, 0},
	{"::/0", "::/0", AF_INET6, 0, 0},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
	 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", AF_INET6, 127, 0},
};

static void good_ones_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char why[200] = "", text[CORE_PREFIX_TEXT];
		struct lqos_prefix p;

		if (core_prefix_parse(good[i].text, &p, why, sizeof(why)))
			fail_msg("%s: %s", good[i].text, why);
		assert_int_equal(p.family, good[i].family);
		assert_int_equal(p.len, good[i].len);
		assert_int_equal(p.vlan, good[i].vlan);
		assert_int_equal(p.slot, 0);
		assert_int_equal(p.cpu, UINT32_MAX);
		assert_int_equal(p.handle, 0);
		assert_false(p.by_hand);
		assert_null(p.device_id);
		assert_ptr_equal(core_prefix_text(&p, text, sizeof(text)),
				 text);
		assert_string_equal(text, good[i].canonical);
	}
}

static void ipv4_fills_the_first_four_bytes(void **state)
{
	static const uint8_t expected[16] = {192, 0, 2, 7};
	struct lqos_prefix p;
	char why[200];

	(void)state;
	assert_int_equal(core_prefix_parse("192.0.2.7", &p, why, sizeof(why)),
			 0);
	assert_memory_equal(p.addr, expected, sizeof(expected));
}

static const struct {
	const char *text;
	const char *why; /* a part of it */
} bad[] = {
	{"", "no address"},
	{"garbage", "\"garbage\" is no address: expected one like 192.0.2.1"},
	{"192.0.2", "no address"},
	{"192.0.2.1.1", "no address"},
	{"192.0.2.256", "no address"},
	{"192.0.2.01", "no address"},
	{" 192.0.2.1", "no address"},
	{"192.0.2.1 ", "no address"},
	{"/24", "no address"},
	{"fe80::1%eth0", "expected the id of a VLAN, 1 to 4094"},
	{"192.0.2.1%", "expected the id of a VLAN"},
	{"192.0.2.1%0", "expected the id of a VLAN"},
	{"192.0.2.1%4095", "expected the id of a VLAN"},
	{"192.0.2.1%0200", "expected the id of a VLAN"},
	{"192.0.2.1%200%300", "expected the id of a VLAN"},
	{"192.0.2.0/24%200", "0 to 32"},
	{"%200", "no address"},
	{"192.0.2.1%200/24",
	 "expected 192.0.2.0%200/24 for the range or 192.0.2.1%200 for"},
	{"2001:db8:::1", "no address"},
	{"192.0.2.1\x1b[31m", "192.0.2.1?[31m"},
	{"192.0.2.0/", "0 to 32"},
	{"192.0.2.0/33", "0 to 32"},
	{"192.0.2.0/-1", "0 to 32"},
	{"192.0.2.0/+24", "0 to 32"},
	{"192.0.2.0/024", "0 to 32"},
	{"192.0.2.0/24/24", "0 to 32"},
	{"192.0.2.0/255.255.255.0", "0 to 32"},
	{"192.0.2.0/4294967320", "0 to 32"},
	{"2001:db8::/129", "0 to 128"},
	{"192.0.2.1/24",
	 "expected 192.0.2.0/24 for the range or 192.0.2.1 for"},
	{"192.0.2.1/0", "expected 0.0.0.0/0 for the range"},
	{"2001:db8:20::1/56", "expected 2001:db8:20::/56 for the range"},
	{"2001:db8::1/127", "expected 2001:db8::/127"},
	{"::ffff:192.0.2.1", "expected it as IPv4, like 192.0.2.1"},
	{"::ffff:c000:200/120", "expected it as IPv4, like 192.0.2.0"},
	{"::ffff:0:0/96", "expected it as IPv4"},
};

static void bad_ones_say_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct lqos_prefix p, before;
		char why[200] = "";

		memset(&p, 0x5a, sizeof(p));
		before = p;
		if (core_prefix_parse(bad[i].text, &p, why, sizeof(why)) !=
			    -EINVAL ||
		    !strstr(why, bad[i].why))
			fail_msg("\"%s\": %s", bad[i].text, why);
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

static void why_is_optional_and_bounded(void **state)
{
	struct lqos_prefix p;
	char why[8];
	char longest[5000];

	(void)state;
	assert_int_equal(core_prefix_parse("x", &p, NULL, 0), -EINVAL);
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(core_prefix_parse(longest, &p, why, sizeof(why)),
			 -EINVAL);
	assert_int_equal(strlen(why), sizeof(why) - 1);
}

static struct lqos_prefix prefix(const char *text)
{
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(text, &p, NULL, 0), 0);
	return p;
}

static void order_is_family_vlan_address_length(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0/0",	 "10.0.0.0/8",	  "10.0.0.0/24",
		"10.0.0.0",	 "10.0.0.1",	  "192.0.2.0/24",
		"10.0.0.0%2/24", "10.0.0.0%2",	  "0.0.0.0%200/0",
		"::/0",		 "2001:db8::/32", "2001:db8::/56",
		"2001:db8::",	 "::%2/0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
			struct lqos_prefix a = prefix(texts[i]);
			struct lqos_prefix b = prefix(texts[j]);
			int order = core_prefix_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0),
					 (i > j) - (i < j));
		}
	}
}

static bool covers(const char *outer, const char *inner)
{
	struct lqos_prefix o = prefix(outer), i = prefix(inner);

	return core_prefix_covers(&o, &i);
}

static void covering(void **state)
{
	(void)state;
	assert_true(covers("10.0.0.0/8", "10.255.0.0/16"));
	assert_true(covers("10.0.0.0/8", "10.0.0.0/8"));
	assert_true(covers("0.0.0.0/0", "203.0.113.9"));
	assert_true(covers("2001:db8:20::/57", "2001:db8:20:7f::1"));
	assert_false(covers("2001:db8:20::/57", "2001:db8:20:80::1"));
	assert_false(covers("10.0.0.0/16", "10.0.0.0/8"));
	assert_false(covers("10.0.0.0/8", "11.0.0.0/8"));
	assert_false(covers("0.0.0.0/0", "2001:db8::1"));
	assert_false(covers("::/0", "10.0.0.1"));
	assert_true(covers("10.0.0.0%200/8", "10.0.0.1%200"));
	assert_false(covers("10.0.0.0%200/8", "10.0.0.1"));
	assert_false(covers("10.0.0.0/8", "10.0.0.1%200"));
}

static void vlans_only_where_they_are_told_apart(void **state)
{
	struct lqos_prefix in = prefix("10.0.0.0%200/24");
	struct lqos_prefix out = prefix("10.0.0.0/24");
	char why[200] = "";

	(void)state;
	assert_int_equal(core_prefix_check_vlan(&in, true, why, sizeof(why)),
			 0);
	assert_int_equal(core_prefix_check_vlan(&out, false, why, sizeof(why)),
			 0);
	assert_int_equal(core_prefix_check_vlan(&in, false, why, sizeof(why)),
			 -EINVAL);
	assert_string_equal(why, "\"10.0.0.0%200/24\" is in VLAN 200: expected "
				 "an address without one, or address_spaces = "
				 "yes in [lqosd]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_read),
		cmocka_unit_test(ipv4_fills_the_first_four_bytes),
		cmocka_unit_test(bad_ones_say_why),
		cmocka_unit_test(why_is_optional_and_bounded),
		cmocka_unit_test(order_is_family_vlan_address_length),
		cmocka_unit_test(covering),
		cmocka_unit_test(vlans_only_where_they_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
