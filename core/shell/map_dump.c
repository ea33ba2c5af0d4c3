/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_dump.c - lqosctl map dump. */
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/shell/map.h"

struct dump {
	const struct map *map;
	bool json, all;
	uint64_t written, zero;
};

static int write_entry(struct dump *d, const void *key, const void *value)
{
	json_t *json;
	int rc;

	if (d->json) {
		fputs(d->written ? ",\n" : "", stdout);
		json = map_entry_json(d->map, key, value);
		rc = map_print(stdout, json, false);
		json_decref(json);
		return rc;
	}
	json = map_key_json(d->map, key);
	rc = map_print(stdout, json, true);
	json_decref(json);
	if (rc)
		return rc;
	putchar(' ');
	json = map_value_json(d->map, value);
	rc = map_print(stdout, json, true);
	json_decref(json);
	putchar('\n');
	return rc;
}

static int each(const void *key, const void *value, void *arg)
{
	struct dump *d = arg;
	int rc;

	if (!d->all && map_is_zero(value, d->map->room)) {
		d->zero++;
		return 0;
	}
	rc = write_entry(d, key, value);
	d->written++;
	return rc;
}

int map_dump(struct map_options *o)
{
	struct dump d = {.json = o->json};
	struct map map;
	int status = map_open(&map, o, o->words[0], false), rc;

	if (status)
		return status;
	d.map = &map;
	d.all = o->all || !map_is_array(&map);
	if (d.json)
		fputs("[", stdout);
	rc = map_walk(&map, each, &d);
	if (!rc && d.json)
		puts("]");
	if (rc)
		status = map_refused(&map, rc == -EIO ? "cannot write" : "",
				     rc == -EIO ? errno : -rc);
	if (d.zero && !status) {
		fflush(stdout);
		fprintf(stderr,
			"lqosctl: map: %s: %llu entries that are all zero were "
			"left out (-a shows them)\n",
			map.name, (unsigned long long)d.zero);
	}
	map_close(&map);
	return status;
}
