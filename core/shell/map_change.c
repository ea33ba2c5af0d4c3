/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_change.c - one entry: lqosctl map get, update, delete. */
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/shell/map.h"

static int no_memory(const struct map *m)
{
	return map_fail("%s: %s", m->name, strerror(ENOMEM));
}

static int get(const struct map *m, const struct map_options *o, void *key,
	       void *value)
{
	int status = map_key_read(m, o->words[1], key);
	json_t *json;

	if (status)
		return status;
	if (bpf_map_lookup_elem(m->grant->fd, key, value))
		return map_refused(m, o->words[1], errno);
	json = o->json ? map_entry_json(m, key, value)
		       : map_value_json(m, value);
	if (!json)
		return no_memory(m);
	map_print(stdout, json, !o->json);
	putchar('\n');
	json_decref(json);
	return EXIT_SUCCESS;
}

int map_get(struct map_options *o)
{
	autofree uint8_t *key = NULL, *value = NULL;
	struct map map;
	int status = map_open(&map, o, o->words[0], false);

	if (status)
		return status;
	key = malloc(map.grant->key_size);
	value = malloc(map.room ?: 1);
	status = key && value ? get(&map, o, key, value) : no_memory(&map);
	map_close(&map);
	return status;
}

/* The last word, if it is one of those. */
static uint64_t read_flags(char **words, int *n)
{
	static const struct {
		const char *name;
		uint64_t flags;
	} names[] = {
		{"any", BPF_ANY},
		{"noexist", BPF_NOEXIST},
		{"exist", BPF_EXIST},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names) && *n > 1; i++)
		if (!strcmp(words[*n - 1], names[i].name)) {
			(*n)--;
			return names[i].flags;
		}
	return BPF_ANY;
}

/* What there is, or zeros: an exit status. */
static int read_old(const struct map *m, const char *word, const void *key,
		    void *value)
{
	int rc = 1;

	if (!bpf_map_lookup_elem(m->grant->fd, key, value)) {
		if (m->grant->type == BPF_MAP_TYPE_LPM_TRIE)
			rc = map_has_prefix(m, key);
		if (rc == 1)
			return 0;
	} else if (errno != ENOENT) {
		rc = -errno;
	}
	memset(value, 0, m->room);
	return rc < 0 ? map_refused(m, word, -rc) : 0;
}

static int update(const struct map *m, const struct map_options *o, void *key,
		  void *value)
{
	char **words = o->words + 2;
	int n = o->n_words - 2;
	uint64_t flags = read_flags(words, &n);
	int status = map_key_read(m, o->words[1], key);

	if (!status)
		status = read_old(m, o->words[1], key, value);
	if (!status)
		status = map_value_read(m, words, n, value);
	if (!status && bpf_map_update_elem(m->grant->fd, key, value, flags))
		status = map_refused(m, o->words[1], errno);
	return status;
}

int map_update(struct map_options *o)
{
	autofree uint8_t *key = NULL, *value = NULL;
	struct map map;
	int status = map_open(&map, o, o->words[0], true);

	if (status)
		return status;
	key = malloc(map.grant->key_size);
	value = calloc(1, map.room ?: 1);
	status = key && value ? update(&map, o, key, value) : no_memory(&map);
	map_close(&map);
	return status;
}

static int delete (const struct map *m, const char *word, void *key)
{
	int status = map_key_read(m, word, key);

	if (status || !bpf_map_delete_elem(m->grant->fd, key))
		return status;
	if (errno == EINVAL && map_is_array(m))
		return map_fail("%s: entries of an array are always there: "
				"update %s with zeros",
				m->name, word);
	return map_refused(m, word, errno);
}

int map_delete(struct map_options *o)
{
	autofree uint8_t *key = NULL;
	struct map map;
	int status = map_open(&map, o, o->words[0], true);

	if (status)
		return status;
	key = malloc(map.grant->key_size);
	status = key ? delete (&map, o->words[1], key) : no_memory(&map);
	map_close(&map);
	return status;
}
