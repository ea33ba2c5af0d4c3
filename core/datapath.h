/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the datapath share. */
#ifndef CORE_DATAPATH_H
#define CORE_DATAPATH_H

#include <limits.h>
#include <linux/bpf.h>
#include <net/if.h>

#include "core/core.h"
#include "bpf/datapath.h"

struct bpf_link;
struct bpf_map;
struct bpf_program;
struct datapath_bpf;

/* ---- pins.c: /sys/fs/bpf/lqos ------------------------------------------- */

/*
 * maps/ is what the attached programs run on, links/ holds their attachments. A
 * start builds maps_new/; only when all of it is there does it become maps/,
 * and what was maps/ goes when nothing is attached to it any more.  So a daemon
 * may die at any moment: what runs stays pinned.
 */
/* Was there a datapath of an earlier run when they were opened? */
bool pins_earlier(const struct pins *pins);
/* What the earlier run pinned as MODULE/NAME, of whatever kind it is; -ENOENT.
 * Not after pins_publish(). */
int pins_open_map(const struct pins *pins, const char *module,
		  const char *name);
/* What dead runs left in dir, for core_pins_close() to remove; makes nothing.
 * -ENOENT: there is no such directory; -EBUSY: a daemon lives on it, and it is
 * not forced. */
int pins_open_left(struct pins **out, const char *dir, bool force);
/* Pin a map as MODULE/NAME. */
int pins_add_map(const struct pins *pins, const char *module, const char *name,
		 int fd);
/* All is built: from here on what is attached runs on it. */
int pins_publish(struct pins *pins);
/* All is attached: what earlier runs left goes. */
void pins_commit(const struct pins *pins);
/* All stays as it is when they are closed. */
void pins_keep(struct pins *pins);
/* fn for each pinned link; it may unlink it.  NULL has none. */
int pins_each_link(const struct pins *pins,
		   void (*fn)(const char *path, void *arg), void *arg);

/* ---- restore.c: what was changed, to be put back even after a crash ------ */

struct restore;

/* Reads RUN_DIR/restore if an earlier run of this boot left one. */
int restore_open(struct restore **out, const char *run_dir);
void restore_free(struct restore **restore);
/* The text noted under (interface, key), or NULL. */
const char *restore_get(const struct restore *restore, const char *interface,
			const char *key);
/* Note what was there before it is changed.  The first note of a key stays: it
 * is the value before any run of ours. */
int restore_note(struct restore *restore, const char *interface,
		 const char *key, const char *value);
/* It is back as it was. */
void restore_unnote(struct restore *restore, const char *interface,
		    const char *key);
/* The interface has another name now. */
void restore_rename(struct restore *restore, const char *from, const char *to);
/* The interface is no more. */
void restore_forget(struct restore *restore, const char *interface);
/* fn for each interface there are notes of; true: put back, forget them. */
void restore_each(struct restore *restore,
		  bool (*fn)(const char *interface, void *arg), void *arg);
/* All is put back. */
void restore_done(struct restore *restore);

/* ---- interfaces.c -------------------------------------------------------- */

bool interface_is_gone(uint32_t ifindex);
/* ifindex and queue counts of name; waits up to wait_ms for it to appear. */
int interface_find(struct lqos_interface *out, const char *name,
		   enum lqos_side side, uint32_t wait_ms);
/* Writes 0 to every tx queue's xps_cpus, noting the old masks.  An interface
 * without XPS (a single queue) is no error. */
int interface_clear_xps(const struct lqos_interface *iface,
			struct restore *restore);
void interface_restore_xps(const struct lqos_interface *iface,
			   const struct restore *restore);

/* Every frame is to arrive, whomever it is for. */
int interface_set_promisc(const struct lqos_interface *iface,
			  struct restore *restore);
void interface_restore_promisc(const struct lqos_interface *iface,
			       const struct restore *restore);

/*
 * VLAN tags stay in the frame.  One that the NIC takes off lies beside it: XDP
 * cannot see it there, and cpumap does not take it along (struct xdp_frame has
 * no room for it).
 */
void interface_keep_tags(const struct lqos_interface *iface,
			 struct restore *restore);
void interface_restore_tags(const struct lqos_interface *iface,
			    const struct restore *restore);

/* Logs what about the interface costs speed when packets go by cpumap. */
void interface_advise(const struct lqos_interface *iface);

/* Asks or sets by any struct of linux/ethtool.h. */
int interface_ethtool(const char *name, void *command);

/* Queues that can be set: those that send, or, combined, receive, too. */
struct interface_channels {
	uint32_t now, max; /* 0: not told */
	bool combined;
};

int interface_channels(const char *name, struct interface_channels *out);
/* The command that gives it n of them, or as many as it can have; returns buf.
 * NULL: that is no more than it has. */
const char *interface_more_channels(const char *name,
				    const struct interface_channels *c,
				    uint32_t n, char *buf, size_t size);

/* sysfs of our own network namespace, as a directory; or -errno. */
int interface_sysfs(void);

/* Opens what the kernel counts in statistics/FILE; the fd is the caller's, or
 * -errno. */
int interface_open_statistic(const char *name, const char *file);

/* ---- attach.c ------------------------------------------------------------ */

enum hook { HOOK_XDP, HOOK_OUT, HOOK_IN, HOOKS };

struct attachment {
	struct lqos_interface iface;
	char name[IF_NAMESIZE]; /* iface.name points here */
	int links[HOOKS];	/* -1: none */
	bool tc;		/* ours may be on TC */
	bool gone;		/* the interface is not there any more */
	uint32_t wait;		/* ticks until it is tried again */
};

/* Can TC programs be attached without a qdisc?  Kernels before 6.6 cannot. */
bool attach_has_tcx(uint32_t ifindex);
/* Are they, by that tc_mode? */
bool attach_takes_tcx(uint32_t ifindex, const char *mode);
/* -EBUSY: somebody else's XDP program is on the interface; -EEXIST: an ingress
 * qdisc is, where clsact has to go. */
int attach_check(const struct attachment *a, bool tcx, const char *pin_dir);
/* mode: auto|native|generic.  Adopts a link pinned by an earlier run by putting
 * prog_fd into it; says in a->iface.native which mode it is. */
int attach_xdp(struct attachment *a, int prog_fd, const char *mode,
	       const char *pin_dir);
int attach_tc(struct attachment *a, enum hook hook, int prog_fd, bool tcx,
	      const char *pin_dir, struct restore *restore);
void attach_tc_off(struct attachment *a, enum hook hook, const char *pin_dir,
		   struct restore *restore);
/* Takes off what attach_xdp() and attach_tc() put on. */
void attach_undo(struct attachment *a, const char *pin_dir,
		 struct restore *restore);
enum attach_state {
	ATTACH_HOLDS,
	ATTACH_LOST,	  /* the interface, or a link whose pin is there */
	ATTACH_TAKEN_OFF, /* a link, on purpose: so it stays */
};
enum attach_state attach_look(const struct attachment *a, const char *pin_dir);
/* Leaves what is attached to the pins, as for a run after this one. */
void attach_let_go(struct attachment *a);
/* Closes what was taken off; true: XDP was among it. */
bool attach_accept(struct attachment *a);
/* The link pinned as path is of this interface: it gets its name. */
void attach_claim(const struct attachment *a, enum hook hook, const char *path,
		  const char *pin_dir);

/* Where a link is attached. */
struct attach_place {
	enum hook hook;
	const char *hook_name;
	uint32_t ifindex; /* in its own network namespace; 0: it is gone */
	uint32_t prog_id;
};

/* -ENOENT: at no interface, by its type. */
int attach_place(int link_fd, struct attach_place *out);
/* Is it an interface of our network namespace?  1, 0, or -errno: there is no
 * telling now. */
int attach_is_here(const struct attach_place *place);
/* Id of the core's program on TC, however it is attached; 0: none. */
uint32_t attach_tc_program(uint32_t ifindex, enum hook hook);

/* ---- clsact.c: TC without TCX -------------------------------------------- */

int clsact_attach(const struct lqos_interface *iface, enum hook hook,
		  int prog_fd, struct restore *restore);
/* Takes off what is noted to be ours. */
void clsact_detach(const struct lqos_interface *iface, enum hook hook,
		   struct restore *restore);
/* The qdisc, if we made it and nobody else is on it. */
void clsact_remove(const struct lqos_interface *iface, struct restore *restore);
/* Id of the program in our place among an interface's filters; 0: none (libbpf
 * says so, too, where there is no clsact). */
uint32_t clsact_program(uint32_t ifindex, enum hook hook);
/* 1, 0, or -errno: nobody knows. */
int attach_has_qdisc(uint32_t ifindex, const char *kind);

/* ---- chain.c: the linked list of programs of each stage ------------------ */

enum stage {
	STAGE_INGRESS,
	STAGE_OBSERVE,
	STAGE_OBSERVE_TC,
	STAGE_EGRESS,
	STAGES,
};

extern const char *const stage_names[STAGES];

/* The stage whose macro (lqos/packet.bpf.h) made a program with that section;
 * STAGES: none of ours. */
enum stage stage_of_section(const char *section, bool *last);

/* A program that runs in the place of a module's own. */
struct chain_graft {
	int prog_fd; /* the graft's */
	uint32_t id; /* the kernel's */
	char program[BPF_OBJ_NAME_LEN];
};

/* NULL-safe; clears *graft. */
void chain_graft_free(struct chain_graft **graft);

struct chain_link {
	const char *module; /* the context's name */
	const char *program;
	uint32_t index; /* the module's slot */
	int prog_fd;	/* borrowed from its object */
	bool last;
	struct chain_graft *graft; /* NULL: its own program runs */
};

struct chain {
	int map_fd;
	int tail_fd; /* what follows the last; -1: nothing, the packet passes */
	size_t n;
	struct chain_link links[32];
};

/* A live chain stays whole at every moment: one slot is written at a time. */
int chain_insert(struct chain *chain, const struct chain_link *link);
void chain_remove(struct chain *chain, uint32_t index);
/* Of the module with that index; NULL: it has none in this stage. */
const struct chain_link *chain_find(const struct chain *chain, uint32_t index);
/*
 * Lets *graft, or, where that is NULL, the module's own program, run in the
 * module's place: each packet meets what was there or what is now, never both.
 * *graft is then what ran there before, and the caller's; so twice changes
 * nothing.  -ENOENT: the module has none in this stage; else what the kernel
 * says.
 */
int chain_swap(struct chain *chain, uint32_t index, struct chain_graft **graft);
/* It goes on as it is, without us. */
void chain_forget(struct chain *chain);

/* ---- maps.c: what maps and programs there are ---------------------------- */

/* What may be done with a map outside the daemon; nothing less than before. */
enum datapath_access {
	DATAPATH_PRIVATE = 1,
	DATAPATH_READ,
	DATAPATH_WRITE, /* by root */
};

extern const char *const datapath_access_names[];

struct datapath_map {
	const char *module, *name;
	int fd; /* borrowed */
	uint32_t id, btf_id;
	enum datapath_access access;
};

struct datapath_program {
	const char *module, *name;
	int fd; /* borrowed */
};

/* All there are, the core's first. */
struct datapath_lists {
	struct datapath_map *maps;
	struct datapath_program *programs;
	size_t n_maps, n_programs;
};

/* ---- datapath.c ---------------------------------------------------------- */

enum { LOSSES = 3 };

struct core_datapath {
	struct core *core;
	struct datapath_bpf *skel;
	struct bpf_object *obj; /* of skel */
	struct restore *restore;
	bool steered;
	bool tracks;	    /* flows */
	bool one_interface; /* seen in both directions */
	bool stick;	    /* one, whose VLANs are the sides */
	bool tcx;	    /* how TC programs are attached */
	bool attached;
	bool no_batches;   /* of tries: this kernel has none */
	bool adopts;	   /* what fits of an earlier run's maps */
	bool owners_there; /* the tries are an earlier run's, with all in it */
	bool left;	   /* stays as it is when this run ends */
	uint32_t adopted, discarded; /* maps of the earlier run */
	struct core_topology topology;
	struct attachment at[CORE_PORTS_MAX]; /* as in topology */
	uint32_t n_at;
	struct chain chains[STAGES];
	struct pins *pins;
	int cpumap_fd;
	struct bpf_link *losses[LOSSES]; /* tracepoints that tell of them */
	int scratch_fd;
	int flows_fd;
	uint32_t flow_bytes;		     /* of a flow's record */
	void *flows;			     /* by slot; NULL: not tracked */
	const struct dp_flow_row *flow_rows; /* by CPU */
	struct flow_watcher *watchers;	     /* of flows */
	uint32_t possible_cpus;
	struct core_cpus *cpus;
	const struct dp_counters *counters; /* by CPU */
	const uint64_t *seen;		    /* by slot */
	struct datapath_object *objects; /* loaded by modules, newest first */
	struct datapath_lists lists;
};

/* An object that lqos_bpf_attach() took in. */
struct datapath_object {
	struct core_datapath *dp;
	struct lqos_ctx *ctx;
	struct bpf_object *obj;
	struct datapath_object *next;
};

#define DATAPATH_WHO "datapath" /* the core's own among modules' names */

/* The core's map of that name, for modules' objects; -1: not one of ours. */
int datapath_core_map(const struct core_datapath *dp, const char *name);
/* Set a const volatile variable of an object that is not loaded yet.  -ENOENT:
 * it has none of that name. */
int datapath_set_rodata(struct bpf_object *obj, const char *name,
			uint64_t value);

/* Makes the kernel's prefixes the registry's, by what differs, and from now on
 * with every change of them (owners.c). */
int core_owners_sync(struct core_datapath *dp);
/* Gives links of an earlier run the names their interfaces have now. */
void datapath_follow_links(struct core_datapath *dp);
/* What is remembered of look-ups is not believed any more. */
void core_owners_forget(struct core_datapath *dp);

/* ---- adopt.c ------------------------------------------------------------- */

/* Between obj's open and load: takes over what fits of an earlier run's. */
void datapath_adopt_maps(struct core_datapath *dp, const char *module,
			 struct bpf_object *obj);
/* All is attached, and the kernel knows all owners: from now on the record of
 * slots follows, and a slot that has a new owner begins with zeros. */
int datapath_connect_slots(struct core_datapath *dp);

/* Takes off what an earlier run left on interfaces that are not ours
 * (takeover.c). */
void datapath_leave_others(struct core_datapath *dp);

/* ---- ports.c: the interfaces while we run -------------------------------- */

/* Waits for those that are configured. */
int ports_find(struct core_datapath *dp);
/* What the programs have to know, before they are loaded. */
void ports_prepare(struct core_datapath *dp);
/* May we attach to all of them? */
int ports_check(struct core_datapath *dp);
int ports_attach(struct core_datapath *dp);
/* Does each interface have our program on it? */
bool ports_attached(const struct core_datapath *dp);
/* Is our program on that one? */
bool port_attached(const struct attachment *a);
/* Once a tick: interfaces that went, came back, or are renamed. */
void ports_watch(struct core_datapath *dp);
/* Takes off what is on one, and puts back what was changed. */
void ports_put_back(struct attachment *a, const char *pin_dir,
		    struct restore *restore);
void ports_detach(struct core_datapath *dp);

/* ---- flows.c: which flow a packet is of ---------------------------------- */

/* Sizes of the table, before the programs are loaded. */
int flows_prepare(struct core_datapath *dp);
/* Hooks in the programs that packets go through where a flow begins. */
int flows_hook(struct core_datapath *dp);
/* Views of it, and its columns. */
int flows_add(struct core_datapath *dp);
/* Once a tick: whose flows get in. */
void flows_look(struct core_datapath *dp);
/* {"used", "max", ...}: a new reference; NULL: there is no table. */
struct json_t *flows_json(const struct core_datapath *dp);
/* Entries of arrays by flow. */
uint32_t flows_slots(const struct core_datapath *dp);

/* ---- bypass.c: packets pass untouched, for a time ------------------------ */

/* Registers core.bypass. */
int bypass_add(struct core_datapath *dp);
/* {"bypass": bool, "seconds_left": n}: a new reference. */
struct json_t *bypass_json(const struct core_datapath *dp);
/* Once a tick: is its time over? */
void bypass_watch(struct core_datapath *dp);

/* ---- graft.c: other programs in the places of modules' own --------------- */

/* Registers core.graft and what belongs to it. */
int graft_add(struct core_datapath *dp);

/* graft_check.c */
/*
 * May the program fd run in the place of the own one that the module of object,
 * its newest, has in stage?  *info is what the kernel says of it.  If not, why,
 * of size bytes, is what is wrong with it.
 */
int graft_check(const struct datapath_object *object, int stage, int fd,
		struct bpf_prog_info *info, char *why, size_t size);

/* The least power of two that is not less. */
static inline uint32_t datapath_pow2(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

/* Made when they are asked for (maps.c); good until a module comes or goes.
 * NULL: there is no memory for them. */
const struct datapath_lists *datapath_lists(struct core_datapath *dp);
void datapath_lists_forget(struct core_datapath *dp);

/* Is there a BPF file system, mounted here, that others than root may pin
 * something in?  path, of size bytes, is where (bpffs.c). */
bool bpffs_is_open(char *path, size_t size);

/* ---- grants.c: descriptors of maps, for others ----------------------------
 */

/* Registers core.grant. */
int grants_add_command(struct core_datapath *dp);

/* ---- objects.c, status --------------------------------------------------- */

/* Type and attach type of a program of that stage. */
void datapath_set_type(const struct core_datapath *dp, struct bpf_program *prog,
		       enum stage stage);
/* Pins obj's own maps under maps/MODULE. */
int datapath_pin_maps(const struct core_datapath *dp, const char *module,
		      struct bpf_object *obj);
/* Registers the datapath's counters as global columns. */
int datapath_add_columns(struct core_datapath *dp);
/* Registers the kernel's counters as interface columns (interface_columns.c).
 */
int interface_add_columns(struct core_datapath *dp);

#endif /* CORE_DATAPATH_H */
