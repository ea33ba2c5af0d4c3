/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-graft - another program in the place of a module's own.  lqosctl runs
 * it for "lqosctl graft".
 *
 * Files are opened and programs loaded here, so that a broken file or a slow
 * verifier is nothing to the daemon.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "core/number.h"
#include "core/shell/graft.h"

enum { EXIT_USAGE = 2, TIMEOUT_MAX = 3600, TIMEOUT = 256 };

struct options {
	const char *socket;
	int timeout; /* seconds */
	bool json, undo, force;
	char **words;
	size_t n_words;
};

int graft_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("lqosctl: graft: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return -1;
}

static int call(const struct options *o, struct client *client,
		const char *method, json_t *params, json_t **result)
{
	char why[1024];

	if (!client_call(client, method, params, o->timeout * 1000, result, why,
			 sizeof(why)))
		return 0;
	return graft_fail("%s", why);
}

/* ---- What is grafted ----------------------------------------------------- */

/* Grafted links of core.status, each with its stage. */
static json_t *grafted(const json_t *status)
{
	const json_t *links, *link;
	json_t *out = json_array();
	const char *stage;
	size_t i;

	json_object_foreach(json_object_get(status, "chains"), stage, links) {
		json_array_foreach((json_t *)links, i, link) {
			json_t *copy;

			if (!json_is_true(json_object_get(link, "grafted")))
				continue;
			copy = json_copy((json_t *)link);
			json_object_del(copy, "grafted");
			json_object_set_new(copy, "stage", json_string(stage));
			json_array_append_new(out, copy);
		}
	}
	return out;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "?";
}

/* By its id, as names may be the same; one of 0 is the module's own. */
static void put_program(const json_t *program, const char *name, const char *id)
{
	json_int_t number = json_integer_value(json_object_get(program, id));

	if (number)
		printf("%s (program %" JSON_INTEGER_FORMAT ")",
		       text(program, name), number);
	else
		printf("its own %s", text(program, name));
}

static void show_program(const char *module, const json_t *program)
{
	const bool grafted =
		json_integer_value(json_object_get(program, "id")) != 0;

	printf("%s %s: ", module, text(program, "stage"));
	put_program(program, "program", "id");
	fputs(grafted ? " runs in the place of " : " runs again, not ", stdout);
	put_program(program, "instead_of", "was_id");
	putchar('\n');
}

static int put_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
	return 0;
}

static int list(const struct options *o, struct client *client)
{
	json_t *status = NULL, *programs, *program;
	size_t i;

	if (call(o, client, "core.status", NULL, &status))
		return -1;
	programs = grafted(status);
	json_decref(status);
	if (o->json)
		return put_json(programs);
	json_array_foreach(programs, i, program)
		show_program(text(program, "module"), program);
	if (!json_array_size(programs))
		puts("nothing is grafted: modules run their own programs");
	json_decref(programs);
	return 0;
}

/* ---- Another program ----------------------------------------------------- */

static int show_result(const struct options *o, json_t *result)
{
	const json_t *program;
	size_t i;

	if (o->json)
		return put_json(result);
	json_array_foreach(json_object_get(result, "programs"), i, program)
		show_program(text(result, "module"), program);
	json_decref(result);
	return 0;
}

static int undo(const struct options *o, struct client *client)
{
	json_t *result = NULL;

	return call(o, client, "core.graft_undo",
		    json_pack("{s:s}", "module", o->words[0]), &result)
		       ? -1
		       : show_result(o, result);
}

static void host_free(struct graft_host *host)
{
	while (host->n_maps)
		close(host->maps[--host->n_maps].fd);
	json_decref(host->answer);
}

/* n_maps is how many descriptors came. */
static int host_read(struct graft_host *host)
{
	const json_t *maps = json_object_get(host->answer, "maps");
	const json_t *stages = json_object_get(host->answer, "stages"), *stage;
	size_t i;

	host->module = text(host->answer, "module");
	host->n_stages = json_array_size(stages);
	if (json_array_size(maps) != host->n_maps ||
	    host->n_stages > GRAFT_STAGES)
		return graft_fail("what lqosd answers makes no sense: is it of "
				  "another version?");
	for (i = 0; i < host->n_maps; i++)
		host->maps[i].name = text(json_array_get(maps, i), "name");
	json_array_foreach((json_t *)stages, i, stage) {
		host->stages[i].stage = text(stage, "stage");
		host->stages[i].prog_type = (uint32_t)json_integer_value(
			json_object_get(stage, "prog_type"));
		host->stages[i].attach_type = (uint32_t)json_integer_value(
			json_object_get(stage, "attach_type"));
	}
	return 0;
}

static int host_ask(const struct options *o, struct client *client,
		    struct graft_host *host)
{
	int fds[GRAFT_MAPS];
	size_t n = GRAFT_MAPS, i;
	char why[1024];

	if (client_call_fds(client, "core.graft_maps",
			    json_pack("{s:s}", "module", o->words[0]),
			    o->timeout * 1000, &host->answer, fds, &n, why,
			    sizeof(why)))
		return graft_fail("%s", why);
	for (i = 0; i < n; i++)
		host->maps[i].fd = fds[i];
	host->n_maps = n;
	return host_read(host);
}

static json_t *request(const struct graft_host *host,
		       const struct graft_loaded *loaded)
{
	json_t *programs = json_array();
	size_t i;

	for (i = 0; i < loaded->n; i++)
		json_array_append_new(
			programs,
			json_pack("{s:s,s:I}", "stage",
				  loaded->programs[i].stage, "id",
				  (json_int_t)loaded->programs[i].id));
	return json_pack("{s:s,s:o}", "module", host->module, "programs",
			 programs);
}

static int load(const struct options *o, const struct graft_host *host,
		struct graft_loaded *loaded)
{
	const char *path = o->words[1];
	struct statfs fs;
	struct stat st;

	if (stat(path, &st) || statfs(path, &fs))
		return graft_fail("%s: %s", path, strerror(errno));
	/* To open a FIFO would be to wait for who writes it.  A pin looks like
	 * a file. */
	if (!S_ISREG(st.st_mode))
		return graft_fail("%s: it is no regular file: expected a BPF "
				  "object (clang -g -O2 -target bpf) or a pin "
				  "below a BPF file system",
				  path);
	if (fs.f_type != BPF_FS_MAGIC)
		return graft_load(host, path, (const char *const *)o->words + 2,
				  o->n_words - 2, o->force, loaded);
	if (o->n_words > 2)
		return graft_fail("%s: a pin is one program, so none can be "
				  "named",
				  path);
	return graft_open_pinned(host, path, loaded);
}

static int graft(const struct options *o, struct client *client)
{
	struct graft_loaded loaded = {.pinned = -1};
	struct graft_host host = {};
	json_t *result = NULL;
	int rc = host_ask(o, client, &host);

	if (!rc)
		rc = load(o, &host, &loaded);
	if (!rc)
		rc = call(o, client, "core.graft", request(&host, &loaded),
			  &result);
	if (!rc)
		rc = show_result(o, result);
	graft_unload(&loaded);
	host_free(&host);
	return rc;
}

/* ---- The command line ---------------------------------------------------- */

static int help(void)
{
	printf("usage: lqosctl graft MODULE FILE.bpf.o [PROGRAM]...\n"
	       "       lqosctl graft MODULE PIN\n"
	       "       lqosctl graft MODULE --undo\n"
	       "       lqosctl graft\n\n"
	       "Lets another program run in the place of a module's own, under "
	       "traffic.\n\n"
	       "  -f, --force            even if none of the file's maps is "
	       "one "
	       "of the module's\n"
	       "  -u, --undo             the module's own programs run again\n"
	       "  -j, --json             print JSON\n"
	       "  -S, --socket=SOCKET    lqosd's socket (%s)\n"
	       "      --timeout=SECONDS  how long to wait for an answer (5)\n"
	       "  -h, --help\n"
	       "  -V, --version\n",
	       CLIENT_BUS_DEFAULT);
	return EXIT_SUCCESS;
}

static int usage(const char *why)
{
	if (why)
		graft_fail("%s", why);
	fprintf(stderr, "Try 'lqosctl graft --help'.\n");
	return EXIT_USAGE;
}

static const struct option long_options[] = {
	{"force", no_argument, NULL, 'f'},
	{"undo", no_argument, NULL, 'u'},
	{"json", no_argument, NULL, 'j'},
	{"verbose", no_argument, NULL, 'v'},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

/* An exit status; a negative number to go on. */
static int read_option(struct options *o, int option)
{
	uint32_t seconds;

	switch (option) {
	case 'f':
		o->force = true;
		return -1;
	case 'u':
		o->undo = true;
		return -1;
	case 'j':
		o->json = true;
		return -1;
	case 'v': /* there is no more to say */
		return -1;
	case 'S':
		o->socket = optarg;
		return -1;
	case TIMEOUT:
		if (core_number(optarg, 1, TIMEOUT_MAX, &seconds))
			return usage("--timeout: expected a number from 1 to "
				     "3600");
		o->timeout = (int)seconds;
		return -1;
	case 'h':
		return help();
	case 'V':
		printf("lqosctl %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	default:
		return usage(NULL);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.timeout = 5};
	struct client *client;
	char why[1024];
	int c, rc = -1;

	while (rc < 0 && (c = getopt_long(argc, argv, "fujvS:hV", long_options,
					  NULL)) != -1)
		rc = read_option(&o, c);
	if (rc >= 0)
		return rc;
	o.words = argv + optind;
	o.n_words = (size_t)(argc - optind);
	if (o.undo && o.n_words != 1)
		return usage("--undo: expected one module");
	if (!o.undo && o.n_words == 1)
		return usage("expected a file or a pin behind the module, or "
			     "--undo");
	if (client_open(&client, o.socket, why, sizeof(why))) {
		graft_fail("%s", why);
		return EXIT_FAILURE;
	}
	rc = !o.n_words ? list(&o, client)
	     : o.undo	? undo(&o, client)
			: graft(&o, client);
	client_close(&client);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
