/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues, and the CPUs they are on.  How many queues there are is settled at
 * the start; while a CPU is offline another one stands in for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "modules/steering/steering.h"

/* Queues that an interface can have: on a stick each direction takes one. */
static uint32_t queues_of(const struct lqos_interface *f)
{
	return f->side == LQOS_STICK ? f->tx_queues / 2 : f->tx_queues;
}

/* Whatever can be had: each direction of a stick needs a queue. */
static int too_few(const struct steering *st, uint32_t i, uint32_t want)
{
	const struct lqos_interface *f = lqos_interface(st->ctx, i);
	char command[96];

	if (lqos_interface_more_queues(st->ctx, i, want, command,
				       sizeof(command)))
		return lqos_fail(st->ctx, -EINVAL,
				 "%s has %u transmit queues, but each "
				 "direction needs one of its own: `%s`",
				 f->name, f->tx_queues, command);
	return lqos_fail(st->ctx, -EINVAL,
			 "%s has %u transmit queues and cannot have more, but "
			 "each direction needs one of its own: take another "
			 "interface",
			 f->name, f->tx_queues);
}

/* A queue is a transmit queue of every interface and a CPU. */
static int count_queues(struct steering *st)
{
	char command[96];
	uint32_t i, want;

	st->queues = st->n_cpus;
	for (i = 0; i < lqos_interfaces(st->ctx); i++) {
		const struct lqos_interface *f = lqos_interface(st->ctx, i);

		st->stick |= f->side == LQOS_STICK;
		want = f->side == LQOS_STICK ? 2 * st->n_cpus : st->n_cpus;
		if (!queues_of(f))
			return too_few(st, i, want);
		if (queues_of(f) < st->queues)
			st->queues = queues_of(f);
		if (f->tx_queues < want &&
		    lqos_interface_more_queues(st->ctx, i, want, command,
					       sizeof(command)))
			lqos_log(st->ctx, LQOS_WARN,
				 "%s has %u transmit queues for %u CPUs: `%s` "
				 "before a restart would use more of them",
				 f->name, f->tx_queues, st->n_cpus, command);
	}
	return 0;
}

/* For steering.explain: interfaces may come back with other numbers. */
static int note_why(struct steering *st, uint32_t good_for, bool option)
{
	uint32_t n = lqos_interfaces(st->ctx), i;
	size_t size;
	FILE *out = open_memstream(&st->why_queues, &size);

	if (!out)
		return -errno;
	fprintf(out, "there %s %u queue%s", st->queues == 1 ? "is" : "are",
		st->queues, st->queues == 1 ? "" : "s");
	if (option)
		fprintf(out,
			", as queues = %u in [steering] says; without "
			"that it were %u",
			st->queues, good_for);
	fprintf(out, ": the least of %u CPU%s", st->n_cpus,
		st->n_cpus == 1 ? "" : "s");
	for (i = 0; i < n; i++) {
		const struct lqos_interface *f = lqos_interface(st->ctx, i);

		fprintf(out, "%s %u transmit queue%s of %s%s",
			i + 1 == n ? " and" : ",", queues_of(f),
			queues_of(f) == 1 ? "" : "s", f->name,
			f->side == LQOS_STICK ? " for each direction, half of "
						"those that it has"
					      : "");
	}
	return fclose(out) ? -errno : 0;
}

static int find_homes(struct steering *st)
{
	const uint32_t *cpus;
	uint32_t n = lqos_cpus(st->ctx, &cpus), i;

	st->n_cpus = n < ST_CPUS_MAX ? n : ST_CPUS_MAX;
	st->possible_cpus = lqos_possible_cpus(st->ctx);
	st->homes = calloc(st->n_cpus, sizeof(*st->homes));
	st->stand_ins = calloc(st->possible_cpus, sizeof(*st->stand_ins));
	if (!st->homes || !st->stand_ins)
		return -ENOMEM;
	memcpy(st->homes, cpus, st->n_cpus * sizeof(*st->homes));
	for (i = 0; i < st->possible_cpus; i++)
		st->stand_ins[i] = i;
	return 0;
}

int steering_make_queues(struct steering *st,
			 const struct steering_config *config)
{
	struct steering_bpf *skel = st->skel;
	int rc = find_homes(st);
	uint32_t good_for;

	if (!rc)
		rc = count_queues(st);
	if (rc)
		return rc;
	if (config->queues > st->queues)
		return lqos_fail(st->ctx, -EINVAL,
				 "queues = %u, but interfaces and CPUs are "
				 "good for %u: lower it, or leave it out",
				 config->queues, st->queues);
	good_for = st->queues;
	if (config->queues)
		st->queues = config->queues;
	rc = note_why(st, good_for, config->queues != 0);
	if (rc)
		return rc;
	skel->rodata->st_n_cpus = st->queues;
	skel->rodata->st_up_offset = steering_up_offset(st);
	rc = bpf_map__set_max_entries(skel->maps.st_counters,
				      st->possible_cpus);
	return rc
		       ?: bpf_map__set_max_entries(skel->maps.st_queues,
						   st->possible_cpus);
}

/* A CPU without a queue of its own shares: what it sends must leave somewhere,
 * on CPUs too that are excluded or come online later. */
int steering_set_queues(struct steering *st)
{
	int fd = bpf_map__fd(st->skel->maps.st_queues);
	uint32_t cpu, i, queue;

	for (cpu = 0; cpu < st->possible_cpus; cpu++) {
		queue = cpu % st->queues + 1;
		for (i = 0; i < st->queues; i++)
			if (st->homes[i] == cpu)
				queue = i + 1;
		if (bpf_map_update_elem(fd, &cpu, &queue, 0))
			return lqos_fail(st->ctx, -errno,
					 "cannot give CPU %u a queue", cpu);
	}
	st->spread = st->skel->bss->st_cpus;
	steering_look_at_cpus(st);
	return 0;
}

uint32_t steering_stand_in(const struct steering *st, uint32_t cpu)
{
	return cpu < st->possible_cpus ? st->stand_ins[cpu] : cpu;
}

uint32_t steering_queue_cpu(const struct steering *st, uint32_t queue)
{
	return steering_stand_in(st, st->homes[queue]);
}

uint32_t steering_up_offset(const struct steering *st)
{
	return st->stick ? st->queues : 0;
}

/* ---- CPUs that go and come back ------------------------------------------ */

static bool is_in(uint32_t cpu, const uint32_t *cpus, uint32_t n)
{
	while (n)
		if (cpus[--n] == cpu)
			return true;
	return false;
}

/* What a CPU has sold with all queues that are on it. */
static uint64_t sold_on(const struct steering *st, uint32_t cpu)
{
	uint64_t sold = 0;
	uint32_t i;

	for (i = 0; i < st->queues && st->plan; i++)
		if (steering_queue_cpu(st, i) == cpu)
			sold += plan_load(st->plan, i);
	return sold;
}

static uint32_t least_sold(const struct steering *st, const uint32_t *cpus,
			   uint32_t n)
{
	uint32_t best = cpus[0], i;

	for (i = 1; i < n; i++)
		if (sold_on(st, cpus[i]) < sold_on(st, best))
			best = cpus[i];
	return best;
}

/* True: it is another one than before. */
static bool find_stand_in(struct steering *st, uint32_t cpu,
			  const uint32_t *cpus, uint32_t n)
{
	uint32_t before = st->stand_ins[cpu];

	if (is_in(cpu, cpus, n))
		st->stand_ins[cpu] = cpu;
	else if (!is_in(before, cpus, n))
		st->stand_ins[cpu] = least_sold(st, cpus, n);
	return st->stand_ins[cpu] != before;
}

void steering_look_at_cpus(struct steering *st)
{
	const uint32_t *cpus;
	uint32_t n = lqos_cpus(st->ctx, &cpus), cpu, i;
	bool moved = false;

	for (cpu = 0; n && cpu < st->possible_cpus; cpu++) {
		if (!find_stand_in(st, cpu, cpus, n))
			continue;
		moved = true;
		for (i = 0; i < st->queues; i++)
			if (st->homes[i] == cpu)
				lqos_log(st->ctx, LQOS_WARN,
					 "queue %u is on CPU %u now: CPU %u is "
					 "%s",
					 i + 1, st->stand_ins[cpu], cpu,
					 st->stand_ins[cpu] == cpu ? "back"
								   : "offline");
	}
	for (i = 0; i < st->queues; i++)
		st->spread[i] = steering_queue_cpu(st, i);
	if (moved)
		steering_changed(st);
}
