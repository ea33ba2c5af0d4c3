/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * adopt.c - the maps that an earlier run left pinned, taken over with what is
 * in them where they are just what this run would make.
 *
 * They are shared with the programs of that run, which go on until ours take
 * their place, and for good if this start fails.  So nothing may be changed in
 * them before all is attached.
 */
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/layout.h"

#include "bpf/datapath.skel.h"

#define WHO "datapath"

/* As far as the kernel keeps it.  libbpf would go on with the pin's. */
static bool same_name(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       !strncmp(info.name, bpf_map__name(map), sizeof(info.name) - 1);
}

/* The pin of map, if it fits; else -errno and why.  -ENOENT: there is none. */
static int open_fitting(const struct pins *pins, const char *module,
			const struct bpf_object *obj, const struct bpf_map *map,
			char *why, size_t size)
{
	autoclose int fd = pins_open_map(pins, module, bpf_map__name(map));

	if (fd < 0) {
		snprintf(why, size, "it cannot be opened: %s", strerror(-fd));
		return fd;
	}
	if (!layout_fits(fd, obj, map, why, size))
		return -EPROTO;
	if (!same_name(fd, map)) {
		snprintf(why, size, "it is another map");
		return -EPROTO;
	}
	return steal_fd(&fd);
}

static int read_record(struct core *core, int fd)
{
	uint32_t slots = core->settings.max_subscribers + 1;
	size_t len = slots * sizeof(struct dp_circuit);
	void *record = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	int rc;

	if (record == MAP_FAILED)
		return -errno;
	rc = core_slots_remember(core_registry_slots(core->registry), record);
	munmap(record, len);
	return rc;
}

int core_datapath_remember(struct core *core)
{
	struct datapath_bpf *skel;
	autoclose int fd = -1;
	char why[128];
	int rc;

	if (!pins_earlier(core->pins))
		return 0;
	skel = datapath_bpf__open();
	if (!skel)
		return core_fail(WHO, -errno, "cannot open its BPF object");
	rc = bpf_map__set_max_entries(skel->maps.dp_circuits,
				      core->settings.max_subscribers + 1);
	if (!rc) {
		fd = open_fitting(core->pins, DATAPATH_WHO, skel->obj,
				  skel->maps.dp_circuits, why, sizeof(why));
		if (fd >= 0)
			rc = read_record(core, fd);
	}
	datapath_bpf__destroy(skel);
	if (rc)
		return core_fail(WHO, rc, "cannot read dp_circuits");
	if (fd < 0)
		core_log(WHO, LQOS_WARN,
			 "dp_circuits, which tells whose the earlier run's "
			 "slots are, is not as expected (%s): none of its maps "
			 "is taken over, and all counters begin at 0",
			 why);
	return 0;
}

/* Other types hold programs, sockets and the like, or cannot be compared; what
 * programs may only read is there for this run's settings. */
static bool may_be_adopted(const struct bpf_object *obj,
			   const struct bpf_map *map)
{
	if (bpf_map__is_internal(map) || !bpf_map__autocreate(map) ||
	    bpf_map__fd(map) >= 0 ||
	    bpf_map__map_flags(map) & BPF_F_RDONLY_PROG)
		return false;
	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		return !layout_has_tag(obj, map, LAYOUT_FRESH);
	default:
		return false;
	}
}

void datapath_adopt_maps(struct core_datapath *dp, const char *module,
			 struct bpf_object *obj)
{
	struct bpf_map *map;
	char why[128];
	int rc;

	if (!dp->adopts)
		return;
	bpf_object__for_each_map(map, obj) {
		autoclose int fd = -1;

		if (!may_be_adopted(obj, map))
			continue;
		fd = open_fitting(dp->pins, module, obj, map, why, sizeof(why));
		if (fd == -ENOENT)
			continue;
		if (fd >= 0) {
			rc = bpf_map__reuse_fd(map, fd);
			if (!rc) {
				dp->adopted++;
				continue;
			}
			snprintf(why, sizeof(why), "it cannot be used: %s",
				 strerror(-rc));
		}
		dp->discarded++;
		core_log(WHO, LQOS_WARN,
			 "%s/%s of the earlier run is discarded: %s", module,
			 bpf_map__name(map), why);
	}
}

/* ---- Whose a slot is ----------------------------------------------------- */

/* Arrays with an entry a slot. */
static void clear_in(const struct core_datapath *dp,
		     const struct bpf_object *obj, uint32_t slot)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		bool percpu = bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY;
		size_t size = (bpf_map__value_size(map) + 7) / 8 * 8;
		autofree void *zeros = NULL;

		if ((bpf_map__type(map) != BPF_MAP_TYPE_ARRAY && !percpu) ||
		    bpf_map__is_internal(map) || bpf_map__fd(map) < 0 ||
		    bpf_map__max_entries(map) !=
			    dp->core->settings.max_subscribers + 1)
			continue;
		zeros = calloc(percpu ? dp->possible_cpus : 1, size);
		if (!zeros ||
		    bpf_map_update_elem(bpf_map__fd(map), &slot, zeros, 0))
			core_fail(WHO, zeros ? -errno : -ENOMEM,
				  "%s: slot %u begins with the counts of its "
				  "owner before",
				  bpf_map__name(map), slot);
	}
}

static void on_clear(uint32_t slot, void *arg)
{
	const struct core_datapath *dp = arg;
	const struct datapath_object *object;

	clear_in(dp, dp->obj, slot);
	for (object = dp->objects; object; object = object->next)
		clear_in(dp, object->obj, slot);
}

static void on_kept(uint32_t slot, void *arg)
{
	const struct core_datapath *dp = arg;

	core_metrics_slot_resume(dp->core->metrics, slot);
}

int datapath_connect_slots(struct core_datapath *dp)
{
	struct core_slots_kernel kernel = {
		.clear = on_clear, .kept = on_kept, .arg = dp};
	void *view;
	int rc;

	rc = lqos_map_view(dp->core->ctx,
			   bpf_map__fd(dp->skel->maps.dp_circuits), &view);
	if (rc)
		return rc;
	kernel.record = view;
	core_slots_connect(core_registry_slots(dp->core->registry), &kernel);
	/* Hosts that are nobody's have slot 0. */
	if (dp->adopts)
		on_kept(0, dp);
	return 0;
}
