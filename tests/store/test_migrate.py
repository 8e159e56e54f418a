"""A store's file is brought to this orchlite's schema: once, whoever else is at it, and never back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite.errors import StoreTooNew
from orchlite.store.database import Database
from orchlite.store.migrate import migrate, migrations

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def fresh(tmp_path: Path) -> list[tuple[object, ...]]:
    """What the schema of a new store is."""
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
def test_a_store_of_a_newer_orchlite_is_refused_and_not_touched(path: Path, journal: str) -> None:
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
def test_a_migration_that_was_killed_between_its_steps_is_done_anew(path: Path, fresh: list[tuple[object, ...]], statements: int) -> None:
    assert _start(_DIE, path, statements).wait() == -9
    assert _schema(path)[0] == (0,)
    assert _migrated(path) == fresh
