/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* csv.c - rows of a CSV file, and text as files have it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"

int core_file_read(const char *path, char **text, size_t *len)
{
	/* Whatever it is: opening it must not wait. */
	autoclose int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	autofree char *buf = NULL;
	size_t used = 0, size = 0;
	struct stat st;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode)) {
		core_log(CORE_REGISTRY_LOG, LQOS_ERR,
			 "%s is no regular file, and only such a one is read",
			 path);
		return -EINVAL;
	}
	if (st.st_size > 0)
		size = (size_t)st.st_size + 2;
	do {
		if (!buf || used + 1 == size) {
			char *bigger;

			size = buf || !size ? 2 * size + 4096 : size;
			bigger = realloc(buf, size);
			if (!bigger)
				return -ENOMEM;
			buf = bigger;
		}
		got = read(fd, buf + used, size - used - 1);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			used += (size_t)got;
	} while (got);
	buf[used] = '\0';
	*text = steal_ptr(buf);
	*len = used;
	return 0;
}

char *core_text_clean(char *text, bool *repaired)
{
	bool foreign = false;
	json_t *probe;
	size_t len;

	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
		foreign |= *p & 0x80;
	}
	text += strspn(text, " ");
	for (len = strlen(text); len && text[len - 1] == ' '; len--)
		text[len - 1] = '\0';
	if (!foreign)
		return text;

	probe = json_string(text);
	if (probe) {
		json_decref(probe);
		return text;
	}
	for (char *p = text; *p; p++)
		if (*p & 0x80)
			*p = '?';
	*repaired = true;
	return text;
}

int core_csv_new(struct core_csv **out, const char *text, size_t len)
{
	struct core_csv *csv;

	if (len >= 2 &&
	    (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
		return -EILSEQ;
	csv = calloc(1, sizeof(*csv));
	if (!csv)
		return -ENOMEM;
	/* No cell is longer than its text and the separator after it. */
	csv->buf = malloc(len + 1);
	csv->end = text + len;
	csv->pos = (struct core_csv_position){text, 1, 1};
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		csv->pos.at += 3;
	*out = csv;
	if (!csv->buf) {
		core_csv_free(out);
		return -ENOMEM;
	}
	return 0;
}

void core_csv_free(struct core_csv **csv)
{
	struct core_csv *c = steal_ptr(*csv);

	if (c)
		free(c->buf);
	free(c);
}

/* Bytes of the line end that comes next; 0: none does. */
static size_t line_end(const struct core_csv *csv)
{
	const char *at = csv->pos.at;

	if (at == csv->end || (*at != '\n' && *at != '\r'))
		return 0;
	return *at == '\r' && at + 1 < csv->end && at[1] == '\n' ? 2 : 1;
}

/* One byte on, or one line end. */
static void advance(struct core_csv *csv)
{
	struct core_csv_position *pos = &csv->pos;
	size_t newline = line_end(csv);

	if (newline) {
		*pos = (struct core_csv_position){pos->at + newline,
						  pos->line + 1, 1};
		return;
	}
	pos->at++;
	/* A byte of the same character counts no column. */
	if (pos->at == csv->end || (*pos->at & 0xc0) != 0x80)
		pos->column++;
}

static bool next_is(const struct core_csv *csv, char c)
{
	return csv->pos.at < csv->end && *csv->pos.at == c;
}

static void skip_blanks(struct core_csv *csv)
{
	while (next_is(csv, ' ') || next_is(csv, '\t'))
		advance(csv);
}

/* False: the file ends before the line does. */
static bool skip_line(struct core_csv *csv)
{
	while (csv->pos.at < csv->end && !line_end(csv))
		advance(csv);
	if (csv->pos.at == csv->end)
		return false;
	advance(csv);
	return true;
}

static bool cell_ends(const struct core_csv *csv)
{
	return csv->pos.at == csv->end || next_is(csv, ',') || line_end(csv);
}

static char *copy_byte(struct core_csv *csv, char *out)
{
	/* A NUL would cut the cell. */
	csv->nul |= !*csv->pos.at;
	*out = *csv->pos.at ? *csv->pos.at : ' ';
	advance(csv);
	return out + 1;
}

/* NULL: the quote is never closed, or text follows it.  How far that is looked
 * for is bounded: each row of a file may have such a quote. */
static char *read_quoted(struct core_csv *csv, char *out)
{
	advance(csv);
	while (csv->pos.at < csv->end && csv->pos.line <= csv->last_line) {
		if (next_is(csv, '"')) {
			advance(csv);
			if (!next_is(csv, '"')) {
				skip_blanks(csv);
				return cell_ends(csv) ? out : NULL;
			}
		}
		out = copy_byte(csv, out);
	}
	return NULL;
}

static char *read_cell(struct core_csv *csv, char *out)
{
	if (next_is(csv, '"'))
		return read_quoted(csv, out);
	while (!cell_ends(csv))
		out = copy_byte(csv, out);
	return out;
}

static int read_row(struct core_csv *csv)
{
	const struct core_csv_position start = csv->pos;
	char *out = csv->buf;
	bool more;

	csv->written = 0;
	csv->nul = false;
	csv->last_line = csv->pos.line + CORE_CSV_LINES;
	do {
		struct core_csv_cell cell;

		skip_blanks(csv);
		cell = (struct core_csv_cell){out, csv->pos.line,
					      csv->pos.column};
		if (csv->written < CORE_CSV_CELLS)
			csv->cells[csv->written] = cell;
		out = read_cell(csv, out);
		csv->ends_file = csv->pos.at == csv->end;
		if (!out) {
			/* It may have swallowed good rows: back to them. */
			csv->open = cell;
			csv->pos = start;
			csv->ends_file &= !skip_line(csv);
			return -EINVAL;
		}
		*out++ = '\0';
		csv->written++;
		more = next_is(csv, ',');
		if (csv->pos.at < csv->end)
			advance(csv);
	} while (more);
	return 0;
}

static void clean_row(struct core_csv *csv)
{
	bool all = csv->written <= CORE_CSV_CELLS;
	int n = all ? csv->written : CORE_CSV_CELLS;

	csv->repaired = false;
	for (int i = 0; i < n; i++)
		csv->cells[i].text =
			core_text_clean(csv->cells[i].text, &csv->repaired);
	csv->n = csv->written;
	while (all && csv->n && !*csv->cells[csv->n - 1].text)
		csv->n--;
}

int core_csv_next(struct core_csv *csv)
{
	while (csv->pos.at < csv->end) {
		int rc;

		skip_blanks(csv);
		if (next_is(csv, '#')) {
			skip_line(csv);
			continue;
		}
		rc = read_row(csv);
		clean_row(csv);
		if (rc)
			return rc;
		if (csv->n)
			return 1;
	}
	return 0;
}
