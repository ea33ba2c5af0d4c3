/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ttl.bpf.c and ttl.c share. */
#ifndef TTL_H
#define TTL_H

#include <linux/types.h>

/* Of one subscriber: the last hop limit seen each way. */
struct ttl_slot {
	__u64 packets;
	__u32 last[2]; /* by enum lqos_direction; 0: none yet */
};

#endif /* TTL_H */
