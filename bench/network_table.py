#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/network_table.py RUNS.csv: the tables of bench/README.md, as Markdown, from the rows that
bench/network.sh prints. Standard library only."""
import csv
import math
import sys

# case, GPUs: least ratio of SimGrid's seconds to ours that the project wants.
RATIO_TARGETS = {
    ("rail tok", 64): 300, ("rail tok", 128): 1500, ("star tok", 64): 300, ("star tok", 128): 1500,
    ("fat tree tok", 64): 300, ("fat tree tok", 128): 1500, ("rail jit balanced", 128): 200,
    ("star jit balanced", 128): 200, ("aggregated tok", 256): 250, ("aggregated tok", 512): 700,
    ("rail uni", 128): 200, ("rail uni", 256): 200,
}
# case, GPUs: most seconds that the project wants.
SECONDS_TARGETS = {("rail tok", 1024): 6, ("rail tok tolerance 0.1 %", 1024): 1, ("aggregated tok", 256): 0.004,
                   ("aggregated tok tolerance 0.2 %", 4096): 8}
# case, from, to: most exponent of time against GPUs.
EXPONENT_TARGETS = {("rail tok", 128, 1024): 2.8, ("rail tok tolerance 0.1 %", 128, 1024): 2.2,
                    ("star tok", 128, 512): 2.8, ("fat tree tok", 128, 512): 2.8, ("aggregated tok", 128, 1024): 2.8}


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def judged(reached, target, good):
    return f"{target}" if good else f"{target}: missed"


def main(source):
    rows = {(r["case"], int(r["gpus"]), r["engine"]): r
            for r in csv.DictReader(line for line in open(source) if line.strip())}
    cpu = lambda key: float(rows[key]["engine_cpu_s"])
    print("| case | GPUs | flows | ours | SimGrid | ratio | target |\n|---|---|---|---|---|---|---|")
    for (case, gpus, engine), row in rows.items():
        peer = (case, gpus, "simgrid")
        if engine != "fluid" or peer not in rows or gpus < 64:
            continue
        ratio = cpu(peer) / float(row["engine_cpu_s"])
        target = RATIO_TARGETS.get((case, gpus))
        print(f"| {case} | {gpus} | {int(row['flows']):,} | {number(float(row['engine_cpu_s']))} s | {number(cpu(peer))} s | "
              f"{number(ratio)} | {'' if target is None else judged(ratio, target, ratio >= target)} |")

    print("\n| ours alone | GPUs | flows | CPU s | target | makespan over bound | memory | bytes a flow |\n|---|---|---|---|---|---|---|---|")
    for (case, gpus, engine), row in rows.items():
        if engine not in ("fluid", "message") or gpus < 256:
            continue
        seconds, flows = float(row["engine_cpu_s"]), int(row["flows"])
        target = SECONDS_TARGETS.get((case, gpus))
        memory = float(row["engine_rss_bytes"])
        over = float(row["makespan_s"]) / float(row["bound_s"]) - 1
        print(f"| {case} | {gpus:,} | {flows:,} | {number(seconds)} | {'' if target is None else judged(seconds, target, seconds <= target)} | "
              f"{'+' + format(100 * over, '.2f') + ' %' if over > 5e-9 else '0'} | {number(memory / 1e6)} MB | {number(memory / flows)} |")

    print("\n| growth of time, log / log | from, to GPUs | exponent | target |\n|---|---|---|---|")
    for (case, low, high), target in EXPONENT_TARGETS.items():
        if (case, low, "fluid") in rows and (case, high, "fluid") in rows:
            slope = math.log(cpu((case, high, "fluid")) / cpu((case, low, "fluid"))) / math.log(high / low)
            print(f"| {case} | {low}, {high:,} | {slope:.1f} | {judged(slope, target, slope <= target)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
