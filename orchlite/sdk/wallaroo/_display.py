"""Lists and times in prints and in notebooks, with the columns and words of the platform's SDK."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any, TypeVar

from orchlite.core.tables import Table, Tabular

Item = TypeVar("Item", bound=Tabular)


class NotebookList(Table[Item]):
    """A list that is a table in a notebook; an empty one says what it lists."""

    _empty = "(empty)"

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self else self._empty


class _Utc(tzinfo):
    """UTC, with the name that it has in the library by which the platform's SDK parses times: programs print it."""

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, at: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, at: datetime | None) -> str:
        return "UTC"

    def __repr__(self) -> str:
        return "tzutc()"


_UTC = _Utc()


def platform_time(at: datetime) -> datetime:
    """Return the same time, which prints as the platform's SDK prints it."""
    return at.replace(tzinfo=_UTC)


def moment(client: Any, at: datetime) -> str:
    """Return a time in the client's `time_format`."""
    return at.strftime(client._time_format)
