/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.c - is a pinned map what a map of an object would be?
 *
 * Sizes alone do not tell: two counters that changed places have the same.  So
 * the types of key and value are compared too, member by member, in the BTF
 * that the kernel keeps with the map.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/layout.h"

enum { DEPTH = 16 };

struct compared {
	const struct btf *a, *b; /* the pinned map's, the object's */
	char *why;
	size_t size;
};

static bool differ(const struct compared *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static bool differ(const struct compared *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, c->size, fmt, ap);
	va_end(ap);
	return false;
}

static bool same_types(const struct compared *c, int a, int b, const char *what,
		       int depth);

static bool same_members(const struct compared *c, const struct btf_type *a,
			 const struct btf_type *b, const char *what, int depth)
{
	const char *x, *y;
	int i;

	if (a->size != b->size)
		return differ(c, "%s has %u bytes, now %u", what, a->size,
			      b->size);
	if (btf_vlen(a) != btf_vlen(b))
		return differ(c, "%s has %u members, now %u", what, btf_vlen(a),
			      btf_vlen(b));
	for (i = 0; i < btf_vlen(a); i++) {
		x = btf__name_by_offset(c->a, btf_members(a)[i].name_off);
		y = btf__name_by_offset(c->b, btf_members(b)[i].name_off);
		if (strcmp(x, y))
			return differ(c, "member %d of %s is %s, now %s", i,
				      what, x, y);
		if (btf_member_bit_offset(a, i) !=
			    btf_member_bit_offset(b, i) ||
		    btf_member_bitfield_size(a, i) !=
			    btf_member_bitfield_size(b, i))
			return differ(c, "%s is elsewhere in %s now", x, what);
		if (!same_types(c, btf_members(a)[i].type,
				btf_members(b)[i].type, x, depth + 1))
			return false;
	}
	return true;
}

/* An array that is indexed with it has a member of it beside: struct
 * dp_counters, for one. */
static bool same_names(const struct compared *c, const struct btf_type *a,
		       const struct btf_type *b, const char *what)
{
	const struct btf_enum *x = btf_enum(a), *y = btf_enum(b);
	int i;

	if (btf_vlen(a) != btf_vlen(b))
		return differ(c, "%s has %u names, now %u", what, btf_vlen(a),
			      btf_vlen(b));
	for (i = 0; i < btf_vlen(a); i++, x++, y++)
		if (x->val != y->val ||
		    strcmp(btf__name_by_offset(c->a, x->name_off),
			   btf__name_by_offset(c->b, y->name_off)))
			return differ(
				c, "%s has %s = %d, now %s = %d", what,
				btf__name_by_offset(c->a, x->name_off), x->val,
				btf__name_by_offset(c->b, y->name_off), y->val);
	return true;
}

/* Of .data and the like, where programs go by the places. */
static bool same_variables(const struct compared *c, const struct btf_type *a,
			   const struct btf_type *b, int depth)
{
	const struct btf_var_secinfo *x = btf_var_secinfos(a);
	const struct btf_var_secinfo *y = btf_var_secinfos(b);
	const struct btf_type *v, *w;
	const char *p, *q;
	int i;

	if (btf_vlen(a) != btf_vlen(b))
		return differ(c, "it has %u variables, now %u", btf_vlen(a),
			      btf_vlen(b));
	for (i = 0; i < btf_vlen(a); i++, x++, y++) {
		v = btf__type_by_id(c->a, x->type);
		w = btf__type_by_id(c->b, y->type);
		p = btf__name_by_offset(c->a, v->name_off);
		q = btf__name_by_offset(c->b, w->name_off);
		if (strcmp(p, q))
			return differ(c, "variable %d is %s, now %s", i, p, q);
		if (x->offset != y->offset)
			return differ(c, "%s is elsewhere now", p);
		if (!same_types(c, v->type, w->type, p, depth + 1))
			return false;
	}
	return true;
}

/* what: names it, for people.  Names of types are nobody's business. */
static bool same_types(const struct compared *c, int a, int b, const char *what,
		       int depth)
{
	const struct btf_type *x, *y;

	if (!a && !b)
		return true; /* .data and the like have no key */
	a = btf__resolve_type(c->a, a);
	b = btf__resolve_type(c->b, b);
	x = a < 0 ? NULL : btf__type_by_id(c->a, a);
	y = b < 0 ? NULL : btf__type_by_id(c->b, b);
	if (!x || !y || depth > DEPTH)
		return differ(c, "the type of %s cannot be told", what);
	if (btf_kind(x) != btf_kind(y))
		return differ(c, "%s is of another kind of type", what);
	switch (btf_kind(x)) {
	case BTF_KIND_INT:
		if (x->size == y->size &&
		    btf_int_encoding(x) == btf_int_encoding(y))
			return true;
		return differ(c, "%s is another integer", what);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return same_members(c, x, y, what, depth);
	case BTF_KIND_ARRAY:
		if (btf_array(x)->nelems != btf_array(y)->nelems)
			return differ(c, "%s has %u elements, now %u", what,
				      btf_array(x)->nelems,
				      btf_array(y)->nelems);
		return same_types(c, btf_array(x)->type, btf_array(y)->type,
				  what, depth + 1);
	case BTF_KIND_ENUM:
		return same_names(c, x, y, what);
	case BTF_KIND_DATASEC:
		return same_variables(c, x, y, depth);
	default:
		if (btf__resolve_size(c->a, a) == btf__resolve_size(c->b, b))
			return true;
		return differ(c, "%s is of another size", what);
	}
}

/* A program's or a link's pin opens all the same. */
static bool is_map(int fd)
{
	char path[32], target[32] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 &&
	       !strcmp(target, "anon_inode:bpf-map");
}

static const char *type_name(uint32_t type)
{
	return libbpf_bpf_map_type_str(type) ?: "unknown";
}

static bool same_shape(const struct bpf_map_info *a, const struct bpf_map *b,
		       const struct compared *c)
{
	if (a->type != bpf_map__type(b))
		return differ(c, "it is a map of type %s, now %s",
			      type_name(a->type), type_name(bpf_map__type(b)));
	if (a->max_entries != bpf_map__max_entries(b))
		return differ(c, "it has %u entries, now %u", a->max_entries,
			      bpf_map__max_entries(b));
	if (a->key_size != bpf_map__key_size(b))
		return differ(c, "its key has %u bytes, now %u", a->key_size,
			      bpf_map__key_size(b));
	if (a->value_size != bpf_map__value_size(b))
		return differ(c, "its value has %u bytes, now %u",
			      a->value_size, bpf_map__value_size(b));
	if (a->map_flags != bpf_map__map_flags(b))
		return differ(c, "its flags are %#x, now %#x", a->map_flags,
			      bpf_map__map_flags(b));
	return true;
}

/* Records of the programs' making, told by types. */
static bool has_records(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_XSKMAP:
		return false;
	default:
		return true;
	}
}

bool layout_fits(int fd, const struct bpf_object *obj,
		 const struct bpf_map *map, char *why, size_t size)
{
	struct compared c = {.why = why, .size = size};
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	struct btf *btf;
	bool same;

	if (!is_map(fd))
		return differ(&c, "it is no map");
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return differ(&c, "it cannot be looked at: %s",
			      strerror(errno));
	if (!same_shape(&info, map, &c))
		return false;
	if (!has_records(info.type))
		return true;
	c.b = bpf_object__btf(obj);
	if (!info.btf_id || !c.b)
		return differ(&c, "nothing tells what is in it");
	btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!btf)
		return differ(&c, "what is in it cannot be read: %s",
			      strerror(errno));
	c.a = btf;
	same = same_types(&c, info.btf_key_type_id,
			  bpf_map__btf_key_type_id(map), "its key", 0) &&
	       same_types(&c, info.btf_value_type_id,
			  bpf_map__btf_value_type_id(map), "its value", 0);
	btf__free(btf);
	return same;
}

bool layout_has_tag(const struct bpf_object *obj, const struct bpf_map *map,
		    const char *tag)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *type, *var;
	uint32_t id;

	for (id = 1; btf && id < btf__type_cnt(btf); id++) {
		type = btf__type_by_id(btf, id);
		if (btf_kind(type) != BTF_KIND_DECL_TAG ||
		    strcmp(btf__name_by_offset(btf, type->name_off), tag))
			continue;
		var = btf__type_by_id(btf, type->type);
		if (btf_is_var(var) &&
		    !strcmp(btf__name_by_offset(btf, var->name_off),
			    bpf_map__name(map)))
			return true;
	}
	return false;
}

/* What has no type is a record that others' parts may be behind. */
int layout_has_room(int fd, const struct bpf_map *map)
{
	uint32_t want = bpf_map__value_size(map);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (bpf_map__btf_value_type_id(map) ? info.value_size != want
					    : info.value_size < want)
		return -EPROTO;
	return 0;
}

const char *layout_map_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return bpf_map__is_internal(map) ? strchr(name, '.') ?: name : name;
}
