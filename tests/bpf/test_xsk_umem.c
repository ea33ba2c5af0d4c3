/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A UMEM as the kernel takes it: its memory, its limits, and who may end it. */
#include "tests/bpf/xsk_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static const char pages_file[] = "/proc/sys/vm/nr_hugepages";

/* ---- Memory -------------------------------------------------------------- */

static void test_default(void **state)
{
	struct lqos_umem *umem = NULL;

	(void)state;
	xsk_ok(lqos_umem_create(NULL, &umem, xsk_why, sizeof(xsk_why)));
	assert_int_equal(lqos_umem_frames(umem), 4096);
	assert_int_equal(lqos_umem_available(umem), 4096);
	assert_int_equal(lqos_umem_mtu(umem), 3840);
	assert_false(lqos_umem_is_huge(umem));
	assert_int_equal((uintptr_t)umem->area % sysconf(_SC_PAGESIZE), 0);
	xsk_umem_gone(&umem);
}

/* It can all be written, and stays as it was. */
static void test_writes_persist(void **state)
{
	struct lqos_umem *umem =
		xsk_umem_of(&(struct lqos_umem_options){.frame_size = 2048});
	struct lqos_xsk_frame frames[SMALL];
	uint32_t i;

	(void)state;
	for (i = 0; i < SMALL; i++) {
		assert_int_equal(lqos_umem_alloc(umem, &frames[i]), 0);
		memset(lqos_xsk_put(umem, &frames[i], 1792), (int)i, 1792);
		memset(lqos_xsk_push(umem, &frames[i], 256), (int)~i, 256);
	}
	for (i = 0; i < SMALL; i++) {
		const uint8_t *data = lqos_xsk_data(umem, &frames[i]);

		assert_int_equal(data[0], (uint8_t)~i);
		assert_int_equal(data[255], (uint8_t)~i);
		assert_int_equal(data[256], i);
		assert_int_equal(data[2047], i);
	}
	xsk_balanced(umem);
	assert_int_equal(lqos_umem_free(umem, frames, SMALL), 0);
	xsk_umem_gone(&umem);
}

/* What the kernel alone knows to be too much is called by its name. */
static void test_headroom_limit(void **state)
{
	struct lqos_umem_options o = {.frame_size = 2048, .frames = 4};
	struct lqos_umem *umem = NULL;
	uint32_t least = 0, most = 1792, fds = xsk_open_fds();
	int rc;

	(void)state;
	while (most - least > 1) {
		o.headroom = (least + most) / 2;
		rc = lqos_umem_create(&o, &umem, xsk_why, sizeof(xsk_why));
		if (!rc) {
			assert_int_equal(lqos_umem_mtu(umem),
					 2048 - 256 - o.headroom);
			xsk_umem_gone(&umem);
			least = o.headroom;
			continue;
		}
		assert_int_equal(rc, -EINVAL);
		assert_null(umem);
		xsk_says("too large");
		xsk_says("headroom of ");
		most = o.headroom;
	}
	assert_in_range(least, 512, 1791);
	assert_int_equal(xsk_open_fds(), fds);
}

static int pages_read(void)
{
	autofclose FILE *f = fopen(pages_file, "re");
	int n = -1;

	return f && fscanf(f, "%d", &n) == 1 ? n : -1;
}

static bool pages_write(int n)
{
	autofclose FILE *f = fopen(pages_file, "we");

	return f && fprintf(f, "%d\n", n) > 0 && !fflush(f);
}

static int pages_before = -1, pages_lock = -1;

/* One of these at a time, or some would stay. */

static int keep_pages(void **state)
{
	(void)state;
	pages_lock = open(pages_file, O_RDONLY | O_CLOEXEC);
	if (pages_lock >= 0 && flock(pages_lock, LOCK_EX))
		return -errno;
	pages_before = pages_read();
	return 0;
}

static int restore_pages(void **state)
{
	(void)state;
	if (pages_before >= 0 && pages_read() != pages_before)
		pages_write(pages_before);
	if (pages_lock >= 0)
		close(steal_fd(&pages_lock));
	return 0;
}

/* More than there is, whatever others do with theirs. */
static void test_huge_refused(void **state)
{
	struct lqos_umem_options o = {.frames = 1 << 19};
	struct lqos_umem *umem = NULL;

	(void)state;
	o.huge = LQOS_XSK_HUGE_MUST;
	assert_int_equal(lqos_umem_create(&o, &umem, xsk_why, sizeof(xsk_why)),
			 -ENOMEM);
	assert_null(umem);
	xsk_says("no 1024 huge pages of 2 MiB");
	xsk_says("vm.nr_hugepages");
}

static void test_huge_not_found(void **state)
{
	struct lqos_umem_options o = {.frames = 1024,
				      .huge = LQOS_XSK_HUGE_TRY};
	struct lqos_umem *umem;

	(void)state;
	if (pages_before)
		skip(); /* somebody made some */
	umem = xsk_umem_of(&o);
	assert_false(lqos_umem_is_huge(umem));
	xsk_umem_gone(&umem);
}

/* Odd sizes take whole pages.  The kernel gives them back some time later. */
static void test_huge(void **state)
{
	struct lqos_umem_options o = {.frames = 513,
				      .huge = LQOS_XSK_HUGE_MUST};
	struct lqos_umem *umem;
	struct lqos_xsk *xsk;

	(void)state;
	if (pages_before < 0 || !pages_write(pages_before + 8) ||
	    pages_read() < pages_before + 8) {
		print_message("# no huge pages can be had here\n");
		skip();
	}
	for (int i = 0; i < 3; i++) {
		umem = xsk_umem_of(&o);
		assert_true(lqos_umem_is_huge(umem));
		assert_int_equal((uintptr_t)umem->area % (2 << 20), 0);
		xsk = xsk_socket_on(umem, "lo", NULL);
		assert_int_equal(lqos_xsk_refill(xsk), SMALL);
		lqos_xsk_close(&xsk);
		xsk_umem_gone(&umem);
	}
	o.huge = LQOS_XSK_HUGE_TRY;
	umem = xsk_umem_of(&o);
	assert_true(lqos_umem_is_huge(umem));
	xsk_umem_gone(&umem);
}

/* ---- Rights -------------------------------------------------------------- */

/* Says in why what an unprivileged process is told. */
static void test_no_rights(void **state)
{
	struct lqos_umem *umem = NULL;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		int rc = setresuid(65534, 65534, 65534)
				 ?: lqos_umem_create(NULL, &umem, xsk_why,
						     sizeof(xsk_why));

		if (write(pipes[1], xsk_why, sizeof(xsk_why)) < 0)
			rc = 0;
		_exit(rc == -EPERM && !umem ? 0 : 1);
	}
	n = read(pipes[0], xsk_why, sizeof(xsk_why));
	assert_int_equal(n, sizeof(xsk_why));
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	xsk_says("CAP_NET_RAW");
}

/* ---- The end ------------------------------------------------------------- */

static void test_destroyed_in_use(void **state)
{
	struct lqos_umem *umem = xsk_umem_small(), *same = umem;
	struct lqos_xsk *xsk = xsk_socket_on(umem, "lo", NULL);
	struct lqos_xsk_frame frames[4];

	(void)state;
	assert_int_equal(lqos_xsk_refill(xsk), SMALL);
	assert_int_equal(lqos_umem_destroy(&umem), -EBUSY);
	assert_ptr_equal(umem, same);
	/* It is as it was. */
	xsk_balanced(umem);
	assert_int_equal(lqos_xsk_rx(xsk, frames, 4), 0);
	lqos_xsk_close(&xsk);
	lqos_xsk_close(&xsk);
	xsk_umem_gone(&umem);
	assert_int_equal(lqos_umem_destroy(&umem), 0);
}

static void test_headers_and_kernel_agree(void **state)
{
	(void)state;
	assert_int_equal(LQOS_XSK_CONTINUES, XDP_PKT_CONTD);
	assert_int_equal(sizeof(struct lqos_xsk_frame),
			 sizeof(struct xdp_desc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_writes_persist),
		cmocka_unit_test(test_headroom_limit),
		cmocka_unit_test_setup_teardown(test_huge_refused, keep_pages,
						restore_pages),
		cmocka_unit_test_setup_teardown(test_huge_not_found, keep_pages,
						restore_pages),
		cmocka_unit_test_setup_teardown(test_huge, keep_pages,
						restore_pages),
		cmocka_unit_test(test_no_rights),
		cmocka_unit_test(test_destroyed_in_use),
		cmocka_unit_test(test_headers_and_kernel_agree),
	};
	int rc = xsk_skip();

	return rc ? rc
		  : cmocka_run_group_tests_name("xsk umem", tests,
						xsk_namespace, NULL);
}
