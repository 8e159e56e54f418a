"""A bad end is told of although the host that recorded it was gone before it could: by the next host, and once."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orchlite
from orchlite.core.clock import SystemClock

MakeFolder = Callable[..., Path]
StartHost = Callable[..., "subprocess.Popen[str]"]
CheckStore = Callable[..., dict[str, str]]

_PATIENCE_SECONDS = 10.0
_FAILS = "raise SystemExit(3)"

# Stops when the failure of its run is recorded, and nobody has been told of it yet.
_HALTS = """
import logging, sys, time, orchlite

class Halt(logging.Handler):
    def emit(self, record):
        if ": failure" in record.getMessage():
            print(record.args[0])
            time.sleep(60)

log = logging.getLogger("orchlite.operations.execution")
log.setLevel(logging.INFO)
log.addHandler(Halt())
client = orchlite.Client(sys.argv[1], workers=1, on_failure=sys.argv[3:])
client.upload_orchestration(path=sys.argv[2]).wait().run_once()
time.sleep(60)
"""


class _HurriedClock(SystemClock):
    """On which the second between two looks at what is left is over at once."""

    def monotonic(self) -> float:
        return super().monotonic() * 1000


def _look_twice(client: orchlite.Client) -> None:
    for _ in range(2):
        time.sleep(0.01)
        client._engine._recovery.recover()


def _command(told: Path) -> list[str]:
    """Notes of which run it was told."""
    return ["/bin/sh", "-c", 'echo "$ORCHLITE_RUN_ID" >> "$0"', str(told)]


def _lines(told: Path) -> list[str]:
    return told.read_text().split() if told.exists() else []


def _promises(store: Path) -> int:
    with closing(sqlite3.connect(store / "store.sqlite")) as database:
        [count] = database.execute("SELECT count(*) FROM runs WHERE to_be_told_by IS NOT NULL").fetchone()
    return int(count)


def _until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.01)


def _halted(start_host: StartHost, store: Path, bundle: Path, told: Path) -> tuple[subprocess.Popen[str], str]:
    """A host that goes no further, and the run that has failed."""
    host = start_host(_HALTS, store, bundle, *_command(told))
    assert host.stdout is not None
    return host, host.stdout.readline().strip()


def _kill(host: subprocess.Popen[str]) -> None:
    host.kill()
    host.wait()


def test_who_opens_the_store_next_tells_what_a_killed_host_did_not(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path, check_store: CheckStore
) -> None:
    store, told = tmp_path / "store", tmp_path / "told"
    host, run_id = _halted(start_host, store, folder(_FAILS), told)
    _kill(host)
    assert (_promises(store), _lines(told)) == (1, [])
    with orchlite.Client(store) as client:
        _until(lambda: client.events()[-1].became() == "on_failure_told")
    assert (_promises(store), _lines(told)) == (0, [run_id])
    with orchlite.Client(store, clock=_HurriedClock()).start() as client:
        _look_twice(client)
    assert _lines(told) == [run_id]
    check_store(store, [run_id])


def test_who_works_for_the_store_leaves_it_to_the_host_that_lives_and_takes_it_over_when_that_dies(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    store, told = tmp_path / "store", tmp_path / "told"
    host, run_id = _halted(start_host, store, folder(_FAILS), told)
    with orchlite.Client(store, clock=_HurriedClock()).start() as client:
        _look_twice(client)
        assert (_promises(store), _lines(told)) == (1, [])
        _kill(host)
        _look_twice(client)
        _until(lambda: _lines(told))
        _until(lambda: _promises(store) == 0)
    assert _lines(told) == [run_id]


def test_a_client_that_leaves_at_once_has_each_end_told_once(folder: MakeFolder, tmp_path: Path) -> None:
    store, told, run_ids = tmp_path / "store", tmp_path / "told", []
    for _ in range(5):
        client = orchlite.Client(store, workers=1, on_failure=_command(told))
        run_ids.append(client.run(folder(_FAILS)).id())
        client.close(drain=False)
    with orchlite.Client(store):
        _until(lambda: _promises(store) == 0 and len(_lines(told)) >= len(run_ids))
    assert sorted(_lines(told)) == sorted(run_ids)


def test_a_command_that_cannot_be_started_is_not_tried_again(folder: MakeFolder, tmp_path: Path) -> None:
    with orchlite.Client(tmp_path / "store", workers=1, on_failure=[str(tmp_path / "absent")]) as client:
        client.run(folder(_FAILS))
    assert _promises(tmp_path / "store") == 0


def test_a_backup_promises_nothing(start_host: StartHost, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    _halted(start_host, store, folder(_FAILS), tmp_path / "told")
    client = orchlite.Client(store)
    client.backup(tmp_path / "backup")
    client.close(drain=False)
    assert (_promises(store), _promises(tmp_path / "backup")) == (1, 0)
