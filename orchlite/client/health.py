"""What is wrong with a store: schedules that nobody keeps, slots that are overdue, and what has failed. For the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.engine.engine import Engine
from orchlite.operations import liveness
from orchlite.operations.liveness import SignOfLife
from orchlite.schedules.misfires import MISFIRE_GRACE
from orchlite.store.lookups import RunKey

STALLED_AFTER = timedelta(minutes=3)
"""A scheduler leaves a sign every minute. One that has left none for this long is stopped, or stuck."""


class PackagingFailure(NamedTuple):
    """An orchestration that could not be packaged, and its packaging run."""

    orchestration: Orchestration
    run: TaskRun


class Keeping(NamedTuple):
    """Who keeps a store's schedules."""

    kept_by: Sequence[SignOfLife]
    """The live hosts that keep schedules, the newest sign first."""
    stalled: Sequence[SignOfLife]
    """Those of them whose scheduler has stopped."""
    recurring: int
    """The number of tasks that need such a host."""
    is_copy: bool
    """Whether the store is a copy that was not adopted: then nobody may keep its schedules."""

    @property
    def is_unkept(self) -> bool:
        """Whether there are tasks that need a host, and no host keeps schedules."""
        return self.recurring > 0 and not self.kept_by


class Health(NamedTuple):
    """The state of a store's schedules now, and what has gone wrong since a time."""

    since: datetime
    keeping: Keeping
    overdue: Sequence[Task]
    """Tasks whose slot, or next start, passed more than a minute ago, the longest overdue first."""
    unsound: Sequence[Task]
    """Tasks in `schedule_error` or `crash_loop`."""
    late: Sequence[TaskRun]
    """Runs that started more than a minute after their slot, or that are queued for so long, the newest slot first."""
    skipped: Sequence[TaskRun]
    """Slots that were missed, or skipped because runs would overlap, the newest first."""
    failed: Sequence[TaskRun]
    """Failed runs, the newest first; without packaging."""
    packaging_failed: Sequence[PackagingFailure]
    """The newest for each name, except if a later upload of that name is ready."""
    unattended: Sequence[TaskRun] = ()
    """Runs on a cluster whose host is gone, the oldest first: they need a host with that engine."""

    @property
    def has_failures(self) -> bool:
        """Whether something has failed, was late or skipped, or is overdue."""
        return any((self.overdue, self.late, self.skipped, self.failed, self.packaging_failed))

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.has_failures or self.keeping.is_unkept or self.keeping.stalled or self.unsound or self.unattended)


def examine(engine: Engine, since: datetime) -> Health:
    """Return the health of a whole store."""
    store = engine.store
    overdue_before = engine.context.clock.now() - MISFIRE_GRACE
    packaging = set(store.lookups.packaging_failed_since(since))
    return Health(
        since=since,
        keeping=keeping(engine),
        overdue=overdue(engine),
        unsound=_tasks(engine, store.lookups.unsound()),
        late=_runs(engine, store.lookups.late_since(since, overdue_before)),
        skipped=_runs(engine, store.lookups.skipped_since(since)),
        failed=_runs(engine, (key for key in store.lookups.failed_since(since) if key not in packaging)),
        packaging_failed=packaging_failures(engine, since),
        unattended=unattended(engine),
    )


def keeping(engine: Engine) -> Keeping:
    """Return who keeps the store's schedules."""
    now, identity = engine.context.clock.now(), engine.store.identity.find()
    signs = liveness.signs_of_life(engine.context.folder.hosts)
    return Keeping(
        kept_by=signs,
        stalled=[sign for sign in signs if now - sign.at > STALLED_AFTER],
        recurring=engine.store.lookups.count_recurring(),
        is_copy=identity is not None and identity.is_copy,
    )


def unattended(engine: Engine) -> list[TaskRun]:
    """Return the runs on a cluster whose host is gone, the oldest first."""
    hosts = engine.context.folder.hosts
    rows = (run for run in engine.store.placements.running() if run.host_id is not None and not liveness.is_alive(hosts, run.host_id))
    return [TaskRun(engine, run.run_id, run.task_id) for run in rows]


def overdue(engine: Engine) -> list[Task]:
    """Return the tasks whose slot, or next start, passed more than a minute ago, the longest overdue first."""
    return _tasks(engine, engine.store.lookups.overdue(engine.context.clock.now() - MISFIRE_GRACE))


def _tasks(engine: Engine, task_ids: Sequence[str]) -> list[Task]:
    return [Task(engine, row) for row in engine.store.tasks.of_ids(task_ids)]


def _runs(engine: Engine, keys: Iterable[RunKey]) -> list[TaskRun]:
    return [TaskRun(engine, *key) for key in keys]


def packaging_failures(engine: Engine, since: datetime) -> list[PackagingFailure]:
    """Return the newest failure since a time for each name, except if a later upload of that name is ready."""
    newest: dict[object, PackagingFailure] = {}
    for run in _runs(engine, engine.store.lookups.packaging_failed_since(since)):
        one = Orchestration(engine, engine.store.orchestrations.of_run(run.id()))
        newest.setdefault((one.workspace_id(), one.name() or one.id()), PackagingFailure(one, run))
    return [failure for failure in newest.values() if not _is_superseded(engine, failure.orchestration)]


def _is_superseded(engine: Engine, one: Orchestration) -> bool:
    if (name := one.name()) is None:
        return False
    uploads = engine.store.lookups.orchestrations(one.workspace_id(), name, None)  # newest first
    later = takewhile(lambda orchestration_id: orchestration_id != one.id(), uploads)
    return any(engine.store.orchestrations.get(orchestration_id).status == "ready" for orchestration_id in later)
