/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The blocking client, against a daemon that is played by a thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/client.h"

struct daemon_ {
	char dir[64];
	char path[80];
	int listener;
	pthread_t thread;
	void (*script)(int fd);
};

static char heard[1 << 16]; /* the first line that the script was sent */
static char why[512];

static void *play(void *arg)
{
	struct daemon_ *d = arg;
	int fd = accept(d->listener, NULL, NULL);

	if (fd >= 0) {
		d->script(fd);
		close(fd);
	}
	return NULL;
}

static int setup(void **state)
{
	struct daemon_ *d = calloc(1, sizeof(*d));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	assert_non_null(d);
	strcpy(d->dir, "/tmp/lqos-client-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof(d->path), "%s/bus", d->dir);
	strcpy(addr.sun_path, d->path);
	d->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
		bind(d->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(d->listener, 5), 0);
	memset(heard, 0, sizeof(heard));
	strcpy(why, "untouched");
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct daemon_ *d = *state;

	close(d->listener);
	unlink(d->path);
	assert_int_equal(rmdir(d->dir), 0);
	free(d);
	return 0;
}

static struct client *start(struct daemon_ *d, void (*script)(int fd))
{
	struct client *client = NULL;

	d->script = script;
	assert_int_equal(pthread_create(&d->thread, NULL, play, d), 0);
	assert_int_equal(client_open(&client, d->path, why, sizeof(why)), 0);
	return client;
}

static void end(struct daemon_ *d, struct client *client)
{
	client_close(&client);
	assert_null(client);
	client_close(&client);
	pthread_join(d->thread, NULL);
}

/* ---- What the daemon can say --------------------------------------------- */

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void hear(int fd)
{
	char *to = heard;

	while (to < heard + sizeof(heard) - 1 && read(fd, to, 1) == 1 &&
	       *to != '\n')
		to++;
	*to = '\0';
}

static void wait_for_end(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1)
		;
}

static json_t *call(struct client *client, int timeout_ms, int expected)
{
	json_t *result = NULL;

	assert_int_equal(client_call(client, "a.b", NULL, timeout_ms, &result,
				     why, sizeof(why)),
			 expected);
	if (expected)
		assert_null(result);
	return result;
}

static void answers(int fd)
{
	hear(fd);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":1}}\n");
	wait_for_end(fd);
}

static void a_call(void **state)
{
	struct client *client = start(*state, answers);
	json_t *result = NULL;

	assert_true(client_fd(client) >= 0);
	assert_int_equal(client_call(client, "steering.add",
				     json_pack("{s:s}", "ip", "::1"), 5000,
				     &result, why, sizeof(why)),
			 0);
	assert_int_equal(json_integer_value(json_object_get(result, "x")), 1);
	json_decref(result);
	assert_string_equal(heard, "{\"jsonrpc\":\"2.0\",\"id\":1,"
				   "\"method\":\"steering.add\","
				   "\"params\":{\"ip\":\"::1\"}}");
	assert_string_equal(why, "untouched");
	end(*state, client);
}

static void a_call_without_params(void **state)
{
	struct client *client = start(*state, answers);

	json_decref(call(client, 5000, 0));
	assert_string_equal(heard, "{\"jsonrpc\":\"2.0\",\"id\":1,"
				   "\"method\":\"a.b\"}");
	end(*state, client);
}

static void refuses(int fd)
{
	hear(fd);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,"
		"\"message\":\"no circuit 7\"}}\n");
	hear(fd);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,"
		"\"message\":\"too long\"}}\n");
	hear(fd);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{}}\n");
	wait_for_end(fd);
}

static void errors(void **state)
{
	struct client *client = start(*state, refuses);

	call(client, 5000, -EREMOTEIO);
	assert_string_equal(why, "no circuit 7");
	call(client, 5000, -EREMOTEIO);
	assert_string_equal(why, "too long");
	call(client, 5000, -EREMOTEIO);
	assert_string_equal(why, "unknown error");
	end(*state, client);
}

static void in_pieces(int fd)
{
	const char *text = "{\"method\":\"n\"}\n{\"jsonrpc\":\"2.0\",\"id\":1,"
			   "\"result\":[1,2]}\n{\"method\":\"m\"}\n";

	hear(fd);
	for (; *text; text++) {
		send(fd, text, 1, MSG_NOSIGNAL);
		usleep(200);
	}
	wait_for_end(fd);
}

static const char *method(json_t *message)
{
	static char name[32];
	const char *text =
		json_string_value(json_object_get(message, "method"));

	snprintf(name, sizeof(name), "%s", text ? text : "(none)");
	json_decref(message);
	return name;
}

static void an_answer_in_pieces(void **state)
{
	struct client *client = start(*state, in_pieces);
	json_t *result = call(client, 5000, 0), *message;

	assert_int_equal(json_array_size(result), 2);
	json_decref(result);
	assert_int_equal(client_next(client, 0, &message), 0);
	assert_string_equal(method(message), "n");
	assert_int_equal(client_next(client, 5000, &message), 0);
	assert_string_equal(method(message), "m");
	end(*state, client);
}

static void notifies(int fd)
{
	hear(fd);
	for (int i = 0; i < 3; i++) {
		char text[64];

		snprintf(text, sizeof(text), "{\"method\":\"n%d\"}\n", i);
		say(fd, text);
	}
	say(fd, "{\"id\":1,\"result\":null}\n{\"method\":\"n3\"}\n");
	wait_for_end(fd);
}

static void notifications_are_kept(void **state)
{
	struct client *client = start(*state, notifies);
	json_t *result = call(client, 5000, 0), *message;
	char expected[16];

	assert_true(json_is_null(result));
	json_decref(result);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(client_next(client, 5000, &message), 0);
		snprintf(expected, sizeof(expected), "n%d", i);
		assert_string_equal(method(message), expected);
	}
	message = (json_t *)1;
	assert_int_equal(client_next(client, 0, &message), -ETIMEDOUT);
	assert_int_equal(client_next(client, 20, &message), -ETIMEDOUT);
	assert_ptr_equal(message, (json_t *)1);
	end(*state, client);
}

/* Answers the first call only when the second has come. */
static void answers_late(int fd)
{
	hear(fd);
	hear(fd);
	say(fd, "{\"id\":1,\"result\":1}\n{\"id\":2,\"result\":2}\n"
		"{\"id\":1,\"result\":1}\n{\"method\":\"n\"}\n");
	wait_for_end(fd);
}

static void a_late_answer_is_nobodys(void **state)
{
	struct client *client = start(*state, answers_late);
	json_t *result, *message;

	call(client, 30, -ETIMEDOUT);
	assert_string_equal(why, "a.b: no answer from lqosd in 30 ms");
	result = call(client, 5000, 0);
	assert_int_equal(json_integer_value(result), 2);
	json_decref(result);
	assert_int_equal(client_next(client, 5000, &message), 0);
	assert_string_equal(method(message), "n");
	end(*state, client);
}

static void hangs_up(int fd)
{
	hear(fd);
	say(fd, "{\"method\":\"last\"}\n{\"id\":");
}

static void the_daemon_goes_away(void **state)
{
	struct client *client = start(*state, hangs_up);
	json_t *message;

	call(client, 5000, -ECONNRESET);
	assert_string_equal(why, "a.b: lqosd closed the connection: is it "
				 "still running?");
	assert_int_equal(client_next(client, 5000, &message), 0);
	assert_string_equal(method(message), "last");
	assert_int_equal(client_next(client, -1, &message), -ECONNRESET);
	call(client, 5000, -ECONNRESET);
	end(*state, client);
}

/* As the bus does with one client too many: without waiting for a request. */
static void says_why_and_hangs_up(int fd)
{
	say(fd, "{\"id\":null,\"error\":{\"message\":\"full\"}}\n");
}

static void a_reason_is_read_before_the_end(void **state)
{
	struct client *client = start(*state, says_why_and_hangs_up);

	pthread_join(((struct daemon_ *)*state)->thread, NULL);
	call(client, 5000, -EREMOTEIO);
	assert_string_equal(why, "full");
	client_close(&client);
}

static void talks_nonsense(int fd)
{
	hear(fd);
	say(fd, "hello\n");
	wait_for_end(fd);
}

static void what_is_no_json(void **state)
{
	struct client *client = start(*state, talks_nonsense);

	call(client, 5000, -EBADMSG);
	assert_string_equal(why,
			    "a.b: cannot read lqosd's answer: Bad message");
	end(*state, client);
}

enum { LARGE = 6 << 20 };

/* Reads nothing before all of its own is read: each would wait for the other */
static void talks_first(int fd)
{
	char *text = malloc(LARGE + 1);

	memset(text, 'x', LARGE);
	text[LARGE] = '\0';
	say(fd, "{\"method\":\"n\",\"params\":[\"");
	say(fd, text);
	say(fd, "\"]}\n");
	while (read(fd, text, 1) == 1 && *text != '\n')
		;
	memset(text, 'y', LARGE);
	say(fd, "{\"id\":1,\"result\":\"");
	say(fd, text);
	say(fd, "\"}\n");
	free(text);
	wait_for_end(fd);
}

static void large_messages_both_ways(void **state)
{
	struct client *client = start(*state, talks_first);
	json_t *result = NULL, *message;
	char *text = calloc(1, 900000);

	memset(text, 'z', 899999);
	assert_int_equal(client_call(client, "a.b",
				     json_pack("{s:s}", "z", text), 20000,
				     &result, why, sizeof(why)),
			 0);
	assert_int_equal(json_string_length(result), LARGE);
	json_decref(result);
	assert_int_equal(client_next(client, 0, &message), 0);
	assert_string_equal(method(message), "n");
	free(text);
	end(*state, client);
}

static void never_reads(int fd)
{
	char c;

	/* Until the client is gone: reading nothing, seeing the end. */
	while (send(fd, " ", 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 ||
	       errno == EAGAIN)
		usleep(1000);
	(void)!read(fd, &c, 1);
}

static void half_a_request_ends_the_connection(void **state)
{
	struct client *client = start(*state, never_reads);
	char *text = calloc(1, 900000);
	json_t *result;

	memset(text, 'z', 899999);
	assert_int_equal(client_call(client, "a.b",
				     json_pack("{s:s}", "z", text), 30, &result,
				     why, sizeof(why)),
			 -ETIMEDOUT);
	call(client, 5000, -ECONNRESET);
	free(text);
	end(*state, client);
}

static void what_cannot_be_sent(void **state)
{
	struct client *client = start(*state, wait_for_end);
	json_t *result = NULL;

	assert_int_equal(client_call(client, "\xff", json_object(), 5000,
				     &result, why, sizeof(why)),
			 -ENOMEM);
	end(*state, client);
}

/* ---- Descriptors --------------------------------------------------------- */

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* n copies of descriptor 0 with the text. */
static void say_with_fds(int sock, const char *text, size_t n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(n * sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), iov.iov_len);
}

static int call_fds(struct client *client, int timeout_ms, int *fds, size_t *n)
{
	json_t *result = NULL;
	int rc = client_call_fds(client, "a.b", NULL, timeout_ms, &result, fds,
				 n, why, sizeof(why));

	assert_int_equal(rc == 0, result != NULL);
	json_decref(result);
	return rc;
}

/* The answer comes in halves, and what is before it in one piece with it. */
static void answers_with_fds(int fd)
{
	hear(fd);
	say(fd, "{\"method\":\"n\"}\n");
	say_with_fds(fd, "{\"id\":1,\"res", 3);
	usleep(20000);
	say(fd, "ult\":1}\n{\"method\":\"m\"}\n");
	hear(fd);
	say(fd, "{\"id\":2,\"result\":2}\n");
	hear(fd);
	say_with_fds(fd, "{\"id\":3,\"result\":3}\n", 4);
	hear(fd);
	say_with_fds(fd, "{\"id\":4,\"result\":4}\n", 2);
	hear(fd);
	say_with_fds(fd, "{\"id\":5,\"error\":{\"message\":\"no\"}}\n", 2);
	hear(fd);
	say(fd, "{\"id\":6,\"result\":6}\n");
	say_with_fds(fd, "{\"method\":\"last\"}\n", 2);
	wait_for_end(fd);
}

static void an_answer_with_descriptors(void **state)
{
	struct client *client = start(*state, answers_with_fds);
	unsigned int before;
	size_t n = 3;
	json_t *message;
	int fds[3];

	assert_int_equal(call_fds(client, 5000, fds, &n), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
	before = open_files();
	assert_int_equal(call_fds(client, 5000, fds, &n), 0);
	assert_int_equal(n, 0);
	/* More than expected, where none is, with an error, and with what is no
	 * answer: none is kept. */
	n = 3;
	assert_int_equal(call_fds(client, 5000, fds, &n), -E2BIG);
	assert_string_equal(why, "a.b: lqosd sent 4 descriptors, expected at "
				 "most 3: is it of another version?");
	assert_int_equal(n, 3);
	json_decref(call(client, 5000, 0));
	assert_int_equal(open_files(), before);
	assert_int_equal(call_fds(client, 5000, fds, &n), -EREMOTEIO);
	assert_string_equal(why, "no");
	json_decref(call(client, 5000, 0));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(client_next(client, 5000, &message), 0);
		assert_string_equal(method(message), i == 0   ? "n"
						     : i == 1 ? "m"
							      : "last");
	}
	assert_int_equal(open_files(), before);
	end(*state, client);
}

/* Of the call given up nobody wants them any more. */
static void answers_late_with_fds(int fd)
{
	hear(fd);
	hear(fd);
	say_with_fds(fd, "{\"id\":1,\"result\":1}\n", 2);
	usleep(20000);
	say_with_fds(fd, "{\"id\":2,\"result\":2}\n", 1);
	wait_for_end(fd);
}

static void descriptors_of_a_late_answer(void **state)
{
	unsigned int before = open_files();
	struct client *client = start(*state, answers_late_with_fds);
	size_t n = 3;
	int fds[3];

	assert_int_equal(call_fds(client, 30, fds, &n), -ETIMEDOUT);
	assert_int_equal(n, 3);
	assert_int_equal(call_fds(client, 5000, fds, &n), 0);
	assert_int_equal(n, 1);
	close(fds[0]);
	end(*state, client);
	assert_int_equal(open_files(), before);
}

/* Comes with descriptors, and is never whole. */
static void hangs_up_with_fds(int fd)
{
	hear(fd);
	say_with_fds(fd, "{\"id\":", 2);
}

static void descriptors_of_half_an_answer(void **state)
{
	unsigned int before = open_files();
	struct client *client = start(*state, hangs_up_with_fds);
	size_t n = 3;
	int fds[3];

	assert_int_equal(call_fds(client, 5000, fds, &n), -ECONNRESET);
	end(*state, client);
	assert_int_equal(open_files(), before);
}

static void answers_with_two_fds(int fd)
{
	hear(fd);
	say_with_fds(fd, "{\"id\":1,\"result\":1}\n", 2);
	wait_for_end(fd);
}

static void no_room_for_descriptors(void **state)
{
	struct client *client = start(*state, answers_with_two_fds);
	unsigned int before = open_files();
	struct rlimit old, tight;
	size_t n = 3;
	int fds[3];

	/* The script has its descriptors already. */
	usleep(20000);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(call_fds(client, 5000, fds, &n), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(why, "ulimit -n"));
	assert_true(open_files() <= before + 1); /* the script's */
	end(*state, client);
}

/* ---- Connecting ---------------------------------------------------------- */

static void expect_no_connection(const char *path, int rc, const char *text)
{
	struct client *client = (struct client *)1;

	assert_int_equal(client_open(&client, path, why, sizeof(why)), rc);
	assert_ptr_equal(client, (struct client *)1);
	if (!strstr(why, text) || strchr(why, '\n'))
		fail_msg("\"%s\" is not in: %s", text, why);
}

static void nobody_listens(void **state)
{
	struct daemon_ *d = *state;
	char expected[256];

	snprintf(expected, sizeof(expected),
		 "no lqosd listens on %s (Connection refused): is it running?",
		 d->path);
	close(d->listener);
	expect_no_connection(d->path, -ECONNREFUSED, expected);
	unlink(d->path);
	snprintf(expected, sizeof(expected),
		 "no lqosd listens on %s (No such file or directory): is it "
		 "running?",
		 d->path);
	expect_no_connection(d->path, -ENOENT, expected);
	setenv("LQOS_BUS", d->path, 1);
	expect_no_connection(NULL, -ENOENT, expected);
	unsetenv("LQOS_BUS");
}

static void paths_that_cannot_be(void **state)
{
	char path[200];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	expect_no_connection(path, -ENAMETOOLONG, "File name too long");
}

static void nobody_else_may(void **state)
{
	struct daemon_ *d = *state;
	int status;
	pid_t pid;

	if (getuid())
		skip();
	assert_int_equal(chmod(d->dir, 0755), 0);
	assert_int_equal(chmod(d->path, 0660), 0);
	pid = fork();
	if (!pid) {
		struct client *client;
		int rc;

		if (setgid(65534) || setuid(65534))
			_exit(9);
		rc = client_open(&client, d->path, why, sizeof(why));
		_exit(rc == -EACCES && strstr(why, "join the group lqos or use "
						   "sudo")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call),
		TEST(a_call_without_params),
		TEST(errors),
		TEST(an_answer_in_pieces),
		TEST(notifications_are_kept),
		TEST(a_late_answer_is_nobodys),
		TEST(the_daemon_goes_away),
		TEST(a_reason_is_read_before_the_end),
		TEST(what_is_no_json),
		TEST(large_messages_both_ways),
		TEST(half_a_request_ends_the_connection),
		TEST(what_cannot_be_sent),
		TEST(an_answer_with_descriptors),
		TEST(descriptors_of_a_late_answer),
		TEST(descriptors_of_half_an_answer),
		TEST(no_room_for_descriptors),
		TEST(nobody_listens),
		TEST(paths_that_cannot_be),
		TEST(nobody_else_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
