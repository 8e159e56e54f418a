"""`wallaroo.Client`: what a program holds to talk to the platform, here to orchlite.

Methods of the SDK's Client that are not written here are absent: they raise NotImplementedError when they are called.
"""

from __future__ import annotations

from orchlite import task_context

from ._absent import fill
from ._submodules import members

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any


class Client:
    """A connection to the platform. The arguments are the SDK's; they are kept, and have no effect."""

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

    def in_task(self) -> bool:
        """Tell whether this process is a task run."""
        return task_context.in_task()

    def task_args(self) -> dict[str, Any]:
        """Return the arguments that this run's task was given.

        Raises:
            orchlite.NotInTask: this process is not a task run (also a `FileNotFoundError`).

        """
        return task_context.task_args()


fill(Client, members("client", "Client"))
