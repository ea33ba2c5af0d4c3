/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_output.h - where the RTTs go, and in which of ePPing's formats.
 */
#ifndef MODULES_PPING_CMD_OUTPUT_H
#define MODULES_PPING_CMD_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "modules/pping/cmd_sample.h"

enum pping_format {
	PPING_STANDARD,
	PPING_JSON,  /* one array, on one line */
	PPING_JSONL, /* an object a line */
	PPING_PPVIZ,
	PPING_FORMATS,
};

extern const char *const pping_format_names[PPING_FORMATS];

struct pping_output {
	FILE *f;
	enum pping_format format;
	bool more;  /* than ePPing's members in an object */
	bool began; /* the array is not empty */
};

/* path NULL: stdout.  A file is added to, but for an array, which has to be the
 * first thing in it: -EEXIST if there is such a file. */
int pping_output_open(struct pping_output *out, const char *path,
		      enum pping_format format, bool more);
/* What has been written is out; -errno: not all of it. */
int pping_output_flush(struct pping_output *out);
/* Ends the array. */
int pping_output_close(struct pping_output *out);

bool pping_output_is_json(const struct pping_output *out);
/* Takes the reference. */
int pping_output_object(struct pping_output *out, json_t *object);
/* "HH:MM:SS.nnnnnnnnn", local time. */
void pping_output_time(struct pping_output *out, uint64_t timestamp);

int pping_output_sample(struct pping_output *out,
			const struct pping_sample *sample);
int pping_output_event(struct pping_output *out,
		       const struct pping_event *event);

#endif /* MODULES_PPING_CMD_OUTPUT_H */
