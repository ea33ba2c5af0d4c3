/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which addresses are configured; those of an interface are in tests/net. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "modules/echo/self.h"

static struct echo_self self;
static char why[256];

static int parse(const char *text)
{
	return echo_self_parse(text, &self, why, sizeof(why));
}

static void addresses(void **state)
{
	static const uint8_t v4[16] = {10, 0, 0, 5};
	static const uint8_t v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 2};

	(void)state;
	self.udp_port = 7;
	assert_int_equal(parse(" 10.0.0.5\t, 2001:db8::2 "), 0);
	assert_int_equal(self.n, 2);
	assert_int_equal(self.addresses[0].version, 4);
	assert_memory_equal(self.addresses[0].bytes, v4, 16);
	assert_int_equal(self.addresses[1].version, 6);
	assert_memory_equal(self.addresses[1].bytes, v6, 16);
	assert_int_equal(self.udp_port, 7);
	assert_int_equal(parse(""), 0);
	assert_int_equal(self.n, 0);
	assert_int_equal(parse(" "), 0);
	assert_int_equal(self.n, 0);
}

static void refused(void **state)
{
	static const char *const wrong[] = {"10.0.0",	  "10.0.0.5/24",
					    "10.0.0.5,",  ",",
					    ",10.0.0.5",  "10.0.0.5,,10.0.0.6",
					    "eth0",	  "2001:db8::/64",
					    "2001:db8:1", "10.0.0.5 10.0.0.6"};
	struct echo_self before;

	(void)state;
	assert_int_equal(parse("10.0.0.9"), 0);
	before = self;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why[0] = '\0';
		assert_int_equal(parse(wrong[i]), -EINVAL);
		assert_memory_equal(&self, &before, sizeof(self));
		assert_non_null(strstr(why, "expected an address"));
	}
}

static void as_many_as_fit(void **state)
{
	char text[1024] = "";
	size_t at = 0;

	(void)state;
	for (int i = 0; i < ECHO_ADDRESSES_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "%s10.0.0.%d", i ? "," : "", i + 1);
	assert_int_equal(parse(text), 0);
	assert_int_equal(self.n, ECHO_ADDRESSES_MAX);
	snprintf(text + at, sizeof(text) - at, ",10.0.0.99");
	assert_int_equal(parse(text), -EINVAL);
	assert_non_null(strstr(why, "at most 16"));
	assert_int_equal(self.n, ECHO_ADDRESSES_MAX);
}

static void no_interface(void **state)
{
	uint32_t more = 7;

	(void)state;
	assert_int_equal(echo_self_mac("nothing.there", &self), -ENODEV);
	assert_int_equal(echo_self_addresses("nothing.there", &self, &more),
			 -ENODEV);
	assert_int_equal(more, 7);
	assert_int_equal(echo_self_mac("lo", &self), -EOPNOTSUPP);
	assert_int_equal(echo_self_addresses("lo", &self, &more), 0);
	assert_int_equal(more, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(refused),
		cmocka_unit_test(as_many_as_fit),
		cmocka_unit_test(no_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
