/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.c - the subscribers' files: which there are, and reading them again.
 *
 * Whether one has changed is seen by looking at it, not by inotify: it may be a
 * link, lie on a network file system, come with its directory later, or be
 * replaced by renaming, and two stat() a second cost nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF "core"

/* A file that is never left alone is read after PATIENCE x watch_delay_ms. */
enum { FILES = 2, LOOK_MS_MAX = 500, PATIENCE = 10 };

/* What differs when a file was written to or replaced; all 0: it is not there,
 * or cannot be looked at. */
struct stamp {
	uint64_t dev, ino, size;
	int64_t changed_s, changed_ns;
};

struct file {
	const char *path;
	/* Whoever names a file means it; a default may be missing, but not
	 * go. */
	bool expected;
};

struct core_files {
	struct core *core;
	struct file csv, json;
	struct stamp read[FILES]; /* as they were when they were read */
	struct stamp seen[FILES]; /* as they were at the last look */
	uint32_t look_ms;
	uint32_t quiet_ms;   /* since they were last seen to change */
	uint32_t waiting_ms; /* since they are not what was read */
};

int core_files_new(struct core_files **out, struct core *core, bool csv_named,
		   bool json_named)
{
	struct core_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	files->core = core;
	files->csv = (struct file){core->settings.shaped_devices, csv_named};
	files->json = (struct file){core->settings.network_json, json_named};
	*out = files;
	return 0;
}

void core_files_free(struct core_files **files)
{
	free(*files);
	*files = NULL;
}

/* ---- Reading ------------------------------------------------------------- */

/* NULL: it may be missing, and is. */
static const char *path_of(const struct file *f)
{
	if (f->expected || !access(f->path, F_OK) || errno != ENOENT)
		return f->path;
	return NULL;
}

void core_files_paths(const struct core_files *files, const char **csv,
		      const char **json)
{
	*csv = path_of(&files->csv);
	*json = path_of(&files->json);
}

static struct stamp stamp_of(const struct file *f)
{
	struct stamp stamp = {0};
	struct stat st;

	if (!*f->path || stat(f->path, &st))
		return stamp;
	stamp.dev = st.st_dev;
	stamp.ino = st.st_ino;
	stamp.size = (uint64_t)st.st_size;
	stamp.changed_s = st.st_ctim.tv_sec;
	stamp.changed_ns = st.st_ctim.tv_nsec;
	return stamp;
}

static void look(const struct core_files *files, struct stamp stamps[FILES])
{
	stamps[0] = stamp_of(&files->csv);
	stamps[1] = stamp_of(&files->json);
}

static void say_if_missing(const char *path, const struct file *f)
{
	if (!path)
		core_log(SELF, LQOS_INFO, "%s is not there: going on without",
			 f->path);
}

int core_files_load(struct core_files *files)
{
	const char *csv, *json;
	int rc;

	/* Before: what changes while they are read is read again. */
	look(files, files->read);
	files->waiting_ms = 0;
	core_files_paths(files, &csv, &json);
	say_if_missing(csv, &files->csv);
	say_if_missing(json, &files->json);
	rc = core_registry_load(files->core->registry, csv, json);
	if (rc)
		return rc;
	files->csv.expected = csv;
	files->json.expected = json;
	return 0;
}

/* Whoever writes to the kernel's tables behind our back is overruled. */
static void mend_kernel(struct core_registry *registry)
{
	size_t mended;
	int rc = core_registry_sync(registry, &mended);

	if (rc)
		core_fail(SELF, rc,
			  "the kernel's prefixes may not be those of the "
			  "subscribers: send SIGHUP to try again");
	else if (mended)
		core_log(SELF, LQOS_WARN,
			 "%zu prefixes were not as lqosd had put them into the "
			 "kernel's tables, and were mended: who else writes to "
			 "these?",
			 mended);
}

static unsigned int ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned int)((now.tv_sec - then->tv_sec) * 1000 +
			      (now.tv_nsec - then->tv_nsec) / 1000000);
}

int core_files_reload(struct core_files *files)
{
	struct core_registry *registry = files->core->registry;
	struct core_problems problems;
	struct timespec begin;
	int rc;

	if (files->core->loop)
		core_loop_may_take_long(files->core->loop);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	rc = core_files_load(files);
	mend_kernel(registry);
	if (rc)
		return core_fail(SELF, rc,
				 "subscriber files not read again: those there "
				 "were stay; correct the file%s",
				 files->look_ms ? ""
						: " and send SIGHUP again");
	core_registry_problems(registry, &problems);
	core_log(SELF, LQOS_INFO,
		 "subscriber files read again: %zu subscribers, %zu prefixes, "
		 "%u rows and %u addresses left out, in %u ms",
		 core_registry_subscribers(registry),
		 core_registry_prefixes(registry), problems.skipped,
		 problems.addresses, ms_since(&begin));
	return 0;
}

/* ---- Watching ------------------------------------------------------------ */

/* Whoever writes a file may do it in several steps: it is read when it has been
 * left alone for a while, or will not be. */
static void on_look(void *arg)
{
	struct core_files *files = arg;
	uint32_t delay = files->core->settings.watch_delay_ms;
	struct stamp now[FILES];

	look(files, now);
	files->quiet_ms += files->look_ms;
	files->waiting_ms += files->look_ms;
	if (memcmp(now, files->seen, sizeof(now)))
		files->quiet_ms = 0;
	memcpy(files->seen, now, sizeof(now));
	if (!memcmp(now, files->read, sizeof(now)))
		files->waiting_ms = 0;
	if (!files->waiting_ms ||
	    (files->quiet_ms < delay && files->waiting_ms < PATIENCE * delay))
		return;
	core_log(SELF, LQOS_INFO,
		 "subscriber files have changed: reading them again");
	(void)core_files_reload(files);
}

int core_files_watch(struct core_files *files)
{
	const struct core_settings *set = &files->core->settings;
	uint32_t ms = set->watch_delay_ms / 2;
	int rc;

	if (!set->watch_files)
		return 0;
	files->look_ms = ms < LOOK_MS_MAX ? ms : LOOK_MS_MAX;
	memcpy(files->seen, files->read, sizeof(files->seen));
	rc = lqos_timer_every(files->core->ctx, files->look_ms, on_look, files,
			      NULL);
	return rc ? core_fail(SELF, rc, "cannot watch the subscribers' files")
		  : 0;
}
