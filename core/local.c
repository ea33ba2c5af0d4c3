/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lqosctl's commands that need no daemon share: the configuration, and
 * whether a daemon lives. */
#include <string.h>

#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/local.h"

#define DEFAULT_CONFIG LQOS_SYSCONFDIR "/lqos/lqos.ini"

int local_open(struct local *l, const struct local_options *o)
{
	const char *path = o->config ?: DEFAULT_CONFIG;
	int rc;

	memset(l, 0, sizeof(*l));
	l->config_path = path;
	l->config_found = o->config || !access(path, F_OK) || errno != ENOENT;
	rc = l->config_found ? core_config_read(&l->config, path)
			     : core_config_parse(&l->config, path, "", 0);
	if (!rc && o->interfaces)
		rc = core_config_set_interfaces(l->config, o->interfaces);
	if (!rc)
		rc = core_config_fill(l->config, "lqosd", core_options,
				      &l->core.settings,
				      sizeof(l->core.settings));
	if (rc)
		core_config_free(&l->config);
	return rc;
}

void local_close(struct local *l)
{
	core_config_free(&l->config);
}

int local_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("lqosctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return EXIT_FAILURE;
}

static void print_line(enum lqos_level level, const char *line, void *arg)
{
	const bool *quiet = arg;

	if (level < LQOS_INFO || !*quiet)
		fprintf(stderr, "lqosctl: %s\n", line);
}

void local_log(bool quiet)
{
	static bool is_quiet;

	is_quiet = quiet;
	libbpf_set_print(NULL); /* what fails is told by who tried it */
	core_log_sink(print_line, &is_quiet);
}
