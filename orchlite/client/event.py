"""The handle of an event: something that happened in a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchlite.core.records import EventRow
from orchlite.core.tables import table_html


class Event:
    """One move of an orchestration, a task or a run, or something that was done to a connection or the store."""

    def __init__(self, row: EventRow) -> None:
        self._row = row

    def id(self) -> int:
        """Its number: events are numbered in the order in which they happened."""
        return self._row.event_id

    def at(self) -> datetime:
        """When it happened: aware, UTC."""
        return self._row.at

    def kind(self) -> str:
        """What it happened to: `orchestration`, `task`, `run`, `connection` or `store`."""
        return self._row.kind

    def object_id(self) -> str:
        """The id of what it happened to."""
        return self._row.object_id

    def was(self) -> str | None:
        """The status before; None for a beginning, and for what has no status."""
        return self._row.was

    def became(self) -> str:
        """The status after, or what was done."""
        return self._row.became

    def reason(self) -> str | None:
        """Why, where there is something to say."""
        return self._row.reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self._row == other._row

    def __hash__(self) -> int:
        return hash(self._row)

    def __repr__(self) -> str:
        at = f"{self.at():%Y-%m-%d %H:%M:%S}"
        why = f": {self.reason()}" if self.reason() else ""
        return f"Event({self.id()}, {at}, {self.kind()} {self.object_id()} {self.was()} -> {self.became()}{why})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "at", "kind", "object", "was", "became", "reason")

    def _cells(self) -> Sequence[object]:
        return self._row

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
