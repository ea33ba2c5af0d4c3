# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbered UDP packets, and how many of them arrive.

usage: udp_numbers.py send ADDRESS PORT COUNT [PER_SECOND [BYTES]]
                      SIGTERM ends it, and it prints how many it has sent
       udp_numbers.py count ADDRESS PORT    until SIGTERM; prints distinct ones
"""
import signal
import socket
import sys
import time

# Of which the module socket knows nothing.
SO_RCVBUFFORCE = 33
IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE = 10, 4


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send(address, port, count, rate=20000, size=64):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    if family(address) == socket.AF_INET:
        # Whatever the route says.
        s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_INTERFACE)
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    began = time.monotonic()
    for i in range(count):
        if ended:
            print(i)
            break
        s.sendto(i.to_bytes(8, "big") + bytes(size - 8), (address, port))
        late = began + i / rate - time.monotonic()
        if late > 0.001:
            time.sleep(late)


def count(address, port):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    s.bind((address, port))
    seen = set()

    def end(*_):
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    try:
        while True:
            seen.add(int.from_bytes(s.recv(65536)[:8], "big"))
    finally:
        # What is on its way still counts.
        s.settimeout(0.5)
        try:
            while True:
                seen.add(int.from_bytes(s.recv(65536)[:8], "big"))
        except TimeoutError:
            pass
        print(len(seen), flush=True)


if __name__ == "__main__":
    what, address, *numbers = sys.argv[1:]
    (send if what == "send" else count)(address, *map(int, numbers))
