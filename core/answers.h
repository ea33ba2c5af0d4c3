/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answers.h - what bus methods answer, as people want to read it. */
#ifndef CORE_ANSWERS_H
#define CORE_ANSWERS_H

#include <stdbool.h>

#include <jansson.h>

/* To stdout; value is used up, but the reference stays the caller's. */
void answer_show(const char *method, json_t *value, bool verbose);
/* Methods of one module: objects with "verb", "params", "help", "write". */
void answer_show_verbs(const json_t *verbs);

#endif /* CORE_ANSWERS_H */
