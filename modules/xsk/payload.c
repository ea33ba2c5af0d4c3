/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* payload.c - payloads that tell which one they are and whether they are whole.
 */
#include <errno.h>

#include "lqos/inet.h"
#include "modules/xsk/payload.h"

enum { SEQUENCE = 8, CRC = 4 };

/* Filled before main(): several threads read it. */
static uint32_t table[256];

static void __attribute__((constructor)) fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
		table[i] = crc;
	}
}

uint32_t payload_crc32(const uint8_t *data, uint32_t len)
{
	uint32_t crc = ~0U;

	while (len--)
		crc = table[(crc ^ *data++) & 0xff] ^ crc >> 8;
	return ~crc;
}

void payload_write(uint8_t *data, uint32_t len, uint64_t sequence)
{
	uint32_t state = (uint32_t)sequence * 2654435761U + 1;

	lqos_put32(data, (uint32_t)(sequence >> 32));
	lqos_put32(data + 4, (uint32_t)sequence);
	for (uint32_t i = SEQUENCE; i < len - CRC; i++) {
		state = state * 1664525 + 1013904223;
		data[i] = (uint8_t)(state >> 24);
	}
	lqos_put32(data + len - CRC, payload_crc32(data, len - CRC));
}

int payload_read(const uint8_t *data, uint32_t len, uint64_t *sequence)
{
	if (len < PAYLOAD_MIN ||
	    lqos_get32(data + len - CRC) != payload_crc32(data, len - CRC))
		return -EBADMSG;
	*sequence = (uint64_t)lqos_get32(data) << 32 | lqos_get32(data + 4);
	return 0;
}
