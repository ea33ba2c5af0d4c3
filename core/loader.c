/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* loader.c - orders and loads modules, and walks them through start and stop.
 */
#include <dlfcn.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "core/lqos/packet.h"

#define SELF "core"

/* Sanitizers name a module's frames after the end: its code has to stay. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP_CODE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_CODE 1
#endif
#endif
#ifndef KEEP_CODE
#define KEEP_CODE 0
#endif

struct core_loader {
	struct core *core;
	char *dirs;
	struct core_module **modules;
	size_t n;
};

static bool next_name(const char **list, const char **name, size_t *len)
{
	return core_word_next(list, ", \t", name, len);
}

static struct core_module *named(const struct core_loader *loader, size_t from,
				 const char *name, size_t len)
{
	for (size_t i = from; i < loader->n; i++) {
		const char *there = loader->modules[i]->info.name;

		if (strlen(there) == len && !memcmp(there, name, len))
			return loader->modules[i];
	}
	return NULL;
}

static int check_needs(const struct core_loader *loader,
		       const struct core_module *module)
{
	const char *rest = module->info.needs, *name;
	size_t len;
	int rc = 0;

	while (next_name(&rest, &name, &len)) {
		if (named(loader, 0, name, len))
			continue;
		core_log(SELF, LQOS_ERR,
			 "module %s needs %.*s, which is not in this run: add "
			 "it to modules= of [lqosd] or to -m",
			 module->info.name, (int)len, name);
		rc = -ENOENT;
	}
	return rc;
}

static int check_steering(const struct core_loader *loader)
{
	const struct core_module *first = NULL;

	for (size_t i = 0; i < loader->n; i++) {
		const struct core_module *module = loader->modules[i];

		if (!(module->info.flags & LQOS_MODULE_STEERS))
			continue;
		if (first) {
			core_log(SELF, LQOS_ERR,
				 "modules %s and %s both move packets to CPUs, "
				 "one at most may: take one out of modules= "
				 "or -m",
				 first->info.name, module->info.name);
			return -EINVAL;
		}
		first = module;
	}
	return 0;
}

/* Where in a flow's record its part begins, which is on a cache line. */
static uint32_t flow_part(const struct core_loader *loader,
			  const struct core_module *module)
{
	uint32_t at = sizeof(struct lqos_flow);

	for (size_t i = 0; i < loader->n && loader->modules[i] != module; i++)
		at += (loader->modules[i]->info.flow_bytes + 63) / 64 * 64;
	return at;
}

static int check_flow_bytes(const struct core_module_info *info)
{
	if (info->flow_bytes <= LQOS_FLOW_BYTES_MAX &&
	    (!info->flow_bytes || info->flags & LQOS_MODULE_FLOWS))
		return 0;
	core_log(SELF, LQOS_ERR,
		 "module %s: flow_bytes is %u, expected at most %u, and "
		 "LQOS_MODULE_FLOWS among its flags: correct its LQOS_MODULE() "
		 "and rebuild it",
		 info->name, info->flow_bytes, LQOS_FLOW_BYTES_MAX);
	return -EINVAL;
}

/* ---- Order -------------------------------------------------------------- */

/* One of the modules from place on that has to start before this one. */
static struct core_module *waits_for(const struct core_loader *loader,
				     size_t place,
				     const struct core_module *module)
{
	const char *lists[] = {module->info.needs, module->info.after};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct core_module *other;
		const char *name;
		size_t len;

		while (next_name(&lists[i], &name, &len)) {
			other = named(loader, place, name, len);
			if (other)
				return other;
		}
	}
	return NULL;
}

/* All from place on wait for another of them: n steps end on a cycle. */
static int name_cycle(const struct core_loader *loader, size_t place)
{
	const struct core_module *first = loader->modules[place], *module;
	char names[512];
	size_t used;

	for (size_t i = 0; i < loader->n; i++)
		first = waits_for(loader, place, first);
	module = first;
	used = (size_t)snprintf(names, sizeof(names), "%s", first->info.name);
	do {
		module = waits_for(loader, place, module);
		if (used < sizeof(names))
			used += (size_t)snprintf(
				names + used, sizeof(names) - used, " after %s",
				module->info.name);
	} while (module != first);
	core_log(SELF, LQOS_ERR,
		 "modules wait for each other (%s): correct their needs or "
		 "after, or leave one out",
		 names);
	return -ELOOP;
}

/* Needs and after first, otherwise the order given. */
static int order(struct core_loader *loader)
{
	for (size_t place = 0; place < loader->n; place++) {
		struct core_module **at = &loader->modules[place], *module;
		size_t i = 0;

		while (place + i < loader->n && waits_for(loader, place, at[i]))
			i++;
		if (place + i == loader->n)
			return name_cycle(loader, place);
		module = at[i];
		memmove(at + 1, at, i * sizeof(*at));
		*at = module;
	}
	return 0;
}

/* ---- Load --------------------------------------------------------------- */

static const struct lqos_option *options_of(const struct lqos_module *entry)
{
	static const struct lqos_option none[] = {LQOS_OPTIONS_END};

	return entry->options ? entry->options : none;
}

static int open_module(struct core_module *module)
{
	const struct core_module_info *info = &module->info;
	const struct lqos_module *entry;

	module->handle = dlopen(info->path, RTLD_NOW | RTLD_LOCAL);
	if (!module->handle) {
		core_log(SELF, LQOS_ERR, "module %s cannot be loaded: %s",
			 info->name, dlerror());
		return -ENOEXEC;
	}
	entry = dlsym(module->handle, LQOS_MODULE_SYMBOL);
	if (!entry) {
		core_log(SELF, LQOS_ERR,
			 "module %s: %s does not export %s: declare it with "
			 "LQOS_MODULE()",
			 info->name, info->path, LQOS_MODULE_SYMBOL);
		return -ENODATA;
	}
	/* What was checked came from the section: it has to be the same. */
	if (entry->abi != info->abi || entry->size != info->size ||
	    entry->flow_bytes != info->flow_bytes ||
	    strcmp(entry->name, info->name) || !entry->start) {
		core_log(SELF, LQOS_ERR,
			 "module %s: %s of %s is not what its section %s "
			 "holds, or has no start(): declare it with "
			 "LQOS_MODULE()",
			 info->name, LQOS_MODULE_SYMBOL, info->path,
			 LQOS_MODULE_SECTION);
		return -EINVAL;
	}
	module->entry = entry;
	return 0;
}

static int configure(struct core_loader *loader, struct core_module *module,
		     uint32_t index, const struct core_config *config)
{
	const struct lqos_module *entry = module->entry;
	const char *name = module->info.name;
	int rc;

	rc = core_ctx_new(&module->ctx, loader->core, name, index);
	if (rc)
		return rc;
	module->ctx->has_flows = module->info.flags & LQOS_MODULE_FLOWS;
	if (module->info.flow_bytes)
		module->ctx->flow_part = flow_part(loader, module);
	module->config = calloc(1, entry->config_size + 1);
	if (!module->config)
		return -ENOMEM;
	rc = core_config_fill(config, name, options_of(entry), module->config,
			      entry->config_size);
	if (rc || !entry->check)
		return rc;
	core_loop_enter(module->ctx, "check");
	rc = entry->check(module->ctx, module->config);
	core_loop_leave(module->ctx);
	/* It is not started: nothing it registered may stay. */
	core_ctx_release(module->ctx);
	return rc ? core_fail(SELF, rc < 0 ? rc : -EINVAL,
			      "module %s refuses the values of section [%s]",
			      name, name)
		  : 0;
}

/* Sections may be of lqosd, of this run's modules and of others there are. */
static int check_sections(const struct core_loader *loader,
			  const struct core_config *config)
{
	autofree struct core_module_info *infos = NULL;
	autofree const char **names = NULL;
	size_t n = 0, used = 0;

	if (loader->n)
		core_module_scan(loader->dirs, &infos, &n);
	names = calloc(loader->n + n + 2, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names[used++] = "lqosd";
	for (size_t i = 0; i < loader->n; i++)
		names[used++] = loader->modules[i]->info.name;
	for (size_t i = 0; i < n; i++)
		names[used++] = infos[i].name;
	return core_config_unknown_sections(config, names);
}

static int add(struct core_loader *loader, const char *text, size_t len)
{
	autofree struct core_module *module = NULL;
	struct core_module **grown;
	autofree char *name = strndup(text, len);
	int rc;

	if (!name)
		return -ENOMEM;
	if (named(loader, 0, name, len)) {
		core_log(SELF, LQOS_ERR,
			 "module %s is named twice: correct modules= or -m",
			 name);
		return -EINVAL;
	}
	module = calloc(1, sizeof(*module));
	if (!module)
		return -ENOMEM;
	rc = core_module_find(loader->dirs, name, &module->info);
	if (rc)
		return rc;
	grown = realloc(loader->modules, (loader->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	loader->modules = grown;
	grown[loader->n++] = steal_ptr(module);
	return 0;
}

static void keep_first(int *rc, int next)
{
	if (!*rc)
		*rc = next;
}

int core_loader_load(struct core_loader *loader, const char *names,
		     const struct core_config *config)
{
	const char *name;
	size_t len;
	int rc = 0;

	/* Each stage names all that is wrong, not just the first. */
	while (next_name(&names, &name, &len))
		keep_first(&rc, add(loader, name, len));
	if (rc)
		return rc;
	for (size_t i = 0; i < loader->n; i++)
		keep_first(&rc, check_needs(loader, loader->modules[i])
					?: check_flow_bytes(
						   &loader->modules[i]->info));
	keep_first(&rc, check_steering(loader));
	keep_first(&rc, order(loader));
	if (rc)
		return rc;
	for (size_t i = 0; i < loader->n; i++)
		keep_first(&rc, open_module(loader->modules[i]));
	if (rc)
		return rc;
	for (size_t i = 0; i < loader->n; i++)
		keep_first(&rc, configure(loader, loader->modules[i],
					  (uint32_t)i + 1, config));
	keep_first(&rc, check_sections(loader, config));
	return rc;
}

int core_loader_print_options(const char *dirs, FILE *f)
{
	autofree struct core_module_info *infos = NULL;
	size_t n = 0;
	int rc;

	rc = core_loader_list(dirs, &infos, &n);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct core_module module = {.info = infos[i]};
		int module_rc;

		module_rc = core_module_find(dirs, infos[i].name, &module.info);
		if (!module_rc)
			module_rc = open_module(&module);
		if (!module_rc)
			core_options_print(f, infos[i].name,
					   infos[i].description,
					   options_of(module.entry));
		if (module.handle && !KEEP_CODE)
			dlclose(module.handle);
		keep_first(&rc, module_rc);
	}
	return rc;
}

/* ---- Life --------------------------------------------------------------- */

int core_loader_new(struct core_loader **out, struct core *core,
		    const char *dirs)
{
	autofree struct core_loader *loader = calloc(1, sizeof(*loader));

	if (!loader)
		return -ENOMEM;
	loader->core = core;
	loader->dirs = strdup(dirs);
	if (!loader->dirs)
		return -ENOMEM;
	*out = steal_ptr(loader);
	return 0;
}

static void stop(struct core_module *module)
{
	if (!module->started)
		return;
	if (module->entry->stop) {
		core_loop_enter(module->ctx, "stop");
		module->entry->stop(module->ctx, module->state);
		core_loop_leave(module->ctx);
	}
	module->started = false;
	module->state = NULL;
	core_ctx_release(module->ctx);
}

static void stop_all(struct core_loader *loader)
{
	for (size_t i = loader->n; i--;)
		stop(loader->modules[i]);
}

int core_loader_start(struct core_loader *loader)
{
	for (size_t i = 0; i < loader->n; i++) {
		struct core_module *module = loader->modules[i];
		int rc;

		core_loop_enter(module->ctx, "start");
		rc = module->entry->start(module->ctx, module->config,
					  &module->state);
		core_loop_leave(module->ctx);
		if (rc) {
			module->state = NULL;
			core_ctx_release(module->ctx);
			stop_all(loader);
			return core_fail(SELF, rc < 0 ? rc : -EPROTO,
					 "module %s did not start",
					 module->info.name);
		}
		module->started = true;
		core_log(SELF, LQOS_DEBUG, "module %s %s started",
			 module->info.name, module->info.version);
	}
	return 0;
}

void core_loader_free(struct core_loader **loader)
{
	struct core_loader *old = *loader;

	if (!old)
		return;
	stop_all(old);
	for (size_t i = old->n; i--;) {
		core_ctx_free(&old->modules[i]->ctx);
		free(old->modules[i]->config);
	}
	/* Only now can nobody point into a module's memory any more. */
	for (size_t i = old->n; i--;) {
		if (old->modules[i]->handle && !KEEP_CODE)
			dlclose(old->modules[i]->handle);
		free(old->modules[i]);
	}
	free(old->modules);
	free(old->dirs);
	free(old);
	*loader = NULL;
}

uint32_t core_loader_flags(const struct core_loader *loader)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < loader->n; i++)
		flags |= loader->modules[i]->info.flags;
	return flags;
}

uint32_t core_loader_flow_bytes(const struct core_loader *loader)
{
	return flow_part(loader, NULL);
}

size_t core_loader_count(const struct core_loader *loader)
{
	return loader->n;
}

const struct core_module *core_loader_get(const struct core_loader *loader,
					  size_t i)
{
	return i < loader->n ? loader->modules[i] : NULL;
}
