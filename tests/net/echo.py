#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks the module echo with frames of its own, and looks at each byte of what
comes back.

echo.py WHAT INTERFACE MAC  WHAT is of main(), INTERFACE ours, MAC the echo's;
                            prints what came of each question, a line each
echo.py fuzz INTERFACE MAC COUNT SEED
echo.py socket ADDRESS      UDP by the kernel's sockets, all sizes
"""
import random
import socket
import struct
import sys
import time

HERE4, THERE4 = socket.inet_aton("10.0.0.4"), socket.inet_aton("10.0.0.5")
OTHER4 = socket.inet_aton("10.0.0.77")
HERE6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
THERE6 = socket.inet_pton(socket.AF_INET6, "2001:db8::2")
OTHER6 = socket.inet_pton(socket.AF_INET6, "2001:db8::77")
NOBODY6, ALL6 = bytes(16), socket.inet_pton(socket.AF_INET6, "ff02::1")
ALL = b"\xff" * 6
ETH_P_ALL = 3
WAIT = 2.0  # for an answer; one that is not to come gets a tenth


def add_up(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return ~add_up(data) & 0xFFFF


def pseudo(src, dst, proto, length):
    return src + dst + struct.pack("!II", length, proto)


def put(data, at, value):
    return data[:at] + struct.pack("!H", value) + data[at + 2:]


def udp(src, dst, payload, sport=40000, dport=7, mode="right"):
    data = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    head = pseudo(src, dst, 17, len(data))
    if mode == "right":
        return put(data, 6, checksum(head + data) or 0xFFFF)
    if mode == "partial":  # as one leaves it to his interface
        return put(data, 6, add_up(head))
    if mode == "wrong":
        return put(data, 6, checksum(head + data) ^ 0x1234)
    return data


def icmp(kind, rest, head=b"", code=0):
    data = struct.pack("!BBH", kind, code, 0) + rest
    return put(data, 2, checksum(head + data))


def icmp6(src, dst, kind, rest):
    return icmp(kind, rest, pseudo(src, dst, 58, 4 + len(rest)))


def ipv4(proto, data, src=HERE4, dst=THERE4, options=b"", flags=0x4000):
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 + size // 4, 0, size + len(data),
                       0x1234, flags, 9, proto, 0, src, dst) + options
    return put(head, 10, checksum(head)) + data


def ipv6(proto, data, src=HERE6, dst=THERE6, hops=9):
    return struct.pack("!IHBB16s16s", 0x60000000, len(data), proto, hops, src,
                       dst) + data


def solicited(target):
    return ALL6[:11] + b"\x01\xff" + target[13:]


def solicit(mac, source=True, src=HERE6, target=THERE6, dst=None, hops=255,
            code=0):
    dst = dst or solicited(target)
    rest = bytes(4) + target + (b"\x01\x01" + mac if source else b"")
    head = pseudo(src, dst, 58, 4 + len(rest))
    return ipv6(58, icmp(135, rest, head, code), src, dst, hops)


class Wire:
    def __init__(self, interface, there):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                    socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.here = self.socket.getsockname()[4]
        self.there = there

    def frame(self, kind, data, dst=None, src=None, tags=b""):
        return (dst or self.there) + (src or self.here) + tags + \
            struct.pack("!H", kind) + data

    def send(self, frame):
        self.socket.send(frame)

    def forget(self):
        self.socket.settimeout(0)
        try:
            while True:
                self.socket.recv(4096)
        except (BlockingIOError, TimeoutError):
            pass

    def answer(self, fits, wait=WAIT):
        """The first frame that is from the echo and fits."""
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                got, origin = self.socket.recvfrom(4096)
            except TimeoutError:
                break
            if origin[2] == socket.PACKET_OUTGOING:
                continue
            if got[6:12] == self.there and fits(got):
                return got
        return None

    def ask(self, frame, fits, wait=WAIT):
        self.forget()
        self.send(frame)
        return self.answer(fits, wait)


# ---- All sizes --------------------------------------------------------------

def question(kind, payload, number):
    rest = struct.pack("!HH", 77, number) + payload
    if kind == "icmp4":
        return 0x0800, ipv4(1, icmp(8, rest))
    if kind == "icmp6":
        return 0x86DD, ipv6(58, icmp6(HERE6, THERE6, 128, rest))
    if kind == "udp4":
        return 0x0800, ipv4(17, udp(HERE4, THERE4, payload, 30000 + number))
    return 0x86DD, ipv6(17, udp(HERE6, THERE6, payload, 30000 + number))


def expected(kind, payload, number):
    """The answer's IP packet, but for the checksum of an IPv4 header."""
    rest = struct.pack("!HH", 77, number) + payload
    if kind == "icmp4":
        return icmp(0, rest)
    if kind == "icmp6":
        return icmp6(THERE6, HERE6, 129, rest)
    if kind == "udp4":
        return udp(THERE4, HERE4, payload, 7, 30000 + number)
    return udp(THERE6, HERE6, payload, 7, 30000 + number)


def is_answer(wire, got, kind, payload, number):
    want = expected(kind, payload, number)
    if got[:6] != wire.here:
        return False
    ip = got[14:]
    if kind.endswith("6"):
        return ip[:40] == ipv6({"i": 58, "u": 17}[kind[0]], want, THERE6,
                               HERE6, 64)[:40] and \
            ip[40:40 + len(want)] == want
    size = struct.unpack("!H", ip[2:4])[0]
    return ip[0] == 0x45 and add_up(ip[:20]) == 0xFFFF and ip[8] == 64 and \
        ip[12:20] == THERE4 + HERE4 and size == 20 + len(want) and \
        ip[20:size] == want


def sizes(wire, kind):
    most = 1472 if kind.endswith("4") else 1452
    bad, rng = [], random.Random(kind)
    for n in range(most + 1):
        payload = rng.randbytes(n)
        proto, packet = question(kind, payload, n)
        if not wire.ask(wire.frame(proto, packet),
                        lambda got, p=payload, i=n:
                        is_answer(wire, got, kind, p, i)):
            bad.append(n)
    print(most + 1 - len(bad), "of", most + 1, *bad[:10])


# ---- One by one -------------------------------------------------------------

def say(name, got):
    print(name, "answered" if got else "ignored")


def arp(wire):
    def request(target, sender=HERE4, dst=ALL):
        return wire.frame(0x0806, struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, wire.here, sender, bytes(6),
            target), dst)

    def reply(target, to=HERE4):
        want = wire.frame(0x0806, struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, wire.there, target,
            wire.here, to), wire.here, wire.there)
        return lambda got: got[:len(want)] == want

    def any_reply(got):
        return got[12:14] == b"\x08\x06" and got[20:22] == b"\0\x02"

    say("own", wire.ask(request(THERE4), reply(THERE4)))
    say("unicast", wire.ask(request(THERE4, dst=wire.there), reply(THERE4)))
    say("probe", wire.ask(request(THERE4, bytes(4)), reply(THERE4, bytes(4))))
    say("other", wire.ask(request(OTHER4), any_reply, 0.1))
    say("announcement", wire.ask(request(THERE4, THERE4), any_reply, 0.1))


def nd(wire):
    def ask(name, group=True, **how):
        target = how.get("target", THERE6)
        dst = b"\x33\x33" + solicited(target)[12:] if group else wire.there
        duplicate = how.get("src") == NOBODY6
        to = ALL6 if duplicate else HERE6
        rest = struct.pack("!I", 0x20000000 if duplicate else 0x60000000) + \
            target + b"\x02\x01" + wire.there
        want = ipv6(58, icmp6(target, to, 136, rest), target, to, 255)
        mac = b"\x33\x33\0\0\0\x01" if duplicate else wire.here
        want = wire.frame(0x86DD, want, mac, wire.there)

        def fits(got):
            return got == want if answers else got[54:55] == b"\x88"
        answers = not how.pop("no", False)
        say(name, wire.ask(wire.frame(0x86DD, solicit(wire.here, **how), dst),
                           fits, WAIT if answers else 0.1))

    ask("group")
    ask("no_option", source=False)
    ask("unicast", group=False, dst=THERE6)
    ask("duplicate", source=False, src=NOBODY6)
    ask("other", target=OTHER6, no=True)
    ask("afar", hops=254, no=True)
    ask("code", code=1, no=True)
    ask("duplicate_option", src=NOBODY6, no=True)


def cases(wire):
    payload = bytes(range(50))

    def from_port(port):
        return lambda got: got[23:24] == b"\x11" and \
            got[34:36] == struct.pack("!H", port)

    def exact(l4, offset=34):
        return lambda got: got[offset:offset + len(l4)] == l4

    def ask(name, packet, fits, wait=0.1, kind=0x0800, **frame):
        say(name, wire.ask(wire.frame(kind, packet, **frame), fits, wait))

    def question4(mode, **more):
        return ipv4(17, udp(HERE4, THERE4, payload, mode=mode), **more)

    back4 = udp(THERE4, HERE4, payload, 7, 40000)
    back6 = udp(THERE6, HERE6, payload, 7, 40000)
    pong = icmp(0, bytes(4) + payload)
    ask("udp4", question4("right"), exact(back4), WAIT)
    ask("udp4_none", question4("none"), exact(back4), WAIT)
    ask("udp4_partial", question4("partial"), exact(back4), WAIT)
    ask("udp4_wrong", question4("wrong"), from_port(7))
    ask("udp6_partial", ipv6(17, udp(HERE6, THERE6, payload, mode="partial")),
        exact(back6, 54), WAIT, 0x86DD)
    ask("udp4_options", question4("right", options=b"\x01" * 8), exact(back4),
        WAIT)
    ask("ping4_options", ipv4(1, icmp(8, bytes(4) + payload),
                              options=b"\x07\x07\x04" + bytes(5)),
        exact(pong), WAIT)
    ask("tagged", question4("right"), exact(back4, 34), WAIT,
        tags=b"\x81\0\0\x05")
    for port in (7, 19):
        ask("loop_%d" % port, ipv4(17, udp(HERE4, THERE4, payload, port)),
            from_port(7))
    ask("to_all", ipv4(1, icmp(8, bytes(4) + payload)), exact(pong), dst=ALL)
    ask("from_group", ipv4(1, icmp(8, bytes(4) + payload),
                           socket.inet_aton("224.0.0.1")), exact(pong))
    ask("from_itself", ipv4(1, icmp(8, bytes(4) + payload), THERE4),
        exact(pong))
    ask("fragment", ipv4(1, icmp(8, bytes(4) + payload), flags=0x2000),
        exact(pong))
    ask("echo_reply", ipv4(1, pong), exact(pong))


# ---- Anything ---------------------------------------------------------------

def fuzz(wire, count, seed):
    rng = random.Random(int(seed))
    here, rest = wire.here, struct.pack("!HH", 1, 1) + bytes(range(40))
    base = [wire.frame(*question(kind, bytes(range(40)), 5))
            for kind in ("icmp4", "icmp6", "udp4", "udp6")]
    base += [
        wire.frame(0x0806, struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, here, HERE4, bytes(6),
            THERE4), ALL),
        wire.frame(0x86DD, solicit(here), b"\x33\x33\xff\0\0\x02"),
        wire.frame(0x86DD, solicit(here, False), b"\x33\x33\xff\0\0\x02"),
        wire.frame(0x86DD, solicit(here, False, NOBODY6),
                   b"\x33\x33\xff\0\0\x02"),
        wire.frame(0x0800, ipv4(1, icmp(8, rest), options=b"\x01" * 40)),
        wire.frame(0x0800, ipv4(1, icmp(8, rest), flags=0x2000)),
        wire.frame(0x0800, ipv4(17, udp(HERE4, THERE4, rest)),
                   tags=b"\x88\xa8\0\x01\x81\0\0\x02"),
        wire.frame(0x86DD, ipv6(0, b"\x3a\0\x01\x04\0\0\0\0" +
                                icmp6(HERE6, THERE6, 128, rest))),
        wire.frame(0x86DD, ipv6(44, b"\x3a\0\0\0\0\0\0\x01" +
                                icmp6(HERE6, THERE6, 128, rest))),
    ]
    sent = 0
    for _ in range(int(count)):
        frame = bytearray(rng.choice(base))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            frame[rng.randrange(12, len(frame))] = rng.randrange(256)
        if rng.random() < 0.3:
            del frame[rng.randrange(14, len(frame) + 1):]
        elif rng.random() < 0.1:
            frame += rng.randbytes(rng.randrange(1, 1514 - len(frame)))
        try:
            sent += wire.socket.send(frame) > 0
        except OSError:  # no room just now
            time.sleep(0.001)
    print(sent)


def by_socket(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((address, 7))
    s.settimeout(WAIT)
    good, most = 0, 1452 if ":" in address else 1472
    for n in range(most + 1):
        payload = random.Random(n).randbytes(n)
        s.send(payload)
        try:
            good += s.recv(4096) == payload
        except (TimeoutError, ConnectionError):
            pass
        if good <= n - 5:
            break
    print(good, "of", most + 1)


def main(what, *arguments):
    if what == "socket":
        by_socket(*arguments)
        return
    wire = Wire(arguments[0], bytes.fromhex(arguments[1].replace(":", "")))
    if what == "fuzz":
        fuzz(wire, *arguments[2:])
    elif what in ("arp", "nd", "cases"):
        {"arp": arp, "nd": nd, "cases": cases}[what](wire)
    else:
        sizes(wire, what)


main(*sys.argv[1:])
