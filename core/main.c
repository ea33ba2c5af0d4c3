/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - lqosd: options, privileges, signals, and the order of all parts. */
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/core.h"
#include "core/csv.h"

#ifndef LQOS_SYSCONFDIR
#define LQOS_SYSCONFDIR "/etc"
#endif
#ifndef LQOS_MODULE_DIR
#define LQOS_MODULE_DIR "/usr/lib/lqos"
#endif

#define SELF	       "core"
#define DEFAULT_CONFIG LQOS_SYSCONFDIR "/lqos/lqos.ini"

enum { EXIT_USAGE = 2, TICK_MS = 1000 };

enum action { RUN, TEST, LIST_MODULES, HELP_CONFIG, HELP, SHOW_VERSION };

struct arguments {
	enum action action;
	const char *config;	/* NULL: the default file */
	const char *modules;	/* NULL: as configured */
	const char *module_dir; /* ':'-separated */
	const char *interfaces; /* NULL: as configured */
	unsigned int verbose;
};

struct daemon {
	struct core core;
	struct core_config *config;
	const char *config_path; /* for people */
	char *config_text;	 /* of that file; NULL: there is none */
	int lock;
	size_t told; /* subscribers, as systemd was last told */
};

/* ---- Arguments ---------------------------------------------------------- */

static void print_usage(FILE *f)
{
	fprintf(f,
		"Usage: lqosd [OPTION]...\n"
		"Steers, counts and shows the traffic of subscribers.\n"
		"\n"
		"  -c, --config FILE          configuration "
		"(" DEFAULT_CONFIG ")\n"
		"  -m, --modules NAME[,NAME]  modules to run\n"
		"  -M, --module-dir DIR[:DIR] where modules are "
		"(" LQOS_MODULE_DIR ")\n"
		"  -i, --interfaces IF[,IF]   interface to the internet, and "
		"the one to subscribers\n"
		"  -t, --test                 check the configuration and "
		"exit\n"
		"  -v, --verbose              log more; twice: even more\n"
		"      --list-modules         say which modules there are\n"
		"      --help-config          print all options as an ini "
		"file\n"
		"      --version              print the version\n"
		"      --help                 print this\n");
}

static int parse(int argc, char **argv, struct arguments *out)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"modules", required_argument, NULL, 'm'},
		{"module-dir", required_argument, NULL, 'M'},
		{"interfaces", required_argument, NULL, 'i'},
		{"test", no_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},
		{"list-modules", no_argument, NULL, 'L'},
		{"help-config", no_argument, NULL, 'C'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'H'},
		{NULL, 0, NULL, 0},
	};
	struct arguments a = {.action = RUN, .module_dir = LQOS_MODULE_DIR};
	int option;

	while ((option = getopt_long(argc, argv, "c:m:M:i:tv", options,
				     NULL)) != -1) {
		switch (option) {
		case 'c':
			a.config = optarg;
			break;
		case 'm':
			a.modules = optarg;
			break;
		case 'M':
			a.module_dir = optarg;
			break;
		case 'i':
			a.interfaces = optarg;
			break;
		case 't':
			a.action = TEST;
			break;
		case 'v':
			a.verbose++;
			break;
		case 'L':
			a.action = LIST_MODULES;
			break;
		case 'C':
			a.action = HELP_CONFIG;
			break;
		case 'V':
			a.action = SHOW_VERSION;
			break;
		case 'H':
			a.action = HELP;
			break;
		default:
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"lqosd: \"%s\": expected options only, as in -c FILE\n",
			argv[optind]);
		return -EINVAL;
	}
	*out = a;
	return 0;
}

/* ---- Answers that need no daemon ---------------------------------------- */

static int list_modules(const char *dirs)
{
	autofree struct core_module_info *infos = NULL;
	int name = strlen("NAME"), version = strlen("VERSION");
	int needs = strlen("NEEDS");
	size_t n = 0;
	int rc;

	rc = core_loader_list(dirs, &infos, &n);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		int len = (int)strlen(infos[i].name);

		name = len > name ? len : name;
		len = (int)strlen(infos[i].version);
		version = len > version ? len : version;
		len = (int)strlen(infos[i].needs);
		needs = len > needs ? len : needs;
	}
	printf("%-*s  %-*s  %-5s  %-*s  %s\n", name, "NAME", version, "VERSION",
	       "ABI", needs, "NEEDS", "DESCRIPTION");
	for (size_t i = 0; i < n; i++) {
		const struct core_module_info *info = &infos[i];
		char abi[16];

		snprintf(abi, sizeof(abi), "%u.%u", info->abi >> 16,
			 info->abi & 0xffff);
		printf("%-*s  %-*s  %-5s  %-*s  %s\n", name, info->name,
		       version, *info->version ? info->version : "-", abi,
		       needs, *info->needs ? info->needs : "-",
		       *info->description ? info->description : "-");
	}
	return 0;
}

static int help_config(const char *dirs)
{
	core_options_print(stdout, "lqosd", "The daemon itself.", core_options);
	return core_loader_print_options(dirs, stdout);
}

/* ---- Configuration ------------------------------------------------------ */

static int read_file(struct daemon *d, const struct arguments *a)
{
	size_t len;

	d->config_path = a->config ? a->config : DEFAULT_CONFIG;
	if (a->config || !access(d->config_path, F_OK) || errno != ENOENT) {
		(void)core_file_read(d->config_path, &d->config_text, &len);
		return core_config_read(&d->config, d->config_path);
	}
	if (!a->interfaces) {
		core_log(SELF, LQOS_ERR,
			 "there is no %s: write it, name another with -c, or "
			 "name the interfaces with -i",
			 d->config_path);
		return -ENOENT;
	}
	d->config_path = "defaults";
	return core_config_parse(&d->config, d->config_path, "", 0);
}

static int configure(struct daemon *d, const struct arguments *a)
{
	struct core_settings *s = &d->core.settings;
	int rc;

	rc = read_file(d, a);
	if (!rc && a->modules)
		rc = core_config_set(d->config, "lqosd", "modules", a->modules,
				     "-m");
	if (!rc && a->interfaces)
		rc = core_config_set_interfaces(d->config, a->interfaces);
	if (!rc)
		rc = core_config_fill(d->config, "lqosd", core_options, s,
				      sizeof(*s));
	if (rc)
		return rc;
	if (core_log_setup(s->log_level, a->verbose)) {
		core_log(SELF, LQOS_ERR,
			 "log_level is \"%s\"; expected error, warning, info "
			 "or debug, and for single modules more as in "
			 "info,steering:debug",
			 s->log_level);
		return -EINVAL;
	}
	if (!*s->to_internet && !*s->to_subscribers) {
		core_log(SELF, LQOS_ERR,
			 "%s names no interface: set to_internet and "
			 "to_subscribers in [lqosd], or give -i IF,IF",
			 d->config_path);
		return -EINVAL;
	}
	return core_check_settings(s);
}

static int load_subscribers(struct daemon *d)
{
	const struct core_config *config = d->config;
	int rc = core_files_new(
		&d->core.files, &d->core,
		core_config_get(config, "lqosd", "shaped_devices"),
		core_config_get(config, "lqosd", "network_json"));

	return rc ?: core_files_load(d->core.files);
}

/* All that can be checked without touching the system. */
static int prepare(struct daemon *d, const struct arguments *a)
{
	const struct core_settings *s = &d->core.settings;
	int rc;

	rc = core_registry_new(&d->core.registry, &d->core, s->max_subscribers,
			       s->max_prefixes);
	if (!rc && d->core.pins)
		rc = core_datapath_remember(&d->core);
	if (!rc)
		rc = load_subscribers(d);
	if (!rc)
		rc = core_loader_new(&d->core.loader, &d->core, a->module_dir);
	if (!rc)
		rc = core_loader_load(d->core.loader, s->modules, d->config);
	if (!rc && !core_loader_count(d->core.loader))
		core_log(SELF, LQOS_WARN,
			 "no modules: packets pass and nothing is done with "
			 "them; set modules= in [lqosd] or give -m");
	return rc;
}

static int test_config(struct daemon *d, const struct arguments *a)
{
	struct core_problems problems;
	int rc;

	rc = core_ctx_new(&d->core.ctx, &d->core, SELF, 0);
	if (!rc)
		rc = prepare(d, a);
	if (rc)
		return rc;
	core_registry_problems(d->core.registry, &problems);
	printf("%s: configuration is fine", d->config_path);
	if (problems.skipped)
		printf(" (%u rows of subscriber files left out)",
		       problems.skipped);
	printf("\n");
	return 0;
}

/* ---- Run ---------------------------------------------------------------- */

static void tell_status(struct daemon *d)
{
	size_t subscribers = core_registry_subscribers(d->core.registry);

	if (subscribers == d->told)
		return;
	d->told = subscribers;
	core_notify_status(d->core.notify, "%zu subscribers, modules %s",
			   subscribers, d->core.settings.modules);
}

static void on_tick(void *arg)
{
	struct daemon *d = arg;

	core_metrics_tick(d->core.metrics);
	tell_status(d);
}

static void on_stop(int signo, void *arg)
{
	struct daemon *d = arg;

	core_log(SELF, LQOS_INFO, "stopping: got %s",
		 signo == SIGINT ? "SIGINT" : "SIGTERM");
	core_loop_stop(d->core.loop);
}

static void on_quit(int signo, void *arg)
{
	struct daemon *d = arg;

	(void)signo;
	core_log(SELF, LQOS_INFO,
		 "stopping: got SIGQUIT: the datapath stays attached, shaping "
		 "and counting, until the next start takes it over");
	core_datapath_leave(d->core.datapath);
	core_loop_stop(d->core.loop);
}

static void say_if_config_changed(const struct daemon *d)
{
	autofree char *text = NULL;
	size_t len;

	if (d->config_text && (core_file_read(d->config_path, &text, &len) ||
			       strcmp(text, d->config_text)))
		core_log(SELF, LQOS_WARN,
			 "%s has changed, but is only read at a start: restart "
			 "lqosd to apply it",
			 d->config_path);
}

static void on_hangup(int signo __attribute__((unused)), void *arg)
{
	struct daemon *d = arg;

	say_if_config_changed(d);
	(void)core_files_reload(d->core.files);
}

static int watch_signals(struct daemon *d)
{
	struct lqos_ctx *ctx = d->core.ctx;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	rc = core_loop_signal(ctx, SIGINT, on_stop, d);
	if (!rc)
		rc = core_loop_signal(ctx, SIGTERM, on_stop, d);
	if (!rc)
		rc = core_loop_signal(ctx, SIGQUIT, on_quit, d);
	if (!rc)
		rc = core_loop_signal(ctx, SIGHUP, on_hangup, d);
	return rc ? core_fail(SELF, rc, "cannot watch signals") : 0;
}

/* Many bus clients and maps; where a limit stays, whoever meets it says so. */
static void raise_limits(void)
{
	struct rlimit files;
	const struct rlimit memory = {RLIM_INFINITY, RLIM_INFINITY};

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_MEMLOCK, &memory);
}

static int start_services(struct daemon *d)
{
	struct core *core = &d->core;
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/bus", core->settings.run_dir);
	rc = core_bus_new(&core->bus, core, path, core->settings.group);
	if (!rc)
		rc = core_feed_new(&core->feed, core);
	if (!rc)
		rc = core_metrics_new(&core->metrics, core);
	if (!rc)
		rc = core_notify_new(&core->notify, core);
	return rc ? rc : core_status_commands(core);
}

static int start_traffic(struct daemon *d)
{
	struct core *core = &d->core;
	int rc;

	rc = core_datapath_new(&core->datapath, core,
			       core_loader_flags(core->loader),
			       core_loader_flow_bytes(core->loader));
	if (!rc)
		rc = core_loader_start(core->loader);
	if (!rc)
		rc = core_datapath_attach(core->datapath);
	if (rc)
		return rc;
	rc = lqos_timer_every(core->ctx, TICK_MS, on_tick, d, NULL);
	if (rc)
		return core_fail(SELF, rc, "cannot set the tick's timer");
	return core_files_watch(core->files);
}

static int start(struct daemon *d, const struct arguments *a)
{
	struct core *core = &d->core;
	struct timespec now;
	int rc;

	if (geteuid()) {
		core_log(SELF, LQOS_ERR,
			 "not root, which BPF and the interfaces need: use "
			 "sudo, or -t to check the configuration only");
		return -EPERM;
	}
	rc = core_check_rights();
	if (rc)
		return rc;
	clock_gettime(CLOCK_REALTIME, &now);
	core->started_ns =
		(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	/* The bus's group has to get into run_dir. */
	umask(022);
	rc = core_lock_take(&d->lock, core->settings.run_dir);
	if (rc)
		return rc;
	raise_limits();
	core_log_libraries();
	rc = core_ctx_new(&core->ctx, core, SELF, 0);
	if (!rc)
		rc = core_loop_new(&core->loop, core);
	if (!rc)
		rc = watch_signals(d);
	if (!rc)
		rc = core_pins_open(&core->pins, core->settings.pin_dir);
	if (!rc)
		rc = prepare(d, a);
	if (!rc)
		rc = core_journal_open(&core->journal, core);
	if (!rc)
		rc = start_services(d);
	return rc ? rc : start_traffic(d);
}

static int run(struct daemon *d, const struct arguments *a)
{
	struct core *core = &d->core;
	int rc;

	rc = start(d, a);
	if (rc)
		return rc;
	core_log(SELF, LQOS_INFO,
		 "lqosd %s runs: %zu modules, %zu subscribers, bus at %s/bus",
		 PACKAGE_VERSION, core_loader_count(core->loader),
		 core_registry_subscribers(core->registry),
		 core->settings.run_dir);
	tell_status(d);
	core_notify_ready(core->notify);
	rc = core_loop_run(core->loop);
	core_notify_stopping(core->notify);
	return rc ? core_fail(SELF, rc, "the event loop failed") : 0;
}

/* Modules first, while all they registered with is alive. */
static void tear_down(struct daemon *d)
{
	struct core *core = &d->core;

	core_loader_free(&core->loader);
	core_datapath_free(&core->datapath);
	core_pins_close(&core->pins);
	if (core->ctx)
		core_ctx_release(core->ctx);
	core_notify_free(&core->notify);
	core_metrics_free(&core->metrics);
	core_feed_free(&core->feed);
	core_bus_free(&core->bus);
	core_journal_close(&core->journal);
	core_files_free(&core->files);
	core_registry_free(&core->registry);
	core_loop_free(&core->loop);
	core_ctx_free(&core->ctx);
	core_config_free(&d->config);
	free(d->config_text);
	if (d->lock >= 0)
		close(d->lock);
}

static int serve(const struct arguments *a)
{
	struct daemon d = {.lock = -1, .told = SIZE_MAX};
	int rc;

	rc = configure(&d, a);
	if (!rc)
		rc = a->action == TEST ? test_config(&d, a) : run(&d, a);
	if (rc == -ENOMEM)
		core_fail(SELF, rc, "cannot start");
	tear_down(&d);
	return rc;
}

static int misuse(void)
{
	fprintf(stderr, "Try \"lqosd --help\".\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct arguments a;
	int rc = 0;

	if (parse(argc, argv, &a))
		return misuse();
	if (a.interfaces && !core_interfaces_are_valid(a.interfaces)) {
		fprintf(stderr,
			"lqosd: -i is \"%s\"; expected one interface, or two "
			"different ones as in eth0,eth1\n",
			a.interfaces);
		return misuse();
	}
	switch (a.action) {
	case HELP:
		print_usage(stdout);
		break;
	case SHOW_VERSION:
		printf("lqosd %s (module ABI %d.%d)\n", PACKAGE_VERSION,
		       LQOS_ABI_MAJOR, LQOS_ABI_MINOR);
		break;
	case LIST_MODULES:
		rc = list_modules(a.module_dir);
		break;
	case HELP_CONFIG:
		rc = help_config(a.module_dir);
		break;
	case RUN:
		/* Who asks for a reload before the files are read once gets
		 * what he wants. */
		signal(SIGHUP, SIG_IGN);
		rc = serve(&a);
		break;
	case TEST:
		rc = serve(&a);
		break;
	}
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
