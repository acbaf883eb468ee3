"""What is measured on: made once, under target/bench, and kept there.

A small edition of everything is a tenth of the size, for a first look and for `--check`.
"""

import json
import os
import random
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from .command import BENCH, ROOT, empty


@dataclass
class Corpora:
    """The homes. Those that are only for lines that were not asked for are None."""

    # Transcripts of two harnesses, most of them small, and one big session of each.
    mixed: Path = None
    # Many small sessions.
    small: Path = None
    # Nothing but an opencode database.
    database: Path = None
    # One very large session.
    session: Path = None
    # A session with one very long line.
    line: Path = None
    # An archive of many sessions, and a home to import into.
    archive: Path = None
    # One session, held in a repository with commits that no remote has.
    repository: Path = None


def make(needed, quick):
    """Makes what is not there yet of the corpora that are `needed`."""
    makers = {"mixed": mixed, "small": small, "database": database, "session": session, "line": line,
              "archive": archive, "repository": repository}  # fmt: skip
    return Corpora(**{name: make(quick) for name, make in makers.items() if name in needed})


def write(home, **options):
    """Runs scripts/corpus, unless it did before. True: it did now."""
    if (home / "made").exists():
        return False
    empty(home)
    given = {"claude": 0, "codex": 0, "big_mb": 0, "cwd_root": home / "src", **options}
    flags = [word for name, value in given.items() for word in ("--" + name.replace("_", "-"), str(value))]
    subprocess.run([ROOT / "scripts" / "corpus", home, *flags], check=True)
    return True


def sessions(home):
    """What corpus.json says of the sessions of a home."""
    return json.loads((home / "corpus.json").read_text())


def done(home):
    """The corpus is whole."""
    (home / "made").touch()
    return home


def mixed(quick):
    claude, codex, big = (200, 200, 20) if quick else (2000, 2000, 200)
    home = BENCH / f"corpus-{claude}-{codex}-{big}"
    if write(home, claude=claude, codex=codex, big_mb=big):
        for cwd in {s["cwd"] for s in sessions(home)}:
            # Repositories of their own, or they would count as parts of this one.
            subprocess.run(["git", "init", "--quiet", cwd], check=True)
        (home / "elsewhere").mkdir()
    return done(home)


def small(quick):
    each = 500 if quick else 5000
    home = BENCH / f"small-{2 * each}"
    write(home, claude=each, codex=each, most_turns=1)
    return done(home)


def database(quick):
    size = 200 if quick else 2000
    home = BENCH / f"database-{size}"
    write(home, opencode_mb=size)
    return done(home)


def session(quick):
    size = 200 if quick else 2000
    home = BENCH / f"session-{size}"
    write(home, big_mb=size, big_only="claude")
    return done(home)


def line(quick):
    size = 51 if quick else 512
    home = BENCH / f"line-{size}"
    write(home, claude=1, line_mb=size)
    return done(home)


def archive(quick):
    """An archive of sessions of 10 MB. They are one file with many names, so that they take no room
    of their own; the archive is the only copy, and small because their text repeats itself."""
    count = 100 if quick else 1000
    home = BENCH / f"archive-{count}"
    if not (home / "made").exists():
        empty(home)
        project = home / "home" / ".claude" / "projects" / "-home-dev-archived"
        project.mkdir(parents=True)
        names = [uuid.UUID(int=number, version=4) for number in range(count)]
        files = [project / f"{name}.jsonl" for name in names]
        repeating(files[0], names[0])
        for file in files[1:]:
            os.link(files[0], file)
        (home / "sessions.json").write_text(json.dumps({"ids": [str(name) for name in names], "bytes": files[0].stat().st_size}))
    return home


def facts(home):
    """What is in the archive: the ids of its sessions, and the bytes of each."""
    return json.loads((home / "sessions.json").read_text())


def pack(home, holdall):
    """The archive itself, which takes holdall to make."""
    file = home / "many.tar.gz"
    if not (home / "made").exists():
        environment = {"HOME": str(home / "home"), "PATH": str(home), "XDG_STATE_HOME": str(home / "state")}
        subprocess.run([holdall, "export", "--all", "--git", "none", "--force", "-o", file], env=environment, check=True, capture_output=True)
        shutil.rmtree(home / "home")
        done(home)
    return file


def repeating(file, name):
    """A transcript of 10 MB whose text is slices of 12 kB: deflate makes a tenth of it."""
    rnd = random.Random(1)
    letters = "abcdefghijklmnopqrst"
    pool = " ".join("".join(rnd.choices(letters, k=rnd.randint(2, 9))) for _ in range(2000))
    parent = None
    with open(file, "w", encoding="utf-8") as out:
        while out.tell() < 10_000_000:
            row = str(uuid.UUID(int=out.tell() + 1, version=4))
            at = rnd.randrange(len(pool) - 6000)
            message = {"role": "user", "content": pool[at : at + 6000]}
            record = {"parentUuid": parent, "isSidechain": False, "type": "user", "message": message, "uuid": row,
                      "timestamp": "2026-11-01T10:00:00.000Z", "cwd": "/home/dev/archived", "sessionId": str(name), "version": "2.1.197"}  # fmt: skip
            out.write(json.dumps(record, separators=(",", ":")) + "\n")
            parent = row


def repository(quick):
    """A repository with a long history, of which the last fifty commits are on no remote."""
    commits = 2_000 if quick else 20_000
    home = BENCH / f"repository-{commits}"
    if write(home, claude=1):
        cwd = Path(sessions(home)[0]["cwd"])
        git = ["git", "-C", str(cwd), "-c", "user.name=dev", "-c", "user.email=dev@example.invalid"]
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", cwd], check=True)
        importing = subprocess.Popen([*git, "fast-import", "--quiet", "--date-format=raw"], stdin=subprocess.PIPE)
        rnd = random.Random(1)
        with importing.stdin as stream:
            for number in range(commits):
                text = f"{number} {rnd.randbytes(300).hex()}\n".encode()
                stream.write(b"commit refs/heads/main\ncommitter dev <dev@example.invalid> %d +0000\ndata 6\nchange\n" % (1_700_000_000 + number))
                stream.write(b"M 100644 inline src/%03d/%02d.txt\ndata %d\n" % (number % 200, number % 37, len(text)) + text + b"\n")
        assert importing.wait() == 0
        for command in (["remote", "add", "origin", "https://example.invalid/dev/repository.git"],
                        ["update-ref", "refs/remotes/origin/main", "main~50"], ["reset", "--quiet", "--hard", "main"]):  # fmt: skip
            subprocess.run([*git, *command], check=True)
    return done(home)
