/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steering.plan: what reading the files again would change. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "modules/steering/steering.h"

enum { KINDS = LQOS_CHANGE_PROBLEM + 1, LIMIT = 1000, LIMIT_MAX = 1000000 };

static const char *const kinds[KINDS] = {
	[LQOS_CHANGE_ADD] = "add",
	[LQOS_CHANGE_REMOVE] = "remove",
	[LQOS_CHANGE_OTHER] = "change",
	[LQOS_CHANGE_DRIFT] = "drift",
};

struct answer {
	json_t *rows;
	json_t *problems; /* the first of them, as the log has them */
	json_int_t n_problems;
	json_int_t limit;
	json_int_t n[KINDS];
};

/* A list as it grows: "a, b". */
struct words {
	FILE *f;
	char *text;
	size_t len;
};

static void add(struct words *w, const char *fmt, ...) LQOS_PRINTF(2, 3);

static void add(struct words *w, const char *fmt, ...)
{
	va_list ap;

	if (ftell(w->f))
		fputs(", ", w->f);
	va_start(ap, fmt);
	vfprintf(w->f, fmt, ap);
	va_end(ap);
}

static void add_rate(struct words *w, const char *name, uint64_t from,
		     uint64_t to)
{
	if (from != to)
		add(w, "%s %g to %g Mbit/s", name, from / 1e6, to / 1e6);
}

static void add_other(struct words *w, const struct lqos_change *c)
{
	const struct lqos_subscriber *a = c->from, *b = c->to;

	/* Both are somebody's.
	 * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (strcmp(a->circuit_id, b->circuit_id))
		add(w, "circuit %s to %s", a->circuit_id, b->circuit_id);
	if (strcmp(c->from_node, c->to_node))
		add(w, "node %s to %s", *c->from_node ? c->from_node : "(root)",
		    *c->to_node ? c->to_node : "(root)");
	add_rate(w, "download", a->down_max, b->down_max);
	add_rate(w, "download minimum", a->down_min, b->down_min);
	add_rate(w, "upload", a->up_max, b->up_max);
	add_rate(w, "upload minimum", a->up_min, b->up_min);
}

static void add_side(struct words *w, const char *who,
		     const struct lqos_subscriber *s, uint32_t handle,
		     uint32_t cpu)
{
	char class[16];

	if (!s && !handle) {
		add(w, "%s has nothing", who);
		return;
	}
	add(w, "%s has circuit %s in class %s on CPU %d", who,
	    s ? s->circuit_id : "(unknown)",
	    steering_class(handle, class, sizeof(class)), (int)cpu);
}

static void describe(struct words *w, const struct lqos_change *c)
{
	if (!c->prefix)
		add(w, "has no address of its own");
	switch (c->kind) {
	case LQOS_CHANGE_ADD:
		add(w, "under %s", *c->to_node ? c->to_node : "(root)");
		/* It will be somebody's.
		 * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		add(w, "download %g Mbit/s", c->to->down_max / 1e6);
		add(w, "upload %g Mbit/s", c->to->up_max / 1e6);
		break;
	case LQOS_CHANGE_OTHER:
		add_other(w, c);
		break;
	case LQOS_CHANGE_DRIFT:
		add_side(w, "the kernel", c->from, c->from_handle, c->from_cpu);
		add_side(w, "the daemon", c->to, c->to_handle, c->to_cpu);
		break;
	case LQOS_CHANGE_REMOVE:
	case LQOS_CHANGE_PROBLEM:
		break;
	}
}

static int add_problem(const struct lqos_change *c, struct answer *a)
{
	a->n_problems = (json_int_t)c->problems;
	return json_array_append_new(a->problems, json_string(c->problem))
		       ? -ENOMEM
		       : 0;
}

static int add_change(const struct lqos_change *c, void *arg)
{
	const struct lqos_subscriber *s = c->to ? c->to : c->from;
	uint32_t handle = c->from ? c->from_handle : c->to_handle;
	uint32_t cpu = c->from ? c->from_cpu : c->to_cpu;
	char ip[STEERING_PREFIX_TEXT] = "", class[16] = "";
	struct words details = {};
	struct answer *a = arg;
	json_t *row;

	if (c->kind == LQOS_CHANGE_PROBLEM)
		return add_problem(c, a);
	a->n[c->kind]++;
	if (c->prefix)
		steering_prefix(c->prefix, ip, sizeof(ip));
	if (json_array_size(a->rows) >= (size_t)a->limit)
		return 0;
	details.f = open_memstream(&details.text, &details.len);
	if (!details.f)
		return -ENOMEM;
	describe(&details, c);
	fclose(details.f);
	if (handle)
		steering_class(handle, class, sizeof(class));
	row = json_pack("{s:s, s:s, s:s, s:s}", "change", kinds[c->kind], "ip",
			ip, "circuit_id", s ? s->circuit_id : "", "class",
			class);
	json_object_set_new(row, "cpu",
			    cpu == UINT32_MAX ? json_null()
					      : json_integer(cpu));
	json_object_set_new(row, "details", json_string(details.text));
	free(details.text);
	return json_array_append_new(a->rows, row) ? -ENOMEM : 0;
}

static json_t *answer_json(const struct answer *a)
{
	json_t *out = json_object();
	json_int_t all = 0;
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		if (!kinds[kind])
			continue;
		json_object_set_new(out, kinds[kind], json_integer(a->n[kind]));
		all += a->n[kind];
	}
	json_object_set_new(
		out, "not_shown",
		json_integer(all - (json_int_t)json_array_size(a->rows)));
	json_object_set(out, "changes", a->rows);
	json_object_set_new(out, "problems", json_integer(a->n_problems));
	json_object_set(out, "messages", a->problems);
	return out;
}

static int plan_fail(struct lqos_call *call, int rc, const struct answer *a)
{
	const char *why = json_string_value(json_array_get(a->problems, 0));

	return lqos_call_fail(call, rc,
			      "a reload would be refused, and change nothing: "
			      "%s",
			      why ?: strerror(-rc));
}

int steering_plan(struct lqos_call *call, void *arg)
{
	const json_t *limit = json_object_get(lqos_call_params(call), "limit");
	struct answer a = {.limit = LIMIT};
	struct steering *st = arg;
	int rc;

	if (limit)
		a.limit = json_integer_value(limit);
	if (limit &&
	    (!json_is_integer(limit) || a.limit < 0 || a.limit > LIMIT_MAX))
		return lqos_call_fail(call, -EINVAL,
				      "limit: expected a number from 0 to %d",
				      LIMIT_MAX);
	steering_catch_up(st);
	a.rows = json_array();
	a.problems = json_array();
	rc = lqos_changes(st->ctx, add_change, &a);
	if (!rc)
		lqos_call_result(call, answer_json(&a));
	else
		rc = plan_fail(call, rc, &a);
	json_decref(a.rows);
	json_decref(a.problems);
	return rc;
}
