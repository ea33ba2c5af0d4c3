/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl doctor on the screen of somebody who has been woken up: what is fine
 * is only named, what is wrong comes last, where it stays on a small screen,
 * and each command stands on a line of its own, to be copied.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/doctor.h"

enum { INDENT = 6 };

struct page {
	int width;
	bool colours;
};

static struct page page_of_stdout(void)
{
	struct winsize size = {};
	struct page page = {.width = 80};

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 40)
		page.width = size.ws_col;
	page.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	return page;
}

/* Words of text from column `at` on, which has been reached already. */
static void print_wrapped(const struct page *page, const char *text, int at,
			  int indent)
{
	bool first = true;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (!first && at + 1 + len > page->width)
			at = printf("\n%*s", indent, "") - 1;
		else if (!first)
			at += printf(" ");
		printf("%.*s", len, text);
		at += len;
		text += len;
		text += strspn(text, " ");
		first = false;
	}
	putchar('\n');
}

static void print_level(const struct page *page, const char *level)
{
	const char *colour = !strcmp(level, "FAIL")   ? "\033[1;31m"
			     : !strcmp(level, "warn") ? "\033[1;33m"
						      : "\033[32m";

	if (page->colours)
		printf("%s%s\033[0m%*s", colour, level,
		       INDENT - (int)strlen(level), "");
	else
		printf("%-*s", INDENT, level);
}

static const char *text_of(const json_t *finding, const char *key)
{
	return json_string_value(json_object_get(finding, key));
}

static void append(json_t *object, const char *key, const char *text)
{
	const char *before = text_of(object, key);

	json_object_set_new(object, key,
			    before && *before
				    ? json_sprintf("%s, %s", before, text)
				    : json_string(text));
}

/* What is the same of several interfaces is said once.  Takes the reference to
 * findings. */
static json_t *merge(json_t *findings)
{
	json_t *merged = json_array(), *finding, *other;
	size_t i, j;

	json_array_foreach(findings, i, finding) {
		const char *interface = text_of(finding, "interface");
		json_t *same = NULL, *copy = json_copy(finding);

		json_object_del(copy, "interface");
		json_array_foreach(merged, j, other) {
			json_t *rest = json_copy(other);

			json_object_del(rest, "interface");
			if (interface && json_equal(rest, copy))
				same = other;
			json_decref(rest);
		}
		if (same) {
			append(same, "interface", interface);
			json_decref(copy);
			continue;
		}
		if (interface)
			append(copy, "interface", interface);
		json_array_append_new(merged, copy);
	}
	json_decref(findings);
	return merged;
}

static void print_finding(const struct page *page, const json_t *finding)
{
	const char *interface = text_of(finding, "interface");
	const char *text = text_of(finding, "text");
	char line[2048];
	const json_t *command;
	size_t i;

	print_level(page, text_of(finding, "level"));
	snprintf(line, sizeof(line), "%s%s%s%s%s", interface ?: "",
		 !interface ? ""
		 : text	    ? " "
			    : ": ",
		 text_of(finding, "check"), text ? ": " : "", text ?: "");
	print_wrapped(page, line, INDENT, INDENT);
	json_array_foreach(json_object_get(finding, "commands"), i, command)
		printf(page->colours ? "%*s\033[1m%s\033[0m\n" : "%*s%s\n",
		       INDENT + 2, "", json_string_value(command));
}

/* Takes the reference to findings. */
static void print_paragraphs(const struct page *page, json_t *findings)
{
	const json_t *finding;
	size_t i;

	findings = merge(findings);
	if (json_array_size(findings))
		putchar('\n');
	json_array_foreach(findings, i, finding)
		print_finding(page, finding);
	json_decref(findings);
}

static json_t *of_level(const struct doctor *d, const char *level)
{
	json_t *some = json_array(), *finding;
	size_t i;

	json_array_foreach(d->findings, i, finding)
		if (!strcmp(text_of(finding, "level"), level))
			json_array_append(some, finding);
	return some;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static json_t *line_of(json_t *lines, const char *interface)
{
	json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		if (!strcmp(text_of(line, "interface") ?: "", interface ?: ""))
			return line;
	line = json_pack("{s:s*,s:s,s:s}", "interface", interface, "level",
			 "ok", "check", "");
	json_array_append_new(lines, line);
	return line;
}

/* "eth0: mtu, queues": a finding for the machine and one for each interface,
 * whose check is the names of all.  Takes the reference to findings. */
static json_t *names_only(json_t *findings)
{
	json_t *lines = json_array(), *finding, *line;
	size_t i;

	json_array_foreach(findings, i, finding) {
		const char *name = text_of(finding, "check");

		line = line_of(lines, text_of(finding, "interface"));
		/* Of a stick both sides. */
		if (!ends_with(text_of(line, "check"), name))
			append(line, "check", name);
	}
	json_decref(findings);
	return lines;
}

static void print_title(const struct page *page, const struct doctor *d)
{
	static const char *const sides[] = {
		[LQOS_TO_INTERNET] = "internet",
		[LQOS_TO_SUBSCRIBERS] = "subscribers",
		[LQOS_STICK] = "on a stick",
	};
	char line[1024] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < d->topology.n_ports; i++)
		n += snprintf(line + n, sizeof(line) - n, "%s (%s), ",
			      d->topology.ports[i].name,
			      sides[d->topology.ports[i].side]);
	snprintf(line + n, sizeof(line) - n, "%s", d->config);
	print_wrapped(page, line, 0, 0);
}

static void print_text(const struct doctor *d, bool verbose)
{
	struct page page = page_of_stdout();
	json_t *ok = of_level(d, "ok");

	print_title(&page, d);
	print_paragraphs(&page, verbose ? ok : names_only(ok));
	print_paragraphs(&page, of_level(d, "warn"));
	print_paragraphs(&page, of_level(d, "FAIL"));
	if (d->failed)
		printf("\n%u wrong, %u could be better, %u fine.\n", d->failed,
		       d->warned, d->ok);
	else
		printf("\nNothing is wrong; %u could be better, %u fine.\n",
		       d->warned, d->ok);
}

int doctor_print(const struct doctor *d, const struct local_options *o)
{
	json_t *all;
	int rc;

	if (!o->json) {
		print_text(d, o->verbose);
		return 0;
	}
	all = json_pack("{s:O,s:i,s:i,s:i}", "checks", d->findings, "failed",
			(int)d->failed, "warned", (int)d->warned, "ok",
			(int)d->ok);
	rc = all ? json_dumpf(all, stdout, JSON_INDENT(2)) : -1;
	putchar('\n');
	json_decref(all);
	return rc ? -EIO : 0;
}
