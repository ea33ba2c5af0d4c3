/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_filter.c - lqosctl xsk filter: a TCP segment that has a word in it does
 * not arrive; both its ends get a RST in its place.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/xsk/cmd_wire.h"
#include "modules/xsk/rewrite.h"

enum { TCP = 6, TCP_FLAGS = 13, RST = 4, WORD = 256, PORT };

struct filter {
	struct rewrite_word word;
	uint32_t port;
	uint64_t reset;
	uint64_t half; /* of them, without a frame for the second RST */
};

/* A RST is not answered by another. */
static bool is_meant(const struct filter *f, const uint8_t *data,
		     const struct lqos_inet *in)
{
	const uint8_t *tcp = data + in->l4;

	return in->l4 && in->proto == TCP && !(tcp[TCP_FLAGS] & RST) &&
	       (lqos_get16(tcp) == f->port || lqos_get16(tcp + 2) == f->port) &&
	       rewrite_contains(data, in, &f->word);
}

/* To where the segment came from, in a frame of its own. */
static void reset_sender(struct filter *f, struct cmd_port *from,
			 uint32_t queue, const uint8_t *data,
			 const struct lqos_inet *in)
{
	struct lqos_xsk_frame back;
	uint8_t *copy;

	if (lqos_umem_alloc(from->umem, &back)) {
		f->half++;
		return;
	}
	copy = lqos_xsk_put(from->umem, &back, in->end);
	if (!copy) {
		lqos_umem_free(from->umem, &back, 1);
		f->half++;
		return;
	}
	memcpy(copy, data, in->end);
	lqos_xsk_resize(from->umem, &back, rewrite_reset_back(copy, in));
	cmd_port_send(from, queue, &back, 1);
}

static bool look(struct cmd_wire *wire, struct cmd_port *from,
		 struct cmd_port *to, uint32_t queue,
		 struct lqos_xsk_frame *frame)
{
	uint8_t *data = lqos_xsk_data(wire->umem, frame);
	struct filter *f = wire->arg;
	struct lqos_inet in;

	(void)to;
	if (lqos_inet_parse(data, frame->len, &in) || !is_meant(f, data, &in))
		return true;
	f->reset++;
	reset_sender(f, from, queue, data, &in);
	/* The segment itself becomes the other one. */
	lqos_xsk_resize(wire->umem, frame, rewrite_reset(data, &in));
	return true;
}

static void report(const void *arg)
{
	const struct filter *f = arg;

	printf("reset: %" PRIu64 "\n", f->reset);
	if (f->half)
		printf("reset at the receiver only, there was no frame: "
		       "%" PRIu64 "\n",
		       f->half);
}

static const char help[] =
	"usage: lqosctl xsk filter [OPTION]... IF1 IF2\n\n"
	"Forwards between two interfaces; who sends or receives a TCP segment "
	"with a word\nin it gets a RST in its place.\n\n"
	"      --word=WORD           which (pineapple)\n"
	"      --port=PORT           only from or to this one (80)\n" CMD_HELP;

static const struct option options[] = {
	{"word", required_argument, NULL, WORD},
	{"port", required_argument, NULL, PORT},
	CMD_LONG,
	{},
};

static int run(int argc, char **argv)
{
	struct filter f = {.word = {"pineapple", 9}, .port = 80};
	struct cmd_wire wire = {
		.sizes = CMD_SIZES_DEFAULT, .fn = look, .arg = &f};
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_LETTERS, options, NULL)) !=
	       -1) {
		if (c == WORD)
			rc = cmd_wire_word("--word", optarg, 1, &f.word);
		else if (c == PORT)
			rc = cmd_number("--port", optarg, 1, 65535, &f.port);
		else
			rc = cmd_option(&wire.sizes, c, optarg, help);
		if (rc >= 0)
			return rc;
	}
	rc = cmd_wire_names(&wire, argc - optind, argv + optind);
	return rc ?: cmd_wire_run(&wire, report);
}

const struct cmd cmd_filter = {
	"filter", "IF1 IF2",
	"forward; a TCP segment with a word in it ends its connection", run};
