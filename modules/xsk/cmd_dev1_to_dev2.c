/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_dev1_to_dev2.c - lqosctl xsk dev1_to_dev2: numbered packets from one
 * interface to another, as fast as can be.  Each that arrives is looked at, and
 * each that does not is accounted for.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "lqos/inet.h"
#include "modules/xsk/cmd_port.h"
#include "modules/xsk/cmd_veth.h"
#include "modules/xsk/payload.h"

enum {
	HEADERS = LQOS_INET_ETHER + LQOS_INET_IPV4 + LQOS_INET_UDP,
	UDP = 17,
	UDP_PORT = 1234,
	PAYLOAD_MAX = 1500 - LQOS_INET_IPV4 - LQOS_INET_UDP,
	PACKETS_MAX = 1000000000,
	BATCH_MAX = 1024,
	POLL_MS_MAX = 10000,
	/* How long the last of what was sent may take to come back. */
	PATIENCE_NS = 1000000000,
};

struct sizes {
	uint32_t fill, completion, tx, rx, chunk;
};

struct sender {
	struct sizes sizes;
	struct lqos_umem *umem;
	struct lqos_xsk *xsk;
	uint8_t headers[HEADERS];
	uint64_t queued;
	int64_t first, last; /* when; of what was sent, or came back */
	int error;
};

struct receiver {
	struct sizes sizes;
	struct lqos_umem *umem;
	struct lqos_xsk *xsk;
	struct lqos_xsk_hook *hook;
	uint8_t *seen; /* a bit a sequence number */
	uint64_t next; /* the sequence number that is due */
	uint64_t received, late, twice, corrupt, foreign;
	int64_t first, last;
	int error;
};

struct transfer {
	const char *names[2];
	enum lqos_xsk_mode mode;
	enum lqos_xsk_copy copy;
	bool veth, multithreaded;
	uint32_t poll_ms, payload, batch, packets;
	struct sender sender;
	struct receiver receiver;
	atomic_bool sender_done;
	struct cmd_port_drops before[2];
};

/* ---- Sending ------------------------------------------------------------- */

/* UDP's checksum is none: the payload has a better one. */
static void write_headers(uint8_t *headers, const uint8_t *from,
			  const uint8_t *to, uint32_t payload)
{
	static const uint8_t addresses[8] = {192, 168, 69, 1, 192, 168, 69, 2};
	uint8_t *ip = headers + LQOS_INET_ETHER, *udp = ip + LQOS_INET_IPV4;

	memcpy(headers, to, 6);
	memcpy(headers + 6, from, 6);
	lqos_put16(headers + 12, 0x0800);
	ip[0] = 0x45;
	lqos_put16(ip + 2, (uint16_t)(HEADERS - LQOS_INET_ETHER + payload));
	ip[8] = 64;
	ip[9] = UDP;
	memcpy(ip + 12, addresses, sizeof(addresses));
	lqos_put16(ip + 10,
		   lqos_inet_fold(lqos_inet_sum(0, ip, LQOS_INET_IPV4)));
	lqos_put16(udp, UDP_PORT);
	lqos_put16(udp + 2, UDP_PORT);
	lqos_put16(udp + 4, (uint16_t)(LQOS_INET_UDP + payload));
}

static uint32_t make_packets(const struct transfer *t, struct sender *s,
			     struct lqos_xsk_frame *frames, uint32_t max)
{
	uint32_t n;

	for (n = 0; n < max && !lqos_umem_alloc(s->umem, &frames[n]); n++) {
		uint8_t *data =
			lqos_xsk_put(s->umem, &frames[n], HEADERS + t->payload);

		if (!data) { /* sizes were checked: there is room */
			lqos_umem_free(s->umem, &frames[n], 1);
			break;
		}
		memcpy(data, s->headers, HEADERS);
		payload_write(data + HEADERS, t->payload, s->queued + n);
	}
	return n;
}

/* A batch into the TX ring, as much of it as there is room and frames for. */
static void queue_packets(struct transfer *t, struct sender *s)
{
	struct lqos_xsk_frame frames[BATCH_MAX];
	uint64_t left = t->packets - s->queued;
	uint32_t max = lqos_xsk_tx_room(s->xsk), n;

	if (max > t->batch)
		max = t->batch;
	if (max > left)
		max = (uint32_t)left;
	n = make_packets(t, s, frames, max);
	if (n && !lqos_xsk_tx(s->xsk, frames, n)) {
		lqos_umem_free(s->umem, frames, n);
		n = 0;
	}
	s->queued += n;
}

/* false: all came back, or no more will. */
static bool send_some(struct transfer *t)
{
	struct sender *s = &t->sender;
	int64_t now = cmd_now_ns();
	uint32_t back;
	int rc;

	if (!s->first)
		s->first = s->last = now;
	if (s->queued < t->packets && !cmd_ended())
		queue_packets(t, s);
	rc = lqos_xsk_kick(s->xsk);
	if (rc && rc != -EAGAIN) {
		s->error = rc;
		return false;
	}
	back = lqos_xsk_reap(s->xsk);
	if (back)
		s->last = cmd_now_ns(); /* one batch takes its time, too */
	else if (now - s->last > PATIENCE_NS)
		return false;
	else
		sched_yield();
	return lqos_xsk_outstanding(s->xsk) ||
	       (s->queued < t->packets && !cmd_ended());
}

/* ---- Receiving ----------------------------------------------------------- */

static void note(const struct transfer *t, struct receiver *r,
		 uint64_t sequence)
{
	uint8_t bit = (uint8_t)(1 << sequence % 8);

	if (sequence >= t->packets) {
		r->foreign++; /* of another run */
		return;
	}
	if (r->seen[sequence / 8] & bit) {
		r->twice++;
		return;
	}
	r->seen[sequence / 8] |= bit;
	r->received++;
	if (sequence < r->next)
		r->late++;
	else
		r->next = sequence + 1;
}

static void look(const struct transfer *t, struct receiver *r,
		 const struct lqos_xsk_frame *frame)
{
	const uint8_t *data = lqos_xsk_data(r->umem, frame);
	struct lqos_inet in;
	uint64_t sequence;

	if (lqos_inet_parse(data, frame->len, &in) || !in.l4 ||
	    in.proto != UDP || lqos_get16(data + in.l4 + 2) != UDP_PORT)
		r->foreign++;
	else if (in.end - in.payload != t->payload ||
		 payload_read(data + in.payload, t->payload, &sequence))
		r->corrupt++;
	else
		note(t, r, sequence);
}

/* A batch, for which it waits at most so long; how many there were. */
static uint32_t receive_some(struct transfer *t, int ms)
{
	struct lqos_xsk_frame frames[BATCH_MAX];
	struct receiver *r = &t->receiver;
	uint32_t n = lqos_xsk_rx(r->xsk, frames, t->batch);
	int rc;

	if (!n && ms) {
		rc = lqos_xsk_wait(r->xsk, ms);
		if (rc < 0 && rc != -EINTR)
			r->error = rc;
		n = lqos_xsk_rx(r->xsk, frames, t->batch);
	}
	if (n && !r->first)
		r->first = cmd_now_ns();
	for (uint32_t i = 0; i < n; i++)
		look(t, r, &frames[i]);
	if (n)
		r->last = cmd_now_ns();
	lqos_umem_free(r->umem, frames, n);
	lqos_xsk_refill(r->xsk);
	return n;
}

/* ---- Both ---------------------------------------------------------------- */

static bool received_all(const struct transfer *t)
{
	return t->receiver.error || t->receiver.received == t->packets;
}

static void one_thread(struct transfer *t)
{
	bool more = true;
	uint32_t n;

	do {
		more = more && send_some(t);
		n = receive_some(t, more ? 0 : (int)t->poll_ms);
	} while (more || (n && !received_all(t)));
}

static void *send_all(void *arg)
{
	struct transfer *t = arg;

	while (send_some(t))
		;
	atomic_store(&t->sender_done, true);
	return NULL;
}

static int two_threads(struct transfer *t)
{
	pthread_t thread;
	uint32_t n;
	bool done;
	int rc = pthread_create(&thread, NULL, send_all, t);

	if (rc)
		return cmd_fail("cannot make a thread: %s", strerror(rc));
	do {
		done = atomic_load(&t->sender_done);
		n = receive_some(t, (int)t->poll_ms);
	} while (!received_all(t) && (n || !done));
	pthread_join(thread, NULL);
	return 0;
}

/* ---- The account --------------------------------------------------------- */

static void print_side(const char *what, uint64_t frames, uint32_t len,
		       int64_t ns)
{
	double s = (double)(ns > 0 ? ns : 1) / 1e9;

	printf("%s throughput: %.3f Gbps, %.3f Mpps (eth frames %s: %" PRIu64
	       ")\n",
	       what, (double)frames * len * 8 / s / 1e9,
	       (double)frames / s / 1e6, *what == 's' ? "sent" : "received",
	       frames);
}

/* Of the two accounts of one loss, which may be known to only one of them. */
static uint64_t besides(uint64_t of_interface, uint64_t of_socket)
{
	return of_interface > of_socket ? of_interface - of_socket : 0;
}

static int print_drops(struct transfer *t)
{
	struct lqos_xsk_stats tx = {}, rx = {};
	struct cmd_port_drops dev1 = t->before[0], dev2 = t->before[1];
	uint64_t redirected, passed, sum = 0, at_socket;
	struct receiver *r = &t->receiver;

	lqos_xsk_stats(t->sender.xsk, &tx);
	lqos_xsk_stats(r->xsk, &rx);
	lqos_xsk_hook_counts(r->hook, &redirected, &passed);
	cmd_port_drops(t->names[0], &dev1);
	cmd_port_drops(t->names[1], &dev2);
	at_socket = rx.rx_dropped + rx.rx_ring_full + rx.rx_invalid;
	const struct {
		const char *cause;
		uint64_t n;
	} drops[] = {
		{"the sender's interface refused it", tx.tx_dropped},
		{"invalid in the TX ring", tx.tx_invalid},
		{"left in the TX ring", lqos_xsk_outstanding(t->sender.xsk)},
		{"dropped on its way out",
		 besides(dev1.sent - t->before[0].sent, tx.tx_dropped)},
		{"dropped on its way in",
		 besides(dev2.received - t->before[1].received, at_socket)},
		{"the receiver had no frame in the fill ring", rx.rx_dropped},
		{"the receiver's RX ring was full", rx.rx_ring_full},
		{"invalid in the fill ring", rx.rx_invalid},
		{"corrupt", r->corrupt},
	};

	for (size_t i = 0; i < ARRAY_SIZE(drops); i++)
		sum += drops[i].n;
	printf("drops: %" PRIu64 "\n", sum);
	for (size_t i = 0; i < ARRAY_SIZE(drops); i++)
		if (drops[i].n)
			printf("  %s: %" PRIu64 "\n", drops[i].cause,
			       drops[i].n);
	if (r->late || r->twice || r->foreign || passed)
		printf("late: %" PRIu64 ", twice: %" PRIu64 ", of others: "
		       "%" PRIu64 ", on other queues: %" PRIu64 "\n",
		       r->late, r->twice, r->foreign, passed);
	if (r->corrupt || r->twice)
		return cmd_fail("packets were not received as they were sent");
	if (t->sender.queued != r->received + sum)
		return cmd_fail("%" PRIu64 " packets were sent, but %" PRIu64
				" are accounted for: does somebody else use "
				"the interfaces?",
				t->sender.queued, r->received + sum);
	return EXIT_SUCCESS;
}

static int print_account(struct transfer *t)
{
	const struct sender *s = &t->sender;
	const struct receiver *r = &t->receiver;
	int64_t last = s->last > r->last ? s->last : r->last;
	uint32_t len = HEADERS + t->payload;

	printf("time: %.3f s\n", (double)(last - s->first) / 1e9);
	print_side("send", s->queued, len, s->last - s->first);
	print_side("recv", r->received, len, r->last - r->first);
	return print_drops(t);
}

/* ---- Open and close ------------------------------------------------------ */

static int open_side(const struct transfer *t, const char *name,
		     const struct sizes *sizes, struct lqos_umem **umem,
		     struct lqos_xsk **xsk)
{
	const struct lqos_umem_options memory = {
		.frame_size = sizes->chunk,
		.frames = sizes->fill + sizes->completion,
		.fill_size = sizes->fill,
		.comp_size = sizes->completion,
	};
	const struct lqos_xsk_options rings = {
		.rx_size = sizes->rx,
		.tx_size = sizes->tx,
		.copy = t->copy,
	};
	char why[CMD_WHY];

	if (lqos_umem_create(&memory, umem, why, sizeof(why)) ||
	    lqos_xsk_open(*umem, name, 0, &rings, xsk, why, sizeof(why)))
		return cmd_fail("%s", why);
	lqos_xsk_refill(*xsk);
	return 0;
}

static int open_all(struct transfer *t)
{
	struct sender *s = &t->sender;
	struct receiver *r = &t->receiver;
	uint8_t macs[2][6];
	char why[CMD_WHY];

	for (int i = 0; i < 2; i++)
		if (cmd_port_mac(t->names[i], macs[i]) ||
		    cmd_port_drops(t->names[i], &t->before[i]))
			return cmd_fail("%s: no such interface here: ip link "
					"shows those that there are",
					t->names[i]);
	write_headers(s->headers, macs[0], macs[1], t->payload);
	r->seen = calloc(t->packets / 8 + 1, 1);
	if (!r->seen)
		return cmd_fail("out of memory");
	if (open_side(t, t->names[0], &s->sizes, &s->umem, &s->xsk) ||
	    open_side(t, t->names[1], &r->sizes, &r->umem, &r->xsk))
		return EXIT_FAILURE;
	if (lqos_xsk_hook_open(t->names[1], t->mode, false, &r->hook, why,
			       sizeof(why)))
		return cmd_fail("%s", why);
	return lqos_xsk_hook_add(r->hook, r->xsk)
		       ? cmd_fail("cannot have packets sent to the socket")
		       : 0;
}

static int close_all(struct transfer *t, int status)
{
	struct receiver *r = &t->receiver;

	lqos_xsk_hook_close(&r->hook);
	lqos_xsk_close(&r->xsk);
	lqos_xsk_close(&t->sender.xsk);
	free(r->seen);
	if (cmd_umem_close(&r->umem) | cmd_umem_close(&t->sender.umem))
		return EXIT_FAILURE;
	return status;
}

static int transfer(struct transfer *t)
{
	int rc = open_all(t);

	if (rc)
		return rc;
	printf("%s -> %s: %u packets of %u bytes, %s, %s\n", t->names[0],
	       t->names[1], t->packets, HEADERS + t->payload,
	       lqos_xsk_hook_is_native(t->receiver.hook) ? "native" : "generic",
	       t->multithreaded ? "two threads" : "one thread");
	if (t->multithreaded)
		rc = two_threads(t);
	else
		one_thread(t);
	if (t->sender.error)
		rc = cmd_fail("%s: cannot send: %s", t->names[0],
			      strerror(-t->sender.error));
	if (t->receiver.error)
		rc = cmd_fail("%s: cannot wait for packets: %s", t->names[1],
			      strerror(-t->receiver.error));
	return rc ?: print_account(t);
}

/* ---- Command line -------------------------------------------------------- */

static const char help[] =
	"usage: lqosctl xsk dev1_to_dev2 [OPTION]... IF1 IF2\n"
	"       lqosctl xsk dev1_to_dev2 [OPTION]... --veth\n\n"
	"Sends packets from queue 0 of one interface to queue 0 of another, "
	"and accounts\nfor each.\n\n"
	"      --veth                through a veth pair, which it makes\n"
	"  -m, --multithreaded       a thread each for sending and receiving\n"
	"  -n, --packets=N           how many (5000000)\n"
	"      --payload=BYTES       of each, 12 to 1472 (32)\n"
	"      --batch=N             at most at a time, 1 to 1024 (64)\n"
	"      --poll-ms=MS          how long to wait for packets (100)\n"
	"      --SIDE-fill-ring=N    of SIDE, sender or receiver (8192)\n"
	"      --SIDE-completion-ring=N\n"
	"                            (4096)\n"
	"      --SIDE-tx-ring=N      (4096)\n"
	"      --SIDE-rx-ring=N      (4096)\n"
	"      --SIDE-chunk-size=N   2048 or 4096 (2048)\n" CMD_HELP_MODE;

enum {
	VETH = 256,
	PAYLOAD,
	BATCH,
	POLL_MS,
	SENDER = 512, /* and the index in struct sizes */
	RECEIVER = 768,
};

/* clang-format off */
#define SIDE_OPTIONS(name, base) \
	{name "-fill-ring", required_argument, NULL, (base)}, \
	{name "-completion-ring", required_argument, NULL, (base) + 1}, \
	{name "-tx-ring", required_argument, NULL, (base) + 2}, \
	{name "-rx-ring", required_argument, NULL, (base) + 3}, \
	{name "-chunk-size", required_argument, NULL, (base) + 4}
/* clang-format on */

static const struct option options[] = {
	{"veth", no_argument, NULL, VETH},
	{"multithreaded", no_argument, NULL, 'm'},
	{"packets", required_argument, NULL, 'n'},
	{"payload", required_argument, NULL, PAYLOAD},
	{"batch", required_argument, NULL, BATCH},
	{"poll-ms", required_argument, NULL, POLL_MS},
	SIDE_OPTIONS("sender", SENDER),
	SIDE_OPTIONS("receiver", RECEIVER),
	CMD_LONG_MODE,
	{},
};

static int read_side(struct sizes *sizes, int which, const char *option,
		     const char *value)
{
	uint32_t *const rings[] = {&sizes->fill, &sizes->completion, &sizes->tx,
				   &sizes->rx};

	return which < (int)ARRAY_SIZE(rings)
		       ? cmd_power_of_two(option, value, rings[which])
		       : cmd_chunk_size(option, value, &sizes->chunk);
}

static int read_option(struct transfer *t, int c, const char *name)
{
	struct cmd_sizes sizes = {.mode = t->mode, .copy = t->copy};
	int rc;

	if (c >= SENDER && c < CMD_MODE)
		return c < RECEIVER ? read_side(&t->sender.sizes, c - SENDER,
						name, optarg)
				    : read_side(&t->receiver.sizes,
						c - RECEIVER, name, optarg);
	switch (c) {
	case VETH:
		t->veth = true;
		return -1;
	case 'm':
		t->multithreaded = true;
		return -1;
	case 'n':
		return cmd_number("--packets", optarg, 1, PACKETS_MAX,
				  &t->packets);
	case PAYLOAD:
		return cmd_number("--payload", optarg, PAYLOAD_MIN, PAYLOAD_MAX,
				  &t->payload);
	case BATCH:
		return cmd_number("--batch", optarg, 1, BATCH_MAX, &t->batch);
	case POLL_MS:
		return cmd_number("--poll-ms", optarg, 1, POLL_MS_MAX,
				  &t->poll_ms);
	default:
		rc = cmd_option(&sizes, c, optarg, help);
		t->mode = sizes.mode;
		t->copy = sizes.copy;
		return rc;
	}
}

static int read_names(struct transfer *t, int argc, char **argv)
{
	if (t->veth && argc)
		return cmd_usage("%s: with --veth no interface is expected",
				 argv[0]);
	if (!t->veth && argc != 2)
		return cmd_usage("expected the names of two interfaces, or "
				 "--veth");
	if (!t->veth && !strcmp(argv[0], argv[1]))
		return cmd_usage("%s twice: expected two interfaces", argv[0]);
	t->names[0] = t->veth ? CMD_VETH1 : argv[0];
	t->names[1] = t->veth ? CMD_VETH2 : argv[1];
	return -1;
}

static int run(int argc, char **argv)
{
	static const struct sizes defaults = {8192, 4096, 4096, 4096, 2048};
	struct transfer t = {.poll_ms = 100,
			     .payload = 32,
			     .batch = 64,
			     .packets = 5000000,
			     .sender.sizes = defaults,
			     .receiver.sizes = defaults};
	int c, at = 0, rc = -1;
	char name[64];

	while (rc < 0 &&
	       (c = getopt_long(argc, argv, "hmn:", options, &at)) != -1) {
		snprintf(name, sizeof(name), "--%s", options[at].name);
		rc = read_option(&t, c, name);
	}
	if (rc < 0)
		rc = read_names(&t, argc - optind, argv + optind);
	if (rc >= 0)
		return rc;
	cmd_catch_signals();
	if (t.veth && cmd_veth_open())
		return EXIT_FAILURE;
	return close_all(&t, transfer(&t));
}

const struct cmd cmd_dev1_to_dev2 = {
	"dev1_to_dev2", "IF1 IF2 | --veth",
	"numbered packets as fast as can be, and an account of them", run};
