"""The handle of an orchestration: an accepted bundle in a workspace."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.client.live_status import live_status
from orchlite.client.schedule_policy import checked_policy
from orchlite.client.task import Task
from orchlite.core.arguments import (
    checked_command,
    checked_env,
    checked_flag,
    checked_name,
    checked_path,
    checked_seconds,
    checked_timeout,
    encoded_arguments,
)
from orchlite.core.download_names import download_name
from orchlite.core.durations import Duration
from orchlite.core.errors import Conflict
from orchlite.core.files import remove_on_error
from orchlite.core.hints import PythonOnly
from orchlite.core.records import OrchestrationRow
from orchlite.core.resource_arguments import checked_resources
from orchlite.core.retry_arguments import checked_retry
from orchlite.core.status import OrchestrationStatus, TaskKind
from orchlite.core.system_errors import device_error
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine
from orchlite.engine.submission import TaskRequest


class Orchestration:
    """An accepted bundle: its properties, its packaging, and methods that run it.

    Every method but `wait` returns at once. Those that read the store raise `NotFound` if the orchestration was deleted; so do those that
    submit a task.

    Raises:
        NotFound: the orchestration was deleted.
    """

    def __init__(self, engine: Engine, row: OrchestrationRow) -> None:
        self._engine = engine
        self._known = row

    def id(self) -> str:
        """Return the orchestration's id, a UUID."""
        return self._known.orchestration_id

    def name(self) -> str | None:
        """Return the name that was given at upload, if any."""
        return self._known.name

    def file_name(self) -> str:
        """Return the name of the uploaded file."""
        return self._known.file_name

    def sha(self) -> str:
        """Return the SHA-256 of the uploaded bytes, as 64 hexadecimal digits."""
        return self._known.sha

    def entrypoint(self) -> str:
        """Return the path of its `main.py` inside the bundle, separated by `/`."""
        return self._known.entrypoint

    def requirements(self) -> list[str]:
        """Return the lines of its `requirements.txt`, normalized and sorted. User and password in URLs are masked."""
        from orchlite.core.text import mask_credentials

        return [mask_credentials(line) for line in self._known.requirements]

    def workspace_id(self) -> int:
        """Return the id of its workspace."""
        return self._known.workspace_id

    def created_at(self) -> datetime:
        """Return when it was uploaded: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """Return when its status last changed: aware, UTC."""
        return self._row().updated_at

    def status(self) -> OrchestrationStatus:
        """Return the status now: `pending_packaging`, `packaging`, then `ready` or `error`. It compares equal to these strings."""
        return self._row().status

    def warnings(self) -> list[str]:
        """Return sentences about what was left out or is doubtful, from the upload and from packaging.

        Those from packaging, which name what is imported and not required, are there when it has ended: see `wait`.
        """
        return list(self._row().warnings)

    def installed(self) -> list[str]:
        """Return what its requirements installed, as sorted lines `name==version`; empty until it is ready."""
        return list(self._row().installed)

    def task(self) -> Task:
        """Return the packaging task. The log of its run is the installer's output."""
        return Task(self._engine, self._engine.store.tasks.get(self._known.task_id))

    def list_tasks(self) -> Table[Task]:
        """Return the tasks that run it, the one that changed last first; without the packaging task."""
        return Table(Task(self._engine, row) for row in self._engine.store.tasks.of_orchestration(self.id()))

    def wait(self, timeout: Duration | None = None) -> Orchestration:
        """Block until the orchestration is ready, and return it. A notebook shows its status meanwhile.

        timeout: seconds, a `timedelta`, or a text such as `"5m"`; by default there is none.

        Raises:
            PackagingFailed: its environment could not be built; the message ends with the installer's last lines.
            WaitTimeout: it is not ready after `timeout`. Packaging continues.
            BadArgument: `timeout` is not a duration.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(lambda: f"orchestration {self.name() or self.file_name()!r}: {self.status()}"):
            self._engine.waiting.for_packaging(self.id(), seconds)
        return self

    def run_once(
        self,
        name: str | None = None,
        json_args: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        debug: bool | None = False,
        *,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
        on_success: Sequence[str] | None = None,
        retries: int = 0,
        retry_delay: Duration | None = None,
        retry_unknown: bool = False,
        memory: int | str | None = None,
        cpu_seconds: int | None = None,
        nice: int = 0,
    ) -> Task:
        """Submit a task with one run, and return it. The run starts when the orchestration is ready and a worker slot is free.

        name: any label; it need not be unique.
        json_args: a JSON object, which the program reads with `task_args()`; 1 MiB at most (`Limits.arguments_bytes`).
        timeout: time limit of the run: seconds, a `timedelta`, or a text such as `"5m"`, from 1 s to 366 days; by default there is none.
        debug: set the variable `TASK_DEBUG=true` for the program, and nothing else.
        env: environment variables in addition to the client's. They are stored with the task and shown masked.
        on_failure, on_success: a program and its arguments, which a host runs after the last try has failed, or after a run has succeeded;
            by default the client's.
        retries: how often a run that ended as `failure` or `timed_out` is tried again, each time as a run of its own; 100 at most.
        retry_delay: from a failure to the next try, as `timeout`; by default a minute.
        retry_unknown: also try again after `unknown`, although the program may have done its work.
        memory: upper bound on the address space of each of the run's processes: bytes, or a text such as `"4GiB"`; 64 MiB at least.
        cpu_seconds: upper bound on the processor time of each of its processes, in whole seconds. SIGXCPU ends one that uses more.
        nice: 1 to 19 lower the priority of its processes.

        Raises:
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
        """
        retry, resources = checked_retry(retries, retry_delay, retry_unknown), checked_resources(memory, cpu_seconds, nice)
        request = self._request(TaskKind.ONCE, name, json_args, timeout, debug, env, (on_failure, on_success))
        return self._submit(request._replace(retry=retry, resources=resources))

    def run_scheduled(
        self,
        name: str,
        schedule: str,
        json_args: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        debug: bool | None = False,
        *,
        timezone: str = "UTC",
        concurrency: str = "allow",
        missed: str = "latest",
        starting_deadline_seconds: Duration | None = None,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
        on_success: Sequence[str] | None = None,
        on_late: Sequence[str] | None = None,
        retries: int = 0,
        retry_delay: Duration | None = None,
        retry_unknown: bool = False,
        memory: int | str | None = None,
        cpu_seconds: int | None = None,
        nice: int = 0,
    ) -> Task:
        """Submit a task with a run at every slot of a schedule, and return it. From now on this process keeps the store's schedules.

        Each slot has one run at most, however many hosts there are. Skipped slots are listed by `last_runs(status="skipped")`. A try that
        has not started when the next slot gets its run is dropped. The other arguments are those of `run_once`.

        schedule: five fields of cron: minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`,
            `@yearly`.
        timezone: the IANA name of the zone in which the schedule is read, such as `"Europe/Berlin"`.
        concurrency: if the previous run has not ended at a slot: `"allow"` another one, `"forbid"` it and skip the slot, or `"replace"`
            the previous run, which is killed.
        missed: of the slots that pass while no host works, run the `"latest"`, `"all"`, or `"none"`.
        starting_deadline_seconds: how late a slot's run may start, 1 s at least; after that the slot is skipped. By default any time.
        on_late: a program and its arguments, which a host runs when a slot is late by more than a minute or was missed, once for all such
            slots that it finds; by default the client's.

        Raises:
            BadSchedule: the schedule or the zone is refused; `details["field"]` names the part. Nothing was submitted.
            BadArgument: another argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
            Conflict: the store is a copy that was not adopted.
        """
        policy = checked_policy(schedule, timezone, concurrency, missed, starting_deadline_seconds)
        retry, resources = checked_retry(retries, retry_delay, retry_unknown), checked_resources(memory, cpu_seconds, nice)
        request = self._request(TaskKind.SCHEDULED, name, json_args, timeout, debug, env, (on_failure, on_success))
        request = request._replace(schedule=policy, retry=retry, resources=resources)
        return self._submit(request._replace(on_late=checked_command(on_late, "on_late")))

    def run_continuously(
        self,
        name: str,
        json_args: Mapping[str, Any] | None = None,
        debug: bool | None = False,
        *,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
        on_success: Sequence[str] | None = None,
        memory: int | str | None = None,
        cpu_seconds: int | None = None,
        nice: int = 0,
    ) -> Task:
        """Submit a task whose program is started again whenever it ends, until it is killed or paused, and return it.

        From now on this process starts it. Each start is a run. The pause before the next start is 1 s, doubled after each run of less than
        60 s, 60 s at most; a longer run resets it to 1 s. After five failures within ten minutes the task's status is `crash_loop`, and it
        continues. The arguments are those of `run_once`.

        Raises:
            BadArgument: an argument is refused; nothing was submitted.
            PackagingFailed: the orchestration is in `error`.
            Conflict: the store is a copy that was not adopted.
        """
        resources = checked_resources(memory, cpu_seconds, nice)
        request = self._request(TaskKind.CONTINUOUS, name, json_args, None, debug, env, (on_failure, on_success))
        return self._submit(request._replace(resources=resources))

    def download(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the ZIP to the file `path`, or into the folder `path` under the uploaded file's name. Return the file's path.

        The name loses folders, leading dots and hyphens, and always ends with `.zip`. With `overwrite`, replace a file that has it, or a
        symbolic link itself and not what it points to; a folder or a device is never replaced.

        Raises:
            BadArgument: an argument is refused.
            Conflict: the file exists already, or what exists is not a file; nothing was written.
            StorageFull, DeviceFailed: the file cannot be written.
        """
        from shutil import copyfileobj  # its imports would cost every client

        target, overwrite = checked_path(path), checked_flag(overwrite, "overwrite")
        if target.is_dir():
            target = target / download_name(self.file_name(), self.sha())
        if overwrite and target.exists() and not target.is_file():
            raise Conflict(f"{str(target)!r} is not a file, and is not replaced.", hint="Give another name.", path=str(target))
        written = target.with_name(f".{uuid.uuid4()}.part") if overwrite else target
        try:
            bundle = self._engine.context.bundles.path(self.sha())
            with open(bundle, "rb", opener=_without_links) as source, written.open("xb") as copy, remove_on_error(written):
                copyfileobj(source, copy)
                if overwrite:
                    written.replace(target)
        except FileExistsError as error:
            hint = "Give another name" + PythonOnly(", or overwrite=True") + "."
            raise Conflict(f"{str(target)!r} exists already.", hint=hint, path=str(target)) from error
        except OSError as error:
            raise device_error(error, f"The bundle cannot be written to {str(target)!r}") from error
        return target

    def delete(self) -> None:
        """Delete the orchestration with its tasks, runs, logs and files, and its bundle if no other orchestration has the same bytes.

        Raises:
            Conflict: one of its tasks can still run, or a run of it has not ended. Nothing was deleted.
        """
        self._engine.delete(self.id())

    def _request(
        self,
        kind: TaskKind,
        name: str | None,
        json_args: Mapping[str, Any] | None,
        timeout: Duration | None,
        debug: bool | None,
        env: Mapping[str, str] | None,
        commands: tuple[Sequence[str] | None, Sequence[str] | None],
    ) -> TaskRequest:
        return TaskRequest(
            name=checked_name(name),
            arguments=encoded_arguments(json_args, self._engine.context.settings.limits.arguments_bytes),
            timeout_seconds=checked_timeout(timeout),
            debug=False if debug is None else checked_flag(debug, "debug"),
            env=checked_env(env),
            kind=kind,
            on_failure=checked_command(commands[0], "on_failure"),
            on_success=checked_command(commands[1], "on_success"),
        )

    def _submit(self, request: TaskRequest) -> Task:
        return Task(self._engine, self._engine.submit(self.id(), request))

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


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
