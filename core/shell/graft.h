/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* graft.h - what the files of lqosctl graft share. */
#ifndef CORE_SHELL_GRAFT_H
#define CORE_SHELL_GRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct bpf_object;

enum { GRAFT_STAGES = 8, GRAFT_MAPS = 253 };

/* What a module's programs run on, as core.graft_maps tells. */
struct graft_host {
	const char *module;
	size_t n_stages, n_maps;
	struct {
		const char *stage;
		uint32_t prog_type, attach_type;
	} stages[GRAFT_STAGES];
	struct {
		const char *name;
		int fd;
	} maps[GRAFT_MAPS];
	json_t *answer; /* whose texts these are */
};

/* The host's map of that name; -1: it has none. */
int graft_map(const struct graft_host *host, const char *name);

/* Says why on stderr, in one line; returns -1. */
int graft_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A program that is loaded, for a stage of the host. */
struct graft_program {
	const char *stage;
	uint32_t id;
};

/* What holds them until the daemon does. */
struct graft_loaded {
	size_t n;
	struct graft_program programs[GRAFT_STAGES];
	struct bpf_object *obj;
	int pinned; /* -1: not from a pin */
};

/*
 * Loads those programs of an ELF file that names says, up to n; all that fit
 * the host where n is 0.  force: though it has none of the host's maps.  -1:
 * none is loaded, and stderr says why.
 */
int graft_load(const struct graft_host *host, const char *path,
	       const char *const *names, size_t n, bool force,
	       struct graft_loaded *out);
/* The same of a program that is pinned in a BPF file system. */
int graft_open_pinned(const struct graft_host *host, const char *path,
		      struct graft_loaded *out);
void graft_unload(struct graft_loaded *loaded);

/* ---- graft_bind.c -------------------------------------------------------- */

/* Has obj one of the maps that only the host's module has, or are there none?
 */
bool graft_is_related(const struct graft_host *host,
		      const struct bpf_object *obj);
/* Between obj's open and load: gives it the host's maps and constants.  -1: it
 * does not fit, and stderr says why. */
int graft_bind(const struct graft_host *host, struct bpf_object *obj);

#endif /* CORE_SHELL_GRAFT_H */
