/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A blocking client of the bus, on poll() and jansson alone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/client.h"

enum {
	READ_AT_ONCE = 64 << 10,
	MESSAGE_MAX = 256 << 20, /* a longer one is not lqosd's */
	CONNECT_SECONDS = 5,
	FDS_MAX = 253, /* in a message: SCM_MAX_FD of the kernel */
};

struct client {
	int fd;
	/* What came and was not taken yet: buf[start] to buf[end - 1]. */
	char *buf;
	size_t size, start, end;
	size_t scanned; /* no newline before this */
	/* Descriptors that came with the message which fds_at is a byte of. */
	int fds[FDS_MAX];
	size_t n_fds, fds_at;
	bool fds_lost; /* there were more, and no room in this process */
	const char *unsent;
	size_t n_unsent;
	json_int_t last_id;
	json_t *kept; /* notifications that came during calls */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- Connecting ---------------------------------------------------------- */

static int explain_connect(const char *path, int rc, char *why, size_t size)
{
	const char *error = strerror(-rc);

	if (rc == -ENOENT || rc == -ECONNREFUSED)
		snprintf(why, size,
			 "no lqosd listens on %s (%s): is it running?", path,
			 error);
	else if (rc == -EACCES)
		snprintf(
			why, size,
			"may not open %s (%s): join the group lqos or use sudo",
			path, error);
	else if (rc == -EAGAIN)
		snprintf(why, size,
			 "lqosd takes no connection on %s for %d s: does it "
			 "hang?",
			 path, CONNECT_SECONDS);
	else
		snprintf(why, size, "cannot connect to lqosd on %s: %s", path,
			 error);
	return rc;
}

static int connect_to(const char *path, int *out)
{
	const struct timeval patience = {.tv_sec = CONNECT_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	autoclose int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* For connect(), which waits while the daemon accepts nobody. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		return -errno;
	*out = steal_fd(&fd);
	return 0;
}

int client_open(struct client **out, const char *path, char *why,
		size_t why_size)
{
	autofree struct client *client = calloc(1, sizeof(*client));
	int rc;

	if (!path)
		path = getenv("LQOS_BUS");
	if (!path || !*path)
		path = CLIENT_BUS_DEFAULT;
	if (!client)
		return explain_connect(path, -ENOMEM, why, why_size);

	rc = connect_to(path, &client->fd);
	if (rc)
		return explain_connect(path, rc, why, why_size);
	client->kept = json_array();
	if (!client->kept) {
		close(client->fd);
		return explain_connect(path, -ENOMEM, why, why_size);
	}
	*out = steal_ptr(client);
	return 0;
}

static void drop_fds(struct client *c)
{
	while (c->n_fds)
		close(c->fds[--c->n_fds]);
	c->fds_lost = false;
}

void client_close(struct client **client)
{
	struct client *c = *client;

	*client = NULL;
	if (!c)
		return;
	close(c->fd);
	drop_fds(c);
	json_decref(c->kept);
	free(c->buf);
	free(c);
}

int client_fd(const struct client *client)
{
	return client->fd;
}

/* ---- Messages ------------------------------------------------------------ */

static int make_room(struct client *c)
{
	size_t used = c->end - c->start;
	char *larger;

	if (c->start) {
		memmove(c->buf, c->buf + c->start, used);
		c->scanned -= c->start;
		c->fds_at -= c->fds_at < c->start ? c->fds_at : c->start;
		c->end = used;
		c->start = 0;
	}
	if (c->size - used >= READ_AT_ONCE)
		return 0;
	if (used > MESSAGE_MAX)
		return -EMSGSIZE;
	larger = realloc(c->buf, c->size * 2 + READ_AT_ONCE);
	if (!larger)
		return -ENOMEM;
	c->buf = larger;
	c->size = c->size * 2 + READ_AT_ONCE;
	return 0;
}

/* The kernel ends what is received at once with the part that has descriptors:
 * they are those of the last message that began before end. */
static void keep_fds(struct client *c, struct msghdr *msg, size_t end)
{
	struct cmsghdr *head;

	for (head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
		if (head->cmsg_level != SOL_SOCKET ||
		    head->cmsg_type != SCM_RIGHTS)
			continue;
		/* Of before there can be those of a call given up. */
		drop_fds(c);
		c->n_fds = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(c->fds, CMSG_DATA(head), c->n_fds * sizeof(int));
		c->fds_at = end - 1;
	}
	if (msg->msg_flags & MSG_CTRUNC) {
		c->fds_lost = true;
		c->fds_at = end - 1;
	}
}

/* -EAGAIN: nothing was there; -ECONNRESET: nothing more will come. */
static int receive(struct client *c)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	int rc = make_room(c);

	if (rc)
		return rc;
	iov.iov_base = c->buf + c->end;
	iov.iov_len = c->size - c->end;
	n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n > 0)
		keep_fds(c, &msg, c->end + (size_t)n);
	if (!n || (n < 0 && errno == EPIPE))
		return -ECONNRESET;
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	c->end += n;
	return 0;
}

/* The next message that has come in whole; -EAGAIN: none. */
static int take(struct client *c, json_t **message)
{
	const char *end = NULL;
	json_t *taken;

	if (c->scanned < c->end)
		end = memchr(c->buf + c->scanned, '\n', c->end - c->scanned);
	if (!end) {
		c->scanned = c->end;
		return -EAGAIN;
	}
	taken = json_loadb(c->buf + c->start, end - (c->buf + c->start), 0,
			   NULL);
	c->start = c->scanned = end + 1 - c->buf;
	if (!taken)
		return -EBADMSG;
	*message = taken;
	return 0;
}

/* The poll() timeout until deadline; INT64_MAX: for ever. */
static int time_left(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	if (deadline == INT64_MAX)
		return -1;
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static int64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

static void send_some(struct client *c)
{
	ssize_t n = send(c->fd, c->unsent, c->n_unsent, MSG_NOSIGNAL);

	/* A failure shows in the next receive(), after the daemon's reason. */
	if (n > 0) {
		c->unsent += n;
		c->n_unsent -= n;
	}
}

/* The next message; sends what is to be sent meanwhile. */
static int next_message(struct client *c, int64_t deadline, json_t **message)
{
	for (;;) {
		struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
		int rc = take(c, message);
		int n;

		if (rc != -EAGAIN)
			return rc;
		if (c->n_unsent)
			pfd.events |= POLLOUT;
		n = poll(&pfd, 1, time_left(deadline));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -ETIMEDOUT;
		if (n > 0 && (pfd.revents & POLLOUT))
			send_some(c);
		if (n > 0 && (pfd.revents & ~POLLOUT))
			rc = receive(c);
		if (rc && rc != -EAGAIN)
			return rc;
	}
}

/* Has the message that was taken last brought descriptors? */
static bool brought_fds(const struct client *c)
{
	return (c->n_fds || c->fds_lost) && c->fds_at < c->start;
}

/* Is it the answer to call id?  One without an id is to what is no request. */
static bool answers(const json_t *message, json_int_t id)
{
	const json_t *to = json_object_get(message, "id");

	if (json_is_null(to))
		return json_object_get(message, "error") != NULL;
	return json_is_integer(to) && json_integer_value(to) == id;
}

static int wait_for_answer(struct client *c, json_int_t id, int64_t deadline,
			   json_t **answer)
{
	json_t *message;
	int rc;

	for (;;) {
		rc = next_message(c, deadline, &message);
		if (rc)
			return rc;
		if (answers(message, id)) {
			*answer = message;
			return 0;
		}
		/* Else a notification, or the answer to a call given up. */
		if (brought_fds(c))
			drop_fds(c);
		if (json_object_get(message, "method"))
			json_array_append(c->kept, message);
		json_decref(message);
	}
}

/* Takes the reference to answer. */
static int unpack(json_t *answer, json_t **result, char *why, size_t why_size)
{
	json_t *error = json_object_get(answer, "error");
	json_t *value = json_object_get(answer, "result");
	const char *text = json_string_value(json_object_get(error, "message"));
	int rc = 0;

	if (error) {
		snprintf(why, why_size, "%s", text ? text : "unknown error");
		rc = -EREMOTEIO;
	} else {
		*result = value ? json_incref(value) : json_null();
	}
	json_decref(answer);
	return rc;
}

/* Its descriptors are left where they are. */
static int call(struct client *client, const char *method, json_t *params,
		int timeout_ms, json_t **result, char *why, size_t why_size)
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0",
				    "id", ++client->last_id, "method", method,
				    "params", params);
	autofree char *text =
		request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_t *answer = NULL;
	int rc;

	json_decref(request);
	if (!text) {
		snprintf(why, why_size, "%s: no memory, or not UTF-8", method);
		return -ENOMEM;
	}
	client->n_unsent = strlen(text);
	text[client->n_unsent++] = '\n'; /* where the NUL was */
	client->unsent = text;
	rc = wait_for_answer(client, client->last_id, deadline_of(timeout_ms),
			     &answer);
	/* Half a request is left: there is no going on from there. */
	if (client->n_unsent)
		shutdown(client->fd, SHUT_RDWR);
	client->n_unsent = 0;
	if (!rc)
		return unpack(answer, result, why, why_size);

	if (rc == -ETIMEDOUT)
		snprintf(why, why_size, "%s: no answer from lqosd in %d ms",
			 method, timeout_ms);
	else if (rc == -ECONNRESET)
		snprintf(why, why_size,
			 "%s: lqosd closed the connection: is it still "
			 "running?",
			 method);
	else
		snprintf(why, why_size, "%s: cannot read lqosd's answer: %s",
			 method, strerror(-rc));
	return rc;
}

int client_call(struct client *client, const char *method, json_t *params,
		int timeout_ms, json_t **result, char *why, size_t why_size)
{
	int rc =
		call(client, method, params, timeout_ms, result, why, why_size);

	if (brought_fds(client))
		drop_fds(client);
	return rc;
}

int client_call_fds(struct client *client, const char *method, json_t *params,
		    int timeout_ms, json_t **result, int *fds, size_t *n,
		    char *why, size_t why_size)
{
	json_t *got = NULL;
	int rc = call(client, method, params, timeout_ms, &got, why, why_size);
	size_t came = brought_fds(client) ? client->n_fds : 0;

	if (!rc && brought_fds(client) && client->fds_lost) {
		snprintf(why, why_size,
			 "%s: no room for the answer's descriptors: raise the "
			 "limit of open files (ulimit -n)",
			 method);
		rc = -EMFILE;
	} else if (!rc && came > *n) {
		snprintf(why, why_size,
			 "%s: lqosd sent %zu descriptors, expected at most "
			 "%zu: is it of another version?",
			 method, came, *n);
		rc = -E2BIG;
	}
	if (rc) {
		if (brought_fds(client))
			drop_fds(client);
		json_decref(got);
		return rc;
	}
	memcpy(fds, client->fds, came * sizeof(*fds));
	if (came)
		client->n_fds = 0;
	*n = came;
	*result = got;
	return 0;
}

int client_next(struct client *client, int timeout_ms, json_t **message)
{
	int64_t deadline = deadline_of(timeout_ms);
	json_t *next = json_array_get(client->kept, 0);
	int rc;

	if (next) {
		*message = json_incref(next);
		json_array_remove(client->kept, 0);
		return 0;
	}
	for (;;) {
		rc = next_message(client, deadline, &next);
		if (rc)
			return rc;
		if (brought_fds(client))
			drop_fds(client);
		if (json_object_get(next, "method")) {
			*message = next;
			return 0;
		}
		json_decref(next); /* the answer to a call given up */
	}
}
