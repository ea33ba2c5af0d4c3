/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* graft_check.c - may a program run in the place of a module's own? */
#include <stdarg.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/layout.h"

struct candidate {
	const struct datapath_object *object; /* the module's newest */
	int stage;
	int fd;
	struct bpf_prog_info info;
	bool goes_on;	 /* it has the map of the chain */
	bool knows_self; /* and the module's place in it */
	char why[320];
};

static int refuse(struct candidate *c, int rc, const char *fmt, ...)
	LQOS_PRINTF(3, 4);
static int refuse(struct candidate *c, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return rc;
}

/* What lqos_bpf_prepare() has set in the module's own. */
static int check_constant(struct candidate *c, const char *name, const void *at,
			  size_t size)
{
	const struct core_datapath *dp = c->object->dp;
	const struct lqos_ctx *ctx = c->object->ctx;
	const struct {
		const char *name;
		uint32_t value;
	} constants[] = {
		{"lqos_self", ctx->index},
		{"lqos_shared", !dp->steered || dp->one_interface},
		{"lqos_flow_part", ctx->flow_part},
	};
	uint32_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(constants); i++) {
		if (strcmp(name, constants[i].name) || size != sizeof(value))
			continue;
		memcpy(&value, at, sizeof(value));
		if (value != constants[i].value)
			return refuse(c, -EINVAL,
				      "its %s is %u, and module %s has %u: "
				      "lqosctl graft sets it before the load",
				      name, value, ctx->name,
				      constants[i].value);
		if (!i)
			c->knows_self = true;
	}
	return 0;
}

static int check_section(struct candidate *c, const struct btf *btf,
			 const struct btf_type *section, const char *data,
			 size_t size)
{
	const struct btf_var_secinfo *var = btf_var_secinfos(section);
	int rc = 0, i;

	for (i = 0; !rc && i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		if (type && (uint64_t)var->offset + var->size <= size)
			rc = check_constant(
				c, btf__name_by_offset(btf, type->name_off),
				data + var->offset, var->size);
	}
	return rc;
}

/* Constants are in a map whose type is a section of variables. */
static int check_constants(struct candidate *c, int fd,
			   const struct bpf_map_info *info)
{
	const struct btf_type *section;
	autofree char *data = NULL;
	uint32_t zero = 0;
	struct btf *btf;
	int rc = 0;

	if (!info->btf_id || !info->btf_value_type_id ||
	    info->type != BPF_MAP_TYPE_ARRAY || info->max_entries != 1)
		return 0;
	data = malloc(info->value_size);
	btf = data ? btf__load_from_kernel_by_id(info->btf_id) : NULL;
	if (!btf || bpf_map_lookup_elem(fd, &zero, data))
		rc = refuse(c, -errno, "its map %s cannot be read: %s",
			    info->name, strerror(errno));
	section = btf ? btf__type_by_id(btf, info->btf_value_type_id) : NULL;
	if (!rc && section && btf_is_datasec(section))
		rc = check_section(c, btf, section, data, info->value_size);
	btf__free(btf);
	return rc;
}

/* As the kernel keeps it; of .data and the like what follows the object's. */
static bool same_name(const char *kernel, const struct bpf_map *map)
{
	const char *dot = strchr(kernel, '.');

	if (bpf_map__is_internal(map))
		return dot && !strcmp(dot, layout_map_name(map));
	return !strncmp(kernel, bpf_map__name(map), BPF_OBJ_NAME_LEN - 1);
}

/* 0: it cannot be told, and errno says why. */
static uint32_t id_of_map(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool is_same(const struct bpf_map *map, uint32_t id)
{
	return id_of_map(bpf_map__fd(map)) == id;
}

/* One that is called as one of the module's is it: what it counts would be seen
 * by nobody. */
static int check_whose(struct candidate *c, const struct bpf_map_info *info)
{
	const struct datapath_object *object;
	const struct bpf_map *map;

	for (object = c->object; object; object = object->next) {
		if (object->ctx != c->object->ctx)
			continue;
		bpf_object__for_each_map(map, object->obj) {
			if (bpf_map__fd(map) < 0 ||
			    !strncmp(layout_map_name(map), ".rodata", 7) ||
			    !same_name(info->name, map) ||
			    is_same(map, info->id))
				continue;
			return refuse(c, -EINVAL,
				      "its map %s is one of its own, not that "
				      "of module %s: lqosctl graft binds it "
				      "before the load",
				      info->name, object->ctx->name);
		}
	}
	return 0;
}

/* A module that has no part of a flow's record would write into what the core
 * and others have there.  How much of its own part one writes nothing tells. */
static int check_flows(struct candidate *c, uint32_t id)
{
	const struct lqos_ctx *ctx = c->object->ctx;
	uint32_t flows;

	if (ctx->has_flows)
		return 0;
	flows = id_of_map(c->object->dp->flows_fd);
	if (!flows)
		return refuse(c, -errno, "map lqos_flows cannot be read: %s",
			      strerror(errno));
	if (id != flows)
		return 0;
	return refuse(c, -EINVAL,
		      "it uses lqos_flows, and module %s keeps nothing of "
		      "flows: expected a program without lqos_flow_of(), or "
		      "LQOS_MODULE_FLOWS among the flags of the module's "
		      "LQOS_MODULE() and a restart of lqosd",
		      ctx->name);
}

static int check_map(struct candidate *c, uint32_t id)
{
	autoclose int fd = bpf_map_get_fd_by_id(id);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return refuse(c, -errno, "its map %u cannot be read: %s", id,
			      strerror(errno));
	if (id == id_of_map(c->object->dp->chains[c->stage].map_fd))
		c->goes_on = true;
	return check_flows(c, id) ?: check_whose(c, &info)
				 ?: check_constants(c, fd, &info);
}

static int check_maps(struct candidate *c)
{
	struct bpf_prog_info info = {.nr_map_ids = c->info.nr_map_ids};
	uint32_t len = sizeof(info), i;
	autofree uint32_t *ids = NULL;
	int rc = 0;

	ids = calloc(info.nr_map_ids ?: 1, sizeof(*ids));
	info.map_ids = (uintptr_t)ids;
	if (!ids || bpf_obj_get_info_by_fd(c->fd, &info, &len))
		return refuse(c, -errno, "its maps cannot be read: %s",
			      strerror(errno));
	if (info.nr_map_ids > c->info.nr_map_ids)
		info.nr_map_ids = c->info.nr_map_ids;
	for (i = 0; !rc && i < info.nr_map_ids; i++)
		rc = check_map(c, ids[i]);
	if (!rc && !c->goes_on)
		return refuse(c, -EINVAL,
			      "it does not go on to the next of its stage: end "
			      "it in `return lqos_next_%s(ctx)`",
			      stage_names[c->stage]);
	if (!rc && !c->knows_self)
		return refuse(
			c, -EINVAL,
			"it has no lqos_self: include <lqos/packet.bpf.h> "
			"and end it in `return lqos_next_%s(ctx)`",
			stage_names[c->stage]);
	return rc;
}

static int check_type(struct candidate *c)
{
	const struct chain_link *link = chain_find(
		&c->object->dp->chains[c->stage], c->object->ctx->index);
	struct bpf_prog_info own = {};
	uint32_t len = sizeof(own);

	if (bpf_obj_get_info_by_fd(c->fd, &c->info, &len) ||
	    bpf_obj_get_info_by_fd(link->prog_fd, &own, &len))
		return refuse(c, -errno, "cannot be looked at: %s",
			      strerror(errno));
	if (c->info.type == own.type)
		return 0;
	return refuse(c, -EINVAL, "it is of type %s, and stage %s has %s",
		      libbpf_bpf_prog_type_str(c->info.type) ?: "unknown",
		      stage_names[c->stage],
		      libbpf_bpf_prog_type_str(own.type) ?: "unknown");
}

int graft_check(const struct datapath_object *object, int stage, int fd,
		struct bpf_prog_info *info, char *why, size_t size)
{
	struct candidate c = {.object = object, .stage = stage, .fd = fd};
	int rc = check_type(&c) ?: check_maps(&c);

	*info = c.info;
	if (rc)
		snprintf(why, size, "%s", c.why);
	return rc;
}
