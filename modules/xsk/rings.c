/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames through a socket's four rings, and who is woken for it. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "modules/xsk/parts.h"

enum {
	TX_BATCH = 32,	/* of a system call, at least */
	LOOK_MS = 1000, /* after the device, in a wait without end */
};

/* ---- Receiving ----------------------------------------------------------- */

uint32_t lqos_xsk_rx(struct lqos_xsk *x, struct lqos_xsk_frame *frames,
		     uint32_t max)
{
	struct lqos_umem *umem = x->umem;
	uint32_t at = 0, n, i, frame;

	if (!x->has_rx)
		return 0;
	n = xsk_ring_cons__peek(&x->rx, max, &at);
	for (i = 0; i < n; i++) {
		const struct xdp_desc *desc =
			xsk_ring_cons__rx_desc(&x->rx, at + i);

		frames[i] = (struct lqos_xsk_frame){
			.addr = desc->addr,
			.len = desc->len,
			.options = desc->options & XDP_PKT_CONTD,
		};
		frame = frame_at(umem, desc->addr);
		if (frame != UINT32_MAX)
			umem->held[frame] = held_by(HOLDER_USER, x->number);
	}
	if (n)
		xsk_ring_cons__release(&x->rx, n);
	x->user += n;
	x->port->received += n;
	x->stats.received += n;
	return n;
}

/* A zero-copy driver that ran dry may sleep. */
static void wake_for_fill(struct lqos_xsk *x)
{
	if (xsk_ring_prod__needs_wakeup(&x->port->fill))
		recvfrom(lqos_xsk_fd(x), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* The first n are their user's again. */
static void unclaim(struct lqos_umem *umem, const struct lqos_xsk_frame *frames,
		    uint32_t n)
{
	while (n--)
		umem->held[frame_at(umem, frames[n].addr)] ^=
			HOLDER_USER ^ HOLDER_POOL;
}

/* Before any is given: one that is there twice is not his the second time, and
 * where one is refused all stay with him, and who received them is known. */
static bool claim(struct lqos_umem *umem, const struct lqos_xsk_frame *frames,
		  uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame = umem_mine(umem, frames[i].addr);

		if (frame == UINT32_MAX) {
			unclaim(umem, frames, i);
			return false;
		}
		umem->held[frame] ^= HOLDER_USER ^ HOLDER_POOL;
	}
	return true;
}

uint32_t lqos_xsk_fill(struct lqos_xsk *x, const struct lqos_xsk_frame *frames,
		       uint32_t n)
{
	struct lqos_umem *umem = x->umem;
	struct port *port = x->port;
	uint32_t at = 0, i, frame;

	if (!n || xsk_prod_nb_free(&port->fill, n) < n ||
	    !claim(umem, frames, n))
		return 0;
	xsk_ring_prod__reserve(&port->fill, n, &at);
	for (i = 0; i < n; i++) {
		frame = frame_at(umem, frames[i].addr);
		umem_give(umem, frame, held_by(HOLDER_PORT, port->number));
		*xsk_ring_prod__fill_addr(&port->fill, at + i) =
			(uint64_t)frame * umem->frame_size;
	}
	xsk_ring_prod__submit(&port->fill, n);
	port->filled += n;
	wake_for_fill(x);
	return n;
}

uint32_t lqos_xsk_refill(struct lqos_xsk *x)
{
	struct lqos_umem *umem = x->umem;
	struct port *port = x->port;
	uint32_t room = xsk_prod_nb_free(&port->fill, port->fill.size), at = 0;
	uint32_t n = room < umem->available ? room : umem->available, i, frame;

	if (!n || xsk_ring_prod__reserve(&port->fill, n, &at) != n)
		return 0;
	for (i = 0; i < n; i++) {
		frame = umem->pool[--umem->available];
		umem->held[frame] = held_by(HOLDER_PORT, port->number);
		*xsk_ring_prod__fill_addr(&port->fill, at + i) =
			(uint64_t)frame * umem->frame_size;
	}
	xsk_ring_prod__submit(&port->fill, n);
	port->filled += n;
	wake_for_fill(x);
	return n;
}

int lqos_xsk_wait(struct lqos_xsk *x, int ms)
{
	struct pollfd pfd = {.fd = lqos_xsk_fd(x), .events = POLLIN};
	int rc, error = 0;
	socklen_t len = sizeof(error);

	if (x->error)
		return x->error;
	do {
		rc = poll(&pfd, 1, ms < 0 ? LOOK_MS : ms);
		if (rc < 0)
			return -errno;
		if (pfd.revents & POLLIN)
			return 1;
		/* poll() says nothing of a device that is gone, and the socket
		 * says it once. */
		getsockopt(pfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		x->error = rc && !error ? -ENETDOWN : -error;
	} while (ms < 0 && !x->error);
	return x->error;
}

bool lqos_xsk_fill_needs_wakeup(const struct lqos_xsk *x)
{
	return xsk_ring_prod__needs_wakeup(&x->port->fill);
}

/* ---- Sending ------------------------------------------------------------- */

/* What every kernel takes: a packet's first frame, and MAX_SKB_FRAGS. */
enum { PACKET_FRAMES = 18 };

/* The kernel would find out too late, and may be left with half a packet. */
static bool are_packets(const struct lqos_xsk *x,
			const struct lqos_xsk_frame *f, uint32_t n)
{
	const uint32_t size = x->umem->frame_size;
	const uint32_t known = x->multi_buffer ? XDP_PKT_CONTD : 0;
	uint32_t i, part = 0;

	for (i = 0; i < n; i++) {
		uint32_t offset = f[i].addr & (size - 1);

		if (!f[i].len || f[i].len > size - offset ||
		    f[i].options & ~known || ++part > PACKET_FRAMES)
			return false;
		if (!(f[i].options & XDP_PKT_CONTD))
			part = 0;
	}
	return !part;
}

uint32_t lqos_xsk_tx(struct lqos_xsk *x, const struct lqos_xsk_frame *frames,
		     uint32_t n)
{
	struct lqos_umem *umem = x->umem;
	uint32_t at = 0, i, frame;

	if (!x->has_tx || !n || xsk_prod_nb_free(&x->tx, n) < n)
		return 0;
	if (!are_packets(x, frames, n)) {
		x->stats.tx_refused++;
		return 0;
	}
	if (!claim(umem, frames, n))
		return 0;
	xsk_ring_prod__reserve(&x->tx, n, &at);
	for (i = 0; i < n; i++) {
		frame = frame_at(umem, frames[i].addr);
		umem_give(umem, frame, held_by(HOLDER_TX, x->number));
		*xsk_ring_prod__tx_desc(&x->tx, at + i) = (struct xdp_desc){
			.addr = frames[i].addr,
			.len = frames[i].len,
			.options = frames[i].options,
		};
	}
	xsk_ring_prod__submit(&x->tx, n);
	x->outstanding += n;
	return n;
}

uint32_t lqos_xsk_tx_room(struct lqos_xsk *x)
{
	return x->has_tx ? xsk_prod_nb_free(&x->tx, x->tx.size) : 0;
}

bool lqos_xsk_tx_needs_wakeup(const struct lqos_xsk *x)
{
	return x->has_tx && xsk_ring_prod__needs_wakeup(&x->tx);
}

/* What the kernel has not taken out of the TX ring yet. */
static uint32_t waiting(const struct lqos_xsk *x)
{
	return x->tx.cached_prod -
	       __atomic_load_n(x->tx.consumer, __ATOMIC_ACQUIRE);
}

/*
 * A call sends a batch (32 packets before Linux 6.17, and where the socket has
 * no other budget), and as many as the completion ring has room for.  Before
 * 6.17 the kernel does not say what it took until it took all.
 */
int lqos_xsk_kick(struct lqos_xsk *x)
{
	uint32_t left, before, unseen;
	int rc;

	if (!x->has_tx)
		return 0;
	left = waiting(x);
	unseen = left / TX_BATCH;
	while (left) {
		if (x->need_wakeup && !xsk_ring_prod__needs_wakeup(&x->tx))
			return 0;
		x->stats.kicks++;
		before = left;
		rc = sendto(lqos_xsk_fd(x), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0
			     ? -errno
			     : 0;
		if (rc == -EBUSY)
			x->stats.tx_dropped++; /* one, not the rest */
		else if (rc && rc != -EAGAIN && rc != -ENOBUFS)
			return rc;
		left = waiting(x);
		if (left != before || rc == -EBUSY)
			continue;
		/* A driver that was woken takes its time. */
		if (!rc && x->zerocopy)
			return 0;
		if (!(rc && unseen--))
			return -EAGAIN;
	}
	return 0;
}

/* Frames that came back, to the pool or, with frames, to the caller. */
static uint32_t reap(struct lqos_xsk *x, struct lqos_xsk_frame *frames,
		     uint32_t max)
{
	struct lqos_umem *umem = x->umem;
	struct xsk_ring_cons *comp = &x->port->comp;
	uint32_t at = 0, n = xsk_ring_cons__peek(comp, max, &at);
	uint32_t i, frame, back = 0;
	struct lqos_xsk *owner;
	uint64_t addr;

	for (i = 0; i < n; i++) {
		addr = *xsk_ring_cons__comp_addr(comp, at + i);
		frame = frame_at(umem, addr);
		/* What the kernel was not given does not come back from it. */
		if (frame == UINT32_MAX ||
		    holder_of(umem->held[frame]) < HOLDER_PORT)
			continue;
		/* Sockets of a queue have the ring together. */
		if (holder_of(umem->held[frame]) == HOLDER_TX) {
			owner = umem->sockets[number_of(umem->held[frame])];
			owner->outstanding--;
			owner->stats.sent++;
		}
		if (frames) {
			frames[back] = (struct lqos_xsk_frame){.addr = addr};
			umem->held[frame] = held_by(HOLDER_USER, 0);
		} else {
			umem_to_pool(umem, frame);
		}
		back++;
	}
	if (n)
		xsk_ring_cons__release(comp, n);
	return back;
}

uint32_t lqos_xsk_reap(struct lqos_xsk *x)
{
	return reap(x, NULL, x->port->comp.size);
}

uint32_t lqos_xsk_reap_to(struct lqos_xsk *x, struct lqos_xsk_frame *frames,
			  uint32_t max)
{
	return reap(x, frames, max);
}

uint32_t lqos_xsk_outstanding(const struct lqos_xsk *x)
{
	return x->outstanding;
}
