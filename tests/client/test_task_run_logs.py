"""Logs, read and followed through the handle of a run: all, the newest lines, and those that follow."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite import Client, TaskRun

MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]


def _texts(run: TaskRun, limit: int) -> list[str]:
    return [line.text for line in run.logs(limit)]


@pytest.fixture
def ended(client: Client, folder: MakeFolder) -> TaskRun:
    """A run that has written three lines, the last one without a newline."""
    return client.run(folder("print('one'); print('two'); print('three', end='')"))


@pytest.mark.parametrize(("limit", "texts"), [(0, []), (1, ["three"]), (2, ["two", "three"]), (9, ["one", "two", "three"])])
def test_the_newest_lines_of_an_ended_run_can_be_read_and_followed(ended: TaskRun, limit: int, texts: list[str]) -> None:
    assert _texts(ended, limit) == texts
    followed = [line.text for line in ended.logs(limit, follow=True)]
    # The line without a newline arrives last, once the run has ended.
    assert followed == [*["one", "two"][2 - min(limit, 2) :], "three"]


def test_following_an_unfinished_run_yields_its_newest_lines_and_all_further_ones(
    client: Client, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
) -> None:
    task = client.upload_orchestration(path=folder("print('first')\nprint('second')\n" + waiting_program)).run_once()
    [run] = task.last_runs()
    until(lambda: "begun" in run.logs())
    lines = run.logs(2, follow=True)
    assert [next(lines).text, next(lines).text] == ["second", "begun"]
    gate.touch()
    assert [line.text for line in lines] == ["done"]


@pytest.mark.slow
def test_the_newest_lines_of_a_long_log_take_little_memory(client: Client, folder: MakeFolder) -> None:
    run = client.run(folder("for number in range(60_000): print(number, 'x' * 60)"))
    log_bytes = (client.path() / "runs" / run.id() / "1" / "log").stat().st_size
    tracemalloc.start()
    try:
        texts = _texts(run, 2)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [text.split()[0] for text in texts] == ["59998", "59999"]
    assert peak_bytes < log_bytes


def test_following_a_run_shows_what_the_terminal_cannot_with_escapes(folder: Callable[..., Path], tmp_path: Path) -> None:
    program = folder({"main.py": 'print("h\\u00fc \\U0001f600")'})
    script = "import sys, orchlite\nwith orchlite.Client(sys.argv[1]) as client: print(client.run(sys.argv[2], follow=True).status())"
    followed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "followed"), str(program)],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(orchlite.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert followed.stdout == "h\\xfc \\U0001f600\nsuccess\n"
