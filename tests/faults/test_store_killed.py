"""Whoever writes to the store is killed in the midst of it: what was acknowledged is there, and nothing is there by halves."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchlite.store.database import Database
from orchlite.store.migrate import migrate, migrations

StartHost = Callable[..., "subprocess.Popen[str]"]
Schema = tuple[int, tuple[tuple[str, str], ...]]

# Three rows a transaction, some of them long; a line for every transaction that was acknowledged.
_WRITES = """
import itertools, sys
from pathlib import Path
from orchlite.store.database import Database

database = Database(Path(sys.argv[1]))
database.rows("SELECT 1 FROM workspaces")
print("ready")
for number in itertools.count(1):
    with database.transaction() as transaction:
        for part in range(3):
            name = f"{sys.argv[2]}-{number}-{part}-" + "x" * (number * 997 % 5000)
            transaction.execute("INSERT INTO workspaces (name, created_at) VALUES (?, 0)", (name,))
    print(number)
"""

_MIGRATES = """
import sys
from pathlib import Path
from orchlite.store.database import Database
from orchlite.store.migrate import migrate

print("ready")
for number in range(1000):
    path = Path(sys.argv[1]) / f"{number}.sqlite"
    print(path)
    database = Database(path)
    migrate(database)
    database.close()
"""


@pytest.fixture
def seeded() -> random.Random:
    """Random numbers whose seed is printed."""
    seed = time.time_ns()
    print("seed:", seed)
    return random.Random(seed)


def _output_of_killed(host: subprocess.Popen[str], after_seconds: float) -> list[str]:
    """Every line that the host has printed after `ready`, until it was killed so long after it."""
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    time.sleep(after_seconds)
    host.kill()
    lines = host.stdout.read().split("\n")
    host.wait()
    return lines[:-1]  # the last is empty, or torn


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_of_a_writer_that_is_killed_every_acknowledged_transaction_is_kept_and_none_is_torn(
    start_host: StartHost, tmp_path: Path, seeded: random.Random, count: int
) -> None:
    path = tmp_path / "store.sqlite"
    database = Database(path)
    migrate(database)
    database.close()
    written = {}
    for writer in (f"writer-{number}" for number in range(count)):
        acknowledged = len(_output_of_killed(start_host(_WRITES, path, writer), seeded.uniform(0, 0.05)))
        written[writer] = _written(path, writer)
        assert acknowledged <= written[writer] <= acknowledged + 1
    print("transactions written:", sum(written.values()))
    assert sum(written.values()) > 0
    assert {writer: _written(path, writer) for writer in written} == written, "later deaths have not harmed what was there before"


def _written(path: Path, writer: str) -> int:
    """How many transactions of the writer are there; each is there as a whole, and none between two others is missing."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [
            name for (name,) in database.execute("SELECT name FROM workspaces WHERE name GLOB ? ORDER BY workspace_id", (f"{writer}-*",))
        ]
    expected = [f"{writer}-{number}-{part}-" + "x" * (number * 997 % 5000) for number in range(1, len(names) // 3 + 1) for part in range(3)]
    assert names == expected
    return len(names) // 3


@pytest.mark.parametrize("count", [6, pytest.param(30, marks=pytest.mark.slow)])
def test_a_migration_that_is_killed_at_any_moment_has_happened_or_not_and_works_when_it_is_done_again(
    start_host: StartHost, tmp_path: Path, seeded: random.Random, count: int
) -> None:
    known, found = _schemas(), set()
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        lines = _output_of_killed(start_host(_MIGRATES, folder), seeded.uniform(0, 0.06))
        for path in map(Path, lines):
            if path.exists():
                found.add(known.index(_schema(path)))
                database = Database(path)
                migrate(database)
                database.close()
                assert _schema(path) == known[-1]
    print("versions found:", found)
    assert found


def _schemas() -> list[Schema]:
    """What the schema is before the first migration and after each of them."""
    known: list[Schema] = [(0, ())]
    with closing(sqlite3.connect(":memory:")) as database:
        for number, file in enumerate(migrations(), 1):
            database.executescript(file.read_text(encoding="utf-8"))
            known.append((number, _objects(database)))
    return known


def _schema(path: Path) -> Schema:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [version] = database.execute("PRAGMA user_version").fetchone()
        return version, _objects(database)


def _objects(database: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    return tuple((name, re.sub(r"\s*--.*", "", sql)) for name, sql in rows)
