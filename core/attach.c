/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry programs onto interfaces, by pinned links, which outlive us and are
 * updated in place by the next run: no packet sees the moment.  Where the
 * kernel has no TCX, filters at clsact stand in for the links of TC.
 */
#include <limits.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "attach"

/* From Linux 6.6 on; headers may be older than the kernel. */
#define TCX_INGRESS   ((enum bpf_attach_type)46)
#define TCX_EGRESS    ((enum bpf_attach_type)47)
#define TCX_BEFORE    (1U << 3) /* all that are there already */
#define LINK_TYPE_TCX 11

/* What newer headers have in struct bpf_link_info. */
struct tcx_info {
	uint32_t ifindex;
	uint32_t attach_type;
};

static const struct {
	const char *pin; /* begins its name */
	enum bpf_attach_type type;
	const char *name;
} hooks[HOOKS] = {
	[HOOK_XDP] = {"xdp_", BPF_XDP, "xdp"},
	[HOOK_OUT] = {"out_", TCX_EGRESS, "tcx egress"},
	[HOOK_IN] = {"in_", TCX_INGRESS, "tcx ingress"},
};

static void link_path(char *out, size_t size, const struct attachment *a,
		      enum hook hook, const char *pin_dir)
{
	size_t i, n;

	n = snprintf(out, size, "%s/links/%s%s", pin_dir, hooks[hook].pin,
		     a->name);
	/* bpffs refuses dots in names, and interfaces' have no colons. */
	for (i = strlen(pin_dir); i < n && i < size; i++)
		if (out[i] == '.')
			out[i] = ':';
}

int attach_place(int link_fd, struct attach_place *out)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	struct tcx_info tcx;

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len))
		return -errno;
	memcpy(&tcx, &info.raw_tracepoint, sizeof(tcx));
	if (info.type == BPF_LINK_TYPE_XDP)
		out->hook = HOOK_XDP;
	else if (info.type == LINK_TYPE_TCX)
		out->hook = tcx.attach_type == TCX_EGRESS ? HOOK_OUT : HOOK_IN;
	else
		return -ENOENT;
	out->hook_name = hooks[out->hook].name;
	out->ifindex = tcx.ifindex; /* XDP's is at the same place */
	out->prog_id = info.prog_id;
	return 0;
}

int attach_is_here(const struct attach_place *place)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, xdp);
	uint32_t ids[64], n = ARRAY_SIZE(ids), i;
	int rc;

	if (!place->ifindex)
		return 0;
	if (place->hook == HOOK_XDP) {
		rc = bpf_xdp_query((int)place->ifindex, 0, &xdp);
		return rc ? rc
			  : xdp.prog_id == place->prog_id ||
				       xdp.drv_prog_id == place->prog_id ||
				       xdp.skb_prog_id == place->prog_id;
	}
	if (bpf_prog_query((int)place->ifindex, hooks[place->hook].type, 0,
			   NULL, ids, &n))
		return errno == ENODEV ? 0 : -errno;
	for (i = 0; i < n; i++)
		if (ids[i] == place->prog_id)
			return 1;
	return 0;
}

/* Is an earlier run's link at this hook of this very interface?  1, 0, -errno
 */
static int fits(int link_fd, const struct attachment *a, enum hook hook)
{
	struct attach_place place = {};
	int rc = attach_place(link_fd, &place);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (place.hook != hook || place.ifindex != a->iface.ifindex)
		return 0;
	return attach_is_here(&place);
}

bool attach_has_tcx(uint32_t ifindex)
{
	uint32_t n = 0;

	return !bpf_prog_query((int)ifindex, TCX_EGRESS, 0, NULL, NULL, &n) ||
	       errno != EINVAL;
}

bool attach_takes_tcx(uint32_t ifindex, const char *mode)
{
	return strcmp(mode, "clsact") && attach_has_tcx(ifindex);
}

static bool is_the_cores(uint32_t prog_id)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = bpf_prog_get_fd_by_id(prog_id);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       !strncmp(info.name, "lq_", 3);
}

uint32_t attach_tc_program(uint32_t ifindex, enum hook hook)
{
	uint32_t ids[64], n = ARRAY_SIZE(ids), i;

	if (bpf_prog_query((int)ifindex, hooks[hook].type, 0, NULL, ids, &n))
		n = 0;
	for (i = 0; i < n; i++)
		if (is_the_cores(ids[i]))
			return ids[i];
	return clsact_program(ifindex, hook);
}

/* What holds the interface, for people. */
static void xdp_holder(uint32_t ifindex, char *out, size_t size)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info), id = 0;
	autoclose int fd = -1;

	snprintf(out, size, "another XDP program");
	if (bpf_xdp_query_id(ifindex, 0, &id) || !id)
		return;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(out, size, "another XDP program (%s, id %u)",
			 info.name, id);
}

static bool is_native(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	return !bpf_xdp_query(ifindex, 0, &opts) &&
	       opts.attach_mode == XDP_ATTACHED_DRV;
}

/* Is a link of the mode that is wanted now? */
static bool mode_fits(uint32_t ifindex, const char *mode)
{
	return !strcmp(mode, "auto") ||
	       is_native(ifindex) == !strcmp(mode, "native");
}

/* 1: an earlier run's link was found and now runs prog_fd; 0: there is none.
 * mode: of XDP; NULL: of another hook, which has none. */
static int adopt_link(struct attachment *a, enum hook hook, int prog_fd,
		      const char *mode, const char *path)
{
	autoclose int fd = bpf_obj_get(path);
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = fits(fd, a, hook);
	if (rc < 0)
		return rc;
	if (rc && (!mode || mode_fits(a->iface.ifindex, mode))) {
		if (!bpf_link_update(fd, prog_fd, NULL)) {
			a->links[hook] = steal_fd(&fd);
			return 1;
		}
		core_log(WHO, LQOS_WARN,
			 "%s: the %s link of an earlier run takes no other "
			 "program: %s: made anew, packets pass unshaped "
			 "meanwhile",
			 a->name, hooks[hook].name, strerror(errno));
	} else {
		core_log(WHO, LQOS_INFO,
			 "%s: the %s link of an earlier run does not fit "
			 "(another interface or mode): made anew",
			 a->name, hooks[hook].name);
	}
	bpf_link_detach(fd);
	return unlink(path) ? -errno : 0;
}

static int create_link(struct attachment *a, enum hook hook, int prog_fd,
		       uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(prog_fd, (int)a->iface.ifindex,
				 hooks[hook].type, &opts);

	if (fd < 0)
		return -errno;
	a->links[hook] = fd;
	return 0;
}

static int pin_link(struct attachment *a, enum hook hook, const char *path)
{
	int rc;

	if (!bpf_obj_pin(a->links[hook], path))
		return 0;
	rc = -errno;
	close(steal_fd(&a->links[hook]));
	return core_fail(WHO, rc, "%s: cannot pin its link as %s", a->name,
			 path);
}

static int create_xdp(struct attachment *a, int prog_fd, const char *mode)
{
	bool native = strcmp(mode, "generic"), generic = strcmp(mode, "native");
	int rc = -EOPNOTSUPP;

	if (native)
		rc = create_link(a, HOOK_XDP, prog_fd, XDP_FLAGS_DRV_MODE);
	if (rc && native && !generic)
		return core_fail(WHO, rc,
				 "%s: its driver takes no XDP program (an MTU "
				 "over 3,498, too few queues?): try xdp_mode = "
				 "auto",
				 a->name);
	if (rc && native)
		core_log(WHO, LQOS_WARN,
			 "%s: no XDP in the driver (%s): falling back to "
			 "generic XDP, which is slower",
			 a->name, strerror(-rc));
	if (rc)
		rc = create_link(a, HOOK_XDP, prog_fd, XDP_FLAGS_SKB_MODE);
	return rc ? core_fail(WHO, rc, "%s: cannot attach XDP", a->name) : 0;
}

int attach_xdp(struct attachment *a, int prog_fd, const char *mode,
	       const char *pin_dir)
{
	char path[PATH_MAX];
	int rc;

	link_path(path, sizeof(path), a, HOOK_XDP, pin_dir);
	rc = adopt_link(a, HOOK_XDP, prog_fd, mode, path);
	if (rc < 0)
		return core_fail(WHO, rc, "%s: cannot adopt %s: remove it",
				 a->name, path);
	if (rc) {
		a->iface.native = is_native(a->iface.ifindex);
		core_log(WHO, LQOS_INFO,
			 "%s: took over the XDP link of an "
			 "earlier run (%s)",
			 a->name, a->iface.native ? "native" : "generic");
		return 0;
	}
	rc = create_xdp(a, prog_fd, mode);
	if (!rc)
		rc = pin_link(a, HOOK_XDP, path);
	if (rc)
		return rc;
	a->iface.native = is_native(a->iface.ifindex);
	core_log(WHO, LQOS_INFO, "%s: XDP attached, %s", a->name,
		 a->iface.native ? "native" : "generic");
	return 0;
}

static int attach_tcx(struct attachment *a, enum hook hook, int prog_fd,
		      const char *pin_dir)
{
	char path[PATH_MAX];
	int rc;

	link_path(path, sizeof(path), a, hook, pin_dir);
	rc = adopt_link(a, hook, prog_fd, NULL, path);
	if (rc < 0)
		return core_fail(WHO, rc, "%s: cannot adopt %s: remove it",
				 a->name, path);
	if (rc)
		return 0;
	/* On the way out nobody's verdict is to keep packets from us, and ours
	 * keeps none from anybody.  The way in ends with us. */
	rc = create_link(a, hook, prog_fd, hook == HOOK_OUT ? TCX_BEFORE : 0);
	if (rc)
		return core_fail(WHO, rc,
				 "%s: cannot attach to %s (try tc_mode = "
				 "clsact)",
				 a->name, hooks[hook].name);
	return pin_link(a, hook, path);
}

static void drop_link(struct attachment *a, enum hook hook, const char *pin_dir)
{
	char path[PATH_MAX];

	link_path(path, sizeof(path), a, hook, pin_dir);
	if (unlink(path) && errno != ENOENT)
		core_fail(WHO, -errno, "cannot remove %s", path);
	if (a->links[hook] < 0)
		return;
	if (bpf_link_detach(a->links[hook]) && errno != ENOLINK &&
	    errno != ENODEV)
		core_fail(WHO, -errno, "%s: cannot detach from %s", a->name,
			  hooks[hook].name);
	close(steal_fd(&a->links[hook]));
}

/* What an earlier run attached in the other way goes when ours is on. */
int attach_tc(struct attachment *a, enum hook hook, int prog_fd, bool tcx,
	      const char *pin_dir, struct restore *restore)
{
	int rc = tcx ? attach_tcx(a, hook, prog_fd, pin_dir)
		     : clsact_attach(&a->iface, hook, prog_fd, restore);

	if (rc)
		return rc;
	if (tcx)
		clsact_detach(&a->iface, hook, restore);
	else
		drop_link(a, hook, pin_dir);
	return 0;
}

void attach_tc_off(struct attachment *a, enum hook hook, const char *pin_dir,
		   struct restore *restore)
{
	drop_link(a, hook, pin_dir);
	clsact_detach(&a->iface, hook, restore);
}

int attach_check(const struct attachment *a, bool tcx, const char *pin_dir)
{
	char path[PATH_MAX], holder[96];
	autoclose int link = -1;
	uint32_t id = 0;
	int rc;

	if (!tcx && attach_has_qdisc(a->iface.ifindex, "ingress") > 0)
		return core_fail(WHO, -EEXIST,
				 "%s: it has an ingress qdisc, and clsact "
				 "cannot be beside it: remove it first (`tc "
				 "qdisc del dev %s ingress`)",
				 a->name, a->name);
	link_path(path, sizeof(path), a, HOOK_XDP, pin_dir);
	link = bpf_obj_get(path);
	if (link >= 0)
		rc = fits(link, a, HOOK_XDP);
	else
		rc = errno == ENOENT ? 0 : -errno;
	if (rc < 0)
		return core_fail(WHO, rc, "%s: cannot tell where %s is",
				 a->name, path);
	if (rc || bpf_xdp_query_id((int)a->iface.ifindex, 0, &id) || !id)
		return 0;
	xdp_holder(a->iface.ifindex, holder, sizeof(holder));
	return core_fail(WHO, -EBUSY,
			 "%s: %s is attached already: detach it first (`ip "
			 "link set dev %s xdp off`, or stop its owner)",
			 a->name, holder, a->name);
}

enum attach_state attach_look(const struct attachment *a, const char *pin_dir)
{
	enum attach_state state = ATTACH_HOLDS;
	char path[PATH_MAX];
	struct attach_place place = {};
	int hook;

	if (interface_is_gone(a->iface.ifindex))
		return ATTACH_LOST;
	for (hook = 0; hook < HOOKS; hook++) {
		/* What cannot be looked at now is as it was. */
		if (a->links[hook] < 0 ||
		    attach_place(a->links[hook], &place) ||
		    place.ifindex == a->iface.ifindex)
			continue;
		/* Who takes us off on purpose takes the pin away too. */
		link_path(path, sizeof(path), a, hook, pin_dir);
		if (!access(path, F_OK))
			return ATTACH_LOST;
		state = ATTACH_TAKEN_OFF;
	}
	return state;
}

void attach_let_go(struct attachment *a)
{
	int hook;

	for (hook = 0; hook < HOOKS; hook++)
		if (a->links[hook] >= 0)
			close(steal_fd(&a->links[hook]));
}

bool attach_accept(struct attachment *a)
{
	bool was = a->links[HOOK_XDP] >= 0;
	struct attach_place place = {};
	int hook;

	for (hook = 0; hook < HOOKS; hook++)
		if (a->links[hook] >= 0 &&
		    !attach_place(a->links[hook], &place) &&
		    place.ifindex != a->iface.ifindex)
			close(steal_fd(&a->links[hook]));
	return was && a->links[HOOK_XDP] < 0;
}

void attach_claim(const struct attachment *a, enum hook hook, const char *path,
		  const char *pin_dir)
{
	char wanted[PATH_MAX];

	link_path(wanted, sizeof(wanted), a, hook, pin_dir);
	if (strcmp(path, wanted) && rename(path, wanted))
		core_fail(WHO, -errno, "cannot rename %s to %s", path, wanted);
}

/* The way in first: what still comes in goes out as before. */
void attach_undo(struct attachment *a, const char *pin_dir,
		 struct restore *restore)
{
	if (a->links[HOOK_XDP] >= 0)
		drop_link(a, HOOK_XDP, pin_dir);
	if (!a->tc)
		return;
	attach_tc_off(a, HOOK_IN, pin_dir, restore);
	attach_tc_off(a, HOOK_OUT, pin_dir, restore);
	clsact_remove(&a->iface, restore);
	a->tc = false;
}
