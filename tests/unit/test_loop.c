/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/unit/log_capture.h"

static struct core core;
static struct lqos_ctx *ctx;

static int setup(void **state)
{
	(void)state;
	memset(&core, 0, sizeof(core));
	core.settings.slow_callback_ms = 1000;
	log_capture();
	if (core_loop_new(&core.loop, &core))
		return -1;
	return core_ctx_new(&ctx, &core, "test", 1);
}

static int teardown(void **state)
{
	(void)state;
	core_ctx_free(&ctx);
	core_loop_free(&core.loop);
	core_log_sink(NULL, NULL);
	return 0;
}

static void sleep_ms(unsigned int ms)
{
	const struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&ts, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void stop(void *arg)
{
	(void)arg;
	core_loop_stop(core.loop);
}

/* Run the loop for that long. */
static void run_ms(uint32_t ms)
{
	assert_int_equal(lqos_timer_once(ctx, ms, stop, NULL, NULL), 0);
	assert_int_equal(core_loop_run(core.loop), 0);
}

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

/* ---- Timers -------------------------------------------------------------- */

static void one_shot_timer(void **state)
{
	struct lqos_watch *w = NULL;
	uint64_t started = now_ms();
	unsigned int n = 0;

	(void)state;
	assert_int_equal(lqos_timer_once(ctx, 30, count, &n, &w), 0);
	assert_non_null(w);
	assert_int_equal(lqos_timer_once(ctx, 30, stop, NULL, NULL), 0);
	assert_int_equal(core_loop_run(core.loop), 0);
	assert_true(now_ms() - started >= 29);
	assert_int_equal(n, 1);
	/* Both have freed themselves. */
	assert_null(ctx->owned);
	run_ms(70);
	assert_int_equal(n, 1);
}

/* Timers set late in a long callback count from there, whatever else wakes the
 * loop meanwhile. */
static uint64_t armed_ms, fired_ms;

static void note_fired(void *arg)
{
	fired_ms = now_ms();
	stop(arg);
}

static void arm_late(void *arg)
{
	(void)arg;
	sleep_ms(50);
	armed_ms = now_ms();
	assert_int_equal(lqos_timer_once(ctx, 40, note_fired, NULL, NULL), 0);
}

static void timer_set_in_a_long_callback(void **state)
{
	unsigned int n = 0;

	(void)state;
	assert_int_equal(lqos_timer_every(ctx, 1, count, &n, NULL), 0);
	assert_int_equal(lqos_timer_once(ctx, 0, arm_late, NULL, NULL), 0);
	assert_int_equal(core_loop_run(core.loop), 0);
	assert_true(fired_ms - armed_ms >= 39);
}

static unsigned int ticks_left;

static void slow_tick(void *arg)
{
	sleep_ms(20);
	if (!--ticks_left)
		stop(arg);
}

static void late_ticks_do_not_add_up(void **state)
{
	uint64_t took = UINT64_MAX;

	(void)state;
	/*
	 * 8 ticks of 50 ms are 400 ms and the last callback.  Counted from the
	 * end of each callback they would be 540 at least, on any machine; a
	 * busy one may need more than one try for the right result.
	 */
	for (int try = 0; try < 10 && took >= 500; try++) {
		struct lqos_watch *w;
		uint64_t started = now_ms();

		ticks_left = 8;
		assert_int_equal(lqos_timer_every(ctx, 50, slow_tick, NULL, &w),
				 0);
		assert_int_equal(core_loop_run(core.loop), 0);
		took = now_ms() - started;
		lqos_watch_cancel(&w);
		assert_null(w);
	}
	assert_true(took >= 399);
	assert_true(took < 500);
}

static void refused_timers(void **state)
{
	struct lqos_watch *untouched = (void *)0x1;
	struct core_loop *loop = core.loop;

	(void)state;
	assert_int_equal(lqos_timer_every(ctx, 0, count, NULL, &untouched),
			 -EINVAL);
	core.loop = NULL;
	assert_int_equal(lqos_timer_every(ctx, 1, count, NULL, &untouched),
			 -ENODEV);
	core.loop = loop;
	assert_ptr_equal(untouched, (void *)0x1);
	assert_null(ctx->owned);
}

static void cancelled_timer_is_silent(void **state)
{
	struct lqos_watch *w;
	unsigned int n = 0;

	(void)state;
	assert_int_equal(lqos_timer_every(ctx, 1, count, &n, &w), 0);
	lqos_watch_cancel(&w);
	assert_null(w);
	lqos_watch_cancel(&w);
	assert_null(ctx->owned);
	run_ms(20);
	assert_int_equal(n, 0);
}

/* ---- Cancelling and freeing from within ---------------------------------- */

struct self {
	struct lqos_watch *own;
	struct lqos_watch *others[2];
	unsigned int n;
};

static void cancel_self(void *arg)
{
	struct self *self = arg;

	self->n++;
	lqos_watch_cancel(&self->own);
}

static void cancel_in_own_callback(void **state)
{
	struct self every = {0}, once = {0};

	(void)state;
	assert_int_equal(
		lqos_timer_every(ctx, 1, cancel_self, &every, &every.own), 0);
	assert_int_equal(lqos_timer_once(ctx, 1, cancel_self, &once, &once.own),
			 0);
	run_ms(20);
	assert_int_equal(every.n, 1);
	assert_int_equal(once.n, 1);
	assert_null(ctx->owned);
}

static void cancel_all(void *arg)
{
	struct self *self = arg;

	self->n++;
	lqos_watch_cancel(&self->others[0]);
	lqos_watch_cancel(&self->others[1]);
	lqos_watch_cancel(&self->own);
}

/* Three are due at once; whichever is first cancels all. */
static void cancel_others_that_are_due(void **state)
{
	struct self self = {0};

	(void)state;
	assert_int_equal(
		lqos_timer_every(ctx, 5, cancel_all, &self, &self.others[0]),
		0);
	assert_int_equal(lqos_timer_every(ctx, 5, cancel_all, &self, &self.own),
			 0);
	assert_int_equal(
		lqos_timer_every(ctx, 5, cancel_all, &self, &self.others[1]),
		0);
	sleep_ms(10);
	run_ms(20);
	assert_int_equal(self.n, 1);
}

static void release_own_context(void *arg)
{
	struct lqos_ctx **own = arg;

	core_ctx_release(*own);
}

static void free_own_context(void *arg)
{
	core_ctx_free(arg);
}

static void context_goes_while_its_callback_runs(void **state)
{
	struct lqos_ctx *other;

	(void)state;
	assert_int_equal(core_ctx_new(&other, &core, "other", 2), 0);
	assert_int_equal(
		lqos_timer_every(other, 1, release_own_context, &other, NULL),
		0);
	run_ms(20);
	assert_null(other->owned);

	assert_int_equal(
		lqos_timer_once(other, 1, free_own_context, &other, NULL), 0);
	run_ms(20);
	assert_null(other);
}

static void loop_goes_before_its_watches(void **state)
{
	struct lqos_watch *w;
	unsigned int n = 0;

	(void)state;
	assert_int_equal(lqos_timer_every(ctx, 1, count, &n, NULL), 0);
	assert_int_equal(lqos_timer_every(ctx, 1, count, &n, &w), 0);
	assert_int_equal(core_loop_signal(ctx, SIGUSR2, NULL, NULL), 0);
	core_loop_free(&core.loop);
	assert_null(core.loop);
	core_loop_free(&core.loop);
	lqos_watch_cancel(&w);
	core_ctx_release(ctx);
	assert_int_equal(n, 0);
}

static void stop_before_run(void **state)
{
	unsigned int n = 0;

	(void)state;
	assert_int_equal(lqos_timer_every(ctx, 1, count, &n, NULL), 0);
	core_loop_stop(core.loop);
	assert_int_equal(core_loop_run(core.loop), 0);
	assert_int_equal(n, 0);
	run_ms(20); /* it was for one run */
	assert_true(n > 0);
}

/* ---- Descriptors and signals --------------------------------------------- */

struct io {
	int events;
	unsigned int n;
	struct lqos_watch *w;
};

static void on_io(int fd, int events, void *arg)
{
	struct io *io = arg;
	char c;

	io->events |= events;
	io->n++;
	if (events & LQOS_READ)
		assert_int_equal(read(fd, &c, 1), 1);
	if (events & LQOS_WRITE)
		lqos_watch_cancel(&io->w);
}

static void descriptors(void **state)
{
	struct io reads = {0}, writes = {0};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(
		lqos_fd_watch(ctx, fds[0], LQOS_READ, on_io, &reads, &reads.w),
		0);
	run_ms(10);
	assert_int_equal(reads.n, 0);

	assert_int_equal(write(fds[1], "abc", 3), 3);
	run_ms(20);
	assert_int_equal(reads.n, 3);
	assert_int_equal(reads.events, LQOS_READ);

	assert_int_equal(lqos_fd_watch(ctx, fds[1], LQOS_READ | LQOS_WRITE,
				       on_io, &writes, &writes.w),
			 0);
	run_ms(10);
	assert_int_equal(writes.n, 1);
	assert_int_equal(writes.events, LQOS_WRITE);

	lqos_watch_cancel(&reads.w);
	assert_int_equal(write(fds[1], "d", 1), 1);
	run_ms(10);
	assert_int_equal(reads.n, 3);
	assert_null(ctx->owned);
	close(fds[0]);
	close(fds[1]);
}

static void refused_descriptors(void **state)
{
	struct lqos_watch *untouched = (void *)0x1;
	autoclose int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(
		lqos_fd_watch(ctx, -1, LQOS_READ, on_io, NULL, &untouched),
		-EBADF);
	assert_int_equal(lqos_fd_watch(ctx, 0, 0, on_io, NULL, &untouched),
			 -EINVAL);
	assert_int_equal(lqos_fd_watch(ctx, 0, 4, on_io, NULL, &untouched),
			 -EINVAL);
	/* epoll does not do regular files. */
	assert_int_equal(
		lqos_fd_watch(ctx, file, LQOS_READ, on_io, NULL, &untouched),
		-EPERM);
	assert_ptr_equal(untouched, (void *)0x1);
	assert_null(ctx->owned);
}

static void on_signo(int signo, void *arg)
{
	*(int *)arg = signo;
	stop(NULL);
}

static void signals(void **state)
{
	int signo = 0;

	(void)state;
	assert_int_equal(core_loop_signal(ctx, 0, on_signo, &signo), -EINVAL);
	assert_int_equal(core_loop_signal(ctx, 9999, on_signo, &signo),
			 -EINVAL);
	assert_int_equal(core_loop_signal(ctx, SIGUSR1, on_signo, &signo), 0);
	raise(SIGUSR1);
	assert_int_equal(signo, 0); /* not from the handler */
	assert_int_equal(core_loop_run(core.loop), 0);
	assert_int_equal(signo, SIGUSR1);
}

/* ---- Timing -------------------------------------------------------------- */

static void dawdle(void *arg)
{
	(void)arg;
	sleep_ms(30);
}

static struct core_loop_stats stats(void)
{
	struct core_loop_stats s;

	core_loop_stats(core.loop, &s);
	return s;
}

static void slow_callbacks_are_named(void **state)
{
	struct lqos_ctx *slow;

	(void)state;
	core.settings.slow_callback_ms = 20;
	assert_int_equal(core_ctx_new(&slow, &core, "steering", 2), 0);
	assert_int_equal(lqos_timer_once(slow, 0, dawdle, NULL, NULL), 0);
	run_ms(60);
	assert_int_equal(stats().callbacks, 2); /* and the stop */
	assert_true(stats().slow >= 1);
	assert_in_range(stats().slowest_ns, 30000000, 5000000000);
	assert_true(log_has("steering: its one-shot timer callback took 3"));
	assert_true(log_has("slow_callback_ms is 20"));

	/* 0: never */
	core.settings.slow_callback_ms = 0;
	log_capture();
	assert_int_equal(lqos_timer_once(slow, 0, dawdle, NULL, NULL), 0);
	run_ms(60);
	assert_false(log_has("steering"));
	core_ctx_free(&slow);
}

static void only_the_slow_one_of_nested_callbacks_is_named(void **state)
{
	struct lqos_ctx *outer, *inner;

	(void)state;
	core.settings.slow_callback_ms = 20;
	assert_int_equal(core_ctx_new(&outer, &core, "bus", 0), 0);
	assert_int_equal(core_ctx_new(&inner, &core, "steering", 2), 0);

	core_loop_enter(outer, "request");
	core_loop_enter(inner, "steering.map");
	sleep_ms(30);
	core_loop_leave(inner);
	core_loop_leave(outer);
	assert_true(log_has("steering: its steering.map callback took"));
	assert_false(log_has("bus:"));
	assert_int_equal(stats().callbacks, 2);
	assert_int_equal(stats().slow, 1);

	log_capture();
	core_loop_enter(outer, "request");
	core_loop_enter(inner, "steering.map");
	core_loop_leave(inner);
	sleep_ms(30);
	core_loop_leave(outer);
	assert_true(log_has("bus: its request callback took"));
	assert_false(log_has("steering"));

	core_ctx_free(&inner);
	core_ctx_free(&outer);
}

static void deep_nesting_and_no_loop(void **state)
{
	struct core_loop *loop = core.loop;

	(void)state;
	for (int i = 0; i < 100; i++)
		core_loop_enter(ctx, "deep");
	for (int i = 0; i < 101; i++) /* and one too many */
		core_loop_leave(ctx);
	assert_true(stats().callbacks >= 8);
	core_loop_enter(ctx, "again");
	core_loop_leave(ctx);
	assert_int_equal(stats().slow, 0);

	core.loop = NULL;
	core_loop_enter(ctx, "none");
	core_loop_leave(ctx);
	core.loop = loop;
}

/* ---- Ring buffers -------------------------------------------------------- */

#define INSN(c, d, s, o, i)                \
	((struct bpf_insn){.code = (c),    \
			   .dst_reg = (d), \
			   .src_reg = (s), \
			   .off = (o),     \
			   .imm = (i)})
#define MAP_FD(reg, fd)                                                 \
	INSN(BPF_LD | BPF_DW | BPF_IMM, reg, BPF_PSEUDO_MAP_FD, 0, fd), \
		INSN(0, 0, 0, 0, 0)
#define MOV_REG(d, s)  INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)  INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_IMM(d, i)  INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define CALL(f)	       INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define LOAD(d, s, o)  INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)

struct ring {
	int map, counter, prog;
	struct lqos_watch *w;
	uint64_t next;	    /* number that the next record must have */
	uint64_t cancel_at; /* cancel in the record of this number */
	uint64_t at_timer;  /* what next was when the timer fired */
	bool timer_set;
};

/*
 * A ring, and a program that sends the numbers 0, 1, ... of size bytes.  Skips
 * the test where BPF may not be used.
 */
static void ring_open(struct ring *ring, int size, int flags)
{
	memset(ring, 0, sizeof(*ring));
	ring->map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "test_ring", 0, 0,
				   1 << 17, NULL);
	if (ring->map == -EPERM)
		skip();
	ring->counter =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "test_count", 4, 8, 1, NULL);
	assert_true(ring->map >= 0 && ring->counter >= 0);

	const struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 0),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -8),
		MAP_FD(BPF_REG_1, ring->counter),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 12, 0),
		LOAD(BPF_REG_1, BPF_REG_0, 0),
		STORE(BPF_REG_10, BPF_REG_1, -8),
		ADD_IMM(BPF_REG_1, 1),
		STORE(BPF_REG_0, BPF_REG_1, 0),
		MAP_FD(BPF_REG_1, ring->map),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -8),
		MOV_IMM(BPF_REG_3, size),
		MOV_IMM(BPF_REG_4, flags),
		CALL(BPF_FUNC_ringbuf_output),
		MOV_IMM(BPF_REG_0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	ring->prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "test_ring", "GPL",
				   insns, ARRAY_SIZE(insns), NULL);
	assert_true(ring->prog >= 0);
}

static void ring_close(struct ring *ring)
{
	close(ring->prog);
	close(ring->counter);
	close(ring->map);
}

static void ring_send(struct ring *ring, int n)
{
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
		    .data_size_in = sizeof(packet), .repeat = n);

	assert_int_equal(bpf_prog_test_run_opts(ring->prog, &opts), 0);
}

static void note_timer(void *arg)
{
	struct ring *ring = arg;

	ring->at_timer = ring->next;
}

static void on_record(const void *data, size_t len, void *arg)
{
	struct ring *ring = arg;
	uint64_t number;

	assert_true(len >= sizeof(number));
	memcpy(&number, data, sizeof(number));
	assert_int_equal(number, ring->next);
	ring->next++;
	if (!ring->timer_set) {
		ring->timer_set = true;
		assert_int_equal(
			lqos_timer_once(ctx, 0, note_timer, ring, NULL), 0);
	}
	if (ring->cancel_at == number + 1)
		lqos_watch_cancel(&ring->w);
}

static void flood_is_delivered_in_portions(void **state)
{
	struct ring ring;

	(void)state;
	ring_open(&ring, 8, 0);
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, &ring.w),
		0);
	ring_send(&ring, 5000);
	run_ms(80); /* before the first look: it was woken */
	assert_int_equal(ring.next, 5000);
	assert_int_equal(stats().ring_budget, 4);
	assert_int_equal(stats().ring_short, 0);
	/* A timer had its turn between two portions. */
	assert_in_range(ring.at_timer, 1024, 2048);
	ring_close(&ring);
}

static void producers_that_never_wake(void **state)
{
	struct ring ring;

	(void)state;
	ring_open(&ring, 8, BPF_RB_NO_WAKEUP);
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, &ring.w),
		0);
	for (int i = 1; i <= 3; i++) {
		ring_send(&ring, 3000);
		run_ms(180);
		assert_int_equal(ring.next, 3000 * i);
	}
	ring_close(&ring);
}

static void short_records_are_counted(void **state)
{
	struct ring ring;

	(void)state;
	ring_open(&ring, 7, 0);
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, &ring.w),
		0);
	ring_send(&ring, 2000);
	run_ms(50);
	assert_int_equal(ring.next, 0);
	assert_int_equal(stats().ring_short, 2000);
	ring_close(&ring);
}

static void cancel_in_a_record(void **state)
{
	struct ring ring;

	(void)state;
	ring_open(&ring, 8, 0);
	ring.cancel_at = 5;
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, &ring.w),
		0);
	ring_send(&ring, 10);
	run_ms(150);
	assert_int_equal(ring.next, 5);
	assert_null(ring.w);

	/* The others were not lost: a later watch gets them. */
	ring.cancel_at = 0;
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, &ring.w),
		0);
	run_ms(150);
	assert_int_equal(ring.next, 10);
	ring_close(&ring);
}

static void loop_goes_before_a_ring(void **state)
{
	struct ring ring;

	(void)state;
	ring_open(&ring, 8, 0);
	assert_int_equal(
		lqos_ringbuf_watch(ctx, ring.map, 8, on_record, &ring, NULL),
		0);
	ring_send(&ring, 1);
	core_loop_free(&core.loop);
	core_ctx_release(ctx);
	assert_int_equal(ring.next, 0);
	ring_close(&ring);
}

static void refused_rings(void **state)
{
	struct lqos_watch *untouched = (void *)0x1;
	struct ring ring;

	(void)state;
	assert_true(lqos_ringbuf_watch(ctx, -1, 8, on_record, NULL,
				       &untouched) < 0);
	ring_open(&ring, 8, 0);
	assert_int_equal(lqos_ringbuf_watch(ctx, ring.counter, 8, on_record,
					    NULL, &untouched),
			 -EINVAL);
	ring_close(&ring);
	assert_ptr_equal(untouched, (void *)0x1);
	assert_null(ctx->owned);
}

static void loop_says_what_was_suppressed(void **state)
{
	(void)state;
	/* 6 s: a window and a look at it. */
	for (int i = 0; i < 12; i++)
		core_log("flow", LQOS_INFO, "again");
	run_ms(6200);
	assert_true(log_has("flow: suppressed 2 messages like this: again\n"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_shot_timer),
		TEST(timer_set_in_a_long_callback),
		TEST(late_ticks_do_not_add_up),
		TEST(refused_timers),
		TEST(cancelled_timer_is_silent),
		TEST(cancel_in_own_callback),
		TEST(cancel_others_that_are_due),
		TEST(context_goes_while_its_callback_runs),
		TEST(loop_goes_before_its_watches),
		TEST(stop_before_run),
		TEST(descriptors),
		TEST(refused_descriptors),
		TEST(signals),
		TEST(slow_callbacks_are_named),
		TEST(only_the_slow_one_of_nested_callbacks_is_named),
		TEST(deep_nesting_and_no_loop),
		TEST(flood_is_delivered_in_portions),
		TEST(producers_that_never_wake),
		TEST(short_records_are_counted),
		TEST(cancel_in_a_record),
		TEST(loop_goes_before_a_ring),
		TEST(refused_rings),
		TEST(loop_says_what_was_suppressed),
	};

	core_log_libraries();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
