/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map_entry.c - keys and values as text, and text as them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/number.h"
#include "core/shell/map.h"
#include "core/shell/value.h"

/* ---- Prefixes: ADDRESS/LENGTH, %SPACE as elsewhere in lqosctl ------------ */

static json_t *prefix_json(const struct map *m, const uint8_t *key)
{
	uint32_t space = 0, length, skip = 8 * (uint32_t)m->prefix.space;
	uint32_t max = m->prefix.family == AF_INET ? 32 : 128;
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	size_t n;

	memcpy(&length, key, sizeof(length));
	/* Less than the whole space cannot be written so. */
	if (length < skip || length - skip > max ||
	    !inet_ntop(m->prefix.family, key + 4 + m->prefix.space, address,
		       sizeof(address)))
		return NULL;
	memcpy(&space, key + 4, m->prefix.space);
	n = (size_t)snprintf(text, sizeof(text), "%s/%u", address,
			     length - skip);
	if (space)
		snprintf(text + n, sizeof(text) - n, "%%%u", ntohl(space));
	return json_string(text);
}

static int prefix_read(const struct map *m, const char *word, uint8_t *key)
{
	uint32_t max = m->prefix.family == AF_INET ? 32 : 128;
	uint32_t length = max, space = 0;
	char text[INET6_ADDRSTRLEN + 16], *percent, *slash;
	uint8_t address[16];

	if (strlen(word) >= sizeof(text))
		return -EINVAL;
	strcpy(text, word);
	percent = strchr(text, '%');
	if (percent) {
		*percent = '\0';
		if (!m->prefix.space ||
		    core_number(percent + 1, 0, UINT32_MAX, &space))
			return -EINVAL;
	}
	slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		if (core_number(slash + 1, 0, max, &length))
			return -EINVAL;
	}
	if (inet_pton(m->prefix.family, text, address) != 1)
		return -EINVAL;
	length += 8 * (uint32_t)m->prefix.space;
	space = htonl(space);
	memcpy(key, &length, sizeof(length));
	memcpy(key + 4, &space, m->prefix.space);
	memcpy(key + 4 + m->prefix.space, address, max / 8);
	return 0;
}

/* ---- JSON ---------------------------------------------------------------- */

json_t *map_key_json(const struct map *m, const void *key)
{
	json_t *prefix = m->prefix.family ? prefix_json(m, key) : NULL;

	return prefix
		       ?: value_json(m->key.btf, m->key.id, key,
				     m->grant->key_size);
}

static json_t *one_json(const struct map *m, const void *value)
{
	return value_json(m->value.btf, m->value.id, value,
			  m->grant->value_size);
}

static json_t *cpus_json(const struct map *m, const uint8_t *value)
{
	json_t *cpus = json_array();

	for (uint32_t i = 0; i < m->cpus; i++)
		if (json_array_append_new(cpus,
					  one_json(m, value + i * m->stride))) {
			json_decref(cpus);
			return NULL;
		}
	return cpus;
}

json_t *map_value_json(const struct map *m, const void *value)
{
	return m->cpus ? json_pack("{s:o}", "cpus", cpus_json(m, value))
		       : one_json(m, value);
}

json_t *map_entry_json(const struct map *m, const void *key, const void *value)
{
	return json_pack("{s:o,s:o}", "key", map_key_json(m, key),
			 m->cpus ? "cpus" : "value",
			 m->cpus ? cpus_json(m, value) : one_json(m, value));
}

/* Text that a command line would take for nothing else. */
static bool is_bare(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.:/%+-";

	return *text && !text[strspn(text, letters)];
}

/* jansson leaves DEL as it is; it can only be in text. */
static int write_json(const char *text, size_t size, void *f)
{
	while (size) {
		const char *del = memchr(text, 0x7f, size);
		size_t n = del ? (size_t)(del - text) : size;

		if (fwrite(text, 1, n, f) != n ||
		    (del && fputs("\\u007F", f) < 0))
			return -1;
		n += del != NULL;
		text += n;
		size -= n;
	}
	return 0;
}

int map_print(FILE *f, json_t *value, bool bare)
{
	const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII;
	const char *text = json_string_value(value);
	int rc;

	if (!value)
		return -ENOMEM;
	if (bare && text && is_bare(text))
		rc = fputs(text, f);
	else
		rc = json_dump_callback(value, write_json, f, flags);
	return rc < 0 || ferror(f) ? -EIO : 0;
}

/* ---- Words --------------------------------------------------------------- */

static int refuse(const struct map *m, const char *what, const char *why)
{
	map_fail("%s: %s: %s", m->name, what, why);
	return EXIT_USAGE;
}

int map_key_read(const struct map *m, const char *word, void *key)
{
	char why[WHY_SIZE], text[160];
	uint32_t length;
	json_t *json = NULL;
	int rc;

	memset(key, 0, m->grant->key_size);
	if (value_word(word, &json, why, sizeof(why)))
		return refuse(m, "key", why);
	if (m->prefix.family && !json_is_object(json)) {
		rc = prefix_read(m, json_string_value(json) ?: "", key);
		snprintf(text, sizeof(text),
			 "expected a prefix like \"%s/%d%s\", not %.64s",
			 m->prefix.family == AF_INET ? "192.0.2.0"
						     : "2001:db8::",
			 m->prefix.family == AF_INET ? 24 : 64,
			 m->prefix.space ? "\" or \"...%100" : "", word);
		snprintf(why, sizeof(why), "%s", text);
	} else {
		if (m->prefix.family) { /* a host's, unless it says so */
			length = 8 * (m->grant->key_size - 4);
			memcpy(key, &length, sizeof(length));
		}
		rc = value_parse(m->key.btf, m->key.id, json, key,
				 m->grant->key_size, why, sizeof(why));
	}
	json_decref(json);
	return rc ? refuse(m, "key", why) : 0;
}

/* What "cpus" says of a CPU; NULL: nothing. */
static const json_t *of_cpu(const json_t *cpus, uint32_t cpu)
{
	char index[16];

	if (json_is_array(cpus))
		return json_array_get(cpus, cpu);
	snprintf(index, sizeof(index), "%u", cpu);
	return json_object_get(cpus, index);
}

static int check_cpus(const struct map *m, const json_t *cpus, char *why,
		      size_t size)
{
	size_t found = 0;

	for (uint32_t i = 0; i < m->cpus; i++)
		found += of_cpu(cpus, i) != NULL;
	if (json_is_array(cpus) ? json_array_size(cpus) == m->cpus
				: found && found == json_object_size(cpus))
		return 0;
	snprintf(why, size,
		 "cpus: expected an array of %u values, or some by their CPUs, "
		 "0 to %u",
		 m->cpus, m->cpus - 1);
	return -EINVAL;
}

/* One value is each CPU's. */
static int parse_cpus(const struct map *m, const json_t *json, uint8_t *value,
		      char *why, size_t size)
{
	const json_t *cpus = json_object_size(json) == 1
				     ? json_object_get(json, "cpus")
				     : NULL;
	int rc = cpus ? check_cpus(m, cpus, why, size) : 0;

	for (uint32_t i = 0; i < m->cpus && !rc; i++) {
		const json_t *one = cpus ? of_cpu(cpus, i) : json;

		if (one)
			rc = value_parse(m->value.btf, m->value.id, one,
					 value + i * m->stride,
					 m->grant->value_size, why, size);
	}
	return rc;
}

int map_value_read(const struct map *m, char **words, int n, void *value)
{
	char why[WHY_SIZE];
	json_t *json = NULL;
	int rc = 0;

	for (int i = 0; i < n && !rc; i++) {
		if (json && !json_is_object(json)) {
			rc = -EINVAL;
			snprintf(why, sizeof(why),
				 "expected one value, not \"%.64s\" behind it",
				 words[i]);
			break;
		}
		rc = value_word(words[i], &json, why, sizeof(why));
	}
	if (!rc)
		rc = m->cpus ? parse_cpus(m, json, value, why, sizeof(why))
			     : value_parse(m->value.btf, m->value.id, json,
					   value, m->grant->value_size, why,
					   sizeof(why));
	json_decref(json);
	return rc ? refuse(m, "value", why) : 0;
}
