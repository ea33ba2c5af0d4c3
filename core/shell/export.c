/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-export - maps, to a "tc exec bpf import" that waits for them. lqosctl
 * runs it for "lqosctl export".
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "core/number.h"
#include "core/shell/grant.h"
#include "core/shell/tc.h"

enum { EXIT_USAGE = 2, TIMEOUT_MAX = 3600 };

enum { TC = 256, WRITABLE, TIMEOUT }; /* have no letters */

static const struct option long_options[] = {
	{"tc", required_argument, NULL, TC},
	{"map", required_argument, NULL, 'm'},
	{"rw", no_argument, NULL, WRITABLE},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

struct options {
	const char *path;
	const char **maps;
	size_t n_maps;
	bool writable;
	const char *socket;
	unsigned int timeout; /* seconds */
};

static int fail(const char *text)
{
	fprintf(stderr, "lqosctl: export: %s\n", text);
	return EXIT_FAILURE;
}

/* ---- The command line ---------------------------------------------------- */

static int help(void)
{
	printf("usage: lqosctl export --tc PATH [OPTION]...\n\n"
	       "      --tc=PATH          where tc exec bpf import PATH waits\n"
	       "  -m, --map=MODULE:MAP   only these; * and ? stand for "
	       "letters\n"
	       "      --rw               to be written, too\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "      --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl export --help'.\n");
	return EXIT_USAGE;
}

/* Of an option with a value that has to be looked at. */
static int read_value(struct options *o, int option, const char *text)
{
	if (option != TIMEOUT) /* getopt_long() has told */
		return -EINVAL;
	if (!core_number(text, 1, TIMEOUT_MAX, &o->timeout))
		return 0;
	fprintf(stderr,
		"lqosctl: export --timeout %s: expected a number from 1 to "
		"%d\n",
		text, TIMEOUT_MAX);
	return -EINVAL;
}

static int check_words(const struct options *o, const char *word)
{
	if (word)
		fprintf(stderr, "lqosctl: export %s: expected options only\n",
			word);
	else if (!o->path || !*o->path)
		fprintf(stderr, "lqosctl: export: expected --tc PATH, where "
				"tc exec bpf import PATH waits\n");
	else
		return 0;
	return -EINVAL;
}

/* An exit status; a negative number to go on. */
static int read_options(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "m:S:jvhV", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case TC:
			o->path = optarg;
			break;
		case WRITABLE:
			o->writable = true;
			break;
		case 'm':
			o->maps[o->n_maps++] = optarg;
			break;
		case 'S':
			o->socket = optarg;
			break;
		case 'j': /* what lqosctl was given, and nothing hangs on */
		case 'v':
			break;
		case 'h':
			return help();
		case 'V':
			printf("lqosctl %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			if (read_value(o, c, optarg))
				return usage();
		}
	}
	return check_words(o, argv[optind]) ? usage() : -1;
}

/* ---- Of a shell ---------------------------------------------------------- */

static bool is_asked_for(const struct options *o, const struct grant *map)
{
	for (size_t p = 0; p < o->n_maps; p++)
		if (grant_matches(map, o->maps[p]))
			return true;
	return false;
}

static int check_patterns(const struct options *o, const struct grants *all,
			  char *why, size_t why_size)
{
	for (size_t p = 0; p < o->n_maps; p++) {
		size_t i = 0;

		while (i < all->n && !grant_matches(&all->at[i], o->maps[p]))
			i++;
		if (i < all->n)
			continue;
		snprintf(why, why_size,
			 "no map of this shell is \"%s\": lqosctl map list "
			 "shows those that it has",
			 o->maps[p]);
		return -ENOENT;
	}
	return 0;
}

/* They go as they are: who may write would give that away without a word. */
static int check_map(const struct options *o, const struct grant *map,
		     char *why, size_t why_size)
{
	if (map->fd < 0)
		return grant_closed(map, why, why_size);
	if (!map->writable || o->writable)
		return 0;
	snprintf(why, why_size,
		 "this shell can write to %s:%s, and so could who gets it: say "
		 "--rw if that is meant",
		 map->module, map->name);
	return -EPERM;
}

/* *out is borrowed of all. */
static int choose(const struct options *o, const struct grants *all,
		  struct grants *out, char *why, size_t why_size)
{
	int rc = check_patterns(o, all, why, why_size);

	for (size_t i = 0; !rc && i < all->n; i++) {
		struct grant map = all->at[i];

		if (!is_asked_for(o, &map))
			continue;
		rc = check_map(o, &map, why, why_size);
		map.index = (uint32_t)out->n;
		if (rc || !grants_add(out, &map))
			continue;
		snprintf(why, why_size, "%s", strerror(ENOMEM));
		rc = -ENOMEM;
	}
	return rc;
}

static int take_from_shell(const struct options *o, struct grants *out,
			   char *why, size_t why_size)
{
	CORE_CLEANUP(grants_free) struct grants all = {};
	struct grants chosen = {.borrowed = true};
	int rc = grants_from_environ(&all, GRANT_PREFIX, why, why_size);

	if (!rc)
		rc = choose(o, &all, &chosen, why, why_size);
	if (rc)
		grants_free(&chosen);
	else
		*out = chosen;
	return rc;
}

/* ---- Of lqosd ------------------------------------------------------------ */

static int take_from_daemon(const struct options *o, struct grants *out,
			    char *why, size_t why_size)
{
	const struct grant_request request = {
		.socket = o->socket,
		.timeout_ms = (int)o->timeout * 1000,
		.maps = o->maps,
		.n_maps = o->n_maps,
		.writable = o->writable,
	};

	return grants_ask(out, &request, why, why_size);
}

/* -------------------------------------------------------------------------- */

static void print_sent(const char *path, const struct grants *grants)
{
	const char *separator = "";

	printf("sent to %s: ", path);
	for (size_t i = 0; i < grants->n; i++) {
		const struct grant *g = &grants->at[i];

		if (g->kind != GRANT_MAP)
			continue;
		printf("%sBPF_MAP%u is %s:%s (%s)", separator, g->index,
		       g->module, g->name, g->writable ? "rw" : "ro");
		separator = ", ";
	}
	putchar('\n');
}

static int export(const struct options *o)
{
	CORE_CLEANUP(grants_free) struct grants grants = {};
	char why[1024] = "out of memory"; /* if nothing else is said */
	int rc;

	if (!o->socket && getenv(GRANT_PREFIX "_MAPS"))
		rc = take_from_shell(o, &grants, why, sizeof(why));
	else
		rc = take_from_daemon(o, &grants, why, sizeof(why));
	if (rc)
		return fail(why);
	if (!grants.n)
		return fail("no map is asked for: see lqosctl maps for those "
			    "there are");
	if (tc_send(o->path, &grants, why, sizeof(why)))
		return fail(why);
	print_sent(o->path, &grants);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const char *const all = "*";
	autofree const char **maps = calloc((size_t)argc + 1, sizeof(*maps));
	struct options o = {.maps = maps, .timeout = 5};
	int rc;

	if (!maps)
		return fail(strerror(ENOMEM));
	rc = read_options(&o, argc, argv);
	if (rc >= 0)
		return rc;
	if (!o.n_maps)
		o.maps[o.n_maps++] = all;
	return export(&o);
}
