"""Whether the gate sees what it is for, with made-up times: no command is run."""

import contextlib
import io
import tempfile
from pathlib import Path

from . import gate
from .command import Line


def run():
    """Raises AssertionError when it does not."""
    lines = [Line("ours", ["ours"], gate="theirs"), Line("theirs", ["theirs"])]
    cpu, problem, noise = {"ours": 1.0, "theirs": 2.0}, {}, []

    def pretended(line, settle):
        return 0, cpu[line.name] + (noise.pop() if noise else 0), 0, problem.get(line.name, "")

    def found():
        with contextlib.redirect_stdout(io.StringIO()):
            return gate.check(lines)

    gate.run = pretended
    with tempfile.TemporaryDirectory() as folder:
        gate.STORED = Path(folder) / "ratios.json"
        with contextlib.redirect_stdout(io.StringIO()):
            assert gate.store(lines) == {}
        assert found() == {}
        cpu["ours"] = 1.14
        assert found() == {}, "less than 15 %"
        cpu["ours"] = 1.16
        assert list(found()) == ["ours"], "more than 15 %"
        cpu["theirs"] = 2.4
        assert found() == {}, "the whole machine is slower"
        noise[:] = [5.0] * gate.ROUNDS * len(lines)
        assert found() == {}, "what was only noise is measured again"
        problem["ours"] = "exit 1"
        assert found() == {"ours": "exit 1"}
        problem.clear()
        lines.append(Line("new", ["new"], gate="theirs"))
        cpu["new"] = 1.0
        assert list(found()) == ["new"], "nothing is stored of it"
