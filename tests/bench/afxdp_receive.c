/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who receives, and drops or sends back: libxdp's rings alone and liblqos-xsk,
 * both busily, liblqos-xsk on a loop of libevent, and AF_PACKET.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <event2/event.h>
#include <xdp/xsk.h>

#include "tests/bench/afxdp.h"

enum {
	BUDGET = 8 * AFXDP_BATCH, /* packets a wake-up */
	LOOK_MS = 20,		  /* whether it is over */
	BLOCK = 1 << 18,	  /* of AF_PACKET's ring */
	BLOCKS = 64,
};

static void saw(const struct afxdp_options *o, struct afxdp_count *count,
		uint8_t *data, uint32_t len)
{
	uint64_t n = afxdp_number(data, len);

	if (n != UINT64_MAX)
		afxdp_saw(count, n);
	if (o->swap)
		afxdp_swap(data);
}

static void print(const struct afxdp_count *count, uint64_t cpu, bool native)
{
	uint64_t span = count->received ? count->last - count->first + 1 : 0;

	printf("{\"received\": %llu, \"lost\": %llu, \"backwards\": %llu, "
	       "\"cpu_ns\": %.1f, \"native\": %s}\n",
	       (unsigned long long)count->received,
	       (unsigned long long)(span > count->received
					    ? span - count->received
					    : 0),
	       (unsigned long long)count->backwards,
	       count->received ? (double)cpu / (double)count->received : 0,
	       native ? "true" : "false");
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static struct lqos_xsk_hook *hook(const struct afxdp_options *o)
{
	struct lqos_xsk_hook *h;
	char why[256];

	if (lqos_xsk_hook_open(o->interface,
			       o->generic ? LQOS_XSK_GENERIC : LQOS_XSK_NATIVE,
			       false, &h, why, sizeof(why)))
		afxdp_die(o->interface, why);
	return h;
}

/* ---- libxdp alone -------------------------------------------------------- */

struct plain {
	uint8_t *area;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	uint32_t outstanding;
};

static void plain_open(struct plain *p, const struct afxdp_options *o)
{
	const struct xsk_umem_config u = {
		.fill_size = AFXDP_RING,
		.comp_size = AFXDP_RING,
		.frame_size = AFXDP_FRAME_SIZE,
	};
	const struct xsk_socket_config x = {
		.rx_size = AFXDP_RING,
		.tx_size = AFXDP_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	const size_t size = (size_t)AFXDP_FRAME_SIZE * AFXDP_FRAMES;
	uint32_t at = 0, i;
	int rc;

	p->area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p->area == MAP_FAILED)
		afxdp_die("UMEM", strerror(errno));
	rc = xsk_umem__create(&p->umem, p->area, size, &p->fill, &p->comp, &u);
	if (!rc)
		rc = xsk_socket__create(&p->socket, o->interface, 0, p->umem,
					&p->rx, &p->tx, &x);
	if (rc)
		afxdp_die(o->interface, strerror(-rc));
	if (xsk_ring_prod__reserve(&p->fill, AFXDP_RING, &at) != AFXDP_RING)
		afxdp_die(o->interface, "the fill ring is too small");
	for (i = 0; i < AFXDP_RING; i++)
		*xsk_ring_prod__fill_addr(&p->fill, at + i) =
			(uint64_t)i * AFXDP_FRAME_SIZE;
	xsk_ring_prod__submit(&p->fill, AFXDP_RING);
}

static void plain_refill(struct plain *p, const uint64_t *frames, uint32_t n)
{
	uint32_t at = 0, i;

	if (!n || xsk_ring_prod__reserve(&p->fill, n, &at) != n)
		return;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&p->fill, at + i) =
			frames[i] & ~(uint64_t)(AFXDP_FRAME_SIZE - 1);
	xsk_ring_prod__submit(&p->fill, n);
}

/* What was sent back waits to be received into again. */
static void plain_reap(struct plain *p)
{
	uint64_t frames[AFXDP_BATCH];
	uint32_t at = 0, n, i;

	n = xsk_ring_cons__peek(&p->comp, AFXDP_BATCH, &at);
	for (i = 0; i < n; i++)
		frames[i] = *xsk_ring_cons__comp_addr(&p->comp, at + i);
	if (n)
		xsk_ring_cons__release(&p->comp, n);
	p->outstanding -= n;
	plain_refill(p, frames, n);
}

static void plain_turn(struct plain *p, const struct afxdp_options *o,
		       struct afxdp_count *count)
{
	uint64_t frames[AFXDP_BATCH];
	uint32_t rx = 0, tx = 0, n, i;

	n = xsk_ring_cons__peek(&p->rx, AFXDP_BATCH, &rx);
	if (n && o->swap && xsk_ring_prod__reserve(&p->tx, n, &tx) != n) {
		xsk_ring_cons__cancel(&p->rx, n);
		n = 0;
	}
	for (i = 0; i < n; i++) {
		struct xdp_desc desc = *xsk_ring_cons__rx_desc(&p->rx, rx + i);

		saw(o, count, p->area + desc.addr, desc.len);
		frames[i] = desc.addr;
		if (o->swap)
			*xsk_ring_prod__tx_desc(&p->tx, tx + i) =
				(struct xdp_desc){.addr = desc.addr,
						  .len = desc.len};
	}
	if (n)
		xsk_ring_cons__release(&p->rx, n);
	if (n && o->swap) {
		xsk_ring_prod__submit(&p->tx, n);
		p->outstanding += n;
	} else {
		plain_refill(p, frames, n);
	}
	if (!p->outstanding)
		return;
	if (xsk_ring_prod__needs_wakeup(&p->tx))
		sendto(xsk_socket__fd(p->socket), NULL, 0, MSG_DONTWAIT, NULL,
		       0);
	plain_reap(p);
}

static void receive_plain(const struct afxdp_options *o,
			  struct afxdp_count *count, bool *native)
{
	struct lqos_xsk_hook *h = hook(o);
	struct plain p = {};
	uint32_t queue = 0;
	int fd;

	plain_open(&p, o);
	fd = xsk_socket__fd(p.socket);
	if (bpf_map_update_elem(lqos_xsk_hook_map(h), &queue, &fd, 0))
		afxdp_die(o->interface, "the socket is not in its map");
	*native = lqos_xsk_hook_is_native(h);
	ready();
	while (!afxdp_over)
		plain_turn(&p, o, count);
	lqos_xsk_hook_close(&h);
	xsk_socket__delete(p.socket);
	xsk_umem__delete(p.umem);
}

/* ---- liblqos-xsk --------------------------------------------------------- */

struct receiver {
	const struct afxdp_options *o;
	struct afxdp_count *count;
	struct lqos_umem *umem;
	struct lqos_xsk *xsk;
	struct lqos_xsk_hook *hook;
	struct event_base *base;
};

static uint32_t turn(struct receiver *r)
{
	struct lqos_xsk_frame frames[AFXDP_BATCH];
	uint32_t n = lqos_xsk_rx(r->xsk, frames, AFXDP_BATCH), i;

	for (i = 0; i < n; i++)
		saw(r->o, r->count, lqos_xsk_data(r->umem, &frames[i]),
		    frames[i].len);
	if (n && (!r->o->swap || lqos_xsk_tx(r->xsk, frames, n) != n))
		lqos_umem_free(r->umem, frames, n);
	if (lqos_xsk_outstanding(r->xsk)) {
		lqos_xsk_kick(r->xsk);
		lqos_xsk_reap(r->xsk);
	}
	if (n)
		lqos_xsk_refill(r->xsk);
	return n;
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	uint32_t done, n;

	(void)fd;
	(void)events;
	for (done = 0; done < BUDGET; done += n) {
		n = turn(arg);
		if (!n)
			break;
	}
}

static void on_look(evutil_socket_t fd, short events, void *arg)
{
	struct receiver *r = arg;

	(void)fd;
	(void)events;
	turn(r);
	if (afxdp_over)
		event_base_loopbreak(r->base);
}

static void on_events(struct receiver *r)
{
	const struct timeval look = {.tv_usec = LOOK_MS * 1000};
	struct event *read, *tick;

	r->base = event_base_new();
	read = event_new(r->base, lqos_xsk_fd(r->xsk), EV_READ | EV_PERSIST,
			 on_readable, r);
	tick = event_new(r->base, -1, EV_PERSIST, on_look, r);
	if (!r->base || !read || !tick || event_add(read, NULL) ||
	    event_add(tick, &look))
		afxdp_die("libevent", "no memory");
	event_base_dispatch(r->base);
	event_free(read);
	event_free(tick);
	event_base_free(r->base);
}

static void receive_lib(const struct afxdp_options *o,
			struct afxdp_count *count, bool *native)
{
	const struct lqos_umem_options u = {
		.frame_size = AFXDP_FRAME_SIZE,
		.frames = AFXDP_FRAMES,
		.fill_size = AFXDP_RING,
		.comp_size = AFXDP_RING,
	};
	const struct lqos_xsk_options x = {.rx_size = AFXDP_RING,
					   .tx_size = AFXDP_RING,
					   .copy = LQOS_XSK_COPY};
	struct receiver r = {.o = o, .count = count};
	char why[256];

	if (lqos_umem_create(&u, &r.umem, why, sizeof(why)) ||
	    lqos_xsk_open(r.umem, o->interface, 0, &x, &r.xsk, why,
			  sizeof(why)))
		afxdp_die(o->interface, why);
	r.hook = hook(o);
	lqos_xsk_refill(r.xsk);
	if (lqos_xsk_hook_add(r.hook, r.xsk))
		afxdp_die(o->interface, "the socket is not in its map");
	*native = lqos_xsk_hook_is_native(r.hook);
	ready();
	if (!strcmp(o->how, "event"))
		on_events(&r);
	else
		while (!afxdp_over)
			turn(&r);
	lqos_xsk_hook_close(&r.hook);
	lqos_xsk_close(&r.xsk);
	lqos_umem_destroy(&r.umem);
}

/* ---- AF_PACKET ----------------------------------------------------------- */

static int packet_open(const struct afxdp_options *o, uint8_t **ring)
{
	const struct tpacket_req3 req = {
		.tp_block_size = BLOCK,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = AFXDP_FRAME_SIZE,
		.tp_frame_nr = BLOCK / AFXDP_FRAME_SIZE * BLOCKS,
		.tp_retire_blk_tov = 1,
	};
	const int version = TPACKET_V3, on = 1;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(o->interface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version,
		       sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		afxdp_die("AF_PACKET", strerror(errno));
	*ring = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, 0);
	if (*ring == MAP_FAILED || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		afxdp_die("AF_PACKET", strerror(errno));
	return fd;
}

static void packet_send(int fd, struct mmsghdr *messages, unsigned int n)
{
	/* What is not taken is lost, as by the others. */
	if (n)
		(void)!sendmmsg(fd, messages, n, MSG_DONTWAIT);
}

static void packet_block(int fd, struct tpacket_block_desc *block,
			 const struct afxdp_options *o,
			 struct afxdp_count *count)
{
	struct tpacket3_hdr *packet =
		(void *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
	struct mmsghdr messages[AFXDP_BATCH] = {};
	struct iovec parts[AFXDP_BATCH];
	uint32_t i, n = 0;

	for (i = 0; i < block->hdr.bh1.num_pkts; i++) {
		uint8_t *data = (uint8_t *)packet + packet->tp_mac;

		saw(o, count, data, packet->tp_snaplen);
		parts[n] = (struct iovec){data, packet->tp_snaplen};
		messages[n].msg_hdr =
			(struct msghdr){.msg_iov = &parts[n], .msg_iovlen = 1};
		if (o->swap && ++n == AFXDP_BATCH) {
			packet_send(fd, messages, n);
			n = 0;
		}
		packet = (void *)((uint8_t *)packet + packet->tp_next_offset);
	}
	packet_send(fd, messages, n);
}

static void receive_packet(const struct afxdp_options *o,
			   struct afxdp_count *count)
{
	uint8_t *ring;
	int fd = packet_open(o, &ring);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint32_t at = 0;

	ready();
	while (!afxdp_over) {
		struct tpacket_block_desc *block =
			(void *)(ring + (size_t)at * BLOCK);

		if (!(__atomic_load_n(&block->hdr.bh1.block_status,
				      __ATOMIC_ACQUIRE) &
		      TP_STATUS_USER)) {
			poll(&pfd, 1, LOOK_MS);
			continue;
		}
		packet_block(fd, block, o, count);
		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL,
				 __ATOMIC_RELEASE);
		at = (at + 1) % BLOCKS;
	}
	munmap(ring, (size_t)BLOCK * BLOCKS);
	close(fd);
}

int afxdp_receive(const struct afxdp_options *o)
{
	struct afxdp_count count = {};
	bool native = false;
	uint64_t cpu = afxdp_cpu_ns();

	if (!strcmp(o->how, "plain"))
		receive_plain(o, &count, &native);
	else if (!strcmp(o->how, "lib") || !strcmp(o->how, "event"))
		receive_lib(o, &count, &native);
	else if (!strcmp(o->how, "packet"))
		receive_packet(o, &count);
	else
		afxdp_die("how", "plain, lib, event or packet");
	print(&count, afxdp_cpu_ns() - cpu, native);
	return 0;
}
