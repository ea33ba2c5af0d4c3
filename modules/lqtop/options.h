/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.h - what lqtop was called with, and its two faces. */
#ifndef LQTOP_OPTIONS_H
#define LQTOP_OPTIONS_H

#include "modules/lqtop/link.h"

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV };

struct options {
	const char *bus;    /* NULL: the default */
	struct query query; /* sort may be a part of a name */
	unsigned int count; /* frames; 0: no end */
	unsigned int rows;  /* at most; 0: as many as there are */
	enum output output;
};

/* Both return the exit status. */
int batch_run(const struct options *options);
int screen_run(const struct options *options);

#endif /* LQTOP_OPTIONS_H */
