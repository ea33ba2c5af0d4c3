/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * environ.c - descriptors named by the environment:
 *
 *	LQOS_MAPS	module:name:fd:id:type:key:value:entries:ro|rw;...
 *	LQOS_PROGS	module:name:fd:id;...
 *	LQOS_BTF	id:fd;...
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/shell/grant.h"

enum {
	FD_MIN = 10, /* shells and people use those below */
	NAME_SIZE = 160,
};

extern char **environ;

/* ---- From a shell -------------------------------------------------------- */

/* The next of what separator parts; NULL: there is none. */
static char *next_field(char **rest, char separator)
{
	char *field = *rest, *end;

	if (!field)
		return NULL;
	end = strchr(field, separator);
	if (end)
		*end++ = '\0';
	*rest = end;
	return field;
}

static int read_u32(char **rest, uint32_t *out)
{
	char *text = next_field(rest, ':'), *end;
	unsigned long value;

	if (!text || !isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (*end || errno || value > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

static int read_fd(char **rest, int *out)
{
	uint32_t fd = 0;

	if (read_u32(rest, &fd) || fd > INT32_MAX)
		return -EINVAL;
	*out = (int)fd;
	return 0;
}

static int read_text(char **rest, char *out, size_t size)
{
	const char *text = next_field(rest, ':');

	if (!text || !*text || strlen(text) >= size)
		return -EINVAL;
	strcpy(out, text);
	return 0;
}

static int read_access(char **rest, bool *writable)
{
	const char *text = next_field(rest, ':');

	if (!text || (strcmp(text, "ro") && strcmp(text, "rw")))
		return -EINVAL;
	*writable = !strcmp(text, "rw");
	return 0;
}

static int read_map(char *text, struct grant *g)
{
	return read_text(&text, g->module, sizeof(g->module))
		       ?: read_text(&text, g->name, sizeof(g->name))
		       ?: read_fd(&text, &g->fd)
		       ?: read_u32(&text, &g->id)
		       ?: read_u32(&text, &g->type)
		       ?: read_u32(&text, &g->key_size)
		       ?: read_u32(&text, &g->value_size)
		       ?: read_u32(&text, &g->max_entries)
		       ?: read_access(&text, &g->writable)
		       ?: (text ? -EINVAL : 0);
}

static int read_program(char *text, struct grant *g)
{
	return read_text(&text, g->module, sizeof(g->module))
		       ?: read_text(&text, g->name, sizeof(g->name))
		       ?: read_fd(&text, &g->fd)
		       ?: read_u32(&text, &g->id)
		       ?: (text ? -EINVAL : 0);
}

static int read_btf(char *text, struct grant *g)
{
	return read_u32(&text, &g->id)
		       ?: read_fd(&text, &g->fd)
		       ?: (text ? -EINVAL : 0);
}

static const struct list {
	enum grant_kind kind;
	const char *name;
	const char *one; /* of a variable of its own; NULL: has none */
	int (*read)(char *text, struct grant *grant);
} lists[] = {
	{GRANT_MAP, "MAPS", "MAP", read_map},
	{GRANT_PROGRAM, "PROGS", "PROG", read_program},
	{GRANT_BTF, "BTF", NULL, read_btf},
};

static const char *look_up(const char *prefix, const char *name)
{
	char variable[NAME_SIZE];

	snprintf(variable, sizeof(variable), "%s_%s", prefix, name);
	return getenv(variable);
}

/* What the kernel says goes before what the environment does. */
static void believe(struct grant *grant)
{
	if (grant_check(grant) ||
	    (grant->kind == GRANT_MAP && grant_look(grant)))
		grant->fd = -1;
}

static int read_list(struct grants *out, const struct list *list,
		     const char *prefix, char *why, size_t why_size)
{
	const char *given = look_up(prefix, list->name);
	autofree char *copy = strdup(given ?: "");
	char *rest = copy, *text;
	uint32_t index = 0;
	int rc;

	if (!copy)
		return -ENOMEM;
	while ((text = next_field(&rest, ';'))) {
		struct grant grant = {.kind = list->kind, .index = index};

		if (!*text)
			continue;
		if (list->read(text, &grant)) {
			snprintf(why, why_size,
				 "%s_%s in the environment makes no sense at "
				 "\"%.64s\": is it of lqosctl exec?",
				 prefix, list->name, text);
			return -EINVAL;
		}
		believe(&grant);
		rc = grants_add(out, &grant);
		if (rc)
			return rc;
		index++;
	}
	return 0;
}

int grants_from_environ(struct grants *out, const char *prefix, char *why,
			size_t why_size)
{
	struct grants grants = {.borrowed = true};
	int rc = 0;

	if (!look_up(prefix, "MAPS")) {
		snprintf(why, why_size,
			 "the environment has no %s_MAPS: run it from lqosctl "
			 "exec",
			 prefix);
		return -ENOENT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists) && !rc; i++)
		rc = read_list(&grants, &lists[i], prefix, why, why_size);
	if (rc) {
		grants_free(&grants);
		return rc;
	}
	*out = grants;
	return 0;
}

/* ---- To a command -------------------------------------------------------- */

/* LQOS_MAP_THROUGHPUT_TP_SLOTS */
static void name_variable(const char *prefix, const char *one,
			  const struct grant *g, char *out, size_t size)
{
	size_t i;

	snprintf(out, size, "%s_%s_%s_%s", prefix, one, g->module, g->name);
	for (i = strlen(prefix); out[i]; i++)
		out[i] = isalnum((unsigned char)out[i])
				 ? (char)toupper((unsigned char)out[i])
				 : '_';
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* What an earlier one has set. */
static bool is_ours(const char *variable, const char *prefix)
{
	size_t len = strlen(prefix);

	if (begins(variable, "BPF_MAP"))
		return isdigit((unsigned char)variable[strlen("BPF_MAP")]);
	if (begins(variable, "BPF_NUM_MAPS="))
		return true;
	if (!begins(variable, prefix) || variable[len] != '_')
		return false;
	variable += len + 1;
	return begins(variable, "MAP_") || begins(variable, "MAPS=") ||
	       begins(variable, "PROG_") || begins(variable, "PROGS=") ||
	       begins(variable, "BTF=");
}

static bool has_fd(const struct grants *grants, int fd)
{
	size_t i;

	for (i = 0; i < grants->n; i++)
		if (grants->at[i].fd == fd)
			return true;
	return false;
}

/* Else they would be strays in the command.  One that was closed before may
 * have given its number to one of grants. */
static void close_earlier(const char *prefix, const struct grants *grants)
{
	struct grants earlier = {};
	char why[256];
	size_t i;

	if (grants_from_environ(&earlier, prefix, why, sizeof(why)))
		return;
	for (i = 0; i < earlier.n; i++)
		if (earlier.at[i].fd >= 0 && !has_fd(grants, earlier.at[i].fd))
			close(earlier.at[i].fd);
	grants_free(&earlier);
}

static void unset_earlier(const char *prefix)
{
	char name[NAME_SIZE];
	size_t i;

	for (i = 0; environ && environ[i];) {
		size_t len = strcspn(environ[i], "=");

		if (!is_ours(environ[i], prefix) || len >= sizeof(name)) {
			i++;
			continue;
		}
		memcpy(name, environ[i], len);
		name[len] = '\0';
		if (unsetenv(name))
			i++;
	}
}

/* From now on it survives an exec. */
static int keep(struct grant *g)
{
	int fd;

	if (g->fd >= FD_MIN)
		return fcntl(g->fd, F_SETFD, 0) ? -errno : 0;
	fd = fcntl(g->fd, F_DUPFD, FD_MIN);
	if (fd < 0)
		return -errno;
	close(g->fd);
	g->fd = fd;
	return 0;
}

/* One descriptor that the command gets. */
static int set_own(const char *prefix, const char *one, const struct grant *g,
		   char *why, size_t why_size)
{
	char name[NAME_SIZE], value[16];

	snprintf(value, sizeof(value), "%d", g->fd);
	if (g->kind == GRANT_MAP) {
		snprintf(name, sizeof(name), "BPF_MAP%u", g->index);
		if (setenv(name, value, 1))
			return -errno;
	}
	if (!one)
		return 0;
	name_variable(prefix, one, g, name, sizeof(name));
	if (getenv(name)) {
		snprintf(why, why_size,
			 "%s:%s would be %s, which another is: ask for one of "
			 "them, or give one another prefix (-e)",
			 g->module, g->name, name);
		return -EEXIST;
	}
	return setenv(name, value, 1) ? -errno : 0;
}

static void print_one(FILE *f, const struct grant *g)
{
	switch (g->kind) {
	case GRANT_MAP:
		fprintf(f, "%s:%s:%d:%u:%u:%u:%u:%u:%s;", g->module, g->name,
			g->fd, g->id, g->type, g->key_size, g->value_size,
			g->max_entries, g->writable ? "rw" : "ro");
		break;
	case GRANT_PROGRAM:
		fprintf(f, "%s:%s:%d:%u;", g->module, g->name, g->fd, g->id);
		break;
	case GRANT_BTF:
		fprintf(f, "%u:%d;", g->id, g->fd);
	}
}

static int set_list(struct grants *grants, const struct list *list,
		    const char *prefix, char *why, size_t why_size)
{
	autofree char *text = NULL;
	char name[NAME_SIZE];
	size_t size, i;
	FILE *f = open_memstream(&text, &size);
	int rc = 0;

	if (!f)
		return -errno;
	for (i = 0; i < grants->n && !rc; i++) {
		struct grant *g = &grants->at[i];

		if (g->kind != list->kind)
			continue;
		rc = keep(g) ?: set_own(prefix, list->one, g, why, why_size);
		print_one(f, g);
	}
	if (fclose(f) && !rc)
		rc = -ENOMEM;
	if (rc || (!size && list->kind != GRANT_MAP))
		return rc;
	if (size)
		text[size - 1] = '\0'; /* the last ; */
	snprintf(name, sizeof(name), "%s_%s", prefix, list->name);
	return setenv(name, text, 1) ? -errno : 0;
}

int grants_to_environ(struct grants *grants, const char *prefix, char *why,
		      size_t why_size)
{
	char count[16];
	unsigned int maps = 0;
	size_t i;
	int rc = 0;

	close_earlier(prefix, grants);
	unset_earlier(prefix);
	for (i = 0; i < grants->n; i++)
		maps += grants->at[i].kind == GRANT_MAP;
	snprintf(count, sizeof(count), "%u", maps);
	if (setenv("BPF_NUM_MAPS", count, 1))
		rc = -errno;
	why[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(lists) && !rc; i++)
		rc = set_list(grants, &lists[i], prefix, why, why_size);
	if (rc && !why[0])
		snprintf(why, why_size, "cannot hand %zu descriptors on: %s%s",
			 grants->n, strerror(-rc),
			 rc == -EMFILE ? ": raise the limit of open files "
					 "(ulimit -n)"
				       : "");
	return rc;
}
