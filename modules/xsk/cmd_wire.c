/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_wire.c - two interfaces, between which every packet goes.  Both share a
 * UMEM: a packet is sent from the frame that it was received into, and no byte
 * of it is copied by us.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/xsk/cmd_wire.h"

int cmd_wire_word(const char *option, const char *text, uint32_t min,
		  struct rewrite_word *out)
{
	size_t len = strlen(text);

	if (len < min || len > REWRITE_WORD_MAX)
		return cmd_usage("%s of %zu bytes: expected %u to %d", option,
				 len, min, REWRITE_WORD_MAX);
	*out = (struct rewrite_word){text, (uint32_t)len};
	return -1;
}

int cmd_wire_names(struct cmd_wire *wire, int argc, char **argv)
{
	if (argc != 2)
		return cmd_usage("expected the names of two interfaces");
	if (!strcmp(argv[0], argv[1]))
		return cmd_usage("%s twice: expected two interfaces", argv[0]);
	wire->names[0] = argv[0];
	wire->names[1] = argv[1];
	return EXIT_SUCCESS;
}

/* ---- Packets ------------------------------------------------------------- */

static void dump(const struct cmd_wire *wire, const struct cmd_port *from,
		 const struct cmd_port *to, const struct lqos_xsk_frame *frame)
{
	printf("%s -> %s: %u bytes at 0x%" PRIx64 "\n", from->name, to->name,
	       frame->len, frame->addr);
	lqos_xsk_dump(wire->umem, frame, stdout);
}

/* A batch of one queue; how many there were. */
static uint32_t move(struct cmd_wire *wire, struct cmd_port *from,
		     struct cmd_port *to, uint32_t queue)
{
	struct lqos_xsk_frame frames[CMD_BATCH];
	uint32_t n = lqos_xsk_rx(from->sockets[queue], frames, CMD_BATCH),
		 kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct lqos_xsk_frame frame = frames[i];

		if (wire->dump)
			dump(wire, from, to, &frame);
		if (!wire->fn || wire->fn(wire, from, to, queue, &frame))
			frames[kept++] = frame;
		else
			lqos_umem_free(wire->umem, &frame, 1);
	}
	cmd_port_send(to, queue, frames, kept);
	return n;
}

/* One batch of each queue, in both directions; how many by direction. */
static uint64_t turn(struct cmd_wire *wire, uint64_t moved[2])
{
	uint64_t n = 0;

	for (int i = 0; i < 2; i++) {
		struct cmd_port *from = &wire->ports[i];

		for (uint32_t queue = 0; queue < from->queues; queue++) {
			uint32_t some =
				move(wire, from, &wire->ports[!i], queue);

			moved[i] += some;
			n += some;
		}
	}
	cmd_port_turn(&wire->ports[0]);
	cmd_port_turn(&wire->ports[1]);
	return n;
}

/* ---- The loop ------------------------------------------------------------ */

static void tell_moved(const struct cmd_wire *wire, uint64_t moved[2])
{
	if (wire->stat && (moved[0] || moved[1]))
		printf("Processed %" PRIu64 ", %" PRIu64 " packets\n", moved[0],
		       moved[1]);
	moved[0] = moved[1] = 0;
}

static int loop(struct cmd_wire *wire)
{
	uint32_t n = wire->ports[0].queues + wire->ports[1].queues;
	autofree struct pollfd *fds = calloc(n, sizeof(*fds));
	uint64_t moved[2] = {};
	int64_t second = 0;
	int rc = 0;

	if (!fds)
		return cmd_fail("out of memory"), -ENOMEM;
	cmd_port_poll(&wire->ports[1],
		      fds + cmd_port_poll(&wire->ports[0], fds));
	while (!cmd_ended() && !rc) {
		if (!turn(wire, moved))
			rc = cmd_wait(fds, n);
		if (!rc && cmd_every_second(&second)) {
			tell_moved(wire, moved);
			rc = cmd_port_check(&wire->ports[0])
				     ?: cmd_port_check(&wire->ports[1]);
		}
	}
	/* Nothing arrives any more, and what has arrived goes on. */
	cmd_port_detach(&wire->ports[0]);
	cmd_port_detach(&wire->ports[1]);
	while (turn(wire, moved))
		;
	tell_moved(wire, moved);
	return rc;
}

/* ---- Open and close ------------------------------------------------------ */

static int open_ports(struct cmd_wire *wire)
{
	for (int i = 0; i < 2; i++) {
		int rc = cmd_port_open(&wire->ports[i], wire->names[i],
				       wire->umem, &wire->sizes);

		if (rc)
			return rc;
	}
	/* No packet is taken before there is a way out. */
	for (int i = 0; i < 2; i++) {
		int rc = cmd_port_attach(&wire->ports[i], &wire->sizes);

		if (rc)
			return rc;
	}
	return 0;
}

static int run(struct cmd_wire *wire)
{
	int rc = open_ports(wire);

	if (rc)
		return rc;
	cmd_port_describe(&wire->ports[0]);
	cmd_port_describe(&wire->ports[1]);
	rc = loop(wire);
	cmd_port_counters(&wire->ports[0]);
	cmd_port_counters(&wire->ports[1]);
	return rc;
}

int cmd_wire_run(struct cmd_wire *wire, void (*report)(const void *arg))
{
	int rc;

	cmd_catch_signals();
	rc = cmd_umem_open(&wire->sizes, wire->names, &wire->umem);
	if (rc)
		return EXIT_FAILURE;
	rc = run(wire);
	if (report && !rc)
		report(wire->arg);
	cmd_port_close(&wire->ports[0]);
	cmd_port_close(&wire->ports[1]);
	return cmd_umem_close(&wire->umem) || rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
