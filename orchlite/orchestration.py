"""The handle of an orchestration: an accepted bundle that can be run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.arguments import checked_env, checked_flag, checked_name, checked_seconds, checked_timeout, encoded_arguments
from orchlite.display import Table, table_html
from orchlite.engine import Engine
from orchlite.errors import DeviceFailed
from orchlite.paths import given_path
from orchlite.records import OrchestrationRow
from orchlite.status import OrchestrationStatus
from orchlite.submissions import Order
from orchlite.task import Task


class Orchestration:
    """An orchestration: what it is, whether it is ready, and how to run it."""

    def __init__(self, engine: Engine, row: OrchestrationRow) -> None:
        self._engine = engine
        self._known = row

    def id(self) -> str:
        """The orchestration's id, a UUID."""
        return self._known.orchestration_id

    def name(self) -> str | None:
        """The name that it was given, if any."""
        return self._known.name

    def file_name(self) -> str:
        """The name of the uploaded file."""
        return self._known.file_name

    def sha(self) -> str:
        """The SHA-256 of the uploaded bytes, in hexadecimal digits."""
        return self._known.sha

    def entrypoint(self) -> str:
        """The path of its `main.py` inside the bundle."""
        return self._known.entrypoint

    def requirements(self) -> list[str]:
        """The lines of its `requirements.txt`, normalised; passwords in links are masked."""
        from orchlite.requirements import mask_credentials

        return [mask_credentials(line) for line in self._known.requirements]

    def workspace_id(self) -> int:
        """The id of its workspace."""
        return self._known.workspace_id

    def created_at(self) -> datetime:
        """When it was uploaded: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """When its status last moved: aware, UTC."""
        return self._row().updated_at

    def status(self) -> OrchestrationStatus:
        """`pending_packaging`, `packaging`, then `ready` or `error`; a text as well."""
        return self._row().status

    def warnings(self) -> list[str]:
        """What was noticed at upload and while packaging, and is no reason to refuse."""
        return list(self._row().warnings)

    def installed(self) -> list[str]:
        """What its requirements installed, as `name==version`; empty until it is ready."""
        return list(self._row().installed)

    def task(self) -> Task:
        """The packaging task; its run's log is the installer's output."""
        return Task(self._engine, self._engine.store.memory.tasks.get(self._known.task_id))

    def list_tasks(self) -> Table[Task]:
        """The tasks that run it, newest first."""
        return Table(Task(self._engine, row) for row in self._engine.store.memory.tasks.of_orchestration(self.id()))

    def wait(self, timeout: float | None = None) -> Orchestration:
        """Block until it is ready; answers itself.

        Raises:
            PackagingFailed: its environment could not be made; the message ends with the installer's last lines.
            WaitTimeout: it is not ready after `timeout` seconds.
        """
        self._engine.waiting.for_packaging(self.id(), None if timeout is None else checked_seconds(timeout, "timeout"))
        return self

    def run_once(
        self,
        name: str | None = None,
        json_args: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        debug: bool | None = False,
        *,
        env: Mapping[str, str] | None = None,
    ) -> Task:
        """Make a task with one run, and answer it at once; the run begins when the orchestration is ready and a worker is free.

        `json_args` is what the program gets from `task_args()`; `timeout` is in seconds, 1 s to 366 days; `debug` sets `TASK_DEBUG`
        for the program and does nothing else; `env` adds environment variables, which are kept with the task and shown masked.

        Raises:
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
        """
        order = Order(
            name=checked_name(name),
            arguments=encoded_arguments(json_args, self._engine.store.settings.limits.arguments_bytes),
            timeout_seconds=checked_timeout(timeout),
            debug=False if debug is None else checked_flag(debug, "debug"),
            env=checked_env(env),
        )
        return Task(self._engine, self._engine.submit(self.id(), order))

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the uploaded bytes to a file, or into a folder under the uploaded file's name; answers the file's path.

        Raises:
            DeviceFailed: the file cannot be written.
        """
        target = given_path(path)
        try:
            if target.is_dir():
                target = target / self._local_name()
            shutil.copyfile(self._engine.store.bundles.path(self.sha()), target)
        except OSError as error:
            raise DeviceFailed(f"The bundle cannot be written to {str(target)!r}: {error.strerror}.") from error
        return target

    def delete(self) -> None:
        """Remove it, with its tasks, runs and logs.

        Raises:
            Conflict: a task of it is alive.
        """
        self._engine.delete(self.id())

    def _local_name(self) -> str:
        # A file's name is a label that may hold anything: it must never lead out of a folder.
        name = self.file_name().rpartition("/")[2]
        return f"{self.sha()}.zip" if name in ("", ".", "..") else name

    def _row(self) -> OrchestrationRow:
        return self._engine.store.memory.orchestrations.get(self.id())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Orchestration) and self.id() == other.id()

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Orchestration(id={self.id()!r}, name={self.name()!r}, status={str(self.status())!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "status", "file name", "sha", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), self.status(), self.file_name(), self.sha(), self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
