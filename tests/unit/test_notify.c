/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/unit/log_capture.h"

static struct core core;
static struct lqos_ctx *ctx;
static struct core_notify *notify;
static char dir[] = "/tmp/lqos-notify-XXXXXX";
static char path[64];
static int systemd = -1; /* its end */

static int listen_at(const char *name, bool abstract)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, name, strlen(name) + 1);
	if (abstract)
		addr.sun_path[0] = '\0';
	else
		len++;
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	return fd;
}

/* The next datagram, or "". */
static const char *heard(void)
{
	static char buf[512];
	ssize_t n = recv(systemd, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/notify", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int setup(void **state)
{
	(void)state;
	memset(&core, 0, sizeof(core));
	log_capture();
	if (core_loop_new(&core.loop, &core) ||
	    core_ctx_new(&ctx, &core, "test", 0))
		return -1;
	systemd = listen_at(path, false);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return setenv("NOTIFY_SOCKET", path, 1);
}

static int teardown(void **state)
{
	(void)state;
	core_notify_free(&notify);
	core_ctx_free(&ctx);
	core_loop_free(&core.loop);
	core_log_sink(NULL, NULL);
	close(systemd);
	unlink(path);
	return 0;
}

static void stop(void *arg)
{
	core_loop_stop(arg);
}

static void run_ms(uint32_t ms)
{
	assert_int_equal(lqos_timer_once(ctx, ms, stop, core.loop, NULL), 0);
	assert_int_equal(core_loop_run(core.loop), 0);
}

static void states(void **state)
{
	char expected[256];

	(void)state;
	assert_int_equal(core_notify_new(&notify, &core), 0);
	assert_string_equal(heard(), "");
	core_notify_status(notify, "%d subscribers\nREADY=1", 7);
	assert_string_equal(heard(), "STATUS=7 subscribers READY=1");
	core_notify_ready(notify);
	assert_string_equal(heard(), "READY=1");
	core_notify_stopping(notify);
	assert_string_equal(heard(), "STOPPING=1");

	core_notify_status(notify, "%0300d", 0);
	memset(expected, '0', sizeof(expected));
	memcpy(expected, "STATUS=", 7);
	expected[255] = '\0';
	assert_string_equal(heard(), expected);

	run_ms(20);
	assert_string_equal(heard(), ""); /* no watchdog asked for */
	core_notify_free(&notify);
	assert_null(notify);
	core_notify_free(&notify);
}

static void abstract_socket(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@lqos-test-%d", (int)getpid());
	close(systemd);
	systemd = listen_at(name, true);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(core_notify_new(&notify, &core), 0);
	core_notify_ready(notify);
	assert_string_equal(heard(), "READY=1");
}

static void nobody_to_notify(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "2000", 1);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(core_notify_new(&notify, &core), 0);
	core_notify_ready(notify);
	core_notify_status(notify, "x");
	core_notify_stopping(notify);
	run_ms(20);
	core_notify_ready(NULL);
	assert_string_equal(heard(), "");
	assert_int_equal(captured.lines, 0);
	core_notify_free(&notify);

	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(core_notify_new(&notify, &core), 0);
	core_notify_ready(notify);
	assert_int_equal(captured.lines, 0);
}

static void bad_sockets_are_said(void **state)
{
	char too_long[200];
	const char *const bad[] = {"notify", "/", "@", too_long};

	(void)state;
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		log_capture();
		setenv("NOTIFY_SOCKET", bad[i], 1);
		assert_int_equal(core_notify_new(&notify, &core), 0);
		assert_true(log_has("$NOTIFY_SOCKET"));
		assert_true(log_has(bad[i]));
		core_notify_ready(notify);
		assert_int_equal(captured.lines, 1);
		core_notify_free(&notify);
	}
}

static void systemd_is_gone(void **state)
{
	(void)state;
	assert_int_equal(core_notify_new(&notify, &core), 0);
	close(systemd);
	unlink(path);
	systemd = -1;
	core_notify_ready(notify);
	assert_true(log_has("cannot send \"READY=1\" to systemd"));
	assert_true(log_has("No such file or directory"));
}

static void full_socket_does_not_block(void **state)
{
	(void)state;
	assert_int_equal(core_notify_new(&notify, &core), 0);
	/* Would hang here for ever; the kernel queues some ten of them. */
	for (int i = 0; i < 5000; i++)
		core_notify_ready(notify);
	assert_true(log_has("Resource temporarily unavailable"));
	assert_int_equal(captured.lines, 10); /* rate-limited */
}

static unsigned int watchdogs(void)
{
	unsigned int n = 0;

	while (!strcmp(heard(), "WATCHDOG=1"))
		n++;
	return n;
}

static void watchdog(void **state)
{
	unsigned int n = 0;
	char pid[32];

	(void)state;
	setenv("WATCHDOG_USEC", "40000", 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(core_notify_new(&notify, &core), 0);
	/* One in 20 ms: 7, fewer on a busy machine.  One in 40 would be 3. */
	for (int try = 0; try < 10 && n < 5; try++) {
		run_ms(150);
		n = watchdogs();
		assert_true(n <= 8);
	}
	assert_true(n >= 5);
	core_notify_free(&notify);
	run_ms(60);
	assert_int_equal(watchdogs(), 0);
}

static void watchdog_survives_the_end_of_the_loop(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "2000", 1);
	assert_int_equal(core_notify_new(&notify, &core), 0);
	core_ctx_release(ctx);
	core_loop_free(&core.loop);
	core_notify_stopping(notify);
	assert_string_equal(heard(), "STOPPING=1");
	core_notify_free(&notify);
}

static void watchdogs_that_are_not_ours(void **state)
{
	static const struct {
		const char *usec;
		const char *pid;
	} cases[] = {
		{"4000", "1"},
		{"0", NULL},
		{"", NULL},
		{"abc", NULL},
		{"-4000", NULL},
		{"99999999999999999999", NULL},
		{"4000", ""},
		{"4000", "x"},
		{"18446744073709551615", NULL}, /* fine, but not soon */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setenv("WATCHDOG_USEC", cases[i].usec, 1);
		if (cases[i].pid)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		else
			unsetenv("WATCHDOG_PID");
		assert_int_equal(core_notify_new(&notify, &core), 0);
		run_ms(20);
		assert_int_equal(watchdogs(), 0);
		core_notify_free(&notify);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(states),
		TEST(abstract_socket),
		TEST(nobody_to_notify),
		TEST(bad_sockets_are_said),
		TEST(systemd_is_gone),
		TEST(full_socket_does_not_block),
		TEST(watchdog),
		TEST(watchdog_survives_the_end_of_the_loop),
		TEST(watchdogs_that_are_not_ours),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
