/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_hello.c - lqosctl xsk hello: one packet from one end of a veth pair to
 * the other, by AF_XDP on both.  The whole of it is in here to be read: how
 * frames go round without lqosctl's other programs' help.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/xsk/cmd_common.h"
#include "modules/xsk/cmd_veth.h"

enum { FRAMES = 32, WAIT_MS = 100, SHARED = 256 };

/* Who has 192.168.69.2?  Tell 192.168.69.1. */
static const uint8_t arp_request[42] = {
	/* Ethernet: to all, from dev1, ARP */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf6, 0xe0, 0xf6, 0xc9, 0x60, 0x0a,
	0x08, 0x06,
	/* Ethernet and IPv4, lengths of their addresses, request */
	0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
	/* the sender's addresses, and the target's */
	0xf6, 0xe0, 0xf6, 0xc9, 0x60, 0x0a, 192, 168, 69, 1, 0, 0, 0, 0, 0, 0,
	192, 168, 69, 2};

struct hello {
	struct cmd_sizes sizes;
	bool shared;
	/* With a shared UMEM both are the same. */
	struct lqos_umem *umem1, *umem2;
	struct lqos_xsk *dev1, *dev2;
	struct lqos_xsk_hook *hook;
};

/* Our frames, which the kernel may receive into from now on. */
static int give_frames(struct lqos_umem *umem, struct lqos_xsk *xsk, uint32_t n)
{
	struct lqos_xsk_frame frames[FRAMES];

	for (uint32_t i = 0; i < n; i++)
		if (lqos_umem_alloc(umem, &frames[i]))
			return cmd_fail("the pool has no %u frames", n);
	if (lqos_xsk_fill(xsk, frames, n) != n)
		return cmd_fail("the fill ring does not take %u frames", n);
	return 0;
}

static int send_hello(const struct hello *h)
{
	struct lqos_xsk_frame frame;
	uint8_t *data;
	int rc;

	if (lqos_umem_alloc(h->umem1, &frame))
		return cmd_fail("the pool is dry");
	data = lqos_xsk_put(h->umem1, &frame, sizeof(arp_request));
	if (!data)
		return cmd_fail("a frame has no room for a packet");
	memcpy(data, arp_request, sizeof(arp_request));
	puts("sending packet");
	if (!lqos_xsk_tx(h->dev1, &frame, 1))
		return cmd_fail("the TX ring takes no frame");
	rc = lqos_xsk_kick(h->dev1);
	/* -EAGAIN: it is still in the ring. */
	return rc && rc != -EAGAIN ? cmd_fail("cannot send: %s", strerror(-rc))
				   : 0;
}

/* Is it among those that came? */
static bool receive(const struct hello *h)
{
	struct lqos_xsk_frame frames[CMD_BATCH];
	uint32_t n = lqos_xsk_rx(h->dev2, frames, CMD_BATCH);
	bool found = false;

	for (uint32_t i = 0; i < n; i++)
		found |= frames[i].len == sizeof(arp_request) &&
			 !memcmp(lqos_xsk_data(h->umem2, &frames[i]),
				 arp_request, sizeof(arp_request));
	lqos_umem_free(h->umem2, frames, n);
	return found;
}

static int receive_hello(const struct hello *h)
{
	int64_t until = cmd_now_ns() + WAIT_MS * 1000000LL;
	int64_t left;

	while ((left = until - cmd_now_ns()) > 0 && !cmd_ended()) {
		int rc = lqos_xsk_wait(h->dev2, (int)(left / 1000000) + 1);

		if (rc < 0 && rc != -EINTR)
			return cmd_fail("cannot wait for it: %s",
					strerror(-rc));
		if (rc > 0 && receive(h)) {
			puts("received packet!");
			return 0;
		}
	}
	return cmd_fail(cmd_ended() ? "interrupted"
				    : "no matching packet was received within "
				      "100 ms");
}

/* ---- Open and close ------------------------------------------------------ */

static int open_umem(struct lqos_umem **out)
{
	const struct lqos_umem_options options = {.frames = FRAMES};
	char why[CMD_WHY];

	return lqos_umem_create(&options, out, why, sizeof(why))
		       ? cmd_fail("%s", why)
		       : 0;
}

static int open_all(struct hello *h)
{
	struct lqos_xsk_options options = {.copy = h->sizes.copy};
	char why[CMD_WHY];
	int rc = open_umem(&h->umem1);

	if (rc)
		return rc;
	h->umem2 = h->umem1;
	if (!h->shared && (rc = open_umem(&h->umem2))) {
		h->umem2 = h->umem1;
		return rc;
	}
	if (lqos_xsk_open(h->umem1, CMD_VETH1, 0, &options, &h->dev1, why,
			  sizeof(why)) ||
	    lqos_xsk_open(h->umem2, CMD_VETH2, 0, &options, &h->dev2, why,
			  sizeof(why)) ||
	    lqos_xsk_hook_open(CMD_VETH2, h->sizes.mode, false, &h->hook, why,
			       sizeof(why)))
		return cmd_fail("%s", why);
	rc = lqos_xsk_hook_add(h->hook, h->dev2);
	return rc ? cmd_fail("cannot have packets sent to the socket: %s",
			     strerror(-rc))
		  : 0;
}

static void close_all(struct hello *h)
{
	lqos_xsk_hook_close(&h->hook);
	lqos_xsk_close(&h->dev2);
	lqos_xsk_close(&h->dev1);
	if (h->umem2 != h->umem1)
		lqos_umem_destroy(&h->umem2);
	if (h->umem1)
		lqos_umem_destroy(&h->umem1);
}

static int hello(struct hello *h)
{
	int rc = open_all(h);

	/* A shared UMEM's other half is for sending. */
	rc = rc
		     ?: give_frames(h->umem2, h->dev2,
				    h->shared ? FRAMES / 2 : FRAMES);
	rc = rc ?: send_hello(h);
	rc = rc ?: receive_hello(h);
	close_all(h);
	return rc;
}

/* ---- Command line -------------------------------------------------------- */

static const char help[] =
	"usage: lqosctl xsk hello [OPTION]...\n\n"
	"Sends one packet through a veth pair, which it makes for the time, "
	"and receives\nit at the other end.\n\n"
	"      --shared              both ends share one UMEM\n" CMD_HELP_MODE;

static const struct option options[] = {
	{"shared", no_argument, NULL, SHARED},
	CMD_LONG_MODE,
	{},
};

static int run(int argc, char **argv)
{
	struct hello h = {.sizes = CMD_SIZES_DEFAULT};
	int c, rc;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == SHARED)
			h.shared = true;
		else if ((rc = cmd_option(&h.sizes, c, optarg, help)) >= 0)
			return rc;
	}
	if (optind < argc)
		return cmd_usage("%s: expected options only", argv[optind]);
	cmd_catch_signals();
	return cmd_veth_open() ? EXIT_FAILURE : hello(&h);
}

const struct cmd cmd_hello = {"hello", "[--shared]",
			      "one packet through a veth pair, and what it "
			      "takes",
			      run};
