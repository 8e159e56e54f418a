"""The bodies of requests: one model per endpoint. Rules beyond the type of a value are checked by the library.

An optional field may be absent or `null`. Unknown fields are ignored, because newer clients send more.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, ValidationError

from orchlite.core.errors import BadArgument
from orchlite.rest.errors import validation_error

_MAX_INTEGER = 2**63 - 1  # SQLite's

WorkspaceId = Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
Count = Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
Timestamp = Annotated[AwareDatetime, Strict(False)]
TimeRange = Annotated[list[Timestamp], Field(min_length=2, max_length=2)]
"""The first and the last moment, both included, in ISO 8601 with a zone."""
Ids = Annotated[list[str], Field(max_length=10_000)]
Seconds = Annotated[float, Field(description="1 second to 366 days")]

Model = TypeVar("Model", bound="RequestBody")


class RequestBody(BaseModel):
    """A JSON object."""

    # Strict: "5" is not a number, and 1 is not a flag. Once a run has started with a misread value, it is too late to say so.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class UploadMetadata(RequestBody):
    """The part `metadata` of an upload."""

    workspace_id: WorkspaceId
    name: str | None = None
    refresh: bool | None = None
    """orchlite's, like all fields after it: build the environment again, even if it exists."""
    base_image: str | list[str] | None = None
    """`host`, `clean`, `platform`, `platform-2023` or a list of requirements; by default the server's."""
    replace_pins: str | list[str] | None = None
    """`platform`, `platform-2023` or a list of requirements, which replace other versions that the bundle pins; by default the server's."""


class OrchestrationsOfWorkspace(RequestBody):
    """The workspace whose orchestrations to list."""

    workspace_id: WorkspaceId


class AllOrchestrations(RequestBody):
    """The orchestrations to list with their tasks: those of some workspaces, or by default of all."""

    workspace_ids: Annotated[list[WorkspaceId], Field(max_length=10_000)] | None = None
    task_run_status: list[str] | None = None
    """Only tasks whose newest run has one of these statuses; by default all tasks."""
    killed: bool | None = None
    time_range: TimeRange | None = None
    """Only tasks created in this range."""


class OrchestrationById(RequestBody):
    """The id of an orchestration."""

    id: str


class DeleteOrchestrations(RequestBody):
    """The orchestrations to delete with their tasks and runs: all of them or none."""

    orchestrations: Ids
    confirm_delete: bool | None = None
    """`false` deletes nothing and returns how many bytes would be deleted."""


class _Run(RequestBody):
    orch_id: str
    workspace_id: WorkspaceId
    arguments: dict[str, Any] = Field(alias="json")
    """`{}` for none; the platform requires the field, too."""
    name: str | None = None
    debug: bool | None = None
    env: dict[str, str] | None = None
    """orchlite's, like the three after it: environment variables for the program."""
    memory: int | str | None = None
    """Bytes, or a text such as `4GiB`."""
    cpu_seconds: Count | None = None
    nice: Count | None = None


class RunContinuously(_Run):
    """A program to start again whenever it ends."""

    name: str


class RunOnce(_Run):
    """A program to run once."""

    timeout: Seconds | None = None
    retries: Count | None = None
    """orchlite's, like the two after it: how often a failed run is tried again."""
    retry_delay: float | str | None = None
    """Seconds, or a text such as `5m`."""
    retry_unknown: bool | None = None


class RunScheduled(RunOnce):
    """A program to run at every slot of a schedule. The fields after `schedule` are orchlite's."""

    schedule: str
    timezone: str | None = None
    concurrency: str | None = None
    """`allow`, `forbid` or `replace`."""
    missed: str | None = None
    """`latest`, `all` or `none`."""
    starting_deadline_seconds: Seconds | None = None


class TaskById(RequestBody):
    """The id of a task, and how many of its newest runs to include."""

    id: str
    run_limit: Count | None = None


class TaskCriteria(RequestBody):
    """The criteria that listed tasks match. Killed tasks are listed with `killed` only."""

    workspace_id: WorkspaceId | None = None
    killed: bool | None = None
    orch_sha: str | None = None
    orch_id: str | None = None
    limit: Count | None = None
    """How many tasks to list; by default all."""
    run_limit: Count | None = None


class TasksOfSha(RequestBody):
    """The SHA-256 of a bundle."""

    sha: str


class TaskRuns(RequestBody):
    """The runs of a task to list."""

    task_id: str
    limit: Count | None = None
    status: str | None = None
    """`all` or one status. `failure` includes runs whose outcome is unknown."""
    time_range: TimeRange | None = None


class RunOfTask(RequestBody):
    """A run of a task."""

    task: str
    pod_id: str


class RunLogs(RequestBody):
    """The id of a run, and how many of the newest lines of its log to return."""

    id: str
    lines: Count | None = None


class KillTask(RequestBody):
    """The task to kill."""

    id: str


class PauseTask(RequestBody):
    """The task to pause or to resume."""

    id: str
    pause: bool


class CreateWorkspace(RequestBody):
    """The workspace to create."""

    workspace_name: str


class ListWorkspaces(RequestBody):
    """Every workspace. `user_id` is ignored: every workspace belongs to all users."""

    user_id: str | None = None


class QueryUsers(RequestBody):
    """The ids of the users to return; by default all are."""

    user_ids: Ids | None = None


class UsersOfWorkspace(RequestBody):
    """The workspace whose users to list."""

    workspace_id: WorkspaceId


class AddUser(RequestBody):
    """A workspace, and the user to add to it, by id or by e-mail address."""

    workspace_id: WorkspaceId
    email: str | None = None
    user_id: str | None = None


class CreateConnection(RequestBody):
    """The connection to create."""

    name: str
    type: str
    details: dict[str, Any] | None = None


class ConnectionNamed(RequestBody):
    """The name of a connection."""

    name: str


class ConnectionById(RequestBody):
    """The id of a connection."""

    id: str


class ListConnections(RequestBody):
    """The workspace whose connections to list; by default all connections are listed."""

    workspace_id: WorkspaceId | None = None


class ConnectionInWorkspace(RequestBody):
    """A workspace, and a connection to add to its list or to remove from it."""

    workspace_id: WorkspaceId
    connection_id: str


def parse_json(text: bytes, name: str = "The body") -> Any:
    """Parse JSON in UTF-8. `NaN`, `Infinity` and numbers that overflow a double are refused.

    Raises:
        BadArgument: it is not JSON. The message begins with `name` and does not quote the text.
    """
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"{error!s:.120}"
    # Raised outside of the handler, because the parser's error holds the whole text, which may be secret.
    raise BadArgument(f"{name} is not JSON: {reason}.", hint="Send one JSON object, in UTF-8.", argument="body")


def validated(model: type[Model], value: Any) -> Model:
    """Validate a value that FastAPI has not validated, and return it as a model.

    Raises:
        BadArgument: a field is invalid.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        invalid = validation_error(error.errors(include_input=False, include_url=False))
    raise invalid


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
