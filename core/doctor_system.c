/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: the machine as a whole. */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/doctor.h"

void doctor_rights(struct doctor *d)
{
	if (d->root) {
		doctor_ok(d, "root");
		return;
	}
	doctor_warn(d, "not root: neither the kernel nor what is attached to "
		       "the interfaces can be looked at");
	doctor_type(d, "sudo lqosctl doctor");
}

void doctor_kernel(struct doctor *d)
{
	const struct doctor_probe *probe;
	unsigned int cannot = 0, unsure = 0;
	struct utsname name;

	if (uname(&name))
		strcpy(name.release, "?");
	for (probe = d->probes; probe && probe->what; probe++) {
		int rc = d->root ? probe->run() : -EPERM;

		if (rc < 0) {
			unsure++;
		} else if (!rc && probe->without) {
			doctor_warn(d,
				    "Linux %s has no %s, which came with %s: "
				    "%s",
				    name.release, probe->what, probe->since,
				    probe->without);
			cannot++;
		} else if (!rc) {
			doctor_fail(d,
				    "Linux %s has no %s, without which lqosd "
				    "does not run: install %s or later, built "
				    "with BPF",
				    name.release, probe->what, probe->since);
			cannot++;
		}
	}
	if (cannot)
		return;
	if (unsure && d->root)
		doctor_warn(d,
			    "Linux %s does not let us find out what it can do "
			    "(no CAP_BPF, or a locked-down kernel)",
			    name.release);
	else
		doctor_ok(d, "Linux %s%s", name.release,
			  unsure ? "" : " has all that is needed");
}

void doctor_bpffs(struct doctor *d)
{
	struct statfs fs;
	struct stat st;

	if (!statfs(d->bpffs, &fs) && fs.f_type == BPF_FS_MAGIC) {
		if (stat(d->bpffs, &st) || !(st.st_mode & 022)) {
			doctor_ok(d, "mounted at %s", d->bpffs);
			return;
		}
		doctor_warn(d,
			    "others than root can make files in %s, and so "
			    "write any map that they may read: lqosctl exec "
			    "and map are for root alone until that is changed",
			    d->bpffs);
		doctor_type(d, "chmod 0700 %s", d->bpffs);
		return;
	}
	doctor_warn(d,
		    "no BPF file system at %s: lqosd mounts one, but inside "
		    "systemd's or a container's mount namespace nobody else "
		    "will see it",
		    d->bpffs);
	doctor_type(d, "mount -t bpf -o mode=0700 bpf %s", d->bpffs);
}

/* In other network namespaces than the first there are no such files. */
void doctor_jit(struct doctor *d)
{
	long harden = doctor_number(d->proc, "sys/net/core/bpf_jit_harden");

	if (!d->jited) {
		doctor_fail(d, "BPF is interpreted, not compiled: each packet "
			       "costs several times as much");
		doctor_type(d, "sysctl -w net.core.bpf_jit_enable=1");
	} else if (harden > 1) {
		doctor_warn(d, "compiled BPF is hardened for root, too "
			       "(bpf_jit_harden = 2), which makes programs "
			       "slower");
		doctor_type(d, "sysctl -w net.core.bpf_jit_harden=1");
	} else {
		doctor_ok(d, "%s",
			  d->jited > 0 ? "BPF is compiled" : "for root only");
	}
}

#define CLOCKS "devices/system/clocksource/clocksource0/"

void doctor_clocksource(struct doctor *d)
{
	static const char *const slow[] = {"hpet", "acpi_pm", "jiffies",
					   "refined-jiffies", "pit"};
	char now[64], can[256];
	size_t i;

	if (doctor_read(d->sys, now, sizeof(now),
			CLOCKS "current_clocksource")) {
		doctor_ok(d, "this kernel has no choice of clocks");
		return;
	}
	now[strcspn(now, " ")] = '\0';
	for (i = 0; i < ARRAY_SIZE(slow) && strcmp(now, slow[i]); i++)
		;
	if (i == ARRAY_SIZE(slow)) {
		doctor_ok(d, "%s", now);
		return;
	}
	if (doctor_read(d->sys, can, sizeof(can),
			CLOCKS "available_clocksource"))
		can[0] = '\0';
	doctor_warn(d,
		    "%s: reading the time, which happens for packets, takes "
		    "microseconds in place of nanoseconds",
		    now);
	if (strstr(can, "tsc"))
		doctor_type(d, "echo tsc >/sys/" CLOCKS "current_clocksource");
	else
		doctor_type(d, "dmesg | grep -i -e tsc -e clocksource");
}

static bool is_cpu_slow(struct doctor *d, const char *name, void *arg)
{
	char governor[32];

	if (strncmp(name, "cpu", 3) || !isdigit((unsigned char)name[3]) ||
	    doctor_read(d->sys, governor, sizeof(governor),
			"devices/system/cpu/%s/cpufreq/scaling_governor", name))
		return false;
	snprintf(arg, 32, "%s", governor);
	return strcmp(governor, "performance") != 0;
}

void doctor_governor(struct doctor *d)
{
	char governor[32] = "";

	if (!doctor_each(d->sys, "devices/system/cpu", is_cpu_slow, d,
			 governor)) {
		doctor_ok(d, "%s",
			  *governor ? governor
				    : "the CPUs' frequency is not Linux's");
		return;
	}
	doctor_warn(d,
		    "a CPU's frequency is governed by \"%s\": packets wait "
		    "while it speeds up",
		    governor);
	doctor_type(d, "cpupower frequency-set -g performance");
}

/* ---- Processes ----------------------------------------------------------- */

struct search {
	const char *name;
	const char *exe; /* part of its path; NULL: any */
	pid_t pid;
};

static bool is_process(struct doctor *d, const char *pid, void *arg)
{
	struct search *search = arg;
	char name[32], exe[PATH_MAX];
	char path[64];
	ssize_t n;

	if (!isdigit((unsigned char)*pid) ||
	    doctor_read(d->proc, name, sizeof(name), "%s/comm", pid) ||
	    strcmp(name, search->name))
		return false;
	if (search->exe) {
		snprintf(path, sizeof(path), "%.16s/exe", pid);
		n = readlinkat(d->proc, path, exe, sizeof(exe) - 1);
		exe[n > 0 ? n : 0] = '\0';
		if (!strcasestr(exe, search->exe))
			return false;
	}
	search->pid = atoi(pid);
	return true;
}

void doctor_irqbalance(struct doctor *d)
{
	struct search search = {.name = "irqbalance"};

	if (!doctor_each(d->proc, ".", is_process, d, &search)) {
		doctor_ok(d, "does not run");
		return;
	}
	doctor_warn(d,
		    "it runs (pid %d), and moves the interfaces' interrupts "
		    "from CPU to CPU under lqosd",
		    (int)search.pid);
	doctor_type(d, "systemctl disable --now irqbalance");
}

void doctor_libreqos(struct doctor *d)
{
	struct search search = {.name = "lqosd", .exe = "libreqos"};
	unsigned int pins = local_count_libreqos(d->bpffs);

	if (doctor_each(d->proc, ".", is_process, d, &search)) {
		doctor_fail(d,
			    "LibreQoS's lqosd (pid %d) runs: it takes our "
			    "programs off the interfaces",
			    (int)search.pid);
		doctor_type(d, "systemctl disable --now lqos_scheduler");
		doctor_type(d, "kill %d", (int)search.pid);
	} else if (pins) {
		doctor_warn(d,
			    "%u maps of LibreQoS are still pinned in %s and "
			    "take memory",
			    pins, d->bpffs);
		doctor_type(d, "remove_pinned_maps.sh");
	} else {
		doctor_ok(d, "not here");
	}
}

/* ---- Memory and limits --------------------------------------------------- */

static int read_meminfo(struct doctor *d, uint64_t *available)
{
	autofclose FILE *f = NULL;
	int fd = openat(d->proc, "meminfo", O_RDONLY | O_CLOEXEC);
	unsigned long long kib;
	char line[128];

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1) {
			*available = kib * 1024;
			return 0;
		}
	return -ENODATA;
}

/* A subscriber is a row in the registry and in each module's arrays, a prefix
 * a node in a trie and in the registry. */
enum { SUBSCRIBER_BYTES = 1024, PREFIX_BYTES = 320 };

void doctor_memory(struct doctor *d)
{
	const struct core_settings *s = d->settings;
	uint64_t available = 0, wanted;

	wanted = (uint64_t)s->max_subscribers * SUBSCRIBER_BYTES +
		 (uint64_t)s->max_prefixes * PREFIX_BYTES +
		 (uint64_t)s->lookup_cache * d->cpus * sizeof(struct dp_cached);
	if (read_meminfo(d, &available)) {
		doctor_ok(d, "%" PRIu64 " MiB are wanted at most",
			  wanted >> 20);
		return;
	}
	if (d->daemon || wanted < available / 2) {
		doctor_ok(d,
			  "%" PRIu64 " MiB are free, at most %" PRIu64
			  " are wanted",
			  available >> 20, wanted >> 20);
		return;
	}
	doctor_fail(
		d,
		"%" PRIu64 " MiB are free, and max_subscribers = %u, "
		"max_prefixes = %u and lookup_cache = %u want up to %" PRIu64
		": lower them in %s",
		available >> 20, s->max_subscribers, s->max_prefixes,
		s->lookup_cache, wanted >> 20, d->config);
}

/* The hard limit of open files, in the kernel's table of a process. */
static long files_limit(struct doctor *d)
{
	char path[32] = "self/limits", line[256];
	autofclose FILE *f = NULL;
	long limit;
	int fd;

	if (d->daemon)
		snprintf(path, sizeof(path), "%d/limits", (int)d->daemon);
	fd = openat(d->proc, path, O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Max open files %*s %ld", &limit) == 1)
			return limit;
	return -1;
}

void doctor_limits(struct doctor *d)
{
	long files = files_limit(d);

	if (files < 0 || files >= CORE_BUS_CLIENTS_MAX * 2) {
		doctor_ok(d, "enough files may be open");
		return;
	}
	doctor_warn(d,
		    "%s may open %ld files only, too few for %d clients of "
		    "the bus and the maps",
		    d->daemon ? "lqosd" : "a process of yours", files,
		    CORE_BUS_CLIENTS_MAX);
	doctor_type(d, "systemctl edit lqosd    # [Service] LimitNOFILE=65536");
}

void doctor_netfilter(struct doctor *d)
{
	static const char *const tables[] = {"iptables", "ip6tables",
					     "arptables"};
	char names[128] = "", command[256] = "sysctl -w";
	size_t i;

	/* lqosd's own bridge is in front of all that. */
	for (i = 0; i < ARRAY_SIZE(tables) && !d->topology.forwards; i++) {
		if (doctor_number(d->proc, "sys/net/bridge/bridge-nf-call-%s",
				  tables[i]) <= 0)
			continue;
		strcat(strcat(names, *names ? ", " : ""), tables[i]);
		snprintf(command + strlen(command),
			 sizeof(command) - strlen(command),
			 " net.bridge.bridge-nf-call-%s=0", tables[i]);
	}
	if (!*names) {
		doctor_ok(d, "bridged packets do not go through it");
		return;
	}
	doctor_warn(d,
		    "each bridged packet goes through %s (br_netfilter): "
		    "slow, and a rule there can drop it",
		    names);
	doctor_type(d, "%s", command);
}
