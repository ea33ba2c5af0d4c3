/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* value_parse.c - JSON as keys and values of BPF maps. */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/shell/shape.h"
#include "core/shell/value.h"

/* Where a value is, for errors: its name, or its index, in another's. */
struct place {
	const struct place *in;
	const char *name; /* NULL: an index */
	size_t index;
	int depth;
};

struct parser {
	const struct btf *btf;
	char *why;
	size_t size;
};

static int parse(const struct parser *p, uint32_t type,
		 const struct place *place, const json_t *from, uint8_t *data,
		 size_t size);

/* ---- Errors -------------------------------------------------------------- */

static size_t place_text(const struct place *place, char *buf, size_t size)
{
	size_t n = 0;
	int more;

	if (!place->in)
		return 0;
	n = place_text(place->in, buf, size);
	if (n >= size - 1)
		return n;
	more = place->name ? snprintf(buf + n, size - n, "%s%s", n ? "." : "",
				      place->name)
			   : snprintf(buf + n, size - n, "%s%zu", n ? "." : "",
				      place->index);
	return n + (size_t)more < size ? n + (size_t)more : size - 1;
}

static int refuse(const struct parser *p, const struct place *place,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(const struct parser *p, const struct place *place,
		  const char *fmt, ...)
{
	char where[128] = "", what[384];
	va_list ap;

	place_text(place, where, sizeof(where));
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(p->why, p->size, "%s%s%s", where, *where ? ": " : "", what);
	/* Names may come from anywhere. */
	for (char *c = p->why; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -EINVAL;
}

/* What there is instead of what was expected. */
static int expected(const struct parser *p, const struct place *place,
		    const json_t *from, const char *what)
{
	autofree char *text = json_dumps(from, JSON_ENCODE_ANY | JSON_COMPACT);

	return refuse(p, place, "expected %s, not %.60s%s", what, text ?: "?",
		      text && strlen(text) > 60 ? "..." : "");
}

/* ---- Scalars ------------------------------------------------------------- */

/* Whole numbers as people write them: 10, -10, 0x0a. */
static bool read_number(const char *text, bool *negative, uint64_t *magnitude)
{
	int base = 10;
	char *end;

	*negative = *text == '-';
	text += *negative;
	if (!strncasecmp(text, "0x", 2)) {
		base = 16;
		text += 2;
	}
	/* strtoull() takes blanks and signs. */
	if (!*text || text[strspn(text, base == 16 ? "0123456789abcdefABCDEF"
						   : "0123456789")])
		return false;
	errno = 0;
	*magnitude = strtoull(text, &end, base);
	return !*end && !errno;
}

/* Of so many bits; false: it is no number, or does not fit. */
static bool number_of(const json_t *from, uint32_t bits, bool sign,
		      uint64_t *out)
{
	uint64_t top = UINT64_MAX >> (64 - bits) >> sign, magnitude;
	bool negative;

	if (json_is_string(from)) {
		if (!read_number(json_string_value(from), &negative,
				 &magnitude))
			return false;
	} else if (json_is_integer(from)) {
		json_int_t value = json_integer_value(from);

		negative = value < 0;
		magnitude = negative ? 0 - (uint64_t)value : (uint64_t)value;
	} else {
		return false;
	}
	if (magnitude > top + (negative && sign) ||
	    (negative && !sign && magnitude))
		return false;
	*out = negative ? 0 - magnitude : magnitude;
	return true;
}

static int parse_number(const struct parser *p, const struct place *place,
			const json_t *from, uint32_t bits, bool sign,
			uint64_t *out)
{
	uint64_t top = UINT64_MAX >> (64 - bits) >> sign;
	char what[80];

	if (number_of(from, bits, sign, out))
		return 0;
	if (sign)
		snprintf(what, sizeof(what),
			 "a number from %" PRId64 " to %" PRIu64,
			 -(int64_t)top - 1, top);
	else
		snprintf(what, sizeof(what), "a number from 0 to %" PRIu64,
			 top);
	return expected(p, place, from, what);
}

static int parse_bool(const struct parser *p, const struct place *place,
		      const json_t *from, uint32_t bits, uint64_t *out)
{
	const char *text = json_string_value(from);

	if (json_is_boolean(from))
		*out = json_is_true(from);
	else if (text && !strcmp(text, "true"))
		*out = 1;
	else if (text && !strcmp(text, "false"))
		*out = 0;
	else if (!number_of(from, bits, false, out))
		return expected(p, place, from, "true or false");
	return 0;
}

static void add(char *list, size_t size, const char *name)
{
	size_t n = strlen(list);

	if (n > 4 && !strcmp(list + n - 5, ", ..."))
		return;
	if (size - n > strlen(name) + sizeof(", ..."))
		snprintf(list + n, size - n, "%s%s", n ? ", " : "", name);
	else if (size - n > sizeof(", ...") - 1)
		strcpy(list + n, ", ...");
}

static int parse_enum(const struct parser *p, const struct place *place,
		      const struct shape *s, const json_t *from, uint32_t bits,
		      uint64_t *out)
{
	const char *text = json_string_value(from) ?: "", *name;
	char names[256] = "", what[320];

	for (uint32_t i = 0; i < btf_vlen(s->type); i++) {
		int64_t value = shape_enumerator(s, i, &name);

		if (*text && !strcmp(text, name)) {
			*out = (uint64_t)value;
			return 0;
		}
		add(names, sizeof(names), name);
	}
	if (number_of(from, bits, s->sign, out))
		return 0;
	snprintf(what, sizeof(what), "one of %s, or a number of %u bits", names,
		 bits);
	return expected(p, place, from, what);
}

/* An integer, boolean or enumerator of so many bits. */
static int parse_scalar(const struct parser *p, const struct place *place,
			const struct shape *s, const json_t *from,
			uint32_t bits, uint64_t *out)
{
	if (s->kind == SHAPE_ENUM)
		return parse_enum(p, place, s, from, bits, out);
	if (s->kind == SHAPE_BOOL)
		return parse_bool(p, place, from, bits, out);
	return parse_number(p, place, from, bits, s->sign, out);
}

static void store(const struct shape *s, uint64_t value, uint8_t *data)
{
	uint8_t one = (uint8_t)value;
	uint16_t two = (uint16_t)value;
	uint32_t four = (uint32_t)value;

	two = s->network ? htobe16(two) : two;
	value = s->network ? htobe64(value) : value;
	memcpy(data,
	       s->size == 1   ? (void *)&one
	       : s->size == 2 ? (void *)&two
	       : s->size == 4 ? (void *)&four
			      : (void *)&value,
	       s->size);
}

static int parse_float(const struct parser *p, const struct place *place,
		       const struct shape *s, const json_t *from, uint8_t *data)
{
	const char *text = json_string_value(from);
	double value = json_number_value(from);
	float narrow;
	char *end = "";

	if (text)
		value = strtod(text, &end);
	if ((!text && !json_is_number(from)) || (text && (!*text || *end)))
		return expected(p, place, from, "a number");
	narrow = (float)value;
	memcpy(data, s->size == sizeof(narrow) ? (void *)&narrow : &value,
	       s->size);
	return 0;
}

/* ---- Text, addresses, bytes ---------------------------------------------- */

static int parse_ip(const struct parser *p, const struct place *place,
		    int family, const json_t *from, uint8_t *data)
{
	const char *text = json_string_value(from);

	if (text && inet_pton(family, text, data) == 1)
		return 0;
	return expected(p, place, from,
			family == AF_INET
				? "an IPv4 address like \"192.0.2.1\""
				: "an IPv6 address like \"2001:db8::1\"");
}

static int parse_words(const struct parser *p, const struct place *place,
		       const json_t *from, uint8_t *data)
{
	const char *text = json_string_value(from);
	uint8_t addr[16] = {0};

	if (text && inet_pton(AF_INET6, text, addr) == 1) {
		memcpy(data, addr, 16);
		return 0;
	}
	if (!text || inet_pton(AF_INET, text, addr + 8) != 1)
		return expected(p, place, from,
				"an address like \"192.0.2.1\" or "
				"\"2001:db8::1\"");
	memset(addr, 0xff, 8);
	memcpy(data, addr, 16);
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool is_hex(const json_t *from)
{
	return json_is_string(from) &&
	       !strncmp(json_string_value(from), "hex:", 4);
}

/* data is written only once all is well. */
static bool read_hex(const char *text, char between, uint8_t *data, size_t size)
{
	for (int pass = 0; pass < 2; pass++) {
		const char *c = text;

		for (size_t i = 0; i < size; i++) {
			int high = hex_digit(*c);
			int low = high < 0 ? -1 : hex_digit(c[1]);

			if (low < 0)
				return false;
			if (pass)
				data[i] = (uint8_t)(high << 4 | low);
			c += 2;
			if (between && i + 1 < size && *c++ != between)
				return false;
		}
		if (*c)
			return false;
	}
	return true;
}

static int parse_bytes(const struct parser *p, const struct place *place,
		       const json_t *from, uint8_t *data, size_t size)
{
	struct shape number = {.kind = SHAPE_INT, .size = size};
	uint64_t value;
	char what[96];

	if (is_hex(from) &&
	    read_hex(json_string_value(from) + 4, '\0', data, size))
		return 0;
	if ((size == 1 || size == 2 || size == 4 || size == 8) &&
	    number_of(from, 8 * (uint32_t)size, false, &value)) {
		store(&number, value, data);
		return 0;
	}
	snprintf(what, sizeof(what),
		 "\"hex:\" and the %zu digits of %zu bytes, as no types are "
		 "known",
		 2 * size, size);
	return expected(p, place, from, what);
}

static int parse_mac(const struct parser *p, const struct place *place,
		     const json_t *from, uint8_t *data)
{
	const char *text = json_string_value(from);

	if (text && read_hex(text, ':', data, 6))
		return 0;
	return expected(p, place, from,
			"a MAC address like \"02:00:00:00:00:01\"");
}

static int parse_text(const struct parser *p, const struct place *place,
		      const json_t *from, uint8_t *data, size_t size)
{
	char what[64];

	if (is_hex(from))
		return parse_bytes(p, place, from, data, size);
	snprintf(what, sizeof(what), "text of at most %zu bytes", size);
	if (!json_is_string(from) || json_string_length(from) > size)
		return expected(p, place, from, what);
	memset(data, 0, size);
	memcpy(data, json_string_value(from), json_string_length(from));
	return 0;
}

/* ---- What is made of others ---------------------------------------------- */

static int parse_some(const struct parser *p, const struct place *place,
		      const struct shape *s, const json_t *from, uint8_t *data)
{
	struct place at = {.in = place, .depth = place->depth + 1};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)from, key, value) {
		uint64_t index;
		bool negative;
		int rc;

		if (!read_number(key, &negative, &index) || negative ||
		    index >= s->n)
			return refuse(p, place,
				      "expected an index from 0 to %u, not "
				      "\"%.60s\"",
				      s->n - 1, key);
		at.index = (size_t)index;
		rc = parse(p, s->element, &at, value,
			   data + index * s->element_size, s->element_size);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse_array(const struct parser *p, const struct place *place,
		       const struct shape *s, const json_t *from, uint8_t *data)
{
	struct place at = {.in = place, .depth = place->depth + 1};
	const json_t *value;
	char what[64];
	int rc;

	if (json_is_object(from) && s->n)
		return parse_some(p, place, s, from, data);
	snprintf(what, sizeof(what), "an array of %u", s->n);
	if (!json_is_array(from) || json_array_size(from) != s->n)
		return expected(p, place, from, what);
	json_array_foreach(from, at.index, value) {
		rc = parse(p, s->element, &at, value,
			   data + at.index * s->element_size, s->element_size);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse_bits(const struct parser *p, const struct place *place,
		      const struct shape *s, const struct shape_member *m,
		      const json_t *from, uint8_t *data)
{
	struct shape is;
	uint64_t value;
	int rc;

	shape_of(s->btf, m->type, NULL,
		 (size_t)btf__resolve_size(s->btf, m->type), &is);
	rc = parse_scalar(p, place, &is, from, m->bits, &value);
	if (!rc)
		shape_set_bits(data, m->bit, m->bits, value);
	return rc;
}

struct search {
	const char *name;
	char names[256]; /* of all that there are, should there be none */
	uint32_t left;	 /* members: malformed types could have any number */
};

/* A member by its name, in those structs without one too.  *of, *data: those of
 * the struct that has it. */
static bool find_member(struct search *search, struct shape *of, uint8_t **data,
			struct shape_member *m, int depth)
{
	const struct shape s = *of;
	uint8_t *const from = *data;

	for (uint32_t i = 0; shape_member(&s, &i, m) && search->left;) {
		size_t size = shape_member_size(&s, m);

		search->left--;
		if (!size)
			continue;
		*of = s;
		*data = from;
		if (*m->name && !strcmp(m->name, search->name))
			return true;
		if (*m->name) {
			add(search->names, sizeof(search->names), m->name);
			continue;
		}
		shape_of(s.btf, m->type, NULL, size, of);
		*data = from + m->bit / 8;
		if (!m->bits && of->kind == SHAPE_STRUCT &&
		    depth < SHAPE_DEPTH &&
		    find_member(search, of, data, m, depth + 1))
			return true;
	}
	return false;
}

static int parse_member(const struct parser *p, const struct place *place,
			const struct shape *s, const char *name,
			const json_t *from, uint8_t *data)
{
	struct place at = {
		.in = place, .name = name, .depth = place->depth + 1};
	struct search search = {.name = name, .left = 1 << 20};
	struct shape of = *s;
	struct shape_member m;

	if (!find_member(&search, &of, &data, &m, place->depth))
		return refuse(p, place,
			      "there is no \"%.60s\", expected some of: %s",
			      name, search.names);
	if (m.words)
		return parse_words(p, &at, from, data + m.bit / 8);
	if (m.bits)
		return parse_bits(p, &at, &of, &m, from, data);
	return parse(p, m.type, &at, from, data + m.bit / 8,
		     shape_member_size(&of, &m));
}

static int parse_struct(const struct parser *p, const struct place *place,
			const struct shape *s, const json_t *from,
			uint8_t *data)
{
	const char *key;
	json_t *value;
	int rc;

	if (!json_is_object(from))
		return expected(p, place, from,
				"an object, {\"NAME\":VALUE,...} or "
				"NAME=VALUE,...");
	json_object_foreach((json_t *)from, key, value) {
		rc = parse_member(p, place, s, key, value, data);
		if (rc)
			return rc;
	}
	return 0;
}

static int parse(const struct parser *p, uint32_t type,
		 const struct place *place, const json_t *from, uint8_t *data,
		 size_t size)
{
	uint64_t value = 0;
	struct shape s;
	int rc;

	shape_of(p->btf, type, place->name, size, &s);
	if (place->depth > SHAPE_DEPTH)
		s.kind = SHAPE_BYTES;
	switch (s.kind) {
	case SHAPE_INT:
	case SHAPE_BOOL:
	case SHAPE_ENUM:
		rc = parse_scalar(p, place, &s, from, 8 * (uint32_t)s.size,
				  &value);
		if (!rc)
			store(&s, value, data);
		return rc;
	case SHAPE_FLOAT:
		return parse_float(p, place, &s, from, data);
	case SHAPE_STRUCT:
		return parse_struct(p, place, &s, from, data);
	case SHAPE_ARRAY:
		return parse_array(p, place, &s, from, data);
	case SHAPE_TEXT:
		return parse_text(p, place, from, data, s.size);
	case SHAPE_IPV4:
		return parse_ip(p, place, AF_INET, from, data);
	case SHAPE_IPV6:
		return parse_ip(p, place, AF_INET6, from, data);
	case SHAPE_MAC:
		return parse_mac(p, place, from, data);
	case SHAPE_BYTES:
		break;
	}
	return parse_bytes(p, place, from, data, size);
}

int value_parse(const struct btf *btf, uint32_t type, const json_t *from,
		void *data, size_t size, char *why, size_t why_size)
{
	struct parser p = {.btf = btf, .why = why, .size = why_size};
	const struct place top = {};
	autofree uint8_t *copy = malloc(size ?: 1);
	int rc;

	if (!copy)
		return refuse(&p, &top, "no memory"), -ENOMEM;
	memcpy(copy, data, size);
	rc = parse(&p, type, &top, from, copy, size);
	if (!rc)
		memcpy(data, copy, size);
	return rc;
}
