"""The handle of a task: an order to run an orchestration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchlite.client.live_status import live_status
from orchlite.client.task_run import TaskRun
from orchlite.core.arguments import checked_count, checked_seconds
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.records import TaskRow
from orchlite.core.status import LISTED_AS_FAILURE, RunStatus, TaskKind, TaskStatus
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine


class Task:
    """A task and its runs."""

    def __init__(self, engine: Engine, row: TaskRow) -> None:
        self._engine = engine
        self._known = row

    def id(self) -> str:
        """The task's id, a UUID."""
        return self._known.task_id

    def name(self) -> str | None:
        """The name that it was given, if any."""
        return self._known.name

    def kind(self) -> TaskKind:
        """What it is an order for."""
        return self._known.kind

    def orchestration(self) -> str:
        """The id of the orchestration that it runs."""
        return self._known.orchestration_id

    def workspace_id(self) -> int:
        """The id of its workspace."""
        return self._known.workspace_id

    def created_at(self) -> datetime:
        """When it was submitted: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """When its status last moved: aware, UTC."""
        return self._row().updated_at

    def status(self) -> TaskStatus:
        """The status now; a text as well. A one-shot task stays `started` however its run ended: look at the run for that."""
        return self._row().status

    def reason(self) -> str | None:
        """Why the status is what it is, where there is something to say."""
        return self._row().reason

    def input_data(self) -> dict[str, Any]:
        """The arguments that its runs are given."""
        arguments: dict[str, Any] = json.loads(self._known.arguments)
        return arguments

    def timeout(self) -> float | None:
        """The time limit of a run in seconds, if any."""
        return self._known.timeout_seconds

    def env(self) -> dict[str, str]:
        """The environment variables that it adds, their values masked."""
        return dict.fromkeys(self._known.env, "********")

    def last_runs(self, limit: int | None = None, status: str | None = None) -> Table[TaskRun]:
        """Its runs, newest first: the newest `limit`, all by default; of one status only, where it is given.

        `status="failure"` finds those that failed and those whose end nobody saw.
        """
        if limit is not None:
            checked_count(limit, "limit", 0)
        rows = self._engine.store.runs.of_task(self.id(), limit, _statuses(status))
        return Table(TaskRun(self._engine, row.run_id, row.task_id) for row in rows)

    def wait(self, timeout: float | None = None) -> TaskRun:
        """Block until its newest unfinished run (else its newest) has ended, and answer that run. A notebook shows its status meanwhile.

        Raises:
            WaitTimeout: it has not ended after `timeout` seconds; nothing was killed.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(self._description):
            row = self._engine.waiting.for_newest_run(self.id(), seconds)
        return TaskRun(self._engine, row.run_id, row.task_id)

    def kill(self) -> TaskStatus:
        """Ask for no further runs, and for the end of those there are. Idempotent; answers the status now."""
        return self._engine.kill_task(self.id())

    def pause(self) -> TaskStatus:
        """Let slots from now on have no run, or end the run of a continuous task; answer the status now. Idempotent.

        Runs of a schedule that are queued or running go on. Slots that pass meanwhile are skipped.

        Raises:
            IllegalMove: it runs once, or its status does not allow it.
        """
        return self._engine.pause(self.id())

    def resume(self) -> TaskStatus:
        """Let a paused task run again, or one that is in `schedule_error`; idempotent. This process keeps schedules from now on.

        Raises:
            IllegalMove: it runs once, or is in another state.
            BadSchedule: its schedule still cannot be kept.
        """
        return self._engine.resume(self.id())

    def missed(self) -> int:
        """How many of its slots had no run; `last_runs(status="skipped")` says which and why."""
        return self._engine.store.runs.count_skipped(self.id())

    def schedule(self) -> str | None:
        """The cron expression of a scheduled task, in one spelling."""
        return None if self._known.schedule is None else self._known.schedule.expression

    def timezone(self) -> str | None:
        """The zone that the schedule of a scheduled task is read in."""
        return None if self._known.schedule is None else self._known.schedule.timezone

    def next_run_at(self) -> datetime | None:
        """When the next run is due: aware, UTC; None where none is, as for a paused task."""
        row = self._row()
        return row.next_at if row.status in (TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.CRASH_LOOP) else None

    def _row(self) -> TaskRow:
        return self._engine.poll_task(self.id())

    def _description(self) -> str:
        """How it stands, for whoever waits for it."""
        name = self.id() if self.name() is None else repr(self.name())
        newest = self.last_runs(1)
        return f"task {name}, " + (f"run {newest[0].id()}: {newest[0].status()}" if newest else self.status())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.id() == other.id()

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Task(id={self.id()!r}, name={self.name()!r}, status={str(self.status())!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "kind", "status", "last run", "created at")

    def _cells(self) -> Sequence[object]:
        # That a one-shot task has started says little: how its run stands is what one looks for.
        newest = self.last_runs(1)
        return (self.id(), self.name(), self.kind(), self.status(), newest[0].status() if newest else None, self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])


def _statuses(status: str | None) -> frozenset[RunStatus] | None:
    if status is None or status == "all":
        return None
    if not isinstance(status, str) or status not in set(RunStatus):
        known = ", ".join(["all", *RunStatus])
        raise BadArgument(Argument("status") + f" is {status!r:.80}.", hint=f"It takes one of: {known}.", argument="status")
    return LISTED_AS_FAILURE if status == RunStatus.FAILURE else frozenset({RunStatus(status)})
