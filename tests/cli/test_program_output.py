"""How lines of programs are printed: their last state once they can no longer be redrawn, and on a terminal before they have ended."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.cli.program_output import ProgramOutput
from orchlite.runs.logs import LogLine, UnfinishedLine

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_UP = "\x1b[A"
_PATIENCE_SECONDS = 30.0
_RED = "\x1b[31m"


def _line(text: str, stream: str = "stdout", second: int = 0) -> LogLine:
    """Return a line, or a part of one if the text has no newline."""
    kind = LogLine if text.endswith("\n") else UnfinishedLine
    return kind(f"2026-03-01T10:00:{second:02}.000000000Z {stream} F " + text.removesuffix("\n"))


def _printed(lines: Sequence[LogLine], **settings: bool) -> str:
    target = io.StringIO()
    output = ProgramOutput({"stdout": target, "stderr": target}, **settings)
    for line in lines:
        output.add(line)
    output.finish()
    return target.getvalue()


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        pytest.param(["a\n", "\n", " b\n"], "a\n\n b\n", id="ordinary lines"),
        pytest.param(["a\n", "b"], "a\nb\n", id="no newline at the end"),
        pytest.param(["a", "b", "c\n"], "abc\n", id="parts"),
        pytest.param(["a\r\n", "b\r", "\n"], "a\nb\n", id="lines that end with CR LF"),
        pytest.param(["\r 1%\r 2%\n", "done\n"], " 2%\ndone\n", id="a bar"),
        pytest.param(["\r 1%", "\r", " 2%\r", "\n"], " 2%\n", id="a bar in parts"),
        pytest.param(["out\n", "\rA 1\n", f"\rB 1{_UP}\rA 2\n", f"\rB 2{_UP}", "\n", "\n"], "out\nA 2\nB 2\n", id="nested bars"),
        pytest.param(["\rA 1\n", "\rB 1\x1b", "[A\rA 2\n", "\n"], "A 2\nB 1\n", id="a move in two parts"),
        pytest.param(["\rA\n", f"\rB{_UP}\n", f"\r    \r{_UP}\n", "after\n"], "A\nafter\n", id="an inner bar that is removed"),
        pytest.param(["evidence\n", f"{_UP}\rnothing here\n"], "evidence\nnothing here\n", id="an ordinary line cannot be redrawn"),
        pytest.param(["\ra\n", "plain\n", f"{_UP}{_UP}\rb\n"], "a\nplain\nb\n", id="nor what is above one"),
        pytest.param([f"\r{number}\n" for number in range(30)] + ["\x1b[999A\rtop\n"], None, id="only the last rows can be redrawn"),
        pytest.param([f"\ra\n\x1b[{'9' * 5000}A\n"], None, id="a move by a number of five thousand digits"),
    ],
)
def test_a_line_is_printed_as_a_terminal_shows_it_last(parts: list[str], shown: str | None) -> None:
    printed = _printed([_line(part) for part in parts])
    if shown is not None:
        assert printed == shown
    else:
        assert printed.startswith(("0\n1\n2\n", "a\n"))


def test_raw_prints_what_was_written() -> None:
    parts = ["\rA 1\n", f"\rB 1{_UP}\rA 2\n", "\rB", " 2\n", "end"]
    assert _printed([_line(part) for part in parts], raw=True) == "".join(parts) + "\n"


def test_a_bar_that_has_ended_is_printed_before_later_lines_of_the_other_stream() -> None:
    lines = [_line("\r100%\n", "stderr", 1), _line("soon after\n", second=1), _line("later\n", second=5)]
    assert _printed(lines) == "soon after\n100%\nlater\n"
    assert _printed(lines, stamped=True).splitlines()[1] == "2026-03-01T10:00:01.000000Z 100%"


class _Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """Return what was sent since the last call."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def test_a_terminal_shows_lines_before_they_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = _Terminal()
    output = ProgramOutput(dict.fromkeys(("stdout", "stderr"), screen))
    output.add(_line(f"\r{_RED} 10%\x1b[2J", "stderr"))
    assert screen.shown() == f"{_RED} 10%\x1b[0m\x1b[K\x1b[J"
    output.add(_line("printed\n"))
    assert screen.shown() == f"\r\x1b[Jprinted\n{_RED} 10%\x1b[0m\x1b[K\x1b[J"
    output.add(_line(f"\r{'long ' * 20}", "stderr"))
    assert re.fullmatch(r"\r(long )+.{0,4}…\x1b\[K\x1b\[J", shown := screen.shown())
    assert len(shown) == 79 + len("\r\x1b[K\x1b[J")
    output.finish()
    assert screen.shown() == f"\r\x1b[J{'long ' * 20}\n"
    output.add(_line(f"begun {'.' * 80}"))
    assert screen.shown() == f"…{'.' * 78}\x1b[K\x1b[J"
    output.finish()


def test_a_dumb_terminal_shows_lines_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = _Terminal()
    output = ProgramOutput(dict.fromkeys(("stdout", "stderr"), screen))
    output.add(_line("\r 10%"))
    assert not screen.shown()
    output.finish()
    assert screen.shown() == " 10%\n"


@pytest.mark.slow
def test_a_progress_bar_is_live_on_a_terminal_and_one_line_of_the_log(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program = folder(
        "import pathlib, sys, time\nsys.stderr.write('\\r 1/2')\nsys.stderr.flush()\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.02)\n"
        "sys.stderr.write('\\r 2/2\\n')\n"
    )
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1]), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-m", "orchlite", "run", program], stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        shown, give_up_at = b"", time.monotonic() + _PATIENCE_SECONDS
        while b" 1/2" not in shown:
            assert select.select([ours], [], [], give_up_at - time.monotonic())[0]
            shown += os.read(ours, 65_536)
        gate.touch()
        assert process.wait(_PATIENCE_SECONDS) == 0
    os.close(ours)
    assert call("logs").stdout == " 2/2\n"
    assert call("logs", "--raw").stdout == "\r 1/2\r 2/2\n"
    assert '"text": "\\r 1/2\\r 2/2"' in call("logs", "--json").stdout
