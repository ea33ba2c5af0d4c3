/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* number.h - whole numbers that people write, for the command-line tools. */
#ifndef CORE_NUMBER_H
#define CORE_NUMBER_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* -EINVAL: text is no decimal number from min to max. */
static inline int core_number(const char *text, uint32_t min, uint32_t max,
			      uint32_t *out)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min ||
	    value > max)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

#endif /* CORE_NUMBER_H */
