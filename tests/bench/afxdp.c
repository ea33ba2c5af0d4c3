/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * afxdp.c - numbered packets over a veth pair by AF_XDP, for the benchmark xsk:
 * the sender, and who asks for round trips.  afxdp_receive.c has those who
 * receive.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/lqos/inet.h"
#include "tests/bench/afxdp.h"

enum { PATIENCE_US = 200000 };

volatile bool afxdp_over;

static void on_signal(int number)
{
	(void)number;
	afxdp_over = true;
}

double afxdp_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint64_t afxdp_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void afxdp_die(const char *what, const char *why)
{
	fprintf(stderr, "afxdp: %s: %s\n", what, why);
	exit(1);
}

/* ---- Packets ------------------------------------------------------------- */

/* UDP from 10.77.0.1 to 10.77.0.2, between addresses that are nobody's. */
static void build(uint8_t *data, uint32_t len)
{
	static const uint8_t ether[] = {2, 0, 0, 0, 77, 2, 2, 0, 0, 0, 77, 1};
	struct lqos_inet in;

	memset(data, 0, len);
	memcpy(data, ether, sizeof(ether));
	lqos_put16(data + 12, 0x0800);
	data[14] = 0x45;
	lqos_put16(data + 16, (uint16_t)(len - 14));
	data[22] = 64;
	data[23] = 17;
	lqos_put32(data + 26, 0x0a4d0001);
	lqos_put32(data + 30, 0x0a4d0002);
	lqos_put16(data + 34, 7000);
	lqos_put16(data + 36, AFXDP_PORT);
	lqos_put16(data + 38, (uint16_t)(len - 34));
	if (lqos_inet_parse(data, len, &in))
		afxdp_die("frame", "it is no packet");
	lqos_inet_set_checksums(data, &in);
	/* None: each has another number. */
	lqos_put16(data + 40, 0);
}

static void number(uint8_t *data, uint64_t n)
{
	memcpy(data + AFXDP_HEADERS, &n, sizeof(n));
}

uint64_t afxdp_number(const uint8_t *data, uint32_t len)
{
	uint64_t n;

	/* The kernel sends frames of its own now and then. */
	if (len < AFXDP_HEADERS + sizeof(n) || data[12] != 8 || data[13] ||
	    lqos_get16(data + 36) != AFXDP_PORT || data[23] != 17)
		return UINT64_MAX;
	memcpy(&n, data + AFXDP_HEADERS, sizeof(n));
	return n;
}

void afxdp_saw(struct afxdp_count *count, uint64_t n)
{
	if (!count->received++)
		count->first = n;
	else if (n <= count->last)
		count->backwards++;
	if (n > count->last)
		count->last = n;
}

void afxdp_swap(uint8_t *data)
{
	uint8_t to[6];

	memcpy(to, data, 6);
	memcpy(data, data + 6, 6);
	memcpy(data + 6, to, 6);
}

/* ---- Sending ------------------------------------------------------------- */

struct line {
	struct lqos_umem *umem;
	struct lqos_xsk *xsk;
	struct lqos_xsk_hook *hook;
};

/* A socket that what comes back goes to. */
static void open_line(struct line *line, const struct afxdp_options *o)
{
	const struct lqos_umem_options u = {
		.frame_size = AFXDP_FRAME_SIZE,
		.frames = AFXDP_FRAMES,
		.fill_size = AFXDP_RING,
		.comp_size = AFXDP_RING,
	};
	const struct lqos_xsk_options x = {.rx_size = AFXDP_RING,
					   .tx_size = AFXDP_RING,
					   .copy = LQOS_XSK_COPY};
	char why[256];

	if (lqos_umem_create(&u, &line->umem, why, sizeof(why)) ||
	    lqos_xsk_open(line->umem, o->interface, 0, &x, &line->xsk, why,
			  sizeof(why)) ||
	    lqos_xsk_hook_open(o->interface,
			       o->generic ? LQOS_XSK_GENERIC : LQOS_XSK_NATIVE,
			       false, &line->hook, why, sizeof(why)))
		afxdp_die(o->interface, why);
	if (lqos_xsk_hook_add(line->hook, line->xsk))
		afxdp_die(o->interface, "the socket is not in its map");
}

static void close_line(struct line *line)
{
	lqos_xsk_hook_close(&line->hook);
	lqos_xsk_close(&line->xsk);
	lqos_umem_destroy(&line->umem);
}

static uint32_t prepare(struct line *line, struct lqos_xsk_frame *frames,
			uint32_t n, uint64_t next, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < n && !lqos_umem_alloc(line->umem, &frames[i]); i++) {
		uint8_t *data = lqos_xsk_put(line->umem, &frames[i], len);

		/* Most were built in an earlier turn. */
		if (data[12] != 8 || lqos_get16(data + 36) != AFXDP_PORT)
			build(data, len);
		number(data, next + i);
	}
	return i;
}

static int send_packets(const struct afxdp_options *o)
{
	struct lqos_xsk_frame frames[AFXDP_BATCH];
	struct lqos_xsk_stats stats = {};
	struct line line = {};
	uint64_t sent = 0, cpu;
	double began, now;
	uint32_t n, due;

	open_line(&line, o);
	cpu = afxdp_cpu_ns();
	began = now = afxdp_now();
	while (!afxdp_over && (now = afxdp_now()) - began < o->seconds) {
		due = AFXDP_BATCH;
		if (o->rate) {
			double ahead =
				(now - began) * (double)o->rate - (double)sent;

			due = ahead < 1		    ? 0
			      : ahead < AFXDP_BATCH ? (uint32_t)ahead
						    : AFXDP_BATCH;
		}
		if (due > lqos_xsk_tx_room(line.xsk))
			due = lqos_xsk_tx_room(line.xsk);
		n = prepare(&line, frames, due, sent, o->len);
		if (n && !lqos_xsk_tx(line.xsk, frames, n))
			afxdp_die(o->interface, "the TX ring took nothing");
		sent += n;
		lqos_xsk_kick(line.xsk);
		lqos_xsk_reap(line.xsk);
	}
	cpu = afxdp_cpu_ns() - cpu;
	lqos_xsk_stats(line.xsk, &stats);
	printf("{\"sent\": %llu, \"seconds\": %.3f, \"cpu_ns\": %.1f, "
	       "\"packets_a_call\": %.1f, \"refused\": %llu, "
	       "\"came_back\": %llu}\n",
	       (unsigned long long)sent, now - began,
	       sent ? (double)cpu / (double)sent : 0,
	       stats.kicks ? (double)sent / (double)stats.kicks : 0,
	       (unsigned long long)stats.tx_dropped,
	       (unsigned long long)stats.rx_dropped);
	close_line(&line);
	return 0;
}

/* ---- Round trips --------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The answer with this number: µs, or -1. */
static double round_trip(struct line *line, uint64_t n, uint32_t len)
{
	struct lqos_xsk_frame frames[AFXDP_BATCH];
	double began;
	uint32_t got, i;
	bool found = false;

	if (prepare(line, frames, 1, n, len) != 1 ||
	    !lqos_xsk_tx(line->xsk, frames, 1))
		return -1;
	began = afxdp_now();
	lqos_xsk_kick(line->xsk);
	while (!found && afxdp_now() - began < PATIENCE_US / 1e6) {
		got = lqos_xsk_rx(line->xsk, frames, AFXDP_BATCH);
		for (i = 0; i < got; i++)
			found = found || afxdp_number(lqos_xsk_data(line->umem,
								    &frames[i]),
						      frames[i].len) == n;
		lqos_umem_free(line->umem, frames, got);
		if (got)
			lqos_xsk_refill(line->xsk);
	}
	began = afxdp_now() - began;
	lqos_xsk_reap(line->xsk);
	return found ? began * 1e6 : -1;
}

static int ping(const struct afxdp_options *o)
{
	double *us = calloc(o->count, sizeof(*us)), one;
	struct line line = {};
	uint32_t i, n = 0, lost = 0;

	if (!us)
		afxdp_die("ping", strerror(ENOMEM));
	open_line(&line, o);
	/* Half of them: the others are for what is sent. */
	lqos_xsk_refill(line.xsk);
	for (i = 0; i < o->count && !afxdp_over; i++) {
		one = round_trip(&line, i, o->len);
		if (one < 0)
			lost++;
		else
			us[n++] = one;
	}
	qsort(us, n, sizeof(*us), by_value);
	if (!n)
		afxdp_die(o->interface, "nobody answers");
	printf("{\"answers\": %u, \"lost\": %u, \"p50\": %.1f, \"p90\": %.1f, "
	       "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
	       n, lost, us[n / 2], us[n / 10 * 9], us[n / 100 * 99],
	       us[(uint64_t)n * 999 / 1000], us[n - 1]);
	close_line(&line);
	free(us);
	return 0;
}

/* ---- Command line -------------------------------------------------------- */

static void usage(void)
{
	fputs("usage: afxdp send|ping|receive INTERFACE [how=plain|lib|event|"
	      "packet] [swap=1]\n"
	      "       [mode=native|generic] [len=BYTES] [rate=PER_SECOND] "
	      "[seconds=S] [count=N] [cpu=N]\n",
	      stderr);
	exit(2);
}

static void set(struct afxdp_options *o, const char *key, const char *value)
{
	if (!strcmp(key, "how"))
		o->how = value;
	else if (!strcmp(key, "swap"))
		o->swap = atoi(value);
	else if (!strcmp(key, "mode"))
		o->generic = !strcmp(value, "generic");
	else if (!strcmp(key, "len"))
		o->len = (uint32_t)atoi(value);
	else if (!strcmp(key, "rate"))
		o->rate = strtoull(value, NULL, 10);
	else if (!strcmp(key, "seconds"))
		o->seconds = atof(value);
	else if (!strcmp(key, "count"))
		o->count = (uint32_t)atoi(value);
	else if (!strcmp(key, "cpu"))
		o->cpu = atoi(value);
	else
		usage();
}

int main(int argc, char **argv)
{
	struct afxdp_options o = {.how = "lib",
				  .len = 60,
				  .seconds = 1,
				  .count = 10000,
				  .cpu = -1};
	const struct sigaction over = {.sa_handler = on_signal};
	cpu_set_t cpus;

	if (argc < 3)
		usage();
	o.interface = argv[2];
	for (int i = 3; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			usage();
		*value = '\0';
		set(&o, argv[i], value + 1);
	}
	if (o.len < AFXDP_HEADERS + 8 || o.len > 1514)
		afxdp_die("len", "50 to 1514 bytes are possible");
	CPU_ZERO(&cpus);
	CPU_SET(o.cpu < 0 ? 0 : o.cpu, &cpus);
	if (o.cpu >= 0 && sched_setaffinity(0, sizeof(cpus), &cpus))
		afxdp_die("cpu", strerror(errno));
	sigaction(SIGTERM, &over, NULL);
	sigaction(SIGINT, &over, NULL);
	if (!strcmp(argv[1], "send"))
		return send_packets(&o);
	if (!strcmp(argv[1], "ping"))
		return ping(&o);
	if (!strcmp(argv[1], "receive"))
		return afxdp_receive(&o);
	usage();
}
