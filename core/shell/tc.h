/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tc.h - maps to and from iproute2's "tc exec bpf".
 *
 * Who wants maps waits at a datagram socket of the Unix domain; who has them
 * sends one datagram there, that says what they are and has their descriptors
 * with it.  There is no answer.
 */
#ifndef CORE_SHELL_TC_H
#define CORE_SHELL_TC_H

#include <stddef.h>
#include <stdint.h>

struct grants;

enum {
	TC_VERSION = 1,
	TC_MAPS_MAX = 64,
	TC_ID_MAX = 65535, /* of BPF_MAP<id>: scripts count up to it */
};

/* As they are on the wire, in this host's byte order. */
struct tc_map {
	uint32_t type, key_size, value_size, max_entries, flags;
	uint32_t id; /* of its BPF_MAP<id>, not the kernel's */
	uint32_t pinning, inner_id, inner_index;
};

struct tc_datagram {
	uint16_t version, n;
	char object[64]; /* the file that the maps are of */
	uint32_t unused;
	uint64_t device, inode;		 /* of that file */
	struct tc_map maps[TC_MAPS_MAX]; /* n of them are sent */
};

_Static_assert(sizeof(struct tc_map) == 36, "size of a map on the wire");
_Static_assert(offsetof(struct tc_datagram, object) == 4, "where it is");
_Static_assert(offsetof(struct tc_datagram, device) == 72, "where it is");
_Static_assert(offsetof(struct tc_datagram, inode) == 80, "where it is");
_Static_assert(offsetof(struct tc_datagram, maps) == 88, "where they are");
_Static_assert(sizeof(struct tc_datagram) == 2392, "size of 64 maps");

/*
 * Does a datagram of that length, of which as much is at data as a tc_datagram
 * has room for, make sense together with so many descriptors?  0, -EPROTO and
 * why.
 */
int tc_check(const void *data, size_t length, size_t n_fds, char *why,
	     size_t why_size);

/*
 * Sends the maps among the grants to who waits at path.  Nobody does: -ENOENT,
 * -ECONNREFUSED; -E2BIG: there are too many; -EPERM: it is another user who
 * waits.  Ends within seconds.
 */
int tc_send(const char *path, const struct grants *grants, char *why,
	    size_t why_size);

/*
 * Waits at path, which is made for it and goes again, for maps of this user or
 * root; timeout_ms < 0: for ever.  Whatever does not hold of them, there are
 * none, and their descriptors are closed.  -ETIMEDOUT; -EINTR: a signal to end
 * came, and takes effect upon the return.
 */
int tc_receive(const char *path, int timeout_ms, struct grants *out, char *why,
	       size_t why_size);

#endif /* CORE_SHELL_TC_H */
