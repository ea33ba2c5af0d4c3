/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A chain is a linked list in a prog array: slot 0 holds the first program,
 * slot i what follows the program of module i. */
#include <string.h>

#include <bpf/bpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#define WHO "datapath"

const char *const stage_names[STAGES] = {
	[STAGE_INGRESS] = "ingress",
	[STAGE_OBSERVE] = "observe",
	[STAGE_OBSERVE_TC] = "observe_tc",
	[STAGE_EGRESS] = "egress",
};

/* Let slot index be followed by prog_fd, or, where that is -1, by nothing. */
static int point(const struct chain *chain, uint32_t index, int prog_fd)
{
	if (prog_fd >= 0)
		return bpf_map_update_elem(chain->map_fd, &index, &prog_fd, 0)
			       ? -errno
			       : 0;
	if (bpf_map_delete_elem(chain->map_fd, &index) && errno != ENOENT)
		return -errno;
	return 0;
}

static uint32_t slot_before(const struct chain *chain, size_t at)
{
	return at ? chain->links[at - 1].index : 0;
}

static int prog_at(const struct chain *chain, size_t at)
{
	if (at == chain->n)
		return chain->tail_fd;
	return chain->links[at].graft ? chain->links[at].graft->prog_fd
				      : chain->links[at].prog_fd;
}

/* chain->n: there is none. */
static size_t place_of(const struct chain *chain, uint32_t index)
{
	size_t at = 0;

	while (at < chain->n && chain->links[at].index != index)
		at++;
	return at;
}

const struct chain_link *chain_find(const struct chain *chain, uint32_t index)
{
	size_t at = place_of(chain, index);

	return at < chain->n ? &chain->links[at] : NULL;
}

enum stage stage_of_section(const char *section, bool *last)
{
	int stage;

	*last = !strcmp(section, "lqos/ingress_last");
	if (*last)
		return STAGE_INGRESS;
	if (strncmp(section, "lqos/", 5))
		return STAGES;
	for (stage = 0; stage < STAGES; stage++)
		if (!strcmp(section + 5, stage_names[stage]))
			break;
	return stage;
}

int chain_insert(struct chain *chain, const struct chain_link *link)
{
	bool has_last = chain->n && chain->links[chain->n - 1].last;
	const struct chain_link *own = chain_find(chain, link->index);
	size_t at = chain->n;
	int rc;

	if (own)
		return core_fail(WHO, -EEXIST,
				 "module %s has %s in this stage "
				 "already, %s too cannot be: a module "
				 "has one program a stage",
				 link->module, own->program, link->program);
	if (link->last && has_last)
		return core_fail(WHO, -EEXIST,
				 "%s must be the last of its stage, but %s of "
				 "module %s is already: load only one of them",
				 link->program,
				 chain->links[chain->n - 1].program,
				 chain->links[chain->n - 1].module);
	if (chain->n == ARRAY_SIZE(chain->links) - 1)
		return core_fail(WHO, -E2BIG,
				 "%s: a stage has room for %zu "
				 "programs",
				 link->program, chain->n);
	if (has_last)
		at--;
	rc = point(chain, link->index, prog_at(chain, at));
	if (!rc)
		rc = point(chain, slot_before(chain, at), link->prog_fd);
	if (rc)
		return core_fail(WHO, rc,
				 "cannot put %s of module %s into its "
				 "chain",
				 link->program, link->module);
	memmove(&chain->links[at + 1], &chain->links[at],
		(chain->n - at) * sizeof(chain->links[0]));
	chain->links[at] = *link;
	chain->n++;
	return 0;
}

void chain_remove(struct chain *chain, uint32_t index)
{
	size_t at = place_of(chain, index);
	int rc;

	if (at == chain->n)
		return;
	/* Its own slot stays as it is: packets that are in it now go on to
	 * what follows. */
	rc = point(chain, slot_before(chain, at), prog_at(chain, at + 1));
	if (rc)
		core_fail(WHO, rc,
			  "cannot take %s of module %s out of its "
			  "chain",
			  chain->links[at].program, chain->links[at].module);
	chain_graft_free(&chain->links[at].graft);
	chain->n--;
	memmove(&chain->links[at], &chain->links[at + 1],
		(chain->n - at) * sizeof(chain->links[0]));
}

int chain_swap(struct chain *chain, uint32_t index, struct chain_graft **graft)
{
	size_t at = place_of(chain, index);
	struct chain_graft *before;
	int rc;

	if (at == chain->n)
		return -ENOENT;
	before = chain->links[at].graft;
	chain->links[at].graft = *graft;
	rc = point(chain, slot_before(chain, at), prog_at(chain, at));
	if (rc)
		chain->links[at].graft = before;
	else
		*graft = before;
	return rc;
}

void chain_forget(struct chain *chain)
{
	while (chain->n)
		chain_graft_free(&chain->links[--chain->n].graft);
}

void chain_graft_free(struct chain_graft **graft)
{
	if (*graft)
		close((*graft)->prog_fd);
	free(*graft);
	*graft = NULL;
}
