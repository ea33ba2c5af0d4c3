/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* grant.c - descriptors of maps, programs and types, asked of the daemon. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/client.h"
#include "core/shell/grant.h"

enum {
	VERSION = 1,
	AT_ONCE = 253,	   /* descriptors with an answer */
	TOTAL_MAX = 16384, /* no daemon has so many maps */
};

/* ---- Grants -------------------------------------------------------------- */

void grants_free(struct grants *grants)
{
	size_t i;

	for (i = 0; i < grants->n && !grants->borrowed; i++)
		if (grants->at[i].fd >= 0)
			close(grants->at[i].fd);
	free(grants->at);
	*grants = (struct grants){};
}

int grants_add(struct grants *grants, const struct grant *grant)
{
	struct grant *more =
		reallocarray(grants->at, grants->n + 1, sizeof(*more));

	if (!more) {
		if (!grants->borrowed && grant->fd >= 0)
			close(grant->fd);
		return -ENOMEM;
	}
	grants->at = more;
	grants->at[grants->n++] = *grant;
	return 0;
}

/* ---- What a descriptor is ------------------------------------------------ */

/* What the kernel calls the file: nothing else tells before it is asked as one
 * of its kind. */
static int kind_of(int fd, enum grant_kind *kind)
{
	static const struct {
		const char *file;
		enum grant_kind kind;
	} kinds[] = {
		{"anon_inode:bpf-map", GRANT_MAP},
		{"anon_inode:bpf-prog", GRANT_PROGRAM},
		{"anon_inode:btf", GRANT_BTF},
	};
	char path[32], file[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, file, sizeof(file) - 1);
	if (n < 0)
		return errno == ENOENT ? -EBADF : -errno;
	file[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(file, kinds[i].file))
			continue;
		*kind = kinds[i].kind;
		return 0;
	}
	return -EMEDIUMTYPE;
}

static int check_kind(int fd, enum grant_kind wanted)
{
	enum grant_kind kind = wanted;
	int rc = kind_of(fd, &kind);

	return rc ?: kind == wanted ? 0 : -EMEDIUMTYPE;
}

int grant_look(struct grant *grant)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int rc = check_kind(grant->fd, GRANT_MAP), flags;

	if (rc)
		return rc;
	flags = fcntl(grant->fd, F_GETFL);
	if (flags < 0 || bpf_obj_get_info_by_fd(grant->fd, &info, &len))
		return -errno;
	grant->kind = GRANT_MAP;
	grant->id = info.id;
	if (!grant->name[0])
		snprintf(grant->name, sizeof(grant->name), "%s", info.name);
	grant->type = info.type;
	grant->key_size = info.key_size;
	grant->value_size = info.value_size;
	grant->max_entries = info.max_entries;
	grant->flags = info.map_flags;
	grant->btf_id = info.btf_id;
	grant->key_type = info.btf_key_type_id;
	grant->value_type = info.btf_value_type_id;
	grant->writable = (flags & O_ACCMODE) != O_RDONLY;
	return 0;
}

static int id_of(const struct grant *grant, uint32_t *id)
{
	union {
		struct bpf_map_info map;
		struct bpf_prog_info program;
		struct bpf_btf_info btf;
	} info = {};
	uint32_t len = grant->kind == GRANT_MAP	      ? sizeof(info.map)
		       : grant->kind == GRANT_PROGRAM ? sizeof(info.program)
						      : sizeof(info.btf);

	if (bpf_obj_get_info_by_fd(grant->fd, &info, &len))
		return -errno;
	*id = grant->kind == GRANT_MAP	     ? info.map.id
	      : grant->kind == GRANT_PROGRAM ? info.program.id
					     : info.btf.id;
	return 0;
}

int grant_check(const struct grant *grant)
{
	uint32_t id = 0;
	int rc = check_kind(grant->fd, grant->kind);

	if (!rc)
		rc = id_of(grant, &id);
	return rc ?: id == grant->id ? 0 : -ESTALE;
}

bool grant_matches(const struct grant *grant, const char *pattern)
{
	char whole[sizeof(grant->module) + sizeof(grant->name)];

	if (grant->kind != GRANT_MAP)
		return false;
	if (!strchr(pattern, ':'))
		return !fnmatch(pattern, grant->module, 0) ||
		       !fnmatch(pattern, grant->name, 0);
	snprintf(whole, sizeof(whole), "%s:%s", grant->module, grant->name);
	return !fnmatch(pattern, whole, 0);
}

int grant_closed(const struct grant *grant, char *why, size_t why_size)
{
	snprintf(why, why_size,
		 "%s:%s: the environment names a descriptor that is not open "
		 "here, or is something else by now: was it closed on the way "
		 "(in Python, close_fds=False keeps it open)?",
		 grant->module, grant->name);
	return -EBADF;
}

int grants_find(const struct grants *grants, const char *name,
		const struct grant **out, char *why, size_t why_size)
{
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : 0, i;
	const struct grant *found = NULL;

	for (i = 0; i < grants->n; i++) {
		const struct grant *g = &grants->at[i];

		if (g->kind != GRANT_MAP ||
		    strcmp(g->name, colon ? colon + 1 : name) ||
		    (colon &&
		     (strncmp(g->module, name, len) || g->module[len])))
			continue;
		if (found) {
			snprintf(why, why_size,
				 "%s:%s and %s:%s: which of them is meant?",
				 found->module, found->name, g->module,
				 g->name);
			return -ENOTUNIQ;
		}
		found = g;
	}
	if (!found) {
		snprintf(why, why_size,
			 "no map %s among the %zu there are: lqosctl map list "
			 "shows them",
			 name, grants->n);
		return -ENOENT;
	}
	if (found->fd < 0)
		return grant_closed(found, why, why_size);
	*out = found;
	return 0;
}

static int read_btf(int fd, struct btf **out)
{
	struct bpf_btf_info info = {};
	autofree void *data = NULL;
	uint32_t len = sizeof(info);
	struct btf *btf;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	data = malloc(info.btf_size ?: 1);
	if (!data)
		return -ENOMEM;
	info = (struct bpf_btf_info){.btf = (uintptr_t)data,
				     .btf_size = info.btf_size};
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	btf = btf__new(data, info.btf_size);
	if (!btf)
		return -errno;
	*out = btf;
	return 0;
}

int grant_btf(const struct grants *grants, const struct grant *map,
	      struct btf **out)
{
	struct btf *btf;
	size_t i;

	if (!map->btf_id)
		return -ENOENT;
	for (i = 0; i < grants->n; i++) {
		const struct grant *g = &grants->at[i];

		if (g->kind == GRANT_BTF && g->id == map->btf_id && g->fd >= 0)
			return read_btf(g->fd, out);
	}
	/* Maps that came another way: who is root has no need of descriptors.
	 */
	btf = btf__load_from_kernel_by_id(map->btf_id);
	if (!btf)
		return -ENOENT;
	*out = btf;
	return 0;
}

/* ---- An answer ----------------------------------------------------------- */

/* What came with one: those that are taken are -1. */
struct answer {
	const json_t *maps, *programs, *btf;
	int fds[AT_ONCE];
	size_t n, taken;
};

static void answer_close(struct answer *answer)
{
	while (answer->n)
		if (answer->fds[--answer->n] >= 0)
			close(answer->fds[answer->n]);
}

static int take_fd(struct answer *answer)
{
	return steal_fd(&answer->fds[answer->taken++]);
}

/* A name that the environment can carry, and no terminal minds. */
static bool is_name(const char *text, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return text && *text && strlen(text) < size &&
	       !text[strspn(text, letters)];
}

static int add_map(struct grants *grants, const json_t *told, int fd)
{
	const char *module = json_string_value(json_object_get(told, "module"));
	const char *name = json_string_value(json_object_get(told, "name"));
	const char *access = json_string_value(json_object_get(told, "access"));
	struct grant grant = {.fd = fd, .kind = GRANT_MAP};
	size_t i;
	int rc;

	if (!is_name(module, sizeof(grant.module)) ||
	    !is_name(name, sizeof(grant.name)) || !access) {
		close(fd);
		return -EPROTO;
	}
	strcpy(grant.module, module);
	strcpy(grant.name, name);
	for (i = 0; i < grants->n; i++)
		grant.index += grants->at[i].kind == GRANT_MAP;
	rc = grant_look(&grant);
	if (!rc &&
	    (grant.id != json_integer_value(json_object_get(told, "id")) ||
	     grant.writable != !strcmp(access, "rw")))
		rc = -EPROTO;
	if (rc) {
		close(fd);
		return rc;
	}
	return grants_add(grants, &grant);
}

static int add_program(struct grants *grants, const json_t *told, int fd)
{
	const char *module = json_string_value(json_object_get(told, "module"));
	const char *name = json_string_value(json_object_get(told, "name"));
	json_int_t id = json_integer_value(json_object_get(told, "id"));
	struct grant grant = {
		.fd = fd, .kind = GRANT_PROGRAM, .id = (uint32_t)id};

	if (!is_name(module, sizeof(grant.module)) ||
	    !is_name(name, sizeof(grant.name)) || grant_check(&grant)) {
		close(fd);
		return -EPROTO;
	}
	strcpy(grant.module, module);
	strcpy(grant.name, name);
	return grants_add(grants, &grant);
}

static int add_btf(struct grants *grants, const json_t *told, int fd)
{
	struct grant grant = {.fd = fd,
			      .kind = GRANT_BTF,
			      .id = (uint32_t)json_integer_value(told)};
	size_t i;

	if (grant_check(&grant)) {
		close(fd);
		return -EPROTO;
	}
	for (i = 0; i < grants->n; i++) {
		if (grants->at[i].kind != GRANT_BTF ||
		    grants->at[i].id != grant.id)
			continue;
		close(fd); /* it came with an answer before, too */
		return 0;
	}
	return grants_add(grants, &grant);
}

static int
add_all(struct grants *grants, struct answer *answer, const json_t *array,
	int (*add)(struct grants *grants, const json_t *told, int fd))
{
	const json_t *told;
	size_t i;
	int rc = 0;

	json_array_foreach((json_t *)array, i, told)
		if (!rc)
			rc = add(grants, told, take_fd(answer));
	return rc;
}

/* So many of them there are in all goes into *total. */
static int read_answer(struct grants *grants, struct answer *answer,
		       const json_t *json, size_t from, size_t *total)
{
	json_int_t all = json_integer_value(json_object_get(json, "total"));
	json_int_t first = json_integer_value(json_object_get(json, "from"));

	if (json_integer_value(json_object_get(json, "version")) != VERSION)
		return -EPROTONOSUPPORT;
	answer->maps = json_object_get(json, "maps");
	answer->programs = json_object_get(json, "programs");
	answer->btf = json_object_get(json, "btf");
	if (!json_is_array(answer->maps) || !json_is_array(answer->programs) ||
	    !json_is_array(answer->btf) || all < 0 || all > TOTAL_MAX ||
	    first != (json_int_t)from ||
	    answer->n != json_array_size(answer->maps) +
				 json_array_size(answer->programs) +
				 json_array_size(answer->btf))
		return -EPROTO;
	*total = (size_t)all;
	return add_all(grants, answer, answer->maps, add_map)
		       ?: add_all(grants, answer, answer->programs, add_program)
		       ?: add_all(grants, answer, answer->btf, add_btf);
}

/* ---- Asking -------------------------------------------------------------- */

static int fail(int rc, char *why, size_t size)
{
	if (rc == -EPROTONOSUPPORT)
		snprintf(why, size,
			 "lqosd answers with another version than %d: are it "
			 "and lqosctl of one installation?",
			 VERSION);
	else if (rc == -EPROTO || rc == -EMEDIUMTYPE)
		snprintf(why, size,
			 "what lqosd sent is not what it says: all "
			 "descriptors are closed");
	else
		snprintf(why, size, "cannot take what lqosd sent: %s",
			 strerror(-rc));
	return rc;
}

static json_t *names(const char *const *text, size_t n)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(array, json_string(text[i]));
	return array;
}

/* Takes those from done on, which are as many as go into an answer. */
static int ask_once(struct grants *grants, struct client *client,
		    const struct grant_request *request, size_t done,
		    size_t *total, char *why, size_t size)
{
	struct answer answer = {.n = AT_ONCE};
	json_t *json = NULL;
	int rc = client_call_fds(
		client, "core.grant",
		json_pack("{s:o,s:o,s:b,s:I}", "maps",
			  names(request->maps, request->n_maps), "programs",
			  names(request->programs, request->n_programs),
			  "write", (int)request->writable, "from",
			  (json_int_t)done),
		request->timeout_ms, &json, answer.fds, &answer.n, why, size);

	if (rc == -EREMOTEIO && !strncmp(why, "no method", 9))
		snprintf(why, size,
			 "lqosd has no maps to hand out: it runs without "
			 "interfaces, or is older than lqosctl");
	if (rc)
		return rc;
	rc = read_answer(grants, &answer, json, done, total);
	json_decref(json);
	answer_close(&answer);
	return rc ? fail(rc, why, size) : 0;
}

static size_t count(const struct grants *grants)
{
	size_t n = 0, i;

	for (i = 0; i < grants->n; i++)
		n += grants->at[i].kind != GRANT_BTF;
	return n;
}

int grants_ask(struct grants *out, const struct grant_request *request,
	       char *why, size_t why_size)
{
	struct grants grants = {};
	struct client *client;
	size_t done = 0, total = 0;
	int rc = client_open(&client, request->socket, why, why_size);

	if (rc)
		return rc;
	do {
		rc = ask_once(&grants, client, request, done, &total, why,
			      why_size);
		/* Each brings something, or there would be no end. */
		if (!rc && count(&grants) == done && done < total)
			rc = fail(-EPROTO, why, why_size);
		done = count(&grants);
	} while (!rc && done < total);
	client_close(&client);
	if (rc) {
		grants_free(&grants);
		return rc;
	}
	*out = grants;
	return 0;
}
