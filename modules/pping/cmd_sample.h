/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_sample.h - what the topics of the module send, as structs.  Texts are
 * borrowed from the frame.  Columns are found by their names, so that a daemon
 * may send more of them.
 */
#ifndef MODULES_PPING_CMD_SAMPLE_H
#define MODULES_PPING_CMD_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define PPING_SAMPLES "pping.samples"
#define PPING_FLOWS   "pping.flows"
#define PPING_TRAFFIC "pping.traffic"

enum { PPING_WHY = 512 };

/* What every row begins with. */
struct pping_tuple {
	uint64_t timestamp; /* ns, of CLOCK_REALTIME */
	const char *protocol;
	const char *src_ip, *dest_ip;
	uint64_t src_port, dest_port;
};

/* An RTT.  src is the end that answered. */
struct pping_sample {
	struct pping_tuple tuple;
	uint64_t rtt, min_rtt; /* ns */
	/* Of the flow, while watched; sent is the direction that was timed. */
	uint64_t sent_packets, sent_bytes, rec_packets, rec_bytes;
	const char *side, *kind, *circuit_id;
	bool egress, inexact;
};

/* A flow that opens or closes. */
struct pping_event {
	struct pping_tuple tuple;
	const char *event, *reason, *triggered_by;
};

/* What a network has sent and was sent since the frame before. */
struct pping_traffic {
	const char *network; /* its address */
	const char *protocol;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

/* One of them is set; all return 0, or -errno to go no further. */
struct pping_reader {
	int (*sample)(const struct pping_sample *sample, void *arg);
	int (*event)(const struct pping_event *event, void *arg);
	int (*traffic)(const struct pping_traffic *traffic, void *arg);
	void *arg;
};

/*
 * The rows of a frame's data, in their order.  -EPROTO: they are not what is
 * known here, and why says so.  *lost: the samples that the daemon itself had
 * to leave out before this frame.
 */
int pping_read(const struct pping_reader *reader, const char *topic,
	       const json_t *data, uint64_t *lost, char why[static PPING_WHY]);

#endif /* MODULES_PPING_CMD_SAMPLE_H */
