/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtt_replay: the round-trip times that a capture tells of, as README.md here
 * describes.  The capture is a classic pcap file of Ethernet, in either byte
 * order, of microseconds or nanoseconds.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
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
	PCAPNG = 0x0a0d0d0a, /* in either byte order */
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
	uint64_t outcomes[RTT_OUTCOMES];
	uint64_t skipped;
};

struct capture {
	const char *name;
	FILE *f;
	bool swapped;	  /* its byte order */
	uint64_t scale;	  /* ns of its fractions */
	uint64_t records; /* begun */
	uint64_t ns;	  /* of the last record */
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
	      "                  [--gso BYTES] [--outcomes]\n"
	      "A line a sample, whose RTT_NS is up to 63 ns too long:\n"
	      "  NS access|internet RTT_NS PROTO SRC:SPORT+DST:DPORT KIND\n",
	      to);
}

/* Says what is wrong with what the user gave. */
__attribute__((format(printf, 2, 3))) static int refuse(const char *what,
							const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "rtt_replay: %s: ", what);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -EINVAL;
}

static int number(const char *text, uint32_t most, uint32_t *out)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	value = strtoul(text, &end, 10);
	if (*end || value > most)
		return -EINVAL;
	*out = value;
	return 0;
}

static int add_inside(struct replay *r, const char *text)
{
	size_t len = strcspn(text, "/");
	struct inside in = {};
	char address[INET6_ADDRSTRLEN];
	uint32_t most = 128;

	if (r->n_insides == INSIDES)
		return refuse(text,
			      "one more than the %d prefixes of --inside "
			      "that there is room for",
			      INSIDES);
	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	memset(in.addr, 0xff, sizeof(in.addr));
	if (inet_pton(AF_INET, address, in.addr + 12) == 1)
		most = 32;
	else if (inet_pton(AF_INET6, address, in.addr) != 1)
		return refuse(text, "no prefix; expected one such as "
				    "100.64.0.0/10 or 2001:db8::/32");
	in.bits = most;
	if (text[len] && number(text + len + 1, most, &in.bits))
		return refuse(text,
			      "no prefix; expected /0 to /%u behind an "
			      "IPv%c address",
			      most, most == 32 ? '4' : '6');
	if (most == 32)
		in.bits += IPV4_BITS;
	r->insides[r->n_insides++] = in;
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

/* -errno: there is no writing it. */
static int print_sample(uint64_t ns, const struct path_packet *p)
{
	printf("%" PRIu64 " %s %" PRIu64 " %s ", ns,
	       p->way == LQOS_UP ? "access" : "internet",
	       (uint64_t)p->sample.ns, proto_name(p->key.proto));
	print_end(&p->key, p->way == LQOS_UP);
	putchar('+');
	print_end(&p->key, p->way != LQOS_UP);
	printf(" %s\n", kind_names[p->sample.kind]);
	return ferror(stdout) ? -errno : 0;
}

/* ---- The capture --------------------------------------------------------- */

static uint32_t word(const struct capture *c, uint32_t value)
{
	return c->swapped ? __builtin_bswap32(value) : value;
}

static int unreadable(const struct capture *c)
{
	return refuse(c->name, "%s; expected a pcap file of Ethernet",
		      strerror(errno));
}

static const char *link_name(uint32_t link)
{
	switch (link) {
	case 101:
		return " (raw IP)";
	case 113:
	case 276:
		return " (Linux cooked, of all interfaces)";
	}
	return "";
}

static int read_header(struct capture *c)
{
	uint32_t header[6] = {}, link;
	size_t len = fread(header, 1, sizeof(header), c->f);

	if (ferror(c->f))
		return unreadable(c);
	if (header[0] == PCAPNG)
		return refuse(c->name,
			      "pcapng; expected pcap: convert it with "
			      "editcap -F nsecpcap %s NEW",
			      c->name);
	if (len < sizeof(header))
		return refuse(c->name,
			      "%zu bytes; expected a pcap file, which "
			      "has %zu at least: record one with tcpdump -i "
			      "INTERFACE -w FILE",
			      len, sizeof(header));
	c->swapped = header[0] != PCAP_US && header[0] != PCAP_NS;
	if (word(c, header[0]) == PCAP_US)
		c->scale = 1000;
	else if (word(c, header[0]) == PCAP_NS)
		c->scale = 1;
	else
		return refuse(c->name,
			      "begins with %08x; expected a pcap file, "
			      "with %08x or %08x: record one with tcpdump -i "
			      "INTERFACE -w FILE",
			      header[0], PCAP_US, PCAP_NS);
	link = word(c, header[5]) & 0xffff;
	if (link != PCAP_ETHERNET)
		return refuse(c->name,
			      "link type %u%s; expected %u (Ethernet): "
			      "record one Ethernet interface, with tcpdump -i "
			      "INTERFACE -w FILE",
			      link, link_name(link), PCAP_ETHERNET);
	return 0;
}

/* got of the expected bytes of part were there. */
static int cut_off(const struct capture *c, const char *part, size_t got,
		   size_t expected)
{
	if (ferror(c->f))
		return unreadable(c);
	return refuse(c->name,
		      "cut off in record %" PRIu64 ", which has %zu of "
		      "the %zu bytes of its %s: tcpdump -r %s -w NEW keeps "
		      "those before it",
		      c->records, got, expected, part, c->name);
}

/* c->ns and a frame of *len in PCAP_MAX.  1; 0: there are no more; -EINVAL. */
static int read_record(struct capture *c, uint8_t *frame, uint32_t *len)
{
	uint32_t head[4];
	size_t got = fread(head, 1, sizeof(head), c->f);
	uint64_t ns;

	if (!got && feof(c->f))
		return 0;
	c->records++;
	if (got < sizeof(head))
		return cut_off(c, "header", got, sizeof(head));
	*len = word(c, head[2]);
	if (*len > PCAP_MAX)
		return refuse(
			c->name,
			"damaged in record %" PRIu64 ", of %u "
			"bytes; expected %u at most: tcpdump -r %s -w NEW "
			"keeps those before it",
			c->records, *len, PCAP_MAX, c->name);
	got = fread(frame, 1, *len, c->f);
	if (got < *len)
		return cut_off(c, "frame", got, *len);
	ns = word(c, head[0]) * UINT64_C(1000000000) +
	     word(c, head[1]) * c->scale;
	/* Nobody knows how long it took from a packet before to one behind. */
	if (ns < c->ns)
		return refuse(
			c->name,
			"record %" PRIu64 " is %" PRIu64 " ns "
			"older than the one before it: sort a merged "
			"capture with reordercap %s NEW; if the clock was "
			"set back, cut it there with editcap",
			c->records, c->ns - ns, c->name);
	c->ns = ns;
	return 1;
}

/* 0, or -EINVAL: it was said why the rest is not read. */
static int replay(struct replay *r, struct capture *c, struct path *path)
{
	autofree uint8_t *frame = malloc(PCAP_MAX);
	struct path_packet p;
	uint32_t len = 0;
	int rc;

	if (!frame)
		abort();
	rc = read_header(c);
	if (rc)
		return rc;
	while ((rc = read_record(c, frame, &len)) > 0) {
		if (path_frame(path, c->ns, frame, len, &p)) {
			r->skipped++;
			continue;
		}
		r->outcomes[p.outcome]++;
		if (p.outcome != RTT_SAMPLE)
			continue;
		rc = print_sample(c->ns, &p);
		if (rc)
			return refuse("standard output", "%s", strerror(-rc));
	}
	if (fflush(stdout))
		return refuse("standard output", "%s", strerror(errno));
	return rc;
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
	struct capture capture;
	struct replay r = {};
	bool outcomes = false;
	struct path *path;
	uint32_t gso = 0;
	int c, rc;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (add_inside(&r, optarg))
				return 2;
			break;
		case 'g':
			if (number(optarg, UINT32_MAX, &gso)) {
				refuse(optarg, "expected the bytes of a "
					       "segment behind --gso");
				return 2;
			}
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
	capture = (struct capture){.name = argv[optind], .f = f};
	if (!f) {
		unreadable(&capture);
		return 1;
	}
	path = path_new(is_inside, &r);
	path_gso(path, gso);
	rc = replay(&r, &capture, path);
	path_free(path);
	if (outcomes)
		print_outcomes(&r);
	return rc ? 1 : 0;
}
