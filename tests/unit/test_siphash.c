/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden values made with Rust 1.95's std::hash::DefaultHasher: write() of the
 * bytes, finish() as i64.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "modules/steering/siphash.h"

static const struct {
	const char *id;
	int64_t hash;
} golden[] = {
	{"", -3315872660926475476},
	{"1", -6863858015672933803},
	{"a", 4644417185603328019},
	{"1001", 5479883718046884887},
	{"Circuit 1", -5112757299270888767},
	{"1234567", -6684075128579576191},
	{"12345678", 3785724242978802311},
	{"123456789", 1133797698992234447},
	{"circuit_1_device", -3192659237786092444},
	{"0123456789abcdef", 2108444454683020324},
	{"0123456789abcdefg", 3684970308279301995},
	{"\u010c\u0159\u017e caf\u00e9", 316460824390624748},
	{"two\nlines", -5497695040974196648},
};

static void ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		const char *id = golden[i].id;

		assert_int_equal(siphash13(id, strlen(id)), golden[i].hash);
	}
}

/* The first 0 to 200 bytes of the alphabet, again and again. */
static void every_length(void **state)
{
	uint64_t all = 0;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'a' + i % 26;
	for (size_t len = 0; len <= sizeof(text); len++)
		all = (all << 5 | all >> 59) ^ siphash13(text, len);
	assert_int_equal(all, 0x28de2aed87e2f07f);
	assert_int_equal(siphash13(text, 200), -9183301900090972284);
	/* Wherever it lies. */
	assert_int_equal(siphash13(text + 1, 8), siphash13("bcdefghi", 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
