"""Schedules: a cron expression and a zone, and the slots that they make. Pure: time comes in, times go out.

A slot is a function of expression and zone alone, so that every host finds the same ones. A fixed-time expression skips no day and
repeats none where the clocks change; one whose minute or hour begins with `*` follows the clock's real readings.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from orchlite.core.arguments import checked_count
from orchlite.core.errors import BadArgument, BadSchedule
from orchlite.schedules.cron import CronText, read_cron_text
from orchlite.schedules.wall_clock import count_readings, first_from, last_until
from orchlite.schedules.zones import Stretch, stretches_back_from, stretches_from, zone_of

_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)
_MOST_UPCOMING = 10_000


class Schedule(NamedTuple):
    """An accepted expression in a zone; made by `parse`. The times that it takes are aware, those that it answers are in UTC.

    What the methods need beyond these texts is kept in bounded caches, so any number of schedules may be alive. Every method raises
    `BadSchedule` where the zone's data is not on this machine, and `BadArgument` for a time without a zone.
    """

    expression: str
    """Five fields in one spelling; `parse` takes it again."""
    timezone: str = "UTC"
    warnings: tuple[str, ...] = ()

    def next_after(self, at: datetime) -> datetime:
        """The first slot later than `at`.

        Raises:
            BadSchedule: the zone's data has vanished, or there is no such slot before the year 9999.
        """
        for slot in self.slots_after(at):
            return slot
        raise BadSchedule(
            f"The schedule {self.expression!r} has no slot after {at.isoformat()}.",
            hint="The calendar ends with the year 9998: is the clock right?",
            field="expression",
        )

    def slots_after(self, at: datetime) -> Iterator[datetime]:
        """All slots later than `at`, in order; endless for all practical purposes."""
        return (slot.replace(tzinfo=UTC) for slot in self._forward(_utc(at)))

    def newest_between(self, after: datetime, until: datetime) -> datetime | None:
        """The last slot that is later than `after` and not later than `until`. Walks back from `until`, eight years at most."""
        newest = self.newest_slots(after, until, 1)
        return newest[0] if newest else None

    def newest_slots(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` slots that are later than `after` and not later than `until`, in order. Walks back from `until`."""
        begin = _utc(after)
        slots = takewhile(lambda slot: slot > begin, self._backward(_utc(until)))
        return [slot.replace(tzinfo=UTC) for slot in islice(slots, limit)][::-1]

    def count_between(self, after: datetime, until: datetime) -> int:
        """How many slots are later than `after` and not later than `until`: by arithmetic, a month a step."""
        cron, begin, end = self._cron(), _utc(after), _utc(until)
        stretches = stretches_from(self.timezone, begin, once=cron.is_fixed)
        return sum(_count(cron, stretch, begin, end) for stretch in takewhile(lambda stretch: stretch.begins_at <= end, stretches))

    def _cron(self) -> CronText:
        return read_cron_text(self.expression)

    def _forward(self, after: datetime) -> Iterator[datetime]:
        cron, latest = self._cron(), after
        for stretch in stretches_from(self.timezone, after, once=cron.is_fixed):
            reading = first_from(cron, stretch.reading_after(after))
            while reading is not None and reading < stretch.end_reading:
                # Readings that a change skipped are all due at the change: one slot.
                slot = stretch.instant(reading)
                if slot > latest:
                    yield slot
                    latest = slot
                reading = first_from(cron, reading + _MINUTE)

    def _backward(self, until: datetime) -> Iterator[datetime]:
        cron, earliest = self._cron(), None
        for stretch in stretches_back_from(self.timezone, until, once=cron.is_fixed):
            reading = last_until(cron, stretch.reading_until(until))
            while reading is not None and reading >= stretch.first:
                slot = stretch.instant(reading)
                if slot != earliest:
                    yield slot
                    earliest = slot
                reading = last_until(cron, reading - _MINUTE)


def parse(expression: str, timezone: str = "UTC") -> Schedule:
    """A schedule from what a user wrote: five fields of cron or a word such as `@daily`, and the name of a zone.

    Raises:
        BadSchedule: either is refused. `details["field"]` names the field, or is "expression" or "timezone".
    """
    cron = read_cron_text(expression)
    zone_of(timezone)
    return Schedule(cron.text, timezone, cron.warnings)


def upcoming(expression: str, n: int, *, timezone: str = "UTC", now: datetime) -> list[datetime]:
    """The first `n` slots after `now`, as times in the zone.

    Raises:
        BadSchedule: as `parse`.
        BadArgument: `n` is no number from 0 to 10,000, or `now` has no zone.
    """
    schedule = parse(expression, timezone)
    if checked_count(n, "n", 0) > _MOST_UPCOMING:
        raise BadArgument(f"n is {n}.", hint=f"It takes 0 to {_MOST_UPCOMING}.", argument="n", limit=_MOST_UPCOMING)
    zone = zone_of(timezone)
    return [slot.astimezone(zone) for slot in islice(schedule.slots_after(now), n)]


def _count(cron: CronText, stretch: Stretch, after: datetime, until: datetime) -> int:
    low = stretch.reading_after(after)
    high = stretch.reading_until(until) + _MICROSECOND
    # The readings that a change skipped, and the one that it led to, are one slot.
    led_to = stretch.begins_at + stretch.offset + _MICROSECOND
    return min(1, count_readings(cron, low, led_to)) + count_readings(cron, max(low, led_to), high)


def _utc(at: datetime) -> datetime:
    return _aware(at).astimezone(UTC).replace(tzinfo=None)


def _aware(at: datetime) -> datetime:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise BadArgument(f"{at!r:.80} is no time with a zone.", hint="It takes an aware datetime: datetime.now(UTC).", argument="at")
    return at
