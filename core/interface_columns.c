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
	int fd[DATAPATH_INTERFACES];
};

static uint64_t read_statistic(uint32_t id, void *arg)
{
	const struct source *s = arg;
	char text[32];
	ssize_t n;

	if (id >= DATAPATH_INTERFACES || s->fd[id] < 0)
		return LQOS_NO_VALUE;
	n = pread(s->fd[id], text, sizeof(text) - 1, 0);
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

	for (i = 0; i < DATAPATH_INTERFACES; i++)
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
		for (j = 0; j < DATAPATH_INTERFACES; j++)
			s->fd[j] = j < dp->n_at ? interface_open_statistic(
							  dp->at[j].name,
							  s->what->file)
						: -1;
		rc = lqos_defer(dp->core->ctx, close_source, s);
		if (!rc)
			rc = lqos_column_add(dp->core->ctx, &s->what->decl, s);
	}
	return rc;
}
