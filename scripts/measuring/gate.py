"""Whether a command takes more processor time than it did.

Its processor time is divided by that of another program that did a job of the same kind in the same
run: a slow or busy machine slows both. Of several runs the quickest counts, because a neighbour can
only add time. What seems to have become slower is measured again before it is believed.
"""

import json
import platform
from pathlib import Path

from .command import ROOT, run
from .table import say

STORED = ROOT / "fixtures" / "bench" / "ratios.json"
# A ratio may be this much greater than the stored one.
TOLERANCE = 1.15
ROUNDS = 4
# Rounds more, for lines that seem slower.
AGAIN = 6


class Least:
    """The least processor time of every line, over all rounds."""

    def __init__(self):
        self.cpu, self.problems = {}, {}

    def measure(self, lines, rounds):
        for number in range(rounds):
            for line in lines:
                if line.name in self.problems:
                    continue
                say(f"round {number + 1} of {rounds}: {line.name} …")
                _, cpu, _, problem = run(line, settle=False)
                if problem:
                    self.problems[line.name] = problem
                self.cpu[line.name] = min(cpu, self.cpu.get(line.name, cpu))
        say("")

    def ratios(self, lines):
        good = (line for line in lines if line.gate and not {line.name, line.gate} & set(self.problems))
        return {line.name: self.cpu[line.name] / self.cpu[line.gate] for line in good}


def processor():
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
        return next(row.split(":")[1].strip() for row in rows if row.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def needed(lines):
    """The lines that are compared, what they are compared with, and what these need."""
    gates = {line.gate for line in lines}
    return [line for line in lines if line.gate or line.name in gates or line.name in ("tar czf",)]


def slower(ratios, stored):
    return [name for name, ratio in ratios.items() if name in stored and ratio > stored[name]["ratio"] * TOLERANCE]


def store(lines):
    """Measures and writes the ratios down."""
    least = Least()
    least.measure(lines, 2 * ROUNDS)
    beside = {line.name: line.gate for line in lines}
    ratios = {name: {"beside": beside[name], "ratio": round(ratio, 4)} for name, ratio in least.ratios(lines).items()}
    STORED.parent.mkdir(parents=True, exist_ok=True)
    STORED.write_text(json.dumps({"processor": processor(), "ratios": ratios}, indent=1) + "\n")
    for name, row in ratios.items():
        print(f"{name:32}{row['ratio']:8.3f} × {row['beside']}")
    return least.problems


def check(lines):
    """Measures and compares; returns what is wrong."""
    known = json.loads(STORED.read_text())
    stored = known["ratios"]
    if processor() != known["processor"]:
        print(f"the ratios were stored on another processor, {known['processor']}: on this one they may differ by themselves")
    least = Least()
    least.measure(lines, ROUNDS)
    suspects = slower(least.ratios(lines), stored)
    if suspects:
        names = {name for line in lines if line.name in suspects for name in (line.name, line.gate, line.after)}
        # The archives that they read are still there.
        least.measure([line for line in lines if line.name in names], AGAIN)
    ratios, problems = least.ratios(lines), dict(least.problems)
    suspects = slower(ratios, stored)
    for line in lines:
        if not line.gate or line.name in problems:
            continue
        if line.name not in stored:
            problems[line.name] = "it has no stored ratio; `scripts/bench --store` writes one"
            continue
        before, now = stored[line.name]["ratio"], ratios[line.name]
        word = "SLOWER" if line.name in suspects else "ok"
        print(f"{word:7}{line.name:32}{now:8.3f} × {line.gate:28} stored {before:8.3f}  {100 * (now / before - 1):+.0f} %")
        if line.name in suspects:
            problems[line.name] = f"its processor time is {now / before:.2f} times what it was, beside {line.gate}"
    return problems
