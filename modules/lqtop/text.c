/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.c - numbers, names and bars as text of a known width.
 */
#include <langinfo.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "modules/lqtop/view.h"

bool text_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* ---- Numbers ------------------------------------------------------------- */

/* Three digits, or all those before the point. */
static void three_digits(char buf[static CELL_TEXT], double v,
			 const char *suffix)
{
	int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;

	snprintf(buf, CELL_TEXT, "%.*f%s", decimals, v, suffix);
}

void text_si(char buf[static CELL_TEXT], uint64_t v)
{
	static const char *const suffixes[] = {"k", "M", "G", "T", "P", "E"};
	double d = v / 1000.0;
	size_t i = 0;

	if (v < 1000) {
		snprintf(buf, CELL_TEXT, "%u", (unsigned int)v);
		return;
	}
	while (d >= 999.5) {
		d /= 1000;
		i++;
	}
	three_digits(buf, d, suffixes[i]);
}

void text_cell(char buf[static CELL_TEXT], const struct column *column,
	       struct lqos_cell cell)
{
	bool counter = column->kind == LQOS_COUNTER;
	uint64_t v = counter ? cell.rate : cell.value;

	if (v == LQOS_NO_VALUE) {
		snprintf(buf, CELL_TEXT, "-");
		return;
	}
	switch (column->unit) {
	case LQOS_UNIT_BYTES:
		text_si(buf, counter && v < UINT64_MAX / 8 ? v * 8 : v);
		break;
	case LQOS_UNIT_NS:
		/* what grows by nanoseconds is a share of the time */
		three_digits(buf, v / (counter ? 1e7 : 1e6), "");
		break;
	case LQOS_UNIT_PPM:
		three_digits(buf, v / 1e4, "");
		break;
	case LQOS_UNIT_CLASS:
		if (v)
			snprintf(buf, CELL_TEXT, "%x:%x",
				 (unsigned int)(v >> 16) & 0xffff,
				 (unsigned int)v & 0xffff);
		else
			snprintf(buf, CELL_TEXT, "-");
		break;
	case LQOS_UNIT_COUNT:
	case LQOS_UNIT_PACKETS:
		text_si(buf, v);
		break;
	}
}

const char *text_unit(const struct column *column)
{
	bool counter = column->kind == LQOS_COUNTER;

	switch (column->unit) {
	case LQOS_UNIT_BYTES:
		return counter ? "bit/s" : "B";
	case LQOS_UNIT_PACKETS:
		return counter ? "pps" : "";
	case LQOS_UNIT_NS:
		return counter ? "%" : "ms";
	case LQOS_UNIT_PPM:
		return "%";
	case LQOS_UNIT_COUNT:
		return counter ? "/s" : "";
	case LQOS_UNIT_CLASS:
		break;
	}
	return "";
}

void text_quantity(char buf[static CELL_TEXT], const struct column *column,
		   struct lqos_cell cell)
{
	char number[CELL_TEXT];
	size_t digits;

	text_cell(number, column, cell);
	digits = strspn(number, "0123456789.");
	if (!digits) {
		strcpy(buf, number);
		return;
	}
	snprintf(buf, CELL_TEXT, "%.*s %s%s", (int)digits, number,
		 number + digits, text_unit(column));
}

/* ---- Names --------------------------------------------------------------- */

/*
 * The next character of *text: its bytes, or "?" for what the terminal must
 * not see or cannot show.  Returns its width; -1 at the end.
 */
static int next_char(const char **text, char out[static MB_LEN_MAX + 1])
{
	mbstate_t state = {0};
	wchar_t wide = 0;
	size_t n = mbrtowc(&wide, *text, MB_LEN_MAX, &state);
	int width;

	if (!n)
		return -1;
	if (n > MB_LEN_MAX) {
		/* one mark for the whole of a sequence that is foreign here */
		n = 1;
		while (((*text)[n] & 0xc0) == 0x80)
			n++;
		wide = L'\0';
	}
	width = wide ? wcwidth(wide) : -1;
	if (width < 0) {
		strcpy(out, "?");
		width = 1;
	} else {
		memcpy(out, *text, n);
		out[n] = '\0';
	}
	*text += n;
	return width;
}

int text_width(const char *text)
{
	char c[MB_LEN_MAX + 1];
	int total = 0, width;

	while ((width = next_char(&text, c)) >= 0)
		total += width;
	return total;
}

static size_t add(char *buf, size_t size, size_t used, const char *text)
{
	size_t n = strlen(text);

	if (used + n >= size)
		return used;
	memcpy(buf + used, text, n + 1);
	return used + n;
}

static size_t fill(char *buf, size_t size, size_t used, int n)
{
	while (n-- > 0)
		used = add(buf, size, used, " ");
	return used;
}

void text_fit(char *buf, size_t size, const char *text, int width, bool right)
{
	int whole = text_width(text), room = width, w;
	char c[MB_LEN_MAX + 1];
	bool cut = whole > width;
	size_t used = 0;

	buf[0] = '\0';
	if (width <= 0)
		return;
	if (right && !cut)
		used = fill(buf, size, used, width - whole);
	if (cut)
		room--; /* for the mark */
	while ((w = next_char(&text, c)) >= 0 && (!cut || w <= room)) {
		used = add(buf, size, used, c);
		room -= w;
	}
	if (cut)
		used = add(buf, size, used, text_utf8() ? "…" : "~");
	if (!right || cut)
		fill(buf, size, used, room);
}

/* ---- Pictures ------------------------------------------------------------ */

void text_bar(char *buf, size_t size, uint64_t part, uint64_t whole, int width)
{
	static const char *const eighths[] = {"",  "▏", "▎", "▍", "▌",
					      "▋", "▊", "▉", "█"};
	int steps = text_utf8() ? 8 : 1, n;
	size_t used = 0;

	buf[0] = '\0';
	if (!whole)
		return;
	n = part >= whole ? width * steps
			  : (int)((double)part / whole * width * steps + 0.5);
	for (; n >= steps; n -= steps)
		used = add(buf, size, used, steps == 8 ? eighths[8] : "#");
	add(buf, size, used, eighths[n]);
}

void text_sparks(char *buf, size_t size, const uint64_t *values, size_t n,
		 int width)
{
	static const char *const utf8[] = {"▁", "▂", "▃", "▄",
					   "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {"_", ".", "-", ":",
					    "=", "+", "*", "#"};
	const char *const *marks = text_utf8() ? utf8 : ascii;
	uint64_t top = 1;
	size_t used = 0;

	buf[0] = '\0';
	if (width <= 0)
		return;
	if (n > (size_t)width) {
		values += n - width;
		n = width;
	}
	for (size_t i = 0; i < n; i++)
		if (values[i] > top)
			top = values[i];
	for (size_t i = 0; i < n; i++)
		used = add(buf, size, used,
			   marks[(size_t)((double)values[i] / top * 7 + 0.5)]);
}
