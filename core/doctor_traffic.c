/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl doctor: whose traffic arrives where.  A second's sample at each
 * interface tells whether the two have been exchanged, and whether subscribers
 * have the addresses that are configured.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/doctor.h"

enum {
	SNAP = 192, /* bytes of a frame */
	TAGS = 4,
	LABELS = 4,
	PPPOE_SESSION = 0x8864,
	MPLS = 0x8847,
	QINQ = 0x9100,
	AD = 0x88a8,
	/* Fewer say nothing. */
	ENOUGH = 8,
};

/* ---- A frame ------------------------------------------------------------- */

static uint16_t be16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

/* Where the IP header is; NULL: it is none.  *vlan is the outermost tag's,
 * unless it is set already. */
static const uint8_t *find_ip(const uint8_t *frame, const uint8_t *end,
			      uint16_t *vlan)
{
	const uint8_t *at = frame + ETH_HLEN;
	uint16_t type;

	if (at > end)
		return NULL;
	type = be16(at - 2);
	for (int i = 0; i < TAGS && at + 4 <= end; i++, at += 4) {
		if (type != ETHERTYPE_VLAN && type != AD && type != QINQ)
			break;
		if (!*vlan)
			*vlan = be16(at) & 0xfff;
		type = be16(at + 2);
	}
	if (type == PPPOE_SESSION)
		return at + 8;
	for (int i = 0; type == MPLS && i < LABELS && at + 4 <= end; i++) {
		bool last = at[2] & 1;

		at += 4;
		if (last)
			return at;
	}
	return type == ETHERTYPE_IP || type == ETHERTYPE_IPV6 ? at : NULL;
}

static enum doctor_origin origin_of(const struct doctor *d,
				    const struct doctor_port *p, uint16_t vlan)
{
	if (p->port->side != LQOS_STICK)
		return p->port->side == LQOS_TO_INTERNET ? FROM_INTERNET
							 : FROM_SUBSCRIBERS;
	for (uint32_t i = 0; i < d->topology.n_vlans; i++) {
		if (d->topology.vlans[i].internet == vlan)
			return FROM_INTERNET;
		if (d->topology.vlans[i].subscribers == vlan)
			return FROM_SUBSCRIBERS;
	}
	return ORIGINS;
}

void doctor_count(const struct doctor *d, const struct doctor_port *p,
		  const uint8_t *frame, size_t len, uint16_t vlan,
		  doctor_owner_fn owned, void *arg, struct doctor_traffic *t)
{
	const uint8_t *end = frame + len;
	const uint8_t *ip = find_ip(frame, end, &vlan);
	enum doctor_origin origin = origin_of(d, p, vlan);
	bool from, to;
	int family;

	if (origin == ORIGINS)
		return;
	t += origin;
	t->frames++;
	if (!ip || ip >= end)
		return;
	family = *ip >> 4 == 4 ? AF_INET : AF_INET6;
	if ((family == AF_INET6 && *ip >> 4 != 6) ||
	    ip + (family == AF_INET ? 20 : 40) > end)
		return;
	t->ip++;
	from = owned(arg, family, ip + (family == AF_INET ? 12 : 8), vlan);
	to = owned(arg, family, ip + (family == AF_INET ? 16 : 24), vlan);
	t->from_subscribers += from && !to;
	t->to_subscribers += to && !from;
}

/* ---- Listening ----------------------------------------------------------- */

/* A packet socket that gets the first bytes of what arrives. */
static int open_tap(uint32_t ifindex)
{
	struct sock_filter arriving[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, SNAP),
	};
	const struct sock_fprog program = {ARRAY_SIZE(arriving), arriving};
	const struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex,
	};
	autoclose int fd =
		socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		       sizeof(program)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&where, sizeof(where)))
		return -errno;
	return steal_fd(&fd);
}

static uint16_t vlan_of(struct msghdr *message)
{
	struct tpacket_auxdata aux;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_PACKET ||
		    c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			return aux.tp_vlan_tci & 0xfff;
	}
	return 0;
}

/* 1: a frame came in; 0: none is there. */
static int take_frame(const struct doctor *d, struct doctor_port *p, int fd,
		      doctor_owner_fn owned, void *arg)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	uint8_t frame[SNAP];
	struct iovec io = {frame, sizeof(frame)};
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, 0);

	if (n < 0)
		return 0;
	doctor_count(d, p, frame, n, vlan_of(&message), owned, arg, p->traffic);
	return 1;
}

static uint32_t frames_of(const struct doctor_port *p)
{
	return p->traffic[FROM_INTERNET].frames +
	       p->traffic[FROM_SUBSCRIBERS].frames;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void listen_at(struct doctor *d, struct pollfd *taps, uint32_t n,
		      doctor_owner_fn owned, void *arg)
{
	int64_t begin = now_ms(), left = DOCTOR_LISTEN_MS;
	uint32_t open = n, i, taken;

	for (; open && left > 0; left = begin + DOCTOR_LISTEN_MS - now_ms()) {
		if (poll(taps, n, (int)left) <= 0)
			continue;
		for (i = 0; i < n; i++) {
			struct doctor_port *p = &d->ports[i];

			/* Frames of no pair's VLAN count for nobody. */
			for (taken = 0; taken < DOCTOR_FRAMES &&
					frames_of(p) < DOCTOR_FRAMES &&
					taps[i].revents & POLLIN;
			     taken++)
				if (!take_frame(d, p, taps[i].fd, owned, arg))
					break;
			if (taps[i].fd < 0 || frames_of(p) < DOCTOR_FRAMES)
				continue;
			close(taps[i].fd);
			taps[i].fd = -1;
			open--;
		}
	}
	d->listened_ms = now_ms() - begin;
}

void doctor_listen(struct doctor *d, doctor_owner_fn owned, void *arg)
{
	struct pollfd taps[CORE_PORTS_MAX];
	uint32_t n = d->topology.n_ports, i;

	for (i = 0; i < n; i++)
		taps[i] = (struct pollfd){
			.fd = d->ports[i].ifindex
				      ? open_tap(d->ports[i].ifindex)
				      : -1,
			.events = POLLIN,
		};
	listen_at(d, taps, n, owned, arg);
	for (i = 0; i < n; i++)
		if (taps[i].fd >= 0)
			close(taps[i].fd);
	d->traffic_known = true;
}

/* ---- The check ----------------------------------------------------------- */

static void exchange(struct doctor *d, const struct doctor_port *p)
{
	if (p->port->side == LQOS_STICK) {
		doctor_type(d,
			    "$EDITOR %s    # vlans: exchange the numbers "
			    "of each pair",
			    d->config);
	} else if (d->interfaces_given && p->peer) {
		doctor_type(d, "lqosctl doctor -i %s,%s",
			    p->port->side == LQOS_TO_INTERNET
				    ? p->peer->port->name
				    : p->port->name,
			    p->port->side == LQOS_TO_INTERNET
				    ? p->port->name
				    : p->peer->port->name);
	} else {
		doctor_type(d,
			    "sed -i -e 's/^to_internet\\b/to_x/' -e "
			    "'s/^to_subscribers\\b/to_internet/' -e "
			    "'s/^to_x\\b/to_subscribers/' %s",
			    d->config);
		doctor_type(d, "systemctl restart lqosd");
	}
}

static void judge(struct doctor *d, const struct doctor_port *p,
		  enum doctor_origin origin)
{
	const struct doctor_traffic *t = &p->traffic[origin];
	const char *side =
		origin == FROM_INTERNET ? "internet's" : "subscribers'";
	uint32_t known = t->from_subscribers + t->to_subscribers;
	uint32_t right = origin == FROM_INTERNET ? t->to_subscribers
						 : t->from_subscribers;

	if (!t->frames) {
		doctor_warn(d,
			    "nothing arrived from the %s side in %u ms: is "
			    "it connected, and is this the right interface?",
			    side, d->listened_ms);
		doctor_type(d, "tcpdump -c 5 -ni %s", p->port->name);
	} else if (known >= ENOUGH && right < known / 2) {
		doctor_fail(d,
			    "%u of %u packets of subscribers that arrive from "
			    "the %s side are %s them: the two sides are "
			    "exchanged",
			    known - right, known, side,
			    origin == FROM_INTERNET ? "sent by" : "for");
		exchange(d, p);
	} else if (!known && t->ip >= ENOUGH) {
		doctor_warn(d,
			    "none of %u packets from the %s side is a "
			    "subscriber's: are their addresses in %s, or does "
			    "NAT hide them here?",
			    t->ip, side, d->settings->shaped_devices);
		doctor_type(d, "tcpdump -c 5 -ni %s ip or ip6", p->port->name);
	} else if (!known) {
		doctor_ok(d,
			  "nothing of subscribers came from the %s side in "
			  "%u ms",
			  side, d->listened_ms);
	} else {
		doctor_ok(d,
			  "of %u packets of subscribers, %u arrive on the "
			  "right side (the %s)",
			  known, right, side);
	}
}

void doctor_direction(struct doctor *d, const struct doctor_port *p)
{
	if (!d->traffic_known) {
		doctor_ok(d, "not looked at: %s",
			  d->root ? "no subscribers are in the kernel"
				  : "for root only");
		return;
	}
	if (p->port->side != LQOS_TO_SUBSCRIBERS)
		judge(d, p, FROM_INTERNET);
	if (p->port->side != LQOS_TO_INTERNET)
		judge(d, p, FROM_SUBSCRIBERS);
}
