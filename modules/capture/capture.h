/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* capture.h - what the parts of the module share. */
#ifndef MODULES_CAPTURE_CAPTURE_H
#define MODULES_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lqos/module.h"
#include "modules/capture/wire.h"

struct capture_bpf;

/* One that is on, or ends. */
struct session {
	struct capture *cap;
	int fd; /* our end; -1: it is free */
	struct lqos_watch *watch;
	unsigned int ticks_left; /* until it ends; 0: it does not */

	char *target;	 /* as it was asked for */
	bool by_circuit; /* else by address */
	uint32_t snaplen;

	uint64_t since;		 /* CLOCK_MONOTONIC, ns */
	uint64_t dropped_before; /* by those who had its place */
	uint64_t packets;	 /* that were sent */
	uint64_t slow;
	struct capture_batch told; /* the last that was sent */

	char *batch; /* of CAPTURE_BATCH_MAX; a head, and what is to go */
	size_t used;
};

struct capture {
	struct lqos_ctx *ctx;
	struct capture_bpf *skel;
	const struct capture_dropped *dropped; /* by CPU */
	uint32_t cpus;
	struct lqos_watch *timer; /* while there are sessions */
	struct session sessions[CAPTURES];
	uint64_t packets, slow; /* of all that there were */
};

/* ---- session.c ----------------------------------------------------------- */

/* A place without one; NULL: there is none. */
struct session *session_free_place(struct capture *cap);
/*
 * Begins the capture of what rule says.  Takes fd over and keeps a copy of
 * target, on success; one end of the socket is fd.
 */
int session_start(struct session *s, int fd, const char *target,
		  const struct capture_rule *rule, uint32_t snaplen);
/* Is it on in the kernel?  If not, it is free, or its client is still sent what
 * was under way. */
bool session_is_on(const struct session *s);
/* At once. */
void session_end(struct session *s);
/* What a session lost in the ring. */
uint64_t session_dropped(const struct session *s);
/* From lqos_ringbuf_watch(). */
void sessions_record(const void *data, size_t len, void *arg);
void sessions_end(struct capture *cap);
/* Their circuits' slots may be others. */
void sessions_find_circuits(void *cap);
/* The slot of a circuit; UINT32_MAX: nobody has that id. */
uint32_t capture_slot_of(const struct capture *cap, const char *circuit);

/* ---- commands.c ---------------------------------------------------------- */

int capture_add_commands(struct capture *cap);

#endif /* MODULES_CAPTURE_CAPTURE_H */
