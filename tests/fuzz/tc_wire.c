/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A byte that says how many descriptors come, and any bytes as the datagram of
 * "tc exec bpf" with them.
 *
 * What is refused is said.  What is taken is as long as it says, has a
 * descriptor for each map, ids that differ, and a text that ends.
 */
#include <errno.h>
#include <string.h>

#include "core/shell/tc.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t ids[TC_ID_MAX + 1];
	struct tc_datagram d = {};
	char why[128] = "";
	size_t n_fds, length;
	int rc;

	if (!size)
		return 0;
	n_fds = data[0];
	length = size - 1;
	rc = tc_check(data + 1, length, n_fds, why, sizeof(why));
	if (rc) {
		require(rc == -EPROTO);
		require_one_line(why);
		return 0;
	}
	require(!*why);
	require(length <= sizeof(d));
	memcpy(&d, data + 1, length);
	require(d.version == 1 && d.n && d.n <= 64 && d.n == n_fds);
	require(length == 88 + 36 * (size_t)d.n);
	require(strnlen(d.object, sizeof(d.object)) < sizeof(d.object));
	for (size_t i = 0; i < d.n; i++) {
		require(d.maps[i].id <= TC_ID_MAX && !ids[d.maps[i].id]);
		ids[d.maps[i].id] = 1;
	}
	for (size_t i = 0; i < d.n; i++)
		ids[d.maps[i].id] = 0;
	return 0;
}
