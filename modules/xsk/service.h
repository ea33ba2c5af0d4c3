/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module xsk does for the taps of other modules. */
#ifndef XSK_SERVICE_H
#define XSK_SERVICE_H

#include "core/lqos/xsk.h"

#define XSK_SERVICE "xsk"

struct xsk_service {
	int (*tap)(void *xsk, struct lqos_ctx *ctx, uint32_t budget,
		   lqos_xsk_fn fn, void *arg, struct lqos_xsk_tap **out);
	int (*add)(struct lqos_xsk_tap *tap, const struct lqos_xsk_rule *rule,
		   char *why, size_t size);
	void (*clear)(struct lqos_xsk_tap *tap);
	struct lqos_xsk *(*socket)(const struct lqos_xsk_tap *tap,
				   const char *interface, uint32_t queue);
	struct lqos_umem *(*umem)(const struct lqos_xsk_tap *tap);
	void *xsk; /* the first's */
};

/* What every tap begins with. */
struct xsk_tap_head {
	const struct xsk_service *service;
};

#endif /* XSK_SERVICE_H */
