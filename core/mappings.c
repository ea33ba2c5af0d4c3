/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mappings.c - which address is whose, here and in the kernel.
 *
 * What changes goes to the kernel first, many at once where there are many; one
 * that is refused there leaves no trace here.
 */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

/* ---- The kernel ---------------------------------------------------------- */

void core_kernel_set(struct core_registry *r, struct core_kernel_op *ops,
		     size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		ops[i].rc = 0;
	if (!n || !r->hooks.set)
		return;
	r->hooks.set(ops, n, r->hooks.arg);
	for (i = 0; i < n; i++)
		r->touched |= !ops[i].rc;
}

static void kernel_unset(struct core_registry *r, struct core_kernel_op *ops,
			 size_t n)
{
	if (!n || !r->hooks.unset)
		return;
	r->hooks.unset(ops, n, r->hooks.arg);
	r->touched = true;
}

void core_kernel_done(struct core_registry *r)
{
	if (r->touched && r->hooks.done)
		r->hooks.done(r->hooks.arg);
	r->touched = false;
}

static bool same_in_kernel(const struct lqos_prefix *a,
			   const struct lqos_prefix *b)
{
	return a->slot == b->slot && a->cpu == b->cpu && a->handle == b->handle;
}

/* ---- One mapping --------------------------------------------------------- */

struct core_mapping *core_mapping_find(const struct core_registry *r,
				       const struct lqos_prefix *range)
{
	return core_tree_find(range, &r->by_range, core_prefix_compare);
}

static void mapping_join(struct core_mapping *m, struct core_circuit *c)
{
	m->circuit = c;
	LIST_INSERT_HEAD(&c->mappings, m, of_circuit);
	c->s.prefixes++;
}

void core_mapping_leave(struct core_mapping *m)
{
	if (!m->circuit)
		return;
	LIST_REMOVE(m, of_circuit);
	m->circuit->s.prefixes--;
	m->circuit = NULL;
}

/* As if the kernel had never heard of it. */
static void mapping_forget(struct core_registry *r, struct core_mapping *m)
{
	tdelete(m, &r->by_range, core_prefix_compare);
	core_mapping_leave(m);
	r->prefixes--;
	r->changed = true;
	free((void *)m->p.device_id);
	free(m);
}

void core_mapping_remove(struct core_registry *r, struct core_mapping *m)
{
	core_mappings_remove(r, &m, 1);
}

void core_mappings_remove(struct core_registry *r, struct core_mapping **m,
			  size_t n)
{
	struct core_kernel_op ops[CORE_PUTS];
	size_t from, i, some;

	for (from = 0; from < n; from += some) {
		some = n - from < CORE_PUTS ? n - from : CORE_PUTS;
		for (i = 0; i < some; i++)
			ops[i] = (struct core_kernel_op){&m[from + i]->p, 0};
		kernel_unset(r, ops, some);
		for (i = 0; i < some; i++)
			mapping_forget(r, m[from + i]);
	}
}

/* ---- Many at once -------------------------------------------------------- */

/* Everything that could fail on our side. */
static int prepare(struct core_registry *r, struct core_put *put)
{
	autofree struct core_mapping *m = NULL;
	autofree char *device = NULL;

	put->fresh = !put->m;
	if (put->want.device_id) {
		device = strdup(put->want.device_id);
		if (!device)
			return -ENOMEM;
	}
	if (put->fresh) {
		if (r->prefixes >= r->max_prefixes)
			return -ENOSPC;
		m = calloc(1, sizeof(*m));
		if (!m)
			return -ENOMEM;
		m->p = put->want;
		m->p.device_id = NULL;
		if (!tsearch(m, &r->by_range, core_prefix_compare))
			return -ENOMEM;
		put->m = steal_ptr(m);
		r->prefixes++;
	}
	put->want.slot = put->c->s.slot;
	put->want.device_id = steal_ptr(device);
	return 0;
}

/* The circuit that had it may be left empty. */
static void commit(struct core_registry *r, struct core_put *put)
{
	struct core_mapping *m = put->m;

	free((void *)m->p.device_id);
	m->p = put->want;
	if (m->circuit == put->c)
		return;
	core_mapping_leave(m);
	mapping_join(m, put->c);
	r->changed = true;
}

static void abandon(struct core_registry *r, struct core_put *put)
{
	free((void *)put->want.device_id);
	if (!put->fresh)
		return;
	tdelete(put->m, &r->by_range, core_prefix_compare);
	r->prefixes--;
	free(put->m);
	put->m = NULL;
}

void core_mappings_put(struct core_registry *r, struct core_put *puts, size_t n)
{
	struct core_kernel_op ops[CORE_PUTS];
	struct core_put *of[CORE_PUTS], *put;
	size_t i, n_ops = 0;

	for (put = puts; put < puts + n; put++) {
		put->rc = prepare(r, put);
		if (put->rc)
			continue;
		if (!put->fresh && same_in_kernel(&put->m->p, &put->want)) {
			commit(r, put);
			continue;
		}
		of[n_ops] = put;
		ops[n_ops++].p = &put->want;
	}
	core_kernel_set(r, ops, n_ops);
	for (i = 0; i < n_ops; i++) {
		of[i]->rc = ops[i].rc;
		if (ops[i].rc)
			abandon(r, of[i]);
		else
			commit(r, of[i]);
	}
}

int core_mapping_put(struct core_registry *r, struct core_circuit *c,
		     struct core_mapping *m, const struct lqos_prefix *want)
{
	struct core_put put = {.c = c, .m = m, .want = *want};

	core_mappings_put(r, &put, 1);
	return put.rc;
}

/* ---- The whole ----------------------------------------------------------- */

struct walk {
	int (*fn)(const struct lqos_prefix *p, void *arg);
	void *arg;
	int rc;
};

static void walk_node(const void *node, VISIT when, void *closure)
{
	const struct lqos_prefix *p = *(void *const *)node;
	struct walk *walk = closure;

	if (!walk->rc && (when == postorder || when == leaf))
		walk->rc = walk->fn(p, walk->arg);
}

int core_registry_walk(const struct core_registry *registry,
		       int (*fn)(const struct lqos_prefix *p, void *arg),
		       void *arg)
{
	struct walk walk = {fn, arg, 0};

	twalk_r(registry->by_range, walk_node, &walk);
	return walk.rc;
}

struct comparison {
	struct core_registry *r;
	core_differs_fn *differs;
	void *arg;
};

static int compare_theirs(const struct lqos_prefix *p, void *arg)
{
	struct comparison *c = arg;
	struct core_mapping *m = core_mapping_find(c->r, p);

	if (m)
		m->seen = true;
	if (m && same_in_kernel(&m->p, p))
		return 0;
	return c->differs(m, p, c->arg);
}

static int compare_ours(const struct lqos_prefix *p, void *arg)
{
	struct core_mapping *m = (struct core_mapping *)p;
	struct comparison *c = arg;

	return m->seen ? 0 : c->differs(m, NULL, c->arg);
}

static int see_not(const struct lqos_prefix *p, void *arg)
{
	((struct core_mapping *)p)->seen = false;
	(void)arg;
	return 0;
}

int core_registry_compare(struct core_registry *r, core_differs_fn *differs,
			  void *arg)
{
	struct comparison c = {r, differs, arg};
	int rc = 0;

	core_registry_walk(r, see_not, NULL);
	if (r->hooks.read)
		rc = r->hooks.read(compare_theirs, &c, r->hooks.arg);
	return rc ?: core_registry_walk(r, compare_ours, &c);
}

/* What the kernel has to be told. */
struct sync {
	struct lqos_prefix *strays;    /* there, and nobody's */
	struct core_mapping **missing; /* here, and not like that there */
	size_t n_strays, n_missing;
};

/* array, or a bigger one, with room for its element n; NULL: as it was. */
static void *room_for(void *array, size_t n, size_t size)
{
	if (n & (n - 1)) /* it grows at powers of two */
		return array;
	return reallocarray(array, n ? 2 * n : 1, size);
}

static int note_difference(struct core_mapping *m,
			   const struct lqos_prefix *there, void *arg)
{
	struct sync *sync = arg;
	void *array;

	if (m) {
		array = room_for(sync->missing, sync->n_missing, sizeof(m));
		if (!array)
			return -ENOMEM;
		sync->missing = array;
		sync->missing[sync->n_missing++] = m;
		return 0;
	}
	array = room_for(sync->strays, sync->n_strays, sizeof(*there));
	if (!array)
		return -ENOMEM;
	sync->strays = array;
	sync->strays[sync->n_strays++] = *there;
	return 0;
}

static void unset_strays(struct core_registry *r, const struct sync *sync)
{
	struct core_kernel_op ops[CORE_PUTS];
	size_t i, n = 0;

	for (i = 0; i < sync->n_strays; i++) {
		ops[n++].p = &sync->strays[i];
		if (n < CORE_PUTS && i + 1 < sync->n_strays)
			continue;
		kernel_unset(r, ops, n);
		n = 0;
	}
}

/* It is named, and its circuit goes with its last. */
static void refuse(struct core_registry *r, struct core_mapping *m, int rc)
{
	struct core_circuit *c = m->circuit;
	char text[CORE_PREFIX_TEXT];

	r->problems.addresses++;
	core_fail(CORE_REGISTRY_LOG, rc,
		  "%s of circuit \"%s\" is not mapped (is max_prefixes in "
		  "[lqosd], %u, enough?)",
		  core_prefix_text(&m->p, text, sizeof(text)), c->s.circuit_id,
		  r->max_prefixes);
	if (m->seen)
		core_mapping_remove(r, m);
	else
		mapping_forget(r, m);
	core_circuit_settle(r, c);
}

static int set_missing(struct core_registry *r, const struct sync *sync)
{
	struct core_kernel_op ops[CORE_PUTS];
	size_t from, i, n;

	for (from = 0; from < sync->n_missing; from += n) {
		struct core_mapping **m = sync->missing + from;

		n = sync->n_missing - from;
		if (n > CORE_PUTS)
			n = CORE_PUTS;
		for (i = 0; i < n; i++)
			ops[i].p = &m[i]->p;
		core_kernel_set(r, ops, n);
		for (i = 0; i < n; i++)
			if (ops[i].rc && ops[i].rc != -ENOSPC &&
			    ops[i].rc != -ENOMEM)
				return ops[i].rc;
		for (i = 0; i < n; i++)
			if (ops[i].rc)
				refuse(r, m[i], ops[i].rc);
	}
	return 0;
}

int core_registry_sync(struct core_registry *registry, size_t *mended)
{
	struct core_registry *r = registry;
	struct sync sync = {};
	int rc = core_registry_compare(r, note_difference, &sync);

	*mended = sync.n_strays + sync.n_missing;

	if (!rc) {
		unset_strays(r, &sync);
		rc = set_missing(r, &sync);
	}
	free(sync.strays);
	free(sync.missing);
	core_registry_notify(r);
	return rc;
}
