"""Decides which slots of a scheduled task get a run, which are skipped and why, and when the task is due next.

Pure: policy and times in, a decision out. All bounds are here: a clock that jumps a year ahead costs no more than they say.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.records import SchedulePolicy, SkippedSlots

if TYPE_CHECKING:
    from orchlite.schedules.schedule import Schedule

MISFIRE_GRACE = timedelta(seconds=60)
"""A slot that is dispatched later than this has been missed: a minute is the resolution of cron."""

MAX_CATCH_UP_RUNS = 10_000
"""Upper bound on catch-up runs with `missed='all'`; the newest slots win."""

MAX_SKIPPED_ROWS = 1_000
"""Upper bound on the rows of consecutive skipped slots; the oldest of them also counts all earlier slots."""

_MICROSECOND = timedelta(microseconds=1)


class Decision(NamedTuple):
    """What to do about a due task."""

    runs: tuple[datetime, ...]
    """The slots that get a run, oldest first."""
    skipped: tuple[SkippedSlots, ...]
    """Oldest first."""
    next_at: datetime
    """The first slot later than now."""


def decide(schedule: Schedule, policy: SchedulePolicy, first: datetime, now: datetime, taken: Collection[datetime] = ()) -> Decision:
    """Decide about all slots from `first`, which is due, up to `now`.

    Leaves out `taken`: slots from `first` to `now` that were dispatched or skipped before the clock was set back.

    Raises:
        BadSchedule: there is no slot after `now`, or the zone's data has vanished.
    """
    next_at = schedule.next_after(first)
    if next_at > now and not taken and _in_time(policy, first, now):
        return Decision((first,), (), next_at)  # the usual case: one slot, on time
    newest = schedule.newest_between(first - _MICROSECOND, now) or first
    runs = tuple(slot for slot in _runs(schedule, policy, first, newest, now) if slot not in taken)
    left = schedule.count_between(first - _MICROSECOND, now) - len(runs) - len(taken)
    skipped = _skipped(schedule, policy, (first, now), runs, taken, left) if left else ()
    return Decision(runs, skipped, schedule.next_after(now))


def skip_all(schedule: Schedule, first: datetime, now: datetime, reason: str, taken: Collection[datetime] = ()) -> Decision:
    """Skip all slots from `first` up to `now` for one reason; `taken` as in `decide`.

    Raises:
        BadSchedule: there is no slot after `now`, or the zone's data has vanished.
    """
    count = schedule.count_between(first - _MICROSECOND, now) - len(taken)
    newest = _newest(schedule, first, now, taken)
    return Decision((), _rows([(slot, reason) for slot in newest], count), schedule.next_after(now))


def _in_time(policy: SchedulePolicy, slot: datetime, now: datetime) -> bool:
    return not _is_too_late(policy, slot, now) and (policy.missed != "none" or now - slot <= MISFIRE_GRACE)


def _is_too_late(policy: SchedulePolicy, slot: datetime, now: datetime) -> bool:
    deadline = policy.starting_deadline_seconds
    return deadline is not None and (now - slot).total_seconds() > deadline


def _runs(schedule: Schedule, policy: SchedulePolicy, first: datetime, newest: datetime, now: datetime) -> tuple[datetime, ...]:
    if policy.missed == "all":
        catch_up = schedule.newest_slots(first - _MICROSECOND, now, MAX_CATCH_UP_RUNS)
        return tuple(slot for slot in catch_up if not _is_too_late(policy, slot, now))
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
    """Return the newest slots that get a row each, without these others."""
    newest = schedule.newest_slots(first - _MICROSECOND, now, MAX_SKIPPED_ROWS + len(others))
    return [slot for slot in newest if slot not in others][-MAX_SKIPPED_ROWS:]


def _rows(newest: list[tuple[datetime, str]], count: int) -> tuple[SkippedSlots, ...]:
    """Return a row for each of the newest slots; the oldest row also counts the slots before it, of `count` in all."""
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
        return f"missed: at most {MAX_CATCH_UP_RUNS} missed slots are run"
    return "missed: no host was running"
