/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The feed as its readers see it: what arrives, and what is lost on the way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/bus_bench.h"

/* A topic's frame: {"n": how often it was built, "params": ..., "pad": ...}. */
struct source {
	unsigned int built;
	int fail; /* -errno of frame() */
	size_t pad;
};

static struct source top, quiet;
static struct lqos_ctx *module;

static int frame(const json_t *params, json_t **out, void *arg)
{
	struct source *source = arg;
	char *pad;

	source->built++;
	if (json_object_get(params, "bad"))
		return -EINVAL;
	if (source->fail)
		return source->fail;
	pad = calloc(1, source->pad + 1);
	memset(pad, 'x', source->pad);
	*out = json_pack("{s:i, s:O?, s:s}", "n", (int)source->built, "params",
			 params, "pad", pad);
	free(pad);
	return 0;
}

static const struct lqos_topic topics[] = {
	{.name = "top", .help = "frames", .frame = frame},
	{.name = "quiet", .frame = frame},
	{.name = "events", .help = "events"},
};

static int setup(void **state)
{
	struct bench *b;

	bench_setup(state);
	b = *state;
	memset(&top, 0, sizeof(top));
	memset(&quiet, 0, sizeof(quiet));
	assert_int_equal(core_feed_new(&b->core.feed, &b->core), 0);
	assert_int_equal(core_ctx_new(&module, &b->core, "mod", 1), 0);
	assert_int_equal(lqos_topic_add(module, &topics[0], &top), 0);
	assert_int_equal(lqos_topic_add(module, &topics[1], &quiet), 0);
	assert_int_equal(lqos_topic_add(module, &topics[2], NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	core_ctx_free(&module);
	return bench_teardown(state);
}

static struct core_feed_stats stats_of(struct bench *b)
{
	struct core_feed_stats stats;

	core_feed_stats(b->core.feed, &stats);
	return stats;
}

static void tick(struct bench *b)
{
	core_feed_tick(b->core.feed);
}

/* Passes over the notifications that come before the reply. */
static json_t *call(struct bench *b, int fd, const char *method,
		    const char *params)
{
	char *text = NULL;
	json_t *reply;

	assert_true(asprintf(&text,
			     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\","
			     "\"params\":%s}",
			     method, params) > 0);
	reply = bench_ask(b, fd, text);
	while (json_object_get(reply, "method")) {
		json_decref(reply);
		reply = bench_json(b, fd);
	}
	free(text);
	return reply;
}

static json_int_t subscribe(struct bench *b, int fd, const char *params)
{
	json_t *reply = call(b, fd, "feed.subscribe", params);
	json_int_t id = bench_int(reply, "result", "subscription", NULL);

	assert_true(id > 0);
	assert_int_equal(bench_int(reply, "result", "schema", NULL), 1);
	json_decref(reply);
	return id;
}

static void refused(struct bench *b, int fd, const char *method,
		    const char *params, int code, const char *text)
{
	json_t *reply = call(b, fd, method, params);

	assert_int_equal(bench_int(reply, "error", "code", NULL), code);
	if (!strstr(bench_str(reply, "error", "message", NULL), text))
		fail_msg("\"%s\" is not in: %s", text,
			 bench_str(reply, "error", "message", NULL));
	json_decref(reply);
}

/* The next message, which is a frame with that seq and that many lost. */
static void expect_frame(struct bench *b, int fd, json_int_t seq,
			 json_int_t dropped, json_int_t n)
{
	json_t *message = bench_json(b, fd);

	assert_string_equal(bench_str(message, "method", NULL, NULL),
			    "feed.frame");
	assert_null(json_object_get(message, "id"));
	assert_int_equal(bench_int(message, "params", "seq", NULL), seq);
	assert_int_equal(bench_int(message, "params", "dropped", NULL),
			 dropped);
	if (n)
		assert_int_equal(bench_int(message, "params", "data", "n"), n);
	json_decref(message);
}

/* Nothing but the answer to a call arrives. */
static void expect_silence(struct bench *b, int fd)
{
	json_t *reply;

	bench_turn_for(b, 5);
	reply = bench_ask(b, fd,
			  "{\"jsonrpc\":\"2.0\",\"id\":1,"
			  "\"method\":\"feed.topics\"}");
	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
}

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

/* Reads all frames up to seq last; returns what they say was lost. */
static json_int_t account(struct bench *b, int fd, json_int_t last)
{
	json_int_t seen = 0, lost = 0;

	while (seen < last) {
		json_t *message = bench_json(b, fd);
		json_int_t seq = bench_int(message, "params", "seq", NULL);
		json_int_t dropped =
			bench_int(message, "params", "dropped", NULL);

		/* Exactly the gap before this very frame. */
		assert_int_equal(dropped, seq - seen - 1);
		seen = seq;
		lost += dropped;
		json_decref(message);
	}
	assert_int_equal(seen, last);
	return lost;
}

static void losses_are_told_exactly(void **state)
{
	struct bench *b = *state;
	int slow = bench_dial(b), fast = bench_dial(b);
	json_int_t lost;

	top.pad = 100000;
	subscribe(b, slow, "{\"topic\":\"mod.top\"}");
	subscribe(b, fast, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 200; i++) {
		tick(b);
		expect_frame(b, fast, i, 0, i);
		bench_turn(b);
	}
	lost = account(b, slow, 200);
	/* What is in the kernel, one on its way and the queue arrive. */
	assert_true(lost > 200 - 4 - 1 - CORE_FEED_QUEUE_FRAMES);
	assert_true(lost <= 200 - 1 - CORE_FEED_QUEUE_FRAMES);
	assert_int_equal(stats_of(b).dropped, lost);
	assert_int_equal(stats_of(b).frames, 400 - lost);
	assert_true(stats_of(b).bytes > (400 - (uint64_t)lost) * 100000);
	close(slow);
	close(fast);
}

static void large_frames_are_bounded_by_bytes(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t lost;

	/* Two of these fit CORE_FEED_QUEUE_BYTES. */
	top.pad = 1500000;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 10; i++) {
		tick(b);
		bench_turn(b);
	}
	lost = account(b, fd, 10);
	assert_int_equal(lost, 10 - 1 - 2);

	/* One that is larger than the bound still arrives. */
	top.pad = CORE_FEED_QUEUE_BYTES + 1;
	for (int i = 11; i <= 14; i++) {
		tick(b);
		bench_turn(b);
	}
	expect_frame(b, fd, 11, 0, 11);
	expect_frame(b, fd, 14, 2, 14);
	close(fd);
}

static void bytes_are_a_clients_not_a_subscriptions(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t ids[4], seen[4] = {0}, last[4] = {0};
	int frames = 0;

	top.pad = 900000; /* four fit */
	for (int i = 0; i < 4; i++) {
		char text[80];

		snprintf(text, sizeof(text),
			 "{\"topic\":\"mod.top\",\"params\":{\"i\":%d}}", i);
		ids[i] = subscribe(b, fd, text);
	}
	for (int i = 1; i <= 6; i++) {
		tick(b);
		bench_turn(b);
	}
	/* The oldest went first: one of tick 1 was on its way, all of tick 6
	 * are there. */
	while (frames < 5) {
		json_t *message = bench_json(b, fd);
		json_int_t id =
			bench_int(message, "params", "subscription", NULL);
		json_int_t seq = bench_int(message, "params", "seq", NULL);
		int i;

		for (i = 0; ids[i] != id; i++)
			;
		assert_int_equal(bench_int(message, "params", "dropped", NULL),
				 seq - seen[i] - 1);
		seen[i] = last[i] = seq;
		json_decref(message);
		frames++;
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(last[i], 6);
	expect_silence(b, fd);
	close(fd);
}

static void subscriptions_take_turns(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t before = 0;

	top.pad = quiet.pad = 300000; /* more than the kernel takes */
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	subscribe(b, fd, "{\"topic\":\"mod.quiet\"}");
	for (int i = 0; i < 4; i++)
		tick(b);
	for (int i = 0; i < 8; i++) {
		json_t *message = bench_json(b, fd);
		json_int_t id =
			bench_int(message, "params", "subscription", NULL);

		assert_int_not_equal(id, before);
		before = id;
		json_decref(message);
	}
	close(fd);
}

static void frames_that_cannot_be_built(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	tick(b);
	expect_frame(b, fd, 1, 0, 1);
	top.fail = -EIO;
	tick(b);
	assert_true(log_has("no frame of mod.top for params {}: Input/output"));
	top.fail = -EAGAIN;
	tick(b);
	top.fail = 0;
	tick(b);
	expect_frame(b, fd, 4, 2, 4);
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

static void a_reader_goes_with_frames_queued(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);

	top.pad = 500000;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	subscribe(b, other, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 5; i++) {
		tick(b);
		expect_frame(b, other, i, 0, i);
	}
	close(fd);
	tick(b);
	expect_frame(b, other, 6, 0, 6);
	assert_int_equal(stats_of(b).subscriptions, 1);
	close(other);
}

static void limits(void **state)
{
	struct bench *b = *state;
	char *params = malloc(6000), text[96];
	int fds[17];

	/* 16 on each of 16 connections, all different: 256 streams. */
	for (int c = 0; c < 16; c++) {
		fds[c] = bench_dial(b);
		for (int i = 0; i < 16; i++) {
			snprintf(text, sizeof(text),
				 "{\"topic\":\"mod.top\",\"params\":"
				 "{\"i\":%d}}",
				 c * 16 + i);
			subscribe(b, fds[c], text);
		}
	}
	refused(b, fds[0], "feed.subscribe", "{\"topic\":\"mod.top\"}", -32000,
		"at most 16 subscriptions");
	fds[16] = bench_dial(b);
	refused(b, fds[16], "feed.subscribe", "{\"topic\":\"mod.top\"}", -32000,
		"256 streams are being read");
	/* What others read can be read by one more. */
	subscribe(b, fds[16], "{\"topic\":\"mod.top\",\"params\":{\"i\":7}}");
	tick(b);
	assert_int_equal(top.built, 256);
	for (int c = 0; c < 16; c++)
		for (int i = 0; i < 16; i++)
			expect_frame(b, fds[c], 1, 0, 0);
	close(fds[0]);
	bench_turn_for(b, 10);
	snprintf(params, 6000,
		 "{\"topic\":\"mod.top\",\"params\":{\"p\":\"%05000d\"}}", 0);
	refused(b, fds[16], "feed.subscribe", params, -32000,
		"at most 4096 bytes");
	snprintf(params, 6000,
		 "{\"topic\":\"mod.top\",\"params\":{\"p\":\"%04000d\"}}", 0);
	subscribe(b, fds[16], params);
	for (int c = 1; c <= 16; c++)
		close(fds[c]);
	free(params);
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame),
		TEST(wrong_subscriptions),
		TEST(built_once_however_many_read),
		TEST(the_first_frame_comes_at_once),
		TEST(not_every_tick),
		TEST(events),
		TEST(losses_are_told_exactly),
		TEST(large_frames_are_bounded_by_bytes),
		TEST(bytes_are_a_clients_not_a_subscriptions),
		TEST(subscriptions_take_turns),
		TEST(frames_that_cannot_be_built),
		TEST(params_that_the_topic_refuses),
		TEST(unsubscribing),
		TEST(the_module_stops),
		TEST(a_reader_goes_with_frames_queued),
		TEST(limits),
		TEST(topics_are_listed),
		TEST(topics_that_cannot_be_added),
		TEST(the_feed_ends_before_its_clients),
		TEST(the_bus_ends_before_the_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
