// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps of every kind of access, and very many: for tests of lqosctl exec. */
#include <lqos/packet.bpf.h>
#include "many.h"

/* clang-format off */
#define MANY(n_)                                  \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, __u32);             \
	} many_##n_ SEC(".maps");
#define MANY10(n_)                                              \
	MANY(n_##0) MANY(n_##1) MANY(n_##2) MANY(n_##3) MANY(n_##4) \
	MANY(n_##5) MANY(n_##6) MANY(n_##7) MANY(n_##8) MANY(n_##9)
#define MANY100(n_)                                                       \
	MANY10(n_##0) MANY10(n_##1) MANY10(n_##2) MANY10(n_##3) MANY10(n_##4) \
	MANY10(n_##5) MANY10(n_##6) MANY10(n_##7) MANY10(n_##8) MANY10(n_##9)

MANY100(0)
MANY100(1)
MANY100(2)
/* clang-format on */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct many_key);
	__type(value, struct many_note);
} notes SEC(".maps") LQOS_WRITABLE;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} limits SEC(".maps") LQOS_WRITABLE;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} secret SEC(".maps") LQOS_PRIVATE;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
