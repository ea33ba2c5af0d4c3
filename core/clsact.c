/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TC programs where the kernel has no TCX: filters of our own handle and
 * priority at clsact.  That qdisc costs what waits in the interface's queues
 * when it is made and when it goes: the kernel empties all of them.
 */
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "attach"

enum { TC_HANDLE = 1, TC_PRIORITY = 0x4c51, DUMP_SIZE = 32768 };

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

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*tc) ||
	    (uint32_t)tc->tcm_ifindex != search->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*tc))
		if (mnl_attr_get_type(attr) == TCA_KIND &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
		    !strcmp(mnl_attr_get_str(attr), search->kind))
			search->found++;
	return MNL_CB_OK;
}

int attach_has_qdisc(uint32_t ifindex, const char *kind)
{
	struct qdisc_search search = {.ifindex = ifindex, .kind = kind};
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int rc, tries = 5;

	nlh->nlmsg_type = RTM_GETQDISC;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct tcmsg));
	/* -EINTR: somebody changes others meanwhile. */
	do {
		search.found = 0;
		rc = count_answers(nlh, match_qdisc, &search, &search.found);
	} while (rc == -EINTR && --tries);
	return rc > 0 ? 1 : rc;
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

static const struct {
	enum bpf_tc_attach_point point;
	const char *name;
	const char *note; /* in the restore file: ours is on it */
} ways[] = {
	[HOOK_OUT] = {BPF_TC_EGRESS, "egress", "filter"},
	[HOOK_IN] = {BPF_TC_INGRESS, "ingress", "forward"},
};

int clsact_attach(const struct lqos_interface *iface, enum hook hook,
		  int prog_fd, struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)iface->ifindex,
		    .attach_point = ways[hook].point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY, .prog_fd = prog_fd,
		    .flags = BPF_TC_F_REPLACE);
	int rc, there = attach_has_qdisc(iface->ifindex, "clsact");

	/* Another's is not to be taken for ours, and removed with it. */
	if (there < 0)
		return core_fail(WHO, there, "%s: cannot list its qdiscs",
				 iface->name);
	/* Noted first: whoever comes after a crash knows to take it off. */
	rc = restore_note(restore, iface->name, ways[hook].note, "none");
	if (!rc && !there) {
		rc = restore_note(restore, iface->name, "clsact", "none");
		if (!rc)
			rc = bpf_tc_hook_create(&at);
	}
	if (rc)
		return core_fail(WHO, rc, "%s: cannot add a clsact qdisc",
				 iface->name);
	rc = bpf_tc_attach(&at, &opts);
	if (rc)
		return core_fail(WHO, rc, "%s: cannot attach to TC %s",
				 iface->name, ways[hook].name);
	return 0;
}

void clsact_detach(const struct lqos_interface *iface, enum hook hook,
		   struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)iface->ifindex,
		    .attach_point = ways[hook].point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY);
	int rc;

	if (!restore_get(restore, iface->name, ways[hook].note))
		return;
	if (attach_has_qdisc(iface->ifindex, "clsact")) {
		rc = bpf_tc_detach(&at, &opts);
		if (rc && rc != -ENOENT)
			core_fail(WHO, rc, "%s: cannot detach from TC %s",
				  iface->name, ways[hook].name);
	}
	restore_unnote(restore, iface->name, ways[hook].note);
}

void clsact_remove(const struct lqos_interface *iface, struct restore *restore)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)iface->ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int rc;

	if (!restore_get(restore, iface->name, "clsact") ||
	    !attach_has_qdisc(iface->ifindex, "clsact"))
		return;
	/* Made by us, but others may have moved in. */
	if (count_filters(iface->ifindex,
			  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) ||
	    count_filters(iface->ifindex,
			  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS))) {
		core_log(WHO, LQOS_INFO,
			 "%s: its clsact qdisc stays: others' "
			 "filters are on it",
			 iface->name);
		return;
	}
	rc = bpf_tc_hook_destroy(&at);
	if (rc)
		core_fail(WHO, rc, "%s: cannot remove its clsact qdisc",
			  iface->name);
}

uint32_t clsact_program(uint32_t ifindex, enum hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex,
		    .attach_point = ways[hook].point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE,
		    .priority = TC_PRIORITY);

	return bpf_tc_query(&at, &opts) ? 0 : opts.prog_id;
}
