"""Events: a row for each change of a status, with its time and reason, inserted in the transaction that makes the change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchlite.core.records import EventKind, EventRow
from orchlite.core.status import Status
from orchlite.store.database import Database, Row, Transaction, known_datetime, to_microseconds


class Events:
    """The events of one store, numbered in the order in which they happened."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, event_id: int, limit: int | None = None, *, newest_first: bool = False) -> list[EventRow]:
        """Return the events after this one: all, or the first `limit`. Oldest first, else newest first."""
        rows = self._database.rows(
            f"SELECT * FROM events WHERE event_id > ? ORDER BY event_id {_direction(newest_first)} LIMIT ?",  # noqa: S608 - constants
            (event_id, -1 if limit is None else limit),
        )
        return [_record(row) for row in rows]

    def since(self, at: datetime, limit: int | None = None, *, newest_first: bool = False) -> list[EventRow]:
        """Return the events later than `at`, ordered and limited as by `after`."""
        rows = self._database.rows(
            # The first of them by its number, so that older ones are not read; the clock may have been set back after it.
            "SELECT * FROM events WHERE event_id >= (SELECT MIN(event_id) FROM events INDEXED BY events_at WHERE at > :at) AND at > :at"  # noqa: S608
            f" ORDER BY event_id {_direction(newest_first)} LIMIT :limit",
            {"at": to_microseconds(at), "limit": -1 if limit is None else limit},
        )
        return [_record(row) for row in rows]

    def newest(self, limit: int) -> list[EventRow]:
        """Return the newest `limit` events, oldest first."""
        return self.after(0, limit, newest_first=True)[::-1]


def record(
    transaction: Transaction,
    kind: EventKind,
    object_id: str,
    was: Status | None,
    became: Status | str,
    at: datetime,
    reason: str | None = None,
) -> None:
    """Insert an event: a change of the status of an orchestration, a task or a run, or what was done to a connection or the store."""
    transaction.execute(
        "INSERT INTO events (at, kind, object_id, was, became, reason) VALUES (?, ?, ?, ?, ?, ?)",
        (to_microseconds(at), kind, object_id, was, became, reason),
    )


def record_all(transaction: Transaction, kind: EventKind, object_ids: Sequence[str], became: Status, at: datetime) -> None:
    """Insert the first event of each of several objects."""
    transaction.execute_many(
        "INSERT INTO events (at, kind, object_id, became) VALUES (?, ?, ?, ?)",
        [(to_microseconds(at), kind, object_id, became) for object_id in object_ids],
    )


def _direction(newest_first: bool) -> str:
    return "DESC" if newest_first else "ASC"


def _record(row: Row) -> EventRow:
    return EventRow(
        event_id=row["event_id"],
        at=known_datetime(row["at"]),
        kind=row["kind"],
        object_id=row["object_id"],
        was=row["was"],
        became=row["became"],
        reason=row["reason"],
    )
