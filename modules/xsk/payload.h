/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload.h - payloads that tell which one they are and whether they are whole:
 * a sequence number, bytes that follow from it, and a CRC-32 over all that.
 */
#ifndef XSK_PAYLOAD_H
#define XSK_PAYLOAD_H

#include <stdint.h>

enum { PAYLOAD_MIN = 12 };

/* zlib's: polynomial 0xedb88320, reflected, ones before and after. */
uint32_t payload_crc32(const uint8_t *data, uint32_t len);

/* len: at least PAYLOAD_MIN. */
void payload_write(uint8_t *data, uint32_t len, uint64_t sequence);
/* -EBADMSG: not what was written. */
int payload_read(const uint8_t *data, uint32_t len, uint64_t *sequence);

#endif /* XSK_PAYLOAD_H */
