/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command.h - how lqosctl pping was called.
 */
#ifndef MODULES_PPING_COMMAND_H
#define MODULES_PPING_COMMAND_H

#include <stdbool.h>

#include <jansson.h>

#include "modules/pping/cmd_aggregate.h"
#include "modules/pping/cmd_output.h"

enum { PPING_EXIT_USAGE = 2 };

struct pping_options {
	const char *socket; /* NULL: as client_open() likes */
	int timeout;	    /* seconds, for an answer */
	enum pping_format format;
	bool verbose;
	const char *write;			  /* NULL: stdout */
	unsigned int seconds;			  /* 0: for ever */
	struct pping_aggregate_options aggregate; /* seconds 0: it is not */
	json_t *params; /* of both topics, the filter; NULL: all */
};

/* cmd_options.c: a negative number if there is something to do, else an exit
 * status. */
int pping_options_read(struct pping_options *o, int argc, char **argv);

#endif /* MODULES_PPING_COMMAND_H */
