/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_output.c - ePPing's output, field for field.  Where ePPing prints what
 * nobody can use (ppviz's times with nine digits in all) it is as meant.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_output.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS 1e6

const char *const pping_format_names[PPING_FORMATS] = {
	[PPING_STANDARD] = "standard",
	[PPING_JSON] = "json",
	[PPING_JSONL] = "jsonl",
	[PPING_PPVIZ] = "ppviz",
};

/* ---- Files --------------------------------------------------------------- */

int pping_output_open(struct pping_output *out, const char *path,
		      enum pping_format format, bool more)
{
	FILE *f = stdout;

	if (path)
		f = fopen(path, format == PPING_JSON ? "wxe" : "ae");
	if (!f)
		return -errno;
	*out = (struct pping_output){.f = f, .format = format, .more = more};
	if (format == PPING_JSON)
		fputc('[', f);
	return 0;
}

int pping_output_flush(struct pping_output *out)
{
	errno = 0;
	if (!fflush(out->f) && !ferror(out->f))
		return 0;
	return errno ? -errno : -EIO;
}

int pping_output_close(struct pping_output *out)
{
	int rc;

	if (out->format == PPING_JSON)
		fputs("]\n", out->f);
	rc = pping_output_flush(out);
	if (out->f != stdout && fclose(out->f) && !rc)
		rc = -errno;
	out->f = NULL;
	return rc;
}

/* ---- Pieces -------------------------------------------------------------- */

bool pping_output_is_json(const struct pping_output *out)
{
	return out->format == PPING_JSON || out->format == PPING_JSONL;
}

int pping_output_object(struct pping_output *out, json_t *object)
{
	int rc;

	if (!object)
		return -ENOMEM;
	if (out->format == PPING_JSON && out->began)
		fputc(',', out->f);
	out->began = true;
	rc = json_dumpf(object, out->f, JSON_COMPACT) ? -EIO : 0;
	if (out->format == PPING_JSONL)
		fputc('\n', out->f);
	json_decref(object);
	return rc;
}

void pping_output_time(struct pping_output *out, uint64_t timestamp)
{
	time_t seconds = (time_t)(timestamp / NS_PER_S);
	struct tm tm = {};

	localtime_r(&seconds, &tm);
	fprintf(out->f, "%02d:%02d:%02d.%09" PRIu64, tm.tm_hour, tm.tm_min,
		tm.tm_sec, timestamp % NS_PER_S);
}

static void print_flow(struct pping_output *out, const struct pping_tuple *t)
{
	fprintf(out->f, "%s:%" PRIu64 "+%s:%" PRIu64, t->src_ip, t->src_port,
		t->dest_ip, t->dest_port);
}

static json_t *tuple_json(const struct pping_tuple *t)
{
	return json_pack("{s:I,s:s,s:I,s:s,s:I,s:s}", "timestamp",
			 (json_int_t)t->timestamp, "src_ip", t->src_ip,
			 "src_port", (json_int_t)t->src_port, "dest_ip",
			 t->dest_ip, "dest_port", (json_int_t)t->dest_port,
			 "protocol", t->protocol);
}

/* Takes the reference to members; returns object, or NULL without memory. */
static json_t *with(json_t *object, json_t *members)
{
	if (object && (!members || json_object_update(object, members))) {
		json_decref(object);
		object = NULL;
	}
	json_decref(members);
	return object;
}

/* ---- RTTs ---------------------------------------------------------------- */

static int sample_json(struct pping_output *out, const struct pping_sample *s)
{
	json_t *object = tuple_json(&s->tuple);

	object = with(object,
		      json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "rtt",
				(json_int_t)s->rtt, "min_rtt",
				(json_int_t)s->min_rtt, "sent_packets",
				(json_int_t)s->sent_packets, "sent_bytes",
				(json_int_t)s->sent_bytes, "rec_packets",
				(json_int_t)s->rec_packets, "rec_bytes",
				(json_int_t)s->rec_bytes, "match_on_egress",
				(int)s->egress));
	if (out->more)
		object = with(object,
			      json_pack("{s:s,s:s,s:s,s:b}", "circuit_id",
					s->circuit_id, "side", s->side, "kind",
					s->kind, "inexact", (int)s->inexact));
	return pping_output_object(out, object);
}

static void print_seconds(struct pping_output *out, uint64_t ns)
{
	fprintf(out->f, "%" PRIu64 ".%09" PRIu64 " ", ns / NS_PER_S,
		ns % NS_PER_S);
}

int pping_output_sample(struct pping_output *out, const struct pping_sample *s)
{
	if (pping_output_is_json(out))
		return sample_json(out, s);
	if (out->format == PPING_PPVIZ) {
		print_seconds(out, s->tuple.timestamp);
		print_seconds(out, s->rtt);
		print_seconds(out, s->min_rtt);
	} else {
		pping_output_time(out, s->tuple.timestamp);
		fprintf(out->f, " %.6g ms %.6g ms %s ",
			(double)s->rtt / NS_PER_MS,
			(double)s->min_rtt / NS_PER_MS, s->tuple.protocol);
	}
	print_flow(out, &s->tuple);
	fputc('\n', out->f);
	return 0;
}

/* ---- Flows --------------------------------------------------------------- */

int pping_output_event(struct pping_output *out, const struct pping_event *e)
{
	if (pping_output_is_json(out))
		return pping_output_object(
			out, with(tuple_json(&e->tuple),
				  json_pack("{s:s,s:s,s:s}", "flow_event",
					    e->event, "reason", e->reason,
					    "triggered_by", e->triggered_by)));
	if (out->format == PPING_PPVIZ)
		return 0; /* it knows of RTTs only */
	pping_output_time(out, e->tuple.timestamp);
	fprintf(out->f, " %s ", e->tuple.protocol);
	print_flow(out, &e->tuple);
	fprintf(out->f, " %s due to %s from %s\n", e->event, e->reason,
		e->triggered_by);
	return 0;
}
