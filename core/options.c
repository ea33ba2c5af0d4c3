/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declared options: the daemon's own, text to typed values, the help text. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/cleanup.h"
#include "core/core.h"

#define OPT(field, text, ...) \
	LQOS_OPTION(struct core_settings, field, text, __VA_ARGS__)

const struct lqos_option core_options[] = {
	OPT(modules, "steering,throughput,flow,pping,lqtop",
	    .help = "Modules to run, separated by commas."),
	OPT(to_internet, "",
	    .help = "Interface that faces the internet, or up to 8, separated "
		    "by commas."),
	OPT(to_subscribers, "",
	    .help = "Interface that faces the subscribers; of several, the "
		    "first belongs to the first of to_internet and so on. One "
		    "interface in all is enough: then that one is seen in "
		    "both directions."),
	OPT(bridge, "linux", .choices = "linux|xdp",
	    .help = "Who forwards between the two interfaces of a pair: the "
		    "kernel's bridge, or lqosd's own programs."),
	OPT(vlans, "",
	    .help = "Pairs of VLANs INTERNET:SUBSCRIBERS, separated by commas, "
		    "on one interface that is both to_internet and "
		    "to_subscribers (on a stick); ranges as in "
		    "100-119:200-219."),
	OPT(shaped_devices, "/etc/lqos/ShapedDevices.csv",
	    .help = "Who the subscribers are: circuits, devices, addresses and "
		    "rates. Empty: no file."),
	OPT(network_json, "/etc/lqos/network.json",
	    .help = "The tree of sites and access points that circuits hang "
		    "in. Empty: no file."),
	OPT(watch_files, "yes",
	    .help = "Read the two again when one of them has changed, as at a "
		    "SIGHUP."),
	OPT(watch_delay_ms, "1000", .min = 20, .max = 3600000,
	    .help = "... and has been left alone for so many milliseconds."),
	OPT(run_dir, "/run/lqos", .help = "Directory of the bus socket."),
	OPT(pin_dir, "/sys/fs/bpf/lqos",
	    .help = "Directory in a bpffs where maps and programs are pinned."),
	OPT(group, "lqos",
	    .help = "Members of this group may read from the bus; only root "
		    "may change anything."),
	OPT(xdp_mode, "auto", .choices = "auto|native|generic",
	    .help = "Where XDP runs: native in the driver, generic in the "
		    "network stack, auto in the driver if it can."),
	OPT(tc_mode, "auto", .choices = "auto|tcx|clsact",
	    .help = "How TC programs are attached: tcx by links, clsact by "
		    "filters at a qdisc, auto by links if the kernel has "
		    "them."),
	OPT(metadata, "auto", .choices = "auto|off",
	    .help = "Hand what was parsed to later stages in XDP metadata "
		    "where the driver allows it; off: parse again there."),
	OPT(address_spaces, "no",
	    .help = "An address may be of one VLAN only, as in 10.0.0.1%200: "
		    "the same one in two VLANs is two subscribers."),
	OPT(log_level, "info",
	    .help = "error, warning, info or debug; for single modules append "
		    "as in info,steering:debug."),
	OPT(max_subscribers, "65536", .min = 16, .max = 1000000,
	    .help = "Room for subscribers; memory is taken at start."),
	OPT(max_prefixes, "131072", .min = 16, .max = 2000000,
	    .help = "Room for addresses and prefixes of subscribers."),
	OPT(lookup_cache, "16384", .min = 1024, .max = 1048576,
	    .help = "Entries of each CPU's address cache. A power of two; "
		    "anything else is rounded up to one."),
	OPT(max_flows, "262144", .min = 1024, .max = 4194304,
	    .help = "Room for flows, if a module wants them; memory is taken "
		    "at start."),
	OPT(unknown_flows, "auto", .choices = "auto|all|sampled|none",
	    .help = "Which flows of hosts that are no subscriber's get into "
		    "the table; sampled: one of 16, by hash, and at most an "
		    "eighth of it; auto: all while there are no subscribers, "
		    "else sampled."),
	OPT(slow_callback_ms, "50", .min = 1, .max = 10000,
	    .help = "Callbacks that hold up the daemon longer than this many "
		    "milliseconds are named in the log."),
	OPT(exclude_cpus, "",
	    .help = "CPUs that no packets are sent to, as in 0,2-3; what "
		    "arrives on one is still received there."),
	OPT(exclude_efficiency_cores, "yes",
	    .help = "Leave out the small cores of a CPU that has two kinds, "
		    "too."),
	LQOS_OPTIONS_END,
};

static const struct {
	const char *text;
	bool value;
} bools[] = {
	{"yes", true}, {"no", false},  {"true", true}, {"false", false},
	{"on", true},  {"off", false}, {"1", true},    {"0", false},
};

static int parse_bool(const char *text, bool *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++) {
		if (strcasecmp(bools[i].text, text))
			continue;
		*out = bools[i].value;
		return 0;
	}
	return -EINVAL;
}

/* Decimal digits only: no sign, no space, no 0x. */
static int parse_number(const char *text, uint64_t *out)
{
	unsigned long long value;

	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno)
		return -ERANGE;
	*out = value;
	return 0;
}

/* The largest that is allowed; the smallest is option->min. */
static uint64_t number_max(const struct lqos_option *option)
{
	if (option->max)
		return option->max;
	return option->type == LQOS_OPTION_U32 ? UINT32_MAX : UINT64_MAX;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (;; choices++) {
		size_t n = strcspn(choices, "|");

		if (n == len && !memcmp(choices, text, n))
			return true;
		choices += n;
		if (!*choices)
			return false;
	}
}

/* What a value has to be, for people. */
static void expected(const struct lqos_option *option, char *buf, size_t size)
{
	switch (option->type) {
	case LQOS_OPTION_BOOL:
		snprintf(buf, size, "yes or no");
		break;
	case LQOS_OPTION_U32:
	case LQOS_OPTION_U64:
		snprintf(buf, size, "a number from %" PRIu64 " to %" PRIu64,
			 option->min, number_max(option));
		break;
	case LQOS_OPTION_STRING:
		if (option->choices)
			snprintf(buf, size, "one of %s", option->choices);
		else
			snprintf(buf, size, "text");
		break;
	}
}

int core_option_parse(const struct lqos_option *option, const char *text,
		      void *config, char *why, size_t why_size)
{
	char *field = (char *)config + option->offset;
	char wanted[128] = "something else";
	uint64_t number = 0;
	uint32_t u32;
	bool flag;
	int rc = -EINVAL;

	switch (option->type) {
	case LQOS_OPTION_BOOL:
		rc = parse_bool(text, &flag);
		if (!rc)
			memcpy(field, &flag, sizeof(flag));
		break;
	case LQOS_OPTION_U32:
	case LQOS_OPTION_U64:
		rc = parse_number(text, &number);
		if (!rc &&
		    (number < option->min || number > number_max(option)))
			rc = -ERANGE;
		u32 = (uint32_t)number;
		if (!rc && option->type == LQOS_OPTION_U32)
			memcpy(field, &u32, sizeof(u32));
		else if (!rc)
			memcpy(field, &number, sizeof(number));
		break;
	case LQOS_OPTION_STRING:
		rc = 0;
		if (option->choices && !is_choice(option->choices, text))
			rc = -EINVAL;
		else
			memcpy(field, &text, sizeof(text));
		break;
	}
	if (rc) {
		expected(option, wanted, sizeof(wanted));
		snprintf(why, why_size, "%s is \"%s\"; expected %s",
			 option->key, text, wanted);
	}
	return rc;
}

size_t core_option_size(const struct lqos_option *option)
{
	switch (option->type) {
	case LQOS_OPTION_BOOL:
		return sizeof(bool);
	case LQOS_OPTION_U32:
		return sizeof(uint32_t);
	case LQOS_OPTION_U64:
		return sizeof(uint64_t);
	case LQOS_OPTION_STRING:
		return sizeof(const char *);
	}
	return SIZE_MAX; /* a type of a later version */
}

bool core_interfaces_are_valid(const char *text)
{
	size_t first = strcspn(text, ",");
	const char *second = text + first + 1;

	if (!text[first])
		return first > 0;
	return first > 0 && *second && !strchr(second, ',') &&
	       (strlen(second) != first || memcmp(text, second, first));
}

int core_config_set_interfaces(struct core_config *config, const char *text)
{
	autofree char *internet = strdup(text);
	char *subscribers;
	int rc;

	if (!internet)
		return -ENOMEM;
	subscribers = strchr(internet, ',');
	if (subscribers)
		*subscribers++ = '\0';
	else
		subscribers = internet + strlen(internet);
	rc = core_config_set(config, "lqosd", "to_internet", internet, "-i");
	return rc ? rc
		  : core_config_set(config, "lqosd", "to_subscribers",
				    subscribers, "-i");
}

/* text as comment lines of at most 78 columns. */
static void print_comment(FILE *f, const char *text)
{
	const size_t width = 76;

	while (*text) {
		size_t len = strlen(text);

		if (len > width) {
			for (len = width; len && text[len] != ' '; len--)
				;
			if (!len) /* one long word */
				len = strcspn(text, " ");
		}
		fprintf(f, "# %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

void core_options_print(FILE *f, const char *section, const char *description,
			const struct lqos_option *options)
{
	char wanted[128];

	if (description && *description)
		print_comment(f, description);
	fprintf(f, "[%s]\n", section);
	for (const struct lqos_option *o = options; o && o->key; o++) {
		fputc('\n', f);
		if (o->help)
			print_comment(f, o->help);
		expected(o, wanted, sizeof(wanted));
		wanted[0] = (char)toupper((unsigned char)wanted[0]);
		fprintf(f, "# %s.%s\n", wanted,
			o->default_text ? "" : " Must be given.");
		fprintf(f, "#%s = %s\n", o->key,
			o->default_text ? o->default_text : "");
	}
	fputc('\n', f);
}
