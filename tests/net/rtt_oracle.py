#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Round-trip times of a capture, with all packets at hand: what rtt.sh measures
lqosd against.

rtt_oracle.py --inside PREFIX... [--samples] PCAP...

The captures (classic pcap, of one or several interfaces) are merged by time.
Prints, as JSON, n, min, p50, p90, p99 and max in ms of each side, kind, inside
host and flow; --samples: a line a sample instead.  The side is "access" when
the end that answers is inside, else "internet".

TCP: the time from the latest segment that an acknowledgement covers, as of
tshark's ack_rtt.  From a retransmission, a hole, a segment that comes late or a
SACK on, nothing is measured until all that had been sent by then is
acknowledged ("poisoned").  An acknowledgement of one lone segment may have been
held back, and is counted apart ("delayed"): for the receiver's timer, if it
comes 30 ms or more later than the flow's fastest; for data to go along with, if
it has data and comes 1 ms later.  Handshakes: SYN to SYN-ACK, SYN-ACK to ACK.

ICMP: echo request to its first reply.  DNS: by transaction id.  QUIC: the
client's Initial to the server's first packet; the server's latest packet to the
client's first that has the server's connection id.
"""
import argparse
import ipaddress
import json
import struct
import sys
from collections import Counter, defaultdict, deque, namedtuple

Packet = namedtuple("Packet", "t proto src sport dst dport data length")
# src is the end that answers.
Sample = namedtuple("Sample",
                    "t side kind proto src sport dst dport rtt_ns delayed")

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
NAMES = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMPV6: "ICMPv6"}
FIN, SYN, RST, ACK = 1, 2, 4, 16
DNS, QUIC = 53, 443
TIMER_NS = 30_000_000
DATA_NS = 1_000_000
FULL = 1500  # more than that in a segment: GRO has merged several
LIMIT_NS = 10_000_000_000


# ---- Captures ---------------------------------------------------------------


def frames(path):
    """(nanoseconds, bytes) of each."""
    with open(path, "rb") as f:
        data = f.read()
    for order in "<", ">":
        magic, = struct.unpack_from(order + "I", data)
        if magic in (0xA1B23C4D, 0xA1B2C3D4):
            break
    else:
        raise ValueError(path + ": not a pcap")
    unit = 1 if magic == 0xA1B23C4D else 1000
    header = struct.Struct(order + "IIII")
    at = 24
    while at + 16 <= len(data):
        seconds, rest, size, _ = header.unpack_from(data, at)
        at += 16
        if at + size > len(data):
            break  # tcpdump was stopped here
        yield seconds * 1_000_000_000 + rest * unit, data[at:at + size]
        at += size


def parse(t, frame):
    """What is TCP, UDP or ICMP and no fragment.  Lengths are IP's: frames are
    padded, and captures cut."""
    if len(frame) < 34:
        return None
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        head, total, fragment = struct.unpack_from("!BxHxxH", frame, 14)
        if fragment & 0x3FFF:
            return None
        at = 14 + (head & 15) * 4
        left = total - (head & 15) * 4
        proto, src, dst = frame[23], frame[26:30], frame[30:34]
    elif kind == 0x86DD:
        left, proto = struct.unpack_from("!HB", frame, 18)
        src, dst, at = frame[22:38], frame[38:54], 54
    else:
        return None
    data = frame[at:]
    if proto not in NAMES or len(data) < 8:
        return None
    sport = dport = 0
    if proto in (TCP, UDP):
        sport, dport = struct.unpack_from("!HH", data)
    return Packet(t, proto, src, sport, dst, dport, data, left)


def packets(paths):
    found = []
    for path in paths:
        found += [p for p in (parse(t, f) for t, f in frames(path)) if p]
    found.sort(key=lambda p: p.t)
    return found


# ---- Matching ---------------------------------------------------------------


class Half:
    """What one end of a TCP connection has sent."""

    def __init__(self):
        self.high = self.acked = None
        self.recover = 0
        self.flight = deque()  # [start, end, time, is SYN]

    def place(self, seq):
        """A sequence number without its wrapping."""
        return self.high + ((seq - self.high + (1 << 31)) & 0xFFFFFFFF) - (
            1 << 31)

    def sent(self, seq, n, t, is_syn):
        if self.high is None:
            self.high = self.acked = self.recover = seq + (1 << 32)
        start = self.place(seq)
        end = start + n
        if end > self.high:
            self.flight.append((start, end, t, is_syn))
            if start == self.high:
                self.high = end
                return
            self.high = end
        self.recover = self.high

    def covered(self, ack, has_sack):
        """(segments that this acknowledges, is it poisoned)"""
        if self.high is None:
            return [], False
        if has_sack:
            self.recover = max(self.recover, self.high)
        at = self.place(ack)
        if not self.acked < at <= self.high:
            return [], False
        gone = []
        while self.flight and self.flight[0][0] < at:
            start, end, _, _ = self.flight[0]
            if end <= at:
                gone.append(self.flight.popleft())
                continue
            if end - start > FULL:
                gone.append(self.flight[0])
            break
        poisoned = self.acked < self.recover
        self.acked = at
        return gone, poisoned


def sack_in(data):
    end = min((data[12] >> 4) * 4, len(data))
    at = 20
    while at + 1 < end and data[at]:
        if data[at] == 1:
            at += 1
        elif data[at] == 5:
            return True
        else:
            at += max(data[at + 1], 2)
    return False


class Oracle:
    def __init__(self, inside):
        self.inside = [ipaddress.ip_network(prefix) for prefix in inside]
        self.names = {}
        self.halves = {}
        self.isn = {}
        self.asked = {}
        self.handshakes = {}
        self.samples = []
        self.poisoned = Counter()
        self.alone = {}  # by index of a sample: how much later is too late

    def host(self, raw):
        """(address, is it inside)"""
        if raw not in self.names:
            ip = ipaddress.ip_address(raw)
            self.names[raw] = str(ip), any(
                ip.version == net.version and ip in net
                for net in self.inside)
        return self.names[raw]

    def side(self, packet):
        return "access" if self.host(packet.src)[1] else "internet"

    def sample(self, packet, since, kind):
        if packet.t - since > LIMIT_NS:
            return
        self.samples.append(Sample(
            packet.t, self.side(packet), kind, NAMES[packet.proto],
            self.host(packet.src)[0], packet.sport,
            self.host(packet.dst)[0], packet.dport, packet.t - since, False))

    def look(self, packet):
        if packet.proto == TCP:
            self.tcp(packet)
        elif packet.proto != UDP:
            self.echo(packet)
        elif DNS in (packet.sport, packet.dport):
            self.dns(packet)
        elif QUIC in (packet.sport, packet.dport):
            self.quic(packet)

    def tcp(self, p):
        seq, ack, offset, flags = struct.unpack_from("!IIBB", p.data, 4)
        if flags & RST:
            return
        there = p.src, p.sport, p.dst, p.dport
        back = p.dst, p.dport, p.src, p.sport
        if flags & (SYN | ACK) == SYN and self.isn.get(there) != seq:
            self.isn[there] = seq
            self.halves[there], self.halves[back] = Half(), Half()
        mine = self.halves.setdefault(there, Half())
        theirs = self.halves.setdefault(back, Half())
        payload = p.length - (offset >> 4) * 4
        if flags & ACK:
            gone, poisoned = theirs.covered(ack, sack_in(p.data))
            if gone and poisoned:
                self.poisoned[self.side(p)] += 1
            elif gone:
                last = gone[-1]
                if len(gone) == 1 and not theirs.flight and not last[3]:
                    self.alone[len(self.samples)] = (
                        DATA_NS if payload else TIMER_NS)
                self.sample(p, last[2], "handshake" if last[3] else "ack")
        n = payload + bool(flags & SYN) + bool(flags & FIN)
        if n:
            mine.sent(seq, n, p.t, bool(flags & SYN))

    def echo(self, p):
        request, reply = (8, 0) if p.proto == ICMP else (128, 129)
        if p.data[0] == request:
            self.asked[p.proto, p.src, p.dst, p.data[4:8]] = p.t
        elif p.data[0] == reply:
            since = self.asked.pop((p.proto, p.dst, p.src, p.data[4:8]), None)
            if since:
                self.sample(p, since, "icmp")

    def dns(self, p):
        if p.dport == DNS:
            self.asked[p.src, p.sport, p.dst, p.data[8:10]] = p.t
            return
        since = self.asked.pop((p.dst, p.dport, p.src, p.data[8:10]), None)
        if since:
            self.sample(p, since, "dns")

    def quic(self, p):
        payload = p.data[8:]
        is_long = len(payload) > 6 and payload[0] & 0x80
        if p.dport == QUIC:
            key = p.src, p.sport, p.dst
            state = self.handshakes.get(key)
            if state is None:
                if is_long and not payload[0] & 0x30:
                    self.handshakes[key] = {"asked": p.t}
            elif "scid" in state:
                n = len(state["scid"])
                if is_long and payload[6:6 + payload[5]] == state["scid"] or (
                        not is_long and payload[1:1 + n] == state["scid"]):
                    self.sample(p, state["answered"], "quic")
                    self.handshakes[key] = {}
            elif "asked" in state:
                self.handshakes[key] = {}  # sent again: which is answered?
            return
        state = self.handshakes.get((p.dst, p.dport, p.src))
        if not state or not is_long:
            return
        if "scid" not in state:
            self.sample(p, state["asked"], "quic")
        n = payload[5]
        state["scid"] = payload[7 + n:7 + n + payload[6 + n]]
        state["answered"] = p.t

    def finish(self):
        """Only now it is known how fast each flow can be."""
        fastest = {}
        for s in self.samples:
            flow = s[1:2] + s[3:8]
            fastest[flow] = min(fastest.get(flow, s.rtt_ns), s.rtt_ns)
        for i, allowed in self.alone.items():
            s = self.samples[i]
            if s.rtt_ns > fastest[s[1:2] + s[3:8]] + allowed:
                self.samples[i] = s._replace(delayed=True)


def run(paths, inside):
    oracle = Oracle(inside)
    for packet in packets(paths):
        oracle.look(packet)
    oracle.finish()
    return oracle


# ---- Numbers ----------------------------------------------------------------


def percentile(values, share):
    """Of sorted values: the nearest rank."""
    return values[min(len(values) - 1, int(len(values) * share))]


def numbers(values):
    if not values:
        return {"n": 0}
    values = sorted(values)
    points = {"min": values[0], "p50": percentile(values, 0.50),
              "p90": percentile(values, 0.90), "p99": percentile(values, 0.99),
              "max": values[-1]}
    return {"n": len(values)} | {
        name: round(ns / 1e6, 3) for name, ns in points.items()}


def summary(oracle):
    by = {what: defaultdict(list) for what in ("side", "kind", "host", "flow")}
    delayed = Counter()
    for s in oracle.samples:
        if s.delayed:
            delayed[s.side] += 1
            continue
        inside = s.src if s.side == "access" else s.dst
        by["side"][s.side].append(s.rtt_ns)
        by["kind"][s.side, s.kind].append(s.rtt_ns)
        by["host"][s.side, inside].append(s.rtt_ns)
        by["flow"][s.side, s.proto, f"{s.src} {s.sport}",
                   f"{s.dst} {s.dport}"].append(s.rtt_ns)
    out = {what: {k if isinstance(k, str) else " ".join(k): numbers(v)
                  for k, v in sorted(found.items())}
           for what, found in by.items()}
    return out | {"delayed": delayed, "poisoned": oracle.poisoned}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pcap", nargs="+")
    parser.add_argument("--inside", action="append", required=True)
    parser.add_argument("--samples", action="store_true")
    options = parser.parse_args()
    oracle = run(options.pcap, options.inside)
    if not options.samples:
        json.dump(summary(oracle), sys.stdout, indent=1)
        print()
        return
    for s in oracle.samples:
        print(*s[:9], "delayed" if s.delayed else "")


if __name__ == "__main__":
    main()
