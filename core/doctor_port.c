/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: each interface. */
#include <ctype.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/doctor.h"

#define CLASS		 "class/net/%s/"
#define NATIVE_MTU_USUAL 3498 /* one page, less room for headers */

void doctor_interface(struct doctor *d, const struct doctor_port *p)
{
	const char *name = p->port->name;
	char driver[64], speed[32] = "";
	long flags, mbit;

	if (!p->ifindex) {
		doctor_fail(d, "there is none of that name in this network "
			       "namespace");
		doctor_type(d, "ip -br link");
		return;
	}
	flags = doctor_number(d->sys, CLASS "flags", name);
	if (flags >= 0 && !(flags & IFF_UP)) {
		doctor_fail(d, "it is down");
		doctor_type(d, "ip link set dev %s up", name);
		return;
	}
	if (!doctor_number(d->sys, CLASS "carrier", name)) {
		doctor_fail(d, "no carrier: a cable, an optic, or the other "
			       "end");
		doctor_type(d, "ethtool %s", name);
		return;
	}
	mbit = doctor_number(d->sys, CLASS "speed", name);
	if (mbit > 0)
		snprintf(speed, sizeof(speed), ", %ld Mbit/s", mbit);
	if (doctor_link(d->sys, driver, sizeof(driver), CLASS "device/driver",
			name))
		strcpy(driver, "no hardware");
	doctor_ok(d, "up, %s%s", driver, speed);
}

void doctor_mtu(struct doctor *d, const struct doctor_port *p)
{
	long mtu = doctor_number(d->sys, CLASS "mtu", p->port->name);
	long other = p->peer ? doctor_number(d->sys, CLASS "mtu",
					     p->peer->port->name)
			     : mtu;

	if (mtu >= other) {
		doctor_ok(d, "%ld", mtu);
		return;
	}
	doctor_warn(d,
		    "%ld, but %s has %ld: larger frames from there are lost "
		    "here",
		    mtu, p->peer->port->name, other);
	doctor_type(d, "ip link set dev %s mtu %ld", p->port->name, other);
}

static bool count_tx(struct doctor *d, const char *name, void *arg)
{
	uint32_t *n = arg;

	(void)d;
	*n += !strncmp(name, "tx-", 3);
	return false;
}

static uint32_t tx_queues(struct doctor *d, const struct doctor_port *p)
{
	char path[64];
	uint32_t n = 0;

	snprintf(path, sizeof(path), CLASS "queues", p->port->name);
	doctor_each(d->sys, path, count_tx, d, &n);
	return n;
}

void doctor_queues(struct doctor *d, const struct doctor_port *p)
{
	uint32_t n = tx_queues(d, p);
	uint32_t wanted = p->port->side == LQOS_STICK ? 2 * d->cpus : d->cpus;
	char command[96];

	if (n >= wanted) {
		doctor_ok(d, "%u for %u CPUs", n, d->cpus);
	} else if (interface_more_channels(p->port->name, &p->channels, wanted,
					   command, sizeof(command))) {
		doctor_warn(d,
			    "%u queues for %u CPUs: only %u CPUs shape; it "
			    "can have %u",
			    n, d->cpus, n, p->channels.max);
		doctor_type(d, "%s", command);
	} else if (n == 1 && d->cpus > 1) {
		doctor_warn(d,
			    "a single queue, so one CPU of %u shapes all: "
			    "take an interface with several",
			    d->cpus);
	} else {
		doctor_ok(d, "%u for %u CPUs, more it cannot have", n, d->cpus);
	}
}

void doctor_offloads(struct doctor *d, const struct doctor_port *p)
{
	const char *name = p->port->name;
	bool fine = true;

	if (p->lro == 1) {
		doctor_fail(d, "large-receive-offload is on: merged packets "
			       "cannot be forwarded, and most drivers then "
			       "take no XDP");
		doctor_type(d, "ethtool -K %s lro off", name);
		fine = false;
	}
	/* lqosd turns it off at its start; somebody turned it on again. */
	if (p->rxvlan == 1 && d->daemon &&
	    (doctor_steers(d) || p->port->side == LQOS_STICK ||
	     d->settings->address_spaces)) {
		doctor_fail(d, "rx-vlan-offload is on: XDP does not see the "
			       "tags that it takes off, and on their way to "
			       "another CPU frames lose them");
		doctor_type(d, "ethtool -K %s rxvlan off", name);
		fine = false;
	}
	if (!p->gro && doctor_steers(d)) {
		doctor_warn(d, "generic-receive-offload is off: nothing is "
			       "merged behind the cpumap, and TCP costs twice "
			       "as much");
		doctor_type(d, "ethtool -K %s gro on", name);
		fine = false;
	}
	if (fine)
		doctor_ok(d, "as they should be");
}

/* ---- Programs ------------------------------------------------------------ */

static bool is_ours(const struct doctor_port *p)
{
	return !strncmp(p->xdp_name, "lq_", 3);
}

static void explain_generic(struct doctor *d, const struct doctor_port *p)
{
	long mtu = doctor_number(d->sys, CLASS "mtu", p->port->name);
	const char *name = p->port->name;

	if (!strcmp(d->settings->xdp_mode, "generic")) {
		doctor_ok(d, "generic, as configured");
	} else if (mtu > NATIVE_MTU_USUAL) {
		doctor_warn(d,
			    "generic, which is slow: with an MTU of %ld most "
			    "drivers take no XDP program",
			    mtu);
		doctor_type(d, "ip link set dev %s mtu 1500", name);
		doctor_type(d, "systemctl restart lqosd");
	} else {
		doctor_warn(d, "generic, which is slow: its driver takes no "
			       "XDP program, or has too few queues; its "
			       "reason, if it gives one, is in");
		doctor_type(d, "dmesg | grep -i -e xdp -e %s | tail", name);
	}
}

void doctor_xdp(struct doctor *d, const struct doctor_port *p)
{
	const char *name = p->port->name;

	if (p->xdp && !d->root) {
		doctor_ok(d, "there is a program");
	} else if (p->xdp && !is_ours(p)) {
		doctor_fail(d,
			    "somebody else's program (%s, id %u) is attached: "
			    "lqosd does not start beside it",
			    p->xdp_name, p->xdp);
		if (p->xdp_link)
			doctor_type(d, "bpftool link detach id %u",
				    p->xdp_link);
		else
			doctor_type(d, "ip link set dev %s %s off", name,
				    p->xdp_native ? "xdpdrv" : "xdpgeneric");
	} else if (p->xdp && p->xdp_native) {
		doctor_ok(d, "native");
	} else if (p->xdp) {
		explain_generic(d, p);
	} else if (d->daemon) {
		doctor_fail(d, "lqosd runs, but its program is not attached: "
			       "nothing that arrives is seen");
		doctor_type(d, "systemctl restart lqosd");
	} else {
		doctor_ok(d, "nobody's program is attached");
	}
}

void doctor_filter(struct doctor *d, const struct doctor_port *p)
{
	const char *name = p->port->name;

	if (p->ingress_qdisc) {
		doctor_fail(d, "an ingress qdisc is where clsact has to go: "
			       "lqosd does not start");
		doctor_type(d, "tc qdisc del dev %s ingress", name);
	} else if (d->root && d->daemon && !p->egress) {
		doctor_fail(d, "lqosd's program at TC egress is gone, so no "
			       "packet gets its class");
		doctor_type(d, "systemctl restart lqosd");
	} else if (d->root && d->daemon && d->topology.forwards &&
		   !p->ingress) {
		doctor_fail(d, "lqosd's program at TC ingress is gone, so "
			       "nothing is forwarded");
		doctor_type(d, "systemctl restart lqosd");
	} else {
		doctor_ok(d, p->egress ? "attached" : "nothing in the way");
	}
}

void doctor_tree(struct doctor *d, const struct doctor_port *p)
{
	if (p->htb || !d->status || !doctor_steers(d)) {
		doctor_ok(d, p->htb ? "HTB" : "none is needed yet");
		return;
	}
	doctor_warn(d,
		    "no HTB classes are on it, so packets are steered but "
		    "no subscriber's rate is limited; what should be there:");
	doctor_type(d, "lqosctl steering tree");
}

/* ---- Queues -------------------------------------------------------------- */

static bool has_xps(struct doctor *d, const char *queue, void *arg)
{
	const struct doctor_port *p = arg;
	char mask[1024];

	return !strncmp(queue, "tx-", 3) &&
	       !doctor_read(d->sys, mask, sizeof(mask),
			    CLASS "queues/%s/xps_cpus", p->port->name, queue) &&
	       strspn(mask, "0,") != strlen(mask);
}

void doctor_xps(struct doctor *d, const struct doctor_port *p)
{
	char path[64];

	snprintf(path, sizeof(path), CLASS "queues", p->port->name);
	if (!doctor_each(d->sys, path, has_xps, d, (void *)p)) {
		doctor_ok(d, "off");
	} else if (!d->daemon) {
		doctor_ok(d, "on; lqosd turns it off while it runs");
	} else if (!doctor_steers(d)) {
		doctor_ok(d, "on");
	} else {
		doctor_fail(d, "somebody has set it again: it sends packets by "
			       "another queue than the one that their class "
			       "is in, so they are not shaped");
		doctor_type(d,
			    "for f in /sys/class/net/%s/queues/tx-*/xps_cpus; "
			    "do echo 0 >$f; done",
			    p->port->name);
	}
}

/* ---- Interrupts ---------------------------------------------------------- */

enum { IRQS_MAX = 256 };

struct interrupts {
	const struct doctor_port *p;
	unsigned int n;
	unsigned int irq[IRQS_MAX];
	int cpu[IRQS_MAX];
	uint64_t count[IRQS_MAX];
};

/* Is it the interface's, by its name ("eth0-TxRx-3") or its device? */
static bool is_its_interrupt(struct doctor *d, const struct doctor_port *p,
			     unsigned int irq, const char *label)
{
	const char *at = strstr(label, p->port->name);
	size_t len = strlen(p->port->name);
	char path[128];

	if (at && (at == label || !isalnum((unsigned char)at[-1])) &&
	    !isalnum((unsigned char)at[len]))
		return true;
	snprintf(path, sizeof(path), CLASS "device/msi_irqs/%u", p->port->name,
		 irq);
	return !faccessat(d->sys, path, F_OK, 0);
}

/* " 44:  1234  0  PCI-MSI 524289-edge  eth0-TxRx-0" */
static void read_interrupt(struct doctor *d, struct interrupts *all,
			   const char *line)
{
	char *at, cpu[64];
	unsigned int irq;
	uint64_t count = 0;

	irq = strtoul(line, &at, 10);
	if (*at != ':' || all->n == IRQS_MAX)
		return;
	at++;
	for (uint32_t i = 0; i < d->cpus; i++)
		count += strtoull(at, &at, 10);
	if (!count || !is_its_interrupt(d, all->p, irq, at))
		return;
	if (doctor_read(d->proc, cpu, sizeof(cpu),
			"irq/%u/effective_affinity_list", irq) &&
	    doctor_read(d->proc, cpu, sizeof(cpu), "irq/%u/smp_affinity_list",
			irq))
		return;
	/* On several CPUs: the kernel takes the first, unless it says. */
	all->irq[all->n] = irq;
	all->cpu[all->n] = atoi(cpu);
	all->count[all->n++] = count;
}

static void read_interrupts(struct doctor *d, struct interrupts *all)
{
	int fd = openat(d->proc, "interrupts", O_RDONLY | O_CLOEXEC);
	autofclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	autofree char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		read_interrupt(d, all, line);
}

/* The CPU with most of them, and with how many. */
static unsigned int fullest(const struct interrupts *all, int *cpu)
{
	unsigned int most = 0;

	for (unsigned int i = 0; i < all->n; i++) {
		unsigned int n = 0;

		for (unsigned int j = 0; j < all->n; j++)
			n += all->cpu[j] == all->cpu[i];
		if (n <= most)
			continue;
		most = n;
		*cpu = all->cpu[i];
	}
	return most;
}

static void spread(struct doctor *d, const struct interrupts *all)
{
	char list[800] = "";
	size_t n = 0;

	for (unsigned int i = 0; i < all->n && n < sizeof(list) - 16; i++)
		n += snprintf(list + n, sizeof(list) - n, " %u", all->irq[i]);
	doctor_type(d,
		    "i=0; for q in%s; do echo $((i++ %% %u)) "
		    ">/proc/irq/$q/smp_affinity_list; done",
		    list, d->cpus);
}

static void judge_counts(struct doctor *d, const struct interrupts *all)
{
	uint64_t sum = 0, most = 0;

	for (unsigned int i = 0; i < all->n; i++) {
		sum += all->count[i];
		most = all->count[i] > most ? all->count[i] : most;
	}
	if (sum < 1000000 || most < sum / 10 * 9) {
		doctor_ok(d, "%u, on several CPUs", all->n);
		return;
	}
	doctor_warn(d,
		    "one of %u receive queues has %u %% of all interrupts: "
		    "the interface cannot tell this traffic's flows apart "
		    "(PPPoE, MPLS, QinQ?), and one CPU takes it all in",
		    all->n, (unsigned int)(most * 100 / sum));
	doctor_type(d, "ethtool -n %s rx-flow-hash udp4", all->p->port->name);
}

void doctor_interrupts(struct doctor *d, const struct doctor_port *p)
{
	autofree struct interrupts *all = calloc(1, sizeof(*all));
	unsigned int most, fair;
	int cpu = 0;

	if (!all)
		return;
	all->p = p;
	read_interrupts(d, all);
	if (all->n < 2 || d->cpus < 2) {
		doctor_ok(d, all->n ? "one" : "none of its own");
		return;
	}
	most = fullest(all, &cpu);
	fair = (all->n + d->cpus - 1) / d->cpus;
	if (most == all->n) {
		doctor_fail(d,
			    "all %u queues interrupt CPU %d, of %u CPUs: it "
			    "takes in everything alone",
			    all->n, cpu, d->cpus);
		spread(d, all);
	} else if (most > 2 * fair) {
		doctor_warn(d, "%u of %u queues interrupt CPU %d", most, all->n,
			    cpu);
		spread(d, all);
	} else {
		judge_counts(d, all);
	}
}
