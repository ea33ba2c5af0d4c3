/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lqosctl doctor: the daemon, by what it answers. */
#include <string.h>

#include "core/doctor.h"

static json_int_t number_at(const json_t *status, const char *a, const char *b,
			    const char *c)
{
	const json_t *at = json_object_get(status, a);

	if (b)
		at = json_object_get(at, b);
	if (c)
		at = json_object_get(at, c);
	return json_integer_value(at);
}

void doctor_daemon(struct doctor *d)
{
	const char *version;

	if (d->status) {
		version = json_string_value(
			json_object_get(d->status, "version"));
		doctor_ok(d, "lqosd %s answers", version ?: "?");
	} else if (d->daemon) {
		doctor_fail(d,
			    "lqosd (pid %d) lives, but does not answer at "
			    "%s/bus",
			    (int)d->daemon, d->settings->run_dir);
		doctor_type(d, "systemctl restart lqosd");
	} else if (d->left) {
		doctor_warn(d, "no lqosd runs, but what a dead one left is "
			       "attached and goes on as it was: nothing "
			       "changes and nobody counts");
		doctor_type(d, "systemctl start lqosd");
		doctor_type(d, "lqosctl detach    # or that: nothing is shaped "
			       "then");
	} else {
		doctor_warn(d, "no lqosd runs: nothing is steered or counted");
		doctor_type(d, "systemctl start lqosd");
	}
}

void doctor_subscribers(struct doctor *d)
{
	json_int_t n, skipped, addresses;

	if (!d->status)
		return;
	n = number_at(d->status, "subscribers", NULL, NULL);
	skipped = number_at(d->status, "problems", "skipped", NULL);
	addresses = number_at(d->status, "problems", "addresses", NULL);
	if (!n) {
		doctor_fail(d,
			    "lqosd knows no subscriber, so all traffic is "
			    "unknown hosts': is %s the right file, and is "
			    "there anything in it?",
			    *d->settings->shaped_devices
				    ? d->settings->shaped_devices
				    : "shaped_devices = (none)");
		doctor_type(d, "lqosd -t -c %s", d->config);
	} else if (skipped || addresses) {
		doctor_warn(d,
			    "%" JSON_INTEGER_FORMAT
			    " rows and %" JSON_INTEGER_FORMAT
			    " addresses of the subscribers' file were left "
			    "out; the log says which and why",
			    skipped, addresses);
		doctor_type(d, "lqosd -t -c %s", d->config);
	} else {
		doctor_ok(d, "%" JSON_INTEGER_FORMAT, n);
	}
}

void doctor_bypass(struct doctor *d)
{
	const json_t *bypass = json_object_get(d->status, "bypass");
	json_int_t left = number_at(d->status, "bypass", "seconds_left", NULL);

	if (!bypass)
		return;
	if (!left && !json_is_true(bypass)) {
		doctor_ok(d, "off");
		return;
	}
	doctor_warn(d,
		    "on for another %" JSON_INTEGER_FORMAT
		    " s: packets pass untouched, nothing is shaped",
		    left);
	doctor_type(d, "lqosctl bypass off");
}

void doctor_losses(struct doctor *d)
{
	json_int_t lost, received;

	if (!d->status)
		return;
	lost = number_at(d->status, "counters", "total", "cpu_lost");
	received = number_at(d->status, "counters", "total", "received");
	if (!lost) {
		doctor_ok(d, "no packet was lost between CPUs");
		return;
	}
	doctor_warn(d,
		    "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		    " packets were lost on the way to their CPU, which does "
		    "not keep up: see which one is busy",
		    lost, received);
	doctor_type(d, "mpstat -P ALL 1 3");
	doctor_type(d, "lqosctl -j status | jq .counters.cpus");
}
