/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * datapath.h - the core's BPF programs without interfaces: packets are put
 * through them with BPF_PROG_TEST_RUN.  The calling thread is bound to one CPU,
 * so that it is known whose row counts.
 */
#ifndef TESTS_BPF_DATAPATH_H
#define TESTS_BPF_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lqos/packet.h"
#include "bpf/datapath.h"
#include "tests/bpf/packet.h"

struct bpf_object;
struct bpf_program;
struct datapath_bpf;

/* 0 is what a shaper between two interfaces has. */
struct datapath_knobs {
	bool no_metadata;
	bool one_interface;
	bool steered; /* the observe stage is behind a cpumap */
	bool cpumap;  /* the observe stage is for BPF_XDP_CPUMAP */
	bool stick; /* its VLANs are DATAPATH_INET_VID and DATAPATH_SUBS_VID */
	bool address_spaces;
	uint32_t inet_ifindex;
	uint32_t slots;	   /* 0: DATAPATH_SLOTS */
	uint32_t prefixes; /* room for them, of either family; 0: 4096 */
	uint32_t cache;	   /* entries a CPU, a power of two; 0: 1024 */
	uint32_t flows;	   /* room for them; 0: no table */
	uint32_t buckets;  /* of it, a power of two; 0: for twice as many */
	uint32_t parts;	   /* bytes of modules in each record */
	uint64_t seed;
};

enum {
	DATAPATH_SLOTS = 1024,
	LOOPBACK_IFINDEX = 1,
	DATAPATH_INET_VID = 100,
	DATAPATH_SUBS_VID = 3200,
};

struct datapath {
	struct datapath_bpf *skel;
	struct datapath_knobs knobs;
	int cpumap_fd;			     /* no entries */
	uint32_t cpus;			     /* possible ones */
	uint32_t cpu;			     /* where this thread runs */
	const struct dp_counters *counters;  /* by CPU */
	const uint64_t *seen;		     /* by slot */
	const void *flows;		     /* see datapath_flow() */
	const struct dp_flow_row *flow_rows; /* by CPU */
};

/* EX_SKIP of automake if the kernel keeps BPF from those who are not root; 0
 * else.  Says so for TAP. */
int datapath_skip(void);

/* All return 0 or -errno. */
int datapath_new(struct datapath **out, const struct datapath_knobs *knobs);
/* The record in a slot of the table of flows. */
const struct lqos_flow *datapath_flow(const struct datapath *dp,
				      uint32_t index);
/* The part of it that begins at an offset. */
const void *datapath_flow_part(const struct datapath *dp, uint32_t index,
			       size_t part);
void datapath_free(struct datapath **datapath);
/* Between open and load of a module's object: types, and the core's maps. */
int datapath_bind(const struct datapath *dp, struct bpf_object *obj);
/* "192.0.2.0/24", or "192.0.2.0%200/24" of VLAN 200 alone, is slot's from the
 * next packet on. */
int datapath_own(struct datapath *dp, const char *prefix, uint32_t slot,
		 uint32_t handle, uint32_t cpu);
int datapath_disown(struct datapath *dp, const char *prefix);
/* The same, but without the new epoch. */
int datapath_own_quietly(struct datapath *dp, const char *prefix, uint32_t slot,
			 uint32_t handle, uint32_t cpu);
void datapath_new_epoch(struct datapath *dp);
/* Put a program into a slot of one of the chains; NULL: take it out. */
int datapath_chain(struct datapath *dp, const char *map, uint32_t slot,
		   const struct bpf_program *prog);
/* Of this thread's CPU. */
const struct dp_counters *datapath_counters(const struct datapath *dp);
int datapath_scratch(const struct datapath *dp, struct lqos_packet *out);
/* Writes 0 to it: what is there afterwards was written by a program. */
int datapath_clear_scratch(const struct datapath *dp);

/* What became of a packet. */
struct outcome {
	uint32_t verdict;
	bool described;		/* the frame has a descriptor in front */
	struct lqos_packet pkt; /* that descriptor */
	size_t len;
	uint8_t frame[PACKET_MAX];
};

/* One packet through prog; meta (or NULL) is in front of it. */
int run_xdp(const struct bpf_program *prog, const void *frame, size_t len,
	    const struct lqos_packet *meta, struct outcome *out);
int run_tc(const struct bpf_program *prog, const void *frame, size_t len,
	   struct outcome *out);
/* BPF_PROG_TEST_RUN makes no skb of a frame that ends with Ethernet, or within
 * an IP header right behind it. */
bool run_tc_can(const uint8_t *frame, size_t len);
/* As a GSO super-segment. */
int run_tc_gso(const struct bpf_program *prog, const void *frame, size_t len,
	       uint32_t segs, uint32_t size, struct outcome *out);

#endif /* TESTS_BPF_DATAPATH_H */
