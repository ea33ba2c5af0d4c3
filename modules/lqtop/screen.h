/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* screen.h - the state of the live screen, between its keys and its drawing. */
#ifndef LQTOP_SCREEN_H
#define LQTOP_SCREEN_H

#include "modules/lqtop/options.h"
#include "modules/lqtop/view.h"

enum page { PAGE_SUBSCRIBERS, PAGE_INTERFACES, PAGE_HELP };

struct screen {
	const struct options *options;
	struct query query; /* as it is, or shall be: see stale */
	bool stale;	    /* the feed was not yet asked for query */
	struct link *link;  /* NULL: there is no connection */
	struct view *view;  /* NULL: no frame came yet */
	char why[WHY];	    /* there is no connection */
	uint64_t silent_ms; /* since the last frame */
	uint64_t dropped;   /* frames the daemon left out for us */
	uint64_t down[SPARKS], up[SPARKS]; /* totals, newest last */
	size_t n_history;
	uint64_t seq; /* of the newest in them */
	struct layout layout;
	uint64_t top; /* the first row shown, of all that match */
	enum page page;
	bool paused, editing; /* the filter is being typed */
};

/* Draws it all, once colours were set up. */
void draw_setup(void);
void draw_screen(struct screen *screen);
/* Rows of subscribers that there is room for. */
unsigned int draw_room(void);
/* Rows there are to scroll through. */
uint64_t screen_rows(const struct screen *screen);

#endif /* LQTOP_SCREEN_H */
