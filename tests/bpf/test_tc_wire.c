/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Maps by way of "tc exec bpf": what they are is what the kernel says, or they
 * are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "tests/bpf/datapath.h"
#include "tests/unit/tc_peer.h"

static struct tc_parcel parcel;

static int make_map(enum bpf_map_type type, const char *name, uint32_t value,
		    uint32_t entries)
{
	int fd = bpf_map_create(type, name, 4, value, entries, NULL);

	assert_true(fd >= 0);
	return fd;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.id;
}

/* A map that one can only read. */
static int read_only(int fd)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, o, .open_flags = BPF_F_RDONLY);
	int got = bpf_map_get_fd_by_id_opts(map_id(fd), &o);

	assert_true(got >= 0);
	return got;
}

/* The parcel's next map: fd's, as the kernel has it. */
static void add(int fd)
{
	struct tc_datagram *d = &parcel.datagram;
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	parcel.fds[d->n] = fd;
	d->maps[d->n] = (struct tc_map){.type = info.type,
					.key_size = info.key_size,
					.value_size = info.value_size,
					.max_entries = info.max_entries,
					.id = d->n};
	d->n++;
	parcel.parts[0] = d->n;
	parcel.length += sizeof(struct tc_map);
}

static void close_all(void)
{
	for (unsigned int i = 0; i < parcel.datagram.n; i++)
		close(parcel.fds[i]);
}

static void received(struct grants *maps)
{
	pid_t pid = tc_peer(tc_run_send, &parcel);

	*maps = (struct grants){};
	if (tc_receive(tc_path, TC_LONG_MS, maps, tc_why, sizeof(tc_why)))
		fail_msg("%s", tc_why);
	assert_int_equal(tc_ended(pid), 0);
	assert_int_equal(maps->n, parcel.datagram.n);
	tc_is_gone();
}

static void test_as_they_are(void **state)
{
	static const char *const names[] = {"first", "second.x", "third"};
	static const bool writable[] = {true, false, true};
	int fds = tc_open_fds(), hash;
	struct grants maps;

	(void)state;
	tc_honest(&parcel, 0);
	hash = make_map(BPF_MAP_TYPE_HASH, "second.x", 16, 7);
	add(make_map(BPF_MAP_TYPE_ARRAY, "first", 8, 3));
	add(read_only(hash));
	add(make_map(BPF_MAP_TYPE_LRU_HASH, "third", 5, 64));
	parcel.datagram.maps[0].id = 9;
	parcel.datagram.maps[2].id = 65535;
	close(hash);
	received(&maps);
	for (size_t i = 0; i < maps.n; i++) {
		const struct grant *g = &maps.at[i];

		assert_int_equal(g->kind, GRANT_MAP);
		assert_string_equal(g->module, "tc");
		assert_string_equal(g->name, names[i]);
		assert_int_equal(g->id, map_id(parcel.fds[i]));
		assert_int_equal(map_id(g->fd), g->id);
		assert_int_equal(g->index, parcel.datagram.maps[i].id);
		assert_int_equal(g->type, parcel.datagram.maps[i].type);
		assert_int_equal(g->value_size,
				 parcel.datagram.maps[i].value_size);
		assert_int_equal(g->writable, writable[i]);
		assert_true(fcntl(g->fd, F_GETFD) & FD_CLOEXEC);
	}
	grants_free(&maps);
	close_all();
	assert_int_equal(tc_open_fds(), fds);
}

static void test_names(void **state)
{
	int twice = make_map(BPF_MAP_TYPE_ARRAY, "same", 8, 1);
	int fds = tc_open_fds();
	struct grants maps;
	char unnamed[32];

	(void)state;
	tc_honest(&parcel, 0);
	add(make_map(BPF_MAP_TYPE_ARRAY, "same", 8, 1));
	add(dup(twice));
	add(dup(twice));
	add(make_map(BPF_MAP_TYPE_ARRAY, "SAME_2", 8, 1));
	add(make_map(BPF_MAP_TYPE_ARRAY, NULL, 8, 1));
	add(make_map(BPF_MAP_TYPE_ARRAY, "a.b", 8, 1));
	add(make_map(BPF_MAP_TYPE_ARRAY, "a_b", 8, 1));
	received(&maps);
	snprintf(unnamed, sizeof(unnamed), "map%u", maps.at[4].id);
	assert_string_equal(maps.at[0].name, "same");
	assert_string_equal(maps.at[1].name, "same_2");
	assert_string_equal(maps.at[2].name, "same_3");
	assert_string_equal(maps.at[3].name, "SAME_2_2");
	assert_string_equal(maps.at[4].name, unnamed);
	assert_string_equal(maps.at[5].name, "a.b");
	assert_string_equal(maps.at[6].name, "a_b_2");
	grants_free(&maps);
	close_all();
	assert_int_equal(tc_open_fds(), fds);
	close(twice);
}

/* In one control message or several: they arrive in one. */
static void test_parts(void **state)
{
	struct grants maps;

	(void)state;
	tc_honest(&parcel, 0);
	for (int i = 0; i < 3; i++)
		add(make_map(BPF_MAP_TYPE_ARRAY, "part", 8, 1));
	parcel.parts[0] = parcel.parts[1] = parcel.parts[2] = 1;
	received(&maps);
	for (size_t i = 0; i < maps.n; i++)
		assert_int_equal(maps.at[i].id, map_id(parcel.fds[i]));
	grants_free(&maps);
	close_all();
}

static void test_wrong_sizes(void **state)
{
	struct tc_map *last = &parcel.datagram.maps[1], before;

	(void)state;
	tc_honest(&parcel, 0);
	add(make_map(BPF_MAP_TYPE_ARRAY, "first", 8, 3));
	add(make_map(BPF_MAP_TYPE_ARRAY, "second", 8, 3));
	before = *last;
	last->type = BPF_MAP_TYPE_HASH;
	tc_refused(&parcel, -EPROTO, "map 1 has the type 2, and it says 1");
	*last = before;
	last->key_size = 8;
	tc_refused(&parcel, -EPROTO, "map 1 has the key's size 4");
	*last = before;
	last->value_size = 4096;
	tc_refused(&parcel, -EPROTO,
		   "map 1 has the value's size 8, and it says 4096");
	*last = before;
	last->max_entries = 2;
	tc_refused(&parcel, -EPROTO, "map 1 has the number of entries 3");
	close_all();
}

/* One among maps that is none: another thing of BPF, or of the rest. */
static void test_no_map_among_them(void **state)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "none", "GPL",
				    insns, ARRAY_SIZE(insns), NULL);
	int keep;

	(void)state;
	assert_true(program >= 0);
	tc_honest(&parcel, 0);
	for (int i = 0; i < 3; i++)
		add(make_map(BPF_MAP_TYPE_ARRAY, "map", 8, 1));
	keep = parcel.fds[2];
	parcel.fds[2] = program;
	tc_refused(&parcel, -EPROTO, "what comes as map 2 is no BPF map");
	parcel.fds[2] = STDIN_FILENO;
	tc_refused(&parcel, -EPROTO, "what comes as map 2 is no BPF map");
	parcel.fds[2] = keep;
	parcel.datagram.maps[2].id = 0;
	tc_refused(&parcel, -EPROTO, "maps 0 and 2 both have the id 0");
	close_all();
	close(program);
}

static int run_tc_send(const void *maps)
{
	int fd = tc_connect(), rc;

	close(fd);
	rc = fd < 0 ? -ENOENT : tc_send(tc_path, maps, tc_why, sizeof(tc_why));
	if (rc)
		fprintf(stderr, "%s\n", tc_why);
	return rc;
}

/* What is sent is taken, and is the same; as often as it may be. */
static void test_both_ends(void **state)
{
	int fds = tc_open_fds();
	struct grants sent = {}, got = {};
	char name[16];
	pid_t pid;

	(void)state;
	for (uint32_t i = 0; i < TC_MAPS_MAX; i++) {
		struct grant g = {.kind = GRANT_MAP, .module = "test"};

		snprintf(name, sizeof(name), "map_%u", i);
		g.fd = make_map(BPF_MAP_TYPE_HASH, name, 8 + i, 1 + i);
		assert_int_equal(grant_look(&g), 0);
		g.index = TC_MAPS_MAX - i;
		assert_int_equal(grants_add(&sent, &g), 0);
	}
	pid = tc_peer(run_tc_send, &sent);
	if (tc_receive(tc_path, TC_LONG_MS, &got, tc_why, sizeof(tc_why)))
		fail_msg("%s", tc_why);
	assert_int_equal(tc_ended(pid), 0);
	assert_int_equal(got.n, sent.n);
	for (size_t i = 0; i < got.n; i++) {
		assert_int_equal(got.at[i].id, sent.at[i].id);
		assert_int_equal(got.at[i].index, sent.at[i].index);
		assert_string_equal(got.at[i].name, sent.at[i].name);
	}
	grants_free(&got);
	grants_free(&sent);
	tc_is_gone();
	assert_int_equal(tc_open_fds(), fds);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tc_setup, tc_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_as_they_are), TEST(test_names),
		TEST(test_parts),	TEST(test_wrong_sizes),
		TEST(test_both_ends),	TEST(test_no_map_among_them),
	};
	int skip = datapath_skip();

	return skip ? skip
		    : cmocka_run_group_tests_name("tc wire", tests, NULL, NULL);
}
