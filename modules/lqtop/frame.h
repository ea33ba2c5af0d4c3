/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frame.h - a snapshot as JSON: the parts of a frame of "lqtop.top". */
#ifndef LQTOP_FRAME_H
#define LQTOP_FRAME_H

#include <jansson.h>

#include "core/lqos/module.h"

enum {
	LIMIT_DEFAULT = 50,
	LIMIT_MAX = 1000,
	FILTER_MAX = 128,
};

/* What the reader asked for. */
struct params {
	const char *sort;	 /* NULL: the default */
	char filter[FILTER_MAX]; /* in lower case */
	bool reverse, detail;
	uint32_t limit, offset;
};

struct lqtop {
	struct lqos_ctx *ctx;
	uint32_t known; /* subscribers in the registry */
	bool known_stale;
};

/* Only ASCII has a case here: the daemon has no locale. */
static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Each makes a new reference in *out.  -EINVAL: no such column to sort by. */
int frame_subscribers(struct lqtop *top, const struct lqos_snapshot *snapshot,
		      const struct params *p, json_t **out);
int frame_interfaces(struct lqtop *top, const struct lqos_snapshot *snapshot,
		     bool detail, json_t **out);
int frame_global(const struct lqos_snapshot *snapshot, bool detail,
		 json_t **out);

#endif /* LQTOP_FRAME_H */
