/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_tunnel.c - lqosctl xsk tunnel: the frames of an interface go through UDP
 * to another tunnel, as if a cable went from here to there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "modules/xsk/cmd_port.h"
#include "modules/xsk/rewrite.h"

enum {
	PORT_DEFAULT = 5555,
	/* Of an Ethernet path, less what the tunnel puts in front: IPv4, UDP
	 * and a frame's own headers. */
	PATH = 1500,
	MSS = PATH - LQOS_INET_IPV4 - LQOS_INET_UDP - LQOS_INET_ETHER -
	      LQOS_INET_IPV4 - LQOS_INET_TCP,
	IPV6_MORE = LQOS_INET_IPV6 - LQOS_INET_IPV4,
};
_Static_assert(MSS == 1418, "as packetvisor has it");

struct tunnel {
	struct cmd_sizes sizes;
	const char *name, *source, *destination;
	uint32_t port_number;
	/* While it runs. */
	struct cmd_port port;
	struct lqos_umem *umem;
	int fd;
	uint16_t mss; /* of TCP over IPv4 inside */
	uint64_t sent, received, clamped;
	uint64_t not_sent, bad, no_frame;
	int send_error; /* the last; 0: none */
};

/* ---- The outside --------------------------------------------------------- */

static int read_address(const char *option, const char *text, uint32_t port,
			struct sockaddr_storage *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
	} else {
		return cmd_usage("%s %s: expected an IP address", option, text);
	}
	return -1;
}

/* Frames as long as the path go in two packets: our own MTU is none of theirs
 * who are inside, who would not hear of it. */
static int let_fragment(int fd, int family)
{
	int v4 = IP_PMTUDISC_DONT, v6 = IPV6_PMTUDISC_DONT;

	return family == AF_INET
		       ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4,
				    sizeof(v4))
		       : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6,
				    sizeof(v6));
}

static int open_outside(struct tunnel *t, const struct sockaddr_storage *from,
			const struct sockaddr_storage *to)
{
	socklen_t len = from->ss_family == AF_INET
				? sizeof(struct sockaddr_in)
				: sizeof(struct sockaddr_in6);
	autoclose int fd = socket(from->ss_family,
				  SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || let_fragment(fd, from->ss_family))
		return cmd_fail("cannot open a UDP socket: %s",
				strerror(errno));
	if (bind(fd, (const struct sockaddr *)from, len))
		return cmd_fail("cannot use %s port %u: %s: --source is to be "
				"an address of this host, with a free port",
				t->source, t->port_number, strerror(errno));
	/* From nobody else anything is taken. */
	if (connect(fd, (const struct sockaddr *)to, len))
		return cmd_fail("cannot send to %s: %s: is there a route?",
				t->destination, strerror(errno));
	t->fd = steal_fd(&fd);
	return 0;
}

/* ---- Frames -------------------------------------------------------------- */

static void clamp(struct tunnel *t, uint8_t *data, uint32_t len)
{
	struct lqos_inet in;
	uint32_t less;

	if (lqos_inet_parse(data, len, &in) || !in.l4)
		return;
	/* Tags and IPv6 inside take more. */
	less = in.l3 - LQOS_INET_ETHER + (in.version == 6 ? IPV6_MORE : 0);
	t->clamped += rewrite_clamp_mss(data, &in, (uint16_t)(t->mss - less));
}

/* What came in at the interface leaves by UDP; how many there were. */
static uint32_t send_queue(struct tunnel *t, uint32_t queue)
{
	struct lqos_xsk_frame frames[CMD_BATCH];
	uint32_t n = lqos_xsk_rx(t->port.sockets[queue], frames, CMD_BATCH);

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *data = lqos_xsk_data(t->umem, &frames[i]);

		clamp(t, data, frames[i].len);
		if (send(t->fd, data, frames[i].len, 0) < 0) {
			t->not_sent++;
			t->send_error = errno;
		} else {
			t->sent++;
		}
	}
	lqos_umem_free(t->umem, frames, n);
	return n;
}

/* A datagram into a frame.  1; 0: there is none, or no frame for it. */
static int receive_one(struct tunnel *t, struct lqos_xsk_frame *frame)
{
	uint8_t none;
	ssize_t n;
	uint32_t room;

	if (lqos_umem_alloc(t->umem, frame)) {
		/* Read it anyway: the socket's own queue would be stuck. */
		if (recv(t->fd, &none, 1, MSG_TRUNC) >= 0)
			t->no_frame++;
		return 0;
	}
	room = lqos_xsk_tailroom(t->umem, frame);
	n = recv(t->fd, lqos_xsk_data(t->umem, frame), room, MSG_TRUNC);
	if (n < LQOS_INET_ETHER || n > (ssize_t)room) {
		/* An error may be what became of something sent before. */
		t->bad += n >= 0;
		lqos_umem_free(t->umem, frame, 1);
		return 0;
	}
	lqos_xsk_resize(t->umem, frame, (uint32_t)n);
	clamp(t, lqos_xsk_data(t->umem, frame), frame->len);
	return 1;
}

static uint32_t receive(struct tunnel *t)
{
	struct lqos_xsk_frame frames[CMD_BATCH];
	uint32_t n = 0;

	while (n < CMD_BATCH && receive_one(t, &frames[n]))
		n++;
	t->received += n;
	cmd_port_send(&t->port, 0, frames, n);
	return n;
}

/* ---- The loop ------------------------------------------------------------ */

static uint32_t turn(struct tunnel *t)
{
	uint32_t n = receive(t);

	for (uint32_t queue = 0; queue < t->port.queues; queue++)
		n += send_queue(t, queue);
	cmd_port_turn(&t->port);
	return n;
}

static int loop(struct tunnel *t)
{
	uint32_t n = t->port.queues + 1;
	autofree struct pollfd *fds = calloc(n, sizeof(*fds));
	int64_t second = 0;
	int rc = 0;

	if (!fds)
		return cmd_fail("out of memory"), -ENOMEM;
	fds[cmd_port_poll(&t->port, fds)] =
		(struct pollfd){.fd = t->fd, .events = POLLIN};
	while (!cmd_ended() && !rc) {
		if (!turn(t))
			rc = cmd_wait(fds, n);
		if (!rc && cmd_every_second(&second))
			rc = cmd_port_check(&t->port);
	}
	return rc;
}

static void report(const struct tunnel *t)
{
	printf("tunnel: received %" PRIu64 ", sent %" PRIu64
	       ", MSS clamped %" PRIu64 "\n",
	       t->received, t->sent, t->clamped);
	if (t->not_sent)
		printf("tunnel: not sent: %" PRIu64 ", the last due to %s\n",
		       t->not_sent, strerror(t->send_error));
	if (t->bad)
		printf("tunnel: not received, no frame in it or too long: "
		       "%" PRIu64 "\n",
		       t->bad);
	if (t->no_frame)
		printf("tunnel: not received, the pool was dry: %" PRIu64 "\n",
		       t->no_frame);
}

static int run_port(struct tunnel *t)
{
	int rc = cmd_port_open(&t->port, t->name, t->umem, &t->sizes);

	if (rc)
		return rc;
	rc = cmd_port_attach(&t->port, &t->sizes);
	if (!rc) {
		cmd_port_describe(&t->port);
		rc = loop(t);
		cmd_port_detach(&t->port);
		cmd_port_counters(&t->port);
		report(t);
	}
	cmd_port_close(&t->port);
	return rc;
}

/* ---- Command line -------------------------------------------------------- */

static const char help[] =
	"usage: lqosctl xsk tunnel [OPTION]... -i IF -s SOURCE -d "
	"DESTINATION\n\n"
	"Frames that arrive at an interface go through UDP to another tunnel, "
	"and leave\nthere by its interface; until ^C.\n\n"
	"  -i, --interface=IF\n"
	"  -s, --source=ADDRESS      of this host\n"
	"  -d, --destination=ADDRESS\n"
	"                            of the other tunnel's\n"
	"  -p, --port=PORT           of both (5555)\n" CMD_HELP_MODE;

static const struct option options[] = {
	{"interface", required_argument, NULL, 'i'},
	{"source", required_argument, NULL, 's'},
	{"destination", required_argument, NULL, 'd'},
	{"port", required_argument, NULL, 'p'},
	CMD_LONG_MODE,
	{},
};

static int read_options(struct tunnel *t, int argc, char **argv)
{
	int c, rc = -1;

	while (rc < 0 && (c = getopt_long(argc, argv, "hi:s:d:p:", options,
					  NULL)) != -1) {
		switch (c) {
		case 'i':
			t->name = optarg;
			break;
		case 's':
			t->source = optarg;
			break;
		case 'd':
			t->destination = optarg;
			break;
		case 'p':
			rc = cmd_number("--port", optarg, 1, 65535,
					&t->port_number);
			break;
		default:
			rc = cmd_option(&t->sizes, c, optarg, help);
		}
	}
	if (rc < 0 && (!t->name || !t->source || !t->destination))
		return cmd_usage("expected -i, -s and -d");
	if (rc < 0 && optind < argc)
		return cmd_usage("%s: expected options only", argv[optind]);
	return rc;
}

static int run(int argc, char **argv)
{
	struct tunnel t = {.sizes = CMD_SIZES_DEFAULT,
			   .port_number = PORT_DEFAULT,
			   .mss = MSS,
			   .fd = -1};
	struct sockaddr_storage from, to;
	int rc = read_options(&t, argc, argv);

	if (rc < 0)
		rc = read_address("--source", t.source, t.port_number, &from);
	if (rc < 0)
		rc = read_address("--destination", t.destination, t.port_number,
				  &to);
	if (rc >= 0)
		return rc;
	if (from.ss_family != to.ss_family)
		return cmd_usage("--source %s, --destination %s: expected two "
				 "of one family",
				 t.source, t.destination);
	if (from.ss_family == AF_INET6)
		t.mss -= IPV6_MORE;

	cmd_catch_signals();
	rc = open_outside(&t, &from, &to);
	if (!rc)
		rc = cmd_umem_open(&t.sizes, (const char *[]){t.name, NULL},
				   &t.umem);
	if (!rc)
		rc = run_port(&t);
	if (t.fd >= 0)
		close(t.fd);
	return cmd_umem_close(&t.umem) || rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct cmd cmd_tunnel = {
	"tunnel", "-i IF -s SOURCE -d DESTINATION",
	"an interface's frames through UDP to another tunnel", run};
