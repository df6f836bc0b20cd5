#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/plot_network.py RUNS.csv PLOT.svg: CPU seconds against GPUs, both logarithmic, from the rows
that bench/network.sh prints. Standard library only."""
import csv
import math
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 460, 60, 40, 12, 250
COLOURS = ["#1b6ca8", "#d1495b", "#2e8b57", "#8e5ea2", "#e6952f", "#4d4d4d", "#17a2a2", "#a0522d"]


def main(source, target):
    series = {}
    for row in csv.DictReader(line for line in open(source) if line.strip()):
        name = f"{row['case']} ({row['engine']})"
        series.setdefault(name, []).append((int(row["gpus"]), max(1e-5, float(row["engine_cpu_s"]))))
    gpus = [g for points in series.values() for g, _ in points]
    low, high = math.log2(min(gpus)), math.log2(max(gpus))

    def x(g):
        return LEFT + (math.log2(g) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(seconds):
        return TOP + (2.5 - math.log10(seconds)) / 7.5 * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>']
    for exponent in range(-5, 3):
        level = y(10.0 ** exponent)
        out.append(f'<path d="M{LEFT} {level:.0f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{level + 4:.0f}" text-anchor="end">1e{exponent} s</text>')
    for g in sorted(set(gpus)):
        out.append(f'<text x="{x(g):.0f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{g}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{HEIGHT - 6}" text-anchor="middle">GPUs</text>')
    cases = list(dict.fromkeys(name.rsplit(" (", 1)[0] for name in series))
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[cases.index(name.rsplit(" (", 1)[0]) % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if name.endswith("(simgrid)") else ""
        line = " ".join(f"{x(g):.1f},{y(s):.1f}" for g, s in sorted(points))
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        key = TOP + 10 + 15 * i
        out.append(f'<path d="M{WIDTH - RIGHT + 12} {key - 4}h22" stroke="{colour}" stroke-width="2"{dash}/>'
                   f'<text x="{WIDTH - RIGHT + 40}" y="{key}">{name}</text>')
    open(target, "w").write("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
