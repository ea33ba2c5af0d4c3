/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An earlier run may have been attached to other interfaces than this one: what
 * it left there is taken off. */
#include <string.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "datapath"

static struct attachment *ours(struct core_datapath *dp, uint32_t ifindex)
{
	uint32_t i;

	for (i = 0; i < dp->n_at; i++)
		if (dp->at[i].iface.ifindex == ifindex)
			return &dp->at[i];
	return NULL;
}

/* The same number in another network namespace is another interface. */
static struct attachment *ours_at(struct core_datapath *dp,
				  const struct attach_place *place)
{
	return attach_is_here(place) == 1 ? ours(dp, place->ifindex) : NULL;
}

/* An interface may have got another name since its link was pinned. */
static void follow_link(const char *path, void *arg)
{
	struct core_datapath *dp = arg;
	autoclose int fd = bpf_obj_get(path);
	struct attach_place place;
	struct attachment *a;

	if (fd < 0 || attach_place(fd, &place))
		return;
	a = ours_at(dp, &place);
	if (a)
		attach_claim(a, place.hook, path, dp->core->settings.pin_dir);
}

void datapath_follow_links(struct core_datapath *dp)
{
	pins_each_link(dp->pins, follow_link, dp);
}

static void drop_link(const char *path, void *arg)
{
	struct core_datapath *dp = arg;
	autoclose int fd = bpf_obj_get(path);
	struct attach_place place;
	int here;

	if (fd < 0 || attach_place(fd, &place))
		return;
	here = attach_is_here(&place);
	if (here < 0 || (here && ours(dp, place.ifindex)))
		return;
	core_log(WHO, LQOS_INFO,
		 "%s: of an earlier run, on an interface that "
		 "is not ours any more: detached",
		 path);
	bpf_link_detach(fd);
	unlink(path);
}

static bool put_back(const char *interface, void *arg)
{
	struct core_datapath *dp = arg;
	struct attachment a = {.links = {-1, -1, -1}, .tc = true};
	uint32_t ifindex = if_nametoindex(interface);

	if (ours(dp, ifindex) || (!ifindex && errno != ENODEV))
		return false;
	if (ifindex && strlen(interface) < sizeof(a.name) &&
	    !interface_find(&a.iface, interface, 0, 0)) {
		strcpy(a.name, interface);
		a.iface.name = a.name;
		ports_put_back(&a, dp->core->settings.pin_dir, dp->restore);
	}
	return true;
}

void datapath_leave_others(struct core_datapath *dp)
{
	pins_each_link(dp->pins, drop_link, dp);
	restore_each(dp->restore, put_back, dp);
}
