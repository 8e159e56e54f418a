"""What requests may hold: one model for each endpoint. What a value may be beyond its type, the library below decides.

Absent and `null` mean the same wherever a field is optional; fields that nobody knows are ignored, since newer clients send more.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, ValidationError

from orchlite.core.errors import BadArgument
from orchlite.rest.errors import invalid

_LARGEST = 2**63 - 1  # what the store can hold

WorkspaceId = Annotated[int, Field(ge=0, le=_LARGEST)]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Moment = Annotated[AwareDatetime, Strict(False)]
TimeRange = Annotated[list[Moment], Field(min_length=2, max_length=2)]
"""The first and the last moment, as ISO 8601 with a zone."""
Ids = Annotated[list[str], Field(max_length=10_000)]
Seconds = Annotated[float, Field(description="1 second to 366 days")]

Model = TypeVar("Model", bound="_Request")


class _Request(BaseModel):
    # Strict: "5" is no number, 1 is no flag; and it would be too late to tell when a run has begun with it.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class UploadMetadata(_Request):
    """The part `metadata` of an upload."""

    workspace_id: WorkspaceId
    name: str | None = None
    refresh: bool | None = None
    """orchlite's: build the environment anew, even where there is one."""


class OrchestrationsOfWorkspace(_Request):
    """Which orchestrations to list."""

    workspace_id: WorkspaceId


class AllOrchestrations(_Request):
    """Which orchestrations to list with their tasks: those of these workspaces, or of all where none is named."""

    workspace_ids: Annotated[list[WorkspaceId], Field(max_length=10_000)] | None = None
    task_run_status: list[str] | None = None
    """Only tasks whose newest run has one of these statuses; none: all tasks."""
    killed: bool | None = None
    time_range: TimeRange | None = None
    """Only tasks created in it."""


class OrchestrationById(_Request):
    """One orchestration."""

    id: str


class DeleteOrchestrations(_Request):
    """Which orchestrations to delete, with their tasks and runs: all of them or none."""

    orchestrations: Ids
    confirm_delete: bool | None = None
    """`false` deletes nothing, and answers how many bytes it would be."""


class _Run(_Request):
    orch_id: str
    workspace_id: WorkspaceId
    arguments: dict[str, Any] | None = Field(None, alias="json")
    name: str | None = None
    debug: bool | None = None
    env: dict[str, str] | None = None
    """orchlite's: environment variables for the program."""


class RunContinuously(_Run):
    """An order to start a program again whenever it ends."""


class RunOnce(_Run):
    """An order for one run."""

    timeout: Seconds | None = None


class RunScheduled(RunOnce):
    """An order for a run at every slot of a schedule. All after `schedule` is orchlite's."""

    schedule: str
    timezone: str | None = None
    concurrency: str | None = None
    """`allow`, `forbid` or `replace`."""
    missed: str | None = None
    """`latest`, `all` or `none`."""
    starting_deadline_seconds: Seconds | None = None


class TaskById(_Request):
    """One task, and how many of its newest runs to show."""

    id: str
    run_limit: Count | None = None


class Tasks(_Request):
    """Which tasks to list; what is absent restricts nothing, but that killed ones are shown only with `killed`."""

    workspace_id: WorkspaceId | None = None
    killed: bool | None = None
    orch_sha: str | None = None
    orch_id: str | None = None
    run_limit: Count | None = None


class TasksOfSha(_Request):
    """The bytes whose tasks are wanted."""

    sha: str


class TaskRuns(_Request):
    """Which of a task's runs to list."""

    task_id: str
    limit: Count | None = None
    status: str | None = None
    """`all`, or one status; `failure` finds those too whose end nobody saw."""
    time_range: TimeRange | None = None


class RunOfTask(_Request):
    """One run of one task."""

    task: str
    pod_id: str


class RunLogs(_Request):
    """Whose log to read, and how many of its newest lines."""

    id: str
    lines: Count | None = None


class KillTask(_Request):
    """The task to kill."""

    id: str


class PauseTask(_Request):
    """The task to pause, or to resume."""

    id: str
    pause: bool


class CreateWorkspace(_Request):
    """The workspace to create."""

    workspace_name: str


class ListWorkspaces(_Request):
    """Every workspace; there is one user, so `user_id` restricts nothing."""

    user_id: str | None = None


class CreateConnection(_Request):
    """The connection to create."""

    name: str
    type: str
    details: dict[str, Any] | None = None


class ConnectionNamed(_Request):
    """A connection by its name."""

    name: str


class ConnectionById(_Request):
    """A connection by its id."""

    id: str


class ListConnections(_Request):
    """The workspace whose connections are wanted; all there are where none is named."""

    workspace_id: WorkspaceId | None = None


class ConnectionInWorkspace(_Request):
    """A workspace, and a connection that it is to list, or to list no more."""

    workspace_id: WorkspaceId
    connection_id: str


def parsed(text: bytes, what: str = "The body") -> Any:
    """JSON as the platform's clients send it: UTF-8, and nothing that is not JSON, as `NaN` is.

    Raises:
        BadArgument: it is something else.
    """
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        # The error of the parser holds the whole text, which may be secret.
        problem = "it is nested too deep" if isinstance(error, RecursionError) else f"{error!s:.120}"
    raise BadArgument(f"{what} is no JSON: {problem}.", hint="It takes one JSON object, in UTF-8.", argument="body")


def checked(kind: type[Model], value: Any) -> Model:
    """A request that did not come through FastAPI.

    Raises:
        BadArgument: a field is refused.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        refused = invalid(error.errors(include_input=False, include_url=False))
    raise refused


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
