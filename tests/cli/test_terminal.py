"""Colours and spinners: only on a terminal, and not with NO_COLOR or TERM=dumb."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result

import orchlite
from orchlite.cli.output import time_text
from orchlite.core.durations import seconds_text
from orchlite.core.text import one_line

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_PATIENCE_SECONDS = 30.0
_WORKS = (
    "import sys\nfrom orchlite.cli.output import Output\nwith Output().busy('w' + 'orking'):\n    sys.stdin.readline()\nprint('over')\n"
)
_PLAIN = [{"NO_COLOR": "1"}, {"TERM": "dumb"}]


class _Shown(NamedTuple):
    text: str
    code: int


def _on_a_terminal(command: list[str], answer_to: str | None = None, **variables: str) -> _Shown:
    """Run a command on a terminal; send it a line when it shows `answer_to`."""
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1]), "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    env.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        assert process.stdin is not None
        shown, is_answered = b"", False
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while data := _read(ours, give_up_at):
            shown += data
            if not is_answered and answer_to is not None and answer_to.encode() in shown:
                process.stdin.write(b"\n")
                process.stdin.flush()
                is_answered = True
        process.stdin.close()
    os.close(ours)
    return _Shown(shown.decode(), process.returncode)


def _read(terminal: int, give_up_at: float) -> bytes:
    """Return what the terminal shows next, or nothing after its program has ended."""
    ready, _, _ = select.select([terminal], [], [], max(0.0, give_up_at - time.monotonic()))
    assert ready, "nothing was shown any more, and the program did not end"
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the other side is closed
        return b""


def _orchlite(*words: str, **variables: str) -> _Shown:
    return _on_a_terminal([sys.executable, "-m", "orchlite", *words], **variables)


@pytest.mark.slow
def test_a_status_has_a_colour(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print(1)"), "--name", "good")
    shown = _orchlite("runs")
    assert "\x1b[32msuccess" in shown.text
    assert shown.code == 0


@pytest.mark.slow
@pytest.mark.parametrize("variables", _PLAIN, ids=lambda variables: next(iter(variables)))
def test_there_is_no_colour_with_no_color_or_a_dumb_terminal(call: Call, folder: MakeFolder, variables: dict[str, str]) -> None:
    call("run", folder("print(1)"), "--name", "good")
    shown = _orchlite("runs", **variables).text
    assert "success" in shown
    assert "\x1b[" not in shown


@pytest.mark.slow
def test_a_table_fits_the_terminal_and_keeps_its_ids(call: Call, folder: MakeFolder) -> None:
    task_id = call("schedule", folder("print(1)"), "@daily", "--name", "a" * 200).stdout.strip()
    lines = _orchlite("tasks", NO_COLOR="1").text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith(task_id[:8]) for line in lines)
    assert any("…" in line for line in lines)


@pytest.mark.slow
def test_a_table_cuts_names_before_times(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print(1)"), "--name", "a" * 200)
    [_, row] = _orchlite("runs", NO_COLOR="1", TZ="Asia/Tokyo").text.splitlines()
    assert re.search(r"aaa…  success +0 +[\d-]{10} [\d:]{8} JST", row)


def test_a_spinner_is_shown_during_long_work_and_then_removed() -> None:
    shown = _on_a_terminal([sys.executable, "-c", _WORKS], answer_to="working").text
    assert "working" in shown
    assert shown.rstrip().endswith("over")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor was hidden, and is back


@pytest.mark.parametrize("variables", _PLAIN, ids=lambda variables: next(iter(variables)))
def test_there_is_no_spinner_with_no_color_or_a_dumb_terminal(variables: dict[str, str]) -> None:
    program = _WORKS.replace("sys.stdin.readline()", "import time; time.sleep(0.6)")
    assert _on_a_terminal([sys.executable, "-c", program], **variables).text == "over\r\n"


@pytest.mark.slow
def test_output_of_a_program_is_unchanged(folder: MakeFolder) -> None:
    mine = folder("print('[bold]not markup[/bold] \\x1b[35mits own colour\\x1b[0m')")
    assert "[bold]not markup[/bold] \x1b[35mits own colour\x1b[0m" in _orchlite("run", str(mine)).text


def test_an_error_message_cannot_move_the_cursor() -> None:
    shown = _orchlite("run", "x\x1b[2Jy", NO_COLOR="1").text
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.04, "0.04 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")], ids=str
)
def test_durations_are_readable(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Asia/Tokyo", "21:00:00 JST"),
        ("America/Sao_Paulo", "09:00:00 -03"),
        ("Europe/Berlin", "14:00:00 CEST"),
        ("No/Where", "12:00:00 UTC"),
    ],
    ids=str,
)
def test_a_time_has_the_zone_of_its_schedule(zone: str, text: str) -> None:
    assert time_text(_AT, zone) == f"2026-07-01 {text}"


@pytest.mark.parametrize(
    ("zone", "text"), [("Asia/Tokyo", "21:00:00 JST"), ("<+0545>-5:45", "17:45:00 +0545"), ("UTC0", "12:00:00 UTC")], ids=str
)
def test_a_time_has_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch, zone: str, text: str) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        told = time_text(_AT)
    time.tzset()
    assert told == f"2026-07-01 {text}"


def test_one_line_replaces_unprintable_characters() -> None:
    assert one_line("a\nb\tc\x1b[0m") == "a b c [0m"
