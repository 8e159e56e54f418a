"""The verb `status`: failures, paused tasks, and times in the zones of schedules."""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import orchlite
from orchlite.cli.output import Marks, Output
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_PATIENCE_SECONDS = 30.0
_ZONE = "Asia/Tokyo"  # it has one offset and one abbreviation all year


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `wl`."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def wl(store: Path, clock: ManualClock) -> Iterator[orchlite.Client]:
    """A client whose simulated runs never end."""
    with orchlite.Client(store, clock=clock, process=StubProcess(duration_seconds=1e6)) as client:
        yield client
        client.close(drain=False)


@pytest.fixture
def orchestration(wl: orchlite.Client, folder: MakeFolder) -> orchlite.Orchestration:
    return wl.upload_orchestration(path=folder("print(1)"), name="report").wait()


def _status(call: Call) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(call("status", "--json").stdout)
    return told


class TestFailedPackaging:
    @pytest.fixture
    def orchestration_id(self, call: Call, folder: MakeFolder, tmp_path: Path) -> str:
        """Of an orchestration that needs what no index has."""
        (tmp_path / "index").mkdir()
        mine = folder({"main.py": "print('never')", "requirements.txt": "no-such-package-here==1.0\n"})
        told = call("run", mine, "--json", "--index-url", (tmp_path / "index").as_uri())
        orchestration_id: str = json.loads(told.stderr.splitlines()[-1])["error"]["details"]["orchestration_id"]
        return orchestration_id

    @pytest.mark.slow
    def test_is_not_listed_as_a_failed_run(self, call: Call, orchestration_id: str) -> None:
        told = _status(call)
        assert told["failed"] == []
        [one] = told["packaging_failed"]
        assert (one["orchestration_id"], one["name"]) == (orchestration_id, "bundle-0")
        assert "no-such-package-here" in one["reason"]
        assert one["log"] == f"orchlite logs {orchestration_id[:8]} --packaging"
        assert call("status", "--failed-since", "1h").exit_code == 1

        shown = call("status").stdout
        line = rf"{orchestration_id[:8]}  bundle-0  [\d-]{{10}} [\d:]{{8}} \S+  [^.]*no-such-package-here[^.]*\."
        assert re.search(rf"^packaging failed in the last 24 h \(1\)\nID .*\n{line}", shown, re.MULTILINE)
        assert "`orchlite logs ID --packaging`" in shown
        assert "\nfailed " not in shown

    @pytest.mark.slow
    def test_is_listed_once_per_name_and_not_if_a_later_upload_is_ready(self, call: Call, folder: MakeFolder, tmp_path: Path) -> None:
        (tmp_path / "index").mkdir()
        words = ["--index-url", (tmp_path / "index").as_uri(), "--name"]
        bad = [folder({"main.py": f"print({number})", "requirements.txt": "no-such-package-here==1.0\n"}) for number in range(2)]
        for name, mine in (("one", bad[0]), ("two", bad[0]), ("one", bad[1])):
            call("upload", mine, *words, name)
        newest = json.loads(call("show", "one", "--json").stdout)["id"]
        assert [(one["name"], one["orchestration_id"] == newest) for one in _status(call)["packaging_failed"]] == [
            ("one", True),
            ("two", False),
        ]
        call("upload", folder("print(1)"), "--name", "one")
        assert [one["name"] for one in _status(call)["packaging_failed"]] == ["two"]
        call("upload", folder("print(2)"), "--name", "two")
        assert call("status", "--failed-since", "1h").exit_code == 0

    @pytest.mark.slow
    def test_is_explained_by_show(self, call: Call, orchestration_id: str) -> None:
        shown = call("show", "bundle-0").stdout
        assert re.search(r"^status +error$", shown, re.MULTILINE)
        assert re.search(r"^reason +.*no-such-package-here", shown, re.MULTILINE)


def test_a_paused_task_is_listed_as_paused(call: Call, orchestration: orchlite.Orchestration) -> None:
    task = orchestration.run_scheduled("nightly", "@daily")
    assert _status(call)["paused"] == []
    task.pause()
    assert [(one["id"], one["status"]) for one in _status(call)["paused"]] == [(task.id(), "paused")]
    assert re.search(rf"^paused \(1\)\n.*\n{task.id()[:8]}  nightly ", call("status").stdout, re.MULTILINE)
    assert _status(call)["due"] == []


def test_log_is_complete_is_null_while_a_run_continues(call: Call, orchestration: orchlite.Orchestration) -> None:
    [run] = orchestration.run_once().last_runs()
    assert [(one["id"], one["log_is_complete"]) for one in _status(call)["running"]] == [(run.id(), None)]


def test_the_table_shows_how_long_a_run_has_been_running(call: Call, orchestration: orchlite.Orchestration) -> None:
    orchestration.run_once()
    header, row = call("runs").stdout.splitlines()
    assert row[header.index("TOOK") :].strip().endswith(" s")


def test_due_times_are_in_the_zone_of_the_schedule(call: Call, orchestration: orchlite.Orchestration) -> None:
    orchestration.run_scheduled("nightly", "30 2 * * *", timezone=_ZONE)
    for words in (["status"], ["tasks"], ["show", "nightly"]):
        assert " 02:30:00 JST" in call(*words).stdout


def test_slots_are_in_the_zone_of_the_schedule(call: Call, clock: ManualClock, orchestration: orchlite.Orchestration) -> None:
    task = orchestration.run_scheduled("nightly", "30 2 * * *", timezone=_ZONE)
    clock.advance(days=1)
    [run] = task.last_runs()
    assert " 02:30:00 JST" in call("runs", "nightly").stdout
    assert " 02:30:00 JST" in call("show", run.id()).stdout


def test_schedule_prints_the_first_slot_in_its_zone(call: Call, folder: MakeFolder) -> None:
    told = call("schedule", folder("print(1)"), "30 2 * * *", "--timezone", _ZONE)
    assert re.search(r", first at \d{4}-\d\d-\d\d 02:30:00 JST;", told.stderr)


@pytest.mark.parametrize("verb", ["schedule", "upcoming"])
def test_an_unquoted_expression_is_refused_with_a_hint(call: Call, folder: MakeFolder, store: Path, verb: str) -> None:
    refused = call(verb, *([folder("print(1)")] if verb == "schedule" else []), "30", "2", "main.py", "main.py", "main.py")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert 'Quote it: "30 2 * * *"' in refused.stderr
    assert not store.exists()


def test_a_task_is_shown_with_charts_of_its_last_runs(call: Call, store: Path, folder: MakeFolder) -> None:
    outcomes = iter([("success", 1.0), ("failure", 8.0), ("success", 2.0)])
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    with orchlite.Client(store, clock=clock, process=StubProcess(lambda _: next(outcomes))) as wl:
        wl.start()
        wl.upload_orchestration(path=folder("print(1)")).wait().run_scheduled("charted", "* * * * *")
        clock.advance(timedelta(minutes=1, seconds=30))
        assert "last runs" not in call("show", "charted").stdout  # there is one run
        clock.advance(timedelta(minutes=2))
    chart, ends = re.findall(r"^(?:last runs)? +([^ ]{3})  (.+)$", call("show", "charted").stdout, re.MULTILINE)
    assert chart == ("▂█▃", "1.00 s to 8.00 s")
    assert ends == (".F.", ". success, F failure")


def test_a_chart_has_the_colours_of_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    Output().facts({"last runs": [Marks(".F", ["success", "failure"], "a note")]})
    assert screen.getvalue() == "last runs  \x1b[32m.\x1b[0m\x1b[31mF\x1b[0m  a note\n"


class TestWatching:
    @pytest.mark.parametrize("words", [[], ["--json"]], ids=["a pipe", "JSON"])
    def test_is_refused_where_nothing_can_be_redrawn(self, call: Call, words: list[str]) -> None:
        refused = call("status", "--watch", *words)
        assert refused.exit_code == 2
        assert "orchlite events --follow" in refused.stderr

    @pytest.mark.slow
    def test_shows_what_changes_until_ctrl_c(self, call: Call, wl: orchlite.Client, orchestration: orchlite.Orchestration) -> None:
        ours, theirs = os.openpty()
        env = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1]), "TERM": "xterm"}
        command = [sys.executable, "-m", "orchlite", "status", "--watch"]
        with subprocess.Popen(command, stdout=theirs, stderr=subprocess.STDOUT, env=env, text=True) as process:
            os.close(theirs)
            _read_until(ours, "on disk")
            orchestration.run_once("suddenly")
            _read_until(ours, "suddenly")
            process.send_signal(signal.SIGINT)
            shown = _read_until(ours, "\x1b[?25h")  # the cursor is back
            assert process.wait(_PATIENCE_SECONDS) == 0
        os.close(ours)
        assert "Traceback" not in shown


def _read_until(terminal: int, text: str) -> str:
    shown, give_up_at = b"", time.monotonic() + _PATIENCE_SECONDS
    while text.encode() not in shown:
        assert select.select([terminal], [], [], max(0.0, give_up_at - time.monotonic()))[0], shown
        shown += os.read(terminal, 65_536)
    return shown.decode()


def test_a_failed_run_is_listed_with_the_last_line_that_it_wrote(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").touch()
    told = call("run", folder("import wallaroo\nopen(wallaroo.task_args()['csv'])"), "--name", "sums", "--arg", "csv=sales.csv")
    assert f"--arg csv={tmp_path}/sales.csv" in told.stderr
    why = "FileNotFoundError: [Errno 2] No such file or directory: 'sales.csv'"
    assert re.search(rf"^\w{{8}}  sums  failure  .*  {re.escape(why)}$", call("status").stdout, re.MULTILINE)
    assert f"as failure ({why})\n" in call("health").stdout
    shown = call("show", "sums", "--what", "task").stdout
    assert re.search(rf"^last lines +Traceback .*\n( .*\n)* +{re.escape(why)}$", shown, re.MULTILINE)
