/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the benchmark of AF_XDP know of each other. */
#ifndef TESTS_BENCH_AFXDP_H
#define TESTS_BENCH_AFXDP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lqos/xsk.h"

enum {
	AFXDP_BATCH = 64,
	AFXDP_RING = 2048,
	AFXDP_FRAMES = 8192,
	AFXDP_FRAME_SIZE = 2048,
	AFXDP_HEADERS = 14 + 20 + 8,
	AFXDP_PORT = 7,
};

struct afxdp_options {
	const char *interface;
	const char *how; /* plain|lib|event|packet */
	bool swap;	 /* sends back what it receives */
	bool generic;
	uint32_t len;  /* bytes of a frame */
	uint64_t rate; /* packets a second; 0: as many as go */
	double seconds;
	uint32_t count; /* of pings */
	int cpu;
};

/* What was seen of numbered packets. */
struct afxdp_count {
	uint64_t received, backwards;
	uint64_t first, last; /* numbers */
	double began, ended;  /* seconds */
};

double afxdp_now(void);
/* CPU time of this thread, ns. */
uint64_t afxdp_cpu_ns(void);
/* Set by SIGTERM and SIGINT. */
extern volatile bool afxdp_over;

/* The number in a frame of len bytes; UINT64_MAX: it is none of ours. */
uint64_t afxdp_number(const uint8_t *data, uint32_t len);
void afxdp_saw(struct afxdp_count *count, uint64_t number);
/* Sender's and receiver's Ethernet addresses change places. */
void afxdp_swap(uint8_t *data);
void afxdp_die(const char *what, const char *why);

/* Receives until it is over, and prints what. */
int afxdp_receive(const struct afxdp_options *o);

#endif /* TESTS_BENCH_AFXDP_H */
