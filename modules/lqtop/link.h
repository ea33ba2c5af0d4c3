/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link.h - lqtop's connection to the feed: one subscription at a time. */
#ifndef LQTOP_LINK_H
#define LQTOP_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* What to ask the feed for. */
struct query {
	char sort[64];	  /* "": what the daemon sorts by */
	char filter[128]; /* "": everybody */
	bool reverse, detail;
	unsigned int offset, limit;
	unsigned int every; /* seconds */
};

/* Text on failure: one line for people. */
enum { WHY = 2048 };

struct link;

/* path NULL: the default bus. */
int link_open(struct link **out, const char *path, char why[static WHY]);
void link_close(struct link **link);
int link_fd(const struct link *link);
/* From now on the frames are those of query. */
int link_subscribe(struct link *link, const struct query *query,
		   char why[static WHY]);
/*
 * The next frame: the params of its notification, a new reference.  timeout_ms
 * 0: only what is there already.  -ETIMEDOUT: none; else the link is of no more
 * use and why says so.
 */
int link_next(struct link *link, int timeout_ms, json_t **frame,
	      char why[static WHY]);
/*
 * Replace sort, which may be a part of a column's name, by the whole name.
 * -ENOENT, -EEXIST: it is none, or of several.
 */
int link_resolve(struct link *link, char *sort, size_t size,
		 char why[static WHY]);

#endif /* LQTOP_LINK_H */
