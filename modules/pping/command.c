/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lqosctl-pping - RTTs as they are measured, in ePPing's formats.  lqosctl runs
 * it for "lqosctl pping".
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/client.h"
#include "modules/pping/command.h"

#define NS_PER_S 1000000000

struct run {
	const struct pping_options *o;
	struct client *client;
	struct pping_output out;
	struct pping_aggregate *aggregate; /* NULL: every sample by itself */
	int64_t end, report;		   /* when; INT64_MAX: never */
	bool began;			   /* there has been output */
	bool complained;		   /* that it cannot be written */
	bool warned;			   /* that nobody is that circuit */
};

static int fail(const char *text)
{
	fprintf(stderr, "lqosctl: %s\n", text);
	return EXIT_FAILURE;
}

static int cannot_write(struct run *run, int rc)
{
	if (!run->complained)
		fprintf(stderr, "lqosctl: cannot write to %s: %s\n",
			run->o->write ?: "stdout", strerror(-rc));
	run->complained = true;
	return EXIT_FAILURE;
}

/* ---- Clocks -------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- Signals ------------------------------------------------------------- */

/* They are let in at all times, and once only but for SIGHUP: who is stuck in
 * a write to a pipe that nobody reads ends at the second. */
static volatile sig_atomic_t ended, hung_up;
static int waker = -1; /* an eventfd, so that none is slept through */

static void on_signal(int signal)
{
	const uint64_t one = 1;
	int saved = errno;

	if (signal == SIGHUP)
		hung_up = 1;
	else
		ended = 1;
	if (write(waker, &one, sizeof(one)) < 0)
		errno = saved; /* it is full, which wakes as well */
	errno = saved;
}

static int catch_signals(bool reopens)
{
	struct sigaction act = {.sa_handler = on_signal,
				.sa_flags = SA_RESTART | SA_RESETHAND};

	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waker < 0)
		return -errno;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	/* Without a file there is nothing to open anew: a terminal is gone. */
	if (reopens) {
		act.sa_flags = SA_RESTART;
		sigaction(SIGHUP, &act, NULL);
	}
	return 0;
}

static void clear_waker(void)
{
	uint64_t n;

	while (read(waker, &n, sizeof(n)) == sizeof(n))
		;
}

/* ---- Output -------------------------------------------------------------- */

static int open_output(struct run *run, struct pping_output *out)
{
	const struct pping_options *o = run->o;
	int rc = pping_output_open(out, o->write, o->format, o->verbose);

	if (rc || !run->aggregate)
		return rc;
	return pping_aggregate_head(run->aggregate, out, wall_ns());
}

/* The new file first: while there is none, the old one is as good. */
static int reopen(struct run *run)
{
	struct pping_output out;
	int rc = open_output(run, &out);

	if (rc) {
		fprintf(stderr, "lqosctl: cannot open %s anew: %s\n",
			run->o->write, strerror(-rc));
		return 0;
	}
	rc = pping_output_close(&run->out);
	run->out = out;
	return rc ? cannot_write(run, rc) : 0;
}

/* An exit status; a negative number to go on. */
static int report(struct run *run)
{
	int rc = pping_aggregate_report(run->aggregate, &run->out, wall_ns());

	rc = rc ?: pping_output_flush(&run->out);
	return rc ? cannot_write(run, rc) : -1;
}

static int finish(struct run *run, int status)
{
	int rc;

	/* The last interval is shorter, but it has been. */
	if (run->aggregate && report(run) >= 0)
		status = EXIT_FAILURE;
	rc = pping_output_close(&run->out);
	return rc ? cannot_write(run, rc) : status;
}

/* ---- Frames -------------------------------------------------------------- */

static int on_sample(const struct pping_sample *sample, void *arg)
{
	struct run *run = arg;

	return run->aggregate ? pping_aggregate_add(run->aggregate, sample)
			      : pping_output_sample(&run->out, sample);
}

static int on_event(const struct pping_event *event, void *arg)
{
	struct run *run = arg;

	return pping_output_event(&run->out, event);
}

static int on_traffic(const struct pping_traffic *traffic, void *arg)
{
	struct run *run = arg;

	return pping_aggregate_traffic(run->aggregate, traffic);
}

static void read_ecn(struct run *run, const json_t *counters)
{
	uint64_t packets[4];

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		packets[i] = (uint64_t)json_integer_value(
			json_array_get(counters, i));
	pping_aggregate_ecn(run->aggregate, packets);
}

static void tell_lost(struct run *run, const char *topic, uint64_t frames,
		      uint64_t rows)
{
	bool samples = !strcmp(topic, PPING_SAMPLES);

	if (rows)
		fprintf(stderr,
			"lqosctl: %" PRIu64 " %s were lost: more came than "
			"lqosd could take\n",
			rows, samples ? "samples" : "flow events");
	if (frames)
		fprintf(stderr,
			"lqosctl: %" PRIu64 " frames of %s were lost: they "
			"were not read fast enough\n",
			frames, topic);
	if (run->aggregate)
		pping_aggregate_lost(run->aggregate, frames, rows);
}

/* A word about a mistyped one; it may be there later, all the same. */
static void warn_of_circuit(struct run *run, const json_t *data)
{
	const json_t *id = json_object_get(run->o->params, "circuit");

	if (run->warned ||
	    !json_is_false(json_object_get(data, "circuit_known")))
		return;
	run->warned = true;
	fprintf(stderr,
		"lqosctl: circuit %s: no subscriber has that id, so there is "
		"nothing to print before one does: is it in the file of "
		"shaped_devices?\n",
		json_string_value(id));
}

/* An exit status; a negative number to go on. */
static int on_frame(struct run *run, const json_t *params)
{
	const char *topic = json_string_value(json_object_get(params, "topic"));
	const json_t *data = json_object_get(params, "data");
	struct pping_reader reader = {.arg = run};
	uint64_t rows = 0, frames;
	char why[PPING_WHY];
	int rc;

	if (topic && !strcmp(topic, PPING_SAMPLES))
		reader.sample = on_sample;
	else if (topic && !strcmp(topic, PPING_FLOWS))
		reader.event = on_event;
	else if (topic && !strcmp(topic, PPING_TRAFFIC) && run->aggregate)
		reader.traffic = on_traffic;
	else
		return -1;
	frames = (uint64_t)json_integer_value(
		json_object_get(params, "dropped"));
	rc = pping_read(&reader, topic, data, &rows, why);
	tell_lost(run, topic, frames, rows);
	if (rc)
		return fail(why);
	warn_of_circuit(run, data);
	if (reader.traffic)
		read_ecn(run, json_object_get(data, "ecn"));
	rc = pping_output_flush(&run->out);
	return rc ? cannot_write(run, rc) : -1;
}

static int on_message(struct run *run, const json_t *message)
{
	const json_t *params = json_object_get(message, "params");
	const char *method =
		json_string_value(json_object_get(message, "method"));
	const char *why;

	if (method && !strcmp(method, "feed.frame"))
		return on_frame(run, params);
	if (!method || strcmp(method, "feed.end"))
		return -1;
	why = json_string_value(json_object_get(params, "reason"));
	return fail(why ?: "lqosd ended the stream");
}

/* ---- The loop ------------------------------------------------------------ */

/* For poll(): until the sooner of two times. */
static int until(int64_t a, int64_t b)
{
	int64_t first = a < b ? a : b;
	int64_t left = first - now_ms();

	if (first == INT64_MAX)
		return -1;
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* What came in whole, one after the other; without any, waits for more. */
static int take(struct run *run)
{
	struct pollfd fds[] = {{.fd = client_fd(run->client), .events = POLLIN},
			       {.fd = waker, .events = POLLIN}};
	json_t *message;
	int rc = client_next(run->client, 0, &message);

	if (!rc) {
		rc = on_message(run, message);
		json_decref(message);
		return rc;
	}
	if (rc == -ECONNRESET)
		return fail("lqosd went away");
	if (rc != -ETIMEDOUT)
		return fail(strerror(-rc));
	if (poll(fds, ARRAY_SIZE(fds), until(run->end, run->report)) < 0 &&
	    errno != EINTR)
		return fail(strerror(errno));
	return -1;
}

static int tick(struct run *run)
{
	int64_t now = now_ms(),
		interval = 1000 * (int64_t)run->o->aggregate.seconds;

	if (hung_up) {
		hung_up = 0;
		if (reopen(run))
			return EXIT_FAILURE;
	}
	if (ended || now >= run->end)
		return EXIT_SUCCESS;
	if (now < run->report)
		return -1;
	/* Those that were slept through would be empty. */
	run->report += (now - run->report) / interval * interval + interval;
	return report(run);
}

static int loop(struct run *run)
{
	const struct pping_options *o = run->o;
	int64_t now = now_ms();
	int rc;

	run->end = o->seconds ? now + (int64_t)o->seconds * 1000 : INT64_MAX;
	run->report = INT64_MAX;
	if (run->aggregate)
		run->report = now + (int64_t)o->aggregate.seconds * 1000;
	do {
		clear_waker();
		rc = tick(run);
		if (rc < 0)
			rc = take(run);
	} while (rc < 0);
	return rc;
}

/* ---- The daemon ---------------------------------------------------------- */

/* Takes the reference to params; NULL: none. */
static int subscribe(struct run *run, const char *topic, json_t *params)
{
	char why[PPING_WHY];
	json_t *result;
	int rc;

	rc = client_call(
		run->client, "feed.subscribe",
		json_pack("{s:s,s:o*}", "topic", topic, "params", params),
		run->o->timeout * 1000, &result, why, sizeof(why));
	if (rc == -EREMOTEIO && !strncmp(why, "no topic", 8))
		return fail("lqosd runs without its module pping: add it to "
			    "modules in lqos.ini");
	if (rc)
		return fail(why);
	json_decref(result);
	return 0;
}

/* Packets are of no side: those of a report are all that the rest lets by. */
static int subscribe_traffic(struct run *run)
{
	const struct pping_aggregate_options *o = &run->o->aggregate;
	json_t *params =
		json_pack("{s:i,s:i}", "ipv4_prefix", (int)o->v4_length,
			  "ipv6_prefix", (int)o->v6_length);

	if (run->o->params)
		json_object_update_missing(params, run->o->params);
	json_object_del(params, "side");
	return subscribe(run, PPING_TRAFFIC, params);
}

static int subscribe_all(struct run *run)
{
	json_t *params = run->o->params;

	if (run->aggregate) {
		if (subscribe_traffic(run))
			return EXIT_FAILURE;
	} else if (run->o->format != PPING_PPVIZ &&
		   !json_object_get(params, "side")) {
		/* So that a flow is told to open before its first RTT.  It is
		 * of no side. */
		if (subscribe(run, PPING_FLOWS, json_incref(params)))
			return EXIT_FAILURE;
	}
	return subscribe(run, PPING_SAMPLES, json_incref(params));
}

static int connect_and_run(struct run *run)
{
	char why[PPING_WHY];
	int rc;

	if (client_open(&run->client, run->o->socket, why, sizeof(why)))
		return fail(why);
	if (subscribe_all(run))
		return EXIT_FAILURE;
	rc = open_output(run, &run->out);
	if (rc) {
		fprintf(stderr, "lqosctl: cannot open %s: %s\n",
			run->o->write ?: "stdout", strerror(-rc));
		return EXIT_FAILURE;
	}
	run->began = true;
	return finish(run, loop(run));
}

static int go(const struct pping_options *o)
{
	struct run run = {.o = o};
	int rc;

	rc = catch_signals(o->write);
	if (!rc && o->aggregate.seconds)
		rc = pping_aggregate_new(&run.aggregate, &o->aggregate);
	if (rc)
		return fail(strerror(-rc));
	rc = connect_and_run(&run);
	/* Who reads an array gets one, even if nothing has come of it. */
	if (rc && !run.began && !o->write && o->format == PPING_JSON)
		puts("[]");
	client_close(&run.client);
	pping_aggregate_free(&run.aggregate);
	close(waker);
	return rc;
}

int main(int argc, char **argv)
{
	struct pping_options o;
	int rc = pping_options_read(&o, argc, argv);

	if (rc < 0)
		rc = go(&o);
	json_decref(o.params);
	return rc;
}
