/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* subscribers.c - the registry as modules see it. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"

uint32_t lqos_subscriber_slots(struct lqos_ctx *ctx)
{
	return ctx->core->registry->max_subscribers + 1;
}

const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *ctx,
					      uint32_t slot)
{
	struct core_circuit *c = core_circuit_at(ctx->core->registry, slot);

	return c ? &c->s : NULL;
}

uint32_t lqos_subscriber_find(struct lqos_ctx *ctx, const char *circuit_id)
{
	const struct core_circuit *c =
		core_circuit_find(ctx->core->registry, circuit_id);

	return c ? c->s.slot : 0;
}

uint32_t lqos_nodes(struct lqos_ctx *ctx)
{
	return ctx->core->registry->network->n;
}

const struct lqos_node *lqos_node(struct lqos_ctx *ctx, uint32_t id)
{
	const struct core_network *network = ctx->core->registry->network;

	return id < network->n ? network->nodes[id] : NULL;
}

int lqos_prefixes(struct lqos_ctx *ctx,
		  int (*fn)(const struct lqos_prefix *p, void *arg), void *arg)
{
	return core_registry_walk(ctx->core->registry, fn, arg);
}

/* Where m goes with its circuit: the CPU is always the circuit's, so that one
 * CPU alone writes what is counted by slot.  False: it is there. */
static bool would_move(const struct core_mapping *m, uint32_t cpu,
		       uint32_t handle, struct lqos_prefix *to)
{
	*to = m->p;
	to->cpu = cpu;
	if (!to->own_place)
		to->handle = handle;
	return to->cpu != m->p.cpu || to->handle != m->p.handle;
}

int lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot, uint32_t *cpu,
		       uint32_t *handle)
{
	return core_slots_before(ctx->core->registry->slots, slot, cpu, handle);
}

/* A mapping on its way to another place. */
struct move {
	struct core_mapping *m;
	struct lqos_prefix to;
};

/* All of them or none. */
static int tell_kernel(struct core_registry *r, struct move *moves,
		       struct core_kernel_op *ops, size_t n)
{
	size_t i, done = 0;
	int rc = 0;

	for (i = 0; i < n; i++)
		ops[i].p = &moves[i].to;
	core_kernel_set(r, ops, n);
	for (i = 0; i < n; i++) {
		if (ops[i].rc)
			rc = ops[i].rc;
		else
			ops[done++].p = &moves[i].m->p;
	}
	if (rc)
		core_kernel_set(r, ops, done);
	return rc;
}

int lqos_place(struct lqos_ctx *ctx, uint32_t slot, uint32_t cpu,
	       uint32_t handle)
{
	struct core_registry *r = ctx->core->registry;
	struct core_circuit *c = core_circuit_at(r, slot);
	autofree struct core_kernel_op *ops = NULL;
	autofree struct move *moves = NULL;
	struct core_mapping *m;
	size_t i, n = 0;
	int rc;

	if (!c)
		return -ENOENT;
	moves = calloc(c->s.prefixes + 1, sizeof(*moves));
	ops = calloc(c->s.prefixes + 1, sizeof(*ops));
	if (!moves || !ops)
		return -ENOMEM;
	LIST_FOREACH(m, &c->mappings, of_circuit)
		if (would_move(m, cpu, handle, &moves[n].to))
			moves[n++].m = m;
	rc = tell_kernel(r, moves, ops, n);
	if (!rc) {
		c->s.cpu = cpu;
		c->s.handle = handle;
		core_slots_place(r->slots, slot, cpu, handle);
		for (i = 0; i < n; i++)
			moves[i].m->p = moves[i].to;
	}
	/* Within a batch of changes, that is the batch's end to say. */
	if (!r->notifying)
		core_kernel_done(r);
	return rc;
}

/* Map p to the circuit of that id, which is made if there is none. */
static int map_by_hand(struct core_registry *r, const char *circuit_id,
		       struct lqos_prefix *p, char *why, size_t why_size)
{
	struct core_mapping *old = core_mapping_find(r, p);
	uint32_t old_slot = old ? old->p.slot : 0;
	struct core_circuit *c = core_circuit_find(r, circuit_id);
	bool made = !c, alone;
	int rc;

	if (made) {
		rc = core_circuit_new(r, circuit_id, &c);
		if (rc) {
			snprintf(why, why_size,
				 "no slot is left for a new circuit: %s (is "
				 "max_subscribers in [lqosd], %u, enough?)",
				 strerror(-rc), r->max_subscribers);
			return rc;
		}
	}
	/* It has no other mapping, and no file names it. */
	alone = !c->from_file && c->s.prefixes == (old && old->circuit == c);
	if (!p->own_place) {
		p->cpu = c->s.cpu;
		p->handle = c->s.handle;
	} else if (!alone && c->s.cpu != UINT32_MAX && p->cpu != c->s.cpu) {
		snprintf(why, why_size,
			 "cpu: circuit \"%s\" is on CPU %u, expected that: all "
			 "of a circuit goes through one CPU",
			 c->s.circuit_id, c->s.cpu);
		return -EINVAL;
	}
	rc = core_mapping_put(r, c, old, p);
	if (rc) {
		snprintf(why, why_size,
			 "it cannot be mapped: %s (is max_prefixes in [lqosd], "
			 "%u, enough?)",
			 strerror(-rc), r->max_prefixes);
		if (made)
			core_circuit_undo(r, c);
		return rc;
	}
	if (alone && p->own_place) {
		c->s.cpu = p->cpu;
		c->s.handle = p->handle;
		core_slots_place(r->slots, c->s.slot, p->cpu, p->handle);
	}
	if (old_slot && old_slot != c->s.slot)
		core_circuit_settle(r, core_circuit_at(r, old_slot));
	return 0;
}

static int read_range(const struct core_registry *r, const char *ip,
		      struct lqos_prefix *p, char *why, size_t why_size)
{
	return core_prefix_parse(ip, p, why, why_size)
		       ?: core_prefix_check_vlan(
				  p, r->core->settings.address_spaces, why,
				  why_size);
}

int lqos_mapping_check(struct lqos_ctx *ctx, const char *ip, char *why,
		       size_t why_size)
{
	struct lqos_prefix p;

	return read_range(ctx->core->registry, ip, &p, why, why_size);
}

int lqos_mapping_add(struct lqos_ctx *ctx, const struct lqos_mapping *m,
		     char *why, size_t why_size)
{
	struct core_registry *r = ctx->core->registry;
	autofree char *wanted = strdup(m->circuit_id ?: "");
	char text[CORE_PREFIX_TEXT];
	const char *circuit_id;
	struct lqos_prefix p;
	bool repaired = false;
	int rc;

	if (!wanted)
		return -ENOMEM;
	rc = read_range(r, m->ip, &p, why, why_size);
	if (rc)
		return rc;
	p.cpu = m->cpu;
	p.handle = m->handle;
	p.by_hand = true;
	p.own_place = m->handle != 0;
	p.device_id = m->device_id;

	circuit_id = core_text_clean(wanted, &repaired);
	if (!*circuit_id)
		circuit_id = core_prefix_text(&p, text, sizeof(text));
	rc = map_by_hand(r, circuit_id, &p, why, why_size);
	if (rc)
		return rc;
	core_journal_add(ctx->core->journal, &p, circuit_id);
	core_registry_notify(r);
	return 0;
}

int lqos_mapping_del(struct lqos_ctx *ctx, const char *ip, char *why,
		     size_t why_size)
{
	struct core_registry *r = ctx->core->registry;
	struct core_mapping *m;
	struct core_circuit *c;
	char text[CORE_PREFIX_TEXT];
	struct lqos_prefix p;
	int rc;

	rc = core_prefix_parse(ip, &p, why, why_size);
	if (rc)
		return rc;
	m = core_mapping_find(r, &p);
	if (!m) {
		snprintf(why, why_size,
			 "%s is not mapped: expected an address or prefix "
			 "exactly as it was added",
			 core_prefix_text(&p, text, sizeof(text)));
		return -ENOENT;
	}
	c = m->circuit;
	p.by_hand = m->p.by_hand;
	core_mapping_remove(r, m);
	core_circuit_settle(r, c);
	core_journal_del(ctx->core->journal, &p);
	core_registry_notify(r);
	return 0;
}

int lqos_mapping_clear(struct lqos_ctx *ctx)
{
	struct core_registry *r = ctx->core->registry;
	int n = (int)r->prefixes;

	for (uint32_t slot = 1; slot <= r->max_subscribers; slot++) {
		struct core_circuit *c = core_circuit_at(r, slot);

		if (!c)
			continue;
		core_circuit_clear(r, c);
		core_circuit_settle(r, c);
	}
	core_journal_clear(ctx->core->journal);
	core_registry_notify(r);
	return n;
}
