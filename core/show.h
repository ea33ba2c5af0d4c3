/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * show.h - JSON as text for people: objects as "key: value", arrays of objects
 * as aligned tables.  Values are not reformatted.  What could drive a terminal
 * is replaced.  Needs jansson only; ends the program if there is no memory.
 */
#ifndef CORE_SHOW_H
#define CORE_SHOW_H

#include <stdio.h>

#include <jansson.h>

/* value on lines of its own, each indented by so many blanks. */
void show_json(FILE *f, const json_t *value, unsigned int indent);
/* value in one line; strings without quotes, null as "-".  free() it. */
char *show_cell(const json_t *value);

/* text, where what could drive a terminal is "?": names come from files and
 * from the network. */
char *show_harmless(char *text);

#endif /* CORE_SHOW_H */
