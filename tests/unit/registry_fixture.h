/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A registry with a kernel and metrics that remember what they were told. */
#ifndef TESTS_UNIT_REGISTRY_FIXTURE_H
#define TESTS_UNIT_REGISTRY_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/registry.h"
#include "tests/unit/log_capture.h"

#define HEADER                                                     \
	"Circuit ID,Circuit Name,Device ID,Parent Node,IPv4,IPv6," \
	"Download Max Mbps,Upload Max Mbps\n"
#define TREE                                                                  \
	"{\"Site\": {\"downloadBandwidthMbps\": 9, \"uploadBandwidthMbps\": " \
	"8, \"children\": {\"AP\": {\"downloadBandwidthMbps\": 0, "           \
	"\"uploadBandwidthMbps\": 0}}}}"

enum { SLOTS = 5, PREFIXES = 12 };

static char dir[] = "/tmp/lqos-test-registry-XXXXXX";
static char csv_path[64], json_path[64];
static struct core core;
static struct lqos_ctx *module;

/* ---- What the kernel and the metrics were told ----------------------------
 */

enum { KERNEL_MAX = 64 };

static struct {
	struct lqos_prefix entries[KERNEL_MAX];
	size_t n;
	unsigned int sets, unsets, batches, epochs;
	bool undone; /* changed, and not done */
	int read_fails;
	useconds_t read_takes_ms;
	int refuse_after; /* so many sets; -1: never */
	int refuse_with;
	bool refuse_once;
} kernel;

static struct {
	unsigned int n;
	uint32_t last;
} resets;

static int metrics_stand_in;

/* Linked with --wrap=core_metrics_slot_reset. */
void __wrap_core_metrics_slot_reset(struct core_metrics *metrics,
				    uint32_t slot);
void __wrap_core_metrics_slot_reset(struct core_metrics *metrics, uint32_t slot)
{
	assert_ptr_equal(metrics, &metrics_stand_in);
	resets.n++;
	resets.last = slot;
}

static inline struct lqos_prefix *kernel_find(const struct lqos_prefix *p)
{
	for (size_t i = 0; i < kernel.n; i++)
		if (!core_prefix_compare(&kernel.entries[i], p))
			return &kernel.entries[i];
	return NULL;
}

static inline int kernel_take(const struct lqos_prefix *p)
{
	struct lqos_prefix *entry = kernel_find(p);

	if (!kernel.refuse_after) {
		if (kernel.refuse_once)
			kernel.refuse_after = -1;
		return kernel.refuse_with;
	}
	if (kernel.refuse_after > 0)
		kernel.refuse_after--;
	kernel.sets++;
	if (!entry) {
		assert_true(kernel.n < KERNEL_MAX);
		entry = &kernel.entries[kernel.n++];
	}
	*entry = *p;
	return 0;
}

static inline void kernel_set(struct core_kernel_op *ops, size_t n, void *arg)
{
	assert_ptr_equal(arg, &kernel);
	assert_true(n);
	kernel.batches++;
	for (size_t i = 0; i < n; i++) {
		ops[i].rc = kernel_take(ops[i].p);
		kernel.undone |= !ops[i].rc;
	}
}

static inline void kernel_unset(struct core_kernel_op *ops, size_t n, void *arg)
{
	assert_ptr_equal(arg, &kernel);
	assert_true(n);
	kernel.batches++;
	kernel.undone = true;
	for (size_t i = 0; i < n; i++) {
		struct lqos_prefix *entry = kernel_find(ops[i].p);

		assert_non_null(entry);
		kernel.unsets++;
		*entry = kernel.entries[--kernel.n];
	}
}

static inline int kernel_read(int (*fn)(const struct lqos_prefix *p, void *arg),
			      void *fn_arg, void *arg)
{
	int rc = kernel.read_fails;

	assert_ptr_equal(arg, &kernel);
	usleep(1000 * kernel.read_takes_ms);
	for (size_t i = 0; !rc && i < kernel.n; i++)
		rc = fn(&kernel.entries[i], fn_arg);
	return rc;
}

static inline void kernel_done(void *arg)
{
	assert_ptr_equal(arg, &kernel);
	assert_true(kernel.undone);
	kernel.undone = false;
	kernel.epochs++;
}

static inline void kernel_forget_counts(void)
{
	kernel.sets = 0;
	kernel.unsets = 0;
	kernel.batches = 0;
	kernel.epochs = 0;
}

static inline void kernel_refuse(int after, int with)
{
	kernel.refuse_after = after;
	kernel.refuse_with = with;
}

static const struct core_registry_hooks hooks = {
	kernel_set, kernel_unset, kernel_read, kernel_done, &kernel};

static inline int check_in_kernel(const struct lqos_prefix *p, void *arg)
{
	const struct lqos_subscriber *s = lqos_subscriber(module, p->slot);
	const struct lqos_prefix *entry = kernel_find(p);

	assert_non_null(s);
	assert_non_null(entry);
	assert_int_equal(entry->slot, p->slot);
	assert_int_equal(entry->cpu, p->cpu);
	assert_int_equal(entry->handle, p->handle);
	if (!p->by_hand) {
		assert_int_equal(p->cpu, s->cpu);
		assert_int_equal(p->handle, s->handle);
	}
	(*(size_t *)arg)++;
	return 0;
}

/* The kernel has exactly what the registry has, and that is consistent. */
static inline void check(void)
{
	size_t prefixes = 0, subscribers = 0, of_circuits = 0;

	assert_int_equal(lqos_prefixes(module, check_in_kernel, &prefixes), 0);
	assert_int_equal(kernel.n, prefixes);
	assert_int_equal(core_registry_prefixes(core.registry), prefixes);
	assert_false(kernel.undone);
	assert_null(lqos_subscriber(module, 0));
	for (uint32_t i = 1; i < lqos_subscriber_slots(module); i++) {
		const struct lqos_subscriber *s = lqos_subscriber(module, i);

		if (!s)
			continue;
		assert_int_equal(s->slot, i);
		assert_non_null(lqos_node(module, s->node));
		subscribers++;
		of_circuits += s->prefixes;
	}
	assert_int_equal(core_registry_subscribers(core.registry), subscribers);
	assert_int_equal(of_circuits, prefixes);
}

/* ---- Set-up -------------------------------------------------------------- */

static inline int make_registry(uint32_t slots, uint32_t prefixes)
{
	core_registry_free(&core.registry);
	memset(&kernel, 0, sizeof(kernel));
	kernel.refuse_after = -1;
	resets.n = 0;
	if (core_registry_new(&core.registry, &core, slots, prefixes))
		return -1;
	core_registry_hook(core.registry, &hooks);
	return 0;
}

static inline int setup(void **state)
{
	(void)state;
	log_capture();
	core.metrics = (struct core_metrics *)&metrics_stand_in;
	if (core_ctx_new(&module, &core, "module", 1))
		return -1;
	return make_registry(SLOTS, PREFIXES);
}

static inline int teardown(void **state)
{
	(void)state;
	core_ctx_free(&module);
	core_registry_free(&core.registry);
	unlink(csv_path);
	unlink(json_path);
	return 0;
}

static inline int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(csv_path, sizeof(csv_path), "%s/x.csv", dir);
	snprintf(json_path, sizeof(json_path), "%s/x.json", dir);
	return 0;
}

static inline int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static inline void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void load(const char *csv)
{
	write_file(csv_path, csv);
	write_file(json_path, TREE);
	log_capture();
	kernel_forget_counts();
	assert_int_equal(core_registry_load(core.registry, csv_path, json_path),
			 0);
	check();
}

static inline void expect_problems(uint32_t rows, uint32_t skipped,
				   uint32_t warnings)
{
	struct core_problems problems;

	core_registry_problems(core.registry, &problems);
	if (problems.rows != rows || problems.skipped != skipped ||
	    problems.warnings != warnings)
		fail_msg("%u rows, %u skipped, %u warnings\n%s", problems.rows,
			 problems.skipped, problems.warnings, captured.text);
}

static inline int sync_kernel(void)
{
	size_t mended;

	return core_registry_sync(core.registry, &mended);
}

static inline void expect_addresses_left_out(uint32_t n)
{
	struct core_problems problems;

	core_registry_problems(core.registry, &problems);
	assert_int_equal(problems.addresses, n);
}

static inline uint32_t slot_of(const char *circuit_id)
{
	for (uint32_t i = 1; i < lqos_subscriber_slots(module); i++) {
		const struct lqos_subscriber *s = lqos_subscriber(module, i);

		if (s && !strcmp(s->circuit_id, circuit_id))
			return i;
	}
	return 0;
}

static inline const struct lqos_prefix *mapped(const char *range)
{
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(range, &p, NULL, 0), 0);
	return kernel_find(&p);
}

static inline const char *owner(const char *range)
{
	const struct lqos_prefix *p = mapped(range);

	return p ? lqos_subscriber(module, p->slot)->circuit_id : "";
}

static inline int add(const char *ip, const char *circuit_id, uint32_t cpu)
{
	const struct lqos_mapping m = {.ip = ip,
				       .circuit_id = circuit_id,
				       .cpu = cpu,
				       .handle = 0x10003};

	return lqos_mapping_add(module, &m, NULL, 0);
}

static inline int del(const char *ip)
{
	return lqos_mapping_del(module, ip, NULL, 0);
}

static inline void count_call(void *arg)
{
	(*(unsigned int *)arg)++;
}

#define THREE                                                            \
	HEADER                                                           \
	"zz,Zoe,D1,AP,\"100.64.0.1,100.64.0.2\",2001:db8:1::/56,50,10\n" \
	"aa,Ann,D2,Site,100.64.0.3,,20,5\n"                              \
	"mm,Max,,,100.64.0.4,,30,5\n"

#endif /* TESTS_UNIT_REGISTRY_FIXTURE_H */
