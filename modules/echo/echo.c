/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers for an interface's own addresses, in user space, by AF_XDP: ARP,
 * neighbour solicitations, ICMP and ICMPv6 echo requests, UDP echo.  All else
 * goes to the kernel, as ever.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/lqos/module.h"
#include "core/lqos/xsk.h"
#include "modules/echo/reply.h"
#include "modules/echo/self.h"

enum { REFRESH_MS = 2000 };

struct config {
	const char *addresses;
	uint32_t udp_port;
	uint32_t budget;
};

static const struct lqos_option options[] = {
	LQOS_OPTION(struct config, addresses, "",
		    .help = "Those that are answered for, on all interfaces, "
			    "as 192.0.2.1,2001:db8::1; empty: those that an "
			    "interface has itself"),
	LQOS_OPTION(struct config, udp_port, "7", .min = 1, .max = 65535,
		    .help = "Of UDP echo"),
	LQOS_OPTION(struct config, budget, "512", .min = 1, .max = 65536,
		    .help = "Packets before others have their turn"),
	LQOS_OPTIONS_END,
};

/* What is counted: verdicts, and what else can happen to an answer. */
enum { TX_FULL = ECHO_VERDICTS, COUNTERS };

struct port {
	char name[16];
	struct echo_self self;
	uint64_t count[COUNTERS];
};

struct echo {
	struct lqos_ctx *ctx;
	struct lqos_xsk_tap *tap;
	struct echo_self wanted; /* no addresses: each interface's own */
	struct port *ports;	 /* by number of the interface */
	uint32_t n;
};

/* ---- Columns ------------------------------------------------------------- */

struct view {
	struct lqos_column decl;
	const struct echo *echo;
	uint32_t counter;
};

static uint64_t read_counter(uint32_t id, void *arg)
{
	const struct view *v = arg;

	return id < v->echo->n ? v->echo->ports[id].count[v->counter] : 0;
}

#define COLUMN(name_, title_, help_)                                 \
	{                                                            \
		.name = name_, .title = title_, .help = help_,       \
		.kind = LQOS_COUNTER, .unit = LQOS_UNIT_PACKETS,     \
		.scope = LQOS_SCOPE_INTERFACE, .read = read_counter, \
	}

static const struct lqos_column columns[] = {
	[ECHO_ARP] = COLUMN("arp", "ARP", "ARP requests answered"),
	[ECHO_ND] = COLUMN("nd", "ND", "neighbour solicitations answered"),
	[ECHO_ICMP] = COLUMN("icmp", "ping", "ICMP echo requests answered"),
	[ECHO_ICMPV6] =
		COLUMN("icmpv6", "ping6", "ICMPv6 echo requests answered"),
	[ECHO_UDP] = COLUMN("udp", "UDP", "UDP echo requests answered"),
	[ECHO_MALFORMED] = COLUMN("ignored.malformed", "malformed",
				  "cut short, or with a wrong length"),
	[ECHO_CHECKSUM] =
		COLUMN("ignored.checksum", "checksum", "with a wrong checksum"),
	[ECHO_FRAGMENT] = COLUMN("ignored.fragment", "fragment", "fragments"),
	[ECHO_NOT_OURS] = COLUMN("ignored.not_ours", "not ours",
				 "for another address, or for many"),
	[ECHO_SOURCE] = COLUMN("ignored.source", "source",
			       "from where nobody can be answered"),
	[ECHO_LOOP] = COLUMN("ignored.loop", "loop",
			     "from a UDP port that would answer the answer"),
	[ECHO_AFAR] = COLUMN("ignored.afar", "afar",
			     "neighbour solicitations from behind a router"),
	[ECHO_OTHER] = COLUMN("ignored.other", "other",
			      "that ask for nothing of this"),
	[ECHO_NO_ROOM] = COLUMN("ignored.no_room", "no room",
				"whose answer is longer than their frame"),
	[TX_FULL] = COLUMN("tx_full", "TX full",
			   "answers that there was no room to send for"),
};

_Static_assert(ARRAY_SIZE(columns) == COUNTERS, "one column a counter");

static int add_columns(struct lqos_ctx *ctx, const struct echo *echo)
{
	struct view *views = calloc(COUNTERS, sizeof(*views));
	uint32_t i;
	int rc;

	if (!views)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, views);
	for (i = 0; i < COUNTERS && !rc; i++) {
		views[i] = (struct view){columns[i], echo, i};
		rc = lqos_column_add(ctx, &views[i].decl, &views[i]);
	}
	return rc;
}

/* ---- Packets ------------------------------------------------------------- */

static struct port *find_port(const struct echo *echo, const char *name)
{
	uint32_t i;

	for (i = 0; i < echo->n; i++)
		if (!strcmp(echo->ports[i].name, name))
			return &echo->ports[i];
	return NULL;
}

/* The frame becomes an answer; false: it is none, and still ours. */
static bool answer(struct port *port, const struct lqos_umem *umem,
		   struct lqos_xsk_frame *frame)
{
	uint32_t len = frame->len;
	uint32_t room = len + lqos_xsk_tailroom(umem, frame);
	enum echo_verdict verdict;

	verdict =
		echo_reply(lqos_xsk_data(umem, frame), &len, room, &port->self);
	port->count[verdict]++;
	return echo_is_answer(verdict) && !lqos_xsk_resize(umem, frame, len);
}

static void on_frames(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
		      uint32_t n, void *arg)
{
	struct lqos_umem *umem = lqos_xsk_umem(xsk);
	struct port *port = find_port(arg, lqos_xsk_interface(xsk));
	uint32_t answers = 0, room, sent, i;

	if (!port) {
		lqos_umem_free(umem, frames, n);
		return;
	}
	for (i = 0; i < n; i++)
		if (answer(port, umem, &frames[i]))
			frames[answers++] = frames[i];
		else
			lqos_umem_free(umem, &frames[i], 1);
	room = lqos_xsk_tx_room(xsk);
	sent = lqos_xsk_tx(xsk, frames, answers < room ? answers : room);
	port->count[TX_FULL] += answers - sent;
	lqos_umem_free(umem, frames + sent, answers - sent);
}

/* ---- Which packets ------------------------------------------------------- */

static void add_rule(struct echo *echo, const struct lqos_xsk_rule *rule)
{
	char why[256] = "";

	if (lqos_xsk_tap_add(echo->tap, rule, why, sizeof(why)))
		lqos_log(echo->ctx, LQOS_ERR,
			 "%s: no rule for it, so the kernel goes on "
			 "answering: %s",
			 rule->prefix, why);
}

/* What is answered, and no more of what goes there.  interface: NULL: any. */
static void add_rules(struct echo *echo, const struct echo_self *self,
		      const char *interface)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t i;

	for (i = 0; i < self->n; i++) {
		const struct echo_address *a = &self->addresses[i];
		bool v4 = a->version == 4;

		inet_ntop(v4 ? AF_INET : AF_INET6, a->bytes, text,
			  sizeof(text));
		add_rule(echo,
			 &(struct lqos_xsk_rule){
				 .prefix = text,
				 .interface = interface,
				 .about = LQOS_XSK_TO |
					  (v4 ? LQOS_XSK_ARP : LQOS_XSK_ND),
				 .proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
				 .icmp_type = v4 ? 8 : 128,
			 });
		add_rule(echo, &(struct lqos_xsk_rule){
				       .prefix = text,
				       .interface = interface,
				       .proto = IPPROTO_UDP,
				       .port = self->udp_port,
			       });
	}
}

static void say_addresses(const struct echo *echo, const struct port *port)
{
	char list[ECHO_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1) + 1];
	char text[INET6_ADDRSTRLEN];
	size_t at = 0;
	uint32_t i;

	if (!port->self.n) {
		lqos_log(echo->ctx, LQOS_WARN,
			 "%s: answers for nobody: it is gone, no Ethernet, or "
			 "has no address (give it one, or set addresses in "
			 "[echo])",
			 port->name);
		return;
	}
	for (i = 0; i < port->self.n; i++) {
		const struct echo_address *a = &port->self.addresses[i];

		inet_ntop(a->version == 4 ? AF_INET : AF_INET6, a->bytes, text,
			  sizeof(text));
		at += (size_t)snprintf(list + at, sizeof(list) - at, " %s",
				       text);
	}
	lqos_log(echo->ctx, LQOS_INFO, "%s: answers for%s", port->name, list);
}

/* Who we are on that interface now; true: it is another than before. */
static bool refresh_port(struct echo *echo, struct port *port)
{
	struct echo_self now = echo->wanted;
	uint32_t more = 0;

	if (echo_self_mac(port->name, &now))
		now.n = 0; /* it is gone, and may come back */
	else if (!now.n && echo_self_addresses(port->name, &now, &more))
		return false; /* asked again soon */
	if (!memcmp(&now, &port->self, sizeof(now)))
		return false;
	if (more)
		lqos_log(echo->ctx, LQOS_WARN,
			 "%s: has %u addresses more than the %d that are "
			 "answered for: the kernel goes on answering, or set "
			 "addresses in [echo]",
			 port->name, more, ECHO_ADDRESSES_MAX);
	port->self = now;
	say_addresses(echo, port);
	return true;
}

static void refresh(void *arg)
{
	struct echo *echo = arg;
	bool changed = false;
	uint32_t i;

	for (i = 0; i < echo->n; i++)
		changed |= refresh_port(echo, &echo->ports[i]);
	/* Those that are configured are the same for ever. */
	if (!changed || echo->wanted.n)
		return;
	lqos_xsk_tap_clear(echo->tap);
	for (i = 0; i < echo->n; i++)
		add_rules(echo, &echo->ports[i].self, echo->ports[i].name);
}

/* ---- The module ---------------------------------------------------------- */

static int check(struct lqos_ctx *ctx, const void *arg)
{
	const struct config *config = arg;
	struct echo_self self = {0};
	char why[256] = "out of memory";
	int rc = echo_self_parse(config->addresses, &self, why, sizeof(why));

	return rc ? lqos_fail(ctx, rc, "%s", why) : 0;
}

static int find_ports(struct lqos_ctx *ctx, struct echo *echo)
{
	uint32_t i;

	echo->n = lqos_interfaces(ctx);
	echo->ports = calloc(echo->n, sizeof(*echo->ports));
	if (!echo->ports)
		return -ENOMEM;
	for (i = 0; i < echo->n; i++)
		snprintf(echo->ports[i].name, sizeof(echo->ports[i].name), "%s",
			 lqos_interface(ctx, i)->name);
	return lqos_defer(ctx, free, echo->ports);
}

static int start(struct lqos_ctx *ctx, const void *arg, void **state)
{
	const struct config *config = arg;
	struct echo *echo = calloc(1, sizeof(*echo));
	char why[256];
	int rc;

	if (!echo)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, echo);
	if (rc)
		return rc;
	echo->ctx = ctx;
	echo->wanted.udp_port = (uint16_t)config->udp_port;
	rc = echo_self_parse(config->addresses, &echo->wanted, why,
			     sizeof(why));
	if (!rc)
		rc = find_ports(ctx, echo);
	if (!rc)
		rc = add_columns(ctx, echo);
	if (!rc)
		rc = lqos_timer_every(ctx, REFRESH_MS, refresh, echo, NULL);
	if (rc)
		return rc;
	rc = lqos_xsk_tap(ctx, config->budget, on_frames, echo, &echo->tap);
	if (rc)
		return lqos_fail(ctx, rc,
				 "gets no packets from the module xsk");
	refresh(echo);
	add_rules(echo, &echo->wanted, NULL);
	*state = echo;
	return 0;
}

LQOS_MODULE(.name = "echo", .version = "1.0",
	    .description = "Answers ARP, ND, ping and UDP echo by AF_XDP",
	    .needs = "xsk", .options = options,
	    .config_size = sizeof(struct config), .check = check,
	    .start = start);
