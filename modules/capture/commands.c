/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commands.c - capture.start and capture.list. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <jansson.h>

#include "core/cleanup.h"
#include "modules/capture/capture.h"

/* ---- capture.start ------------------------------------------------------- */

static int read_snaplen(struct lqos_call *call, uint32_t *out)
{
	const json_t *given =
		json_object_get(lqos_call_params(call), "snaplen");
	json_int_t snaplen =
		given ? json_integer_value(given) : CAPTURE_SNAPLEN_MAX;

	if (snaplen < CAPTURE_SNAPLEN_MIN || snaplen > CAPTURE_SNAPLEN_MAX)
		return lqos_call_fail(call, -EINVAL,
				      "snaplen: expected a number from %d to "
				      "%d",
				      CAPTURE_SNAPLEN_MIN, CAPTURE_SNAPLEN_MAX);
	*out = (uint32_t)snaplen;
	return 0;
}

/* An address or prefix is one, unless it is said to be a circuit's id; anything
 * else is one. */
static int read_target(const struct capture *cap, struct lqos_call *call,
		       const char **out, struct capture_rule *rule)
{
	const json_t *params = lqos_call_params(call);
	const json_t *circuit = json_object_get(params, "circuit");
	const char *target =
		json_string_value(json_object_get(params, "target"));
	struct lqos_ip_range range;

	if (!target || !*target)
		return lqos_call_fail(call, -EINVAL,
				      "target: expected an address, a prefix "
				      "or the id of a circuit");
	if (circuit && !json_is_boolean(circuit))
		return lqos_call_fail(call, -EINVAL,
				      "circuit: expected true (target is the "
				      "id of one, even if it looks like an "
				      "address) or false");
	*out = target;
	if (!json_is_true(circuit) && !lqos_ip_range_parse(target, &range)) {
		if (strchr(target, '%'))
			return lqos_call_fail(
				call, -EINVAL,
				"target \"%s\": expected an address without a "
				"VLAN, which is captured in all of them, or "
				"the id of its circuit",
				target);
		*rule = (struct capture_rule){
			.hi = range.hi,
			.lo = range.lo,
			.mask_hi = range.mask_hi,
			.mask_lo = range.mask_lo,
			.kind = range.ipv6 ? CAPTURE_IPV6 : CAPTURE_IPV4,
		};
		return 0;
	}
	*rule = (struct capture_rule){.kind = CAPTURE_SLOT,
				      .slot = capture_slot_of(cap, target)};
	if (rule->slot != UINT32_MAX)
		return 0;
	return lqos_call_fail(
		call, -ENOENT,
		"target \"%.128s\": no circuit has that id (is it in the file "
		"of shaped_devices?), nor is it an address or prefix: expected "
		"one like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/56",
		target);
}

static json_t *interface_names(const struct capture *cap)
{
	uint32_t i, n = lqos_interfaces(cap->ctx);
	json_t *names = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(
			names, json_string(lqos_interface(cap->ctx, i)->name));
	return names;
}

static int start(struct lqos_call *call, void *arg)
{
	static const char *const known[] = {"target", "circuit", "snaplen",
					    NULL};
	autoclose int ours = -1, theirs = -1;
	struct capture_rule rule;
	struct capture *cap = arg;
	struct session *s;
	const char *target = NULL;
	uint32_t snaplen = 0;
	char why[256];
	int fds[2], rc;

	rc = lqos_params_only(lqos_call_params(call), known, why, sizeof(why));
	if (rc)
		return lqos_call_fail(call, rc, "%s", why);
	rc = read_target(cap, call, &target, &rule)
		     ?: read_snaplen(call, &snaplen);
	if (rc)
		return rc;
	s = session_free_place(cap);
	if (!s)
		return lqos_call_fail(call, -EBUSY,
				      "%d captures are on, and there can be no "
				      "more: end one (lqosctl capture list "
				      "shows them)",
				      CAPTURES);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return lqos_call_fail(call, -errno,
				      "cannot make a socket: %s: LimitNOFILE= "
				      "of lqosd.service raises their number",
				      strerror(errno));
	ours = fds[0];
	theirs = fds[1];
	rc = lqos_call_fd(call, theirs);
	if (rc)
		return rc;
	rc = session_start(s, ours, target, &rule, snaplen);
	if (rc)
		return lqos_call_fail(call, rc, "cannot start a capture: %s",
				      strerror(-rc));
	steal_fd(&ours);
	lqos_call_result(call, json_pack("{s:s,s:b,s:i,s:o}", "target", target,
					 "circuit", (int)s->by_circuit,
					 "snaplen", (int)snaplen, "interfaces",
					 interface_names(cap)));
	return 0;
}

static const struct lqos_command start_command = {
	.name = "start",
	.params = "{target: string, circuit?: boolean, snaplen?: number}",
	.help = "Copies of the packets of an address, prefix or circuit; "
		"their socket comes with the answer: use lqosctl capture",
	.flags = LQOS_COMMAND_WRITE,
	.run = start,
};

/* ---- capture.list -------------------------------------------------------- */

static json_t *session_json(const struct session *s)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return json_pack(
		"{s:s,s:b,s:i,s:I,s:I,s:I,s:I}", "target", s->target, "circuit",
		(int)s->by_circuit, "snaplen", (int)s->snaplen, "seconds",
		(json_int_t)ts.tv_sec - (json_int_t)(s->since / 1000000000),
		"packets", (json_int_t)s->packets, "dropped",
		(json_int_t)session_dropped(s), "slow", (json_int_t)s->slow);
}

static int list(struct lqos_call *call, void *arg)
{
	const struct capture *cap = arg;
	json_t *out = json_array();
	uint32_t i;

	for (i = 0; i < CAPTURES; i++)
		if (session_is_on(&cap->sessions[i]))
			json_array_append_new(out,
					      session_json(&cap->sessions[i]));
	lqos_call_result(call, out);
	return 0;
}

static const struct lqos_command list_command = {
	.name = "list",
	.help = "The captures that are on, with what they lost in the ring "
		"buffer (dropped) and as their client did not read (slow)",
	.run = list,
};

int capture_add_commands(struct capture *cap)
{
	return lqos_command_add(cap->ctx, &start_command, cap)
		       ?: lqos_command_add(cap->ctx, &list_command, cap);
}
