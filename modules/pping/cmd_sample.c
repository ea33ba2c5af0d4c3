/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_sample.c - frames of the module's topics become structs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "modules/pping/cmd_sample.h"

enum type { TEXT, NUMBER, FLAG };

struct field {
	const char *column;
	enum type type;
	size_t offset;
};

/* clang-format off */
#define TUPLE(s)                                                      \
	{"timestamp_ns", NUMBER, offsetof(s, tuple.timestamp)},       \
	{"protocol", TEXT, offsetof(s, tuple.protocol)},              \
	{"src_ip", TEXT, offsetof(s, tuple.src_ip)},                  \
	{"src_port", NUMBER, offsetof(s, tuple.src_port)},            \
	{"dest_ip", TEXT, offsetof(s, tuple.dest_ip)},                \
	{"dest_port", NUMBER, offsetof(s, tuple.dest_port)}
/* clang-format on */

static const struct field sample_fields[] = {
	TUPLE(struct pping_sample),
	{"rtt_ns", NUMBER, offsetof(struct pping_sample, rtt)},
	{"min_rtt_ns", NUMBER, offsetof(struct pping_sample, min_rtt)},
	{"sent_packets", NUMBER, offsetof(struct pping_sample, sent_packets)},
	{"sent_bytes", NUMBER, offsetof(struct pping_sample, sent_bytes)},
	{"rec_packets", NUMBER, offsetof(struct pping_sample, rec_packets)},
	{"rec_bytes", NUMBER, offsetof(struct pping_sample, rec_bytes)},
	{"side", TEXT, offsetof(struct pping_sample, side)},
	{"kind", TEXT, offsetof(struct pping_sample, kind)},
	{"circuit_id", TEXT, offsetof(struct pping_sample, circuit_id)},
	{"egress", FLAG, offsetof(struct pping_sample, egress)},
	{"inexact", FLAG, offsetof(struct pping_sample, inexact)},
};

static const struct field event_fields[] = {
	TUPLE(struct pping_event),
	{"event", TEXT, offsetof(struct pping_event, event)},
	{"reason", TEXT, offsetof(struct pping_event, reason)},
	{"triggered_by", TEXT, offsetof(struct pping_event, triggered_by)},
};

static const struct field traffic_fields[] = {
	{"network", TEXT, offsetof(struct pping_traffic, network)},
	{"protocol", TEXT, offsetof(struct pping_traffic, protocol)},
	{"rx_packets", NUMBER, offsetof(struct pping_traffic, rx_packets)},
	{"rx_bytes", NUMBER, offsetof(struct pping_traffic, rx_bytes)},
	{"tx_packets", NUMBER, offsetof(struct pping_traffic, tx_packets)},
	{"tx_bytes", NUMBER, offsetof(struct pping_traffic, tx_bytes)},
};

enum { FIELDS_MAX = ARRAY_SIZE(sample_fields) };
_Static_assert(ARRAY_SIZE(event_fields) <= (size_t)FIELDS_MAX, "sum of all");
_Static_assert(ARRAY_SIZE(traffic_fields) <= (size_t)FIELDS_MAX, "sum of all");

/* Those of the rows that it reads; returns how many. */
static size_t fields_of(const struct pping_reader *reader,
			const struct field **out)
{
	if (reader->sample) {
		*out = sample_fields;
		return ARRAY_SIZE(sample_fields);
	}
	if (reader->event) {
		*out = event_fields;
		return ARRAY_SIZE(event_fields);
	}
	*out = traffic_fields;
	return ARRAY_SIZE(traffic_fields);
}

static int unlike(char why[static PPING_WHY], const char *topic,
		  const char *what)
{
	snprintf(why, PPING_WHY,
		 "%s: %s: are lqosctl and lqosd of different versions?", topic,
		 what);
	return -EPROTO;
}

/* at[i]: the place in a row of fields[i]. */
static int find_columns(const struct field *fields, size_t n,
			const json_t *columns, size_t at[],
			const char **missing)
{
	const json_t *column;
	size_t c;

	for (size_t i = 0; i < n; i++) {
		at[i] = json_array_size(columns);
		json_array_foreach((json_t *)columns, c, column) {
			const char *name = json_string_value(column);

			if (name && !strcmp(name, fields[i].column)) {
				at[i] = c;
				break;
			}
		}
		if (at[i] == json_array_size(columns)) {
			*missing = fields[i].column;
			return -EPROTO;
		}
	}
	return 0;
}

static bool read_value(const struct field *field, const json_t *value,
		       char *record)
{
	void *to = record + field->offset;

	if (field->type == TEXT && json_is_string(value))
		*(const char **)to = json_string_value(value);
	else if (field->type == NUMBER && json_is_integer(value) &&
		 json_integer_value(value) >= 0)
		*(uint64_t *)to = (uint64_t)json_integer_value(value);
	else if (field->type == FLAG && json_is_boolean(value))
		*(bool *)to = json_is_true(value);
	else
		return false;
	return true;
}

static int give(const struct pping_reader *reader, const void *record)
{
	if (reader->sample)
		return reader->sample(record, reader->arg);
	if (reader->event)
		return reader->event(record, reader->arg);
	return reader->traffic(record, reader->arg);
}

int pping_read(const struct pping_reader *reader, const char *topic,
	       const json_t *data, uint64_t *lost, char why[static PPING_WHY])
{
	const struct field *fields;
	size_t n = fields_of(reader, &fields);
	const json_t *rows = json_object_get(data, "rows");
	size_t at[FIELDS_MAX], i;
	const char *missing;
	char what[128];
	const json_t *row;
	int rc;

	*lost = (uint64_t)json_integer_value(json_object_get(data, "lost"));
	if (!json_is_array(rows))
		return unlike(why, topic, "there are no rows");
	rc = find_columns(fields, n, json_object_get(data, "columns"), at,
			  &missing);
	if (rc) {
		snprintf(what, sizeof(what), "there is no column %s", missing);
		return unlike(why, topic, what);
	}
	json_array_foreach((json_t *)rows, i, row) {
		union {
			struct pping_sample sample;
			struct pping_event event;
			struct pping_traffic traffic;
		} record;

		for (size_t f = 0; f < n; f++) {
			if (read_value(&fields[f], json_array_get(row, at[f]),
				       (char *)&record))
				continue;
			snprintf(what, sizeof(what), "a strange %s in a row",
				 fields[f].column);
			return unlike(why, topic, what);
		}
		rc = give(reader, &record);
		if (rc) {
			snprintf(why, PPING_WHY, "%s", strerror(-rc));
			return rc;
		}
	}
	return 0;
}
