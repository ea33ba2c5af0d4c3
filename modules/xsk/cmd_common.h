/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_common.h - what the programs of lqosctl xsk have in common. */
#ifndef XSK_CMD_COMMON_H
#define XSK_CMD_COMMON_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "lqos/xsk.h"

enum { CMD_EXIT_USAGE = 2, CMD_WHY = 512, CMD_BATCH = 64 };

/* ---- The programs, each in a file of its own ----------------------------- */

struct cmd {
	const char *name, *args, *help;
	/* argv[0] is the name; an exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct cmd cmd_hello, cmd_dev1_to_dev2, cmd_forward, cmd_filter,
	cmd_change_word, cmd_tunnel;

/* ---- Output -------------------------------------------------------------- */

/* From here on cmd is what messages are about. */
void cmd_begin(const struct cmd *cmd);
/* One line to stderr; EXIT_FAILURE. */
__attribute__((format(printf, 1, 2))) int cmd_fail(const char *format, ...);
/* The same, and where there is help; CMD_EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int cmd_usage(const char *format, ...);

/* ---- Options ------------------------------------------------------------- */

/* Of the sockets, as packetvisor's examples have them. */
struct cmd_sizes {
	uint32_t chunk_size, chunk_count;
	uint32_t rx_ring, tx_ring, fill_ring, completion_ring;
	enum lqos_xsk_mode mode;
	enum lqos_xsk_copy copy;
};

/* clang-format off */
#define CMD_SIZES_DEFAULT {2048, 1024, 64, 64, 64, 64, LQOS_XSK_MODE_AUTO, \
			   LQOS_XSK_COPY_AUTO}

enum { CMD_MODE = 1000, CMD_COPY }; /* have no letters */

#define CMD_LETTERS "hs:c:r:t:f:o:"
#define CMD_LONG_MODE \
	{"mode", required_argument, NULL, CMD_MODE}, \
	{"copy", required_argument, NULL, CMD_COPY}, \
	{"help", no_argument, NULL, 'h'}
#define CMD_LONG \
	{"chunk-size", required_argument, NULL, 's'}, \
	{"chunk-count", required_argument, NULL, 'c'}, \
	{"rx-ring", required_argument, NULL, 'r'}, \
	{"tx-ring", required_argument, NULL, 't'}, \
	{"fill-ring", required_argument, NULL, 'f'}, \
	{"completion-ring", required_argument, NULL, 'o'}, \
	CMD_LONG_MODE
#define CMD_HELP_MODE \
	"      --mode=MODE           auto, native (in the driver) or generic\n" \
	"      --copy=COPY           auto, copy or zerocopy\n" \
	"  -h, --help\n"
#define CMD_HELP \
	"  -s, --chunk-size=BYTES    2048 or 4096 (2048)\n" \
	"  -c, --chunk-count=N       frames of all queues together (1024)\n" \
	"  -r, --rx-ring=N           powers of two, of each queue (64)\n" \
	"  -t, --tx-ring=N\n" \
	"  -f, --fill-ring=N\n" \
	"  -o, --completion-ring=N\n" \
	CMD_HELP_MODE
/* clang-format on */

/*
 * What getopt_long() has found.  -1: it is read; an exit status: it was --help,
 * which is shown, or it is wrong, which is told.
 */
int cmd_option(struct cmd_sizes *sizes, int option, const char *value,
	       const char *help);
/* The same; name: of the option, with its dashes. */
int cmd_number(const char *name, const char *text, uint32_t min, uint32_t max,
	       uint32_t *out);
int cmd_power_of_two(const char *name, const char *text, uint32_t *out);
int cmd_chunk_size(const char *name, const char *text, uint32_t *out);

/* ---- Until when ---------------------------------------------------------- */

/* SIGINT and SIGTERM end the program, at its leisure. */
void cmd_catch_signals(void);
bool cmd_ended(void);
int64_t cmd_now_ns(void);
/* True at first, and once a second; *next is 0 in the beginning. */
bool cmd_every_second(int64_t *next);

#endif /* XSK_CMD_COMMON_H */
