/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grants.c - core.grant: descriptors of maps and programs, for others than the
 * modules.
 *
 * Who may ask at all is who may open the bus.  A descriptor that can be written
 * can be frozen (BPF_MAP_FREEZE), after which nobody writes that map again, so
 * these are root's, and only of maps whose modules say so.
 */
#include <fnmatch.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "core"

enum {
	VERSION = 1,
	PATTERNS_MAX = 256,
	PATTERN_SIZE = 128,
	FDS_MAX = 253, /* an answer: lqos_call_fd() */
	ASKERS = 64,
	BURST = 100,
	RATE_NS = 100000000,
};

struct patterns {
	size_t n;
	struct pattern {
		char text[PATTERN_SIZE];
		bool whole; /* MODULE:NAME; else either of them */
		bool exact; /* stands for nothing else */
	} at[PATTERNS_MAX];
};

/* Of users with that number modulo ASKERS. */
struct ask_rate {
	uint64_t since; /* ns: when one was given back */
	uint32_t spent;
};

/* What core.grant knows. */
struct grants {
	struct core_datapath *dp;
	struct ask_rate rates[ASKERS];
};

/* What is asked for, and what becomes of it. */
struct grant {
	struct lqos_call *call;
	const struct datapath_lists *lists;
	bool write;
	size_t from; /* so many were granted before */
	size_t total;
	size_t n_fds;
	json_t *maps, *programs, *btf;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void grant_clear(struct grant *g)
{
	json_decref(g->maps);
	json_decref(g->programs);
	json_decref(g->btf);
}

/* ---- What is asked for --------------------------------------------------- */

static int read_pattern(struct lqos_call *call, const char *key,
			const json_t *value, struct pattern *out)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_.-:*?[]!^";
	const char *text = json_string_value(value);

	if (!text || !*text)
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected names like "
				      "\"throughput:tp_slots\" or "
				      "\"flow:*\"",
				      key);
	if (text[strspn(text, letters)])
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected letters, digits, _ . - : "
				      "and, for others, * ? [ ]",
				      key);
	if (strlen(text) >= sizeof(out->text))
		return lqos_call_fail(
			call, -EINVAL,
			"%s: \"%.32s...\" is longer than any name", key, text);
	strcpy(out->text, text);
	out->whole = strchr(text, ':') != NULL;
	out->exact = !text[strcspn(text, "*?[")];
	return 0;
}

static int read_patterns(struct lqos_call *call, const char *key,
			 struct patterns *out)
{
	const json_t *given = json_object_get(lqos_call_params(call), key);
	const json_t *value;
	size_t i;
	int rc = 0;

	out->n = 0;
	if (given && !json_is_array(given))
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected an array of names", key);
	if (json_array_size(given) > PATTERNS_MAX)
		return lqos_call_fail(call, -E2BIG,
				      "%s: %zu names, at most %d are taken: "
				      "use * in them",
				      key, json_array_size(given),
				      PATTERNS_MAX);
	json_array_foreach((json_t *)given, i, value)
		if (!rc)
			rc = read_pattern(call, key, value, &out->at[out->n++]);
	return rc;
}

static int read_switch(struct lqos_call *call, const char *key, bool *out)
{
	const json_t *given = json_object_get(lqos_call_params(call), key);

	if (given && !json_is_boolean(given))
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected true or false", key);
	*out = json_is_true(given);
	return 0;
}

static int read_from(struct lqos_call *call, size_t *out)
{
	const json_t *given = json_object_get(lqos_call_params(call), "from");
	json_int_t from = json_integer_value(given);

	if (given && (!json_is_integer(given) || from < 0 || from > INT32_MAX))
		return lqos_call_fail(call, -EINVAL,
				      "from: expected how many were granted "
				      "before");
	*out = (size_t)from;
	return 0;
}

static bool matches(const struct pattern *pattern, const char *module,
		    const char *name)
{
	char whole[2 * PATTERN_SIZE];

	if (!pattern->whole)
		return !fnmatch(pattern->text, module, 0) ||
		       !fnmatch(pattern->text, name, 0);
	snprintf(whole, sizeof(whole), "%s:%s", module, name);
	return !fnmatch(pattern->text, whole, 0);
}

/* The first of the patterns that it matches; n: none. */
static size_t first_match(const struct patterns *patterns, const char *module,
			  const char *name)
{
	size_t i = 0;

	while (i < patterns->n && !matches(&patterns->at[i], module, name))
		i++;
	return i;
}

/* ---- What is granted ----------------------------------------------------- */

static bool in_array(const json_t *array, json_int_t id)
{
	const json_t *value;
	size_t i;

	json_array_foreach((json_t *)array, i, value)
		if (json_integer_value(value) == id)
			return true;
	return false;
}

/* One more in this answer, if it is this one's turn. */
static bool is_due(struct grant *g, size_t fds)
{
	size_t done = json_array_size(g->maps) + json_array_size(g->programs);

	return g->total++ == g->from + done && g->n_fds + fds <= FDS_MAX;
}

static int grant_map(struct grant *g, const struct datapath_map *map)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, read_only,
		    .open_flags = BPF_F_RDONLY);
	bool write = g->write && map->access == DATAPATH_WRITE;
	bool types = map->btf_id && !in_array(g->btf, map->btf_id);
	autoclose int copy = -1;
	int rc;

	if (!is_due(g, 1 + types))
		return 0;
	if (!write) {
		copy = bpf_map_get_fd_by_id_opts(map->id, &read_only);
		if (copy < 0)
			return lqos_call_fail(
				g->call, copy,
				"%s:%s: cannot open it to be read only: %s: "
				"lqosd needs CAP_SYS_ADMIN and a descriptor "
				"more",
				map->module, map->name, strerror(-copy));
	}
	rc = lqos_call_fd(g->call, write ? map->fd : copy);
	if (rc)
		return rc;
	g->n_fds++;
	if (types) {
		json_array_append_new(g->btf, json_integer(map->btf_id));
		g->n_fds++;
	}
	json_array_append_new(
		g->maps,
		json_pack("{s:s,s:s,s:I,s:s}", "module", map->module, "name",
			  map->name, "id", (json_int_t)map->id, "access",
			  datapath_access_names[write ? DATAPATH_WRITE
						      : DATAPATH_READ]));
	return 0;
}

static int grant_program(struct grant *g, const struct datapath_program *prog)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int rc;

	if (!is_due(g, 1))
		return 0;
	if (bpf_obj_get_info_by_fd(prog->fd, &info, &len))
		return lqos_call_fail(
			g->call, -errno, "%s:%s: cannot look at it: %s",
			prog->module, prog->name, strerror(errno));
	rc = lqos_call_fd(g->call, prog->fd);
	if (rc)
		return rc;
	g->n_fds++;
	json_array_append_new(g->programs,
			      json_pack("{s:s,s:s,s:I}", "module", prog->module,
					"name", prog->name, "id",
					(json_int_t)info.id));
	return 0;
}

/* What only root may open by its id, and by which a map can be read. */
static int grant_types(struct grant *g)
{
	const json_t *id;
	size_t i;
	int rc;

	json_array_foreach(g->btf, i, id) {
		autoclose int fd =
			bpf_btf_get_fd_by_id((uint32_t)json_integer_value(id));

		if (fd < 0)
			return lqos_call_fail(g->call, fd,
					      "the types of the maps (BTF "
					      "%" JSON_INTEGER_FORMAT
					      ") cannot be opened: %s",
					      json_integer_value(id),
					      strerror(-fd));
		rc = lqos_call_fd(g->call, fd);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- What is refused ----------------------------------------------------- */

/* A name without * has to be had, as it was asked for. */
static int refuse_map(struct grant *g, const struct pattern *pattern)
{
	bool hidden = false;
	size_t i;

	for (i = 0; i < g->lists->n_maps; i++) {
		const struct datapath_map *map = &g->lists->maps[i];

		if (!matches(pattern, map->module, map->name))
			continue;
		if (map->access == DATAPATH_PRIVATE) {
			hidden = true;
			continue;
		}
		if (!g->write || map->access == DATAPATH_WRITE ||
		    !pattern->exact || !strcmp(pattern->text, map->module))
			return 0;
		return lqos_call_fail(g->call, -EACCES,
				      "map %s can only be read, as its module "
				      "says: ask for it without --rw",
				      pattern->text);
	}
	if (hidden)
		return lqos_call_fail(g->call, -EACCES,
				      "map %s is private: its module hands it "
				      "to nobody",
				      pattern->text);
	return lqos_call_fail(
		g->call, -ENOENT,
		"no map is \"%s\": expected MODULE:MAP, or one of "
		"them, of those that lqosctl maps shows; * may "
		"stand for letters",
		pattern->text);
}

static int grant_maps(struct grant *g, const struct patterns *patterns)
{
	const struct datapath_map *maps = g->lists->maps;
	size_t n = g->lists->n_maps, p, i;
	autofree size_t *first = calloc(n + 1, sizeof(*first));
	int rc = first ? 0 : -ENOMEM;

	for (p = 0; p < patterns->n && !rc; p++)
		rc = refuse_map(g, &patterns->at[p]);
	/* Who asks may have hundreds of names: each is compared once. */
	for (i = 0; i < n && !rc; i++)
		first[i] = maps[i].access == DATAPATH_PRIVATE
				   ? patterns->n
				   : first_match(patterns, maps[i].module,
						 maps[i].name);
	/* In the order they were asked for. */
	for (p = 0; p < patterns->n && !rc; p++)
		for (i = 0; i < n && !rc; i++)
			if (first[i] == p)
				rc = grant_map(g, &maps[i]);
	return rc;
}

static int grant_programs(struct grant *g, const struct patterns *patterns)
{
	const struct datapath_program *programs = g->lists->programs;
	size_t n = g->lists->n_programs, p, i;
	int rc = 0;

	for (p = 0; p < patterns->n && !rc; p++) {
		bool found = false;

		for (i = 0; i < n && !rc; i++) {
			if (!matches(&patterns->at[p], programs[i].module,
				     programs[i].name))
				continue;
			found = true;
			if (first_match(patterns, programs[i].module,
					programs[i].name) == p)
				rc = grant_program(g, &programs[i]);
		}
		if (!rc && !found)
			rc = lqos_call_fail(
				g->call, -ENOENT,
				"no program is \"%s\": expected "
				"MODULE:PROGRAM, or one of them; * may stand "
				"for letters",
				patterns->at[p].text);
	}
	return rc;
}

/* ---- core.grant ---------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static bool is_alike(const json_t *a, const json_t *b)
{
	return !strcmp(text_of(a, "module"), text_of(b, "module")) &&
	       !strcmp(text_of(a, "access"), text_of(b, "access"));
}

/* How many of a module anybody could have. */
static size_t count_public(const struct datapath_lists *lists,
			   const char *module)
{
	size_t n = 0, i;

	for (i = 0; i < lists->n_maps; i++)
		n += !strcmp(lists->maps[i].module, module) &&
		     lists->maps[i].access != DATAPATH_PRIVATE;
	return n;
}

/* " ro throughput:tp_slots,tp_totals", for those that follow each other; "*"
 * where it is all that a module does not keep to itself. */
static void print_alike(FILE *f, const struct datapath_lists *lists,
			const json_t *array)
{
	size_t from, to, i;

	for (from = 0; from < json_array_size(array); from = to) {
		const json_t *first = json_array_get(array, from);
		const char *module = text_of(first, "module");
		const char *access = text_of(first, "access");

		for (to = from; to < json_array_size(array); to++)
			if (!is_alike(first, json_array_get(array, to)))
				break;
		fprintf(f, " %s %s:", *access ? access : "program", module);
		if (*access && to - from == count_public(lists, module)) {
			fputc('*', f);
			continue;
		}
		for (i = from; i < to; i++)
			fprintf(f, "%s%s", i > from ? "," : "",
				text_of(json_array_get(array, i), "name"));
	}
}

/* A line each, whatever else is said. */
static void audit(const struct grant *g)
{
	autofree char *text = NULL;
	char who[64];
	size_t size;
	FILE *f = open_memstream(&text, &size);
	bool whole = false;

	if (f) {
		print_alike(f, g->lists, g->maps);
		print_alike(f, g->lists, g->programs);
		whole = !fclose(f);
	}
	core_log_unlimited(WHO, LQOS_INFO, "granted to %s:%s",
			   core_call_asker(g->call, who, sizeof(who)),
			   whole ? text : " no memory to say what");
}

/* Those who may only look: so many at once, and then one in a while.  Each is a
 * line in the log, and a while of the loop. */
static int check_rate(struct lqos_call *call, struct ask_rate *rates, uid_t uid)
{
	struct ask_rate *rate = &rates[uid % ASKERS];
	uint64_t now = now_ns(), came;

	came = (now - rate->since) / RATE_NS;
	rate->since += came * RATE_NS;
	rate->spent -= came < rate->spent ? (uint32_t)came : rate->spent;
	if (rate->spent < BURST) {
		rate->spent++;
		return 0;
	}
	core_log(WHO, LQOS_WARN, "refused uid %u: it asks all the time",
		 (unsigned int)uid);
	return lqos_call_fail(
		call, -EAGAIN,
		"uid %u has had %d grants at once: wait %d ms for "
		"the next, or keep what you have in a shell of "
		"lqosctl exec",
		(unsigned int)uid, BURST, RATE_NS / 1000000);
}

/* Whoever could pin a map that he may read could write it. */
static int check_pins(struct lqos_call *call)
{
	char path[256];

	if (!bpffs_is_open(path, sizeof(path)))
		return 0;
	return lqos_call_fail(call, -EPERM,
			      "maps are root's alone while others can make "
			      "files in the BPF file system %s, as a pin there "
			      "would let them write: chmod 0700 %s",
			      path, path);
}

static int check_rights(const struct grant *g, const struct patterns *programs,
			struct ask_rate *rates)
{
	struct core_bus_client *client = core_call_client(g->call);
	uid_t uid = client ? core_bus_client_uid(client) : 0;
	const char *what =
		programs->n ? "programs" : "maps that can be written";

	if (!uid)
		return 0;
	if (!programs->n && !g->write)
		return check_rate(g->call, rates, uid) ?: check_pins(g->call);
	core_log(WHO, LQOS_WARN, "refused uid %u %s", (unsigned int)uid, what);
	return lqos_call_fail(g->call, -EPERM,
			      "%s are root's, and you are uid %u: ask without "
			      "%s, or use sudo",
			      what, (unsigned int)uid,
			      programs->n ? "--program" : "--rw");
}

static int give(struct grant *g, const struct patterns *maps,
		const struct patterns *programs)
{
	int rc;

	g->maps = json_array();
	g->programs = json_array();
	g->btf = json_array();
	rc = grant_maps(g, maps)
		     ?: grant_programs(g, programs)
		     ?: grant_types(g);
	if (rc)
		return rc;
	if (g->n_fds)
		audit(g);
	lqos_call_result(g->call,
			 json_pack("{s:i,s:I,s:I,s:O,s:O,s:O}", "version",
				   VERSION, "total", (json_int_t)g->total,
				   "from", (json_int_t)g->from, "maps", g->maps,
				   "programs", g->programs, "btf", g->btf));
	return 0;
}

static int run_grant(struct lqos_call *call, void *arg)
{
	static const char *const known[] = {"maps", "programs", "write", "from",
					    NULL};
	autofree struct patterns *maps = calloc(2, sizeof(*maps));
	struct patterns *programs = maps ? &maps[1] : NULL;
	struct grants *grants = arg;
	struct grant g = {.call = call};
	char why[256];
	int rc;

	if (!maps)
		return -ENOMEM;
	rc = lqos_params_only(lqos_call_params(call), known, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	rc = read_patterns(call, "maps", maps)
		     ?: read_patterns(call, "programs", programs)
		     ?: read_switch(call, "write", &g.write)
		     ?: read_from(call, &g.from)
		     ?: check_rights(&g, programs, grants->rates);
	g.lists = datapath_lists(grants->dp);
	if (!rc && !g.lists)
		rc = -ENOMEM;
	if (!rc)
		rc = give(&g, maps, programs);
	grant_clear(&g);
	return rc;
}

static const struct lqos_command grant = {
	.name = "grant",
	.params = "{maps?: [string], programs?: [string], write?: bool, "
		  "from?: number}",
	.help = "Descriptors of maps and programs, with the answer: use "
		"lqosctl exec",
	.run = run_grant,
};

int grants_add_command(struct core_datapath *dp)
{
	struct grants *grants = calloc(1, sizeof(*grants));
	int rc;

	if (!grants)
		return -ENOMEM;
	grants->dp = dp;
	rc = lqos_defer(dp->core->ctx, free, grants);
	return rc ?: lqos_command_add(dp->core->ctx, &grant, grants);
}
