"""A store's folder that was copied, moved, restored or emptied: the copy never does what the original does."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import orchlite

MakeFolder = Callable[..., Path]
Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def original(store: Path) -> Iterator[orchlite.Client]:
    with orchlite.Client(store, workers=1, grace_seconds=0.5) as client:
        yield client
        with suppress(orchlite.Closed):
            for task in client.list_tasks():
                task.kill()


def _copy(store: Path, name: str = "copy") -> Path:
    """Copy as a user would, beside a host that may just remove a workdir: `cp` leaves out what vanishes, `copytree` fails."""
    subprocess.run(["cp", "-a", store, store.with_name(name)], stderr=subprocess.DEVNULL, check=False)
    return store.with_name(name)


def _copied_events(client: orchlite.Client) -> list[str]:
    return [event.became() for event in client.events() if event.kind() == "store"]


class TestACopyOfAStoreAtWork:
    @pytest.fixture
    def running(self, original: orchlite.Client, folder: MakeFolder, waiting_program: str) -> orchlite.Task:
        task = original.upload_orchestration(path=folder(waiting_program)).wait().run_once("running")
        while "begun" not in task.last_runs()[0].logs():
            time.sleep(0.01)
        return task

    def test_leaves_the_program_of_the_original_alone(self, running: orchlite.Task, store: Path, gate: Path) -> None:
        with orchlite.Client(_copy(store)) as copy:
            [run] = copy.get_task_by_id(running.id()).last_runs()
            assert run.status() == "unknown"
            assert "when the store was copied" in str(run.reason())
        gate.touch()
        assert running.wait(20).status() == "success"

    def test_ends_what_was_queued_and_says_so(self, running: orchlite.Task, original: orchlite.Client, store: Path, gate: Path) -> None:
        queued = original.list_orchestrations()[0].run_once("queued")
        with orchlite.Client(_copy(store)) as copy:
            [run] = copy.get_task_by_id(queued.id()).last_runs()
            assert run.status() == "killed"
            assert _copied_events(copy) == ["copied"]
        gate.touch()
        assert queued.wait(20).status() == "success"


class TestTheSchedulesOfACopy:
    @pytest.fixture
    def copied(self, original: orchlite.Client, store: Path, folder: MakeFolder, until: Until) -> Path:
        orchestration = original.upload_orchestration(path=folder("print('hello')")).wait()
        orchestration.run_scheduled("nightly", "0 0 1 1 *")
        service = orchestration.run_continuously("service")
        service.pause()
        until(lambda: service.status() == "paused")
        return _copy(store)

    def test_wait_and_another_one_is_refused(self, copied: Path) -> None:
        with orchlite.Client(copied).start() as copy:
            assert copy._engine._scheduler._thread is None
            with pytest.raises(orchlite.Conflict, match="adopt_copy"):
                copy.list_orchestrations()[0].run_scheduled("another", "0 0 1 1 *")
            assert copy.list_orchestrations()[0].run_once().wait(20).status() == "success"

    def test_still_wait_when_it_is_opened_again(self, copied: Path) -> None:
        with orchlite.Client(copied):
            pass
        with orchlite.Client(copied).start() as copy:
            assert copy._engine._scheduler.is_held

    def test_are_kept_once_it_was_adopted(self, copied: Path) -> None:
        with orchlite.Client(copied).start(adopt_copy=True) as copy:
            assert copy._engine._scheduler._thread is not None
            copy.list_orchestrations()[0].run_scheduled("another", "0 0 1 1 *")
            assert _copied_events(copy) == ["copied", "adopted"]
        with orchlite.Client(copied).start() as copy:
            assert not copy._engine._scheduler.is_held

    def test_are_kept_in_a_copy_whose_original_is_gone(self, copied: Path, original: orchlite.Client, store: Path) -> None:
        original.close(drain=False)
        shutil.rmtree(store)
        with orchlite.Client(copied) as moved:
            assert not moved._engine._scheduler.is_held
            assert _copied_events(moved) == []


def test_a_store_that_was_moved_goes_on(original: orchlite.Client, store: Path, folder: MakeFolder) -> None:
    original.upload_orchestration(path=folder("print('hello')")).wait().run_scheduled("nightly", "0 0 1 1 *")
    original.close(drain=False)
    moved = store.rename(store.with_name("moved"))
    with orchlite.Client(moved) as client:
        assert not client._engine._scheduler.is_held
        client.list_tasks()[0].kill()


def test_a_restored_backup_is_no_copy(original: orchlite.Client, store: Path, folder: MakeFolder) -> None:
    original.upload_orchestration(path=folder("print('hello')")).wait().run_scheduled("nightly", "0 0 1 1 *")
    original.backup(store.with_name("backup"))
    orchlite.Client.restore(store.with_name("backup"), store.with_name("restored"))
    with orchlite.Client(store.with_name("restored")) as restored:
        assert not restored._engine._scheduler.is_held
        assert _copied_events(restored) == ["backed_up"]


def test_a_copy_of_a_store_in_which_nothing_is_to_be_done_is_a_store(original: orchlite.Client, store: Path, folder: MakeFolder) -> None:
    original.run(folder("print('hello')"))
    with orchlite.Client(_copy(store)) as copy:
        assert _copied_events(copy) == []
        copy.list_orchestrations()[0].run_scheduled("nightly", "0 0 1 1 *").kill()


class TestAStoreWithoutItsDatabase:
    @pytest.fixture(params=["missing", "empty", "without tables"])
    def broken(self, store: Path, folder: MakeFolder, request: pytest.FixtureRequest) -> Path:
        with orchlite.Client(store) as client:
            client.run(folder("print('precious')"))
        database = store / "store.sqlite"
        database.unlink()
        if request.param != "missing":
            database.touch(mode=0o600)
        if request.param == "without tables":
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA application_id = 1")
        return store

    def test_is_damaged_and_left_as_it_is(self, broken: Path) -> None:
        before = sorted(path for path in broken.rglob("*"))
        with pytest.raises(orchlite.StoreDamaged, match=r"(gone|empty).*[Rr]estore"):
            orchlite.Client(broken)
        assert sorted(path for path in broken.rglob("*") if path.suffix not in (".sqlite-wal", ".sqlite-shm")) == before

    def test_is_a_new_store_once_its_folder_was_moved_away(self, broken: Path) -> None:
        broken.rename(broken.with_name("old"))
        with orchlite.Client(broken) as client:
            assert client.list_tasks() == []
