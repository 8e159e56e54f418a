"""The immutable records that packages pass to each other: rows of the store, run specifications, results, observations.

No I/O. Names that end with `_at` are aware datetimes in UTC, with `_seconds` seconds, with `_bytes` bytes; ids are UUIDs unless they are
integers. The records are named tuples, because dataclasses added 40 ms to a client's first opening; their annotations are evaluated here,
because `NamedTuple` would compile postponed ones one by one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus


class SchedulePolicy(NamedTuple):
    """When a scheduled task is due, and what happens to slots whose run cannot start in time."""

    expression: str
    """Five cron fields, in their normalized spelling."""
    timezone: str
    """An IANA name, such as `Europe/Berlin`."""
    concurrency: str
    """If a run of the task has not ended at a slot: `allow` another one, `forbid` it, or `replace` the old one."""
    missed: str
    """Which of the slots that passed without a host get a run: `latest`, `all` or `none`."""
    starting_deadline_seconds: float | None
    """How late a slot's run may start; None: any time later."""


class RetryPolicy(NamedTuple):
    """How often, and when, a failed run is tried again."""

    retries: int
    """The largest number of tries after the first."""
    delay_seconds: float
    """From a failure to the next try."""
    unknown: bool = False
    """Whether a run whose outcome is unknown counts as failed: its program may have done its work."""


class ResourceLimits(NamedTuple):
    """What the processes of a run may use; None: as much as those of its host."""

    memory_bytes: int | None = None
    """Address space of each process."""
    cpu_seconds: int | None = None
    """Processor time of each process."""
    nice: int = 0
    """How much is added to the niceness of its host, as by nice(1)."""


class SkippedSlots(NamedTuple):
    """A slot that gets no run, or several consecutive ones."""

    slot_at: datetime
    """The newest of these slots."""
    reason: str
    slots: int = 1
    """How many slots this stands for."""


class WorkspaceRow(NamedTuple):
    """A workspace."""

    workspace_id: int
    """Counted from 1."""
    name: str
    created_at: datetime
    archived: bool = False


class ConnectionRow(NamedTuple):
    """A connection. Its repr leaves out the details, because it may end up in a traceback."""

    connection_id: str
    name: str
    connection_type: str
    details: str
    """JSON of an object; may hold secrets."""
    created_at: datetime

    def __repr__(self) -> str:
        return f"ConnectionRow({self.connection_id!r}, {self.name!r})"


class JunkWarning(str):
    """A warning about files that tools and desktop systems leave in folders, and that no program needs. Any other warning is a `str`."""

    __slots__ = ()


class OrchestrationRow(NamedTuple):
    """An accepted bundle in a workspace."""

    orchestration_id: str
    workspace_id: int
    name: str | None
    file_name: str
    """The name of the uploaded file: any label, perhaps with `/`."""
    sha: str
    """SHA-256 of the uploaded bytes, 64 lower-case hexadecimal digits."""
    size_bytes: int
    """Size of the ZIP."""
    entrypoint: str
    """Path of the `main.py` inside the bundle, separated by `/`."""
    requirements: tuple[str, ...]
    """The lines of `Requirements`."""
    warnings: tuple[str, ...]
    base_image: str
    """`host`, `clean`, or a JSON list of requirement lines."""
    status: OrchestrationStatus
    reason: str | None
    """Why packaging failed."""
    environment_key: str | None
    """Names the environment in the cache; None until packaging has ended, or if it has failed."""
    installed: tuple[str, ...]
    """What the requirements installed: `name==version`, sorted; empty until it is ready."""
    task_id: str
    """The packaging task."""
    created_at: datetime
    updated_at: datetime


class TaskRow(NamedTuple):
    """A task: how, when and with which arguments an orchestration runs."""

    task_id: str
    workspace_id: int
    orchestration_id: str
    kind: TaskKind
    name: str | None
    arguments: str
    """JSON of an object."""
    timeout_seconds: float | None
    """Time limit of a run; None: no limit."""
    debug: bool
    """Whether its programs see `TASK_DEBUG=true`."""
    env: Mapping[str, str]
    """Variables that its programs get, the client's included."""
    env_passthrough: tuple[str, ...]
    """Names of variables whose values come from the host that starts the run."""
    status: TaskStatus
    reason: str | None
    """Why the status is what it is, if there is more to say."""
    created_at: datetime
    updated_at: datetime
    schedule: SchedulePolicy | None = None
    next_at: datetime | None = None
    """The first slot that was neither dispatched nor skipped, or the next start of a continuous task."""
    skipped_in_row: int = 0
    """How many slots were skipped since the last run."""
    on_failure: tuple[str, ...] | None = None
    """The command that is run after a run has failed; None: that of the host, if it has one."""
    on_success: tuple[str, ...] | None = None
    """The command that is run after a run has succeeded."""
    on_late: tuple[str, ...] | None = None
    """The command that is run when slots are late or missed."""
    pruned_until: datetime | None = None
    """Slots up to this time may have had runs whose rows were pruned."""
    schedule_since: datetime | None = None
    """When it got its schedule; None: when it was created."""
    retry: RetryPolicy | None = None
    """Whether failed runs are tried again; None: never."""
    resources: ResourceLimits = ResourceLimits()
    """What its programs may use."""


class Placement(NamedTuple):
    """Where a run is executed that is not executed on the machine of its host."""

    engine: str
    """The cluster: `ray at http://head:8265`."""
    job_id: str
    """What the cluster calls the run."""
    session: str
    """The life of the cluster: one that was started again has another, and knows nothing of the run."""


class RunRow(NamedTuple):
    """One run of a task. Times are None until they are known."""

    run_id: str
    task_id: str
    status: RunStatus
    attempt: int
    """The number of times it was claimed; 0 while it has never left the queue."""
    submitted_by: str
    """The host that starts it, unless one that serves the whole store does so first."""
    host_id: str | None
    """The host that claimed it."""
    boot_id: str | None
    """The boot of the machine in which it was claimed."""
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    """When its program was started; recorded with the outcome."""
    ended_at: datetime | None
    duration_seconds: float | None
    """From start to end, on a clock that is never set."""
    exit_code: int | None
    """The program's exit code, or 128 + n if signal n ended it; None if it was not started, or its end was not observed."""
    reason: str | None
    """Why it ended, if not by its program exiting."""
    kill_requested: bool
    log_complete: bool
    """False if output was lost because the disk was full."""
    slot_at: datetime | None = None
    """The slot that it runs for, or that was skipped."""
    slots: int = 1
    """How many slots a skipped run stands for: this one and those before it."""
    retry_of: str | None = None
    """The failed run that this one tries again."""
    try_number: int = 1
    """1, or one more than that of the run in `retry_of`."""
    not_before_at: datetime | None = None
    """When a try may start."""
    rerun_of: str | None = None
    """The run that this one repeats on request."""
    repeated_slot_at: datetime | None = None
    """The slot of the first try, or of the run that this one repeats."""
    placement: Placement | None = None
    """Where it is executed; None: on the machine of its host, or not placed yet."""

    @property
    def is_pending_try(self) -> bool:
        """Whether it tries a failed run again, and has not started."""
        return self.retry_of is not None and self.status is RunStatus.QUEUED


class ListedRun(NamedTuple):
    """What a list of many runs shows of one. The fields are those of `RunRow`."""

    run_id: str
    status: RunStatus
    attempt: int
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    duration_seconds: float | None
    exit_code: int | None
    reason: str | None
    slot_at: datetime | None
    slots: int
    try_number: int


class MeasuredRun(NamedTuple):
    """A run that has left metrics."""

    run_id: str
    at: datetime
    """Its slot or, if it has none, that of the run that it repeats, or when it was submitted."""
    metrics: dict[str, float]


class PastRun(NamedTuple):
    """A run with what it was started with, and what it has left."""

    run: RunRow
    orchestration_id: str
    """What it was started with; until then, what its task runs now."""
    package_list_id: int | None
    """Equal for runs that saw the same packages; None if they are not known."""
    metrics: dict[str, float]


class ScheduledTasks(NamedTuple):
    """The tasks that have the same schedule."""

    schedule: str
    """JSON of a `SchedulePolicy`."""
    tasks: int
    older: int
    """How many of them had it before the time in question."""


class RunSum(NamedTuple):
    """The runs of one task that began in the same step of a span of time."""

    task_id: str
    step: int
    runs: int
    failed: int
    run_id: str
    """One of those that have failed or, if none has, of all."""


class Packages(NamedTuple):
    """What the program of a run could import. Packages are `name==version`, sorted."""

    python: str
    """The version of its interpreter."""
    installed: tuple[str, ...]
    """In its environment: what the requirements installed."""
    host: tuple[str, ...]
    """Below these, on the base image `host`: those of the hosting interpreter."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the packages of which `value` is the JSON object.

        Raises:
            LookupError, TypeError: it has another shape.
        """
        return cls(str(value["python"]), tuple(map(str, value["installed"])), tuple(map(str, value["host"])))


NotificationEvent = Literal["failure", "success", "late"]
"""What a notification is about: each has its command, `on_failure`, `on_success` or `on_late`."""


class PendingNotification(NamedTuple):
    """A notification that was promised and not sent."""

    run_id: str
    event: NotificationEvent
    host_id: str
    """The host that has promised to send it."""


class IdentityRow(NamedTuple):
    """The location of a store's database file, by which a copy of its folder is recognized."""

    path: str
    """The store's folder, absolute and without symbolic links."""
    device: str
    inode: str
    """Of the database's file; decimal numbers."""
    boot_id: str
    is_copy: bool = False
    """Whether it is a copy that was not adopted: its schedules wait."""


EventKind = Literal["orchestration", "task", "run", "connection", "model", "pipeline", "store"]


class EventRow(NamedTuple):
    """A transition of an orchestration, a task or a run, or an operation on a connection, a model, a pipeline or the store."""

    event_id: int
    """A number that grows in the order of events."""
    at: datetime
    kind: str
    """An `EventKind`."""
    object_id: str
    was: str | None
    """The status before; None if the object is new or has no status."""
    became: str
    """The status after, or the name of the operation."""
    reason: str | None


class RunResult(NamedTuple):
    """The outcome of a run: the content of `result.json`, which its runner writes, or what a host concluded without one."""

    status: RunStatus
    exit_code: int | None
    started_at: datetime | None
    ended_at: datetime
    duration_seconds: float | None
    reason: str | None = None
    log_complete: bool = True
    left: tuple[int, ...] = ()
    """Ids of processes that were still alive after SIGKILL, at the runner's deadline."""
    packages_sha: str | None = None
    """What the program saw installed: the SHA-256 of a list in the store; None if it was not started, or that is not known."""


class Claim(NamedTuple):
    """The host that takes a run from the queue, its machine's boot, and when."""

    host_id: str
    boot_id: str
    at: datetime

    def new_run(self, run_id: str, task_id: str) -> RunRow:
        """Return a run that its submitter claims at once, as its first attempt."""
        return RunRow(
            run_id=run_id,
            task_id=task_id,
            status=RunStatus.RUNNING,
            attempt=1,
            submitted_by=self.host_id,
            host_id=self.host_id,
            boot_id=self.boot_id,
            created_at=self.at,
            claimed_at=self.at,
            started_at=None,
            ended_at=None,
            duration_seconds=None,
            exit_code=None,
            reason=None,
            kill_requested=False,
            log_complete=True,
        )
