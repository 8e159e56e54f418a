"""Migrations: a store's file gets the schema of this version, once, even if several processes open it, and never goes back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite import Client, PackagingFailed, Task
from orchlite.core.errors import StoreTooNew
from orchlite.store.database import Database
from orchlite.store.migrate import migrate, migrations

_KEPT = Path(__file__).with_name("schemas")
"""A store of each earlier version, as SQL with rows in every table: the output of `sqlite3 store.sqlite .dump`, and the version."""

_VERSIONS = range(1, len(migrations()))
_CREATED = datetime(2024, 4, 17, 16, 3, 19, 756251, UTC)
"""When the first rows of these stores were created."""

_OPEN = """
import sys
from pathlib import Path
from orchlite.store.database import Database
from orchlite.store.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
database = Database(Path(sys.argv[1]))
migrate(database)
with database.transaction() as transaction:
    transaction.execute("INSERT INTO workspaces (name, created_at) VALUES (?, 0)", (sys.argv[2],))
"""

_DIE = """
import os, signal, sys
from pathlib import Path
from orchlite.store.database import Database
from orchlite.store.migrate import migrations
database = Database(Path(sys.argv[1]))
with database.transaction() as transaction:
    for statement in migrations()[0].read_text().split(";")[: int(sys.argv[2])]:
        transaction.execute(statement)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _start(script: str, *arguments: object, pipes: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdin=pipes, stdout=pipes, env=environment)


def _schema(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        version = connection.execute("PRAGMA user_version").fetchone()
        return [version, *connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()]


def _migrated(path: Path) -> list[tuple[object, ...]]:
    database = Database(path)
    migrate(database)
    database.close()
    return _schema(path)


def _make_schema(path: Path, version: int) -> list[tuple[object, ...]]:
    """Apply the first migrations by hand."""
    with closing(sqlite3.connect(path)) as connection:
        for file in migrations()[:version]:
            connection.executescript(file.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {version}")
    return _schema(path)


def _restore_kept(path: Path, version: int) -> list[tuple[object, ...]]:
    """Create a store as that version left it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((_KEPT / f"version_{version}.sql").read_text(encoding="utf-8"))
    return _schema(path)


def _id(number: int) -> str:
    """Return an id as these stores have them: orchestrations from 1, tasks from 11, runs from 21."""
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def fresh(tmp_path: Path) -> list[tuple[object, ...]]:
    """Return the schema of a new store."""
    return _migrated(tmp_path / "fresh.sqlite")


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [int(file.name[:4]) for file in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_fresh_store_has_the_newest_version_and_strict_tables(path: Path) -> None:
    version, *objects = _migrated(path)
    tables = {str(name): str(sql) for kind, name, sql in objects if kind == "table" and not str(name).startswith("sqlite_")}
    assert version == (len(migrations()),)
    assert set(tables) >= {"workspaces", "orchestrations", "tasks", "runs", "events"}
    assert [name for name, sql in tables.items() if not sql.endswith("STRICT")] == []


def test_migrating_again_changes_nothing(path: Path, fresh: list[tuple[object, ...]]) -> None:
    assert _migrated(path) == fresh
    before = path.read_bytes()
    assert _migrated(path) == fresh
    assert path.read_bytes() == before


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_store_of_a_newer_orchlite_is_refused_and_not_changed(path: Path, journal: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE later (x)")
        connection.execute(f"PRAGMA user_version = {len(migrations()) + 7}")
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    database = Database(path)
    with pytest.raises(StoreTooNew, match="pip install -U orchlite") as refusal:
        migrate(database)
    database.close()
    assert refusal.value.details["version"] == len(migrations()) + 7
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.slow
def test_eight_processes_open_a_fresh_store_at_once(path: Path, fresh: list[tuple[object, ...]]) -> None:
    hosts = [_start(_OPEN, path, f"of-{number}", pipes=subprocess.PIPE) for number in range(8)]
    for host in hosts:
        assert host.stdout is not None
        with host.stdout:
            assert host.stdout.readline() == b"ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.close()  # now, all of them
    assert [host.wait() for host in hosts] == [0] * 8
    assert _schema(path) == fresh
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM workspaces").fetchone() == (8,)


@pytest.mark.parametrize("statements", [1, 3])
def test_a_migration_killed_between_its_steps_is_repeated(path: Path, fresh: list[tuple[object, ...]], statements: int) -> None:
    assert _start(_DIE, path, statements).wait() == -9
    assert _schema(path)[0] == (0,)
    assert _migrated(path) == fresh


@pytest.mark.parametrize("version", range(len(migrations())))
def test_migrating_from_any_version_gives_the_schema_of_a_fresh_store(path: Path, fresh: list[tuple[object, ...]], version: int) -> None:
    if version:
        _make_schema(path, version)
    assert _migrated(path) == fresh


@pytest.mark.parametrize("version", _VERSIONS)
class TestAStoreOfAnEarlierVersion:
    @pytest.fixture
    def client(self, tmp_path: Path, version: int) -> Iterator[Client]:
        _restore_kept(tmp_path / "store" / "store.sqlite", version)
        client = Client(tmp_path / "store")
        yield client
        client.close(drain=False)

    def test_is_kept_with_rows_in_every_table_as_its_migrations_made_it(self, path: Path, tmp_path: Path, version: int) -> None:
        kept = _restore_kept(path, version)
        assert kept == _make_schema(tmp_path / "made.sqlite", version), "a migration was changed after stores were made with it"
        with closing(sqlite3.connect(path)) as connection:
            tables = [str(name) for kind, name, _ in kept[1:] if kind == "table"]
            assert [table for table in tables if connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)] == []

    def test_is_migrated_to_the_newest(self, client: Client, version: int, fresh: list[tuple[object, ...]]) -> None:
        assert _schema(client.path() / "store.sqlite") == fresh
        assert client.run(_hello(client.path().parent)).status() == "success"

    def test_loses_no_row(self, path: Path, version: int) -> None:
        _restore_kept(path, version)
        before = _rows(path)
        _migrated(path)
        after = _rows(path)
        for table, rows in before.items():
            assert [{column: row[column] for column in rows[0]} for row in after[table]] == rows

    def test_has_its_workspaces(self, client: Client, version: int) -> None:
        assert [(workspace.id(), workspace.name()) for workspace in client.list_workspaces()] == [(1, "default"), (2, "ml-models")]
        assert client.list_workspaces()[0].created_at() == _CREATED

    def test_has_its_orchestrations(self, client: Client, version: int) -> None:
        [ready] = client.list_orchestrations()
        assert (ready.id(), ready.name(), ready.status(), ready.sha()) == (_id(1), "daily", "ready", "a" * 64)
        assert (ready.file_name(), ready.installed(), ready.warnings()) == ("daily.zip", ["six==1.17.0"], ["Left out: .git"])
        assert (ready.created_at(), ready.task().id()) == (_CREATED, _id(11))
        bad = client.get_orchestration_by_id(_id(2))
        assert (bad.name(), bad.status(), bad.workspace_id()) == (None, "error", 2)
        with pytest.raises(PackagingFailed, match="six==99"):
            bad.wait()

    def test_has_its_tasks(self, client: Client, version: int) -> None:
        assert [(task.id(), task.status()) for task in client.list_tasks(killed=True)] == [
            (_id(15), "pending"),
            (_id(14), "killed"),
            (_id(13), "started"),
        ]
        task = client.get_task_by_id(_id(13))
        assert (task.name(), task.kind(), task.timeout(), task.input_data()) == ("greet", "once", 60.5, {"name": "Ada"})
        assert (task.orchestration(), list(task.env()), task.created_at()) == (_id(1), ["LEVEL"], _CREATED + timedelta(seconds=5))

    def test_has_its_runs(self, client: Client, version: int) -> None:
        runs = {number: client.get_task_run_by_id(_id(number)) for number in range(21, 26)}
        assert [run.status() for run in runs.values()] == ["success", "failure", "failure", "killed", "queued"]
        failed, killed = runs[23], runs[24]
        assert (failed.exit_code(), failed.duration(), failed.started_at()) == (1, 1.25, _CREATED + timedelta(seconds=6))
        assert (killed.exit_code(), killed.reason(), killed.log_is_complete()) == (143, "killed on request", False)
        assert client.get_task_by_id(_id(13)).last_runs() == [failed]

    def test_has_its_schedules_and_their_slots(self, client: Client, version: int) -> None:
        client.set_current_workspace(client.get_workspace("ml-models"))
        tasks = client.list_tasks()
        assert len(tasks) == (version >= 4)
        for task in tasks:
            self._check_schedule(task)

    def _check_schedule(self, task: Task) -> None:
        assert (task.id(), task.status(), task.schedule(), task.timezone()) == (_id(16), "paused", "0 * * * *", "Europe/Berlin")
        [ran], [skipped] = task.last_runs(), task.last_runs(status="skipped")
        assert (ran.id(), ran.status(), ran.scheduled_at()) == (_id(26), "timed_out", _CREATED + timedelta(seconds=10))
        assert (skipped.id(), skipped.reason(), task.missed()) == (_id(27), "missed: no host was at work", 2)

    def test_has_its_events_with_their_kinds(self, client: Client, version: int) -> None:
        events = [(event.kind(), event.object_id(), event.became()) for event in client.events(limit=8)]
        assert events == [
            ("orchestration", _id(1), "pending_packaging"),
            ("task", _id(11), "pending"),
            ("run", _id(21), "queued"),
            ("orchestration", _id(1), "ready"),
            ("orchestration", _id(2), "error"),
            ("run", _id(23), "failure"),
            ("run", _id(24), "killed"),
            ("task", _id(14), "killed"),
        ]
        assert client.events()[6].reason() == "killed on request"

    def test_has_its_connections(self, client: Client, version: int) -> None:
        found = [(found.name(), found.details(), found.workspace_names()) for found in client.list_connections()]
        assert found == ([("warehouse", {"host": "db.example.org", "port": 5432}, ["ml-models"])] if version >= 3 else [])


def test_slots_dispatched_by_an_earlier_version_are_not_dispatched_again(path: Path) -> None:
    """It did not record what was pruned, so any row before its migration may have been."""
    _restore_kept(path, 4)
    _migrated(path)
    with closing(sqlite3.connect(path)) as connection:
        [known] = connection.execute("SELECT next_at, pruned_until FROM tasks WHERE kind = 'scheduled'").fetchall()
        assert connection.execute("SELECT count(*) FROM tasks WHERE kind <> 'scheduled' AND pruned_until IS NOT NULL").fetchone() == (0,)
    assert known[0] == known[1] is not None


def _hello(folder: Path) -> Path:
    bundle = folder / "hello"
    bundle.mkdir()
    (bundle / "main.py").write_text("print('hello')")
    return bundle


def _rows(path: Path) -> dict[str, list[dict[str, object]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables}
