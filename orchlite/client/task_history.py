"""The past of one task: its runs in order, and where its code or its packages changed between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise, takewhile
from statistics import median
from typing import NamedTuple

from orchlite.core.errors import OrchliteError
from orchlite.core.records import PastRun, RunRow
from orchlite.core.status import FAILED, OUTCOMES, RunStatus
from orchlite.engine.engine import Engine
from orchlite.operations.comparison import Difference, compare
from orchlite.schedules.misfires import MISFIRE_GRACE

_COMPARED = 3
"""How many changes are compared: the newest ones. Each comparison reads two bundles."""
_KEPT = 50
_REMEMBERED = 256
_CAUSES = ("code", "package", "argument")

_known: dict[tuple[str, str], tuple[Sequence[Difference], int]] = {}
"""By the ids of two runs that have ended: the first differences, and how many more there are."""


class Change(NamedTuple):
    """Code or packages that differ from one run of a task to the next."""

    before: PastRun
    after: PastRun
    is_code: bool
    """Whether another orchestration ran."""
    is_packages: bool
    """Whether other packages were installed."""
    differences: Sequence[Difference] | None
    """The first 50 in code, packages and arguments; None if they were not compared."""
    more: int = 0
    """How many other differences there are."""


class Failing(NamedTuple):
    """A task whose newest runs have failed."""

    first: PastRun
    """The first failure since the last success."""
    newest: PastRun
    runs: int
    """How many runs have failed since."""
    last_success: PastRun | None
    """None: there is none among the runs that were read."""
    changes: Sequence[Change]
    """What changed after the last success, up to the first failure."""


class TaskHistory(NamedTuple):
    """The runs of a task, the oldest first."""

    runs: Sequence[PastRun]
    """Skipped slots included."""
    changes: Sequence[Change]

    @property
    def started(self) -> Sequence[PastRun]:
        """Return those that a host has started, in the order of the starts."""
        started = (past for past in self.runs if past.run.claimed_at is not None)
        return sorted(started, key=_claimed_at)

    @property
    def median_seconds(self) -> float | None:
        """Return the median duration of the successful runs, or of all that have ended if there is none; None without any."""
        ended = [past.run for past in self.runs if past.run.duration_seconds is not None]
        counted = [run for run in ended if run.status is RunStatus.SUCCESS] or ended
        return median(run.duration_seconds or 0.0 for run in counted) if counted else None

    @property
    def failing(self) -> Failing | None:
        """Return since when the task fails; None if its newest run that was not killed is a success, or none has ended."""
        ended = [past for past in self.started if past.run.status in OUTCOMES]
        failed = list(takewhile(lambda past: past.run.status in FAILED, reversed(ended)))
        if not failed:
            return None
        first, good = failed[-1], ended[-len(failed) - 1] if len(failed) < len(ended) else None
        since = None if good is None else good.run.claimed_at
        changes = [one for one in self.changes if since is not None and _is_between(since, one.after, first)]
        return Failing(first, failed[0], len(failed), good, changes)

    @property
    def metric_names(self) -> Sequence[str]:
        """Return the names of all metrics, sorted."""
        return sorted({name for past in self.runs for name in past.metrics})


def history(engine: Engine, task_id: str, limit: int) -> TaskHistory:
    """Return the newest `limit` runs of a task, and what changed between them."""
    known = TaskHistory(engine.store.run_history.newest(task_id, limit)[::-1], ())
    changes = [change for pair in pairwise(known.started) if (change := _change(*pair)) is not None]
    uncompared = max(0, len(changes) - _COMPARED)
    return known._replace(changes=[*changes[:uncompared], *(_compared(engine, change) for change in changes[uncompared:])])


def lateness_seconds(run: RunRow) -> float | None:
    """Return how much later than its slot a run was started; None if that is within the grace, or if it has no slot or no start."""
    if run.slot_at is None or run.claimed_at is None or run.claimed_at - run.slot_at <= MISFIRE_GRACE:
        return None
    return (run.claimed_at - run.slot_at).total_seconds()


def runs_before(engine: Engine, task_id: str, run_id: str, limit: int) -> Sequence[PastRun]:
    """Return up to `limit` runs of a task that changed last before this one did, the newest first."""
    return engine.store.run_history.newest(task_id, limit, before=run_id)


def _claimed_at(past: PastRun) -> datetime:
    return past.run.claimed_at or past.run.created_at


def _is_between(since: datetime, one: PastRun, last: PastRun) -> bool:
    return since < _claimed_at(one) <= _claimed_at(last)


def _change(before: PastRun, after: PastRun) -> Change | None:
    is_code = before.orchestration_id != after.orchestration_id
    is_packages = before.package_list_id != after.package_list_id and None not in (before.package_list_id, after.package_list_id)
    return Change(before, after, is_code, is_packages, None) if is_code or is_packages else None


def _compared(engine: Engine, change: Change) -> Change:
    """Return the change with what differs. For runs that have ended this stays, so it is remembered: the page is loaded often."""
    pair = change.before.run.run_id, change.after.run.run_id
    if (known := _known.get(pair)) is None:
        try:
            found = [one for one in compare(engine.context, *pair).differences if one.kind in _CAUSES]
        except (OrchliteError, OSError):  # a stored bundle is damaged, or a row was deleted meanwhile: that it changed is known
            return change
        known = found[:_KEPT], max(0, len(found) - _KEPT)
        if change.after.run.status.is_final:
            _remember(pair, known)
    return change._replace(differences=known[0], more=known[1])


def _remember(pair: tuple[str, str], known: tuple[Sequence[Difference], int]) -> None:
    if len(_known) >= _REMEMBERED:
        _known.clear()
    _known[pair] = known
