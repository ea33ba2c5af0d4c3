/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_order.c - batches in, packets by time out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/capture/command.h"

void capture_order_init(struct capture_order *order)
{
	*order = (struct capture_order){};
	TAILQ_INIT(&order->packets);
}

/* The size of the record at data, of which len bytes are there; 0: it is
 * none. */
static size_t record_size(const char *data, size_t len)
{
	struct capture_record record;
	size_t size;

	if (len < sizeof(record))
		return 0;
	memcpy(&record, data, sizeof(record));
	if (record.caplen > CAPTURE_SNAPLEN_MAX || record.caplen > record.len)
		return 0;
	size = capture_record_size(record.caplen);
	return size > len ? 0 : size;
}

static int check(const char *data, size_t len, struct capture_batch *head)
{
	uint32_t packets = 0;
	size_t at, size;

	if (len < sizeof(*head))
		return -EPROTO;
	memcpy(head, data, sizeof(*head));
	if (head->version != CAPTURE_WIRE)
		return -EPROTO;
	for (at = sizeof(*head); at < len; at += size, packets++) {
		size = record_size(data + at, len - at);
		if (!size)
			return -EPROTO;
	}
	return packets == head->packets ? 0 : -EPROTO;
}

/* Nearly always at the end, or close to it. */
static void insert(struct capture_order *order, struct capture_packet *packet)
{
	struct capture_packet *before =
		TAILQ_LAST(&order->packets, capture_packets);

	while (before && before->record.ts > packet->record.ts)
		before = TAILQ_PREV(before, capture_packets, link);
	if (before)
		TAILQ_INSERT_AFTER(&order->packets, before, packet, link);
	else
		TAILQ_INSERT_HEAD(&order->packets, packet, link);
	order->bytes += sizeof(*packet) + packet->record.caplen;
	if (packet->record.ts > order->newest)
		order->newest = packet->record.ts;
}

int capture_order_add(struct capture_order *order, const void *batch,
		      size_t len)
{
	struct capture_packet *packet;
	struct capture_record record;
	const char *data = batch;
	struct capture_batch head;
	size_t at;
	int rc = check(data, len, &head);

	if (rc)
		return rc;
	order->head = head;
	for (at = sizeof(head); at < len;
	     at += capture_record_size(record.caplen)) {
		memcpy(&record, data + at, sizeof(record));
		packet = malloc(sizeof(*packet) + record.caplen);
		if (!packet)
			return -ENOMEM;
		packet->record = record;
		packet->wall = (int64_t)record.ts + head.offset;
		memcpy(packet->data, data + at + sizeof(record), record.caplen);
		insert(order, packet);
	}
	return 0;
}

struct capture_packet *capture_order_take(struct capture_order *order, bool all)
{
	struct capture_packet *first = TAILQ_FIRST(&order->packets);

	if (!first ||
	    (!all && order->bytes <= CAPTURE_HOLD_BYTES &&
	     first->record.ts + CAPTURE_HOLD_MS * 1000000ULL >= order->newest))
		return NULL;
	TAILQ_REMOVE(&order->packets, first, link);
	order->bytes -= sizeof(*first) + first->record.caplen;
	if (first->record.ts < order->last)
		order->late++;
	else
		order->last = first->record.ts;
	return first;
}

void capture_order_clear(struct capture_order *order)
{
	struct capture_packet *packet;

	while ((packet = TAILQ_FIRST(&order->packets))) {
		TAILQ_REMOVE(&order->packets, packet, link);
		free(packet);
	}
	order->bytes = 0;
}
