/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logging to stderr: one event one line, a level a module, a rate limit a call
 * site.  Under systemd each line starts with its priority (sd-daemon(3)).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <event2/event.h>

#include "core/cleanup.h"
#include "core/core.h"

enum {
	NAME_SIZE = 32,	  /* as struct lqos_module's */
	TEXT_SIZE = 8192, /* a grant names hundreds of maps */
	SAMPLE_SIZE = 160,
	MODULES_MAX = 64,
	SITES = 64,
	BURST = 10,	    /* lines of a call site in a window */
	LIBRARY_LINES = 40, /* of one message; verifier logs have thousands */
};
#define WINDOW_NS UINT64_C(5000000000)
#define DAEMON	  "lqosd"

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LQOS_ERR] = {"error", LOG_ERR},
	[LQOS_WARN] = {"warning", LOG_WARNING},
	[LQOS_INFO] = {"info", LOG_INFO},
	[LQOS_DEBUG] = {"debug", LOG_DEBUG},
};

struct thresholds {
	enum lqos_level base;
	enum lqos_level libraries; /* a -v less: they are talkative */
	size_t n;
	struct {
		char who[NAME_SIZE];
		enum lqos_level level;
	} modules[MODULES_MAX];
};

/* A call site that spoke lately. */
struct site {
	const char *fmt;
	char who[NAME_SIZE];
	enum lqos_level level;
	uint64_t since_ns; /* when its window began */
	unsigned int said;
	uint64_t suppressed;
	char sample[SAMPLE_SIZE]; /* the first that was suppressed */
};

static struct thresholds thresholds = {.base = LQOS_INFO,
				       .libraries = LQOS_INFO};
static struct site sites[SITES];
static void (*sink)(enum lqos_level level, const char *line, void *arg);
static void *sink_arg;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- Levels -------------------------------------------------------------- */

static int parse_level(const char *text, size_t len, unsigned int verbose,
		       enum lqos_level *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strlen(levels[i].name) != len ||
		    memcmp(levels[i].name, text, len))
			continue;
		*out = verbose > LQOS_DEBUG - i ? LQOS_DEBUG : i + verbose;
		return 0;
	}
	return -EINVAL;
}

int core_log_setup(const char *spec, unsigned int verbose)
{
	struct thresholds new = {0};
	size_t len = strcspn(spec, ",");
	int rc = parse_level(spec, len, verbose, &new.base);

	if (!rc)
		rc = parse_level(spec, len, verbose ? verbose - 1 : 0,
				 &new.libraries);

	for (spec += len; !rc && *spec; spec += len) {
		size_t who;

		spec++;
		spec += strspn(spec, " ");
		len = strcspn(spec, ",");
		who = strcspn(spec, ":");
		if (!who || who >= len || who >= NAME_SIZE ||
		    new.n == MODULES_MAX)
			return -EINVAL;
		memcpy(new.modules[new.n].who, spec, who);
		rc = parse_level(spec + who + 1, len - who - 1, verbose,
				 &new.modules[new.n].level);
		new.n++;
	}
	if (rc)
		return rc;

	thresholds = new;
	return 0;
}

static bool enabled(const char *who, enum lqos_level level)
{
	for (size_t i = 0; i < thresholds.n; i++)
		if (!strcmp(thresholds.modules[i].who, who))
			return level <= thresholds.modules[i].level;
	if (!strcmp(who, "libbpf") || !strcmp(who, "libevent"))
		return level <= thresholds.libraries;
	return level <= thresholds.base;
}

/* ---- Output -------------------------------------------------------------- */

/*
 * Text from packets, files and peers must neither forge a line nor drive the
 * terminal it is read on.
 */
static void make_one_line(char *text)
{
	size_t len = strlen(text);

	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	for (char *p = text; *p; p++) {
		if (strchr("\t\r\n", *p))
			*p = ' ';
		else if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

/* Changes text. */
static void say(const char *who, enum lqos_level level, char *text)
{
	char line[TEXT_SIZE + 2 * NAME_SIZE];
	char when[16];
	struct tm tm;
	time_t now;
	int n;

	make_one_line(text);
	if (sink) {
		snprintf(line, sizeof(line), "%.*s: %s", NAME_SIZE, who, text);
		sink(level, line, sink_arg);
		return;
	}

	if (isatty(STDERR_FILENO)) {
		now = time(NULL);
		strftime(when, sizeof(when), "%H:%M:%S",
			 localtime_r(&now, &tm));
		n = snprintf(line, sizeof(line), "%s %s %.*s: %s\n", when,
			     levels[level].name, NAME_SIZE, who, text);
	} else {
		n = snprintf(line, sizeof(line), "<%d>%.*s: %s\n",
			     levels[level].priority, NAME_SIZE, who, text);
	}
	/* In one piece, so that lines of other writers cannot get between. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* there is nobody left to tell */
}

static void format(char *text, size_t size, int rc, const char *fmt, va_list ap)
	LQOS_PRINTF(4, 0);

/* rc != 0: append what it means; what does not fit goes from the message. */
static void format(char *text, size_t size, int rc, const char *fmt, va_list ap)
{
	char reason[96] = "";
	int saved = errno;
	size_t room;
	int n;

	if (rc) {
		memcpy(reason, ": ", 2);
		libbpf_strerror(rc, reason + 2, sizeof(reason) - 2);
		errno = saved; /* for %m */
	}
	room = size - strlen(reason);
	n = vsnprintf(text, room, fmt, ap);
	if (n < 0)
		text[0] = '\0';
	else if ((size_t)n >= room)
		memcpy(text + room - sizeof("..."), "...", sizeof("..."));
	memcpy(text + strlen(text), reason, strlen(reason) + 1);
}

/* ---- Rate limit ---------------------------------------------------------- */

static void tell_suppressed(struct site *site)
{
	char text[SAMPLE_SIZE + 64];

	if (!site->suppressed)
		return;
	snprintf(text, sizeof(text), "suppressed %llu messages like this: %s",
		 (unsigned long long)site->suppressed, site->sample);
	site->suppressed = 0;
	say(site->who, site->level, text);
}

static bool expired(const struct site *site, uint64_t now)
{
	return now - site->since_ns >= WINDOW_NS;
}

void core_log_flush(bool all)
{
	uint64_t now = now_ns();

	for (size_t i = 0; i < SITES; i++)
		if (all || expired(&sites[i], now))
			tell_suppressed(&sites[i]);
}

static void flush_at_exit(void)
{
	core_log_flush(true);
}

/* The site of fmt and who, or the place of the one that is silent longest. */
static struct site *find_site(const char *who, const char *fmt)
{
	struct site *oldest = &sites[0];

	for (size_t i = 0; i < SITES; i++) {
		struct site *site = &sites[i];

		if (site->fmt == fmt && !strncmp(site->who, who, NAME_SIZE - 1))
			return site;
		if (site->since_ns < oldest->since_ns)
			oldest = site;
	}
	return oldest;
}

/* May this message be said?  If not, *sample is the place for its text or
 * NULL. */
static bool admit(const char *who, enum lqos_level level, const char *fmt,
		  char **sample)
{
	static bool at_exit;
	uint64_t now = now_ns();
	struct site *site;

	core_log_flush(false);
	site = find_site(who, fmt);
	if (site->fmt != fmt || strncmp(site->who, who, NAME_SIZE - 1) ||
	    expired(site, now)) {
		tell_suppressed(site);
		site->fmt = fmt;
		snprintf(site->who, sizeof(site->who), "%s", who);
		site->since_ns = now;
		site->said = 0;
	}
	site->level = level;
	if (site->said < BURST) {
		site->said++;
		return true;
	}

	if (!at_exit)
		at_exit = !atexit(flush_at_exit);
	*sample = site->suppressed++ ? NULL : site->sample;
	return false;
}

/* ---- Overhearing --------------------------------------------------------- */

static void (*hearer)(const char *who, enum lqos_level level, const char *text,
		      void *arg);
static void *hearer_arg;

void core_log_overhear(void (*fn)(const char *who, enum lqos_level level,
				  const char *text, void *arg),
		       void *arg)
{
	hearer = fn;
	hearer_arg = arg;
}

static void overhear(const char *who, enum lqos_level level, int rc,
		     const char *fmt, va_list ap) LQOS_PRINTF(4, 0);

static void overhear(const char *who, enum lqos_level level, int rc,
		     const char *fmt, va_list ap)
{
	char text[TEXT_SIZE];
	int saved = errno;
	va_list copy;

	if (!hearer || level > LQOS_WARN)
		return;
	va_copy(copy, ap);
	format(text, sizeof(text), rc, fmt, copy);
	va_end(copy);
	hearer(who, level, text, hearer_arg);
	errno = saved;
}

/* ---- Saying -------------------------------------------------------------- */

static void log_limited(const char *who, enum lqos_level level, int rc,
			const char *fmt, va_list ap) LQOS_PRINTF(4, 0);

static void log_limited(const char *who, enum lqos_level level, int rc,
			const char *fmt, va_list ap)
{
	int saved = errno;
	char text[TEXT_SIZE];
	char *sample = NULL;

	if (!who)
		who = DAEMON;
	overhear(who, level, rc, fmt, ap);
	if (!enabled(who, level))
		return;

	if (admit(who, level, fmt, &sample)) {
		errno = saved; /* for %m */
		format(text, sizeof(text), rc, fmt, ap);
		say(who, level, text);
	} else if (sample) {
		errno = saved;
		format(sample, SAMPLE_SIZE, rc, fmt, ap);
	}
	errno = saved;
}

/* ---- What others call ---------------------------------------------------- */

void core_log_sink(void (*fn)(enum lqos_level level, const char *line,
			      void *arg),
		   void *arg)
{
	core_log_flush(true);
	memset(sites, 0, sizeof(sites));
	sink = fn;
	sink_arg = arg;
}

void core_vlog_unlimited(const char *who, enum lqos_level level,
			 const char *fmt, va_list ap)
{
	int saved = errno;
	char text[TEXT_SIZE];

	overhear(who, level, 0, fmt, ap);
	if (enabled(who, level)) {
		format(text, sizeof(text), 0, fmt, ap);
		say(who, level, text);
	}
	errno = saved;
}

void core_log_unlimited(const char *who, enum lqos_level level, const char *fmt,
			...)
{
	va_list ap;

	va_start(ap, fmt);
	core_vlog_unlimited(who, level, fmt, ap);
	va_end(ap);
}

void core_log(const char *who, enum lqos_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited(who, level, 0, fmt, ap);
	va_end(ap);
}

int core_fail(const char *who, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited(who, LQOS_ERR, rc, fmt, ap);
	va_end(ap);
	return rc;
}

void lqos_log(struct lqos_ctx *ctx, enum lqos_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited(ctx ? ctx->name : NULL, level, 0, fmt, ap);
	va_end(ap);
}

int lqos_fail(struct lqos_ctx *ctx, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited(ctx ? ctx->name : NULL, LQOS_ERR, rc, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- Messages of libraries ----------------------------------------------- */

static size_t count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n' || !text[1];
	return lines;
}

/* A verifier log comes as one message: its first line says whose it is, its
 * last ones what is wrong. */
static void say_lines(const char *who, enum lqos_level level, char *text)
{
	size_t lines = count_lines(text);
	size_t left_out = lines > LIBRARY_LINES ? lines - LIBRARY_LINES : 0;
	char cut[TEXT_SIZE];
	size_t i = 0;

	for (char *line; (line = strsep(&text, "\n")); i++) {
		if (i && i == left_out) {
			snprintf(cut, sizeof(cut), "... %zu lines left out ...",
				 left_out);
			say(who, level, cut);
		}
		if (!*line || (i && i <= left_out))
			continue;
		snprintf(cut, sizeof(cut), "%s", line);
		say(who, level, cut);
	}
}

static int on_libbpf(enum libbpf_print_level libbpf_level, const char *fmt,
		     va_list ap) LQOS_PRINTF(2, 0);

static int on_libbpf(enum libbpf_print_level libbpf_level, const char *fmt,
		     va_list ap)
{
	static const char prefix[] = "libbpf: ";
	enum lqos_level level =
		libbpf_level == LIBBPF_WARN ? LQOS_WARN : LQOS_DEBUG;
	autofree char *text = NULL;
	int saved = errno;
	char *sample = NULL;
	va_list again;
	int len;

	if (!enabled("libbpf", level))
		return 0;
	if (!admit("libbpf", level, fmt, &sample)) {
		if (sample)
			format(sample, SAMPLE_SIZE, 0, fmt, ap);
		errno = saved;
		return 0;
	}

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	text = len < 0 ? NULL : malloc((size_t)len + 1);
	if (text) {
		char *start = text;

		vsnprintf(text, (size_t)len + 1, fmt, ap);
		if (!strncmp(start, prefix, strlen(prefix)))
			start += strlen(prefix);
		say_lines("libbpf", level, start);
	}
	errno = saved;
	return 0;
}

static void on_libevent(int severity, const char *message)
{
	enum lqos_level level = LQOS_DEBUG;

	if (severity == EVENT_LOG_ERR)
		level = LQOS_ERR;
	else if (severity == EVENT_LOG_WARN)
		level = LQOS_WARN;
	else if (severity == EVENT_LOG_MSG)
		level = LQOS_INFO;
	core_log("libevent", level, "%s", message);
}

static void on_libevent_fatal(int code)
{
	core_log("libevent", LQOS_ERR,
		 "it cannot go on (code %d): lqosd aborts, its datapath stays",
		 code);
	abort();
}

void core_log_libraries(void)
{
	libbpf_set_print(on_libbpf);
	event_set_log_callback(on_libevent);
	event_set_fatal_callback(on_libevent_fatal);
}
