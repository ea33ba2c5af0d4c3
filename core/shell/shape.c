/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shape.c - what a type of BTF is to people. */
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/shell/shape.h"

enum { NAMES = 32 }; /* typedef, const...: one behind the other */

static const char *name_at(const struct btf *btf, uint32_t offset)
{
	return btf__name_by_offset(btf, offset) ?: "";
}

/* The type itself; *known is the last typedef on the way that says more than it
 * does.  NULL: there is none. */
static const struct btf_type *strip(const struct btf *btf, uint32_t id,
				    const char **known)
{
	const struct btf_type *t;

	for (int i = 0; i < NAMES; i++) {
		t = btf__type_by_id(btf, id);
		if (!t)
			return NULL;
		switch (btf_kind(t)) {
		case BTF_KIND_TYPEDEF:
			if (!strncmp(name_at(btf, t->name_off), "__be", 4))
				*known = name_at(btf, t->name_off);
			break;
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
		case BTF_KIND_VAR:
			break;
		default:
			return t;
		}
		id = t->type;
	}
	return NULL;
}

static bool is_number_size(size_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static bool ends(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static bool is_int(const struct btf_type *t)
{
	return t && btf_kind(t) == BTF_KIND_INT;
}

/* int8_t is no letter. */
static bool is_char(const struct btf *btf, const struct btf_type *t)
{
	return is_int(t) && t->size == 1 &&
	       (btf_int_encoding(t) & BTF_INT_CHAR ||
		!strcmp(name_at(btf, t->name_off), "char"));
}

static enum shape_kind array_kind(const struct btf *btf, const struct shape *s,
				  const char *member)
{
	const char *known = NULL;
	const struct btf_type *element = strip(btf, s->element, &known);

	if (is_char(btf, element)) {
		/* A typedef of it is a small number: __s8, say. */
		const struct btf_type *named = btf__type_by_id(btf, s->element);

		if (named && btf_kind(named) != BTF_KIND_TYPEDEF)
			return SHAPE_TEXT;
	}
	if (!member || !is_int(element) || element->size != 1)
		return SHAPE_ARRAY;
	if (s->n == 6 && ends(member, "mac"))
		return SHAPE_MAC;
	if (ends(member, "addr") || ends(member, "address"))
		return s->n == 4    ? SHAPE_IPV4
		       : s->n == 16 ? SHAPE_IPV6
				    : SHAPE_ARRAY;
	return SHAPE_ARRAY;
}

static void array_shape(const struct btf *btf, const char *member, size_t size,
			struct shape *s)
{
	int64_t element;

	s->element = btf_array(s->type)->type;
	s->n = btf_array(s->type)->nelems;
	element = btf__resolve_size(btf, s->element);
	/* Without a size there could be any number. */
	if (element <= 0 || s->n > size / (uint64_t)element)
		return;
	s->element_size = (size_t)element;
	s->size = s->element_size * s->n;
	s->kind = array_kind(btf, s, member);
}

static enum shape_kind struct_kind(const struct btf *btf,
				   const struct btf_type *t)
{
	const char *name = name_at(btf, t->name_off);

	if (t->size == 4 && !strcmp(name, "in_addr"))
		return SHAPE_IPV4;
	if (t->size == 16 && !strcmp(name, "in6_addr"))
		return SHAPE_IPV6;
	return SHAPE_STRUCT;
}

static void int_shape(const char *known, struct shape *s)
{
	s->kind = SHAPE_INT;
	s->sign = btf_int_encoding(s->type) & BTF_INT_SIGNED;
	if (btf_int_encoding(s->type) & BTF_INT_BOOL)
		s->kind = SHAPE_BOOL;
	if (!known)
		return;
	s->network = true;
	s->sign = false;
	if (s->size == 4 && !strcmp(known, "__be32"))
		s->kind = SHAPE_IPV4;
}

static void plain_shape(const struct btf *btf, const char *known,
			struct shape *s)
{
	s->size = s->type->size;
	switch (btf_kind(s->type)) {
	case BTF_KIND_INT:
		if (is_number_size(s->size))
			int_shape(known, s);
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		/* Older compilers do not say: then none is negative. */
		s->sign = btf_kflag(s->type);
		if (is_number_size(s->size))
			s->kind = SHAPE_ENUM;
		break;
	case BTF_KIND_FLOAT:
		if (s->size == sizeof(float) || s->size == sizeof(double))
			s->kind = SHAPE_FLOAT;
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		s->kind = struct_kind(btf, s->type);
		break;
	case BTF_KIND_DATASEC:
		s->kind = SHAPE_STRUCT;
		break;
	default:
		break;
	}
}

void shape_of(const struct btf *btf, uint32_t type, const char *member,
	      size_t size, struct shape *out)
{
	struct shape s = {.btf = btf};
	const char *known = NULL;

	if (btf && type)
		s.type = strip(btf, type, &known);
	if (s.type && btf_is_array(s.type)) {
		array_shape(btf, member, size, &s);
	} else if (s.type && btf_is_ptr(s.type)) {
		s.size = btf__pointer_size(btf) ?: sizeof(uint64_t);
		s.kind = SHAPE_INT;
	} else if (s.type) {
		plain_shape(btf, known, &s);
	}
	if (s.kind == SHAPE_BYTES || s.size != size) {
		s.kind = SHAPE_BYTES;
		s.size = size;
	}
	*out = s;
}

/* ---- Members ------------------------------------------------------------- */

static bool is_word(const struct btf *btf, uint32_t type)
{
	const char *known = NULL;
	const struct btf_type *t = strip(btf, type, &known);

	return is_int(t) && t->size == 8 && known && !strcmp(known, "__be64");
}

/* "hi" and "lo" are "address", "subs_hi" and "subs_lo" are "subs". */
static void join(const struct shape *s, uint32_t next, struct shape_member *m)
{
	const struct btf_member *lo = btf_members(s->type) + next;
	const char *other;
	size_t n = strlen(m->name);

	if (!btf_is_struct(s->type) || next >= btf_vlen(s->type) || m->bits ||
	    n >= sizeof(m->joined) || !ends(m->name, "hi") ||
	    (n > 2 && m->name[n - 3] != '_'))
		return;
	other = name_at(s->btf, lo->name_off);
	if (strlen(other) != n || strncmp(other, m->name, n - 2) != 0 ||
	    strcmp(other + n - 2, "lo") != 0 ||
	    btf_member_bitfield_size(s->type, next) ||
	    btf_member_bit_offset(s->type, next) != m->bit + 64 ||
	    !is_word(s->btf, m->type) || !is_word(s->btf, lo->type))
		return;
	if (n > 3)
		snprintf(m->joined, sizeof(m->joined), "%.*s", (int)n - 3,
			 m->name);
	else
		strcpy(m->joined, "address");
	m->name = m->joined;
	m->words = true;
}

bool shape_member(const struct shape *s, uint32_t *i, struct shape_member *out)
{
	const struct btf_var_secinfo *var;
	const struct btf_type *named;

	if (*i >= btf_vlen(s->type))
		return false;
	*out = (struct shape_member){};
	if (btf_is_datasec(s->type)) {
		var = btf_var_secinfos(s->type) + (*i)++;
		named = btf__type_by_id(s->btf, var->type);
		out->name = named ? name_at(s->btf, named->name_off) : "";
		out->type = var->type;
		out->bit = 8 * (size_t)var->offset;
		return true;
	}
	out->name = name_at(s->btf, btf_members(s->type)[*i].name_off);
	out->type = btf_members(s->type)[*i].type;
	out->bit = btf_member_bit_offset(s->type, *i);
	out->bits = btf_member_bitfield_size(s->type, *i);
	join(s, ++*i, out);
	*i += out->words;
	return true;
}

size_t shape_member_size(const struct shape *s, const struct shape_member *m)
{
	int64_t size = btf__resolve_size(s->btf, m->type);
	size_t from = m->bit / 8;

	if (m->words)
		size = 16;
	if (m->bits) /* as many bytes as it touches */
		return m->bits > 64 || m->bit + m->bits > 8 * s->size
			       ? 0
			       : (m->bit + m->bits + 7) / 8 - from;
	if (size <= 0 || m->bit % 8 || from > s->size ||
	    (uint64_t)size > s->size - from)
		return 0;
	return (size_t)size;
}

int64_t shape_enumerator(const struct shape *s, uint32_t i, const char **name)
{
	if (btf_kind(s->type) == BTF_KIND_ENUM64) {
		const struct btf_enum64 *e = btf_enum64(s->type) + i;

		*name = name_at(s->btf, e->name_off);
		return (int64_t)btf_enum64_value(e);
	}
	*name = name_at(s->btf, btf_enum(s->type)[i].name_off);
	if (s->sign || s->size < 4)
		return btf_enum(s->type)[i].val;
	return (uint32_t)btf_enum(s->type)[i].val;
}

/* ---- Bit fields ---------------------------------------------------------- */

static unsigned int bit_at(size_t bit)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return 7 - bit % 8;
#else
	return bit % 8;
#endif
}

/* Which bit of a value is the i-th in memory. */
static unsigned int weight_of(uint32_t i, uint32_t size)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return size - 1 - i;
#else
	(void)size;
	return i;
#endif
}

uint64_t shape_bits(const uint8_t *data, size_t bit, uint32_t size)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < size; i++)
		value |= (uint64_t)(data[(bit + i) / 8] >> bit_at(bit + i) & 1)
			 << weight_of(i, size);
	return value;
}

void shape_set_bits(uint8_t *data, size_t bit, uint32_t size, uint64_t value)
{
	for (uint32_t i = 0; i < size; i++) {
		uint8_t mask = (uint8_t)(1U << bit_at(bit + i));

		if (value >> weight_of(i, size) & 1)
			data[(bit + i) / 8] |= mask;
		else
			data[(bit + i) / 8] &= (uint8_t)~mask;
	}
}

/* ---- Names --------------------------------------------------------------- */

static const char *keyword(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_STRUCT:
		return "struct ";
	case BTF_KIND_UNION:
		return "union ";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return "enum ";
	default:
		return "";
	}
}

void shape_type_name(const struct btf *btf, uint32_t type, char *buf,
		     size_t size)
{
	char lengths[64] = "";
	size_t n = 0;
	const struct btf_type *t;

	for (int i = 0; i < NAMES; i++) {
		t = btf__type_by_id(btf, type);
		if (!t)
			break;
		if (btf_is_array(t) && n < sizeof(lengths)) {
			n += (size_t)snprintf(lengths + n, sizeof(lengths) - n,
					      "[%u]", btf_array(t)->nelems);
			type = btf_array(t)->type;
		} else if (btf_is_ptr(t)) {
			snprintf(buf, size, "pointer%s", lengths);
			return;
		} else if (*name_at(btf, t->name_off) ||
			   !(btf_is_mod(t) || btf_is_type_tag(t))) {
			snprintf(buf, size, "%s%s%s", keyword(t),
				 *name_at(btf, t->name_off)
					 ? name_at(btf, t->name_off)
					 : "{}",
				 lengths);
			return;
		} else {
			type = t->type;
		}
	}
	snprintf(buf, size, "?");
}
