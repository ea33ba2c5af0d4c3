#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else's XDP program, which passes everything.

usage: xdp_pass.py [INTERFACE]

Loads it, attaches it to the interface by a link, prints the program's id and
holds both until its standard input ends.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_GET_INFO_BY_FD, LINK_CREATE = 5, 15, 28
TYPE_XDP, ATTACH_XDP, SKB_MODE = 6, 37, 2

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    attr = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    fd = libc.syscall(BPF, command, attr, len(attr))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf(%d)" % command)
    return fd


def address(buffer):
    return ctypes.addressof(buffer)


# r0 = XDP_PASS; exit
code = ctypes.create_string_buffer(
    struct.pack("<BBhiBBhi", 0xB7, 0, 0, 2, 0x95, 0, 0, 0))
name = ctypes.create_string_buffer(b"MIT")
prog = bpf(PROG_LOAD, struct.pack("<IIQQIIQII16s", TYPE_XDP, 2, address(code),
                                  address(name), 0, 0, 0, 0, 0, b"foreign"))
if len(sys.argv) > 1:
    bpf(LINK_CREATE, struct.pack("<IIII", prog,
                                 socket.if_nametoindex(sys.argv[1]),
                                 ATTACH_XDP, SKB_MODE))
info = ctypes.create_string_buffer(64)
bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", prog, len(info), address(info)))
print(struct.unpack_from("<II", info)[1], flush=True)
os.read(0, 1)
