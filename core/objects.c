/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The BPF objects of modules: bound to the core's maps, hooked into chains. */
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/layout.h"

int datapath_core_map(const struct core_datapath *dp, const char *name)
{
	int i;

	for (i = 0; i < STAGES; i++)
		if (!strncmp(name, "lqos_", 5) &&
		    !strcmp(name + 5, stage_names[i]))
			return dp->chains[i].map_fd;
	if (!strcmp(name, "lqos_scratch"))
		return dp->scratch_fd;
	if (!strcmp(name, "lqos_flows"))
		return dp->flows_fd;
	if (!strcmp(name, "lqos_cpumap"))
		return dp->cpumap_fd;
	return -1;
}

int datapath_set_rodata(struct bpf_object *obj, const char *name,
			uint64_t value)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_var_secinfo *var;
	const struct btf_type *section;
	size_t size = 0;
	char *data;
	int i, id;

	data = map ? (char *)bpf_map__initial_value(map, &size) : NULL;
	id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC)
		 : -ENOENT;
	if (!data || id < 0)
		return -ENOENT;
	section = btf__type_by_id(btf, id);
	var = btf_var_secinfos(section);
	for (i = 0; i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, type->name_off), name))
			continue;
		if (var->offset + var->size > size || var->size > sizeof(value))
			return -EINVAL;
		memcpy(data + var->offset, &value, var->size); /* low bytes */
		return 0;
	}
	return -ENOENT;
}

void datapath_set_type(const struct core_datapath *dp, struct bpf_program *prog,
		       enum stage stage)
{
	if (stage == STAGE_EGRESS || stage == STAGE_OBSERVE_TC) {
		bpf_program__set_type(prog, BPF_PROG_TYPE_SCHED_CLS);
		bpf_program__set_expected_attach_type(prog, 0);
		return;
	}
	/* All programs of a prog array must agree in this. */
	bpf_program__set_type(prog, BPF_PROG_TYPE_XDP);
	bpf_program__set_expected_attach_type(
		prog, stage == STAGE_OBSERVE && dp->steered ? BPF_XDP_CPUMAP
							    : BPF_XDP);
}

static int bind_core_maps(const struct core_datapath *dp, const char *who,
			  struct bpf_object *obj)
{
	struct bpf_map *map;
	int fd, rc;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);

		if (strncmp(name, "lqos_", 5))
			continue;
		fd = datapath_core_map(dp, name);
		if (fd < 0)
			return core_fail(who, -ENOENT,
					 "map %s: names with lqos_ "
					 "are the core's, and it has none of "
					 "that name in this run",
					 name);
		rc = layout_has_room(fd, map) ?: bpf_map__reuse_fd(map, fd);
		if (rc)
			return core_fail(
				who, rc, "map %s: cannot bind to the core's%s",
				name,
				rc == -EPROTO ? " (was the module built with "
						"other headers? rebuild it)"
					      : "");
	}
	return 0;
}

int lqos_bpf_prepare(struct lqos_ctx *ctx, struct bpf_object *obj)
{
	struct core_datapath *dp = ctx->core->datapath;
	struct bpf_program *prog;
	enum stage stage;
	bool last;
	int rc;

	if (!dp)
		return -ENODEV;
	/* The kernel checks the programs, and makes the maps. */
	if (ctx->core->loop)
		core_loop_may_take_long(ctx->core->loop);
	rc = bind_core_maps(dp, ctx->name, obj);
	if (rc)
		return rc;
	datapath_adopt_maps(dp, ctx->name, obj);
	bpf_object__for_each_program(prog, obj) {
		stage = stage_of_section(bpf_program__section_name(prog),
					 &last);
		if (stage == STAGES)
			continue;
		datapath_set_type(dp, prog, stage);
		if (stage == STAGE_OBSERVE_TC && !dp->one_interface)
			bpf_program__set_autoload(prog, false);
	}
	rc = datapath_set_rodata(obj, "lqos_self", ctx->index);
	if (!rc)
		rc = datapath_set_rodata(obj, "lqos_shared",
					 !dp->steered || dp->one_interface);
	if (!rc)
		rc = datapath_set_rodata(obj, "lqos_flow_part", ctx->flow_part);
	if (rc)
		return core_fail(ctx->name, rc,
				 "%s: no lqos_self and lqos_shared "
				 "in its .rodata: include <lqos/packet.bpf.h>, "
				 "and prepare it before its load",
				 bpf_object__name(obj));
	return 0;
}

static void forget_object(void *arg)
{
	struct datapath_object *object = arg, **at;
	int i;

	for (i = 0; i < STAGES && !object->dp->left; i++)
		chain_remove(&object->dp->chains[i], object->ctx->index);
	for (at = &object->dp->objects; *at; at = &(*at)->next) {
		if (*at == object) {
			*at = object->next;
			break;
		}
	}
	datapath_lists_forget(object->dp);
	free(object);
}

int datapath_pin_maps(const struct core_datapath *dp, const char *module,
		      struct bpf_object *obj)
{
	struct bpf_map *map;
	int rc;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) || !bpf_map__autocreate(map) ||
		    (strcmp(module, DATAPATH_WHO) &&
		     datapath_core_map(dp, name) >= 0))
			continue;
		rc = pins_add_map(dp->pins, module, name, bpf_map__fd(map));
		if (rc)
			return rc;
	}
	return 0;
}

static int hook_programs(struct core_datapath *dp, struct lqos_ctx *ctx,
			 struct bpf_object *obj)
{
	struct bpf_program *prog;
	int rc;

	bpf_object__for_each_program(prog, obj) {
		struct chain_link link = {
			.module = ctx->name,
			.program = bpf_program__name(prog),
			.index = ctx->index,
			.prog_fd = bpf_program__fd(prog),
		};
		enum stage stage = stage_of_section(
			bpf_program__section_name(prog), &link.last);

		if (stage == STAGES || !bpf_program__autoload(prog))
			continue;
		if (link.prog_fd < 0)
			return core_fail(ctx->name, -EINVAL,
					 "%s is not loaded: load the object "
					 "before lqos_bpf_attach()",
					 link.program);
		rc = chain_insert(&dp->chains[stage], &link);
		if (rc)
			return rc;
	}
	return 0;
}

int lqos_bpf_attach(struct lqos_ctx *ctx, struct bpf_object *obj)
{
	struct core_datapath *dp = ctx->core->datapath;
	struct datapath_object *object;
	int rc;

	if (!dp)
		return -ENODEV;
	object = calloc(1, sizeof(*object));
	if (!object)
		return -ENOMEM;
	object->dp = dp;
	object->ctx = ctx;
	object->obj = obj;
	object->next = dp->objects;
	dp->objects = object;
	datapath_lists_forget(dp);
	rc = core_own(ctx, forget_object, object, NULL);
	if (!rc)
		rc = datapath_pin_maps(dp, ctx->name, obj);
	if (!rc)
		rc = hook_programs(dp, ctx, obj);
	return rc;
}

struct view {
	void *at;
	size_t len;
};

static void unmap_view(void *arg)
{
	struct view *view = arg;

	munmap(view->at, view->len);
	free(view);
}

int lqos_map_view(struct lqos_ctx *ctx, int map_fd, void **out)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	struct view *view;
	int rc;

	if (bpf_obj_get_info_by_fd(map_fd, &info, &len))
		return core_fail(ctx->name, -errno, "cannot map: no BPF map");
	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->len = (size_t)(info.value_size + 7) / 8 * 8 * info.max_entries;
	view->at = mmap(NULL, view->len, PROT_READ | PROT_WRITE, MAP_SHARED,
			map_fd, 0);
	if (view->at == MAP_FAILED) {
		rc = -errno;
		free(view);
		return core_fail(ctx->name, rc,
				 "cannot map %s into memory: is "
				 "it a BPF_F_MMAPABLE array?",
				 info.name);
	}
	*out = view->at;
	rc = core_own(ctx, unmap_view, view, NULL);
	if (rc)
		*out = NULL;
	return rc;
}
