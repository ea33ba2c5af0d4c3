/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tc_peer.h - who sends to tc_receive() what he likes, from another process. */
#ifndef TESTS_UNIT_TC_PEER_H
#define TESTS_UNIT_TC_PEER_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/shell/grant.h"
#include "core/shell/tc.h"

enum {
	TC_PARTS = 3,
	TC_FDS = 253,
	TC_NOBODY = 65534,
	TC_LONG_MS = 20000, /* longer than anything takes */
};

struct tc_parcel {
	struct tc_datagram datagram;
	char more[65536];
	size_t length;
	int fds[TC_FDS];
	size_t parts[TC_PARTS]; /* descriptors of each control message */
};

static char tc_dir[64], tc_path[80], tc_why[256];

/* n maps with nothing wrong, but for descriptors that are none of maps. */
static inline void tc_honest(struct tc_parcel *p, uint16_t n)
{
	memset(p, 0, sizeof(*p));
	p->datagram.version = TC_VERSION;
	p->datagram.n = n;
	strcpy(p->datagram.object, "object.o");
	p->length =
		offsetof(struct tc_datagram, maps) + n * sizeof(struct tc_map);
	for (unsigned int i = 0; i < TC_MAPS_MAX; i++)
		p->datagram.maps[i].id = i;
	for (size_t i = 0; i < TC_FDS; i++)
		p->fds[i] = STDIN_FILENO;
	p->parts[0] = n;
}

static inline int tc_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, tc_path);
	for (int i = 0; i < TC_LONG_MS / 2; i++) {
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		if (errno != ENOENT && errno != ECONNREFUSED)
			break;
		usleep(2000);
	}
	close(fd);
	return -1;
}

static inline int tc_send_parcel(int fd, const struct tc_parcel *p)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(TC_FDS * sizeof(int)) +
			  TC_PARTS * CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = {(void *)&p->datagram, p->length};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	const int *fds = p->fds;

	for (int i = 0; i < TC_PARTS && p->parts[i]; i++) {
		size_t size = p->parts[i] * sizeof(int);
		struct cmsghdr *c = (void *)(control.room + msg.msg_controllen);

		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(size),
				      .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), fds, size);
		fds += p->parts[i];
		msg.msg_controllen += CMSG_SPACE(size);
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* A process that does what it is told; tc_ended() is its exit status. */
static inline pid_t tc_peer(int (*run)(const void *arg), const void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(run(arg) ? 1 : 0);
	return pid;
}

static inline int tc_ended(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int tc_run_send(const void *parcel)
{
	int fd = tc_connect();

	return fd < 0 ? fd : tc_send_parcel(fd, parcel);
}

static inline int tc_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void tc_says(const char *text)
{
	if (!strstr(tc_why, text))
		fail_msg("nothing like \"%s\" in: %s", text, tc_why);
}

/* tc_receive() fails, and nothing is left of it or of what came. */
static inline void tc_refuses(int timeout_ms, int rc, const char *says)
{
	struct grants maps = {.n = 77};
	int fds = tc_open_fds(), got;

	*tc_why = '\0';
	got = tc_receive(tc_path, timeout_ms, &maps, tc_why, sizeof(tc_why));
	if (got != rc)
		fail_msg("%d (%s), expected %d: %s", got, strerror(-got), rc,
			 tc_why);
	tc_says(says);
	assert_null(strchr(tc_why, '\n'));
	assert_int_equal(maps.n, 77);
	assert_int_equal(tc_open_fds(), fds);
}

static inline void tc_is_gone(void)
{
	assert_int_equal(access(tc_path, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* A parcel that is refused. */
static inline void tc_refused(const struct tc_parcel *p, int rc,
			      const char *says)
{
	pid_t pid = tc_peer(tc_run_send, p);

	tc_refuses(TC_LONG_MS, rc, says);
	assert_int_equal(tc_ended(pid), 0);
	tc_says(tc_path);
	tc_is_gone();
}

static inline int tc_setup(void **state)
{
	(void)state;
	strcpy(tc_dir, "/tmp/lqos-tc-XXXXXX");
	if (!mkdtemp(tc_dir) || chmod(tc_dir, 0711))
		return -1;
	snprintf(tc_path, sizeof(tc_path), "%s/maps", tc_dir);
	return 0;
}

/* Nothing is in there any more, or it stays. */
static inline int tc_teardown(void **state)
{
	(void)state;
	return rmdir(tc_dir);
}

#endif /* TESTS_UNIT_TC_PEER_H */
