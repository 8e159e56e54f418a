"""`wallaroo.Client`, over an orchlite store.

Methods of the SDK's Client that are not defined here are placeholders, which raise NotImplementedError when they are called; they are made
when the first of them is looked up. The store is opened, and what it needs is imported, by the first method that uses it: many programs
use none.
"""

from __future__ import annotations

from orchlite.core import task_context

from ._model_calls import ModelCalls
from ._pipeline_calls import PipelineCalls

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Any

    import orchlite.client.connection

    from ._auth import Auth
    from ._connection import Connection, ConnectionList
    from ._orchestration import Orchestration, OrchestrationList
    from ._task import Task, TaskList
    from ._workspace import Workspace, Workspaces


class _Complete(type):
    """The type of `Client`, which has every name of the SDK's."""

    def __getattr__(cls, name: str) -> Any:
        _add_placeholders(name)
        return super().__getattribute__(name)

    def __dir__(cls) -> Iterable[str]:
        _add_placeholders()
        return super().__dir__()


class Client(ModelCalls, PipelineCalls, metaclass=_Complete):
    """A connection to the platform. Takes the arguments of the SDK; only `time_format` and `interactive` have an effect."""

    def __init__(
        self,
        api_endpoint: str | None = None,
        request_timeout: int | None = None,
        auth_type: str | None = None,
        gql_client: Any = None,
        interactive: bool | None = None,
        time_format: str = "%Y-%d-%b %H:%M:%S",
        config: dict[str, Any] | None = None,
        *,
        auth_endpoint: str = "",  # until 2024.1
    ) -> None:
        super().__init__(time_format)
        self._api_endpoint = api_endpoint
        self.timeout = request_timeout
        self._auth_type = auth_type
        self._gql_client = gql_client
        self._interactive = in_notebook() if interactive is None else interactive
        self._config = config
        self.auth_endpoint = auth_endpoint

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            _add_placeholders(name)
            return super().__getattribute__(name)  # raises the error of a property again

    @property
    def auth(self) -> Auth:
        """The account that this client acts for."""
        from ._auth import Auth

        return Auth(self._store_path())

    @property
    def api_endpoint(self) -> str:
        """The address that was given, else that of a REST server of this store.

        Raises:
            NotImplementedError: no server of this store is running.
        """
        from ._auth import served

        return self._api_endpoint or served(self._store_path(), "Client.api_endpoint").url

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

        return Workspaces(self._workspace(found._row) for found in self._opened().list_workspaces())

    def get_workspace(self, name: str, create_if_not_exist: bool | None = False) -> Workspace:
        """Return the workspace with this name; with `create_if_not_exist`, create it if it is missing.

        Raises:
            Exception: there is no such workspace, or it cannot be created.
        """
        from ._errors import as_plain

        row = self._engine().store.workspaces.find(name)
        if row is not None:
            return self._workspace(row)
        if create_if_not_exist is not True:
            # Class and text as in the SDK.
            raise Exception(
                f"Error: Workspace with name {name} does not exist. If you would like to create one, "
                "send in the request with `create_if_not_exist` flag set to True."
            )
        with as_plain("Failed to create workspace."):
            return self._workspace(self._opened().get_workspace(name, create_if_not_exist=True)._row)

    def create_workspace(self, workspace_name: str) -> Workspace:
        """Create a workspace.

        Raises:
            wallaroo.object.InvalidNameError: the name is not a letter followed by letters, digits and dashes, ends with a dash, or has
                64 or more characters.
            Exception: the name is taken.
        """
        from ._errors import as_plain
        from ._names import require_dns_compliance

        require_dns_compliance(workspace_name)
        with as_plain("Failed to create workspace."):
            return self._workspace(self._opened().create_workspace(workspace_name)._row)

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
        """Return the tasks of one workspace, or of all if none is named, as in the SDK; the last updated first.

        With `killed`, include killed tasks.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        from ._task import Task, TaskList

        tasks = self._engine().store.tasks
        rows = [row for each in self._workspace_ids(workspace_id, workspace_name) for row in tasks.of_workspace(each, killed=bool(killed))]
        rows.sort(key=lambda row: row.updated_at, reverse=True)
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

    def _connection(self, found: orchlite.client.connection.Connection) -> Connection:
        from ._connection import Connection

        return Connection(self, self._engine(), found._row)


def in_notebook() -> bool:
    """Return whether this process runs in the platform's notebooks, where the SDK prints more."""
    from os import environ

    return "JUPYTER_SVC_SERVICE_HOST" in environ or "JUPYTERHUB_HOST" in environ


def _add_placeholders(wanted: str = "") -> None:
    """Add the names of the SDK's Client that this one lacks, none of which begins with an underscore."""
    if not wanted.startswith("_"):
        from ._absent import fill
        from ._submodules import members

        fill(Client, members("client", "Client"))
