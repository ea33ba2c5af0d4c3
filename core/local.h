/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local.h - what lqosctl does by itself, on this machine, whether a daemon runs
 * or not: it looks at the kernel, not at the bus.
 */
#ifndef CORE_LOCAL_H
#define CORE_LOCAL_H

#include <jansson.h>

#include "core/core.h"

/* How it was called. */
struct local_options {
	const char *config;	/* NULL: the default file, if there is one */
	const char *interfaces; /* NULL: as configured */
	bool json;
	bool verbose;
	bool force;
};

/* The commands; each returns an exit status. */
int local_pins(const struct local_options *o);
int local_detach(const struct local_options *o);
int local_doctor(const struct local_options *o);

/* ---- local.c: what the commands share ----------------------------------- */

struct local {
	struct core core; /* its settings only */
	struct core_config *config;
	const char *config_path;
	bool config_found; /* else there are only defaults */
};

/*
 * Settings of [lqosd] as a daemon would have them.  Other sections are not
 * looked at.  Complaints go to stderr, or to the sink there is.
 */
int local_open(struct local *l, const struct local_options *o);
void local_close(struct local *l);
/* "lqosctl: ..." on stderr; an exit status. */
int local_fail(const char *fmt, ...) LQOS_PRINTF(1, 2);
/* Lines of the core's log become lqosctl's on stderr: quiet leaves out what is
 * only told. */
void local_log(bool quiet);

/* ---- pins_command.c ------------------------------------------------------ */

struct local_pin_counts {
	unsigned int maps, links;
	unsigned int elsewhere; /* links in other network namespaces */
	uint64_t bytes;		/* of all maps */
};

void local_count_pins(const char *pin_dir, struct local_pin_counts *out);
/* How many maps LibreQoS has left in bpffs. */
unsigned int local_count_libreqos(const char *bpffs);

#endif /* CORE_LOCAL_H */
