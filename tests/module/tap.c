/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes packets by AF_XDP: an example of a tap, and for tests one that behaves
 * badly.  The packets that it gets are counted and given back, or kept for
 * ever.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lqos/module.h>
#include <lqos/packet.h>
#include <lqos/xsk.h>

struct config {
	const char *prefix, *circuit, *interface;
	uint32_t about, port;
	uint32_t proto;
	const char *does; /* count|hoard|late|swap */
	bool twice;
};

enum { LATE_MS = 5, KEPT = 4096 };

struct tap {
	struct lqos_ctx *ctx;
	const struct config *config;
	struct lqos_xsk_tap *tap;
	uint64_t packets, bytes, described;
	struct lqos_xsk_frame kept[KEPT];
	uint32_t n_kept;
};

static const struct lqos_option options[] = {
	LQOS_OPTION(struct config, prefix, "", .help = "Whose packets"),
	LQOS_OPTION(struct config, circuit, "",
		    .help = "... or which circuit's"),
	LQOS_OPTION(struct config, interface, "", .help = "... arriving where"),
	LQOS_OPTION(struct config, about, "1", .max = 15,
		    .help = "enum lqos_xsk_about"),
	LQOS_OPTION(struct config, port, "0", .max = 65535, .help = "... to"),
	LQOS_OPTION(struct config, proto, "0", .max = 255, .help = "... of"),
	LQOS_OPTION(
		struct config, does, "count",
		.choices = "count|hoard|late|swap",
		.help = "count: give them back; hoard: never do; late: after "
			"5 ms; swap: send them to where they came from"),
	LQOS_OPTION(struct config, twice, "no",
		    .help = "give each back twice, which is refused"),
	LQOS_OPTIONS_END,
};

/* n of them to their senders; what there is no room for is given back. */
static void send_back(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
		      uint32_t n)
{
	struct lqos_umem *umem = lqos_xsk_umem(xsk);
	uint8_t *data, to[6];
	uint32_t i;

	for (i = 0; i < n; i++) {
		data = lqos_xsk_data(umem, &frames[i]);
		memcpy(to, data, 6);
		memcpy(data, data + 6, 6);
		memcpy(data + 6, to, 6);
	}
	if (lqos_xsk_tx(xsk, frames, n) != n)
		lqos_umem_free(umem, frames, n);
}

static void on_timer(void *arg)
{
	struct tap *t = arg;

	lqos_umem_free(lqos_xsk_tap_umem(t->tap), t->kept, t->n_kept);
	t->n_kept = 0;
}

/* Until on_timer(). */
static void keep(struct tap *t, const struct lqos_xsk_frame *frames, uint32_t n)
{
	if (t->n_kept + n > KEPT) {
		lqos_umem_free(lqos_xsk_tap_umem(t->tap), frames, n);
		return;
	}
	memcpy(t->kept + t->n_kept, frames, n * sizeof(*frames));
	t->n_kept += n;
}

static void on_packets(struct lqos_xsk *xsk, struct lqos_xsk_frame *frames,
		       uint32_t n, void *arg)
{
	struct lqos_umem *umem = lqos_xsk_umem(xsk);
	const struct lqos_packet *pkt;
	struct tap *t = arg;
	uint32_t i;

	for (i = 0; i < n; i++) {
		t->packets++;
		t->bytes += frames[i].len;
		pkt = lqos_xsk_descriptor(umem, &frames[i]);
		t->described += pkt && pkt->flags & LQOS_PACKET_IP;
	}
	if (!strcmp(t->config->does, "hoard"))
		return;
	if (!strcmp(t->config->does, "late")) {
		keep(t, frames, n);
		return;
	}
	if (!strcmp(t->config->does, "swap")) {
		send_back(xsk, frames, n);
		return;
	}
	lqos_umem_free(umem, frames, n);
	if (t->config->twice)
		lqos_umem_free(umem, frames, n);
}

static uint64_t read_packets(uint32_t id, void *arg)
{
	(void)id;
	return ((const struct tap *)arg)->packets;
}

static uint64_t read_bytes(uint32_t id, void *arg)
{
	(void)id;
	return ((const struct tap *)arg)->bytes;
}

static uint64_t read_described(uint32_t id, void *arg)
{
	(void)id;
	return ((const struct tap *)arg)->described;
}

static const struct lqos_column columns[] = {
	{.name = "packets",
	 .title = "packets",
	 .help = "packets taken",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_PACKETS,
	 .scope = LQOS_SCOPE_GLOBAL,
	 .read = read_packets},
	{.name = "bytes",
	 .title = "bytes",
	 .help = "bytes taken",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_BYTES,
	 .scope = LQOS_SCOPE_GLOBAL,
	 .read = read_bytes},
	{.name = "described",
	 .title = "described",
	 .help = "packets with the core's descriptor",
	 .kind = LQOS_COUNTER,
	 .unit = LQOS_UNIT_PACKETS,
	 .scope = LQOS_SCOPE_GLOBAL,
	 .read = read_described},
};

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static int start(struct lqos_ctx *ctx, const void *config, void **state)
{
	const struct config *c = config;
	struct lqos_xsk_rule rule = {
		.prefix = or_null(c->prefix),
		.circuit = or_null(c->circuit),
		.interface = or_null(c->interface),
		.about = c->about,
		.port = (uint16_t)c->port,
		.proto = (uint8_t)c->proto,
	};
	struct tap *t = calloc(1, sizeof(*t));
	char why[256];
	int rc, i;

	if (!t)
		return -ENOMEM;
	rc = lqos_defer(ctx, free, t);
	if (rc)
		return rc;
	t->ctx = ctx;
	t->config = c;
	for (i = 0; i < 3 && !rc; i++)
		rc = lqos_column_add(ctx, &columns[i], t);
	if (!rc)
		rc = lqos_xsk_tap(ctx, 0, on_packets, t, &t->tap);
	if (!rc)
		rc = lqos_timer_every(ctx, LATE_MS, on_timer, t, NULL);
	if (rc)
		return rc;
	rc = lqos_xsk_tap_add(t->tap, &rule, why, sizeof(why));
	if (rc) {
		lqos_log(ctx, LQOS_ERR, "%s", why);
		return rc;
	}
	*state = t;
	return 0;
}

LQOS_MODULE(.name = "tap", .version = "1.0",
	    .description = "Takes packets by AF_XDP, and counts them",
	    .needs = "xsk", .options = options,
	    .config_size = sizeof(struct config), .start = start);
