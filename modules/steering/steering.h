/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What steering.c and commands.c share. */
#ifndef STEERING_STEERING_H
#define STEERING_STEERING_H

#include "core/lqos/module.h"
#include "modules/steering/plan.h"
#include "bpf/steering.h"
#include "bpf/steering.skel.h"

struct steering_config {
	uint32_t queues;
};

struct steering {
	struct lqos_ctx *ctx;
	struct steering_bpf *skel;
	struct plan *plan;
	uint64_t tree; /* hash of the nodes the plan was made for */
	const struct st_cpu *counters; /* by CPU */
	const uint32_t *cpus;	       /* queue i is on cpus[i] */
	uint32_t n_cpus, possible_cpus, queues;
	uint32_t unplaced; /* circuits that got no class */
};

/* Registers steering.add, del, list, clear and plan. */
int steering_add_commands(struct steering *st);

#endif /* STEERING_STEERING_H */
