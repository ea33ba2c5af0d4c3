/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_change_word.c - lqosctl xsk change_word: a word in UDP's payload becomes
 * another, which may be shorter or longer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "modules/xsk/cmd_wire.h"

enum { FROM = 256, TO };

struct change {
	struct rewrite_word from, to;
	uint64_t words, packets;
	uint64_t too_long; /* packets, for a frame or an interface */
};

static bool change(struct cmd_wire *wire, struct cmd_port *from,
		   struct cmd_port *to, uint32_t queue,
		   struct lqos_xsk_frame *frame)
{
	uint32_t len = frame->len, room = len, most;
	uint8_t *data = lqos_xsk_data(wire->umem, frame);
	struct change *c = wire->arg;
	struct lqos_inet in;
	int n;

	(void)from;
	(void)queue;
	if (lqos_inet_parse(data, len, &in))
		return true;
	/* What does not fit goes on as it was: neither beyond the frame, nor
	 * longer than the next interface takes. */
	room += lqos_xsk_tailroom(wire->umem, frame);
	most = in.l3 + to->mtu;
	n = rewrite_replace(data, &len, room < most ? room : most, &c->from,
			    &c->to);
	if (n > 0) {
		lqos_xsk_resize(wire->umem, frame, len);
		c->packets++;
		c->words += (uint64_t)n;
	} else if (n == -EMSGSIZE) {
		c->too_long++;
	}
	return true;
}

static void report(const void *arg)
{
	const struct change *c = arg;

	printf("changed: %" PRIu64 " words in %" PRIu64 " packets\n", c->words,
	       c->packets);
	if (c->too_long)
		printf("passed as they were, they would have been too long: "
		       "%" PRIu64 " packets\n",
		       c->too_long);
}

static const char help[] =
	"usage: lqosctl xsk change_word [OPTION]... --source-word=WORD "
	"--change-word=WORD\n"
	"                               IF1 IF2\n\n"
	"Forwards between two interfaces; a word in the payload of UDP packets "
	"becomes\nanother, of any length.\n\n"
	"      --source-word=WORD    of 1 to 1400 bytes\n"
	"      --change-word=WORD    of 0 to 1400 bytes\n" CMD_HELP;

static const struct option options[] = {
	{"source-word", required_argument, NULL, FROM},
	{"change-word", required_argument, NULL, TO},
	CMD_LONG,
	{},
};

static int run(int argc, char **argv)
{
	struct change words = {};
	struct cmd_wire wire = {
		.sizes = CMD_SIZES_DEFAULT, .fn = change, .arg = &words};
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_LETTERS, options, NULL)) !=
	       -1) {
		if (c == FROM)
			rc = cmd_wire_word("--source-word", optarg, 1,
					   &words.from);
		else if (c == TO)
			rc = cmd_wire_word("--change-word", optarg, 0,
					   &words.to);
		else
			rc = cmd_option(&wire.sizes, c, optarg, help);
		if (rc >= 0)
			return rc;
	}
	if (!words.from.text || !words.to.text)
		return cmd_usage("expected --source-word and --change-word");
	rc = cmd_wire_names(&wire, argc - optind, argv + optind);
	return rc ?: cmd_wire_run(&wire, report);
}

const struct cmd cmd_change_word = {
	"change_word", "--source-word=WORD --change-word=WORD IF1 IF2",
	"forward; a word in UDP packets becomes another", run};
