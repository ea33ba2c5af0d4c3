#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many who ask lqosd for descriptors of maps at once, not all of them well.

    exec_storm.py BUS N HOW

HOW is what becomes of every other one of the N connections:
    well    nothing
    die     it goes away while the answer is on its way
    half    it sends half a request, and goes
    gifts   its request brings descriptors of its own
    lies    its request is nonsense
    pipe    it sends its request ten times, and reads only then

Prints, as JSON, how many were answered with all descriptors, refused with a
reason, or neither.
"""
import array
import json
import os
import resource
import select
import socket
import sys

REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "core.grant",
           "params": {"maps": ["many:many_0[0-5]?"]}}
WANTED = 61  # 60 maps and what they are made of
LIES = [
    {"maps": "many"}, {"maps": [1]}, {"maps": [""]}, {"maps": ["x" * 4096]},
    {"maps": ["*"] * 300}, {"maps": ["many:*"], "write": 1},
    {"maps": ["many:*"], "from": -1}, {"maps": ["many:*"], "from": 1 << 40},
    {"maps": ["many:*"], "version": 2}, {"maps": {"many": "*"}},
    {"programs": [None]}, {"maps": ["many:secret"]}, {"maps": ["no:such"]},
    {"maps": ["[[[[["]}, {"maps": ["many:" + "*" * 100 + "x"]},
]


def request(params=None):
    if params is None:
        return json.dumps(REQUEST).encode() + b"\n"
    return json.dumps(REQUEST | {"params": params}).encode() + b"\n"


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(path)
    return sock


def answer(sock, tally, wanted=WANTED):
    """One whole line, and the descriptors that came with it."""
    text, fds = b"", []
    try:
        while not text.endswith(b"\n"):
            part, control, flags, _ = sock.recvmsg(
                1 << 20, socket.CMSG_SPACE(253 * 4))
            for _, _, data in control:
                got = array.array("i")
                got.frombytes(data)
                fds += got
            if not part or flags & socket.MSG_CTRUNC:
                break
            text += part
    except OSError:
        pass
    for fd in fds:
        os.close(fd)
    lines = [json.loads(line) for line in text.split(b"\n") if line]
    if any("result" in line for line in lines) and len(fds) == wanted:
        tally["answered"] += 1
    elif lines and not fds and all(line.get("error", {}).get("message")
                                   for line in lines):
        tally["refused"] += 1
    else:
        tally["neither"] += 1


def misbehave(sock, how, i, tally):
    """True: there is an answer to come."""
    if how == "half":
        sock.send(request()[:40])
        sock.close()
        return False
    if how == "die":
        sock.send(request())
        # Some before it is served, some with the answer unread.
        if i % 4:
            select.select([sock], [], [], 0.005)
        sock.close()
        return False
    if how == "gifts":
        null = os.open("/dev/null", os.O_RDONLY)
        sock.sendmsg([request()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                    array.array("i", [null] * 100))])
        os.close(null)
        return True
    if how == "lies":
        sock.send(request(LIES[i // 2 % len(LIES)]))
        return True
    if how == "pipe":
        sock.send(request() * 10)
        return True
    sock.send(request())
    return True


def main(path, n, how):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, n + 4096), hard))
    socks, tally = [], {"answered": 0, "refused": 0, "neither": 0}
    for _ in range(n):
        socks.append(connect(path))
    waiting = []
    for i, sock in enumerate(socks):
        if misbehave(sock, how if i % 2 else "well", i, tally):
            waiting.append(sock)
    for sock in waiting:
        answer(sock, tally)
        sock.close()
    print(json.dumps(tally))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
