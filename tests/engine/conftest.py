"""What tests of the engine share: clients on one store, programs that wait for a sign, an index of packages that lies on disk."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite.testing import ManualClock, StubProcess

_PATIENCE_SECONDS = 20.0


def _smallest_bundle() -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", "")
    return buffer.getvalue()


_SMALLEST_BUNDLE = _smallest_bundle()


@pytest.fixture(scope="session")
def smallest_bundle() -> bytes:
    """A program that does nothing."""
    return _SMALLEST_BUNDLE


@pytest.fixture
def open_client(tmp_path: Path, empty_store: Path) -> Iterator[Callable[..., orchlite.Client]]:
    """Open clients on the test's store, with one worker each unless told otherwise; their tasks are killed at the end."""
    clients: list[orchlite.Client] = []

    def make(**settings: object) -> orchlite.Client:
        if not (tmp_path / "store").exists():
            shutil.copytree(empty_store, tmp_path / "store")
        clients.append(orchlite.Client(tmp_path / "store", **{"workers": 1, "grace_seconds": 0.5, **settings}))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        with suppress(orchlite.Closed):
            for task in client.list_tasks():
                task.kill()
        client.close(drain=False)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true."""

    def wait(condition: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, "it never came true"
            time.sleep(0.005)

    return wait


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that programs made of `waiting_program` wait for."""
    return tmp_path / "gate"


@pytest.fixture
def waiting_program(gate: Path) -> str:
    """Says that it has begun, waits for the gate, says that it is done."""
    return (
        "import os, pathlib, time\n"
        "print('begun', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.01)\n"
        "print('done')\n"
    )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is moved by hand, at the beginning of March 2026."""
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def travel(clock: ManualClock) -> Iterator[Callable[..., orchlite.Orchestration]]:
    """An orchestration in a temporary store on the manual clock, whose runs end as a `StubProcess` says: `travel("failure", 90)`."""
    clients: list[orchlite.Client] = []

    def make(status: object = "success", duration_seconds: float = 0, **settings: object) -> orchlite.Orchestration:
        stub = StubProcess(status, duration_seconds)  # type: ignore[arg-type]
        clients.append(orchlite.Client.temporary(clock=clock, process=stub, **settings))
        return clients[-1].upload_orchestration(_SMALLEST_BUNDLE)

    yield make
    for client in clients:
        client.close()
