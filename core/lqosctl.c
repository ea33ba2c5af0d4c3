/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl - ask lqosd, and tell it, from the command line. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "core/local.h"
#include "core/show.h"

enum { EXIT_USAGE = 2, TIMEOUT_MAX = 3600 };

struct options {
	const char *socket;
	bool json;
	bool verbose;
	int timeout_ms;
	struct local_options local;
};

struct command {
	const char *name;
	const char *args;
	int min_args, max_args;
	const char *help;
	int (*run)(const struct options *o, struct client *client, char **args);
	/* In place of run: needs no daemon. */
	int (*local)(const struct local_options *o);
};

/* ---- Output -------------------------------------------------------------- */

static int fail(const char *text)
{
	fprintf(stderr, "lqosctl: %s\n", text);
	return EXIT_FAILURE;
}

static int print_json(const json_t *value, size_t flags)
{
	if (json_dumpf(value, stdout, JSON_ENCODE_ANY | flags))
		return fail("cannot print the answer");
	putchar('\n');
	return EXIT_SUCCESS;
}

/* Takes the reference to value. */
static int print_answer(const struct options *o, json_t *value,
			void (*show)(const struct options *o, json_t *value))
{
	int rc = EXIT_SUCCESS;

	if (o->json)
		rc = print_json(value, JSON_INDENT(2));
	else
		show(o, value);
	json_decref(value);
	return rc;
}

static void show_any(const struct options *o, json_t *value)
{
	(void)o;
	if (!json_is_null(value))
		show_json(stdout, value, 0);
}

/* Removes zeros, and what is empty then, at any depth of objects. */
static void without_zeros(json_t *object)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, key, value) {
		without_zeros(value);
		if ((json_is_integer(value) && !json_integer_value(value)) ||
		    (json_is_object(value) && !json_object_size(value)))
			json_object_del(object, key);
	}
}

static void show_uptime(json_int_t seconds)
{
	json_int_t days = seconds / 86400;

	if (days)
		printf("%" JSON_INTEGER_FORMAT "d ", days);
	printf("%02d:%02d:%02d", (int)(seconds / 3600 % 24),
	       (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* Prints a member of status with text before it, and takes it out. */
static void show_member(json_t *status, const char *key, const char *before)
{
	json_t *value = json_object_get(status, key);
	autofree char *text = NULL;

	if (!value)
		return;
	text = show_cell(value);
	printf("%s%s", before, text);
	json_object_del(status, key);
}

/* The same as "key: value", or as a paragraph if it takes more than a line. */
static void show_paragraph(json_t *status, const char *key)
{
	json_t *one = json_object();

	if (!json_object_set(one, key, json_object_get(status, key))) {
		if (json_is_object(json_object_get(one, key)) ||
		    json_is_object(
			    json_array_get(json_object_get(one, key), 0)))
			putchar('\n');
		show_json(stdout, one, 0);
		json_object_del(status, key);
	}
	json_decref(one);
}

static void show_subscribers(json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	json_int_t skipped =
		json_integer_value(json_object_get(problems, "skipped"));
	json_int_t rows = json_integer_value(json_object_get(problems, "rows"));

	if (!json_object_get(status, "subscribers"))
		return;
	show_member(status, "subscribers", "subscribers: ");
	show_member(status, "prefixes", ", prefixes: ");
	if (skipped)
		printf("; %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		       " rows were left out, the log says why",
		       skipped, rows + skipped);
	json_object_del(status, "problems");
	putchar('\n');
}

static void show_status(const struct options *o, json_t *status)
{
	static const char *const counters[] = {"counters", "loop", "bus",
					       "feed"};
	static const char *const first[] = {"modules", "run_dir",    "metadata",
					    "steered", "interfaces", "chains",
					    "counters"};
	const json_t *uptime = json_object_get(status, "uptime");
	const char *key;
	json_t *value;
	void *next;

	show_member(status, "version", "lqosd ");
	show_member(status, "pid", ", pid ");
	show_member(status, "state", ", ");
	if (json_is_integer(uptime)) {
		printf(", up ");
		show_uptime(json_integer_value(uptime));
		json_object_del(status, "uptime");
	}
	putchar('\n');
	show_subscribers(status);

	for (size_t i = 0; i < ARRAY_SIZE(counters) && !o->verbose; i++) {
		value = json_object_get(status, counters[i]);
		without_zeros(value);
		if (json_is_object(value) && !json_object_size(value))
			json_object_del(status, counters[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		show_paragraph(status, first[i]);
	json_object_foreach_safe(status, next, key, value)
		show_paragraph(status, key);
}

/* ---- Commands ------------------------------------------------------------ */

/* Takes the reference to params. */
static int ask(const struct options *o, struct client *client,
	       const char *method, json_t *params,
	       void (*show)(const struct options *o, json_t *value))
{
	char why[1024];
	json_t *result;

	if (client_call(client, method, params, o->timeout_ms, &result, why,
			sizeof(why)))
		return fail(why);
	return print_answer(o, result, show);
}

static int run_status(const struct options *o, struct client *client,
		      char **args)
{
	(void)args;
	return ask(o, client, "core.status", NULL, show_status);
}

static int run_modules(const struct options *o, struct client *client,
		       char **args)
{
	(void)args;
	return ask(o, client, "core.modules", NULL, show_any);
}

static int run_maps(const struct options *o, struct client *client, char **args)
{
	(void)args;
	return ask(o, client, "core.maps", NULL, show_any);
}

static int run_methods(const struct options *o, struct client *client,
		       char **args)
{
	(void)args;
	return ask(o, client, "core.methods", NULL, show_any);
}

static int run_topics(const struct options *o, struct client *client,
		      char **args)
{
	(void)args;
	return ask(o, client, "feed.topics", NULL, show_any);
}

/* text: NULL or an object. */
static int parse_params(const char *text, json_t **out)
{
	json_t *params = NULL;
	json_error_t error;

	if (text)
		params = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (text && !json_is_object(params)) {
		fprintf(stderr,
			"lqosctl: %s: %s; expected a JSON object such as "
			"'{\"ip\": \"192.0.2.1\"}'\n",
			text, params ? "no object" : error.text);
		json_decref(params);
		return EXIT_USAGE;
	}
	*out = params;
	return EXIT_SUCCESS;
}

static int run_call(const struct options *o, struct client *client, char **args)
{
	json_t *params;
	int rc = parse_params(args[1], &params);

	return rc ? rc : ask(o, client, args[0], params, show_any);
}

/* Returns false after the last message of the topic. */
static bool show_frame(const struct options *o, const json_t *message)
{
	const json_t *params = json_object_get(message, "params");
	const char *method =
		json_string_value(json_object_get(message, "method"));
	json_int_t dropped =
		json_integer_value(json_object_get(params, "dropped"));

	if (!method || strcmp(method, "feed.frame")) {
		autofree char *why =
			show_cell(json_object_get(params, "reason"));

		fail(*why ? why : "lqosd ended the stream");
		return false;
	}
	if (dropped)
		fprintf(stderr,
			"lqosctl: %" JSON_INTEGER_FORMAT " frames were lost\n",
			dropped);
	print_json(o->json ? params : json_object_get(params, "data"),
		   JSON_COMPACT);
	return !fflush(stdout);
}

static int run_watch(const struct options *o, struct client *client,
		     char **args)
{
	json_t *params, *message;
	char why[1024];
	bool more = true;
	int rc = parse_params(args[1], &params);

	if (rc)
		return rc;
	if (client_call(client, "feed.subscribe",
			json_pack("{s:s, s:o*}", "topic", args[0], "params",
				  params),
			o->timeout_ms, &message, why, sizeof(why)))
		return fail(why);
	json_decref(message);

	while (more) {
		rc = client_next(client, -1, &message);
		if (rc)
			return fail(rc == -ECONNRESET ? "lqosd went away"
						      : strerror(-rc));
		more = show_frame(o, message);
		json_decref(message);
	}
	return EXIT_FAILURE;
}

static const struct command commands[] = {
	{"status", "", 0, 0, "how the daemon is", .run = run_status},
	{"modules", "", 0, 0, "the modules that run", .run = run_modules},
	{"maps", "", 0, 0, "their BPF maps", .run = run_maps},
	{"methods", "", 0, 0, "what can be called", .run = run_methods},
	{"topics", "", 0, 0, "what can be watched", .run = run_topics},
	{"call", "METHOD [JSON]", 1, 2, "call a method with these params",
	 .run = run_call},
	{"watch", "TOPIC [JSON]", 1, 2, "print a topic's frames until ^C",
	 .run = run_watch},
	{"pins", "", 0, 0, "what is pinned and attached, without a daemon",
	 .local = local_pins},
	{"detach", "", 0, 0, "remove what a dead daemon left, restore the rest",
	 .local = local_detach},
};

/* ---- Command line -------------------------------------------------------- */

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 'S'},
	{"json", no_argument, NULL, 'j'},
	{"timeout", required_argument, NULL, 't'},
	{"verbose", no_argument, NULL, 'v'},
	{"config", required_argument, NULL, 'c'},
	{"force", no_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	printf("usage: lqosctl [-jv] [-S SOCKET] [-t SECONDS] COMMAND\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s%-15s%s\n", commands[i].name, commands[i].args,
		       commands[i].help);
	printf("\n"
	       "  -j, --json             print JSON\n"
	       "  -v, --verbose          status: counters that are zero too\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "  -t, --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "  -c, --config=FILE      pins, detach: lqosd's configuration\n"
	       "  -f, --force            detach: even while lqosd runs\n"
	       "  -h, --help\n"
	       "  -V, --version\n\n"
	       "A command may be cut short as long as it is unique: \"lqosctl "
	       "s\".\n",
	       CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl --help'.\n");
	return EXIT_USAGE;
}

static const struct command *find_command(const char *name)
{
	const struct command *found = NULL;
	char alike[256] = "";
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (!strcmp(c->name, name))
			return c;
		if (strncmp(c->name, name, strlen(name)))
			continue;
		found = c;
		n++;
		strcat(strcat(alike, " "), c->name);
	}
	if (!n)
		fprintf(stderr, "lqosctl: no command \"%s\"\n", name);
	else if (n > 1)
		fprintf(stderr, "lqosctl: \"%s\" is short for several:%s\n",
			name, alike);
	return n == 1 ? found : NULL;
}

static int parse_timeout(const char *text, int *ms)
{
	char *end;
	long seconds = strtol(text, &end, 10);

	if (*end || seconds < 1 || seconds > TIMEOUT_MAX) {
		fprintf(stderr, "lqosctl: -t %s: expected 1 to %d seconds\n",
			text, TIMEOUT_MAX);
		return -EINVAL;
	}
	*ms = seconds * 1000;
	return 0;
}

static int run(const struct options *o, int argc, char **args)
{
	const struct command *command = find_command(args[0]);
	struct client *client;
	char why[512];
	int rc;

	if (!command)
		return usage();
	if (argc - 1 < command->min_args || argc - 1 > command->max_args) {
		fprintf(stderr, "lqosctl: expected: lqosctl %s%s%s\n",
			command->name, *command->args ? " " : "",
			command->args);
		return usage();
	}
	if (command->local) {
		rc = command->local(&o->local);
	} else {
		if (client_open(&client, o->socket, why, sizeof(why)))
			return fail(why);
		rc = command->run(o, client, args + 1);
		client_close(&client);
	}
	if (fflush(stdout) || ferror(stdout))
		return fail("cannot write to stdout");
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = {.timeout_ms = 5000};
	int c;

	while ((c = getopt_long(argc, argv, "S:jt:vc:fhV", long_options,
				NULL)) != -1) {
		switch (c) {
		case 'S':
			o.socket = optarg;
			break;
		case 'j':
			o.json = o.local.json = true;
			break;
		case 't':
			if (parse_timeout(optarg, &o.timeout_ms))
				return usage();
			break;
		case 'v':
			o.verbose = o.local.verbose = true;
			break;
		case 'c':
			o.local.config = optarg;
			break;
		case 'f':
			o.local.force = true;
			break;
		case 'h':
			return help();
		case 'V':
			printf("lqosctl %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return usage();
		}
	}
	if (optind == argc) {
		fprintf(stderr, "lqosctl: a command is missing\n");
		return usage();
	}
	return run(&o, argc - optind, argv + optind);
}
