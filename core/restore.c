/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a clean stop has to put back is noted in a file before it is changed:
 * after a crash the next run finds there how things were before the first one.
 */
#include <limits.h>
#include <net/if.h>
#include <string.h>

#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "restore"

struct restore {
	char path[PATH_MAX];
	/* {"boot": id, "interfaces": {name: {"ifindex": n, key: value}}} */
	json_t *notes;
};

static void boot_id(char *out, int size)
{
	autofclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(out, size, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* An interface may have gone, or have another name by now; one that cannot be
 * asked for keeps its notes. */
static json_t *as_now(json_t *interfaces)
{
	json_t *now = json_object(), *notes;
	char name[IF_NAMESIZE];
	const char *was;
	uint32_t ifindex;

	json_object_foreach(interfaces, was, notes) {
		ifindex = json_integer_value(json_object_get(notes, "ifindex"));
		if (if_indextoname(ifindex, name))
			json_object_set(now, name, notes);
		else if (errno != ENXIO)
			json_object_set(now, was, notes);
	}
	return now;
}

int restore_open(struct restore **out, const char *run_dir)
{
	autofree struct restore *r = calloc(1, sizeof(*r));
	json_error_t error;
	const char *noted;
	char boot[64];

	if (!r)
		return -ENOMEM;
	snprintf(r->path, sizeof(r->path), "%s/restore", run_dir);
	boot_id(boot, sizeof(boot));
	r->notes = json_load_file(r->path, 0, &error);
	noted = json_string_value(json_object_get(r->notes, "boot"));
	if (!noted || strcmp(noted, boot)) {
		json_decref(r->notes);
		r->notes = json_pack("{s:s,s:{}}", "boot", boot, "interfaces");
		if (!r->notes)
			return -ENOMEM;
	}
	json_object_set_new(r->notes, "interfaces",
			    as_now(json_object_get(r->notes, "interfaces")));
	*out = steal_ptr(r);
	return 0;
}

void restore_free(struct restore **restore)
{
	if (!*restore)
		return;
	json_decref((*restore)->notes);
	free(*restore);
	*restore = NULL;
}

const char *restore_get(const struct restore *restore, const char *interface,
			const char *key)
{
	json_t *all = json_object_get(restore->notes, "interfaces");

	return json_string_value(
		json_object_get(json_object_get(all, interface), key));
}

static int save(const struct restore *restore)
{
	char tmp[PATH_MAX + 4];
	int rc;

	snprintf(tmp, sizeof(tmp), "%s.new", restore->path);
	errno = EIO; /* jansson does not set it each time */
	if (json_dump_file(restore->notes, tmp, JSON_INDENT(1)) ||
	    rename(tmp, restore->path)) {
		rc = -errno;
		unlink(tmp);
		return core_fail(WHO, rc, "cannot write %s", restore->path);
	}
	return 0;
}

int restore_note(struct restore *restore, const char *interface,
		 const char *key, const char *value)
{
	json_t *all = json_object_get(restore->notes, "interfaces");
	json_t *notes = json_object_get(all, interface);

	if (!notes) {
		notes = json_pack("{s:I}", "ifindex",
				  (json_int_t)if_nametoindex(interface));
		if (json_object_set_new(all, interface, notes))
			return -ENOMEM;
	}
	if (json_object_get(notes, key))
		return 0;
	if (json_object_set_new(notes, key, json_string(value)))
		return -ENOMEM;
	return save(restore);
}

void restore_unnote(struct restore *restore, const char *interface,
		    const char *key)
{
	json_t *all = json_object_get(restore->notes, "interfaces");

	if (!json_object_del(json_object_get(all, interface), key))
		save(restore);
}

void restore_rename(struct restore *restore, const char *from, const char *to)
{
	json_t *all = json_object_get(restore->notes, "interfaces");
	json_t *notes = json_object_get(all, from);

	if (!notes)
		return;
	json_object_set(all, to, notes);
	json_object_del(all, from);
	save(restore);
}

void restore_forget(struct restore *restore, const char *interface)
{
	json_t *all = json_object_get(restore->notes, "interfaces");

	if (!json_object_del(all, interface))
		save(restore);
}

void restore_each(struct restore *restore,
		  bool (*fn)(const char *interface, void *arg), void *arg)
{
	json_t *all = json_object_get(restore->notes, "interfaces"), *notes;
	const char *interface;
	bool changed = false;
	void *next;

	json_object_foreach_safe(all, next, interface, notes) {
		if (!fn(interface, arg))
			continue;
		json_object_del(all, interface);
		changed = true;
	}
	if (changed)
		save(restore);
}

void restore_done(struct restore *restore)
{
	if (unlink(restore->path) && errno != ENOENT)
		core_fail(WHO, -errno, "cannot remove %s", restore->path);
}
