/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus as clients meet it: sockets, floods, silence and rudeness. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/bus_bench.h"

enum {
	BIG = 300000, /* bytes of test.big's answer */
	HURRY_MS = 100,
};

static struct core_bus_client *last_client;
static unsigned int calls, closed;

static int run_ping(struct lqos_call *call, void *arg)
{
	(void)arg;
	calls++;
	last_client = core_call_client(call);
	lqos_call_result(call, json_integer((json_int_t)core_bus_client_uid(
				       last_client)));
	return 0;
}

static int run_big(struct lqos_call *call, void *arg)
{
	char *text = malloc(BIG);

	(void)arg;
	calls++;
	last_client = core_call_client(call);
	memset(text, 'x', BIG);
	lqos_call_result(call, json_stringn(text, BIG));
	free(text);
	return 0;
}

/* As many descriptors as {n} says, of a pipe that says which; {fail}: and then
 * an error, {big}: with an answer that no socket has room for. */
static int run_fds(struct lqos_call *call, void *arg)
{
	const json_t *params = lqos_call_params(call);
	json_int_t n = json_integer_value(json_object_get(params, "n"));
	int rc = 0, fds[2];

	(void)arg;
	calls++;
	for (json_int_t i = 0; i < n && !rc; i++) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(write(fds[1], &i, sizeof(i)), sizeof(i));
		rc = lqos_call_fd(call, fds[0]);
		close(fds[0]);
		close(fds[1]);
	}
	if (rc)
		return rc;
	if (json_is_true(json_object_get(params, "fail")))
		return lqos_call_fail(call, -EIO, "so it goes");
	if (json_is_true(json_object_get(params, "big")))
		return run_big(call, NULL);
	lqos_call_result(call, json_integer(n));
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "fds", .run = run_fds},
	{.name = "ping", .run = run_ping},
	{.name = "big", .run = run_big},
	{.name = "write", .flags = LQOS_COMMAND_WRITE, .run = run_ping},
};

static int setup(void **state)
{
	struct bench *b;

	bench_setup(state);
	b = *state;
	last_client = NULL;
	calls = closed = 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(
			lqos_command_add(b->core.ctx, &commands[i], NULL), 0);
	return 0;
}

static struct core_bus_stats stats_of(struct bench *b)
{
	struct core_bus_stats stats;

	core_bus_stats(b->core.bus, &stats);
	return stats;
}

static void wait_for_clients(struct bench *b, unsigned int n)
{
	double end = bench_ms() + BENCH_PATIENCE_MS;

	while (stats_of(b).clients != n) {
		assert_true(bench_ms() < end);
		bench_turn(b);
	}
}

#define PING "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.ping\"}"

static void expect_ping(struct bench *b, int fd)
{
	double before = bench_ms();
	json_t *reply = bench_ask(b, fd, PING);

	assert_non_null(reply);
	assert_int_equal(bench_int(reply, "result", NULL, NULL), getuid());
	json_decref(reply);
	assert_true(bench_ms() - before < HURRY_MS);
}

static void expect_end(struct bench *b, int fd)
{
	assert_null(bench_line(b, fd));
	close(fd);
}

/* ---- The socket ---------------------------------------------------------- */

static void a_call(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	struct stat st;

	expect_ping(b, fd);
	close(fd);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_true(log_has("no group \"\""));
	wait_for_clients(b, 0);
	assert_int_equal(stats_of(b).accepted, 1);
	assert_int_equal(stats_of(b).requests, 1);
}

static void root_is_known_by_its_credentials(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	json_t *reply = bench_ask(b, fd,
				  "{\"jsonrpc\":\"2.0\",\"id\":1,"
				  "\"method\":\"test.write\"}");

	assert_int_equal(json_object_get(reply, "error") != NULL,
			 getuid() != 0);
	json_decref(reply);
	close(fd);
}

static void the_group_gets_the_socket(void **state)
{
	struct bench *b = *state;
	struct stat st;

	if (getuid())
		skip();
	core_bus_free(&b->core.bus);
	assert_int_equal(
		core_bus_new(&b->core.bus, &b->core, b->path, "daemon"), 0);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_not_equal(st.st_gid, getgid());
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void what_is_at_the_path_already(void **state)
{
	struct bench *b = *state;
	struct core_bus *bus = NULL;
	char path[128];
	int fd;

	/* A socket that nobody listens on any more: the bus' own. */
	assert_int_equal(link(b->path, strcat(strcpy(path, b->path), "2")), 0);
	core_bus_free(&b->core.bus);
	assert_int_equal(rename(path, b->path), 0);
	assert_int_equal(core_bus_new(&b->core.bus, &b->core, b->path, ""), 0);
	lqos_command_add(b->core.ctx, &commands[0], NULL);
	fd = bench_dial(b);
	expect_ping(b, fd);
	close(fd);

	/* Somebody's file is not ours to remove. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(core_bus_new(&bus, &b->core, path, ""), -EEXIST);
	assert_null(bus);
	assert_true(log_has("is no socket: move it away"));
	assert_int_equal(unlink(path), 0);
	close(fd);
}

static void paths_that_cannot_be(void **state)
{
	struct bench *b = *state;
	struct core_bus *bus = NULL;
	char path[300];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	assert_int_equal(core_bus_new(&bus, &b->core, path, ""), -ENAMETOOLONG);
	assert_true(log_has("at most 107 letters"));
	snprintf(path, sizeof(path), "%s/no/bus", b->dir);
	assert_int_equal(core_bus_new(&bus, &b->core, path, ""), -ENOENT);
	assert_true(log_has("does its directory exist"));
	assert_null(bus);
}

/* ---- Lines --------------------------------------------------------------- */

static void a_line_that_is_too_long(void **state)
{
	struct bench *b = *state;
	size_t size = 10 << 20;
	char *line = malloc(size);
	int fd = bench_dial(b), other = bench_dial(b);
	json_t *reply;

	memset(line, ' ', size);
	/* It is cut off in the middle, and still hears why. */
	assert_false(bench_send(b, fd, line, size));
	reply = bench_json(b, fd);
	assert_int_equal(bench_int(reply, "error", "code", NULL), -32600);
	assert_non_null(strstr(bench_str(reply, "error", "message", NULL),
			       "more than 1048576 bytes"));
	json_decref(reply);
	expect_end(b, fd);
	assert_int_equal(stats_of(b).overlong, 1);
	expect_ping(b, other);
	close(other);
	free(line);
}

static void the_longest_line(void **state)
{
	struct bench *b = *state;
	char *line = malloc(CORE_BUS_LINE_MAX + 1);
	int fd = bench_dial(b);

	memset(line, ' ', CORE_BUS_LINE_MAX + 1);
	memcpy(line + CORE_BUS_LINE_MAX - strlen(PING), PING, strlen(PING));
	line[CORE_BUS_LINE_MAX] = '\n';
	for (int i = 0; i < 3; i++) {
		assert_true(bench_send(b, fd, line, CORE_BUS_LINE_MAX + 1));
		json_decref(bench_json(b, fd));
	}
	assert_int_equal(calls, 3);
	expect_ping(b, fd);

	/* With its newline or not: one more is one too many. */
	assert_true(bench_send(b, fd, " ", 1));
	assert_true(bench_send(b, fd, line, CORE_BUS_LINE_MAX + 1));
	json_decref(bench_json(b, fd));
	expect_end(b, fd);
	assert_int_equal(stats_of(b).overlong, 1);
	assert_int_equal(calls, 4);
	free(line);
}

static void half_a_message(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), other = bench_dial(b);

	bench_write(b, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	bench_turn_for(b, 20);
	assert_int_equal(stats_of(b).errors, 0);
	expect_ping(b, other);
	bench_write(b, fd, "\"method\":\"test.ping\"}\n" PING "\n{");
	json_decref(bench_json(b, fd));
	json_decref(bench_json(b, fd));
	assert_int_equal(calls, 3);
	close(fd); /* in the middle of one */
	expect_ping(b, other);
	close(other);
}

static void byte_by_byte(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	const char *line = PING "\n" PING "\n";

	for (; *line; line++) {
		assert_true(bench_send(b, fd, line, 1));
		bench_turn(b);
	}
	json_decref(bench_json(b, fd));
	json_decref(bench_json(b, fd));
	assert_int_equal(calls, 2);
	close(fd);
}

static void no_more_to_send(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);

	for (int i = 0; i < 99; i++)
		bench_write(b, fd, PING "\n");
	bench_write(b, fd, PING); /* the end of it ends the line */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 100; i++) {
		json_t *reply = bench_json(b, fd);

		assert_non_null(reply);
		json_decref(reply);
	}
	expect_end(b, fd);
	assert_int_equal(calls, 100);
	wait_for_clients(b, 0);
}

/* ---- Floods -------------------------------------------------------------- */

static void many_requests_at_once(void **state)
{
	struct bench *b = *state;
	int flood = bench_dial(b), other = bench_dial(b);
	char *lines = malloc(2000 * 80), *end = lines;
	unsigned int before;

	for (int i = 0; i < 2000; i++)
		end += sprintf(end,
			       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":"
			       "\"test.ping\"}\n",
			       i);
	assert_true(bench_send(b, flood, lines, (size_t)(end - lines)));
	/* Much of it is waiting, and yet it is the other's turn in between. */
	before = calls;
	expect_ping(b, other);
	assert_true(calls < before + 100);
	assert_true(calls < 1900);
	for (int i = 0; i < 2000; i++) {
		json_t *reply = bench_json(b, flood);

		assert_int_equal(bench_int(reply, "id", NULL, NULL), i);
		json_decref(reply);
	}
	assert_int_equal(calls, 2001);
	close(flood);
	close(other);
	free(lines);
}

#define NOTIFY	"{\"jsonrpc\":\"2.0\",\"method\":\"test.ping\"}\n"
#define ASK_BIG "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.big\"}\n"

static void a_reader_that_never_reads(void **state)
{
	struct bench *b = *state;
	int deaf = bench_dial(b), other = bench_dial(b);
	double end = bench_ms() + BENCH_PATIENCE_MS;
	struct core_bus_client *client;
	int sent = 0, n;

	for (int i = 0; i < 2000; i++) {
		if (send(deaf, ASK_BIG, strlen(ASK_BIG), MSG_NOSIGNAL) > 0)
			sent++;
		bench_turn(b);
		if (i % 100 == 99) {
			client = last_client;
			expect_ping(b, other);
			last_client = client;
		}
	}
	client = last_client;
	assert_true(core_bus_client_pending(client) > CORE_BUS_OUT_MAX);
	assert_true(core_bus_client_pending(client) <
		    CORE_BUS_OUT_MAX + BIG + 100);
	/* No more than fits was run; what comes is left in the kernel. */
	assert_true(calls < 20 + 20);

	/* Nothing of it is lost once it reads after all. */
	for (n = 0; n < sent; n++) {
		json_t *reply = bench_json(b, deaf);

		assert_int_equal(
			json_string_length(json_object_get(reply, "result")),
			BIG);
		json_decref(reply);
	}
	assert_int_equal(core_bus_client_pending(client), 0);

	/* And it is served as before: without a reply to wait for, too. */
	calls = 0;
	for (int i = 0; i < 100; i++)
		bench_write(b, deaf, NOTIFY);
	while (calls < 100 && bench_ms() < end)
		bench_turn(b);
	assert_int_equal(calls, 100);
	expect_ping(b, deaf);
	close(deaf);
	close(other);
}

/* What it sends before it is served stays with it, but for one longest line. */
static void a_writer_that_never_waits(void **state)
{
	const size_t all = 32768, len = 64;
	struct bench *b = *state;
	int fast = bench_dial(b), other = bench_dial(b);
	double end = bench_ms() + BENCH_PATIENCE_MS;
	size_t at = 0, most = 0;
	char line[64];

	memset(line, ' ', len);
	memcpy(line, NOTIFY, strlen(NOTIFY) - 1);
	line[len - 1] = '\n';
	while (calls < all && bench_ms() < end) {
		while (at < all * len) {
			ssize_t n = send(fast, line + at % len, len - at % len,
					 MSG_NOSIGNAL);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		if (at - calls * len > most)
			most = at - calls * len;
		bench_turn(b);
	}
	assert_int_equal(calls, all);
	assert_true(most > CORE_BUS_LINE_MAX);
	assert_true(most < CORE_BUS_LINE_MAX + CORE_BUS_LINE_MAX / 4);
	expect_ping(b, fast);
	expect_ping(b, other);
	close(fast);
	close(other);
}

static void a_deaf_one_goes_away(void **state)
{
	struct bench *b = *state;
	int deaf = bench_dial(b), other = bench_dial(b);

	for (int i = 0; i < 100; i++) {
		bench_write(b, deaf, ASK_BIG);
		bench_turn(b);
	}
	close(deaf);
	expect_ping(b, other);
	wait_for_clients(b, 1);
	close(other);
}

/* ---- Crowds -------------------------------------------------------------- */

static void need_files(rlim_t n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= n)
		return;
	if (limit.rlim_max < n)
		skip();
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int *crowd(struct bench *b, int n)
{
	int *fds = calloc((size_t)n, sizeof(*fds));

	assert_non_null(fds);
	for (int i = 0; i < n; i++) {
		fds[i] = bench_dial(b);
		if (i % 64 == 63)
			bench_turn(b);
	}
	while (stats_of(b).accepted < (uint64_t)n)
		bench_turn(b);
	return fds;
}

static void disperse(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
}

static void a_thousand_that_are_idle(void **state)
{
	struct bench *b = *state;
	int *fds;

	need_files(2100);
	fds = crowd(b, 1000);
	expect_ping(b, fds[0]);
	expect_ping(b, fds[999]);
	disperse(fds, 1000);
	wait_for_clients(b, 0);
}

static void one_too_many(void **state)
{
	struct bench *b = *state;
	json_t *reply;
	int *fds, fd;

	need_files(2 * CORE_BUS_CLIENTS_MAX + 100);
	fds = crowd(b, CORE_BUS_CLIENTS_MAX);
	fd = bench_dial(b);
	reply = bench_json(b, fd);
	assert_string_equal(bench_str(reply, "error", "message", NULL),
			    "2048 clients are connected to the bus: close one");
	json_decref(reply);
	expect_end(b, fd);
	assert_int_equal(stats_of(b).refused, 1);
	expect_ping(b, fds[7]);

	close(fds[0]);
	wait_for_clients(b, CORE_BUS_CLIENTS_MAX - 1);
	fds[0] = bench_dial(b);
	expect_ping(b, fds[0]);
	disperse(fds, CORE_BUS_CLIENTS_MAX);
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void no_files_left_to_accept(void **state)
{
	const struct timeval while_ = {.tv_usec = 300000};
	struct bench *b = *state;
	int first = bench_dial(b), fd;
	struct rlimit limit, none;
	double cpu;

	expect_ping(b, first);
	fd = bench_dial(b);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

	/* The connection waits in the queue; nothing spins, others go on. */
	event_base_loopexit(core_loop_base(b->core.loop), &while_);
	cpu = cpu_ms();
	event_base_dispatch(core_loop_base(b->core.loop));
	assert_true(cpu_ms() - cpu < 100);
	assert_true(log_has("trying again in a second"));
	expect_ping(b, first);
	assert_int_equal(stats_of(b).accepted, 1);

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	json_decref(bench_ask(b, fd, PING));
	assert_int_equal(stats_of(b).accepted, 2);
	close(first);
	close(fd);
}

/* ---- Hooks, and the end -------------------------------------------------- */

static void on_close(struct core_bus_client *client, void *arg)
{
	assert_ptr_equal(arg, &closed);
	assert_ptr_equal(client, last_client);
	closed++;
}

static unsigned int drained;

static void on_drain(struct core_bus_client *client, void *arg)
{
	assert_ptr_equal(arg, &drained);
	assert_int_equal(core_bus_client_pending(client), 0);
	drained++;
}

static void hooks(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	struct core_bus_line *line;
	json_t *text = json_pack("{s:i}", "n", 7);
	char *got;

	expect_ping(b, fd);
	core_bus_client_on_close(last_client, on_close, &closed);
	core_bus_client_on_drain(last_client, on_drain, &drained);
	assert_int_equal(core_bus_line_new(&line, text, "!\n"), 0);
	assert_int_equal(core_bus_line_size(line), strlen("{\"n\":7}!\n"));
	json_decref(text);

	drained = 0;
	assert_int_equal(core_bus_client_send(last_client, "head ", line), 0);
	assert_int_equal(core_bus_client_send(last_client, NULL, line), 0);
	core_bus_line_unref(line);
	assert_int_equal(core_bus_client_pending(last_client), 5 + 9 + 9);
	got = bench_line(b, fd);
	assert_string_equal(got, "head {\"n\":7}!");
	free(got);
	got = bench_line(b, fd);
	assert_string_equal(got, "{\"n\":7}!");
	free(got);
	assert_int_equal(drained, 1);

	close(fd);
	wait_for_clients(b, 0);
	assert_int_equal(closed, 1);
}

static void the_bus_ends_with_clients(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), idle = bench_dial(b);

	expect_ping(b, fd);
	core_bus_client_on_close(last_client, on_close, &closed);
	core_bus_free(&b->core.bus);
	assert_int_equal(closed, 1);
	bench_turn(b);
	expect_end(b, fd);
	expect_end(b, idle);
}

/* ---- Descriptors --------------------------------------------------------- */

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What can be read at once, and the descriptors with it; how many they are. */
static size_t receive_fds(struct bench *b, int fd, char *text, size_t size,
			  int *fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(253 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	double end = bench_ms() + BENCH_PATIENCE_MS;
	struct cmsghdr *head;
	ssize_t len;
	size_t n;

	while ((len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC)) < 0) {
		assert_int_equal(errno, EAGAIN);
		assert_true(bench_ms() < end);
		bench_turn(b);
	}
	text[len] = '\0';
	assert_false(msg.msg_flags & MSG_CTRUNC);
	head = CMSG_FIRSTHDR(&msg);
	if (!head)
		return 0;
	assert_int_equal(head->cmsg_type, SCM_RIGHTS);
	n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(head), n * sizeof(int));
	assert_null(CMSG_NXTHDR(&msg, head));
	return n;
}

/* They are in the order in which they were given. */
static void take_fds(const int *fds, size_t n)
{
	json_int_t which;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(read(fds[i], &which, sizeof(which)),
				 sizeof(which));
		assert_int_equal(which, i);
		/* Nobody has kept the other end, or a copy of this. */
		assert_int_equal(read(fds[i], &which, sizeof(which)), 0);
		close(fds[i]);
	}
}

#define FDS(params_)                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"test.fds\"," \
	"\"params\":" params_ "}"

static void an_answer_with_descriptors(void **state)
{
	static const int numbers[] = {1, 3, 253};
	struct bench *b = *state;
	int fd = bench_dial(b), fds[253];
	char text[1024], request[128];
	unsigned int before;

	expect_ping(b, fd);
	before = open_files();
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		size_t n = (size_t)numbers[i];

		snprintf(request, sizeof(request), FDS("{\"n\":%zu}") "\n", n);
		bench_write(b, fd, request);
		assert_int_equal(receive_fds(b, fd, text, sizeof(text), fds),
				 n);
		snprintf(request, sizeof(request),
			 "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":%zu}\n", n);
		assert_string_equal(text, request);
		take_fds(fds, n);
		assert_int_equal(open_files(), before);
	}
	expect_ping(b, fd);
	close(fd);
}

static void an_answer_with_descriptors_in_pieces(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b), fds[253];
	unsigned int before;
	char *text = malloc(BIG), *rest;
	size_t len;

	expect_ping(b, fd);
	before = open_files();
	/* More than the socket has room for. */
	bench_write(b, fd, FDS("{\"n\":2,\"big\":true}") "\n");
	assert_int_equal(receive_fds(b, fd, text, BIG, fds), 2);
	len = strlen(text);
	assert_true(len < BIG);
	take_fds(fds, 2);
	assert_int_equal(open_files(), before);
	rest = bench_line(b, fd);
	assert_int_equal(len + strlen(rest),
			 BIG + strlen("{\"jsonrpc\":\"2.0\",\"id\":7,"
				      "\"result\":\"\"}"));
	free(rest);
	free(text);
	expect_ping(b, fd);
	close(fd);
}

/* Nothing but an error, and nothing stays open. */
static void expect_refused(struct bench *b, int fd, const char *request,
			   const char *name, const char *text)
{
	unsigned int before = open_files();
	json_t *reply = bench_ask(b, fd, request);
	const json_t *error =
		json_is_array(reply) ? json_array_get(reply, 0) : reply;

	assert_string_equal(bench_str(error, "error", "data", "errno"), name);
	assert_non_null(
		strstr(bench_str(error, "error", "message", NULL), text));
	assert_int_equal(bench_int(error, "id", NULL, NULL), 7);
	json_decref(reply);
	assert_int_equal(open_files(), before);
}

static void descriptors_that_cannot_be_sent(void **state)
{
	struct rlimit old, tight;
	struct bench *b = *state;
	int fd = bench_dial(b);
	unsigned int before;

	expect_ping(b, fd);
	expect_refused(b, fd, FDS("{\"n\":2,\"fail\":true}"), "EIO",
		       "so it goes");
	expect_refused(b, fd, FDS("{\"n\":254}"), "E2BIG",
		       "more than 253 descriptors");
	expect_refused(b, fd, "[" FDS("{\"n\":1}") "]", "EOPNOTSUPP",
		       "in no batch, and with an id");
	before = open_files();
	bench_write(b, fd,
		    "{\"jsonrpc\":\"2.0\",\"method\":\"test.fds\","
		    "\"params\":{\"n\":1}}\n");
	expect_ping(b, fd);
	assert_int_equal(open_files(), before);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	/* Room for both ends of a pipe, and for two copies of one. */
	tight.rlim_cur = (rlim_t)fd + 6;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	expect_refused(b, fd, FDS("{\"n\":3}"), "EMFILE", "LimitNOFILE=");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	expect_ping(b, fd);
	close(fd);
}

static void descriptors_behind_what_is_unread(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	unsigned int before, asked = 0;
	json_t *reply;

	expect_ping(b, fd);
	before = open_files();
	/* More than the socket has room for. */
	while (!core_bus_client_pending(last_client)) {
		bench_write(b, fd,
			    "{\"jsonrpc\":\"2.0\",\"id\":1,"
			    "\"method\":\"test.big\"}\n");
		asked++;
		while (calls < asked + 1)
			bench_turn(b);
	}
	bench_write(b, fd, FDS("{\"n\":1}") "\n");
	while (calls < asked + 2)
		bench_turn(b);
	while (asked--)
		json_decref(bench_json(b, fd));
	reply = bench_json(b, fd);
	assert_string_equal(bench_str(reply, "error", "data", "errno"),
			    "EBUSY");
	assert_non_null(strstr(bench_str(reply, "error", "message", NULL),
			       "one request at a time"));
	json_decref(reply);
	assert_int_equal(open_files(), before);
	close(fd);
}

/* The answer is in the socket with its descriptors, which nobody takes. */
static void descriptors_for_one_that_is_gone(void **state)
{
	struct bench *b = *state;
	int fd = bench_dial(b);
	unsigned int before;

	before = open_files();
	bench_write(b, fd, FDS("{\"n\":5}") "\n");
	while (!calls)
		bench_turn(b);
	assert_int_equal(open_files(), before + 1); /* the bus' end */
	close(fd);
	wait_for_clients(b, 0);
	assert_int_equal(open_files(), before - 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call),
		TEST(root_is_known_by_its_credentials),
		TEST(the_group_gets_the_socket),
		TEST(what_is_at_the_path_already),
		TEST(paths_that_cannot_be),
		TEST(a_line_that_is_too_long),
		TEST(the_longest_line),
		TEST(half_a_message),
		TEST(byte_by_byte),
		TEST(no_more_to_send),
		TEST(many_requests_at_once),
		TEST(a_writer_that_never_waits),
		TEST(a_reader_that_never_reads),
		TEST(a_deaf_one_goes_away),
		TEST(a_thousand_that_are_idle),
		TEST(one_too_many),
		TEST(no_files_left_to_accept),
		TEST(hooks),
		TEST(the_bus_ends_with_clients),
		TEST(an_answer_with_descriptors),
		TEST(an_answer_with_descriptors_in_pieces),
		TEST(descriptors_that_cannot_be_sent),
		TEST(descriptors_behind_what_is_unread),
		TEST(descriptors_for_one_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
