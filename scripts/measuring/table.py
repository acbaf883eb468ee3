"""Prints what was measured."""

import os
import sys

from .command import MIB, Figures


def say(text):
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def show(figures, least, lines):
    """One line for each command. Returns how many targets were missed."""
    all = {f.name: f for f in figures if not f.problem}
    all["nothing"] = Figures("nothing", rss=least)
    width = max(len(f.name) for f in figures) + 1
    print(f"{'':{width}}{'wall s':>9}{'cpu s':>9}{'rss MiB':>9}{'MB/s':>8}{'packed':>8}  target, and time (wall, cpu) beside the others")
    missed = 0
    for f in figures:
        if f.problem:
            print(f"{f.name:{width}}  failed, {f.problem}")
            continue
        rss = f"{'<' if f.rss <= least else ''}{f.rss / MIB:.0f}"
        rate = f"{f.rate:.0f}" if f.rate else ""
        packed = f"{f.bytes / f.packed:.2f}" if f.packed and f.bytes else ""
        line = lines[f.name]
        notes = []
        for text, met in line.targets:
            missed += not met(f, all)
            notes.append(f"{'met' if met(f, all) else 'MISSED'}: {text}")
        notes += [f"× {f.wall / all[b].wall:.2f}, {f.cpu / all[b].cpu:.2f} of {b}" for b in line.beside if b in all]
        print(f"{f.name:{width}}{f.wall:9.3f}{f.cpu:9.3f}{rss:>9}{rate:>8}{packed:>8}  {'; '.join(notes)}".rstrip())
    return missed


def heading(runs):
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}; medians of {runs} runs")
    if load > os.cpu_count():
        print("the machine is busy: wall times say little, cpu times and ratios hold")
    print()
