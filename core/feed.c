/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The feed: topics that bus clients subscribe to.
 *
 * A stream is a topic with the params that somebody reads it with; its frame is
 * built and serialized once, however many read it.  A subscription is a
 * client's place in a stream (feed_reader.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/feed.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"

enum { EVERY_MAX = 3600 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- Streams ------------------------------------------------------------- */

void core_feed_stream_drop(struct stream *stream)
{
	if (!LIST_EMPTY(&stream->subscriptions))
		return;
	LIST_REMOVE(stream, link);
	stream->topic->feed->n_streams--;
	core_bus_line_unref(stream->last.line);
	json_decref(stream->params);
	free(stream->key);
	free(stream);
}

/*
 * The topic's stream with these params, which is made if nobody reads it yet.
 * why is set if it cannot be.
 */
static int stream_get(struct stream **out, struct topic *topic, json_t *params,
		      const char **why)
{
	struct core_feed *feed = topic->feed;
	autofree char *key =
		params ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS)
		       : strdup("");
	struct stream *stream;

	*why = "out of memory";
	if (!key)
		return -ENOMEM;
	LIST_FOREACH(stream, &topic->streams, link) {
		if (!strcmp(stream->key, key)) {
			*out = stream;
			return 0;
		}
	}

	*why = "params are too long: at most 4096 bytes";
	_Static_assert(CORE_FEED_PARAMS_MAX == 4096, "the text above says so");
	if (strlen(key) > CORE_FEED_PARAMS_MAX)
		return -E2BIG;
	*why = "256 streams are being read: use params that others use too";
	_Static_assert(CORE_FEED_STREAMS_MAX == 256, "the text above says so");
	if (feed->n_streams >= CORE_FEED_STREAMS_MAX)
		return -EBUSY;
	*why = "out of memory";
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	LIST_INIT(&stream->subscriptions);
	stream->topic = topic;
	stream->params = json_incref(params);
	stream->key = steal_ptr(key);
	LIST_INSERT_HEAD(&topic->streams, stream, link);
	feed->n_streams++;
	*out = stream;
	return 0;
}

/* Asks the topic for this tick's frame, once. */
static int stream_build(struct stream *stream, uint64_t ts)
{
	struct topic *topic = stream->topic;
	json_t *frame = NULL;
	int rc;

	if (stream->built == topic->feed->ticks)
		return stream->last.line ? 0 : -EAGAIN;
	stream->built = topic->feed->ticks;
	core_bus_line_unref(stream->last.line);
	stream->last.line = NULL;

	core_loop_enter(topic->ctx, topic->name);
	rc = topic->decl->frame(stream->params, &frame, topic->arg);
	core_loop_leave(topic->ctx);
	if (rc)
		return rc;
	rc = frame ? core_bus_line_new(&stream->last.line, frame, "}}\n")
		   : -ENOMEM;
	json_decref(frame);
	if (rc)
		return rc;
	stream->last.seq = topic->seq;
	stream->last.ts = ts;
	return 0;
}

static bool due(const struct subscription *sub)
{
	return sub->stream->topic->feed->ticks % sub->every == 0;
}

static bool anybody_due(const struct stream *stream)
{
	const struct subscription *sub;

	LIST_FOREACH(sub, &stream->subscriptions, of_stream)
		if (due(sub))
			return true;
	return false;
}

static void pump_all(struct core_feed *feed)
{
	struct reader *reader;

	LIST_FOREACH(reader, &feed->readers, link)
		core_feed_reader_pump(reader);
}

static void stream_tick(struct stream *stream, uint64_t ts)
{
	struct subscription *sub;
	int rc;

	if (!anybody_due(stream))
		return;
	rc = stream_build(stream, ts);
	if (rc && rc != -EAGAIN)
		lqos_log(stream->topic->ctx, LQOS_WARN,
			 "no frame of %s for params %s: %s",
			 stream->topic->name, *stream->key ? stream->key : "{}",
			 strerror(-rc));

	LIST_FOREACH(sub, &stream->subscriptions, of_stream) {
		if (!due(sub))
			continue;
		if (rc)
			core_feed_miss(sub);
		else
			core_feed_enqueue(sub, &stream->last);
	}
}

void core_feed_tick(struct core_feed *feed)
{
	uint64_t ts = now_ns();
	struct stream *stream;
	struct topic *topic;

	feed->ticks++;
	LIST_FOREACH(topic, &feed->topics, link) {
		if (!topic->decl->frame)
			continue;
		topic->seq++;
		LIST_FOREACH(stream, &topic->streams, link) {
			stream_tick(stream, ts);
		}
	}
	pump_all(feed);
}

/* ---- Topics -------------------------------------------------------------- */

static struct topic *topic_find(struct core_feed *feed, const char *name)
{
	struct topic *topic;

	LIST_FOREACH(topic, &feed->topics, link)
		if (!strcmp(topic->name, name))
			return topic;
	return NULL;
}

static void send_end(struct subscription *sub)
{
	json_t *end = json_pack("{s:s, s:s, s:{s:I, s:s, s:s}}", "jsonrpc",
				"2.0", "method", "feed.end", "params",
				"subscription", (json_int_t)sub->id, "topic",
				sub->stream->topic->name, "reason",
				"the module that sends this topic was stopped");
	struct core_bus_line *line;

	if (end && !core_bus_line_new(&line, end, "\n")) {
		core_bus_client_send(sub->reader->client, NULL, line);
		core_bus_line_unref(line);
	}
	json_decref(end);
}

static void topic_free(struct topic *topic)
{
	struct subscription *sub;
	struct stream *stream;

	/* The last subscription takes its stream with it. */
	while ((stream = LIST_FIRST(&topic->streams))) {
		sub = LIST_FIRST(&stream->subscriptions);
		send_end(sub);
		core_feed_subscription_free(sub);
	}
	LIST_REMOVE(topic, link);
	free(topic);
}

static void topic_release(void *obj)
{
	topic_free(obj);
}

static void topic_insert(struct core_feed *feed, struct topic *topic)
{
	struct topic *after = NULL, *other;

	LIST_FOREACH(other, &feed->topics, link) {
		if (strcmp(other->name, topic->name) > 0)
			break;
		after = other;
	}
	if (after)
		LIST_INSERT_AFTER(after, topic, link);
	else
		LIST_INSERT_HEAD(&feed->topics, topic, link);
}

int lqos_topic_add(struct lqos_ctx *ctx, const struct lqos_topic *decl,
		   void *arg)
{
	struct core_feed *feed = ctx->core->feed;
	autofree struct topic *topic = calloc(1, sizeof(*topic));
	struct topic *added;
	size_t len;

	if (!topic)
		return -ENOMEM;
	if (!feed)
		return lqos_fail(ctx, -ENOTCONN,
				 "topic %s: there is no feed in this run",
				 decl->name);
	len = snprintf(topic->name, sizeof(topic->name), "%s.%s", ctx->name,
		       decl->name);
	if (len >= sizeof(topic->name) || !*decl->name ||
	    decl->name[strspn(decl->name, NAME_CHARS)])
		return lqos_fail(ctx, -EINVAL,
				 "topic \"%s\": a short name of a-z 0-9 _ - is "
				 "needed",
				 decl->name);
	if (topic_find(feed, topic->name))
		return lqos_fail(ctx, -EEXIST,
				 "topic %s was added before: choose another "
				 "name",
				 topic->name);

	LIST_INIT(&topic->streams);
	topic->feed = feed;
	topic->decl = decl;
	topic->arg = arg;
	topic->ctx = ctx;
	topic_insert(feed, topic);
	added = steal_ptr(topic);
	return core_own(ctx, topic_release, added, &added->owned);
}

static int publish(struct topic *topic, const json_t *event)
{
	struct shared shared = {.seq = ++topic->seq, .ts = now_ns()};
	struct subscription *sub;
	struct stream *stream;
	int rc;

	if (LIST_EMPTY(&topic->streams))
		return 0;
	rc = core_bus_line_new(&shared.line, event, "}}\n");
	LIST_FOREACH(stream, &topic->streams, link) {
		LIST_FOREACH(sub, &stream->subscriptions, of_stream) {
			if (rc) {
				core_feed_miss(sub);
				continue;
			}
			core_feed_enqueue(sub, &shared);
			core_feed_reader_pump(sub->reader);
		}
	}
	core_bus_line_unref(shared.line);
	return rc;
}

int lqos_publish(struct lqos_ctx *ctx, const char *name, json_t *event)
{
	struct core_feed *feed = ctx->core->feed;
	struct topic *topic = NULL;
	char full[sizeof(topic->name)];
	int rc;

	snprintf(full, sizeof(full), "%s.%s", ctx->name, name);
	if (feed)
		topic = topic_find(feed, full);
	if (!event)
		rc = -ENOMEM;
	else if (!topic)
		rc = -ENOENT;
	else
		rc = publish(topic, event);
	json_decref(event);
	return rc;
}

/* ---- Commands ------------------------------------------------------------ */

static int subscribe_to(struct lqos_call *call, struct topic *topic,
			json_t *params, uint64_t every)
{
	struct core_feed *feed = topic->feed;
	struct reader *reader =
		core_feed_reader_get(feed, core_call_client(call));
	struct subscription *sub = NULL;
	char refused[256] = "not these params";
	struct stream *stream;
	const char *why;
	int first = -EAGAIN; /* no frame before the first tick */
	int rc;

	if (!reader)
		return -ENOMEM;
	if (reader->n >= CORE_FEED_SUBSCRIPTIONS_MAX)
		return lqos_call_fail(call, -EBUSY,
				      "a connection has at most %d "
				      "subscriptions: open another",
				      CORE_FEED_SUBSCRIPTIONS_MAX);
	if (topic->decl->check &&
	    topic->decl->check(params, refused, sizeof(refused), topic->arg))
		return lqos_call_fail(call, -EINVAL, "%s: %s", topic->name,
				      refused);
	rc = stream_get(&stream, topic, params, &why);
	if (rc)
		return lqos_call_fail(call, rc, "%s: %s", topic->name, why);

	if (topic->decl->frame && feed->ticks)
		first = stream_build(stream, now_ns());
	if (!first || first == -EAGAIN)
		sub = core_feed_subscription_new(reader, stream, every);
	if (!sub) {
		core_feed_stream_drop(stream);
		if (!first || first == -EAGAIN)
			return -ENOMEM;
		return lqos_call_fail(call, first,
				      "%s has no frame for these params: %s",
				      topic->name, strerror(-first));
	}

	/* It waits there until the answer has left. */
	if (!first)
		core_feed_enqueue(sub, &stream->last);
	lqos_call_result(call, json_pack("{s:I, s:i}", "subscription",
					 (json_int_t)sub->id, "schema",
					 CORE_FEED_SCHEMA));
	return 0;
}

static int cmd_subscribe(struct lqos_call *call, void *arg)
{
	json_t *args = (json_t *)lqos_call_params(call);
	struct core_feed *feed = arg;
	json_t *params = NULL;
	json_int_t every = 1;
	struct topic *topic;
	json_error_t error;
	const char *name;

	if (!core_call_client(call))
		return lqos_call_fail(call, -ENOTCONN,
				      "feed.subscribe needs a connection to "
				      "send frames to");
	if (json_unpack_ex(args, &error, JSON_STRICT, "{s:s, s?o, s?I}",
			   "topic", &name, "params", &params, "every", &every))
		return lqos_call_fail(call, -EINVAL,
				      "feed.subscribe: %s; expected {topic: "
				      "string, params?: object, every?: ticks}",
				      error.text);
	if (params && !json_is_object(params))
		return lqos_call_fail(call, -EINVAL,
				      "feed.subscribe: \"params\" is an object "
				      "or left out");
	if (every < 1 || every > EVERY_MAX)
		return lqos_call_fail(call, -EINVAL,
				      "feed.subscribe: \"every\" is 1 to %d "
				      "ticks",
				      EVERY_MAX);
	topic = topic_find(feed, name);
	if (!topic)
		return lqos_call_fail(call, -ENOENT,
				      "no topic \"%.64s\": feed.topics lists "
				      "those of the loaded modules",
				      name);
	if (!json_object_size(params))
		params = NULL;
	return subscribe_to(call, topic, params, every);
}

static int cmd_unsubscribe(struct lqos_call *call, void *arg)
{
	json_t *args = (json_t *)lqos_call_params(call);
	struct core_bus_client *client = core_call_client(call);
	struct reader *reader = core_feed_reader_find(arg, client);
	struct subscription *sub = NULL;
	json_error_t error;
	json_int_t id;

	if (json_unpack_ex(args, &error, JSON_STRICT, "{s:I}", "subscription",
			   &id))
		return lqos_call_fail(call, -EINVAL,
				      "feed.unsubscribe: %s; expected "
				      "{subscription: number}",
				      error.text);
	if (reader)
		TAILQ_FOREACH(sub, &reader->subscriptions, of_reader)
			if (sub->id == (uint64_t)id)
				break;
	if (!sub)
		return lqos_call_fail(call, -ENOENT,
				      "this connection has no subscription "
				      "%" JSON_INTEGER_FORMAT,
				      id);
	core_feed_subscription_free(sub);
	return 0;
}

static int cmd_topics(struct lqos_call *call, void *arg)
{
	struct core_feed *feed = arg;
	json_t *topics = json_array();
	const struct topic *topic;

	LIST_FOREACH(topic, &feed->topics, link)
		json_array_append_new(
			topics,
			json_pack("{s:s, s:s, s:b}", "topic", topic->name,
				  "help",
				  topic->decl->help ? topic->decl->help : "",
				  "events", !topic->decl->frame));
	lqos_call_result(call, topics);
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "subscribe",
	 .params = "{topic: string, params?: object, every?: ticks}",
	 .help = "Send the topic's frames to this connection",
	 .run = cmd_subscribe},
	{.name = "unsubscribe",
	 .params = "{subscription: number}",
	 .help = "Send no more of that subscription's frames",
	 .run = cmd_unsubscribe},
	{.name = "topics",
	 .params = "{}",
	 .help = "What can be subscribed to",
	 .run = cmd_topics},
};

/* ---- The feed ------------------------------------------------------------ */

int core_feed_new(struct core_feed **out, struct core *core)
{
	struct core_feed *feed CORE_CLEANUP(core_feed_free) =
		calloc(1, sizeof(*feed));
	int rc;

	if (!feed)
		return -ENOMEM;
	LIST_INIT(&feed->topics);
	LIST_INIT(&feed->readers);
	rc = core_ctx_new(&feed->ctx, core, "feed", 0);
	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		rc = lqos_command_add(feed->ctx, &commands[i], feed);
		if (rc)
			return rc;
	}
	*out = steal_ptr(feed);
	return 0;
}

void core_feed_free(struct core_feed **feed)
{
	struct core_feed *f = *feed;
	struct reader *reader;
	struct topic *topic;

	*feed = NULL;
	if (!f)
		return;

	core_ctx_free(&f->ctx);
	while ((reader = LIST_FIRST(&f->readers)))
		core_feed_reader_free(reader);
	while ((topic = LIST_FIRST(&f->topics))) {
		core_disown(topic->ctx, &topic->owned);
		topic_free(topic);
	}
	free(f);
}

void core_feed_stats(const struct core_feed *feed, struct core_feed_stats *out)
{
	*out = feed->stats;
}
