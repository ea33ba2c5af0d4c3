/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqos.ini: inih parses it, but sees only lines that the reader here has
 * checked, since inih cuts long lines and passes over broken ones in silence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "core/cleanup.h"
#include "core/core.h"

enum {
	CONFIG_SIZE_MAX = 1 << 16,
	NAME_LEN_MAX = 31, /* of a section or key; inih cuts at 49 */
	SUGGEST_DISTANCE = 2,
};

struct entry {
	struct entry *next;
	char *section;
	char *key;
	char *value;
	char *where;	   /* "file:line", or what core_config_set() was told */
	unsigned int line; /* for those given twice; 0: not from the file */
};

struct section {
	struct section *next;
	char *name;
	char *where; /* of its first heading */
};

/* Both lists in the order of the file. */
struct core_config {
	char *path;
	struct entry *entries;
	struct section *sections;
};

/* The text being read, line by line. */
struct reader {
	struct core_config *config;
	const char *next;
	const char *end;
	unsigned int line; /* of what inih was given last */
	unsigned int bad;  /* lines that were refused */
	bool lost;	   /* after a broken [section]: whose keys? */
	bool in_section;
	int rc; /* of a failure that is not the file's */
};

static void complain(const char *fmt, ...) LQOS_PRINTF(1, 2);

/* Every fault of a file is said, however many. */
static void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	core_vlog_unlimited("config", LQOS_ERR, fmt, ap);
	va_end(ap);
}

/* ---- Did you mean ... ---------------------------------------------------- */

static size_t min3(size_t a, size_t b, size_t c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/* Levenshtein's edit distance of two names. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_LEN_MAX + 1];
	size_t len = strlen(b);

	if (strlen(a) > NAME_LEN_MAX || len > NAME_LEN_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1,
				      diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[len];
}

/* Keep the closest to name in *best, if it is close at all. */
static void suggest(const char *name, const char *candidate, const char **best)
{
	size_t d = distance(name, candidate);

	if (d > SUGGEST_DISTANCE || d >= strlen(candidate))
		return;
	if (!*best || d < distance(name, *best))
		*best = candidate;
}

/* ---- What was read ------------------------------------------------------- */

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	free(e->section);
	free(e->key);
	free(e->value);
	free(e->where);
	free(e);
}

static void section_free(struct section *s)
{
	if (!s)
		return;
	free(s->name);
	free(s->where);
	free(s);
}

void core_config_free(struct core_config **config)
{
	struct core_config *c = *config;

	*config = NULL;
	if (!c)
		return;
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->next;
		entry_free(e);
	}
	for (struct section *s = c->sections, *next; s; s = next) {
		next = s->next;
		section_free(s);
	}
	free(c->path);
	free(c);
}

static struct entry *find(const struct core_config *config, const char *section,
			  const char *key)
{
	for (struct entry *e = config->entries; e; e = e->next)
		if (!strcmp(e->section, section) && !strcmp(e->key, key))
			return e;
	return NULL;
}

static int add_section(struct core_config *config, const char *name,
		       const char *where)
{
	struct section **end = &config->sections;
	struct section *s;

	for (; *end; end = &(*end)->next)
		if (!strcmp((*end)->name, name))
			return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->name = strdup(name);
	s->where = strdup(where);
	if (!s->name || !s->where) {
		section_free(s);
		return -ENOMEM;
	}
	*end = s;
	return 0;
}

static int add_entry(struct core_config *config, const char *section,
		     const char *key, const char *value, const char *where,
		     unsigned int line)
{
	struct entry **end = &config->entries;
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->section = strdup(section);
	e->key = strdup(key);
	e->value = strdup(value);
	e->where = strdup(where);
	e->line = line;
	if (!e->section || !e->key || !e->value || !e->where) {
		entry_free(e);
		return -ENOMEM;
	}
	while (*end)
		end = &(*end)->next;
	*end = e;
	return 0;
}

int core_config_set(struct core_config *config, const char *section,
		    const char *key, const char *value, const char *where)
{
	struct entry *e = find(config, section, key);
	char *new_value;
	char *new_where;
	int rc;

	if (!e) {
		rc = add_section(config, section, where);
		if (rc)
			return rc;
		return add_entry(config, section, key, value, where, 0);
	}
	new_value = strdup(value);
	new_where = strdup(where);
	if (!new_value || !new_where) {
		free(new_value);
		free(new_where);
		return -ENOMEM;
	}
	free(e->value);
	free(e->where);
	e->value = new_value;
	e->where = new_where;
	return 0;
}

const char *core_config_get(const struct core_config *config,
			    const char *section, const char *key)
{
	const struct entry *e = find(config, section, key);

	return e ? e->value : NULL;
}

/* ---- Lines --------------------------------------------------------------- */

#define NAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t");
}

/* A section's or key's name at p; NULL: none, else what follows it. */
static const char *skip_name(const char *p)
{
	size_t len = strspn(p, NAME_CHARS);

	return len && len <= NAME_LEN_MAX ? p + len : NULL;
}

/* text is "[name]" and at most a comment.  NULL: fine, else what is wrong. */
static const char *check_heading(const char *text)
{
	const char *p = skip_name(text + 1);

	if (!p || *p != ']')
		return "not a heading such as [steering]: letters, digits, "
		       "- _ . between the brackets, 31 at most";
	p = skip_space(p + 1);
	if (*p && *p != ';' && *p != '#')
		return "text after the ] of a heading: put it on a line of its "
		       "own";
	return NULL;
}

/* The same for "key = value". */
static const char *check_pair(const char *text)
{
	const char *p = skip_name(text);

	if (!strchr(text, '='))
		return "not \"key = value\", \"[section]\" or a # comment";
	if (!p || *skip_space(p) != '=')
		return "not a key in front of the =: letters, digits, - _ . "
		       "only, 31 at most";
	return NULL;
}

/* The same for the bytes of any line. */
static const char *check_bytes(const char *line, size_t len)
{
	if (len > CORE_CONFIG_LINE_MAX)
		return "longer than the 180 bytes that a line may have";
	if (memchr(line, '\0', len))
		return "a NUL byte in it: is this a text file?";
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') ||
		    line[i] == 0x7f)
			return "a control character in it: remove it";
	return NULL;
}
_Static_assert(CORE_CONFIG_LINE_MAX == 180, "check_bytes() says 180");

static int enter_section(struct reader *r, const char *heading)
{
	char name[NAME_LEN_MAX + 1] = "";
	char where[PATH_MAX + 16];

	memcpy(name, heading + 1, strspn(heading + 1, NAME_CHARS));
	snprintf(where, sizeof(where), "%s:%u", r->config->path, r->line);
	r->in_section = true;
	r->lost = false;
	return add_section(r->config, name, where);
}

/*
 * Look at a line; *take: inih is to see it.  Returns what is wrong with it or
 * NULL.
 */
static const char *check_line(struct reader *r, const char *text, bool *take)
{
	const char *start = skip_space(text);
	const char *wrong;

	*take = false;
	if (!*start || *start == '#' || *start == ';')
		return NULL;
	if (start > text)
		return "indented: a value cannot go on in a further line";

	if (*text == '[') {
		wrong = check_heading(text);
		r->lost = wrong;
		if (!wrong)
			r->rc = enter_section(r, text);
		*take = !wrong;
		return wrong;
	}

	wrong = check_pair(text);
	if (!wrong && !r->in_section && !r->lost)
		wrong = "in front of the first [section]: whose is it?";
	*take = !wrong && !r->lost;
	return wrong;
}

/* inih asks for its next line here and gets the good ones only. */
static char *next_line(char *buf, int size, void *arg)
{
	struct reader *r = arg;

	while (r->next < r->end && !r->rc) {
		char text[CORE_CONFIG_LINE_MAX + 1];
		const char *line = r->next;
		const char *eol = memchr(line, '\n', (size_t)(r->end - line));
		size_t len = (size_t)((eol ? eol : r->end) - line);
		const char *wrong;
		bool take = false;

		r->next = eol ? eol + 1 : r->end;
		r->line++;
		if (len && line[len - 1] == '\r')
			len--;

		wrong = check_bytes(line, len);
		if (!wrong) {
			memcpy(text, line, len);
			text[len] = '\0';
			wrong = check_line(r, text, &take);
		}
		if (!wrong && len >= (size_t)size)
			wrong = "longer than this inih was built for";
		if (wrong) {
			complain("%s:%u: %s", r->config->path, r->line, wrong);
			r->bad++;
		} else if (take) {
			memcpy(buf, text, len + 1);
			return buf;
		}
	}
	return NULL;
}

/* A "key = value" from inih: of the line it was given last. */
static int on_pair(void *arg, const char *section, const char *key,
		   const char *value)
{
	struct reader *r = arg;
	const struct entry *first = find(r->config, section, key);
	char where[PATH_MAX + 16];

	if (first) {
		complain("%s:%u: [%s] %s is given twice, first in line %u: "
			 "keep one",
			 r->config->path, r->line, section, key, first->line);
		r->bad++;
		return 1;
	}
	snprintf(where, sizeof(where), "%s:%u", r->config->path, r->line);
	r->rc = add_entry(r->config, section, key, value, where, r->line);
	return !r->rc;
}

/*
 * Comments start with # or ; at the start of a line, and, as inih has it, with
 * a ; after a blank anywhere: "key = a ;b" is "a", "key = a;b" is "a;b", and
 * "key = a #b" is "a #b".
 */
int core_config_parse(struct core_config **out, const char *path,
		      const char *text, size_t len)
{
	CORE_CLEANUP(core_config_free)
	struct core_config *config = calloc(1, sizeof(*config));
	struct reader r = {
		.config = config,
		.next = text,
		.end = text + len,
	};
	int line;

	if (!config)
		return -ENOMEM;
	config->path = strdup(path);
	if (!config->path)
		return -ENOMEM;
	if (len > CONFIG_SIZE_MAX) {
		complain("%s: larger than the %u bytes that a configuration "
			 "may have: is it the right file?",
			 path, CONFIG_SIZE_MAX);
		return -EFBIG;
	}

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		r.next += 3; /* the byte order mark of UTF-8 */
	line = ini_parse_stream(next_line, &r, on_pair, &r);
	if (r.rc)
		return r.rc;
	if (line && !r.bad)
		complain("%s: inih does not understand it (%d)", path, line);
	if (line || r.bad)
		return -EINVAL;

	*out = steal_ptr(config);
	return 0;
}

int core_config_read(struct core_config **out, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *text = malloc(CONFIG_SIZE_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return core_fail("config", -errno,
				 "cannot open %s (correct -c, or write it)",
				 path);
	if (!text)
		return -ENOMEM;
	/* One byte more than is allowed, for core_config_parse() to see. */
	while (n && len <= CONFIG_SIZE_MAX) {
		n = read(fd, text + len, CONFIG_SIZE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return core_fail("config", -errno, "cannot read %s",
					 path);
		len += (size_t)n;
	}
	return core_config_parse(out, path, text, len);
}

/* ---- Values -------------------------------------------------------------- */

static bool is_option(const struct lqos_option *options, const char *key)
{
	for (const struct lqos_option *o = options; o && o->key; o++)
		if (!strcmp(o->key, key))
			return true;
	return false;
}

static int check_keys(const struct core_config *config, const char *section,
		      const struct lqos_option *options)
{
	int rc = 0;

	for (const struct entry *e = config->entries; e; e = e->next) {
		const char *near = NULL;

		if (strcmp(e->section, section) || is_option(options, e->key))
			continue;
		rc = -EINVAL;
		for (const struct lqos_option *o = options; o && o->key; o++)
			suggest(e->key, o->key, &near);
		if (near)
			complain("%s: [%s] has no option %s: did you mean %s?",
				 e->where, section, e->key, near);
		else
			complain("%s: [%s] has no option %s: lqosd "
				 "--help-config lists those there are",
				 e->where, section, e->key);
	}
	return rc;
}

static int fill_option(const struct core_config *config, const char *section,
		       const struct lqos_option *option, void *out, size_t size)
{
	const struct entry *e = find(config, section, option->key);
	size_t width = core_option_size(option);
	char why[512];
	int rc;

	if (width > size || option->offset > size - width) {
		complain("[%s] option %s is declared outside of its struct of "
			 "%zu bytes: a fault of the module",
			 section, option->key, size);
		return -EINVAL;
	}
	if (!e && !option->default_text) {
		complain("%s: [%s] lacks %s, which has no default: %s",
			 config->path, section, option->key,
			 option->help ? option->help : "add it");
		return -EINVAL;
	}
	rc = core_option_parse(option, e ? e->value : option->default_text, out,
			       why, sizeof(why));
	if (rc)
		complain("%s: [%s] %s", e ? e->where : "default value", section,
			 why);
	return rc;
}

int core_config_fill(const struct core_config *config, const char *section,
		     const struct lqos_option *options, void *out, size_t size)
{
	autofree char *filled = calloc(1, size ? size : 1);
	int rc;

	if (!filled)
		return -ENOMEM;
	rc = check_keys(config, section, options);
	for (const struct lqos_option *o = options; o && o->key; o++)
		if (fill_option(config, section, o, filled, size))
			rc = -EINVAL;
	if (rc)
		return rc;

	if (size)
		memcpy(out, filled, size);
	return 0;
}

int core_config_unknown_sections(const struct core_config *config,
				 const char *const *names)
{
	int rc = 0;

	for (const struct section *s = config->sections; s; s = s->next) {
		const char *near = NULL;
		bool known = false;

		for (const char *const *n = names; *n && !known; n++) {
			known = !strcmp(*n, s->name);
			suggest(s->name, *n, &near);
		}
		if (known)
			continue;
		rc = -EINVAL;
		if (near)
			complain("%s: there is no section [%s]: did you mean "
				 "[%s]?",
				 s->where, s->name, near);
		else
			complain("%s: there is no section [%s]: it is neither "
				 "[lqosd] nor a module",
				 s->where, s->name);
	}
	return rc;
}
