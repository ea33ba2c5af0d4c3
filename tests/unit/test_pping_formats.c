/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl pping, byte for byte, against a bus that is played.
 */
#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
int pping_main(int argc, char **argv);
#define main pping_main
#include "modules/pping/command.c"
#undef main

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/script_bench.h"

/* ---- What a daemon sent -------------------------------------------------- */

#define SUBSCRIBED "\"result\":{\"subscription\":1,\"schema\":1}"
#define FRAME(topic, dropped, columns, rows, lost)                    \
	"{\"jsonrpc\":\"2.0\",\"method\":\"feed.frame\",\"params\":{" \
	"\"subscription\":1,\"topic\":\"" topic                       \
	"\",\"schema\":1,\"seq\":7,\"ts\":1,\"dropped\":" #dropped    \
	",\"data\":{\"columns\":[" columns "],\"rows\":[" rows        \
	"],\"lost\":" #lost "}}}"

#define SAMPLE_COLUMNS                                                      \
	"\"timestamp_ns\",\"side\",\"rtt_ns\",\"min_rtt_ns\",\"protocol\"," \
	"\"src_ip\",\"src_port\",\"dest_ip\",\"dest_port\",\"kind\","       \
	"\"circuit_id\",\"sent_packets\",\"sent_bytes\",\"rec_packets\","   \
	"\"rec_bytes\",\"egress\",\"inexact\""
#define FLOW_COLUMNS                                              \
	"\"timestamp_ns\",\"event\",\"reason\",\"triggered_by\"," \
	"\"protocol\",\"src_ip\",\"src_port\",\"dest_ip\",\"dest_port\""

#define V4                                                              \
	"[1623420837244545007,\"access\",5425439,5261430,\"TCP\","      \
	"\"10.11.1.1\",5201,\"10.11.1.2\",59528,\"ack\",\"1001\",9393," \
	"492457296,5922,37,false,false]"
#define V6                                                               \
	"[1623420838000000000,\"internet\",1000000000,30000012,\"UDP\"," \
	"\"2001:db8::1\",443,\"2001:db8:1:2::3\",50000,\"quic\","        \
	"\"a\\\"b\\\\c\\u0001/\\u00e9\",2,1200,1,1200,true,true]"
#define PING                                                                  \
	"[1623420838123456789,\"internet\",999,999,\"ICMP\",\"192.0.2.9\",7," \
	"\"100.64.0.1\",7,\"icmp\",\"\",1,56,1,56,false,false]"
#define PING6                                                                 \
	"[1623420838123456790,\"access\",123456789,1,\"ICMPv6\",\"fe80::1\"," \
	"0,\"::\",0,\"icmp\",\"\",0,0,0,0,false,false]"
#define OPENING                                                          \
	"[1623420837000000000,\"opening\",\"SYN-ACK\",\"dest\",\"TCP\"," \
	"\"10.11.1.1\",5201,\"10.11.1.2\",59528]"
#define CLOSING                                                                \
	"[1623420899000000001,\"closing\",\"flow timeout\","                   \
	"\"garbage collection\",\"ICMPv6\",\"2001:db8::1\",1,\"2001:db8::2\"," \
	"1]"

#define SAMPLES(rows) FRAME(PPING_SAMPLES, 0, SAMPLE_COLUMNS, rows, 0)
#define FLOWS(rows)   FRAME(PPING_FLOWS, 0, FLOW_COLUMNS, rows, 0)

static const char *const consent[] = {SUBSCRIBED, SUBSCRIBED, NULL};
static const char *const one_consent[] = {SUBSCRIBED, NULL};
static const char *const day[] = {
	FLOWS(OPENING),		 SAMPLES(V4 "," V6), SAMPLES(""),
	SAMPLES(PING "," PING6), FLOWS(CLOSING),     NULL,
};

/* ---- Running it ---------------------------------------------------------- */

#define WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Until the daemon goes away. */
static int run_words(struct script *s, const char *const *answers,
		     const char *const *lines, const char *const *words)
{
	s->answers = answers;
	s->lines = lines;
	script_start(s);
	return script_wait(s,
			   script_spawn(s, pping_main, "lqosctl pping", words));
}

static void formats(struct script *s, const char *const *answers,
		    const char *format, const char *expected)
{
	int rc = run_words(s, answers, day, WORDS("--format", format));

	assert_string_equal(err, "lqosctl: lqosd went away\n");
	assert_string_equal(out, expected);
	assert_int_equal(rc, 1);
}

/* ---- Formats ------------------------------------------------------------- */

static void standard(void **state)
{
	setenv("TZ", "XXX-03:30", 1);
	formats(*state, consent, "standard",
		"17:43:57.000000000 TCP 10.11.1.1:5201+10.11.1.2:59528 "
		"opening due to SYN-ACK from dest\n"
		"17:43:57.244545007 5.42544 ms 5.26143 ms TCP "
		"10.11.1.1:5201+10.11.1.2:59528\n"
		"17:43:58.000000000 1000 ms 30 ms UDP "
		"2001:db8::1:443+2001:db8:1:2::3:50000\n"
		"17:43:58.123456789 0.000999 ms 0.000999 ms ICMP "
		"192.0.2.9:7+100.64.0.1:7\n"
		"17:43:58.123456790 123.457 ms 1e-06 ms ICMPv6 "
		"fe80::1:0+:::0\n"
		"17:44:59.000000001 ICMPv6 2001:db8::1:1+2001:db8::2:1 "
		"closing due to flow timeout from garbage collection\n");
	setenv("TZ", "UTC", 1);
}

static void ppviz(void **state)
{
	formats(*state, one_consent, "ppviz",
		"1623420837.244545007 0.005425439 0.005261430 "
		"10.11.1.1:5201+10.11.1.2:59528\n"
		"1623420838.000000000 1.000000000 0.030000012 "
		"2001:db8::1:443+2001:db8:1:2::3:50000\n"
		"1623420838.123456789 0.000000999 0.000000999 "
		"192.0.2.9:7+100.64.0.1:7\n"
		"1623420838.123456790 0.123456789 0.000000001 "
		"fe80::1:0+:::0\n");
	/* Flows that open or close are of no use to it. */
	assert_null(strstr(heard, PPING_FLOWS));
}

#define OPENING_JSON                                                       \
	"{\"timestamp\":1623420837000000000,\"src_ip\":\"10.11.1.1\","     \
	"\"src_port\":5201,\"dest_ip\":\"10.11.1.2\",\"dest_port\":59528," \
	"\"protocol\":\"TCP\",\"flow_event\":\"opening\","                 \
	"\"reason\":\"SYN-ACK\",\"triggered_by\":\"dest\"}"
#define V4_JSON                                                            \
	"{\"timestamp\":1623420837244545007,\"src_ip\":\"10.11.1.1\","     \
	"\"src_port\":5201,\"dest_ip\":\"10.11.1.2\",\"dest_port\":59528," \
	"\"protocol\":\"TCP\",\"rtt\":5425439,\"min_rtt\":5261430,"        \
	"\"sent_packets\":9393,\"sent_bytes\":492457296,"                  \
	"\"rec_packets\":5922,\"rec_bytes\":37,\"match_on_egress\":false"
#define V6_JSON                                                          \
	"{\"timestamp\":1623420838000000000,\"src_ip\":\"2001:db8::1\"," \
	"\"src_port\":443,\"dest_ip\":\"2001:db8:1:2::3\","              \
	"\"dest_port\":50000,\"protocol\":\"UDP\",\"rtt\":1000000000,"   \
	"\"min_rtt\":30000012,\"sent_packets\":2,\"sent_bytes\":1200,"   \
	"\"rec_packets\":1,\"rec_bytes\":1200,\"match_on_egress\":true"
#define PING_JSON                                                      \
	"{\"timestamp\":1623420838123456789,\"src_ip\":\"192.0.2.9\"," \
	"\"src_port\":7,\"dest_ip\":\"100.64.0.1\",\"dest_port\":7,"   \
	"\"protocol\":\"ICMP\",\"rtt\":999,\"min_rtt\":999,"           \
	"\"sent_packets\":1,\"sent_bytes\":56,\"rec_packets\":1,"      \
	"\"rec_bytes\":56,\"match_on_egress\":false}"
#define PING6_JSON                                                   \
	"{\"timestamp\":1623420838123456790,\"src_ip\":\"fe80::1\"," \
	"\"src_port\":0,\"dest_ip\":\"::\",\"dest_port\":0,"         \
	"\"protocol\":\"ICMPv6\",\"rtt\":123456789,\"min_rtt\":1,"   \
	"\"sent_packets\":0,\"sent_bytes\":0,\"rec_packets\":0,"     \
	"\"rec_bytes\":0,\"match_on_egress\":false}"
#define CLOSING_JSON                                                     \
	"{\"timestamp\":1623420899000000001,\"src_ip\":\"2001:db8::1\"," \
	"\"src_port\":1,\"dest_ip\":\"2001:db8::2\",\"dest_port\":1,"    \
	"\"protocol\":\"ICMPv6\",\"flow_event\":\"closing\","            \
	"\"reason\":\"flow timeout\","                                   \
	"\"triggered_by\":\"garbage collection\"}"

static void json(void **state)
{
	json_t *all;

	formats(*state, consent, "json",
		"[" OPENING_JSON "," V4_JSON "}," V6_JSON "}," PING_JSON
		"," PING6_JSON "," CLOSING_JSON "]\n");
	all = json_loads(out, 0, NULL);
	assert_int_equal(json_array_size(all), 6);
	json_decref(all);
}

static void jsonl(void **state)
{
	formats(*state, consent, "jsonl",
		OPENING_JSON "\n" V4_JSON "}\n" V6_JSON "}\n" PING_JSON
			     "\n" PING6_JSON "\n" CLOSING_JSON "\n");
}

static void more_than_epping_has(void **state)
{
	const char *const lines[] = {SAMPLES(V4 "," V6), NULL};

	assert_int_equal(run_words(*state, consent, lines, WORDS("-jv")), 1);
	assert_string_equal(
		out, "[" V4_JSON ",\"circuit_id\":\"1001\",\"side\":\"access\","
		     "\"kind\":\"ack\",\"inexact\":false}," V6_JSON
		     ",\"circuit_id\":\"a\\\"b\\\\c\\u0001/\xc3\xa9\",\"side\":"
		     "\"internet\",\"kind\":\"quic\",\"inexact\":true}]\n");
}

/* A newer daemon's columns may be in another order, and more. */
static void columns_by_name(void **state)
{
	const char *const lines[] = {
		FRAME(PPING_FLOWS, 0,
		      "\"new\",\"dest_port\",\"dest_ip\",\"src_port\","
		      "\"src_ip\",\"protocol\",\"triggered_by\",\"reason\","
		      "\"event\",\"timestamp_ns\"",
		      "[null,59528,\"10.11.1.2\",5201,\"10.11.1.1\",\"TCP\","
		      "\"dest\",\"SYN-ACK\",\"opening\",1623420837000000000]",
		      0),
		NULL,
	};

	run_words(*state, consent, lines, WORDS("-F", "jsonl"));
	assert_string_equal(out, OPENING_JSON "\n");
}

static void other_frames(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{FRAME(PPING_SAMPLES, 0, FLOW_COLUMNS, "", 0),
		 "pping.samples: there is no column rtt_ns"},
		{"{\"method\":\"feed.frame\",\"params\":{\"topic\":"
		 "\"pping.flows\",\"data\":{}}}",
		 "pping.flows: there are no rows"},
		{FLOWS("[-1,\"opening\",\"FIN\",\"src\",\"TCP\",\"::\",1,"
		       "\"::\",1]"),
		 "pping.flows: a strange timestamp_ns in a row"},
		{SAMPLES("[1]"), "pping.samples: a strange protocol in a row"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const lines[] = {"{\"method\":\"other\"}",
					     cases[i].line, NULL};

		assert_int_equal(run_words(*state, consent, lines, WORDS("-j")),
				 1);
		assert_string_equal(out, "[]\n");
		if (!strstr(err, cases[i].why))
			fail_msg("\"%s\" is not in: %s", cases[i].why, err);
	}
}

static void losses(void **state)
{
	const char *const lines[] = {
		FRAME(PPING_SAMPLES, 0, SAMPLE_COLUMNS, PING, 12),
		FRAME(PPING_SAMPLES, 3, SAMPLE_COLUMNS, "", 0),
		FRAME(PPING_FLOWS, 1, FLOW_COLUMNS, "", 2),
		NULL,
	};

	run_words(*state, consent, lines, WORDS("-F", "jsonl"));
	assert_string_equal(out, PING_JSON "\n");
	assert_string_equal(
		err, "lqosctl: 12 samples were lost: more came than lqosd "
		     "could take\n"
		     "lqosctl: 3 frames of pping.samples were lost: they were "
		     "not read fast enough\n"
		     "lqosctl: 2 flow events were lost: more came than lqosd "
		     "could take\n"
		     "lqosctl: 1 frames of pping.flows were lost: they were "
		     "not read fast enough\n"
		     "lqosctl: lqosd went away\n");
}

static void traffic(void **state)
{
#define TRAFFIC_COLUMNS                                         \
	"\"network\",\"protocol\",\"rx_packets\",\"rx_bytes\"," \
	"\"tx_packets\",\"tx_bytes\""
	const char *const lines[] = {
		FRAME(PPING_TRAFFIC, 0, TRAFFIC_COLUMNS,
		      "[\"192.0.0.0\",\"UDP\",3,300,4,400]", 0),
		NULL,
	};

	run_words(*state, consent, lines,
		  WORDS("-F", "jsonl", "-a", "9", "-4", "20", "side=access"));
	assert_non_null(strstr(out,
			       "\"ip_prefix\":\"192.0.0.0/20\",\"rx_stats\":{"
			       "\"other\":{\"packets\":3,\"bytes\":300}},"
			       "\"tx_stats\":{\"other\":{\"packets\":4,"
			       "\"bytes\":400}}}\n"));
	assert_non_null(strstr(out, "{\"UDP\":{\"packets\":3,\"bytes\":300}}"));
	/* Traffic is of no side. */
	assert_non_null(strstr(heard,
			       "\"topic\":\"pping.traffic\",\"params\":{"
			       "\"ipv4_prefix\":20,\"ipv6_prefix\":48}"));
}

/* ---- Ends ---------------------------------------------------------------- */

static void nothing_at_all(void **state)
{
	struct script *s = *state;

	s->stays = true;
	assert_int_equal(
		run_words(s, consent, NULL, WORDS("-j", "--seconds=1")), 0);
	assert_string_equal(out, "[]\n");
	assert_string_equal(err, "");
}

static void signals(void **state)
{
	static const int ends[] = {SIGINT, SIGTERM};
	struct script *s = *state;
	pid_t pid;

	s->stays = true;
	s->answers = consent;
	s->lines = day;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		script_start(s);
		pid = script_spawn(s, pping_main, "lqosctl pping",
				   WORDS("--format=json"));
		script_wait_for(s->out, 1200);
		kill(pid, ends[i]);
		assert_int_equal(script_wait(s, pid), 0);
		assert_string_equal(err, "");
		assert_string_equal(out, "[" OPENING_JSON "," V4_JSON
					 "}," V6_JSON "}," PING_JSON
					 "," PING6_JSON "," CLOSING_JSON "]\n");
	}
}

static void the_module_stops(void **state)
{
	const char *const lines[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"feed.end\",\"params\":{"
		"\"subscription\":1,\"topic\":\"pping.flows\",\"reason\":"
		"\"the module that sends this topic was stopped\"}}",
		NULL,
	};

	assert_int_equal(run_words(*state, consent, lines, WORDS("-j")), 1);
	assert_string_equal(out, "[]\n");
	assert_string_equal(err, "lqosctl: the module that sends this topic "
				 "was stopped\n");
}

static void refusals(void **state)
{
	struct script *s = *state;
	const char *const no_topic[] = {
		"\"error\":{\"code\":-32000,\"message\":\"no topic "
		"\\\"pping.flows\\\": feed.topics lists those\"}",
		NULL};
	const char *const bad_ip[] = {
		"\"error\":{\"code\":-32000,\"message\":\"bad ip\"}", NULL};

	assert_int_equal(run_words(s, no_topic, NULL, WORDS("-j")), 1);
	assert_string_equal(out, "[]\n");
	assert_string_equal(err, "lqosctl: lqosd runs without its module "
				 "pping: add it to modules in lqos.ini\n");
	assert_int_equal(run_words(s, bad_ip, NULL, WORDS("ip=x")), 1);
	assert_string_equal(out, "");
	assert_string_equal(err, "lqosctl: bad ip\n");
	/* Nobody listens. */
	assert_int_equal(
		script_wait(s, script_spawn(s, pping_main, "lqosctl pping",
					    WORDS("-j"))),
		1);
	assert_string_equal(out, "[]\n");
	assert_non_null(strstr(err, "lqosctl: no lqosd listens on "));
}

/* ---- Files --------------------------------------------------------------- */

static void read_file(const char *path, char *to, size_t size)
{
	script_read(path, to, size);
	unlink(path);
}

static void a_file_grows(void **state)
{
	const char *const lines[] = {SAMPLES(PING), NULL};
	struct script *s = *state;
	char path[96], text[4096];

	snprintf(path, sizeof(path), "%s/rtts", s->dir);
	for (int i = 0; i < 2; i++) {
		run_words(s, consent, lines,
			  WORDS("--format=jsonl", "--write", path));
		assert_string_equal(out, "");
	}
	read_file(path, text, sizeof(text));
	assert_string_equal(text, PING_JSON "\n" PING_JSON "\n");
}

static void an_array_has_a_file_to_itself(void **state)
{
	const char *const lines[] = {SAMPLES(PING), NULL};
	struct script *s = *state;
	char path[96], text[4096];

	snprintf(path, sizeof(path), "%s/rtts", s->dir);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			run_words(s, consent, lines, WORDS("-j", "-w", path)),
			1);
		assert_string_equal(out, "");
	}
	assert_non_null(strstr(err, "lqosctl: cannot open /tmp/lqos-script-"));
	assert_non_null(strstr(err, "/rtts: File exists\n"));
	read_file(path, text, sizeof(text));
	assert_string_equal(text, "[" PING_JSON "]\n");
	/* What could not even begin leaves no file. */
	assert_int_equal(
		script_wait(s, script_spawn(s, pping_main, "lqosctl pping",
					    WORDS("-j", "-w", path))),
		1);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void hanging_up(void **state)
{
	struct script *s = *state;
	char path[96], moved[96], text[8192];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/rtts", s->dir);
	snprintf(moved, sizeof(moved), "%s/rtts.1", s->dir);
	s->answers = consent;
	s->lines = day;
	s->stays = true;
	script_start(s);
	pid = script_spawn(s, pping_main, "lqosctl pping",
			   WORDS("-j", "-w", path));
	script_wait_for(path, 1200);
	/* While it is still there the old one is kept. */
	kill(pid, SIGHUP);
	script_wait_for(s->err, 10);
	assert_int_equal(rename(path, moved), 0);
	kill(pid, SIGHUP);
	script_wait_for(path, 0);
	kill(pid, SIGINT);
	assert_int_equal(script_wait(s, pid), 0);
	assert_non_null(strstr(err, "anew: File exists\n"));
	read_file(moved, text, sizeof(text));
	assert_string_equal(text, "[" OPENING_JSON "," V4_JSON "}," V6_JSON
				  "}," PING_JSON "," PING6_JSON "," CLOSING_JSON
				  "]\n");
	read_file(path, text, sizeof(text));
	assert_string_equal(text, "[]\n");
}

static void a_full_disk(void **state)
{
	const char *const lines[] = {SAMPLES(PING), NULL};
	struct script *s = *state;

	s->stays = true;
	assert_int_equal(run_words(s, consent, lines,
				   WORDS("-F", "jsonl", "-w", "/dev/full")),
			 1);
	assert_string_equal(err, "lqosctl: cannot write to /dev/full: No space "
				 "left on device\n");
}

#define NOBODYS                                                              \
	"{\"jsonrpc\":\"2.0\",\"method\":\"feed.frame\",\"params\":{"        \
	"\"topic\":\"pping.samples\",\"data\":{\"columns\":[" SAMPLE_COLUMNS \
	"],\"rows\":[],\"circuit_known\":false}}}"

static void nobodys_circuit(void **state)
{
	const char *const lines[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"feed.frame\",\"params\":{"
		"\"topic\":\"pping.samples\",\"data\":{\"columns\":"
		"[" SAMPLE_COLUMNS "],\"rows\":[],\"circuit_known\":true}}}",
		NOBODYS, NOBODYS, NULL};

	run_words(*state, consent, lines, WORDS("circuit=9999", "-Fjsonl"));
	assert_string_equal(
		err, "lqosctl: circuit 9999: no subscriber has that id, so "
		     "there is nothing to print before one does: is it in the "
		     "file of shaped_devices?\n"
		     "lqosctl: lqosd went away\n");
}

/* ---- The command line ---------------------------------------------------- */

static void filters_are_passed_on(void **state)
{
	run_words(*state, consent, NULL,
		  WORDS("ip=192.0.2.0/24", "-F", "jsonl", "circuit=a=b \"c\"",
			"proto=quic"));
	assert_string_equal(
		heard,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"feed.subscribe\","
		"\"params\":{\"topic\":\"pping.flows\",\"params\":{\"ip\":"
		"\"192.0.2.0/24\",\"circuit\":\"a=b \\\"c\\\"\","
		"\"protocol\":\"quic\"}}}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"feed.subscribe\","
		"\"params\":{\"topic\":\"pping.samples\",\"params\":{\"ip\":"
		"\"192.0.2.0/24\",\"circuit\":\"a=b \\\"c\\\"\","
		"\"protocol\":\"quic\"}}}\n");
	/* A flow is of no side. */
	run_words(*state, one_consent, NULL,
		  WORDS("side=access", "-F", "jsonl"));
	assert_string_equal(
		heard,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"feed.subscribe\","
		"\"params\":{\"topic\":\"pping.samples\",\"params\":"
		"{\"side\":\"access\"}}}\n");
	run_words(*state, consent, NULL, WORDS("-F", "jsonl"));
	assert_non_null(
		strstr(heard, "\"params\":{\"topic\":\"pping.flows\"}}\n"));
}

static void wrong_usage(void **state)
{
	static const char *const wrong[][3] = {
		{"--format=xml", NULL, "expected standard, json, jsonl or"},
		{"-Fppviz", "-a1", "ppviz format does not support aggregated"},
		{"-a0", NULL, "--aggregate 0: expected a number from 1 to"},
		{"-a", "1s", "--aggregate 1s: expected a number"},
		{"-4", "33", "-4 33: expected a number from 0 to 32"},
		{"-6-1", NULL, "-6 -1: expected a number from 0 to 64"},
		{"--seconds", "", "--seconds : expected a number from 1 to"},
		{"word", NULL, "\"word\": expected ip=, circuit=, side="},
		{"port=1", NULL, "\"port=1\": expected ip=, circuit=, side="},
		{"side=lan", NULL, "\"side=lan\": expected access or internet"},
		{"proto=udp", NULL, "expected tcp, icmp, dns or quic"},
		{"circuit=", NULL, "expected the id of a circuit"},
		{"ip=::", "ip=::1", "pping: ip is given twice"},
		{"circuit=\xff", NULL, "not UTF-8"},
		{"-x", NULL, "lqosctl pping: invalid option -- 'x'"},
	};
	struct script *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		pid_t pid = script_spawn(s, pping_main, "lqosctl pping",
					 WORDS(wrong[i][0], wrong[i][1]));

		assert_int_equal(script_wait(s, pid), 2);
		if (!strstr(err, wrong[i][2]))
			fail_msg("\"%s\" is not in: %s", wrong[i][2], err);
		assert_non_null(strstr(err, "Try 'lqosctl pping --help'.\n"));
		assert_string_equal(out, "");
	}
	assert_int_equal(script_wait(s, script_spawn(s, pping_main, "lqosctl",
						     WORDS("-h"))),
			 0);
	assert_non_null(strstr(out, "usage: lqosctl pping [OPTION]"));
	assert_int_equal(script_wait(s, script_spawn(s, pping_main, "lqosctl",
						     WORDS("-V"))),
			 0);
	assert_string_equal(out, "lqosctl " PACKAGE_VERSION "\n");
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, script_setup, script_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(standard),
		TEST(ppviz),
		TEST(json),
		TEST(jsonl),
		TEST(more_than_epping_has),
		TEST(columns_by_name),
		TEST(other_frames),
		TEST(losses),
		TEST(traffic),
		TEST(nothing_at_all),
		TEST(signals),
		TEST(the_module_stops),
		TEST(refusals),
		TEST(a_file_grows),
		TEST(an_array_has_a_file_to_itself),
		TEST(hanging_up),
		TEST(a_full_disk),
		TEST(nobodys_circuit),
		TEST(filters_are_passed_on),
		TEST(wrong_usage),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
