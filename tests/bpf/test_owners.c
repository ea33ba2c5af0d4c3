/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry and the real tries: what gets there, by how many changes and in
 * what time.  Every system call on them is counted and timed on its way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/registry.h"
#include "tests/bpf/datapath.h"
#include "tests/unit/log_capture.h"

#include "bpf/datapath.skel.h"

#define HEADER                                                     \
	"Circuit ID,Circuit Name,Device ID,Parent Node,IPv4,IPv6," \
	"Download Max Mbps,Upload Max Mbps\n"

static struct core core;
static struct lqos_ctx *ctx;
static char csv_path[] = "/tmp/lqos-test-owners-XXXXXX";

/* ---- The system calls ---------------------------------------------------- */

static struct {
	unsigned int updates, deletes, calls;
	double seconds; /* of CPU, in them */
	bool no_batches;
} bpf;

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define COUNTED(counter, n, call)                      \
	({                                             \
		double begin_ = cpu_seconds();         \
		int rc_ = (call), errno_ = errno;      \
                                                       \
		bpf.seconds += cpu_seconds() - begin_; \
		bpf.counter += (n);                    \
		bpf.calls++;                           \
		errno = errno_;                        \
		rc_;                                   \
	})

/* Linked with --wrap. */
int __real_bpf_map_update_elem(int fd, const void *key, const void *value,
			       __u64 flags);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value,
			       __u64 flags);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value,
			       __u64 flags)
{
	return COUNTED(updates, 1,
		       __real_bpf_map_update_elem(fd, key, value, flags));
}

int __real_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	return COUNTED(deletes, 1, __real_bpf_map_delete_elem(fd, key));
}

int __real_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values,
				__u32 *count,
				const struct bpf_map_batch_opts *opts)
{
	if (bpf.no_batches) {
		errno = EINVAL;
		return -EINVAL;
	}
	return COUNTED(
		updates, *count,
		__real_bpf_map_update_batch(fd, keys, values, count, opts));
}

int __real_bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
				const struct bpf_map_batch_opts *opts)
{
	if (bpf.no_batches) {
		errno = EINVAL;
		return -EINVAL;
	}
	return COUNTED(deletes, *count,
		       __real_bpf_map_delete_batch(fd, keys, count, opts));
}

int __real_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys,
				void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys,
				void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys,
				void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts)
{
	if (bpf.no_batches) {
		errno = EINVAL;
		return -EINVAL;
	}
	return COUNTED(calls, 0,
		       __real_bpf_map_lookup_batch(fd, in, out, keys, values,
						   count, opts));
}

static void forget_counts(void)
{
	memset(&bpf, 0, offsetof(typeof(bpf), no_batches));
}

/* ---- Set-up -------------------------------------------------------------- */

/* A datapath that is nothing but its maps. */
static int make_maps(uint32_t prefixes)
{
	struct core_datapath *dp = core.datapath;
	struct bpf_program *prog;
	struct bpf_map *map;

	datapath_bpf__destroy(dp->skel);
	dp->skel = datapath_bpf__open();
	if (!dp->skel)
		return -errno;
	bpf_object__for_each_program(prog, dp->skel->obj)
		bpf_program__set_autoload(prog, false);
	map = dp->skel->maps.dp_owners4;
	bpf_map__set_max_entries(map, prefixes);
	map = dp->skel->maps.dp_owners6;
	bpf_map__set_max_entries(map, prefixes);
	dp->skel->bss->dp_epoch = 1;
	dp->no_batches = false;
	return datapath_bpf__load(dp->skel);
}

/* Whoever starts knows nobody yet. */
static int make_registry(uint32_t slots, uint32_t prefixes)
{
	core_registry_free(&core.registry);
	return core_registry_new(&core.registry, &core, slots, prefixes);
}

static int setup(void **state)
{
	(void)state;
	log_capture();
	core.settings.address_spaces = true;
	core.datapath = calloc(1, sizeof(*core.datapath));
	if (!core.datapath)
		return -1;
	core.datapath->core = &core;
	bpf.no_batches = false;
	return core_ctx_new(&ctx, &core, "module", 1) || make_maps(1000) ||
	       make_registry(1000, 1000);
}

static int teardown(void **state)
{
	(void)state;
	core_ctx_free(&ctx);
	core_registry_free(&core.registry);
	datapath_bpf__destroy(core.datapath->skel);
	free(core.datapath);
	core.datapath = NULL;
	return 0;
}

static void write_csv(const char *text)
{
	autofclose FILE *f = fopen(csv_path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void load(const char *text)
{
	write_csv(text);
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
}

static uint32_t epoch(void)
{
	return core.datapath->skel->bss->dp_epoch;
}

static int count_one(const struct lqos_prefix *p, void *arg)
{
	(void)p;
	(*(size_t *)arg)++;
	return 0;
}

static int differs(struct core_mapping *m, const struct lqos_prefix *there,
		   void *arg)
{
	char text[CORE_PREFIX_TEXT];

	(void)arg;
	fail_msg("%s is %s", core_prefix_text(m ? &m->p : there, text, 50),
		 !m	 ? "a stray"
		 : there ? "another"
			 : "missing");
	return -EINVAL;
}

/* The tries have what the registry has, n in all. */
static void check(size_t n)
{
	struct core_registry *r = core.registry;
	size_t here = 0, there = 0;

	assert_int_equal(core_registry_compare(r, differs, NULL), 0);
	assert_int_equal(core_registry_walk(r, count_one, &here), 0);
	assert_int_equal(r->hooks.read(count_one, &there, core.datapath), 0);
	assert_int_equal(here, n);
	assert_int_equal(there, n);
}

/* As if by somebody with bpftool. */
static void put_behind(const char *prefix, uint32_t slot)
{
	struct core_kernel_op op = {};
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(prefix, &p, NULL, 0), 0);
	p.slot = slot;
	op.p = &p;
	core.registry->hooks.set(&op, 1, core.datapath);
	assert_int_equal(op.rc, 0);
}

static void take_behind(const char *prefix)
{
	struct core_kernel_op op = {};
	struct lqos_prefix p;

	assert_int_equal(core_prefix_parse(prefix, &p, NULL, 0), 0);
	op.p = &p;
	core.registry->hooks.unset(&op, 1, core.datapath);
	assert_int_equal(op.rc, 0);
}

/* ---- What gets there ----------------------------------------------------- */

#define FOUR                                                              \
	HEADER                                                            \
	"zz,Zoe,D1,,\"100.64.0.1,100.64.0.0/24\",2001:db8:1::/56,50,10\n" \
	"aa,Ann,D2,,100.64.0.1%200,2001:db8::1%4094,20,5\n"               \
	"mm,Max,,,0.0.0.0/0,::/0,30,5\n"

static void everything_arrives(void **state)
{
	struct dp_key4 key4 = {64, {0, 0, 0, 200}, {100, 64, 0, 1}};
	struct dp_key6 key6 = {32 + 56, {}, {0x20, 1, 0xd, 0xb8, 0, 1}};
	struct dp_owner owner;

	(void)state;
	load(FOUR);
	assert_int_equal(lqos_place(ctx, 2, 3, 0x10005), 0);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	check(7);
	assert_int_equal(
		bpf_map_lookup_elem(
			bpf_map__fd(core.datapath->skel->maps.dp_owners4),
			&key4, &owner),
		0);
	assert_int_equal(owner.slot, 2);
	assert_int_equal(owner.handle, 0x10005);
	assert_int_equal(owner.cpu, 3);
	assert_int_equal(
		bpf_map_lookup_elem(
			bpf_map__fd(core.datapath->skel->maps.dp_owners6),
			&key6, &owner),
		0);
	assert_int_equal(owner.slot, 1);
	assert_int_equal(owner.cpu, UINT32_MAX);
}

static void only_what_differs(void **state)
{
	uint32_t before;

	(void)state;
	load(FOUR);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	before = epoch();
	forget_counts();
	assert_int_equal(core_owners_sync(core.datapath), 0);
	assert_int_equal(bpf.updates + bpf.deletes, 0);
	assert_int_equal(epoch(), before);

	/* A daemon that starts over what is there already. */
	make_registry(1000, 1000);
	load(FOUR "nn,Nic,,,100.64.0.9,,5,5\n");
	assert_int_equal(core_owners_sync(core.datapath), 0);
	assert_int_equal(bpf.updates, 1);
	assert_int_equal(bpf.deletes, 0);
	assert_int_equal(epoch(), before + 1);
	check(8);
}

static void strangers_go(void **state)
{
	(void)state;
	load(FOUR);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	put_behind("203.0.113.0/24", 9); /* nobody's */
	put_behind("2001:db8:9::%7/48", 9);
	put_behind("100.64.0.1", 9); /* somebody else's */
	take_behind("::/0");
	forget_counts();
	assert_int_equal(core_owners_sync(core.datapath), 0);
	assert_int_equal(bpf.updates, 2);
	assert_int_equal(bpf.deletes, 2);
	check(7);
}

/* One epoch for what came and one for what went, however much it is. */
static void one_epoch_a_batch(void **state)
{
	uint32_t before;

	(void)state;
	load(FOUR);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	before = epoch();
	load(HEADER "zz,Zoe,D1,,\"100.64.0.1,100.64.0.7,100.64.0.8\",,50,10\n"
		    "aa,Ann,D2,,100.64.0.9,,20,5\n");
	check(4);
	assert_int_equal(epoch(), before + 2);
	assert_int_equal(lqos_place(ctx, 1, 1, 0x10003), 0);
	assert_int_equal(epoch(), before + 3);
	check(4);
}

static void full_tries_refuse_by_name(void **state)
{
	(void)state;
	make_maps(2);
	load(HEADER "aa,Ann,,,\"100.64.0.1,100.64.0.2\",2001:db8::1,20,5\n");
	assert_int_equal(core_owners_sync(core.datapath), 0);
	check(3);
	log_capture();
	load(HEADER "aa,Ann,,,\"100.64.0.1,100.64.0.2\",2001:db8::1,20,5\n"
		    "bb,Bob,,,100.64.0.3,2001:db8::2,20,5\n"
		    "cc,Cid,,,100.64.0.4,,20,5\n");
	assert_true(log_has(":3:1: address 100.64.0.3 of circuit \"bb\" left "
			    "out: No space left on device"));
	assert_true(log_has(":4:1: address 100.64.0.4 of circuit \"cc\""));
	assert_int_equal(captured.lines, 3);
	check(4); /* and 2001:db8::2 works */

	/* The same at a start. */
	make_maps(2);
	log_capture();
	make_registry(1000, 1000);
	load(HEADER "aa,Ann,,,\"100.64.0.1,100.64.0.2\",,20,5\n"
		    "bb,Bob,,,100.64.0.3,2001:db8::2,20,5\n");
	assert_int_equal(core_owners_sync(core.datapath), 0);
	assert_true(log_has("100.64.0.3 of circuit \"bb\" is not mapped"));
	check(3);
}

static void without_batches(void **state)
{
	(void)state;
	bpf.no_batches = true;
	load(FOUR);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	check(7);
	assert_true(core.datapath->no_batches);
	put_behind("203.0.113.0/24", 9);
	take_behind("::/0");
	forget_counts();
	assert_int_equal(core_owners_sync(core.datapath), 0);
	assert_int_equal(bpf.updates + bpf.deletes, 2);
	load(HEADER "zz,Zoe,D1,,100.64.0.8,,50,10\n");
	check(1);
}

/* gcc has a macro for it, clang a feature. */
#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* ---- What it costs ------------------------------------------------------- */

/* How many times slower this is than usual; see tests/net/lib.sh. */
static double slower(void)
{
	const char *slow = getenv("LQOS_SLOW");
	double n = slow ? atof(slow) : 1;

	return SANITIZED ? 10 * n : n;
}

/* n circuits with an IPv4 and every other one an IPv6 prefix; changed: a
 * circuit's address is another. */
static void write_many(unsigned int n, unsigned int changed)
{
	autofclose FILE *f = fopen(csv_path, "w");

	assert_non_null(f);
	fputs(HEADER, f);
	for (unsigned int i = 0; i < n; i++) {
		/* All over the place, as customers' numbers are. */
		unsigned int c = i * 7919u % n, a = c == changed ? n + 1 : c;

		fprintf(f, "c%u,Customer %u,,,100.%u.%u.%u,", c, c,
			64 + (a >> 16), a >> 8 & 255, a & 255);
		if (c & 1)
			fprintf(f, "2001:db8:%x:%x::/56", c >> 8,
				(c & 255) << 8);
		fprintf(f, ",100,20\n");
	}
}

static void a_hundred_thousand_prefixes(void **state)
{
	const unsigned int circuits = 66667, prefixes = 100000;
	double begin, whole;

	(void)state;
	make_maps(2 * prefixes);
	make_registry(circuits, 2 * prefixes);
	write_many(circuits, circuits);
	assert_int_equal(core_owners_sync(core.datapath), 0);
	forget_counts();
	begin = cpu_seconds();
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	whole = cpu_seconds() - begin;
	assert_int_equal(core_registry_prefixes(core.registry), prefixes);
	assert_int_equal(bpf.updates, prefixes);
	print_message("%u prefixes: %.0f ms, of it %.0f ms in %u calls into "
		      "the kernel\n",
		      prefixes, whole * 1e3, bpf.seconds * 1e3, bpf.calls);
	assert_true(whole < 1 * slower());

	write_many(circuits, 4711);
	forget_counts();
	begin = cpu_seconds();
	assert_int_equal(core_registry_load(core.registry, csv_path, NULL), 0);
	whole = cpu_seconds() - begin;
	assert_int_equal(bpf.updates, 1);
	assert_int_equal(bpf.deletes, 1);
	print_message("one line changed: %.0f ms, of it %.3f ms in %u calls "
		      "into the kernel\n",
		      whole * 1e3, bpf.seconds * 1e3, bpf.calls);
	assert_true(bpf.seconds < 0.01 * slower());

	forget_counts();
	begin = cpu_seconds();
	assert_int_equal(core_owners_sync(core.datapath), 0);
	whole = cpu_seconds() - begin;
	assert_int_equal(bpf.updates + bpf.deletes, 0);
	print_message("taken over as they are: %.0f ms, of it %.0f ms in %u "
		      "calls into the kernel\n",
		      whole * 1e3, bpf.seconds * 1e3, bpf.calls);
	check(prefixes);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(everything_arrives),
		TEST(only_what_differs),
		TEST(strangers_go),
		TEST(one_epoch_a_batch),
		TEST(full_tries_refuse_by_name),
		TEST(without_batches),
		TEST(a_hundred_thousand_prefixes),
	};
	int rc = datapath_skip(), fd;

	if (rc)
		return rc;
	fd = mkstemp(csv_path);
	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(csv_path);
	return rc;
}
