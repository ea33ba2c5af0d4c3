/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map_walk.c - all entries of a map, in as much memory as a batch needs.
 *
 * A batch is one system call for many entries; which types of maps have it is
 * the kernel's matter, so it is tried.  Maps change meanwhile: what was there
 * all along is seen once, what came or went may be.
 */
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/shell/map.h"

enum { BATCH_BYTES = 1 << 18, BATCH_MAX = 4096, TOKEN_MIN = 4 };

bool map_is_zero(const void *data, size_t size)
{
	const char *byte = data;

	return !size || (!*byte && !memcmp(byte, byte + 1, size - 1));
}

static bool is_unknown(int error)
{
	return error == EINVAL || error == EOPNOTSUPP || error == MAP_ENOTSUPP;
}

/* A key that went away sends the walk back to the beginning: who changes that
 * fast is followed for twice what there can be. */
static bool is_endless(const struct map *m, uint64_t seen)
{
	return seen > 2 * (uint64_t)m->grant->max_entries + BATCH_MAX;
}

/* ---- One at a time ------------------------------------------------------- */

static int walk_keys(const struct map *m, map_walk_fn *each, void *arg)
{
	autofree uint8_t *keys = calloc(2, m->grant->key_size);
	autofree uint8_t *value = calloc(1, m->room);
	uint8_t *key = keys, *next;
	uint64_t seen = 0;
	int rc, fd = m->grant->fd;

	if (!keys || !value)
		return -ENOMEM;
	next = keys + m->grant->key_size;
	for (rc = bpf_map_get_next_key(fd, NULL, next); !rc;
	     rc = bpf_map_get_next_key(fd, key, next)) {
		memcpy(key, next, m->grant->key_size);
		if (is_endless(m, ++seen))
			return -EAGAIN;
		if (bpf_map_lookup_elem(fd, key, value)) {
			if (errno == ENOENT) /* gone, or an empty slot */
				continue;
			return -errno;
		}
		rc = each(key, value, arg);
		if (rc)
			return rc;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* ---- In batches ---------------------------------------------------------- */

struct batch {
	uint8_t *keys, *values, *token;
	uint32_t room; /* entries */
	uint32_t n;
};

static void batch_free(struct batch *b)
{
	free(b->keys);
	free(b->values);
	free(b->token);
	*b = (struct batch){};
}

static int batch_make(const struct map *m, struct batch *b, uint32_t room)
{
	size_t token =
		m->grant->key_size > TOKEN_MIN ? m->grant->key_size : TOKEN_MIN;

	batch_free(b);
	*b = (struct batch){
		.keys = calloc(room, m->grant->key_size),
		.values = calloc(room, m->room),
		.token = calloc(2, token),
		.room = room,
	};
	return b->keys && b->values && b->token ? 0 : -ENOMEM;
}

/* 1: that was the last; 0: there may be more. */
static int batch_next(const struct map *m, struct batch *b, bool first)
{
	size_t token =
		m->grant->key_size > TOKEN_MIN ? m->grant->key_size : TOKEN_MIN;
	uint8_t *in = b->token, *out = b->token + token;

	for (;;) {
		b->n = b->room;
		if (!bpf_map_lookup_batch(m->grant->fd, first ? NULL : in, out,
					  b->keys, b->values, &b->n, NULL)) {
			memcpy(in, out, token);
			return 0;
		}
		if (errno == ENOENT)
			return 1;
		/* Of a hash, all that share a bucket have to fit. */
		if (errno != ENOSPC || b->room > m->grant->max_entries ||
		    b->room > UINT32_MAX / 2)
			return -errno;
		autofree uint8_t *kept = malloc(token);

		if (!kept)
			return -ENOMEM;
		memcpy(kept, in, token);
		if (batch_make(m, b, 2 * b->room))
			return -ENOMEM;
		in = b->token;
		out = b->token + token;
		memcpy(in, kept, token);
	}
}

static int batch_each(const struct map *m, const struct batch *b,
		      map_walk_fn *each, void *arg)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->n && !rc; i++)
		rc = each(b->keys + (size_t)i * m->grant->key_size,
			  b->values + i * m->room, arg);
	return rc;
}

static uint32_t batch_room(const struct map *m)
{
	size_t n = BATCH_BYTES / (m->grant->key_size + m->room);

	if (n > m->grant->max_entries)
		n = m->grant->max_entries;
	return n < 2 ? 2 : n > BATCH_MAX ? BATCH_MAX : (uint32_t)n;
}

int map_walk(const struct map *m, map_walk_fn *each, void *arg)
{
	struct batch b CORE_CLEANUP(batch_free) = {};
	uint64_t seen = 0;
	bool first = true;
	int rc = batch_make(m, &b, batch_room(m)), last = 0;

	if (rc)
		return rc;
	while (!last) {
		last = batch_next(m, &b, first);
		if (first && last < 0 && is_unknown(-last))
			return walk_keys(m, each, arg);
		if (last < 0)
			return last;
		rc = batch_each(m, &b, each, arg);
		if (rc)
			return rc;
		seen += b.n;
		if (is_endless(m, seen))
			return -EAGAIN;
		first = false;
	}
	return 0;
}

/* ---- Prefixes ------------------------------------------------------------ */

/* The first u32 says how many bits behind it count. */
static bool same_prefix(const uint8_t *a, const uint8_t *b)
{
	uint32_t n;

	memcpy(&n, a, sizeof(n));
	if (memcmp(a, b, sizeof(n)) != 0 || memcmp(a + 4, b + 4, n / 8) != 0)
		return false;
	return !(n % 8) ||
	       !((a[4 + n / 8] ^ b[4 + n / 8]) & 0xff00 >> n % 8 & 0xff);
}

static int is_prefix(const void *key, const void *value, void *arg)
{
	(void)value;
	return same_prefix(key, arg);
}

int map_has_prefix(const struct map *m, const void *key)
{
	uint32_t n;

	memcpy(&n, key, sizeof(n));
	if (n > 8 * (m->grant->key_size - 4))
		return 0;
	return map_walk(m, is_prefix, (void *)key);
}
