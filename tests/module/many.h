/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What many.bpf.c and many.c share. */
#ifndef MANY_H
#define MANY_H

#include <linux/types.h>

struct many_key {
	__be32 address;
	__be16 port;
	__u16 reserved;
};

struct many_note {
	__u64 count;
	__s32 balance;
	__u8 text[4];
};

#endif /* MANY_H */
