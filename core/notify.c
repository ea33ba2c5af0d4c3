/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * systemd's readiness protocol (sd_notify(3)): datagrams to $NOTIFY_SOCKET.
 * Nothing here may hold up or fail the daemon.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/core.h"

struct core_notify {
	struct lqos_ctx *ctx; /* owns the watchdog's timer */
	int fd;
	struct sockaddr_un addr;
	socklen_t addr_len;
};

static void tell(struct core_notify *notify, const char *state)
{
	if (!notify || notify->fd < 0)
		return;
	if (sendto(notify->fd, state, strlen(state),
		   MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *)&notify->addr,
		   notify->addr_len) < 0)
		core_log("notify", LQOS_WARN,
			 "cannot send \"%s\" to systemd ($NOTIFY_SOCKET): %s",
			 state, strerror(errno));
}

/* A path, or @name in the abstract namespace. */
static int open_socket(struct core_notify *notify, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || !path[1] ||
	    len >= sizeof(notify->addr.sun_path))
		return -EINVAL;
	notify->addr.sun_family = AF_UNIX;
	memcpy(notify->addr.sun_path, path, len);
	notify->addr_len = offsetof(struct sockaddr_un, sun_path) + len;
	if (path[0] == '@')
		notify->addr.sun_path[0] = '\0';

	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->fd < 0 ? -errno : 0;
}

/* A positive number and nothing else; 0: it is not. */
static unsigned long long parse(const char *text)
{
	unsigned long long value;

	if (!text || !*text || text[strspn(text, "0123456789")])
		return 0;
	errno = 0;
	value = strtoull(text, NULL, 10);
	return errno ? 0 : value;
}

/* How often to tell that we are alive: twice as often as asked; 0: never. */
static uint32_t watchdog_ms(void)
{
	unsigned long long usec = parse(getenv("WATCHDOG_USEC"));
	const char *pid = getenv("WATCHDOG_PID");
	unsigned long long ms = usec / 2000;

	if (!usec || (pid && parse(pid) != (unsigned long long)getpid()))
		return 0;
	if (ms > UINT32_MAX)
		return UINT32_MAX;
	return ms ? (uint32_t)ms : 1;
}

static void on_watchdog(void *arg)
{
	tell(arg, "WATCHDOG=1");
}

int core_notify_new(struct core_notify **out, struct core *core)
{
	CORE_CLEANUP(core_notify_free)
	struct core_notify *notify = calloc(1, sizeof(*notify));
	const char *path = getenv("NOTIFY_SOCKET");
	uint32_t ms = watchdog_ms();
	int rc;

	if (!notify)
		return -ENOMEM;
	notify->fd = -1;
	rc = core_ctx_new(&notify->ctx, core, "notify", 0);
	if (rc)
		return rc;

	if (path && *path) {
		rc = open_socket(notify, path);
		if (rc)
			core_log("notify", LQOS_WARN,
				 "cannot use $NOTIFY_SOCKET \"%s\", systemd "
				 "will not hear of us: %s",
				 path, strerror(-rc));
	}
	if (notify->fd >= 0 && ms) {
		rc = lqos_timer_every(notify->ctx, ms, on_watchdog, notify,
				      NULL);
		if (rc)
			core_log("notify", LQOS_WARN,
				 "no watchdog timer, systemd will restart us: "
				 "%s",
				 strerror(-rc));
	}
	*out = steal_ptr(notify);
	return 0;
}

void core_notify_free(struct core_notify **notify)
{
	struct core_notify *n = *notify;

	*notify = NULL;
	if (!n)
		return;
	core_ctx_free(&n->ctx);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

void core_notify_ready(struct core_notify *notify)
{
	tell(notify, "READY=1");
}

void core_notify_stopping(struct core_notify *notify)
{
	tell(notify, "STOPPING=1");
}

void core_notify_status(struct core_notify *notify, const char *fmt, ...)
{
	char state[256] = "STATUS=";
	size_t len = strlen(state);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state + len, sizeof(state) - len, fmt, ap);
	va_end(ap);
	/* A further line would be a further assignment. */
	for (char *p = state; *p; p++)
		if (*p == '\n')
			*p = ' ';
	tell(notify, state);
}
