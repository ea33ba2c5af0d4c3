/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * csv.h - rows of a CSV file as people and spreadsheets write it: RFC 4180,
 * any line end, a byte order mark, comments, blanks around cells.
 */
#ifndef CORE_CSV_H
#define CORE_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CORE_CSV_CELLS = 64,  /* of one row; what follows is only counted */
	CORE_CSV_LINES = 100, /* of one row */
};

/* Lines and columns count from 1, columns in characters. */
struct core_csv_position {
	const char *at;
	uint32_t line, column;
};

struct core_csv_cell {
	char *text; /* clean: see core_text_clean() */
	uint32_t line, column;
};

struct core_csv {
	const char *end;
	struct core_csv_position pos;
	char *buf;
	uint32_t last_line;	   /* that the row may reach */
	struct core_csv_cell open; /* whose quote is not closed */
	/* The row: */
	struct core_csv_cell cells[CORE_CSV_CELLS];
	int n;		/* cells, without empty ones at the end */
	int written;	/* cells, with them */
	bool repaired;	/* it is not UTF-8 */
	bool nul;	/* it has a NUL, which became a blank */
	bool ends_file; /* without a line end: is that all of it? */
};

/* text stays the caller's.  -EILSEQ: it is UTF-16. */
int core_csv_new(struct core_csv **out, const char *text, size_t len);
void core_csv_free(struct core_csv **csv);
/*
 * The next row that has text and is no # comment.  1: it is in csv; 0: no more;
 * -EINVAL: a quote is not closed at the end of its cell, which is open, or not
 * within CORE_CSV_LINES; what is before it is in the row, and reading goes on
 * in the next line.
 */
int core_csv_next(struct core_csv *csv);

/* The whole file, with a NUL after it. */
int core_file_read(const char *path, char **text, size_t *len);
/*
 * Text fit for a terminal and for JSON, in place: trimmed, control characters
 * as spaces, and where it is no UTF-8 each foreign byte as '?' (*repaired is
 * set then).  Returns where it begins now.
 */
char *core_text_clean(char *text, bool *repaired);

#endif /* CORE_CSV_H */
