/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-debug - what BPF programs trace with bpf_printk(), as it comes.
 * lqosctl runs it for "lqosctl debug".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#ifdef HAVE_CONFIG_H
#include "core/config.h"
#endif
#include "core/cleanup.h"
#include "core/number.h"

enum {
	EXIT_USAGE = 2,
	SECONDS_MAX = 604800,
	/* The kernel wakes who waits for a pipe that is half full, not for one
	 * that is not empty. */
	LOOK_MS = 100,
	READS = 64, /* between two looks at signals */
	TIMEOUT = 256,
};

#define PRINTED "bpf_trace_printk"
/* "  NAME-PID  [CPU] FLAGS TIME: EVENT: " */
#define EVENT "-[0-9]+ .*\\[[0-9]+\\] [^ ]+ +[0-9]+\\.[0-9]+: ([a-z0-9_]+): "

struct debug {
	bool all;
	uint32_t seconds;   /* 0: until a signal comes */
	char dir[PATH_MAX]; /* of tracefs */
	int pipe, signals;
	regex_t event;
	bool shown;	  /* the line before */
	char line[16384]; /* what has come of one */
	size_t len;
	int failed; /* errno of standard output */
};

static int __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("lqosctl: debug: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return EXIT_FAILURE;
}

/* ---- The pipe ------------------------------------------------------------ */

/* Has a process path open? */
static bool has_open(const char *pid, const char *path)
{
	char dir[PATH_MAX], target[PATH_MAX];
	struct dirent *fd;
	bool found = false;
	DIR *fds;

	snprintf(dir, sizeof(dir), "/proc/%s/fd", pid);
	fds = opendir(dir);
	while (fds && !found && (fd = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), fd->d_name, target,
				       sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		found = !strcmp(target, path);
	}
	if (fds)
		closedir(fds);
	return found;
}

/* The pid of who else reads it; 0: nobody, or it cannot be told. */
static long other_reader(const char *path)
{
	DIR *procs = opendir("/proc");
	struct dirent *proc;
	long pid, found = 0;

	while (procs && !found && (proc = readdir(procs))) {
		pid = strtol(proc->d_name, NULL, 10);
		if (pid > 0 && pid != getpid() && has_open(proc->d_name, path))
			found = pid;
	}
	if (procs)
		closedir(procs);
	return found;
}

/* True: that is the place, and d->pipe is open, or errno says why it is not. */
static bool try_dir(struct debug *d, const char *dir, const char *below)
{
	char path[PATH_MAX + 16];

	if ((size_t)snprintf(d->dir, sizeof(d->dir), "%s%s", dir, below) >=
	    sizeof(d->dir))
		return false;
	snprintf(path, sizeof(path), "%s/trace_pipe", d->dir);
	d->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return d->pipe >= 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool try_mounts(struct debug *d)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;
	int saved;

	while (mounts && !found && (m = getmntent(mounts)))
		found = (!strcmp(m->mnt_type, "tracefs") &&
			 try_dir(d, m->mnt_dir, "")) ||
			(!strcmp(m->mnt_type, "debugfs") &&
			 try_dir(d, m->mnt_dir, "/tracing"));
	saved = errno;
	if (mounts)
		endmntent(mounts);
	errno = saved;
	return found;
}

static int open_pipe(struct debug *d)
{
	bool found = try_dir(d, "/sys/kernel/tracing", "") ||
		     try_dir(d, "/sys/kernel/debug/tracing", "") ||
		     try_mounts(d);
	char path[PATH_MAX + 16];
	int rc = errno;
	long who;

	if (!found)
		return fail("tracefs is mounted nowhere: mount -t tracefs "
			    "tracefs /sys/kernel/tracing");
	snprintf(path, sizeof(path), "%s/trace_pipe", d->dir);
	if (d->pipe < 0 && (rc == EACCES || rc == EPERM))
		return fail("%s: %s: it is for root (or the kernel is locked "
			    "down)",
			    path, strerror(rc));
	who = other_reader(path);
	if (d->pipe < 0 && rc == EBUSY)
		return fail("%s: it has room for one reader, and there is one "
			    "already (pid %ld; 0: it cannot be told): end that",
			    path, who);
	if (d->pipe < 0)
		return fail("%s: %s", path, strerror(rc));
	if (who)
		fail("pid %ld reads %s, too: each line goes to one of us", who,
		     path);
	return EXIT_SUCCESS;
}

static void say_if_off(const struct debug *d)
{
	char path[PATH_MAX + 16], on = '1';
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "%s/tracing_on", d->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &on, 1) == 1 && on == '0')
		fail("tracing is off, so nothing comes: echo 1 >%s", path);
}

/* ---- Lines --------------------------------------------------------------- */

/* What is no event is the rest of a text with more than one line, or says that
 * some were lost. */
static bool is_shown(const struct debug *d, const char *line)
{
	regmatch_t at[2];
	size_t len;

	if (d->all || strstr(line, " EVENTS]"))
		return true;
	if (regexec(&d->event, line, ARRAY_SIZE(at), at, 0))
		return d->shown;
	len = (size_t)(at[1].rm_eo - at[1].rm_so);
	return len == strlen(PRINTED) &&
	       !strncmp(line + at[1].rm_so, PRINTED, len);
}

static void put_line(struct debug *d)
{
	d->line[d->len] = '\0';
	d->shown = is_shown(d, d->line);
	if (d->shown && !d->failed && fwrite(d->line, d->len, 1, stdout) != 1)
		d->failed = errno;
	d->len = 0;
}

/* What is there, or a good part of it; -errno: of the pipe. */
static int copy(struct debug *d)
{
	char buf[4096];
	ssize_t n = 0, i;
	int turns;

	for (turns = 0; turns < READS; turns++) {
		n = read(d->pipe, buf, sizeof(buf));
		if (n <= 0)
			break;
		for (i = 0; i < n; i++) {
			d->line[d->len++] = buf[i];
			if (buf[i] == '\n' || d->len == sizeof(d->line) - 1)
				put_line(d);
		}
		if (!d->failed && fflush(stdout))
			d->failed = errno;
		if (d->failed)
			return 0;
	}
	return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int follow(struct debug *d)
{
	const int64_t end = now_ms() + (int64_t)d->seconds * 1000;
	struct pollfd fds[] = {{.fd = d->signals, .events = POLLIN},
			       {.fd = STDOUT_FILENO},
			       {.fd = d->pipe, .events = POLLIN}};
	int rc;

	do {
		if (poll(fds, ARRAY_SIZE(fds), LOOK_MS) < 0 && errno != EINTR)
			return fail("cannot wait for lines: %s",
				    strerror(errno));
		rc = copy(d);
		/* Who has read enough of a pipe. */
		if (d->failed == EPIPE || fds[1].revents & POLLERR)
			return EXIT_SUCCESS;
		if (d->failed)
			return fail("standard output: %s: expected a file or a "
				    "pipe that takes what comes",
				    strerror(d->failed));
		if (rc)
			return fail("%s/trace_pipe: %s", d->dir, strerror(-rc));
	} while (!fds[0].revents && (!d->seconds || now_ms() < end));
	return EXIT_SUCCESS;
}

/* ---- The command line ---------------------------------------------------- */

static const struct option long_options[] = {
	{"all", no_argument, NULL, 'a'},
	{"for", required_argument, NULL, 't'},
	{"json", no_argument, NULL, 'j'},
	{"verbose", no_argument, NULL, 'v'},
	{"socket", required_argument, NULL, 'S'},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

static int usage(void)
{
	fprintf(stderr, "Try 'lqosctl debug --help'.\n");
	return EXIT_USAGE;
}

static int help(void)
{
	printf("usage: lqosctl debug [OPTION]...\n\n"
	       "Prints what BPF programs trace with bpf_printk(), until ^C.\n\n"
	       "  -a, --all              whatever the kernel traces\n"
	       "  -t, --for=SECONDS      end after so long\n"
	       "  -h, --help\n"
	       "  -V, --version\n");
	return EXIT_SUCCESS;
}

/* An exit status; a negative number to go on. */
static int read_option(struct debug *d, int option)
{
	switch (option) {
	case 'a':
		d->all = true;
		return -1;
	case 't':
		if (!core_number(optarg, 1, SECONDS_MAX, &d->seconds))
			return -1;
		fail("--for=%s: expected a number from 1 to %d", optarg,
		     SECONDS_MAX);
		return usage();
	case 'h':
		return help();
	case 'V':
		printf("lqosctl %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	case 'j': /* of the daemon, which is not asked */
	case 'v':
	case 'S':
	case TIMEOUT:
		return -1;
	default:
		return usage();
	}
}

static int run(struct debug *d)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (d->signals < 0 || regcomp(&d->event, EVENT, REG_EXTENDED))
		return fail("cannot prepare for signals: %s", strerror(errno));
	rc = open_pipe(d);
	if (!rc) {
		say_if_off(d);
		rc = follow(d);
		close(d->pipe);
	}
	regfree(&d->event);
	close(d->signals);
	return rc;
}

int main(int argc, char **argv)
{
	static struct debug d;
	int c, rc = -1;

	while (rc < 0 && (c = getopt_long(argc, argv, "at:jvS:hV", long_options,
					  NULL)) != -1)
		rc = read_option(&d, c);
	if (rc >= 0)
		return rc;
	if (optind < argc) {
		fail("%s: no words are expected", argv[optind]);
		return usage();
	}
	return run(&d);
}
