/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of packets and what it is run through: what the files of flows share.
 */
#ifndef TESTS_BENCH_FLOW_SET_H
#define TESTS_BENCH_FLOW_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bpf/datapath.h"

#include "bpf/flow.h"
#include "bpf/pping.h"

enum {
	ROUNDS_MAX = 99,
	ROOM = 1 << 18, /* flows: the core's default */
	FLIGHT = 40,	/* segments under way */
	FRAME = 256,
	PAYLOAD = 64, /* the rest of a frame is padding: see PACKETS_MAX */
	RESULTS = 16,
	PARTS = 3,
	/* In the records of flows. */
	FLOW_PART = sizeof(struct lqos_flow),
	PPING_PART = FLOW_PART + sizeof(struct fl_flow),
};

/* Programs that run one behind the other. */
enum stack {
	NO_STACK,   /* is not run: 0 ns */
	EMPTY,	    /* no program, packets with a descriptor */
	EMPTY_BARE, /* ... and without */
	PLAIN,	    /* lq_observe without a table */
	NONE,	    /* ... and an observer that does nothing */
	HASH,
	LRU_HASH,
	SLOTS,	    /* lq_observe with a table, of records without parts */
	TABLE,	    /* ... with the parts of flow and pping */
	FLOW,	    /* ... and with flow */
	PPING,	    /* ... and pping */
	THROUGHPUT, /* lq_observe with a table, and throughput */
	OBSERVE,    /* ... flow and pping */
	INGRESS,
	STEER,	  /* ingress with steering */
	EMPTY_TC, /* no program, but a descriptor */
	EGRESS,	  /* with steering */
	STACKS,
};

/* Of what is measured, less what is compared with; up to three are added. */
struct result {
	const char *name;
	struct {
		enum stack stack, base;
	} parts[PARTS];
};

/* A set of packets. */
struct kind {
	bool ipv6, flight;
	uint32_t flows, subscribers;
	const struct result *results;
};

struct set {
	const struct kind *kind;
	bool wanted[RESULTS], runs[STACKS];
	uint32_t packets;
	struct flows_bpf *driver;
	struct datapath *plain, *slots, *table;
	struct throughput_bpf *tp;
	struct flow_bpf *fl;
	struct pping_bpf *pp;
	struct steering_bpf *st;
	struct egress_bpf *eg;
	uint64_t sought;  /* packets that went through table */
	uint64_t counted; /* ... those that flow has been given */
	uint64_t looked;  /* ... and pping, since it was warm */
	uint64_t before[PP_OUTCOMES];
	double ns[STACKS][ROUNDS_MAX];
};

/* ---- flow_packets.c -------------------------------------------------------
 */

/* Segments of data for each ACK. */
uint32_t data_each(const struct kind *kind);
void subscriber_address(bool ipv6, uint32_t subscriber, uint8_t *out);
/* Writes set's packets into the driver's array; -errno. */
int fill(struct set *set);

/* ---- flow_stacks.c --------------------------------------------------------
 */

/* Loads what kind's packets are run through; -errno, unload_set() all the same.
 */
int load_set(struct set *set, const struct kind *kind);
void unload_set(struct set *set);
/* Has the driver run this stack; -errno. */
int hook(struct set *set, enum stack stack);

#endif /* TESTS_BENCH_FLOW_SET_H */
