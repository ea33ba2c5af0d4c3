#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames that a shaper has to let pass as they are.

frames.py send down|up COUNT     sends COUNT of each by eth0
frames.py receive down|up LIMIT  until LIMIT seconds are over, or all of COUNT
         [COUNT]                 came; then "NAME UNCHANGED CHANGED" of each
"""
import socket
import struct
import sys
import time

PACKET_AUXDATA = 8
SOL_PACKET = 263
ETH_P_ALL = 3
VLAN_VALID, TPID_VALID = 0x10, 0x40


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(down, proto, payload):
    here, there = "100.64.1.1", "198.51.100.1"
    if down:
        here, there = there, here
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 9,
                       proto, 0, socket.inet_aton(here),
                       socket.inet_aton(there))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6_options(down, count, payload):
    here, there = "2001:db8:1001::1", "2001:db8:ffff::1"
    if down:
        here, there = there, here
    body = b""
    for i in range(count):
        body += bytes([60 if i + 1 < count else 59, 0, 1, 4, 0, 0, 0, 0])
    body += payload
    head = struct.pack("!IHBB16s16s", 0x60000000, len(body), 60, 9,
                       socket.inet_pton(socket.AF_INET6, here),
                       socket.inet_pton(socket.AF_INET6, there))
    return head + body


def udp(payload):
    return struct.pack("!HHHH", 3784, 3784, 8 + len(payload), 0) + payload


def tags(count, rest):
    out = b""
    for i in range(count):
        out += struct.pack("!HH", 0x88A8 if i == 0 else 0x8100, 100 + i)
    return out + rest


def frames(way):
    """NAME: bytes, each with its name inside."""
    down = way == "down"
    source = b"\x02\0\0\0\0" + (b"\xd0" if down else b"\xe0")
    nobody = b"\x02\0\0\0\0\x99"

    def mark(name):
        return ("lqos-" + way + "-" + name).encode().ljust(40, b".")

    def llc(address, sap, name):
        body = sap + mark(name)
        return address + source + struct.pack("!H", len(body)) + body

    def typed(address, ethertype, body):
        return address + source + struct.pack("!H", ethertype) + body

    link_local = b"\x01\x80\xc2\0\0"
    v4 = struct.pack("!H", 0x0800)
    return {
        "stp": llc(link_local + b"\x00", b"\x42\x42\x03", "stp"),
        "lacp": typed(link_local + b"\x02", 0x8809, b"\x01" + mark("lacp")),
        "lldp": typed(link_local + b"\x0e", 0x88CC, mark("lldp")),
        "isis": llc(b"\x09\0\x2b\0\0\x05", b"\xfe\xfe\x03", "isis"),
        "ospf": typed(b"\x01\0\x5e\0\0\x05", 0x0800,
                      ipv4(down, 89, mark("ospf"))),
        "bfd": typed(nobody, 0x0800, ipv4(down, 17, udp(mark("bfd")))),
        "pppoe": typed(nobody, 0x8863, b"\x11\x09\0\0\0\x28" + mark("pppoe")),
        "mpls": typed(nobody, 0x8847, b"\0\x01\x01\x40" +
                      ipv4(down, 17, udp(mark("mpls")))),
        "vlan1": nobody + source +
                 tags(1, v4 + ipv4(down, 17, udp(mark("vlan1")))),
        "vlan4": nobody + source +
                 tags(4, v4 + ipv4(down, 17, udp(mark("vlan4")))),
        "vlan6": nobody + source +
                 tags(6, v4 + ipv4(down, 17, udp(mark("vlan6")))),
        "options8": typed(nobody, 0x86DD,
                          ipv6_options(down, 8, mark("options8"))),
        "unknown": typed(nobody, 0x88B5, mark("unknown")),
        "nonsense": typed(nobody, 0x0800, b"\x11" + mark("nonsense")),
    }


def send(way, count):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("eth0", 0))
        for _ in range(count):
            for frame in frames(way).values():
                s.send(frame)
            time.sleep(0.002)


def read(s):
    """A frame as it was on the wire: the kernel takes the outer tag off."""
    data, control, _, _ = s.recvmsg(4096, 256)
    for level, kind, aux in control:
        if level != SOL_PACKET or kind != PACKET_AUXDATA:
            continue
        status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", aux[:20])
        if status & VLAN_VALID:
            tpid = tpid if status & TPID_VALID else 0x8100
            data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


def receive(way, limit, count):
    wanted = frames(way)
    got = {name: [0, 0] for name in wanted}
    end = time.monotonic() + limit
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                       socket.htons(ETH_P_ALL)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        s.bind(("eth0", ETH_P_ALL))
        print("ready", flush=True)
        while time.monotonic() < end and \
                any(sum(n) < count for n in got.values()):
            s.settimeout(max(end - time.monotonic(), 0.01))
            try:
                data = read(s)
            except TimeoutError:
                break
            for name, frame in wanted.items():
                if ("lqos-%s-%s." % (way, name)).encode() in data:
                    got[name][data != frame] += 1
    for name, (same, other) in got.items():
        print(name, same, other)


def main(verb, way, *numbers):
    if verb == "send":
        send(way, int(numbers[0]))
    else:
        receive(way, float(numbers[0]), int(numbers[1]))


main(*sys.argv[1:])
