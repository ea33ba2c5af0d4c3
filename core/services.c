/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What modules do for each other: pointers by name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

struct core_service {
	LIST_ENTRY(core_service) link;
	const char *name;
	const void *service;
};

static void service_gone(void *arg)
{
	struct core_service *s = arg;

	LIST_REMOVE(s, link);
	free(s);
}

static const struct core_service *find(const struct core *core,
				       const char *name)
{
	const struct core_service *s;

	LIST_FOREACH(s, &core->services, link)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

int lqos_service_add(struct lqos_ctx *ctx, const char *name,
		     const void *service)
{
	struct core_service *s;

	if (find(ctx->core, name))
		return core_fail(ctx->name, -EEXIST,
				 "service %s: another module has it", name);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->name = name;
	s->service = service;
	LIST_INSERT_HEAD(&ctx->core->services, s, link);
	return core_own(ctx, service_gone, s, NULL);
}

const void *lqos_service(struct lqos_ctx *ctx, const char *name)
{
	const struct core_service *s = find(ctx->core, name);

	return s ? s->service : NULL;
}
