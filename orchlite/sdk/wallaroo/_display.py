"""Lists and times in a notebook, with the columns and words of the platform's SDK."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from orchlite.core.tables import Table, Tabular

Item = TypeVar("Item", bound=Tabular)


class NotebookList(Table[Item]):
    """A list that is a table in a notebook; an empty one says what it lists."""

    _empty = "(empty)"

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self else self._empty


def moment(client: Any, at: datetime) -> str:
    """Return a time in the client's `time_format`."""
    return at.strftime(client._time_format)
