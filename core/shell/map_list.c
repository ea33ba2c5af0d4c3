/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_list.c - lqosctl map list. */
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include "core/cleanup.h"
#include "core/shell/map.h"
#include "core/shell/shape.h"
#include "core/show.h"

static json_t *type_json(const struct btf *btf, const struct grant *g, bool key)
{
	uint32_t type = key ? g->key_type : g->value_type;
	uint32_t size = key ? g->key_size : g->value_size;
	char name[128];

	if (btf && type)
		shape_type_name(btf, type, name, sizeof(name));
	else if (key && map_is_indexed(g->type))
		return json_string("__u32");
	else if (!key && map_value_name(g->type))
		return json_string(map_value_name(g->type));
	else
		snprintf(name, sizeof(name), "%u bytes", size);
	return json_string(name);
}

static json_t *row(const struct grants *grants, const struct grant *g)
{
	const char *access = g->fd < 0 ? "closed" : g->writable ? "rw" : "ro";
	struct btf *btf = NULL;
	json_t *json, *rest;

	if (grant_btf(grants, g, &btf))
		btf = NULL;
	json = json_pack("{s:s,s:s}", "module", g->module, "map", g->name);
	/* Those of this process alone are of no use to whoever reads this. */
	if (grants->borrowed)
		json_object_set_new(json, "fd", json_integer(g->fd));
	rest = json_pack("{s:I,s:s,s:o,s:o,s:I,s:s}", "id", (json_int_t)g->id,
			 "type", map_type_text(g->type), "key",
			 type_json(btf, g, true), "value",
			 type_json(btf, g, false), "entries",
			 (json_int_t)g->max_entries, "access", access);
	json_object_update(json, rest);
	json_decref(rest);
	btf__free(btf);
	return json;
}

int map_list(struct map_options *o)
{
	const char *glob = o->n_words ? o->words[0] : "*";
	char why[WHY_SIZE];
	struct grants grants;
	json_t *rows;
	int status = EXIT_SUCCESS;

	o->request.maps = &glob;
	o->request.n_maps = 1;
	if (map_grants(o, &grants, why, sizeof(why)))
		return map_fail("%s", why);
	rows = json_array();
	for (size_t i = 0; i < grants.n; i++)
		if (grant_matches(&grants.at[i], glob))
			json_array_append_new(rows,
					      row(&grants, &grants.at[i]));
	if (!json_array_size(rows))
		status = map_fail("no map is \"%s\"", glob);
	else if (o->json)
		map_print(stdout, rows, false);
	else
		show_json(stdout, rows, 0);
	if (o->json && !status)
		putchar('\n');
	json_decref(rows);
	grants_free(&grants);
	return status;
}
