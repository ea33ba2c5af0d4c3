/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the module xsk know of each other. */
#ifndef XSK_TAPS_H
#define XSK_TAPS_H

#include <sys/queue.h>

#include "bpf/xsk.h"
#include "modules/xsk/parts.h"
#include "modules/xsk/service.h"

struct xsk_bpf;

enum { XSK_BATCH = 64 }; /* frames that a tap gets at a time */

struct xsk_config {
	uint32_t frames, frame_size;
	uint32_t ring;
	uint32_t share;
	const char *copy; /* auto|copy|zerocopy */
	const char *huge; /* never|try|must */
	uint32_t busy_poll_us;
};

/* An interface's queue, as user space and the program see it. */
struct xsk_port {
	uint32_t sockets;    /* open on it */
	uint64_t begun;	     /* what credit->taken was when it was opened */
	uint64_t taken_then; /* a second ago, since it was opened */
	uint64_t lost;	     /* taken, and never out of the fill ring */
	uint64_t credited;   /* what credit->filled says */
	struct xk_credit *credit;
	/* Ticks until opening one is tried again, and how many it was the last
	 * time; 0: it is well. */
	uint32_t wait, pause;
};

struct xsk {
	struct lqos_ctx *ctx;
	const struct xsk_config *config;
	struct xsk_bpf *skel;
	struct lqos_umem *umem;
	uint32_t rx_size;
	struct xk_credit *credits;
	const struct xk_counters *counters;
	uint32_t cpus;
	struct xsk_port *ports; /* XK_PORTS */
	struct lqos_xsk_tap *taps[XK_TAPS];
	/* While frames are on their way out, a tap is full or the pool dry. */
	struct lqos_watch *reaper;
	bool dry;
	struct lqos_xsk_stats past; /* of sockets that were closed */
	struct lqos_xsk_stats now;  /* of all, a second ago */
	struct xsk_service service;
};

/* A rule, and what it was made of. */
struct xsk_tap_rule {
	struct xk_rule rule;
	char *circuit;	 /* NULL: any */
	char *interface; /* NULL: any */
	char *text;	 /* for people */
};

struct xsk_tap_socket {
	LIST_ENTRY(xsk_tap_socket) link;
	struct lqos_xsk_tap *tap;
	uint32_t interface, queue;
	struct lqos_xsk *xsk;
	struct xsk_port *port;
	/* Of its descriptor or, while it is polled, of its next turn. */
	struct lqos_watch *watch;
	uint64_t busy_ns; /* when it last had packets, while it is polled */
};

struct lqos_xsk_tap {
	struct xsk_tap_head head;
	struct xsk *xsk;
	struct lqos_ctx *ctx; /* whose it is */
	uint32_t number;
	uint32_t budget;
	lqos_xsk_fn fn;
	void *arg;
	bool full; /* it holds its share */
	struct xsk_tap_rule rules[XK_RULES];
	uint32_t n_rules;
	LIST_HEAD(, xsk_tap_socket) sockets;
};

/* ---- rules.c ------------------------------------------------------------ */

int xsk_rule_add(struct lqos_xsk_tap *tap, const struct lqos_xsk_rule *rule,
		 char *why, size_t size);
void xsk_rules_clear(struct lqos_xsk_tap *tap);
/* All taps' rules to the program, with what they mean now. */
void xsk_rules_publish(struct xsk *xsk);

/* ---- sockets.c ---------------------------------------------------------- */

/* Open what is missing of all taps, close what has gone. */
void xsk_sockets_follow(struct xsk *xsk);
/* stopping: the watches are gone already. */
void xsk_sockets_close(struct lqos_xsk_tap *tap, bool stopping);
struct lqos_xsk *xsk_socket_find(const struct lqos_xsk_tap *tap,
				 const char *interface, uint32_t queue);
/* Once a second: what drifted, and who holds too much. */
void xsk_sockets_tick(struct xsk *xsk);

/* Frames that a tap received and still has. */
uint32_t xsk_tap_held(const struct lqos_xsk_tap *tap);

/* ---- stat.c ------------------------------------------------------------- */

int xsk_add_columns(struct xsk *xsk);
int xsk_add_commands(struct xsk *xsk);
/* sum += part. */
void xsk_stats_add(struct lqos_xsk_stats *sum,
		   const struct lqos_xsk_stats *part);

#endif /* XSK_TAPS_H */
