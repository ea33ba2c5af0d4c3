/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * first.h - the first few of many, which are looked at once: what a list shows
 * of a table that is too large to be sorted.
 */
#ifndef CORE_FIRST_H
#define CORE_FIRST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct core_candidate {
	uint64_t key; /* the smallest comes first */
	uint32_t tie; /* among equals the smaller, so that they stay in place */
	uint32_t what;
};

/* A heap, the last of them on top, until core_first_sort(). */
struct core_first {
	struct core_candidate *heap; /* the owner's, to be freed */
	size_t n, room;
};

static inline bool core_candidate_before(const struct core_candidate *a,
					 const struct core_candidate *b)
{
	return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

/* -ENOMEM */
static inline int core_first_init(struct core_first *first, size_t room)
{
	*first = (struct core_first){
		.heap = calloc(room ?: 1, sizeof(*first->heap)),
		.room = room,
	};
	return first->heap ? 0 : -ENOMEM;
}

static inline void core_candidate_swap(struct core_candidate *a,
				       struct core_candidate *b)
{
	struct core_candidate tmp = *a;

	*a = *b;
	*b = tmp;
}

static inline void core_first_offer(struct core_first *first,
				    struct core_candidate c)
{
	struct core_candidate *heap = first->heap;
	size_t i, child;

	if (first->n < first->room) {
		heap[first->n] = c;
		for (i = first->n++;
		     i && core_candidate_before(&heap[(i - 1) / 2], &heap[i]);
		     i = (i - 1) / 2)
			core_candidate_swap(&heap[i], &heap[(i - 1) / 2]);
		return;
	}
	if (!first->n || !core_candidate_before(&c, &heap[0]))
		return;
	heap[0] = c;
	for (i = 0; (child = 2 * i + 1) < first->n; i = child) {
		if (child + 1 < first->n &&
		    core_candidate_before(&heap[child], &heap[child + 1]))
			child++;
		if (!core_candidate_before(&heap[i], &heap[child]))
			return;
		core_candidate_swap(&heap[i], &heap[child]);
	}
}

static inline int core_candidate_compare(const void *a, const void *b)
{
	return core_candidate_before(b, a) - core_candidate_before(a, b);
}

/* No more are offered after that. */
static inline void core_first_sort(struct core_first *first)
{
	qsort(first->heap, first->n, sizeof(*first->heap),
	      core_candidate_compare);
}

#endif /* CORE_FIRST_H */
