/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steering.explain: what becomes of an address, and why. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "modules/steering/steering.h"

static void say(json_t *why, const char *fmt, ...) LQOS_PRINTF(2, 3);

static void say(json_t *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(why, json_vsprintf(fmt, ap));
	va_end(ap);
}

static double mbit(uint64_t rate)
{
	return rate / 1e6;
}

/* Names from the top-level node down. */
static json_t *path_json(const struct steering *st, uint32_t node)
{
	json_t *path = json_array();

	for (; node; node = lqos_node(st->ctx, node)->parent)
		json_array_insert_new(
			path, 0, json_string(lqos_node(st->ctx, node)->name));
	return path;
}

/* Why what was placed is on that queue. */
static void say_choice(const struct steering *st, struct plan_choice choice,
		       uint32_t queue, const char *what, json_t *why)
{
	const double sold = mbit(plan_load(st->plan, queue));

	if (st->queues == 1 && choice.why != PLAN_UNPLACED) {
		say(why,
		    "queue 1 was chosen for %s as the only one: %.1f Mbit/s "
		    "are sold now",
		    what, sold);
		return;
	}
	switch (choice.why) {
	case PLAN_UNPLACED:
		break;
	case PLAN_LEAST_SOLD:
		say(why,
		    "queue %u was chosen for %s as the one that had sold "
		    "least: %.1f Mbit/s then, %.1f Mbit/s now",
		    queue + 1, what, mbit(choice.had), sold);
		break;
	case PLAN_FEWEST:
		say(why,
		    "queue %u was chosen for %s, which had sold nothing, as "
		    "the one with fewest circuits and nodes like that: %llu "
		    "then; %.1f Mbit/s are sold now",
		    queue + 1, what, (unsigned long long)choice.had, sold);
		break;
	case PLAN_KEPT:
		say(why,
		    "queue %u was kept for %s as it was before the daemon was "
		    "started; %.1f Mbit/s are sold now",
		    queue + 1, what, sold);
		break;
	}
}

static void say_plan(const struct steering *st, const struct lqos_subscriber *s,
		     json_t *why)
{
	uint32_t queue = plan_queue(s->handle);
	uint32_t top = plan_top(st->plan, s->node);
	const char *name;

	if (!top) {
		say(why, "circuit %s hangs at the root", s->circuit_id);
		say_choice(st, plan_choice(st->plan, s->slot), queue,
			   s->circuit_id, why);
		return;
	}
	name = lqos_node(st->ctx, top)->name;
	say(why,
	    "circuit %s hangs under top-level node %s: all of that is on queue "
	    "%u",
	    s->circuit_id, name, queue + 1);
	say_choice(st, plan_node_choice(st->plan, top), queue, name, why);
}

static bool is_home(const struct steering *st, uint32_t cpu)
{
	uint32_t i;

	for (i = 0; i < st->n_cpus; i++)
		if (st->homes[i] == cpu)
			return true;
	return false;
}

/* What a CPU is there for, if anything is to be said of it. */
static const char *use_of(const struct steering *st, uint32_t cpu)
{
	return is_home(st, cpu) ? "used" : lqos_cpu_unused(st->ctx, cpu);
}

/* "0, 2-3 are used; 1 is offline" */
static void list_cpus(const struct steering *st, const char *use, FILE *out)
{
	uint32_t cpu, last, n = 0, groups = 0;

	for (cpu = 0; cpu < st->possible_cpus; cpu = last + 1) {
		const char *mine = use_of(st, cpu);

		for (last = cpu; last + 1 < st->possible_cpus &&
				 use_of(st, last + 1) == mine;)
			last++;
		if (mine != use)
			continue;
		fprintf(out, groups++ ? ", %u" : "%u", cpu);
		if (last > cpu)
			fprintf(out, "-%u", last);
		n += last - cpu + 1;
	}
	fprintf(out, " %s %s", n == 1 ? "is" : "are", use);
}

static bool is_first_of(const struct steering *st, uint32_t cpu)
{
	uint32_t i;

	for (i = 0; i < cpu; i++)
		if (use_of(st, i) == use_of(st, cpu))
			return false;
	return use_of(st, cpu) != NULL;
}

/* Which CPU a queue is on, and why that one. */
static void say_cpu(const struct steering *st, uint32_t queue, json_t *why)
{
	char *text = NULL;
	uint32_t cpu;
	size_t size;
	FILE *out;

	if (queue >= st->queues)
		return;
	out = open_memstream(&text, &size);
	if (!out)
		return;
	fprintf(out,
		"queue %u belongs to CPU %u, as queues take CPUs in "
		"order: CPU ",
		queue + 1, st->homes[queue]);
	list_cpus(st, use_of(st, st->homes[0]), out);
	for (cpu = 0; cpu < st->possible_cpus; cpu++) {
		if (is_home(st, cpu) || !is_first_of(st, cpu))
			continue;
		fputs("; CPU ", out);
		list_cpus(st, use_of(st, cpu), out);
	}
	if (!fclose(out))
		say(why, "%s", text);
	free(text);
}

/* The CPU that the queue belongs to may be offline. */
static void say_queue(const struct steering *st, uint32_t queue, json_t *why)
{
	uint32_t home;

	say_cpu(st, queue, why);
	if (st->why_queues)
		say(why, "%s", st->why_queues);
	if (queue >= st->queues)
		return;
	home = st->homes[queue];
	if (steering_stand_in(st, home) != home)
		say(why,
		    "CPU %u, which queue %u belongs to, is offline: CPU %u "
		    "does its work until it is back",
		    home, queue + 1, steering_stand_in(st, home));
}

/* By hand, a class and a CPU need not go together. */
static void say_other_cpu(const struct steering *st, uint32_t handle,
			  uint32_t cpu, json_t *why)
{
	uint32_t queue = plan_queue(handle);

	if (handle && queue < st->queues &&
	    steering_queue_cpu(st, queue) != cpu)
		say(why,
		    "its packets go to CPU %u, but queue %u belongs to CPU %u: "
		    "the two wait for each other's lock on it",
		    cpu, queue + 1, st->homes[queue]);
}

/* Somebody may have taken our programs off. */
static void say_detached(const struct steering *st, json_t *why)
{
	uint32_t i;

	for (i = 0; i < lqos_interfaces(st->ctx); i++)
		if (!lqos_interface_attached(st->ctx, i))
			say(why,
			    "%s carries none of our programs now: what arrives "
			    "there passes unshaped, whatever is said here",
			    lqos_interface(st->ctx, i)->name);
}

static void say_place(const struct steering *st, const struct lqos_prefix *p,
		      const struct lqos_subscriber *s, json_t *why)
{
	char class[16];

	if (p->own_place)
		say(why, "class %s was given to this prefix by hand",
		    steering_class(p->handle, class, sizeof(class)));
	if (!s->handle)
		say(why,
		    "circuit %s has no class: no minor is left for it in its "
		    "queue, so it goes to the default class",
		    s->circuit_id);
	else if (steering_is_by_hand(st, s))
		say(why, "circuit %s was put on CPU %u by hand", s->circuit_id,
		    s->cpu);
	else
		say_plan(st, s, why);
}

static void say_kernel(const struct lqos_lookup *l, json_t *why)
{
	bool agrees = l->known == l->mapped &&
		      (!l->known || (l->slot == l->prefix.slot &&
				     l->handle == l->prefix.handle &&
				     l->cpu == l->prefix.cpu));

	if (agrees)
		return;
	say(why, "the kernel says otherwise: %s",
	    l->known ? "see \"kernel\"" : "it knows no prefix that holds it");
}

static json_t *kernel_json(const struct steering *st,
			   const struct lqos_lookup *l)
{
	const struct lqos_subscriber *s = lqos_subscriber(st->ctx, l->slot);
	json_t *out;
	char class[16];

	if (!l->known)
		return json_null();
	out = json_pack("{s:i, s:s}", "slot", (int)l->slot, "circuit_id",
			s ? s->circuit_id : "");
	if (l->handle)
		json_object_set_new(out, "class",
				    json_string(steering_class(l->handle, class,
							       sizeof(class))));
	if (l->cpu != UINT32_MAX)
		json_object_set_new(out, "cpu", json_integer(l->cpu));
	return out;
}

static void add_place(const struct steering *st, json_t *out, uint32_t handle,
		      uint32_t cpu)
{
	uint32_t up = steering_up_offset(st) << 16;
	char class[16];

	json_object_set_new(out, "cpu", json_integer(cpu));
	if (!handle)
		return;
	json_object_set_new(
		out, "class",
		json_string(steering_class(handle, class, sizeof(class))));
	json_object_set_new(out, "queue", json_integer(plan_queue(handle) + 1));
	if (up)
		json_object_set_new(
			out, "up_class",
			json_string(steering_class(handle + up, class,
						   sizeof(class))));
}

static void explain_nobody(const struct steering *st,
			   const struct lqos_lookup *l, json_t *out,
			   json_t *why)
{
	uint32_t queue = l->hash % st->queues;
	uint32_t cpu = steering_queue_cpu(st, queue);

	add_place(st, out, 0, cpu);
	say(why,
	    "no prefix of a subscriber holds it: what is nobody's is spread by "
	    "a hash of the address, here to CPU %u, and goes to the default "
	    "class of that CPU's queue",
	    cpu);
	say_queue(st, queue, why);
}

static void explain_mapped(const struct steering *st,
			   const struct lqos_prefix *p, json_t *out,
			   json_t *why)
{
	const struct lqos_subscriber *s = lqos_subscriber(st->ctx, p->slot);
	uint32_t cpu = p->cpu != UINT32_MAX
			       ? p->cpu
			       : steering_queue_cpu(st, p->slot % st->queues);
	char range[STEERING_PREFIX_TEXT];

	steering_prefix(p, range, sizeof(range));
	json_object_set_new(out, "prefix", json_string(range));
	json_object_set_new(out, "circuit_id", json_string(s->circuit_id));
	json_object_set_new(out, "name", json_string(s->name));
	json_object_set_new(out, "device_id", json_string(p->device_id ?: ""));
	json_object_set_new(out, "by_hand", json_boolean(p->by_hand));
	add_place(st, out, p->handle, cpu);
	json_object_set_new(out, "path", path_json(st, s->node));
	say(why,
	    "%s is the longest prefix that holds it: it is of circuit %s, "
	    "and comes from %s",
	    range, s->circuit_id, p->by_hand ? "the bus" : "the files");
	say_place(st, p, s, why);
	if (p->handle)
		say_queue(st, plan_queue(p->handle), why);
	say_other_cpu(st, p->handle, cpu, why);
}

int steering_explain(struct lqos_call *call, void *arg)
{
	const char *ip = json_string_value(
		json_object_get(lqos_call_params(call), "ip"));
	struct steering *st = arg;
	struct lqos_lookup l;
	json_t *out, *why;
	char text[256];
	int rc;

	if (!ip)
		return lqos_call_fail(call, -EINVAL, "ip: expected an address");
	steering_catch_up(st);
	rc = lqos_lookup(st->ctx, ip, &l, text, sizeof(text));
	if (rc)
		return lqos_call_fail(call, rc, "ip: %s", text);
	why = json_array();
	out = json_pack("{s:s}", "ip", ip);
	if (l.mapped)
		explain_mapped(st, &l.prefix, out, why);
	else
		explain_nobody(st, &l, out, why);
	json_object_set_new(out, "kernel", kernel_json(st, &l));
	say_kernel(&l, why);
	say_detached(st, why);
	json_object_set_new(out, "why", why);
	json_object_set_new(out, "queues", steering_queues(st));
	lqos_call_result(call, out);
	return 0;
}
