/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_wire.h - two interfaces, between which every packet goes, both ways. */
#ifndef XSK_CMD_WIRE_H
#define XSK_CMD_WIRE_H

#include "modules/xsk/cmd_port.h"
#include "modules/xsk/rewrite.h"

struct cmd_wire;

/*
 * A packet that came in at `from`, on this queue, and goes out at `to`.  It may
 * be changed.  false: it is freed, and goes nowhere.
 */
typedef bool (*cmd_wire_fn)(struct cmd_wire *wire, struct cmd_port *from,
			    struct cmd_port *to, uint32_t queue,
			    struct lqos_xsk_frame *frame);

struct cmd_wire {
	struct cmd_sizes sizes;
	const char *names[3]; /* two, and NULL */
	cmd_wire_fn fn;	      /* NULL: all packets as they are */
	void *arg;	      /* fn's */
	bool dump, stat;
	/* Of cmd_wire_run(). */
	struct lqos_umem *umem;
	struct cmd_port ports[2];
};

/* An option's word, at least min bytes; -1, or an exit status. */
int cmd_wire_word(const char *option, const char *text, uint32_t min,
		  struct rewrite_word *out);
/* The two names that are left behind the options.  An exit status; 0: fine. */
int cmd_wire_names(struct cmd_wire *wire, int argc, char **argv);
/*
 * Until a signal ends it; an exit status.  report, which may be NULL, is called
 * at the end, with the counters.
 */
int cmd_wire_run(struct cmd_wire *wire, void (*report)(const void *arg));

#endif /* XSK_CMD_WIRE_H */
