/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* params.c - words of a command line into the parameters of a bus method. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/cleanup.h"
#include "core/params.h"

#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

struct param {
	const char *name, *type; /* in the declaration */
	size_t name_len, type_len;
};

/* "name?: type, ...": returns what is behind it, or NULL: there is no more. */
static const char *next_param(const char *text, struct param *out)
{
	int depth = 0;

	text += strcspn(text, NAME);
	if (!*text)
		return NULL;
	out->name = text;
	out->name_len = strspn(text, NAME);
	text += out->name_len;
	text += strspn(text, "?: ");
	out->type = text;
	for (; *text && (depth || !strchr(",}", *text)); text++)
		depth += strchr("{[(", *text)	? 1
			 : strchr("}])", *text) ? -1
						: 0;
	out->type_len = text - out->type;
	return text;
}

static bool find_param(const char *declared, const char *name, size_t len,
		       struct param *out)
{
	while ((declared = next_param(declared, out)))
		if (out->name_len == len && !strncmp(out->name, name, len))
			return true;
	return false;
}

/* The first that has no value yet. */
static bool find_free(const char *declared, const json_t *params,
		      struct param *out)
{
	while ((declared = next_param(declared, out))) {
		autofree char *name = strndup(out->name, out->name_len);

		if (name && !json_object_get(params, name))
			return true;
	}
	return false;
}

static bool is_type(const struct param *param, const char *type)
{
	return param->type_len >= strlen(type) &&
	       !strncmp(param->type, type, strlen(type));
}

/* A type in quotes is a string of that form. */
static bool is_string(const struct param *param)
{
	return is_type(param, "string") || is_type(param, "\"");
}

static json_t *as_bool(const char *text)
{
	static const char *const yes[] = {"yes", "on", "true", "1"};
	static const char *const no[] = {"no", "off", "false", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcasecmp(text, yes[i]))
			return json_true();
		if (!strcasecmp(text, no[i]))
			return json_false();
	}
	return NULL;
}

/* JSON where it is some; else what was typed. */
static json_t *read_value(const struct param *param, const char *text)
{
	json_t *value = NULL;

	if (!is_string(param)) {
		if (is_type(param, "bool"))
			value = as_bool(text);
		if (!value)
			value = json_loads(text, JSON_DECODE_ANY, NULL);
	}
	return value ?: json_string(text);
}

static int no_parameter(char *why, size_t why_size, const char *word,
			const char *declared)
{
	snprintf(why, why_size, "\"%s\": expected %s", word,
		 *declared ? declared : "key=value");
	return -EINVAL;
}

/* A key in front of "=": its length, else 0. */
static size_t key_len(const char *word)
{
	size_t len = strspn(word, NAME);

	return word[len] == '=' ? len : 0;
}

static int set(json_t *params, const struct param *param, const char *text,
	       char *why, size_t why_size)
{
	autofree char *name = strndup(param->name, param->name_len);

	if (name && json_object_get(params, name)) {
		snprintf(why, why_size, "%s is given twice", name);
		return -EINVAL;
	}
	if (!name ||
	    json_object_set_new(params, name, read_value(param, text))) {
		snprintf(why, why_size, "%s: no memory, or not UTF-8", text);
		return -EINVAL;
	}
	return 0;
}

static int read_named(const char *declared, const char *word, json_t *params,
		      char *why, size_t why_size)
{
	size_t len = key_len(word);
	struct param param = {.name = word, .name_len = len, .type = ""};

	if (*declared && !find_param(declared, word, len, &param))
		return no_parameter(why, why_size, word, declared);
	return set(params, &param, word + len + 1, why, why_size);
}

static int read_bare(const char *declared, const char *word, json_t *params,
		     char *why, size_t why_size)
{
	struct param param;

	if (!find_free(declared, params, &param))
		return no_parameter(why, why_size, word, declared);
	return set(params, &param, word, why, why_size);
}

int params_read(const char *declared, char *const *words, json_t **out,
		char *why, size_t why_size)
{
	json_t *params = *words ? json_object() : NULL;
	char *const *word;
	int rc = 0;

	for (word = words; *word && !rc; word++)
		if (key_len(*word))
			rc = read_named(declared, *word, params, why, why_size);
	for (word = words; *word && !rc; word++)
		if (!key_len(*word))
			rc = read_bare(declared, *word, params, why, why_size);
	if (rc) {
		json_decref(params);
		return rc;
	}
	*out = params;
	return 0;
}
