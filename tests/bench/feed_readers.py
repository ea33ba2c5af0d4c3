#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Readers of lqtop.top, many in one process, and what they got.

usage: feed_readers.py BUS PID READERS SECONDS [--slow]
       feed_readers.py BUS PID --requests SECONDS

Prints one object of JSON: frames a second, the slowest reader's delay behind
the first one's in a tick, how much CPU of the daemon (PID) it took.  --slow:
one more reader, who never reads.  --requests: calls of "status" one after the
other, over one connection.
"""
import json
import resource
import selectors
import socket
import sys
import time

SUBSCRIBE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "feed.subscribe",
    "params": {"topic": "lqtop.top", "params": {"limit": 50}}}) + "\n"
WARM_UP = 2.5  # until all have their first frames


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def connect(bus):
    s = socket.socket(socket.AF_UNIX)
    s.connect(bus)
    return s


def subscribe(bus):
    s = connect(bus)
    s.sendall(SUBSCRIBE.encode())
    s.setblocking(False)
    return s


def read_for(selector, seconds, arrivals, rest):
    """Notes when each line came.  rest: of each socket, what has no end yet."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            data = key.fileobj.recv(1 << 20)
            if not data:
                sys.exit("feed_readers: lqosd has hung up")
            now = time.monotonic()
            line = rest[key.fd] + data
            n = data.count(b"\n")
            arrivals.extend([now] * n)
            rest[key.fd] = line[line.rfind(b"\n") + 1:] if n else line


def spread_ms(arrivals):
    """In the worst tick but one, from the first reader to the last."""
    ticks = []
    for when in sorted(arrivals):
        if not ticks or when - ticks[-1][0] > 0.5:
            ticks.append([when, when])
        ticks[-1][1] = when
    spreads = sorted((b - a) * 1e3 for a, b in ticks)
    return spreads[-2] if len(spreads) > 2 else spreads[-1]


def read_feed(bus, pid, readers, seconds, slow):
    selector = selectors.DefaultSelector()
    rest = {}
    silent = [subscribe(bus)] if slow else []
    for s in silent:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(readers):
        s = subscribe(bus)
        selector.register(s, selectors.EVENT_READ)
        rest[s.fileno()] = b""
    read_for(selector, WARM_UP, [], rest)
    arrivals = []
    before, began = cpu_ms(pid), time.monotonic()
    read_for(selector, seconds, arrivals, rest)
    took = time.monotonic() - began
    return {"frames": len(arrivals) / took, "cpu_ms":
            (cpu_ms(pid) - before) / took,
            "spread_ms": spread_ms(arrivals) if arrivals else None}


def call(bus, pid, seconds):
    s = connect(bus)
    lines = s.makefile("r")
    request = b'{"jsonrpc": "2.0", "id": 1, "method": "core.status"}\n'
    before, began, n = cpu_ms(pid), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        s.sendall(request)
        if "result" not in json.loads(lines.readline()):
            sys.exit("feed_readers: core.status failed")
        n += 1
    took = time.monotonic() - began
    return {"requests": n / took,
            "us": (cpu_ms(pid) - before) * 1e3 / n}


def main(bus, pid, what, seconds, slow=None):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    if what == "--requests":
        print(json.dumps(call(bus, pid, float(seconds))))
    else:
        print(json.dumps(read_feed(bus, pid, int(what), float(seconds),
                                   slow == "--slow")))


main(*sys.argv[1:])
