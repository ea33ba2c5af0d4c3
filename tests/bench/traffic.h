/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What traffic.bpf.c and traffic.c share. */
#ifndef TESTS_BENCH_TRAFFIC_H
#define TESTS_BENCH_TRAFFIC_H

#include <linux/types.h>

enum {
	TRAFFIC_DATA = 100, /* bytes that a TCP segment has */
	TRAFFIC_CPUS = 1024,
};

/*
 * Flow f is subscriber f % subscribers's, whose address is the first one and so
 * many more.  The n-th frame is of flow (n + first) % flows, or of any of them.
 */
struct traffic_knobs {
	__u32 ifindex; /* where frames go */
	__u32 flows;
	__u32 subscribers;
	__u32 first;
	__u32 shuffled;
	__u32 up;      /* from the subscribers, else to them */
	__u32 tcp;     /* else UDP */
	__u32 round;   /* TCP: how many segments went the other way */
	__u32 address; /* of the first subscriber, host order */
	__u32 window;  /* at most so many on their way; 0: any number */
	__u32 cpus;    /* that receive */
	__u64 goal;    /* no more once so many were sent */
};

/* What the receiver has seen, on a CPU. */
struct traffic_seen {
	__u64 skbs;
	__u64 segments;
	__u64 bytes;
	__u64 reserved[5];
};

#endif /* TESTS_BENCH_TRAFFIC_H */
