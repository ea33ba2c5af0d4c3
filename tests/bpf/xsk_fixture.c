/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets on the two ends of a wire, and what each test asks of them. */
#include "tests/bpf/xsk_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIP = 77 };

enum lqos_xsk_mode xsk_mode;
enum lqos_xsk_mode xsk_modes[2] = {LQOS_XSK_NATIVE, LQOS_XSK_GENERIC};
char xsk_why[256];

/* ---- The machine --------------------------------------------------------- */

int xsk_skip(void)
{
	autoclose int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !geteuid())
		return 0;
	if (geteuid()) {
		printf("1..0 # SKIP AF_XDP and namespaces need root\n");
		return SKIP;
	}
	return 0;
}

bool xsk_kernel(unsigned int major, unsigned int minor)
{
	unsigned int has_major = 0, has_minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &has_major, &has_minor);
	return has_major > major || (has_major == major && has_minor >= minor);
}

void xsk_ip(const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "ip %s", arguments);
	/* NOLINTNEXTLINE(cert-env33-c): a test's own words */
	if (system(command))
		fail_msg("%s", command);
}

static void write_file(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
}

int xsk_namespace(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET))
		return -errno;
	/* No frame is on the wire that the test did not send. */
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return 0;
}

int xsk_wire(void **state)
{
	xsk_mode = *(enum lqos_xsk_mode *)*state;
	xsk_ip("link add " NEAR " type veth peer name " FAR);
	xsk_ip("link set " NEAR " up");
	xsk_ip("link set " FAR " up");
	return 0;
}

int xsk_no_wire(void **state)
{
	(void)state;
	if (if_nametoindex(NEAR))
		xsk_ip("link del " NEAR);
	return 0;
}

int xsk_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

uint64_t xsk_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void xsk_pause_ms(uint32_t ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000,
				       .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&pause, NULL);
}

/* ---- Sockets ------------------------------------------------------------- */

struct lqos_umem *xsk_umem_of(const struct lqos_umem_options *options)
{
	struct lqos_umem_options o = {};
	struct lqos_umem *umem = NULL;

	if (options)
		o = *options;
	o.frames = o.frames ?: SMALL;
	o.fill_size = o.fill_size ?: SMALL;
	o.comp_size = o.comp_size ?: SMALL;
	xsk_ok(lqos_umem_create(&o, &umem, xsk_why, sizeof(xsk_why)));
	return umem;
}

struct lqos_umem *xsk_umem_small(void)
{
	return xsk_umem_of(NULL);
}

struct lqos_xsk *xsk_socket_on(struct lqos_umem *umem, const char *interface,
			       const struct lqos_xsk_options *options)
{
	struct lqos_xsk_options o = {};
	struct lqos_xsk *xsk = NULL;

	if (options)
		o = *options;
	o.rx_size = o.rx_size ?: SMALL;
	o.tx_size = o.tx_size ?: SMALL;
	xsk_ok(lqos_xsk_open(umem, interface, 0, &o, &xsk, xsk_why,
			     sizeof(xsk_why)));
	return xsk;
}

struct lqos_xsk_hook *xsk_hook_to(struct lqos_xsk *xsk)
{
	struct lqos_xsk_hook *hook = NULL;

	xsk_ok(lqos_xsk_hook_open(lqos_xsk_interface(xsk), xsk_mode, false,
				  &hook, xsk_why, sizeof(xsk_why)));
	assert_int_equal(lqos_xsk_hook_is_native(hook),
			 xsk_mode == LQOS_XSK_NATIVE);
	xsk_ok(lqos_xsk_hook_add(hook, xsk));
	return hook;
}

void xsk_ends_open(struct xsk_ends *ends,
		   const struct lqos_umem_options *rx_umem,
		   const struct lqos_xsk_options *tx,
		   const struct lqos_xsk_options *rx)
{
	ends->tx_umem = xsk_umem_of(NULL);
	ends->rx_umem = xsk_umem_of(rx_umem);
	ends->tx = xsk_socket_on(ends->tx_umem, NEAR, tx);
	ends->rx = xsk_socket_on(ends->rx_umem, FAR, rx);
	ends->hook = xsk_hook_to(ends->rx);
}

void xsk_umem_gone(struct lqos_umem **umem)
{
	xsk_all_back(*umem);
	assert_int_equal(lqos_umem_destroy(umem), 0);
	assert_null(*umem);
}

void xsk_ends_close(struct xsk_ends *ends)
{
	xsk_balanced(ends->tx_umem);
	xsk_balanced(ends->rx_umem);
	lqos_xsk_hook_close(&ends->hook);
	lqos_xsk_close(&ends->tx);
	lqos_xsk_close(&ends->rx);
	assert_null(ends->tx);
	xsk_umem_gone(&ends->tx_umem);
	xsk_umem_gone(&ends->rx_umem);
}

void xsk_cannot_open(struct lqos_umem *umem, const char *interface,
		     uint32_t queue, const struct lqos_xsk_options *o, int rc,
		     const char *says)
{
	int fds = xsk_open_fds(), got;
	uint32_t ports = umem->n_ports;
	struct lqos_xsk *none = NULL;

	got = lqos_xsk_open(umem, interface, queue, o, &none, xsk_why,
			    sizeof(xsk_why));
	assert_int_equal(got, rc);
	assert_null(none);
	xsk_says(interface);
	xsk_says(says);
	assert_int_equal(xsk_open_fds(), fds);
	xsk_balanced(umem);
	assert_int_equal(umem->n_ports, ports);
}

/* ---- Frames -------------------------------------------------------------- */

void xsk_arp(struct lqos_umem *umem, struct lqos_xsk_frame *frame,
	     uint8_t number)
{
	static const uint8_t request[ARP_LEN] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,   1, 8, 6,
		0,    1,    8,	  0,	6,    4,    0, 1, 2, 0, 0,   0, 0, 1,
		192,  0,    2,	  200,	0,    0,    0, 0, 0, 0, 192, 0, 2, 0,
	};
	uint8_t *data;

	assert_int_equal(lqos_umem_alloc(umem, frame), 0);
	data = lqos_xsk_put(umem, frame, ARP_LEN);
	assert_non_null(data);
	memcpy(data, request, ARP_LEN);
	data[ARP_LEN - 1] = number;
}

void xsk_queue(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		xsk_arp(lqos_xsk_umem(xsk), &frames[i], (uint8_t)i);
	assert_int_equal(lqos_xsk_tx(xsk, frames, n), n);
}

void xsk_send(struct lqos_xsk *xsk, uint32_t n)
{
	struct lqos_xsk_frame frames[SMALL];

	assert_in_range(n, 1, SMALL);
	xsk_queue(xsk, frames, n);
	assert_int_equal(lqos_xsk_kick(xsk), 0);
}

uint32_t xsk_receive(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
		     uint32_t n, int ms)
{
	uint64_t until = xsk_now_ms() + ms;
	uint32_t got = 0;
	int left = ms;

	do {
		if (lqos_xsk_wait(xsk, left) < 0)
			break;
		got += lqos_xsk_rx(xsk, frames + got, n - got);
		left = (int)(until - xsk_now_ms());
	} while (got < n && left > 0);
	return got;
}

void xsk_reaped(struct lqos_xsk *xsk, uint32_t n)
{
	uint64_t until = xsk_now_ms() + LONG_MS;
	uint32_t got = 0;

	while ((got += lqos_xsk_reap(xsk)) < n && xsk_now_ms() < until)
		xsk_pause_ms(1);
	assert_int_equal(got, n);
}

struct lqos_xsk_stats xsk_stats_of(const struct lqos_xsk *xsk)
{
	struct lqos_xsk_stats stats;

	assert_int_equal(lqos_xsk_stats(xsk, &stats), 0);
	return stats;
}

/* ---- Owners -------------------------------------------------------------- */

static uint32_t held_as(const struct lqos_umem *umem, uint16_t held)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < umem->frames; i++)
		n += umem->held[i] == held;
	return n;
}

void xsk_balanced(const struct lqos_umem *umem)
{
	autofree bool *seen = calloc(umem->frames, sizeof(*seen));
	const struct port *port;
	uint32_t i, sum;

	assert_non_null(seen);
	for (i = 0; i < umem->available; i++) {
		assert_in_range(umem->pool[i], 0, umem->frames - 1);
		assert_false(seen[umem->pool[i]]);
		seen[umem->pool[i]] = true;
		assert_int_equal(umem->held[umem->pool[i]],
				 held_by(HOLDER_POOL, 0));
	}
	sum = held_as(umem, held_by(HOLDER_POOL, 0));
	assert_int_equal(sum, umem->available);
	sum += held_as(umem, held_by(HOLDER_USER, 0));
	for (i = 1; i < NUMBERS_MAX; i++) {
		const struct lqos_xsk *xsk = umem->sockets[i];

		if (!xsk)
			continue;
		assert_int_equal(held_as(umem, held_by(HOLDER_USER, i)),
				 xsk->user);
		assert_int_equal(held_as(umem, held_by(HOLDER_TX, i)),
				 xsk->outstanding);
		sum += xsk->user + xsk->outstanding;
	}
	LIST_FOREACH(port, &umem->ports, link)
		sum += held_as(umem, held_by(HOLDER_PORT, port->number));
	assert_int_equal(sum, umem->frames);
}

void xsk_all_back(const struct lqos_umem *umem)
{
	xsk_balanced(umem);
	assert_int_equal(lqos_umem_available(umem), lqos_umem_frames(umem));
}
