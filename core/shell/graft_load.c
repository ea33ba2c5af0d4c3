/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* graft_load.c - programs of a file, loaded as those of a module. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/shell/graft.h"

enum { LOG_LINES = 16 }; /* the last of the verifier's */

#define LOG_BEGIN "-- BEGIN PROG LOAD LOG --\n"
#define LOG_END	  "-- END PROG LOAD LOG --"

/* ---- What libbpf says ---------------------------------------------------- */

/* The first says most: what follows from it comes after it. */
static char *warning, *verifier_log;

static int __attribute__((format(printf, 2, 0)))
on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text, **at;

	if (level != LIBBPF_WARN || vasprintf(&text, fmt, ap) < 0)
		return 0;
	at = strstr(text, LOG_BEGIN) ? &verifier_log : &warning;
	if (*at) {
		free(text);
		return 0;
	}
	if (at == &warning)
		text[strcspn(text, "\n")] = '\0';
	*at = text;
	return 0;
}

static void listen_anew(void)
{
	free(warning);
	free(verifier_log);
	warning = verifier_log = NULL;
	libbpf_set_print(on_print);
}

static const char *what_it_said(int rc)
{
	static char text[256];

	if (warning)
		return strncmp(warning, "libbpf: ", 8) ? warning : warning + 8;
	libbpf_strerror(rc, text, sizeof(text));
	return text;
}

static void show_verifier_log(void)
{
	char *begin = verifier_log ? strstr(verifier_log, LOG_BEGIN) : NULL;
	char *end = begin ? strstr(begin, LOG_END) : NULL, *from;
	int lines = LOG_LINES + 1;

	if (!end)
		return;
	begin += strlen(LOG_BEGIN);
	for (from = end; from > begin && (from[-1] != '\n' || --lines); from--)
		;
	fprintf(stderr, "%s%.*s", from > begin ? "...\n" : "",
		(int)(end - from), from);
}

/* ---- Which programs ------------------------------------------------------ */

/* The place of a stage in the host; host->n_stages: it is in none. */
static size_t place_of(const struct graft_host *host, const char *stage)
{
	size_t i = 0;

	while (i < host->n_stages && strcmp(host->stages[i].stage, stage))
		i++;
	return i;
}

/* "observe, egress"; returns buf. */
static const char *stages_of(const struct graft_host *host, char *buf,
			     size_t size)
{
	size_t i, n = 0;

	*buf = '\0';
	for (i = 0; i < host->n_stages && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      host->stages[i].stage);
	return buf;
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	while (n--)
		if (!strcmp(names[n], name))
			return true;
	return false;
}

/* Programs of an object by place in the host; NULL: none for that. */
struct choice {
	struct bpf_program *progs[GRAFT_STAGES];
	size_t n;
};

/* named: somebody wants it, whatever it is. */
static int consider(const struct graft_host *host, struct bpf_program *prog,
		    bool named, struct choice *choice)
{
	const char *section = bpf_program__section_name(prog);
	const char *name = bpf_program__name(prog);
	char stages[128];
	enum stage stage;
	size_t at;
	bool last;

	stage = stage_of_section(section, &last);
	if (stage == STAGES)
		return named ? graft_fail("program %s is in section %s: "
					  "expected one that a macro of "
					  "<lqos/packet.bpf.h> made",
					  name, section)
			     : 0;
	at = place_of(host, stage_names[stage]);
	if (at == host->n_stages)
		return named ? graft_fail(
				       "program %s is for stage %s, where "
				       "module %s has none in this run: it "
				       "has in %s",
				       name, stage_names[stage], host->module,
				       stages_of(host, stages, sizeof(stages)))
			     : 0;
	if (choice->progs[at])
		return graft_fail("%s and %s are both for stage %s: say which, "
				  "behind the file",
				  bpf_program__name(choice->progs[at]), name,
				  stage_names[stage]);
	choice->progs[at] = prog;
	choice->n++;
	bpf_program__set_autoload(prog, true);
	bpf_program__set_type(prog, host->stages[at].prog_type);
	bpf_program__set_expected_attach_type(prog,
					      host->stages[at].attach_type);
	return 0;
}

static int choose(const struct graft_host *host, struct bpf_object *obj,
		  const char *path, const char *const *names, size_t n,
		  struct choice *choice)
{
	struct bpf_program *prog;
	char stages[128];
	size_t i;

	for (i = 0; i < n; i++)
		if (!bpf_object__find_program_by_name(obj, names[i]))
			return graft_fail("%s: there is no program %s in it",
					  path, names[i]);
	bpf_object__for_each_program(prog, obj) {
		bool named = has_name(names, n, bpf_program__name(prog));

		bpf_program__set_autoload(prog, false);
		if ((!n || named) && consider(host, prog, named, choice))
			return -1;
	}
	if (choice->n)
		return 0;
	return graft_fail("%s: there is no program in it for a stage where "
			  "module %s has one: %s",
			  path, host->module,
			  stages_of(host, stages, sizeof(stages)));
}

/* ---- Loading ------------------------------------------------------------- */

static int id_of(int fd, uint32_t *id)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*id = info.id;
	return 0;
}

static int load(struct bpf_object *obj, const char *path)
{
	int rc;

	listen_anew();
	rc = bpf_object__load(obj);
	if (!rc)
		return 0;
	show_verifier_log();
	return graft_fail("%s: %s: what runs goes on", path, what_it_said(rc));
}

static int note_loaded(const struct graft_host *host,
		       const struct choice *choice, struct graft_loaded *out)
{
	size_t i;
	int rc;

	for (i = 0; i < host->n_stages; i++) {
		struct graft_program *to = &out->programs[out->n];

		if (!choice->progs[i])
			continue;
		to->stage = host->stages[i].stage;
		rc = id_of(bpf_program__fd(choice->progs[i]), &to->id);
		if (rc)
			return graft_fail("%s: %s",
					  bpf_program__name(choice->progs[i]),
					  strerror(-rc));
		out->n++;
	}
	return 0;
}

int graft_load(const struct graft_host *host, const char *path,
	       const char *const *names, size_t n, bool force,
	       struct graft_loaded *out)
{
	struct graft_loaded loaded = {.pinned = -1};
	struct choice choice = {};
	int rc;

	listen_anew();
	loaded.obj = bpf_object__open_file(path, NULL);
	if (!loaded.obj)
		return graft_fail("%s: expected a BPF object (clang -g -O2 "
				  "-target bpf): %s",
				  path, what_it_said(-errno));
	rc = choose(host, loaded.obj, path, names, n, &choice);
	if (!rc && !force && !graft_is_related(host, loaded.obj))
		rc = graft_fail("%s: none of its maps is one of %s's: is it "
				"its program? --force grafts it all the same",
				path, host->module);
	if (!rc)
		rc = graft_bind(host, loaded.obj);
	if (!rc)
		rc = load(loaded.obj, path);
	if (!rc)
		rc = note_loaded(host, &choice, &loaded);
	if (rc)
		graft_unload(&loaded);
	else
		*out = loaded;
	listen_anew();
	return rc;
}

void graft_unload(struct graft_loaded *loaded)
{
	bpf_object__close(loaded->obj);
	if (loaded->pinned >= 0)
		close(loaded->pinned);
	*loaded = (struct graft_loaded){.pinned = -1};
}

/* ---- A pin --------------------------------------------------------------- */

/* A map's or a link's pin opens all the same. */
static bool is_program(int fd)
{
	char path[32], target[32] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 &&
	       !strcmp(target, "anon_inode:bpf-prog");
}

/* Does the program have the chain of that stage among its maps? */
static bool goes_on_in(const struct graft_host *host, const char *stage,
		       const uint32_t *ids, size_t n)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	char name[64];
	size_t i;

	snprintf(name, sizeof(name), "lqos_%s", stage);
	if (bpf_obj_get_info_by_fd(graft_map(host, name), &info, &len))
		return false;
	for (i = 0; i < n; i++)
		if (ids[i] == info.id)
			return true;
	return false;
}

/* What a pinned program is for nothing tells but where it goes on. */
static int find_stage(const struct graft_host *host, const char *path,
		      struct graft_loaded *loaded)
{
	uint32_t ids[64], len;
	struct bpf_prog_info info = {.nr_map_ids = ARRAY_SIZE(ids),
				     .map_ids = (uintptr_t)ids};
	struct graft_program *to = &loaded->programs[0];
	char stages[128];
	size_t i;

	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(loaded->pinned, &info, &len))
		return graft_fail("%s: %s", path, strerror(errno));
	if (info.nr_map_ids > ARRAY_SIZE(ids))
		info.nr_map_ids = ARRAY_SIZE(ids);
	for (i = 0; i < host->n_stages; i++) {
		if (!goes_on_in(host, host->stages[i].stage, ids,
				info.nr_map_ids))
			continue;
		if (loaded->n)
			return graft_fail("%s: it goes on in both stage %s and "
					  "stage %s, so what it is for cannot "
					  "be told",
					  path, to->stage,
					  host->stages[i].stage);
		*to = (struct graft_program){.stage = host->stages[i].stage,
					     .id = info.id};
		loaded->n = 1;
	}
	if (loaded->n)
		return 0;
	return graft_fail("%s: program %s goes on to the next in no stage "
			  "where module %s has one (%s): end it in "
			  "lqos_next_STAGE()",
			  path, info.name, host->module,
			  stages_of(host, stages, sizeof(stages)));
}

int graft_open_pinned(const struct graft_host *host, const char *path,
		      struct graft_loaded *out)
{
	struct graft_loaded loaded = {.pinned = bpf_obj_get(path)};
	int rc;

	if (loaded.pinned < 0)
		return graft_fail("%s: %s", path, strerror(errno));
	rc = is_program(loaded.pinned)
		     ? find_stage(host, path, &loaded)
		     : graft_fail("%s: it is a pin, but of no program", path);
	if (rc)
		graft_unload(&loaded);
	else
		*out = loaded;
	return rc;
}
