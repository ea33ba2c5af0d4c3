#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else's program, which passes everything.

usage: foreign.py [INTERFACE [xdp|tcx]]

Loads it, attaches it to the interface by a link (tcx: on the way out), prints
the program's id and holds both until its standard input ends.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_GET_INFO_BY_FD, LINK_CREATE = 5, 15, 28
# Of program and attachment the type, the flags, and the verdict.
HOOKS = {"xdp": (6, 37, 2, 2), "tcx": (3, 47, 0, 0)}

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    attr = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    fd = libc.syscall(BPF, command, attr, len(attr))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf(%d)" % command)
    return fd


def address(buffer):
    return ctypes.addressof(buffer)


hook = sys.argv[2] if len(sys.argv) > 2 else "xdp"
program_type, attach_type, flags, verdict = HOOKS[hook]
# r0 = verdict; exit
code = ctypes.create_string_buffer(
    struct.pack("<BBhiBBhi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0))
name = ctypes.create_string_buffer(b"MIT")
prog = bpf(PROG_LOAD, struct.pack("<IIQQIIQII16s", program_type, 2,
                                  address(code), address(name), 0, 0, 0, 0, 0, b"foreign"))
if len(sys.argv) > 1:
    bpf(LINK_CREATE, struct.pack("<IIII", prog,
                                 socket.if_nametoindex(sys.argv[1]),
                                 attach_type, flags))
info = ctypes.create_string_buffer(64)
bpf(OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", prog, len(info), address(info)))
print(struct.unpack_from("<II", info)[1], flush=True)
os.read(0, 1)
