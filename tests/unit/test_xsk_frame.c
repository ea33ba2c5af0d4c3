/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames and their owners, without a kernel: sizes that are refused before it
 * is asked, the pool, and a packet that grows and shrinks in its frame. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/xsk/parts.h"

enum { FRAMES = 8, SIZE = 2048, HEADROOM = 64, FIRST = 256 + HEADROOM };

static char why[256];

/* As lqos_umem_create() makes one, but for its memory. */
static struct umem {
	struct lqos_umem u;
	uint32_t pool[FRAMES];
	uint16_t held[FRAMES];
	uint8_t area[FRAMES * SIZE];
} made;
static struct lqos_umem *const umem = &made.u;

static int make(void **state)
{
	(void)state;
	memset(&made, 0, sizeof(made));
	umem->area = made.area;
	umem->frame_size = SIZE;
	umem->frames = FRAMES;
	umem->headroom = HEADROOM;
	umem->pool = made.pool;
	umem->held = made.held;
	LIST_INIT(&umem->ports);
	for (uint32_t i = 0; i < FRAMES; i++)
		umem->pool[umem->available++] = FRAMES - 1 - i;
	return 0;
}

/* ---- What is refused before the kernel is asked -------------------------- */

static void refused(const struct lqos_umem_options *options, const char *says)
{
	struct lqos_umem *none = NULL;

	why[0] = 0;
	assert_int_equal(lqos_umem_create(options, &none, why, sizeof(why)),
			 -EINVAL);
	assert_null(none);
	assert_non_null(strstr(why, says));
	/* Nobody has to ask why. */
	assert_int_equal(lqos_umem_create(options, &none, NULL, 0), -EINVAL);
}

/* Without the rights to make a socket that is all that may fail. */
static void accepted(const struct lqos_umem_options *options)
{
	struct lqos_umem *one = NULL;
	int rc = lqos_umem_create(options, &one, why, sizeof(why));

	if (rc)
		assert_non_null(strstr(why, "AF_XDP socket"));
	else
		assert_int_equal(lqos_umem_destroy(&one), 0);
}

static void test_ring_sizes(void **state)
{
	static const uint32_t bad[] = {
		3, 5, 2047, (1U << 20) + 1, 1U << 21, UINT32_MAX};
	static const uint32_t good[] = {0, 1, 2, 4, 2048};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(&(struct lqos_umem_options){.fill_size = bad[i]},
			"fill ring of");
		refused(&(struct lqos_umem_options){.comp_size = bad[i]},
			"completion ring of");
		assert_non_null(strstr(why, "power of two"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		accepted(&(struct lqos_umem_options){.frames = 4,
						     .fill_size = good[i],
						     .comp_size = good[i]});
}

static void test_frame_sizes(void **state)
{
	static const uint32_t bad[] = {1,    1024, 2047, 2049,
				       3000, 4097, 8192, UINT32_MAX};
	static const uint32_t good[] = {0, 2048, 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused(&(struct lqos_umem_options){.frame_size = bad[i]},
			"2048 or 4096");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		accepted(&(struct lqos_umem_options){.frame_size = good[i],
						     .frames = 4});
}

static void test_frame_numbers(void **state)
{
	(void)state;
	refused(&(struct lqos_umem_options){.frames = 1 << 20},
		"1048576 frames");
	refused(&(struct lqos_umem_options){.frames = UINT32_MAX,
					    .frame_size = 2048},
		"of 2048 bytes are possible");
	accepted(&(struct lqos_umem_options){.frames = 1});
	accepted(&(struct lqos_umem_options){.frames = 3, .frame_size = 2048});
}

static void test_headroom_too_large(void **state)
{
	(void)state;
	refused(&(struct lqos_umem_options){.frame_size = 2048,
					    .headroom = 1793},
		"headroom of 1793 is too large");
	refused(&(struct lqos_umem_options){.headroom = UINT32_MAX},
		"has 3840 at most");
}

static void test_mtu(void **state)
{
	(void)state;
	umem->headroom = 0;
	assert_int_equal(lqos_umem_mtu(umem), 1792);
	umem->headroom = 256;
	assert_int_equal(lqos_umem_mtu(umem), 1536);
}

/* ---- The pool ------------------------------------------------------------ */

static void test_addresses(void **state)
{
	struct lqos_xsk_frame frames[FRAMES];

	(void)state;
	for (uint32_t i = 0; i < FRAMES; i++) {
		assert_int_equal(lqos_umem_alloc(umem, &frames[i]), 0);
		assert_int_equal(frames[i].addr, i * SIZE + FIRST);
		assert_int_equal(frames[i].len, 0);
		assert_int_equal(frames[i].options, 0);
		assert_int_equal(lqos_xsk_headroom(umem, &frames[i]), FIRST);
		assert_int_equal(lqos_xsk_tailroom(umem, &frames[i]),
				 SIZE - FIRST);
		assert_ptr_equal(lqos_xsk_data(umem, &frames[i]),
				 made.area + i * SIZE + FIRST);
	}
}

static void test_dry(void **state)
{
	struct lqos_xsk_frame frames[FRAMES], none = {.addr = 1, .len = 2};

	(void)state;
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(lqos_umem_alloc(umem, &frames[i]), 0);
	assert_int_equal(lqos_umem_available(umem), 0);
	assert_int_equal(lqos_umem_alloc(umem, &none), -ENOBUFS);
	assert_int_equal(none.addr, 1);
	assert_int_equal(none.len, 2);
	assert_int_equal(lqos_umem_free(umem, frames, FRAMES), 0);
	assert_int_equal(lqos_umem_available(umem), FRAMES);
	assert_int_equal(lqos_umem_refused(umem), 0);
}

static void test_freed_twice(void **state)
{
	struct lqos_xsk_frame f[2];

	(void)state;
	assert_int_equal(lqos_umem_alloc(umem, &f[0]), 0);
	assert_int_equal(lqos_umem_free(umem, f, 1), 0);
	assert_int_equal(lqos_umem_free(umem, f, 1), -EINVAL);
	assert_int_equal(lqos_umem_available(umem), FRAMES);
	/* In one call too. */
	assert_int_equal(lqos_umem_alloc(umem, &f[0]), 0);
	f[1] = f[0];
	f[1].addr += 100;
	assert_int_equal(lqos_umem_free(umem, f, 2), -EINVAL);
	assert_int_equal(lqos_umem_available(umem), FRAMES);
	assert_int_equal(lqos_umem_refused(umem), 2);
	assert_int_equal(lqos_umem_free(umem, f, 0), 0);
}

static void test_foreign(void **state)
{
	static const uint64_t far[] = {FRAMES * SIZE, FRAMES * SIZE + FIRST,
				       1ULL << 32, UINT64_MAX};
	struct lqos_xsk_frame f[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		f[0] = (struct lqos_xsk_frame){.addr = far[i]};
		assert_int_equal(lqos_umem_free(umem, f, 1), -EINVAL);
	}
	/* Those that are the caller's go back nevertheless. */
	assert_int_equal(lqos_umem_alloc(umem, &f[0]), 0);
	assert_int_equal(lqos_umem_alloc(umem, &f[2]), 0);
	f[1] = (struct lqos_xsk_frame){.addr = 7 * SIZE};
	assert_int_equal(lqos_umem_free(umem, f, 3), -EINVAL);
	assert_int_equal(lqos_umem_available(umem), FRAMES);
	assert_int_equal(lqos_umem_refused(umem), ARRAY_SIZE(far) + 1);
}

/* What the kernel has is not to be freed. */
static void test_of_the_kernel(void **state)
{
	static const enum holder others[] = {HOLDER_PORT, HOLDER_TX};
	struct lqos_xsk_frame f;

	(void)state;
	assert_int_equal(lqos_umem_alloc(umem, &f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		umem->held[0] = held_by(others[i], 1);
		assert_int_equal(lqos_umem_free(umem, &f, 1), -EINVAL);
	}
	assert_int_equal(lqos_umem_available(umem), FRAMES - 1);
}

/* ---- A packet in its frame ----------------------------------------------- */

static uint8_t *written(struct lqos_xsk_frame *f, uint32_t n)
{
	uint8_t *data;

	assert_int_equal(lqos_umem_alloc(umem, f), 0);
	data = lqos_xsk_put(umem, f, n);
	assert_non_null(data);
	assert_int_equal(f->len, n);
	for (uint32_t i = 0; i < n; i++)
		data[i] = (uint8_t)i;
	return data;
}

static void check_bytes(const uint8_t *data, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(data[i], (uint8_t)i);
}

static void test_push(void **state)
{
	static const uint32_t more[] = {0, 1, 14, 28, 128, 256, FIRST};
	struct lqos_xsk_frame f, g;
	uint8_t *data = NULL, *front;

	(void)state;
	data = written(&f, 100);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		g = f;
		front = lqos_xsk_push(umem, &g, more[i]);
		assert_ptr_equal(front, data - more[i]);
		assert_int_equal(g.len, 100 + more[i]);
		memset(front, 0xee, more[i]);
		check_bytes(data, 100);
		assert_int_equal(lqos_xsk_headroom(umem, &g), FIRST - more[i]);
		assert_ptr_equal(lqos_xsk_pull(umem, &g, more[i]), data);
		assert_memory_equal(&f, &g, sizeof(f));
	}
	assert_null(lqos_xsk_push(umem, &g, FIRST + 1));
	assert_null(lqos_xsk_push(umem, &g, UINT32_MAX));
	assert_memory_equal(&f, &g, sizeof(f));
}

static void test_pull(void **state)
{
	struct lqos_xsk_frame f, g;
	uint8_t *data = written(&f, 100);

	(void)state;
	g = f;
	assert_null(lqos_xsk_pull(umem, &g, 101));
	assert_null(lqos_xsk_pull(umem, &g, UINT32_MAX));
	assert_memory_equal(&f, &g, sizeof(f));
	assert_ptr_equal(lqos_xsk_pull(umem, &g, 100), data + 100);
	assert_int_equal(g.len, 0);
	/* All of a full frame would leave it for the next one. */
	assert_int_equal(lqos_xsk_resize(umem, &f, SIZE - FIRST), 0);
	assert_null(lqos_xsk_pull(umem, &f, SIZE - FIRST));
	assert_non_null(lqos_xsk_pull(umem, &f, SIZE - FIRST - 1));
	assert_int_equal(f.addr / SIZE, g.addr / SIZE);
}

static void test_put(void **state)
{
	struct lqos_xsk_frame f;
	uint8_t *data = written(&f, 100);

	(void)state;
	assert_ptr_equal(lqos_xsk_put(umem, &f, 10), data + 100);
	assert_ptr_equal(lqos_xsk_put(umem, &f, 0), data + 110);
	assert_null(lqos_xsk_put(umem, &f, SIZE - FIRST - 110 + 1));
	assert_null(lqos_xsk_put(umem, &f, UINT32_MAX));
	assert_int_equal(f.len, 110);
	assert_non_null(lqos_xsk_put(umem, &f, SIZE - FIRST - 110));
	assert_int_equal(lqos_xsk_tailroom(umem, &f), 0);
	assert_null(lqos_xsk_put(umem, &f, 1));
	check_bytes(data, 100);
}

static void test_resize(void **state)
{
	struct lqos_xsk_frame f;
	uint8_t *data = written(&f, 100);

	(void)state;
	assert_int_equal(lqos_xsk_resize(umem, &f, 50), 0);
	assert_int_equal(f.len, 50);
	assert_int_equal(lqos_xsk_resize(umem, &f, 100), 0);
	check_bytes(data, 100);
	assert_int_equal(lqos_xsk_resize(umem, &f, SIZE - FIRST), 0);
	assert_int_equal(lqos_xsk_resize(umem, &f, SIZE - FIRST + 1),
			 -EMSGSIZE);
	assert_int_equal(lqos_xsk_resize(umem, &f, UINT32_MAX), -EMSGSIZE);
	assert_int_equal(f.len, SIZE - FIRST);
	check_bytes(data, 100);
	assert_int_equal(lqos_xsk_resize(umem, &f, 0), 0);
	assert_int_equal(f.len, 0);
}

/* A header in front of the packet, in place; the next frame is untouched. */
static void test_tunnel(void **state)
{
	enum { OUTER = 14 + 20 + 8 };
	struct lqos_xsk_frame f, next;
	uint8_t *inner = written(&f, SIZE - FIRST), *outer, *beside;

	(void)state;
	beside = written(&next, SIZE - FIRST);
	assert_null(lqos_xsk_put(umem, &f, 1));
	outer = lqos_xsk_push(umem, &f, OUTER);
	assert_ptr_equal(outer, inner - OUTER);
	memset(outer, 0xaa, OUTER);
	check_bytes(inner, SIZE - FIRST);
	check_bytes(beside, SIZE - FIRST);
	assert_int_equal(f.len, OUTER + SIZE - FIRST);
	assert_ptr_equal(lqos_xsk_pull(umem, &f, OUTER), inner);
	check_bytes(inner, SIZE - FIRST);
}

static void test_dump(void **state)
{
	struct lqos_xsk_frame f;
	uint8_t *data = written(&f, 18);
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	assert_non_null(stream);
	memcpy(data, "GET / HTTP/1.1\r\nX\xff", 18);
	lqos_xsk_dump(umem, &f, stream);
	f.len = 0;
	lqos_xsk_dump(umem, &f, stream);
	fclose(stream);
	assert_string_equal(
		text,
		"0000  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  "
		"GET / HTTP/1.1..\n"
		"0010  58 ff                                            X.\n");
	free(text);
}

#define CASE(test_) cmocka_unit_test_setup(test_, make)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ring_sizes),	  CASE(test_frame_sizes),
		CASE(test_frame_numbers), CASE(test_headroom_too_large),
		CASE(test_mtu),		  CASE(test_addresses),
		CASE(test_dry),		  CASE(test_freed_twice),
		CASE(test_foreign),	  CASE(test_of_the_kernel),
		CASE(test_push),	  CASE(test_pull),
		CASE(test_put),		  CASE(test_resize),
		CASE(test_tunnel),	  CASE(test_dump),
	};

	return cmocka_run_group_tests_name("xsk frames", tests, NULL, NULL);
}
