"""The handle of an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchlite.core.records import EventRow
from orchlite.core.tables import table_html


class Event:
    """A change of status of an orchestration, a task or a run, or an operation on something else. It never changes."""

    def __init__(self, row: EventRow) -> None:
        self._row = row

    def id(self) -> int:
        """Return the event's number. Later events have higher ones."""
        return self._row.event_id

    def at(self) -> datetime:
        """Return when it happened: aware, UTC."""
        return self._row.at

    def kind(self) -> str:
        """Return what it happened to: `orchestration`, `task`, `run`, `connection`, `model`, `pipeline` or `store`."""
        return self._row.kind

    def object_id(self) -> str:
        """Return the id of what it happened to."""
        return self._row.object_id

    def was(self) -> str | None:
        """Return the status before; None if the object is new or has no status."""
        return self._row.was

    def became(self) -> str:
        """Return the status after, or the name of the operation."""
        return self._row.became

    def reason(self) -> str | None:
        """Return why it happened, if that was recorded."""
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
