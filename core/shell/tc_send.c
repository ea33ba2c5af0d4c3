/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tc_send.c - maps to a "tc exec bpf import" that waits for them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "core/cleanup.h"
#include "core/shell/grant.h"
#include "core/shell/tc.h"

enum { SEND_SECONDS = 2 };

static int nobody_waits(int rc, const char *path, char *why, size_t why_size)
{
	snprintf(why, why_size,
		 "cannot send to %s: %s: nobody waits there: start \"tc exec "
		 "bpf import %s run ...\" first",
		 path, strerror(-rc), path);
	return rc;
}

static int cannot_send(int rc, const char *path, const char *fix, char *why,
		       size_t why_size)
{
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return nobody_waits(rc, path, why, why_size);
	snprintf(why, why_size, "cannot send to %s: %s%s", path, strerror(-rc),
		 fix);
	return rc;
}

/*
 * Anybody may have made a socket where somebody else is expected to wait, as in
 * /tmp: whose it is is asked of the very file that is connected to.
 */
static int connect_to(const char *path, int *out, char *why, size_t why_size)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int file = open(path, O_PATH | O_CLOEXEC);
	autoclose int fd = -1;
	struct stat st;

	if (file < 0 || fstat(file, &st))
		return cannot_send(-errno, path, "", why, why_size);
	if (!S_ISSOCK(st.st_mode))
		return cannot_send(-ENOTSOCK, path,
				   ": expected what tc exec bpf import made",
				   why, why_size);
	if (st.st_uid != geteuid() && st.st_uid) {
		snprintf(why, why_size,
			 "%s belongs to uid %u, who would get the maps: "
			 "expected "
			 "uid %u or root: export them as that user",
			 path, st.st_uid, geteuid());
		return -EPERM;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return cannot_send(-errno, path, "", why, why_size);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
		 file);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return cannot_send(
			-errno, path,
			errno == EPROTOTYPE
				? ": expected what tc exec bpf import "
				  "made: another program waits there"
				: "",
			why, why_size);
	*out = steal_fd(&fd);
	return 0;
}

static size_t count_maps(const struct grants *grants)
{
	size_t n = 0;

	for (size_t i = 0; i < grants->n; i++)
		n += grants->at[i].kind == GRANT_MAP;
	return n;
}

static void fill(struct tc_datagram *d, int *fds, const struct grants *grants)
{
	for (size_t i = 0; i < grants->n; i++) {
		const struct grant *g = &grants->at[i];

		if (g->kind != GRANT_MAP)
			continue;
		fds[d->n] = g->fd;
		d->maps[d->n++] = (struct tc_map){
			.type = g->type,
			.key_size = g->key_size,
			.value_size = g->value_size,
			.max_entries = g->max_entries,
			.flags = g->flags,
			.id = g->index,
		};
	}
}

static int send_all(int fd, struct tc_datagram *d, const int *fds)
{
	size_t size = d->n * sizeof(int);
	struct iovec iov = {d, offsetof(struct tc_datagram, maps) +
				       d->n * sizeof(d->maps[0])};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(TC_MAPS_MAX * sizeof(int))];
	} control = {};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_SPACE(size)};
	ssize_t n;

	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(size),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), fds, size);
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int tc_send(const char *path, const struct grants *grants, char *why,
	    size_t why_size)
{
	struct tc_datagram d = {.version = TC_VERSION, .object = "lqos"};
	size_t n = count_maps(grants);
	int fds[TC_MAPS_MAX], rc;
	autoclose int fd = -1;
	char wrong[128];

	if (n > TC_MAPS_MAX) {
		snprintf(
			why, why_size,
			"%zu maps are too many for tc, which takes %d at most: "
			"name fewer of them with -m",
			n, TC_MAPS_MAX);
		return -E2BIG;
	}
	fill(&d, fds, grants);
	rc = tc_check(&d,
		      offsetof(struct tc_datagram, maps) +
			      d.n * sizeof(d.maps[0]),
		      n, wrong, sizeof(wrong));
	if (rc) {
		snprintf(why, why_size, "cannot send to %s: %s", path, wrong);
		return -EINVAL;
	}
	rc = connect_to(path, &fd, why, why_size);
	if (rc)
		return rc;
	rc = send_all(fd, &d, fds);
	return rc ? cannot_send(rc, path,
				rc == -EAGAIN
					? ": who waits there takes nothing"
					: "",
				why, why_size)
		  : 0;
}
