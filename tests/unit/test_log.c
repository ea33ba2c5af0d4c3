/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/unit/log_capture.h"

/* The C library's, with a clock that can be put forward. */
static long clock_ahead_s;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += clock_ahead_s;
	return rc;
}

static int setup(void **state)
{
	(void)state;
	core_log_setup("info", 0);
	log_capture();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_log_sink(NULL, NULL);
	return 0;
}

/* Which levels of who come through: bits. */
static unsigned int levels_of(const char *who)
{
	unsigned int bits = 0;

	for (enum lqos_level level = LQOS_ERR; level <= LQOS_DEBUG; level++) {
		log_capture();
		core_log(who, level, "x");
		if (captured.lines) {
			assert_int_equal(captured.level, level);
			bits |= 1U << level;
		}
	}
	return bits;
}

enum { ERR = 1, WARN = 3, INFO = 7, DEBUG = 15 };

static void levels(void **state)
{
	static const struct {
		const char *spec;
		unsigned int verbose;
		unsigned int steering;
		unsigned int other;
	} cases[] = {
		{"error", 0, ERR, ERR},
		{"warning", 0, WARN, WARN},
		{"info", 0, INFO, INFO},
		{"debug", 0, DEBUG, DEBUG},
		{"info,steering:debug", 0, DEBUG, INFO},
		{"info,steering:error,flow:debug", 0, ERR, INFO},
		{"info, steering:error", 0, ERR, INFO},
		{"warning,steering:error", 1, WARN, INFO},
		{"info", 1, DEBUG, DEBUG},
		{"error", 2, INFO, INFO},
		{"error", 3, DEBUG, DEBUG},
		{"debug", 3, DEBUG, DEBUG},
		{"error", 4000000000, DEBUG, DEBUG},
		{"warning", UINT_MAX, DEBUG, DEBUG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			core_log_setup(cases[i].spec, cases[i].verbose), 0);
		assert_int_equal(levels_of("steering"), cases[i].steering);
		assert_int_equal(levels_of("pping"), cases[i].other);
	}
}

static void bad_specs_change_nothing(void **state)
{
	static const char *const bad[] = {
		"",
		"loud",
		"inf",
		"infox",
		"info,",
		"info,steering",
		"info,steering:",
		"info,steering:loud",
		"info,:debug",
		"steering:debug",
		"info,steering:debug,",
		"info,a,b:debug",
		"info,a_name_that_no_module_can_have_at_all:debug",
	};

	(void)state;
	assert_int_equal(core_log_setup("warning,steering:debug", 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(core_log_setup(bad[i], 0), -EINVAL);
	assert_int_equal(levels_of("steering"), DEBUG);
	assert_int_equal(levels_of("pping"), WARN);
}

static void one_event_one_line(void **state)
{
	struct lqos_ctx ctx = {.name = "steering"};

	(void)state;
	core_log("bus", LQOS_INFO, "%s", "a\nb\r\n\tc\x1b[31m\x7f\n\n");
	assert_string_equal(captured.text, "bus: a b   c?[31m?\n");

	log_capture();
	lqos_log(&ctx, LQOS_WARN, "queue %d of %s", 3, "eth0");
	assert_string_equal(captured.text, "steering: queue 3 of eth0\n");
	assert_int_equal(captured.level, LQOS_WARN);

	log_capture();
	core_log(NULL, LQOS_INFO, "%s", "");
	assert_string_equal(captured.text, "lqosd: \n");
}

static void errno_survives(void **state)
{
	(void)state;
	errno = ENOENT;
	core_log("bus", LQOS_ERR, "open: %m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(captured.text,
			    "bus: open: No such file or directory\n");

	log_capture();
	errno = EBUSY;
	core_fail("bus", -EPERM, "%m");
	assert_int_equal(errno, EBUSY);
	assert_string_equal(captured.text, "bus: Device or resource busy: "
					   "Operation not permitted\n");
}

static void clobber_errno(enum lqos_level level, const char *line, void *arg)
{
	errno = EIO;
	log_capture_line(level, line, arg);
}

/* %m is the caller's error, whatever was done on the way to its text. */
static void errno_is_the_callers(void **state)
{
	(void)state;
	errno = EBUSY;
	core_fail("bus", -4999, "%m"); /* unknown to libbpf, which sets errno */
	assert_true(log_has("bus: Device or resource busy: "));

	core_log_sink(clobber_errno, NULL);
	for (int i = 0; i < 11; i++)
		core_log("flow", LQOS_INFO, "again");
	clock_ahead_s += 6;
	errno = EBUSY;
	core_log("bus", LQOS_INFO, "%m"); /* says what was suppressed first */
	assert_int_equal(errno, EBUSY);
	assert_true(log_has("suppressed 1 messages like this: again\n"
			    "bus: Device or resource busy\n"));
}

static void fail_appends_the_reason(void **state)
{
	struct lqos_ctx ctx = {.name = "steering"};

	(void)state;
	assert_int_equal(core_fail("bus", -ENOENT, "cannot open %s", "/x"),
			 -ENOENT);
	assert_string_equal(captured.text,
			    "bus: cannot open /x: No such file or directory\n");
	assert_int_equal(captured.level, LQOS_ERR);

	log_capture();
	assert_int_equal(lqos_fail(&ctx, -EBUSY, "eth0"), -EBUSY);
	assert_string_equal(captured.text,
			    "steering: eth0: Device or resource busy\n");

	log_capture();
	core_fail("bus", -LIBBPF_ERRNO__VERIFY, "load");
	assert_true(log_has("load: Kernel verifier blocks program loading"));
}

static void long_messages_are_cut_before_the_reason(void **state)
{
	char text[20000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	core_log("bus", LQOS_INFO, "%s", text);
	assert_in_range(captured.len, 8000, 8300);
	assert_true(log_has("xxx...\n"));

	log_capture();
	core_fail("bus", -ENOENT, "%s", text);
	assert_in_range(captured.len, 8000, 8300);
	assert_true(log_has("xxx...: No such file or directory\n"));

	/* A name of any length, too. */
	log_capture();
	core_log(text, LQOS_INFO, "hello");
	assert_true(log_has("x: hello\n"));
	assert_in_range(captured.len, 10, 100);
}

/* One call site. */
static void complain(const char *who, int i)
{
	core_log(who, LQOS_WARN, "bad packet %d", i);
}

static void rate_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 25; i++)
		complain("flow", i);
	assert_int_equal(captured.lines, 10);
	assert_true(log_has("flow: bad packet 9\n"));
	assert_false(log_has("packet 10"));

	/* Others have limits of their own. */
	complain("pping", 100);
	core_log("flow", LQOS_WARN, "something else");
	assert_true(log_has("pping: bad packet 100\n"));
	assert_true(log_has("flow: something else\n"));

	/* Not over yet. */
	core_log_flush(false);
	assert_int_equal(captured.lines, 12);

	clock_ahead_s += 6;
	core_log_flush(false);
	assert_int_equal(captured.lines, 13);
	assert_true(log_has("flow: suppressed 15 messages like this: "
			    "bad packet 10\n"));
	assert_int_equal(captured.level, LQOS_WARN);
	core_log_flush(true);
	assert_int_equal(captured.lines, 13); /* once */

	log_capture();
	for (int i = 0; i < 11; i++)
		complain("flow", i);
	assert_int_equal(captured.lines, 10);
}

static void suppression_is_said_by_the_next_message(void **state)
{
	(void)state;
	for (int i = 0; i < 13; i++)
		complain("flow", i);
	clock_ahead_s += 6;
	core_log("bus", LQOS_INFO, "hello");
	assert_int_equal(captured.lines, 12);
	assert_true(log_has("suppressed 3 messages like this: bad packet 10\n"
			    "bus: hello\n"));

	log_capture();
	for (int i = 0; i < 12; i++)
		complain("flow", i);
	clock_ahead_s += 6;
	complain("flow", 77);
	assert_true(log_has("suppressed 2 messages like this: bad packet 10\n"
			    "flow: bad packet 77\n"));
}

static void suppression_is_never_lost(void **state)
{
	char who[16];

	(void)state;
	for (int i = 0; i < 14; i++)
		complain("flow", i);
	/* More call sites than are remembered. */
	for (int i = 0; i < 200; i++) {
		snprintf(who, sizeof(who), "m%d", i);
		complain(who, i);
	}
	assert_true(log_has("flow: suppressed 4 messages"));
	assert_int_equal(captured.lines, 10 + 200 + 1);

	/* A change of the sink tells the old one. */
	log_capture();
	for (int i = 0; i < 11; i++)
		complain("flow", i);
	core_log_sink(NULL, NULL);
	assert_true(log_has("suppressed 1 messages"));
}

static void filtered_messages_do_not_count(void **state)
{
	(void)state;
	core_log_setup("error", 0);
	for (int i = 0; i < 20; i++)
		complain("flow", i);
	core_log_setup("info", 0);
	for (int i = 0; i < 10; i++)
		complain("flow", i);
	core_log_flush(true);
	assert_int_equal(captured.lines, 10);
}

static void log_unlimited(const char *fmt, ...) LQOS_PRINTF(1, 2);

static void log_unlimited(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	core_vlog_unlimited("config", LQOS_WARN, fmt, ap);
	va_end(ap);
}

static void unlimited(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		log_unlimited("line %d", i);
	assert_int_equal(captured.lines, 50);
	core_log_setup("error", 0);
	log_unlimited("line");
	assert_int_equal(captured.lines, 50);
}

/* ---- stderr -------------------------------------------------------------- */

/* fn() in a child whose stderr is fd; returns its wait status. */
static int in_child(int fd, void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		core_log_sink(NULL, NULL);
		dup2(fd, STDERR_FILENO);
		fn();
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void read_some(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
}

static void each_level(void)
{
	core_log_setup("debug", 0);
	core_log("bus", LQOS_ERR, "one\ntwo");
	core_log("bus", LQOS_WARN, "w");
	core_log("bus", LQOS_INFO, "i");
	core_log("bus", LQOS_DEBUG, "d");
}

static void stderr_of_systemd(void **state)
{
	char buf[4096];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(in_child(fds[1], each_level), 0);
	read_some(fds[0], buf, sizeof(buf));
	assert_string_equal(buf, "<3>bus: one two\n<4>bus: w\n<6>bus: i\n"
				 "<7>bus: d\n");
	close(fds[0]);
	close(fds[1]);
}

static void stderr_of_people(void **state)
{
	char buf[4096];
	int pty, tty;

	(void)state;
	if (openpty(&pty, &tty, NULL, NULL, NULL))
		skip(); /* no /dev/pts here */
	assert_int_equal(in_child(tty, each_level), 0);
	read_some(pty, buf, sizeof(buf));
	/* HH:MM:SS, whatever the time is */
	for (int i = 0; i < 8; i++)
		assert_true(i % 3 == 2 ? buf[i] == ':'
				       : strchr("0123456789", buf[i]) != NULL);
	buf[strcspn(buf, "\r")] = '\0';
	assert_string_equal(buf + 8, " error bus: one two");
	close(tty);
	close(pty);
}

static void twelve_and_exit(void)
{
	for (int i = 0; i < 12; i++)
		complain("flow", i);
}

static void suppression_is_said_at_exit(void **state)
{
	char buf[4096];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(in_child(fds[1], twelve_and_exit), 0);
	read_some(fds[0], buf, sizeof(buf));
	assert_non_null(strstr(buf, "<4>flow: suppressed 2 messages like "
				    "this: bad packet 10\n"));
	close(fds[0]);
	close(fds[1]);
}

/* ---- Libraries ----------------------------------------------------------- */

static libbpf_print_fn_t libbpf_print;

static void as_libbpf(enum libbpf_print_level level, const char *fmt, ...)
	LQOS_PRINTF(2, 3);

static void as_libbpf(enum libbpf_print_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	libbpf_print(level, fmt, ap);
	va_end(ap);
}

static void libbpf_messages(void **state)
{
	char expected[64];
	char *log;
	size_t len = 0;

	(void)state;
	core_log_libraries();
	assert_null(bpf_object__open("/nonexistent/x.o"));
	assert_true(log_has("libbpf: elf: failed to open /nonexistent/x.o"));
	assert_int_equal(captured.level, LQOS_WARN);

	libbpf_print = libbpf_set_print(NULL);
	log_capture();
	as_libbpf(LIBBPF_INFO, "libbpf: loading %d\n", 1);
	as_libbpf(LIBBPF_DEBUG, "libbpf: loading %d\n", 2);
	assert_int_equal(captured.lines, 0);
	core_log_setup("info,libbpf:debug", 0);
	as_libbpf(LIBBPF_INFO, "libbpf: loading %d\n", 1);
	as_libbpf(LIBBPF_DEBUG, "libbpf: loading %d\n", 2);
	assert_string_equal(captured.text,
			    "libbpf: loading 1\nlibbpf: loading 2\n");
	assert_int_equal(captured.level, LQOS_DEBUG);

	/* A verifier log: who, and why at the end; a line each. */
	log = malloc(100000);
	assert_non_null(log);
	for (int i = 0; i < 5000; i++)
		len += (size_t)sprintf(log + len, "insn %d\n", i);
	log_capture();
	as_libbpf(LIBBPF_WARN, "libbpf: prog 'a': -- BEGIN --\n%s-- END --\n",
		  log);
	free(log);
	assert_true(log_has("libbpf: prog 'a': -- BEGIN --\n"
			    "libbpf: ... 4962 lines left out ...\n"
			    "libbpf: insn 4962\n"));
	assert_true(log_has("libbpf: insn 4999\nlibbpf: -- END --\n"));
	assert_int_equal(captured.lines, 41);
	snprintf(expected, sizeof(expected), "insn %d\n", 4961);
	assert_false(log_has(expected));

	/* It is one message to the rate limit, which holds for it too. */
	log_capture();
	for (int i = 0; i < 12; i++)
		as_libbpf(LIBBPF_WARN, "libbpf: a\nb %d\n", i);
	assert_int_equal(captured.lines, 20);
	core_log_flush(true);
	assert_true(log_has("libbpf: suppressed 2 messages like this: "
			    "libbpf: a b 10\n"));
}

static void reenter(evutil_socket_t fd, short events, void *base)
{
	(void)fd;
	(void)events;
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void libevent_messages(void **state)
{
	struct event_base *base;
	const struct timeval now = {0};

	(void)state;
	core_log_libraries();
	base = event_base_new();
	assert_non_null(base);
	assert_int_equal(
		event_base_once(base, -1, EV_TIMEOUT, reenter, base, &now), 0);
	event_base_loop(base, EVLOOP_ONCE);
	event_base_free(base);
	assert_true(log_has("libevent: event_base_loop: reentrant"));
	assert_int_equal(captured.level, LQOS_WARN);
}

static void misuse_libevent(void)
{
	struct event ev = {0};

	core_log_libraries();
	event_enable_debug_mode();
	event_add(&ev, NULL);
}

static void libevent_gives_up(void **state)
{
	char buf[4096];
	int fds[2];
	int status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	status = in_child(fds[1], misuse_libevent);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	read_some(fds[0], buf, sizeof(buf));
	assert_non_null(strstr(buf, "<3>libevent: it cannot go on"));
	close(fds[0]);
	close(fds[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(levels),
		TEST(bad_specs_change_nothing),
		TEST(one_event_one_line),
		TEST(errno_survives),
		TEST(errno_is_the_callers),
		TEST(fail_appends_the_reason),
		TEST(long_messages_are_cut_before_the_reason),
		TEST(rate_limit),
		TEST(suppression_is_said_by_the_next_message),
		TEST(suppression_is_never_lost),
		TEST(filtered_messages_do_not_count),
		TEST(unlimited),
		TEST(stderr_of_systemd),
		TEST(stderr_of_people),
		TEST(suppression_is_said_at_exit),
		TEST(libbpf_messages),
		TEST(libevent_messages),
		TEST(libevent_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
