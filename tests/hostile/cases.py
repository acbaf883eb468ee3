"""Collects cases and writes them, with the table that says what each is."""

import json
import os

from forge import members, plain


class Cases:
    """The cases of one run. `add` writes a file and remembers it."""

    def __init__(self, out):
        self.out = out
        self.table = []
        self.names = set()

    def add(self, group, name, about, content, reason=None, **more):
        """One archive. `reason` is what the refusal says; without it the archive is benign."""
        stem = f"{group}-{name}"
        if stem in self.names:
            raise SystemExit(f"two cases are called {stem}")
        self.names.add(stem)
        file = stem + ".tar.gz"
        with open(os.path.join(self.out, file), "wb") as out:
            out.write(content)
        self.table.append({"file": file, "group": group, "about": about, "reason": reason, **more})

    def both(self, group, name, about, raw, reason=None, **more):
        """One tar, in holdall's own form and compressed by somebody else."""
        self.add(group, name, about, members(raw), reason, form="members", **more)
        self.add(group, name + "-plain", about, plain(raw), reason, form="plain", **more)

    def write(self):
        with open(os.path.join(self.out, "cases.json"), "w", encoding="utf-8") as out:
            json.dump(self.table, out, indent=1)
            out.write("\n")
