/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_flows.h - traffic from samples.  The daemon sends no packets: what a flow
 * has carried is how far its counters have come from one sample to the next.
 */
#ifndef MODULES_PPING_CMD_FLOWS_H
#define MODULES_PPING_CMD_FLOWS_H

#include <netinet/in.h>
#include <stdint.h>

#include "modules/pping/cmd_sample.h"

enum {
	ADDRESS = sizeof(struct in6_addr),
	FLOW_IDLE_S = 300, /* then it is forgotten */
};

struct counts {
	uint64_t packets, bytes;
};

/* Of src and dest; family is 4 or 6. */
struct ends {
	uint8_t family;
	uint8_t address[2][ADDRESS];
};

struct flows;

/* -EPROTO: no two addresses of one family. */
int ends_read(const struct pping_tuple *tuple, struct ends *ends);

int flows_new(struct flows **out);
/* NULL-safe; clears *flows. */
void flows_free(struct flows **flows);
/* by: what src and dest have sent since the last sample of the flow. */
int flows_follow(struct flows *flows, const struct pping_sample *sample,
		 const struct ends *ends, struct counts by[static 2]);
/* now: ns, of CLOCK_REALTIME. */
void flows_forget_idle(struct flows *flows, uint64_t now);

#endif /* MODULES_PPING_CMD_FLOWS_H */
