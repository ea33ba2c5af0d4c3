/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * registry.h - what registry.c, shaped_devices.c, network.c and prefix.c share.
 *
 * Both files are read completely before the registry looks at them, so that one
 * that cannot be read changes nothing.
 */
#ifndef CORE_REGISTRY_H
#define CORE_REGISTRY_H

#include <search.h>
#include <sys/queue.h>

#include "core/core.h"

#define CORE_REGISTRY_LOG "registry" /* who speaks, in the log */

/* More than this is a slip of the pen, in either file. */
#define CORE_MBPS_MAX 10000000

/* An object of one of search.h's trees; NULL: none equals key. */
static inline void *core_tree_find(const void *key, void *const *root,
				   int (*compare)(const void *, const void *))
{
	void *node = tfind(key, root, compare);

	return node ? *(void **)node : NULL;
}

/* The tree; its objects stay. */
void core_tree_free(void *root);

/* ---- registry.c --------------------------------------------------------- */

struct core_mapping {
	struct lqos_prefix p;	      /* first: the tree is of these */
	struct core_circuit *circuit; /* NULL: between two, in a load */
	bool seen;		      /* in the kernel, by a comparison */
	LIST_ENTRY(core_mapping) of_circuit;
};

struct core_circuit {
	struct lqos_subscriber s; /* first: the tree is of these */
	bool from_file;
	LIST_HEAD(, core_mapping) mappings;
};

struct core_registry {
	struct core *core;
	uint32_t max_subscribers, max_prefixes;
	struct core_slots *slots;
	struct core_circuit **by_slot;
	void *by_id;
	void *by_range;
	size_t subscribers, prefixes;
	struct core_network *network;
	struct core_registry_hooks hooks;
	struct core_problems problems;
	TAILQ_HEAD(, core_watcher) watchers;
	bool touched;	/* the kernel was changed, and has yet to be done */
	bool changed;	/* since the watchers were called */
	bool notifying; /* they are being called */
};

/* Orders struct lqos_subscriber by circuit_id. */
int core_circuit_compare(const void *a, const void *b);
/* NULL: nobody has that slot. */
struct core_circuit *core_circuit_at(const struct core_registry *r,
				     uint32_t slot);
/* NULL: nobody has that id. */
struct core_circuit *core_circuit_find(const struct core_registry *r,
				       const char *circuit_id);
/* A circuit made by hand; its name is its id.  -ENOSPC: no slot is left. */
int core_circuit_new(struct core_registry *r, const char *circuit_id,
		     struct core_circuit **out);
/* As if core_circuit_new() had not been called. */
void core_circuit_undo(struct core_registry *r, struct core_circuit *c);
/* Name, node and rates of s; slot, id and placement stay. */
int core_circuit_describe(struct core_registry *r, struct core_circuit *c,
			  const struct lqos_subscriber *s);
/* Removes its mappings. */
void core_circuit_clear(struct core_registry *r, struct core_circuit *c);
/* A circuit that no file names lives as long as it has mappings. */
void core_circuit_settle(struct core_registry *r, struct core_circuit *c);
/* The end of a batch.  What watchers change themselves is a further one. */
void core_registry_notify(struct core_registry *r);

/* ---- mappings.c --------------------------------------------------------- */

/* As many go to the kernel at once. */
enum { CORE_PUTS = 512 };

/* Tells the kernel; ops say what became of each. */
void core_kernel_set(struct core_registry *r, struct core_kernel_op *ops,
		     size_t n);
/* What it was told counts for every packet from now on. */
void core_kernel_done(struct core_registry *r);

/* NULL: exactly that range is nobody's. */
struct core_mapping *core_mapping_find(const struct core_registry *r,
				       const struct lqos_prefix *range);

/* A range that is to be a circuit's. */
struct core_put {
	struct core_circuit *c;
	struct core_mapping *m; /* what it is mapped to now; NULL: nothing */
	struct lqos_prefix want;
	uint32_t line; /* for the caller */
	int rc;	       /* refused: as it was before */
	bool fresh;    /* for mappings.c */
};
/* At most CORE_PUTS, each of another range.  Circuits that had one of them are
 * not settled. */
void core_mappings_put(struct core_registry *r, struct core_put *puts,
		       size_t n);
/* The same for one. */
int core_mapping_put(struct core_registry *r, struct core_circuit *c,
		     struct core_mapping *m, const struct lqos_prefix *want);
/* Take it from its circuit, for another; the kernel does not know yet. */
void core_mapping_leave(struct core_mapping *m);
/* Not settled: their circuits. */
void core_mappings_remove(struct core_registry *r, struct core_mapping **m,
			  size_t n);
void core_mapping_remove(struct core_registry *r, struct core_mapping *m);
/* As lqos_prefixes(). */
int core_registry_walk(const struct core_registry *registry,
		       int (*fn)(const struct lqos_prefix *p, void *arg),
		       void *arg);
/*
 * differs for each range that the kernel has not as the registry has it: m is
 * NULL where it is nobody's, there NULL where the kernel does not have it.  It
 * returns non-zero to stop; that is returned.
 */
typedef int core_differs_fn(struct core_mapping *m,
			    const struct lqos_prefix *there, void *arg);
int core_registry_compare(struct core_registry *r, core_differs_fn *differs,
			  void *arg);

/* ---- slots.c ------------------------------------------------------------ */

int core_slots_new(struct core_slots **out, uint32_t size);
void core_slots_free(struct core_slots **slots);
/* The slot the circuit had in the run before, else the one that has been unused
 * for longest, else one that is held for another.  0: none is left. */
uint32_t core_slots_take(struct core_slots *slots, const char *circuit_id);
/* Behind all others, so that it stays unused for as long as it can. */
void core_slots_give(struct core_slots *slots, uint32_t slot);
/* As if it had never been taken. */
void core_slots_give_back(struct core_slots *slots, uint32_t slot);
void core_slots_place(struct core_slots *slots, uint32_t slot, uint32_t cpu,
		      uint32_t handle);
/* Where the circuit that has the slot was in the run before; only until
 * core_slots_connect().  -ENOENT. */
int core_slots_before(const struct core_slots *slots, uint32_t slot,
		      uint32_t *cpu, uint32_t *handle);

/* ---- prefix.c ----------------------------------------------------------- */

/* Orders struct lqos_prefix by family, VLAN, address, length. */
int core_prefix_compare(const void *a, const void *b);
/* Make it the range of that length, which is at most its own, around it. */
void core_prefix_cut(struct lqos_prefix *p, uint8_t len);
/* Does outer hold inner, or equal it? */
bool core_prefix_covers(const struct lqos_prefix *outer,
			const struct lqos_prefix *inner);

/* 0, or -EINVAL and why: it names a VLAN, where they are not told apart. */
int core_prefix_check_vlan(const struct lqos_prefix *p, bool address_spaces,
			   char *why, size_t why_size);

/* ---- network.c ---------------------------------------------------------- */

enum { CORE_NETWORK_DEPTH_MAX = 32 };

struct core_network {
	struct lqos_node **nodes; /* by id; 0 is the root */
	uint32_t n;
	void *by_name;
	struct core_problems problems; /* nodes */
};

/* path NULL or "": a flat network, the root alone. */
int core_network_read(struct core_network **out, const char *path);
int core_network_parse(struct core_network **out, const char *path,
		       const char *text, size_t len);
void core_network_free(struct core_network **network);
/* NULL: no node is called that. */
const struct lqos_node *core_network_find(const struct core_network *network,
					  const char *name);

/* ---- shaped.c, shaped_devices.c ----------------------------------------- */

struct core_shaped_circuit {
	struct lqos_subscriber s; /* slot: 0, for the registry to fill in */
	uint32_t line;		  /* of the row that decided */
	uint32_t rows, addresses;
	STAILQ_ENTRY(core_shaped_circuit) next;
};

struct core_shaped_address {
	struct lqos_prefix p;
	struct core_shaped_circuit *circuit;
	uint32_t line;
	STAILQ_ENTRY(core_shaped_address) next;
};

/* ShapedDevices.csv: circuits and addresses in the order of the file. */
struct core_shaped {
	STAILQ_HEAD(, core_shaped_circuit) circuits;
	STAILQ_HEAD(, core_shaped_address) addresses;
	void *by_id;
	void *by_range;
	void *held;  /* ids of circuits with rows that were left out */
	bool header; /* it has one: none behind it means nobody */
	struct {
		uint32_t line, column; /* 0: it is whole */
	} cut; /* where it ends, in the middle of a row */
	struct core_problems problems;
};

int core_shaped_new(struct core_shaped **out);
void core_shaped_free(struct core_shaped **shaped);
void core_shaped_circuit_free(struct core_shaped_circuit *circuit);
void core_shaped_address_free(struct core_shaped_address *address);
const struct core_shaped_circuit *
core_shaped_circuit(const struct core_shaped *shaped, const char *circuit_id);
const struct core_shaped_address *
core_shaped_address(const struct core_shaped *shaped,
		    const struct lqos_prefix *range);
/* A row of that circuit was left out: what it has beside the others, nobody
 * knows. */
void core_shaped_hold(struct core_shaped *shaped, const char *circuit_id);
bool core_shaped_holds(const struct core_shaped *shaped,
		       const char *circuit_id);

/* path NULL or "": nobody.  address_spaces: addresses may name a VLAN. */
int core_shaped_read(struct core_shaped **out, const char *path,
		     const struct core_network *network, bool address_spaces);
int core_shaped_parse(struct core_shaped **out, const char *path,
		      const char *text, size_t len,
		      const struct core_network *network, bool address_spaces);

/* ---- registry_load.c ------------------------------------------------- */

/* What a load would go by; *network and *shaped may be set on failure too. */
int core_registry_read(const struct core_registry *r, const char *csv_path,
		       const char *json_path, struct core_network **network,
		       struct core_shaped **shaped);
/* It is from the files, and they do not name it any more; a circuit that has a
 * row they have wrong keeps what it has. */
bool core_mapping_is_stale(const struct core_mapping *m,
			   const struct core_shaped *now);

/* Past so many lines of one file only the counts go on. */
enum { CORE_PROBLEM_LINES = 1000 };

/*
 * Log and count what is wrong in a file.  LQOS_ERR: something is left out;
 * LQOS_WARN: it is taken, but not quite as written.
 */
void core_problem(struct core_problems *problems, enum lqos_level level,
		  const char *fmt, ...) LQOS_PRINTF(3, 4);

#endif /* CORE_REGISTRY_H */
