"""What the endpoints need from a store beyond the client's handles: many rows at once, and the things of a given workspace.

The only module of this package that reaches past the handles. It decides nothing: it finds, combines and counts rows.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from orchlite.client.client import Client, engine_of
from orchlite.client.orchestration import Orchestration
from orchlite.client.workspace import Workspace
from orchlite.core.arguments import checked_id, checked_label, checked_workspace_name
from orchlite.core.errors import NotFound
from orchlite.core.records import ConnectionRow, OrchestrationRow, RunRow, TaskRow, WorkspaceRow
from orchlite.core.settings import Limits
from orchlite.core.status import RunStatus

_PAGE = 1000
SHOWN = frozenset(RunStatus) - {RunStatus.QUEUED, RunStatus.SKIPPED}
"""The statuses of runs that are listed: the platform has no runs that have not started or were skipped."""


class TaskWithRuns(NamedTuple):
    """A task, the SHA of its bundle, and its last updated runs."""

    task: TaskRow
    sha: str
    runs: Sequence[RunRow]
    """The last updated first."""


ConnectionWithWorkspaces = tuple[ConnectionRow, list[str]]
"""A connection and the names of the workspaces that list it."""


class StoreQueries:
    """Queries on the store of one client. Any thread may use them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._engine = engine_of(client)
        self._store = self._engine.store

    @property
    def limits(self) -> Limits:
        """The limits that this client was opened with."""
        return self._engine.context.settings.limits

    def new_upload_path(self) -> Path:
        """Return an unused path beside the bundles for receiving a body. Pruning removes what is left there."""
        return self._engine.context.bundles.new_upload()

    # --- workspaces

    def workspace(self, workspace_id: int) -> WorkspaceRow:
        """Return the workspace with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.workspaces.get(workspace_id)

    def workspaces(self) -> list[WorkspaceRow]:
        """List every workspace, oldest first."""
        return self._store.workspaces.all()

    def create_workspace(self, name: str) -> WorkspaceRow:
        """Create a workspace. Its name may contain underscores, as on the platform.

        Raises:
            BadArgument: the name is invalid.
            Conflict: the name is taken.
        """
        return self._store.workspaces.create(checked_workspace_name(name, underscores=True), self._engine.context.clock.now())

    def workspace_handle(self, workspace_id: int) -> Workspace:
        """Return the handle of the workspace with this id.

        Raises:
            NotFound: it does not exist.
        """
        return Workspace(self._engine, self.workspace(workspace_id))

    def client_in(self, workspace_id: int) -> Client:
        """Return the same client with another current workspace.

        Raises:
            NotFound: there is no such workspace.
        """
        client = copy.copy(self.client)  # the current workspace is a client's only state of its own
        client.set_current_workspace(self.workspace_handle(workspace_id))
        return client

    # --- orchestrations

    def orchestration(self, orchestration_id: str) -> OrchestrationRow:
        """Return the current state of an orchestration.

        Raises:
            BadArgument: the id is invalid.
            NotFound: it does not exist.
        """
        return self._engine.poll_orchestration(checked_id(orchestration_id, "orch_id"))

    def orchestration_in(self, workspace_id: int, orchestration_id: str) -> Orchestration:
        """Return the handle of an orchestration of this workspace.

        Raises:
            BadArgument: an id is invalid.
            NotFound: the workspace has no such orchestration, or there is no such workspace.
        """
        row = self.orchestration(orchestration_id)
        if row.workspace_id != self.workspace(workspace_id).workspace_id:
            raise NotFound(
                f"There is no orchestration {orchestration_id!r} in workspace {workspace_id}.",
                hint="orchestration/get_by_id shows its workspace_id.",
                orchestration_id=orchestration_id,
                workspace_id=workspace_id,
            )
        return Orchestration(self._engine, row)

    def orchestrations(self, workspace_ids: Collection[int] = ()) -> list[OrchestrationRow]:
        """List the orchestrations of these workspaces, by default of all, oldest first.

        Raises:
            NotFound: there is no such workspace.
        """
        if not workspace_ids:
            return self._store.orchestrations.all()
        workspaces = [self.workspace(workspace_id) for workspace_id in dict.fromkeys(workspace_ids)]
        return [row for workspace in workspaces for row in self._store.orchestrations.of_workspace(workspace.workspace_id)]

    def delete_orchestrations(self, orchestration_ids: Sequence[str], *, dry_run: bool) -> int:
        """Delete orchestrations with their tasks and runs. Return the bytes of their bundles, each counted once.

        Raises:
            BadArgument: an id is invalid.
            NotFound, Conflict: one does not exist, or has an active task. None was deleted.
        """
        rows = [self.orchestration(orchestration_id) for orchestration_id in dict.fromkeys(orchestration_ids)]
        self._engine.delete(*(row.orchestration_id for row in rows), dry_run=dry_run)
        return sum({row.sha: row.size_bytes for row in rows}.values())

    def bundle(self, orchestration_id: str) -> tuple[OrchestrationRow, Path]:
        """Return an orchestration and the path of its bundle.

        Raises:
            BadArgument: an id is invalid.
            NotFound: there is no such orchestration.
        """
        row = self.orchestration(orchestration_id)
        return row, self._engine.context.bundles.path(row.sha)

    # --- tasks

    def task(self, task_id: str, run_limit: int) -> TaskWithRuns:
        """Return the current state of a task. Recover its runs whose host is gone.

        Raises:
            BadArgument: an id is invalid.
            NotFound: it does not exist.
        """
        task = self._engine.poll_task(checked_id(task_id, "id"))
        runs = [self._current(run) for run in self._store.runs.of_task(task_id, run_limit, SHOWN)]
        return TaskWithRuns(task, self._store.orchestrations.get(task.orchestration_id).sha, runs)

    def task_ids(
        self,
        *,
        workspace_id: int | None = None,
        orchestration_id: str | None = None,
        sha: str | None = None,
        killed: bool = False,
        limit: int | None = None,
    ) -> list[str]:
        """List the ids of the tasks that match all criteria, the last updated first: all, or `limit`. With `killed`, of killed ones, too.

        Raises:
            BadArgument: an id is invalid.
            NotFound: there is no such workspace or orchestration.
        """
        if workspace_id is not None:
            self.workspace(workspace_id)
        if orchestration_id is None and sha is None:
            tasks = self._store.tasks
            if workspace_id is None:
                return tasks.all_ids(killed=killed, limit=limit)
            return tasks.ids_of_workspace(workspace_id, killed=killed, limit=limit)
        rows = self._store.orchestrations.of_sha(checked_id(sha, "sha")) if sha is not None else []
        if orchestration_id is not None:
            row = self.orchestration(orchestration_id)
            rows = [row] if sha is None or row in rows else []
        ids = [row.orchestration_id for row in rows if workspace_id is None or row.workspace_id == workspace_id]
        return self.task_ids_of(ids, killed=killed, limit=limit)

    def task_ids_of(self, orchestration_ids: Sequence[str], *, killed: bool, limit: int | None = None) -> list[str]:
        """List the ids of these orchestrations' tasks, the last updated first: all, or `limit`. With `killed`, of killed ones, too."""
        return self._store.tasks.ids_of_orchestrations(orchestration_ids, killed=killed, limit=limit)

    def tasks(self, task_ids: Sequence[str], run_limit: int) -> Iterator[TaskWithRuns]:
        """Yield tasks with their newest runs, in the order of the ids. Reads a page at a time."""
        for start in range(0, len(task_ids), _PAGE):
            page = self._store.tasks.of_ids(task_ids[start : start + _PAGE])
            runs = self._store.runs.newest_of_tasks([task.task_id for task in page], run_limit, SHOWN)
            shas = self._store.orchestrations.shas({task.orchestration_id for task in page})
            # An orchestration without a SHA was deleted meanwhile, with its tasks.
            yield from (
                TaskWithRuns(task, shas[task.orchestration_id], runs.get(task.task_id, ()))
                for task in page
                if task.orchestration_id in shas
            )

    # --- runs

    def runs(self, task_id: str, limit: int, statuses: frozenset[RunStatus], created: Sequence[datetime] | None) -> list[RunRow]:
        """List up to `limit` runs of a task with these statuses, the last updated first. `created` is an inclusive range of creation times.

        Raises:
            BadArgument: an id is invalid.
            NotFound: there is no such task.
        """
        task = self._engine.poll_task(checked_id(task_id, "task_id"))
        rows = self._store.runs.of_task(task.task_id, limit if created is None else None, statuses)
        if created is not None:
            rows = [row for row in rows if created[0] <= row.created_at <= created[1]][:limit]
        return rows

    def run(self, run_id: str, task_id: str) -> RunRow:
        """Return the current state of a task's run.

        Raises:
            BadArgument: an id is invalid.
            NotFound: there is no such run or task, or the run belongs to another task.
        """
        run = self._engine.poll_run(checked_id(run_id, "run_id"))
        if run.task_id != self._engine.poll_task(checked_id(task_id, "task")).task_id:
            raise NotFound(f"Task {task_id} has no run {run_id}.", hint="task/list_task_runs lists its runs.", run_id=run_id)
        return run

    def metrics(self, run_id: str) -> dict[str, float]:
        """Return the metrics of a run; empty if it has left none."""
        return self._store.run_metrics.get(run_id)

    def _current(self, run: RunRow) -> RunRow:
        """Read a running run again through the engine, which records its end if its host is gone."""
        return self._engine.poll_run(run.run_id) if run.status is RunStatus.RUNNING else run

    # --- connections

    def connection(self, connection_id: str) -> ConnectionWithWorkspaces:
        """Return the connection with this id.

        Raises:
            BadArgument: an id is invalid.
            NotFound: it does not exist.
        """
        return self._with_workspaces(self._store.connections.get(checked_id(connection_id, "connection_id")))

    def connection_named(self, name: str) -> ConnectionWithWorkspaces:
        """Return the connection with this name.

        Raises:
            BadArgument: the name is invalid.
            NotFound: it does not exist.
        """
        return self._with_workspaces(self._store.connections.named(checked_label(name, "name")))

    def connections(self, workspace_id: int | None) -> Iterator[ConnectionWithWorkspaces]:
        """Return the connections that a workspace lists, or all, oldest first.

        Raises:
            NotFound: there is no such workspace.
        """
        connections = self._store.connections
        rows = connections.all() if workspace_id is None else connections.of_workspace(self.workspace(workspace_id).workspace_id)
        names = connections.all_workspace_names()
        return ((row, names.get(row.connection_id, [])) for row in rows)

    def _with_workspaces(self, row: ConnectionRow) -> ConnectionWithWorkspaces:
        return row, self._store.connections.workspace_names(row.connection_id)
