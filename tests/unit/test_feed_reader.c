/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Slow readers: what is lost, what is said of it, and what is the limit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/feed_bench.h"

/* Reads all frames up to seq last; returns what they say was lost. */
static json_int_t account(struct bench *b, int fd, json_int_t last)
{
	json_int_t seen = 0, lost = 0;

	while (seen < last) {
		json_t *message = bench_json(b, fd);
		json_int_t seq = bench_int(message, "params", "seq", NULL);
		json_int_t dropped =
			bench_int(message, "params", "dropped", NULL);

		/* Exactly the gap before this very frame. */
		assert_int_equal(dropped, seq - seen - 1);
		seen = seq;
		lost += dropped;
		json_decref(message);
	}
	assert_int_equal(seen, last);
	return lost;
}

static void losses_are_told_exactly(void **state)
{
	struct bench *b = *state;
	int slow = bench_dial(b), fast = bench_dial(b);
	json_int_t lost;

	top.pad = 100000;
	subscribe(b, slow, "{\"topic\":\"mod.top\"}");
	subscribe(b, fast, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 200; i++) {
		tick(b);
		expect_frame(b, fast, i, 0, i);
		bench_turn(b);
	}
	lost = account(b, slow, 200);
	/* What is in the kernel, one on its way and the queue arrive. */
	assert_true(lost > 200 - 4 - 1 - CORE_FEED_QUEUE_FRAMES);
	assert_true(lost <= 200 - 1 - CORE_FEED_QUEUE_FRAMES);
	assert_int_equal(stats_of(b).dropped, lost);
	assert_int_equal(stats_of(b).frames, 400 - lost);
	assert_true(stats_of(b).bytes > (400 - (uint64_t)lost) * 100000);
	close(slow);
	close(fast);
}

static void large_frames_are_bounded_by_bytes(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t lost;

	/* Two of these fit CORE_FEED_QUEUE_BYTES. */
	top.pad = 1500000;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 10; i++) {
		tick(b);
		bench_turn(b);
	}
	lost = account(b, fd, 10);
	assert_int_equal(lost, 10 - 1 - 2);

	/* One that is larger than the bound still arrives. */
	top.pad = CORE_FEED_QUEUE_BYTES + 1;
	for (int i = 11; i <= 14; i++) {
		tick(b);
		bench_turn(b);
	}
	expect_frame(b, fd, 11, 0, 11);
	expect_frame(b, fd, 14, 2, 14);
	close(fd);
}

static void bytes_are_a_clients_not_a_subscriptions(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t ids[4], seen[4] = {0}, last[4] = {0};
	int frames = 0;

	top.pad = 900000; /* four fit */
	for (int i = 0; i < 4; i++) {
		char text[80];

		snprintf(text, sizeof(text),
			 "{\"topic\":\"mod.top\",\"params\":{\"i\":%d}}", i);
		ids[i] = subscribe(b, fd, text);
	}
	for (int i = 1; i <= 6; i++) {
		tick(b);
		bench_turn(b);
	}
	/* The oldest went first: one of tick 1 was on its way, all of tick 6
	 * are there. */
	while (frames < 5) {
		json_t *message = bench_json(b, fd);
		json_int_t id =
			bench_int(message, "params", "subscription", NULL);
		json_int_t seq = bench_int(message, "params", "seq", NULL);
		int i;

		for (i = 0; ids[i] != id; i++)
			;
		assert_int_equal(bench_int(message, "params", "dropped", NULL),
				 seq - seen[i] - 1);
		seen[i] = last[i] = seq;
		json_decref(message);
		frames++;
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(last[i], 6);
	expect_silence(b, fd);
	close(fd);
}

static void subscriptions_take_turns(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_int_t before = 0;

	top.pad = quiet.pad = 300000; /* more than the kernel takes */
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	subscribe(b, fd, "{\"topic\":\"mod.quiet\"}");
	for (int i = 0; i < 4; i++)
		tick(b);
	for (int i = 0; i < 8; i++) {
		json_t *message = bench_json(b, fd);
		json_int_t id =
			bench_int(message, "params", "subscription", NULL);

		assert_int_not_equal(id, before);
		before = id;
		json_decref(message);
	}
	close(fd);
}

static void frames_that_cannot_be_built(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	tick(b);
	expect_frame(b, fd, 1, 0, 1);
	top.fail = -EIO;
	tick(b);
	assert_true(log_has("no frame of mod.top for params {}: Input/output"));
	top.fail = -EAGAIN;
	tick(b);
	top.fail = 0;
	tick(b);
	expect_frame(b, fd, 4, 2, 4);
	close(fd);
}

static void a_reader_goes_with_frames_queued(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);

	top.pad = 500000;
	subscribe(b, fd, "{\"topic\":\"mod.top\"}");
	subscribe(b, other, "{\"topic\":\"mod.top\"}");
	for (int i = 1; i <= 5; i++) {
		tick(b);
		expect_frame(b, other, i, 0, i);
	}
	close(fd);
	tick(b);
	expect_frame(b, other, 6, 0, 6);
	assert_int_equal(stats_of(b).subscriptions, 1);
	close(other);
}

static void limits(void **state)
{
	struct bench *b = *state;
	char *params = malloc(6000), text[96];
	int fds[17];

	/* 16 on each of 16 connections, all different: 256 streams. */
	for (int c = 0; c < 16; c++) {
		fds[c] = bench_dial(b);
		for (int i = 0; i < 16; i++) {
			snprintf(text, sizeof(text),
				 "{\"topic\":\"mod.top\",\"params\":"
				 "{\"i\":%d}}",
				 c * 16 + i);
			subscribe(b, fds[c], text);
		}
	}
	refused(b, fds[0], "feed.subscribe", "{\"topic\":\"mod.top\"}", -32000,
		"at most 16 subscriptions");
	fds[16] = bench_dial(b);
	refused(b, fds[16], "feed.subscribe", "{\"topic\":\"mod.top\"}", -32000,
		"256 streams are being read");
	/* What others read can be read by one more. */
	subscribe(b, fds[16], "{\"topic\":\"mod.top\",\"params\":{\"i\":7}}");
	tick(b);
	assert_int_equal(top.built, 256);
	for (int c = 0; c < 16; c++)
		for (int i = 0; i < 16; i++)
			expect_frame(b, fds[c], 1, 0, 0);
	close(fds[0]);
	bench_turn_for(b, 10);
	snprintf(params, 6000,
		 "{\"topic\":\"mod.top\",\"params\":{\"p\":\"%05000d\"}}", 0);
	refused(b, fds[16], "feed.subscribe", params, -32000,
		"at most 4096 bytes");
	snprintf(params, 6000,
		 "{\"topic\":\"mod.top\",\"params\":{\"p\":\"%04000d\"}}", 0);
	subscribe(b, fds[16], params);
	for (int c = 1; c <= 16; c++)
		close(fds[c]);
	free(params);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, feed_setup, feed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(losses_are_told_exactly),
		TEST(large_frames_are_bounded_by_bytes),
		TEST(bytes_are_a_clients_not_a_subscriptions),
		TEST(subscriptions_take_turns),
		TEST(frames_that_cannot_be_built),
		TEST(a_reader_goes_with_frames_queued),
		TEST(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
