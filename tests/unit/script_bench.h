/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bus that is played from a script by another process, and a program run
 * against it: what it printed is in out and err.
 */
#ifndef TESTS_UNIT_SCRIPT_BENCH_H
#define TESTS_UNIT_SCRIPT_BENCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRIPT_PATIENCE = 20, SCRIPT_WORDS = 24 };

struct script {
	char dir[64], path[80], heard[96], out[96], err[96];
	/* The answer to each call: what follows "id":N, in the reply. */
	const char *const *answers;
	/* Whole lines, once all answers are given; NULL ends the list. */
	const char *const *lines;
	bool stays; /* until killed; else the connection ends after the lines */
	pid_t pid;  /* of the daemon */
};

static char out[1 << 16], err[1 << 14], heard[1 << 14];

static inline void script_read(const char *path, char *to, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	fclose(f);
}

static inline void script_play(const struct script *s, int listener)
{
	FILE *notes = fopen(s->heard, "w");
	int fd = accept(listener, NULL, NULL), id = 0;
	FILE *in = fdopen(fd, "r");
	char line[4096], reply[1 << 14];

	if (!notes || !in)
		_exit(98);
	for (const char *const *a = s->answers; a && *a; a++) {
		if (!fgets(line, sizeof(line), in))
			_exit(0);
		fputs(line, notes);
		snprintf(reply, sizeof(reply),
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}\n", ++id, *a);
		if (write(fd, reply, strlen(reply)) < 0)
			_exit(0);
	}
	fclose(notes);
	for (const char *const *l = s->lines; l && *l; l++)
		if (write(fd, *l, strlen(*l)) < 0 || write(fd, "\n", 1) < 0)
			break;
	while (s->stays)
		pause();
	_exit(0);
}

static inline int script_setup(void **state)
{
	struct script *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(s->dir, "/tmp/lqos-script-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/bus", s->dir);
	snprintf(s->heard, sizeof(s->heard), "%s/heard", s->dir);
	snprintf(s->out, sizeof(s->out), "%s/out", s->dir);
	snprintf(s->err, sizeof(s->err), "%s/err", s->dir);
	*state = s;
	return 0;
}

static inline int script_teardown(void **state)
{
	struct script *s = *state;

	unlink(s->heard);
	unlink(s->out);
	unlink(s->err);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

static inline void script_start(struct script *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, s->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	assert_int_equal(listen(listener, 5), 0);
	s->pid = fork();
	if (!s->pid) {
		alarm(SCRIPT_PATIENCE);
		script_play(s, listener);
	}
	close(listener);
}

/* Starts the program in another process; words without its name. */
static inline pid_t script_spawn(struct script *s, int (*program)(int, char **),
				 const char *name, const char *const *words)
{
	const char *argv[SCRIPT_WORDS] = {name, "-S", s->path};
	int argc = 3;
	pid_t pid;

	while (*words)
		argv[argc++] = *words++;
	fflush(NULL);
	unlink(s->out);
	unlink(s->err);
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		if (!freopen(s->out, "w", stdout) ||
		    !freopen(s->err, "w", stderr))
			_exit(99);
		setvbuf(stderr, NULL, _IONBF, 0);
		alarm(SCRIPT_PATIENCE);
		exit(program(argc, (char **)argv));
	}
	return pid;
}

/* Its exit status, or minus the signal that killed it; ends the daemon. */
static inline int script_wait(struct script *s, pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (s->pid) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		s->pid = 0;
		unlink(s->path);
		if (!access(s->heard, F_OK))
			script_read(s->heard, heard, sizeof(heard));
	}
	script_read(s->out, out, sizeof(out));
	script_read(s->err, err, sizeof(err));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Until so much is in the file, which need not be there yet. */
static inline void script_wait_for(const char *path, long bytes)
{
	struct stat st;

	for (int i = 0; i < SCRIPT_PATIENCE * 100; i++) {
		if (!stat(path, &st) && st.st_size >= bytes)
			return;
		usleep(10000);
	}
	fail_msg("%s has not grown to %ld bytes", path, bytes);
}

#endif /* TESTS_UNIT_SCRIPT_BENCH_H */
