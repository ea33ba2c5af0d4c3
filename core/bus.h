/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus.h - what bus.c (sockets) and rpc.c (JSON-RPC) share. */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <sys/queue.h>
#include <sys/time.h>
#include <sys/types.h>

#include <jansson.h>

#include "core/core.h"

/* JSON-RPC 2.0's codes; RPC_FAILED is the first it leaves to servers. */
enum {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_FAILED = -32000,
};

struct core_bus {
	struct core *core;
	struct core_bus_stats stats;

	LIST_HEAD(, bus_command) commands; /* sorted by method */

	char *path; /* NULL until it is bound */
	struct evconnlistener *listener;
	struct event *accept_again;
	LIST_HEAD(, core_bus_client) clients;

	struct timeval turn; /* of the loop, as it calls it */
	int64_t turn_end;    /* ns: when it has been long enough */
};

/* ---- fds.c: descriptors that go with an answer --------------------------- */

enum { CORE_FDS_MAX = 253 }; /* in one message: SCM_MAX_FD of the kernel */

struct core_fds {
	int *fd;
	size_t n;
};

/* Adds a copy of fd, which stays the caller's.  -E2BIG: there are
 * CORE_FDS_MAX. */
int core_fds_add(struct core_fds *fds, int fd);
/* Closes them; there may be none. */
void core_fds_drop(struct core_fds *fds);
/*
 * Sends copies, of which there is at least one, with the beginning of text, and
 * never waits.  How much of text went, or -errno, and nothing did.
 */
ssize_t core_fds_send(const struct core_fds *fds, int sock, const void *text,
		      size_t size);

pid_t core_bus_client_pid(const struct core_bus_client *client);

/* ---- rpc.c --------------------------------------------------------------- */

/*
 * An error reply, or NULL without memory.  id is borrowed; NULL: null.  rc is
 * the -errno that data names; 0: none.
 */
json_t *core_rpc_error(const json_t *id, int code, int rc, const char *fmt, ...)
	LQOS_PRINTF(4, 5);
/* Forget all commands; their modules need not have stopped. */
void core_rpc_clear(struct core_bus *bus);

#endif /* CORE_BUS_H */
