/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* changes.c - what reading the files again would change, without doing it. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

struct telling {
	struct core_registry *r;
	const struct core_network *network; /* of the files */
	const struct core_shaped *shaped;
	int (*fn)(const struct lqos_change *c, void *arg);
	void *arg;
};

/* ---- What is wrong in the files ------------------------------------------ */

enum { PROBLEMS = 20 };

/* What the log hears while they are read. */
struct overheard {
	char *errors[PROBLEMS], *warnings[PROBLEMS];
	char *last; /* error: of a reload that is refused, it is the reason */
	size_t n_errors, n_warnings;
	uint32_t all;
};

static void overhear(const char *who, enum lqos_level level, const char *text,
		     void *arg)
{
	struct overheard *o = arg;
	bool error = level == LQOS_ERR;
	size_t *n = error ? &o->n_errors : &o->n_warnings;

	if (strcmp(who, CORE_REGISTRY_LOG))
		return;
	o->all++;
	if (*n < PROBLEMS)
		(error ? o->errors : o->warnings)[(*n)++] = strdup(text);
	if (error) {
		free(o->last);
		o->last = strdup(text);
	}
}

static void overheard_free(struct overheard *o)
{
	for (size_t i = 0; i < PROBLEMS; i++) {
		free(o->errors[i]);
		free(o->warnings[i]);
	}
	free(o->last);
}

static int tell_problem(const struct telling *t, const char *text, uint32_t all)
{
	const struct lqos_change c = {
		.kind = LQOS_CHANGE_PROBLEM,
		.from_cpu = UINT32_MAX,
		.to_cpu = UINT32_MAX,
		.problem = text,
		.problems = all,
	};

	return text ? t->fn(&c, t->arg) : -ENOMEM;
}

static int tell_problems(const struct telling *t, const struct overheard *o)
{
	const struct core_problems *a = &t->shaped->problems;
	const struct core_problems *b = &t->network->problems;
	/* The log stops at CORE_PROBLEM_LINES. */
	uint32_t all = a->skipped + a->warnings + b->skipped + b->warnings;
	size_t i, left = PROBLEMS - o->n_errors;
	int rc = 0;

	if (all < o->all)
		all = o->all;
	for (i = 0; i < o->n_errors && !rc; i++)
		rc = tell_problem(t, o->errors[i], all);
	for (i = 0; i < o->n_warnings && i < left && !rc; i++)
		rc = tell_problem(t, o->warnings[i], all);
	return rc;
}

/* ---- The files and the registry ------------------------------------------ */

static const char *node_name(const struct core_network *network, uint32_t id)
{
	return id < network->n ? network->nodes[id]->name : "";
}

static void come_from(struct lqos_change *c, const struct core_registry *r,
		      const struct core_mapping *m)
{
	c->prefix = &m->p;
	c->from = &m->circuit->s;
	c->from_node = node_name(r->network, m->circuit->s.node);
	c->from_cpu = m->p.cpu;
	c->from_handle = m->p.handle;
}

static int tell_stale(const struct lqos_prefix *p, void *arg)
{
	const struct core_mapping *m = (const struct core_mapping *)p;
	struct lqos_change c = {.kind = LQOS_CHANGE_REMOVE,
				.to_cpu = UINT32_MAX};
	struct telling *t = arg;

	if (!core_mapping_is_stale(m, t->shaped))
		return 0;
	come_from(&c, t->r, m);
	return t->fn(&c, t->arg);
}

static bool same(const struct lqos_change *c)
{
	const struct lqos_subscriber *a = c->from, *b = c->to;

	return a->slot == b->slot && a->down_min == b->down_min &&
	       a->down_max == b->down_max && a->up_min == b->up_min &&
	       a->up_max == b->up_max && !strcmp(c->from_node, c->to_node);
}

static int tell_address(struct telling *t,
			const struct core_shaped_address *address)
{
	const struct core_mapping *m = core_mapping_find(t->r, &address->p);
	struct lqos_subscriber to = address->circuit->s;
	const struct core_circuit *now = core_circuit_find(t->r, to.circuit_id);
	struct lqos_change c = {.kind = LQOS_CHANGE_ADD,
				.prefix = &address->p,
				.to = &to,
				.from_cpu = UINT32_MAX};

	if (m && m->p.by_hand)
		return 0; /* it stays */
	to.slot = now ? now->s.slot : 0;
	to.cpu = now ? now->s.cpu : UINT32_MAX;
	to.handle = now ? now->s.handle : 0;
	c.to_node = node_name(t->network, to.node);
	c.to_cpu = to.cpu;
	c.to_handle = to.handle;
	if (m) {
		c.kind = LQOS_CHANGE_OTHER;
		come_from(&c, t->r, m);
		if (same(&c))
			return 0;
	}
	return t->fn(&c, t->arg);
}

/* Circuits without an address are no less subscribers. */
static int tell_circuit(struct telling *t,
			const struct core_shaped_circuit *circuit)
{
	const struct core_circuit *now =
		core_circuit_find(t->r, circuit->s.circuit_id);
	struct lqos_change c = {.kind = LQOS_CHANGE_ADD,
				.to = &circuit->s,
				.to_node =
					node_name(t->network, circuit->s.node),
				.from_cpu = UINT32_MAX,
				.to_cpu = UINT32_MAX};
	struct lqos_subscriber to = circuit->s;

	if (circuit->addresses)
		return 0; /* those tell */
	if (now && now->from_file) {
		to.slot = now->s.slot;
		c.kind = LQOS_CHANGE_OTHER;
		c.from = &now->s;
		c.to = &to;
		c.from_node = node_name(t->r->network, now->s.node);
		c.from_cpu = c.to_cpu = now->s.cpu;
		c.from_handle = c.to_handle = now->s.handle;
		if (same(&c))
			return 0;
	}
	return t->fn(&c, t->arg);
}

static int tell_gone(struct telling *t, const struct core_circuit *now)
{
	const char *id = now->s.circuit_id;
	const struct lqos_change c = {
		.kind = LQOS_CHANGE_REMOVE,
		.from = &now->s,
		.from_node = node_name(t->r->network, now->s.node),
		.from_cpu = now->s.cpu,
		.from_handle = now->s.handle,
		.to_cpu = UINT32_MAX,
	};

	if (!now->from_file || now->s.prefixes ||
	    core_shaped_circuit(t->shaped, id) ||
	    core_shaped_holds(t->shaped, id))
		return 0;
	return t->fn(&c, t->arg);
}

static int tell_circuits(struct telling *t)
{
	const struct core_shaped_circuit *circuit;
	uint32_t slot;
	int rc = 0;

	for (slot = 1; slot <= t->r->max_subscribers && !rc; slot++)
		if (t->r->by_slot[slot])
			rc = tell_gone(t, t->r->by_slot[slot]);
	for (circuit = STAILQ_FIRST(&t->shaped->circuits); circuit && !rc;
	     circuit = STAILQ_NEXT(circuit, next))
		rc = tell_circuit(t, circuit);
	return rc;
}

static int tell_files(struct telling *t)
{
	const struct core_shaped_address *address;
	int rc = core_registry_walk(t->r, tell_stale, t);

	rc = rc ?: tell_circuits(t);
	for (address = STAILQ_FIRST(&t->shaped->addresses); address && !rc;
	     address = STAILQ_NEXT(address, next))
		rc = tell_address(t, address);
	return rc;
}

/* ---- The registry and the kernel ----------------------------------------- */

static int tell_drift(struct core_mapping *m, const struct lqos_prefix *there,
		      void *arg)
{
	struct lqos_change c = {.kind = LQOS_CHANGE_DRIFT,
				.prefix = there,
				.from_cpu = UINT32_MAX,
				.to_cpu = UINT32_MAX};
	struct telling *t = arg;
	const struct core_circuit *owner;

	if (there) {
		owner = core_circuit_at(t->r, there->slot);
		c.from = owner ? &owner->s : NULL;
		c.from_cpu = there->cpu;
		c.from_handle = there->handle;
	}
	if (m) {
		c.prefix = &m->p;
		c.to = &m->circuit->s;
		c.to_cpu = m->p.cpu;
		c.to_handle = m->p.handle;
	}
	c.from_node = c.from ? node_name(t->r->network, c.from->node) : NULL;
	c.to_node = c.to ? node_name(t->r->network, c.to->node) : NULL;
	return t->fn(&c, t->arg);
}

int lqos_changes(struct lqos_ctx *ctx,
		 int (*fn)(const struct lqos_change *c, void *arg), void *arg)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	CORE_CLEANUP(core_shaped_free) struct core_shaped *shaped = NULL;
	CORE_CLEANUP(overheard_free) struct overheard heard = {0};
	struct core *core = ctx->core;
	struct telling t = {.r = core->registry, .fn = fn, .arg = arg};
	const char *csv, *json;
	int rc;

	if (!core->files)
		return -ENOENT;
	core_files_paths(core->files, &csv, &json);
	core_log_overhear(overhear, &heard);
	rc = core_registry_read(t.r, csv, json, &network, &shaped);
	core_log_overhear(NULL, NULL);
	if (rc)
		return heard.last ? tell_problem(&t, heard.last, 1) ?: rc : rc;
	t.network = network;
	t.shaped = shaped;
	rc = tell_problems(&t, &heard) ?: tell_files(&t);
	return rc ?: core_registry_compare(t.r, tell_drift, &t);
}
