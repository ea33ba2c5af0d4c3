/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets and programs that cannot be had, and what is said of it. */
#include "tests/bpf/xsk_fixture.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Sockets that cannot be had ------------------------------------------ */

static void test_second_umem(void **state)
{
	struct lqos_xsk_options o = {.patience_ms = 200};
	struct lqos_umem *umem = xsk_umem_small(), *other = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL);
	struct lqos_xsk_frame f;
	uint64_t began = xsk_now_ms();

	(void)state;
	xsk_cannot_open(other, NEAR, 0, &o, -EBUSY, "has that queue");
	assert_in_range(xsk_now_ms() - began, 200, LONG_MS);
	assert_int_equal(lqos_umem_alloc(other, &f), 0);
	assert_int_equal(lqos_umem_free(other, &f, 1), 0);
	/* The first one's works as before; then it is the second's turn. */
	xsk_send(xsk, 3);
	xsk_reaped(xsk, 3);
	lqos_xsk_close(&xsk);
	xsk = xsk_socket_on(other, NEAR, NULL);
	xsk_send(xsk, 3);
	xsk_reaped(xsk, 3);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
	xsk_umem_gone(&other);
}

static void test_no_such_queue(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk *xsk;

	(void)state;
	xsk_cannot_open(umem, NEAR, 7, NULL, -EINVAL, "queue 7");
	xsk_says("Invalid argument");
	xsk_cannot_open(umem, NEAR, UINT32_MAX, NULL, -EINVAL,
			"queue 4294967295");
	xsk_cannot_open(umem, "lqnothere", 3, NULL, -ENODEV, "queue 3");
	xsk_cannot_open(umem, "a-name-longer-than-any", 0, NULL, -ENODEV,
			"no interface");
	xsk_cannot_open(umem, "", 0, NULL, -ENODEV, "no interface");
	/* With a socket on another queue, that lives on. */
	xsk = xsk_socket_on(umem, NEAR, NULL);
	xsk_cannot_open(umem, NEAR, 7, NULL, -EINVAL, "queue 7");
	xsk_send(xsk, 3);
	xsk_reaped(xsk, 3);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

static void test_zero_copy(void **state)
{
	struct lqos_umem *umem = xsk_umem_small();
	struct lqos_xsk_options o = {.copy = LQOS_XSK_ZEROCOPY};
	struct lqos_xsk *xsk;

	(void)state;
	xsk_cannot_open(umem, NEAR, 0, &o, -EOPNOTSUPP, "has no zero-copy");
	xsk_says("choose copy");
	/* Neither has a queue that another socket has without. */
	xsk = xsk_socket_on(umem, NEAR, NULL);
	xsk_cannot_open(umem, NEAR, 0, &o, -EOPNOTSUPP, "has no zero-copy");
	lqos_xsk_close(&xsk);
	o.copy = LQOS_XSK_COPY_AUTO;
	xsk = xsk_socket_on(umem, NEAR, &o);
	assert_false(lqos_xsk_is_zerocopy(xsk));
	lqos_xsk_close(&xsk);
	o.copy = LQOS_XSK_COPY;
	xsk = xsk_socket_on(umem, NEAR, &o);
	assert_false(lqos_xsk_is_zerocopy(xsk));
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
}

/* ---- Programs that cannot be had ----------------------------------------- */

static void no_hook(const char *interface, enum lqos_xsk_mode mode, int rc,
		    const char *says)
{
	struct lqos_xsk_hook *none = NULL;
	int fds = xsk_open_fds(), got;

	got = lqos_xsk_hook_open(interface, mode, false, &none, xsk_why,
				 sizeof(xsk_why));
	if (rc)
		assert_int_equal(got, rc);
	assert_in_range(-got, 1, 4095);
	assert_null(none);
	xsk_says(interface);
	xsk_says(says);
	assert_int_equal(xsk_open_fds(), fds);
}

static void falls_back(const char *interface)
{
	struct lqos_xsk_hook *hook = NULL;

	no_hook(interface, LQOS_XSK_NATIVE, 0, "try generic");
	xsk_says("in its driver");
	xsk_ok(lqos_xsk_hook_open(interface, LQOS_XSK_MODE_AUTO, false, &hook,
				  xsk_why, sizeof(xsk_why)));
	assert_false(lqos_xsk_hook_is_native(hook));
	lqos_xsk_hook_close(&hook);
}

static void test_mode(void **state)
{
	struct lqos_xsk_hook *hook = NULL;

	(void)state;
	no_hook("lqnothere", LQOS_XSK_MODE_AUTO, -ENODEV, "no interface");
	falls_back("lo");
	/* The driver takes no program when packets do not fit in a page. */
	xsk_ip("link set " NEAR " mtu 9000");
	xsk_ip("link set " FAR " mtu 9000");
	falls_back(NEAR);
	xsk_ip("link set " NEAR " mtu 1500");
	xsk_ip("link set " FAR " mtu 1500");
	xsk_ok(lqos_xsk_hook_open(NEAR, LQOS_XSK_MODE_AUTO, false, &hook,
				  xsk_why, sizeof(xsk_why)));
	assert_true(lqos_xsk_hook_is_native(hook));
	lqos_xsk_hook_close(&hook);
}

/* Whose program is there is not pushed aside, in any mode. */
static void test_another_program(void **state)
{
	static const enum lqos_xsk_mode modes[] = {
		LQOS_XSK_MODE_AUTO, LQOS_XSK_NATIVE, LQOS_XSK_GENERIC};
	struct lqos_xsk_hook *hook = NULL;

	(void)state;
	xsk_ok(lqos_xsk_hook_open(NEAR, xsk_mode, false, &hook, xsk_why,
				  sizeof(xsk_why)));
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		no_hook(NEAR, modes[i], -EBUSY, "it has another program");
	lqos_xsk_hook_close(&hook);
}

/* Who failed is told by the one line he asked for; nothing is printed. */
static void test_silence(void **state)
{
	struct lqos_xsk_options zero_copy = {.copy = LQOS_XSK_ZEROCOPY};
	struct lqos_xsk_options hasty = {.patience_ms = 1};
	struct lqos_umem *umem = xsk_umem_small(), *other = xsk_umem_small();
	struct lqos_xsk *xsk = xsk_socket_on(umem, NEAR, NULL), *none = NULL;
	autoclose int file = memfd_create("stderr", MFD_CLOEXEC);
	autoclose int saved = dup(STDERR_FILENO);
	struct lqos_xsk_hook *hook = NULL, *no = NULL;
	struct stat st;
	int rcs[6];

	(void)state;
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	rcs[0] = lqos_xsk_open(other, NEAR, 0, &hasty, &none, NULL, 0);
	rcs[1] = lqos_xsk_open(other, NEAR, 7, NULL, &none, NULL, 0);
	rcs[2] = lqos_xsk_open(other, FAR, 0, &zero_copy, &none, NULL, 0);
	rcs[3] = lqos_xsk_hook_open("lo", LQOS_XSK_NATIVE, false, &no, NULL, 0);
	rcs[4] = lqos_xsk_hook_open(NEAR, xsk_mode, true, &hook, NULL, 0);
	rcs[5] = lqos_xsk_hook_open(NEAR, xsk_mode, false, &no, NULL, 0);
	lqos_xsk_hook_close(&hook);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	assert_int_equal(rcs[0], -EBUSY);
	assert_int_equal(rcs[1], -EINVAL);
	assert_int_equal(rcs[2], -EOPNOTSUPP);
	assert_int_not_equal(rcs[3], 0);
	assert_int_equal(rcs[4], 0);
	assert_int_equal(rcs[5], -EBUSY);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, 0);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
	xsk_umem_gone(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		XSK_BOTH(test_second_umem),	XSK_BOTH(test_no_such_queue),
		XSK_BOTH(test_zero_copy),	XSK_BOTH(test_mode),
		XSK_BOTH(test_another_program), XSK_BOTH(test_silence),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk refused", tests,
						xsk_namespace, NULL);
}
