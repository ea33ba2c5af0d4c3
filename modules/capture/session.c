/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session.c - captures: what is on in the kernel, and who is sent what. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bpf/capture.h"
#include "bpf/capture.skel.h"
#include "core/cleanup.h"
#include "modules/capture/capture.h"

enum {
	TICK_MS = 50,
	/* The ring is looked at every 100 ms: until then there may be more. */
	LINGER_TICKS = 6,
	/* So long a client that does not read may take to hear the end. */
	PATIENCE_TICKS = 200,
	LEASE_S = 10, /* as long as the loop may hang; see cap_until */
	SOCKET_BYTES = 4 << 20,
	STEP_NS = 10000000,
};

#define NS_PER_S 1000000000ULL

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- The kernel's side --------------------------------------------------- */

static uint32_t index_of(const struct session *s)
{
	return (uint32_t)(s - s->cap->sessions);
}

bool session_is_on(const struct session *s)
{
	return s->fd >= 0 && !s->ticks_left;
}

/* Its rule is written before, and not after. */
static void switch_captures(struct capture *cap)
{
	uint32_t on = 0, snaplen = 0, i;

	for (i = 0; i < CAPTURES; i++) {
		if (!session_is_on(&cap->sessions[i]))
			continue;
		on |= 1U << i;
		if (cap->sessions[i].snaplen > snaplen)
			snaplen = cap->sessions[i].snaplen;
	}
	if (on)
		cap->skel->bss->cap_snaplen = snaplen;
	__atomic_store_n(&cap->skel->bss->cap_on, on, __ATOMIC_RELEASE);
}

static void renew_lease(struct capture *cap)
{
	cap->skel->bss->cap_until = now_ns() + LEASE_S * NS_PER_S;
}

static uint64_t dropped_by_place(const struct capture *cap, uint32_t place)
{
	uint64_t sum = 0;
	uint32_t cpu;

	for (cpu = 0; cpu < cap->cpus; cpu++)
		sum += cap->dropped[cpu].packets[place];
	return sum;
}

uint64_t session_dropped(const struct session *s)
{
	return dropped_by_place(s->cap, index_of(s)) - s->dropped_before;
}

/* ---- Sending ------------------------------------------------------------- */

static struct capture_batch *head_of(const struct session *s)
{
	return (struct capture_batch *)s->batch;
}

/* A batch goes whole, or is lost: nothing here waits.  -EAGAIN: it was lost;
 * -EPIPE: nobody is there any more. */
static int flush(struct session *s)
{
	struct capture_batch *head = head_of(s);
	uint32_t packets = head->packets;
	size_t used = s->used;
	ssize_t n;

	head->dropped = session_dropped(s);
	head->slow = s->slow;
	n = send(s->fd, s->batch, used, MSG_DONTWAIT | MSG_NOSIGNAL);
	s->used = sizeof(*head);
	if (n >= 0) {
		s->told = *head;
		s->packets += packets;
		s->cap->packets += packets;
	}
	head->packets = 0;
	if (n >= 0)
		return 0;
	s->slow += packets;
	s->cap->slow += packets;
	return errno == EPIPE || errno == ECONNRESET ? -EPIPE : -EAGAIN;
}

/* Which of the interfaces it is; UINT32_MAX: it is gone. */
static uint32_t interface_of(const struct capture *cap, uint32_t ifindex)
{
	uint32_t i, n = lqos_interfaces(cap->ctx);

	for (i = 0; i < n; i++)
		if (lqos_interface(cap->ctx, i)->ifindex == ifindex)
			return i;
	return UINT32_MAX;
}

static void add(struct session *s, const struct capture_record *record,
		uint32_t caplen)
{
	struct capture_record *copy;
	size_t size;

	if (caplen > s->snaplen)
		caplen = s->snaplen;
	size = capture_record_size(caplen);
	if (s->used + size > CAPTURE_BATCH_MAX && flush(s) == -EPIPE) {
		session_end(s);
		return;
	}
	copy = (struct capture_record *)(s->batch + s->used);
	memset(s->batch + s->used + size - 8, 0, 8);
	memcpy(copy, record, sizeof(*copy) + caplen);
	copy->caplen = caplen;
	copy->interface = interface_of(s->cap, record->interface);
	copy->wanted = 0;
	s->used += size;
	head_of(s)->packets++;
}

void sessions_record(const void *data, size_t len, void *arg)
{
	const struct capture_record *record = data;
	struct capture *cap = arg;
	uint32_t i;

	for (i = 0; i < CAPTURES; i++) {
		struct session *s = &cap->sessions[i];

		/* It may be of the one that had the place before. */
		if (record->wanted & 1U << i && s->fd >= 0 &&
		    record->ts >= s->since)
			add(s, record, (uint32_t)(len - sizeof(*record)));
	}
}

/* ---- Beginning and end --------------------------------------------------- */

struct session *session_free_place(struct capture *cap)
{
	uint32_t i;

	for (i = 0; i < CAPTURES; i++)
		if (cap->sessions[i].fd < 0)
			return &cap->sessions[i];
	return NULL;
}

void session_end(struct session *s)
{
	struct capture *cap = s->cap;
	uint32_t i;

	if (s->fd < 0)
		return;
	lqos_watch_cancel(&s->watch);
	close(s->fd);
	s->fd = -1;
	switch_captures(cap);
	free(s->target);
	free(s->batch);
	s->target = s->batch = NULL;
	for (i = 0; i < CAPTURES; i++)
		if (cap->sessions[i].fd >= 0)
			return;
	lqos_watch_cancel(&cap->timer);
}

void sessions_end(struct capture *cap)
{
	uint32_t i;

	for (i = 0; i < CAPTURES; i++)
		session_end(&cap->sessions[i]);
}

/* Nothing is expected of a client but its end. */
static void on_client(int fd, int events, void *arg)
{
	struct session *s = arg;
	char said[64];
	ssize_t n = recv(fd, said, sizeof(said), MSG_DONTWAIT);

	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	lqos_watch_cancel(&s->watch);
	s->ticks_left = LINGER_TICKS + PATIENCE_TICKS;
	switch_captures(s->cap);
}

/* The one in the middle, as we may be kept waiting between the two clocks. */
static int64_t good_offset(void)
{
	int64_t a = lqos_clock_offset(), b = lqos_clock_offset(),
		c = lqos_clock_offset();

	return (a > b) == (b > c) ? b : (a > b) == (c > a) ? a : c;
}

/* Steps of the wall clock are followed, but not what two readings of clocks
 * differ by. */
static void look_at_clocks(struct session *s)
{
	int64_t offset = good_offset(), by = offset - head_of(s)->offset;

	if (by > STEP_NS || by < -STEP_NS)
		head_of(s)->offset = offset;
}

static void tick_session(struct session *s)
{
	bool last = s->ticks_left && --s->ticks_left <= PATIENCE_TICKS;
	int rc = 0;

	if (last || head_of(s)->packets || s->slow != s->told.slow ||
	    session_dropped(s) != s->told.dropped)
		rc = flush(s);
	if (rc == -EPIPE || (last && (!rc || !s->ticks_left)))
		session_end(s);
	else
		look_at_clocks(s);
}

static void on_tick(void *arg)
{
	struct capture *cap = arg;
	uint32_t i;

	renew_lease(cap);
	for (i = 0; i < CAPTURES; i++)
		if (cap->sessions[i].fd >= 0)
			tick_session(&cap->sessions[i]);
}

static int start_watches(struct session *s, int fd)
{
	struct capture *cap = s->cap;
	int rc = 0;

	if (!cap->timer)
		rc = lqos_timer_every(cap->ctx, TICK_MS, on_tick, cap,
				      &cap->timer);
	return rc
		       ?: lqos_fd_watch(cap->ctx, fd, LQOS_READ, on_client, s,
					&s->watch);
}

int session_start(struct session *s, int fd, const char *target,
		  const struct capture_rule *rule, uint32_t snaplen)
{
	int bytes = SOCKET_BYTES, rc;
	autofree char *batch = malloc(CAPTURE_BATCH_MAX);
	autofree char *copy = strdup(target);
	struct capture *cap = s->cap;

	if (!batch || !copy)
		return -ENOMEM;
	/* As much as there may be, if not more. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	rc = start_watches(s, fd);
	if (rc)
		return rc; /* the timer does no harm */
	*s = (struct session){
		.cap = cap,
		.fd = fd,
		.watch = s->watch,
		.target = steal_ptr(copy),
		.by_circuit = rule->kind == CAPTURE_SLOT,
		.snaplen = snaplen,
		.dropped_before = dropped_by_place(cap, index_of(s)),
		.batch = steal_ptr(batch),
		.used = sizeof(struct capture_batch),
	};
	*head_of(s) = (struct capture_batch){.version = CAPTURE_WIRE,
					     .offset = good_offset()};
	memcpy((void *)&cap->skel->bss->cap_rules[index_of(s)], rule,
	       sizeof(*rule));
	renew_lease(cap);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	s->since = now_ns();
	switch_captures(cap);
	return 0;
}

/* ---- Circuits ------------------------------------------------------------ */

uint32_t capture_slot_of(const struct capture *cap, const char *circuit)
{
	return lqos_subscriber_find(cap->ctx, circuit) ?: UINT32_MAX;
}

void sessions_find_circuits(void *arg)
{
	struct capture *cap = arg;
	uint32_t i;

	for (i = 0; i < CAPTURES; i++)
		if (session_is_on(&cap->sessions[i]) &&
		    cap->sessions[i].by_circuit)
			cap->skel->bss->cap_rules[i].slot =
				capture_slot_of(cap, cap->sessions[i].target);
}
