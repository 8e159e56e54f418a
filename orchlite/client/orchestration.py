"""The handle of an orchestration: an accepted bundle that can be run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.client.live_status import live_status
from orchlite.client.task import Task
from orchlite.core.arguments import (
    checked_choice,
    checked_command,
    checked_env,
    checked_flag,
    checked_name,
    checked_path,
    checked_seconds,
    checked_timeout,
    encoded_arguments,
)
from orchlite.core.errors import DeviceFailed
from orchlite.core.records import OrchestrationRow, SchedulePolicy
from orchlite.core.status import OrchestrationStatus, TaskKind
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine
from orchlite.engine.submission import TaskRequest


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
        from orchlite.core.text import mask_credentials

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
        return Task(self._engine, self._engine.store.tasks.get(self._known.task_id))

    def list_tasks(self) -> Table[Task]:
        """The tasks that run it, newest first."""
        return Table(Task(self._engine, row) for row in self._engine.store.tasks.of_orchestration(self.id()))

    def wait(self, timeout: float | None = None) -> Orchestration:
        """Block until it is ready; answers itself. A notebook shows its status meanwhile.

        Raises:
            PackagingFailed: its environment could not be made; the message ends with the installer's last lines.
            WaitTimeout: it is not ready after `timeout` seconds.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(lambda: f"orchestration {self.name() or self.file_name()!r}: {self.status()}"):
            self._engine.waiting.for_packaging(self.id(), seconds)
        return self

    def run_once(
        self,
        name: str | None = None,
        json_args: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        debug: bool | None = False,
        *,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
    ) -> Task:
        """Make a task with one run, and answer it at once; the run begins when the orchestration is ready and a worker is free.

        `json_args` is what the program gets from `task_args()`; `timeout` is in seconds, 1 s to 366 days; `debug` sets `TASK_DEBUG`
        for the program and does nothing else; `env` adds environment variables, which are kept with the task and shown masked.
        `on_failure` is a program and its arguments, which a host runs when the run has ended badly (else the client's).

        Raises:
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
        """
        return self._submit(self._order(TaskKind.ONCE, name, json_args, timeout, debug, env, on_failure))

    def run_scheduled(
        self,
        name: str,
        schedule: str,
        json_args: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        debug: bool | None = False,
        *,
        timezone: str = "UTC",
        concurrency: str = "allow",
        missed: str = "latest",
        starting_deadline_seconds: float | None = None,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
    ) -> Task:
        """Make a task that has a run at every slot of a schedule, and answer it at once. This process keeps schedules from now on.

        `schedule` is five fields of cron: minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily`, `@weekly`,
        `@monthly`, `@yearly`; read in `timezone`, e.g. `"Europe/Berlin"`. Each slot has one run, however many hosts there are.
        concurrency: where the run before has not ended: `"allow"` another, `"forbid"` it (the slot is skipped), or `"replace"` it.
        missed: of the slots at which no host was at work, run the `"latest"`, `"all"`, or `"none"`.
        starting_deadline_seconds: how late a slot's run may start, a second at least; later it is skipped.
        The others are as for `run_once`. Skipped slots are in `last_runs(status="skipped")`, with the reason.

        Raises:
            BadSchedule: the schedule or the zone is refused; `details["field"]` says which part.
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
        """
        from orchlite.schedules.schedule import parse

        known = parse(schedule, timezone)
        policy = SchedulePolicy(
            expression=known.expression,
            timezone=known.timezone,
            concurrency=checked_choice(concurrency, "concurrency", ("allow", "forbid", "replace")),
            missed=checked_choice(missed, "missed", ("latest", "all", "none")),
            starting_deadline_seconds=checked_timeout(starting_deadline_seconds, "starting_deadline_seconds"),
        )
        request = self._order(TaskKind.SCHEDULED, name, json_args, timeout, debug, env, on_failure)
        return self._submit(request._replace(schedule=policy))

    def run_continuously(
        self,
        name: str,
        json_args: Mapping[str, Any] | None = None,
        debug: bool | None = False,
        *,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
    ) -> Task:
        """Make a task whose program is started again whenever it ends, until it is killed or paused; answers at once.

        Each start is a run. Before the next one it waits a second, after each short run twice as long, up to a minute; a run of a minute
        or more makes it a second again. After five failures within ten minutes the task's status is `crash_loop`, and it goes on.
        This process sees to it from now on. The arguments are as for `run_once`.

        Raises:
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
        """
        return self._submit(self._order(TaskKind.CONTINUOUS, name, json_args, None, debug, env, on_failure))

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the uploaded bytes to a file, or into a folder under the uploaded file's name; answers the file's path.

        Raises:
            DeviceFailed: the file cannot be written.
        """
        target = checked_path(path)
        try:
            if target.is_dir():
                target = target / self._local_name()
            shutil.copyfile(self._engine.context.bundles.path(self.sha()), target)
        except OSError as error:
            raise DeviceFailed(f"The bundle cannot be written to {str(target)!r}: {error.strerror}.") from error
        return target

    def delete(self) -> None:
        """Remove it, with its tasks, runs and logs.

        Raises:
            Conflict: a task of it is alive.
        """
        self._engine.delete(self.id())

    def _order(
        self,
        kind: TaskKind,
        name: str | None,
        json_args: Mapping[str, Any] | None,
        timeout: float | None,
        debug: bool | None,
        env: Mapping[str, str] | None,
        on_failure: Sequence[str] | None,
    ) -> TaskRequest:
        return TaskRequest(
            name=checked_name(name),
            arguments=encoded_arguments(json_args, self._engine.context.settings.limits.arguments_bytes),
            timeout_seconds=checked_timeout(timeout),
            debug=False if debug is None else checked_flag(debug, "debug"),
            env=checked_env(env),
            kind=kind,
            on_failure=checked_command(on_failure, "on_failure"),
        )

    def _submit(self, request: TaskRequest) -> Task:
        return Task(self._engine, self._engine.submit(self.id(), request))

    def _local_name(self) -> str:
        # A file's name is a label that may hold anything: it must never lead out of a folder.
        name = self.file_name().rpartition("/")[2]
        return f"{self.sha()}.zip" if name in ("", ".", "..") else name

    def _row(self) -> OrchestrationRow:
        return self._engine.poll_orchestration(self.id())

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
        return (self.id(), self.name(), self.status(), self.file_name(), f"{self.sha()[:12]}…", self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
