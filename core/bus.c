/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus: who is connected, what they sent and what they are still to get. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "core/bus.h"
#include "core/cleanup.h"

enum {
	REQUESTS_PER_WAKEUP = 16,
	CLIENT_NS = 2000000,
	TURN_NS = 20000000,
	READ_AT_ONCE = 64 << 10,
	WRITE_AT_ONCE = 256 << 10,
	BACKLOG = 1024,
};

static const struct timeval at_once = {0, 0};
static const struct timeval accept_pause = {.tv_sec = 1};
static const struct timeval goodbye_time = {.tv_sec = 5};
static const struct timeval patience = {.tv_sec = 30};

typedef void (*client_fn)(struct core_bus_client *client, void *arg);

struct core_bus_client {
	LIST_ENTRY(core_bus_client) link;
	struct core_bus *bus;
	struct bufferevent *bev;
	struct event *more; /* requests are left for the next wake-up */
	uid_t uid;
	pid_t pid;	     /* that connected */
	struct core_fds fds; /* they go with the answer in the making */
	size_t scanned;	     /* so much of the input has no newline */
	bool paused;	     /* not read from until it has read */
	bool eof;	     /* no more will come */
	bool hurried; /* an answer waits that is too much to keep for long */
	bool closing; /* freed once the output is empty */
	client_fn on_close, on_drain;
	void *close_arg, *drain_arg;
};

/* ---- Lines --------------------------------------------------------------- */

struct core_bus_line {
	unsigned int refs;
	size_t size;
	char *text;
};

int core_bus_line_new(struct core_bus_line **out, const json_t *value,
		      const char *tail)
{
	autofree struct core_bus_line *line = calloc(1, sizeof(*line));
	autofree char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	size_t len, tail_len = strlen(tail);
	char *longer;

	if (!line || !text)
		return -ENOMEM;
	len = strlen(text);
	longer = realloc(text, len + tail_len + 1);
	if (!longer)
		return -ENOMEM;
	memcpy(longer + len, tail, tail_len + 1);
	text = NULL;

	line->refs = 1;
	line->size = len + tail_len;
	line->text = longer;
	*out = steal_ptr(line);
	return 0;
}

struct core_bus_line *core_bus_line_ref(struct core_bus_line *line)
{
	line->refs++;
	return line;
}

void core_bus_line_unref(struct core_bus_line *line)
{
	if (!line || --line->refs)
		return;
	free(line->text);
	free(line);
}

size_t core_bus_line_size(const struct core_bus_line *line)
{
	return line->size;
}

static void line_left(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	core_bus_line_unref(arg);
}

/* ---- Clients ------------------------------------------------------------- */

uid_t core_bus_client_uid(const struct core_bus_client *client)
{
	return client->uid;
}

pid_t core_bus_client_pid(const struct core_bus_client *client)
{
	return client->pid;
}

void core_bus_client_on_close(struct core_bus_client *client, client_fn fn,
			      void *arg)
{
	client->on_close = fn;
	client->close_arg = arg;
}

void core_bus_client_on_drain(struct core_bus_client *client, client_fn fn,
			      void *arg)
{
	client->on_drain = fn;
	client->drain_arg = arg;
}

size_t core_bus_client_pending(const struct core_bus_client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->bev));
}

int core_bus_client_send(struct core_bus_client *client, const char *head,
			 struct core_bus_line *line)
{
	/* Joined first: a head must not go out without its line. */
	struct evbuffer *whole;
	int rc = 0;

	if (client->closing)
		return -EPIPE;
	whole = evbuffer_new();
	if (!whole)
		return -ENOMEM;

	core_bus_line_ref(line);
	if (head && evbuffer_add(whole, head, strlen(head)))
		rc = -ENOMEM;
	if (rc || evbuffer_add_reference(whole, line->text, line->size,
					 line_left, line)) {
		core_bus_line_unref(line);
		rc = -ENOMEM;
	}
	if (!rc &&
	    evbuffer_add_buffer(bufferevent_get_output(client->bev), whole))
		rc = -ENOMEM;
	evbuffer_free(whole);
	return rc;
}

static void client_free(struct core_bus_client *client)
{
	LIST_REMOVE(client, link);
	client->bus->stats.clients--;
	if (client->on_close)
		client->on_close(client, client->close_arg);
	if (client->more)
		event_free(client->more);
	core_fds_drop(&client->fds);
	bufferevent_free(client->bev);
	free(client);
}

/* What was sent to the client leaves, then it goes.  It may be gone at once. */
static void client_finish(struct core_bus_client *client)
{
	client->closing = true;
	event_del(client->more);
	bufferevent_disable(client->bev, EV_READ);
	if (core_bus_client_pending(client) &&
	    !bufferevent_enable(client->bev, EV_WRITE))
		bufferevent_set_timeouts(client->bev, NULL, &goodbye_time);
	else
		client_free(client);
}

int core_bus_client_add_fd(struct core_bus_client *client, int fd)
{
	return core_fds_add(&client->fds, fd);
}

void core_bus_client_drop_fds(struct core_bus_client *client)
{
	core_fds_drop(&client->fds);
}

/* With its descriptors, which are no part of what waits to leave: they go now,
 * or not at all. */
static int send_with_fds(struct core_bus_client *client,
			 const struct core_bus_line *line)
{
	ssize_t sent = -EAGAIN;

	if (!core_bus_client_pending(client))
		sent = core_fds_send(&client->fds,
				     bufferevent_getfd(client->bev), line->text,
				     line->size);
	if (sent < 0)
		return (int)sent;
	if ((size_t)sent < line->size &&
	    evbuffer_add(bufferevent_get_output(client->bev), line->text + sent,
			 line->size - (size_t)sent))
		return -ENOMEM;
	return 0;
}

/* Takes the reference to message. */
static int send_message(struct core_bus_client *client, json_t *message)
{
	struct core_bus_line *line;
	int rc = core_bus_line_new(&line, message, "\n");

	json_decref(message);
	if (rc)
		return rc;
	rc = core_bus_client_send(client, NULL, line);
	if (!rc && core_bus_line_size(line) > CORE_BUS_OUT_MAX) {
		client->hurried = true;
		bufferevent_set_timeouts(client->bev, NULL, &patience);
	}
	core_bus_line_unref(line);
	return rc;
}

/* The length of the first line, or -1: its end is still to come. */
static ssize_t line_length(struct core_bus_client *client)
{
	struct evbuffer *in = bufferevent_get_input(client->bev);
	size_t have = evbuffer_get_length(in);
	struct evbuffer_ptr at = {.pos = -1};

	if (client->scanned < have) {
		evbuffer_ptr_set(in, &at, client->scanned, EVBUFFER_PTR_SET);
		at = evbuffer_search(in, "\n", 1, &at);
		client->scanned = at.pos < 0 ? have : (size_t)at.pos;
	}
	if (at.pos < 0 && have && (client->eof || have > CORE_BUS_LINE_MAX))
		return have;
	return at.pos;
}

/* Takes the reference to reply. */
static int hand_over(struct core_bus_client *client, json_t *reply)
{
	struct core_bus_line *line;
	int rc = core_bus_line_new(&line, reply, "\n");
	json_t *error;

	if (!rc) {
		rc = send_with_fds(client, line);
		core_bus_line_unref(line);
	}
	if (rc != -EAGAIN && rc != -ETOOMANYREFS) {
		json_decref(reply);
		return rc;
	}
	client->bus->stats.errors++;
	error = core_rpc_error(
		json_object_get(reply, "id"), RPC_FAILED, rc,
		"the answer's descriptors cannot be sent: %s: read what was "
		"answered before, and ask again",
		strerror(-rc));
	json_decref(reply);
	return error ? send_message(client, error) : -ENOMEM;
}

static int answer(struct core_bus_client *client, size_t len)
{
	struct evbuffer *in = bufferevent_get_input(client->bev);
	const char *line = "";
	json_t *reply = NULL;
	int rc;

	if (len)
		line = (const char *)evbuffer_pullup(in, len);
	if (!line)
		return -ENOMEM;
	rc = core_bus_handle(client->bus, client, client->uid, line, len,
			     &reply);
	/* With the newline, which only the last line before EOF lacks. */
	evbuffer_drain(in, len + 1);
	client->scanned = 0;
	if (!rc && reply)
		rc = client->fds.n ? hand_over(client, reply)
				   : send_message(client, reply);
	core_fds_drop(&client->fds);
	return rc;
}

static void refuse_overlong(struct core_bus_client *client)
{
	json_t *reply = core_rpc_error(
		NULL, RPC_INVALID_REQUEST, -EMSGSIZE,
		"a request of more than %d bytes: send smaller ones, one a "
		"line",
		CORE_BUS_LINE_MAX);

	client->bus->stats.overlong++;
	client->bus->stats.errors++;
	if (reply)
		send_message(client, reply);
	client_finish(client);
}

/* Who sends faster than he is served waits until all is served.  A watermark of
 * libevent would end us where there is no memory for it (2.1.12). */
static void hold_on(struct core_bus_client *client)
{
	struct evbuffer *in = bufferevent_get_input(client->bev);

	if (evbuffer_get_length(in) > CORE_BUS_LINE_MAX)
		bufferevent_disable(client->bev, EV_READ);
}

static int hear(struct core_bus_client *client)
{
	if (bufferevent_get_enabled(client->bev) & EV_READ)
		return 0;
	return bufferevent_enable(client->bev, EV_READ) ? -ENOMEM : 0;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/*
 * Until when a client is served in this turn of the loop: there is a time for
 * one, and one for all together, so that whatever many ask for keeps nobody
 * else for long.
 */
static int64_t served_until(struct core_bus *bus)
{
	int64_t now = now_ns();
	struct timeval turn;

	/* Which is the same all through a turn. */
	event_base_gettimeofday_cached(core_loop_base(bus->core->loop), &turn);
	if (turn.tv_sec != bus->turn.tv_sec ||
	    turn.tv_usec != bus->turn.tv_usec) {
		bus->turn = turn;
		bus->turn_end = now + TURN_NS;
	}
	return now + CLIENT_NS < bus->turn_end ? now + CLIENT_NS
					       : bus->turn_end;
}

/* Handles what has come in.  The client may be gone after that. */
static void serve(struct core_bus_client *client)
{
	int64_t until = served_until(client->bus);
	ssize_t len;
	int rc;

	for (int n = 0; n < REQUESTS_PER_WAKEUP && now_ns() < until; n++) {
		if (core_bus_client_pending(client) > CORE_BUS_OUT_MAX) {
			client->paused = true;
			bufferevent_disable(client->bev, EV_READ);
			return;
		}
		len = line_length(client);
		if (len > CORE_BUS_LINE_MAX) {
			refuse_overlong(client);
			return;
		}
		if (len < 0) {
			if (client->eof || hear(client))
				client_finish(client);
			return;
		}
		rc = answer(client, len);
		if (rc) {
			/* Who has gone on the way is no news. */
			if (rc != -EPIPE)
				core_fail("bus", rc,
					  "cannot answer a request, closing "
					  "its connection");
			client_finish(client);
			return;
		}
	}
	hold_on(client);
	/* Not event_active(): the others are to have their turn. */
	if (event_add(client->more, &at_once)) {
		core_fail("bus", -ENOMEM, "cannot serve a client any longer");
		client_finish(client);
	}
}

static void on_more(evutil_socket_t fd, short events, void *arg)
{
	struct core_bus_client *client = arg;

	(void)fd;
	(void)events;
	if (!client->paused)
		serve(client);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct core_bus_client *client = arg;

	(void)bev;
	/* One that waits for its turn does not get another by sending more. */
	if (event_pending(client->more, EV_TIMEOUT, NULL))
		hold_on(client);
	else
		serve(client);
}

static void on_drain(struct bufferevent *bev, void *arg)
{
	struct core_bus_client *client = arg;

	(void)bev;
	if (client->closing) {
		client_free(client);
		return;
	}
	if (client->hurried)
		bufferevent_set_timeouts(client->bev, NULL, NULL);
	client->hurried = false;
	if (client->on_drain)
		client->on_drain(client, client->drain_arg);
	if (client->paused) {
		client->paused = false;
		if (!client->eof && bufferevent_enable(client->bev, EV_READ))
			client_finish(client);
		else
			serve(client);
	}
}

static void on_event(struct bufferevent *bev, short events, void *arg)
{
	struct core_bus_client *client = arg;

	(void)bev;
	if (!(events & BEV_EVENT_EOF)) {
		client_free(client);
		return;
	}
	client->eof = true;
	if (!event_pending(client->more, EV_TIMEOUT, NULL))
		serve(client);
}

static int client_new(struct core_bus *bus, int fd_)
{
	autofree struct core_bus_client *client = calloc(1, sizeof(*client));
	struct event_base *base = core_loop_base(bus->core->loop);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	autoclose int fd = fd_;

	if (!client)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	client->bus = bus;
	client->uid = cred.uid;
	client->pid = cred.pid;
	client->more = event_new(base, -1, 0, on_more, client);
	if (!client->more)
		return -ENOMEM;
	client->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!client->bev) {
		event_free(client->more);
		return -ENOMEM;
	}
	fd = -1;

	bufferevent_setcb(client->bev, on_read, on_drain, on_event, client);
	bufferevent_set_max_single_read(client->bev, READ_AT_ONCE);
	bufferevent_set_max_single_write(client->bev, WRITE_AT_ONCE);
	/* Nobody would ever see that it has gone. */
	if (bufferevent_enable(client->bev, EV_READ | EV_WRITE)) {
		event_free(client->more);
		bufferevent_free(client->bev);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&bus->clients, client, link);
	bus->stats.clients++;
	bus->stats.accepted++;
	steal_ptr(client);
	return 0;
}

/* ---- The socket ---------------------------------------------------------- */

static void refuse_client(struct core_bus *bus, int fd)
{
	json_t *reply =
		core_rpc_error(NULL, RPC_FAILED, -EUSERS,
			       "%d clients are connected to the bus: close one",
			       CORE_BUS_CLIENTS_MAX);
	struct core_bus_line *line;

	bus->stats.refused++;
	if (reply && !core_bus_line_new(&line, reply, "\n")) {
		/* Best effort: whoever is refused may not even listen. */
		(void)!send(fd, line->text, line->size,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		core_bus_line_unref(line);
	}
	json_decref(reply);
	close(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
		      struct sockaddr *addr, int len, void *arg)
{
	struct core_bus *bus = arg;
	int rc;

	(void)listener;
	(void)addr;
	(void)len;
	if (bus->stats.clients >= CORE_BUS_CLIENTS_MAX) {
		refuse_client(bus, fd);
		return;
	}
	rc = client_new(bus, fd);
	if (rc)
		core_fail("bus", rc, "cannot take a new client");
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct core_bus *bus = arg;

	/* The connection stays in the queue and would wake us at once again. */
	core_fail("bus", -errno,
		  "accept on %s, trying again in a second (LimitNOFILE= of "
		  "lqosd.service raises the number of files)",
		  bus->path);
	evconnlistener_disable(listener);
	event_add(bus->accept_again, &accept_pause);
}

static void on_accept_again(evutil_socket_t fd, short events, void *arg)
{
	struct core_bus *bus = arg;

	(void)fd;
	(void)events;
	if (evconnlistener_enable(bus->listener))
		event_add(bus->accept_again, &accept_pause);
}

/* Nobody can connect before listen(), so there is time for both. */
static int give_to_group(const char *path, const char *group)
{
	const struct group *gr;

	errno = 0;
	gr = group && *group ? getgrnam(group) : NULL;
	/* Not there is 0, or one of these: getgrnam(3). */
	if (!gr && errno && errno != ENOENT && errno != ESRCH &&
	    errno != EBADF && errno != EPERM)
		core_log("bus", LQOS_WARN,
			 "cannot look up group \"%s\": %s: only root can use "
			 "%s until lqosd is started again",
			 group, strerror(errno), path);
	else if (!gr)
		core_log("bus", LQOS_INFO,
			 "no group \"%s\": only root can use %s (groupadd -r "
			 "adds one)",
			 group ? group : "", path);
	else if (chown(path, -1, gr->gr_gid))
		core_log("bus", LQOS_WARN, "cannot give %s to group %s: %s",
			 path, group, strerror(errno));
	if (chmod(path, 0660))
		return core_fail("bus", -errno, "chmod 0660 %s", path);
	return 0;
}

static int bus_bind(struct core_bus *bus, const char *path, int *out)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	autoclose int fd = -1;
	struct stat st;

	if (strlen(path) >= sizeof(addr.sun_path))
		return core_fail("bus", -ENAMETOOLONG,
				 "%s: a socket's path has at most %zu letters, "
				 "choose a shorter run_dir",
				 path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);

	/* Left by one that was killed: its lock is ours, so it is not alive. */
	if (!lstat(path, &st)) {
		if (!S_ISSOCK(st.st_mode))
			return core_fail("bus", -EEXIST,
					 "%s is no socket: move it away", path);
		if (unlink(path))
			return core_fail("bus", -errno,
					 "cannot remove the old %s", path);
	}

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return core_fail("bus", -errno, "socket");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return core_fail("bus", -errno,
				 "cannot bind %s: does its directory exist, "
				 "and may we write to it?",
				 path);
	bus->path = strdup(path);
	if (!bus->path) {
		unlink(path);
		return -ENOMEM;
	}
	*out = steal_fd(&fd);
	return 0;
}

int core_bus_new(struct core_bus **out, struct core *core, const char *path,
		 const char *group)
{
	struct core_bus *bus CORE_CLEANUP(core_bus_free) =
		calloc(1, sizeof(*bus));
	struct event_base *base = core_loop_base(core->loop);
	autoclose int fd = -1;
	int rc;

	if (!bus)
		return -ENOMEM;
	bus->core = core;
	LIST_INIT(&bus->commands);
	LIST_INIT(&bus->clients);

	/* A client that goes away while it is written to must not end us. */
	signal(SIGPIPE, SIG_IGN);

	rc = bus_bind(bus, path, &fd);
	if (rc)
		return rc;
	rc = give_to_group(path, group);
	if (rc)
		return rc;
	bus->accept_again = event_new(base, -1, 0, on_accept_again, bus);
	if (!bus->accept_again)
		return -ENOMEM;
	bus->listener = evconnlistener_new(base, on_accept, bus,
					   LEV_OPT_CLOSE_ON_FREE |
						   LEV_OPT_CLOSE_ON_EXEC |
						   LEV_OPT_DISABLED,
					   BACKLOG, fd);
	if (!bus->listener)
		return core_fail("bus", -errno, "listen on %s", path);
	fd = -1;
	/* Which would say nothing if it did this itself. */
	if (evconnlistener_enable(bus->listener))
		return core_fail("bus", -errno, "cannot watch %s", path);
	evconnlistener_set_error_cb(bus->listener, on_accept_error);

	*out = steal_ptr(bus);
	return 0;
}

void core_bus_free(struct core_bus **bus)
{
	struct core_bus *b = *bus;
	struct core_bus_client *client;

	*bus = NULL;
	if (!b)
		return;

	if (b->listener)
		evconnlistener_free(b->listener);
	if (b->accept_again)
		event_free(b->accept_again);
	while ((client = LIST_FIRST(&b->clients)))
		client_free(client);
	core_rpc_clear(b);
	if (b->path && unlink(b->path) && errno != ENOENT)
		core_fail("bus", -errno, "cannot remove %s", b->path);
	free(b->path);
	free(b);
}

void core_bus_stats(const struct core_bus *bus, struct core_bus_stats *out)
{
	*out = bus->stats;
}
