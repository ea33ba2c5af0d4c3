/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_port.h - an interface: a socket on each of its queues, and a program that
 * sends all that arrives there to them. */
#ifndef XSK_CMD_PORT_H
#define XSK_CMD_PORT_H

#include <poll.h>

#include "modules/xsk/cmd_common.h"

struct cmd_port {
	const char *name;
	struct lqos_umem *umem;
	struct lqos_xsk **sockets; /* one a queue */
	uint32_t queues;
	uint32_t mtu; /* of IP packets */
	struct lqos_xsk_hook *hook;
	/* Frames that were not sent: no room, and not of the kernel's kind. */
	uint64_t no_room;
	int kick_error; /* the last; 0: none */
};

/* How many queues packets arrive on; -errno. */
int cmd_port_queues(const char *name, uint32_t *out);

int cmd_port_mac(const char *name, uint8_t mac[6]);
/* Packets that the interface itself has dropped so far, as it says. */
struct cmd_port_drops {
	uint64_t received, sent;
};
int cmd_port_drops(const char *name, struct cmd_port_drops *out);

/*
 * A UMEM for these interfaces, NULL-terminated.  Frames for all fill rings must
 * be there: else there are queues that receive nothing.  -errno, which is told,
 * as all errors here are.
 */
int cmd_umem_open(const struct cmd_sizes *sizes, const char *const *names,
		  struct lqos_umem **out);
/* All sockets are closed.  -EBUSY: frames were lost, which is told. */
int cmd_umem_close(struct lqos_umem **umem);

/* On failure the port is closed.  Nothing arrives before cmd_port_attach(). */
int cmd_port_open(struct cmd_port *port, const char *name,
		  struct lqos_umem *umem, const struct cmd_sizes *sizes);
int cmd_port_attach(struct cmd_port *port, const struct cmd_sizes *sizes);
/* Nothing arrives any more; what has arrived can be read. */
void cmd_port_detach(struct cmd_port *port);
void cmd_port_close(struct cmd_port *port);

/* For poll(): of each queue; how many. */
uint32_t cmd_port_poll(const struct cmd_port *port, struct pollfd *fds);
/* Until there is something to read, a signal, or some time has passed: 0, or
 * -errno, which is told. */
int cmd_wait(struct pollfd *fds, uint32_t n);
/* Is the interface still there?  0, or -errno, which is told. */
int cmd_port_check(const struct cmd_port *port);
/*
 * Send n frames, of this UMEM, and give them away: those that there is no room
 * for go back to the pool and are counted.
 */
void cmd_port_send(struct cmd_port *port, uint32_t queue,
		   const struct lqos_xsk_frame *frames, uint32_t n);
/* What was sent is free again, and there are frames to receive into. */
void cmd_port_turn(struct cmd_port *port);

/* One line: how it is open. */
void cmd_port_describe(const struct cmd_port *port);
/* One line, and more where something was dropped. */
void cmd_port_counters(const struct cmd_port *port);

#endif /* XSK_CMD_PORT_H */
