/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqtop.c - the feed behind the lqtop client: topic and command "lqtop.top".
 *
 * A frame holds the columns that exist, whoever made them, and the rows of the
 * subscribers that come first in the order that the reader asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/lqtop/frame.h"

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif

#define PARAMS                                                              \
	"{sort?: string, reverse?: bool, limit?: number, offset?: number, " \
	"detail?: bool, filter?: string}"

enum { WHY_MAX = 512 };

/* ---- What the reader asked for ------------------------------------------ */

static int params_parse(const json_t *json, struct params *out, char *why,
			size_t why_size)
{
	json_int_t limit = LIMIT_DEFAULT, offset = 0;
	const char *filter = "";
	struct params p = {0};
	int reverse = 0, detail = 0;
	json_error_t error;

	/* jansson reads only, but takes no const */
	if (json &&
	    json_unpack_ex((json_t *)json, &error, JSON_STRICT,
			   "{s?s s?b s?I s?I s?b s?s}", "sort", &p.sort,
			   "reverse", &reverse, "limit", &limit, "offset",
			   &offset, "detail", &detail, "filter", &filter)) {
		snprintf(why, why_size, "params: %s; expected " PARAMS,
			 error.text);
		return -EINVAL;
	}
	if (limit < 0 || limit > LIMIT_MAX) {
		snprintf(why, why_size,
			 "limit: %" JSON_INTEGER_FORMAT
			 " is not within 0 to %d; page with offset",
			 limit, LIMIT_MAX);
		return -EINVAL;
	}
	if (offset < 0 || offset > INT32_MAX) {
		snprintf(why, why_size,
			 "offset: %" JSON_INTEGER_FORMAT
			 " is not within 0 to %d",
			 offset, INT32_MAX);
		return -EINVAL;
	}
	if (strlen(filter) >= FILTER_MAX) {
		snprintf(why, why_size, "filter: longer than %d bytes",
			 FILTER_MAX - 1);
		return -EINVAL;
	}
	for (size_t i = 0; filter[i]; i++)
		p.filter[i] = lower(filter[i]);
	p.reverse = reverse;
	p.detail = detail;
	p.limit = limit;
	p.offset = offset;
	*out = p;
	return 0;
}

/* ---- The frame ----------------------------------------------------------- */

static void count_subscribers(struct lqtop *top)
{
	uint32_t slots = lqos_subscriber_slots(top->ctx);

	top->known = 0;
	for (uint32_t slot = 1; slot < slots; slot++)
		top->known += lqos_subscriber(top->ctx, slot) != NULL;
	top->known_stale = false;
}

static int build(struct lqtop *top, const json_t *json, json_t **out, char *why,
		 size_t why_size)
{
	const struct lqos_snapshot *snapshot = lqos_snapshot(top->ctx);
	json_t *subscribers = NULL, *interfaces = NULL, *global = NULL;
	struct lqos_snapshot_time time;
	struct params params;
	json_t *frame;
	int rc;

	rc = params_parse(json, &params, why, why_size);
	if (rc)
		return rc;
	if (!snapshot) {
		snprintf(why, why_size, "no data yet; ask again in a second");
		return -EAGAIN;
	}
	snprintf(why, why_size, "out of memory");
	if (top->known_stale)
		count_subscribers(top);
	time = lqos_snapshot_time(snapshot);
	rc = frame_subscribers(top, snapshot, &params, &subscribers);
	if (rc == -EINVAL)
		snprintf(why, why_size,
			 "sort: subscribers have no column \"%s\"; expected a "
			 "name from \"columns\"",
			 params.sort);
	if (rc)
		return rc;
	rc = frame_interfaces(top, snapshot, params.detail, &interfaces);
	if (!rc)
		rc = frame_global(snapshot, params.detail, &global);
	frame = json_pack("{sI sI sI so* so* so*}", "seq", (json_int_t)time.seq,
			  "ts_ns", (json_int_t)time.ts_ns, "interval_ns",
			  (json_int_t)time.interval_ns, "subscribers",
			  subscribers, "interfaces", interfaces, "global",
			  global);
	if (rc || !frame) {
		json_decref(frame);
		return -ENOMEM;
	}
	*out = frame;
	return 0;
}

static int top_frame(const json_t *params, json_t **frame, void *arg)
{
	char why[WHY_MAX];

	return build(arg, params, frame, why, sizeof(why));
}

static int top_check(const json_t *params, char *why, size_t size, void *arg)
{
	struct params p;

	(void)arg;
	return params_parse(params, &p, why, size);
}

static const struct lqos_topic top_topic = {
	.name = "top",
	.help = "subscribers by any column, interfaces and totals, " PARAMS,
	.frame = top_frame,
	.check = top_check,
};

static int top_run(struct lqos_call *call, void *arg)
{
	json_t *frame;
	char why[WHY_MAX];
	int rc;

	rc = build(arg, lqos_call_params(call), &frame, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	lqos_call_result(call, frame);
	return 0;
}

static const struct lqos_command top_command = {
	.name = "top",
	.params = PARAMS,
	.help = "one frame of the topic of this name, at once",
	.run = top_run,
};

/* ---- The module ---------------------------------------------------------- */

/* A load changes thousands at once: they are counted when it matters. */
static void subscribers_changed(void *arg)
{
	struct lqtop *top = arg;

	top->known_stale = true;
}

static int lqtop_start(struct lqos_ctx *ctx, const void *config, void **state)
{
	struct lqtop *top = calloc(1, sizeof(*top));
	int rc;

	(void)config;
	if (!top)
		return -ENOMEM;
	top->ctx = ctx;
	top->known_stale = true;
	rc = lqos_defer(ctx, free, top);
	if (rc)
		return rc;
	*state = top;
	rc = lqos_subscribers_watch(ctx, subscribers_changed, top);
	if (rc)
		return rc;
	rc = lqos_command_add(ctx, &top_command, top);
	if (rc)
		return rc;
	return lqos_topic_add(ctx, &top_topic, top);
}

static const struct lqos_option lqtop_options[] = {LQOS_OPTIONS_END};

LQOS_MODULE(.name = "lqtop", .version = PACKAGE_VERSION,
	    .description = "Tables of all columns, for the lqtop client",
	    .options = lqtop_options, .start = lqtop_start);
