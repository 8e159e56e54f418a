"""What a flood of output costs: of empty lines, against the same bytes of text."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import orchlite
from tests.benchmarks.measure import interleaved, ratio, report, summary

_BLOCKS = {"text": '(b"x" * 79 + b"\\n") * 819 + b"x" * 15 + b"\\n"', "newlines": 'b"\\n" * 65536'}
_PROGRAM = "import os\nblock = {}\nfor _ in range(3200):\n    os.write(1, block)\n"
_ROUNDS = 3


def output(folder: Path) -> None:
    """A run that writes 200 MiB, and `logs()` of what is kept of it."""
    with orchlite.Client(folder / "store") as client:
        orchestrations = {}
        for name, block in _BLOCKS.items():
            source = folder / name
            source.mkdir()
            (source / "main.py").write_text(_PROGRAM.format(block))
            orchestrations[name] = client.upload_orchestration(path=source).wait()
        written = interleaved({name: partial(client.run, one) for name, one in orchestrations.items()}, _ROUNDS)
        read = interleaved({name: client.run(one).logs for name, one in orchestrations.items()}, _ROUNDS)
    report("run that writes 200 MiB of newlines", ratio(written, "newlines", "text"), "x text", "<= 1.2", **_both(written))
    report("logs() of a log full of newlines", ratio(read, "newlines", "text"), "x text", "<= 3", **_both(read))


def _both(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: summary(seconds) for name, seconds in taken.items()}
