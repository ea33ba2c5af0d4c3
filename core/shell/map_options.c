/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_options.c - the command line of lqosctl map. */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/client.h"
#include "core/number.h"
#include "core/shell/map.h"

enum { TIMEOUT_S = 5, TIMEOUT_MAX = 3600, INTERVAL_MAX = 86400 };

enum { TIMEOUT = 256 }; /* has no letter */

static const struct option long_options[] = {
	{"all", no_argument, NULL, 'a'},
	{"prefix", required_argument, NULL, 'e'},
	{"interval", required_argument, NULL, 'i'},
	{"json", no_argument, NULL, 'j'},
	{"count", required_argument, NULL, 'n'},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	printf("usage: lqosctl map [OPTION]... VERB ...\n\n"
	       "  list [GLOB]                 maps there are, * for letters\n"
	       "  dump MODULE:MAP             all entries\n"
	       "  get MODULE:MAP KEY          one entry's value\n"
	       "  update MODULE:MAP KEY VALUE... [any|noexist|exist]\n"
	       "                              write an entry; members left "
	       "out stay\n"
	       "  delete MODULE:MAP KEY\n"
	       "  watch MODULE:MAP [KEY]      entries as they change\n\n"
	       "KEY and VALUE are JSON, bare scalars, or NAME=VALUE,... where "
	       "NAME may be\nNAME.NAME or NAME.INDEX; the key of a prefix trie "
	       "is ADDRESS/LENGTH.\n"
	       "Where $LQOS_MAPS is set, as in a shell of lqosctl exec, these "
	       "maps are meant,\nelse those of lqosd.\n\n"
	       "  -a, --all              dump: entries of arrays that are all "
	       "zero, too\n"
	       "  -e, --prefix=PREFIX    $PREFIX_MAPS, not $LQOS_MAPS\n"
	       "  -i, --interval=SECONDS watch: between looks (1)\n"
	       "  -j, --json             JSON\n"
	       "  -n, --count=N          watch: end after so many looks\n"
	       "  -S, --socket=SOCKET    lqosd's maps, by this socket (%s)\n"
	       "      --timeout=SECONDS  how long to wait for an answer (%d)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CLIENT_BUS_DEFAULT, TIMEOUT_S);
	return EXIT_SUCCESS;
}

static int read_number(const char *option, const char *text, uint32_t max,
		       uint32_t *out)
{
	if (!core_number(text, 1, max, out))
		return 0;
	map_fail("%s %s: expected a number from 1 to %u", option, text, max);
	return -EINVAL;
}

static int read_interval(const char *text, double *out)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || !isdigit((unsigned char)*text) || !(value >= 0.01) ||
	    !(value <= INTERVAL_MAX)) {
		map_fail("-i %s: expected seconds from 0.01 to %d", text,
			 INTERVAL_MAX);
		return -EINVAL;
	}
	*out = value;
	return 0;
}

/* Of an option with a value that has to be looked at. */
static int read_value(struct map_options *o, int option, const char *text)
{
	uint32_t seconds = 0;
	int rc;

	switch (option) {
	case 'i':
		return read_interval(text, &o->interval);
	case 'n':
		return read_number("-n", text, UINT32_MAX, &o->count);
	case TIMEOUT:
		rc = read_number("--timeout", text, TIMEOUT_MAX, &seconds);
		o->request.timeout_ms = (int)seconds * 1000;
		return rc;
	default: /* getopt_long() has told */
		return -EINVAL;
	}
}

/* The next option; -1: the next argument is a word, or there is none.  Numbers
 * below 0 are values. */
static int next_option(int argc, char **argv)
{
	if (optind < argc && argv[optind][0] == '-' &&
	    isdigit((unsigned char)argv[optind][1]))
		return -1;
	return getopt_long(argc, argv, "+ae:i:jn:S:vhV", long_options, NULL);
}

/* An exit status; -1: go on. */
static int read_option(struct map_options *o, int c)
{
	switch (c) {
	case 'a':
		o->all = true;
		break;
	case 'e':
		o->prefix = optarg;
		break;
	case 'j':
		o->json = true;
		break;
	case 'v': /* lqosctl's; there is nothing more to say */
		break;
	case 'S':
		o->request.socket = optarg;
		break;
	case 'h':
		return help();
	case 'V':
		printf("lqosctl %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	default:
		if (read_value(o, c, optarg))
			return map_usage();
	}
	return -1;
}

int map_options_read(struct map_options *o, int argc, char **argv)
{
	int n = 1;

	*o = (struct map_options){.interval = 1,
				  .request.timeout_ms = TIMEOUT_S * 1000};
	/* Options may follow words, which are gathered in front. */
	for (;;) {
		int c = next_option(argc, argv), status;

		if (c != -1) {
			status = read_option(o, c);
			if (status >= 0)
				return status;
			continue;
		}
		if (optind >= argc)
			break;
		if (optind > 1 && !strcmp(argv[optind - 1], "--")) {
			while (optind < argc)
				argv[n++] = argv[optind++];
			break;
		}
		argv[n++] = argv[optind++];
	}
	argv[n] = NULL;
	o->words = argv + 1;
	o->n_words = n - 1;
	return -1;
}
