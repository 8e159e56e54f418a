"""What the tasks of a store have done in a period: outcomes, durations, metrics and failures of each, and what is due next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

from orchlite.client.health import Health, examine
from orchlite.client.orchestration import Orchestration
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.status import FAILED, RunStatus, TaskKind
from orchlite.engine.engine import Engine
from orchlite.store.lookups import EndedRun

_DUE = 10
_RECENT = 30


class MetricSummary(NamedTuple):
    """One metric of the runs of a task, in the period."""

    newest: float
    lowest: float
    highest: float


class TaskReport(NamedTuple):
    """What one task has done in the period or, of tasks that run once, all those of one name."""

    task: Task
    """The newest of them."""
    title: str
    """Its name, else that of its orchestration, else its id."""
    tasks: int
    """How many there are."""
    orchestration: Orchestration
    """What it runs now."""
    runs: Sequence[EndedRun]
    """Those that ended in the period, the first ended first; without skipped slots."""
    skipped: int
    """The number of slots that were missed or skipped."""
    metrics: Mapping[str, MetricSummary]
    """By name, sorted."""
    last_failure: TaskRun | None
    """The last failed run that is not tried again."""

    @property
    def outcomes(self) -> Mapping[RunStatus, int]:
        """Return the number of runs by status."""
        return Counter(run.status for run in self.runs)

    @property
    def failed(self) -> int:
        """Return the number of failed runs that are not tried again."""
        return sum(_has_failed(run) for run in self.runs)

    @property
    def tried_again(self) -> int:
        """Return the number of failed runs that were tried again."""
        return sum(run.is_tried_again for run in self.runs)

    @property
    def late(self) -> int:
        """Return the number of runs that started more than a minute after their slot."""
        return sum(run.is_late for run in self.runs)

    @property
    def recent(self) -> Sequence[EndedRun]:
        """Return the newest 30 runs, the first ended first."""
        return self.runs[-_RECENT:]

    @property
    def durations(self) -> Sequence[float]:
        """Return the durations that are known, in seconds."""
        return [run.duration_seconds for run in self.runs if run.duration_seconds is not None]

    @property
    def median_seconds(self) -> float | None:
        """Return the median duration; None if no run was started."""
        return median(self.durations) if self.durations else None

    @property
    def longest_seconds(self) -> float | None:
        """Return the longest duration; None if no run was started."""
        return max(self.durations, default=None)


class Report(NamedTuple):
    """What a store has done in a period that ends now."""

    since: datetime
    until: datetime
    health: Health
    tasks: Sequence[TaskReport]
    """Those that have failed first, then those with late, missed or skipped slots; each by title. Recurring ones are included even if
    they have not run."""
    due: Sequence[Task]
    """What is due next, soonest first."""


def compiled(engine: Engine, since: datetime) -> Report:
    """Return the report of a whole store."""
    lookups = engine.store.lookups
    ended: dict[str, list[EndedRun]] = {task_id: [] for task_id in lookups.recurring()}
    for run in lookups.ended_since(since):
        ended.setdefault(run.task_id, []).append(run)
    groups: dict[tuple[str, str], list[Task]] = {}
    for row in engine.store.tasks.of_ids(list(ended)):
        task = Task(engine, row)
        is_once = task.kind() is TaskKind.ONCE
        groups.setdefault(("name", _title(engine, task)) if is_once else ("id", task.id()), []).append(task)
    tasks = [_task_report(engine, group, [run for task in group for run in ended[task.id()]]) for group in groups.values()]
    return Report(
        since=since,
        until=engine.context.clock.now(),
        health=examine(engine, since),
        tasks=sorted(tasks, key=lambda one: (not one.failed, not (one.late or one.skipped), one.title.casefold())),
        due=[Task(engine, row) for row in engine.store.tasks.of_ids(lookups.due_next(_DUE))],
    )


def _task_report(engine: Engine, tasks: Sequence[Task], ended: Iterable[EndedRun]) -> TaskReport:
    newest = max(tasks, key=lambda task: task.created_at())
    in_order = sorted(ended, key=lambda run: run.ended_at)
    runs = [run for run in in_order if run.status is not RunStatus.SKIPPED]
    failures = [run for run in runs if _has_failed(run)]
    return TaskReport(
        task=newest,
        title=_title(engine, newest),
        tasks=len(tasks),
        orchestration=_orchestration(engine, newest),
        runs=runs,
        skipped=sum(run.slots for run in in_order if run.status is RunStatus.SKIPPED),
        metrics=_metrics(engine, runs),
        last_failure=TaskRun(engine, failures[-1].run_id, failures[-1].task_id) if failures else None,
    )


def _metrics(engine: Engine, runs: Iterable[EndedRun]) -> dict[str, MetricSummary]:
    values: dict[str, list[float]] = {}
    for measured in engine.store.run_metrics.of_runs(run.run_id for run in runs):
        for name, value in measured.metrics.items():
            values.setdefault(name, []).append(value)
    return {name: MetricSummary(found[-1], min(found), max(found)) for name, found in sorted(values.items())}


def _has_failed(run: EndedRun) -> bool:
    return run.status in FAILED and not run.is_tried_again


def _title(engine: Engine, task: Task) -> str:
    return task.name() or _orchestration(engine, task).name() or task.id()


def _orchestration(engine: Engine, task: Task) -> Orchestration:
    return Orchestration(engine, engine.store.orchestrations.get(task.orchestration()))
