/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.c - one daemon a run directory. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF "core"

static int busy(int fd, const char *run_dir)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	core_log(SELF, LQOS_ERR,
		 "another lqosd (pid %s) holds %s/lock: stop it, or give this "
		 "one its own run_dir, pin_dir and interfaces",
		 *pid ? pid : "unknown", run_dir);
	return -EBUSY;
}

int core_lock_take(int *fd, const char *run_dir)
{
	autoclose int lock = -1;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/lock", run_dir) >=
	    (int)sizeof(path))
		return core_fail(SELF, -ENAMETOOLONG,
				 "run_dir %s: choose a shorter one", run_dir);
	if (mkdir(run_dir, 0755) && errno != EEXIST)
		return core_fail(SELF, -errno,
				 "cannot make run_dir %s: make its parent "
				 "directory, or correct run_dir",
				 run_dir);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (lock < 0)
		return core_fail(SELF, -errno,
				 "cannot open %s: correct run_dir", path);
	if (flock(lock, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return busy(lock, run_dir);
		return core_fail(SELF, -errno, "cannot lock %s", path);
	}
	if (ftruncate(lock, 0) || dprintf(lock, "%d\n", (int)getpid()) < 0)
		return core_fail(SELF, -errno, "cannot write %s", path);
	*fd = steal_fd(&lock);
	return 0;
}
