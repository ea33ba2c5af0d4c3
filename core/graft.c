/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graft.c - another program in the place of a module's own, under traffic.
 *
 * The client loads it, so that neither a broken file nor a slow verifier keeps
 * the loop from its work: core.graft_maps hands it what the module's programs
 * run on, core.graft takes the programs by their ids.  A program is in a chain
 * what a module's is, so it has to be prepared as one: bound to the module's
 * maps, with the module's constants, and going on to the next.
 */
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "core/bus.h"
#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/layout.h"

#define WHO "datapath"

/* The newest object of a module; NULL: none of that name has any. */
static struct datapath_object *object_of(const struct core_datapath *dp,
					 const char *module)
{
	struct datapath_object *object = dp->objects;

	while (object && strcmp(object->ctx->name, module))
		object = object->next;
	return object;
}

static int read_module(const struct core_datapath *dp, struct lqos_call *call,
		       struct datapath_object **object)
{
	const char *module = json_string_value(
		json_object_get(lqos_call_params(call), "module"));
	struct datapath_object *found = module ? object_of(dp, module) : NULL;

	if (found) {
		*object = found;
		return 0;
	}
	if (!module) {
		lqos_call_fail(call, -EINVAL, "module: expected its name");
		return -EINVAL;
	}
	lqos_call_fail(
		call, -ENOENT,
		"module \"%.64s\": none of that name has BPF programs in "
		"this run (lqosctl status shows the chains)",
		module);
	return -ENOENT;
}

static int only(struct lqos_call *call, const char *const *known)
{
	char why[256];
	int rc = lqos_params_only(lqos_call_params(call), known, why,
				  sizeof(why));

	return rc ? lqos_call_fail(call, rc, "%s", why) : 0;
}

/* ---- core.graft_maps ----------------------------------------------------- */

static json_t *stage_json(const struct datapath_object *object, int stage)
{
	const struct chain_link *link =
		chain_find(&object->dp->chains[stage], object->ctx->index);
	const struct lqos_ctx *ctx = object->ctx;
	const struct bpf_program *prog = NULL;

	for (; link && object && !prog; object = object->next)
		if (object->ctx == ctx)
			prog = bpf_object__find_program_by_name(object->obj,
								link->program);
	if (!prog)
		return NULL;
	return json_pack("{s:s,s:s,s:i,s:i}", "stage", stage_names[stage],
			 "program", link->program, "prog_type",
			 (int)bpf_program__type(prog), "attach_type",
			 (int)bpf_program__expected_attach_type(prog));
}

static size_t count_maps(const struct datapath_object *object)
{
	const struct lqos_ctx *ctx = object->ctx;
	const struct bpf_map *map;
	size_t n = 0;

	for (; object; object = object->next) {
		if (object->ctx != ctx)
			continue;
		bpf_object__for_each_map(map, object->obj)
			n += bpf_map__fd(map) >= 0;
	}
	return n;
}

/* Linux lets a message have so many descriptors and no more. */
static int check_count(struct lqos_call *call,
		       const struct datapath_object *object)
{
	size_t n = count_maps(object);

	if (n <= CORE_FDS_MAX)
		return 0;
	return lqos_call_fail(call, -E2BIG,
			      "module %s has %zu maps, and one with more than "
			      "%d cannot be grafted: restart lqosd with the "
			      "new module instead",
			      object->ctx->name, n, CORE_FDS_MAX);
}

static int add_maps(struct lqos_call *call, const struct bpf_object *obj,
		    json_t *maps)
{
	const struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, obj) {
		if (rc || bpf_map__fd(map) < 0)
			continue;
		rc = lqos_call_fd(call, bpf_map__fd(map));
		json_array_append_new(
			maps, json_pack("{s:s}", "name", layout_map_name(map)));
	}
	return rc;
}

/* All stages where a module has a program: one that is missing in the answer
 * would be grafted by half. */
static int add_stages(const struct datapath_object *object, json_t *stages)
{
	const struct core_datapath *dp = object->dp;
	int stage;

	for (stage = 0; stage < STAGES; stage++)
		if (chain_find(&dp->chains[stage], object->ctx->index) &&
		    json_array_append_new(stages, stage_json(object, stage)))
			return -ENOMEM;
	return 0;
}

static int give_maps(struct lqos_call *call, void *arg)
{
	static const char *const known[] = {"module", NULL};
	struct datapath_object *first, *object;
	json_t *stages, *maps;
	char who[64];
	int rc;

	rc = only(call, known) ?: read_module(arg, call, &first)
				  ?: check_count(call, first);
	if (rc)
		return rc;
	stages = json_array();
	maps = json_array();
	rc = add_stages(first, stages);
	for (object = first; object && !rc; object = object->next)
		if (object->ctx == first->ctx)
			rc = add_maps(call, object->obj, maps);
	if (!rc)
		core_log_unlimited(
			WHO, LQOS_INFO,
			"%s was given the %zu maps that module %s runs on, to "
			"load a program with",
			core_call_asker(call, who, sizeof(who)),
			json_array_size(maps), first->ctx->name);
	lqos_call_result(call,
			 json_pack("{s:s,s:o,s:o}", "module", first->ctx->name,
				   "stages", stages, "maps", maps));
	return rc;
}

/* ---- core.graft ---------------------------------------------------------- */

/* By stage: what is to run there. */
struct plan {
	struct chain_graft *grafts[STAGES];
	bool wanted[STAGES];
};

static void plan_clear(struct plan *plan)
{
	int stage;

	for (stage = 0; stage < STAGES; stage++)
		chain_graft_free(&plan->grafts[stage]);
}

static int find_stage(const char *name)
{
	int stage = 0;

	while (stage < STAGES && strcmp(stage_names[stage], name))
		stage++;
	return stage;
}

static int plan_program(struct plan *plan, struct lqos_call *call,
			const struct datapath_object *object, int stage,
			uint32_t id)
{
	autoclose int fd = bpf_prog_get_fd_by_id(id);
	struct chain_graft *graft;
	struct bpf_prog_info info;
	char why[320];
	int rc;

	if (fd < 0)
		return lqos_call_fail(call, -errno,
				      "program %u: there is none of that id "
				      "(%s)",
				      id, strerror(errno));
	rc = graft_check(object, stage, fd, &info, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "program %u (%s): %s", id,
				      info.name, why);
	graft = calloc(1, sizeof(*graft));
	if (!graft)
		return -ENOMEM;
	graft->prog_fd = steal_fd(&fd);
	graft->id = id;
	memcpy(graft->program, info.name, sizeof(graft->program));
	plan->grafts[stage] = graft;
	plan->wanted[stage] = true;
	return 0;
}

static int read_program(struct plan *plan, struct lqos_call *call,
			const struct datapath_object *object,
			const json_t *program)
{
	const char *name = json_string_value(json_object_get(program, "stage"));
	json_int_t id = json_integer_value(json_object_get(program, "id"));
	int stage = name ? find_stage(name) : STAGES;

	if (stage == STAGES || id < 1 || id > UINT32_MAX)
		return lqos_call_fail(
			call, -EINVAL,
			"programs: expected {stage, id}: ingress, "
			"observe, observe_tc or egress, and the "
			"number that bpftool prog shows");
	if (plan->wanted[stage])
		return lqos_call_fail(call, -EINVAL,
				      "programs: stage %s twice: a module has "
				      "one program a stage",
				      name);
	if (!chain_find(&object->dp->chains[stage], object->ctx->index))
		return lqos_call_fail(call, -ENOENT,
				      "module %s has no program in stage %s in "
				      "this run, so there is nothing to swap",
				      object->ctx->name, name);
	return plan_program(plan, call, object, stage, (uint32_t)id);
}

static int read_plan(struct plan *plan, struct lqos_call *call,
		     const struct datapath_object *object)
{
	const json_t *programs =
		json_object_get(lqos_call_params(call), "programs");
	const json_t *program;
	size_t i;
	int rc = 0;

	if (!json_array_size(programs))
		return lqos_call_fail(call, -EINVAL,
				      "programs: expected [{stage, id}...]");
	json_array_foreach((json_t *)programs, i, program) {
		if (!rc)
			rc = read_program(plan, call, object, program);
	}
	return rc;
}

/* Of what runs in a place: its own, or graft. */
static const char *program_of(const struct chain_link *link,
			      const struct chain_graft *graft)
{
	return graft ? graft->program : link->program;
}

static uint32_t id_of(const struct chain_graft *graft)
{
	return graft ? graft->id : 0;
}

/* The same for people; returns buf. */
static const char *describe(const struct chain_link *link,
			    const struct chain_graft *graft, char *buf,
			    size_t size)
{
	if (graft)
		snprintf(buf, size, "%s (program %u)", graft->program,
			 graft->id);
	else
		snprintf(buf, size, "its own %s", link->program);
	return buf;
}

/* What ran there before is in the plan then.  All of it, or nothing. */
static int carry_out(struct plan *plan, struct lqos_call *call,
		     const struct datapath_object *object)
{
	struct chain *chains = object->dp->chains;
	uint32_t index = object->ctx->index;
	int stage, rc = 0, back;

	for (stage = 0; stage < STAGES; stage++) {
		if (!plan->wanted[stage])
			continue;
		rc = chain_swap(&chains[stage], index, &plan->grafts[stage]);
		if (rc)
			break;
	}
	if (!rc)
		return 0;
	lqos_call_fail(call, rc,
		       "the kernel does not take %s into stage %s: %s (XDP "
		       "programs of a chain agree in their attach type and in "
		       "xdp.frags)",
		       plan->grafts[stage] ? plan->grafts[stage]->program
					   : "its own program",
		       stage_names[stage], strerror(-rc));
	while (--stage >= 0) {
		back = plan->wanted[stage] ? chain_swap(&chains[stage], index,
							&plan->grafts[stage])
					   : 0;
		if (back)
			core_fail(WHO, back,
				  "module %s: what ran in stage %s before the "
				  "graft does not go back",
				  object->ctx->name, stage_names[stage]);
	}
	return rc;
}

/* Tells the log and the caller.  An id of 0 is the module's own program. */
static void tell(const struct plan *before, struct lqos_call *call,
		 const struct datapath_object *object)
{
	json_t *programs = json_array();
	char who[64], is[96], old[96];
	int stage;

	for (stage = 0; stage < STAGES; stage++) {
		const struct chain_link *link = chain_find(
			&object->dp->chains[stage], object->ctx->index);
		const struct chain_graft *was = before->grafts[stage];

		if (!before->wanted[stage])
			continue;
		core_log_unlimited(
			WHO, LQOS_WARN,
			"graft by %s: module %s, stage %s: %s runs in the "
			"place of %s",
			core_call_asker(call, who, sizeof(who)), link->module,
			stage_names[stage],
			describe(link, link->graft, is, sizeof(is)),
			describe(link, was, old, sizeof(old)));
		json_array_append_new(
			programs, json_pack("{s:s,s:s,s:I,s:s,s:I}", "stage",
					    stage_names[stage], "program",
					    program_of(link, link->graft), "id",
					    (json_int_t)id_of(link->graft),
					    "instead_of", program_of(link, was),
					    "was_id", (json_int_t)id_of(was)));
	}
	lqos_call_result(call,
			 json_pack("{s:s,s:o}", "module", object->ctx->name,
				   "programs", programs));
}

static int run_graft(struct lqos_call *call, void *arg)
{
	static const char *const known[] = {"module", "programs", NULL};
	struct datapath_object *object;
	struct plan plan = {};
	int rc;

	rc = only(call, known) ?: read_module(arg, call, &object);
	if (!rc)
		rc = read_plan(&plan, call, object);
	if (!rc)
		rc = carry_out(&plan, call, object);
	if (!rc)
		tell(&plan, call, object);
	plan_clear(&plan);
	return rc;
}

static int run_undo(struct lqos_call *call, void *arg)
{
	static const char *const known[] = {"module", NULL};
	struct core_datapath *dp = arg;
	struct datapath_object *object;
	const struct chain_link *link;
	struct plan plan = {};
	bool any = false;
	int rc, stage;

	rc = only(call, known) ?: read_module(dp, call, &object);
	if (rc)
		return rc;
	for (stage = 0; stage < STAGES; stage++) {
		link = chain_find(&dp->chains[stage], object->ctx->index);
		plan.wanted[stage] = link && link->graft;
		any |= plan.wanted[stage];
	}
	if (!any)
		return lqos_call_fail(call, -ENOENT,
				      "module %s runs its own programs: there "
				      "is no graft to undo",
				      object->ctx->name);
	rc = carry_out(&plan, call, object);
	if (!rc)
		tell(&plan, call, object);
	plan_clear(&plan);
	return rc;
}

static const struct lqos_command commands[] = {
	{
		.name = "graft",
		.params = "{module: string, programs: [{stage: string, id: "
			  "number}]}",
		.help = "Programs that are loaded run in the places of a "
			"module's own: use lqosctl graft",
		.flags = LQOS_COMMAND_WRITE,
		.run = run_graft,
	},
	{
		.name = "graft_maps",
		.params = "{module: string}",
		.help = "What programs of a module run on; the maps come with "
			"the answer: use lqosctl graft",
		.flags = LQOS_COMMAND_WRITE,
		.run = give_maps,
	},
	{
		.name = "graft_undo",
		.params = "{module: string}",
		.help = "A module's own programs run again",
		.flags = LQOS_COMMAND_WRITE,
		.run = run_undo,
	},
};

int graft_add(struct core_datapath *dp)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(commands) && !rc; i++)
		rc = lqos_command_add(dp->core->ctx, &commands[i], dp);
	return rc;
}
