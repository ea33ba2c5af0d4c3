/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A key or value of a map.  The first byte says what the rest is:
 *
 *	'w'	a word of a command line, as a value
 *	'v'	a value, byte by byte
 *	't'	types, as what builds them: 8 bytes each, and a value of 64
 *bytes
 *
 * What is refused is said in a line, and changes nothing.  What is taken, or is
 * there, is shown as JSON that makes the same bytes again.  Types that make no
 * sense lead nowhere but to what there is of the value.
 */
#include <errno.h>
#include <string.h>

#include <bpf/btf.h>

#include "core/shell/shape.h"
#include "core/shell/value.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE = 88, LOOSE = 64 };

static struct btf *known;
static uint32_t whole;

static void field(const char *name, int type, uint32_t byte)
{
	require(!btf__add_field(known, name, type, 8 * byte, 0));
}

/* Every byte is some member's. */
static void make_known(void)
{
	int u8, u16, u32, u64, s16, be16, be64, color, letter, text, addr, mac,
		half;

	known = btf__new_empty();
	u8 = btf__add_int(known, "unsigned char", 1, 0);
	u16 = btf__add_int(known, "unsigned short", 2, 0);
	u32 = btf__add_int(known, "unsigned int", 4, 0);
	u64 = btf__add_int(known, "unsigned long long", 8, 0);
	s16 = btf__add_int(known, "short", 2, BTF_INT_SIGNED);
	letter = btf__add_int(known, "char", 1, BTF_INT_SIGNED);
	be16 = btf__add_typedef(known, "__be16", u16);
	be64 = btf__add_typedef(known, "__be64", u64);
	color = btf__add_enum(known, "color", 4);
	btf__add_enum_value(known, "RED", 0);
	btf__add_enum_value(known, "BLUE", -1);
	text = btf__add_array(known, u32, letter, 8);
	addr = btf__add_array(known, u32, u8, 16);
	mac = btf__add_array(known, u32, u8, 6);
	half = btf__add_union(known, NULL, 4);
	field("all", u32, 0);
	field("part", u16, 0);
	whole = (uint32_t)btf__add_struct(known, "whole", SIZE);
	field("hi", be64, 0);
	field("lo", be64, 8);
	field("n", u64, 16);
	field("text", text, 24);
	field("addr", addr, 32);
	field("mac", mac, 48);
	field("minus", s16, 54);
	field("color", color, 56);
	field("", half, 60);
	require(!btf__add_field(known, "low", u32, 8 * 64, 5));
	require(!btf__add_field(known, "high", u32, 8 * 64 + 5, 27));
	field("port", be16, 68);
	field("flag", u16, 70);
	field("m", u64, 72);
	field("end", u64, 80);
}

/* What is shown makes the same again. */
static void check_shown(const uint8_t *data)
{
	json_t *json = value_json(known, whole, data, SIZE);
	uint8_t again[SIZE] = {0};
	char why[512] = "";

	require(json);
	require(!value_parse(known, whole, json, again, SIZE, why,
			     sizeof(why)));
	require(!memcmp(again, data, SIZE));
	json_decref(json);
}

static void try_word(const uint8_t *input, size_t size)
{
	char *word = strndup((const char *)input, size);
	uint8_t data[SIZE] = {0}, was[SIZE] = {0};
	json_t *json = NULL;
	char why[512] = "";

	require(word);
	if (value_word(word, &json, why, sizeof(why))) {
		require_one_line(why);
		require(!json);
	} else if (value_parse(known, whole, json, data, SIZE, why,
			       sizeof(why))) {
		require_one_line(why);
		require(!memcmp(data, was, SIZE));
	} else {
		check_shown(data);
	}
	json_decref(json);
	free(word);
}

static void try_value(const uint8_t *input, size_t size)
{
	uint8_t data[SIZE] = {0};

	memcpy(data, input, size < SIZE ? size : SIZE);
	check_shown(data);
}

/* One of the types that libbpf lets anybody make; what it refuses is left. */
static void add_type(struct btf *btf, const uint8_t *b)
{
	static const char *const names[] = {"",	    "a",   "hi",     "lo",
					    "addr", "mac", "__be64", "char"};
	const char *name = names[b[1] % 8];
	int type = b[2];

	switch (b[0] % 12) {
	case 0:
		btf__add_int(btf, *name ? name : "i", 1U << b[2] % 5,
			     b[3] % 3 ? b[3] % 3 * 2 - 1 : 0);
		break;
	case 1:
		btf__add_array(btf, type, b[3], b[4] % 8 ? b[5] : 0xffffff00);
		break;
	case 2:
		btf__add_struct(btf, name, b[2]);
		break;
	case 3:
		btf__add_union(btf, name, b[2]);
		break;
	case 4:
		btf__add_typedef(btf, *name ? name : "t", type);
		break;
	case 5:
		btf__add_const(btf, type);
		break;
	case 6:
		btf__add_ptr(btf, type);
		break;
	case 7:
		btf__add_enum(btf, name, 1U << b[2] % 4);
		break;
	case 8:
		btf__add_enum_value(btf, *name ? name : "E", (int8_t)b[2]);
		break;
	case 9:
		btf__add_datasec(btf, ".data", b[2]);
		break;
	case 10:
		btf__add_datasec_var_info(btf, type, b[3], b[4]);
		break;
	default:
		btf__add_field(btf, name, type,
			       (uint32_t)b[3] | (uint32_t)b[4] << 8,
			       b[5] % 2 ? b[6] : 0);
	}
}

static void try_types(const uint8_t *input, size_t size)
{
	struct btf *btf = btf__new_empty();
	uint8_t *data = calloc(1, LOOSE);
	char why[512];

	require(btf && data);
	for (; size >= LOOSE + 8; input += 8, size -= 8)
		add_type(btf, input);
	memcpy(data, input, size < LOOSE ? size : LOOSE);
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		int64_t own = btf__resolve_size(btf, id);
		size_t used = own > 0 && own < LOOSE ? (size_t)own : LOOSE;
		/* A sanitizer sees what is behind. */
		uint8_t *exact = malloc(used);
		json_t *json;

		require(exact);
		memcpy(exact, data, used);
		json = value_json(btf, id, exact, used);
		require(json);
		shape_type_name(btf, id, why, sizeof(why));
		/* Names that are there twice may make it another. */
		if (value_parse(btf, id, json, exact, used, why, sizeof(why)))
			require_one_line(why);
		json_decref(json);
		free(exact);
	}
	btf__free(btf);
	free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!known)
		make_known();
	if (!size || size > 1024)
		return 0;
	switch (*data) {
	case 'w':
		try_word(data + 1, size - 1);
		break;
	case 'v':
		try_value(data + 1, size - 1);
		break;
	case 't':
		try_types(data + 1, size - 1);
		break;
	}
	return 0;
}
