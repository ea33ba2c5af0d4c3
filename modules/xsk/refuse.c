/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reasons, for people. */
#include <stdarg.h>
#include <stdio.h>

#include "modules/xsk/parts.h"

int xsk_refuse(int rc, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	if (!size)
		return rc;
	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return rc;
}
