"""What the endpoints need of a store beyond a client's handles: many rows at once, and what lies in a named workspace.

The one place of this door that reaches past the handles. Nothing is decided here: rows are found, put together and counted.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from orchlite.client.client import Client, engine_of
from orchlite.client.orchestration import Orchestration
from orchlite.client.workspace import Workspace
from orchlite.core.arguments import checked_id, checked_workspace_name
from orchlite.core.errors import NotFound
from orchlite.core.records import ConnectionRow, OrchestrationRow, RunRow, TaskRow, WorkspaceRow
from orchlite.core.settings import Limits
from orchlite.core.status import RunStatus

_PAGE = 1000
SHOWN = frozenset(RunStatus) - {RunStatus.QUEUED, RunStatus.SKIPPED}
"""The runs that a reader of the platform can make sense of: those that have begun, or ended."""


class TaskView(NamedTuple):
    """A task with what is told along with it."""

    task: TaskRow
    sha: str
    runs: Sequence[RunRow]
    """Newest first."""


class StoreView:
    """The store of one client, as the endpoints look at it. Any thread may use it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._engine = engine_of(client)
        self._store = engine_of(client).store

    @property
    def limits(self) -> Limits:
        """The bounds that this client was opened with."""
        return self._engine.context.settings.limits

    def new_upload(self) -> Path:
        """Where a body may be received: a name that nobody has, beside the bundles; pruning knows what is left over there."""
        return self._engine.context.folder.bundles / f"{uuid.uuid4()}.upload"

    # --- workspaces

    def workspace(self, workspace_id: int) -> WorkspaceRow:
        """The workspace with this id.

        Raises:
            NotFound: there is none.
        """
        return self._store.workspaces.get(workspace_id)

    def workspaces(self) -> list[WorkspaceRow]:
        """Every workspace, oldest first."""
        return self._store.workspaces.all()

    def create_workspace(self, name: str) -> WorkspaceRow:
        """Create a workspace; underscores are taken, as the platform takes them.

        Raises:
            BadArgument: the name is refused.
            Conflict: it is taken.
        """
        return self._store.workspaces.create(checked_workspace_name(name, underscores=True), self._engine.context.clock.now())

    def workspace_handle(self, workspace_id: int) -> Workspace:
        """The handle of the workspace with this id.

        Raises:
            NotFound: there is none.
        """
        return Workspace(self._engine, self.workspace(workspace_id))

    def in_workspace(self, workspace_id: int) -> Client:
        """The same client, but for its current workspace.

        Raises:
            NotFound: there is no such workspace.
        """
        there = copy.copy(self.client)  # which workspace is current is all that a client itself remembers
        there.set_current_workspace(self.workspace_handle(workspace_id))
        return there

    # --- orchestrations

    def orchestration(self, orchestration_id: str) -> OrchestrationRow:
        """An orchestration as it stands now.

        Raises:
            NotFound: there is none.
        """
        return self._engine.poll_orchestration(checked_id(orchestration_id, "orch_id"))

    def orchestration_in(self, workspace_id: int, orchestration_id: str) -> Orchestration:
        """The handle of an orchestration of this workspace.

        Raises:
            NotFound: there is none; it may be in another.
        """
        row = self.orchestration(orchestration_id)
        if row.workspace_id != self.workspace(workspace_id).workspace_id:
            raise NotFound(
                f"There is no orchestration {orchestration_id!r} in workspace {workspace_id}.",
                hint="Its own workspace_id is what orchestration/get_by_id shows.",
                orchestration_id=orchestration_id,
                workspace_id=workspace_id,
            )
        return Orchestration(self._engine, row)

    def orchestrations(self, workspace_ids: Collection[int] = ()) -> list[OrchestrationRow]:
        """The orchestrations of these workspaces, or of all where none is named, oldest first.

        Raises:
            NotFound: there is no such workspace.
        """
        if not workspace_ids:
            return self._store.orchestrations.all()
        named = [self.workspace(workspace_id) for workspace_id in dict.fromkeys(workspace_ids)]
        return [row for workspace in named for row in self._store.orchestrations.of_workspace(workspace.workspace_id)]

    def delete_orchestrations(self, orchestration_ids: Sequence[str], *, really: bool) -> int:
        """Delete these, with their tasks and runs, or only count; the bytes of their bundles, each counted once.

        Raises:
            NotFound, Conflict: one is not there, or has a task that is alive. None was deleted.
        """
        rows = [self.orchestration(orchestration_id) for orchestration_id in dict.fromkeys(orchestration_ids)]
        self._engine.delete(*(row.orchestration_id for row in rows), dry_run=not really)
        return sum({row.sha: row.size_bytes for row in rows}.values())

    def bundle(self, orchestration_id: str) -> tuple[OrchestrationRow, Path]:
        """An orchestration, and where the uploaded bytes lie.

        Raises:
            NotFound: there is none.
        """
        row = self.orchestration(orchestration_id)
        return row, self._engine.context.bundles.path(row.sha)

    # --- tasks

    def task(self, task_id: str, run_limit: int) -> TaskView:
        """A task as it stands now; a run of it whose host is gone is looked after.

        Raises:
            NotFound: there is none.
        """
        task = self._engine.poll_task(checked_id(task_id, "id"))
        runs = [self._looked_after(run) for run in self._store.runs.of_task(task_id, run_limit, SHOWN)]
        return TaskView(task, self._store.orchestrations.get(task.orchestration_id).sha, runs)

    def task_ids(
        self, *, workspace_id: int | None = None, orchestration_id: str | None = None, sha: str | None = None, killed: bool = False
    ) -> list[str]:
        """The ids of the tasks for which all of this holds, newest first; with `killed`, of those that were killed too.

        Raises:
            NotFound: there is no such workspace or orchestration.
        """
        if workspace_id is not None:
            self.workspace(workspace_id)
        if orchestration_id is None and sha is None:
            tasks = self._store.tasks
            return tasks.all_ids(killed=killed) if workspace_id is None else tasks.ids_of_workspace(workspace_id, killed=killed)
        found = self._store.orchestrations.of_sha(checked_id(sha, "sha")) if sha is not None else []
        if orchestration_id is not None:
            one = self.orchestration(orchestration_id)
            found = [one] if sha is None or one in found else []
        ids = [row.orchestration_id for row in found if workspace_id is None or row.workspace_id == workspace_id]
        return self.task_ids_of(ids, killed=killed)

    def task_ids_of(self, orchestration_ids: Sequence[str], *, killed: bool) -> list[str]:
        """The ids of these orchestrations' tasks, newest first; with `killed`, of those that were killed too."""
        return self._store.tasks.ids_of_orchestrations(orchestration_ids, killed=killed)

    def tasks(self, task_ids: Sequence[str], run_limit: int) -> Iterator[TaskView]:
        """These tasks with their newest runs, in the order of the ids. They are read a page at a time."""
        for start in range(0, len(task_ids), _PAGE):
            page = self._store.tasks.of_ids(task_ids[start : start + _PAGE])
            runs = self._store.runs.newest_of_tasks([task.task_id for task in page], run_limit, SHOWN)
            shas = self._store.orchestrations.shas({task.orchestration_id for task in page})
            # Without one it was deleted meanwhile, with its tasks.
            yield from (
                TaskView(task, shas[task.orchestration_id], runs.get(task.task_id, ())) for task in page if task.orchestration_id in shas
            )

    # --- runs

    def runs(self, task_id: str, limit: int, statuses: frozenset[RunStatus], between: Sequence[datetime] | None) -> list[RunRow]:
        """A task's newest runs of these statuses, newest first; created between two moments, where these are given.

        Raises:
            NotFound: there is no such task.
        """
        task = self._engine.poll_task(checked_id(task_id, "task_id"))
        rows = self._store.runs.of_task(task.task_id, limit if between is None else None, statuses)
        if between is not None:
            rows = [row for row in rows if between[0] <= row.created_at <= between[1]][:limit]
        return rows

    def run(self, run_id: str, task_id: str | None = None) -> RunRow:
        """A run as it stands now, where its task is this one.

        Raises:
            NotFound: there is none.
        """
        run = self._engine.poll_run(checked_id(run_id, "run_id"))
        if task_id is not None and run.task_id != self._engine.poll_task(checked_id(task_id, "task")).task_id:
            raise NotFound(f"Task {task_id} has no run {run_id}.", hint="task/list_task_runs shows those it has.", run_id=run_id)
        return run

    def _looked_after(self, run: RunRow) -> RunRow:
        return self._engine.poll_run(run.run_id) if run.status is RunStatus.RUNNING else run

    # --- connections

    def connections(self, workspace_id: int | None) -> Iterator[tuple[ConnectionRow, list[str]]]:
        """The connections that the workspace lists, or all there are, oldest first, each with the names of its workspaces.

        Raises:
            NotFound: there is no such workspace.
        """
        connections = self._store.connections
        rows = connections.all() if workspace_id is None else connections.of_workspace(self.workspace(workspace_id).workspace_id)
        names = connections.all_workspace_names()
        return ((row, names.get(row.connection_id, [])) for row in rows)
