"""One command: what it runs in, and what it costs."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "target" / "bench"
# Of this process alone; gone when it ends.
RUN = BENCH / f"run-{os.getpid()}"
ASIDE = BENCH / f"aside-{os.getpid()}"
HOME = RUN / "home"
OUTPUT = RUN / "stdout"
MIB = 1 << 20


@dataclass
class Line:
    """One line of the table: a command, what to put in place before each run, and what it must do."""

    name: str
    argv: list
    bytes: int = 0
    home: Path = None
    cwd: Path = None
    env: dict = field(default_factory=dict)
    # Of holdall itself: it gets an empty PATH, so that no installed program is touched or used.
    ours: bool = True
    before: Callable = lambda: None
    check: Callable = lambda: None
    # The file that it makes.
    packs: Path = None
    terminal: bool = False
    # The file that it reads from a pipe.
    stdin: Path = None
    targets: list = field(default_factory=list)
    syncs: bool = False
    # The names of the lines that do the same job, as far as there is one.
    beside: tuple = ()
    # The line with which `--check` compares it.
    gate: str = ""
    # The line whose result it needs.
    after: str = ""
    # Run once only, however often the others are.
    once: bool = False
    limit: int = 300


@dataclass
class Figures:
    """What one line measured. `problem` says why the figures mean nothing."""

    name: str
    wall: float = 0.0
    cpu: float = 0.0
    rss: int = 0
    bytes: int = 0
    packed: int = 0
    problem: str = ""

    @property
    def rate(self):
        return self.bytes / 1e6 / self.wall if self.bytes and self.wall else 0.0


def environment(line):
    """Nothing of the caller's: a home, and XDG directories beside it."""
    found = {"HOME": str(line.home), "LANG": "C.UTF-8", "TZ": "UTC"}
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        found[f"XDG_{name}_HOME"] = str(RUN / "xdg" / name.lower())
    found["PATH"] = str(RUN / "empty") if line.ours else os.environ["PATH"]
    return {**found, **line.env}


def output(line):
    """Where the command writes: a file that its check reads, a terminal, or nowhere."""
    if line.terminal:
        ours, theirs = os.openpty()
        threading.Thread(target=drain, args=(ours,), daemon=True).start()
        return os.fdopen(theirs, "wb")
    return open(OUTPUT if line.ours else os.devnull, "wb")


def drain(terminal):
    """Reads what is written to a terminal, until nobody holds its other end."""
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        os.close(terminal)


def run(line, argv=None, settle=True):
    """Runs the command once: (wall, cpu, peak rss in bytes, problem). `settle`: after the disk has
    written all that it was given, so that it is not in the way."""
    line.before()
    if settle:
        os.sync()
    with open(RUN / "stderr", "w+b") as talk, output(line) as data, open(line.stdin or os.devnull, "rb") as given:
        start = time.perf_counter()
        child = subprocess.Popen([str(a) for a in argv or line.argv], env=environment(line), cwd=line.cwd or line.home,
                                 stdin=given, stdout=data, stderr=talk, start_new_session=True)  # fmt: skip
        watch = threading.Timer(line.limit, os.killpg, (child.pid, signal.SIGKILL))
        watch.start()
        _, status, used = os.wait4(child.pid, 0)
        watch.cancel()
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        talk.seek(0)
        problem = ""
        if child.returncode == -signal.SIGKILL:
            problem = f"not done after {line.limit} s"
        elif child.returncode:
            problem = f"exit {child.returncode}: " + " ".join(talk.read().decode(errors="replace").split())[-300:]
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, problem or line.check() or ""


def measure(line, runs):
    taken = []
    for _ in range(1 if line.once else runs):
        taken.append(run(line))
        if taken[-1][3]:
            return Figures(line.name, problem=taken[-1][3])
    walls, cpus, peaks, _ = zip(*taken)
    packed = line.packs.stat().st_size if line.packs else 0
    return Figures(line.name, statistics.median(walls), statistics.median(cpus), max(peaks), line.bytes, packed)


def without_syncs(line, figures):
    """The same figures less the time in sync calls, as one more run under strace tells it. Only that
    is taken from this run: a traced program is slow in everything else."""
    log = RUN / "syncs.log"
    calls = "fsync,fdatasync,syncfs,sync,sync_file_range"
    tracer = [shutil.which("strace"), "-f", "--seccomp-bpf", "-qq", "-ttt", "-T", "-e", f"trace={calls}", "-e", "signal=none", "-o", log]
    problem = figures.problem or run(line, [*tracer, *line.argv])[3]
    wall = figures.wall - (0 if problem else time_syncing(log))
    return replace(figures, name=f"{line.name}, less syncs", wall=wall, problem=problem)


def time_syncing(log):
    """Seconds in which at least one thread was inside a sync call."""
    started, spans = {}, []
    for row in log.read_text().splitlines():
        found = re.match(r"(\d+) +([\d.]+) (.*)", row)
        thread, at, rest = found[1], float(found[2]), found[3]
        if rest.endswith("<unfinished ...>"):
            started[thread] = at
        elif took := re.search(r"<([\d.]+)>$", rest):
            at = started.pop(thread, at) if "resumed>" in rest else at
            spans.append((at, at + float(took[1])))
    total = end = 0.0
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def empty(*folders):
    """Makes each folder anew. What was there is only put aside until the end: ext4 is slow to make
    files for minutes after it has removed many."""
    for folder in folders:
        if folder.exists() or folder.is_symlink():
            ASIDE.mkdir(parents=True, exist_ok=True)
            folder.rename(ASIDE / f"{time.monotonic_ns()}")
        folder.mkdir(parents=True)
