"""What the fixtures of the pytest plugin do once a test uses them: stores that share what is slow to start, and reports of their runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchlite.client.client import Client, TemporaryClient
from orchlite.client.task_run import TaskRun
from orchlite.core import folders as paths
from orchlite.core.clock import Clock
from orchlite.core.errors import NotFound, OrchliteError
from orchlite.core.folders import StoreFolder
from orchlite.core.status import RunStatus, TaskKind
from orchlite.engine import recovery
from orchlite.environments.environments import Environments
from orchlite.runs.runners import Runners
from orchlite.store.store import Store
from orchlite.testing import coverage as measuring
from orchlite.testing.bundle_files import Given, as_path

_LINES = 200
_RUNS = 20
_CONNECTION_TYPE = "test"


class _SharedRunners(Runners):
    """Runners that outlive the stores whose runs they have."""

    def close(self) -> None:
        """Nothing: the next test needs them, too."""

    def end(self) -> None:
        """Let go of them."""
        super().close()


def _copying(empty: Path) -> type[TemporaryClient]:
    """A temporary client whose database is a copy of this one: making its tables anew took longer than all else."""

    class CopyingClient(TemporaryClient):
        @staticmethod
        def _folder(path: str | os.PathLike[str] | None) -> StoreFolder:
            folder = paths.temporary_store_folder()
            shutil.copyfile(empty, folder.database)
            folder.database.chmod(0o600)
            return folder

    return CopyingClient


class Stores:
    """Opens a temporary store for each test of a session; all of them run their programs with the same runners."""

    def __init__(self, folder: Path) -> None:
        """The folder takes what belongs to none of the stores."""
        recovery.sweep_temporary_stores(paths.temporary_store_folders())  # once: it looks at the whole of the temporary folder
        empty = folder / "empty.sqlite"
        Store(empty, durable=False).close()
        self._new = _copying(empty)
        self._runners = _SharedRunners(folder / "runners.log")
        self._environments: dict[Path, Environments] = {}
        self._env = measuring.environment(folder) if measuring.is_asked_for() else {}

    def open(self, clock: Clock | None) -> Client:
        """A client of a new temporary store, which keeps all that its runs leave."""
        cache = paths.cache_folder()
        if cache not in self._environments:
            self._environments[cache] = Environments(cache)
        return self._new(clock=clock, keep_work="all", env=self._env, process=self._runners, environment=self._environments[cache])

    def close(self) -> None:
        """End the runners."""
        self._runners.end()


def run(
    client: Client,
    path_or_files: Given,
    json_args: Mapping[str, Any] | None,
    connections: Mapping[str, Mapping[str, Any]] | None,
    env: Mapping[str, str] | None,
    timeout: float | None,
) -> TaskRun:
    """Run a bundle once, with these connections in the store, and answer its run when it has ended."""
    connect(client, connections)
    with as_path(path_or_files) as path:
        return client.run(path, json_args, timeout=timeout, env=env)


def connect(client: Client, connections: Mapping[str, Mapping[str, Any]] | None) -> None:
    """Have connections of these names with these details in the store, in place of those that there are."""
    for name, details in (connections or {}).items():
        _connect(client, name, details)


def _connect(client: Client, name: str, details: Mapping[str, Any]) -> None:
    try:
        known = client.get_connection(name)
    except NotFound:
        client.create_connection(name, _CONNECTION_TYPE, details)
        return
    if known.details() != details:
        known.delete_connection()
        client.create_connection(name, known.connection_type(), details)


def sections(client: Client) -> list[tuple[str, str]]:
    """The newest runs of the store for a test's report: a title and the log of each. Packaging is among them where it failed."""
    try:
        ids = dict.fromkeys(event.object_id() for event in client.events() if event.kind() == "run")
        runs = [run for run in map(client.get_task_run_by_id, ids) if _is_telling(client, run)]
        return [_section(run) for run in runs[-_RUNS:]]
    except OrchliteError as error:  # a report must not fail for what the test may have done to its store
        return [("orchlite runs", f"The runs of this test cannot be read: {error}")]


def _is_telling(client: Client, run: TaskRun) -> bool:
    is_packaging = client.get_task_by_id(run.task()).kind() is TaskKind.PACKAGING
    return run.status() is not RunStatus.SUCCESS if is_packaging else run.status() is not RunStatus.SKIPPED


def _section(run: TaskRun) -> tuple[str, str]:
    code = run.exit_code()
    title = f"orchlite run {run.id()}: {run.status()}" + ("" if code is None else f", exit code {code}")
    return title, "\n".join(_lines(run))


def _lines(run: TaskRun) -> Iterator[str]:
    if run.reason():
        yield f"({run.reason()})"
    log = run.logs(_LINES + 1)
    if len(log) > _LINES:
        yield f"(the last {_LINES} lines)"
    yield from (line.text for line in log[-_LINES:])
    if not log:
        yield "(it wrote nothing)"
