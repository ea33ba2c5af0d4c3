/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xsk_fixture.h - two ends of a wire (veth) in a network namespace of the
 * test's own, and sockets on them.  Each test has a new wire, and runs once
 * with XDP in the driver and once in the stack.
 */
#ifndef TESTS_BPF_XSK_FIXTURE_H
#define TESTS_BPF_XSK_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/xsk/parts.h"

#define NEAR "lqnear" /* the ends of the wire */
#define FAR  "lqfar"

enum {
	ARP_LEN = 42,
	SMALL = 64,	/* frames, and places in a ring */
	LONG_MS = 2000, /* for what is to happen */
	SHORT_MS = 100, /* for what is not */
};

extern enum lqos_xsk_mode xsk_mode; /* of the test that runs */
extern char xsk_why[256];	    /* of the last call that failed */

/* 0, or what main() returns instead of running anything. */
int xsk_skip(void);
bool xsk_kernel(unsigned int major, unsigned int minor);
/* A namespace for the process, and a wire for a test. */
int xsk_namespace(void **state);
int xsk_wire(void **state);
int xsk_no_wire(void **state);
/* ip(8), in this namespace. */
void xsk_ip(const char *arguments);
int xsk_open_fds(void);
uint64_t xsk_now_ms(void);
void xsk_pause_ms(uint32_t ms);

/* With SMALL for all that options do not say. */
struct lqos_umem *xsk_umem_of(const struct lqos_umem_options *options);
struct lqos_umem *xsk_umem_small(void);
struct lqos_xsk *xsk_socket_on(struct lqos_umem *umem, const char *interface,
			       const struct lqos_xsk_options *options);
/* rc, with a line that names the interface and says that; nothing stays behind.
 */
void xsk_cannot_open(struct lqos_umem *umem, const char *interface,
		     uint32_t queue, const struct lqos_xsk_options *o, int rc,
		     const char *says);
/* What the interface receives goes to the socket. */
struct lqos_xsk_hook *xsk_hook_to(struct lqos_xsk *xsk);

/* A sender at the near end and a receiver at the far end. */
struct xsk_ends {
	struct lqos_umem *tx_umem, *rx_umem;
	struct lqos_xsk *tx, *rx;
	struct lqos_xsk_hook *hook;
};

/* Either options may be NULL. */
void xsk_ends_open(struct xsk_ends *ends,
		   const struct lqos_umem_options *rx_umem,
		   const struct lqos_xsk_options *tx,
		   const struct lqos_xsk_options *rx);
/* All frames are back in their pools. */
void xsk_ends_close(struct xsk_ends *ends);

/* An ARP request for 192.0.2.number (RFC 826): the last of its bytes. */
void xsk_arp(struct lqos_umem *umem, struct lqos_xsk_frame *frame,
	     uint8_t number);
/* n of them into the TX ring, numbered from 0; and sent. */
void xsk_queue(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames, uint32_t n);
void xsk_send(struct lqos_xsk *xsk, uint32_t n);
/* Until n frames came, or ms passed: how many. */
uint32_t xsk_receive(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
		     uint32_t n, int ms);
/* Until n were sent. */
void xsk_reaped(struct lqos_xsk *xsk, uint32_t n);
struct lqos_xsk_stats xsk_stats_of(const struct lqos_xsk *xsk);

/* Each frame has one owner, and the sums are right. */
void xsk_balanced(const struct lqos_umem *umem);
/* And they are all in the pool. */
void xsk_all_back(const struct lqos_umem *umem);
void xsk_umem_gone(struct lqos_umem **umem);

#define xsk_ok(call_)                                                     \
	do {                                                              \
		int rc_ = (call_);                                        \
                                                                          \
		if (rc_)                                                  \
			print_error("%s: %d %s\n", #call_, rc_, xsk_why); \
		assert_int_equal(rc_, 0);                                 \
	} while (0)
#define xsk_says(text_)                                                     \
	do {                                                                \
		if (!strstr(xsk_why, (text_)))                              \
			print_error("\"%s\" says nothing of %s\n", xsk_why, \
				    (text_));                               \
		assert_non_null(strstr(xsk_why, (text_)));                  \
		assert_null(strchr(xsk_why, '\n'));                         \
	} while (0)

extern enum lqos_xsk_mode xsk_modes[2];
#define XSK_BOTH(test_)                                                   \
	{#test_ ", native", test_, xsk_wire, xsk_no_wire, &xsk_modes[0]}, \
	{                                                                 \
#test_ ", generic", test_, xsk_wire, xsk_no_wire,         \
			&xsk_modes[1]                                     \
	}

#endif /* TESTS_BPF_XSK_FIXTURE_H */
