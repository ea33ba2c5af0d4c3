/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets of taps: one on each queue of each interface, on the loop.
 *
 * The program sends no packet that there is no frame for in the fill ring, or
 * no room in the RX ring: it has a credit of each queue, which is the lesser of
 * what was filled, and what was received and a ring more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "modules/xsk/taps.h"

#include "bpf/xsk.skel.h" /* wants bpf/xsk.h before it */

enum {
	REAP_MS = 10,
	CREDIT_PARTS = 8,
	/* Of opening sockets: in one tick, and then it waits, at most. */
	FAILURES = 4,
	TRY_AGAIN_TICKS = 32,
	/* A wake-up costs who sends more than the packet: a queue that brought
	 * so many at a time is polled until it was quiet for so long, */
	BUSY_FROM = 8,
	QUIET_NS = 100000,
	/* ... in turns with the rest of the loop. */
	TURN_NS = 500000,
	/* Fewer than so many wait so long for others: they are sent by one
	 * system call, and share the rest of what a batch costs. */
	GATHER = 16,
	GATHER_NS = 16000,
};

static void arm_reaper(struct xsk *xsk);

/* ---- Credits ------------------------------------------------------------- */

static uint64_t fill_consumed(const struct port *port)
{
	uint32_t consumed =
		__atomic_load_n(port->fill.consumer, __ATOMIC_ACQUIRE);

	/* Of the many that were ever filled, the ring's counter has the lower
	 * bits. */
	return port->filled - (uint32_t)((uint32_t)port->filled - consumed);
}

static void publish_credit(const struct xsk_tap_socket *s)
{
	struct xsk_port *port = s->port;
	uint64_t filled = s->xsk->port->filled;
	uint64_t room = s->xsk->port->received + s->tap->xsk->rx_size;

	/* A driver without copies takes frames before it has packets. */
	if (lqos_xsk_is_zerocopy(s->xsk))
		filled = room = UINT64_MAX / 2;
	port->credited =
		port->begun + port->lost + (filled < room ? filled : room);
	__atomic_store_n(&port->credit->filled, port->credited,
			 __ATOMIC_RELEASE);
}

/* What the kernel dropped between the program and the socket took no frame:
 * the credit for it is given back.  What was taken a second ago is under way no
 * longer. */
static void find_lost(const struct xsk_tap_socket *s)
{
	struct xsk_port *port = s->port;
	uint64_t consumed = fill_consumed(s->xsk->port);

	if (port->taken_then > consumed + port->lost)
		port->lost = port->taken_then - consumed;
	port->taken_then =
		__atomic_load_n(&port->credit->taken, __ATOMIC_ACQUIRE) -
		port->begun;
}

/* ---- What taps hold ------------------------------------------------------ */

uint32_t xsk_tap_held(const struct lqos_xsk_tap *tap)
{
	const struct xsk_tap_socket *s;
	uint32_t held = 0;

	LIST_FOREACH(s, &tap->sockets, link)
		held += s->xsk->user;
	return held;
}

/* With some room between, so that it does not flutter. */
static void check_share(struct lqos_xsk_tap *tap)
{
	struct xsk *xsk = tap->xsk;
	uint64_t share =
		(uint64_t)xsk->config->frames * xsk->config->share / 100;
	uint32_t held = xsk_tap_held(tap);

	if (!tap->full && held >= share) {
		tap->full = true;
		lqos_log(
			tap->ctx, LQOS_WARN,
			"holds %u of %u frames, its share: its packets pass by "
			"until it gives some back (lqosctl xsk stat)",
			held, xsk->config->frames);
		arm_reaper(xsk);
	} else if (tap->full && held < share - share / 4) {
		tap->full = false;
		lqos_log(
			tap->ctx, LQOS_INFO,
			"gave frames back, %u are left: its packets come again",
			held);
	}
	xsk->skel->bss->xk_full[tap->number] = tap->full;
}

static void check_pool(struct xsk *xsk)
{
	uint32_t available = lqos_umem_available(xsk->umem);

	if (!xsk->dry && !available) {
		xsk->dry = true;
		lqos_log(xsk->ctx, LQOS_WARN,
			 "the pool of %u frames is dry: packets pass by until "
			 "taps give some back (lqosctl xsk stat says where "
			 "they are)",
			 xsk->config->frames);
		arm_reaper(xsk);
	} else if (xsk->dry && available > xsk->config->frames / 8) {
		xsk->dry = false;
		lqos_log(xsk->ctx, LQOS_INFO, "%u frames are in the pool again",
			 available);
	}
}

static void refill(struct xsk_tap_socket *s)
{
	lqos_xsk_reap(s->xsk);
	lqos_xsk_refill(s->xsk);
	check_pool(s->tap->xsk);
}

/* ---- On the loop --------------------------------------------------------- */

/* One batch, and what follows from it; how many. */
static uint32_t handle(struct xsk_tap_socket *s, uint32_t most)
{
	struct lqos_xsk_tap *tap = s->tap;
	struct lqos_xsk_frame frames[XSK_BATCH];
	uint32_t n = lqos_xsk_rx(s->xsk, frames,
				 most < XSK_BATCH ? most : XSK_BATCH);

	if (!n)
		return 0;
	tap->fn(s->xsk, frames, n, tap->arg);
	lqos_xsk_kick(s->xsk);
	refill(s);
	/* The program reads what is written here with each packet: not too
	 * often. */
	if (s->xsk->port->filled + s->port->begun + s->port->lost >
	    s->port->credited + s->tap->xsk->rx_size / CREDIT_PARTS)
		publish_credit(s);
	return n;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void on_packets(int fd, int events, void *arg);

/* Where that fails, the next second's tick tries again. */
static int wait_for_packets(struct xsk_tap_socket *s)
{
	return lqos_fd_watch(s->tap->ctx, lqos_xsk_fd(s->xsk), LQOS_READ,
			     on_packets, s, &s->watch);
}

static void turn_end(struct xsk_tap_socket *s)
{
	publish_credit(s);
	check_share(s->tap);
	if (lqos_xsk_outstanding(s->xsk))
		arm_reaper(s->tap->xsk);
}

static void on_turn(void *arg)
{
	struct xsk_tap_socket *s = arg;
	uint64_t began = now_ns(), now;
	uint32_t done = 0, n;

	s->watch = NULL; /* a timer that has run is gone */
	do {
		n = handle(s, s->tap->budget - done);
		done += n;
		now = now_ns();
		if (n)
			s->busy_ns = now;
		while (n && n < GATHER && now - s->busy_ns < GATHER_NS)
			now = now_ns();
	} while (done < s->tap->budget && now - began < TURN_NS &&
		 now - s->busy_ns < QUIET_NS);
	turn_end(s);
	if (now - s->busy_ns >= QUIET_NS ||
	    lqos_timer_once(s->tap->ctx, 0, on_turn, s, &s->watch))
		wait_for_packets(s);
}

static void on_packets(int fd, int events, void *arg)
{
	struct xsk_tap_socket *s = arg;
	uint32_t n, done;

	(void)fd;
	(void)events;
	for (done = 0; done < s->tap->budget; done += n) {
		n = handle(s, s->tap->budget - done);
		if (!n)
			break;
	}
	turn_end(s);
	if (done < BUSY_FROM)
		return;
	lqos_watch_cancel(&s->watch);
	s->busy_ns = now_ns();
	if (lqos_timer_once(s->tap->ctx, 0, on_turn, s, &s->watch))
		wait_for_packets(s);
}

/* What a turn would do for it, where there is nothing to read. */
static void tend(struct xsk_tap_socket *s)
{
	lqos_xsk_kick(s->xsk);
	refill(s);
	publish_credit(s);
}

/* What is on its way comes back, and what was given back lets packets come
 * again, with or without anything to read. */
static void on_reap(void *arg)
{
	struct xsk *xsk = arg;
	struct xsk_tap_socket *s;
	bool more = false;

	xsk->reaper = NULL;
	for (int i = 0; i < XK_TAPS; i++) {
		if (!xsk->taps[i])
			continue;
		LIST_FOREACH(s, &xsk->taps[i]->sockets, link) {
			tend(s);
			more = more || lqos_xsk_outstanding(s->xsk);
		}
		check_share(xsk->taps[i]);
		more = more || xsk->taps[i]->full;
	}
	if (more || xsk->dry)
		arm_reaper(xsk);
}

static void arm_reaper(struct xsk *xsk)
{
	/* Without it the next second's tick does the same. */
	if (!xsk->reaper)
		lqos_timer_once(xsk->ctx, REAP_MS, on_reap, xsk, &xsk->reaper);
}

/* ---- Open and closed ----------------------------------------------------- */

static uint32_t port_at(uint32_t interface, uint32_t queue)
{
	return interface * XK_QUEUES + queue;
}

static int map_fd(const struct xsk *xsk)
{
	return bpf_map__fd(xsk->skel->maps.xk_sockets);
}

static uint32_t map_key(const struct xsk_tap_socket *s)
{
	return s->tap->number * XK_PORTS + port_at(s->interface, s->queue);
}

static void socket_close(struct xsk_tap_socket *s, bool stopping)
{
	struct xsk *xsk = s->tap->xsk;
	struct lqos_xsk_stats stats;

	lqos_xsk_map_clear(map_fd(xsk), map_key(s));
	if (!stopping)
		lqos_watch_cancel(&s->watch);
	if (!lqos_xsk_stats(s->xsk, &stats))
		xsk_stats_add(&xsk->past, &stats);
	s->xsk->kept = false;
	lqos_xsk_close(&s->xsk);
	s->port->sockets--;
	LIST_REMOVE(s, link);
	free(s);
}

void xsk_sockets_close(struct lqos_xsk_tap *tap, bool stopping)
{
	while (!LIST_EMPTY(&tap->sockets))
		socket_close(LIST_FIRST(&tap->sockets), stopping);
}

static int socket_watch(struct xsk_tap_socket *s)
{
	struct xsk *xsk = s->tap->xsk;
	int rc;

	rc = wait_for_packets(s);
	if (rc)
		return rc;
	refill(s);
	publish_credit(s);
	return lqos_xsk_map_set(map_fd(xsk), map_key(s), s->xsk);
}

static int socket_open(struct lqos_xsk_tap *tap, uint32_t interface,
		       uint32_t queue, char *why, size_t size)
{
	struct xsk *xsk = tap->xsk;
	const char *copy = xsk->config->copy;
	struct lqos_xsk_options o = {
		.rx_size = xsk->rx_size,
		.tx_size = xsk->rx_size,
		.copy = !strcmp(copy, "copy")	    ? LQOS_XSK_COPY
			: !strcmp(copy, "zerocopy") ? LQOS_XSK_ZEROCOPY
						    : LQOS_XSK_COPY_AUTO,
		.busy_poll_us = xsk->config->busy_poll_us,
		/* Tried again with a later tick. */
		.patience_ms = LQOS_XSK_AT_ONCE,
	};
	struct xsk_tap_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return xsk_refuse(-ENOMEM, why, size, "no memory for a socket");
	s->tap = tap;
	s->interface = interface;
	s->queue = queue;
	s->port = &xsk->ports[port_at(interface, queue)];
	s->port->credit = &xsk->credits[port_at(interface, queue)];
	rc = lqos_xsk_open(xsk->umem, lqos_interface(xsk->ctx, interface)->name,
			   queue, &o, &s->xsk, why, size);
	if (rc) {
		free(s);
		return rc;
	}
	s->xsk->kept = true;
	if (!s->port->sockets++) {
		s->port->lost = 0;
		s->port->taken_then = 0;
		s->port->begun = __atomic_load_n(&s->port->credit->taken,
						 __ATOMIC_ACQUIRE);
	}
	LIST_INSERT_HEAD(&tap->sockets, s, link);
	rc = socket_watch(s);
	if (rc) {
		socket_close(s, false);
		return xsk_refuse(rc, why, size,
				  "cannot watch the AF_XDP socket of %s queue "
				  "%u: %s",
				  lqos_interface(xsk->ctx, interface)->name,
				  queue, strerror(-rc));
	}
	return 0;
}

static struct xsk_tap_socket *find(const struct lqos_xsk_tap *tap,
				   uint32_t interface, uint32_t queue)
{
	struct xsk_tap_socket *s;

	LIST_FOREACH(s, &tap->sockets, link)
		if (s->interface == interface && s->queue == queue)
			return s;
	return NULL;
}

/*
 * A queue that cannot be had is left alone for a while, by all taps, as each
 * try has the kernel look at all frames: twice as long each time.  It is said
 * once, and again once it was well.  0, or -errno.
 */
static int open_missing(struct lqos_xsk_tap *tap, uint32_t interface,
			uint32_t queue)
{
	struct xsk_port *port = &tap->xsk->ports[port_at(interface, queue)];
	char why[256] = "";
	int rc;

	if (find(tap, interface, queue))
		return 0;
	rc = socket_open(tap, interface, queue, why, sizeof(why));
	if (!rc) {
		port->pause = 0;
		return 0;
	}
	if (!port->pause)
		lqos_log(tap->ctx, LQOS_WARN,
			 "%s; its packets pass by, it is tried again", why);
	port->pause = !port->pause		      ? 1
		      : port->pause < TRY_AGAIN_TICKS ? 2 * port->pause
						      : TRY_AGAIN_TICKS;
	port->wait = port->pause;
	return rc;
}

static void close_gone(struct lqos_xsk_tap *tap)
{
	struct xsk_tap_socket *s, *next;
	const struct lqos_interface *iface;

	for (s = LIST_FIRST(&tap->sockets); s; s = next) {
		next = LIST_NEXT(s, link);
		iface = lqos_interface(tap->xsk->ctx, s->interface);
		if (lqos_interface_attached(tap->xsk->ctx, s->interface) &&
		    iface->ifindex == lqos_xsk_ifindex(s->xsk) &&
		    s->queue < iface->rx_queues)
			continue;
		lqos_log(tap->ctx, LQOS_INFO,
			 "%s is gone: its queue %u is closed", iface->name,
			 s->queue);
		socket_close(s, false);
	}
}

static uint32_t queues_of(const struct lqos_interface *iface)
{
	return iface->rx_queues < XK_QUEUES ? iface->rx_queues : XK_QUEUES;
}

static void note_interfaces(struct xsk *xsk)
{
	volatile struct xk_interface *at;
	const struct lqos_interface *iface;
	uint32_t i;

	for (i = 0; i < lqos_interfaces(xsk->ctx) && i < XK_INTERFACES; i++) {
		at = &xsk->skel->bss->xk_interfaces[i];
		iface = lqos_interface(xsk->ctx, i);
		if (at->ifindex == iface->ifindex &&
		    at->queues == queues_of(iface))
			continue;
		at->queues = queues_of(iface);
		at->ifindex = iface->ifindex;
		xsk_rules_publish(xsk);
	}
}

/* Of one interface; how often it failed. */
static uint32_t open_queues(struct lqos_xsk_tap *tap, uint32_t interface)
{
	const struct xsk *xsk = tap->xsk;
	uint32_t n = queues_of(lqos_interface(xsk->ctx, interface));
	uint32_t queue, failed = 0;

	for (queue = 0; queue < n && failed < FAILURES; queue++)
		if (!xsk->ports[port_at(interface, queue)].wait &&
		    open_missing(tap, interface, queue))
			failed++;
	return failed;
}

void xsk_sockets_follow(struct xsk *xsk)
{
	uint32_t failed = 0, i;
	int t;

	note_interfaces(xsk);
	for (t = 0; t < XK_TAPS; t++) {
		if (!xsk->taps[t])
			continue;
		close_gone(xsk->taps[t]);
		for (i = 0; i < lqos_interfaces(xsk->ctx) &&
			    i < XK_INTERFACES && failed < FAILURES;
		     i++)
			if (lqos_interface_attached(xsk->ctx, i))
				failed += open_queues(xsk->taps[t], i);
	}
}

void xsk_sockets_tick(struct xsk *xsk)
{
	struct lqos_xsk_stats sum = xsk->past, stats;
	struct xsk_tap_socket *s;

	for (uint32_t port = 0; port < XK_PORTS; port++)
		if (xsk->ports[port].wait)
			xsk->ports[port].wait--;

	for (int i = 0; i < XK_TAPS; i++) {
		if (!xsk->taps[i])
			continue;
		LIST_FOREACH(s, &xsk->taps[i]->sockets, link) {
			if (!s->watch)
				wait_for_packets(s);
			find_lost(s);
			tend(s);
			if (!lqos_xsk_stats(s->xsk, &stats))
				xsk_stats_add(&sum, &stats);
		}
		check_share(xsk->taps[i]);
	}
	xsk->now = sum;
}

struct lqos_xsk *xsk_socket_find(const struct lqos_xsk_tap *tap,
				 const char *interface, uint32_t queue)
{
	struct xsk_tap_socket *s;

	LIST_FOREACH(s, &tap->sockets, link)
		if (s->queue == queue &&
		    !strcmp(lqos_xsk_interface(s->xsk), interface)) {
			/* What is sent on it comes back. */
			arm_reaper(tap->xsk);
			return s->xsk;
		}
	return NULL;
}
