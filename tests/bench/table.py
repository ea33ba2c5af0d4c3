# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results as tables, for people.

table.py TARGETS RESULTS            of one run, and what is held to a target
table.py --compare A B RESULTS...   of two revisions, from all their runs
"""
import json
import signal
import statistics
import sys

signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def read(paths):
    """(machine, result) of each line: a machine's holds for what follows."""
    machine = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                if "revision" in entry:
                    machine = entry
                elif "median" in entry:
                    yield machine, entry


def read_targets(path):
    targets = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, sign, limit = line.split()
                targets[name] = sign, float(limit)
    return targets


def show(targets, path):
    machine = None
    print(f"{'':<36}{'median':>12}{'min':>12}{'max':>12}  unit")
    for machine, r in read([path]):
        line = f"{r['name']:<36}" + "".join(
            f"{number(r[key]):>12}" for key in ("median", "min", "max"))
        line += f"  {r['unit']}"
        if r["name"] in targets:
            sign, limit = targets[r["name"]]
            met = r["median"] <= limit if sign == "<" else r["median"] >= limit
            at = "at most" if sign == "<" else "at least"
            line += f", {at} {number(limit)}: {'met' if met else 'MISSED'}"
        print(line)
    if machine:
        print(", ".join(f"{key} {value}" for key, value in machine.items()))


def compare(a, b, paths):
    medians = {a: {}, b: {}}
    for machine, r in read(paths):
        of = medians.get(machine.get("revision"))
        if of is not None:
            of.setdefault(r["name"], []).append(r["median"])
    for revision, of in medians.items():
        if not of:
            sys.exit(f"table: {' '.join(paths)}: no results of {revision}")
    print(f"{'':<36}{a:>16}{b:>16}{'b / a':>8}  runs")
    for name, values in medians[a].items():
        others = medians[b].get(name)
        if not others:
            continue
        old, new = statistics.median(values), statistics.median(others)
        share = f"{new / old:.2f}" if old else "-"
        print(f"{name:<36}{number(old):>16}{number(new):>16}{share:>8}"
              f"  {len(values)}, {len(others)}")


def main():
    if sys.argv[1] == "--compare":
        compare(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        show(read_targets(sys.argv[1]), sys.argv[2])


main()
