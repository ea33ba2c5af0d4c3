/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * screen.c - the live screen: its loop, its keys and its connection.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curses.h>

#include "core/cleanup.h"
#include "modules/lqtop/screen.h"

enum {
	RETRY_MS = 1000,
	EVERY_MAX = 3600,
	CHUNK = 50, /* rows; offsets are multiples, so that readers share */
	KEY_ESCAPE = 27,
	KEY_CTRL_U = 21,
	KEY_CTRL_L = 12,
};

/* What is not drawn. */
struct loop {
	struct screen screen;
	unsigned int frames;
	uint64_t last_frame_ms, retry_ms;
	bool resolved; /* query.sort is a whole name */
	bool done;
	int status;
};

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
	caught = signo;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- The connection ------------------------------------------------------ */

static void lose(struct loop *loop)
{
	link_close(&loop->screen.link);
	loop->retry_ms = now_ms() + RETRY_MS;
}

/* What we were asked for cannot be had: end, and let main's stderr say why. */
static void give_up(struct loop *loop)
{
	link_close(&loop->screen.link);
	loop->done = true;
	loop->status = EXIT_FAILURE;
}

static void connect_now(struct loop *loop)
{
	struct screen *s = &loop->screen;
	int rc;

	rc = link_open(&s->link, loop->screen.options->bus, s->why);
	if (!rc && *s->query.sort && !loop->resolved) {
		rc = link_resolve(s->link, s->query.sort, sizeof(s->query.sort),
				  s->why);
		if (rc == -ENOENT || rc == -EEXIST) {
			give_up(loop);
			return;
		}
	}
	if (rc) {
		lose(loop);
		return;
	}
	loop->resolved = true;
	loop->last_frame_ms = now_ms();
	s->stale = true;
}

static void subscribe(struct loop *loop)
{
	struct screen *s = &loop->screen;

	if (link_subscribe(s->link, &s->query, s->why))
		lose(loop);
	s->stale = false;
}

static void push(uint64_t *history, size_t n, uint64_t v)
{
	if (n == SPARKS)
		memmove(history, history + 1, (n-- - 1) * sizeof(*history));
	history[n] = v == LQOS_NO_VALUE ? 0 : v;
}

static uint64_t total(const struct view *v, const char *ending)
{
	size_t i = column_ending(&v->subscribers, ending);

	return i == NO_COLUMN ? 0 : v->totals[i].rate;
}

/* A frame of a new second, not of another query. */
static void count_frame(struct loop *loop, const struct view *view)
{
	struct screen *s = &loop->screen;

	s->seq = view->seq;
	push(s->down, s->n_history, total(view, ".down.bytes"));
	push(s->up, s->n_history, total(view, ".up.bytes"));
	if (s->n_history < SPARKS)
		s->n_history++;
	if (++loop->frames == s->options->count)
		loop->done = true;
}

/* Takes the reference to frame. */
static void take_frame(struct loop *loop, json_t *frame)
{
	CORE_CLEANUP(view_free) struct view *view = NULL;
	struct screen *s = &loop->screen;
	json_int_t dropped = 0;
	int rc;

	rc = view_new(&view, json_object_get(frame, "data"));
	json_unpack(frame, "{s?I}", "dropped", &dropped);
	json_decref(frame);
	if (rc) {
		snprintf(s->why, sizeof(s->why),
			 "lqosd sent a frame that is not understood: lqtop and "
			 "lqosd are of different versions");
		lose(loop);
		return;
	}
	loop->last_frame_ms = now_ms();
	s->dropped += dropped;
	if (view->seq != s->seq)
		count_frame(loop, view);
	if (s->paused && s->view)
		return;
	view_free(&s->view);
	s->view = steal_ptr(view);
}

static void take_frames(struct loop *loop)
{
	struct screen *s = &loop->screen;
	json_t *frame;
	int rc = 0;

	while (s->link && !rc && !loop->done) {
		rc = link_next(s->link, 0, &frame, s->why);
		if (!rc)
			take_frame(loop, frame);
		else if (rc != -ETIMEDOUT)
			lose(loop);
	}
}

/* ---- What to show -------------------------------------------------------- */

/* Keeps the rows in sight among those there are, and asks for them. */
static void fit_window(struct screen *s)
{
	uint64_t rows = screen_rows(s), room = draw_room();
	unsigned int offset, limit;

	if (s->view && s->top + room > rows)
		s->top = rows > room ? rows - room : 0;
	offset = s->top / CHUNK * CHUNK;
	limit = (CHUNK + room + CHUNK - 1) / CHUNK * CHUNK;
	if (offset == s->query.offset && limit == s->query.limit)
		return;
	s->query.offset = offset;
	s->query.limit = limit;
	s->stale = true;
}

static void sort_by(struct screen *s, size_t column, bool reverse)
{
	snprintf(s->query.sort, sizeof(s->query.sort), "%s",
		 s->view->subscribers.columns[column].name);
	s->query.reverse = reverse;
	s->stale = true;
	s->top = 0;
	/* The rest comes with the daemon's answer, or after the pause. */
	view_sort(s->view, column, reverse);
}

static void move_sort(struct screen *s, int step)
{
	const struct view *v = s->view;
	size_t last;

	if (!v || !v->subscribers.n_columns)
		return;
	last = v->subscribers.n_columns - 1;
	if (v->sort == NO_COLUMN)
		sort_by(s, 0, s->query.reverse);
	else if (step < 0 ? v->sort > 0 : v->sort < last)
		sort_by(s, v->sort + step, s->query.reverse);
}

static void filter_changed(struct screen *s)
{
	s->stale = true;
	s->top = 0;
	s->n_history = 0; /* the totals are others' now */
	s->seq = 0;
}

static void filter_clear(struct screen *s)
{
	if (!*s->query.filter)
		return;
	s->query.filter[0] = '\0';
	filter_changed(s);
}

static void filter_shorten(struct screen *s)
{
	size_t n = strlen(s->query.filter);

	while (n && (s->query.filter[--n] & 0xc0) == 0x80)
		;
	s->query.filter[n] = '\0';
	filter_changed(s);
}

static void filter_add(struct screen *s, wchar_t c)
{
	char bytes[MB_LEN_MAX];
	size_t used = strlen(s->query.filter);
	int n = wctomb(bytes, c);

	/* JSON is UTF-8; another locale's letters are not */
	if (n < 1 || used + n >= sizeof(s->query.filter) || c < L' ' ||
	    (!text_utf8() && c > 126))
		return;
	memcpy(s->query.filter + used, bytes, n);
	s->query.filter[used + n] = '\0';
	filter_changed(s);
}

/* ---- Keys ---------------------------------------------------------------- */

static void filter_key(struct screen *s, wint_t key, bool special)
{
	if (key == '\n' || key == '\r' || (special && key == KEY_ENTER)) {
		s->editing = false;
	} else if (!special && key == KEY_ESCAPE) {
		filter_clear(s);
		s->editing = false;
	} else if ((special && key == KEY_BACKSPACE) || key == 127 ||
		   key == 8) {
		filter_shorten(s);
	} else if (!special && key == KEY_CTRL_U) {
		filter_clear(s);
	} else if (!special) {
		filter_add(s, key);
	}
}

static bool scroll_key(struct screen *s, wint_t key)
{
	uint64_t page = draw_room();
	uint64_t up = key == KEY_UP ? 1 : key == KEY_PPAGE ? page : 0;
	uint64_t down = key == KEY_DOWN ? 1 : key == KEY_NPAGE ? page : 0;

	if (key == KEY_HOME)
		s->top = 0;
	else if (key == KEY_END)
		s->top = screen_rows(s); /* fit_window() goes back a page */
	else if (up)
		s->top -= up < s->top ? up : s->top;
	else if (down)
		s->top += down;
	else
		return false;
	return true;
}

static void set_every(struct screen *s, int step)
{
	if ((step < 0 && s->query.every == 1) ||
	    (step > 0 && s->query.every == EVERY_MAX))
		return;
	s->query.every += step;
	s->stale = true;
}

static void command_key(struct screen *s, wint_t key)
{
	switch (key) {
	case '<':
	case ',':
		move_sort(s, -1);
		break;
	case '>':
	case '.':
		move_sort(s, 1);
		break;
	case 'r':
		if (s->view && s->view->sort != NO_COLUMN)
			sort_by(s, s->view->sort, !s->view->reverse);
		break;
	case '/':
		s->editing = true;
		break;
	case KEY_ESCAPE:
		filter_clear(s);
		break;
	case 'a':
		s->query.detail = !s->query.detail;
		s->stale = true;
		break;
	case 'i':
		s->page = PAGE_INTERFACES;
		break;
	case 'p':
	case 'Z':
		s->paused = !s->paused;
		break;
	case 'h':
	case '?':
		s->page = PAGE_HELP;
		break;
	case '+':
		set_every(s, 1);
		break;
	case '-':
		set_every(s, -1);
		break;
	case KEY_CTRL_L:
		clearok(curscr, TRUE);
		break;
	}
}

static void special_key(struct screen *s, wint_t key)
{
	if (key == KEY_LEFT)
		move_sort(s, -1);
	else if (key == KEY_RIGHT)
		move_sort(s, 1);
	else if (key == KEY_F(1))
		s->page = PAGE_HELP;
	else
		scroll_key(s, key);
}

static void take_keys(struct loop *loop)
{
	struct screen *s = &loop->screen;
	wint_t key;
	int kind;

	while ((kind = get_wch(&key)) != ERR) {
		bool special = kind == KEY_CODE_YES;

		if (special && key == KEY_RESIZE)
			continue;
		if (s->editing) {
			filter_key(s, key, special);
		} else if (!special && key == 'q') {
			loop->done = true;
		} else if (s->page != PAGE_SUBSCRIBERS) {
			s->page = PAGE_SUBSCRIBERS;
		} else if (special) {
			special_key(s, key);
		} else {
			command_key(s, key);
		}
	}
}

/* ---- The loop ------------------------------------------------------------ */

static int wait_ms(const struct loop *loop)
{
	uint64_t now = now_ms();

	if (loop->screen.link)
		return 1000; /* so that silence shows */
	return loop->retry_ms > now ? loop->retry_ms - now : 0;
}

static void wait_for_something(struct loop *loop, const sigset_t *unblocked)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = loop->screen.link ? link_fd(loop->screen.link) : -1,
		 .events = POLLIN},
	};
	int ms = wait_ms(loop);
	struct timespec timeout = {ms / 1000, ms % 1000 * 1000000};

	/* signals come only here, the window's new size too */
	if (ppoll(fds, ARRAY_SIZE(fds), &timeout, unblocked) > 0 &&
	    (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
		loop->done = true;
}

static void run(struct loop *loop, const sigset_t *unblocked)
{
	struct screen *s = &loop->screen;

	while (!loop->done && !caught) {
		fit_window(s);
		if (!s->link && now_ms() >= loop->retry_ms)
			connect_now(loop);
		if (s->link && s->stale && (!s->paused || !s->view))
			subscribe(loop);
		take_frames(loop);
		s->silent_ms = now_ms() - loop->last_frame_ms;
		draw_screen(s);
		if (loop->done)
			break;
		wait_for_something(loop, unblocked);
		take_keys(loop);
	}
}

/* All that ends us, and the window's size, wait for wait_for_something(). */
static void setup_signals(sigset_t *unblocked)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGWINCH);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		sigaction(ends[i], &action, NULL);
		sigaddset(&blocked, ends[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
}

int screen_run(const struct options *options)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	SCREEN *terminal;
	sigset_t unblocked;
	int status;

	if (!loop)
		return EXIT_FAILURE;
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		fprintf(stderr,
			"lqtop: terminal type \"%s\" is not known: set TERM, "
			"or use -b\n",
			getenv("TERM") ?: "");
		free(loop);
		return EXIT_FAILURE;
	}
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	setup_signals(&unblocked);
	draw_setup();

	loop->screen.options = options;
	loop->screen.query = options->query;
	run(loop, &unblocked);

	endwin();
	delscreen(terminal);
	sigprocmask(SIG_SETMASK, &unblocked, NULL);
	link_close(&loop->screen.link);
	view_free(&loop->screen.view);
	status = caught ? 128 + caught : loop->status;
	if (loop->status)
		fprintf(stderr, "lqtop: %s\n", loop->screen.why);
	free(loop);
	return status;
}
