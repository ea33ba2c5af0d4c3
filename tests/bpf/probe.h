/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What probe.bpf.c and the tests share. */
#ifndef TESTS_BPF_PROBE_H
#define TESTS_BPF_PROBE_H

#include <linux/types.h>

#include "lqos/packet.h"

enum { PROBE_MODULES = 32, PROBE_TRAIL_BITS = 5 };

/* What the probes saw; one for all of them. */
struct probe_view {
	__u64 runs[PROBE_MODULES]; /* by module */
	__u64 trail; /* modules in order, PROBE_TRAIL_BITS each, last lowest */
	struct lqos_packet pkt; /* of observers */
	__u32 bytes;
	__u32 packets;
	__u32 priority; /* at egress */
	__u32 queue;
	__u32 ip; /* the byte that an IP header should begin with */
};

enum { PROBE_TCI = 0x3064 }; /* of probe_tag: VLAN 100, priority 1 */

#endif /* TESTS_BPF_PROBE_H */
