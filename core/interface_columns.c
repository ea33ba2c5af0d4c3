/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel itself counts on each interface, as columns. */
#include <string.h>

#include "core/cleanup.h"
#include "core/datapath.h"

struct statistic {
	struct lqos_column decl;
	const char *file; /* in class/net/NAME/statistics */
};

struct source {
	const struct statistic *what;
	const struct core_datapath *dp;
	int fd[CORE_PORTS_MAX];
};

static ssize_t read_again(struct source *s, uint32_t id, char *text,
			  size_t size)
{
	const struct attachment *a = &s->dp->at[id];

	if (s->fd[id] >= 0)
		close(s->fd[id]);
	s->fd[id] =
		a->gone ? -1 : interface_open_statistic(a->name, s->what->file);
	return s->fd[id] < 0 ? -1 : pread(s->fd[id], text, size, 0);
}

static uint64_t read_statistic(uint32_t id, void *arg)
{
	struct source *s = arg;
	char text[32];
	ssize_t n;

	if (id >= s->dp->n_at)
		return LQOS_NO_VALUE;
	n = s->fd[id] < 0 ? -1 : pread(s->fd[id], text, sizeof(text) - 1, 0);
	/* The interface has gone, and is perhaps back. */
	if (n <= 0)
		n = read_again(s, id, text, sizeof(text) - 1);
	if (n <= 0)
		return LQOS_NO_VALUE;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

#define STATISTIC(file_, name_, title_, unit_, help_)   \
	{                                               \
		.decl = {.name = name_,                 \
			 .title = title_,               \
			 .help = help_,                 \
			 .kind = LQOS_COUNTER,          \
			 .unit = unit_,                 \
			 .scope = LQOS_SCOPE_INTERFACE, \
			 .read = read_statistic},       \
		.file = file_                           \
	}

static const struct statistic statistics[] = {
	STATISTIC("rx_bytes", "rx.bytes", "Received", LQOS_UNIT_BYTES,
		  "as the kernel counts it"),
	STATISTIC("tx_bytes", "tx.bytes", "Sent", LQOS_UNIT_BYTES,
		  "as the kernel counts it"),
	STATISTIC("rx_packets", "rx.packets", "Rx pps", LQOS_UNIT_PACKETS,
		  "packets received"),
	STATISTIC("tx_packets", "tx.packets", "Tx pps", LQOS_UNIT_PACKETS,
		  "packets sent"),
	STATISTIC("rx_dropped", "rx.dropped", "Rx drops", LQOS_UNIT_PACKETS,
		  "dropped on the way in"),
	STATISTIC("tx_dropped", "tx.dropped", "Tx drops", LQOS_UNIT_PACKETS,
		  "dropped on the way out"),
};

static void close_source(void *arg)
{
	struct source *s = arg;
	int i;

	for (i = 0; i < CORE_PORTS_MAX; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	free(s);
}

int interface_add_columns(struct core_datapath *dp)
{
	size_t i, j;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(statistics) && !rc; i++) {
		struct source *s = calloc(1, sizeof(*s));

		if (!s)
			return -ENOMEM;
		s->what = &statistics[i];
		s->dp = dp;
		for (j = 0; j < CORE_PORTS_MAX; j++)
			s->fd[j] = -1;
		rc = lqos_defer(dp->core->ctx, close_source, s);
		if (!rc)
			rc = lqos_column_add(dp->core->ctx, &s->what->decl, s);
	}
	return rc;
}
