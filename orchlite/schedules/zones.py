"""Time zones by name, and the stretches of time in which a zone's clocks run evenly. Instants are naive UTC in here, for speed.

How slots behave where clocks change is decided here, by the readings that a stretch begins with:
<https://manpages.debian.org/cron.8> documents the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from orchlite.core.errors import BadSchedule

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_SHOWN_CHARACTERS = 80

_NO_ZONES = ("right/", "localtime", "posixrules")
"""Files that lie among the zones. The first ones count leap seconds, which computers do not; the others mean one on each machine."""
_LONGEST_CHANGE = 2 * _DAY
"""Zones that changed sides of the date line moved their clocks by one day, and nobody ever by more."""
_FIRST_YEAR, _LAST_YEAR = MINYEAR + 1, MAXYEAR - 1
"""Readings of the years beside them are datetimes, too, whatever the offset."""


class Stretch(NamedTuple):
    """A time in which a zone's offset is the same, from a change or the beginning of a year on."""

    begins_at: datetime
    ends_at: datetime
    """Not part of it."""
    offset: timedelta
    first: datetime
    """The first reading that counts. Earlier than the clock's own first one: what a forward change skipped counts, too, as of
    the change. Later: what a backward change repeats does not count again."""

    @property
    def end_reading(self) -> datetime:
        return self.ends_at + self.offset

    def instant(self, reading: datetime) -> datetime:
        """When the clock shows this; for skipped readings, the change that skipped them."""
        return max(self.begins_at, reading - self.offset)

    def reading_after(self, at: datetime) -> datetime:
        """The first of this stretch's readings that is later than an instant."""
        if at < self.begins_at:
            return self.first
        return max(self.first, at + self.offset + _MICROSECOND)

    def reading_until(self, at: datetime) -> datetime:
        """The last of this stretch's readings that is not later than an instant."""
        return min(at, self.ends_at - _MICROSECOND) + self.offset


def zone_of(timezone: object) -> tzinfo:
    """The zone of this name, such as `Europe/Berlin`. UTC needs no data on the machine.

    Raises:
        BadSchedule: there is none. `details["field"]` is "timezone".
    """
    if not isinstance(timezone, str):
        raise BadSchedule(
            f"The timezone is a {type(timezone).__name__}.", hint="It takes a name, such as 'Europe/Berlin'.", field="timezone"
        )
    return _zone(timezone)


def stretches_from(timezone: str, at: datetime, *, once: bool) -> Iterator[Stretch]:
    """The stretch that holds an instant, and all later ones.

    With `once` every reading counts once: skipped ones at the change, repeated ones at the first pass. Without, the clock's real
    readings count.
    """
    for year in range(max(at.year, _FIRST_YEAR), _LAST_YEAR + 1):
        for stretch in _stretches_of_year(timezone, year, once):
            if stretch.ends_at > at:
                yield stretch


def stretches_back_from(timezone: str, at: datetime, *, once: bool) -> Iterator[Stretch]:
    """The stretch that holds an instant, and all earlier ones, backwards; `once` as in `stretches_from`."""
    for year in range(min(at.year, _LAST_YEAR), _FIRST_YEAR - 1, -1):
        for stretch in reversed(_stretches_of_year(timezone, year, once)):
            if stretch.begins_at <= at:
                yield stretch


@lru_cache(maxsize=1024)
def _stretches_of_year(timezone: str, year: int, once: bool) -> tuple[Stretch, ...]:
    start, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)
    # What a change in the last days of the year before repeats may reach into this one.
    stretches = _stretches(zone_of(timezone), start - _LONGEST_CHANGE, end, once=once)
    return tuple(_without_earlier(stretch, start) for stretch in stretches if stretch.ends_at > start)


def _stretches(zone: tzinfo, start: datetime, end: datetime, *, once: bool) -> Iterator[Stretch]:
    begins_at, offset = start, _offset(zone, start)
    first = begins_at + offset
    for change in _changes(zone, start, end):
        yield Stretch(begins_at, change, offset, first)
        end_reading = change + offset
        begins_at, offset = change, _offset(zone, change)
        first = end_reading if once else begins_at + offset
    yield Stretch(begins_at, end, offset, first)


def _without_earlier(stretch: Stretch, start: datetime) -> Stretch:
    if stretch.begins_at >= start:
        return stretch
    return stretch._replace(begins_at=start, first=max(stretch.first, start + stretch.offset))


def _changes(zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants between these two from which on the offset is another one."""
    if zone is UTC:
        return
    # Looked at once a day: in all the zones of the database, two changes have never been less than three days apart.
    day, offset = start, _offset(zone, start)
    while day < end:
        day += _DAY
        before, offset = offset, _offset(zone, day)
        if offset != before:
            change = _change_within_day(zone, day, offset)
            if change < end:
                yield change


def _change_within_day(zone: tzinfo, day: datetime, offset: timedelta) -> datetime:
    """The first second of the day before `day` that has its offset."""
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

    if timezone.startswith(_NO_ZONES):
        raise _unknown(timezone)
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise _unknown(timezone) from error


def _unknown(timezone: str) -> BadSchedule:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    names = sorted(available_timezones().difference(_NO_ZONES))
    known = {name.rpartition("/")[2].lower(): name for name in names} | {name.lower(): name for name in names}
    if not known:
        hint = "This machine has no time zone data: `pip install tzdata` brings it. UTC works without."
    elif close := get_close_matches(timezone[:_SHOWN_CHARACTERS].lower(), known, n=1, cutoff=0.8):
        hint = f"Did you mean {known[close[0]]!r}?"
    else:
        hint = "It takes a name of the IANA database, such as 'UTC' or 'Europe/Berlin'."
    shown = timezone if len(timezone) <= _SHOWN_CHARACTERS else f"{timezone[:_SHOWN_CHARACTERS]}…"
    return BadSchedule(f"There is no time zone {shown!r}.", hint=hint, field="timezone")
