/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* network.c - network.json: the tree of sites and access points. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/csv.h"
#include "core/registry.h"

/* What the recursion carries. */
struct walk {
	struct core_network *network;
	const char *path;
};

static int compare_names(const void *a, const void *b)
{
	const struct lqos_node *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void node_free(struct lqos_node *node)
{
	free((void *)node->name);
	free(node);
}

static void json_free_p(json_t **json)
{
	json_decref(*json);
}

const struct lqos_node *core_network_find(const struct core_network *network,
					  const char *name)
{
	const struct lqos_node key = {.name = name};

	return core_tree_find(&key, &network->by_name, compare_names);
}

/* Takes name. */
static int node_new(struct core_network *network, uint32_t parent, char *name,
		    struct lqos_node **out)
{
	struct lqos_node *node = calloc(1, sizeof(*node));
	struct lqos_node **nodes;

	if (!node) {
		free(name);
		return -ENOMEM;
	}
	*node = (struct lqos_node){
		.id = network->n, .parent = parent, .name = name};
	nodes = reallocarray(network->nodes, network->n + 1, sizeof(*nodes));
	if (nodes)
		network->nodes = nodes;
	if (!nodes || !tsearch(node, &network->by_name, compare_names)) {
		node_free(node);
		return -ENOMEM;
	}
	network->nodes[network->n++] = node;
	*out = node;
	return 0;
}

static int network_new(struct core_network **out)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	struct lqos_node *root;
	char *name = strdup("");
	int rc;

	network = calloc(1, sizeof(*network));
	if (!network || !name) {
		free(name);
		return -ENOMEM;
	}
	rc = node_new(network, 0, name, &root);
	if (rc)
		return rc;
	*out = steal_ptr(network);
	return 0;
}

void core_network_free(struct core_network **network)
{
	struct core_network *n = steal_ptr(*network);

	if (!n)
		return;
	core_tree_free(n->by_name);
	for (uint32_t i = 0; i < n->n; i++)
		node_free(n->nodes[i]);
	free(n->nodes);
	free(n);
}

static uint64_t bandwidth(struct walk *walk, const char *name,
			  const json_t *value, const char *key)
{
	const json_t *mbps = json_object_get(value, key);
	double number = json_is_number(mbps) ? json_number_value(mbps) : -1;

	if (number >= 0 && number <= CORE_MBPS_MAX)
		return (uint64_t)(number * 1e6 + 0.5);
	core_problem(
		&walk->network->problems, LQOS_WARN,
		"%s: node \"%s\": %s is %s: expected a number of Mbit/s from "
		"0 (unlimited) to %d; it is taken as unlimited",
		walk->path, name, key, mbps ? "no such number" : "missing",
		CORE_MBPS_MAX);
	return 0;
}

static void leave_out(struct walk *walk, const char *name,
		      const struct lqos_node *parent, const char *reason)
{
	core_problem(&walk->network->problems, LQOS_ERR,
		     "%s: node \"%s\" under %s%s %s; it is left out with all "
		     "below it",
		     walk->path, name, parent->id ? "node " : "the root",
		     parent->name, reason);
}

static int add_children(struct walk *walk, const struct lqos_node *parent,
			json_t *children, unsigned int depth);

static int add_node(struct walk *walk, const struct lqos_node *parent,
		    const char *key, json_t *value, unsigned int depth)
{
	autofree char *copy = strdup(key);
	const struct lqos_node *same;
	struct lqos_node *node;
	bool repaired = false;
	char reason[256], *name;
	json_t *children;
	int rc;

	if (!copy)
		return -ENOMEM;
	name = core_text_clean(copy, &repaired);

	reason[0] = '\0';
	same = core_network_find(walk->network, name);
	if (!*name)
		snprintf(reason, sizeof(reason),
			 "has no name: expected one that Parent Node can name");
	else if (same)
		snprintf(reason, sizeof(reason),
			 "has the name of one under \"%.64s\": expected a name "
			 "that is unique in the file",
			 walk->network->nodes[same->parent]->name);
	else if (!json_is_object(value))
		snprintf(reason, sizeof(reason),
			 "is no object: expected {\"downloadBandwidthMbps\": "
			 "..., \"uploadBandwidthMbps\": ...}");
	else if (depth > CORE_NETWORK_DEPTH_MAX)
		snprintf(reason, sizeof(reason),
			 "is too deep: expected at most %d levels",
			 CORE_NETWORK_DEPTH_MAX);
	if (reason[0]) {
		leave_out(walk, name, parent, reason);
		return 0;
	}

	name = strdup(name);
	if (!name)
		return -ENOMEM;
	rc = node_new(walk->network, parent->id, name, &node);
	if (rc)
		return rc;
	node->down_max = bandwidth(walk, name, value, "downloadBandwidthMbps");
	node->up_max = bandwidth(walk, name, value, "uploadBandwidthMbps");
	walk->network->problems.rows++;

	children = json_object_get(value, "children");
	if (!children || json_is_null(children))
		return 0;
	if (!json_is_object(children)) {
		leave_out(walk, "children", node,
			  "is no object: expected nodes by name");
		return 0;
	}
	return add_children(walk, node, children, depth + 1);
}

static int add_children(struct walk *walk, const struct lqos_node *parent,
			json_t *children, unsigned int depth)
{
	const char *key;
	json_t *value;
	int rc;

	json_object_foreach(children, key, value) {
		rc = add_node(walk, parent, key, value, depth);
		if (rc)
			return rc;
	}
	return 0;
}

int core_network_parse(struct core_network **out, const char *path,
		       const char *text, size_t len)
{
	CORE_CLEANUP(core_network_free) struct core_network *network = NULL;
	CORE_CLEANUP(json_free_p) json_t *json = NULL;
	struct walk walk = {.path = path};
	json_error_t error;
	int rc;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	errno = 0;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	/* Which it would call a mistake of the file. */
	if (!json && errno == ENOMEM)
		return core_fail(CORE_REGISTRY_LOG, -ENOMEM, "cannot read %s",
				 path);
	if (!json) {
		core_log(CORE_REGISTRY_LOG, LQOS_ERR, "%s:%d:%d: %s", path,
			 error.line, error.column, error.text);
		return -EINVAL;
	}
	if (!json_is_object(json)) {
		core_log(CORE_REGISTRY_LOG, LQOS_ERR,
			 "%s:1:1: expected an object of nodes by name, or {} "
			 "for a flat network",
			 path);
		return -EINVAL;
	}

	rc = network_new(&network);
	if (rc)
		return rc;
	walk.network = network;
	rc = add_children(&walk, network->nodes[0], json, 1);
	if (rc)
		return rc;
	*out = steal_ptr(network);
	return 0;
}

int core_network_read(struct core_network **out, const char *path)
{
	autofree char *text = NULL;
	size_t len;
	int rc;

	if (!path || !*path)
		return network_new(out);
	rc = core_file_read(path, &text, &len);
	if (rc)
		return core_fail(CORE_REGISTRY_LOG, rc,
				 "cannot read network_json %s (without a tree "
				 "of sites, write {} into it)",
				 path);
	return core_network_parse(out, path, text, len);
}
