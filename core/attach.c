/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry programs onto interfaces: XDP by a pinned link, which outlives us and
 * is updated in place by the next run; TC by a clsact filter of our own handle
 * and priority.
 */
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "attach"

enum { TC_HANDLE = 1, TC_PRIORITY = 0x4c51, DUMP_SIZE = 32768 };

static void link_path(char *out, size_t size, const struct attachment *a,
		      const char *pin_dir)
{
	size_t i, n;

	n = snprintf(out, size, "%s/links/xdp_%s", pin_dir, a->name);
	/* bpffs refuses dots in names. */
	for (i = strlen(pin_dir); i < n && i < size; i++)
		if (out[i] == '.')
			out[i] = '_';
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

/* 1: an earlier run's link was found and now runs prog_fd; 0: there is none. */
static int adopt_link(struct attachment *a, int prog_fd, const char *mode,
		      const char *path)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = bpf_obj_get(path);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type == BPF_LINK_TYPE_XDP &&
	    info.xdp.ifindex == a->iface.ifindex &&
	    mode_fits(a->iface.ifindex, mode) &&
	    !bpf_link_update(fd, prog_fd, NULL)) {
		a->xdp_link = steal_fd(&fd);
		return 1;
	}
	core_log(WHO, LQOS_INFO,
		 "%s: the XDP link of an earlier run does not fit (another "
		 "interface or mode): made anew",
		 a->name);
	bpf_link_detach(fd);
	return unlink(path) ? -errno : 0;
}

static int create_link(struct attachment *a, int prog_fd, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(prog_fd, a->iface.ifindex, BPF_XDP, &opts);

	if (fd < 0)
		return -errno;
	a->xdp_link = fd;
	return 0;
}

static int new_link(struct attachment *a, int prog_fd, const char *mode)
{
	bool native = strcmp(mode, "generic"), generic = strcmp(mode, "native");
	int rc = -EOPNOTSUPP;

	if (native)
		rc = create_link(a, prog_fd, XDP_FLAGS_DRV_MODE);
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
		rc = create_link(a, prog_fd, XDP_FLAGS_SKB_MODE);
	return rc ? core_fail(WHO, rc, "%s: cannot attach XDP", a->name) : 0;
}

int attach_xdp(struct attachment *a, int prog_fd, const char *mode,
	       const char *pin_dir)
{
	char path[PATH_MAX];
	int rc;

	link_path(path, sizeof(path), a, pin_dir);
	rc = adopt_link(a, prog_fd, mode, path);
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
	rc = new_link(a, prog_fd, mode);
	if (rc)
		return rc;
	if (bpf_obj_pin(a->xdp_link, path)) {
		rc = -errno;
		close(steal_fd(&a->xdp_link));
		return core_fail(WHO, rc, "%s: cannot pin its link as %s",
				 a->name, path);
	}
	a->iface.native = is_native(a->iface.ifindex);
	core_log(WHO, LQOS_INFO, "%s: XDP attached, %s", a->name,
		 a->iface.native ? "native" : "generic");
	return 0;
}

/* How many of a dump's answers match; -errno. */
static int count_answers(struct nlmsghdr *request, mnl_cb_t match, void *arg,
			 const int *n)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	char answer[DUMP_SIZE];
	int rc = 0, more;
	ssize_t len;

	if (!nl)
		return -errno;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = time(NULL);
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		rc = -errno;
	while (!rc) {
		len = mnl_socket_recvfrom(nl, answer, sizeof(answer));
		more = len < 0 ? -1
			       : mnl_cb_run(answer, len, request->nlmsg_seq,
					    mnl_socket_get_portid(nl), match,
					    arg);
		if (more < 0)
			rc = -errno;
		else if (more == MNL_CB_STOP)
			break;
	}
	mnl_socket_close(nl);
	return rc ?: *n;
}

struct qdisc_search {
	uint32_t ifindex;
	const char *kind;
	int found;
};

static int match_qdisc(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	struct qdisc_search *search = arg;
	const struct nlattr *attr;

	if ((uint32_t)tc->tcm_ifindex != search->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*tc))
		if (mnl_attr_get_type(attr) == TCA_KIND &&
		    !strcmp(mnl_attr_get_str(attr), search->kind))
			search->found++;
	return MNL_CB_OK;
}

bool attach_has_qdisc(uint32_t ifindex, const char *kind)
{
	struct qdisc_search search = {.ifindex = ifindex, .kind = kind};
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RTM_GETQDISC;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct tcmsg));
	return count_answers(nlh, match_qdisc, &search, &search.found) > 0;
}

static int match_filter(const struct nlmsghdr *nlh, void *arg)
{
	int *n = arg;

	*n += nlh->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

/* How many filters hang on one side of the interface's clsact; or -errno. */
static int count_filters(uint32_t ifindex, uint32_t parent)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;
	int n = 0;

	nlh->nlmsg_type = RTM_GETTFILTER;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	return count_answers(nlh, match_filter, &n, &n);
}

/* Has an earlier run's link on this very interface stayed? */
static bool has_our_link(const struct attachment *a, const char *path)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = bpf_obj_get(path);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       info.type == BPF_LINK_TYPE_XDP &&
	       info.xdp.ifindex == a->iface.ifindex;
}

int attach_check(const struct attachment *a, const char *pin_dir)
{
	char path[PATH_MAX], holder[96];
	uint32_t id = 0;

	if (attach_has_qdisc(a->iface.ifindex, "ingress"))
		return core_fail(WHO, -EEXIST,
				 "%s: it has an ingress qdisc, and clsact "
				 "cannot be beside it: remove it first (`tc "
				 "qdisc del dev %s ingress`)",
				 a->name, a->name);
	link_path(path, sizeof(path), a, pin_dir);
	if (has_our_link(a, path) ||
	    bpf_xdp_query_id(a->iface.ifindex, 0, &id) || !id)
		return 0;
	xdp_holder(a->iface.ifindex, holder, sizeof(holder));
	return core_fail(WHO, -EBUSY,
			 "%s: %s is attached already: detach it first (`ip "
			 "link set dev %s xdp off`, or stop its owner)",
			 a->name, holder, a->name);
}

static const struct {
	enum bpf_tc_attach_point point;
	const char *name;
	const char *note; /* in the restore file: ours is on it */
} ways[] = {
	[TC_OUT] = {BPF_TC_EGRESS, "egress", "filter"},
	[TC_IN] = {BPF_TC_INGRESS, "ingress", "forward"},
};

int attach_tc(struct attachment *a, enum tc_way way, int prog_fd,
	      struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)a->iface.ifindex,
		    .attach_point = ways[way].point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	int rc;

	/* Noted first: whoever comes after a crash knows to take it off. */
	rc = restore_note(restore, a->name, ways[way].note, "none");
	if (!rc && !attach_has_qdisc(a->iface.ifindex, "clsact")) {
		rc = restore_note(restore, a->name, "clsact", "none");
		if (!rc)
			rc = bpf_tc_hook_create(&hook);
	}
	if (rc)
		return core_fail(WHO, rc, "%s: cannot add a clsact qdisc",
				 a->name);
	rc = bpf_tc_attach(&hook, &opts);
	if (rc)
		return core_fail(WHO, rc, "%s: cannot attach to TC %s", a->name,
				 ways[way].name);
	return 0;
}

void detach_tc(struct attachment *a, enum tc_way way,
	       const struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)a->iface.ifindex,
		    .attach_point = ways[way].point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY);
	int rc;

	if (!restore_get(restore, a->name, ways[way].note))
		return;
	rc = bpf_tc_detach(&hook, &opts);
	if (rc && rc != -ENOENT)
		core_fail(WHO, rc, "%s: cannot detach from TC %s", a->name,
			  ways[way].name);
}

static void remove_clsact(struct attachment *a, const struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)a->iface.ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int rc;

	if (!restore_get(restore, a->name, "clsact"))
		return;
	/* Made by us, but others may have moved in. */
	if (count_filters(a->iface.ifindex,
			  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) ||
	    count_filters(a->iface.ifindex,
			  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS))) {
		core_log(WHO, LQOS_INFO,
			 "%s: its clsact qdisc stays: others' "
			 "filters are on it",
			 a->name);
		return;
	}
	rc = bpf_tc_hook_destroy(&hook);
	if (rc)
		core_fail(WHO, rc, "%s: cannot remove its clsact qdisc",
			  a->name);
}

bool attach_holds(const struct attachment *a)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	char name[IF_NAMESIZE];

	return if_indextoname(a->iface.ifindex, name) &&
	       !bpf_obj_get_info_by_fd(a->xdp_link, &info, &len) &&
	       info.xdp.ifindex == a->iface.ifindex;
}

void attach_claim(const struct attachment *a, const char *path,
		  const char *pin_dir)
{
	char wanted[PATH_MAX];

	link_path(wanted, sizeof(wanted), a, pin_dir);
	if (strcmp(path, wanted) && rename(path, wanted))
		core_fail(WHO, -errno, "cannot rename %s to %s", path, wanted);
}

void attach_undo(struct attachment *a, const char *pin_dir,
		 const struct restore *restore)
{
	char path[PATH_MAX];

	if (a->xdp_link >= 0) {
		link_path(path, sizeof(path), a, pin_dir);
		if (unlink(path) && errno != ENOENT)
			core_fail(WHO, -errno, "cannot remove %s", path);
		if (bpf_link_detach(a->xdp_link) && errno != ENOLINK &&
		    errno != ENODEV)
			core_fail(WHO, -errno, "%s: cannot detach XDP",
				  a->name);
		close(steal_fd(&a->xdp_link));
	}
	if (a->tc && attach_has_qdisc(a->iface.ifindex, "clsact")) {
		detach_tc(a, TC_IN, restore);
		detach_tc(a, TC_OUT, restore);
		remove_clsact(a, restore);
	}
	a->tc = false;
}

uint32_t attach_tc_program(uint32_t ifindex, bool ingress)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY);

	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}
