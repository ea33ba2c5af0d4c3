/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* value.c - keys and values of BPF maps as JSON. */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/shell/shape.h"
#include "core/shell/value.h"

struct printer {
	const struct btf *btf;
	size_t left; /* values: malformed types could have any number */
};

static json_t *print(struct printer *p, uint32_t type, const char *member,
		     const uint8_t *data, size_t size, int depth);

static json_t *bytes_json(const uint8_t *data, size_t size)
{
	autofree char *text = malloc(sizeof("hex:") + 2 * size);

	if (!text)
		return NULL;
	strcpy(text, "hex:");
	for (size_t i = 0; i < size; i++)
		sprintf(text + 4 + 2 * i, "%02x", data[i]);
	return json_string(text);
}

static json_t *number_json(uint64_t value, bool sign)
{
	char text[24];

	if (sign || value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

/* In host order, and as wide as can be. */
static uint64_t widen(const struct shape *s, const uint8_t *data)
{
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (s->size) {
	case 1:
		return s->sign ? (uint64_t)(int8_t)*data : *data;
	case 2:
		memcpy(&two, data, 2);
		two = s->network ? be16toh(two) : two;
		return s->sign ? (uint64_t)(int16_t)two : two;
	case 4:
		memcpy(&four, data, 4);
		return s->sign ? (uint64_t)(int32_t)four : four;
	default:
		memcpy(&eight, data, 8);
		return s->network ? be64toh(eight) : eight;
	}
}

static json_t *enum_json(const struct shape *s, uint64_t value)
{
	uint64_t mask = UINT64_MAX >> (64 - 8 * s->size);
	const char *name;

	for (uint32_t i = 0; i < btf_vlen(s->type); i++)
		if (!(((uint64_t)shape_enumerator(s, i, &name) ^ value) &
		      mask) &&
		    *name)
			return json_string(name) ?: number_json(value, s->sign);
	return number_json(value, s->sign);
}

static json_t *float_json(const struct shape *s, const uint8_t *data)
{
	double value;
	float narrow;

	if (s->size == sizeof(narrow)) {
		memcpy(&narrow, data, sizeof(narrow));
		value = narrow;
	} else {
		memcpy(&value, data, sizeof(value));
	}
	if (isfinite(value))
		return json_real(value);
	return json_string(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

static json_t *address_json(int family, const uint8_t *data)
{
	char text[INET6_ADDRSTRLEN];

	return json_string(inet_ntop(family, data, text, sizeof(text)) ?: "");
}

static json_t *words_json(const uint8_t *data)
{
	static const uint8_t none[4];
	uint64_t hi;

	memcpy(&hi, data, sizeof(hi));
	if (hi == UINT64_MAX && !memcmp(data + 12, none, sizeof(none)))
		return address_json(AF_INET, data + 8);
	return address_json(AF_INET6, data);
}

static json_t *mac_json(const uint8_t *data)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", data[0],
		 data[1], data[2], data[3], data[4], data[5]);
	return json_string(text);
}

/* Only what is text all through is read back as it was. */
static json_t *text_json(const uint8_t *data, size_t size)
{
	size_t len = strnlen((const char *)data, size), i;
	json_t *text = NULL;

	for (i = len; i < size && !data[i];)
		i++;
	if (i == size && (len < 4 || memcmp(data, "hex:", 4) != 0))
		text = json_stringn((const char *)data, len);
	return text ?: bytes_json(data, size);
}

static json_t *array_json(struct printer *p, const struct shape *s,
			  const uint8_t *data, int depth)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < s->n; i++)
		if (json_array_append_new(array,
					  print(p, s->element, NULL,
						data + i * s->element_size,
						s->element_size, depth + 1))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *bits_json(const struct shape *s, const struct shape_member *m,
			 const uint8_t *data)
{
	uint64_t value = shape_bits(data, m->bit, m->bits);
	struct shape is;

	shape_of(s->btf, m->type, NULL,
		 (size_t)btf__resolve_size(s->btf, m->type), &is);
	if (is.sign && value >> (m->bits - 1) & 1 && m->bits < 64)
		value |= UINT64_MAX << m->bits;
	if (is.kind == SHAPE_BOOL)
		return json_boolean(value);
	return is.kind == SHAPE_ENUM ? enum_json(&is, value)
				     : number_json(value, is.sign);
}

static int members_json(struct printer *p, const struct shape *s,
			const uint8_t *data, int depth, json_t *object)
{
	struct shape_member m;
	struct shape inner;

	for (uint32_t i = 0; shape_member(s, &i, &m);) {
		size_t size = shape_member_size(s, &m);
		const uint8_t *at = data + m.bit / 8;
		json_t *value;

		if (!size || !p->left)
			continue;
		if (!*m.name) {
			shape_of(s->btf, m.type, NULL, size, &inner);
			if (m.bits || inner.kind != SHAPE_STRUCT ||
			    depth >= SHAPE_DEPTH)
				continue;
			p->left--;
			if (members_json(p, &inner, at, depth + 1, object))
				return -1;
			continue;
		}
		if (m.words)
			value = words_json(at);
		else if (m.bits)
			value = bits_json(s, &m, data);
		else
			value = print(p, m.type, m.name, at, size, depth + 1);
		/* A name that is no text is nobody's. */
		if (!value || (json_object_set_new(object, m.name, value) &&
			       json_object_set_new(object, "?", json_null())))
			return -1;
	}
	return 0;
}

static json_t *struct_json(struct printer *p, const struct shape *s,
			   const uint8_t *data, int depth)
{
	json_t *object = json_object();

	if (object && members_json(p, s, data, depth, object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *print(struct printer *p, uint32_t type, const char *member,
		     const uint8_t *data, size_t size, int depth)
{
	struct shape s;

	shape_of(p->btf, type, member, size, &s);
	if (!p->left)
		return json_null();
	if (depth > SHAPE_DEPTH)
		s.kind = SHAPE_BYTES;
	if (s.kind == SHAPE_BYTES)
		p->left -= size < p->left ? size : p->left;
	else
		p->left--;
	switch (s.kind) {
	case SHAPE_INT:
		return number_json(widen(&s, data), s.sign);
	case SHAPE_BOOL:
		/* As it is, should it be neither. */
		return *data > 1 || s.size > 1
			       ? number_json(widen(&s, data), false)
			       : json_boolean(*data);
	case SHAPE_FLOAT:
		return float_json(&s, data);
	case SHAPE_ENUM:
		return enum_json(&s, widen(&s, data));
	case SHAPE_STRUCT:
		return struct_json(p, &s, data, depth);
	case SHAPE_ARRAY:
		return array_json(p, &s, data, depth);
	case SHAPE_TEXT:
		return text_json(data, s.size);
	case SHAPE_IPV4:
		return address_json(AF_INET, data);
	case SHAPE_IPV6:
		return address_json(AF_INET6, data);
	case SHAPE_MAC:
		return mac_json(data);
	case SHAPE_BYTES:
		break;
	}
	return bytes_json(data, size);
}

json_t *value_json(const struct btf *btf, uint32_t type, const void *data,
		   size_t size)
{
	struct printer p = {.btf = btf, .left = 64 * size + 4096};

	return print(&p, type, NULL, data, size, 0);
}
