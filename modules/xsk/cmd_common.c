/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_common.c - options, messages and signals of lqosctl xsk's programs. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/number.h"
#include "modules/xsk/cmd_common.h"

enum { RING_MAX = 1 << 17, CHUNKS_MAX = 1 << 20, NS_PER_S = 1000000000 };

/* ---- Output -------------------------------------------------------------- */

static const char *name = "";

void cmd_begin(const struct cmd *cmd)
{
	name = cmd->name;
}

__attribute__((format(printf, 1, 0))) static void say(const char *format,
						      va_list args)
{
	fflush(stdout);
	fprintf(stderr, "lqosctl: xsk %s: ", name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cmd_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int cmd_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fprintf(stderr, "Try 'lqosctl xsk %s --help'.\n", name);
	return CMD_EXIT_USAGE;
}

/* ---- Options ------------------------------------------------------------- */

int cmd_number(const char *option, const char *text, uint32_t min, uint32_t max,
	       uint32_t *out)
{
	if (core_number(text, min, max, out))
		return cmd_usage("%s %s: expected a number from %u to %u",
				 option, text, min, max);
	return -1;
}

int cmd_power_of_two(const char *option, const char *text, uint32_t *out)
{
	uint32_t value = 0;
	int rc = cmd_number(option, text, 1, RING_MAX, &value);

	if (rc >= 0)
		return rc;
	if (value & (value - 1))
		return cmd_usage("%s %s: expected a power of two, as 64 or 128",
				 option, text);
	*out = value;
	return -1;
}

int cmd_chunk_size(const char *option, const char *text, uint32_t *out)
{
	if (strcmp(text, "2048") && strcmp(text, "4096"))
		return cmd_usage("%s %s: expected 2048 or 4096, which is what "
				 "the kernel takes",
				 option, text);
	*out = (uint32_t)strtoul(text, NULL, 10);
	return -1;
}

static int read_mode(const char *text, enum lqos_xsk_mode *out)
{
	if (!strcmp(text, "auto"))
		*out = LQOS_XSK_MODE_AUTO;
	else if (!strcmp(text, "native"))
		*out = LQOS_XSK_NATIVE;
	else if (!strcmp(text, "generic"))
		*out = LQOS_XSK_GENERIC;
	else
		return cmd_usage("--mode %s: expected auto, native or generic",
				 text);
	return -1;
}

static int read_copy(const char *text, enum lqos_xsk_copy *out)
{
	if (!strcmp(text, "auto"))
		*out = LQOS_XSK_COPY_AUTO;
	else if (!strcmp(text, "copy"))
		*out = LQOS_XSK_COPY;
	else if (!strcmp(text, "zerocopy"))
		*out = LQOS_XSK_ZEROCOPY;
	else
		return cmd_usage("--copy %s: expected auto, copy or zerocopy",
				 text);
	return -1;
}

int cmd_option(struct cmd_sizes *sizes, int option, const char *value,
	       const char *help)
{
	switch (option) {
	case 'h':
		fputs(help, stdout);
		return EXIT_SUCCESS;
	case 's':
		return cmd_chunk_size("--chunk-size", value,
				      &sizes->chunk_size);
	case 'c':
		return cmd_number("--chunk-count", value, 1, CHUNKS_MAX,
				  &sizes->chunk_count);
	case 'r':
		return cmd_power_of_two("--rx-ring", value, &sizes->rx_ring);
	case 't':
		return cmd_power_of_two("--tx-ring", value, &sizes->tx_ring);
	case 'f':
		return cmd_power_of_two("--fill-ring", value,
					&sizes->fill_ring);
	case 'o':
		return cmd_power_of_two("--completion-ring", value,
					&sizes->completion_ring);
	case CMD_MODE:
		return read_mode(value, &sizes->mode);
	case CMD_COPY:
		return read_copy(value, &sizes->copy);
	default: /* getopt_long() has told */
		fprintf(stderr, "Try 'lqosctl xsk %s --help'.\n", name);
		return CMD_EXIT_USAGE;
	}
}

/* ---- Until when ---------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

void cmd_catch_signals(void)
{
	/* Once: who is stuck in a write to a pipe that nobody reads ends at the
	 * second.  Without SA_RESTART: poll() returns. */
	struct sigaction act = {.sa_handler = on_signal,
				.sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

bool cmd_ended(void)
{
	return ended;
}

int64_t cmd_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

bool cmd_every_second(int64_t *next)
{
	int64_t now = cmd_now_ns();

	if (now < *next)
		return false;
	*next = now + NS_PER_S;
	return true;
}
