/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.h - what a type of BTF is to people: numbers, names, addresses, and
 * what is made of them.
 *
 * BTF comes from whoever loaded the map, and may be malformed: a type that
 * cannot be told, is too deep, or is larger than what there is of it is bytes.
 */
#ifndef CORE_SHELL_SHAPE_H
#define CORE_SHELL_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/btf.h>

enum { SHAPE_DEPTH = 16 }; /* of what is in one another */

enum shape_kind {
	SHAPE_BYTES, /* cannot be told */
	SHAPE_INT,   /* and pointers, which have no sign */
	SHAPE_BOOL,
	SHAPE_FLOAT,
	SHAPE_ENUM,
	SHAPE_STRUCT, /* union, or section of variables */
	SHAPE_ARRAY,
	SHAPE_TEXT, /* char[] */
	SHAPE_IPV4,
	SHAPE_IPV6,
	SHAPE_MAC,
};

struct shape {
	enum shape_kind kind;
	const struct btf *btf;
	const struct btf_type *type; /* without what only names it */
	size_t size;		     /* bytes */
	bool sign;
	bool network;	  /* an integer in network order */
	uint32_t element; /* of an array: the type of one */
	uint32_t n;
	size_t element_size;
};

/* member: its name if it is one, else NULL.  What has not size bytes cannot be
 * told. */
void shape_of(const struct btf *btf, uint32_t type, const char *member,
	      size_t size, struct shape *out);

struct shape_member {
	const char *name; /* "": anonymous */
	uint32_t type;
	size_t bit;    /* where it begins */
	uint32_t bits; /* of a bit field; else 0 */
	bool words;    /* two: IPv6, or IPv4 where the first is all ones */
	char joined[64];
};

/* Of a struct: its member number *i, which goes on to the next.  false: there
 * is none. */
bool shape_member(const struct shape *s, uint32_t *i, struct shape_member *out);
/* What is in there?  0: nothing, or it cannot be told. */
size_t shape_member_size(const struct shape *s, const struct shape_member *m);

/* The value of an enumerator; by its index. */
int64_t shape_enumerator(const struct shape *s, uint32_t i, const char **name);

/* size bits at bit, as the compiler lays bit fields out. */
uint64_t shape_bits(const uint8_t *data, size_t bit, uint32_t size);
void shape_set_bits(uint8_t *data, size_t bit, uint32_t size, uint64_t value);

/* As C would write it: "struct dp_key4", "__u32", "__u64[2]". */
void shape_type_name(const struct btf *btf, uint32_t type, char *buf,
		     size_t size);

#endif /* CORE_SHELL_SHAPE_H */
