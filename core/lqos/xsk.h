/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lqos/xsk.h - packets in user space, by AF_XDP.
 *
 * Two layers.  UMEMs, sockets and frames are for anybody: a program that links
 * liblqos-xsk alone, or a module.  Taps are for modules of lqosd, which ask for
 * packets and get them on its loop, while the module xsk keeps the sockets.
 *
 * A frame is always somebody's: the pool's, the kernel's (in a fill, TX or
 * completion ring), or yours.  Yours it becomes by lqos_umem_alloc() and
 * lqos_xsk_rx(); with lqos_umem_free(), lqos_xsk_fill() and lqos_xsk_tx() you
 * give it away.  Who gives away what is not his is refused and counted.
 *
 * Functions return 0 or -errno and leave their outputs untouched on failure;
 * those that move frames return how many moved.  A UMEM and all its sockets
 * belong to one thread at a time.
 *
 * Sources: Documentation/networking/af_xdp.rst, net/xdp/ in the kernel.
 */
#ifndef LQOS_XSK_H
#define LQOS_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the kernel keeps for itself in front of every packet it receives. */
#define LQOS_XSK_HEADROOM 256

struct lqos_umem;
struct lqos_xsk;

/* ---- Frames ------------------------------------------------------------- */

/*
 * A packet, or a part of one, and where it is: a value, to be kept in arrays.
 * addr and len may be changed by lqos_xsk_push() and the like only.
 */
struct lqos_xsk_frame {
	uint64_t addr;	  /* of its first byte, from the UMEM's beginning */
	uint32_t len;	  /* bytes */
	uint32_t options; /* LQOS_XSK_CONTINUES or 0 */
};

/* The packet goes on in the next frame (multi-buffer, Linux 6.6). */
#define LQOS_XSK_CONTINUES 1U

/* ---- UMEM: the frames' memory and their pool ---------------------------- */

enum lqos_xsk_huge {
	LQOS_XSK_HUGE_NEVER,
	LQOS_XSK_HUGE_TRY, /* pages of the usual size where there are none */
	LQOS_XSK_HUGE_MUST,
};

struct lqos_umem_options {
	uint32_t frame_size; /* 2048 or 4096 bytes; 0: 4096 */
	uint32_t frames;     /* 0: 4096 */
	uint32_t headroom;   /* bytes of yours, behind LQOS_XSK_HEADROOM */
	/* Of the rings that each interface's queue gets, a power of two;
	 * 0: 2048. */
	uint32_t fill_size, comp_size;
	enum lqos_xsk_huge huge;
	uintptr_t reserved[4]; /* 0 */
};

/*
 * options: NULL for the defaults.  On failure why, of size bytes, is one line
 * that says what was expected (so everywhere here).
 * -EINVAL: sizes the kernel would refuse, found before it is asked; -ENOMEM: no
 * memory, or no huge pages.
 */
LQOS_API int lqos_umem_create(const struct lqos_umem_options *options,
			      struct lqos_umem **out, char *why, size_t size);
/* Clears *umem.  -EBUSY: sockets are open on it; nothing happened. */
LQOS_API int lqos_umem_destroy(struct lqos_umem **umem);

/* Bytes that one frame has for a packet that is received. */
LQOS_API uint32_t lqos_umem_mtu(const struct lqos_umem *umem);
LQOS_API uint32_t lqos_umem_frames(const struct lqos_umem *umem);
/* Those in the pool. */
LQOS_API uint32_t lqos_umem_available(const struct lqos_umem *umem);
/* How often somebody gave away a frame that was not his. */
LQOS_API uint64_t lqos_umem_refused(const struct lqos_umem *umem);
LQOS_API bool lqos_umem_is_huge(const struct lqos_umem *umem);

/* An empty frame, with all the headroom in front.  -ENOBUFS: the pool is dry.
 */
LQOS_API int lqos_umem_alloc(struct lqos_umem *umem,
			     struct lqos_xsk_frame *out);
/* n of them back into the pool.  -EINVAL: some are not yours (free already, the
 * kernel's, or no frames of this UMEM): those are left alone. */
LQOS_API int lqos_umem_free(struct lqos_umem *umem,
			    const struct lqos_xsk_frame *frames, uint32_t n);

/* The frame's first byte. */
LQOS_API uint8_t *lqos_xsk_data(const struct lqos_umem *umem,
				const struct lqos_xsk_frame *frame);
/* Bytes in front of the packet, and behind it, in its frame. */
LQOS_API uint32_t lqos_xsk_headroom(const struct lqos_umem *umem,
				    const struct lqos_xsk_frame *frame);
LQOS_API uint32_t lqos_xsk_tailroom(const struct lqos_umem *umem,
				    const struct lqos_xsk_frame *frame);
/* Add n bytes in front, or take them away; the new first byte.  NULL: there is
 * no such room, nothing happened. */
LQOS_API uint8_t *lqos_xsk_push(const struct lqos_umem *umem,
				struct lqos_xsk_frame *frame, uint32_t n);
LQOS_API uint8_t *lqos_xsk_pull(const struct lqos_umem *umem,
				struct lqos_xsk_frame *frame, uint32_t n);
/* Add n bytes behind: the first of them.  NULL: there is no such room. */
LQOS_API uint8_t *lqos_xsk_put(const struct lqos_umem *umem,
			       struct lqos_xsk_frame *frame, uint32_t n);
/* Make it len bytes long, longer or shorter.  -EMSGSIZE: there is no room. */
LQOS_API int lqos_xsk_resize(const struct lqos_umem *umem,
			     struct lqos_xsk_frame *frame, uint32_t len);
/* Bytes and ASCII, 16 a line, to a stream (FILE *). */
LQOS_API void lqos_xsk_dump(const struct lqos_umem *umem,
			    const struct lqos_xsk_frame *frame, void *stream);

/* ---- Sockets: one interface's queue ------------------------------------- */

#define LQOS_XSK_AT_ONCE UINT32_MAX

enum lqos_xsk_copy {
	LQOS_XSK_COPY_AUTO, /* zero-copy where the driver can */
	LQOS_XSK_COPY,
	LQOS_XSK_ZEROCOPY, /* or fail */
};

struct lqos_xsk_options {
	/* A power of two; 0: 2048.  One of 1 is allowed, see tx_only. */
	uint32_t rx_size, tx_size;
	enum lqos_xsk_copy copy;
	bool rx_only, tx_only; /* without the other ring */
	bool no_need_wakeup;   /* the kernel polls the rings by itself */
	bool multi_buffer;     /* packets of several frames (Linux 6.6) */
	/* SO_BUSY_POLL: µs, and how many packets a poll; 0: off. */
	uint32_t busy_poll_us, busy_poll_budget;
	/* How long to try while another socket is still leaving the queue;
	 * 0: 2,000; LQOS_XSK_AT_ONCE: once. */
	uint32_t patience_ms;
	uintptr_t reserved[4]; /* 0 */
};

/*
 * Several sockets may share a UMEM, on one queue too: those have one fill and
 * one completion ring.  The socket gets packets when a program sends them to it
 * (lqos_xsk_map_set(), lqos_xsk_hook_open()), and frames are in its fill ring.
 * -ENODEV: no such interface; -EINVAL: it has no such queue, or a size is not a
 * power of two; -EBUSY: another UMEM's socket has that queue; -EOPNOTSUPP: no
 * zero-copy or multi_buffer there; -EPERM: CAP_NET_RAW is missing.  The first
 * socket of a queue says for all of them which of these is in force.
 */
LQOS_API int lqos_xsk_open(struct lqos_umem *umem, const char *interface,
			   uint32_t queue,
			   const struct lqos_xsk_options *options,
			   struct lqos_xsk **out, char *why, size_t size);
/*
 * What is in its TX ring is sent, and waited for, but for 10 ms at most.  All
 * frames that the kernel had go back to the pool, except that those for other
 * sockets of its queue to receive into stay there, and what the kernel did not
 * take comes back with the last of them.  Clears *xsk, which may be NULL.  Take
 * it out of maps first: packets that come meanwhile are lost, and their frames
 * stay away until the last socket of the queue is closed.
 */
LQOS_API void lqos_xsk_close(struct lqos_xsk **xsk);

LQOS_API int lqos_xsk_fd(const struct lqos_xsk *xsk);
LQOS_API struct lqos_umem *lqos_xsk_umem(const struct lqos_xsk *xsk);
LQOS_API const char *lqos_xsk_interface(const struct lqos_xsk *xsk);
LQOS_API uint32_t lqos_xsk_ifindex(const struct lqos_xsk *xsk);
LQOS_API uint32_t lqos_xsk_queue(const struct lqos_xsk *xsk);
/* What is in force, as the kernel says. */
LQOS_API bool lqos_xsk_is_zerocopy(const struct lqos_xsk *xsk);
/* Has it fill and completion rings of its own, or another's on its queue? */
LQOS_API bool lqos_xsk_shares_queue(const struct lqos_xsk *xsk);

/* Frames that were received: they are yours now. */
LQOS_API uint32_t lqos_xsk_rx(struct lqos_xsk *xsk,
			      struct lqos_xsk_frame *frames, uint32_t max);
/* Frames to be received into: all n, or 0 when there is no room for all or one
 * is not yours. */
LQOS_API uint32_t lqos_xsk_fill(struct lqos_xsk *xsk,
				const struct lqos_xsk_frame *frames,
				uint32_t n);
/* The same from the pool, as many as there is room for. */
LQOS_API uint32_t lqos_xsk_refill(struct lqos_xsk *xsk);
/*
 * Frames to be sent: all n, or 0 when there is no room for all, one is not
 * yours, or one is no packet (empty, beyond its frame, unknown options), which
 * is counted (tx_refused).  With multi_buffer a packet may be in up to 18
 * frames, all of one call.  lqos_xsk_kick() sends them.
 */
LQOS_API uint32_t lqos_xsk_tx(struct lqos_xsk *xsk,
			      const struct lqos_xsk_frame *frames, uint32_t n);
/* How many frames lqos_xsk_tx() would take now. */
LQOS_API uint32_t lqos_xsk_tx_room(struct lqos_xsk *xsk);
/*
 * Have the kernel send what is in the TX ring, where it must be told.  0, or
 * -EAGAIN: some is left, reap and kick again; -ENETDOWN: the interface is down;
 * other errors of sendto(2).  What the device refused is counted
 * (tx_dropped), and comes back like what was sent.
 */
LQOS_API int lqos_xsk_kick(struct lqos_xsk *xsk);
/* Frames that were sent, back into the pool: how many. */
LQOS_API uint32_t lqos_xsk_reap(struct lqos_xsk *xsk);
/* The same, at most max, to be yours. */
LQOS_API uint32_t lqos_xsk_reap_to(struct lqos_xsk *xsk,
				   struct lqos_xsk_frame *frames, uint32_t max);
/* Frames given to lqos_xsk_tx() that did not come back yet. */
LQOS_API uint32_t lqos_xsk_outstanding(const struct lqos_xsk *xsk);
/* Wait until there is something to receive: 1, 0 after ms (negative: never), or
 * -errno (-EINTR: a signal; -ENETDOWN, from then on: the interface is gone,
 * close the socket; a link that is only down is no error). */
LQOS_API int lqos_xsk_wait(struct lqos_xsk *xsk, int ms);
LQOS_API bool lqos_xsk_fill_needs_wakeup(const struct lqos_xsk *xsk);
LQOS_API bool lqos_xsk_tx_needs_wakeup(const struct lqos_xsk *xsk);

struct lqos_xsk_stats {
	uint64_t received, sent; /* frames, sent: that came back */
	/* The kernel's: struct xdp_statistics. */
	uint64_t rx_dropped, rx_invalid, rx_ring_full, rx_fill_empty,
		tx_invalid, tx_empty;
	uint64_t tx_dropped; /* the device refused them: too short, too long,
			      * or its queue was full */
	uint64_t tx_refused; /* by lqos_xsk_tx(), as invalid */
	uint64_t kicks;	     /* system calls to send */
};

LQOS_API int lqos_xsk_stats(const struct lqos_xsk *xsk,
			    struct lqos_xsk_stats *out);

/* ---- Programs that send packets to sockets ------------------------------ */

/* Put the socket into an XSKMAP of your own, or take key out of it.  -errno. */
LQOS_API int lqos_xsk_map_set(int map_fd, uint32_t key,
			      const struct lqos_xsk *xsk);
LQOS_API int lqos_xsk_map_clear(int map_fd, uint32_t key);

enum lqos_xsk_mode {
	LQOS_XSK_MODE_AUTO, /* in the driver, or else in the stack */
	LQOS_XSK_NATIVE,
	LQOS_XSK_GENERIC,
};

/*
 * A program of ours on an interface that has none, for programs beside lqosd:
 * what arrives on a queue goes to the socket that was added for it, everything
 * else passes.  It is gone when it is closed, and when the process ends.
 */
struct lqos_xsk_hook;
/* multi_buffer: packets of several buffers too.  -EBUSY: the interface has
 * another program; -ENODEV; -EOPNOTSUPP: not in the driver. */
LQOS_API int lqos_xsk_hook_open(const char *interface, enum lqos_xsk_mode mode,
				bool multi_buffer, struct lqos_xsk_hook **out,
				char *why, size_t size);
/* -EINVAL: it is a socket of another interface. */
LQOS_API int lqos_xsk_hook_add(struct lqos_xsk_hook *hook,
			       const struct lqos_xsk *xsk);
/* Its XSKMAP, by queue: for sockets of other libraries. */
LQOS_API int lqos_xsk_hook_map(const struct lqos_xsk_hook *hook);
LQOS_API bool lqos_xsk_hook_is_native(const struct lqos_xsk_hook *hook);
/* Packets of it that went to sockets, and that passed. */
LQOS_API void lqos_xsk_hook_counts(const struct lqos_xsk_hook *hook,
				   uint64_t *redirected, uint64_t *passed);
LQOS_API void lqos_xsk_hook_close(struct lqos_xsk_hook **hook);

/* ---- Taps: in a module of lqosd ----------------------------------------- */

/*
 * A module with .needs = "xsk" says which packets it wants, and its function
 * gets them in batches on the loop.  They are taken out of the way they were
 * on; all others go on.  The sockets below come and go with the interfaces;
 * closing one is refused.
 *
 * No packet is taken that there is no frame for: when the pool is dry, the tap
 * holds more than its share of what it received, or the daemon is stuck,
 * packets pass by and are counted.  The modules of a daemon trust each other:
 * a frame that one has is not known from one that another has.
 */
struct lqos_xsk_tap;

/* What a rule is about; with a prefix, whose address must be in it. */
enum lqos_xsk_about {
	LQOS_XSK_TO = 1,   /* IP packets to there */
	LQOS_XSK_FROM = 2, /* IP packets from there */
	LQOS_XSK_ARP = 4,  /* ARP requests for there (RFC 826) */
	LQOS_XSK_ND = 8,   /* neighbour solicitations for there (RFC 4861) */
};

/* All that is said must be so; ARP and ND have no protocol, port or ICMP type
 * of their own: those are for IP packets. */
struct lqos_xsk_rule {
	const char *prefix;    /* "192.0.2.1", "2001:db8::/64"; NULL: any */
	uint32_t about;	       /* enum lqos_xsk_about; 0: LQOS_XSK_TO */
	uint16_t port;	       /* TCP's or UDP's: TO its destination, FROM its
				* source; host order; 0: any */
	uint8_t proto;	       /* IPPROTO_*; 0: any */
	uint8_t icmp_type;     /* of ICMP or ICMPv6, which proto says; 0: any */
	const char *circuit;   /* a subscriber's; NULL: any and none */
	const char *interface; /* arrives there; NULL: anywhere */
	uintptr_t reserved[2]; /* 0 */
};

/*
 * n frames, yours now: lqos_xsk_tx() them on this socket or on another, or
 * lqos_umem_free() them.  What is put into the TX ring of xsk is kicked when
 * fn returns, and reaped by itself.
 */
typedef void (*lqos_xsk_fn)(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
			    uint32_t n, void *arg);

/* budget: frames a call of the loop, in batches of at most 64; 0: 512.  Closed
 * when the module stops.  -ENOENT: the module xsk is not running; -ENOSPC:
 * there are no more taps. */
LQOS_API int lqos_xsk_tap(struct lqos_ctx *ctx, uint32_t budget, lqos_xsk_fn fn,
			  void *arg, struct lqos_xsk_tap **out);
/* From here on its packets come.  -EINVAL: the rule makes no sense, and why;
 * -ENOSPC: there is no room for more rules. */
LQOS_API int lqos_xsk_tap_add(struct lqos_xsk_tap *tap,
			      const struct lqos_xsk_rule *rule, char *why,
			      size_t size);
/* Forget all rules. */
LQOS_API void lqos_xsk_tap_clear(struct lqos_xsk_tap *tap);
/* The socket on an interface's queue, to send from anywhere; NULL: there is
 * none now.  Valid until the callback that asked for it returns.  Kicks are
 * yours. */
LQOS_API struct lqos_xsk *lqos_xsk_tap_socket(const struct lqos_xsk_tap *tap,
					      const char *interface,
					      uint32_t queue);
/* The pool of all taps. */
LQOS_API struct lqos_umem *lqos_xsk_tap_umem(const struct lqos_xsk_tap *tap);

/* The descriptor that the core wrote in front of a packet that a tap got:
 * struct lqos_packet of lqos/packet.h; NULL: it has none. */
struct lqos_packet;
LQOS_API const struct lqos_packet *
lqos_xsk_descriptor(const struct lqos_umem *umem,
		    const struct lqos_xsk_frame *frame);

#ifdef __cplusplus
}
#endif

#endif /* LQOS_XSK_H */
