/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes from "tc exec bpf" and does not hold, with nothing left of it;
 * what goes there, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/unit/tc_peer.h"

static struct tc_parcel parcel;

/* ---- Lies ---------------------------------------------------------------- */

static void test_numbers(void **state)
{
	(void)state;
	tc_honest(&parcel, 64);
	parcel.datagram.n = 70;
	tc_refused(&parcel, -EPROTO, "70 maps: expected 1 to 64");
	parcel.datagram.n = 60000;
	tc_refused(&parcel, -EPROTO, "60000 maps: expected 1 to 64");
	parcel.datagram.n = 63;
	tc_refused(&parcel, -EPROTO, "2392 bytes: expected 2356 for 63 maps");
	tc_honest(&parcel, 0);
	tc_refused(&parcel, -EPROTO, "0 maps: expected 1 to 64");
	tc_honest(&parcel, 3);
	parcel.datagram.n = 1;
	tc_refused(&parcel, -EPROTO, "196 bytes: expected 124 for 1 maps");
	parcel.datagram.n = 64;
	tc_refused(&parcel, -EPROTO, "196 bytes: expected 2392 for 64 maps");
}

static void test_lengths(void **state)
{
	static const struct {
		size_t length;
		const char *says;
	} lengths[] = {
		{0, "it is of 0 bytes: expected at least 88"},
		{1, "it is of 1 bytes: expected at least 88"},
		{87, "it is of 87 bytes: expected at least 88"},
		{88, "it is of 88 bytes: expected 160 for 2 maps"},
		{159, "it is of 159 bytes: expected 160 for 2 maps"},
		{161, "it is of 161 bytes: expected 160 for 2 maps"},
		{2393, "it is of 2393 bytes: expected at most 2392"},
		{65536, "it is of 65536 bytes: expected at most 2392"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		tc_honest(&parcel, 2);
		parcel.length = lengths[i].length;
		tc_refused(&parcel, -EPROTO, lengths[i].says);
	}
}

static void test_descriptors(void **state)
{
	(void)state;
	tc_honest(&parcel, 2);
	parcel.parts[0] = 0;
	tc_refused(&parcel, -EPROTO, "0 descriptors come with 2 maps");
	parcel.parts[0] = 1;
	tc_refused(&parcel, -EPROTO, "1 descriptors come with 2 maps");
	parcel.parts[0] = 3;
	tc_refused(&parcel, -EPROTO, "3 descriptors come with 2 maps");
	parcel.parts[0] = TC_FDS;
	tc_refused(&parcel, -EPROTO, "253 descriptors come with 2 maps");
	/* The kernel makes one control message of several. */
	parcel.parts[0] = parcel.parts[1] = parcel.parts[2] = 1;
	tc_refused(&parcel, -EPROTO, "3 descriptors come with 2 maps");
	parcel.parts[0] = 200;
	parcel.parts[1] = 52;
	tc_refused(&parcel, -EPROTO, "253 descriptors come with 2 maps");
	parcel.parts[0] = parcel.parts[1] = 1;
	parcel.parts[2] = 0;
	tc_refused(&parcel, -EPROTO, "map 0 is no BPF map");
}

static void test_no_maps(void **state)
{
	autoclose int other = -1;

	(void)state;
	tc_honest(&parcel, 1);
	tc_refused(&parcel, -EPROTO, "what comes as map 0 is no BPF map");
	parcel.datagram.maps[0].id = 5;
	parcel.fds[0] = other = eventfd(0, EFD_CLOEXEC);
	tc_refused(&parcel, -EPROTO, "what comes as map 5 is no BPF map");
	core_close_p(&other);
	parcel.fds[0] = other = epoll_create1(EPOLL_CLOEXEC);
	tc_refused(&parcel, -EPROTO, "no BPF map");
	core_close_p(&other);
	/* A file of the name that the kernel has for maps. */
	parcel.fds[0] = other = memfd_create("bpf-map", MFD_CLOEXEC);
	tc_refused(&parcel, -EPROTO, "no BPF map");
	tc_honest(&parcel, 64);
	tc_refused(&parcel, -EPROTO, "no BPF map");
}

static void test_head(void **state)
{
	(void)state;
	tc_honest(&parcel, 2);
	parcel.datagram.version = 0;
	tc_refused(&parcel, -EPROTO, "version 0: expected 1");
	parcel.datagram.version = 2;
	tc_refused(&parcel, -EPROTO, "version 2: expected 1");
	tc_honest(&parcel, 2);
	memset(parcel.datagram.object, 'a', sizeof(parcel.datagram.object));
	tc_refused(&parcel, -EPROTO, "name does not end");
}

static void test_ids(void **state)
{
	(void)state;
	tc_honest(&parcel, 64);
	parcel.datagram.maps[63].id = 7;
	tc_refused(&parcel, -EPROTO, "maps 7 and 63 both have the id 7");
	tc_honest(&parcel, 2);
	parcel.datagram.maps[1].id = 65535;
	tc_refused(&parcel, -EPROTO, "map 0 is no BPF map");
	parcel.datagram.maps[1].id = 65536;
	tc_refused(&parcel, -EPROTO,
		   "map 1 has the id 65536: expected 0 to 65535");
	parcel.datagram.maps[1].id = UINT32_MAX;
	tc_refused(&parcel, -EPROTO, "map 1 has the id 4294967295");
}

/* No room for what comes: what did not fit, the kernel drops. */
static void test_no_room(void **state)
{
	struct rlimit before, few;
	pid_t pid;

	(void)state;
	tc_honest(&parcel, 64);
	pid = tc_peer(tc_run_send, &parcel);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)tc_open_fds() + 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	tc_refuses(TC_LONG_MS, -EPROTO, "some of its descriptors are lost");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(tc_ended(pid), 0);
	tc_is_gone();
}

/* ---- Who ----------------------------------------------------------------- */

static int run_send_as_nobody(const void *p)
{
	/* As root it waits until the socket is there. */
	int fd = tc_connect(), rc;

	if (fd < 0 || chmod(tc_path, 0666) || setgid(TC_NOBODY) ||
	    setuid(TC_NOBODY))
		return -1;
	close(fd);
	fd = tc_connect();
	rc = fd < 0 ? fd : tc_send_parcel(fd, p);
	return rc;
}

static int run_connect_as_nobody(const void *p)
{
	int fd = tc_connect();
	struct stat st;

	(void)p;
	if (fd < 0 || stat(tc_path, &st) || (st.st_mode & 0777) != 0600 ||
	    setgid(TC_NOBODY) || setuid(TC_NOBODY))
		return -1;
	return tc_connect() < 0 && errno == EACCES ? 0 : -1;
}

static void test_another_user(void **state)
{
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	tc_honest(&parcel, 1);
	pid = tc_peer(run_send_as_nobody, &parcel);
	tc_refuses(TC_LONG_MS, -EPERM,
		   "it is from uid 65534: expected uid 0 or root");
	assert_int_equal(tc_ended(pid), 0);
	tc_is_gone();
	/* And without chmod it would not have come so far. */
	pid = tc_peer(run_connect_as_nobody, NULL);
	tc_refuses(500, -ETIMEDOUT, "no maps came");
	assert_int_equal(tc_ended(pid), 0);
}

static int run_connect(const void *arg)
{
	(void)arg;
	return tc_connect() < 0;
}

static void test_nobody_sends(void **state)
{
	pid_t pid;

	(void)state;
	tc_refuses(0, -ETIMEDOUT, "does anybody export to it?");
	tc_is_gone();
	tc_refuses(100, -ETIMEDOUT, "no maps came to");
	tc_is_gone();
	pid = tc_peer(run_connect, NULL);
	tc_refuses(500, -ETIMEDOUT, "no maps came to");
	assert_int_equal(tc_ended(pid), 0);
	tc_is_gone();
}

/* ---- Where --------------------------------------------------------------- */

static void test_taken_path(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat before, after;

	(void)state;
	strcpy(address.sun_path, tc_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(lstat(tc_path, &before), 0);
	tc_refuses(0, -EADDRINUSE, "somebody waits there, or has left it");
	assert_int_equal(lstat(tc_path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	unlink(tc_path);
	/* Nor is it made behind a link that leads nowhere. */
	assert_int_equal(symlink("nowhere", tc_path), 0);
	tc_refuses(0, -EADDRINUSE, tc_path);
	unlink(tc_path);
}

static void test_no_path(void **state)
{
	char keep[sizeof(tc_path)], longer[109];
	struct grants maps;

	(void)state;
	strcpy(keep, tc_path);
	strcat(tc_path, "/in/there");
	tc_refuses(0, -ENOENT, "cannot wait at ");
	*tc_path = '\0';
	tc_refuses(0, -ENAMETOOLONG, "expected 1 to 107 bytes");
	strcpy(tc_path, keep);
	memset(longer, 'a', 108);
	longer[108] = '\0';
	assert_int_equal(tc_receive(longer, 0, &maps, tc_why, sizeof(tc_why)),
			 -ENAMETOOLONG);
}

static int run_replace(const void *arg)
{
	int fd = tc_connect();

	(void)arg;
	if (fd < 0 || unlink(tc_path))
		return -1;
	fd = open(tc_path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	return fd < 0;
}

static void test_replaced(void **state)
{
	pid_t pid = tc_peer(run_replace, NULL);
	struct stat st;

	(void)state;
	tc_refuses(1000, -ETIMEDOUT, "no maps came");
	assert_int_equal(tc_ended(pid), 0);
	assert_int_equal(lstat(tc_path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink(tc_path);
}

/* ---- Signals ------------------------------------------------------------- */

static volatile sig_atomic_t signalled;
static bool was_there; /* the file, when it was told */

static void on_signal(int signal)
{
	signalled = signal;
	was_there = !access(tc_path, F_OK);
}

static int run_signal(const void *signal)
{
	return tc_connect() < 0 || kill(getppid(), *(const int *)signal);
}

static void test_signals(void **state)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction catch = {.sa_handler = on_signal}, before;
	sigset_t mask, after;
	pid_t pid;

	(void)state;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		sigaction(ends[i], &catch, &before);
		signalled = 0;
		was_there = true;
		pid = tc_peer(run_signal, &ends[i]);
		tc_refuses(-1, -EINTR, "interrupted while waiting at");
		assert_int_equal(tc_ended(pid), 0);
		assert_int_equal(signalled, ends[i]);
		assert_false(was_there);
		tc_is_gone();
		sigaction(ends[i], &before, NULL);
	}
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < NSIG; i++)
		assert_int_equal(sigismember(&after, i), sigismember(&mask, i));
}

static void test_ignored_signal(void **state)
{
	static const int interrupt = SIGINT;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	pid_t pid;

	(void)state;
	sigaction(SIGINT, &ignore, &before);
	pid = tc_peer(run_signal, &interrupt);
	tc_refuses(500, -ETIMEDOUT, "no maps came");
	assert_int_equal(tc_ended(pid), 0);
	sigaction(SIGINT, &before, NULL);
}

/* ---- What is sent -------------------------------------------------------- */

static struct grant some[TC_MAPS_MAX + 2];
static struct grants grants = {.at = some};

/* n maps, a program between them that does not go, and descriptors that say
 * which they are. */
static void make_grants(size_t n)
{
	grants.n = 0;
	for (size_t i = 0; i < n; i++) {
		if (i == 1)
			some[grants.n++] = (struct grant){.kind = GRANT_PROGRAM,
							  .fd = STDIN_FILENO};
		some[grants.n] = (struct grant){
			.kind = GRANT_MAP,
			.fd = eventfd((unsigned int)i + 1, EFD_CLOEXEC),
			.id = 900 + (uint32_t)i,
			.type = 1,
			.key_size = 4,
			.value_size = 8 + (uint32_t)i,
			.max_entries = 100,
			.flags = 3,
			.index = (uint32_t)i * 2,
		};
		assert_true(some[grants.n++].fd >= 0);
	}
}

static void close_grants(void)
{
	for (size_t i = 0; i < grants.n; i++)
		if (some[i].kind == GRANT_MAP)
			core_close_p(&some[i].fd);
	grants.n = 0;
}

static int wait_at(int type, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	return fd;
}

static uint32_t u32_at(const char *data, size_t at)
{
	uint32_t value;

	memcpy(&value, data + at, sizeof(value));
	return value;
}

static void check_sent(int fd, size_t n)
{
	static char data[4096];
	char control[1024]; /* what tc has for it */
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	static const char zeros[80];
	struct cmsghdr *c;
	uint64_t which;
	int got;

	assert_int_equal(recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC),
			 88 + 36 * n);
	assert_int_equal(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
	c = CMSG_FIRSTHDR(&msg);
	assert_non_null(c);
	assert_null(CMSG_NXTHDR(&msg, c));
	assert_int_equal(c->cmsg_type, SCM_RIGHTS);
	assert_int_equal(c->cmsg_len, CMSG_LEN(n * sizeof(int)));
	assert_int_equal(u32_at(data, 0), 1 + (n << 16));
	assert_string_equal(data + 4, "lqos");
	assert_memory_equal(data + 8, zeros, 80);
	for (size_t i = 0; i < n; i++) {
		const uint32_t said[] = {1,   4, 8 + (uint32_t)i,
					 100, 3, (uint32_t)i * 2,
					 0,   0, 0};

		assert_memory_equal(data + 88 + 36 * i, said, 36);
		memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
		assert_int_equal(read(got, &which, sizeof(which)), 8);
		assert_int_equal(which, i + 1);
		close(got);
	}
}

static int do_send(void)
{
	*tc_why = '\0';
	return tc_send(tc_path, &grants, tc_why, sizeof(tc_why));
}

static void test_sent(void **state)
{
	static const size_t numbers[] = {1, 3, 64};
	int fds = tc_open_fds(), fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		make_grants(numbers[i]);
		fd = wait_at(SOCK_DGRAM, tc_path);
		assert_int_equal(do_send(), 0);
		check_sent(fd, numbers[i]);
		close(fd);
		close_grants();
		unlink(tc_path);
	}
	assert_int_equal(tc_open_fds(), fds);
}

static void not_sent(int rc, const char *says)
{
	int fds = tc_open_fds();

	assert_int_equal(do_send(), rc);
	tc_says(says);
	assert_null(strchr(tc_why, '\n'));
	assert_int_equal(tc_open_fds(), fds);
}

static void test_not_sent(void **state)
{
	int fd;

	(void)state;
	make_grants(2);
	not_sent(-ENOENT, "start \"tc exec bpf import");
	fd = wait_at(SOCK_DGRAM, tc_path);
	close(fd);
	not_sent(-ECONNREFUSED, "nobody waits there");
	unlink(tc_path);
	fd = wait_at(SOCK_STREAM, tc_path);
	assert_int_equal(listen(fd, 1), 0);
	not_sent(-EPROTOTYPE, "another program waits there");
	close(fd);
	unlink(tc_path);
	fd = open(tc_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	not_sent(-ENOTSOCK, "expected what tc exec bpf import made");
	close(fd);
	unlink(tc_path);
	/* Twice the same number would be one variable. */
	some[2].index = 0;
	not_sent(-EINVAL, "maps 0 and 1 both have the id 0");
	close_grants();
	not_sent(-EINVAL, "0 maps: expected 1 to 64");
	make_grants(65);
	not_sent(-E2BIG, "65 maps are too many for tc, which takes 64");
	tc_says("-m");
	close_grants();
}

static void test_not_sent_to_another(void **state)
{
	char byte;
	int fd;

	(void)state;
	if (geteuid())
		skip();
	make_grants(2);
	fd = wait_at(SOCK_DGRAM, tc_path);
	assert_int_equal(chown(tc_path, TC_NOBODY, TC_NOBODY), 0);
	not_sent(-EPERM, "belongs to uid 65534, who would get the maps");
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	close(fd);
	close_grants();
	unlink(tc_path);
}

/* Who waits there does not read. */
static void test_send_ends(void **state)
{
	int fd, i, rc = 0;

	(void)state;
	make_grants(1);
	fd = wait_at(SOCK_DGRAM, tc_path);
	for (i = 0; !rc && i < 100000; i++)
		rc = do_send();
	assert_int_equal(rc, -EAGAIN);
	tc_says("takes nothing");
	close(fd);
	close_grants();
	unlink(tc_path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tc_setup, tc_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers),	 TEST(test_lengths),
		TEST(test_descriptors),	 TEST(test_no_maps),
		TEST(test_head),	 TEST(test_ids),
		TEST(test_no_room),	 TEST(test_another_user),
		TEST(test_nobody_sends), TEST(test_taken_path),
		TEST(test_no_path),	 TEST(test_replaced),
		TEST(test_signals),	 TEST(test_ignored_signal),
		TEST(test_sent),	 TEST(test_not_sent),
		TEST(test_send_ends),	 TEST(test_not_sent_to_another),
	};

	/* The descriptor that parcels are full of. */
	if (close(STDIN_FILENO) || open("/dev/null", O_RDONLY))
		return 1;
	return cmocka_run_group_tests_name("tc wire", tests, NULL, NULL);
}
