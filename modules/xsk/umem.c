/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A UMEM: its memory, and whose each of its frames is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "modules/xsk/parts.h"

enum {
	FRAME_SIZE = 4096,
	FRAMES = 4096,
	RING = 2048,
	RING_MAX = 1 << 20,
	HUGE_2MB = 21 << 26, /* MAP_HUGE_2MB of linux/mman.h */
};

static bool is_ring(uint32_t size)
{
	return size && size <= RING_MAX && !(size & (size - 1));
}

static int check(const struct lqos_umem_options *o, char *why, size_t size)
{
	/* The kernel wants a power of two, of at most a page. */
	if (o->frame_size != 2048 && o->frame_size != 4096)
		return xsk_refuse(-EINVAL, why, size,
				  "frame size %u: 2048 or 4096 bytes are "
				  "possible",
				  o->frame_size);
	if (!o->frames || o->frames > UINT32_MAX / o->frame_size)
		return xsk_refuse(-EINVAL, why, size,
				  "%u frames: 1 to %u of %u bytes are possible",
				  o->frames, UINT32_MAX / o->frame_size,
				  o->frame_size);
	if (!is_ring(o->fill_size))
		return xsk_refuse(-EINVAL, why, size,
				  "fill ring of %u: a power of two up to %u is "
				  "needed",
				  o->fill_size, RING_MAX);
	if (!is_ring(o->comp_size))
		return xsk_refuse(-EINVAL, why, size,
				  "completion ring of %u: a power of two up to "
				  "%u is needed",
				  o->comp_size, RING_MAX);
	if (o->headroom > o->frame_size - LQOS_XSK_HEADROOM)
		return xsk_refuse(-EINVAL, why, size,
				  "headroom of %u is too large: a frame of %u "
				  "has %u at most",
				  o->headroom, o->frame_size,
				  o->frame_size - LQOS_XSK_HEADROOM);
	return 0;
}

static int map_area(struct lqos_umem *umem, enum lqos_xsk_huge huge, char *why,
		    size_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
	const size_t huge_page = 2UL << 20;
	void *at = MAP_FAILED;

	umem->size = (size_t)umem->frame_size * umem->frames;
	if (huge != LQOS_XSK_HUGE_NEVER) {
		size_t whole = (umem->size + huge_page - 1) & -huge_page;

		at = mmap(NULL, whole, PROT_READ | PROT_WRITE,
			  flags | MAP_HUGETLB | HUGE_2MB, -1, 0);
		if (at == MAP_FAILED && huge == LQOS_XSK_HUGE_MUST)
			return xsk_refuse(-errno, why, size,
					  "no %zu huge pages of 2 MiB for the "
					  "UMEM: %s (vm.nr_hugepages makes "
					  "them)",
					  whole / huge_page, strerror(errno));
		if (at != MAP_FAILED) {
			umem->size = whole;
			umem->huge = true;
		}
	}
	if (at == MAP_FAILED)
		at = mmap(NULL, umem->size, PROT_READ | PROT_WRITE, flags, -1,
			  0);
	if (at == MAP_FAILED)
		return xsk_refuse(-errno, why, size,
				  "no %zu bytes of memory for the UMEM: %s",
				  umem->size, strerror(errno));
	umem->area = at;
	return 0;
}

/* Would the kernel take it?  Asked of a part, as it is asked again of all for
 * each queue. */
static int try_kernel(const struct lqos_umem *umem, char *why, size_t size)
{
	struct xdp_umem_reg reg;
	autoclose int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return xsk_refuse(-errno, why, size,
				  "cannot make an AF_XDP socket: %s%s",
				  strerror(errno),
				  errno == EPERM ? " (CAP_NET_RAW is needed)"
				  : errno == EAFNOSUPPORT
					  ? " (CONFIG_XDP_SOCKETS is needed)"
					  : "");
	/* Its padding is something to later kernels. */
	memset(&reg, 0, sizeof(reg));
	reg.addr = (uintptr_t)umem->area;
	reg.len = umem->frame_size;
	reg.chunk_size = umem->frame_size;
	reg.headroom = umem->headroom;
	if (!setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return 0;
	if (errno == EINVAL && umem->headroom)
		return xsk_refuse(-EINVAL, why, size,
				  "headroom of %u is too large: the kernel "
				  "refuses it with frames of %u",
				  umem->headroom, umem->frame_size);
	return xsk_refuse(-errno, why, size,
			  "the kernel refuses the UMEM: %s%s", strerror(errno),
			  errno == ENOBUFS
				  ? " (ulimit -l is too low, or CAP_IPC_LOCK "
				    "is needed)"
				  : "");
}

static void umem_free(struct lqos_umem **umem)
{
	struct lqos_umem *u = *umem;

	if (!u)
		return;
	if (u->area)
		munmap(u->area, u->size);
	free(u->pool);
	free(u->held);
	free(u);
	*umem = NULL;
}

int lqos_umem_create(const struct lqos_umem_options *options,
		     struct lqos_umem **out, char *why, size_t size)
{
	struct lqos_umem_options o = {};
	struct lqos_umem *umem CORE_CLEANUP(umem_free) = NULL;
	uint32_t i;
	int rc;

	if (options)
		o = *options;
	o.frame_size = o.frame_size ?: FRAME_SIZE;
	o.frames = o.frames ?: FRAMES;
	o.fill_size = o.fill_size ?: RING;
	o.comp_size = o.comp_size ?: RING;
	rc = check(&o, why, size);
	if (rc)
		return rc;
	umem = calloc(1, sizeof(*umem));
	if (!umem)
		return xsk_refuse(-ENOMEM, why, size, "no memory for a UMEM");
	umem->frame_size = o.frame_size;
	umem->frames = o.frames;
	umem->headroom = o.headroom;
	umem->fill_size = o.fill_size;
	umem->comp_size = o.comp_size;
	LIST_INIT(&umem->ports);
	umem->pool = calloc(o.frames, sizeof(*umem->pool));
	umem->held = calloc(o.frames, sizeof(*umem->held));
	if (!umem->pool || !umem->held)
		return xsk_refuse(-ENOMEM, why, size,
				  "no memory for %u frames' owners", o.frames);
	rc = map_area(umem, o.huge, why, size) ?: try_kernel(umem, why, size);
	if (rc)
		return rc;
	/* The first on top. */
	for (i = 0; i < o.frames; i++)
		umem->pool[i] = o.frames - 1 - i;
	umem->available = o.frames;
	*out = steal_ptr(umem);
	return 0;
}

int lqos_umem_destroy(struct lqos_umem **umem)
{
	if (*umem && !LIST_EMPTY(&(*umem)->ports))
		return -EBUSY;
	umem_free(umem);
	return 0;
}

uint32_t lqos_umem_mtu(const struct lqos_umem *umem)
{
	return umem->frame_size - LQOS_XSK_HEADROOM - umem->headroom;
}

uint32_t lqos_umem_frames(const struct lqos_umem *umem)
{
	return umem->frames;
}

uint32_t lqos_umem_available(const struct lqos_umem *umem)
{
	return umem->available;
}

uint64_t lqos_umem_refused(const struct lqos_umem *umem)
{
	return umem->refused;
}

bool lqos_umem_is_huge(const struct lqos_umem *umem)
{
	return umem->huge;
}

/* ---- Whose a frame is ---------------------------------------------------- */

uint32_t umem_mine(struct lqos_umem *umem, uint64_t addr)
{
	uint32_t frame = frame_at(umem, addr);

	if (frame != UINT32_MAX && holder_of(umem->held[frame]) == HOLDER_USER)
		return frame;
	umem->refused++;
	return UINT32_MAX;
}

void umem_give(struct lqos_umem *umem, uint32_t frame, uint16_t to)
{
	uint16_t from = umem->held[frame];
	struct lqos_xsk *xsk = umem->sockets[number_of(from)];

	if (holder_of(from) <= HOLDER_USER && xsk)
		xsk->user--;
	umem->held[frame] = to;
}

void umem_to_pool(struct lqos_umem *umem, uint32_t frame)
{
	umem_give(umem, frame, held_by(HOLDER_POOL, 0));
	umem->pool[umem->available++] = frame;
}

void umem_take_back(struct lqos_umem *umem, uint16_t from)
{
	for (uint32_t i = 0; i < umem->frames; i++)
		if (umem->held[i] == from)
			umem_to_pool(umem, i);
}

void umem_pass_on(struct lqos_umem *umem, uint16_t from, uint16_t to)
{
	for (uint32_t i = 0; i < umem->frames; i++)
		if (umem->held[i] == from)
			umem->held[i] = to;
}

int lqos_umem_alloc(struct lqos_umem *umem, struct lqos_xsk_frame *out)
{
	uint32_t frame;

	if (!umem->available)
		return -ENOBUFS;
	frame = umem->pool[--umem->available];
	umem->held[frame] = held_by(HOLDER_USER, 0);
	*out = (struct lqos_xsk_frame){
		.addr = (uint64_t)frame * umem->frame_size + LQOS_XSK_HEADROOM +
			umem->headroom,
	};
	return 0;
}

int lqos_umem_free(struct lqos_umem *umem, const struct lqos_xsk_frame *frames,
		   uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame = umem_mine(umem, frames[i].addr);

		if (frame == UINT32_MAX)
			rc = -EINVAL;
		else
			umem_to_pool(umem, frame);
	}
	return rc;
}
