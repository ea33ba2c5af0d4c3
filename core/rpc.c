/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON-RPC 2.0 over lines of text: the methods and how they are called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bus.h"
#include "core/cleanup.h"

enum {
	BATCH_MAX = 64,
	NAME_MAX_LEN = 64, /* of a method in an error's text */
};

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"

struct bus_command {
	LIST_ENTRY(bus_command) link;
	const struct lqos_command *decl;
	void *arg;
	struct lqos_ctx *ctx;
	struct core_owned *owned;
	char method[96];
};

struct lqos_call {
	struct core_bus_client *client;
	bool alone; /* in no batch, and to be answered */
	const json_t *params;
	json_t *result;
	int rc;	   /* of lqos_call_fail() */
	char *why; /* the same; NULL: not called */
};

/* Who asks, and the bus that is asked. */
struct peer {
	struct core_bus *bus;
	struct core_bus_client *client;
	uid_t uid;
	bool batch;
};

/* ---- Replies ------------------------------------------------------------- */

/* JSON carries UTF-8 only; texts here may quote whatever a peer or a file had.
 */
static json_t *any_text(char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;

	for (char *c = text; *c; c++)
		if (*c & 0x80)
			*c = '?';
	return json_string(text);
}

static json_t *LQOS_PRINTF(4, 0) error_reply(const json_t *id, int code, int rc,
					     const char *fmt, va_list ap)
{
	const char *name = rc ? strerrorname_np(abs(rc)) : NULL;
	autofree char *text = NULL;
	json_t *reply;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return NULL;
	}

	reply = json_pack("{s:s, s:O?, s:{s:i, s:o}}", "jsonrpc", "2.0", "id",
			  id, "error", "code", code, "message", any_text(text));
	if (reply && name)
		json_object_set_new(json_object_get(reply, "error"), "data",
				    json_pack("{s:s}", "errno", name));
	return reply;
}

json_t *core_rpc_error(const json_t *id, int code, int rc, const char *fmt, ...)
{
	json_t *reply;
	va_list ap;

	va_start(ap, fmt);
	reply = error_reply(id, code, rc, fmt, ap);
	va_end(ap);
	return reply;
}

/* Counts the error, and answers unless it was a notification. */
static int LQOS_PRINTF(6, 7)
	refuse(const struct peer *peer, json_t **reply, const json_t *id,
	       int code, int rc, const char *fmt, ...)
{
	json_t *error;
	va_list ap;

	peer->bus->stats.errors++;
	if (!id) {
		*reply = NULL;
		return 0;
	}

	va_start(ap, fmt);
	error = error_reply(id, code, rc, fmt, ap);
	va_end(ap);
	if (!error)
		return -ENOMEM;
	*reply = error;
	return 0;
}

/* ---- Methods ------------------------------------------------------------- */

static struct bus_command *command_find(const struct core_bus *bus,
					const char *method)
{
	struct bus_command *command;

	LIST_FOREACH(command, &bus->commands, link)
		if (!strcmp(command->method, method))
			return command;
	return NULL;
}

static void command_free(struct bus_command *command)
{
	LIST_REMOVE(command, link);
	free(command);
}

static void command_release(void *obj)
{
	command_free(obj);
}

void core_rpc_clear(struct core_bus *bus)
{
	struct bus_command *command;

	while ((command = LIST_FIRST(&bus->commands))) {
		core_disown(command->ctx, &command->owned);
		command_free(command);
	}
}

static void command_insert(struct core_bus *bus, struct bus_command *command)
{
	struct bus_command *after = NULL, *other;

	LIST_FOREACH(other, &bus->commands, link) {
		if (strcmp(other->method, command->method) > 0)
			break;
		after = other;
	}
	if (after)
		LIST_INSERT_AFTER(after, command, link);
	else
		LIST_INSERT_HEAD(&bus->commands, command, link);
}

int lqos_command_add(struct lqos_ctx *ctx, const struct lqos_command *cmd,
		     void *arg)
{
	struct core_bus *bus = ctx->core->bus;
	autofree struct bus_command *command = calloc(1, sizeof(*command));
	struct bus_command *added;
	size_t len;

	if (!command)
		return -ENOMEM;
	if (!bus)
		return lqos_fail(ctx, -ENOTCONN,
				 "command %s: there is no bus in this run",
				 cmd->name);
	len = snprintf(command->method, sizeof(command->method), "%s.%s",
		       ctx->name, cmd->name);
	if (len >= sizeof(command->method) || !*cmd->name ||
	    cmd->name[strspn(cmd->name, NAME_CHARS)] || !cmd->run)
		return lqos_fail(ctx, -EINVAL,
				 "command \"%s\": a short name of a-z 0-9 _ - "
				 "and a run() are needed",
				 cmd->name);
	if (command_find(bus, command->method))
		return lqos_fail(ctx, -EEXIST,
				 "command %s was added before: choose another "
				 "name",
				 command->method);

	command->decl = cmd;
	command->arg = arg;
	command->ctx = ctx;
	command_insert(bus, command);
	added = steal_ptr(command);
	return core_own(ctx, command_release, added, &added->owned);
}

json_t *core_bus_methods(const struct core_bus *bus)
{
	const struct bus_command *command;
	json_t *methods = json_array();

	LIST_FOREACH(command, &bus->commands, link) {
		const struct lqos_command *decl = command->decl;

		json_array_append_new(
			methods,
			json_pack("{s:s, s:s, s:s, s:b}", "method",
				  command->method, "params",
				  decl->params ? decl->params : "", "help",
				  decl->help ? decl->help : "", "write",
				  !!(decl->flags & LQOS_COMMAND_WRITE)));
	}
	return methods;
}

/* Letters that are not in both, counting from either end. */
static size_t unlikeness(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), min = la < lb ? la : lb;
	size_t head = 0, tail = 0;

	while (head < min && a[head] == b[head])
		head++;
	while (tail < min - head && a[la - 1 - tail] == b[lb - 1 - tail])
		tail++;
	return (la > lb ? la : lb) - head - tail;
}

static const char *did_you_mean(const struct core_bus *bus, const char *method)
{
	const struct bus_command *command;
	const char *best = NULL;
	size_t least = 3;

	LIST_FOREACH(command, &bus->commands, link) {
		size_t n = unlikeness(command->method, method);

		if (n < least) {
			least = n;
			best = command->method;
		}
	}
	return best;
}

/* ---- Calls --------------------------------------------------------------- */

const json_t *lqos_call_params(const struct lqos_call *call)
{
	return call->params;
}

void lqos_call_result(struct lqos_call *call, json_t *result)
{
	json_decref(call->result);
	call->result = result;
	if (!result)
		lqos_call_fail(call, -ENOMEM,
			       "no memory for the answer, or a text in it is "
			       "not UTF-8");
}

int lqos_call_fail(struct lqos_call *call, int rc, const char *fmt, ...)
{
	autofree char *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		why = NULL;
	va_end(ap);

	free(call->why);
	call->why = steal_ptr(why);
	call->rc = rc;
	return rc;
}

int lqos_call_fd(struct lqos_call *call, int fd)
{
	int rc;

	if (!call->client || !call->alone)
		return lqos_call_fail(call, -EOPNOTSUPP,
				      "the answer has descriptors with it: ask "
				      "for it in no batch, and with an id");
	/* What waits to leave cannot be overtaken. */
	if (core_bus_client_pending(call->client))
		return lqos_call_fail(
			call, -EBUSY,
			"the answer has descriptors with it: read "
			"what was sent before, and ask again, one "
			"request at a time");
	rc = core_bus_client_add_fd(call->client, fd);
	if (rc == -E2BIG)
		return lqos_call_fail(call, rc,
				      "more than %d descriptors with an answer",
				      CORE_FDS_MAX);
	if (rc == -EMFILE)
		return lqos_call_fail(call, rc,
				      "no descriptor is left: LimitNOFILE= of "
				      "lqosd.service raises their number");
	return rc ? lqos_call_fail(call, rc, "cannot copy descriptor %d: %s",
				   fd, strerror(-rc))
		  : 0;
}

struct core_bus_client *core_call_client(struct lqos_call *call)
{
	return call->client;
}

const char *core_call_asker(struct lqos_call *call, char *buf, size_t size)
{
	if (call->client)
		snprintf(buf, size, "uid %u, pid %d",
			 (unsigned int)core_bus_client_uid(call->client),
			 (int)core_bus_client_pid(call->client));
	else
		snprintf(buf, size, "nobody");
	return buf;
}

static int run(const struct peer *peer, const struct bus_command *command,
	       const json_t *params, const json_t *id, json_t **reply)
{
	struct lqos_call call = {.client = peer->client,
				 .alone = id && !peer->batch,
				 .params = params};
	struct lqos_ctx *ctx = command->ctx;
	int rc;

	core_loop_enter(ctx, command->method);
	rc = command->decl->run(&call, command->arg);
	core_loop_leave(ctx);

	if (rc >= 0)
		rc = call.rc;
	if (rc) {
		if (call.client)
			core_bus_client_drop_fds(call.client);
		json_decref(call.result);
		rc = refuse(peer, reply, id,
			    rc == -EINVAL ? RPC_INVALID_PARAMS : RPC_FAILED, rc,
			    "%s", call.why ? call.why : strerror(abs(rc)));
		free(call.why);
		return rc;
	}

	if (!call.result)
		call.result = json_null();
	if (!id) {
		json_decref(call.result);
		*reply = NULL;
		return 0;
	}
	*reply = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id,
			   "result", call.result);
	return *reply ? 0 : -ENOMEM;
}

/* What is no request is answered even without an id: it is then null. */
static int not_a_request(const struct peer *peer, json_t **reply,
			 const json_t *id, const char *why)
{
	if (!json_is_string(id) && !json_is_number(id))
		id = json_null();
	return refuse(peer, reply, id, RPC_INVALID_REQUEST, 0,
		      "invalid request: %s", why);
}

static int handle_one(const struct peer *peer, const json_t *request,
		      json_t **reply)
{
	const json_t *id = json_object_get(request, "id");
	const json_t *params = json_object_get(request, "params");
	const char *method =
		json_string_value(json_object_get(request, "method"));
	const char *version =
		json_string_value(json_object_get(request, "jsonrpc"));
	const struct bus_command *command;
	const char *alike;

	peer->bus->stats.requests++;
	if (!json_is_object(request))
		return not_a_request(peer, reply, id, "expected an object");
	if (!version || strcmp(version, "2.0"))
		return not_a_request(peer, reply, id,
				     "expected \"jsonrpc\": \"2.0\"");
	if (!method)
		return not_a_request(peer, reply, id,
				     "expected \"method\": a string");
	if (id && !json_is_string(id) && !json_is_number(id) &&
	    !json_is_null(id))
		return not_a_request(peer, reply, id,
				     "\"id\" is a string, a number or null");
	if (params && !json_is_object(params))
		return refuse(peer, reply, id, RPC_INVALID_PARAMS, -EINVAL,
			      "%.*s: \"params\" is an object or left out",
			      NAME_MAX_LEN, method);

	command = command_find(peer->bus, method);
	if (!command) {
		alike = did_you_mean(peer->bus, method);
		return refuse(peer, reply, id, RPC_NO_METHOD, 0,
			      "no method \"%.*s\"%s%s%s", NAME_MAX_LEN, method,
			      alike ? ": did you mean \""
				    : ": is its module loaded",
			      alike ? alike : "", alike ? "\"?" : "?");
	}
	if ((command->decl->flags & LQOS_COMMAND_WRITE) && peer->uid) {
		peer->bus->stats.denied++;
		return refuse(peer, reply, id, RPC_FAILED, -EPERM,
			      "method %s changes state: root only (you are uid "
			      "%u)",
			      command->method, (unsigned int)peer->uid);
	}
	return run(peer, command, params, id, reply);
}

static int handle_batch(const struct peer *alone, const json_t *batch,
			json_t **reply)
{
	const struct peer in_batch = {.bus = alone->bus,
				      .client = alone->client,
				      .uid = alone->uid,
				      .batch = true};
	const struct peer *peer = &in_batch;
	size_t n = json_array_size(batch);
	json_t *replies, *one;
	const json_t *request;
	size_t i, size = 0;
	int rc;

	if (!n)
		return not_a_request(peer, reply, NULL, "an empty batch");
	if (n > BATCH_MAX)
		return refuse(peer, reply, json_null(), RPC_INVALID_REQUEST, 0,
			      "a batch of %zu requests: at most %d", n,
			      BATCH_MAX);

	replies = json_array();
	json_array_foreach(batch, i, request) {
		/* All answers are in memory until the last is there. */
		if (size > CORE_BUS_OUT_MAX)
			rc = refuse(peer, &one, json_object_get(request, "id"),
				    RPC_FAILED, -EMSGSIZE,
				    "not run: the answers to what is before it "
				    "in the batch are over %d bytes: ask for "
				    "it by itself",
				    CORE_BUS_OUT_MAX);
		else
			rc = handle_one(peer, request, &one);
		if (!rc && one) {
			size += json_dumpb(one, NULL, 0, JSON_COMPACT);
			rc = json_array_append_new(replies, one) ? -ENOMEM : 0;
		}
		if (rc) {
			json_decref(replies);
			return rc;
		}
	}
	if (!json_array_size(replies)) {
		json_decref(replies);
		replies = NULL;
	}
	*reply = replies;
	return 0;
}

/*
 * What jansson would take too much stack, memory or time for; NULL: nothing.
 * A megabyte of "{},{},..." is 80 MB and 120 ms.
 */
static const char *too_much(const char *line, size_t len)
{
	unsigned int depth = 0, values = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];
		bool opens = c == '[' || c == '{';

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\';
		else if ((opens || c == ',') && ++values > CORE_BUS_VALUES_MAX)
			return "more than 32768 values";
		else if (opens && ++depth > CORE_BUS_DEPTH_MAX)
			return "nested deeper than 32";
		else if ((c == ']' || c == '}') && depth)
			depth--;
	}
	return NULL;
}
_Static_assert(CORE_BUS_VALUES_MAX == 32768 && CORE_BUS_DEPTH_MAX == 32,
	       "too_much() says so");

int core_bus_handle(struct core_bus *bus, struct core_bus_client *client,
		    uid_t uid, const char *line, size_t len, json_t **reply)
{
	const struct peer peer = {.bus = bus, .client = client, .uid = uid};
	const char *why = too_much(line, len);
	json_error_t error;
	json_t *request;
	int rc;

	if (why)
		return refuse(&peer, reply, json_null(), RPC_PARSE_ERROR, 0,
			      "parse error: %s", why);
	request = json_loadb(line, len,
			     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!request)
		return refuse(&peer, reply, json_null(), RPC_PARSE_ERROR, 0,
			      "parse error at byte %d: %s", error.position,
			      error.text);

	rc = json_is_array(request) ? handle_batch(&peer, request, reply)
				    : handle_one(&peer, request, reply);
	json_decref(request);
	return rc;
}
