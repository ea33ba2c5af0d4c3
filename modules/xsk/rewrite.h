/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rewrite.h - packets changed where they are.  Whatever is in a packet, nothing
 * outside of its room is touched, and what is no such packet stays as it is.
 */
#ifndef XSK_REWRITE_H
#define XSK_REWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "lqos/inet.h"

enum { REWRITE_PAYLOAD_MAX = 4096, REWRITE_WORD_MAX = 1400 };

struct rewrite_word {
	const char *text;
	uint32_t len;
};

/* Is it in the packet's payload? */
bool rewrite_contains(const uint8_t *data, const struct lqos_inet *in,
		      const struct rewrite_word *word);

/*
 * Every `from` in the payload of a UDP packet becomes `to`; lengths and
 * checksums follow.  *len: of the frame, which may grow up to room.  Returns
 * how many there were; -EMSGSIZE: the result is too long, nothing happened.
 */
int rewrite_replace(uint8_t *data, uint32_t *len, uint32_t room,
		    const struct rewrite_word *from,
		    const struct rewrite_word *to);

/*
 * A TCP segment becomes the RST that its sender could have sent in its place,
 * or the one with which its receiver could have answered it (RFC 9293,
 * 3.10.7).  Returns the frame's length, which is never more than it was.
 */
uint32_t rewrite_reset(uint8_t *data, const struct lqos_inet *in);
uint32_t rewrite_reset_back(uint8_t *data, const struct lqos_inet *in);

/* A SYN asks for segments of at most mss bytes: true if it asked for more. */
bool rewrite_clamp_mss(uint8_t *data, const struct lqos_inet *in, uint16_t mss);

#endif /* XSK_REWRITE_H */
