/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the flow module share. */
#ifndef MODULES_FLOW_FLOW_H
#define MODULES_FLOW_FLOW_H

#include <jansson.h>

#include "core/lqos/module.h"
#include "core/lqos/packet.h"
#include "bpf/flow.h"

struct flow_bpf;

struct flow_module {
	struct lqos_ctx *ctx;
	struct flow_bpf *skel;
	struct lqos_flow_table table; /* parts: struct fl_flow */
	const struct fl_tcp *slots;   /* by subscriber slot */
	const uint64_t *lost;	      /* by CPU */
	uint32_t cpus;
	struct loss *loss; /* by subscriber slot; columns.c */
};

/* ---- columns.c ------------------------------------------------------------
 */

int flow_add_columns(struct flow_module *m);

/* ---- record.c: one flow, as others see it ---------------------------------
 */

/* A copy of what is known of a flow, all of one generation. */
struct flow_copy {
	struct lqos_flow flow;
	struct fl_flow counts; /* 0 where nothing is known */
	uint32_t index;
};

/* -ENOENT: the slot is free, or changes hands too fast. */
int flow_read(const struct flow_module *m, uint32_t index,
	      struct flow_copy *out);
/* What is known of the flow that has the slot now, by direction; 0 where that
 * is nothing. */
void flow_halves(const struct flow_module *m, uint32_t index,
		 struct fl_half out[2]);
/* Bytes a second, that way, of late. */
uint64_t flow_rate(const struct fl_half *half, uint64_t now);
/* A new reference, or NULL.  detail: all of it, with what other modules have as
 * detail too. */
json_t *flow_record(const struct flow_module *m, const struct flow_copy *c,
		    uint64_t now, bool detail);
/* CLOCK_MONOTONIC_COARSE, ns. */
uint64_t flow_now(void);

/* ---- top.c: flow.top, flow.by_ip, flow.count ------------------------------
 */

int flow_add_commands(struct flow_module *m);

/* ---- watch.c: flow.watch ---------------------------------------------------
 */

int flow_add_topic(struct flow_module *m);

#endif /* MODULES_FLOW_FLOW_H */
