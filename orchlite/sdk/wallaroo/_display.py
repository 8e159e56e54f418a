"""How lists and times look in a notebook, with the columns and words of the platform's SDK."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from orchlite.core.tables import Table, Tabular

Item = TypeVar("Item", bound=Tabular)


class Listing(Table[Item]):
    """A list that says in a notebook what it is a list of, when it is empty."""

    _empty = "(empty)"

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self else self._empty


def moment(client: Any, at: datetime) -> str:
    """A time as the client was asked to show times."""
    return at.strftime(client._time_format)
