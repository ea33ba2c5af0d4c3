/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answers.c - what bus methods answer, as people want to read it. */
#include <stdio.h>
#include <string.h>

#include "core/answers.h"
#include "core/cleanup.h"
#include "core/show.h"

/* ---- core.bypass --------------------------------------------------------- */

static void show_bypass(json_t *value, bool verbose)
{
	(void)verbose;
	if (json_is_true(json_object_get(value, "bypass")))
		printf("bypass is on for another %" JSON_INTEGER_FORMAT
		       " s: packets pass untouched\n",
		       json_integer_value(
			       json_object_get(value, "seconds_left")));
	else
		puts("bypass is off");
}

/* ---- core.status --------------------------------------------------------- */

/* Removes zeros, and what is empty then, at any depth of objects. */
static void without_zeros(json_t *object)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, key, value) {
		without_zeros(value);
		if ((json_is_integer(value) && !json_integer_value(value)) ||
		    (json_is_object(value) && !json_object_size(value)))
			json_object_del(object, key);
	}
}

static void show_uptime(json_int_t seconds)
{
	json_int_t days = seconds / 86400;

	if (days)
		printf("%" JSON_INTEGER_FORMAT "d ", days);
	printf("%02d:%02d:%02d", (int)(seconds / 3600 % 24),
	       (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* Prints a member of status with text before it, and takes it out. */
static void show_member(json_t *status, const char *key, const char *before)
{
	json_t *value = json_object_get(status, key);
	autofree char *text = NULL;

	if (!value)
		return;
	text = show_cell(value);
	printf("%s%s", before, text);
	json_object_del(status, key);
}

/* The same as "key: value", or as a paragraph if it takes more than a line. */
static void show_paragraph(json_t *status, const char *key)
{
	json_t *one = json_object();

	if (!json_object_set(one, key, json_object_get(status, key))) {
		if (json_is_object(json_object_get(one, key)) ||
		    json_is_object(
			    json_array_get(json_object_get(one, key), 0)))
			putchar('\n');
		show_json(stdout, one, 0);
		json_object_del(status, key);
	}
	json_decref(one);
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void show_left_out(const json_t *problems)
{
	json_int_t skipped = number(problems, "skipped");
	json_int_t addresses = number(problems, "addresses");

	if (skipped)
		printf("; %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		       " rows were left out",
		       skipped, number(problems, "rows") + skipped);
	if (addresses)
		printf("%s %" JSON_INTEGER_FORMAT " addresses were left out",
		       skipped ? "," : ";", addresses);
	if (skipped || addresses)
		printf(", the log says why");
}

static void show_subscribers(json_t *status)
{
	if (!json_object_get(status, "subscribers"))
		return;
	show_member(status, "subscribers", "subscribers: ");
	show_member(status, "prefixes", ", prefixes: ");
	show_left_out(json_object_get(status, "problems"));
	json_object_del(status, "problems");
	putchar('\n');
}

static void show_status(json_t *status, bool verbose)
{
	static const char *const counters[] = {"counters", "loop", "bus",
					       "feed"};
	static const char *const first[] = {"modules", "run_dir",  "metadata",
					    "steered", "attached", "interfaces",
					    "chains",  "counters"};
	const json_t *uptime = json_object_get(status, "uptime");
	json_t *bypass = json_object_get(status, "bypass");
	const char *key;
	json_t *value;
	void *next;

	show_member(status, "version", "lqosd ");
	show_member(status, "pid", ", pid ");
	show_member(status, "state", ", ");
	if (json_is_integer(uptime)) {
		printf(", up ");
		show_uptime(json_integer_value(uptime));
		json_object_del(status, "uptime");
	}
	putchar('\n');
	show_subscribers(status);
	if (json_is_true(json_object_get(bypass, "bypass")))
		show_bypass(bypass, verbose);
	json_object_del(status, "bypass");

	for (size_t i = 0; i < ARRAY_SIZE(counters) && !verbose; i++) {
		value = json_object_get(status, counters[i]);
		without_zeros(value);
		if (json_is_object(value) && !json_object_size(value))
			json_object_del(status, counters[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		show_paragraph(status, first[i]);
	json_object_foreach_safe(status, next, key, value)
		show_paragraph(status, key);
}

/* ---- steering.plan ------------------------------------------------------- */

/* What a reload would say of the files. */
static void show_problems(const json_t *plan)
{
	json_int_t n = number(plan, "problems");
	const json_t *messages = json_object_get(plan, "messages"), *message;
	size_t i;

	if (!n)
		return;
	printf("%" JSON_INTEGER_FORMAT " problems in the files:\n", n);
	json_array_foreach((json_t *)messages, i, message) {
		autofree char *text = show_cell(message);

		printf("  %s\n", text);
	}
	n -= (json_int_t)json_array_size(messages);
	if (n > 0)
		printf("  and %" JSON_INTEGER_FORMAT " more: the log has all\n",
		       n);
}

static void show_plan(json_t *value, bool verbose)
{
	static const char *const kinds[][2] = {
		{"add", "to add"},
		{"remove", "to remove"},
		{"change", "to change"},
		{"drift", "to mend in the kernel"},
	};
	json_int_t n, not_shown = number(value, "not_shown");
	const char *comma = "";

	(void)verbose;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		n = number(value, kinds[i][0]);
		if (!n)
			continue;
		printf("%s%" JSON_INTEGER_FORMAT " %s", comma, n, kinds[i][1]);
		comma = ", ";
	}
	puts(*comma ? "" : "files and kernel agree: nothing to change");
	if (*comma)
		show_json(stdout, json_object_get(value, "changes"), 0);
	if (not_shown)
		printf("and %" JSON_INTEGER_FORMAT " more: limit=N shows N\n",
		       not_shown);
	show_problems(value);
}

/* ---- Methods of a module ------------------------------------------------- */

static char *member(const json_t *object, const char *key)
{
	return show_cell(json_object_get(object, key));
}

void answer_show_verbs(const json_t *verbs)
{
	const json_t *verb;
	int width = 0;
	size_t i;

	json_array_foreach((json_t *)verbs, i, verb) {
		autofree char *name = member(verb, "verb");

		if ((int)strlen(name) > width)
			width = strlen(name);
	}
	json_array_foreach((json_t *)verbs, i, verb) {
		bool write = json_is_true(json_object_get(verb, "write"));
		autofree char *name = member(verb, "verb");
		autofree char *params = member(verb, "params");
		autofree char *help = member(verb, "help");

		printf("%-*s  %s%s\n", width, name, help,
		       write ? " (root)" : "");
		if (*params && strcmp(params, "{}"))
			printf("%*s  %s\n", width, "", params);
	}
}

/* ---- All ----------------------------------------------------------------- */

static const struct {
	const char *method;
	void (*show)(json_t *value, bool verbose);
} answers[] = {
	{"core.bypass", show_bypass},
	{"core.status", show_status},
	{"steering.plan", show_plan},
};

void answer_show(const char *method, json_t *value, bool verbose)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (!strcmp(answers[i].method, method)) {
			answers[i].show(value, verbose);
			return;
		}
	if (!json_is_null(value))
		show_json(stdout, value, 0);
}
