/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The part under test is compiled in here, so that its memory can run out. */
static int calloc_left = -1; /* -1: no end */

static void *failing_calloc(size_t n, size_t size)
{
	if (!calloc_left)
		return NULL;
	if (calloc_left > 0)
		calloc_left--;
	return (calloc)(n, size);
}
#define calloc(n, size) failing_calloc(n, size)
#include "core/ctx.c"
#undef calloc

static char order[32];

/* obj is a letter: what was released, in order. */
static void note(void *obj)
{
	size_t len = strlen(order);

	assert_true(len < sizeof(order) - 1);
	order[len] = *(const char *)obj;
}

static int setup(void **state)
{
	struct lqos_ctx *ctx;

	memset(order, 0, sizeof(order));
	calloc_left = -1;
	if (core_ctx_new(&ctx, NULL, "test", 3))
		return -1;
	*state = ctx;
	return 0;
}

static int teardown(void **state)
{
	struct lqos_ctx *ctx = *state;

	core_ctx_free(&ctx);
	assert_null(ctx);
	return 0;
}

static void new_context(void **state)
{
	struct core core = {0};
	struct lqos_ctx *ctx;
	char name[] = "steering";

	(void)state;
	assert_int_equal(core_ctx_new(&ctx, &core, name, 7), 0);
	name[0] = 'X';
	assert_string_equal(ctx->name, "steering");
	assert_ptr_equal(ctx->core, &core);
	assert_int_equal(ctx->index, 7);
	assert_null(ctx->owned);
	assert_false(ctx->releasing);
	core_ctx_free(&ctx);
	core_ctx_free(&ctx); /* NULL by now */
}

static void new_context_without_memory(void **state)
{
	struct lqos_ctx *untouched = (void *)0x1;

	(void)state;
	calloc_left = 0;
	assert_int_equal(core_ctx_new(&untouched, NULL, "x", 0), -ENOMEM);
	assert_ptr_equal(untouched, (void *)0x1);
	calloc_left = -1;
}

static void newest_first(void **state)
{
	struct lqos_ctx *ctx = *state;

	assert_int_equal(core_own(ctx, note, "a", NULL), 0);
	assert_int_equal(lqos_defer(ctx, note, "b"), 0);
	assert_int_equal(core_own(ctx, note, "c", NULL), 0);
	assert_string_equal(order, "");
	core_ctx_release(ctx);
	assert_string_equal(order, "cba");
	core_ctx_release(ctx); /* nothing left */
	assert_string_equal(order, "cba");

	assert_int_equal(lqos_defer(ctx, note, "d"), 0);
	core_ctx_release(ctx);
	assert_string_equal(order, "cbad");
}

static void free_releases(void **state)
{
	struct lqos_ctx *ctx;

	(void)state;
	assert_int_equal(core_ctx_new(&ctx, NULL, "x", 0), 0);
	assert_int_equal(lqos_defer(ctx, note, "a"), 0);
	core_ctx_free(&ctx);
	assert_string_equal(order, "a");
}

static void disowned_is_not_released(void **state)
{
	struct lqos_ctx *ctx = *state;
	struct core_owned *receipts[4];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(core_own(ctx, note, &"abcd"[i], &receipts[i]),
				 0);
	core_disown(ctx, &receipts[1]); /* in the middle */
	assert_null(receipts[1]);
	core_disown(ctx, &receipts[1]);
	core_disown(ctx, &receipts[3]); /* the newest */
	core_ctx_release(ctx);
	assert_string_equal(order, "ca");

	assert_int_equal(core_own(ctx, note, "e", &receipts[0]), 0);
	assert_int_equal(core_own(ctx, note, "f", NULL), 0);
	core_disown(ctx, &receipts[0]); /* the oldest */
	core_ctx_release(ctx);
	assert_string_equal(order, "caf");
}

static void out_of_memory_releases_at_once(void **state)
{
	struct lqos_ctx *ctx = *state;
	struct core_owned *untouched = (void *)0x1;

	calloc_left = 0;
	assert_int_equal(core_own(ctx, note, "a", &untouched), -ENOMEM);
	assert_ptr_equal(untouched, (void *)0x1);
	assert_int_equal(lqos_defer(ctx, note, "b"), -ENOMEM);
	assert_string_equal(order, "ab");
	calloc_left = -1;
	core_ctx_release(ctx);
	assert_string_equal(order, "ab"); /* not a second time */
}

/* What a release() does to its context while it runs. */
struct act {
	struct lqos_ctx *ctx;
	struct core_owned *receipt;
};

static void register_more(void *obj)
{
	struct act *act = obj;

	note("m");
	assert_true(act->ctx->releasing);
	assert_int_equal(lqos_defer(act->ctx, note, "n"), 0);
}

static void release_may_register(void **state)
{
	struct act act = {.ctx = *state};

	assert_int_equal(lqos_defer(act.ctx, note, "a"), 0);
	assert_int_equal(lqos_defer(act.ctx, register_more, &act), 0);
	core_ctx_release(act.ctx);
	assert_string_equal(order, "mna");
	assert_false(act.ctx->releasing);
}

static void disown_receipt(void *obj)
{
	struct act *act = obj;

	note("d");
	core_disown(act->ctx, &act->receipt);
}

static void release_may_disown_another(void **state)
{
	struct act act = {.ctx = *state};

	assert_int_equal(lqos_defer(act.ctx, note, "a"), 0);
	assert_int_equal(core_own(act.ctx, note, "b", &act.receipt), 0);
	assert_int_equal(lqos_defer(act.ctx, note, "c"), 0);
	assert_int_equal(lqos_defer(act.ctx, disown_receipt, &act), 0);
	core_ctx_release(act.ctx);
	assert_string_equal(order, "dca");
}

static void release_may_disown_itself(void **state)
{
	struct act act = {.ctx = *state};

	assert_int_equal(lqos_defer(act.ctx, note, "a"), 0);
	assert_int_equal(core_own(act.ctx, disown_receipt, &act, &act.receipt),
			 0);
	core_ctx_release(act.ctx);
	assert_null(act.receipt);
	assert_string_equal(order, "da");
}

static void release_rest(void *obj)
{
	struct act *act = obj;

	note("r");
	core_ctx_release(act->ctx);
	assert_true(act->ctx->releasing);
}

static void release_may_release(void **state)
{
	struct act act = {.ctx = *state};

	assert_int_equal(lqos_defer(act.ctx, note, "a"), 0);
	assert_int_equal(lqos_defer(act.ctx, note, "b"), 0);
	assert_int_equal(lqos_defer(act.ctx, release_rest, &act), 0);
	core_ctx_release(act.ctx);
	assert_string_equal(order, "rba");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_context),
		TEST(new_context_without_memory),
		TEST(newest_first),
		TEST(free_releases),
		TEST(disowned_is_not_released),
		TEST(out_of_memory_releases_at_once),
		TEST(release_may_register),
		TEST(release_may_disown_another),
		TEST(release_may_disown_itself),
		TEST(release_may_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
