"""What happened to what, when and why: one row for each move, written in the transaction that makes the move."""

from __future__ import annotations

from datetime import datetime

from orchlite.status import Status
from orchlite.store.database import Transaction, to_microseconds


def record(transaction: Transaction, object_id: str, was: Status | None, became: Status, at: datetime, reason: str | None = None) -> None:
    """Note a move of an orchestration, a task or a run."""
    transaction.execute(
        "INSERT INTO events (at, object_id, was, became, reason) VALUES (?, ?, ?, ?, ?)",
        (to_microseconds(at), object_id, was, became, reason),
    )
