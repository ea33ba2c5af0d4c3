/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bus and the metrics tell of the datapath. */
#include <string.h>

#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"

static const struct {
	const char *name, *help;
} counters[DP_COUNTERS] = {
	[DP_RECEIVED] = {"received", "frames that arrived"},
	[DP_NOT_IP] = {"not_ip", "ARP, STP, LACP and the like: passed"},
	[DP_TRUNCATED] = {"truncated", "ended before their IP header: passed"},
	[DP_BAD_HEADER] = {"bad_header", "with a bad IP header: passed"},
	[DP_TAGS] = {"too_many_tags",
		     "more VLAN tags or labels than 4: passed"},
	[DP_EXTENSIONS] = {"too_many_extensions",
			   "more IPv6 extensions than 6: by address"},
	[DP_FRAGMENT] = {"fragment", "fragments: steered by address"},
	[DP_L4_TRUNCATED] = {"l4_truncated", "their L4 header cut: by address"},
	[DP_L4_OTHER] = {"l4_other", "not TCP, UDP or ICMP: by address"},
	[DP_UNKNOWN_HOST] = {"unknown_host", "IP, but no subscriber's"},
	[DP_TRIE] = {"trie_lookups", "look-ups that the cache did not answer"},
	[DP_NO_METADATA] = {"no_metadata",
			    "no room for the descriptor, or metadata = off"},
	[DP_OBSERVED] = {"observed", "frames that the observers saw"},
	[DP_PARSED_AGAIN] = {"parsed_again",
			     "of these, parsed again: no descriptor came"},
	[DP_SENT] = {"sent", "skbs on their way out"},
	[DP_SENT_PARSED] = {"sent_parsed",
			    "of these, parsed again: no descriptor came"},
	[DP_CPU_LOST] = {"cpu_lost", "lost on the way to their CPU: its queue "
				     "full, no memory, or refused"},
	[DP_FORWARDED] = {"forwarded", "sent on by lqosd's own bridge"},
	[DP_NO_PEER] = {"no_peer", "left to the kernel: the other interface of "
				   "the pair is gone"},
	[DP_NO_PAIR] = {"no_pair", "on a stick: their VLAN is in no pair"},
	[DP_BYPASSED] = {"bypassed", "passed untouched: bypass is on"},
};

static const char *const sides[] = {
	[LQOS_TO_INTERNET] = "internet",
	[LQOS_TO_SUBSCRIBERS] = "subscribers",
	[LQOS_STICK] = "stick",
};

static json_t *interfaces_json(const struct core_datapath *dp)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < dp->n_at; i++) {
		const struct lqos_interface *f = &dp->at[i].iface;

		json_array_append_new(
			array,
			json_pack("{s:s,s:s,s:i,s:i,s:s,s:i,s:i}", "name",
				  f->name, "side", sides[f->side], "pair",
				  (int)f->pair, "ifindex", (int)f->ifindex,
				  "mode",
				  dp->at[i].gone		  ? "gone"
				  : dp->at[i].links[HOOK_XDP] < 0 ? "detached"
				  : f->native			  ? "native"
								  : "generic",
				  "rx_queues", (int)f->rx_queues, "tx_queues",
				  (int)f->tx_queues));
	}
	return array;
}

/* program is what runs there; where it is grafted, instead_of is the module's
 * own. */
static json_t *link_json(const struct chain_link *link)
{
	const struct chain_graft *graft = link->graft;

	if (!graft)
		return json_pack("{s:s,s:s}", "module", link->module, "program",
				 link->program);
	return json_pack("{s:s,s:s,s:b,s:I,s:s}", "module", link->module,
			 "program", graft->program, "grafted", 1, "id",
			 (json_int_t)graft->id, "instead_of", link->program);
}

static json_t *chains_json(const struct core_datapath *dp)
{
	json_t *chains = json_object();
	size_t j;
	int i;

	for (i = 0; i < STAGES; i++) {
		json_t *links = json_array();

		for (j = 0; j < dp->chains[i].n; j++)
			json_array_append_new(
				links, link_json(&dp->chains[i].links[j]));
		json_object_set_new(chains, stage_names[i], links);
	}
	return chains;
}

static json_t *counters_json(const struct core_datapath *dp)
{
	json_t *sums = json_object(), *cpus = json_array();
	uint32_t cpu;
	int i;

	for (i = 0; i < DP_COUNTERS; i++) {
		uint64_t sum = 0;

		for (cpu = 0; cpu < dp->possible_cpus; cpu++)
			sum += dp->counters[cpu].count[i];
		json_object_set_new(sums, counters[i].name, json_integer(sum));
	}
	/* Packets arrive on others than they are sent to, too. */
	for (cpu = 0; cpu < dp->possible_cpus; cpu++) {
		const __u64 *count = dp->counters[cpu].count;
		bool used = core_cpus_has(dp->cpus, cpu);

		if (!used && !count[DP_RECEIVED] && !count[DP_OBSERVED] &&
		    !count[DP_SENT])
			continue;
		json_array_append_new(
			cpus,
			json_pack("{s:i,s:b,s:I,s:I,s:I}", "cpu", (int)cpu,
				  "used", (int)used, "received",
				  (json_int_t)count[DP_RECEIVED], "observed",
				  (json_int_t)count[DP_OBSERVED], "sent",
				  (json_int_t)count[DP_SENT]));
	}
	return json_pack("{s:o,s:o}", "total", sums, "cpus", cpus);
}

json_t *core_datapath_status(struct core_datapath *dp)
{
	return json_pack(
		"{s:o,s:b,s:o,s:s,s:o,s:s,s:s,s:b,s:{s:i,s:i},s:o,s:o*}",
		"bypass", bypass_json(dp), "attached", (int)ports_attached(dp),
		"interfaces", interfaces_json(dp), "bridge",
		dp->stick		? "stick"
		: dp->topology.forwards ? "xdp"
					: "linux",
		"chains", chains_json(dp), "metadata",
		dp->core->settings.metadata, "tc_mode",
		dp->tcx ? "tcx" : "clsact", "steered", (int)dp->steered,
		"earlier_maps", "taken_over", (int)dp->adopted, "discarded",
		(int)dp->discarded, "counters", counters_json(dp), "flows",
		flows_json(dp));
}

/* ---- Columns ------------------------------------------------------------- */

struct counter_column {
	struct lqos_column decl;
	struct core_datapath *dp;
	enum dp_counter which;
};

static uint64_t read_counter(uint32_t id, void *arg)
{
	const struct counter_column *c = arg;
	uint64_t sum = 0;
	uint32_t cpu;

	(void)id;
	for (cpu = 0; cpu < c->dp->possible_cpus; cpu++)
		sum += c->dp->counters[cpu].count[c->which];
	return sum;
}

int datapath_add_columns(struct core_datapath *dp)
{
	struct counter_column *columns = calloc(DP_COUNTERS, sizeof(*columns));
	int i, rc;

	if (!columns)
		return -ENOMEM;
	rc = lqos_defer(dp->core->ctx, free, columns);
	for (i = 0; i < DP_COUNTERS && !rc; i++) {
		columns[i] = (struct counter_column){
			.decl = {.name = counters[i].name,
				 .title = counters[i].name,
				 .help = counters[i].help,
				 .kind = LQOS_COUNTER,
				 .unit = LQOS_UNIT_PACKETS,
				 .scope = LQOS_SCOPE_GLOBAL,
				 .flags = LQOS_COLUMN_DETAIL,
				 .read = read_counter},
			.dp = dp,
			.which = i,
		};
		rc = lqos_column_add(dp->core->ctx, &columns[i].decl,
				     &columns[i]);
	}
	return rc;
}
