/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and values of maps as JSON, and JSON as them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <bpf/btf.h>

#include "core/cleanup.h"
#include "core/shell/shape.h"
#include "core/shell/value.h"

static struct btf *btf;
/* Types, all of them in there. */
static int u8, u16, u32, u64, s8, s16, s32, s64, boolean, letter, f32, f64;
static int be16, be32, be64, color, sign, wide, text8, four, matrix, empty;
static int in_addr, in6_addr, bits, outer, key, addresses, pointer, section;
static int fixed, endless, forward, crowd;

/* ---- Types --------------------------------------------------------------- */

static int typedef_of(const char *name, int type)
{
	return btf__add_typedef(btf, name, type);
}

static void add_numbers(void)
{
	u8 = btf__add_int(btf, "unsigned char", 1, 0);
	u16 = btf__add_int(btf, "unsigned short", 2, 0);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	u64 = btf__add_int(btf, "unsigned long long", 8, 0);
	s8 = btf__add_int(btf, "signed char", 1, BTF_INT_SIGNED);
	s16 = btf__add_int(btf, "short", 2, BTF_INT_SIGNED);
	s32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	s64 = btf__add_int(btf, "long long", 8, BTF_INT_SIGNED);
	boolean = btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL);
	letter = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);
	f32 = btf__add_float(btf, "float", 4);
	f64 = btf__add_float(btf, "double", 8);
	be16 = typedef_of("__be16", typedef_of("__u16", u16));
	be32 = typedef_of("__be32", u32);
	be64 = btf__add_const(btf, typedef_of("__be64", u64));
	pointer = btf__add_ptr(btf, 0);
	wide = btf__add_int(btf, "__int128", 16, BTF_INT_SIGNED);
	fixed = btf__add_volatile(btf, btf__add_const(btf, u16));
	forward = btf__add_fwd(btf, "unknown", BTF_FWD_STRUCT);
}

static void add_enums(void)
{
	color = btf__add_enum(btf, "color", 4);
	btf__add_enum_value(btf, "RED", 0);
	btf__add_enum_value(btf, "GREEN", 7);
	btf__add_enum_value(btf, "LAST", 0xffffffff);
	crowd = btf__add_enum(btf, "crowd", 4);
	for (int i = 0; i < 26; i++) {
		/* A short one may fit where a long one does not. */
		char name[20] = "A_RATHER_LONG_NAME_", letter_of[2] = {};

		name[18] = letter_of[0] = (char)('A' + i);
		btf__add_enum_value(btf, name, 2 * i);
		btf__add_enum_value(btf, letter_of, 2 * i + 1);
	}
	/* One of libbpf's knows whether there is a sign. */
	sign = btf__add_enum64(btf, "sign", 8, true);
	btf__add_enum64_value(btf, "MINUS", (uint64_t)-1);
	btf__add_enum64_value(btf, "LARGE", 1ULL << 40);
}

static void add_arrays(void)
{
	text8 = btf__add_array(btf, u32, letter, 8);
	four = btf__add_array(btf, u32, u16, 4);
	matrix = btf__add_array(btf, u32, btf__add_array(btf, u32, u8, 2), 2);
	empty = btf__add_array(btf, u32, color, 0);
}

static int add_struct(const char *name, uint32_t size)
{
	return btf__add_struct(btf, name, size);
}

static void field(const char *name, int type, uint32_t byte)
{
	assert_int_equal(btf__add_field(btf, name, type, 8 * byte, 0), 0);
}

static void add_structs(void)
{
	int addr4 = btf__add_array(btf, u32, u8, 4);
	int addr16 = btf__add_array(btf, u32, u8, 16);
	int mac = btf__add_array(btf, u32, u8, 6), both, half, count;

	in_addr = add_struct("in_addr", 4);
	field("s_addr", be32, 0);
	in6_addr = add_struct("in6_addr", 16);
	field("bytes", addr16, 0);

	bits = add_struct("bits", 4);
	assert_int_equal(btf__add_field(btf, "low", u32, 0, 3), 0);
	assert_int_equal(btf__add_field(btf, "", u32, 3, 2), 0);
	assert_int_equal(btf__add_field(btf, "minus", s32, 5, 6), 0);
	assert_int_equal(btf__add_field(btf, "color", color, 11, 4), 0);
	assert_int_equal(btf__add_field(btf, "high", u32, 15, 17), 0);

	half = btf__add_array(btf, u32, u16, 2);
	both = btf__add_union(btf, NULL, 4);
	field("whole", u32, 0);
	field("half", half, 0);
	outer = add_struct("outer", 12);
	field("first", u8, 0);
	field("", both, 4);
	field("bits", bits, 8);
	field("by", empty, 12);

	key = add_struct("key", 40);
	field("subs_hi", be64, 0);
	field("subs_lo", be64, 8);
	field("hi", be64, 16);
	field("lo", be64, 24);
	field("port", be16, 32);
	field("alone_hi", u64, 32);

	addresses = add_struct("addresses", 34);
	field("addr", addr4, 0);
	field("address", addr16, 4);
	field("mac", mac, 20);
	field("other", addr4, 26);
	field("in", in_addr, 30);

	count = btf__add_var(btf, "count", BTF_VAR_GLOBAL_ALLOCATED, u64);
	section = btf__add_datasec(btf, ".bss", 12);
	assert_int_equal(btf__add_datasec_var_info(btf, count, 0, 8), 0);
}

/* Types that nothing should be built of. */
static void add_bad(void)
{
	endless = add_struct("endless", 4);
	/* In itself, and where it is not. */
	field("", endless, 0);
	field("in", endless, 0);
	field("behind", u32, 4);
	field("beyond", u32, 1 << 24);
	field("nothing", 9999, 0);
	field("unknown", forward, 0);
	field("n", u16, 0);
}

static int setup(void **state)
{
	(void)state;
	btf = btf__new_empty();
	add_numbers();
	add_enums();
	add_arrays();
	add_structs();
	add_bad();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	btf__free(btf);
	return 0;
}

/* ---- What is tried ------------------------------------------------------- */

static char why[512];

static json_t *json_of(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!json)
		fail_msg("%s is no JSON", text);
	return json;
}

static size_t bytes_of(const char *hex, uint8_t *data)
{
	size_t n = 0;
	unsigned int byte;
	int used;

	for (; sscanf(hex, " %2x%n", &byte, &used) == 1; hex += used)
		data[n++] = (uint8_t)byte;
	return n;
}

static void prints(int type, const char *hex, const char *text)
{
	uint8_t *data = malloc(256);
	size_t size = bytes_of(hex, data);
	json_t *json;
	char *is;

	data = realloc(data, size ?: 1); /* a sanitizer sees what is behind */
	json = value_json(btf, (uint32_t)type, data, size);
	is = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	assert_string_equal(is, text);
	free(is);
	free(data);
	json_decref(json);
}

static int parses(int type, const char *text, uint8_t *data, size_t size)
{
	json_t *json = json_of(text);
	uint8_t *exact = malloc(size ?: 1);
	int rc;

	memcpy(exact, data, size);
	why[0] = '\0';
	rc = value_parse(btf, (uint32_t)type, json, exact, size, why,
			 sizeof(why));
	memcpy(data, exact, size);
	free(exact);
	json_decref(json);
	return rc;
}

/* Both ways; what was there before is all ones. */
static void is(int type, const char *hex, const char *text)
{
	uint8_t want[256], data[256];
	size_t size = bytes_of(hex, want);

	prints(type, hex, text);
	memset(data, 0, sizeof(data));
	if (parses(type, text, data, size))
		fail_msg("%s: %s", text, why);
	assert_memory_equal(data, want, size);
}

static void refuses(int type, size_t size, const char *text, const char *reason)
{
	uint8_t data[256], was[256];

	memset(data, 0x5a, sizeof(data));
	memcpy(was, data, sizeof(data));
	assert_int_equal(parses(type, text, data, size), -EINVAL);
	assert_string_equal(why, reason);
	assert_memory_equal(data, was, sizeof(data));
}

/* ---- Tests --------------------------------------------------------------- */

static void integers(void **state)
{
	(void)state;
	is(u8, "ff", "255");
	is(s8, "ff", "-1");
	is(u16, "0180", "32769");
	is(s16, "0080", "-32768");
	is(fixed, "0180", "32769");
	is(u32, "ffffffff", "4294967295");
	is(s32, "ffffff7f", "2147483647");
	is(s64, "0000000000000080", "-9223372036854775808");
	is(u64, "ffffffffffffff7f", "9223372036854775807");
	is(u64, "0000000000000080", "\"9223372036854775808\"");
	is(u64, "ffffffffffffffff", "\"18446744073709551615\"");
	is(pointer, "0010000000000000", "4096");
	is(boolean, "01", "true");
	is(boolean, "00", "false");
	is(boolean, "02", "2");
	is(letter, "41", "65");
	is(wide, "000102030405060708090a0b0c0d0e0f",
	   "\"hex:000102030405060708090a0b0c0d0e0f\"");
}

static void integers_as_text(void **state)
{
	uint8_t data[8] = {0};

	(void)state;
	assert_int_equal(parses(u16, "\"0xABcd\"", data, 2), 0);
	assert_memory_equal(data, "\xcd\xab", 2);
	assert_int_equal(parses(s16, "\"-0x8000\"", data, 2), 0);
	assert_memory_equal(data, "\x00\x80", 2);
	assert_int_equal(parses(u8, "\"12\"", data, 1), 0);
	assert_int_equal(data[0], 12);
	assert_int_equal(parses(boolean, "\"true\"", data, 1), 0);
	assert_int_equal(data[0], 1);
}

static void ranges(void **state)
{
	(void)state;
	refuses(u8, 1, "256", "expected a number from 0 to 255, not 256");
	refuses(u8, 1, "-1", "expected a number from 0 to 255, not -1");
	refuses(s8, 1, "128", "expected a number from -128 to 127, not 128");
	refuses(s8, 1, "-129", "expected a number from -128 to 127, not -129");
	refuses(u64, 8, "\"18446744073709551616\"",
		"expected a number from 0 to 18446744073709551615, not "
		"\"18446744073709551616\"");
	refuses(s64, 8, "\"9223372036854775808\"",
		"expected a number from -9223372036854775808 to "
		"9223372036854775807, not \"9223372036854775808\"");
	refuses(u8, 1, "\" 1\"", "expected a number from 0 to 255, not \" 1\"");
	refuses(u8, 1, "\"--1\"",
		"expected a number from 0 to 255, not \"--1\"");
	refuses(u8, 1, "\"0x\"", "expected a number from 0 to 255, not \"0x\"");
	refuses(u8, 1, "\"\"", "expected a number from 0 to 255, not \"\"");
	refuses(u8, 1, "1.0", "expected a number from 0 to 255, not 1.0");
	refuses(u8, 1, "null", "expected a number from 0 to 255, not null");
	refuses(u8, 1, "[1]", "expected a number from 0 to 255, not [1]");
	refuses(boolean, 1, "\"yes\"", "expected true or false, not \"yes\"");
}

static void names(void **state)
{
	(void)state;
	is(color, "07000000", "\"GREEN\"");
	is(color, "ffffffff", "\"LAST\"");
	is(color, "08000000", "8");
	is(sign, "ffffffffffffffff", "\"MINUS\"");
	is(sign, "0000000000010000", "\"LARGE\"");
	is(sign, "feffffffffffffff", "-2");
	refuses(color, 4, "\"BLUE\"",
		"expected one of RED, GREEN, LAST, or a number of 32 bits, not "
		"\"BLUE\"");
	refuses(color, 4, "4294967296",
		"expected one of RED, GREEN, LAST, or a number of 32 bits, not "
		"4294967296");
}

static void many_names(void **state)
{
	uint8_t data[4] = {};
	const char *more;

	(void)state;
	is(crowd, "33000000", "\"Z\"");
	assert_int_equal(parses(crowd, "\"none\"", data, 4), -EINVAL);
	more = strstr(why, ", ...");
	assert_non_null(more);
	assert_ptr_equal(strstr(more, ", ..., or a number of 32 bits, not"),
			 more);
}

static void floats(void **state)
{
	(void)state;
	is(f32, "0000c03f", "1.5");
	is(f64, "000000000000f0bf", "-1.0");
	prints(f64, "000000000000f07f", "\"inf\"");
	prints(f64, "000000000000f87f", "\"nan\"");
	refuses(f64, 8, "\"1.5x\"", "expected a number, not \"1.5x\"");
}

static void network_order(void **state)
{
	(void)state;
	is(be16, "01bb", "443");
	is(be32, "c0000201", "\"192.0.2.1\"");
	is(be64, "0000000000000001", "1");
	is(in_addr, "c0000201", "\"192.0.2.1\"");
	is(in6_addr, "20010db8000000000000000000000001", "\"2001:db8::1\"");
	refuses(be32, 4, "\"192.0.2\"",
		"expected an IPv4 address like \"192.0.2.1\", not "
		"\"192.0.2\"");
	refuses(be32, 4, "1",
		"expected an IPv4 address like \"192.0.2.1\", not 1");
	refuses(in6_addr, 16, "\"192.0.2.1\"",
		"expected an IPv6 address like \"2001:db8::1\", not "
		"\"192.0.2.1\"");
	refuses(be16, 2, "65536",
		"expected a number from 0 to 65535, not 65536");
}

static void two_words(void **state)
{
	(void)state;
	is(key,
	   "ffffffffffffffff c000020100000000"
	   "20010db800000000 0000000000000001 01bb000000000000",
	   "{\"subs\":\"192.0.2.1\",\"address\":\"2001:db8::1\",\"port\":443,"
	   "\"alone_hi\":47873}");
	/* No IPv4 address: more than that is in lo. */
	is(key,
	   "ffffffffffffffff c000020100000001"
	   "0000000000000000 0000000000000000 0000000000000000",
	   "{\"subs\":\"ffff:ffff:ffff:ffff:c000:201:0:1\",\"address\":\"::\","
	   "\"port\":0,\"alone_hi\":0}");
	refuses(key, 40, "{\"subs\":\"nobody\"}",
		"subs: expected an address like \"192.0.2.1\" or "
		"\"2001:db8::1\", not \"nobody\"");
	refuses(key, 40, "{\"subs_hi\":1}",
		"there is no \"subs_hi\", expected some of: subs, address, "
		"port, alone_hi");
}

static void by_name(void **state)
{
	(void)state;
	is(addresses,
	   "c0000201 20010db8000000000000000000000001 020000000a01 01020304 "
	   "0a000001",
	   "{\"addr\":\"192.0.2.1\",\"address\":\"2001:db8::1\","
	   "\"mac\":\"02:00:00:00:0a:01\",\"other\":[1,2,3,4],"
	   "\"in\":\"10.0.0.1\"}");
	refuses(addresses, 34, "{\"mac\":\"02:00:00:00:0a\"}",
		"mac: expected a MAC address like \"02:00:00:00:00:01\", not "
		"\"02:00:00:00:0a\"");
}

static void texts(void **state)
{
	(void)state;
	is(text8, "6c716f7300000000", "\"lqos\"");
	is(text8, "6c716f736c716f73", "\"lqoslqos\"");
	is(text8, "0000000000000000", "\"\"");
	/* What is behind its end would be lost. */
	is(text8, "6c716f7300000001", "\"hex:6c716f7300000001\"");
	is(text8, "ff00000000000000", "\"hex:ff00000000000000\"");
	is(text8, "6865783a00000000", "\"hex:6865783a00000000\"");
	refuses(text8, 8, "\"lqoslqosl\"",
		"expected text of at most 8 bytes, not \"lqoslqosl\"");
}

static void arrays(void **state)
{
	uint8_t data[8] = {0};

	(void)state;
	is(four, "0100020003000400", "[1,2,3,4]");
	is(matrix, "01020304", "[[1,2],[3,4]]");
	is(empty, "", "[]");
	refuses(four, 8, "[1,2,3]", "expected an array of 4, not [1,2,3]");
	refuses(four, 8, "[1,2,3,4,5]",
		"expected an array of 4, not [1,2,3,4,5]");
	refuses(matrix, 4, "[[1,2],[3,256]]",
		"1.1: expected a number from 0 to 255, not 256");
	/* Some of them. */
	assert_int_equal(parses(four, "{\"2\":9}", data, 8), 0);
	assert_memory_equal(data, "\0\0\0\0\x09\0\0\0", 8);
	refuses(four, 8, "{\"4\":9}",
		"expected an index from 0 to 3, not \"4\"");
	refuses(four, 8, "{\"-1\":9}",
		"expected an index from 0 to 3, not \"-1\"");
}

static void structs(void **state)
{
	uint8_t data[12];

	(void)state;
	/* Bytes 1 to 3 are nobody's. */
	is(outer, "01000000 04030201 07000000",
	   "{\"first\":1,\"whole\":16909060,\"half\":[772,258],"
	   "\"bits\":{\"low\":7,\"minus\":0,\"color\":\"RED\",\"high\":0}}");
	memset(data, 0xff, sizeof(data));
	assert_int_equal(
		parses(outer, "{\"first\":0,\"half\":{\"1\":0}}", data, 12), 0);
	assert_memory_equal(data, "\0\xff\xff\xff\xff\xff\0\0\xff\xff\xff\xff",
			    12);
	refuses(outer, 12, "{\"second\":1}",
		"there is no \"second\", expected some of: first, whole, half, "
		"bits");
	refuses(outer, 12, "{\"half\":[1,65536]}",
		"half.1: expected a number from 0 to 65535, not 65536");
	refuses(outer, 12, "3",
		"expected an object, {\"NAME\":VALUE,...} or NAME=VALUE,..., "
		"not 3");
}

static void bit_fields(void **state)
{
	uint8_t data[4] = {0xff, 0xff, 0xff, 0xff};

	(void)state;
	/* low 5, minus -32, color 7, high 0x1ffff */
	is(bits, "05bc ffff",
	   "{\"low\":5,\"minus\":-32,\"color\":\"GREEN\",\"high\":131071}");
	assert_int_equal(parses(bits, "{\"minus\":0}", data, 4), 0);
	assert_memory_equal(data, "\x1f\xf8\xff\xff", 4);
	refuses(bits, 4, "{\"low\":8}",
		"low: expected a number from 0 to 7, not 8");
	refuses(bits, 4, "{\"minus\":32}",
		"minus: expected a number from -32 to 31, not 32");
	refuses(bits, 4, "{\"color\":16}",
		"color: expected one of RED, GREEN, LAST, or a number of 4 "
		"bits, not 16");
}

static void sections(void **state)
{
	(void)state;
	prints(section, "0500000000000000 00000000", "{\"count\":5}");
}

static void bytes(void **state)
{
	uint8_t data[4] = {0};

	(void)state;
	is(0, "0011fe", "\"hex:0011fe\"");
	prints(9999, "01", "\"hex:01\"");
	/* Sizes that do not fit. */
	prints(u32, "0102", "\"hex:0102\"");
	prints(four, "0102", "\"hex:0102\"");
	prints(outer, "0102", "\"hex:0102\"");
	assert_int_equal(parses(0, "258", data, 4), 0);
	assert_memory_equal(data, "\x02\x01\0\0", 4);
	refuses(0, 3, "\"hex:0011f\"",
		"expected \"hex:\" and the 6 digits of 3 bytes, as no types "
		"are known, not \"hex:0011f\"");
	refuses(0, 3, "1",
		"expected \"hex:\" and the 6 digits of 3 bytes, as no types "
		"are known, not 1");
}

static void malformed(void **state)
{
	uint8_t data[4] = {1, 0, 0, 0};
	json_t *json, *deep;

	(void)state;
	json = value_json(btf, (uint32_t)endless, data, 4);
	assert_int_equal(json_integer_value(json_object_get(json, "n")), 1);
	assert_null(json_object_get(json, "behind"));
	assert_null(json_object_get(json, "beyond"));
	assert_null(json_object_get(json, "nothing"));
	json_decref(json);
	assert_int_equal(parses(endless, "{\"n\":2}", data, 4), 0);
	assert_int_equal(data[0], 2);
	assert_int_equal(parses(endless, "{\"beyond\":2}", data, 4), -EINVAL);
	assert_ptr_equal(
		strstr(why, "there is no \"beyond\", expected some of: in"),
		why);
	/* Deeper than any type is. */
	json = json_object();
	for (int i = 0; i < 100; i++) {
		deep = json_object();
		json_object_set_new(deep, "in", json);
		json = deep;
	}
	assert_int_equal(value_parse(btf, (uint32_t)endless, json, data, 4, why,
				     sizeof(why)),
			 -EINVAL);
	json_decref(json);
}

static void words(void **state)
{
	static const struct {
		const char *word, *json;
	} good[] = {
		{"5", "5"},
		{"-5", "-5"},
		{"0x10", "\"0x10\""},
		{"18446744073709551615", "\"18446744073709551615\""},
		{"10.0.0.1", "\"10.0.0.1\""},
		{"RED", "\"RED\""},
		{"true", "true"},
		{"[1,2]", "[1,2]"},
		{"\"a=b\"", "\"a=b\""},
		{"{\"a\":1}", "{\"a\":1}"},
		{"a=1,b=x", "{\"a\":1,\"b\":\"x\"}"},
		{"a=[1,{\"b,\\\"\":2}],c=3",
		 "{\"a\":[1,{\"b,\\\"\":2}],\"c\":3}"},
		{"a.b.0=1,a.c=[2]", "{\"a\":{\"b\":{\"0\":1},\"c\":[2]}}"},
	};
	static const char *const bad[] = {
		"{\"a\":1",
		"[1,",
		"a=1,b",
		"=1",
		"a=1,a=2",
		"a=1,",
		"a=[1,b=2",
		"a=1,a.b=2",
		"a.b=1,a=2",
		"{\"a\":18446744073709551615}",
		"{\"a\":1,\"a\":2}",
		"a=\xff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		json_t *json = NULL, *want = json_of(good[i].json);

		assert_int_equal(
			value_word(good[i].word, &json, why, sizeof(why)), 0);
		if (!json_equal(json, want))
			fail_msg("%s is not %s", good[i].word, good[i].json);
		json_decref(json);
		json_decref(want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *json = NULL;

		if (value_word(bad[i], &json, why, sizeof(why)) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_null(json);
		assert_null(strchr(why, '\n'));
	}
}

static void type_names(void **state)
{
	char name[64];

	(void)state;
	shape_type_name(btf, (uint32_t)be64, name, sizeof(name));
	assert_string_equal(name, "__be64");
	shape_type_name(btf, (uint32_t)outer, name, sizeof(name));
	assert_string_equal(name, "struct outer");
	shape_type_name(btf, (uint32_t)matrix, name, sizeof(name));
	assert_string_equal(name, "unsigned char[2][2]");
	shape_type_name(btf, (uint32_t)color, name, sizeof(name));
	assert_string_equal(name, "enum color");
	shape_type_name(btf, (uint32_t)pointer, name, sizeof(name));
	assert_string_equal(name, "pointer");
	shape_type_name(btf, 9999, name, sizeof(name));
	assert_string_equal(name, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(integers_as_text),
		cmocka_unit_test(ranges),
		cmocka_unit_test(names),
		cmocka_unit_test(many_names),
		cmocka_unit_test(floats),
		cmocka_unit_test(network_order),
		cmocka_unit_test(two_words),
		cmocka_unit_test(by_name),
		cmocka_unit_test(texts),
		cmocka_unit_test(arrays),
		cmocka_unit_test(structs),
		cmocka_unit_test(bit_fields),
		cmocka_unit_test(sections),
		cmocka_unit_test(bytes),
		cmocka_unit_test(malformed),
		cmocka_unit_test(words),
		cmocka_unit_test(type_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
