/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The feed's readers: bus clients with subscriptions and their short queues.
 *
 * Frames leave the queue one at a time, each when the client has taken all that
 * it was sent before, so a slow client holds up nobody and what it loses is
 * known.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/feed.h"

/* ---- Queues -------------------------------------------------------------- */

static struct frame *first_frame(struct subscription *sub)
{
	return sub->queued ? &sub->queue[sub->first] : NULL;
}

/* Takes the first frame off the queue; its line's reference is the caller's. */
static struct frame take_first(struct subscription *sub)
{
	struct frame frame = sub->queue[sub->first];

	sub->first = (sub->first + 1) % CORE_FEED_QUEUE_FRAMES;
	sub->queued--;
	sub->reader->bytes -= core_bus_line_size(frame.shared.line);
	return frame;
}

/* n frames from before all that are queued will never arrive. */
static void lost_before_queue(struct subscription *sub, uint64_t n)
{
	struct frame *next = first_frame(sub);

	if (next)
		next->lost += n;
	else
		sub->lost += n;
}

static void lose_first(struct subscription *sub)
{
	struct frame frame = take_first(sub);

	core_bus_line_unref(frame.shared.line);
	lost_before_queue(sub, frame.lost + 1);
	sub->reader->feed->stats.dropped++;
}

/* The subscription whose first frame waits longest. */
static struct subscription *oldest(struct reader *reader)
{
	struct subscription *sub, *found = NULL;

	TAILQ_FOREACH(sub, &reader->subscriptions, of_reader)
		if (sub->queued &&
		    (!found || first_frame(sub)->age < first_frame(found)->age))
			found = sub;
	return found;
}

void core_feed_enqueue(struct subscription *sub, const struct shared *shared)
{
	struct reader *reader = sub->reader;
	size_t size = core_bus_line_size(shared->line);
	struct subscription *first;
	struct frame *frame;

	/* One that is larger than the bound goes alone. */
	while (reader->bytes + size > CORE_FEED_QUEUE_BYTES &&
	       (first = oldest(reader)))
		lose_first(first);
	if (sub->queued == CORE_FEED_QUEUE_FRAMES)
		lose_first(sub);

	frame = &sub->queue[(sub->first + sub->queued) %
			    CORE_FEED_QUEUE_FRAMES];
	frame->shared = *shared;
	core_bus_line_ref(shared->line);
	frame->lost = sub->lost;
	frame->age = ++reader->feed->last_age;
	sub->lost = 0;
	sub->queued++;
	reader->bytes += size;
}

void core_feed_miss(struct subscription *sub)
{
	sub->lost++;
	sub->reader->feed->stats.dropped++;
}

static void send_frame(struct subscription *sub)
{
	struct core_feed_stats *stats = &sub->reader->feed->stats;
	struct frame frame = take_first(sub);
	char head[384];
	int rc;

	snprintf(head, sizeof(head),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"feed.frame\",\"params\":{"
		 "\"subscription\":%" PRIu64 ",\"topic\":\"%s\",\"schema\":%d,"
		 "\"seq\":%" PRIu64 ",\"ts\":%" PRIu64 ",\"dropped\":%" PRIu64
		 ",\"data\":",
		 sub->id, sub->stream->topic->name, CORE_FEED_SCHEMA,
		 frame.shared.seq, frame.shared.ts, frame.lost);
	rc = core_bus_client_send(sub->reader->client, head, frame.shared.line);
	if (rc) {
		lost_before_queue(sub, frame.lost + 1);
		stats->dropped++;
	} else {
		stats->frames++;
		stats->bytes +=
			strlen(head) + core_bus_line_size(frame.shared.line);
	}
	core_bus_line_unref(frame.shared.line);
}

void core_feed_reader_pump(struct reader *reader)
{
	struct subscription *sub;

	if (core_bus_client_pending(reader->client))
		return;
	TAILQ_FOREACH(sub, &reader->subscriptions, of_reader)
		if (sub->queued)
			break;
	if (!sub)
		return;
	TAILQ_REMOVE(&reader->subscriptions, sub, of_reader);
	TAILQ_INSERT_TAIL(&reader->subscriptions, sub, of_reader);
	send_frame(sub);
}

/* ---- Readers and their subscriptions ------------------------------------- */

void core_feed_subscription_free(struct subscription *sub)
{
	struct stream *stream = sub->stream;
	struct reader *reader = sub->reader;

	while (sub->queued) {
		struct frame frame = take_first(sub);

		core_bus_line_unref(frame.shared.line);
	}
	LIST_REMOVE(sub, of_stream);
	TAILQ_REMOVE(&reader->subscriptions, sub, of_reader);
	reader->n--;
	reader->feed->stats.subscriptions--;
	free(sub);
	core_feed_stream_drop(stream);
}

void core_feed_reader_free(struct reader *reader)
{
	struct subscription *sub;

	while ((sub = TAILQ_FIRST(&reader->subscriptions)))
		core_feed_subscription_free(sub);
	core_bus_client_on_close(reader->client, NULL, NULL);
	core_bus_client_on_drain(reader->client, NULL, NULL);
	LIST_REMOVE(reader, link);
	free(reader);
}

static void on_close(struct core_bus_client *client, void *arg)
{
	(void)client;
	core_feed_reader_free(arg);
}

static void on_drain(struct core_bus_client *client, void *arg)
{
	(void)client;
	core_feed_reader_pump(arg);
}

struct reader *core_feed_reader_find(struct core_feed *feed,
				     const struct core_bus_client *client)
{
	struct reader *reader;

	LIST_FOREACH(reader, &feed->readers, link)
		if (reader->client == client)
			return reader;
	return NULL;
}

struct reader *core_feed_reader_get(struct core_feed *feed,
				    struct core_bus_client *client)
{
	struct reader *reader = core_feed_reader_find(feed, client);

	if (reader)
		return reader;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return NULL;
	TAILQ_INIT(&reader->subscriptions);
	reader->feed = feed;
	reader->client = client;
	LIST_INSERT_HEAD(&feed->readers, reader, link);
	core_bus_client_on_close(client, on_close, reader);
	core_bus_client_on_drain(client, on_drain, reader);
	return reader;
}

struct subscription *core_feed_subscription_new(struct reader *reader,
						struct stream *stream,
						uint64_t every)
{
	struct subscription *sub = calloc(1, sizeof(*sub));

	if (!sub)
		return NULL;
	sub->stream = stream;
	sub->reader = reader;
	sub->id = ++reader->feed->last_id;
	sub->every = every;
	LIST_INSERT_HEAD(&stream->subscriptions, sub, of_stream);
	TAILQ_INSERT_TAIL(&reader->subscriptions, sub, of_reader);
	reader->n++;
	reader->feed->stats.subscriptions++;
	return sub;
}
