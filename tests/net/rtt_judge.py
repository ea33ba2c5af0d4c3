#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the samples of a run of rtt.sh against the truth.

rtt_judge.py FOLDER [--wire] [--lossy] [--queue] [--unknown]

FOLDER has scenarios ("NAME ADDRESS" lines), subs.pcap and inet.pcap (tcpdump,
with what it said in *.err), wire.json (delaywire), feed.json (lines of lqosctl
-j watch pping.samples) and frame.json (lqtop).  --wire: there is no lqosd, only
tell; --lossy: the wire loses or reorders; --queue: frames wait for others, so
that only the reference knows how long it took; --unknown: nobody is a
subscriber, so that all have one row of columns.

Prints a line a result: 0 or 1, what was looked at, what is wrong with it; or
"-" and a note.  TESTS of each scenario and RUN_TESTS more.

Ends with 0 if all are 0.  With AGAIN if what is wrong may be the machine's
doing: a limit of time that was not kept, or packets that wires and captures
have left out.  With 1 if anything else is wrong: that must not happen even
once.
"""
import argparse
import bisect
import json
import math
import os
import re
import sys
from collections import defaultdict

import rtt_oracle
from rtt_oracle import numbers, percentile

TESTS, RUN_TESTS = 9, 3
AGAIN = 75

INSIDE = ("100.64.0.0/10", "2001:db8::/33", "2001:db8:fffe::/48")
SIDES = ("access", "internet")
MEDIAN_OFF_NS = 100_000
P90_OFF_NS = 300_000
P99_OFF_NS = 1_000_000
ENOUGH = 10  # fewer samples have no percentiles
MANY = 50  # these have the percentiles of all packets, if nothing else changes
ROUNDS = 0.3  # of the round trips that there were, so many are measured
BUCKET = 0.04  # what percentiles of a histogram may be off by
TAIL = 0.125  # ... p99, on which side of a bucket few samples lie
# XDP and tcpdump do not see a packet at the same time.
APART_NS = 3_000_000
SHARES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
# Scenarios of which only one side is to have ENOUGH; of others it is both.
ONE_SIDE = {"push": "access", "icmp": "internet", "dns": "internet",
            "up": "internet", "down": "access", "burst": "access",
            "plain": "access", "loss": "access", "reorder": "access",
            "queue": "access"}


def ms(ns):
    return "none" if ns is None else "%.3f" % (ns / 1e6)


class Row:
    """A sample of pping."""

    def __init__(self, columns, values):
        row = dict(zip(columns, values))
        self.t, self.side = row["timestamp_ns"], row["side"]
        self.rtt, self.kind = row["rtt_ns"], row["kind"]
        self.src, self.dst = row["src_ip"], row["dest_ip"]
        ports = row["src_port"], row["dest_port"]
        if self.kind == "icmp":
            ports = 0, 0  # there are none
        self.flow = (self.side, row["protocol"], self.src, ports[0], self.dst,
                     ports[1])
        self.min = row["min_rtt_ns"]
        self.circuit = row["circuit_id"]
        self.off = None  # against the reference

    @property
    def inside(self):
        return self.src if self.side == "access" else self.dst


class Truth:
    """What the reference says of the flows of one scenario, by flow."""

    def __init__(self, samples):
        self.by_flow = defaultdict(list)
        for s in samples:
            self.by_flow[s[1:2] + s[3:8]].append(s)

    def good(self, side):
        return [s for flow, found in self.by_flow.items() if flow[0] == side
                for s in found if not s.delayed]

    def nearest(self, row):
        """The sample that the same answer gave."""
        found = self.by_flow.get(row.flow, [])
        i = bisect.bisect_left(found, row.t, key=lambda s: s.t)
        near = [s for s in found[max(0, i - 2):i + 2]
                if abs(s.t - row.t) < APART_NS]
        return min(near, key=lambda s: abs(s.t - row.t), default=None)


def rounds(samples):
    """Round trips that can be measured one after the other."""
    last, n = defaultdict(int), 0
    for s in sorted(samples):
        flow = s[1:2] + s[3:8]
        if s.t - s.rtt_ns >= last[flow]:
            last[flow] = s.t
            n += 1
    return n


class Judge:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.wrong = self.late = 0
        self.wire = self.load("wire.json")
        self.scenarios = defaultdict(list)
        with open(self.path("scenarios")) as f:
            for line in f:
                name, address = line.split()
                self.scenarios[name].append(address)
        self.oracle = rtt_oracle.run(
            [self.path("subs.pcap"), self.path("inet.pcap")], INSIDE)
        self.true_ns, self.late_ns = {}, {}
        for i, side in enumerate(SIDES):
            there, back = self.wire["ways"][2 * i:2 * i + 2]
            self.true_ns[side] = (there["delay_us"] + back["delay_us"]) * 1000
            self.late_ns[side] = int(1000 * (there["late_us"]["p99"] +
                                             back["late_us"]["p99"]))

    def path(self, name):
        return os.path.join(self.folder, name)

    def load(self, name):
        with open(self.path(name)) as f:
            return json.load(f)

    def truth(self, addresses):
        return Truth([s for s in self.oracle.samples
                      if (s.src if s.side == "access" else s.dst)
                      in addresses])

    # ---- What is told -------------------------------------------------------

    def note(self, text):
        print("-", text, sep="\t")

    def tell(self, good, what, why):
        print(0 if good else 1, what, why, sep="\t")

    def result(self, good, what, why):
        """What must not happen even once."""
        self.wrong += not good
        self.tell(good, what, why)

    def timely(self, good, what, why):
        """What a machine that is busy may do to us."""
        self.late += not good
        self.tell(good, what, why)

    def note_wire(self):
        late = self.wire["late_us"]
        self.note("wires: %d frames, %d lost, %d held back; late by %.0f us "
                  "(p50), %.0f (p90), %.0f (p99), %.0f (max)" % (
                      self.wire["forwarded"], self.wire["lost"],
                      self.wire["reordered"], late["p50"], late["p90"],
                      late["p99"], late["max"]))

    def note_figures(self, name, side, rows, truth):
        def told(values):
            n = numbers(values)
            if not n["n"]:
                return "none"
            return "n %d, min %.3f, p50 %.3f, p90 %.3f, p99 %.3f" % (
                n["n"], n["min"], n["p50"], n["p90"], n["p99"])

        ours = "" if rows is None else "pping %s; " % told(
            [r.rtt for r in rows])
        good = truth.good(side)
        if rows or good:
            self.note("%s, %s: %sreference %s" % (
                name, side, ours, told([s.rtt_ns for s in good])))
        offs = sorted(r.off for r in rows or () if r.off is not None)
        if offs:
            self.note("%s, %s: %d samples against the reference's of the same "
                      "packet: p1 %s, p50 %s, p99 %s ms" % (
                          name, side, len(offs), ms(percentile(offs, 0.01)),
                          ms(percentile(offs, 0.5)),
                          ms(percentile(offs, 0.99))))

    def only_wire(self):
        self.note_wire()
        for name, addresses in self.scenarios.items():
            truth = self.truth(addresses)
            for side in SIDES:
                self.note_figures(name, side, None, truth)
        self.note("reference: delayed %d, poisoned %s" % (
            sum(s.delayed for s in self.oracle.samples),
            dict(self.oracle.poisoned)))
        self.check_capture()

    # ---- What is judged -----------------------------------------------------

    def read_feed(self):
        """All rows since lqosd was started."""
        self.rows, self.lost = [], 0
        with open(self.path("feed.json")) as f:
            for line in f:
                try:
                    frame = json.loads(line)
                except ValueError:
                    continue  # the last, half of it
                data = frame.get("data", frame)
                self.lost += data.get("lost", 0) + frame.get("dropped", 0)
                self.rows += [Row(data["columns"], values)
                              for values in data["rows"]]

    def read_frame(self):
        data = self.load("frame.json")["data"]["subscribers"]
        names = [c["name"] for c in data["columns"]]
        self.cells = {row["circuit_id"]: dict(zip(names, row["values"]))
                      for row in data["rows"]}

    def check_capture(self):
        text = ""
        for side in "subs", "inet":
            with open(self.path(side + ".err")) as f:
                text += f.read()
        dropped = re.findall(r"(\d+) packets dropped", text)
        wire = {key: self.wire[key] for key in
                ("kernel_drops", "refused", "oversized", "overrun")}
        self.timely(dropped == ["0", "0"] and not any(wire.values()),
                    "wires and captures leave nothing out",
                    f"tcpdump dropped {dropped}; wires {wire}")

    def check_sides(self):
        wrong = [r.flow for r in self.rows
                 if r.side != ("access" if self.is_inside(r.src) else
                               "internet")
                 or self.is_inside(r.src) == self.is_inside(r.dst)]
        self.result(not wrong, "the side is that of the end that answers",
                    f"{len(wrong)} of {len(self.rows)} are not: {wrong[:5]}")

    def is_inside(self, address):
        ip = rtt_oracle.ipaddress.ip_address(address)
        return self.oracle.host(ip.packed)[1]

    def check_minima(self):
        """Of each flow the least so far."""
        least, wrong = {}, []
        for r in sorted(self.rows, key=lambda r: r.t):
            # Of hosts that are nobody's most flows are not followed.
            if not r.circuit and not self.options.unknown:
                continue
            least[r.flow] = min(least.get(r.flow, r.rtt), r.rtt)
            # The kernel keeps them in units of 64 ns.  One that was lost may
            # have been less.
            off = r.min - least[r.flow]
            if off > 128 or off < -128 and not self.lost:
                wrong.append((r.flow, r.min, least[r.flow]))
        self.result(not wrong, "a flow's least is its least",
                    f"{len(wrong)} are not: {wrong[:3]}")

    def check_true(self, name, rows):
        early = [(r.flow, ms(r.rtt)) for r in rows
                 if r.rtt < self.true_ns[r.side]]
        self.result(rows and not early, f"{name}: none below the true delay",
                    f"{len(early)} of {len(rows)}: {early[:5]}")

    def alike(self, rows, good):
        """Our times and the reference's that can be compared, in order."""
        if self.options.queue or len(rows) < MANY:
            # pping measures once a round trip, and these are not alike: against
            # the same packets only.
            rows = [r for r in rows if r.off is not None]
            theirs = [r.rtt - r.off for r in rows]
        else:
            theirs = [s.rtt_ns for s in good]
        return sorted(r.rtt for r in rows), sorted(theirs)

    def check_enough(self, name, sides):
        """Those of the sides that are to be compared."""
        few, enough, fault = [], {}, self.timely
        for side, (rows, good) in sides.items():
            both = self.alike(rows, good)
            n = min(map(len, both))
            if n >= ENOUGH:
                enough[side] = both
                continue
            self.note(f"{name}, {side}: not compared with the reference, "
                      f"{n} of {len(rows)} samples are too few")
            if ONE_SIDE.get(name, side) == side:
                few.append(f"{side}: {n} of {len(rows)}, at least {ENOUGH} "
                           "expected")
                # Else it is the captures that have too few of them.
                if len(rows) < ENOUGH:
                    fault = self.result
        fault(not few, f"{name}: enough samples to compare", "; ".join(few))
        return enough

    def compare(self, name, what, share, enough, allowed, only_more=False):
        bad = []
        for side, (ours, theirs) in enough.items():
            ours, theirs = percentile(ours, share), percentile(theirs, share)
            off = ours - theirs
            if off > allowed or off < -allowed and not only_more:
                bad.append(f"{side} {ms(ours)}, reference {ms(theirs)}")
        self.timely(not bad, f"{name}: {what} as the reference's",
                    "; ".join(bad) + f" ms, {ms(allowed)} allowed")

    def check_p99(self, name, sides):
        """What the wire itself needed so long for is not pping's.  Where ACKs
        are lost or the line is slow, one that covers more than was stamped is
        off by the gap between segments."""
        disturbed = self.options.lossy or self.options.queue
        most = 10 if disturbed else 100
        bad = []
        for side, (rows, good) in sides.items():
            limit = self.true_ns[side] + self.late_ns[side] + P99_OFF_NS
            late = [r for r in rows if r.rtt > limit]
            excused = [r for r in late
                       if r.off is not None and r.off <= P90_OFF_NS]
            if disturbed:
                late = [r for r in rows
                        if r.off is not None and r.off > P99_OFF_NS]
                excused = []
            if rows:
                self.note(f"{name}, {side}: p99 limit {ms(limit)} = true "
                          f"{ms(self.true_ns[side])} + wire's p99 "
                          f"{ms(self.late_ns[side])} + {ms(P99_OFF_NS)}; "
                          f"{len(late)} of {len(rows)} above, {len(excused)} "
                          "of them by the reference's account too")
            over = len(late) - len(excused)
            if over > max(1, len(rows) / most):
                bad.append(f"{side}: {over} of {len(rows)}, such as "
                           f"{[ms(r.rtt) for r in late[:5]]}")
        what = "p99 near the true delay"
        if disturbed:
            what = "90 % within 1 ms of the reference"
        self.timely(not bad, f"{name}: {what}", "; ".join(bad))

    def check_flows(self, name, rows, truth):
        seen = {r.flow for r in rows}
        missing = [
            (flow, len(found)) for flow, found in truth.by_flow.items()
            if flow not in seen and not all(s.delayed for s in found)
            and not (self.options.lossy and len(found) < ENOUGH)]
        self.result(len(missing) <= self.lost,
                    f"{name}: samples of each flow and side",
                    f"none of {len(missing)} of {len(truth.by_flow)}: "
                    f"{missing[:5]}")

    def check_rounds(self, name, sides):
        bad = []
        for side, (rows, good) in sides.items():
            there = rounds(good)
            if len(rows) + self.lost < ROUNDS * there:
                bad.append(f"{side}: {len(rows)} of {there}")
        self.result(not bad, f"{name}: at least 30 % of the round trips",
                    "; ".join(bad))

    def check_counted(self, name, rows, cells):
        told = defaultdict(int)
        for r in rows:
            told[r.side] += 1
        counted = {side: cells.get(f"pping.{side}.samples") or 0
                   for side in SIDES}
        good = all(told[side] <= counted[side] <= told[side] + self.lost
                   for side in SIDES)
        self.result(good, f"{name}: all that is counted is told, or as lost",
                    f"told {dict(told)}, {self.lost} lost, counted {counted}")
        refused = {k: v for k, v in cells.items() if v and re.match(
            r"pping\.\w+\.(?!samples|p\d|min|max|mean)\w+", k)}
        if refused:
            self.note(f"{name}: {refused}")

    def check_histogram(self, name, rows, cells):
        bad = []
        for side in SIDES:
            values = sorted(r.rtt for r in rows if r.side == side)
            n = len(values)
            if n < ENOUGH:
                self.note(f"{name}, {side}: columns not compared, {n} samples "
                          "are too few")
                continue
            # The lost were less than all others, or more.
            ranked = [0] * self.lost + values + [math.inf] * self.lost
            for point, share in SHARES.items():
                got = cells.get(f"pping.{side}.{point}")
                off = TAIL if point == "p99" else BUCKET
                # Whatever it takes for the rank.
                low = ranked[max(0, int(n * share) - 1)]
                high = ranked[min(len(ranked) - 1, self.lost + 1 +
                                  int((n + self.lost) * share))]
                if (got is None or
                        not low * (1 - off) <= got <= high * (1 + off)):
                    bad.append(f"{side} {point}: {ms(got)}, events "
                               f"{ms(values[min(int(n * share), n - 1)])}")
        self.result(not bad, f"{name}: columns' percentiles as the samples'",
                    "; ".join(bad))

    def judge(self):
        self.read_feed()
        self.read_frame()
        self.note_wire()
        if self.lost:
            self.note(f"{self.lost} samples did not reach the reader")
        self.check_capture()
        self.check_sides()
        self.check_minima()
        for name, addresses in self.scenarios.items():
            truth = self.truth(addresses)
            rows = [r for r in self.rows if r.inside in addresses]
            for r in rows:
                nearest = truth.nearest(r)
                if nearest and not nearest.delayed:
                    r.off = r.rtt - nearest.rtt_ns
            sides = {side: ([r for r in rows if r.side == side],
                            truth.good(side)) for side in SIDES}
            for side in SIDES:
                self.note_figures(name, side, sides[side][0], truth)
            self.check_true(name, rows)
            enough = self.check_enough(name, sides)
            self.compare(name, "the median is", 0.5, enough, MEDIAN_OFF_NS)
            self.compare(name, "p90 is", 0.9, enough, P90_OFF_NS, True)
            self.check_p99(name, sides)
            self.check_flows(name, rows, truth)
            self.check_rounds(name, sides)
            cells = self.cells.get(name, {})
            if self.options.unknown:
                cells, rows = self.cells.get("", {}), self.rows
            self.check_counted(name, rows, cells)
            self.check_histogram(name, rows, cells)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    for option in "wire", "lossy", "queue", "unknown":
        parser.add_argument("--" + option, action="store_true")
    options = parser.parse_args()
    judge = Judge(options.folder, options)
    if options.wire:
        judge.only_wire()
    else:
        judge.judge()
    sys.exit(1 if judge.wrong else AGAIN if judge.late else 0)


if __name__ == "__main__":
    main()
