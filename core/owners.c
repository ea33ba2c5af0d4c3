/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* owners.c - the subscribers into the kernel: whose a prefix is. */
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/registry.h"

#include "bpf/datapath.skel.h"

#define WHO DATAPATH_WHO

static void new_epoch(struct core_datapath *dp)
{
	/* 0 is what an unused cache entry has. */
	if (!++dp->skel->bss->dp_epoch)
		++dp->skel->bss->dp_epoch;
}

static void set_space(__u8 space[4], uint16_t vlan)
{
	space[2] = vlan >> 8;
	space[3] = vlan & 0xff;
}

static int prefix_key(struct core_datapath *dp, const struct lqos_prefix *p,
		      struct dp_key4 *key4, struct dp_key6 *key6,
		      const void **key)
{
	memset(key4, 0, sizeof(*key4));
	memset(key6, 0, sizeof(*key6));
	if (p->family == AF_INET) {
		key4->prefixlen = DP_SPACE_BITS + p->len;
		set_space(key4->space, p->vlan);
		memcpy(key4->addr, p->addr, sizeof(key4->addr));
		*key = key4;
		return bpf_map__fd(dp->skel->maps.dp_owners4);
	}
	key6->prefixlen = DP_SPACE_BITS + p->len;
	set_space(key6->space, p->vlan);
	memcpy(key6->addr, p->addr, sizeof(key6->addr));
	*key = key6;
	return bpf_map__fd(dp->skel->maps.dp_owners6);
}

static int set_owner(const struct lqos_prefix *p, void *arg)
{
	struct core_datapath *dp = arg;
	struct dp_owner owner = {p->slot, p->handle, p->cpu};
	struct dp_key4 key4;
	struct dp_key6 key6;
	const void *key;
	int fd = prefix_key(dp, p, &key4, &key6, &key);

	if (bpf_map_update_elem(fd, key, &owner, BPF_ANY))
		return -errno;
	new_epoch(dp);
	return 0;
}

static void unset_owner(const struct lqos_prefix *p, void *arg)
{
	struct core_datapath *dp = arg;
	char text[CORE_PREFIX_TEXT];
	struct dp_key4 key4;
	struct dp_key6 key6;
	const void *key;
	int fd = prefix_key(dp, p, &key4, &key6, &key);

	if (bpf_map_delete_elem(fd, key))
		core_fail(WHO, -errno, "cannot unmap %s",
			  core_prefix_text(p, text, sizeof(text)));
	new_epoch(dp);
}

int core_owners_start(struct core_datapath *dp)
{
	const struct core_registry_hooks hooks = {set_owner, unset_owner, dp};
	struct core_registry *registry = dp->core->registry;
	int rc;

	core_registry_hook(registry, &hooks);
	rc = core_registry_replay(registry);
	return rc ? core_fail(WHO, rc,
			      "cannot put the subscribers into the kernel")
		  : 0;
}
