/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program on an interface that sends what arrives to sockets, and XSKMAPs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "bpf/xsk.h"
#include "bpf/xsk_hook.skel.h"
#include "core/cleanup.h"
#include "modules/xsk/parts.h"

/* Linux 5.18; headers may be older than the kernel. */
#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

struct lqos_xsk_hook {
	struct xsk_hook_bpf *skel;
	char interface[IF_NAMESIZE];
	uint32_t ifindex;
	int link;
	bool native;
};

int lqos_xsk_map_set(int map_fd, uint32_t key, const struct lqos_xsk *xsk)
{
	int fd = lqos_xsk_fd(xsk);

	return bpf_map_update_elem(map_fd, &key, &fd, 0) ? -errno : 0;
}

int lqos_xsk_map_clear(int map_fd, uint32_t key)
{
	return bpf_map_delete_elem(map_fd, &key) ? -errno : 0;
}

static int link_at(struct lqos_xsk_hook *hook, bool native)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	int prog = bpf_program__fd(hook->skel->progs.lq_xsk_hook);
	int link = bpf_link_create(prog, (int)hook->ifindex, BPF_XDP, &opts);

	if (link < 0)
		return -errno;
	hook->link = link;
	hook->native = native;
	return 0;
}

static int attach(struct lqos_xsk_hook *hook, enum lqos_xsk_mode mode)
{
	int rc = link_at(hook, mode != LQOS_XSK_GENERIC);

	/* Another program, in the other mode. */
	if (rc == -EEXIST)
		rc = -EBUSY;
	/* Of the driver's reasons to refuse, EBUSY alone is one of the stack's
	 * too. */
	if (rc && rc != -EBUSY && mode == LQOS_XSK_MODE_AUTO)
		rc = link_at(hook, false);
	return rc;
}

int lqos_xsk_hook_open(const char *interface, enum lqos_xsk_mode mode,
		       bool multi_buffer, struct lqos_xsk_hook **out, char *why,
		       size_t size)
{
	struct lqos_xsk_hook *hook CORE_CLEANUP(lqos_xsk_hook_close) =
		calloc(1, sizeof(*hook));
	int rc;

	if (!hook)
		return xsk_refuse(-ENOMEM, why, size, "no memory for a hook");
	hook->link = -1;
	hook->ifindex = if_nametoindex(interface);
	if (!hook->ifindex || strlen(interface) >= sizeof(hook->interface))
		return xsk_refuse(-ENODEV, why, size,
				  "there is no interface %s to attach XDP to",
				  interface);
	strcpy(hook->interface, interface);
	hook->skel = xsk_hook_bpf__open();
	if (!hook->skel)
		return xsk_refuse(-errno, why, size,
				  "cannot open the XDP program for %s: %s",
				  interface, strerror(errno));
	if (multi_buffer)
		bpf_program__set_flags(hook->skel->progs.lq_xsk_hook,
				       BPF_F_XDP_HAS_FRAGS);
	rc = xsk_hook_bpf__load(hook->skel);
	if (rc)
		return xsk_refuse(rc, why, size,
				  "the kernel refuses the XDP program for %s: "
				  "%s%s",
				  interface, strerror(-rc),
				  rc == -EPERM ? " (CAP_BPF and CAP_NET_ADMIN "
						 "are needed)"
					       : "");
	rc = attach(hook, mode);
	if (rc)
		return xsk_refuse(
			rc, why, size, "cannot attach XDP to %s%s: %s%s",
			interface,
			mode == LQOS_XSK_NATIVE ? " in its driver" : "",
			strerror(-rc),
			rc == -EBUSY ? ": it has another program (`ip link` "
				       "shows it; take it off, or use a module "
				       "of lqosd)"
			: mode == LQOS_XSK_NATIVE ? " (try generic)"
						  : "");
	*out = steal_ptr(hook);
	return 0;
}

int lqos_xsk_hook_add(struct lqos_xsk_hook *hook, const struct lqos_xsk *xsk)
{
	if (lqos_xsk_ifindex(xsk) != hook->ifindex ||
	    lqos_xsk_queue(xsk) >= XK_HOOK_QUEUES)
		return -EINVAL;
	return lqos_xsk_map_set(lqos_xsk_hook_map(hook), lqos_xsk_queue(xsk),
				xsk);
}

int lqos_xsk_hook_map(const struct lqos_xsk_hook *hook)
{
	return bpf_map__fd(hook->skel->maps.xh_sockets);
}

bool lqos_xsk_hook_is_native(const struct lqos_xsk_hook *hook)
{
	return hook->native;
}

void lqos_xsk_hook_counts(const struct lqos_xsk_hook *hook,
			  uint64_t *redirected, uint64_t *passed)
{
	int cpus = libbpf_num_possible_cpus(), i;
	autofree struct xk_hook_counts *rows =
		cpus > 0 ? calloc(cpus, sizeof(*rows)) : NULL;
	uint32_t zero = 0;

	*redirected = *passed = 0;
	if (!rows ||
	    bpf_map_lookup_elem(bpf_map__fd(hook->skel->maps.xh_counts), &zero,
				rows))
		return;
	for (i = 0; i < cpus; i++) {
		*redirected += rows[i].redirected;
		*passed += rows[i].passed;
	}
}

void lqos_xsk_hook_close(struct lqos_xsk_hook **hook)
{
	struct lqos_xsk_hook *h = *hook;

	if (!h)
		return;
	*hook = NULL;
	if (h->link >= 0)
		close(h->link);
	xsk_hook_bpf__destroy(h->skel);
	free(h);
}
