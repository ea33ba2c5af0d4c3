/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: facts that are in no file. */
#include <linux/ethtool.h>
#include <net/if.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/client.h"
#include "core/datapath.h"
#include "core/doctor.h"

enum { ANSWER_MS = 3000 };

/* ---- Interfaces ---------------------------------------------------------- */

static void gather_offloads(struct doctor_port *p)
{
	struct ethtool_value gro = {.cmd = ETHTOOL_GGRO};
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	const char *name = p->port->name;

	p->gro = interface_ethtool(name, &gro) ? -1 : !!gro.data;
	p->lro = p->rxvlan = -1;
	if (interface_ethtool(name, &flags))
		return;
	p->lro = !!(flags.data & ETH_FLAG_LRO);
	p->rxvlan = !!(flags.data & ETH_FLAG_RXVLAN);
}

/* The link by which a program is attached: only who has it, or detaches it by
 * its id, can take the program off. */
static uint32_t find_link(uint32_t ifindex, uint32_t program)
{
	uint32_t id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {};
		uint32_t len = sizeof(info);
		autoclose int fd = bpf_link_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
		    info.type == BPF_LINK_TYPE_XDP &&
		    info.xdp.ifindex == ifindex && info.prog_id == program)
			return id;
	}
	return 0;
}

static void gather_xdp(struct doctor_port *p)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = -1;

	if (bpf_xdp_query((int)p->ifindex, 0, &query))
		return;
	p->xdp = query.drv_prog_id ?: query.skb_prog_id ?: query.hw_prog_id;
	p->xdp_native = query.drv_prog_id != 0;
	p->xdp_link = p->xdp ? find_link(p->ifindex, p->xdp) : 0;
	fd = p->xdp ? bpf_prog_get_fd_by_id(p->xdp) : -1;
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(p->xdp_name, sizeof(p->xdp_name), "%s", info.name);
}

static void gather_port(const struct doctor *d, struct doctor_port *p)
{
	p->ifindex = if_nametoindex(p->port->name);
	if (!p->ifindex)
		return;
	gather_offloads(p);
	(void)interface_channels(p->port->name, &p->channels);
	gather_xdp(p);
	p->egress = attach_tc_program(p->ifindex, HOOK_OUT);
	p->ingress = attach_tc_program(p->ifindex, HOOK_IN);
	p->ingress_qdisc =
		!attach_takes_tcx(p->ifindex, d->settings->tc_mode) &&
		attach_has_qdisc(p->ifindex, "ingress") > 0;
	p->htb = attach_has_qdisc(p->ifindex, "htb") > 0;
}

static void gather_ports(struct doctor *d)
{
	for (uint32_t i = 0; i < d->topology.n_ports; i++) {
		struct doctor_port *p = &d->ports[i];

		p->port = &d->topology.ports[i];
		for (uint32_t j = 0; j < d->topology.n_ports; j++)
			if (j != i &&
			    d->topology.ports[j].pair == p->port->pair)
				p->peer = &d->ports[j];
		gather_port(d, p);
	}
}

/* ---- The daemon ---------------------------------------------------------- */

static void ask_daemon(struct doctor *d)
{
	struct client *client;
	char path[PATH_MAX], why[256];

	snprintf(path, sizeof(path), "%s/bus", d->settings->run_dir);
	if (client_open(&client, path, why, sizeof(why)))
		return;
	if (client_call(client, "core.status", NULL, ANSWER_MS, &d->status, why,
			sizeof(why)))
		d->status = NULL;
	client_close(&client);
}

/* ---- Traffic ------------------------------------------------------------- */

/* The tries that an attached datapath looks into. */
struct tries {
	int v4, v6;
};

static int open_trie(const struct doctor *d, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/maps/" DATAPATH_WHO "/%s",
		 d->settings->pin_dir, name);
	return bpf_obj_get(path);
}

static bool is_in(const struct tries *tries, int family, const void *addr,
		  uint16_t vlan)
{
	const uint8_t space[] = {0, 0, vlan >> 8, vlan & 0xff};
	struct dp_key4 key4 = {.prefixlen = 64};
	struct dp_key6 key6 = {.prefixlen = 160};
	struct dp_owner owner;

	if (family == AF_INET) {
		memcpy(key4.space, space, sizeof(space));
		memcpy(key4.addr, addr, sizeof(key4.addr));
		return !bpf_map_lookup_elem(tries->v4, &key4, &owner);
	}
	memcpy(key6.space, space, sizeof(space));
	memcpy(key6.addr, addr, sizeof(key6.addr));
	return !bpf_map_lookup_elem(tries->v6, &key6, &owner);
}

static bool is_owned(void *arg, int family, const void *addr, uint16_t vlan)
{
	return (vlan && is_in(arg, family, addr, vlan)) ||
	       is_in(arg, family, addr, 0);
}

static void gather_traffic(struct doctor *d)
{
	struct tries tries = {open_trie(d, "dp_owners4"),
			      open_trie(d, "dp_owners6")};

	if (tries.v4 >= 0 && tries.v6 >= 0)
		doctor_listen(d, is_owned, &tries);
	if (tries.v4 >= 0)
		close(tries.v4);
	if (tries.v6 >= 0)
		close(tries.v6);
}

void doctor_gather(struct doctor *d)
{
	struct local_pin_counts pins;

	d->bpffs = "/sys/fs/bpf";
	d->probes = doctor_probes;
	d->root = !geteuid();
	d->jited = doctor_is_jited();
	d->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	d->daemon = core_lock_holder(d->settings->run_dir);
	ask_daemon(d);
	if (d->status && !d->daemon)
		d->daemon =
			json_integer_value(json_object_get(d->status, "pid"));
	local_count_pins(d->settings->pin_dir, &pins);
	d->left = pins.links + pins.maps;
	gather_ports(d);
	if (d->root)
		gather_traffic(d);
}
