"""Which run is kept ready: its ids are those of the next submission, and whatever does not fit is started as ever."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchlite import Client, DeviceFailed, Orchestration
from orchlite.client.client import engine_of
from orchlite.core.status import TaskKind
from orchlite.operations.standbys import Standby, Standbys
from tests.standbys import PROGRAM, at_the_gate, is_gone, markers, processes_of, runner_of, stand_by, standby_of, until

MakeFolder = Callable[..., Path]


@pytest.fixture
def orchestration(client: Client, folder: MakeFolder) -> Orchestration:
    return client.upload_orchestration(path=folder(PROGRAM + "print(open('../arguments.json').read())")).wait()


@pytest.fixture
def store(client: Client) -> Path:
    return Path(client.path())


def _log(orchestration: Orchestration, **options: Any) -> list[str]:
    run = orchestration.run_once(**options).wait()
    assert run.status() == "success"
    return [line.text for line in run.logs()]


def test_the_next_submission_is_the_run_that_stands_by(client: Client, orchestration: Orchestration, store: Path) -> None:
    folder = stand_by(orchestration, store)
    assert client.check() == []
    run = orchestration.run_once(name="third", json_args={"a": 1}, timeout=30).wait()
    assert (run.id(), [line.text for line in run.logs()]) == (folder.run_id, ["standby", '{"a": 1}'])
    assert len(client.list_tasks()) == 3
    assert standby_of(store) != folder
    assert {path.name for path in (store / "runs").iterdir()} - set(_run_ids(store)) == {standby_of(store).run_id}


def _run_ids(store: Path) -> set[str]:
    with sqlite3.connect(store / "store.sqlite") as database:
        found = {run_id for (run_id,) in database.execute("SELECT run_id FROM runs")}
    database.close()
    return found


def test_of_runs_in_a_row_each_is_prepared_while_the_one_before_it_lasts(store: Path, client: Client, folder: MakeFolder) -> None:
    lasting = client.upload_orchestration(path=folder(PROGRAM + _UNTIL_THE_NEXT_IS_PREPARED)).wait()
    until(lambda: _log(lasting, json_args={"seconds": 0}) and _log(lasting, json_args={"seconds": 1})[1:] == ["the next one is prepared"])
    assert _log(lasting, json_args={"seconds": 0})[0] == "standby"
    assert client.check() == []


_UNTIL_THE_NEXT_IS_PREPARED = """
import json, pathlib, time
give_up_at = time.monotonic() + json.load(open("../arguments.json"))["seconds"]
while time.monotonic() < give_up_at:
    if list(pathlib.Path(os.environ["ORCHLITE_STORE"], "hosts").glob("*.standby")):
        print("the next one is prepared")
        break
    time.sleep(0.005)
"""


def test_while_another_run_lasts_none_is_prepared(
    client: Client, orchestration: Orchestration, store: Path, folder: MakeFolder, waiting_program: str, gate: Path
) -> None:
    other = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
    assert [_log(orchestration)[0] for _ in range(4)] == ["cold"] * 4
    assert markers(store) == []
    gate.touch()
    assert other.wait().status() == "success"


def test_another_variable_flag_or_limit_is_a_cold_start(
    client: Client, orchestration: Orchestration, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_by(orchestration, store)
    assert _log(orchestration, env={"A": "1"})[0] == "cold"
    standby_of(store)
    assert _log(orchestration, memory="4GiB")[0] == "cold"
    standby_of(store)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert _log(orchestration)[0] == "cold"
    assert client.check() == []


def test_another_orchestration_ends_the_standby(client: Client, orchestration: Orchestration, store: Path, folder: MakeFolder) -> None:
    standby = stand_by(orchestration, store)
    client.run(folder("print('another')"))
    assert is_gone(standby)


def test_it_ends_with_its_time_and_at_the_close(store: Path, orchestration: Orchestration) -> None:
    with Client(store, standby_seconds=1) as brief:
        standby = stand_by(brief.get_orchestration_by_id(orchestration.id()), store)
        until(lambda: is_gone(standby))
    with Client(store) as closing:
        standby = stand_by(closing.get_orchestration_by_id(orchestration.id()), store)
    assert is_gone(standby)


@pytest.mark.slow
def test_pruning_and_deleting_end_it(client: Client, orchestration: Orchestration, store: Path) -> None:
    standby = stand_by(orchestration, store)
    client.prune(older_than="1d")
    assert is_gone(standby)
    orchestration.run_once().wait()
    standby = standby_of(store)
    orchestration.delete()
    assert is_gone(standby)


def test_a_backup_has_no_standby(client: Client, orchestration: Orchestration, store: Path, tmp_path: Path) -> None:
    standby = stand_by(orchestration, store)
    client.backup(tmp_path / "backup")
    assert not (tmp_path / "backup" / "runs" / standby.run_id).exists()
    assert at_the_gate(standby)


def test_a_submission_that_is_refused_leaves_nothing_of_the_standby(client: Client, orchestration: Orchestration, store: Path) -> None:
    standby = stand_by(orchestration, store)
    with sqlite3.connect(store / "store.sqlite") as database:
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'refused'); END")
    with pytest.raises(DeviceFailed):
        orchestration.run_once()
    until(lambda: is_gone(standby))
    database.execute("DROP TRIGGER refuse")
    database.close()
    assert _log(orchestration)[1] == "{}"


def test_a_standby_that_dies_is_a_cold_start(orchestration: Orchestration, store: Path) -> None:
    standby = stand_by(orchestration, store)
    os.kill(at_the_gate(standby), signal.SIGKILL)
    assert _log(orchestration)[0] == "cold"
    standby = standby_of(store)
    os.kill(runner_of(at_the_gate(standby)), signal.SIGKILL)
    assert _log(orchestration)[0] == "cold"
    assert processes_of(standby) == []


@pytest.mark.slow
def test_twenty_submissions_at_once_are_twenty_runs(client: Client, orchestration: Orchestration, store: Path) -> None:
    stand_by(orchestration, store)
    with ThreadPoolExecutor(8) as pool:
        tasks = list(pool.map(lambda _: orchestration.run_once(), range(20)))
    logs = [task.wait().logs()[0].text for task in tasks]
    assert len({task.id() for task in tasks}) == 20
    assert sorted(set(logs)) in (["cold"], ["cold", "standby"])
    assert logs.count("standby") <= 1
    assert _run_ids(store) >= {run.id() for task in tasks for run in task.last_runs()}
    assert client.check() == []


def test_modules_are_imported_before_the_submission(store: Path, folder: MakeFolder) -> None:
    program = PROGRAM + "print('xml.sax.saxutils' in sys.modules)"
    with Client(store, preload=["xml.sax.saxutils"]) as client:
        orchestration = client.upload_orchestration(path=folder(program)).wait()
        stand_by(orchestration, store)
        assert _log(orchestration) == ["standby", "True"]


def test_a_module_that_cannot_be_imported_in_advance_is_a_cold_start_with_a_warning(
    store: Path, folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(store, preload=["no_such_module"]) as client:
        orchestration = client.upload_orchestration(path=folder(PROGRAM)).wait()
        for _ in range(2):
            orchestration.run_once().wait()
        until(lambda: engine_of(client).context.standbys.seconds_left())
        assert _log(orchestration) == ["cold"]
    assert "without modules imported in advance: ModuleNotFoundError: No module named 'no_such_module'" in caplog.text


class TestTheExpectation:
    def test_is_of_what_was_run_twice_in_a_row(self) -> None:
        standbys = Standbys(60)
        for orchestration_id, is_expected in (("a", False), ("b", False), ("b", True), ("b", True), ("a", False)):
            _note(standbys, orchestration_id)
            expected = standbys.begin()
            assert (expected is not None) is is_expected
            if expected is not None:
                standbys.finish("task", "run", "b", lambda: False)

    def test_is_at_once_if_the_last_run_has_just_ended(self) -> None:
        now = [0.0]
        standbys = Standbys(60, lambda: now[0])
        assert not standbys.are_in_a_row("a")
        _note(standbys, "a")
        now[0] = 0.03
        assert (standbys.are_in_a_row("a"), standbys.are_in_a_row("b")) == (True, False)
        now[0] = 0.05
        assert not standbys.are_in_a_row("a")

    def test_is_none_with_0_seconds_and_of_scheduled_tasks(self) -> None:
        off, on = Standbys(0), Standbys(60)
        for _ in range(3):
            _note(off, "a")
            _note(on, "a", TaskKind.SCHEDULED)
        assert (off.begin(), on.begin()) == (None, None)

    def test_one_stands_by_for_one_taker_until_it_expires(self) -> None:
        now = [0.0]
        standbys = Standbys(60, lambda: now[0])
        assert _kept(standbys) is True
        assert (standbys.begin(), standbys.seconds_left(), standbys.take("another"), standbys.take_expired()) == (None, 60, None, None)
        taken = standbys.take("a")
        assert taken is not None
        assert standbys.take("a") is None
        assert standbys.put_back(taken) is True
        now[0] = 61
        assert (standbys.seconds_left(), standbys.take_expired(), standbys.begin()) == (0, taken, None)

    def test_what_is_prepared_while_the_store_is_closed_is_not_kept(self) -> None:
        standbys = Standbys(60)
        assert _kept(standbys) is True
        assert [each.run_id for each in standbys.close()] == ["run"]
        standbys.forget("run")
        assert standbys.finish("task", "run", "a", lambda: True) is False
        assert [each.run_id for each in standbys.close()] == ["run"]  # the thread that must remove it may be cut off before it has done so
        standbys.forget("run")
        assert standbys.close() == []

    def test_what_is_just_being_prepared_ends_too(self) -> None:
        standbys = Standbys(60)
        for _ in range(2):
            _note(standbys, "a")
        assert standbys.begin() is not None
        ending = ThreadPoolExecutor(1).submit(standbys.end)
        assert wait([ending], 0.05).done == set(), "it waits for the preparation"
        assert standbys.finish("task", "run", "a", lambda: True) is True
        ended = ending.result(5)
        assert (ended and ended.run_id, standbys.seconds_left(), standbys.begin()) == ("run", None, None)

    def test_what_is_kept_is_found_by_whoever_came_after_it_was_wanted(self) -> None:
        standbys = Standbys(60)
        for _ in range(2):
            _note(standbys, "a")
        assert standbys.begin() is not None
        pool = ThreadPoolExecutor(1)
        takers: list[Future[Standby | None]] = []

        def is_wanted() -> bool:
            takers.append(pool.submit(standbys.take))
            assert wait(takers, 0.05).done == set(), "it waits until that is decided"
            return True

        assert standbys.finish("task", "run", "a", is_wanted) is True
        taken = takers[0].result(5)
        assert taken is not None
        assert taken.run_id == "run"

    def test_what_was_taken_and_neither_submitted_nor_removed_is_left_at_the_close(self) -> None:
        standbys = Standbys(60)
        for run_id in ("submitted", "interrupted", "waiting"):
            assert _kept(standbys, run_id) is True
            if run_id != "waiting":
                assert standbys.take("a") is not None
        standbys.forget("submitted")
        assert [each.run_id for each in standbys.close()] == ["interrupted", "waiting"]

    @pytest.mark.parametrize("meanwhile", ["another is prepared", "another is being prepared", "the store is closed"])
    def test_what_is_put_back_too_late_is_for_the_caller_to_remove(self, meanwhile: str) -> None:
        standbys = Standbys(60)
        assert _kept(standbys) is True
        taken = standbys.take("a")
        assert taken is not None
        if meanwhile == "another is prepared":
            assert _kept(standbys, "another") is True
        elif meanwhile == "another is being prepared":
            assert standbys.begin() is not None
        else:
            assert standbys.close() == [taken]
        assert standbys.put_back(taken) is False
        standbys.forget(taken.run_id)
        found = standbys.take("a")
        assert (found is not None and found.run_id == "another") is (meanwhile == "another is prepared")


def _note(standbys: Standbys, orchestration_id: str, kind: TaskKind = TaskKind.ONCE) -> None:
    row: Any = SimpleNamespace(orchestration_id=orchestration_id, kind=kind)  # no other field is read
    standbys.note(row, row, row)


def _kept(standbys: Standbys, run_id: str = "run") -> bool:
    _note(standbys, "a")
    _note(standbys, "a")
    assert standbys.begin() is not None
    return standbys.finish("task", run_id, "a", lambda: True)
