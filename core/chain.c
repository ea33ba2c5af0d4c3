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
	return at < chain->n ? chain->links[at].prog_fd : chain->tail_fd;
}

int chain_insert(struct chain *chain, const struct chain_link *link)
{
	bool has_last = chain->n && chain->links[chain->n - 1].last;
	size_t at = chain->n, i;
	int rc;

	for (i = 0; i < chain->n; i++)
		if (chain->links[i].index == link->index)
			return core_fail(WHO, -EEXIST,
					 "module %s has %s in this stage "
					 "already, %s too cannot be: a module "
					 "has one program a stage",
					 link->module, chain->links[i].program,
					 link->program);
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
	size_t at;
	int rc;

	for (at = 0; at < chain->n && chain->links[at].index != index; at++)
		;
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
	chain->n--;
	memmove(&chain->links[at], &chain->links[at + 1],
		(chain->n - at) * sizeof(chain->links[0]));
}
