/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps that differ from the first of them, each in one thing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__u16 b;
	__u16 c[3];
};

struct row {
	__u64 packets;
	__u64 bytes;
	struct inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[2];
	};
};

enum counted { COUNTED_IN, COUNTED_OUT, COUNTED };
struct counters {
	__u64 count[4];
	enum counted by[0];
};

enum counted_anew { COUNTED_OUT_NOW, COUNTED_IN_NOW, COUNTED_NOW };
struct new_counters {
	__u64 count[4];
	enum counted_anew by[0];
};

enum counted_more { COUNTED_A, COUNTED_B, COUNTED_C, COUNTED_D };
struct more_counters {
	__u64 count[4];
	enum counted_more by[0];
};

/* Another name of it, with other names of its types, is no difference. */
typedef unsigned long long counter;
struct same_inner {
	unsigned short b;
	const __u16 c[3];
};
typedef struct {
	counter packets;
	volatile counter bytes;
	struct same_inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[2];
	};
} same_row;

struct swapped_row {
	__u64 bytes;
	__u64 packets;
	struct inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[2];
	};
};

struct signed_row {
	__u64 packets;
	__s64 bytes;
	struct inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[2];
	};
};

struct other_inner {
	__u16 c[3];
	__u16 b;
};
struct deep_row {
	__u64 packets;
	__u64 bytes;
	struct other_inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[2];
	};
};

struct bits_row {
	__u64 packets;
	__u64 bytes;
	struct inner inner;
	__u32 low : 8;
	__u32 high : 24;
	union {
		__u64 whole;
		__u32 half[2];
	};
};

struct short_array_row {
	__u64 packets;
	__u64 bytes;
	struct inner inner;
	__u32 low : 4;
	__u32 high : 28;
	union {
		__u64 whole;
		__u32 half[1];
	};
};

struct flat_row {
	__u64 all[5];
};

struct long_row {
	struct row row;
	__u64 more;
};

#define ARRAY(name_, value_, entries_, flags_)    \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(map_flags, flags_);        \
		__uint(max_entries, entries_);    \
		__type(key, __u32);               \
		__type(value, value_);            \
	} name_ SEC(".maps")

ARRAY(first, struct row, 4, BPF_F_MMAPABLE);
ARRAY(same, same_row, 4, BPF_F_MMAPABLE);
ARRAY(more_entries, struct row, 5, BPF_F_MMAPABLE);
ARRAY(other_flags, struct row, 4, 0);
ARRAY(longer_value, struct long_row, 4, BPF_F_MMAPABLE);
ARRAY(swapped, struct swapped_row, 4, BPF_F_MMAPABLE);
ARRAY(with_sign, struct signed_row, 4, BPF_F_MMAPABLE);
ARRAY(deep, struct deep_row, 4, BPF_F_MMAPABLE);
ARRAY(bits, struct bits_row, 4, BPF_F_MMAPABLE);
ARRAY(short_array, struct short_array_row, 4, BPF_F_MMAPABLE);
ARRAY(flat, struct flat_row, 4, BPF_F_MMAPABLE);
ARRAY(counters, struct counters, 4, BPF_F_MMAPABLE);
ARRAY(new_counters, struct new_counters, 4, BPF_F_MMAPABLE);
ARRAY(more_counters, struct more_counters, 4, BPF_F_MMAPABLE);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct row);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct inner);
	__type(value, struct row);
} longer_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, struct other_inner);
	__type(value, struct row);
} other_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct row));
} untyped SEC(".maps");

/* What is in them are the kernel's own things, or has no type. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 131072);
} larger_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

/* Sections of variables, in 16 bytes each. */
__u64 one_a SEC(".data.one") = 1, one_b SEC(".data.one") = 2;
__u64 two_a SEC(".data.two") = 1, two_b SEC(".data.two") = 2;
__u64 whole[2] SEC(".data.whole") = {1, 2};

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
