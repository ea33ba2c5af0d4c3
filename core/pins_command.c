/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl pins - what is pinned in BPF file systems, and what is attached. */
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "core/cleanup.h"
#include "core/datapath.h"
#include "core/local.h"
#include "core/show.h"

#define BPFFS	  "/sys/fs/bpf"
#define ELSEWHERE "elsewhere" /* in another network namespace */

/* What LibreQoS 1.4 to 2.2 pin, right in BPFFS. */
static const char *const libreqos[] = {
	"bifrost_interface_map",
	"bifrost_vlan_map",
	"cpu_map",
	"cpus_available",
	"flow_state",
	"flowbee",
	"heimdall",
	"heimdall_config",
	"heimdall_watching",
	"ip_mapping_epoch",
	"ip_to_cpu_and_tc_hotcache",
	"map_ip_to_cpu_and_tc",
	"map_ip_to_cpu_and_tc_recip",
	"map_traffic",
	"map_txq_config",
	"packet_ts",
	"rtt_tracker",
	"tc_classify_control",
};

/* ---- One pin ------------------------------------------------------------- */

enum kind { OTHER, MAP, LINK };

/* A descriptor of what is pinned at path, and what that is; -errno. */
static int open_pin(const char *path, enum kind *kind)
{
	char self[64], what[64];
	ssize_t n;
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, what, sizeof(what) - 1);
	what[n > 0 ? n : 0] = '\0';
	/* bpf-map, bpf_link, bpf-link: kernels differ. */
	*kind = strstr(what, "map") ? MAP : strstr(what, "link") ? LINK : OTHER;
	return fd;
}

/* What the kernel says it takes. */
static uint64_t memory_of(int fd)
{
	autofclose FILE *f = NULL;
	unsigned long long bytes;
	char line[128];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			return bytes;
	return 0;
}

static json_t *map_json(const char *module, const char *name, int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	const char *type;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return NULL;
	type = libbpf_bpf_map_type_str(info.type);
	return json_pack("{s:s*,s:s,s:s,s:i,s:i,s:I,s:i,s:I,s:I}", "module",
			 module, "map", name, "type", type ?: "unknown",
			 "key_size", (int)info.key_size, "value_size",
			 (int)info.value_size, "entries",
			 (json_int_t)info.max_entries, "flags",
			 (int)info.map_flags, "id", (json_int_t)info.id,
			 "bytes", (json_int_t)memory_of(fd));
}

static void program_name(uint32_t id, char *out, size_t size)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	autoclose int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		snprintf(out, size, "?");
	else
		snprintf(out, size, "%s", info.name);
}

static const char *xdp_mode(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query((int)ifindex, 0, &query))
		return "xdp";
	return query.attach_mode == XDP_ATTACHED_DRV ? "xdp native"
						     : "xdp generic";
}

/* The kernel tells an index only, which counts in the link's own network
 * namespace. */
static const char *interface_of(const struct attach_place *place, char *name)
{
	if (!place->ifindex)
		return "gone";
	return attach_is_here(place) == 1 &&
			       if_indextoname(place->ifindex, name)
		       ? name
		       : ELSEWHERE;
}

static json_t *link_json(const char *pin, int fd)
{
	char name[IF_NAMESIZE], program[BPF_OBJ_NAME_LEN];
	const char *interface = "-", *hook;
	struct attach_place place = {};
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return NULL;
	hook = libbpf_bpf_link_type_str(info.type) ?: "unknown";
	if (!attach_place(fd, &place)) {
		interface = interface_of(&place, name);
		hook = place.hook_name;
		if (place.hook == HOOK_XDP && interface == name)
			hook = xdp_mode(place.ifindex);
	}
	program_name(info.prog_id, program, sizeof(program));
	return json_pack("{s:s,s:s,s:s,s:I,s:s}", "interface", interface,
			 "hook", hook, "program", program, "program_id",
			 (json_int_t)info.prog_id, "pin", pin);
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* ---- All of a directory -------------------------------------------------- */

struct walk {
	json_t *maps, *links, *others;
};

static void add_pin(struct walk *w, const char *dir, const char *module,
		    const char *name)
{
	char path[PATH_MAX];
	enum kind kind = OTHER;
	autoclose int fd = -1;
	json_t *row = NULL;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return;
	fd = open_pin(path, &kind);
	if (fd >= 0 && kind == MAP)
		row = map_json(module, name, fd);
	else if (fd >= 0 && kind == LINK)
		row = link_json(name, fd);
	if (row)
		json_array_append_new(kind == MAP ? w->maps : w->links, row);
	else
		json_array_append_new(w->others, json_string(path));
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* fn for each entry of dir, by name. */
static void each_entry(const char *dir,
		       void (*fn)(struct walk *w, const char *dir,
				  const char *name, bool is_dir),
		       struct walk *w)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, not_hidden, alphasort);

	for (int i = 0; i < n; i++) {
		fn(w, dir, entries[i]->d_name, entries[i]->d_type == DT_DIR);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static void in_module(struct walk *w, const char *dir, const char *name,
		      bool is_dir)
{
	if (!is_dir)
		add_pin(w, dir, strrchr(dir, '/') + 1, name);
}

static void in_maps(struct walk *w, const char *dir, const char *name,
		    bool is_dir)
{
	char path[PATH_MAX];

	if (is_dir && snprintf(path, sizeof(path), "%s/%s", dir, name) <
			      (int)sizeof(path))
		each_entry(path, in_module, w);
}

static void in_links(struct walk *w, const char *dir, const char *name,
		     bool is_dir)
{
	if (!is_dir)
		add_pin(w, dir, NULL, name);
}

/* maps is what runs; maps_new and maps_old... are of runs that died over a
 * start. */
static void in_pin_dir(struct walk *w, const char *dir, const char *name,
		       bool is_dir)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return;
	if (is_dir && !strcmp(name, "links"))
		each_entry(path, in_links, w);
	else if (is_dir && !strncmp(name, "maps", 4))
		each_entry(path, in_maps, w);
	else
		json_array_append_new(w->others, json_string(path));
}

static uint64_t sum_bytes(const json_t *maps)
{
	const json_t *map;
	uint64_t sum = 0;
	size_t i;

	json_array_foreach(maps, i, map)
		sum += json_integer_value(json_object_get(map, "bytes"));
	return sum;
}

static void walk_pins(struct walk *w, const char *pin_dir)
{
	w->maps = json_array();
	w->links = json_array();
	w->others = json_array();
	each_entry(pin_dir, in_pin_dir, w);
}

void local_count_pins(const char *pin_dir, struct local_pin_counts *out)
{
	const json_t *link;
	struct walk w;
	size_t i;

	walk_pins(&w, pin_dir);
	out->elsewhere = 0;
	json_array_foreach(w.links, i, link)
		out->elsewhere +=
			!strcmp(text_of(link, "interface"), ELSEWHERE);
	out->maps = json_array_size(w.maps);
	out->links = json_array_size(w.links);
	out->bytes = sum_bytes(w.maps);
	json_decref(w.maps);
	json_decref(w.links);
	json_decref(w.others);
}

/* ---- Filters ------------------------------------------------------------- */

/* They are pinned nowhere, but belong to what is. */
static void add_filters(json_t *links)
{
	struct if_nameindex *all = if_nameindex(), *i;
	char program[BPF_OBJ_NAME_LEN];

	for (i = all; i && i->if_index; i++)
		for (enum hook hook = HOOK_OUT; hook <= HOOK_IN; hook++) {
			uint32_t id = clsact_program(i->if_index, hook);

			if (!id)
				continue;
			program_name(id, program, sizeof(program));
			json_array_append_new(
				links,
				json_pack("{s:s,s:s,s:s,s:I,s:n}", "interface",
					  i->if_name, "hook",
					  hook == HOOK_IN ? "tc ingress"
							  : "tc egress",
					  "program", program, "program_id",
					  (json_int_t)id, "pin"));
		}
	if_freenameindex(all);
}

/* ---- The command --------------------------------------------------------- */

static json_t *libreqos_json(void)
{
	struct walk w = {json_array(), json_array(), json_array()};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(libreqos); i++) {
		snprintf(path, sizeof(path), BPFFS "/%s", libreqos[i]);
		if (!access(path, F_OK))
			add_pin(&w, BPFFS, NULL, libreqos[i]);
	}
	json_decref(w.links);
	json_decref(w.others);
	return w.maps;
}

unsigned int local_count_libreqos(const char *bpffs)
{
	char path[PATH_MAX];
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(libreqos); i++) {
		snprintf(path, sizeof(path), "%s/%s", bpffs, libreqos[i]);
		n += !access(path, F_OK);
	}
	return n;
}

/* live: a daemon runs on it; left: of a run that died; none: there is none. */
static const char *run_of(const struct local *l, const struct walk *w,
			  pid_t *pid)
{
	*pid = core_lock_holder(l->core.settings.run_dir);
	if (*pid)
		return "live";
	return json_array_size(w->maps) || json_array_size(w->links) ? "left"
								     : "none";
}

static json_t *pins_json(const struct local *l)
{
	const char *pin_dir = l->core.settings.pin_dir;
	struct walk w;
	const char *run;
	pid_t pid;

	walk_pins(&w, pin_dir);
	run = run_of(l, &w, &pid);
	add_filters(w.links);
	return json_pack("{s:s,s:s,s:i,s:I,s:o,s:o,s:o,s:o}", "pin_dir",
			 pin_dir, "run", run, "pid", (int)pid, "bytes",
			 (json_int_t)sum_bytes(w.maps), "attached", w.links,
			 "maps", w.maps, "others", w.others, "libreqos",
			 libreqos_json());
}

/* The table for people: as narrow as a screen. */
static void show_maps(const char *title, const json_t *maps)
{
	json_t *rows = json_array();
	const json_t *map;
	size_t i;

	json_array_foreach(maps, i, map)
		json_array_append_new(
			rows,
			json_pack("{s:O*,s:O,s:O,s:O,s:O,s:O,s:O,s:I}",
				  "module", json_object_get(map, "module"),
				  "map", json_object_get(map, "map"), "type",
				  json_object_get(map, "type"), "key",
				  json_object_get(map, "key_size"), "value",
				  json_object_get(map, "value_size"), "entries",
				  json_object_get(map, "entries"), "id",
				  json_object_get(map, "id"), "KiB",
				  (json_integer_value(
					   json_object_get(map, "bytes")) +
				   1023) / 1024));
	if (json_array_size(rows)) {
		printf("%s\n", title);
		show_json(stdout, rows, 2);
		putchar('\n');
	}
	json_decref(rows);
}

static void show_run(const json_t *o)
{
	const char *dir = text_of(o, "pin_dir"), *run = text_of(o, "run");
	int pid = (int)json_integer_value(json_object_get(o, "pid"));

	printf("%s: ", dir);
	if (!strcmp(run, "none"))
		printf("nothing is pinned\n");
	else if (!strcmp(run, "left"))
		printf("left over, no lqosd lives; starting lqosd takes it "
		       "over, `lqosctl detach` removes it\n");
	else
		printf("lqosd (pid %d) runs on it\n", pid);
}

/* Who runs on it comes last: that is what stays on a small screen. */
static void show_pins(const json_t *o)
{
	const json_t *attached = json_object_get(o, "attached");
	const json_t *maps = json_object_get(o, "maps");
	const json_t *others = json_object_get(o, "others");
	char title[128];

	snprintf(title, sizeof(title),
		 "%zu maps, %.1f MiB:", json_array_size(maps),
		 (double)json_integer_value(json_object_get(o, "bytes")) /
			 (1 << 20));
	show_maps(title, maps);
	show_maps("LibreQoS's in " BPFFS
		  " (remove_pinned_maps.sh removes them):",
		  json_object_get(o, "libreqos"));
	if (json_array_size(others)) {
		printf("not lqosd's, and left alone:\n");
		show_json(stdout, others, 2);
		putchar('\n');
	}
	if (json_array_size(attached)) {
		printf("attached:\n");
		show_json(stdout, attached, 2);
		putchar('\n');
	}
	show_run(o);
}

int local_pins(const struct local_options *o)
{
	struct local l;
	json_t *pins;

	local_log(true);
	if (local_open(&l, o))
		return EXIT_FAILURE;
	if (geteuid()) {
		local_close(&l);
		return local_fail("only root may look at pins: use sudo");
	}
	pins = pins_json(&l);
	local_close(&l);
	if (!pins)
		return local_fail("out of memory");
	if (o->json)
		json_dumpf(pins, stdout, JSON_INDENT(2));
	else
		show_pins(pins);
	if (o->json)
		putchar('\n');
	json_decref(pins);
	return EXIT_SUCCESS;
}
