/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong on a wire, is told, and loses no frame. */
#include "tests/bpf/xsk_fixture.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

/* ---- Counters ------------------------------------------------------------ */

static void test_rx_ring_full(void **state)
{
	struct lqos_xsk_options two = {.rx_size = 2};
	struct lqos_xsk_frame f[8];
	struct lqos_xsk_stats stats;
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, &two);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 8);
	xsk_reaped(e.tx, 8);
	xsk_pause_ms(SHORT_MS);
	assert_int_equal(lqos_xsk_rx(e.rx, f, 8), 2);
	stats = xsk_stats_of(e.rx);
	assert_int_equal(stats.rx_ring_full, 6);
	assert_int_equal(stats.received, 2);
	assert_int_equal(stats.rx_fill_empty, 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 2), 0);
	/* The frames that found no place are still there to receive into. */
	for (int i = 0; i < SMALL; i++) {
		xsk_send(e.tx, 1);
		assert_int_equal(xsk_receive(e.rx, f, 1, LONG_MS), 1);
		assert_int_equal(lqos_xsk_fill(e.rx, f, 1), 1);
		xsk_reaped(e.tx, 1);
	}
	xsk_ends_close(&e);
}

static void test_tx_ring_empty(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);

	(void)state;
	assert_int_equal(
		sendto(lqos_xsk_fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0), 0);
	assert_int_equal(xsk_stats_of(xsk).tx_empty, 1);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* ---- Descriptors that are no packets ------------------------------------- */

enum { CROSSES, TOO_LONG, EMPTY, OPTIONS, BEYOND, BAD };

/* addr and len of the given frame, made bad. */
static struct lqos_xsk_frame bad(struct lqos_xsk_frame f, int how,
				 const struct lqos_umem *umem)
{
	switch (how) {
	case CROSSES:
		f.addr += umem->frame_size - 256 - 20;
		break;
	case TOO_LONG:
		f.len = umem->frame_size;
		break;
	case EMPTY:
		f.len = 0;
		break;
	case OPTIONS:
		f.options = 1U << 15;
		break;
	case BEYOND:
		f.addr += (uint64_t)umem->frame_size * umem->frames;
		break;
	}
	return f;
}

/* They do not get as far as the kernel, and neither does what is with them. */
static void test_bad_is_refused(void **state)
{
	struct xsk_ends e;
	struct lqos_xsk_frame f[3], got[2];

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	for (int how = 0; how < BAD; how++) {
		for (int i = 0; i < 3; i++)
			xsk_arp(e.tx_umem, &f[i], (uint8_t)i);
		struct lqos_xsk_frame three[] = {
			f[0], bad(f[1], how, e.tx_umem), f[2]};

		assert_int_equal(lqos_xsk_tx(e.tx, three, 3), 0);
		assert_int_equal(lqos_xsk_outstanding(e.tx), 0);
		xsk_balanced(e.tx_umem);
		assert_int_equal(xsk_stats_of(e.tx).tx_refused +
					 lqos_umem_refused(e.tx_umem),
				 how + 1);
		assert_int_equal(lqos_xsk_kick(e.tx), 0);
		assert_int_equal(lqos_umem_free(e.tx_umem, f, 3), 0);
	}
	xsk_send(e.tx, 2);
	assert_int_equal(xsk_receive(e.rx, got, 2, LONG_MS), 2);
	assert_int_equal(xsk_stats_of(e.tx).tx_invalid, 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, got, 2), 0);
	xsk_reaped(e.tx, 2);
	xsk_ends_close(&e);
}

/* As lqos_xsk_tx(), but it looks at nothing. */
static void put_raw(struct lqos_xsk *x, uint32_t frame,
		    const struct lqos_xsk_frame *f)
{
	uint32_t at = 0;

	assert_int_equal(xsk_ring_prod__reserve(&x->tx, 1, &at), 1);
	x->umem->held[frame] = held_by(HOLDER_TX, x->number);
	x->outstanding++;
	*xsk_ring_prod__tx_desc(&x->tx, at) = (struct xdp_desc){
		.addr = f->addr, .len = f->len, .options = f->options};
	xsk_ring_prod__submit(&x->tx, 1);
}

/*
 * What the kernel finds invalid it counts.  The frame it gives back at once, or
 * (older kernels, and where the address is none) never: with the socket.  Those
 * behind it are sent.
 */
static void check_raw(int how)
{
	struct lqos_xsk_frame f, b, got[2];
	struct lqos_xsk_stats stats;
	struct xsk_ends e;
	uint64_t until;

	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_arp(e.tx_umem, &f, 1);
	b = bad(f, how, e.tx_umem);
	put_raw(e.tx, frame_at(e.tx_umem, f.addr), &b);
	xsk_balanced(e.tx_umem);
	xsk_arp(e.tx_umem, &f, 2);
	assert_int_equal(lqos_xsk_tx(e.tx, &f, 1), 1);
	assert_int_equal(lqos_xsk_kick(e.tx), 0);
	assert_int_equal(xsk_receive(e.rx, got, 1, LONG_MS), 1);
	assert_int_equal(lqos_xsk_data(e.rx_umem, got)[ARP_LEN - 1], 2);
	/* Older kernels leave it to the device to refuse an empty one. */
	stats = xsk_stats_of(e.tx);
	assert_int_equal(
		stats.tx_invalid + (how == EMPTY ? stats.tx_dropped : 0), 1);
	until = xsk_now_ms() + SHORT_MS;
	while (lqos_xsk_outstanding(e.tx) && xsk_now_ms() < until)
		lqos_xsk_reap(e.tx);
	assert_in_range(lqos_xsk_outstanding(e.tx), 0, 1);
	xsk_balanced(e.tx_umem);
	assert_int_equal(lqos_umem_free(e.rx_umem, got, 1), 0);
	/* It is not lost. */
	xsk_ends_close(&e);
}

static void test_raw_crossing(void **state)
{
	(void)state;
	check_raw(CROSSES);
}

static void test_raw_too_long(void **state)
{
	(void)state;
	check_raw(TOO_LONG);
}

static void test_raw_empty(void **state)
{
	(void)state;
	check_raw(EMPTY);
}

static void test_raw_options(void **state)
{
	(void)state;
	check_raw(OPTIONS);
}

static void test_raw_beyond(void **state)
{
	(void)state;
	check_raw(BEYOND);
}

/* A completion for what nobody sent makes no second owner. */
static void test_raw_of_the_pool(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f, back[4];
	uint32_t at = 0;

	(void)state;
	xsk_arp(umem, &f, 1);
	assert_int_equal(lqos_umem_free(umem, &f, 1), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(xsk_ring_prod__reserve(&xsk->tx, 1, &at), 1);
		*xsk_ring_prod__tx_desc(&xsk->tx, at) =
			(struct xdp_desc){.addr = f.addr, .len = ARP_LEN};
		xsk_ring_prod__submit(&xsk->tx, 1);
		assert_int_equal(lqos_xsk_kick(xsk), 0);
		xsk_pause_ms(10);
		assert_int_equal(i ? lqos_xsk_reap_to(xsk, back, 4)
				   : lqos_xsk_reap(xsk),
				 0);
		xsk_all_back(umem);
	}
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* ---- Packets that the device refuses ------------------------------------- */

static void test_runt_and_giant(void **state)
{
	static const uint32_t lengths[] = {10, 1600, 60};
	struct lqos_xsk_frame f[3], got[3];
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	for (int i = 0; i < 3; i++) {
		xsk_arp(e.tx_umem, &f[i], (uint8_t)i);
		xsk_ok(lqos_xsk_resize(e.tx_umem, &f[i], lengths[i]));
	}
	assert_int_equal(lqos_xsk_tx(e.tx, f, 3), 3);
	/* The good one behind them goes, without a word to the sender. */
	assert_int_equal(lqos_xsk_kick(e.tx), 0);
	assert_int_equal(xsk_receive(e.rx, got, 1, LONG_MS), 1);
	assert_int_equal(got[0].len, 60);
	xsk_reaped(e.tx, 3);
	assert_int_equal(xsk_stats_of(e.tx).tx_dropped, 2);
	assert_int_equal(xsk_stats_of(e.tx).tx_invalid, 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, got, 1), 0);
	xsk_ends_close(&e);
}

/* ---- Signals, links, devices --------------------------------------------- */

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void test_signal(void **state)
{
	struct sigaction action = {.sa_handler = on_alarm,
				   .sa_flags = SA_RESTART},
			 before;
	/* Again, lest it comes before the wait begins. */
	struct itimerval timer = {{0, 50000}, {0, 50000}}, off = {};
	struct lqos_xsk_frame f;
	struct xsk_ends e;
	int rc;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	alarms = 0;
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
	rc = lqos_xsk_wait(e.rx, LONG_MS);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_int_equal(rc, -EINTR);
	assert_int_not_equal(alarms, 0);
	/* And on it goes. */
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 1);
	assert_int_equal(lqos_xsk_wait(e.rx, LONG_MS), 1);
	assert_int_equal(lqos_xsk_rx(e.rx, &f, 1), 1);
	assert_int_equal(lqos_umem_free(e.rx_umem, &f, 1), 0);
	xsk_reaped(e.tx, 1);
	xsk_ends_close(&e);
}

static void test_link_down_and_up(void **state)
{
	struct lqos_xsk_frame f[5];
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_ip("link set " NEAR " down");
	xsk_queue(e.tx, f, 5);
	assert_int_equal(lqos_xsk_kick(e.tx), -ENETDOWN);
	assert_int_equal(lqos_xsk_kick(e.tx), -ENETDOWN);
	assert_int_equal(lqos_xsk_outstanding(e.tx), 5);
	assert_int_equal(lqos_xsk_reap(e.tx), 0);
	assert_int_equal(lqos_xsk_wait(e.tx, 0), 0);
	xsk_balanced(e.tx_umem);
	xsk_ip("link set " NEAR " up");
	assert_int_equal(lqos_xsk_kick(e.tx), 0);
	assert_int_equal(xsk_receive(e.rx, f, 5, LONG_MS), 5);
	xsk_reaped(e.tx, 5);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 5), 0);
	/* What is left when it is closed is not lost. */
	xsk_ip("link set " NEAR " down");
	xsk_queue(e.tx, f, 5);
	assert_int_equal(lqos_xsk_kick(e.tx), -ENETDOWN);
	xsk_ends_close(&e);
}

static void test_no_carrier(void **state)
{
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	xsk_ip("link set " FAR " down");
	xsk_send(e.tx, 3);
	xsk_reaped(e.tx, 3);
	assert_int_equal(xsk_stats_of(e.tx).tx_dropped, 3);
	xsk_ends_close(&e);
}

static void test_device_removed(void **state)
{
	struct lqos_xsk_frame f[8], got[4];
	struct lqos_xsk_stats stats;
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_umem_alloc(e.rx_umem, &f[7]), 0);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL - 1);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, got, 2, LONG_MS), 2);
	xsk_queue(e.tx, f, 4);
	xsk_ip("link del " NEAR);
	/* It is told, each time. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lqos_xsk_wait(e.tx, SHORT_MS), -ENETDOWN);
		assert_int_equal(lqos_xsk_wait(e.rx, SHORT_MS), -ENETDOWN);
		assert_int_equal(lqos_xsk_kick(e.tx), -ENXIO);
	}
	assert_int_equal(lqos_xsk_stats(e.tx, &stats), 0);
	/* What had come is still there. */
	assert_int_equal(lqos_xsk_rx(e.rx, got + 2, 2), 2);
	assert_int_equal(lqos_umem_free(e.rx_umem, got, 4), 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, &f[7], 1), 0);
	xsk_reaped(e.tx, 4);
	lqos_xsk_refill(e.rx);
	xsk_queue(e.tx, f, 4);
	xsk_balanced(e.rx_umem);
	xsk_ends_close(&e);
	/* Made anew, all is as before. */
	xsk_wire(state);
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, got, 4, LONG_MS), 4);
	assert_int_equal(lqos_umem_free(e.rx_umem, got, 4), 0);
	xsk_reaped(e.tx, 4);
	xsk_ends_close(&e);
}

/* A UMEM whose socket's device has gone takes another device's, with the old
 * one's number too when that is closed. */
static void test_device_anew(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk_options hasty = {.patience_ms = 1};
	struct lqos_xsk *old, *xsk;

	(void)state;
	xsk_ip("link del " NEAR);
	xsk_ip("link add " NEAR " index 7001 type veth peer name " FAR);
	old = xsk_socket_on(umem, NEAR, NULL);
	assert_int_equal(lqos_xsk_refill(old), SMALL);
	xsk_ip("link del " NEAR);
	xsk_wire(state);
	lqos_xsk_close(&old);
	xsk_all_back(umem);
	old = xsk_socket_on(umem, NEAR, NULL);
	xsk_ip("link del " NEAR);
	xsk_ip("link add " NEAR " index 7002 type veth peer name " FAR);
	xsk = xsk_socket_on(umem, NEAR, NULL);
	xsk_ip("link del " NEAR);
	xsk_ip("link add " NEAR " index 7002 type veth peer name " FAR);
	xsk_cannot_open(umem, FAR, 9, &hasty, -EINVAL, "queue 9");
	/* It has the number of the one that is gone. */
	xsk_cannot_open(umem, NEAR, 0, &hasty, -EBADF, "made anew");
	lqos_xsk_close(&xsk);
	xsk = xsk_socket_on(umem, NEAR, NULL);
	lqos_xsk_close(&xsk);
	lqos_xsk_close(&old);
	xsk_umem_gone(&umem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		XSK_BOTH(test_rx_ring_full),	XSK_BOTH(test_tx_ring_empty),
		XSK_BOTH(test_bad_is_refused),	XSK_BOTH(test_raw_crossing),
		XSK_BOTH(test_raw_too_long),	XSK_BOTH(test_raw_empty),
		XSK_BOTH(test_raw_options),	XSK_BOTH(test_raw_beyond),
		XSK_BOTH(test_raw_of_the_pool), XSK_BOTH(test_runt_and_giant),
		XSK_BOTH(test_signal),		XSK_BOTH(test_link_down_and_up),
		XSK_BOTH(test_no_carrier),	XSK_BOTH(test_device_removed),
		XSK_BOTH(test_device_anew),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk faults", tests,
						xsk_namespace, NULL);
}
