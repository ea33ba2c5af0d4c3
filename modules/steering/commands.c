/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steering.* on the bus. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "modules/steering/steering.h"

/* Up to the character end; 0: not a number from 1 to ffff. */
static uint32_t parse_hex(const char **text, char end)
{
	unsigned long value;
	char *rest;

	if (!isxdigit((unsigned char)**text))
		return 0;
	value = strtoul(*text, &rest, 16);
	if (*rest != end || value > 0xffff)
		return 0;
	*text = rest + 1;
	return value;
}

/* "1:1f", "0x1:0x1f"; both parts hexadecimal as tc has them.  -EPERM: it is one
 * of the tree's own. */
static int parse_class(const char *text, uint32_t *handle)
{
	uint32_t major = parse_hex(&text, ':');
	uint32_t minor = major ? parse_hex(&text, '\0') : 0;

	if (!minor)
		return -EINVAL;
	if (minor < PLAN_MINOR_FIRST)
		return -EPERM;
	*handle = major << 16 | minor;
	return 0;
}

const char *steering_class(uint32_t handle, char *buf, size_t size)
{
	snprintf(buf, size, "%x:%x", handle >> 16, handle & 0xffff);
	return buf;
}

const char *steering_prefix(const struct lqos_prefix *p, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "", vlan[8] = "";

	inet_ntop(p->family, p->addr, ip, sizeof(ip));
	if (p->vlan)
		snprintf(vlan, sizeof(vlan), "%%%u", p->vlan);
	snprintf(buf, size, "%s%s/%u", ip, vlan, p->len);
	return buf;
}

static bool is_online(const struct steering *st, json_int_t cpu)
{
	const uint32_t *cpus;
	uint32_t n = lqos_cpus(st->ctx, &cpus), i;

	for (i = 0; i < n; i++)
		if (cpus[i] == cpu)
			return true;
	return false;
}

/* Whose class it is by the plan; NULL: nobody's but circuit_id's. */
static const char *owner(const struct steering *st, uint32_t handle,
			 const char *circuit_id)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), i;
	const struct lqos_subscriber *s;

	for (i = 1; i < lqos_nodes(st->ctx); i++)
		if (plan_node_handle(st->plan, i) == handle)
			return lqos_node(st->ctx, i)->name;
	for (i = 1; i < slots; i++) {
		if (plan_handle(st->plan, i) != handle)
			continue;
		s = lqos_subscriber(st->ctx, i);
		return s && strcmp(s->circuit_id, circuit_id) ? s->circuit_id
							      : NULL;
	}
	return NULL;
}

static int check_class(struct lqos_call *call, struct steering *st,
		       const struct lqos_mapping *m)
{
	const char *taken;

	if (plan_queue(m->handle) >= st->queues)
		return lqos_call_fail(call, -EINVAL,
				      "classid: expected a major, which is the "
				      "queue, from 1 to %x: \"%x:%x\" lies "
				      "beyond",
				      st->queues, m->handle >> 16,
				      m->handle & 0xffff);
	if (!plan_has(st->plan, m->handle))
		return 0;
	steering_catch_up(st); /* it may be free by now */
	taken = owner(st, m->handle, m->circuit_id ?: m->ip);
	if (!taken)
		return 0;
	return lqos_call_fail(call, -EEXIST,
			      "classid: %x:%x is the class of %s: expected one "
			      "that is not in `lqosctl call steering.tree`",
			      m->handle >> 16, m->handle & 0xffff, taken);
}

static int read_class(struct lqos_call *call, const char *text,
		      uint32_t *handle)
{
	int rc = text ? parse_class(text, handle) : -EINVAL;

	if (rc == -EPERM)
		return lqos_call_fail(call, -EINVAL,
				      "classid \"%s\": minor 1 is the root "
				      "class of a queue and 2 its default "
				      "class: expected one from 3 to ffff",
				      text);
	if (rc)
		return lqos_call_fail(call, rc,
				      "classid \"%s\": expected major:minor in "
				      "hex, each from 1 to ffff, such as "
				      "0x1:0x1f",
				      text ?: "");
	return 0;
}

static int read_place(struct lqos_call *call, struct steering *st,
		      struct lqos_mapping *m)
{
	const json_t *params = lqos_call_params(call);
	const json_t *cpu = json_object_get(params, "cpu");
	const json_t *class = json_object_get(params, "classid");
	int rc;

	/* Neither: its circuit's place, or the plan's. */
	if (!cpu && !class)
		return 0;
	rc = read_class(call, json_string_value(class), &m->handle);
	if (rc)
		return rc;
	if (!json_is_integer(cpu) || !is_online(st, json_integer_value(cpu)))
		return lqos_call_fail(
			call, -EINVAL,
			"cpu: expected the number of a CPU that is online and "
			"not excluded (see `lqosctl steering queues`)");
	m->cpu = json_integer_value(cpu);
	return check_class(call, st, m);
}

/* Room for any integer as text. */
struct number {
	char text[24];
};

/* Ids are often numbers: those are taken by their text. */
static int read_id(struct lqos_call *call, const char *key, struct number *buf,
		   const char **out)
{
	const json_t *value = json_object_get(lqos_call_params(call), key);

	if (json_is_integer(value)) {
		snprintf(buf->text, sizeof(buf->text), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		*out = buf->text;
		return 0;
	}
	if (value && !json_is_string(value))
		return lqos_call_fail(call, -EINVAL,
				      "%s: expected a string or an integer",
				      key);
	*out = json_string_value(value);
	return 0;
}

/* LibreQoS's scripts may do so; it costs, and is seldom meant. */
static void say_other_cpu(const struct steering *st,
			  const struct lqos_mapping *m)
{
	uint32_t queue = plan_queue(m->handle);

	if (steering_queue_cpu(st, queue) != m->cpu)
		lqos_log(st->ctx, LQOS_WARN,
			 "%s is in class %x:%x, but on CPU %u, as asked for: "
			 "queue %u is CPU %u's, and the two wait for each "
			 "other's lock on it",
			 m->ip, m->handle >> 16, m->handle & 0xffff, m->cpu,
			 queue + 1, steering_queue_cpu(st, queue));
}

static int add(struct lqos_call *call, void *arg)
{
	struct number circuit, device;
	struct steering *st = arg;
	struct lqos_mapping m = {
		.ip = json_string_value(
			json_object_get(lqos_call_params(call), "ip")),
	};
	char why[256];
	int rc;

	if (!m.ip)
		return lqos_call_fail(call, -EINVAL,
				      "ip: expected an address or prefix");
	rc = lqos_mapping_check(st->ctx, m.ip, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	rc = read_id(call, "circuit_id", &circuit, &m.circuit_id);
	if (!rc)
		rc = read_id(call, "device_id", &device, &m.device_id);
	if (!rc)
		rc = read_place(call, st, &m);
	if (rc)
		return rc;
	rc = lqos_mapping_add(st->ctx, &m, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	if (m.handle) {
		say_other_cpu(st, &m);
		plan_reserve(st->plan, m.handle);
		st->by_hand = true;
		/* Its circuit may be placed by hand from here on. */
		steering_changed(st);
	}
	return 0;
}

/* A class that was given by hand may have gone with its mapping. */
static void mappings_went(struct steering *st)
{
	if (!st->by_hand)
		return;
	st->released = true;
	steering_changed(st);
}

static int del(struct lqos_call *call, void *arg)
{
	const json_t *ip = json_object_get(lqos_call_params(call), "ip");
	struct steering *st = arg;
	char why[256];
	int rc;

	if (!json_is_string(ip))
		return lqos_call_fail(call, -EINVAL,
				      "ip: expected an address or prefix");
	rc = lqos_mapping_del(st->ctx, json_string_value(ip), why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	mappings_went(st);
	return 0;
}

static int clear(struct lqos_call *call, void *arg)
{
	struct steering *st = arg;
	int n = lqos_mapping_clear(st->ctx);

	if (n < 0)
		return lqos_call_fail(call, n, "cannot clear");
	mappings_went(st);
	lqos_call_result(call, json_pack("{s:i}", "cleared", n));
	return 0;
}

struct listing {
	struct steering *st;
	json_t *out;
};

static int list_one(const struct lqos_prefix *p, void *arg)
{
	const struct listing *l = arg;
	const struct lqos_subscriber *s = lqos_subscriber(l->st->ctx, p->slot);
	char range[STEERING_PREFIX_TEXT], class[16];
	json_t *row;

	steering_prefix(p, range, sizeof(range));
	row = json_pack("{s:s,s:s,s:s,s:i,s:b}", "ip", range, "circuit_id",
			s ? s->circuit_id : "", "device_id", p->device_id ?: "",
			"slot", (int)p->slot, "by_hand", (int)p->by_hand);
	if (p->handle)
		json_object_set_new(row, "class",
				    json_string(steering_class(p->handle, class,
							       sizeof(class))));
	if (p->cpu != UINT32_MAX)
		json_object_set_new(row, "cpu", json_integer(p->cpu));
	return json_array_append_new(l->out, row) ? -ENOMEM : 0;
}

static int list(struct lqos_call *call, void *arg)
{
	struct listing l = {.st = arg, .out = json_array()};
	int rc;

	steering_catch_up(l.st);
	rc = lqos_prefixes(l.st->ctx, list_one, &l);
	if (rc) {
		json_decref(l.out);
		return lqos_call_fail(call, rc, "cannot list");
	}
	lqos_call_result(call, l.out);
	return 0;
}

/* The class a node or circuit hangs under. */
static const char *parent_class(const struct steering *st, uint32_t node,
				uint32_t handle, char *buf, size_t size)
{
	uint32_t parent = plan_node_handle(st->plan, node);

	/* Minor 1 is the queue's root class. */
	return steering_class(
		node && parent ? parent : (handle & 0xffff0000) | 1, buf, size);
}

json_t *steering_queues(const struct steering *st)
{
	json_t *out = json_array();
	uint32_t i;

	for (i = 0; i < st->queues; i++)
		json_array_append_new(
			out,
			json_pack("{s:i,s:i,s:I}", "queue", (int)i + 1, "cpu",
				  (int)steering_queue_cpu(st, i), "sold",
				  (json_int_t)plan_load(st->plan, i)));
	return out;
}

static json_t *tree_nodes(const struct steering *st)
{
	json_t *out = json_array();
	char class[16], parent[16];
	uint32_t i, handle;

	for (i = 1; i < lqos_nodes(st->ctx); i++) {
		const struct lqos_node *node = lqos_node(st->ctx, i);

		handle = plan_node_handle(st->plan, i);
		json_array_append_new(
			out,
			json_pack("{s:s,s:s,s:s,s:I,s:I}", "name", node->name,
				  "class",
				  steering_class(handle, class, sizeof(class)),
				  "parent",
				  parent_class(st, node->parent, handle, parent,
					       sizeof(parent)),
				  "down_max", (json_int_t)node->down_max,
				  "up_max", (json_int_t)node->up_max));
	}
	return out;
}

static json_t *tree_circuits(const struct steering *st)
{
	uint32_t slots = lqos_subscriber_slots(st->ctx), slot;
	json_t *out = json_array();
	char class[16], parent[16];

	for (slot = 1; slot < slots; slot++) {
		const struct lqos_subscriber *s =
			lqos_subscriber(st->ctx, slot);

		if (!s || !s->handle)
			continue;
		json_array_append_new(
			out, json_pack("{s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:I}",
				       "circuit_id", s->circuit_id, "class",
				       steering_class(s->handle, class,
						      sizeof(class)),
				       "parent",
				       parent_class(st, s->node, s->handle,
						    parent, sizeof(parent)),
				       "cpu", (int)s->cpu, "down_min",
				       (json_int_t)s->down_min, "down_max",
				       (json_int_t)s->down_max, "up_min",
				       (json_int_t)s->up_min, "up_max",
				       (json_int_t)s->up_max));
	}
	return out;
}

static int show_tree(struct lqos_call *call, void *arg)
{
	struct steering *st = arg;

	steering_catch_up(st);
	lqos_call_result(call,
			 json_pack("{s:o,s:o,s:o,s:i,s:i}", "queues",
				   steering_queues(st), "nodes", tree_nodes(st),
				   "circuits", tree_circuits(st), "unplaced",
				   (int)st->unplaced, "up_offset",
				   (int)steering_up_offset(st)));
	return 0;
}

static int show_queues(struct lqos_call *call, void *arg)
{
	lqos_call_result(call, steering_queues(arg));
	return 0;
}

static int flush(struct lqos_call *call, void *arg)
{
	const struct steering *st = arg;

	(void)call;
	lqos_lookups_forget(st->ctx);
	return 0;
}

static const struct lqos_command commands[] = {
	{.name = "add",
	 .params = "{ip: string, classid?: \"major:minor\", cpu?: number, "
		   "circuit_id?: string|integer, device_id?: string|integer}",
	 .help = "Map an address or prefix by hand; classid and cpu go "
		 "together",
	 .flags = LQOS_COMMAND_WRITE,
	 .run = add},
	{.name = "del",
	 .params = "{ip: string}",
	 .help = "Remove the mapping of an address or prefix",
	 .flags = LQOS_COMMAND_WRITE,
	 .run = del},
	{.name = "list",
	 .params = "{}",
	 .help = "Every mapped prefix, its circuit, CPU and class",
	 .run = list},
	{.name = "clear",
	 .params = "{}",
	 .help = "Remove all mappings, those from the files too",
	 .flags = LQOS_COMMAND_WRITE,
	 .run = clear},
	{.name = "tree",
	 .params = "{}",
	 .help = "Queues, nodes and circuits with their classes and rates",
	 .run = show_tree},
	{.name = "queues",
	 .params = "{}",
	 .help = "Each queue, its CPU, and the bit/s sold on it",
	 .run = show_queues},
	{.name = "plan",
	 .params = "{limit?: number}",
	 .help = "What reading the files again would change",
	 .run = steering_plan},
	{.name = "explain",
	 .params = "{ip: string}",
	 .help = "Whose an address is, where its packets go, and why",
	 .run = steering_explain},
	{.name = "flush",
	 .params = "{}",
	 .help = "Make the kernel forget the look-ups it remembers",
	 .flags = LQOS_COMMAND_WRITE,
	 .run = flush},
};

int steering_add_commands(struct steering *st)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]) && !rc; i++)
		rc = lqos_command_add(st->ctx, &commands[i], st);
	return rc;
}
