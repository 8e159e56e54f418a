"""What a store holds, as its client shows it: workspaces, connections, orchestrations, tasks, runs and events, found and listed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchlite.client.connection import Connection
from orchlite.client.event import Event
from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.client.workspace import Workspace
from orchlite.core import task_context
from orchlite.core.arguments import (
    checked_count,
    checked_flag,
    checked_id,
    checked_label,
    checked_moment,
    checked_workspace_name,
    encoded_details,
)
from orchlite.core.errors import BadArgument, NotFound
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.records import ConnectionRow
from orchlite.core.tables import Table
from orchlite.engine.engine import Engine


class Listing:
    """The part of a client that finds things. Nothing here starts anything."""

    _engine: Engine
    _workspace: Workspace

    def list_orchestrations(self) -> Table[Orchestration]:
        """The current workspace's orchestrations, oldest first."""
        rows = self._engine.store.orchestrations.of_workspace(self._workspace.id())
        return Table(Orchestration(self._engine, row) for row in rows)

    def get_orchestration_by_id(self, orchestration_id: str) -> Orchestration:
        """The orchestration with this id, in whichever workspace.

        Raises:
            NotFound: there is none.
        """
        row = self._engine.store.orchestrations.get(checked_id(orchestration_id, "orchestration_id"))
        return Orchestration(self._engine, row)

    def list_tasks(self, killed: bool = False) -> Table[Task]:
        """The current workspace's tasks, newest first; with `killed`, those that were killed too."""
        rows = self._engine.store.tasks.of_workspace(self._workspace.id(), killed=checked_flag(killed, "killed"))
        return Table(Task(self._engine, row) for row in rows)

    def get_task_by_id(self, task_id: str) -> Task:
        """The task with this id, in whichever workspace.

        Raises:
            NotFound: there is none.
        """
        return Task(self._engine, self._engine.store.tasks.get(checked_id(task_id, "task_id")))

    def get_task_run_by_id(self, run_id: str) -> TaskRun:
        """The run with this id, of whichever task.

        Raises:
            NotFound: there is none.
        """
        row = self._engine.store.runs.get(checked_id(run_id, "run_id"))
        return TaskRun(self._engine, row.run_id, row.task_id)

    def list_workspaces(self) -> Table[Workspace]:
        """Every workspace of the store, oldest first."""
        return Table(Workspace(self._engine, row) for row in self._engine.store.workspaces.all())

    def create_workspace(self, workspace_name: str) -> Workspace:
        """Create a workspace. Names have a letter first, then letters, digits and dashes, under 64 characters.

        Raises:
            BadArgument: the name is refused.
            Conflict: it is taken.
        """
        name = checked_workspace_name(workspace_name)
        return Workspace(self._engine, self._engine.store.workspaces.create(name, self._engine.context.clock.now()))

    def get_workspace(self, name: str, create_if_not_exist: bool = False) -> Workspace:
        """The workspace of this name; with `create_if_not_exist` it is created on the way (underscores are taken then, too).

        Raises:
            NotFound: there is none.
            BadArgument: the name is refused.
        """
        store = self._engine.store
        may_create = checked_flag(create_if_not_exist, "create_if_not_exist")
        row = store.workspaces.find(checked_workspace_name(name, underscores=True))
        if row is None and may_create:
            row = store.workspaces.find_or_create(name, self._engine.context.clock.now())
        if row is None:
            raise NotFound(f"There is no workspace named {name!r}.", hint=PythonOnly("create_if_not_exist=True creates it."), name=name)
        return Workspace(self._engine, row)

    def set_current_workspace(self, workspace: Workspace) -> Workspace:
        """Make a workspace this client's current one: where uploads go and what lists show. Answers it."""
        if not isinstance(workspace, Workspace):
            raise BadArgument(
                Argument("workspace") + f" is a {type(workspace).__name__}.",
                hint=PythonOnly("It takes what get_workspace(name) answers."),
                argument="workspace",
            )
        self._workspace = self.get_workspace(workspace.name())
        return self._workspace

    def get_current_workspace(self) -> Workspace:
        """The workspace where uploads go and what lists show."""
        return self._workspace

    def create_connection(self, name: str, connection_type: str, details: Mapping[str, Any] | None = None) -> Connection:
        """Keep under a name how a source or a destination of data is reached; programs read it by that name, from any workspace.

        `details` is any JSON object, 1 MiB at most unless `limits=` says otherwise. It lies unencrypted in the store's file, which only
        this account can read, and is shown masked.

        Raises:
            BadArgument: an argument is refused; nothing was stored.
            Conflict: the name is taken.
        """
        store = self._engine.context
        row = ConnectionRow(
            connection_id=str(uuid.uuid4()),
            name=checked_label(name, "name"),
            connection_type=checked_label(connection_type, "connection_type"),
            details=encoded_details(details, store.settings.limits.details_bytes),
            created_at=store.clock.now(),
        )
        store.store.connections.insert(row)
        return Connection(self._engine, row)

    def get_connection(self, name: str) -> Connection:
        """The connection of this name, whether or not any workspace lists it.

        Raises:
            NotFound: there is none.
            BadArgument: the name is refused.
        """
        return Connection(self._engine, self._engine.store.connections.named(checked_label(name, "name")))

    def get_connection_by_id(self, connection_id: str) -> Connection:
        """The connection with this id.

        Raises:
            NotFound: there is none.
        """
        return Connection(self._engine, self._engine.store.connections.get(checked_id(connection_id, "connection_id")))

    def list_connections(self) -> Table[Connection]:
        """Every connection of the store, oldest first; `workspace.list_connections()` has those of a workspace."""
        return Table(Connection(self._engine, row) for row in self._engine.store.connections.all())

    def in_task(self) -> bool:
        """Whether this process is a task run."""
        return task_context.in_task()

    def task_args(self) -> dict[str, Any]:
        """The arguments of the task run that this process is.

        Raises:
            NotInTask: it is none.
        """
        return task_context.task_args()

    def events(self, after: int | datetime | None = None, *, limit: int | None = None) -> Table[Event]:
        """What happened to what, when and why, oldest first: everything that is kept, or what came `after`.

        `after` is the number of an event, so that a program may go on where it was: `wl.events(after=last.id())`; or a time, aware.
        With `limit` these are the first so many.

        Raises:
            BadArgument: an argument is refused.
        """
        events = self._engine.store.events
        bound = None if limit is None else checked_count(limit, "limit", 0)
        if isinstance(after, datetime):
            rows = events.since(checked_moment(after, "after"), bound)
        else:
            rows = events.after(0 if after is None else checked_count(after, "after", 0), bound)
        return Table(Event(row) for row in rows)
