/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What modules offer each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "core/core.h"
#include "tests/unit/log_capture.h"

static struct core core;
static struct lqos_ctx *giver, *taker;
static const int thing, other;

static int setup(void **state)
{
	(void)state;
	core = (struct core){};
	return core_ctx_new(&giver, &core, "giver", 1)
		       ?: core_ctx_new(&taker, &core, "taker", 2);
}

static int teardown(void **state)
{
	(void)state;
	core_ctx_free(&taker);
	core_ctx_free(&giver);
	return 0;
}

static void offered_is_found(void **state)
{
	(void)state;
	assert_null(lqos_service(taker, "thing"));
	assert_int_equal(lqos_service_add(giver, "thing", &thing), 0);
	assert_ptr_equal(lqos_service(taker, "thing"), &thing);
	assert_null(lqos_service(taker, "thin"));
	assert_null(lqos_service(taker, "things"));
}

static void one_name_one_service(void **state)
{
	(void)state;
	assert_int_equal(lqos_service_add(giver, "thing", &thing), 0);
	log_capture();
	assert_int_equal(lqos_service_add(taker, "thing", &other), -EEXIST);
	assert_true(log_has("service thing: another module has it"));
	assert_ptr_equal(lqos_service(taker, "thing"), &thing);
	assert_int_equal(lqos_service_add(taker, "other", &other), 0);
	assert_ptr_equal(lqos_service(giver, "other"), &other);
}

static void gone_with_its_module(void **state)
{
	(void)state;
	assert_int_equal(lqos_service_add(giver, "thing", &thing), 0);
	core_ctx_release(giver);
	assert_null(lqos_service(taker, "thing"));
	assert_int_equal(lqos_service_add(taker, "thing", &other), 0);
	assert_ptr_equal(lqos_service(giver, "thing"), &other);
}

static void a_context_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(lqos_module_name(giver), "giver");
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offered_is_found),
		TEST(one_name_one_service),
		TEST(gone_with_its_module),
		TEST(a_context_has_a_name),
	};

	return cmocka_run_group_tests_name("services", tests, NULL, NULL);
}
