"""What travels between the rooms: immutable records, and the names of a run's files.

No I/O here. They are named tuples and not dataclasses, because a client's first opening is measured, and dataclasses took 40 ms of
it; and their annotations are evaluated here, because texts would be compiled one by one. A record is read from the store or a file by
one room and handed on by value.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus


class SchedulePolicy(NamedTuple):
    """When a scheduled task is due, and what becomes of slots that cannot have their run in time."""

    expression: str
    timezone: str
    concurrency: str
    """Where a run of the task has not ended at a slot: `allow` another, `forbid` it, or `replace` the old one."""
    missed: str
    """Of the slots at which no host was there: a run for the `latest`, for `all`, or for `none`."""
    starting_deadline_seconds: float | None
    """How late a slot's run may start."""


class SkippedSlots(NamedTuple):
    """A slot that has no run, or several in a row."""

    slot_at: datetime
    """The newest of them."""
    reason: str
    slots: int = 1


class WorkspaceRow(NamedTuple):
    """A workspace."""

    workspace_id: int
    name: str
    created_at: datetime
    archived: bool = False


class ConnectionRow(NamedTuple):
    """A connection. Its details are no part of its repr, which may end up in a traceback."""

    connection_id: str
    name: str
    connection_type: str
    details: str
    """JSON text of an object; secret."""
    created_at: datetime

    def __repr__(self) -> str:
        return f"ConnectionRow({self.connection_id!r}, {self.name!r})"


class OrchestrationRow(NamedTuple):
    """An accepted bundle in a workspace."""

    orchestration_id: str
    workspace_id: int
    name: str | None
    file_name: str
    sha: str
    size_bytes: int
    entrypoint: str
    requirements: tuple[str, ...]
    warnings: tuple[str, ...]
    base_image: str
    status: OrchestrationStatus
    reason: str | None
    environment_key: str | None
    installed: tuple[str, ...]
    task_id: str
    """The packaging task."""
    created_at: datetime
    updated_at: datetime


class TaskRow(NamedTuple):
    """An order to run an orchestration."""

    task_id: str
    workspace_id: int
    orchestration_id: str
    kind: TaskKind
    name: str | None
    arguments: str
    """JSON text of an object."""
    timeout_seconds: float | None
    debug: bool
    env: Mapping[str, str]
    env_passthrough: tuple[str, ...]
    """Names only; the values come from the launching host."""
    status: TaskStatus
    reason: str | None
    created_at: datetime
    updated_at: datetime
    schedule: SchedulePolicy | None = None
    next_at: datetime | None = None
    """The first slot that was not dealt with, or when a continuous task is to start again."""
    skipped_in_row: int = 0
    """How many slots were skipped since the last run."""
    on_failure: tuple[str, ...] | None = None
    """The command to run when a run of it has ended badly; None leaves that to the host."""
    pruned_until: datetime | None = None
    """Slots up to here may have had runs whose rows are gone."""


class RunRow(NamedTuple):
    """One run of a task. The times are None until they are known."""

    run_id: str
    task_id: str
    status: RunStatus
    attempt: int
    submitted_by: str
    """The host that is to start it, or any that works for the whole store."""
    host_id: str | None
    """The host that claimed it."""
    boot_id: str | None
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None
    exit_code: int | None
    reason: str | None
    kill_requested: bool
    log_complete: bool
    slot_at: datetime | None = None
    """The slot that it is the run of, or that was skipped."""
    slots: int = 1
    """How many slots a skipped run stands for: this one and those before it."""


class PendingNotification(NamedTuple):
    """A bad end that somebody is to be told of."""

    run_id: str
    status: RunStatus
    host_id: str
    """Who is to do that."""


EventKind = Literal["orchestration", "task", "run", "connection", "store"]


class EventRow(NamedTuple):
    """Something that happened: a move of an orchestration, a task or a run, or what was done to a connection or the store."""

    event_id: int
    """Events are numbered in the order in which they happened."""
    at: datetime
    kind: str
    """What it happened to: `orchestration`, `task`, `run`, `connection` or `store`."""
    object_id: str
    was: str | None
    """The status before; None for a beginning, and for what has no status."""
    became: str
    reason: str | None


class RunResult(NamedTuple):
    """How a run ended: the content of `result.json`, written by the runner, or what a host concluded without one."""

    status: RunStatus
    exit_code: int | None
    started_at: datetime | None
    ended_at: datetime
    duration_seconds: float | None
    reason: str | None = None
    log_complete: bool = True
    left: tuple[int, ...] = ()
    """Process ids that could not be ended within the deadline."""


class Claim(NamedTuple):
    """A host's claim to a run."""

    host_id: str
    boot_id: str
    at: datetime
