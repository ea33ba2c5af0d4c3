/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tc_receive.c - waits as "tc exec bpf import" does, and believes nothing.
 *
 * Descriptors that have come belong to a list from the first moment, and are
 * closed with it wherever something does not hold.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <linux/bpf.h>

#include "core/cleanup.h"
#include "core/shell/grant.h"
#include "core/shell/tc.h"

enum {
	FDS_MAX = 253, /* that Linux lets a message have */
	CONTROL_SIZE = CMSG_SPACE(FDS_MAX * sizeof(int)) +
		       CMSG_SPACE(sizeof(struct ucred)),
};

struct parcel {
	struct tc_datagram datagram;
	size_t length; /* of all of it, however much was taken */
	int flags;     /* MSG_* */
	bool has_sender;
	struct ucred sender;
	unsigned int n_rights; /* control messages with descriptors */
	/* Whatever the control messages are full of; -1: taken from here. */
	int fds[CONTROL_SIZE / sizeof(int)];
	size_t n_fds;
};

static void parcel_close(struct parcel *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		core_close_p(&p->fds[i]);
	p->n_fds = 0;
}

/* ---- Where it is waited -------------------------------------------------- */

struct place {
	const char *path;
	int fd;
	int signals; /* readable: it is to end */
	sigset_t mask;
	dev_t device; /* of the file */
	ino_t inode;
};

/* Signals that would end the process wait until the file is gone.  Those that
 * it was told to ignore are none of them. */
static int hold_signals(struct place *place)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action;
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (!sigaction(ends[i], NULL, &action) &&
		    action.sa_handler != SIG_IGN)
			sigaddset(&held, ends[i]);
	place->signals = signalfd(-1, &held, SFD_CLOEXEC);
	if (place->signals < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &held, &place->mask);
	return 0;
}

/* Another file of that name is somebody else's. */
static void place_close(struct place *place)
{
	struct stat st;

	if (place->inode && !lstat(place->path, &st) &&
	    st.st_dev == place->device && st.st_ino == place->inode)
		unlink(place->path);
	core_close_p(&place->fd);
	if (place->signals >= 0)
		sigprocmask(SIG_SETMASK, &place->mask, NULL);
	core_close_p(&place->signals);
}

static int cannot_wait(int rc, const char *path, char *why, size_t why_size)
{
	snprintf(why, why_size, "cannot wait at %s: %s%s", path, strerror(-rc),
		 rc == -EADDRINUSE
			 ? ": somebody waits there, or has left it: name "
			   "another path, or remove it"
		 : rc == -ENAMETOOLONG ? ": expected 1 to 107 bytes"
				       : "");
	return rc;
}

/* Senders are known from the first datagram on; nobody else's are let in. */
static int place_bind(struct place *place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(place->path);
	const int on = 1;
	struct stat st;
	mode_t mask;
	int rc;

	if (!length || length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, place->path, length);
	place->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (place->fd < 0 ||
	    setsockopt(place->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return -errno;
	mask = umask(0177);
	rc = bind(place->fd, (struct sockaddr *)&address, sizeof(address))
		     ? -errno
		     : 0;
	umask(mask);
	if (rc)
		return rc;
	if (lstat(place->path, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -ESTALE;
	place->device = st.st_dev;
	place->inode = st.st_ino;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until something is there to be taken. */
static int place_wait(const struct place *place, int timeout_ms, char *why,
		      size_t why_size)
{
	struct pollfd fds[] = {{.fd = place->fd, .events = POLLIN},
			       {.fd = place->signals, .events = POLLIN}};
	int64_t end = now_ms() + timeout_ms, left = -1;
	int n;

	do {
		if (timeout_ms >= 0) {
			left = end - now_ms();
			left = left > 0 ? left : 0;
		}
		n = poll(fds, ARRAY_SIZE(fds), (int)left);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return cannot_wait(-errno, place->path, why, why_size);
	if (fds[1].revents) {
		snprintf(why, why_size, "interrupted while waiting at %s",
			 place->path);
		return -EINTR;
	}
	if (n)
		return 0;
	snprintf(why, why_size,
		 "no maps came to %s in %d s: does anybody export to it?",
		 place->path, timeout_ms / 1000);
	return -ETIMEDOUT;
}

/* ---- What comes ---------------------------------------------------------- */

static void take_control(struct parcel *p, struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS &&
		    size == sizeof(p->sender)) {
			memcpy(&p->sender, CMSG_DATA(c), size);
			p->has_sender = true;
		}
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(p->fds + p->n_fds, CMSG_DATA(c), size);
		p->n_fds += size / sizeof(int);
		p->n_rights++;
	}
}

/* There is room for whatever the kernel lets through, so that nothing which is
 * in there stays unknown. */
static int take(int fd, struct parcel *p)
{
	struct iovec iov = {&p->datagram, sizeof(p->datagram)};
	union {
		struct cmsghdr header;
		char room[CONTROL_SIZE];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return -errno;
	p->length = (size_t)n;
	p->flags = msg.msg_flags;
	take_control(p, &msg);
	return 0;
}

static int check(const struct parcel *p, char *why, size_t why_size)
{
	uid_t uid = p->has_sender ? p->sender.uid : (uid_t)-1;

	if (uid && uid != geteuid()) {
		snprintf(why, why_size,
			 "it is from uid %d: expected uid %u or root", (int)uid,
			 geteuid());
		return -EPERM;
	}
	if (p->flags & MSG_TRUNC)
		snprintf(why, why_size,
			 "it is of %zu bytes: expected at most %zu", p->length,
			 sizeof(p->datagram));
	else if (p->flags & MSG_CTRUNC)
		snprintf(why, why_size,
			 "some of its descriptors are lost: are too many files "
			 "open (ulimit -n)?");
	else if (p->n_rights > 1)
		snprintf(why, why_size,
			 "its descriptors come in %u parts: expected one",
			 p->n_rights);
	else
		return tc_check(&p->datagram, p->length, p->n_fds, why,
				why_size);
	return -EPROTO;
}

/* ---- Maps of them -------------------------------------------------------- */

static int check_map(const struct tc_map *said, const struct grant *is,
		     char *why, size_t why_size)
{
	const struct {
		const char *what;
		uint32_t said, is;
	} numbers[] = {
		{"type", said->type, is->type},
		{"key's size", said->key_size, is->key_size},
		{"value's size", said->value_size, is->value_size},
		{"number of entries", said->max_entries, is->max_entries},
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (numbers[i].said == numbers[i].is)
			continue;
		snprintf(why, why_size, "map %u has the %s %u, and it says %u",
			 said->id, numbers[i].what, numbers[i].is,
			 numbers[i].said);
		return -EPROTO;
	}
	return 0;
}

/* As variables of the environment would be. */
static bool is_same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		int c = *a == '.' ? '_' : *a, d = *b == '.' ? '_' : *b;

		if (toupper(c) != toupper(d))
			return false;
	}
	return !*a && !*b;
}

static bool is_taken(const struct grants *maps, const char *name)
{
	for (size_t i = 0; i < maps->n; i++)
		if (is_same_name(maps->at[i].name, name))
			return true;
	return false;
}

/* The kernel's name, in letters that any shell knows, once. */
static void name_map(struct grant *map, const struct grants *others)
{
	char name[BPF_OBJ_NAME_LEN];
	unsigned int n = 2;

	snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, map->name);
	for (char *c = name; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && *c != '_' && *c != '.'))
			*c = '_';
	if (!*name)
		snprintf(name, sizeof(name), "map%u", map->id);
	strcpy(map->name, name);
	while (is_taken(others, map->name))
		snprintf(map->name, sizeof(map->name), "%s_%u", name, n++);
}

static int add_map(struct grants *maps, const struct tc_map *said, int *fd,
		   char *why, size_t why_size)
{
	struct grant map = {.kind = GRANT_MAP,
			    .fd = *fd,
			    .module = "tc",
			    .index = said->id};
	int rc = grant_look(&map);

	if (rc == -EMEDIUMTYPE) {
		snprintf(why, why_size, "what comes as map %u is no BPF map",
			 said->id);
		return -EPROTO;
	}
	if (rc) {
		snprintf(why, why_size, "cannot look at map %u: %s", said->id,
			 strerror(-rc));
		return rc;
	}
	rc = check_map(said, &map, why, why_size);
	if (rc)
		return rc;
	name_map(&map, maps);
	rc = grants_add(maps, &map);
	*fd = -1; /* whether or not it is in there */
	if (rc)
		snprintf(why, why_size, "%s", strerror(-rc));
	return rc;
}

static int add_maps(struct grants *maps, struct parcel *p, char *why,
		    size_t why_size)
{
	int rc = check(p, why, why_size);

	for (size_t i = 0; !rc && i < p->datagram.n; i++)
		rc = add_map(maps, &p->datagram.maps[i], &p->fds[i], why,
			     why_size);
	return rc;
}

/* -EAGAIN: what was there is not there any more. */
static int receive(const struct place *place, struct grants *out, char *why,
		   size_t why_size)
{
	CORE_CLEANUP(parcel_close) struct parcel parcel = {.n_fds = 0};
	CORE_CLEANUP(grants_free) struct grants maps = {};
	char wrong[192];
	int rc;

	rc = take(place->fd, &parcel);
	if (rc) {
		snprintf(why, why_size, "cannot receive from %s: %s",
			 place->path, strerror(-rc));
		return rc;
	}
	rc = add_maps(&maps, &parcel, wrong, sizeof(wrong));
	if (rc) {
		snprintf(why, why_size, "refused what came to %s: %s",
			 place->path, wrong);
		return rc;
	}
	*out = maps;
	maps = (struct grants){};
	return 0;
}

int tc_receive(const char *path, int timeout_ms, struct grants *out, char *why,
	       size_t why_size)
{
	CORE_CLEANUP(place_close)
	struct place place = {.path = path, .fd = -1, .signals = -1};
	int rc;

	rc = hold_signals(&place) ?: place_bind(&place);
	if (rc)
		return cannot_wait(rc, path, why, why_size);
	do
		rc = place_wait(&place, timeout_ms, why, why_size)
			     ?: receive(&place, out, why, why_size);
	while (rc == -EAGAIN);
	return rc;
}
