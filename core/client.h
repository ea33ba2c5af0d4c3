/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h - a blocking client of lqosd's bus, for the command-line tools.
 * Needs nothing of the daemon but its socket; links jansson only.
 */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include <stddef.h>

#include <jansson.h>

#define CLIENT_BUS_DEFAULT "/run/lqos/bus"

struct client;

/*
 * Connect to the bus at path (NULL: $LQOS_BUS, else CLIENT_BUS_DEFAULT).
 * On failure why is one line that names the socket and the likely fix.
 */
int client_open(struct client **out, const char *path, char *why,
		size_t why_size);
/* NULL-safe; clears *client. */
void client_close(struct client **client);
/* The connection, for poll(). */
int client_fd(const struct client *client);
/*
 * Call method with params (reference taken; NULL: none) and wait for its
 * answer, at most timeout_ms.  *result is a new reference.  -EREMOTEIO: the
 * daemon answered with an error, whose text is in why; -ETIMEDOUT;
 * -ECONNRESET: the daemon went away.
 */
int client_call(struct client *client, const char *method, json_t *params,
		int timeout_ms, json_t **result, char *why, size_t why_size);
/*
 * The same of an answer that brings descriptors: *n of them, at most as many as
 * *n said before, are the caller's then, and are closed on exec.  Those that
 * come without being asked for are closed.  -E2BIG: there are more.
 */
int client_call_fds(struct client *client, const char *method, json_t *params,
		    int timeout_ms, json_t **result, int *fds, size_t *n,
		    char *why, size_t why_size);
/*
 * The next notification (whole JSON-RPC message, new reference); those that
 * came in during client_call() are kept for here.  timeout_ms 0: only what is
 * there already.  -ETIMEDOUT: none; -ECONNRESET: the daemon went away.
 */
int client_next(struct client *client, int timeout_ms, json_t **message);

#endif /* CORE_CLIENT_H */
