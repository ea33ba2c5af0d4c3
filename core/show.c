/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON as text for people. */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/show.h"

enum { INDENT = 2, GAP = 2, LIST_WIDTH = 72 };

static void *or_exit(void *memory)
{
	if (!memory)
		err(1, NULL);
	return memory;
}

char *show_harmless(char *text)
{
	unsigned char *c = (unsigned char *)text;

	for (; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
	return text;
}

/* In letters, not in bytes. */
static int width_of(const char *text)
{
	int n = 0;

	/* There are as many rows as when the cells were filled.
	 * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void pad(FILE *f, int n)
{
	fprintf(f, "%*s", n > 0 ? n : 0, "");
}

char *show_cell(const json_t *value)
{
	char *text;

	if (!value)
		text = strdup("");
	else if (json_is_null(value))
		text = strdup("-");
	else if (json_is_boolean(value))
		text = strdup(json_is_true(value) ? "yes" : "no");
	else if (json_is_string(value))
		text = strdup(json_string_value(value));
	else
		text = json_dumps(value,
				  JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
	return show_harmless(or_exit(text));
}

/* ---- Tables -------------------------------------------------------------- */

static bool is_table(const json_t *value)
{
	const json_t *row;
	size_t i;

	json_array_foreach(value, i, row)
		if (!json_is_object(row) || !json_object_size(row))
			return false;
	return json_array_size(value) > 0;
}

struct column {
	char *title;
	int width;
	bool numeric;
	char **cells; /* one a row */
};

static void column_fill(struct column *column, const json_t *rows,
			const char *key)
{
	const json_t *row;
	size_t i;

	column->title = show_harmless(or_exit(strdup(key)));
	column->width = width_of(column->title);
	column->numeric = true;
	column->cells = or_exit(calloc(json_array_size(rows), sizeof(char *)));
	json_array_foreach(rows, i, row) {
		const json_t *value = json_object_get(row, key);
		int width;

		column->cells[i] = show_cell(value);
		width = width_of(column->cells[i]);
		if (width > column->width)
			column->width = width;
		if (value && !json_is_number(value) && !json_is_null(value))
			column->numeric = false;
	}
}

/* Blanks wait for what follows them, so that no line ends in any. */
static void column_print(FILE *f, const struct column *column, const char *text,
			 int *blanks)
{
	int rest = column->width - width_of(text);

	if (column->numeric)
		*blanks += rest;
	if (*text) {
		pad(f, *blanks);
		fputs(text, f);
		*blanks = 0;
	}
	if (!column->numeric)
		*blanks += rest;
	*blanks += GAP;
}

/* A row's objects in columns of their own: "access.samples".  A new reference.
 */
static json_t *flat_row(json_t *row)
{
	json_t *out = or_exit(json_object()), *value, *member;
	const char *key, *name;

	json_object_foreach(row, key, value) {
		if (!json_object_size(value))
			json_object_set(out, key, value);
		json_object_foreach(value, name, member) {
			autofree char *both = NULL;

			if (asprintf(&both, "%s.%s", key, name) < 0)
				err(1, NULL);
			json_object_set(out, both, member);
		}
	}
	return out;
}

static void show_table(FILE *f, const json_t *nested, unsigned int indent)
{
	json_t *keys = or_exit(json_object()); /* a set that keeps its order */
	json_t *rows = or_exit(json_array());
	size_t n_rows = json_array_size(nested), n = 0;
	struct column *columns;
	const char *key;
	json_t *row, *value;
	size_t i;

	json_array_foreach(nested, i, row)
		json_array_append_new(rows, flat_row(row));
	json_array_foreach(rows, i, row)
		json_object_update_missing(keys, row);
	columns = or_exit(calloc(json_object_size(keys), sizeof(*columns)));
	json_object_foreach(keys, key, value)
		column_fill(&columns[n++], rows, key);

	for (size_t r = 0; r <= n_rows; r++) {
		int blanks = indent;

		for (i = 0; i < n; i++)
			column_print(f, &columns[i],
				     r ? columns[i].cells[r - 1]
				       : columns[i].title,
				     &blanks);
		fputc('\n', f);
	}

	for (i = 0; i < n; i++) {
		for (size_t r = 0; r < n_rows; r++)
			free(columns[i].cells[r]);
		free(columns[i].cells);
		free(columns[i].title);
	}
	free(columns);
	json_decref(rows);
	json_decref(keys);
}

/* ---- Objects and the rest ------------------------------------------------ */

static void show_line(FILE *f, const json_t *value)
{
	autofree char *text = show_cell(value);

	fprintf(f, "%s\n", text);
}

static bool is_list(const json_t *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
		if (json_is_array(item) || json_is_object(item))
			return false;
	return json_is_array(value);
}

/* Of whole sentences, say: too long for one line. */
static bool is_long_list(const json_t *value)
{
	const json_t *item;
	int width = 0;
	size_t i;

	if (!is_list(value))
		return false;
	json_array_foreach(value, i, item)
		if (json_is_string(item))
			width += width_of(json_string_value(item)) + 2;
	return width > LIST_WIDTH;
}

static bool is_block(const json_t *value)
{
	return json_object_size(value) || is_table(value) ||
	       is_long_list(value);
}

/* "a, b, c" */
static void show_list(FILE *f, const json_t *list)
{
	const json_t *item;
	size_t i;

	if (!json_array_size(list))
		fputc('-', f);
	json_array_foreach(list, i, item) {
		autofree char *text = show_cell(item);

		fprintf(f, "%s%s", i ? ", " : "", text);
	}
	fputc('\n', f);
}

static void show_object(FILE *f, const json_t *object, unsigned int indent)
{
	const char *key;
	json_t *value;
	int width = 0;

	json_object_foreach((json_t *)object, key, value)
		if (!is_block(value) && width_of(key) > width)
			width = width_of(key);
	json_object_foreach((json_t *)object, key, value) {
		autofree char *title = show_harmless(or_exit(strdup(key)));

		pad(f, indent);
		fprintf(f, "%s:", title);
		if (is_block(value)) {
			fputc('\n', f);
			show_json(f, value, indent + INDENT);
			continue;
		}
		pad(f, width - width_of(title) + 1);
		if (is_list(value))
			show_list(f, value);
		else
			show_line(f, value);
	}
}

void show_json(FILE *f, const json_t *value, unsigned int indent)
{
	const json_t *item;
	size_t i;

	if (json_object_size(value)) {
		show_object(f, value, indent);
	} else if (is_table(value)) {
		show_table(f, value, indent);
	} else if (json_array_size(value)) {
		json_array_foreach(value, i, item) {
			pad(f, indent);
			show_line(f, item);
		}
	} else {
		pad(f, indent);
		show_line(f, value);
	}
}
