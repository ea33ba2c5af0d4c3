/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lqosctl capture makes of batches: in order, or refused as a whole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/capture/command.h"

enum { MS = 1000000 };

static struct capture_order order;
static union {
	struct capture_batch head; /* aligned */
	uint8_t bytes[CAPTURE_BATCH_MAX];
} batch;
static size_t len;

static void begin(int64_t offset)
{
	batch.head = (struct capture_batch){
		.version = CAPTURE_WIRE, .offset = offset, .dropped = 5};
	len = sizeof(batch.head);
}

static struct capture_record *put(uint64_t ts, uint32_t caplen)
{
	struct capture_record *record =
		(struct capture_record *)(batch.bytes + len);

	*record = (struct capture_record){
		.ts = ts, .len = 1500, .caplen = caplen};
	memset(record + 1, (int)(ts / MS), caplen);
	len += capture_record_size(caplen);
	batch.head.packets++;
	return record;
}

static int add(void)
{
	/* Of its own, so that what is behind it is not there. */
	void *copy = malloc(len ?: 1);
	int rc;

	memcpy(copy, batch.bytes, len);
	rc = capture_order_add(&order, copy, len);
	free(copy);
	return rc;
}

static int setup(void **state)
{
	(void)state;
	capture_order_init(&order);
	begin(0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	capture_order_clear(&order);
	assert_int_equal(order.bytes, 0);
	return 0;
}

/* The next that is taken, which is of that time; 0: none is. */
static void expect(bool all, uint64_t ts)
{
	struct capture_packet *packet = capture_order_take(&order, all);

	if (!ts) {
		assert_null(packet);
		return;
	}
	assert_non_null(packet);
	assert_int_equal(packet->record.ts, ts);
	for (uint32_t i = 0; i < packet->record.caplen; i++)
		assert_int_equal(packet->data[i], (uint8_t)(ts / MS));
	free(packet);
}

static void packets_of_two_cpus(void **state)
{
	static const int times[] = {100, 102, 101, 104, 103, 99};

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		put((uint64_t)times[i] * MS, 61 + (uint32_t)i);
	assert_int_equal(add(), 0);
	expect(false, 0);
	begin(0);
	put(122ULL * MS, 64);
	assert_int_equal(add(), 0);
	/* Those that nothing can be before any more. */
	expect(false, 99ULL * MS);
	expect(false, 100ULL * MS);
	expect(false, 101ULL * MS);
	expect(false, 0);
	expect(true, 102ULL * MS);
	expect(true, 103ULL * MS);
	expect(true, 104ULL * MS);
	expect(true, 122ULL * MS);
	expect(true, 0);
	assert_int_equal(order.late, 0);
}

static void one_that_is_late(void **state)
{
	(void)state;
	put(100ULL * MS, 64);
	assert_int_equal(add(), 0);
	expect(true, 100ULL * MS);
	begin(0);
	put(90ULL * MS, 64);
	put(110ULL * MS, 64);
	assert_int_equal(add(), 0);
	expect(true, 90ULL * MS);
	expect(true, 110ULL * MS);
	assert_int_equal(order.late, 1);
}

static void those_of_one_time_stay_as_they_came(void **state)
{
	struct capture_packet *packet;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		put(7ULL * MS, 16)->len = 100 + i;
	assert_int_equal(add(), 0);
	for (uint32_t i = 0; i < 3; i++) {
		packet = capture_order_take(&order, true);
		assert_int_equal(packet->record.len, 100 + i);
		free(packet);
	}
}

static void memory_has_a_limit(void **state)
{
	size_t n = 0;

	(void)state;
	while (order.bytes <= CAPTURE_HOLD_BYTES) {
		begin(0);
		put(MS + n++, 1000);
		assert_int_equal(add(), 0);
		assert_true(n < CAPTURE_HOLD_BYTES / 1000 + 2);
	}
	/* Though all of them are of one moment. */
	expect(false, MS);
	expect(false, 0);
}

static void times_of_the_wall(void **state)
{
	struct capture_packet *packet;

	(void)state;
	begin(-3 * MS);
	put(10ULL * MS, 0);
	assert_int_equal(add(), 0);
	assert_int_equal(order.head.dropped, 5);
	/* A step of the clock is in the batches behind it. */
	begin(1000LL * MS);
	put(11ULL * MS, 0);
	assert_int_equal(add(), 0);
	packet = capture_order_take(&order, true);
	assert_int_equal(packet->wall, 7 * MS);
	free(packet);
	packet = capture_order_take(&order, true);
	assert_int_equal(packet->wall, 1011 * MS);
	free(packet);
}

/* Nothing of it is taken, and not what it says of drops. */
static void refuse(void)
{
	order.head.dropped = 1;
	assert_int_equal(add(), -EPROTO);
	assert_true(TAILQ_EMPTY(&order.packets));
	assert_int_equal(order.head.dropped, 1);
	begin(0);
}

static void what_makes_no_sense(void **state)
{
	(void)state;
	assert_int_equal(add(), 0); /* no packets: it tells of drops */
	for (size_t cut = 0; cut < sizeof(batch.head); cut++) {
		begin(0);
		len = cut;
		refuse();
	}
	batch.head.version++;
	refuse();
	/* Cut off anywhere. */
	put(MS, 100);
	put(MS, 77);
	for (size_t whole = len; len > sizeof(batch.head) + 1;) {
		size_t cut = len - 1;

		begin(0);
		put(MS, 100);
		put(MS, 77);
		assert_int_equal(len, whole);
		len = cut;
		refuse();
		len = cut;
	}
	/* More or fewer than it says. */
	put(MS, 100);
	batch.head.packets++;
	refuse();
	put(MS, 100);
	batch.head.packets--;
	refuse();
	/* Longer than it is, and than anything. */
	put(MS, 100)->len = 99;
	refuse();
	put(MS, 100)->caplen = UINT32_MAX;
	refuse();
	put(MS, 100)->caplen = 1400;
	refuse();
	put(MS, 100)->caplen = CAPTURE_SNAPLEN_MAX + 1;
	refuse();
	/* What is behind the last is none. */
	put(MS, 100);
	len += 8;
	refuse();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_of_two_cpus),
		TEST(one_that_is_late),
		TEST(those_of_one_time_stay_as_they_came),
		TEST(memory_has_a_limit),
		TEST(times_of_the_wall),
		TEST(what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
