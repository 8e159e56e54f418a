"""`--on-failure`, `--on-success` and `--on-late`: shell commands of a task."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


@pytest.mark.parametrize(("program", "option", "status"), [("", "--on-success", "success"), ("exit(3)", "--on-failure", "failure")])
def test_run_runs_the_command_in_a_shell(call: Call, folder: MakeFolder, tmp_path: Path, program: str, option: str, status: str) -> None:
    told = tmp_path / "told"
    call("run", folder(program), "--name", "nightly", option, f'echo "$ORCHLITE_TASK_NAME: $ORCHLITE_RUN_STATUS" > {told}')
    assert told.read_text() == f"nightly: {status}\n"


def test_schedule_stores_the_commands_with_the_task(call: Call, folder: MakeFolder, store: Path) -> None:
    words = [word for event in ("failure", "success", "late") for word in (f"--on-{event}", f"tell {event}")]
    task_id = call("schedule", folder(""), "0 0 1 1 *", *words).stdout.strip()
    with orchlite.Client(store) as client:
        commands = client.get_task_by_id(task_id).commands()
    assert commands == {f"on_{event}": ["/bin/sh", "-c", f"tell {event}"] for event in ("failure", "success", "late")}
    assert re.search(r"^on late +tell late$", call("show", task_id).stdout, re.MULTILINE)


def test_a_continuous_task_is_never_late(call: Call, folder: MakeFolder) -> None:
    told = call("schedule", folder(""), "--continuously", "--on-late", "true")
    assert told.exit_code == 2
    assert "--on-late does not go with --continuously" in told.stderr


def test_an_empty_command_is_refused(call: Call, folder: MakeFolder) -> None:
    told = call("run", folder(""), "--on-failure", " ")
    assert told.exit_code == 2
    assert "the command is empty" in told.stderr
