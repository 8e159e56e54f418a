"""What a run on a node of a cluster sees of its host's store: the rows that were sent with it. Everything else raises `StoreElsewhere`."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from orchlite.core.errors import NotFound, StoreElsewhere
from orchlite.core.hints import PythonOnly
from orchlite.core.records import ConnectionRow, WorkspaceRow
from orchlite.store.connections import Connections
from orchlite.store.database import Database
from orchlite.store.workspaces import Workspaces


def refusal(workspace_id: int) -> StoreElsewhere:
    """Return the error about a request that needs the store of the host."""
    return StoreElsewhere(
        "This run executes on a node of a cluster, and the store is on the machine of its host."
        " Only the run's arguments and the connections that its workspace lists are here.",
        hint="Do this in the program that hosts the store, or run this task on a host without a cluster. A connection is sent if the"
        " workspace lists it" + PythonOnly(": Workspace.add_connection(name)") + ".",
        workspace_id=workspace_id,
    )


class Elsewhere:
    """Stands for rows that are in the store of the host only."""

    def __init__(self, workspace_id: int) -> None:
        self._workspace_id = workspace_id

    def __getattr__(self, name: str) -> NoReturn:
        raise refusal(self._workspace_id)


class SentDatabase(Database):
    """The database of a node's store, which the run only reads."""

    def __init__(self, path: Path, workspace_id: int) -> None:
        super().__init__(path, may_be_new=False)
        self._workspace_id = workspace_id

    def transaction(self, *, urgent: bool = False, durable: bool = True) -> NoReturn:
        """Refuse to write.

        Raises:
            StoreElsewhere: always.
        """
        raise refusal(self._workspace_id)

    def copy_to(self, path: Path) -> NoReturn:
        """Refuse to copy what is not here.

        Raises:
            StoreElsewhere: always.
        """
        raise refusal(self._workspace_id)


class SentWorkspaces(Workspaces):
    """The run's workspace, and the default one."""

    def __init__(self, database: Database, workspace_id: int) -> None:
        super().__init__(database)
        self._workspace_id = workspace_id

    def get(self, workspace_id: int) -> WorkspaceRow:
        """Return the workspace with this id.

        Raises:
            StoreElsewhere: it was not sent.
        """
        try:
            return super().get(workspace_id)
        except NotFound:
            raise refusal(self._workspace_id) from None

    def find(self, name: str) -> WorkspaceRow:
        """Return the workspace of this name.

        Raises:
            StoreElsewhere: it was not sent.
        """
        row = super().find(name)
        if row is None:
            raise refusal(self._workspace_id)
        return row


class SentConnections(Connections):
    """The connections that the run's workspace lists."""

    def __init__(self, database: Database, workspace_id: int) -> None:
        super().__init__(database)
        self._workspace_id = workspace_id

    def named(self, name: str) -> ConnectionRow:
        """Return the connection of this name.

        Raises:
            StoreElsewhere: it was not sent.
        """
        try:
            return super().named(name)
        except NotFound:
            raise refusal(self._workspace_id) from None

    def of_workspace(self, workspace_id: int) -> list[ConnectionRow]:
        """Return the connections that the workspace lists, oldest first.

        Raises:
            StoreElsewhere: it is not the run's workspace.
        """
        if workspace_id != self._workspace_id:
            raise refusal(self._workspace_id)
        return super().of_workspace(workspace_id)
