/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bus on a socket of its own, with loop and clients in one thread: whoever
 * waits turns the loop, so that nothing depends on luck.
 */
#ifndef TESTS_UNIT_BUS_BENCH_H
#define TESTS_UNIT_BUS_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "tests/unit/log_capture.h"

#define BENCH_PATIENCE_MS 20000

struct bench {
	char dir[64];
	char path[80];
	struct core core;
};

static inline double bench_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static inline int bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	log_capture();
	strcpy(b->dir, "/tmp/lqos-bus-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/bus", b->dir);
	assert_int_equal(core_loop_new(&b->core.loop, &b->core), 0);
	assert_int_equal(core_ctx_new(&b->core.ctx, &b->core, "test", 0), 0);
	assert_int_equal(core_bus_new(&b->core.bus, &b->core, b->path, ""), 0);
	*state = b;
	return 0;
}

static inline int bench_teardown(void **state)
{
	struct bench *b = *state;

	core_ctx_free(&b->core.ctx);
	core_feed_free(&b->core.feed);
	core_bus_free(&b->core.bus);
	core_loop_free(&b->core.loop);
	assert_int_not_equal(access(b->path, F_OK), 0);
	assert_int_equal(rmdir(b->dir), 0);
	core_log_sink(NULL, NULL);
	free(b);
	return 0;
}

/* One look at everything that is ready. */
static inline void bench_turn(struct bench *b)
{
	event_base_loop(core_loop_base(b->core.loop),
			EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static inline void bench_turn_for(struct bench *b, double ms)
{
	double end = bench_ms() + ms;

	while (bench_ms() < end) {
		bench_turn(b);
		usleep(500);
	}
}

static inline int bench_dial(struct bench *b)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, b->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Sends all of it; false: the other side is gone. */
static inline bool bench_send(struct bench *b, int fd, const char *data,
			      size_t len)
{
	double end = bench_ms() + BENCH_PATIENCE_MS;

	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			bench_turn(b);
		assert_true(bench_ms() < end);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static inline void bench_write(struct bench *b, int fd, const char *text)
{
	assert_true(bench_send(b, fd, text, strlen(text)));
}

/* The next line, without its newline; NULL: the connection has ended. */
static inline char *bench_line(struct bench *b, int fd)
{
	double end = bench_ms() + BENCH_PATIENCE_MS;
	size_t size = 1 << 16, len = 0;
	char *line = malloc(size);

	for (;;) {
		char *newline;
		ssize_t n;

		assert_non_null(line);
		n = recv(fd, line + len, size - len - 1, MSG_PEEK);
		if (!n || (n < 0 && errno != EAGAIN)) {
			free(line);
			return NULL;
		}
		if (n < 0) {
			assert_true(bench_ms() < end);
			bench_turn(b);
			continue;
		}
		newline = memchr(line + len, '\n', (size_t)n);
		if (newline)
			n = newline - (line + len) + 1;
		assert_int_equal(recv(fd, line + len, (size_t)n, 0), n);
		len += (size_t)n;
		if (newline) {
			*newline = '\0';
			return line;
		}
		if (size - len < 1 << 16)
			line = realloc(line, size *= 2);
	}
}

static inline json_t *bench_json(struct bench *b, int fd)
{
	char *line = bench_line(b, fd);
	json_t *json;

	if (!line)
		return NULL;
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	free(line);
	return json;
}

/* Sends a line, and returns the next one that comes. */
static inline json_t *bench_ask(struct bench *b, int fd, const char *text)
{
	bench_write(b, fd, text);
	bench_write(b, fd, "\n");
	return bench_json(b, fd);
}

/* Follow names ("error", "data", ..., NULL) into json. */
static inline const json_t *bench_at(const json_t *json, const char *a,
				     const char *b, const char *c)
{
	json = json_object_get(json, a);
	if (b)
		json = json_object_get(json, b);
	return c ? json_object_get(json, c) : json;
}

static inline json_int_t bench_int(const json_t *json, const char *a,
				   const char *b, const char *c)
{
	return json_integer_value(bench_at(json, a, b, c));
}

static inline const char *bench_str(const json_t *json, const char *a,
				    const char *b, const char *c)
{
	const char *text = json_string_value(bench_at(json, a, b, c));

	return text ? text : "(none)";
}

#endif /* TESTS_UNIT_BUS_BENCH_H */
