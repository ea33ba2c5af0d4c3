/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* maps.c - the maps and programs of the core and of all modules. */
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/layout.h"

const char *const datapath_access_names[] = {
	[DATAPATH_PRIVATE] = "private",
	[DATAPATH_READ] = "ro",
	[DATAPATH_WRITE] = "rw",
};

/* Sections are settings, seeds among them, and what only a module knows. */
static enum datapath_access access_of(const struct bpf_object *obj,
				      const struct bpf_map *map)
{
	if (bpf_map__is_internal(map) ||
	    layout_has_tag(obj, map, LAYOUT_PRIVATE))
		return DATAPATH_PRIVATE;
	if (layout_has_tag(obj, map, LAYOUT_WRITABLE))
		return DATAPATH_WRITE;
	return bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ? DATAPATH_PRIVATE
							  : DATAPATH_READ;
}

struct found {
	struct datapath_map *maps;
	struct datapath_program *programs;
	size_t n;
};

static int add_map(struct found *found, const struct datapath_map *map)
{
	struct datapath_map *more =
		reallocarray(found->maps, found->n + 1, sizeof(*found->maps));

	if (!more)
		return -ENOMEM;
	found->maps = more;
	found->maps[found->n++] = *map;
	return 0;
}

static int add_maps(const struct core_datapath *dp, const char *module,
		    struct bpf_object *obj, void *arg)
{
	struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, obj) {
		const struct datapath_map one = {
			.module = module,
			.name = bpf_map__name(map),
			.fd = bpf_map__fd(map),
			.access = access_of(obj, map),
		};

		/* The core's are told once, as its own. */
		if (!rc && one.fd >= 0 &&
		    (!strcmp(module, DATAPATH_WHO) ||
		     datapath_core_map(dp, one.name) < 0))
			rc = add_map(arg, &one);
	}
	return rc;
}

static int add_programs(const struct core_datapath *dp, const char *module,
			struct bpf_object *obj, void *arg)
{
	struct found *found = arg;
	struct bpf_program *prog;

	(void)dp;
	bpf_object__for_each_program(prog, obj) {
		struct datapath_program *more;

		if (bpf_program__fd(prog) < 0)
			continue;
		more = reallocarray(found->programs, found->n + 1,
				    sizeof(*found->programs));
		if (!more)
			return -ENOMEM;
		found->programs = more;
		found->programs[found->n++] = (struct datapath_program){
			.module = module,
			.name = bpf_program__name(prog),
			.fd = bpf_program__fd(prog),
		};
	}
	return 0;
}

/* fn for the core's object and those of the modules, in the order they came. */
static int each_object(const struct core_datapath *dp,
		       int (*fn)(const struct core_datapath *dp,
				 const char *module, struct bpf_object *obj,
				 void *arg),
		       void *arg)
{
	const struct datapath_object *object, *last = NULL;
	int rc = fn(dp, DATAPATH_WHO, dp->obj, arg);

	while (!rc && last != dp->objects) {
		for (object = dp->objects; object->next != last;)
			object = object->next;
		last = object;
		rc = fn(dp, object->ctx->name, object->obj, arg);
	}
	return rc;
}

int datapath_maps(const struct core_datapath *dp, struct datapath_map **out,
		  size_t *n)
{
	const struct datapath_map cpumap = {.module = DATAPATH_WHO,
					    .name = "lqos_cpumap",
					    .fd = dp->cpumap_fd,
					    .access = DATAPATH_READ};
	struct found found = {};
	int rc = each_object(dp, add_maps, &found);

	if (!rc && cpumap.fd >= 0)
		rc = add_map(&found, &cpumap);
	if (rc) {
		free(found.maps);
		return rc;
	}
	*out = found.maps;
	*n = found.n;
	return 0;
}

int datapath_programs(const struct core_datapath *dp,
		      struct datapath_program **out, size_t *n)
{
	struct found found = {};
	int rc = each_object(dp, add_programs, &found);

	if (rc) {
		free(found.programs);
		return rc;
	}
	*out = found.programs;
	*n = found.n;
	return 0;
}

json_t *core_datapath_maps(struct core_datapath *dp)
{
	autofree struct datapath_map *maps = NULL;
	size_t n = 0, i;
	json_t *out;

	if (datapath_maps(dp, &maps, &n))
		return NULL;
	out = json_array();
	for (i = 0; i < n; i++) {
		struct bpf_map_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(maps[i].fd, &info, &len))
			continue;
		json_array_append_new(
			out,
			json_pack("{s:s,s:s,s:I,s:s,s:i,s:i,s:I,s:i,s:s}",
				  "module", maps[i].module, "name",
				  maps[i].name, "id", (json_int_t)info.id,
				  "type",
				  libbpf_bpf_map_type_str(info.type) ?: "?",
				  "key_size", (int)info.key_size, "value_size",
				  (int)info.value_size, "max_entries",
				  (json_int_t)info.max_entries, "flags",
				  (int)info.map_flags, "access",
				  datapath_access_names[maps[i].access]));
	}
	return out;
}
