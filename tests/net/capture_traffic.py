#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbered UDP packets, and what became of them, for capture.sh.

server ADDRESS PORT			sends back what comes
send SOURCE ADDRESS PORT N [RATE]	N packets of many sizes, so many a second;
					says how many came back
flood SOURCE ADDRESS PORT N		N at once, to whom does not answer
judge					a pcap on stdin: what is in it, as JSON
blocks FILE				the same of a pcapng, by block and option
"""

import json
import select
import socket
import struct
import sys
import time

SO_RCVBUFFORCE = 33  # asm-generic/socket.h


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def server(address, port):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    sock.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def size_of(number):
    return 8 + number * 37 % 1400


def drain(sock, seconds):
    n = 0
    while select.select([sock], [], [], seconds)[0]:
        data = sock.recv(65536)
        n += len(data) == size_of(struct.unpack("!I", data[:4])[0])
    return n


def send(source, address, port, count, rate="1000"):
    sock = socket.socket(family(source), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    sock.bind((source, 0))
    start = time.monotonic()
    back = 0
    for number in range(int(count)):
        data = struct.pack("!I", number) + bytes(size_of(number) - 4)
        sock.sendto(data, (address, int(port)))
        wait = start + number / int(rate) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        back += drain(sock, 0)
    back += drain(sock, 1)
    print(back)


def flood(source, address, port, count):
    sock = socket.socket(family(source), socket.SOCK_DGRAM)
    sock.bind((source, 0))
    for number in range(int(count)):
        sock.sendto(struct.pack("!I", number) + bytes(996),
                    (address, int(port)))


def judge():
    data = sys.stdin.buffer.read()
    magic, = struct.unpack("=I", data[:4])
    assert magic == 0xA1B23C4D, "no pcap with nanoseconds"
    at, last, ports = 24, 0, {}
    out = {"packets": 0, "ordered": True, "lengths": True, "caplen": 0,
           "first": None, "last": None, "numbers": True, "full": True}
    while at < len(data):
        sec, nsec, caplen, length = struct.unpack("=IIII", data[at:at + 16])
        frame = data[at + 16:at + 16 + caplen]
        at += 16 + caplen
        now = sec * 10**9 + nsec
        out["packets"] += 1
        out["ordered"] &= now >= last
        out["first"] = out["first"] or now / 1e9
        out["last"] = now / 1e9
        out["caplen"] = max(out["caplen"], caplen)
        out["full"] &= caplen == length
        last = now
        l4, version = 14, frame[14] >> 4
        l4 += 20 if version == 4 else 40
        if frame[23 if version == 4 else 20] != 17 or caplen < l4 + 12:
            continue
        sport, dport, ulen = struct.unpack("!HHH", frame[l4:l4 + 6])
        number, = struct.unpack("!I", frame[l4 + 8:l4 + 12])
        # Each way from 0 on, and each once.
        out["numbers"] &= ports.get((sport, dport), 0) == number
        ports[sport, dport] = number + 1
        out["lengths"] &= length == l4 + ulen
        out["lengths"] &= ulen == 8 + size_of(number)
    out["ways"] = sorted(ports.values())
    print(json.dumps(out))


def options(data):
    found, at = {}, 0
    while at < len(data):
        code, length = struct.unpack("=HH", data[at:at + 4])
        found[code] = data[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
        if not code:
            break
    assert at == len(data), "something behind the last option"
    return found


def blocks(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    out = {"interfaces": [], "digits": [], "in": 0, "out": 0,
           "dropped": 0, "lost": 0, "delivered": []}
    while at < len(data):
        kind, length = struct.unpack("=II", data[at:at + 8])
        body = data[at + 8:at + length - 4]
        assert length % 4 == 0
        assert data[at + length - 4:at + length] == data[at + 4:at + 8]
        at += length
        if kind == 0x0A0D0D0A:
            assert struct.unpack("=IHHq", body[:16]) == (0x1A2B3C4D, 1, 0, -1)
            options(body[16:])
        elif kind == 1:
            found = options(body[8:])
            out["interfaces"].append(found[2].decode())
            out["digits"].append(found[9][0])
        elif kind == 6:
            caplen, = struct.unpack("=I", body[12:16])
            found = options(body[20 + (caplen + 3) // 4 * 4:])
            flags, = struct.unpack("=I", found[2])
            out["in" if flags & 3 == 1 else "out"] += 1
        elif kind == 5:
            found = options(body[12:])
            out["delivered"].append(struct.unpack("=Q", found[8])[0])
            if 7 in found:
                out["dropped"], = struct.unpack("=Q", found[7])
                out["lost"], = struct.unpack("=Q", found[5])
        else:
            raise AssertionError(f"block of type {kind}")
    print(json.dumps(out))


if __name__ == "__main__":
    {"server": server, "send": send, "flood": flood,
     "judge": judge, "blocks": blocks}[sys.argv[1]](*sys.argv[2:])
