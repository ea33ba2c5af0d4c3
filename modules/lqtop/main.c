/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c - lqtop: what lqosd's modules know of each subscriber, live.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/lqtop/options.h"

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif

enum { ROWS_MAX = 1000, SECONDS_MAX = 3600 };

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 'S'},
	{"batch", no_argument, NULL, 'b'},
	{"count", required_argument, NULL, 'n'},
	{"delay", required_argument, NULL, 'd'},
	{"output", required_argument, NULL, 'o'},
	{"sort", required_argument, NULL, 's'},
	{"reverse", no_argument, NULL, 'r'},
	{"filter", required_argument, NULL, 'f'},
	{"rows", required_argument, NULL, 'l'},
	{"all", no_argument, NULL, 'a'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void usage(FILE *f)
{
	fputs("usage: lqtop [-abr] [-d SECONDS] [-f FILTER] [-l ROWS] "
	      "[-n COUNT]\n"
	      "             [-o text|json|csv] [-S SOCKET] [-s COLUMN]\n"
	      "  -a, --all           all columns, also those left out as "
	      "details\n"
	      "  -b, --batch         tables to standard output instead of the "
	      "screen\n"
	      "  -d, --delay N       seconds between frames (1)\n"
	      "  -f, --filter TEXT   only whose circuit, name or node has "
	      "TEXT\n"
	      "  -l, --rows N        at most N rows, 1 to 1000\n"
	      "  -n, --count N       end after N frames\n"
	      "  -o, --output FORM   text, json or csv; implies -b\n"
	      "  -r, --reverse       smallest first\n"
	      "  -S, --socket PATH   lqosd's bus (/run/lqos/bus)\n"
	      "  -s, --sort COLUMN   sort by the column with this in its name\n"
	      "  -h, --help          this text\n"
	      "  -V, --version       the version\n"
	      "On the screen, h shows the keys.  See lqtop(1).\n",
	      f);
}

static bool number(const char *what, const char *text, unsigned int max,
		   unsigned int *out)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || v < 1 || v > max) {
		fprintf(stderr,
			"lqtop: %s %s: expected a whole number, 1 to %u\n",
			what, text, max);
		return false;
	}
	*out = v;
	return true;
}

static bool text(const char *what, const char *from, char *out, size_t size)
{
	if (!*from || strlen(from) >= size) {
		fprintf(stderr, "lqtop: %s \"%s\": expected 1 to %zu bytes\n",
			what, from, size - 1);
		return false;
	}
	strcpy(out, from);
	return true;
}

static bool output(const char *name, enum output *out)
{
	static const char *const names[] = {
		[OUTPUT_TEXT] = "text",
		[OUTPUT_JSON] = "json",
		[OUTPUT_CSV] = "csv",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i]))
			continue;
		*out = i;
		return true;
	}
	fprintf(stderr, "lqtop: -o %s: expected text, json or csv\n", name);
	return false;
}

static bool option(int c, struct options *o, bool *batch)
{
	struct query *q = &o->query;

	switch (c) {
	case 'S':
		o->bus = optarg;
		return true;
	case 'b':
		*batch = true;
		return true;
	case 'n':
		return number("-n", optarg, 1000000000, &o->count);
	case 'd':
		return number("-d", optarg, SECONDS_MAX, &q->every);
	case 'o':
		*batch = true;
		return output(optarg, &o->output);
	case 's':
		return text("-s", optarg, q->sort, sizeof(q->sort));
	case 'r':
		q->reverse = true;
		return true;
	case 'f':
		return text("-f", optarg, q->filter, sizeof(q->filter));
	case 'l':
		return number("-l", optarg, ROWS_MAX, &o->rows);
	case 'a':
		q->detail = true;
		return true;
	case 'h':
		usage(stdout);
		exit(EXIT_SUCCESS);
	case 'V':
		puts("lqtop " PACKAGE_VERSION);
		exit(EXIT_SUCCESS);
	}
	fputs("try lqtop --help\n", stderr);
	return false;
}

int main(int argc, char **argv)
{
	struct options options = {.query = {.every = 1}};
	bool batch = !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
	int c;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* for those who read the output */
	while ((c = getopt_long(argc, argv, "S:bn:d:o:s:rf:l:ahV", long_options,
				NULL)) != -1)
		if (!option(c, &options, &batch))
			return 2;
	if (optind < argc) {
		fprintf(stderr,
			"lqtop: %s: expected options only; try lqtop "
			"--help\n",
			argv[optind]);
		return 2;
	}
	return batch ? batch_run(&options) : screen_run(&options);
}
