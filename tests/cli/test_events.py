"""The verb `events`: as a table, as JSON, and followed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.cli.output import Rows
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def wl(store: Path) -> Iterator[orchlite.Client]:
    """A client whose clock is an hour behind, and which executes nothing."""
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=1))
    with orchlite.Client(store, clock=clock, process=StubProcess()) as client:
        yield client
        client.close(drain=False)


@pytest.fixture
def task(wl: orchlite.Client, folder: MakeFolder) -> orchlite.Task:
    """A scheduled task named `nightly`."""
    return wl.upload_orchestration(path=folder("print(1)"), name="report").wait().run_scheduled("nightly", "0 0 1 1 *")


def _events(done: Result) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_an_event_has_the_documented_fields(call: Call, task: orchlite.Task) -> None:
    assert {frozenset(event) for event in _events(call("events", "--json"))} == {
        frozenset(("id", "at", "kind", "object_id", "was", "became", "reason"))
    }


def test_events_are_the_newest_n_oldest_first(call: Call, task: orchlite.Task, wl: orchlite.Client) -> None:
    every = [event["id"] for event in _events(call("events", "-n", "0", "--json"))]
    assert every == [event.id() for event in wl.events()]
    assert [event["id"] for event in _events(call("events", "-n", "2", "--json"))] == every[-2:]


def test_events_are_the_newest_20_by_default(call: Call, task: orchlite.Task) -> None:
    for _ in range(6):
        task.pause()
        task.resume()
    assert len(_events(call("events", "--json"))) == 20
    assert len(_events(call("events", "--json", "--since", "2h"))) > 20


def test_since_selects_newer_events(call: Call, task: orchlite.Task) -> None:
    nothing = call("events", "--since", "10m")
    assert (nothing.stdout, nothing.stderr) == ("", "orchlite: none found\n")
    call("pause", "nightly")
    assert [event["became"] for event in _events(call("events", "--since", "10m", "--json"))] == ["pending_pause", "paused"]
    assert [event["became"] for event in _events(call("events", "--since", "10m", "-n", "1", "--json"))] == ["paused"]


def test_the_table_of_events_has_names(call: Call, task: orchlite.Task) -> None:
    task.kill()
    header, *_, last = call("events").stdout.splitlines()
    assert header.split() == ["AT", "WHAT", "ID", "NAME", "WAS", "BECAME", "WHY"]
    assert last.split()[3:] == ["task", task.id()[:8], "nightly", "pending_kill", "killed"]


def test_followed_events_are_lines_of_json(start: Start, call: Call, task: orchlite.Task) -> None:
    process = start("events", "--follow", "--json", "-n", "1")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["object_id"] == task.id()
    task.pause()
    assert [json.loads(process.stdout.readline())["became"] for _ in range(2)] == ["pending_pause", "paused"]


@pytest.mark.slow
def test_followed_events_are_rows_of_a_table(start: Start, call: Call, task: orchlite.Task) -> None:
    process = start("events", "-f", "-n", "1")
    assert process.stdout is not None
    header = process.stdout.readline()
    assert header.split() == ["AT", "WHAT", "ID", "NAME", "WAS", "BECAME", "WHY"]
    assert process.stdout.readline().split()[-2:] == ["nightly", "started"]
    task.pause()
    lines = [process.stdout.readline() for _ in range(2)]
    assert [line[header.index("BECAME") :].strip() for line in lines] == ["pending_pause", "paused"]
    assert [line[header.index("WAS") :].split()[0] for line in lines] == ["started", "pending_pause"]


_LONG, _SHORT = ("a name that is longer than was to be expected", "started", ""), ("short", "paused", "why")


@pytest.mark.parametrize("cells", [[_SHORT, _SHORT], [_LONG, _SHORT], [_SHORT, _LONG, _SHORT, _LONG]], ids=["short", "long", "mixed"])
def test_columns_of_followed_events_keep_their_positions(capsys: pytest.CaptureFixture[str], cells: list[tuple[str, str, str]]) -> None:
    rows = Rows(("name", "became", "why"), ("x" * 20, "pending_pause", ""))
    for row in cells:
        rows.add(row)
    _, *lines = capsys.readouterr().out.splitlines()
    places = [line.index(became) for line, (_, became, _) in zip(lines, cells, strict=True)]
    assert [line.split("  ")[0] for line in lines] == [name for name, _, _ in cells]
    assert places == sorted(places)
    assert set(places) <= {22, 2 + len(_LONG[0])}
