#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small captures, and which round-trip times are in them.

golden.py list        names of the captures
golden.py make DIR    DIR/NAME.pcap; DIR/NAME.expected, what tests/rtt_replay
                      has to print; DIR/NAME.args, its arguments

What is expected is written down by hand, from what the two ends did, with the
reason beside it.  Times are in ms, and multiples of 64 ns unless it is the
rounding that matters.
"""
import ipaddress
import os
import struct
import sys

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
BASE = 1000000  # ms
CLIENT, SERVER = "100.64.1.2", "198.51.100.9"
CLIENT6, SERVER6 = "2001:db8:1::2", "2001:db8:ffff::9"
INSIDE = ["--inside", "100.64.0.0/10", "--inside", "2001:db8:1::/48"]
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
UP, DOWN = "access", "internet"  # the side that a packet came from
CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


class Capture:
    """Frames of one flow (and of others), and what is expected of them."""

    def __init__(self, client=CLIENT, server=SERVER, cport=40000, sport=80,
                 proto="TCP"):
        self.frames = []
        self.lines = []
        self.args = []
        self.nanoseconds = False
        self.big_endian = False
        self.client, self.server = client, server
        self.cport, self.sport, self.proto = cport, sport, proto

    # ---- Frames

    def raw(self, ms, frame):
        self.frames.append((ms, frame))

    def ip(self, ms, side, proto, payload, encap=lambda ip, v6: ether(ip, v6),
           extensions=(), cut=None, pad=0, fragment=0, client=None,
           server=None):
        client, server = client or self.client, server or self.server
        src, dst = (client, server) if side == UP else (server, client)
        v6 = ":" in src
        if v6:
            packet = ipv6(src, dst, proto, payload, extensions)
        else:
            packet = ipv4(src, dst, proto, payload, fragment)
        frame = encap(packet, v6)
        frame = frame[:cut] if cut else frame.ljust(pad, b"\0")
        self.raw(ms, frame)

    def tcp(self, ms, side, seq, ack=0, size=0, flags=ACK, ts=None,
            options=None, doff=None, **how):
        sport, dport = self.cport, self.sport
        if side == DOWN:
            sport, dport = dport, sport
        if options is None:
            options = b""
            if ts:
                options = struct.pack("!BBBBII", 1, 1, 8, 10, ts[0], ts[1])
        words = 5 + len(options) // 4 if doff is None else doff
        header = struct.pack("!HHIIBBHHH", sport, dport, seq % 2**32,
                             ack % 2**32, words << 4, flags, 65535, 0, 0)
        self.ip(ms, side, TCP, header + options + bytes(size), **how)

    def udp(self, ms, side, payload, **how):
        sport, dport = self.cport, self.sport
        if side == DOWN:
            sport, dport = dport, sport
        self.ip(ms, side, UDP, struct.pack("!HHHH", sport, dport,
                                           8 + len(payload), 0) + payload,
                **how)

    def echo(self, ms, side, kind, number, identifier=7, **how):
        self.ip(ms, side, ICMPV6 if kind >= 128 else ICMP,
                struct.pack("!BBHHH", kind, 0, 0, identifier, number) +
                bytes(8), **how)

    def handshake(self, ms, cseq=1000, sseq=5000, ts=None):
        """30 ms to the server, 10 to the client; expected, too."""
        self.tcp(ms, UP, cseq - 1, flags=SYN, ts=ts and (ts, 0))
        self.tcp(ms + 30, DOWN, sseq - 1, cseq, flags=SYN | ACK,
                 ts=ts and (ts + 1000, ts))
        self.expect(ms + 30, DOWN, 30, "handshake")
        self.tcp(ms + 40, UP, cseq, sseq, ts=ts and (ts + 40, ts + 1000))
        self.expect(ms + 40, UP, 10, "handshake")

    # ---- Expectations

    def expect(self, ms, side, rtt, kind="ack", ns=None):
        src, dst = (self.client, self.cport), (self.server, self.sport)
        if side == DOWN:
            src, dst = dst, src
        self.lines.append("%d %s %d %s %s:%d+%s:%d %s" % (
            nanoseconds(ms), side, round(rtt * 10**6) if ns is None else ns,
            self.proto, *src, *dst, kind))

    # ---- Files

    def write(self, base):
        order = ">" if self.big_endian else "<"
        unit = 1 if self.nanoseconds else 1000
        magic = 0xA1B23C4D if self.nanoseconds else 0xA1B2C3D4
        with open(base + ".pcap", "wb") as f:
            f.write(struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535,
                                1))
            for ms, frame in sorted(self.frames, key=lambda at: at[0]):
                ns = nanoseconds(ms)
                f.write(struct.pack(order + "IIII", ns // 10**9,
                                    ns % 10**9 // unit, len(frame),
                                    len(frame)) + frame)
        with open(base + ".expected", "w") as f:
            f.write("".join(line + "\n" for line in sorted(
                self.lines, key=lambda line: int(line.split()[0]))))
        with open(base + ".args", "w") as f:
            f.write("\n".join(INSIDE + self.args) + "\n")


def moves(seq, n):
    """Does the n-th segment of a flight take the anchor's place?"""
    return (seq * 0x9E3779B1 % 2**32 >> 24) * n < 256


def number(start, stay=(), move=()):
    """A number to begin with, so that of the n-th segments of flights, at
    (offset, n), these do not take the anchor's place, and those do."""
    while (any(moves(start + offset, n) for offset, n in stay) or
           not all(moves(start + offset, n) for offset, n in move)):
        start += 1
    return start % 2**32


def nanoseconds(ms):
    return round((BASE + ms) * 10**6)


def ether(packet, v6, ethertype=None):
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + struct.pack(
        "!H", ethertype or (0x86DD if v6 else 0x0800)) + packet


def tags(count):
    def encap(packet, v6):
        for i in range(count):
            below = (0x86DD if v6 else 0x0800) if i == 0 else 0x8100
            packet = struct.pack("!HH", 100 + i, below) + packet
        return ether(packet, v6, 0x8100 if count else None)
    return encap


def pppoe(packet, v6):
    return ether(struct.pack("!BBHHH", 0x11, 0, 7, len(packet) + 2,
                             0x57 if v6 else 0x21) + packet, v6, 0x8864)


def ipv4(src, dst, proto, payload, fragment=0):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1,
                       fragment, 64, proto, 0,
                       ipaddress.ip_address(src).packed,
                       ipaddress.ip_address(dst).packed) + payload


def ipv6(src, dst, proto, payload, extensions=()):
    """extensions: (number of the header, its 32-bit words behind the first
    two bytes)."""
    following = proto
    for number, rest in reversed(extensions):
        payload = bytes([following, (len(rest) - 6) // 8]) + rest + payload
        following = number
    return struct.pack("!IHBB16s16s", 0x60000000, len(payload), following, 64,
                       ipaddress.ip_address(src).packed,
                       ipaddress.ip_address(dst).packed) + payload


# ---- TCP: what is measured --------------------------------------------------


@case
def handshake():
    # SYN to SYN-ACK is the way to the server and back, SYN-ACK to ACK the way
    # to the client.
    c = Capture()
    c.handshake(0)
    return c


@case
def both_ways():
    c = Capture()
    first = number(5000, [(1000, 2), (1500, 3), (2500, 2), (3000, 3),
                          (4000, 2), (4500, 3), (6000, 2)])
    c.handshake(0, 1000, first)
    # The request passes us at 50, and the server's ACK 30 ms later.
    c.tcp(50, UP, 1000, first, 100)
    c.tcp(80, DOWN, first, 1100)
    c.expect(80, DOWN, 30)
    # The first of three segments is the anchor, the second is stamped, too.
    # The third comes within the same tick of the coarse clock (4 ms), so it is
    # not, and an ACK of all three is timed from the second.
    c.tcp(81, DOWN, first, 1100, 1000)
    c.tcp(82, DOWN, first + 1000, 1100, 500)
    c.tcp(83, DOWN, first + 1500, 1100, 500)
    c.tcp(93, UP, 1100, first + 2000)
    c.expect(93, UP, 11)
    # Ticks begin at multiples of 4: the third is stamped in the place of the
    # second.  An ACK of the first two is timed from the first then, that of
    # all from the third.
    at, seq = 101, first + 2000
    for acked, took in ((1000, 18), (1500, 10)):
        c.tcp(at, DOWN, seq, 1100, 500)
        c.tcp(at + 2, DOWN, seq + 500, 1100, 500)
        c.tcp(at + 8, DOWN, seq + 1000, 1100, 500)
        c.tcp(at + 18, UP, 1100, seq + acked)
        c.expect(at + 18, UP, took)
        c.tcp(at + 19, UP, 1100, seq + 1500)
        at, seq = at + 100, seq + 1500
    # An ACK of the first alone is timed from the first; that of the second
    # then meets no anchor.
    c.tcp(at, DOWN, seq, 1100, 1000)
    c.tcp(at + 4, DOWN, seq + 1000, 1100, 1000)
    c.tcp(at + 10, UP, 1100, seq + 1000)
    c.expect(at + 10, UP, 10)
    c.tcp(at + 14, UP, 1100, seq + 2000)
    return c


@case
def flight():
    # Chance, which hangs on the number, made the second of two the anchor: the
    # ACK of the first is none of it.
    c = Capture()
    first = number(5000, move=[(1000, 2)])
    c.handshake(0, 1000, first)
    c.tcp(100, DOWN, first, 1000, 1000)
    c.tcp(104, DOWN, first + 1000, 1000, 1000)
    c.tcp(112, UP, 1000, first + 1000)
    c.tcp(114, UP, 1000, first + 2000)
    c.expect(114, UP, 10)
    return c


@case
def sequence_wrap():
    # Both ends' numbers wrap within a segment.
    c = Capture()
    first = number(2**32 - 500, [(1000, 2)])
    c.handshake(0, 2**32 - 50, first)
    c.tcp(50, UP, 2**32 - 50, first, 100)
    c.tcp(80, DOWN, first, 50)
    c.expect(80, DOWN, 30)
    c.tcp(100, DOWN, first, 50, 1000)
    c.tcp(105, DOWN, first + 1000, 50, 1000)
    c.tcp(110, UP, 50, first + 1000)
    c.expect(110, UP, 10)
    c.tcp(115, UP, 50, first + 2000)
    c.tcp(120, DOWN, first + 2000, 50, 1000)
    c.tcp(130, UP, 50, first + 3000)
    c.expect(130, UP, 10)
    # Retransmitted across the wrap: refused.
    c.tcp(140, UP, 50, first + 3000, 100)
    c.tcp(400, UP, 2**32 - 50, first + 3000, 200)
    c.tcp(430, DOWN, first + 3000, 150)
    return c


@case
def answer_with_data():
    # The handshake has said what the way to the server takes: 30 ms.  What
    # came with data after 30.512 had no time to wait; after 50, it did.
    c = Capture()
    c.handshake(0)
    c.tcp(50, UP, 1000, 5000, 100)
    c.tcp(80.512, DOWN, 5000, 1100, 100)
    c.expect(80.512, DOWN, 30.512)
    # The way to the client takes 10: so does the answer to the answer.
    c.tcp(90.512, UP, 1100, 5100, 100)
    c.expect(90.512, UP, 10)
    c.tcp(140.512, DOWN, 5100, 1200, 100)
    # ... and it was not kept as the shortest, or the longest.
    c.tcp(150.512, UP, 1200, 5200)
    c.expect(150.512, UP, 10)
    # A FIN may wait for the application to close as data do for it to speak.
    c.tcp(200, UP, 1200, 5200, 100)
    c.tcp(250, DOWN, 5200, 1300, flags=FIN | ACK)
    # The FIN has a number, and an ACK.
    c.tcp(260, UP, 1300, 5201)
    c.expect(260, UP, 10)
    return c


@case
def held_back():
    # 10 ms and a delayed ACK's timer (40 of Linux, 200 of others) for a lone
    # segment; what takes another time is not one.
    c = Capture()
    first = number(5000, [(3000, 2)])
    c.handshake(0, 1000, first)
    at, seq = 100, first
    for took, real in ((10, True), (50, False), (70, True), (210, False),
                       (10, True)):
        c.tcp(at, DOWN, seq, 1000, 500)
        c.tcp(at + took, UP, 1000, seq + 500)
        if real:
            c.expect(at + took, UP, took)
        at, seq = at + 1000, seq + 500
    # Two segments of which the second was stamped, or of which there was
    # another behind them: the second made the client answer.
    c.tcp(at, DOWN, seq, 1000, 500)
    c.tcp(at + 8, DOWN, seq + 500, 1000, 500)
    c.tcp(at + 58, UP, 1000, seq + 1000)
    c.expect(at + 58, UP, 50)
    return c


@case
def longer_way():
    # Answers with data: 30 ms; 20 more of which each is as late as the last,
    # as on another way, and not as what waits for an application; the 31st is
    # believed, and those behind it.  What is faster is, too, and then all is as
    # it was; so is what nobody would wait for.  Late by chance is not believed.
    c = Capture()
    c.handshake(0)
    at, cseq, sseq = 100, 1000, 5000
    by_chance = [32 + i * 7 % 20 for i in range(40)]
    for i, took in enumerate([30] * 5 + [50] * 40 + [30] + [50] * 5 + [330] +
                             by_chance):
        c.tcp(at, UP, cseq, sseq, 100)
        c.tcp(at + took, DOWN, sseq, cseq + 100, 100)
        if i < 5 or 35 <= i <= 45 or i == 51:
            c.expect(at + took, DOWN, took)
        at, cseq, sseq = at + took + 10, cseq + 100, sseq + 100
        c.tcp(at, UP, cseq, sseq)
        c.expect(at, UP, 10)
        at += 100
    return c


@case
def cold_for_long():
    # Of a flow that was met on its way, each segment 17.18 s behind the last:
    # four bits of seconds are the same each time.
    c = Capture()
    for i in range(6):
        at = 100 + 17180 * i
        c.tcp(at, DOWN, 5000 + 500 * i, 1000, 500)
        c.tcp(at + 10, UP, 1000, 5500 + 500 * i)
        if i:
            c.expect(at + 10, UP, 10)
    return c


@case
def gso():
    # A super-segment of three: the ACK of the first says when the first came
    # back, and so does that of all three.
    c = Capture()
    c.args = ["--gso", "1448"]
    c.handshake(0)
    c.tcp(100, DOWN, 5000, 1000, 4344)
    c.tcp(110, UP, 1000, 5000 + 1448)
    c.expect(110, UP, 10)
    c.tcp(111, UP, 1000, 5000 + 4344)
    c.tcp(120, DOWN, 9344, 1000, 4344)
    c.tcp(130, UP, 1000, 9344 + 4344)
    c.expect(130, UP, 10)
    # Its first segment is old, its second new: what acknowledges the first
    # answers something sent before, what acknowledges all does not.
    c.tcp(140, DOWN, 9344 + 4344 - 1448, 1000, 2896)
    c.tcp(141, UP, 1000, 9344 + 4344)
    c.tcp(150, UP, 1000, 9344 + 4344 + 1448)
    c.expect(150, UP, 10)
    return c


@case
def fin():
    # FINs count one number each; both are answered at once.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000, flags=FIN | ACK)
    c.tcp(130, DOWN, 5000, 1001)
    c.expect(130, DOWN, 30)
    c.tcp(140, DOWN, 5000, 1001, flags=FIN | ACK)
    c.tcp(150, UP, 1001, 5001)
    c.expect(150, UP, 10)
    # Again, and its ACK again: nothing to measure.
    c.tcp(340, DOWN, 5000, 1001, flags=FIN | ACK)
    c.tcp(350, UP, 1001, 5001)
    return c


# ---- TCP: what is refused ---------------------------------------------------


@case
def retransmit():
    # Lost behind us, and sent again: to which is the ACK?  No timestamps.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000, 100)
    c.tcp(300, UP, 1000, 5000, 100)
    c.tcp(330, DOWN, 5000, 1100)
    # Over with the next.
    c.tcp(400, UP, 1100, 5000, 100)
    c.tcp(430, DOWN, 5000, 1200)
    c.expect(430, DOWN, 30)
    return c


@case
def retransmit_timestamps():
    c = Capture()
    c.handshake(0, ts=100)
    # The ACK's echo is the first's: that arrived, and took 250 ms.
    c.tcp(100, UP, 1000, 5000, 100, ts=(200, 1000))
    c.tcp(320, UP, 1000, 5000, 100, ts=(420, 1000))
    c.tcp(350, DOWN, 5000, 1100, ts=(2000, 200))
    c.expect(350, DOWN, 250)
    # The second's: refused, as we have no time of it.
    c.tcp(400, UP, 1100, 5000, 100, ts=(500, 2000))
    c.tcp(600, UP, 1100, 5000, 100, ts=(700, 2000))
    c.tcp(630, DOWN, 5000, 1200, ts=(2300, 700))
    # Both carried the same: the echo proves nothing.
    c.tcp(700, UP, 1200, 5000, 100, ts=(800, 2300))
    c.tcp(701, UP, 1200, 5000, 100, ts=(800, 2300))
    c.tcp(731, DOWN, 5000, 1300, ts=(2400, 800))
    return c


@case
def timestamp_wrap():
    # Equality needs no order: 2^32 - 1 is followed by 1.
    c = Capture()
    c.handshake(0, ts=2**32 - 1100)
    c.tcp(100, UP, 1000, 5000, 100, ts=(2**32 - 1, 2**32 - 100))
    c.tcp(320, UP, 1000, 5000, 100, ts=(219, 2**32 - 100))
    c.tcp(350, DOWN, 5000, 1100, ts=(50, 2**32 - 1))
    c.expect(350, DOWN, 250)
    return c


@case
def timestamp_zero():
    # A TSval of 0 is allowed, but an echo of 0 may be none at all.
    c = Capture()
    c.handshake(0, ts=100)
    c.tcp(100, UP, 1000, 5000, 100, ts=(0, 1000))
    c.tcp(300, UP, 1000, 5000, 100, ts=(200, 1000))
    c.tcp(330, DOWN, 5000, 1100, ts=(2000, 0))
    # Without a retransmission it does not matter.
    c.tcp(400, UP, 1100, 5000, 100, ts=(0, 2000))
    c.tcp(430, DOWN, 5000, 1200, ts=(2100, 0))
    c.expect(430, DOWN, 30)
    return c


@case
def tail_loss():
    # The first of two is answered; the second, lost behind us, was no anchor.
    # Sent again while there is none, it cannot become one.
    c = Capture()
    first = number(5000, [(1000, 2), (3000, 2), (5000, 2)])
    c.handshake(0, 1000, first)
    c.tcp(100, DOWN, first, 1000, 1000)
    c.tcp(101, DOWN, first + 1000, 1000, 1000)
    c.tcp(110, UP, 1000, first + 1000)
    c.expect(110, UP, 10)
    c.tcp(320, DOWN, first + 1000, 1000, 1000)
    c.tcp(330, UP, 1000, first + 2000)
    # The anchor itself lost, and the one behind it arrived.
    c.tcp(400, DOWN, first + 2000, 1000, 1000)
    c.tcp(405, DOWN, first + 3000, 1000, 1000)
    c.tcp(415, UP, 1000, first + 2000)
    c.tcp(600, DOWN, first + 2000, 1000, 1000)
    c.tcp(610, UP, 1000, first + 4000)
    # The one behind it lost, and the ACK of the anchor, too.
    c.tcp(700, DOWN, first + 4000, 1000, 1000)
    c.tcp(705, DOWN, first + 5000, 1000, 1000)
    c.tcp(900, DOWN, first + 5000, 1000, 1000)
    c.tcp(910, UP, 1000, first + 6000)
    c.tcp(1000, DOWN, first + 6000, 1000, 1000)
    c.tcp(1010, UP, 1000, first + 7000)
    c.expect(1010, UP, 10)
    return c


@case
def hole():
    # 5000 was lost before us.  Of what is behind it the ACK comes when it was
    # sent again, 300 ms later, and that is not how long the way is.
    c = Capture()
    first = number(5000, [(6000, 2)])
    c.handshake(0, 1000, first)
    c.tcp(100, DOWN, first + 2000, 1000, 1000, ts=(100, 0))
    c.tcp(104, DOWN, first + 3000, 1000, 1000, ts=(104, 0))
    c.tcp(110, UP, 1000, first, ts=(50, 0))
    c.tcp(400, DOWN, first, 1000, 2000, ts=(400, 0))
    c.tcp(410, UP, 1000, first + 4000, ts=(350, 100))
    # A hole behind an anchor takes nothing from its answer.
    c.tcp(500, DOWN, first + 4000, 1000, 1000)
    c.tcp(504, DOWN, first + 6000, 1000, 1000)
    c.tcp(510, UP, 1000, first + 5000)
    c.expect(510, UP, 10)
    c.tcp(800, DOWN, first + 5000, 1000, 1000)
    c.tcp(810, UP, 1000, first + 7000)
    c.tcp(900, DOWN, first + 7000, 1000, 1000)
    c.tcp(910, UP, 1000, first + 8000)
    c.expect(910, UP, 10)
    return c


@case
def reorder():
    # To us, what overtook another looks like what came behind a loss.
    c = Capture()
    c.handshake(0)
    c.tcp(100, DOWN, 6000, 1000, 1000)
    c.tcp(100.5, DOWN, 5000, 1000, 1000)
    c.tcp(110.5, UP, 1000, 7000)
    c.tcp(200, DOWN, 7000, 1000, 1000)
    c.tcp(210, UP, 1000, 8000)
    c.expect(210, UP, 10)
    # ACKs that overtook each other: the newer one is the answer.
    c.tcp(300, DOWN, 8000, 1000, 1000)
    c.tcp(304, DOWN, 9000, 1000, 1000)
    c.tcp(314, UP, 1000, 10000)
    c.expect(314, UP, 10)
    c.tcp(315, UP, 1000, 9000)
    return c


@case
def selective():
    # The second of two is lost behind us and sent again, which the client
    # tells of with a block (RFC 2018) while the first of the next two arrives.
    # Nothing is sent again behind the anchor, but its ACK has waited.
    c = Capture()
    first = number(5000, [(1000, 2)])
    block = b"\x01\x01\x05\x0a"
    c.handshake(0, 1000, first)
    c.tcp(100, DOWN, first, 1000, 1000)
    c.tcp(104, DOWN, first + 1000, 1000, 1000)
    c.tcp(110, UP, 1000, first + 1000)
    c.expect(110, UP, 10)
    c.tcp(300, DOWN, first + 1000, 1000, 1000)
    c.tcp(301, DOWN, first + 2000, 1000, 1000)
    c.tcp(311, UP, 1000, first + 1000, options=block + struct.pack(
        "!II", first + 2000, first + 3000))
    c.tcp(330, UP, 1000, first + 3000)
    c.tcp(400, DOWN, first + 3000, 1000, 1000)
    c.tcp(410, UP, 1000, first + 4000)
    c.expect(410, UP, 10)
    return c


@case
def keep_alive():
    # An octet in front of what is next, or none at all: nothing new, so
    # nothing to be answered, whatever comes back.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000, 100)
    c.tcp(130, DOWN, 5000, 1100)
    c.expect(130, DOWN, 30)
    c.tcp(10000, UP, 1099, 5000, 0)
    c.tcp(10030, DOWN, 5000, 1100)
    c.tcp(20000, UP, 1099, 5000, 1)
    c.tcp(20030, DOWN, 5000, 1100)
    c.tcp(30000, UP, 1100, 5000, 100)
    c.tcp(30030, DOWN, 5000, 1200)
    c.expect(30030, DOWN, 30)
    return c


@case
def zero_window():
    c = Capture()
    c.handshake(0)
    # An octet of what is next, for which there is no room: it is answered,
    # but not acknowledged.  It is sent again; at last there is room.
    c.tcp(100, UP, 1000, 5000, 1)
    c.tcp(130, DOWN, 5000, 1000)
    c.tcp(5100, UP, 1000, 5000, 1)
    c.tcp(5130, DOWN, 5000, 1001)
    # It is sent once, and then with all the rest.
    c.tcp(6000, UP, 1001, 5000, 1)
    c.tcp(6030, DOWN, 5000, 1001)
    c.tcp(6500, UP, 1001, 5000, 1000)
    c.tcp(6530, DOWN, 5000, 2001)
    c.tcp(7000, UP, 2001, 5000, 100)
    c.tcp(7030, DOWN, 5000, 2101)
    c.expect(7030, DOWN, 30)
    return c


@case
def ack_only():
    # ACKs of what was sent before there was anything.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000)
    c.tcp(130, DOWN, 5000, 1000)
    # Of nothing sent yet: beyond all there is.  The right one counts.
    c.tcp(200, UP, 1000, 5000, 100)
    c.tcp(201, DOWN, 5000, 1101)
    c.tcp(202, DOWN, 5000, 1000 + 2**30)
    c.tcp(203, DOWN, 5000, 1000 + 2**31 + 50)
    c.tcp(204, DOWN, 5000, 900)
    c.tcp(230, DOWN, 5000, 1100)
    c.expect(230, DOWN, 30)
    # Before the data that it acknowledges.
    c.tcp(300, DOWN, 5000, 1200)
    c.tcp(301, UP, 1100, 5000, 100)
    return c


@case
def reset():
    # Anybody in between can send one, sooner than the other end.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000, 100)
    c.tcp(101, DOWN, 5000, 1100, flags=RST | ACK)
    c.tcp(102, DOWN, 5000, 1100, flags=RST)
    c.tcp(130, DOWN, 5000, 1100)
    c.expect(130, DOWN, 30)
    # Nor are there data without an ACK, or in a reset.
    c.tcp(200, UP, 1100, 5000, 100, flags=0)
    c.tcp(201, UP, 1100, 5000, 100, flags=RST | ACK)
    c.tcp(230, DOWN, 5000, 1200)
    c.tcp(300, UP, 1100, 5000, 100)
    c.tcp(330, DOWN, 5000, 1200)
    c.expect(330, DOWN, 30)
    return c


@case
def expired():
    # 40 s: whatever it is, it is no round trip.
    c = Capture()
    c.handshake(0)
    c.tcp(100, UP, 1000, 5000, 100)
    c.tcp(40100, DOWN, 5000, 1100)
    c.tcp(41000, UP, 1100, 5000, 100)
    c.tcp(41030, DOWN, 5000, 1200)
    c.expect(41030, DOWN, 30)
    # What is sent behind an anchor that nobody answered is one.
    c.tcp(50000, UP, 1200, 5000, 100)
    c.tcp(90000, UP, 1300, 5000, 100)
    c.tcp(90030, DOWN, 5000, 1400)
    c.expect(90030, DOWN, 30)
    return c


@case
def mid_stream():
    # For some seconds what looks new may have been sent before; the second
    # counter is at 931322 and 1/2 when this begins, so from 5 later on there
    # are samples.
    c = Capture()
    at, seq = 0, 7000
    while at < 10000:
        c.tcp(at, DOWN, seq, 1000, 1000, ts=(1 + at, 1))
        c.tcp(at + 10, UP, 1000, seq + 1000, ts=(1 + at, 1 + at))
        if (BASE + at) * 10**6 >> 30 >= (BASE * 10**6 >> 30) + 5:
            c.expect(at + 10, UP, 10)
        at, seq = at + 500, seq + 1000
    # Another connection's, or a forger's: as at the beginning.
    c.tcp(at, DOWN, seq + 2**27, 1000, 1000)
    c.tcp(at + 10, UP, 1000, seq + 2**27 + 1000)
    c.tcp(at + 20, DOWN, seq + 2**27 + 1000, 1000, 1000)
    c.tcp(at + 30, UP, 1000, seq + 2**27 + 2000)
    return c


# ---- Handshakes -------------------------------------------------------------


@case
def syn_again():
    # To which SYN is the answer?
    c = Capture()
    c.tcp(0, UP, 999, flags=SYN)
    c.tcp(1000, UP, 999, flags=SYN)
    c.tcp(1030, DOWN, 4999, 1000, flags=SYN | ACK)
    # That to the SYN-ACK is clear.
    c.tcp(1040, UP, 1000, 5000)
    c.expect(1040, UP, 10, "handshake")
    # What comes then is as of any connection.
    c.tcp(1100, UP, 1000, 5000, 100)
    c.tcp(1130, DOWN, 5000, 1100)
    c.expect(1130, DOWN, 30)
    return c


@case
def syn_ack_again():
    c = Capture()
    c.tcp(0, UP, 999, flags=SYN)
    c.tcp(30, DOWN, 4999, 1000, flags=SYN | ACK)
    c.expect(30, DOWN, 30, "handshake")
    c.tcp(1030, DOWN, 4999, 1000, flags=SYN | ACK)
    c.tcp(1040, UP, 1000, 5000)
    return c


@case
def syn_again_timestamps():
    # The first arrived, and it took that long.
    c = Capture()
    c.tcp(0, UP, 999, flags=SYN, ts=(100, 0))
    c.tcp(1000, UP, 999, flags=SYN, ts=(1100, 0))
    c.tcp(1030, DOWN, 4999, 1000, flags=SYN | ACK, ts=(500, 100))
    c.expect(1030, DOWN, 1030, "handshake")
    c.tcp(1040, UP, 1000, 5000, ts=(1140, 500))
    c.expect(1040, UP, 10, "handshake")
    # The second did; the same ports.
    c.tcp(2000, UP, 1999, flags=SYN, ts=(2100, 0))
    c.tcp(3000, UP, 1999, flags=SYN, ts=(3100, 0))
    c.tcp(3030, DOWN, 5999, 2000, flags=SYN | ACK, ts=(2500, 3100))
    c.tcp(3040, UP, 2000, 6000, ts=(3140, 2500))
    c.expect(3040, UP, 10, "handshake")
    return c


@case
def syn_ack_of_another():
    # A SYN-ACK that the server sends for a SYN before this one, which we have
    # not seen: its echo says so.
    c = Capture()
    c.tcp(1000, UP, 999, flags=SYN, ts=(1100, 0))
    c.tcp(1001, DOWN, 4999, 1000, flags=SYN | ACK, ts=(500, 100))
    c.tcp(1011, UP, 1000, 5000, ts=(1111, 500))
    c.expect(1011, UP, 10, "handshake")
    # Not the first SYN-ACK either, as there was one before the SYN.
    d = Capture(cport=40001)
    d.tcp(2000, DOWN, 4999, 1000, flags=SYN | ACK)
    d.tcp(2100, UP, 999, flags=SYN)
    d.tcp(2101, DOWN, 4999, 1000, flags=SYN | ACK)
    c.frames += d.frames
    c.lines += d.lines
    return c


@case
def ack_with_data():
    # The ACK may have waited for the request; the request is measured.
    c = Capture()
    c.tcp(0, UP, 999, flags=SYN)
    c.tcp(30, DOWN, 4999, 1000, flags=SYN | ACK)
    c.expect(30, DOWN, 30, "handshake")
    c.tcp(70, UP, 1000, 5000, 100)
    c.tcp(100, DOWN, 5000, 1100)
    c.expect(100, DOWN, 30)
    return c


@case
def fast_open():
    # Data in the SYN, acknowledged with it.
    c = Capture()
    c.tcp(0, UP, 999, size=200, flags=SYN)
    c.tcp(30, DOWN, 4999, 1200, flags=SYN | ACK)
    c.expect(30, DOWN, 30, "handshake")
    # The server's data come before the client's ACK, which then is one.
    c.tcp(31, DOWN, 5000, 1200, 500)
    c.tcp(41, UP, 1200, 5500)
    c.expect(41, UP, 10)
    c.tcp(50, UP, 1200, 5500, 100)
    c.tcp(80, DOWN, 5500, 1300)
    c.expect(80, DOWN, 30)
    return c


@case
def simultaneous_open():
    # Both SYNs pass us before either arrives.  Each end's SYN-ACK answers the
    # other's SYN: that of the client passes at 12, 10 ms after the server's
    # SYN.
    c = Capture()
    c.tcp(0, UP, 999, flags=SYN)
    c.tcp(2, DOWN, 4999, flags=SYN)
    c.tcp(12, UP, 999, 5000, flags=SYN | ACK)
    c.expect(12, UP, 10, "handshake")
    # By now the client's SYN has passed twice (in its SYN-ACK again).
    c.tcp(30, DOWN, 4999, 1000, flags=SYN | ACK)
    c.tcp(50, UP, 1000, 5000, 100)
    c.tcp(80, DOWN, 5000, 1100)
    c.expect(80, DOWN, 30)
    return c


@case
def port_reuse():
    # Four connections with the same ports: each is measured from its
    # beginning, wherever its numbers are.
    c = Capture()
    at = 0
    for cseq, sseq in ((1000, 5000), (3 * 10**9, 10**9), (3 * 10**9 + 5000,
                       10**9 + 9000), (3 * 10**9 + 100, 10**9 + 50)):
        c.handshake(at, cseq, sseq)
        c.tcp(at + 50, UP, cseq, sseq, 100)
        c.tcp(at + 80, DOWN, sseq, cseq + 100)
        c.expect(at + 80, DOWN, 30)
        c.tcp(at + 90, DOWN, sseq, cseq + 100, 1000)
        c.tcp(at + 100, UP, cseq + 100, sseq + 1000)
        c.expect(at + 100, UP, 10)
        c.tcp(at + 110, UP, cseq + 100, sseq + 1000, flags=FIN | ACK)
        c.tcp(at + 140, DOWN, sseq + 1000, cseq + 101, flags=FIN | ACK)
        # A FIN is answered by a FIN: it may have waited, but had no time to.
        c.expect(at + 140, DOWN, 30)
        c.tcp(at + 150, UP, cseq + 101, sseq + 1001)
        c.expect(at + 150, UP, 10)
        at += 200
    # A forged SYN changes nothing.
    c.tcp(at, UP, 77, flags=SYN)
    c.tcp(at + 10, UP, cseq + 101, sseq + 1001, 100)
    c.tcp(at + 40, DOWN, sseq + 1001, cseq + 201)
    c.expect(at + 40, DOWN, 30)
    return c


@case
def no_flow():
    # What ends a flow begins none.
    c = Capture()
    c.tcp(0, UP, 1000, 5000, flags=FIN | ACK)
    c.tcp(1, UP, 1000, 5000, flags=RST)
    c.tcp(2, DOWN, 5000, 1001, flags=FIN | ACK)
    return c


# ---- Frames -----------------------------------------------------------------


def exchange(c, **how):
    """A handshake and a request, all of it in such frames."""
    c.tcp(0, UP, 999, flags=SYN, **how)
    c.tcp(30, DOWN, 4999, 1000, flags=SYN | ACK, **how)
    c.expect(30, DOWN, 30, "handshake")
    c.tcp(40, UP, 1000, 5000, **how)
    c.expect(40, UP, 10, "handshake")
    c.tcp(50, UP, 1000, 5000, 100, **how)
    c.tcp(80, DOWN, 5000, 1100, **how)
    c.expect(80, DOWN, 30)
    return c


def tagged(count, **ends):
    def f():
        return exchange(Capture(**ends), encap=tags(count))
    return f


for n in range(5):
    CASES["vlan_%d" % n] = tagged(n)
CASES["vlan_4_ipv6"] = tagged(4, client=CLIENT6, server=SERVER6)


@case
def vlan_5():
    # One more than are followed.
    c = exchange(Capture(), encap=tags(5))
    c.lines = []
    return c


@case
def pppoe_ipv4():
    return exchange(Capture(), encap=pppoe)


@case
def pppoe_ipv6():
    return exchange(Capture(CLIENT6, SERVER6), encap=pppoe)


@case
def ipv6_extensions():
    # Hop-by-hop and destination options, a routing header, and an atomic
    # fragment; none of them is payload.
    return exchange(Capture(CLIENT6, SERVER6), extensions=(
        (0, bytes(6)), (60, bytes(14)), (43, bytes(6)), (44, bytes(6))))


@case
def padding():
    # What fills a frame to 60 bytes is no payload: else the ACKs would be
    # data, and their answers samples.
    c = exchange(Capture(), pad=60)
    c.tcp(100, UP, 1100, 5000, pad=60)
    c.tcp(130, DOWN, 5000, 1106, pad=60)
    # One byte of payload, and padding.
    c.tcp(200, UP, 1100, 5000, 1, pad=60)
    c.tcp(230, DOWN, 5000, 1101, pad=60)
    c.expect(230, DOWN, 30)
    return c


@case
def fragments():
    # No fragment has a whole segment in it; not even the first counts.
    c = exchange(Capture())
    c.tcp(100, UP, 1100, 5000, 100, fragment=0x2000)
    c.tcp(101, UP, 1200, 5000, 100, fragment=0x2003)
    c.tcp(102, UP, 1300, 5000, 100, fragment=0x0007)
    c.tcp(130, DOWN, 5000, 1200)
    c.tcp(200, UP, 1100, 5000, 100)
    c.tcp(230, DOWN, 5000, 1200)
    c.expect(230, DOWN, 30)
    return c


@case
def header_length():
    # A TCP header shorter than itself, or longer than the packet: it is not
    # looked at.
    c = exchange(Capture())
    for doff in (0, 4, 15):
        c.tcp(100 + doff, UP, 1100, 5000, 10, doff=doff)
    c.tcp(130, DOWN, 5000, 1110)
    c.tcp(200, UP, 1100, 5000, 100)
    c.tcp(230, DOWN, 5000, 1200)
    c.expect(230, DOWN, 30)
    return c


@case
def options():
    # Timestamps are found wherever they are, so that the echo tells which of
    # two was answered: in the first place, in the last, behind what we do not
    # know.
    c = Capture()
    c.handshake(0)
    at, seq = 100, 1000

    def timestamps(value, echo):
        return struct.pack("!BBII", 8, 10, value, echo)

    for before, after in ((b"", b"\x01\x01"), (b"\x01\x01", b""),
                          (b"\x01", b"\x01"), (b"\x22\x0a" + bytes(8), b""),
                          (b"\xfd\x04\x12\x34", b"\x01\x00")):
        c.tcp(at, UP, seq, 5000, 100,
              options=before + timestamps(at, 1) + after)
        c.tcp(at + 220, UP, seq, 5000, 100,
              options=before + timestamps(at + 220, 1) + after)
        c.tcp(at + 250, DOWN, 5000, seq + 100,
              options=before + timestamps(at, at) + after)
        c.expect(at + 250, DOWN, 250)
        at, seq = at + 1000, seq + 100
    # Behind the end of the options, of another length, cut off by the header,
    # behind an option of no length: there are none, and it is refused.
    for text in (b"\x00\x01" + timestamps(at, at),
                 b"\x08\x0c" + struct.pack("!II", at, at) + b"\x01\x01",
                 b"\x08\x0a" + struct.pack("!I", at) + b"\x01\x01",
                 b"\x22\x00" + timestamps(at, at),
                 b"\x22\x01" + timestamps(at, at)):
        c.tcp(at, UP, seq, 5000, 100, options=text)
        c.tcp(at + 220, UP, seq, 5000, 100, ts=(at + 220, 1))
        c.tcp(at + 250, DOWN, 5000, seq + 100, ts=(at, at))
        at, seq = at + 1000, seq + 100
    # The frame ends within them: the rest is there, and is measured.
    c.tcp(at, UP, seq, 5000, 100, ts=(5, 5), cut=14 + 20 + 20 + 6)
    c.tcp(at + 30, DOWN, 5000, seq + 100)
    c.expect(at + 30, DOWN, 30)
    return c


@case
def whose():
    # Between two subscribers, and between two others: neither way.
    c = Capture()
    for client, server in ((CLIENT, "100.64.9.9"), ("192.0.2.1", SERVER)):
        c.tcp(0, UP, 999, flags=SYN, client=client, server=server)
        c.tcp(30, DOWN, 4999, 1000, flags=SYN | ACK, client=client,
              server=server)
    # No IP, and cut short.
    c.raw(40, ether(bytes(46), False, 0x0806))
    c.raw(41, b"\x02")
    c.raw(42, b"")
    return c


@case
def nanosecond_file():
    # A stamp is kept in units of 64 ns, and what that cuts off is added:
    # (10^12 + 50000001) mod 64 is 1.
    c = exchange(Capture())
    c.nanoseconds = True
    c.tcp(100.000001, UP, 1100, 5000, 100)
    c.tcp(130.000100, DOWN, 5000, 1200)
    c.expect(130.000100, DOWN, 0, ns=30000100)
    return c


@case
def big_endian_file():
    c = exchange(Capture())
    c.big_endian = True
    return c


@case
def big_endian_nanosecond_file():
    c = exchange(Capture())
    c.big_endian = c.nanoseconds = True
    return c


# ---- Questions with a number ------------------------------------------------


@case
def ping():
    # From the client: the internet answers; from outside: the access does.
    c = Capture(cport=7, sport=7, proto="ICMP")
    c.echo(0, UP, 8, 1)
    c.echo(30, DOWN, 0, 1)
    c.expect(30, DOWN, 30, "icmp")
    c.echo(100, DOWN, 8, 2)
    c.echo(110, UP, 0, 2)
    c.expect(110, UP, 10, "icmp")
    # The answer twice, none at all, and one that nobody asked for.
    c.echo(111, UP, 0, 2)
    c.echo(200, UP, 8, 3)
    c.echo(300, DOWN, 0, 4)
    # An answer of the same end.
    c.echo(400, UP, 8, 5)
    c.echo(401, UP, 0, 5)
    # Asked twice: to which is the answer?  The same number later is one.
    c.echo(500, UP, 8, 6)
    c.echo(1500, UP, 8, 6)
    c.echo(1530, DOWN, 0, 6)
    c.echo(1600, UP, 8, 6)
    c.echo(1630, DOWN, 0, 6)
    c.expect(1630, DOWN, 30, "icmp")
    # Out of turn; another identifier is another flow's.
    c.echo(2000, UP, 8, 7)
    c.echo(2005, UP, 8, 8)
    c.echo(2010, UP, 8, 7, identifier=9)
    c.echo(2035, DOWN, 0, 8)
    c.expect(2035, DOWN, 30, "icmp")
    c.echo(2040, DOWN, 0, 7)
    c.expect(2040, DOWN, 40, "icmp")
    # No echo: unreachable.
    c.echo(2100, DOWN, 3, 8)
    # 40 s.
    c.echo(3000, UP, 8, 9)
    c.echo(43000, DOWN, 0, 9)
    return c


@case
def ping_ipv6():
    c = Capture(CLIENT6, SERVER6, 7, 7, "ICMPv6")
    c.echo(0, UP, 128, 1)
    c.echo(30, DOWN, 129, 1)
    c.expect(30, DOWN, 30, "icmp")
    c.echo(100, UP, 128, 2, extensions=((60, bytes(6)),))
    c.echo(130, DOWN, 129, 2)
    c.expect(130, DOWN, 30, "icmp")
    # Neighbour discovery is none of it.
    c.echo(200, UP, 135, 3)
    c.echo(230, DOWN, 136, 3)
    return c


def dns_message(number, answer):
    return struct.pack("!HHHHHH", number, 0x8180 if answer else 0x0100, 1, 0,
                       0, 0) + b"\x07example\0\0\x01\0\x01"


@case
def dns():
    c = Capture(sport=53, proto="UDP")
    c.udp(0, UP, dns_message(1, False))
    c.udp(30, DOWN, dns_message(1, True))
    c.expect(30, DOWN, 30, "dns")
    # Two at once, answered out of turn.
    c.udp(100, UP, dns_message(2, False))
    c.udp(101, UP, dns_message(3, False))
    c.udp(131, DOWN, dns_message(3, True))
    c.expect(131, DOWN, 30, "dns")
    c.udp(140, DOWN, dns_message(2, True))
    c.expect(140, DOWN, 40, "dns")
    # A question again: refused.  Another number's answer: of nothing.
    c.udp(200, UP, dns_message(4, False))
    c.udp(5200, UP, dns_message(4, False))
    c.udp(5230, DOWN, dns_message(4, True))
    c.udp(5300, UP, dns_message(5, False))
    c.udp(5330, DOWN, dns_message(6, True))
    # Too short to be one; and an answer from the wrong side.
    c.udp(5400, UP, b"\0\x07\x01\0")
    c.udp(5430, DOWN, b"\0\x07\x81\x80")
    c.udp(5500, DOWN, dns_message(8, False))
    c.udp(5510, UP, dns_message(8, True))
    return c


# ---- QUIC -------------------------------------------------------------------

V1, V2, DRAFT = 1, 0x6B3343CF, 0xFF00001D
INITIAL, ZERO_RTT, HANDSHAKE, RETRY = range(4)
MADE_UP, NAMED = b"original", b"\x55" * 20


def long_header(kind, to, of, version=V1, size=1200):
    """A datagram of size bytes that begins with such a packet."""
    bits = kind if version != V2 else (kind + 1) % 4
    out = struct.pack("!BIB", 0xC0 | bits << 4, version, len(to)) + to
    return (out + bytes([len(of)]) + of).ljust(size, b"\x99")


def quic_hello(c, at, version=V1):
    """30 ms to the server."""
    c.udp(at, UP, long_header(INITIAL, MADE_UP, b"", version))
    c.udp(at + 30, DOWN, long_header(INITIAL, b"", NAMED, version))
    c.expect(at + 30, DOWN, 30, "quic")


@case
def quic():
    # The client acknowledges the server's hello to the connection that the
    # server has named.  Everything else is encrypted.
    c = Capture(sport=443, proto="UDP")
    quic_hello(c, 0)
    c.udp(31, DOWN, long_header(HANDSHAKE, b"", NAMED))
    c.udp(40, UP, long_header(INITIAL, NAMED, b""))
    c.expect(40, UP, 10, "quic")
    c.udp(41, UP, long_header(HANDSHAKE, NAMED, b"", size=80))
    c.udp(60, UP, b"\x40" + NAMED + bytes(50))
    c.udp(90, DOWN, b"\x40" + bytes(50))
    return c


@case
def quic_version_2():
    c = Capture(CLIENT6, SERVER6, sport=443, proto="UDP")
    quic_hello(c, 0, V2)
    # The answer has the keys of the handshake.
    c.udp(40, UP, long_header(HANDSHAKE, NAMED, b"", V2))
    c.expect(40, UP, 10, "quic")
    return c


@case
def quic_draft():
    c = Capture(sport=443, proto="UDP")
    quic_hello(c, 0, DRAFT)
    # ... or those of the connection.
    c.udp(40, UP, b"\x40" + NAMED + bytes(50))
    c.expect(40, UP, 10, "quic")
    return c


@case
def quic_zero_rtt():
    # What the client says before it has heard anything is no answer, to
    # whichever connection.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(1, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(2, UP, long_header(ZERO_RTT, MADE_UP, b""))
    c.udp(30, DOWN, long_header(INITIAL, b"", NAMED))
    c.expect(30, DOWN, 30, "quic")
    c.udp(31, UP, long_header(ZERO_RTT, MADE_UP, b""))
    c.udp(32, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(40, UP, long_header(INITIAL, NAMED, b""))
    c.expect(40, UP, 10, "quic")
    return c


@case
def quic_retry():
    # A Retry answers the hello, and the second hello the Retry, as it goes to
    # the connection which that has named.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(30, DOWN, long_header(RETRY, b"", b"\x66" * 8, size=100))
    c.expect(30, DOWN, 30, "quic")
    c.udp(40, UP, long_header(INITIAL, b"\x66" * 8, b""))
    c.expect(40, UP, 10, "quic")
    c.udp(70, DOWN, long_header(INITIAL, b"", NAMED))
    c.udp(80, UP, long_header(INITIAL, NAMED, b""))
    return c


@case
def quic_negotiation():
    # Version negotiation answers; the hello in another version may have been
    # sent without it.  What comes then is as ever.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(30, DOWN, long_header(0, b"", MADE_UP, 0, size=40))
    c.expect(30, DOWN, 30, "quic")
    c.udp(40, UP, long_header(INITIAL, MADE_UP, b"", V2))
    c.udp(70, DOWN, long_header(INITIAL, b"", NAMED, V2))
    c.udp(80, UP, long_header(INITIAL, NAMED, b"", V2))
    c.expect(80, UP, 10, "quic")
    return c


@case
def quic_instant_ack():
    # The server acknowledges at once, in a datagram too short to want an
    # answer, and has its certificate 20 ms later: that is what the client
    # answers.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(30, DOWN, long_header(INITIAL, b"", NAMED, size=60))
    c.expect(30, DOWN, 30, "quic")
    c.udp(50, DOWN, long_header(INITIAL, b"", NAMED))
    c.udp(60, UP, long_header(INITIAL, NAMED, b""))
    c.expect(60, UP, 10, "quic")
    # The client asks for more before it comes: its next might be about that.
    d = Capture(cport=40001, sport=443, proto="UDP")
    d.udp(1000, UP, long_header(INITIAL, MADE_UP, b""))
    d.udp(1030, DOWN, long_header(INITIAL, b"", NAMED, size=60))
    d.expect(1030, DOWN, 30, "quic")
    d.udp(1090, UP, long_header(INITIAL, NAMED, b""))
    d.udp(1091, DOWN, long_header(INITIAL, b"", NAMED))
    d.udp(1092, UP, long_header(INITIAL, NAMED, b""))
    c.frames += d.frames
    c.lines += d.lines
    return c


@case
def quic_again():
    # Either hello a second time, long after the first: refused.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(1000, UP, long_header(INITIAL, MADE_UP, b""))
    c.udp(1030, DOWN, long_header(INITIAL, b"", NAMED))
    c.udp(1300, DOWN, long_header(INITIAL, b"", NAMED))
    c.udp(1310, UP, long_header(INITIAL, NAMED, b""))
    return c


@case
def quic_mid_stream():
    # Its beginning was not seen: no packet tells what it answers, not even one
    # that looks like a hello.
    c = Capture(sport=443, proto="UDP")
    c.udp(0, DOWN, long_header(INITIAL, b"", NAMED))
    c.udp(1, UP, long_header(INITIAL, NAMED, b""))
    c.udp(2, DOWN, long_header(HANDSHAKE, b"", NAMED))
    c.udp(40, UP, b"\x40" + bytes(50))
    c.udp(70, DOWN, b"\x40" + bytes(50))
    # Another version's, or none of QUIC's.
    for i, text in enumerate((long_header(INITIAL, MADE_UP, b"", 0x0A0A0A0A),
                              b"", b"\x80", b"\xC0\0\0\0\x01\xFF" + bytes(99),
                              b"\xC0\0\0\0\x01\x08")):
        d = Capture(cport=41000 + i, sport=443, proto="UDP")
        d.udp(1000, UP, text)
        d.udp(1030, DOWN, long_header(INITIAL, b"", NAMED))
        d.udp(1040, UP, long_header(INITIAL, NAMED, b""))
        c.frames += d.frames
    return c


def main():
    if sys.argv[1:] == ["list"]:
        print("\n".join(CASES))
    elif len(sys.argv) == 3 and sys.argv[1] == "make":
        for name, f in CASES.items():
            f().write(os.path.join(sys.argv[2], name))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
