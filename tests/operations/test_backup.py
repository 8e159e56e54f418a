"""Backups of a store in use: they contain everything acknowledged, repeat nothing that the original does, and can be restored."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite.operations import backup, integrity
from orchlite.operations.context import Context

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]

_COUNTED = """
import os
with open({starts!r}, "a") as file:
    file.write(os.environ["ORCHLITE_RUN_TOKEN"] + chr(10))
print("hello")
"""


def _store(client: orchlite.Client) -> Context:
    return client._engine.context


def _change(client: orchlite.Client, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(client.path() / "store.sqlite", isolation_level=None)) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "monday"


@pytest.fixture
def copied(client: orchlite.Client, target: Path, tmp_path: Path) -> Callable[[], orchlite.Client]:
    """Back up the client's store, restore it elsewhere, and open the copy."""

    def copy() -> orchlite.Client:
        backup.backup(_store(client), target)
        orchlite.Client.restore(target, tmp_path / "restored")
        return orchlite.Client(tmp_path / "restored", workers=1)

    return copy


class TestACopy:
    def test_holds_runs_with_their_logs_and_files(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client]
    ) -> None:
        run = client.run(
            folder("import os; print('hello'); open('made', 'w').write('by hand'); os.symlink('made', 'link'); os.mkfifo('pipe')")
        )
        with copied() as restored:
            found = restored.get_task_run_by_id(run.id())
            assert (found.status(), found.exit_code(), found.logs()) == ("success", 0, run.logs())
            assert {path.name: path.read_text() for path in found.files() if path.name == "made"} == {"made": "by hand"}
            assert (found.files()[0].parent / "link").is_symlink()
            assert not (found.files()[0].parent / "pipe").exists()
            assert integrity.check(_store(restored)) == []

    def test_holds_nothing_from_behind_a_link_in_place_of_a_run(
        self, client: orchlite.Client, folder: MakeFolder, tmp_path: Path, target: Path
    ) -> None:
        run_folder = client.path() / "runs" / client.run(folder("print('hello')")).id()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "private").touch()
        run_folder.rename(tmp_path / "aside")
        run_folder.symlink_to(tmp_path / "elsewhere")
        client.backup(target)
        assert list(target.rglob("private")) == []

    def test_runs_its_orchestrations(self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client]) -> None:
        orchestration = client.upload_orchestration(path=folder("print('hello')")).wait()
        with copied() as restored:
            run = restored.run(restored.get_orchestration_by_id(orchestration.id()))
            assert (run.status(), [line.text for line in run.logs()]) == ("success", ["hello"])

    def test_says_when_it_was_made(self, client: orchlite.Client, copied: Callable[[], orchlite.Client]) -> None:
        with copied() as restored:
            assert [(event.kind(), event.became()) for event in restored.events()] == [("store", "backed_up")]
        assert list(client.events()) == []

    def test_is_readable_by_this_account_only(self, client: orchlite.Client, folder: MakeFolder, target: Path, tmp_path: Path) -> None:
        client.run(folder("import os; os.umask(0); open('made', 'w').close()"))
        backup.backup(_store(client), target)
        orchlite.Client.restore(target, tmp_path / "restored")
        for made in (target, tmp_path / "restored"):
            assert stat.S_IMODE(made.stat().st_mode) == 0o700
            files = [path for path in made.rglob("*") if path.is_file() and "work" not in path.parts]
            assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
            assert not list(made.glob("*.sqlite-*")), "what was committed is in the one file"

    def test_is_complete_although_a_run_left_unreadable_files(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client]
    ) -> None:
        run = client.run(folder("import os; open('made', 'w').close(); os.chmod('made', 0); os.mkdir('shut'); os.chmod('shut', 0)"))
        with copied() as restored:
            assert restored.get_task_run_by_id(run.id()).status() == "success"

    def test_can_be_made_of_a_restored_backup(self, client: orchlite.Client, folder: MakeFolder, target: Path, tmp_path: Path) -> None:
        run = client.run(folder("print('hello')"))
        for number, source in enumerate([client.path(), tmp_path / "restored-0"]):
            with orchlite.Client(source) as opened:
                backup.backup(_store(opened), tmp_path / f"backup-{number}")
            orchlite.Client.restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}")
        with orchlite.Client(tmp_path / "restored-1") as restored:
            assert restored.get_task_run_by_id(run.id()).logs() == run.logs()


class TestWhatIsUnfinished:
    def test_a_running_run_is_unknown_in_the_copy_and_continues_in_the_original(
        self,
        client: orchlite.Client,
        folder: MakeFolder,
        copied: Callable[[], orchlite.Client],
        waiting_program: str,
        gate: Path,
        until: Until,
    ) -> None:
        [run] = client.upload_orchestration(path=folder(waiting_program)).wait().run_once().last_runs()
        until(lambda: "begun" in run.logs())
        with copied() as restored:
            found = restored.get_task_run_by_id(run.id())
            assert found.status() == "unknown"
            assert "when the backup was made" in str(found.reason())
            assert found.logs() == []
            assert integrity.check(_store(restored)) == []
        gate.touch()
        assert run.wait().status() == "success"

    def test_a_queued_run_is_killed_in_the_copy_with_its_task_failed(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client]
    ) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _change(
            client,
            "UPDATE runs SET status = 'queued', submitted_by = 'nobody', host_id = NULL, ended_at = NULL WHERE task_id = ?",
            task.id(),
        )
        _change(client, "UPDATE tasks SET status = 'pending' WHERE task_id = ?", task.id())
        _change(client, "DELETE FROM events WHERE became = 'success'")
        with copied() as restored:
            found = restored.get_task_by_id(task.id())
            assert [run.status() for run in found.last_runs()] == ["killed"]
            assert found.status() == "failed"
            assert integrity.check(_store(restored)) == []
        [run] = task.last_runs()
        assert run.status() == "queued"

    def test_packaging_is_repeated_by_the_copy(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client]
    ) -> None:
        orchestration = client.upload_orchestration(path=folder("print('hello')")).wait()
        task_id = orchestration.task().id()
        _change(client, "UPDATE orchestrations SET status = 'packaging'")
        _change(client, "UPDATE runs SET status = 'running', ended_at = NULL WHERE task_id = ?", task_id)
        _change(client, "DELETE FROM events WHERE became IN ('success', 'ready')")
        with copied() as restored:
            found = restored.get_orchestration_by_id(orchestration.id())
            assert found.status() == "pending_packaging"
            assert restored.run(found.wait(20)).status() == "success"
            assert integrity.check(_store(restored)) == []

    def test_a_task_that_is_being_killed_is_killed_in_the_copy(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client], waiting_program: str, until: Until
    ) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        [run] = task.last_runs()
        until(lambda: "begun" in run.logs())
        _change(client, "UPDATE tasks SET status = 'pending_kill' WHERE task_id = ?", task.id())
        with copied() as restored:
            assert restored.get_task_by_id(task.id()).status() == "killed"

    def test_a_continuous_task_is_due_again_in_the_copy(
        self, client: orchlite.Client, folder: MakeFolder, target: Path, tmp_path: Path, waiting_program: str, until: Until
    ) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        [run] = task.last_runs()
        until(lambda: "begun" in run.logs())
        _change(client, "UPDATE tasks SET kind = 'continuous' WHERE task_id = ?", task.id())
        backup.backup(_store(client), target)
        orchlite.Client.restore(target, tmp_path / "restored")
        with closing(sqlite3.connect(tmp_path / "restored" / "store.sqlite")) as connection:
            [(status, is_due)] = connection.execute("SELECT status, next_at IS NOT NULL FROM tasks WHERE kind = 'continuous'")
        assert (status, is_due) == ("started", 1)

    @pytest.mark.slow
    def test_everything_acknowledged_is_in_the_copy_and_nothing_starts_twice(
        self, client: orchlite.Client, folder: MakeFolder, copied: Callable[[], orchlite.Client], tmp_path: Path
    ) -> None:
        starts = tmp_path / "starts"
        orchestration = client.upload_orchestration(path=folder(_COUNTED.format(starts=str(starts)))).wait()
        acknowledged: list[str] = []
        enough, done = threading.Event(), threading.Event()

        def work() -> None:
            while not done.is_set():
                acknowledged.append(orchestration.run_once().wait().id())
                if len(acknowledged) > 4:
                    enough.set()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            assert enough.wait(30)
            before = list(acknowledged)
            restored = copied()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        with restored.start():
            for run_id in before:
                found = restored.get_task_run_by_id(run_id)
                assert (found.status(), [line.text for line in found.logs()]) == ("success", ["hello"])
            restored.run(restored.get_orchestration_by_id(orchestration.id()))
            assert integrity.check(_store(restored)) == []
        started = starts.read_text().split()
        assert len(started) == len(set(started)) > len(before)

    def test_an_orchestration_that_was_deleted_meanwhile_is_not_in_the_copy(
        self, client: orchlite.Client, folder: MakeFolder, target: Path, tmp_path: Path
    ) -> None:
        kept = client.upload_orchestration(path=folder("print(1)")).wait()
        deleted = client.upload_orchestration(path=folder("print(2)")).wait()
        store = _store(client)
        copy_to = store.store.copy_to

        class Store(type(store.store)):  # type: ignore[misc]
            """A store from which another client deletes an orchestration right after the rows were copied."""

            def copy_to(self, path: Path) -> None:
                copy_to(path)
                client._engine.delete(deleted.id())

        store.store.__class__ = Store
        backup.backup(store, target)
        orchlite.Client.restore(target, tmp_path / "restored")
        with orchlite.Client(tmp_path / "restored") as restored:
            assert [found.id() for found in restored.list_orchestrations()] == [kept.id()]
            assert integrity.check(_store(restored)) == []


class TestABackupIsRefused:
    @pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")], ids=["folder", "file", "link"])
    def test_if_the_target_exists(self, client: orchlite.Client, tmp_path: Path, make: Callable[[Path], None]) -> None:
        make(tmp_path / "there")
        with pytest.raises(orchlite.Conflict, match="exists already"):
            backup.backup(_store(client), tmp_path / "there")

    def test_inside_the_store(self, client: orchlite.Client) -> None:
        with pytest.raises(orchlite.BadArgument, match="inside the store"):
            backup.backup(_store(client), client.path() / "runs" / "backup")

    def test_below_a_file_and_leaves_nothing_behind(self, client: orchlite.Client, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(orchlite.DeviceFailed, match="cannot be written"):
            backup.backup(_store(client), tmp_path / "file" / "backup")

    def test_if_the_folder_to_write_it_in_belongs_to_something_else(self, client: orchlite.Client, target: Path) -> None:
        part = target.with_name("monday.part")
        part.mkdir(parents=True)
        (part / "mine").touch()
        with pytest.raises(orchlite.Conflict, match=r"monday\.part"):
            backup.backup(_store(client), target)
        assert (part / "mine").exists()
