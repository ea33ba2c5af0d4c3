/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * journal.c - what was mapped by hand, for the next run of this boot.
 *
 * RUN_DIR/mappings has a line of JSON for each that came and for each that
 * went, written as it happens: a daemon that is killed has forgotten nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"

#define WHO "journal"

enum { LINES_SPARE = 1000 };

struct core_journal {
	struct core *core;
	char path[PATH_MAX];
	int fd; /* -1: there is no such file, or it cannot be written */
	size_t lines;
	size_t needed; /* of them, when it was last written anew */
};

/* ---- Writing ------------------------------------------------------------- */

static json_t *mapping_json(const struct lqos_prefix *p, const char *circuit_id)
{
	char text[CORE_PREFIX_TEXT];
	json_t *json = json_pack("{s:s, s:s, s:s*}", "ip",
				 core_prefix_text(p, text, sizeof(text)),
				 "circuit", circuit_id, "device", p->device_id);

	if (json && p->own_place) {
		json_object_set_new(json, "cpu", json_integer(p->cpu));
		json_object_set_new(json, "handle", json_integer(p->handle));
	}
	return json;
}

/* A line, which is the caller's; NULL: no memory.  Takes json. */
static char *line_of(json_t *json)
{
	autofree char *text = json_dumps(json, JSON_COMPACT);
	char *line = NULL;

	json_decref(json);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		return NULL;
	return line;
}

struct writing {
	struct core_registry *r;
	FILE *f;
	size_t n;
};

static int write_mapping(const struct lqos_prefix *p, void *arg)
{
	struct writing *w = arg;
	const struct core_circuit *c = core_circuit_at(w->r, p->slot);
	autofree char *line = NULL;

	if (!p->by_hand)
		return 0;
	line = line_of(mapping_json(p, c->s.circuit_id));
	if (!line)
		return -ENOMEM;
	if (fputs(line, w->f) < 0)
		return -errno;
	w->n++;
	return 0;
}

static int write_file(struct core_journal *j, const char *path)
{
	struct writing w = {.r = j->core->registry};
	autoclose int fd = -1;
	int rc;

	/* Whose an address is, is not for everybody to read. */
	if (unlink(path) && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	w.f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!w.f)
		return -errno;
	(void)steal_fd(&fd);
	rc = core_registry_walk(w.r, write_mapping, &w);
	if (fclose(w.f) && !rc)
		rc = -errno;
	if (!rc)
		j->lines = j->needed = w.n;
	return rc;
}

/* What there is now, and nothing of how it came to be; no file of nothing. */
static int write_anew(struct core_journal *j)
{
	char path[PATH_MAX + 4];
	int rc, fd = -1;

	snprintf(path, sizeof(path), "%s.new", j->path);
	rc = write_file(j, path);
	if (!rc && j->needed) {
		fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (fd < 0 || rename(path, j->path))
			rc = -errno;
	} else if (!rc && unlink(j->path) && errno != ENOENT) {
		rc = -errno;
	}
	if (rc || !j->needed)
		unlink(path);
	if (rc) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	return 0;
}

static int append(struct core_journal *j, const char *line)
{
	size_t len = strlen(line);
	struct stat st;
	ssize_t put;

	if (j->fd < 0)
		return write_anew(j); /* with it */
	if (fstat(j->fd, &st))
		return -errno;
	put = write(j->fd, line, len);
	if (put == (ssize_t)len) {
		j->lines++;
		return 0;
	}
	/* Half a line would spoil the next. */
	if (ftruncate(j->fd, st.st_size))
		return -errno;
	return put < 0 ? -errno : -ENOSPC;
}

static void note(struct core_journal *j, const struct lqos_prefix *p,
		 json_t *json)
{
	autofree char *line = json ? line_of(json) : NULL;
	int rc = line ? append(j, line) : -ENOMEM;
	char text[CORE_PREFIX_TEXT];

	if (!rc && j->lines > 2 * j->needed + LINES_SPARE)
		rc = write_anew(j);
	if (rc)
		core_log(WHO, LQOS_WARN,
			 "%s: cannot be written: %s: after a restart of lqosd "
			 "%s will be as it was before",
			 j->path, strerror(-rc),
			 core_prefix_text(p, text, sizeof(text)));
}

void core_journal_add(struct core_journal *j, const struct lqos_prefix *p,
		      const char *circuit_id)
{
	if (j)
		note(j, p, mapping_json(p, circuit_id));
}

void core_journal_del(struct core_journal *j, const struct lqos_prefix *p)
{
	char text[CORE_PREFIX_TEXT];

	if (j && p->by_hand)
		note(j, p,
		     json_pack("{s:s}", "gone",
			       core_prefix_text(p, text, sizeof(text))));
}

void core_journal_clear(struct core_journal *j)
{
	int rc = j ? write_anew(j) : 0;

	if (rc)
		core_fail(WHO, rc,
			  "%s: cannot be written: what was mapped by hand is "
			  "back after a restart of lqosd",
			  j->path);
}

/* ---- Reading ------------------------------------------------------------- */

static uint32_t number_in(const json_t *json, const char *key)
{
	return (uint32_t)json_integer_value(json_object_get(json, key));
}

static const char *string_in(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

/* Of each range only the last line counts: what it was before would be taken
 * from the files again. */
static int collect(const struct core_journal *j, json_t *by_ip)
{
	autofree char *text = NULL;
	unsigned int line = 0;
	size_t len;
	char *end;
	int rc = core_file_read(j->path, &text, &len);

	for (char *at = text; !rc && at < text + len; at = end + 1) {
		const char *ip, *gone;
		json_t *json;

		end = memchr(at, '\n', len - (size_t)(at - text));
		if (!end)
			break; /* it was never finished */
		json = json_loadb(at, (size_t)(end - at), 0, NULL);
		line++;
		ip = string_in(json, "ip");
		gone = string_in(json, "gone");
		if (ip)
			json_object_set(by_ip, ip, json);
		else if (gone)
			json_object_del(by_ip, gone);
		else
			core_log(WHO, LQOS_WARN,
				 "%s:%u: this line is left out: it is no "
				 "mapping",
				 j->path, line);
		json_decref(json);
	}
	return rc == -ENOENT ? 0 : rc;
}

static int map_again(struct core_journal *j)
{
	json_t *by_ip = json_object(), *json;
	const char *ip;
	char why[256];
	int rc = by_ip ? collect(j, by_ip) : -ENOMEM;

	json_object_foreach(by_ip, ip, json) {
		const struct lqos_mapping m = {
			.ip = ip,
			.circuit_id = string_in(json, "circuit"),
			.device_id = string_in(json, "device"),
			.cpu = number_in(json, "cpu"),
			.handle = number_in(json, "handle"),
		};

		*why = '\0';
		if (lqos_mapping_add(j->core->ctx, &m, why, sizeof(why)))
			core_log(WHO, LQOS_WARN,
				 "%s: %s, mapped by hand, is left out: %s",
				 j->path, ip, why);
	}
	json_decref(by_ip);
	return rc;
}

int core_journal_open(struct core_journal **out, struct core *core)
{
	autofree struct core_journal *j = calloc(1, sizeof(*j));
	int rc;

	if (!j)
		return -ENOMEM;
	j->core = core;
	j->fd = -1;
	if (snprintf(j->path, sizeof(j->path), "%s/mappings",
		     core->settings.run_dir) >= (int)sizeof(j->path))
		return -ENAMETOOLONG;
	rc = map_again(j);
	if (rc)
		core_fail(WHO, rc,
			  "%s: cannot be read: what was mapped by hand is "
			  "forgotten",
			  j->path);
	rc = write_anew(j);
	if (rc)
		core_fail(WHO, rc,
			  "%s: cannot be written: what is mapped by hand will "
			  "not outlive this run",
			  j->path);
	else if (j->lines)
		core_log(WHO, LQOS_INFO, "mappings by hand that are back: %zu",
			 j->lines);
	*out = steal_ptr(j);
	return 0;
}

void core_journal_close(struct core_journal **journal)
{
	struct core_journal *j = steal_ptr(*journal);

	if (j && j->fd >= 0) {
		close(j->fd);
		if (!j->lines)
			unlink(j->path);
	}
	free(j);
}
