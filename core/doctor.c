/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor - what is wrong on this machine, and what to type. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/doctor.h"

static const struct doctor_check checks[] = {
	{"rights", doctor_rights, NULL},
	{"kernel", doctor_kernel, NULL},
	{"bpffs", doctor_bpffs, NULL},
	{"jit", doctor_jit, NULL},
	{"clocksource", doctor_clocksource, NULL},
	{"governor", doctor_governor, NULL},
	{"irqbalance", doctor_irqbalance, NULL},
	{"memory", doctor_memory, NULL},
	{"limits", doctor_limits, NULL},
	{"netfilter", doctor_netfilter, NULL},
	{"libreqos", doctor_libreqos, NULL},
	{"daemon", doctor_daemon, NULL},
	{"subscribers", doctor_subscribers, NULL},
	{"bypass", doctor_bypass, NULL},
	{"losses", doctor_losses, NULL},
	{"interface", NULL, doctor_interface},
	{"mtu", NULL, doctor_mtu},
	{"queues", NULL, doctor_queues},
	{"offloads", NULL, doctor_offloads},
	{"xdp", NULL, doctor_xdp},
	{"filter", NULL, doctor_filter},
	{"tree", NULL, doctor_tree},
	{"xps", NULL, doctor_xps},
	{"interrupts", NULL, doctor_interrupts},
	{"bridge", NULL, doctor_bridge},
	{"direction", NULL, doctor_direction},
	{},
};

const struct doctor_check *doctor_checks(void)
{
	return checks;
}

/* ---- Findings ------------------------------------------------------------ */

static void say(struct doctor *d, const char *level, const char *fmt,
		va_list ap) LQOS_PRINTF(3, 0);
static void say(struct doctor *d, const char *level, const char *fmt,
		va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	d->last = json_pack("{s:s,s:s*,s:s,s:s,s:[]}", "check", d->check,
			    "interface", d->interface, "level", level, "text",
			    text, "commands");
	json_array_append_new(d->findings, d->last);
}

void doctor_ok(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, "ok", fmt, ap);
	va_end(ap);
	d->ok++;
}

void doctor_warn(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, "warn", fmt, ap);
	va_end(ap);
	d->warned++;
}

void doctor_fail(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, "FAIL", fmt, ap);
	va_end(ap);
	d->failed++;
}

void doctor_type(struct doctor *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(json_object_get(d->last, "commands"),
			      json_string(text));
}

/* ---- Files --------------------------------------------------------------- */

int doctor_read(int dir, char *out, size_t size, const char *fmt, ...)
{
	autoclose int fd = -1;
	char path[PATH_MAX];
	ssize_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

long doctor_number(int dir, const char *fmt, ...)
{
	char path[PATH_MAX], text[64], *end;
	va_list ap;
	long value;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (doctor_read(dir, text, sizeof(text), "%s", path))
		return -1;
	value = strtol(text, &end, 0);
	return end == text ? -1 : value;
}

int doctor_link(int dir, char *out, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	n = readlinkat(dir, path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	last = strrchr(target, '/');
	snprintf(out, size, "%s", last ? last + 1 : target);
	return 0;
}

bool doctor_each(int dir, const char *path,
		 bool (*fn)(struct doctor *d, const char *name, void *arg),
		 struct doctor *d, void *arg)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	if (!entries) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (entry = readdir(entries)))
		found = entry->d_name[0] != '.' && fn(d, entry->d_name, arg);
	closedir(entries);
	return found;
}

bool doctor_steers(const struct doctor *d)
{
	const json_t *steered = json_object_get(d->status, "steered");

	return steered ? json_is_true(steered)
		       : strstr(d->settings->modules, "steering") != NULL;
}

void doctor_run(struct doctor *d, const struct doctor_check *check)
{
	for (; check->name; check++) {
		d->check = check->name;
		d->interface = NULL;
		if (check->run)
			check->run(d);
		for (uint32_t i = 0; i < d->topology.n_ports; i++) {
			const struct doctor_port *p = &d->ports[i];

			d->interface = p->port->name;
			/* Of one that is not there that is all to say. */
			if (check->run_port &&
			    (p->ifindex || check->run_port == doctor_interface))
				check->run_port(d, p);
		}
	}
	d->check = d->interface = NULL;
}

/* ---- The command --------------------------------------------------------- */

/* What the configuration's reader complains of is a finding as well. */
static void config_line(enum lqos_level level, const char *line, void *arg)
{
	struct doctor *d = arg;
	const char *text = strstr(line, ": ");

	if (level == LQOS_ERR)
		doctor_fail(d, "%s", text ? text + 2 : line);
	else if (level == LQOS_WARN)
		doctor_warn(d, "%s", text ? text + 2 : line);
}

static int configure(struct doctor *d, struct local *l,
		     const struct local_options *o)
{
	const struct local_options defaults = {.config = "/dev/null"};
	bool broken;

	d->check = "config";
	core_log_sink(config_line, d);
	broken = local_open(l, o);
	if (broken) {
		doctor_type(d, "lqosd -t -c %s", l->config_path);
		if (local_open(l, &defaults))
			return -EINVAL;
	}
	d->config = l->config_path;
	d->interfaces_given = o->interfaces;
	d->settings = &l->core.settings;
	if (!broken &&
	    (*d->settings->to_internet || *d->settings->to_subscribers))
		broken = core_topology_read(&d->topology, d->settings);
	if (!broken && !d->topology.n_ports) {
		doctor_fail(d,
			    "no interface is configured: set to_internet and "
			    "to_subscribers in %s, or give -i IF,IF",
			    l->config_path);
		doctor_type(d, "ip -br link");
	} else if (!broken) {
		doctor_ok(d,
			  l->config_found ? "%s makes sense"
					  : "no %s: defaults",
			  l->config_path);
	}
	core_log_sink(NULL, NULL);
	local_log(true);
	return 0;
}

static int examine(struct doctor *d, struct local *l,
		   const struct local_options *o)
{
	if (configure(d, l, o))
		return local_fail("cannot read %s", l->config_path);
	d->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	d->sys = interface_sysfs();
	if (d->proc < 0 || d->sys < 0)
		return local_fail("cannot open /proc and /sys: %s",
				  strerror(errno));
	doctor_gather(d);
	doctor_run(d, checks);
	if (doctor_print(d, o))
		return local_fail("cannot print what was found");
	return d->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int local_doctor(const struct local_options *o)
{
	struct doctor *d;
	struct local l = {};
	int rc;

	if (o->interfaces && !core_interfaces_are_valid(o->interfaces))
		return local_fail("-i is \"%s\"; expected one interface, or "
				  "two different ones as in eth0,eth1",
				  o->interfaces);
	d = calloc(1, sizeof(*d));
	if (!d)
		return local_fail("out of memory");
	d->proc = d->sys = -1;
	d->findings = json_array();
	rc = examine(d, &l, o);
	if (d->proc >= 0)
		close(d->proc);
	if (d->sys >= 0)
		close(d->sys);
	json_decref(d->findings);
	json_decref(d->status);
	local_close(&l);
	free(d);
	return rc;
}
