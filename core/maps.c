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

static int add_map(struct datapath_lists *lists, const struct datapath_map *map)
{
	struct datapath_map *more = reallocarray(lists->maps, lists->n_maps + 1,
						 sizeof(*lists->maps));
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (!more)
		return -ENOMEM;
	lists->maps = more;
	if (bpf_obj_get_info_by_fd(map->fd, &info, &len))
		return -errno;
	more += lists->n_maps++;
	*more = *map;
	more->id = info.id;
	more->btf_id = info.btf_id;
	return 0;
}

static int add_maps(struct core_datapath *dp, const char *module,
		    struct bpf_object *obj)
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
			rc = add_map(&dp->lists, &one);
	}
	return rc;
}

static int add_programs(struct core_datapath *dp, const char *module,
			struct bpf_object *obj)
{
	struct datapath_lists *lists = &dp->lists;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		struct datapath_program *more;

		if (bpf_program__fd(prog) < 0)
			continue;
		more = reallocarray(lists->programs, lists->n_programs + 1,
				    sizeof(*lists->programs));
		if (!more)
			return -ENOMEM;
		lists->programs = more;
		lists->programs[lists->n_programs++] =
			(struct datapath_program){
				.module = module,
				.name = bpf_program__name(prog),
				.fd = bpf_program__fd(prog),
			};
	}
	return 0;
}

static int add_object(struct core_datapath *dp, const char *module,
		      struct bpf_object *obj)
{
	return add_maps(dp, module, obj) ?: add_programs(dp, module, obj);
}

/* The core's object and those of the modules, in the order they came. */
static int add_objects(struct core_datapath *dp)
{
	const struct datapath_map cpumap = {.module = DATAPATH_WHO,
					    .name = "lqos_cpumap",
					    .fd = dp->cpumap_fd,
					    .access = DATAPATH_READ};
	const struct datapath_object *object, *last = NULL;
	int rc = add_object(dp, DATAPATH_WHO, dp->obj);

	if (!rc && cpumap.fd >= 0)
		rc = add_map(&dp->lists, &cpumap);
	while (!rc && last != dp->objects) {
		for (object = dp->objects; object->next != last;)
			object = object->next;
		last = object;
		rc = add_object(dp, object->ctx->name, object->obj);
	}
	return rc;
}

void datapath_lists_forget(struct core_datapath *dp)
{
	free(dp->lists.maps);
	free(dp->lists.programs);
	dp->lists = (struct datapath_lists){};
}

const struct datapath_lists *datapath_lists(struct core_datapath *dp)
{
	if (!dp->lists.n_maps && add_objects(dp))
		datapath_lists_forget(dp);
	return dp->lists.n_maps ? &dp->lists : NULL;
}

json_t *core_datapath_maps(struct core_datapath *dp)
{
	const struct datapath_lists *lists = datapath_lists(dp);
	json_t *out = lists ? json_array() : NULL;
	size_t i;

	for (i = 0; out && i < lists->n_maps; i++) {
		const struct datapath_map *map = &lists->maps[i];
		struct bpf_map_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(map->fd, &info, &len))
			continue;
		json_array_append_new(
			out,
			json_pack("{s:s,s:s,s:I,s:s,s:i,s:i,s:I,s:i,s:s}",
				  "module", map->module, "name", map->name,
				  "id", (json_int_t)info.id, "type",
				  libbpf_bpf_map_type_str(info.type) ?: "?",
				  "key_size", (int)info.key_size, "value_size",
				  (int)info.value_size, "max_entries",
				  (json_int_t)info.max_entries, "flags",
				  (int)info.map_flags, "access",
				  datapath_access_names[map->access]));
	}
	return out;
}
