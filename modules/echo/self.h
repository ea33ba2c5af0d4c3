/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* self.h - which addresses are our own. */
#ifndef MODULES_ECHO_SELF_H
#define MODULES_ECHO_SELF_H

#include <stddef.h>

#include "modules/echo/reply.h"

/* "192.0.2.1,2001:db8::1", or none.  -EINVAL: another text, or too many, and
 * why, of size bytes, says what was expected; *self is untouched then. */
int echo_self_parse(const char *text, struct echo_self *self, char *why,
		    size_t size);
/* -ENODEV: there is no such interface; -EOPNOTSUPP: it is no Ethernet. */
int echo_self_mac(const char *interface, struct echo_self *self);
/* Those the interface has now and are its alone: not before duplicates have
 * been looked for, nor where one was found.  *more: of them there was no room
 * for. */
int echo_self_addresses(const char *interface, struct echo_self *self,
			uint32_t *more);

#endif /* MODULES_ECHO_SELF_H */
