"""Several clients of one process on one store: the kernel has one set of locks for all of them, which SQLite relies on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import orchlite

StartHost = Callable[..., "subprocess.Popen[str]"]

_OPENS_AND_CLOSES = """
import sys, orchlite
with orchlite.Client(sys.argv[1]) as client:
    print([workspace.name() for workspace in client.list_workspaces()])
"""


def test_another_process_that_closes_leaves_the_wal_to_the_first_client_although_a_second_was_opened(
    start_host: StartHost, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = orchlite.Client(store)
    wal = store / "store.sqlite-wal"
    before = wal.stat().st_ino
    second = orchlite.Client(store)  # opening the file beside SQLite, and closing it, would release the locks of `first`
    for name in ("one", "two"):
        host = start_host(_OPENS_AND_CLOSES, store)
        assert host.wait(30) == 0
        assert wal.stat().st_ino == before
        first.create_workspace(name)
    second.close()
    first.close()
    with orchlite.Client(store) as client:
        assert {"one", "two"} <= {workspace.name() for workspace in client.list_workspaces()}
