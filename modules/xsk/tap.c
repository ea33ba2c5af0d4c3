/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taps, as modules see them: the module xsk has them. */
#include <errno.h>

#include "core/lqos/packet.h"
#include "modules/xsk/parts.h"
#include "modules/xsk/service.h"

static const struct xsk_service *service_of(const struct lqos_xsk_tap *tap)
{
	return ((const struct xsk_tap_head *)tap)->service;
}

int lqos_xsk_tap(struct lqos_ctx *ctx, uint32_t budget, lqos_xsk_fn fn,
		 void *arg, struct lqos_xsk_tap **out)
{
	const struct xsk_service *service = lqos_service(ctx, XSK_SERVICE);

	if (!service)
		return lqos_fail(ctx, -ENOENT,
				 "the module xsk is not running: say .needs = "
				 "\"xsk\"");
	return service->tap(service->xsk, ctx, budget, fn, arg, out);
}

int lqos_xsk_tap_add(struct lqos_xsk_tap *tap, const struct lqos_xsk_rule *rule,
		     char *why, size_t size)
{
	return service_of(tap)->add(tap, rule, why, size);
}

void lqos_xsk_tap_clear(struct lqos_xsk_tap *tap)
{
	service_of(tap)->clear(tap);
}

struct lqos_xsk *lqos_xsk_tap_socket(const struct lqos_xsk_tap *tap,
				     const char *interface, uint32_t queue)
{
	return service_of(tap)->socket(tap, interface, queue);
}

struct lqos_umem *lqos_xsk_tap_umem(const struct lqos_xsk_tap *tap)
{
	return service_of(tap)->umem(tap);
}

const struct lqos_packet *
lqos_xsk_descriptor(const struct lqos_umem *umem,
		    const struct lqos_xsk_frame *frame)
{
	const struct lqos_packet *pkt;

	if (lqos_xsk_headroom(umem, frame) < sizeof(*pkt))
		return NULL;
	pkt = (const void *)(lqos_xsk_data(umem, frame) - sizeof(*pkt));
	if ((uintptr_t)pkt % _Alignof(struct lqos_packet) ||
	    pkt->magic != LQOS_PACKET_MAGIC ||
	    pkt->version != LQOS_PACKET_VERSION)
		return NULL;
	return pkt;
}
