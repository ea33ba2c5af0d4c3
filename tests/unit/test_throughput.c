/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which unknown hosts are listed, against a plain sum and sort. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "modules/throughput/throughput.c"

enum { CPUS = 3, SETS = 8 };

static struct tp_set table[CPUS * SETS];
static const struct throughput tp = {
	.hosts = table, .cpus = CPUS, .sets = SETS};

static void put(uint32_t cpu, uint32_t set, int way, uint64_t lo,
		uint64_t bytes)
{
	table[cpu * SETS + set].host[way] = (struct tp_host){
		.hi = UINT64_MAX,
		.lo = lo,
		.bytes = {bytes, 1},
		.packets = {1, 1},
		.first_seen = 5,
		.last_seen = 10 + cpu,
	};
}

static void fill(void)
{
	uint32_t cpu, set;
	int way;

	/* Host lo is in set lo % SETS of each CPU, in whatever way. */
	for (cpu = 0; cpu < CPUS; cpu++)
		for (set = 0; set < SETS; set++)
			for (way = 0; way < TP_WAYS; way++)
				put(cpu, set, (way + cpu) % TP_WAYS,
				    set + SETS * (uint64_t)way,
				    (set * 7 + way * 31) % 29 * 100 + cpu);
}

static void the_most_first(void **state)
{
	uint64_t last;
	struct tp_host *hosts, *all;
	size_t n, m, i;

	(void)state;
	fill();
	all = collect(&tp, 100000, &n);
	assert_non_null(all);
	assert_int_equal(n, SETS * TP_WAYS);
	last = UINT64_MAX;
	for (i = 0; i < n; i++) {
		uint64_t lo = all[i].lo, set = lo % SETS, way = lo / SETS;

		assert_int_equal(all[i].bytes[0],
				 3 * ((set * 7 + way * 31) % 29 * 100) + 3);
		assert_int_equal(all[i].bytes[1], CPUS);
		assert_int_equal(all[i].packets[1], CPUS);
		assert_int_equal(all[i].last_seen, 10 + CPUS - 1);
		assert_true(all_bytes(&all[i]) <= last);
		last = all_bytes(&all[i]);
	}
	for (m = 1; m <= n; m++) {
		hosts = collect(&tp, m, &n);
		assert_non_null(hosts);
		assert_int_equal(n, m);
		for (i = 0; i < m; i++)
			assert_int_equal(all_bytes(&hosts[i]),
					 all_bytes(&all[i]));
		free(hosts);
		n = SETS * TP_WAYS;
	}
	free(all);
}

static void free_entries_are_left_out(void **state)
{
	struct tp_host *hosts;
	size_t n;

	(void)state;
	memset(table, 0, sizeof(table));
	hosts = collect(&tp, 10, &n);
	assert_non_null(hosts);
	assert_int_equal(n, 0);
	free(hosts);
	put(2, 3, 1, 3, 50);
	hosts = collect(&tp, 10, &n);
	assert_int_equal(n, 1);
	assert_int_equal(hosts[0].lo, 3);
	free(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_first),
		cmocka_unit_test(free_entries_are_left_out),
	};

	return cmocka_run_group_tests_name("throughput", tests, NULL, NULL);
}
