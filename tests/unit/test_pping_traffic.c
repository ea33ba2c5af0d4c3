/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What flows carry, by network, from one tick to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* In front of cmocka's macros. */
#include "modules/pping/traffic.c"
#include "tests/unit/snapshot_seq.h"

#include <cmocka.h>

enum { SLOTS = 8 };

static struct {
	struct lqos_flow flow;
	struct pp_flow part;
} table[SLOTS];
static struct pp_ecn ecn[2];
static volatile uint32_t watched;
static const struct pping_config config = {.ipv4_prefix = 24,
					   .ipv6_prefix = 48};
static struct pping p = {.config = &config,
			 .table = {.records = table,
				   .slots = SLOTS,
				   .record_bytes = sizeof(table[0]),
				   .part = sizeof(struct lqos_flow)},
			 .ecn = ecn,
			 .cpus = 2,
			 .watched = &watched};
static const char *refused; /* a kind */
static struct traffic *traffic;

/* ---- In place of the core ------------------------------------------------ */

static struct record batch[SLOTS];
static uint32_t n_batch;

uint32_t lqos_flows(struct lqos_ctx *ctx, struct lqos_flow_table *out)
{
	(void)ctx;
	*out = p.table;
	return SLOTS - 1;
}

int lqos_batch_new(struct lqos_ctx *ctx, size_t size, uint32_t max,
		   void (*fn)(bool on, void *arg), void *arg,
		   struct lqos_batch **out)
{
	(void)ctx;
	(void)fn;
	(void)out;
	assert_int_equal(size, sizeof(struct record));
	assert_int_equal(max, SLOTS);
	traffic = arg;
	return 0;
}

void lqos_batch_add(struct lqos_batch *b, const void *record)
{
	(void)b;
	assert_true(n_batch < SLOTS);
	memcpy(&batch[n_batch++], record, sizeof(batch[0]));
}

const void *lqos_batch_take(struct lqos_batch *b, uint32_t *n, uint64_t *lost)
{
	(void)b;
	*n = n_batch;
	*lost = 3;
	return batch;
}

int lqos_topic_add(struct lqos_ctx *ctx, const struct lqos_topic *decl,
		   void *arg)
{
	(void)ctx;
	(void)decl;
	(void)arg;
	return 0;
}

int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *arg), void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
	return 0;
}

int lqos_flow_filter_parse(const json_t *params, const char *const *kinds,
			   struct lqos_flow_filter *out, char *why, size_t size)
{
	(void)params;
	(void)kinds;
	(void)why;
	(void)size;
	*out = (struct lqos_flow_filter){};
	return 0;
}

int lqos_params_only(const json_t *params, const char *const *known, char *why,
		     size_t size)
{
	(void)params;
	(void)known;
	(void)why;
	(void)size;
	return 0;
}

const char *lqos_protocol_text(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "UDP" : "ICMP";
}

const char *lqos_address_text(uint64_t hi, uint64_t lo, bool ipv6, char *buf,
			      size_t size)
{
	const uint64_t words[2] = {hi, lo};

	return inet_ntop(ipv6 ? AF_INET6 : AF_INET, ipv6 ? words : words + 1,
			 buf, (socklen_t)size);
}

/* ---- In place of the module's other files -------------------------------- */

const char *const pping_kinds[] = {NULL};

const char *pping_kind_of(const struct lqos_flow_key *key)
{
	return key->proto == IPPROTO_UDP ? "udp" : "";
}

bool pping_matches(const struct pping *of, const struct lqos_flow_filter *f,
		   const struct lqos_flow_key *key, uint32_t slot,
		   const char *kind)
{
	(void)of;
	(void)f;
	(void)key;
	(void)slot;
	return !refused || strcmp(refused, kind);
}

void pping_mask(uint32_t length, uint64_t mask[2])
{
	uint8_t *byte = (uint8_t *)mask;

	/* Whole bytes will do here. */
	memset(byte, 0, 16);
	memset(byte, 0xff, length / 8);
}

/* ---- The bench ----------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	memset(table, 0, sizeof(table));
	memset(ecn, 0, sizeof(ecn));
	watched = 0;
	refused = NULL;
	seq = 1;
	n_batch = 0;
	return pping_add_traffic(&p);
}

static int teardown(void **state)
{
	(void)state;
	free_traffic(traffic);
	return 0;
}

/* As in struct lqos_flow_key. */
struct address {
	uint64_t hi, lo;
};

static struct address address(const char *text)
{
	struct address a = {UINT64_MAX, 0};

	if (inet_pton(AF_INET, text, &a.lo) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

static void open_flow(uint32_t index, uint8_t proto, const char *subs,
		      const char *remote)
{
	struct address a = address(subs), b = address(remote);
	struct lqos_flow *f = &table[index].flow;

	f->generation++;
	f->used = 1;
	f->key.proto = proto;
	f->key.ipv6 = strchr(subs, ':') != NULL;
	f->key.subs_hi = a.hi;
	f->key.subs_lo = a.lo;
	f->key.remote_hi = b.hi;
	f->key.remote_lo = b.lo;
	table[index].part.times =
		(struct pp_times){.generation = f->generation};
}

static void carry(uint32_t index, enum lqos_direction way, uint32_t packets,
		  uint64_t bytes)
{
	table[index].part.times.packets[way] += packets;
	table[index].part.times.bytes[way] += bytes;
}

/* The rows of the next tick, one after the other. */
static const char *next(const char *params)
{
	static char text[1024];
	json_t *given = json_loads(params, 0, NULL), *out, *row;
	size_t i, len = 0;

	seq++;
	n_batch = 0;
	assert_int_equal(frame(given, &out, traffic), 0);
	text[0] = '\0';
	json_array_foreach(json_object_get(out, "rows"), i, row) {
		char *line = json_dumps(row, JSON_COMPACT);

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
					line);
		free(line);
	}
	json_decref(out);
	json_decref(given);
	return text;
}

/* ---- Tests --------------------------------------------------------------- */

static void by_network(void **state)
{
	(void)state;
	open_flow(1, IPPROTO_TCP, "10.0.0.1", "192.0.2.1");
	open_flow(2, IPPROTO_TCP, "10.0.0.2", "192.0.2.77");
	open_flow(3, IPPROTO_UDP, "10.0.0.2", "198.51.100.1");
	open_flow(4, IPPROTO_ICMP, "2001:db8:1:2::3", "2001:db8:f::1");
	table[2].part.times.stamped = 1;
	on_read(true, traffic);
	assert_int_equal(watched, PP_WATCH_TRAFFIC);
	assert_string_equal(next("{}"), "");
	carry(1, LQOS_UP, 1, 10);
	carry(1, LQOS_DOWN, 2, 3000);
	carry(2, LQOS_DOWN, 4, 5000);
	carry(3, LQOS_UP, 7, 700);
	carry(4, LQOS_UP, 1, 56);
	assert_string_equal(next("{}"),
			    "[\"10.0.0.0\",\"TCP_TS\",0,0,4,5000]"
			    "[\"10.0.0.0\",\"TCP_noTS\",1,10,2,3000]"
			    "[\"10.0.0.0\",\"UDP\",7,700,0,0]"
			    "[\"192.0.2.0\",\"TCP_TS\",4,5000,0,0]"
			    "[\"192.0.2.0\",\"TCP_noTS\",2,3000,1,10]"
			    "[\"198.51.100.0\",\"UDP\",0,0,7,700]"
			    "[\"2001:db8:1::\",\"ICMP\",1,56,0,0]"
			    "[\"2001:db8:f::\",\"ICMP\",0,0,1,56]");
	/* Only what has been added; two flows of a network are one row. */
	table[1].part.times.stamped = 1;
	carry(1, LQOS_UP, 1, 5);
	carry(2, LQOS_UP, 1, 6);
	assert_string_equal(next("{\"ipv4_prefix\":16}"),
			    "[\"10.0.0.0\",\"TCP_TS\",2,11,0,0]"
			    "[\"192.0.0.0\",\"TCP_TS\",0,0,2,11]");
	assert_string_equal(next("{}"), "");
	carry(3, LQOS_UP, 1, 1);
	carry(4, LQOS_UP, 1, 1);
	refused = "udp";
	assert_string_equal(next("{\"ipv6_prefix\":0}"),
			    "[\"::\",\"ICMP\",1,1,1,1]");
	on_read(false, traffic);
	assert_int_equal(watched, 0);
}

/* Both who ask in a tick are told the same. */
static void two_readers(void **state)
{
	json_t *first, *second;

	(void)state;
	open_flow(1, IPPROTO_UDP, "10.0.0.1", "192.0.2.1");
	on_read(true, traffic);
	carry(1, LQOS_UP, 1, 10);
	seq++;
	assert_int_equal(frame(NULL, &first, traffic), 0);
	carry(1, LQOS_UP, 1, 10);
	assert_int_equal(frame(NULL, &second, traffic), 0);
	assert_true(json_equal(first, second));
	assert_int_equal(json_array_size(json_object_get(first, "rows")), 2);
	assert_int_equal(json_integer_value(json_object_get(first, "lost")), 3);
	json_decref(first);
	json_decref(second);
	assert_string_equal(next("{}"), "[\"10.0.0.0\",\"UDP\",1,10,0,0]"
					"[\"192.0.2.0\",\"UDP\",0,0,1,10]");
}

/* What is counted is of the time that somebody watches. */
static void begins_with_the_first(void **state)
{
	(void)state;
	open_flow(1, IPPROTO_UDP, "10.0.0.1", "192.0.2.1");
	carry(1, LQOS_UP, 1000, 10000);
	pping_watch(&p, PP_WATCH_SAMPLES, true);
	assert_int_equal(table[1].part.times.packets[LQOS_UP], 0);
	assert_int_equal(table[1].part.times.bytes[LQOS_UP], 0);
	carry(1, LQOS_UP, 3, 30);
	/* The second takes nothing from the first, nor anything of his. */
	on_read(true, traffic);
	assert_int_equal(table[1].part.times.packets[LQOS_UP], 3);
	assert_int_equal(watched, PP_WATCH_SAMPLES | PP_WATCH_TRAFFIC);
	assert_string_equal(next("{}"), "");
	carry(1, LQOS_UP, 1, 10);
	assert_string_equal(next("{}"), "[\"10.0.0.0\",\"UDP\",1,10,0,0]"
					"[\"192.0.2.0\",\"UDP\",0,0,1,10]");
	pping_watch(&p, PP_WATCH_SAMPLES, false);
	assert_int_equal(watched, PP_WATCH_TRAFFIC);
	assert_int_equal(table[1].part.times.packets[LQOS_UP], 4);
}

static void another_flow(void **state)
{
	(void)state;
	open_flow(1, IPPROTO_UDP, "10.0.0.1", "192.0.2.1");
	on_read(true, traffic);
	carry(1, LQOS_UP, 9, 90);
	next("{}");
	/* In the same slot, and with less. */
	open_flow(1, IPPROTO_UDP, "10.0.1.1", "192.0.2.1");
	carry(1, LQOS_UP, 2, 20);
	assert_string_equal(next("{}"), "[\"10.0.1.0\",\"UDP\",2,20,0,0]"
					"[\"192.0.2.0\",\"UDP\",0,0,2,20]");
	/* Nothing of it was counted yet. */
	table[1].flow.generation++;
	assert_string_equal(next("{}"), "");
	/* It is nobody's. */
	open_flow(1, IPPROTO_UDP, "10.0.1.1", "192.0.2.1");
	carry(1, LQOS_UP, 2, 20);
	table[1].flow.used = 0;
	assert_string_equal(next("{}"), "");
}

static void marks(void **state)
{
	json_t *out;

	(void)state;
	ecn[0] = (struct pp_ecn){{1, 2, 3, 4}};
	ecn[1] = (struct pp_ecn){{10, 20, 30, 40}};
	assert_int_equal(frame(NULL, &out, traffic), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(json_integer_value(json_array_get(
					 json_object_get(out, "ecn"), i)),
				 11 * (i + 1));
	json_decref(out);
}

static void params(void **state)
{
	static const struct {
		const char *params, *why; /* NULL: it is right */
	} cases[] = {
		{"{}", NULL},
		{"{\"ipv4_prefix\":0,\"ipv6_prefix\":128}", NULL},
		{"{\"ipv4_prefix\":33}",
		 "ipv4_prefix: expected a number from 0 to 32"},
		{"{\"ipv4_prefix\":\"24\"}",
		 "ipv4_prefix: expected a number from 0 to 32"},
		{"{\"ipv6_prefix\":-1}",
		 "ipv6_prefix: expected a number from 0 to 128"},
	};
	char why[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *given = json_loads(cases[i].params, 0, NULL);

		assert_int_equal(check(given, why, sizeof(why), traffic),
				 cases[i].why ? -EINVAL : 0);
		if (cases[i].why)
			assert_string_equal(why, cases[i].why);
		json_decref(given);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_network),   TEST(two_readers),
		TEST(another_flow), TEST(begins_with_the_first),
		TEST(marks),	    TEST(params),
	};

	return cmocka_run_group_tests_name("pping_traffic", tests, NULL, NULL);
}
