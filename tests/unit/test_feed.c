/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The feed as its readers see it: what arrives, and when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/feed_bench.h"

static void a_frame(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t id = subscribe(
		b, fd, "{\"topic\":\"mod.top\",\"params\":{\"k\":1}}");
	json_t *message, *expected;
	json_int_t ts;

	expect_silence(b, fd); /* before the first tick there is nothing */
	assert_int_equal(top.built, 0);
	tick(b);
	message = bench_json(b, fd);
	ts = bench_int(message, "params", "ts", NULL);
	assert_true(ts / 1000000000 - time(NULL) <= 0);
	assert_true(ts / 1000000000 - time(NULL) > -20);
	expected = json_pack("{s:s, s:s, s:{s:I, s:s, s:i, s:i, s:I, s:i, "
			     "s:{s:i, s:{s:i}, s:s}}}",
			     "jsonrpc", "2.0", "method", "feed.frame", "params",
			     "subscription", id, "topic", "mod.top", "schema",
			     1, "seq", 1, "ts", ts, "dropped", 0, "data", "n",
			     1, "params", "k", 1, "pad", "");
	assert_true(json_equal(message, expected));
	json_decref(message);
	json_decref(expected);
	close(fd);
}

static void wrong_subscriptions(void **state)
{
	static const char no_connection[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"feed.subscribe\","
		"\"params\":{\"topic\":\"mod.top\"}}";
	struct bench *b = *state;
	int fd = bench_dial(b);
	const char *method = "feed.subscribe";
	json_t *reply;

	refused(b, fd, method, "{}", -32602, "expected {topic: string");
	refused(b, fd, method, "{\"topic\":1}", -32602, "expected {topic");
	refused(b, fd, method, "{\"topic\":\"mod.top\",\"evry\":1}", -32602,
		"evry");
	refused(b, fd, method, "{\"topic\":\"mod.top\",\"every\":0}", -32602,
		"1 to 3600 ticks");
	refused(b, fd, method, "{\"topic\":\"mod.top\",\"every\":3601}", -32602,
		"1 to 3600 ticks");
	refused(b, fd, method, "{\"topic\":\"mod.top\",\"params\":[]}", -32602,
		"\"params\" is an object");
	refused(b, fd, method, "{\"topic\":\"mod.to\"}", -32000,
		"no topic \"mod.to\"");
	assert_int_equal(core_bus_handle(b->core.bus, NULL, 0, no_connection,
					 strlen(no_connection), &reply),
			 0);
	assert_string_equal(bench_str(reply, "error", "data", "errno"),
			    "ENOTCONN");
	json_decref(reply);
	assert_int_equal(stats_of(b).subscriptions, 0);
	tick(b);
	assert_int_equal(top.built, 0);
	close(fd);
}

static void built_once_however_many_read(void **state)
{
	struct bench *b = *state;
	int fds[20];

	for (int i = 0; i < 20; i++) {
		fds[i] = bench_dial(b);
		subscribe(b, fds[i],
			  i % 3 == 0   ? "{\"topic\":\"mod.top\"}"
			  : i % 3 == 1 ? "{\"topic\":\"mod.top\",\"params\":{}}"
				       : "{\"topic\":\"mod.top\",\"params\":"
					 "{\"b\":2,\"a\":1}}");
	}
	subscribe(b, fds[0],
		  "{\"topic\":\"mod.top\",\"params\":{\"a\":1,\"b\":2}}");
	tick(b);
	assert_int_equal(top.built, 2); /* of none, and of a and b */
	assert_int_equal(quiet.built, 0);
	for (int i = 0; i < 20; i++)
		expect_frame(b, fds[i], 1, 0, 0);
	expect_frame(b, fds[0], 1, 0, 0);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	bench_turn_for(b, 10);
	assert_int_equal(stats_of(b).subscriptions, 0);
	assert_int_equal(stats_of(b).frames, 21);
	tick(b);
	assert_int_equal(top.built, 2); /* nobody reads any more */
}

static void the_first_frame_comes_at_once(void **state)
{
	struct bench *b = *state;
	int early = bench_dial(b), late = bench_dial(b);

	tick(b);
	tick(b);
	subscribe(b, early, "{\"topic\":\"mod.top\"}");
	expect_frame(b, early, 2, 0, 1);
	subscribe(b, late, "{\"topic\":\"mod.top\"}");
	expect_frame(b, late, 2, 0, 1); /* not built anew */
	tick(b);
	expect_frame(b, early, 3, 0, 2);
	expect_frame(b, late, 3, 0, 2);
	close(early);
	close(late);
}

static void not_every_tick(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	subscribe(b, fd, "{\"topic\":\"mod.top\",\"every\":3}");
	for (int i = 1; i <= 7; i++)
		tick(b);
	expect_frame(b, fd, 3, 0, 1);
	expect_frame(b, fd, 6, 0, 2);
	expect_silence(b, fd);
	assert_int_equal(top.built, 2);
	close(fd);
}

static void events(void **state)
{
	struct bench *b = *state;
	struct lqos_ctx *other;
	int fd = bench_dial(b);

	/* Before anybody listens: they count. */
	assert_int_equal(lqos_publish(module, "events", json_integer(1)), 0);
	subscribe(b, fd, "{\"topic\":\"mod.events\"}");
	tick(b);
	expect_silence(b, fd);
	assert_int_equal(
		lqos_publish(module, "events", json_pack("{s:i}", "n", 5)), 0);
	assert_int_equal(
		lqos_publish(module, "events", json_pack("{s:i}", "n", 6)), 0);
	expect_frame(b, fd, 2, 0, 5);
	expect_frame(b, fd, 3, 0, 6);

	assert_int_equal(lqos_publish(module, "no", json_object()), -ENOENT);
	assert_int_equal(lqos_publish(module, "events", NULL), -ENOMEM);
	assert_int_equal(core_ctx_new(&other, &b->core, "other", 2), 0);
	assert_int_equal(lqos_publish(other, "events", json_object()), -ENOENT);
	core_ctx_free(&other);
	close(fd);
}

static void params_that_the_topic_refuses(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	tick(b);
	refused(b, fd, "feed.subscribe",
		"{\"topic\":\"mod.top\",\"params\":{\"bad\":1}}", -32602,
		"mod.top has no frame for these params: Invalid argument");
	assert_int_equal(stats_of(b).subscriptions, 0);
	tick(b);
	assert_int_equal(top.built, 1);

	/* It can say why, before it is asked for a frame. */
	refused(b, fd, "feed.subscribe",
		"{\"topic\":\"mod.top\",\"params\":{\"worse\":1}}", -32602,
		"mod.top: worse: expected no such thing");
	assert_int_equal(stats_of(b).subscriptions, 0);
	assert_int_equal(top.built, 1);

	/* Nothing to show yet is no refusal. */
	top.fail = -EAGAIN;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	expect_silence(b, fd);
	top.fail = 0;
	tick(b);
	expect_frame(b, fd, 3, 0, 3);
	close(fd);
}

static void unsubscribing(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);
	json_int_t id = subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	char params[64], missing[64];

	subscribe(b, fd, "{\"topic\":\"mod.quiet\"}");
	snprintf(params, sizeof(params), "{\"subscription\":%d}", (int)id);
	snprintf(missing, sizeof(missing), "no subscription %d", (int)id);
	refused(b, other, "feed.unsubscribe", params, -32000, missing);
	tick(b); /* a frame of each: one sent, one queued */
	json_decref(call(b, fd, "feed.unsubscribe", params));
	refused(b, fd, "feed.unsubscribe", params, -32000, missing);
	refused(b, fd, "feed.unsubscribe", "{}", -32602, "expected {subscr");
	assert_int_equal(stats_of(b).subscriptions, 1);
	tick(b);
	assert_int_equal(top.built, 1);
	assert_int_equal(quiet.built, 2);
	close(fd);
	close(other);
}

static void the_module_stops(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);
	json_int_t id = subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	json_t *message;

	subscribe(b, fd, "{\"topic\":\"mod.events\"}");
	subscribe(b, other, "{\"topic\":\"mod.top\",\"params\":{\"x\":1}}");
	core_ctx_release(module);
	assert_int_equal(stats_of(b).subscriptions, 0);
	message = bench_json(b, fd); /* newest first: the events' */
	assert_string_equal(bench_str(message, "params", "topic", NULL),
			    "mod.events");
	json_decref(message);
	message = bench_json(b, fd);
	assert_string_equal(bench_str(message, "method", NULL, NULL),
			    "feed.end");
	assert_int_equal(bench_int(message, "params", "subscription", NULL),
			 id);
	assert_string_equal(bench_str(message, "params", "reason", NULL),
			    "the module that sends this topic was stopped");
	json_decref(message);
	message = bench_json(b, other);
	assert_string_equal(bench_str(message, "method", NULL, NULL),
			    "feed.end");
	json_decref(message);
	tick(b);
	expect_silence(b, fd);
	refused(b, fd, "feed.subscribe", "{\"topic\":\"mod.top\"}", -32000,
		"no topic");
	close(fd);
	close(other);
}

static void topics_are_listed(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_t *reply = call(b, fd, "feed.topics", "{}");
	json_t *expected =
		json_pack("[{s:s,s:s,s:b},{s:s,s:s,s:b},{s:s,s:s,s:b}]",
			  "topic", "mod.events", "help", "events", "events", 1,
			  "topic", "mod.quiet", "help", "", "events", 0,
			  "topic", "mod.top", "help", "frames", "events", 0);

	assert_true(json_equal(json_object_get(reply, "result"), expected));
	json_decref(expected);
	json_decref(reply);
	close(fd);
}

static void topics_that_cannot_be_added(void **state)
{
	struct bench *b = *state;
	const struct lqos_topic odd = {.name = "a\"b"};

	assert_int_equal(lqos_topic_add(module, &topics[0], NULL), -EEXIST);
	assert_true(log_has("topic mod.top was added before"));
	assert_int_equal(lqos_topic_add(module, &odd, NULL), -EINVAL);
	core_feed_free(&b->core.feed);
	assert_int_equal(lqos_topic_add(module, &topics[0], NULL), -ENOTCONN);
	assert_int_equal(lqos_publish(module, "top", json_object()), -ENOENT);
}

static void the_feed_ends_before_its_clients(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	tick(b);
	core_feed_free(&b->core.feed);
	bench_turn_for(b, 5);
	expect_frame(b, fd, 1, 0, 1); /* it had been sent */
	refused(b, fd, "feed.topics", "{}", -32601, "no method");
	close(fd);
}

static void the_bus_ends_before_the_feed(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	top.pad = 500000;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	for (int i = 0; i < 5; i++)
		tick(b);
	core_bus_free(&b->core.bus);
	assert_int_equal(stats_of(b).subscriptions, 0);
	tick(b);
	close(fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, feed_setup, feed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame),
		TEST(wrong_subscriptions),
		TEST(built_once_however_many_read),
		TEST(the_first_frame_comes_at_once),
		TEST(not_every_tick),
		TEST(events),
		TEST(params_that_the_topic_refuses),
		TEST(unsubscribing),
		TEST(the_module_stops),
		TEST(topics_are_listed),
		TEST(topics_that_cannot_be_added),
		TEST(the_feed_ends_before_its_clients),
		TEST(the_bus_ends_before_the_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
