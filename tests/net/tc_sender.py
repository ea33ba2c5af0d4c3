#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sends maps as tc did, or says what does not hold: tc_sender.py PATH HOW.

The maps are those of lqosctl exec, in which it runs; their ids are 100, 101 ...
HOW is honest, or a lie of the table below.
"""
import os
import socket
import struct
import sys
import time

path, how = sys.argv[1:3]


class Sent:
    """What goes into the datagram; lies change it."""

    def __init__(self):
        self.version = 1
        self.name = b"object.o"
        self.maps, self.fds = [], []
        for i, text in enumerate(os.environ["LQOS_MAPS"].split(";")):
            fd, _, *sizes = text.split(":")[2:8]
            kind, key, value, entries = map(int, sizes)
            self.maps.append([kind, key, value, entries, 0, 100 + i, 0, 0, 0])
            self.fds.append(int(fd))
        self.count = len(self.maps)
        self.cut = None
        self.more = b""
        self.rights = True

    def data(self):
        head = struct.pack("=HH64s4xQQ", self.version, self.count, self.name,
                           1, 2)
        maps = b"".join(struct.pack("=9I", *m) for m in self.maps)
        return (head + maps)[:self.cut] + self.more

    def control(self):
        if not self.rights:
            return []
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                 struct.pack("=%di" % len(self.fds), *self.fds))]


def change(sent, **values):
    for name, value in values.items():
        setattr(sent, name, value)


def set_map(sent, which, column, value):
    sent.maps[which][column] = value


LIES = {
    "honest": lambda s: None,
    "count_high": lambda s: change(s, count=70),
    "count_huge": lambda s: change(s, count=60000),
    "count_low": lambda s: change(s, count=1),
    "short": lambda s: change(s, cut=100),
    "long": lambda s: change(s, more=bytes(4000)),
    "empty": lambda s: change(s, cut=0),
    "version": lambda s: change(s, version=2),
    "no_rights": lambda s: change(s, rights=False),
    "few": lambda s: s.fds.pop(),
    "extra": lambda s: s.fds.append(0),
    "flood": lambda s: s.fds.extend([0] * (253 - len(s.fds))),
    "no_map": lambda s: change(s, fds=[0] + s.fds[1:]),
    "size": lambda s: set_map(s, 0, 2, 4096),
    "kind": lambda s: set_map(s, 0, 0, 29),
    "same_id": lambda s: set_map(s, 1, 5, 100),
    "large_id": lambda s: set_map(s, 1, 5, 0xffffffff),
    "no_end": lambda s: change(s, name=b"a" * 64),
}

sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(500):
    try:
        sock.connect(path)
        break
    except (FileNotFoundError, ConnectionRefusedError):
        time.sleep(0.02)
parcel = Sent()
LIES[how](parcel)
sock.sendmsg([parcel.data()], parcel.control())
