/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the module share. */
#ifndef STEERING_STEERING_H
#define STEERING_STEERING_H

#include <netinet/in.h>

#include "core/lqos/module.h"
#include "modules/steering/plan.h"
#include "bpf/steering.h"
#include "bpf/steering.skel.h"

struct steering_config {
	uint32_t queues;
};

/* What a circuit was given. */
struct given {
	uint32_t handle; /* by the plan; 0: nothing */
	/* Put there by hand: the CPU it belongs to, and the one it is on. */
	uint32_t home, cpu;
};

struct steering {
	struct lqos_ctx *ctx;
	struct steering_bpf *skel;
	struct plan *plan;
	uint64_t tree;	     /* hash of the nodes the plan was made for */
	struct given *given; /* by slot */
	uint64_t *saved;     /* st_tree of bpf/steering.bpf.c */
	bool running;	     /* what is saved is this run's */
	bool changed;	     /* the plan is behind the registry */
	bool by_hand;	     /* classes were given by hand */
	bool released;	     /* one of them may be free again */
	int64_t rest_until;  /* CLOCK_MONOTONIC, ms */
	const struct st_cpu *counters; /* by CPU */
	bool stick;		       /* one interface for both directions */
	uint32_t n_cpus, possible_cpus, queues;
	char *why_queues;    /* as many as there are, for people */
	uint32_t *homes;     /* queue i belongs to homes[i] */
	uint32_t *stand_ins; /* by CPU: itself, or another while offline */
	volatile uint32_t *spread; /* by queue: its CPU, for the kernel */
	uint32_t unplaced;	   /* circuits that got no class */
};

/* ---- queues.c ------------------------------------------------------------ */

/* Between open and load: how many queues there are, and on which CPUs. */
int steering_make_queues(struct steering *st,
			 const struct steering_config *config);
/* After load: tells the kernel. */
int steering_set_queues(struct steering *st);
/* Some may have gone, or be back: their subscribers follow. */
void steering_look_at_cpus(struct steering *st);
/* The CPU that does the work of another; itself, mostly. */
uint32_t steering_stand_in(const struct steering *st, uint32_t cpu);
/* queue: from 0. */
uint32_t steering_queue_cpu(const struct steering *st, uint32_t queue);
/* What is added to the major of a class for its upload; 0: nothing, as that
 * leaves by another interface. */
uint32_t steering_up_offset(const struct steering *st);

/* ---- place.c ------------------------------------------------------------- */

/* Makes the plan follow the registry, and puts everybody there. */
int steering_place(struct steering *st);
/* All is attached: from here on what is saved for the next run is ours. */
void steering_runs(struct steering *st);
/*
 * The registry has changed: whoever needs a class gets it before the loop waits
 * again, or, where that was done only now, soon after; however many changes
 * there are until then.
 */
void steering_changed(struct steering *st);
/* The same at once, for whoever needs to know the classes. */
void steering_catch_up(struct steering *st);
/* Its class is not the plan's: the plan leaves it alone. */
bool steering_is_by_hand(const struct steering *st,
			 const struct lqos_subscriber *s);

/* ---- commands.c, changes.c, explain.c: the bus --------------------------- */

/* Registers the methods steering.*. */
int steering_add_commands(struct steering *st);
int steering_explain(struct lqos_call *call, void *st);
int steering_plan(struct lqos_call *call, void *st);
/* [{"queue", "cpu", "sold"}]: a new reference. */
struct json_t *steering_queues(const struct steering *st);
/* "1:1f"; returns buf. */
const char *steering_class(uint32_t handle, char *buf, size_t size);
/* Always with its length: "192.0.2.1/32"; returns buf. */
#define STEERING_PREFIX_TEXT (INET6_ADDRSTRLEN + sizeof("%4094/128"))
const char *steering_prefix(const struct lqos_prefix *p, char *buf,
			    size_t size);

#endif /* STEERING_STEERING_H */
