#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what the hosts of topology.sh sent with what lqosd made of it.

judge.py FOLDER PAIRS [shorter=ENCAP] [strange=ENCAP] [parsed=again]

FOLDER has told (hosts.py talk); seen_up, seen_down (encap_seen of the
subscribers and of the internet); frame.json (lqtop); tree.json (steering.tree);
before.json, after.json (status); class_DEVICE (tc).  shorter: the tag of
this encapsulation is not in the frame where it is counted; strange: this one is
more than the parser follows, and so nobody's.  parsed=again: no descriptor
reaches the egress, instead of each.  Prints a line a result: 0 or 1,
what was looked at, what is wrong with it.
"""
import json
import os
import sys

from hosts import ENCAPS, FAMILIES, circuits

TAG_LEN = 4


class Lab:
    def __init__(self, folder, pairs, shorter, strange):
        self.folder, self.pairs = folder, pairs
        self.shorter, self.strange = shorter, strange
        self.told = dict(line.split(None, 1) for line in self.lines("told"))
        self.seen = {way: [row["formatted"]["value"]
                           for row in self.load("seen_" + way)]
                     for way in ("up", "down")}
        data = self.load("frame.json")["data"]
        self.frame = self.rows(data["subscribers"])
        self.total = dict(zip((c["name"] for c in data["global"]["columns"]),
                              data["global"]["values"]))
        self.tree = self.load("tree.json")
        self.placed = {c["circuit_id"]: c for c in self.tree["circuits"]}
        self.classes = {}
        for name in os.listdir(folder):
            if name.startswith("class_"):
                self.classes[name[6:]] = dict(self.htb(name))
        self.stick = "trunk" in self.classes

    def lines(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as f:
            return f.read().splitlines()

    def load(self, name):
        return json.loads("\n".join(self.lines(name)))

    def htb(self, name):
        """(class, (packets, drops)); tc's JSON of HTB is none."""
        handle = None
        for words in map(str.split, self.lines(name)):
            if words[:1] == ["class"]:
                handle = words[2]
            elif words[:1] == ["Sent"]:
                yield handle, (int(words[3]), int(words[6].rstrip(",")))

    @staticmethod
    def rows(table):
        names = [c["name"] for c in table["columns"]]
        return {row["circuit_id"]: dict(zip(names, row["values"]))
                for row in table["rows"]}

    def sent(self, way, encap, pair, family):
        return self.seen[way][(pair * 16 + encap) * 2 + (family == 6)]

    def counted(self, name, way, unit):
        row = self.frame.get(name, {})
        return (row.get(f"throughput.{way}.{unit}", 0) -
                row.get(f"throughput.{way}.icmp.{unit}", 0))

    def not_told(self, name):
        said = self.told.get(name, "nothing was tried")
        if said != "ok":
            yield f"{name}: {said}"

    def wrong_headers(self, name, encap, pair, family):
        for way in ("up", "down"):
            wrong = self.sent(way, encap, pair, family)["wrong"]
            if wrong:
                yield f"{name}: {wrong} frames, seen where {way} is sent"

    def wrong_counts(self, name, encap, pair, family):
        for way in ("up", "down"):
            sent = self.sent(way, encap, pair, family)
            packets, length = sent["packets"], sent["bytes"]
            if self.stick:
                length += packets * TAG_LEN
            if ENCAPS[encap] == self.shorter:
                length -= packets * TAG_LEN
            if ENCAPS[encap] == self.strange:
                packets = length = 0
            got = self.counted(name, way, "packets")
            if got != packets or sent["packets"] == 0:
                yield f"{name}, {way}: {got} packets, {packets} were sent"
            got = self.counted(name, way, "bytes")
            if got != length:
                yield f"{name}, {way}: {got} bytes, {length} were sent"

    def wrong_class(self, name, encap, pair):
        for way in ("up", "down"):
            major, minor = self.placed[name]["class"].split(":")
            side = ("inet" if way == "up" else "subs") + (str(pair) if pair
                                                          else "")
            if self.stick:
                side = "trunk"
                if way == "up":
                    major = int(major, 16) + self.tree["up_offset"]
                    major = f"{major:x}"
            if ENCAPS[encap] == self.strange:
                continue
            got, drops = self.classes[side].get(f"{major}:{minor}", (0, 0))
            wanted = self.frame.get(name, {}).get(
                f"throughput.{way}.packets", 0)
            if got != wanted:
                yield (f"{name}, {way}: {got} packets in {major}:{minor} of "
                       f"{side}, {wanted} were counted")
            elif drops:
                yield f"{name}, {way}: {drops} dropped"

    def increase(self, read):
        before, after = (read(self.load(name)["counters"])
                         for name in ("before.json", "after.json"))
        return {key: n - before.get(key, 0) for key, n in after.items()}

    def wrong_parses(self, again):
        total = self.increase(lambda counters: counters["total"])
        if total["sent_parsed"] != (total["sent"] if again else 0):
            yield "{sent_parsed} of {sent} packets at TC".format(**total)

    def on_cpus(self):
        """(CPU, packets it saw, of subscribers planned for it, nobody's)."""

        def packets(row):
            return (row["throughput.up.packets"] +
                    row["throughput.down.packets"])
        observed = self.increase(lambda counters: {
            c["cpu"]: c["observed"] for c in counters["cpus"]})
        subscribers = sum(packets(row) for c, row in self.frame.items() if c)
        for cpu in sorted({q["cpu"] for q in self.tree["queues"]}):
            planned = sum(packets(self.frame[c]) for c in self.placed
                          if self.placed[c]["cpu"] == cpu and c in self.frame)
            yield (cpu, observed[cpu], planned,
                   packets(self.total) - subscribers)


def judge(lab, again):
    for encap, name in enumerate(ENCAPS):
        rows = [row[:3] for row in circuits(lab.pairs) if row[3] == encap]
        yield (f"{name}: TCP, options and fragments arrive whole",
               [e for row in rows for e in lab.not_told(row[0])])
        yield (f"{name}: with the headers they were sent with",
               [e for circuit, *rest in rows
                for e in lab.wrong_headers(circuit, encap, *rest)])
        yield (f"{name}: counted, each packet and byte" if
               name != lab.strange else f"{name}: nobody's",
               [e for circuit, *rest in rows
                for e in lab.wrong_counts(circuit, encap, *rest)])
        yield (f"{name}: all of them in their class",
               [e for circuit, pair, _ in rows
                for e in lab.wrong_class(circuit, encap, pair)])
    yield ("each packet is parsed " + ("twice" if again else "once"),
           list(lab.wrong_parses(again)))
    for cpu, saw, planned, nobodys in lab.on_cpus():
        yield (f"CPU {cpu} sees what is planned for it, of others nobody's",
               [] if planned <= saw <= planned + nobodys else
               [f"{saw} packets; planned {planned}, nobody's {nobodys}"])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    options = dict(a.split("=") for a in sys.argv[3:])
    lab = Lab(sys.argv[1], int(sys.argv[2]), options.get("shorter"),
              options.get("strange"))
    for what, errors in judge(lab, options.get("parsed") == "again"):
        print(int(bool(errors)), what, "; ".join(errors), sep="\t")


if __name__ == "__main__":
    main()
