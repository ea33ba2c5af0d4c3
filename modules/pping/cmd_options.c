/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_options.c - the command line of lqosctl pping. */
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
#include "modules/pping/command.h"

enum { SECONDS_MAX = 604800, TIMEOUT_MAX = 3600 };

enum { REVERSE = 256, RUN_SECONDS }; /* have no letters */

/* The names that ePPing has, and shorter ones. */
static const struct option long_options[] = {
	{"format", required_argument, NULL, 'F'},
	{"aggregate", required_argument, NULL, 'a'},
	{"aggregate-subnets-v4", required_argument, NULL, '4'},
	{"aggregate-subnets-v6", required_argument, NULL, '6'},
	{"aggregate-reverse", no_argument, NULL, REVERSE},
	{"seconds", required_argument, NULL, RUN_SECONDS},
	{"write", required_argument, NULL, 'w'},
	{"socket", required_argument, NULL, 'S'},
	{"json", no_argument, NULL, 'j'},
	{"timeout", required_argument, NULL, 't'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

/* A word of the command line, and the member of the topics' params. */
static const struct filter {
	const char *key, *member, *example;
	const char *const *values; /* NULL: the daemon knows */
} filters[] = {
	{"ip", "ip", "an address or prefix", NULL},
	{"circuit", "circuit", "the id of a circuit", NULL},
	{"side", "side", "access or internet",
	 (const char *const[]){"access", "internet", NULL}},
	{"proto", "protocol", "tcp, icmp, dns or quic",
	 (const char *const[]){"tcp", "icmp", "dns", "quic", NULL}},
};

static int help(void)
{
	printf("usage: lqosctl pping [OPTION]... [FILTER]...\n\n"
	       "  ip=PREFIX              only flows of these addresses\n"
	       "  circuit=ID             only those of a circuit\n"
	       "  side=access|internet   only what this side has answered\n"
	       "  proto=tcp|icmp|dns|quic\n\n"
	       "  -F, --format=FORMAT    standard, json, jsonl or ppviz\n"
	       "  -j, --json             the same as -F json\n"
	       "  -v, --verbose          circuit, side and kind in JSON, too\n"
	       "  -w, --write=FILE       to this file; SIGHUP opens it anew\n"
	       "      --seconds=N        end after so long\n"
	       "  -a, --aggregate=N      a report by network every N seconds\n"
	       "  -4, -6 LENGTH          of networks in reports (24, 48)\n"
	       "      --aggregate-reverse\n"
	       "                         by who has asked, not who answered\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "  -t, --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl pping --help'.\n");
	return PPING_EXIT_USAGE;
}

static int read_number(const char *option, const char *text, unsigned int min,
		       unsigned int max, unsigned int *number)
{
	int rc = core_number(text, min, max, number);

	if (rc)
		fprintf(stderr,
			"lqosctl: %s %s: expected a number from %u to "
			"%u\n",
			option, text, min, max);
	return rc;
}

static int read_format(const char *text, enum pping_format *format)
{
	for (int i = 0; i < PPING_FORMATS; i++)
		if (!strcmp(text, pping_format_names[i])) {
			*format = i;
			return 0;
		}
	fprintf(stderr,
		"lqosctl: --format %s: expected standard, json, jsonl or "
		"ppviz\n",
		text);
	return -EINVAL;
}

static bool is_one_of(const char *const *values, const char *text)
{
	for (; values && *values; values++)
		if (!strcmp(*values, text))
			return true;
	return !values;
}

static const struct filter *find_filter(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (strlen(filters[i].key) == len &&
		    !strncmp(filters[i].key, word, len))
			return &filters[i];
	return NULL;
}

static int read_filter(const char *word, json_t *params)
{
	const char *value = strchr(word, '=');
	const struct filter *filter =
		value ? find_filter(word, value - word) : NULL;
	json_t *text;

	if (!filter) {
		fprintf(stderr,
			"lqosctl: pping: \"%s\": expected ip=, circuit=, side= "
			"or proto= and a value\n",
			word);
		return -EINVAL;
	}
	value++;
	if (!*value || !is_one_of(filter->values, value)) {
		fprintf(stderr, "lqosctl: pping: \"%s\": expected %s\n", word,
			filter->example);
		return -EINVAL;
	}
	if (json_object_get(params, filter->member)) {
		fprintf(stderr, "lqosctl: pping: %s is given twice\n",
			filter->key);
		return -EINVAL;
	}
	text = json_string(value);
	if (!text || json_object_set_new(params, filter->member, text)) {
		fprintf(stderr, "lqosctl: pping: \"%s\": not UTF-8\n", word);
		return -EINVAL;
	}
	return 0;
}

static int read_filters(struct pping_options *o, char **words)
{
	int rc = 0;

	if (!*words)
		return 0;
	o->params = json_object();
	for (; *words && !rc; words++)
		rc = read_filter(*words, o->params);
	return rc;
}

/* Of an option with a value that has to be looked at. */
static int read_value(struct pping_options *o, int option, const char *text)
{
	unsigned int number = 0;
	int rc;

	switch (option) {
	case 'F':
		return read_format(text, &o->format);
	case 'a':
		return read_number("--aggregate", text, 1, SECONDS_MAX,
				   &o->aggregate.seconds);
	case '4':
		return read_number("-4", text, 0, 32, &o->aggregate.v4_length);
	case '6':
		return read_number("-6", text, 0, 64, &o->aggregate.v6_length);
	case RUN_SECONDS:
		return read_number("--seconds", text, 1, SECONDS_MAX,
				   &o->seconds);
	case 't':
		rc = read_number("-t", text, 1, TIMEOUT_MAX, &number);
		o->timeout = (int)number;
		return rc;
	default: /* getopt_long() has told */
		return -EINVAL;
	}
}

static int finish(struct pping_options *o, char **words)
{
	if (read_filters(o, words))
		return usage();
	if (o->aggregate.seconds && o->format == PPING_PPVIZ) {
		fprintf(stderr, "lqosctl: the ppviz format does not support "
				"aggregated output\n");
		return usage();
	}
	return -1;
}

int pping_options_read(struct pping_options *o, int argc, char **argv)
{
	bool format_given = false, json = false;
	int c;

	*o = (struct pping_options){
		.timeout = 5,
		.aggregate = {.v4_length = 24, .v6_length = 48},
	};
	while ((c = getopt_long(argc, argv, "F:a:4:6:w:S:jt:vhV", long_options,
				NULL)) != -1) {
		switch (c) {
		case REVERSE:
			o->aggregate.reverse = true;
			break;
		case 'w':
			o->write = optarg;
			break;
		case 'S':
			o->socket = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			return help();
		case 'V':
			printf("lqosctl %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			format_given |= c == 'F';
			if (read_value(o, c, optarg))
				return usage();
		}
	}
	if (json && !format_given)
		o->format = PPING_JSON;
	return finish(o, argv + optind);
}
