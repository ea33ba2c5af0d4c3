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

struct pins {
	char dir[PATH_MAX - 128]; /* with room for what is in it */
	int lock;
	bool mounted;	/* by us, on dir itself: to be unmounted again */
	bool earlier;	/* maps/ was there when they were opened */
	bool published; /* our maps are maps/, not maps_new/ */
	bool kept;	/* they are for whoever comes next */
};

#define BPFFS_USUAL "/sys/fs/bpf"

/* The directory in dir's path where a BPF file system belongs. */
static const char *mount_point(const char *dir)
{
	size_t n = strlen(BPFFS_USUAL);

	return !strncmp(dir, BPFFS_USUAL, n) && (!dir[n] || dir[n] == '/')
		       ? BPFFS_USUAL
		       : dir;
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

static int ensure_bpffs(struct pins *pins)
{
	const char *root = mount_point(pins->dir);
	int rc;

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
				 "one: try `mount -t bpf -o mode=0700 bpf %s`",
				 root, root);
	/* The usual place stays mounted: others may use it by now. */
	pins->mounted = root == pins->dir;
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

static void in_dir(char *out, const struct pins *pins, const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", pins->dir, name);
}

static int remove_dir(const struct pins *pins, const char *name)
{
	char path[PATH_MAX];
	int rc;

	in_dir(path, pins, name);
	rc = remove_tree(path);
	return rc ? core_fail(WHO, rc, "cannot remove %s", path) : 0;
}

/* maps_old, maps_old1...: which earlier runs left, of whichever number. */
static void old_name(unsigned int i, char *out, size_t size)
{
	if (i)
		snprintf(out, size, "maps_old%u", i);
	else
		snprintf(out, size, "maps_old");
}

static bool old_exists(const struct pins *pins, unsigned int i)
{
	char path[PATH_MAX], name[32];

	old_name(i, name, sizeof(name));
	in_dir(path, pins, name);
	return !access(path, F_OK);
}

/* Ended between the two renames of pins_publish(): what was maps/ still is what
 * runs. */
static int undo_publish(const struct pins *pins)
{
	char maps[PATH_MAX], old[PATH_MAX], name[32];
	unsigned int i = 0;

	in_dir(maps, pins, "maps");
	if (!access(maps, F_OK))
		return 0;
	while (old_exists(pins, i))
		i++;
	if (!i)
		return 0;
	old_name(i - 1, name, sizeof(name));
	in_dir(old, pins, name);
	return rename(old, maps)
		       ? core_fail(WHO, -errno, "cannot rename %s to %s", old,
				   maps)
		       : 0;
}

static void remove_old(const struct pins *pins)
{
	unsigned int i = 0;
	char name[32];

	while (old_exists(pins, i))
		i++;
	/* The newest first: what cannot be removed leaves no gap behind which
	 * nobody would look. */
	while (i-- > 0) {
		old_name(i, name, sizeof(name));
		if (remove_dir(pins, name))
			return;
	}
}

/* The directory itself is the lock. */
static int lock_dir(struct pins *pins)
{
	autoclose int fd = open(pins->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	pins->lock = steal_fd(&fd);
	return 0;
}

static int make_dir(const struct pins *pins, const char *name)
{
	char path[PATH_MAX];

	in_dir(path, pins, name);
	return mkdir(path, 0700) && errno != EEXIST
		       ? core_fail(WHO, -errno, "cannot make %s", path)
		       : 0;
}

static int new_pins(struct pins **out, const char *dir)
{
	struct pins *pins = calloc(1, sizeof(*pins));

	if (!pins)
		return -ENOMEM;
	pins->lock = -1;
	if (snprintf(pins->dir, sizeof(pins->dir), "%s", dir) >=
	    (int)sizeof(pins->dir)) {
		free(pins);
		core_fail(WHO, -ENAMETOOLONG, "pin_dir %s", dir);
		return -ENAMETOOLONG;
	}
	*out = pins;
	return 0;
}

int core_pins_open(struct pins **out, const char *dir)
{
	struct pins *pins;
	char path[PATH_MAX];
	int rc;

	rc = new_pins(&pins, dir);
	if (rc)
		return rc;
	rc = ensure_bpffs(pins);
	if (!rc) {
		rc = make_dirs(dir);
		if (rc)
			core_fail(WHO, rc, "cannot make %s", dir);
	}
	if (!rc) {
		rc = lock_dir(pins);
		if (rc == -EBUSY)
			core_fail(WHO, rc,
				  "another lqosd keeps its pins in %s: give "
				  "this one a pin_dir of its own",
				  dir);
		else if (rc)
			core_fail(WHO, rc, "cannot open %s", dir);
	}
	if (rc) {
		/* Nobody's pins are in it, or it stays. */
		rmdir(dir);
		free(pins);
		return rc;
	}
	rc = undo_publish(pins);
	in_dir(path, pins, "maps");
	pins->earlier = !access(path, F_OK);
	if (pins->earlier)
		core_log(WHO, LQOS_INFO,
			 "an earlier run left its datapath in %s: taking over",
			 dir);
	/* Of a run that ended while it started: nothing ever ran on it. */
	if (!rc)
		rc = remove_dir(pins, "maps_new");
	if (!rc)
		rc = make_dir(pins, "maps_new");
	if (!rc)
		rc = make_dir(pins, "links");
	if (rc) {
		core_pins_close(&pins);
		return rc;
	}
	*out = pins;
	return 0;
}

bool pins_earlier(const struct pins *pins)
{
	return pins->earlier;
}

int pins_open_map(const struct pins *pins, const char *module, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/maps/%s/%s", pins->dir, module,
		     name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int pins_open_left(struct pins **out, const char *dir, bool force)
{
	struct pins *pins;
	int rc;

	rc = new_pins(&pins, dir);
	if (rc)
		return rc;
	rc = lock_dir(pins);
	if (rc && (rc != -EBUSY || !force)) {
		free(pins);
		return rc;
	}
	pins->published = true;
	*out = pins;
	return 0;
}

int pins_add_map(const struct pins *pins, const char *module, const char *name,
		 int fd)
{
	const char *maps = pins->published ? "maps" : "maps_new";
	char path[PATH_MAX], dir[64];

	snprintf(dir, sizeof(dir), "%s/%s", maps, module);
	if (make_dir(pins, dir))
		return -errno;
	if (snprintf(path, sizeof(path), "%s/%s/%s", pins->dir, dir, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (bpf_obj_pin(fd, path))
		return core_fail(WHO, -errno, "cannot pin %s", path);
	return 0;
}

/* Maps of modules that this run has not. */
static void say_discarded(const struct pins *pins)
{
	char path[PATH_MAX], maps[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	in_dir(maps, pins, "maps");
	d = opendir(maps);
	while (d && (entry = readdir(d))) {
		if (snprintf(path, sizeof(path), "%s/maps_new/%s", pins->dir,
			     entry->d_name) >= (int)sizeof(path) ||
		    !access(path, F_OK))
			continue;
		core_log(WHO, LQOS_INFO,
			 "maps of module %s are discarded: it is not in this "
			 "run",
			 entry->d_name);
	}
	if (d)
		closedir(d);
}

int pins_publish(struct pins *pins)
{
	char maps[PATH_MAX], new[PATH_MAX], old[PATH_MAX], name[32];
	unsigned int i = 0;

	say_discarded(pins);
	while (old_exists(pins, i))
		i++;
	old_name(i, name, sizeof(name));
	in_dir(old, pins, name);
	in_dir(maps, pins, "maps");
	in_dir(new, pins, "maps_new");
	if ((rename(maps, old) && errno != ENOENT) || rename(new, maps))
		return core_fail(WHO, -errno, "cannot rename %s to %s", new,
				 maps);
	pins->published = true;
	return 0;
}

void pins_commit(const struct pins *pins)
{
	remove_old(pins);
}

void pins_keep(struct pins *pins)
{
	pins->kept = true;
}

static void remove_pins(const struct pins *pins)
{
	char path[PATH_MAX];

	if (pins->published) {
		remove_dir(pins, "maps");
		remove_dir(pins, "maps_new");
		remove_old(pins);
		remove_dir(pins, "links");
	} else {
		remove_dir(pins, "maps_new");
		in_dir(path, pins, "links");
		rmdir(path); /* where an earlier run has none in it */
	}
}

void core_pins_close(struct pins **out)
{
	struct pins *pins = *out;

	if (!pins)
		return;
	if (!pins->kept)
		remove_pins(pins);
	if (pins->lock >= 0)
		close(pins->lock);
	if (!pins->kept) {
		if (pins->mounted && umount(pins->dir))
			core_fail(WHO, -errno, "cannot unmount %s", pins->dir);
		/* Others may keep theirs beside ours: it stays then. */
		if (rmdir(pins->dir) && errno != ENOTEMPTY && errno != ENOENT)
			core_fail(WHO, -errno, "cannot remove %s", pins->dir);
	}
	free(pins);
	*out = NULL;
}

int pins_each_link(const struct pins *pins,
		   void (*fn)(const char *path, void *arg), void *arg)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if (!pins)
		return 0;
	in_dir(dir, pins, "links");
	d = opendir(dir);
	if (!d)
		return -errno;
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) <
			    (int)sizeof(path))
			fn(path, arg);
	closedir(d);
	return 0;
}
