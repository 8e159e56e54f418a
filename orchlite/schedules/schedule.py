"""Schedules: a cron expression and a time zone, and the slots that they make. Times in, times out; only `upcoming` reads a clock.

The slots depend on expression and zone alone, so that every host computes the same ones. Where the clocks change, a fixed-time expression
skips no day and repeats none; one whose minute or hour begins with `*` follows what the clock shows (cron(8) of Debian).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from orchlite.core.arguments import checked_count
from orchlite.core.clock import SystemClock
from orchlite.core.errors import BadArgument, BadSchedule
from orchlite.core.hints import PythonOnly
from orchlite.schedules.cron import CronExpression, parse_cron, parse_stored_cron
from orchlite.schedules.wall_clock import count_between, first_at_or_after, last_at_or_before
from orchlite.schedules.zones import Period, periods_back_from, periods_from, zone_of

_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)
_MAX_UPCOMING = 10_000


class Schedule(NamedTuple):
    """An accepted expression in a zone; made by `parse` or `parse_stored`. Methods take aware times of any zone and return aware UTC.

    What the methods need beyond these strings is kept in bounded caches, so any number of schedules may be alive. Each method raises
    `BadArgument` for a time without a zone, and `BadSchedule` if the zone's data has vanished from this machine.
    """

    expression: str
    """Five fields in one spelling, which `parse` accepts again."""
    timezone: str = "UTC"
    warnings: tuple[str, ...] = ()

    @property
    def is_ambiguous(self) -> bool:
        """Whether Debian's cron and Kubernetes read it differently; only a stored schedule may be."""
        return self._cron().disagreement is not None

    def next_after(self, at: datetime) -> datetime:
        """Return the first slot later than `at`.

        Raises:
            BadArgument: `at` has no zone.
            BadSchedule: there is no such slot before the year 9999, or the zone's data has vanished.
        """
        for slot in self.slots_after(at):
            return slot
        raise BadSchedule(
            f"The schedule {self.expression!r} has no slot after {at.isoformat()}.",
            hint="The calendar ends with the year 9998: is the clock right?",
            field="expression",
        )

    def slots_after(self, at: datetime) -> Iterator[datetime]:
        """Return an iterator over all slots later than `at`, in order, up to the year 9998.

        Raises:
            BadArgument: `at` has no zone.
            BadSchedule: the zone's data has vanished; raised by the iterator.
        """
        return (slot.replace(tzinfo=UTC) for slot in self._forward(_utc(at)))

    def newest_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last slot that is later than `after` and not later than `until`; None if there is none.

        Searches back from `until`, eight years at most.

        Raises:
            BadArgument: a time has no zone.
            BadSchedule: the zone's data has vanished.
        """
        newest = self.newest_slots(after, until, 1)
        return newest[0] if newest else None

    def newest_slots(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return the last `limit` slots that are later than `after` and not later than `until`, in order. Searches back from `until`.

        Raises:
            BadArgument: a time has no zone.
            BadSchedule: the zone's data has vanished.
        """
        begin = _utc(after)
        slots = takewhile(lambda slot: slot > begin, self._backward(_utc(until)))
        return [slot.replace(tzinfo=UTC) for slot in islice(slots, limit)][::-1]

    def count_between(self, after: datetime, until: datetime) -> int:
        """Count the slots that are later than `after` and not later than `until`. Costs one look-up per month.

        Raises:
            BadArgument: a time has no zone.
            BadSchedule: the zone's data has vanished.
        """
        cron, begin, end = self._cron(), _utc(after), _utc(until)
        periods = periods_from(self.timezone, begin, once=cron.is_fixed)
        return sum(_count(cron, period, begin, end) for period in takewhile(lambda period: period.begins_at <= end, periods))

    def _cron(self) -> CronExpression:
        return parse_stored_cron(self.expression)

    def _forward(self, after: datetime) -> Iterator[datetime]:
        cron, latest = self._cron(), after
        for period in periods_from(self.timezone, after, once=cron.is_fixed):
            wall_time = first_at_or_after(cron, period.wall_time_after(after))
            while wall_time is not None and wall_time < period.end_wall_time:
                # All wall times that a change skipped are due at the change: one slot.
                slot = period.instant(wall_time)
                if slot > latest:
                    yield slot
                    latest = slot
                wall_time = first_at_or_after(cron, wall_time + _MINUTE)

    def _backward(self, until: datetime) -> Iterator[datetime]:
        cron, earliest = self._cron(), None
        for period in periods_back_from(self.timezone, until, once=cron.is_fixed):
            wall_time = last_at_or_before(cron, period.wall_time_until(until))
            while wall_time is not None and wall_time >= period.first:
                slot = period.instant(wall_time)
                if slot != earliest:
                    yield slot
                    earliest = slot
                wall_time = last_at_or_before(cron, wall_time - _MINUTE)


def parse(expression: str, timezone: str = "UTC") -> Schedule:
    """Return the schedule of a cron expression, or of a macro such as `@daily`, in a zone.

    Raises:
        BadSchedule: expression or zone is refused. `details["field"]` names the field of the expression, or is "expression" or "timezone".
    """
    cron = parse_cron(expression)
    zone_of(timezone)
    return Schedule(cron.text, timezone, cron.warnings)


def parse_stored(expression: str, timezone: str) -> Schedule:
    """Return the schedule of a stored expression: as `parse`, but accept what Debian's cron and Kubernetes read differently, and warn.

    Raises:
        BadSchedule: expression or zone is refused, or the zone's data cannot be read.
    """
    cron = parse_stored_cron(expression)
    zone_of(timezone)
    return Schedule(cron.text, timezone, cron.warnings)


def upcoming(expression: str, n: int, *, timezone: str = "UTC") -> list[datetime]:
    """Return the next `n` times, from now on, at which a schedule is due: aware, in `timezone`, in order.

    `expression` has five fields of cron: minute, hour, day of month, month, day of week; or is a macro such as `@daily`.

    Raises:
        BadSchedule: expression or zone is refused; `details["field"]` says which part.
        BadArgument: `n` is not an integer from 0 to 10,000.
        DeviceFailed: the zone's data cannot be read because too many files are open.
    """
    return upcoming_after(SystemClock().now(), expression, n, timezone=timezone)


def upcoming_after(at: datetime, expression: str, n: int, *, timezone: str = "UTC") -> list[datetime]:
    """Return the first `n` slots later than `at`: aware, in `timezone`, in order.

    Raises:
        BadSchedule: expression or zone is refused; `details["field"]` says which part.
        BadArgument: `n` is not an integer from 0 to 10,000, or `at` has no zone.
    """
    schedule = parse(expression, timezone)
    checked_count(n, "n", 0, _MAX_UPCOMING)
    zone = zone_of(timezone)
    return [slot.astimezone(zone) for slot in islice(schedule.slots_after(at), n)]


def _count(cron: CronExpression, period: Period, after: datetime, until: datetime) -> int:
    low = period.wall_time_after(after)
    high = period.wall_time_until(until) + _MICROSECOND
    # The wall times that a change skipped, and the one that it led to, are one slot.
    led_to = period.begins_at + period.offset + _MICROSECOND
    return min(1, count_between(cron, low, led_to)) + count_between(cron, max(low, led_to), high)


def _utc(at: datetime) -> datetime:
    return _aware(at).astimezone(UTC).replace(tzinfo=None)


def _aware(at: datetime) -> datetime:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise BadArgument(
            f"{at!r:.80} is not an aware datetime.", hint="Use an aware one" + PythonOnly(": datetime.now(UTC)") + ".", argument="at"
        )
    return at
