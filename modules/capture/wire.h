/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.h - what goes through the socket that capture.start hands over.  Each of
 * its messages is a batch: a head, and records one after the other, in the
 * order in which the kernel had them, each beginning at a multiple of 8.  Its
 * end is the end of the capture; a client that shuts its side down for writing
 * is still sent what was under way.
 */
#ifndef MODULES_CAPTURE_WIRE_H
#define MODULES_CAPTURE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/capture.h"

enum {
	CAPTURE_WIRE = 1,	       /* version */
	CAPTURE_BATCH_MAX = 128 << 10, /* bytes, with any one record */
};

struct capture_batch {
	uint32_t version; /* CAPTURE_WIRE */
	uint32_t packets; /* how many records follow */
	int64_t offset;	  /* ns from their ts to CLOCK_REALTIME */
	/* Packets that this capture has lost so far: */
	uint64_t dropped; /* the ring buffer was full */
	uint64_t slow;	  /* the client did not read */
};

static inline size_t capture_record_size(uint32_t caplen)
{
	return (sizeof(struct capture_record) + caplen + 7) / 8 * 8;
}

_Static_assert(sizeof(struct capture_batch) % 8 == 0, "records are aligned");

#endif /* MODULES_CAPTURE_WIRE_H */
