/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interfaces while we run: found, attached, and followed when one is
 * renamed, goes, or comes back.  What happens to one leaves the others alone.
 */
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#include "bpf/datapath.skel.h"

#define WHO "datapath"

enum { INTERFACE_WAIT_MS = 10000, RETRY_TICKS = 3 };

_Static_assert((int)DP_PORTS == (int)CORE_PORTS_MAX, "room for all");

int ports_find(struct core_datapath *dp)
{
	const struct core_topology *t = &dp->topology;
	uint32_t i;
	int rc = core_topology_read(&dp->topology, &dp->core->settings);

	if (rc)
		return rc;
	if (!t->n_ports)
		return core_fail(WHO, -EINVAL,
				 "no interface: set to_internet "
				 "and to_subscribers in [lqosd], or give -i");
	for (i = 0; i < t->n_ports; i++) {
		struct attachment *a = &dp->at[i];

		rc = interface_find(&a->iface, t->ports[i].name,
				    t->ports[i].side, INTERFACE_WAIT_MS);
		if (rc)
			return rc;
		strcpy(a->name, t->ports[i].name);
		a->iface.name = a->name;
		a->iface.pair = t->ports[i].pair;
		memset(a->links, -1, sizeof(a->links));
		dp->n_at++;
	}
	dp->stick = dp->at[0].iface.side == LQOS_STICK;
	dp->one_interface = dp->n_at == 1 && !dp->stick;
	return 0;
}

/* What the programs know of the interfaces; a gone one is nobody's peer. */
static void tell_programs(struct core_datapath *dp)
{
	const struct attachment *a, *peer;
	uint32_t i;

	for (i = 0; i < dp->n_at; i++) {
		struct dp_port *port = &dp->skel->bss->dp_ports[i];

		a = &dp->at[i];
		peer = dp->stick ? a : &dp->at[i ^ 1];
		port->internet = a->iface.side == LQOS_TO_INTERNET;
		port->peer = dp->topology.forwards && !peer->gone
				     ? peer->iface.ifindex
				     : 0;
		port->ifindex = a->gone ? 0 : a->iface.ifindex;
	}
}

void ports_prepare(struct core_datapath *dp)
{
	const struct core_topology *t = &dp->topology;
	struct dp_vlan *vlans = (void *)(uintptr_t)dp->skel->rodata->dp_vlans;
	struct datapath_bpf *skel = dp->skel;
	uint32_t i;

	for (i = 0; i < t->n_vlans; i++) {
		uint16_t internet = t->vlans[i].internet;
		uint16_t subscribers = t->vlans[i].subscribers;

		vlans[internet] = (struct dp_vlan){subscribers, true};
		vlans[subscribers] = (struct dp_vlan){internet, false};
	}
	bpf_program__set_autoload(skel->progs.lq_from_inet, !dp->stick);
	bpf_program__set_autoload(skel->progs.lq_from_subs, !dp->stick);
	bpf_program__set_autoload(skel->progs.lq_from_stick, dp->stick);
	bpf_program__set_autoload(skel->progs.lq_to_inet, !dp->stick);
	bpf_program__set_autoload(skel->progs.lq_to_subs, !dp->stick);
	bpf_program__set_autoload(skel->progs.lq_to_stick, dp->stick);
	bpf_program__set_autoload(skel->progs.lq_forward, t->forwards);
	skel->rodata->dp_stick = dp->stick;
	skel->rodata->dp_one_interface = dp->one_interface;
	tell_programs(dp);
}

/* ---- Attaching ----------------------------------------------------------- */

/* TC: the way out, and, where we forward, the way across. */
static int attach_out(struct core_datapath *dp, struct attachment *a)
{
	const char *pin_dir = dp->core->settings.pin_dir;
	const struct datapath_bpf *skel = dp->skel;
	const struct bpf_program *out[] = {
		[LQOS_TO_INTERNET] = skel->progs.lq_to_inet,
		[LQOS_TO_SUBSCRIBERS] = skel->progs.lq_to_subs,
		[LQOS_STICK] = skel->progs.lq_to_stick,
	};
	int rc;

	a->tc = true;
	rc = attach_tc(a, HOOK_OUT, bpf_program__fd(out[a->iface.side]),
		       dp->tcx, pin_dir, dp->restore);
	if (rc)
		return rc;
	if (dp->topology.forwards)
		return attach_tc(a, HOOK_IN,
				 bpf_program__fd(skel->progs.lq_forward),
				 dp->tcx, pin_dir, dp->restore)
			       ?: interface_set_promisc(&a->iface, dp->restore);
	/* An earlier run may have forwarded. */
	attach_tc_off(a, HOOK_IN, pin_dir, dp->restore);
	interface_restore_promisc(&a->iface, dp->restore);
	restore_unnote(dp->restore, a->name, "promisc");
	return 0;
}

static int attach_in(struct core_datapath *dp, struct attachment *a)
{
	const struct core_settings *set = &dp->core->settings;
	const struct datapath_bpf *skel = dp->skel;
	const struct bpf_program *in[] = {
		[LQOS_TO_INTERNET] = skel->progs.lq_from_inet,
		[LQOS_TO_SUBSCRIBERS] = skel->progs.lq_from_subs,
		[LQOS_STICK] = skel->progs.lq_from_stick,
	};
	int rc;

	if (dp->steered || dp->stick || set->address_spaces)
		interface_keep_tags(&a->iface, dp->restore);
	rc = attach_xdp(a, bpf_program__fd(in[a->iface.side]), set->xdp_mode,
			set->pin_dir);
	/* Last: drivers that make their rings anew for XDP set XPS. */
	if (!rc && dp->steered)
		rc = interface_clear_xps(&a->iface, dp->restore);
	return rc;
}

static int choose_tc(struct core_datapath *dp)
{
	const char *mode = dp->core->settings.tc_mode;

	dp->tcx = attach_takes_tcx(dp->at[0].iface.ifindex, mode);
	if (!dp->tcx && !strcmp(mode, "tcx"))
		return core_fail(
			WHO, -EOPNOTSUPP,
			"tc_mode = tcx, and this kernel has no TCX (it "
			"came with Linux 6.6): set it to auto");
	return 0;
}

int ports_check(struct core_datapath *dp)
{
	uint32_t i;
	int rc = choose_tc(dp);

	datapath_follow_links(dp);
	for (i = 0; i < dp->n_at && !rc; i++)
		rc = attach_check(&dp->at[i], dp->tcx,
				  dp->core->settings.pin_dir);
	return rc;
}

int ports_attach(struct core_datapath *dp)
{
	uint32_t i;
	int rc = 0;

	/* From here on there is something to undo, on all of them. */
	for (i = 0; i < dp->n_at; i++)
		dp->at[i].tc = true;
	/* The ways out first: nothing arrives there unclassified. */
	for (i = 0; i < dp->n_at && !rc; i++)
		rc = attach_out(dp, &dp->at[i]);
	for (i = 0; i < dp->n_at && !rc; i++)
		rc = attach_in(dp, &dp->at[i]);
	for (i = 0; i < dp->n_at && !rc && dp->steered; i++)
		interface_advise(&dp->at[i].iface);
	return rc;
}

void ports_put_back(struct attachment *a, const char *pin_dir,
		    struct restore *restore)
{
	attach_undo(a, pin_dir, restore);
	interface_restore_promisc(&a->iface, restore);
	interface_restore_tags(&a->iface, restore);
	interface_restore_xps(&a->iface, restore);
}

void ports_detach(struct core_datapath *dp)
{
	const char *pin_dir = dp->core->settings.pin_dir;
	uint32_t i;

	for (i = 0; i < dp->n_at; i++)
		if (dp->attached && !dp->at[i].gone)
			ports_put_back(&dp->at[i], pin_dir, dp->restore);
		else
			attach_undo(&dp->at[i], pin_dir, dp->restore);
}

bool port_attached(const struct attachment *a)
{
	return !a->gone && a->links[HOOK_XDP] >= 0;
}

bool ports_attached(const struct core_datapath *dp)
{
	uint32_t i;

	for (i = 0; i < dp->n_at; i++)
		if (!port_attached(&dp->at[i]))
			return false;
	return true;
}

/* ---- Following ----------------------------------------------------------- */

static void follow(struct core_datapath *dp, struct attachment *a,
		   const char *name)
{
	const char *configured = dp->topology.ports[a - dp->at].name;
	bool as_before = !strcmp(name, configured);

	core_log(WHO, as_before ? LQOS_INFO : LQOS_WARN,
		 "%s is called %s now, and goes on as such%s", a->name, name,
		 as_before ? ", as it is configured"
			   : ": change lqos.ini too, before the next start");
	restore_rename(dp->restore, a->name, name);
	snprintf(a->name, sizeof(a->name), "%s", name);
	datapath_follow_links(dp);
}

static void accept_loss(struct attachment *a)
{
	const char *what = attach_accept(a) ? "XDP" : "TC";

	core_log(WHO, LQOS_ERR,
		 "%s: our %s program was taken off by somebody: packets pass "
		 "unshaped; restart lqosd",
		 a->name, what);
}

static void lose(struct core_datapath *dp, struct attachment *a)
{
	a->gone = true;
	a->wait = 0;
	if (!interface_is_gone(a->iface.ifindex)) {
		core_log(WHO, LQOS_WARN,
			 "%s: somebody has detached a program of ours, and "
			 "left its pin: it is attached again (to have it off, "
			 "`lqosctl detach`)",
			 a->name);
		attach_let_go(a);
		return;
	}
	core_log(WHO, LQOS_ERR,
		 "%s is gone: nothing of it is seen or steered until one of "
		 "that name is there",
		 a->name);
	/* There is nothing to put back, but links to let go of. */
	restore_forget(dp->restore, a->name);
	attach_undo(a, dp->core->settings.pin_dir, dp->restore);
	tell_programs(dp);
}

static bool is_another_port(const struct core_datapath *dp, uint32_t ifindex)
{
	uint32_t i;

	for (i = 0; i < dp->n_at; i++)
		if (!dp->at[i].gone && dp->at[i].iface.ifindex == ifindex)
			return true;
	return false;
}

static void find_again(struct core_datapath *dp, struct attachment *a)
{
	const char *pin_dir = dp->core->settings.pin_dir;
	uint32_t ifindex = if_nametoindex(a->name);
	uint32_t queues = a->iface.tx_queues, pair = a->iface.pair;
	int rc;

	if (!ifindex || is_another_port(dp, ifindex) || a->wait-- > 0)
		return;
	a->wait = RETRY_TICKS;
	rc = interface_find(&a->iface, a->name, a->iface.side, 0);
	if (rc)
		return;
	a->iface.pair = pair;
	rc = attach_check(a, dp->tcx, pin_dir);
	if (!rc)
		rc = attach_out(dp, a) ?: attach_in(dp, a);
	if (rc) {
		ports_put_back(a, pin_dir, dp->restore);
		restore_forget(dp->restore, a->name);
		tell_programs(dp);
		return;
	}
	a->gone = false;
	tell_programs(dp);
	core_log(WHO, LQOS_INFO, "%s is back, and attached again", a->name);
	if (a->iface.tx_queues != queues)
		core_log(WHO, LQOS_WARN,
			 "%s has %u transmit queues now, and had %u: restart "
			 "lqosd to use them as they are",
			 a->name, a->iface.tx_queues, queues);
}

void ports_watch(struct core_datapath *dp)
{
	char name[IF_NAMESIZE];
	const char *pin_dir = dp->core->settings.pin_dir;
	struct attachment *a;

	for (a = dp->at; a < dp->at + dp->n_at; a++) {
		enum attach_state state =
			a->gone ? ATTACH_HOLDS : attach_look(a, pin_dir);

		if (state == ATTACH_LOST)
			lose(dp, a);
		else if (state == ATTACH_TAKEN_OFF)
			accept_loss(a);
		if (a->gone)
			find_again(dp, a);
		else if (if_indextoname(a->iface.ifindex, name) &&
			 strcmp(name, a->name))
			follow(dp, a, name);
	}
}
