/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_LAYOUT_H
#define CORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

struct bpf_map;
struct bpf_object;

/*
 * Is fd (of a pin) a map just as map of obj, which is not loaded yet, would be
 * made: type, sizes, flags, and the types of key and value?  What is in a map
 * of the kernel's own things, or a ring, has no such type.  If not, why (of
 * size bytes) says what differs.
 */
bool layout_fits(int fd, const struct bpf_object *obj,
		 const struct bpf_map *map, char *why, size_t size);

/* What the author of a map says of it, behind SEC(".maps"): lqos/packet.bpf.h.
 */
#define LAYOUT_FRESH	"lqos:fresh"
#define LAYOUT_PRIVATE	"lqos:private"
#define LAYOUT_WRITABLE "lqos:writable"

bool layout_has_tag(const struct bpf_object *obj, const struct bpf_map *map,
		    const char *tag);

/* 0 if fd, a map of the core, is as large as map, a module's view of it, says;
 * -EPROTO: it has grown, or the module is newer. */
int layout_has_room(int fd, const struct bpf_map *map);

/* Of .data and the like without the object's name: ".data". */
const char *layout_map_name(const struct bpf_map *map);

#endif /* CORE_LAYOUT_H */
