/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft_bind.c - a new object runs on the maps of the module, with its
 * constants: what its user-space side set at its start, and reads and writes,
 * stays where it is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/layout.h"
#include "core/shell/graft.h"

int graft_map(const struct graft_host *host, const char *name)
{
	size_t i;

	for (i = 0; i < host->n_maps; i++)
		if (!strcmp(host->maps[i].name, name))
			return host->maps[i].fd;
	return -1;
}

/* ---- Constants ----------------------------------------------------------- */

/* A section of variables, and what is in it. */
struct section {
	const struct btf *btf;
	const struct btf_type *type;
	char *data;
	size_t size;
};

static const struct btf_var_secinfo *find_variable(const struct section *s,
						   const char *name)
{
	const struct btf_var_secinfo *var = btf_var_secinfos(s->type);
	int i;

	for (i = 0; i < btf_vlen(s->type); i++, var++)
		if (!strcmp(name,
			    btf__name_by_offset(
				    s->btf, btf__type_by_id(s->btf, var->type)
						    ->name_off)))
			return (uint64_t)var->offset + var->size <= s->size
				       ? var
				       : NULL;
	return NULL;
}

/* A module's user-space side sets what is const volatile and of all files; the
 * rest are tables and texts of the program. */
static bool is_setting(const struct section *s, const struct btf_type *var)
{
	const struct btf_type *type = btf__type_by_id(s->btf, var->type);

	if (btf_var(var)->linkage == BTF_VAR_STATIC)
		return false;
	while (type && btf_is_mod(type)) {
		if (btf_is_volatile(type))
			return true;
		type = btf__type_by_id(s->btf, type->type);
	}
	return false;
}

static void copy_settings(const struct section *from, const struct section *to)
{
	const struct btf_var_secinfo *var = btf_var_secinfos(to->type), *old;
	const struct btf_type *type;
	const char *name;
	int i;

	for (i = 0; i < btf_vlen(to->type); i++, var++) {
		type = btf__type_by_id(to->btf, var->type);
		name = btf__name_by_offset(to->btf, type->name_off);
		if (!is_setting(to, type) ||
		    (uint64_t)var->offset + var->size > to->size)
			continue;
		old = find_variable(from, name);
		if (old && old->size == var->size)
			memcpy(to->data + var->offset, from->data + old->offset,
			       var->size);
		else
			fprintf(stderr,
				"lqosctl: graft: constant %s is %s, and stays "
				"as it was built\n",
				name,
				old ? "of another size in what runs" : "new");
	}
}

/* What the kernel keeps of a map of constants.  *btf and from->data are the
 * caller's, whatever is returned; from->type is set where it can be used. */
static int read_section(int fd, struct btf **btf, struct section *from)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	const struct btf_type *type;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	from->data = malloc(info.value_size);
	if (!from->data)
		return -ENOMEM;
	*btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!*btf || bpf_map_lookup_elem(fd, &zero, from->data))
		return -errno;
	type = btf__type_by_id(*btf, info.btf_value_type_id);
	if (!type || !btf_is_datasec(type))
		return -ENOMSG;
	from->btf = *btf;
	from->size = info.value_size;
	from->type = type;
	return 0;
}

static int bind_constants(const struct bpf_object *obj, struct bpf_map *map,
			  int fd)
{
	struct section from = {}, to = {.btf = bpf_object__btf(obj)};
	uint32_t id = bpf_map__btf_value_type_id(map);
	struct btf *btf = NULL;
	int rc;

	to.data = (char *)bpf_map__initial_value(map, &to.size);
	to.type = id ? btf__type_by_id(to.btf, id) : NULL;
	if (!to.data || !to.type || !btf_is_datasec(to.type))
		return 0; /* texts alone */
	rc = read_section(fd, &btf, &from);
	if (from.type)
		copy_settings(&from, &to);
	btf__free(btf);
	free(from.data);
	return rc ? graft_fail("%s: what the running module has in it cannot "
			       "be read: %s",
			       layout_map_name(map), strerror(-rc))
		  : 0;
}

/* ---- Maps ---------------------------------------------------------------- */

static int reuse(struct bpf_map *map, int fd)
{
	int rc = bpf_map__reuse_fd(map, fd);

	return rc ? graft_fail("map %s: cannot be bound to the module's: %s",
			       layout_map_name(map), strerror(-rc))
		  : 0;
}

static int bind_core_map(const struct graft_host *host, struct bpf_map *map,
			 int fd)
{
	int rc;

	if (fd < 0)
		return graft_fail("map %s: names with lqos_ are the core's, "
				  "and module %s is bound to none of that name",
				  layout_map_name(map), host->module);
	rc = layout_has_room(fd, map);
	if (rc)
		return graft_fail(
			"map %s: %s%s", layout_map_name(map), strerror(-rc),
			rc == -EPROTO ? ": it is not as large as the "
					"core's: build the program with "
					"the headers of the lqosd that runs"
				      : "");
	return reuse(map, fd);
}

/* How many entries there are the module says at its start. */
static int take_size(struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	return bpf_map__set_max_entries(map, info.max_entries);
}

static int bind_own_map(const struct graft_host *host,
			const struct bpf_object *obj, struct bpf_map *map,
			int fd)
{
	char why[256];
	int rc = bpf_map__is_internal(map) ? 0 : take_size(map, fd);

	if (rc)
		return graft_fail("map %s: %s", layout_map_name(map),
				  strerror(-rc));
	if (layout_fits(fd, obj, map, why, sizeof(why)))
		return reuse(map, fd);
	return graft_fail(
		"map %s is not what module %s has: %s: %s",
		layout_map_name(map), host->module, why,
		bpf_map__is_internal(map)
			? "put what is new into a section of its own, "
			  "SEC(\".data.graft\"), or restart lqosd with the new "
			  "module instead"
			: "restart lqosd with the new module instead");
}

static int bind_map(const struct graft_host *host, struct bpf_object *obj,
		    struct bpf_map *map)
{
	const char *name = layout_map_name(map);
	int fd = graft_map(host, name);

	if (!strncmp(name, "lqos_", 5))
		return bind_core_map(host, map, fd);
	if (!strncmp(name, ".rodata", 7))
		return fd < 0 ? 0 : bind_constants(obj, map, fd);
	if (!strcmp(name, ".kconfig"))
		return 0;
	if (fd >= 0)
		return bind_own_map(host, obj, map, fd);
	fprintf(stderr,
		"lqosctl: graft: map %s is new: it is empty, and goes with the "
		"graft\n",
		name);
	return 0;
}

/* Not the core's, which all have, nor a section of variables. */
static bool is_particular(const char *name)
{
	return *name != '.' && strncmp(name, "lqos_", 5);
}

bool graft_is_related(const struct graft_host *host,
		      const struct bpf_object *obj)
{
	const struct bpf_map *map;
	bool any = false;
	size_t i;

	for (i = 0; i < host->n_maps; i++)
		any |= is_particular(host->maps[i].name);
	if (!any)
		return true;
	bpf_object__for_each_map(map, obj) {
		if (is_particular(layout_map_name(map)) &&
		    graft_map(host, layout_map_name(map)) >= 0)
			return true;
	}
	return false;
}

int graft_bind(const struct graft_host *host, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (bind_map(host, obj, map))
			return -1;
	}
	return 0;
}
