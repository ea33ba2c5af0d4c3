/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames through the four rings of a socket, on a wire. */
#include "tests/bpf/xsk_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static int by_addr(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- Fill and TX: all or nothing ----------------------------------------- */

typedef uint32_t (*put_fn)(struct lqos_xsk *xsk,
			   const struct lqos_xsk_frame *frames, uint32_t n);

static void check_four(put_fn put)
{
	static const uint32_t steps[][2] = {{2, 2}, {1, 1}, {5, 0}, {2, 0},
					    {1, 1}, {1, 0}, {0, 0}};
	struct lqos_umem *umem =
		xsk_umem_of(&(struct lqos_umem_options){.fill_size = 4});
	struct lqos_xsk *xsk = xsk_socket_on(
		umem, NEAR, &(struct lqos_xsk_options){.tx_size = 4});
	struct lqos_xsk_frame f[16];
	uint32_t i, used = 0;

	for (i = 0; i < 16; i++)
		xsk_arp(umem, &f[i], (uint8_t)i);
	assert_int_equal(put(xsk, f, 5), 0);
	assert_int_equal(put(xsk, f, UINT32_MAX), 0);
	xsk_balanced(umem);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(put(xsk, f + used, steps[i][0]), steps[i][1]);
		used += steps[i][1];
		xsk_balanced(umem);
	}
	assert_int_equal(used, 4);
	assert_int_equal(lqos_umem_refused(umem), 0);
	assert_int_equal(lqos_umem_free(umem, f + used, 16 - used), 0);
	lqos_xsk_close(&xsk);
	xsk_all_back(umem);
	/* The same in one go. */
	xsk = xsk_socket_on(umem, NEAR,
			    &(struct lqos_xsk_options){.tx_size = 4});
	for (i = 0; i < 4; i++)
		xsk_arp(umem, &f[i], (uint8_t)i);
	assert_int_equal(put(xsk, f, 4), 4);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_fill_all_or_nothing(void **state)
{
	(void)state;
	check_four(lqos_xsk_fill);
}

static void test_tx_all_or_nothing(void **state)
{
	(void)state;
	check_four(lqos_xsk_tx);
}

static void test_tx_room(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(
		umem, NEAR, &(struct lqos_xsk_options){.tx_size = 4});
	struct lqos_xsk_frame f[4];

	(void)state;
	assert_int_equal(lqos_xsk_tx_room(xsk), 4);
	xsk_queue(xsk, f, 3);
	assert_int_equal(lqos_xsk_tx_room(xsk), 1);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
	assert_int_equal(lqos_xsk_tx_room(xsk), 4);
	assert_int_equal(lqos_xsk_outstanding(xsk), 3);
	xsk_reaped(xsk, 3);
	assert_int_equal(lqos_xsk_outstanding(xsk), 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* A frame that was refused is the caller's still, and all others of its call.
 * So is the account of who received it. */
static void check_refusal(put_fn put)
{
	struct lqos_xsk_frame f[4], again[4];
	struct xsk_ends e;

	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, f, 4, LONG_MS), 4);
	assert_int_equal(e.rx->user, 4);
	memcpy(again, f, sizeof(f));
	again[2] = again[0]; /* one twice */
	assert_int_equal(put(e.rx, again, 4), 0);
	xsk_balanced(e.rx_umem);
	assert_int_equal(e.rx->user, 4);
	assert_int_equal(lqos_umem_refused(e.rx_umem), 1);
	again[2].addr = 1ULL << 40;
	assert_int_equal(put(e.rx, again, 4), 0);
	again[2] = f[2];
	/* The kernel has it. */
	again[3] = (struct lqos_xsk_frame){
		.addr = 63ULL * e.rx_umem->frame_size + 256, .len = 60};
	assert_int_equal(put(e.rx, again, 4), 0);
	assert_int_equal(lqos_umem_refused(e.rx_umem), 3);
	assert_int_equal(e.rx->user, 4);
	xsk_balanced(e.rx_umem);
	/* Nothing of it is in the ring. */
	assert_int_equal(lqos_xsk_tx_room(e.rx), SMALL);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 4), 0);
	assert_int_equal(e.rx->user, 0);
	xsk_reaped(e.tx, 4);
	xsk_ends_close(&e);
}

static void test_fill_refused(void **state)
{
	(void)state;
	check_refusal(lqos_xsk_fill);
}

static void test_tx_refused(void **state)
{
	(void)state;
	check_refusal(lqos_xsk_tx);
}

/* ---- Completion ---------------------------------------------------------- */

static void test_nothing_completed(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f[4];

	(void)state;
	assert_int_equal(lqos_xsk_reap(xsk), 0);
	assert_int_equal(lqos_xsk_reap_to(xsk, f, 1), 0);
	assert_int_equal(lqos_xsk_reap_to(xsk, f, 4), 0);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
	assert_int_equal(xsk_stats_of(xsk).kicks, 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static uint32_t reap_at_least(struct lqos_xsk *xsk, struct lqos_xsk_frame *f,
			      uint32_t n, uint32_t max)
{
	uint64_t until = xsk_now_ms() + LONG_MS;
	uint32_t got = 0;

	while ((got += lqos_xsk_reap_to(xsk, f + got, max - got)) < n &&
	       xsk_now_ms() < until)
		xsk_pause_ms(1);
	return got;
}

static void test_completed_as_many_as_sent(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f[4];

	(void)state;
	xsk_send(xsk, 2);
	assert_int_equal(reap_at_least(xsk, f, 2, 4), 2);
	assert_int_equal(xsk_stats_of(xsk).sent, 2);
	assert_int_equal(lqos_umem_free(umem, f, 2), 0);
	/* One by one. */
	xsk_send(xsk, 3);
	assert_int_equal(lqos_xsk_reap_to(xsk, f, 0), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(reap_at_least(xsk, f + i, 1, 1), 1);
		xsk_balanced(umem);
	}
	assert_int_equal(lqos_umem_free(umem, f, 3), 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_completed_are_those_sent(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame sent[16], back[16];
	uint64_t a[16], b[16];

	(void)state;
	xsk_queue(xsk, sent, 16);
	/* None of them is to be had before it came back. */
	assert_int_equal(lqos_umem_free(umem, sent, 16), -EINVAL);
	assert_int_equal(lqos_umem_available(umem), SMALL - 16);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
	assert_int_equal(reap_at_least(xsk, back, 16, 16), 16);
	for (int i = 0; i < 16; i++) {
		a[i] = sent[i].addr;
		b[i] = back[i].addr;
		assert_int_equal(back[i].len, 0);
	}
	qsort(a, 16, sizeof(*a), by_addr);
	qsort(b, 16, sizeof(*b), by_addr);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(lqos_umem_free(umem, back, 16), 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* The kernel sends what the completion ring has room for. */
static void test_small_completion_ring(void **state)
{
	struct lqos_umem *umem =
		xsk_umem_of(&(struct lqos_umem_options){.comp_size = 4});
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f[SMALL];
	uint64_t until = xsk_now_ms() + LONG_MS;
	uint32_t back = 0;
	int rc;

	(void)state;
	xsk_queue(xsk, f, 32);
	assert_int_equal(lqos_xsk_kick(xsk), -EAGAIN);
	assert_int_equal(lqos_xsk_kick(xsk), -EAGAIN);
	do {
		back += lqos_xsk_reap(xsk);
		rc = lqos_xsk_kick(xsk);
		xsk_balanced(umem);
	} while (rc == -EAGAIN && xsk_now_ms() < until);
	assert_int_equal(rc, 0);
	xsk_reaped(xsk, 32 - back);
	assert_int_equal(xsk_stats_of(xsk).tx_dropped, 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* ---- Receiving ----------------------------------------------------------- */

static void test_nothing_sent(void **state)
{
	struct lqos_xsk_frame f[4];
	struct xsk_ends e;
	uint64_t began;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_rx(e.rx, f, 4), 0);
	assert_int_equal(lqos_xsk_rx(e.rx, NULL, 0), 0);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	assert_int_equal(lqos_xsk_rx(e.rx, f, 1), 0);
	began = xsk_now_ms();
	assert_int_equal(lqos_xsk_wait(e.rx, SHORT_MS), 0);
	assert_in_range(xsk_now_ms() - began, SHORT_MS - 5, LONG_MS);
	assert_int_equal(lqos_xsk_wait(e.rx, 0), 0);
	xsk_ends_close(&e);
}

static void test_fill_ring_empty(void **state)
{
	struct lqos_xsk_frame f[4];
	struct lqos_xsk_stats stats;
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, f, 4, SHORT_MS), 0);
	stats = xsk_stats_of(e.rx);
	assert_int_equal(stats.rx_dropped, 4);
	assert_in_range(stats.rx_fill_empty, 1, 4);
	assert_int_equal(stats.received, 0);
	xsk_reaped(e.tx, 4);
	xsk_ends_close(&e);
}

static void test_bytes(void **state)
{
	struct lqos_xsk_frame sent, f[8];
	struct xsk_ends e;
	uint32_t n, i;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 8);
	assert_int_equal(lqos_xsk_wait(e.rx, LONG_MS), 1);
	/* One, none, and the rest. */
	assert_int_equal(lqos_xsk_rx(e.rx, f, 1), 1);
	assert_int_equal(lqos_xsk_rx(e.rx, f + 1, 0), 0);
	n = 1 + xsk_receive(e.rx, f + 1, 7, LONG_MS);
	assert_int_equal(n, 8);
	xsk_arp(e.tx_umem, &sent, 0);
	for (i = 0; i < n; i++) {
		lqos_xsk_data(e.tx_umem, &sent)[ARP_LEN - 1] = (uint8_t)i;
		assert_int_equal(f[i].len, ARP_LEN);
		assert_int_equal(f[i].options, 0);
		assert_memory_equal(lqos_xsk_data(e.rx_umem, &f[i]),
				    lqos_xsk_data(e.tx_umem, &sent), ARP_LEN);
	}
	assert_int_equal(lqos_umem_free(e.tx_umem, &sent, 1), 0);
	xsk_balanced(e.rx_umem);
	assert_int_equal(xsk_stats_of(e.rx).received, 8);
	/* They may go round. */
	assert_int_equal(lqos_xsk_fill(e.rx, f, 8), 8);
	xsk_reaped(e.tx, 8);
	xsk_ends_close(&e);
}

/* Bytes in front of the packet are the user's, and stay. */
static void test_headroom_is_kept(void **state)
{
	struct lqos_umem_options small = {.frame_size = 2048, .headroom = 512};
	struct lqos_xsk_frame f[SMALL];
	struct xsk_ends e;
	uint32_t i, j;

	(void)state;
	xsk_ends_open(&e, &small, NULL, NULL);
	for (i = 0; i < SMALL; i++) {
		assert_int_equal(lqos_umem_alloc(e.rx_umem, &f[i]), 0);
		memset(lqos_xsk_push(e.rx_umem, &f[i], 512), 0xc3, 512);
	}
	assert_int_equal(lqos_xsk_fill(e.rx, f, SMALL), SMALL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, f, 4, LONG_MS), 4);
	for (i = 0; i < 4; i++) {
		const uint8_t *front;

		assert_int_equal(f[i].addr % 2048, 256 + 512);
		assert_int_equal(lqos_xsk_headroom(e.rx_umem, &f[i]),
				 256 + 512);
		assert_int_equal(f[i].len, ARP_LEN);
		front = lqos_xsk_push(e.rx_umem, &f[i], 512);
		for (j = 0; j < 512; j++)
			assert_int_equal(front[j], 0xc3);
	}
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 4), 0);
	xsk_reaped(e.tx, 4);
	xsk_ends_close(&e);
}

/* lqos_umem_mtu() bytes come through, and not one more. */
static void test_mtu_is_exact(void **state)
{
	static const struct lqos_umem_options sizes[] = {
		{.frame_size = 2048, .headroom = 512},
		{.frame_size = 2048, .headroom = 1024},
	};
	struct lqos_xsk_frame f, got;
	struct xsk_ends e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t mtu = 2048 - 256 - sizes[i].headroom;

		xsk_ends_open(&e, &sizes[i], NULL, NULL);
		assert_int_equal(lqos_umem_mtu(e.rx_umem), mtu);
		assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
		for (uint32_t more = 0; more < 2; more++) {
			xsk_arp(e.tx_umem, &f, 1);
			xsk_ok(lqos_xsk_resize(e.tx_umem, &f, mtu + more));
			assert_int_equal(lqos_xsk_tx(e.tx, &f, 1), 1);
			assert_int_equal(lqos_xsk_kick(e.tx), 0);
			assert_int_equal(xsk_receive(e.rx, &got, 1,
						     more ? SHORT_MS : LONG_MS),
					 1 - more);
		}
		assert_int_equal(got.len, mtu);
		assert_int_equal(xsk_stats_of(e.rx).rx_dropped, 1);
		assert_int_equal(lqos_umem_free(e.rx_umem, &got, 1), 0);
		xsk_reaped(e.tx, 2);
		xsk_ends_close(&e);
	}
}

/* ---- Sizes --------------------------------------------------------------- */

static void test_rings_of_one(void **state)
{
	struct lqos_umem_options tiny = {
		.frames = 2, .fill_size = 1, .comp_size = 1};
	struct lqos_xsk_options one = {.rx_size = 1, .tx_size = 1};
	struct lqos_umem *umem = xsk_umem_of(&tiny);
	struct lqos_xsk *tx = xsk_socket_on(umem, NEAR, &one);
	struct lqos_xsk *rx = xsk_socket_on(umem, FAR, &one);
	struct lqos_xsk_hook *hook = xsk_hook_to(rx);
	struct lqos_xsk_frame f;

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(lqos_xsk_refill(rx), 1);
		assert_int_equal(lqos_xsk_refill(rx), 0);
		xsk_send(tx, 1);
		assert_int_equal(xsk_receive(rx, &f, 1, LONG_MS), 1);
		assert_int_equal(lqos_xsk_data(umem, &f)[ARP_LEN - 1], 0);
		xsk_reaped(tx, 1);
		assert_int_equal(lqos_umem_free(umem, &f, 1), 0);
		xsk_balanced(umem);
	}
	lqos_xsk_hook_close(&hook);
	lqos_xsk_close(&rx);
	lqos_xsk_close(&tx);
	xsk_umem_gone(&umem);
}

/* Ring sizes of sockets are refused before the kernel is asked. */
static void test_ring_sizes(void **state)
{
	static const uint32_t bad[] = {3, 6, 2049, 1U << 21, UINT32_MAX};
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = NULL;
	int fds = xsk_open_fds();

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		struct lqos_xsk_options o = {};

		*(i % 2 ? &o.rx_size : &o.tx_size) = bad[i / 2];
		assert_int_equal(lqos_xsk_open(umem, NEAR, 0, &o, &xsk, xsk_why,
					       sizeof(xsk_why)),
				 -EINVAL);
		assert_null(xsk);
		xsk_says(i % 2 ? "RX ring of" : "TX ring of");
		xsk_says("power of two");
	}
	assert_int_equal(xsk_open_fds(), fds);
	for (uint32_t size = 1; size <= 4; size *= 2) {
		xsk = xsk_socket_on(umem, NEAR,
				    &(struct lqos_xsk_options){
					    .tx_size = size, .rx_size = size});
		assert_int_equal(lqos_xsk_tx_room(xsk), size);
		lqos_xsk_close(&xsk);
	}
	xsk_umem_gone(&umem);
}

static void test_fill_ring_larger_than_pool(void **state)
{
	struct lqos_umem *umem = xsk_umem_of(
		&(struct lqos_umem_options){.frames = 5, .fill_size = 64});
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f;

	(void)state;
	assert_int_equal(lqos_xsk_refill(xsk), 5);
	assert_int_equal(lqos_xsk_refill(xsk), 0);
	assert_int_equal(lqos_umem_alloc(umem, &f), -ENOBUFS);
	xsk_balanced(umem);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_one_way(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk_options both = {.rx_only = true, .tx_only = true};
	struct lqos_xsk *tx, *rx, *none = NULL;
	struct lqos_xsk_hook *hook;
	struct lqos_xsk_frame f;

	(void)state;
	assert_int_equal(lqos_xsk_open(umem, NEAR, 0, &both, &none, xsk_why,
				       sizeof(xsk_why)),
			 -EINVAL);
	tx = xsk_socket_on(umem, NEAR,
			   &(struct lqos_xsk_options){.tx_only = true});
	rx = xsk_socket_on(umem, FAR,
			   &(struct lqos_xsk_options){.rx_only = true});
	hook = xsk_hook_to(rx);
	assert_int_equal(lqos_xsk_refill(rx), SMALL);
	assert_int_equal(lqos_umem_alloc(umem, &f), -ENOBUFS);
	assert_int_equal(lqos_xsk_tx_room(rx), 0);
	assert_int_equal(lqos_xsk_kick(rx), 0);
	assert_int_equal(lqos_xsk_reap(rx), 0);
	assert_int_equal(lqos_xsk_rx(tx, &f, 1), 0);
	assert_int_equal(lqos_xsk_wait(tx, 0), 0);
	assert_false(lqos_xsk_tx_needs_wakeup(rx));
	lqos_xsk_close(&rx);
	rx = xsk_socket_on(umem, FAR,
			   &(struct lqos_xsk_options){.rx_only = true});
	xsk_ok(lqos_xsk_hook_add(hook, rx));
	xsk_arp(umem, &f, 9);
	assert_int_equal(lqos_xsk_tx(rx, &f, 1), 0);
	assert_int_equal(lqos_xsk_refill(rx), SMALL - 1);
	assert_int_equal(lqos_xsk_tx(tx, &f, 1), 1);
	assert_int_equal(lqos_xsk_kick(tx), 0);
	assert_int_equal(xsk_receive(rx, &f, 1, LONG_MS), 1);
	assert_int_equal(lqos_umem_free(umem, &f, 1), 0);
	xsk_reaped(tx, 1);
	lqos_xsk_hook_close(&hook);
	lqos_xsk_close(&tx);
	lqos_xsk_close(&rx);
	xsk_umem_gone(&umem);
}

/* ---- Who is woken -------------------------------------------------------- */

static void check_kick(bool no_need_wakeup)
{
	struct lqos_umem_options large = {
		.frames = 256, .comp_size = 128, .fill_size = 128};
	struct lqos_xsk_options o = {.tx_size = 128,
				     .no_need_wakeup = no_need_wakeup};
	struct lqos_umem *umem = xsk_umem_of(&large);
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, &o);
	struct lqos_xsk_frame f[100];

	xsk_queue(xsk, f, 100);
	assert_true(lqos_xsk_tx_needs_wakeup(xsk));
	xsk_pause_ms(SHORT_MS);
	assert_int_equal(lqos_xsk_reap(xsk), 0);
	assert_int_equal(lqos_xsk_outstanding(xsk), 100);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
	assert_in_range(xsk_stats_of(xsk).kicks, 1, 4);
	xsk_reaped(xsk, 100);
	assert_int_equal(lqos_xsk_outstanding(xsk), 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_kick(void **state)
{
	(void)state;
	check_kick(false);
	check_kick(true);
}

static void test_fill_needs_no_wakeup(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);

	(void)state;
	/* Copies are made where the packet arrives. */
	assert_false(lqos_xsk_fill_needs_wakeup(xsk));
	assert_int_equal(lqos_xsk_refill(xsk), SMALL);
	assert_false(lqos_xsk_fill_needs_wakeup(xsk));
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_busy_poll(void **state)
{
	struct lqos_xsk_options o = {.busy_poll_us = 20,
				     .busy_poll_budget = 64};
	struct lqos_xsk_frame f[4];
	struct xsk_ends e;
	int us = 0;
	socklen_t len = sizeof(us);

	(void)state;
	xsk_ends_open(&e, NULL, NULL, &o);
	assert_int_equal(getsockopt(lqos_xsk_fd(e.rx), SOL_SOCKET, SO_BUSY_POLL,
				    &us, &len),
			 0);
	assert_int_equal(us, 20);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, f, 4, LONG_MS), 4);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 4), 0);
	xsk_reaped(e.tx, 4);
	xsk_ends_close(&e);
}

/* Children that are started do not keep it open. */
static void test_close_on_exec(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *one = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk *two = xsk_socket_on(umem, NEAR, NULL);

	(void)state;
	assert_true(fcntl(lqos_xsk_fd(one), F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(lqos_xsk_fd(two), F_GETFD) & FD_CLOEXEC);
	lqos_xsk_close(&one);
	lqos_xsk_close(&two);
	xsk_umem_gone(&umem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		XSK_BOTH(test_fill_all_or_nothing),
		XSK_BOTH(test_tx_all_or_nothing),
		XSK_BOTH(test_tx_room),
		XSK_BOTH(test_fill_refused),
		XSK_BOTH(test_tx_refused),
		XSK_BOTH(test_nothing_completed),
		XSK_BOTH(test_completed_as_many_as_sent),
		XSK_BOTH(test_completed_are_those_sent),
		XSK_BOTH(test_small_completion_ring),
		XSK_BOTH(test_nothing_sent),
		XSK_BOTH(test_fill_ring_empty),
		XSK_BOTH(test_bytes),
		XSK_BOTH(test_headroom_is_kept),
		XSK_BOTH(test_mtu_is_exact),
		XSK_BOTH(test_rings_of_one),
		XSK_BOTH(test_ring_sizes),
		XSK_BOTH(test_fill_ring_larger_than_pool),
		XSK_BOTH(test_one_way),
		XSK_BOTH(test_kick),
		XSK_BOTH(test_fill_needs_no_wakeup),
		XSK_BOTH(test_busy_poll),
		XSK_BOTH(test_close_on_exec),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk rings", tests,
						xsk_namespace, NULL);
}
