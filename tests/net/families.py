#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command that can open sockets of some families only, as systemd does
by RestrictAddressFamilies=.

families.py FAMILIES COMMAND...  as in "AF_UNIX AF_INET"
"""
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, FAMILY = 0, 16 if sys.byteorder == "little" else 20
SOCKET = {"x86_64": 41}.get(platform.machine(), 198)
AF_XDP = 44  # which Python may not know


def refuse_others(families):
    n = len(families)
    code = [(LOAD, 0, 0, NUMBER), (JUMP_EQUAL, 0, n + 2, SOCKET), (LOAD, 0, 0, FAMILY)]
    code += [(JUMP_EQUAL, n - i, 0, f) for i, f in enumerate(families)]
    code += [(RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    program = struct.pack("HP", len(code), ctypes.addressof(filters))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for args in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if prctl(*args):
            sys.exit("prctl: " + os.strerror(ctypes.get_errno()))


refuse_others([AF_XDP if f == "AF_XDP" else getattr(socket, f) for f in sys.argv[1].split()])
os.execv(sys.argv[2], sys.argv[2:])
