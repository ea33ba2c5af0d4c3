/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* find.c - finds the files of modules, and refuses what does not fit. */
#include <dirent.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF   "core"
#define SUFFIX ".so"

/* ---- Names and files ---------------------------------------------------- */

bool core_word_next(const char **list, const char *separators,
		    const char **word, size_t *len)
{
	*word = *list + strspn(*list, separators);
	*len = strcspn(*word, separators);
	*list = *word + *len;
	return *len > 0;
}

static bool next_dir(const char **dirs, const char **dir, size_t *len)
{
	return core_word_next(dirs, ":", dir, len);
}

/* A file's name, an ini section and the head of bus methods, all in one. */
static bool name_is_valid(const char *name, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	static const char *const reserved[] = {"core", "feed", "lqosd"};

	if (!len || len >= sizeof(((struct lqos_module *)0)->name) ||
	    strspn(name, letters) < len)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strlen(reserved[i]) == len &&
		    !memcmp(reserved[i], name, len))
			return false;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct core_module_info *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static const struct core_module_info *
info_named(const struct core_module_info *infos, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(infos[i].name, name))
			return &infos[i];
	return NULL;
}

static int scan_dir(const char *dir, struct core_module_info **infos, size_t *n)
{
	const struct dirent *entry;
	DIR *stream = opendir(dir);

	if (!stream)
		return -errno;
	while ((entry = readdir(stream))) {
		size_t len = strlen(entry->d_name);
		struct core_module_info *grown, info = {0};

		if (len <= strlen(SUFFIX) ||
		    strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) ||
		    !name_is_valid(entry->d_name, len - strlen(SUFFIX)))
			continue;
		memcpy(info.name, entry->d_name, len - strlen(SUFFIX));
		if (info_named(*infos, *n, info.name) ||
		    snprintf(info.path, sizeof(info.path), "%s/%s", dir,
			     entry->d_name) >= (int)sizeof(info.path))
			continue;
		grown = realloc(*infos, (*n + 1) * sizeof(*grown));
		if (!grown) {
			closedir(stream);
			return -ENOMEM;
		}
		*infos = grown;
		grown[(*n)++] = info;
	}
	closedir(stream);
	return 0;
}

int core_module_scan(const char *dirs, struct core_module_info **out, size_t *n)
{
	autofree struct core_module_info *infos = NULL;
	const char *dir;
	size_t len, found = 0;
	bool any = false;
	int rc = -ENOENT;

	while (next_dir(&dirs, &dir, &len)) {
		autofree char *path = strndup(dir, len);
		int dir_rc = path ? scan_dir(path, &infos, &found) : -ENOMEM;

		if (dir_rc == -ENOMEM)
			return dir_rc;
		if (dir_rc) {
			core_log(SELF, LQOS_WARN,
				 "module directory %s cannot be read: %s: "
				 "correct -M",
				 path, strerror(-dir_rc));
			rc = dir_rc;
			continue;
		}
		any = true;
	}
	if (!any)
		return rc;
	if (found)
		qsort(infos, found, sizeof(*infos), by_name);
	*out = steal_ptr(infos);
	*n = found;
	return 0;
}

/* How many letters to change, add or drop to make b of a. */
static size_t distance(const char *a, const char *b)
{
	size_t row[sizeof(((struct lqos_module *)0)->name)], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

static bool similar(const char *a, const char *b)
{
	size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return !strncmp(a, b, shorter) || distance(a, b) <= 2;
}

static int not_found(const char *dirs, const char *name)
{
	autofree struct core_module_info *infos = NULL;
	char hint[256] = "lqosd --list-modules shows what is there";
	size_t n = 0, used = 0;

	core_module_scan(dirs, &infos, &n);
	for (size_t i = 0; i < n && used < sizeof(hint); i++)
		if (similar(name, infos[i].name))
			used += (size_t)snprintf(
				hint + used, sizeof(hint) - used, "%s%s",
				used ? " or " : "did you mean ", infos[i].name);
	core_log(SELF, LQOS_ERR, "module %s: no %s%s in %s: %s%s", name, name,
		 SUFFIX, dirs, hint, used ? "?" : "");
	return -ENOENT;
}

/* ---- Refusals ----------------------------------------------------------- */

/* Members after this one came later: a module may be without them. */
#define SIZE_1_0                               \
	(offsetof(struct lqos_module, check) + \
	 sizeof(((struct lqos_module *)0)->check))

static int check_abi(const struct core_module_info *info, const char *name)
{
	if (info->abi >> 16 != LQOS_ABI_MAJOR ||
	    (info->abi & 0xffff) > LQOS_ABI_MINOR) {
		core_log(SELF, LQOS_ERR,
			 "module %s: %s was compiled against lqos ABI %u.%u, "
			 "this lqosd has %u.%u: rebuild it",
			 name, info->path, info->abi >> 16, info->abi & 0xffff,
			 LQOS_ABI_MAJOR, LQOS_ABI_MINOR);
		return -EPROTO;
	}
	if (info->size < SIZE_1_0 || info->size > sizeof(struct lqos_module)) {
		core_log(SELF, LQOS_ERR,
			 "module %s: %s has a descriptor of %u bytes, this "
			 "lqosd's has %zu: rebuild it",
			 name, info->path, info->size,
			 sizeof(struct lqos_module));
		return -EPROTO;
	}
	if (strcmp(info->name, name)) {
		core_log(SELF, LQOS_ERR,
			 "module %s: %s calls itself \"%s\": the file has to "
			 "be named %s%s",
			 name, info->path, info->name, info->name, SUFFIX);
		return -EINVAL;
	}
	return 0;
}

int core_module_find(const char *dirs, const char *name,
		     struct core_module_info *out)
{
	const char *rest = dirs, *dir;
	size_t len;

	if (!name_is_valid(name, strlen(name))) {
		core_log(SELF, LQOS_ERR,
			 "module %s: not a module's name: expected letters, "
			 "digits, _ and -, 31 at most, and none of core, feed "
			 "and lqosd",
			 name);
		return -EINVAL;
	}
	while (next_dir(&rest, &dir, &len)) {
		char path[PATH_MAX], why[PATH_MAX + 256];
		int rc;

		if (snprintf(path, sizeof(path), "%.*s/%s%s", (int)len, dir,
			     name, SUFFIX) >= (int)sizeof(path))
			continue;
		rc = core_elf_read(path, out, why, sizeof(why));
		if (rc == -ENOENT || rc == -ENOTDIR)
			continue;
		if (rc) {
			core_log(SELF, LQOS_ERR, "module %s: %s", name, why);
			return rc;
		}
		return check_abi(out, name);
	}
	return not_found(dirs, name);
}

/* Each file's fault is said: the list is read once. */
static void LQOS_PRINTF(2, 3) tell(enum lqos_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	core_vlog_unlimited(SELF, level, fmt, ap);
	va_end(ap);
}

int core_loader_list(const char *dirs, struct core_module_info **out, size_t *n)
{
	autofree struct core_module_info *infos = NULL;
	size_t found = 0, kept = 0;
	int rc;

	rc = core_module_scan(dirs, &infos, &found);
	if (rc)
		return rc;
	for (size_t i = 0; i < found; i++) {
		char why[PATH_MAX + 256], name[sizeof(infos[i].name)];

		strcpy(name, infos[i].name);
		if (core_elf_read(infos[i].path, &infos[kept], why,
				  sizeof(why))) {
			tell(LQOS_WARN, "%s", why);
			continue;
		}
		/* Of another ABI major the name cannot be read. */
		if (!infos[kept].name[0])
			strcpy(infos[kept].name, name);
		kept++;
	}
	*out = steal_ptr(infos);
	*n = kept;
	return 0;
}
