/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.c - lqtop's connection to the feed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/client.h"
#include "modules/lqtop/link.h"
#include "modules/lqtop/view.h"

#define TOPIC "lqtop.top"

enum {
	CALL_MS = 2000,
	FIRST_MS = 5000, /* a daemon that has just started has no frame yet */
};

struct link {
	struct client *client;
	json_int_t subscription; /* 0: none */
};

int link_open(struct link **out, const char *path, char why[static WHY])
{
	struct link *link = calloc(1, sizeof(*link));
	int rc;

	if (!link) {
		snprintf(why, WHY, "out of memory");
		return -ENOMEM;
	}
	rc = client_open(&link->client, path, why, WHY);
	if (rc) {
		free(link);
		return rc;
	}
	*out = link;
	return 0;
}

void link_close(struct link **link)
{
	if (!*link)
		return;
	client_close(&(*link)->client);
	free(*link);
	*link = NULL;
}

int link_fd(const struct link *link)
{
	return client_fd(link->client);
}

/* Only what is not the default, so that readers share what is built. */
static json_t *query_json(const struct query *q)
{
	json_t *params = json_object();

	if (*q->sort)
		json_object_set_new(params, "sort", json_string(q->sort));
	if (*q->filter)
		json_object_set_new(params, "filter", json_string(q->filter));
	if (q->reverse)
		json_object_set_new(params, "reverse", json_true());
	if (q->detail)
		json_object_set_new(params, "detail", json_true());
	if (q->offset)
		json_object_set_new(params, "offset", json_integer(q->offset));
	json_object_set_new(params, "limit", json_integer(q->limit));
	return params;
}

static int unsubscribe(struct link *link, char why[static WHY])
{
	json_t *result;
	int rc;

	rc = client_call(link->client, "feed.unsubscribe",
			 json_pack("{sI}", "subscription", link->subscription),
			 CALL_MS, &result, why, WHY);
	if (rc)
		return rc;
	json_decref(result);
	link->subscription = 0;
	return 0;
}

int link_subscribe(struct link *link, const struct query *query,
		   char why[static WHY])
{
	json_t *result;
	int rc = 0;

	if (link->subscription)
		rc = unsubscribe(link, why);
	if (rc)
		return rc;
	rc = client_call(link->client, "feed.subscribe",
			 json_pack("{ss so sI}", "topic", TOPIC, "params",
				   query_json(query), "every",
				   (json_int_t)query->every),
			 CALL_MS, &result, why, WHY);
	if (rc == -EREMOTEIO && !strncmp(why, "no topic", 8))
		snprintf(why, WHY,
			 "lqosd runs without its module lqtop: add "
			 "it to modules in lqos.ini");
	if (rc)
		return rc;
	rc = json_unpack(result, "{sI}", "subscription", &link->subscription);
	json_decref(result);
	if (!rc)
		return 0;
	snprintf(why, WHY,
		 "the answer to feed.subscribe has no number: lqtop "
		 "and lqosd are of different versions");
	return -EPROTO;
}

/* Is this a frame of the subscription of now?  Its params: borrowed. */
static json_t *frame_of(const struct link *link, json_t *message)
{
	json_int_t subscription;
	const char *method;
	json_t *params, *data;

	if (json_unpack(message, "{ss so}", "method", &method, "params",
			&params) ||
	    strcmp(method, "feed.frame") ||
	    json_unpack(params, "{sI so}", "subscription", &subscription,
			"data", &data) ||
	    subscription != link->subscription)
		return NULL;
	return params;
}

static bool is_end(json_t *message)
{
	const char *method =
		json_string_value(json_object_get(message, "method"));

	return method && !strcmp(method, "feed.end");
}

int link_next(struct link *link, int timeout_ms, json_t **frame,
	      char why[static WHY])
{
	json_t *message, *params;
	bool end;
	int rc;

	for (;;) {
		rc = client_next(link->client, timeout_ms, &message);
		if (rc == -ETIMEDOUT)
			return rc;
		if (rc) {
			snprintf(why, WHY, "lost the connection to lqosd: %s",
				 strerror(-rc));
			return rc;
		}
		params = json_incref(frame_of(link, message));
		end = is_end(message);
		json_decref(message);
		if (params) {
			*frame = params;
			return 0;
		}
		if (end) {
			snprintf(why, WHY, "lqosd stopped its module lqtop");
			return -ECONNRESET;
		}
	}
}

int link_resolve(struct link *link, char *sort, size_t size,
		 char why[static WHY])
{
	/* no rows, but all columns */
	const struct query query = {.detail = true, .every = 1};
	CORE_CLEANUP(view_free) struct view *view = NULL;
	json_t *frame = NULL;
	size_t column;
	int rc;

	rc = link_subscribe(link, &query, why);
	if (rc)
		return rc;
	rc = link_next(link, FIRST_MS, &frame, why);
	if (rc == -ETIMEDOUT)
		snprintf(why, WHY, "lqosd sends nothing: is it overloaded?");
	if (rc)
		return rc;
	rc = view_new(&view, json_object_get(frame, "data"));
	json_decref(frame);
	if (rc) {
		snprintf(why, WHY,
			 "not a frame of " TOPIC ": lqtop and lqosd "
			 "are of different versions");
		return rc;
	}
	rc = column_find(&view->subscribers, sort, &column, why, WHY);
	if (rc)
		return rc;
	snprintf(sort, size, "%s", view->subscribers.columns[column].name);
	return 0;
}
