/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtt_replay: the round-trip times that a capture tells of, one a line:
 *
 *	NS access|internet RTT_NS PROTO SRC:SPORT+DST:DPORT KIND
 *
 * SRC is the end that answered.  The capture is a classic pcap file of
 * Ethernet, in either byte order, of microseconds or nanoseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cleanup.h"
#include "tests/rtt/path.h"

enum {
	INSIDES = 16,
	PCAP_US = 0xa1b2c3d4,
	PCAP_NS = 0xa1b23c4d,
	PCAP_ETHERNET = 1,
	PCAP_MAX = 1 << 18,
	IPV4_BITS = 96, /* in front of a mapped address */
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMPV6 = 58,
};

/* As struct lqos_flow_key's addresses. */
struct inside {
	uint8_t addr[16];
	unsigned int bits;
};

struct replay {
	struct inside insides[INSIDES];
	size_t n_insides;
	bool swapped;	/* the capture's byte order */
	uint64_t scale; /* ns of its fractions */
	uint64_t outcomes[RTT_OUTCOMES];
	uint64_t skipped;
};

static const char *const outcome_names[RTT_OUTCOMES] = {
	[RTT_NONE] = "none",	     [RTT_SAMPLE] = "sample",
	[RTT_POISONED] = "poisoned", [RTT_COLD] = "cold",
	[RTT_DELAYED] = "delayed",   [RTT_AHEAD] = "ahead",
	[RTT_EXPIRED] = "expired",   [RTT_INEXACT] = "inexact",
};
static const char *const kind_names[] = {
	[RTT_ACK] = "ack", [RTT_HANDSHAKE] = "handshake", [RTT_ICMP] = "icmp",
	[RTT_DNS] = "dns", [RTT_QUIC] = "quic",
};

static void usage(FILE *to)
{
	fputs("usage: rtt_replay PCAP --inside PREFIX [--inside PREFIX]...\n"
	      "                  [--gso BYTES] [--outcomes]\n",
	      to);
}

static int add_inside(struct replay *r, char *text)
{
	char *slash = strchr(text, '/'), *end;
	struct inside *in = &r->insides[r->n_insides];
	unsigned int most = 128;

	if (r->n_insides == INSIDES)
		return -1;
	if (slash)
		*slash = '\0';
	memset(in->addr, 0xff, sizeof(in->addr));
	if (inet_pton(AF_INET, text, in->addr + 12) == 1)
		most = 32;
	else if (inet_pton(AF_INET6, text, in->addr) != 1)
		return -1;
	in->bits = most;
	if (slash) {
		in->bits = strtoul(slash + 1, &end, 10);
		if (!slash[1] || *end || in->bits > most)
			return -1;
	}
	if (most == 32)
		in->bits += IPV4_BITS;
	r->n_insides++;
	return 0;
}

static bool is_inside(uint64_t hi, uint64_t lo, void *arg)
{
	uint8_t addr[16] = {}, mask;
	struct replay *r = arg;
	unsigned int whole;
	size_t i;

	if (hi == UINT64_MAX) { /* IPv4 */
		memset(addr, 0xff, 12);
		memcpy(addr + 12, &lo, 4);
	} else {
		memcpy(addr, &hi, 8);
		memcpy(addr + 8, &lo, 8);
	}
	for (i = 0; i < r->n_insides; i++) {
		whole = r->insides[i].bits / 8;
		mask = 0xff00 >> r->insides[i].bits % 8;
		if (!memcmp(addr, r->insides[i].addr, whole) &&
		    (whole == 16 ||
		     !((addr[whole] ^ r->insides[i].addr[whole]) & mask)))
			return true;
	}
	return false;
}

static void print_end(const struct lqos_flow_key *key, bool subs)
{
	uint64_t words[2] = {subs ? key->subs_hi : key->remote_hi,
			     subs ? key->subs_lo : key->remote_lo};
	char text[INET6_ADDRSTRLEN];

	if (key->ipv6)
		inet_ntop(AF_INET6, words, text, sizeof(text));
	else
		inet_ntop(AF_INET, &words[1], text, sizeof(text));
	printf("%s:%u", text, ntohs(subs ? key->subs_port : key->remote_port));
}

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case PROTO_ICMP:
		return "ICMP";
	case PROTO_TCP:
		return "TCP";
	case PROTO_UDP:
		return "UDP";
	case PROTO_ICMPV6:
		return "ICMPv6";
	}
	return "other";
}

static void print_sample(uint64_t ns, const struct path_packet *p)
{
	printf("%" PRIu64 " %s %" PRIu64 " %s ", ns,
	       p->way == LQOS_UP ? "access" : "internet",
	       (uint64_t)p->sample.ns, proto_name(p->key.proto));
	print_end(&p->key, p->way == LQOS_UP);
	putchar('+');
	print_end(&p->key, p->way != LQOS_UP);
	printf(" %s\n", kind_names[p->sample.kind]);
}

static uint32_t word(const struct replay *r, uint32_t value)
{
	return r->swapped ? __builtin_bswap32(value) : value;
}

static int read_header(struct replay *r, FILE *f)
{
	uint32_t header[6];

	if (fread(header, sizeof(header), 1, f) != 1)
		return -1;
	r->swapped = header[0] != PCAP_US && header[0] != PCAP_NS;
	if (word(r, header[0]) == PCAP_US)
		r->scale = 1000;
	else if (word(r, header[0]) == PCAP_NS)
		r->scale = 1;
	else
		return -1;
	return (word(r, header[5]) & 0xffff) == PCAP_ETHERNET ? 0 : -1;
}

/* 0, or -1: it is damaged. */
static int replay(struct replay *r, FILE *f, struct path *path)
{
	autofree uint8_t *frame = malloc(PCAP_MAX);
	struct path_packet p;
	uint32_t head[4], len;
	uint64_t ns;

	if (!frame || read_header(r, f))
		return -1;
	while (fread(head, sizeof(head), 1, f) == 1) {
		len = word(r, head[2]);
		if (len > PCAP_MAX || (len && fread(frame, len, 1, f) != 1))
			return -1;
		ns = word(r, head[0]) * UINT64_C(1000000000) +
		     word(r, head[1]) * r->scale;
		if (path_frame(path, ns, frame, len, &p)) {
			r->skipped++;
			continue;
		}
		r->outcomes[p.outcome]++;
		if (p.outcome == RTT_SAMPLE)
			print_sample(ns, &p);
	}
	return feof(f) ? 0 : -1;
}

static void print_outcomes(const struct replay *r)
{
	size_t i;

	for (i = 0; i < RTT_OUTCOMES; i++)
		fprintf(stderr, "%s %" PRIu64 "\n", outcome_names[i],
			r->outcomes[i]);
	fprintf(stderr, "skipped %" PRIu64 "\n", r->skipped);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"inside", required_argument, NULL, 'i'},
		{"gso", required_argument, NULL, 'g'},
		{"outcomes", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	autofclose FILE *f = NULL;
	struct replay r = {};
	bool outcomes = false;
	struct path *path;
	uint32_t gso = 0;
	int c, rc;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (add_inside(&r, optarg)) {
				fprintf(stderr, "rtt_replay: %s: no prefix\n",
					optarg);
				return 2;
			}
			break;
		case 'g':
			gso = strtoul(optarg, NULL, 10);
			break;
		case 'o':
			outcomes = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 != argc || !r.n_insides) {
		usage(stderr);
		return 2;
	}
	f = fopen(argv[optind], "rb");
	if (!f) {
		fprintf(stderr, "rtt_replay: %s: %s\n", argv[optind],
			strerror(errno));
		return 1;
	}
	path = path_new(is_inside, &r);
	path_gso(path, gso);
	rc = replay(&r, f, path);
	path_free(path);
	if (rc)
		fprintf(stderr, "rtt_replay: %s: no pcap file, or damaged\n",
			argv[optind]);
	if (outcomes)
		print_outcomes(&r);
	return rc ? 1 : 0;
}
