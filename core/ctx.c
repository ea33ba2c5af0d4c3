/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts: whose things are whose, and how they are taken back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

struct core_owned {
	struct core_owned *newer;
	struct core_owned *older;
	void (*release)(void *obj);
	void *obj;
	bool released; /* its release() runs: no longer in the list */
};

int core_ctx_new(struct lqos_ctx **out, struct core *core, const char *name,
		 uint32_t index)
{
	autofree struct lqos_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return -ENOMEM;

	ctx->core = core;
	ctx->index = index;
	ctx->name = strdup(name);
	if (!ctx->name)
		return -ENOMEM;

	*out = steal_ptr(ctx);
	return 0;
}

void core_ctx_free(struct lqos_ctx **ctx)
{
	struct lqos_ctx *c = *ctx;

	*ctx = NULL;
	if (!c)
		return;

	core_ctx_release(c);
	free((char *)c->name);
	free(c);
}

static void unlink_owned(struct lqos_ctx *ctx, struct core_owned *owned)
{
	if (owned->newer)
		owned->newer->older = owned->older;
	else
		ctx->owned = owned->older;
	if (owned->older)
		owned->older->newer = owned->newer;
}

void core_ctx_release(struct lqos_ctx *ctx)
{
	bool outer = ctx->releasing;

	ctx->releasing = true;
	/*
	 * The head is read anew each time: a release() may disown others,
	 * register more, or release the rest of the context itself.
	 */
	while (ctx->owned) {
		struct core_owned *owned = ctx->owned;

		unlink_owned(ctx, owned);
		owned->released = true;
		owned->release(owned->obj);
		free(owned);
	}
	ctx->releasing = outer;
}

int core_own(struct lqos_ctx *ctx, void (*release)(void *obj), void *obj,
	     struct core_owned **out)
{
	struct core_owned *owned = calloc(1, sizeof(*owned));

	if (!owned) {
		release(obj);
		return -ENOMEM;
	}

	owned->release = release;
	owned->obj = obj;
	owned->older = ctx->owned;
	if (ctx->owned)
		ctx->owned->newer = owned;
	ctx->owned = owned;
	if (out)
		*out = owned;
	return 0;
}

void core_disown(struct lqos_ctx *ctx, struct core_owned **owned)
{
	struct core_owned *o = *owned;

	*owned = NULL;
	/* Disowned by its own release(): core_ctx_release() frees it. */
	if (!o || o->released)
		return;

	unlink_owned(ctx, o);
	free(o);
}

int lqos_defer(struct lqos_ctx *ctx, void (*fn)(void *arg), void *arg)
{
	return core_own(ctx, fn, arg, NULL);
}

const char *lqos_module_name(const struct lqos_ctx *ctx)
{
	return ctx->name;
}
