// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Wires that take their time, for kernels without netem: raw frames pass
 * between two interfaces of this network namespace, each at the time that the
 * kernel saw it arrive plus the delay of its way.  A frame never leaves early;
 * how late each left is counted, and logged if wanted, so that a test knows
 * what its wire did.  All wires are one process, to be pinned to a CPU of its
 * own.
 *
 * Tags that the kernel takes off frames (VLANs) are not put back, and frames of
 * more than FRAME_MAX (GRO, TSO) are not carried: offloads must be off.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
	WIRES_MAX = 8,
	FRAME_MAX = 1600,
	FRAMES = 4096, /* on all wires at a time */
	BATCH = 32,
	RECEIVE_ROOM = 16 << 20,
	SEND_ROOM = 64 << 20, /* what waits in a shaper's queue is ours still */
	MARGIN_NS = 50000,    /* from here on we wait awake */
	HELD_BACK_US = 2000,
	LOG_MAX = 1 << 20,
	MILLION = 1000000,
};

static const uint64_t NS = 1000000000;

struct frame {
	TAILQ_ENTRY(frame) next;
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	uint32_t len;
	unsigned char data[FRAME_MAX];
};
TAILQ_HEAD(frames, frame);

/* What a frame did; of its way the number. */
struct entry {
	uint64_t due_ns;
	uint32_t late_ns;
	uint16_t len;
	uint16_t way;
};

/* One direction of a wire. */
struct way {
	char from[IFNAMSIZ], to[IFNAMSIZ];
	uint64_t delay_ns;
	uint32_t loss_ppm, reorder_ppm, held_back_us;
	int fd;		 /* of from */
	struct way *out; /* whose fd is the one of to */
	struct frames queue;
	uint64_t forwarded, lost, reordered, refused, oversized, overrun;
};

static struct {
	struct way ways[2 * WIRES_MAX]; /* there and back, of each wire */
	unsigned int n;
	struct frames free;
	struct entry *log;
	size_t logged;
	uint64_t seed, wall_offset_ns;
	const char *log_path;
	int cpu;
	bool is_fifo;
} wire = {.seed = 1, .cpu = -1};

static volatile sig_atomic_t stopped;

static void die(const char *what)
{
	fprintf(stderr, "delaywire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS + (uint64_t)ts->tv_nsec;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return to_ns(&ts);
}

/* The same frames meet the same fate in each run (splitmix64). */
static bool happens(uint32_t ppm)
{
	uint64_t z;

	if (!ppm)
		return false;
	z = wire.seed += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % MILLION < ppm;
}

/* ---- In ------------------------------------------------------------------ */

/*
 * When the frame arrived, in CLOCK_MONOTONIC.  Whatever happens between the two
 * clocks makes it later, never earlier.
 */
static uint64_t arrival(struct msghdr *msg)
{
	uint64_t wall = now_ns(CLOCK_REALTIME), now = now_ns(CLOCK_MONOTONIC);
	struct cmsghdr *c;
	struct timespec ts;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SO_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		if (to_ns(&ts) < wall)
			return now - (wall - to_ns(&ts));
	}
	return now;
}

/* Hosts that do not find each other are not what is to be tested. */
static bool is_ip(const struct frame *f)
{
	uint16_t proto;

	if (f->len < ETH_HLEN)
		return false;
	memcpy(&proto, f->data + 2 * ETH_ALEN, sizeof(proto));
	return proto == htons(ETH_P_IP) || proto == htons(ETH_P_IPV6);
}

/* The queue is in the order of leaving; only what is held back is overtaken. */
static void put(struct way *w, struct frame *f)
{
	struct frame *before;

	TAILQ_FOREACH_REVERSE(before, &w->queue, frames, next)
	if (before->due_ns <= f->due_ns)
		break;
	if (before)
		TAILQ_INSERT_AFTER(&w->queue, before, f, next);
	else
		TAILQ_INSERT_HEAD(&w->queue, f, next);
}

static void take(struct way *w, struct frame *f, uint64_t at_ns)
{
	f->due_ns = at_ns + w->delay_ns;
	if (is_ip(f)) {
		if (happens(w->loss_ppm)) {
			w->lost++;
			TAILQ_INSERT_HEAD(&wire.free, f, next);
			return;
		}
		if (happens(w->reorder_ppm)) {
			w->reordered++;
			f->due_ns += w->held_back_us * 1000ULL;
		}
	}
	put(w, f);
}

/* Returns whether there may be more. */
static bool receive(struct way *w)
{
	char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr msgs[BATCH] = {0};
	struct frame *frames[BATCH];
	struct iovec iov[BATCH];
	char none[1];
	int i, n, room;

	for (room = 0; room < BATCH; room++) {
		frames[room] = TAILQ_FIRST(&wire.free);
		if (!frames[room])
			break;
		TAILQ_REMOVE(&wire.free, frames[room], next);
		iov[room] = (struct iovec){frames[room]->data, FRAME_MAX};
		msgs[room].msg_hdr.msg_iov = &iov[room];
		msgs[room].msg_hdr.msg_iovlen = 1;
		msgs[room].msg_hdr.msg_control = control[room];
		msgs[room].msg_hdr.msg_controllen = sizeof(control[room]);
	}
	if (!room) {
		if (recv(w->fd, none, sizeof(none), MSG_DONTWAIT) >= 0)
			w->overrun++;
		return false;
	}
	n = recvmmsg(w->fd, msgs, (unsigned int)room, MSG_DONTWAIT, NULL);
	for (i = 0; i < room; i++) {
		if (i >= n) {
			TAILQ_INSERT_HEAD(&wire.free, frames[i], next);
			continue;
		}
		frames[i]->len = msgs[i].msg_len;
		if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
			w->oversized++;
			TAILQ_INSERT_HEAD(&wire.free, frames[i], next);
			continue;
		}
		take(w, frames[i], arrival(&msgs[i].msg_hdr));
	}
	return n == room;
}

static void receive_all(void)
{
	unsigned int i;

	for (i = 0; i < wire.n; i++)
		while (receive(&wire.ways[i]))
			;
}

/* ---- Out ----------------------------------------------------------------- */

static void note(const struct way *w, const struct frame *f, uint64_t now)
{
	uint64_t late = now - f->due_ns;

	if (wire.logged == LOG_MAX)
		return;
	wire.log[wire.logged++] = (struct entry){
		.due_ns = f->due_ns,
		.late_ns = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX,
		.len = (uint16_t)f->len,
		.way = (uint16_t)(w - wire.ways),
	};
}

static struct way *next_way(void)
{
	struct way *w, *best = NULL;
	uint64_t due = UINT64_MAX;

	for (w = wire.ways; w < wire.ways + wire.n; w++) {
		struct frame *f = TAILQ_FIRST(&w->queue);

		if (f && f->due_ns < due) {
			due = f->due_ns;
			best = w;
		}
	}
	return best;
}

/* All that is due, in that order; returns when the next one will be. */
static uint64_t send_due(void)
{
	struct way *w;
	struct frame *f;
	uint64_t now;

	while ((w = next_way())) {
		f = TAILQ_FIRST(&w->queue);
		now = now_ns(CLOCK_MONOTONIC);
		if (f->due_ns > now)
			return f->due_ns;
		TAILQ_REMOVE(&w->queue, f, next);
		if (send(w->out->fd, f->data, f->len, MSG_DONTWAIT) < 0) {
			w->refused++;
		} else {
			w->forwarded++;
			note(w, f, now);
		}
		TAILQ_INSERT_HEAD(&wire.free, f, next);
	}
	return 0;
}

/* How long to sleep until there is something to send. */
static struct timespec until(uint64_t due)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), left = 0;

	if (due > now + MARGIN_NS)
		left = due - now - MARGIN_NS;
	else
		sched_yield(); /* another test's wires may be on this CPU */
	return (struct timespec){(time_t)(left / NS), (long)(left % NS)};
}

static void run(const sigset_t *while_waiting)
{
	struct pollfd fds[2 * WIRES_MAX];
	struct timespec timeout;
	uint64_t due;
	unsigned int i;

	for (i = 0; i < wire.n; i++)
		fds[i] = (struct pollfd){wire.ways[i].fd, POLLIN, 0};
	while (!stopped) {
		receive_all();
		due = send_due();
		if (due)
			timeout = until(due);
		if (ppoll(fds, wire.n, due ? &timeout : NULL, while_waiting) <
			    0 &&
		    errno != EINTR)
			die("ppoll");
	}
}

/* ---- The report ---------------------------------------------------------- */

static int by_lateness(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->late_ns > y->late_ns) - (x->late_ns < y->late_ns);
}

/* "late_us", of the n that were sorted. */
static void print_late(const struct entry *e, size_t n)
{
	double sum = 0, us = 1000;
	size_t i;

	for (i = 0; i < n; i++)
		sum += e[i].late_ns;
	printf("\"late_us\":{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,"
	       "\"p99\":%.1f,\"max\":%.1f}",
	       n ? sum / (double)n / us : 0.0, n ? e[n / 2].late_ns / us : 0.0,
	       n ? e[n * 90 / 100].late_ns / us : 0.0,
	       n ? e[n * 99 / 100].late_ns / us : 0.0,
	       n ? e[n - 1].late_ns / us : 0.0);
}

static void print_counts(const struct way *w, unsigned int n)
{
	struct way sum = {0};
	unsigned int i;

	for (i = 0; i < n; i++) {
		sum.forwarded += w[i].forwarded;
		sum.lost += w[i].lost;
		sum.reordered += w[i].reordered;
		sum.refused += w[i].refused;
		sum.oversized += w[i].oversized;
		sum.overrun += w[i].overrun;
	}
	printf("\"forwarded\":%llu,\"lost\":%llu,\"reordered\":%llu,"
	       "\"refused\":%llu,\"oversized\":%llu,\"overrun\":%llu,",
	       (unsigned long long)sum.forwarded, (unsigned long long)sum.lost,
	       (unsigned long long)sum.reordered,
	       (unsigned long long)sum.refused,
	       (unsigned long long)sum.oversized,
	       (unsigned long long)sum.overrun);
}

/* What the kernel had to throw away since we came too late. */
static unsigned int kernel_drops(const struct way *w)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	if (getsockopt(w->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		die("PACKET_STATISTICS");
	return stats.tp_drops;
}

static void report(void)
{
	unsigned int i, dropped = 0;
	size_t k, n;

	qsort(wire.log, wire.logged, sizeof(*wire.log), by_lateness);
	for (i = 0; i < wire.n; i++)
		dropped += kernel_drops(&wire.ways[i]);
	printf("{\"fifo\":%s,\"kernel_drops\":%u,",
	       wire.is_fifo ? "true" : "false", dropped);
	print_counts(wire.ways, wire.n);
	print_late(wire.log, wire.logged);
	printf(",\"ways\":[");
	for (i = 0; i < wire.n; i++) {
		const struct way *w = &wire.ways[i];
		struct entry *mine = malloc((w->forwarded + 1) * sizeof(*mine));

		if (!mine)
			die("memory");
		for (k = n = 0; k < wire.logged; k++)
			if (wire.log[k].way == i)
				mine[n++] = wire.log[k];
		printf("%s{\"from\":\"%s\",\"to\":\"%s\",\"delay_us\":%llu,",
		       i ? "," : "", w->from, w->to,
		       (unsigned long long)w->delay_ns / 1000);
		print_counts(w, 1);
		print_late(mine, n);
		printf("}");
		free(mine);
	}
	printf("]}\n");
}

/* A line a frame: from, to, bytes, when it was due (CLOCK_REALTIME), lateness.
 */
static void write_log(void)
{
	FILE *file;
	size_t i;

	if (!wire.log_path)
		return;
	file = fopen(wire.log_path, "w");
	if (!file)
		die(wire.log_path);
	for (i = 0; i < wire.logged; i++) {
		const struct entry *e = &wire.log[i];
		const struct way *w = &wire.ways[e->way];

		fprintf(file, "%s %s %u %llu %u\n", w->from, w->to, e->len,
			(unsigned long long)(e->due_ns + wire.wall_offset_ns),
			e->late_ns);
	}
	if (fclose(file))
		die(wire.log_path);
}

/* ---- Start --------------------------------------------------------------- */

static void on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, in = RECEIVE_ROOM, out = SEND_ROOM, fd;

	at.sll_ifindex = (int)if_nametoindex(name);
	if (!at.sll_ifindex)
		die(name);
	/* Nothing comes in before it is bound. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
		       sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one,
		       sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &in, sizeof(in)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out)) ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		die(name);
	return fd;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: delaywire [-c CPU] [-l LOG] [-s SEED] "
		"A,B,US_AB,US_BA[,LOSS_PPM[,REORDER_PPM[,HELD_BACK_US]]]...\n");
	exit(2);
}

/* One number of the list; the one that is there when it has ended. */
static unsigned long field(char **rest, unsigned long missing)
{
	char *text = strsep(rest, ","), *end;
	unsigned long value;

	if (!text)
		return missing;
	value = strtoul(text, &end, 10);
	if (end == text || *end)
		usage();
	return value;
}

static void add_wire(char *text)
{
	struct way *ab = &wire.ways[wire.n], *ba = ab + 1;
	char *a, *b;

	if (wire.n == 2 * WIRES_MAX)
		usage();
	a = strsep(&text, ",");
	b = strsep(&text, ",");
	if (!b || !text)
		usage();
	snprintf(ab->from, sizeof(ab->from), "%s", a);
	snprintf(ab->to, sizeof(ab->to), "%s", b);
	ab->delay_ns = 1000ULL * field(&text, 0);
	if (!text)
		usage();
	*ba = *ab;
	snprintf(ba->from, sizeof(ba->from), "%s", b);
	snprintf(ba->to, sizeof(ba->to), "%s", a);
	ba->delay_ns = 1000ULL * field(&text, 0);
	ab->loss_ppm = ba->loss_ppm = (uint32_t)field(&text, 0);
	ab->reorder_ppm = ba->reorder_ppm = (uint32_t)field(&text, 0);
	ab->held_back_us = ba->held_back_us =
		(uint32_t)field(&text, HELD_BACK_US);
	if (text)
		usage();
	ab->out = ba;
	ba->out = ab;
	wire.n += 2;
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:l:s:")) != -1) {
		switch (option) {
		case 'c':
			wire.cpu = atoi(optarg);
			break;
		case 'l':
			wire.log_path = optarg;
			break;
		case 's':
			wire.seed = strtoull(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (optind == argc)
		usage();
	for (; optind < argc; optind++)
		add_wire(argv[optind]);
}

/* As undisturbed as we are allowed to be. */
static void settle(void)
{
	const struct sched_param first = {.sched_priority = 10};
	cpu_set_t cpus;

	if (wire.cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned int)wire.cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			die("sched_setaffinity");
	}
	wire.is_fifo = !sched_setscheduler(0, SCHED_FIFO, &first);
	/* Without it there are faults on the way, which are in the log. */
	(void)mlockall(MCL_CURRENT);
}

static void take_room(void)
{
	struct frame *frames = calloc(FRAMES, sizeof(*frames));
	unsigned int i;

	wire.log =
		mmap(NULL, LOG_MAX * sizeof(*wire.log), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!frames || wire.log == MAP_FAILED)
		die("memory");
	TAILQ_INIT(&wire.free);
	for (i = 0; i < FRAMES; i++)
		TAILQ_INSERT_HEAD(&wire.free, &frames[i], next);
}

int main(int argc, char **argv)
{
	struct sigaction end = {.sa_handler = on_signal};
	sigset_t blocked, before;
	unsigned int i;

	parse(argc, argv);
	/* They come while we wait. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	take_room();
	for (i = 0; i < wire.n; i++) {
		TAILQ_INIT(&wire.ways[i].queue);
		wire.ways[i].fd = open_interface(wire.ways[i].from);
	}
	wire.wall_offset_ns = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC);
	fprintf(stderr, "ready\n");
	settle();
	run(&before);
	write_log();
	report();
	return 0;
}
