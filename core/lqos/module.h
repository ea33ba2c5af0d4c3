/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lqos/module.h - all that the author of an lqosd module includes.
 *
 * A module is one shared object with one LQOS_MODULE().  lqosd calls start()
 * once; from then on the module lives from callbacks on lqosd's one event
 * loop.  Everything registered through a context is owned by the core and is
 * taken back, newest first, when the module stops or its start() fails, so
 * start() is straight-line code with early returns.
 *
 * Functions return 0 or -errno and leave their outputs untouched on failure.
 * Nothing here may be called from another thread than the loop's.
 */
#ifndef LQOS_MODULE_H
#define LQOS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Equal major, and a minor not newer than the daemon's: the module loads. */
#define LQOS_ABI_MAJOR	  3
#define LQOS_ABI_MINOR	  1
#define LQOS_ABI	  ((uint32_t)LQOS_ABI_MAJOR << 16 | LQOS_ABI_MINOR)

#define LQOS_API	  __attribute__((visibility("default")))
#define LQOS_PRINTF(f, a) __attribute__((format(printf, f, a)))

struct lqos_ctx;   /* a started module, as it sees itself */
struct lqos_watch; /* a timer, descriptor or ring buffer on the loop */
struct lqos_call;  /* a bus request being answered */
struct bpf_object; /* libbpf's */
struct json_t;	   /* jansson's: include <jansson.h> to work with it */

/* ---- Logging ------------------------------------------------------------ */

enum lqos_level { LQOS_ERR, LQOS_WARN, LQOS_INFO, LQOS_DEBUG };

/* One line, prefixed with the module's name, filtered by its level and
 * rate-limited per call site; what was suppressed is counted and said. */
LQOS_API void lqos_log(struct lqos_ctx *ctx, enum lqos_level level,
		       const char *fmt, ...) LQOS_PRINTF(3, 4);
/* Log at LQOS_ERR with strerror(-rc) appended; returns rc. */
LQOS_API int lqos_fail(struct lqos_ctx *ctx, int rc, const char *fmt, ...)
	LQOS_PRINTF(3, 4);

/* ---- Configuration: declared here, parsed and checked by the core ------- */

enum lqos_option_type {
	LQOS_OPTION_BOOL = 1, /* yes|no|true|false|on|off|1|0 */
	LQOS_OPTION_U32,
	LQOS_OPTION_U64,
	LQOS_OPTION_STRING, /* const char *, owned by the core */
};

struct lqos_option {
	const char *key; /* in the ini section named after the module */
	enum lqos_option_type type;
	size_t offset;		  /* into the module's config struct */
	const char *default_text; /* parsed like input; NULL: required */
	uint64_t min, max;	  /* numbers only; both 0: unchecked */
	const char *choices;	  /* strings only: "auto|off"; NULL: any */
	const char *help;	  /* one line */
	uintptr_t reserved[2];	  /* 0 */
};

/* The type follows from the field's, so the two cannot disagree (C only). */
#define LQOS_OPTION(struct_, field_, default_, ...)                              \
	{                                                                        \
		.key = #field_,                                                \
		.type = _Generic(((struct_ *)0)->field_,                       \
				 bool: LQOS_OPTION_BOOL,                       \
				 uint32_t: LQOS_OPTION_U32,                    \
				 uint64_t: LQOS_OPTION_U64,                    \
				 const char *: LQOS_OPTION_STRING),            \
		.offset = offsetof(struct_, field_),                           \
		.default_text = (default_), __VA_ARGS__ \
	}
#define LQOS_OPTIONS_END    \
	{                   \
		.key = NULL \
	}

/* ---- The module --------------------------------------------------------- */

enum lqos_module_flags {
	/* Moves every packet of a subscriber to one CPU: observers then run
	 * on the cpumap entry and own their subscriber's data.  At most one. */
	LQOS_MODULE_STEERS = 1,
	/* Wants to know which flow a packet is of: struct lqos_packet's flow
	 * is found only if a module says so. */
	LQOS_MODULE_FLOWS = 2,
};

enum { LQOS_FLOW_BYTES_MAX = 1024 };

/*
 * The descriptor.  Its strings are arrays, so that `lqosd --list-modules` and
 * the loader's checks read them out of the file without executing any of it.
 */
struct lqos_module {
	uint32_t abi;  /* LQOS_ABI the module was compiled with */
	uint32_t size; /* sizeof(struct lqos_module) it was compiled with */

	char name[32]; /* the file is NAME.so, the ini section [NAME] */
	char version[16];
	char description[96];
	char needs[96]; /* "a,b": must be running before; else no start */
	char after[96]; /* "a,b": order only, where they are configured */
	uint32_t flags; /* enum lqos_module_flags */
	/* With LQOS_MODULE_FLOWS: what it keeps of each flow, beside what other
	 * modules do; at most LQOS_FLOW_BYTES_MAX. */
	uint32_t flow_bytes;

	const struct lqos_option *options; /* ends in LQOS_OPTIONS_END */
	size_t config_size;		   /* of the struct they fill */

	/* Acquire everything.  *state goes to the other three.  On failure
	 * return -errno; the core takes back what was registered. */
	int (*start)(struct lqos_ctx *ctx, const void *config, void **state);
	/* Say goodbye while all is still alive.  May be NULL. */
	void (*stop)(struct lqos_ctx *ctx, void *state);
	/* Could this configuration be applied?  Called before anything is
	 * started, for `lqosd -t` too: no side effects, and of the functions
	 * here only lqos_log() and lqos_fail() are of use; the others return
	 * 0, -errno or NULL where their part is not there.  May be NULL. */
	int (*check)(struct lqos_ctx *ctx, const void *config);
};

#define LQOS_MODULE_SYMBOL  "lqos_module_entry"
#define LQOS_MODULE_SECTION ".lqos.module"
#define LQOS_MODULE(...)                                            \
	LQOS_API extern const struct lqos_module lqos_module_entry; \
	__attribute__((section(LQOS_MODULE_SECTION), used))         \
	const struct lqos_module lqos_module_entry = {              \
		.abi = LQOS_ABI,                                    \
		.size = sizeof(struct lqos_module),                 \
		__VA_ARGS__}

/* ---- Ownership ---------------------------------------------------------- */

/*
 * Run fn(arg) when the module stops, newest first.  If that cannot be
 * recorded, fn(arg) runs at once and -ENOMEM is returned, so that
 *	rc = lqos_defer(ctx, destroy, thing);
 *	if (rc)
 *		return rc;
 * never leaks.
 */
LQOS_API int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *arg), void *arg);

/* The name of the module that a context is of. */
LQOS_API const char *lqos_module_name(const struct lqos_ctx *ctx);

/* ---- Services: what modules do for each other ---------------------------- */

/*
 * Offer others something, by name, until this module stops: a struct of
 * functions, say.  Both are borrowed.  -EEXIST: another has that name.
 */
LQOS_API int lqos_service_add(struct lqos_ctx *ctx, const char *name,
			      const void *service);
/* NULL: nobody offers it.  Valid while that module runs, which .needs sees
 * to. */
LQOS_API const void *lqos_service(struct lqos_ctx *ctx, const char *name);

/* ---- Event loop --------------------------------------------------------- */

enum { LQOS_READ = 1, LQOS_WRITE = 2 };

typedef void (*lqos_timer_fn)(void *arg);
/* events: LQOS_READ and LQOS_WRITE bits that are ready */
typedef void (*lqos_fd_fn)(int fd, int events, void *arg);
/* data is borrowed, and at least the min_len asked for */
typedef void (*lqos_ringbuf_fn)(const void *data, size_t len, void *arg);

/* out may be NULL where the watch is never cancelled by hand. */
LQOS_API int lqos_timer_every(struct lqos_ctx *ctx, uint32_t ms,
			      lqos_timer_fn fn, void *arg,
			      struct lqos_watch **out);
/* The watch is gone once fn has run: do not cancel it after that. */
LQOS_API int lqos_timer_once(struct lqos_ctx *ctx, uint32_t ms,
			     lqos_timer_fn fn, void *arg,
			     struct lqos_watch **out);
/* fd stays the caller's; it must outlive the watch. */
LQOS_API int lqos_fd_watch(struct lqos_ctx *ctx, int fd, int events,
			   lqos_fd_fn fn, void *arg, struct lqos_watch **out);
/*
 * Deliver the records of a BPF_MAP_TYPE_RINGBUF.  Shorter ones than min_len
 * are counted and dropped.  At most a budget of records is handled per wake-up,
 * so that a flood cannot starve the loop.  map_fd stays the caller's.  The ring
 * is also looked at every 100 ms, for producers that use BPF_RB_NO_WAKEUP.
 */
LQOS_API int lqos_ringbuf_watch(struct lqos_ctx *ctx, int map_fd,
				size_t min_len, lqos_ringbuf_fn fn, void *arg,
				struct lqos_watch **out);
/* Sets *w to NULL; *w may be NULL.  Safe inside the watch's own callback. */
LQOS_API void lqos_watch_cancel(struct lqos_watch **w);

/* ---- Bus: JSON-RPC methods "<module>.<name>" ---------------------------- */

enum lqos_command_flags {
	LQOS_COMMAND_WRITE = 1, /* changes state: root only */
};

struct lqos_command {
	const char *name;
	const char *params; /* for people: "{ip: string, cpu?: number}" */
	const char *help;   /* one line */
	unsigned int flags; /* enum lqos_command_flags */
	/* Answer with lqos_call_result() and return 0, or return
	 * lqos_call_fail().  Returning 0 alone answers null. */
	int (*run)(struct lqos_call *call, void *arg);
	uintptr_t reserved[2]; /* 0 */
};

/* cmd stays the caller's and must outlive the module (static const). */
LQOS_API int lqos_command_add(struct lqos_ctx *ctx,
			      const struct lqos_command *cmd, void *arg);
/* The request's params: an object or NULL; borrowed. */
LQOS_API const struct json_t *lqos_call_params(const struct lqos_call *call);
/* Takes the reference to result. */
LQOS_API void lqos_call_result(struct lqos_call *call, struct json_t *result);
/*
 * A copy of fd goes with the answer (SCM_RIGHTS); fd stays the caller's.  At
 * most 253 an answer, in the order of the calls; none if it is an error.
 * -errno, and the call has failed with a text that says so: the request is in a
 * batch or without an id, the client has not read what was sent before, or
 * there are no more descriptors.  (ABI 3.1)
 */
LQOS_API int lqos_call_fd(struct lqos_call *call, int fd);
/* The error reply carries rc's name and this text; returns rc (negative). */
LQOS_API int lqos_call_fail(struct lqos_call *call, int rc, const char *fmt,
			    ...) LQOS_PRINTF(3, 4);

/* ---- Feed: streams of notifications "<module>.<name>" ------------------- */

struct lqos_topic {
	const char *name;
	const char *help; /* one line */
	/*
	 * Build the frame of this tick for these params (what a reader gave
	 * with feed.subscribe; NULL or an object).  Called once a tick for
	 * each distinct params somebody reads, never otherwise.  NULL here:
	 * the topic carries only what lqos_publish() sends.
	 * Returns 0 and a new reference in *frame, or -errno.
	 */
	int (*frame)(const struct json_t *params, struct json_t **frame,
		     void *arg);
	/*
	 * Can somebody read with these params (NULL or an object)?  0, or
	 * -EINVAL and a line in why, of size bytes, that names the param and
	 * what was expected.  NULL here: whatever frame() takes.
	 */
	int (*check)(const struct json_t *params, char *why, size_t size,
		     void *arg);
	uintptr_t reserved[1]; /* 0 */
};

/* topic stays the caller's and must outlive the module (static const). */
LQOS_API int lqos_topic_add(struct lqos_ctx *ctx,
			    const struct lqos_topic *topic, void *arg);
/* Send an event to the topic's readers.  Takes the reference to event. */
LQOS_API int lqos_publish(struct lqos_ctx *ctx, const char *topic,
			  struct json_t *event);

/*
 * Records for the frames of a topic: those of one tick for all who ask in the
 * next.  on_read(true) when somebody begins to read, on_read(false) when nobody
 * has for three ticks: what nobody reads need not be collected, and is not
 * kept.  size: of a record; max: of them in a tick, more are counted as lost.
 */
struct lqos_batch;
LQOS_API int lqos_batch_new(struct lqos_ctx *ctx, size_t size, uint32_t max,
			    void (*on_read)(bool on, void *arg), void *arg,
			    struct lqos_batch **out);
/* record is copied. */
LQOS_API void lqos_batch_add(struct lqos_batch *batch, const void *record);
/* n of them were lost before they came here. */
LQOS_API void lqos_batch_lose(struct lqos_batch *batch, uint64_t n);
/* In the topic's frame(): *n records, valid until it returns, and how many more
 * there were. */
LQOS_API const void *lqos_batch_take(struct lqos_batch *batch, uint32_t *n,
				     uint64_t *lost);

/* ---- Metrics: columns that everybody can show --------------------------- */

enum lqos_kind {
	LQOS_COUNTER = 1, /* only grows; shown as a rate, or as a total */
	LQOS_GAUGE,
};

enum lqos_unit {
	LQOS_UNIT_COUNT = 1, /* things */
	LQOS_UNIT_BYTES,     /* rates are shown as bit/s */
	LQOS_UNIT_PACKETS,
	LQOS_UNIT_NS,	 /* nanoseconds */
	LQOS_UNIT_PPM,	 /* parts in a million; shown as percent */
	LQOS_UNIT_CLASS, /* TC handle, shown as major:minor in hex */
};

enum lqos_scope {
	LQOS_SCOPE_GLOBAL = 1, /* one row, id 0 */
	LQOS_SCOPE_INTERFACE,  /* id: 0 .. lqos_interfaces() - 1 */
	LQOS_SCOPE_SUBSCRIBER, /* id: slot */
	LQOS_SCOPE_FLOW,       /* id: slot of the flow; read when asked for */
};

enum lqos_column_flags {
	LQOS_COLUMN_DETAIL = 1, /* left out of tables unless asked for */
};

/* A gauge that has no value now. */
#define LQOS_NO_VALUE UINT64_MAX

struct lqos_column {
	const char *name;  /* "down.bytes"; becomes "<module>.down.bytes" */
	const char *title; /* at most 10 characters, heading of a table */
	const char *help;  /* one line */
	enum lqos_kind kind;
	enum lqos_unit unit;
	enum lqos_scope scope;
	unsigned int flags; /* enum lqos_column_flags */
	/*
	 * The value now; read memory, never the kernel.  Counters are read once
	 * a second, those of subscribers only while there is traffic; gauges
	 * only where somebody looks.
	 */
	uint64_t (*read)(uint32_t id, void *arg);
	uintptr_t reserved[2]; /* 0 */
};

/* col stays the caller's and must outlive the module (static const). */
LQOS_API int lqos_column_add(struct lqos_ctx *ctx,
			     const struct lqos_column *col, void *arg);

/*
 * What all counters said at the last tick, and the gauges say now.  Valid until
 * the callback that asked for it returns.
 */
struct lqos_snapshot;

struct lqos_snapshot_time {
	uint64_t seq;
	uint64_t ts_ns;	      /* CLOCK_REALTIME */
	uint64_t interval_ns; /* since the one before; 0: no rates yet */
};

struct lqos_cell {
	uint64_t value; /* counters: since the row came to be */
	uint64_t rate;	/* a second; LQOS_NO_VALUE: has none */
};

/* NULL: there was no tick yet. */
LQOS_API const struct lqos_snapshot *lqos_snapshot(struct lqos_ctx *ctx);
LQOS_API struct lqos_snapshot_time
lqos_snapshot_time(const struct lqos_snapshot *snapshot);
LQOS_API uint32_t lqos_snapshot_columns(const struct lqos_snapshot *snapshot,
					enum lqos_scope scope);
/* name: the whole one, "<module>.<column>". */
LQOS_API const struct lqos_column *
lqos_snapshot_column(const struct lqos_snapshot *snapshot,
		     enum lqos_scope scope, uint32_t col, const char **name);
/* Subscribers: those with traffic lately; slot 0 is that of unknown hosts. */
LQOS_API uint32_t lqos_snapshot_rows(const struct lqos_snapshot *snapshot,
				     enum lqos_scope scope);
LQOS_API uint32_t lqos_snapshot_id(const struct lqos_snapshot *snapshot,
				   enum lqos_scope scope, uint32_t row);
LQOS_API struct lqos_cell
lqos_snapshot_cell(const struct lqos_snapshot *snapshot, enum lqos_scope scope,
		   uint32_t row, uint32_t col);
/* Its rate alone, which is cheaper. */
LQOS_API uint64_t lqos_snapshot_rate(const struct lqos_snapshot *snapshot,
				     enum lqos_scope scope, uint32_t row,
				     uint32_t col);

/*
 * Flows are too many for a snapshot: their columns are read where somebody
 * looks at one.  Column i < lqos_flow_columns(); name: the whole one.
 */
LQOS_API uint32_t lqos_flow_columns(struct lqos_ctx *ctx);
LQOS_API const struct lqos_column *
lqos_flow_column(struct lqos_ctx *ctx, uint32_t i, const char **name);
/* What column i says of the flow in that slot now. */
LQOS_API uint64_t lqos_flow_value(struct lqos_ctx *ctx, uint32_t i,
				  uint32_t flow);

/* ---- Interfaces --------------------------------------------------------- */

enum lqos_side {
	LQOS_TO_INTERNET = 1,
	LQOS_TO_SUBSCRIBERS = 2,
	LQOS_STICK = 3, /* both, by VLAN */
};

struct lqos_interface {
	const char *name;
	uint32_t ifindex;
	enum lqos_side side;
	uint32_t rx_queues, tx_queues;
	bool native;   /* XDP runs in the driver, not in the stack */
	uint32_t pair; /* two interfaces of one number are a pair */
};

LQOS_API uint32_t lqos_interfaces(struct lqos_ctx *ctx);
/* i < lqos_interfaces(); valid until the daemon stops. */
LQOS_API const struct lqos_interface *lqos_interface(struct lqos_ctx *ctx,
						     uint32_t i);
/* Does what it carries pass our programs?  Not while it is gone, or after
 * somebody took them off. */
LQOS_API bool lqos_interface_attached(struct lqos_ctx *ctx, uint32_t i);
/*
 * For people: the command that gives it n transmit queues, or as many of them
 * as it can have; returns buf.  NULL: it can have no more than it has.
 */
LQOS_API const char *lqos_interface_more_queues(struct lqos_ctx *ctx,
						uint32_t i, uint32_t n,
						char *buf, size_t size);

/* ---- Subscribers -------------------------------------------------------- */

/*
 * A subscriber is a circuit: the thing that is sold and shaped.  It may have
 * several devices, addresses and prefixes.  Its slot is a small dense number,
 * never 0 (that is "nobody"), stable while the circuit exists: per-subscriber
 * state is an array with lqos_subscriber_slots() entries.
 */
struct lqos_subscriber {
	uint32_t slot;
	uint32_t node; /* where it hangs in network.json; 0: at the root */
	uint32_t prefixes;
	const char *circuit_id;
	const char *name;
	uint64_t down_min, down_max; /* bit/s */
	uint64_t up_min, up_max;     /* bit/s */
	uint32_t cpu;		     /* placement; UINT32_MAX: none */
	uint32_t handle;	     /* TC class major << 16 | minor; 0: none */
};

/* A node of network.json (site, AP).  Node 0 is the root, parents come before
 * their children. */
struct lqos_node {
	uint32_t id;
	uint32_t parent;
	const char *name;
	uint64_t down_max, up_max; /* bit/s; 0: unlimited */
};

/* An address range and whose it is. */
struct lqos_prefix {
	uint8_t family;	  /* AF_INET or AF_INET6 */
	uint8_t len;	  /* 0-32 or 0-128 */
	uint8_t addr[16]; /* network order; IPv4 in the first 4, rest 0 */
	uint16_t vlan; /* only there; 0: in all that have none of their own */
	uint32_t slot;
	uint32_t cpu;	 /* UINT32_MAX: none */
	uint32_t handle; /* 0: none */
	bool by_hand;	 /* from the bus, not from a file */
	bool own_place;	 /* handle is its own; cpu is its circuit's, if any */
	const char *device_id;
};

/* One more than the highest slot that can be given out. */
LQOS_API uint32_t lqos_subscriber_slots(struct lqos_ctx *ctx);
/* NULL: nobody has that slot.  Valid until the registry changes. */
LQOS_API const struct lqos_subscriber *lqos_subscriber(struct lqos_ctx *ctx,
						       uint32_t slot);
/* The slot of a circuit; 0: there is none of that id. */
LQOS_API uint32_t lqos_subscriber_find(struct lqos_ctx *ctx,
				       const char *circuit_id);
LQOS_API uint32_t lqos_nodes(struct lqos_ctx *ctx);
LQOS_API const struct lqos_node *lqos_node(struct lqos_ctx *ctx, uint32_t id);
/* In order of family, VLAN, address, length.  fn returns non-zero to stop; that
 * is returned.  fn must not change the registry. */
LQOS_API int lqos_prefixes(struct lqos_ctx *ctx,
			   int (*fn)(const struct lqos_prefix *p, void *arg),
			   void *arg);
/* Called after circuits, prefixes or nodes came, changed or went (never for
 * placements). */
LQOS_API int lqos_subscribers_watch(struct lqos_ctx *ctx, void (*fn)(void *arg),
				    void *arg);

enum lqos_slot_event {
	/* It has another owner, whose counters begin at 0: forget what you know
	 * of the one before. */
	LQOS_SLOT_GIVEN = 1,
	/* There was traffic in the second that is over; before its counters
	 * are read. */
	LQOS_SLOT_TRAFFIC,
};
/*
 * Called with what happens to slots, by which per-subscriber state is kept
 * without looking at all of them; slot 0 has the traffic of nobody.  At 100,000
 * subscribers that is 100,000 calls a second: be brief.
 */
LQOS_API int lqos_slots_watch(struct lqos_ctx *ctx,
			      void (*fn)(uint32_t slot,
					 enum lqos_slot_event event, void *arg),
			      void *arg);
/* Give the subscriber a CPU and a class, and so all its prefixes; those with a
 * place of their own get the CPU alone.  -ENOENT: no such slot. */
LQOS_API int lqos_place(struct lqos_ctx *ctx, uint32_t slot, uint32_t cpu,
			uint32_t handle);

/*
 * Where an earlier run, whose datapath this one takes over, had the subscriber:
 * in start() only, for those who would rather leave it there.  -ENOENT: it was
 * nowhere, or there was no such run.
 */
LQOS_API int lqos_placed_before(struct lqos_ctx *ctx, uint32_t slot,
				uint32_t *cpu, uint32_t *handle);

struct lqos_mapping {
	const char *ip; /* "192.0.2.1", "2001:db8::/56", "192.0.2.0%200/24" */
	const char *circuit_id; /* NULL: the canonical text of ip */
	const char *device_id;	/* NULL: none */
	uint32_t cpu;		/* used only if handle is not 0 */
	uint32_t handle;	/* 0: placed as its circuit is */
	uintptr_t reserved[2];	/* 0 */
};
/* Could that range be mapped, by its text?  -EINVAL: no, and why. */
LQOS_API int lqos_mapping_check(struct lqos_ctx *ctx, const char *ip, char *why,
				size_t why_size);
/*
 * Map an address range by hand.  The circuit is made if nobody has that id.
 * An existing mapping of the same range is replaced.  On failure why (of
 * why_size bytes) says what was expected.
 * -EINVAL: not an address or prefix, or a CPU that is not its circuit's;
 * -ENOSPC: slots or prefixes are used up.
 */
LQOS_API int lqos_mapping_add(struct lqos_ctx *ctx,
			      const struct lqos_mapping *m, char *why,
			      size_t why_size);
/* -ENOENT: that range is not mapped. */
LQOS_API int lqos_mapping_del(struct lqos_ctx *ctx, const char *ip, char *why,
			      size_t why_size);
/* Removes every mapping, from files and by hand; returns how many, or -errno.
 */
LQOS_API int lqos_mapping_clear(struct lqos_ctx *ctx);

/* What becomes of the packets of one address. */
struct lqos_lookup {
	bool mapped;		   /* a range holds it */
	struct lqos_prefix prefix; /* the longest that does */
	/* What the kernel says: */
	bool known;
	uint32_t slot, cpu, handle;
	uint32_t hash; /* spreads those that are nobody's */
};
/* ip: "192.0.2.1", "2001:db8::1%200".  -EINVAL: not one address, and why. */
LQOS_API int lqos_lookup(struct lqos_ctx *ctx, const char *ip,
			 struct lqos_lookup *out, char *why, size_t why_size);
/* The kernel forgets all that it remembers of earlier look-ups. */
LQOS_API void lqos_lookups_forget(struct lqos_ctx *ctx);

/*
 * What reading the files again would change, and what the kernel has otherwise
 * than it was told.
 */
enum lqos_change_kind {
	LQOS_CHANGE_ADD = 1, /* the files name it, and nobody has it */
	LQOS_CHANGE_REMOVE,  /* the files do not name it any more */
	LQOS_CHANGE_OTHER,   /* another circuit's, or at other rates or node */
	LQOS_CHANGE_DRIFT,   /* from: the kernel; to: what it was told */
	LQOS_CHANGE_PROBLEM, /* none: what is wrong in the files */
};

struct lqos_change {
	enum lqos_change_kind kind;
	/* The range; not whose it is.  NULL: a circuit without any. */
	const struct lqos_prefix *prefix;
	const struct lqos_subscriber *from; /* NULL: nobody's */
	const struct lqos_subscriber *to;   /* NULL: nobody's; slot 0: new */
	const char *from_node, *to_node;    /* "": the root; NULL: nobody's */
	uint32_t from_cpu, to_cpu;	    /* UINT32_MAX: none, or not yet */
	uint32_t from_handle, to_handle;    /* 0: none, or not yet */
	const char *problem; /* file:line:column and what; NULL: none */
	uintptr_t problems;  /* how many there are: only the first are told */
};
/*
 * Changes nothing.  Problems come first, errors before warnings.  fn returns
 * non-zero to stop; that is returned.  c and what it points to is borrowed; fn
 * must not change the registry.  -errno where a reload would be refused: why is
 * the one problem that is told.
 */
LQOS_API int lqos_changes(struct lqos_ctx *ctx,
			  int (*fn)(const struct lqos_change *c, void *arg),
			  void *arg);

/* ---- Flows ------------------------------------------------------------- */

struct lqos_flow_key;	/* lqos/packet.h */
struct lqos_flow;	/* lqos/packet.h */
struct lqos_flow_event; /* lqos/packet.h */
/* The records of flows by slot, as the programs write them, 0 being none. */
struct lqos_flow_table {
	void *records;
	uint32_t slots; /* how many there can be: the size of arrays by flow */
	uint32_t record_bytes;
	uint32_t part; /* where in a record this module's begins; 0: none */
	uint32_t reserved;
};

/*
 * What is read may change meanwhile: look at used and generation again
 * afterwards.  How many slots have been in use so far is returned.  0, and
 * *table is untouched: no module has LQOS_MODULE_FLOWS.
 */
LQOS_API uint32_t lqos_flows(struct lqos_ctx *ctx,
			     struct lqos_flow_table *table);

/* index: below slots. */
static inline const struct lqos_flow *
lqos_flow_at(const struct lqos_flow_table *table, uint32_t index)
{
	return (const struct lqos_flow *)((char *)table->records +
					  (size_t)index * table->record_bytes);
}

/* What this module's programs have by lqos_flow_part_of(). */
static inline void *lqos_flow_part_at(const struct lqos_flow_table *table,
				      uint32_t index)
{
	return (char *)table->records + (size_t)index * table->record_bytes +
	       table->part;
}

/* fn hears which flows open and end, within 100 ms, while it is told so; what
 * could not be told is counted. */
LQOS_API int lqos_flows_watch(struct lqos_ctx *ctx,
			      void (*fn)(const struct lqos_flow_event *event,
					 void *arg),
			      void *arg);
/* Whether this module's watchers are told: not before this says so. */
LQOS_API void lqos_flows_tell(struct lqos_ctx *ctx, bool on);

/* For people.  An address as struct lqos_flow_key has it: buf, of at least
 * INET6_ADDRSTRLEN, is returned. */
LQOS_API const char *lqos_address_text(uint64_t hi, uint64_t lo, bool ipv6,
				       char *buf, size_t size);
/* "TCP", "UDP", "ICMP", "ICMPv6" or "other". */
LQOS_API const char *lqos_protocol_text(uint8_t proto);
/* ns to be added to CLOCK_MONOTONIC for CLOCK_REALTIME, now. */
LQOS_API int64_t lqos_clock_offset(void);

/* An address range, as the words of struct lqos_flow_key. */
struct lqos_ip_range {
	uint64_t hi, lo;
	uint64_t mask_hi, mask_lo;
	bool ipv6;
};
/* "192.0.2.0/24" and the like.  -EINVAL: it is none. */
LQOS_API int lqos_ip_range_parse(const char *text, struct lqos_ip_range *out);
/* Is either end of the flow in there? */
LQOS_API bool lqos_ip_range_has(const struct lqos_ip_range *range,
				const struct lqos_flow_key *key);

/* Which flows are meant, by the params {ip, circuit, protocol}. */
struct lqos_flow_filter {
	struct lqos_ip_range range;
	bool by_ip;
	const char *circuit; /* the params'; NULL: any */
	const char *kind;    /* one of the caller's; NULL: any */
	uint8_t proto; /* IPPROTO_*, that of ICMP for ICMPv6 too; 0: any */
	uintptr_t reserved[2];
};
/*
 * params: NULL or an object, which *out lasts no longer than.  kinds: what
 * protocol may name besides tcp, udp, icmp and icmpv6, up to NULL; NULL:
 * nothing (the caller matches kind).  -EINVAL: they make no sense, and why, of
 * size bytes, says which.
 */
LQOS_API int lqos_flow_filter_parse(const struct json_t *params,
				    const char *const *kinds,
				    struct lqos_flow_filter *out, char *why,
				    size_t size);
/* slot: the flow's subscriber. */
LQOS_API bool lqos_flow_filter_has(struct lqos_ctx *ctx,
				   const struct lqos_flow_filter *filter,
				   const struct lqos_flow_key *key,
				   uint32_t slot);
/* 0, or -EINVAL and a line in why: there are params besides those of known, up
 * to NULL. */
LQOS_API int lqos_params_only(const struct json_t *params,
			      const char *const *known, char *why, size_t size);

/* ---- Datapath ----------------------------------------------------------- */

/*
 * Between obj's open and load, when its maps have their sizes: gives each
 * program made with a macro of lqos/packet.bpf.h its type, attach type and
 * place in its chain, leaves out those this run does not need, and binds the
 * core's maps.
 *
 * A map that an earlier run left pinned under its name is taken over, with what
 * is in it, if it is just as this one would be: in type, sizes, flags and the
 * types of key and value.  The programs of that run go on using it until the
 * core has put this run's in their place, so do not change what is in there
 * before.  LQOS_FRESH at its definition, or BPF_F_RDONLY_PROG, keeps a map from
 * it.  An array with lqos_subscriber_slots() entries is by slot: the core
 * zeroes the entry of a slot that gets a new owner.
 *
 * Others may read a map, by `lqosctl exec`, unless LQOS_PRIVATE is at its
 * definition; root may write it where LQOS_WRITABLE is.
 */
LQOS_API int lqos_bpf_prepare(struct lqos_ctx *ctx, struct bpf_object *obj);
/*
 * After obj's load: pins its maps and hooks its programs into their chains.
 * Packets may arrive from here on.  Undone when the module stops.
 */
LQOS_API int lqos_bpf_attach(struct lqos_ctx *ctx, struct bpf_object *obj);
/*
 * A BPF_F_MMAPABLE array as memory: *view stays valid until the module stops.
 * The stride of its elements is value_size rounded up to 8.
 */
LQOS_API int lqos_map_view(struct lqos_ctx *ctx, int map_fd, void **view);
/* CPUs that packets may be sent to, ascending; their number is returned.  They
 * come and go: ask again in every callback. */
LQOS_API uint32_t lqos_cpus(struct lqos_ctx *ctx, const uint32_t **cpus);
/* Why a CPU that is present is not among them, to follow "it is"; NULL: it is.
 */
LQOS_API const char *lqos_cpu_unused(struct lqos_ctx *ctx, uint32_t cpu);
/* Possible CPUs: the size of arrays indexed by CPU number. */
LQOS_API uint32_t lqos_possible_cpus(struct lqos_ctx *ctx);

#ifdef __cplusplus
}
#endif

#endif /* LQOS_MODULE_H */
