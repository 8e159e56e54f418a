"""`wallaroo.orchestration`: orchestrations with the interface of the platform's SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orchlite.client.orchestration
import orchlite.client.task
from orchlite.core.errors import OrchliteError
from orchlite.core.records import OrchestrationRow, TaskRow
from orchlite.core.status import TaskStatus
from orchlite.engine.engine import Engine

from ._absent import fill
from ._display import NotebookList, moment
from ._errors import OrchestrationDeployOneshotFailed
from ._submodules import members
from ._task import Task, TaskList

_NONE: Mapping[str, Any] = {}


class Orchestration(orchlite.client.orchestration.Orchestration):
    """An uploaded bundle: its properties and status, and the methods that run it."""

    def __init__(self, client: Any, engine: Engine, row: OrchestrationRow) -> None:
        super().__init__(engine, row)
        self.client = client

    def status(self) -> str:  # type: ignore[override]  # a plain string in the SDK
        """`pending_packaging`, `packaging`, then `ready` or `error`."""
        return str(super().status())

    def task(self) -> Task:
        """The packaging task."""
        return self._task(super().task()._known)

    def list_tasks(self) -> TaskList:  # type: ignore[override]
        """Return the tasks that run it, the last updated first, without killed ones."""
        rows = self._engine.store.tasks.of_orchestration(self.id())
        return TaskList(self._task(row) for row in rows if row.status is not TaskStatus.KILLED)

    def run_once(  # type: ignore[override]  # only the SDK's arguments
        self, name: str | None, json_args: Mapping[str, Any] = _NONE, timeout: float | None = None, debug: bool | None = False
    ) -> Task:
        """Create a task with one run.

        Raises:
            OrchestrationDeployOneshotFailed: an argument is refused, or the orchestration is in `error`.
        """
        return self._submitted(lambda: super(Orchestration, self).run_once(name, json_args, timeout, debug))

    def run_scheduled(  # type: ignore[override]  # only the SDK's arguments
        self,
        name: str,
        schedule: str,
        json_args: Mapping[str, Any] = _NONE,
        timeout: float | None = None,
        debug: bool | None = False,
    ) -> Task:
        """Create a task that runs on a cron schedule, in UTC.

        Raises:
            OrchestrationDeployOneshotFailed: an argument is refused, or the orchestration is in `error`.
        """
        return self._submitted(lambda: super(Orchestration, self).run_scheduled(name, schedule, json_args, timeout, debug))

    def run_continuously(  # type: ignore[override]  # only the SDK's arguments
        self, name: str, json_args: Mapping[str, Any] = _NONE, debug: bool | None = False
    ) -> Task:
        """Create a task whose program is restarted whenever it ends.

        Raises:
            OrchestrationDeployOneshotFailed: an argument is refused, or the orchestration is in `error`.
        """
        return self._submitted(lambda: super(Orchestration, self).run_continuously(name, json_args, debug))

    def _submitted(self, submit: Callable[[], orchlite.client.task.Task]) -> Task:
        try:
            return self._task(submit()._known)
        except OrchliteError as error:
            raise OrchestrationDeployOneshotFailed(error) from error

    def _task(self, row: TaskRow) -> Task:
        return Task(self.client, self._engine, row)

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "status", "filename", "sha", "created at", "updated at", "workspace id", "workspace name")

    def _cells(self) -> Sequence[object]:
        row = self._row()
        return (
            row.orchestration_id,
            row.name,
            row.status,
            row.file_name,
            f"{row.sha[:6]}...{row.sha[-6:]}",
            moment(self.client, row.created_at),
            moment(self.client, row.updated_at),
            row.workspace_id,
            self._engine.store.workspaces.get(row.workspace_id).name,
        )


fill(Orchestration, members("orchestration", "Orchestration"))


class OrchestrationList(NotebookList[Orchestration]):
    """Orchestrations, oldest first."""

    _empty = "(no orchestrations)"
