"""What becomes of a scheduled task's slots when it is due: which have a run, which are skipped and why, and when it is due again.

Pure: the task's rule and times in, a decision out. What is bounded is bounded here: a clock that jumps a year costs no more than this.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.records import SchedulePolicy, SkippedSlots

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

ON_TIME = timedelta(seconds=60)
"""A slot that is dealt with later than this was missed: a minute is what cron can tell apart."""

RUNS_AT_ONCE = 10_000
"""So many missed slots are made up for at most, where all are to be."""

ROWS_IN_ROW = 1_000
"""So many skipped slots in a row have a row each; one more row says how many there were besides."""

_MOMENT = timedelta(microseconds=1)


class Decision(NamedTuple):
    """What is to be done about a due task."""

    runs: tuple[datetime, ...]
    """The slots that are to have a run, oldest first."""
    skipped: tuple[SkippedSlots, ...]
    """Oldest first."""
    next_at: datetime


def decide(schedule: Schedule, policy: SchedulePolicy, first: datetime, now: datetime, taken: Collection[datetime] = ()) -> Decision:
    """Decide about all slots from `first`, which is due, up to `now`.

    But for those that are `taken`: they were dealt with before the clock was set back.
    """
    next_at = schedule.next_after(first)
    if next_at > now and not taken and _in_time(policy, first, now):
        return Decision((first,), (), next_at)  # nearly always: one slot, on time
    newest = schedule.newest_between(first - _MOMENT, now) or first
    runs = tuple(slot for slot in _runs(schedule, policy, first, newest, now) if slot not in taken)
    left = schedule.count_between(first - _MOMENT, now) - len(runs) - len(taken)
    skipped = _skipped(schedule, policy, (first, now), runs, taken, left) if left else ()
    return Decision(runs, skipped, schedule.next_after(now))


def skip_all(schedule: Schedule, first: datetime, now: datetime, reason: str, taken: Collection[datetime] = ()) -> Decision:
    """Skip all slots from `first` up to `now`, for one reason, but for those that are `taken`."""
    count = schedule.count_between(first - _MOMENT, now) - len(taken)
    newest = _newest(schedule, first, now, taken)
    return Decision((), _rows([(slot, reason) for slot in newest], count), schedule.next_after(now))


def first_free(schedule: Schedule, after: datetime, taken: Container[datetime]) -> datetime:
    """The first slot later than this that is not taken."""
    slot = schedule.next_after(after)
    while slot in taken:
        slot = schedule.next_after(slot)
    return slot


def _in_time(policy: SchedulePolicy, slot: datetime, now: datetime) -> bool:
    return not _is_too_late(policy, slot, now) and (policy.missed != "none" or now - slot <= ON_TIME)


def _is_too_late(policy: SchedulePolicy, slot: datetime, now: datetime) -> bool:
    deadline = policy.starting_deadline_seconds
    return deadline is not None and (now - slot).total_seconds() > deadline


def _runs(schedule: Schedule, policy: SchedulePolicy, first: datetime, newest: datetime, now: datetime) -> tuple[datetime, ...]:
    if policy.missed == "all":
        made_up = schedule.newest_slots(first - _MOMENT, now, RUNS_AT_ONCE)
        return tuple(slot for slot in made_up if not _is_too_late(policy, slot, now))
    return (newest,) if _in_time(policy, newest, now) else ()


def _skipped(
    schedule: Schedule,
    policy: SchedulePolicy,
    span: tuple[datetime, datetime],
    runs: tuple[datetime, ...],
    taken: Collection[datetime],
    count: int,
) -> tuple[SkippedSlots, ...]:
    first, now = span
    left = _newest(schedule, first, now, {*runs, *taken})
    return _rows([(slot, _reason(policy, slot, runs, now)) for slot in left], count)


def _newest(schedule: Schedule, first: datetime, now: datetime, others: Collection[datetime]) -> list[datetime]:
    """The newest slots that are to have a row each: not one of these others."""
    newest = schedule.newest_slots(first - _MOMENT, now, ROWS_IN_ROW + len(others))
    return [slot for slot in newest if slot not in others][-ROWS_IN_ROW:]


def _rows(newest: list[tuple[datetime, str]], count: int) -> tuple[SkippedSlots, ...]:
    """A row for each of the newest slots; the oldest of these rows stands for all that were before it, too."""
    rows = [SkippedSlots(slot, reason) for slot, reason in newest]
    if rows:
        rows[0] = rows[0]._replace(slots=1 + count - len(rows))
    return tuple(rows)


def _reason(policy: SchedulePolicy, slot: datetime, runs: tuple[datetime, ...], now: datetime) -> str:
    if _is_too_late(policy, slot, now):
        return f"missed: more than {policy.starting_deadline_seconds:g} s late"
    if policy.missed == "latest" and runs:
        return f"missed: coalesced into the slot {runs[-1].isoformat()}"
    if policy.missed == "all":
        return f"missed: no more than {RUNS_AT_ONCE} are made up for"
    return "missed: no host was at work"
