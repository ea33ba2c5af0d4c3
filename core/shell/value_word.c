/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* value_word.c - words of a command line as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/shell/shape.h"
#include "core/shell/value.h"

static int refuse(char *why, size_t size, const char *text, const char *what)
{
	snprintf(why, size, "\"%.60s\": %s", text, what);
	for (; *why; why++)
		if ((unsigned char)*why < ' ' || *why == 0x7f)
			*why = '?';
	return -EINVAL;
}

/* What is no JSON is a bare scalar: a name, an address. */
static int scalar(const char *text, json_t **out, char *why, size_t size)
{
	const int flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
	json_error_t error;
	json_t *value = json_loads(text, flags, &error);

	if (!value && (*text == '{' || *text == '[' || *text == '"')) {
		refuse(why, size, text, error.text);
		if (json_error_code(&error) == json_error_numeric_overflow)
			refuse(why, size, text,
			       "numbers over 9223372036854775807 have to be "
			       "strings in JSON");
		return -EINVAL;
	}
	if (!value)
		value = json_string(text);
	if (!value)
		return refuse(why, size, text, "expected text in UTF-8");
	*out = value;
	return 0;
}

/* NAME.NAME...: objects on the way are made. */
static int put(json_t *into, char *path, json_t *value, char *why, size_t size)
{
	const char *whole = path;
	int depth = 0;

	for (char *dot; (dot = strchr(path, '.')); path = dot + 1) {
		json_t *next;

		*dot = '\0';
		next = json_object_get(into, path);
		if (!next && !json_object_set_new(into, path, json_object()))
			next = json_object_get(into, path);
		if (!json_is_object(next) || ++depth > SHAPE_DEPTH) {
			json_decref(value);
			return refuse(why, size, whole,
				      "expected NAME.NAME... without what is "
				      "given already");
		}
		into = next;
	}
	if (json_object_get(into, path)) {
		json_decref(value);
		return refuse(why, size, path, "is given twice");
	}
	if (json_object_set_new(into, path, value))
		return refuse(why, size, path, "expected text in UTF-8");
	return 0;
}

/* Up to the next comma that is not within JSON. */
static char *next_part(char **rest)
{
	char *part = *rest, *c;
	bool quoted = false;
	int depth = 0;

	if (!part)
		return NULL;
	for (c = part; *c && (quoted || depth || *c != ','); c++) {
		if (*c == '"')
			quoted = !quoted;
		else if (quoted)
			c += *c == '\\' && c[1];
		else
			depth += (*c == '[' || *c == '{') -
				 (*c == ']' || *c == '}');
	}
	*rest = *c ? c + 1 : NULL;
	*c = '\0';
	return part;
}

static int assign(const char *word, json_t *into, char *why, size_t size)
{
	autofree char *copy = strdup(word);
	char *rest = copy, *part, *equals;
	json_t *value = NULL;
	int rc = copy ? 0 : -ENOMEM;

	while (!rc && (part = next_part(&rest))) {
		equals = strchr(part, '=');
		if (!equals || equals == part)
			return refuse(why, size, part, "expected NAME=VALUE");
		*equals = '\0';
		rc = scalar(equals + 1, &value, why, size);
		if (!rc)
			rc = put(into, part, value, why, size);
	}
	return rc;
}

int value_word(const char *word, json_t **into, char *why, size_t why_size)
{
	json_t *object = *into;
	int rc;

	snprintf(why, why_size, "no memory");
	if (*word == '{' || *word == '[' || *word == '"' ||
	    !strchr(word, '=')) {
		if (object)
			return refuse(why, why_size, word,
				      "expected NAME=VALUE");
		return scalar(word, into, why, why_size);
	}
	if (object && !json_is_object(object))
		return refuse(why, why_size, word, "expected one value");
	object = object ? json_incref(object) : json_object();
	rc = object ? assign(word, object, why, why_size) : -ENOMEM;
	if (!rc && !*into)
		*into = json_incref(object);
	json_decref(object);
	return rc;
}
