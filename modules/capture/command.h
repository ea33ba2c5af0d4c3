/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* command.h - what the parts of lqosctl-capture share. */
#ifndef MODULES_CAPTURE_COMMAND_H
#define MODULES_CAPTURE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#include "modules/capture/wire.h"

/* ---- cmd_options.c ------------------------------------------------------- */

struct capture_options {
	const char *target; /* address, prefix or circuit */
	bool circuit;	    /* it is one, whatever it looks like */
	const char *write;  /* a file, "-": stdout; NULL: lines */
	unsigned int count; /* end after so many packets; 0: never */
	unsigned int seconds;
	unsigned int snaplen;
	const char *socket;
	int timeout; /* seconds */
};

/* An exit status; a negative number to go on. */
int capture_options_read(struct capture_options *o, int argc, char **argv);

/* ---- cmd_order.c: batches in, packets by time out ------------------------ */

struct capture_packet {
	TAILQ_ENTRY(capture_packet) link;
	int64_t wall; /* CLOCK_REALTIME, ns */
	struct capture_record record;
	uint8_t data[]; /* record.caplen */
};

enum {
	/* So long after another a packet can come that was before it: they are
	 * of two CPUs, one of which was kept from its work. */
	CAPTURE_HOLD_MS = 20,
	CAPTURE_HOLD_BYTES = 64 << 20, /* no more than that is held back */
};

struct capture_order {
	TAILQ_HEAD(capture_packets, capture_packet) packets; /* by time */
	size_t bytes;
	uint64_t newest, last; /* ts: of all that came, of the last taken */
	uint64_t late;	       /* taken, and before one that was taken before */
	struct capture_batch head; /* of the last batch */
};

void capture_order_init(struct capture_order *order);
/* -EPROTO: it makes no sense, and nothing of it was taken; -ENOMEM. */
int capture_order_add(struct capture_order *order, const void *batch,
		      size_t len);
/* The next packet, to be freed; NULL: none, or none yet.  all: nothing more
 * will come for a while. */
struct capture_packet *capture_order_take(struct capture_order *order,
					  bool all);
void capture_order_clear(struct capture_order *order);

/* ---- cmd_line.c ---------------------------------------------------------- */

/* One line, without its newline; cut off where buf ends. */
void capture_line(const struct capture_packet *packet, char *buf, size_t size);

/* ---- cmd_pcapng.c: blocks of a file; errors are the stream's ------------- */

void pcapng_section(FILE *f, const char *program);
/* The first is number 0. */
void pcapng_interface(FILE *f, const char *name, uint32_t snaplen);
void pcapng_packet(FILE *f, uint32_t interface,
		   const struct capture_packet *packet);

struct pcapng_statistics {
	uint32_t interface;
	int64_t start, end; /* CLOCK_REALTIME, ns */
	uint64_t packets;   /* in the file */
	/* In the kernel, and in all; of all interfaces. */
	bool with_drops;
	uint64_t dropped, lost;
};
void pcapng_statistics(FILE *f, const struct pcapng_statistics *s);

#endif /* MODULES_CAPTURE_COMMAND_H */
