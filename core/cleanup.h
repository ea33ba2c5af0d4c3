/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleanup attributes; every destructor keeps errno. */
#ifndef CORE_CLEANUP_H
#define CORE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CORE_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void core_free_p(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

static inline void core_close_p(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void core_fclose_p(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	*f = NULL;
	errno = saved;
}

#define autofree   CORE_CLEANUP(core_free_p)
#define autoclose  CORE_CLEANUP(core_close_p) /* starts at -1 */
#define autofclose CORE_CLEANUP(core_fclose_p)

/* Hand a local's resource over to somebody else. */
#define steal_ptr(p)                         \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif /* CORE_CLEANUP_H */
