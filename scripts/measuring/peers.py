"""Other tools that list or convert sessions, beside the same job of ours.

They are used where they are installed; `scripts/bench --peers` installs those that PyPI has into
target/bench/peers. All of these are under the MIT licence. They get a home of their own, in which the
corpus is what they read and nothing of it what they write.
"""

import os
import shutil
import subprocess
import sys

from . import corpora
from .command import BENCH, RUN, Line, empty

PLACE = BENCH / "peers"
PACKAGES = ("handoff-agent==0.1.3", "session-migrate==0.12.0", "harness-exchange==0.1.0")
HOME = RUN / "peer"


def install():
    if not (PLACE / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
    subprocess.run([PLACE / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)


def find(program):
    return shutil.which(program, path=f"{PLACE / 'bin'}{os.pathsep}{os.environ['PATH']}")


def missing():
    """The programs that are not here."""
    return [name for name in ("handoff", "session-migrate", "harness-exchange", "casr", "continues") if not find(name)]


def lines(corpus, holdall):
    """The jobs, each by every peer that does it and is here, then by holdall."""
    rows = corpora.sessions(corpus)
    middle = sorted((s for s in rows if s["harness"] == "claude" and not s["big"]), key=lambda s: s["bytes"])
    middle = middle[len(middle) // 2]
    name, size = middle["id"], middle["bytes"]

    def home():
        """The corpus' sessions of Claude Code to read, and nothing of Codex."""
        empty(HOME, RUN / "xdg")
        (HOME / ".claude").symlink_to(corpus / ".claude")
        (HOME / ".codex").mkdir()

    def both():
        home()
        (HOME / ".codex").rmdir()
        (HOME / ".codex").symlink_to(corpus / ".codex")

    def converted():
        return None if any((HOME / ".codex").rglob("rollout-*.jsonl")) else "no session of Codex was written"

    def peers(job, **options):
        for program, args in job.items():
            if found := find(program.split(":")[0]):
                yield Line(f"{options['what']}: {program}", [found, *args], options.get("bytes", 0), home=HOME, ours=False, once=options["once"],
                           before=options["before"], check=options.get("check", lambda: None), cwd=options.get("cwd"))  # fmt: skip

    listing = {"handoff": ["list", "--all"], "session-migrate": ["catalog", "refresh"], "casr": ["list", "--all", "--limit", "0"], "continues": ["list", "--all", "--rebuild"]}
    found = list(peers(listing, what="list all", once=True, before=both))
    yield from found
    if found:
        yield Line("list all: holdall", [holdall, "--json", "list", "--all"], home=HOME, before=both, beside=tuple(line.name for line in found))
    converting = {
        "handoff": ["claude", "codex", "--session-id", name, "--format", "native"],
        "session-migrate": ["transfer", name, "--from", "claude", "--to", "codex", "--cwd", middle["cwd"]],
        "harness-exchange": ["--from", "claude", "--to", "codex", "--session-id", name, "--non-interactive"],
        "casr": ["resume", "codex", name],
    }
    found = list(peers(converting, what="convert median", bytes=size, once=False, before=home, check=converted, cwd=middle["cwd"]))
    yield from found
    if found:
        yield Line("convert median: holdall", [holdall, "--json", "convert", name, "--to", "codex", "--no-confirm"], size, home=HOME, before=home, check=converted,
                   beside=tuple(line.name for line in found))  # fmt: skip
