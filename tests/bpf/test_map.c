/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl map, as nobody, with descriptors alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "core/cleanup.h"
#include "core/shell/grant.h"

#include "tests/bpf/maps.skel.h"

enum { NOBODY = 65534, OUTPUT_MAX = 1 << 24, WORDS = 12 };

static struct maps_bpf *maps;
static int program = -1;
static bool typeless; /* as what came by way of tc is */
static char out[OUTPUT_MAX], err[4096];

/* ---- Running it ---------------------------------------------------------- */

static void grant(struct grants *grants, const struct bpf_map *map, bool write)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, read_only,
		    .open_flags = BPF_F_RDONLY);
	struct grant g = {.kind = GRANT_MAP, .fd = bpf_map__fd(map)};

	assert_int_equal(grant_look(&g), 0);
	if (!write)
		g.fd = bpf_map_get_fd_by_id_opts(g.id, &read_only);
	else
		g.fd = dup(g.fd);
	assert_true(g.fd >= 0);
	g.index = (uint32_t)grants->n;
	snprintf(g.module, sizeof(g.module), "%s",
		 map == maps->maps.recent ? "other" : "test");
	snprintf(g.name, sizeof(g.name), "%s",
		 strchr(bpf_map__name(map), '.') ? "variables"
						 : bpf_map__name(map));
	assert_int_equal(grant_look(&g), 0);
	assert_int_equal(g.writable, write);
	assert_int_equal(grants_add(grants, &g), 0);
}

static void grant_types(struct grants *grants)
{
	struct grant g = {.kind = GRANT_BTF};

	for (size_t i = 0; i < grants->n && !g.id; i++)
		g.id = grants->at[i].btf_id;
	g.fd = bpf_btf_get_fd_by_id(g.id);
	assert_true(g.fd >= 0);
	assert_int_equal(grants_add(grants, &g), 0);
}

/* What lqosctl exec would do before it becomes the command. */
static void hold(bool write)
{
	struct grants grants = {};
	struct bpf_map *map;
	char why[256];

	bpf_object__for_each_map(map, maps->obj)
		if (strcmp(bpf_map__name(map), "lqos_packet_") != 0)
			grant(&grants, map, write);
	if (!typeless)
		grant_types(&grants);
	assert_int_equal(grants_to_environ(&grants, "TEST", why, sizeof(why)),
			 0);
	grants.borrowed = true; /* they are the program's */
	grants_free(&grants);
}

static size_t read_all(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	return n;
}

/* The exit status. */
static int run_words(bool write, const char *const *words)
{
	int to[2], status;
	FILE *said = tmpfile();
	pid_t pid;

	assert_non_null(said);
	assert_int_equal(pipe(to), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		const char *argv[WORDS + 4] = {"lqosctl map", "-e", "TEST"};

		for (int i = 0; i < WORDS && words[i]; i++)
			argv[3 + i] = words[i];
		hold(write);
		dup2(to[1], STDOUT_FILENO);
		dup2(fileno(said), STDERR_FILENO);
		close(to[0]);
		close(to[1]);
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(99);
		/* The build may be where nobody may look. */
		fexecve(program, (char **)argv, environ);
		_exit(98);
	}
	close(to[1]);
	read_all(to[0], out, sizeof(out));
	close(to[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	rewind(said);
	err[fread(err, 1, sizeof(err) - 1, said)] = '\0';
	fclose(said);
	return WEXITSTATUS(status);
}

#define RUN(write, ...) \
	run_words(write, (const char *const[]){__VA_ARGS__, NULL})

/* All of standard output. */
static void says(const char *text)
{
	assert_string_equal(out, text);
}

static void complains(const char *part)
{
	if (!strstr(err, part))
		fail_msg("\"%s\" is not in: %s", part, err);
	/* A line. */
	assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
}

/* ---- Entries ------------------------------------------------------------- */

static void a_hash(void **state)
{
	const char *key = "subs=100.64.0.7,subs_port=51000,remote=2001:db8::1,"
			  "remote_port=443,proto=6";

	(void)state;
	assert_int_equal(RUN(false, "get", "test:flows", key), 1);
	complains("there is no entry");
	assert_int_equal(RUN(true, "update", "test:flows", key,
			     "bytes=[1,18446744073709551615]"),
			 2);
	complains("have to be strings");
	assert_int_equal(RUN(true, "update", "flows", key,
			     "bytes.1=18446744073709551615", "color=BLUE"),
			 0);
	assert_int_equal(RUN(false, "get", "flows", key), 0);
	says("{\"bytes\":[0,\"18446744073709551615\"],\"packets\":0,"
	     "\"color\":\"BLUE\"}\n");
	/* What is left out stays. */
	assert_int_equal(
		RUN(true, "update", "flows", key, "packets=5", "exist"), 0);
	assert_int_equal(RUN(false, "dump", "flows"), 0);
	says("{\"subs\":\"100.64.0.7\",\"remote\":\"2001:db8::1\","
	     "\"subs_port\":51000,\"remote_port\":443,\"space\":0,"
	     "\"proto\":6,\"ipv6\":0} {\"bytes\":[0,\"18446744073709551615\"],"
	     "\"packets\":5,\"color\":\"BLUE\"}\n");
	assert_int_equal(
		RUN(true, "update", "flows", key, "packets=5", "noexist"), 1);
	complains("already");
	assert_int_equal(RUN(true, "delete", "flows", key), 0);
	assert_int_equal(RUN(true, "delete", "flows", key), 1);
	complains("there is no entry");
	assert_int_equal(
		RUN(true, "update", "flows", key, "packets=5", "exist"), 1);
	complains("there is no entry");
}

static void an_array(void **state)
{
	(void)state;
	assert_int_equal(RUN(true, "update", "rows", "7", "word.3=99"), 0);
	assert_int_equal(RUN(false, "dump", "rows"), 0);
	says("7 {\"word\":[0,0,0,99,0,0,0,0,0,0,0,0,0,0,0,0]}\n");
	complains("999 entries that are all zero");
	assert_int_equal(RUN(false, "dump", "-a", "-j", "rows"), 0);
	assert_string_equal(err, "");
	json_t *all = json_loads(out, 0, NULL);

	assert_int_equal(json_array_size(all), 1000);
	json_decref(all);
	assert_int_equal(RUN(true, "delete", "rows", "7"), 1);
	complains("always there");
	assert_int_equal(RUN(true, "update", "rows", "1000", "word.3=99"), 1);
	complains("its last entry is 999, not 1000");
	assert_int_equal(RUN(false, "get", "rows", "-1"), 2);
	complains("expected a number from 0 to 4294967295, not -1");
	assert_int_equal(RUN(true, "update", "rows", "7", "word.16=1"), 2);
	complains("word: expected an index from 0 to 15, not \"16\"");
	assert_int_equal(RUN(true, "update", "rows", "7", "worm=1"), 2);
	complains("there is no \"worm\", expected some of: word");
}

static void cpus(void **state)
{
	int n = libbpf_num_possible_cpus();
	char expect[4096], *at = expect;

	(void)state;
	assert_int_equal(RUN(true, "update", "cpu_array", "1", "5"), 0);
	assert_int_equal(RUN(true, "update", "cpu_array", "1", "cpus.0=-1"), 2);
	complains("4294967295");
	assert_int_equal(RUN(true, "update", "cpu_array", "1", "cpus.0=77"), 0);
	at += sprintf(at, "{\"cpus\":[77");
	for (int i = 1; i < n; i++)
		at += sprintf(at, ",5");
	strcpy(at, "]}\n");
	assert_int_equal(RUN(false, "get", "cpu_array", "1"), 0);
	says(expect);
	out[strlen(out) - 1] = '\0';
	assert_int_equal(RUN(true, "update", "cpu_array", "2", expect), 0);
	assert_int_equal(RUN(false, "dump", "cpu_array"), 0);
	assert_non_null(strstr(out, "1 {\"cpus\":[77"));
	assert_non_null(strstr(out, "2 {\"cpus\":[77"));

	assert_int_equal(RUN(true, "update", "cpu_hash", "9", "packets=3"), 0);
	assert_int_equal(RUN(false, "dump", "-j", "cpu_hash"), 0);
	assert_non_null(strstr(out, "{\"key\":9,\"cpus\":[{\"bytes\":[0,0],"
				    "\"packets\":3,\"color\":\"RED\"}"));
}

static void prefixes(void **state)
{
	(void)state;
	assert_int_equal(
		RUN(true, "update", "owners4", "100.64.0.0/16", "slot=1"), 0);
	/* The shorter prefix's handle is not this one's. */
	assert_int_equal(
		RUN(true, "update", "owners4", "100.64.0.0/16", "handle=9"), 0);
	assert_int_equal(
		RUN(true, "update", "owners4", "100.64.1.0/24", "slot=2"), 0);
	assert_int_equal(
		RUN(true, "update", "owners4", "100.64.1.0/24%100", "slot=3"),
		0);
	assert_int_equal(RUN(false, "dump", "owners4"), 0);
	assert_non_null(strstr(
		out, "100.64.0.0/16 {\"slot\":1,\"handle\":9,\"cpu\":0}\n"));
	assert_non_null(strstr(
		out, "100.64.1.0/24 {\"slot\":2,\"handle\":0,\"cpu\":0}\n"));
	assert_non_null(strstr(out, "100.64.1.0/24%100 {\"slot\":3,"));
	assert_int_equal(RUN(false, "get", "owners4", "100.64.1.7"), 0);
	says("{\"slot\":2,\"handle\":0,\"cpu\":0}\n");
	assert_int_equal(RUN(false, "get", "owners4", "100.65.1.7"), 1);
	assert_int_equal(RUN(false, "get", "owners4", "100.64.1.0/33"), 2);
	complains("expected a prefix like \"192.0.2.0/24\"");
	/* As a struct: less than a whole space. */
	assert_int_equal(RUN(true, "update", "owners4",
			     "{\"prefixlen\":16,\"space\":[0,1,0,0]}",
			     "slot=4"),
			 0);
	assert_int_equal(RUN(false, "dump", "owners4"), 0);
	assert_non_null(strstr(out, "{\"prefixlen\":16,\"space\":[0,1,0,0],"
				    "\"addr\":\"0.0.0.0\"} {\"slot\":4,"));
	assert_int_equal(RUN(true, "delete", "owners4", "100.64.1.0/24"), 0);
	assert_int_equal(RUN(false, "get", "owners4", "100.64.1.7"), 0);
	says("{\"slot\":1,\"handle\":9,\"cpu\":0}\n");
	assert_int_equal(
		RUN(true, "update", "owners6", "2001:db8::/32", "slot=6"), 0);
	assert_int_equal(RUN(false, "dump", "owners6"), 0);
	says("2001:db8::/32 {\"slot\":6,\"handle\":0,\"cpu\":0}\n");
}

static void others(void **state)
{
	(void)state;
	assert_int_equal(RUN(true, "update", "other:recent", "3", "4"), 0);
	assert_int_equal(RUN(false, "dump", "recent"), 0);
	says("3 4\n");
	assert_int_equal(
		RUN(true, "update", "untyped", "hex:01020304", "hex:0a0b0c"),
		0);
	assert_int_equal(RUN(false, "dump", "untyped"), 0);
	says("hex:01020304 hex:0a0b0c\n");
	assert_int_equal(RUN(true, "update", "untyped", "1", "hex:0a0b"), 2);
	complains("the 6 digits of 3 bytes");
	assert_int_equal(RUN(false, "dump", "programs"), 0);
	says("");
	assert_int_equal(RUN(false, "get", "variables", "0"), 0);
	says("{\"a_number\":12,\"a_text\":\"hello\"}\n");
	assert_int_equal(RUN(true, "update", "variables", "0", "a_text=bye"),
			 0);
	assert_string_equal(maps->data->a_text, "bye");
}

static void without_types(void **state)
{
	(void)state;
	assert_int_equal(RUN(true, "update", "rows", "9", "0x0102030405060708"),
			 2);
	complains("as no types are known");
	assert_int_equal(RUN(true, "update", "cpu_array", "3", "7"), 0);
	assert_int_equal(RUN(false, "get", "cpu_array", "3"), 0);
	assert_ptr_equal(strstr(out, "{\"cpus\":[\"hex:07000000\""), out);
	assert_int_equal(RUN(false, "dump", "cpu_array"), 0);
	assert_non_null(strstr(out, "3 {\"cpus\":[\"hex:07000000\""));
	/* Of a hash nothing is known. */
	assert_int_equal(RUN(true, "update", "recent", "3", "4"), 0);
	assert_int_equal(RUN(false, "dump", "recent"), 0);
	says("hex:03000000 hex:0400000000000000\n");
	assert_int_equal(RUN(false, "list", "-j", "rows"), 0);
	assert_non_null(strstr(out, "\"key\":\"__u32\","
				    "\"value\":\"128 bytes\""));
}

static int take_types(void **state)
{
	(void)state;
	typeless = true;
	return 0;
}

static int give_types(void **state)
{
	(void)state;
	typeless = false;
	return 0;
}

static void settings(void **state)
{
	(void)state;
	assert_int_equal(RUN(true, "update", "cpumap", "0", "qsize=192"), 0);
	assert_int_equal(RUN(false, "dump", "cpumap"), 0);
	says("0 {\"qsize\":192,\"bpf_prog_id\":0}\n");
	assert_int_equal(RUN(false, "list", "-j", "cpumap"), 0);
	assert_non_null(strstr(out, "\"value\":\"struct bpf_cpumap_val\""));
	assert_int_equal(RUN(true, "delete", "cpumap", "0"), 0);
}

/* Data and words are anybody's, and a terminal does what they say. */
static void harmless(void **state)
{
	(void)state;
	memcpy(maps->data->a_text, "\x1b[\x7f\xc2\x9b!", 7);
	assert_int_equal(RUN(false, "get", "variables", "0"), 0);
	says("{\"a_number\":12,\"a_text\":\"\\u001B[\\u007F\\u009B!\"}\n");
	/* It is read as it was. */
	out[strlen(out) - 1] = '\0';
	assert_int_equal(RUN(true, "update", "variables", "0", out), 0);
	assert_memory_equal(maps->data->a_text, "\x1b[\x7f\xc2\x9b!\0", 8);
	/* What is no UTF-8. */
	memcpy(maps->data->a_text, "\x9b\x33\x31m\0\0\0", 8);
	assert_int_equal(RUN(false, "get", "variables", "0"), 0);
	says("{\"a_number\":12,\"a_text\":\"hex:9b33316d00000000\"}\n");
	assert_int_equal(RUN(false, "get", "many", "\x1b[2J\x7f\xc2\x9b"), 2);
	complains("not \"\\u001B[2J???\"");
	assert_null(strpbrk(err, "\x1b\x7f\xc2\x9b"));
	assert_int_equal(RUN(false, "get", "\x1b[2J", "1"), 1);
	complains("no map \"?[2J\"");
}

static void long_keys(void **state)
{
	char word[4 + 2 * 512 + 1] = "hex:";

	(void)state;
	for (int i = 0; i < 512; i++)
		sprintf(word + 4 + 2 * i, "%02x", i & 0xff);
	assert_int_equal(RUN(true, "update", "long_keys", word, "5"), 0);
	assert_int_equal(RUN(false, "dump", "long_keys"), 0);
	assert_memory_equal(out, word, sizeof(word) - 1);
	assert_string_equal(out + sizeof(word) - 1, " hex:0500000000000000\n");
	word[sizeof(word) - 2] = '\0';
	assert_int_equal(RUN(false, "get", "long_keys", word), 2);
	complains("the 1024 digits of 512 bytes");
}

static void large_values(void **state)
{
	const size_t size = 2 << 20;
	autofree uint8_t *value = malloc(size);
	uint32_t key = 0;
	json_t *json;

	(void)state;
	assert_non_null(value);
	memset(value, 0xa5, size);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(maps->maps.large),
					     &key, value, BPF_ANY),
			 0);
	assert_int_equal(RUN(false, "dump", "large"), 0);
	assert_memory_equal(out, "0 hex:a5a5", 10);
	assert_int_equal(strspn(out + 6, "a5"), 2 * size);
	assert_string_equal(out + 6 + 2 * size, "\n");
	assert_int_equal(RUN(false, "watch", "-n1", "-i0.01", "large"), 0);
	says("");

	assert_int_equal(RUN(false, "get", "-j", "cpu_large", "0"), 0);
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "cpus")),
			 libbpf_num_possible_cpus());
	json_decref(json);
}

static void without_entries(void **state)
{
	(void)state;
	assert_int_equal(RUN(false, "dump", "ring"), 1);
	complains("test:ring: a map of type ringbuf has no entries");
	assert_int_equal(RUN(false, "get", "ring", "1"), 1);
	assert_int_equal(RUN(true, "update", "ring", "1", "1"), 1);
	assert_int_equal(RUN(false, "watch", "-n1", "ring"), 1);
	assert_int_equal(RUN(false, "dump", "queue"), 1);
	complains("a map of type queue has no entries");
	assert_int_equal(RUN(false, "dump", "sockets"), 1);
	complains("a map of type xskmap has no entries");
}

static void read_only(void **state)
{
	(void)state;
	assert_int_equal(RUN(false, "update", "rows", "8", "word.0=1"), 1);
	complains("test:rows is read-only");
	assert_int_equal(RUN(false, "delete", "many", "8"), 1);
	complains("test:many is read-only");
}

/* ---- The whole ----------------------------------------------------------- */

static void a_list(void **state)
{
	json_t *list, *row;
	size_t i;

	(void)state;
	assert_int_equal(RUN(false, "list", "*:owners?"), 0);
	assert_memory_equal(out, "module  map      fd", 19);
	assert_non_null(strstr(out, "struct dp_key4"));
	assert_int_equal(RUN(false, "list", "-j"), 0);
	list = json_loads(out, 0, NULL);
	assert_true(json_array_size(list) >= 14);
	json_array_foreach(list, i, row) {
		if (strcmp(json_string_value(json_object_get(row, "map")),
			   "many") != 0)
			continue;
		assert_string_equal(
			json_string_value(json_object_get(row, "value")),
			"__u64");
		assert_int_equal(
			json_integer_value(json_object_get(row, "entries")),
			100000);
	}
	json_decref(list);
	assert_int_equal(RUN(false, "list", "nothing*"), 1);
	complains("no map is");
	assert_int_equal(RUN(false, "dump", "nothing"), 1);
	complains("expected one of: test:flows, test:many");
	assert_int_equal(RUN(false, "get", "rows"), 2);
	assert_non_null(strstr(err, "Try 'lqosctl map --help'.\n"));
	assert_int_equal(RUN(false, "grow", "rows"), 2);
}

static void many_entries(void **state)
{
	uint32_t n = 100000, key;
	uint64_t value, sum = 0, want = 0;
	const char *at;
	int used;

	(void)state;
	for (key = 0; key < n; key++) {
		value = key * 3ULL;
		want += value;
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(maps->maps.many), &key,
					    &value, BPF_ANY),
			0);
	}
	assert_int_equal(RUN(false, "dump", "many"), 0);
	for (at = out; *at; at += used, n--) {
		assert_int_equal(sscanf(at, "%u %lu\n%n", &key, &value, &used),
				 2);
		assert_int_equal(value, key * 3ULL);
		sum += value;
	}
	assert_int_equal(n, 0);
	assert_int_equal(sum, want);
}

/* Each look, one of these: what it finds was done between. */
static void change(int i)
{
	int fd = bpf_map__fd(maps->maps.recent);
	uint32_t key = 3;
	uint64_t value = 1000;

	if (i == 0)
		bpf_map_update_elem(fd, &key, &value, BPF_ANY);
	else
		bpf_map_delete_elem(fd, &key);
}

static void watched(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(RUN(true, "update", "recent", "3", "4"), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 2; i++) {
			usleep(1000000);
			change(i);
		}
		_exit(0);
	}
	assert_int_equal(RUN(false, "watch", "-j", "-i", "0.1", "-n", "30",
			     "recent", "3"),
			 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_non_null(strstr(out,
			       "\"event\":\"changed\",\"key\":3,"
			       "\"value\":1000,\"per_second\":{\"value\":"));
	assert_non_null(strstr(out, "\"event\":\"went\",\"key\":3}\n"));
}

static int setup(void **state)
{
	(void)state;
	program = open(LQOSCTL_MAP, O_PATH | O_CLOEXEC);
	maps = maps_bpf__open_and_load();
	return program < 0 || !maps ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	maps_bpf__destroy(maps);
	close(program);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hash),
		cmocka_unit_test(an_array),
		cmocka_unit_test(cpus),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(others),
		cmocka_unit_test_setup_teardown(without_types, take_types,
						give_types),
		cmocka_unit_test(settings),
		cmocka_unit_test(harmless),
		cmocka_unit_test(long_keys),
		cmocka_unit_test(large_values),
		cmocka_unit_test(without_entries),
		cmocka_unit_test(read_only),
		cmocka_unit_test(a_list),
		cmocka_unit_test(many_entries),
		cmocka_unit_test(watched),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
