"""A store that cannot be used: of a newer orchlite, locked, gone, replaced or damaged. It says so, and nothing else is touched."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import orchlite
from orchlite import Client
from orchlite.core.errors import DeviceFailed, StoreBusy, StoreDamaged, StoreTooNew
from orchlite.store.migrate import migrations

StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_HOLDS_THE_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked")
sys.stdin.readline()
database.execute("ROLLBACK")
"""


@pytest.fixture
def used(tmp_path: Path, folder: MakeFolder) -> Path:
    """A store with two runs of one orchestration in it, which nobody has open."""
    store = tmp_path / "store"
    with Client(store, workers=1) as client:
        client.run(folder("print('first')"))
        client.run(folder("print('second')"))
    return store


def _content(path: Path) -> dict[str, bytes | None]:
    """Every file and folder, byte for byte."""
    return {str(found.relative_to(path)): found.read_bytes() if found.is_file() else None for found in sorted(path.rglob("*"))}


def _change(store: Path, sql: str) -> None:
    with closing(sqlite3.connect(store / "store.sqlite", isolation_level=None)) as database:
        database.execute(sql)


class TestNewer:
    def test_it_is_refused_and_stays_as_it_is_byte_for_byte(self, used: Path) -> None:
        _change(used, f"PRAGMA user_version = {len(migrations()) + 1}")
        before = _content(used)
        for _ in range(2):
            with pytest.raises(StoreTooNew, match=r"It was not changed. Upgrade orchlite"):
                Client(used)
        assert _content(used) == before

    def test_it_is_refused_while_the_newer_orchlite_has_it_open(self, used: Path) -> None:
        _change(used, f"PRAGMA user_version = {len(migrations()) + 1}")
        with closing(sqlite3.connect(used / "store.sqlite")) as newer:
            newer.execute("INSERT INTO workspaces (name, created_at) VALUES ('newer', 0)")
            before = _content(used)
            with pytest.raises(StoreTooNew):
                Client(used)
            after = _content(used)
            assert {name for name in before if before[name] != after[name]} <= {"store.sqlite-shm"}, "SQLite notes its readers there"
            assert set(after) == set(before)
            newer.rollback()


@contextmanager
def _locked(start_host: StartHost, store: Path) -> Iterator[None]:
    """Let another process hold the store's lock for as long as the block lasts."""
    holder = start_host(_HOLDS_THE_LOCK, store / "store.sqlite")
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    yield
    holder.stdin.write("enough\n")
    holder.stdin.flush()
    assert holder.wait(10) == 0


class TestLocked:
    def test_who_submits_meanwhile_waits_for_the_lock(
        self, start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        with Client(store, workers=1) as client:
            orchestration = client.upload_orchestration(path=folder("print('ran')")).wait()
            tasks: list[orchlite.Task] = []
            submits = threading.Thread(target=lambda: tasks.append(orchestration.run_once()))
            with _locked(start_host, store):
                submits.start()
                submits.join(0.3)
                assert submits.is_alive()
            submits.join()
            assert tasks[0].wait(20).status() == "success"
        assert list(check_store(store).values()) == ["success"] * 2

    @pytest.mark.slow
    def test_for_longer_than_the_time_out_writing_is_refused_and_an_end_is_recorded_as_soon_as_it_can_be(
        self, start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
    ) -> None:
        store, gate = tmp_path / "store", tmp_path / "gate"
        program = folder(
            f"import pathlib, time\nprint('begun', flush=True)\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
        )
        with Client(store, workers=2) as client:
            orchestration = client.upload_orchestration(path=program).wait()
            [run] = orchestration.run_once().last_runs()
            next(run.logs(follow=True))
            with _locked(start_host, store):
                gate.touch()
                _check_that_all_are_refused(client, orchestration, run)
                assert run.status() == "running"  # reading goes on; its end waits for the lock
                time.sleep(10)
            assert (run.wait(20).status(), run.exit_code()) == ("success", 0)
            assert [task.id() for task in client.list_tasks()] == [run.task()]
            assert len(client.list_orchestrations()) == len(client.list_workspaces()) == 1
            assert len(list((store / "bundles").iterdir())) == 1
        assert list(check_store(store).values()) == ["success"] * 2


def _check_that_all_are_refused(client: Client, orchestration: orchlite.Orchestration, run: orchlite.TaskRun) -> None:
    attempts: list[Callable[[], object]] = [orchestration.run_once, run.kill, lambda: client.create_workspace("late")]
    refusals: list[DeviceFailed] = []

    def attempt(call: Callable[[], object]) -> None:
        with pytest.raises(StoreBusy, match=r"is locked by .*another process\. Nothing was written; try again") as refusal:
            call()
        refusals.append(refusal.value)

    threads = [threading.Thread(target=attempt, args=(call,)) for call in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == len(attempts)


def _delete(store: Path) -> None:
    for path in sorted(store.glob("store.sqlite*")):  # itself before the files beside it
        path.unlink()


def _replace(store: Path) -> None:
    """By another store, as somebody would who restores a backup under a host's feet."""
    other = store.with_name("other")
    Client(other).close()
    (other / "store.sqlite").replace(store / "store.sqlite")


def _overwrite(store: Path) -> None:
    """All pages but the first one."""
    with (store / "store.sqlite").open("r+b") as file:
        size_bytes = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size_bytes - 4096))


def _junk(store: Path) -> None:
    _delete(store)
    (store / "store.sqlite").write_bytes(b"This is no database. " * 1000)


class TestLostBeforeItIsOpened:
    @pytest.mark.parametrize("harm", [_overwrite, _junk])
    def test_it_is_reported_and_nothing_is_touched(self, used: Path, harm: Callable[[Path], None]) -> None:
        harm(used)
        before = _content(used)
        with pytest.raises(StoreDamaged, match=r"damaged.*Restore it from a backup") as failure:
            _use(Client(used))
        assert failure.value.details["store"] == str(used / "store.sqlite")
        assert {name: content for name, content in _content(used).items() if "sqlite-" not in name} == before

    def test_a_file_that_is_a_folder_is_reported(self, used: Path) -> None:
        _delete(used)
        (used / "store.sqlite").mkdir()
        before = _content(used)
        with pytest.raises(DeviceFailed, match="cannot be used: Is a directory"):
            Client(used)
        assert _content(used) == before


def _use(client: Client) -> None:
    try:
        client.list_tasks()
        client.create_workspace("used")
    finally:
        client.close(drain=False)


class TestLostWhileItIsOpen:
    @pytest.mark.parametrize(
        ("harm", "says"), [(_delete, "is gone"), (_replace, "replaced by another file"), (_junk, "replaced by another file")]
    )
    def test_every_use_reports_it_and_nothing_else_is_touched(
        self, used: Path, folder: MakeFolder, harm: Callable[[Path], None], says: str
    ) -> None:
        client = Client(used, workers=1)
        [orchestration, _] = client.list_orchestrations()
        program = folder("print('late')")
        harm(used)
        before = _content(used)
        attempts: list[Callable[[], object]] = [
            client.list_tasks,
            orchestration.run_once,
            lambda: client.create_workspace("late"),
            lambda: client.upload_orchestration(path=program),
            lambda: client.run(program),
        ]
        for attempt in attempts:
            with pytest.raises(StoreDamaged, match=says):
                attempt()
        assert _content(used) == before
        client.close(drain=False)
        assert set(before) - set(_content(used)) == {name for name in before if name.startswith("hosts/")}

    @pytest.mark.parametrize("harm", [_delete, _replace, _junk])
    def test_a_run_that_goes_on_meanwhile_is_ended_by_its_runner_and_its_host_is_not_stuck(
        self, used: Path, folder: MakeFolder, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        gate = tmp_path / "gate"
        program = folder(
            f"import pathlib, time\nprint('begun', flush=True)\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
        )
        client = Client(used, workers=1)
        [run] = client.upload_orchestration(path=program).wait().run_once().last_runs()
        next(run.logs(follow=True))
        harm(used)
        gate.touch()
        for wait in (run.wait, client.close):
            with pytest.raises(StoreDamaged, match=r"is gone|replaced by another file"):
                wait()
        give_up_at = time.monotonic() + 10
        while not (used / "runs" / run.id() / "1" / "result.json").exists():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        assert not list((used / "hosts").iterdir())

    def test_leaving_the_block_reports_it_and_lets_go_of_the_store(self, used: Path, folder: MakeFolder) -> None:
        client = Client(used, workers=1)
        client.upload_orchestration(path=folder("print('last')")).wait().run_once()
        _delete(used)
        with pytest.raises(StoreDamaged, match="is gone"):
            client.__exit__(None, None, None)
        with pytest.raises(orchlite.Closed):
            client.list_tasks()
        assert not list((used / "hosts").iterdir())

    def test_a_temporary_one_is_removed_all_the_same(self, folder: MakeFolder, bearers: Callable[[str], list[int]]) -> None:
        client = Client.temporary(workers=1, grace_seconds=0.1)
        [run] = client.upload_orchestration(path=folder("import time; print('begun'); time.sleep(60)")).wait().run_once().last_runs()
        next(run.logs(follow=True))
        _delete(client.path())
        client.close()
        assert not client.path().exists()
        give_up_at = time.monotonic() + 10
        while bearers(run.id()):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)

    def test_overwritten_pages_are_reported_to_who_reads_them(self, used: Path) -> None:
        client = Client(used, workers=1)
        _overwrite(used)
        damages: list[DeviceFailed] = []

        def use() -> None:  # in a thread of its own, which has no page in its cache yet
            with pytest.raises(StoreDamaged, match="damaged") as failure:
                client.list_tasks()
            damages.append(failure.value)

        reader = threading.Thread(target=use)
        reader.start()
        reader.join()
        client.close(drain=False)
        assert len(damages) == 1

    def test_a_host_in_the_background_says_so_once_and_stops(
        self, used: Path, caplog: pytest.LogCaptureFixture, until: Callable[[Callable[[], object]], None]
    ) -> None:
        client = Client(used, workers=1).start()
        threads = [thread for thread in threading.enumerate() if thread.name in ("orchlite-change-watcher", "orchlite-recovery")]
        _delete(used)
        until(lambda: not any(thread.is_alive() for thread in threads))
        with pytest.raises(StoreDamaged, match="is gone"):
            client.list_tasks()
        client.close(drain=False)
        [record] = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
        assert "this process stops working on the store: " in record.getMessage()
        assert record.exc_info is None

    def test_a_host_in_the_foreground_raises_it(self, used: Path, until: Callable[[Callable[[], object]], None]) -> None:
        client, failures = Client(used, workers=1), []

        def serve() -> None:
            with pytest.raises(StoreDamaged, match="is gone") as failure:
                client.run_forever(signals=())
            failures.append(failure)

        host = threading.Thread(target=serve)
        host.start()
        until(lambda: any(thread.name == "orchlite-scheduler" for thread in threading.enumerate()))
        _delete(used)
        host.join(10)
        assert len(failures) == 1
        with pytest.raises(orchlite.Closed):
            client.list_tasks()

    def test_a_backup_that_is_put_back_is_used_by_the_next_client(self, used: Path, check_store: CheckStore, tmp_path: Path) -> None:
        shutil.copy(used / "store.sqlite", tmp_path / "backup")
        client = Client(used, workers=1)
        client.create_workspace("lost")
        _delete(used)
        shutil.copy(tmp_path / "backup", used / "store.sqlite")
        with pytest.raises(StoreDamaged, match="replaced by another file"):
            client.create_workspace("refused")
        client.close(drain=False)
        with Client(used) as again:
            assert [workspace.name() for workspace in again.list_workspaces()] == ["default"]
        assert list(check_store(used).values()) == ["success"] * 4
