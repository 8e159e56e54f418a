"""The JSON of the platform's responses, as types: `serializers.py` makes them, and the OpenAPI document describes them.

Fields marked as orchlite's are additions, which the platform's clients ignore.
"""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic supports typing.TypedDict from Python 3.12 on only


class Orchestration(TypedDict):
    """An accepted bundle."""

    id: str
    workspace_id: int
    sha: str
    name: str | None
    file_name: str
    file_size: int
    image_path: str
    owner_id: str
    created_by: str
    created_on_version: str
    status: str
    task_id: str | None
    created_at: str
    updated_at: str
    reason: str | None
    """orchlite's: the reason for the status `error`."""
    warnings: list[str]
    """orchlite's."""


class Run(TypedDict):
    """A run within its task."""

    run_id: str
    status: str
    created_at: str
    updated_at: str


class Placement(TypedDict):
    """Where a run is executed that is executed on a cluster."""

    engine: str
    job_id: str
    session: str


class RunDetails(Run):
    """A run by itself."""

    task: str
    exit_code: int | None
    """orchlite's, like all fields after it."""
    reason: str | None
    started_at: str | None
    ended_at: str | None
    scheduled_at: str | None
    try_number: int
    retry_of: str | None
    rerun_of: str | None
    metrics: dict[str, float]
    placement: Placement | None


class Task(TypedDict):
    """A task. Fields without a meaning here are constant: `image`, `image_tag`, `bind_secrets`, `auth_init`, `reap_threshold_secs`, …"""

    name: str | None
    id: str
    image: str
    image_tag: str
    arch: str
    bind_secrets: list[str]
    extra_env_vars: dict[str, str]
    auth_init: bool
    ns_prefix: str
    workspace_id: int
    flavor: NotRequired[str]
    exec_type: NotRequired[str]
    schedule: NotRequired[str]
    service_name: NotRequired[str]
    run_type: str
    reap_threshold_secs: int
    status: str
    input_data: dict[str, Any]
    killed: bool
    created_at: str
    updated_at: str
    last_runs: list[Run]
    """Oldest first."""
    orch_id: str
    """orchlite's, like all fields after it."""
    reason: str | None
    timeout: float | None
    retries: int
    retry_delay: float | None
    """In seconds."""
    memory: int | None
    """In bytes."""
    cpu_seconds: int | None
    nice: int
    timezone: NotRequired[str]
    concurrency: NotRequired[str]
    missed: NotRequired[str]
    starting_deadline_seconds: NotRequired[float | None]
    next_run_at: NotRequired[str | None]


class Workspace(TypedDict):
    """A workspace. The ids of its models and pipelines are only in the list of workspaces."""

    id: int
    name: str
    created_at: str
    created_by: str
    archived: bool
    models: list[int]
    pipelines: list[int]


class Connection(TypedDict):
    """A connection with its details, which programs read this way."""

    id: str
    name: str
    type: str
    details: dict[str, Any]
    created_at: str
    workspace_names: list[str]


class Listed(TypedDict):
    """An orchestration with its tasks and its workspace."""

    orchestration: Orchestration
    tasks: list[Task]
    workspace: Workspace


class Orchestrations(TypedDict):
    """The orchestrations that match the request."""

    orchestrations: list[Listed]


class Id(TypedDict):
    """The id of what was created or changed."""

    id: str


class Ids(TypedDict):
    """The ids that match the request."""

    ids: list[str]


class Bytes(TypedDict):
    """The size of the deleted bundles in bytes."""

    bytes: int


class Logs(TypedDict):
    """The lines of a log, oldest first, each as `2024-04-17T16:03:19.756251122Z stdout F text`."""

    logs: list[str]


class WorkspaceId(TypedDict):
    """The workspace that was created."""

    workspace_id: int


class Workspaces(TypedDict):
    """Every workspace."""

    workspaces: list[Workspace]


class User(TypedDict):
    """An account, in the format of the platform's identity server."""

    id: str
    username: str
    email: str
    enabled: bool
    createdTimestamp: int
    """Milliseconds since 1970."""


class Users(TypedDict):
    """The users that match the request, by id."""

    users: dict[str, User | None]


class WorkspaceUser(TypedDict):
    """A user of a workspace."""

    user_id: str
    user_type: str


class WorkspaceUsers(TypedDict):
    """The users of a workspace."""

    users: list[WorkspaceUser]


class Nothing(TypedDict):
    """An object without fields."""


class Connections(TypedDict):
    """The connections that match the request."""

    connections: list[Connection]


class Config(TypedDict):
    """The server's configuration."""

    default_arch: str
    orchlite: str
    """The version of orchlite."""
