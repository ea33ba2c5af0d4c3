/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What xsk.bpf.c, xsk_hook.bpf.c and user space share. */
#ifndef BPF_XSK_H
#define BPF_XSK_H

#include <linux/types.h>

enum {
	XK_TAPS = 8,
	XK_RULES = 32,
	XK_TABLES = 4,
	XK_INTERFACES = 16,
	XK_QUEUES = 64, /* of an interface; on others packets pass by */
	XK_PORTS = XK_INTERFACES * XK_QUEUES,
	XK_HOOK_QUEUES = 1024,
};

/* What a rule is about, as enum lqos_xsk_about of lqos/xsk.h. */
enum xk_about { XK_TO = 1, XK_FROM = 2, XK_ARP = 4, XK_ND = 8 };

/* Which packets a tap gets.  Addresses as in struct lqos_flow_key: network
 * order, IPv4 with hi all ones. */
struct xk_rule {
	__be64 hi, lo, mask_hi, mask_lo;
	__u32 slot;	/* the subscriber's; 0: any */
	__u32 ifindex;	/* 0: any */
	__be16 port;	/* 0: any */
	__u8 proto;	/* 0: any */
	__u8 icmp_type; /* 0: any */
	__u8 about;	/* enum xk_about */
	__u8 tap;
	__u8 reserved[2];
};

/* The rules are the first of one of some tables: user space writes another and
 * then this. */
struct xk_rules {
	struct xk_rule rule[XK_TABLES][XK_RULES];
	__u32 n; /* count * XK_TABLES + table */
	__u32 reserved;
};

/* An interface with sockets. */
struct xk_interface {
	__u32 ifindex; /* 0: none */
	__u32 queues;
};

/*
 * The fill ring of an interface's queue: how many frames user space put in so
 * far, and how many packets were sent to it.  None is sent that no frame waits
 * for, so that none is lost there.
 */
struct xk_credit {
	__u64 filled; /* on a line that user space writes */
	__u64 filled_room[7];
	__u64 taken; /* on a line that the CPU of the queue writes */
	__u64 taken_room[7];
};

enum xk_counter {
	XK_TAKEN,     /* sent to the tap's socket */
	XK_NO_FRAME,  /* passed by: no frame waits for it */
	XK_TOO_LONG,  /* passed by: it fits in no frame */
	XK_NO_SOCKET, /* passed by: none is open on its queue */
	XK_TAP_FULL,  /* passed by: the tap holds its share of frames */
	XK_COUNTERS,
	XK_COUNTERS_ROOM = 8,
};

/* Of a CPU. */
struct xk_counters {
	__u64 count[XK_TAPS][XK_COUNTERS_ROOM];
};

struct xk_hook_counts {
	__u64 redirected, passed;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct xk_rule) == 48, "layout");
_Static_assert(sizeof(struct xk_credit) == 128, "two cache lines");
_Static_assert(sizeof(struct xk_counters) == 512, "whole cache lines");
#endif

#endif /* BPF_XSK_H */
