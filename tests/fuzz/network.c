/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as network.json.
 *
 * What is refused is said, in lines that a terminal can show, and changes
 * nothing.  What is taken is a tree: each node behind its parent and found by
 * its name, which anybody may print.  Written out, it is read as the same tree
 * without a word.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "core/cleanup.h"
#include "core/registry.h"
#include "tests/fuzz/fuzz.h"

static unsigned int lines; /* in the log */

static void count_line(enum lqos_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	require_one_line(line);
	lines++;
}

static void check_node(const struct core_network *network, uint32_t id)
{
	const struct lqos_node *node = network->nodes[id], *up = node;
	const uint64_t max = CORE_MBPS_MAX * UINT64_C(1000000);
	json_t *name = json_string(node->name);
	unsigned int depth = 0;

	require(node->id == id && node->parent < id + !id);
	require(node->down_max <= max && node->up_max <= max);
	require(core_network_find(network, node->name) == node);
	for (; up->id; depth++)
		up = network->nodes[up->parent];
	require(depth <= CORE_NETWORK_DEPTH_MAX);
	require(name);
	json_decref(name);
	if (id) {
		require_one_line(node->name);
		require(node->name[0] != ' ');
	} else {
		require(!*node->name);
	}
}

/* The tree as jansson has it; nodes: as many as there are. */
static json_t *write_out(const struct core_network *network, json_t **nodes)
{
	for (uint32_t i = 0; i < network->n; i++) {
		const struct lqos_node *n = network->nodes[i];

		nodes[i] = json_object();
		if (!i)
			continue;
		json_object_set_new(nodes[i], "downloadBandwidthMbps",
				    json_real((double)n->down_max / 1e6));
		json_object_set_new(nodes[i], "uploadBandwidthMbps",
				    json_real((double)n->up_max / 1e6));
		json_object_set_new(nodes[i], "children", json_object());
		json_object_set_new(
			n->parent
				? json_object_get(nodes[n->parent], "children")
				: nodes[0],
			n->name, nodes[i]);
	}
	return nodes[0];
}

static void check_again(const struct core_network *network)
{
	CORE_CLEANUP(core_network_free) struct core_network *again = NULL;
	json_t **nodes = calloc(network->n, sizeof(json_t *));
	json_t *json = write_out(network, nodes);
	autofree char *text = json_dumps(json, JSON_COMPACT);
	const struct lqos_node *node, *same;

	require(text);
	lines = 0;
	require(!core_network_parse(&again, "again.json", text, strlen(text)));
	require(!lines && again->n == network->n);
	for (uint32_t i = 1; i < network->n; i++) {
		node = network->nodes[i];
		same = core_network_find(again, node->name);
		require(same && same->down_max == node->down_max &&
			same->up_max == node->up_max);
		require(!strcmp(again->nodes[same->parent]->name,
				network->nodes[node->parent]->name));
	}
	json_decref(json);
	free(nodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	const struct core_problems *p;
	int rc;

	core_log_sink(count_line, NULL);
	lines = 0;
	rc = core_network_parse(&network, "network.json", (const char *)data,
				size);
	require(!rc == !!network);
	if (rc) {
		require(rc == -EINVAL && lines == 1);
		return 0;
	}
	p = &network->problems;
	require(p->rows == network->n - 1);
	require(!(p->skipped + p->warnings) == !lines);
	for (uint32_t i = 0; i < network->n; i++)
		check_node(network, i);
	check_again(network);
	return 0;
}
