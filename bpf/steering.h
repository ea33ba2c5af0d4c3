/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What steering.bpf.c and modules/steering share. */
#ifndef BPF_STEERING_H
#define BPF_STEERING_H

#include <linux/types.h>

enum { ST_CPUS_MAX = 1024, ST_TREE = 65536 };

enum st_counter {
	ST_REDIRECTED, /* to the CPU of its subscriber, or by hash */
	ST_NO_CPU,     /* cpumap refused: passed on the CPU it came in on */
	ST_NOT_IP,     /* passed on the CPU it came in on */
	ST_CLASSIFIED, /* got a class and a queue at egress */
	ST_DEFAULT,    /* got this CPU's queue and its default class */
	ST_COUNTERS = 8,
};

/* A row for each possible CPU. */
struct st_cpu {
	__u64 count[ST_COUNTERS];
	enum st_counter by[0]; /* for layout.c: what count is indexed with */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct st_cpu) == 64, "a cache line");
#endif

#endif /* BPF_STEERING_H */
