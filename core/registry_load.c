/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * registry_load.c - from the files into the registry, by difference.
 */
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

void core_problem(struct core_problems *problems, enum lqos_level level,
		  const char *fmt, ...)
{
	va_list ap;

	if (level == LQOS_ERR)
		problems->skipped++;
	else
		problems->warnings++;
	if (problems->skipped + problems->warnings > CORE_PROBLEM_LINES)
		return;
	va_start(ap, fmt);
	core_vlog_unlimited(CORE_REGISTRY_LOG, level, fmt, ap);
	va_end(ap);
}

bool core_mapping_is_stale(const struct core_mapping *m,
			   const struct core_shaped *new)
{
	return !m->p.by_hand && !core_shaped_address(new, &m->p) &&
	       !core_shaped_holds(new, m->circuit->s.circuit_id);
}

struct stale {
	const struct core_shaped *new;
	struct core_mapping **mappings;
	size_t n;
};

static int note_stale(const struct lqos_prefix *p, void *arg)
{
	struct core_mapping *m = (struct core_mapping *)p;
	struct stale *stale = arg;

	if (core_mapping_is_stale(m, stale->new))
		stale->mappings[stale->n++] = m;
	return 0;
}

/* A range that only changes hands is left in the kernel until its new circuit
 * takes it over. */
static void drop_circuit(struct core_registry *r, struct core_circuit *c)
{
	struct core_mapping *m, *next;

	for (m = LIST_FIRST(&c->mappings); m; m = next) {
		next = LIST_NEXT(m, of_circuit);
		if (!m->p.by_hand)
			core_mapping_leave(m);
	}
	c->from_file = false;
	c->s.node = 0;
	core_circuit_settle(r, c);
}

/* What its row says now cannot be read: it stays, in the new tree. */
static void hold_circuit(const struct core_registry *r, struct core_circuit *c,
			 const struct core_network *network)
{
	const char *name = r->network->nodes[c->s.node]->name;
	const struct lqos_node *node = core_network_find(network, name);

	c->s.node = node ? node->id : 0;
}

/* Take out what the files no longer say. */
static int drop_stale(struct core_registry *r, const struct core_shaped *new,
		      const struct core_network *network)
{
	autofree struct core_mapping **mappings =
		calloc(r->prefixes + 1, sizeof(struct core_mapping *));
	struct stale stale = {new, mappings, 0};
	struct core_circuit *c;
	uint32_t slot;

	if (!mappings)
		return -ENOMEM;
	core_registry_walk(r, note_stale, &stale);
	core_mappings_remove(r, stale.mappings, stale.n);
	/* Before a slot is given to another, nobody may be counted there. */
	core_kernel_done(r);
	for (slot = 1; slot <= r->max_subscribers; slot++) {
		c = r->by_slot[slot];
		if (!c || !c->from_file ||
		    core_shaped_circuit(new, c->s.circuit_id))
			continue;
		if (core_shaped_holds(new, c->s.circuit_id))
			hold_circuit(r, c, network);
		else
			drop_circuit(r, c);
	}
	return 0;
}

static void load_circuits(struct core_registry *r, struct core_shaped *new,
			  const char *path)
{
	struct core_shaped_circuit *want;

	for (want = STAILQ_FIRST(&new->circuits); want;
	     want = STAILQ_NEXT(want, next)) {
		struct core_circuit *c =
			core_circuit_find(r, want->s.circuit_id);
		int rc = c ? 0 : core_circuit_new(r, want->s.circuit_id, &c);

		if (rc) {
			new->problems.rows -= want->rows;
			core_problem(&new->problems, LQOS_ERR,
				     "%s:%u:1: circuit \"%s\" left out: %s "
				     "(is max_subscribers in [lqosd], %u, "
				     "enough?)",
				     path, want->line, want->s.circuit_id,
				     strerror(-rc), r->max_subscribers);
			continue;
		}
		c->from_file = true;
		want->s.slot = c->s.slot;
		rc = core_circuit_describe(r, c, &want->s);
		if (rc)
			core_problem(&new->problems, LQOS_WARN,
				     "%s:%u:1: circuit \"%s\" keeps its old "
				     "rates: %s",
				     path, want->line, want->s.circuit_id,
				     strerror(-rc));
	}
}

struct puts {
	struct core_registry *r;
	struct core_shaped *new;
	const char *path;
	size_t n;
	struct core_put put[CORE_PUTS];
};

/* Its circuit has lost it, or has never been. */
static void leave_out(struct puts *puts, const struct core_put *put)
{
	char text[CORE_PREFIX_TEXT];

	puts->new->problems.addresses++;
	core_problem(&puts->new->problems, LQOS_WARN,
		     "%s:%u:1: address %s of circuit \"%s\" left out: %s (is "
		     "max_prefixes in [lqosd], %u, enough?)",
		     puts->path, put->line,
		     core_prefix_text(&put->want, text, sizeof(text)),
		     put->c->s.circuit_id, strerror(-put->rc),
		     puts->r->max_prefixes);
	if (put->m)
		core_mapping_remove(puts->r, put->m);
}

static void flush(struct puts *puts)
{
	size_t i;

	core_mappings_put(puts->r, puts->put, puts->n);
	for (i = 0; i < puts->n; i++)
		if (puts->put[i].rc)
			leave_out(puts, &puts->put[i]);
	puts->n = 0;
}

static void load_address(struct puts *puts,
			 const struct core_shaped_address *address)
{
	struct core_registry *r = puts->r;
	struct core_circuit *c = core_circuit_at(r, address->circuit->s.slot);
	struct core_mapping *m = core_mapping_find(r, &address->p);
	struct core_put *put = &puts->put[puts->n];
	char text[CORE_PREFIX_TEXT];

	if (m && m->p.by_hand) {
		core_log(CORE_REGISTRY_LOG, LQOS_DEBUG,
			 "%s:%u:1: %s stays with circuit \"%s\": it was mapped "
			 "by hand",
			 puts->path, address->line,
			 core_prefix_text(&m->p, text, sizeof(text)),
			 m->circuit->s.circuit_id);
		return;
	}
	if (!c) {
		if (m)
			core_mapping_remove(r, m); /* its circuit lost it */
		return;
	}
	*put = (struct core_put){
		.c = c, .m = m, .want = address->p, .line = address->line};
	put->want.cpu = c->s.cpu;
	put->want.handle = c->s.handle;
	if (++puts->n == CORE_PUTS)
		flush(puts);
}

static void load_addresses(struct core_registry *r, struct core_shaped *new,
			   const char *path)
{
	const struct core_shaped_address *address;
	struct puts puts;

	puts.r = r;
	puts.new = new;
	puts.path = path;
	puts.n = 0;
	STAILQ_FOREACH(address, &new->addresses, next)
		load_address(&puts, address);
	flush(&puts);
}

/* The ranges that hold the one the walk is at, widest first. */
struct nesting {
	const struct lqos_prefix *around[129];
	const struct core_registry *registry;
	unsigned int n;
	uint32_t overlaps; /* of different circuits */
	char first[2 * CORE_PREFIX_TEXT + 160];
};

static void describe_overlap(const struct core_registry *r,
			     const struct lqos_prefix *inner,
			     const struct lqos_prefix *outer, char *buf,
			     size_t size)
{
	char in[CORE_PREFIX_TEXT], out[CORE_PREFIX_TEXT];

	snprintf(buf, size,
		 "%s of circuit \"%.64s\" lies in %s of circuit \"%.64s\"",
		 core_prefix_text(inner, in, sizeof(in)),
		 core_circuit_at(r, inner->slot)->s.circuit_id,
		 core_prefix_text(outer, out, sizeof(out)),
		 core_circuit_at(r, outer->slot)->s.circuit_id);
}

static int note_overlap(const struct lqos_prefix *p, void *arg)
{
	struct nesting *nest = arg;
	const struct lqos_prefix *o;
	char text[sizeof(nest->first)];

	while (nest->n && !core_prefix_covers(nest->around[nest->n - 1], p))
		nest->n--;
	o = nest->n ? nest->around[nest->n - 1] : NULL;
	nest->around[nest->n++] = p;
	if (!o || o->slot == p->slot)
		return 0;
	describe_overlap(nest->registry, p, o, text, sizeof(text));
	if (!nest->overlaps++)
		strcpy(nest->first, text);
	core_log(CORE_REGISTRY_LOG, LQOS_DEBUG, "%s: the longest match counts",
		 text);
	return 0;
}

/* They are legal, and mostly meant, but not always. */
static void log_overlaps(const struct core_registry *r)
{
	struct nesting nest = {.registry = r};

	core_registry_walk(r, note_overlap, &nest);
	if (nest.overlaps)
		core_log(CORE_REGISTRY_LOG, LQOS_WARN,
			 "%u addresses lie in those of another circuit, where "
			 "the longest match counts; the first: %s (log_level = "
			 "info,registry:debug names all)",
			 nest.overlaps, nest.first);
}

static bool same_node(const struct lqos_node *a, const struct lqos_node *b)
{
	return a->parent == b->parent && a->down_max == b->down_max &&
	       a->up_max == b->up_max && !strcmp(a->name, b->name);
}

static bool same_network(const struct core_network *a,
			 const struct core_network *b)
{
	uint32_t i = 0;

	if (a->n != b->n)
		return false;
	while (i < a->n && same_node(a->nodes[i], b->nodes[i]))
		i++;
	return i == a->n;
}

/* A file that is being written, was emptied, or is something else, must not
 * unmap everybody; at a start there may be a datapath of an earlier run. */
static int check_loss(const struct core_registry *r,
		      const struct core_shaped *new, const char *csv_path)
{
	uint32_t before = r->problems.rows, now = new->problems.rows;

	if (!csv_path || !*csv_path)
		return 0;
	if (!now && new->problems.skipped) {
		core_log(CORE_REGISTRY_LOG, LQOS_ERR,
			 "%s: of %u rows not one can be taken, and nothing is "
			 "changed: expected the format of ShapedDevices.csv "
			 "(for no subscribers, set shaped_devices empty)",
			 csv_path, new->problems.skipped);
		return -EINVAL;
	}
	if (now && now >= before - before / 2)
		return 0;
	if (before && (now || new->header)) {
		core_log(CORE_REGISTRY_LOG, LQOS_WARN,
			 "%s: %u rows taken, where there were %u", csv_path,
			 now, before);
		return 0;
	}
	if (new->header || (!before && !core_slots_remembers(r->slots)))
		return 0;
	core_log(CORE_REGISTRY_LOG, LQOS_ERR,
		 "%s: there is no row in it, and there were subscribers: they "
		 "stay as they are (to have none, write the first line alone, "
		 "or set shaped_devices empty)",
		 csv_path);
	return -EINVAL;
}

/* Its last row, and those that should follow, nobody knows: at worst a rate is
 * cut from 100 to 10. */
static int check_whole(const struct core_registry *r, struct core_shaped *new,
		       const char *csv_path)
{
	if (!new->cut.line)
		return 0;
	if (!r->problems.rows) {
		core_problem(&new->problems, LQOS_ERR,
			     "%s:%u:%u: row left out: the file ends in the "
			     "middle of it: expected as many cells as in the "
			     "other rows, and a line end",
			     csv_path, new->cut.line, new->cut.column);
		return 0;
	}
	core_log(CORE_REGISTRY_LOG, LQOS_ERR,
		 "%s:%u:%u: the file ends in the middle of a row: expected as "
		 "many cells as in the other rows, and a line end: is it still "
		 "being written, or the disk full?",
		 csv_path, new->cut.line, new->cut.column);
	return -EINVAL;
}

int core_registry_read(const struct core_registry *r, const char *csv_path,
		       const char *json_path, struct core_network **network,
		       struct core_shaped **shaped)
{
	int rc = core_network_read(network, json_path);

	if (!rc)
		rc = core_shaped_read(shaped, csv_path, *network,
				      r->core->settings.address_spaces);
	return rc ?: check_whole(r, *shaped, csv_path)
			     ?: check_loss(r, *shaped, csv_path);
}

int core_registry_load(struct core_registry *registry, const char *csv_path,
		       const char *json_path)
{
	struct core_registry *r = registry;
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	CORE_CLEANUP(core_shaped_free) struct core_shaped *new = NULL;
	int rc;

	rc = core_registry_read(r, csv_path, json_path, &network, &new);
	if (!rc)
		rc = drop_stale(r, new, network);
	if (rc)
		return rc;

	load_circuits(r, new, csv_path);
	load_addresses(r, new, csv_path);
	if (!same_network(r->network, network))
		r->changed = true;
	core_network_free(&r->network);
	r->network = steal_ptr(network);

	r->problems = new->problems;
	r->problems.skipped += r->network->problems.skipped;
	r->problems.warnings += r->network->problems.warnings;
	log_overlaps(r);
	core_log(CORE_REGISTRY_LOG,
		 r->problems.skipped || r->problems.addresses ? LQOS_WARN
							      : LQOS_INFO,
		 "%zu circuits, %zu addresses, %u nodes; of the files, %u rows "
		 "taken, %u left out, %u addresses left out, %u warnings",
		 r->subscribers, r->prefixes, r->network->n - 1,
		 r->problems.rows, r->problems.skipped, r->problems.addresses,
		 r->problems.warnings);
	core_registry_notify(r);
	return 0;
}
