/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the parts of lqosctl-map. */
#ifndef CORE_SHELL_MAP_H
#define CORE_SHELL_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "core/shell/grant.h"

enum { EXIT_USAGE = 2, WHY_SIZE = 1024 };

/* What the kernel answers where a map has no such operation; not in errno.h. */
enum { MAP_ENOTSUPP = 524 };

/* ---- map_options.c: the command line ------------------------------------- */

struct map_options {
	bool json, all;
	const char *prefix; /* NULL: the usual one */
	struct grant_request request;
	double interval; /* s */
	uint32_t count;	 /* looks; 0: until somebody ends it */
	char **words;	 /* the verb, what follows, NULL */
	int n_words;
};

/* -1, or an exit status that it has told why. */
int map_options_read(struct map_options *o, int argc, char **argv);
int map_usage(void);
/* "lqosctl: map: ..."; EXIT_FAILURE. */
int map_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- map_open.c: a map and its types ------------------------------------- */

/* Of a prefix trie's key: {prefixlen, space, address}. */
struct map_prefix {
	int family;   /* 0: it is none that can be written as text */
	size_t space; /* bytes between prefixlen and address: 0 or 4 */
};

struct map_type {
	const struct btf *btf; /* NULL: bytes */
	uint32_t id;
};

struct map {
	struct grants grants;
	const struct grant *grant;
	char name[100];		 /* MODULE:MAP */
	struct btf *btf, *known; /* the map's, ours */
	struct map_type key, value;
	struct map_prefix prefix;
	uint32_t cpus; /* that have a value each; 0: there is one */
	size_t stride; /* from one CPU's value to the next */
	size_t room;   /* that the kernel fills at a look-up */
};

/* All there are: from the environment, where -ENOENT is that it has none, or
 * from the daemon as o->request asks. */
int map_grants(const struct map_options *o, struct grants *out, char *why,
	       size_t size);
/* An exit status, with why told; 0: map_close() it. */
int map_open(struct map *m, struct map_options *o, const char *name,
	     bool writable);
void map_close(struct map *m);
/* Numbered from 0, all of them always there. */
bool map_is_array(const struct map *m);
/* The key is a number, whatever the values are. */
bool map_is_indexed(uint32_t type);
const char *map_type_text(uint32_t type);
/* Of a value that the kernel keeps no type of, but that is known all the same;
 * NULL: it is not. */
const char *map_value_name(uint32_t type);
/* Why a call about an entry failed, in one line; an exit status. */
int map_refused(const struct map *m, const char *key, int error);

/* ---- map_entry.c: keys and values ---------------------------------------- */

/* New references; NULL: no memory. */
json_t *map_key_json(const struct map *m, const void *key);
json_t *map_value_json(const struct map *m, const void *value);
/* {"key":, "value":}, or "cpus" instead. */
json_t *map_entry_json(const struct map *m, const void *key, const void *value);
/* In a line: JSON, or a bare scalar.  -EIO: it could not be written; -ENOMEM:
 * value is NULL, as there was none for it. */
int map_print(FILE *f, json_t *value, bool bare);
/* Words of a command line; an exit status, with why told. */
int map_key_read(const struct map *m, const char *word, void *key);
/* What the words leave out stays what it is. */
int map_value_read(const struct map *m, char **words, int n, void *value);

/* ---- map_walk.c: all entries --------------------------------------------- */

/* Not 0 ends it, and is what map_walk() returns. */
typedef int map_walk_fn(const void *key, const void *value, void *arg);
/* -errno of the kernel otherwise; -EAGAIN: it changes too fast. */
int map_walk(const struct map *m, map_walk_fn *each, void *arg);
/* Of prefix tries, whose look-up finds shorter prefixes too.  1: it is there,
 * 0: it is not, or -errno. */
int map_has_prefix(const struct map *m, const void *key);
bool map_is_zero(const void *data, size_t size);

/* ---- Verbs: an exit status ----------------------------------------------- */

int map_list(struct map_options *o);
int map_dump(struct map_options *o);
int map_get(struct map_options *o);
int map_update(struct map_options *o);
int map_delete(struct map_options *o);
int map_watch(struct map_options *o);

#endif /* CORE_SHELL_MAP_H */
