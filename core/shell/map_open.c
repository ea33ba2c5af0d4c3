/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_open.c - a map and its types, as lqosctl map needs them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/shell/map.h"
#include "core/shell/shape.h"

const char *map_type_text(uint32_t type)
{
	return libbpf_bpf_map_type_str(type) ?: "unknown";
}

bool map_is_indexed(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_CGROUP_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_XSKMAP:
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_REUSEPORT_SOCKARRAY:
		return true;
	default:
		return false;
	}
}

bool map_is_array(const struct map *m)
{
	return m->grant->type == BPF_MAP_TYPE_ARRAY ||
	       m->grant->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* ---- The grants ---------------------------------------------------------- */

static int of_shell(struct grants *out, const char *prefix, char *why,
		    size_t size)
{
	struct grants grants;
	int rc = grants_from_environ(&grants, prefix, why, size);

	if (rc)
		return rc;
	for (size_t i = 0; i < grants.n; i++)
		if (grants.at[i].kind == GRANT_MAP) {
			*out = grants;
			return 0;
		}
	grants_free(&grants);
	snprintf(why, size,
		 "this shell holds no maps, as %s_MAPS is empty: lqosctl exec "
		 "-m MODULE:MAP starts one that does",
		 prefix);
	return -ENOENT;
}

int map_grants(const struct map_options *o, struct grants *out, char *why,
	       size_t size)
{
	if (!o->request.socket && (o->prefix || getenv(GRANT_PREFIX "_MAPS")))
		return of_shell(out, o->prefix ?: GRANT_PREFIX, why, size);
	return grants_ask(out, &o->request, why, size);
}

/* "a:b, a:c, ..." */
static void list_names(const struct grants *grants, char *buf, size_t size)
{
	size_t n = 0;

	snprintf(buf, size, "none");
	for (size_t i = 0; i < grants->n && n < size; i++) {
		const struct grant *g = &grants->at[i];

		if (g->kind != GRANT_MAP)
			continue;
		if (size - n < 120) {
			snprintf(buf + n, size - n, ", ...");
			return;
		}
		n += (size_t)snprintf(buf + n, size - n, "%s%s:%s",
				      n ? ", " : "", g->module, g->name);
	}
}

static int find(struct map *m, const struct map_options *o, const char *name)
{
	char why[WHY_SIZE], names[600];
	int rc = map_grants(o, &m->grants, why, sizeof(why));

	if (rc)
		return map_fail("%s", why);
	rc = grants_find(&m->grants, name, &m->grant, why, sizeof(why));
	if (rc == -ENOENT) {
		list_names(&m->grants, names, sizeof(names));
		return map_fail("there is no map \"%s\", expected one of: %s",
				name, names);
	}
	return rc ? map_fail("%s", why) : 0;
}

/* ---- Types --------------------------------------------------------------- */

const char *map_value_name(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return "__u32";
	case BPF_MAP_TYPE_CPUMAP:
		return "struct bpf_cpumap_val";
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
		return "struct bpf_devmap_val";
	default:
		return NULL;
	}
}

/* The values of these, as linux/bpf.h has them; a second word is there since
 * the entry may have a program. */
static int add_settings(struct btf *btf, int u32, const char *first,
			uint32_t size)
{
	int id = btf__add_struct(btf, "settings", size);

	if (id > 0)
		btf__add_field(btf, first, u32, 0, 0);
	if (id > 0 && size == 8)
		btf__add_field(btf, "bpf_prog_id", u32, 32, 0);
	return id;
}

/* What the kernel keeps no types of, but what is known all the same. */
static int value_of_type(struct btf *btf, int u32, const struct grant *g)
{
	switch (g->type) {
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return u32; /* ids */
	case BPF_MAP_TYPE_CPUMAP:
		return add_settings(btf, u32, "qsize", g->value_size);
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
		return add_settings(btf, u32, "ifindex", g->value_size);
	default:
		return 0;
	}
}

static int known_types(struct map *m)
{
	const struct grant *g = m->grant;
	int u32, value;

	m->known = btf__new_empty();
	if (!m->known)
		return -errno;
	u32 = btf__add_int(m->known, "__u32", sizeof(uint32_t), 0);
	value = value_of_type(m->known, u32, g);
	if (u32 < 0 || value < 0)
		return -ENOMEM;
	/* The kernel may know more, and not have told this process. */
	if (!m->key.id && map_is_indexed(g->type))
		m->key = (struct map_type){m->known, (uint32_t)u32};
	if (!m->value.id && value)
		m->value = (struct map_type){m->known, (uint32_t)value};
	return 0;
}

/* A trie's key: its length, whatever tells spaces of addresses apart, and the
 * address. */
static void find_prefix(struct map *m)
{
	size_t size = m->grant->key_size;
	struct shape_member member;
	struct shape key, is = {};
	uint32_t i = 0;
	size_t at = 0;

	if (m->grant->type != BPF_MAP_TYPE_LPM_TRIE)
		return;
	shape_of(m->key.btf, m->key.id, NULL, size, &key);
	if (key.kind != SHAPE_STRUCT)
		return;
	while (shape_member(&key, &i, &member)) {
		at = member.bit / 8;
		shape_of(key.btf, member.type, member.name,
			 shape_member_size(&key, &member), &is);
	}
	if ((is.kind != SHAPE_IPV4 && is.kind != SHAPE_IPV6) ||
	    at + is.size != size || (at != 4 && at != 8))
		return;
	m->prefix.family = is.kind == SHAPE_IPV4 ? AF_INET : AF_INET6;
	m->prefix.space = at - 4;
}

static int find_types(struct map *m)
{
	int rc = grant_btf(&m->grants, m->grant, &m->btf);

	if (!rc && m->grant->key_type)
		m->key = (struct map_type){m->btf, m->grant->key_type};
	if (!rc && m->grant->value_type)
		m->value = (struct map_type){m->btf, m->grant->value_type};
	if (rc && rc != -ENOENT)
		return map_fail("%s: its types cannot be read: %s", m->name,
				strerror(-rc));
	rc = known_types(m);
	if (rc)
		return map_fail("%s: %s", m->name, strerror(-rc));
	find_prefix(m);
	return 0;
}

static int find_room(struct map *m)
{
	int cpus;

	m->stride = m->grant->value_size;
	if (is_per_cpu(m->grant->type)) {
		cpus = libbpf_num_possible_cpus();
		if (cpus <= 0)
			return map_fail("%s: how many CPUs there may be cannot "
					"be told: %s (is /sys mounted?)",
					m->name, strerror(-cpus));
		m->cpus = (uint32_t)cpus;
		m->stride = (m->stride + 7) / 8 * 8;
	}
	m->room = m->stride * (m->cpus ?: 1);
	return 0;
}

int map_open(struct map *m, struct map_options *o, const char *name,
	     bool writable)
{
	char pattern[128];
	const char *const maps[] = {pattern};
	int status;

	*m = (struct map){};
	/* Of the daemon only that one: a short name is anybody's. */
	snprintf(pattern, sizeof(pattern), "%s%s",
		 strchr(name, ':') ? "" : "*:", name);
	o->request.maps = maps;
	o->request.n_maps = 1;
	o->request.writable = writable;
	status = find(m, o, name);
	if (!status) {
		snprintf(m->name, sizeof(m->name), "%s:%s", m->grant->module,
			 m->grant->name);
		/* Queues, and rings of one program to another. */
		if (!m->grant->key_size)
			status = map_refused(m, "", MAP_ENOTSUPP);
	}
	if (!status)
		status = find_types(m);
	if (!status)
		status = find_room(m);
	if (status)
		map_close(m);
	return status;
}

void map_close(struct map *m)
{
	btf__free(m->btf);
	btf__free(m->known);
	grants_free(&m->grants);
}

int map_refused(const struct map *m, const char *key, int error)
{
	const struct grant *g = m->grant;

	switch (error) {
	case ENOENT:
		return map_fail("%s: there is no entry %s", m->name, key);
	case EEXIST:
		return map_fail("%s: there is an entry %s already, and "
				"noexist was said",
				m->name, key);
	case E2BIG:
		return map_fail(
			map_is_indexed(g->type)
				? "%s: its last entry is %u, not %s"
				: "%s: its room for %u entries is full: "
				  "%s was not written",
			m->name, g->max_entries - map_is_indexed(g->type), key);
	case EPERM:
		return map_fail(
			g->writable ? "%s is frozen: its module lets nobody "
				      "write it any more"
				    : "%s is read-only: root can write it in "
				      "a shell of lqosctl exec --rw, if its "
				      "module lets him",
			m->name);
	case EAGAIN:
		return map_fail("%s changes faster than it can be read: %s",
				m->name, "try again, or get one entry");
	case EOPNOTSUPP:
	case MAP_ENOTSUPP:
		return map_fail("%s: a map of type %s has no entries for user "
				"space to do that with",
				m->name, map_type_text(g->type));
	default:
		return map_fail("%s: %s%s%s", m->name, key, *key ? ": " : "",
				strerror(error));
	}
}
