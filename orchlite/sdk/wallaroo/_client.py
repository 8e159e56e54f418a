"""`wallaroo.Client`, over an orchlite store.

Methods of the SDK's Client that are not defined here are placeholders, which raise NotImplementedError when they are called. The store is
opened, and what it needs is imported, by the first method that uses it: many programs use none.
"""

from __future__ import annotations

from orchlite.core import task_context

from ._absent import fill
from ._submodules import members

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from pathlib import Path
    from typing import Any

    import orchlite.client.client
    import orchlite.client.connection
    import orchlite.client.workspace
    from orchlite.engine.engine import Engine

    from ._connection import Connection, ConnectionList
    from ._orchestration import Orchestration, OrchestrationList
    from ._task import Task, TaskList
    from ._workspace import Workspace, Workspaces


class Client:
    """A connection to the platform. Takes the arguments of the SDK; only `time_format` has an effect."""

    def __init__(
        self,
        api_endpoint: str | None = None,
        request_timeout: int | None = None,
        auth_type: str | None = None,
        gql_client: Any = None,
        interactive: bool | None = None,
        time_format: str = "%Y-%d-%b %H:%M:%S",
        config: dict[str, Any] | None = None,
    ) -> None:
        self.api_endpoint = api_endpoint
        self.timeout = request_timeout
        self._auth_type = auth_type
        self._gql_client = gql_client
        self._interactive = interactive
        self._time_format = time_format
        self._config = config
        self._folder: Path | None = None
        self._current_workspace: Workspace | None = None

    def in_task(self) -> bool:
        """Return whether this process is a task run."""
        return task_context.in_task()

    def task_args(self) -> dict[str, Any]:
        """Return the arguments of this run's task.

        Raises:
            orchlite.NotInTask: this process is not a task run (also a `FileNotFoundError`).

        """
        return task_context.task_args()

    def list_workspaces(self) -> Workspaces:
        """Return every workspace, oldest first."""
        from ._workspace import Workspaces

        return Workspaces(self._workspace(found) for found in self._opened().list_workspaces())

    def get_workspace(self, name: str, create_if_not_exist: bool | None = False) -> Workspace:
        """Return the workspace with this name; with `create_if_not_exist`, create it if it is missing.

        Raises:
            Exception: there is no such workspace, or it cannot be created.
        """
        from ._errors import as_plain

        found = next((found for found in self._opened().list_workspaces() if found.name() == name), None)
        if found is not None:
            return self._workspace(found)
        if create_if_not_exist is not True:
            # Class and text as in the SDK.
            raise Exception(
                f"Error: Workspace with name {name} does not exist. If you would like to create one, "
                "send in the request with `create_if_not_exist` flag set to True."
            )
        with as_plain("Failed to create workspace."):
            return self._workspace(self._opened().get_workspace(name, create_if_not_exist=True))

    def create_workspace(self, workspace_name: str) -> Workspace:
        """Create a workspace.

        Raises:
            wallaroo.object.InvalidNameError: the name is not a letter followed by letters, digits and dashes, ends with a dash, or has
                64 or more characters.
            Exception: the name is taken.
        """
        from orchlite.core.arguments import checked_workspace_name
        from orchlite.core.errors import BadArgument

        from ._errors import InvalidNameError, as_plain

        rule = "must be DNS-compatible (ASCII alpha-numeric plus dash (-))"
        try:
            checked_workspace_name(workspace_name)
        except BadArgument as error:
            raise InvalidNameError(workspace_name, rule) from error
        if workspace_name.endswith("-"):
            raise InvalidNameError(workspace_name, rule)
        with as_plain("Failed to create workspace."):
            return self._workspace(self._opened().create_workspace(workspace_name))

    def set_current_workspace(self, workspace: Workspace) -> Workspace:
        """Upload to `workspace` from now on; return it. Affects this client only.

        Raises:
            TypeError: it is not a `Workspace`.
        """
        from ._workspace import Workspace

        if not isinstance(workspace, Workspace):
            raise TypeError("Workspace type was expected")
        self._current_workspace = workspace
        return workspace

    def get_current_workspace(self) -> Workspace:
        """Return the workspace to which this client uploads."""
        if self._current_workspace is None:
            self._current_workspace = self._workspace(self._opened().get_current_workspace())
        return self._current_workspace

    def list_orchestrations(self, workspace_id: int | None = None, workspace_name: str | None = None) -> OrchestrationList:
        """Return the orchestrations of one workspace, or of all if none is named, as in the SDK; oldest first.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        from ._orchestration import Orchestration, OrchestrationList

        orchestrations = self._engine().store.orchestrations
        rows = [row for each in self._workspace_ids(workspace_id, workspace_name) for row in orchestrations.of_workspace(each)]
        rows.sort(key=lambda row: row.created_at)
        return OrchestrationList(Orchestration(self, self._engine(), row) for row in rows)

    def upload_orchestration(
        self,
        bytes_buffer: bytes | None = None,
        path: str | PathLike[str] | None = None,
        name: str | None = None,
        file_name: str | None = None,
    ) -> Orchestration:
        """Upload a ZIP into the current workspace, and return at once; packaging follows. `path` takes precedence over `bytes_buffer`.

        Raises:
            wallaroo.orchestration.OrchestrationMissingFile: there are neither bytes nor a path.
            wallaroo.orchestration.OrchestrationUploadFailed: the bundle or an argument is refused; nothing was stored.
            OSError: the file at `path` cannot be read.
        """
        from ._upload import upload

        return upload(self, self._engine(), self.get_current_workspace().id(), bytes_buffer, path, name, file_name)

    def list_tasks(self, killed: bool = False, workspace_id: int | None = None, workspace_name: str | None = None) -> TaskList:
        """Return the tasks of one workspace, or of all if none is named, as in the SDK; newest first.

        With `killed`, include killed tasks.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        from ._task import Task, TaskList

        tasks = self._engine().store.tasks
        rows = [row for each in self._workspace_ids(workspace_id, workspace_name) for row in tasks.of_workspace(each, killed=bool(killed))]
        rows.sort(key=lambda row: row.created_at, reverse=True)
        return TaskList(Task(self, self._engine(), row) for row in rows)

    def get_task_by_id(self, task_id: str) -> Task:
        """Return the task with this id, of any workspace.

        Raises:
            ValueError: the id is not a UUID.
            Exception: there is no such task.
        """
        from uuid import UUID

        from ._errors import as_plain
        from ._task import Task

        known_id = str(UUID(task_id))
        with as_plain(f"Failed to find Task ID {task_id}"):
            return Task(self, self._engine(), self._opened().get_task_by_id(known_id)._known)

    def list_connections(self) -> ConnectionList:
        """Return every connection, oldest first."""
        from ._connection import ConnectionList

        return ConnectionList(self._connection(found) for found in self._opened().list_connections())

    def get_connection(self, name: str) -> Connection:
        """Return the connection with this name, even if no workspace lists it.

        Raises:
            Exception: there is no such connection.
        """
        from ._errors import as_plain

        with as_plain("Failed to get connection"):
            return self._connection(self._opened().get_connection(name))

    def create_connection(self, name: str, connection_type: str, details: dict[str, Any]) -> Connection:
        """Create a connection, which every workspace can use.

        Raises:
            Exception: the name is taken, or an argument is refused.
        """
        from orchlite.core.errors import Conflict

        from ._errors import as_plain

        with as_plain("Failed to create connection"):
            try:
                return self._connection(self._opened().create_connection(name, connection_type, details))
            except Conflict as error:
                # Class and text as in the SDK.
                raise Exception("This connection already exists.  Please choose a different connection name.") from error

    def _opened(self) -> orchlite.client.client.Client:
        from . import _store

        if self._folder is None:
            self._folder = _store.folder()
        return _store.opened(self._folder)

    def _engine(self) -> Engine:
        from orchlite.client.client import engine_of

        return engine_of(self._opened())

    def _workspace(self, found: orchlite.client.workspace.Workspace) -> Workspace:
        from ._workspace import Workspace

        return Workspace(self, self._engine(), found._row)

    def _connection(self, found: orchlite.client.connection.Connection) -> Connection:
        from ._connection import Connection

        return Connection(self, self._engine(), found._row)

    def _workspace_ids(self, workspace_id: int | None, workspace_name: str | None) -> Iterable[int]:
        if workspace_id is not None and not isinstance(workspace_id, int):
            raise TypeError("Workspace ID must be an integer.")
        if workspace_name is not None and not isinstance(workspace_name, str):
            raise TypeError("Workspace name must be a string.")
        known = {found.name(): found.id() for found in self._opened().list_workspaces()}
        if workspace_id is None and workspace_name is None:
            return known.values()
        if workspace_id is None and workspace_name not in known:
            raise Exception(f"Workspace by name {workspace_name} is not found")  # class and text as in the SDK
        return [known[str(workspace_name)] if workspace_id is None else workspace_id]


fill(Client, members("client", "Client"))
