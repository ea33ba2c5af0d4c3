/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.c - one daemon a run directory. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF "core"

/* The pid that a lock's holder wrote; 0: none. */
static pid_t holder_of(int fd)
{
	char pid[16] = "";

	if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
		return 0;
	return atoi(pid);
}

static int busy(int fd, const char *run_dir)
{
	pid_t pid = holder_of(fd);
	char text[16] = "unknown";

	if (pid)
		snprintf(text, sizeof(text), "%d", (int)pid);
	core_log(SELF, LQOS_ERR,
		 "another lqosd (pid %s) holds %s/lock: stop it, or give this "
		 "one its own run_dir, pin_dir and interfaces",
		 text, run_dir);
	return -EBUSY;
}

static int lock_path(char *out, size_t size, const char *run_dir)
{
	return snprintf(out, size, "%s/lock", run_dir) < (int)size
		       ? 0
		       : -ENAMETOOLONG;
}

/* "1: FLOCK ADVISORY WRITE 4242 00:1a:1234 0 EOF": of the file's device and
 * inode.  To try the lock instead could make a daemon's start fail. */
pid_t core_lock_holder(const char *run_dir)
{
	autofclose FILE *f = fopen("/proc/locks", "re");
	unsigned int dev_major, dev_minor;
	char path[PATH_MAX], line[256];
	unsigned long long inode;
	struct stat st;
	int pid;

	if (!f || lock_path(path, sizeof(path), run_dir) || stat(path, &st))
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid,
			   &dev_major, &dev_minor, &inode) == 4 &&
		    makedev(dev_major, dev_minor) == st.st_dev &&
		    inode == st.st_ino)
			return pid;
	return 0;
}

int core_lock_take_left(int *fd, const char *run_dir, pid_t *holder)
{
	autoclose int lock = -1;
	char path[PATH_MAX];
	int rc = lock_path(path, sizeof(path), run_dir);

	if (rc)
		return rc;
	lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0)
		return -errno;
	if (flock(lock, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		*holder = holder_of(lock);
		return rc;
	}
	*fd = steal_fd(&lock);
	return 0;
}

int core_lock_take(int *fd, const char *run_dir)
{
	autoclose int lock = -1;
	char path[PATH_MAX];
	int rc = lock_path(path, sizeof(path), run_dir);

	if (rc)
		return core_fail(SELF, rc, "run_dir %s: choose a shorter one",
				 run_dir);
	if (mkdir(run_dir, 0755) && errno != EEXIST)
		return core_fail(SELF, -errno,
				 "cannot make run_dir %s: make its parent "
				 "directory, or correct run_dir",
				 run_dir);
	/* Whoever may open it may lock it, and keep lqosd from starting. */
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || fchmod(lock, 0600))
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
