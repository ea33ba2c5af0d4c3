/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-exec - a command or shell that holds descriptors of BPF maps.
 * lqosctl runs it for "lqosctl exec".
 *
 * It is this process that becomes the command, so that the command has the
 * caller's user, terminal and control group; the daemon runs nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "core/number.h"
#include "core/shell/grant.h"
#include "core/shell/tc.h"

enum {
	EXIT_USAGE = 2,
	EXIT_CANNOT_RUN = 126, /* as of a shell */
	EXIT_NOT_FOUND = 127,
	TIMEOUT = 5,
	TIMEOUT_MAX = 3600,
	NAMES_MAX = 256,
	PREFIX_SIZE = 32,
};

enum { TIMEOUT_OPTION = 256, WRITABLE, TC_IMPORT }; /* have no letters */

struct options {
	struct grant_request request;
	const char *maps[NAMES_MAX], *programs[NAMES_MAX];
	const char *prefix;
	const char *tc; /* where they come from; NULL: the daemon */
};

static const struct option long_options[] = {
	{"map", required_argument, NULL, 'm'},
	{"program", required_argument, NULL, 'p'},
	{"rw", no_argument, NULL, WRITABLE},
	{"prefix", required_argument, NULL, 'e'},
	{"tc-import", required_argument, NULL, TC_IMPORT},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT_OPTION},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	printf("usage: lqosctl exec [OPTION]... [--] [COMMAND ARGUMENT...]\n\n"
	       "Runs COMMAND, or $SHELL, with descriptors of maps: see the "
	       "variables\nLQOS_MAPS and LQOS_MAP_<MODULE>_<NAME>, and lqosctl "
	       "map.\n\n"
	       "  -m, --map=MODULE:MAP   these maps, * standing for letters; "
	       "all, if there\n"
	       "                         is no -m and no -p\n"
	       "      --rw               to write, where the module lets "
	       "(root)\n"
	       "  -p, --program=MODULE:PROGRAM\n"
	       "                         these programs (root)\n"
	       "  -e, --prefix=PREFIX    variables begin with that, not with "
	       "LQOS\n"
	       "      --tc-import=PATH   wait there for maps, as tc exec bpf "
	       "import does, and\n"
	       "                         do not ask lqosd\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "      --timeout=SECONDS  how long to wait for an answer (%d)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CLIENT_BUS_DEFAULT, TIMEOUT);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl exec --help'.\n");
	return EXIT_USAGE;
}

static int add_name(const char *option, const char **names, size_t *n,
		    const char *name)
{
	if (*n == NAMES_MAX) {
		fprintf(stderr,
			"lqosctl: exec %s: at most %d of them: use * in "
			"names\n",
			option, NAMES_MAX);
		return -E2BIG;
	}
	names[(*n)++] = name;
	return 0;
}

static int read_prefix(struct options *o, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	if (!*text || strlen(text) > PREFIX_SIZE ||
	    text[strspn(text, letters)] || (*text >= '0' && *text <= '9')) {
		fprintf(stderr,
			"lqosctl: exec -e \"%s\": expected the beginning of a "
			"variable's name, at most %d letters, digits and _\n",
			text, PREFIX_SIZE);
		return -EINVAL;
	}
	o->prefix = text;
	return 0;
}

static int read_timeout(struct options *o, const char *text)
{
	unsigned int seconds = 0;
	int rc = core_number(text, 1, TIMEOUT_MAX, &seconds);

	if (rc)
		fprintf(stderr,
			"lqosctl: exec --timeout %s: expected a number from 1 "
			"to %d\n",
			text, TIMEOUT_MAX);
	o->request.timeout_ms = (int)seconds * 1000;
	return rc;
}

/* Of an option with a value that has to be looked at. */
static int read_value(struct options *o, int option, const char *text)
{
	switch (option) {
	case 'm':
		return add_name("-m", o->maps, &o->request.n_maps, text);
	case 'p':
		return add_name("-p", o->programs, &o->request.n_programs,
				text);
	case 'e':
		return read_prefix(o, text);
	case TIMEOUT_OPTION:
		return read_timeout(o, text);
	default: /* getopt_long() has told */
		return -EINVAL;
	}
}

/* An exit status; a negative number to go on. */
static int read_options(struct options *o, int argc, char **argv)
{
	int c;

	/* What follows the command is its own. */
	while ((c = getopt_long(argc, argv, "+m:p:e:S:jvhV", long_options,
				NULL)) != -1) {
		switch (c) {
		case WRITABLE:
			o->request.writable = true;
			break;
		case TC_IMPORT:
			o->tc = optarg;
			break;
		case 'S':
			o->request.socket = optarg;
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
	if (o->tc && (o->request.n_maps || o->request.n_programs ||
		      o->request.writable)) {
		fprintf(stderr,
			"lqosctl: exec --tc-import: expected no -m, -p or "
			"--rw: who exports them says which they are\n");
		return usage();
	}
	if (!o->request.n_maps && !o->request.n_programs)
		add_name("-m", o->maps, &o->request.n_maps, "*");
	return -1;
}

static int fail(const char *why)
{
	fprintf(stderr, "lqosctl: exec: %s\n", why);
	return EXIT_FAILURE;
}

/* Without --timeout it waits for as long as it takes. */
static int import(const struct options *o, struct grants *out, char *why,
		  size_t why_size)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr,
			"lqosctl: exec: waiting at %s: lqosctl export --tc %s "
			"sends maps there\n",
			o->tc, o->tc);
	return tc_receive(o->tc, o->request.timeout_ms ?: -1, out, why,
			  why_size);
}

static int take(struct options *o, struct grants *out, char *why,
		size_t why_size)
{
	if (o->tc)
		return import(o, out, why, why_size);
	if (!o->request.timeout_ms)
		o->request.timeout_ms = TIMEOUT * 1000;
	return grants_ask(out, &o->request, why, why_size);
}

/* Whoever sits there learns what he has. */
static void greet(const struct grants *grants)
{
	size_t maps = 0, i;

	for (i = 0; i < grants->n; i++)
		maps += grants->at[i].kind == GRANT_MAP;
	if (isatty(STDERR_FILENO))
		fprintf(stderr,
			"lqosctl: a shell with %zu maps: \"lqosctl map list\" "
			"shows them, \"exit\" ends it\n",
			maps);
}

/* Returns if it cannot be run. */
static int become(char **argv)
{
	const char *shell = getenv("SHELL");
	char *const alone[] = {(char *)(shell && *shell ? shell : "/bin/sh"),
			       NULL};
	char *const *command = *argv ? argv : alone;

	execvp(command[0], command);
	fprintf(stderr, "lqosctl: exec: cannot run %s: %s\n", command[0],
		strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int main(int argc, char **argv)
{
	struct options o = {.prefix = GRANT_PREFIX};
	struct grants grants;
	char why[1024];
	int rc;

	o.request.maps = o.maps;
	o.request.programs = o.programs;
	rc = read_options(&o, argc, argv);
	if (rc >= 0)
		return rc;
	if (take(&o, &grants, why, sizeof(why)))
		return fail(why);
	if (!argv[optind])
		greet(&grants);
	rc = grants_to_environ(&grants, o.prefix, why, sizeof(why))
		     ? fail(why)
		     : become(argv + optind);
	grants_free(&grants);
	return rc;
}
