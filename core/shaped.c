/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shaped.c - what was read of ShapedDevices.csv, to be found again. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/registry.h"

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

int core_shaped_new(struct core_shaped **out)
{
	struct core_shaped *shaped = calloc(1, sizeof(*shaped));

	if (!shaped)
		return -ENOMEM;
	STAILQ_INIT(&shaped->circuits);
	STAILQ_INIT(&shaped->addresses);
	*out = shaped;
	return 0;
}

void core_shaped_circuit_free(struct core_shaped_circuit *circuit)
{
	if (circuit) {
		free((void *)circuit->s.circuit_id);
		free((void *)circuit->s.name);
	}
	free(circuit);
}

void core_shaped_address_free(struct core_shaped_address *address)
{
	free((void *)address->p.device_id);
	free(address);
}

void core_shaped_hold(struct core_shaped *shaped, const char *circuit_id)
{
	char *id = *circuit_id ? strdup(circuit_id) : NULL;
	char **same = id ? tsearch(id, &shaped->held, compare_ids) : NULL;

	if (!same || *same != id)
		free(id);
}

const struct core_shaped_circuit *
core_shaped_circuit(const struct core_shaped *shaped, const char *circuit_id)
{
	const struct lqos_subscriber key = {.circuit_id = circuit_id};

	return core_tree_find(&key, &shaped->by_id, core_circuit_compare);
}

const struct core_shaped_address *
core_shaped_address(const struct core_shaped *shaped,
		    const struct lqos_prefix *range)
{
	return core_tree_find(range, &shaped->by_range, core_prefix_compare);
}

bool core_shaped_holds(const struct core_shaped *shaped, const char *circuit_id)
{
	return tfind(circuit_id, &shaped->held, compare_ids);
}

void core_shaped_free(struct core_shaped **shaped)
{
	struct core_shaped *s = steal_ptr(*shaped);
	struct core_shaped_circuit *circuit;
	struct core_shaped_address *address;

	if (!s)
		return;
	core_tree_free(s->by_id);
	core_tree_free(s->by_range);
	tdestroy(s->held, free);
	while ((circuit = STAILQ_FIRST(&s->circuits))) {
		STAILQ_REMOVE_HEAD(&s->circuits, next);
		core_shaped_circuit_free(circuit);
	}
	while ((address = STAILQ_FIRST(&s->addresses))) {
		STAILQ_REMOVE_HEAD(&s->addresses, next);
		core_shaped_address_free(address);
	}
	free(s);
}
