/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which CPUs packets may be sent to: those online, but for what is excluded. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/core.h"

#define WHO "cpus"

struct core_cpus {
	char *sys;
	bool *unwanted; /* by the operator */
	bool *present;
	bool *online;
	bool efficiency; /* their cores are to be left alone */
	uint32_t possible;
	uint32_t *list;
	uint32_t n;
};

/* A list such as "0-3,8": 0, -EINVAL, or -ERANGE and the CPU in *bad. */
static int parse_list(const char *text, bool *set, uint32_t possible,
		      unsigned long *bad)
{
	unsigned long from, to;
	char *end;

	/* It was read: errno is not 0 where that has failed.
	 * NOLINTNEXTLINE(clang-analyzer-core.uninitialized.ArraySubscript) */
	while (isspace((unsigned char)*text))
		text++;
	while (*text) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (!isdigit((unsigned char)*text))
				return -EINVAL;
			to = strtoul(text, &end, 10);
		}
		if (to < from)
			return -EINVAL;
		for (; from <= to && from < possible; from++)
			set[from] = true;
		if (from <= to) {
			*bad = from;
			return -ERANGE;
		}
		while (isspace((unsigned char)*end))
			end++;
		if (*end && *end != ',')
			return -EINVAL;
		text = end + (*end == ',');
		while (isspace((unsigned char)*text))
			text++;
	}
	return 0;
}

static int read_text(const struct core_cpus *cpus, const char *name, char *text,
		     size_t size)
{
	autofclose FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cpus->sys, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(text, (int)size, f))
		return -ENODATA;
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int read_list(const struct core_cpus *cpus, const char *name, bool *set)
{
	char text[4096];
	unsigned long bad;
	int rc = read_text(cpus, name, text, sizeof(text));

	if (rc)
		return rc;
	memset(set, 0, cpus->possible * sizeof(*set));
	return parse_list(text, set, cpus->possible, &bad);
}

static unsigned long capacity(const struct core_cpus *cpus, uint32_t cpu)
{
	char name[64], text[32];

	snprintf(name, sizeof(name), "system/cpu/cpu%u/cpu_capacity", cpu);
	return read_text(cpus, name, text, sizeof(text))
		       ? 0
		       : strtoul(text, NULL, 10);
}

/* Intel lists them; on ARM they have less than two thirds of the capacity of
 * the largest. */
static void find_efficiency(const struct core_cpus *cpus, bool *set)
{
	unsigned long largest = 0, mine;
	uint32_t i;

	if (!read_list(cpus, "cpu_atom/cpus", set))
		return;
	memset(set, 0, cpus->possible * sizeof(*set));
	for (i = 0; i < cpus->possible; i++) {
		mine = capacity(cpus, i);
		largest = mine > largest ? mine : largest;
	}
	for (i = 0; i < cpus->possible; i++) {
		mine = capacity(cpus, i);
		set[i] = mine && 3 * mine < 2 * largest;
	}
}

static uint32_t fill_list(const struct core_cpus *cpus, const bool *slow,
			  uint32_t *list)
{
	uint32_t n = 0, i;

	for (i = 0; i < cpus->possible; i++)
		if (cpus->online[i] && !cpus->unwanted[i] && !(slow && slow[i]))
			list[n++] = i;
	return n;
}

/* -ENODATA: none of those online may be used. */
static int make_list(const struct core_cpus *cpus, uint32_t **out,
		     uint32_t *out_n)
{
	autofree uint32_t *list = calloc(cpus->possible, sizeof(*list));
	autofree bool *slow = calloc(cpus->possible, sizeof(*slow));
	uint32_t n = 0;

	if (!list || !slow)
		return -ENOMEM;
	if (cpus->efficiency) {
		find_efficiency(cpus, slow);
		n = fill_list(cpus, slow, list);
	}
	/* Slow ones are better than none. */
	n = n ?: fill_list(cpus, NULL, list);
	if (!n)
		return -ENODATA;
	*out = steal_ptr(list);
	*out_n = n;
	return 0;
}

static int read_unwanted(struct core_cpus *cpus, const char *exclude)
{
	char there[4096] = "none";
	unsigned long bad = 0;
	uint32_t i;
	int rc;

	rc = parse_list(exclude, cpus->unwanted, cpus->possible, &bad);
	if (rc == -EINVAL)
		return core_fail(WHO, rc,
				 "exclude_cpus is \"%s\"; expected numbers of "
				 "CPUs and ranges of them, such as 0,2-3",
				 exclude);
	(void)read_text(cpus, "system/cpu/present", there, sizeof(there));
	if (!rc && !read_list(cpus, "system/cpu/present", cpus->present))
		for (i = 0; i < cpus->possible && !rc; i++)
			if (cpus->unwanted[i] && !cpus->present[i]) {
				rc = -ERANGE;
				bad = i;
			}
	if (rc)
		return core_fail(WHO, rc,
				 "exclude_cpus is \"%s\", but there is no CPU "
				 "%lu; expected some of %s",
				 exclude, bad, there);
	return 0;
}

static int build(struct core_cpus *cpus, const char *exclude)
{
	char online[4096] = "none";
	int rc;

	rc = read_unwanted(cpus, exclude);
	if (rc)
		return rc;
	rc = read_list(cpus, "system/cpu/online", cpus->online);
	if (rc)
		return core_fail(WHO, rc,
				 "cannot read which CPUs are online in "
				 "%s/system/cpu/online",
				 cpus->sys);
	rc = make_list(cpus, &cpus->list, &cpus->n);
	if (rc != -ENODATA)
		return rc;
	(void)read_text(cpus, "system/cpu/online", online, sizeof(online));
	return core_fail(WHO, -EINVAL,
			 "exclude_cpus is \"%s\", and only %s are online: "
			 "expected at least one of them to be left",
			 exclude, online);
}

int core_cpus_new(struct core_cpus **out, const char *sys, uint32_t possible,
		  const char *exclude, bool efficiency)
{
	CORE_CLEANUP(core_cpus_free) struct core_cpus *cpus = NULL;
	int rc;

	cpus = calloc(1, sizeof(*cpus));
	if (!cpus)
		return -ENOMEM;
	cpus->possible = possible;
	cpus->efficiency = efficiency;
	cpus->sys = strdup(sys);
	cpus->unwanted = calloc(possible, sizeof(*cpus->unwanted));
	cpus->present = calloc(possible, sizeof(*cpus->present));
	cpus->online = calloc(possible, sizeof(*cpus->online));
	if (!cpus->sys || !cpus->unwanted || !cpus->present || !cpus->online)
		return -ENOMEM;
	rc = build(cpus, exclude);
	if (rc)
		return rc;
	*out = steal_ptr(cpus);
	return 0;
}

int core_cpus_open(struct core_cpus **out, const struct core_settings *set)
{
	int n = libbpf_num_possible_cpus();

	if (n < 0)
		return core_fail(WHO, n, "cannot count the possible CPUs");
	n = core_cpus_new(out, "/sys/devices", (uint32_t)n, set->exclude_cpus,
			  set->exclude_efficiency_cores);
	return n == -ENOMEM ? core_fail(WHO, n, "cannot look at the CPUs") : n;
}

void core_cpus_free(struct core_cpus **out)
{
	struct core_cpus *cpus = *out;

	if (!cpus)
		return;
	free(cpus->sys);
	free(cpus->unwanted);
	free(cpus->present);
	free(cpus->online);
	free(cpus->list);
	free(cpus);
	*out = NULL;
}

uint32_t core_cpus_list(const struct core_cpus *cpus, const uint32_t **list)
{
	*list = cpus->list;
	return cpus->n;
}

static bool is_in(uint32_t cpu, const uint32_t *list, uint32_t n)
{
	while (n)
		if (list[--n] == cpu)
			return true;
	return false;
}

bool core_cpus_has(const struct core_cpus *cpus, uint32_t cpu)
{
	return is_in(cpu, cpus->list, cpus->n);
}

const char *core_cpus_unused(const struct core_cpus *cpus, uint32_t cpu)
{
	if (cpu >= cpus->possible || !cpus->present[cpu] ||
	    core_cpus_has(cpus, cpu))
		return NULL;
	if (cpus->unwanted[cpu])
		return "excluded by exclude_cpus";
	return cpus->online[cpu] ? "an efficiency core, which "
				   "exclude_efficiency_cores leaves out"
				 : "offline";
}

static void say_changes(const struct core_cpus *cpus, const bool *online)
{
	uint32_t i;

	for (i = 0; i < cpus->possible; i++)
		if (online[i] != cpus->online[i])
			core_log(WHO, LQOS_WARN, "CPU %u is %s", i,
				 online[i] ? "online again" : "offline");
}

void core_cpus_look(struct core_cpus *cpus, void (*fn)(uint32_t cpu, void *arg),
		    void *arg)
{
	size_t size = cpus->possible * sizeof(*cpus->online);
	autofree uint32_t *before = NULL;
	autofree bool *was = malloc(size), *now = malloc(size);
	uint32_t n_before = cpus->n, i;

	if (!was || !now || read_list(cpus, "system/cpu/online", now) ||
	    !memcmp(now, cpus->online, size))
		return;
	say_changes(cpus, now);
	memcpy(was, cpus->online, size);
	memcpy(cpus->online, now, size);
	before = cpus->list;
	if (make_list(cpus, &cpus->list, &cpus->n)) {
		(void)steal_ptr(before); /* it stays the list */
		return;
	}
	for (i = 0; i < cpus->n; i++)
		if (!was[cpus->list[i]] ||
		    !is_in(cpus->list[i], before, n_before))
			fn(cpus->list[i], arg);
}
