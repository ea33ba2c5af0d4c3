/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"
#include "tests/unit/log_capture.h"

#define V1                                                                    \
	"Circuit ID,Circuit Name,Device ID,Device Name,Parent Node,MAC,IPv4," \
	"IPv6,Download Min Mbps,Upload Min Mbps,Download Max Mbps,"           \
	"Upload Max Mbps,Comment\n"

static struct core_network *network;
static struct core_shaped *shaped;

static int setup(void **state)
{
	static const char json[] =
		"{\"Site\": {\"downloadBandwidthMbps\": 0,"
		" \"uploadBandwidthMbps\": 0, \"children\": {\"AP_1\": {"
		" \"downloadBandwidthMbps\": 0, \"uploadBandwidthMbps\": 0}}}}";

	(void)state;
	log_capture();
	return core_network_parse(&network, "network.json", json, strlen(json));
}

static bool spaces; /* VLANs are told apart */

static int teardown(void **state)
{
	(void)state;
	core_shaped_free(&shaped);
	core_network_free(&network);
	spaces = false;
	return 0;
}

static int parse_bytes(const char *text, size_t len)
{
	/* Without a NUL behind it, so that a read past the end shows. */
	autofree char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	core_shaped_free(&shaped);
	log_capture();
	return core_shaped_parse(&shaped, "x.csv", copy, len, network, spaces);
}

static void parse(const char *text)
{
	assert_int_equal(parse_bytes(text, strlen(text)), 0);
}

static void expect_counts(uint32_t rows, uint32_t skipped, uint32_t warnings)
{
	if (shaped->problems.rows != rows ||
	    shaped->problems.skipped != skipped ||
	    shaped->problems.warnings != warnings)
		fail_msg("%u rows, %u skipped, %u warnings\n%s",
			 shaped->problems.rows, shaped->problems.skipped,
			 shaped->problems.warnings, captured.text);
	assert_int_equal(captured.lines, skipped + warnings);
}

static void expect_log(const char *text)
{
	if (!log_has(text))
		fail_msg("not \"%s\" but:\n%s", text, captured.text);
}

static const struct lqos_subscriber *circuit(const char *id)
{
	const struct core_shaped_circuit *c = core_shaped_circuit(shaped, id);

	if (!c)
		fail_msg("no circuit %s:\n%s", id, captured.text);
	return &c->s;
}

/* Whose is it? "": nobody's. */
static const char *owner(const char *range)
{
	const struct core_shaped_address *address;
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(range, &p, NULL, 0), 0);
	address = core_shaped_address(shaped, &p);
	return address ? address->circuit->s.circuit_id : "";
}

static const char *device(const char *range)
{
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(range, &p, NULL, 0), 0);
	return core_shaped_address(shaped, &p)->p.device_id;
}

/* ---- Formats ------------------------------------------------------------- */

static void v1_with_header(void **state)
{
	const struct lqos_subscriber *s;

	(void)state;
	parse(V1 "7,\"Jo, Flat 2\",D7,Router,AP_1,,"
		 "\"100.64.0.7, 100.64.1.0/24\",2001:db8:7::/56,"
		 "1.5,0.25,100,20,hello\n");
	expect_counts(1, 0, 0);
	s = circuit("7");
	assert_string_equal(s->name, "Jo, Flat 2");
	assert_int_equal(s->slot, 0);
	assert_int_equal(s->node, 2);
	assert_int_equal(s->cpu, UINT32_MAX);
	assert_int_equal(s->handle, 0);
	assert_int_equal(s->down_min, 1500000);
	assert_int_equal(s->up_min, 250000);
	assert_int_equal(s->down_max, 100000000);
	assert_int_equal(s->up_max, 20000000);
	assert_string_equal(owner("100.64.0.7"), "7");
	assert_string_equal(owner("100.64.1.0/24"), "7");
	assert_string_equal(owner("2001:db8:7::/56"), "7");
	assert_string_equal(device("100.64.0.7"), "D7");
}

static void forms_without_header(void **state)
{
	static const char *const rows[] = {
		/* v1.4: 13 columns, and with sqm */
		"7,Jo,D,R,AP_1,aa:bb,100.64.0.7,,1,1,9,8,note\n",
		"7,Jo,D,R,AP_1,,100.64.0.7,,1,1,9,8,\n",
		"7,Jo,D,R,AP_1,,100.64.0.7,,1,1,9,8\n",
		"7,Comment,D,R,AP_1,,100.64.0.7,,1,1,9,8\n",
		"7,Jo,D,R,AP_1,,100.64.0.7,,1,1,9,8,,cake\n",
		/* v2: 15 columns, and with sqm */
		"7,Jo,D,R,AP_1,pn,an,aa:bb,100.64.0.7,,1,1,9,8,note\n",
		"7,Jo,D,R,AP_1,,,,100.64.0.7,,1,1,9,8,\n",
		"7,Jo,D,R,AP_1,,,,100.64.0.7,,1,1,9,8,,cake/fq_codel\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		parse(rows[i]);
		expect_counts(1, 0, 0);
		assert_string_equal(owner("100.64.0.7"), "7");
		assert_int_equal(circuit("7")->node, 2);
		assert_int_equal(circuit("7")->down_max, 9000000);
		assert_int_equal(circuit("7")->up_max, 8000000);
	}
}

static void header_in_any_order(void **state)
{
	(void)state;
	parse(" upload max mbps ,IPV6,circuit id,Download Max,"
	      "\"Parent Node\",Colour\n"
	      "5,2001:db8::1,A,10,Site,red\n"
	      "6,2001:db8::2,B,11\n"
	      "7,2001:db8::3,C,12,Site,red,more\n");
	expect_counts(1, 2, 1);
	expect_log("x.csv:4:1: row left out: it has 7 cells");
	expect_log("x.csv:1:62: unknown column \"Colour\" is ignored");
	expect_log("x.csv:3:1: row left out: it has 4 cells");
	assert_int_equal(circuit("A")->up_max, 5000000);
	assert_int_equal(circuit("A")->down_max, 10000000);
	assert_int_equal(circuit("A")->down_min, 0);
	assert_int_equal(circuit("A")->node, 1);
	assert_string_equal(circuit("A")->name, "A");
	assert_string_equal(owner("2001:db8::1"), "A");
	assert_null(device("2001:db8::1"));
}

static void header_that_cannot_be_used(void **state)
{
	static const struct {
		const char *text;
		const char *log;
	} cases[] = {
		{"\n#c\nCircuit ID,IPv4,Download Max Mbps\n",
		 "x.csv:3:1: the header has no column Upload Max Mbps"},
		{"Circuit ID,Download Max Mbps,Upload Max Mbps\n",
		 "x.csv:1:1: the header has no column IPv4 or IPv6"},
		{"Circuit ID,IPv4,IPv4\n",
		 "x.csv:1:17: second column \"IPv4\""},
		{"\xff\xfe\x43\x00", "expected CSV in UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(parse_bytes(cases[i].text, strlen(cases[i].text)) <
			    0);
		assert_null(shaped);
		assert_int_equal(captured.lines, 1);
		expect_log(cases[i].log);
	}
}

static void nothing_in_it(void **state)
{
	static const char *const texts[] = {
		"", "\n\r\n", "# nobody", ",,,,\n", "\xef\xbb\xbf", V1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		parse(texts[i]);
		expect_counts(0, 0, 0);
		assert_true(STAILQ_EMPTY(&shaped->circuits));
	}
}

/* ---- CSV ----------------------------------------------------------------- */

static void quotes_and_line_ends(void **state)
{
	(void)state;
	parse("\xef\xbb\xbf" V1 "# \"a comment, with an open quote\n"
	      "\r\n"
	      "1 , \"say \"\"hi\"\"\", ,,,,100.64.0.1,,1,1,9,9,\"two\r\nlines\""
	      "\r\n"
	      "  # indented comment\r"
	      "\"2\"\t,\"new\nline\" ,,,,,\"100.64.0.2\",,1,1,9,9,\r"
	      "3,5\" pipe,,,,,100.64.0.3,,1,1,9,9,\n"
	      "\"#4\",,,,,,100.64.0.4,,1,1,9,9,");
	expect_counts(4, 0, 0);
	assert_string_equal(circuit("1")->name, "say \"hi\"");
	assert_string_equal(circuit("2")->name, "new line");
	assert_string_equal(circuit("3")->name, "5\" pipe");
	assert_string_equal(circuit("#4")->name, "#4");
	assert_int_equal(core_shaped_circuit(shaped, "1")->line, 4);
	assert_int_equal(core_shaped_circuit(shaped, "2")->line, 7);
	assert_int_equal(core_shaped_circuit(shaped, "#4")->line, 10);
}

static void open_quote_takes_no_other_row(void **state)
{
	(void)state;
	parse(V1 "1,\"open,,,,,100.64.0.1,,1,1,9,9,\n"
		 "2,\"fine\",,,,,100.64.0.2,,1,1,9,9,\n"
		 "3,fine,,,,,100.64.0.3,,1,1,9,9,\n"
		 "4,\"closed\"but,,,,,100.64.0.4,,1,1,9,9,\n"
		 "5,fine,,,,,100.64.0.5,,1,1,9,9,\n"
		 "6,fine,,,,,100.64.0.6,,1,1,9,9,\"open\n");
	expect_counts(3, 3, 0);
	expect_log("x.csv:2:3: row left out: this quote is not closed");
	expect_log("x.csv:5:3: row left out: this quote is not closed");
	expect_log("x.csv:7:32: row left out: this quote is not closed");
	assert_string_equal(owner("100.64.0.2"), "2");
	assert_string_equal(owner("100.64.0.3"), "3");
	assert_string_equal(owner("100.64.0.5"), "5");
}

static void a_cell_of_many_lines(void **state)
{
	autofree char *text = malloc(4096);

	(void)state;
	for (int lines = CORE_CSV_LINES; lines < CORE_CSV_LINES + 2; lines++) {
		char *at = stpcpy(text, V1 "1,\"");

		memset(at, '\n', lines);
		strcpy(at + lines, "\",,,,,192.0.2.1,,,,5,5,\n"
				   "2,,,,,,192.0.2.2,,,,5,5,\n");
		parse(text);
		assert_int_equal(shaped->problems.rows,
				 lines > CORE_CSV_LINES ? 1 : 2);
	}
	expect_log("x.csv:2:3: row left out: this quote is not closed");
}

/* Each row opens one that could be closed by any that follows. */
static void nothing_but_open_quotes(void **state)
{
	enum { ROWS = 200000 };
	static const char row[] = "b\",\"y\n";
	autofree char *text = malloc(ROWS * strlen(row) + 1);
	char *at = text;

	(void)state;
	for (int i = 0; i < ROWS; i++)
		at = stpcpy(at, row);
	parse(text);
	assert_int_equal(shaped->problems.skipped, ROWS);
}

static void commas_in_an_unquoted_comment(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,,,,100.64.0.1,,1,1,9,9,down, up, and more\n");
	expect_counts(1, 0, 1);
	expect_log("x.csv:2:1: 15 cells where 13 are known: quote a comment");
	assert_string_equal(owner("100.64.0.1"), "1");
}

static void unquoted_commas_elsewhere(void **state)
{
	(void)state;
	parse(V1 "1,Jo, Flat 2,D,R,AP_1,,100.64.0.1,,1,1,9,9,\n"
		 "2,Jo,D,R,AP_1,,100.64.0.2,100.64.0.3,,1,1,9,9,\n"
		 "3;Jo;D;R;AP_1;;100.64.0.3;;1;1;9;9;\n");
	expect_counts(0, 3, 0);
	expect_log("x.csv:2:24: row left out: IPv6: \"100.64.0.1\": expected "
		   "addresses of this family only (the row has a cell too "
		   "many: quote commas)");
	expect_log("x.csv:3:27: row left out: IPv6: \"100.64.0.3\"");
	expect_log("x.csv:4:1: row left out: it has 1 cells: expected as many "
		   "as the header, and quotes around a cell that has commas; "
		   "separate them with commas, not ;");
}

static void one_byte(void **state)
{
	(void)state;
	parse("x");
	expect_counts(0, 1, 0);
	expect_log("x.csv:1:1: row left out: it has 1 cells: expected 13 or "
		   "15");
}

static void foreign_text(void **state)
{
	static const char nul[] = "1,a\0b,,,,,100.64.0.1,,1,1,9,9,\n"
				  "2,Jos\xe9,,,,,100.64.0.2,,1,1,9,9,\n"
				  "3,Jos\xc3\xa9,,,,,x,,1,1,9,9,\n"
				  "4,\x1b[31m\tred,,,,,100.64.0.4,,1,1,9,9,\n";

	(void)state;
	assert_int_equal(parse_bytes(nul, sizeof(nul) - 1), 0);
	expect_counts(3, 1, 2);
	expect_log("x.csv:1:1: this row has NUL bytes, which became blanks: is "
		   "the file damaged?");
	assert_string_equal(circuit("1")->name, "a b");
	assert_string_equal(circuit("2")->name, "Jos?");
	assert_string_equal(circuit("4")->name, "[31m red");
	expect_log("x.csv:2:1: this is not UTF-8");
	expect_log("x.csv:3:12: row left out: IPv4: \"x\""); /* characters */
}

static void nul_in_any_cell(void **state)
{
	static const char text[] =
		"a\0,Jo,,,,,100.64.0.1\0,,1,1,9,9,\n"
		"b\0b,Al,,,,,100.64.0.2,,1,1,9,9\0,\n"
		"c,Cy,,,,,100.64\0.0.3,,1,1,9,9,\n"
		"d,Di,,,,,\"100.64.0.4\0,100.64.0.5\",,1,1,\0009,9,\n"
		"e,Ed,,,,,100.64.0.6,,1,1,9\0009,9,\n"
		"f,Fy,,,,,100.64.0.7,,1,1,9,9,\n";

	(void)state;
	assert_int_equal(parse_bytes(text, sizeof(text) - 1), 0);
	expect_counts(4, 2, 5);
	assert_string_equal(owner("100.64.0.1"), "a");
	assert_string_equal(owner("100.64.0.2"), "b b");
	assert_string_equal(owner("100.64.0.4"), "d");
	assert_string_equal(owner("100.64.0.5"), "d");
	assert_string_equal(owner("100.64.0.7"), "f");
	for (int line = 1; line <= 5; line++) {
		char expected[80];

		snprintf(expected, sizeof(expected),
			 "x.csv:%d:1: this row has NUL bytes", line);
		expect_log(expected);
	}
	expect_log("x.csv:3:10: row left out: IPv4: \"100.64 .0.3\" is no "
		   "address");
	expect_log("x.csv:5:26: row left out: Download Max Mbps: \"9 9\"");
}

/* #859 of LibreQoS: what was meant is a range. */
static void ipv6_without_a_length(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,,,,,2001:db8:1::,1,1,9,9,\n"
		 "2,Al,,,,,,\"2001:db8:2::1,2001:db8:2:1::\",1,1,9,9,\n"
		 "3,Cy,,,,,,2001:db8:3::/128,1,1,9,9,\n"
		 "4,Di,,,,,,2001:db8:4::/56,1,1,9,9,\n");
	expect_counts(4, 0, 2);
	expect_log("x.csv:2:11: IPv6: \"2001:db8:1::\" is one host without a "
		   "length: expected it as in 2001:db8:1::/56 for a range");
	expect_log("x.csv:3:11: IPv6: \"2001:db8:2:1::\" is one host");
	assert_string_equal(owner("2001:db8:1::/128"), "1");
	assert_string_equal(owner("2001:db8:1::/56"), "");
}

static void bad_rows_hold_their_circuit(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,,,,x,,1,1,9,9,\n"
		 "2,Al,,,,,100.64.0.2,,1,1,9,much,\n"
		 "3,\"Cy \"the\" man\",,,,,100.64.0.3,,1,1,9,9,\n"
		 "4,Di\n"
		 ",,,,,,100.64.0.5,,1,1,9,9,\n"
		 "6,Fy,,,,,100.64.0.6,,1,1,9,9,\n"
		 "6,Fy,,,,,100.64.0,,1,1,9,9,\n");
	expect_counts(1, 6, 0);
	assert_true(core_shaped_holds(shaped, "1"));
	assert_true(core_shaped_holds(shaped, "2"));
	assert_true(core_shaped_holds(shaped, "3"));
	assert_true(core_shaped_holds(shaped, "4"));
	assert_true(core_shaped_holds(shaped, "6"));
	assert_false(core_shaped_holds(shaped, ""));
	assert_false(core_shaped_holds(shaped, "7"));
}

static void addresses_in_vlans(void **state)
{
	static const char *const text =
		V1 "1,Jo,,,,,100.64.0.1%200,2001:db8::%200/56,1,1,9,9,\n"
		   "2,Al,,,,,\"100.64.0.1,100.64.0.1%201\",,1,1,9,9,\n";

	(void)state;
	parse(text);
	expect_counts(0, 2, 0);
	expect_log("x.csv:2:10: row left out: IPv4: \"100.64.0.1%200\" is in "
		   "VLAN 200: expected an address without one, or "
		   "address_spaces = yes in [lqosd]");
	spaces = true;
	parse(text);
	expect_counts(2, 0, 0);
	assert_string_equal(owner("100.64.0.1%200"), "1");
	assert_string_equal(owner("2001:db8::%200/56"), "1");
	assert_string_equal(owner("100.64.0.1%201"), "2");
	assert_string_equal(owner("100.64.0.1"), "2");
	assert_string_equal(owner("100.64.0.1%202"), "");
}

static void more_cells_than_fit(void **state)
{
	char text[4096];
	size_t len;

	(void)state;
	strcpy(text, V1 "1,Jo,,,,,100.64.0.1,,1,1,9,9,");
	len = strlen(text);
	memset(text + len, ',', 2000);
	strcpy(text + len + 2000, "x\n");
	parse(text);
	expect_counts(1, 0, 1);
	assert_string_equal(owner("100.64.0.1"), "1");
}

/* ---- Values -------------------------------------------------------------- */

static void bad_values(void **state)
{
	static const struct {
		const char *row;
		const char *log;
	} cases[] = {
		{",Jo,,,,,100.64.0.1,,1,1,9,9,",
		 "x.csv:2:1: row left out: Circuit ID: expected an id"},
		{"1,Jo,,,,,100.64.0.1/24,,1,1,9,9,",
		 "x.csv:2:10: row left out: IPv4: \"100.64.0.1/24\" has bits "
		 "set after its length: expected 100.64.0.0/24"},
		{"1,Jo,,,,,\"100.64.0.1, nonsense\",,1,1,9,9,",
		 "x.csv:2:10: row left out: IPv4: \"nonsense\" is no address"},
		{"1,Jo,,,,,2001:db8::1,,1,1,9,9,", "x.csv:2:10: row left out: "
						   "IPv4: \"2001:db8::1\""},
		{"1,Jo,,,,,,::ffff:100.64.0.1,1,1,9,9,",
		 "x.csv:2:11: row left out: IPv6: \"::ffff:100.64.0.1\" is "
		 "IPv4 written as IPv6: expected it as IPv4, like 100.64.0.1"},
		{"1,Jo,,,,,100.64.0.1,,1,1,,9,",
		 "x.csv:2:26: row left out: Download Max Mbps: \"\": expected "
		 "Mbit/s above 0, to 10000000, such as 25 or 2.5"},
		{"1,Jo,,,,,100.64.0.1,,1,1,0,9,", "Download Max Mbps: \"0\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,9,-9,", "Upload Max Mbps: \"-9\""},
		{"1,Jo,,,,,100.64.0.1,,-1,1,9,9,",
		 "Download Min Mbps: \"-1\": expected Mbit/s from 0 to "
		 "10000000"},
		{"1,Jo,,,,,100.64.0.1,,1,fast,9,9,",
		 "x.csv:2:24: row left out: Upload Min Mbps: \"fast\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,1e3,9,", "\"1e3\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,nan,9,", "\"nan\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,0x10,9,", "\"0x10\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,1.2.3,9,", "\"1.2.3\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,.,9,", "\".\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,\"9,5\",9,", "\"9,5\""},
		{"1,Jo,,,,,100.64.0.1,,1,1,10000001,9,", "\"10000001\""},
		{"1,Jo,,,,,100.64.0.1,,50,1,20,9,",
		 "x.csv:2:22: row left out: Download Min Mbps: 50 is above "
		 "Download Max Mbps, which is 20: expected at most that"},
		{"1,Jo,,,,,100.64.0.1,,1,9.5,20,9,",
		 "Upload Min Mbps: 9.5 is above Upload Max Mbps"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[1024];

		snprintf(text, sizeof(text),
			 V1 "%s\n2,Jo,,,,,100.64.0.2,,1,1,9,9,\n",
			 cases[i].row);
		parse(text);
		expect_counts(1, 1, 0);
		expect_log(cases[i].log);
		assert_int_equal(captured.level, LQOS_ERR);
		assert_string_equal(owner("100.64.0.1"), "");
		assert_string_equal(owner("100.64.0.2"), "2");
	}
}

static void rates_at_their_limits(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,,,,100.64.0.1,,,,10000000,0.000001,\n"
		 "2,Jo,,,,,100.64.0.2,,.5,5.,5,5,\n");
	expect_counts(2, 0, 0);
	assert_int_equal(circuit("1")->down_max, 10000000000000);
	assert_int_equal(circuit("1")->up_max, 1);
	assert_int_equal(circuit("2")->down_min, 500000);
	assert_int_equal(circuit("2")->up_min, 5000000);
}

static void several_devices(void **state)
{
	const struct core_shaped_circuit *c;

	(void)state;
	parse(V1 "1,Jo,A,,AP_1,,100.64.0.1,,1,1,9,9,\n"
		 "2,Al,A,,,,100.64.0.9,,1,1,9,9,\n"
		 "1,Jo,B,,AP_1,,100.64.0.2,,1,1,9,9,\n"
		 "1,Jo,C,,AP_1,,100.64.0.3,,1,1,90,9,\n"
		 "1,Jo,D,,Site,,100.64.0.4,,1,1,9,9,\n");
	expect_counts(5, 0, 2);
	expect_log("x.csv:5:1: rates of circuit \"1\" differ from line 2, "
		   "which is the one that counts");
	expect_log("x.csv:6:1: parents of circuit \"1\" differ from line 2");
	c = STAILQ_FIRST(&shaped->circuits);
	assert_string_equal(c->s.circuit_id, "1");
	assert_int_equal(c->rows, 4);
	assert_int_equal(c->s.down_max, 9000000);
	assert_int_equal(c->s.node, 2);
	assert_string_equal(STAILQ_NEXT(c, next)->s.circuit_id, "2");
	assert_null(STAILQ_NEXT(STAILQ_NEXT(c, next), next));
	assert_string_equal(device("100.64.0.1"), "A");
	assert_string_equal(device("100.64.0.4"), "D");
}

static void same_address_twice(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,,,,100.64.0.1,,1,1,9,9,\n"
		 "2,Al,,,,,\"100.64.0.2,100.64.0.1\",,1,1,9,9,\n"
		 "3,Bo,,,,,\"100.64.0.3,100.64.0.3/32\",,1,1,9,9,\n"
		 "4,Cy,,,,,100.64.0.0/30,,1,1,9,9,\n");
	expect_counts(4, 0, 2);
	expect_log("x.csv:3:10: address 100.64.0.1 of circuit \"2\" left out: "
		   "circuit \"1\" has it already at x.csv:2");
	expect_log("x.csv:4:10: address 100.64.0.3 of circuit \"3\" left out: "
		   "circuit \"3\" has it already at x.csv:4");
	assert_string_equal(owner("100.64.0.1"), "1");
	assert_string_equal(owner("100.64.0.2"), "2");
	assert_string_equal(owner("100.64.0.0/30"), "4");
}

static void parents(void **state)
{
	(void)state;
	parse(V1 "1,Jo,,, Site ,,100.64.0.1,,1,1,9,9,\n"
		 "2,Jo,,,AP_7,,100.64.0.2,,1,1,9,9,\n"
		 "3,Jo,,,none,,100.64.0.3,,1,1,9,9,\n"
		 "4,Jo,,,,,,,1,1,9,9,\n");
	expect_counts(4, 0, 2);
	assert_int_equal(circuit("1")->node, 1);
	assert_int_equal(circuit("2")->node, 0);
	assert_int_equal(circuit("3")->node, 0);
	expect_log("x.csv:3:8: Parent Node: \"AP_7\" is not in network.json: "
		   "the circuit hangs at the root");
	expect_log("x.csv:5:1: circuit \"4\": this row has neither IPv4 nor");

	/* A flat network has no parents to name. */
	core_network_free(&network);
	assert_int_equal(core_network_read(&network, NULL), 0);
	parse(V1 "2,Jo,,,AP_7,,100.64.0.2,,1,1,9,9,\n");
	expect_counts(1, 0, 0);
}

static void flood_of_problems_is_counted(void **state)
{
	autofree char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	fputs(V1, f);
	for (int i = 0; i < 2 * CORE_PROBLEM_LINES; i++)
		fputs("1,Jo,,,,,bad,,1,1,9,9,\n", f);
	fclose(f);
	parse(text);
	assert_int_equal(shaped->problems.skipped, 2 * CORE_PROBLEM_LINES);
	assert_int_equal(captured.lines, CORE_PROBLEM_LINES);
}

/* ---- Files --------------------------------------------------------------- */

static void unreadable_file(void **state)
{
	(void)state;
	assert_int_equal(
		core_shaped_read(&shaped, "/nowhere/x.csv", network, false),
		-ENOENT);
	assert_null(shaped);
	expect_log("cannot read shaped_devices /nowhere/x.csv");
	assert_int_equal(core_shaped_read(&shaped, "/", network, false),
			 -EISDIR);
	assert_int_equal(core_shaped_read(&shaped, NULL, network, false), 0);
	assert_true(STAILQ_EMPTY(&shaped->circuits));
}

/* A pipe does not tell its size. */
static void file_of_unknown_size(void **state)
{
	char path[64];
	char *text;
	size_t len;
	int fd[2];

	(void)state;
	assert_int_equal(core_file_read("/proc/self/cmdline", &text, &len), 0);
	assert_true(len > 0);
	free(text);
	/* Nothing that could make us wait is read. */
	assert_int_equal(pipe(fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[0]);
	assert_int_equal(core_file_read(path, &text, &len), -EINVAL);
	assert_int_equal(core_file_read("/dev/zero", &text, &len), -EINVAL);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(v1_with_header),
		TEST(forms_without_header),
		TEST(header_in_any_order),
		TEST(header_that_cannot_be_used),
		TEST(nothing_in_it),
		TEST(quotes_and_line_ends),
		TEST(open_quote_takes_no_other_row),
		TEST(a_cell_of_many_lines),
		TEST(nothing_but_open_quotes),
		TEST(commas_in_an_unquoted_comment),
		TEST(unquoted_commas_elsewhere),
		TEST(one_byte),
		TEST(foreign_text),
		TEST(more_cells_than_fit),
		TEST(nul_in_any_cell),
		TEST(ipv6_without_a_length),
		TEST(bad_rows_hold_their_circuit),
		TEST(addresses_in_vlans),
		TEST(bad_values),
		TEST(rates_at_their_limits),
		TEST(several_devices),
		TEST(same_address_twice),
		TEST(parents),
		TEST(flood_of_problems_is_counted),
		TEST(unreadable_file),
		TEST(file_of_unknown_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
