/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets of several frames (multi-buffer). */
#include "tests/bpf/xsk_fixture.h"

/* Where the kernel has none of them that is said, by its version too. */
static bool has_multi_buffer(void)
{
	struct lqos_xsk_options o = {.multi_buffer = true, .patience_ms = 1};
	struct lqos_umem *umem;

	if (xsk_kernel(6, 6))
		return true;
	umem = xsk_umem_small();
	xsk_cannot_open(umem, NEAR, 0, &o, -EINVAL, "Linux 6.6");
	xsk_umem_gone(&umem);
	return false;
}

static void large_mtu(void)
{
	xsk_ip("link set " NEAR " mtu 3000");
	xsk_ip("link set " FAR " mtu 3000");
}

static const struct lqos_umem_options small_frames = {.frame_size = 2048};
static const struct lqos_xsk_options parts = {.multi_buffer = true};

static void send_long(struct xsk_ends *e, uint32_t len)
{
	struct lqos_xsk_frame f;
	uint8_t *data;

	xsk_arp(e->tx_umem, &f, 1);
	data = lqos_xsk_put(e->tx_umem, &f, len - ARP_LEN);
	for (uint32_t i = 0; i < len - ARP_LEN; i++)
		data[i] = (uint8_t)(i / 7);
	assert_int_equal(lqos_xsk_tx(e->tx, &f, 1), 1);
	assert_int_equal(lqos_xsk_kick(e->tx), 0);
}

static void test_received_in_parts(void **state)
{
	struct lqos_xsk_frame f[2];
	struct xsk_ends e;
	uint32_t i;

	(void)state;
	large_mtu();
	if (!has_multi_buffer())
		return;
	xsk_ends_open(&e, &small_frames, NULL, &parts);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	send_long(&e, 1792);
	assert_int_equal(xsk_receive(e.rx, f, 1, LONG_MS), 1);
	assert_int_equal(f[0].options, 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 1), 0);
	send_long(&e, 1793);
	assert_int_equal(xsk_receive(e.rx, f, 2, LONG_MS), 2);
	assert_int_equal(f[0].len, 1792);
	assert_int_equal(f[0].options, LQOS_XSK_CONTINUES);
	assert_int_equal(f[1].len, 1);
	assert_int_equal(f[1].options, 0);
	for (i = 0; i < 1792 - ARP_LEN; i++)
		assert_int_equal(lqos_xsk_data(e.rx_umem, f)[ARP_LEN + i],
				 (uint8_t)(i / 7));
	assert_int_equal(lqos_xsk_data(e.rx_umem, &f[1])[0], (uint8_t)(i / 7));
	assert_int_equal(lqos_xsk_rx(e.rx, f, 1), 0);
	assert_int_equal(xsk_stats_of(e.rx).received, 3);
	assert_int_equal(xsk_stats_of(e.rx).rx_dropped, 0);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 2), 0);
	xsk_reaped(e.tx, 2);
	xsk_ends_close(&e);
}

static void test_too_long_for_a_frame(void **state)
{
	struct lqos_xsk_frame f[2];
	struct xsk_ends e;

	(void)state;
	large_mtu();
	xsk_ends_open(&e, &small_frames, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	send_long(&e, 1793);
	assert_int_equal(xsk_receive(e.rx, f, 2, SHORT_MS), 0);
	assert_int_equal(xsk_stats_of(e.rx).rx_dropped, 1);
	send_long(&e, 1792);
	assert_int_equal(xsk_receive(e.rx, f, 2, SHORT_MS), 1);
	assert_int_equal(f[0].len, 1792);
	assert_int_equal(lqos_umem_free(e.rx_umem, f, 1), 0);
	xsk_reaped(e.tx, 2);
	xsk_ends_close(&e);
}

/* n frames of len bytes, numbered, that are one packet. */
static void packet_of(struct lqos_umem *umem, struct lqos_xsk_frame *f,
		      uint32_t n, uint32_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		xsk_arp(umem, &f[i], (uint8_t)i);
		xsk_ok(lqos_xsk_resize(umem, &f[i], len));
		f[i].options = i + 1 < n ? LQOS_XSK_CONTINUES : 0;
	}
}

static void test_sent_in_parts(void **state)
{
	struct lqos_xsk_frame f[20], got;
	struct lqos_xsk *xsk;
	struct xsk_ends e;
	uint32_t n, i;

	(void)state;
	large_mtu();
	if (!has_multi_buffer())
		return;
	xsk_ends_open(&e, NULL, &parts, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	/* As many as every kernel takes. */
	for (n = 2; n <= 18; n += 16) {
		packet_of(e.tx_umem, f, n, 100);
		assert_int_equal(lqos_xsk_tx(e.tx, f, n), n);
		assert_int_equal(lqos_xsk_kick(e.tx), 0);
		assert_int_equal(xsk_receive(e.rx, &got, 1, LONG_MS), 1);
		assert_int_equal(got.len, n * 100);
		for (i = 0; i < n; i++)
			assert_int_equal(
				lqos_xsk_data(e.rx_umem,
					      &got)[i * 100 + ARP_LEN - 1],
				i);
		assert_int_equal(lqos_umem_free(e.rx_umem, &got, 1), 0);
		xsk_reaped(e.tx, n);
		xsk_balanced(e.tx_umem);
	}
	assert_int_equal(xsk_stats_of(e.tx).tx_invalid, 0);
	/* More, and half a packet. */
	packet_of(e.tx_umem, f, 19, 100);
	assert_int_equal(lqos_xsk_tx(e.tx, f, 19), 0);
	assert_int_equal(lqos_xsk_tx(e.tx, f, 3), 0);
	assert_int_equal(xsk_stats_of(e.tx).tx_refused, 2);
	assert_int_equal(lqos_umem_free(e.tx_umem, f, 19), 0);
	/* A whole one and half a packet: neither. */
	packet_of(e.tx_umem, f, 2, 100);
	packet_of(e.tx_umem, f + 2, 2, 100);
	assert_int_equal(lqos_xsk_tx(e.tx, f, 3), 0);
	assert_int_equal(lqos_xsk_tx(e.tx, f, 4), 4);
	assert_int_equal(lqos_xsk_kick(e.tx), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(xsk_receive(e.rx, &got, 1, LONG_MS), 1);
		assert_int_equal(got.len, 200);
		assert_int_equal(lqos_umem_free(e.rx_umem, &got, 1), 0);
	}
	xsk_reaped(e.tx, 4);
	/* Whoever shares the queue has what it has. */
	xsk = xsk_socket_on(e.tx_umem, NEAR, NULL);
	packet_of(e.tx_umem, f, 2, 100);
	assert_int_equal(lqos_xsk_tx(xsk, f, 2), 2);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
	assert_int_equal(xsk_receive(e.rx, &got, 1, LONG_MS), 1);
	assert_int_equal(got.len, 200);
	assert_int_equal(lqos_umem_free(e.rx_umem, &got, 1), 0);
	xsk_reaped(e.tx, 2);
	lqos_xsk_close(&xsk);
	xsk_ends_close(&e);
}

static void test_parts_not_asked_for(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f[2];

	(void)state;
	xsk_cannot_open(umem, NEAR, 0, &parts, -EOPNOTSUPP, "another socket");
	packet_of(umem, f, 2, 100);
	assert_int_equal(lqos_xsk_tx(xsk, f, 2), 0);
	assert_int_equal(xsk_stats_of(xsk).tx_refused, 1);
	assert_int_equal(lqos_umem_free(umem, f, 2), 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		XSK_BOTH(test_received_in_parts),
		XSK_BOTH(test_too_long_for_a_frame),
		XSK_BOTH(test_sent_in_parts),
		XSK_BOTH(test_parts_not_asked_for),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk parts", tests,
						xsk_namespace, NULL);
}
