#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A run of rtt.sh that never was, for rtt_judge.py to judge.

rtt_made_up.py FOLDER CHANGE...

A subscriber pings, 20 times, and all is as it should be; each CHANGE is what is
not.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "rtt"))
from golden import BASE, DOWN, UP, Capture  # noqa: E402

CLIENT, SERVER = "100.64.9.6", "198.51.100.9"
PINGS = 20
COLUMNS = ("timestamp_ns", "side", "rtt_ns", "kind", "protocol", "src_ip",
           "src_port", "dest_ip", "dest_port", "min_rtt_ns", "circuit_id")


class Run:
    def __init__(self):
        self.name = "icmp"
        self.pings = PINGS
        self.rows = []
        self.lost = self.more_counted = self.dropped = 0
        self.cells = {}
        for i in range(PINGS):
            self.rows.append(dict(zip(COLUMNS, (
                (BASE + 100 * i + 30) * 10**6 + 50_000, "internet",
                30_050_000 + i, "icmp", "ICMP", SERVER, 0, CLIENT, 0,
                30_050_000, "icmp"))))

    # ---- Changes

    def early(self):
        self.rows[-1].update(rtt_ns=29_900_000, min_rtt_ns=29_900_000)

    def swapped(self):
        self.rows[-1]["side"] = "access"

    def not_the_least(self):
        self.rows[-1]["min_rtt_ns"] += 1_000_000

    def not_the_least_of_the_lost(self):
        self.rows[-1]["min_rtt_ns"] -= 20_000
        self.lost = 1

    def more_than_told(self):
        self.more_counted = 3

    def more_are_lost(self):
        self.more_counted = self.lost = 3

    def late(self):
        for row in self.rows[12:]:
            row["rtt_ns"] += 500_000

    def captures_dropped(self):
        self.dropped = 3

    def of_two_sides(self):
        self.name = "rr"

    def few(self):
        self.pings = 5
        del self.rows[5:]

    def other_columns(self):
        self.cells["p50"] = 90_000_000

    # ---- Files

    def write(self, folder):
        def put(name, text):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text if isinstance(text, str) else json.dumps(text))

        up, down = (Capture(CLIENT, SERVER) for _ in range(2))
        for i in range(self.pings):
            up.echo(100 * i, UP, 8, i)
            down.echo(100 * i + 30.05, DOWN, 0, i)
        up.write(os.path.join(folder, "subs"))
        down.write(os.path.join(folder, "inet"))
        for side in "subs", "inet":
            put(side + ".err", f"{self.dropped} packets dropped by kernel\n")
        late = {"p50": 1, "p90": 2, "p99": 3, "max": 4}
        put("wire.json", {
            "ways": [{"delay_us": us, "late_us": late}
                     for us in (5000, 5000, 15000, 15000)],
            "late_us": late, "forwarded": 2 * self.pings,
            **dict.fromkeys(("lost", "reordered", "kernel_drops", "refused",
                             "oversized", "overrun"), 0)})
        put("scenarios", f"{self.name} {CLIENT}\n")
        put("feed.json", {"data": {
            "columns": COLUMNS, "lost": self.lost,
            "rows": [[row[c] for c in COLUMNS] for row in self.rows]}})
        cells = {"samples": len(self.rows) + self.more_counted,
                 **dict.fromkeys(("p50", "p90", "p99"), 30_060_000),
                 **self.cells}
        put("frame.json", {"data": {"subscribers": {
            "columns": [{"name": "pping.internet." + c} for c in cells],
            "rows": [{"circuit_id": self.name,
                      "values": list(cells.values())}]}}})


def main():
    run = Run()
    for change in sys.argv[2:]:
        getattr(run, change)()
    run.write(sys.argv[1])


if __name__ == "__main__":
    main()
