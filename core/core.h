/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core.h - what the files of the core know of each other.
 *
 * lqos_* is the modules' API (lqos/module.h); core_* is the daemon's own and
 * not exported to modules' authors.  One struct core is the daemon; each part
 * has a constructor that fills a pointer in it and a NULL-safe destructor that
 * takes T ** and clears it.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/lqos/module.h"

struct event_base;
struct bpf_map;
struct dp_circuit;

/* [lqosd] of lqos.ini: core_options in options.c says what each means. */
struct core_settings {
	const char *modules;
	const char *to_internet;
	const char *to_subscribers;
	const char *bridge; /* linux|xdp */
	const char *vlans;
	const char *shaped_devices;
	const char *network_json;
	const char *run_dir;
	const char *pin_dir;
	const char *group;
	const char *xdp_mode;  /* auto|native|generic */
	const char *tc_mode;   /* auto|tcx|clsact */
	const char *metadata;  /* auto|off */
	const char *log_level; /* "info" or "info,steering:debug" */
	uint32_t max_subscribers;
	uint32_t max_prefixes;
	uint32_t lookup_cache; /* entries a CPU, a power of two */
	uint32_t max_flows;
	const char *unknown_flows; /* auto|all|sampled|none */
	uint32_t slow_callback_ms;
	bool address_spaces; /* a VLAN may be one of its own */
	bool watch_files;
	uint32_t watch_delay_ms;
	const char *exclude_cpus; /* "0,2-3" */
	bool exclude_efficiency_cores;
};

struct core {
	struct core_settings settings;
	struct lqos_ctx *ctx; /* the core itself: owner of its own parts */
	struct core_loop *loop;
	struct core_bus *bus;
	struct core_feed *feed;
	struct core_metrics *metrics;
	struct core_registry *registry;
	struct core_files *files;
	struct core_journal *journal;
	struct pins *pins;
	struct core_datapath *datapath;
	struct core_loader *loader;
	struct core_notify *notify;
	LIST_HEAD(, core_service) services; /* what modules offer each other */
	uint64_t started_ns;		    /* CLOCK_REALTIME */
};

/* ---- ctx.c: contexts and the ownership stack ---------------------------- */

struct lqos_ctx {
	struct core *core;
	const char *name;
	uint32_t index; /* place in the chains: 1.. in start order; core: 0 */
	uint32_t flow_part; /* where its part of a flow's record is; 0: none */
	bool has_flows;	    /* LQOS_MODULE_FLOWS */
	struct core_owned *owned; /* newest first */
	bool releasing;
};

/* name is copied. */
int core_ctx_new(struct lqos_ctx **out, struct core *core, const char *name,
		 uint32_t index);
/* Releases everything owned, newest first, then the context. */
void core_ctx_free(struct lqos_ctx **ctx);
/* Releases everything owned, newest first; the context may be used again. */
void core_ctx_release(struct lqos_ctx *ctx);
/*
 * Record that obj belongs to ctx: release(obj) runs at the latest when the
 * context is released.  If it cannot be recorded, release(obj) runs at once and
 * -ENOMEM is returned.  *out (may be NULL) is the receipt.
 */
int core_own(struct lqos_ctx *ctx, void (*release)(void *obj), void *obj,
	     struct core_owned **out);
/* The object is going away on its own: forget it, without releasing it. */
void core_disown(struct lqos_ctx *ctx, struct core_owned **owned);

/* ---- log.c -------------------------------------------------------------- */

/*
 * spec: "LEVEL[,MODULE:LEVEL]...", levels error|warning|info|debug; verbose
 * counts -v and raises every level by one each.  -EINVAL: not such a spec;
 * nothing changes.
 */
int core_log_setup(const char *spec, unsigned int verbose);
/* Redirect lines (tests); NULL: stderr again.  line ends without newline. */
void core_log_sink(void (*fn)(enum lqos_level level, const char *line,
			      void *arg),
		   void *arg);
/* As lqos_log(); who is a module's name. */
void core_log(const char *who, enum lqos_level level, const char *fmt, ...)
	LQOS_PRINTF(3, 4);
/* No rate limit: for input that is read once and whose every fault counts, and
 * for what somebody was given or has changed. */
void core_vlog_unlimited(const char *who, enum lqos_level level,
			 const char *fmt, va_list ap) LQOS_PRINTF(3, 0);
void core_log_unlimited(const char *who, enum lqos_level level, const char *fmt,
			...) LQOS_PRINTF(3, 4);
/* Hears every error and warning too, said or held back; NULL: nobody does. */
void core_log_overhear(void (*fn)(const char *who, enum lqos_level level,
				  const char *text, void *arg),
		       void *arg);
/*
 * Say how many messages the rate limit held back, of windows that are over or
 * of all.  The loop does it once a second, exit() for the last time.
 */
void core_log_flush(bool all);
/* As lqos_fail(). */
int core_fail(const char *who, int rc, const char *fmt, ...) LQOS_PRINTF(3, 4);
/* Route libbpf's and libevent's own messages into ours. */
void core_log_libraries(void);

/* ---- config.c, options.c ------------------------------------------------ */

struct core_config; /* the parsed text of lqos.ini: sections, keys, lines */

extern const struct lqos_option core_options[]; /* of [lqosd] */

/*
 * Read an ini file.  A line is refused, with "file:line: ..." in the log, if it
 * is over-long (> CORE_CONFIG_LINE_MAX), no "key = value", a broken [section],
 * or repeats a key of its section.  All bad lines are logged, not just the
 * first.  -ENOENT and the like: the file cannot be read; -EINVAL: bad lines.
 * Every failure but -ENOMEM has been logged.
 */
#define CORE_CONFIG_LINE_MAX 180
int core_config_read(struct core_config **out, const char *path);
/* The same from memory (tests, fuzzing). */
int core_config_parse(struct core_config **out, const char *path,
		      const char *text, size_t len);
void core_config_free(struct core_config **config);
/* Set or replace a value, as from the command line; where names its origin. */
int core_config_set(struct core_config *config, const char *section,
		    const char *key, const char *value, const char *where);
/* -i: "A[,B]", the internet's side, then the subscribers'; is it one or two
 * different names? */
bool core_interfaces_are_valid(const char *text);
int core_config_set_interfaces(struct core_config *config, const char *text);
/* NULL: not given.  The text belongs to config. */
const char *core_config_get(const struct core_config *config,
			    const char *section, const char *key);
/*
 * Fill the struct of size bytes that options describe from section, defaults
 * included.  Unknown keys (with a did-you-mean), bad values, values out of
 * range and missing required keys are logged with file:line.  Strings belong
 * to config.  -EINVAL: something was wrong; *out is untouched then.
 */
int core_config_fill(const struct core_config *config, const char *section,
		     const struct lqos_option *options, void *out, size_t size);
/* Log every section that is in none of names (NULL-terminated); -EINVAL if any.
 */
int core_config_unknown_sections(const struct core_config *config,
				 const char *const *names);
/*
 * Parse text into the field of config that option describes.  A string field
 * points to text itself.  -EINVAL, -ERANGE: config is untouched, and why says
 * what was expected.
 */
int core_option_parse(const struct lqos_option *option, const char *text,
		      void *config, char *why, size_t why_size);
/* Bytes of the field; SIZE_MAX: no such type. */
size_t core_option_size(const struct lqos_option *option);
/* --help-config: the options of one section as commented ini text. */
void core_options_print(FILE *f, const char *section, const char *description,
			const struct lqos_option *options);

/* ---- check.c ------------------------------------------------------------ */

/* Settings that cannot be, though each option is right by itself: each is
 * logged.  -EINVAL if there is one. */
int core_check_settings(const struct core_settings *settings);
/* -EPERM, and which capability is missing: root may be without, in a container
 * or under systemd. */
int core_check_rights(void);

/* ---- cpus.c: which CPUs packets may be sent to -------------------------- */

struct core_cpus;

/* -EINVAL, -ERANGE: what excludes CPUs makes no sense here; logged. */
int core_cpus_open(struct core_cpus **out, const struct core_settings *set);
/* The same of the machine whose /sys/devices is sys, with CPUs 0 to
 * possible - 1. */
int core_cpus_new(struct core_cpus **out, const char *sys, uint32_t possible,
		  const char *exclude, bool efficiency);
void core_cpus_free(struct core_cpus **cpus);
/* Ascending; their number is returned, which is never 0.  Valid until the next
 * core_cpus_look(). */
uint32_t core_cpus_list(const struct core_cpus *cpus, const uint32_t **list);
bool core_cpus_has(const struct core_cpus *cpus, uint32_t cpu);
/* Why one that is present is not in the list; NULL: it is. */
const char *core_cpus_unused(const struct core_cpus *cpus, uint32_t cpu);
/* CPUs go offline and come back: fn for each that is online again, or may be
 * used from now on.  While none is left the list stays. */
void core_cpus_look(struct core_cpus *cpus, void (*fn)(uint32_t cpu, void *arg),
		    void *arg);

/* ---- loop.c: with bus.c and log.c all that knows libevent ---------------- */

int core_loop_new(struct core_loop **out, struct core *core);
void core_loop_free(struct core_loop **loop);
/* Runs until core_loop_stop(); 0 or -errno. */
int core_loop_run(struct core_loop *loop);
void core_loop_stop(struct core_loop *loop);
struct event_base *core_loop_base(struct core_loop *loop);
/* fn(signo, arg) from the loop, not from the handler; owned by ctx. */
int core_loop_signal(struct lqos_ctx *ctx, int signo,
		     void (*fn)(int signo, void *arg), void *arg);
/*
 * The one dispatch point into callbacks: times what is run on behalf of ctx,
 * counts it, and names it when it takes longer than settings.slow_callback_ms
 * (0: never).  They nest; time spent further in counts there only.  what must
 * stay valid until core_loop_leave().  Without a loop both do nothing.
 */
void core_loop_enter(struct lqos_ctx *ctx, const char *what);
void core_loop_leave(struct lqos_ctx *ctx);
/* The callback that runs has much to do, and itself tells how long it took:
 * it is not named, or counted as slow. */
void core_loop_may_take_long(struct core_loop *loop);

struct core_loop_stats {
	uint64_t callbacks;
	uint64_t slow; /* callbacks over the limit */
	uint64_t slowest_ns;
	uint64_t ring_short;  /* ring records shorter than asked for */
	uint64_t ring_budget; /* times a ring's budget ran out */
};
void core_loop_stats(const struct core_loop *loop, struct core_loop_stats *out);

/* ---- loader.c, find.c, elf.c -------------------------------------------- */

/* What can be read from a module's file without executing any of it. */
struct core_module_info {
	char path[PATH_MAX];
	char name[32], version[16], description[96], needs[96], after[96];
	uint32_t abi, size, flags, flow_bytes;
};

/*
 * Read the LQOS_MODULE_SECTION of the shared object at path with libelf.
 * -ENOEXEC: not an ELF shared object for this machine; -ENODATA: no module in
 * it.  why (of why_size) is one clear line on failure.
 */
int core_elf_read(const char *path, struct core_module_info *out, char *why,
		  size_t why_size);

/* The next word of a list of words; false at its end. */
bool core_word_next(const char **list, const char *separators,
		    const char **word, size_t *len);
/*
 * Names and paths, sorted, of all that could be modules by their file's name;
 * of two with one name the one in the earlier directory.  free() the array.
 * -errno only where not a single directory could be read.
 */
int core_module_scan(const char *dirs, struct core_module_info **out,
		     size_t *n);
/* Find and read NAME.so, and check its name, ABI and size; logs refusals. */
int core_module_find(const char *dirs, const char *name,
		     struct core_module_info *out);

/* One module of this run. */
struct core_module {
	struct core_module_info info;
	const struct lqos_module *entry; /* NULL until dlopen */
	void *handle;
	void *config; /* its filled option struct */
	void *state;
	struct lqos_ctx *ctx;
	bool started;
};

/* dirs: module directories, ':'-separated, searched in order. */
int core_loader_new(struct core_loader **out, struct core *core,
		    const char *dirs);
/* Stops what runs, newest first; dlclose comes last (never under ASan). */
void core_loader_free(struct core_loader **loader);
/* Infos of every .so in dirs, sorted by name; *n of them; free() the array.
 * Files that are no modules are logged and left out. */
int core_loader_list(const char *dirs, struct core_module_info **out,
		     size_t *n);
/* Prints the options of every module in dirs (--help-config). */
int core_loader_print_options(const char *dirs, FILE *f);
/*
 * Find the modules of names ("a,b"), check their ABI, order them by needs and
 * after, dlopen them and fill and check their configuration.  Starts nothing.
 * Every refusal is one line in the log.  A need that is not in names is an
 * error that says so.  config must outlive the loader.
 */
int core_loader_load(struct core_loader *loader, const char *names,
		     const struct core_config *config);
/* The OR of the flags of all loaded modules. */
uint32_t core_loader_flags(const struct core_loader *loader);
/* What a flow's record has, with the parts of all loaded modules. */
uint32_t core_loader_flow_bytes(const struct core_loader *loader);
/* start() in order; on failure what was started is stopped again. */
int core_loader_start(struct core_loader *loader);
/* Loaded modules in start order. */
size_t core_loader_count(const struct core_loader *loader);
const struct core_module *core_loader_get(const struct core_loader *loader,
					  size_t i);

/* ---- bus.c: JSON-RPC 2.0, one message a line, over a UNIX socket --------- */

enum {
	CORE_BUS_LINE_MAX = 1 << 20, /* a longer request: error and close */
	CORE_BUS_OUT_MAX = 4 << 20,  /* unread replies: no request is read */
	CORE_BUS_CLIENTS_MAX = 2048,
	CORE_BUS_DEPTH_MAX = 32,     /* nesting of JSON */
	CORE_BUS_VALUES_MAX = 32768, /* in one request or batch */
};

/* Binds path with mode 0660 and the named group (skipped if there is none). */
int core_bus_new(struct core_bus **out, struct core *core, const char *path,
		 const char *group);
void core_bus_free(struct core_bus **bus);

struct core_bus_client; /* a connection */

/* The client whose request this is. */
struct core_bus_client *core_call_client(struct lqos_call *call);
/* Of the peer (SO_PEERCRED), as it was when it connected. */
uid_t core_bus_client_uid(const struct core_bus_client *client);
/* For logs, "uid 0, pid 7": of whoever connected; buf is returned. */
const char *core_call_asker(struct lqos_call *call, char *buf, size_t size);
/*
 * Called once when the client goes away, before its memory does.  One hook a
 * client: the feed's.
 */
void core_bus_client_on_close(struct core_bus_client *client,
			      void (*fn)(struct core_bus_client *client,
					 void *arg),
			      void *arg);
/*
 * Called whenever all that was sent has left for the kernel: room for more.
 */
void core_bus_client_on_drain(struct core_bus_client *client,
			      void (*fn)(struct core_bus_client *client,
					 void *arg),
			      void *arg);
/* Bytes that are waiting to leave. */
size_t core_bus_client_pending(const struct core_bus_client *client);
/* A copy of fd goes with the answer to the request in hand, unless that is
 * taken back. */
int core_bus_client_add_fd(struct core_bus_client *client, int fd);
void core_bus_client_drop_fds(struct core_bus_client *client);
/* Text that many clients can be sent without copying. */
struct core_bus_line;
/* Serializes value (borrowed) and appends tail, which ends in a newline; one
 * reference. */
int core_bus_line_new(struct core_bus_line **out, const struct json_t *value,
		      const char *tail);
struct core_bus_line *core_bus_line_ref(struct core_bus_line *line);
void core_bus_line_unref(struct core_bus_line *line);
size_t core_bus_line_size(const struct core_bus_line *line);
/*
 * Sends head (copied; NULL: none) and line, of which it keeps a reference until
 * the bytes have left.  Never calls back and never ends the client.  -EPIPE:
 * the client is on its way out.
 */
int core_bus_client_send(struct core_bus_client *client, const char *head,
			 struct core_bus_line *line);
/*
 * Run one request (tests and fuzzing too).  uid is the peer's.  *reply is a new
 * reference, or NULL for a notification.
 */
int core_bus_handle(struct core_bus *bus, struct core_bus_client *client,
		    uid_t uid, const char *line, size_t len,
		    struct json_t **reply);

struct core_bus_stats {
	uint64_t clients, accepted, refused; /* refused: over CLIENTS_MAX */
	uint64_t requests, errors, denied;   /* denied: wrong uid */
	uint64_t overlong;
};
void core_bus_stats(const struct core_bus *bus, struct core_bus_stats *out);
/* {"method", "params", "help", "write"} of each, sorted: a new reference. */
struct json_t *core_bus_methods(const struct core_bus *bus);

/* ---- feed.c: bounded streams to bus clients ------------------------------ */

enum {
	CORE_FEED_QUEUE_FRAMES = 8,	  /* waiting for one subscription */
	CORE_FEED_QUEUE_BYTES = 4 << 20,  /* waiting for one client */
	CORE_FEED_SUBSCRIPTIONS_MAX = 16, /* of one client */
	CORE_FEED_STREAMS_MAX = 256,	  /* different (topic, params) pairs */
	CORE_FEED_PARAMS_MAX = 4096,	  /* bytes of a subscription's params */
	CORE_FEED_SCHEMA = 1,
};

/* Registers feed.subscribe, feed.unsubscribe and feed.topics on the bus. */
int core_feed_new(struct core_feed **out, struct core *core);
void core_feed_free(struct core_feed **feed);
/* Once a tick: builds each wanted frame once and queues it to its readers. */
void core_feed_tick(struct core_feed *feed);

struct core_feed_stats {
	uint64_t subscriptions, frames, bytes, dropped;
};
void core_feed_stats(const struct core_feed *feed, struct core_feed_stats *out);

/* ---- metrics.c: columns and the tick's snapshot -------------------------- */

struct core_column {
	const struct lqos_column *decl;
	char name[64]; /* "<module>.<column>" */
	void *arg;
	uint32_t cell; /* of a row, counters only */
};

/* A counter of a row. */
struct core_cell {
	uint64_t value; /* when it was last read */
	uint64_t grown; /* since the tick before; LQOS_NO_VALUE: has none */
};

/* A subscriber, interface or the whole. */
struct core_row {
	uint32_t id;
	uint64_t seq;	/* tick that read it; no traffic since */
	uint64_t *base; /* of each cell, when the slot was given out */
	struct core_cell cells[];
};

/* The columns and rows of one scope, with counters as they were at a tick. */
struct core_table {
	const struct core_column *const *columns;
	size_t n_columns;
	struct core_row *const *rows; /* subscribers: those seen lately */
	size_t n_rows;
};

struct core_snapshot {
	uint64_t seq;
	uint64_t ts_ns;	      /* CLOCK_REALTIME */
	uint64_t interval_ns; /* since the one before; 0: the first */
	struct core_table tables[LQOS_SCOPE_FLOW + 1]; /* by scope */
};

int core_metrics_new(struct core_metrics **out, struct core *core);
void core_metrics_free(struct core_metrics **metrics);
/* The newest snapshot; never NULL after the first tick; valid until the next.
 */
const struct core_snapshot *core_metrics_snapshot(struct core_metrics *metrics);
/* Takes a snapshot, then lets the feed send it. */
void core_metrics_tick(struct core_metrics *metrics);
/* The slot was given to a new subscriber: its counters begin at 0 from here. */
void core_metrics_slot_reset(struct core_metrics *metrics, uint32_t slot);
/* The slot is its subscriber's of an earlier run: what has been counted is no
 * traffic of this moment. */
void core_metrics_slot_resume(struct core_metrics *metrics, uint32_t slot);

/* ---- registry.c, shaped_devices.c, network.c: who the subscribers are ---- */

/* Lines of one input file that were left out, and why. */
struct core_problems {
	uint32_t skipped;   /* rows left out */
	uint32_t rows;	    /* rows taken */
	uint32_t addresses; /* left out, of rows taken: warnings too */
	uint32_t warnings;  /* taken, but not quite as written */
};

int core_registry_new(struct core_registry **out, struct core *core,
		      uint32_t max_subscribers, uint32_t max_prefixes);
void core_registry_free(struct core_registry **registry);
/*
 * Load network.json (NULL or "": none) and ShapedDevices.csv (the same).  A bad
 * row is logged as file:line:column with what was expected, counted and left
 * out; the rest loads.  -errno only if a file cannot be read at all.
 */
int core_registry_load(struct core_registry *registry, const char *csv_path,
		       const char *json_path);
/* What the last load left out. */
void core_registry_problems(const struct core_registry *registry,
			    struct core_problems *out);
size_t core_registry_subscribers(const struct core_registry *registry);
size_t core_registry_prefixes(const struct core_registry *registry);
/* A prefix that the kernel is told of. */
struct core_kernel_op {
	const struct lqos_prefix *p;
	int rc; /* what became of it */
};
/*
 * Hooks through which every change of a prefix reaches the kernel, many at once
 * where there are many.  set may refuse any of them (-ENOSPC): that mapping is
 * then refused.
 */
struct core_registry_hooks {
	void (*set)(struct core_kernel_op *ops, size_t n, void *arg);
	void (*unset)(struct core_kernel_op *ops, size_t n, void *arg);
	/* fn for each that is there, until it returns non-zero: that is
	 * returned. */
	int (*read)(int (*fn)(const struct lqos_prefix *p, void *arg),
		    void *fn_arg, void *arg);
	/* What was set and unset is to count for every packet from now on. */
	void (*done)(void *arg);
	void *arg;
};
void core_registry_hook(struct core_registry *registry,
			const struct core_registry_hooks *hooks);
/* Make the kernel's prefixes ours, by what differs; *mended are so many. */
int core_registry_sync(struct core_registry *registry, size_t *mended);

/* ---- files.c: the subscribers' files ------------------------------------- */

/* named: that file is in the configuration, and so has to be there. */
int core_files_new(struct core_files **out, struct core *core, bool csv_named,
		   bool json_named);
void core_files_free(struct core_files **files);
/* What core_registry_load() is given; NULL: there is no such file. */
void core_files_paths(const struct core_files *files, const char **csv,
		      const char **json);
int core_files_load(struct core_files *files);
/* Again; what becomes of it is logged. */
int core_files_reload(struct core_files *files);
/* The same from now on whenever they have changed and settled, if so
 * configured.  Ends with the core's context. */
int core_files_watch(struct core_files *files);

/* ---- journal.c: what is mapped by hand outlives a run -------------------- */

/* Maps again what RUN_DIR/mappings says was mapped by hand, and from now on
 * that file is kept; that it cannot be is logged, and no failure. */
int core_journal_open(struct core_journal **out, struct core *core);
void core_journal_close(struct core_journal **journal);
/* journal may be NULL: then nothing is kept. */
void core_journal_add(struct core_journal *journal, const struct lqos_prefix *p,
		      const char *circuit_id);
/* Of one by hand, when it has gone. */
void core_journal_del(struct core_journal *journal,
		      const struct lqos_prefix *p);
/* None by hand is left. */
void core_journal_clear(struct core_journal *journal);

/* ---- slots.c: which circuit has which slot ------------------------------- */

struct core_slots;
struct core_slots *core_registry_slots(struct core_registry *registry);
/* Has core_slots_remember() been called? */
bool core_slots_remembers(const struct core_slots *slots);
/*
 * Before any circuit is loaded: what the run before wrote into its record,
 * which is copied; one entry more than there are subscribers.
 */
int core_slots_remember(struct core_slots *slots,
			const struct dp_circuit *then);

struct core_slots_kernel {
	struct dp_circuit *record; /* by slot */
	/* Zeroes all that is counted by that slot: it has a new owner. */
	void (*clear)(uint32_t slot, void *arg);
	/* It is still its circuit's of the run before: counters go on. */
	void (*kept)(uint32_t slot, void *arg);
	void *arg;
};
/*
 * From now on the record and the counters follow every change; they are brought
 * up to date first, so the kernel must know all present owners and no other.
 * NULL: it is on its own again, as it is.
 */
void core_slots_connect(struct core_slots *slots,
			const struct core_slots_kernel *kernel);

/* "192.0.2.0/24", "192.0.2.0%200/24" (in VLAN 200) and the like; host bits must
 * be 0.  -EINVAL and why. */
int core_prefix_parse(const char *text, struct lqos_prefix *out, char *why,
		      size_t why_size);
/* Canonical text, with "/len" unless it is a host; returns buf. */
#define CORE_PREFIX_TEXT (INET6_ADDRSTRLEN + sizeof("%4094/128"))
const char *core_prefix_text(const struct lqos_prefix *p, char *buf,
			     size_t size);

/* ---- topology.c: the interfaces, as configured --------------------------- */

enum {
	CORE_PAIRS_MAX = 8,
	CORE_PORTS_MAX = 2 * CORE_PAIRS_MAX,
	CORE_PORT_NAME = 16,
	CORE_VLAN_MAX = 4094,
};

/* The two of a pair follow each other: the internet's is the even one. */
struct core_topology {
	struct core_port {
		char name[CORE_PORT_NAME];
		enum lqos_side side;
		uint32_t pair;
	} ports[CORE_PORTS_MAX];
	uint32_t n_ports; /* 0: none is configured */
	struct {
		uint16_t internet, subscribers;
	} vlans[CORE_VLAN_MAX / 2];
	uint32_t n_vlans;
	bool forwards; /* we, and not the kernel's bridge */
};

/* -EINVAL: what the settings say makes no sense, which has been logged. */
int core_topology_read(struct core_topology *out,
		       const struct core_settings *s);

/* ---- pins.c: /sys/fs/bpf/lqos ------------------------------------------- */

struct pins;
/* Mounts a BPF file system if none is there, makes dir, and locks it against
 * other daemons.  -EBUSY: one has it. */
int core_pins_open(struct pins **out, const char *dir);
/* Removes ours; if it was not published, an earlier run's stay.  NULL-safe. */
void core_pins_close(struct pins **pins);

/* ---- datapath.c, chain.c, attach.c --------------------------------------- */

/* Before the subscribers are loaded: an earlier run's record of their slots, if
 * core->pins has one. */
int core_datapath_remember(struct core *core);
/* Finds the interfaces, loads the entry programs and makes the chains, as the
 * modules' flags (enum lqos_module_flags) want it.  Nothing is attached yet. */
int core_datapath_new(struct core_datapath **out, struct core *core,
		      uint32_t flags, uint32_t flow_bytes);
/* Nothing is detached when it is freed, or unpinned when core->pins are closed:
 * for whoever starts next. */
void core_datapath_leave(struct core_datapath *datapath);
/* Clean stop: detaches, unpins and restores. */
void core_datapath_free(struct core_datapath **datapath);
/* Puts the subscribers into the kernel and attaches to the interfaces. */
int core_datapath_attach(struct core_datapath *datapath);
/* {"interfaces": [...], "chains": {...}, "counters": {...}}: a new reference.
 */
struct json_t *core_datapath_status(struct core_datapath *datapath);
/* [{"module", "name", "id", "type", ...}]: a new reference. */
struct json_t *core_datapath_maps(struct core_datapath *datapath);
/*
 * Closes the books of a tick: whoever sends from now on is marked with the next
 * one.  *seen has a word a slot; slots whose word is the returned tick had
 * traffic since the call before.
 */
uint32_t core_datapath_tick(struct core_datapath *datapath,
			    const uint64_t **seen);

/* ---- notify.c: systemd --------------------------------------------------- */

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC; with neither set all calls do nothing.
 * The watchdog is kept alive from a timer on the loop. */
int core_notify_new(struct core_notify **out, struct core *core);
void core_notify_free(struct core_notify **notify);
void core_notify_ready(struct core_notify *notify);
void core_notify_stopping(struct core_notify *notify);
void core_notify_status(struct core_notify *notify, const char *fmt, ...)
	LQOS_PRINTF(2, 3);

/* ---- lock.c: one daemon a run directory ---------------------------------- */

/*
 * Makes run_dir (0755) where it is missing and takes RUN_DIR/lock, with our pid
 * in it; closing *fd gives it back.  -EBUSY: another process, named in the log,
 * has it.
 */
int core_lock_take(int *fd, const char *run_dir);
/*
 * The same for a tool that must not run beside a daemon: makes nothing, writes
 * no pid and says nothing.  -ENOENT: no daemon has ever been there; -EBUSY: one
 * is, and *holder its pid (0: unknown).
 */
int core_lock_take_left(int *fd, const char *run_dir, pid_t *holder);
/* The daemon that has it, which is not disturbed; 0: none that can be seen. */
pid_t core_lock_holder(const char *run_dir);

/* ---- status.c: the core's own bus methods -------------------------------- */

/* Registers core.status, core.modules and the like on core->ctx. */
int core_status_commands(struct core *core);

#endif /* CORE_CORE_H */
