/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slots.c - which circuit has which slot, now and in the run before this one.
 *
 * What is counted by slot outlives the daemon, and so does the record of whose
 * each slot is.  A start gives every circuit the slot it had; the record itself
 * is not touched before the kernel has been brought up to date, since until
 * then it tells how to read what is in there.
 */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

#include "bpf/datapath.h"

enum slot_state {
	SLOT_HELD = 1,	/* for the circuit that had it in the run before */
	SLOT_DIRTY = 2, /* what is counted there is somebody else's */
};

struct core_slots {
	uint32_t size;
	/* Those that nobody has, as a ring: the oldest is given out next. */
	uint32_t *ring;
	uint32_t first, n;
	uint8_t *state;		 /* by slot */
	struct dp_circuit *now;	 /* by slot */
	struct dp_circuit *then; /* of the run before; NULL: none */
	uint32_t *known;	 /* slots of then, by id */
	uint32_t n_known;
	uint32_t next_known; /* none before it is held */
	struct core_slots_kernel kernel;
};

/* FNV-1a (Fowler, Noll, Vo), 128 bits wide: no two ids of an operator's share
 * it. */
static void hash_id(const char *text, __u64 id[2])
{
	const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;
	unsigned __int128 hash = (unsigned __int128)0x6c62272e07bb0142 << 64 |
				 0x62b821756295c58d;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * prime;
	id[0] = (uint64_t)(hash >> 64) ?: 1;
	id[1] = (uint64_t)hash;
}

static bool same_id(const struct dp_circuit *a, const struct dp_circuit *b)
{
	return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

static int by_id(const void *a, const void *b, void *circuits)
{
	const struct dp_circuit *x =
		&((struct dp_circuit *)circuits)[*(const uint32_t *)a];
	const struct dp_circuit *y =
		&((struct dp_circuit *)circuits)[*(const uint32_t *)b];

	if (x->id[0] != y->id[0])
		return x->id[0] < y->id[0] ? -1 : 1;
	return (x->id[1] > y->id[1]) - (x->id[1] < y->id[1]);
}

/* ---- The ring ------------------------------------------------------------ */

static uint32_t pop(struct core_slots *s)
{
	uint32_t slot = s->ring[s->first];

	s->first = (s->first + 1) % s->size;
	s->n--;
	return slot;
}

static void push(struct core_slots *s, uint32_t slot)
{
	s->ring[(s->first + s->n) % s->size] = slot;
	s->n++;
}

static void push_front(struct core_slots *s, uint32_t slot)
{
	s->first = (s->first + s->size - 1) % s->size;
	s->ring[s->first] = slot;
	s->n++;
}

int core_slots_new(struct core_slots **out, uint32_t size)
{
	CORE_CLEANUP(core_slots_free)
	struct core_slots *s = calloc(1, sizeof(*s));
	uint32_t slot;

	if (!s)
		return -ENOMEM;
	s->size = size;
	s->ring = calloc(size, sizeof(*s->ring));
	s->state = calloc((size_t)size + 1, sizeof(*s->state));
	s->now = calloc((size_t)size + 1, sizeof(*s->now));
	if (!s->ring || !s->state || !s->now)
		return -ENOMEM;
	for (slot = 1; slot <= size; slot++)
		push(s, slot);
	*out = steal_ptr(s);
	return 0;
}

/* The run before is history. */
static void forget_then(struct core_slots *s)
{
	free(s->then);
	free(s->known);
	s->then = NULL;
	s->known = NULL;
	s->n_known = s->next_known = 0;
}

void core_slots_free(struct core_slots **slots)
{
	if (!*slots)
		return;
	forget_then(*slots);
	free((*slots)->ring);
	free((*slots)->state);
	free((*slots)->now);
	free(*slots);
	*slots = NULL;
}

/* ---- The run before ------------------------------------------------------ */

int core_slots_remember(struct core_slots *s, const struct dp_circuit *then)
{
	size_t size = ((size_t)s->size + 1) * sizeof(*then);
	uint32_t slot;

	s->then = malloc(size);
	s->known = calloc(s->size, sizeof(*s->known));
	if (!s->then || !s->known) {
		forget_then(s);
		return -ENOMEM;
	}
	memcpy(s->then, then, size);
	s->first = s->n = 0;
	for (slot = 1; slot <= s->size; slot++) {
		s->state[slot] = SLOT_DIRTY;
		if (s->then[slot].id[0]) {
			s->state[slot] |= SLOT_HELD;
			s->known[s->n_known++] = slot;
		} else {
			push(s, slot);
		}
	}
	qsort_r(s->known, s->n_known, sizeof(*s->known), by_id, s->then);
	return 0;
}

bool core_slots_remembers(const struct core_slots *s)
{
	return s->then;
}

/* Is the slot its circuit's as it was in the run before? */
static bool stayed(const struct core_slots *s, uint32_t slot)
{
	return s->then && s->then[slot].id[0] &&
	       same_id(&s->then[slot], &s->now[slot]);
}

int core_slots_before(const struct core_slots *s, uint32_t slot, uint32_t *cpu,
		      uint32_t *handle)
{
	if (!slot || slot > s->size || !stayed(s, slot) ||
	    !s->then[slot].handle)
		return -ENOENT;
	*cpu = s->then[slot].cpu;
	*handle = s->then[slot].handle;
	return 0;
}

/* 0: that circuit was unknown, or its slot has been given away. */
static uint32_t held_for(struct core_slots *s, const struct dp_circuit *circuit)
{
	uint32_t from = 0, to = s->n_known, middle, slot;
	struct dp_circuit *then = s->then;

	while (from < to) {
		middle = from + (to - from) / 2;
		slot = s->known[middle];
		if (same_id(&then[slot], circuit))
			return s->state[slot] & SLOT_HELD ? slot : 0;
		if (then[slot].id[0] < circuit->id[0] ||
		    (then[slot].id[0] == circuit->id[0] &&
		     then[slot].id[1] < circuit->id[1]))
			from = middle + 1;
		else
			to = middle;
	}
	return 0;
}

static uint32_t any_held(struct core_slots *s)
{
	uint32_t slot;

	for (; s->next_known < s->n_known; s->next_known++) {
		slot = s->known[s->next_known];
		if (s->state[slot] & SLOT_HELD)
			return slot;
	}
	return 0;
}

/* ---- Given and taken ----------------------------------------------------- */

/* Whoever reads this after a crash between two of its stores finds nobody. */
static void write_record(const struct core_slots *s, uint32_t slot)
{
	struct dp_circuit *to = &s->kernel.record[slot];
	const struct dp_circuit *from = &s->now[slot];

	__atomic_store_n(&to->id[0], 0, __ATOMIC_SEQ_CST);
	to->id[1] = from->id[1];
	to->handle = from->handle;
	to->cpu = from->cpu;
	__atomic_store_n(&to->id[0], from->id[0], __ATOMIC_SEQ_CST);
}

/* The record, and what is counted by slot, as they have to be now. */
static void tell_kernel(struct core_slots *s, uint32_t slot)
{
	if (!s->kernel.record)
		return;
	if (s->now[slot].id[0] && s->state[slot] & SLOT_DIRTY) {
		s->kernel.clear(slot, s->kernel.arg);
		s->state[slot] &= ~SLOT_DIRTY;
	}
	write_record(s, slot);
}

uint32_t core_slots_take(struct core_slots *s, const char *circuit_id)
{
	struct dp_circuit circuit = {.cpu = UINT32_MAX};
	uint32_t slot;

	hash_id(circuit_id, circuit.id);
	slot = held_for(s, &circuit);
	if (slot)
		s->state[slot] &= ~SLOT_DIRTY;
	else if (s->n)
		slot = pop(s);
	else
		slot = any_held(s);
	if (!slot)
		return 0;
	s->state[slot] &= ~SLOT_HELD;
	s->now[slot] = circuit;
	tell_kernel(s, slot);
	return slot;
}

static void leave(struct core_slots *s, uint32_t slot)
{
	s->now[slot] = (struct dp_circuit){};
	s->state[slot] |= SLOT_DIRTY;
	tell_kernel(s, slot);
}

void core_slots_give(struct core_slots *s, uint32_t slot)
{
	leave(s, slot);
	push(s, slot);
}

void core_slots_give_back(struct core_slots *s, uint32_t slot)
{
	leave(s, slot);
	push_front(s, slot);
}

void core_slots_place(struct core_slots *s, uint32_t slot, uint32_t cpu,
		      uint32_t handle)
{
	s->now[slot].cpu = cpu;
	s->now[slot].handle = handle;
	tell_kernel(s, slot);
}

void core_slots_connect(struct core_slots *s,
			const struct core_slots_kernel *kernel)
{
	uint32_t slot;

	s->kernel = kernel ? *kernel : (struct core_slots_kernel){};
	if (!kernel)
		return;
	for (slot = 1; slot <= s->size; slot++) {
		if (stayed(s, slot) && !(s->state[slot] & SLOT_DIRTY))
			kernel->kept(slot, kernel->arg);
		else if (s->state[slot] & SLOT_HELD)
			push(s, slot);
		s->state[slot] &= ~SLOT_HELD;
		tell_kernel(s, slot);
	}
	forget_then(s);
}
