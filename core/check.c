/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be told to be wrong before anything is touched. */
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"

#define SELF	     "core"

#define CAP_BIT(cap) (1ULL << (cap))

int core_check_settings(const struct core_settings *s)
{
	const char *const dirs[] = {s->run_dir, s->pin_dir};
	CORE_CLEANUP(core_cpus_free) struct core_cpus *cpus = NULL;
	struct core_topology topology;
	int rc = core_cpus_open(&cpus, s) ? -EINVAL : 0;

	rc = core_topology_read(&topology, s) ?: rc;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (*dirs[i] == '/')
			continue;
		core_log(SELF, LQOS_ERR,
			 "%s is \"%s\": expected a path from the root, "
			 "beginning with /",
			 i ? "pin_dir" : "run_dir", dirs[i]);
		rc = -EINVAL;
	}
	return rc;
}

int core_check_rights(void)
{
	autofclose FILE *f = fopen("/proc/self/status", "re");
	uint64_t has = ~0ULL;
	char line[256];
	bool bpf;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %" SCNx64, &has) == 1)
			break;
	bpf = (has & CAP_BIT(CAP_BPF) && has & CAP_BIT(CAP_PERFMON)) ||
	      has & CAP_BIT(CAP_SYS_ADMIN);
	if (bpf && has & CAP_BIT(CAP_NET_ADMIN))
		return 0;
	core_log(SELF, LQOS_ERR,
		 "root, but without the capability %s: give it (systemd: "
		 "CapabilityBoundingSet=)",
		 bpf ? "CAP_NET_ADMIN"
		     : "to load BPF (CAP_BPF and CAP_PERFMON, or "
		       "CAP_SYS_ADMIN)");
	return -EPERM;
}
