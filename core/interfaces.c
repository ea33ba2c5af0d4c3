/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network interfaces by their sysfs attributes.  /sys shows the network
 * namespace it was mounted in, which need not be ours (`nsenter --net=...`), so
 * a private, detached mount of sysfs is opened instead.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "interfaces"

int interface_sysfs(void)
{
	autoclose int fs = fsopen("sysfs", FSOPEN_CLOEXEC);
	int top = -1;

	if (fs >= 0 && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		top = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (top < 0)
		top = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return top < 0 ? -errno : top;
}

/* class/net/NAME/WHAT of our own network namespace. */
static int open_class(const char *name, const char *what, int flags)
{
	autoclose int top = interface_sysfs();
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "class/net/%s/%s", name, what);
	fd = openat(top, path, O_RDONLY | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

static int open_queues(const char *name)
{
	return open_class(name, "queues", O_DIRECTORY);
}

int interface_open_statistic(const char *name, const char *file)
{
	char what[64];

	snprintf(what, sizeof(what), "statistics/%s", file);
	return open_class(name, what, 0);
}

static int count_queues(struct lqos_interface *iface)
{
	struct dirent *entry;
	int fd = open_queues(iface->name);
	DIR *d;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -errno;
	}
	iface->rx_queues = iface->tx_queues = 0;
	while ((entry = readdir(d))) {
		if (!strncmp(entry->d_name, "rx-", 3))
			iface->rx_queues++;
		else if (!strncmp(entry->d_name, "tx-", 3))
			iface->tx_queues++;
	}
	closedir(d);
	return 0;
}

bool interface_is_gone(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	/* One that cannot be asked for, as without a file more, is there. */
	return !if_indextoname(ifindex, name) && errno == ENXIO;
}

int interface_find(struct lqos_interface *out, const char *name,
		   enum lqos_side side, uint32_t wait_ms)
{
	const struct timespec step = {.tv_nsec = 100 * 1000 * 1000};
	struct lqos_interface found = {.name = name, .side = side};
	bool said = false;
	int rc;

	/* At boot, links come up late. */
	while (!(found.ifindex = if_nametoindex(name))) {
		if (errno != ENODEV)
			return core_fail(WHO, -errno, "cannot look for %s",
					 name);
		if (!wait_ms)
			return core_fail(
				WHO, -ENODEV,
				"no interface %s in this network "
				"namespace: see `ip link` for the names",
				name);
		if (!said)
			core_log(WHO, LQOS_INFO, "waiting for interface %s",
				 name);
		said = true;
		nanosleep(&step, NULL);
		wait_ms -= wait_ms < 100 ? wait_ms : 100;
	}
	rc = count_queues(&found);
	if (rc)
		return core_fail(WHO, rc, "%s: cannot read its queues in sysfs",
				 name);
	*out = found;
	return 0;
}

static int get_flags(const char *name, struct ifreq *req)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(req->ifr_name, sizeof(req->ifr_name), "%s", name);
	return fd < 0 || ioctl(fd, SIOCGIFFLAGS, req) ? -errno : 0;
}

static int set_flags(const struct ifreq *req)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, req) ? -errno : 0;
}

int interface_set_promisc(const struct lqos_interface *iface,
			  struct restore *restore)
{
	struct ifreq req = {};
	int rc = get_flags(iface->name, &req);

	if (!rc && req.ifr_flags & IFF_PROMISC)
		return 0;
	if (!rc)
		rc = restore_note(restore, iface->name, "promisc", "off");
	req.ifr_flags |= IFF_PROMISC;
	if (!rc)
		rc = set_flags(&req);
	return rc ? core_fail(WHO, rc,
			      "%s: cannot make it promiscuous, so frames for "
			      "others would not arrive",
			      iface->name)
		  : 0;
}

void interface_restore_promisc(const struct lqos_interface *iface,
			       const struct restore *restore)
{
	struct ifreq req = {};
	int rc;

	if (!restore_get(restore, iface->name, "promisc"))
		return;
	rc = get_flags(iface->name, &req);
	req.ifr_flags &= ~IFF_PROMISC;
	if (!rc)
		rc = set_flags(&req);
	if (rc)
		core_fail(WHO, rc, "%s: cannot end its promiscuous mode",
			  iface->name);
}

static int open_xps(int queues, uint32_t i, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "tx-%u/xps_cpus", i);
	fd = openat(queues, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_xps(int queues, uint32_t i, char *mask, size_t size)
{
	autoclose int fd = open_xps(queues, i, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, mask, size - 1);
	if (n < 0)
		return -errno;
	mask[n] = '\0';
	mask[strcspn(mask, "\n")] = '\0';
	return 0;
}

static int write_xps(int queues, uint32_t i, const char *mask)
{
	autoclose int fd = open_xps(queues, i, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, mask, strlen(mask)) < 0 ? -errno : 0;
}

static bool is_clear(const char *mask)
{
	return strspn(mask, "0,") == strlen(mask);
}

int interface_clear_xps(const struct lqos_interface *iface,
			struct restore *restore)
{
	autoclose int queues = open_queues(iface->name);
	char mask[1024], key[32];
	uint32_t i;
	int rc;

	if (queues < 0)
		return core_fail(WHO, queues, "%s: no queues in sysfs",
				 iface->name);
	for (i = 0; i < iface->tx_queues; i++) {
		/* A single queue has no XPS: the kernel says ENOENT. */
		if (read_xps(queues, i, mask, sizeof(mask)) || is_clear(mask))
			continue;
		snprintf(key, sizeof(key), "xps_cpus.%u", i);
		rc = restore_note(restore, iface->name, key, mask);
		if (!rc)
			rc = write_xps(queues, i, "0");
		if (rc)
			return core_fail(WHO, rc,
					 "%s: cannot clear XPS of "
					 "queue %u",
					 iface->name, i);
		core_log(WHO, LQOS_DEBUG, "%s: XPS of queue %u was %s",
			 iface->name, i, mask);
	}
	return 0;
}

void interface_restore_xps(const struct lqos_interface *iface,
			   const struct restore *restore)
{
	autoclose int queues = open_queues(iface->name);
	const char *mask;
	char key[32];
	uint32_t i;
	int rc;

	for (i = 0; queues >= 0 && i < iface->tx_queues; i++) {
		snprintf(key, sizeof(key), "xps_cpus.%u", i);
		mask = restore_get(restore, iface->name, key);
		rc = mask ? write_xps(queues, i, mask) : 0;
		if (rc)
			core_fail(WHO, rc,
				  "%s: cannot put XPS of queue %u "
				  "back to %s",
				  iface->name, i, mask);
	}
}

int interface_ethtool(const char *name, void *command)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_data = command};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	return fd < 0 || ioctl(fd, SIOCETHTOOL, &req) ? -errno : 0;
}

/* An ETHTOOL_* command that sets data or gets it. */
static int ethtool_value(const char *name, uint32_t command, uint32_t *data)
{
	struct ethtool_value value = {.cmd = command, .data = *data};
	int rc = interface_ethtool(name, &value);

	if (!rc)
		*data = value.data;
	return rc;
}

int interface_channels(const char *name, struct interface_channels *out)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
	int rc = interface_ethtool(name, &c);

	if (rc)
		return rc;
	out->combined = c.max_combined;
	out->now = out->combined ? c.combined_count : c.tx_count;
	out->max = out->combined	 ? c.max_combined
		   : c.max_rx < c.max_tx ? c.max_rx
					 : c.max_tx;
	return 0;
}

const char *interface_more_channels(const char *name,
				    const struct interface_channels *c,
				    uint32_t n, char *buf, size_t size)
{
	if (n > c->max)
		n = c->max;
	if (!c->now || n <= c->now)
		return NULL;
	if (c->combined)
		snprintf(buf, size, "ethtool -L %s combined %u", name, n);
	else
		snprintf(buf, size, "ethtool -L %s rx %u tx %u", name, n, n);
	return buf;
}

void interface_keep_tags(const struct lqos_interface *iface,
			 struct restore *restore)
{
	uint32_t flags = 0;
	int rc;

	/* Whoever cannot be asked has no such offload. */
	if (ethtool_value(iface->name, ETHTOOL_GFLAGS, &flags) ||
	    !(flags & ETH_FLAG_RXVLAN))
		return;
	rc = restore_note(restore, iface->name, "rxvlan", "on");
	flags &= ~ETH_FLAG_RXVLAN;
	if (!rc)
		rc = ethtool_value(iface->name, ETHTOOL_SFLAGS, &flags);
	if (rc)
		core_log(WHO, LQOS_WARN,
			 "%s: cannot turn rx-vlan-offload off (%s), and frames "
			 "lose the tags it takes off on their way to another "
			 "CPU: ethtool -K %s rxvlan off",
			 iface->name, strerror(-rc), iface->name);
}

void interface_restore_tags(const struct lqos_interface *iface,
			    const struct restore *restore)
{
	uint32_t flags = 0;
	int rc;

	if (!restore_get(restore, iface->name, "rxvlan"))
		return;
	rc = ethtool_value(iface->name, ETHTOOL_GFLAGS, &flags);
	flags |= ETH_FLAG_RXVLAN;
	if (!rc)
		rc = ethtool_value(iface->name, ETHTOOL_SFLAGS, &flags);
	if (rc)
		core_fail(WHO, rc,
			  "%s: cannot turn rx-vlan-offload on again: ethtool "
			  "-K %s rxvlan on",
			  iface->name, iface->name);
}

void interface_advise(const struct lqos_interface *iface)
{
	uint32_t gro = 0;

	if (!ethtool_value(iface->name, ETHTOOL_GGRO, &gro) && !gro)
		core_log(WHO, LQOS_WARN,
			 "%s: generic-receive-offload is off, so nothing is "
			 "merged behind the cpumap and TCP costs more than "
			 "twice as much: ethtool -K %s gro on",
			 iface->name, iface->name);
}
