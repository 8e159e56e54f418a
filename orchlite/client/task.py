"""The handle of a task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, Protocol, runtime_checkable

from orchlite.client.live_status import live_status
from orchlite.client.schedule_policy import check_continuous, checked_changes
from orchlite.client.task_run import TaskRun
from orchlite.core.arguments import (
    checked_command,
    checked_count,
    checked_env,
    checked_flag,
    checked_seconds,
    checked_timeout,
    encoded_arguments,
)
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.records import TaskRow
from orchlite.core.resource_arguments import changed_resources
from orchlite.core.retry_arguments import changed_retry
from orchlite.core.status import LISTED_AS_FAILURE, RunStatus, TaskKind, TaskStatus
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine
from orchlite.operations.due_times import next_run_of
from orchlite.operations.replacement import Replacement


@runtime_checkable
class _Orchestration(Protocol):
    """What `Task.replace` needs of an `Orchestration`, whose file imports this one."""

    def id(self) -> str: ...

    def sha(self) -> str: ...

    def wait(self, timeout: Duration | None = None) -> object: ...


class Task:
    """A task: an orchestration that runs once, on a schedule or continuously, with its arguments and its runs.

    Every method but `wait` and `replace` returns at once. Those that read the store raise `NotFound` if the task was deleted or pruned.

    Raises:
        NotFound: the task was deleted or pruned.
    """

    def __init__(self, engine: Engine, row: TaskRow) -> None:
        self._engine = engine
        self._known = row

    def id(self) -> str:
        """Return the task's id, a UUID."""
        return self._known.task_id

    def name(self) -> str | None:
        """Return the name that was given at submission, if any."""
        return self._known.name

    def kind(self) -> TaskKind:
        """Return how often it runs: `packaging`, `once`, `scheduled` or `continuous`. It compares equal to these strings."""
        return self._known.kind

    def orchestration(self) -> str:
        """Return the id of the orchestration that its next run runs. A run that was started keeps its own, `run.orchestration()`."""
        return self._definition().orchestration_id

    def workspace_id(self) -> int:
        """Return the id of its workspace."""
        return self._known.workspace_id

    def created_at(self) -> datetime:
        """Return when it was submitted: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """Return when its status last changed, or it was replaced: aware, UTC."""
        return self._row().updated_at

    def status(self) -> TaskStatus:
        """Return the status now; it compares equal to its string.

        A one-shot task stays `started` when its run ends, but is `timed_out` if that was; see the status of its run, `last_runs()[0]`.
        """
        return self._row().status

    def reason(self) -> str | None:
        """Return why the status is what it is, if that was recorded."""
        return self._row().reason

    def input_data(self) -> dict[str, Any]:
        """Return the arguments of its next run, a new dictionary at each call."""
        arguments: dict[str, Any] = json.loads(self._definition().arguments)
        return arguments

    def timeout(self) -> float | None:
        """Return the time limit of a run in seconds, if any."""
        return self._definition().timeout_seconds

    def env(self) -> dict[str, str]:
        """Return the environment variables that it adds, the values masked."""
        return dict.fromkeys(self._definition().env, "********")

    def commands(self) -> dict[str, list[str]]:
        """Return its own notification commands, by argument: `on_failure`, `on_success`, `on_late`; without those that it does not have."""
        task = self._definition()
        commands = {"on_failure": task.on_failure, "on_success": task.on_success, "on_late": task.on_late}
        return {name: list(command) for name, command in commands.items() if command}

    def last_runs(self, limit: int | None = None, status: str | None = None) -> Table[TaskRun]:
        """Return up to `limit` runs, by default all: the one that changed last first.

        Of runs that overlap, the one that ended last comes before those that ended earlier. `wait()` waits for the run created last.

        status: only runs of this status. `"failure"` includes `unknown` runs; `"all"` is the default.

        Raises:
            BadArgument: `limit` is not an integer from 0 on, or `status` is not a status of runs.
        """
        if limit is not None:
            checked_count(limit, "limit", 0)
        rows = self._engine.store.runs.of_task(self.id(), limit, checked_statuses(status))
        return Table(TaskRun(self._engine, row.run_id, row.task_id) for row in rows)

    def wait(self, timeout: Duration | None = None) -> TaskRun:
        """Block until its newest unfinished run, else its newest run, has ended, and return that run, whatever its outcome.

        If that failed and is tried again, wait for the last try, and return that. If there is no run yet, wait for the first one. A
        notebook shows the status meanwhile.

        timeout: seconds, a `timedelta`, or a text such as `"5m"`; by default there is none.

        Raises:
            WaitTimeout: the run has not ended after `timeout`; nothing was killed.
            PackagingFailed: the task has no run, because packaging failed.
            Conflict: there is no run to wait for, because the task was killed; or the wait could never end: the run is this program, or
                only this thread moves the clock.
            BadArgument: `timeout` is not a duration.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(self._description):
            row = self._engine.waiting.for_newest_run(self.id(), seconds)
        return TaskRun(self._engine, row.run_id, row.task_id)

    def run_now(self) -> TaskRun:
        """Start one run of a scheduled task outside its slots, and return it. The schedule does not change.

        The run starts when a worker slot is free, as that of `run_once`. It follows the task's `concurrency`: with `"replace"` it ends an
        unfinished run. It also starts if the task is paused.

        Raises:
            Conflict: `concurrency` is `"forbid"`, and a run of the task has not ended.
            IllegalMove: the task has no schedule, or was killed.
            PackagingFailed: its orchestration is in `error`.
        """
        return TaskRun(self._engine, self._engine.trigger(self.id()), self.id())

    def kill(self) -> TaskStatus:
        """Request the end of the task: it starts no more runs, and its runs are killed. Return the status after the request.

        Queued runs end at once; running ones get SIGTERM, and SIGKILL after `grace_seconds`. Idempotent.
        """
        return self._engine.kill_task(self.id())

    def pause(self) -> TaskStatus:
        """Start no runs from now on, and end the run of a continuous task. Return the status after the request. Idempotent.

        Runs of a schedule that are queued or running continue; a try after a failure waits for `resume()`. Slots that pass meanwhile are
        skipped.

        Raises:
            IllegalMove: the task runs once, or its status does not allow it.
        """
        return self._engine.pause(self.id())

    def resume(self) -> TaskStatus:
        """Run a task again that is paused or in `schedule_error`. Return the status after that. Idempotent.

        Slots up to now are skipped. From now on this process keeps the store's schedules.

        Raises:
            IllegalMove: the task runs once, or its status does not allow it.
            BadSchedule: its schedule still cannot be kept.
            PackagingFailed: its orchestration is in `error`.
        """
        return self._engine.resume(self.id())

    def replace(
        self,
        orchestration: _Orchestration,
        *,
        schedule: str | None = None,
        json_args: Mapping[str, Any] | None = None,
        timeout: Duration | EllipsisType | None = ...,
        debug: bool | None = None,
        timezone: str | None = None,
        concurrency: str | None = None,
        missed: str | None = None,
        starting_deadline_seconds: Duration | EllipsisType | None = ...,
        env: Mapping[str, str] | None = None,
        on_failure: Sequence[str] | None = None,
        on_success: Sequence[str] | None = None,
        on_late: Sequence[str] | None = None,
        retries: int | None = None,
        retry_delay: Duration | None = None,
        retry_unknown: bool | None = None,
        memory: int | str | EllipsisType | None = ...,
        cpu_seconds: int | EllipsisType | None = ...,
        nice: int | None = None,
    ) -> Task:
        """Have a scheduled or continuous task run another orchestration, and return the task. Block until that is packaged.

        All changes are made in one step: no slot is lost or runs twice. A run that has started continues; the next one runs the
        replacement, also if it is queued already. Everything that is not given is kept, a pause too. From now on this process keeps the
        store's schedules.

        orchestration: an orchestration of the task's workspace.
        schedule, timezone: slots that are due now are still those of the old schedule.
        timeout, starting_deadline_seconds, memory, cpu_seconds: None removes the limit; by default it is kept.
        env: all variables of the task, besides the client's.

        The other arguments are those of `Orchestration.run_scheduled`.

        Raises:
            PackagingFailed: the orchestration is in `error`; the task is as before.
            IllegalMove: the task runs once, or was killed, or has failed.
            Conflict: the orchestration is in another workspace.
            BadSchedule: the schedule or the zone is refused, or the task's own cannot be read.
            BadArgument: another argument is refused, or does not go with a continuous task.
        """
        if not isinstance(orchestration, _Orchestration):
            raise BadArgument(
                Argument("orchestration") + f" is a {type(orchestration).__name__}.",
                hint=PythonOnly("It takes an orchestration, as upload_orchestration() returns it."),
                argument="orchestration",
            )
        if self.kind() is TaskKind.CONTINUOUS:
            check_continuous(timeout=timeout, retries=retries, retry_delay=retry_delay, retry_unknown=retry_unknown, on_late=on_late)
        policy = checked_changes(self._definition().schedule, schedule, timezone, concurrency, missed, starting_deadline_seconds)
        commands = {"on_failure": on_failure, "on_success": on_success, "on_late": on_late}
        fields = self._checked_fields(json_args, timeout, debug, env, commands)
        if (retries, retry_delay, retry_unknown) != (None, None, None):
            fields["retry"] = changed_retry(self._definition().retry, retries, retry_delay, retry_unknown)
        if (memory, cpu_seconds, nice) != (..., ..., None):
            fields["resources"] = changed_resources(self._definition().resources, memory, cpu_seconds, nice)
        orchestration.wait()
        self._engine.replace(self.id(), Replacement(orchestration.id(), fields, policy))
        return self

    def _checked_fields(
        self,
        json_args: Mapping[str, Any] | None,
        timeout: Duration | EllipsisType | None,
        debug: bool | None,
        env: Mapping[str, str] | None,
        commands: Mapping[str, Sequence[str] | None],
    ) -> dict[str, Any]:
        settings, fields = self._engine.context.settings, dict[str, Any]()
        if json_args is not None:
            fields["arguments"] = encoded_arguments(json_args, settings.limits.arguments_bytes)
        if not isinstance(timeout, EllipsisType):
            fields["timeout_seconds"] = checked_timeout(timeout)
        if debug is not None:
            fields["debug"] = checked_flag(debug, "debug")
        if env is not None:
            fields["env"] = {**settings.env, **checked_env(env)}
        fields.update({name: checked_command(command, name) for name, command in commands.items() if command is not None})
        return fields

    def retries(self) -> int:
        """Return how often a failed run is tried again."""
        retry = self._definition().retry
        return 0 if retry is None else retry.retries

    def retry_delay(self) -> float | None:
        """Return the seconds from a failure to the next try; None if there is none."""
        retry = self._definition().retry
        return None if retry is None else retry.delay_seconds

    def memory(self) -> int | None:
        """Return the upper bound on the address space of each of its processes, in bytes; None if there is none."""
        return self._definition().resources.memory_bytes

    def cpu_seconds(self) -> int | None:
        """Return the upper bound on the processor time of each of its processes, in seconds; None if there is none."""
        return self._definition().resources.cpu_seconds

    def nice(self) -> int:
        """Return by how much its processes are nicer than their host; 0 by default."""
        return self._definition().resources.nice

    def missed(self) -> int:
        """Return how many of its slots had no run; `last_runs(status="skipped")` lists them with the reason."""
        return self._engine.store.runs.count_skipped(self.id())

    def schedule(self) -> str | None:
        """Return the cron expression of a scheduled task, normalized; None for other tasks."""
        policy = self._definition().schedule
        return None if policy is None else policy.expression

    def timezone(self) -> str | None:
        """Return the IANA name of the zone of a scheduled task; None for other tasks."""
        policy = self._definition().schedule
        return None if policy is None else policy.timezone

    def next_run_at(self) -> datetime | None:
        """Return when the next run is due: aware, UTC; None if none is, for instance while the task is paused."""
        row = self._row()
        newest = self._engine.store.runs.newest_to_wait_for(row.task_id) if row.status is TaskStatus.CRASH_LOOP else None
        return next_run_of(row, is_running=newest is not None and not newest.status.is_final)

    def _definition(self) -> TaskRow:
        """Return the row, read again if the task can be replaced."""
        can_change = self._known.kind in (TaskKind.SCHEDULED, TaskKind.CONTINUOUS)
        return self._engine.store.tasks.get(self.id()) if can_change else self._known

    def _row(self) -> TaskRow:
        return self._engine.poll_task(self.id())

    def _description(self) -> str:
        """Return what a notebook shows during a wait."""
        name = self.id() if self.name() is None else repr(self.name())
        newest = self.last_runs(1)
        return f"task {name}, " + (newest[0]._description() if newest else self.status())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.id() == other.id()

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Task(id={self.id()!r}, name={self.name()!r}, status={str(self.status())!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "kind", "schedule", "status", "last run", "next run", "created at")

    def _cells(self) -> Sequence[object]:
        # A one-shot task mostly stays `started`, so the run's status is listed too.
        newest = self.last_runs(1)
        last = newest[0].status() if newest else None
        status, next_at = shown_status(self), self._next_run_here()
        return (self.id(), self.name(), self.kind(), self._schedule_text(), status, last, next_at, self.created_at())

    def _schedule_text(self) -> str | None:
        expression, zone = self.schedule(), self.timezone()
        return expression if zone == "UTC" else " ".join(filter(None, (expression, zone))) or None

    def _next_run_here(self) -> datetime | None:
        """Return when the next run is due, in the zone of the schedule."""
        next_at, zone = self.next_run_at(), self.timezone()
        if next_at is None or zone is None:
            return next_at
        from orchlite.schedules.zones import in_zone

        return in_zone(next_at, zone)

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])


def shown_status(task: Task) -> str:
    """Return the status for people to read: `done` for a one-shot task that has ended, which the platform calls `started`."""
    newest = task._engine.store.runs.newest_to_wait_for(task.id()) if task.kind() is TaskKind.ONCE else None
    return status_text(task.kind(), task.status(), newest is not None and newest.status.is_final)


def status_text(kind: TaskKind, status: TaskStatus, has_ended: bool) -> str:
    """Return what `shown_status` does, from facts: `has_ended` is whether a one-shot task's newest run has."""
    return "done" if kind is TaskKind.ONCE and status is TaskStatus.STARTED and has_ended else str(status)


def place_in_lists(task: Task) -> tuple[datetime, str]:
    """Return what orders tasks in lists: when this one had changed last when it was read, and its id."""
    return task._known.updated_at, task._known.task_id


def checked_statuses(status: str | None) -> frozenset[RunStatus] | None:
    """Return the statuses of the runs to list; None for all but skipped ones.

    Raises:
        BadArgument: `status` is neither a status of runs nor `"all"`.
    """
    if status is None or status == "all":
        return None
    if not isinstance(status, str) or status not in set(RunStatus):
        known = ", ".join(["all", *RunStatus])
        raise BadArgument(Argument("status") + f" is {status!r:.80}.", hint=f"It takes one of: {known}.", argument="status")
    return LISTED_AS_FAILURE if status == RunStatus.FAILURE else frozenset({RunStatus(status)})
