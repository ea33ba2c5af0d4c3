/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grant.h - descriptors of BPF maps that lqosd has handed to this process, or
 * that the shell which runs it holds.
 *
 * grant.c asks the daemon for them, environ.c hands them on to a command and
 * takes them from there: the environment names them, so nobody needs the daemon
 * once he has them.
 */
#ifndef CORE_SHELL_GRANT_H
#define CORE_SHELL_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;

enum grant_kind {
	GRANT_MAP = 1,
	GRANT_PROGRAM,
	GRANT_BTF, /* types of maps: what only root may open by its id */
};

struct grant {
	enum grant_kind kind;
	int fd;
	uint32_t id; /* the kernel's */
	/* Of maps and programs: */
	char module[32]; /* "datapath": the core's; "tc": came from there */
	char name[64];
	/* Of maps: */
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size, value_size, max_entries, flags;
	uint32_t btf_id; /* 0: there are no types */
	uint32_t key_type, value_type;
	uint32_t index; /* of its BPF_MAP<n> */
	bool writable;
};

struct grants {
	struct grant *at;
	size_t n;
	bool borrowed; /* their descriptors are not closed with them */
};

/* There may be none. */
void grants_free(struct grants *grants);
/* Adds a grant, whose descriptor is taken; closed on failure. */
int grants_add(struct grants *grants, const struct grant *grant);

/*
 * What the kernel says of the map behind grant->fd goes into grant, but for its
 * module; its name stays if it has one.  -EBADF: it is not open; -EMEDIUMTYPE:
 * it is no BPF map.
 */
int grant_look(struct grant *grant);
/* Is it open, of that kind, and does the kernel say that id?  0, -EBADF,
 * -EMEDIUMTYPE, -ESTALE: it is another one of the kind. */
int grant_check(const struct grant *grant);
/* Is it a map that pattern stands for, as core.grant takes them: MODULE:NAME,
 * or one of them, as glob(7)? */
bool grant_matches(const struct grant *grant, const char *pattern);
/* Of one whose descriptor is -1: why it cannot be used.  -EBADF. */
int grant_closed(const struct grant *grant, char *why, size_t why_size);
/*
 * The map "MODULE:NAME", or "NAME" where only one module has it.  *out is
 * borrowed.  -ENOENT, -ENOTUNIQ, -EBADF: it is not open here; why is one line.
 */
int grants_find(const struct grants *grants, const char *name,
		const struct grant **out, char *why, size_t why_size);

/* The types of a map.  *out is the caller's: btf__free().  -ENOENT: it has
 * none, or they did not come with it. */
int grant_btf(const struct grants *grants, const struct grant *map,
	      struct btf **out);

/* ---- grant.c: from the daemon -------------------------------------------- */

struct grant_request {
	const char *socket; /* NULL: $LQOS_BUS, or the usual one */
	int timeout_ms;
	/* "MODULE:NAME", where * and ? stand for letters (glob(7)). */
	const char *const *maps;
	size_t n_maps;
	const char *const *programs;
	size_t n_programs;
	bool writable; /* maps, where their modules let them be written */
};

/* *out is the caller's, with all descriptors closed on exec.  On failure there
 * are none, and why is one line. */
int grants_ask(struct grants *out, const struct grant_request *request,
	       char *why, size_t why_size);

/* ---- environ.c: from a shell, and to one --------------------------------- */

#define GRANT_PREFIX "LQOS"

/*
 * The environment for a command that gets them, instead of ours: PREFIX_MAPS,
 * PREFIX_MAP_<MODULE>_<NAME>, BPF_NUM_MAPS, BPF_MAP<n> as iproute2 sets them,
 * and, where there are any, PREFIX_PROGS, PREFIX_PROG_<MODULE>_<NAME> and
 * PREFIX_BTF.  Their descriptors are 10 and above and survive an exec from now
 * on.  What the same prefix named before goes, and is closed.
 * -EEXIST: two of them would have one variable, and why says which.
 */
int grants_to_environ(struct grants *grants, const char *prefix, char *why,
		      size_t why_size);
/*
 * Those that the environment names; borrowed.  A descriptor that is not open
 * here, or is not what it says, is -1.  -ENOENT: it names none; -EINVAL: it
 * makes no sense, and why says where.
 */
int grants_from_environ(struct grants *out, const char *prefix, char *why,
			size_t why_size);

#endif /* CORE_SHELL_GRANT_H */
