/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Own addresses: from the configuration, or from the kernel by rtnetlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <libmnl/libmnl.h>

#include "core/cleanup.h"
#include "modules/echo/self.h"

/* ---- The configuration --------------------------------------------------- */

static int parse_one(const char *text, struct echo_address *out)
{
	struct echo_address a = {0};

	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.version = 4;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.version = 6;
	else
		return -EINVAL;
	*out = a;
	return 0;
}

static char *trim(char *word)
{
	size_t n;

	word += strspn(word, " \t");
	for (n = strlen(word); n && strchr(" \t", word[n - 1]); n--)
		word[n - 1] = '\0';
	return word;
}

int echo_self_parse(const char *text, struct echo_self *self, char *why,
		    size_t size)
{
	autofree char *copy = strdup(text);
	struct echo_self out = *self;
	char *rest = copy, *word;

	if (!copy)
		return -ENOMEM;
	out.n = 0;
	while ((word = strsep(&rest, ","))) {
		word = trim(word);
		if (!*word && !out.n && !rest)
			break;
		if (out.n == ECHO_ADDRESSES_MAX) {
			snprintf(why, size, "addresses: expected at most %d",
				 ECHO_ADDRESSES_MAX);
			return -EINVAL;
		}
		if (parse_one(word, &out.addresses[out.n])) {
			snprintf(why, size,
				 "addresses: \"%s\": expected an address, as "
				 "192.0.2.1 or 2001:db8::1, with commas "
				 "between several",
				 word);
			return -EINVAL;
		}
		out.n++;
	}
	*self = out;
	return 0;
}

/* ---- The kernel ---------------------------------------------------------- */

int echo_self_mac(const char *interface, struct echo_self *self)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EOPNOTSUPP;
	memcpy(self->mac, request.ifr_hwaddr.sa_data, sizeof(self->mac));
	return 0;
}

struct dump {
	struct echo_self *self;
	uint32_t ifindex, more;
};

static int add_address(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr, *address = NULL, *local = NULL;
	struct dump *dump = arg;
	uint32_t flags = ifa->ifa_flags;
	struct echo_address a = {.version = ifa->ifa_family == AF_INET ? 4 : 6};

	if (ifa->ifa_index != dump->ifindex ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			address = attr;
		else if (mnl_attr_get_type(attr) == IFA_LOCAL)
			local = attr;
		else if (mnl_attr_get_type(attr) == IFA_FLAGS)
			flags = mnl_attr_get_u32(attr);
	}
	/* Where both are there, the other is the far end's. */
	address = local ?: address;
	if (!address || flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) ||
	    mnl_attr_get_payload_len(address) != (a.version == 4 ? 4 : 16))
		return MNL_CB_OK;
	memcpy(a.bytes, mnl_attr_get_payload(address),
	       mnl_attr_get_payload_len(address));
	if (dump->self->n < ECHO_ADDRESSES_MAX)
		dump->self->addresses[dump->self->n++] = a;
	else
		dump->more++;
	return MNL_CB_OK;
}

static int read_dump(struct mnl_socket *nl, struct dump *dump)
{
	char answer[16384];
	uint32_t seq = (uint32_t)time(NULL);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(answer);
	ssize_t n;
	int more;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
		if (n < 0)
			return -errno;
		more = mnl_cb_run(answer, (size_t)n, seq,
				  mnl_socket_get_portid(nl), add_address, dump);
	} while (more > 0);
	return more < 0 ? -errno : 0;
}

int echo_self_addresses(const char *interface, struct echo_self *self,
			uint32_t *more)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct echo_self out = *self;
	struct dump dump = {
		.self = &out,
		.ifindex = if_nametoindex(interface),
	};
	int rc;

	if (!nl)
		return -errno;
	out.n = 0;
	memset(out.addresses, 0, sizeof(out.addresses));
	rc = dump.ifindex ? read_dump(nl, &dump) : -ENODEV;
	mnl_socket_close(nl);
	if (rc)
		return rc;
	*self = out;
	*more = dump.more;
	return 0;
}
