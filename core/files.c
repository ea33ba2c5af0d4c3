/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* files.c - the subscribers' files: which there are, and reading them again. */
#include <errno.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF "core"

/* Whoever names a file means it; a default may be missing, but not go. */
struct file {
	const char *path;
	bool expected;
};

struct core_files {
	struct core *core;
	struct file csv, json;
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

int core_files_reload(struct core_files *files)
{
	struct core_registry *registry = files->core->registry;
	struct core_problems problems;
	int rc = core_files_load(files);

	if (rc)
		return core_fail(SELF, rc,
				 "subscriber files not read again: those there "
				 "were stay; correct the file and send SIGHUP "
				 "again");
	core_registry_problems(registry, &problems);
	core_log(SELF, LQOS_INFO,
		 "subscriber files read again: %zu subscribers, %zu prefixes, "
		 "%u rows left out",
		 core_registry_subscribers(registry),
		 core_registry_prefixes(registry), problems.skipped);
	return 0;
}
