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
	uint64_t tree;	 /* hash of the nodes the plan was made for */
	uint32_t *given; /* by slot: the class its circuit has by the plan */
	bool changed;	 /* the plan is behind the registry */
	bool by_hand;	 /* classes were given by hand */
	bool released;	 /* one of them may be free again */
	const struct st_cpu *counters; /* by CPU */
	const uint32_t *cpus;	       /* queue i is on cpus[i] */
	uint32_t n_cpus, possible_cpus, queues;
	uint32_t unplaced; /* circuits that got no class */
};

/* Registers the methods steering.*. */
int steering_add_commands(struct steering *st);
/*
 * The registry has changed: whoever needs a class gets it before the loop waits
 * again, however many changes there are until then.
 */
void steering_changed(struct steering *st);
/* The same at once, for whoever needs to know the classes. */
void steering_catch_up(struct steering *st);

#endif /* STEERING_STEERING_H */
