/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seqload.c - numbered packets through the lab, and which of them are missing.
 *
 * UDP both ways between each subscriber's address and a host in the internet,
 * evenly paced, each flow a bit slower than the one before it so that counts
 * tell flows apart, and one TCP stream towards a subscriber.  Runs until
 * SIGTERM or SIGINT, then says in one line of JSON what was sent and what
 * arrived.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum {
	FLOWS_MAX = 64,
	BATCH = 64,
	BURST = 8,	  /* what a late sender makes up for, at most */
	STEP = 64,	  /* every so many packets the time is noted */
	RANGES_MAX = 100, /* lost ranges that are told one by one */
	PORT = 7000,	  /* flow i has PORT + i at both ends */
	RECEIVE_ROOM = 64 << 20,
	DRAIN_MS = 700,
	LATE_MS = 10, /* on the way */
	PACKET_MAX = 1400,
	TCP_PORT = 6999,
	TCP_CHUNK = 16384,
};

static const uint64_t NS = 1000000000;
static const uint32_t MS = 1000000;

struct payload {
	uint32_t flow;
	uint32_t seq;
	uint64_t sent_ns;
};

struct flow {
	const char *address; /* the subscriber's */
	bool up;
	int tx, rx;
	/* The sender's. */
	uint32_t sent, refused;
	uint32_t *sent_ms; /* of each STEP-th packet, since the beginning */
	/* The receiver's. */
	uint8_t *seen; /* a bit a packet */
	uint32_t seen_room;
	uint32_t received, twice, reordered, late, highest;
	uint64_t last_ns, longest_gap_ns, longest_gap_at_ns, longest_delay_ns;
};

struct stream {
	int listener, tx, rx;
	uint64_t sent, received;
};

static struct load {
	const char *subs, *inet, *inet4, *inet6, *tcp;
	unsigned int rate, size, tcp_kbit;
	struct flow flows[FLOWS_MAX];
	unsigned int n;
	struct stream stream;
	uint64_t turn; /* of all flows, to send a packet */
	uint64_t began_ns, longest_pause_ns;
	uint32_t skipped; /* packets not sent since the sender came too late */
	int epoll;
} load = {.rate = 1000, .size = 200, .tcp_kbit = 10000};

static atomic_bool stopped, drained;

static void die(const char *what)
{
	fprintf(stderr, "seqload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static void *grown(void *at, size_t size, size_t old)
{
	char *new = realloc(at, size);

	if (!new)
		die("memory");
	memset(new + old, 0, size - old);
	return new;
}

/* ---- Sockets ------------------------------------------------------------- */

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(netns);
	close(fd);
}

static struct addrinfo *address_of(const char *host, unsigned int port,
				   int type)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = type,
	};
	struct addrinfo *found;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found)) {
		fprintf(stderr, "seqload: \"%s\" is no address\n", host);
		exit(1);
	}
	return found;
}

/* A socket in netns, bound to host and port. */
static int bound(const char *netns, const char *host, unsigned int port,
		 int type)
{
	struct addrinfo *at = address_of(host, port, type);
	int one = 1, fd;

	enter(netns);
	fd = socket(at->ai_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, at->ai_addr, at->ai_addrlen))
		die(host);
	freeaddrinfo(at);
	return fd;
}

static void connect_to(int fd, const char *host, unsigned int port, int type)
{
	struct addrinfo *to = address_of(host, port, type);

	if (connect(fd, to->ai_addr, to->ai_addrlen))
		die(host);
	freeaddrinfo(to);
}

static const char *peer_of(const char *address)
{
	return strchr(address, ':') ? load.inet6 : load.inet4;
}

static void watch(int fd, struct flow *f)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = f};

	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll");
}

static void open_flow(struct flow *f, unsigned int port)
{
	const char *peer = peer_of(f->address);
	const char *from = f->up ? f->address : peer;
	const char *to = f->up ? peer : f->address;
	bool v6 = strchr(f->address, ':');
	int one = 1, room = RECEIVE_ROOM;

	f->tx = bound(f->up ? load.subs : load.inet, from, port, SOCK_DGRAM);
	f->rx = bound(f->up ? load.inet : load.subs, to, port, SOCK_DGRAM);
	connect_to(f->tx, to, port, SOCK_DGRAM);
	/* What our own stack refuses to take is not lost on the way. */
	if (setsockopt(f->tx, v6 ? SOL_IPV6 : SOL_IP,
		       v6 ? IPV6_RECVERR : IP_RECVERR, &one, sizeof(one)) ||
	    setsockopt(f->rx, SOL_SOCKET, SO_RCVBUFFORCE, &room,
		       sizeof(room)) ||
	    setsockopt(f->rx, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		die(f->address);
	watch(f->rx, f);
}

static void open_stream(struct stream *s)
{
	const char *peer;
	int one = 1;

	if (!load.tcp)
		return;
	peer = peer_of(load.tcp);
	s->listener = bound(load.inet, peer, TCP_PORT, SOCK_STREAM);
	s->rx = bound(load.subs, load.tcp, TCP_PORT, SOCK_STREAM);
	if (listen(s->listener, 1))
		die("listen");
	connect_to(s->rx, peer, TCP_PORT, SOCK_STREAM);
	s->tx = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (s->tx < 0 ||
	    setsockopt(s->tx, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("accept");
	watch(s->rx, NULL);
}

/* ---- Sending ------------------------------------------------------------- */

static void note_time(struct flow *f)
{
	size_t i = f->sent / STEP;

	if (f->sent % STEP)
		return;
	if (i % 1024 == 0)
		f->sent_ms = grown(f->sent_ms, (i + 1024) * sizeof(*f->sent_ms),
				   i * sizeof(*f->sent_ms));
	f->sent_ms[i] = (now_ns(CLOCK_REALTIME) - load.began_ns) / MS;
}

static void send_packet(struct flow *f)
{
	char packet[PACKET_MAX] = {0};
	struct payload p = {f - load.flows, f->sent, now_ns(CLOCK_REALTIME)};

	memcpy(packet, &p, sizeof(p));
	note_time(f);
	if (send(f->tx, packet, load.size, 0) == (ssize_t)load.size)
		f->sent++;
	else
		f->refused++;
}

static void send_stream(struct stream *s, uint64_t due)
{
	static const char data[TCP_CHUNK];
	ssize_t n;

	/* What is late is late: the stream is to be no burst either. */
	if (due > sizeof(data))
		due = sizeof(data);
	n = send(s->tx, data, due, MSG_NOSIGNAL);
	if (n > 0)
		s->sent += (uint64_t)n;
}

/* Flow i leaves out i of 4 n packets, never two in a row. */
static bool leaves_out(unsigned int i)
{
	unsigned int period = 4 * load.n;

	return load.turn % period * i % period < i;
}

/* One millisecond's share of everything. */
static void send_due(unsigned int due)
{
	unsigned int i, k;

	if (due > BURST) {
		load.skipped += (due - BURST) * load.n;
		due = BURST;
	}
	for (k = 0; k < due; k++, load.turn++)
		for (i = 0; i < load.n; i++)
			if (!leaves_out(i))
				send_packet(&load.flows[i]);
}

static void send_all(void)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), next = start, last = start;
	uint64_t packets = 0, bytes = 0, now, want;
	struct timespec at;

	while (!stopped) {
		next += MS;
		at = (struct timespec){(time_t)(next / NS), (long)(next % NS)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		now = now_ns(CLOCK_MONOTONIC);
		if (now - last > load.longest_pause_ns)
			load.longest_pause_ns = now - last;
		last = now;
		if (now > next)
			next = now;
		want = (now - start) * load.rate / NS;
		send_due((unsigned int)(want - packets));
		packets = want;
		if (!load.tcp)
			continue;
		want = (now - start) * load.tcp_kbit / 8 / MS;
		send_stream(&load.stream, want - bytes);
		bytes = want;
	}
}

/* ---- Receiving ----------------------------------------------------------- */

static uint64_t arrival(struct msghdr *msg)
{
	struct cmsghdr *c;
	struct timespec ts;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SO_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
	}
	return now_ns(CLOCK_REALTIME);
}

/* Has it been seen before?  From now on it has. */
static bool mark_seen(struct flow *f, uint32_t seq)
{
	uint32_t room = f->seen_room ?: 8192;
	uint8_t bit = 1 << seq % 8;
	bool was;

	while (seq / 8 >= room)
		room *= 2;
	if (room > f->seen_room) {
		f->seen = grown(f->seen, room, f->seen_room);
		f->seen_room = room;
	}
	was = f->seen[seq / 8] & bit;
	f->seen[seq / 8] |= bit;
	return was;
}

static void take(struct flow *f, const struct payload *p, uint64_t at_ns)
{
	if (mark_seen(f, p->seq)) {
		f->twice++;
		return;
	}
	f->received++;
	if (p->seq < f->highest)
		f->reordered++;
	else
		f->highest = p->seq;
	if (f->last_ns && at_ns > f->last_ns + f->longest_gap_ns) {
		f->longest_gap_ns = at_ns - f->last_ns;
		f->longest_gap_at_ns = at_ns;
	}
	f->last_ns = at_ns;
	if (at_ns > p->sent_ns + LATE_MS * MS)
		f->late++;
	if (at_ns > p->sent_ns + f->longest_delay_ns)
		f->longest_delay_ns = at_ns - p->sent_ns;
}

static void receive_flow(struct flow *f)
{
	char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr msgs[BATCH] = {0};
	struct payload data[BATCH];
	struct iovec iov[BATCH];
	int i, n;

	for (i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){&data[i], sizeof(data[i])};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_control = control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(f->rx, msgs, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++)
		if (data[i].flow == f - load.flows)
			take(f, &data[i], arrival(&msgs[i].msg_hdr));
}

static void receive_stream(struct stream *s)
{
	static char data[1 << 16];
	ssize_t n = recv(s->rx, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		s->received += (uint64_t)n;
	else if (!n)
		epoll_ctl(load.epoll, EPOLL_CTL_DEL, s->rx, NULL);
}

static void *receive_all(void *arg)
{
	struct epoll_event events[BATCH];
	int i, n;

	while (!drained) {
		n = epoll_wait(load.epoll, events, BATCH, 50);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				receive_flow(events[i].data.ptr);
			else
				receive_stream(&load.stream);
		}
	}
	return arg;
}

/* ---- The report ---------------------------------------------------------- */

static uint32_t receiver_drops(const struct flow *f)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(f->rx, SOL_SOCKET, SO_MEMINFO, info, &len))
		die("SO_MEMINFO");
	return info[SK_MEMINFO_DROPS];
}

static bool is_missing(const struct flow *f, uint32_t seq)
{
	return seq / 8 >= f->seen_room || !(f->seen[seq / 8] >> seq % 8 & 1);
}

static void print_ranges(void)
{
	const char *comma = "";
	unsigned int i, told = 0;
	uint32_t seq, n;

	printf("\"ranges\":[");
	for (i = 0; i < load.n; i++) {
		const struct flow *f = &load.flows[i];

		for (seq = 0; seq < f->sent && told < RANGES_MAX; seq += n) {
			for (n = 0; seq + n < f->sent && is_missing(f, seq + n);
			     n++)
				;
			if (!n) {
				n = 1;
				continue;
			}
			printf("%s{\"address\":\"%s\",\"up\":%s,\"first\":%u,"
			       "\"n\":%u,\"at_ms\":%u}",
			       comma, f->address, f->up ? "true" : "false", seq,
			       n, f->sent_ms[seq / STEP]);
			comma = ",";
			told++;
		}
	}
	printf("]");
}

static void print_flows(void)
{
	unsigned int i;

	printf("\"flows\":[");
	for (i = 0; i < load.n; i++) {
		const struct flow *f = &load.flows[i];

		printf("%s{\"address\":\"%s\",\"up\":%s,\"sent\":%u,"
		       "\"refused\":%u,\"received\":%u,\"twice\":%u,"
		       "\"reordered\":%u,\"late\":%u,\"receiver_drops\":%u,"
		       "\"longest_gap_ms\":%.1f,\"gap_ended_ms\":%.0f,"
		       "\"longest_delay_ms\":%.1f}",
		       i ? "," : "", f->address, f->up ? "true" : "false",
		       f->sent, f->refused, f->received, f->twice, f->reordered,
		       f->late, receiver_drops(f),
		       (double)f->longest_gap_ns / MS,
		       f->longest_gap_at_ns ? (double)(f->longest_gap_at_ns -
						       load.began_ns) /
						      MS
					    : 0.0,
		       (double)f->longest_delay_ns / MS);
	}
	printf("]");
}

static void print_stream(const struct stream *s)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (!load.tcp)
		return;
	if (getsockopt(s->tx, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO");
	printf("\"tcp\":{\"address\":\"%s\",\"sent\":%llu,\"received\":%llu,"
	       "\"retransmits\":%u,\"needless\":%u,\"reordered\":%u},",
	       load.tcp, (unsigned long long)s->sent,
	       (unsigned long long)s->received, info.tcpi_total_retrans,
	       info.tcpi_dsack_dups, info.tcpi_reord_seen);
}

static void report(uint64_t sent_ns)
{
	printf("{\"began\":%.3f,\"seconds\":%.3f,\"longest_pause_ms\":%.1f,"
	       "\"skipped\":%u,",
	       (double)load.began_ns / (double)NS, (double)sent_ns / (double)NS,
	       (double)load.longest_pause_ns / MS, load.skipped);
	print_stream(&load.stream);
	print_flows();
	printf(",");
	print_ranges();
	printf("}\n");
}

/* ---- Start --------------------------------------------------------------- */

static void on_signal(int signo)
{
	(void)signo;
	stopped = true;
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "s:i:4:6:r:l:t:k:")) != -1) {
		switch (option) {
		case 's':
			load.subs = optarg;
			break;
		case 'i':
			load.inet = optarg;
			break;
		case '4':
			load.inet4 = optarg;
			break;
		case '6':
			load.inet6 = optarg;
			break;
		case 'r':
			load.rate = strtoul(optarg, NULL, 10);
			break;
		case 'l':
			load.size = strtoul(optarg, NULL, 10);
			break;
		case 't':
			load.tcp = optarg;
			break;
		case 'k':
			load.tcp_kbit = strtoul(optarg, NULL, 10);
			break;
		default:
			exit(2);
		}
	}
	if (load.subs && load.inet && load.inet4 && load.inet6 &&
	    load.size >= sizeof(struct payload) && load.size <= PACKET_MAX &&
	    load.rate && 2 * (argc - optind) <= FLOWS_MAX)
		return;
	fprintf(stderr,
		"usage: seqload -s SUBSCRIBERS_NETNS -i INTERNET_NETNS "
		"-4 ADDRESS -6 ADDRESS [-r PACKETS_PER_SECOND] "
		"[-l BYTES] [-t TCP_ADDRESS] [-k TCP_KBIT] ADDRESS...\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const struct sched_param first = {.sched_priority = 1};
	pthread_t receiver;
	unsigned int i;
	uint64_t sent_ns;

	parse(argc, argv);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (; optind < argc; optind++)
		for (i = 0; i < 2; i++) {
			load.flows[load.n] =
				(struct flow){.address = argv[optind], .up = i};
			open_flow(&load.flows[load.n], PORT + load.n);
			load.n++;
		}
	open_stream(&load.stream);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	/* A busy machine is not to look like a gap; there is little to do. */
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		perror("seqload: SCHED_FIFO");
	errno = pthread_create(&receiver, NULL, receive_all, NULL);
	if (errno)
		die("thread");
	load.began_ns = now_ns(CLOCK_REALTIME);
	send_all();
	sent_ns = now_ns(CLOCK_REALTIME) - load.began_ns;
	usleep(DRAIN_MS * 1000);
	drained = true;
	pthread_join(receiver, NULL);
	report(sent_ns);
	return 0;
}
