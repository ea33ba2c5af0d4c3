/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: what forwards between the two interfaces of a pair. */
#include <net/if.h>
#include <string.h>

#include "core/doctor.h"

enum { PORT_FORWARDING = 3 }; /* BR_STATE_FORWARDING */

static const char *master_of(struct doctor *d, const struct doctor_port *p,
			     char *out, size_t size)
{
	return doctor_link(d->sys, out, size, "class/net/%s/master",
			   p->port->name)
		       ? ""
		       : out;
}

/* We forward: the kernel must not. */
static void want_no_bridge(struct doctor *d, const struct doctor_port *p,
			   const char *master)
{
	if (!*master) {
		doctor_ok(d, "lqosd forwards");
		return;
	}
	doctor_fail(d,
		    "it is a port of %s, which forwards as well as lqosd "
		    "does: frames go twice, or in a loop",
		    master);
	doctor_type(d, "ip link set dev %s nomaster", p->port->name);
}

static void judge_bridge(struct doctor *d, const struct doctor_port *p,
			 const char *bridge)
{
	const char *name = p->port->name;
	long state = doctor_number(d->sys, "class/net/%s/brport/state", name);
	long flags = doctor_number(d->sys, "class/net/%s/flags", bridge);

	if (flags >= 0 && !(flags & IFF_UP)) {
		doctor_fail(d, "its bridge %s is down", bridge);
		doctor_type(d, "ip link set dev %s up", bridge);
	} else if (state >= 0 && state != PORT_FORWARDING) {
		doctor_fail(d,
			    "%s does not forward from and to it (STP state "
			    "%ld)",
			    bridge, state);
		doctor_type(d, "ip link set dev %s type bridge stp_state 0",
			    bridge);
	} else if (doctor_number(d->sys, "class/net/%s/bridge/vlan_filtering",
				 bridge) > 0) {
		doctor_warn(d,
			    "%s filters VLANs: tagged frames pass only with a "
			    "tag that both ports are in",
			    bridge);
		doctor_type(d,
			    "ip link set dev %s type bridge vlan_filtering 0",
			    bridge);
		doctor_type(d, "bridge vlan show dev %s    # or see here",
			    name);
	} else {
		doctor_ok(d, "in %s", bridge);
	}
}

/* Neither is in one: routed, or not forwarded at all. */
static void judge_routing(struct doctor *d, const struct doctor_port *p)
{
	const char *name = p->port->name, *other = p->peer->port->name;

	if (doctor_number(d->proc, "sys/net/ipv4/ip_forward") > 0) {
		doctor_ok(d, "in none: routed");
		return;
	}
	doctor_fail(
		d,
		"nothing forwards between %s and %s: they are in no bridge, "
		"and routing is off",
		name, other);
	doctor_type(d,
		    "ip link add br0 type bridge && ip link set dev br0 up && "
		    "ip link set dev %s master br0 && ip link set dev %s "
		    "master br0",
		    name, other);
}

void doctor_bridge(struct doctor *d, const struct doctor_port *p)
{
	char mine[64], others[64];
	const char *master = master_of(d, p, mine, sizeof(mine));
	const char *other =
		p->peer ? master_of(d, p->peer, others, sizeof(others)) : "";

	if (d->topology.forwards) {
		want_no_bridge(d, p, master);
	} else if (!p->peer || !p->peer->ifindex) {
		doctor_ok(d, "one interface is only watched");
	} else if (*master && !strcmp(master, other)) {
		judge_bridge(d, p, master);
	} else if (*other &&
		   (!*master || p->port->side == LQOS_TO_SUBSCRIBERS)) {
		doctor_fail(d,
			    "%s is in %s and this is %s%s: nothing gets across",
			    p->peer->port->name, other,
			    *master ? "in " : "in none", master);
		doctor_type(d, "ip link set dev %s master %s", p->port->name,
			    other);
	} else if (*master) {
		doctor_ok(d, "in %s; see %s", master, p->peer->port->name);
	} else if (p->port->side == LQOS_TO_INTERNET) {
		judge_routing(d, p);
	}
}
