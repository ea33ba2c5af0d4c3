/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tc_check.c - what must hold of a datagram of "tc exec bpf". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/shell/tc.h"

enum { HEAD = offsetof(struct tc_datagram, maps) };

static int check_ids(const struct tc_datagram *d, char *why, size_t why_size)
{
	for (unsigned int i = 0; i < d->n; i++) {
		uint32_t id = d->maps[i].id;

		if (id > TC_ID_MAX) {
			snprintf(why, why_size,
				 "map %u has the id %u: expected 0 to %d", i,
				 id, TC_ID_MAX);
			return -EPROTO;
		}
		for (unsigned int other = 0; other < i; other++) {
			if (d->maps[other].id != id)
				continue;
			snprintf(why, why_size,
				 "maps %u and %u both have the id %u", other, i,
				 id);
			return -EPROTO;
		}
	}
	return 0;
}

int tc_check(const void *data, size_t length, size_t n_fds, char *why,
	     size_t why_size)
{
	struct tc_datagram d = {.n = 0};
	size_t expected;

	memcpy(&d, data, length < sizeof(d) ? length : sizeof(d));
	expected = HEAD + d.n * sizeof(d.maps[0]);
	if (length < HEAD)
		snprintf(why, why_size,
			 "it is of %zu bytes: expected at least %d", length,
			 HEAD);
	else if (d.version != TC_VERSION)
		snprintf(why, why_size, "it is of version %u: expected %d",
			 d.version, TC_VERSION);
	else if (!d.n || d.n > TC_MAPS_MAX)
		snprintf(why, why_size, "it is of %u maps: expected 1 to %d",
			 d.n, TC_MAPS_MAX);
	else if (length != expected)
		snprintf(why, why_size,
			 "it is of %zu bytes: expected %zu for %u maps", length,
			 expected, d.n);
	else if (n_fds != d.n)
		snprintf(why, why_size, "%zu descriptors come with %u maps",
			 n_fds, d.n);
	else if (!memchr(d.object, '\0', sizeof(d.object)))
		snprintf(why, why_size, "its object's name does not end");
	else
		return check_ids(&d, why, why_size);
	return -EPROTO;
}
