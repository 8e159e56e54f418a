"""What each task of a store has done in its last nights, those first that need a person, and what is wrong with the store as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from shutil import disk_usage
from typing import NamedTuple

from orchlite.client.failures import cause_of
from orchlite.client.health import Keeping, PackagingFailure, keeping, overdue, packaging_failures, unattended
from orchlite.client.task import Task
from orchlite.client.task_run import TaskRun
from orchlite.core.records import ListedRun, TaskRow
from orchlite.core.status import FAILED, OUTCOMES, RunStatus, TaskKind, TaskStatus
from orchlite.engine.engine import Engine
from orchlite.operations.due_times import next_run_of
from orchlite.store.overview import ListedTask, RunOnce, TitledTask, Trouble

RUNS = 30
"""How many runs of a task are read: its last nights."""
RECENT = timedelta(days=1)
"""What has gone wrong since then is listed first."""
_UNSOUND = (TaskStatus.SCHEDULE_ERROR, TaskStatus.CRASH_LOOP)
_NO_TROUBLE = Trouble()


class FailedNights(NamedTuple):
    """The failures of a task since its last success."""

    newest: ListedRun
    since: datetime
    """When the first of them was due, or was submitted."""
    runs: int
    is_longer: bool
    """Whether it failed before that, too: there is no success among the runs that were read."""
    why: str
    """Of the newest."""


class Night(NamedTuple):
    """One line of the overview: a recurring task, or all one-shot tasks of uploads of one name."""

    title: str
    workspace_id: int
    task: TaskRow
    """Of several one-shot tasks, the one that changed last."""
    tasks: int | None
    """How many one-shot tasks this stands for; None for one task."""
    trouble: Trouble
    """In the last day."""
    is_overdue: bool
    runs: Sequence[ListedRun]
    """The newest 30, skipped slots included, the first first."""
    failing: FailedNights | None

    @property
    def next_at(self) -> datetime | None:
        """Return when the next run is due; None if none is."""
        return next_run_of(self.task, is_running=self.last is not None and not self.last.status.is_final)

    @property
    def is_done(self) -> bool:
        """Return whether this is a one-shot task that has ended."""
        return self.task.kind is TaskKind.ONCE and self.last is not None and self.last.status.is_final

    @property
    def last(self) -> ListedRun | None:
        """Return the newest run that is no skipped slot."""
        return next((run for run in reversed(self.runs) if run.status is not RunStatus.SKIPPED), None)


class Alarms(NamedTuple):
    """What is wrong with a store as a whole."""

    keeping: Keeping
    overdue: Sequence[Task]
    """The longest overdue first."""
    unattended: Mapping[str, Sequence[TaskRun]]
    """By the name of a cluster: runs there whose host is gone, the oldest first."""
    failing: int
    """How many of the lines of the overview fail."""
    failed: int
    """How many runs have failed in the last day, those that are tried again and packaging left out."""
    packaging_failed: Sequence[PackagingFailure]
    """In the last day; without those of which a later upload is ready."""
    free_bytes: int
    """On the store's disk."""


class NightsPage(NamedTuple):
    """A page of the overview, and how many lines there are."""

    nights: Sequence[Night]
    lines: int
    alarms: Alarms


class _Line(NamedTuple):
    """A line that was not read yet."""

    what: ListedTask | RunOnce
    trouble: Trouble
    is_overdue: bool
    rank: int
    """0 if it needs a person, 1 if it had trouble in the last day, 2 else, 3 if it was only found."""


def overview(engine: Engine, workspace_id: int | None, words: str, first: int, count: int) -> NightsPage:
    """Return `count` lines of the overview, from number `first` on: of a workspace or of all, and those with these words in their title.

    With words, also the one-shot and killed tasks that have them in their name, or an id that begins with them. The alarms are always those
    of the whole store.
    """
    late, troubles = overdue(engine), engine.store.overview.troubles(engine.context.clock.now() - RECENT)
    recurring = engine.store.overview.recurring(workspace_id)
    others = engine.store.overview.titled(troubles.keys() - {task.task_id for task in recurring})
    lines = [*_recurring(recurring, troubles, {task.id() for task in late}), *_once(engine, workspace_id, troubles, others)]
    lines.sort(key=lambda line: (line.rank, line.what.title.casefold()))
    alarms = _alarms(engine, late, lines, others)
    if words:
        lines = [line for line in lines if _matches(line.what, words)]
        lines += [_Line(task, _NO_TROUBLE, False, 3) for task in engine.store.overview.found(workspace_id, words)]
    return NightsPage(_nights(engine, lines[first : first + count]), len(lines), alarms)


def _recurring(tasks: Sequence[ListedTask], troubles: Mapping[str, Trouble], late: set[str]) -> Iterator[_Line]:
    for task in tasks:
        trouble, is_late = troubles.get(task.task_id, _NO_TROUBLE), task.task_id in late
        needs_person = trouble.is_failing or is_late or task.status in _UNSOUND
        yield _Line(task, trouble, is_late, 0 if needs_person else 2 if trouble is _NO_TROUBLE else 1)


def _once(engine: Engine, workspace_id: int | None, troubles: Mapping[str, Trouble], others: Sequence[TitledTask]) -> Iterator[_Line]:
    store, counts = engine.store.overview, Counter[tuple[int, str]]()
    for task in others:
        if task.kind is TaskKind.ONCE:
            counts[task.workspace_id, task.title] += troubles[task.task_id].failed
    for once in store.run_once(workspace_id):
        failed = counts[once.workspace_id, once.title]
        is_failing = failed > 0 and _is_failing(store.runs_of_once(once.workspace_id, once.title, RUNS))
        yield _Line(once, Trouble(failed, is_failing), False, 0 if is_failing else 1 if failed else 2)


def _is_failing(runs: Sequence[ListedRun]) -> bool:
    """Return whether the newest outcome of these runs, the newest first, is a failure."""
    return next((run.status in FAILED for run in runs if run.status in OUTCOMES), False)


def _matches(what: ListedTask | RunOnce, words: str) -> bool:
    return words.casefold() in what.title.casefold() or (isinstance(what, ListedTask) and what.task_id.startswith(words.lower()))


def _nights(engine: Engine, lines: Sequence[_Line]) -> list[Night]:
    ids = [line.what.task_id if isinstance(line.what, ListedTask) else line.what.newest for line in lines]
    tasks = {row.task_id: row for row in engine.store.tasks.of_ids(ids)}
    runs = engine.store.overview.newest_runs(ids, RUNS)
    return [
        _night(engine, line, tasks[task_id], runs.get(task_id, [])) for line, task_id in zip(lines, ids, strict=True) if task_id in tasks
    ]


def _night(engine: Engine, line: _Line, task: TaskRow, runs: Sequence[ListedRun]) -> Night:
    """Return a line. `runs` are those of the task, the newest first."""
    what, tasks = line.what, None
    if isinstance(what, RunOnce):
        tasks, runs = what.tasks, engine.store.overview.runs_of_once(what.workspace_id, what.title, RUNS)
    return Night(what.title, what.workspace_id, task, tasks, line.trouble, line.is_overdue, runs[::-1], _failing(engine, runs))


def _failing(engine: Engine, runs: Sequence[ListedRun]) -> FailedNights | None:
    ended = [run for run in runs if run.status in OUTCOMES]
    failed = list(takewhile(lambda run: run.status in FAILED, ended))
    if not failed:
        return None
    first = failed[-1]
    since = first.slot_at or first.created_at
    return FailedNights(failed[0], since, len(failed), len(failed) == len(ended) == RUNS, cause_of(engine, failed[0]))


def _by_cluster(runs: Sequence[TaskRun]) -> Mapping[str, Sequence[TaskRun]]:
    found: dict[str, list[TaskRun]] = {}
    for run in runs:
        if (placement := run.placement()) is not None:
            found.setdefault(placement.engine, []).append(run)
    return found


def _alarms(engine: Engine, late: Sequence[Task], lines: Sequence[_Line], others: Sequence[TitledTask]) -> Alarms:
    has_packaging = any(task.kind is TaskKind.PACKAGING for task in others)  # else there is nothing to search for among all failures
    return Alarms(
        keeping=keeping(engine),
        overdue=late,
        unattended=_by_cluster(unattended(engine)),
        failing=sum(line.trouble.is_failing for line in lines),
        failed=sum(line.trouble.failed for line in lines),
        packaging_failed=packaging_failures(engine, engine.context.clock.now() - RECENT) if has_packaging else (),
        free_bytes=disk_usage(engine.context.folder.path).free,
    )
