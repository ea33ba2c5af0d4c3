/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Traffic through namespaces without a stack at its ends, and what came
 * through.
 *
 *	traffic flood|open|talk|look OPTION=VALUE...
 *
 * flood: as fast as it goes, down, to measure frames a second.  open: a packet
 * each way of each flow, so that the flow is there.  talk: a part of the
 * subscribers, each second.  look: sends nothing, counts what others send.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "tests/bench/traffic.h"
#include "tests/bench/traffic.skel.h"

enum {
	BATCH = 64,
	MANY = 200000, /* runs, many of them in vain */
	LENGTH_MIN = 60,
	LENGTH_MAX = 1514,
	PARTS = 5,		   /* of a second */
	SUBSCRIBERS4 = 0x64400100, /* 100.64.1.0 */
};

/* One end: a namespace with an Ethernet interface. */
struct end {
	const char *ns;
	int fd;
	uint32_t ifindex;
	uint8_t mac[ETH_ALEN];
	struct bpf_tc_hook hook;
};

static struct end subs, inet;
static const char *device = "eth0";
static unsigned long count = 1000000, flows = 10000, subscribers = 1000,
		     length = 128, seconds = 3, percent = 20, cpu, rotating = 1,
		     window;
static struct traffic_bpf *skel;
static uint8_t frame[LENGTH_MAX];

static void __attribute__((noreturn, format(printf, 2, 3)))
die(int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("traffic: ", stderr);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "%s%s\n", rc ? ": " : "", rc ? strerror(-rc) : "");
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
	struct timespec ts = {.tv_sec = (time_t)when};

	ts.tv_nsec = (long)((when - (double)ts.tv_sec) * 1e9);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* ---- The ends ------------------------------------------------------------ */

static void enter(const struct end *end)
{
	if (setns(end->fd, CLONE_NEWNET))
		die(-errno, "cannot enter namespace %s", end->ns);
}

static void open_end(struct end *end)
{
	struct ifreq request = {};
	autoclose int fd = -1;

	if (!end->ns)
		die(0, "both subs=NAMESPACE and inet=NAMESPACE are needed");
	end->fd = open(end->ns, O_RDONLY | O_CLOEXEC);
	if (end->fd < 0)
		die(-errno, "cannot open namespace %s", end->ns);
	enter(end);
	end->ifindex = if_nametoindex(device);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
		die(-errno, "no hardware address of %s in %s", device, end->ns);
	memcpy(end->mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
}

/* What arrives at an end goes through that program from here on. */
static void attach(struct end *end, const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(prog));
	int rc;

	enter(end);
	end->hook = (struct bpf_tc_hook){
		.sz = sizeof(end->hook),
		.ifindex = (int)end->ifindex,
		.attach_point = BPF_TC_INGRESS,
	};
	rc = bpf_tc_hook_create(&end->hook);
	if (!rc)
		rc = bpf_tc_attach(&end->hook, &opts);
	if (rc)
		die(rc, "cannot attach to %s in %s", device, end->ns);
}

static void detach(struct end *end)
{
	if (!end->hook.sz)
		return;
	enter(end);
	end->hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&end->hook);
}

static void clean_up(void)
{
	detach(&subs);
	detach(&inet);
	traffic_bpf__destroy(skel);
}

static struct traffic_seen seen(void)
{
	const volatile struct traffic_seen *row = skel->bss->traffic_seen;
	struct traffic_seen sum = {};
	int i;

	for (i = 0; i < TRAFFIC_CPUS; i++) {
		sum.skbs += row[i].skbs;
		sum.segments += row[i].segments;
		sum.bytes += row[i].bytes;
	}
	return sum;
}

/* ---- Frames -------------------------------------------------------------- */

/* What the program leaves as it is. */
static void make_frame(bool up, bool tcp)
{
	struct ether_header *eth = (struct ether_header *)frame;
	struct iphdr *ip = (struct iphdr *)(eth + 1);

	memset(frame, 0, sizeof(frame));
	memcpy(eth->ether_dhost, up ? inet.mac : subs.mac, ETH_ALEN);
	memcpy(eth->ether_shost, up ? subs.mac : inet.mac, ETH_ALEN);
	eth->ether_type = htons(ETHERTYPE_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	if (tcp) {
		struct tcphdr *l4 = (struct tcphdr *)(ip + 1);

		length =
			sizeof(*eth) + sizeof(*ip) + sizeof(*l4) + TRAFFIC_DATA;
		l4->doff = 5;
		l4->ack = 1;
		l4->psh = 1;
		l4->window = htons(65535);
	} else {
		struct udphdr *l4 = (struct udphdr *)(ip + 1);

		l4->len = htons(length - sizeof(*eth) - sizeof(*ip));
	}
	ip->tot_len = htons(length - sizeof(*eth));
}

/* So many frames, as fast as it goes; the first is of flow first. */
static void send_frames(unsigned long n, unsigned long first)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = length, .batch_size = BATCH,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	uint64_t goal = skel->bss->traffic_sent + n;
	int rc;

	skel->bss->traffic_knobs.first =
		(uint32_t)(first - skel->bss->traffic_sent);
	while (skel->bss->traffic_sent < goal) {
		opts.repeat = (int)(goal - skel->bss->traffic_sent);
		if (skel->bss->traffic_knobs.window && opts.repeat < MANY)
			opts.repeat = MANY;
		skel->bss->traffic_knobs.goal = goal;
		rc = bpf_prog_test_run_opts(
			bpf_program__fd(skel->progs.traffic_send), &opts);
		if (rc)
			die(rc,
			    "cannot send live frames from %s: Linux 5.18 can",
			    device);
	}
}

static void direct(bool up, bool tcp)
{
	struct end *from = up ? &subs : &inet;

	make_frame(up, tcp);
	enter(from);
	skel->bss->traffic_knobs.ifindex = from->ifindex;
	skel->bss->traffic_knobs.up = up;
	skel->bss->traffic_knobs.tcp = tcp;
}

static void report(double took, unsigned long sent,
		   const struct traffic_seen *from)
{
	struct traffic_seen to = seen();

	printf("{\"seconds\": %.4f, \"sent\": %lu, \"skbs\": %llu, "
	       "\"segments\": %llu, \"bytes\": %llu}\n",
	       took, sent, to.skbs - from->skbs, to.segments - from->segments,
	       to.bytes - from->bytes);
}

/* ---- What it can do ------------------------------------------------------ */

/* The first tenth is not measured. */
static void flood(void)
{
	struct traffic_seen from;

	attach(&subs, skel->progs.traffic_take);
	skel->bss->traffic_knobs.shuffled = true;
	direct(false, false);
	send_frames(count / 10, 0);
	skel->bss->traffic_began = 0;
	from = seen();
	send_frames(count, 0);
	report((double)(skel->bss->traffic_ended - skel->bss->traffic_began) /
		       1e9,
	       count, &from);
}

/* Both ways of the flows from first on, the second behind the first by the
 * time that these take. */
static void exchange(unsigned long n, unsigned long first, unsigned long round)
{
	skel->bss->traffic_knobs.round = (uint32_t)round;
	direct(false, true);
	send_frames(n, first);
	direct(true, true);
	send_frames(n, first);
}

static void take_both(void)
{
	attach(&subs, skel->progs.traffic_take);
	attach(&inet, skel->progs.traffic_take);
}

/* Down first: what is answered is kept. */
static void open_flows(void)
{
	struct traffic_seen from;
	double began = now();

	take_both();
	from = seen();
	exchange(flows, 0, 0);
	report(now() - began, 2 * flows, &from);
}

/* Each second another part of the subscribers, or always the same, five times
 * each way, each time by another of their flows. */
static void talk(void)
{
	unsigned long of_each = flows / subscribers ?: 1, part, visit;
	unsigned long active = subscribers * percent / 100;
	struct traffic_seen from;
	double began, next;

	take_both();
	from = seen();
	began = next = now();
	for (visit = 0; visit < seconds * PARTS; visit++) {
		part = rotating ? visit / PARTS * active % subscribers : 0;
		exchange(active, visit % of_each * subscribers + part,
			 1 + visit / of_each);
		next += 1.0 / PARTS;
		sleep_until(next);
	}
	report(now() - began, 2 * active * visit, &from);
}

static void look(void)
{
	struct traffic_seen from;
	double began;

	attach(&subs, skel->progs.traffic_look);
	from = seen();
	began = now();
	sleep_until(began + (double)seconds);
	report(now() - began, 0, &from);
}

/* ---- Command line -------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{"flood", flood}, {"open", open_flows}, {"talk", talk}, {"look", look}};

static const struct {
	const char *name;
	unsigned long *number;
	const char **text;
} options[] = {
	{"subs", NULL, &subs.ns},
	{"inet", NULL, &inet.ns},
	{"device", NULL, &device},
	/* At most so many on their way; 0: any number. */
	{"window", &window, NULL},
	{"count", &count, NULL},
	{"flows", &flows, NULL},
	{"subscribers", &subscribers, NULL},
	{"length", &length, NULL},
	{"seconds", &seconds, NULL},
	{"percent", &percent, NULL}, /* of the subscribers, each second */
	{"rotating", &rotating, NULL},
	{"cpu", &cpu, NULL},
};

static void set(const char *argument)
{
	const char *value = strchr(argument, '=');
	char *end;
	size_t i;

	for (i = 0; value && i < sizeof(options) / sizeof(options[0]); i++) {
		size_t len = value - argument;

		if (strlen(options[i].name) != len ||
		    memcmp(options[i].name, argument, len) != 0)
			continue;
		if (options[i].text) {
			*options[i].text = value + 1;
			return;
		}
		errno = 0;
		*options[i].number = strtoul(value + 1, &end, 10);
		if (!errno && end != value + 1 && !*end)
			return;
	}
	die(0, "%s: expected an option, '=' and its value", argument);
}

static void stop(int signo)
{
	(void)signo;
	exit(1);
}

int main(int argc, char **argv)
{
	size_t n_modes = sizeof(modes) / sizeof(modes[0]), mode = 0;
	cpu_set_t cpus;
	int i;

	while (argc > 1 && mode < n_modes && strcmp(argv[1], modes[mode].name))
		mode++;
	if (argc < 2 || mode == n_modes)
		die(0, "usage: traffic flood|open|talk|look OPTION=VALUE...");
	for (i = 2; i < argc; i++)
		set(argv[i]);
	if (length < LENGTH_MIN || length > LENGTH_MAX || !flows ||
	    !subscribers || percent > 100)
		die(0, "a number makes no sense");
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die(-errno, "cannot run on CPU %lu", cpu);
	open_end(&subs);
	open_end(&inet);
	skel = traffic_bpf__open_and_load();
	if (!skel)
		die(-errno, "the kernel refused its BPF programs");
	atexit(clean_up);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	skel->bss->traffic_knobs.flows = flows;
	skel->bss->traffic_knobs.subscribers = subscribers;
	skel->bss->traffic_knobs.address = SUBSCRIBERS4;
	skel->bss->traffic_knobs.window = window;
	skel->bss->traffic_knobs.cpus = libbpf_num_possible_cpus();
	modes[mode].run();
	return 0;
}
