/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/programs.h"

/* Ours: they are there whatever modules run, and are never short for anything.
 */
static const struct {
	const char *name, *args, *help;
} programs[] = {
	{"exec", "[-- CMD...]", "a shell that holds maps of the modules"},
	{"map", "VERB...", "list, dump, get, update, delete, watch them"},
	{"export", "--tc PATH", "hand them to tc exec bpf import"},
	{"graft", "MODULE PROG", "swap a program of a module, under traffic"},
	{"debug", "", "print what BPF programs trace, until ^C"},
};

void programs_help(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		printf("  %-8s%-15s%s\n", programs[i].name, programs[i].args,
		       programs[i].help);
}

bool program_is_ours(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(programs[i].name, name))
			return true;
	return false;
}

static int path_of(const char *name, const char *verb, char *path, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *file;

	if (n <= 0)
		return n ? -errno : -ENOENT;
	if (name[strspn(name, letters)] ||
	    (verb && verb[strspn(verb, letters)]))
		return -ENOENT;
	path[n] = '\0';
	file = strrchr(path, '/') + 1;
	size -= (size_t)(file - path);
	return (size_t)snprintf(file, size, "lqosctl-%s%s%s", name,
				verb ? "-" : "", verb ?: "") < size
		       ? 0
		       : -ENAMETOOLONG;
}

bool program_find(const char *name, const char *verb, char *path, size_t size)
{
	return !path_of(name, verb, path, size) && !access(path, X_OK);
}

static bool find(char **args, char *path, size_t size,
		 bool (*is_verb)(const char *module, const char *word,
				 void *arg),
		 void *arg)
{
	if (program_is_ours(args[0]))
		return !path_of(args[0], NULL, path, size);
	if (args[1] && program_find(args[0], args[1], path, size))
		return true;
	return program_find(args[0], NULL, path, size) &&
	       !is_verb(args[0], args[1], arg);
}

int program_run(const struct program_options *o, char **args,
		bool (*is_verb)(const char *module, const char *word,
				void *arg),
		void *arg)
{
	char path[4096], self[64], timeout[32];
	const char *argv[1024] = {self};
	int argc = 1;

	if (!find(args, path, sizeof(path), is_verb, arg))
		return EXIT_SUCCESS;
	snprintf(self, sizeof(self), "lqosctl %s", args[0]);
	snprintf(timeout, sizeof(timeout), "--timeout=%d", o->timeout);
	if (o->timeout)
		argv[argc++] = timeout;
	if (o->json)
		argv[argc++] = "-j";
	if (o->verbose)
		argv[argc++] = "-v";
	if (o->socket) {
		argv[argc++] = "-S";
		argv[argc++] = o->socket;
	}
	while (*++args && argc < (int)ARRAY_SIZE(argv) - 1)
		argv[argc++] = *args;
	if (*args) {
		fprintf(stderr, "lqosctl: too many arguments\n");
		return EXIT_FAILURE;
	}
	execv(path, (char **)argv);
	fprintf(stderr, "lqosctl: cannot run %s: %s\n", path, strerror(errno));
	return EXIT_FAILURE;
}
