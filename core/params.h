/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* params.h - words of a command line into the parameters of a bus method. */
#ifndef CORE_PARAMS_H
#define CORE_PARAMS_H

#include <stddef.h>

#include <jansson.h>

/*
 * words (ended by NULL) are "key=value", or a value alone, which is for the
 * next parameter that has none.  declared is what the method says of itself,
 * such as "{ip: string, cpu?: number}"; with "" any key will do.  *out is a new
 * reference, NULL where there are no words.
 * -EINVAL: why says what was expected.
 */
int params_read(const char *declared, char *const *words, json_t **out,
		char *why, size_t why_size);

#endif /* CORE_PARAMS_H */
