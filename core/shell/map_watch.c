/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map_watch.c - lqosctl map watch: entries that came, went or changed since the
 * last look.
 *
 * A look is kept sorted by key.  Entries of arrays that are all zero are not
 * kept, as if they were not there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/shell/map.h"

enum { LOOK_MAX = 1 << 28 }; /* bytes */

struct look {
	const struct map *map;
	double at; /* s */
	uint8_t *entries;
	size_t n, room, size; /* size: of one */
};

struct watch {
	const struct map_options *options;
	const struct map *map;
	const uint8_t *key; /* NULL: all */
	uint8_t *none;	    /* a value of zeros */
};

/* ---- A look -------------------------------------------------------------- */

static int keep(const void *key, const void *value, void *arg)
{
	struct look *l = arg;
	const struct map *m = l->map;
	uint8_t *more;

	if (map_is_array(m) && map_is_zero(value, m->room))
		return 0;
	if (l->n == l->room) {
		size_t room = 2 * l->room + 1; /* one may be large */

		if (l->n * l->size > LOOK_MAX)
			return -EFBIG;
		more = reallocarray(l->entries, room, l->size);
		if (!more)
			return -ENOMEM;
		l->entries = more;
		l->room = room;
	}
	memcpy(l->entries + l->n * l->size, key, m->grant->key_size);
	memcpy(l->entries + l->n * l->size + m->grant->key_size, value,
	       m->room);
	l->n++;
	return 0;
}

static int by_key(const void *a, const void *b, void *arg)
{
	return memcmp(a, b, *(const uint32_t *)arg);
}

static void look_free(struct look *l)
{
	free(l->entries);
	*l = (struct look){};
}

static int look_at(const struct watch *w, struct look *out)
{
	const struct map *m = w->map;
	autofree uint8_t *value = malloc(m->room ?: 1);
	uint32_t key_size = m->grant->key_size;
	struct timespec now;
	int rc = 0;

	if (!value)
		return -ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &now);
	*out = (struct look){.map = m,
			     .at = (double)now.tv_sec +
				   (double)now.tv_nsec / 1e9,
			     .size = key_size + m->room};
	if (!w->key)
		rc = map_walk(m, keep, out);
	else if (!bpf_map_lookup_elem(m->grant->fd, w->key, value))
		rc = keep(w->key, value, out);
	else if (errno != ENOENT)
		rc = -errno;
	if (rc) {
		look_free(out);
		return rc;
	}
	if (out->n)
		qsort_r(out->entries, out->n, out->size, by_key, &key_size);
	return 0;
}

/* ---- What is new --------------------------------------------------------- */

/* u64 may be too large for JSON, and are text then. */
static bool number_of(const json_t *json, double *out)
{
	const char *text = json_string_value(json);
	char *end;

	*out = json_number_value(json);
	if (!text || strlen(text) < 19 || text[strspn(text, "0123456789")])
		return json_is_number(json);
	*out = strtod(text, &end);
	return true;
}

/* Numbers that grew, by their places. */
static void add_rates(json_t *rates, const char *place, const json_t *was,
		      const json_t *is, double seconds)
{
	double from, to;
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)is, key, value) {
		autofree char *name = NULL;

		if (asprintf(&name, "%s%s%s", place, *place ? "." : "", key) >
		    0)
			add_rates(rates, name, json_object_get(was, key), value,
				  seconds);
	}
	json_array_foreach(is, i, value) {
		autofree char *name = NULL;

		if (asprintf(&name, "%s%s%zu", place, *place ? "." : "", i) > 0)
			add_rates(rates, name, json_array_get(was, i), value,
				  seconds);
	}
	if (number_of(was, &from) && number_of(is, &to) && to > from)
		json_object_set_new(rates, *place ? place : "value",
				    json_real((to - from) / seconds));
}

static void print_time(void)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%F %T", &tm);
	printf("%s.%03ld", text, now.tv_nsec / 1000000);
}

static void print_line(const struct map *m, const char *event, const void *key,
		       json_t *value, json_t *rates)
{
	json_t *name = map_key_json(m, key), *rate;
	bool inner = json_is_object(value) || json_is_array(value);
	const char *place;

	print_time();
	printf(" %s ", event);
	map_print(stdout, name, true);
	if (value) {
		putchar(' ');
		map_print(stdout, value, true);
	}
	json_object_foreach(rates, place, rate) {
		json_t *text = json_string(place);

		putchar(' ');
		if (inner)
			map_print(stdout, text, true);
		printf("+%.6g/s", json_real_value(rate));
		json_decref(text);
	}
	putchar('\n');
	json_decref(name);
}

static void print_object(const struct map *m, const char *event,
			 const void *key, json_t *value, json_t *rates)
{
	struct timespec now;
	json_t *json;

	clock_gettime(CLOCK_REALTIME, &now);
	json = json_pack("{s:f,s:s,s:o}", "time",
			 (double)now.tv_sec + (double)now.tv_nsec / 1e9,
			 "event", event, "key", map_key_json(m, key));
	if (value)
		json_object_set(json, "value", value);
	if (json_object_size(rates))
		json_object_set(json, "per_second", rates);
	map_print(stdout, json, false);
	putchar('\n');
	json_decref(json);
}

/* was, is: NULL, there is none. */
static void tell(const struct watch *w, const uint8_t *key, const void *was,
		 const void *is, double seconds)
{
	const struct map *m = w->map;
	json_t *old, *value, *rates = json_object();

	if (map_is_array(m)) {
		was = was ?: w->none;
		is = is ?: w->none;
	}
	old = was ? map_value_json(m, was) : NULL;
	value = is ? map_value_json(m, is) : NULL;
	add_rates(rates, "", old, value, seconds);
	(w->options->json ? print_object : print_line)(m,
						       !was  ? "came"
						       : !is ? "went"
							     : "changed",
						       key, value, rates);
	json_decref(old);
	json_decref(value);
	json_decref(rates);
}

/* NULL: there are no more. */
static const uint8_t *entry(const struct look *l, size_t i)
{
	return i < l->n ? l->entries + i * l->size : NULL;
}

static void compare(const struct watch *w, const struct look *was,
		    const struct look *is)
{
	size_t key = w->map->grant->key_size, a = 0, b = 0;
	double seconds = is->at - was->at;
	const uint8_t *old, *new;

	while ((old = entry(was, a)), (new = entry(is, b)), old || new) {
		int order = !old ? 1 : !new ? -1 : memcmp(old, new, key);

		if (order < 0)
			tell(w, old, old + key, NULL, seconds);
		else if (order > 0)
			tell(w, new, NULL, new + key, seconds);
		else if (memcmp(old, new, is->size) != 0)
			tell(w, new, old + key, new + key, seconds);
		a += order <= 0;
		b += order >= 0;
	}
}

/* ---- Watching ------------------------------------------------------------ */

static int refused(const struct watch *w, int error)
{
	if (error == EFBIG)
		return map_fail("%s: there is more in it than the %d MiB that "
				"are compared: watch one entry of it",
				w->map->name, LOOK_MAX >> 20);
	return map_refused(w->map, "", error);
}

static void wait_for(double at)
{
	struct timespec until = {.tv_sec = (time_t)at};

	until.tv_nsec = (long)((at - (double)until.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}

static int watch(const struct watch *w)
{
	struct look was CORE_CLEANUP(look_free) = {};
	double next;
	int rc = look_at(w, &was);

	next = was.at;
	for (uint32_t n = 0;
	     !rc && (!w->options->count || n < w->options->count); n++) {
		struct look is CORE_CLEANUP(look_free) = {};

		next += w->options->interval;
		if (next < was.at) /* a look took longer */
			next = was.at;
		wait_for(next);
		rc = look_at(w, &is);
		if (rc)
			break;
		compare(w, &was, &is);
		if (fflush(stdout))
			return map_fail("cannot write: %s", strerror(errno));
		look_free(&was);
		was = is;
		is = (struct look){};
	}
	return rc ? refused(w, -rc) : 0;
}

static int watch_map(struct watch *w, uint8_t *key)
{
	const struct map_options *o = w->options;
	int status = 0;

	if (o->n_words > 1) {
		status = map_key_read(w->map, o->words[1], key);
		w->key = key;
	}
	return status ?: watch(w);
}

int map_watch(struct map_options *o)
{
	autofree uint8_t *key = NULL, *none = NULL;
	struct map map;
	int status = map_open(&map, o, o->words[0], false);

	if (status)
		return status;
	key = malloc(map.grant->key_size);
	none = calloc(1, map.room ?: 1);
	if (key && none)
		status = watch_map(&(struct watch){.options = o,
						   .map = &map,
						   .none = none},
				   key);
	else
		status = map_fail("%s: %s", map.name, strerror(ENOMEM));
	map_close(&map);
	return status;
}
