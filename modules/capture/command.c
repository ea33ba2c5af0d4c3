/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-capture - packets of an address or subscriber, into a file.  lqosctl
 * runs it for "lqosctl capture".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/client.h"
#include "modules/capture/command.h"

enum {
	INTERFACES_MAX = 64,
	BATCHES_AT_ONCE = 32,
	GOODBYE_MS = 12000, /* lqosd gives up before */
	PROGRESS_MS = 1000,
};

struct run {
	const struct capture_options *o;
	int fd;	   /* batches */
	FILE *out; /* NULL: not opened */
	struct capture_order order;
	char *buf;	     /* of CAPTURE_BATCH_MAX */
	uint32_t interfaces; /* that lqosd has */
	bool gone;	     /* and one for those that it had */
	int64_t wall;	     /* when it began */
	int64_t end, heard,
		told; /* ms: when to end; the last batch; progress */
	bool ending;  /* lqosd was asked to */
	uint64_t packets, by_interface[INTERFACES_MAX + 1];
};

static int fail(const char *text)
{
	fprintf(stderr, "lqosctl: %s\n", text);
	return EXIT_FAILURE;
}

static const char *file_name(const struct run *run)
{
	const char *write = run->o->write;

	return write && strcmp(write, "-") ? write : "stdout";
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- Signals ------------------------------------------------------------- */

static volatile sig_atomic_t ended;
static int waker = -1; /* an eventfd, so that none is slept through */

/* Once each: who is stuck ends at the second. */
static void on_signal(int signal)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)signal;
	ended = 1;
	if (write(waker, &one, sizeof(one)) < 0)
		errno = saved; /* it is full, which wakes as well */
	errno = saved;
}

static int catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal,
				.sa_flags = SA_RESTART | SA_RESETHAND};

	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waker < 0)
		return -errno;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	/* Who has read enough of a pipe is an error of writing: there is an
	 * account of it, too. */
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* ---- Output -------------------------------------------------------------- */

static int cannot_write(const struct run *run)
{
	fprintf(stderr, "lqosctl: cannot write to %s: %s\n", file_name(run),
		strerror(errno));
	return EXIT_FAILURE;
}

static bool is_counted(const struct run *run)
{
	return run->o->write && strcmp(run->o->write, "-") && isatty(2);
}

static void show_progress(struct run *run, int64_t now)
{
	if (!is_counted(run) || now - run->told < PROGRESS_MS)
		return;
	run->told = now;
	fprintf(stderr, "\r%" PRIu64 " packets, %" PRIu64 " lost", run->packets,
		run->order.head.dropped + run->order.head.slow);
}

/* The file is opened only when there is something to come. */
static int open_output(struct run *run, const json_t *interfaces)
{
	const char *write = run->o->write;
	const json_t *name;
	size_t i;

	if (write && strcmp(write, "-"))
		run->out = fopen(write, "wbe");
	else
		run->out = stdout;
	if (!run->out) {
		fprintf(stderr, "lqosctl: cannot open %s: %s\n", write,
			strerror(errno));
		return EXIT_FAILURE;
	}
	run->interfaces = (uint32_t)json_array_size(interfaces);
	if (run->interfaces > INTERFACES_MAX)
		run->interfaces = INTERFACES_MAX;
	if (!write)
		return 0;
	pcapng_section(run->out, "lqosctl capture " PACKAGE_VERSION);
	json_array_foreach((json_t *)interfaces, i, name)
		if (i < run->interfaces)
			pcapng_interface(run->out,
					 json_string_value(name) ?: "?",
					 run->o->snaplen);
	return fflush(run->out) ? cannot_write(run) : 0;
}

static void put_packet(struct run *run, const struct capture_packet *packet)
{
	uint32_t interface = packet->record.interface;
	char line[256];

	if (interface >= run->interfaces) {
		interface = run->interfaces;
		if (!run->gone && run->o->write)
			pcapng_interface(run->out, "gone", run->o->snaplen);
		run->gone = true;
	}
	run->packets++;
	run->by_interface[interface]++;
	if (run->o->write) {
		pcapng_packet(run->out, interface, packet);
	} else {
		capture_line(packet, line, sizeof(line));
		fprintf(run->out, "%s\n", line);
	}
}

static bool is_enough(const struct run *run)
{
	return run->o->count && run->packets >= run->o->count;
}

/* An exit status; a negative number to go on. */
static int put_packets(struct run *run, bool all)
{
	struct capture_packet *packet;
	uint64_t before = run->packets;

	while (!is_enough(run) &&
	       (packet = capture_order_take(&run->order, all))) {
		put_packet(run, packet);
		free(packet);
	}
	if (run->packets != before && fflush(run->out))
		return cannot_write(run);
	return -1;
}

static void put_statistics(struct run *run)
{
	const struct capture_batch *head = &run->order.head;
	uint32_t i;

	for (i = 0; i < run->interfaces + run->gone; i++) {
		const struct pcapng_statistics s = {
			.interface = i,
			.start = run->wall,
			.end = wall_ns(),
			.packets = run->by_interface[i],
			.with_drops = i == 0,
			.dropped = head->dropped,
			.lost = head->dropped + head->slow,
		};

		pcapng_statistics(run->out, &s);
	}
}

/* Whatever has ended it, the file is whole. */
static int finish(struct run *run, int status)
{
	const struct capture_batch *head = &run->order.head;
	bool failed;

	if (run->o->write)
		put_statistics(run);
	failed = ferror(run->out);
	if ((run->out == stdout ? fflush(stdout) : fclose(run->out)) || failed)
		status = status == EXIT_SUCCESS ? cannot_write(run) : status;
	if (is_counted(run))
		fprintf(stderr, "\r\033[K");
	fprintf(stderr,
		"%" PRIu64 " packets captured, %" PRIu64
		" dropped by the ring buffer, %" PRIu64
		" lost as this end was slow\n",
		run->packets, head->dropped, head->slow);
	if (run->order.late)
		fprintf(stderr,
			"lqosctl: %" PRIu64 " of them came too late to be put "
			"in order\n",
			run->order.late);
	return status;
}

/* ---- The loop ------------------------------------------------------------ */

/* Batches that are there.  -EAGAIN: there are no more now; 0: there may be;
 * -ECONNRESET: it was the last. */
static int hear(struct run *run)
{
	for (int i = 0; i < BATCHES_AT_ONCE; i++) {
		ssize_t n = recv(run->fd, run->buf, CAPTURE_BATCH_MAX,
				 MSG_DONTWAIT | MSG_TRUNC);
		int rc;

		if (n < 0)
			return errno == EINTR ? 0 : -errno;
		if (!n)
			return -ECONNRESET;
		rc = n > CAPTURE_BATCH_MAX
			     ? -EPROTO
			     : capture_order_add(&run->order, run->buf,
						 (size_t)n);
		if (rc)
			return rc;
		run->heard = now_ms();
	}
	return 0;
}

static int until(const struct run *run, int64_t now)
{
	int64_t at = run->end;

	if (!TAILQ_EMPTY(&run->order.packets) &&
	    run->heard + CAPTURE_HOLD_MS < at)
		at = run->heard + CAPTURE_HOLD_MS;
	if (is_counted(run) && run->told + PROGRESS_MS < at)
		at = run->told + PROGRESS_MS;
	if (at == INT64_MAX)
		return -1;
	return at < now ? 0 : at - now > 60000 ? 60000 : (int)(at - now);
}

/* No more is to come, but what is under way. */
static void ask_to_end(struct run *run, int64_t now)
{
	run->ending = true;
	run->end = now + GOODBYE_MS;
	shutdown(run->fd, SHUT_WR);
}

/* What is left when lqosd says no more. */
static int end(struct run *run)
{
	int rc = put_packets(run, true);

	if (rc >= 0)
		return rc;
	return run->ending || is_enough(run)
		       ? EXIT_SUCCESS
		       : fail("lqosd has ended the capture: is it still "
			      "running?");
}

/* An exit status; a negative number to go on. */
static int turn(struct run *run)
{
	struct pollfd fds[] = {{.fd = run->fd, .events = POLLIN},
			       {.fd = waker, .events = POLLIN}};
	int64_t now = now_ms();
	int rc;

	/* The waker stays awake: it is not looked at twice. */
	if (poll(fds, run->ending ? 1 : 2, until(run, now)) < 0 &&
	    errno != EINTR)
		return fail(strerror(errno));
	rc = hear(run);
	if (rc == -ECONNRESET)
		return end(run);
	if (rc == -EPROTO)
		return fail("what lqosd sends makes no sense: is it of another "
			    "version?");
	if (rc && rc != -EAGAIN)
		return fail(strerror(-rc));
	now = now_ms();
	rc = put_packets(run, now - run->heard >= CAPTURE_HOLD_MS);
	if (rc >= 0 || is_enough(run))
		return rc >= 0 ? rc : EXIT_SUCCESS;
	show_progress(run, now);
	if (run->ending && now >= run->end)
		return fail("lqosd does not end the capture: does it hang?");
	if (!run->ending && (ended || now >= run->end))
		ask_to_end(run, now);
	return -1;
}

static int loop(struct run *run)
{
	int64_t now = now_ms();
	int rc;

	run->told = now;
	run->end = run->o->seconds ? now + (int64_t)run->o->seconds * 1000
				   : INT64_MAX;
	do
		rc = turn(run);
	while (rc < 0);
	return rc;
}

/* ---- The daemon ---------------------------------------------------------- */

/* *fd is our end; *answer a new reference. */
static int ask(const struct capture_options *o, int *fd, json_t **answer)
{
	struct client *client;
	char why[1024];
	size_t n = 1;
	int rc;

	if (client_open(&client, o->socket, why, sizeof(why)))
		return fail(why);
	rc = client_call_fds(
		client, "capture.start",
		json_pack("{s:s,s:b,s:i}", "target", o->target, "circuit",
			  (int)o->circuit, "snaplen", (int)o->snaplen),
		o->timeout * 1000, answer, fd, &n, why, sizeof(why));
	/* The capture is the socket's, and needs this no more. */
	client_close(&client);
	if (rc == -EREMOTEIO && !strncmp(why, "no method", 9))
		return fail("lqosd runs without its module capture: add it to "
			    "modules in lqos.ini");
	if (rc)
		return fail(why);
	if (n == 1)
		return EXIT_SUCCESS;
	json_decref(*answer);
	return fail("lqosd sent no socket: is it of another version?");
}

static int go(const struct capture_options *o)
{
	struct run run = {.o = o, .fd = -1};
	json_t *answer = NULL;
	int rc;

	if (o->write && !strcmp(o->write, "-") && isatty(1))
		return fail("stdout is a terminal, which cannot show pcapng: "
			    "pipe it, or name a file");
	run.buf = malloc(CAPTURE_BATCH_MAX);
	if (!run.buf || catch_signals())
		return fail(strerror(errno));
	capture_order_init(&run.order);
	run.wall = wall_ns();
	rc = ask(o, &run.fd, &answer);
	if (!rc) {
		rc = open_output(&run, json_object_get(answer, "interfaces"));
		if (!rc)
			rc = loop(&run);
		if (run.out)
			rc = finish(&run, rc);
		close(run.fd);
		json_decref(answer);
	}
	capture_order_clear(&run.order);
	free(run.buf);
	close(waker);
	return rc;
}

int main(int argc, char **argv)
{
	struct capture_options o;
	int rc = capture_options_read(&o, argc, argv);

	return rc < 0 ? go(&o) : rc;
}
