/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-map - what is in BPF maps of lqosd's modules.  lqosctl runs it for
 * "lqosctl map".
 *
 * In a shell of lqosctl exec it works on the descriptors that the shell holds,
 * and needs neither the daemon nor any rights.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/shell/map.h"
#include "core/show.h"

static const struct verb {
	const char *name, *words;
	int min, max; /* words behind it */
	int (*run)(struct map_options *o);
} verbs[] = {
	{"list", "[GLOB]", 0, 1, map_list},
	{"dump", "MODULE:MAP", 1, 1, map_dump},
	{"get", "MODULE:MAP KEY", 2, 2, map_get},
	{"update", "MODULE:MAP KEY VALUE... [any|noexist|exist]", 3, 1000,
	 map_update},
	{"delete", "MODULE:MAP KEY", 2, 2, map_delete},
	{"watch", "MODULE:MAP [KEY]", 1, 2, map_watch},
};

int map_usage(void)
{
	fprintf(stderr, "Try 'lqosctl map --help'.\n");
	return EXIT_USAGE;
}

int map_fail(const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	/* Words may come from anywhere, by way of a script. */
	fprintf(stderr, "lqosctl: map: %s\n",
		text ? show_harmless(text) : strerror(ENOMEM));
	return EXIT_FAILURE;
}

static int run(const struct verb *verb, struct map_options *o)
{
	int n = o->n_words - 1, status;

	if (n < verb->min || n > verb->max) {
		map_fail("%s: expected %s", verb->name, verb->words);
		return map_usage();
	}
	o->words++;
	o->n_words = n;
	status = verb->run(o);
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_SUCCESS)
		return map_fail("cannot write: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct map_options o;
	int status = map_options_read(&o, argc, argv);

	if (status >= 0)
		return status;
	if (!o.n_words) {
		map_fail("expected list, dump, get, update, delete or watch");
		return map_usage();
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(o.words[0], verbs[i].name))
			return run(&verbs[i], &o);
	map_fail("\"%s\": expected list, dump, get, update, delete or watch",
		 o.words[0]);
	return map_usage();
}
