/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus with a feed, and a module "mod" with three topics. */
#ifndef TESTS_UNIT_FEED_BENCH_H
#define TESTS_UNIT_FEED_BENCH_H

#include "tests/unit/bus_bench.h"

/* A topic's frame: {"n": how often it was built, "params": ..., "pad": ...}. */
struct source {
	unsigned int built;
	int fail; /* -errno of frame() */
	size_t pad;
};

static struct source top, quiet;
static struct lqos_ctx *module;

static inline int frame(const json_t *params, json_t **out, void *arg)
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

static inline int check(const json_t *params, char *why, size_t size, void *arg)
{
	(void)arg;
	if (!json_object_get(params, "worse"))
		return 0;
	snprintf(why, size, "worse: expected no such thing");
	return -EINVAL;
}

static const struct lqos_topic topics[] = {
	{.name = "top", .help = "frames", .frame = frame, .check = check},
	{.name = "quiet", .frame = frame},
	{.name = "events", .help = "events"},
};

static inline int feed_setup(void **state)
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

static inline int feed_teardown(void **state)
{
	core_ctx_free(&module);
	return bench_teardown(state);
}

static inline struct core_feed_stats stats_of(struct bench *b)
{
	struct core_feed_stats stats;

	core_feed_stats(b->core.feed, &stats);
	return stats;
}

static inline void tick(struct bench *b)
{
	core_feed_tick(b->core.feed);
}

/* Passes over the notifications that come before the reply. */
static inline json_t *call(struct bench *b, int fd, const char *method,
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

static inline json_int_t subscribe(struct bench *b, int fd, const char *params)
{
	json_t *reply = call(b, fd, "feed.subscribe", params);
	json_int_t id = bench_int(reply, "result", "subscription", NULL);

	assert_true(id > 0);
	assert_int_equal(bench_int(reply, "result", "schema", NULL), 1);
	json_decref(reply);
	return id;
}

static inline void refused(struct bench *b, int fd, const char *method,
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
static inline void expect_frame(struct bench *b, int fd, json_int_t seq,
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
static inline void expect_silence(struct bench *b, int fd)
{
	json_t *reply;

	bench_turn_for(b, 5);
	reply = bench_ask(b, fd,
			  "{\"jsonrpc\":\"2.0\",\"id\":1,"
			  "\"method\":\"feed.topics\"}");
	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
}

#endif /* TESTS_UNIT_FEED_BENCH_H */
