/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_veth.c - a veth pair in a network namespace of our own, by rtnetlink. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "core/cleanup.h"
#include "modules/xsk/cmd_common.h"
#include "modules/xsk/cmd_veth.h"

/* Those of xsk-rs's example. */
const uint8_t cmd_veth_mac1[6] = {0xf6, 0xe0, 0xf6, 0xc9, 0x60, 0x0a};
const uint8_t cmd_veth_mac2[6] = {0x4a, 0xf1, 0x30, 0xeb, 0x0d, 0x31};

/* Nobody but us is to send there.  A kernel without IPv6 has no such file. */
static void silence(void)
{
	autoclose int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6",
				O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		cmd_fail("IPv6 stays on: its packets are counted as foreign");
}

static struct nlmsghdr *begin(void *buf, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buf);

	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return message;
}

static int talk(struct mnl_socket *nl, struct nlmsghdr *message)
{
	char answer[8192];
	ssize_t n;

	if (mnl_socket_sendto(nl, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n < 0 || mnl_cb_run(answer, (size_t)n, 0, 0, NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int create(struct mnl_socket *nl)
{
	char buf[1024] = "";
	struct nlmsghdr *message = begin(buf, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *peer;

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, CMD_VETH1);
	mnl_attr_put(message, IFLA_ADDRESS, 6, cmd_veth_mac1);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, CMD_VETH2);
	mnl_attr_put(message, IFLA_ADDRESS, 6, cmd_veth_mac2);
	mnl_attr_nest_end(message, peer);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return talk(nl, message);
}

static int set_up(struct mnl_socket *nl, const char *name)
{
	char buf[256] = "";
	struct nlmsghdr *message = begin(buf, 0);
	struct ifinfomsg *link =
		mnl_nlmsg_put_extra_header(message, sizeof(*link));

	link->ifi_index = (int)if_nametoindex(name);
	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	return talk(nl, message);
}

int cmd_veth_open(void)
{
	struct mnl_socket *nl;
	int rc;

	if (unshare(CLONE_NEWNET)) {
		rc = -errno;
		cmd_fail("cannot make a network namespace for a veth pair: "
			 "%s%s",
			 strerror(-rc),
			 rc == -EPERM ? ": this is for root" : "");
		return rc;
	}
	silence();
	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	rc = nl ? create(nl) : -errno;
	rc = rc ?: set_up(nl, CMD_VETH1);
	rc = rc ?: set_up(nl, CMD_VETH2);
	if (nl)
		mnl_socket_close(nl);
	if (rc)
		cmd_fail("cannot make a veth pair: %s%s", strerror(-rc),
			 rc == -EOPNOTSUPP ? ": does this kernel have veth?"
					   : "");
	return rc;
}
