/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What flows.bpf.c and flows.c share. */
#ifndef TESTS_BENCH_FLOWS_H
#define TESTS_BENCH_FLOWS_H

#include <linux/types.h>

#include "lqos/packet.h"

/* Of each packet so much is written anew: all its headers are in it. */
enum { FS_HEADERS = 128 };

struct fs_packet {
	__u8 headers[FS_HEADERS];
	struct lqos_packet meta; /* what the ingress stage makes of it */
	__u32 up;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct fs_packet) == 160, "no holes");
#endif

#endif /* TESTS_BENCH_FLOWS_H */
