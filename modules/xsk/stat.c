/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module xsk tells: columns, and xsk.stat on the bus. */
#include <errno.h>
#include <stdlib.h>

#include <jansson.h>

#include "modules/xsk/taps.h"

void xsk_stats_add(struct lqos_xsk_stats *sum,
		   const struct lqos_xsk_stats *part)
{
	const uint64_t *from = (const uint64_t *)part;
	uint64_t *to = (uint64_t *)sum;

	_Static_assert(sizeof(*sum) % sizeof(*to) == 0, "counters alone");
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

/* ---- Names --------------------------------------------------------------- */

static const struct {
	const char *name, *title, *help;
} passed[XK_COUNTERS] = {
	[XK_TAKEN] = {"taken", "taken", "sent to taps"},
	[XK_NO_FRAME] = {"no_frame", "no frame",
			 "passed by: no frame waited for them"},
	[XK_TOO_LONG] = {"too_long", "too long",
			 "passed by: they fit in no frame"},
	[XK_NO_SOCKET] = {"no_socket", "no socket",
			  "passed by: no socket is open on their queue"},
	[XK_TAP_FULL] = {"tap_full", "tap full",
			 "passed by: the tap holds its share of frames"},
};

static const struct {
	const char *name, *title, *help;
	size_t offset;
} stats[] = {
#define STAT(name_, title_, help_)                                            \
	{                                                                     \
#name_, title_, help_, offsetof(struct lqos_xsk_stats, name_) \
	}
	STAT(received, "received", "given to taps"),
	STAT(sent, "sent", "frames that came back from the kernel, sent"),
	STAT(rx_dropped, "rx drop", "lost between the program and the socket"),
	STAT(rx_invalid, "rx invalid", "bad descriptors in fill rings"),
	STAT(rx_ring_full, "rx full", "lost: the RX ring was full"),
	STAT(rx_fill_empty, "fill empty", "lost: the fill ring was empty"),
	STAT(tx_invalid, "tx invalid", "bad descriptors in TX rings"),
	STAT(tx_empty, "tx empty", "times a TX ring was found empty"),
	STAT(tx_dropped, "tx drop", "not sent: the device refused them"),
	STAT(tx_refused, "tx refused", "not sent: they are no packets"),
	STAT(kicks, "kicks", "system calls to send"),
#undef STAT
};

enum { STATS = sizeof(stats) / sizeof(stats[0]) };

static uint64_t stat_at(const struct lqos_xsk_stats *s, size_t i)
{
	return *(const uint64_t *)((const char *)s + stats[i].offset);
}

static uint64_t counted(const struct xsk *xsk, uint32_t tap,
			enum xk_counter which)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < xsk->cpus; cpu++)
		sum += xsk->counters[cpu].count[tap][which];
	return sum;
}

/* ---- Columns ------------------------------------------------------------- */

struct column {
	struct lqos_column decl;
	const struct xsk *xsk;
	size_t which;
};

static uint64_t read_passed(uint32_t id, void *arg)
{
	const struct column *c = arg;
	uint64_t sum = 0;

	(void)id;
	for (uint32_t tap = 0; tap < XK_TAPS; tap++)
		sum += counted(c->xsk, tap, c->which);
	return sum;
}

static uint64_t read_stat(uint32_t id, void *arg)
{
	const struct column *c = arg;

	(void)id;
	return stat_at(&c->xsk->now, c->which);
}

static uint64_t read_available(uint32_t id, void *arg)
{
	const struct xsk *xsk = arg;

	(void)id;
	return lqos_umem_available(xsk->umem);
}

static const struct lqos_column available = {
	.name = "available",
	.title = "frames",
	.help = "frames in the pool",
	.kind = LQOS_GAUGE,
	.unit = LQOS_UNIT_COUNT,
	.scope = LQOS_SCOPE_GLOBAL,
	.flags = LQOS_COLUMN_DETAIL,
	.read = read_available,
};

int xsk_add_columns(struct xsk *xsk)
{
	struct column *columns = calloc(XK_COUNTERS + STATS, sizeof(*columns));
	size_t i;
	int rc = columns ? lqos_defer(xsk->ctx, free, columns) : -ENOMEM;

	for (i = 0; i < XK_COUNTERS + STATS && !rc; i++) {
		bool is_stat = i >= XK_COUNTERS;
		size_t which = is_stat ? i - XK_COUNTERS : i;

		columns[i] = (struct column){
			.decl = {.name = is_stat ? stats[which].name
						 : passed[which].name,
				 .title = is_stat ? stats[which].title
						  : passed[which].title,
				 .help = is_stat ? stats[which].help
						 : passed[which].help,
				 .kind = LQOS_COUNTER,
				 .unit = LQOS_UNIT_PACKETS,
				 .scope = LQOS_SCOPE_GLOBAL,
				 .flags = LQOS_COLUMN_DETAIL,
				 .read = is_stat ? read_stat : read_passed},
			.xsk = xsk,
			.which = which,
		};
		rc = lqos_column_add(xsk->ctx, &columns[i].decl, &columns[i]);
	}
	return rc ?: lqos_column_add(xsk->ctx, &available, xsk);
}

/* ---- xsk.stat ------------------------------------------------------------ */

static json_t *tap_json(const struct lqos_xsk_tap *tap)
{
	json_t *out = json_object(), *rules = json_array();

	for (uint32_t i = 0; i < tap->n_rules; i++)
		json_array_append_new(rules, json_string(tap->rules[i].text));
	json_object_set_new(out, "module",
			    json_string(lqos_module_name(tap->ctx)));
	json_object_set_new(out, "held", json_integer(xsk_tap_held(tap)));
	json_object_set_new(out, "full", json_boolean(tap->full));
	for (int i = 0; i < XK_COUNTERS; i++)
		json_object_set_new(
			out, passed[i].name,
			json_integer(counted(tap->xsk, tap->number, i)));
	json_object_set_new(out, "rules", rules);
	return out;
}

static json_t *socket_json(const struct xsk_tap_socket *s)
{
	const struct lqos_interface *iface =
		lqos_interface(s->tap->xsk->ctx, s->interface);
	struct lqos_xsk_stats now = {};
	json_t *out = json_object();

	lqos_xsk_stats(s->xsk, &now);
	json_object_set_new(out, "module",
			    json_string(lqos_module_name(s->tap->ctx)));
	json_object_set_new(out, "interface", json_string(iface->name));
	json_object_set_new(out, "queue", json_integer(s->queue));
	json_object_set_new(out, "mode",
			    json_string(iface->native ? "native" : "generic"));
	json_object_set_new(out, "copy",
			    json_string(lqos_xsk_is_zerocopy(s->xsk)
						? "zerocopy"
						: "copy"));
	json_object_set_new(out, "held", json_integer(s->xsk->user));
	json_object_set_new(out, "outstanding",
			    json_integer(lqos_xsk_outstanding(s->xsk)));
	for (size_t i = 0; i < STATS; i++)
		json_object_set_new(out, stats[i].name,
				    json_integer(stat_at(&now, i)));
	return out;
}

/* Those that somebody took from the pool, and did not receive. */
static uint32_t umem_allocated(const struct lqos_umem *umem)
{
	uint32_t n = 0, i;

	for (i = 0; i < umem->frames; i++)
		n += umem->held[i] == held_by(HOLDER_USER, 0);
	return n;
}

static json_t *pool_json(const struct xsk *xsk)
{
	json_t *out = json_object();

	json_object_set_new(out, "frames",
			    json_integer(lqos_umem_frames(xsk->umem)));
	json_object_set_new(out, "available",
			    json_integer(lqos_umem_available(xsk->umem)));
	json_object_set_new(out, "allocated",
			    json_integer(umem_allocated(xsk->umem)));
	json_object_set_new(out, "frame_size",
			    json_integer(xsk->config->frame_size));
	json_object_set_new(out, "mtu", json_integer(lqos_umem_mtu(xsk->umem)));
	json_object_set_new(out, "huge",
			    json_boolean(lqos_umem_is_huge(xsk->umem)));
	json_object_set_new(out, "refused",
			    json_integer(lqos_umem_refused(xsk->umem)));
	return out;
}

static int run_stat(struct lqos_call *call, void *arg)
{
	const struct xsk *xsk = arg;
	json_t *out = json_object(), *taps = json_array(),
	       *sockets = json_array();
	const struct xsk_tap_socket *s;

	for (int i = 0; i < XK_TAPS; i++) {
		if (!xsk->taps[i])
			continue;
		json_array_append_new(taps, tap_json(xsk->taps[i]));
		LIST_FOREACH(s, &xsk->taps[i]->sockets, link)
			json_array_append_new(sockets, socket_json(s));
	}
	json_object_set_new(out, "pool", pool_json(xsk));
	json_object_set_new(out, "taps", taps);
	json_object_set_new(out, "sockets", sockets);
	lqos_call_result(call, out);
	return 0;
}

static const struct lqos_command stat_command = {
	.name = "stat",
	.params = "{}",
	.help = "The pool of frames, the taps on it and their sockets",
	.run = run_stat,
};

int xsk_add_commands(struct xsk *xsk)
{
	return lqos_command_add(xsk->ctx, &stat_command, xsk);
}
