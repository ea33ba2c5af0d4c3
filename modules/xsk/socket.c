/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AF_XDP sockets: opened on an interface's queue, and closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "modules/xsk/parts.h"

enum {
	RING = 2048,
	PATIENCE_MS = 2000,
	SETTLE_MS = 10,
	TRY_AGAIN_MS = 20,
	/* Of later kernels: how many packets one system call sends. */
	MAX_TX_BUDGET = 9,
	TX_BUDGET_MIN = 32,
	/* asm-generic/socket.h has them from Linux 5.11 on. */
	PREFER_BUSY_POLL = 69,
	BUSY_POLL_BUDGET = 70,
};

/* ---- Ports --------------------------------------------------------------- */

static struct port *port_find(const struct lqos_umem *umem, uint32_t ifindex,
			      uint32_t queue)
{
	struct port *port;

	LIST_FOREACH(port, &umem->ports, link)
		if (port->ifindex == ifindex && port->queue == queue)
			return port;
	return NULL;
}

static uint32_t port_number(const struct lqos_umem *umem)
{
	const struct port *port;
	uint32_t number = 1;

	/* Few, and seldom. */
	for (;; number++) {
		LIST_FOREACH(port, &umem->ports, link)
			if (port->number == number)
				break;
		if (!port)
			return number;
	}
}

static int port_new(struct lqos_umem *umem, uint32_t ifindex, uint32_t queue,
		    struct port **out)
{
	struct xsk_umem_config config = {
		.fill_size = umem->fill_size,
		.comp_size = umem->comp_size,
		.frame_size = umem->frame_size,
		.frame_headroom = umem->headroom,
	};
	struct port *port;
	int rc;

	if (umem->n_ports == NUMBERS_MAX - 1)
		return -ENOSPC;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->ifindex = ifindex;
	port->queue = queue;
	port->number = port_number(umem);
	rc = xsk_umem__create(&port->umem, umem->area,
			      (uint64_t)umem->frame_size * umem->frames,
			      &port->fill, &port->comp, &config);
	if (rc) {
		free(port);
		return rc;
	}
	LIST_INSERT_HEAD(&umem->ports, port, link);
	umem->n_ports++;
	*out = port;
	return 0;
}

/* Its last socket has gone. */
static void port_free(struct lqos_umem *umem, struct port *port)
{
	umem_take_back(umem, held_by(HOLDER_PORT, port->number));
	LIST_REMOVE(port, link);
	umem->n_ports--;
	xsk_umem__delete(port->umem);
	free(port);
}

/* ---- Opening ------------------------------------------------------------- */

static int check(const struct lqos_xsk_options *o, char *why, size_t size)
{
	const uint32_t rings[] = {o->rx_size, o->tx_size};

	for (int i = 0; i < 2; i++)
		if (!rings[i] || rings[i] & (rings[i] - 1) ||
		    rings[i] > 1U << 20)
			return xsk_refuse(-EINVAL, why, size,
					  "%s ring of %u: a power of two up to "
					  "1048576 is needed",
					  i ? "TX" : "RX", rings[i]);
	if (o->rx_only && o->tx_only)
		return xsk_refuse(-EINVAL, why, size,
				  "a socket that neither receives nor sends is "
				  "none");
	return 0;
}

static uint16_t bind_flags(const struct lqos_xsk_options *o)
{
	return (o->copy == LQOS_XSK_COPY       ? XDP_COPY
		: o->copy == LQOS_XSK_ZEROCOPY ? XDP_ZEROCOPY
					       : 0) |
	       (o->no_need_wakeup ? 0 : XDP_USE_NEED_WAKEUP) |
	       (o->multi_buffer ? XDP_USE_SG : 0);
}

static int try_open(struct lqos_xsk *x, const struct lqos_xsk_options *o,
		    uint32_t ifindex, uint32_t queue)
{
	struct xsk_socket_config config = {
		.rx_size = o->rx_size,
		.tx_size = o->tx_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = bind_flags(o),
	};
	struct port *port = port_find(x->umem, ifindex, queue);
	int rc;

	x->shares_queue = port;
	if (port && ((o->multi_buffer && !port->multi_buffer) ||
		     (o->copy == LQOS_XSK_ZEROCOPY && !port->zerocopy)))
		return -EOPNOTSUPP;
	rc = port ? 0 : port_new(x->umem, ifindex, queue, &port);
	if (rc)
		return rc;
	rc = xsk_socket__create_shared(&x->socket, x->interface, queue,
				       port->umem, x->has_rx ? &x->rx : NULL,
				       x->has_tx ? &x->tx : NULL, &port->fill,
				       &port->comp, &config);
	if (rc) {
		if (!port->refs)
			port_free(x->umem, port);
		return rc;
	}
	/* libxdp leaves that out. */
	fcntl(xsk_socket__fd(x->socket), F_SETFD, FD_CLOEXEC);
	port->multi_buffer |= o->multi_buffer;
	port->refs++;
	x->port = port;
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The kernel takes a closed socket off its queue some time later. */
static int open_patiently(struct lqos_xsk *x, const struct lqos_xsk_options *o,
			  uint32_t ifindex, uint32_t queue)
{
	const struct timespec pause = {.tv_nsec = TRY_AGAIN_MS * 1000000L};
	uint64_t until = now_ms() + (o->patience_ms ?: PATIENCE_MS);
	int rc = try_open(x, o, ifindex, queue);

	while (rc == -EBUSY && o->patience_ms != LQOS_XSK_AT_ONCE &&
	       now_ms() < until) {
		nanosleep(&pause, NULL);
		rc = try_open(x, o, ifindex, queue);
	}
	return rc;
}

static int explain(int rc, const struct lqos_xsk *x, uint32_t queue,
		   const struct lqos_xsk_options *o, char *why, size_t size)
{
	const char *hint = "";

	if (rc == -EBUSY)
		hint = ": another AF_XDP socket has that queue";
	else if (rc == -EINVAL && o->multi_buffer)
		hint = ": packets of several buffers need Linux 6.6; and has "
		       "the interface such a queue?";
	else if (rc == -EBADF)
		hint = ": close the sockets that were open on it before it was "
		       "made anew";
	else if (rc == -EINVAL)
		hint = ": has the interface such a queue? (ethtool -l shows "
		       "them)";
	else if (rc == -EOPNOTSUPP && o->copy == LQOS_XSK_ZEROCOPY)
		hint = ": its driver has no zero-copy, or another socket has "
		       "that queue without it; choose copy";
	else if (rc == -EOPNOTSUPP && o->multi_buffer)
		hint = ": no packets of several buffers there, or another "
		       "socket has that queue without them";
	else if (rc == -ENOBUFS)
		hint = ": ulimit -l is too low, or CAP_IPC_LOCK is needed";
	else if (rc == -ENETDOWN)
		hint = ": set the interface up";
	else if (rc == -EPERM)
		hint = ": CAP_NET_RAW is needed";
	return xsk_refuse(rc, why, size,
			  "cannot open an AF_XDP socket on %s queue %u: %s%s",
			  x->interface, queue, strerror(-rc), hint);
}

/* What the kernel may refuse or not know: it does without. */
static void set_wishes(struct lqos_xsk *x, const struct lqos_xsk_options *o)
{
	struct xdp_options options = {};
	socklen_t len = sizeof(options);
	int fd = xsk_socket__fd(x->socket), on = 1;
	int budget = (int)o->tx_size;

	if (x->has_tx && budget > TX_BUDGET_MIN)
		setsockopt(fd, SOL_XDP, MAX_TX_BUDGET, &budget, sizeof(budget));
	if (!getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len))
		x->zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY;
	x->port->zerocopy = x->zerocopy;
	x->multi_buffer = x->port->multi_buffer;
	if (!o->busy_poll_us)
		return;
	setsockopt(fd, SOL_SOCKET, PREFER_BUSY_POLL, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &o->busy_poll_us,
		   sizeof(o->busy_poll_us));
	if (o->busy_poll_budget)
		setsockopt(fd, SOL_SOCKET, BUSY_POLL_BUDGET,
			   &o->busy_poll_budget, sizeof(o->busy_poll_budget));
}

static int socket_number(struct lqos_xsk *x)
{
	for (uint32_t i = 1; i < NUMBERS_MAX; i++)
		if (!x->umem->sockets[i]) {
			x->umem->sockets[i] = x;
			x->number = i;
			return 0;
		}
	return -ENOSPC;
}

int lqos_xsk_open(struct lqos_umem *umem, const char *interface, uint32_t queue,
		  const struct lqos_xsk_options *options, struct lqos_xsk **out,
		  char *why, size_t size)
{
	autofree struct lqos_xsk *x = calloc(1, sizeof(*x));
	struct lqos_xsk_options o = {};
	uint32_t ifindex;
	int rc;

	if (options)
		o = *options;
	o.rx_size = o.rx_size ?: RING;
	o.tx_size = o.tx_size ?: RING;
	rc = check(&o, why, size);
	if (rc)
		return rc;
	if (!x)
		return xsk_refuse(-ENOMEM, why, size, "no memory for a socket");
	ifindex = if_nametoindex(interface);
	if (!ifindex || strlen(interface) >= sizeof(x->interface))
		return xsk_refuse(-ENODEV, why, size,
				  "there is no interface %s for an AF_XDP "
				  "socket on its queue %u",
				  interface, queue);
	strcpy(x->interface, interface);
	x->umem = umem;
	x->has_rx = !o.tx_only;
	x->has_tx = !o.rx_only;
	x->need_wakeup = !o.no_need_wakeup;
	rc = socket_number(x);
	if (rc)
		return xsk_refuse(rc, why, size,
				  "%d sockets are open on this UMEM: close one",
				  NUMBERS_MAX - 1);
	rc = open_patiently(x, &o, ifindex, queue);
	if (rc) {
		umem->sockets[x->number] = NULL;
		return explain(rc, x, queue, &o, why, size);
	}
	set_wishes(x, &o);
	*out = steal_ptr(x);
	return 0;
}

/* ---- Closing ------------------------------------------------------------- */

/* Frames in its RX ring, which its port's other sockets know nothing of. */
static void drain_rx(struct lqos_xsk *x)
{
	struct lqos_xsk_frame frames[64];
	uint32_t n;

	while (x->has_rx && (n = lqos_xsk_rx(x, frames, 64)))
		lqos_umem_free(x->umem, frames, n);
}

/* What is in its TX ring goes out, and what is on its way comes back: it may be
 * read from its frame until then. */
static void finish_tx(struct lqos_xsk *x)
{
	const struct timespec pause = {.tv_nsec = 1000000L};
	int idle = 0, rc = 0;

	while (x->outstanding && idle < SETTLE_MS && (!rc || rc == -EAGAIN)) {
		rc = lqos_xsk_kick(x);
		if (lqos_xsk_reap(x))
			continue;
		nanosleep(&pause, NULL);
		idle++;
	}
}

void lqos_xsk_close(struct lqos_xsk **xsk)
{
	struct lqos_xsk *x = *xsk;
	struct lqos_umem *umem;

	if (!x)
		return;
	umem = x->umem;
	if (x->kept) {
		umem->refused++;
		return;
	}
	*xsk = NULL;
	finish_tx(x);
	lqos_xsk_reap(x);
	/* Last, as more may come until it is deleted. */
	drain_rx(x);
	xsk_socket__delete(x->socket);
	/* Its number may be another's soon. */
	umem_pass_on(umem, held_by(HOLDER_USER, x->number),
		     held_by(HOLDER_USER, 0));
	if (--x->port->refs) {
		/* They still come back, by the ring of its port, or with its
		 * end. */
		umem_pass_on(umem, held_by(HOLDER_TX, x->number),
			     held_by(HOLDER_PORT, x->port->number));
	} else {
		/* The kernel refused to send them, or found them invalid: older
		 * ones leave those in no ring. */
		umem_take_back(umem, held_by(HOLDER_TX, x->number));
		port_free(umem, x->port);
	}
	umem->sockets[x->number] = NULL;
	free(x);
}

/* ---- What it is ---------------------------------------------------------- */

int lqos_xsk_fd(const struct lqos_xsk *xsk)
{
	return xsk_socket__fd(xsk->socket);
}

struct lqos_umem *lqos_xsk_umem(const struct lqos_xsk *xsk)
{
	return xsk->umem;
}

const char *lqos_xsk_interface(const struct lqos_xsk *xsk)
{
	return xsk->interface;
}

uint32_t lqos_xsk_ifindex(const struct lqos_xsk *xsk)
{
	return xsk->port->ifindex;
}

uint32_t lqos_xsk_queue(const struct lqos_xsk *xsk)
{
	return xsk->port->queue;
}

bool lqos_xsk_is_zerocopy(const struct lqos_xsk *xsk)
{
	return xsk->zerocopy;
}

bool lqos_xsk_shares_queue(const struct lqos_xsk *xsk)
{
	return xsk->shares_queue;
}

int lqos_xsk_stats(const struct lqos_xsk *xsk, struct lqos_xsk_stats *out)
{
	struct xdp_statistics kernel = {};
	socklen_t len = sizeof(kernel);

	if (getsockopt(lqos_xsk_fd(xsk), SOL_XDP, XDP_STATISTICS, &kernel,
		       &len))
		return -errno;
	*out = xsk->stats;
	out->rx_dropped = kernel.rx_dropped;
	out->rx_invalid = kernel.rx_invalid_descs;
	out->rx_ring_full = kernel.rx_ring_full;
	out->rx_fill_empty = kernel.rx_fill_ring_empty_descs;
	out->tx_invalid = kernel.tx_invalid_descs;
	out->tx_empty = kernel.tx_ring_empty_descs;
	return 0;
}
