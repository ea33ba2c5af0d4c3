/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_forward.c - lqosctl xsk forward: two interfaces, like a cable. */
#include <stdlib.h>

#include "modules/xsk/cmd_wire.h"

static const char help[] =
	"usage: lqosctl xsk forward [OPTION]... IF1 IF2\n\n"
	"Every packet that arrives at one interface leaves by the other, until "
	"^C.\n\n"
	"  -d, --dump                show each packet\n"
	"  -S, --stat                every second, packets of IF1 and of "
	"IF2\n" CMD_HELP;

static const struct option options[] = {
	{"dump", no_argument, NULL, 'd'},
	{"stat", no_argument, NULL, 'S'},
	CMD_LONG,
	{},
};

static int run(int argc, char **argv)
{
	struct cmd_wire wire = {.sizes = CMD_SIZES_DEFAULT};
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_LETTERS "dS", options, NULL)) !=
	       -1) {
		if (c == 'd')
			wire.dump = true;
		else if (c == 'S')
			wire.stat = true;
		else if ((rc = cmd_option(&wire.sizes, c, optarg, help)) >= 0)
			return rc;
	}
	rc = cmd_wire_names(&wire, argc - optind, argv + optind);
	return rc ?: cmd_wire_run(&wire, NULL);
}

const struct cmd cmd_forward = {
	"forward", "IF1 IF2",
	"two interfaces, like a cable; --dump shows what passes", run};
