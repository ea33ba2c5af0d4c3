/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of liblqos-xsk know of each other. */
#ifndef XSK_PARTS_H
#define XSK_PARTS_H

#include <net/if.h>
#include <sys/queue.h>

#include <xdp/xsk.h>

#include "core/lqos/xsk.h"

/* Linux 6.6; headers may be older than the kernel. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

/*
 * Whose a frame is: enum holder in the lower bits, and above them the number of
 * the port (HOLDER_PORT: to be received into, or sent by a socket that is
 * closed now) or of the socket (HOLDER_TX, and HOLDER_USER, 0 where it came
 * from the pool).  On their way from a user to a ring they are the pool's with
 * a number: claimed.
 */
enum holder { HOLDER_POOL, HOLDER_USER, HOLDER_PORT, HOLDER_TX };
enum { HOLDER_BITS = 2, NUMBERS_MAX = 1 << 14 };

static inline uint16_t held_by(enum holder holder, uint32_t number)
{
	return (uint16_t)(number << HOLDER_BITS | holder);
}

static inline enum holder holder_of(uint16_t held)
{
	return held & ((1 << HOLDER_BITS) - 1);
}

static inline uint32_t number_of(uint16_t held)
{
	return held >> HOLDER_BITS;
}

/*
 * An interface's queue, with its fill and completion ring.  Each has libxdp's
 * UMEM to itself, over the one memory: of a UMEM that sockets share, libxdp
 * (1.3) neither opens the first queue a second time, nor tells the queue that
 * could not be had from memory that could not.
 *
 * libxdp keeps pointers to the rings: they never move.
 */
struct port {
	LIST_ENTRY(port) link;
	uint32_t ifindex, queue;
	uint32_t number;
	uint32_t refs;
	struct xsk_umem *umem;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	uint64_t filled;   /* frames that were put into the fill ring */
	uint64_t received; /* from the RX rings of its sockets */
	/* As its first socket was opened: so are all. */
	bool zerocopy, multi_buffer;
};

struct lqos_umem {
	uint8_t *area;
	size_t size; /* of area, in bytes */
	uint32_t frame_size, frames, headroom;
	uint32_t fill_size, comp_size;
	bool huge;

	uint32_t *pool; /* a stack of frames, by number */
	uint32_t available;
	uint16_t *held; /* by frame */
	uint64_t refused;

	LIST_HEAD(, port) ports;
	/* By number; 0 is nobody's. */
	struct lqos_xsk *sockets[NUMBERS_MAX];
	uint32_t n_sockets, n_ports;
};

struct lqos_xsk {
	struct lqos_umem *umem;
	struct port *port;
	struct xsk_socket *socket;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	bool has_rx, has_tx, need_wakeup, multi_buffer, zerocopy, shares_queue;
	bool kept; /* by the module xsk, and not to be closed by others */
	char interface[IF_NAMESIZE];
	uint32_t number;
	uint32_t outstanding;
	uint32_t user; /* frames received and not given away */
	int error;     /* its device is gone: told for ever after */
	struct lqos_xsk_stats stats;
};

/* The number of the frame that addr is in; UINT32_MAX: beyond the UMEM. */
static inline uint32_t frame_at(const struct lqos_umem *umem, uint64_t addr)
{
	/* A power of two: no division in the fast path. */
	uint64_t number = addr >> __builtin_ctz(umem->frame_size);

	return number < umem->frames ? (uint32_t)number : UINT32_MAX;
}

/* The caller's frame that addr is in; UINT32_MAX: it is not his, which is
 * counted. */
uint32_t umem_mine(struct lqos_umem *umem, uint64_t addr);
/* Whose it was is told by its last holder. */
void umem_give(struct lqos_umem *umem, uint32_t frame, uint16_t to);
void umem_to_pool(struct lqos_umem *umem, uint32_t frame);
/* All that one of them has, back to the pool. */
void umem_take_back(struct lqos_umem *umem, uint16_t from);
/* The same, to another. */
void umem_pass_on(struct lqos_umem *umem, uint16_t from, uint16_t to);

LQOS_PRINTF(4, 5)
int xsk_refuse(int rc, char *why, size_t size, const char *fmt, ...);

#endif /* XSK_PARTS_H */
