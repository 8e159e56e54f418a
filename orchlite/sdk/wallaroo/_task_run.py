"""`wallaroo.task_run`: runs and their logs with the interface of the platform's SDK."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import orchlite.client.task_run
from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.core.tables import table_html
from orchlite.engine.engine import Engine
from orchlite.runs.logs import Log

from ._absent import fill
from ._display import NotebookList, moment
from ._submodules import members


class TaskRunLogs(Log):
    """The lines of a run's log, strings in the platform's format: time, stream, `F`, text."""

    def _repr_html_(self) -> str:
        if not self:
            return "(no logs yet)"
        lines = (f"{line.at:%Y-%d-%b %H:%M:%S} {html.escape(line.text)}" for line in self)
        return "<pre><code>{}</code></pre>".format("\n".join(lines))


class TaskRun(orchlite.client.task_run.TaskRun):
    """One run of a task."""

    def __init__(self, client: Any, engine: Engine, run: RunRow) -> None:
        super().__init__(engine, run.run_id, run.task_id)
        self.client = client

    def status(self) -> str:  # type: ignore[override]  # a plain string in the SDK
        """`running`, then `success`, `failure`, `timed_out`, `killed` or `unknown`."""
        # The platform shows no queue, and programs wait while a run is `running`.
        status = super().status()
        return str(RunStatus.RUNNING if status is RunStatus.QUEUED else status)

    def logs(self, limit: int | None = None) -> TaskRunLogs:  # type: ignore[override]  # the SDK has no `follow`
        """Return the newest `limit` lines that the run has written so far, all by default."""
        return TaskRunLogs(super().logs(limit))

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("task id", "pod id", "status", "created at", "updated at")

    def _cells(self) -> Sequence[object]:
        row = self._row()
        updated_at = row.ended_at or row.claimed_at or row.created_at
        return (row.task_id, row.run_id, self.status(), moment(self.client, row.created_at), moment(self.client, updated_at))

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])  # the SDK shows no log with it


fill(TaskRun, members("task_run", "TaskRun"))


class TaskRunList(NotebookList[TaskRun]):
    """Runs, the last updated first."""

    _empty = "(no task runs)"
