/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a frame that module echo is asked to answer.
 *
 * Nothing outside the frame and its room is read or written.  What is not
 * answered is untouched.  An answer comes from us, goes to one host (or says to
 * all that an address is taken), has right checksums and nothing behind it, and
 * is itself answered neither by us nor by a host like us at the other end.
 *
 * The input: a byte, then the frame.  Its lowest bit: checksums are made right
 * before, as hardly any input would have them; the rest: room behind the frame.
 */
#include <string.h>

#include "core/lqos/inet.h"
#include "modules/echo/reply.h"
#include "tests/fuzz/fuzz.h"

static const struct echo_self self = {
	.mac = {2, 0, 0, 0, 0, 5},
	.udp_port = 7,
	.n = 2,
	.addresses = {{4, {10, 0, 0, 5}}, {6, {0x20, 1, 0x0d, 0xb8, [15] = 2}}},
};

/* A copy that ends where its memory ends. */
static uint8_t *copy(const uint8_t *data, size_t len, size_t room)
{
	uint8_t *out = malloc(room ?: 1);

	require(out);
	if (len)
		memcpy(out, data, len);
	memset(out + len, 0xa5, room - len);
	return out;
}

static void mend_checksums(uint8_t *data, uint32_t len)
{
	struct lqos_inet in;

	if (!lqos_inet_parse(data, len, &in) && in.version)
		lqos_inet_set_checksums(data, &in);
}

static bool is_own(const uint8_t *address, uint8_t version)
{
	return !memcmp(address, self.addresses[version == 6].bytes,
		       version == 6 ? 16 : 4);
}

/* Whom an answer goes to, as one who answers himself. */
static struct echo_self other_end(const uint8_t *data,
				  const struct lqos_inet *in)
{
	struct echo_self them = {.udp_port = 7, .n = 1};
	const uint8_t *ip = data + in->l3;

	memcpy(them.mac, data, 6);
	them.addresses[0].version = in->version ?: 4;
	memcpy(them.addresses[0].bytes,
	       in->version == 6	  ? ip + 24
	       : in->version == 4 ? ip + 16
				  : ip + 24,
	       in->version == 6 ? 16 : 4);
	return them;
}

static void check_ip(const uint8_t *data, const struct lqos_inet *in,
		     enum echo_verdict verdict)
{
	const uint8_t *ip = data + in->l3;

	require(in->l4 && !in->fragment);
	require(in->l4 == in->l3 + (in->version == 4 ? 20U : 40U));
	require(is_own(ip + (in->version == 4 ? 12 : 8), in->version));
	require(lqos_inet_l4_sum(data, in) == 0xffff);
	if (in->version == 4)
		require(lqos_inet_sum(0, ip, 20) == 0xffff);
	require(ip[in->version == 4 ? 8 : 7] ==
		(verdict == ECHO_ND ? 255 : 64));
}

static void check_answer(uint8_t *data, uint32_t len, uint32_t room,
			 enum echo_verdict verdict)
{
	struct lqos_inet in;
	struct echo_self them;
	uint32_t again = len;

	require(!lqos_inet_parse(data, len, &in));
	require(!memcmp(data + 6, self.mac, 6));
	require(!(data[0] & 1) || verdict == ECHO_ND);
	if (in.version)
		check_ip(data, &in, verdict);
	else
		require(verdict == ECHO_ARP && is_own(data + in.l3 + 14, 4));
	for (uint32_t i = in.version ? in.end : in.l3 + 28; i < len; i++)
		require(!data[i]);
	require(!echo_is_answer(echo_reply(data, &again, room, &self)));
	them = other_end(data, &in);
	require(!echo_is_answer(echo_reply(data, &again, room, &them)));
	require(again == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum echo_verdict verdict;
	uint8_t *frame, *before;
	uint32_t len, room;

	if (!size)
		return 0;
	len = (uint32_t)size - 1;
	room = len + data[0] / 2;
	frame = copy(data + 1, len, room);
	if (data[0] & 1)
		mend_checksums(frame, len);
	before = copy(frame, room, room);
	verdict = echo_reply(frame, &len, room, &self);
	require(verdict < ECHO_VERDICTS);
	require(len <= room);
	if (echo_is_answer(verdict))
		check_answer(frame, len, room, verdict);
	else
		require(len == size - 1 && !memcmp(frame, before, room));
	free(before);
	free(frame);
	return 0;
}
