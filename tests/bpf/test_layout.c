/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Would a map of this object be what that pinned one is? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/layout.h"
#include "tests/bpf/datapath.h"

#include "bpf/datapath.skel.h"
#include "tests/bpf/layout.skel.h"

static struct layout_bpf *loaded; /* as the earlier run's */
static struct layout_bpf *opened; /* as this run's */
static char why[128];

static bool fits(const struct bpf_map *pinned, const struct bpf_map *wanted)
{
	why[0] = '\0';
	return layout_fits(bpf_map__fd(pinned), opened->obj, wanted, why,
			   sizeof(why));
}

static void differs(const struct bpf_map *pinned, const struct bpf_map *wanted,
		    const char *reason)
{
	if (fits(pinned, wanted))
		fail_msg("%s fits %s", bpf_map__name(pinned),
			 bpf_map__name(wanted));
	assert_string_equal(why, reason);
}

static void equal(void **state)
{
	struct bpf_map *map;

	(void)state;
	bpf_object__for_each_map(map, loaded->obj) {
		const char *name = bpf_map__name(map);

		if (strcmp(name, "untyped") &&
		    !fits(map, bpf_object__find_map_by_name(opened->obj, name)))
			fail_msg("%s does not fit itself: %s", name, why);
	}
	assert_true(fits(loaded->maps.first, opened->maps.same));
	assert_true(fits(loaded->maps.same, opened->maps.first));
}

static void shapes(void **state)
{
	const struct bpf_map *first = loaded->maps.first;

	(void)state;
	differs(first, opened->maps.hash,
		"it is a map of type array, now hash");
	differs(first, opened->maps.more_entries, "it has 4 entries, now 5");
	differs(first, opened->maps.other_flags, "its flags are 0x400, now 0");
	differs(first, opened->maps.longer_value,
		"its value has 40 bytes, now 48");
	differs(loaded->maps.hash, opened->maps.longer_key,
		"its key has 4 bytes, now 8");
}

static void types(void **state)
{
	const struct bpf_map *first = loaded->maps.first;

	(void)state;
	differs(first, opened->maps.swapped,
		"member 0 of its value is packets, now bytes");
	differs(first, opened->maps.with_sign, "bytes is another integer");
	differs(first, opened->maps.deep, "member 0 of inner is b, now c");
	differs(first, opened->maps.bits, "low is elsewhere in its value now");
	differs(first, opened->maps.short_array, "half has 2 elements, now 1");
	differs(first, opened->maps.flat, "its value has 6 members, now 1");
	differs(loaded->maps.longer_key, opened->maps.other_key,
		"member 0 of its key is b, now c");
}

static void names(void **state)
{
	(void)state;
	differs(loaded->maps.counters, opened->maps.new_counters,
		"by has COUNTED_IN = 0, now COUNTED_OUT_NOW = 0");
	differs(loaded->maps.counters, opened->maps.more_counters,
		"by has 3 names, now 4");
}

static void untold(void **state)
{
	(void)state;
	differs(loaded->maps.untyped, opened->maps.first,
		"nothing tells what is in it");
	differs(loaded->maps.untyped, opened->maps.untyped,
		"nothing tells what is in it");
	/* What is in there may be anything. */
	assert_false(fits(loaded->maps.first, opened->maps.untyped));
}

static void no_records(void **state)
{
	(void)state;
	assert_true(fits(loaded->maps.ring, opened->maps.ring));
	assert_true(fits(loaded->maps.programs, opened->maps.programs));
	differs(loaded->maps.ring, opened->maps.larger_ring,
		"it has 65536 entries, now 131072");
	differs(loaded->maps.ring, opened->maps.hash,
		"it is a map of type ringbuf, now hash");
}

static struct bpf_map *section(const struct layout_bpf *skel, const char *name)
{
	return bpf_object__find_map_by_name(skel->obj, name);
}

static void sections(void **state)
{
	const struct bpf_map *one = section(loaded, ".data.one");

	(void)state;
	assert_true(fits(one, section(opened, ".data.one")));
	differs(one, section(opened, ".data.two"),
		"variable 0 is one_a, now two_a");
	differs(one, section(opened, ".data.whole"),
		"it has 2 variables, now 1");
}

static void no_map(void **state)
{
	(void)state;
	assert_false(layout_fits(bpf_program__fd(loaded->progs.nothing),
				 opened->obj, opened->maps.first, why,
				 sizeof(why)));
	assert_string_equal(why, "it is no map");
	assert_false(layout_fits(0, opened->obj, opened->maps.first, why,
				 sizeof(why)));
	assert_string_equal(why, "it is no map");
}

/* What the daemon does at each start after a crash. */
static void our_own(void **state)
{
	struct datapath_bpf *before = datapath_bpf__open_and_load();
	struct datapath_bpf *now = datapath_bpf__open();
	const struct bpf_map *const pairs[][2] = {
		{before->maps.dp_counters, now->maps.dp_counters},
		{before->maps.dp_circuits, now->maps.dp_circuits},
		{before->maps.dp_owners4, now->maps.dp_owners4},
		{before->maps.dp_owners6, now->maps.dp_owners6},
	};

	(void)state;
	assert_non_null(before);
	assert_non_null(now);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (!layout_fits(bpf_map__fd(pairs[i][0]), now->obj,
				 pairs[i][1], why, sizeof(why)))
			fail_msg("%s: %s", bpf_map__name(pairs[i][0]), why);
	datapath_bpf__destroy(before);
	datapath_bpf__destroy(now);
}

static int begin(void **state)
{
	(void)state;
	loaded = layout_bpf__open_and_load();
	opened = layout_bpf__open();
	return !loaded || !opened;
}

static int end(void **state)
{
	(void)state;
	layout_bpf__destroy(loaded);
	layout_bpf__destroy(opened);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal),    cmocka_unit_test(shapes),
		cmocka_unit_test(types),    cmocka_unit_test(untold),
		cmocka_unit_test(no_map),   cmocka_unit_test(names),
		cmocka_unit_test(our_own),  cmocka_unit_test(no_records),
		cmocka_unit_test(sections),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("layout", tests, begin, end);
}
