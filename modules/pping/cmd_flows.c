/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_flows.c - what flows have carried, from the counters of their samples. */
#include <arpa/inet.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_flows.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
	FLOWS_MAX = 1 << 18, /* the one seen longest ago makes room */
	FLOW_ANOTHER_S = 10, /* no sample is that late */
};

/* The end with the lower address comes first, whichever answers. */
struct flow_key {
	uint8_t address[2][ADDRESS];
	uint16_t port[2];
	uint8_t family;
	char protocol[7];
};

struct flow {
	struct flow_key key;
	struct counts sent[2]; /* by either end */
	uint64_t seen;
	TAILQ_ENTRY(flow) by_age;
};

struct flows {
	void *tree; /* of tsearch() */
	unsigned int n;
	TAILQ_HEAD(, flow) by_age;
};

static int compare(const void *a, const void *b)
{
	return memcmp(&((const struct flow *)a)->key,
		      &((const struct flow *)b)->key, sizeof(struct flow_key));
}

static void forget(struct flows *flows, struct flow *flow)
{
	tdelete(flow, &flows->tree, compare);
	TAILQ_REMOVE(&flows->by_age, flow, by_age);
	flows->n--;
	free(flow);
}

static int add(struct flows *flows, const struct flow *wanted,
	       struct flow **out)
{
	struct flow *flow;

	if (flows->n >= FLOWS_MAX)
		forget(flows, TAILQ_FIRST(&flows->by_age));
	flow = malloc(sizeof(*flow));
	if (!flow)
		return -ENOMEM;
	*flow = *wanted;
	if (!tsearch(flow, &flows->tree, compare)) {
		free(flow);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&flows->by_age, flow, by_age);
	flows->n++;
	*out = flow;
	return 0;
}

static uint8_t read_address(const char *text, uint8_t to[static ADDRESS])
{
	memset(to, 0, ADDRESS);
	if (inet_pton(AF_INET, text, to) == 1)
		return 4;
	return inet_pton(AF_INET6, text, to) == 1 ? 6 : 0;
}

int ends_read(const struct pping_tuple *tuple, struct ends *ends)
{
	ends->family = read_address(tuple->src_ip, ends->address[0]);
	if (!ends->family ||
	    ends->family != read_address(tuple->dest_ip, ends->address[1]))
		return -EPROTO;
	return 0;
}

/* Returns which end src is in it. */
static int make_key(const struct pping_tuple *t, const struct ends *ends,
		    struct flow_key *key)
{
	int way = memcmp(ends->address[0], ends->address[1], ADDRESS);
	int at = way ? way > 0 : t->src_port > t->dest_port;
	size_t len = strlen(t->protocol);

	memset(key, 0, sizeof(*key));
	memcpy(key->address[at], ends->address[0], ADDRESS);
	memcpy(key->address[!at], ends->address[1], ADDRESS);
	key->port[at] = (uint16_t)t->src_port;
	key->port[!at] = (uint16_t)t->dest_port;
	key->family = ends->family;
	memcpy(key->protocol, t->protocol,
	       len < sizeof(key->protocol) ? len : sizeof(key->protocol));
	return at;
}

/* Has it begun no earlier than what its first sample here is of? */
static bool begins_here(const struct pping_sample *s)
{
	return !strcmp(s->kind, "handshake") || !strcmp(s->kind, "quic") ||
	       s->rec_packets <= 1;
}

/* Has another flow begun between the same ends?  A sample that comes after a
 * later one has lower counters, too. */
static bool is_another(const struct flow *flow, const struct pping_sample *s,
		       const struct counts now[static 2])
{
	bool lower = now[0].packets < flow->sent[0].packets ||
		     now[1].packets < flow->sent[1].packets;

	return lower &&
	       (!strcmp(s->kind, "handshake") ||
		s->tuple.timestamp > flow->seen + FLOW_ANOTHER_S * NS_PER_S);
}

static struct counts advance(struct counts *from, struct counts to)
{
	struct counts by = {};

	if (to.packets > from->packets) {
		by.packets = to.packets - from->packets;
		from->packets = to.packets;
	}
	if (to.bytes > from->bytes) {
		by.bytes = to.bytes - from->bytes;
		from->bytes = to.bytes;
	}
	return by;
}

int flows_follow(struct flows *flows, const struct pping_sample *s,
		 const struct ends *ends, struct counts by[static 2])
{
	struct flow wanted = {}, *flow, **found;
	struct counts now[2];
	int at, rc;

	at = make_key(&s->tuple, ends, &wanted.key);
	now[at] = (struct counts){s->rec_packets, s->rec_bytes};
	now[!at] = (struct counts){s->sent_packets, s->sent_bytes};
	found = tfind(&wanted, &flows->tree, compare);
	if (found) {
		flow = *found;
		if (is_another(flow, s, now))
			memset(flow->sent, 0, sizeof(flow->sent));
	} else {
		/* What it carried before is of no interval of ours. */
		if (!begins_here(s))
			memcpy(wanted.sent, now, sizeof(now));
		rc = add(flows, &wanted, &flow);
		if (rc)
			return rc;
	}
	by[0] = advance(&flow->sent[at], now[at]);
	by[1] = advance(&flow->sent[!at], now[!at]);
	if (s->tuple.timestamp > flow->seen)
		flow->seen = s->tuple.timestamp;
	TAILQ_REMOVE(&flows->by_age, flow, by_age);
	TAILQ_INSERT_TAIL(&flows->by_age, flow, by_age);
	return 0;
}

void flows_forget_idle(struct flows *flows, uint64_t now)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&flows->by_age)) &&
	       flow->seen + FLOW_IDLE_S * NS_PER_S < now)
		forget(flows, flow);
}

int flows_new(struct flows **out)
{
	struct flows *flows = calloc(1, sizeof(*flows));

	if (!flows)
		return -ENOMEM;
	TAILQ_INIT(&flows->by_age);
	*out = flows;
	return 0;
}

void flows_free(struct flows **flows)
{
	struct flow *flow;

	if (!*flows)
		return;
	while ((flow = TAILQ_FIRST(&(*flows)->by_age)))
		forget(*flows, flow);
	free(*flows);
	*flows = NULL;
}
