/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bpffs.c - can others than root pin something?
 *
 * A map that can only be read can be pinned all the same, and whoever owns the
 * pin opens it to write (kernel/bpf/inode.c asks the file's rights alone).  So
 * who may make files in some BPF file system may write what he may read.
 */
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/datapath.h"

/* A directory of root's that nobody else makes files in. */
static bool is_safe(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT || errno == EACCES;
	return !st.st_uid && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

bool bpffs_is_open(char *path, size_t size)
{
	struct mntent entry, *found = &entry;
	char text[4096];
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	bool open = false;

	while (mounts && !open && found) {
		found = getmntent_r(mounts, &entry, text, sizeof(text));
		open = found && !strcmp(entry.mnt_type, "bpf") &&
		       !is_safe(entry.mnt_dir);
	}
	if (open)
		snprintf(path, size, "%s", entry.mnt_dir);
	if (mounts)
		endmntent(mounts);
	return open;
}
