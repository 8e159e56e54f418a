"""Slots found by walking forward: the reference for counting and for searching back."""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile

from orchlite.schedules.schedule import Schedule


def slots_between(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Return the slots later than `after` and not later than `until`, in order."""
    return list(takewhile(lambda slot: slot <= until, schedule.slots_after(after)))
