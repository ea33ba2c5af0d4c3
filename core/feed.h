/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* feed.h - what feed.c (topics) and feed_reader.c (their readers) share. */
#ifndef CORE_FEED_H
#define CORE_FEED_H

#include <sys/queue.h>

#include <jansson.h>

#include "core/core.h"

struct topic {
	LIST_ENTRY(topic) link; /* sorted by name */
	LIST_HEAD(, stream) streams;
	struct core_feed *feed;
	const struct lqos_topic *decl;
	void *arg;
	struct lqos_ctx *ctx;
	struct core_owned *owned;
	uint64_t seq; /* of the last tick or event */
	char name[96];
};

/* What is sent of a frame to everybody who reads it. */
struct shared {
	struct core_bus_line *line; /* NULL: there is none */
	uint64_t seq;
	uint64_t ts;
};

struct stream {
	LIST_ENTRY(stream) link;
	LIST_HEAD(, subscription) subscriptions;
	struct topic *topic;
	json_t *params;
	char *key;	    /* params as text */
	struct shared last; /* the last tick's, for those who come after it */
	uint64_t built;	    /* in this tick of the feed; 0: never */
};

struct frame {
	struct shared shared;
	uint64_t lost; /* between the frame before and this one */
	uint64_t age;  /* frames were queued in this order */
};

struct subscription {
	LIST_ENTRY(subscription) of_stream;
	TAILQ_ENTRY(subscription) of_reader; /* served last: at the end */
	struct stream *stream;
	struct reader *reader;
	uint64_t id;
	uint64_t every;
	struct frame queue[CORE_FEED_QUEUE_FRAMES];
	unsigned int first, queued;
	uint64_t lost; /* since the last frame that was queued */
};

/* A bus client that has subscribed to something. */
struct reader {
	LIST_ENTRY(reader) link;
	TAILQ_HEAD(, subscription) subscriptions;
	struct core_feed *feed;
	struct core_bus_client *client;
	unsigned int n;
	size_t bytes; /* queued */
};

struct core_feed {
	struct lqos_ctx *ctx;
	LIST_HEAD(, topic) topics;
	LIST_HEAD(, reader) readers;
	struct core_feed_stats stats;
	uint64_t ticks;
	uint64_t last_id;
	uint64_t last_age;
	unsigned int n_streams;
};

/* Frees a stream that nobody reads any more. */
void core_feed_stream_drop(struct stream *stream);

/* The reader of that client, or NULL. */
struct reader *core_feed_reader_find(struct core_feed *feed,
				     const struct core_bus_client *client);
/* The same, but made if need be; NULL: no memory. */
struct reader *core_feed_reader_get(struct core_feed *feed,
				    struct core_bus_client *client);
void core_feed_reader_free(struct reader *reader);
/* Sends one frame, if the client has taken all that came before. */
void core_feed_reader_pump(struct reader *reader);

/* NULL: no memory. */
struct subscription *core_feed_subscription_new(struct reader *reader,
						struct stream *stream,
						uint64_t every);
/* Drops the stream with its last subscription. */
void core_feed_subscription_free(struct subscription *sub);
/* Queues a frame, for which older ones may have to go. */
void core_feed_enqueue(struct subscription *sub, const struct shared *shared);
/* There should have been a frame here, and is none. */
void core_feed_miss(struct subscription *sub);

#endif /* CORE_FEED_H */
