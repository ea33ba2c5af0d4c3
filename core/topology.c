/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which interfaces there are and how they belong together, as configured. */
#include <net/if.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF "core"

_Static_assert(CORE_PORT_NAME == IF_NAMESIZE, "an interface's name");

static int bad(const char *fmt, ...) LQOS_PRINTF(1, 2);
static int bad(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	core_vlog_unlimited(SELF, LQOS_ERR, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Takes the first of comma-separated items off *text and hands out where it is
 * and how long.  1: so; 0: there is none; -EINVAL: it is empty or over-long. */
static int next_item(const char *key, const char **text, char *item,
		     size_t size)
{
	const char *start = *text + strspn(*text, " \t");
	size_t len = strcspn(start, ",");
	const char *end = start + len;

	if (!*start)
		return 0;
	while (len && strchr(" \t", start[len - 1]))
		len--;
	if (!len || (*end && !end[1 + strspn(end + 1, " \t")]))
		return bad("%s: there is nothing beside a comma; expected "
			   "items as in a,b",
			   key);
	if (len >= size)
		return bad("%s: %.*s: at most %zu characters", key, (int)len,
			   start, size - 1);
	memcpy(item, start, len);
	item[len] = '\0';
	*text = *end ? end + 1 : end;
	return 1;
}

struct names {
	char name[CORE_PAIRS_MAX][IF_NAMESIZE];
	uint32_t n;
};

static int read_names(const char *key, const char *text, struct names *out)
{
	char name[IF_NAMESIZE];
	int rc;

	out->n = 0;
	while ((rc = next_item(key, &text, name, sizeof(name))) > 0) {
		if (out->n == CORE_PAIRS_MAX)
			return bad("%s names more than %d interfaces", key,
				   CORE_PAIRS_MAX);
		strcpy(out->name[out->n++], name);
	}
	return rc;
}

static int add_port(struct core_topology *t, const char *name,
		    enum lqos_side side, uint32_t pair)
{
	struct core_port *port = &t->ports[t->n_ports];
	uint32_t i;

	for (i = 0; i < t->n_ports; i++)
		if (!strcmp(t->ports[i].name, name))
			return bad("interface %s is named twice: each has one "
				   "place in one pair",
				   name);
	*port = (struct core_port){.side = side, .pair = pair};
	strcpy(port->name, name);
	t->n_ports++;
	return 0;
}

/* ---- VLANs of an interface on a stick ------------------------------------ */

/* "100:200" or "100-119:200-219". */
static int read_ranges(const char *text, uint32_t first[2], uint32_t *n)
{
	uint32_t to[2];
	char end;

	if (text[strspn(text, "0123456789:-")])
		return -EINVAL;
	if (sscanf(text, "%4u-%4u:%4u-%4u%c", &first[0], &to[0], &first[1],
		   &to[1], &end) != 4) {
		if (sscanf(text, "%4u:%4u%c", &first[0], &first[1], &end) != 2)
			return -EINVAL;
		to[0] = first[0];
		to[1] = first[1];
	}
	for (int i = 0; i < 2; i++)
		if (first[i] < 1 || to[i] > CORE_VLAN_MAX || to[i] < first[i])
			return -ERANGE;
	*n = to[0] - first[0] + 1;
	return to[1] - first[1] + 1 == *n ? 0 : -EINVAL;
}

static int add_vlans(struct core_topology *t, uint32_t internet,
		     uint32_t subscribers)
{
	const uint32_t both[] = {internet, subscribers};
	uint32_t i, j;

	if (internet == subscribers)
		return bad("vlans: %u is paired with itself: two different "
			   "VLANs are a pair",
			   internet);
	for (i = 0; i < t->n_vlans; i++)
		for (j = 0; j < ARRAY_SIZE(both); j++)
			if (t->vlans[i].internet == both[j] ||
			    t->vlans[i].subscribers == both[j])
				return bad("vlans: %u is in two pairs: each "
					   "VLAN has one partner",
					   both[j]);
	t->vlans[t->n_vlans].internet = internet;
	t->vlans[t->n_vlans++].subscribers = subscribers;
	return 0;
}

static int read_vlans(const char *text, struct core_topology *t)
{
	uint32_t first[2], n, i;
	char item[32];
	int rc;

	while ((rc = next_item("vlans", &text, item, sizeof(item))) > 0) {
		if (read_ranges(item, first, &n))
			return bad("vlans: \"%s\": expected "
				   "INTERNET:SUBSCRIBERS, VLAN ids from 1 to "
				   "%d, as in 100:200 or 100-119:200-219",
				   item, CORE_VLAN_MAX);
		for (i = 0; i < n; i++)
			if (add_vlans(t, first[0] + i, first[1] + i))
				return -EINVAL;
	}
	return rc;
}

/* ---- Together -------------------------------------------------------------
 */

static int read_stick(const struct core_settings *s, const struct names *inet,
		      const struct names *subs, struct core_topology *t)
{
	if (inet->n != 1 || subs->n != 1 ||
	    strcmp(inet->name[0], subs->name[0]))
		return bad("vlans = %s is for one interface on a stick: set "
			   "to_internet and to_subscribers both to that one",
			   s->vlans);
	t->forwards = true;
	return add_port(t, inet->name[0], LQOS_STICK, 0)
		       ?: read_vlans(s->vlans, t);
}

static int read_pairs(const struct names *inet, const struct names *subs,
		      struct core_topology *t)
{
	uint32_t i;
	int rc = 0;

	if (inet->n != subs->n)
		return bad("to_internet names %u interfaces and to_subscribers "
			   "%u: they are pairs, the first with the first and "
			   "so on (or give one interface in all)",
			   inet->n, subs->n);
	for (i = 0; i < inet->n && !rc; i++) {
		if (!strcmp(inet->name[i], subs->name[i]))
			return bad("to_internet and to_subscribers are both "
				   "%s: give two interfaces, or one of the "
				   "two, or vlans",
				   inet->name[i]);
		rc = add_port(t, inet->name[i], LQOS_TO_INTERNET, i)
			     ?: add_port(t, subs->name[i], LQOS_TO_SUBSCRIBERS,
					 i);
	}
	return rc;
}

int core_topology_read(struct core_topology *out, const struct core_settings *s)
{
	struct core_topology t = {.forwards = !strcmp(s->bridge, "xdp")};
	struct names inet, subs;
	int rc;

	rc = read_names("to_internet", s->to_internet, &inet)
		     ?: read_names("to_subscribers", s->to_subscribers, &subs);
	if (rc)
		return rc;
	if (*s->vlans)
		rc = read_stick(s, &inet, &subs, &t);
	else if (inet.n + subs.n != 1)
		rc = read_pairs(&inet, &subs, &t);
	else if (t.forwards)
		rc = bad("bridge = xdp wants two interfaces, and there is %s "
			 "only: set to_internet and to_subscribers",
			 inet.n ? inet.name[0] : subs.name[0]);
	else if (inet.n)
		rc = add_port(&t, inet.name[0], LQOS_TO_INTERNET, 0);
	else
		rc = add_port(&t, subs.name[0], LQOS_TO_SUBSCRIBERS, 0);
	if (!rc)
		*out = t;
	return rc;
}
