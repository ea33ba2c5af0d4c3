/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * value.h - keys and values of BPF maps as JSON, and JSON as them, by BTF.
 *
 * Structs and unions are objects, with the members of anonymous ones among
 * theirs; arrays are arrays, char[] text, enumerators names.  __be16 and
 * __be64 are numbers, __be32, in_addr and in6_addr addresses, as are u8[4] and
 * u8[16] named addr, u8[6] named mac, and a pair of __be64 named X_hi and X_lo
 * or hi and lo: "X" and "address".  What JSON has no number for is text.  What
 * BTF does not tell is "hex:0011ff", in the order of memory.
 */
#ifndef CORE_SHELL_VALUE_H
#define CORE_SHELL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct btf;

/* A new reference; NULL: no memory.  btf NULL or type 0: bytes. */
json_t *value_json(const struct btf *btf, uint32_t type, const void *data,
		   size_t size);

/*
 * What from has goes into data; members that it leaves out stay what they are.
 * An array takes as many values as it has, or an object of some by their
 * indices.  -EINVAL: it does not fit, and why, one line, says what would.
 */
int value_parse(const struct btf *btf, uint32_t type, const json_t *from,
		void *data, size_t size, char *why, size_t why_size);

/*
 * A word of a command line as JSON: JSON itself, NAME=VALUE,... (where
 * NAME.NAME is in a struct, and NAME.INDEX in an array) or a bare scalar.
 * into: NULL, or an object to which a word of NAME=VALUE adds.
 */
int value_word(const char *word, json_t **into, char *why, size_t why_size);

#endif /* CORE_SHELL_VALUE_H */
