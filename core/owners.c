/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owners.c - the subscribers into the kernel: whose a prefix is.
 *
 * Batches are worth it for the tens of thousands that come at once; a kernel
 * that has none for tries gets them one by one.
 */
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/registry.h"

#include "bpf/datapath.skel.h"

#define WHO DATAPATH_WHO

enum { BATCH = CORE_PUTS };

/* Of one trie. */
struct batch {
	struct core_datapath *dp;
	uint8_t family;
	bool set; /* else unset */
	size_t n;
	struct core_kernel_op *ops[BATCH];
	struct dp_owner values[BATCH];
	union {
		struct dp_key4 keys4[BATCH];
		struct dp_key6 keys6[BATCH];
	};
};

static int trie_fd(const struct core_datapath *dp, uint8_t family)
{
	return bpf_map__fd(family == AF_INET ? dp->skel->maps.dp_owners4
					     : dp->skel->maps.dp_owners6);
}

/* ---- Keys ---------------------------------------------------------------- */

static void set_space(__u8 space[4], uint16_t vlan)
{
	space[0] = space[1] = 0;
	space[2] = vlan >> 8;
	space[3] = vlan & 0xff;
}

static void *key_at(struct batch *b, size_t i)
{
	return b->family == AF_INET ? (void *)&b->keys4[i]
				    : (void *)&b->keys6[i];
}

static void make_key(struct batch *b, const struct lqos_prefix *p)
{
	struct dp_key4 *key4 = &b->keys4[b->n];
	struct dp_key6 *key6 = &b->keys6[b->n];

	if (p->family == AF_INET) {
		key4->prefixlen = DP_SPACE_BITS + p->len;
		set_space(key4->space, p->vlan);
		memcpy(key4->addr, p->addr, sizeof(key4->addr));
		return;
	}
	key6->prefixlen = DP_SPACE_BITS + p->len;
	set_space(key6->space, p->vlan);
	memcpy(key6->addr, p->addr, sizeof(key6->addr));
}

/* -EINVAL: it is no key of ours. */
static int read_key(struct batch *b, size_t i, struct lqos_prefix *p)
{
	bool v4 = b->family == AF_INET;
	const struct dp_key4 *key4 = &b->keys4[i];
	const struct dp_key6 *key6 = &b->keys6[i];
	const __u8 *space = v4 ? key4->space : key6->space;
	__u32 len = v4 ? key4->prefixlen : key6->prefixlen;

	if (len < DP_SPACE_BITS || space[0] || space[1])
		return -EINVAL;
	memset(p, 0, sizeof(*p));
	p->family = b->family;
	p->len = (uint8_t)(len - DP_SPACE_BITS);
	p->vlan = (uint16_t)(space[2] << 8 | space[3]);
	if (v4)
		memcpy(p->addr, key4->addr, sizeof(key4->addr));
	else
		memcpy(p->addr, key6->addr, sizeof(key6->addr));
	p->slot = b->values[i].slot;
	p->handle = b->values[i].handle;
	p->cpu = b->values[i].cpu;
	return 0;
}

/* ---- Writing ------------------------------------------------------------- */

static int write_one(struct batch *b, int fd, size_t i)
{
	int rc = b->set ? bpf_map_update_elem(fd, key_at(b, i), &b->values[i],
					      BPF_ANY)
			: bpf_map_delete_elem(fd, key_at(b, i));

	return rc ? -errno : 0;
}

/* Those from i on, up to the first that is refused: how many there are; *rc is
 * that one's. */
static size_t write_some(struct batch *b, int fd, size_t i, int *rc)
{
	__u32 left = (__u32)(b->n - i), done = left;

	*rc = 0;
	if (left > 1 && !b->dp->no_batches) {
		if (b->set)
			*rc = bpf_map_update_batch(fd, key_at(b, i),
						   &b->values[i], &done, NULL);
		else
			*rc = bpf_map_delete_batch(fd, key_at(b, i), &done,
						   NULL);
		if (!*rc)
			return left;
		*rc = -errno;
		if (done < left)
			return done;
		/* It did not even begin: it knows no such call. */
		b->dp->no_batches = true;
	}
	*rc = write_one(b, fd, i);
	return *rc ? 0 : 1;
}

static void flush(struct batch *b)
{
	int fd = trie_fd(b->dp, b->family), rc;
	char text[CORE_PREFIX_TEXT];
	size_t i = 0, done;

	while (i < b->n) {
		done = write_some(b, fd, i, &rc);
		while (done--)
			b->ops[i++]->rc = 0;
		if (!rc)
			continue;
		b->ops[i]->rc = rc;
		if (!b->set)
			core_fail(WHO, rc, "cannot unmap %s",
				  core_prefix_text(b->ops[i]->p, text,
						   sizeof(text)));
		i++;
	}
	b->n = 0;
}

static void write_family(struct batch *b, struct core_kernel_op *ops, size_t n)
{
	struct core_kernel_op *op;

	for (op = ops; op < ops + n; op++) {
		if (op->p->family != b->family)
			continue;
		make_key(b, op->p);
		b->values[b->n] = (struct dp_owner){
			.slot = op->p->slot,
			.handle = op->p->handle,
			.cpu = op->p->cpu,
		};
		b->ops[b->n++] = op;
		if (b->n == BATCH)
			flush(b);
	}
	flush(b);
}

static void write_all(struct core_datapath *dp, struct core_kernel_op *ops,
		      size_t n, bool set)
{
	struct batch b;

	b.dp = dp;
	b.set = set;
	b.n = 0;
	b.family = AF_INET;
	write_family(&b, ops, n);
	b.family = AF_INET6;
	write_family(&b, ops, n);
}

static void set_owners(struct core_kernel_op *ops, size_t n, void *arg)
{
	write_all(arg, ops, n, true);
}

static void unset_owners(struct core_kernel_op *ops, size_t n, void *arg)
{
	write_all(arg, ops, n, false);
}

/* What the caches remember of before is nobody's any more. */
void core_owners_forget(struct core_datapath *dp)
{
	/* 0 is what an unused cache entry has. */
	if (!++dp->skel->bss->dp_epoch)
		++dp->skel->bss->dp_epoch;
}

static void new_epoch(void *arg)
{
	core_owners_forget(arg);
}

/* ---- Reading ------------------------------------------------------------- */

struct reading {
	int (*fn)(const struct lqos_prefix *p, void *arg);
	void *arg;
	uint32_t odd;
};

static int deliver(struct batch *b, struct reading *to)
{
	struct lqos_prefix p;
	size_t i;
	int rc = 0;

	for (i = 0; i < b->n && !rc; i++) {
		if (read_key(b, i, &p))
			to->odd++;
		else
			rc = to->fn(&p, to->arg);
	}
	return rc;
}

/* The next ones, after *last of the batch before; 1: there are no more. */
static int read_some(struct batch *b, int fd, struct dp_key6 *last, bool first)
{
	__u32 n = BATCH;
	int rc;

	b->n = 0;
	if (!b->dp->no_batches) {
		rc = bpf_map_lookup_batch(fd, first ? NULL : last, last,
					  key_at(b, 0), b->values, &n, NULL);
		if (!rc || errno == ENOENT) {
			b->n = n;
			return !!rc;
		}
		if (!first)
			return -errno;
		b->dp->no_batches = true;
	}
	for (; b->n < BATCH; b->n++, first = false) {
		if (bpf_map_get_next_key(fd, first ? NULL : last,
					 key_at(b, b->n)))
			return errno == ENOENT ? 1 : -errno;
		memcpy(last, key_at(b, b->n),
		       b->family == AF_INET ? sizeof(struct dp_key4)
					    : sizeof(struct dp_key6));
		if (bpf_map_lookup_elem(fd, last, &b->values[b->n]))
			return -errno;
	}
	return 0;
}

static int read_trie(struct core_datapath *dp, uint8_t family,
		     struct reading *to)
{
	int fd = trie_fd(dp, family), rc = 0, end = 0;
	struct dp_key6 last; /* or a dp_key4 */
	bool first = true;
	struct batch b;

	b.dp = dp;
	b.family = family;
	while (!end && !rc) {
		end = read_some(&b, fd, &last, first);
		if (end < 0)
			return core_fail(WHO, end,
					 "cannot read which prefixes the "
					 "kernel has");
		rc = deliver(&b, to);
		first = false;
	}
	return rc;
}

static int read_owners(int (*fn)(const struct lqos_prefix *p, void *arg),
		       void *fn_arg, void *arg)
{
	struct reading to = {fn, fn_arg, 0};
	int rc = read_trie(arg, AF_INET, &to);

	if (!rc)
		rc = read_trie(arg, AF_INET6, &to);
	if (to.odd)
		core_log(WHO, LQOS_WARN,
			 "%u prefixes in the kernel's tables are not of our "
			 "making: a start with empty pins is without them",
			 to.odd);
	return rc;
}

/* ---- The registry -------------------------------------------------------- */

int core_owners_sync(struct core_datapath *dp)
{
	const struct core_registry_hooks hooks = {
		set_owners, unset_owners, read_owners, new_epoch, dp,
	};
	struct core_registry *registry = dp->core->registry;
	size_t mended;
	int rc;

	core_registry_hook(registry, &hooks);
	rc = core_registry_sync(registry, &mended);
	return rc ? core_fail(WHO, rc,
			      "cannot put the subscribers into the kernel")
		  : 0;
}
