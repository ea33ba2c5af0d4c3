/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_pcapng.c - blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the
 * byte order of this machine, which its first block tells.
 */
#include <string.h>

#include "modules/capture/command.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	NANOSECONDS = 9, /* digits behind the second's point */
};

enum {
	OPT_COMMENT = 1,
	OPT_SHB_USERAPPL = 4,
	OPT_IF_NAME = 2,
	OPT_IF_TSRESOL = 9,
	OPT_EPB_FLAGS = 2,
	OPT_ISB_STARTTIME = 2,
	OPT_ISB_ENDTIME = 3,
	OPT_ISB_IFDROP = 5,
	OPT_ISB_OSDROP = 7,
	OPT_ISB_USRDELIV = 8,
};

enum { FLAG_INBOUND = 1, FLAG_OUTBOUND = 2 };

/* All of a block but a packet's bytes. */
struct block {
	uint8_t data[512];
	size_t len;
};

static size_t padded(size_t len)
{
	return (len + 3) / 4 * 4;
}

static void put(struct block *b, const void *data, size_t len)
{
	memset(b->data + b->len, 0, padded(len));
	memcpy(b->data + b->len, data, len);
	b->len += padded(len);
}

static void put32(struct block *b, uint32_t value)
{
	put(b, &value, sizeof(value));
}

static void put_time(struct block *b, int64_t ns)
{
	put32(b, (uint32_t)((uint64_t)ns >> 32));
	put32(b, (uint32_t)ns);
}

static void put_option(struct block *b, uint16_t code, const void *data,
		       uint16_t len)
{
	const uint16_t head[] = {code, len};

	put(b, head, sizeof(head));
	put(b, data, len);
}

static void put_text(struct block *b, uint16_t code, const char *text)
{
	size_t len = strnlen(text, 128);

	put_option(b, code, text, (uint16_t)len);
}

static void put_count(struct block *b, uint16_t code, uint64_t count)
{
	put_option(b, code, &count, sizeof(count));
}

static void put_end(struct block *b)
{
	put32(b, 0);
}

/* With more bytes between what is in b and the tail of tail_len bytes. */
static void write_block(FILE *f, uint32_t type, const struct block *b,
			const void *more, size_t more_len,
			const struct block *tail)
{
	static const uint8_t zeros[4];
	uint32_t total = (uint32_t)(3 * sizeof(uint32_t) + b->len +
				    padded(more_len) + (tail ? tail->len : 0));
	const uint32_t head[] = {type, total};

	fwrite(head, sizeof(head), 1, f);
	fwrite(b->data, 1, b->len, f);
	if (more_len) {
		fwrite(more, 1, more_len, f);
		fwrite(zeros, 1, padded(more_len) - more_len, f);
	}
	if (tail)
		fwrite(tail->data, 1, tail->len, f);
	fwrite(&total, sizeof(total), 1, f);
}

void pcapng_section(FILE *f, const char *program)
{
	static const uint16_t version[] = {1, 0};
	struct block b = {};

	put32(&b, BYTE_ORDER_MAGIC);
	put(&b, version, sizeof(version));
	put_time(&b, -1); /* how long the section is, is not known */
	put_text(&b, OPT_SHB_USERAPPL, program);
	put_end(&b);
	write_block(f, BLOCK_SECTION, &b, NULL, 0, NULL);
}

void pcapng_interface(FILE *f, const char *name, uint32_t snaplen)
{
	static const uint16_t type[] = {LINKTYPE_ETHERNET, 0};
	static const uint8_t resolution = NANOSECONDS;
	struct block b = {};

	put(&b, type, sizeof(type));
	put32(&b, snaplen);
	put_text(&b, OPT_IF_NAME, name);
	put_option(&b, OPT_IF_TSRESOL, &resolution, sizeof(resolution));
	put_end(&b);
	write_block(f, BLOCK_INTERFACE, &b, NULL, 0, NULL);
}

void pcapng_packet(FILE *f, uint32_t interface,
		   const struct capture_packet *packet)
{
	const struct capture_record *r = &packet->record;
	uint32_t flags = r->flags & CAPTURE_OUT ? FLAG_OUTBOUND : FLAG_INBOUND;
	struct block b = {}, tail = {};

	put32(&b, interface);
	put_time(&b, packet->wall);
	put32(&b, r->caplen);
	put32(&b, r->len);
	put_option(&tail, OPT_EPB_FLAGS, &flags, sizeof(flags));
	put_end(&tail);
	write_block(f, BLOCK_PACKET, &b, packet->data, r->caplen, &tail);
}

/* A time in an option is two words, the higher first. */
static void put_time_option(struct block *b, uint16_t code, int64_t ns)
{
	const uint32_t words[] = {(uint32_t)((uint64_t)ns >> 32), (uint32_t)ns};

	put_option(b, code, words, sizeof(words));
}

void pcapng_statistics(FILE *f, const struct pcapng_statistics *s)
{
	struct block b = {};

	put32(&b, s->interface);
	put_time(&b, s->end);
	if (s->with_drops)
		put_text(&b, OPT_COMMENT,
			 "what was dropped is of all interfaces");
	put_time_option(&b, OPT_ISB_STARTTIME, s->start);
	put_time_option(&b, OPT_ISB_ENDTIME, s->end);
	if (s->with_drops) {
		put_count(&b, OPT_ISB_IFDROP, s->lost);
		put_count(&b, OPT_ISB_OSDROP, s->dropped);
	}
	put_count(&b, OPT_ISB_USRDELIV, s->packets);
	put_end(&b);
	write_block(f, BLOCK_STATISTICS, &b, NULL, 0, NULL);
}
