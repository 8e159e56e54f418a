"""Time zones by name, and the periods of a constant UTC offset. Instants are naive UTC here, for speed.

Owns what happens to slots where a zone's clocks change: the first wall time of each period decides it. The rule is that of Debian's cron,
<https://manpages.debian.org/cron.8>.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from orchlite.core.errors import BadSchedule
from orchlite.schedules.zone_names import NOT_ZONES, unknown, unusable

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)

_LONGEST_CHANGE = 2 * _DAY
"""No change was ever longer than a day: that of zones that crossed the date line."""
_FIRST_YEAR, _LAST_YEAR = MINYEAR + 1, MAXYEAR - 1
"""Wall times of these years can be represented at any offset."""


class Period(NamedTuple):
    """A time of constant offset in a zone; it begins with a change of the offset or with a year."""

    begins_at: datetime
    ends_at: datetime
    """Exclusive."""
    offset: timedelta
    first: datetime
    """The first wall time that counts. If the clock went forward, it is earlier than what the clock showed first: skipped wall times
    count, and are due at the change. If the clock went back, it is later: repeated wall times do not count again."""

    @property
    def end_wall_time(self) -> datetime:
        """What the clock shows at the end; exclusive."""
        return self.ends_at + self.offset

    def instant(self, wall_time: datetime) -> datetime:
        """Return when the clock shows `wall_time`; for a skipped one, the instant of the change."""
        return max(self.begins_at, wall_time - self.offset)

    def wall_time_after(self, at: datetime) -> datetime:
        """Return the first wall time of this period later than an instant."""
        if at < self.begins_at:
            return self.first
        return max(self.first, at + self.offset + _MICROSECOND)

    def wall_time_until(self, at: datetime) -> datetime:
        """Return the last wall time of this period that is not later than an instant."""
        return min(at, self.ends_at - _MICROSECOND) + self.offset


def zone_of(timezone: object) -> tzinfo:
    """Return the zone with this IANA name, such as `Europe/Berlin`. UTC needs no time zone data.

    Raises:
        BadSchedule: there is no such zone on this machine, or its data cannot be read. `details["field"]` is "timezone".
        DeviceFailed: too many files are open.
    """
    if not isinstance(timezone, str):
        raise BadSchedule(
            f"The timezone is a {type(timezone).__name__}.", hint="It must be a name, such as 'Europe/Berlin'.", field="timezone"
        )
    return _zone(timezone)


def in_zone(at: datetime, timezone: str) -> datetime:
    """Return the same instant, aware, in this zone; in UTC if there is no such zone on this machine, or its data cannot be read."""
    try:
        return at.astimezone(zone_of(timezone))
    except BadSchedule:
        return at.astimezone(UTC)


def periods_from(timezone: str, at: datetime, *, once: bool) -> Iterator[Period]:
    """Yield the period that contains an instant, and all later ones.

    With `once` every wall time counts once: skipped ones at the change, repeated ones when they are first shown. Without it, wall times
    count as often as the clock shows them.
    """
    for year in range(max(at.year, _FIRST_YEAR), _LAST_YEAR + 1):
        for period in _periods_of_year(timezone, year, once):
            if period.ends_at > at:
                yield period


def periods_back_from(timezone: str, at: datetime, *, once: bool) -> Iterator[Period]:
    """Yield the period that contains an instant, and all earlier ones, backwards; `once` as in `periods_from`."""
    for year in range(min(at.year, _LAST_YEAR), _FIRST_YEAR - 1, -1):
        for period in reversed(_periods_of_year(timezone, year, once)):
            if period.begins_at <= at:
                yield period


@lru_cache(maxsize=1024)
def _periods_of_year(timezone: str, year: int, once: bool) -> tuple[Period, ...]:
    start, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)
    # A change in the last days of the previous year may repeat wall times of this one.
    periods = _periods(zone_of(timezone), start - _LONGEST_CHANGE, end, once=once)
    return tuple(_cut_at(start, period) for period in periods if period.ends_at > start)


def _periods(zone: tzinfo, start: datetime, end: datetime, *, once: bool) -> Iterator[Period]:
    begins_at, offset = start, _offset(zone, start)
    first = begins_at + offset
    for change in _changes(zone, start, end):
        yield Period(begins_at, change, offset, first)
        end_wall_time = change + offset
        begins_at, offset = change, _offset(zone, change)
        first = end_wall_time if once else begins_at + offset
    yield Period(begins_at, end, offset, first)


def _cut_at(start: datetime, period: Period) -> Period:
    if period.begins_at >= start:
        return period
    return period._replace(begins_at=start, first=max(period.first, start + period.offset))


def _changes(zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants between these two at which the offset changes."""
    if zone is UTC:
        return
    # One probe a day finds them all: no zone of the database has two changes within three days.
    day, offset = start, _offset(zone, start)
    while day < end:
        day += _DAY
        before, offset = offset, _offset(zone, day)
        if offset != before:
            change = _change_within_day(zone, day, offset)
            if change < end:
                yield change


def _change_within_day(zone: tzinfo, day: datetime, offset: timedelta) -> datetime:
    """Return the first second of the 24 hours before `day` that has this offset."""
    unchanged, changed = 0, _DAY // _SECOND
    while changed - unchanged > 1:
        middle = (unchanged + changed) // 2
        if _offset(zone, day - _DAY + middle * _SECOND) == offset:
            changed = middle
        else:
            unchanged = middle
    return day - _DAY + changed * _SECOND


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return zone.fromutc(at.replace(tzinfo=zone)).replace(tzinfo=None) - at


@lru_cache(maxsize=1024)
def _zone(timezone: str) -> tzinfo:
    if timezone == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    if timezone.startswith(NOT_ZONES):
        raise unknown(timezone)
    try:
        return ZoneInfo(timezone)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file: whatever its parser stumbles over, such as struct.error
        raise unusable(timezone, error) from error
