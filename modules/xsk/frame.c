/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A frame, and the packet in it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "modules/xsk/parts.h"

static uint32_t offset_in(const struct lqos_umem *umem,
			  const struct lqos_xsk_frame *frame)
{
	return frame->addr & (umem->frame_size - 1);
}

uint8_t *lqos_xsk_data(const struct lqos_umem *umem,
		       const struct lqos_xsk_frame *frame)
{
	return umem->area + frame->addr;
}

uint32_t lqos_xsk_headroom(const struct lqos_umem *umem,
			   const struct lqos_xsk_frame *frame)
{
	return offset_in(umem, frame);
}

uint32_t lqos_xsk_tailroom(const struct lqos_umem *umem,
			   const struct lqos_xsk_frame *frame)
{
	uint32_t used = offset_in(umem, frame) + frame->len;

	return used < umem->frame_size ? umem->frame_size - used : 0;
}

uint8_t *lqos_xsk_push(const struct lqos_umem *umem,
		       struct lqos_xsk_frame *frame, uint32_t n)
{
	if (n > offset_in(umem, frame))
		return NULL;
	frame->addr -= n;
	frame->len += n;
	return lqos_xsk_data(umem, frame);
}

uint8_t *lqos_xsk_pull(const struct lqos_umem *umem,
		       struct lqos_xsk_frame *frame, uint32_t n)
{
	/* Of a full frame nothing may be left: addr would be in the next. */
	if (n > frame->len || n >= umem->frame_size - offset_in(umem, frame))
		return NULL;
	frame->addr += n;
	frame->len -= n;
	return lqos_xsk_data(umem, frame);
}

uint8_t *lqos_xsk_put(const struct lqos_umem *umem,
		      struct lqos_xsk_frame *frame, uint32_t n)
{
	uint32_t len = frame->len;

	if (n > lqos_xsk_tailroom(umem, frame))
		return NULL;
	frame->len += n;
	return lqos_xsk_data(umem, frame) + len;
}

int lqos_xsk_resize(const struct lqos_umem *umem, struct lqos_xsk_frame *frame,
		    uint32_t len)
{
	if (len > umem->frame_size - offset_in(umem, frame))
		return -EMSGSIZE;
	frame->len = len;
	return 0;
}

void lqos_xsk_dump(const struct lqos_umem *umem,
		   const struct lqos_xsk_frame *frame, void *stream)
{
	const uint8_t *data = lqos_xsk_data(umem, frame);
	uint32_t i, j, n;

	for (i = 0; i < frame->len; i += 16) {
		n = frame->len - i < 16 ? frame->len - i : 16;
		fprintf(stream, "%04x ", i);
		for (j = 0; j < 16; j++)
			if (j < n)
				fprintf(stream, " %02x", data[i + j]);
			else
				fputs("   ", stream);
		fputs("  ", stream);
		for (j = 0; j < n; j++)
			fputc(isprint(data[i + j]) ? data[i + j] : '.', stream);
		fputc('\n', stream);
	}
}
