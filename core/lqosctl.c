/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl - ask lqosd, and tell it, from the command line. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/answers.h"
#include "core/cleanup.h"
#include "core/client.h"
#include "core/local.h"
#include "core/params.h"
#include "core/programs.h"
#include "core/show.h"

enum { EXIT_USAGE = 2, TIMEOUT = 5, TIMEOUT_MAX = 3600, BYPASS_MAX = 86400 };

struct options {
	const char *socket;
	bool json;
	bool verbose;
	int timeout;	    /* seconds */
	int bypass_seconds; /* 0: as the daemon likes */
	struct local_options local;
};

struct command {
	const char *name;
	const char *args;
	int min_args, max_args;
	const char *help;
	/* One of them.  A method without parameters; whatever else wants a
	 * daemon; what does not. */
	const char *method;
	int (*run)(const struct options *o, struct client *client, char **args);
	int (*local)(const struct local_options *o);
};

/* ---- Output -------------------------------------------------------------- */

static int fail(const char *text)
{
	fprintf(stderr, "lqosctl: %s\n", text);
	return EXIT_FAILURE;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl --help'.\n");
	return EXIT_USAGE;
}

static int print_json(const json_t *value, size_t flags)
{
	if (json_dumpf(value, stdout, JSON_ENCODE_ANY | flags))
		return fail("cannot print the answer");
	putchar('\n');
	return EXIT_SUCCESS;
}

/* Takes the reference to value.  method: what it is the answer of; NULL: shown
 * as it is. */
static int print_answer(const struct options *o, const char *method,
			json_t *value)
{
	int rc = EXIT_SUCCESS;

	if (o->json)
		rc = print_json(value, JSON_INDENT(2));
	else if (method)
		answer_show(method, value, o->verbose);
	else if (!json_is_null(value))
		show_json(stdout, value, 0);
	json_decref(value);
	return rc;
}

/* ---- Commands ------------------------------------------------------------ */

/* Takes the reference to params; *result is a new one. */
static int call(const struct options *o, struct client *client,
		const char *method, json_t *params, json_t **result)
{
	char why[1024];

	if (client_call(client, method, params, o->timeout * 1000, result, why,
			sizeof(why)))
		return fail(why);
	return EXIT_SUCCESS;
}

/* Takes the reference to params. */
static int ask(const struct options *o, struct client *client,
	       const char *method, json_t *params)
{
	json_t *result;
	int rc = call(o, client, method, params, &result);

	return rc ? rc : print_answer(o, method, result);
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
	json_t *params, *result;
	int rc = parse_params(args[1], &params);

	if (!rc)
		rc = call(o, client, args[0], params, &result);
	return rc ? rc : print_answer(o, NULL, result);
}

/* "on" or "off", or "status" of the switch that lets packets pass untouched. */
static int run_bypass(const struct options *o, struct client *client,
		      char **args)
{
	bool on = !strcmp(args[0], "on");
	json_t *params, *status, *result;
	int rc;

	if (!strcmp(args[0], "status")) {
		rc = call(o, client, "core.status", NULL, &status);
		if (rc)
			return rc;
		result = json_deep_copy(json_object_get(status, "bypass"));
		json_decref(status);
		if (!result)
			return fail("core.status says nothing of a bypass: has "
				    "lqosd interfaces?");
		return print_answer(o, "core.bypass", result);
	}
	if (!on && strcmp(args[0], "off")) {
		fprintf(stderr,
			"lqosctl: bypass %s: expected on, off or status\n",
			args[0]);
		return usage();
	}
	params = json_pack("{s:b}", "on", (int)on);
	if (on && o->bypass_seconds)
		json_object_set_new(params, "seconds",
				    json_integer(o->bypass_seconds));
	return ask(o, client, "core.bypass", params);
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
			o->timeout * 1000, &message, why, sizeof(why)))
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

/* The methods of one module, as they are called from here. */
static int list_verbs(const struct options *o, const char *module,
		      json_t *methods)
{
	size_t len = strlen(module), i;
	json_t *verbs = json_array(), *method, *verb;

	json_array_foreach(methods, i, method) {
		const char *name =
			json_string_value(json_object_get(method, "method"));

		if (!name || strncmp(name, module, len) || name[len] != '.')
			continue;
		verb = json_pack("{s:s}", "verb", name + len + 1);
		json_object_del(method, "method");
		json_object_update(verb, method);
		json_array_append_new(verbs, verb);
	}
	if (json_array_size(verbs) && o->json)
		return print_answer(o, NULL, verbs);
	if (json_array_size(verbs)) {
		answer_show_verbs(verbs);
		json_decref(verbs);
		return EXIT_SUCCESS;
	}
	json_decref(verbs);
	fprintf(stderr,
		"lqosctl: \"%s\" is no command, nor a module that runs and can "
		"be asked: lqosctl methods shows those\n",
		module);
	return usage();
}

/* What the method says of its parameters; NULL: there is no such method. */
static const char *declared_params(const json_t *methods, const char *name)
{
	const char *other, *params;
	const json_t *method;
	size_t i;

	json_array_foreach((json_t *)methods, i, method) {
		other = json_string_value(json_object_get(method, "method"));
		params = json_string_value(json_object_get(method, "params"));
		if (other && !strcmp(other, name))
			return params ?: "";
	}
	return NULL;
}

/* MODULE [VERB [WORD...]] */
static int run_verb(const struct options *o, struct client *client, char **args)
{
	json_t *methods, *params = NULL;
	char method[96], why[512];
	const char *declared;
	int rc = call(o, client, "core.methods", NULL, &methods);

	if (rc)
		return rc;
	if (!args[1]) {
		rc = list_verbs(o, args[0], methods);
		json_decref(methods);
		return rc;
	}
	snprintf(method, sizeof(method), "%s.%s", args[0], args[1]);
	declared = declared_params(methods, method);
	/* What is not there, the daemon refuses with what may be meant. */
	if (declared)
		rc = params_read(declared, args + 2, &params, why, sizeof(why));
	json_decref(methods);
	if (rc) {
		fprintf(stderr, "lqosctl: %s %s: %s\n", args[0], args[1], why);
		return usage();
	}
	return ask(o, client, method, params);
}

static const struct command commands[] = {
	{"status", "", 0, 0, "how the daemon is", .method = "core.status"},
	{"modules", "", 0, 0, "the modules that run", .method = "core.modules"},
	{"maps", "", 0, 0, "their BPF maps", .method = "core.maps"},
	{"methods", "", 0, 0, "what can be called", .method = "core.methods"},
	{"topics", "", 0, 0, "what can be watched", .method = "feed.topics"},
	{"call", "METHOD [JSON]", 1, 2, "call a method with these params",
	 .run = run_call},
	{"watch", "TOPIC [JSON]", 1, 2, "print a topic's frames until ^C",
	 .run = run_watch},
	{"bypass", "on|off|status", 1, 1,
	 "let packets pass untouched for a time", .run = run_bypass},
	{"pins", "", 0, 0, "what is pinned and attached, without a daemon",
	 .local = local_pins},
	{"detach", "", 0, 0, "remove what a dead daemon left, restore the rest",
	 .local = local_detach},
	{"doctor", "", 0, 0, "what is wrong on this machine, and what to type",
	 .local = local_doctor},
};

/* ---- Programs of their own ----------------------------------------------- */

/*
 * Is a word that follows one of the module's methods on the bus?  Without a
 * daemon to ask it is.
 */
static bool is_verb(const char *module, const char *word, void *arg)
{
	const struct options *o = arg;
	struct client *client;
	char why[512], method[96];
	json_t *methods;
	bool verb = true;

	if (!word || *word == '-' || strchr(word, '='))
		return false;
	snprintf(method, sizeof(method), "%s.%s", module, word);
	if (client_open(&client, o->socket, why, sizeof(why)))
		return true;
	if (!client_call(client, "core.methods", NULL, o->timeout * 1000,
			 &methods, why, sizeof(why))) {
		verb = declared_params(methods, method) != NULL;
		json_decref(methods);
	}
	client_close(&client);
	return verb;
}

/* One of the commands, or short for some? */
static bool is_builtin(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strncmp(commands[i].name, name, strlen(name)))
			return true;
	return false;
}

/* Returns if there is none, or it cannot be run. */
static int run_program(struct options *o, char **args)
{
	const struct program_options given = {
		.socket = o->socket,
		.json = o->json,
		.verbose = o->verbose,
		.timeout = o->timeout == TIMEOUT ? 0 : o->timeout,
	};

	if (!program_is_ours(args[0]) && is_builtin(args[0]))
		return EXIT_SUCCESS;
	return program_run(&given, args, is_verb, o);
}

/* ---- Command line -------------------------------------------------------- */

enum { FOR = 256 }; /* has no letter */

static const struct option long_options[] = {
	{"for", required_argument, NULL, FOR},
	{"socket", required_argument, NULL, 'S'},
	{"json", no_argument, NULL, 'j'},
	{"timeout", required_argument, NULL, 't'},
	{"verbose", no_argument, NULL, 'v'},
	{"config", required_argument, NULL, 'c'},
	{"force", no_argument, NULL, 'f'},
	{"interfaces", required_argument, NULL, 'i'},
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
	programs_help();
	printf("  MODULE VERB [VALUE | KEY=VALUE]...\n"
	       "                         call a module's method; MODULE alone "
	       "shows them\n"
	       "  NAME [VERB] [OPTION]...\n"
	       "                         run lqosctl-NAME or "
	       "lqosctl-NAME-VERB, where\n"
	       "                         there is one\n\n"
	       "  -j, --json             print JSON\n"
	       "  -v, --verbose          status: counters that are zero too\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "  -t, --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "      --for=SECONDS      bypass on: for how long\n"
	       "  -c, --config=FILE      pins, detach, doctor: lqosd's "
	       "configuration\n"
	       "  -f, --force            detach: even while lqosd runs\n"
	       "  -i, --interfaces=IF,IF doctor: these, not the configured\n"
	       "  -h, --help\n"
	       "  -V, --version\n\n"
	       "A command may be cut short as long as it is unique: \"lqosctl "
	       "s\".\n",
	       CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

/* How many commands the name may be short for; *out if it is one. */
static int find_command(const char *name, const struct command **out)
{
	char alike[256] = "";
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strncmp(c->name, name, strlen(name)))
			continue;
		*out = c;
		if (!strcmp(c->name, name))
			return 1;
		n++;
		strcat(strcat(alike, " "), c->name);
	}
	if (n > 1)
		fprintf(stderr, "lqosctl: \"%s\" is short for several:%s\n",
			name, alike);
	return n;
}

static int read_seconds(const char *option, const char *text, int max,
			int *seconds)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < 1 || value > max) {
		fprintf(stderr, "lqosctl: %s %s: expected 1 to %d seconds\n",
			option, text, max);
		return -EINVAL;
	}
	*seconds = value;
	return 0;
}

/* words: a module's, which may be no more than a program's mistyped. */
static int fail_without_daemon(const char *why, char **words)
{
	char path[4096];

	if (!words || !words[1] ||
	    !program_find(words[0], NULL, path, sizeof(path)))
		return fail(why);
	fprintf(stderr,
		"lqosctl: %s Nor is \"%s %s\" a program: try lqosctl %s "
		"--help\n",
		why, words[0], words[1], words[0]);
	return EXIT_FAILURE;
}

/* command NULL: the words are a module's. */
static int run_with_daemon(const struct options *o,
			   const struct command *command, char **args)
{
	struct client *client;
	char why[512];
	int rc;

	if (client_open(&client, o->socket, why, sizeof(why)))
		return fail_without_daemon(why, command ? NULL : args);
	if (!command)
		rc = run_verb(o, client, args);
	else if (command->method)
		rc = ask(o, client, command->method, NULL);
	else
		rc = command->run(o, client, args + 1);
	client_close(&client);
	return rc;
}

static int run(const struct options *o, int argc, char **args)
{
	const struct command *command = NULL;
	int rc;

	if (find_command(args[0], &command) > 1)
		return usage();
	if (command &&
	    (argc - 1 < command->min_args || argc - 1 > command->max_args)) {
		fprintf(stderr, "lqosctl: expected: lqosctl %s%s%s\n",
			command->name, *command->args ? " " : "",
			command->args);
		return usage();
	}
	rc = command && command->local ? command->local(&o->local)
				       : run_with_daemon(o, command, args);
	if (fflush(stdout) || ferror(stdout))
		return fail("cannot write to stdout");
	return rc;
}

/* A negative number, or an exit status. */
static int read_options(struct options *o, int argc, char **argv,
			const char *letters)
{
	int c;

	while ((c = getopt_long(argc, argv, letters, long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'S':
			o->socket = optarg;
			break;
		case 'j':
			o->json = o->local.json = true;
			break;
		case 't':
			if (read_seconds("-t", optarg, TIMEOUT_MAX,
					 &o->timeout))
				return usage();
			break;
		case FOR:
			if (read_seconds("--for", optarg, BYPASS_MAX,
					 &o->bypass_seconds))
				return usage();
			break;
		case 'v':
			o->verbose = o->local.verbose = true;
			break;
		case 'c':
			o->local.config = optarg;
			break;
		case 'i':
			o->local.interfaces = optarg;
			break;
		case 'f':
			o->local.force = true;
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
	return -1;
}

int main(int argc, char **argv)
{
	static const char letters[] = "+S:jt:vc:fi:hV";
	struct options o = {.timeout = TIMEOUT};
	/* Up to the command at first: what follows may be for a program. */
	int rc = read_options(&o, argc, argv, letters);

	if (rc < 0 && optind < argc)
		rc = run_program(&o, argv + optind) ?: -1;
	if (rc >= 0)
		return rc;
	optind = 0; /* from the beginning, and in any order */
	rc = read_options(&o, argc, argv, letters + 1);
	if (rc >= 0)
		return rc;
	if (optind == argc) {
		fprintf(stderr, "lqosctl: a command is missing\n");
		return usage();
	}
	return run(&o, argc - optind, argv + optind);
}
