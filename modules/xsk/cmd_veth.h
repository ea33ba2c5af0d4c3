/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_veth.h - two interfaces that are each other's wire, for this process. */
#ifndef XSK_CMD_VETH_H
#define XSK_CMD_VETH_H

#include <stdint.h>

#define CMD_VETH1 "dev1"
#define CMD_VETH2 "dev2"

extern const uint8_t cmd_veth_mac1[6], cmd_veth_mac2[6];

/*
 * dev1 and dev2, up and silent, in a network namespace of our own.  It ends
 * with this process, whatever ends that, and nobody else sees it.  Before
 * threads are made.  -errno, which is told.
 */
int cmd_veth_open(void);

#endif /* XSK_CMD_VETH_H */
