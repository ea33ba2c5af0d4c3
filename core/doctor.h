/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor.h - what the checks of `lqosctl doctor` see and say.  Facts are
 * gathered once, by doctor_gather.c; a check looks at them and at the files of
 * sysfs and procfs, and changes nothing.
 */
#ifndef CORE_DOCTOR_H
#define CORE_DOCTOR_H

#include "core/datapath.h"
#include "core/local.h"

/* Frames that arrived, by whose addresses they carry. */
struct doctor_traffic {
	uint32_t frames;
	uint32_t ip;
	uint32_t from_subscribers; /* only the source is a subscriber's */
	uint32_t to_subscribers;   /* only the destination is */
};

/* Where frames on an interface come from: on a stick from either. */
enum doctor_origin { FROM_INTERNET, FROM_SUBSCRIBERS, ORIGINS };

struct doctor_port {
	const struct core_port *port;
	const struct doctor_port *peer; /* the other of its pair; or NULL */
	uint32_t ifindex;		/* 0: there is no such interface */
	int gro, lro, rxvlan;		/* 1: on, 0: off, -1: not told */
	struct interface_channels channels;
	uint32_t xdp;	   /* the program's id; 0: none */
	uint32_t xdp_link; /* the id of the link that holds it; 0: none */
	char xdp_name[32];
	bool xdp_native;
	bool egress, ingress; /* our TC programs are there */
	bool ingress_qdisc;   /* where clsact has to go */
	bool htb;
	struct doctor_traffic traffic[ORIGINS];
};

/* Something the kernel has to be able to do. */
struct doctor_probe {
	const char *what;
	const char *since;   /* the first Linux that can */
	int (*run)(void);    /* 1: it can, 0: it cannot, -errno: who knows */
	const char *without; /* NULL: nothing works; else what is worse */
};

struct doctor {
	int proc, sys; /* where procfs and sysfs are */
	const char *bpffs;
	const char *config;    /* the file, for people */
	bool interfaces_given; /* by -i */
	const struct core_settings *settings;
	struct core_topology topology;
	struct doctor_port ports[CORE_PORTS_MAX];
	const struct doctor_probe *probes; /* ends with {} */
	bool root;
	int jited;	/* 1: BPF is compiled, 0: interpreted, -1: not told */
	uint32_t cpus;	/* online */
	pid_t daemon;	/* 0: none lives; -ESRCH: it does not say its pid */
	json_t *status; /* core.status; NULL: it does not answer */
	unsigned int left;  /* pins of a datapath that may be in use */
	bool traffic_known; /* traffic was looked at, and */
	unsigned int listened_ms;

	/* What was said. */
	json_t *findings;
	json_t *last;	   /* borrowed */
	const char *check; /* who speaks */
	const char *interface;
	unsigned int ok, warned, failed;
};

struct doctor_check {
	const char *name;
	void (*run)(struct doctor *d);
	/* In place of run: once for each interface that there is. */
	void (*run_port)(struct doctor *d, const struct doctor_port *p);
};

/* ---- doctor.c ------------------------------------------------------------ */

void doctor_ok(struct doctor *d, const char *fmt, ...) LQOS_PRINTF(2, 3);
/* It works, but not as well as it could. */
void doctor_warn(struct doctor *d, const char *fmt, ...) LQOS_PRINTF(2, 3);
/* It does not work, or not for long. */
void doctor_fail(struct doctor *d, const char *fmt, ...) LQOS_PRINTF(2, 3);
/* A command that mends what was said last; once for each command. */
void doctor_type(struct doctor *d, const char *fmt, ...) LQOS_PRINTF(2, 3);

/* The first line of a file below dir (one of proc, sys); -errno. */
int doctor_read(int dir, char *out, size_t size, const char *fmt, ...)
	LQOS_PRINTF(4, 5);
/* The number that a file begins with; -1: there is none. */
long doctor_number(int dir, const char *fmt, ...) LQOS_PRINTF(2, 3);
/* What a symbolic link ends with; -errno. */
int doctor_link(int dir, char *out, size_t size, const char *fmt, ...)
	LQOS_PRINTF(4, 5);
/* fn for each entry of a directory until it returns true, which is returned. */
bool doctor_each(int dir, const char *path,
		 bool (*fn)(struct doctor *d, const char *name, void *arg),
		 struct doctor *d, void *arg);
/* Does a module that is configured move packets to CPUs? */
bool doctor_steers(const struct doctor *d);

/* Runs checks; a table ends with {}. */
void doctor_run(struct doctor *d, const struct doctor_check *checks);
/* NULL in place of the name: all. */
const struct doctor_check *doctor_checks(void);

/* ---- doctor_print.c ------------------------------------------------------ */

/* All that was found, on stdout. */
int doctor_print(const struct doctor *d, const struct local_options *o);

/* ---- doctor_gather.c, doctor_probes.c, doctor_traffic.c ------------------ */

/* Everything but settings, topology and proc. */
void doctor_gather(struct doctor *d);
extern const struct doctor_probe doctor_probes[];
/* As struct doctor's jited. */
int doctor_is_jited(void);

enum { DOCTOR_LISTEN_MS = 1000, DOCTOR_FRAMES = 512 };

/* Is it a subscriber's?  addr in network order; vlan 0: none. */
typedef bool (*doctor_owner_fn)(void *arg, int family, const void *addr,
				uint16_t vlan);
/* Listens at all interfaces for at most DOCTOR_LISTEN_MS or DOCTOR_FRAMES. */
void doctor_listen(struct doctor *d, doctor_owner_fn owned, void *arg);
/* Counts a frame into one of t's (by origin); vlan: the tag that was taken out
 * of the frame already, or 0. */
void doctor_count(const struct doctor *d, const struct doctor_port *p,
		  const uint8_t *frame, size_t len, uint16_t vlan,
		  doctor_owner_fn owned, void *arg, struct doctor_traffic *t);

/* ---- The checks ---------------------------------------------------------- */

void doctor_rights(struct doctor *d);
void doctor_kernel(struct doctor *d);
void doctor_bpffs(struct doctor *d);
void doctor_jit(struct doctor *d);
void doctor_clocksource(struct doctor *d);
void doctor_governor(struct doctor *d);
void doctor_irqbalance(struct doctor *d);
void doctor_memory(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_libreqos(struct doctor *d);
void doctor_daemon(struct doctor *d);
void doctor_subscribers(struct doctor *d);
void doctor_bypass(struct doctor *d);
void doctor_losses(struct doctor *d);
void doctor_netfilter(struct doctor *d);

void doctor_interface(struct doctor *d, const struct doctor_port *p);
void doctor_mtu(struct doctor *d, const struct doctor_port *p);
void doctor_queues(struct doctor *d, const struct doctor_port *p);
void doctor_offloads(struct doctor *d, const struct doctor_port *p);
void doctor_xdp(struct doctor *d, const struct doctor_port *p);
void doctor_filter(struct doctor *d, const struct doctor_port *p);
void doctor_tree(struct doctor *d, const struct doctor_port *p);
void doctor_xps(struct doctor *d, const struct doctor_port *p);
void doctor_interrupts(struct doctor *d, const struct doctor_port *p);
void doctor_bridge(struct doctor *d, const struct doctor_port *p);
void doctor_direction(struct doctor *d, const struct doctor_port *p);

#endif /* CORE_DOCTOR_H */
