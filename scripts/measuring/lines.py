"""The lines of the table: what is run, beside what, and what it must reach."""

import os
import shutil
from pathlib import Path

from . import corpora
from .command import HOME, MIB, OUTPUT, RUN, Line, empty, environment, run

ARCHIVE = RUN / "all.tar.gz"
TAR = RUN / "tar.tar.gz"
FOLDERS = [".claude", ".codex"]
# The compression level of `export` when nobody chooses one.
LEVEL = 4


def at_most(what, limit, unit=""):
    def met(f, all):
        if what == "rss":
            # What this script itself costs hides what is below it.
            return f.rss <= max(limit * MIB, all["nothing"].rss)
        return getattr(f, what) <= limit

    return f"{what} ≤ {limit:.3g}{unit}", met


def at_least(rate):
    return f"≥ {rate:g} MB/s", lambda f, all: f.rate >= rate


def floor(name):
    """No more time than this other program's processor time, had it used every core, and 15 % more."""

    def met(f, all):
        return name in all and f.wall <= 1.15 * all[name].cpu / os.cpu_count()

    return f"wall ≤ 1.15 × cpu of {name} ÷ {os.cpu_count()} cores", met


def new_home(projects=None):
    """An empty home on the target side, with the projects in place, and no journal of earlier imports."""

    def make():
        empty(HOME, RUN / "xdg")
        for project in projects.iterdir() if projects else []:
            (HOME / "src" / project.name).mkdir(parents=True)

    return make


def transcripts(home):
    return [p for folder in (".claude/projects", ".codex/sessions") for p in (home / folder).rglob("*.jsonl")]


def expect(count, *folders):
    """A check, for a command that did nothing is fast: so many transcripts are below the folders."""

    def check():
        found = sum(1 for folder in folders for p in folder.rglob("*.jsonl") if p.name != "session_index.jsonl")
        return None if found == count else f"{found} transcripts instead of {count}"

    return check


HEADS = RUN / "xdg" / "state" / "holdall" / "heads"


def forget_heads():
    """Removes what earlier lists kept: everything is read."""
    HEADS.unlink(missing_ok=True)


def keep_heads(holdall, corpus):
    """Before a list of this corpus: another one, which keeps what it reads."""
    return lambda: run(Line("list", [holdall, "--json", "list", "--all"], home=corpus))


def expect_listed(count):
    """A check: the JSON on stdout lists so many sessions."""

    def check():
        with open(OUTPUT, encoding="utf-8") as data:
            found = sum(row.count('"harness":') for row in data)
        return None if found == count else f"{found} sessions listed instead of {count}"

    return check


class Table:
    """Makes the lines for the corpora that there are, in the order in which they need one another."""

    def __init__(self, holdall, made):
        self.holdall, self.made = holdall, made

    def lines(self):
        made = self.made
        parts = [(made.mixed, self.mixed), (made.small, self.small), (made.database, self.database), (made.archive, self.archive),
                 (made.session, self.session), (made.line, self.line), (made.repository, self.repository)]  # fmt: skip
        for corpus, lines in parts:
            if corpus:
                yield from lines(corpus)

    def ours(self, name, *args, **more):
        return Line(name, [self.holdall, *args], **more)

    def mixed(self, corpus):
        sessions = corpora.sessions(corpus)
        big = {s["harness"]: s for s in sessions if s["big"]}
        small = sorted((s for s in sessions if not s["big"]), key=lambda s: s["bytes"])
        middle = small[len(small) // 2]
        files = transcripts(corpus)
        raw = sum(p.stat().st_size for p in files)
        every = f"find {' '.join(FOLDERS)} -type f -print0 | xargs -0 "

        def theirs(name, script, **more):
            return Line(name, ["sh", "-c", script], raw, home=corpus, ours=False, **more)

        def ours(name, *args, **more):
            return self.ours(name, *args, home=more.pop("home", corpus), **more)

        def converted(source, target, variable):
            folder = RUN / target
            agents = [p for p in files if big[source]["id"] in p.parts]
            return ours(f"convert {source} → {target}", "--json", "convert", big[source]["id"], "--to", target, "--no-confirm",
                        bytes=big[source]["bytes"], env={variable: str(folder)}, before=lambda: empty(folder, RUN / "xdg"), check=expect(1 + len(agents), folder),
                        targets=[at_most("cpu", big[source]["bytes"] * 3.5e-9, " s"), at_most("rss", 16, " MiB")],
                        beside=("sha256sum",), gate="sha256sum")  # fmt: skip

        def imported(name, *args, **more):
            return ours(name, "--json", "import", ARCHIVE, "--no-confirm", *args, home=HOME, **more)

        whole = {"bytes": raw, "before": new_home(corpus / "src"), "check": expect(len(files), HOME)}
        yield theirs("cat", every + "cat")
        yield theirs("sha256sum", every + "sha256sum")
        yield theirs("cp -r", f"cp -r {' '.join(FOLDERS)} {HOME}", before=new_home(corpus / "src"))
        for level in (LEVEL, 6):
            yield theirs(f"gzip -{level}", f"{every} cat | gzip -{level} > {RUN}/gzip.gz", packs=RUN / "gzip.gz")
        yield theirs("tar czf", f"tar czf {TAR} {' '.join(FOLDERS)}", packs=TAR)
        if shutil.which("pigz"):
            yield theirs("tar | pigz -p2", f"tar cf - {' '.join(FOLDERS)} | pigz -p2 > {RUN}/pigz.tar.gz", packs=RUN / "pigz.tar.gz")
        yield theirs("gzip -t", f"gzip -t {TAR}")
        yield theirs("tar xzf", f"tar xzf {TAR} -C {HOME}", before=new_home(corpus / "src"))
        listed = {"check": expect_listed(len(sessions)), "targets": [at_most("wall", 0.15, " s"), at_most("rss", 64, " MiB")]}
        yield ours("list --all", "--json", "list", "--all", before=forget_heads, gate="sha256sum", **listed)
        yield ours("list --all, kept", "--json", "list", "--all", before=keep_heads(self.holdall, corpus), **listed)
        for kept, before in (("", forget_heads), (", kept", keep_heads(self.holdall, corpus))):
            shown = {"terminal": True, "before": before, "targets": [at_most("wall", 0.04, " s")]}
            yield ours(f"list, no sessions here{kept}", "list", cwd=corpus / "elsewhere", **shown)
            yield ours(f"list, sessions here{kept}", "list", cwd=Path(middle["cwd"]), **shown)
        yield ours("show a median session", "show", middle["id"], bytes=middle["bytes"], gate="sha256sum")
        for name, level in (("export --all", LEVEL), ("export --all --level 6", 6)):
            yield ours(name, "--json", "export", "--all", "--level", str(level), "--force", "-o", RUN / "6.tar.gz" if level == 6 else ARCHIVE, bytes=raw,
                       packs=RUN / "6.tar.gz" if level == 6 else ARCHIVE, targets=[floor(f"gzip -{level}"), at_most("rss", 64, " MiB")],
                       beside=(f"gzip -{level}", "tar czf", "tar | pigz -p2"), gate=f"gzip -{level}" if level == LEVEL else "")  # fmt: skip
        yield ours("verify", "--json", "verify", ARCHIVE, bytes=raw, targets=[at_least(1000)], beside=("gzip -t",), gate="gzip -t")
        yield ours("inspect", "--json", "inspect", ARCHIVE, bytes=raw, gate="sha256sum")
        yield imported("import", **whole, targets=[at_least(286)], syncs=True, beside=("tar xzf",), gate="tar xzf")
        yield imported("import again", bytes=raw, check=expect(len(files), HOME), beside=("tar xzf",), gate="tar xzf", after="import")
        yield imported("import --session", "--session", middle["id"], before=new_home(corpus / "src"), check=expect(1, HOME))
        yield converted("claude", "codex", "CODEX_HOME")
        yield converted("codex", "claude", "CLAUDE_CONFIG_DIR")

    def small(self, corpus):
        sessions = corpora.sessions(corpus)
        count = f"{len(sessions):,} small"
        raw = sum(s["bytes"] for s in sessions)
        there = {"home": corpus, "bytes": raw}
        yield Line(f"find, {count}", ["sh", "-c", f"find {' '.join(FOLDERS)} -type f -printf '%s\n'"], ours=False, **there)
        yield Line(f"sha256sum, {count}", ["sh", "-c", f"find {' '.join(FOLDERS)} -type f -print0 | xargs -0 sha256sum"], ours=False, **there)
        for kept, before in (("", forget_heads), (", kept", keep_heads(self.holdall, corpus))):
            more = {"home": corpus, "before": before, "beside": (f"find, {count}",), "gate": f"sha256sum, {count}"}
            yield self.ours(f"list --all, {count}{kept}", "--json", "list", "--all", check=expect_listed(len(sessions)),
                            targets=[at_most("wall", 0.15, " s"), at_most("rss", 64, " MiB")], **more)  # fmt: skip
            yield self.ours(f"list, {count}{kept}", "list", terminal=True, targets=[at_most("wall", 0.04, " s")], **more)

    def database(self, corpus):
        """What a large database costs those who want one session of it, or to put one into it."""
        rows = corpora.sessions(corpus)
        chosen = sorted(rows, key=lambda row: row["bytes"])[len(rows) // 2]
        file = corpus / ".local" / "share" / "opencode" / "opencode.db"
        there = {"home": corpus, "env": {"XDG_DATA_HOME": str(corpus / ".local" / "share")}}

        def ours(name, *args, **more):
            return self.ours(name, "--json", *args, **there, **more)

        # The file grows by the rows, not by a copy.
        before = file.stat().st_size
        size = f"{before / 1e9:.1f} GB of opencode"
        reading = Line(f"sha256sum {size}", ["sha256sum", file], before, home=corpus, ours=False)
        yield reading
        yield ours(f"list, {size}", "list", "--all", "-H", "opencode", check=expect_listed(len(rows)), targets=[at_most("wall", 0.2, " s"), at_most("rss", 64, " MiB")],
                   gate=reading.name)  # fmt: skip
        yield ours(f"export one of {size}", "export", chosen["id"], "--force", "-o", RUN / "one.tar.gz", targets=[at_most("wall", 0.3, " s"), at_most("rss", 64, " MiB")],
                   gate=reading.name)  # fmt: skip
        if not self.made.mixed:
            return
        small = sorted((s for s in corpora.sessions(self.made.mixed) if not s["big"]), key=lambda s: s["bytes"])
        session = small[len(small) // 2]
        there["home"] = self.made.mixed

        def take_back():
            """The database as it was, and no journal."""
            if (RUN / "xdg").exists():
                run(ours("undo", "undo"))
            empty(RUN / "xdg")

        def grown():
            wal = file.with_name(file.name + "-wal")
            more = file.stat().st_size - before + (wal.stat().st_size if wal.exists() else 0)
            return None if more < 16 * MIB + 4 * session["bytes"] else f"the database grew by {more} bytes"

        convert = ours(f"convert one into {size}", "convert", session["id"], "--to", "opencode", "--no-confirm", bytes=session["bytes"],
                       before=take_back, check=grown, targets=[at_most("rss", 64, " MiB")])  # fmt: skip
        yield convert
        yield ours("undo that", "undo", before=lambda: run(convert), targets=[at_most("rss", 64, " MiB")])

    def archive(self, corpus):
        """An archive that is too large to be read for one of its sessions."""
        file = corpora.pack(corpus, self.holdall)
        held = corpora.facts(corpus)
        size = f"{held['bytes'] * len(held['ids']) / 1e9:.0f} GB archive"
        one = held["ids"][len(held["ids"]) // 2]
        half = held["bytes"] / 286e6
        yield self.ours(f"inspect, {size}", "--json", "inspect", file, home=HOME, before=new_home(), targets=[at_most("wall", 0.05, " s"), at_most("rss", 64, " MiB")])
        yield self.ours(f"import --session, {size}", "--json", "import", file, "--session", one, "--no-confirm", bytes=held["bytes"], home=HOME, before=new_home(),
                        check=expect(1, HOME), targets=[at_most("wall", round(0.05 + half, 3), " s"), at_most("rss", 64, " MiB")], syncs=True)  # fmt: skip

    def session(self, corpus):
        """Nothing is held in memory that grows with a session."""
        [session] = corpora.sessions(corpus)
        size = f"one session of {session['bytes'] / 1e9:.1f} GB"
        yield from self.enormous(corpus, size, session, RUN / "session.tar.gz")

    def line(self, corpus):
        """Nor with a line."""
        [session] = corpora.sessions(corpus)
        yield from self.enormous(corpus, f"one line of {session['bytes'] / 1e6:.0f} MB", session, RUN / "line.tar.gz")

    def enormous(self, corpus, size, session, file):
        folder = RUN / "codex"
        common = {"bytes": session["bytes"], "targets": [at_most("rss", 64, " MiB")], "once": True}
        yield self.ours(f"list, {size}", "--json", "list", "--all", home=corpus, **common)
        yield self.ours(f"show, {size}", "show", session["id"], home=corpus, **common)
        yield self.ours(f"export, {size}", "--json", "export", session["id"], "--force", "-o", file, home=corpus, packs=file, **common)
        yield self.ours(f"verify, {size}", "--json", "verify", file, home=HOME, before=new_home(), **common)
        yield self.ours(f"import, {size}", "--json", "import", file, "--no-confirm", home=HOME, before=new_home(), syncs=True, **common)
        yield self.ours(f"convert, {size}", "--json", "convert", session["id"], "--to", "codex", "--no-confirm", home=corpus,
                        env={"CODEX_HOME": str(folder)}, before=lambda: empty(folder, RUN / "xdg"), **common)  # fmt: skip

    def repository(self, corpus):
        """What git says of a repository, packed by us and by git."""
        session = corpora.sessions(corpus)[0]
        file, cwd = RUN / "repository.tar.gz", Path(session["cwd"])

        def theirs(name, *args):
            out = RUN / "git.bundle"
            return Line(name, ["git", "-C", cwd, "bundle", "create", "--quiet", out, *args], home=corpus, ours=False, packs=out)

        def ours(what, beside):
            return self.ours(f"export --git {what}", "--json", "export", session["id"], "--git", what, "--force", "-o", file,
                             home=corpus, packs=file, beside=(beside.name,))  # fmt: skip

        new, all = theirs("git bundle, new", "main", "--not", "--remotes"), theirs("git bundle, all", "main")
        yield new
        yield ours("bundle", new)
        yield all
        yield ours("full", all)
