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
	uint32_t *cpus;		       /* queue i is on cpus[i] */
	uint32_t n_cpus, possible_cpus, queues;
	uint32_t unplaced; /* circuits that got no class */
};

/* Its class is not the plan's: the plan leaves it alone. */
bool steering_is_by_hand(const struct steering *st,
			 const struct lqos_subscriber *s);
/*
 * The registry has changed: whoever needs a class gets it before the loop waits
 * again, however many changes there are until then.
 */
void steering_changed(struct steering *st);
/* The same at once, for whoever needs to know the classes. */
void steering_catch_up(struct steering *st);

/* ---- commands.c, explain.c: the bus -------------------------------------- */

/* Registers the methods steering.*. */
int steering_add_commands(struct steering *st);
int steering_explain(struct lqos_call *call, void *st);
/* [{"queue", "cpu", "sold"}]: a new reference. */
struct json_t *steering_queues(const struct steering *st);
/* "1:1f"; returns buf. */
const char *steering_class(uint32_t handle, char *buf, size_t size);
/* Always with its length: "192.0.2.1/32"; returns buf. */
#define STEERING_PREFIX_TEXT (INET6_ADDRSTRLEN + sizeof("%4094/128"))
const char *steering_prefix(const struct lqos_prefix *p, char *buf,
			    size_t size);

#endif /* STEERING_STEERING_H */
