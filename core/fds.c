/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fds.c - descriptors that go with an answer on the bus (SCM_RIGHTS). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/bus.h"
#include "core/cleanup.h"

int core_fds_add(struct core_fds *fds, int fd)
{
	autoclose int copy = -1;
	int *more;

	if (fds->n == CORE_FDS_MAX)
		return -E2BIG;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	more = realloc(fds->fd, (fds->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	fds->fd = more;
	fds->fd[fds->n++] = steal_fd(&copy);
	return 0;
}

void core_fds_drop(struct core_fds *fds)
{
	while (fds->n)
		close(fds->fd[--fds->n]);
	free(fds->fd);
	fds->fd = NULL;
}

ssize_t core_fds_send(const struct core_fds *fds, int sock, const void *text,
		      size_t size)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(CORE_FDS_MAX * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)text,
			    .iov_len = size};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_SPACE(fds->n * sizeof(int)),
	};
	struct cmsghdr *head = &control.align; /* the first */
	ssize_t n;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(fds->n * sizeof(int));
	memcpy(CMSG_DATA(head), fds->fd, fds->n * sizeof(int));
	n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}
