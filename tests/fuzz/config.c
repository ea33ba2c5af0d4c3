/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as lqos.ini, then as the daemon's own options and interfaces.
 *
 * What is refused is said, in lines that a terminal can show, and changes
 * nothing.  What is taken is what a plain reader finds, every line of it, and
 * the settings are within what their options allow.
 */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/core.h"
#include "tests/fuzz/fuzz.h"

static unsigned int lines; /* in the log */

static void count_line(enum lqos_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	require_one_line(line);
	lines++;
}

/* The value in a line behind its key: no blanks around it, and none of a
 * comment, which is a ; behind a blank. */
static void trim_value(char *value)
{
	size_t len;

	for (char *p = value + 1; *value && *p; p++)
		if (*p == ';' && (p[-1] == ' ' || p[-1] == '\t')) {
			*p = '\0';
			break;
		}
	len = strspn(value, " \t");
	memmove(value, value + len, strlen(value + len) + 1);
	for (len = strlen(value); len && strchr(" \t", value[len - 1]); len--)
		value[len - 1] = '\0';
}

/* A line of a file that was taken; section: what it is in. */
static void check_line(const struct core_config *config, char *line,
		       char *section)
{
	char *value = strchr(line, '=');

	if (!*line || strchr(" \t;#", *line))
		return;
	if (*line == '[') {
		*strchr(line, ']') = '\0';
		strcpy(section, line + 1);
		return;
	}
	require(value && *section);
	*value++ = '\0';
	line[strcspn(line, " \t")] = '\0';
	trim_value(value);
	require(!strcmp(core_config_get(config, section, line), value));
}

static void check_lines(const struct core_config *config, const uint8_t *data,
			size_t size)
{
	char section[CORE_CONFIG_LINE_MAX + 1] = "";
	char line[CORE_CONFIG_LINE_MAX + 1];

	if (size >= 3 && !memcmp(data, "\xef\xbb\xbf", 3)) {
		data += 3;
		size -= 3;
	}
	while (size) {
		const uint8_t *eol = memchr(data, '\n', size);
		size_t len = eol ? (size_t)(eol - data) : size;
		size_t taken = len && data[len - 1] == '\r' ? len - 1 : len;

		require(taken < sizeof(line));
		memcpy(line, data, taken);
		line[taken] = '\0';
		require(strlen(line) == taken);
		check_line(config, line, section);
		len += !!eol;
		data += len;
		size -= len;
	}
}

static void check_choice(const char *choices, const char *text)
{
	char wanted[128], found[512];

	snprintf(wanted, sizeof(wanted), "|%s|", choices);
	snprintf(found, sizeof(found), "|%s|", text);
	require(strstr(wanted, found) && !strchr(text, '|'));
}

static void check_settings(const struct core_settings *settings)
{
	for (const struct lqos_option *o = core_options; o->key; o++) {
		const char *field = (const char *)settings + o->offset;
		const char *text;
		uint32_t number;

		if (o->type == LQOS_OPTION_U32) {
			memcpy(&number, field, sizeof(number));
			require(number >= o->min);
			require(!o->max || number <= o->max);
		} else if (o->type == LQOS_OPTION_STRING) {
			memcpy(&text, field, sizeof(text));
			require(text);
			if (o->choices)
				check_choice(o->choices, text);
		}
	}
}

static void check_topology(const struct core_topology *t)
{
	static bool used[CORE_VLAN_MAX + 1];
	uint32_t i, j;

	memset(used, 0, sizeof(used));
	require(t->n_ports <= CORE_PORTS_MAX);
	require(t->n_ports < 2 || t->n_ports % 2 == 0);
	for (i = 0; i < t->n_ports; i++) {
		require(*t->ports[i].name && t->ports[i].pair == i / 2);
		for (j = 0; j < i; j++)
			require(strcmp(t->ports[i].name, t->ports[j].name));
	}
	require(t->n_vlans <= ARRAY_SIZE(t->vlans));
	require(!t->n_vlans || t->n_ports == 1);
	for (i = 0; i < t->n_vlans; i++) {
		const uint16_t *vlan[] = {&t->vlans[i].internet,
					  &t->vlans[i].subscribers};

		for (j = 0; j < ARRAY_SIZE(vlan); j++) {
			require(*vlan[j] && *vlan[j] <= CORE_VLAN_MAX);
			require(!used[*vlan[j]]);
			used[*vlan[j]] = true;
		}
	}
}

static void check_meaning(const struct core_config *config)
{
	static const char *const sections[] = {"lqosd", "steering", NULL};
	static struct core_topology topology;
	struct core_settings settings;

	lines = 0;
	require(!core_config_unknown_sections(config, sections) == !lines);
	lines = 0;
	if (core_config_fill(config, "lqosd", core_options, &settings,
			     sizeof(settings))) {
		require(lines);
		return;
	}
	require(!lines);
	check_settings(&settings);
	if (core_topology_read(&topology, &settings))
		require(lines);
	else
		check_topology(&topology);
	/* Whose words are those of whoever asks. */
	core_log_setup(settings.log_level, 0);
	require(!core_log_setup("debug", 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CORE_CLEANUP(core_config_free) struct core_config *config = NULL;
	int rc;

	core_log_sink(count_line, NULL);
	lines = 0;
	rc = core_config_parse(&config, "lqos.ini", (const char *)data, size);
	require(!rc == !!config && !rc == !lines);
	if (rc) {
		require(rc == -EINVAL || rc == -EFBIG);
		return 0;
	}
	check_lines(config, data, size);
	check_meaning(config);
	return 0;
}
