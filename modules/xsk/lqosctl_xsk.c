/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-xsk - AF_XDP to try and to learn from, without lqosd.  lqosctl runs
 * it for "lqosctl xsk hello" and so on, by the names of lqosctl-xsk-hello etc.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "modules/xsk/cmd_common.h"

static const struct cmd *const commands[] = {
	&cmd_hello,  &cmd_dev1_to_dev2, &cmd_forward,
	&cmd_filter, &cmd_change_word,	&cmd_tunnel,
};

static int help(void)
{
	printf("usage: lqosctl xsk COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %s %s\n      %s\n", commands[i]->name,
		       commands[i]->args, commands[i]->help);
	printf("\nEach has --help.  lqosctl xsk stat shows the sockets of a "
	       "running lqosd\nwhose module xsk is loaded.\n");
	return EXIT_SUCCESS;
}

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl xsk --help'.\n");
	return CMD_EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, argv[0]))
			continue;
		cmd_begin(commands[i]);
		optind = 0; /* from the beginning */
		return commands[i]->run(argc, argv);
	}
	/* It is for the daemon, which has been asked before this was run. */
	if (!strcmp(argv[0], "stat")) {
		fprintf(stderr, "lqosctl: lqosd runs without its module xsk: "
				"add it to modules in lqos.ini\n");
		return EXIT_FAILURE;
	}
	fprintf(stderr, "lqosctl: xsk %s: no such command\n", argv[0]);
	return usage();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"timeout", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{},
	};
	static const char prefix[] = "lqosctl-xsk-";
	char *self = strrchr(argv[0], '/');
	int c, rc;

	/* Whatever reads our output sees each line when it is written. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* By one of its names, the command is in there. */
	self = self ? self + 1 : argv[0];
	if (!strncmp(self, prefix, strlen(prefix))) {
		argv[0] = self + strlen(prefix);
		return run(argc, argv);
	}
	/* Those of lqosctl that are about the daemon mean nothing here. */
	while ((c = getopt_long(argc, argv, "+S:vhV", options, NULL)) != -1) {
		switch (c) {
		case 'S':
		case 't':
		case 'v':
			break;
		case 'h':
			return help();
		case 'V':
			printf("lqosctl %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			return usage();
		}
	}
	if (optind == argc) {
		fprintf(stderr, "lqosctl: xsk: a command is missing\n");
		return usage();
	}
	rc = run(argc - optind, argv + optind);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "lqosctl: xsk: cannot write to stdout\n");
		return EXIT_FAILURE;
	}
	return rc;
}
