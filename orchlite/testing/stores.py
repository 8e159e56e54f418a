"""What the fixtures of the pytest plugin do: open temporary stores that share what is slow to start, and report their runs."""

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
from orchlite.core.private_folders import allows_foreign_owner
from orchlite.core.status import RunStatus, TaskKind
from orchlite.engine import recovery
from orchlite.environments.environments import Environments
from orchlite.runs.runners import Runners
from orchlite.store.store import Store
from orchlite.testing import coverage
from orchlite.testing.bundle_files import PathOrFiles, as_path

_LINES = 200
_RUNS = 20
_CONNECTION_TYPE = "test"


class _SharedRunners(Runners):
    """Runners that outlive the stores they work for."""

    def close(self) -> None:
        """Do nothing: the next test uses the same runners."""

    def shut_down(self) -> None:
        """Close the runners at the end of the session."""
        super().close()


def copying(empty: Path) -> type[TemporaryClient]:
    """Return a temporary client whose database starts as a copy of `empty`: creating the tables took longer than everything else."""

    class CopyingClient(TemporaryClient):
        @staticmethod
        def _folder(path: str | os.PathLike[str] | None) -> StoreFolder:
            folder = paths.temporary_store_folder()
            shutil.copyfile(empty, folder.database)
            folder.database.chmod(0o600)
            return folder

    return CopyingClient


class Stores:
    """Opens a temporary store for each test of a session; all stores share runners and environments."""

    def __init__(self, folder: Path) -> None:
        """Keep in `folder` what belongs to no single store."""
        recovery.sweep_temporary_stores(paths.temporary_store_folders())  # once: it lists the whole temporary folder
        empty = folder / "empty.sqlite"
        Store(empty, durable=False).close()
        self._new = copying(empty)
        self._runners = _SharedRunners(folder / "runners.log")
        self._environments: dict[Path, Environments] = {}
        self._env = coverage.environment(folder) if coverage.is_requested() else {}

    def open(self, clock: Clock | None) -> Client:
        """Return a client of a new temporary store that keeps all files of its runs."""
        cache = paths.cache_folder()
        if cache not in self._environments:
            self._environments[cache] = Environments(paths.own_cache_folder(allow_foreign_owner=allows_foreign_owner()))
        # Tests seldom run the same twice, or pause in between.
        return self._new(
            clock=clock,
            keep_work="all",
            env=self._env,
            standby_seconds=0,
            process=self._runners,
            environment=self._environments[cache],
        )

    def close(self) -> None:
        """Close the runners."""
        self._runners.shut_down()


def run(
    client: Client,
    path_or_files: PathOrFiles,
    json_args: Mapping[str, Any] | None,
    connections: Mapping[str, Mapping[str, Any]] | None,
    env: Mapping[str, str] | None,
    timeout: float | None,
) -> TaskRun:
    """Create the connections, run the bundle once, block until the run has ended, and return it."""
    connect(client, connections)
    with as_path(path_or_files) as path:
        return client.run(path, json_args, timeout=timeout, env=env)


def connect(client: Client, connections: Mapping[str, Mapping[str, Any]] | None) -> None:
    """Create or replace connections: details by name."""
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
    """Return title and log of the store's newest runs, for a test's report. Packaging runs are included if they failed."""
    try:
        ids = dict.fromkeys(event.object_id() for event in client.events() if event.kind() == "run")
        runs = [run for run in map(client.get_task_run_by_id, ids) if _is_reported(client, run)]
        return [_section(run) for run in runs[-_RUNS:]]
    except OrchliteError as error:  # whatever the test did to its store, its report must not fail
        return [("orchlite runs", f"The runs of this test cannot be read: {error}")]


def _is_reported(client: Client, run: TaskRun) -> bool:
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
