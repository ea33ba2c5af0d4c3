/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "pins"

/* The directory in dir's path where a BPF file system belongs. */
static void mount_point(const char *dir, char *out, size_t size)
{
	static const char usual[] = "/sys/fs/bpf";

	if (!strncmp(dir, usual, strlen(usual)))
		snprintf(out, size, "%s", usual);
	else
		snprintf(out, size, "%s", dir);
}

static int is_bpffs(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs))
		return -errno;
	return fs.f_type == BPF_FS_MAGIC;
}

static int make_dirs(const char *path)
{
	char part[PATH_MAX];
	size_t i;

	snprintf(part, sizeof(part), "%s", path);
	for (i = 1; part[i]; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -errno;
		part[i] = '/';
	}
	return mkdir(part, 0700) && errno != EEXIST ? -errno : 0;
}

static int ensure_bpffs(const char *dir)
{
	char root[PATH_MAX];
	int rc;

	mount_point(dir, root, sizeof(root));
	rc = is_bpffs(root);
	if (rc == -ENOENT) {
		rc = make_dirs(root);
		if (rc)
			return core_fail(WHO, rc, "cannot make %s", root);
		rc = is_bpffs(root);
	}
	if (rc < 0)
		return core_fail(WHO, rc, "cannot look at %s", root);
	if (rc)
		return 0;
	if (mount("bpf", root, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0700"))
		return core_fail(WHO, -errno,
				 "no BPF file system at %s, and cannot mount "
				 "one: try `mount -t bpf bpf %s`",
				 root, root);
	core_log(WHO, LQOS_INFO, "mounted a BPF file system at %s", root);
	return 0;
}

/* Removes what is below path, and path; other people's directories in there
 * would stop it, and nothing but pins and directories can be in a bpffs. */
static int remove_tree(const char *path)
{
	struct dirent *entry;
	int rc = 0;
	DIR *d;

	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(d))) {
		char child[PATH_MAX];

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path,
			     entry->d_name) >= (int)sizeof(child))
			continue;
		if (entry->d_type == DT_DIR)
			rc = remove_tree(child) ?: rc;
		else if (unlink(child))
			rc = -errno;
	}
	closedir(d);
	if (rmdir(path))
		rc = -errno;
	return rc;
}

static void in_dir(char *out, const char *dir, const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

/* The directory itself is the lock. */
static int lock_dir(const char *dir, int *lock)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return core_fail(WHO, -errno, "cannot open %s", dir);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return core_fail(
			WHO, errno == EWOULDBLOCK ? -EBUSY : -errno,
			"another lqosd keeps its pins in %s: give this "
			"one a pin_dir of its own",
			dir);
	*lock = steal_fd(&fd);
	return 0;
}

int pins_open(const char *dir, int *lock)
{
	static const char *const subdirs[] = {"maps", "links"};
	char path[PATH_MAX], old[PATH_MAX];
	size_t i;
	int rc;

	rc = ensure_bpffs(dir);
	if (rc)
		return rc;
	rc = make_dirs(dir);
	if (rc)
		return core_fail(WHO, rc, "cannot make %s", dir);
	rc = lock_dir(dir, lock);
	if (rc)
		return rc;
	in_dir(path, dir, "maps");
	in_dir(old, dir, "maps_old");
	if (!access(path, F_OK)) {
		/* Its programs run on until ours take their place. */
		rc = remove_tree(old);
		if (rc)
			return core_fail(WHO, rc, "cannot remove %s", old);
		if (rename(path, old))
			return core_fail(WHO, -errno, "cannot rename %s", path);
		core_log(WHO, LQOS_INFO,
			 "an earlier run left its datapath in %s: taking over",
			 dir);
	}
	for (i = 0; i < ARRAY_SIZE(subdirs); i++) {
		in_dir(path, dir, subdirs[i]);
		if (mkdir(path, 0700) && errno != EEXIST)
			return core_fail(WHO, -errno, "cannot make %s", path);
	}
	return 0;
}

int pins_add_map(const char *dir, const char *module, const char *name, int fd)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/maps/%s", dir, module);
	if (mkdir(path, 0700) && errno != EEXIST)
		return core_fail(WHO, -errno, "cannot make %s", path);
	snprintf(path, sizeof(path), "%s/maps/%s/%s", dir, module, name);
	if (bpf_obj_pin(fd, path))
		return core_fail(WHO, -errno, "cannot pin %s", path);
	return 0;
}

void pins_commit(const char *dir)
{
	char old[PATH_MAX];
	int rc;

	in_dir(old, dir, "maps_old");
	rc = remove_tree(old);
	if (rc)
		core_fail(WHO, rc, "cannot remove %s", old);
}

void pins_rollback(const char *dir)
{
	char path[PATH_MAX], old[PATH_MAX];

	in_dir(path, dir, "maps");
	in_dir(old, dir, "maps_old");
	if (access(old, F_OK)) {
		pins_remove(dir);
		return;
	}
	if (remove_tree(path) || rename(old, path))
		core_fail(WHO, -errno, "cannot put %s back", path);
}

void pins_remove(const char *dir)
{
	int rc = remove_tree(dir);

	if (rc)
		core_fail(WHO, rc, "cannot remove %s", dir);
}
