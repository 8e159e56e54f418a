"""`wallaroo.task`: tasks with the interface of the platform's SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orchlite.client.task
from orchlite.core.arguments import checked_count
from orchlite.core.durations import Duration
from orchlite.core.records import TaskRow
from orchlite.core.status import LISTED_AS_FAILURE, RunStatus, TaskKind, TaskStatus
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList, moment
from ._submodules import members
from ._task_run import TaskRun, TaskRunList

_TYPES = {TaskKind.SCHEDULED: "CronJob", TaskKind.CONTINUOUS: "NetworkService"}
_DESCRIPTIONS = {"Oneshot": "Temporary Run", "CronJob": "Scheduled Run", "NetworkService": "Continuous Run"}
_VISIBLE = frozenset(RunStatus) - {RunStatus.QUEUED, RunStatus.SKIPPED}
"""The platform does not show runs that have not started."""
_FILTERS = {
    "all": _VISIBLE,
    "failure": LISTED_AS_FAILURE,
    **{str(status): frozenset({status}) for status in (RunStatus.RUNNING, RunStatus.SUCCESS, RunStatus.TIMED_OUT)},
}


class Task(orchlite.client.task.Task):
    """An orchestration with arguments and a rule when to run it; and its runs."""

    def __init__(self, client: Any, engine: Engine, row: TaskRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def status(self) -> str:  # type: ignore[override]  # a plain string in the SDK
        """`pending`, then `started`, no matter how its run ends, but `timed_out` if it timed out; `killed` after `kill()`."""
        return str(super().status())

    def task_type(self) -> str:
        """`Oneshot`, `CronJob` or `NetworkService`."""
        return _TYPES.get(self.kind(), "Oneshot")

    def last_runs(self, limit: int | None = None, status: str | None = None) -> TaskRunList:  # type: ignore[override]
        """Return up to `limit` runs that have started, all by default, the last updated first; with `status`, only those.

        Raises:
            ValueError: the status is not `all`, `success`, `failure`, `running` or `timed_out`, or the limit is not a count.
        """
        wanted = "all" if status is None else status
        if wanted not in _FILTERS:
            raise ValueError(f"{status!r} is not one of: {', '.join(_FILTERS)}.")
        if limit is not None:
            checked_count(limit, "limit", 0)
        self._row()  # raises if the task does not exist any more
        rows = self._engine.store.runs.of_task(self.id(), limit, _FILTERS[wanted])
        return TaskRunList(TaskRun(self.client, self._engine, row) for row in rows)

    def wait(self, timeout: Duration | None = None) -> TaskRun:
        """Block until the newest run has ended, and return it. Not in the SDK; see `orchlite.Task.wait`."""
        run_id = super().wait(timeout).id()
        return TaskRun(self.client, self._engine, self._engine.poll_run(run_id))

    def kill(self) -> str:  # type: ignore[override]  # a plain string in the SDK
        """Stop further runs, and kill those in progress. Return at once, with the current status."""
        return str(super().kill())

    @staticmethod
    def _columns() -> Sequence[str]:
        return (
            "id",
            "name",
            "last run status",
            "type",
            "active",
            "schedule",
            "created at",
            "updated at",
            "workspace id",
            "workspace name",
        )

    def _cells(self) -> Sequence[object]:
        row = self._row()
        runs = self._engine.store.runs.of_task(self.id(), 1, _VISIBLE)
        return (
            row.task_id,
            row.name,
            runs[0].status if runs else RunStatus.UNKNOWN,
            _DESCRIPTIONS[self.task_type()],
            row.status is not TaskStatus.KILLED,
            self.schedule() or "-",
            moment(self.client, row.created_at),
            moment(self.client, row.updated_at),
            row.workspace_id,
            self._engine.store.workspaces.get(row.workspace_id).name,
        )


fill(Task, members("task", "Task"))


class TaskList(NotebookList[Task]):
    """Tasks, the last updated first."""

    _empty = "(no tasks)"
