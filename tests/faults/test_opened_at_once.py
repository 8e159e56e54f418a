"""Many processes that open a new store at the same moment: each gets it, and it is made once."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.store.migrate import migrations

StartHost = Callable[..., subprocess.Popen[str]]

_OPENS = """
import sys
from pathlib import Path
from orchlite.store.database import Database
from orchlite.store.migrate import migrate

for line in sys.stdin:
    database = Database(Path(line.strip()))
    migrate(database)
    database.close()
    print("open")
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [25])
def test_eight_processes_open_each_of_many_new_stores_at_once(start_host: StartHost, tmp_path: Path, count: int) -> None:
    hosts = [start_host(_OPENS) for _ in range(8)]
    for number in range(count):
        path = tmp_path / f"store-{number}.sqlite"
        for host in hosts:
            assert host.stdin is not None
            host.stdin.write(f"{path}\n")
            host.stdin.flush()
        assert [_line(host) for host in hosts] == ["open"] * 8
        database = sqlite3.connect(path)
        [version], [mode] = database.execute("PRAGMA user_version").fetchone(), database.execute("PRAGMA journal_mode").fetchone()
        database.close()
        assert (version, mode) == (len(migrations()), "wal")


def _line(host: subprocess.Popen[str]) -> str:
    assert host.stdout is not None
    return host.stdout.readline().strip()
