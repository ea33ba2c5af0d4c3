/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* programs.h - commands of lqosctl that are programs of their own. */
#ifndef CORE_PROGRAMS_H
#define CORE_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

/* What was given before the command, which the program gets too. */
struct program_options {
	const char *socket; /* NULL: not given */
	bool json;
	bool verbose;
	int timeout; /* seconds; 0: not given */
};

/* The lines of lqosctl --help. */
void programs_help(void);
bool program_is_ours(const char *name);
/* Is there a program lqosctl-NAME, or, for what a module brings, NAME-VERB,
 * beside this one?  path, of size bytes, is where.  verb: NULL for the first.
 */
bool program_find(const char *name, const char *verb, char *path, size_t size);
/*
 * Becomes the program that args, up to NULL, are for: one of ours, or what a
 * module brings for NAME or NAME VERB.  is_verb says whether a word is a method
 * of module on the bus, which goes before lqosctl-NAME.  Returns 0 if there is
 * none, or an exit status if it cannot be run.
 */
int program_run(const struct program_options *o, char **args,
		bool (*is_verb)(const char *module, const char *word,
				void *arg),
		void *arg);

#endif /* CORE_PROGRAMS_H */
