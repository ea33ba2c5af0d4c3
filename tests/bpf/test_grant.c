/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors from a daemon that lies, and from an environment that does: none
 * is taken for what it is not, and none is left open.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <jansson.h>

#include "core/bus.h"
#include "core/cleanup.h"
#include "core/shell/grant.h"

enum { MAPS = 3, PATIENCE = 5000 };

static struct {
	int map[MAPS], writable, btf, program, null;
	uint32_t map_id[MAPS], writable_id, btf_id, program_id;
	char dir[32], path[64];
} made;

static char why[512];

static uint32_t id_of(int fd)
{
	union {
		struct bpf_map_info map;
		struct bpf_prog_info program;
		struct bpf_btf_info btf;
	} info = {};
	uint32_t len = sizeof(info.btf);
	char path[32], file[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, file, sizeof(file) - 1);
	assert_true(n > 0);
	file[n] = '\0';
	if (strstr(file, "map"))
		len = sizeof(info.map);
	if (strstr(file, "prog"))
		len = sizeof(info.program);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return strstr(file, "map")    ? info.map.id
	       : strstr(file, "prog") ? info.program.id
				      : info.btf.id;
}

static int setup(void **state)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, read_only,
		    .open_flags = BPF_F_RDONLY);
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2},
		{.code = BPF_JMP | BPF_EXIT}};
	struct btf *btf = btf__new_empty();
	int i;

	(void)state;
	assert_non_null(btf);
	opts.btf_key_type_id =
		(uint32_t)btf__add_int(btf, "unsigned int", 4, 0);
	opts.btf_value_type_id = opts.btf_key_type_id;
	assert_int_equal(btf__load_into_kernel(btf), 0);
	opts.btf_fd = (uint32_t)btf__fd(btf);
	made.btf = fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 0);
	made.btf_id = id_of(made.btf);
	for (i = 0; i < MAPS; i++) {
		autoclose int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "a_map",
						  4, 4, 1, &opts);

		assert_true(fd >= 0);
		made.map_id[i] = id_of(fd);
		made.map[i] =
			bpf_map_get_fd_by_id_opts(made.map_id[i], &read_only);
		assert_true(made.map[i] >= 0);
	}
	btf__free(btf);
	made.writable =
		bpf_map_create(BPF_MAP_TYPE_HASH, "a_hash", 4, 8, 2, NULL);
	made.writable_id = id_of(made.writable);
	made.program = bpf_prog_load(BPF_PROG_TYPE_XDP, "a_program", "GPL",
				     pass, 2, NULL);
	made.program_id = id_of(made.program);
	made.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	strcpy(made.dir, "/tmp/lqos-grant-XXXXXX");
	assert_non_null(mkdtemp(made.dir));
	snprintf(made.path, sizeof(made.path), "%s/bus", made.dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(rmdir(made.dir), 0);
	return 0;
}

static size_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- A daemon ------------------------------------------------------------ */

/* What it answers a request with: a text, and descriptors up to -1. */
struct reply {
	const char *text;
	int fds[300];
	bool forever; /* again and again */
};

/* Waits for a line. */
static bool heard(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) == 1)
		if (c == '\n')
			return true;
	return false;
}

static void serve(int listener, const struct reply *replies)
{
	int fd = accept(listener, NULL, NULL);
	json_int_t id = 0;

	while (heard(fd) && replies->text) {
		struct core_fds fds = {.fd = (int *)replies->fds};
		char line[65536];
		int n;

		while (fds.n < CORE_FDS_MAX && fds.fd[fds.n] >= 0)
			fds.n++;
		n = snprintf(line, sizeof(line),
			     "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}\n",
			     (int)++id, replies->text);
		if (fds.n)
			core_fds_send(&fds, fd, line, (size_t)n);
		else
			send(fd, line, (size_t)n, MSG_NOSIGNAL);
		if (!replies->forever)
			replies++;
	}
	_exit(0);
}

/* Asks a daemon of its own. */
static int ask(struct grants *out, const struct reply *replies)
{
	const char *const all[] = {"*"};
	const struct grant_request request = {.socket = made.path,
					      .timeout_ms = PATIENCE,
					      .maps = all,
					      .n_maps = 1};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;
	pid_t pid;

	strcpy(addr.sun_path, made.path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	if (!pid)
		serve(listener, replies);
	close(listener);
	why[0] = '\0';
	rc = grants_ask(out, &request, why, sizeof(why));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(unlink(made.path), 0);
	return rc;
}

/* {"version":1,"total":TOTAL,...}; text is the caller's: free(). */
static char *answer(int total, int from, const char *maps, const char *programs,
		    const char *btf)
{
	char *text;

	assert_true(asprintf(&text,
			     "{\"version\":1,\"total\":%d,\"from\":%d,"
			     "\"maps\":[%s],\"programs\":[%s],\"btf\":[%s]}",
			     total, from, maps, programs, btf) > 0);
	return text;
}

static char *entry(const char *module, const char *name, uint32_t id,
		   const char *access)
{
	char *text;

	assert_true(asprintf(&text,
			     "{\"module\":\"%s\",\"name\":\"%s\",\"id\":%u"
			     "%s%s%s}",
			     module, name, id, access ? ",\"access\":\"" : "",
			     access ?: "", access ? "\"" : "") > 0);
	return text;
}

static void taken(void **state)
{
	autofree char *a = entry("m", "one", made.map_id[0], "ro"),
		      *b = entry("m", "two", made.writable_id, "rw"),
		      *c = entry("k", "run", made.program_id, NULL);
	autofree char *btf = NULL, *first = NULL, *second = NULL;
	struct reply replies[] = {{.fds = {made.map[0], made.btf, -1}},
				  {.fds = {made.writable, made.program, -1}},
				  {}};
	struct grants grants;
	const struct grant *found;
	struct btf *types;
	size_t before = open_fds();

	(void)state;
	assert_true(asprintf(&btf, "%u", made.btf_id) > 0);
	first = answer(3, 0, a, "", btf);
	second = answer(3, 1, b, c, "");
	replies[0].text = first;
	replies[1].text = second;
	if (ask(&grants, replies))
		fail_msg("%s", why);
	assert_int_equal(grants.n, 4);
	assert_int_equal(
		grants_find(&grants, "m:one", &found, why, sizeof(why)), 0);
	assert_int_equal(found->id, made.map_id[0]);
	assert_int_equal(found->index, 0);
	assert_false(found->writable);
	assert_int_equal(fcntl(found->fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(grant_btf(&grants, found, &types), 0);
	assert_int_equal(btf__type_cnt(types), 2);
	btf__free(types);
	assert_int_equal(grants_find(&grants, "two", &found, why, sizeof(why)),
			 0);
	assert_int_equal(found->value_size, 8);
	assert_int_equal(found->index, 1);
	assert_true(found->writable);
	assert_int_equal(
		grants_find(&grants, "m:three", &found, why, sizeof(why)),
		-ENOENT);
	grants_free(&grants);
	assert_int_equal(open_fds(), before);
}

/* One answer that is refused for this reason; text is freed. */
static void refuses(const char *what, char *text, const int *fds, int rc,
		    const char *reason)
{
	struct reply replies[] = {{.text = text}, {}};
	size_t before = open_fds(), i = 0;
	struct grants grants = {.n = 7};
	int got;

	do
		replies[0].fds[i] = fds[i];
	while (fds[i++] >= 0);
	got = ask(&grants, replies);
	if (got != rc || !strstr(why, reason))
		fail_msg("%s: %d, %s", what, got, why);
	assert_int_equal(grants.n, 7);
	if (open_fds() != before)
		fail_msg("%s: %zu descriptors, before there were %zu", what,
			 open_fds(), before);
	free(text);
}

static void lies(void **state)
{
	autofree char *a = entry("m", "one", made.map_id[0], "ro");
	autofree char *wrong_id = entry("m", "one", made.map_id[1], "ro");
	autofree char *wrong_access = entry("m", "one", made.map_id[0], "rw");
	autofree char *more = entry("m", "one", made.writable_id, "ro");
	autofree char *no_access = entry("m", "one", made.map_id[0], NULL);
	autofree char *forged = entry("m;x:1:2", "one", made.map_id[0], "ro");
	autofree char *escape = entry("m", "\\u001b[31m", made.map_id[0], "ro");
	autofree char *empty = entry("", "one", made.map_id[0], "ro");
	autofree char *longest = entry("mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm",
				       "one", made.map_id[0], "ro");
	autofree char *not_program = entry("m", "run", made.map_id[0], NULL);
	const int none[] = {-1}, one[] = {made.map[0], -1},
		  two[] = {made.map[0], made.map[1], -1},
		  null[] = {made.null, -1}, program[] = {made.program, -1},
		  writable[] = {made.writable, -1},
		  with_btf[] = {made.map[0], made.null, -1};
	int many[254];
	int i;

	(void)state;
	for (i = 0; i < 253; i++)
		many[i] = made.map[0];
	many[253] = -1;
	refuses("fewer than told", answer(1, 0, a, "", ""), none, -EPROTO,
		"not what it says");
	refuses("more than told", answer(1, 0, a, "", ""), two, -EPROTO,
		"not what it says");
	refuses("253 of which one is told", answer(1, 0, a, "", ""), many,
		-EPROTO, "not what it says");
	refuses("none told", answer(0, 0, "", "", ""), two, -EPROTO,
		"not what it says");
	refuses("no map", answer(1, 0, a, "", ""), null, -EMEDIUMTYPE,
		"not what it says");
	refuses("a program for a map", answer(1, 0, a, "", ""), program,
		-EMEDIUMTYPE, "not what it says");
	refuses("another map", answer(1, 0, wrong_id, "", ""), one, -EPROTO,
		"not what it says");
	refuses("read only, told to be writable",
		answer(1, 0, wrong_access, "", ""), one, -EPROTO,
		"not what it says");
	refuses("writable, told to be read only", answer(1, 0, more, "", ""),
		writable, -EPROTO, "not what it says");
	refuses("no access", answer(1, 0, no_access, "", ""), one, -EPROTO,
		"not what it says");
	refuses("a module that would forge LQOS_MAPS",
		answer(1, 0, forged, "", ""), one, -EPROTO, "not what it says");
	refuses("a name that drives a terminal", answer(1, 0, escape, "", ""),
		one, -EPROTO, "not what it says");
	refuses("no module", answer(1, 0, empty, "", ""), one, -EPROTO,
		"not what it says");
	refuses("a module too long", answer(1, 0, longest, "", ""), one,
		-EPROTO, "not what it says");
	refuses("a map for a program", answer(1, 0, "", not_program, ""), one,
		-EPROTO, "not what it says");
	refuses("no types", answer(1, 0, a, "", "1"), with_btf, -EPROTO,
		"not what it says");
	refuses("a number for a map", answer(1, 0, "7", "", ""), one, -EPROTO,
		"not what it says");
	refuses("not where it was asked for", answer(1, 1, a, "", ""), one,
		-EPROTO, "not what it says");
	refuses("a million", answer(1000000, 0, a, "", ""), one, -EPROTO,
		"not what it says");
	refuses("fewer than none", answer(-1, 0, a, "", ""), one, -EPROTO,
		"not what it says");
	refuses("nothing of three", answer(3, 0, "", "", ""), none, -EPROTO,
		"not what it says");
	refuses("an array", strdup("[1]"), one, -EPROTONOSUPPORT,
		"another version than 1");
	refuses("another version",
		strdup("{\"version\":2,\"total\":0,\"from\":0,\"maps\":[],"
		       "\"programs\":[],\"btf\":[]}"),
		one, -EPROTONOSUPPORT, "another version than 1");
	refuses("objects for arrays",
		strdup("{\"version\":1,\"total\":1,\"from\":0,\"maps\":{},"
		       "\"programs\":{},\"btf\":{}}"),
		none, -EPROTO, "not what it says");
	refuses("it dies after half of them", answer(2, 0, a, "", ""), one,
		-ECONNRESET, "closed the connection");
	refuses("half an answer", strdup("{\"version\":1,"), one, -EBADMSG,
		"cannot read");
}

/* ---- The environment ----------------------------------------------------- */

/* Not of this process, in which cmocka may look things up. */
static void forget(void)
{
	static const char *const names[] = {"T_MAPS", "T_BTF", "T_PROGS"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

/* "m-1:NAME" and types: the caller's. */
static struct grants two_grants(int map, const char *name)
{
	struct grant one = {.module = "m-1", .kind = GRANT_MAP};
	const struct grant btf = {.kind = GRANT_BTF,
				  .id = made.btf_id,
				  .fd = fcntl(made.btf, F_DUPFD_CLOEXEC, 0)};
	struct grants grants = {};

	strcpy(one.name, name);
	one.fd = fcntl(map, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(grant_look(&one), 0);
	assert_string_equal(one.name, name);
	assert_int_equal(grants_add(&grants, &one), 0);
	assert_int_equal(grants_add(&grants, &btf), 0);
	return grants;
}

static void there_and_back(void **state)
{
	size_t before = open_fds();
	struct grants grants = two_grants(made.map[1], "a.map"), read = {},
		      more;
	char text[16];

	(void)state;
	assert_int_equal(grants_to_environ(&grants, "T", why, sizeof(why)), 0);
	assert_string_equal(getenv("BPF_NUM_MAPS"), "1");
	assert_string_equal(getenv("T_MAP_M_1_A_MAP"), getenv("BPF_MAP0"));
	assert_int_equal(grants_from_environ(&read, "T", why, sizeof(why)), 0);
	assert_int_equal(read.n, 2);
	assert_int_equal(read.at[0].id, made.map_id[1]);
	assert_true(read.at[0].fd >= 10);
	assert_int_equal(fcntl(read.at[0].fd, F_GETFD), 0);
	snprintf(text, sizeof(text), "%d", read.at[0].fd);
	assert_string_equal(text, getenv("BPF_MAP0"));
	grants_free(&read); /* borrowed: they stay open */
	assert_int_equal(open_fds(), before + 2);

	/* Others, and those of before are closed. */
	more = two_grants(made.map[2], "other");
	assert_int_equal(open_fds(), before + 4);
	assert_int_equal(grants_to_environ(&more, "T", why, sizeof(why)), 0);
	assert_int_equal(open_fds(), before + 2);
	assert_null(getenv("T_MAP_M_1_A_MAP"));
	grants_free(&more);
	grants.borrowed = true;
	grants_free(&grants);

	/* Two of one variable. */
	grants = two_grants(made.map[1], "a.map");
	more = two_grants(made.map[2], "a_map");
	assert_int_equal(grants_add(&grants, &more.at[0]), 0);
	assert_int_equal(grants_to_environ(&grants, "T", why, sizeof(why)),
			 -EEXIST);
	assert_non_null(strstr(why, "m-1:a_map would be T_MAP_M_1_A_MAP"));
	close(more.at[1].fd);
	more.borrowed = true;
	grants_free(&more);
	grants_free(&grants);
	assert_int_equal(open_fds(), before);
	forget();
}

static void environ_lies(void **state)
{
	static const char *const nonsense[] = {
		"m",
		"m:n",
		"m:n:x:1:2:4:4:1:ro",
		"m:n:-1:1:2:4:4:1:ro",
		"m:n:3:1:2:4:4:1:wo",
		"m:n:3:1:2:4:4:1:ro:more",
		"m:n:3:99999999999:2:4:4:1:ro",
		":n:3:1:2:4:4:1:ro",
		"m::3:1:2:4:4:1:ro",
		"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm:n:3:1:2:4:4:1:ro",
	};
	const struct grant *found;
	struct grants grants;
	char text[256];

	(void)state;
	assert_int_equal(grants_from_environ(&grants, "T", why, sizeof(why)),
			 -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		setenv("T_MAPS", nonsense[i], 1);
		if (grants_from_environ(&grants, "T", why, sizeof(why)) !=
			    -EINVAL ||
		    !strstr(why, "T_MAPS in the environment makes no sense"))
			fail_msg("%s: %s", nonsense[i], why);
	}
	/* Closed; of another kind; another map: none is used. */
	snprintf(text, sizeof(text),
		 "m:closed:999:%u:2:4:4:1:ro;m:null:%d:%u:2:4:4:1:ro;"
		 "m:other:%d:%u:2:4:4:1:ro;m:right:%d:%u:9:9:9:9:rw",
		 made.map_id[0], made.null, made.map_id[0], made.map[1],
		 made.map_id[0], made.map[0], made.map_id[0]);
	setenv("T_MAPS", text, 1);
	assert_int_equal(grants_from_environ(&grants, "T", why, sizeof(why)),
			 0);
	assert_int_equal(grants.n, 4);
	assert_int_equal(
		grants_find(&grants, "closed", &found, why, sizeof(why)),
		-EBADF);
	assert_int_equal(grants_find(&grants, "null", &found, why, sizeof(why)),
			 -EBADF);
	assert_int_equal(
		grants_find(&grants, "other", &found, why, sizeof(why)),
		-EBADF);
	assert_int_equal(
		grants_find(&grants, "right", &found, why, sizeof(why)), 0);
	/* What the kernel says goes before what the environment does. */
	assert_int_equal(found->type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(found->key_size, 4);
	assert_false(found->writable);
	grants_free(&grants);
	forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(lies),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(environ_lies),
	};

	if (geteuid()) {
		puts("1..0 # SKIP not root");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
