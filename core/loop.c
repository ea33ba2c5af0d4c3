/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one event loop, on libevent: timers, descriptors, BPF ring buffers and
 * signals, and the one dispatch point into everybody's callbacks.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <event2/event.h>

#include "core/cleanup.h"
#include "core/core.h"

enum {
	RING_BUDGET = 1024, /* records a wake-up */
	RING_LOOK_MS = 100, /* for producers with BPF_RB_NO_WAKEUP */
	DEPTH_MAX = 16,	    /* of callbacks within callbacks that are timed */
	LOG_FLUSH_MS = 1000,
};

enum watch_kind { TIMER_EVERY, TIMER_ONCE, FD, RING, SIGNAL };

static const char *const kind_names[] = {
	[TIMER_EVERY] = "timer", [TIMER_ONCE] = "one-shot timer",
	[FD] = "descriptor",	 [RING] = "ring buffer",
	[SIGNAL] = "signal",
};

struct lqos_watch {
	enum watch_kind kind;
	struct lqos_ctx *ctx;
	struct core_owned *receipt;
	struct core_loop *loop;		/* NULL: the loop went away before it */
	struct lqos_watch *prev, *next; /* among the loop's watches */
	struct event *ev;
	bool running;	/* its callback is being called */
	bool cancelled; /* while it ran: free it afterwards */

	union {
		lqos_timer_fn timer;
		lqos_fd_fn fd;
		lqos_ringbuf_fn ring;
		void (*signal)(int signo, void *arg);
	} fn;
	void *arg;

	struct ring_buffer *ring;
	struct event *look; /* looks at the ring without being woken */
	size_t min_len;
	uint32_t budget; /* records left of this wake-up's */
};

/* A callback that is being run, on the stack of them. */
struct frame {
	char who[32]; /* a copy: the callback may free its context */
	const char *what;
	uint64_t started_ns;
	uint64_t inner_ns; /* spent in callbacks within it */
	bool may_take_long;
};

struct core_loop {
	struct core *core;
	struct event_base *base;
	struct event *log_flush;
	struct lqos_watch *watches;
	struct core_loop_stats stats;
	struct frame frames[DEPTH_MAX];
	unsigned int depth;
	bool stop;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct timeval ms_to_timeval(uint32_t ms)
{
	struct timeval tv = {
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};

	return tv;
}

/* ---- The loop ------------------------------------------------------------ */

static void on_log_flush(evutil_socket_t fd __attribute__((unused)),
			 short events __attribute__((unused)),
			 void *arg __attribute__((unused)))
{
	core_log_flush(false);
}

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	/* Else a timer set in a long callback, or between two ticks of the
	 * coarse clock, would run too early. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int core_loop_new(struct core_loop **out, struct core *core)
{
	const struct timeval flush = ms_to_timeval(LOG_FLUSH_MS);
	CORE_CLEANUP(core_loop_free)
	struct core_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;

	loop->core = core;
	loop->base = base_new();
	if (!loop->base)
		return -ENOMEM;
	loop->log_flush =
		event_new(loop->base, -1, EV_PERSIST, on_log_flush, NULL);
	if (!loop->log_flush || event_add(loop->log_flush, &flush))
		return -ENOMEM;

	*out = steal_ptr(loop);
	return 0;
}

/* Take the watch off the loop; its memory stays. */
static void watch_detach(struct lqos_watch *w)
{
	if (!w->loop)
		return;

	if (w->prev)
		w->prev->next = w->next;
	else
		w->loop->watches = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->loop = NULL;

	if (w->ev)
		event_free(w->ev);
	if (w->look)
		event_free(w->look);
}

void core_loop_free(struct core_loop **loop)
{
	struct core_loop *l = *loop;

	*loop = NULL;
	if (!l)
		return;

	/* Their contexts own them and free them later. */
	while (l->watches)
		watch_detach(l->watches);
	if (l->log_flush)
		event_free(l->log_flush);
	if (l->base)
		event_base_free(l->base);
	free(l);
}

int core_loop_run(struct core_loop *loop)
{
	int rc = 0;

	/* libevent forgets a break that was asked for before it runs. */
	if (!loop->stop)
		rc = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	loop->stop = false;
	return rc < 0 ? -EIO : 0;
}

void core_loop_stop(struct core_loop *loop)
{
	loop->stop = true;
	event_base_loopbreak(loop->base);
}

struct event_base *core_loop_base(struct core_loop *loop)
{
	return loop->base;
}

void core_loop_stats(const struct core_loop *loop, struct core_loop_stats *out)
{
	*out = loop->stats;
}

/* ---- The dispatch point -------------------------------------------------- */

static void enter(struct core_loop *loop, const char *who, const char *what)
{
	struct frame *frame;

	if (loop->depth++ >= DEPTH_MAX)
		return;
	frame = &loop->frames[loop->depth - 1];
	snprintf(frame->who, sizeof(frame->who), "%s", who);
	frame->what = what;
	frame->inner_ns = 0;
	frame->may_take_long = false;
	frame->started_ns = now_ns();
}

/*
 * A callback is charged what it took without the callbacks within it, so that
 * only the one that dawdled is named.
 */
static void leave(struct core_loop *loop)
{
	uint32_t limit_ms = loop->core->settings.slow_callback_ms;
	struct frame *frame;
	uint64_t total;
	uint64_t own;

	if (!loop->depth || --loop->depth >= DEPTH_MAX)
		return;
	frame = &loop->frames[loop->depth];
	total = now_ns() - frame->started_ns;
	own = total - frame->inner_ns;
	if (loop->depth)
		frame[-1].inner_ns += total;

	loop->stats.callbacks++;
	if (frame->may_take_long)
		return;
	if (own > loop->stats.slowest_ns)
		loop->stats.slowest_ns = own;
	if (!limit_ms || own <= limit_ms * UINT64_C(1000000))
		return;
	loop->stats.slow++;
	core_log(frame->who, LQOS_WARN,
		 "its %s callback took %llu ms: all else had to wait "
		 "(slow_callback_ms is %u)",
		 frame->what, (unsigned long long)(own / 1000000), limit_ms);
}

void core_loop_enter(struct lqos_ctx *ctx, const char *what)
{
	if (ctx->core->loop)
		enter(ctx->core->loop, ctx->name, what);
}

void core_loop_leave(struct lqos_ctx *ctx)
{
	if (ctx->core->loop)
		leave(ctx->core->loop);
}

void core_loop_may_take_long(struct core_loop *loop)
{
	if (loop->depth && loop->depth <= DEPTH_MAX)
		loop->frames[loop->depth - 1].may_take_long = true;
}

/* ---- Watches ------------------------------------------------------------- */

static void watch_free(struct lqos_watch *w)
{
	ring_buffer__free(w->ring);
	free(w);
}

/* Never calls back again from here on; the memory goes when nobody is in it. */
static void watch_release(void *obj)
{
	struct lqos_watch *w = obj;

	watch_detach(w);
	if (w->running)
		w->cancelled = true;
	else
		watch_free(w);
}

void lqos_watch_cancel(struct lqos_watch **w)
{
	struct lqos_watch *watch = *w;

	*w = NULL;
	if (!watch)
		return;
	core_disown(watch->ctx, &watch->receipt);
	watch_release(watch);
}

static void watch_begin(struct lqos_watch *w)
{
	w->running = true;
	enter(w->loop, w->ctx->name, kind_names[w->kind]);
}

/* false: the watch was cancelled meanwhile and is gone. */
static bool watch_end(struct lqos_watch *w, struct core_loop *loop)
{
	leave(loop);
	w->running = false;
	if (!w->cancelled)
		return true;
	watch_free(w);
	return false;
}

static int watch_new(struct lqos_watch **out, struct lqos_ctx *ctx,
		     enum watch_kind kind, void *arg)
{
	struct core_loop *loop = ctx->core->loop;
	struct lqos_watch *w;

	if (!loop)
		return -ENODEV;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;

	w->kind = kind;
	w->ctx = ctx;
	w->arg = arg;
	w->loop = loop;
	w->next = loop->watches;
	if (w->next)
		w->next->prev = w;
	loop->watches = w;
	*out = w;
	return 0;
}

/* The last step of each kind; takes w over, on failure too. */
static int watch_start(struct lqos_watch *w, const struct timeval *timeout,
		       struct lqos_watch **out)
{
	int rc;

	errno = 0;
	if (!w->ev || event_add(w->ev, timeout)) {
		rc = w->ev && errno ? -errno : -ENOMEM;
		watch_release(w);
		return rc;
	}
	rc = core_own(w->ctx, watch_release, w, &w->receipt);
	if (!rc && out)
		*out = w;
	return rc;
}

/* ---- Timers -------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd __attribute__((unused)),
		     short events __attribute__((unused)), void *arg)
{
	struct lqos_watch *w = arg;
	struct core_loop *loop = w->loop;
	bool once = w->kind == TIMER_ONCE;

	watch_begin(w);
	w->fn.timer(w->arg);
	if (watch_end(w, loop) && once)
		lqos_watch_cancel(&w);
}

static int timer_new(struct lqos_ctx *ctx, enum watch_kind kind, uint32_t ms,
		     lqos_timer_fn fn, void *arg, struct lqos_watch **out)
{
	/* libevent counts a period from when the timer was due, not from when
	 * it ran: being late does not add up. */
	short events = kind == TIMER_EVERY ? EV_PERSIST : 0;
	const struct timeval timeout = ms_to_timeval(ms);
	struct lqos_watch *w;
	int rc;

	rc = watch_new(&w, ctx, kind, arg);
	if (rc)
		return rc;
	w->fn.timer = fn;
	w->ev = event_new(w->loop->base, -1, events, on_timer, w);
	return watch_start(w, &timeout, out);
}

int lqos_timer_every(struct lqos_ctx *ctx, uint32_t ms, lqos_timer_fn fn,
		     void *arg, struct lqos_watch **out)
{
	if (!ms)
		return -EINVAL;
	return timer_new(ctx, TIMER_EVERY, ms, fn, arg, out);
}

int lqos_timer_once(struct lqos_ctx *ctx, uint32_t ms, lqos_timer_fn fn,
		    void *arg, struct lqos_watch **out)
{
	return timer_new(ctx, TIMER_ONCE, ms, fn, arg, out);
}

/* ---- Descriptors and signals --------------------------------------------- */

static void on_fd(evutil_socket_t fd, short events, void *arg)
{
	struct lqos_watch *w = arg;
	struct core_loop *loop = w->loop;
	int ready = 0;

	if (events & EV_READ)
		ready |= LQOS_READ;
	if (events & EV_WRITE)
		ready |= LQOS_WRITE;
	watch_begin(w);
	w->fn.fd(fd, ready, w->arg);
	watch_end(w, loop);
}

int lqos_fd_watch(struct lqos_ctx *ctx, int fd, int events, lqos_fd_fn fn,
		  void *arg, struct lqos_watch **out)
{
	short flags = EV_PERSIST;
	struct lqos_watch *w;
	int rc;

	if (fd < 0)
		return -EBADF;
	if (!events || events & ~(LQOS_READ | LQOS_WRITE))
		return -EINVAL;
	if (events & LQOS_READ)
		flags |= EV_READ;
	if (events & LQOS_WRITE)
		flags |= EV_WRITE;

	rc = watch_new(&w, ctx, FD, arg);
	if (rc)
		return rc;
	w->fn.fd = fn;
	w->ev = event_new(w->loop->base, fd, flags, on_fd, w);
	return watch_start(w, NULL, out);
}

static void on_signal(evutil_socket_t signo,
		      short events __attribute__((unused)), void *arg)
{
	struct lqos_watch *w = arg;
	struct core_loop *loop = w->loop;

	watch_begin(w);
	w->fn.signal(signo, w->arg);
	watch_end(w, loop);
}

int core_loop_signal(struct lqos_ctx *ctx, int signo,
		     void (*fn)(int signo, void *arg), void *arg)
{
	struct lqos_watch *w;
	int rc;

	if (signo <= 0 || signo >= NSIG)
		return -EINVAL;
	rc = watch_new(&w, ctx, SIGNAL, arg);
	if (rc)
		return rc;
	w->fn.signal = fn;
	w->ev = evsignal_new(w->loop->base, signo, on_signal, w);
	return watch_start(w, NULL, NULL);
}

/* ---- Ring buffers -------------------------------------------------------- */

/* libbpf stops at a negative return, after this record: none is lost. */
static int on_record(void *arg, void *data, size_t len)
{
	struct lqos_watch *w = arg;

	if (len < w->min_len)
		w->loop->stats.ring_short++;
	else
		w->fn.ring(data, len, w->arg);
	if (w->cancelled)
		return -ECANCELED;
	return --w->budget ? 0 : -EAGAIN;
}

static void on_ring(evutil_socket_t fd __attribute__((unused)),
		    short events __attribute__((unused)), void *arg)
{
	struct lqos_watch *w = arg;
	struct core_loop *loop = w->loop;
	struct timeval next = ms_to_timeval(RING_LOOK_MS);

	w->budget = RING_BUDGET;
	watch_begin(w);
	ring_buffer__consume(w->ring);
	if (!watch_end(w, loop))
		return;
	if (!w->budget) {
		/* The next round of the loop: event_active() would come before
		 * timers that are due. */
		loop->stats.ring_budget++;
		next = ms_to_timeval(0);
	}
	event_add(w->look, &next);
}

int lqos_ringbuf_watch(struct lqos_ctx *ctx, int map_fd, size_t min_len,
		       lqos_ringbuf_fn fn, void *arg, struct lqos_watch **out)
{
	const struct timeval look = ms_to_timeval(RING_LOOK_MS);
	struct lqos_watch *w;
	int rc;

	rc = watch_new(&w, ctx, RING, arg);
	if (rc)
		return rc;
	w->fn.ring = fn;
	w->min_len = min_len;
	w->ring = ring_buffer__new(map_fd, on_record, w, NULL);
	if (!w->ring) {
		rc = -errno;
		watch_release(w);
		return rc;
	}
	w->look = event_new(w->loop->base, -1, 0, on_ring, w);
	if (!w->look || event_add(w->look, &look)) {
		watch_release(w);
		return -ENOMEM;
	}
	w->ev = event_new(w->loop->base, ring_buffer__epoll_fd(w->ring),
			  EV_READ | EV_PERSIST, on_ring, w);
	return watch_start(w, NULL, out);
}
