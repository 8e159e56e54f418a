"""The part of a client that finds, lists and creates: workspaces, connections, orchestrations, tasks, runs and events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchlite.client.bundle_source import is_path_of_something
from orchlite.client.connection import Connection
from orchlite.client.event import Event
from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task, checked_statuses, place_in_lists
from orchlite.client.task_run import TaskRun
from orchlite.client.workspace import Workspace
from orchlite.core import task_context
from orchlite.core.arguments import (
    checked_count,
    checked_flag,
    checked_id,
    checked_label,
    checked_moment,
    checked_seconds,
    checked_workspace_name,
    encoded_details,
)
from orchlite.core.errors import BadArgument, NotFound
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.records import ConnectionRow
from orchlite.core.status import RunStatus
from orchlite.core.tables import Table
from orchlite.engine.engine import Engine
from orchlite.store.lookups import WantedRuns

if TYPE_CHECKING:
    from orchlite.client.resolution import Resolver

_MAX_AGE = timedelta(days=36_500)


class Listing:
    """The methods of a client that find and list. They return at once, and start nothing."""

    _engine: Engine
    _workspace: Workspace

    def list_orchestrations(self) -> Table[Orchestration]:
        """Return the current workspace's orchestrations, oldest first."""
        rows = self._engine.store.orchestrations.of_workspace(self._workspace.id())
        return Table(Orchestration(self._engine, row) for row in rows)

    def get_orchestration_by_id(self, orchestration_id: str) -> Orchestration:
        """Return the orchestration with this id, of any workspace.

        Raises:
            NotFound: it does not exist.
            BadArgument: the id is not a string.
        """
        row = self._engine.store.orchestrations.get(checked_id(orchestration_id, "orchestration_id"))
        return Orchestration(self._engine, row)

    def list_tasks(self, killed: bool = False, *, limit: int | None = None, after: Task | str | None = None) -> Table[Task]:
        """Return the current workspace's tasks, the one that changed last first; with `killed`, killed ones, too.

        limit: return the first `limit` of these.
        after: only those that come after this task, or the one with this id, so that a program can read one page at a time:
            `wl.list_tasks(limit=100, after=page[-1])`. A task that changes meanwhile moves to the first page.

        Raises:
            NotFound: there is no task with the id `after`.
            BadArgument: an argument is refused.
        """
        tasks = self._engine.store.tasks
        last = after if after is None or isinstance(after, Task) else Task(self._engine, tasks.get(checked_id(after, "after")))
        rows = tasks.of_workspace(
            self._workspace.id(),
            killed=checked_flag(killed, "killed"),
            limit=None if limit is None else checked_count(limit, "limit", 0),
            after=None if last is None else place_in_lists(last),
        )
        return Table(Task(self._engine, row) for row in rows)

    def get_task_by_id(self, task_id: str) -> Task:
        """Return the task with this id, of any workspace.

        Raises:
            NotFound: it does not exist.
            BadArgument: the id is not a string.
        """
        return Task(self._engine, self._engine.store.tasks.get(checked_id(task_id, "task_id")))

    def get_task_run_by_id(self, run_id: str) -> TaskRun:
        """Return the run with this id, of any task.

        Raises:
            NotFound: it does not exist.
            BadArgument: the id is not a string.
        """
        row = self._engine.store.runs.get(checked_id(run_id, "run_id"))
        return TaskRun(self._engine, row.run_id, row.task_id)

    def get_orchestration(self, orchestration: str) -> Orchestration:
        """Return the orchestration with this id, these first digits of an id (four at least), or this name in the current workspace.

        If several uploads have the name, return the newest.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several ids begin like this.
            BadArgument: `orchestration` is not a string.
        """
        return self._resolver().orchestration(orchestration)

    def get_task(self, task: str) -> Task:
        """Return the task with this id, these first digits of an id (four at least), or this name in the current workspace.

        Of several tasks with the name, return the one that can still have runs or, if none can, the newest. A task without a name goes by
        the name of its orchestration.

        Raises:
            NotFound: nothing has this id or name.
            Ambiguous: several ids begin like this, or several tasks of this name can still have runs.
            BadArgument: `task` is not a string.
        """
        return self._resolver().task(task)

    def get_task_run(self, run: str) -> TaskRun:
        """Return the run with this id or these first digits of it, or the newest run of a task or an orchestration, by its id or name.

        Raises:
            NotFound: nothing has this id or name, or it has had no run.
            Ambiguous: several ids begin like this.
            BadArgument: `run` is not a string.
        """
        return self._resolver().run(run)

    def list_runs(
        self,
        *,
        status: str | None = None,
        since: datetime | timedelta | str | None = None,
        task: Task | Orchestration | str | None = None,
        limit: int | None = None,
    ) -> Table[TaskRun]:
        """Return the current workspace's runs, the one that was created last first: without packaging, and without skipped slots.

        status: only runs of this status. `"failure"` includes `unknown` runs; `"skipped"` are the slots that had no run, each with its
            `reason()`; `"all"` are those and all runs.
        since: only those that were created since an aware datetime, or since a duration ago, such as `"1d"`.
        task: only those of a task or an orchestration, or of all that have this name or id, whatever their workspace.
        limit: the newest `limit` of these.

        Raises:
            NotFound: nothing has the id or name `task`.
            Ambiguous: several ids begin like this.
            BadArgument: an argument is refused.
        """
        wanted = WantedRuns(
            statuses=frozenset(RunStatus) if status == "all" else checked_statuses(status),
            since=None if since is None else self._checked_since(since),
            limit=None if limit is None else checked_count(limit, "limit", 0),
        )
        resolver = self._resolver()
        if task is None:
            return resolver.newest_runs(wanted)
        found = [task] if isinstance(task, Task | Orchestration) else resolver.all_of(checked_id(task, "task"))
        return resolver.runs_of_all(found, wanted)

    def list_workspaces(self) -> Table[Workspace]:
        """Return every workspace of the store, oldest first."""
        return Table(Workspace(self._engine, row) for row in self._engine.store.workspaces.all())

    def create_workspace(self, workspace_name: str) -> Workspace:
        """Create a workspace. A name is a letter, then letters, digits and dashes, 63 characters at most.

        Raises:
            BadArgument: the name is refused.
            Conflict: there is a workspace of this name.
        """
        name = checked_workspace_name(workspace_name)
        return Workspace(self._engine, self._engine.store.workspaces.create(name, self._engine.context.clock.now()))

    def get_workspace(self, name: str, create_if_not_exist: bool = False) -> Workspace:
        """Return the workspace of this name. With `create_if_not_exist`, create it if there is none. Underscores are allowed here.

        Raises:
            NotFound: it does not exist, and `create_if_not_exist` is false.
            BadArgument: the name is refused, or `create_if_not_exist` is not a bool.
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
        """Make a workspace the current one of this client, and return it: uploads go there, and lists show it.

        Raises:
            BadArgument: `workspace` is not a Workspace.
            NotFound: this store has no workspace of its name.
        """
        if not isinstance(workspace, Workspace):
            raise BadArgument(
                Argument("workspace") + f" is a {type(workspace).__name__}.",
                hint=PythonOnly("It takes a workspace, as get_workspace(name) returns it."),
                argument="workspace",
            )
        self._workspace = self.get_workspace(workspace.name())
        return self._workspace

    def get_current_workspace(self) -> Workspace:
        """Return the workspace where uploads go, and that lists show. It is `default` at first."""
        return self._workspace

    def create_connection(
        self, name: str, connection_type: str, details: Mapping[str, Any] | None = None, *, replace: bool = False
    ) -> Connection:
        """Store under a name how to reach a source or a destination of data. Programs of every workspace can read it by that name.

        `details` is a JSON object of 1 MiB at most (`Limits.details_bytes`). It is stored unencrypted, in a file that only this account can
        read, and shown masked.

        replace: if there is a connection of this name, replace its type and all its details in one step. Its id, its workspaces and the
            time of its creation stay.

        Raises:
            BadArgument: an argument is refused; nothing was stored.
            Conflict: there is a connection of this name, and `replace` is false.
        """
        context = self._engine.context
        row = ConnectionRow(
            connection_id=str(uuid.uuid4()),
            name=checked_label(name, "name"),
            connection_type=checked_label(connection_type, "connection_type"),
            details=encoded_details(details, context.settings.limits.details_bytes),
            created_at=context.clock.now(),
        )
        if checked_flag(replace, "replace"):
            return Connection(self._engine, context.store.connections.put(row))
        context.store.connections.insert(row)
        return Connection(self._engine, row)

    def get_connection(self, name: str) -> Connection:
        """Return the connection of this name, whether or not a workspace lists it.

        Raises:
            NotFound: it does not exist.
            BadArgument: the name is refused.
        """
        return Connection(self._engine, self._engine.store.connections.named(checked_label(name, "name")))

    def get_connection_by_id(self, connection_id: str) -> Connection:
        """Return the connection with this id.

        Raises:
            NotFound: it does not exist.
            BadArgument: the id is not a string.
        """
        return Connection(self._engine, self._engine.store.connections.get(checked_id(connection_id, "connection_id")))

    def list_connections(self) -> Table[Connection]:
        """Return every connection of the store, oldest first; `Workspace.list_connections()` returns those of one workspace."""
        return Table(Connection(self._engine, row) for row in self._engine.store.connections.all())

    def in_task(self) -> bool:
        """Return whether this process is a task run."""
        return task_context.in_task()

    def task_args(self) -> dict[str, Any]:
        """Return the arguments of the task run that this process is; see `orchlite.task_args()`.

        Raises:
            NotInTask: this process is not a task run.
        """
        return task_context.task_args()

    def events(self, after: int | datetime | None = None, *, limit: int | None = None, newest_first: bool = False) -> Table[Event]:
        """Return what has happened in the store, oldest first.

        after: only events after the one with this number, so that a program can continue where it was: `wl.events(after=last.id())`; or
            only those since an aware datetime.
        limit: return the oldest `limit` of these; with `newest_first`, the newest.
        newest_first: return the newest first.

        Raises:
            BadArgument: an argument is refused.
        """
        events = self._engine.store.events
        bound = None if limit is None else checked_count(limit, "limit", 0)
        newest_first = checked_flag(newest_first, "newest_first")
        if isinstance(after, datetime):
            rows = events.since(checked_moment(after, "after"), bound, newest_first=newest_first)
        else:
            rows = events.after(0 if after is None else checked_count(after, "after", 0), bound, newest_first=newest_first)
        return Table(Event(row) for row in rows)

    def _named(self, word: object) -> Orchestration | None:
        """Return the orchestration with this id or name, unless it is the path of something."""
        if not isinstance(word, str) or is_path_of_something(word):
            return None
        with suppress(NotFound, BadArgument):
            return self.get_orchestration(word)
        return None

    def _resolver(self) -> Resolver:
        from orchlite.client.resolution import Resolver

        return Resolver(self._engine, self._workspace.id())

    def _checked_since(self, since: object) -> datetime:
        """Return an aware datetime, from one or from a duration before now."""
        if not isinstance(since, str | timedelta):
            return checked_moment(since, "since")
        seconds = checked_seconds(since, "since", _MAX_AGE.total_seconds())
        return self._engine.context.clock.now() - timedelta(seconds=seconds)
