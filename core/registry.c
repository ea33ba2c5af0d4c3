/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry.c - the subscribers: which circuits there are, and who watches. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

struct core_watcher {
	struct core_registry *registry;
	struct lqos_ctx *ctx;
	void (*fn)(void *arg); /* NULL: taken back while they are called */
	void *arg;
	struct core_owned *owned;
	TAILQ_ENTRY(core_watcher) next;
};

static void keep_object(void *object)
{
	(void)object;
}

void core_tree_free(void *root)
{
	tdestroy(root, keep_object);
}

/* ---- Circuits ------------------------------------------------------------ */

int core_circuit_compare(const void *a, const void *b)
{
	const struct lqos_subscriber *x = a, *y = b;

	return strcmp(x->circuit_id, y->circuit_id);
}

struct core_circuit *core_circuit_at(const struct core_registry *r,
				     uint32_t slot)
{
	return slot <= r->max_subscribers ? r->by_slot[slot] : NULL;
}

struct core_circuit *core_circuit_find(const struct core_registry *r,
				       const char *circuit_id)
{
	const struct lqos_subscriber key = {.circuit_id = circuit_id};

	return core_tree_find(&key, &r->by_id, core_circuit_compare);
}

static void circuit_free(struct core_circuit *c)
{
	free((void *)c->s.circuit_id);
	free((void *)c->s.name);
	free(c);
}

int core_circuit_new(struct core_registry *r, const char *circuit_id,
		     struct core_circuit **out)
{
	struct core_circuit *c = calloc(1, sizeof(*c));
	uint32_t slot;

	if (!c)
		return -ENOMEM;
	c->s.cpu = UINT32_MAX;
	c->s.circuit_id = strdup(circuit_id);
	c->s.name = strdup(circuit_id);
	if (!c->s.circuit_id || !c->s.name ||
	    !tsearch(c, &r->by_id, core_circuit_compare)) {
		circuit_free(c);
		return -ENOMEM;
	}
	slot = core_slots_take(r->slots, circuit_id);
	if (!slot) {
		tdelete(c, &r->by_id, core_circuit_compare);
		circuit_free(c);
		return -ENOSPC;
	}
	LIST_INIT(&c->mappings);
	c->s.slot = slot;
	r->by_slot[c->s.slot] = c;
	r->subscribers++;
	if (r->core->metrics)
		core_metrics_slot_reset(r->core->metrics, c->s.slot);
	*out = c;
	return 0;
}

static void circuit_drop(struct core_registry *r, struct core_circuit *c,
			 void (*give)(struct core_slots *slots, uint32_t slot))
{
	tdelete(c, &r->by_id, core_circuit_compare);
	r->by_slot[c->s.slot] = NULL;
	r->subscribers--;
	give(r->slots, c->s.slot);
	circuit_free(c);
}

void core_circuit_undo(struct core_registry *r, struct core_circuit *c)
{
	circuit_drop(r, c, core_slots_give_back);
}

void core_circuit_settle(struct core_registry *r, struct core_circuit *c)
{
	if (c->from_file || c->s.prefixes)
		return;
	circuit_drop(r, c, core_slots_give);
	r->changed = true;
}

static bool same_attributes(const struct lqos_subscriber *a,
			    const struct lqos_subscriber *b)
{
	return a->node == b->node && a->down_min == b->down_min &&
	       a->down_max == b->down_max && a->up_min == b->up_min &&
	       a->up_max == b->up_max && !strcmp(a->name, b->name);
}

int core_circuit_describe(struct core_registry *r, struct core_circuit *c,
			  const struct lqos_subscriber *s)
{
	char *name;

	if (same_attributes(&c->s, s))
		return 0;
	name = strdup(s->name);
	if (!name)
		return -ENOMEM;
	free((void *)c->s.name);
	c->s.name = name;
	c->s.node = s->node;
	c->s.down_min = s->down_min;
	c->s.down_max = s->down_max;
	c->s.up_min = s->up_min;
	c->s.up_max = s->up_max;
	r->changed = true;
	return 0;
}

void core_circuit_clear(struct core_registry *r, struct core_circuit *c)
{
	while (!LIST_EMPTY(&c->mappings))
		core_mapping_remove(r, LIST_FIRST(&c->mappings));
}

/* ---- Watchers ------------------------------------------------------------ */

static void watcher_release(void *obj)
{
	struct core_watcher *w = obj;

	w->fn = NULL;
	w->owned = NULL;
	if (w->registry->notifying)
		return; /* somebody stands on it */
	TAILQ_REMOVE(&w->registry->watchers, w, next);
	free(w);
}

static void call_watchers(struct core_registry *r)
{
	struct core_watcher *w, *next;

	for (w = TAILQ_FIRST(&r->watchers); w; w = TAILQ_NEXT(w, next)) {
		struct lqos_ctx *ctx = w->ctx;

		if (!w->fn)
			continue;
		core_loop_enter(ctx, "subscribers");
		w->fn(w->arg);
		core_loop_leave(ctx);
	}
	for (w = TAILQ_FIRST(&r->watchers); w; w = next) {
		next = TAILQ_NEXT(w, next);
		if (w->fn)
			continue;
		TAILQ_REMOVE(&r->watchers, w, next);
		free(w);
	}
}

void core_registry_notify(struct core_registry *r)
{
	if (r->notifying)
		return;
	r->notifying = true;
	core_kernel_done(r);
	while (r->changed) {
		r->changed = false;
		call_watchers(r);
		core_kernel_done(r);
	}
	r->notifying = false;
}

int lqos_subscribers_watch(struct lqos_ctx *ctx, void (*fn)(void *arg),
			   void *arg)
{
	struct core_registry *r = ctx->core->registry;
	struct core_watcher *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct core_watcher){
		.registry = r, .ctx = ctx, .fn = fn, .arg = arg};
	TAILQ_INSERT_TAIL(&r->watchers, w, next);
	return core_own(ctx, watcher_release, w, &w->owned);
}

/* ---- The whole ----------------------------------------------------------- */

int core_registry_new(struct core_registry **out, struct core *core,
		      uint32_t max_subscribers, uint32_t max_prefixes)
{
	CORE_CLEANUP(core_registry_free) struct core_registry *r = NULL;
	int rc;

	if (!max_subscribers || max_subscribers == UINT32_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	TAILQ_INIT(&r->watchers);
	r->core = core;
	r->max_subscribers = max_subscribers;
	r->max_prefixes = max_prefixes;
	r->by_slot = calloc((size_t)max_subscribers + 1, sizeof(*r->by_slot));
	if (!r->by_slot)
		return -ENOMEM;
	rc = core_slots_new(&r->slots, max_subscribers);
	if (!rc)
		rc = core_network_read(&r->network, NULL);
	if (rc)
		return rc;
	*out = steal_ptr(r);
	return 0;
}

void core_registry_free(struct core_registry **registry)
{
	struct core_registry *r = steal_ptr(*registry);
	struct core_watcher *w;

	if (!r)
		return;
	while ((w = TAILQ_FIRST(&r->watchers))) {
		TAILQ_REMOVE(&r->watchers, w, next);
		core_disown(w->ctx, &w->owned);
		free(w);
	}
	r->hooks = (struct core_registry_hooks){0};
	for (uint32_t slot = 1; r->by_slot && slot <= r->max_subscribers;
	     slot++) {
		if (!r->by_slot[slot])
			continue;
		core_circuit_clear(r, r->by_slot[slot]);
		circuit_drop(r, r->by_slot[slot], core_slots_give);
	}
	core_network_free(&r->network);
	core_slots_free(&r->slots);
	free(r->by_slot);
	free(r);
}

struct core_slots *core_registry_slots(struct core_registry *registry)
{
	return registry->slots;
}

void core_registry_problems(const struct core_registry *registry,
			    struct core_problems *out)
{
	*out = registry->problems;
}

size_t core_registry_subscribers(const struct core_registry *registry)
{
	return registry->subscribers;
}

size_t core_registry_prefixes(const struct core_registry *registry)
{
	return registry->prefixes;
}

void core_registry_hook(struct core_registry *registry,
			const struct core_registry_hooks *hooks)
{
	registry->hooks = hooks ? *hooks : (struct core_registry_hooks){0};
}
