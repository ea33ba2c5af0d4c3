/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets that share: a UMEM, a queue, or one after the other a name. */
#include "tests/bpf/xsk_fixture.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* ---- One UMEM, two devices ----------------------------------------------- */

static void test_two_devices(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *near = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk *far = xsk_socket_on(umem, FAR, NULL);
	struct lqos_xsk_hook *hooks[] = {xsk_hook_to(near), xsk_hook_to(far)};
	struct lqos_xsk_frame into[16], f, got, back;

	(void)state;
	assert_false(lqos_xsk_shares_queue(near));
	assert_false(lqos_xsk_shares_queue(far));
	assert_ptr_not_equal(near->port, far->port);
	for (int i = 0; i < 16; i++)
		assert_int_equal(lqos_umem_alloc(umem, &into[i]), 0);
	assert_int_equal(lqos_xsk_fill(far, into, 8), 8);
	assert_int_equal(lqos_xsk_fill(near, into + 8, 8), 8);
	xsk_arp(umem, &f, 77);
	assert_int_equal(lqos_xsk_tx(near, &f, 1), 1);
	assert_int_equal(lqos_xsk_kick(near), 0);
	assert_int_equal(xsk_receive(far, &got, 1, LONG_MS), 1);
	assert_int_equal(lqos_xsk_data(umem, &got)[ARP_LEN - 1], 77);
	/* Into the first that was given, in the place that was given. */
	assert_int_equal(got.addr, into[0].addr);
	/* Back where it came from, without a copy of ours. */
	assert_int_equal(lqos_xsk_tx(far, &got, 1), 1);
	assert_int_equal(lqos_xsk_kick(far), 0);
	assert_int_equal(xsk_receive(near, &f, 1, LONG_MS), 1);
	assert_int_equal(lqos_xsk_data(umem, &f)[ARP_LEN - 1], 77);
	assert_int_equal(f.addr, into[8].addr);
	/* Each is completed where it was sent. */
	xsk_balanced(umem);
	assert_int_equal(lqos_xsk_reap_to(far, &back, 1), 1);
	assert_int_equal(back.addr, got.addr);
	assert_int_equal(lqos_xsk_reap_to(far, &back, 1), 0);
	assert_int_equal(lqos_umem_free(umem, &back, 1), 0);
	xsk_reaped(near, 1);
	assert_int_equal(lqos_umem_free(umem, &f, 1), 0);
	lqos_xsk_hook_close(&hooks[0]);
	lqos_xsk_hook_close(&hooks[1]);
	lqos_xsk_close(&near);
	xsk_balanced(umem);
	assert_int_equal(lqos_umem_destroy(&umem), -EBUSY);
	lqos_xsk_close(&far);
	xsk_umem_gone(&umem);
}

/* ---- One UMEM, one queue ------------------------------------------------- */

struct shared {
	struct lqos_umem *umem, *peer_umem;
	struct lqos_xsk *xsk[2], *peer;
	struct lqos_xsk_hook *hook, *peer_hook;
};

static void share(struct shared *s)
{
	s->umem = xsk_umem_small();
	s->peer_umem =
		xsk_umem_of(&(struct lqos_umem_options){.frames = 2 * SMALL});
	s->xsk[0] = xsk_socket_on(s->umem, NEAR, NULL);
	s->xsk[1] = xsk_socket_on(s->umem, NEAR, NULL);
	s->peer = xsk_socket_on(s->peer_umem, FAR, NULL);
	s->hook = xsk_hook_to(s->xsk[0]);
	s->peer_hook = xsk_hook_to(s->peer);
	assert_int_equal(lqos_xsk_refill(s->peer), SMALL);
}

static void unshare_all(struct shared *s)
{
	lqos_xsk_hook_close(&s->hook);
	lqos_xsk_hook_close(&s->peer_hook);
	lqos_xsk_close(&s->xsk[0]);
	lqos_xsk_close(&s->xsk[1]);
	lqos_xsk_close(&s->peer);
	xsk_umem_gone(&s->umem);
	xsk_umem_gone(&s->peer_umem);
}

/* It sends, and receives n. */
static void works(struct shared *s, struct lqos_xsk *xsk, uint32_t n)
{
	struct lqos_xsk_frame f[SMALL];

	xsk_send(xsk, n);
	assert_int_equal(xsk_receive(s->peer, f, n, LONG_MS), n);
	xsk_reaped(xsk, n);
	assert_int_equal(lqos_xsk_fill(s->peer, f, n), n);
	xsk_ok(lqos_xsk_hook_add(s->hook, xsk));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(lqos_umem_alloc(s->umem, &f[i]), 0);
	assert_int_equal(lqos_xsk_fill(xsk, f, n), n);
	xsk_send(s->peer, n);
	assert_int_equal(xsk_receive(xsk, f, n, LONG_MS), n);
	xsk_balanced(s->umem);
	assert_int_equal(lqos_umem_free(s->umem, f, n), 0);
	xsk_reaped(s->peer, n);
}

static void test_one_queue(void **state)
{
	struct shared s;

	(void)state;
	share(&s);
	assert_false(lqos_xsk_shares_queue(s.xsk[0]));
	assert_true(lqos_xsk_shares_queue(s.xsk[1]));
	assert_ptr_equal(s.xsk[0]->port, s.xsk[1]->port);
	for (int i = 0; i < 4; i++)
		works(&s, s.xsk[i % 2], 4);
	unshare_all(&s);
}

/* What one of them sent the other may reap: whose it was is known. */
static void test_one_completion_ring(void **state)
{
	struct lqos_xsk_frame f[8];
	struct shared s;

	(void)state;
	share(&s);
	xsk_send(s.xsk[0], 3);
	xsk_send(s.xsk[1], 5);
	assert_int_equal(lqos_xsk_outstanding(s.xsk[0]), 3);
	assert_int_equal(lqos_xsk_outstanding(s.xsk[1]), 5);
	xsk_reaped(s.xsk[1], 8);
	assert_int_equal(lqos_xsk_outstanding(s.xsk[0]), 0);
	assert_int_equal(lqos_xsk_outstanding(s.xsk[1]), 0);
	assert_int_equal(xsk_stats_of(s.xsk[0]).sent, 3);
	assert_int_equal(xsk_stats_of(s.xsk[1]).sent, 5);
	assert_int_equal(xsk_receive(s.peer, f, 8, LONG_MS), 8);
	assert_int_equal(lqos_umem_free(s.peer_umem, f, 8), 0);
	unshare_all(&s);
}

/* Frames in all rings: of what is closed first nothing is lost, and the other
 * goes on. */
static void check_order(int first)
{
	struct lqos_xsk_frame f[SMALL], held[2];
	struct shared s;
	int other = !first;

	share(&s);
	xsk_ok(lqos_xsk_hook_add(s.hook, s.xsk[first]));
	for (int i = 0; i < 16; i++)
		assert_int_equal(lqos_umem_alloc(s.umem, &f[i]), 0);
	assert_int_equal(lqos_xsk_fill(s.xsk[0], f, 16), 16);
	/* Received, in its RX ring, and the user's. */
	xsk_send(s.peer, 6);
	xsk_reaped(s.peer, 6);
	assert_int_equal(xsk_receive(s.xsk[first], held, 2, LONG_MS), 2);
	/* Sent and not reaped, and not sent. */
	xsk_send(s.xsk[0], 3);
	xsk_send(s.xsk[1], 4);
	xsk_queue(s.xsk[0], f, 5);
	xsk_queue(s.xsk[1], f, 6);
	xsk_balanced(s.umem);

	lqos_xsk_close(&s.xsk[first]);
	assert_null(s.xsk[first]);
	xsk_balanced(s.umem);
	assert_int_equal(lqos_umem_free(s.umem, held, 2), 0);
	assert_int_equal(lqos_umem_destroy(&s.umem), -EBUSY);
	assert_int_equal(lqos_xsk_kick(s.xsk[other]), 0);
	for (int i = 0; i < 10 && lqos_xsk_outstanding(s.xsk[other]); i++) {
		lqos_xsk_reap(s.xsk[other]);
		xsk_pause_ms(1);
	}
	/* All that was queued arrived, that of the one that is gone too. */
	assert_int_equal(xsk_receive(s.peer, f, 18, LONG_MS), 18);
	assert_int_equal(lqos_umem_free(s.peer_umem, f, 18), 0);
	/* The pool has all but what is to be received into. */
	assert_int_equal(lqos_umem_available(s.umem), SMALL - 10);
	assert_int_equal(lqos_xsk_refill(s.peer), 18);
	xsk_ok(lqos_xsk_hook_add(s.hook, s.xsk[other]));
	works(&s, s.xsk[other], 8);
	/* A third in its place. */
	s.xsk[first] = xsk_socket_on(s.umem, NEAR, NULL);
	assert_true(lqos_xsk_shares_queue(s.xsk[first]));
	works(&s, s.xsk[first], 8);
	works(&s, s.xsk[other], 8);
	lqos_xsk_close(&s.xsk[other]);
	works(&s, s.xsk[first], 8);
	unshare_all(&s);
}

static void test_first_closed_first(void **state)
{
	(void)state;
	check_order(0);
}

static void test_second_closed_first(void **state)
{
	(void)state;
	check_order(1);
}

/* Who closes a socket that packets still go to loses those, and no frame. */
static void test_closed_under_traffic(void **state)
{
	struct shared s;

	(void)state;
	share(&s);
	assert_int_equal(lqos_xsk_refill(s.xsk[0]), SMALL);
	lqos_xsk_close(&s.xsk[0]);
	xsk_send(s.peer, 20);
	xsk_reaped(s.peer, 20);
	xsk_pause_ms(SHORT_MS);
	assert_int_equal(lqos_xsk_wait(s.xsk[1], 0), 0);
	xsk_balanced(s.umem);
	unshare_all(&s);
}

/* Its number is the next one's; what it received is not charged to that. */
static void test_numbers_again(void **state)
{
	struct lqos_xsk_frame a[4], b[2];
	struct xsk_ends e;

	(void)state;
	xsk_ends_open(&e, NULL, NULL, NULL);
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL);
	xsk_send(e.tx, 4);
	assert_int_equal(xsk_receive(e.rx, a, 4, LONG_MS), 4);
	lqos_xsk_close(&e.rx);
	e.rx = xsk_socket_on(e.rx_umem, FAR, NULL);
	xsk_ok(lqos_xsk_hook_add(e.hook, e.rx));
	assert_int_equal(lqos_xsk_refill(e.rx), SMALL - 4);
	xsk_send(e.tx, 2);
	assert_int_equal(xsk_receive(e.rx, b, 2, LONG_MS), 2);
	assert_int_equal(e.rx->user, 2);
	assert_int_equal(lqos_umem_free(e.rx_umem, a, 4), 0);
	assert_int_equal(e.rx->user, 2);
	xsk_balanced(e.rx_umem);
	assert_int_equal(lqos_umem_free(e.rx_umem, b, 2), 0);
	assert_int_equal(e.rx->user, 0);
	xsk_ends_close(&e);
}

static void test_many_on_one_queue(void **state)
{
	static const int order[] = {3, 0, 7, 5, 1, 6, 2, 4};
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk[8];
	struct lqos_xsk_frame f[5];
	int fds = xsk_open_fds(), i;

	(void)state;
	for (i = 0; i < 8; i++) {
		xsk[i] = xsk_socket_on(umem, NEAR, NULL);
		xsk_queue(xsk[i], f, 5);
	}
	for (i = 0; i < 8; i++) {
		lqos_xsk_close(&xsk[order[i]]);
		xsk_balanced(umem);
	}
	assert_int_equal(xsk_open_fds(), fds);
	xsk_umem_gone(&umem);
}

/* ---- Programs ------------------------------------------------------------ */

/* What no socket was added for goes up the stack. */
static void test_hook_passes(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *tx = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk *rx = xsk_socket_on(umem, FAR, NULL);
	struct lqos_xsk_hook *hook = NULL;
	struct lqos_xsk_frame f[4];
	uint64_t redirected, passed;

	(void)state;
	xsk_ok(lqos_xsk_hook_open(FAR, xsk_mode, false, &hook, xsk_why,
				  sizeof(xsk_why)));
	assert_int_equal(lqos_xsk_hook_add(hook, tx), -EINVAL);
	xsk_send(tx, 4);
	xsk_reaped(tx, 4);
	xsk_pause_ms(SHORT_MS);
	lqos_xsk_hook_counts(hook, &redirected, &passed);
	assert_int_equal(redirected, 0);
	assert_int_equal(passed, 4);
	xsk_ok(lqos_xsk_hook_add(hook, rx));
	assert_int_equal(lqos_xsk_fill(rx, NULL, 0), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(lqos_umem_alloc(umem, &f[i]), 0);
	assert_int_equal(lqos_xsk_fill(rx, f, 4), 4);
	xsk_send(tx, 4);
	assert_int_equal(xsk_receive(rx, f, 4, LONG_MS), 4);
	lqos_xsk_hook_counts(hook, &redirected, &passed);
	assert_int_equal(redirected, 4);
	assert_int_equal(passed, 4);
	assert_int_equal(lqos_umem_free(umem, f, 4), 0);
	/* A socket that is gone is in no map. */
	lqos_xsk_close(&rx);
	xsk_reaped(tx, 4);
	xsk_send(tx, 4);
	xsk_reaped(tx, 4);
	xsk_pause_ms(SHORT_MS);
	lqos_xsk_hook_counts(hook, &redirected, &passed);
	assert_int_equal(passed, 8);
	lqos_xsk_hook_close(&hook);
	lqos_xsk_hook_close(&hook);
	lqos_xsk_close(&tx);
	xsk_umem_gone(&umem);
}

/* XSKMAP[5], or else up the stack. */
static int load_own(int map)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K,
		 .dst_reg = BPF_REG_2,
		 .imm = 5},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K,
		 .dst_reg = BPF_REG_3,
		 .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "own", "GPL", insns,
			     ARRAY_SIZE(insns), NULL);
}

static void test_program_of_ones_own(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	autoclose int map = -1;
	autoclose int prog = -1;
	autoclose int link = -1;
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *far = xsk_socket_on(umem, FAR, NULL);
	struct lqos_xsk *near = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_hook *hook = xsk_hook_to(near);
	struct lqos_xsk_frame f[16], got;
	const uint8_t *data;

	(void)state;
	opts.flags = xsk_mode == LQOS_XSK_NATIVE ? 1U << 2 : 1U << 1;
	map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "own", 4, 4, 8, NULL);
	assert_true(map >= 0);
	prog = load_own(map);
	assert_true(prog >= 0);
	link = bpf_link_create(prog, (int)if_nametoindex(FAR), BPF_XDP, &opts);
	assert_true(link >= 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(lqos_umem_alloc(umem, &f[i]), 0);
	assert_int_equal(lqos_xsk_fill(far, f, 8), 8);
	assert_int_equal(lqos_xsk_fill(near, f + 8, 8), 8);

	assert_int_equal(lqos_xsk_map_set(map, 8, far), -E2BIG);
	assert_int_equal(lqos_xsk_map_clear(map, 8), -EINVAL);
	assert_int_equal(lqos_xsk_map_set(map, 5, far), 0);
	xsk_send(near, 1);
	assert_int_equal(xsk_receive(far, &got, 1, LONG_MS), 1);
	assert_int_equal(lqos_umem_free(umem, &got, 1), 0);
	xsk_reaped(near, 1);
	/* Out of the map: the host gets it, and answers. */
	assert_int_equal(lqos_xsk_map_clear(map, 5), 0);
	xsk_ip("addr add 192.0.2.0/24 dev " FAR);
	xsk_send(near, 1);
	assert_int_equal(xsk_receive(near, &got, 1, LONG_MS), 1);
	data = lqos_xsk_data(umem, &got);
	assert_int_equal(got.len, ARP_LEN);
	assert_int_equal(data[21], 2); /* a reply */
	assert_int_equal(data[ARP_LEN - 1], 200);
	assert_int_equal(lqos_umem_free(umem, &got, 1), 0);
	xsk_reaped(near, 1);
	assert_int_equal(xsk_stats_of(far).received, 1);
	lqos_xsk_hook_close(&hook);
	lqos_xsk_close(&near);
	lqos_xsk_close(&far);
	xsk_umem_gone(&umem);
}

/* ---- Again and again ----------------------------------------------------- */

static uint32_t program_on(const char *interface)
{
	uint32_t id = 0;

	assert_int_equal(
		bpf_xdp_query_id((int)if_nametoindex(interface), 0, &id), 0);
	return id;
}

static bool program_lives(uint32_t id)
{
	autoclose int fd = bpf_prog_get_fd_by_id(id);

	return fd >= 0;
}

/* The queue is free some time after it was closed, which the caller does not
 * notice; nothing stays behind. */
static void test_hundred_times(void **state)
{
	struct lqos_umem *umem = xsk_umem_small(), *other = xsk_umem_small();
	int fds = xsk_open_fds();
	uint64_t until;
	uint32_t id = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct lqos_umem *u = i % 3 ? umem : other;
		struct lqos_xsk *xsk = xsk_socket_on(u, NEAR, NULL);
		struct lqos_xsk_hook *hook = NULL;

		if (i % 10 == 9) {
			hook = xsk_hook_to(xsk);
			id = program_on(NEAR);
			assert_int_not_equal(id, 0);
		}
		assert_int_equal(lqos_xsk_refill(xsk), SMALL);
		lqos_xsk_close(&xsk);
		lqos_xsk_hook_close(&hook);
		xsk_all_back(u);
	}
	assert_int_equal(xsk_open_fds(), fds);
	assert_int_equal(program_on(NEAR), 0);
	until = xsk_now_ms() + LONG_MS;
	while (program_lives(id) && xsk_now_ms() < until)
		xsk_pause_ms(5);
	assert_false(program_lives(id));
	xsk_umem_gone(&umem);
	xsk_umem_gone(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		XSK_BOTH(test_two_devices),
		XSK_BOTH(test_one_queue),
		XSK_BOTH(test_one_completion_ring),
		XSK_BOTH(test_first_closed_first),
		XSK_BOTH(test_second_closed_first),
		XSK_BOTH(test_closed_under_traffic),
		XSK_BOTH(test_numbers_again),
		XSK_BOTH(test_many_on_one_queue),
		XSK_BOTH(test_hook_passes),
		XSK_BOTH(test_program_of_ones_own),
		XSK_BOTH(test_hundred_times),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk shared", tests,
						xsk_namespace, NULL);
}
