/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classwatch.c - looks at HTB's leaf classes many times a second, and tells for
 * how long others than the given ones had traffic.  Runs until SIGTERM or
 * SIGINT, then says so in one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

enum { CLASSES_MAX = 1024, DEVICES_MAX = 8 };

struct class_seen {
	unsigned int ifindex;
	uint32_t id;
	bool expected, listed;
	uint64_t packets, drops;       /* now */
	uint64_t packets_at, drops_at; /* at the first look */
};

static struct {
	unsigned int devices[DEVICES_MAX], n_devices;
	struct class_seen classes[CLASSES_MAX];
	unsigned int n;
	bool stray; /* in this look, somewhere nothing should be */
} watched;

static atomic_bool stopped;

static void die(const char *what)
{
	fprintf(stderr, "classwatch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct class_seen *find(unsigned int ifindex, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < watched.n; i++)
		if (watched.classes[i].ifindex == ifindex &&
		    watched.classes[i].id == id)
			return &watched.classes[i];
	if (watched.n == CLASSES_MAX) {
		fprintf(stderr, "classwatch: more than %d classes\n",
			CLASSES_MAX);
		exit(1);
	}
	watched.classes[watched.n] =
		(struct class_seen){.ifindex = ifindex, .id = id};
	return &watched.classes[watched.n++];
}

static bool is_leaf(const struct nlattr *options)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, options) if (mnl_attr_get_type(attr) ==
						    TCA_HTB_PARMS)
	{
		const struct tc_htb_opt *opt = mnl_attr_get_payload(attr);

		return !opt->level;
	}
	return false;
}

static void read_numbers(const struct nlattr *stats, struct class_seen *class)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, stats)
	{
		struct gnet_stats_basic basic;
		struct gnet_stats_queue queue;

		switch (mnl_attr_get_type(attr)) {
		case TCA_STATS_BASIC:
			memcpy(&basic, mnl_attr_get_payload(attr),
			       sizeof(basic));
			class->packets = basic.packets;
			break;
		case TCA_STATS_QUEUE:
			memcpy(&queue, mnl_attr_get_payload(attr),
			       sizeof(queue));
			class->drops = queue.drops;
			break;
		}
	}
}

static int on_class(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr, *options = NULL, *stats = NULL;
	struct class_seen *class;
	const char *kind = "";
	uint64_t before;

	(void)arg;
	mnl_attr_for_each(attr, nlh, sizeof(*tc)) {
		switch (mnl_attr_get_type(attr)) {
		case TCA_KIND:
			kind = mnl_attr_get_str(attr);
			break;
		case TCA_OPTIONS:
			options = attr;
			break;
		case TCA_STATS2:
			stats = attr;
			break;
		}
	}
	if (strcmp(kind, "htb") || !options || !stats || !is_leaf(options))
		return MNL_CB_OK;
	class = find((unsigned int)tc->tcm_ifindex, tc->tcm_handle);
	before = class->packets;
	read_numbers(stats, class);
	if (!class->listed) {
		class->listed = true;
		class->packets_at = class->packets;
		class->drops_at = class->drops;
	} else if (class->packets != before && !class->expected) {
		watched.stray = true;
	}
	return MNL_CB_OK;
}

static void look(struct mnl_socket *nl, unsigned int ifindex)
{
	char buf[32768];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;
	ssize_t len;
	int more = MNL_CB_OK;

	nlh->nlmsg_type = RTM_GETTCLASS;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = (int)ifindex;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		die("netlink");
	while (more > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		more = len < 0 ? -1
			       : mnl_cb_run(buf, (size_t)len, 0, 0, on_class,
					    NULL);
		if (more < 0)
			die("list of classes");
	}
}

static void look_at_all(struct mnl_socket *nl)
{
	unsigned int i;

	watched.stray = false;
	for (i = 0; i < watched.n_devices; i++)
		look(nl, watched.devices[i]);
}

/* DEVICE=MAJOR:MINOR[,MAJOR:MINOR...], in hexadecimal. */
static void expect(char *text)
{
	char *classes = strchr(text, '='), *one;
	unsigned int ifindex, major, minor;

	if (classes)
		*classes++ = '\0';
	ifindex = if_nametoindex(text);
	if (!ifindex || watched.n_devices == DEVICES_MAX)
		die(text);
	watched.devices[watched.n_devices++] = ifindex;
	for (one = strtok(classes, ","); one; one = strtok(NULL, ",")) {
		if (sscanf(one, "%x:%x", &major, &minor) != 2) {
			errno = EINVAL;
			die(one);
		}
		find(ifindex, TC_H_MAKE(major << 16, minor))->expected = true;
	}
}

static void report(double seconds, double seconds_out, unsigned int looks)
{
	uint64_t strays = 0, drops = 0;
	const char *comma = "";
	char name[IF_NAMESIZE];
	unsigned int i;

	printf("{\"looks\":%u,\"seconds\":%.3f,\"seconds_out_of_class\":%.3f,"
	       "\"classes\":[",
	       looks, seconds, seconds_out);
	for (i = 0; i < watched.n; i++) {
		const struct class_seen *c = &watched.classes[i];
		uint64_t packets = c->packets - c->packets_at;

		drops += c->drops - c->drops_at;
		strays += c->expected ? 0 : packets;
		if (!packets && !c->expected)
			continue;
		printf("%s{\"device\":\"%s\",\"class\":\"%x:%x\","
		       "\"expected\":%s,\"packets\":%" PRIu64
		       ",\"drops\":%" PRIu64 "}",
		       comma, if_indextoname(c->ifindex, name), c->id >> 16,
		       c->id & 0xffff, c->expected ? "true" : "false", packets,
		       c->drops - c->drops_at);
		comma = ",";
	}
	printf("],\"strays\":%" PRIu64 ",\"drops\":%" PRIu64 "}\n", strays,
	       drops);
}

static void on_signal(int signo)
{
	(void)signo;
	stopped = true;
}

int main(int argc, char **argv)
{
	struct mnl_socket *nl;
	double began, last, at, out = 0;
	unsigned int looks = 0;
	int every_ms, fd, i;

	if (argc < 4) {
		fprintf(stderr, "usage: classwatch NETNS MILLISECONDS "
				"DEVICE=CLASS[,CLASS...]...\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(argv[1]);
	every_ms = atoi(argv[2]);
	for (i = 3; i < argc; i++)
		expect(argv[i]);
	nl = mnl_socket_open(NETLINK_ROUTE);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		die("netlink");
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	look_at_all(nl);
	/* Whoever started us waits for it. */
	fprintf(stderr, "classwatch: ready\n");
	began = last = now();
	while (!stopped) {
		usleep((useconds_t)every_ms * 1000);
		look_at_all(nl);
		looks++;
		at = now();
		out += watched.stray ? at - last : 0;
		last = at;
	}
	report(last - began, out, looks);
	mnl_socket_close(nl);
	close(fd);
	return 0;
}
