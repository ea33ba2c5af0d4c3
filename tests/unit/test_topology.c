/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces and VLANs as they are written in lqos.ini. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/unit/log_capture.h"

static struct core_topology read_well(const char *inet, const char *subs,
				      const char *bridge, const char *vlans)
{
	const struct core_settings s = {.to_internet = inet,
					.to_subscribers = subs,
					.bridge = bridge,
					.vlans = vlans};
	struct core_topology t;

	log_capture();
	if (core_topology_read(&t, &s))
		fail_msg("%s, %s, %s, %s: %s", inet, subs, bridge, vlans,
			 captured.text);
	assert_string_equal(captured.text, "");
	return t;
}

static void check_port(const struct core_port *port, const char *name,
		       enum lqos_side side, uint32_t pair)
{
	assert_string_equal(port->name, name);
	assert_int_equal(port->side, side);
	assert_int_equal(port->pair, pair);
}

static void test_pair(void **state)
{
	struct core_topology t = read_well("eth0", "eth1", "linux", "");

	(void)state;
	assert_int_equal(t.n_ports, 2);
	check_port(&t.ports[0], "eth0", LQOS_TO_INTERNET, 0);
	check_port(&t.ports[1], "eth1", LQOS_TO_SUBSCRIBERS, 0);
	assert_false(t.forwards);
	t = read_well("eth0", "eth1", "xdp", "");
	assert_true(t.forwards);
}

static void test_pairs(void **state)
{
	struct core_topology t =
		read_well("a, b ,abcdefghijklmno", "d,\te,f", "xdp", "");

	(void)state;
	assert_int_equal(t.n_ports, 6);
	check_port(&t.ports[0], "a", LQOS_TO_INTERNET, 0);
	check_port(&t.ports[1], "d", LQOS_TO_SUBSCRIBERS, 0);
	check_port(&t.ports[2], "b", LQOS_TO_INTERNET, 1);
	check_port(&t.ports[3], "e", LQOS_TO_SUBSCRIBERS, 1);
	check_port(&t.ports[4], "abcdefghijklmno", LQOS_TO_INTERNET, 2);
	check_port(&t.ports[5], "f", LQOS_TO_SUBSCRIBERS, 2);
	t = read_well("a,b,c,d,e,f,g,h", "i,j,k,l,m,n,o,p", "linux", "");
	assert_int_equal(t.n_ports, CORE_PORTS_MAX);
}

static void test_one(void **state)
{
	struct core_topology t = read_well("eth0", "", "linux", "");

	(void)state;
	assert_int_equal(t.n_ports, 1);
	check_port(&t.ports[0], "eth0", LQOS_TO_INTERNET, 0);
	t = read_well("", "eth0", "linux", "");
	check_port(&t.ports[0], "eth0", LQOS_TO_SUBSCRIBERS, 0);
	t = read_well("", "", "linux", "");
	assert_int_equal(t.n_ports, 0);
}

static void test_stick(void **state)
{
	struct core_topology t =
		read_well("eth0", "eth0", "linux", "100:200, 1:4094");
	uint32_t i;

	(void)state;
	assert_int_equal(t.n_ports, 1);
	check_port(&t.ports[0], "eth0", LQOS_STICK, 0);
	assert_true(t.forwards);
	assert_int_equal(t.n_vlans, 2);
	assert_int_equal(t.vlans[0].internet, 100);
	assert_int_equal(t.vlans[0].subscribers, 200);
	assert_int_equal(t.vlans[1].internet, 1);
	assert_int_equal(t.vlans[1].subscribers, 4094);
	t = read_well("eth0", "eth0", "xdp", "10-19:3010-3019,7:8");
	assert_int_equal(t.n_vlans, 11);
	for (i = 0; i < 10; i++) {
		assert_int_equal(t.vlans[i].internet, 10 + i);
		assert_int_equal(t.vlans[i].subscribers, 3010 + i);
	}
	t = read_well("eth0", "eth0", "linux", "1-2047:2048-4094");
	assert_int_equal(t.n_vlans, 2047);
}

static void test_refused(void **state)
{
	static const struct {
		const char *inet, *subs, *bridge, *vlans, *why;
	} bad[] = {
		{"a", "a", "linux", "", "both a: give two interfaces"},
		{"a,b", "c", "linux", "", "2 interfaces and to_subscribers 1"},
		{"a,b", "", "linux", "", "2 interfaces and to_subscribers 0"},
		{"a,b", "c,a", "linux", "", "a is named twice"},
		{"a,a", "b,c", "linux", "", "a is named twice"},
		{"a,", "b", "linux", "",
		 "to_internet: there is nothing beside"},
		{",a", "b", "linux", "",
		 "to_internet: there is nothing beside"},
		{"a", "b,,c", "linux", "", "to_subscribers: there is nothing"},
		{"a", "abcdefghijklmnop", "linux", "", "at most 15 characters"},
		{"a,b,c,d,e,f,g,h,i", "j", "linux", "", "more than 8"},
		{"a", "", "xdp", "", "bridge = xdp wants two interfaces"},
		{"a", "b", "linux", "1:2", "for one interface on a stick"},
		{"a", "", "linux", "1:2", "for one interface on a stick"},
		{"a,b", "a,b", "linux", "1:2", "for one interface on a stick"},
		{"a", "a", "linux", "0:2", "VLAN ids from 1 to 4094"},
		{"a", "a", "linux", "1:4095", "VLAN ids from 1 to 4094"},
		{"a", "a", "linux", "1:10000", "VLAN ids from 1 to 4094"},
		{"a", "a", "linux", "1", "\"1\": expected INTERNET:SUBSCR"},
		{"a", "a", "linux", "1:2:3", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "1:", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "-1:2", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "1:2x", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "1 2:3", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "1-3:4-5", "as in 100:200 or 100-119"},
		{"a", "a", "linux", "3-1:4-6", "as in 100:200 or 100-119"},
		{"a", "a", "linux", "1-3:4", "expected INTERNET:SUBSCRIBERS"},
		{"a", "a", "linux", "5:5", "5 is paired with itself"},
		{"a", "a", "linux", "1:2,3:2", "2 is in two pairs"},
		{"a", "a", "linux", "1:2,2:3", "2 is in two pairs"},
		{"a", "a", "linux", "1-3:3-5", "3 is in two pairs"},
		{"a", "a", "linux", "1:2,", "vlans: there is nothing beside"},
	};
	struct core_topology t;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct core_settings s = {.to_internet = bad[i].inet,
						.to_subscribers = bad[i].subs,
						.bridge = bad[i].bridge,
						.vlans = bad[i].vlans};

		log_capture();
		memset(&t, 0x5a, sizeof(t));
		assert_int_equal(core_topology_read(&t, &s), -EINVAL);
		if (!strstr(captured.text, bad[i].why))
			fail_msg("%s, %s, %s, \"%s\": \"%s\", expected \"%s\"",
				 bad[i].inet, bad[i].subs, bad[i].bridge,
				 bad[i].vlans, captured.text, bad[i].why);
		assert_int_equal(t.n_ports, 0x5a5a5a5a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),	cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_one),	cmocka_unit_test(test_stick),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
