/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What flood.bpf.c and the tests share. */
#ifndef TESTS_BPF_FLOOD_H
#define TESTS_BPF_FLOOD_H

#include <linux/types.h>

struct flood_knobs {
	__u32 flows; /* so many different ones; 0: each packet's is new */
	__u32 turns; /* 1: TCP flags of turn, by chance */
	__u8 turn[16];
};

#endif /* TESTS_BPF_FLOOD_H */
