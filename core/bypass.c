/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bypass.c - the switch that lets packets pass untouched for a while.  The
 * programs know until when, so that it ends even if nobody is there to end it.
 */
#include <time.h>

#include <jansson.h>

#include "core/cleanup.h"
#include "core/datapath.h"

#include "bpf/datapath.skel.h"

#define WHO "datapath"

enum { SECONDS = 300, SECONDS_MAX = 86400, NS_PER_S = 1000000000 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Rounded up; 0: it is over. */
static uint64_t seconds_left(const struct core_datapath *dp)
{
	uint64_t until = dp->skel->bss->dp_bypass, now = now_ns();

	return until > now ? (until - now + NS_PER_S - 1) / NS_PER_S : 0;
}

json_t *bypass_json(const struct core_datapath *dp)
{
	uint64_t left = seconds_left(dp);

	return json_pack("{s:b,s:I}", "bypass", left > 0, "seconds_left",
			 (json_int_t)left);
}

static void end(struct core_datapath *dp, const char *why)
{
	dp->skel->bss->dp_bypass = 0;
	core_log(WHO, LQOS_WARN, "bypass is off (%s): packets are shaped again",
		 why);
}

void bypass_watch(struct core_datapath *dp)
{
	if (dp->skel->bss->dp_bypass && !seconds_left(dp))
		end(dp, "its time is over");
}

static int run_bypass(struct lqos_call *call, void *arg)
{
	const json_t *on = json_object_get(lqos_call_params(call), "on");
	const json_t *given =
		json_object_get(lqos_call_params(call), "seconds");
	json_int_t seconds = given ? json_integer_value(given) : SECONDS;
	struct core_datapath *dp = arg;

	if (!json_is_boolean(on))
		return lqos_call_fail(call, -EINVAL,
				      "on: expected true or false");
	if (seconds < 1 || seconds > SECONDS_MAX)
		return lqos_call_fail(call, -EINVAL,
				      "seconds: expected a number from 1 to %d",
				      SECONDS_MAX);
	if (json_is_true(on)) {
		dp->skel->bss->dp_bypass =
			now_ns() + (uint64_t)seconds * NS_PER_S;
		core_log(WHO, LQOS_WARN,
			 "bypass is on for %lld s: packets pass untouched",
			 (long long)seconds);
	} else if (dp->skel->bss->dp_bypass) {
		end(dp, "switched off");
	}
	lqos_call_result(call, bypass_json(dp));
	return 0;
}

static const struct lqos_command bypass = {
	.name = "bypass",
	.params = "{on: bool, seconds?: number}",
	.help = "Let packets pass untouched, for 300 seconds unless said",
	.flags = LQOS_COMMAND_WRITE,
	.run = run_bypass,
};

int bypass_add(struct core_datapath *dp)
{
	return lqos_command_add(dp->core->ctx, &bypass, dp);
}
