/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_options.c - the command line of lqosctl capture. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/client.h"
#include "core/number.h"
#include "modules/capture/command.h"

enum { EXIT_USAGE = 2, SECONDS_MAX = 604800, TIMEOUT_MAX = 3600 };

enum { HEADERS = 256 }; /* what a line is made of is in there */

enum { SNAPLEN = 256, TIMEOUT }; /* have no letters */

static const struct option long_options[] = {
	{"write", required_argument, NULL, 'w'},
	{"count", required_argument, NULL, 'n'},
	{"seconds", required_argument, NULL, 't'},
	{"snaplen", required_argument, NULL, SNAPLEN},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	printf("usage: lqosctl capture [OPTION]... ADDRESS|PREFIX|CIRCUIT\n\n"
	       "  ip=PREFIX              an address or prefix\n"
	       "  circuit=ID             a circuit, whatever its id looks "
	       "like\n\n"
	       "  -w, --write=FILE       write pcapng; -: to stdout\n"
	       "  -n, --count=N          end after so many packets\n"
	       "  -t, --seconds=N        end after so long\n"
	       "      --snaplen=N        so many bytes of each packet, %d to "
	       "%d\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "      --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CAPTURE_SNAPLEN_MIN, CAPTURE_SNAPLEN_MAX, CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl capture --help'.\n");
	return EXIT_USAGE;
}

static int read_number(const char *option, const char *text, unsigned int min,
		       unsigned int max, unsigned int *number)
{
	int rc = core_number(text, min, max, number);

	if (rc)
		fprintf(stderr,
			"lqosctl: capture %s %s: expected a number from %u to "
			"%u\n",
			option, text, min, max);
	return rc;
}

/* Of an option with a value that has to be looked at. */
static int read_value(struct capture_options *o, int option, const char *text)
{
	unsigned int number = 0;
	int rc;

	switch (option) {
	case 'n':
		return read_number("-n", text, 1, UINT32_MAX, &o->count);
	case 't':
		return read_number("-t", text, 1, SECONDS_MAX, &o->seconds);
	case SNAPLEN:
		return read_number("--snaplen", text, CAPTURE_SNAPLEN_MIN,
				   CAPTURE_SNAPLEN_MAX, &o->snaplen);
	case TIMEOUT:
		rc = read_number("--timeout", text, 1, TIMEOUT_MAX, &number);
		o->timeout = (int)number;
		return rc;
	default: /* getopt_long() has told */
		return -EINVAL;
	}
}

static int read_target(struct capture_options *o, char **words)
{
	const char *word = words[0];

	if (!word || words[1]) {
		fprintf(stderr,
			"lqosctl: capture: expected one address, prefix or "
			"circuit\n");
		return -EINVAL;
	}
	o->circuit = !strncmp(word, "circuit=", 8);
	o->target = o->circuit		       ? word + 8
		    : !strncmp(word, "ip=", 3) ? word + 3
					       : word;
	if (*o->target)
		return 0;
	fprintf(stderr,
		"lqosctl: capture \"%s\": expected an address, prefix "
		"or circuit\n",
		word);
	return -EINVAL;
}

int capture_options_read(struct capture_options *o, int argc, char **argv)
{
	int c;

	*o = (struct capture_options){.timeout = 5};
	while ((c = getopt_long(argc, argv, "w:n:t:S:hV", long_options,
				NULL)) != -1) {
		switch (c) {
		case 'w':
			o->write = optarg;
			break;
		case 'S':
			o->socket = optarg;
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
	if (read_target(o, argv + optind))
		return usage();
	if (!o->snaplen)
		o->snaplen = o->write ? CAPTURE_SNAPLEN_MAX : HEADERS;
	return -1;
}
