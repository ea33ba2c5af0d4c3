/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz.h - what all targets share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The target: ends the process where a property does not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds)
{
	if (!holds)
		abort();
}

/* Anybody's terminal may show it. */
static inline void require_one_line(const char *text)
{
	require(*text);
	for (; *text; text++)
		require((unsigned char)*text >= ' ' && *text != 0x7f);
}

#endif /* TESTS_FUZZ_FUZZ_H */
