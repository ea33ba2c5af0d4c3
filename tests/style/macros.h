/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* macros.h - to cppcheck, which does not read libraries' headers, what their
 * macros that are no function calls come to. */
#define LIBBPF_OPTS(type, name, ...) struct type name = {__VA_ARGS__}
#define bpf_object__for_each_map(map, obj) \
	while ((map = bpf_object__next_map(obj, map)))
#define bpf_object__for_each_program(prog, obj) \
	while ((prog = bpf_object__next_program(obj, prog)))
#define json_array_foreach(array, i, value) \
	for (i = 0; (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value)             \
	for (key = json_object_iter_key(object);            \
	     key && (value = json_object_get(object, key)); \
	     key = json_object_iter_key(key))
#define json_object_foreach_safe(object, next, key, value) \
	json_object_foreach(object, key, value)
#define mnl_attr_for_each(attr, nlh, offset) \
	while ((attr = mnl_attr_next(attr)))

#define LIST_HEAD(name, type)       \
	struct name {               \
		struct type *first; \
	}
#define STAILQ_HEAD(name, type) LIST_HEAD(name, type)
#define TAILQ_HEAD(name, type)	LIST_HEAD(name, type)
#define LIST_ENTRY(type)           \
	struct {                   \
		struct type *next; \
	}
#define STAILQ_ENTRY(type) LIST_ENTRY(type)
#define TAILQ_ENTRY(type)  LIST_ENTRY(type)
#define LIST_FOREACH(var, head, field) \
	for (var = (head)->first; var; var = var->field.next)
#define STAILQ_FOREACH(var, head, field) LIST_FOREACH(var, head, field)
#define TAILQ_FOREACH(var, head, field)	 LIST_FOREACH(var, head, field)
