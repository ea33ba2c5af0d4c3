/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdp_pping - the tool of that name of cpumap-pping and LibreQoS, for their
 * scripts: round-trip times by TC class, as JSON.  What it prints can always be
 * parsed, and its statistics are what they are called.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"

#define SELF "xdp_pping"

enum { EXIT_USAGE = 2, TIMEOUT_MS = 30000 };

struct request {
	const char *socket; /* NULL: as client_open() likes */
	bool json, internet;
};

/* All circuits of a class. */
struct row {
	uint32_t handle;
	uint64_t samples;
	double mean, min, max, median; /* ms */
};

/* ---- The daemon's answer ------------------------------------------------- */

static bool read_ms(const json_t *stats, const char *key, double *ms)
{
	const json_t *ns = json_object_get(stats, key);

	*ms = json_number_value(ns) / 1e6;
	return json_is_number(ns);
}

/* false: there is nothing to show. */
static bool read_row(const json_t *subscriber, const char *side,
		     struct row *row)
{
	const json_t *stats = json_object_get(subscriber, side);
	const char *class =
		json_string_value(json_object_get(subscriber, "class"));
	unsigned int major, minor;
	char end;

	if (!class || sscanf(class, "%x:%x%c", &major, &minor, &end) != 2 ||
	    major > 0xffff || minor > 0xffff)
		return false;
	row->handle = major << 16 | minor;
	row->samples =
		(uint64_t)json_integer_value(json_object_get(stats, "samples"));
	return row->handle && row->samples &&
	       read_ms(stats, "mean_ns", &row->mean) &&
	       read_ms(stats, "min_ns", &row->min) &&
	       read_ms(stats, "max_ns", &row->max) &&
	       read_ms(stats, "p50_ns", &row->median);
}

static int by_handle(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->handle < y->handle ? -1 : x->handle > y->handle;
}

/* Circuits that were given one class by hand are one row.  Of medians the mean
 * is taken, for want of what they were made of. */
static void merge(struct row *to, const struct row *from)
{
	uint64_t samples = to->samples + from->samples;
	double part = (double)from->samples / (double)samples;

	to->mean += (from->mean - to->mean) * part;
	to->median += (from->median - to->median) * part;
	if (from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->samples = samples;
}

/* Returns how many there are. */
static size_t read_rows(const json_t *subscribers, const char *side,
			struct row *rows)
{
	const json_t *subscriber;
	size_t i, n = 0, kept = 0;

	json_array_foreach((json_t *)subscribers, i, subscriber)
		n += read_row(subscriber, side, &rows[n]);
	qsort(rows, n, sizeof(*rows), by_handle);
	for (i = 0; i < n; i++)
		if (kept && rows[kept - 1].handle == rows[i].handle)
			merge(&rows[kept - 1], &rows[i]);
		else
			rows[kept++] = rows[i];
	return kept;
}

/* ---- Output -------------------------------------------------------------- */

static int failed(const struct request *r, const char *why)
{
	fprintf(stderr, SELF ": %s\n", why);
	puts(r->json ? "[]" : "[{}]");
	return EXIT_FAILURE;
}

/* The last object, an empty one, takes the comma before it. */
static void print_rows(const struct row *rows, size_t n)
{
	puts("[");
	for (size_t i = 0; i < n; i++)
		printf("{\"tc\":\"%x:%x\", \"avg\": %.2f, \"min\": %.2f, "
		       "\"max\": %.2f, \"median\": %.2f, \"samples\": %llu},\n",
		       rows[i].handle >> 16, rows[i].handle & 0xffff,
		       rows[i].mean, rows[i].min, rows[i].max, rows[i].median,
		       (unsigned long long)rows[i].samples);
	puts("{}]");
}

static int print(const struct request *r, const json_t *subscribers)
{
	autofree struct row *rows = NULL;

	if (!json_is_array(subscribers))
		return failed(r, "lqosd's answer is no list: are it and this "
				 "program of different versions?");
	if (r->json) {
		json_dumpf(subscribers, stdout, JSON_INDENT(2));
		putchar('\n');
		return EXIT_SUCCESS;
	}
	rows = calloc(json_array_size(subscribers) + 1, sizeof(*rows));
	if (!rows)
		return failed(r, "out of memory");
	print_rows(rows, read_rows(subscribers,
				   r->internet ? "internet" : "access", rows));
	return EXIT_SUCCESS;
}

static int run(const struct request *r)
{
	struct client *client;
	json_t *subscribers;
	char why[1024];
	int rc;

	if (client_open(&client, r->socket, why, sizeof(why)))
		return failed(r, why);
	rc = client_call(client, "pping.subscribers", NULL, TIMEOUT_MS,
			 &subscribers, why, sizeof(why));
	client_close(&client);
	if (rc && !strncmp(why, "no method", 9))
		return failed(r, "lqosd runs without its module pping: add it "
				 "to modules in lqos.ini");
	if (rc)
		return failed(r, why);
	rc = print(r, subscribers);
	json_decref(subscribers);
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, SELF ": cannot write to stdout: %s\n",
			strerror(errno ?: EIO));
		return EXIT_FAILURE;
	}
	return rc;
}

/* ---- Command line -------------------------------------------------------- */

static const struct option long_options[] = {
	{"internet", no_argument, NULL, 'i'},
	{"json", no_argument, NULL, 'j'},
	{"socket", required_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	puts("usage: " SELF " [-ij] [-S SOCKET]\n\n"
	     "  -i, --internet       round trips to the internet, not to "
	     "subscribers\n"
	     "  -j, --json           all that is known, by subscriber\n"
	     "  -S, --socket=SOCKET  lqosd's socket (" CLIENT_BUS_DEFAULT ")\n"
	     "  -h, --help\n"
	     "  -V, --version");
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fputs("Try '" SELF " --help'.\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct request r = {};
	int c;

	while ((c = getopt_long(argc, argv, "ijS:hV", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'i':
			r.internet = true;
			break;
		case 'j':
			r.json = true;
			break;
		case 'S':
			r.socket = optarg;
			break;
		case 'h':
			return help();
		case 'V':
			puts(SELF " " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return usage();
		}
	}
	if (optind < argc) {
		fprintf(stderr, SELF ": \"%s\": no argument is expected\n",
			argv[optind]);
		return usage();
	}
	return run(&r);
}
