/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdp_iphash_to_cpu_cmdline - LibreQoS's tool of that name, for its scripts:
 * the subcommands and output of its versions 1.4 to 2, and the options and
 * JSON of the C tool before them.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "modules/steering/siphash.h"

#define SELF "xdp_iphash_to_cpu_cmdline"

enum { EXIT_USAGE = 2, TIMEOUT_MS = 60000 };

enum action { ACTION_NONE, ADD, DEL, CLEAR, LIST, FLUSH, ACTIONS };

static const char *const names[ACTIONS] = {
	[ADD] = "add",	 [DEL] = "del",	    [CLEAR] = "clear",
	[LIST] = "list", [FLUSH] = "flush",
};

struct request {
	enum action action;
	bool old; /* asked by options, to be answered as the C tool did */
	bool json;
	bool options; /* there were some but --json */
	bool upload;
	const char *ip, *prefix, *class_id, *cpu, *circuit_id, *device_id;
};

/* ---- Answers ------------------------------------------------------------- */

static void print_json(json_t *value)
{
	if (value)
		json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(value);
}

static int failed(const struct request *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static int failed(const struct request *r, const char *fmt, ...)
{
	char why[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: %s\n", r->old ? "ERR" : "Error", why);
	if (r->json)
		print_json(json_pack("{s:b,s:s}", "success", 0, "error", why));
	return EXIT_FAILURE;
}

static int succeeded(const struct request *r)
{
	if (r->json)
		print_json(json_pack("{s:b}", "success", 1));
	else if (!r->old)
		puts("Success");
	return EXIT_SUCCESS;
}

static int ask(const struct request *r, struct client *client,
	       const char *method, json_t *params, json_t **result)
{
	char why[1024];

	if (client_call(client, method, params, TIMEOUT_MS, result, why,
			sizeof(why)))
		return failed(r, "%s", why);
	return EXIT_SUCCESS;
}

/* ---- add ----------------------------------------------------------------- */

/* Hexadecimal, with or without 0x; NULL: it is not, or more than 16 bits. */
static const char *read_hex(const char *text, uint32_t *value)
{
	unsigned long number;
	char *end;

	if (!strncasecmp(text, "0x", 2))
		text += 2;
	number = strtoul(text, &end, 16);
	if (strspn(text, "0123456789abcdefABCDEF") != (size_t)(end - text) ||
	    number > 0xffff)
		return NULL;
	*value = number;
	return end;
}

/* "1:1f", "0x1:0x1f"; a part that is missing is 0. */
static bool read_class(const char *text, uint32_t *major, uint32_t *minor)
{
	text = read_hex(text, major);
	if (!text || *text != ':')
		return false;
	text = read_hex(text + 1, minor);
	return text && !*text;
}

static bool read_queue(const struct request *r, uint32_t *queue)
{
	const char *text = r->cpu;
	unsigned long number;
	char *end;

	if (!r->old) {
		end = (char *)read_hex(text, queue);
		return end && end != text && !*end;
	}
	number = strtoul(text, &end, 0);
	*queue = number;
	return *text >= '0' && *text <= '9' && !*end && number <= 0xffff;
}

/* Scripts count queues from 0; which CPU a queue is on, lqosd knows. */
static int find_cpu(const struct request *r, const json_t *queues,
		    json_int_t *cpu)
{
	uint32_t queue;

	if (!read_queue(r, &queue))
		return failed(r,
			      "cpu \"%s\": expected the number of a queue, in "
			      "%s",
			      r->cpu,
			      r->old ? "decimal, or in hex after 0x"
				     : "hex, such as 0x1");
	if (queue >= json_array_size(queues))
		return failed(r,
			      "cpu \"%s\": expected the number of a queue, of "
			      "which there are %zu, counted from 0: lqosctl "
			      "steering queues shows them",
			      r->cpu, json_array_size(queues));
	*cpu = json_integer_value(
		json_object_get(json_array_get(queues, queue), "cpu"));
	return EXIT_SUCCESS;
}

static json_t *id_or_none(const char *id)
{
	return id && *id ? json_string(id) : NULL;
}

static int map(const struct request *r, struct client *client, const char *ip,
	       uint32_t major, uint32_t minor, const json_t *queues)
{
	json_int_t cpu = 0;
	json_t *result;
	char class[16];
	int rc;

	/* Where one interface has both directions LibreQoS 1.4 maps an address
	 * twice; what it has there for upload follows from the other here. */
	if (r->upload && major > json_array_size(queues))
		return succeeded(r);
	rc = find_cpu(r, queues, &cpu);
	if (rc)
		return rc;
	snprintf(class, sizeof(class), "%x:%x", major, minor);
	rc = ask(r, client, "steering.add",
		 json_pack("{s:s,s:s,s:I,s:o*,s:o*}", "ip", ip, "classid",
			   class, "cpu", cpu, "circuit_id",
			   id_or_none(r->circuit_id), "device_id",
			   id_or_none(r->device_id)),
		 &result);
	if (rc)
		return rc;
	json_decref(result);
	return succeeded(r);
}

static int add(const struct request *r, struct client *client, const char *ip)
{
	uint32_t major = 0, minor = 0;
	json_t *queues;
	int rc;

	if (!strchr(r->class_id, ':'))
		return failed(r,
			      "Class id must be in the format "
			      "(major):(minor), e.g. 1:12. Provided string: %s",
			      r->class_id);
	if (!read_class(r->class_id, &major, &minor))
		return failed(r,
			      "classid \"%s\": expected major:minor in hex, "
			      "each from 1 to ffff, such as 0x1:0x1f",
			      r->class_id);
	rc = ask(r, client, "steering.queues", NULL, &queues);
	if (rc)
		return rc;
	rc = map(r, client, ip, major, minor, queues);
	json_decref(queues);
	return rc;
}

/* ---- list ---------------------------------------------------------------- */

struct row {
	char ip[80]; /* always with a length */
	const char *circuit_id, *device_id;
	json_int_t queue;
	uint32_t major, minor;
	int64_t circuit, device; /* hashes; 0: none */
};

/* Its class tells the queue, unless it was sent to another CPU by hand. */
static json_int_t queue_of(const json_t *queues, const json_t *cpu,
			   uint32_t major)
{
	const json_t *queue, *other;
	size_t i;

	queue = json_array_get(queues, major - 1);
	if (!cpu || json_equal(json_object_get(queue, "cpu"), cpu))
		return queue ? major - 1 : 0;
	json_array_foreach((json_t *)queues, i, other)
		if (json_equal(json_object_get(other, "cpu"), cpu))
			return i;
	return queue ? major - 1 : 0;
}

static int64_t hash_of(const char *id)
{
	return *id ? (int64_t)siphash13(id, strlen(id)) : 0;
}

/* One that was added without a circuit is a circuit of its own. */
static bool has_no_circuit(const json_t *mapping, const char *id,
			   const char *ip)
{
	size_t len = strlen(id);

	return json_is_true(json_object_get(mapping, "by_hand")) &&
	       !strncmp(id, ip, len) && (!ip[len] || ip[len] == '/');
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static void read_row(const json_t *mapping, const json_t *queues,
		     struct row *row)
{
	const char *ip = text_of(mapping, "ip");
	const char *length = strchr(ip, ':') ? "/128" : "/32";

	*row = (struct row){.circuit_id = text_of(mapping, "circuit_id"),
			    .device_id = text_of(mapping, "device_id")};
	snprintf(row->ip, sizeof(row->ip), "%s%s", ip,
		 strchr(ip, '/') ? "" : length);
	if (has_no_circuit(mapping, row->circuit_id, row->ip))
		row->circuit_id = "";
	row->circuit = hash_of(row->circuit_id);
	row->device = hash_of(row->device_id);
	sscanf(text_of(mapping, "class"), "%x:%x", &row->major, &row->minor);
	row->queue =
		queue_of(queues, json_object_get(mapping, "cpu"), row->major);
}

static void list_text(const json_t *mappings, const json_t *queues)
{
	const json_t *mapping;
	struct row row;
	size_t i;

	puts("\nMapped IP Addresses:");
	for (i = 0; i < 68; i++)
		putchar('-');
	putchar('\n');
	json_array_foreach((json_t *)mappings, i, mapping) {
		read_row(mapping, queues, &row);
		printf("%-45s CPU: %-4" JSON_INTEGER_FORMAT
		       " TC: %x:%x CIRCUIT: %lld DEVICE: %lld\n",
		       row.ip, row.queue, row.major, row.minor,
		       (long long)row.circuit, (long long)row.device);
	}
	putchar('\n');
}

static void list_old(const json_t *mappings, const json_t *queues)
{
	const json_t *mapping;
	struct row row;
	size_t i;

	puts("{");
	json_array_foreach((json_t *)mappings, i, mapping) {
		read_row(mapping, queues, &row);
		printf("%s\"%s\" : { \"cpu\" : %" JSON_INTEGER_FORMAT
		       ", \"tc_maj\" : \"%X\" , \"tc_min\" : \"%X\" }",
		       i ? ",\n" : "", row.ip, row.queue, row.major, row.minor);
	}
	puts("}");
}

static void list_json(const json_t *mappings, const json_t *queues)
{
	json_t *out = json_array();
	const json_t *mapping;
	char class[16];
	struct row row;
	size_t i;

	json_array_foreach((json_t *)mappings, i, mapping) {
		read_row(mapping, queues, &row);
		snprintf(class, sizeof(class), "%x:%x", row.major, row.minor);
		json_array_append_new(
			out, json_pack("{s:s,s:I,s:s,s:s,s:s,s:I,s:I}", "ip",
				       row.ip, "cpu", row.queue, "classid",
				       class, "circuit_id", row.circuit_id,
				       "device_id", row.device_id, "circuit",
				       (json_int_t)row.circuit, "device",
				       (json_int_t)row.device));
	}
	print_json(out);
}

static int list(const struct request *r, struct client *client)
{
	json_t *queues, *mappings;
	int rc = ask(r, client, "steering.queues", NULL, &queues);

	if (rc)
		return rc;
	rc = ask(r, client, "steering.list", NULL, &mappings);
	if (rc) {
		json_decref(queues);
		return rc;
	}
	(r->json ? list_json : r->old ? list_old : list_text)(mappings, queues);
	json_decref(mappings);
	json_decref(queues);
	return EXIT_SUCCESS;
}

/* ---- The rest ------------------------------------------------------------ */

static int simple(const struct request *r, struct client *client,
		  const char *method, json_t *params)
{
	json_t *result;
	int rc = ask(r, client, method, params, &result);

	if (rc)
		return rc;
	json_decref(result);
	return succeeded(r);
}

static int run(const struct request *r)
{
	struct client *client;
	char why[512], ip[128] = "";
	int rc = EXIT_FAILURE;

	if (r->ip)
		snprintf(ip, sizeof(ip), "%s%s%s", r->ip, r->prefix ? "/" : "",
			 r->prefix ?: "");
	if (client_open(&client, NULL, why, sizeof(why)))
		return failed(r, "%s", why);
	if (r->action == ADD)
		rc = add(r, client, ip);
	else if (r->action == LIST)
		rc = list(r, client);
	else if (r->action == DEL)
		rc = simple(r, client, "steering.del",
			    json_pack("{s:s}", "ip", ip));
	else if (r->action == CLEAR)
		rc = simple(r, client, "steering.clear", NULL);
	else if (r->action == FLUSH)
		rc = simple(r, client, "steering.flush", NULL);
	client_close(&client);
	if (fflush(stdout) || ferror(stdout))
		return failed(r, "cannot write to stdout");
	return rc;
}

/* ---- Command line -------------------------------------------------------- */

static const struct option long_options[] = {
	{"add", no_argument, NULL, 'a'},
	{"del", no_argument, NULL, 'x'},
	{"list", no_argument, NULL, 'l'},
	{"clear", no_argument, NULL, 'e'},
	{"ip", required_argument, NULL, 'i'},
	{"prefix", required_argument, NULL, 'p'},
	{"classid", required_argument, NULL, 't'},
	{"cpu", required_argument, NULL, 'c'},
	{"circuit-id", required_argument, NULL, 'C'},
	{"circuit_id", required_argument, NULL, 'C'},
	{"device-id", required_argument, NULL, 'D'},
	{"device_id", required_argument, NULL, 'D'},
	{"upload", required_argument, NULL, 'u'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int help(void)
{
	puts("usage: " SELF " [--json] COMMAND\n\n"
	     "  add --ip ADDRESS[/LENGTH] --classid MAJOR:MINOR --cpu QUEUE\n"
	     "      [--circuit-id ID] [--device-id ID]\n"
	     "                     map addresses; classid and queue in hex\n"
	     "  del ADDRESS[/LENGTH]\n"
	     "                     remove a mapping\n"
	     "  clear              remove all mappings\n"
	     "  list               show all mappings\n"
	     "  flush              look all addresses up anew\n\n"
	     "or, as before LibreQoS 1.4:\n\n"
	     "  -a, --add --ip=ADDRESS --classid=MAJOR:MINOR --cpu=QUEUE\n"
	     "  -x, --del --ip=ADDRESS\n"
	     "  -l, --list\n"
	     "  -e, --clear\n\n"
	     "      --json         answer in JSON\n"
	     "  -h, --help\n"
	     "  -V, --version\n\n"
	     "lqosd's socket is " CLIENT_BUS_DEFAULT ", or else $LQOS_BUS.");
	return EXIT_SUCCESS;
}

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...)
{
	va_list ap;

	fputs("error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n\nFor more information, try '--help'.\n", stderr);
	return EXIT_USAGE;
}

/* Is what the action needs there, and nothing else? */
static int check(const struct request *r)
{
	const char *form = r->old ? "--" : "";
	bool is_add = r->action == ADD;
	bool is_about_ip = is_add || r->action == DEL;

	if (r->action == ACTION_NONE)
		return usage("required option --add, --del, --list or --clear "
			     "is missing");
	if (is_about_ip && !r->ip)
		return usage("%s%s: an address is missing%s", form,
			     names[r->action], is_add ? ": --ip ADDRESS" : "");
	if (is_add && !r->class_id)
		return usage("%sadd: --classid MAJOR:MINOR is missing", form);
	if (is_add && !r->cpu)
		return usage("%sadd: --cpu QUEUE is missing", form);
	if ((!is_about_ip && (r->ip || r->prefix)) ||
	    (!is_add &&
	     (r->class_id || r->cpu || r->circuit_id || r->device_id)))
		return usage("%s%s: unexpected option", form, names[r->action]);
	return 0;
}

static int set_action(struct request *r, enum action action)
{
	if (r->action != ACTION_NONE && r->action != action)
		return usage("%s and %s do not go together", names[r->action],
			     names[action]);
	r->action = action;
	return 0;
}

/* What follows the options. */
static int read_words(struct request *r, int n, char **words)
{
	enum action action = ACTION_NONE;
	int used = 1, rc;

	if (!n)
		return 0;
	for (int i = ADD; i < ACTIONS; i++)
		if (!strcmp(words[0], names[i]))
			action = i;
	if (r->old || action == ACTION_NONE)
		return usage("unrecognized subcommand '%s'", words[0]);
	rc = set_action(r, action);
	if (rc)
		return rc;
	if (n > used && action == DEL && !r->ip)
		r->ip = words[used++];
	return n > used ? usage("unexpected argument '%s' found", words[used])
			: 0;
}

/* 0 and the request, or, if *done, an exit status. */
static int read_options(struct request *r, int argc, char **argv, bool *done)
{
	static const char letters[] = "haxlei:p:t:c:V";
	int c, rc = 0;

	*done = true;
	while ((c = getopt_long(argc, argv, letters, long_options, NULL)) !=
	       -1) {
		r->options |= c != 'j';
		switch (c) {
		case 'a':
		case 'x':
		case 'l':
		case 'e':
			r->old = true;
			rc = set_action(r, c == 'a'   ? ADD
					   : c == 'x' ? DEL
					   : c == 'l' ? LIST
						      : CLEAR);
			if (rc)
				return rc;
			break;
		case 'i':
			r->ip = optarg;
			break;
		case 'p':
			r->prefix = optarg;
			break;
		case 't':
			r->class_id = optarg;
			break;
		case 'c':
			r->cpu = optarg;
			break;
		case 'C':
			r->circuit_id = optarg;
			break;
		case 'D':
			r->device_id = optarg;
			break;
		case 'u':
			r->upload = true;
			break;
		case 'j':
			r->json = true;
			break;
		case 'h':
			return help();
		case 'V':
			puts(SELF " " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	*done = false;
	return 0;
}

int main(int argc, char **argv)
{
	struct request r = {};
	bool done;
	int rc = read_options(&r, argc, argv, &done);

	if (done)
		return rc;
	if (optind == argc && !r.options) {
		puts("Run with --help to see instructions");
		return EXIT_SUCCESS;
	}
	rc = read_words(&r, argc - optind, argv + optind) ?: check(&r);
	return rc ?: run(&r);
}
