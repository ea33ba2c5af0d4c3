/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_port.c - an interface with a socket on each of its queues. */
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "modules/xsk/cmd_port.h"

enum { KICKS_MAX = 64, WAIT_MS = 100 };

/* ---- Interfaces ---------------------------------------------------------- */

static int ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	return fd < 0 || ioctl(fd, request, ifr) ? -errno : 0;
}

/* Not from /sys/class/net, which shows the namespace that it was mounted in. */
int cmd_port_queues(const char *name, uint32_t *out)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&channels};
	int rc = ask(name, SIOCETHTOOL, &ifr);

	if (rc && rc != -EOPNOTSUPP)
		return rc;
	*out = channels.rx_count + channels.combined_count;
	if (rc || !*out) /* drivers of one queue may not say so */
		*out = 1;
	return 0;
}

static int read_mtu(const char *name, uint32_t *out)
{
	struct ifreq ifr = {};
	int rc = ask(name, SIOCGIFMTU, &ifr);

	if (!rc)
		*out = (uint32_t)ifr.ifr_mtu;
	return rc;
}

int cmd_port_mac(const char *name, uint8_t mac[6])
{
	struct ifreq ifr = {};
	int rc = ask(name, SIOCGIFHWADDR, &ifr);

	if (!rc)
		memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return rc;
}

int cmd_port_drops(const char *name, struct cmd_port_drops *out)
{
	autofclose FILE *f = fopen("/proc/net/dev", "re");
	struct cmd_port_drops drops;
	char line[512], *colon;

	while (f && fgets(line, sizeof(line), f)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		if (strcmp(line + strspn(line, " "), name))
			continue;
		/* bytes packets errs drop fifo frame compressed multicast, and
		 * the same of what was sent */
		if (sscanf(colon + 1,
			   "%*u %*u %*u %" SCNu64
			   " %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
			   &drops.received, &drops.sent) != 2)
			return -EBADMSG;
		*out = drops;
		return 0;
	}
	return -ENODEV;
}

static int find(const char *name, uint32_t *queues)
{
	int rc = strlen(name) < IFNAMSIZ ? cmd_port_queues(name, queues)
					 : -ENODEV;

	if (rc == -ENODEV)
		cmd_fail("%s: no such interface here: ip link shows those that "
			 "there are",
			 name);
	else if (rc)
		cmd_fail("%s: cannot ask for its queues: %s", name,
			 strerror(-rc));
	return rc;
}

/* ---- UMEM ---------------------------------------------------------------- */

int cmd_umem_open(const struct cmd_sizes *sizes, const char *const *names,
		  struct lqos_umem **out)
{
	const struct lqos_umem_options options = {
		.frame_size = sizes->chunk_size,
		.frames = sizes->chunk_count,
		.fill_size = sizes->fill_ring,
		.comp_size = sizes->completion_ring,
	};
	uint32_t queues = 0, n;
	char why[CMD_WHY];
	uint64_t wanted;
	int rc;

	for (; *names; names++) {
		rc = find(*names, &n);
		if (rc)
			return rc;
		queues += n;
	}
	wanted = (uint64_t)queues * sizes->fill_ring;
	if (sizes->chunk_count < wanted) {
		cmd_fail("--chunk-count %u: the fill rings of %u queues want "
			 "%" PRIu64 ": more chunks, or a smaller --fill-ring",
			 sizes->chunk_count, queues, wanted);
		return -EINVAL;
	}
	rc = lqos_umem_create(&options, out, why, sizeof(why));
	if (rc)
		cmd_fail("%s", why);
	return rc;
}

int cmd_umem_close(struct lqos_umem **umem)
{
	uint32_t lost;

	if (!*umem)
		return 0;
	lost = lqos_umem_frames(*umem) - lqos_umem_available(*umem);
	if (lost || lqos_umem_refused(*umem)) {
		cmd_fail("%u frames did not come back to the pool, and %" PRIu64
			 " were given away by who had them no more: this is a "
			 "defect, please report it",
			 lost, lqos_umem_refused(*umem));
		lqos_umem_destroy(umem);
		return -EBUSY;
	}
	return lqos_umem_destroy(umem);
}

/* ---- Open and close ------------------------------------------------------ */

static int open_sockets(struct cmd_port *port, const struct cmd_sizes *sizes)
{
	const struct lqos_xsk_options options = {
		.rx_size = sizes->rx_ring,
		.tx_size = sizes->tx_ring,
		.copy = sizes->copy,
	};
	char why[CMD_WHY];

	port->sockets = calloc(port->queues, sizeof(*port->sockets));
	if (!port->sockets)
		return cmd_fail("%s: out of memory", port->name), -ENOMEM;
	for (uint32_t i = 0; i < port->queues; i++) {
		int rc = lqos_xsk_open(port->umem, port->name, i, &options,
				       &port->sockets[i], why, sizeof(why));

		if (rc)
			return cmd_fail("%s", why), rc;
		lqos_xsk_refill(port->sockets[i]);
	}
	return 0;
}

int cmd_port_open(struct cmd_port *port, const char *name,
		  struct lqos_umem *umem, const struct cmd_sizes *sizes)
{
	int rc;

	*port = (struct cmd_port){.name = name, .umem = umem};
	rc = find(name, &port->queues);
	if (rc)
		return rc;
	rc = read_mtu(name, &port->mtu);
	if (rc)
		cmd_fail("%s: cannot ask for its MTU: %s", name, strerror(-rc));
	else
		rc = open_sockets(port, sizes);
	if (rc)
		cmd_port_close(port);
	return rc;
}

int cmd_port_attach(struct cmd_port *port, const struct cmd_sizes *sizes)
{
	char why[CMD_WHY];
	int rc = lqos_xsk_hook_open(port->name, sizes->mode, false, &port->hook,
				    why, sizeof(why));

	if (rc)
		return cmd_fail("%s", why), rc;
	for (uint32_t i = 0; i < port->queues; i++) {
		rc = lqos_xsk_hook_add(port->hook, port->sockets[i]);
		if (rc) {
			cmd_fail("%s: cannot have packets of queue %u sent to "
				 "its socket: %s",
				 port->name, i, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

void cmd_port_detach(struct cmd_port *port)
{
	lqos_xsk_hook_close(&port->hook);
}

void cmd_port_close(struct cmd_port *port)
{
	cmd_port_detach(port);
	for (uint32_t i = 0; port->sockets && i < port->queues; i++)
		lqos_xsk_close(&port->sockets[i]);
	free(steal_ptr(port->sockets));
}

/* ---- Frames -------------------------------------------------------------- */

uint32_t cmd_port_poll(const struct cmd_port *port, struct pollfd *fds)
{
	for (uint32_t i = 0; i < port->queues; i++)
		fds[i] = (struct pollfd){.fd = lqos_xsk_fd(port->sockets[i]),
					 .events = POLLIN};
	return port->queues;
}

int cmd_wait(struct pollfd *fds, uint32_t n)
{
	int rc = poll(fds, n, WAIT_MS) < 0 && errno != EINTR ? -errno : 0;

	if (rc)
		cmd_fail("cannot wait for packets: %s", strerror(-rc));
	return rc;
}

/* poll() does not tell. */
int cmd_port_check(const struct cmd_port *port)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(lqos_xsk_fd(port->sockets[0]), SOL_SOCKET, SO_ERROR,
		       &error, &len))
		error = errno;
	if (error)
		cmd_fail("%s: the interface went away: %s", port->name,
			 strerror(error));
	return -error;
}

/* The kernel sends some at a time, and wants room to say which it has sent. */
static void kick(struct cmd_port *port, struct lqos_xsk *xsk)
{
	int rc = -EAGAIN;

	for (int i = 0; rc == -EAGAIN && i < KICKS_MAX; i++) {
		rc = lqos_xsk_kick(xsk);
		lqos_xsk_reap(xsk);
	}
	if (rc && rc != -EAGAIN)
		port->kick_error = rc;
}

void cmd_port_send(struct cmd_port *port, uint32_t queue,
		   const struct lqos_xsk_frame *frames, uint32_t n)
{
	struct lqos_xsk *xsk = port->sockets[queue % port->queues];
	uint32_t room = lqos_xsk_tx_room(xsk), sent;

	if (!n)
		return;
	if (room < n) {
		kick(port, xsk);
		room = lqos_xsk_tx_room(xsk);
	}
	sent = lqos_xsk_tx(xsk, frames, n < room ? n : room);
	if (sent < n) {
		lqos_umem_free(port->umem, frames + sent, n - sent);
		port->no_room += n - sent;
	}
	kick(port, xsk);
}

void cmd_port_turn(struct cmd_port *port)
{
	for (uint32_t i = 0; i < port->queues; i++) {
		struct lqos_xsk *xsk = port->sockets[i];

		if (lqos_xsk_outstanding(xsk))
			kick(port, xsk);
		lqos_xsk_refill(xsk);
	}
}

/* ---- Output -------------------------------------------------------------- */

void cmd_port_describe(const struct cmd_port *port)
{
	printf("%s: %u queue%s, %s, %s\n", port->name, port->queues,
	       port->queues == 1 ? "" : "s",
	       lqos_xsk_hook_is_native(port->hook) ? "native" : "generic",
	       lqos_xsk_is_zerocopy(port->sockets[0]) ? "zero-copy" : "copy");
}

static void add(struct lqos_xsk_stats *sum, const struct lqos_xsk_stats *s)
{
	sum->received += s->received;
	sum->sent += s->sent;
	sum->rx_dropped += s->rx_dropped;
	sum->rx_invalid += s->rx_invalid;
	sum->rx_ring_full += s->rx_ring_full;
	sum->rx_fill_empty += s->rx_fill_empty;
	sum->tx_invalid += s->tx_invalid;
	sum->tx_dropped += s->tx_dropped;
	sum->tx_refused += s->tx_refused;
}

void cmd_port_counters(const struct cmd_port *port)
{
	struct lqos_xsk_stats sum = {}, one;

	for (uint32_t i = 0; i < port->queues; i++)
		if (!lqos_xsk_stats(port->sockets[i], &one))
			add(&sum, &one);
	const struct {
		const char *what;
		uint64_t n;
	} drops[] = {
		{"not received, no frame to put it into or too long",
		 sum.rx_dropped},
		{"not received, the RX ring was full", sum.rx_ring_full},
		{"not received, invalid frame in the fill ring",
		 sum.rx_invalid},
		{"not sent, the TX ring was full", port->no_room},
		{"not sent, the interface refused it", sum.tx_dropped},
		{"not sent, invalid", sum.tx_invalid + sum.tx_refused},
	};

	printf("%s: received %" PRIu64 ", sent %" PRIu64 "\n", port->name,
	       sum.received, sum.sent);
	for (size_t i = 0; i < ARRAY_SIZE(drops); i++)
		if (drops[i].n)
			printf("%s: %s: %" PRIu64 "\n", port->name,
			       drops[i].what, drops[i].n);
	if (port->kick_error)
		printf("%s: could not always send: %s\n", port->name,
		       strerror(-port->kick_error));
}
