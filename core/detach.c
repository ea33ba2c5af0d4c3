/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl detach - removes all that lqosd leaves in the kernel when it dies,
 * and puts back what it changed: as a start with no interfaces and a clean stop
 * would.
 */
#include <string.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/local.h"

struct detach {
	struct local local;
	struct core_datapath dp; /* of no interface: all others are left */
	int lock;
	bool live; /* a daemon runs, and we were forced */
	char interfaces[1024];
};

/* Nobody may start meanwhile. */
static int take_lock(struct detach *d, bool force)
{
	const char *run_dir = d->local.core.settings.run_dir;
	char who[32] = "";
	pid_t pid = 0;
	int rc = core_lock_take_left(&d->lock, run_dir, &pid);

	if (!rc || rc == -ENOENT)
		return 0;
	d->live = rc == -EBUSY;
	if (d->live && force)
		return 0;
	if (pid)
		snprintf(who, sizeof(who), " (pid %d)", (int)pid);
	if (d->live)
		local_fail("lqosd%s runs: stop it, which detaches all by "
			   "itself (systemctl stop lqosd), or use --force",
			   who);
	else
		local_fail("cannot lock %s/lock: %s", run_dir, strerror(-rc));
	return rc;
}

static bool add_name(const char *interface, void *arg)
{
	struct detach *d = arg;
	size_t n = strlen(d->interfaces);

	snprintf(d->interfaces + n, sizeof(d->interfaces) - n, "%s%s",
		 n ? ", " : "", interface);
	return false;
}

/* Links go first, while the maps they run on are there. */
static int take_off(struct detach *d, bool force)
{
	const struct core_settings *set = &d->local.core.settings;
	int rc = pins_open_left(&d->dp.pins, set->pin_dir, force);

	if (rc == -EBUSY)
		return local_fail("a lqosd with another run_dir keeps its pins "
				  "in %s: name its configuration with -c, or "
				  "use --force",
				  set->pin_dir),
		       rc;
	if (rc && rc != -ENOENT)
		return local_fail("cannot open %s: %s", set->pin_dir,
				  strerror(-rc)),
		       rc;
	rc = restore_open(&d->dp.restore, set->run_dir);
	if (rc)
		return rc;
	d->dp.core = &d->local.core;
	restore_each(d->dp.restore, add_name, d);
	datapath_leave_others(&d->dp);
	core_pins_close(&d->dp.pins);
	if (!d->live)
		restore_done(d->dp.restore);
	restore_free(&d->dp.restore);
	return 0;
}

/* What a daemon that runs still needs stays. */
static void remove_files(const struct detach *d)
{
	static const char *const files[] = {"bus", "mappings"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(files) && !d->live; i++) {
		snprintf(path, sizeof(path), "%s/%s",
			 d->local.core.settings.run_dir, files[i]);
		if (unlink(path) && errno != ENOENT)
			local_fail("cannot remove %s: %s", path,
				   strerror(errno));
	}
}

/* Filters whose notes are lost could be another daemon's: only named. */
static void name_filters(void)
{
	struct if_nameindex *all = if_nameindex(), *i;

	for (i = all; i && i->if_index; i++)
		for (enum hook hook = HOOK_OUT; hook <= HOOK_IN; hook++)
			if (clsact_program(i->if_index, hook))
				printf("%s: a filter of lqosd's is left, of "
				       "which nothing is noted; unless another "
				       "lqosd's: tc filter del dev %s %s\n",
				       i->if_name, i->if_name,
				       hook == HOOK_IN ? "ingress" : "egress");
	if_freenameindex(all);
}

static int tell(const struct detach *d, const struct local_pin_counts *before)
{
	const char *pin_dir = d->local.core.settings.pin_dir;
	struct local_pin_counts left;

	local_count_pins(pin_dir, &left);
	printf("removed %u links and %u maps (%.1f MiB) from %s\n",
	       before->links - left.links, before->maps - left.maps,
	       (double)(before->bytes - left.bytes) / (1 << 20), pin_dir);
	if (*d->interfaces)
		printf("put back as it was: %s\n", d->interfaces);
	name_filters();
	if (left.links || left.maps)
		return local_fail("%u links and %u maps are left in %s: see "
				  "`lqosctl pins`",
				  left.links, left.maps, pin_dir);
	return EXIT_SUCCESS;
}

static int detach(struct detach *d, bool force)
{
	struct local_pin_counts before;

	if (take_lock(d, force))
		return EXIT_FAILURE;
	local_count_pins(d->local.core.settings.pin_dir, &before);
	if (before.elsewhere && !force)
		return local_fail("%u links are on interfaces of another "
				  "network namespace, with filters that can "
				  "only be removed there: nsenter "
				  "--net=/run/netns/NAME lqosctl detach",
				  before.elsewhere);
	if (take_off(d, force))
		return EXIT_FAILURE;
	remove_files(d);
	if (!before.links && !before.maps && !*d->interfaces) {
		printf("nothing of lqosd's is in %s or on an interface\n",
		       d->local.core.settings.pin_dir);
		name_filters();
		return EXIT_SUCCESS;
	}
	return tell(d, &before);
}

int local_detach(const struct local_options *o)
{
	struct detach d = {.lock = -1};
	int rc;

	local_log(!o->verbose);
	if (geteuid())
		return local_fail("only root may detach: use sudo");
	if (local_open(&d.local, o))
		return local_fail("its directories are not known: correct the "
				  "file, or give -c /dev/null for the usual "
				  "ones");
	rc = detach(&d, o->force);
	if (d.lock >= 0)
		close(d.lock);
	local_close(&d.local);
	return rc;
}
