/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log as one text, for tests that look into it. */
#ifndef TESTS_UNIT_LOG_CAPTURE_H
#define TESTS_UNIT_LOG_CAPTURE_H

#include <stdio.h>
#include <string.h>

#include "core/core.h"

static struct {
	char text[65536];
	size_t len;
	unsigned int lines;
	enum lqos_level level; /* of the last line */
} captured;

static void log_capture_line(enum lqos_level level, const char *line, void *arg)
{
	(void)arg;
	captured.len += (size_t)snprintf(captured.text + captured.len,
					 sizeof(captured.text) - captured.len,
					 "%s\n", line);
	if (captured.len > sizeof(captured.text) - 1)
		captured.len = sizeof(captured.text) - 1;
	captured.lines++;
	captured.level = level;
}

/* Forget what came so far; what comes is kept.  The rate limit starts anew. */
static inline void log_capture(void)
{
	core_log_sink(log_capture_line, NULL);
	memset(&captured, 0, sizeof(captured));
}

static inline bool log_has(const char *text)
{
	return strstr(captured.text, text);
}

#endif /* TESTS_UNIT_LOG_CAPTURE_H */
